# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: dns_plan
short_description: What a run does to the DNS of a cluster
version_added: "0.1.0"
description: Turns a profile, the declared capacity and the role's settings into the expected rate of queries and the steps that ask them.
author: kubeproof authors (@kubeproof)
positional: settings
options:
  _input:
    description: The profile.
    type: str
    required: true
  settings:
    description: The variables of the role dns by name, and C(nodes) (counted), C(capacity) (certify_capacity) and C(live).
    type: dict
    required: true
"""

EXAMPLES = r"""
plan: "{{ 'smoke' | kubeproof.certify.dns_plan(settings) }}"
"""

RETURN = r"""
_value:
  description: The inputs of the sizing with their sources, the expected rate, the steps, seconds and rate of the whole, how many pods have to ask and the
    bytes that they print, and what stays unknown and why.
  type: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.module_utils.dns_plan import PlanError, plan


def dns_plan(profile, settings):
    """Return the plan; AnsibleFilterError names a setting that cannot be used."""
    try:
        return plan(profile, settings)
    except PlanError as error:
        raise AnsibleFilterError(f"kubeproof.certify.dns_plan: {error}") from error


class FilterModule:
    """The filter dns_plan."""

    def filters(self):
        return {"dns_plan": dns_plan}
