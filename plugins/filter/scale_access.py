# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: scale_access
short_description: What a run with hollow nodes may do in a cluster
version_added: "0.1.0"
description: Names the accounts with their rights, and the objects of the run's namespaces, in the form of M(kubeproof.certify.run_access).
author: kubeproof authors (@kubeproof)
positional: stages, home
options:
  _input:
    description: What the filter P(kubeproof.certify.scale_plan#filter) returned.
    type: dict
    required: true
  stages:
    description: The configuration of kwok.
    type: str
    required: true
  home:
    description: The run's own namespace, in which its accounts are.
    type: str
    required: true
"""

EXAMPLES = r"""
access: "{{ plan | kubeproof.certify.scale_access(lookup('ansible.builtin.file', 'kwok.stages'), 'kubeproof-1-scale') }}"
"""

RETURN = r"""
_value:
  description: C(accounts) and C(objects) of the namespace of what plays the nodes, and C(guests), the objects of a namespace of the load.
  type: dict
"""

from ansible_collections.kubeproof.certify.plugins.module_utils import scale_hollow
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import plain
from ansible_collections.kubeproof.certify.plugins.module_utils.scale_plan import node_names


def scale_access(planned, stages, home):
    """Return {accounts, objects, guests}."""
    planned = plain(planned)
    return {
        "accounts": scale_hollow.accounts(node_names(planned), planned["clusterloader"]),
        "objects": [scale_hollow.config(planned["hollow"], str(stages))],
        "guests": scale_hollow.guests(str(home)),
    }


class FilterModule:
    """The filter scale_access."""

    def filters(self):
        return {"scale_access": scale_access}
