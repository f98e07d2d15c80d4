# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import pathlib
import re

import pytest
import yaml
from ansible_collections.kubeproof.certify.plugins.module_utils import checks as engine
from ansible_collections.kubeproof.certify.plugins.module_utils import dns_clients, dns_corefile, dns_job, dns_state
from ansible_collections.kubeproof.certify.plugins.module_utils.dns_facts import cluster_facts
from ansible_collections.kubeproof.certify.plugins.module_utils.dns_plan import plan
from ansible_collections.kubeproof.certify.tests.unit.plugins import stress_fake

ROLE = pathlib.Path(__file__).parents[4] / "roles/dns/defaults/main"
DEFAULTS = yaml.safe_load((ROLE / "settings.yml").read_text(encoding="utf-8"))
CHECKS = yaml.safe_load((ROLE / "checks.yml").read_text(encoding="utf-8"))["dns_checks"]
PROFILES = ("smoke", "load", "stress", "soak")
PODS = ("a", "b")
CLIENTS = ("w1", "w2")
# The pods of NodeLocal DNSCache and their nodes.
CACHES = {"n1": "w1", "n2": "w2", "n3": "w3"}
JOB = {"namespace": "ns", "services": ["dns-0"], "clients": 10, "generators": 1, "external_names": ["a.example"], "grace": 60}
CACHED = {"present": True, "success": True, "denial": True}


def pod(name, **more):
    found = {"uid": name, "ip": "10.0.0.1", "node": "w1", "ready": True, "restarts": 1, "container": "coredns", "cpu_limit": "1", "memory_limit": ""}
    return {**found, "port": 53, **more}


