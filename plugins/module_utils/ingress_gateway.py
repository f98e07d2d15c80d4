# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Gateway takes an HTTPRoute of the run, by which listeners and host name, and what its controller says of it. Pure: objects of the API in, facts out."""

from __future__ import annotations

from . import ingress_path, owned, run_access
from .ingress_path import PathError, full_name, listed, matches

GROUP = "gateway.networking.k8s.io"
API = f"/apis/{GROUP}/v1"
# Below it are host names of runs; nobody has it.
DOMAIN = "ingress.kubeproof.test"
# A certificate that is not for a name which this tool chose is no fault of the cluster.
NAME_HOST = "Name in ingress_host a host name that its certificate is for, and that nothing else is served by."
# What carries the name of its Gateway, as the API's own convention (GEP-1762) and those who came before it have it.
OWNERS = (f"{GROUP}/gateway-name", "gateway.envoyproxy.io/owning-gateway-name", "io.cilium.gateway/owning-gateway", "istio.io/gateway-name")
SCHEMES = {"HTTP": "http", "HTTPS": "https"}
# What is wrong with a listener when it is said with this status.
WRONG = {"Accepted": "False", "Programmed": "False", "ResolvedRefs": "False", "Conflicted": "True"}
ACCEPTED = "accepted"
ALLOW = f"allow ours in allowedRoutes.namespaces, from All or by a selector of the label {owned.MANAGED_LABEL}: {owned.MANAGER}"


def ours(run_id, namespace, host, tls, needed):
    """Return what a Gateway is asked for: {run_id, namespace, labels of that, host or "", tls: whether it is measured, needed: also where it has none}."""
    labels = {**run_access.namespace_object(namespace, run_id, "restricted")["metadata"]["labels"], "kubernetes.io/metadata.name": namespace}
    return {"run_id": run_id, "namespace": namespace, "labels": labels, "host": host, "tls": tls, "needed": needed}


def choose(gateways, wanted, asked):
    """Return (Gateway, what `take` says of it) of the one that is wanted (namespace/name), else of the only one that takes our route.

    None when the cluster has none at all. PathError with what is wrong with the one, or with each.
    """
    named = {full_name(one): one for one in gateways}
    if wanted:
        if wanted not in named:
            raise PathError(f"ingress_gateway is {wanted}, and the cluster has {listed('Gateway', named)}. Name one that there is, as namespace/name.")
        return named[wanted], take(named[wanted], asked)
    found, refused = {}, []
    for name in sorted(named):
        try:
            found[name] = take(named[name], asked)
        except PathError as error:
            refused.append(error)
    if len(found) > 1:
        raise PathError(f"{len(found)} Gateways take our route. Name one in ingress_gateway: {', '.join(list(found)[:5])}.")
    if refused and not found:
        count = f"None of {len(refused)} Gateways can be used. " if len(refused) > 1 else ""
        raise PathError(count + " ".join(map(str, refused[:3])), absent=all(one.absent for one in refused))
    return next(((named[name], taken) for name, taken in found.items()), None)


def take(gateway, asked):
    """Return {host, http, https}: the host name of our route, and the ports of the listeners that take it, None where none does."""
    name, found, refused, listeners = full_name(gateway), [], {}, gateway["spec"].get("listeners") or ()
    _ready(gateway)
    states = {one.get("name"): one for one in (gateway.get("status") or {}).get("listeners") or ()}
    for one in listeners:
        scheme = SCHEMES.get(one.get("protocol"))
        why = scheme and _refusal(one, states.get(one.get("name")) or {}, gateway["metadata"].get("namespace"), asked)
        if why:
            refused.setdefault(scheme, []).append(f"{one.get('name')} ({one.get('protocol')} {one.get('port')}) {why}")
        elif scheme:
            found.append(one)
    there = {SCHEMES.get(one.get("protocol")) for one in listeners}
    if asked["tls"] and asked["needed"] and "https" not in there:
        raise PathError(f"The Gateway {name} has no listener for HTTPS. Give it one, or set ingress_tls to none where production uses no TLS.")
    # A listener for HTTPS that cannot be used is how production connects; where there is none, TLS is not what production uses here.
    main = "https" if asked["tls"] and "https" in there else "http"
    if main not in there:
        raise PathError(f"The Gateway {name} has no listener for {main.upper()}, which is to be measured. Give it one, or set ingress_tls to what it has.")
    usable = [one for one in found if SCHEMES[one["protocol"]] == main]
    if not usable:
        raise PathError(f"No listener of the Gateway {name} for {main.upper()} takes a route of ours: {'; '.join(refused[main][:3])}.")
    host = _host(name, [one.get("hostname") or "" for one in usable], asked, main == "https")
    return {"host": host, **{scheme: _port(found, scheme, host) for scheme in SCHEMES.values()}}


