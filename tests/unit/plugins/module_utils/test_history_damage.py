# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is compared is as it was sealed, of the cluster that is meant, and two runs; what was kept of the runs is never why nothing can be said."""

from __future__ import annotations

import copy
import json
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.filter.baseline_problem import FilterModule
from ansible_collections.kubeproof.certify.plugins.filter.regressions import regressions
from ansible_collections.kubeproof.certify.plugins.module_utils import certificate_parts, history_report, history_runs
from ansible_collections.kubeproof.certify.plugins.module_utils.history_runs import HistoryError
from ansible_collections.kubeproof.certify.tests.unit.plugins import report_fake as fake
from ansible_collections.kubeproof.certify.tests.unit.plugins.module_utils.test_history import keep, names, other, run

JUNK = [None, True, 0, -1.5, 1e308, "", "x", [], {}, [None], [1, None], [[], {}], {"a": "b"}, {"summary": 1}]
ANOTHER = "7d0e2f4a-0000-4000-8000-000000000001"


@pytest.fixture(name="top")
def fixture_top(tmp_path):
    """Return a directory with three whole runs."""
    for number, value in enumerate((0.009, 0.0091, 0.02)):
        keep(tmp_path, f"run{number}", run(number, value))
    return tmp_path


def damage(top, name, **change):
    """Change the certificate of a run as an editor does; a key that becomes None is removed."""
    path = top / name / "certificate.json"
    document = {**json.loads(path.read_text(encoding="utf-8")), **change}
    path.write_text(json.dumps({key: value for key, value in document.items() if value is not None}), encoding="utf-8")


CHANGES = [
    ({"message": "Everything is fine."}, "it was changed after it was sealed (its digest is wrong)"),
    ({"findings": [{**one, "value": 0.5} for one in run()["findings"]]}, "it was changed after it was sealed (its digest is wrong)"),
    ({"digest": "0" * 64}, "it was changed after it was sealed (its digest is wrong)"),
    ({"digest": [1]}, "it was changed after it was sealed (its digest is wrong)"),
    ({"digest": None}, "it has no seal (its digest is missing)"),
    ({"run": {**run()["run"], "time_scale": "1"}}, "its time scale, its cluster or its layers are of another type"),
]


@pytest.mark.parametrize(("change", "text"), CHANGES)
def test_a_run_that_was_changed_is_named_and_skipped(top, change, text):
    """Whether it is the one before or the newest; the next one is taken."""
    keep(top, "run3", run(3))
    damage(top, "run2", **change)
    for before, after in (("run1", "run3"), ("run0", "run1")):
        made = history_report.report(str(top))
        assert (made["comparison"]["before"]["id"], made["comparison"]["after"]["id"]) == (before, after)
        assert "run2" in names(made["skipped"]) and "run2" not in names(made["runs"]) and f"\n{top}/run2" in made["text"].split("SKIPPED")[1]
        assert any(text in row["reason"] for row in made["skipped"])
        damage(top, "run3", **change)


def test_only_damaged_runs_are_none_that_ended(top):
    for name in ("run0", "run1", "run2"):
        damage(top, name, message="x")
    with pytest.raises(HistoryError, match="has no run that ended. Skipped: .*its digest is wrong"):
        history_report.report(str(top))


@pytest.mark.parametrize(("change", "text"), CHANGES)
def test_a_baseline_that_was_changed_is_never_left_out_silently(top, change, text):
    damage(top, "run0", **change)
    (finding,) = regressions(run(5), str(top), "run0")
    assert (finding["id"], finding["result"]) == ("regression_measured", "INCONCLUSIVE") and text in finding["reason"]
    planned = {"cluster": {"name": "prod", "uid": fake.UID}, "profile": "load", "time_scale": 1.0}
    assert text in FilterModule().filters()["baseline_problem"](planned, ["etcd"], top, "run0")
    for after, before in (("run2", "run0"), ("run0", None)):
        with pytest.raises(HistoryError) as caught:
            history_report.report(str(top), after, before)
        assert text in str(caught.value)


@pytest.mark.parametrize("odd", ["1e999", "[" * 900 + "]" * 900, '"\\ud800"'])
def test_what_cannot_be_digested_is_no_seal(top, odd):
    path = top / "run2" / "certificate.json"
    path.write_text(path.read_text(encoding="utf-8").replace("{", f'{{"odd": {odd}, ', 1), encoding="utf-8")
    with pytest.raises(HistoryError, match="its digest is wrong"):
        history_runs.load(str(top / "run2"))


def test_one_that_was_interrupted_needs_no_seal_to_be_told_so(top):
    for digest in (None, "sealed"):
        document = {**fake.load("interrupted"), "cluster": other()}
        document["digest"] = digest and certificate_parts.digest(document)
        damage(top, "run0", **{**dict.fromkeys(run()), **document})
        with pytest.raises(HistoryError, match="it was interrupted"):
            history_report.report(str(top), "run2", "run0")


