# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: regressions
short_description: What a run does worse than its baseline, as findings
version_added: "0.1.0"
description:
  - Compares a certificate with that of a baseline, as M(kubeproof.certify.compare) does, and returns each regression as a finding of the layer
    C(regression), one that is C(PASS) where there is none, and one that is C(INCONCLUSIVE) where the two cannot be compared, or not in all
    layers and checks.
author: kubeproof authors (@kubeproof)
positional: results, baseline, regression
options:
  _input:
    description: The certificate of the run that has just ended.
    type: dict
    required: true
  results:
    description: Directory of the cluster's runs.
    type: path
    required: true
  baseline:
    description: The run to compare with, a name below O(results) or a path.
    type: str
    required: true
  regression:
    description: Whether a regression is C(CONDITIONAL) (V(warn)) or C(FAIL) (V(fail)).
    type: str
    choices: [warn, fail]
    default: warn
"""

EXAMPLES = r"""
findings: "{{ certificate | kubeproof.certify.regressions('results/prod', '20261101t040000z-1a2b', 'fail') }}"
"""

RETURN = r"""
_value:
  description: The findings.
  type: list
  elements: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import plain
from ansible_collections.kubeproof.certify.plugins.module_utils.history_compare import MODES
from ansible_collections.kubeproof.certify.plugins.module_utils.history_report import findings


def regressions(certificate, results, baseline, regression="warn"):
    """Return the findings; AnsibleFilterError when the mode is not known."""
    if regression not in MODES:
        raise AnsibleFilterError(f"kubeproof.certify.regressions: certify_regression is {regression!r}. Write {' or '.join(MODES)}.")
    return findings(plain(certificate), str(results), str(baseline), str(regression))


class FilterModule:
    """The filter regressions."""

    def filters(self):
        return {"regressions": regressions}
