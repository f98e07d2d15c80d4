# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: network_pods
short_description: The pods of a test of the network
version_added: "0.1.0"
description: Turns the layout that M(kubeproof.certify.network_info) returned into the pods of M(kubeproof.certify.pod_group) in one of the networks.
author: kubeproof authors (@kubeproof)
positional: network, first_port
options:
  _input:
    description: The layout.
    type: dict
    required: true
  network:
    description: Which network they are in.
    type: str
    choices: [pod, host]
    required: true
  first_port:
    description: The first port of the servers in the host network.
    type: int
    default: 0
"""

EXAMPLES = r"""
pods: "{{ layout | kubeproof.certify.network_pods('host', 25201) }}"
"""

RETURN = r"""
_value:
  description: The pods by their name in the group.
  type: dict
"""

from ansible_collections.kubeproof.certify.plugins.module_utils.network_runs import pods


class FilterModule:
    """The filter network_pods."""

    def filters(self):
        return {"network_pods": pods}