def looked(behind=PODS, **more):
    """Return what dns_info found with these CoreDNS pods; more replaces some of it."""
    local = {name: pod(name, node=node) for name, node in CACHES.items()}
    return {
        "service_found": True,
        "service": {"namespace": "kube-system", "name": "kube-dns", "address": "10.96.0.10"},
        "pods": {name: pod(name) for name in behind},
        "ready": len(behind),
        "domain": "cluster.local",
        "corefile": {"zones": ["."], "cache": CACHED, "upstream_cache": CACHED, "metrics": {"exposed": True, "port": 9153}, "unknown": []},
        "node_local_found": True,
        "node_local": {"name": "node-local-dns", "address": "169.254.20.10", "pods": local, "corefile": {"metrics": {"exposed": True, "port": 9253}}},
        "nodes": {"count": 3, "schedulable": 2, "names": list(CLIENTS)},
        "throttling": {name: {"c": {"periods": 100, "throttled": 5}} for name in behind},
        "missing": {},
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


def measured(profile="load", info=None, pods=PODS, live=False, nodes=100, **capacity):
    """Return what a good run measured of these CoreDNS pods."""
    settings = {**DEFAULTS, "nodes": nodes, "capacity": capacity, "live": live, "dns_external_names": ["a.example"]}
    planned, steps = plan(profile, settings), {}
    for step in dns_job.steps(planned["steps"], looked(pods)):
        job = {name: value for name, value in dns_job.job(step, looked(pods), JOB).items() if name not in ("argv", "queries")}
        ran = [{"index": index, "cpu_seconds": step["seconds"] * 0.5} for index in range(job["count"])]
        one = steps[step["name"]] = {"job": job, "pods": ran, "took": step["seconds"], "facts": dnsperf(job["rate"] * job["count"], step["seconds"])}
        if step["kind"] == "external":
            one["facts"]["rcodes"] = {"NOERROR": one["facts"]["sent"]}
        if step["kind"] == "pods":
            one.update(facts={}, each={name: dnsperf(job["rate"], step["seconds"]) for name in pods})
        if step["window"]:
            names = [name for name, node in CACHES.items() if node in CLIENTS] if step["kind"] == "node_local" else pods
            one["metrics"] = {name: window(100000 + number) for number, name in enumerate(names)}
    after = looked(pods, throttling={name: {"c": {"periods": 1100, "throttled": 10}} for name in pods})
    found = {"plan": planned, "info": {**looked(pods), **(info or {})}, "after": after, "steps": steps, "clean": {"left": 0}}
    return {**found, "stress": stress_fake.known(CHECKS, planned)} if profile == "stress" else found


def findings(profile, document, checks=None):
    return engine.judge(checks or CHECKS, {"host": {}, "cluster": {"lab": document}}, "dns", profile, {"host": [], "cluster": ["lab"]})


def results(profile, document, checks=None):
    """Return {check: result} of what is judged, of several entries the worst."""
    order, found = ["PASS", "NOT_APPLICABLE", "CONDITIONAL", "INCONCLUSIVE", "FAIL"], {}
    for one in findings(profile, document, checks):
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


@pytest.mark.parametrize("profile", PROFILES)
def test_a_good_run_of_many_pods_passes(profile):
    """Twenty nodes with a CoreDNS each."""
    run = measured(profile, pods=tuple("abcdefghijklmnopqrst"), nodes=20)
    found = results(profile, cluster_facts(run))
    assert {name: result for name, result in found.items() if result != "PASS"} == {} and found


@pytest.mark.parametrize("profile", ["smoke", "load", "soak"])
@pytest.mark.parametrize("declared", [20, 100, 1000])
def test_a_live_cluster_passes_with_what_it_declares(profile, declared):
    run = measured(profile, live=True, dns_qps=declared)
    found = [one for one in findings(profile, cluster_facts(run)) if one["judged"] and one["result"] != "PASS"]
    beyond = {"dns_qps", "dns_qps_errors", "dns_qps_latency_p99"} if profile == "load" else set()
    assert {one["id"] for one in found} == beyond
    assert {one["reason"] for one in found} <= {"Not measured: nothing is asked beyond the declared rate because of certify_live."}


@pytest.mark.parametrize("profile", ["smoke", "load", "soak"])
def test_a_live_cluster_that_declares_nothing_says_what_to_declare(profile):
    run = measured(profile, live=True)
    found = [one for one in findings(profile, cluster_facts(run)) if one["judged"] and one["result"] == "INCONCLUSIVE"]
    assert run["steps"] == {} and {"dns_errors", "dns_pod_errors"} <= {one["id"] for one in found}
    assert {"set certify_capacity.dns_qps" in one["reason"] for one in found} == {True}


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


BAD = ("dns_errors", "dns_latency_p99", "dns_pod_errors", "dns_pod_latency_p99", "dns_servfail", "dns_balance", "dns_cache_hit_ratio", "dns_panics",
       "dns_throttling", "dns_restarts", "dns_node_errors", "dns_node_cache_hit_ratio")  # fmt: skip
# What shrinks the cluster, or a count that another one contradicts, is the parser's and the module's to refuse.
CLUSTER = (("info", "pods"), ("after", "pods"), ("info", "node_local", "pods"))
TRUSTED = {"lost", "rcodes", "NXDOMAIN", "throttled", "periods", "first", "last", "SERVFAIL"}


def bad_run(pods):
    """Return what a run measured in which everything went wrong, each thing at one place alone, so that without it the others are good."""
    run = measured(pods=pods)
    service, local, worst = run["steps"]["service-3-100"], run["steps"]["node-local"], pods[-1]
    for facts in (service["facts"], local["facts"], run["steps"]["pods"]["each"][worst]):
        facts.update(lost(facts, facts["sent"] // 2))
    local["metrics"]["n2"] = window(200000, hits=0.1)
    for name in pods[:-1]:
        # Of two pods one alone has no more than twice its share.
        service["metrics"][name]["requests"]["udp"]["increase"] *= len(pods) > 2
    much = 100000 * len(pods) ** 2
    service["metrics"][worst] = window(much, hits=0.1, panics={"increase": 1}, responses={"SERVFAIL": {"increase": much}})
    throttled = {name: {"c": {"periods": 200, "throttled": 100 if name == worst else 5}} for name in pods}
    run["after"] = looked(pods, pods={name: pod(name, restarts=2 if name == worst else 1) for name in pods}, throttling=throttled)
    return run


@pytest.mark.parametrize(("pods", "damage"), [(PODS, "removed"), (PODS, "text"), (PODS, "null"), (tuple("abcdefg"), "removed")])
def test_no_damage_makes_a_bad_run_good(pods, damage):
    bad, asked = bad_run(pods), {name: CHECKS[name] for name in BAD}
    asks = {name: set(re.findall("[a-z_]+", str([CHECKS[name].get(key) for key in ("query", "each", "samples", "not_applicable")]))) for name in BAD}
    whole = cluster_facts(bad)
    assert results("load", whole, asked) == dict.fromkeys(BAD, "FAIL")
    for path in paths({name: bad[name] for name in ("steps", "after", "info")}):
        if path[-1] in TRUSTED or "below" in path[:-1] or any(path[: len(one)] == one and len(path) > len(one) for one in CLUSTER):
            continue
        if set(path) & set(pods[1:-1]):
            # Those in the middle are as the first.
            continue
        broken = copy.copy(bad)
        place = broken
        for name in path[:-1]:
            place[name] = copy.copy(place[name])
            place = place[name]
        if damage == "removed":
            del place[path[-1]]
        else:
            place[path[-1]] = "damaged" if damage == "text" else None
        document = cluster_facts(broken)
        # Only those are judged again whose facts are others now.
        changed_facts = {name for name in {*whole, *document} if document.get(name) != whole.get(name)}
        again = {name: check for name, check in asked.items() if changed_facts & asks[name]}
        found = results("load", document, again) if again else {}
        assert {name: found[name] for name in found if found[name] not in ("FAIL", "INCONCLUSIVE")} == {}, path


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
    job = {"rate": 500, "count": 2, "seconds": 10, "threads": 2, "outstanding": 1250, "searched": 20, "lines": 200}
    step = {"job": job, "facts": facts, "pods": [{"cpu_seconds": cpu}]}
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


def unread(run, name):
    """Have a cache whose metrics cannot be read."""
    del run["steps"]["node-local"]["metrics"][name]
    run["steps"]["node-local"]["unread"] = {name: "timed out"}


def unready(run, name):
    """Have a cache on a node that is not ready: its metrics are not asked for."""
    local = run["info"]["node_local"]
    local["pods"][name]["ready"] = False
    del run["steps"]["node-local"]["metrics"][name]
    assert name not in dns_state.scraped(local["pods"], local["corefile"], 9253, list(CLIENTS))


def hidden(run):
    """Have caches without metrics."""
    run["info"]["node_local"]["corefile"]["metrics"] = {"exposed": False}
    run["steps"]["node-local"]["metrics"] = {}


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda run: run["steps"]["node-local"]["metrics"].pop("n2"), "node_cache.ratio is missing in the facts of lab"),
        (lambda run: unread(run, "n2"), "the metrics of n2 could not be read. timed out"),
        (lambda run: run["steps"]["node-local"]["metrics"]["n2"].update(start={"first": 1, "last": 2}), "node_cache.ratio is missing in the facts of lab"),
        (lambda run: unready(run, "n2"), "the pod n2 of NodeLocal DNSCache is not ready"),
        (lambda run: run["info"]["node_local"]["pods"].pop("n2"), "a node from which DNS was asked has no pod of NodeLocal DNSCache"),
        (hidden, "NodeLocal DNSCache exposes no metrics: the plugin prometheus is not in its Corefile, or listens at loopback alone"),
        (lambda run: run["steps"]["node-local"].pop("job"), "a node from which DNS was asked has no pod of NodeLocal DNSCache"),
    ],
)
def test_a_cache_that_cannot_be_read_does_not_vanish(damage, reason):
    run = measured()
    run["steps"]["node-local"]["metrics"]["n2"] = window(200000, hits=0.1)
    assert results("load", cluster_facts(run))["dns_node_cache_hit_ratio"] == "FAIL"
    damage(run)
    [found] = [one for one in findings("load", cluster_facts(run)) if one["id"] == "dns_node_cache_hit_ratio"]
    assert (found["result"], found["reason"]) == ("INCONCLUSIVE", f"Not measured: {reason}.")


