# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The history of a cluster: what changed between two runs, whether it is beyond noise, and directories that are no runs of it."""

from __future__ import annotations

import copy
import json
import os
import pathlib
import re

import pytest
from ansible.errors import AnsibleFilterError
from ansible.module_utils.testing import patch_module_args
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.filter.regressions import regressions
from ansible_collections.kubeproof.certify.plugins.module_utils import certificate as engine
from ansible_collections.kubeproof.certify.plugins.module_utils import (
    certificate_parts,
    history_compare,
    history_report,
    history_runs,
    history_text,
    report_html,
)
from ansible_collections.kubeproof.certify.plugins.module_utils.human import cells
from ansible_collections.kubeproof.certify.plugins.modules import compare as module
from ansible_collections.kubeproof.certify.tests.unit.plugins import report_fake as fake

SCHEMA = json.loads((pathlib.Path(__file__).parents[4] / "docs" / "certificate.schema.json").read_text(encoding="utf-8"))


def run(number=0, value=0.009, findings=None, **more):
    """Return a certificate of the run with this number."""
    made = fake.certificate({"etcd": [fake.finding("etcd", value=value)], **(findings or {})}, sealed=False, **more)
    made["run"].update(id=f"run{number}", started=f"2026-11-{number + 1:02d}T00:00:00Z")
    return made


def compared(before, after, former=(), **more):
    """Return the row of the one check whose value was `before` and is `after`; `former`: values of earlier runs."""
    first, second = ({"etcd": [fake.finding("etcd", **{**more, **one}), fake.finding("etcd", 1)]} for one in (before, after))
    earlier = [history_runs.summary(run(number, one)) for number, one in enumerate(former)]
    made = history_compare.compare(run(20, findings=first), run(21, findings=second), earlier)
    return next(row for row in made["rows"] if row["id"] == "etcd_0")


def of(value, result="PASS", **more):
    return {"value": value, "result": result, **more}


MORE = {"target": "> 100", "critical": "> 50", "unit": "1/s"}
COUNT = {"unit": "count", "target": "< 10", "critical": "< 20"}
QUIET = (0.009, 0.0092, 0.0095, 0.0093, 0.0091, 0.0092, 0.0092, 0.0093)
NOISY = (0.005, 0.009, 0.013, 0.007, 0.011, 0.006, 0.012, 0.009)


@pytest.mark.parametrize(
    ("before", "after", "more", "expected"),
    [
        (of(0.009), of(0.009), {}, (False, "", False)),
        (of(0.009), of(0.0107), {}, (False, "worse", False)),
        (of(0.009), of(0.0109), {}, (True, "worse", True)),
        (of(0.009), of(0.0071), {}, (True, "better", False)),
        (of(200), of(150), MORE, (True, "worse", True)),
        (of(200), of(250), MORE, (True, "better", False)),
        (of([0.002, 0.004]), of([0.004, 0.008]), {}, (False, "worse", False)),
        (of([0.002, 0.004]), of([0.008, 0.016]), {}, (True, "worse", True)),
        (of([40.0, 41.0]), of([42.0, 43.0]), {"target": "< 100", "critical": None}, (False, "worse", False)),
        (of([0.002, 0.004]), of([0.008, None], "INCONCLUSIVE"), {}, (True, "worse", True)),
        (of(1), of(2), COUNT, (False, "worse", False)),
        (of(1), of(12, "CONDITIONAL"), COUNT, (True, "worse", True)),
        (of(True), of(False, "FAIL"), {"target": None, "critical": "== true", "unit": None}, (False, "worse", True)),
        # A result that is worse is a regression, whether there was a value or not.
        (of(None, "INCONCLUSIVE"), of(0.3, "FAIL"), {}, (False, "worse", True)),
        (of(None, "INCONCLUSIVE"), of(None, "INCONCLUSIVE"), {}, (False, "", False)),
        # Whatever was measured, and is not any more, is worse.
        (of(0.009), of(None, "INCONCLUSIVE"), {}, (False, "worse", True)),
        (of(0.3, "FAIL"), of(None, "INCONCLUSIVE"), {}, (False, "worse", True)),
        (of(0.3, "FAIL"), of(None, "NOT_APPLICABLE"), {}, (False, "worse", True)),
        (of(0.009), of(None, "NOT_APPLICABLE"), {}, (False, "worse", True)),
        (of(0.009), of(None, "INFO", judged=False), {}, (False, "worse", True)),
        # The same number, of which too few samples are there now, is not better than one that failed.
        (of(0.3, "FAIL"), of(0.3, "INCONCLUSIVE"), {}, (False, "", False)),
        (of(None, "NOT_APPLICABLE"), of(0.009), {}, (False, "", False)),
        (of(None, "NOT_APPLICABLE"), of(0.3, "FAIL"), {}, (False, "worse", True)),
        (of(0.009), of(0.02, "PASS", judged=False), {"judged": False}, (True, "worse", False)),
        (of(0), of(0.01), {}, (True, "worse", True)),
        (of(5), of(50), {"target": None, "critical": None, "result": "INFO"}, (True, "", False)),
        (of(0.3, "FAIL"), of(0.29, "FAIL"), {}, (False, "better", False)),
        (of(0.2, "NOT_APPLICABLE"), of(0.009), {}, (True, "better", False)),
    ],
)
def test_the_plain_rules(before, after, more, expected):
    row = compared(before, after, **more)
    assert (row["beyond"], row["direction"], row["regression"]) == expected


