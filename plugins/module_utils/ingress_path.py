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
COMMON |= {"gateway", "gateways", "gatewayclass", "networking"}
# What the name of a Service has that is a controller's and no application's.
KINDS = ("ingress", "controller", "gateway")
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


def name_of(item):
    return item["metadata"]["name"]


def full_name(item):
    return f"{item['metadata'].get('namespace', '')}/{name_of(item)}"


def listed(kind, names):
    return f"{kind} {', '.join(sorted(names)[:5])}" if names else f"no {kind}"


def holds(item, condition):
    return any(one.get("type") == condition and one.get("status") == "True" for one in (item.get("status") or {}).get("conditions") or ())


def choose_service(services, wanted, controller):
    """Return the Service of a controller (spec.controller of its class): the one that is wanted, else the only one that looks most like it."""
    named = {full_name(one): one for one in services}
    if wanted:
        if wanted not in named:
            raise PathError(f"ingress_service is {wanted}, and there is no such Service. Name one as namespace/name.")
        return named[wanted]
    words = words_of(controller)
    alike = {name: likeness(one, words) for name, one in named.items()}
    most = max(alike.values(), default=0)
    # That of ingress-nginx looks a little like internal-ingress-nginx, too, whose own may be none that requests come in by.
    found = {name: named[name] for name, count in alike.items() if count and count == most and is_entrance(named[name])}
    _refuse_strangers(found, [named[name] for name, count in alike.items() if count and count == most], words, controller)
    # Of several before the same pods, the one with an address from outside is where requests come in. Before others it may be another controller's.
    if len({pods_of(one) for one in found.values()}) == 1:
        found = {name: one for name, one in found.items() if balanced(one)} or found
    if len(found) != 1:
        what = f"{len(found)} Services look like it: {', '.join(sorted(found)[:5])}" if found else "no Service of type LoadBalancer or NodePort looks like it"
        raise PathError(f"Of the controller {controller} {what}. {NAME_IT}")
    return next(iter(found.values()))


def words_of(controller):
    """Return the words in the name of a controller that say which one it is."""
    return set(re.split(r"[^a-z0-9]+", controller.lower())) - COMMON - {""}


def _refuse_strangers(found, best, words, controller):
    """Raise PathError where the Services found may be those of an application.

    So it is where another one elsewhere is as much like the controller, and no entrance, and where nothing but a word in their own name is like it.
    """
    homes = {one["metadata"]["namespace"] for one in found.values()}
    other = next((one for one in best if found and not is_entrance(one) and one["metadata"]["namespace"] not in homes), None)
    if other:
        what = f"{full_name(other)}, by which nothing comes in from outside, looks as much like it as {', '.join(sorted(found)[:5])}"
        raise PathError(f"Of the controller {controller} {what}. {NAME_IT}")
    if found and not any(_signs(one, words) for one in found.values()):
        what = f"{', '.join(sorted(found)[:5])} {'is' if len(found) == 1 else 'are'} called like it and may be an application's"
        raise PathError(f"Of the controller {controller} {what}: neither its namespace nor its label app.kubernetes.io/name says that it is one. {NAME_IT}")


def _signs(service, words):
    """Say whether more than a word in its own name is like a controller's: an application may be called web-nginx."""
    name, labels = name_of(service).lower(), service["metadata"].get("labels") or {}
    text = " ".join([service["metadata"]["namespace"], *(labels.get(f"app.kubernetes.io/{label}") or "" for label in ("name", "part-of"))]).lower()
    return any(word in text or (word in name and any(kind in name for kind in KINDS)) for word in words)


def is_entrance(service):
    """Say whether requests from outside can come in by this Service."""
    return service["spec"].get("type") in REACHABLE and any(ports_of(service).values())


def likeness(service, words):
    """Return how many words of its controller's name are in that of a Service, its namespace and its application."""
    labels = service["metadata"].get("labels") or {}
    text = " ".join([full_name(service), labels.get("app.kubernetes.io/name", ""), labels.get("app", "")]).lower()
    return sum(word in text for word in words)


def pods_of(service):
    """Return what selects the pods of a Service, the same for Services that have the same ones."""
    return service["metadata"].get("namespace"), frozenset((service["spec"].get("selector") or {}).items())


def balanced(item):
    """Return the addresses that a load balancer has for this Service or Ingress, IP addresses and names; none that it says it cannot serve a port of."""
    return [one.get("ip") or one.get("hostname") for one in _entries(item)]


def proxied(service):
    """Return those of them that kube-proxy leads to the Service by itself, so that no request from within the cluster sees the load balancer."""
    return [one["ip"] for one in _entries(service) if one.get("ip") and one.get("ipMode", "VIP") == "VIP"]


