# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: ingress_plan
short_description: What a run does to the ingress
version_added: "0.1.0"
description: Turns a profile, the declared capacity, the size class and the role's settings into the expected rates and the steps that offer them.
author: kubeproof authors (@kubeproof)
positional: settings
options:
  _input:
    description: The profile.
    type: str
    required: true
  settings:
    description: The variables of the role ingress by name, and C(capacity) (certify_capacity), C(tier), C(live), C(generators), C(checks)
      (the catalogue) and C(thresholds) (certify_thresholds).
    type: dict
    required: true
"""

EXAMPLES = r"""
plan: "{{ 'smoke' | kubeproof.certify.ingress_plan(settings) }}"
"""

RETURN = r"""
_value:
  description: The inputs with their sources, the expected rates, the steps, seconds and highest rate of the whole, and what cannot be judged.
  type: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.module_utils.ingress_plan import PlanError, plan


def ingress_plan(profile, settings):
    """Return the plan; AnsibleFilterError names a setting that cannot be used."""
    try:
        return plan(profile, settings)
    except PlanError as error:
        raise AnsibleFilterError(f"kubeproof.certify.ingress_plan: {error}") from error


class FilterModule:
    """The filter ingress_plan."""

    def filters(self):
        return {"ingress_plan": ingress_plan}
