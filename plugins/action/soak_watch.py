# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64

from ansible.plugins.action import ActionBase
from ansible_collections.kubeproof.certify.plugins.plugin_utils.raw import write_raw


class ActionModule(ActionBase):
    """Run the module on the host and keep the recording on the controller."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        result = self._execute_module(task_vars=task_vars)
        recording = result.pop("recording", None)
        if recording:
            write_raw(self._task.args["raw"], {"": base64.b64decode(recording)})
        return result
