# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How large a cluster is beside what Kubernetes is tested with, and whose pods hollow nodes would get. Pure; of each object only what is counted is kept."""

from __future__ import annotations

from collections import Counter
from typing import Any, Dict, List

from . import apiserver_state, owned, scale_hollow

DAEMON = "DaemonSet"
SHOWN = 20


class Census:
    """Counts objects one at a time. `nodes`: names of the run's hollow nodes; what is of the run itself is not the cluster's."""

    def __init__(self, run_id):
        self.run_id, self.hollow = run_id, set()
        self.totals: Counter = Counter()
        self.spaces: Dict[str, Counter] = {"pods": Counter(), "services": Counter(), "deployments": Counter()}
        self.on_node: Counter = Counter()
        self.endpoints: Counter = Counter()
        self.strangers: List[dict] = []
        self.clouds: Counter = Counter()
        self.ranges = self.orphans = 0

    def node(self, item):
        name, spec = item["metadata"]["name"], item.get("spec") or {}
        if owned.is_of(item, self.run_id):
            self.hollow.add(name)
            return
        self.totals["nodes"] += 1
        self.ranges += bool(spec.get("podCIDR"))
        self.clouds.update([(spec.get("providerID") or "none").partition(":")[0]])

    def pod(self, item):
        """Count a pod; nodes have to be counted before."""
        spec, metadata = item.get("spec") or {}, item["metadata"]
        place, ours = spec.get("nodeName") or "", owned.is_of(item, self.run_id)
        # One that outlives its node is removed by the controller manager within a minute.
        self.orphans += place.startswith(f"{scale_hollow.NAMED}{self.run_id}-") and place not in self.hollow
        if place in self.hollow and not ours:
            kind = next((one.get("kind") for one in metadata.get("ownerReferences") or () if one.get("controller")), None)
            self.strangers.append({"pod": f"{metadata.get('namespace')}/{metadata['name']}", "node": place, "kind": kind or "Pod"})
        if ours or (item.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return
        self.totals["pods"] += 1
        self.spaces["pods"][metadata.get("namespace")] += 1
        self.on_node.update([place] if place else [])

    def thing(self, kind, item):
        """Count a namespace, a Service or a Deployment."""
        if owned.is_of(item, self.run_id):
            return
        self.totals[kind] += 1
        if kind in self.spaces:
            self.spaces[kind][item["metadata"].get("namespace")] += 1

    def slice(self, item):
        metadata = item["metadata"]
        service = (metadata.get("labels") or {}).get("kubernetes.io/service-name")
        if service and not owned.is_of(item, self.run_id):
            # Of the two families of addresses a Service with both has each endpoint twice.
            self.endpoints[metadata.get("namespace"), service, item.get("addressType")] += len(item.get("endpoints") or ())

    def facts(self) -> dict:
        """Return {size: {what: number}, hollow, strangers, clouds, ranges, orphans}."""
        size = {
            **{name: self.totals[name] for name in ("nodes", "namespaces", "pods", "services")},
            "pods_per_node": max(self.on_node.values(), default=0),
            "endpoints_per_service": max(self.endpoints.values(), default=0),
            **{f"{kind}_per_namespace": max(counted.values(), default=0) for kind, counted in self.spaces.items()},
        }
        daemons = [one for one in self.strangers if one["kind"] == DAEMON]
        others = [one for one in self.strangers if one["kind"] != DAEMON]
        strangers = {"daemons": len(daemons), "others": len(others), "pods": (others + daemons)[:SHOWN]}
        return {"size": size, "hollow": len(self.hollow), "strangers": strangers, "clouds": dict(self.clouds), "ranges": self.ranges,
                "orphans": self.orphans}  # fmt: skip


def guests(kind, items, run_id, engine) -> List[str]:
    """Return which of these workloads would put pods on a hollow node, as namespace/name."""
    node = {"labels": scale_hollow.labels(run_id, engine), "name": ""}
    return [
        f"{kind} {item['metadata'].get('namespace')}/{item['metadata']['name']}"
        for item in items
        if not owned.is_of(item, run_id) and fits(((item.get("spec") or {}).get("template") or {}).get("spec") or {}, node)
    ]


def fits(pod, node) -> bool:
    """Return whether the scheduler may put a pod on a hollow node: it tolerates the taint, and nothing that it asks for is missing."""
    if not apiserver_state.tolerated(scale_hollow.TAINT, pod.get("tolerations") or ()):
        return False
    if any(node["labels"].get(name) != value for name, value in (pod.get("nodeSelector") or {}).items()):
        return False
    required = ((pod.get("affinity") or {}).get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(term_fits(term, node) for term in required.get("nodeSelectorTerms") or ())


def term_fits(term, node) -> bool:
    """Return whether one term of an affinity fits; an empty one fits nothing, and a node's name is none of a hollow node."""
    expressions = term.get("matchExpressions") or ()
    if term.get("matchFields") or not expressions:
        return bool(term.get("matchFields")) and all(one.get("operator") == "NotIn" for one in term["matchFields"]) and _all(expressions, node)
    return _all(expressions, node)


def _all(expressions, node) -> bool:
    return all(expression_fits(one, node["labels"]) for one in expressions)


def expression_fits(expression, labels) -> bool:
    """Return whether labels meet one expression. What compares numbers may fit where the label is there, which is told."""
    key, operator, values = expression.get("key"), expression.get("operator"), expression.get("values") or ()
    there = key in labels
    known = {"In": there and labels.get(key) in values, "NotIn": not there or labels[key] not in values, "Exists": there, "DoesNotExist": not there}
    return known.get(operator, there)


def envelope(size: Dict[str, Any], limits: Dict[str, Any], factors=(1, 2, 3)) -> Dict[str, dict]:
    """Return {what at a size: {value, limit, share}}: the cluster now and grown, beside what Kubernetes is tested with.

    All grows with the number of nodes, but not what one node or one Service has: more pods are behind more Services.
    """
    found = {}
    for factor in factors:
        for name, limit in limits.items():
            value = size.get(name)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                grown = value * (1 if name.endswith(("_per_node", "_per_service")) else factor)
                found[f"{name.replace('_', ' ')} at {factor}x"] = {"value": grown, "limit": limit, "share": grown / limit}
    return found
