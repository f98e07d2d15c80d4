# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pathlib

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import parsers
from ansible_collections.kubeproof.certify.plugins.module_utils.network_facts import cluster_facts
from ansible_collections.kubeproof.certify.tests.unit.plugins.network_fake import (
    CHECKS,
    CUT,
    NODES,
    REFUSED,
    SERVICE,
    TIMED_OUT,
    ZONES,
    finding,
    judged,
    measured,
    place,
)

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
    # The best number of streams, in the worse way.
    assert pair["tcp"]["rate"] == 8.5e9 and pair["tcp"]["streams"] == {"1": 6.5e9, "8": 8.5e9} and pair["tcp"]["samples"] == 5
    assert pair["host"]["rate"] == 9e9 and pair["efficiency"] == pytest.approx(8.5 / 9)
    assert pair["tcp"]["retransmits"] == pytest.approx(10 / 1e6) and pair["tcp"]["mss"] == 1500
    # The percentile of the worst repeat, the observations of the shortest.
    assert pair["rtt"] == {"p99": 5e-04, "p50": 2e-05, "count": 49_996, "repeats": 5}
    assert pair["udp"]["packets"] == 80_000 and pair["mtu"] == {"path": 1450} and "missing" not in pair


def test_the_path_mtu_is_that_of_the_packets_that_passed():
    found = measured()
    found["pods"]["pod-1"].update(ip="fd00::1", ips=["fd00::1"])
    pairs = cluster_facts(found)["every"]
    # The headers of IPv6 are larger.
    assert pairs[NODES]["mtu"] == {"path": 1470} and pairs["b1 -> a1 (zones)"]["mtu"] == {"path": 1450}
    found["steps"]["pairs"]["runs"]["0-pod-full_size-0"] = REFUSED
    assert "mtu" not in cluster_facts(found)["every"][NODES]


@pytest.mark.parametrize("network", ["host", "pod"])
@pytest.mark.parametrize("kind", ["tcp-1-forward", "tcp-8-forward", "tcp-1-reverse", "tcp-8-reverse"])
@pytest.mark.parametrize("outcome", [REFUSED, CUT, None])
def test_overlay_efficiency_needs_every_number_of_streams_of_both_networks(network, kind, outcome):
    """Without the host's best one its share would be larger."""
    assert cluster_facts(measured())["nodes"][NODES]["efficiency"] < 1
    facts = broken(outcome, f"0-{network}-{kind}")
    assert "efficiency" not in facts["nodes"][NODES] and finding(facts, "network_overlay_efficiency", NODES)["result"] == "INCONCLUSIVE"


def test_tables_and_proxy():
    facts = cluster_facts(measured())
    assert facts["conntrack"]["a1"] == {"count": 1100, "max": 10_000, "share": 0.11, "before": 1000, "failed": 0}
    assert facts["kube_proxy"] == {
        "replaced": False, "configured": "iptables", "modes": {"a1": "iptables", "a2": "iptables", "b1": "iptables"}, "kinds": 1, "mode": "iptables",
        "rules": 300, "programming": {"count": 300, "p50": [0.0, 1.0], "p99": [0.0, 1.0]},
    }  # fmt: skip


@pytest.mark.parametrize(("most", "told", "sampled"), [(20, "3 of 3", 0), (2, "2 of 3", 3)])
def test_how_many_nodes_took_part(most, told, sampled):
    facts = cluster_facts(measured(nodes=[place(name, "") for name in ("a1", "a2", "a3")], most=most))
    found = finding(facts, "network_nodes_measured")
    assert (found["value"], found["result"], found["judged"]) == (told, "INFO", False) and facts["layout"]["sampled"] == sampled


def test_nodes_that_are_not_counted_are_named():
    aside = [dict(place(f"w{number}", "c"), aside="runs windows") for number in range(5)] + [dict(place("cp", "a"), aside="is a control-plane node; more")]
    facts = cluster_facts(measured(nodes=[place("a1", "a"), place("a2", "a"), *aside]))
    said = "2 of 2; not counted: is a control-plane node (cp), runs windows (w0, w1, w2 and 2 more)"
    assert finding(facts, "network_nodes_measured")["value"] == said and facts["layout"]["aside"]["w4"] == "runs windows"


