# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster with hollow nodes measured becomes facts, and the role's checks judge these."""

from __future__ import annotations

import copy
import pathlib

import pytest
import yaml

from ansible_collections.kubeproof.certify.plugins.module_utils import checks as engine
from ansible_collections.kubeproof.certify.plugins.module_utils import scale_facts, scale_plan, scale_state

ROLE = pathlib.Path(__file__).parents[4] / "roles/scale"
CHECKS = yaml.safe_load((ROLE / "defaults/main/checks.yml").read_text(encoding="utf-8"))["scale_checks"]
LIMITS = yaml.safe_load((ROLE / "vars/main/windows.yml").read_text(encoding="utf-8"))["__scale_limits"]
LOAD = yaml.safe_load((ROLE / "defaults/main/settings.yml").read_text(encoding="utf-8"))["scale_load"]
RUN = "20261121t040000z-1a2b"


def numbers(count=400, low=0.005, high=0.01, total=2.0):
    """Return a histogram as metrics_window has it, all of it in one bucket."""
    return {"count": count, "sum": total, "p50": [low, high], "p95": [low, high], "p99": [low, high], "below": {str(low): 0.0, str(high): 1.0, "60": 1.0}}


def spread(count=400, value=0.5):
    return {"count": count, **dict.fromkeys(("p50", "p90", "p95", "p99", "max"), value)}


def api_window(high=0.01):
    series = {f"{call} resource": numbers(high=high) for call in ("POST pods ", "POST pods binding", "PATCH pods status", "DELETE pods ", "GET nodes ")}
    return {
        "seconds": 120.0,
        "sli": {**series, "LIST pods  cluster": numbers()},
        "felt": {"POST resource": numbers()},
        "requests": {"POST 201": {"increase": 9000, "rate": 75.0}, "POST 500": {"increase": 0, "rate": 0.0}},
        "terminations": {},
        "watchers_ended": {},
        "rejected": {},
        "queued": {"workload-low": numbers(total=0.1)},
        "etcd": {"create": numbers()},
        "start": {"first": 5.0, "last": 5.0},
        "objects": {" pods": {"first": 20, "last": 900}, " events": {"first": 300, "last": 900}, "apps deployments": {"first": -1, "last": 3}},
        "bytes": {" pods": {"first": 90_000, "last": 900_000}},
        "storage": {"etcd-0": {"first": 4_000_000, "last": 9_000_000}},
    }


def room(**changes):
    return {"watched": True, "hindrance": "", "share": 0.2, "alarms": [], **changes}


def step(nodes=20):
    part = {"generator_limited": False, "failed": 0, "surplus": 0, "unlisted": 0, "stale": 0, "refused": 0, "late": 0.1, "busy": 0.2}
    filled = {**part, "expected": 600, "ready": 600, "seconds": 61.0, "rate_offered": 10, "throughput": 9.8, "scheduled_rate": 11.0}
    filled["phases"] = {"scheduled": spread(600, 0.1), "ready": spread(600, 1.0)}
    moved = {**part, "endpoints": {"added": spread(90, 1.5), "removed": spread(90, 0.5)}}
    latency = {"generator_limited": False, "failed": 0, "phases": {"scheduled": spread(500, 0.2), "started": spread(500, 1.2)}}
    window = {"seconds": 120.0, "start": {"first": 1.0, "last": 1.0}}
    queue = {"first": 0, "last": 0}
    return {
        "nodes": {"asked": nodes, "ready": nodes, "seconds": 14.0},
        "fill": filled,
        "latency": latency,
        "churn": moved,
        "drain": dict(part),
        "strangers": {"hollow": nodes, "strangers": {"daemons": 0, "others": 0, "pods": []}},
        "windows": {
            "api": {"cp1": api_window()},
            "scheduler": {"cp1": {**window, "sli": numbers(), "attempts": {"scheduled": numbers()}, "pending": {"active": queue, "backoff": queue}}},
            "manager": {"cp1": {**window, "waits": {"deployment": numbers(), "other": numbers()}, "depth": {"deployment": queue}}},
        },
        "stopped": [],
    }


