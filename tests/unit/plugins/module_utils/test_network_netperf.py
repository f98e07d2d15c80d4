# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import checks
from ansible_collections.kubeproof.certify.plugins.module_utils.network_facts import cluster_facts
from ansible_collections.kubeproof.certify.tests.unit.plugins.network_fake import NODES, REFUSED, SERVICE, ZONES, finding, judged, measured, place


@pytest.mark.parametrize("profile", ["smoke", "load", "stress", "soak"])
def test_k8s_netperf_decides(profile):
    """Every pair is asked whether it works; the numbers are those of k8s-netperf, which measures between two nodes that it chooses."""
    run = measured(profile, nodes=[place("a1", ""), place("a2", ""), place("a3", "")], engine="k8s_netperf")
    facts = cluster_facts(run)
    found = [one for one in judged(facts, profile) if one["judged"]]
    assert {one["id"]: one["reason"] for one in found if one["result"] not in ("PASS", "NOT_APPLICABLE")} == {}
    assert checks.verdict(found)["verdict"] == "PASS"
    asked = {one["entry"] for one in found if one["id"] == "network_service"}
    assert asked == {"a1 -> a2 (service)", "a2 -> a3 (service)", "a3 -> a1 (service)"}
    assert len([one for one in found if one["id"] == "network_tcp"]) == 4
    # Where ours asked nobody, what k8s-netperf reached says nothing of the others.
    unasked = cluster_facts({**run, "layout": {}})
    assert not [one for one in judged(unasked, profile) if one["id"] == "network_service" and one["result"] == "PASS"]


def test_k8s_netperf_is_judged_by_its_numbers():
    facts = cluster_facts(measured(engine="k8s_netperf"))
    assert finding(facts, "network_pod_throughput", NODES)["value"] == 8e9
    assert finding(facts, "network_pod_latency_p99", NODES)["samples"] == 20e3 * 6
    assert finding(facts, "network_service_latency_p99", SERVICE)["value"] == 4e-04
    # It measures in one zone; of the other pairs ours says whether they work, and no more.
    assert "certify_network_engine: auto" in finding(facts, "network_interzone_throughput", ZONES)["reason"]


@pytest.mark.parametrize(("wanted", "check"), [("0-pod-rtt", "network_tcp"), ("0-service-connect", "network_service"), ("1-service-rtt", "network_service")])
def test_what_k8s_netperf_does_not_ask_fails_all_the_same(wanted, check):
    run = measured(engine="k8s_netperf")
    for name in run["steps"]["pairs"]["runs"]:
        if wanted in name:
            run["steps"]["pairs"]["runs"][name] = REFUSED
    results = {one["id"]: one["result"] for one in judged(cluster_facts(run), "smoke") if one["judged"] and one["result"] != "PASS"}
    assert results == {check: "FAIL"}


def between(client, server, nodes=None, **more):
    """Return a run in which k8s-netperf chose these nodes."""
    run = measured(engine="k8s_netperf", nodes=nodes, **more)
    for one in run["steps"]["k8s-netperf"]["facts"]["runs"]:
        one.update(client={"node": client}, server={"node": server})
    return run


@pytest.mark.parametrize(("rate", "result"), [(8e9, "PASS"), (0.9e9, "FAIL")])
def test_a_pair_of_two_zones_is_judged_as_one(rate, result):
    run = between("a1", "b1", nodes=[place("a1", "a"), place("b1", "b")])
    for one in run["steps"]["k8s-netperf"]["facts"]["runs"]:
        one.update({"throughput": rate} if "throughput" in one else {})
    facts = cluster_facts(run)
    assert finding(facts, "network_interzone_throughput", "a1 -> b1 (zones)")["result"] == result and facts["nodes"] == {}
    # No two nodes are in one zone.
    assert finding(facts, "network_pod_throughput")["result"] == "NOT_APPLICABLE"


@pytest.mark.parametrize(
    ("server", "zone", "said"),
    [
        ("b1", "b", "k8s-netperf measured a1 -> b1, which are in two zones; certify_network_engine: auto measures every pair"),
        ("c9", None, "k8s-netperf measured a1 -> c9, of which it is not known whether they are in one zone"),
    ],
)
def test_what_is_not_within_a_zone_says_nothing_of_one(server, zone, said):
    run = between("a1", server)
    for one in run["steps"]["k8s-netperf"]["facts"]["runs"]:
        one.update({"throughput": 0.9e9} if "throughput" in one else {})
    facts = cluster_facts(run)
    for check in ("network_pod_throughput", "network_pod_latency_p99"):
        found = finding(facts, check)
        assert found["result"] == "INCONCLUSIVE" and said in found["reason"]
    between_zones = {one["entry"]: one["result"] for one in judged(facts) if one["id"] == "network_interzone_throughput"}
    # Those that it did not measure stay open.
    assert between_zones == {ZONES: "INCONCLUSIVE", "b1 -> a1 (zones)": "INCONCLUSIVE", **({"a1 -> b1 (zones)": "FAIL"} if zone else {})}


