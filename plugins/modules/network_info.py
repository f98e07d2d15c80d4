#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: network_info
short_description: Look at the nodes of a cluster, and at what its network is made of
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - Reads the nodes, chooses those that take part in a test of the network and the pairs that are measured, and looks for kube-proxy and what replaces it.
  - What may not be read is absent from the facts, with a sentence in C(problems).
options:
  kubeconfig:
    description: Path of the operator's kubeconfig.
    type: path
    required: true
  run_id:
    description: The run. It is also the seed of a sample of nodes, so that the same run has the same one.
    type: str
    required: true
  nodes:
    description: Names of the nodes that take part; empty for all of them.
    type: list
    elements: str
    default: []
  most:
    description: Of more nodes than these a sample takes part.
    type: int
    default: 20
  tolerations:
    description: Tolerations of the pods, in the form of Kubernetes. A node with another taint takes no part.
    type: list
    elements: dict
    default: []
  netperf:
    description: Whether to look for what k8s-netperf needs and leaves.
    type: bool
    default: false
requirements:
  - kubernetes
attributes:
  check_mode:
    description: Only reads.
    support: full
"""

EXAMPLES = r"""
- name: Look at the network
  kubeproof.certify.network_info:
    kubeconfig: ~/.kube/prod
    run_id: 20261121t040000z-1a2b
  register: network
"""

RETURN = r"""
layout:
  description:
    - C(taking_part) the names of the nodes that take part, C(nodes) of how many that could, C(zone_of) the zones of all nodes, C(left_out) the reason of
      each that should and cannot, C(aside) of each that is not counted, C(zones) how many there are, C(possible) pairs of nodes in one zone and of any
      two, C(sampled) of how many nodes they are a sample or 0.
    - C(pairs) as C(name), C(kind) (nodes, zones, same), C(from), C(to), and whether it is C(measured).
  returned: success
  type: dict
  sample: {taking_part: [worker1, worker2], left_out: {}, zones: 0, nodes: 2, sampled: 0}
facts:
  description: What was found.
  returned: success
  type: dict
  contains:
    nodes:
      description: How many nodes there are.
      returned: always
      type: int
      sample: 3
    services:
      description: How many Services there are.
      returned: when known
      type: int
      sample: 120
    kube_proxy:
      description: How many C(pods) it has, the C(mode) of its configuration, whether it is C(replaced) and C(by) what.
      returned: when known
      type: dict
      sample: {pods: 3, mode: nftables, replaced: false}
    workers:
      description: Names of the nodes with the label that k8s-netperf asks for, ten at most.
      returned: with O(netperf)
      type: list
      elements: str
      sample: [worker1, worker2]
    netperf_namespace:
      description: Whether there is a namespace of the name that k8s-netperf uses, and that is not of this run.
      returned: with O(netperf)
      type: bool
      sample: false
    netperf_troubles:
      description: Why pods in that namespace do not run, ten at most.
      returned: with O(netperf), where the namespace is of this run
      type: list
      elements: str
      sample: ["pod client-1: ImagePullBackOff: Back-off pulling image"]
    problems:
      description: What is not known, and why.
      returned: always
      type: list
      elements: str
      sample: []
"""

from ansible_collections.kubeproof.certify.plugins.module_utils import apiserver_state, cluster, cluster_module, network_layout, pod_watch

SYSTEM = "/api/v1/namespaces/kube-system"
NETPERF = "/api/v1/namespaces/netperf"
WORKER = "node-role.kubernetes.io/worker"
SHOWN = 10
# Where those that do the work of kube-proxy say so: ConfigMap, key, values.
REPLACEMENTS = {"cilium": ("cilium-config", "kube-proxy-replacement", ("true", "strict"))}
SPEC = {
    "kubeconfig": {"type": "path", "required": True},
    "run_id": {"type": "str", "required": True},
    "nodes": {"type": "list", "elements": "str", "default": []},
    "most": {"type": "int", "default": network_layout.MOST},
    "tolerations": {"type": "list", "elements": "dict", "default": []},
    "netperf": {"type": "bool", "default": False},
}


class Look:
    """Gathers the facts of one cluster; what cannot be read, but for its nodes, becomes a problem."""

    def __init__(self, server, options):
        self.server, self.options, self.facts = server, options, {"problems": []}

    def all(self):
        """Return (layout, facts); ClusterError when the nodes cannot be read, LayoutError for a name of no node."""
        nodes, workers = [], []
        for item in self.server.items("/api/v1/nodes"):
            nodes.append(network_layout.node(item, self.options["tolerations"]))
            if (item["metadata"].get("labels") or {}).get(WORKER) == "":
                workers.append(item["metadata"]["name"])
        self.facts["nodes"] = len(nodes)
        self.attempt("The number of Services", self.services)
        self.attempt("kube-proxy", self.kube_proxy)
        if self.options["netperf"]:
            self.facts["workers"] = sorted(workers)[:SHOWN]
            self.attempt("The namespace netperf", self.netperf)
        layout = network_layout.layout(nodes, self.options["nodes"], self.options["most"], self.options["run_id"])
        return layout, self.facts

    def attempt(self, what, gather):
        """Add the facts that `gather` returns, or say what is not known."""
        try:
            self.facts.update(gather())
        except cluster.ClusterError as error:
            self.facts["problems"].append(f"{what} cannot be read: {error}.")

    def services(self):
        count = apiserver_state.total(self.server.get("/api/v1/services", limit=1))
        return {} if count is None else {"services": count}

    def kube_proxy(self):
        """Return {kube_proxy}: its pods, the mode in its ConfigMap, and what replaces it."""
        pods = sum(1 for dummy in self.server.items(f"{SYSTEM}/pods", labelSelector="k8s-app=kube-proxy"))
        found = {"pods": pods, "replaced": False}
        text = self.data("kube-proxy").get("config.conf", "")
        mode = next((line.partition(":")[2].strip(" \"'") for line in text.splitlines() if line.startswith("mode:")), None)
        if mode is not None:
            # kube-proxy's own default.
            found["mode"] = mode or "iptables"
        for name, (holder, key, values) in REPLACEMENTS.items():
            if not pods and str(self.data(holder).get(key, "")).lower() in values:
                found.update(replaced=True, by=name)
        return {"kube_proxy": found}

    def data(self, name):
        """Return the data of a ConfigMap of kube-system, {} without one."""
        try:
            return self.server.get(f"{SYSTEM}/configmaps/{name}").get("data") or {}
        except cluster.ClusterError as error:
            if error.status == 404:
                return {}
            raise

    def netperf(self):
        """Return {netperf_namespace, and where it is of this run netperf_troubles}."""
        try:
            found = self.server.get(NETPERF)
        except cluster.ClusterError as error:
            if error.status == 404:
                return {"netperf_namespace": False}
            raise
        if apiserver_state.run_of(found) != self.options["run_id"]:
            return {"netperf_namespace": True}
        pods = self.server.items(f"{NETPERF}/pods")
        troubles = [f"pod {item['metadata']['name']}: {text}" for item in pods for text in pod_watch.troubles(item)]
        return {"netperf_namespace": False, "netperf_troubles": troubles[:SHOWN]}


def main():
    """Look, return the layout and the facts."""

    def look(server, options):
        layout, facts = Look(server, options).all()
        return {"layout": layout, "facts": facts}

    cluster_module.run(SPEC, look, network_layout.LayoutError)


if __name__ == "__main__":
    main()
