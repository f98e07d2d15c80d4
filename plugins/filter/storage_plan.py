# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: storage_plan
short_description: What a run does to the storage
version_added: "0.1.0"
description: Turns a profile, the StorageClasses of the inventory and the role's settings into volumes and the jobs that run on them.
author: kubeproof authors (@kubeproof)
positional: settings
options:
  _input:
    description: The profile.
    type: str
    required: true
  settings:
    description: The variables of the role storage by name, and C(engine), C(live), C(default_class) and C(hosts).
    type: dict
    required: true
"""

EXAMPLES = r"""
plan: "{{ 'smoke' | kubeproof.certify.storage_plan(settings) }}"
"""

RETURN = r"""
_value:
  description: The declared classes, a step for each volume with its jobs, what is missing, and bytes and seconds of the whole.
  type: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import plain
from ansible_collections.kubeproof.certify.plugins.module_utils.storage_plan import PlanError, plan


def storage_plan(profile, settings):
    """Return the plan; AnsibleFilterError names a setting that cannot be used."""
    try:
        return plan(profile, plain(settings))
    except PlanError as error:
        raise AnsibleFilterError(f"kubeproof.certify.storage_plan: {error}") from error


class FilterModule:
    """The filter storage_plan."""

    def filters(self):
        return {"storage_plan": storage_plan}
