# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import math
import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from ansible_collections.kubeproof.certify.plugins.module_utils import openmetrics

FIXTURES = pathlib.Path(__file__).parents[3] / "fixtures" / "metrics"
TEXT = b"""\
# HELP t_seconds A histogram.
# TYPE t_seconds histogram
t_seconds_bucket{verb="GET",le="0.1"} 3
t_seconds_bucket{verb="GET",le="1"} 4
t_seconds_bucket{verb="GET",le="+Inf"} 5
t_seconds_sum{verb="GET"} 7.5
t_seconds_count{verb="GET"} 5
# TYPE t_total counter
t_total{code="200",verb="GET"} 1e+06
t_total{verb="GET",code="500"} 2 1700000000000
# TYPE t_up gauge
t_up 1
# TYPE t_total_of_others counter
t_total_of_others 9
"""
NAMES = ("t_seconds", "t_total", "t_up")


def read(text, names=NAMES, size=1 << 16, end_mark=False):
    """Read text given in pieces of `size` bytes."""
    return openmetrics.read((text[at:at + size] for at in range(0, len(text), size)), names, end_mark)


def values(family):
    """Return {labels: value} of a counter or gauge."""
    return {key: series.value for key, series in family.series.items()}


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1 << 16])
def test_reads_each_type_whatever_the_pieces(size):
    families = read(TEXT, size=size)
    assert {name: family.type for name, family in families.items()} == {"t_seconds": "histogram", "t_total": "counter", "t_up": "gauge"}
    series = families["t_seconds"].series[(("verb", "GET"),)]
    assert series.buckets == {0.1: 3, 1.0: 4, math.inf: 5}
    assert (series.sum, series.count) == (7.5, 5)
    assert values(families["t_total"]) == {(("code", "200"), ("verb", "GET")): 1e6, (("code", "500"), ("verb", "GET")): 2}
    assert families["t_total"].labels == {"code", "verb"}
    assert values(families["t_up"]) == {(): 1}


@pytest.mark.parametrize("le", ["1", "1.0", "1e0", "+1", "01.00"])
def test_a_bound_is_a_number(le):
    text = f'# TYPE h histogram\nh_bucket{{le="{le}"}} 2\nh_bucket{{le="Inf"}} 2\n'.encode()
    assert read(text, ["h"])["h"].series[()].buckets == {1.0: 2, math.inf: 2}


def test_le_may_stand_anywhere():
    text = b'# TYPE h histogram\nh_bucket{le="1",a="x"} 2\nh_bucket{a="x",le="2"} 3\nh_bucket{le="+Inf",a="x",} 3\n'
    assert read(text, ["h"])["h"].series[(("a", "x"),)].buckets == {1.0: 2, 2.0: 3, math.inf: 3}


@pytest.mark.parametrize(
    "written, value",
    [("a\\\\b", "a\\b"), ('a\\"b', 'a"b'), ("a\\nb", "a\nb"), ("\\\\n", "\\n"), ("}, le=", "}, le="), ("", ""), ("ü", "ü")],
)
def test_label_values_are_unescaped(written, value):
    text = f'# TYPE c counter\nc{{x="{written}",y="1"}} 2\n'.encode()
    assert list(read(text, ["c"])["c"].series) == [(("x", value), ("y", "1"))]


def test_label_values_that_look_like_a_bucket_are_kept_apart():
    text = b'# TYPE h histogram\nh_bucket{a=",le=\\"5\\"} 7",le="1"} 2\nh_bucket{a=",le=\\"5\\"} 7",le="+Inf"} 3\nh_bucket{xle="5",le="+Inf"} 1\n'
    series = read(text, ["h"])["h"].series
    assert {key: one.buckets for key, one in series.items()} == {(("a", ',le="5"} 7'),): {1.0: 2, math.inf: 3}, (("xle", "5"),): {math.inf: 1}}


@pytest.mark.parametrize("written, value", [("+Inf", math.inf), ("-Inf", -math.inf), ("-0.5", -0.5), (".5", 0.5), ("5.", 5.0), ("1e-3", 0.001)])
def test_values(written, value):
    assert values(read(f"# TYPE g gauge\ng {written}\n".encode(), ["g"])["g"]) == {(): value}


