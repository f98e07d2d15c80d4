# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of a cluster's network, put together from what modules and tools returned. Pure. What is not known is absent, and `missing` says why."""

from __future__ import annotations

from typing import Any, Dict, List

from . import network_netperf, network_runs, network_state, stress, stress_plan
from .network_layout import BETWEEN_ZONES, NODES, SAME, took_part
from .network_pairs import BAD, GOOD, Ran, judged, longest, pair_facts, present, requirement, second_tries, service_facts

KINDS_OF_PAIRS = (NODES, BETWEEN_ZONES, SAME)
TABLE_UNREAD = "the connection tracking table of {node} cannot be read from a pod there"
TABLE_NONE = "netfilter's connection tracking (nf_conntrack) is not loaded on {node}"
# What has a table of its own for connections where it takes kube-proxy's place (network_info.REPLACEMENTS). A table of netfilter of which half is in
# use is in use all the same, as it is where iptables masquerades.
OWN_TABLES = ("cilium",)
IN_USE = 0.5


def cluster_facts(measured: Dict[str, Any]) -> dict:
    """Return the document of the network.

    `measured`: plan (network_plan), layout (network_layout), info (network_info), capacity (certify_capacity), steps {name: {runs: what
    pod_exec returned, facts, error}}, looks {before, after: {pod: facts or {error}}}, pods {pod: what pod_group returned}, host_error,
    services {server: cluster IP}, stress (see stress.facts), clean. Only `plan` must be there.
    """
    plan, layout, info = measured["plan"], _map(measured.get("layout")), _map(measured.get("info"))
    steps = {name: _map(step) for name, step in _map(measured.get("steps")).items()}
    looks = {when: _map(_map(measured.get("looks")).get(when)) for when in ("before", "after")}
    places = {**{name: _map(measured.get(name)) for name in ("pods", "services")}, "looks": looks["before"]}
    facts: Dict[str, Any] = {"engines": {name: name in plan["engines"] for name in ("builtin", "k8s_netperf")}}
    facts.update({"plan": {name: plan[name] for name in ("inputs", "load", "shortened", "engines", "udp_rate", "steps")}})
    facts.update({"services": info["services"]} if "services" in info else {})
    gone = _gone(measured, layout, looks["after"]) if layout else {}
    if layout:
        facts["layout"] = {name: layout[name] for name in ("taking_part", "nodes", "left_out", "aside", "zones", "possible", "sampled")}
        facts["layout"]["took_part"] = took_part(layout)
        facts.update(_pairs(measured, layout, steps, gone, places))
        facts.update(_tables(layout, looks, gone, _map(info.get("kube_proxy"))))
    if "stress" in plan:
        views = {step["name"]: _view(step, layout, steps[step["name"]], places) for step in stress_plan.ran(plan, steps)}
        stress.add(facts, "network", plan, views, measured.get("stress"))
    facts["kube_proxy"] = _proxy(info, layout, looks)
    missing = {**_map(facts.get("missing")), **_silent(facts["kube_proxy"], info, layout, gone)}
    programmed = _programming(steps)
    missing.update(programmed.pop("missing", {}))
    facts.update(programmed)
    if "k8s_netperf" in plan["engines"]:
        found = _k8s_netperf(plan, _map(steps.get("k8s-netperf")), facts, layout, _map(measured.get("capacity")))
        missing.update(found.pop("missing"))
        facts.update(found)
    facts["missing"] = missing
    facts.update({"left": measured["clean"]["left"]} if "left" in _map(measured.get("clean")) else {})
    return facts


