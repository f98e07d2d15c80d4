# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: tuning_page
short_description: The findings of the tuning as a page
version_added: "0.1.0"
author: kubeproof authors (@kubeproof)
description:
  - Groups findings by component and by what to do, and shows the value found, where, and the lines to write.
positional: cluster
options:
  _input:
    description: The findings, as the filter P(kubeproof.certify.judge#filter) returns them.
    type: list
    elements: dict
    required: true
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  problems:
    description: Sentences about what could not be read.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
page: "{{ findings | kubeproof.certify.tuning_page('prod') }}"
"""

RETURN = r"""
_value:
  description: The page, 100 columns wide.
  type: str
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import CheckError, plain, require_findings
from ansible_collections.kubeproof.certify.plugins.module_utils.tuning_page import page


def tuning_page(findings, cluster, problems=()):
    """Return the page; AnsibleFilterError when the findings are none."""
    try:
        return page(plain(require_findings(findings)), plain(cluster), plain(problems))
    except CheckError as error:
        raise AnsibleFilterError(f"kubeproof.certify.tuning_page: {error}") from error


class FilterModule:
    """The filter tuning_page."""

    def filters(self):
        return {"tuning_page": tuning_page}
