# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: load_changes
short_description: What of the layers' loads is not the default
version_added: "0.1.0"
description: Compares what each layer is loaded with, C(<layer>_load) and what goes with it, with the defaults in its role, for one profile.
author: kubeproof authors (@kubeproof)
positional: profile, roles
options:
  _input:
    description: 'C({layer: {variable: value}}).'
    type: dict
    required: true
  profile:
    description: The profile.
    type: str
    required: true
  roles:
    description: Directory of the roles, whose C(<layer>/defaults/main/settings.yml) are read.
    type: path
    required: true
"""

EXAMPLES = r"""
loads: "{{ {'dns': {'dns_load': dns_load, 'dns_least_rate': dns_least_rate}} | kubeproof.certify.load_changes('load', role_path | dirname) }}"
"""

RETURN = r"""
_value:
  description: The changes, each with C(layer), C(setting), C(default) and C(value), as texts; null for what is not there.
  type: list
  elements: dict
  sample: [{layer: dns, setting: dns_load.load.external, default: "60", value: "5"}]
"""

import os

from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import plain
from ansible_collections.kubeproof.certify.plugins.module_utils.load_settings import changed
from ansible_collections.kubeproof.certify.plugins.plugin_utils.role_defaults import role_defaults


def load_changes(given, profile, roles):
    """Return the changes; AnsibleFilterError names a file that cannot be read."""
    given = plain(given)
    usual = {layer: _defaults(os.path.join(str(roles), layer, "defaults", "main", "settings.yml"), variables) for layer, variables in given.items()}
    return changed(given, usual, str(profile))


def _defaults(path, names):
    return role_defaults("load_changes", path, names, ", ".join(map(str, names)))


class FilterModule:
    """The filter load_changes."""

    def filters(self):
        return {"load_changes": load_changes}
