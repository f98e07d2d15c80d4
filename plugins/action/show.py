# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show a text on the terminal: the part of the module show that runs on the controller."""

from __future__ import annotations

import os
import sys
from typing import Any, Dict, Optional

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.kubeproof.certify.plugins.plugin_utils.progress_terminal import in_columns, speaks_unicode


class ActionModule(ActionBase):
    """Print and return nothing."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict] = None) -> Dict[str, Any]:
        """Print the text, without a UTF-8 locale in ASCII, then report that nothing changed."""
        super().run(tmp, task_vars)
        dummy, arguments = self.validate_argument_spec({"text": {"type": "str", "required": True}})
        # A worker's own standard output is none; Display hands the text to the process that has one.
        unicode = speaks_unicode(os.environ, getattr(sys.__stdout__, "encoding", None))
        Display().display(in_columns(arguments["text"], unicode))
        return {"changed": False}
