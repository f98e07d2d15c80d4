# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import pathlib

import pytest
import yaml

from ansible_collections.kubeproof.certify.plugins.module_utils import checks as engine
from ansible_collections.kubeproof.certify.plugins.module_utils import stress
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import PROFILES
from ansible_collections.kubeproof.certify.plugins.module_utils.check_settings import own_settings
from ansible_collections.kubeproof.certify.plugins.module_utils.ingress_facts import cluster_facts
from ansible_collections.kubeproof.certify.plugins.module_utils.ingress_plan import plan
from ansible_collections.kubeproof.certify.plugins.module_utils.question import Question
from ansible_collections.kubeproof.certify.tests.unit.plugins import stress_fake

ROLE = pathlib.Path(__file__).parents[4] / "roles/ingress/defaults/main"
DEFAULTS = yaml.safe_load((ROLE / "settings.yml").read_text(encoding="utf-8"))
CHECKS = yaml.safe_load((ROLE / "checks.yml").read_text(encoding="utf-8"))["ingress_checks"]
CAPACITY = {"ingress_rps": 1000, "ingress_peak_rps": 1000}
SETTINGS = {"tiers": {"ingress": "small"}, "capacity": CAPACITY}
OURS = {"answer": "our backend", "code": 0}


def planned(profile="load", live=False, capacity=None, **settings):
    return plan(profile, {**DEFAULTS, "tier": "small", "capacity": CAPACITY if capacity is None else capacity, "live": live, "checks": CHECKS, **settings})


def wrk(requests, rate, seconds=300, good=None, **errors):
    good = requests if good is None else good
    errors = {**dict.fromkeys(("connect", "read", "write", "timeout", "status"), 0), **errors}
    facts = {"requests": requests, "good": good, "rate": rate, "rate_good": rate * good / requests, "seconds": seconds, "clients": 1, "errors": errors}
    return {"facts": {**facts, "statuses": {"2xx": requests}}, "seconds": seconds, "cpu_seconds": seconds * 0.5, "error": ""}


def k6(rate, seconds=300, failed=0, p99=0.05, share=1.0, dropped=0):
    requests = round(rate * seconds * share)
    facts = {
        "generators": 1,
        "requests": requests,
        "seconds": seconds,
        "started": requests,
        "dropped": dropped,
        "rate": (requests - failed) / seconds,
        "errors": {"server": failed, "transport": 0, "throttled": 0, "other": 0},
        "error_ratio": failed / requests,
        "statuses": {"200": requests - failed, "503": failed},
        "latency": {"count": requests, "failed": failed, "p50": 0.001, "p95": 0.01, "p99": p99, "max": 1.0},
    }
    return {"facts": facts, "seconds": seconds, "cpu_seconds": seconds * 0.5, "error": ""}


def measured(profile="load", **settings):
    """Return what a good run measured."""
    steps = planned(profile, **settings)["steps"]
    ran = {
        "straight": wrk(3_000_000, 100_000, 30),
        "rps": wrk(6_000_000, 20_000),
        "connections": wrk(900_000, 15_000, 60),
        "handshakes": k6(8000, 60),
    }
    known = {"tiers": {"ingress": "small"}}
    return {
        "stress": stress_fake.known(CHECKS, planned(profile, **settings), settings=known) if profile == "stress" else {},
        "plan": planned(profile, **settings),
        "info": {
            "found": True,
            "kind": "HTTPRoute",
            "gateway": "edge/public",
            "route": {"state": "accepted", "seconds": 0.2},
            "path": {"via": "node port", "addresses": ["192.0.2.1"], "http": 80, "https": 443, "said": "node port a:443"},
            "pods": {"t-1": 2},
            "nodes": ["a"],
            "processors": {"a": 2, "small": 1},
            "replicas": 1,
            "problem": "",
        },
        "client": "a",
        "after": {"pods": {"t-1": 2}, "replicas": 1, "backends": {"b-0": True, "b-1": True}},
        "probe": {"answers": {"main": OURS, "plain": OURS, "stranger": {"answer": "status 404", "code": 0}}, "seconds": 1.5},
        "steps": {step["name"]: ran[step["name"]] if step["kind"] != "k6" else k6(step["rate"], step["seconds"]) for step in steps},
        "skipped": {},
        "cpus": 2,
        "critical": {"p99": "< 0.2", "errors": "< 0.01"},
        "backends": ["b-0", "b-1"],
        "clean": {"left": 0},
    }


def changed(path, value, **more):
    """Return the facts of a good run with one thing changed."""
    run = measured(**more)
    *way, last = path
    place = run
    for name in way:
        place = place[name]
    place[last] = value
    return cluster_facts(run)


def findings(profile, facts):
    return engine.judge(CHECKS, {"cluster": {"lab": facts}}, "ingress", profile, {"cluster": ["lab"]}, SETTINGS)


def finding(check, facts, profile="load"):
    return next(one for one in findings(profile, facts) if one["id"] == check)


