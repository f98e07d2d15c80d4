# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import subprocess
import sys

from ansible import context
from ansible.plugins.action import ActionBase
from ansible_collections.kubeproof.certify.plugins.plugin_utils import guard

# Options of ansible-playbook that the cleanup needs too: (name in CLIARGS, option).
REPEATED = (
    ("inventory", "--inventory"),
    ("extra_vars", "--extra-vars"),
    ("vault_ids", "--vault-id"),
    ("vault_password_files", "--vault-password-file"),
)
SINGLE = (
    ("private_key_file", "--private-key"),
    ("remote_user", "--user"),
    ("connection", "--connection"),
    ("timeout", "--timeout"),
    ("ssh_common_args", "--ssh-common-args"),
    ("sftp_extra_args", "--sftp-extra-args"),
    ("scp_extra_args", "--scp-extra-args"),
    ("ssh_extra_args", "--ssh-extra-args"),
    ("connection_password_file", "--connection-password-file"),
    ("become_method", "--become-method"),
    ("become_user", "--become-user"),
    ("become_password_file", "--become-password-file"),
)


def cleanup_command(playbook, directory, arguments):
    """Return argv of the cleanup playbook with the options of this run; `arguments` is Ansible's CLIARGS."""
    command = [sys.argv[0], playbook]
    for name, option in REPEATED:
        for value in arguments.get(name) or ():
            command.append(f"{option}={value}")
    for name, option in SINGLE:
        if arguments.get(name):
            # In one word: the arguments of ssh begin with a dash themselves.
            command.append(f"{option}={arguments[name]}")
    # As JSON, since a path may hold blanks.
    return command + ["--extra-vars=" + json.dumps({"certify_run_directory": directory})]


class ActionModule(ActionBase):
    """Start the guard of a run, detached from this process group and terminal."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        dummy, options = self.validate_argument_spec({"directory": {"type": "path", "required": True}, "playbook": {"type": "str", "required": True}})
        directory = os.path.abspath(options["directory"])
        command = cleanup_command(options["playbook"], directory, context.CLIARGS)
        if not self._task.check_mode:
            # The worker that runs this action is a child of ansible-playbook, whose end the guard waits for.
            subprocess.Popen(
                [sys.executable, guard.__file__, directory, str(os.getppid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                close_fds=True,
            )
        result.update(changed=False)
        return result
