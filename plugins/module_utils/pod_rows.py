# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The starts of pods: what was seen of each, and the numbers that follow from that alone. Pure."""

from __future__ import annotations

from .pod_watch import PHASES, PRESENT, PULLED, UNKNOWN

PERCENTS = (50, 90, 95, 99)
# What follows from the rows of pods.
OF_ROWS = ("expected", "created", "started", "ready", "failed", "slot_waits", "images", "latency", "phases", "nodes", "slowest")


def distribution(known, lost=()):
    """Return {count, p50, p90, p95, p99, max} of seconds by nearest rank.

    `lost` holds, for each pod that did not get there, how long it was waited for. It is slower than every other, so what falls on
    one is [the longest that is known, None].
    """
    known = sorted(known)
    longest = known[-1] if known else 0.0
    values = known + sorted(max(longest, waited) for waited in lost)
    ranks = {**{f"p{percent}": -(-len(values) * percent // 100) for percent in PERCENTS}, "max": len(values)} if values else {}
    found = {key: round(values[rank - 1], 6) for key, rank in ranks.items()}
    return {"count": len(values), **{key: value if ranks[key] <= len(known) else [value, None] for key, value in found.items()}}


def rows(tracker, ended):
    """Return what was seen of each pod, all that numbers are made of: phases in seconds, and how long it was waited for where it did not get ready."""
    found = []
    for pod in tracker.pods:
        seen, phases = pod.seen, {phase: round(value, 6) for phase, value in pod.phases().items()}
        row = {"accepted": pod.accepted, **phases}
        if seen:
            row.update(pod=seen.name, node=seen.node, image_was=seen.sort, pods_made=len(pod.attempts))
        if pod.due is not None:
            row["slot_wait"] = None if pod.sent is None else round(pod.sent - pod.due, 6)
        if "started" not in phases or "ready" not in phases:
            row["waited"] = round(waited(pod, ended), 6)
        found.append(row)
    return found


def of_rows(pods, preloaded):
    """Return {expected, created, started, ready, failed, slot_waits, images, latency, phases, nodes, slowest} of what was seen of each pod."""
    started = [row for row in pods if "started" in row]
    nodes: dict = {}
    for row in pods:
        if row.get("node"):
            nodes[row["node"]] = nodes.get(row["node"], 0) + 1
    slots = [row for row in pods if "slot_wait" in row]
    return {
        "expected": len(pods),
        "created": sum(bool(row["accepted"] or "pod" in row) for row in pods),
        "started": len(started),
        "ready": sum("ready" in row for row in pods),
        "failed": len(pods) - len(started),
        "slot_waits": distribution(
            [row["slot_wait"] for row in slots if row["slot_wait"] is not None], [row["waited"] for row in slots if row["slot_wait"] is None]
        ),
        "images": {sort: sum(row["image_was"] == sort for row in started) for sort in (PRESENT, PULLED, UNKNOWN)},
        "latency": latencies(pods, preloaded),
        "phases": {phase: phase_times(pods, phase) for phase in PHASES},
        "nodes": nodes,
        "slowest": [
            {"pod": row["pod"], "node": row["node"], "seconds": row["started"], **{phase: row[phase] for phase in PHASES if phase in row}}
            for row in sorted(started, key=lambda one: one["started"], reverse=True)[:3]
        ],
    }


def waited(pod, ended):
    """Return how long a pod was waited for: until the end, unless it was given up before."""
    return 0.0 if pod.over or pod.begin is None else max(ended - pod.begin, 0.0)


def latencies(pods, preloaded):
    """Return {present, pulled, unknown: distribution} of the time until all containers started.

    A pod that did not start counts in its sort; where no one knows its sort, in each sort that has a pod which started.
    """
    known = {sort: [row["started"] for row in pods if "started" in row and row["image_was"] == sort] for sort in (PRESENT, PULLED, UNKNOWN)}
    lost: dict = {sort: [] for sort in known}
    everywhere = [sort for sort, values in known.items() if values] or [PRESENT if preloaded else UNKNOWN]
    for row in pods:
        if "started" not in row:
            for sort in [row["image_was"]] if row.get("image_was", UNKNOWN) != UNKNOWN else everywhere:
                lost[sort].append(row["waited"])
    return {sort: distribution(values, lost[sort]) for sort, values in known.items()}


def phase_times(pods, phase):
    """Return the distribution of one phase. A pod that never started is lost to each phase that it did not reach and others did.

    One that started and did not get ready is lost to `ready`. That a phase was not seen of a pod that started says nothing.
    """
    known = [row[phase] for row in pods if phase in row]
    must = "ready" if phase == "ready" else "started"
    # Whoever did not start cannot be ready.
    lost = [row["waited"] for row in pods if phase not in row and must not in row]
    return distribution(known, lost if known else ())
