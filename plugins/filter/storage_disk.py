# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: storage_disk
short_description: The command that measures the disk under a node
version_added: "0.1.0"
description: Returns the arguments of fio for the jobs that are tried on the disk under a node, to compare the volumes on it with it.
author: kubeproof authors (@kubeproof)
positional: path
options:
  _input:
    description: C(disk) of P(kubeproof.certify.storage_plan#filter).
    type: dict
    required: true
  path:
    description: The file on the node that is written, read and removed.
    type: str
    required: true
"""

EXAMPLES = r"""
argv: "{{ plan.disk | kubeproof.certify.storage_disk('/data/kubeproof-20261121t040000z-1a2b.fio') }}"
"""

RETURN = r"""
_value:
  description: The command and its arguments.
  type: list
  elements: str
"""

from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import plain
from ansible_collections.kubeproof.certify.plugins.module_utils.storage_fio import disk


class FilterModule:
    """The filter storage_disk."""

    def filters(self):
        return {"storage_disk": lambda planned, path: disk(plain(planned), str(path))}
