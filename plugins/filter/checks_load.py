# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: checks_load
short_description: Validate the checks of all roles, and what the user says about them
version_added: "0.1.0"
description:
  - Reads the checks of every role, whatever runs, and fails with one line for each thing that is wrong,
    which names the file or the variable, the id, the key, what was found and what to write.
author: kubeproof authors (@kubeproof)
positional: settings
options:
  _input:
    description:
      - One map for each role, with C(source) (the file that errors name), C(layer), which may be left out below C(roles/<layer>/), and C(checks).
      - Instead of C(checks) a map may have C(path), a file in YAML with the checks in C(<layer>_checks). Ansible's own variables are slow for so many.
    type: list
    elements: dict
    required: true
  settings:
    description: What the user says about checks, as for P(kubeproof.certify.judge#filter). Every id, name and key must exist.
    type: dict
    default: {}
"""

EXAMPLES = r"""
catalogue: >-
  {{ [{'path': role_path ~ '/defaults/main/checks.yml', 'source': 'roles/etcd/defaults/main/checks.yml', 'layer': 'etcd'}]
     | kubeproof.certify.checks_load({'thresholds': certify_thresholds, 'waivers': certify_waivers, 'today': '2027-01-31'}) }}
"""

RETURN = r"""
_value:
  description: The checks of all roles by id.
  type: dict
"""

from collections.abc import Mapping, Sequence

import yaml

from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import CheckError
from ansible_collections.kubeproof.certify.plugins.module_utils.check_settings import load_catalogue

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def checks_load(parts, settings=None):
    """Return the validated checks; AnsibleFilterError lists every problem."""
    if not isinstance(parts, Sequence) or not all(isinstance(part, Mapping) and "source" in part and {"checks", "path"} & set(part) for part in parts):
        raise AnsibleFilterError("kubeproof.certify.checks_load: the input is not a list of maps with checks or path, and source; write one for each role.")
    try:
        return load_catalogue([part if "checks" in part else {**part, "checks": read(part)} for part in parts], settings)
    except CheckError as error:
        raise AnsibleFilterError(f"kubeproof.certify.checks_load: {error}") from error


def read(part):
    """Return the checks in the file of a part; CheckError names it."""
    try:
        with open(part["path"], encoding="utf-8") as stream:
            return yaml.load(stream, Loader=LOADER)[f"{part['layer']}_checks"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise CheckError(f"{part['source']}: it has no checks of this layer that can be read: {error!r}.") from error


class FilterModule:
    """The filter checks_load."""

    def filters(self):
        return {"checks_load": checks_load}
