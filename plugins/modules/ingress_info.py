#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ingress_info
short_description: Look for the ingress controller, and for the way to it
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - Finds the IngressClass, or the Gateway where there is no IngressClass or one is named, the controller's Service and pods, and the addresses and ports
    by which requests come in.
  - With an IngressClass the way is O(address), otherwise the load balancer of the controller's Service, otherwise a port of that Service on a node that is
    Ready, otherwise what the status of our Ingress will say (C(pending)).
  - With a Gateway it is O(address), otherwise an address of the Gateway's status, otherwise the load balancer or a node's port of its Service.
  - What stands in the way is a sentence in C(problem). It is no failure of the module.
options:
  kubeconfig:
    description: Path of the operator's kubeconfig.
    type: path
    required: true
  ingress_class:
    description: Name of the IngressClass. Empty for the default one, or the only one.
    type: str
    default: ""
  gateway:
    description: The Gateway, as namespace/name. Empty for the only one that takes our route, where the cluster has no IngressClass.
    type: str
    default: ""
  service:
    description:
      - The controller's Service, as namespace/name. Empty for the one that carries the Gateway's name, or is of type LoadBalancer or NodePort and called
        like the controller.
    type: str
    default: ""
  class_annotation:
    description:
      - What our Ingress says in its annotation C(kubernetes.io/ingress.class), for a controller without IngressClass. With it none is looked for, and a
        Gateway neither.
    type: str
    default: ""
  address:
    description: Where requests come in, as host, host:port or URL. Empty for what the cluster says.
    type: str
    default: ""
  url:
    description: The owner's own URL. With it no controller is looked for, and an O(address), which then has no port, is where its host name leads.
    type: str
    default: ""
  tls:
    description: Whether TLS is measured.
    type: bool
    default: true
  tls_needed:
    description:
      - Whether a Gateway without a listener for HTTPS stands in the way. Otherwise it is measured without TLS.
      - With an IngressClass, whether the certificate is none of the run, so that O(host) must name what it is for.
    type: bool
    default: false
  host:
    description:
      - The host name of our backend. Empty for one of the run, below what a listener of the Gateway is for.
      - A listener for HTTPS without a hostname, and O(tls_needed), need one, for which the certificate is.
      - One that an Ingress or, at the Gateway, an HTTPRoute of somebody else has, also by a wildcard, is refused.
    type: str
    default: ""
  run_id:
    description: The run. Its objects are no one else's.
    type: str
    required: true
  tolerations:
    description: Tolerations of the pods of the load, in the form of Kubernetes. A node with a taint that none tolerates takes none.
    type: list
    elements: dict
    default: []
  namespace:
    description: The namespace of the layer. Listeners of a Gateway must take routes of it, and its pods that carry O(backends) are counted.
    type: str
    required: true
  backends:
    description: Label selector of the run's own backends.
    type: str
    default: ""
extends_documentation_fragment: [kubeproof.certify.places]
requirements:
  - kubernetes
attributes:
  check_mode:
    description: Only reads.
    support: full
"""

EXAMPLES = r"""
- name: Look for the ingress controller
  kubeproof.certify.ingress_info:
    kubeconfig: ~/.kube/prod
    run_id: 20261121t040000z-1a2b
    namespace: kubeproof-20261121t040000z-1a2b-ingress
    ingress_class: nginx
  register: before