@pytest.mark.parametrize(
    ("rate", "value", "result", "limited"),
    [
        # 64 connections: above 2,947/s answers took less than 22 ms on average, a fifth of what the P99 may.
        (2_000, 2_000, "FAIL", ""),
        (4_000, [4_000, None], "INCONCLUSIVE", "connections"),
        (6_109, [6_109, None], "CONDITIONAL", "connections"),
        (12_000, 12_000, "PASS", ""),
    ],
)
def test_quick_answers_on_few_connections_are_no_slow_ingress(rate, value, result, limited):
    facts = changed(("steps", "rps"), wrk(300 * rate, rate))
    found = finding("ingress_rps", facts)
    assert (found["value"], found["result"], facts["rps"]["limited"]) == (value, result, limited)
    # With as many as its target takes, answers were slow.
    facts = changed(("steps", "rps"), wrk(300 * 4_000, 4_000), ingress_connections=218)
    assert (finding("ingress_rps", facts)["result"], facts["rps"]["limited"]) == ("FAIL", "")


# The way ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("info", "result", "reason"),
    [
        ({}, "PASS", ""),
        ({"route": {"state": "Accepted is False: NoMatchingParent: no"}, "problem": "The Gateway does not take our HTTPRoute."}, "FAIL", ""),
        ({"route": {"seconds": 30}, "problem": "The controller has said nothing."}, "INCONCLUSIVE", "The controller has said nothing"),
        ({"route": None}, "INCONCLUSIVE", "Not measured"),
        ({"kind": "Ingress"}, "NOT_APPLICABLE", "The way is no Gateway"),
        ({"kind": None}, "PASS", ""),
    ],
)
def test_what_the_gateway_says_of_our_route(info, result, reason):
    run = measured()
    run["info"].update(info)
    found = finding("ingress_route", cluster_facts(run))
    assert found["result"] == result and reason in found["reason"]


def test_a_gateway_without_https():
    """What it has is judged; nothing is said of TLS."""
    run = measured()
    run["info"]["path"]["https"] = None
    run["steps"].pop("handshakes")
    run["skipped"] = {"handshakes": "The way to the ingress has no port for https."}
    facts = cluster_facts(run)
    assert facts["tls"] == {"used": False} and facts["connections"] == facts["connections_plain"]
    for check in ("ingress_certificate", "ingress_handshakes"):
        found = finding(check, facts)
        assert found["result"] == "NOT_APPLICABLE" and "no listener for HTTPS" in found["reason"]


def test_the_way_is_on_the_certificate():
    found = finding("ingress_way", cluster_facts(measured()))
    assert (found["result"], found["value"]) == ("INFO", "node port a:443")


# The ramp ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ran", "ratio", "broke"),
    [
        ({}, [2.0, None], None),
        ({"failed": 9000}, 1.25, "ingress_errors"),
        ({"p99": 0.25}, 1.25, "ingress_latency_p99"),
        ({"p99": [0.15, 0.25]}, [1.25, None], None),
        ({"share": 0.95, "dropped": 20000}, 1.25, None),
    ],
)
def test_the_ramp_ends_at_the_first_step_that_breaks(ran, ratio, broke):
    run = measured("stress")
    run["steps"]["ramp-150"] = k6(1500, **ran)
    found = cluster_facts(run)
    assert found["stress"]["headroom"]["ratio"] == ratio and found["stress"].get("broke", {}).get("id") == broke
    # What breaks beyond the expected rate is no error.
    assert found["errors"]["ratio"] == 0


def stopped(rate, codes, seconds=300, failed=0):
    """Return a step of as many generators as there are codes; those with 99 stopped early for their errors."""
    share = sum(1 if code == 0 else 0.05 for code in codes) / len(codes)
    return {**k6(rate, seconds, failed=failed, share=share), "codes": codes}


@pytest.mark.parametrize(
    ("codes", "failed", "said"),
    [
        ([99], 9000, "Share of errors, and k6 stopped: 40 %, critical <= 10 %"),
        ([0, 99, 0], 5, "Share of errors, and k6 stopped (1 of 3 generators): > 10 %, critical <= 10 %"),
        ([99, 99], 11250, "Share of errors, and k6 stopped (2 of 2 generators): 50 %, critical <= 10 %"),
    ],
)
@pytest.mark.parametrize("busy", [{}, {"cpu_seconds": 10**6}, {"cpu_seconds": None}])
def test_a_step_that_was_stopped_for_its_errors_is_broken_whatever_other_generators_measured(codes, failed, said, busy):
    run = measured("stress")
    run["steps"]["ramp-150"] = {**stopped(1500, codes, failed=failed), **busy}
    found = cluster_facts(run)["stress"]
    assert found["headroom"]["ratio"] == 1.25 and found["broke"]["share"] == 1.5
    assert [step["broke_by"] for step in found["steps"] if step["name"] == "ramp-150"] == [said]


