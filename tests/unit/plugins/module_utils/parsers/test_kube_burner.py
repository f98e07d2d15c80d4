# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import math
import pathlib
import shutil

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils.parsers import kube_burner
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers.common import ParseError

FIXTURES = pathlib.Path(__file__).parents[4] / "fixtures" / "kube_burner"
RUNS = sorted(path for path in FIXTURES.iterdir() if path.is_dir())
SUMMARY = "jobSummary.json"
PODS = "podLatencyMeasurement-kubeproof-pods.json"
QUANTILES = "podLatencyQuantilesMeasurement-kubeproof-pods.json"
LOG = "kube-burner-kb-smoke.log"
GARBAGE = (b"", b"NaN", b"-1", b"1e999", b"9" * 400, b"null", b"true", b"[", b"]", b"{", b'"', b"\x00", b"\xff", b"\n", b",", b"\\ud800")


@pytest.fixture
def run(tmp_path):
    """Return a copy of the index of a good run."""
    return pathlib.Path(shutil.copytree(FIXTURES / "smoke", tmp_path / "index"))


def change(run, file, edit):
    """Edit the documents of a file in place; `edit` changes them, or returns others."""
    documents = json.loads((run / file).read_text(encoding="utf-8"))
    documents = edit(documents) or documents
    (run / file).write_text(json.dumps(documents), encoding="utf-8")


def each(**values):
    """Return an edit that sets keys of the first document; None removes one."""

    def edit(documents):
        documents[0].update(values)
        for key in [key for key, value in values.items() if value is None]:
            del documents[0][key]

    return edit


def config(**values):
    """Return an edit that sets keys of the first summary's jobConfig."""
    return lambda documents: documents[0]["jobConfig"].update(values)


def undeclare(run):
    """Take the counts, and the checks of them, out of an index."""
    change(run, SUMMARY, each(kubeproof=None))
    (run / QUANTILES).unlink()


@pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in RUNS])
def test_recorded(path):
    expected = yaml.safe_load((FIXTURES / f"{path.name}.expected.yml").read_text(encoding="utf-8"))
    try:
        result = {"facts": kube_burner.parse(str(path))}
    except ParseError as error:
        result = {"error": str(error)}
    assert result == expected


@given(st.lists(st.integers(0, 100_000), max_size=60), st.integers(0, 60), st.sampled_from(["p50", "p90", "p95", "p99", "max"]))
def test_a_quantile_is_the_value_at_its_rank_and_the_lost_are_the_slowest(values, lost, key):
    found = kube_burner.latency(values, lost)
    ordered = [value / 1000 for value in sorted(values)] + [math.inf] * lost
    assert found["count"] == len(ordered)
    if not ordered:
        assert set(found) == {"count"}
        return
    share = {"p50": 50, "p90": 90, "p95": 95, "p99": 99, "max": 100}[key]
    value = next(value for rank, value in enumerate(ordered, 1) if rank * 100 >= share * len(ordered))
    assert found[key] == ([max(values, default=0) / 1000, None] if value == math.inf else value)


def test_quantiles_of_conditions_are_a_second_wide_on_either_side():
    assert kube_burner.latency([0, 2000], 0, around=1.0) == {"count": 2, "p50": [0.0, 1.0], **dict.fromkeys(("p90", "p95", "p99", "max"), [1.0, 3.0])}


@pytest.mark.parametrize("kept", [9, 1, 0])
def test_pods_that_are_missing_are_slower_than_every_bound(run, kept):
    """kube-burner leaves out a pod that never was ready, and its own percentiles look good."""
    change(run, SUMMARY, each(passed=False))
    change(run, PODS, lambda documents: documents[:kept])
    (run / QUANTILES).unlink()
    if not kept:
        (run / PODS).unlink()
    pods = kube_burner.parse(str(run))["pods"]
    assert (pods["expected"], pods["measured"], pods["missing"]) == (10, kept, 10 - kept)
    assert pods["latency"]["count"] == 10 and pods["latency"]["p99"][1] is None
    assert pods["phases"]["ready"]["p99"][1] is None
    assert isinstance(pods["latency"]["p90"], float) is (kept == 9)


