# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import functools
import json
import pathlib
import re

import pytest
import yaml
from ansible_collections.kubeproof.certify.plugins.module_utils import (
    apiserver_plan,
    bounds,
    dns_plan,
    etcd_plan,
    ingress_plan,
    network_plan,
    storage_plan,
    stress,
    stress_health,
    stress_plan,
)
from ansible_collections.kubeproof.certify.tests.unit.plugins import stress_fake
from ansible_collections.kubeproof.certify.tests.unit.plugins.stress_fake import COREDNS, HEALTH
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

COMMON = {"scope": "cluster", "profiles": ["load"], "fix": "Do something about it.", "reference": "https://example.com/"}
ROLES = pathlib.Path(__file__).parents[4] / "roles"
PLANS = {"apiserver": apiserver_plan, "dns": dns_plan, "etcd": etcd_plan, "ingress": ingress_plan, "network": network_plan, "storage": storage_plan}
# What the inventory and the cluster say.
GIVEN = {
    **{"nodes": 3, "capacity": {"ingress_rps": 1000}, "live": False, "engines": ["k6"], "engine": "auto", "found": False, "tier": "small"},
    **{"default_class": "", "storage_classes": [{"name": "fast", "tier": "ssd", "required_iops": 1000, "size": "30Gi"}]},
}
CHECKS = {
    "some_errors": {**COMMON, "title": "Requests that failed", "query": "errors", "unit": "ratio", "critical": "< 0.01"},
    "some_p99": {
        **{**COMMON, "title": "Latency, P99", "query": "p99", "each": "series", "samples": "count", "min_samples": 299, "unit": "s"},
        **{"target": "< 0.02", "critical": "< 0.05"},
    },
    "some_recovered": {**COMMON, "title": "Within critical", "query": "x", "unit": "s", "target": "<= 300", "critical": "<= 900"},
}
POD = "kube-system/coredns-a"


def planned(bisect=False, seconds=50):
    settings = {"stress": {"shares": [1.0, 1.25, 1.5], "bisect": bisect}}
    steps, spare = stress_plan.ramp(lambda share, length: {"rate": round(1000 * share), "seconds": length}, seconds, settings)
    return {"steps": steps, "spare": spare, "stress": stress_plan.about(settings, 1000)}


def view(step, errors=0.0, p99=0.01, count=1000, **more):
    document = {"errors": errors, "series": {"a": {"p99": p99, "count": count}, "rare": {"p99": 9.0, "count": 3}}}
    found = {"offered": step["rate"], "achieved": step["rate"], "seconds": 60, "p99": p99, "errors": errors, "limited": "", "document": document}
    return {**found, "wanted": ("some_errors", "some_p99"), **more}


def measured(views=None, names=None, settings=None, plan=None, **runs):
    """Return the facts of a run in which all was well, but for what `views` {step: changes} and `runs` say."""
    plan = plan or planned()
    known = stress_fake.known(CHECKS, plan, names, settings, **runs)
    made = {step["name"]: view(step, **((views or {}).get(step["name"]) or {})) for step in stress_plan.planned(plan, [run["name"] for run in known["runs"]])}
    found = stress.facts("some", plan, {name: one for name, one in made.items() if (views or {}).get(name, 1) is not None}, known)
    json.dumps(found, allow_nan=False)
    return found


@functools.lru_cache
def load(layer, name):
    return yaml.safe_load((ROLES / layer / f"defaults/main/{name}.yml").read_text(encoding="utf-8"))


def layer_plan(layer, **more):
    defaults = load(layer, "settings")
    return PLANS[layer].plan("stress", {**defaults, **GIVEN, **({"engine": "fio"} if layer == "storage" else {}), **more})


@pytest.mark.parametrize("layer", PLANS)
def test_each_layer_takes_ten_to_thirty_minutes(layer):
    assert 600 <= layer_plan(layer)["seconds"] <= 1800


