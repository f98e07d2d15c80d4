# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of one pair of nodes, from the runs of its tests. Pure. A number is there only when every run that it needs gave one.

A run that failed is tried once more, since one pause or one lost packet can be behind it: iperf3 waits for its first datagram until it is ended. When that
fails too it is a failure of the pair, unless one of its pods is gone: then nothing is known, and `missing` says why.
"""

from __future__ import annotations

import math
import re
from typing import Any, Dict, List, Optional

from . import network_runs
from .network_runs import AGAIN, FORWARD, GRACE, HOST, POD, REVERSE, SERVICE

GOOD, BAD, LOST = "good", "failed", "lost"
# A tool that cannot do a test here, of which nothing depends on the network: other tests say whether that works.
UNABLE = "unable"
# What parsers say of a tool that ended with 0 and told by its output that nothing, or not all, came through. Any other output that cannot be read tells
# nothing of the network.
TOLD = re.compile(
    r"sockperf measured nothing|messages went to and fro for|none of \d+ requests had a good answer|bytes were sent and 0 arrived"
    r"|iperf3 says '(unable to (connect|send|receive|read|write)|control socket has closed)"
)
# Which tests show that something works at all.
WORKS = {
    "tcp": {(POD, "tcp"), (POD, "rtt"), (POD, "loaded")},
    "udp": {(POD, "udp")},
    "full_size": {(POD, "full_size")},
    "service": {(SERVICE, "rtt"), (SERVICE, "connect")},
    "host": {(HOST, "tcp"), (HOST, "rtt")},
}
# What is tried once more; the host network is there to compare with.
DECIDING = set().union(*(tests for what, tests in WORKS.items() if what != "host"))
# What the parsers tell of a good run of each test.
FACTS = {
    "tcp": {"received"}, "udp": {"udp"}, "full_size": {"udp"}, "rtt": {"rtt"}, "loaded": {"rtt"}, "connect": {"latency", "failed"},
    "ramp": {"iperf3", "sockperf"},
}  # fmt: skip
# How much of a fixed rate must have been sent for its loss to count.
SENT = 0.9
LONGEST = 200
# How many second tries are told.
TOLD_AGAIN = 3
CAME_OF_IT = {GOOD: "worked then", BAD: "failed twice", LOST: "failed, and its second try was lost"}
LIVE = "certify_live is true, and a throughput takes all that the network carries"
ONE_PAIR = "k8s-netperf measures one pair of nodes; certify_network_engine: auto measures every pair"


class Ran:
    """The tests of one pair with what came of each."""

    def __init__(self, tests: List[dict], results: Dict[str, Any], gone: Dict[str, str]) -> None:
        self.tests = [dict(test, **decided(test, results, gone)) for test in tests]

    def of(self, network: str, kind: str, **more: Any) -> List[dict]:
        wanted = {"network": network, "test": kind, **more}
        return [test for test in self.tests if all(test.get(key) == value for key, value in wanted.items())]

    def facts(self, network: str, kind: str, **more: Any) -> Optional[List[dict]]:
        """Return the facts of every repeat of a test, None unless all have them."""
        found = self.of(network, kind, **more)
        return [test["facts"] for test in found] if found and all(test["facts"] for test in found) else None

    def works(self, what: str) -> Optional[bool]:
        """Return whether something works: False when a test of it failed, None when that is not known."""
        outcomes = {test["outcome"] for test in self.tests if (test["network"], test["test"]) in WORKS[what]} - {UNABLE}
        return False if BAD in outcomes else None if LOST in outcomes or not outcomes else True

    def tries(self, network: str) -> Optional[int]:
        """Return how many tries a test in a network took at most."""
        return max((test["tries"] for test in self.tests if test["network"] == network), default=None)

    def why(self, *kinds: str, network: str = "") -> str:
        """Return the first reason why a test of these kinds did not give a number, or ""."""
        told = (test["why"] for test in self.tests if (not kinds or test["test"] in kinds) and network in ("", test["network"]))
        return next(filter(None, told), "")


def decided(test: dict, results: Dict[str, Any], gone: Dict[str, str]) -> dict:
    """Return {outcome, facts, why, tries, told?} of a test: of one that failed what its second try says, and in `told` what came of both."""
    one, second = judged(test, results.get(test["name"]), gone), results.get(f"{test['name']}{AGAIN}")
    if one["outcome"] != BAD or not isinstance(second, dict):
        return {**one, "tries": 1}
    other = judged(test, second, gone)
    told = f"{test['pair']} {CAME_OF_IT[other['outcome']]} ({one['why'].rstrip('.')})"
    # Without an answer of the second try the first one has failed all the same.
    return {**(one if other["outcome"] == LOST else other), "tries": 2, "told": told}


def again(runs: List[dict], plan: dict, layout: dict, results: Dict[str, Any]) -> List[dict]:
    """Return the runs of a step, as network_runs has them, that are to run once more, under names of their own: those that failed, as `results` tells.

    `plan`: network_plan, with `step`. Of a step no more than what is done within its `again` seconds, should every tool have to be ended.
    """
    tests = {test["name"]: test for kind in plan["step"]["tests"] for test in network_runs.tests(kind, layout, plan["load"])}
    left, found = plan["step"].get("again", 0), []
    for run in runs:
        test, seconds = tests[run["name"]], run["timeout"] - GRACE
        failed = (test["network"], test["test"]) in DECIDING and judged(dict(test, unrun=""), results.get(run["name"]), {})["outcome"] == BAD
        if failed and seconds <= left:
            left -= seconds
            found.append(dict(run, name=f"{run['name']}{AGAIN}"))
    return found


def second_tries(tests: List[dict]) -> dict:
    """Return {count, worked, said} of the tests of every pair that took a second try."""
    found = [test for test in tests if test["tries"] > 1]
    said = [test["told"] for test in found[:TOLD_AGAIN]] + ([f"and {len(found) - TOLD_AGAIN} more"] if len(found) > TOLD_AGAIN else [])
    return {"count": len(found), "worked": sum(test["outcome"] == GOOD for test in found), "said": ", ".join(said) or "none"}


def judged(test: dict, run: Any, gone: Dict[str, str]) -> dict:
    """Return {outcome, facts, why} of one run, as pod_exec returns it; `unable` of the test says why its tool cannot do it, `unrun` why it has none.

    There are facts of what is good, and of connections of which some failed: these are slower than every bound.
    """
    lost = next((gone[pod] for pod in (test["client"], test["server"]) if pod in gone), "")
    if not isinstance(run, dict):
        unable = not lost and test.get("unable")
        return {"outcome": UNABLE if unable else LOST, "facts": {}, "why": (lost or unable or test["unrun"])[:LONGEST]}
    facts, what = run.get("facts") or {}, f"{test['network']} network, {test['test']}"
    if run.get("error") == "" and FACTS[test["test"]] <= set(facts):
        datagrams = facts.get("udp") or {}
        # iperf3 counts that as no error: its connection and the first, small datagram came through.
        if datagrams.get("loss") == 1:
            return {"outcome": BAD, "facts": {}, "why": f"{what}: not one of {datagrams.get('packets')} datagrams arrived"}
        if facts.get("failed"):
            return {"outcome": BAD, "facts": facts, "why": f"{what}: {facts['failed']} of {facts.get('count')} connections failed"}
        return {"outcome": GOOD, "facts": facts, "why": ""}
    code = run.get("exit_code")
    # 125 to 127: timeout or the shell could not start the tool; from 128 on it was ended by a signal. Without an error nothing is known of it.
    error = run.get("error") or ""
    known = isinstance(code, int) and code < 125 and bool(error if code else TOLD.search(error))
    why = lost or f"{what}: {error or 'what became of it is not known'}"
    return {"outcome": BAD if known and not lost else LOST, "facts": {}, "why": why[:LONGEST]}


def pair_facts(ran: Ran, plan: dict) -> dict:
    """Return {works, tries, tcp, host, efficiency, rtt, loaded, udp, missing} of a pair in the pod network; tries: the most that a test of it took."""
    load = plan["load"]
    rates = {network: throughput(ran, network, load) for network in (POD, HOST)}
    found = {
        "works": present({what: ran.works(what) for what in WORKS if what != "service"}),
        "tries": ran.tries(POD),
        "tcp": {**present(rates[POD] or {}), **retransmitted(ran)},
        "rtt": slowest(ran.facts(POD, "rtt"), "rtt"),
        "loaded": slowest(ran.facts(POD, "loaded"), "rtt"),
        "host": present({**(rates[HOST] or {}), "rtt": slowest(ran.facts(HOST, "rtt"), "rtt")}),
        "efficiency": efficiency(ran, load),
        "udp": datagrams(ran.facts(POD, "udp"), plan["udp_rate"]),
    }
    reasons = {"tcp": ("tcp",), "rtt": ("rtt",), "loaded": ("loaded",), "udp": ("udp",), "works.udp": ("udp",), "works.full_size": ("full_size",)}
    missing = {key: ran.why(*kinds, network=POD) for key, kinds in reasons.items()}
    missing.update(host=ran.why(network=HOST), efficiency=ran.why("tcp"), **{"": ran.why()})
    if plan["live"] or "builtin" not in plan["engines"]:
        missing.update(dict.fromkeys(("tcp", "efficiency", "loaded"), LIVE if plan["live"] else ONE_PAIR))
    if found["udp"] is None and not missing["udp"] and ran.facts(POD, "udp"):
        missing["udp"] = "the client could not send the rate that it was told"
    return present({**found, "missing": {key: text for key, text in missing.items() if text}})


def service_facts(ran: Ran) -> dict:
    """Return {works, tries, rtt, connect, missing} of a pair through a Service."""
    numbers = {"rtt": slowest(ran.facts(SERVICE, "rtt"), "rtt"), "connect": slowest(ran.facts(SERVICE, "connect"), "latency")}
    found = {"works": ran.works("service"), "tries": ran.tries(SERVICE), **numbers}
    missing = {"rtt": ran.why("rtt", network=SERVICE), "connect": ran.why("connect", network=SERVICE), "": ran.why(network=SERVICE)}
    return present({**found, "missing": {key: text for key, text in missing.items() if text}})


def requirement(one: dict, capacity: dict) -> dict:
    """Return {requirement}: the rate of a pair of nodes in two zones as a share of what is declared for one pair, or why that is not known."""
    declared, rate = capacity.get("interzone_rate"), (one.get("tcp") or {}).get("rate")
    if declared and rate:
        return {"requirement": rate / declared}
    missing = one.get("missing", {})
    why = missing.get("tcp", "") if declared else "certify_capacity.interzone_rate, the bit/s that one node needs to one of another zone, is not declared"
    return {"missing": {**missing, "requirement": why}}


def ways(load: dict, network: str) -> Dict[str, List[int]]:
    """Return {way: numbers of streams} that are measured in a network."""
    streams = load["host"] if network == HOST else load["streams"]
    found = {FORWARD: streams, REVERSE: [one for one in streams if one in load["reverse"]]}
    return {way: numbers for way, numbers in found.items() if numbers}


def mean_rate(ran: Ran, network: str, way: str, streams: int) -> Optional[float]:
    """Return the mean of what arrived in each sample."""
    facts = ran.facts(network, "tcp", way=way, streams=streams)
    return sum(one["received"]["rate"] for one in facts) / len(facts) if facts else None


def throughput(ran: Ran, network: str, load: dict) -> Optional[dict]:
    """Return {rate, streams: {number: rate}, samples}: the best number of streams, in the worse way of the two; None unless all is known."""
    by_way = {way: {number: mean_rate(ran, network, way, number) for number in numbers} for way, numbers in ways(load, network).items()}
    if not by_way or any(rate is None for rates in by_way.values() for rate in rates.values()):
        return None
    numbers = sorted({number for rates in by_way.values() for number in rates})
    return {
        "rate": min(max(rates.values()) for rates in by_way.values()),
        "streams": {str(number): min(rates[number] for rates in by_way.values() if number in rates) for number in numbers},
        "samples": load["samples"],
    }


def efficiency(ran: Ran, load: dict) -> Optional[float]:
    """Return the pod network's share of what the host network carries, with the same streams in the same way; the worse way decides.

    None unless all is known: without the number of streams that the host network carries most with, the share would be larger.
    """
    shares = []
    for way, numbers in ways(load, HOST).items():
        rates = {network: [mean_rate(ran, network, way, number) for number in numbers] for network in (POD, HOST)}
        if not all(rates[POD] + rates[HOST]):
            return None
        shares.append(max(rates[POD]) / max(rates[HOST]))
    return min(shares, default=None)


def retransmitted(ran: Ran) -> dict:
    """Return {retransmits: the share of segments that was sent again, mss} of all streams in the pod network, {} where a sender does not tell."""
    facts = [test["facts"] for test in ran.of(POD, "tcp") if test["outcome"] == GOOD]
    sizes = [one["mss"] for one in facts if one.get("mss")]
    if not facts or len(sizes) < len(facts) or any(one.get("retransmits") is None for one in facts):
        return {}
    segments = sum(one["sent"]["bytes"] / one["mss"] for one in facts)
    return {"retransmits": sum(one["retransmits"] for one in facts) / segments, "mss": min(sizes)} if segments else {}


def slowest(facts: Optional[List[dict]], key: str) -> Optional[dict]:
    """Return {p99, p50, p999?, count, repeats}: the percentiles of the worst repeat, and the number of observations of the shortest one."""
    found = [one[key] for one in facts or ()]
    if not found:
        return None
    worst = max(found, key=lambda one: longest(one["p99"]))
    more = {"p999": worst["p999"]} if worst.get("p999") is not None else {}
    return {"p99": worst["p99"], "p50": worst["p50"], **more, "count": min(one["samples"] for one in found), "repeats": len(found)}


def longest(value: Any) -> float:
    """Return the upper end of a percentile, which is an interval where some were lost."""
    end = value[1] if isinstance(value, list) else value
    return math.inf if end is None else end


def datagrams(facts: Optional[List[dict]], rate: float) -> Optional[dict]:
    """Return {loss, packets, rate, jitter} of datagrams at a fixed rate; None when the client did not send so many."""
    udp = facts[0].get("udp") if facts else None
    if not udp or udp["offered_rate"] < SENT * rate:
        return None
    return {"loss": udp["loss"], "packets": udp["packets"], "rate": udp["offered_rate"], "jitter": udp.get("jitter")}


def present(found: dict) -> dict:
    return {key: value for key, value in found.items() if value is not None and value != {}}
