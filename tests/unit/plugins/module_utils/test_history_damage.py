# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is compared is as it was sealed, of the cluster that is meant, and two runs; what was kept of the runs is never why nothing can be said."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.filter.baseline_problem import FilterModule
from ansible_collections.kubeproof.certify.plugins.filter.regressions import regressions
from ansible_collections.kubeproof.certify.plugins.module_utils import certificate_parts, history_kept, history_report, history_runs, report_seal
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
    ({"run": {**run()["run"], "time_scale": "1"}}, "its id, times, time scale, cluster, layers or values are not what a run writes"),
]
# Sealed as a whole certificate is, and yet no run writes it.
RESEALED = [
    {"run": {**run(2)["run"], "started": 5}},
    {"run": {**run(2)["run"], "started": "tomorrow"}},
    {"run": {**run(2)["run"], "id": ["run2"]}},
    {"run": {**run(2)["run"], "time_scale": True}},
    {"findings": [{**one, "id": 5} for one in run(2)["findings"]]},
    {"findings": [{**one, "value": None} for one in run(2)["findings"]] + [{**one, "id": 5} for one in run(2)["findings"]]},
    {"findings": [{**one, "unit": {}} for one in run(2)["findings"]]},
    {"findings": [{**one, "host": [1]} for one in run(2)["findings"]]},
    {"hosts": {"etcd": 3}},
    {"tools": {"etcd": ["fio"]}},
    {"waivers": [1]},
    {"not_applicable": [{}]},
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


def reseal(top, name, **change):
    damage(top, name, **change)
    damage(top, name, digest=certificate_parts.digest(json.loads((top / name / "certificate.json").read_text(encoding="utf-8"))))


@pytest.mark.parametrize("change", RESEALED)
def test_one_directory_that_no_run_wrote_is_never_fatal(top, change):
    """Whether it sorts as the newest or as the one before, and although its digest is right."""
    reseal(top, "run2", **change)
    made = history_report.report(str(top))
    assert (made["comparison"]["before"]["id"], made["comparison"]["after"]["id"]) == ("run0", "run1")
    assert "run2" in names(made["skipped"])
    keep(top, "run3", run(3))
    made = history_report.report(str(top))
    assert (made["comparison"]["before"]["id"], made["comparison"]["after"]["id"]) == ("run1", "run3")
    assert "run2" in names(made["skipped"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_was_sealed_is_never_fatal(data, top):
    document = copy.deepcopy(run(2))
    place = document
    for dummy in range(data.draw(st.integers(0, 4))):
        inner = [one for one in (place.values() if isinstance(place, dict) else place) if isinstance(one, (dict, list)) and one]
        place = data.draw(st.sampled_from(inner)) if inner else place
    place[data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))] = data.draw(st.sampled_from(JUNK))
    reseal(top, "run2", **document)
    made = history_report.report(str(top))
    assert made["comparison"] or "run2" in names(made["runs"])


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


def leave(top, number, value=0.009):
    """Keep a run as its end leaves it, sealed and with its summary beside it."""
    directory = keep(top, f"run{number}", json.dumps(run(number, value)))
    report_seal.seal(str(directory), 90)
    return directory


@pytest.fixture(name="ended")
def fixture_ended(tmp_path):
    """Return a directory with two runs that ended with this version."""
    for number in (0, 1):
        leave(tmp_path, number)
    (tmp_path / history_kept.KEPT).unlink(missing_ok=True)
    return tmp_path


@pytest.fixture(name="read")
def fixture_read(monkeypatch):
    """Return the names of the runs whose certificate was read and looked through."""
    found, real = [], history_runs.read_json
    monkeypatch.setattr(history_runs, "read_json", lambda path: found.append(path.split("/")[-2]) or real(path))
    return found


def test_a_run_that_ended_is_read_by_nobody_again(ended, read, tmp_path_factory):
    """A copy has other times, and its reader nothing but the runs."""
    first = history_runs.runs(str(ended))
    copied = tmp_path_factory.mktemp("copy") / "prod"
    shutil.copytree(ended, copied, copy_function=shutil.copyfile)
    for one in copied.glob("*/*"):
        os.utime(one, (1, 1))
    second = history_runs.runs(str(copied))
    assert read == [] and not list(ended.glob(".*")) and not list(copied.glob(".*"))
    assert [[{**one, "path": ""} for one in rows] for rows, dummy in (first, second)] == [
        [{**history_runs.summary(run(number, 0.009)), "path": ""} for number in (0, 1)]
    ] * 2


def change_certificate(directory):
    path = directory / "certificate.json"
    status = path.stat()
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("0.009", "0.008"), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != text
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def forge(directory):
    """Write what stands for the certificate by its own sums, and does not follow from it."""
    seen = history_kept.look(str(directory))
    made = {**history_runs.summary(run(1)), "heading": "forged"}
    history_kept.leave(str(directory), history_kept.text_of(made))
    (directory.parent / history_kept.KEPT).write_text(json.dumps({"schema": history_kept.SCHEMA, "runs": {"run1": history_kept.row(seen, made)}}))


@pytest.mark.parametrize(
    "change",
    [
        lambda one: (one / "history.json").unlink(),
        lambda one: (one / "history.json").write_text("", encoding="utf-8"),
        lambda one: (one / "history.json").write_text((one / "history.json").read_text(encoding="utf-8").replace("LOAD", "DEAD"), encoding="utf-8"),
        lambda one: (one / "history.json").write_text((one / "history.json").read_text(encoding="utf-8").replace("0.009", "0.001"), encoding="utf-8"),
        lambda one: (one / "history.json").write_bytes((one.parent / "run0" / "history.json").read_bytes()),
        change_certificate,
        forge,
    ],
)
def test_what_does_not_follow_from_the_certificate_is_never_believed(ended, read, change):
    """Stale, damaged or forged: that certificate is read, and the other one is not."""
    change(ended / "run1")
    found = history_runs.runs(str(ended))[0]
    assert read == ["run1"]
    document = json.loads((ended / "run1" / "certificate.json").read_text(encoding="utf-8"))
    assert found[1] == {**history_runs.summary(document), "path": str(ended / "run1")}
    read.clear()
    # Then its summary is kept beside the runs, as that of a run without one.
    assert history_runs.runs(str(ended))[0] == found and read == ([] if change is not change_certificate else ["run1"])


def test_the_seal_says_what_follows_from_the_certificate(ended):
    document = json.loads((ended / "run1" / "certificate.json").read_text(encoding="utf-8"))
    assert document["history"] == hashlib.sha256((ended / "run1" / "history.json").read_bytes().split(b'"summary":')[1][:-2]).hexdigest()
    assert history_kept.look(str(ended / "run1")).vouched == document["history"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stands_in_the_kept_file_is_never_fatal(data, top):
    path = top / history_kept.KEPT
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


def altered(row, **change):
    """Change the summary of a row, with its own digest right again."""
    made = {**json.loads(row["summary"]), **change}
    text = json.dumps({key: value for key, value in made.items() if value != "gone"})
    row.update(summary=text, digest=hashlib.sha256(text.encode()).hexdigest())


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row.pop("certificate"),
        lambda row: row.update(certificate=None),
        lambda row: row.update(summary={}),
        lambda row: row.update(summary=row["summary"].replace("LOAD", "DEAD")),
        lambda row: row.update(digest=None),
        lambda row: row.update(summary="[" * 100000, digest=hashlib.sha256(b"[" * 100000).hexdigest()),
        lambda row: altered(row, started=None),
        lambda row: altered(row, layers=[1]),
        lambda row: altered(row, values={"etcd_0": [0.1]}),
        lambda row: altered(row, values={"etcd_0": [1e308, True]}),
        lambda row: altered(row, values={"etcd_0": ["1", True]}),
        lambda row: altered(row, uid="gone"),
    ],
)
def test_a_damaged_row_is_read_anew_and_the_others_are_not(top, read, change):
    """Of certificates whose seal says nothing of their summaries, as one without indentation does not."""
    path = top / history_kept.KEPT
    expected = history_runs.runs(str(top))
    kept = json.loads(path.read_text(encoding="utf-8"))
    changed = copy.deepcopy(kept)
    change(changed["runs"]["run1"])
    path.write_text(json.dumps(changed), encoding="utf-8")
    read.clear()
    assert history_runs.runs(str(top)) == expected and read == ["run1"]
    assert json.loads(path.read_text(encoding="utf-8")) == kept


def test_a_copy_of_the_results_is_not_read_again(top, read, tmp_path_factory):
    expected = [one["id"] for one in history_runs.runs(str(top))[0]]
    copied = tmp_path_factory.mktemp("copy") / "prod"
    shutil.copytree(top, copied, copy_function=shutil.copyfile)
    read.clear()
    assert [one["id"] for one in history_runs.runs(str(copied))[0]] == expected and read == []


def test_a_pipe_in_the_place_of_a_file_keeps_nobody_waiting(ended):
    os.mkfifo(ended / "run0" / "pipe")
    os.replace(ended / "run0" / "pipe", ended / "run0" / "certificate.json")
    (ended / "run1" / "history.json").unlink()
    os.mkfifo(ended / "run1" / "history.json")
    found, skipped = history_runs.runs(str(ended))
    assert (names(found), names(skipped)) == (["run1"], ["run0"])
