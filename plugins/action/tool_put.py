# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import re
import shlex

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.kubeproof.certify.plugins.module_utils.archive import sha256_of
from ansible_collections.kubeproof.certify.plugins.module_utils.download import ToolError
from ansible_collections.kubeproof.certify.plugins.modules.tool_fetch import check_name

SPEC = {
    "tools": {"type": "dict", "required": True},
    "directory": {"type": "str", "required": True},
    "kept": {"type": "bool", "default": False},
}
# Of any Linux, busybox too. One line, since a login shell may be another one. Errors are said on standard output: with a terminal they are anyway.
# Nothing is moved from Ansible's directory, whose files have the owner and the rights of the connection. A file that [ -x ] does not find executable
# though its mode is 0755 is on a file system that is mounted with noexec.
SCRIPT = " ".join(
    (
        "exec 2>&1; export LC_ALL=C; umask 022; set -f; echo began; me=$(id -u); new=;",
        "trap '[ -z \"$new\" ] || rm -f \"$new\"' EXIT; trap 'exit 1' HUP INT TERM;",
        'ours() { [ "$1" = 0 ] || [ "$1" = "$me" ]; };',
        'sum() { sha256sum <"$1" | cut -c 1-64; };',
        # $3 to $5 are the rights, the links and the owner.
        'same() { set -- "$1" "$2" $(ls -ldn "$1" 2>/dev/null); case "$3" in -rwxr-xr-x*) ours "$5" && [ "$(sum "$1")" = "$2" ];; *) false;; esac; };',
        'refuse() { echo "refused $1"; exit 1; };',
        # Above the directory, what root has linked or opened to a group is so by its will: /var/tmp of some hosts, and /usr/local/lib, which is of staff too.
        'meant() { [ "$2" = 0 ] && [ "$1" != "$directory" ]; };',
        # Anybody may make a directory below /var/tmp first. $2 to $4 are the rights, the links and the owner.
        'trusted() { set -- "$1" $(ls -ldn "$1"); [ "$4" ] || exit 1;',
        'ours "$4" || refuse "$1 belongs to uid $4, who could exchange what is in it. Remove it"; case "$2" in',
        'l*) meant "$1" "$4" || refuse "$1 is a symbolic link of uid $4. Remove it"; trusted "$1/.";;',
        "d????????[tT]*) ;;",
        'd???????w*) refuse "$1 of uid $4 can be written by everybody. Take that right away (chmod go-w) or remove it";;',
        'd????w*) meant "$1" "$4" || refuse "$1 of uid $4 can be written by its group. Take that right away (chmod go-w) or remove it";;',
        'd*) ;; *) refuse "$1 of uid $4 is not a directory. Remove it";; esac; };',
        # From the top: below what is trusted nobody else exchanges the next part after it was seen.
        'made() { [ "$1" ] || return 0; made "${1%/*}";',
        '[ -e "$1" ] || [ -h "$1" ] || { [ "$writes" ] || return 0; mkdir "$1" || [ -d "$1" ] || exit 1; }; trusted "$1"; };',
        # The name of a tool, its SHA-256, and where its copy was sent: nowhere if it is only compared.
        'put() { if same "$directory/$1" "$2"; then echo "same $1"; return; fi; [ -z "$3" ] || place "$@"; echo "put $1"; };',
        'place() { [ ! -d "$directory/$1" ] || { echo "directory $1"; exit 1; };',
        'new=$(mktemp "$directory/.$1.XXXXXX") && cat "$3" >"$new" && chmod 0755 "$new" && found=$(sum "$new") && [ "$found" ] || exit 1;',
        '[ "$found" = "$2" ] || { echo "wrong $1 $found"; exit 1; };',
        '[ -x "$new" ] || { echo "noexec $1"; exit 1; };',
        'mv -f "$new" "$directory/$1" || exit 1; new=; };',
    )
)
WORDS = ("put", "same", "wrong", "noexec", "directory")
MISSING = re.compile(r"\b(sha256sum|mktemp): (?:command |applet )?not found")


