# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: tuning_cluster_facts
short_description: How a cluster is configured, for the rules of the tuning
version_added: "0.1.0"
description:
  - Puts together what hosts and cluster said of their configuration, with the defaults of their versions.
  - Hosts that are configured alike are one entry. What is not known is absent, and C(missing) says why.
author: kubeproof authors (@kubeproof)
options:
  _input:
    description:
      - C(hosts) (name to the facts of M(kubeproof.certify.host_config)), C(errors) (name to why it has none), C(expected) (C(etcd), C(control_plane)
        and C(nodes), lists of names), C(cluster) (the facts of M(kubeproof.certify.cluster_config)), C(cluster_error), C(managed) and C(nodes).
    type: dict
    required: true
"""

EXAMPLES = r"""
facts: "{{ measured | kubeproof.certify.tuning_cluster_facts }}"
"""

RETURN = r"""
_value:
  description: The document that the checks of scope cluster ask.
  type: dict
"""

from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import plain
from ansible_collections.kubeproof.certify.plugins.module_utils.tuning_facts import cluster_facts


class FilterModule:
    """The filter tuning_cluster_facts."""

    def filters(self):
        # Facts are read over and over: as plain data that is a hundred times faster than through Ansible's lazy types.
        return {"tuning_cluster_facts": lambda measured: cluster_facts(plain(measured))}
