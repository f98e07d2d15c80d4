# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: changes
short_description: The bounds that the user changed
version_added: "0.1.0"
description: Lists every bound that C(certify_thresholds) changes, compared with the check's own or with the declared capacity.
author: kubeproof authors (@kubeproof)
positional: settings
options:
  _input:
    description: The checks of all roles by id, as P(kubeproof.certify.checks_load#filter) returns them.
    type: dict
    required: true
  settings:
    description: What the user says about checks, as for P(kubeproof.certify.judge#filter).
    type: dict
    required: true
"""

EXAMPLES = r"""
changes: "{{ catalogue | kubeproof.certify.changes({'thresholds': certify_thresholds}) }}"
"""

RETURN = r"""
_value:
  description: The changes; C(from) is null where there was no bound, and C(tier) is there for a bound of one tier.
  type: list
  elements: dict
  sample:
    - {id: etcd_write_latency_p99, bound: target, from: "< 0.025", to: "< 0.03", direction: relaxed, reason: Slow disks are accepted.}
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import CheckError
from ansible_collections.kubeproof.certify.plugins.module_utils.check_settings import threshold_changes


def changes(checks, settings):
    """Return the changes; AnsibleFilterError names a setting that cannot be used."""
    try:
        return threshold_changes(checks, settings)
    except CheckError as error:
        raise AnsibleFilterError(f"kubeproof.certify.changes: {error}") from error


class FilterModule:
    """The filter changes."""

    def filters(self):
        return {"changes": changes}