def command(directory, tools):
    """Return the command that puts `tools` ({name: (SHA-256, where its copy was sent, or "" to compare it)}) in `directory`."""
    writes = "1" if any(sent for dummy, sent in tools.values()) else ""
    calls = (f"put {shlex.quote(name)} {digest} {shlex.quote(sent)}" for name, (digest, sent) in tools.items())
    return f'directory={shlex.quote(directory)}; writes={writes}; {SCRIPT} made "$directory"; {"; ".join(calls)}'


def outcome(directory, tools, code, said):
    """Return the tools that were put by what the command said; AnsibleActionFail, without the host, says what went wrong with the first that was not."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    reason = "; ".join(line for line in lines if line.split()[0] not in (*WORDS, "began")) or f"the command ended with exit code {code} and said nothing"
    check_host(directory, lines, reason)
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
        if word == "directory":
            raise AnsibleActionFail(f"{path} is a directory. Remove it, then run again.")
        if word not in ("put", "same"):
            raise AnsibleActionFail(f"{path} cannot be written: {reason}. Make room for it, or correct the permissions, then run again.")
    return [name for name in tools if answers[name][0] == "put"]


def check_host(directory, lines, reason):
    """Raise AnsibleActionFail where it is the host that no tool can be put on by what the command said, whichever tool it is."""
    if "began" not in lines:
        raise AnsibleActionFail(f"The host did not run a command: {reason}. Correct become (its method, user and password), then run again.")
    for line in lines:
        missing = MISSING.search(line)
        if missing:
            raise AnsibleActionFail(f"{missing[1]} is missing on the host. Install coreutils, then run again.")
        if line.startswith("refused "):
            raise AnsibleActionFail(f"No tool is put in {directory}: {line.partition(' ')[2]}, then run again.")


class ActionModule(ActionBase):
    """Send the tools, and put all of them in their place by one command."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        dummy, options = self.validate_argument_spec(SPEC)
        try:
            put = self._put(options["tools"], self._remote_expand_user(options["directory"]), options["kept"]) if options["tools"] else []
        except (AnsibleActionFail, ToolError) as error:
            # The reason is in the text; Ansible would repeat it.
            raise AnsibleActionFail(f"{(task_vars or {}).get('inventory_hostname')}: {getattr(error, 'message', error)}") from None
        return {"changed": bool(put), "put": put}

    def _put(self, paths, directory, kept):
        """Put the tools ({name: path}) in a directory of the host, and return the names of those that were not there."""
        if not os.path.isabs(directory) or ".." in directory.split("/"):
            raise AnsibleActionFail(f"directory is {directory!r}: give an absolute path on the host, without '..'.")
        for name in paths:
            check_name(name)
        directory = os.path.normpath(directory)
        sums = {name: digest_of(path) for name, path in paths.items()}
        missing = list(paths)
        if kept or self._task.check_mode:
            missing = self._tell(directory, {name: (digest, "") for name, digest in sums.items()})
        if self._task.check_mode or not missing:
            return missing
        sent = self._send({name: paths[name] for name in missing})
        return self._tell(directory, {name: (sums[name], sent[name]) for name in missing})

    def _tell(self, directory, tools):
        """Run the command for `tools` ({name: (SHA-256, where its copy was sent, or "")}), and return the names of those that were not there."""
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
        # Else they can be read, and asking would be one more call. With the right to execute, without which a directory cannot be entered.
        if self._is_become_unprivileged():
            self._fixup_perms2([place, *sent.values()])
        return sent


def digest_of(path):
    """Return the SHA-256 of a file on the controller; AnsibleActionFail when it cannot be read."""
    try:
        return sha256_of(path)
    except OSError as error:
        raise AnsibleActionFail(f"{path} on the controller cannot be read: {error.strerror}. Correct its permissions or the path.") from None