def plan(profile="load", **changes):
    settings = {"run": RUN, "nodes": 3, "capacity": {}, "time_scale": 1, "live": False, "scale_load": LOAD, "scale_nodes": [20, 40]}
    return scale_plan.plan(profile, {**settings, "scale_hollow": "kubemark", "scale_engine": "builtin", **changes})


def measured(**changes):
    instance = {"cp1": {"url": "https://10.0.0.1:6443", "answers": True, "error": ""}}
    size = {"nodes": 3, "namespaces": 6, "pods": 14, "services": 3, "pods_per_node": 8, "endpoints_per_service": 2, "pods_per_namespace": 10}
    return {
        "plan": plan(),
        "limits": LIMITS,
        "hosts": ["cp1"],
        "info": {"instances": instance, "nodes": {"count": 3, "ready": 3}, "pods": {"free": 200}, "unavailable_apis": [], "leftovers": 0},
        "after": {"instances": instance, "nodes": {"count": 3, "ready": 3}},
        "census": {"size": size, "guests": {"daemons": [], "others": []}, "clouds": {"none": 3}},
        "etcd": {"23 nodes": room(), "43 nodes": room()},
        "left": {"orphans": 0},
        "identity": {"exempt": False},
        "steps": {"23 nodes": step(), "43 nodes": step()},
        "clean": {"left": 0},
        **changes,
    }


def findings(document, profile="load"):
    facts = {"cluster": {"lab": scale_facts.cluster_facts(document)}}
    found = engine.judge(CHECKS, facts, "scale", profile, {"host": [], "cluster": ["lab"]})
    return {one["id"]: one for one in sorted(found, key=lambda one: engine.RESULTS.index(one["result"]), reverse=True)}


def test_a_good_cluster_passes_and_every_check_finds_its_fact():
    found = findings(measured())
    bad = {name: (one["result"], one["reason"]) for name, one in found.items() if one["judged"] and one["result"] not in ("PASS", "NOT_APPLICABLE")}
    assert bad == {}
    absent = {name for name, one in found.items() if one["value"] is None and one["result"] != "NOT_APPLICABLE"}
    assert absent == {"scale_watchlist_p99"}


def test_without_facts_nothing_passes():
    facts = {"cluster": {"lab": {}}}
    found = engine.judge(CHECKS, facts, "scale", "load", {"host": [], "cluster": ["lab"]})
    assert {one["result"] for one in found if one["judged"]} == {"INCONCLUSIVE"}


def test_the_worst_size_decides_and_is_named():
    document = measured()
    document["steps"]["43 nodes"]["windows"]["api"]["cp1"]["sli"]["POST pods  resource"] = numbers(high=5.0, low=2.5)
    one = findings(document)["scale_mutating_p99"]
    assert one["result"] == "FAIL" and one["entry"] == "43 nodes: POST pods"


# Checks that miss a size of which nothing is known.
MEASURED = ("hollow", "mutating_p99", "errors", "restarts", "unready", "start_p99", "scheduling_p95", "throughput", "endpoints_p99", "controllers_p99",
            "backlog", "pending")  # fmt: skip
