# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: tuning_groups
short_description: What the tuning found, by component and by what to do
version_added: "0.1.0"
author: kubeproof authors (@kubeproof)
description:
  - Takes from findings those of the tuning that deviate, and groups them by component and by what to do, with the value found, where, and the lines to write.
  - Advice stands before what only informs at this cluster's size, the worst first.
options:
  _input:
    description: The findings of a certificate, or of the tuning alone.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
groups: "{{ certificate.findings | kubeproof.certify.tuning_groups }}"
"""

RETURN = r"""
_value:
  description:
    - The groups, each with C(component), C(short) (its name in 12 columns) and C(fixes).
    - A fix has C(id), C(result), C(judged), C(informs), C(title), C(fix), C(reference), C(places) (sentences) and, where there are lines to write, C(write).
  type: list
  elements: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import CheckError, plain, require_findings
from ansible_collections.kubeproof.certify.plugins.module_utils.tuning_page import groups


def tuning_groups(findings):
    """Return the groups; AnsibleFilterError when the findings are none."""
    try:
        return groups(plain(require_findings(findings)))
    except CheckError as error:
        raise AnsibleFilterError(f"kubeproof.certify.tuning_groups: {error}") from error


class FilterModule:
    """The filter tuning_groups."""

    def filters(self):
        return {"tuning_groups": tuning_groups}
