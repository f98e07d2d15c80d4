# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: checklist
short_description: Fill the checklist from findings
version_added: "0.1.0"
description:
  - Gives every item of the checklist the worst result of its checks and the value of its first.
  - Only a whole run with the profile C(load) or C(soak) fills an item. Other values are C(indicative), and what was not measured is C(not measured).
author: kubeproof authors (@kubeproof)
positional: findings
options:
  _input:
    description:
      - 'The items, C({id: {title, layer, checks, profiles}}); C(profiles) narrows those that fill the item, and may be left out.'
    type: dict
    required: true
  findings:
    description: The findings of the run, as P(kubeproof.certify.judge#filter) returns them.
    type: list
    elements: dict
    required: true
  profile:
    description: The profile of the run.
    type: str
    choices: [smoke, load, stress, soak]
    required: true
  partial:
    description: Whether some of the layers were left out.
    type: bool
    required: true
  layers:
    description: The layers that ran.
    type: list
    elements: str
    required: true
  scaled:
    description: Whether the run was shortened by C(certify_time_scale).
    type: bool
    default: false
"""

EXAMPLES = r"""
checklist: "{{ certify_checklist | kubeproof.certify.checklist(findings, profile='load', partial=false, layers=certify_layers) }}"
"""

RETURN = r"""
_value:
  description:
    - The items, each with C(id), C(title), C(layer), C(checks) and C(status).
    - Where they are known also C(result), C(value), C(unit), C(host), C(entry) and C(reason).
  type: list
  elements: dict
  sample:
    - id: etcd_write
      title: etcd write P99 < 25 ms
      layer: etcd
      checks: [etcd_write_latency_p99]
      status: filled
      result: PASS
      value: 0.011
      unit: s
      host: prod
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.module_utils import checks as engine
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import CheckError, require_findings


def checklist(items, findings, profile, partial, layers, scaled=False):
    """Return the filled checklist; AnsibleFilterError names an item that cannot be used."""
    try:
        return engine.checklist(items, require_findings(findings), profile, partial, layers, scaled)
    except CheckError as error:
        raise AnsibleFilterError(f"kubeproof.certify.checklist: {error}") from error


class FilterModule:
    """The filter checklist."""

    def filters(self):
        return {"checklist": checklist}
