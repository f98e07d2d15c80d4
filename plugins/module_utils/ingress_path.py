# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How requests get to a cluster's ingress controller: which one it is, its Service, addresses and ports. Pure: objects of the API in, facts out."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
REACHABLE = ("LoadBalancer", "NodePort")
# Words in the name of a controller that say nothing about which one it is.
COMMON = {"io", "com", "org", "net", "dev", "k8s", "www", "v1", "ingress", "controller", "controllers", "kubernetes", "default"}
PORTS = {"http": (80, ("http", "web")), "https": (443, ("https", "websecure", "http2-tls", "tls"))}
NAME_IT = "Name its address in ingress_address, or its Service in ingress_service."


class PathError(Exception):
    """The controller, or the way to it, is not known; the text is a sentence with what to do. `absent`: the cluster has no controller."""

    def __init__(self, text, absent=False):
        super().__init__(text)
        self.absent = absent


def choose_class(classes, wanted):
    """Return the IngressClass that is wanted, else the default one, else the only one, and None when there is none at all."""
    named = {name_of(one): one for one in classes}
    if wanted:
        if wanted not in named:
            raise PathError(f"ingress_class is {wanted}, and the cluster has {listed('IngressClass', named)}. Name one that there is.")
        return named[wanted]
    defaults = [name for name, one in named.items() if (one["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true"]
    found = defaults or list(named)
    if len(found) > 1:
        which = "default classes" if defaults else "IngressClasses, none of which is the default"
        raise PathError(f"The cluster has {len(found)} {which}. Name one in ingress_class: {', '.join(sorted(found)[:5])}.")
    return named[found[0]] if found else None


def choose_gateway(gateways, wanted):
    """Return the Gateway that is wanted (namespace/name), else the only one that is programmed, and None when there is none at all."""
    named = {full_name(one): one for one in gateways}
    if wanted:
        if wanted not in named:
            raise PathError(f"ingress_gateway is {wanted}, and the cluster has {listed('Gateway', named)}. Name one that there is, as namespace/name.")
        return named[wanted]
    if not named:
        return None
    ready = [name for name, one in named.items() if holds(one, "Programmed")]
    if len(ready) != 1:
        raise PathError(f"{len(ready)} of {len(named)} Gateways are programmed. Name one in ingress_gateway: {', '.join(sorted(named)[:5])}.")
    return named[ready[0]]


def name_of(item):
    return item["metadata"]["name"]


def full_name(item):
    return f"{item['metadata'].get('namespace', '')}/{name_of(item)}"


def listed(kind, names):
    return f"{kind} {', '.join(sorted(names)[:5])}" if names else f"no {kind}"


def holds(item, condition):
    return any(one.get("type") == condition and one.get("status") == "True" for one in (item.get("status") or {}).get("conditions") or ())


def choose_service(services, wanted, controller):
    """Return the Service of a controller (spec.controller of its class): the one that is wanted, else the only one that looks like it."""
    named = {full_name(one): one for one in services}
    if wanted:
        if wanted not in named:
            raise PathError(f"ingress_service is {wanted}, and there is no such Service. Name one as namespace/name.")
        return named[wanted]
    words = set(re.split(r"[^a-z0-9]+", controller.lower())) - COMMON - {""}
    found = {name: one for name, one in named.items() if is_entrance(one) and is_named(one, words)}
    # One that has an address from outside is where requests come in.
    found = {name: one for name, one in found.items() if balanced(one)} or found
    if len(found) != 1:
        what = f"{len(found)} Services look like it: {', '.join(sorted(found)[:5])}" if found else "no Service of type LoadBalancer or NodePort looks like it"
        raise PathError(f"Of the controller {controller} {what}. {NAME_IT}")
    return next(iter(found.values()))


def is_entrance(service):
    """Say whether requests from outside can come in by this Service."""
    return service["spec"].get("type") in REACHABLE and any(ports_of(service).values())


def is_named(service, words):
    labels = service["metadata"].get("labels") or {}
    text = " ".join([full_name(service), labels.get("app.kubernetes.io/name", ""), labels.get("app", "")]).lower()
    return any(word in text for word in words)


def balanced(service):
    """Return the addresses that a load balancer has for this Service, IP addresses and names."""
    entries = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return [one.get("ip") or one.get("hostname") for one in entries if one.get("ip") or one.get("hostname")]


def ports_of(service):
    """Return {http, https}: the Service's port for each, or None."""
    found = {}
    for scheme, (number, names) in PORTS.items():
        ports = [one for one in service["spec"].get("ports") or () if one.get("protocol", "TCP") == "TCP"]
        found[scheme] = next((one for one in ports if one.get("port") == number), None) or next((one for one in ports if one.get("name") in names), None)
    return found


def by_service(service, nodes, behind):
    """Return {via, addresses, http, https} of a Service: its load balancer, else a port of a node.

    `nodes` {name: InternalIP} of those that are Ready; `behind` the nodes on which pods of the controller are ready. PathError without an address.
    """
    name, ports, addresses = full_name(service), ports_of(service), balanced(service)
    if not behind:
        raise PathError(f"No pod behind the Service {name} of the ingress controller is ready. Repair the controller first.", absent=True)
    if addresses:
        return {"via": "load balancer", "addresses": addresses, **{scheme: port and port["port"] for scheme, port in ports.items()}}
    # With externalTrafficPolicy Local only nodes that have such a pod answer, and with Cluster they are as good as others.
    node = next((one for one in sorted(behind) if one in nodes), None)
    if node is None and service["spec"].get("externalTrafficPolicy") != "Local":
        node = next(iter(sorted(nodes)), None)
    numbers = {scheme: (port or {}).get("nodePort") for scheme, port in ports.items()}
    if node is None or not any(numbers.values()):
        raise PathError(f"The Service {name} of the ingress controller has no address of a load balancer, and no port on a node that is Ready. {NAME_IT}")
    return {"via": "node port", "addresses": [nodes[node]], "node": node, **numbers}


def by_gateway(gateway):
    """Return {via, addresses, http, https} of a Gateway; PathError when it has no address or takes no route of ours."""
    name = full_name(gateway)
    addresses = [one["value"] for one in (gateway.get("status") or {}).get("addresses") or () if one.get("value")]
    if not addresses:
        raise PathError(f"The Gateway {name} has no address. Repair it, or name its address in ingress_address.")
    found = {"via": "gateway", "addresses": addresses, "http": None, "https": None}
    for listener in gateway["spec"].get("listeners") or ():
        allowed = ((listener.get("allowedRoutes") or {}).get("namespaces") or {}).get("from", "Same")
        scheme = str(listener.get("protocol", "")).lower()
        if scheme in PORTS and allowed != "Same" and (listener.get("tls") or {}).get("mode", "Terminate") == "Terminate":
            found[scheme] = found[scheme] or listener.get("port")
    if not found["http"] and not found["https"]:
        raise PathError(f"No listener of the Gateway {name} takes routes of other namespaces. Set allowedRoutes.namespaces.from to All, or name another one.")
    return found


def by_owner(address, tls):
    """Return {via, addresses, http, https} of what the owner wrote: a host, host:port (that of https where TLS is used) or a URL."""
    text = address if "://" in address else f"//{address}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in ("", "http", "https") or parts.path not in ("", "/"):
        raise PathError(f"ingress_address is {address!r}. Write a host, host:port, or a URL such as https://192.0.2.10:8443.")
    scheme = parts.scheme or ("https" if tls else "http")
    only = bool(parts.scheme or port)
    found = {name: None if only else number for name, (number, dummy) in PORTS.items()}
    found[scheme] = port or PORTS[scheme][0]
    return {"via": "ingress_address", "addresses": [host], **found}


def require(path, tls):
    """Raise PathError when the path has no port for what is to be measured."""
    if tls and not path["https"]:
        raise PathError(f"The {path['via']} has no port for https. Set ingress_tls to none where production uses no TLS, or name the port in ingress_address.")
    if not tls and not path["http"]:
        raise PathError(f"The {path['via']} has no port for http. Set ingress_tls to the certificate that it has, or name the port in ingress_address.")


def endpoints(slices):
    """Return {pod or address: node} of the endpoints that are ready."""
    found = {}
    for one in slices:
        for endpoint in one.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is not False:
                name = (endpoint.get("targetRef") or {}).get("name") or next(iter(endpoint.get("addresses") or [""]))
                found[name] = endpoint.get("nodeName") or ""
    return found


def restarts(pods):
    """Return {pod: restarts of its containers}."""
    return {name_of(one): sum(state.get("restartCount", 0) for state in (one.get("status") or {}).get("containerStatuses") or ()) for one in pods}


def internal_address(node):
    """Return a node's InternalIP, or None."""
    return next((one.get("address") for one in (node.get("status") or {}).get("addresses") or () if one.get("type") == "InternalIP"), None)
