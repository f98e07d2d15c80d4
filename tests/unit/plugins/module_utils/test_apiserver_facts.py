# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of a control plane from recorded metrics, with what breaks them."""

from __future__ import annotations

import copy
import functools
import gzip
import json
import pathlib

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import api_windows, checks, openmetrics, stress, window
from ansible_collections.kubeproof.certify.plugins.module_utils.apiserver_facts import OURS, cluster_facts
from ansible_collections.kubeproof.certify.plugins.module_utils.apiserver_plan import plan
from ansible_collections.kubeproof.certify.tests.unit.plugins import stress_fake

ROOT = pathlib.Path(__file__).parents[4]
FIXTURES = ROOT / "tests/fixtures/metrics"
ROLE = ROOT / "roles/apiserver"


def load(path):
    return yaml.safe_load((ROLE / path).read_text(encoding="utf-8"))


CHECKS = load("defaults/main/checks.yml")["apiserver_checks"]
DEFAULTS = load("defaults/main/settings.yml")


@functools.lru_cache
def requests(component):
    """Return the families that the role reads, as metrics_window takes them."""
    values = load("vars/main/windows.yml")
    text = json.dumps(values["__apiserver_families"][component])
    for name in ("streamed", "long", "groups"):
        text = text.replace(f'"{{{{ __apiserver_{name} }}}}"', json.dumps(values[f"__apiserver_{name}"]))
    return [{"as": one["name"], "by": [], "where": {}, "except": {}, **one} for one in json.loads(text)]


@functools.lru_cache
def recorded(component, sample):
    """Return what metrics_window says of a recorded pair of readings, 60 s apart."""
    scenes = []
    for moment, side in ((0.0, "before"), (60.0, "after")):
        text = gzip.decompress((FIXTURES / f"{sample}-{side}.txt.gz").read_bytes())
        families = openmetrics.read([text], {one["name"] for one in requests(component)})
        kept = {one["as"]: window._chosen(families[one["name"]], one) for one in requests(component) if one["name"] in families}
        scenes.append({"time": moment, "start": 5.0, "families": kept})
    return window.compare(*scenes, requests(component))


def distribution(count=500, p99=1.0):
    return {"count": count, "p50": p99 / 4, "p90": p99 / 2, "p95": p99 / 2, "p99": p99, "max": p99}


def test_k6_stops_at_the_share_of_errors_that_ends_a_step():
    text, rule = ((ROLE / path).read_text(encoding="utf-8") for path in ("files/k6/objects.js", "vars/main/main.yml"))
    assert f"number('MOST_FAILED', '{stress.MOST_ERRORS}')" in text and "abortOnFail: true" in text
    assert f"const JUDGED = {CHECKS['apiserver_errors']['min_samples']};" in text
    assert f"'gt', {stress.MOST_ERRORS})" in rule and "success_codes: [0, 99]" in (ROLE / "tasks/k6.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("ratio", "expected"), [(0.3, {"count": 3000, "clients": 0.3, "ratio": 0.3}), (0.05, None), (None, None), ("0.3", None), (True, None)]
)
def test_a_step_that_was_stopped_for_its_errors_fails_although_what_counts_was_not_run(ratio, expected):
    run = measured("load")
    first = run["plan"]["steps"][0]["name"]
    run["steps"] = {first: {**run["steps"][first], "facts": {"requests": 3000, "error_ratio": ratio}}}
    assert cluster_facts(run).get("errors") == expected
    found = checks.judge({"apiserver_errors": CHECKS["apiserver_errors"]}, {"cluster": {"lab": cluster_facts(run)}}, "apiserver", "load",
                         {"cluster": ["lab"]}, because={"*": "more than 10 % of the requests failed"})  # fmt: skip
    assert [one["result"] for one in found] == ["FAIL" if expected else "INCONCLUSIVE"]


