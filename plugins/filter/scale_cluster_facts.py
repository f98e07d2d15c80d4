# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: scale_cluster_facts
short_description: The facts of a cluster that grew by hollow nodes
version_added: "0.1.0"
description: Puts the facts of each size together from what modules and windows returned. What is not known is absent.
author: kubeproof authors (@kubeproof)
options:
  _input:
    description:
      - C(plan), C(limits), and where known C(info), C(after), C(census), C(etcd), C(hosts), C(identity), C(steps), C(clusterloader) and C(clean).
    type: dict
    required: true
"""

EXAMPLES = r"""
facts: "{{ measured | kubeproof.certify.scale_cluster_facts }}"
"""

RETURN = r"""
_value:
  description: The document that the checks of scope cluster ask.
  type: dict
"""

from ansible_collections.kubeproof.certify.plugins.module_utils.scale_facts import cluster_facts
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import plain


class FilterModule:
    """The filter scale_cluster_facts."""

    def filters(self):
        # Facts are read over and over: as plain data that is a hundred times faster than through Ansible's lazy types.
        return {"scale_cluster_facts": lambda measured: cluster_facts(plain(measured))}
