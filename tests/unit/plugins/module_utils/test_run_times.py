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
    """The run that README.md shows: its planned loads, and the 495 s that it took."""
    assert 495 <= run_times({"tuning": 0, "etcd": 113, "apiserver": 60, "network": 31, "dns": 24, "storage": 44, "ingress": 38})["seconds"] <= 1.1 * 495


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


@pytest.mark.parametrize("budget", ["", None, 120, 120.0, "120", 118.2])
def test_a_budget_that_is_enough(budget):
    assert run_times(LOADS, "load", budget)["over"] == ""


def test_a_run_over_its_budget_is_refused_by_name():
    said = run_times(LOADS, "load", 90)["over"]
    assert said.startswith("certify_budget is 90 minutes, and this run would take about 118 min: tuning 1 min, etcd 36 min, apiserver 45 min, dns 37 min")
    assert "certify_layers" in said and "apiserver_load.load and dns_load.load" in said and said.endswith("Nothing was loaded.")


@pytest.mark.parametrize("budget", [0, -5, "soon", True, False, [60], float("nan"), float("inf"), "nan"])
def test_a_budget_that_is_none_is_refused(budget):
    with pytest.raises(PlanError, match="certify_budget is .* Write minutes above 0"):
        run_times(LOADS, "load", budget)