def test_what_a_cluster_that_serves_is_spared_says_so():
    run = measured("load")
    run["plan"] = plan("load", {**DEFAULTS, "nodes": 3, "capacity": {"api_qps": 20}, "engines": ["k6"], "live": True})
    del run["steps"]["qps"]
    found = checks.judge({"apiserver_qps": CHECKS["apiserver_qps"]}, {"cluster": {"lab": cluster_facts(run)}}, "apiserver", "load", {"cluster": ["lab"]})
    assert [one["result"] for one in found] == ["INCONCLUSIVE"] and "certify_live: nothing beyond the 20 requests/s" in found[0]["reason"]


SCHEDULER = {
    "seconds": 60.0,
    "sli": {"count": 400, "below": {"0.01": 0.5, "0.02": 1.0}, "sum": 4.0},
    "attempts": {"scheduled": {"count": 400, "below": {"0.01": 0.5, "0.02": 1.0}}, "error": {"count": 0}},
    "pending": {"active": {"first": 0, "last": 0}, "backoff": {"first": 0, "last": 0}, "unschedulable": {"first": 3, "last": 3}},
}


def measured(profile="smoke"):
    """Return what a good run hands over."""
    capacity = {"api_qps": 300} if profile == "stress" else {}
    planned = plan(profile, {**DEFAULTS, "nodes": 3, "capacity": capacity, "engines": ["k6"], "live": False, "apiserver_pull_images": ["a"]})
    info = {
        "instances": {"cp1": {"url": "https://10.0.0.1:6443", "answers": True}},
        "nodes": {"count": 3, "ready": 3, "not_ready": [], "names": ["worker1"]},
        "pods": {"free": 200},
        "unavailable_apis": [],
        "terminating": {},
        "leftovers": 0,
    }
    api = {"cp1": recorded("api", "apiserver")}
    steps = {}
    for step in planned["steps"]:
        ran = {"took": step["seconds"], "windows": {"api": api} if step.get("window") else {}}
        if step["kind"] == "objects":
            sent = step["rate"] * step["seconds"]
            ran["facts"] = {"seconds": step["seconds"], "started": sent, "dropped": 0, "requests": sent, "rate": step["rate"]}
            ran["facts"].update(slowest_minute=step["rate"], error_ratio=0.0, errors={"other": 0})
            ran["facts"].update(latency=distribution(sent), operations={"GET pods": distribution(sent)})
            ran.update(cpu_seconds=step["seconds"] / 10, cpus=2)
        elif step["kind"] == "pods":
            phases = {name: distribution() for name in ("scheduled", "sandbox", "image", "started", "ready")}
            ran["facts"] = {"failed": 0, "left": 0, "generator_limited": False, "latency": {"present": distribution()}, "phases": phases}
            ran["windows"].update(kubelet={"worker1": recorded("kubelet", "kubelet")}, scheduler={"cp1": SCHEDULER})
        elif step["kind"] == "pull":
            ran["facts"] = {"generator_limited": False, "latency": {"pulled": distribution(p99=9.0)}}
        steps[step["name"]] = ran
    stream = {"works": True, "seconds": 0.1}
    return {
        "stress": stress_fake.known(CHECKS, planned) if profile == "stress" else {},
        "plan": planned,
        "hosts": ["cp1"],
        "schedulers": ["cp1"],
        "info": info,
        "after": info,
        "identity": {"exempt": False, "priority_level": "workload-low"},
        "steps": steps,
        "streams": {"exec": stream, "attach": stream, "port_forward": stream, "resize": dict(stream, supported=True), "list": {"seconds": 1.0}},
        "clean": {"left": 0},
    }


SMALL = ("mutating_latency_p99", "read_latency_p99", "list_latency_p99", "qps_latency_p99", "qps_lists_p99")


def judged(facts, profile="smoke"):
    return checks.worst(checks.judge(CHECKS, {"cluster": {"lab": facts}}, "apiserver", profile, {"cluster": ["lab"]}))


def facts_of(run):
    found = cluster_facts(run)
    json.dumps(found, allow_nan=False)
    return found


