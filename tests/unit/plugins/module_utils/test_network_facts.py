# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import pathlib

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import checks, network_runs
from ansible_collections.kubeproof.certify.plugins.module_utils.network_facts import cluster_facts
from ansible_collections.kubeproof.certify.plugins.module_utils.network_layout import layout
from ansible_collections.kubeproof.certify.plugins.module_utils.network_plan import plan
from ansible_collections.kubeproof.certify.tests.unit.plugins import stress_fake

ROLE = pathlib.Path(__file__).parents[4] / "roles/network/defaults/main"
DEFAULTS = yaml.safe_load((ROLE / "settings.yml").read_text(encoding="utf-8"))
CHECKS = yaml.safe_load((ROLE / "checks.yml").read_text(encoding="utf-8"))["network_checks"]
NODES, ZONES, SERVICE = "a1 -> a2 (nodes)", "a2 -> b1 (zones)", "a1 -> a2 (service)"
REFUSED = {"exit_code": 1, "seconds": 3.0, "error": "iperf3 ended with 1: unable to connect"}
TIMED_OUT = {"exit_code": 124, "seconds": 9.0, "error": "timeout ended with 124"}
CUT = {"seconds": 3.0, "error": "the pod net-pod-1 was lost"}


def place(name, zone, trouble=""):
    return {"name": name, "zone": zone, "aside": "", "trouble": trouble}


def facts_of(test, rate):
    """Return the parser's facts of a good run."""
    if test["test"] == "ramp":
        rtt = {"p50": 2e-05, "p99": 1e-03, "samples": 50_000}
        return {"iperf3": {"received": {"bytes": 1.5e9, "rate": rate}}, "sockperf": {"samples": 50_000, "rtt": rtt}}
    if test["test"] in ("rtt", "loaded"):
        return {"samples": 50_000, "lost": 0, "rtt": {"p50": 2e-05, "p99": 1e-04 * (test["repeat"] + 1), "samples": 50_000 - test["repeat"]}}
    if test["test"] == "connect":
        return {"count": 2000, "good": 2000, "failed": 0, "latency": {"p50": 1e-04, "p99": 5e-04, "samples": 2000}}
    facts = {"sent": {"bytes": 1.5e9, "rate": rate}, "received": {"bytes": 1.5e9, "rate": rate}, "mss": 1500, "retransmits": 10}
    if test["test"] != "tcp":
        facts.update(udp={"packets": 80_000, "lost": 0, "loss": 0.0, "jitter": 1e-06, "offered_rate": 100e6}, retransmits=None, mss=None)
    return facts


def measured(profile="load", nodes=None, engine="auto", capacity=None, **more):
    """Return what a run on two nodes of one zone and one of another gathers when all is well."""
    found = layout(nodes or [place("a1", "a"), place("a2", "a"), place("b1", "b")])
    planned = plan(profile, {**DEFAULTS, "nodes": 3, "capacity": {}, "engine": engine, "found": True, "live": False, **more})
    steps = {}
    for step in [step for step in planned["steps"] if step["kind"] == "pairs"]:
        runs = {}
        for test in [test for kind in step["tests"] for test in network_runs.tests(kind, found, planned["load"])]:
            if "phase" in step:
                runs[test["name"]] = {"facts": facts_of(test, step["rates"].get(test["kind"], 0)), "exit_code": 0, "seconds": 1.0, "error": ""}
                continue
            rate = (10e9 if test["network"] == "host" else 9.5e9) - (1e9 if test.get("way") == "reverse" else 0) - (2e9 if test.get("streams") == 1 else 0)
            runs[test["name"]] = {"facts": facts_of(test, rate), "exit_code": 0, "seconds": 1.0, "error": ""}
        steps[step["name"]] = {"runs": runs, "facts": {}, "took": 10.0, "error": ""}
    steps["programming"] = {"facts": {"expected": 60, "count": 60, "missed": 0, "max": 1.5, "p50": 0.6, "p99": 1.4}, "took": 30.0}
    netperf = [
        {"profile": "TCP_STREAM", "service": False, "host_network": False, "parallelism": 8, "samples": 5, "throughput": 8e9},
        {"profile": "TCP_RR", "service": False, "host_network": False, "parallelism": 1, "samples": 5, "rate": 20e3, "latency_p99": 8e-05},
        {"profile": "TCP_CRR", "service": True, "host_network": False, "parallelism": 1, "samples": 5, "rate": 5e3, "latency_p99": 4e-04},
    ]
    ends = {"client": {"node": "a1"}, "server": {"node": "a2"}, "driver": "netperf", "same_node": False, "seconds": 10}
    steps["k8s-netperf"] = {"facts": {"runs": [{**run, **ends} for run in netperf]}, "took": 60.0}
    pods = {**network_runs.pods(found, "pod"), **network_runs.pods(found, "host")}
    return {
        "plan": planned,
        "layout": found,
        "info": {"nodes": 3, "services": 20, "kube_proxy": {"pods": 3, "mode": "iptables", "replaced": False}},
        "capacity": {"interzone_rate": 5e9} if capacity is None else capacity,
        "steps": steps,
        "looks": {"before": {pod: look(pod, 0) for pod in pods}, "after": {pod: look(pod, 100) for pod in pods}},
        "pods": {pod: {"pod": f"net-{pod}", "ip": "10.0.0.1"} for pod in pods},
        "host_error": "",
        "clean": {"left": 0},
        "stress": stress_fake.known(CHECKS, planned) if profile == "stress" else {},
    }