def _map(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _pairs(measured: dict, layout: dict, steps: Dict[str, dict], gone: Dict[str, str], places: dict) -> dict:
    """Return {nodes, zones, same, across (the first two), service, every: {name of the pair: its facts}, again: see second_tries}."""
    plan, results, tried = measured["plan"], {}, []
    of: Dict[str, List[dict]] = {}
    for planned, kind in ((step["name"], kind) for step in plan["steps"] if step["kind"] == "pairs" and "phase" not in step for kind in step["tests"]):
        step = _map(steps.get(planned))
        results.update(_map(step.get("runs")))
        for test in network_runs.tests(kind, layout, plan["load"]):
            of.setdefault(test["pair"], []).append(_asked(test, step, places))
    found: Dict[str, dict] = {**{kind: {} for kind in KINDS_OF_PAIRS}, "service": {}}
    for pair in layout["pairs"]:
        through = f"{pair['from']} -> {pair['to']} (service)"
        if not pair["measured"]:
            found[pair["kind"]][pair["name"]] = found["service"][through] = _left_out(pair, layout)
            continue
        ran = Ran(of.get(pair["name"], []), results, gone)
        tried += ran.tests
        one = pair_facts(ran, plan)
        one["mtu"] = _mtu(ran.tests, places)
        if pair["kind"] == BETWEEN_ZONES:
            one.update(requirement(one, _map(measured.get("capacity"))))
        found[pair["kind"]][pair["name"]] = present(one)
        if pair["kind"] != SAME:
            found["service"][through] = service_facts(ran)
    found["across"] = {**found[NODES], **found[BETWEEN_ZONES]}
    found["every"] = {**found["across"], **found[SAME]}
    found["again"] = second_tries(tried)
    return found


def _asked(test: dict, step: dict, places: dict) -> dict:
    """Return a test of a step with the reasons why it may have no run."""
    return dict(test, unable=network_runs.unable(test, places), unrun=step.get("error") or "the test did not run")


def _view(step: dict, layout: dict, ran: dict, places: dict) -> dict:
    """Return what the ramp asks of a step: of each pair whether it works, what arrived and how long a round trip took beside that."""
    runs, every, shares, near, lost = _map(ran.get("runs")), {}, [], {}, ""
    tests = [test for test in network_runs.tests("ramp", layout, {"ramp": 1, "samples": 1}) if step["rates"].get(test["kind"])] if layout else []
    for test in tests:
        one = judged(_asked(test, ran, places), runs.get(test["name"]), {})
        if one["outcome"] not in (GOOD, BAD):
            lost = lost or one["why"]
            continue
        every[test["pair"]] = {"works": {"tcp": one["outcome"] == GOOD}}
        if one["outcome"] == GOOD:
            shares.append(one["facts"]["iperf3"]["received"]["rate"] / step["rates"][test["kind"]])
            if test["kind"] == NODES:
                rtt = one["facts"]["sockperf"]["rtt"]
                near[test["pair"]] = {"rtt": {"p99": rtt["p99"], "count": rtt["samples"]}}
    # What broke at one pair is broken, whatever is not known of another one.
    if not every or lost and all(one["works"]["tcp"] for one in every.values()):
        return {"limited": lost or "no pair of nodes could be measured"}
    slow = [one["rtt"]["p99"] for one in near.values()]
    return {
        "offered": step["rate"],
        # The worst pair; one of two zones as a share of what is declared for these.
        "achieved": round(min([*shares, 1.0]) * step["rate"]) if shares else None,
        "seconds": step["seconds"],
        "document": {"every": every, "nodes": near},
        "wanted": ("network_tcp", *(("network_pod_latency_p99",) if near else ())),
        **present({"p99": max(slow, key=longest, default=None)}),
    }


def _left_out(pair: dict, layout: dict) -> dict:
    """Return the facts of a pair that could not be measured: why."""
    told = [f"{name} {layout['left_out'][name]}" for name in (pair["from"], pair["to"]) if name in layout["left_out"]]
    return {"missing": {"": told[0] if told else "one of the zones has no node that takes part"}}


def _gone(measured: dict, layout: dict, after: dict) -> Dict[str, str]:
    """Return {pod: a sentence} of the pods that did not answer any more after the load; of those in the host network that never were, why."""
    places = {**network_runs.pods(layout, "pod"), **network_runs.pods(layout, "host")}
    made = _map(measured.get("pods"))
    found = {}
    for pod, one in places.items():
        if pod not in made:
            found[pod] = (measured.get("host_error") if pod.startswith("host-") else "") or f"there is no pod {pod} on {one['node']}"
        elif "error" in _map(after.get(pod)):
            found[pod] = f"the pod {pod} on {one['node']} was lost: {after[pod]['error']}"
        elif pod not in after:
            found[pod] = f"it is not known whether the pod {pod} on {one['node']} was there to the end"
    return found


def _mtu(tests: List[dict], places: dict) -> dict:
    """Return {path}: the bytes of the packets that passed whole, which are as large as the pod may send them."""
    passed = [test for test in tests if test["test"] == "full_size" and test["outcome"] == GOOD]
    return present({"path": min((network_runs.packet(test, places, test["facts"]["udp"]["datagram"]) for test in passed), default=None)})


def _tables(layout: dict, looks: Dict[str, dict], gone: Dict[str, str], proxy: dict) -> dict:
    """Return {conntrack: {node: {before, count, max, share, failed}}} of the nodes that take part, at the end of the load, when it is fullest.

    And netfilter_tracks False where what replaces kube-proxy has a table of its own, and no node has netfilter's in use.
    """
    found: Dict[str, dict] = {}
    for number, node in enumerate(layout["taking_part"]):
        first, last = (_map(_map(looks[when].get(f"host-{number}")).get("conntrack")) for when in ("before", "after"))
        if first.get("loaded") is False and last.get("loaded") is False:
            found[node] = {"loaded": False, "missing": {"": TABLE_NONE.format(node=node)}}
            continue
        if "count" not in first or "count" not in last or not last.get("max"):
            found[node] = {"missing": {"": gone.get(f"host-{number}") or TABLE_UNREAD.format(node=node)}}
            continue
        share = max(first["count"], last["count"]) / last["max"]
        found[node] = {"before": first["count"], "count": last["count"], "max": last["max"], "share": share}
        if "failed" in first and "failed" in last:
            found[node]["failed"] = max(0, last["failed"] - first["failed"])
    own = proxy.get("replaced") is True and proxy.get("by") in OWN_TABLES
    unused = all(one.get("loaded") is False or one.get("share", IN_USE) < IN_USE for one in found.values())
    return {"conntrack": found, **({"netfilter_tracks": False} if own and found and unused else {})}


def _proxy(info: dict, layout: dict, looks: Dict[str, dict]) -> dict:
    """Return {replaced, modes: {node: {mode}}, mode (when all have one), rules, programming} of kube-proxy."""
    known = _map(info.get("kube_proxy"))
    hosts = [f"host-{number}" for number in range(len(layout.get("taking_part", ())))]
    seen = {host: _map(_map(looks["after"].get(host)).get("proxy")) for host in hosts}
    modes = {node: _map(seen.get(f"host-{number}")).get("mode") for number, node in enumerate(layout.get("taking_part", ()))}
    found: Dict[str, Any] = {"replaced": known.get("replaced", False), "configured": known.get("mode")}
    every = set(modes.values())
    if every and None not in every:
        found.update(modes=modes, kinds=len(every), mode=sorted(every)[0] if len(every) == 1 else "several")
    rules = [one["rules"] for one in seen.values() if "rules" in one]
    if hosts and len(rules) == len(hosts):
        found["rules"] = max(rules)
    if found.get("mode", "iptables") != "iptables":
        found["counts_rules"] = False
    programmed = network_state.programmed({host: _map(looks["before"].get(host)) for host in hosts}, looks["after"]) if hosts else {}
    return present({**found, "programming": programmed})


def _silent(proxy: dict, info: dict, layout: dict, gone: Dict[str, str]) -> dict:
    """Return {kube_proxy: why its mode is not known}, {} where it is."""
    if not layout or "mode" in proxy or proxy["replaced"]:
        return {}
    lost = next((why for pod, why in gone.items() if pod.startswith("host-")), "")
    if lost:
        return {"kube_proxy": lost}
    known, told = _map(info.get("kube_proxy")), "; kube-proxy's pods could not be counted"
    if known.get("pods"):
        told = f"; its configuration says {known['mode']}" if known.get("mode") else ""
        told += "; its metricsBindAddress may be another one"
    elif known:
        told = "; no pod of kube-proxy runs, so that something else may do its work"
    return {"kube_proxy": f"kube-proxy does not tell its mode at port 10249 of the loopback address on every node{told}"}


def _k8s_netperf(plan: dict, step: dict, facts: dict, layout: dict, capacity: dict) -> dict:
    """Return {k8s_netperf, missing} of its step, and where it decides {nodes, zones, service} beside what ours found."""
    found = network_netperf.facts_of(_map(step.get("facts")).get("runs"), plan["netperf"]["tests"])
    missing = {"k8s_netperf": step["error"]} if step.get("error") else {}
    if "builtin" in plan["engines"]:
        return {"k8s_netperf": found, "missing": missing}
    decided = network_netperf.decides(facts, found, _map(layout.get("zone_of")))
    for one in decided[BETWEEN_ZONES].values():
        one.update(requirement(one, capacity))
    missing.update({NODES: step.get("error") or decided.pop("why")} if not decided[NODES] else {})
    return {"k8s_netperf": found, "missing": missing, **{kind: decided[kind] for kind in (NODES, BETWEEN_ZONES, "service")}}


def _programming(steps: Dict[str, dict]) -> dict:
    """Return {programming: service_probe's facts} and why it is not there."""
    step = _map(steps.get("programming"))
    found = _map(step.get("facts"))
    if found:
        return {"programming": found}
    return {"missing": {"programming": step["error"]}} if step.get("error") else {}
