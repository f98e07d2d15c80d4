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
  - What may not be read or is not known is absent from the facts, with a sentence in C(missing).
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
extends_documentation_fragment: [kubeproof.certify.places]
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
          C(memory_limit) (empty without one), and the C(port) at which the Service sends it queries by UDP.
      returned: when known
      type: dict
      sample:
        coredns-1: {uid: a, ip: 10.244.1.2, node: worker1, ready: true, restarts: 0, container: coredns, cpu_limit: "", memory_limit: 170Mi, port: 53}
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
          domains, C(metrics) the port and whether it is C(exposed), and C(unknown), imports and variables that cannot be followed. What these hide is
          absent, with a sentence in C(missing).
      returned: when known
      type: dict
      sample:
        zones: ["."]
        plugins: [cache, errors, forward, health, kubernetes, loadbalance, loop, prometheus, ready, reload]
        cache: {present: true, success: false, denial: false, success_ttl: 30, denial_ttl: 30, prefetch: false, serve_stale: false}
        upstream_cache: {present: true, success: true, denial: true, success_ttl: 30, denial_ttl: 30, prefetch: false, serve_stale: false}
        metrics: {exposed: true, port: 9153}
        unknown: []
        missing: {}
    node_local_found:
      description: Whether there is a NodeLocal DNSCache.
      returned: when DaemonSets could be read
      type: bool
      sample: false
    node_local:
      description:
        - The C(name) and C(namespace) of its DaemonSet, the C(address) that it answers at, whether it C(takes_service), which means that it answers at
          the address of the DNS Service as well, or at that alone, C(upstream) the address by which it then reaches CoreDNS, its C(pods) and its
          C(corefile).
      returned: when there is one
      type: dict
      sample: {name: node-local-dns, namespace: kube-system, address: 169.254.20.10, takes_service: false, upstream: "", pods: {}, corefile: {}}
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
    missing:
      description: Why a fact is not there, by its name, or by its path within one (C(node_local.upstream)).
      returned: always
      type: dict
      sample: {throttling: "The throttling of CoreDNS cannot be read: 403 Forbidden"}