def test_nan_is_kept_for_the_caller_to_refuse():
    assert math.isnan(read(b"# TYPE g gauge\ng NaN\n", ["g"])["g"].series[()].value)


OPENMETRICS = b"""\
# TYPE c counter
# UNIT c seconds
c_total{a="1"} 5.0 1700000000.5 # {trace_id="x\\"y"} 0.25 1700000000.1
c_created{a="1"} 1700000000.0
# TYPE h histogram
h_bucket{le="1.0"} 2 # {trace_id="a",le="3"} 0.5
h_bucket{le="+Inf"} 2
h_count 2
h_sum 1.5
# EOF
"""


@pytest.mark.parametrize("name", ["c", "c_total"])
def test_openmetrics_counters_exemplars_and_timestamps(name):
    families = read(OPENMETRICS, [name, "h"], end_mark=True)
    assert values(families[name]) == {(("a", "1"),): 5.0}
    assert families["h"].series[()].buckets == {1.0: 2, math.inf: 2}


def test_openmetrics_without_its_end_is_incomplete():
    with pytest.raises(openmetrics.ExpositionError, match="# EOF is missing"):
        read(OPENMETRICS.replace(b"# EOF\n", b""), ["c"], end_mark=True)


@pytest.mark.parametrize(
    "text, kind",
    [(b"x 1\n", "untyped"), (b"# TYPE x untyped\nx 1\n", "untyped"), (b'# TYPE x summary\nx{quantile="0.5"} 1\nx_sum 1\nx_count 1\n', "summary")],
)
def test_families_of_other_types_are_named_and_not_read(text, kind):
    family = read(text, ["x"])["x"]
    assert (family.type, family.series) == (kind, {})


def test_only_what_was_asked_for_is_read():
    assert read(TEXT, ["t_to", "t_tota", "t_second"]) == {}
    assert read(b"this is not metrics at all\n# TYPE t_up gauge\nt_up 1\n", ["t_up"])["t_up"].type == "gauge"


@pytest.mark.parametrize(
    "text, reason",
    [
        (b"", "is empty"),
        (b"# TYPE g gauge\ng 1", "incomplete"),
        (b"# TYPE g gauge\ng\n", "not understood: 'g'"),
        (b"# TYPE g gauge\ng one\n", "not understood"),
        (b"# TYPE g gauge\ng 1_000\n", "not understood"),
        (b"# TYPE g gauge\ng 0x10\n", "not understood"),
        (b"# TYPE g gauge\ng 1 2 3\n", "not understood"),
        (b"# TYPE g gauge\ng 1\r\n", "not understood"),
        (b'# TYPE g gauge\ng{a="1} 1\n', "not understood"),
        (b'# TYPE g gauge\ng{a="\\x"} 1\n', "not understood"),
        (b"# TYPE g gauge\ng{a=1} 1\n", "not understood"),
        (b'# TYPE g gauge\ng{a="1" 1\n', "not understood"),
        (b'# TYPE g gauge\ng{a="\xff"} 1\n', "not UTF-8"),
        (b'# TYPE g gauge\ng{a="1",a="2"} 1\n', "A label occurs twice"),
        (b"# TYPE g gauge\ng 1\ng 2\n", "A series occurs twice"),
        (b'# TYPE g gauge\ng{a="1",b="2"} 1\ng{b="2",a="1"} 1\n', "A series occurs twice"),
        (b"# TYPE g gauge\n# TYPE g gauge\n", "described twice"),
        (b"# TYPE g gauge what\n", "not understood"),
        (b"# TYPE g\n", "not understood"),
        (b"g 1\n# TYPE g gauge\n", "after its samples"),
        (b"# TYPE g histogram\ng 1\n", "does not belong to a histogram"),
        (b"# TYPE g histogram\ng_bucket 1\n", "its le is not a number"),
        (b'# TYPE g histogram\ng_bucket{le="x"} 1\n', "its le is not a number"),
        (b'# TYPE g histogram\ng_bucket{le="NaN"} 1\n', "its le is not a number"),
        (b'# TYPE g histogram\ng_bucket{le="1"} 1\ng_bucket{le="1_0"} 1\n', "its le is not a number"),
        (b'# TYPE g histogram\ng_bucket{le="1"} 1\ng_bucket{le="1.0"} 1\n', "A bucket occurs twice"),
        (b'# TYPE g histogram\ng_bucket{le="1",le="2"} 1\n', "A label occurs twice"),
        (b"# TYPE g gauge\ng " + b"1" * (1 << 20), "longer than"),
    ],
)
def test_a_damaged_text_is_an_error(text, reason):
    with pytest.raises(openmetrics.ExpositionError, match=reason):
        read(text, ["g"])


