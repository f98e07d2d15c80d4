# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: scale_plan
short_description: To which sizes a cluster grows by hollow nodes, and what is put on these
version_added: "0.1.0"
description: Computes the sizes, the pods and Deployments of each, and how long it takes.
author: kubeproof authors (@kubeproof)
positional: settings
options:
  _input:
    description: The profile.
    type: str
    required: true
  settings:
    description: C(run), C(nodes), C(capacity), C(live), C(time_scale), and the role's C(scale_load), C(scale_nodes), C(scale_hollow) and C(scale_engine).
    type: dict
    required: true
"""

EXAMPLES = r"""
plan: "{{ 'smoke' | kubeproof.certify.scale_plan(settings) }}"
"""

RETURN = r"""
_value:
  description: C(present), C(hollow), C(prefix), C(pods_per_node), C(namespaces), C(sizes), C(seconds), C(most) and C(clusterloader).
  type: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import plain
from ansible_collections.kubeproof.certify.plugins.module_utils.scale_plan import PlanError, plan


def scale_plan(profile, settings):
    """Return the plan; AnsibleFilterError names the setting that cannot be used."""
    try:
        return plan(plain(profile), plain(settings))
    except PlanError as error:
        raise AnsibleFilterError(f"kubeproof.certify.scale_plan: {error}") from error


class FilterModule:
    """The filter scale_plan."""

    def filters(self):
        return {"scale_plan": scale_plan}
