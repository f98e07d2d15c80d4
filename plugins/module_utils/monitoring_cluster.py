# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster that is watched: what a scrape configuration has to know of it, and our dashboards and rules in it. Runs on the controller only."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Dict, List

from .cluster import ClusterError
from .monitoring_objects import OWNER, RULES, stale
from .monitoring_scrape import DNS, INGRESS
from .owned import selector

POLL = 0.5
SYSTEM = "kube-system"
APPLY = "application/apply-patch+yaml"
KINDS = {"ConfigMap": "/api/v1/namespaces/{namespace}/configmaps", "PrometheusRule": f"/apis/{RULES}/namespaces/{{namespace}}/prometheusrules"}


def look(server: Any, options: Mapping) -> Dict[str, Any]:
    """Return {kubernetes, ingress, namespaces, found, rules}: the version, which ingress controller there is and where, targets, and the operator's API."""
    pods = {"dns": _pods(server, DNS["selector"])}
    ingress = options["ingress"] or next((name for name, known in INGRESS.items() if _pods(server, known["selector"])), "")
    if ingress:
        pods["ingress"] = _pods(server, INGRESS[ingress]["selector"])
    endpoints = server.request("GET", "/api/v1/namespaces/default/endpoints/kubernetes").get("subsets") or []
    ports = [(address["ip"], port) for one in endpoints for address in one.get("addresses", []) for port in one["ports"]]
    places = [f"{address}:{port['port']}" for address, port in ports if port["name"] == "https"]
    nodes = [one["metadata"]["name"] for one in server.items("/api/v1/nodes")]
    spaces = {kind: _space(found) for kind, found in pods.items()}
    return {
        "kubernetes": server.request("GET", "/version").get("gitVersion", ""),
        "ingress": ingress,
        "namespaces": spaces,
        "found": {"apiservers": places, "nodes": nodes, "pods": {kind: _placed(found, spaces[kind]) for kind, found in pods.items()}},
        "rules": has_rules(server),
        "server": server.server,
    }


def _pods(server: Any, wanted: str) -> List[dict]:
    return [one for one in server.items("/api/v1/pods", labelSelector=wanted) if one.get("status", {}).get("phase") == "Running"]


def _space(pods: Sequence) -> str:
    """Return the namespace of these pods, "" for none. A copy of CoreDNS in another one is not the cluster's; else most pods decide, then the name."""
    names = [one["metadata"]["namespace"] for one in pods]
    return max(sorted(set(names)), key=lambda name: (name == SYSTEM, names.count(name)), default="")


def _placed(pods: Sequence, namespace: str) -> Dict[str, str]:
    return {one["metadata"]["name"]: one["spec"].get("nodeName", "") for one in pods if one["metadata"]["namespace"] == namespace}


def has_rules(server: Any) -> bool:
    """Say whether the cluster has the operator's PrometheusRules."""
    try:
        known = server.request("GET", f"/apis/{RULES}").get("resources", [])
    except ClusterError as error:
        if error.status == 404:
            return False
        raise
    return any(one.get("name") == "prometheusrules" for one in known)


def present(server: Any, namespace: str) -> List[dict]:
    """Return our objects in a namespace."""
    kinds = [kind for kind in KINDS if kind != "PrometheusRule" or has_rules(server)]
    found = []
    for kind in kinds:
        items = server.items(KINDS[kind].format(namespace=namespace), labelSelector=selector(OWNER))
        found += [{**one, "kind": kind} for one in items]
    return found


def keep(server: Any, namespace: str, wanted: Sequence, dry: bool) -> Dict[str, List[str]]:
    """Make the cluster have exactly these of our objects; return {changed, removed}, names as kind/name."""
    before = present(server, namespace)
    versions = {name_of(one): one["metadata"]["resourceVersion"] for one in before}
    query = {"fieldManager": "kubeproof", "force": "true", **({"dryRun": "All"} if dry else {})}
    changed = []
    for one in wanted:
        after = server.request("PATCH", path_of(one, namespace), one, query, APPLY)
        if versions.get(name_of(one)) != after["metadata"].get("resourceVersion"):
            changed.append(name_of(one))
    old = stale(before, wanted)
    if not dry:
        for one in old:
            server.delete(path_of(one, namespace))
    return {"changed": changed, "removed": [name_of(one) for one in old]}


def remove(server: Any, namespace: str, timeout: float) -> Dict[str, List[str]]:
    """Delete our objects and wait until they are gone; return {removed, left}."""
    before = present(server, namespace)
    for one in before:
        server.delete(path_of(one, namespace))
    limit = time.monotonic() + timeout
    left = present(server, namespace)
    while left and time.monotonic() < limit:
        time.sleep(POLL)
        left = present(server, namespace)
    return {"removed": [name_of(one) for one in before], "left": [name_of(one) for one in left]}


def path_of(one: Mapping, namespace: str) -> str:
    """Return where an object is."""
    return f"{KINDS[one['kind']].format(namespace=namespace)}/{one['metadata']['name']}"


def name_of(one: Mapping) -> str:
    """Return kind/name of an object."""
    return f"{one['kind']}/{one['metadata']['name']}"
