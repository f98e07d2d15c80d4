# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import json
import pathlib

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import openmetrics, window

FIXTURES = pathlib.Path(__file__).parents[3] / "fixtures" / "metrics"
SAMPLES = (("bucket", ',le="1"'), ("bucket", ',le="2.0"'), ("bucket", ',le="+Inf"'), ("sum", ""), ("count", ""))
HISTOGRAM = "# TYPE h histogram\n" + "".join(
    "".join(f'h_{sample}{{{{verb="{verb}"{le}}}}} {{}}\n' for sample, le in SAMPLES)
    for verb in ("GET", "PUT")
)
COUNTER = '# TYPE c_total counter\nc_total{{verb="GET",code="200"}} {}\nc_total{{verb="GET",code="500"}} {}\nc_total{{verb="PUT",code="200"}} {}\n'


def wanted(name, by=(), where=None, without=None, fact=None):
    """Return a request."""
    return {"name": name, "as": fact or name, "by": list(by), "where": where or {}, "except": without or {}}


def scene(text, requests, moment=100.0, start=5.0):
    """Return the scene of a text, after its way through JSON."""
    families = openmetrics.read([text.encode()], {one["name"] for one in requests})
    kept = {one["as"]: window._chosen(families[one["name"]], one) for one in requests if one["name"] in families}
    return {"time": moment, "start": start, "families": kept}


def compare(first, last, request, seconds=10.0, starts=(5.0, 5.0)):
    """Return the facts between two texts; the first scene goes through JSON as in the window's file."""
    opened = window.load(json.loads(json.dumps(window.dump(scene(first, [request], 100.0, starts[0])), allow_nan=False)))
    facts = window.compare(opened, scene(last, [request], 100.0 + seconds, starts[1]), [request])
    json.dumps(facts, allow_nan=False)
    return facts


@pytest.mark.parametrize(
    "request_, numbers",
    [
        (wanted("c_total"), {"increase": 18, "rate": 1.8}),
        (wanted("c_total", by=["verb"]), {"GET": {"increase": 13, "rate": 1.3}, "PUT": {"increase": 5, "rate": 0.5}}),
        (wanted("c_total", by=["verb", "code"], where={"verb": ["GET"]}), {"GET 200": {"increase": 10, "rate": 1.0}, "GET 500": {"increase": 3, "rate": 0.3}}),
        (wanted("c_total", where={"verb": ["GET", "PUT"], "code": ["200"]}), {"increase": 15, "rate": 1.5}),
        (wanted("c_total", without={"code": ["200", "404"]}), {"increase": 3, "rate": 0.3}),
        (wanted("c_total", where={"code": ["429"]}), {"increase": 0, "rate": 0.0}),
        (wanted("c_total", by=["verb"], where={"code": ["429"]}), {}),
    ],
)
def test_counters(request_, numbers):
    assert compare(COUNTER.format(10, 2, 0), COUNTER.format(20, 5, 5), request_) == {"seconds": 10.0, "c_total": numbers}


def test_a_series_that_is_new_counts_from_zero():
    first = "# TYPE c_total counter\nc_total 4\n".replace("c_total 4", 'c_total{a="1"} 4')
    assert compare(first, first + 'c_total{a="2"} 3\n', wanted("c_total"))["c_total"]["increase"] == 3
    assert compare("other 1\n", first, wanted("c_total"))["c_total"]["increase"] == 4


@pytest.mark.parametrize(
    "first, last, problem",
    [
        (COUNTER.format(10, 2, 0), COUNTER.format(9, 5, 5), 'c_total{code="200",verb="GET"} went down from 10 to 9: it was reset.'),
        (COUNTER.format(10, 2, 0), COUNTER.format("NaN", 5, 5), "which is not a finite number"),
        (COUNTER.format("NaN", 2, 0), COUNTER.format(9, 5, 5), "which is not a finite number"),
        (COUNTER.format(10, 2, 0), COUNTER.format("+Inf", 5, 5), "which is not a finite number"),
        (COUNTER.format(10, 2, 0), COUNTER.format(9, 5, 5).replace('c_total{verb="GET",code="200"} 9\n', ""), "was not there at close"),
    ],
)
def test_a_damaged_counter_takes_its_group_with_it(first, last, problem):
    facts = compare(first, last, wanted("c_total"))
    assert "c_total" not in facts
    assert problem in facts["problems"][0]
    grouped = compare(first, last, wanted("c_total", by=["verb"]))
    assert grouped["c_total"] == {"GET": {}, "PUT": {"increase": 5, "rate": 0.5}}
    assert problem in grouped["problems"][0]


