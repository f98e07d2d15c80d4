# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: network_plan
short_description: What a run does to the network
version_added: "0.1.0"
description: Turns a profile and the role's settings into the tests of each pair of nodes and the steps that run them.
author: kubeproof authors (@kubeproof)
positional: settings
options:
  _input:
    description: The profile.
    type: str
    required: true
  settings:
    description:
      - The variables of the role network by name, and C(nodes) (counted), C(pairs) (of the layout, 0 when unknown), C(capacity) (certify_capacity),
        C(engine), C(found) (whether k8s-netperf was named) and C(live).
    type: dict
    required: true
"""

EXAMPLES = r"""
plan: "{{ 'smoke' | kubeproof.certify.network_plan(settings) }}"
"""

RETURN = r"""
_value:
  description: The declared inputs, the load of a pair, the engines, the steps and the seconds of the whole.
  type: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import plain
from ansible_collections.kubeproof.certify.plugins.module_utils.network_plan import PlanError, plan


def network_plan(profile, settings):
    """Return the plan; AnsibleFilterError names a setting that cannot be used."""
    try:
        return plan(profile, plain(settings))
    except PlanError as error:
        raise AnsibleFilterError(f"kubeproof.certify.network_plan: {error}") from error


class FilterModule:
    """The filter network_plan."""

    def filters(self):
        return {"network_plan": network_plan}
