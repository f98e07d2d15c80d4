# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: ingress_runs
short_description: The commands of the ingress layer's steps
version_added: "0.1.0"
description: Turns the plan and what was found in the cluster into URLs, names for the clients' hosts file, and the command of each step.
author: kubeproof authors (@kubeproof)
positional: setup
options:
  _input:
    description: What P(kubeproof.certify.ingress_plan#filter) returned.
    type: dict
    required: true
  setup:
    description: Host names, the way to the controller, and how the clients are set up.
    type: dict
    required: true
"""

EXAMPLES = r"""
runs: "{{ plan | kubeproof.certify.ingress_runs(setup) }}"
"""

RETURN = r"""
_value:
  description: C(urls), C(aliases), C(probe), C(steps) and those that are C(skipped), with the reason.
  type: dict
"""

from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import plain
from ansible_collections.kubeproof.certify.plugins.module_utils.ingress_runs import runs


class FilterModule:
    """The filter ingress_runs."""

    def filters(self):
        return {"ingress_runs": lambda plan, setup: runs(plain(plan), plain(setup))}
