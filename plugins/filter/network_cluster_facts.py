# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: network_cluster_facts
short_description: The facts of a cluster's network
version_added: "0.1.0"
description: Puts the facts of the pairs, of kube-proxy and of the nodes together from what modules and tools returned. What is not known is absent.
author: kubeproof authors (@kubeproof)
options:
  _input:
    description:
      - C(plan), and where known C(layout), C(info), C(capacity), C(steps), C(looks), C(pods), C(services), C(host_error) and C(clean).
    type: dict
    required: true
"""

EXAMPLES = r"""
facts: "{{ measured | kubeproof.certify.network_cluster_facts }}"
"""

RETURN = r"""
_value:
  description: The document that the checks of scope cluster ask.
  type: dict
"""

from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import plain
from ansible_collections.kubeproof.certify.plugins.module_utils.network_facts import cluster_facts


class FilterModule:
    """The filter network_cluster_facts."""

    def filters(self):
        return {"network_cluster_facts": lambda measured: cluster_facts(plain(measured))}
