# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run at scale is going to do: to which sizes the cluster grows by hollow nodes, and what is put on these. Pure.

The load is SIG-scalability's (clusterloader2, testing/load): a quarter of the pods in Deployments of 250, a quarter in Deployments of 30, the rest
in Deployments of 5, a Service for every second Deployment, a namespace for 100 nodes; filled at a fixed rate of pods, scaled to 0.5 to 1.5 of
their size (a quarter of the pods come or go), and deleted at the same rate; Deployments of one pod at 5 in a second in between.
"""

from __future__ import annotations

import math
import re

from . import time_scale
from .sizing import PlanError
from .sizing import number as _number

PODS_PER_NODE = 30
# What a kubelet takes unless told otherwise, hollow ones too.
MOST_PODS_PER_NODE = 110
GROUPS = ((250, 0.25), (30, 0.25), (5, 0.5))
NODES_PER_NAMESPACE = 100
PODS_PER_NAMESPACE = 3000
LATENCY_RATE = 5
# Registering, leases and watches are load too: so many nodes join in a second.
NODES_PER_SECOND = 2
SETTLE_SECONDS = 30
# What etcd gets, in bytes of its file. The 15 writes of a pod from its request to its end (scale.md), each a page at most, with those of what makes it,
# its events and its endpoints: measured on fresh databases, 25 to 30 KiB a pod with 5,000 and 54 KiB with 180. What is left of it for as long as it is
# there, and its events for an hour. A node with the pod that plays it; a lease, every ten seconds.
POD_BYTES, KEPT_BYTES, NODE_BYTES, LEASE_BYTES = 15 * 4096, 3 * 4096, 20 * 4096, 1024
LEASES = 0.1
# API servers compact every 5 minutes what is older than the time before.
COMPACTION_SECONDS = 600
CHURNED = 0.25
MOST_HOLLOW = 5000
MOST = 10**6
RUN = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
KEYS = {"factors", "fill", "rate", "latency_pods"}
HOLLOW = ("kubemark", "kwok")
ENGINES = ("builtin", "clusterloader2")


def plan(profile, settings):
    """Return {present, hollow, prefix, pods_per_node, namespaces, sizes: [size], clusterloader, clusterloader_bytes, seconds, most: {hollow, pods}}.

    `settings`: run (its id), nodes (counted), capacity (certify_capacity), live (certify_live), time_scale, and the role's scale_*. A size is {name,
    nodes, hollow, grow, pods, groups: [pods of a Deployment], rate, latency: {count, rate}, seconds, bytes}: `grow` hollow nodes join those of the size before;
    `bytes` are what etcd grows by at most.
    """
    if settings["live"]:
        raise PlanError(
            "certify_live is true, and hollow nodes double the cluster and load it by its new size, beyond what it has declared. Run playbooks/scale.yml on a "
            "cluster of the same build where nobody is served, with certify_live: false."
        )
    load = _load(profile, settings)
    present = _number("certify_capacity.nodes", settings["capacity"].get("nodes", settings["nodes"]), 1, MOST)
    each = settings["capacity"].get("pods_per_node", PODS_PER_NODE)
    each = min(MOST_PODS_PER_NODE, _number("certify_capacity.pods_per_node", each, 1, MOST_PODS_PER_NODE))
    for name, known in (("scale_hollow", HOLLOW), ("scale_engine", ENGINES)):
        if settings[name] not in known:
            raise PlanError(f"{name} is {settings[name]!r}. Write {' or '.join(known)}.")
    if not RUN.fullmatch(settings["run"]):
        raise PlanError(f"The run's id is {settings['run']!r}, which cannot be part of a node's name.")
    sizes, before = [], 0
    for hollow in _hollow(load, present, settings):
        sizes.append(_size(hollow, before, present, each, load, settings))
        before = hollow
    clusterloader = settings["scale_engine"] == ENGINES[1]
    # At the largest size it makes the Deployments of one pod once more, and deletes them, both at their rate.
    beside = math.ceil(2 * sizes[-1]["latency"]["count"] / sizes[-1]["latency"]["rate"]) if clusterloader else 0
    return {
        "present": present,
        "hollow": settings["scale_hollow"],
        "prefix": f"hollow-{settings['run']}",
        "pods_per_node": each,
        "namespaces": max(math.ceil(before / NODES_PER_NAMESPACE), math.ceil(max(size["pods"] for size in sizes) / PODS_PER_NAMESPACE)),
        "sizes": sizes,
        "clusterloader": clusterloader,
        "clusterloader_bytes": _bytes(sizes[-1]["latency"]["count"], LATENCY_RATE, 0, before, beside) if clusterloader else 0,
        "seconds": sum(size["seconds"] for size in sizes) + beside,
        "most": {"hollow": before, "pods": max(size["pods"] for size in sizes)},
    }


def node_names(planned):
    """Return the names of all hollow nodes of a plan."""
    return [f"{planned['prefix']}-{turn}-{index}" for turn, size in enumerate(planned["sizes"], 1) for index in range(size["grow"])]


def groups(pods):
    """Return the sizes of the Deployments that hold so many pods, the largest first; what does not fill one is the last."""
    found, left = [], pods
    for size, share in GROUPS:
        wanted = min(int(pods * share / size), left // size)
        found += [size] * wanted
        left -= wanted * size
    return found + [GROUPS[-1][0]] * (left // GROUPS[-1][0]) + ([left % GROUPS[-1][0]] if left % GROUPS[-1][0] else [])


def _load(profile, settings):
    every = settings["scale_load"]
    if not isinstance(every, dict) or not isinstance(every.get(profile), dict):
        known = sorted(every) if isinstance(every, dict) else []
        raise PlanError(f"certify_profile is {profile}, and scale_load has no entry for it. Use one of {', '.join(known) or 'its entries'}, or add one.")
    load, where = every[profile], f"scale_load.{profile}"
    if set(load) != KEYS:
        raise PlanError(f"{where} has the keys {', '.join(sorted(load))}. Write {', '.join(sorted(KEYS))}.")
    _number(f"{where}.fill", load["fill"], 0.001, 1)
    _number(f"{where}.rate", load["rate"], 0.1, 1000)
    _number(f"{where}.latency_pods", load["latency_pods"], 0, 10_000)
    if not isinstance(load["factors"], (list, tuple)) or not load["factors"]:
        raise PlanError(f"{where}.factors is {load['factors']!r}. Write how many times the present size, such as [2, 3].")
    for number, factor in enumerate(load["factors"]):
        _number(f"{where}.factors[{number}]", factor, 1.01, 1000)
    return load


def _hollow(load, present, settings):
    """Return how many hollow nodes there are at each size, ascending."""
    given = settings["scale_nodes"]
    if not isinstance(given, (list, tuple)):
        raise PlanError(f"scale_nodes is {given!r}. Write a list of numbers of hollow nodes, such as [100, 200], or [] for scale_load's factors.")
    wanted = [math.ceil(present * (factor - 1)) for factor in load["factors"]]
    found = sorted({int(_number(f"scale_nodes[{place}]", one, 1, MOST_HOLLOW)) for place, one in enumerate(given)} or set(wanted))
    if found[-1] > MOST_HOLLOW:
        raise PlanError(f"scale_load asks for {found[-1]} hollow nodes. Write smaller factors, or at most {MOST_HOLLOW} in scale_nodes.")
    return found


def _size(hollow, before, present, each, load, settings):
    scale, rate = settings["time_scale"], load["rate"]
    pods = max(1, round(time_scale.shorten(hollow * each * load["fill"] / rate, scale) * rate))
    count = round(time_scale.shorten(load["latency_pods"] / LATENCY_RATE, scale) * LATENCY_RATE) if load["latency_pods"] else 0
    latency = {"count": min(count, hollow * MOST_PODS_PER_NODE), "rate": LATENCY_RATE}
    seconds = (hollow - before) / NODES_PER_SECOND + SETTLE_SECONDS + pods / rate * (2 + CHURNED) + latency["count"] / LATENCY_RATE
    lives = math.ceil(pods * (1 + CHURNED)) + latency["count"]
    return {
        "name": f"{present + hollow} nodes",
        "nodes": present + hollow,
        "factor": round((present + hollow) / present, 1),
        "hollow": hollow,
        "grow": hollow - before,
        "pods": pods,
        "groups": groups(pods),
        "rate": rate,
        "latency": latency,
        "seconds": math.ceil(seconds),
        "bytes": _bytes(lives, rate, hollow - before, hollow, seconds),
    }


def _bytes(lives, rate, joining, hollow, seconds):
    """Return by how much the database of etcd grows at most: what stays of all of it, and what is written in the time until it is compacted."""
    leases = hollow * LEASES * LEASE_BYTES
    written = lives * POD_BYTES + seconds * leases
    kept = lives * KEPT_BYTES + COMPACTION_SECONDS * (max(rate, LATENCY_RATE) * POD_BYTES + leases)
    return math.ceil(joining * NODE_BYTES + min(written, kept))