@pytest.mark.parametrize(
    "last, request_, problem",
    [
        ("x 1\n", wanted("c_total"), "Family c_total is not exposed."),
        ("c_total 1\n", wanted("c_total"), "Family c_total is of type untyped; a window reads counter, gauge, histogram."),
        ("# TYPE c_total gauge\nc_total 1\n", wanted("c_total"), "Family c_total changed its type from counter to gauge."),
        (COUNTER.format(1, 1, 1), wanted("c_total", by=["kind"]), "Family c_total has no label kind; it has code, verb."),
        (COUNTER.format(1, 1, 1), wanted("c_total", where={"kind": ["x"]}), "Family c_total has no label kind; it has code, verb."),
        (COUNTER.format(1, 1, 1), wanted("c_total", without={"kind": ["x"]}), "Family c_total has no label kind; it has code, verb."),
        ("# TYPE c_total counter\nc_total 1\n", wanted("c_total", where={"kind": ["x"]}), "Family c_total has no label kind; it has none."),
    ],
)
def test_a_family_that_cannot_be_read_is_said(last, request_, problem):
    exposed = {"unknown": ["c_total"]} if "c_total" in last else {}
    assert compare(COUNTER.format(0, 0, 0), last, request_) == {"seconds": 10.0, "problems": [problem], **exposed}


@pytest.mark.parametrize(
    "starts, problem",
    [
        ((5.0, 6.0), "was 5.0, is 6.0"),
        ((5.0, 4.0), "was 5.0, is 4.0"),
        ((None, 5.0), "is not exposed"),
        ((5.0, None), "is not exposed"),
        ((None, None), "is not exposed"),
    ],
)
def test_a_restart_leaves_gauges_only(starts, problem):
    for request_ in (wanted("c_total"), wanted("c_total", by=["verb"])):
        facts = compare(COUNTER.format(0, 0, 0), COUNTER.format(1, 1, 1), request_, starts=starts)
        assert set(facts) == {"seconds", "problems"}
        assert problem in facts["problems"][0]
    gauge = "# TYPE g gauge\ng {}\n"
    assert compare(gauge.format(3), gauge.format(4), wanted("g"), starts=starts)["g"] == {"first": 3, "last": 4}


def test_without_time_there_is_no_rate():
    facts = compare(COUNTER.format(0, 0, 0), COUNTER.format(1, 1, 1), wanted("c_total"), seconds=-2.5)
    assert facts == {"c_total": {"increase": 3}, "problems": ["The host's clock went back by 2.500 s in the window, so there are no rates."]}


@pytest.mark.parametrize(
    "first, last, numbers",
    [
        ("g 3\n", "g 4.5\n", {"first": 3, "last": 4.5}),
        ("g 3\n", "g -1\n", {"first": 3, "last": -1}),
        ('g{a="1"} 3\ng{a="2"} 4\n', 'g{a="1"} 0\ng{a="3"} 1\n', {"first": 7, "last": 1}),
        ("", "g 4\n", {"last": 4}),
        ("g 3\n", "g NaN\n", None),
        ("g +Inf\n", "g 1\n", None),
        ("g 1\n", "", {"first": 1}),
        ("", "", None),
    ],
)
def test_gauges(first, last, numbers):
    facts = compare("# TYPE g gauge\n" + first, "# TYPE g gauge\n" + last, wanted("g"))
    assert facts.get("g") == numbers
    assert ("problems" in facts) == (numbers is None)