@pytest.mark.parametrize("layer", PLANS)
@pytest.mark.parametrize("scale", [1, 0.03])
def test_a_step_has_the_samples_that_its_checks_ask(layer, scale):
    """Also where time is short, but for the storage, whose P99 has too many."""
    checks = load(layer, "checks")[f"{layer}_checks"]
    source = (ROLES.parent / f"plugins/module_utils/{layer}_facts.py").read_text(encoding="utf-8")
    wanted = {name for name in checks if f'"{name}"' in source and "samples" in checks[name] and "each" not in checks[name]}
    found = layer_plan(layer, time_scale=scale)
    steps = [step for step in found["steps"] if step.get("phase", "probe") != "probe" and "rates" not in step]
    assert steps or layer in ("storage", "network")
    assert all(step["rate"] * step["seconds"] >= bounds.of_tier(checks[name]["min_samples"], GIVEN["tier"]) for step in steps for name in wanted)


def test_each_sort_of_a_whole_load_on_the_api_has_its_percentile():
    """What does least of it is a POST of one of three kinds."""
    mix = json.loads(re.search(r"setting\('MIX', '(.*)'\)", (ROLES / "apiserver/files/k6/objects.js").read_text(encoding="utf-8"))[1])
    assert (mix["PATCH"] / sum(mix.values()) / 3, mix["CHURN"] / 2 / sum(mix.values()) / 3) == (apiserver_plan.PATCHED, apiserver_plan.POSTED)
    loaded = [step for step in layer_plan("apiserver")["steps"] if step.get("phase") == "ramp"]
    assert len(loaded) == 5 and all(step["rate"] * step["seconds"] * apiserver_plan.POSTED >= 299 for step in loaded)
    assert [step["whole"] for step in layer_plan("apiserver")["steps"] if step.get("phase") == "probe"] == [step["name"] for step in loaded]


def test_nothing_broke():
    found = measured()
    assert found["headroom"] == {"ratio": [1.5, None], "rate": 1500, "share": 1.5} and "broke" not in found and found["most"] == 1500
    assert found["said"] == "Held 150 % (1,500/s) of what is expected; nothing broke, so it may carry more."


def test_a_ramp_that_begins_above_what_is_expected_says_so():
    """Where so little is expected that its steps would have too few requests, they offer more."""
    plan = planned()
    plan["stress"] = stress_plan.about({}, 400)
    found = measured(plan=plan)
    assert found["headroom"]["ratio"] == [3.75, None] and found["said"].startswith("Held 375 % (1,500/s) of what is expected")
    assert found["recovery"] == {"seconds": 3.0, "attempts": 1} and found["missing"] == {} and found["next"] is None
    assert [step["held"] for step in found["steps"]] == [True] * 4


@pytest.mark.parametrize(
    ("changes", "broke", "said"),
    [
        ({"p99": 0.12}, "some_p99", "Latency, P99 (a): 120 ms, critical < 50 ms"),
        ({"p99": [0.06, None]}, "some_p99", "Latency, P99 (a): > 60 ms, critical < 50 ms"),
        ({"errors": 0.02}, "some_errors", "Requests that failed: 2 %, critical < 1 %"),
        ({"achieved": 1237}, None, "Achieved of offered: 99 %, critical >= 99 %"),
        ({"achieved": 1000}, None, "Achieved of offered: 80 %, critical >= 99 %"),
        # Without a check that bounds errors the rule for aborts holds.
        ({"errors": 0.2, "wanted": ("some_p99",)}, None, "Share of errors: 20 %, critical <= 10 %"),
    ],
)
def test_what_broke_a_step_is_named(changes, broke, said):
    found = measured({"ramp-125": changes}, ["ramp-100", "ramp-125", "recovery-1"])
    assert found["headroom"] == {"ratio": 1.0, "rate": 1000, "share": 1.0} and found["broke"].get("id") == broke
    assert (found["broke"]["share"], found["broke"]["rate"]) == (1.25, 1250)
    if changes.get("achieved") != 1237:
        assert said in found["said"] and found["said"].startswith("Held 100 % (1,000/s) of what is expected; broke at 125 % (1,250/s): ")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"p99": [0.02, 0.06]}, "Undecided"),
        ({"p99": None}, "Not measured"),
        ({"limited": "the generator was too slow"}, "the generator was too slow"),
        ({"achieved": None}, "the rate that was achieved is not known"),
        ({"wanted": ("some_other",)}, "there is no check some_other"),
        (None, "the step was not measured"),
    ],
)
def test_what_is_not_known_is_a_lower_bound(changes, why):
    found = measured({"ramp-125": changes}, ["ramp-100", "ramp-125", "recovery-1"])
    assert found["headroom"]["ratio"] == [1.0, None] and why in found["said"] and "broke" not in found
    found = measured({"ramp-100": changes}, ["ramp-100", "recovery-1"])
    assert "headroom" not in found and why in found["missing"]["headroom"] and found["said"].startswith("The breaking point is not known")