@pytest.mark.parametrize(
    ("former", "value", "beyond"),
    [
        (QUIET, 0.0101, False),
        (QUIET, 0.0102, True),
        (QUIET, 0.0083, False),
        (QUIET, 0.0082, True),
        (NOISY, 0.02, False),
        (NOISY, 0.026, True),
        # One bad run does not hide the next one.
        ((*QUIET[:7], 0.021), 0.02, True),
    ],
)
def test_noise_is_what_earlier_runs_measured(former, value, beyond):
    row = compared(of(0.0092), of(value), former)
    assert row["beyond"] is beyond and "8 earlier runs" in row["noise"]
    assert row["regression"] is (beyond and value > 0.0092)


def test_fewer_runs_are_too_few_to_tell():
    assert compared(of(0.0092), of(0.0102), QUIET[:7])["beyond"] is False


def test_a_count_has_no_noise_however_many_runs_there_are():
    assert compared(of(0, **COUNT), of(1, **COUNT), [0] * 8, **COUNT)["regression"] is False


@settings(max_examples=50, deadline=None)
@given(jitter=st.lists(st.floats(-0.02, 0.02), min_size=9, max_size=20))
def test_a_jitter_of_two_percent_is_no_regression(jitter):
    *former, last = [0.009 * (1 + one) for one in jitter]
    assert compared(of(former[-1]), of(last), former)["regression"] is False


@pytest.mark.parametrize(("finding", "gone"), [(of(0.3, "FAIL"), True), (of(0.009), True), (of(None, "INCONCLUSIVE"), False), (of(1, judged=False), False)])
def test_a_check_that_is_gone_is_a_regression_when_it_was_measured(finding, gone):
    before, after = run(1, findings={"etcd": [fake.finding("etcd"), fake.finding("etcd", 1, **finding)]}), run(2)
    rows = [(row["id"], row["noise"]) for row in history_compare.compare(before, after)["rows"] if row["regression"]]
    assert rows == ([("etcd_1", "It has no finding any more.")] if gone else [])


def other(**more):
    return {"name": "prod", "uid": fake.UID, "kubernetes": "v1.36.3", "nodes": 5, **more}


def scaled(certificate, scale):
    certificate["run"]["time_scale"] = scale
    return certificate


def like_interrupted(state):
    return {**fake.load("interrupted"), "state": state}


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        (run(1), run(2, cluster=other(uid="another")), "it is of another cluster"),
        (run(1), run(2, cluster={"name": "prod"}), "it is of another cluster"),
        (run(1, cluster={"name": "a"}), run(2, cluster={"name": "b"}), r"it is of another cluster \(a, not b\)"),
        (run(1), run(2, profile="soak"), "its profile is load, not soak"),
        (run(1), scaled(run(2), 0.1), "its time scale is 1, not 0.1"),
        (fake.load("interrupted"), fake.load("interrupted"), "was interrupted"),
        (like_interrupted("finished"), fake.load("interrupted"), "nothing to compare"),
        (run(1, layers=("dns",), findings={"etcd": []}), run(2, layers=("etcd",)), "no layer in common"),
    ],
)
def test_what_cannot_be_compared(first, second, text):
    with pytest.raises(history_runs.HistoryError, match=text):
        history_compare.compare(first, second)