# A good run -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["smoke", "load", "stress", "soak"])
def test_every_check_of_a_profile_finds_its_fact(profile):
    found = judged(facts_of(measured(profile)), profile)
    missing = {identifier: finding["reason"] for identifier, finding in found.items() if finding["judged"] and "missing in" in finding["reason"]}
    # The recorded cluster was too small for some of the series that a load makes. Nothing reboots a node yet.
    assert set(missing) - {f"apiserver_{name}" for name in (*SMALL, "node_ready")} == set()


def test_a_good_smoke_passes():
    """But for the errors: the two readings were recorded on a small cluster, which answered too few requests."""
    found = judged(facts_of(measured()))
    assert {name for name, one in found.items() if one["judged"] and one["result"] not in ("PASS", "NOT_APPLICABLE")} == {"apiserver_errors"}
    assert "Too few samples" in found["apiserver_errors"]["reason"]


def test_series_are_named_and_pooled():
    facts = facts_of(measured())
    assert facts["mutating"]["series"]["POST pods"]["count"] > 0 and "POST pods/binding" in facts["mutating"]["series"]
    counts = [one["count"] for kind in ("series", "few") for one in facts["mutating"][kind].values()]
    assert facts["mutating"]["pooled"]["count"] == sum(counts)
    assert all(name.split()[0] in api_windows.MUTATING for name in facts["mutating"]["series"])
    assert all(name.startswith("GET ") for name in facts["read"]["series"])
    assert all(name.split()[-1] in ("namespace", "cluster") for name in facts["list"]["few"])


def test_only_series_with_enough_observations_or_of_our_load_decide():
    facts = facts_of(measured())
    assert {name for name, one in facts["mutating"]["series"].items() if one["count"] < 299} <= set(OURS["mutating"])
    assert all(one["count"] < 299 for one in facts["mutating"]["few"].values())


@pytest.mark.parametrize("kind", OURS)
def test_the_series_of_our_load_are_those_that_the_checks_name(kind):
    assert list(OURS[kind]) == CHECKS[f"apiserver_{kind}_latency_p99"]["expect"]


def test_windows_of_two_steps_count_together():
    one, two = measured(), measured()
    del two["steps"]["pods"]["windows"]["api"]
    two["plan"]["steps"][1]["window"] = False
    both, single = (facts_of(run)["mutating"]["pooled"]["count"] for run in (one, two))
    assert both == 2 * single


def test_scheduler_and_kubelets():
    facts = facts_of(measured())
    assert facts["scheduler"] == {
        "sli": {"count": 400, "p50": [0.0, 0.01], "p95": [0.01, 0.02], "p99": [0.01, 0.02], "p999": [0.01, 0.02]},
        "attempt": {"count": 400, "p50": [0.0, 0.01], "p95": [0.01, 0.02], "p99": [0.01, 0.02], "p999": [0.01, 0.02]},
        "pending": 0,
    }
    assert facts["kubelet"]["pod_start"]["count"] > 0 and facts["kubelet"]["pleg_relist"]["count"] > 0


def test_the_sustained_rate_is_the_lower_of_two_views():
    run = measured("load")
    assert facts_of(run)["qps"]["rate"] == pytest.approx(api_windows.requests({"cp1": recorded("api", "apiserver")})["rate"])
    run["steps"]["qps"]["facts"]["slowest_minute"] = 1.0
    assert facts_of(run)["qps"]["rate"] == 1.0


# What must not become a number -----------------------------------------------------------------------------------------------


def lost_instance(run):
    run["info"]["instances"]["cp2"] = {"url": "https://10.0.0.2:6443", "answers": True}


def restarted(run):
    for step in run["steps"].values():
        if step["windows"].get("api"):
            step["windows"] = copy.deepcopy(step["windows"])
            step["windows"]["api"]["cp1"] = {"seconds": 60.0, "start": {"first": 1, "last": 2}, "requests": {}}
            break


def slow_generator(run):
    """It sent everything, but with no processor to spare."""
    step = run["steps"]["objects-1-10"]
    step["cpu_seconds"] = 2 * step["took"]


def unknown_generator(run):
    del run["steps"]["objects-1-10"]["cpu_seconds"]


