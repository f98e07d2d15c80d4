# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
from collections.abc import Mapping

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.kubeproof.certify.plugins.module_utils import evidence
from ansible_collections.kubeproof.certify.plugins.modules import metrics_window  # noqa: F401  pylint: disable=unused-import
from ansible_collections.kubeproof.certify.plugins.plugin_utils import direct
from ansible_collections.kubeproof.certify.plugins.plugin_utils.raw import write_raw


def hide_tokens(arguments):
    """Return the arguments with the token of each endpoint moved to `tokens`, which the module never logs."""
    endpoints = arguments.get("endpoints")
    if not isinstance(endpoints, Mapping):
        return arguments
    tokens = dict(arguments.get("tokens") or {})
    without = {}
    for name, options in endpoints.items():
        without[name] = options
        if isinstance(options, Mapping) and "token" in options:
            without[name] = {key: value for key, value in options.items() if key != "token"}
            if options["token"]:
                tokens[name] = options["token"]
    return {**arguments, "endpoints": without, "tokens": tokens}


def read_from(prefix, counted):
    """Return {suffix: content} of what says how each window is computed from its snapshots."""
    described = {}
    for name, seconds in counted.get("seconds", {}).items():
        snapshots = [f"{prefix}-{name}-{state}.txt.gz" for state in ("open", "close")]
        described[f"-{name}.json"] = evidence.text(evidence.described(f"{prefix}-{name}", "window", snapshots, requests=counted["requests"], seconds=seconds))
    return described


class ActionModule(ActionBase):
    """Run the module on the host and keep the snapshots of /metrics on the controller."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        arguments = hide_tokens(dict(self._task.args))
        result = direct.run(self, task_vars, arguments)
        bodies, counted = result.pop("raw", None) or {}, result.pop("window", None) or {}
        if bodies:
            try:
                write_raw(arguments["raw"], {f"-{name}-{arguments['state']}.txt.gz": base64.b64decode(body) for name, body in bodies.items()})
                write_raw(arguments["raw"], read_from(arguments["raw"], counted))
            except AnsibleActionFail as error:
                if not result.get("failed"):
                    raise
                result["msg"] = f"{result['msg']} {error.message}"
        return result