# What is taken away or broken -> the check that must not pass any more.
BROKEN = [
    *((lambda one: one["steps"].pop("43 nodes"), f"scale_{name}") for name in MEASURED),
    (lambda one: one["steps"]["43 nodes"]["nodes"].update(ready=39 - 20), "scale_hollow"),
    (lambda one: one["steps"]["43 nodes"]["fill"].update(failed=1), "scale_unready"),
    (lambda one: one["steps"]["43 nodes"]["churn"].update(stale=2), "scale_unready"),
    (lambda one: one["steps"]["43 nodes"]["churn"].update(refused=2), "scale_refused"),
    (lambda one: one["steps"]["43 nodes"]["fill"].update(generator_limited=True), "scale_generator"),
    (lambda one: one["steps"]["43 nodes"]["latency"]["phases"].update(started=spread(500, 6.0)), "scale_start_p99"),
    (lambda one: one["steps"]["43 nodes"]["latency"]["phases"].update(started={**spread(500), "p99": [3.0, None]}), "scale_start_p99"),
    (lambda one: one["steps"]["43 nodes"]["fill"].update(seconds=100.0), "scale_throughput"),
    (lambda one: one["steps"]["43 nodes"]["windows"]["api"]["cp1"]["start"].update(last=9.0), "scale_restarts"),
    (lambda one: one["steps"]["43 nodes"]["windows"]["api"]["cp1"]["requests"]["POST 500"].update(increase=200), "scale_errors"),
    (lambda one: one["steps"]["43 nodes"]["windows"]["manager"]["cp1"]["waits"].update(deployment=numbers(low=8.0, high=16.0)), "scale_controllers_p99"),
    (lambda one: one["steps"]["43 nodes"]["windows"]["manager"]["cp1"]["depth"].update(deployment={"last": 3}), "scale_backlog"),
    (lambda one: one["steps"]["43 nodes"]["windows"]["scheduler"]["cp1"]["pending"].update(active={"last": 3}), "scale_pending"),
    (lambda one: one["census"]["size"].update(nodes=2000), "scale_envelope"),
    (lambda one: one["census"]["guests"].update(others=["Deployment a/b"]), "scale_guests"),
    (lambda one: one["census"]["guests"].update(daemons=["DaemonSet a/b"]), "scale_daemons"),
    (lambda one: one["census"].update(clouds={"aws": 3}), "scale_cloud"),
    (lambda one: one["steps"]["43 nodes"]["strangers"].update(hollow=0), "scale_strangers"),
    *((lambda one, size=size: one["steps"][size].update(strangers={}), "scale_strangers") for size in ("23 nodes", "43 nodes")),
    *((lambda one, size=size: one["steps"][size]["strangers"]["strangers"].update(others=3), "scale_strangers") for size in ("23 nodes", "43 nodes")),
    (lambda one: one["steps"]["23 nodes"]["strangers"]["strangers"].update(daemons=3), "scale_stranger_daemons"),
    *((lambda one, size=size: one["etcd"].pop(size), "scale_etcd_share") for size in ("23 nodes", "43 nodes")),
    (lambda one: one.pop("etcd"), "scale_etcd_alarms"),
    (lambda one: one["etcd"].update({"43 nodes": room(share=0.81)}), "scale_etcd_share"),
    (lambda one: one["etcd"].update({"43 nodes": room(alarms=["NOSPACE of member 11"])}), "scale_etcd_alarms"),
    (lambda one: one["etcd"].update({"43 nodes": {"watched": True, "missing": {"share": "no route"}}}), "scale_etcd_share"),
    (lambda one: one["steps"]["23 nodes"].update(stopped=["scale_load was aborted: etcd"]), "scale_stopped"),
    (lambda one: one["steps"]["43 nodes"].pop("stopped"), "scale_stopped"),
    (lambda one: one["steps"].pop("43 nodes"), "scale_stopped"),
    (lambda one: one["after"]["nodes"].update(count=5), "scale_nodes_left"),
    (lambda one: one["after"]["nodes"].update(ready=2), "scale_nodes_lost"),
    (lambda one: one.update(after={}), "scale_instances_lost"),
    (lambda one: one.update(left={}), "scale_orphans"),
    (lambda one: one.update(clean={}), "scale_clean"),
    (lambda one: one["info"]["pods"].update(free=30), "scale_room"),
    (lambda one: one.update(plan=plan(scale_hollow="kwok")), "scale_kubelets"),
    (lambda one: one.update(identity={}), "scale_identity"),
]


@pytest.mark.parametrize(("damage", "check"), BROKEN)
def test_what_is_broken_does_not_pass(damage, check):
    document = copy.deepcopy(measured())
    damage(document)
    found = findings(document)[check]
    assert found["result"] not in ("PASS", "NOT_APPLICABLE"), found