def no_window(run):
    for step in run["steps"].values():
        step["windows"] = {}


def one_server_under_two_names(run):
    run["info"]["instances"]["again"] = run["info"]["instances"]["cp1"]
    for step in run["steps"].values():
        if step["windows"].get("api"):
            one = dict(step["windows"]["api"]["cp1"], start={"first": 5.25, "last": 5.25})
            step["windows"] = dict(step["windows"], api={"cp1": one, "again": one})


def a_step_is_missing(run):
    del run["steps"]["pods"]


DAMAGES = [lost_instance, restarted, slow_generator, unknown_generator, no_window, one_server_under_two_names, a_step_is_missing]


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_the_servers_measured_is_not_known(damage):
    run = measured()
    damage(run)
    facts = facts_of(run)
    assert not {"mutating", "read", "list", "felt", "errors"} & set(facts)
    assert judged(facts)["apiserver_errors"]["result"] == "INCONCLUSIVE"


def test_a_scheduler_that_was_not_read():
    run = measured()
    run["steps"]["pods"]["windows"]["scheduler"] = {}
    assert judged(facts_of(run))["apiserver_pods_pending"]["result"] == "INCONCLUSIVE"


def density(**facts):
    run = measured()
    run["plan"]["steps"].append({"name": "density", "kind": "density", "rate": 2, "seconds": 0, "window": True})
    pods = {"expected": 105, "started": 105, "failed": 0, "generator_limited": False, **facts}
    windows = {"api": run["steps"]["pods"]["windows"]["api"], "kubelet": {"worker1": recorded("kubelet", "kubelet")}}
    run["steps"]["density"] = {"took": 60, "facts": pods, "windows": windows}
    return judged(facts_of(run), "load")


def test_a_node_that_was_filled_is_judged():
    assert density()["apiserver_density_pleg_p99"]["value"] is not None and density()["apiserver_density_failed"]["result"] == "PASS"


@pytest.mark.parametrize("facts", [{"started": 0, "failed": 105}, {"generator_limited": True}, {"generator_limited": None}, {"expected": 0, "started": 0}])
def test_a_node_that_was_not_filled_proves_nothing(facts):
    found = density(**facts)
    assert {found[f"apiserver_density_{name}"]["result"] for name in ("pleg_p99", "worker_p99", "runtime_p99")} == {"INCONCLUSIVE"}


@pytest.mark.parametrize(
    ("queues", "pending"),
    [
        ({"active": {"first": 0, "last": 2}}, 2),
        ({"backoff": {"first": 0, "last": 1}}, 1),
        ({"unschedulable": {"first": 3, "last": 5}}, 2),
        ({"unschedulable": {"first": 3, "last": 1}}, 0),
        ({"unschedulable": {"last": 1}}, None),
        ({"active": {}}, None),
    ],
)
def test_pods_in_the_schedulers_queues(queues, pending):
    run = measured()
    run["steps"]["pods"]["windows"]["scheduler"] = {"cp1": dict(SCHEDULER, pending={**SCHEDULER["pending"], **queues})}
    assert facts_of(run)["scheduler"].get("pending") == pending


def stressed(*slow):
    """Return what a good stress run measured, with calls of more than a second in the steps named."""
    run = measured("stress")
    for name, step in run["steps"].items():
        api = copy.deepcopy(recorded("api", "apiserver"))
        fast = 0.5 if name in slow else 1.0
        groups = ("GET configmaps  resource", "PUT configmaps  resource", "LIST configmaps  namespace")
        api["sli"] = {group: {"count": 400, "below": {"1.0": fast, "2.0": 1.0}} for group in groups}
        api["requests"] = {"GET 200": {"increase": 30000}}
        step["windows"] = {"api": {"cp1": api}}
    return run


