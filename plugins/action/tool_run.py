# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import shlex
import zlib

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.kubeproof.certify.plugins.module_utils import evidence
from ansible_collections.kubeproof.certify.plugins.modules import tool_run  # noqa: F401  pylint: disable=unused-import
from ansible_collections.kubeproof.certify.plugins.plugin_utils import direct
from ansible_collections.kubeproof.certify.plugins.plugin_utils.raw import write_raw


def raw_files(result, output, options):
    """Return {suffix: content} of what is kept of a run: its output, how it ended, and what read it."""
    described = {"argv": shlex.split(result["command"]), **{key: result[key] for key in ("rc", "started", "seconds") if key in result}}
    if options.get("parser"):
        described.update(evidence.described(options["raw"], options["parser"], [options.get("result") or f"{options['raw']}.stdout"]))
    contents = {".json": evidence.text(described), ".stdout": unpack(output["stdout"]), ".stderr": unpack(output["stderr"])}
    return {suffix: content for suffix, content in contents.items() if content or suffix == ".stdout"}


def unpack(packed):
    """Return the bytes that the module packed."""
    return zlib.decompress(base64.b64decode(packed))


class ActionModule(ActionBase):
    """Run the module on the host and keep the raw output on the controller."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        result = direct.run(self, task_vars)
        output = result.pop("raw", None)
        prefix = self._task.args.get("raw")
        if prefix and output:
            try:
                write_raw(prefix, raw_files(result, output, self._task.args))
            except AnsibleActionFail as error:
                if not result.get("failed"):
                    raise
                result["msg"] = f"{result['msg']} {error.message}"
        return result
