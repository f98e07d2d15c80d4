# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shlex

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.kubeproof.certify.plugins.module_utils.archive import sha256_of
from ansible_collections.kubeproof.certify.plugins.module_utils.download import ToolError
from ansible_collections.kubeproof.certify.plugins.modules.tool_fetch import check_name

SPEC = {"tools": {"type": "dict", "required": True}, "directory": {"type": "str", "required": True}}
# Of any Linux, busybox too. One line, since a login shell may be another one. Errors are said on standard output: with a terminal they are anyway.
# Nothing is moved from Ansible's directory, whose files have the owner and the rights of the connection. A file that [ -x ] does not find executable
# though its mode is 0755 is on a file system that is mounted with noexec.
SCRIPT = " ".join(
    (
        "exec 2>&1; export LC_ALL=C; umask 022; new=;",
        "trap '[ -z \"$new\" ] || rm -f \"$new\"' EXIT; trap 'exit 1' HUP INT TERM;",
        'mode() { ls -ld "$1" 2>/dev/null | cut -c 1-10; };',
        'sum() { sha256sum <"$1" | cut -c 1-64; };',
        'same() { [ "$(mode "$1")" = -rwxr-xr-x ] && [ "$(sum "$1")" = "$2" ]; };',
        'made() { { [ -d "$1" ] || mkdir -p "$1"; } && { [ "$(mode "$1/.")" = drwxr-xr-x ] || chmod 0755 "$1"; }; };',
        # The name of a tool, its SHA-256, and where its copy was sent: nowhere in check mode.
        'put() { if same "$directory/$1" "$2"; then echo "same $1"; return; fi; [ -z "$3" ] || place "$@"; echo "put $1"; };',
        'place() { if [ -d "$directory/$1" ]; then echo "$directory/$1: Is a directory"; exit 1; fi;',
        'made "$directory" && new=$(mktemp "$directory/.$1.XXXXXX") && cat "$3" >"$new" && chmod 0755 "$new" && found=$(sum "$new") && [ "$found" ] || exit 1;',
        '[ "$found" = "$2" ] || { echo "wrong $1 $found"; exit 1; };',
        '[ -x "$new" ] || { echo "noexec $1"; exit 1; };',
        'mv -f "$new" "$directory/$1" || exit 1; new=; };',
    )
)
WORDS = ("put", "same", "wrong", "noexec")


def command(directory, tools):
    """Return the command that puts `tools` ({name: (SHA-256, where its copy was sent or "")}) in `directory`."""
    calls = (f"put {shlex.quote(name)} {digest} {shlex.quote(sent)}" for name, (digest, sent) in tools.items())
    return f"directory={shlex.quote(directory)}; {SCRIPT} {'; '.join(calls)}"


def outcome(directory, tools, code, said):
    """Return the tools that were put by what the command said; AnsibleActionFail, without the host, says what went wrong with the first that was not."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    answers = {words[1]: words for words in map(str.split, lines) if len(words) > 1 and words[0] in WORDS and words[1] in tools}
    for name, (digest, dummy) in tools.items():
        word, *rest = answers.get(name, ("", name))
        path = os.path.join(directory, name)
        if word == "wrong":
            raise AnsibleActionFail(
                f"{path} arrived with the SHA-256 {rest[-1]}, not {digest}, which it has on the controller. See whether its disk is sound, then run again."
            )
        if word == "noexec":
            raise AnsibleActionFail(f"{path} cannot be executed: its file system is mounted with noexec. Mount it without, or install {name} on the host.")
        if word not in ("put", "same"):
            reason = "; ".join(line for line in lines if line.split()[0] not in WORDS) or f"the command ended with exit code {code} and said nothing"
            raise AnsibleActionFail(f"{path} cannot be written: {reason}. Make room for it, or correct the permissions, then run again.")
    return [name for name in tools if answers[name][0] == "put"]


class ActionModule(ActionBase):
    """Send the tools, and put all of them in their place by one command."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        dummy, options = self.validate_argument_spec(SPEC)
        try:
            put = self._put(options["tools"], self._remote_expand_user(options["directory"])) if options["tools"] else []
        except (AnsibleActionFail, ToolError) as error:
            # The reason is in the text; Ansible would repeat it.
            raise AnsibleActionFail(f"{(task_vars or {}).get('inventory_hostname')}: {getattr(error, 'message', error)}") from None
        return {"changed": bool(put), "put": put}

    def _put(self, paths, directory):
        """Put the tools ({name: path}) in a directory of the host, and return the names of those that were not there."""
        if not os.path.isabs(directory):
            raise AnsibleActionFail(f"directory is {directory!r}: give an absolute path on the host.")
        for name in paths:
            check_name(name)
        sums = {name: digest_of(path) for name, path in paths.items()}
        sent = {} if self._task.check_mode else self._send(paths)
        tools = {name: (digest, sent.get(name, "")) for name, digest in sums.items()}
        done = self._low_level_execute_command(command(directory, tools))
        return outcome(directory, tools, done["rc"], f"{done['stdout']}\n{done['stderr'] if done['rc'] else ''}")

    def _send(self, paths):
        """Copy the tools into a directory of Ansible on the host, which it removes after the task, and return {name: path} there."""
        place = self._make_tmp_path()
        sent = {name: self._connection._shell.join_path(place, name) for name in paths}
        for name, path in paths.items():
            try:
                self._transfer_file(os.path.realpath(path), sent[name])
            except AnsibleConnectionFailure:
                raise
            except AnsibleError as error:
                raise AnsibleActionFail(f"{path} cannot be sent to {sent[name]}: {error}. Make room there (remote_tmp of Ansible), then run again.") from None
        # Only where become makes another user without rights of the one that has sent them.
        self._fixup_perms2([place, *sent.values()], execute=False)
        return sent


def digest_of(path):
    """Return the SHA-256 of a file on the controller; AnsibleActionFail when it cannot be read."""
    try:
        return sha256_of(path)
    except OSError as error:
        raise AnsibleActionFail(f"{path} on the controller cannot be read: {error.strerror}. Correct its permissions or the path.") from None
