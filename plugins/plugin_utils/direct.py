# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module that runs on the controller, run in Ansible's own process.

Half a second of a core goes into packing a module, starting a Python for it and reading its libraries. On the controller none of that is
needed: the class of an action plugin is loaded in the process from which all workers are forked, with everything that it imports. The
modules of ansible.netcommon run in the same way (its option import_modules).
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.json import Direction, get_module_decoder, get_module_encoder
from ansible.vars.clean import remove_internal_keys
from ansible_collections.kubeproof.certify.plugins.module_utils.run import STOP_SIGNALS

# How Ansible writes what goes to a module and comes back.
PROFILE = "legacy"


class NoResult(Exception):
    """A module ended without a result."""


def is_local(action):
    """Return whether the task of an action plugin runs here, as this user."""
    return action._connection.transport.rpartition(".")[2] == "local" and action._connection.become is None


def run(action, task_vars, arguments=None):
    """Return what the module of the task returns: run in this process where that is the same, and as any other module elsewhere."""
    if not is_local(action):
        return action._execute_module(module_args=arguments, task_vars=task_vars)
    arguments = dict(action._task.args if arguments is None else arguments)
    action._update_module_args(action._task.action, arguments, task_vars)
    given = json.dumps(arguments, cls=get_module_encoder(PROFILE, Direction.CONTROLLER_TO_MODULE))
    environment = {}
    action._compute_environment_string(environment)
    # A worker runs one task and ends, so that nothing needs to be put back.
    os.environ.update({name: str(value) for name, value in environment.items()})
    name = action._task.action.rpartition(".")[2]
    with stoppable():
        found = called(importlib.import_module(f"ansible_collections.kubeproof.certify.plugins.modules.{name}"), given)
    data = action._parse_returned_data({"stdout": found}, PROFILE)
    remove_internal_keys(data)
    return data


@contextlib.contextmanager
def stoppable():
    """Let a signal that a module has taken to put away what it made have its effect on the worker afterwards, else a loop would go on with its next item."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)
    # Told of each signal, whoever handles it.
    former = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(former)
        os.close(writer)
        with open(reader, "rb", buffering=0) as pipe:
            taken = pipe.read() or b""
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in STOP_SIGNALS:
            if number in taken:
                os.kill(os.getpid(), number)


def called(module, given):
    """Return as JSON the result of main() of a module that is given its arguments as JSON; NoResult when it ends without one."""
    results = []

    def load(self):
        self.params = json.loads(given, cls=get_module_decoder(PROFILE, Direction.CONTROLLER_TO_MODULE))

    def keep(dummy, found):
        results.append(json.dumps(found, cls=get_module_encoder(PROFILE, Direction.MODULE_TO_CONTROLLER)))

    former = AnsibleModule._load_params, AnsibleModule._record_module_result
    AnsibleModule._load_params, AnsibleModule._record_module_result = load, keep
    try:
        with contextlib.suppress(SystemExit):
            module.main()
    finally:
        AnsibleModule._load_params, AnsibleModule._record_module_result = former
    if not results:
        raise NoResult(f"{module.__name__} ended without a result.")
    return results[-1]
