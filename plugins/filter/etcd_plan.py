# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: etcd_plan
short_description: What a run does to an etcd cluster
version_added: "0.1.0"
description: Turns a profile and the role's settings into load steps, with the keys they write and the bytes they add.
author: kubeproof authors (@kubeproof)
positional: settings
options:
  _input:
    description: The profile.
    type: str
    required: true
  settings:
    description: The variables of the role etcd by name, and C(capacity) (certify_capacity) and C(nodes), counted or 0.
    type: dict
    required: true
"""

EXAMPLES = r"""
plan: "{{ 'smoke' | kubeproof.certify.etcd_plan(settings) }}"
"""

RETURN = r"""
_value:
  description: The steps, and seconds, bytes, growth, puts, watch, rate, declared and fsync of the whole.
  type: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_plan import PlanError, plan


def etcd_plan(profile, settings):
    """Return the plan; AnsibleFilterError names a setting that cannot be used."""
    try:
        return plan(profile, settings)
    except PlanError as error:
        raise AnsibleFilterError(f"kubeproof.certify.etcd_plan: {error}") from error


class FilterModule:
    """The filter etcd_plan."""

    def filters(self):
        return {"etcd_plan": etcd_plan}
