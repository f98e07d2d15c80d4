# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: network_runs
short_description: The tests of pairs as commands in pods
version_added: "0.1.0"
description: Turns kinds of tests into the runs of M(kubeproof.certify.pod_exec), one after the other for each pair of nodes.
author: kubeproof authors (@kubeproof)
positional: plan, layout, places
options:
  _input:
    description: The kinds of tests, of V(throughput), V(latency), V(loss) and V(loaded).
    type: list
    elements: str
    required: true
  plan:
    description: What the filter P(kubeproof.certify.network_plan#filter) returned.
    type: dict
    required: true
  layout:
    description: The layout that M(kubeproof.certify.network_info) returned.
    type: dict
    required: true
  places:
    description:
      - C(pods) by name as M(kubeproof.certify.pod_group) returned them, C(services) with their cluster IPs, C(host_port), C(looks) that
        M(kubeproof.certify.network_nodes) returned, and C(pairs) with their facts until now.
    type: dict
    required: true
"""

EXAMPLES = r"""
runs: "{{ ['throughput', 'loss'] | kubeproof.certify.network_runs(plan, layout, places) }}"
"""

RETURN = r"""
_value:
  description: The runs.
  type: list
  elements: dict
"""

from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import plain
from ansible_collections.kubeproof.certify.plugins.module_utils.network_runs import runs


class FilterModule:
    """The filter network_runs."""

    def filters(self):
        return {"network_runs": lambda kinds, plan, layout, places: runs(plain(kinds), plain(layout), plain(plan), plain(places))}
