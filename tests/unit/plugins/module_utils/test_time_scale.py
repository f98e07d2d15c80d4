# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shortened run: the same load for less time in every layer, and a certificate that fills nothing."""

from __future__ import annotations

import pathlib

import pytest
import yaml
from ansible_collections.kubeproof.certify.plugins.module_utils import (
    apiserver_plan,
    dns_plan,
    etcd_plan,
    ingress_plan,
    network_plan,
    storage_plan,
    time_scale,
)
from ansible_collections.kubeproof.certify.plugins.module_utils.run_times import run_times
from ansible_collections.kubeproof.certify.plugins.module_utils.sizing import PlanError

ROOT = pathlib.Path(__file__).parents[4]
PROFILES = ("smoke", "load", "stress", "soak")
COMMON = {"nodes": 6, "capacity": {"ingress_peak_rps": 12000}, "live": False}
OWN = {
    "apiserver": {"engines": ["k6", "kube_burner"]},
    "etcd": {"capacity": {"etcd_put_rate": 300}},
    "ingress": {"tier": "small"},
    "network": {"engine": "auto", "found": False},
    "storage": {"engine": "fio", "default_class": "", "storage_classes": [{"name": "fast", "tier": "ssd", "required_iops": 5000}]},
}
PLANS = {
    "apiserver": apiserver_plan.plan,
    "dns": dns_plan.plan,
    "etcd": etcd_plan.plan,
    "ingress": ingress_plan.plan,
    "network": network_plan.plan,
    "storage": storage_plan.plan,
}


def planned(layer, profile, scale, **more):
    defaults = yaml.safe_load((ROOT / "roles" / layer / "defaults/main/settings.yml").read_text(encoding="utf-8"))
    return PLANS[layer](profile, {**COMMON, **defaults, **OWN.get(layer, {}), "time_scale": scale, **more})


@pytest.mark.parametrize(
    ("seconds", "scale", "found"),
    [(900, 1, 900), (900, 1.0, 900), (900, 0.02, 18), (10, 0.02, 1), (1, 0.02, 1), (0.5, 0.02, 0.5), (0, 0.02, 0), (86400, 0.0001, 9), (7, 0.5, 4)],
)
def test_seconds_are_shortened_to_whole_ones(seconds, scale, found):
    assert time_scale.shorten(seconds, scale) == found


@pytest.mark.parametrize("scale", [0, -1, 1.01, 2, float("nan"), float("inf"), True, "0.5", None, [1]])
def test_a_scale_that_is_none_is_refused(scale):
    with pytest.raises(PlanError, match="certify_time_scale is .* Write a number above 0 and up to 1"):
        time_scale.shorten(60, scale)


@pytest.mark.parametrize(("scale", "scaled"), [(1, False), (1.0, False), (None, False), (0.5, True), (True, True), ("1", True), (2, True), ([], True)])
def test_a_record_that_cannot_be_read_is_no_whole_run(scale, scaled):
    assert time_scale.is_scaled(scale) is scaled


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("layer", sorted(PLANS))
def test_every_layer_is_shorter_and_asks_the_same(layer, profile):
    whole, short = planned(layer, profile, 1), planned(layer, profile, 0.02)
    # What is short needs no probe of seconds before it.
    whole["steps"] = [step for step in whole["steps"] if step.get("phase") != "probe"]
    assert [step["name"] for step in short["steps"]] == [step["name"] for step in whole["steps"]]
    if layer not in ("network", "storage"):
        assert [step.get("rate") for step in short["steps"]] == [step.get("rate") for step in whole["steps"]]
        assert all(min(1, long["seconds"]) <= step["seconds"] <= long["seconds"] for step, long in zip(short["steps"], whole["steps"]))
    # The network's smoke is as short as can be.
    assert short["seconds"] <= whole["seconds"] and (profile == "smoke" or short["seconds"] < whole["seconds"])


def test_what_is_not_time_stays():
    scaled, whole = planned("network", "load", 0.02)["load"], planned("network", "load", 1)["load"]
    assert {name for name in whole if whole[name] != scaled[name]} == {"tcp", "rtt", "udp", "loaded"}
    jobs = [planned("storage", "load", scale)["steps"][0] for scale in (1, 0.02)]
    assert jobs[0]["file"] == jobs[1]["file"] and len(jobs[0]["jobs"]) == len(jobs[1]["jobs"])
    assert {(job["seconds"] <= 4, job["ramp"]) for job in jobs[1]["jobs"]} == {(True, 1)}
    perf = [step for step in planned("etcd", "load", 0.02)["steps"] if step["name"] == "check_perf"]
    assert [step["seconds"] for step in perf] == [60]


def test_pods_start_at_their_rate_for_less_time():
    pods = {scale: next(step for step in planned("apiserver", "load", scale)["steps"] if step["name"] == "pods") for scale in (1, 0.1, 0.00001)}
    assert pods[1]["count"] == 500 and pods[0.1]["rate"] == pods[1]["rate"] == 2
    assert (pods[0.1]["count"], pods[0.1]["seconds"], pods[0.00001]["count"], pods[0.00001]["seconds"]) == (50, 25, 2, 1)


# How long a load lasts at the defaults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [3, 5, 8, 10, 100, 5000])
@pytest.mark.parametrize("layer", sorted(PLANS))
def test_each_layer_is_done_in_a_quarter_of_an_hour_to_an_hour(layer, nodes):
    """Repeats included, of one StorageClass, with both engines of the API server, and with what is beside the load."""
    seconds = planned(layer, "load", 1, nodes=nodes)["seconds"]
    assert 15 * 60 <= seconds and run_times({layer: seconds})["layers"][0]["seconds"] <= 60 * 60


@pytest.mark.parametrize("engine", ["k6", "kube_burner"])
def test_either_engine_of_the_api_server_is_done_within_an_hour(engine):
    assert planned("apiserver", "load", 1, engines=[engine])["seconds"] <= 60 * 60


@pytest.mark.parametrize(("layer", "kind"), [("apiserver", "objects-"), ("dns", "service-"), ("etcd", "write"), ("ingress", "latency-")])
def test_what_has_a_rate_warms_up_and_counts_at_all_of_it(layer, kind):
    found = [step for step in planned(layer, "load", 1, nodes=500)["steps"] if step["name"].startswith(kind) and step["name"] != "write_all"]
    whole = found[-1]["rate"]
    assert [round(step["rate"] / whole, 2) for step in found] == [0.7, 0.85, 1.0]
    assert [step["seconds"] for step in found] == [300, 300, 900]
    # The servers' counters are read around the last one alone.
    assert [step.get("window", last) for step, last in zip(found, (False, False, True))] == [False, False, True]


@pytest.mark.parametrize(("layer", "least"), [("network", 5), ("storage", 3)])
def test_what_has_no_rate_is_repeated(layer, least):
    found = planned(layer, "load", 1)
    repeats = found["load"]["samples"] if layer == "network" else max(job["round"] for job in found["steps"][0]["jobs"])
    assert repeats >= least