def test_a_node_that_is_left_out_is_counted():
    facts = cluster_facts(measured(nodes=[place("a1", ""), place("a2", ""), place("a3", "", "is cordoned")]))
    assert finding(facts, "network_nodes_measured")["value"] == "2 of 3"


# Zones -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("capacity", "result"), [(5e9, "PASS"), (7e9, "CONDITIONAL"), (9e9, "FAIL"), (None, "INCONCLUSIVE")])
def test_zones_against_the_requirement(capacity, result):
    found = finding(cluster_facts(measured(capacity={"interzone_rate": capacity} if capacity else {})), "network_interzone_throughput", ZONES)
    assert found["result"] == result, found
    assert capacity or "certify_capacity.interzone_rate, the bit/s that one node needs to one of another zone, is not declared" in found["reason"]


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


@pytest.mark.parametrize("control", [dict(place("cp", ""), aside="is a control-plane node"), dict(place("cp", "b"), aside="runs windows")])
def test_a_node_that_is_named_and_takes_no_part_is_no_pass(control):
    facts = cluster_facts(measured(nodes=[place("a1", "a"), place("a2", "a"), control], names=["a1", "a2", "cp"]))
    found = [one for one in judged(facts, "smoke") if one["judged"] and one["result"] != "PASS"]
    assert {one["id"] for one in found} == {"network_tcp", "network_udp", "network_full_size", "network_service"}
    assert {one["result"] for one in found} == {"INCONCLUSIVE"}
    assert {one["id"] for one in found if f"cp {control['aside']}" in one["reason"]} == {one["id"] for one in found}
    assert finding(facts, "network_nodes_measured")["value"] == "2 of 3"


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


FIXTURES = pathlib.Path(__file__).parents[3] / "fixtures"


def read_by(parser, path):
    """Return what pod_exec returns of a tool that ended with 0 and wrote a recorded output."""
    try:
        parsers.parse(parser, (FIXTURES / path).read_text(encoding="utf-8"))
    except parsers.ParseError as error:
        return {"exit_code": 0, "seconds": 1.0, "error": f"cannot read the output of {parser} in pod net-pod-0: {error}"}
    raise AssertionError(path)


@pytest.mark.parametrize(
    ("wanted", "check", "entry", "parser", "path", "result"),
    [
        # They say that nothing came through, and end with 0.
        ("0-pod-rtt-2", "network_tcp", NODES, "sockperf", "sockperf/refused.out", "FAIL"),
        ("0-pod-rtt-2", "network_tcp", NODES, "sockperf", "sockperf/blocked.out", "FAIL"),
        ("0-pod-rtt-2", "network_tcp", NODES, "sockperf", "sockperf/stalled.out", "FAIL"),
        ("0-service-connect-2", "network_service", SERVICE, "curl", "curl/refused.out", "FAIL"),
        ("0-pod-tcp-1-forward-2", "network_tcp", NODES, "iperf3", "iperf3/unreachable-sample.json", "FAIL"),
        # Nobody knows what they measured.
        ("0-pod-rtt-2", "network_tcp", NODES, "sockperf", "sockperf/ipv6.out", "INCONCLUSIVE"),
        ("0-pod-rtt-2", "network_tcp", NODES, "sockperf", "sockperf/term.out", "INCONCLUSIVE"),
        ("0-service-connect-2", "network_service", SERVICE, "curl", "curl/cut.out", "INCONCLUSIVE"),
    ],
)
def test_an_output_that_cannot_be_read_is_no_fault_of_the_network(wanted, check, entry, parser, path, result):
    assert finding(broken(read_by(parser, path), wanted), check, entry)["result"] == result