def test_an_error_shows_no_more_than_the_beginning_of_the_line():
    with pytest.raises(openmetrics.ExpositionError) as raised:
        read(b"# TYPE g gauge\ng{" + b"a" * 5000 + b"\n", ["g"])
    assert "g{" + "a" * 98 + "…" in str(raised.value)
    assert len(str(raised.value)) < 150


@pytest.mark.parametrize("component", ["etcd", "coredns"])
def test_agrees_with_prometheus_client(component):
    text = gzip.decompress((FIXTURES / f"{component}-after.txt.gz").read_bytes())
    expected = {}
    for family in text_string_to_metric_families(text.decode()):
        if family.type in openmetrics.SUFFIXES:
            for sample in family.samples:
                bound = sample.labels.pop("le", None)
                series = expected.setdefault(family.name, {}).setdefault((sample.name, openmetrics.series_key(sample.labels)), {})
                series[None if bound is None else float(bound)] = sample.value
    # prometheus_client takes _total off a counter's name; reading by either name is the same.
    families = read(text, list(expected) + [f"{name}_total" for name in expected])
    found = {}
    for name, family in families.items():
        if family.type not in openmetrics.SUFFIXES:
            continue
        total = "_total" if family.type == "counter" else ""
        stem = name[:-len(total)] if total and name.endswith(total) else name
        content = found.setdefault(stem, {})
        for key, series in family.series.items():
            if family.type == "histogram":
                content[f"{name}_bucket", key] = series.buckets
                content[f"{name}_sum", key] = {None: series.sum}
                content[f"{name}_count", key] = {None: series.count}
            else:
                content[stem + total, key] = {None: series.value}
    assert len(found) > 20
    assert found == expected


LINES = TEXT.splitlines(keepends=True)
NOISE = st.binary(max_size=8) | st.sampled_from([b'"', b"\\", b"{", b"}", b",", b"\n", b" # {", b'le="', b"NaN"])
MUTATION = st.tuples(st.integers(0, len(TEXT)), st.integers(0, 30), NOISE)


@settings(max_examples=300, deadline=None)
@given(st.lists(MUTATION, min_size=1, max_size=4), st.integers(1, 400))
def test_mutations_are_read_or_refused(mutations, size):
    text = TEXT
    for at, length, new in mutations:
        text = text[:at] + new + text[at + length:]
    try:
        families = read(text, size=size)
    except openmetrics.ExpositionError as error:
        assert len(str(error)) < 1000
    else:
        assert set(families) <= set(NAMES)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"# TYPE g gauge\ng", b"# TYPE h histogram\nh_bucket{"]))
def test_any_bytes_are_read_or_refused(noise, before):
    try:
        read(before + noise, ["g", "h"])
    except openmetrics.ExpositionError:
        pass


@pytest.mark.parametrize("unit", [b'a="', b'a="\\"', b',le="', b"{", b'le="1",', b"\\", b" ", b"1", b'a="b",', b" # {"])
def test_long_damaged_lines_take_linear_time(unit):
    """Nothing is timed: with quadratic matching this would not end."""
    line = unit * (200_000 // len(unit))
    for start in (b"h_bucket{", b"h_bucket", b"h_bucket ", b"h_count 1 ", b'h_bucket{a="1",', b'h_bucket{le="1"} 1 # {'):
        try:
            families = read(b"# TYPE h histogram\n" + start + line + b"!\n", ["h"])
        except openmetrics.ExpositionError:
            continue
        assert not families["h"].series  # the line has become one of another name
