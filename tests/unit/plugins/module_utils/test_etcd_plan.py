# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import json
import pathlib

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_plan
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_keyspace import benchmark_keys
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_plan import PlanError, plan

ROOT = pathlib.Path(__file__).parents[4]
DEFAULTS = yaml.safe_load((ROOT / "roles" / "etcd" / "defaults" / "main" / "settings.yml").read_text(encoding="utf-8"))
SETTINGS = {**DEFAULTS, "capacity": {}, "nodes": 0}
PROFILES = sorted(SETTINGS["etcd_load"])


def changed(path, value):
    """Return the role's defaults with one value changed; the path's keys are separated by blanks."""
    found = copy.deepcopy(SETTINGS)
    *above, last = path.split()
    part = found
    for key in above:
        part = part[key]
    part[last] = value
    return found


@pytest.mark.parametrize("profile", PROFILES)
def test_defaults(profile):
    found = plan(profile, SETTINGS)
    steps = found["steps"]
    assert len({step["name"] for step in steps}) == len(steps)
    assert all(step["seconds"] > 0 and step["rate"] >= 1 and step["timeout"] > step["seconds"] for step in steps)
    assert found["seconds"] == sum(step["seconds"] for step in steps)
    assert found["bytes"] == sum(step.get("bytes", 0) for step in steps) >= found["growth"] > 0
    assert all(isinstance(argument, str) for step in steps for argument in step["arguments"])
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_smoke_in_full():
    found = plan("smoke", dict(SETTINGS, capacity={"etcd_put_rate": 100}))
    assert [(step["name"], step["tool"], step["rate"], step["seconds"]) for step in found["steps"]] == [
        ("write", "benchmark", 110, 15),
        ("write_all", "benchmark", 110, 12),
        ("read", "benchmark", 220, 10),
        ("read_serializable", "benchmark", 220, 5),
        ("watch", "benchmark", 100, 5),
        ("check_perf", "etcdctl", 150, 60),
    ]
    put = ["put", "--sequential-keys", "--total=1650", "--rate=110", "--key-size=256", "--val-size=1024", "--key-space-size=1000", "--clients=100"]
    assert found["steps"][0]["arguments"] == put
    assert "--clients=100" in found["steps"][4]["arguments"] and "--put-total=600" in found["steps"][4]["arguments"]
    # The role knows how this benchmark is told to write through the leader.
    assert [step.get("leader", False) for step in found["steps"]] == [True, False, False, False, False, False]
    assert found["steps"][2]["arguments"] == ["range", "0", "1", "--consistency=l", "--total=2200", "--rate=220", "--clients=100"]
    assert found["steps"][5]["arguments"] == ["check", "perf", "--load=s", f"--prefix={found['prefix']}"]
    assert found["puts"] == [{"key_size": 256, "key_space_size": 1000, "total": 1650}]
    assert (found["declared"], found["rate"], found["fsync"]) == (100, 110, 8388608)


@pytest.mark.parametrize(("step", "least"), [("write", 1000), ("write_all", 1000), ("read", 1000), ("read_serializable", 299), ("watch", 299)])
def test_smoke_is_long_enough_for_its_samples(step, least):
    found = {one["name"]: one for one in plan("smoke", SETTINGS)["steps"]}[step]
    assert found["rate"] * found["seconds"] >= least


def test_load_warms_up_and_the_last_write_counts():
    found = plan("load", dict(SETTINGS, capacity={"etcd_put_rate": 200}))
    assert [(step["name"], step["rate"], step["seconds"], step["leader"]) for step in found["steps"][:3]] == [
        ("write_1_70", 154, 300, True),
        ("write_2_85", 187, 300, True),
        ("write", 220, 900, True),
    ]
    assert found["puts"] == [{"key_size": 256, "key_space_size": 1000, "total": 220 * 900}]