def test_passed_without_any_latency_is_an_error(run):
    for file in (PODS, QUANTILES):
        (run / file).unlink()
    with pytest.raises(ParseError) as caught:
        kube_burner.parse(str(run))
    assert str(caught.value) == "kube-burner says that job kubeproof-pods passed, but it has no latency of any of 10 pods."


def test_a_pod_without_its_event_did_not_start_at_once(run):
    (run / QUANTILES).unlink()
    change(run, PODS, each(containersStartedLatency=0))
    pods = kube_burner.parse(str(run))["pods"]
    assert (pods["measured"], pods["missing"], pods["unstamped"]) == (10, 0, 1)
    assert pods["latency"]["max"][1] is None and pods["phases"]["ready"]["max"][1] is not None


def test_who_waited_in_vain_waited_for_the_whole_time(tmp_path):
    index = pathlib.Path(shutil.copytree(FIXTURES / "image-missing", tmp_path / "index"))
    pods = kube_burner.parse(str(index))["pods"]
    assert pods["latency"]["p50"] == pods["phases"]["ready"]["p50"] == [15.0, None]
    assert pods["phases"]["scheduled"]["p50"] == [0.0, None]  # it may have been scheduled at once
    change(index, SUMMARY, config(maxWaitTimeout=3600 * 10**9))
    assert kube_burner.parse(str(index))["pods"]["latency"]["p50"] == [0.0, None]


def test_without_a_declaration_the_pods_are_whole_iterations(run):
    undeclare(run)
    change(run, PODS, lambda documents: documents[:7])
    pods = kube_burner.parse(str(run))["pods"]
    assert (pods["expected"], pods["declared"], pods["missing"]) == (10, False, 3)
    change(run, PODS, each(replica=3))
    assert kube_burner.parse(str(run))["pods"]["expected"] == 30


def test_churned_pods_are_counted_apart(run):
    (run / QUANTILES).unlink()
    change(run, PODS, lambda documents: documents + [{**documents[0], "churnMetric": True, "podReadyLatency": 90000}])
    pods = kube_burner.parse(str(run))["pods"]
    assert (pods["measured"], pods["churned"]) == (10, 1) and pods["phases"]["ready"]["max"][1] < 90


def test_without_a_log_there_are_no_counts_of_errors(run):
    (run / LOG).unlink()
    facts = kube_burner.parse(str(run))
    assert "errors" not in facts and "problems" not in facts and facts["pods"]["missing"] == 0


def test_what_the_log_says(run):
    with (run / LOG).open("a", encoding="utf-8") as stream:
        stream.write('time="t" level=info msg="Pre-load: All images pulled on 3 nodes" file="x"\n')
        stream.write('time="t" level=info msg="podLatencyMeasurement error rate was: 10.00" file="x"\n')
        stream.write('time="t" level=error msg="Error found reading Lease/a: \\"a\\" is gone" file="x"\n')
        stream.write('time="t" level=error msg="Retrying object creation" file="x"\n')
        stream.write('time="t" level=info msg="Found 9 leases with selector a=b; patching them" file="x"\n')
        stream.write('time="t" level=info msg="Found 8 leases with selector a=b; patching them" file="x"\n')
        stream.write('time="t" level=error msg="pods found: 4 Expected: 10" file="x"\n')
        stream.write("time=t level=fatal msg=word file=x\n")
    facts = kube_burner.parse(str(run))
    assert facts["preloaded"] == 3
    assert facts["jobs"]["kubeproof-pods"]["pods"]["clamped"] == 0.1
    assert facts["jobs"]["kubeproof-pods"]["objects"] == {
        "configmaps": {"expected": 10},
        "leases": {"found": 8},
        "pods": {"expected": 10, "found": 4},
    }
    assert {kind: count for kind, count in facts["errors"].items() if count} == {"read": 1, "verify": 1, "other": 1}
    assert facts["problems"] == ['Error found reading Lease/a: "a" is gone', "pods found: 4 Expected: 10", "word"]