def test_histograms_are_summed_over_series():
    first, last = HISTOGRAM.format(1, 2, 3, 4.0, 3, 0, 0, 0, 0, 0), HISTOGRAM.format(1, 3, 3, 6.5, 3, 8, 8, 8, 2.0, 8)
    first = first.replace('h_bucket{verb="GET",le="2.0"} 2', 'h_bucket{verb="GET",le="2.0"} 3')
    facts = compare(first, last, wanted("h"))
    assert facts["h"] == {
        "count": 8,
        "sum": 4.5,
        "mean": 0.5625,
        **{name: [0.0, 1.0] for name in ("p50", "p90", "p95", "p99", "p999")},
        "below": {"1.0": 1.0, "2.0": 1.0},
    }
    assert "problems" not in facts
    grouped = compare(first, last, wanted("h", by=["verb"]))["h"]
    assert (grouped["GET"], grouped["PUT"]["count"]) == ({"count": 0, "sum": 2.5}, 8)


FIRST = HISTOGRAM.format(1, 2, 3, 4.0, 3, 0, 0, 0, 0, 0)
GOOD = (2, 3, 5, 9.0, 5, 1, 1, 1, 0.5, 1)


@pytest.mark.parametrize(
    "position, value, problem",
    [
        (0, 0, "a bucket went down"),
        (1, 1, "less than the 2 below it"),
        (2, 2, "less than the 3 below it"),
        (2, 6, "bucket +Inf grew by 3, but its count by 2"),
        (4, 6, "bucket +Inf grew by 2, but its count by 3"),
        (4, 2, "went down from 3 to 2: it was reset."),
        (4, "NaN", "not a finite number"),
        (0, "NaN", "not a whole number"),
        (0, "2.5", "not a whole number"),
    ],
)
def test_a_damaged_histogram_is_absent(position, value, problem):
    numbers = list(GOOD)
    numbers[position] = value
    facts = compare(FIRST, HISTOGRAM.format(*numbers), wanted("h"))
    assert "h" not in facts
    assert problem in facts["problems"][0]
    grouped = compare(FIRST, HISTOGRAM.format(*numbers), wanted("h", by=["verb"]))["h"]
    assert (grouped["GET"], grouped["PUT"]["count"]) == ({}, 1)


@pytest.mark.parametrize("value", ["1.0", "NaN", "+Inf"])
def test_a_damaged_sum_takes_sum_and_mean_only(value):
    facts = compare(FIRST, HISTOGRAM.format(*GOOD[:3], value, *GOOD[4:]), wanted("h"))
    assert facts["h"]["count"] == 3
    assert not {"sum", "mean"} & set(facts["h"])
    assert facts["problems"][0].startswith('The sum of h{verb="GET"}')


@pytest.mark.parametrize(
    "line, problem",
    [
        ('h_bucket{verb="GET",le="1"} 2\n', "its bucket bounds changed"),
        ('h_bucket{verb="PUT",le="1"} 1\n', "its bucket bounds changed"),
        ('h_bucket{verb="GET",le="+Inf"} 5\n', "it has no bucket +Inf"),
        ('h_count{verb="GET"} 5\n', "was not there at close"),
    ],
)
def test_a_line_that_is_missing_is_said(line, problem):
    last = HISTOGRAM.format(*GOOD)
    assert line in last
    facts = compare(FIRST, last.replace(line, ""), wanted("h"))
    assert "h" not in facts
    assert problem in facts["problems"][0]


def test_different_bounds_are_not_summed():
    text = HISTOGRAM.format(*GOOD).replace('verb="PUT",le="2.0"', 'verb="PUT",le="3"')
    facts = compare("x 1\n", text, wanted("h"))
    problem = "Family h: its series have different bucket bounds, which cannot be summed."
    assert facts == {"seconds": 10.0, "problems": [problem], "unknown": ["h"]}
    assert compare("x 1\n", text, wanted("h", by=["verb"]))["h"]["PUT"]["below"] == {"1.0": 1.0, "3.0": 1.0}


def test_groups_that_are_written_the_same_are_refused():
    text = '# TYPE c_total counter\nc_total{a="x y",b="z"} 1\nc_total{a="x",b="y z"} 1\n'
    facts = compare(text, text, wanted("c_total", by=["a", "b"]))
    assert facts["c_total"] == {"x y z": {}}
    assert "two groups" in facts["problems"][0]


