# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is taken away from a run never lets a check look better.

Of a run in which all is well that shows nothing, since nothing is better than that: so one part of it fails at a time.
"""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import checks
from ansible_collections.kubeproof.certify.plugins.module_utils.network_facts import cluster_facts
from ansible_collections.kubeproof.certify.tests.unit.plugins.network_fake import CHECKS, REFUSED, TIMED_OUT, measured, place

# What was not judged and what failed is equally far from a pass: without the number that failed nothing is known.
RANK = {"FAIL": 0, "INCONCLUSIVE": 0, "CONDITIONAL": 1, "PASS": 2, "NOT_APPLICABLE": 2}
TWO = [place("a1", ""), place("a2", "")]
ZONED = [place("a1", "a"), place("b1", "b")]
NONE_ARRIVED = {"packets": 849, "lost": 849, "loss": 1.0, "offered_rate": 1e8, "jitter": 1e-06}


def runs_of(run, wanted):
    return [name for name in run["steps"]["pairs"]["runs"] if name.startswith(wanted)]


def ended(wanted, outcome, again=None):
    def change(run):
        names = runs_of(run, wanted)
        run["steps"]["pairs"]["runs"].update({name: dict(outcome) for name in names})
        run["steps"]["pairs"]["runs"].update({f"{name}-again": dict(again) for name in names if again})

    return change


def told(wanted, *way, value):
    def change(run):
        for name in runs_of(run, wanted):
            place_of = run["steps"]["pairs"]["runs"][name]["facts"]
            for key in way[:-1]:
                place_of = place_of[key]
            place_of[way[-1]] = value

    return change


def table(when, pod):
    return lambda run: run["looks"][when][pod]["conntrack"].update(count=9500)


# What a parser told is whole or not there at all.
UNREADABLE = (KeyError, TypeError, ValueError)
WHOLE = {"facts", "proxy"}
# What fails: (the change, the check that it fails, the start of the way to what was changed, how the run is otherwise).
BAD = {
    "a stream": (ended("0-pod-tcp-1-forward-3", REFUSED), "network_tcp", ("steps", "pairs", "runs", "0-pod-tcp-1-forward-3"), {}),
    "a round trip": (ended("0-pod-rtt-2", TIMED_OUT), "network_tcp", ("steps", "pairs", "runs", "0-pod-rtt-2"), {}),
    "datagrams": (ended("0-pod-udp", REFUSED), "network_udp", ("steps", "pairs", "runs", "0-pod-udp-0"), {}),
    "none arrived": (told("0-pod-udp", "udp", value=NONE_ARRIVED), "network_udp", ("steps", "pairs", "runs", "0-pod-udp-0"), {}),
    "loss": (told("0-pod-udp", "udp", "loss", value=0.02), "network_udp_loss", ("steps", "pairs", "runs", "0-pod-udp-0"), {}),
    "twice": (ended("0-pod-udp", REFUSED, again=TIMED_OUT), "network_udp", ("steps", "pairs", "runs", "0-pod-udp-0-again"), {}),
    "twice, at first": (ended("0-pod-rtt-2", TIMED_OUT, again=REFUSED), "network_tcp", ("steps", "pairs", "runs", "0-pod-rtt-2"), {}),
    "full size": (ended("0-pod-full_size", TIMED_OUT), "network_full_size", ("steps", "pairs", "runs", "0-pod-full_size-0"), {}),
    "a Service": (ended("0-service-rtt-0", REFUSED), "network_service", ("steps", "pairs", "runs", "0-service-rtt-0"), {}),
    "connections": (told("0-service-connect-2", "failed", value=100), "network_service", ("steps", "pairs", "runs", "0-service-connect-2"), {}),
    "slow": (told("0-pod-rtt-3", "rtt", "p99", value=0.01), "network_pod_latency_p99", ("steps", "pairs", "runs", "0-pod-rtt-3"), {}),
    "slow to connect": (
        told("0-service-connect-2", "latency", "p99", value=0.02), "network_service_latency_p99", ("steps", "pairs", "runs", "0-service-connect-2"), {}
    ),
    "throughput": (told("0-pod-tcp-", "received", "rate", value=5e8), "network_pod_throughput", ("steps", "pairs", "runs", "0-pod-tcp-8-forward-1"), {}),
    "zones": (
        told("0-pod-tcp-", "received", "rate", value=5e8), "network_interzone_throughput", ("steps", "pairs", "runs", "0-pod-tcp-8-reverse-1"), {"nodes": ZONED}
    ),
    "no requirement": (lambda run: run["capacity"].clear(), "network_interzone_throughput", ("capacity",), {"nodes": ZONED}),
    "the table before": (table("before", "host-0"), "network_conntrack", ("looks", "before", "host-0", "conntrack"), {}),
    "the table after": (table("after", "host-1"), "network_conntrack", ("looks", "after", "host-1", "conntrack"), {}),
    "a table that Cilium has beside its own": (
        lambda run: (run["info"]["kube_proxy"].update(pods=0, replaced=True, by="cilium"), table("after", "host-1")(run)), "network_conntrack",
        ("looks", "after", "host-1", "conntrack"), {},
    ),
    "a lost pod": (
        lambda run: (run["looks"]["after"].update({"pod-1": {"error": "gone"}}), ended("0-pod-udp", REFUSED)(run)), "network_udp",
        ("looks", "after", "pod-1"), {},
    ),
    "endpoints": (lambda run: run["steps"]["programming"]["facts"].update(missed=2), "network_programmed", ("steps", "programming"), {}),
    "endpoints, late": (lambda run: run["steps"]["programming"]["facts"].update(max=45.0), "network_programming_time", ("steps", "programming"), {}),
    "what is left": (lambda run: run["clean"].update(left=3), "network_left", ("clean",), {}),
    "k8s-netperf": (
        lambda run: run["steps"]["k8s-netperf"]["facts"]["runs"][2].update(latency_p99=0.02), "network_pod_latency_p99",
        ("steps", "k8s-netperf", "facts", "runs", 2), {"engine": "k8s_netperf"},
    ),
    "k8s-netperf between zones": (
        lambda run: [
            one.update({"client": {"node": "a1"}, "server": {"node": "b1"}}, **({"throughput": 5e8} if "throughput" in one else {}))
            for one in run["steps"]["k8s-netperf"]["facts"]["runs"]
        ],
        "network_interzone_throughput", ("steps", "k8s-netperf", "facts", "runs", 0), {"engine": "k8s_netperf", "nodes": ZONED},
    ),
    "beside k8s-netperf": (
        ended("0-service-rtt-0", REFUSED), "network_service", ("steps", "pairs", "runs", "0-service-rtt-0"), {"engine": "k8s_netperf"},
    ),
}  # fmt: skip


def paths(value, path=()):
    """Yield the path of everything in nested maps and lists."""
    for key, entry in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from paths(entry, (*path, key))


def without(value, path):
    """Return a copy that lacks what is at a path."""
    value = copy.copy(value)
    if len(path) == 1:
        del value[path[0]]
    else:
        value[path[0]] = without(value[path[0]], path[1:])
    return value


JUDGED = {name: check for name, check in CHECKS.items() if "load" in check["profiles"] and ("critical" in check or "target" in check)}


def ranks(facts):
    """Return {(check, entry or None for the worst of all): rank} of what is judged."""
    found = {}
    for one in checks.judge(JUDGED, {"cluster": {"lab": facts}}, "network", "load", {"cluster": ["lab"]}):
        for entry in {None, one.get("entry")} if one["judged"] else ():
            found[one["id"], entry] = min(RANK[one["result"]], found.get((one["id"], entry), RANK["PASS"]))
    return found


def better(before, after):
    """Return what looks better; of an entry that is not there any more the check as a whole tells."""
    return [key for key, rank in before.items() if after.get(key, after.get((key[0], None), RANK["PASS"])) > rank]


def bad(name):
    change, check, way, how = BAD[name]
    run = measured(**{"nodes": TWO, **how})
    change(run)
    return run, check, way


@pytest.mark.parametrize("name", BAD)
def test_a_part_that_fails_is_taken_away(name):
    run, check, start = bad(name)
    before = ranks(cluster_facts(run))
    assert before[check, None] == 0
    above = [start[:length] for length in range(1, len(start) + 1)]
    for way in [*above, *(way for way in paths(run) if way[: len(start)] == start and way != start)]:
        try:
            facts = cluster_facts(without(run, way))
        except UNREADABLE:
            assert WHOLE & set(way[:-1]), way
            continue
        assert better(before, ranks(facts)) == [], way


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(list(BAD)), st.data())
def test_what_is_removed_never_improves_a_finding(name, data):
    run, dummy, dummy = bad(name)
    way, part = (), run
    while isinstance(part, (dict, list)) and part and (not way or data.draw(st.booleans())):
        # The layout is our own, whole or not there at all; without a plan there is no run.
        key = data.draw(st.sampled_from(sorted(set(part) - {"plan"}) if isinstance(part, dict) else range(len(part))))
        way, part = (*way, key), part[key] if key != "layout" else None
    try:
        facts = cluster_facts(without(run, way))
    except UNREADABLE:
        assert WHOLE & set(way[:-1]), way
        return
    assert better(ranks(cluster_facts(run)), ranks(facts)) == [], way


FACTS = {name: cluster_facts(bad(name)[0]) for name in BAD}
# Which pairs, nodes and runs there are follows from the layout, and from nothing else in these facts.
ENTRIES = {check["each"] for check in CHECKS.values() if "each" in check}


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(list(BAD)), st.data())
def test_removing_a_fact_never_improves_a_finding(name, data):
    whole = FACTS[name]
    way = data.draw(st.sampled_from([way for way in paths(whole) if way[0] != "plan" and ".".join(map(str, way[:-1])) not in ENTRIES]))
    after = ranks(without(whole, way))
    assert better(ranks(whole), after) == [], way


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(["layout", "info", "steps", "looks", "pods", "clean", "capacity"]), st.sampled_from([None, {}, [], "x", 5])))
def test_what_is_missing_never_breaks_the_facts(changed):
    found = {**measured("smoke"), **{key: value for key, value in changed.items() if key not in ("layout", "pods") or not value}}
    assert cluster_facts(found)["plan"]