@pytest.mark.parametrize(
    ("damage", "headroom"),
    [
        (lambda steps: None, [2.0, None]),
        (lambda steps: steps["ramp-175"]["facts"].update(rate=1), 1.5),
        (lambda steps: steps["ramp-100"]["facts"].update(rate=1), 0.0),
        (lambda steps: steps["ramp-175"]["facts"].update(error_ratio=0.02), 1.5),
        (lambda steps: steps["ramp-175"].pop("cpu_seconds"), [1.5, None]),
        (lambda steps: steps["ramp-125"].update(windows={}), [1.0, None]),
        (lambda steps: steps["ramp-125"].update(cpu_seconds=10**6), [1.0, None]),
    ],
)
def test_headroom_is_the_highest_rate_that_was_carried(damage, headroom):
    run = stressed()
    damage(run["steps"])
    found = facts_of(run)["stress"]["headroom"]["ratio"]
    assert isinstance(found, list) is isinstance(headroom, list) and (found[0] if isinstance(found, list) else found) == pytest.approx(
        headroom[0] if isinstance(headroom, list) else headroom, abs=0.01
    )


@pytest.mark.parametrize(
    ("codes", "ratio", "said"),
    [
        ([99], 0.4, "Share of errors, and k6 stopped: 40 %, critical <= 10 %"),
        ([0, 0, 99], 0.0003, "Share of errors, and k6 stopped (1 of 3 generators): > 10 %, critical <= 10 %"),
    ],
)
@pytest.mark.parametrize("more", [{}, {"windows": {}}, {"cpu_seconds": 10**6}])
def test_a_step_that_was_stopped_for_its_errors_is_broken_whatever_other_generators_measured(codes, ratio, said, more):
    run = stressed()
    run["steps"]["ramp-175"].update(codes=codes, **more)
    run["steps"]["ramp-175"]["facts"].update(error_ratio=ratio)
    found = facts_of(run)["stress"]
    assert found["headroom"]["ratio"] == pytest.approx(1.5, abs=0.01)
    assert [step["broke_by"] for step in found["steps"] if step["name"] == "ramp-175"] == [said]


@pytest.mark.parametrize(("codes", "ratio", "value"), [([0, 99], 0.0003, [0.1, None]), ([99], 0.3, 0.3), ([99], 0.0, [0.1, None])])
def test_a_load_that_was_stopped_for_its_errors_fails_by_them_and_has_no_latencies(codes, ratio, value):
    run = measured()
    run["steps"]["objects-1-10"].update(codes=codes)
    run["steps"]["objects-1-10"]["facts"].update(error_ratio=ratio)
    facts = facts_of(run)
    found = judged(facts)
    assert facts["errors"]["ratio"] == value and not {"mutating", "read", "list", "felt"} & set(facts)
    assert found["apiserver_errors"]["result"] == "FAIL" and found["apiserver_errors"]["value"] == value


def test_a_step_that_is_too_short_for_a_sort_of_calls_says_so():
    run = stressed()
    sli = run["steps"]["ramp-125"]["windows"]["api"]["cp1"]["sli"]
    sli.update({f"{name}  resource": {"count": 298, "below": {"1.0": 1.0, "2.0": 1.0}} for name in ("POST secrets", "PUT leases", "PUT nodes")})
    found = facts_of(run)["stress"]
    assert [step.get("short") for step in found["steps"]] == [None, ["POST secrets"], None, None, None, None]
    assert "Too short for a percentile of POST secrets: ramp-125." in found["said"] and found["headroom"]["ratio"] == [2.0, None]


def test_headroom_ends_where_calls_are_slow():
    found = facts_of(stressed("ramp-150"))["stress"]
    assert found["headroom"]["share"] == 1.25 and found["broke"]["id"] == "apiserver_mutating_latency_p99" and found["recovery"]["seconds"] == 3.0


def test_a_load_that_was_refused_has_no_latencies():
    run = measured()
    run["steps"]["objects-1-10"]["facts"].update(error_ratio=0.7, errors={"other": 2000})
    facts = facts_of(run)
    found = judged(facts)
    assert facts["errors"]["ratio"] == 0.7 and not {"mutating", "read", "list", "felt"} & set(facts)
    assert found["apiserver_refused"]["result"] == "FAIL" and found["apiserver_latency_p95"]["result"] == "INCONCLUSIVE"