@pytest.mark.parametrize("name", ["handshakes", "latency-3-100"])
@pytest.mark.parametrize(("codes", "failed", "value"), [([99], 9, [0.1, None]), ([0, 0, 99], 5, [0.1, None]), ([0, 99], 240_000, 0.5)])
def test_a_load_that_was_stopped_for_its_errors_fails_by_them_and_has_no_latency_and_no_rate(name, codes, failed, value):
    run = measured()
    good = run["steps"][name]["facts"]
    run["steps"][name] = stopped(good["rate"], codes, good["seconds"], failed=failed)
    if value == 0.5:
        run["steps"][name]["facts"]["errors"]["server"] = run["steps"][name]["facts"]["requests"] / 2
    facts = cluster_facts(run)
    found = finding("ingress_errors", facts)
    assert (found["result"], found["value"]) == ("FAIL", value) and facts["errors"]["worst"] == name
    assert ("latency" in facts) is (name == "handshakes") and ("handshakes" in facts) is (name != "handshakes")
    assert facts["missing"]["connections" if name == "handshakes" else "latency"] == "More than 10% of its requests failed, so that it was stopped."
    assert name == "handshakes" or facts["peak"]["ratio"] == 0.85


def test_k6_stops_at_the_share_of_errors_that_ends_a_step():
    text = (ROLE.parents[1] / "files/k6/get.js").read_text(encoding="utf-8")
    assert f"const MOST_FAILED = {stress.MOST_ERRORS};" in text and "abortOnFail: true" in text
    assert f"const JUDGED = {CHECKS['ingress_errors']['min_samples']['small']};" in text


def test_a_generator_that_was_too_slow_breaks_nothing():
    run = measured("stress")
    run["steps"]["ramp-150"]["cpu_seconds"] = 10**6
    assert cluster_facts(run)["stress"]["headroom"]["ratio"] == [1.25, None]


# The checks -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES)
def test_every_check_of_a_profile_finds_its_fact(profile):
    judged = [one for one in findings(profile, cluster_facts(measured(profile))) if one["judged"]]
    assert judged and {one["id"]: one["reason"] for one in judged if one["reason"].startswith("Not measured")} == {}


def test_every_check_finds_its_fact_in_some_profile():
    found = {one["id"] for profile in PROFILES for one in findings(profile, cluster_facts(measured(profile))) if one["value"] is not None}
    assert found == set(CHECKS)


def test_a_good_ingress_passes():
    bad = {one["id"]: (one["result"], one["reason"]) for one in findings("load", cluster_facts(measured())) if one["judged"] and one["result"] != "PASS"}
    assert bad == {}


def test_without_facts_nothing_passes():
    facts = cluster_facts({"plan": planned()})
    results = {one["id"]: one["result"] for one in findings("load", facts) if one["judged"]}
    assert set(results.values()) == {"INCONCLUSIVE"}, results


# Before the load --------------------------------------------------------------------------------------------------------------


def test_no_controller():
    facts = cluster_facts({"plan": planned(), "info": {"found": False, "problem": "The cluster has no IngressClass."}})
    assert finding("ingress_controller", facts)["result"] == "FAIL"
    assert finding("ingress_rps", facts)["result"] == "INCONCLUSIVE" and "The cluster has no IngressClass" in finding("ingress_answer", facts)["reason"]


@pytest.mark.parametrize("answer", ["status 404", "status 200 of something else", "dial: connection refused"])
def test_somebody_else_answers(answer):
    facts = changed(("probe", "answers", "main"), {"answer": answer, "code": 0})
    assert (finding("ingress_answer", facts)["result"], finding("ingress_answer", facts)["value"]) == ("FAIL", answer)
    assert "programmed" not in facts and finding("ingress_stranger", facts)["result"] == "INCONCLUSIVE"


BLOCKED = {"answer": "dial: i/o timeout", "code": 1211}


@pytest.mark.parametrize(
    ("main", "straight", "result"),
    [
        (BLOCKED, BLOCKED, "INCONCLUSIVE"),
        # The controller does not reach our backend either.
        ({"answer": "status 502", "code": 0}, BLOCKED, "INCONCLUSIVE"),
        ({"answer": "status 504", "code": 0}, BLOCKED, "INCONCLUSIVE"),
        # What answers, and not with our backend, is wrong whoever reaches that.
        ({"answer": "status 404", "code": 0}, BLOCKED, "FAIL"),
        (BLOCKED, OURS, "FAIL"),
        ({"answer": "status 503", "code": 0}, OURS, "FAIL"),
        (BLOCKED, None, "FAIL"),
        (OURS, BLOCKED, "PASS"),
    ],
)
def test_a_policy_that_keeps_our_client_from_our_own_backend(main, straight, result):
    run = measured()
    run["probe"]["answers"].update({"main": main, **({"straight": straight} if straight else {})})
    found = finding("ingress_answer", cluster_facts(run))
    assert found["result"] == result
    assert ("does not reach our own backend by its Service either (dial: i/o timeout)" in found["reason"]) is (result == "INCONCLUSIVE")
    assert ("NetworkPolicy" in found["reason"]) is (result == "INCONCLUSIVE")