@pytest.mark.parametrize(
    ("nodes", "capacity", "value", "source"),
    [
        (0, {}, 100, "neither it nor the number of nodes is known"),
        (3, {}, 100, "the API with 3 nodes writes less, 30/s"),
        (100, {}, 160.3, "the writes of the API with 100 nodes"),
        (3, {"nodes": 5000}, 816.7, "the writes of the API with 5000 nodes"),
        (3, {"pod_churn": 20}, 300.3, "the writes of the API with 3 nodes"),
        (5000, {"etcd_put_rate": 300}, 300, "declared"),
    ],
)
def test_the_expected_rate_has_its_source(nodes, capacity, value, source):
    found = plan("load", dict(SETTINGS, nodes=nodes, capacity=capacity))
    assert found["declared"] == pytest.approx(value, abs=0.1)
    assert [one["name"] for one in found["inputs"]] == ["etcd_put_rate"] and source in found["inputs"][0]["source"]


def test_the_database_is_predicted_with_bisection():
    once, more = (plan("stress", dict(SETTINGS, stress={"shares": [1, 2], "bisect": bisect})) for bisect in (False, True))
    assert more["bytes"] > once["bytes"] and more["puts"] == once["puts"] and all(step["timeout"] for step in more["spare"])


def test_stress_steps_and_recovery():
    found = plan("stress", dict(SETTINGS, capacity={"etcd_put_rate": 200}))
    names = [(step["name"], step["rate"]) for step in found["steps"] if step["phase"] != "probe"]
    assert names == [("ramp-100", 200), ("ramp-125", 250), ("ramp-150", 300), ("ramp-175", 350), ("ramp-200", 400), ("recovery-1", 140)]
    assert found["stress"]["closed"] == "a closed loop: 100 clients at most wait for their answers"
    # The keys of the largest step include those of the others.
    assert found["puts"] == [{"key_size": 256, "key_space_size": 1000, "total": 400 * 120}]


@pytest.mark.parametrize("profile", ["smoke", "load", "soak"])
@pytest.mark.parametrize("declared", [1, 50, 99.7, 150, 3000])
def test_a_cluster_that_serves_gets_no_rate_above_what_is_declared(profile, declared):
    settings_ = dict(SETTINGS, live=True, capacity={"etcd_put_rate": declared}, etcd_load={profile: {**SETTINGS["etcd_load"][profile], "check_perf": "s"}})
    found = plan(profile, settings_)
    assert max(step["rate"] for step in found["steps"]) <= declared and "write" in [step["name"] for step in found["steps"]]
    assert all(f"{step['rate']}" in " ".join(step["arguments"]) for step in found["steps"] if step["tool"] == "benchmark")
    # Who offers no more proves no rate; check perf has a rate of its own.
    assert set(found["missing"]) == {"write.rate", *(["fio"] if found["fsync"] else []), *(["check_perf"] if declared < 150 else [])}
    assert all(sentence.startswith("certify_live: ") for sentence in found["missing"].values())
    assert ("check_perf" in [step["name"] for step in found["steps"]]) == (declared >= 150)


def test_of_a_cluster_that_serves_nothing_is_expected_but_what_follows_from_its_nodes():
    rates = [plan("load", dict(SETTINGS, live=live, nodes=nodes))["declared"] for live, nodes in ((False, 3), (True, 3), (True, 0))]
    assert rates == [100, pytest.approx(30.3), 100]


def test_what_is_offered_no_more_than_declared_proves_no_rate():
    assert plan("load", dict(SETTINGS, capacity={"etcd_put_rate": 100}))["missing"] == {}
    [sentence] = plan("soak", dict(SETTINGS, capacity={"etcd_put_rate": 100}))["missing"].values()
    assert sentence == "50/s are offered where 100/s are expected, and only who offers more can prove a rate"


def clients(found):
    return {step["name"]: int(one.partition("=")[2]) for step in found["steps"] for one in step["arguments"] if one.startswith("--clients=")}