def test_between_what_is_not_known_and_what_broke_there_is_an_interval():
    found = measured({"ramp-125": {"p99": None}, "ramp-150": {"p99": 0.2}})
    assert found["headroom"]["ratio"] == [1.0, 1.5]


def test_the_users_bounds_hold_and_a_waiver_makes_no_rate_held():
    slow = {"ramp-125": {"p99": 0.06}}
    assert measured(slow, settings={"thresholds": {"some_p99": {"critical": "< 0.1", "reason": "slow disks"}}})["headroom"]["ratio"] == [1.5, None]
    waived = {"waivers": {"some_p99": {"reason": "known", "owner": "me", "expires": "2027-01-01"}}}
    assert measured(slow, settings=waived)["headroom"]["ratio"] == 1.0


@pytest.mark.parametrize(
    ("health", "said"),
    [
        ({**HEALTH, "nodes": {**HEALTH["nodes"], "not_ready": ["worker1"]}}, "worker1 is not ready"),
        ({**HEALTH, "pods": {POD: {**COREDNS, "restarts": 2, "reason": "OOMKilled"}}}, f"{POD} restarted (OOMKilled)"),
    ],
)
def test_what_restarts_or_is_lost_breaks_a_step(health, said):
    names = ["ramp-100", "ramp-125", "recovery-1"]
    found = measured(ramp_125={"health": health}, recovery_1={"health": health}, names=names)
    assert found["headroom"]["ratio"] == 1.0 and found["said"].endswith(f"broke at 125 % (1,250/s): {said}.")
    # What restarted runs again, and a node that is lost is not back.
    assert isinstance(found["recovery"]["seconds"], list) is ("ready" in said)


def test_a_rollout_breaks_no_step_and_is_named():
    after = {**HEALTH, "pods": {"kube-system/coredns-b": {**COREDNS, "uid": "2", "restarts": 0}}}
    found = measured(ramp_125={"health": after}, ramp_150={"health": after}, recovery_1={"health": after})
    assert found["headroom"]["ratio"] == [1.5, None] and found["said"].endswith(" Pods were replaced by others: Deployment kube-system/coredns (ramp-125).")


def test_no_load_begins_on_a_cluster_that_nobody_sees():
    found = stress.facts("some", planned(), {}, {**stress_fake.known(CHECKS, planned(), []), "health": {"nodes": {"names": []}, "pods": {}}})
    assert found["next"] is None and found["missing"]["headroom"] == "No load may begin: the health could not be read: no node is seen."


@pytest.mark.parametrize("run", [{"health": {"error": "the server does not answer"}}, {"health": {}}, {"error": "k6 failed"}])
def test_without_a_look_nothing_is_held(run):
    assert measured(ramp_125=run)["headroom"]["ratio"] == [1.0, None]