def look(pod, count):
    facts = {"mtu": 1450, "conntrack": {"count": 1000 + count, "max": 10_000, "failed": 7}}
    programming = [[1.0, count], [2.0, count], [None, count]]
    return {**facts, "proxy": {"mode": "iptables", "rules": 300, "start": 5.0, "programming": programming}} if pod.startswith("host") else facts


def judged(facts, profile="load"):
    return checks.judge(CHECKS, {"cluster": {"lab": facts}}, "network", profile, {"cluster": ["lab"]})


def finding(facts, check, entry=None, profile="load"):
    return next(one for one in judged(facts, profile) if one["id"] == check and entry in (None, one.get("entry")))


# All is well -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["smoke", "load", "stress", "soak"])
def test_every_check_of_a_profile_finds_its_fact(profile):
    found = [one for one in judged(cluster_facts(measured(profile)), profile) if one["judged"]]
    assert found and {one["id"]: one["reason"] for one in found if one["result"] != "PASS"} == {}


def test_every_check_finds_its_fact_in_a_load_or_a_stress():
    found = [judged(cluster_facts(measured(profile)), profile) for profile in ("load", "stress")]
    known = [{one["id"] for one in findings if one["value"] is not None or one["result"] == "NOT_APPLICABLE"} for findings in found]
    assert set(CHECKS) - known[0] - known[1] == set() and set(CHECKS) - known[0] == {"network_headroom", "network_recovered", "network_breaking_point"}


@pytest.mark.parametrize(
    ("run", "ratio", "broke"),
    [
        ({}, [2.0, None], None),
        ({"iperf3": {"received": {"rate": 1.4e9}}}, 1.25, None),
        ({"sockperf": {"rtt": {"p99": 0.006, "samples": 5000}}}, 1.25, "network_pod_latency_p99"),
        ({"error": "iperf3 ended with 1: unable to connect", "exit_code": 1}, 1.25, "network_tcp"),
        ({"error": "the pod was lost"}, [1.25, None], None),
    ],
)
def test_the_ramp_ends_at_the_first_step_that_breaks(run, ratio, broke):
    found = measured("stress", capacity={})
    [one] = [one for name, one in found["steps"]["ramp-150"]["runs"].items() if one["facts"]["iperf3"]["received"]["rate"]]
    if "error" in run:
        one.update(run, exit_code=run.get("exit_code"))
    else:
        one["facts"].update(run)
    facts = cluster_facts(found)["stress"]
    assert facts["headroom"]["ratio"] == ratio and facts.get("broke", {}).get("id") == broke and facts["expected"] == 1e9