@pytest.mark.parametrize(
    ("rate", "more", "expected"),
    [
        (100, {}, {"ramp-100": 100, "ramp-200": 100}),
        (3000, {}, {"ramp-100": 150, "ramp-200": 300}),
        (3000, {"etcd_clients": 200}, {"ramp-100": 200, "ramp-200": 300}),
        (3000, {"latency": "< 0.2"}, {"ramp-100": 600, "ramp-200": 1200}),
        # etcd refuses more at once.
        (3000, {"latency": "< 4.5"}, {"ramp-100": 4000, "ramp-200": 4000}),
        (3000, {"latency": "none"}, {"ramp-100": 150, "ramp-200": 300}),
        (3000, {"latency": None}, {"ramp-100": 150, "ramp-200": 300}),
    ],
)
def test_clients_wait_only_for_answers_that_are_too_late(rate, more, expected):
    found = plan("stress", dict(SETTINGS, capacity={"etcd_put_rate": rate}, **more))
    assert {name: clients(found)[name] for name in expected} == expected
    assert f"{expected['ramp-200']} clients at most" in found["stress"]["closed"]


def test_the_critical_bound_is_that_of_the_check():
    checks = yaml.safe_load((ROOT / "roles" / "etcd" / "defaults" / "main" / "checks.yml").read_text(encoding="utf-8"))["etcd_checks"]
    assert checks["etcd_write_latency_p99"]["critical"] == f"< {etcd_plan.CRITICAL:.3f}"


@pytest.mark.parametrize(
    ("path", "value", "profile", "expected"),
    [
        ("capacity", {}, "smoke", 110),
        ("nodes", 10, "smoke", 110),
        ("nodes", 100, "smoke", 176),
        ("nodes", 5000, "load", 898),
        ("capacity etcd_put_rate", 1, "smoke", 1),
        ("capacity etcd_put_rate", 333.3, "smoke", 367),
        ("capacity etcd_put_rate", 100, "soak", 50),
        ("etcd_rate_factor smoke", 0, "smoke", 1),
        ("etcd_default_rate", 7, "smoke", 8),
    ],
)
def test_rate(path, value, profile, expected):
    assert plan(profile, changed(path, value))["rate"] == expected


def test_no_rate_is_without_limit():
    """benchmark takes --rate=0 for as fast as it can."""
    found = plan("stress", dict(SETTINGS, capacity={"etcd_put_rate": 1}))
    assert [step["rate"] for step in found["steps"] if step["phase"] != "probe"] == [1, 2, 2, 2, 2, 1]
    assert all(f"--rate={step['rate']}" in step["arguments"] for step in found["steps"])


@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_to_do(profile):
    load = {"write": 0, "write_all": 0, "read": 0, "read_serializable": 0, "watch": 0, "check_perf": "", "fsync": 0}
    found = plan(profile, changed(f"etcd_load {profile}", load))
    assert (found["steps"], found["seconds"], found["bytes"], found["growth"], found["puts"], found["watch"]) == ([], 0, 0, 0, [], None)


def test_watch_lasts_its_seconds_although_the_first_second_comes_at_once():
    found = next(step for step in plan("smoke", changed("etcd_load smoke watch", 2.5))["steps"] if step["name"] == "watch")
    assert found["watch"] == {"key_size": 57, "puts": 350}
    assert "--put-total=350" in found["arguments"]
    assert (found["watch"]["puts"] - etcd_plan.WATCH_RATE) / etcd_plan.WATCH_RATE == 2.5


@pytest.mark.parametrize("passes", [25, 26, 2000])
def test_reads_find_a_key_of_ours_and_none_of_kubernetes(passes):
    start, end = (text.encode() for text in etcd_plan.ONE_KEY)
    assert 1 <= sum(start <= key < end for key in benchmark_keys(passes, 256, 1000)) <= 2
    assert not any(start <= key < end for key in (b"/registry/pods/a", b"compact_rev_key", b"/kubeproof-check-perf/"))


@pytest.mark.parametrize(
    ("size", "measured"),
    # One etcd 3.6.8 on amd64: growth of the file divided by the number of puts.
    [(57 + 32, 158), (256 + 100, 483), (256 + 1024, 2085), (256 + 2000, 4388), (256 + 8000, 10466)],
)
def test_predicted_size_is_what_was_measured(size, measured):
    assert 0.99 * measured <= etcd_plan.stored(size) <= 1.1 * measured


