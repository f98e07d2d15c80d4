# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: dns_steps
short_description: The steps of DNS load for the cluster that was found
version_added: "0.1.0"
description:
  - Leaves out of the steps of a plan what the cluster does not have, the cache on its nodes.
  - Makes the step in which each CoreDNS pod is asked alone so long that each of them gets its samples; how many there are was not known to the plan.
author: kubeproof authors (@kubeproof)
positional: info
options:
  _input:
    description: The steps of P(kubeproof.certify.dns_plan#filter).
    type: list
    elements: dict
    required: true
  info:
    description: The facts of M(kubeproof.certify.dns_info).
    type: dict
    required: true
"""

EXAMPLES = r"""
steps: "{{ plan.steps | kubeproof.certify.dns_steps(info.facts) }}"
"""

RETURN = r"""
_value:
  description: The steps, in the same form.
  type: list
  elements: dict
"""

from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import plain
from ansible_collections.kubeproof.certify.plugins.module_utils.dns_job import steps


class FilterModule:
    """The filter dns_steps."""

    def filters(self):
        return {"dns_steps": lambda planned, info: steps(plain(planned), plain(info))}