@pytest.mark.parametrize(
    ("answer", "path", "result"),
    [
        ("EOF", {}, "INCONCLUSIVE"),
        ("read: connection reset by peer", {}, "INCONCLUSIVE"),
        ("EOF", {"via": "load balancer", "kube_proxy": True}, "INCONCLUSIVE"),
        # It is on the way.
        ("EOF", {"via": "load balancer", "kube_proxy": False}, "FAIL"),
        ("EOF", {"via": "ingress_address"}, "FAIL"),
        ("dial: connection refused", {}, "FAIL"),
        ("status 400", {}, "FAIL"),
    ],
)
def test_a_controller_that_expects_the_proxy_protocol(answer, path, result):
    run = measured()
    run["probe"]["answers"].update(main={"answer": answer, "code": 1000})
    run["info"]["path"].update(path)
    found = finding("ingress_answer", cluster_facts(run))
    assert found["result"] == result and ("PROXY protocol" in found["reason"] and "ingress_address" in found["reason"]) is (result == "INCONCLUSIVE")


def test_host_names_that_are_not_looked_at():
    assert finding("ingress_stranger", changed(("probe", "answers", "stranger"), OURS))["result"] == "FAIL"


@pytest.mark.parametrize(
    ("main", "result", "value"),
    [
        (OURS, "PASS", "valid"),
        ({"answer": "status 404", "code": 0}, "PASS", "valid"),
        ({"answer": "x509: unknown authority", "code": 1310}, "FAIL", "x509: unknown authority"),
        ({"answer": "dial: connection refused", "code": 1212}, "INCONCLUSIVE", None),
        ({}, "INCONCLUSIVE", None),
    ],
)
def test_certificate(main, result, value):
    found = finding("ingress_certificate", changed(("probe", "answers", "main"), main))
    assert (found["result"], found["value"]) == (result, value)


def test_a_certificate_that_is_not_valid_is_no_wrong_answer():
    found = finding("ingress_answer", changed(("probe", "answers", "main"), {"answer": "x509: unknown authority", "code": 1310}))
    assert found["result"] == "INCONCLUSIVE" and "The certificate is not valid: x509: unknown authority" in found["reason"]


def test_without_tls_there_is_no_certificate():
    facts = cluster_facts(measured(ingress_tls="none"))
    assert finding("ingress_certificate", facts)["result"] == "NOT_APPLICABLE" and facts["connections"] == facts["connections_plain"]


# Rates ------------------------------------------------------------------------------------------------------------------------


def test_rates():
    facts = cluster_facts(measured())
    assert facts["rps"]["rate"] == 20_000 and facts["rps"]["share_of_backends"] == 0.2
    assert facts["connections"] == facts["handshakes"] and facts["connections_plain"]["rate"] == 15_000


@pytest.mark.parametrize(
    ("step", "ran", "limited", "result"),
    [
        # What the generator could not ask for is not known: 12,000 are proven, 6,000 are not enough to know more than critical.
        ("rps", {**wrk(3_600_000, 12_000), "cpu_seconds": 590}, "processors", "PASS"),
        ("rps", {**wrk(1_800_000, 6_000), "cpu_seconds": 590}, "processors", "CONDITIONAL"),
        ("rps", {**wrk(870_000, 2_900), "cpu_seconds": 590}, "processors", "INCONCLUSIVE"),
        ("rps", wrk(870_000, 2_900), "", "FAIL"),
        ("straight", wrk(660_000, 22_000, 30), "backends", "PASS"),
    ],
)
def test_what_was_limited_has_an_open_end(step, ran, limited, result):
    facts = changed(("steps", step), ran)
    assert facts["rps"]["limited"] == limited and isinstance(facts["rps"]["rate"], list) is bool(limited)
    assert finding("ingress_rps", facts)["result"] == result


def starved(ran, used, waited=None, **more):
    """Return a step whose generator used so many processors on average, and waited for so many."""
    seconds = ran["seconds"]
    facts = {**ran["facts"], **({"waited": waited * seconds} if waited is not None else {})}
    return {**ran, "facts": facts, "cpu_seconds": used * seconds, **more}


@pytest.mark.parametrize(
    ("used", "waited", "client", "limited"),
    [
        (0.95, None, "a", ""),
        # One processor is all that its node has.
        (0.95, None, "small", "processors"),
        (0.95, None, "unknown", ""),
        # Others had what it was ready to use.
        (0.95, 0.9, "a", "node"),
        (0.95, 0.6, "a", ""),
        (1.9, 0.0, "a", "processors"),
    ],
)
def test_a_generator_that_could_not_have_its_processors_was_limited(used, waited, client, limited):
    run = measured()
    run["client"] = client
    run["steps"]["rps"] = starved(wrk(870_000, 2_900), used, waited)
    facts = cluster_facts(run)
    assert facts["rps"]["limited"] == limited
    assert finding("ingress_rps", facts)["result"] == ("INCONCLUSIVE" if limited else "FAIL")