def test_a_cache_where_nobody_asks_is_not_needed():
    run = measured()
    run["info"]["node_local"]["pods"]["n3"]["ready"] = False
    assert results("load", cluster_facts(run))["dns_node_cache_hit_ratio"] == "PASS"


def test_a_coredns_pod_that_was_not_asked_alone_does_not_vanish():
    run = measured(pods=tuple("abc"))
    run["steps"]["pods"]["job"]["names"].remove("c")
    assert {name for name, one in cluster_facts(run)["pods"].items() if not one} == {"c"}


@pytest.mark.parametrize(("family", "check"), [("requests", "dns_balance"), ("responses", "dns_servfail"), ("cache_requests", "dns_cache_hit_ratio")])
def test_what_every_query_raises_is_not_zero_where_it_is_missing(family, check):
    run = measured()
    del run["steps"]["service-3-100"]["metrics"]["b"][family]
    assert results("load", cluster_facts(run))[check] == "INCONCLUSIVE"


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
    assert found["node_cache"]["requests"] == 200001 and found["external_cache"]["ratio"] == pytest.approx(0.95, abs=1e-4)


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
        # That there are no hits says nothing where it is not known whether names of the cluster are cached.
        ({}, "INCONCLUSIVE"),
    ],
)
def test_a_corefile_that_does_not_cache_the_cluster_is_not_asked_for_hits(cache, result):
    run = measured()
    run["info"]["corefile"]["cache"] = cache
    for name in PODS:
        run["steps"]["service-3-100"]["metrics"][name]["cache_hits"] = {}
    assert results("load", cluster_facts(run))["dns_cache_hit_ratio"] == result


