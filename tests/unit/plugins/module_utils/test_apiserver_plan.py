# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils.apiserver_plan import INPUTS, PlanError, plan

DEFAULTS = yaml.safe_load((pathlib.Path(__file__).parents[4] / "roles/apiserver/defaults/main/settings.yml").read_text(encoding="utf-8"))


def planned(profile="smoke", nodes=3, capacity=None, **settings):
    return plan(profile, {**DEFAULTS, "nodes": nodes, "capacity": capacity or {}, "engines": ["k6"], "live": False, **settings})


def steps(profile="smoke", **more):
    return {step["name"]: step for step in planned(profile, **more)["steps"]}


# Sizing: the numbers of scale.md, section 3.
@pytest.mark.parametrize(
    ("nodes", "churn", "writes"),
    [(3, 2, 30.3), (10, 2, 31), (100, 10, 160.3), (5000, 20, 816.7)],
)
def test_the_expected_load_follows_from_the_nodes(nodes, churn, writes):
    expected = planned(nodes=nodes)["expected"]
    assert expected["churn"] == churn
    assert expected["writes"] == pytest.approx(writes, abs=0.2)
    assert expected["reads"] == pytest.approx(2 * expected["writes"], abs=0.2)
    assert expected["qps"] == pytest.approx(3 * expected["writes"], abs=0.3)
    assert expected["pods"] == 30 * nodes


@pytest.mark.parametrize(
    ("capacity", "expected"),
    [
        ({"nodes": 100}, {"churn": 10, "pods": 3000}),
        ({"pods_per_node": 110}, {"pods": 330}),
        ({"pod_churn": 0}, {"churn": 0, "writes": 0.3}),
        ({"api_operator_writes": 50}, {"writes": 80.3}),
        ({"api_reads": 500}, {"reads": 500, "writes": 30.3}),
        ({"api_qps": 2000}, {"qps": 2000}),
        ({"api_qps": 10}, {"qps": 10, "reads": 10, "writes": 0}),
    ],
)
def test_what_is_declared_wins(capacity, expected):
    found = planned(capacity=capacity)
    assert {name: found["expected"][name] for name in expected} == expected
    assert {one["name"]: one["source"] for one in found["inputs"] if one["name"] in capacity} == dict.fromkeys(capacity, "declared")


def test_every_input_is_shown_with_its_source():
    inputs = {one["name"]: one for one in planned(nodes=7)["inputs"]}
    assert list(inputs) == list(INPUTS) and all(one["source"] and one["text"] for one in inputs.values())
    assert (inputs["nodes"]["value"], inputs["nodes"]["source"]) == (7, "counted")


def test_smoke_touches_every_path_once():
    assert [step["kind"] for step in planned()["steps"]] == ["objects", "pods", "streams"]
    assert steps()["objects-1-10"]["rate"] == DEFAULTS["apiserver_least_rate"]
    assert steps(nodes=5000)["objects-1-10"]["rate"] == 245


def test_load_warms_up_and_counts_the_last_step():
    found = steps("load", nodes=5000)
    objects = [step for name, step in found.items() if name.startswith("objects")]
    assert [(step["share"], step["window"]) for step in objects] == [(0.7, False), (0.85, False), (1.0, True)]
    assert [step["rate"] for step in objects] == [1715, 2082, 2450]


@pytest.mark.parametrize(("capacity", "rate"), [({}, 1100), ({"api_qps": 200}, 220)])
def test_the_sustained_rate_is_offered_with_a_tenth_more(capacity, rate):
    step = steps("load", capacity=capacity)["qps"]
    assert (step["rate"], step["seconds"], step["window"]) == (rate, 900, True)


def test_every_step_of_stress_counts():
    assert all(step["window"] for step in planned("stress")["steps"])


def test_pods_hold_no_more_slots_than_they_need():
    found = planned("load")
    assert (found["pods"], steps("load")["pods"]["count"], steps("load")["pods"]["rate"]) == (20, 500, 2)
    assert planned("smoke", apiserver_pod_rate=100)["pods"] == 20


def test_a_cluster_that_serves_is_not_loaded_beyond_what_is_declared():
    assert planned("stress", live=True)["steps"] == []
    assert "qps" not in steps("load", live=True)


