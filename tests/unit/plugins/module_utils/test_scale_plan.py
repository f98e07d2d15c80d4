# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""To which sizes a cluster grows, and what is put on its hollow nodes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import scale_plan

LOAD = {
    "smoke": {"factors": [2], "fill": 0.1, "rate": 10, "latency_pods": 30},
    "load": {"factors": [2, 3], "fill": 1.0, "rate": 10, "latency_pods": 500},
}
SETTINGS = {
    "run": "20261121t040000z-1a2b",
    "nodes": 100,
    "capacity": {},
    "live": False,
    "time_scale": 1,
    "scale_load": LOAD,
    "scale_nodes": [],
    "scale_hollow": "kubemark",
    "scale_engine": "builtin",
}


def plan(profile="load", **changes):
    return scale_plan.plan(profile, {**SETTINGS, **changes})


def test_twice_and_three_times_the_present_size():
    found = plan()
    assert [(size["name"], size["hollow"], size["grow"], size["factor"], size["pods"]) for size in found["sizes"]] == [
        ("200 nodes", 100, 100, 2.0, 3000),
        ("300 nodes", 200, 100, 3.0, 6000),
    ]
    assert found["most"] == {"hollow": 200, "pods": 6000} and found["namespaces"] == 2
    # 6,000 pods at 10/s three times over would be half an hour; this is about the recipe's length.
    assert 2000 < found["seconds"] < 3000


@pytest.mark.parametrize(
    ("nodes", "hollow", "load", "grew"),
    [
        # What recorded runs made of fresh databases, the file's growth between the first reading and the last.
        (1, 20, {"fill": 0.2, "rate": 10, "latency_pods": 30}, 9_707_520),
        (1, 20, {"fill": 0.1, "rate": 10, "latency_pods": 300}, 19_951_616),
        (1, 10, {"fill": 0.07, "rate": 10, "latency_pods": 30}, 2_699_264),
        (1, 500, {"fill": 0.3333, "rate": 50, "latency_pods": 300}, 198_377_472),
    ],
)
def test_etcd_has_room_for_what_was_seen(nodes, hollow, load, grew):
    [size] = plan("smoke", nodes=nodes, scale_nodes=[hollow], scale_load={"smoke": {"factors": [2], **load}})["sizes"]
    assert grew <= size["bytes"] <= 4 * grew


def test_what_is_compacted_needs_no_room():
    """Of a load of hours only what stays and what was written of late is in the database."""
    [size] = plan(nodes=1000, scale_nodes=[2000])["sizes"]
    assert size["pods"] == 60_000 and 1e9 < size["bytes"] < 0.8 * 2 * 2**30
    assert plan(scale_engine="clusterloader2")["clusterloader_bytes"] >= 500 * 54 * 1024 > plan()["clusterloader_bytes"] == 0


def test_declared_nodes_and_pods_win():
    found = plan("smoke", capacity={"nodes": 10, "pods_per_node": 100})
    assert (found["present"], found["pods_per_node"], found["sizes"][0]["pods"]) == (10, 100, 100)


def test_numbers_of_hollow_nodes_in_place_of_factors():
    assert [(size["hollow"], size["grow"]) for size in plan(nodes=3, scale_nodes=[40, 20])["sizes"]] == [(20, 20), (40, 20)]


def test_names_are_those_of_all_sizes():
    found = plan(nodes=2, scale_nodes=[2, 3])
    assert scale_plan.node_names(found) == [f"hollow-20261121t040000z-1a2b-{turn}-{index}" for turn, index in ((1, 0), (1, 1), (2, 0))]


def test_a_time_scale_shortens_the_load_and_nothing_else():
    whole, short = plan()["sizes"][0], plan(time_scale=0.1)["sizes"][0]
    assert short["pods"] == 300 and short["latency"] == {"count": 50, "rate": 5}
    assert (short["hollow"], short["rate"]) == (whole["hollow"], whole["rate"])


def test_clusterloader2_takes_its_time():
    """500 Deployments at 5 in a second, made and deleted."""
    assert plan(scale_engine="clusterloader2")["seconds"] == plan()["seconds"] + 200
    assert plan(scale_engine="clusterloader2", time_scale=0.1)["seconds"] == plan(time_scale=0.1)["seconds"] + 20


def test_a_cluster_that_serves_does_not_grow():
    with pytest.raises(scale_plan.PlanError, match="certify_live is true.*nobody is served, with certify_live: false"):
        plan("smoke", live=True)


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        (1, [1]),
        (60, [5] * 12),
        (600, [30] * 5 + [5] * 90),
        (3000, [250] * 3 + [30] * 25 + [5] * 300),
    ],
)
def test_groups(pods, expected):
    assert scale_plan.groups(pods) == expected


@given(st.integers(1, 20_000))
def test_groups_hold_all_pods(pods):
    found = scale_plan.groups(pods)
    assert sum(found) == pods and max(found) <= 250 and found == sorted(found, reverse=True)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"nodes": 0}, "certify_capacity.nodes"),
        ({"capacity": {"pods_per_node": 300}}, "certify_capacity.pods_per_node"),
        ({"scale_hollow": "kind"}, "scale_hollow"),
        ({"scale_engine": "cl2"}, "scale_engine"),
        ({"scale_nodes": 20}, "scale_nodes"),
        ({"scale_nodes": [0]}, r"scale_nodes\[0\]"),
        ({"scale_nodes": [9999]}, r"scale_nodes\[0\]"),
        ({"scale_load": {}}, "scale_load has no entry"),
        ({"scale_load": {"load": {"factors": [2]}}}, "scale_load.load has the keys"),
        ({"scale_load": {"load": {**LOAD["load"], "factors": [1]}}}, r"scale_load.load.factors\[0\]"),
        ({"scale_load": {"load": {**LOAD["load"], "factors": []}}}, "scale_load.load.factors"),
        ({"scale_load": {"load": {**LOAD["load"], "fill": 2}}}, "scale_load.load.fill"),
        ({"scale_load": {"load": {**LOAD["load"], "rate": True}}}, "scale_load.load.rate"),
        ({"nodes": 4000}, "hollow nodes"),
        ({"run": "Run_1"}, "run's id"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(changes, named):
    with pytest.raises(scale_plan.PlanError, match=named):
        plan(**changes)


def test_stress_is_not_known():
    with pytest.raises(scale_plan.PlanError, match="certify_profile is stress.*load, smoke"):
        plan("stress")