@pytest.mark.parametrize("pause", ["begin", "middle", "end"])
def test_a_pause_is_slow_and_no_failure(pause):
    """Messages came back, so it works; the one that waited is slower than every bound."""
    rtt = parsers.parse("sockperf", (FIXTURES / f"sockperf/pause-{pause}.out").read_text(encoding="utf-8"))
    found = measured("smoke")
    found["steps"]["pairs"]["runs"]["0-pod-rtt-0"]["facts"] = rtt
    facts = cluster_facts(found)
    assert finding(facts, "network_tcp", NODES, "smoke")["result"] == "PASS" and facts["again"]["said"] == "none"
    slowest = rtt["rtt"]["max"] if pause == "middle" else rtt["rtt"]["p9999"][1]
    assert slowest is None or slowest >= 0.3


# Second tries ----------------------------------------------------------------------------------------------------------------

NONE_ARRIVED = {"exit_code": 0, "error": "", "facts": {"udp": {"packets": 849, "lost": 849, "loss": 1.0, "offered_rate": 1e7, "asked_rate": 1e7}}}
STALLED = read_by("sockperf", "sockperf/stalled.out")
SOME_FAILED = {"exit_code": 0, "error": "", "facts": {"count": 300, "good": 299, "failed": 1, "latency": {"p50": 1e-04, "p99": 5e-04, "samples": 300}}}


def tried(first, second, wanted, profile="smoke", gone=()):
    """Return the facts when a test had one outcome at first and another one ("good": as all others have) at its second try."""
    found = measured(profile)
    runs = found["steps"]["pairs"]["runs"]
    runs.update({f"{wanted}-again": runs[wanted] if second == "good" else second, wanted: first})
    for pod in gone:
        found["looks"]["after"][pod] = {"error": "no connection"}
    return cluster_facts(found)


@pytest.mark.parametrize(
    ("wanted", "check", "entry", "first"),
    [
        ("0-pod-rtt-0", "network_tcp", NODES, STALLED),
        ("0-pod-tcp-1-forward-0", "network_tcp", NODES, REFUSED),
        # One datagram that is lost is the first one: iperf3 waits until it is ended.
        ("0-pod-udp-0", "network_udp", NODES, TIMED_OUT),
        ("0-pod-udp-0", "network_udp", NODES, NONE_ARRIVED),
        ("0-pod-full_size-0", "network_full_size", NODES, TIMED_OUT),
        ("0-service-rtt-0", "network_service", SERVICE, STALLED),
        ("0-service-connect-0", "network_service", SERVICE, TIMED_OUT),
        ("0-service-connect-0", "network_service", SERVICE, SOME_FAILED),
    ],
)
def test_what_works_at_the_second_try_works_and_is_told(wanted, check, entry, first):
    facts = tried(first, "good", wanted)
    assert finding(facts, check, entry, "smoke")["result"] == "PASS"
    place_of = facts["service"] if entry == SERVICE else facts["every"]
    assert {name for name, one in place_of.items() if one.get("tries", 1) > 1} == {entry} and place_of[entry]["tries"] == 2
    assert (facts["again"]["count"], facts["again"]["worked"]) == (1, 1)
    told = finding(facts, "network_second_tries", profile="smoke")
    assert told["result"] == "INFO" and told["value"].startswith(f"{NODES} worked then ({'service' if entry == SERVICE else 'pod'} network, ")
    # What failed twice has failed, and what is not told of the second try is as the first one was.
    for second in (first, REFUSED, CUT, {"exit_code": 137, "error": "killed"}, {}, None):
        facts = tried(first, second, wanted)
        assert finding(facts, check, entry, "smoke")["result"] == "FAIL", second
        assert facts["again"]["count"] == (second is not None) and facts["again"]["worked"] == 0
        lost = second in (CUT, {"exit_code": 137, "error": "killed"}, {})
        assert facts["again"]["said"].startswith("none" if second is None else f"{NODES} failed{', and its second try was lost' if lost else ' twice'} (")


def test_the_numbers_of_a_test_are_those_of_the_try_that_worked():
    whole, facts = cluster_facts(measured()), tried(REFUSED, "good", "0-pod-tcp-1-forward-3", "load")
    assert facts["nodes"][NODES] == {**whole["nodes"][NODES], "tries": 2} and finding(facts, "network_pod_throughput", NODES)["result"] == "PASS"
    assert finding(whole, "network_second_tries")["value"] == "none" and {one["tries"] for one in whole["every"].values()} == {1}