@pytest.mark.parametrize(
    ("cache", "reason"),
    [
        ({"present": False, "success": False, "denial": False}, "has no cache for names of the cluster"),
        ({"present": True, "success": False, "denial": False}, "does not cache names of the cluster (kubeadm"),
        ({"present": True, "success": False, "denial": True}, "does not cache names of the cluster (kubeadm"),
        ({"present": True, "success": True, "denial": False}, "does not cache which names the cluster does not have"),
    ],
)
def test_why_hits_are_not_asked_for(cache, reason):
    run = measured()
    run["info"]["corefile"]["cache"] = cache
    assert reason in told(run, "dns_cache_hit_ratio")["reason"]


def told(run, check, profile="load"):
    """Return the finding of a check that asks one question."""
    [found] = [one for one in findings(profile, cluster_facts(run)) if one["id"] == check]
    return found


HIDDEN = """.:53 {
    log . "{$POD_NAME}"
    kubernetes cluster.local in-addr.arpa ip6.arpa
    prometheus :9153
    forward . /etc/resolv.conf
    cache %s {
        disable success cluster.local
        disable denial cluster.local
    }
    import /elsewhere/*
}
"""


@pytest.mark.parametrize(
    ("ttl", "result", "reason"),
    [
        ("30", "NOT_APPLICABLE", "kubeadm from 1.32 on writes so"),
        ("{$TTL}", "INCONCLUSIVE", "Not measured: the Corefile has {$TTL}, which is not known"),
    ],
)
def test_what_a_variable_does_not_hide_is_known(ttl, result, reason):
    run = measured()
    run["info"]["corefile"] = dns_corefile.summary(dns_corefile.parse(HIDDEN % ttl))
    for name in PODS:
        run["steps"]["service-3-100"]["metrics"][name]["cache_hits"] = {}
    found = {check: told(run, check) for check in ("dns_cache_hit_ratio", "dns_metrics", "dns_upstream_cache")}
    assert found["dns_cache_hit_ratio"]["result"] == result and reason in found["dns_cache_hit_ratio"]["reason"]
    assert found["dns_metrics"]["result"] == "PASS"
    assert found["dns_upstream_cache"]["result"] == ("PASS" if ttl == "30" else "INCONCLUSIVE")
    assert ttl == "30" or "{$TTL}" in found["dns_upstream_cache"]["reason"]


