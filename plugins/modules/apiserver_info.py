#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: apiserver_info
short_description: Look at a control plane before load
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - Reads which API servers there are and whether each answers, what room the nodes have, and what stands in the way of a load.
  - Nodes are read in chunks of 500, and of each only what is counted is kept.
  - What may not be read or is not known is absent from the facts, with a sentence in C(problems).
options:
  kubeconfig:
    description: Path of the operator's kubeconfig.
    type: path
    required: true
  run_id:
    description: The run. What carries the label of another one is left over.
    type: str
    required: true
  instances:
    description: "Every API server, as C({name: URL}). Empty for those that are registered in the endpoints of the service default/kubernetes."
    type: dict
    default: {}
  tolerations:
    description: Tolerations of the pods of the load, in the form of Kubernetes. A node with a taint that none tolerates is not schedulable.
    type: list
    elements: dict
    default: []
  image:
    description: The image of the pods of the load. Empty for the pause image that most nodes list.
    type: str
    default: ""
  slots_of:
    description: Nodes whose free pod slots are counted.
    type: list
    elements: str
    default: []
  timeout:
    description: For how many seconds an API server may take to answer that it is ready.
    type: int
    default: 5
requirements:
  - kubernetes
attributes:
  check_mode:
    description: Only reads.
    support: full
"""

EXAMPLES = r"""
- name: Look at the cluster
  kubeproof.certify.apiserver_info:
    kubeconfig: ~/.kube/prod
    run_id: 20261121t040000z-1a2b
    tolerations:
      - {key: dedicated, operator: Exists}
  register: before
"""

RETURN = r"""
facts:
  description: What was found.
  returned: success
  type: dict
  contains:
    server:
      description: Address of the API server in the kubeconfig.
      returned: always
      type: str
      sample: https://10.0.0.10:6443
    version:
      description: The server's version.
      returned: always
      type: str
      sample: v1.36.3
    instances:
      description:
        - For each API server, its C(url), whether it C(answers) that it is ready, asked itself and with its certificate verified, and the C(error).
        - The name is that of the node that has the address, otherwise the address.
      returned: when known
      type: dict
      sample: {cp1: {url: "https://10.0.0.11:6443", answers: true, error: ""}}
    nodes:
      description:
        - C(count), C(ready), C(not_ready) the names of ten at most, C(schedulable) how many take pods of the load, C(names) of these, at most 100 from all
          zones in turn, C(zones) how many of these are in each zone, C(versions) of kubelets and C(runtimes) with the number of nodes.
      returned: when known
      type: dict
      sample: {count: 2, ready: 2, not_ready: [], schedulable: 1, names: [worker1], zones: {a: 1}, versions: {v1.36.3: 2}, runtimes: {"containerd://2.2.1": 2}}
    pods:
      description: C(count) of all pods, C(allocatable) slots of the schedulable nodes, and C(free), which is the difference and never less than is free.
      returned: when known
      type: dict
      sample: {count: 12, allocatable: 220, free: 208}
    slots:
      description: Free pod slots of each node of O(slots_of).
      returned: when known
      type: dict
      sample: {worker1: 105}
    image:
      description:
        - C(name), C(nodes_with) how many schedulable nodes list it, and C(known), whether all do. A kubelet lists its 50 largest images only, so that
          an image which is not listed may be there.
      returned: when known
      type: dict
      sample: {name: "registry.example.com/pause:3.10", nodes_with: 2, known: true}
    terminating:
      description: Namespaces that are being deleted, with the seconds since that was asked, by the clock of the controller.
      returned: when known
      type: dict
      sample: {old: 86400}
    unavailable_apis:
      description: Names of the APIServices that are not available.
      returned: when known
      type: list
      elements: str
      sample: [v1beta1.metrics.k8s.io]
    webhooks:
      description:
        - How many C(validating) and C(mutating) admission webhooks there are, and those C(matching) the creation of pods or ConfigMaps with failurePolicy
          Fail, with C(name), C(kind) and C(timeout) in seconds. Their selectors are not looked at.
      returned: when known
      type: dict
      sample: {validating: 1, mutating: 0, matching: [{name: policy.example.com, kind: validating, timeout: 10}]}
    leftovers:
      description: How many namespaces, ClusterRoles and ClusterRoleBindings carry the label of another run.
      returned: when known
      type: int
      sample: 0
    leftover_runs:
      description: These runs.
      returned: when known
      type: list
      elements: str
      sample: []
    problems:
      description: What is not known, and why.
      returned: always
      type: list
      elements: str
      sample: []