def test_without_facts_nothing_passes():
    results = {one["result"] for profile in ("smoke", "load", "stress", "soak") for one in judged({}, profile) if one["judged"]}
    assert results == {"INCONCLUSIVE"}
    results = {one["result"] for one in judged(cluster_facts({"plan": measured()["plan"]})) if one["judged"]}
    assert results == {"INCONCLUSIVE"}


def test_the_numbers_of_a_pair():
    pair = cluster_facts(measured())["nodes"][NODES]
    # The best number of streams, in the worse way; one stream is measured in one way alone.
    assert pair["tcp"]["rate"] == 8.5e9 and pair["tcp"]["streams"] == {"1": 7.5e9, "8": 8.5e9} and pair["tcp"]["samples"] == 5
    assert pair["host"]["rate"] == 9e9 and pair["efficiency"] == pytest.approx(8.5 / 9)
    assert pair["tcp"]["retransmits"] == pytest.approx(10 / 1e6) and pair["tcp"]["mss"] == 1500
    # The percentile of the worst repeat, the observations of the shortest.
    assert pair["rtt"] == {"p99": 5e-04, "p50": 2e-05, "count": 49_996, "repeats": 5}
    assert pair["udp"]["packets"] == 80_000 and pair["mtu"] == {"pods": 1450, "path": 1450} and "missing" not in pair


def test_tables_and_proxy():
    facts = cluster_facts(measured())
    assert facts["conntrack"]["a1"] == {"count": 1100, "max": 10_000, "share": 0.11, "before": 1000, "failed": 0}
    assert facts["kube_proxy"] == {
        "replaced": False, "configured": "iptables", "modes": {"a1": "iptables", "a2": "iptables", "b1": "iptables"}, "kinds": 1, "mode": "iptables",
        "rules": 300, "programming": {"count": 300, "p50": [0.0, 1.0], "p99": [0.0, 1.0]},
    }  # fmt: skip


# Zones -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("capacity", "result"), [(5e9, "PASS"), (7e9, "CONDITIONAL"), (9e9, "FAIL"), (None, "INCONCLUSIVE")])
def test_zones_against_the_requirement(capacity, result):
    found = finding(cluster_facts(measured(capacity={"interzone_rate": capacity} if capacity else {})), "network_interzone_throughput", ZONES)
    assert found["result"] == result, found
    assert capacity or "certify_capacity.interzone_rate" in found["reason"]


def test_one_zone_needs_no_check_between_zones():
    facts = cluster_facts(measured(nodes=[place("a1", ""), place("a2", "")], capacity={}))
    found = finding(facts, "network_interzone_throughput")
    assert found["result"] == "NOT_APPLICABLE" and "zone" in found["reason"]
    assert finding(facts, "network_pod_throughput")["result"] == "PASS"


def test_one_node_has_no_other():
    facts = cluster_facts(measured(nodes=[place("a1", "")]))
    results = {one["id"]: one["result"] for one in judged(facts) if one["judged"]}
    across = ("network_pod_throughput", "network_pod_latency_p99", "network_service", "network_udp_loss", "network_service_latency_p99")
    assert {results[check] for check in across} == {"NOT_APPLICABLE"} and results["network_tcp"] == "PASS"
    assert set(results.values()) == {"NOT_APPLICABLE", "PASS"}


@pytest.mark.parametrize(
    ("check", "entry"),
    [*((check, NODES) for check in ("network_tcp", "network_pod_throughput", "network_pod_latency_p99", "network_udp_loss")), ("network_service", SERVICE)],
)
def test_a_node_that_cannot_take_part_is_named(check, entry):
    facts = cluster_facts(measured(nodes=[place("a1", ""), place("a2", "", "has the taint dedicated=db:NoSchedule, which nobody tolerates")]))
    found = finding(facts, check, entry)
    assert found["result"] == "INCONCLUSIVE" and "a2 has the taint dedicated=db:NoSchedule" in found["reason"]


# Faults ----------------------------------------------------------------------------------------------------------------------


def broken(outcome, wanted, gone=()):
    """Return the facts when the tests that are wanted (a part of their names) had another outcome and pods were gone afterwards."""
    found = measured()
    for name in found["steps"]["pairs"]["runs"]:
        if wanted in name:
            found["steps"]["pairs"]["runs"][name] = outcome
    for pod in gone:
        found["looks"]["after"][pod] = {"error": "no connection"}
    return cluster_facts(found)