@pytest.mark.parametrize(("nodes", "limited"), [(["a", "small"], True), (["a", "a"], False), (["a", ""], False)])
def test_of_several_generators_the_smallest_node_counts(nodes, limited):
    run = measured()
    run["steps"]["latency-3-100"] = starved(k6(1000, 900, share=0.9), 0.95, nodes=nodes)
    found = finding("ingress_generator", cluster_facts(run))
    assert found["result"] == ("INCONCLUSIVE" if limited else "CONDITIONAL") and ("limited by its processors" in found["reason"]) is limited


def test_latency_of_a_generator_that_waited_for_its_node_is_not_the_ingress():
    run = measured()
    run["steps"]["latency-3-100"] = starved(k6(1000, 900, p99=0.5, share=0.5), 0.5, 1.4)
    facts = cluster_facts(run)
    for check in ("ingress_latency_p99", "ingress_generator", "ingress_peak"):
        found = finding(check, facts)
        assert found["result"] == "INCONCLUSIVE" and "limited by its node" in found["reason"] and "certify_load_nodes" in found["reason"], check


def test_ports_of_the_generator_run_out():
    run = measured()
    run["steps"]["connections"] = wrk(27_000, 450, 60, connect=50_000)
    facts = cluster_facts(run)
    assert facts["connections_plain"]["limited"] == "ports" and facts["errors"]["steps"]["connections"] == 0
    # What was answered was not the generator.
    run["steps"]["connections"] = wrk(27_000, 450, 60, good=5_400, connect=50_000)
    facts = cluster_facts(run)
    assert facts["connections_plain"]["limited"] == "ports" and facts["errors"]["steps"]["connections"] == facts["errors"]["ratio"] == 0.8
    assert finding("ingress_errors", facts)["result"] == "FAIL"
    # Nor are ports that ran out the ingress where the generator was busy as well, or nobody knows how busy it was.
    for seconds in (60 * 2, None):
        run["steps"]["connections"] = {**wrk(27_000, 450, 60, connect=50_000), "cpu_seconds": seconds}
        assert cluster_facts(run)["errors"]["ratio"] == 0
    # With few connections it is the ingress that refuses them.
    run["steps"]["connections"] = wrk(5_000, 450, 60, connect=50_000)
    facts = cluster_facts(run)
    assert facts["connections_plain"]["limited"] == "" and facts["errors"]["worst"] == "connections" and facts["errors"]["ratio"] > 0.9


def no_ports(lost, refused=0, server=0, codes=(0,), requests=28_000, **more):
    """Return handshakes of which so many had no port at the generator, were refused by the ingress, or answered with 503."""
    failed = lost + refused + server
    ran = {**k6(100, 60), "codes": list(codes), **more}
    errors = {"server": server, "transport": lost + refused, "throttled": 0, "other": 0}
    known = {"generators": len(codes), "requests": requests + failed, "rate": requests / 60, "errors": errors, "error_ratio": failed / (requests + failed)}
    return {**ran, "facts": {**ran["facts"], **known, **({"without_port": lost} if lost else {}), "statuses": {"200": requests, "503": server}}}


@pytest.mark.parametrize(
    ("ran", "errors", "rate"),
    [
        # k6 stops by itself, since most fail at once; that the ingress did not do.
        (no_ports(25_000, codes=[99]), ("PASS", 0), ("INCONCLUSIVE", "ports")),
        (no_ports(25_000, codes=[99], requests=28_000 * 60), ("PASS", 0), ("PASS", "ports")),
        (no_ports(300), ("PASS", 0), ("INCONCLUSIVE", "ports")),
        (no_ports(25_000, codes=[0, 99, 99]), ("PASS", 0), ("INCONCLUSIVE", "ports")),
        # Who was busy as well, or of whom that is not known.
        (no_ports(25_000, codes=[99], cpu_seconds=119), ("PASS", 0), ("INCONCLUSIVE", "processors")),
        (no_ports(25_000, codes=[99], cpu_seconds=None), ("PASS", 0), ("INCONCLUSIVE", None)),
        # An ingress that refuses, or fails, is not excused by it.
        (no_ports(0, refused=25_000, codes=[99]), ("FAIL", pytest.approx(25 / 53)), ("INCONCLUSIVE", None)),
        (no_ports(0, refused=25_000), ("FAIL", pytest.approx(25 / 53)), ("FAIL", "")),
        (no_ports(5_000, refused=5_000, codes=[99]), ("FAIL", pytest.approx(5 / 33)), ("INCONCLUSIVE", None)),
        (no_ports(25_000, server=2_000, codes=[99]), ("FAIL", pytest.approx(2 / 30)), ("INCONCLUSIVE", "ports")),
        # Of several, one of those that stopped may have done so for what the ingress did, or for its ports: that is not known.
        (no_ports(25_000, server=20, codes=[99, 99]), ("INCONCLUSIVE", [pytest.approx(20 / 28_020), None]), ("INCONCLUSIVE", None)),
    ],
)
def test_ports_of_a_generator_of_handshakes_run_out(ran, errors, rate):
    run = measured()
    run["steps"]["handshakes"] = ran
    facts = cluster_facts(run)
    found = finding("ingress_errors", facts)
    assert (found["result"], found["value"]) == errors
    assert (finding("ingress_connection_rate", facts)["result"], facts.get("handshakes", {}).get("limited")) == rate
    if rate[1] == "ports":
        assert facts["connections"]["rate"] == [ran["facts"]["rate"], None]
    assert facts["errors"]["unexpected"] == ran["facts"]["errors"]["server"]


