# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: cluster_name
short_description: The name of the cluster, which is that of the inventory's directory
version_added: "0.1.0"
description:
  - Gives the name of the directory of the first inventory, by which results are found where C(certify_cluster_name) is not set.
  - Of a directory it is its own name, of a file that of the directory in which it is. C(inventory_dir) would say the same of hosts of the inventory alone, and
    a localhost that no inventory names has none.
author: kubeproof authors (@kubeproof)
options:
  _input:
    description: C(ansible_inventory_sources), what was given with C(-i) or is set in C(ansible.cfg).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
certify_cluster_name: "{{ ansible_inventory_sources | kubeproof.certify.cluster_name }}"
"""

RETURN = r"""
_value:
  description: The name. A list of hosts, an inventory that is not there, or one at the root of the file system names none, which is an error.
  type: str
  sample: prod
"""

import os

from ansible.errors import AnsibleFilterError


def cluster_name(sources):
    """Return the name of the directory of the first inventory; AnsibleFilterError says why there is none, and what to set."""
    if isinstance(sources, str) or not sources:
        raise AnsibleFilterError(f"kubeproof.certify.cluster_name: {sources!r} is no list of inventories. Give one with -i, or set certify_cluster_name.")
    first = str(sources[0])
    path = os.path.abspath(first)
    name = os.path.basename(path if os.path.isdir(path) else os.path.dirname(path))
    # Ansible takes what has a comma for a list of hosts, unless there is such a file.
    if not name or not os.path.exists(path):
        raise AnsibleFilterError(
            f"kubeproof.certify.cluster_name: the first inventory is {first!r}, which is in no directory that could name the cluster. Set certify_cluster_name."
        )
    return name


class FilterModule:
    """The filter cluster_name."""

    def filters(self):
        return {"cluster_name": cluster_name}
