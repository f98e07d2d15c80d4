# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""With which run a run is compared: the one before that measured the same, or a baseline."""

from __future__ import annotations

import pytest

from ansible_collections.kubeproof.certify.plugins.filter.baseline_problem import FilterModule
from ansible_collections.kubeproof.certify.plugins.filter.regressions import regressions
from ansible_collections.kubeproof.certify.plugins.module_utils import certificate as engine
from ansible_collections.kubeproof.certify.plugins.module_utils import history_report, history_text
from ansible_collections.kubeproof.certify.tests.unit.plugins import report_fake as fake
from ansible_collections.kubeproof.certify.tests.unit.plugins.module_utils.test_history import fixture_top, keep, run, scaled

__all__ = ["fixture_top"]
PARTIAL = {"layers": ("etcd",)}


def test_a_run_that_measured_less_is_not_taken_for_the_one_before(top):
    """Between two whole runs stand one of fewer layers, a shortened one, one of another profile, and one that was interrupted."""
    keep(top, "run3", run(3, **PARTIAL))
    keep(top, "run4", scaled(run(4), 0.1))
    keep(top, "run5", run(5, profile="soak"))
    keep(top, "run6", run(6))
    made = history_report.report(str(top), "run6")
    assert made["comparison"]["before"]["id"] == "run2" and made["comparison"]["unmeasured"] == []
    assert {one["id"]: one["reason"] for one in made["passed_over"]} == {
        "run5": "its profile is soak, not load, which loads differently",
        "run4": "its time scale is 0.1, not 1, so that it loaded for other times",
        "run3": "it did not measure apiserver, network, dns, storage, ingress",
    }
    assert "PASSED OVER\nrun5: its profile is soak" in made["text"]
    # One of fewer layers can be compared with a whole one, and with one like itself.
    keep(top, "run7", run(7, **PARTIAL))
    made = history_report.report(str(top), "run7")
    assert (made["comparison"]["before"]["id"], made["comparison"]["layers"], made["passed_over"]) == ("run6", ["etcd"], [])
    assert "PASSED OVER" not in made["text"]


def test_only_runs_that_measured_less_are_nothing_to_compare_with(tmp_path):
    for number in range(history_text.MOST + 2):
        keep(tmp_path, f"run{number}", {**run(number, **PARTIAL), "run": {**run()["run"], "id": f"run{number}", "started": f"2026-10-01T00:{number:02d}:00Z"}})
    keep(tmp_path, "whole", run(20))
    made = history_report.report(str(tmp_path), "whole")
    assert made["comparison"] is None and len(made["passed_over"]) == history_text.MOST + 2
    assert "there is nothing to compare" in made["text"] and made["text"].endswith("and 2 more\n")


def test_a_baseline_that_measured_less_leaves_the_rest_open(top):
    """It was named, so it is compared; what it did not measure is neither better nor worse."""
    keep(top, "run3", run(3, **PARTIAL))
    keep(top, "run4", run(4))
    made = history_report.report(str(top), "run4", "run3")
    assert made["comparison"]["layers"] == ["etcd"] and made["passed_over"] == []
    assert "Not compared, since the run before did not measure them: apiserver, network, dns, storage, ingress" in made["text"]
    found = regressions(run(4), str(top), "run3")
    assert [(one["id"], one["result"]) for one in found] == [("regression_none", "PASS"), ("regression_measured", "INCONCLUSIVE")]
    assert found[1]["reason"] == "Not compared: apiserver, network, dns, storage, ingress, which run3 did not measure."
    assert all(one["judged"] and one["blocking"] for one in found)


@pytest.mark.parametrize(
    ("baseline", "change", "layers", "text"),
    [
        ("run0", {}, engine.LAYERS, ""),
        ("run3", {}, ["etcd"], ""),
        ("run3", {}, ["etcd", "dns"], "certify_baseline is run3, with which this run could not be compared: it did not measure dns. Name another run"),
        ("run0", {"profile": "soak"}, ["etcd"], "its profile is load, not soak"),
        ("run0", {"time_scale": 0.02}, ["etcd"], "its time scale is 1, not 0.02"),
        ("run0", {"cluster": {"name": "prod", "uid": "x"}}, ["etcd"], "it is of another cluster"),
        ("interrupted", {}, ["etcd"], "it was interrupted"),
        ("cut", {}, ["etcd"], "certify_baseline: "),
        ("run7", {}, ["etcd"], "certify_baseline: There is no run run7"),
    ],
)
def test_a_baseline_that_cannot_be_compared_is_known_before_the_load(top, baseline, change, layers, text):
    keep(top, "run3", run(3, **PARTIAL))
    planned = {"cluster": {"name": "prod", "uid": fake.UID}, "profile": "load", "time_scale": 1.0, **change}
    found = FilterModule().filters()["baseline_problem"](planned, layers, top, baseline)
    assert text in found and bool(text) == bool(found)


def test_a_shortened_run_is_compared_with_one_that_was_as_short(top):
    for number, scale in ((3, 0.1), (4, 0.5), (5, 0.1)):
        keep(top, f"run{number}", scaled(run(number), scale))
    made = history_report.report(str(top), "run5")
    assert made["comparison"]["before"]["id"] == "run3" and made["trends"] == []
    keep(top, "run6", scaled(run(6), 1))
    assert history_report.report(str(top), "run6")["comparison"]["before"]["id"] == "run2"