def setting(number, value, **more):
    own = {"id": f"tuning_kubelet_{number}", "title": f"Setting {number}", "entry": "worker1", "unit": "count", "target": None, "critical": None}
    return fake.finding("tuning", value=value, result="INFO", judged=False, **{**own, "where": "/etc/x", "write": f"a: {value}", **more})


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((1, 1), "No setting that both runs read has changed"),
        ((2, 1), r"One setting has changed \(Setting 0\)"),
        ((2, 2), "2 settings have changed: .* cannot be"),
    ],
)
def test_one_setting_is_what_a_change_can_be_attributed_to(values, text):
    first = {"tuning": [setting(0, 1), setting(1, 1), setting(2, 5, write=None), setting(3, 5)]}
    second = {"tuning": [setting(0, values[0]), setting(1, values[1]), setting(2, 6, write=None), setting(4, 6)]}
    made = history_compare.compare(run(1, findings=first), run(2, findings=second))
    assert re.search(text, made["attribution"])
    assert len(made["tuning"]) == sum(value != 1 for value in values)


def test_what_else_is_different_is_told():
    made = history_compare.compare(run(1), run(2, cluster=other(kubernetes="v1.37.0", nodes=6), version="0.2.0"))
    assert made["others"] == [{"what": "Kubernetes", "before": "v1.36.3", "after": "v1.37.0"}, {"what": "nodes", "before": 5, "after": 6},
                              {"what": "kubeproof.certify", "before": "0.1.0", "after": "0.2.0"}]  # fmt: skip


@pytest.mark.parametrize(("mode", "verdict"), [("warn", "CONDITIONAL"), ("fail", "FAIL")])
def test_regressions_are_findings_of_a_certificate(mode, verdict):
    jsonschema = pytest.importorskip("jsonschema")
    bad, good = history_compare.compare(run(1), run(2, 0.02)), history_compare.compare(run(1), run(2))
    for made, expected in ((bad, verdict), (good, "PASS")):
        found = history_compare.regressions(made, mode, "prod")
        layers = {layer: [fake.finding(layer)] for layer in engine.LAYERS}
        certificate = engine.certificate(fake.run(), fake.plan(), {**layers, "regression": found})
        assert certificate["verdict"] == certificate["layer_verdicts"]["regression"]["verdict"] == expected
        jsonschema.validate(json.loads(json.dumps(certificate)), SCHEMA)
    (finding,) = history_compare.regressions(bad, mode, "prod")
    assert "Worse than in run1 by +122%: PASS to PASS; more than 20%" in finding["reason"]
    with pytest.raises(history_runs.HistoryError, match="Write warn or fail"):
        history_compare.regressions(bad, "maybe", "prod")


# On disk -----------------------------------------------------------------------------------------------------------------------


def keep(top, name, document):
    """Write a text, or a document with the digest that it had if it had been sealed so."""
    directory = top / name
    if isinstance(document, dict):
        document = {**document, "digest": certificate_parts.digest(document)}
    directory.mkdir(parents=True)
    (directory / "certificate.json").write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return directory


@pytest.fixture(name="top")
def fixture_top(tmp_path):
    """Return a directory with three runs, two of another kind, and much that is no run."""
    for number, value in enumerate((0.009, 0.0091, 0.02)):
        keep(tmp_path, f"run{number}", run(number, value))
    keep(tmp_path, "smoke", run(8, profile="smoke"))
    keep(tmp_path, "foreign", run(9, cluster=other(uid="another")))
    interrupted = fake.load("interrupted")
    interrupted["cluster"] = other()
    keep(tmp_path, "interrupted", interrupted)
    for name, text in {"cut": json.dumps(run())[:-100], "empty": "", "list": "[]", "nan": '{"a": NaN}', "other": '{"a": 1}'}.items():
        keep(tmp_path, name, text)
    damaged = run()
    damaged["findings"] = [{}]
    keep(tmp_path, "damaged", damaged)
    (tmp_path / "nothing").mkdir()
    # Ours, and no run: nothing has to be said of them.
    (tmp_path / "audit-20261121t040000z").mkdir()
    (tmp_path / "soak").mkdir()
    (tmp_path / "file").write_text("x", encoding="utf-8")
    (tmp_path / "link").symlink_to("/no/such/directory")
    (tmp_path / "loop" / "certificate.json").mkdir(parents=True)
    return tmp_path


