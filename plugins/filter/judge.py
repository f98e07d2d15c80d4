# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: judge
short_description: Judge the facts of a layer
version_added: "0.1.0"
description:
  - Asks every check of a layer of every host or cluster that is expected, and returns the findings.
  - What is missing, damaged or implausible is C(INCONCLUSIVE). Facts of names that are not expected are ignored.
author: kubeproof authors (@kubeproof)
positional: checks
options:
  _input:
    description:
      - 'The facts, C({scope: {name: document}}); the scopes are C(host) and C(cluster).'
      - An empty map, with O(because), judges a layer that is blocked.
    type: dict
    required: true
  checks:
    description: The checks by id. Those of other layers are left out.
    type: dict
    required: true
  layer:
    description: The layer; ids of its checks start with it.
    type: str
    required: true
  profile:
    description: The profile of the run. Checks that are not part of it are shown, but not judged.
    type: str
    choices: [smoke, load, stress, soak]
    required: true
  expected:
    description: 'The names of which facts are expected, C({scope: [names]}). A scope without names is C(INCONCLUSIVE).'
    type: dict
    required: true
  settings:
    description: What the user says about checks.
    type: dict
    default: {}
    suboptions:
      today:
        description: The date, such as C(2027-01-31). Needed with C(waivers).
        type: str
      thresholds:
        description: 'The value of C(certify_thresholds), C({id: {target, critical, reason}}).'
        type: dict
      waivers:
        description: 'The value of C(certify_waivers), C({id: {reason, owner, expires}}).'
        type: dict
      not_applicable:
        description: 'The value of C(certify_not_applicable), C({id: reason}).'
        type: dict
      capacity:
        description: 'The value of C(certify_capacity), C({name: number}).'
        type: dict
      tiers:
        description: 'The value of C(certify_tiers), C({entry or id: tier}).'
        type: dict
  because:
    description: 'Why something was not measured, C({name: sentence}); the name C(*) stands for all. Appended to the reason of what was not.'
    type: dict
    default: {}
"""

EXAMPLES = r"""
# One finding for each member of etcd
findings: >-
  {{ {'host': {'etcd1': {'fsync': {'p99': 0.004}}}}
     | kubeproof.certify.judge(etcd_checks, layer='etcd', profile='load', expected={'host': groups['etcd']}) }}

# A layer that was not loaded
blocked: >-
  {{ {} | kubeproof.certify.judge(dns_checks, layer='dns', profile='load', expected={'cluster': ['prod']}, because={'*': 'blocked by etcd'}) }}
"""

RETURN = r"""
_value:
  description:
    - The findings. Each has C(id), C(layer), C(title), C(scope), C(host), C(value), C(target), C(critical), C(bounds), C(result), C(judged), C(reason),
      C(fix) and C(reference), and where it applies C(entry), C(unit), C(samples), C(min_samples), C(evaluated), C(undecided), C(gate), C(blocking)
      and C(waiver).
  type: list
  elements: dict
  sample:
    - id: etcd_fsync_p99
      layer: etcd
      title: fdatasync, 99th percentile
      scope: host
      host: etcd1
      value: 0.004
      unit: s
      target: "< 0.01"
      critical: "< 0.025"
      bounds: default
      result: PASS
      judged: true
      reason: ""
      fix: Give etcd a disk of its own.
      reference: https://etcd.io/docs/v3.6/op-guide/hardware/
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.module_utils import checks as engine
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import CheckError


def judge(facts, checks, layer, profile, expected, settings=None, because=None):
    """Return the findings; AnsibleFilterError names what cannot be used."""
    try:
        return engine.judge(checks, facts, layer, profile, expected, settings, because)
    except CheckError as error:
        raise AnsibleFilterError(f"kubeproof.certify.judge: {error}") from error


class FilterModule:
    """The filter judge."""

    def filters(self):
        return {"judge": judge}
