#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dns_info
short_description: Look at the DNS of a cluster
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - Reads the DNS Service, the CoreDNS pods behind it, what their Corefile says, NodeLocal DNSCache where there is one, how often CPU limits have
    throttled CoreDNS, and which nodes take pods of a load.
  - The text of the Corefile is not returned, since it may hold secrets (TSIG keys, passwords of etcd). Imports of files that are in ConfigMaps which
    the pods mount are followed.
  - What may not be read or is not known is absent from the facts, with a sentence in C(problems).
options:
  kubeconfig:
    description: Path of the operator's kubeconfig.
    type: path
    required: true
  service:
    description: The DNS Service, as namespace/name. Empty for the one with the label k8s-app=kube-dns.
    type: str
    default: ""
  domain:
    description: The domain of the cluster. Empty for the one in the Corefile.
    type: str
    default: ""
  tolerations:
    description: Tolerations of the pods of the load, in the form of Kubernetes. A node with a taint that none tolerates is not schedulable.
    type: list
    elements: dict
    default: []
requirements:
  - kubernetes
attributes:
  check_mode:
    description: Only reads.
    support: full
"""

EXAMPLES = r"""
- name: Look at the DNS of the cluster
  kubeproof.certify.dns_info:
    kubeconfig: ~/.kube/prod
  register: before
"""

RETURN = r"""
facts:
  description: What was found.
  returned: success
  type: dict
  contains:
    service_found:
      description: Whether there is a DNS Service with a cluster address and a UDP port 53.
      returned: when Services could be read
      type: bool
      sample: true
    service:
      description: The C(namespace), C(name), first C(address), all C(addresses) and C(port) of the DNS Service.
      returned: when there is one
      type: dict
      sample: {namespace: kube-system, name: kube-dns, address: 10.96.0.10, addresses: [10.96.0.10], port: 53}
    pods:
      description:
        - For each CoreDNS pod its C(uid), C(ip), C(node), whether it is C(ready) to get queries, C(restarts), C(container), C(cpu_limit) and
          C(memory_limit) (empty without one).
      returned: when known
      type: dict
      sample: {coredns-1: {uid: a, ip: 10.244.1.2, node: worker1, ready: true, restarts: 0, container: coredns, cpu_limit: "", memory_limit: 170Mi}}
    ready:
      description: How many of them are ready.
      returned: when known
      type: int
      sample: 2
    domain:
      description: The domain of the cluster.
      returned: when known
      type: str
      sample: cluster.local
    corefile:
      description:
        - C(zones) of CoreDNS, C(plugins) of the domain of the cluster, C(cache) what is kept of its answers, C(upstream_cache) of those of other
          domains, C(metrics) the port and whether it is C(exposed), and C(unknown), imports and variables that cannot be followed.
      returned: when known
      type: dict
      sample:
        zones: ["."]
        plugins: [cache, errors, forward, health, kubernetes, loadbalance, loop, prometheus, ready, reload]
        cache: {present: true, success: false, denial: false, success_ttl: 30, denial_ttl: 30, prefetch: false, serve_stale: false}
        upstream_cache: {present: true, success: true, denial: true, success_ttl: 30, denial_ttl: 30, prefetch: false, serve_stale: false}
        metrics: {exposed: true, port: 9153}
        unknown: []
    node_local_found:
      description: Whether there is a NodeLocal DNSCache.
      returned: when DaemonSets could be read
      type: bool
      sample: false
    node_local:
      description:
        - The C(name) of its DaemonSet, the C(address) that it answers at, whether it C(takes_service), which means that it answers at the address of
          the DNS Service as well, C(upstream) the address by which it then reaches CoreDNS, its C(pods) and its C(corefile).
      returned: when there is one
      type: dict
      sample: {name: node-local-dns, address: 169.254.20.10, takes_service: false, upstream: "", pods: {}, corefile: {}}
    scraped:
      description:
        - "Pods that are ready and whose metrics can be read, as C({pod: pod:port}), of C(coredns), and of C(node_local) on the nodes that take pods of
          the load."
      returned: always
      type: dict
      sample: {coredns: {coredns-1: "coredns-1:9153"}, node_local: {}}
    throttling:
      description: For each CoreDNS pod with a CPU limit and each of its containers, how many C(periods) of the CPU there were, and how many C(throttled).
      returned: when known
      type: dict
      sample: {coredns-1: {"/kubepods/burstable/pod1/2": {periods: 1000, throttled: 20}}}
    nodes:
      description: How many nodes there are (C(count)) and take pods of the load (C(schedulable)), and C(names) of these, at most 100.
      returned: when known
      type: dict
      sample: {count: 3, schedulable: 2, names: [worker1, worker2]}
    problems:
      description: What is not known, and why.
      returned: always
      type: list
      elements: str
      sample: []
