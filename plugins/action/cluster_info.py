# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules of the controller, run in Ansible's own process. The files that import this one say which ones.

What this file reads is read once, in the process from which workers are forked: the library of the API, all filters, and Ansible's own tests. To
find one of those, Ansible reads each one of a collection, in every worker that uses any.
"""

from __future__ import annotations

import contextlib

from ansible.plugins.action import ActionBase
from ansible.plugins.loader import filter_loader, test_loader
from ansible_collections.kubeproof.certify.plugins.module_utils import cluster  # noqa: F401  pylint: disable=unused-import
from ansible_collections.kubeproof.certify.plugins.plugin_utils import direct

# Outside of a playbook no collection is known by its name.
with contextlib.suppress(KeyError):
    filter_loader.get("kubeproof.certify.judge")
    test_loader.get("ansible.builtin.defined")


class ActionModule(ActionBase):
    """Run the module of the task."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        """Return what the module returns."""
        super().run(tmp, task_vars)
        return direct.run(self, task_vars)