def test_a_restart_is_counted():
    run = measured()
    restarted(run)
    facts = facts_of(run)
    assert facts["restarts"] == 1 and judged(facts)["apiserver_restarts"]["result"] == "FAIL"


def test_a_slow_generator_is_not_the_servers_fault():
    run = measured()
    slow_generator(run)
    facts = facts_of(run)
    assert facts["generator"] == {"busy": 1.0, "limited": True} and "clients" not in facts
    assert judged(facts)["apiserver_generator"]["result"] == "INCONCLUSIVE"


def test_an_idle_generator_that_could_not_send_is():
    run = measured()
    run["steps"]["objects-1-10"]["facts"].update(started=1000, dropped=2250)
    facts = facts_of(run)
    assert facts["generator"]["limited"] is False and judged(facts)["apiserver_generator"]["result"] == "FAIL"


@pytest.mark.parametrize(
    ("change", "check", "result"),
    [
        (lambda run: run["info"]["instances"]["cp1"].update(answers=False), "apiserver_instances", "FAIL"),
        (lambda run: run.update(hosts=["cp1", "cp2"]), "apiserver_instances_missing", "FAIL"),
        (lambda run: run["info"]["nodes"].update(ready=2), "apiserver_nodes_ready", "FAIL"),
        (lambda run: run["info"]["pods"].update(free=20), "apiserver_pod_room", "FAIL"),
        (lambda run: run["info"]["pods"].update(free=None), "apiserver_pod_room", "INCONCLUSIVE"),
        (lambda run: run["info"].update(unavailable_apis=["v1.a"]), "apiserver_apis_available", "FAIL"),
        (lambda run: run["info"].update(leftovers=1), "apiserver_leftovers", "FAIL"),
        (lambda run: run["info"].update(terminating={"a": 301, "b": 10}), "apiserver_namespaces_stuck", "CONDITIONAL"),
        (lambda run: run["info"].update(terminating={"b": 10}), "apiserver_namespaces_stuck", "PASS"),
        (lambda run: run["identity"].update(exempt=True), "apiserver_identity", "FAIL"),
        (lambda run: run["steps"]["pods"]["facts"].update(failed=2), "apiserver_pods_failed", "FAIL"),
        (lambda run: run.update(after=dict(run["after"], instances={"cp1": {"answers": False}})), "apiserver_instances_lost", "FAIL"),
        (lambda run: run.update(after=dict(run["after"], instances={})), "apiserver_instances_lost", "FAIL"),
        (lambda run: run["streams"].update(exec={"works": False}), "apiserver_exec", "FAIL"),
        (lambda run: run["streams"].update(resize={"supported": False}), "apiserver_resize", "NOT_APPLICABLE"),
        (lambda run: run["clean"].update(left=1), "apiserver_left", "FAIL"),
        (lambda run: run.pop("clean"), "apiserver_left", "INCONCLUSIVE"),
        (lambda run: run.pop("after"), "apiserver_nodes_lost", "INCONCLUSIVE"),
    ],
)
def test_what_is_bad_is_found(change, check, result):
    run = copy.deepcopy(measured())
    assert judged(facts_of(run))[check]["result"] == "PASS"
    change(run)
    assert judged(facts_of(run))[check]["result"] == result


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_is_removed_never_improves_a_verdict(data):
    """Any part of what was measured is taken away: no judged finding gets better."""
    rank = {result: number for number, result in enumerate(checks.RESULTS)}
    run = copy.deepcopy(measured())
    before = judged(facts_of(run))
    node = run
    path = []
    while isinstance(node, dict) and node:
        key = data.draw(st.sampled_from([one for one in node if path or one != "plan"]))
        path.append(key)
        if not isinstance(node[key], dict) or data.draw(st.booleans()):
            del node[key]
            break
        node = node[key]
    after = judged(facts_of(run))
    better = {name for name in before if before[name]["judged"] and rank[after[name]["result"]] > rank[before[name]["result"]]}
    assert better == set(), path
