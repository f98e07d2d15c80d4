# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: dns_endpoints
short_description: Where the metrics of CoreDNS are read
version_added: "0.1.0"
description: Names the pods of CoreDNS, or of NodeLocal DNSCache, in the form of M(kubeproof.certify.metrics_window), through the API server.
author: kubeproof authors (@kubeproof)
positional: kind, nodes, access, token
options:
  _input:
    description: The facts of M(kubeproof.certify.dns_info).
    type: dict
    required: true
  kind:
    description: The kind of a step, V(node_local) for the pods of NodeLocal DNSCache, and every other for those of CoreDNS.
    type: str
    required: true
  nodes:
    description: Names of the nodes on which clients run.
    type: list
    elements: str
    required: true
  access:
    description: What M(kubeproof.certify.run_access) returned.
    type: dict
    required: true
  token:
    description: The token of the account that may read metrics.
    type: str
    required: true
"""

EXAMPLES = r"""
endpoints: "{{ info.facts | kubeproof.certify.dns_endpoints('service', ['worker1'], access, token) }}"
"""

RETURN = r"""
_value:
  description: The options of each pod, by its name.
  type: dict
"""

from ansible_collections.kubeproof.certify.plugins.module_utils.dns_job import endpoints


class FilterModule:
    """The filter dns_endpoints."""

    def filters(self):
        return {"dns_endpoints": endpoints}