def test_a_step_that_was_stopped_is_broken():
    found = measured(ramp_125={"aborted": True, "error": "benchmark was aborted: the leader changed"}, names=["ramp-100", "ramp-125"])
    assert "the leader changed" in found["said"] and found["headroom"]["ratio"] == 1.0 and found["next"]["name"] == "recovery-1"


@pytest.mark.parametrize(
    ("changes", "run", "said"),
    [
        ({"errors": 0.4}, {}, "Share of errors in the first 15 s: 40 %, critical <= 10 %"),
        ({}, {"health": {**HEALTH, "nodes": {**HEALTH["nodes"], "not_ready": ["worker1"]}}}, "worker1 is not ready"),
        ({}, {"aborted": True, "error": "the leader changed"}, "The step was stopped: the leader changed"),
    ],
)
def test_a_probe_that_shows_too_much_ends_the_ramp_before_its_step(changes, run, said):
    names = ["probe-100", "ramp-100", "probe-125", "recovery-1"]
    found = measured({"probe-125": changes}, names, plan=planned(seconds=60), probe_125=run)
    assert found["headroom"]["ratio"] == 1.0 and found["broke"]["rate"] == 1250 and found["said"].endswith(f"broke at 125 % (1,250/s): {said}.")
    assert [(step["name"], step["phase"], step["held"]) for step in found["steps"][:2]] == [("ramp-100", "ramp", True), ("ramp-125", "ramp", False)]


@pytest.mark.parametrize("changes", [{"errors": 0.1}, {"errors": None}, {"p99": 9.0}, {"achieved": 1}, {"limited": "slow"}])
def test_a_probe_says_nothing_but_that(changes):
    """It is too short for a percentile, and for a rate."""
    found = measured({"probe-125": changes}, ["probe-100", "ramp-100", "probe-125"], plan=planned(seconds=60))
    assert found["next"]["name"] == "ramp-125" and [step["name"] for step in found["steps"]] == ["ramp-100"] and found["most"] == 1000


@pytest.mark.parametrize("changes", [None, {"error": "k6 failed"}])
def test_a_probe_that_did_not_run_ends_the_ramp_as_its_step_would(changes):
    views = {"probe-125": None} if changes is None else {}
    found = measured(views, ["probe-100", "ramp-100", "probe-125"], plan=planned(seconds=60), probe_125=changes or {})
    assert found["headroom"]["ratio"] == [1.0, None] and "broke" not in found and found["next"]["name"] == "recovery-1"


def endpoints(**changes):
    member = {"raft_term": 4, "db_size": 100, "errors": []}
    return {"etcd": {"endpoints": {"a": {**member, **changes}, "b": dict(member)}, "quota": 1000}}


@pytest.mark.parametrize(
    ("after", "said", "stops"),
    [
        (endpoints(), "", False),
        (endpoints(raft_term=5), "etcd elected a leader", False),
        (endpoints(db_size=810), "etcd has filled 81% of its quota", True),
        (endpoints(db_size=810, db_quota=10000), "", False),
        (endpoints(errors=["NOSPACE"]), "etcd reports NOSPACE", True),
        ({"etcd": {"endpoints": {"a": endpoints()["etcd"]["endpoints"]["a"]}, "quota": 1000}}, "1 of 2 members of etcd do not answer", False),
    ],
)
def test_etcd_is_not_written_to_when_it_is_full(after, said, stops):
    found, stop = stress_health.worsened(endpoints(), endpoints(), after)
    assert found == said and bool(stop) is stops
    facts = measured(ramp_125={"health": {**HEALTH, **after}}, names=["ramp-100", "ramp-125"])
    # The look before had no etcd, so that of a second one only what is full is known.
    assert (facts["next"] is None) is stops


