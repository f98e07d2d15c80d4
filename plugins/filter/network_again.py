# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: network_again
short_description: What is tried once more between pairs of nodes
version_added: "0.1.0"
description:
  - Returns those runs of a step that failed, under names of their own, so that one pause or one lost packet does not make a pair one that does not work.
  - The host network, with which the others are compared, is not tried again, nor is what a step has no seconds left for.
author: kubeproof authors (@kubeproof)
positional: plan, layout, results
options:
  _input:
    description: The runs, as the filter P(kubeproof.certify.network_runs#filter) returned them.
    type: list
    elements: dict
    required: true
  plan:
    description: What the filter P(kubeproof.certify.network_plan#filter) returned, with C(step), the one that ran.
    type: dict
    required: true
  layout:
    description: The layout that M(kubeproof.certify.network_info) returned.
    type: dict
    required: true
  results:
    description: What M(kubeproof.certify.pod_exec) returned of these runs, by their names.
    type: dict
    required: true
"""

EXAMPLES = r"""
runs: "{{ runs | kubeproof.certify.network_again(plan, layout, done.runs) }}"
"""

RETURN = r"""
_value:
  description: The runs that are to run once more.
  type: list
  elements: dict
"""

from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import plain
from ansible_collections.kubeproof.certify.plugins.module_utils.network_pairs import again


class FilterModule:
    """The filter network_again."""

    def filters(self):
        return {"network_again": lambda runs, plan, layout, results: again(plain(runs), plain(plan), plain(layout), plain(results))}
