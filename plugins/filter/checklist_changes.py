# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: checklist_changes
short_description: Which items of the checklist and of the SLAs are not the default
version_added: "0.1.0"
description:
  - Compares the items with those of the role certify, so that a certificate says which were removed, added, or ask other checks.
  - It decides nothing; the certificate and the gate say it.
author: kubeproof authors (@kubeproof)
positional: path
options:
  _input:
    description: 'C({checklist: {id: {title, layer, checks, profiles}}, slas: {…}}).'
    type: dict
    required: true
  path:
    description: The defaults of the role, C(certify/defaults/main/checklist.yml).
    type: path
    required: true
"""

EXAMPLES = r"""
checklist_changes: >-
  {{ {'checklist': certify_checklist, 'slas': certify_slas} | kubeproof.certify.checklist_changes(role_path ~ '/defaults/main/checklist.yml') }}
"""

RETURN = r"""
_value:
  description: The changes, each with C(list) (V(checklist) or V(slas)), C(id), C(value) and C(default), as texts; null for what is not there.
  type: list
  elements: dict
  sample: [{list: checklist, id: dns_latency, value: null, default: "DNS P99 < 10 ms (dns: dns_latency_p99)"}]
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.module_utils import check_settings
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import CheckError
from ansible_collections.kubeproof.certify.plugins.plugin_utils.role_defaults import role_defaults

LISTS = {"checklist": "certify_checklist", "slas": "certify_slas"}


def checklist_changes(given, path):
    """Return the changes; AnsibleFilterError names a file that cannot be read, or a list that is no map."""
    found = role_defaults("checklist_changes", path, LISTS.values(), "the checklist")
    usual = {name: found[variable] for name, variable in LISTS.items()}
    try:
        return check_settings.checklist_changes(given, usual)
    except CheckError as error:
        raise AnsibleFilterError(f"kubeproof.certify.checklist_changes: {error}") from error


class FilterModule:
    """The filter checklist_changes."""

    def filters(self):
        return {"checklist_changes": checklist_changes}