@pytest.mark.parametrize("outcome", [REFUSED, TIMED_OUT])
@pytest.mark.parametrize(
    ("wanted", "check", "entry"),
    [
        ("0-pod-tcp-1-forward-3", "network_tcp", NODES),
        ("0-pod-rtt", "network_tcp", NODES),
        ("0-pod-udp", "network_udp", NODES),
        ("0-pod-full_size", "network_full_size", NODES),
        ("0-service-rtt", "network_service", SERVICE),
        ("0-service-connect-4", "network_service", SERVICE),
    ],
)
def test_what_does_not_pass_fails(wanted, check, entry, outcome):
    facts = broken(outcome, wanted)
    assert finding(facts, check, entry, "smoke")["result"] == "FAIL"
    others = [one for one in judged(facts, "smoke") if one["judged"] and one["id"] != check]
    assert others and {one["result"] for one in others} == {"PASS"}


@pytest.mark.parametrize(("wanted", "check"), [("0-pod-udp", "network_udp"), ("0-pod-full_size", "network_full_size")])
def test_datagrams_of_which_none_arrived_do_not_work(wanted, check):
    """Small ones came through, so that iperf3 had no error."""
    none = {"exit_code": 0, "error": "", "facts": {"udp": {"packets": 849, "lost": 849, "loss": 1.0, "offered_rate": 1e7, "asked_rate": 1e7}}}
    assert finding(broken(none, wanted), check, NODES, "smoke")["result"] == "FAIL"


def test_a_number_that_lost_a_sample_is_not_known_and_says_why():
    found = finding(broken(REFUSED, "0-pod-tcp-1-forward-3"), "network_pod_throughput", NODES)
    assert found["result"] == "INCONCLUSIVE" and "unable to connect" in found["reason"]


@pytest.mark.parametrize("outcome", [REFUSED, CUT, {"exit_code": 137, "error": "killed"}, None])
def test_a_lost_pod_is_no_fault_of_the_network(outcome):
    gone = ["pod-1"] if outcome == REFUSED else []
    facts = broken(outcome, "0-pod-tcp", gone)
    found = finding(facts, "network_tcp", NODES)
    assert found["result"] == "INCONCLUSIVE" and (not gone or "pod-1 on a2 was lost" in found["reason"]), found


def test_a_baseline_that_could_not_start_is_named():
    found = measured()
    found["host_error"] = "Nothing listens at port 25201 in pod host-host-0."
    for pod in list(found["pods"]):
        if pod.startswith("host"):
            del found["pods"][pod], found["looks"]["before"][pod], found["looks"]["after"][pod]
    for step in found["steps"].values():
        step["runs"] = {name: run for name, run in step.get("runs", {}).items() if "-host-" not in name}
    facts = cluster_facts(found)
    assert "host" not in facts["nodes"][NODES] and finding(facts, "network_pod_throughput", NODES)["result"] == "PASS"
    assert "Nothing listens at port 25201" in finding(facts, "network_conntrack", "a1")["reason"]
    assert "Nothing listens at port 25201" in finding(facts, "network_overlay_efficiency", NODES)["reason"]


def test_connections_that_failed_are_slower_than_every_bound():
    found = measured()
    lost = {"count": 2000, "good": 1900, "failed": 100, "latency": {"p50": 1e-04, "p99": [5e-04, None], "samples": 2000}}
    found["steps"]["pairs"]["runs"]["0-service-connect-2"]["facts"] = lost
    facts = cluster_facts(found)
    assert finding(facts, "network_service", SERVICE)["result"] == "FAIL"
    assert finding(facts, "network_service_latency_p99", SERVICE)["result"] == "INCONCLUSIVE"


def test_a_rate_that_was_not_sent_has_no_loss():
    found = measured()
    found["steps"]["pairs"]["runs"]["0-pod-udp-0"]["facts"]["udp"]["offered_rate"] = 50e6
    one = finding(cluster_facts(found), "network_udp_loss", NODES)
    assert one["result"] == "INCONCLUSIVE" and "could not send the rate" in one["reason"]