def test_a_pod_that_is_lost_after_the_first_try_is_no_fault_of_the_network():
    facts = tried(REFUSED, REFUSED, "0-pod-rtt-0", gone=["pod-1"])
    assert finding(facts, "network_tcp", NODES, "smoke")["result"] == "INCONCLUSIVE"


def test_a_second_try_without_a_first_one_proves_nothing():
    assert finding(tried(None, "good", "0-pod-rtt-0"), "network_tcp", NODES, "smoke")["result"] == "INCONCLUSIVE"
    unread = read_by("sockperf", "sockperf/term.out")
    assert finding(tried(unread, "good", "0-pod-rtt-0"), "network_tcp", NODES, "smoke")["result"] == "INCONCLUSIVE"


def test_of_many_second_tries_the_first_are_told():
    found = measured()
    runs = found["steps"]["pairs"]["runs"]
    failed = [name for name in runs if name.startswith("0-pod-tcp")][:5]
    runs.update({**{f"{name}-again": runs[name] for name in failed}, **dict.fromkeys(failed, REFUSED)})
    told = cluster_facts(found)["again"]
    assert told["count"] == told["worked"] == 5 and told["said"].count("worked then") == 3 and told["said"].endswith(", and 2 more")


def of_ipv6(profile="load"):
    """Return what a run gathers where pods and Services have IPv6 addresses alone, for which sockperf has no runs."""
    found = measured(profile, capacity={})
    found["services"] = {pod: "fd00::9" for pod in found["pods"]}
    for pod in found["pods"].values():
        pod.update(ip="fd00::1", ips=["fd00::1"])
    for step in found["steps"].values():
        step["runs"] = {name: run for name, run in step.get("runs", {}).items() if not any(test in name for test in ("-rtt", "-loaded", "-ramp"))}
    return found


def test_where_sockperf_has_no_address_its_latency_is_not_known_and_the_rest_is():
    facts = cluster_facts(of_ipv6())
    assert finding(facts, "network_tcp", NODES)["result"] == finding(facts, "network_service", SERVICE)["result"] == "PASS"
    found = finding(facts, "network_pod_latency_p99", NODES)
    assert found["result"] == "INCONCLUSIVE" and "sockperf 3.7 has no IPv6 (3.8 and later have), and the pod pod-1 has no IPv4 address" in found["reason"]
    # What failed has failed.
    refused = of_ipv6()
    refused["steps"]["pairs"]["runs"]["0-pod-tcp-1-forward-3"] = REFUSED
    assert finding(cluster_facts(refused), "network_tcp", NODES)["result"] == "FAIL"


def test_where_sockperf_alone_asks_whether_it_works_nobody_knows():
    """As on a cluster that serves, which is given no throughput."""
    live = of_ipv6()
    live["steps"]["pairs"]["runs"] = {name: run for name, run in live["steps"]["pairs"]["runs"].items() if "-tcp-" not in name}
    live["plan"]["load"].update(tcp=0, loaded=0)
    found = finding(cluster_facts(live), "network_tcp", NODES)
    assert found["result"] == "INCONCLUSIVE" and "sockperf 3.7 has no IPv6" in found["reason"]


def test_a_ramp_without_sockperf_is_not_measured():
    facts = cluster_facts(of_ipv6("stress"))
    found = finding(facts, "network_headroom", profile="stress")
    assert found["result"] == "INCONCLUSIVE" and "sockperf 3.7 has no IPv6" in found["reason"], found


def test_a_pair_that_is_lost_hides_none_that_broke():
    found = measured("stress", nodes=[place(name, "") for name in ("a1", "a2", "a3")], capacity={})
    runs = [one for name, one in found["steps"]["ramp-150"]["runs"].items()]
    runs[0].update(exit_code=0, error="cannot read the output of sh in pod net-pod-0: its version is missing.", facts={})
    assert cluster_facts(found)["stress"]["headroom"]["ratio"] == [1.25, None]
    runs[1].update(REFUSED, facts={})
    facts = cluster_facts(found)["stress"]
    assert facts["headroom"]["ratio"] == 1.25 and facts["broke"]["id"] == "network_tcp"


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
    assert "Nothing listens at port 25201" in finding(facts, "network_proxy_mode")["reason"]
    assert "Nothing listens at port 25201" in finding(facts, "network_overlay_efficiency", NODES)["reason"]


