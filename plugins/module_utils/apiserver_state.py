# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a control plane says about itself, as facts. Pure: objects of the API in, facts out; of each node only what is needed is kept."""

from __future__ import annotations

import re
from collections import Counter

from . import job_spec, owned

ZONES = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
PAUSE = re.compile(r"(?:.*/)?pause:[^/@]+")
BLOCKING = ("NoSchedule", "NoExecute")
NAMES = 100
NOT_READY = 10
# What the load creates.
CREATED = ("pods", "configmaps")
# What modules take that look for places of the load (doc_fragments/places.py).
PLACES: dict = {name: {"type": "list", "elements": "str", "default": []} for name in ("nodes", "zones")}


class PlaceError(Exception):
    """The load cannot run where it was to; the text is a sentence that says why and what to do."""


class Nodes:
    """Counts nodes one at a time. `addresses` are those whose node's name is wanted, `image` the wanted one or empty for a pause image.

    Schedulable are nodes with Linux that are Ready and take pods with `tolerations`; of those `only` names alone, and in `zones` alone, empty for all.
    """

    def __init__(self, tolerations=(), addresses=(), image="", slots_of=(), only=(), zones=()):
        self.tolerations, self.wanted, self.image, self.slots_of = list(tolerations), set(addresses), image, set(slots_of)
        self.only, self.inside, self.seen = set(only), set(zones), set()
        self.count = self.ready = self.allocatable = 0
        self.not_ready, self.schedulable = [], []
        self.zones, self.versions, self.runtimes, self.images = Counter(), Counter(), Counter(), Counter()
        self.named, self.capacity = {}, {}

    def add(self, node):
        """Count one node."""
        metadata, spec, state = (node.get(key) or {} for key in ("metadata", "spec", "status"))
        name, about, labels = metadata.get("name") or "", state.get("nodeInfo") or {}, metadata.get("labels") or {}
        zone = next((labels[label] for label in ZONES if label in labels), "")
        self.seen.update((name, zone))
        self.count += 1
        self.versions[about.get("kubeletVersion") or "unknown"] += 1
        self.runtimes[about.get("containerRuntimeVersion") or "unknown"] += 1
        self.named.update({one.get("address"): name for one in state.get("addresses") or () if one.get("address") in self.wanted})
        pods = whole((state.get("allocatable") or {}).get("pods"))
        if name in self.slots_of:
            self.capacity[name] = pods
        if not is_ready(state):
            self.not_ready.append(name)
            return
        self.ready += 1
        if spec.get("unschedulable") or any(not tolerated(taint, self.tolerations) for taint in spec.get("taints") or ()):
            return
        if labels.get(job_spec.SYSTEM, "linux") != "linux" or self.only and name not in self.only or self.inside and zone not in self.inside:
            return
        self.schedulable.append((zone, name))
        self.zones.update([zone] if zone else [])
        self.allocatable += pods
        self.images.update(self._of_interest(state.get("images") or ()))

    def _of_interest(self, images):
        names = {name for image in images for name in image.get("names") or ()}
        if self.image:
            return [self.image] if any(is_listed(self.image, name) for name in names) else []
        return [name for name in names if PAUSE.fullmatch(name)]

    def refuse_unknown(self):
        """PlaceError when no node has a name in `only` or a zone in `zones`: from fewer of them it would be another load."""
        names = sorted((self.only | self.inside) - self.seen)
        if names:
            raise PlaceError(f"certify_load_nodes or certify_load_zones has {', '.join(names)}, and no node has that name or zone. Correct it.")

    def facts(self):
        """Return {nodes, image}."""
        nodes = {"count": self.count, "ready": self.ready, "not_ready": self.not_ready[:NOT_READY], "schedulable": len(self.schedulable)}
        nodes.update(names=spread(self.schedulable, NAMES), zones=dict(self.zones), versions=dict(self.versions), runtimes=dict(self.runtimes))
        name, having = min(self.images.items(), key=lambda one: (-one[1], one[0]), default=(self.image, 0))
        # A kubelet lists its largest images only, so that one which is not listed may be there.
        return {"nodes": nodes, "image": {"name": name, "nodes_with": having, "known": 0 < having == len(self.schedulable)}}


def whole(text):
    """Return a quantity that is a whole number of pods, 0 for anything else: what is not known is no room."""
    # The API server writes 1000 as 1k.
    found = re.fullmatch(r"([0-9]{1,9})(k?)", str(text))
    return int(found[1]) * (1000 if found[2] else 1) if found else 0