def test_services_are_in_nanoseconds(run):
    document = {"ready": 2_500_000_000, "uuid": "kb-smoke", "jobName": "kubeproof-pods", "metricName": "svcLatencyMeasurement", "service": "s"}
    (run / "svcLatencyMeasurement-kubeproof-pods.json").write_text(json.dumps([document]), encoding="utf-8")
    services = kube_burner.parse(str(run))["jobs"]["kubeproof-pods"]["services"]
    assert services["measured"] == 1 and services["latency"]["p99"] == 2.5


def test_alerts_are_counted(run):
    assert "alerts" not in kube_burner.parse(str(run))
    alerts = [{"uuid": "kb-smoke", "severity": severity} for severity in ("error", "warning", "error")]
    (run / "alert.json").write_text(json.dumps(alerts), encoding="utf-8")
    assert kube_burner.parse(str(run))["alerts"] == {"error": 2, "warning": 1}


@pytest.mark.parametrize(
    ("file", "edit", "error"),
    [
        (SUMMARY, lambda documents: documents + [{**documents[0], "uuid": "u2", "jobConfig": {"name": "b"}}], "it holds 2 runs (kb-smoke, u2)"),
        (SUMMARY, lambda documents: documents * 2, "has job kubeproof-pods twice"),
        (SUMMARY, lambda documents: [{**documents[0], "jobConfig": {"name": "garbage-collection"}}], "jobSummary.json has no job."),
        (SUMMARY, each(incrementalLoadUUID="i"), "has an incrementalLoad"),
        (SUMMARY, each(executionErrors="50s timeout reached"), "kube-burner reached its own timeout and lost all latencies"),
        (SUMMARY, each(passed=None), "passed of job kubeproof-pods is 'None', not true or false."),
        (SUMMARY, each(passed="true"), "not true or false."),
        (SUMMARY, each(endTimestamp="0001-01-01T00:00:00Z"), "before it began."),
        (SUMMARY, each(timestamp="yesterday"), "timestamp of job kubeproof-pods is 'yesterday', not a time."),
        (SUMMARY, each(timestamp="2026-13-01T00:00:00Z"), "not a time."),
        (SUMMARY, each(kubeproof={"objects": {"kubeproof-pods": {"pods": -1}}}), "pods of job kubeproof-pods is '-1'"),
        (SUMMARY, each(kubeproof={"objects": {"kubeproof-pods": {"pods": 9}}}), "job kubeproof-pods measured 10 pods and was to create 9."),
        (SUMMARY, each(kubeproof={"objects": {"kubeproof-pods": {"configmaps": 9}}}), "measured 10 pods and was to create 0."),
        (SUMMARY, config(jobIterations=0), "jobIterations of job kubeproof-pods is '0'"),
        (SUMMARY, config(jobIterations=5), "of 5."),
        (SUMMARY, config(name=""), "name of a job is ''"),
        (SUMMARY, config(name="other"), "belongs to no job of jobSummary.json."),
        (SUMMARY, lambda documents: [1], "a document of jobSummary.json is '1', not an object."),
        (SUMMARY, lambda documents: {"a": documents}, "not an array."),
        (PODS, each(uuid="u2"), "has a document of uuid 'u2'"),
        (PODS, each(jobName="other"), "use a fresh directory."),
        (PODS, each(podReadyLatency=-5), "podReadyLatency of pod"),
        (PODS, each(containersStartedLatency=1.5), "not a whole number"),
        (PODS, each(containersStartedLatency=None), "containersStartedLatency of pod"),
        (PODS, each(podName=None), "podName is 'None'"),
        (PODS, lambda documents: documents[:9], "kube-burner's quantiles"),
        (PODS, lambda documents: documents + documents[:1], "is measured twice."),
        (PODS, each(containersStartedLatency=1), "the documents give"),
        (QUANTILES, lambda documents: [{**document, "max": 1} for document in documents], "kube-burner's quantiles"),
    ],
)
def test_refused(run, file, edit, error):
    change(run, file, edit)
    with pytest.raises(ParseError) as caught:
        kube_burner.parse(str(run))
    assert error in str(caught.value) and str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("file", "old", "new", "error"),
    [
        (SUMMARY, b'"qps":5', b'"qps":NaN', "jobSummary.json: the JSON is cut off or broken"),
        (SUMMARY, b'"qps":5', b'"qps":1e999', "qps of job kubeproof-pods is 'inf'"),
        (SUMMARY, b"}]", b"}", "jobSummary.json: the JSON is cut off or broken"),
        (SUMMARY, b"}]", b"}] []", "jobSummary.json goes on after its JSON with '[]'."),
        (PODS, b'"podReadyLatency":', b'"podReadyLatency":NaN,"x":', "the JSON is cut off or broken"),
        (LOG, b"Finished execution", b"Began execution", "kube-burner did not go to its end; its log ends with"),
    ],
)
def test_broken_files(run, file, old, new, error):
    before, found, after = (run / file).read_bytes().rpartition(old)
    assert found
    (run / file).write_bytes(before + new + after)
    with pytest.raises(ParseError) as caught:
        kube_burner.parse(str(run))
    assert error in str(caught.value)