"""

import copy
import time

from ansible_collections.kubeproof.certify.plugins.module_utils import apiserver_state, cluster, cluster_module, owned, run_access

SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
HOOKS = "/apis/admissionregistration.k8s.io/v1"
ENDED = "status.phase!=Succeeded,status.phase!=Failed"
SPEC = {
    "kubeconfig": {"type": "path", "required": True},
    "run_id": {"type": "str", "required": True},
    "instances": {"type": "dict", "default": {}},
    "tolerations": {"type": "list", "elements": "dict", "default": []},
    "image": {"type": "str", "default": ""},
    "slots_of": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "int", "default": 5},
}


class Look:
    """Gathers the facts of one cluster; what cannot be read becomes a problem."""

    def __init__(self, server, options):
        self.server, self.options = server, options
        self.facts = {"server": server.server, "problems": []}

    def attempt(self, what, gather):
        """Add the facts that `gather` returns, or say what is not known."""
        try:
            self.facts.update(gather())
        except cluster.ClusterError as error:
            self.facts["problems"].append(f"{what} cannot be read: {error}.")

    def all(self):
        """Return every fact. ClusterError when the server does not even tell its version."""
        version = run_access.document(self.server.get("/version")).get("gitVersion")
        if not version:
            raise cluster.ClusterError("GET /version: the answer has no gitVersion, so this is no API server")
        self.facts["version"] = version
        urls = {}
        if not self.options["instances"]:
            self.attempt("The addresses of the API servers", lambda: self.addresses(urls))
        nodes = apiserver_state.Nodes(self.options["tolerations"], urls, self.options["image"], self.options["slots_of"])
        self.attempt("Nodes", lambda: self.nodes(nodes))
        self.instances(self.options["instances"] or apiserver_state.named(urls, nodes.named))
        self.attempt("The number of pods", lambda: self.pods(nodes))
        self.attempt("The pods of slots_of", lambda: self.slots(nodes))
        self.attempt("Namespaces and what former runs left", self.leftovers)
        self.attempt("APIServices", self.services)
        self.attempt("Admission webhooks", self.webhooks)
        return self.facts

    def addresses(self, urls):
        """Fill in {address: URL} of the API servers; no facts."""
        urls.update(apiserver_state.registered(self.server.items(SLICES, labelSelector="kubernetes.io/service-name=kubernetes")))
        if not urls:
            raise cluster.ClusterError("the service default/kubernetes has no endpoint; name the servers in instances")
        return {}

    def nodes(self, nodes):
        """Return {nodes, image}."""
        for node in self.server.items("/api/v1/nodes"):
            nodes.add(node)
        return nodes.facts()

    def instances(self, urls):
        """Add whether each API server answers that it is ready."""
        if urls:
            self.facts["instances"] = {name: self.answer(str(url).rstrip("/")) for name, url in urls.items()}

    def answer(self, url):
        """Return {url, answers, error} of one API server, asked straight and with its certificate verified."""
        error = "the kubeconfig says insecure-skip-tls-verify, so that any server could answer"
        if self.server.configuration.verify_ssl:
            try:
                error = ready(straight(self.server, url, self.options["timeout"]))
            except cluster.ClusterError as reason:
                error = str(reason)
        return {"url": url, "answers": not error, "error": error}

    def pods(self, nodes):
        """Return {pods}."""
        count = apiserver_state.total(run_access.document(self.server.get("/api/v1/pods", limit=1)))
        if count is None:
            raise cluster.ClusterError("GET /api/v1/pods: the server does not say how many remain")
        if "nodes" not in self.facts:
            return {"pods": {"count": count}}
        return {"pods": {"count": count, "allocatable": nodes.allocatable, "free": max(0, nodes.allocatable - count)}}

    def slots(self, nodes):
        """Return {slots} of the nodes that exist and were asked for."""
        unknown = [name for name in self.options["slots_of"] if name not in nodes.capacity]
        if unknown and "nodes" in self.facts:
            self.facts["problems"].append(f"slots_of: the cluster has no node {unknown[0]}.")
        found = {}
        for name, pods in nodes.capacity.items():
            used = sum(1 for dummy in self.server.items("/api/v1/pods", fieldSelector=f"spec.nodeName={name},{ENDED}"))
            found[name] = max(0, pods - used)
        return {"slots": found} if found else {}

    def leftovers(self):
        """Return {terminating, leftovers, leftover_runs}."""
        now, ending, runs = time.time(), {}, []
        for item in self.server.items("/api/v1/namespaces"):
            age = apiserver_state.terminating(item["metadata"], now)
            ending.update({} if age is None else {item["metadata"]["name"]: age})
            runs.append(apiserver_state.run_of(item))
        self.facts["terminating"] = ending
        for kind in ("clusterroles", "clusterrolebindings"):
            found = self.server.items(f"{run_access.RBAC}/{kind}", labelSelector=owned.selector(owned.EVERY_RUN))
            runs += map(apiserver_state.run_of, found)
        other = [run for run in runs if run not in (None, self.options["run_id"])]
        return {"leftovers": len(other), "leftover_runs": sorted(set(other))}

    def services(self):
        """Return {unavailable_apis}."""
        return {"unavailable_apis": [one["metadata"]["name"] for one in self.server.items(SERVICES) if apiserver_state.unavailable(one)]}

    def webhooks(self):
        """Return {webhooks}."""
        found = {"validating": 0, "mutating": 0, "matching": []}
        for kind in ("validating", "mutating"):
            for item in self.server.items(f"{HOOKS}/{kind}webhookconfigurations"):
                found[kind] += len(item.get("webhooks") or ())
                found["matching"] += apiserver_state.blocking_webhooks(item, kind)
        return {"webhooks": found}


def straight(server, url, timeout):
    """Return a Cluster for another address of the same cluster, with the same credentials."""
    other = copy.copy(server)
    other.configuration = copy.copy(server.configuration)
    other.configuration.host = other.server = url
    other.timeout = timeout
    other.pool = other.connect()
    return other


def ready(server):
    """Return why an API server is not ready, empty when it is; ClusterError when it says so itself or cannot be reached."""
    answer = server.request("GET", "/readyz")
    return "" if str(answer).strip() == "ok" else f"GET /readyz: the answer is {str(answer)[:80]!r}, not ok"


def main():
    """Look, return the facts."""
    cluster_module.run(SPEC, lambda server, options: {"facts": Look(server, options).all()})


if __name__ == "__main__":
    main()
