# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: apiserver_plan
short_description: What a run does to the control plane
version_added: "0.1.0"
description: Turns a profile, the declared capacity and the role's settings into the expected load and the steps that make it.
author: kubeproof authors (@kubeproof)
positional: settings
options:
  _input:
    description: The profile.
    type: str
    required: true
  settings:
    description: The variables of the role apiserver by name, and C(nodes) (counted) and C(capacity) (certify_capacity).
    type: dict
    required: true
"""

EXAMPLES = r"""
plan: "{{ 'smoke' | kubeproof.certify.apiserver_plan(settings) }}"
"""

RETURN = r"""
_value:
  description: The inputs of the sizing with their sources, the expected load, the steps, and seconds, rate, pods and objects of the whole.
  type: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.module_utils.apiserver_plan import PlanError, plan


def apiserver_plan(profile, settings):
    """Return the plan; AnsibleFilterError names a setting that cannot be used."""
    try:
        return plan(profile, settings)
    except PlanError as error:
        raise AnsibleFilterError(f"kubeproof.certify.apiserver_plan: {error}") from error


class FilterModule:
    """The filter apiserver_plan."""

    def filters(self):
        return {"apiserver_plan": apiserver_plan}
