# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import pathlib

import pytest
import yaml
from ansible_collections.kubeproof.certify.plugins.module_utils import checks as engine
from ansible_collections.kubeproof.certify.plugins.module_utils import dns_clients
from ansible_collections.kubeproof.certify.plugins.module_utils.dns_facts import cluster_facts
from ansible_collections.kubeproof.certify.plugins.module_utils.dns_plan import plan
from ansible_collections.kubeproof.certify.tests.unit.plugins import stress_fake

ROLE = pathlib.Path(__file__).parents[4] / "roles/dns/defaults/main"
DEFAULTS = yaml.safe_load((ROLE / "settings.yml").read_text(encoding="utf-8"))
CHECKS = yaml.safe_load((ROLE / "checks.yml").read_text(encoding="utf-8"))["dns_checks"]
PROFILES = ("smoke", "load", "stress", "soak")
PODS = ("a", "b")
CACHED = {"present": True, "success": True, "denial": True}


def pod(name, **more):
    return {"uid": name, "ip": "10.0.0.1", "node": "w1", "ready": True, "restarts": 1, "container": "coredns", "cpu_limit": "1", "memory_limit": "", **more}


def looked(**more):
    """Return what dns_info found; more replaces some of it."""
    return {
        "service_found": True,
        "service": {"namespace": "kube-system", "name": "kube-dns", "address": "10.96.0.10"},
        "pods": {name: pod(name) for name in PODS},
        "ready": 2,
        "domain": "cluster.local",
        "corefile": {"zones": ["."], "cache": CACHED, "upstream_cache": CACHED, "metrics": {"exposed": True, "port": 9153}, "unknown": []},
        "node_local_found": True,
        "nodes": {"count": 2, "schedulable": 2, "names": ["w1", "w2"]},
        "throttling": {name: {"c": {"periods": 100, "throttled": 5}} for name in PODS},
        "problems": [],
        **more,
    }


