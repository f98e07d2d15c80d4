# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: verdict
short_description: The verdict of findings
version_added: "0.1.0"
description:
  - The first of C(FAIL), C(INCONCLUSIVE), C(CONDITIONAL) and C(PASS) that occurs among the judged findings.
  - Nothing judged is C(INCONCLUSIVE).
author: kubeproof authors (@kubeproof)
positional: advisory
options:
  _input:
    description: The findings, as P(kubeproof.certify.judge#filter) returns them.
    type: list
    elements: dict
    required: true
  advisory:
    description: Layers of which only findings with C(blocking) are judged, such as C(tuning) in the verdict of a certificate.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
# => FAIL
verdict: "{{ (findings | kubeproof.certify.verdict).verdict }}"
"""

RETURN = r"""
_value:
  description: The verdict.
  type: dict
  contains:
    verdict:
      description: The verdict.
      type: str
      sample: CONDITIONAL
    counts:
      description: How many judged findings have each result; C(INFO) counts those that are not judged.
      type: dict
      sample: {FAIL: 0, INCONCLUSIVE: 0, CONDITIONAL: 1, PASS: 12, NOT_APPLICABLE: 1, INFO: 3}
    judged:
      description: How many findings decided.
      type: int
      sample: 13
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.module_utils import checks as engine
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import CheckError, require_findings


def verdict(findings, advisory=()):
    """Return the verdict; AnsibleFilterError if these are no findings."""
    try:
        return engine.verdict(require_findings(findings), advisory)
    except CheckError as error:
        raise AnsibleFilterError(f"kubeproof.certify.verdict: {error}") from error


class FilterModule:
    """The filter verdict."""

    def filters(self):
        return {"verdict": verdict}
