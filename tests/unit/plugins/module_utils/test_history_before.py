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
    assert "Not compared, since the run before did not measure them: apiserver, network, dns, storage, ingress" in " ".join(made["text"].split())
    found = regressions(run(4), str(top), "run3")
    assert [(one["id"], one["result"]) for one in found] == [("regression_none", "PASS"), ("regression_measured", "INCONCLUSIVE")]
    assert found[1]["reason"] == "Not compared: apiserver, network, dns, storage, ingress, which run3 did not measure."
    assert all(one["judged"] and one["blocking"] for one in found)


def blocked(number):
    """Return a run in which etcd failed, so that nothing above it was loaded."""
    found = {layer: [fake.finding(layer, one, result="INCONCLUSIVE", value=None, reason="Not measured: blocked by etcd.") for one in range(2)]
             for layer in engine.LAYERS[1:]}  # fmt: skip
    return run(number, 0.3, {"etcd": [fake.finding("etcd", value=0.3, result="FAIL")], **found})


def test_a_run_in_which_layers_were_blocked_did_not_measure_them(top):
    """It names its layers as every run does, and has a finding of each of their checks."""
    keep(top, "run3", blocked(3))
    keep(top, "run4", run(4))
    assert sorted(blocked(3)["layers"]) == sorted(engine.LAYERS)
    made = history_report.report(str(top), "run4")
    assert made["comparison"]["before"]["id"] == "run2"
    assert [(one["id"], one["reason"]) for one in made["passed_over"]] == [("run3", "it did not measure apiserver, network, dns, storage, ingress")]
    planned = {"cluster": {"name": "prod", "uid": fake.UID}, "profile": "load", "time_scale": 1.0}
    problem = FilterModule().filters()["baseline_problem"]
    assert "it did not measure apiserver, network, dns, storage, ingress. Name another run" in problem(planned, engine.LAYERS, top, "run3")
    assert problem(planned, ["etcd"], top, "run3") == ""
    found = regressions(run(4), str(top), "run3")
    assert [(one["id"], one["result"]) for one in found] == [("regression_none", "PASS"), ("regression_measured", "INCONCLUSIVE")]
    assert engine.certificate(fake.run(), fake.plan(), {**{layer: [fake.finding(layer)] for layer in engine.LAYERS}, "regression": found})["verdict"] != "PASS"
    # One that measured nothing at all.
    nothing = blocked(5)
    nothing["findings"] = [{**one, "value": None} for one in nothing["findings"]]
    keep(top, "run5", nothing)
    (finding,) = regressions(run(6), str(top), "run5")
    assert (finding["id"], finding["result"]) == ("regression_measured", "INCONCLUSIVE") and "no layer in common that was measured" in finding["reason"]


@pytest.mark.parametrize(
    ("before", "open_one"),
    [
        ({"value": None, "result": "INCONCLUSIVE"}, True),
        ({"value": None, "result": "INFO", "judged": False}, True),
        (None, True),
        ({"value": 0.009, "result": "INCONCLUSIVE"}, False),
        # It did not apply then, which was as good as it could be.
        ({"value": None, "result": "NOT_APPLICABLE"}, False),
    ],
)
def test_a_check_that_the_run_before_did_not_measure_stays_open(top, before, open_one):
    keep(top, "run3", run(3, findings={"etcd": [fake.finding("etcd"), *([fake.finding("etcd", 1, **before)] if before else [])]}))
    new = run(4, findings={"etcd": [fake.finding("etcd"), fake.finding("etcd", 1)]})
    keep(top, "run4", new)
    made = history_report.report(str(top), "run4", "run3")
    assert made["comparison"]["unmeasured_checks"] == (["etcd_1"] if open_one else []) and made["comparison"]["unmeasured"] == []
    assert ("did not measure them: etcd_1" in made["text"]) is open_one
    assert ("etcd_1" in [row["id"] for row in made["comparison"]["rows"]]) is not open_one
    found = regressions(new, str(top), "run3")
    assert [one["reason"] for one in found if one["result"] == "INCONCLUSIVE"] == (["Not compared: etcd_1, which run3 did not measure."] if open_one else [])


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
