# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: storage_disk_refused
short_description: Why the disk under a node is not measured
version_added: "0.1.0"
description: Returns a sentence where the directory is not there, or where the test would leave too little of its disk free.
author: kubeproof authors (@kubeproof)
positional: directory, looked
options:
  _input:
    description: C(disk) of P(kubeproof.certify.storage_plan#filter).
    type: dict
    required: true
  directory:
    description: The directory on the node.
    type: str
    required: true
  looked:
    description: What came of C(stat -f -c 'space %S %b %a') there.
    type: dict
    required: true
"""

EXAMPLES = r"""
why: "{{ plan.disk | kubeproof.certify.storage_disk_refused('/data', looked) }}"
"""

RETURN = r"""
_value:
  description: The sentence, empty where nothing speaks against it.
  type: str
"""

from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import plain
from ansible_collections.kubeproof.certify.plugins.module_utils.storage_fio import disk_refused


class FilterModule:
    """The filter storage_disk_refused."""

    def filters(self):
        return {"storage_disk_refused": lambda planned, directory, looked: disk_refused(plain(planned), str(directory), plain(looked))}
