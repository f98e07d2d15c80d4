# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes are measured with which: pure functions of the nodes of a cluster.

A node is {name, zone ("" when it has none), aside (why it is no place for the load, "" otherwise), trouble (why it cannot take part now, "" otherwise)}.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter

from .apiserver_state import ZONES, is_ready, tolerated

CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
# A ring of more nodes is a sample of them.
MOST = 20
# How many of those that are not counted are named, for each reason.
SHOWN = 3
NODES, BETWEEN_ZONES, SAME = "nodes", "zones", "same"


class LayoutError(Exception):
    """A setting does not fit the cluster; the text names the variable, what was found and what to write."""


def node(item, tolerations):
    """Return what is needed of a Node object.

    A control-plane node that is tainted as such is aside: the load of a network test beside etcd would be felt by the whole cluster.
    """
    metadata, spec, status = (item.get(key) or {} for key in ("metadata", "spec", "status"))
    labels = metadata.get("labels") or {}
    taints = [one for one in spec.get("taints") or () if not tolerated(one, tolerations)]
    found = {"name": metadata.get("name") or "", "zone": next((labels[label] for label in ZONES if labels.get(label)), ""), "aside": "", "trouble": ""}
    system = labels.get("kubernetes.io/os", "linux")
    if system != "linux":
        found["aside"] = f"runs {system}"
    elif any(taint.get("key") in CONTROL_PLANE for taint in taints):
        found["aside"] = "is a control-plane node; a toleration in network_tolerations takes it in"
    elif not is_ready(status):
        found["trouble"] = "is not Ready"
    elif spec.get("unschedulable"):
        found["trouble"] = "is cordoned"
    elif taints:
        found["trouble"] = f"has the taint {text_of(taints[0])}, which network_tolerations does not tolerate"
    return found


def text_of(taint):
    """Return a taint as kubectl writes it."""
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint.get('key')}{value}:{taint.get('effect')}"