def test_the_size_at_which_others_came_is_named():
    document = measured()
    document["steps"]["23 nodes"]["strangers"]["strangers"].update(others=3, pods=[{"kind": "ReplicaSet", "pod": "shop/a"}])
    one = findings(document)["scale_strangers"]
    assert (one["result"], one["entry"], one["value"]) == ("FAIL", "23 nodes", 3)


def test_a_size_that_was_stopped_is_named_and_nothing_else_of_it_is_judged():
    """What was measured until then is good, and of a part: it is neither a pass nor what the size bore."""
    document, why = measured(), "scale_load was aborted: etcd has filled more than 80% of its quota of 2 GiB (apiserver_storage_size_bytes is 1717986919)"
    document["steps"]["43 nodes"]["stopped"] = [why]
    found = findings(document)
    one = found["scale_stopped"]
    assert (one["result"], one["entry"], one["value"]) == ("FAIL", "43 nodes", [why]) and "grow by less" in one["fix"]
    asked = ("scale_mutating_p99", "scale_errors", "scale_unready", "scale_start_p99", "scale_backlog", "scale_hollow", "scale_strangers")
    assert {found[name]["result"] for name in asked} == {"INCONCLUSIVE"} and all("43 nodes" in found[name]["reason"] for name in asked)
    facts = scale_facts.cluster_facts(document)
    assert "43 nodes" not in facts["storage"] and not any("43 nodes" in name for name in facts["generator"]) and facts["unready"]["23 nodes"]


def test_the_gate_asks_of_etcd_what_is_known_before_the_first_size():
    document = {**measured(), "steps": {}, "etcd": {"23 nodes": room()}}
    assert {findings(document)[name]["result"] for name in ("scale_etcd_share", "scale_etcd_alarms")} == {"PASS"}
    document["etcd"] = {"23 nodes": {"watched": False}}
    found = findings(document)["scale_etcd_share"]
    assert found["result"] == "NOT_APPLICABLE" and "not watched" in found["reason"] and found["gate"]
    document["etcd"] = {"23 nodes": {"watched": True, "missing": {"share": "etcd on etcd1 could not be asked: no route"}}}
    found = findings(document)["scale_etcd_share"]
    assert found["result"] == "INCONCLUSIVE" and "no route" in found["reason"]


def test_clusterloader2_is_one_more_size():
    latency = {"pod_startup": {"p50": 0.9, "p90": 1.0, "p99": 7.0}}
    seen = {"failed": 0, "failures": [], "tests": 8, "pod_startup_latency": latency, "scheduling_throughput": {"max": 5.0}}
    other = {"clusterloader": seen, "expected": 500, "windows": step()["windows"], "stopped": []}
    document = measured(plan=plan(scale_engine="clusterloader2"))
    document["steps"]["clusterloader2"] = other
    document["etcd"]["clusterloader2"] = room()
    found = findings(document)
    assert (found["scale_start_p99"]["result"], found["scale_start_p99"]["entry"]) == ("FAIL", "clusterloader2")
    assert found["scale_cl2_failed"]["result"] == "PASS"
    seen.update(failed=1)
    assert scale_facts.cluster_facts(document)["start"]["clusterloader2"] == {}
    del document["steps"]["clusterloader2"]
    assert findings(document)["scale_cl2_failed"]["result"] == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("factor", "name", "share"),
    [
        (1, "nodes at 1x", 0.5), (2, "nodes at 2x", 1.0), (3, "nodes at 3x", 1.5), (3, "pods per node at 3x", 1.0), (2, "pods per namespace at 2x", 2.0),
        # What is behind one Service stays: a cluster that grows has more Services.
        (1, "endpoints per service at 1x", 0.8), (2, "endpoints per service at 2x", 0.8), (3, "endpoints per service at 3x", 0.8),
    ],
)  # fmt: skip
def test_growth_beside_the_tested_sizes(factor, name, share):
    found = scale_state.envelope({"nodes": 2500, "pods_per_node": 110, "pods_per_namespace": 3000, "endpoints_per_service": 200}, LIMITS)
    assert found[name]["share"] == share and f"at {factor}x" in name and "services at 1x" not in found