def before(look, names=(), written=0, **runs):
    """Return the facts of a run that found etcd so before its ramp, each step of which writes so much."""
    plan = planned(seconds=60)
    plan["steps"] = [{**step, "bytes": written} for step in plan["steps"]]
    known = stress_fake.known(CHECKS, plan, list(names), **runs)
    views = {step["name"]: view(step) for step in stress_plan.planned(plan, list(names))}
    for run in known["runs"]:
        run["health"] = {**HEALTH, **look, **runs.get(run["name"].replace("-", "_"), {}).get("health", {})}
    return stress.facts("some", plan, views, {**known, "health": {**known["health"], **look}})


@pytest.mark.parametrize(
    ("look", "written", "why"),
    [
        (endpoints(errors=["alarm:NOSPACE"]), 0, "etcd reports alarm:NOSPACE"),
        (endpoints(db_size=990), 0, "etcd has filled 99% of its quota"),
        # A probe and its step: 100 + 2 * 400 of 1,000.
        (endpoints(), 400, "etcd would have filled 90% of its quota after the next step, which writes up to 800 B"),
        # What is free within the file is filled first.
        (endpoints(db_size=700, db_size_in_use=350), 200, ""),
        (endpoints(db_size=700, db_size_in_use=450), 200, "etcd would have filled 85% of its quota"),
        (endpoints(), 300, ""),
        (endpoints(db_size=None), 1, "it is not known how full etcd is"),
        (endpoints(db_size=None), 0, ""),
        # Nobody named a member of etcd: the plan says that it is not watched.
        ({}, 10**9, ""),
        ({"error": "etcd on etcd1 could not be asked: no route"}, 1, "the health could not be read: etcd on etcd1 could not be asked: no route"),
    ],
)
def test_no_load_begins_where_etcd_has_no_room_for_it(look, written, why):
    found = before(look, written=written)
    assert (found["next"] is None) is bool(why) and found["missing"]["headroom"].startswith(f"No load may begin: {why}" if why else "No step"), found
    assert why in found["missing"]["recovery"] and why in found["said"]


def test_an_etcd_that_nobody_watches_is_said():
    names = ["probe-100", "ramp-100"]
    assert before({}, names, 1)["said"].endswith("so it may carry more. etcd was not watched: the inventory names no host of it.")
    assert "not watched" not in before(endpoints(), names, 1)["said"] + before({}, names, 0)["said"]


def test_a_bound_that_the_owner_takes_away_breaks_no_step():
    slow = {"ramp-125": {"p99": 9.0}, "ramp-150": {"p99": 9.0, "achieved": 1000}}
    found = measured(slow, settings={"not_applicable": {"some_p99": "Disks that are throttled."}})
    assert found["headroom"]["ratio"] == 1.25 and found["broke"]["title"] == "Achieved of offered"


def test_the_ramp_ends_before_a_step_for_which_etcd_has_no_room():
    names = ["probe-100", "ramp-100"]
    found = before(endpoints(), names, 200, ramp_100={"health": endpoints(db_size=600)})
    assert found["next"] is None and found["headroom"]["ratio"] == [1.0, None]
    assert found["said"].endswith("nothing broke, and it was not loaded more: etcd would have filled 100% of its quota after the next step, "
                                  "which writes up to 400 B.")  # fmt: skip
    assert found["missing"]["recovery"].startswith("No load may follow: etcd would have filled")
    # The last look that could be had says so, too; and with room it goes on.
    assert before(endpoints(), names, 200, ramp_100={"health": endpoints(db_size=350)})["next"]["name"] == "probe-125"


def test_recovery_is_the_time_until_a_step_that_was_good_began():
    names = ["ramp-100", "ramp-125", "recovery-1", "recovery-2"]
    found = measured({"ramp-125": {"p99": 1.0}, "recovery-1": {"p99": 0.2}}, names)
    assert found["recovery"] == {"seconds": 66.0, "attempts": 2}
    assert found["hysteresis"] == ["70 % was not held after 100 % had been: Latency, P99 (a): 200 ms, critical < 50 ms."]
    found = measured({"ramp-125": {"p99": 1.0}, "recovery-1": {"p99": 0.2}, "recovery-2": {"p99": 0.2}}, names)
    assert found["recovery"]["seconds"] == [126.0, None] and found["next"]["name"] == "recovery-3"