def test_a_node_that_is_not_in_the_sample_has_its_zone():
    facts = cluster_facts(between("a1", "a4", nodes=[place(f"a{number}", "a") for number in range(1, 5)], most=2))
    assert finding(facts, "network_pod_throughput", "a1 -> a4 (nodes)")["result"] == "PASS"


@pytest.mark.parametrize("engine", ["auto", "k8s_netperf"])
def test_why_k8s_netperf_did_not_run_is_kept(engine):
    run = measured(engine=engine)
    run["steps"]["k8s-netperf"] = {"runs": {}, "facts": {}, "took": 0, "error": "k8s-netperf measures between nodes with a label, of which there are 0."}
    facts = cluster_facts(run)
    for check in ("network_k8s_netperf_throughput", *(["network_pod_throughput"] if engine == "k8s_netperf" else [])):
        assert "of which there are 0." in finding(facts, check)["reason"]
    assert (finding(facts, "network_pod_throughput")["result"] == "PASS") is (engine == "auto")


def test_a_pair_that_only_k8s_netperf_measured():
    run = between("b1", "a2")
    service = cluster_facts(run)["service"]
    assert service["b1 -> a2 (service)"]["works"] is True and service["b1 -> a2 (service)"]["connect"]["p99"] == 4e-04
    assert service[SERVICE]["works"] is True and service[SERVICE]["connect"]["count"] == 2000


@pytest.mark.parametrize(("profile", "check", "entry"), [("TCP_RR", "network_pod_latency_p99", NODES), ("TCP_CRR", "network_service_latency_p99", SERVICE)])
def test_the_slowest_of_the_repeats_of_k8s_netperf_counts(profile, check, entry):
    run = measured(engine="k8s_netperf")
    [*dummy, last] = [one for one in run["steps"]["k8s-netperf"]["facts"]["runs"] if one["profile"] == profile and one["service"] is (profile == "TCP_CRR")]
    last.update(latency_p99=4e-03, rate=1000.0)
    facts = cluster_facts(run)
    found = finding(facts, check, entry)
    # Fewer observations are behind it than behind the others.
    assert (found["value"], found["samples"], found["result"]) == (4e-03, 6000, "CONDITIONAL")
    informs = finding(facts, "network_k8s_netperf_latency_p99", f"{profile} x1 by netperf ({'service' if profile == 'TCP_CRR' else 'pod'})")
    assert (informs["value"], informs["samples"]) == (4e-03, 5)


def test_a_mean_of_percentiles_is_no_percentile():
    """What k8s-netperf told of several samples, by a configuration of another's making."""
    run = measured(engine="k8s_netperf")
    for one in run["steps"]["k8s-netperf"]["facts"]["runs"]:
        one.update(samples=5, latency_p99=one["latency_p99"] and 8.8e-04)
    facts = cluster_facts(run)
    found = finding(facts, "network_pod_latency_p99", NODES)
    assert found["result"] == "INCONCLUSIVE" and "the mean of 5 samples' percentiles" in found["reason"]
    assert facts["service"][SERVICE]["connect"]["p99"] == 5e-04
    assert all("latency_p99" not in one for one in facts["k8s_netperf"]["requests"].values())


def test_a_repeat_that_k8s_netperf_left_out_may_be_the_slowest():
    run = measured(engine="k8s_netperf")
    runs = run["steps"]["k8s-netperf"]["facts"]["runs"]
    runs.remove(next(one for one in runs if one["profile"] == "TCP_RR" and not one["service"]))
    found = finding(cluster_facts(run), "network_pod_latency_p99", NODES)
    assert found["result"] == "INCONCLUSIVE" and "4 of the 5 repeats" in found["reason"]


@pytest.mark.parametrize("lost", ["latency_p99", "rate"])
def test_a_repeat_of_k8s_netperf_without_a_number_leaves_it_open(lost):
    run = measured(engine="k8s_netperf")
    next(one for one in run["steps"]["k8s-netperf"]["facts"]["runs"] if one["profile"] == "TCP_RR" and not one["service"])[lost] = None
    assert finding(cluster_facts(run), "network_pod_latency_p99", NODES)["result"] == "INCONCLUSIVE"


def test_k8s_netperf_beside_ours_informs():
    facts = cluster_facts(measured())
    found = finding(facts, "network_k8s_netperf_throughput")
    assert (found["entry"], found["value"], found["judged"]) == ("TCP_STREAM x1 by netperf (pod)", 8e9, False)
    assert finding(facts, "network_pod_throughput", NODES)["value"] == 8.5e9