def is_ready(state):
    """Return whether the status of a node says that it is Ready."""
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in state.get("conditions") or ())


def tolerated(taint, tolerations):
    """Return whether a pod with these tolerations may be put on a node with this taint; an operator that is not known tolerates nothing."""
    if taint.get("effect") not in BLOCKING:
        return True
    return any(tolerates(one, taint) for one in tolerations)


def tolerates(toleration, taint):
    """Return whether one toleration matches one taint, by the rules of Kubernetes."""
    operator, key = toleration.get("operator") or "Equal", toleration.get("key") or ""
    if (toleration.get("effect") or taint.get("effect")) != taint.get("effect"):
        return False
    if operator == "Exists":
        return key in ("", taint.get("key"))
    return operator == "Equal" and key == taint.get("key") and (toleration.get("value") or "") == (taint.get("value") or "")


def spread(places, most):
    """Return at most `most` names of [(zone, name)], taken from the zones in turn and sorted within each."""
    zones = {}
    for zone, name in sorted(places):
        zones.setdefault(zone, []).append(name)
    turns = sorted((turn, zone, name) for zone, names in zones.items() for turn, name in enumerate(names))
    return [name for dummy, dummy, name in turns[:most]]


def is_listed(image, listed):
    """Say whether a runtime lists `image` as `listed`: with its tag, and a short name with the registry that the runtime completes it by."""
    tagged = image if "@" in image or ":" in image.rpartition("/")[2] else f"{image}:latest"
    first, slash, dummy = tagged.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return tagged == listed
    return listed.partition("/")[2] == (tagged if slash else f"library/{tagged}")


def registered(slices):
    """Return {address: URL} of the API servers in the EndpointSlices of the service default/kubernetes; every one of them registers there."""
    found = {}
    for one in slices:
        ports = [port.get("port") for port in one.get("ports") or () if port.get("port") and port.get("name") in (None, "", "https")]
        for endpoint in one.get("endpoints") or ():
            for address in endpoint.get("addresses") or () if ports else ():
                found[address] = f"https://{f'[{address}]' if ':' in address else address}:{ports[0]}"
    return found


def named(urls, names):
    """Return {name: URL} from {address: URL} and {address: name of the node}; a server whose node has another one keeps its address as name."""
    twice = {name for name, count in Counter(names.get(address) for address in urls).items() if count > 1}
    return {names[address] if names.get(address, "") not in (twice | {""}) else address: url for address, url in urls.items()}


def total(page):
    """Return how many objects there are from a list with limit=1, None when the server does not say."""
    metadata = page.get("metadata") or {}
    remaining = metadata.get("remainingItemCount")
    if metadata.get("continue") and remaining is None:
        return None
    return len(page.get("items") or ()) + (remaining or 0)


def unavailable(service):
    """Return whether an APIService is not Available."""
    conditions = (service.get("status") or {}).get("conditions") or ()
    return not any(one.get("type") == "Available" and one.get("status") == "True" for one in conditions)


def terminating(metadata, now):
    """Return for how many seconds an object is being deleted, None if it is not."""
    since = owned.seconds_of(metadata.get("deletionTimestamp"))
    return None if since is None else max(0, round(now - since))


def run_of(item):
    """Return the run that an object is of, None when it lacks one of our labels."""
    return item["metadata"]["labels"][owned.RUN_LABEL] if owned.is_of(item, owned.EVERY_RUN) else None


def blocking_webhooks(configuration, kind):
    """Return [{name, kind, timeout}] of the webhooks that can refuse what the load creates: failurePolicy Fail, and a rule for it.

    Selectors are not looked at: which namespaces and objects they leave out may change.
    """
    return [
        {"name": hook.get("name"), "kind": kind, "timeout": hook.get("timeoutSeconds") or 10}
        for hook in configuration.get("webhooks") or ()
        if (hook.get("failurePolicy") or "Fail") == "Fail" and any(map(matches, hook.get("rules") or ()))
    ]


def matches(rule):
    """Return whether a rule of a webhook is for the creation of pods or ConfigMaps."""
    scope = rule.get("scope") or "*"
    wanted = (("operations", {"CREATE"}), ("apiGroups", {""}), ("apiVersions", {"v1"}), ("resources", {*CREATED, "*/*"}))
    return scope in ("*", "Namespaced") and all({*values, "*"} & set(rule.get(key) or ()) for key, values in wanted)