def test_problems_are_bounded():
    text = "# TYPE c_total counter\n" + "".join(f'c_total{{{{a="{number}"}}}} {{0}}\n' for number in range(100))
    facts = compare(text.format(5), text.format(1), wanted("c_total", by=["a"]))
    assert len(facts["problems"]) == window.MAX_PROBLEMS + 1
    assert facts["problems"][-1] == "And 80 more."
    assert list(facts["c_total"].values()) == [{}] * 100


@pytest.mark.parametrize("case", sorted(path.name for path in FIXTURES.glob("*.expected.yml")))
def test_recorded_windows(case):
    expected = yaml.safe_load((FIXTURES / case).read_text(encoding="utf-8"))
    component = case.split(".")[0]
    before, after = (gzip.decompress((FIXTURES / f"{component}-{state}.txt.gz").read_bytes()).decode() for state in ("before", "after"))
    requests = [wanted(one["name"], one.get("by", ()), one.get("where"), one.get("except")) for one in expected["families"]]
    facts = window.compare(scene(before, requests), scene(after, requests, 160.0), requests)
    assert facts == expected["facts"]


LINES = HISTOGRAM.format(*GOOD) + COUNTER.format(1, 2, 3) + "# TYPE g gauge\ng 3\n"
REQUESTS = [wanted("h"), wanted("h", by=["verb"], fact="hv"), wanted("c_total", by=["verb"]), wanted("g")]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(LINES)), st.integers(0, 12), st.text("0123456789.eNa+-Inf{}\"=,\n lehcgPU", max_size=4)), min_size=1, max_size=4))
def test_mutations_never_end_in_a_traceback(mutations):
    text = LINES
    for at, length, new in mutations:
        text = text[:at] + new + text[at + length:]
    try:
        last = scene(text, REQUESTS)
        first = window.load(json.loads(json.dumps(window.dump(last), allow_nan=False)))
    except openmetrics.ExpositionError:
        return
    for one, other in ((scene(LINES, REQUESTS), dict(last, time=110.0)), (first, scene(LINES, REQUESTS, 110.0))):
        json.dumps(window.compare(one, other, REQUESTS), allow_nan=False)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 400), st.integers(0, 30), st.binary(max_size=8), st.integers(1, 100))
def test_damaged_gzip_is_refused_or_read(at, length, new, size):
    packed = gzip.compress(LINES.encode(), mtime=0)
    packed = packed[:at] + new + packed[at + length:]
    try:
        b"".join(window._unzipped(packed[start:start + size] for start in range(0, len(packed), size)))
    except window._Unknown as error:
        assert str(error).startswith("The answer ")


def test_a_bomb_of_gzip_is_refused(monkeypatch):
    monkeypatch.setattr(window, "MAX_BODY", 1 << 22)
    packed = gzip.compress(bytes(1 << 23))
    with pytest.raises(window._Unknown, match="longer than"):
        for chunk in window._bounded(window._unzipped([packed])):
            assert len(chunk) <= window.CHUNK


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def damaged(draw):
    """Return a dumped scene in which one value somewhere is another."""
    data = json.loads(json.dumps(window.dump(scene(LINES, REQUESTS))))
    at = data
    while True:
        keys = sorted(at) if isinstance(at, dict) else list(range(len(at)))
        key = draw(st.sampled_from(keys))
        if not isinstance(at[key], (dict, list)) or not at[key] or draw(st.booleans()):
            at[key] = draw(JSON)
            return data
        at = at[key]


@settings(max_examples=150, deadline=None)
@given(damaged())
def test_a_damaged_window_is_refused_or_compared(data):
    try:
        first = window.load(data)
    except window.WindowError as error:
        assert "open it again" in str(error)
        return
    json.dumps(window.compare(first, scene(LINES, REQUESTS, 110.0), REQUESTS), allow_nan=False)


@pytest.mark.parametrize("document", [None, [], {}, {"schema": 1}, {"schema": 1, "requests": []}, {"schema": 1, "requests": [], "scenes": [], "failed": {}}])
def test_a_file_that_is_no_window_is_refused(document):
    with pytest.raises(window.WindowError):
        window.close_window(document, {}, [])