"""

from ansible_collections.kubeproof.certify.plugins.module_utils import apiserver_state, cluster, cluster_module, dns_corefile, dns_state, openmetrics

SPEC = {
    "kubeconfig": {"type": "path", "required": True},
    "service": {"type": "str", "default": ""},
    "domain": {"type": "str", "default": ""},
    "tolerations": {"type": "list", "elements": "dict", "default": []},
}
NODES_SHOWN = ("count", "schedulable", "names")


class Look:
    """Gathers the facts of one cluster's DNS; what cannot be read becomes a problem."""

    def __init__(self, server, options):
        self.server, self.options = server, options
        self.facts = {"problems": []}

    def attempt(self, what, gather):
        """Add the facts that `gather` returns, or say what is not known."""
        try:
            self.facts.update(gather())
        except cluster.ClusterError as error:
            self.facts["problems"].append(f"{what} cannot be read: {error}.")
        except (dns_corefile.CorefileError, openmetrics.ExpositionError) as error:
            self.facts["problems"].append(f"{what} cannot be understood: {error}")

    def all(self):
        """Return every fact."""
        services, behind = [], []
        if self.options["domain"]:
            self.facts["domain"] = self.options["domain"]
        self.attempt("Nodes", self.nodes)
        self.attempt("Services", lambda: self.service(services))
        if "service" in self.facts:
            self.attempt("The pods behind the DNS Service", lambda: self.pods(services[0], behind))
        if behind:
            self.attempt("The Corefile", lambda: self.corefile(behind[0]))
            self.attempt("The throttling of CoreDNS", self.throttling)
        self.attempt("NodeLocal DNSCache", self.node_local)
        self.facts["scraped"] = self.scraped()
        return self.facts

    def scraped(self):
        """Return the pods whose metrics can be read: {coredns, node_local}."""
        facts, nodes = self.facts, self.facts.get("nodes", {}).get("names", [])
        local = facts.get("node_local", {})
        return {
            "coredns": dns_state.scraped(facts.get("pods", {}), facts.get("corefile", {}), dns_state.METRICS_PORT),
            "node_local": dns_state.scraped(local.get("pods", {}), local.get("corefile", {}), dns_state.NODE_LOCAL_METRICS_PORT, nodes),
        }

    def nodes(self):
        """Return {nodes}."""
        nodes = apiserver_state.Nodes(self.options["tolerations"])
        for node in self.server.items("/api/v1/nodes"):
            nodes.add(node)
        found = nodes.facts()["nodes"]
        return {"nodes": {name: found[name] for name in NODES_SHOWN}}

    def service(self, services):
        """Return {service_found, service}, and add the Service to `services`."""
        label = "" if self.options["service"] else dns_state.LABEL
        found = dns_state.service_of(self.server.items("/api/v1/services", labelSelector=label), self.options["service"])
        if found is None:
            return {"service_found": False}
        services.append(found)
        every = dns_state.addresses(found)
        about = {"namespace": found["metadata"]["namespace"], "name": found["metadata"]["name"], "address": every[0], "addresses": every}
        return {"service_found": True, "service": dict(about, port=dns_state.DNS_PORT)}

    def pods(self, service, behind):
        """Return {pods, ready}, and add the pods to `behind`, those that are ready first."""
        home, name = self.facts["service"]["namespace"], self.facts["service"]["name"]
        path = f"/apis/discovery.k8s.io/v1/namespaces/{home}/endpointslices"
        ready = dns_state.ready_pods(self.server.items(path, labelSelector=f"kubernetes.io/service-name={name}"))
        labels = service["spec"].get("selector") or {}
        if not labels:
            raise cluster.ClusterError(f"the Service {home}/{name} has no selector, so its pods are not known")
        found = list(self.server.items(f"/api/v1/namespaces/{home}/pods", labelSelector=dns_state.selector_of(labels)))
        behind += sorted(found, key=lambda pod: pod["metadata"]["name"] not in ready)
        pods = {pod["metadata"]["name"]: dns_state.pod_facts(pod, ready) for pod in found}
        return {"pods": pods, "ready": sum(pod["ready"] for pod in pods.values())}

    def configuration(self, pod):
        """Return the summary of the Corefile that a pod is told."""
        folders = {}
        for folder, volume in dns_state.mounts(pod).items():
            try:
                config_map = self.server.get(f"/api/v1/namespaces/{pod['metadata']['namespace']}/configmaps/{volume['name']}")
            except cluster.ClusterError as error:
                if error.status != 404 or not volume.get("optional"):
                    raise
                config_map = {}
            folders[folder] = dns_state.folder_of(volume, config_map)
        return dns_state.configuration(pod, folders)

    def corefile(self, pod):
        """Return {corefile, domain}."""
        found = self.configuration(pod)
        domain = self.facts.get("domain") or found.get("domain")
        return {"corefile": found, **({"domain": domain} if domain else {})}

    def throttling(self):
        """Return {throttling} of the pods that have a limit of CPU."""
        limited = {name: pod for name, pod in self.facts["pods"].items() if pod["cpu_limit"]}
        found = {}
        for node in sorted({pod["node"] for pod in limited.values()} - {""}):
            text = self.server.get(f"/api/v1/nodes/{node}/proxy/metrics/cadvisor")
            found.update(dns_state.throttling(str(text), limited, self.facts["service"]["namespace"]))
        return {"throttling": found}

    def node_local(self):
        """Return {node_local_found, node_local}."""
        home = self.facts.get("service", {}).get("namespace", "kube-system")
        daemon_set = dns_state.node_local(self.server.items(f"/apis/apps/v1/namespaces/{home}/daemonsets"))
        if daemon_set is None:
            return {"node_local_found": False}
        labels = daemon_set["spec"]["selector"].get("matchLabels") or {}
        pods = list(self.server.items(f"/api/v1/namespaces/{home}/pods", labelSelector=dns_state.selector_of(labels)))
        up = [pod["metadata"]["name"] for pod in pods if apiserver_state.is_ready(pod.get("status") or {})]
        found = {"name": daemon_set["metadata"]["name"], "pods": {pod["metadata"]["name"]: dns_state.pod_facts(pod, up) for pod in pods}}
        self.facts.update(node_local_found=True, node_local=found)
        found["corefile"] = self.configuration(pods[0]) if pods else {}
        answers = dns_state.local_addresses(daemon_set, found["corefile"].get("bind") or ())
        service = self.facts.get("service", {}).get("addresses", [])
        found["takes_service"] = bool(set(answers) & set(service))
        found["upstream"] = self.upstream(home) if found["takes_service"] else ""
        if [one for one in answers if one not in service]:
            found["address"] = next(one for one in answers if one not in service)
        return {}

    def upstream(self, home):
        """Return the address by which NodeLocal DNSCache reaches CoreDNS where it has taken the one of the DNS Service."""
        try:
            return dns_state.addresses(self.server.get(f"/api/v1/namespaces/{home}/services/{dns_state.UPSTREAM}"))[0]
        except (cluster.ClusterError, IndexError):
            self.facts["problems"].append(f"NodeLocal DNSCache answers for the DNS Service, and there is no Service {dns_state.UPSTREAM} besides.")
            return ""


def main():
    """Look, return the facts."""
    cluster_module.run(SPEC, lambda server, options: {"facts": Look(server, options).all()})


if __name__ == "__main__":
    main()