NO_RUNS = ["cut", "damaged", "empty", "list", "loop", "nan", "nothing", "other"]


def names(rows):
    return sorted(os.path.basename(row["path"]) for row in rows)


def test_damaged_and_foreign_directories_are_named_and_skipped(top):
    found, skipped = history_runs.runs(str(top))
    assert names(found) == ["foreign", "interrupted", "run0", "run1", "run2", "smoke"]
    assert names(skipped) == NO_RUNS and all(row["reason"] for row in skipped)
    made = history_report.report(str(top), after="run2")
    assert names(made["runs"]) == ["interrupted", "run0", "run1", "run2", "smoke"]
    assert names(made["skipped"]) == sorted([*NO_RUNS, "foreign"])
    assert all(name in made["text"] for name in NO_RUNS)


def test_the_newest_is_compared_with_the_one_before_of_its_profile(top):
    (top / "smoke" / "certificate.json").unlink()
    (top / "foreign" / "certificate.json").unlink()
    made = history_report.report(str(top))
    assert (made["comparison"]["before"]["id"], made["comparison"]["after"]["id"]) == ("run1", "run2")
    assert "COMPARISON: 1 regression\n" in made["text"] and "9.1 ms       20 ms        +120%" in made["text"]
    (trend,) = made["trends"]
    assert (trend["runs"], trend["first"], trend["last"], trend["drawn"]) == (3, 0.009, 0.02, "▁▁█")


@pytest.mark.parametrize("before", ["run0", "{top}/run0", "{top}/run0/certificate.json"])
def test_a_baseline(top, before):
    made = history_report.report(str(top), "run2", before.format(top=top))
    assert made["comparison"]["before"]["id"] == "run0"


def test_a_baseline_that_is_not_there_or_of_another_cluster(top):
    with pytest.raises(history_runs.HistoryError, match="There is no run none in"):
        history_report.report(str(top), "run2", "none")
    with pytest.raises(history_runs.HistoryError, match="it is of another cluster"):
        history_report.report(str(top), "run2", "foreign")
    with pytest.raises(history_runs.HistoryError, match="not a JSON document"):
        history_report.report(str(top), "run2", "cut")


def test_the_first_run_has_nothing_to_be_compared_with(tmp_path):
    keep(tmp_path, "run0", run())
    made = history_report.report(str(tmp_path))
    assert made["comparison"] is None and "is the first of its profile, time scale and layers" in made["text"]
    with pytest.raises(history_runs.HistoryError, match="has no run that ended"):
        history_report.report(str(tmp_path / "run0"))
    with pytest.raises(history_runs.HistoryError, match="Cannot read"):
        history_report.report(str(tmp_path / "none"))


def test_kept_summaries_are_those_of_the_files(top):
    first = history_runs.runs(str(top))
    kept = top / ".history.json"
    assert kept.is_file() and history_runs.runs(str(top)) == first
    changed = run(1, 0.03)
    (top / "run1" / "certificate.json").write_text(json.dumps(changed), encoding="utf-8")
    assert history_runs.summary(changed)["values"] in [one["values"] for one in history_runs.runs(str(top))[0]]
    expected = history_runs.runs(str(top))
    damaged = ({}, [], {"schema": 1, "runs": {"run1": {}}}, {"schema": 1, "runs": {"run1": {"summary": {}, "mark": 1}}}, {"schema": 2, "runs": 1})
    for text in ("", "{", *map(json.dumps, damaged)):
        kept.write_text(text, encoding="utf-8")
        assert history_runs.runs(str(top)) == expected
    kept.unlink()
    assert history_runs.runs(str(top), keep=False) == expected and not kept.exists()