def test_only_good_answers_are_a_rate():
    facts = changed(("steps", "rps"), wrk(6_000_000, 20_000, good=3_000_000))
    assert facts["rps"]["rate"] == 10_000 and facts["errors"]["ratio"] == 0.5 and facts["errors"]["unexpected"] == 3_000_000
    assert finding("ingress_errors", facts)["result"] == "FAIL"
    facts = changed(("steps", "rps"), wrk(6_000_000, 20_000, good=0))
    assert "rps" not in facts and facts["missing"]["rps"] == "None of its answers was the expected one."


@pytest.mark.parametrize(
    ("ran", "said"),
    [
        ({"error": "wrk did not end within 330 s in pod p."}, "wrk did not end within 330 s in pod p"),
        ({}, "The step did not run"),
        ({"facts": {}, "seconds": 0}, "The step did not run"),
    ],
)
def test_a_step_that_failed_says_why(ran, said):
    facts = changed(("steps", "rps"), ran)
    found = finding("ingress_rps", facts)
    assert found["result"] == "INCONCLUSIVE" and said in found["reason"]


def test_a_skipped_step_says_why():
    run = measured()
    del run["steps"]["connections"]
    facts = cluster_facts({**run, "skipped": {"connections": "Without TLS the ingress answers: status 308."}})
    assert "status 308" in finding("ingress_connections_plain", facts)["reason"] and finding("ingress_connection_rate", facts)["result"] == "PASS"


# Latency and errors ---------------------------------------------------------------------------------------------------------------


def test_the_last_share_of_the_expected_rate_counts():
    run = measured()
    run["steps"]["latency-1-70"] = k6(700, 60, p99=9.0)
    facts = cluster_facts(run)
    assert facts["latency"]["offered"] == 1000 and facts["latency"]["p99"] == 0.05


def test_a_busy_generator_has_no_latency():
    facts = changed(("steps", "latency-3-100", "cpu_seconds"), 1770)
    found = finding("ingress_latency_p99", facts)
    assert found["result"] == "INCONCLUSIVE" and "limited by its processors" in found["reason"] and "certify_generators" in found["reason"]
    assert facts["generator"]["limited"] and finding("ingress_peak", facts)["result"] == "INCONCLUSIVE"


def test_requests_that_waited_too_long_to_be_sent():
    facts = changed(("steps", "latency-3-100"), k6(1000, p99=[0.3, None], share=0.8, dropped=60_000))
    assert finding("ingress_generator", facts)["result"] == "FAIL" and finding("ingress_latency_p99", facts)["result"] == "FAIL"


THROUGH = [step["name"] for step in planned()["steps"] if step["to"] != "straight"]
# What is left of a step that failed, and the reason that is named.
LOST = [
    (None, "The step did not run"),
    ({"error": "sh ended with exit code 107 in pod p: the script cannot be read."}, "the script cannot be read"),
    ({"facts": {}, "seconds": 8, "cpu_seconds": 4, "error": "no request was answered, and wrk reports no error."}, "no request was answered"),
]


def broken(name, share=0.5, profile="load"):
    """Return a step of a good run in which a share of the requests failed."""
    good = measured(profile)["steps"][name]["facts"]
    if "good" in good:
        return wrk(good["requests"], good["rate"], good["seconds"], good=round(good["requests"] * (1 - share)))
    return k6(good["rate"], good["seconds"], failed=round(good["requests"] * share))


def lose(run, name, left=None):
    """Take from a run what a step measured, but for what is left of it."""
    del run["steps"][name]
    run["steps"].update({name: left} if left else {})
    return cluster_facts(run)


@pytest.mark.parametrize(("left", "said"), LOST)
@pytest.mark.parametrize("name", THROUGH)
def test_a_step_that_was_lost_may_have_been_the_worst(name, left, said):
    found = finding("ingress_errors", lose(measured(), name, left))
    assert (found["result"], found["value"]) == ("INCONCLUSIVE", None) and found["reason"].startswith(f"Not measured: {name}: ") and said in found["reason"]


