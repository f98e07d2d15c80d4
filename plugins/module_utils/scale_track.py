# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How pods of Deployments come and go, and how EndpointSlices follow them, as watches show it by the observer's own clock.

A time is when something was seen: late after a lost connection, never early. Two watches have no common order, so a slice that was seen before its
pod is no delay.
"""

from __future__ import annotations

import threading
from typing import Dict, Optional

from .pod_rows import distribution
from .pod_watch import dig, entries, reached, text_of, troubles
from .scale_objects import GROUP_LABEL

# Of pods, the phases that say something about controllers and the scheduler; hollow kubelets have no sandbox and pull nothing.
PHASES = ("scheduled", "started", "ready")
MOST_REASONS = 10
BINS = 5.0


class Pod:
    """One pod: when each phase was seen, when a slice had it as ready, when it was seen to go, and when no slice had it any more."""

    __slots__ = ("group", "space", "node", "phases", "listed", "going", "unlisted", "gone", "why")

    def __init__(self, group, space):
        self.group, self.space, self.node, self.phases, self.why = group, space, "", {}, ""
        self.listed = self.going = self.unlisted = self.gone = None


class Tracker:
    """All pods of a load. Methods may be called from several threads."""

    def __init__(self, served):
        """`served`: the Deployments that have a Service."""
        self.served, self.pods, self.slices, self.homes = set(served), {}, {}, {}
        self.closed = False
        self._ended: Dict[str, float] = {}
        self._lock = threading.Lock()

    def close(self):
        with self._lock:
            self.closed = True

    def see_pod(self, kind, item, now):
        """Take an event of the watch for pods."""
        uid, group = text_of(item, "metadata", "uid"), text_of(item, "metadata", "labels", GROUP_LABEL)
        with self._lock:
            if not uid or not group or self.closed:
                return
            pod = self.pods.setdefault(uid, Pod(group, text_of(item, "metadata", "namespace")))
            pod.node = text_of(item, "spec", "nodeName") or pod.node
            for phase in reached(item):
                pod.phases.setdefault(phase, now)
            pod.why = "; ".join(troubles(item)) or ("" if "ready" in pod.phases else pod.why)
            if text_of(item, "metadata", "deletionTimestamp") or kind == "DELETED":
                pod.going = pod.going or now
            if kind == "DELETED":
                pod.gone = pod.gone or now
            self._relist(uid, pod)

    def see_pods(self, space, uids, now):
        """Take the UIDs of a whole list of a namespace: pods that are not in it are gone."""
        with self._lock:
            for uid, pod in self.pods.items() if not self.closed else ():
                if pod.space == space and uid not in uids:
                    pod.going, pod.gone = pod.going or now, pod.gone or now

    def see_slice(self, kind, item, now):
        """Take an event of the watch for EndpointSlices: the pods that are ready in it."""
        name = text_of(item, "metadata", "uid")
        ready = {text_of(one, "targetRef", "uid") for one in entries(item, "endpoints") if dig(one, "conditions", "ready") is True}
        with self._lock:
            if not name or self.closed:
                return
            before, self.homes[name] = self.slices.get(name, set()), text_of(item, "metadata", "namespace")
            self.slices[name] = ready = set() if kind == "DELETED" else ready
            for uid in ready - before:
                self._ended.pop(uid, None)
                self._list(uid, now)
            for uid in before - ready:
                self._unlist(uid, now)

    def see_slices(self, space, uids, now):
        """Take the UIDs of a whole list of slices of a namespace."""
        with self._lock:
            for name in [] if self.closed else [name for name in self.slices if self.homes[name] == space and name not in uids]:
                for uid in self.slices.pop(name):
                    self._unlist(uid, now)

    def _list(self, uid, now):
        pod = self.pods.get(uid)
        if pod is None:
            self._ended[uid] = now
        elif pod.listed is None:
            pod.listed = now

    def _relist(self, uid, pod):
        """A slice may have shown a pod that no watch had shown yet."""
        if uid in self._ended and pod.listed is None:
            pod.listed = self._ended.pop(uid)

    def _unlist(self, uid, now):
        pod = self.pods.get(uid)
        if pod is not None:
            pod.unlisted = now

    def state(self, wanted):
        """Return {pods, ready, surplus, unlisted, stale} against what is wanted, {Deployment: pods}: all but `pods` and `ready` end at 0."""
        with self._lock:
            alive = [(uid, pod) for uid, pod in self.pods.items() if pod.going is None]
            ready = [(uid, pod) for uid, pod in alive if "ready" in pod.phases]
            listed = set().union(*self.slices.values()) if self.slices else set()
            there = {uid for uid, pod in self.pods.items() if pod.gone is None}
        counts: Dict[str, int] = {}
        for dummy, pod in ready:
            counts[pod.group] = counts.get(pod.group, 0) + 1
        return {
            "pods": len(alive),
            "ready": sum(min(counts.get(group, 0), number) for group, number in wanted.items()),
            "surplus": sum(max(0, number - wanted.get(group, 0)) for group, number in counts.items()) + len(there) - len(alive),
            "unlisted": sum(pod.group in self.served and uid not in listed for uid, pod in ready),
            "stale": len(listed - {uid for uid, dummy in alive}),
        }

    def facts(self, since, ended) -> dict:
        """Return what was measured of pods that came or went after `since`: {phases, nodes, endpoints: {added, removed}, busiest, reasons}."""
        with self._lock:
            pods = list(self.pods.values())
        new = [pod for pod in pods if pod.phases.get("created", 0) >= since]
        alive = [pod for pod in new if pod.going is None]
        nodes: Dict[str, int] = {}
        for pod in alive:
            nodes[pod.node] = nodes.get(pod.node, 0) + 1
        reasons: Dict[str, int] = {}
        for pod in alive:
            if "ready" not in pod.phases:
                text = (pod.why or f"not ready in time, last seen {list(pod.phases)[-1]}")[:200]
                reasons[text] = reasons.get(text, 0) + 1
        added = [pod for pod in alive if pod.group in self.served and "ready" in pod.phases]
        removed = [pod for pod in pods if pod.listed is not None and pod.going is not None and pod.going >= since]
        found = {
            "phases": {phase: _phase(new, phase, ended) for phase in PHASES},
            "nodes": len(set(nodes) - {""}),
            "most_on_a_node": max((number for node, number in nodes.items() if node), default=0),
            "endpoints": {
                "added": _lag([(pod.phases["ready"], pod.listed) for pod in added], ended),
                "removed": _lag([(pod.going, pod.unlisted) for pod in removed], ended),
            },
            "reasons": [{"reason": text, "count": count} for text, count in sorted(reasons.items(), key=lambda one: -one[1])[:MOST_REASONS]],
        }
        rate = busiest([pod.phases["scheduled"] for pod in new if "scheduled" in pod.phases])
        return {**found, **({} if rate is None else {"scheduled_rate": rate})}


def busiest(times) -> Optional[float]:
    """Return the highest rate in 1/s at which something was seen over BINS seconds; None when all of it took less."""
    times = sorted(times)
    if not times or times[-1] - times[0] < BINS:
        return None
    most, first = 0, 0
    for last, now in enumerate(times):
        while now - times[first] > BINS:
            first += 1
        most = max(most, last - first + 1)
    return round(most / BINS, 2)


def _phase(pods, phase, ended):
    """Return the distribution from the first sight of a pod to a phase; one that stays and did not get there is slower than every other."""
    known = [pod.phases[phase] - pod.phases["created"] for pod in pods if phase in pod.phases]
    lost = [ended - pod.phases["created"] for pod in pods if phase not in pod.phases and pod.going is None]
    return distribution(known, lost)


def _lag(pairs, ended):
    """Return the distribution of [(from, to or None)]."""
    return distribution([max(0.0, to - since) for since, to in pairs if to is not None], [ended - since for since, to in pairs if to is None])