def _ready(gateway):
    """Raise PathError unless the controller says that the Gateway works."""
    said = _said(gateway.get("status"), gateway["metadata"].get("generation"))
    wrong = [text for name, (status, text) in said.items() if name in ("Accepted", "Programmed") and status != "True"]
    if "Programmed" not in said and not wrong:
        wrong = [f"its controller has not said so: is that of its class {gateway['spec'].get('gatewayClassName')} running?"]
    if wrong:
        for one in (gateway.get("status") or {}).get("listeners") or ():
            wrong += [f"listener {one.get('name')}, {text}" for text in _faults(one)]
        raise PathError(f"The Gateway {full_name(gateway)} is not programmed: {'; '.join(wrong[:3])}. Repair it first.", absent=True)


def _said(status, generation=None):
    """Return {condition: (status, what the controller says)}; a condition of an older generation is not yet known."""
    found = {}
    for one in (status or {}).get("conditions") or ():
        old = generation is not None and one.get("observedGeneration", generation) < generation
        text = " ".join(": ".join(filter(None, (one.get("reason"), one.get("message")))).split())[:300].rstrip(".")
        now = (one.get("status"), f"{one.get('type')} is {one.get('status')}: {text}")
        found[one.get("type")] = ("Unknown", "its last change was not yet looked at") if old else now
    return found


def _faults(state):
    """Return what the controller says that is wrong with a listener, a text for each condition."""
    return [text for name, (status, text) in _said(state).items() if WRONG.get(name) == status]


def _refusal(listener, state, home, asked):
    """Return why a listener takes no route of ours, "" when it does; `state` is its status, `home` the namespace of its Gateway."""
    allowed = listener.get("allowedRoutes") or {}
    if not any(one.get("kind") == "HTTPRoute" and one.get("group", GROUP) == GROUP for one in allowed.get("kinds") or [{"kind": "HTTPRoute"}]):
        return "takes no HTTPRoute (allowedRoutes.kinds)"
    if (listener.get("tls") or {}).get("mode", "Terminate") != "Terminate":
        return "passes TLS on to backends (tls.mode)"
    spaces = allowed.get("namespaces") or {}
    source = spaces.get("from", "Same")
    if source == "Same" and home != asked["namespace"]:
        return f"takes routes of its own namespace alone: {ALLOW}"
    if source == "Selector" and not _selects(spaces.get("selector") or {}, asked["labels"]):
        return f"takes routes of namespaces that its selector names, and ours is none of them: {ALLOW}"
    if source not in ("All", "Same", "Selector"):
        return f"takes routes of no namespace (allowedRoutes.namespaces.from is {source}): {ALLOW}"
    return "; ".join(_faults(state))


def _selects(selector, labels):
    """Say whether a selector of labels takes a namespace."""

    def holds(one):
        value, values = labels.get(one.get("key")), one.get("values") or ()
        answers = {"In": value in values, "NotIn": value not in values, "Exists": value is not None, "DoesNotExist": value is None}
        return answers.get(one.get("operator"), False)

    return all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items()) and all(
        holds(one) for one in selector.get("matchExpressions") or ()
    )


def _host(name, hostnames, asked, with_tls):
    """Return the host name of our route: the owner's, else one of the run's own that a listener takes.

    With TLS it is below the hostname of a listener, whose certificate is for that; where a listener has none, only the owner knows.
    """
    there = ", ".join(sorted(filter(None, hostnames))[:5])
    if asked["host"]:
        if any(matches(one, asked["host"]) for one in hostnames):
            return asked["host"]
        text = f"ingress_host is {asked['host']}, and the listeners of the Gateway {name} are for {there}."
        raise PathError(f"{text} Write one that they take, or leave it empty.")
    candidates = [default_host(asked["run_id"]), *(asked["run_id"] + one[1:] for one in hostnames if one.startswith("*."))]
    found = next((one for one in candidates if any(matches(hostname, one) for hostname in hostnames if hostname or not with_tls)), None)
    if found is None and "" in hostnames:
        raise PathError(f"The listener of the Gateway {name} for HTTPS has no hostname, so which names its certificate is for is not known. {NAME_HOST}")
    if found is None:
        # A route of ours for a host name that is served already would take requests of others.
        raise PathError(f"The listeners of the Gateway {name} are for {there} alone. Add one such as *.{DOMAIN}, or measure what is there by ingress_url.")
    return found


def default_host(run_id):
    """Return the host name of a run where nothing asks for another one."""
    return f"{run_id}.{DOMAIN}"


