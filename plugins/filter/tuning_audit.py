# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: tuning_audit
short_description: The audit of a cluster's configuration
version_added: "0.1.0"
author: kubeproof authors (@kubeproof)
description:
  - Puts together what hosts and cluster said of their configuration, asks the rules, and writes the page, by component and by what to do.
positional: checks, cluster, settings
options:
  _input:
    description: What was measured, as the filter P(kubeproof.certify.layer_facts#filter) takes it.
    type: dict
    required: true
  checks:
    description: The rules.
    type: dict
    required: true
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  settings:
    description: What the user says about rules, as the filter P(kubeproof.certify.judge#filter) takes it. A rule that there is not is an error.
    type: dict
    default: {}
"""

EXAMPLES = r"""
outcome: "{{ measured | kubeproof.certify.tuning_audit(tuning_checks, 'prod') }}"
"""

RETURN = r"""
_value:
  description: C(facts), C(findings), C(verdict), and C(page), a text 100 columns wide.
  type: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import CheckError, plain
from ansible_collections.kubeproof.certify.plugins.module_utils.tuning_audit import audit


def tuning_audit(measured, checks, cluster, settings=None):
    """Return the outcome; AnsibleFilterError names what cannot be used."""
    try:
        return audit(plain(measured), plain(checks), plain(cluster), plain(settings or {}))
    except CheckError as error:
        raise AnsibleFilterError(f"kubeproof.certify.tuning_audit: {error}") from error


class FilterModule:
    """The filter tuning_audit."""

    def filters(self):
        return {"tuning_audit": tuning_audit}