def dnsperf(rate, seconds, **more):
    """Return what dnsperf saw: everything that was asked, answered in a millisecond."""
    sent = round(rate * seconds)
    latency = {"p50": 0.001, "p90": 0.002, "p99": 0.003, "mean": 0.001, "max": 0.01, "samples": sent, "unmeasured": 0}
    counts = {"sent": sent, "completed": sent, "lost": 0, "interrupted": 0, "failed": 0, "good": sent}
    rcodes = {"NOERROR": sent - sent // 10, "NXDOMAIN": sent // 10}
    return {**counts, "rcodes": rcodes, "seconds": float(seconds), "timeout": 5.0, "latency": latency, **more}


def window(requests, hits=0.95, **more):
    return {
        "seconds": 20.0,
        "start": {"first": requests, "last": requests},
        "requests": {"udp": {"increase": requests}},
        "responses": {"NOERROR": {"increase": requests}},
        "cache_requests": {"dns://:53": {"increase": requests}},
        "cache_hits": {"success": {"increase": round(requests * hits)}},
        "duration": {"dns://:53": {"count": requests, "below": {"0.001": 1.0, "0.002": 1.0}}},
        "panics": {"increase": 0},
        "rejects": {"increase": 0},
        "unhealthy": {"10.0.0.2:53": {"increase": 3}},
        **more,
    }


def measured(profile="load", info=None, **capacity):
    """Return what a good run measured."""
    settings = {**DEFAULTS, "nodes": 100, "capacity": capacity, "live": False, "dns_external_names": ["a.example"]}
    planned, steps = plan(profile, settings), {}
    for step in planned["steps"]:
        outside = step["kind"] == "external"
        job = {"count": 2, "rate": step["rate"] // 2, "threads": 2, "outstanding": 50000, "searched": 0 if outside else 20, "lines": 2 if outside else 200}
        ran = [{"index": index, "cpu_seconds": step["seconds"] * 0.5} for index in range(2)]
        one = steps[step["name"]] = {"job": job, "pods": ran, "took": step["seconds"], "facts": dnsperf(job["rate"] * 2, step["seconds"])}
        if outside:
            one["facts"]["rcodes"] = {"NOERROR": one["facts"]["sent"]}
        if step["kind"] == "pods":
            one.update(facts={}, job=dict(job, names=list(PODS)), each={name: dnsperf(job["rate"], step["seconds"]) for name in PODS})
        if step["window"]:
            names = ["n1"] if step["kind"] == "node_local" else PODS
            one["metrics"] = {name: window(100000 + number) for number, name in enumerate(names)}
    after = looked(throttling={name: {"c": {"periods": 1100, "throttled": 10}} for name in PODS})
    found = {"plan": planned, "info": looked(**(info or {})), "after": after, "steps": steps, "clean": {"left": 0}}
    return {**found, "stress": stress_fake.known(CHECKS, planned)} if profile == "stress" else found


def findings(profile, document):
    return engine.judge(CHECKS, {"host": {}, "cluster": {"lab": document}}, "dns", profile, {"host": [], "cluster": ["lab"]})


def results(profile, document):
    """Return {check: result} of what is judged, of several entries the worst."""
    order, found = ["PASS", "NOT_APPLICABLE", "CONDITIONAL", "INCONCLUSIVE", "FAIL"], {}
    for one in findings(profile, document):
        if one["judged"]:
            found[one["id"]] = max(found.get(one["id"], "PASS"), one["result"], key=order.index)
    return found


def changed(path, value, profile="load"):
    """Return what a good run measured with one thing changed; path: names, the last of which is set, or removed for None."""
    found = measured(profile)
    place = found
    for name in path[:-1]:
        place = place[name]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return found


# The whole ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES)
def test_a_good_run_passes(profile):
    found = results(profile, cluster_facts(measured(profile)))
    assert {name: result for name, result in found.items() if result != "PASS"} == {} and found


def test_every_check_finds_its_fact_in_some_profile():
    found = {one["id"] for profile in PROFILES for one in findings(profile, cluster_facts(measured(profile))) if one["value"] is not None}
    assert found == set(CHECKS)


def test_without_facts_nothing_passes():
    assert {result for profile in PROFILES for result in results(profile, {}).values()} == {"INCONCLUSIVE"}


@pytest.mark.parametrize("profile", PROFILES)
def test_only_the_plan_is_needed(profile):
    found = results(profile, cluster_facts({"plan": measured(profile)["plan"]}))
    assert set(found.values()) <= {"INCONCLUSIVE"}


def paths(document, prefix=()):
    """Yield the path of every value in a document."""
    for key, value in document.items() if isinstance(document, dict) else enumerate(document):
        yield (*prefix, key)
        if isinstance(value, (dict, list)):
            yield from paths(value, (*prefix, key))


BAD = ("dns_errors", "dns_latency_p99", "dns_pod_errors", "dns_servfail", "dns_balance", "dns_cache_hit_ratio", "dns_panics", "dns_throttling", "dns_restarts")


def bad_run():
    """Return what a run measured in which everything went wrong."""
    run = measured()
    step = run["steps"]["service-3-100"]
    step["facts"] = lost(step["facts"], step["facts"]["sent"] // 2)
    for one in run["steps"]["pods"]["each"].values():
        one.update(lost(one, one["sent"] // 2))
    for number, one in enumerate(step["metrics"].values()):
        one.update(cache_hits={}, requests={"udp": {"increase": 100000 * number}}, panics={"increase": 1}, responses={"SERVFAIL": {"increase": 100000}})
    run["after"] = looked(pods={name: pod(name, restarts=2) for name in PODS}, throttling={name: {"c": {"periods": 200, "throttled": 100}} for name in PODS})
    return run


@pytest.mark.parametrize("damage", ["removed", "text", "null"])
def test_no_damage_makes_a_bad_run_good(damage):
    bad = bad_run()
    worst = results("load", cluster_facts(bad))
    assert {name: worst[name] for name in BAD} == dict.fromkeys(BAD, "FAIL")
    # What shrinks the cluster, or a count that another one contradicts, is the parser's and the module's to refuse.
    trusted = {"pods", "uid", "restarts", "a", "b", "names", "lost", "rcodes", "NXDOMAIN", "c", "throttled", "periods", "first", "last", "SERVFAIL"}
    every = paths({name: bad[name] for name in ("steps", "after", "info")})
    for path in [one for one in every if one[-1] not in trusted and "below" not in one[:-1]]:
        broken = copy.deepcopy(bad)
        place = broken
        for name in path[:-1]:
            place = place[name]
        if damage == "removed":
            del place[path[-1]]
        else:
            place[path[-1]] = "damaged" if damage == "text" else None
        found = results("load", cluster_facts(broken))
        assert {name: found[name] for name in BAD if found[name] not in ("FAIL", "INCONCLUSIVE")} == {}, path


# What clients saw -----------------------------------------------------------------------------------------------------------


def lost(facts, count):
    """Return what dnsperf saw with so many of its queries lost."""
    latency = dict(facts["latency"], samples=facts["sent"] - count, unmeasured=count, p99=[5.0, None] if count * 100 > facts["sent"] else 0.003)
    return {**facts, "lost": count, "completed": facts["sent"] - count, "latency": latency}


def test_lost_queries_are_slow_and_fail():
    run = measured()
    step = run["steps"]["service-3-100"]
    step["facts"] = lost(step["facts"], step["facts"]["sent"])
    found = cluster_facts(run)
    assert found["errors"]["ratio"] == 1 and found["lookups"]["service"]["rate"] == 0
    assert found["lookups"]["service"]["samples"] == step["facts"]["sent"]
    judged = results("load", found)
    assert judged["dns_errors"] == judged["dns_latency_p99"] == "FAIL"


@pytest.mark.parametrize(
    ("more", "failed"),
    [
        ({}, 0),
        ({"failed": 7}, 7),
        ({"rcodes": {"NOERROR": 850, "NXDOMAIN": 150}}, 10),
        ({"rcodes": {"NOERROR": 860, "NXDOMAIN": 140}}, 0),
        ({"rcodes": {"NXDOMAIN": 1000}}, 860),
    ],
)
def test_a_name_that_exists_and_is_not_found_has_failed(more, failed):
    step = {"job": {"searched": 20, "lines": 200, "count": 2}, "facts": dnsperf(100, 10, **more)}
    assert dns_clients.failed(step) == failed


def test_a_name_outside_that_is_not_found_has_failed():
    step = {"job": {"searched": 0, "lines": 2, "count": 1}, "facts": dnsperf(1, 10, rcodes={"NXDOMAIN": 10})}
    assert dns_clients.failed(step) == 10


@pytest.mark.parametrize(
    ("sent", "lost_ones", "mean", "cpu", "limited"),
    [
        (10000, 0, 0.001, 1.0, False),
        (9000, 0, 0.001, 1.0, True),  # sent too little, and nothing waited: dnsperf had no time
        (9000, 0, 3.0, 1.0, False),  # as much waited as may: the server was slow
        (3000, 3000, 0, 1.0, False),  # all were lost: dnsperf had to wait
        (10000, 0, 0.001, 35.0, True),  # all its threads were busy
    ],
)
def test_a_slow_dnsperf_is_told_from_a_slow_server(sent, lost_ones, mean, cpu, limited):
    facts = dnsperf(1000, 10, sent=sent, completed=sent - lost_ones, lost=lost_ones)
    facts["latency"]["mean"] = mean
    job = {"rate": 500, "count": 2, "threads": 2, "outstanding": 1250, "searched": 20, "lines": 200}
    step = {"seconds": 10, "job": job, "facts": facts, "pods": [{"cpu_seconds": cpu}]}
    assert dns_clients.generator(step)["limited"] is limited


@pytest.mark.parametrize("path", [("facts",), ("job",), ("pods",)])
def test_a_generator_that_is_not_known_says_nothing(path):
    run = changed(("steps", "service-3-100", *path), None)
    found = cluster_facts(run)
    assert "service" not in found["lookups"] and "errors" not in found


def test_what_a_limited_generator_saw_is_left_out():
    run = measured()
    run["steps"]["service-3-100"]["pods"][0]["cpu_seconds"] = 1e6
    found = cluster_facts(run)
    assert found["generator"]["limited"] and "errors" not in found and "service" not in found["lookups"]


def test_a_step_that_did_not_run_leaves_nothing():
    found = cluster_facts(changed(("steps", "service-3-100"), None))
    assert {"errors", "cache", "balance", "servfail"}.isdisjoint(found) and "service" not in found["lookups"]


def test_a_cache_on_the_nodes_that_was_not_asked_does_not_vanish():
    judged = results("load", cluster_facts(changed(("steps", "node-local"), None)))
    assert judged["dns_latency_p99"] == judged["dns_node_errors"] == judged["dns_node_cache_hit_ratio"] == "INCONCLUSIVE"


def test_without_a_cache_on_the_nodes_it_is_not_asked_for():
    run = measured(info={"node_local_found": False})
    del run["steps"]["node-local"]
    judged = results("load", cluster_facts(run))
    assert judged["dns_node_cache_hit_ratio"] == judged["dns_node_errors"] == "NOT_APPLICABLE" and judged["dns_latency_p99"] == "PASS"


@pytest.mark.parametrize(("rate", "result"), [(2000, "PASS"), (1990, "CONDITIONAL"), (1000, "CONDITIONAL"), (990, "FAIL")])
def test_the_declared_rate_is_the_bound(rate, result):
    run = measured(dns_qps=2000)
    run["steps"]["qps"]["facts"] = dnsperf(rate, 300)
    run["steps"]["qps"]["job"].update(rate=rate // 2)
    document = cluster_facts(run)
    settings = {"capacity": {"dns_qps": 2000}, "thresholds": {}, "waivers": {}, "not_applicable": {}, "tiers": {}, "today": "2026-01-01"}
    found = engine.judge(CHECKS, {"host": {}, "cluster": {"lab": document}}, "dns", "load", {"host": [], "cluster": ["lab"]}, settings)
    assert next(one["result"] for one in found if one["id"] == "dns_qps") == result


@pytest.mark.parametrize(
    ("step", "more", "headroom"),
    [
        ("ramp-200", {}, [2.0, None]),
        ("ramp-200", {"p99": 0.06}, 1.75),
        ("ramp-125", {"p99": [5.0, None]}, 1.0),
        ("ramp-100", {"p99": 0.05}, 0.0),
        ("ramp-150", {"p99": None}, [1.25, None]),
    ],
)
def test_the_headroom_ends_at_the_first_step_that_breaks(step, more, headroom):
    run = measured("stress")
    run["steps"][step]["facts"]["latency"].update(more)
    assert cluster_facts(run)["stress"]["headroom"]["ratio"] == headroom


def test_what_breaks_beyond_the_expected_rate_is_no_error():
    run = measured("stress")
    run["steps"]["ramp-200"]["facts"] = lost(run["steps"]["ramp-200"]["facts"], 100000)
    found = cluster_facts(run)
    assert found["errors"]["ratio"] == 0 and found["stress"]["headroom"]["ratio"] == 1.75 and found["stress"]["broke"]["id"] == "dns_errors"


def test_a_slow_dnsperf_breaks_nothing():
    run = measured("stress")
    run["steps"]["ramp-150"]["pods"] = [{"index": index, "cpu_seconds": 10000} for index in range(2)]
    found = cluster_facts(run)["stress"]
    assert found["headroom"]["ratio"] == [1.25, None] and "dnsperf was too slow" in found["said"]


# What the servers counted ---------------------------------------------------------------------------------------------------


SERVICE = ("steps", "service-3-100", "metrics")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((*SERVICE, "b"), None),
        ((*SERVICE, "b", "seconds"), None),
        ((*SERVICE, "b", "start"), {"first": 1, "last": 2}),
        ((*SERVICE, "c"), {"seconds": 1}),
        (SERVICE, {}),
        (("info", "pods", "b", "ready"), False),
    ],
)
def test_all_pods_count_or_none(path, value):
    found = cluster_facts(changed(path, value))
    assert {"cache", "balance", "servfail", "panics", "server_latency"}.isdisjoint(found)
    # What clients saw counts all the same.
    assert found["errors"]["ratio"] == 0 and "service" in found["lookups"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda run: run["info"]["corefile"].update(metrics={"exposed": False}), "Not measured: CoreDNS exposes no metrics"),
        (lambda run: run["after"].update(pods={"a": pod("a")}), "Not measured: 1 of the CoreDNS pods were gone"),
        (lambda run: run["steps"]["service-3-100"].update(unread={"a": "403 Forbidden."}), "the metrics of a could not be read. 403 Forbidden"),
        (lambda run: None, "balance.ratio is missing in the facts of lab"),
    ],
)
def test_why_the_servers_are_not_known(change, said):
    run = changed(SERVICE, {})
    change(run)
    [finding] = [one for one in findings("load", cluster_facts(run)) if one["id"] == "dns_balance"]
    assert finding["result"] == "INCONCLUSIVE" and said in finding["reason"]


def test_that_nothing_reached_coredns_is_said():
    run = measured()
    for one in run["steps"]["service-3-100"]["metrics"].values():
        one.update(dict.fromkeys(("requests", "responses", "cache_requests", "cache_hits", "duration"), {}))
    judged = {one["id"]: one["reason"] for one in findings("load", cluster_facts(run))}
    assert judged["dns_balance"] == judged["dns_servfail"] == "Not measured: no query reached CoreDNS."


def test_the_cache_of_a_cluster():
    found = cluster_facts(measured())
    assert found["cache"] == {"ratio": pytest.approx(0.95, abs=1e-4), "requests": 200001}
    assert found["node_cache"]["requests"] == 100000 and found["external_cache"]["ratio"] == pytest.approx(0.95, abs=1e-4)


@pytest.mark.parametrize(
    ("window_more", "expected"),
    [({"cache_hits": {}}, 0), ({"cache_requests": {}}, None), ({"unknown": ["cache_hits"]}, None)],
)
def test_hits_that_were_never_counted_are_none(window_more, expected):
    run = measured()
    for name in PODS:
        run["steps"]["service-3-100"]["metrics"][name].update(window_more)
    assert cluster_facts(run).get("cache", {}).get("ratio") == expected


@pytest.mark.parametrize(
    ("cache", "result"),
    [
        (CACHED, "FAIL"),
        ({**CACHED, "denial": False}, "NOT_APPLICABLE"),
        ({"present": True, "success": False, "denial": False}, "NOT_APPLICABLE"),
        ({"present": False, "success": False, "denial": False}, "NOT_APPLICABLE"),
        ({}, "FAIL"),
    ],
)
def test_a_corefile_that_does_not_cache_the_cluster_is_not_asked_for_hits(cache, result):
    run = measured()
    run["info"]["corefile"]["cache"] = cache
    for name in PODS:
        run["steps"]["service-3-100"]["metrics"][name]["cache_hits"] = {}
    assert results("load", cluster_facts(run))["dns_cache_hit_ratio"] == result


@pytest.mark.parametrize(("counts", "ratio", "result"), [((5000, 5000), 1, "PASS"), ((7000, 3000), 1.4, "CONDITIONAL"), ((10000, 0), 2, "FAIL")])
def test_the_busiest_pod(counts, ratio, result):
    run = measured()
    for name, count in zip(PODS, counts):
        run["steps"]["service-3-100"]["metrics"][name]["requests"] = {"udp": {"increase": count}}
    found = cluster_facts(run)
    assert found["balance"]["ratio"] == ratio and results("load", found)["dns_balance"] == result


def test_one_pod_has_no_balance():
    run = measured(info={"ready": 1, "pods": {"a": pod("a")}})
    assert results("load", cluster_facts(run))["dns_balance"] == "NOT_APPLICABLE"


def test_servfails_are_counted():
    run = measured()
    run["steps"]["service-3-100"]["metrics"]["a"]["responses"]["SERVFAIL"] = {"increase": 2021}
    found = cluster_facts(run)
    assert found["servfail"]["ratio"] == pytest.approx(2021 / 202022) and results("load", found)["dns_servfail"] == "FAIL"


def test_panics_are_counted_in_every_step():
    run = measured()
    run["steps"]["qps"]["metrics"]["b"]["panics"] = {"increase": 2}
    found = cluster_facts(run)
    assert found["panics"] == 2 and found["forward"]["unhealthy"] == 18 and results("load", found)["dns_panics"] == "FAIL"
    run["steps"]["external"]["metrics"] = {}
    assert "panics" not in cluster_facts(run)


# What became of the pods ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        ({"a": pod("a"), "b": pod("b")}, (0, 0)),
        ({"a": pod("a", restarts=3), "b": pod("b")}, (2, 0)),
        ({"a": pod("a")}, (0, 1)),
        ({"a": pod("a"), "b": pod("b", uid="new")}, (0, 1)),
        ({"a": pod("a"), "b": pod("b"), "c": pod("c")}, (0, 0)),
        ({}, (0, 2)),
        (None, (None, None)),
    ],
)
def test_restarts_and_losses(pods, expected):
    run = measured()
    run["after"] = {} if pods is None else looked(pods=pods)
    found = cluster_facts(run)
    assert (found.get("restarts"), found.get("pods_lost")) == expected


@pytest.mark.parametrize(
    ("after", "ratio"),
    [
        ({"a": {"c": {"periods": 1100, "throttled": 5}}, "b": {"c": {"periods": 1100, "throttled": 505}}}, 0.5),
        # A container that began anew counts from zero.
        ({"a": {"new": {"periods": 10, "throttled": 1}}, "b": {"c": {"periods": 1100, "throttled": 5}}}, 0.1),
        ({"a": {"c": {"periods": 1100, "throttled": 5}}}, None),
        ({"a": {"c": {"periods": 1100}}, "b": {"c": {"periods": 1100, "throttled": 5}}}, None),
        ({"a": {"c": {"periods": 50, "throttled": 5}}, "b": {"c": {"periods": 1100, "throttled": 5}}}, None),
    ],
)
def test_the_most_throttled_pod_counts(after, ratio):
    run = measured()
    run["after"] = looked(throttling=after)
    assert cluster_facts(run)["throttling"].get("ratio") == ratio


def test_without_a_limit_nothing_is_throttled():
    free = {name: pod(name, cpu_limit="") for name in PODS}
    run = measured(info={"pods": free, "throttling": {}})
    assert results("load", cluster_facts(run))["dns_throttling"] == "NOT_APPLICABLE"