@pytest.mark.parametrize("name", THROUGH)
def test_what_failed_has_failed_whatever_else_was_lost(name):
    for bad in set(THROUGH) - {name}:
        run = measured()
        run["steps"][bad] = broken(bad)
        facts = lose(run, name)
        assert facts["errors"]["worst"] == bad and finding("ingress_errors", facts)["result"] == "FAIL"
        assert finding("ingress_errors", facts)["value"] == [0.5, None] and finding("ingress_unexpected", facts)["value"][1] is None


def test_less_than_critical_failed_of_what_is_known():
    run = measured()
    run["steps"]["handshakes"] = broken("handshakes", 0.005)
    found = finding("ingress_errors", lose(run, "rps", {"error": "wrk was killed."}))
    assert found["result"] == "INCONCLUSIVE" and found["reason"].startswith("Undecided: ") and found["reason"].endswith("critical. rps: wrk was killed.")


@pytest.mark.parametrize("name", THROUGH)
def test_what_failed_is_known_however_busy_the_generator_was(name):
    run = measured()
    run["steps"][name] = {**broken(name), "cpu_seconds": None}
    facts = cluster_facts(run)
    assert facts["errors"]["ratio"] == 0.5 and finding("ingress_errors", facts)["result"] == "FAIL"
    assert facts["missing"] and set(facts["missing"].values()) == {"How busy its generator was is not known."}, facts["missing"]


def test_what_was_not_to_run_is_not_lost():
    run = measured()
    run["skipped"] = {"connections": "Without TLS the ingress answers: status 308."}
    assert lose(run, "connections")["errors"]["ratio"] == 0
    # What our own backend answers says nothing about the ingress.
    assert lose(measured(), "straight")["errors"]["ratio"] == 0


def test_why_no_step_is_known():
    assert cluster_facts({"plan": planned(), "steps": {"straight": measured()["steps"]["straight"]}})["missing"]["errors"] == "The step did not run."
    assert cluster_facts({"plan": planned("stress", ingress_load={"stress": {}})})["missing"]["errors"] == "The profile has no load."


def test_the_worst_step_is_named():
    facts = changed(("steps", "peak-1-100"), k6(1000, failed=6000))
    assert facts["errors"]["worst"] == "peak-1-100" and facts["errors"]["ratio"] == pytest.approx(0.02) and facts["errors"]["server"] == 6000
    assert finding("ingress_errors", facts)["result"] == "FAIL" and facts["statuses"]["5xx"] == 6000


# The declared peak ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "ran", "ratio", "result"),
    [
        (None, None, [1.3, None], "PASS"),
        ("peak-2-130", k6(1300, p99=0.3), 1.0, "CONDITIONAL"),
        ("peak-2-130", k6(1300, failed=8000), 1.0, "CONDITIONAL"),
        ("peak-2-130", k6(1300, share=0.95), 1.0, "CONDITIONAL"),
        ("peak-1-100", k6(1000, p99=0.3), 0.85, "FAIL"),
        ("latency-3-100", k6(1000, p99=[0.1, None]), 0.85, "FAIL"),
        ("latency-1-70", k6(700, p99=[0.1, None]), 0.0, "FAIL"),
        ("peak-2-130", {**k6(1300), "cpu_seconds": 590}, None, "INCONCLUSIVE"),
        ("peak-2-130", {"error": "It was stopped."}, None, "INCONCLUSIVE"),
    ],
)
def test_peak(step, ran, ratio, result):
    run = measured()
    run["steps"].update({step: ran} if step else {})
    facts = cluster_facts(run)
    assert facts.get("peak", {}).get("ratio") == ratio
    found = finding("ingress_peak", facts)
    assert found["result"] == result, found


def test_what_lasted_a_minute_only_shows_neither():
    run = measured(time_scale=0.2)
    run["steps"]["latency-1-70"] = k6(700, 60, p99=[0.1, None])
    found = finding("ingress_peak", cluster_facts(run))
    assert found["result"] == "INCONCLUSIVE" and found["reason"] == "Too few samples: 60 of at least 300."


def test_no_declared_peak():
    facts = cluster_facts(measured(capacity={"ingress_rps": 1000}))
    found = finding("ingress_peak", facts)
    assert found["result"] == "INCONCLUSIVE" and "certify_capacity.ingress_peak_rps" in found["reason"]


def test_without_a_size_class_nothing_is_carried():
    facts = changed(("critical",), {"p99": "", "errors": ""})
    assert "peak" not in facts and "certify_tiers.ingress" in finding("ingress_peak", facts)["reason"]


def test_on_a_cluster_that_serves_a_rate_is_proven_by_offering_it():
    facts = cluster_facts(measured(live=True, capacity={"ingress_rps": 12_000}))
    assert facts["rps"]["rate"] == [12_000, None] and finding("ingress_rps", facts)["result"] == "PASS"
    assert "certify_live" in finding("ingress_connection_rate", facts)["reason"]


