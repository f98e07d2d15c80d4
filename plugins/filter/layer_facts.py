# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: layer_facts
short_description: The facts of a layer, from what was measured
version_added: "0.1.0"
description: Puts the facts of a host or a cluster together from what modules and tools returned. What is not known is absent.
author: kubeproof authors (@kubeproof)
positional: layer, scope
options:
  _input:
    description:
      - What the layer has measured, its C(<layer>_cluster_inputs) or C(<layer>_host_inputs). The run keeps it under C(inputs/), by which
        M(kubeproof.certify.verify) makes the same facts again.
    type: dict
    required: true
  layer:
    description: The layer.
    type: str
    required: true
    choices: [etcd, apiserver, network, dns, storage, ingress, scale, tuning]
  scope:
    description: Whether these are the facts of one host or of a cluster. Only etcd has facts of hosts.
    type: str
    choices: [host, cluster]
    default: cluster
"""

EXAMPLES = r"""
facts: "{{ dns_cluster_inputs | kubeproof.certify.layer_facts('dns') }}"
"""

RETURN = r"""
_value:
  description: The document that the checks of this layer and scope ask.
  type: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.module_utils import layer_facts as known


def layer_facts(inputs, layer, scope="cluster"):
    """Return the facts; AnsibleFilterError where nothing makes any."""
    if f"{layer}/{scope}" not in known.FACTS:
        raise AnsibleFilterError(f"kubeproof.certify.layer_facts: nothing makes facts of {layer}/{scope}; there are {', '.join(sorted(known.FACTS))}")
    return known.layer_facts(inputs, layer, scope)


class FilterModule:
    """The filter layer_facts."""

    def filters(self):
        return {"layer_facts": layer_facts}
