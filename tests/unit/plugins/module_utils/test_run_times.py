# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.kubeproof.certify.plugins.module_utils.run_times import AROUND, BESIDE, run_times
from ansible_collections.kubeproof.certify.plugins.module_utils.sizing import PlanError

LOADS = {"tuning": 0, "etcd": 2100, "apiserver": 2650, "dns": 2160}


def test_the_whole_is_the_load_and_what_is_beside_it():
    found = run_times(LOADS)
    assert [one["layer"] for one in found["layers"]] == list(LOADS)
    assert found["layers"][1] == {"layer": "etcd", "load": 2100, "seconds": 2100 + BESIDE["etcd"]}
    assert found["load"] == sum(LOADS.values())
    assert found["seconds"] == sum(one["seconds"] for one in found["layers"]) + AROUND > found["load"]
    assert found["over"] == ""


def test_the_smoke_run_on_the_lab_was_as_long_as_said():
    """The run that README.md shows: its planned loads, and the 495 s that it took."""
    assert 495 <= run_times({"tuning": 0, "etcd": 113, "apiserver": 60, "network": 31, "dns": 24, "storage": 44, "ingress": 38})["seconds"] <= 1.1 * 495


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
