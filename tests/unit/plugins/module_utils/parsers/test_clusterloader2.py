# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of clusterloader2, recorded and damaged."""

from __future__ import annotations

import json
import pathlib
import shutil

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import parsers
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers.common import ParseError

FIXTURES = pathlib.Path(__file__).parents[4] / "fixtures/clusterloader2"
RECORDED = sorted(path.name for path in FIXTURES.iterdir() if path.is_dir())
STARTUP = "PodStartupLatency_PodStartupLatency_kubeproof_2026-11-22T000435Z.json"
API = "APIResponsivenessPrometheus_simple_kubeproof_2026-11-22T000435Z.json"
# As APIResponsivenessPrometheus writes it: upstream's source, clusterloader2/pkg/measurement/common/slos/api_responsiveness_prometheus.go.
SERIES = {"Verb": "POST", "Resource": "pods", "Subresource": "binding", "Scope": "resource", "Count": "1200", "SlowCount": "0"}
JUNIT = '<?xml version="1.0"?>\n<testsuite name="ClusterLoaderV2" tests="0" failures="{failures}" errors="0" time="12.5">{cases}</testsuite>'
GOOD = '<testcase name="a" time="1"></testcase>'
BAD = '<testcase name="b" time="1"><failure type="Failure">it\nbroke</failure></testcase>'


def parse(path):
    return parsers.parse_path("clusterloader2", str(path))


@pytest.fixture(name="report")
def fixture_report(tmp_path):
    """Return write({file: content}, cases, failures) -> the directory of a report."""

    def write(files=None, cases=GOOD, failures=0):
        (tmp_path / "junit.xml").write_text(JUNIT.format(cases=cases, failures=failures), encoding="utf-8")
        for name, content in (files or {}).items():
            (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return tmp_path

    return write


def perf(*items):
    return {"version": "1.0", "dataItems": list(items)}


def item(values=(1, 2, 3), unit="ms", **labels):
    return {"data": dict(zip(("Perc50", "Perc90", "Perc99"), values)), "unit": unit, "labels": labels or {"Metric": "pod_startup"}}


@pytest.mark.parametrize("name", RECORDED)
def test_recorded(name):
    assert parse(FIXTURES / name) == yaml.safe_load((FIXTURES / f"{name}.expected.yml").read_text(encoding="utf-8"))["facts"]


def test_there_is_a_run_that_passed_and_one_that_failed():
    failed = {name: parse(FIXTURES / name)["failed"] for name in RECORDED}
    assert 0 in failed.values() and max(failed.values()) > 0


def test_failures_are_counted_where_they_are_listed(report):
    facts = parse(report(cases=GOOD + BAD, failures=1))
    assert (facts["tests"], facts["failed"], facts["failures"], facts["seconds"]) == (2, 1, ["b: it broke"], 12.5)


def test_series_of_the_api_servers(report):
    facts = parse(report({API: perf(item((4.0, 20.0, 50.0), **SERIES))}))
    assert facts["apiresponsiveness_prometheus"] == {"POST pods/binding resource": {"p50": 0.004, "p90": 0.02, "p99": 0.05, "count": 1200}}


def test_what_was_not_observed_is_absent(report):
    none = dict.fromkeys(("perc50", "perc90", "perc99", "max"), 0)
    facts = parse(report({STARTUP: perf(item((0, 0, 0))), STARTUP.replace("PodStartupLatency_PodStartupLatency", "SchedulingThroughput"): none}))
    assert set(facts) == {"tests", "failed", "failures", "seconds"}


# What a report must not be taken for -> what the error says.
DAMAGE = [
    ({"cases": ""}, "no testsuite with a testcase"),
    ({"cases": GOOD, "failures": 2}, "says that 2 steps failed, and lists 0"),
    ({"cases": BAD}, "says that 0 steps failed, and lists 1"),
    ({"failures": "many"}, "failures of junit.xml is 'many'"),
    ({"cases": "<testcase>"}, "no whole document"),
    ({"cases": "<!ENTITY a 'b'>"}, "has a declaration"),
    ({"files": {STARTUP: '{"dataItems": ['}}, "cut off or broken"),
    ({"files": {STARTUP: "{}{}"}}, "more than one document"),
    ({"files": {STARTUP: "[]"}}, "not an object"),
    ({"files": {STARTUP: perf(item((1, 2, float("nan"))))}}, "NaN"),
    ({"files": {STARTUP: perf(item((-1, 2, 3)))}}, "not possible"),
    ({"files": {STARTUP: perf(item((3, 2, 1)))}}, "fall"),
    ({"files": {STARTUP: perf(item(), item())}}, "pod_startup is twice"),
    ({"files": {STARTUP: perf(item(Other="x"))}}, "a metric of"),
    ({"files": {STARTUP: perf(item()), STARTUP.replace("0435Z", "0535Z"): perf(item())}}, "pod_startup_latency is there twice"),
    ({"files": {API: perf(item(**{**SERIES, "Count": "few"}))}}, "Count of POST pods/binding resource"),
]


@pytest.mark.parametrize(("made", "error"), DAMAGE)
def test_damaged(report, made, error):
    with pytest.raises(ParseError, match=error):
        parse(report(**made))


def test_without_junit_it_did_not_come_to_its_end(report):
    path = report({STARTUP: perf(item())})
    (path / "junit.xml").unlink()
    with pytest.raises(ParseError, match="no junit.xml, so clusterloader2 did not come to its end"):
        parse(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=st.sampled_from(["junit.xml", STARTUP]), place=st.integers(0, 3000), text=st.binary(max_size=6))
def test_any_damage_is_facts_or_one_sentence(tmp_path_factory, file, place, text):
    path = tmp_path_factory.mktemp("report")
    shutil.copytree(FIXTURES / "forbidden", path, dirs_exist_ok=True)
    data = (path / file).read_bytes()
    (path / file).write_bytes(data[:place] + text + data[place + len(text) :])
    try:
        assert parse(path)["tests"] > 0
    except ParseError as error:
        assert "\n" not in str(error)