"""

from ansible_collections.kubeproof.certify.plugins.module_utils import apiserver_state, cluster, cluster_module, dns_corefile, dns_state, openmetrics

SPEC = {
    "kubeconfig": {"type": "path", "required": True},
    "service": {"type": "str", "default": ""},
    "domain": {"type": "str", "default": ""},
    "tolerations": {"type": "list", "elements": "dict", "default": []},
    **apiserver_state.PLACES,
}
NODES_SHOWN = ("count", "schedulable", "names")
# What is asked of the pods behind the Service, or of the first of them.
OF_A_POD = ("corefile", "domain", "throttling")
OF_THE_SERVICE = ("pods", "ready", *OF_A_POD)
POLICIES = "/apis/cilium.io/v2/ciliumlocalredirectpolicies"


class Look:
    """Gathers the facts of one cluster's DNS; of what cannot be read it says why."""

    def __init__(self, server, options):
        self.server, self.options = server, options
        self.facts, self.lacks = {}, {}

    def attempt(self, what, names, gather):
        """Add the facts that `gather` returns, or say why those of these names are not known."""
        try:
            self.facts.update(gather())
        except cluster.ClusterError as error:
            self.lack(names, f"{what} cannot be read: {error}")
        except (dns_corefile.CorefileError, openmetrics.ExpositionError) as error:
            self.lack(names, f"{what} cannot be understood: {str(error).rstrip('.')}")

    def lack(self, names, why):
        """Remember why facts are not known."""
        self.lacks.update(dict.fromkeys(names, why))

    def all(self):
        """Return every fact."""
        services, behind = [], []
        if self.options["domain"]:
            self.facts["domain"] = self.options["domain"]
        self.attempt("Nodes", ("nodes",), self.nodes)
        self.attempt("Services", ("service_found", *OF_THE_SERVICE), lambda: self.service(services))
        if "service" in self.facts:
            self.attempt("The pods behind the DNS Service", OF_THE_SERVICE, lambda: self.pods(services[0], behind))
        if behind:
            self.attempt("The Corefile", ("corefile", "domain"), lambda: self.corefile(behind[0]))
            self.attempt("The throttling of CoreDNS", ("throttling",), self.throttling)
        elif "pods" in self.facts:
            self.lack(OF_A_POD, "no pod is behind the DNS Service")
        self.attempt("NodeLocal DNSCache", ("node_local_found",), self.node_local)
        self.facts["scraped"] = self.scraped()
        self.facts["missing"] = {name: why for name, why in self.lacks.items() if name not in self.facts}
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
        nodes = apiserver_state.Nodes(self.options["tolerations"], only=self.options["nodes"], zones=self.options["zones"])
        for node in self.server.items("/api/v1/nodes"):
            nodes.add(node)
        nodes.refuse_unknown()
        found = nodes.facts()["nodes"]
        return {"nodes": {name: found[name] for name in NODES_SHOWN}}

    def service(self, services):
        """Return {service_found, service}, and add the Service to `services`."""
        label = "" if self.options["service"] else dns_state.LABEL
        found = dns_state.service_of(self.server.items("/api/v1/services", labelSelector=label), self.options["service"])
        if found is None:
            self.lack(OF_THE_SERVICE, "there is no DNS Service")
            return {"service_found": False}
        services.append(found)
        every = dns_state.addresses(found)
        about = {"namespace": found["metadata"]["namespace"], "name": found["metadata"]["name"], "address": every[0], "addresses": every}
        return {"service_found": True, "service": dict(about, port=dns_state.DNS_PORT)}

    def pods(self, service, behind):
        """Return {pods, ready}, and add the pods to `behind`, those that are ready first."""
        home, name = self.facts["service"]["namespace"], self.facts["service"]["name"]
        path = f"/apis/discovery.k8s.io/v1/namespaces/{home}/endpointslices"
        slices = self.server.items(path, labelSelector=f"kubernetes.io/service-name={name}")
        ready = dns_state.ready_pods(slices, dns_state.udp_port(service).get("name") or "")
        labels = service["spec"].get("selector") or {}
        if not labels:
            raise cluster.ClusterError(f"the Service {home}/{name} has no selector, so its pods are not known")
        found = list(self.server.items(f"/api/v1/namespaces/{home}/pods", labelSelector=dns_state.selector_of(labels)))
        behind += sorted(found, key=lambda pod: pod["metadata"]["name"] not in ready)
        pods = {pod["metadata"]["name"]: dns_state.pod_facts(pod, ready) for pod in found}
        return {"pods": pods, "ready": sum(pod["ready"] for pod in pods.values())}

    def configuration(self, pod, domain="", port=None):
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
        return dns_state.configuration(pod, folders, domain, port)

    def corefile(self, pod):
        """Return {corefile, domain}."""
        found = self.configuration(pod, self.options["domain"], self.facts["pods"][pod["metadata"]["name"]].get("port"))
        domain = self.options["domain"] or found.get("domain")
        if not domain:
            self.lack(("domain",), found["missing"]["domain"])
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
        service = self.facts.get("service", {})
        daemon_set = dns_state.node_local(self.server.items("/apis/apps/v1/daemonsets"), service.get("namespace", "kube-system"))
        if daemon_set is None:
            return {"node_local_found": False}
        home = daemon_set["metadata"]["namespace"]
        found = {"name": daemon_set["metadata"]["name"], "namespace": home, "pods": {}, "corefile": {}, "takes_service": False, "upstream": ""}
        self.facts.update(node_local_found=True, node_local=found)
        self.attempt("The pods of NodeLocal DNSCache", ("node_local.pods", "node_local.corefile"), lambda: self.caches(daemon_set, found))
        self.attempt("The addresses of NodeLocal DNSCache", ("node_local.address",), lambda: self.answers(daemon_set, found, service.get("addresses", [])))
        return {}

    def caches(self, daemon_set, found):
        """Add {pods, corefile} of NodeLocal DNSCache to `found`."""
        labels = daemon_set["spec"]["selector"].get("matchLabels") or {}
        pods = list(self.server.items(f"/api/v1/namespaces/{found['namespace']}/pods", labelSelector=dns_state.selector_of(labels)))
        up = dict.fromkeys(pod["metadata"]["name"] for pod in pods if apiserver_state.is_ready(pod.get("status") or {}))
        found["pods"] = {pod["metadata"]["name"]: dns_state.pod_facts(pod, up) for pod in pods}
        if pods:
            self.attempt("The Corefile of NodeLocal DNSCache", ("node_local.corefile",), lambda: found.update(corefile=self.configuration(pods[0])) or {})
        return {}

    def answers(self, daemon_set, found, service):
        """Add {address, takes_service, upstream} of NodeLocal DNSCache to `found`; `service`: the addresses of the DNS Service."""
        on_host = bool(daemon_set["spec"]["template"]["spec"].get("hostNetwork"))
        every = dns_state.local_addresses(daemon_set, found["corefile"].get("bind") or (), () if on_host else self.redirected())
        own = [one for one in every if one not in service]
        if not every and on_host and not found["corefile"]:
            raise cluster.ClusterError("neither its command nor a Corefile that is known names one")
        # Where it has none of its own, a CNI hands it what is sent to the Service.
        found["takes_service"] = not own or bool(set(every) & set(service))
        found.update({"address": (own or service)[0]} if own or service else {})
        found["upstream"] = self.upstream(daemon_set, service) if found["takes_service"] else ""
        return {}

    def redirected(self):
        """Return the addresses that Cilium hands to pods on the node; none without Cilium."""
        try:
            return dns_state.redirected_addresses(self.server.items(POLICIES))
        except cluster.ClusterError as error:
            if error.status != 404:
                raise
            return []

    def upstream(self, daemon_set, service):
        """Return the address by which NodeLocal DNSCache reaches CoreDNS where it has taken the one of the DNS Service."""
        home, name = daemon_set["metadata"]["namespace"], dns_state.upstream_of(daemon_set)
        try:
            found = dns_state.addresses(self.server.get(f"/api/v1/namespaces/{home}/services/{name}"))
        except cluster.ClusterError as error:
            why = f"there is no Service {home}/{name} besides" if error.status == 404 else f"the Service {home}/{name} cannot be read: {error}"
        else:
            own = [one for one in found if one not in service]
            if own:
                return own[0]
            why = f"the Service {home}/{name} has no address of its own"
        self.lack(("node_local.upstream",), f"NodeLocal DNSCache answers for the DNS Service, and {why}, so that CoreDNS behind it cannot be asked")
        return ""


def main():
    """Look, return the facts."""
    cluster_module.run(SPEC, lambda server, options: {"facts": Look(server, options).all()}, apiserver_state.PlaceError)


if __name__ == "__main__":
    main()