def test_no_index(tmp_path):
    with pytest.raises(ParseError) as caught:
        kube_burner.parse(str(tmp_path))
    assert str(caught.value) == "there is no jobSummary.json, so kube-burner did not go to its end."
    (tmp_path / SUMMARY).mkdir()
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ParseError):
            kube_burner.parse(str(path))


def test_two_logs_are_of_two_runs(run):
    shutil.copy(run / LOG, run / "kube-burner-other.log")
    with pytest.raises(ParseError, match="it holds 2 logs"):
        kube_burner.parse(str(run))


def leaves(value):
    """Yield what is at the ends of facts; the open end of an interval is left out."""
    if isinstance(value, dict):
        for entry in value.values():
            yield from leaves(entry)
    elif isinstance(value, list):
        for entry in value[:1] if len(value) == 2 and value[1] is None else value:
            yield from leaves(entry)
    else:
        yield value


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_survives_mutations(tmp_path, data):
    """Whatever happens to the files: facts of finite numbers, or one sentence."""
    index = tmp_path / "index"
    shutil.rmtree(index, ignore_errors=True)
    shutil.copytree(FIXTURES / data.draw(st.sampled_from(["smoke", "quota", "image-missing"])), index)
    for dummy in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(sorted(index.iterdir())))
        content = path.read_bytes()
        start, length = data.draw(st.integers(0, len(content))), data.draw(st.integers(0, 12))
        path.write_bytes(content[:start] + data.draw(st.sampled_from(GARBAGE)) + content[start + length :])
    try:
        facts = kube_burner.parse(str(index))
    except ParseError as error:
        assert str(error).endswith(".") and "\n" not in str(error) and len(str(error)) < 1000
        return
    json.dumps(facts, allow_nan=False, ensure_ascii=False).encode("utf-8")
    assert all(isinstance(leaf, (bool, int, float, str)) for leaf in leaves(facts))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keep=st.sets(st.sampled_from(sorted(path.name for path in (FIXTURES / "smoke").iterdir()))))
def test_taking_files_away_never_improves_the_facts(tmp_path, keep):
    index = tmp_path / "index"
    shutil.rmtree(index, ignore_errors=True)
    index.mkdir()
    for file in keep:
        shutil.copy(FIXTURES / "smoke" / file, index / file)
    whole = kube_burner.parse(str(FIXTURES / "smoke"))
    try:
        facts = kube_burner.parse(str(index))
    except ParseError:
        assert SUMMARY not in keep or PODS not in keep
    else:
        assert facts["pods"] == whole["pods"] and facts["passed"]