def layout(nodes, names=(), most=MOST, seed=""):
    """Return which nodes take part, and the pairs that are measured.

    {taking_part: [name], nodes: of how many, zone_of: {name: zone} of all, left_out: {name: why}, aside: {name: why} of those that are no place for the
    load and are not missed, zones: how many, possible: {nodes, across: pairs of nodes that share a zone, and of any two}, sampled: of how many nodes
    the ring is a sample or 0, pairs: [{name, kind, from, to, measured}]}. A pair that is expected and has no node to measure it from or to has
    measured false. LayoutError when `names` (network_nodes, empty for all) does not fit.
    """
    known = {one["name"]: one for one in nodes}
    missing = [name for name in names if name not in known]
    if missing:
        raise LayoutError(f"network_nodes names {missing[0]}, which is no node of this cluster. Write names of nodes, or an empty list for all of them.")
    nobody = all(one["aside"] for one in nodes)
    # Who is named is expected, whatever it is.
    places = [one for one in nodes if nobody or not one["aside"] or one["name"] in names]
    chosen = [one for one in places if not names or one["name"] in names]
    able = sorted((one for one in chosen if not one["trouble"] and not one["aside"]), key=lambda one: (one["zone"], one["name"]))
    left_out = {one["name"]: one["trouble"] or one["aside"] for one in chosen if one["trouble"] or one["aside"] and one["name"] in names}
    taking_part = sample(able, most, seed)
    if len(taking_part) < 2:
        # Nothing can be measured between nodes: who was left out on purpose is missed, and where there is nobody else who is aside.
        left_out = left_out or {one["name"]: "is not in network_nodes" for one in places if one not in chosen}
        left_out = left_out or {one["name"]: one["aside"] for one in nodes if one["aside"]}
    counted = places if len(places) > 1 else nodes
    return {
        "taking_part": [one["name"] for one in taking_part],
        "nodes": len(counted),
        "zone_of": {one["name"]: one["zone"] for one in nodes},
        "left_out": left_out,
        "aside": {one["name"]: one["aside"] for one in nodes if one["aside"] and one["name"] not in left_out},
        "zones": len({one["zone"] for one in places if one["zone"]}),
        "possible": {"nodes": shared(counted), "across": len(counted) * (len(counted) - 1) // 2},
        "sampled": len(able) if len(taking_part) < len(able) else 0,
        "pairs": unique([*ring(taking_part), *between_zones(taking_part, places), *same(taking_part), *missed(taking_part, left_out, known)]),
    }


def shared(nodes):
    """Return how many pairs of nodes are in one zone; nodes without a zone are in one together."""
    return sum(count * (count - 1) // 2 for count in Counter(one["zone"] for one in nodes).values())


def sample(nodes, most, seed):
    """Return at most `most` of the nodes, from their zones in turn, the same ones for the same seed, in the order of `nodes`."""
    if len(nodes) <= most:
        return list(nodes)
    shuffled = list(nodes)
    random.Random(str(seed)).shuffle(shuffled)
    turns, seen = [], Counter()
    for one in shuffled:
        turns.append((seen[one["zone"]], one["zone"], one["name"]))
        seen[one["zone"]] += 1
    taken = {name for dummy, dummy, name in sorted(turns)[:most]}
    return [one for one in nodes if one["name"] in taken]


def pair(start, end, kind, measured=True):
    return {"name": f"{start} -> {end} ({kind})", "kind": kind, "from": start, "to": end, "measured": measured}


def of_nodes(start, end):
    """Return the pair of two nodes; one that leaves its zone is of the kind zones."""
    return pair(start["name"], end["name"], kind_of(start["zone"], end["zone"]))


def kind_of(start, end):
    """Return the kind of a pair of nodes in these zones ("" for none)."""
    return BETWEEN_ZONES if start and end and start != end else NODES


def took_part(found):
    """Return how many nodes of a layout took part, of how many, and which ones are not among these and why."""
    by_reason = {}
    for name, why in sorted(found["aside"].items()):
        by_reason.setdefault(why.partition(";")[0], []).append(name)
    said = [f"{why} ({', '.join(names[:SHOWN])}{f' and {len(names) - SHOWN} more' if len(names) > SHOWN else ''})" for why, names in by_reason.items()]
    return "; not counted: ".join([f"{len(found['taking_part'])} of {found['nodes']}", *([", ".join(said)] if said else [])])


def ring(nodes):
    """Return each node with the next one, so that every node takes part; two nodes are one pair, which is measured both ways."""
    if len(nodes) < 3:
        return [of_nodes(*nodes)] if len(nodes) == 2 else []
    return [of_nodes(start, end) for start, end in zip(nodes, [*nodes[1:], nodes[0]])]


def between_zones(nodes, places):
    """Return a pair for every two zones that the ring does not join; a zone without a node that takes part is missed."""
    joined = {frozenset((start["zone"], end["zone"])) for start, end in zip(nodes, [*nodes[1:], *nodes[:1]])}
    first = {}
    for one in reversed(nodes):
        first[one["zone"]] = one
    found = []
    for start, end in itertools.combinations(sorted({one["zone"] for one in places if one["zone"]}), 2):
        if start in first and end in first:
            found += [] if frozenset((start, end)) in joined else [of_nodes(first[start], first[end])]
        else:
            found.append(pair(start, end, BETWEEN_ZONES, measured=False))
    return found


def same(nodes):
    """Return the pair of two pods on one node."""
    return [pair(nodes[0]["name"], nodes[0]["name"], SAME)] if nodes else []


def missed(nodes, left_out, known):
    """Return the pairs of the nodes that cannot take part."""
    return [pair(nodes[0]["name"], name, of_nodes(nodes[0], known[name])["kind"], measured=False) for name in left_out] if nodes else []


def unique(pairs):
    """Return the pairs, each name once."""
    return list({one["name"]: one for one in reversed(pairs)}.values())[::-1]
