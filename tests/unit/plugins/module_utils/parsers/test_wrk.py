# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib

import pytest
import yaml

from ansible_collections.kubeproof.certify.plugins.module_utils import parsers
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers import wrk
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers.common import ParseError

FIXTURES = pathlib.Path(__file__).parents[4] / "fixtures"
DIRECTORIES = sorted(path for path in (FIXTURES / "wrk_files").iterdir() if path.is_dir())
TEXT = (FIXTURES / "wrk" / "mixed.out").read_text(encoding="utf-8")
REPORT, LINE = TEXT.split("WRK_JSON ")


def changed(path, value):
    """Return the output with a value of report.lua's line replaced."""
    data = json.loads(LINE)
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return f"{REPORT}WRK_JSON {json.dumps(data)}\n"


@pytest.mark.parametrize("path", DIRECTORIES, ids=lambda path: path.name)
def test_recorded_files(path):
    expected = yaml.safe_load(path.with_name(path.name + ".expected.yml").read_text(encoding="utf-8"))
    try:
        result = {"facts": parsers.parse_path("wrk_files", str(path))}
    except ParseError as error:
        result = {"error": str(error)}
    assert result == expected


def test_several_clients_are_the_sum(tmp_path):
    for index in range(3):
        (tmp_path / f"{index}-stdout").write_text(TEXT, encoding="utf-8")
    one, three = wrk.parse(TEXT), parsers.parse_path("wrk_files", str(tmp_path))
    assert three["clients"] == 3 and three["seconds"] == one["seconds"] and "latency" not in three
    for key in ("requests", "rate", "good", "rate_good", "bytes"):
        assert three[key] == pytest.approx(3 * one[key])
    for key in ("errors", "statuses", "codes"):
        assert three[key] == {name: 3 * count for name, count in one[key].items()}


def test_the_generator_that_waited_longest_for_a_processor(tmp_path):
    for index, waited in enumerate(("", "KUBEPROOF_WAITED 0.250\n", "KUBEPROOF_WAITED 12.500\n")):
        (tmp_path / f"{index}-stdout").write_text(TEXT + waited, encoding="utf-8")
    assert parsers.parse_path("wrk_files", str(tmp_path))["waited"] == 12.5
    assert "waited" not in wrk.parse(TEXT) and wrk.parse(f"{TEXT}KUBEPROOF_WAITED 0.250\n") == {**wrk.parse(TEXT), "waited": 0.25}
    with pytest.raises(ParseError, match="it says several times for how long wrk waited"):
        wrk.parse(TEXT + 2 * "KUBEPROOF_WAITED 0.250\n")


def test_a_large_file_is_refused(tmp_path):
    (tmp_path / "0-stdout").write_text(TEXT + "x" * wrk.LARGEST_FILE, encoding="utf-8")
    with pytest.raises(ParseError, match="^0-stdout: it is larger than 1048576 bytes"):
        parsers.parse_path("wrk_files", str(tmp_path))


def test_only_what_was_expected_is_good():
    facts = wrk.parse(TEXT)
    assert facts["expected"] == {"status": 200, "marker": True} and 0 < facts["good"] < facts["codes"]["200"]
    nothing = wrk.parse((FIXTURES / "wrk" / "expect-404.out").read_text(encoding="utf-8"))
    assert nothing["good"] == 0 < nothing["statuses"]["2xx"]


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        (("good",), 40000, "40000 answers were good, but 32026 have the status that was expected."),
        (("expected", "marker"), False, "29132 answers were good, but 32026 have the status that was expected."),
        (("expected", "status"), 503, "29132 answers were good, but 11850 have the status that was expected."),
        (("expected",), None, "expected is 'None', not an object."),
        (("requests",), 46793, "46793 requests were answered, but the statuses are of 46792."),
        (("requests",), 1e9, "requests is '1000000000.0', not a whole number from 0 on."),
        (("statuses", "999"), 1, "there are answers with the status '999'."),
        (("errors", "status"), 0, "errors.status is 0, which the statuses {'200': 32026, '301': 2916, '503': 11850} contradict."),
        (("errors", "timeout"), None, "errors.timeout is 'None', not a whole number from 0 on."),
        (("errors", "timeout"), 46793, "46793 of 46792 answers were too late."),
        (("latency_us", "p99"), 14000.0,
         "the latencies min 20, mean 554.99, max 13023, p50 223, p90 1355, p95 2344, p99 14000, p999 10629 us are not in order."),
        (("latency_us", "mean"), 1.0,
         "the latencies min 20, mean 1, max 13023, p50 223, p90 1355, p95 2344, p99 5405, p999 10629 us are not in order."),
        (("latency_us",), {}, "latency_us.min is 'None', not a number."),
        (("duration_us",), 0, "duration_us is '0', not a whole number from 1 on."),
        (("duration_us",), 980_000, "wrk was to run for 1s and was stopped after 0.98 s."),
        (("duration_us",), 2_000_000, "wrk reports 46792 requests, 46682.76 a second; report.lua 46792, 23396.00 a second."),
    ],
)
def test_contradictions(path, value, error):
    with pytest.raises(ParseError) as caught:
        wrk.parse(changed(path, value))
    assert str(caught.value) == error


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (TEXT + TEXT, "it has several lines of report.lua."),
        (TEXT.rstrip("\n") + " more\n", "the line of report.lua goes on with ' more\\n'."),
        (f"WRK_JSON {LINE}", "wrk's own report is missing before the line of report.lua."),
        (TEXT.replace("46792 requests in", "46793 requests in"), "wrk reports 46793 requests, 46682.76 a second; report.lua 46792, 46682.76 a second."),
        (TEXT.replace('"mean":554.990', '"mean":nan'), None),
    ],
)
def test_refused(text, error):
    with pytest.raises(ParseError) as caught:
        wrk.parse(text)
    assert error is None or str(caught.value) == error


@pytest.mark.parametrize(("asked", "good"), [("1m", False), ("2s", False), ("1s", True)])
def test_the_time_that_was_asked_for(asked, good):
    text = TEXT.replace("Running 1s test", f"Running {asked} test")
    if good:
        assert wrk.parse(text)["seconds"] == 1.00234
    else:
        with pytest.raises(ParseError, match=f"wrk was to run for {asked} and was stopped after 1.00234 s"):
            wrk.parse(text)


def test_wrk_prints_ninety_seconds_as_two_minutes():
    data = json.loads(LINE)
    text = TEXT.replace("Running 1s test", "Running 2m test").replace("46682.76", f"{data['requests'] / 90.1:.2f}")
    assert wrk.parse(text.replace('"duration_us":1002340', '"duration_us":90100000'))["seconds"] == 90.1