"""

RETURN = r"""
facts:
  description: What was found. What is not known is absent.
  returned: success
  type: dict
  contains:
    problem:
      description: Why nothing can be measured, and what to do; empty when all is known.
      returned: always
      type: str
      sample: ""
    found:
      description: Whether the cluster has an ingress controller with pods that are ready.
      returned: when known
      type: bool
      sample: true
    classes:
      description: Names of the IngressClasses.
      returned: when read
      type: list
      elements: str
      sample: [traefik]
    ingress_class:
      description: Name of the chosen IngressClass.
      returned: when there is one
      type: str
      sample: traefik
    gateway:
      description: The chosen Gateway.
      returned: when there is one
      type: str
      sample: gateways/public
    kind:
      description: What leads to the backends, V(Ingress), V(HTTPRoute) or V(URL).
      returned: when known
      type: str
      sample: Ingress
    host:
      description: The host name of our backend.
      returned: when known
      type: str
      sample: 20261121t040000z-1a2b.ingress.kubeproof.test
    pending:
      description: Why the way is not known before the status of our Ingress says it.
      returned: when that is so
      type: str
      sample: "Of the controller ingress.k8s.aws/alb no Service of type LoadBalancer or NodePort looks like it."
    controller:
      description: What the class, or that of the Gateway, calls its controller.
      returned: when known
      type: str
      sample: traefik.io/ingress-controller
    service:
      description: The controller's Service.
      returned: when known
      type: str
      sample: traefik/traefik
    path:
      description:
        - C(via) (load balancer, node port, gateway, ingress status, ingress_address or ingress_url), C(addresses) and C(http) and C(https), its ports or null;
          C(said), that in a few words.
        - C(kube_proxy) of a load balancer says whether kube-proxy leads its address to the Service by itself (C(ipMode)), so that it is not on the way.
      returned: when known
      type: dict
      sample: {via: node port, addresses: [192.0.2.31], node: worker1, http: 30080, https: 30443, said: "node port worker1:30443"}
    pods:
      description: The controller's pods that have not ended, and how often their containers have restarted.
      returned: when known
      type: dict
      sample: {traefik-6d4b8c-x7k2p: 0}
    replicas:
      description: How many pods the controller's ReplicaSets, StatefulSets and DaemonSets ask for.
      returned: when known
      type: int
      sample: 1
    processors:
      description: Processors of the nodes that take pods of the load, where the node says it.
      returned: always
      type: dict
      sample: {worker1: 4, worker2: 4}
    backends:
      description: The run's backends, and whether each is ready.
      returned: with O(backends)
      type: dict
      sample: {ingress-backend-0: true}
    nodes:
      description: Nodes that take pods of the load, at most 100 from all zones in turn.
      returned: always
      type: list
      elements: str
      sample: [worker1, worker2]
