# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What k8s-netperf measured, as facts of pairs. Pure. It chooses its nodes itself, so that a pair of it is one of many."""

from __future__ import annotations

from typing import Any, Dict


def name_of(run: dict) -> str:
    """Return what a run is called in the facts."""
    network = "host" if run["host_network"] else "service" if run["service"] else "pod"
    return f"{run['profile']} x{run['parallelism']} by {run['driver']} ({network})"


def nodes_of(run: dict) -> str:
    return f"{run['client'].get('node') or 'unknown'} -> {run['server'].get('node') or 'unknown'}"


def facts_of(runs: Any) -> Dict[str, dict]:
    """Return {streams, requests: {run: {nodes, throughput or rate, latency_p99, count, samples, …}}} of the parser's runs."""
    found: Dict[str, dict] = {"streams": {}, "requests": {}}
    for run in runs if isinstance(runs, list) else ():
        one: Dict[str, Any] = {"nodes": nodes_of(run), "samples": run["samples"], "same_node": run["same_node"], "driver": run["driver"]}
        one.update({key: run[key] for key in ("throughput", "rate", "latency_p99", "retransmits", "loss") if run.get(key) is not None})
        if "rate" in one:
            # It tells the mean rate of its samples.
            one["count"] = int(one["rate"] * run["seconds"] * run["samples"])
        found["streams" if "throughput" in one else "requests"][name_of(run)] = one
    return found


def pairs(found: Dict[str, dict]) -> Dict[str, Dict[str, dict]]:
    """Return {nodes, service: {pair: facts}} in the form of our own engine, for a run in which k8s-netperf is the only one."""
    of_nodes: Dict[str, dict] = {}
    service: Dict[str, dict] = {}
    for name, run in [*found["streams"].items(), *found["requests"].items()]:
        if run["same_node"] or "(host)" in name:
            continue
        one = of_nodes.setdefault(f"{run['nodes']} (nodes)", {})
        through = service.setdefault(f"{run['nodes']} (service)", {})
        # Of the drivers only netperf times each request.
        p99 = run.get("latency_p99") if run["driver"] == "netperf" else None
        latency = {"p99": p99, "count": run.get("count"), "repeats": run["samples"]}
        if name.startswith("TCP_STREAM") and "(pod)" in name:
            best = max(one.get("tcp", {}).get("rate", 0), run.get("throughput", 0))
            one["tcp"] = {"rate": best, "samples": run["samples"]}
        elif name.startswith("TCP_RR") and "(pod)" in name and p99:
            one["rtt"] = latency
        elif name.startswith("TCP_CRR") and p99:
            through["connect"] = latency
    return {kind: {name: facts for name, facts in entries.items() if facts} for kind, entries in (("nodes", of_nodes), ("service", service))}