def test_connections_that_failed_are_slower_than_every_bound():
    found = measured()
    lost = {"count": 2000, "good": 1900, "failed": 100, "latency": {"p50": 1e-04, "p99": [5e-04, None], "samples": 2000}}
    found["steps"]["pairs"]["runs"]["0-service-connect-2"]["facts"] = lost
    facts = cluster_facts(found)
    assert finding(facts, "network_service", SERVICE)["result"] == "FAIL"
    assert "100 of 2000 connections failed" in facts["service"][SERVICE]["missing"]["connect"]
    found = finding(facts, "network_service_latency_p99", SERVICE)
    assert found["result"] == "INCONCLUSIVE" and found["value"] == [5e-04, None]


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


CILIUM = {"pods": 0, "replaced": True, "by": "cilium"}
NOT_LOADED = {"conntrack": {"loaded": False}}


def with_tables(proxy, count=100, **of):
    """Return the facts of a run with this kube-proxy, so full tables, and others on the hosts that are named."""
    run = measured()
    run["info"]["kube_proxy"] = proxy
    for looks in run["looks"].values():
        for pod in [pod for pod in looks if pod.startswith("host-")]:
            looks[pod] = of.get(pod.replace("-", "_"), {"conntrack": {"count": count, "max": 10_000, "failed": 0}})
    return cluster_facts(run)


@pytest.mark.parametrize(
    ("facts", "result", "said"),
    [
        (with_tables(CILIUM), "NOT_APPLICABLE", "Cilium tracks connections in tables of its own"),
        (with_tables(CILIUM, host_0=NOT_LOADED), "NOT_APPLICABLE", "Cilium"),
        # Half full it is in use, and what cannot be read may be.
        (with_tables(CILIUM, 5000), "PASS", ""),
        (with_tables(CILIUM, 9500), "FAIL", ""),
        (with_tables(CILIUM, host_0={}), "INCONCLUSIVE", "a1 cannot be read"),
        (with_tables(CILIUM, host_0={"error": "gone"}), "INCONCLUSIVE", "gone"),
        # Nobody else is known to do without it.
        (with_tables({"pods": 0, "replaced": False}), "PASS", ""),
        (with_tables({"pods": 3, "replaced": False}, host_0=NOT_LOADED), "INCONCLUSIVE", "(nf_conntrack) is not loaded on a1"),
        (with_tables({}), "PASS", ""),
    ],
)
def test_a_table_that_is_not_in_use_is_not_asked(facts, result, said):
    found = [one for one in judged(facts) if one["id"] == "network_conntrack" and one.get("entry") in (None, "a1")]
    assert [one["result"] for one in found] == [result] and said in found[0]["reason"]


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ({"pods": 0, "replaced": False}, "; no pod of kube-proxy runs, so that something else may do its work"),
        ({"pods": 3, "mode": "ipvs", "replaced": False}, "; its configuration says ipvs; its metricsBindAddress may be another one"),
        ({"pods": 3, "replaced": False}, "on every node; its metricsBindAddress may be another one"),
        (None, "; kube-proxy's pods could not be counted"),
    ],
)
def test_why_the_mode_of_kube_proxy_is_not_known(proxy, said):
    found = measured()
    found["info"] = {"kube_proxy": proxy} if proxy else {}
    del found["looks"]["after"]["host-1"]["proxy"]
    facts = cluster_facts(found)
    for check in ("network_proxy_mode", "network_proxy_rules", "network_proxy_programming_p99"):
        one = finding(facts, check)
        assert one["value"] is None and f"{said}." in one["reason"], one
    assert "kube_proxy" not in cluster_facts(measured())["missing"]


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