def test_metrics_that_were_read_are_exposed_whatever_the_corefile_hides():
    run = measured()
    del run["info"]["corefile"]["metrics"]
    assert told(run, "dns_metrics")["result"] == "PASS" and "corefile.metrics" not in cluster_facts(run)["missing"]
    for step in run["steps"].values():
        step.pop("metrics", None)
    assert told(run, "dns_metrics")["result"] == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("gone", "missing", "check", "reason"),
    [
        (("corefile",), {"corefile": "The Corefile cannot be understood: no ConfigMap that the pod mounts has one"}, "dns_metrics", "no ConfigMap"),
        (("corefile",), {"corefile": "The Corefile cannot be understood: no ConfigMap that the pod mounts has one"}, "dns_cache_hit_ratio", "no ConfigMap"),
        (("pods", "ready"), {"pods": "it has no selector", "ready": "it has no selector"}, "dns_pods_ready", "it has no selector"),
        (("nodes",), {"nodes": "Nodes cannot be read: 403"}, "dns_client_nodes", "Nodes cannot be read: 403"),
        (("service_found",), {"service_found": "Services cannot be read: 403"}, "dns_service", "Services cannot be read: 403"),
        (("throttling",), {"throttling": "cannot be read: 403"}, "dns_throttling", "cannot be read: 403"),
        (("node_local_found",), {"node_local_found": "DaemonSets: 403"}, "dns_node_cache_hit_ratio", "DaemonSets: 403"),
    ],
)
def test_what_could_not_be_read_is_the_reason(gone, missing, check, reason):
    run = measured(info={"missing": missing})
    for name in gone:
        del run["info"][name]
    if "corefile" in gone:
        for step in run["steps"].values():
            step.pop("metrics", None)
    if "node_local_found" in gone:
        del run["steps"]["node-local"]
    found = told(run, check)
    assert found["result"] == "INCONCLUSIVE" and reason in found["reason"]


def test_that_nobody_could_look_after_the_load_is_said():
    run = measured()
    run["after"] = {"missing": {"pods": "The pods cannot be read: 403"}}
    assert "The pods cannot be read: 403" in told(run, "dns_restarts")["reason"]
    assert "The pods cannot be read: 403" in told(run, "dns_pods_lost")["reason"]


def test_coredns_pods_at_ports_that_are_not_known_are_not_asked():
    run = measured()
    for one in run["info"]["pods"].values():
        del one["port"]
    del run["steps"]["pods"]
    found = [one for one in findings("load", cluster_facts(run)) if one["id"] in ("dns_pod_errors", "dns_pod_latency_p99")]
    assert found and all(one["result"] == "INCONCLUSIVE" and "at which UDP port" in one["reason"] for one in found)


def test_where_a_cache_hides_coredns_its_answers_are_not_those_of_coredns():
    why = "there is no Service kube-dns-upstream besides"
    run = measured(info={"missing": {"node_local.upstream": why}})
    run["info"]["node_local"].update(takes_service=True, upstream="")
    kinds = {step["name"]: step["kind"] for step in dns_job.steps(run["plan"]["steps"], run["info"])}
    assert set(kinds.values()) == {"pods", "node_local"}
    run["steps"] = {name: run["steps"][name] for name in kinds}
    found = [one for one in findings("load", cluster_facts(run)) if why in one["reason"]]
    asked = {"dns_latency_p99", "dns_errors", "dns_qps", "dns_balance", "dns_servfail", "dns_external_errors"}
    assert asked <= {one["id"] for one in found} and {one["result"] for one in found} <= {"INCONCLUSIVE", "INFO"}
    assert results("load", cluster_facts(run))["dns_node_errors"] == results("load", cluster_facts(run))["dns_pod_errors"] == "PASS"


