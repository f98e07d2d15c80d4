# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What k8s-netperf measures and measured, as facts of pairs. Pure. It chooses its nodes itself, so that a pair of it is one of many.

Of several samples it tells the mean, of their percentiles too, which is no percentile. So requests are asked for in tests of one sample: it runs
tests that are alike one after the other and prints a document of each, of which the slowest counts.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

from .network_layout import BETWEEN_ZONES, NODES, kind_of

MEANS = "k8s-netperf told the mean of {samples} samples' percentiles, which is no percentile; its test needs samples: 1"
APART = "k8s-netperf measured {nodes}, which are in two zones; certify_network_engine: auto measures every pair"
STRANGE = "k8s-netperf measured {nodes}, of which it is not known whether they are in one zone"
NOTHING = "k8s-netperf measured no pair of nodes"
FEWER = "k8s-netperf told {told} of the {asked} repeats that it was asked for"


def tests(load: dict) -> List[dict]:
    """Return the tests of its configuration: [{name, profile, parallelism, service, samples}]."""
    found = [("TCP_STREAM", number, False, load["samples"]) for number in (load["streams"] if load["tcp"] else ())]
    for profile, service in (("TCP_RR", False), ("TCP_RR", True), ("TCP_CRR", True)):
        found += [(profile, 1, service, 1)] * load["samples"]
    return [dict(zip(("name", "profile", "parallelism", "service", "samples"), (f"Test{place}", *test))) for place, test in enumerate(found)]


def seconds(load: dict) -> int:
    """Return the seconds of one of its samples."""
    return max(1, load["tcp"], load["rtt"])


def name_of(run: dict) -> str:
    """Return what a run is called in the facts."""
    network = "host" if run["host_network"] else "service" if run["service"] else "pod"
    return f"{run['profile']} x{run['parallelism']} by {run['driver']} ({network})"


def nodes_of(run: dict) -> str:
    return f"{run['client'].get('node') or 'unknown'} -> {run['server'].get('node') or 'unknown'}"


def facts_of(runs: Any, asked: Sequence[dict] = ()) -> Dict[str, dict]:
    """Return {streams, requests: {run: {nodes, throughput or rate, latency_p99, count, samples, …}}} of the parser's runs; those alike are one.

    `asked`: its tests. A repeat that it told nothing of may have been the slowest.
    """
    alike: Dict[str, List[dict]] = {}
    for run in runs if isinstance(runs, list) else ():
        alike.setdefault(name_of(run), []).append(run)
    found: Dict[str, dict] = {"streams": {}, "requests": {}}
    for name, repeats in alike.items():
        alike_asked = [test["samples"] for test in asked if all(test[key] == repeats[0][key] for key in ("profile", "parallelism", "service"))]
        one = _together(repeats, sum(alike_asked))
        found["streams" if "throughput" in one else "requests"][name] = one
    return found


def _together(repeats: List[dict], asked: int) -> Dict[str, Any]:
    """Return the facts of runs that are alike: means, the slowest percentile, and the number of observations of the shortest."""
    first, samples = repeats[0], sum(run["samples"] for run in repeats)
    one: Dict[str, Any] = {"nodes": nodes_of(first), "samples": samples, "same_node": first["same_node"], "driver": first["driver"]}
    for key in ("throughput", "rate", "retransmits", "loss"):
        values = [run.get(key) for run in repeats]
        if None not in values:
            one[key] = sum(run[key] * run["samples"] for run in repeats) / samples
    p99, longest = _slowest(repeats), max(run["samples"] for run in repeats)
    if p99 is not None and samples >= asked:
        one.update(latency_p99=p99, count=min(int(run["rate"] * run["seconds"]) for run in repeats))
    elif any(run.get("latency_p99") is not None for run in repeats):
        one["missing"] = {"latency_p99": MEANS.format(samples=longest) if longest > 1 else FEWER.format(told=samples, asked=max(asked, samples))}
    return one


def _slowest(repeats: List[dict]) -> Optional[float]:
    """Return the largest P99 of runs, None unless each has one of its own round trips."""
    found = [run.get("latency_p99") if run["samples"] == 1 and run.get("rate") else None for run in repeats]
    return None if None in found else max(found)


def pairs(found: Dict[str, dict]) -> Dict[str, Dict[str, dict]]:
    """Return {direct, service: {"a -> b": facts}} in the form of our own engine, for a run in which k8s-netperf is the one that decides."""
    direct: Dict[str, dict] = {}
    service: Dict[str, dict] = {}
    for name, run in [*found["streams"].items(), *found["requests"].items()]:
        if run["same_node"] or "(host)" in name:
            continue
        one, through = direct.setdefault(run["nodes"], {}), service.setdefault(run["nodes"], {})
        if name.startswith("TCP_STREAM") and "(pod)" in name:
            best = max(one.get("tcp", {}).get("rate", 0), run.get("throughput", 0))
            one["tcp"] = {"rate": best, "samples": run["samples"]}
        elif name.startswith("TCP_RR") and "(pod)" in name:
            _latency(one, "rtt", run)
        elif name.startswith("TCP_CRR"):
            _latency(through, "connect", run)
    return {kind: {name: facts for name, facts in entries.items() if facts} for kind, entries in (("direct", direct), ("service", service))}


def _latency(pair: dict, key: str, run: dict) -> None:
    """Put a latency into the facts of a pair, or why there is none. Of the drivers only netperf times each request."""
    if run["driver"] == "netperf" and "latency_p99" in run:
        pair[key] = {"p99": run["latency_p99"], "count": run["count"], "repeats": run["samples"]}
    elif "latency_p99" in run.get("missing", {}):
        pair["missing"] = {key: run["missing"]["latency_p99"]}


def decides(own: Dict[str, Any], found: Dict[str, dict], zone_of: Dict[str, str]) -> Dict[str, Any]:
    """Return {nodes, zones, service: {pair: facts}, why: there are no nodes} of a run in which k8s-netperf decides and ours only asked what works.

    `own`: our facts. Each of our Services has to work, and its latency is that of k8s-netperf where that measured it, ours elsewhere. Of our zones those
    that it did not measure stay without numbers. A pair belongs where the zones of its nodes say, and nowhere when one of them is not known.
    """
    theirs, asked = pairs(found), own.get("service") or {}
    result: Dict[str, Any] = {NODES: {}, BETWEEN_ZONES: dict(own.get(BETWEEN_ZONES) or {}), "service": dict(asked), "why": NOTHING}
    for nodes, facts in theirs["direct"].items():
        zones = [zone_of.get(name) for name in nodes.split(" -> ")]
        if None in zones:
            result["why"] = STRANGE.format(nodes=nodes)
            continue
        kind = kind_of(*zones)
        result["why"] = APART.format(nodes=nodes) if kind == BETWEEN_ZONES else result["why"]
        result[kind][f"{nodes} ({kind})"] = facts
    for nodes, facts in theirs["service"].items():
        name = f"{nodes} (service)"
        # What was answered through the Service of a pair that we did not ask; where none was asked, nothing is known of the others.
        beside = asked.get(name, {"works": True} if asked and "connect" in facts else {})
        result["service"][name] = {**beside, **facts, "missing": {**facts.get("missing", {}), **beside.get("missing", {})}}
    return result
