# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: baseline_problem
short_description: Why a run that is planned could not be compared with its baseline
version_added: "0.1.0"
description: Says before hours of load what P(kubeproof.certify.regressions#filter) would say after them.
author: kubeproof authors (@kubeproof)
positional: layers, results, baseline
options:
  _input:
    description: The run, with V(cluster), V(profile) and V(time_scale).
    type: dict
    required: true
  layers:
    description: The layers that it is going to measure.
    type: list
    elements: str
    required: true
  results:
    description: Directory of the cluster's runs.
    type: path
    required: true
  baseline:
    description: The run to compare with, a name below O(results) or a path.
    type: str
    required: true
"""

EXAMPLES = r"""
problem: "{{ certify_run | kubeproof.certify.baseline_problem(['etcd', 'dns'], 'results/prod', '20261101t040000z-1a2b') }}"
"""

RETURN = r"""
_value:
  description: A sentence that names the baseline, what was found and what to do, or empty.
  type: str
"""

from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import plain
from ansible_collections.kubeproof.certify.plugins.module_utils.history_report import baseline_problem


class FilterModule:
    """The filter baseline_problem."""

    def filters(self):
        return {"baseline_problem": lambda run, layers, results, baseline: baseline_problem(plain(run), plain(layers), str(results), str(baseline))}
