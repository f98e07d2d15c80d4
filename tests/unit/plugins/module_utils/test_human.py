# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers and texts as a person reads them."""

from __future__ import annotations

import math

import hypothesis
import pytest
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import human as subject


@pytest.mark.parametrize(
    "value, unit, text",
    [
        (0.0123, "s", "12.3 ms"), (0, "s", "0 s"), (0.0, "s", "0 s"), (0.00081, "s", "810 µs"), (2.5e-8, "s", "25 ns"), (1, "s", "1 s"), (75.04, "s", "75 s"),
        (599, "s", "599 s"), (912, "s", "15.2 min"), (86400, "s", "24 h"), (-0.0021, "s", "-2.1 ms"), (1610612736, "byte", "1.5 GiB"), (0, "byte", "0 B"),
        (1023, "byte", "1,023 B"), (500e6, "byte/s", "500 MB/s"), (9.41e9, "bit/s", "9.41 Gbit/s"), (8190, "1/s", "8,190/s"), (8190.4, "1/s", "8,190/s"),
        (0.25, "1/s", "0.25/s"), (0.9995, "ratio", "99.95 %"), (0.99999, "ratio", "99.999 %"),
        (0.001, "ratio", "0.1 %"), (0, "ratio", "0 %"), (12345678, "count", "12,345,678"), (3, None, "3"),
        (0.5, None, "0.5"), (7, "queries", "7 queries"), (10**30, "count", "1.000e+30"), (True, None, "true"), (False, "s", "false"), (None, "s", "-"),
        ("v3.6", None, "v3.6"), ("", None, ""), ([0.008, 0.016], "s", "8-16 ms"), ([8.19, None], "s", "> 8.19 s"), ([0, 0.001], "s", "0-1 ms"),
        ([0.0005, 0.001], "s", "0.5-1 ms"), ([-2, 1], "s", "-2 to 1 s"), (["a", "b"], None, "a, b"), ([], None, ""), ("< 0.025", "s", "< 25 ms"),
        ("> 10000", "1/s", "> 10,000/s"), ("<= 1e-3", "ratio", "<= 0.1 %"), ("== true", "s", "== true"), ('in ["a"]', None, 'in ["a"]'),
        ("< fast", "s", "< fast"),
        (float("nan"), "s", "not a number"), (float("inf"), "s", "not a number"), ({"b": 1, "a": 2}, None, '{"a": 2, "b": 1}'),
    ],
)  # fmt: skip
def test_human(value, unit, text):
    assert subject.human(value, unit) == text


@pytest.mark.parametrize(
    "value, text",
    [(0.02503, "25.03 ms"), (0.025, "25 ms"), (0.02500001, "25.00001 ms"), (0.0249996, "24.9996 ms"), (0.0251, "25.1 ms"), (0.05, "50 ms")],
)
def test_a_value_never_looks_equal_to_a_bound_that_it_misses(value, text):
    assert subject.human(value, "s", ["< 0.025", None, "== true"]) == text


@pytest.mark.parametrize(
    "value, unit, bounds, text",
    [
        ([9999.6, None], "1/s", ["> 10000"], "> 9,999.6/s"), ([10000, None], "1/s", ["> 10000"], "> 10,000/s"),
        ([10000.4, None], "1/s", ["> 10000"], "> 10,000.4/s"),
        ([1.2996, None], "ratio", [">= 1.3"], "> 129.96 %"), ([0.9996, None], "ratio", [], "> 99.96 %"), ([0.5, 0.9996], "ratio", [], "50-99.96 %"),
        ([0.016, 0.02503], "s", ["< 0.025", "< 0.05"], "16-25.03 ms"), ([0.0249999, 0.032], "s", ["< 0.025"], "24.9999-32 ms"),
        ([0.016, 0.025], "s", ["< 0.025", None], "16-25 ms"), ([0.5, 1], "s", ["< 0.5004"], "0.5-1 s"), ([0.99996, 1], "ratio", ["> 0.99"], "99.996-100 %"),
        ([8, 9], "s", ["== true", "in [8, 9]", ""], "8-9 s"), ([float("-inf"), 1], "s", ["< 1"], "not a number"), ([1, float("nan")], "s", [], "not a number"),
    ],
)  # fmt: skip
def test_an_end_of_a_range_never_looks_equal_to_a_bound_that_it_misses(value, unit, bounds, text):
    assert subject.human(value, unit, bounds) == text


NUMBER = st.floats(-1e12, 1e12, allow_nan=False)


@hypothesis.settings(max_examples=100, deadline=None)
@hypothesis.given(NUMBER, st.sampled_from(["s", "ratio", "1/s", "byte", None]), st.data())
def test_close_to_a_bound_the_figures_tell_on_which_side(bound, unit, data):
    value = data.draw(st.just(math.nextafter(bound, math.inf)) | st.floats(bound, bound + abs(bound) / 1000))
    hypothesis.assume(value != bound)
    with_bound = subject.human([value, None], unit, [f"> {bound!r}"])
    # As it reads where it is known for what it is.
    assert with_bound == f"> {subject.human(value, unit, [f'> {bound!r}'])}"
    assert with_bound != f"> {subject.human(bound, unit, [f'> {value!r}'])}"


@pytest.mark.parametrize(
    "text, width, fitted",
    [("abc", 5, "abc  "), ("abcdef", 5, "abcd…"), ("abcde", 5, "abcde"), ("日本語", 6, "日本語"), ("日本語", 5, "日本…"), ("日本語", 4, "日… "),
     ("e\u0301a", 3, "e\u0301a ")],  # fmt: skip
)
def test_fit(text, width, fitted):
    assert subject.fit(text, width) == fitted
    assert subject.cells(fitted) == width


@pytest.mark.parametrize(
    "text, cleaned",
    [("a\n b\t\r\nc ", "a b c"), ("\x1b[31mred", "\ufffd[31mred"), ("a\u202eb", "a\ufffdb"), ("\x00", "\ufffd"), ("\ud800", "\ufffd"), ("a\u2028b", "a b")],
)
def test_clean(text, cleaned):
    assert subject.clean(text) == cleaned


LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUE = LEAF | st.lists(LEAF, max_size=3) | st.dictionaries(st.text(max_size=5), LEAF, max_size=2)


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(VALUE, st.sampled_from([None, "x", *subject.SCALES]), st.integers(1, 40))
def test_any_value_is_one_line_of_the_width_asked(value, unit, width):
    text = subject.fit(subject.human(value, unit, ["< 0.025", "> 3"]), width)
    assert subject.cells(text) == width
    assert text.isprintable()