"""

from ansible_collections.kubeproof.certify.plugins.module_utils import (
    apiserver_state,
    cluster,
    cluster_module,
    ingress_gateway,
    ingress_path,
    ingress_resolve,
    owned,
    tuning_units,
)

CLASSES = "/apis/networking.k8s.io/v1/ingressclasses"
INGRESSES = "/apis/networking.k8s.io/v1/ingresses"
OWNERS = {"ReplicaSet": "replicasets", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}
GATEWAY_API = ingress_gateway.API
SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"
TEXT = {"type": "str", "default": ""}
SPEC = {
    "kubeconfig": {"type": "path", "required": True},
    "ingress_class": TEXT,
    "gateway": TEXT,
    "service": TEXT,
    "class_annotation": TEXT,
    "address": TEXT,
    "url": TEXT,
    "tls": {"type": "bool", "default": True},
    "tls_needed": {"type": "bool", "default": False},
    "host": TEXT,
    "run_id": {"type": "str", "required": True},
    "tolerations": {"type": "list", "elements": "dict", "default": []},
    **apiserver_state.PLACES,
    "namespace": {"type": "str", "required": True},
    "backends": TEXT,
}


class Look:
    """Gathers the facts of one cluster."""

    def __init__(self, server, options):
        self.server, self.options = server, options
        self.facts, self.addresses, self.targets = {"problem": ""}, {}, {}

    def all(self):
        """Return every fact; ClusterError when the cluster cannot be read."""
        self.nodes()
        if self.options["backends"]:
            found = self.server.items(f"/api/v1/namespaces/{self.options['namespace']}/pods", labelSelector=self.options["backends"])
            self.facts["backends"] = {ingress_path.name_of(one): ingress_path.holds(one, "Ready") for one in found}
        try:
            path = self.path()
            if path:
                self.facts["path"] = {**ingress_resolve.resolved(path), "said": ingress_path.said(path, self.options["tls"])}
        except ingress_path.PathError as error:
            self.facts["problem"] = str(error)
            if error.absent:
                self.facts["found"] = False
        return self.facts

    def nodes(self):
        """Add the nodes for pods, and keep the addresses of those that are Ready."""
        nodes = apiserver_state.Nodes(self.options["tolerations"], only=self.options["nodes"], zones=self.options["zones"])
        processors = {}
        for node in self.server.items("/api/v1/nodes"):
            nodes.add(node)
            processors[ingress_path.name_of(node)] = tuning_units.quantity(((node.get("status") or {}).get("capacity") or {}).get("cpu"))
            address = ingress_path.internal_address(node)
            if address and apiserver_state.is_ready(node.get("status") or {}):
                self.addresses[ingress_path.name_of(node)] = address
        nodes.refuse_unknown()
        self.facts["nodes"] = nodes.facts()["nodes"]["names"]
        self.facts["processors"] = {name: processors[name] for name in self.facts["nodes"] if processors.get(name)}
        if not self.facts["nodes"]:
            raise cluster.ClusterError(
                "no node takes pods of the load; give them tolerations in ingress_tolerations, or correct certify_load_nodes and certify_load_zones"
            )

    def path(self):
        """Return the way to the controller, and add what it is; None when the status of our Ingress will say it, PathError when it is not known."""
        options = self.options
        given = ingress_path.by_owner(options["address"], options["tls"]) if options["address"] else None
        if options["url"]:
            ingress_path.without_port(options["address"])
            self.facts["kind"] = "URL"
            return {"via": "ingress_url", "addresses": given["addresses"] if given else []}
        gateway, taken = self.controller()
        if options["tls"] and options["tls_needed"] and not gateway and not options["host"]:
            raise ingress_path.PathError(f"With ingress_tls own or default the certificate is not of this run. {ingress_gateway.NAME_HOST}")
        self.facts.update(kind="HTTPRoute" if gateway else "Ingress", host=taken["host"] if gateway else options["host"] or self.default_host())
        if options["host"]:
            self.refuse_rival(gateway)
        try:
            seen = self.by_gateway(gateway, taken) if gateway else self.by_service()
        except ingress_path.PathError as error:
            if options["service"] or (not given and (gateway or error.absent)):
                raise
            if not given:
                self.facts["pending"] = str(error)
                return None
            # The owner's address is enough; what is behind it is then not known.
            seen = {}
        self.facts["found"] = True
        path = given or seen
        if gateway:
            # No listener, no port.
            path = {**path, **{scheme: path[scheme] if taken[scheme] else None for scheme in ("http", "https")}}
        ingress_path.require(path, options["tls"] and bool(not gateway or taken["https"]))
        return path

    def refuse_rival(self, gateway):
        """Raise PathError where somebody else has the owner's host name: a route of ours would take its requests."""
        host, run_id = self.facts["host"], self.options["run_id"]
        found = ingress_path.rival(self.server.items(INGRESSES), [host] if gateway else [host, f"plain-{host}"], lambda one: owned.is_of(one, run_id))
        other = f"the Ingress {found[0]} has ({found[1]})" if found else ""
        route = ingress_gateway.rival(gateway, self.known("httproutes"), host, run_id) if gateway else None
        if route:
            other = f"the HTTPRoute {route} has"
        if other:
            raise ingress_path.PathError(
                f"ingress_host is {host}, which {other}: a route of ours would take its requests. "
                "Write a host name that nobody has, also not by a wildcard, or measure what is there by ingress_url."
            )

    def default_host(self):
        return ingress_gateway.default_host(self.options["run_id"])

    def by_service(self):
        """Return the way by the controller's Service, and add what is behind it."""
        service = ingress_path.choose_service(self.server.items("/api/v1/services"), self.options["service"], self.facts["controller"])
        return ingress_path.by_service(service, self.addresses, self.behind(service))

    def by_gateway(self, gateway, taken):
        """Return the way to a Gateway, and add what is behind it where that is known."""
        service = ingress_gateway.service_of(list(self.server.items("/api/v1/services")), self.options["service"], gateway, self.facts["controller"])
        behind = self.behind(service) if service else []
        return ingress_gateway.way(gateway, taken, service, self.targets, self.addresses, behind)

    def controller(self):
        """Add what the controller is; return (Gateway, its listeners), both None with an IngressClass. PathError when the cluster has neither."""
        options = self.options
        classes = list(self.server.items(CLASSES))
        self.facts["classes"] = sorted(map(ingress_path.name_of, classes))
        if options["class_annotation"] and not options["gateway"]:
            self.facts["controller"] = options["class_annotation"]
            return None, None
        chosen = None if options["gateway"] else ingress_path.choose_class(classes, options["ingress_class"])
        if chosen:
            self.facts.update(ingress_class=ingress_path.name_of(chosen), controller=(chosen.get("spec") or {}).get("controller") or "")
            return None, None
        asked = ingress_gateway.ours(options["run_id"], options["namespace"], options["host"], options["tls"], options["tls_needed"])
        found = ingress_gateway.choose(self.known("gateways"), options["gateway"], asked)
        if found is None:
            text = (
                "The cluster has no IngressClass and no Gateway. Where its controller goes by the annotation kubernetes.io/ingress.class, write that in "
                "ingress_annotations, or measure what is there by ingress_url; otherwise install a controller, or leave ingress out of certify_layers."
            )
            # Who names its address or its Service says that there is one.
            raise ingress_path.PathError(text, absent=not options["address"] and not options["service"])
        gateway, taken = found
        name = gateway["spec"].get("gatewayClassName") or ""
        controllers = {ingress_path.name_of(one): (one.get("spec") or {}).get("controllerName") for one in self.known("gatewayclasses")}
        self.facts.update(gateway=ingress_path.full_name(gateway), controller=controllers.get(name) or name)
        return gateway, taken

    def known(self, plural):
        """Return all objects of a kind of the Gateway API; none where the cluster does not know it."""
        try:
            return list(self.server.items(f"{GATEWAY_API}/{plural}"))
        except cluster.ClusterError as error:
            if error.status == 404:
                return []
            raise

    def behind(self, service):
        """Return the nodes with a pod behind a Service that is ready, and add the controller's Service and pods, and keep the ports of those."""
        namespace, name = service["metadata"]["namespace"], ingress_path.name_of(service)
        self.facts["service"] = ingress_path.full_name(service)
        slices = list(self.server.items(SLICES.format(namespace), labelSelector=f"kubernetes.io/service-name={name}"))
        self.targets = {port.get("name") or "": port.get("port") for one in slices for port in one.get("ports") or ()}
        selector = ",".join(f"{key}={value}" for key, value in (service["spec"].get("selector") or {}).items())
        if selector:
            pods = list(self.server.items(f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector))
            self.facts["pods"] = ingress_path.restarts(pods)
            self.replicas(namespace, [one for one in pods if ingress_path.name_of(one) in self.facts["pods"]])
        return list(ingress_path.endpoints(slices).values())

    def replicas(self, namespace, pods):
        """Add how many pods those ask for that make the controller's, where all of them are known."""
        found = ingress_path.owners(pods)
        if found is None or not {kind for kind, dummy in found} <= set(OWNERS):
            return
        try:
            asked = [self.server.get(f"/apis/apps/v1/namespaces/{namespace}/{OWNERS[kind]}/{name}") for kind, name in sorted(found)]
        except cluster.ClusterError as error:
            # Gone since then, or not to be read: then each pod that goes counts.
            if error.status not in (403, 404):
                raise
            return
        self.facts["replicas"] = sum(map(ingress_path.replicas, asked))


def main():
    """Look, return the facts."""
    cluster_module.run(SPEC, lambda server, options: {"facts": Look(server, options).all()}, apiserver_state.PlaceError)


if __name__ == "__main__":
    main()