def test_an_address_of_the_caches_that_is_not_known_is_the_reason():
    run = measured(info={"missing": {"node_local.address": "neither its command nor a Corefile names one"}})
    del run["info"]["node_local"]["address"], run["steps"]["node-local"]
    for check in ("dns_node_errors", "dns_node_cache_hit_ratio"):
        assert "neither its command nor a Corefile names one" in told(run, check)["reason"]
    assert "neither its command" in next(one["reason"] for one in findings("load", cluster_facts(run)) if one.get("entry") == "node-local")


@pytest.mark.parametrize(("counts", "ratio", "result"), [((5000, 5000), 1, "PASS"), ((7000, 3000), 1.4, "CONDITIONAL"), ((10000, 0), 2, "FAIL")])
def test_the_busiest_pod(counts, ratio, result):
    run = measured()
    for name, count in zip(PODS, counts):
        run["steps"]["service-3-100"]["metrics"][name]["requests"] = {"udp": {"increase": count}}
    found = cluster_facts(run)
    assert found["balance"]["ratio"] == ratio and results("load", found)["dns_balance"] == result


@pytest.mark.parametrize(("sockets", "judged"), [(150, True), (149, False)])
def test_a_balance_of_too_few_sockets_is_that_of_chance(sockets, judged):
    run = measured()
    run["steps"]["service-3-100"]["job"].update(sockets=sockets, count=2)
    run["steps"]["service-3-100"]["metrics"]["a"]["requests"] = {"udp": {"increase": 200000}}
    found = told(run, "dns_balance")
    assert cluster_facts(run)["balance"]["sockets"] == sockets and (found["result"], found["judged"]) == ("CONDITIONAL", judged)
    assert ("raise dns_clients" in found["reason"]) is not judged


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
        ({"a": pod("a"), "b": pod("b")}, (0, 0, 0)),
        ({"a": pod("a", restarts=3), "b": pod("b")}, (2, 0, 0)),
        ({"a": pod("a")}, (0, 1, 0)),
        # What came has restarted during the run only.
        ({"a": pod("a"), "b": pod("b", uid="new", restarts=0)}, (0, 1, 1)),
        ({"a": pod("a"), "b": pod("b"), "c": pod("c", restarts=7), "d": pod("d", restarts=3)}, (10, 0, 2)),
        ({"a": pod("a"), "b": pod("b"), "c": {"uid": "c"}}, (None, 0, 1)),
        ({}, (0, 2, 0)),
        (None, (None, None, None)),
    ],
)
def test_restarts_and_losses(pods, expected):
    run = measured()
    run["after"] = {} if pods is None else looked(pods=pods)
    found = cluster_facts(run)
    assert (found.get("restarts"), found.get("pods_lost"), found.get("pods_new")) == expected


def test_what_pods_counted_that_came_during_the_run_is_not_known():
    run = measured()
    run["after"]["pods"]["c"] = pod("c", restarts=0)
    for check in ("dns_balance", "dns_servfail", "dns_panics", "dns_cache_hit_ratio"):
        assert told(run, check)["reason"] == "Not measured: 1 CoreDNS pods came during the load, and nobody read what they counted."
    judged = results("load", cluster_facts(run))
    assert judged["dns_restarts"] == judged["dns_errors"] == judged["dns_pods_lost"] == "PASS"


def test_a_pod_that_came_may_be_throttled():
    run = measured()
    run["after"]["pods"]["c"] = pod("c", restarts=0)
    assert told(run, "dns_throttling")["result"] == "INCONCLUSIVE"
    run["after"]["throttling"]["c"] = {"c": {"periods": 100, "throttled": 50}}
    found = told(run, "dns_throttling")
    assert (found["result"], found["value"]) == ("FAIL", 0.5)


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