def test_growth_stops_at_the_compaction():
    found = plan("soak", dict(SETTINGS, capacity={"etcd_put_rate": 100}))
    assert found["growth"] == 600 * 50 * etcd_plan.stored(1280) < found["bytes"]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("etcd_load", "long", "etcd_load is 'long'. Write a map"),
        ("etcd_load smoke", None, "etcd_load has no entry 'smoke'"),
        ("etcd_load smoke", {"write": 1}, "has the keys ['write']. Write exactly"),
        ("etcd_load smoke more", 1, "Write exactly"),
        ("etcd_load smoke write", -1, "etcd_load.smoke.write is -1. Write a number from 0"),
        ("etcd_load smoke write", "15", "etcd_load.smoke.write is '15'"),
        ("etcd_load smoke write", True, "etcd_load.smoke.write is True"),
        ("etcd_load smoke write", [], "etcd_load.smoke.write is []. Write seconds, or a list of steps"),
        ("etcd_load smoke write", [{"share": 1}], "etcd_load.smoke.write is [{'share': 1}]. Write seconds, or a list of steps"),
        ("etcd_load smoke write", [{"share": 1, "seconds": 5}, 5], "Write seconds, or a list of steps"),
        ("etcd_load smoke write", [{"share": 0, "seconds": 5}], "etcd_load.smoke.write[0].share is 0"),
        ("etcd_load smoke write", [{"share": 1, "seconds": "5"}], "etcd_load.smoke.write[0].seconds is '5'"),
        ("etcd_load smoke read", [{"share": 1, "seconds": 5}], "etcd_load.smoke.read is [{"),
        ("etcd_load smoke watch", float("nan"), "etcd_load.smoke.watch is nan"),
        ("etcd_load smoke read", float("inf"), "etcd_load.smoke.read is inf"),
        ("etcd_load smoke read", 10**400, "etcd_load.smoke.read is 1000"),
        ("etcd_load smoke fsync", 1.5, "etcd_load.smoke.fsync is 1.5. Write a whole number"),
        ("etcd_load smoke check_perf", "tiny", "check_perf is 'tiny'. Write one of s, m, l, xl"),
        ("etcd_load smoke check_perf", ["s"], "check_perf is ['s']"),
        ("etcd_key_size", 9, "etcd_key_size is 9"),
        ("etcd_key_size", 256.0, "etcd_key_size is 256.0. Write a whole number"),
        ("etcd_value_size", 0, "etcd_value_size is 0"),
        ("etcd_key_space", 24, "etcd_key_space is 24. Write a whole number from 25"),
        ("etcd_default_rate", 0, "etcd_default_rate is 0"),
        ("etcd_compaction_window", None, "etcd_compaction_window is None"),
        ("etcd_read_factor", "2", "etcd_read_factor is '2'"),
        ("etcd_rate_factor", 1.1, "etcd_rate_factor is 1.1. Write a map"),
        ("etcd_rate_factor smoke", None, "etcd_rate_factor.smoke is None"),
        ("capacity etcd_put_rate", 0, "certify_capacity.etcd_put_rate is 0"),
        ("capacity etcd_put_rate", "300", "certify_capacity.etcd_put_rate is '300'"),
    ],
)
def test_refused(path, value, said):
    with pytest.raises(PlanError) as caught:
        plan("smoke", changed(path, value))
    assert said in str(caught.value)


ODD = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.lists(st.integers(), max_size=2))
PATHS = ["etcd_load smoke", "etcd_rate_factor smoke", "capacity etcd_put_rate"]
PATHS += [f"etcd_load smoke {name}" for name in SETTINGS["etcd_load"]["smoke"]] + [name for name in DEFAULTS if name != "etcd_clusters"]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PATHS), ODD)
def test_a_plan_or_a_sentence(path, value):
    try:
        found = plan("smoke", changed(path, value))
    except PlanError as error:
        assert str(error).endswith(".")
    else:
        json.dumps(found, allow_nan=False)
        assert all(step["rate"] >= 1 and step["seconds"] > 0 for step in found["steps"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 400), st.sampled_from([40, 200])), min_size=1, max_size=4))
def test_the_largest_total_includes_the_keys_of_the_others(runs):
    puts = [{"key_size": 64, "key_space_size": space, "total": total} for total, space in runs]
    every = set().union(*(benchmark_keys(**put) for put in puts))
    assert set().union(*(benchmark_keys(**put) for put in etcd_plan._distinct(puts))) == every
