#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_health
short_description: Look which nodes and pods are there and ready, and which pods restarted
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - The short look between two steps of a stress run. Two of them are compared.
  - Pods of the system are those of C(kube-system), of namespaces whose names begin with C(openshift-), and in any namespace those of the priority classes
    C(system-cluster-critical) and C(system-node-critical).
  - Pods of a run of ours are left out, since they come and go.
options:
  kubeconfig:
    description: Path of the operator's kubeconfig.
    type: path
    required: true
  namespaces:
    description: Namespaces of which every pod is looked at, beside those of the system.
    type: list
    elements: str
    default: []
  among:
    description: Where pods of the system are looked for. By default in all namespaces, which a first look does, so that the next ones need only ask where it
      found some.
    type: list
    elements: str
    default: []
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
    - C(nodes) has the C(names) of all, and of those that are C(not_ready). C(pods) has for each pod, as namespace/name, its C(uid) and C(phase), how often
      its containers C(restarts), and the C(reason) why it failed or was the last to end, such as Evicted or OOMKilled.
    - A pod that is to run for ever also says whether it is C(ready) and not being deleted, and the C(owner) that makes it anew, the Deployment in place of
      its ReplicaSet. A pod of the node itself, or of nobody, has no owner.
  returned: success
  type: dict
  sample:
    nodes: {names: [cp1, worker1], not_ready: []}
    pods:
      kube-system/coredns-7d764666f9-abcde:
        uid: 0c6d8a0e-0d0f-4b0c-8f0e-2f1f5f0a9b7c
        phase: Running
        ready: true
        owner: Deployment kube-system/coredns
        restarts: 1
        reason: OOMKilled
"""

from ansible_collections.kubeproof.certify.plugins.module_utils import apiserver_state, cluster_module, node_reboot, owned

SYSTEM = "kube-system"
SYSTEM_PREFIX = "openshift-"
# Kubernetes makes both; a network plug-in in a namespace of its own has one of them.
SYSTEM_CLASSES = ("system-cluster-critical", "system-node-critical")
# What a Deployment puts at the end of the names of its ReplicaSets.
HASH = "pod-template-hash"
SPEC = {
    "kubeconfig": {"type": "path", "required": True},
    "namespaces": {"type": "list", "elements": "str", "default": []},
    "among": {"type": "list", "elements": "str", "default": []},
}


def look(server, options):
    """Return {facts} of the cluster; ClusterError when it does not answer."""
    names, ill, pods, named = [], [], {}, set(options["namespaces"])
    for node in server.items("/api/v1/nodes"):
        names.append(node["metadata"]["name"])
        if not apiserver_state.is_ready(node.get("status") or {}):
            ill.append(names[-1])
    places = sorted(named.union(options["among"])) if options["among"] else []
    for path in [f"/api/v1/namespaces/{place}/pods" for place in places] or ["/api/v1/pods"]:
        for pod in server.items(path):
            namespace = pod["metadata"].get("namespace")
            if not owned.is_of(pod, owned.EVERY_RUN) and (namespace in named or of_system(pod)):
                pods[f"{namespace}/{pod['metadata']['name']}"] = about(namespace, pod)
    return {"facts": {"nodes": {"names": sorted(names), "not_ready": sorted(ill)}, "pods": pods}}


def of_system(pod):
    """Return whether a pod is of the system, wherever that lives."""
    namespace = pod["metadata"].get("namespace") or ""
    return namespace == SYSTEM or namespace.startswith(SYSTEM_PREFIX) or (pod.get("spec") or {}).get("priorityClassName") in SYSTEM_CLASSES


def about(namespace, pod):
    """Return {uid, phase, restarts, reason?, ready?, owner?} of a pod."""
    state = pod.get("status") or {}
    found = {"uid": pod["metadata"].get("uid"), "phase": state.get("phase"), **restarts(state)}
    found.update({"reason": state["reason"]} if state.get("reason") else {})
    # What may come to its end, as a pod of a Job, is not lost when it has.
    if (pod.get("spec") or {}).get("restartPolicy", "Always") == "Always":
        found["ready"] = apiserver_state.is_ready(state) and not pod["metadata"].get("deletionTimestamp")
        owner = maker(namespace, pod)
        found.update({"owner": owner} if owner else {})
    return found


def maker(namespace, pod):
    """Return who makes a pod anew, "" for a pod of its node and one that nobody made: these are known by their own names."""
    owner = node_reboot.controller(pod)
    if owner is None or owner["kind"] == "Node":
        return ""
    suffix = "-" + ((pod["metadata"].get("labels") or {}).get(HASH) or "")
    if owner["kind"] == "ReplicaSet" and suffix != "-" and owner["name"].endswith(suffix):
        return f"Deployment {namespace}/{owner['name'][: -len(suffix)]}"
    return f"{owner['kind']} {namespace}/{owner['name']}"


def restarts(state):
    """Return {restarts, reason?} of all containers of a pod: the reason of the one that ended last."""
    containers = [*(state.get("initContainerStatuses") or ()), *(state.get("containerStatuses") or ())]
    ended = [(one.get("lastState") or {}).get("terminated") or {} for one in containers]
    # One that has done its work, as an init container has, is not why a pod is not there.
    ended += [one["state"]["terminated"] for one in containers if ((one.get("state") or {}).get("terminated") or {}).get("exitCode")]
    last = max((one for one in ended if one.get("reason")), key=lambda one: one.get("finishedAt") or "", default={})
    return {"restarts": sum(one.get("restartCount") or 0 for one in containers), **({"reason": last["reason"]} if last else {})}


def main():
    """Look, and exit."""
    cluster_module.run(SPEC, look)


if __name__ == "__main__":
    main()