@pytest.mark.parametrize(
    ("change", "check", "result"),
    [
        (lambda looks: looks["after"]["host-0"].pop("conntrack"), "network_conntrack", "INCONCLUSIVE"),
        (lambda looks: looks["after"]["host-0"]["conntrack"].update(count=8000), "network_conntrack", "CONDITIONAL"),
        (lambda looks: looks["before"]["host-0"]["conntrack"].update(count=9500), "network_conntrack", "FAIL"),
    ],
)
def test_the_table(change, check, result):
    found = measured()
    change(found["looks"])
    assert finding(cluster_facts(found), check, "a1")["result"] == result


def test_a_proxy_that_restarted_or_has_another_mode():
    found = measured()
    found["looks"]["after"]["host-1"]["proxy"].update(start=99.0, mode="ipvs")
    proxy = cluster_facts(found)["kube_proxy"]
    assert "programming" not in proxy and proxy["mode"] == "several" and proxy["counts_rules"] is False


def test_a_replaced_proxy_is_not_asked():
    found = measured()
    found["info"]["kube_proxy"] = {"pods": 0, "replaced": True, "by": "cilium"}
    assert finding(cluster_facts(found), "network_proxy_mode")["result"] == "NOT_APPLICABLE"


@pytest.mark.parametrize(
    ("step", "check", "result"),
    [
        ({"facts": {"expected": 60, "count": 31, "missed": 2}}, "network_programmed", "FAIL"),
        ({"facts": {"expected": 60, "count": 31, "missed": 2}}, "network_programming_time", "INCONCLUSIVE"),
        ({"error": "pod-0 cannot be labelled."}, "network_programmed", "INCONCLUSIVE"),
    ],
)
def test_programming(step, check, result):
    found = measured()
    found["steps"]["programming"] = step
    one = finding(cluster_facts(found), check)
    assert one["result"] == result and ("error" not in step or "cannot be labelled" in one["reason"])


def test_k8s_netperf_alone_is_judged():
    facts = cluster_facts(measured(engine="k8s_netperf"))
    assert finding(facts, "network_pod_throughput", NODES)["value"] == 8e9
    assert finding(facts, "network_pod_latency_p99", NODES)["samples"] == 20e3 * 10 * 5
    assert finding(facts, "network_service_latency_p99", SERVICE)["value"] == 4e-04


def test_k8s_netperf_beside_ours_informs():
    facts = cluster_facts(measured())
    found = finding(facts, "network_k8s_netperf_throughput")
    assert (found["entry"], found["value"], found["judged"]) == ("TCP_STREAM x8 by netperf (pod)", 8e9, False)
    assert finding(facts, "network_pod_throughput", NODES)["value"] == 8.5e9


GOOD = cluster_facts(measured())


def paths(value, path=()):
    """Yield the path of everything in nested maps."""
    for key, entry in value.items() if isinstance(value, dict) else ():
        yield (*path, key)
        yield from paths(entry, (*path, key))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_removing_a_fact_never_improves_the_verdict(data):
    path = data.draw(st.sampled_from(sorted(paths(GOOD))))
    facts = copy.deepcopy(GOOD)
    place_of = facts
    for key in path[:-1]:
        place_of = place_of[key]
    del place_of[path[-1]]
    before = {(one["id"], one.get("entry")): one["result"] for one in judged(GOOD) if one["judged"]}
    after = {(one["id"], one.get("entry")): one["result"] for one in judged(facts) if one["judged"]}
    better = [key for key, result in after.items() if checks.RESULTS.index(result) > checks.RESULTS.index(before.get(key, "PASS"))]
    assert better == []
    assert {check for check, dummy in after} >= {check for check, dummy in before}


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(["layout", "info", "steps", "looks", "pods", "clean", "capacity"]), st.sampled_from([None, {}, [], "x", 5])))
def test_what_is_missing_never_breaks_the_facts(changed):
    found = {**measured("smoke"), **{key: value for key, value in changed.items() if key not in ("layout", "pods") or not value}}
    assert cluster_facts(found)["plan"]
