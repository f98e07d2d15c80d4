# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a run takes: load and what is beside it, reboots, and only what is still to be measured."""

from __future__ import annotations

import pathlib

import pytest
import yaml

from ansible_collections.kubeproof.certify.plugins.module_utils.run_times import AROUND, BESIDE, READY, REBOOT, run_times
from ansible_collections.kubeproof.certify.plugins.module_utils.sizing import PlanError

LOADS = {"tuning": 0, "etcd": 2100, "apiserver": 2650, "dns": 2160}


def test_the_whole_is_the_load_and_what_is_beside_it():
    found = run_times(LOADS)
    assert [one["layer"] for one in found["layers"]] == list(LOADS)
    assert found["layers"][1] == {"layer": "etcd", "load": 2100, "seconds": 2100 + BESIDE["etcd"], "kept": False}
    assert found["load"] == sum(LOADS.values())
    assert found["seconds"] == sum(one["seconds"] for one in found["layers"]) + AROUND > found["load"]
    assert found["over"] == ""


def test_the_smoke_run_on_the_lab_was_as_long_as_said():
    """The run that README.md shows: its planned loads, and the 448 s that it took."""
    assert 448 <= run_times({"tuning": 0, "etcd": 132, "apiserver": 60, "network": 31, "dns": 34, "storage": 44, "ingress": 38})["seconds"] <= 1.1 * 448


def seconds(found):
    return {one["layer"]: one["seconds"] for one in found["layers"]}


def test_what_was_measured_before_the_interruption_takes_no_time():
    whole, found = run_times(LOADS), run_times(LOADS, kept={"etcd": ["etcd"], "tuning": ["prod"]})
    assert {one["layer"]: one["kept"] for one in found["layers"]} == {"tuning": True, "etcd": True, "apiserver": False, "dns": False}
    assert seconds(found) == {**seconds(whole), "etcd": 0, "tuning": 0} and found["load"] == whole["load"] - 2100
    # One of two clusters of a layer is half of it.
    half = run_times(LOADS, kept={"etcd": ["etcd"]}, clusters={"etcd": 2, "dns": 1})
    assert (seconds(half)["etcd"], half["layers"][1]["kept"]) == (round((2100 + BESIDE["etcd"]) / 2), False)


def test_a_budget_counts_what_is_left():
    """118 minutes are needed, of which 36 are kept."""
    assert run_times(LOADS, "load", 90)["over"]
    assert run_times(LOADS, "load", 90, kept={"etcd": ["etcd"]})["over"] == ""
    said = run_times(LOADS, "load", 60, kept={"etcd": ["etcd"]})["over"]
    assert "would take about 82 min: tuning 1 min, apiserver 45 min, dns 37 min, and" in said and "etcd" not in said


def test_reboots_are_in_the_time_of_the_api_servers():
    whole, found = run_times(LOADS), run_times(LOADS, reboots=2, reboot_timeout=600)
    assert found["reboot"] == 2 * (600 + REBOOT) == found["seconds"] - whole["seconds"]
    assert seconds(found) == {**seconds(whole), "apiserver": seconds(whole)["apiserver"] + found["reboot"]} and found["load"] == whole["load"]
    assert "reboot fewer nodes (certify_reboot_nodes)" in run_times(LOADS, "load", 120, reboots=2, reboot_timeout=600)["over"]
    assert "certify_reboot_nodes" not in run_times(LOADS, "load", 60)["over"]
    # Nobody reboots anything where the layer does not run, or has run.
    assert run_times({"etcd": 60}, reboots=2, reboot_timeout=600)["reboot"] == 0
    assert run_times(LOADS, reboots=2, reboot_timeout=600, kept={"apiserver": ["prod"]})["reboot"] == 0


def test_a_reboot_is_given_the_critical_bound():
    path = pathlib.Path(__file__).parents[4] / "roles" / "apiserver" / "defaults" / "main" / "checks.yml"
    check = yaml.safe_load(path.read_text(encoding="utf-8"))["apiserver_checks"]["apiserver_node_ready"]
    assert check["critical"] == f"< {READY}"


RECOVERED = {f"{layer}_recovered": {"critical": "<= 900"} for layer in ("etcd", "apiserver", "storage")}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, 3 * 900),
        ({"time_scale": 0.02}, 3 * 18),
        ({"thresholds": {"etcd_recovered": {"critical": "<= 1800"}}}, 4 * 900),
        # Each StorageClass has a ramp of its own, and may have none.
        ({"ramps": {"storage": 3}}, 5 * 900),
        ({"ramps": {"storage": 0}}, 2 * 900),
        ({"catalogue": {}}, 0),
    ],
)
def test_recovery_may_take_longer_than_its_first_try(change, expected):
    loads = {"tuning": 0, "etcd": 600, "apiserver": 600, "storage": 600}
    stress = {"catalogue": RECOVERED, "thresholds": {}, "time_scale": 1, **change}
    whole, found = run_times(loads, "stress"), run_times(loads, "stress", recovery=stress)
    assert found == {**whole, "recovery": expected} and whole["recovery"] == 0


def test_recovery_is_tried_in_each_cluster_that_is_left():
    stress = {"catalogue": RECOVERED, "thresholds": {}, "time_scale": 1}
    assert run_times({"etcd": 60}, "stress", clusters={"etcd": 2}, recovery=stress)["recovery"] == 1800
    assert run_times({"etcd": 60}, "stress", clusters={"etcd": 2}, kept={"etcd": ["etcd"]}, recovery=stress)["recovery"] == 900
    assert run_times({"etcd": 60}, "stress", kept={"etcd": ["etcd"]}, recovery=stress)["recovery"] == 0


def test_a_budget_allows_for_the_recovery():
    stress = {"catalogue": RECOVERED, "thresholds": {}, "time_scale": 1}
    assert run_times({"etcd": 600}, "stress", 15)["over"] == ""
    said = run_times({"etcd": 600}, "stress", 15, recovery=stress)["over"]
    assert "etcd 11 min, and 1 min around them, and up to 15 min more until every layer has recovered." in said
    assert run_times({"etcd": 600}, "stress", 27, recovery=stress)["over"] == ""


def test_every_layer_says_how_long_it_may_take_to_recover():
    for layer in ("etcd", "apiserver", "network", "dns", "storage", "ingress"):
        path = pathlib.Path(__file__).parents[4] / "roles" / layer / "defaults" / "main" / "checks.yml"
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        catalogue = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)[f"{layer}_checks"]
        stress = {"catalogue": catalogue, "thresholds": {}, "time_scale": 1}
        assert run_times({layer: 60}, "stress", recovery=stress)["recovery"] == 900


@pytest.mark.parametrize("budget", ["", None, 120, 120.0, "120", 118.2])
def test_a_budget_that_is_enough(budget):
    assert run_times(LOADS, "load", budget)["over"] == ""


def test_a_run_over_its_budget_is_refused_by_name():
    said = run_times(LOADS, "load", 90)["over"]
    assert said.startswith("certify_budget is 90 minutes, and this run would take about 117 min: tuning 1 min, etcd 36 min, apiserver 45 min, dns 37 min")
    assert "certify_layers" in said and "apiserver_load.load and dns_load.load" in said and said.endswith("Nothing was loaded.")


@pytest.mark.parametrize("budget", [0, -5, "soon", True, False, [60], float("nan"), float("inf"), "nan"])
def test_a_budget_that_is_none_is_refused(budget):
    with pytest.raises(PlanError, match="certify_budget is .* Write minutes above 0"):
        run_times(LOADS, "load", budget)