def _entries(item):
    entries = ((item.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    broken = [one for one in entries if any(port.get("error") for port in one.get("ports") or ())]
    return [one for one in entries if (one.get("ip") or one.get("hostname")) and one not in broken]


def ports_of(service):
    """Return {http, https}: the Service's port for each, or None."""
    found = {}
    for scheme, (number, names) in PORTS.items():
        ports = [one for one in service["spec"].get("ports") or () if one.get("protocol", "TCP") == "TCP"]
        found[scheme] = next((one for one in ports if one.get("port") == number), None) or next((one for one in ports if one.get("name") in names), None)
    return found


def by_service(service, nodes, behind, ports=None):
    """Return {via, addresses, http, https} of a Service: its load balancer, else a port of a node.

    `nodes` {name: InternalIP} of those that are Ready; `behind` the nodes on which pods of the controller are ready; `ports` {http, https} of the Service
    where it is known which ones they are. PathError without an address.
    """
    name, ports, addresses = full_name(service), ports or ports_of(service), balanced(service)
    require_pods(service, behind)
    if addresses:
        numbers = {scheme: port and port["port"] for scheme, port in ports.items()}
        return {"via": "load balancer", "addresses": addresses, "kube_proxy": set(addresses) <= set(proxied(service)), **numbers}
    # With externalTrafficPolicy Local only nodes that have such a pod answer, and with Cluster they are as good as others.
    node = next((one for one in sorted(behind) if one in nodes), None)
    if node is None and service["spec"].get("externalTrafficPolicy") != "Local":
        node = next(iter(sorted(nodes)), None)
    numbers = {scheme: (port or {}).get("nodePort") for scheme, port in ports.items()}
    if node is None or not any(numbers.values()):
        raise PathError(f"The Service {name} of the ingress controller has no address of a load balancer, and no port on a node that is Ready. {NAME_IT}")
    return {"via": "node port", "addresses": [nodes[node]], "node": node, **numbers}


def require_pods(service, behind):
    """Raise PathError when no pod behind a Service is ready."""
    if not behind:
        raise PathError(f"No pod behind the Service {full_name(service)} of the ingress controller is ready. Repair the controller first.", absent=True)


def by_status(ingress):
    """Return {via, addresses, http, https} of what the status of our Ingress says; None while it has no address."""
    entries = _entries(ingress)
    if not entries:
        return None
    told = {port.get("port") for one in entries for port in one.get("ports") or ()}
    numbers = {scheme: number if not told or number in told else None for scheme, (number, dummy) in PORTS.items()}
    return {"via": "ingress status", "addresses": balanced(ingress), **numbers}


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


def without_port(address):
    """Raise PathError where the owner wrote a port beside ingress_url, whose own port is asked."""
    found = urlsplit(address if "://" in address else f"//{address}")
    if "://" in address or found.port:
        raise PathError(f"ingress_address is {address!r}. With ingress_url write a host alone: scheme and port are those of the URL.")


def require(path, tls):
    """Raise PathError when the path has no port for what is to be measured."""
    if tls and not path["https"]:
        raise PathError(f"The {path['via']} has no port for https. Set ingress_tls to none where production uses no TLS, or name the port in ingress_address.")
    if not tls and not path["http"]:
        raise PathError(f"The {path['via']} has no port for http. Set ingress_tls to the certificate that it has, or name the port in ingress_address.")


def said(path, tls):
    """Return the way in a few words, for the certificate."""
    if path["via"] == "ingress_url":
        return "ingress_url" + (f" at {path['addresses'][0]}" if path["addresses"] else "")
    address, port = path["addresses"][0], path["https"] if tls and path["https"] else path["http"]
    where = f"{path.get('node') or (f'[{address}]' if ':' in address else address)}:{port}"
    # Who reads it must know that no request has seen the load balancer.
    return f"{path['via']} {where}" + (", led there by kube-proxy" if path.get("kube_proxy") else "")


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
    """Return {pod: restarts of its containers}, without pods that have ended: such as were evicted stay for a while, and go when somebody clears them away."""
    states = {name_of(one): one.get("status") or {} for one in pods}
    alive = {name: state for name, state in states.items() if state.get("phase") not in ("Failed", "Succeeded")}
    return {name: sum(one.get("restartCount", 0) for one in state.get("containerStatuses") or ()) for name, state in alive.items()}


def owners(pods):
    """Return {(kind, name)} of what makes the pods; None where one of them has no such owner."""
    found = {next(((one.get("kind"), one.get("name")) for one in pod["metadata"].get("ownerReferences") or () if one.get("controller")), None) for pod in pods}
    return None if not found or None in found else found


def replicas(owner):
    """Return how many pods a ReplicaSet, StatefulSet or DaemonSet asks for."""
    number = (owner.get("status") or {}).get("desiredNumberScheduled", (owner.get("spec") or {}).get("replicas"))
    return number if isinstance(number, int) else 1


def rival(ingresses, hosts, is_ours):
    """Return (Ingress of somebody else, its host) that takes requests for one of our host names, or None."""
    for one in ingresses:
        for rule in (one.get("spec") or {}).get("rules") or ():
            if rule.get("host") and not is_ours(one) and any(matches(rule["host"], host) for host in hosts):
                return full_name(one), rule["host"]
    return None


def matches(hostname, host):
    """Say whether the hostname of a listener or a rule takes a host name; an empty one takes every host name."""
    hostname, host = hostname.lower(), host.lower()
    return not hostname or hostname == host or (hostname.startswith("*.") and host.endswith(hostname[1:]) and len(host) >= len(hostname))


def internal_address(node):
    """Return a node's InternalIP, or None."""
    return next((one.get("address") for one in (node.get("status") or {}).get("addresses") or () if one.get("type") == "InternalIP"), None)