def _port(listeners, scheme, host):
    """Return the port of the listener that a controller asks first for a host name, None without one."""
    fit = [one for one in listeners if SCHEMES[one["protocol"]] == scheme and matches(one.get("hostname") or "", host)]
    return max(fit, key=_weight)["port"] if fit else None


def _weight(listener):
    """Return what makes a listener come before others: a whole host name, then the longest."""
    hostname = listener.get("hostname") or ""
    return bool(hostname) and not hostname.startswith("*"), len(hostname)


def rival(gateway, routes, host, run_id):
    """Return the HTTPRoute of somebody else that already has our host name at this Gateway, also by a wildcard, or None.

    One without hostnames has those of its listeners. Where those have none either, nobody has named our host name.
    """
    listeners = [one for one in gateway["spec"].get("listeners") or () if one.get("hostname")]
    for route in routes:
        spec = route.get("spec") or {}
        home = route["metadata"].get("namespace")
        parents = [one for one in spec.get("parentRefs") or () if f"{one.get('namespace') or home}/{one.get('name')}" == full_name(gateway)]
        at = {one["hostname"] for one in listeners for parent in parents if parent.get("sectionName", one.get("name")) == one.get("name")}
        if parents and any(matches(one, host) for one in spec.get("hostnames") or at) and not owned.is_of(route, run_id):
            return full_name(route)
    return None


# The way to it -----------------------------------------------------------------------------------------------------------------


def service_of(services, wanted, gateway, controller):
    """Return the Service before the pods of a Gateway: the one that is wanted, that carries the Gateway's name, or looks like its controller; else None."""
    name = ingress_path.name_of(gateway)
    labelled = [one for one in services if any((one["metadata"].get("labels") or {}).get(label) == name for label in OWNERS)]
    # Those of Gateways of the same name in other namespaces; some controllers keep all in one of their own.
    near = [one for one in labelled if one["metadata"].get("namespace") == gateway["metadata"].get("namespace")] or labelled
    if not wanted and near:
        return near[0] if len(near) == 1 else None
    try:
        return ingress_path.choose_service(services, wanted, controller)
    except PathError:
        if wanted:
            raise
        return None


def way(gateway, taken, service, targets, nodes, behind):
    """Return the path to a Gateway: its addresses, else those of its Service (None where that is not known); PathError without either.

    `targets` {name of a port: that of the pods}: a listener's port is one at the address, but for controllers whose listeners name ports of their pods.
    """
    name = full_name(gateway)
    entries = (gateway.get("status") or {}).get("addresses") or ()
    addresses = [one["value"] for one in entries if one.get("value") and one.get("type", "IPAddress") in ("IPAddress", "Hostname")]
    ports = {scheme: _at_service(service, taken[scheme], targets) for scheme in SCHEMES.values()}
    if service is None and not addresses:
        raise PathError(f"The Gateway {name} has no address that can be used. Repair it, or name one in ingress_address, or its Service in ingress_service.")
    if not addresses:
        return ingress_path.by_service(service, nodes, behind, ports)
    if service is not None:
        ingress_path.require_pods(service, behind)
    proxied = ingress_path.proxied(service) if service else []
    numbers = {scheme: port["port"] if port else taken[scheme] for scheme, port in ports.items()}
    return {"via": "gateway", "addresses": addresses, "kube_proxy": set(addresses) <= set(proxied), **numbers}


def _at_service(service, number, targets):
    """Return the port of a Service that leads to the port of a listener, or None."""
    ports = [one for one in (service or {"spec": {}})["spec"].get("ports") or () if number and one.get("protocol", "TCP") == "TCP"]
    same = [one for one in ports if one.get("port") == number]
    return next(iter(same + [one for one in ports if targets.get(one.get("name") or "") == number]), None)


# Our route ---------------------------------------------------------------------------------------------------------------------


def state_of(route, gateway):
    """Return "accepted", or what the controller of a Gateway (namespace/name) says against our route; "" while it has said nothing."""
    home, texts = route["metadata"].get("namespace"), []
    for parent in (route.get("status") or {}).get("parents") or ():
        reference = parent.get("parentRef") or {}
        if f"{reference.get('namespace') or home}/{reference.get('name')}" != gateway:
            continue
        said = _said(parent, route["metadata"].get("generation"))
        wrong = [text for name, (status, text) in said.items() if name in ("Accepted", "ResolvedRefs") and status == "False"]
        # Whether the backends are found shows by their answers, where a controller does not say it.
        known = said.get("Accepted", ("",))[0] == said.get("ResolvedRefs", ("True",))[0] == "True"
        texts += wrong or ([ACCEPTED] if known else [])
    return next((text for text in texts if text != ACCEPTED), ACCEPTED if texts else "")
