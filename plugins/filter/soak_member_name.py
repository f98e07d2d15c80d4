# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: soak_member_name
short_description: Name of an etcd member by its client URL
version_added: "0.1.0"
description: The host in a client URL, as names of Kubernetes are written. A member that is no host of the inventory goes by it.
author: kubeproof authors (@kubeproof)
options:
  _input:
    description: The client URL.
    type: str
    required: true
"""

EXAMPLES = r"""
name: "{{ 'https://etcd-0.example.com:2379' | kubeproof.certify.soak_member_name }}"
"""

RETURN = r"""
_value:
  description: The name.
  type: str
  sample: etcd-0-example-com
"""

from ansible_collections.kubeproof.certify.plugins.module_utils.soak_manifest import member_name


class FilterModule:
    """The filter soak_member_name."""

    def filters(self):
        return {"soak_member_name": member_name}