@pytest.mark.parametrize(("after", "before"), [(None, "run2"), ("run2", "run2"), ("run1", "{top}/run1/certificate.json"), ("run2", "copy")])
def test_a_run_is_not_compared_with_itself(top, after, before):
    (top / "copy").mkdir()
    (top / "copy" / "certificate.json").write_bytes((top / "run2" / "certificate.json").read_bytes())
    with pytest.raises(HistoryError, match="is both runs, and a run is not compared with itself. Name an earlier run .* compare_before"):
        history_report.report(str(top), after, before.format(top=top))


# Clusters ----------------------------------------------------------------------------------------------------------------------


def test_the_cluster_that_is_meant_wins_over_a_newer_run_of_another(top):
    keep(top, "run3", run(3, cluster=other(uid=ANOTHER)))
    made = history_report.report(str(top))
    assert made["comparison"] is None and names(made["runs"]) == ["run3"]
    assert made["text"].startswith(
        f"OTHER CLUSTERS\n3 of 4 runs are of other clusters and skipped: taken was {ANOTHER}, the\ncluster of run3. 3 are of {fake.UID}: if that is"
    )
    for uid, after in ((fake.UID, None), (None, "run2"), (fake.UID, "run2")):
        made = history_report.report(str(top), after, uid=uid)
        assert (made["comparison"]["before"]["id"], made["comparison"]["after"]["id"]) == ("run1", "run2")
        assert "OTHER CLUSTERS" not in made["text"] and names(made["skipped"]) == ["run3"]


@pytest.mark.parametrize(
    ("after", "uid", "text"),
    [
        (None, ANOTHER, f"has 3 runs, and none of the cluster {ANOTHER} that ended. Correct certify_cluster_uid"),
        ("run1", ANOTHER, f"run1 is of another cluster: its uid is {fake.UID}, and certify_cluster_uid is {ANOTHER}."),
    ],
)
def test_a_cluster_without_runs_is_no_other_one(top, after, uid, text):
    with pytest.raises(HistoryError, match=text):
        history_report.report(str(top), after, uid=uid)


def test_as_many_of_another_cluster_are_only_skipped(top):
    for number in (3, 4, 5):
        keep(top, f"run{number}", run(number, cluster=other(uid=None) if number == 3 else other(uid=ANOTHER)))
    assert "OTHER CLUSTERS" not in history_report.report(str(top), "run2")["text"]


# What is kept ------------------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stands_in_the_kept_file_is_never_fatal(data, top):
    path = top / history_runs.KEPT
    path.unlink(missing_ok=True)
    expected = history_report.report(str(top), "run2", "run1")["comparison"]
    good = history_runs.runs(str(top))
    document = json.loads(path.read_text(encoding="utf-8"))
    place = document
    for dummy in range(data.draw(st.integers(0, 5))):
        inner = [one for one in (place.values() if isinstance(place, dict) else place) if isinstance(one, (dict, list)) and one]
        place = data.draw(st.sampled_from(inner)) if inner else place
    key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    if data.draw(st.booleans()):
        del place[key]
    else:
        place[key] = data.draw(st.sampled_from(JUNK))
    path.write_text(json.dumps(document), encoding="utf-8")
    assert history_report.report(str(top), "run2", "run1")["comparison"] == expected
    assert names(history_runs.runs(str(top))[0]) == names(good[0])


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row.pop("mark"),
        lambda row: row.update(mark=None),
        lambda row: row["summary"].update(started=None),
        lambda row: row["summary"].update(layers=[1]),
        lambda row: row["summary"]["values"].update(etcd_0=[0.1]),
        lambda row: row["summary"]["values"].update(etcd_0=[1e308, True]),
        lambda row: row["summary"]["values"].pop("etcd_0"),
        lambda row: row.update(digest=None),
        lambda row: row["summary"]["values"].update(etcd_0=["1", True]),
        lambda row: row["summary"].pop("uid"),
    ],
)
def test_a_damaged_row_is_read_anew_and_the_others_are_not(top, change):
    path = top / history_runs.KEPT
    expected = history_runs.runs(str(top))
    kept = json.loads(path.read_text(encoding="utf-8"))
    # One that stays is believed.
    row = kept["runs"]["run0"]
    row["summary"]["heading"] = "believed"
    row["digest"] = certificate_parts.digest(row)
    changed = copy.deepcopy(kept)
    change(changed["runs"]["run1"])
    path.write_text(json.dumps(changed), encoding="utf-8")
    expected[0][0]["heading"] = "believed"
    assert history_runs.runs(str(top)) == expected
    assert json.loads(path.read_text(encoding="utf-8")) == kept


def test_a_copy_of_the_results_is_not_read_again(top, tmp_path_factory, monkeypatch):
    expected = [one["id"] for one in history_runs.runs(str(top))[0]]
    copied = tmp_path_factory.mktemp("copy") / "prod"
    shutil.copytree(top, copied, symlinks=True)
    kept = json.loads((copied / history_runs.KEPT).read_text(encoding="utf-8"))
    monkeypatch.setattr(history_runs, "read_json", lambda path: kept if history_runs.KEPT in path else None)
    assert [one["id"] for one in history_runs.runs(str(copied))[0]] == expected