@pytest.mark.parametrize("profile", ["smoke", "load", "soak"])
@pytest.mark.parametrize("capacity", [{"api_qps": 20, "api_reads": 10, "pod_churn": 0.1}, {"api_qps": 99.9, "pod_churn": 1}, {"api_qps": 4000}])
def test_a_cluster_that_serves_gets_no_rate_above_what_is_declared(profile, capacity):
    """Neither by a least rate, nor by a factor, nor by a rate of pods that was set."""
    found = planned(profile, capacity=capacity, live=True, apiserver_pod_rate=5, engines=["k6", "kube_burner"], apiserver_pull_images=["a"])
    churn = capacity.get("pod_churn", 5)
    assert all(step["rate"] <= capacity["api_qps"] for step in found["steps"] if step["kind"] == "objects")
    assert all(max(step["rates"]) <= capacity["api_qps"] and step["pod_rate"] <= churn for step in found["steps"] if step["kind"] == "kube_burner")
    assert all(step["rate"] <= churn for step in found["steps"] if step["kind"] in ("pods", "pull"))
    assert list(found["missing"]) == (["qps"] if profile == "load" else [])
    assert planned(profile, capacity=capacity)["missing"] == {}


def test_no_pod_is_made_where_none_is_declared():
    found = planned("load", capacity={"pod_churn": 0}, live=True, apiserver_pull_images=["a"])
    assert [step["kind"] for step in found["steps"]] == ["objects", "objects", "objects", "streams"] and set(found["missing"]) == {"qps", "pods"}


def test_what_a_step_of_the_ramp_adds_to_etcd_is_predicted():
    found = planned("stress", capacity={"api_qps": 1500})
    ramp = {step["name"]: step["bytes"] for step in found["steps"] if step["kind"] == "objects"}
    # A quarter of the requests writes, and two such objects fill a page of etcd's file.
    assert ramp["ramp-100"] == 1500 * 300 // 4 * 2192 and ramp["ramp-200"] == 2 * ramp["ramp-100"] == found["bytes"]
    assert all(ramp.values()) and planned("load")["bytes"] == 0


def test_kube_burner_takes_the_rates_of_the_steps_that_count():
    step = steps("load", engines=["kube_burner"])["kube-burner"]
    assert (step["rates"], step["pods"], step["pod_rate"], step["window"]) == ([91], 100, 2, True)
    assert [one["kind"] for one in planned("smoke", engines=["kube_burner", "k6"])["steps"]] == ["objects", "kube_burner", "pods", "streams"]
    assert len(steps("stress", engines=["kube_burner"])["kube-burner"]["rates"]) == 5


def test_images_are_pulled_where_some_are_named():
    assert steps("load", apiserver_pull_images=["a", "b"])["pull"]["images"] == ["a", "b"]
    assert "pull" not in steps("smoke", apiserver_pull_images=["a"]) and "pull" not in steps("load")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"apiserver_load": {}}, "apiserver_load is {}. Write a map"),
        ({"apiserver_load": {"smoke": {"objects": [{"share": 1}]}}}, "apiserver_load.smoke.objects is "),
        ({"apiserver_load": {"smoke": {"objects": [{"share": 0, "seconds": 5}]}}}, "apiserver_load.smoke.objects[0].share is 0. Write a number from 0.001"),
        ({"apiserver_load": {"smoke": {"pods": True}}}, "apiserver_load.smoke.pods is True. "),
        ({"apiserver_load": {"smoke": {"kube_burner": {"pods": 1}}}}, "apiserver_load.smoke.kube_burner is {'pods': 1}. "),
        ({"apiserver_load": {"smoke": {"kube_burner": {"pods": 1, "seconds": -1}}}}, "apiserver_load.smoke.kube_burner.seconds is -1. "),
        ({"capacity": {"nodes": -1}}, "certify_capacity.nodes is -1. "),
        ({"capacity": {"api_qps": float("nan")}}, "certify_capacity.api_qps is nan. "),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(settings, said):
    with pytest.raises(PlanError) as error:
        planned(**settings)
    assert said in str(error.value)


@given(st.sampled_from(["smoke", "load", "stress", "soak"]), st.integers(0, 10**5), st.dictionaries(st.sampled_from(list(INPUTS)), st.integers(0, 10**6)))
def test_any_capacity_gives_a_plan(profile, nodes, capacity):
    found = planned(profile, nodes, capacity)
    assert len({step["name"] for step in found["steps"]}) == len(found["steps"])
    assert all(step["rate"] > 0 for step in found["steps"] if "rate" in step)