def test_what_was_too_short_is_said():
    found = measured({"ramp-100": {"short": ["PUT a", "POST a"]}, "ramp-125": {"short": ["POST a"]}})
    assert found["said"].endswith("it may carry more. Too short for a percentile of POST a, PUT a: ramp-100, ramp-125.")
    assert [step.get("short") for step in found["steps"]] == [["PUT a", "POST a"], ["POST a"], None, None]


def test_recovery_has_the_time_that_the_run_gives_it():
    late = {f"recovery_{number}": {"began": 10000.0 * number, "ended": 10000.0 * number + 1} for number in (1, 2)}
    views = {"ramp-125": {"p99": 1.0}, "recovery-1": {"p99": 0.2}, "recovery-2": {"p99": 0.2}}
    names = ["ramp-100", "ramp-125", "recovery-1", "recovery-2"]
    more = {"thresholds": {"some_recovered": {"critical": "<= 100000", "reason": "A cold standby."}}}
    assert measured(views, names, **late)["next"] is None and measured(views, names, settings=more, **late)["next"]["name"] == "recovery-3"


def test_recovery_is_not_tried_again_where_it_cannot_be_seen():
    """The layer's series has too few samples at that rate, and would have as few the next time."""
    few = {"document": {"errors": 0.0, "series": {"a": {"p99": 0.01, "count": 298}}}}
    found = measured({"recovery-1": few})
    assert found["next"] is None and "recovery" not in found
    assert found["missing"]["recovery"] == "The rate of recovery is not known: Latency, P99: Too few samples: 298 of at least 299."
    assert measured({"recovery-1": {"p99": None}})["next"]["name"] == "recovery-2"


def test_without_a_run_it_is_said_what_comes_first():
    found = stress.facts("some", planned(), {}, {})
    assert found["next"]["name"] == "ramp-100" and set(found["missing"]) == {"headroom", "recovery"} and found["steps"] == []
    document = {"missing": {"other": "why"}}
    stress.add(document, "some", planned(), {}, None)
    assert set(document["missing"]) == {"other", "stress.headroom", "stress.recovery"}


def test_bisection_is_in_the_facts():
    plan = planned(bisect=True)
    names = ["ramp-100", "ramp-125", "recovery-1", "bisect-112", "bisect-119", "again-112"]
    slow = {"ramp-125": {"p99": 1.0}, "bisect-119": {"p99": 0.1}}
    found = measured(slow, names, plan=plan)
    assert found["headroom"]["share"] == 1.125 and [step["phase"] for step in found["steps"]][-2:] == ["bisect", "again"] and found["next"] is None
    found = measured({**slow, "again-112": {"p99": 1.0}}, names, plan=plan)
    assert found["headroom"]["share"] == 1.0 and "was not held after 112.5 %" in found["hysteresis"][0]


@hypothesis_settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["ramp-100", "ramp-125", "ramp-150", "recovery-1"]), st.sampled_from([
    {"p99": 0.2}, {"p99": None}, {"errors": 1.0}, {"errors": None}, {"achieved": None}, {"achieved": 0}, {"limited": "slow"}, None,
])))  # fmt: skip
def test_damage_never_improves(damage):
    found, good = measured(damage), measured()
    ratio = found.get("headroom", {}).get("ratio", [0, None])
    assert (ratio if isinstance(ratio, float) else ratio[0]) <= good["headroom"]["ratio"][0]
    seconds = found["recovery"]["seconds"]
    assert (seconds if isinstance(seconds, float) else seconds[0]) >= good["recovery"]["seconds"]
