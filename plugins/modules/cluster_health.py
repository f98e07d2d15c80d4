#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_health
short_description: Look which nodes are not ready, and which pods restarted
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - The short look between two steps of a stress run. Two of them are compared.
options:
  kubeconfig:
    description: Path of the operator's kubeconfig.
    type: path
    required: true
  namespaces:
    description: The namespaces whose pods are looked at.
    type: list
    elements: str
    default: [kube-system]
requirements:
  - kubernetes
attributes:
  check_mode:
    description: Only reads.
    support: full
"""

EXAMPLES = r"""
- name: Look at the health of the cluster
  kubeproof.certify.cluster_health:
    kubeconfig: ~/.kube/prod
  register: health
"""

RETURN = r"""
facts:
  description:
    - C(nodes) has the names of those that are C(not_ready), C(pods) for each pod, as namespace/name, how often its containers C(restarts), and the
      C(reason) of the last time, such as OOMKilled.
  returned: success
  type: dict
  sample:
    nodes: {count: 3, not_ready: []}
    pods: {kube-system/coredns-7d764666f9-abcde: {restarts: 1, reason: OOMKilled}}
"""

from ansible_collections.kubeproof.certify.plugins.module_utils import apiserver_state, cluster_module

SPEC = {
    "kubeconfig": {"type": "path", "required": True},
    "namespaces": {"type": "list", "elements": "str", "default": ["kube-system"]},
}


def look(server, options):
    """Return {facts} of the cluster; ClusterError when it does not answer."""
    count, ill, pods = 0, [], {}
    for node in server.items("/api/v1/nodes"):
        count += 1
        if not apiserver_state.is_ready(node.get("status") or {}):
            ill.append(node["metadata"]["name"])
    for namespace in sorted(set(options["namespaces"])):
        for pod in server.items(f"/api/v1/namespaces/{namespace}/pods"):
            pods[f"{namespace}/{pod['metadata']['name']}"] = restarts(pod.get("status") or {})
    return {"facts": {"nodes": {"count": count, "not_ready": sorted(ill)}, "pods": pods}}


def restarts(state):
    """Return {restarts, reason?} of all containers of a pod."""
    containers = [*(state.get("initContainerStatuses") or ()), *(state.get("containerStatuses") or ())]
    ended = [(one.get("lastState") or {}).get("terminated") or {} for one in containers]
    reason = next((one["reason"] for one in ended if one.get("reason")), "")
    return {"restarts": sum(one.get("restartCount") or 0 for one in containers), **({"reason": reason} if reason else {})}


def main():
    """Look, and exit."""
    cluster_module.run(SPEC, look)


if __name__ == "__main__":
    main()