# After the load ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pods", "restarts"),
    [
        *(({"t-1": 2}, 0), ({"t-1": 3}, 1), ({"t-1": 1}, 0), ({}, 1), (None, None)),
        # A pod that came during the load.
        *(({"t-9": 0}, 1), ({"t-9": 4}, 5), ({"t-1": 2, "t-9": 0}, 0), ({"t-1": 2, "t-9": 3}, 3)),
    ],
)
def test_controller_pods(pods, restarts):
    facts = changed(("after", "pods"), pods)
    assert facts["controller"].get("restarts") == restarts
    assert finding("ingress_restarts", facts)["result"] == {0: "PASS", None: "INCONCLUSIVE"}.get(restarts, "FAIL")


@pytest.mark.parametrize(
    ("before", "after", "pods", "restarts"),
    [
        # An autoscaler took one away, as it should.
        (3, 2, {"t-1": 0, "t-2": 0}, 0),
        (3, 2, {"t-1": 0, "t-2": 1}, 1),
        (3, 2, {"t-1": 0}, 1),
        (3, 1, {"t-1": 0, "t-9": 0}, 0),
        # As many are asked for as before: it was lost, whether another one came or not.
        (3, 3, {"t-1": 0, "t-2": 0, "t-9": 0}, 1),
        (3, 3, {"t-1": 0, "t-2": 0}, 1),
        (2, 3, {"t-1": 0, "t-2": 0}, 1),
        (3, None, {"t-1": 0, "t-2": 0}, 1),
        (None, 2, {"t-1": 0, "t-2": 0}, 1),
    ],
)
def test_pods_that_are_asked_for_no_more_are_not_lost(before, after, pods, restarts):
    run = measured()
    run["info"].update(pods={"t-1": 0, "t-2": 0, "t-3": 0}, replicas=before)
    run["after"].update(pods=pods, replicas=after)
    assert cluster_facts(run)["controller"]["restarts"] == restarts


def test_controller_without_a_service():
    run = measured()
    del run["info"]["pods"]
    assert finding("ingress_restarts", cluster_facts(run))["result"] == "NOT_APPLICABLE"


@pytest.mark.parametrize(("backends", "lost"), [({"b-0": True, "b-1": True}, 0), ({"b-0": True, "b-1": False}, 1), ({}, 2)])
def test_backends(backends, lost):
    facts = changed(("after", "backends"), backends)
    assert facts["backends"] == {"count": 2, "lost": lost}


# Damage ----------------------------------------------------------------------------------------------------------------------------------


def paths(value, way=()):
    """Yield the way to every part of a document."""
    for name, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*way, name)
        yield from paths(inner, (*way, name))


ORDER = ("FAIL", "INCONCLUSIVE", "CONDITIONAL", "PASS")


# What the judge asks, without the validation of all checks each time.
BOUNDED = {name: check for name, check in CHECKS.items() if "target" in check or "critical" in check}
KNOWN = own_settings(SETTINGS, CHECKS)
QUESTIONS = {profile: [Question(name, check, "ingress", profile, KNOWN) for name, check in BOUNDED.items()] for profile in PROFILES}


def results(profile, run):
    """Return {id: result} of what is judged."""
    facts = cluster_facts(run)
    return {one["id"]: one["result"] for question in QUESTIONS[profile] for one in question.ask("lab", facts, "") if one["judged"]}


def runs(profile):
    """Return a good run, and bad ones: each step alone, and all of them with a controller that restarted."""
    names = [step["name"] for step in planned(profile)["steps"] if step["to"] != "straight"]
    found = []
    for bad in ([], *([name] for name in names), names):
        run = measured(profile)
        run["steps"].update({name: broken(name, profile=profile) for name in bad})
        found.append(run)
    found[-1]["after"]["pods"]["t-1"] = 5
    return found


def without(run, way):
    """Return a run without a part of it."""
    *first, last = way
    copied = place = dict(run)
    for name in first:
        place[name] = copy.copy(place[name])
        place = place[name]
    del place[last]
    return copied


def is_no_better(after, before):
    """Say whether results are no better: what was bad may be unknown."""
    return all(ORDER.index(after[name]) <= max(ORDER.index(one), ORDER.index("INCONCLUSIVE")) for name, one in before.items() if after.get(name) in ORDER)


@pytest.mark.parametrize(("profile", "deepest"), [("smoke", 9), ("load", 3)])
def test_what_is_removed_never_improves_the_verdict(profile, deepest):
    """From a good run, and from bad ones."""
    for run in runs(profile):
        before = results(profile, run)
        for way in paths({name: part for name, part in run.items() if name != "plan"}):
            if len(way) > deepest:
                continue
            try:
                assert is_no_better(results(profile, without(run, way)), before), way
            except KeyError:
                # A parser's own facts are whole or not there at all.
                assert way[0] == "steps" and way[2] == "facts" and len(way) > 3, way
