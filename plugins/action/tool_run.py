# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import shlex

from ansible.plugins.action import ActionBase
from ansible_collections.kubeproof.certify.plugins.modules import tool_run  # noqa: F401  pylint: disable=unused-import
from ansible_collections.kubeproof.certify.plugins.plugin_utils import direct
from ansible_collections.kubeproof.certify.plugins.plugin_utils.raw import write_run


class ActionModule(ActionBase):
    """Run the module on the host and keep the raw output on the controller."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        result, options = direct.run(self, task_vars), self._task.args
        write_run(result, result, options.get("raw"), shlex.split(result.get("command", "")), options.get("parser"), options.get("result"))
        return result
