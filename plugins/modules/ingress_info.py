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
  - The way is O(address), otherwise the load balancer of the controller's Service, otherwise a port of that Service on a node that is Ready.
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
    description: The Gateway, as namespace/name. Empty for the only one that is programmed, where the cluster has no IngressClass.
    type: str
    default: ""
  service:
    description: The controller's Service, as namespace/name. Empty for the one of type LoadBalancer or NodePort that is called like the controller.
    type: str
    default: ""
  address:
    description: Where requests come in, as host, host:port or URL. Empty for what the cluster says.
    type: str
    default: ""
  url:
    description: The owner's own URL. With it no controller is looked for, and an O(address) is where its host name leads.
    type: str
    default: ""
  tls:
    description: Whether TLS is measured.
    type: bool
    default: true
  tolerations:
    description: Tolerations of the pods of the load, in the form of Kubernetes. A node with a taint that none tolerates takes none.
    type: list
    elements: dict
    default: []
  namespace:
    description: The namespace of the run, whose pods that carry O(backends) are counted.
    type: str
    default: ""
  backends:
    description: Label selector of the run's own backends.
    type: str
    default: ""
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
    controller:
      description: What the class or the Gateway calls its controller.
      returned: when known
      type: str
      sample: traefik.io/ingress-controller
    service:
      description: The controller's Service.
      returned: when known
      type: str
      sample: traefik/traefik
    path:
      description: C(via) (load balancer, node port, gateway, ingress_address or ingress_url), C(addresses) and C(http) and C(https), its ports or null.
      returned: when known
      type: dict
      sample: {via: node port, addresses: [192.0.2.31], node: worker1, http: 30080, https: 30443}
    pods:
      description: The controller's pods, and how often their containers have restarted.
      returned: when known
      type: dict
      sample: {traefik-6d4b8c-x7k2p: 0}
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

import ipaddress
import socket

from ansible_collections.kubeproof.certify.plugins.module_utils import apiserver_state, cluster, cluster_module, ingress_path

CLASSES = "/apis/networking.k8s.io/v1/ingressclasses"
GATEWAY_API = "/apis/gateway.networking.k8s.io/v1"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"
TEXT = {"type": "str", "default": ""}
SPEC = {
    "kubeconfig": {"type": "path", "required": True},
    "ingress_class": TEXT,
    "gateway": TEXT,
    "service": TEXT,
    "address": TEXT,
    "url": TEXT,
    "tls": {"type": "bool", "default": True},
    "tolerations": {"type": "list", "elements": "dict", "default": []},
    "namespace": TEXT,
    "backends": TEXT,
}


class Look:
    """Gathers the facts of one cluster."""

    def __init__(self, server, options):
        self.server, self.options = server, options
        self.facts, self.addresses = {"problem": ""}, {}

    def all(self):
        """Return every fact; ClusterError when the cluster cannot be read."""
        self.nodes()
        if self.options["backends"]:
            found = self.server.items(f"/api/v1/namespaces/{self.options['namespace']}/pods", labelSelector=self.options["backends"])
            self.facts["backends"] = {ingress_path.name_of(one): ingress_path.holds(one, "Ready") for one in found}
        try:
            self.facts["path"] = resolved(self.path())
        except ingress_path.PathError as error:
            self.facts["problem"] = str(error)
            if error.absent:
                self.facts["found"] = False
        return self.facts

    def nodes(self):
        """Add the nodes for pods, and keep the addresses of those that are Ready."""
        nodes = apiserver_state.Nodes(self.options["tolerations"])
        for node in self.server.items("/api/v1/nodes"):
            nodes.add(node)
            address = ingress_path.internal_address(node)
            if address and apiserver_state.is_ready(node.get("status") or {}):
                self.addresses[ingress_path.name_of(node)] = address
        self.facts["nodes"] = nodes.facts()["nodes"]["names"]
        if not self.facts["nodes"]:
            raise cluster.ClusterError("no node takes pods of the load; give them tolerations in ingress_tolerations")

    def path(self):
        """Return the way to the controller, and add what it is; PathError when it is not known."""
        options = self.options
        given = ingress_path.by_owner(options["address"], options["tls"]) if options["address"] else None
        if options["url"]:
            return {"via": "ingress_url", "addresses": given["addresses"] if given else []}
        gateway = self.controller()
        try:
            seen = self.by_service() if gateway is None else ingress_path.by_gateway(gateway)
        except ingress_path.PathError:
            # The owner's address is enough; what is behind it is then not known.
            if not given or options["service"]:
                raise
            seen = {}
        self.facts["found"] = True
        path = given or seen
        ingress_path.require(path, options["tls"])
        return path

    def by_service(self):
        """Return the way by the controller's Service, and add what is behind it."""
        service = ingress_path.choose_service(self.server.items("/api/v1/services"), self.options["service"], self.facts["controller"])
        self.facts["service"] = ingress_path.full_name(service)
        return ingress_path.by_service(service, self.addresses, self.behind(service))

    def controller(self):
        """Add what the controller is; return the Gateway, or None with an IngressClass. PathError when the cluster has neither."""
        options = self.options
        classes = list(self.server.items(CLASSES))
        self.facts["classes"] = sorted(map(ingress_path.name_of, classes))
        chosen = None if options["gateway"] else ingress_path.choose_class(classes, options["ingress_class"])
        if chosen:
            self.facts.update(ingress_class=ingress_path.name_of(chosen), controller=(chosen.get("spec") or {}).get("controller") or "")
            return None
        gateway = ingress_path.choose_gateway(self.gateways(), options["gateway"])
        if gateway is None:
            text = "The cluster has no IngressClass and no Gateway, so no ingress controller. Install one, or leave ingress out of certify_layers."
            raise ingress_path.PathError(text, absent=True)
        self.facts.update(gateway=ingress_path.full_name(gateway), controller=gateway["spec"].get("gatewayClassName") or "")
        return gateway

    def gateways(self):
        """Return all Gateways; none where the cluster does not know them."""
        try:
            return list(self.server.items(f"{GATEWAY_API}/gateways"))
        except cluster.ClusterError as error:
            if error.status == 404:
                return []
            raise

    def behind(self, service):
        """Return the nodes with a pod behind a Service that is ready, and add the controller's pods."""
        namespace, name = service["metadata"]["namespace"], ingress_path.name_of(service)
        ready = ingress_path.endpoints(self.server.items(SLICES.format(namespace), labelSelector=f"kubernetes.io/service-name={name}"))
        selector = ",".join(f"{key}={value}" for key, value in (service["spec"].get("selector") or {}).items())
        if selector:
            self.facts["pods"] = ingress_path.restarts(self.server.items(f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector))
        return list(ready.values())


def resolved(path):
    """Return the path with IP addresses for its names, as this machine resolves them; PathError for a name that it does not know."""
    found = []
    for one in path["addresses"]:
        try:
            ipaddress.ip_address(one)
            found.append(one)
        except ValueError:
            found += addresses_of(one)
    return {**path, "addresses": list(dict.fromkeys(found))}


def addresses_of(name):
    """Return the IP addresses of a name, those of IPv4 first."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ingress_path.PathError(f"{name} cannot be resolved on this machine ({error.strerror}). Name an IP address in ingress_address.") from error
    return [one[4][0] for one in sorted(found, key=lambda one: one[0] != socket.AF_INET)]


def main():
    """Look, return the facts."""
    cluster_module.run(SPEC, lambda server, options: {"facts": Look(server, options).all()})


if __name__ == "__main__":
    main()