def test_the_text_fits_the_terminal(top):
    kept = ("result", "verdict", "state", "profile", "layers", "scope", "uid", "started", "target", "critical", "id", "layer")
    hostile = fake.poisoned(run(2), fake.HOSTILE[4] + fake.HOSTILE[5] + "日本語" * 40, kept)
    hostile["findings"][0].update(value=0.9, result="FAIL")
    text = history_text.comparison(history_compare.compare(run(1), hostile)) + history_report.report(str(top))["text"]
    for line in text.split("\n"):
        assert line.isprintable() and (cells(line) <= 100 or line.startswith(("After ", "  ")) or "/" in line), line


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_run_is_refused_and_never_an_exception(data, tmp_path_factory):
    document = copy.deepcopy(run(3))
    place = document
    for dummy in range(data.draw(st.integers(0, 3))):
        inner = [one for one in (place.values() if isinstance(place, dict) else place) if isinstance(one, (dict, list)) and one]
        place = data.draw(st.sampled_from(inner)) if inner else place
    key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    place[key] = data.draw(st.sampled_from([None, True, 0, -1.5, 1e308, "", "x", [], {}, [None], [1, None], [[], {}], {"a": "b"}]))
    top = tmp_path_factory.mktemp("runs")
    keep(top, "run1", run(1))
    keep(top, "run3", document)
    found, skipped = history_runs.runs(str(top))
    assert len(found) + len(skipped) == 2 and "run1" in names(found)
    try:
        history_report.report(str(top), "run3", "run1")
    except history_runs.HistoryError as error:
        assert str(error)


def test_the_regressions_of_a_run_that_has_just_ended(top):
    (finding,) = regressions(run(5, 0.02), str(top), "run0", "fail")
    assert (finding["id"], finding["result"]) == ("regression_etcd_0", "FAIL")
    assert [one["result"] for one in regressions(run(5), str(top), str(top / "run1"))] == ["PASS"]
    for baseline in ("none", "foreign", "cut", "smoke", "damaged", "interrupted"):
        (finding,) = regressions(run(5), str(top), baseline)
        assert (finding["id"], finding["result"]) == ("regression_measured", "INCONCLUSIVE") and finding["reason"].startswith("Not compared: ")
    with pytest.raises(AnsibleFilterError, match="Write warn or fail"):
        regressions(run(5), str(top), "run0", "maybe")


def test_the_trend_is_drawn_over_the_runs_before(top):
    (plot,) = history_report.trend(run(5, 0.011), str(top))
    assert plot["runs"] == ["run0", "run1", "run2", "run5"] and plot["layer"] == "etcd"
    assert plot["rows"] == [{"name": "Latency 0", "unit": "s", "target": "< 0.025", "critical": "< 0.05", "sizes": [0.009, 0.0091, 0.02, 0.011]}]
    assert history_report.trend(run(0), str(top)) == history_report.trend(run(5), "/none") == history_report.trend({}, str(top)) == []
    odd = {**plot, "rows": [{"name": "x", "sizes": [1, None]}, {"name": "y", "sizes": None}, {"sizes": [0, 0]}]}
    page = report_html.render({**run(5), "plots": [plot, odd]})
    assert "4 runs, first 9 ms, last 11 ms" in page


# The module --------------------------------------------------------------------------------------------------------------------


def test_the_module(top, capsys):
    def call(**arguments):
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        return json.loads(capsys.readouterr().out)

    answer = call(results=str(top), after="run2", _ansible_check_mode=True)
    assert answer["regressions"] == 1 and not (top / "run2" / "comparison.json").exists() and not (top / ".history.json").exists()
    answer = call(results=str(top), after="run2", regression="fail")
    assert answer["regressions"] == 1 and answer["findings"][0]["result"] == "FAIL" and answer["findings"][0]["host"] == top.name
    assert json.loads((top / "run2" / "comparison.json").read_text(encoding="utf-8"))["comparison"] == answer["comparison"]
    # Ansible takes a result with the key `skipped` for that of a task that was skipped.
    assert names(answer["skipped_directories"]) == sorted([*NO_RUNS, "foreign"]) and "skipped" not in answer
    assert "There is no run none" in call(results=str(top), after="none")["msg"]
    assert "run2 is of another cluster" in call(results=str(top), after="run2", uid="x")["msg"]
