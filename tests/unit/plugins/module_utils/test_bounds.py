# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bounds: what they are made of, what values and intervals say about them, and how two of them compare."""

from __future__ import annotations

import math

import pytest
from ansible_collections.kubeproof.certify.plugins.module_utils import bounds
from hypothesis import given
from hypothesis import strategies as st

POSITIVE = st.floats(0, 100, allow_nan=False)


@pytest.mark.parametrize(
    "text, operator, literal, written",
    [
        ("< 0.025", "<", 0.025, "< 0.025"),
        ("<0.025", "<", 0.025, "< 0.025"),
        (" >=  1e3 ", ">=", 1000.0, ">= 1e3"),
        ("== true", "==", True, "== true"),
        ("!= -1", "!=", -1, "!= -1"),
        ('== "x"', "==", "x", '== "x"'),
        ('in ["a", "b"]', "in", ["a", "b"], 'in ["a", "b"]'),
        ("in[1,2]", "in", [1, 2], "in [1,2]"),
        ('== ["NOSPACE"]', "==", ["NOSPACE"], '== ["NOSPACE"]'),
        ("== []", "==", [], "== []"),
    ],
)
def test_parse(text, operator, literal, written):
    bound = bounds.parse(text)
    assert (bound.operator, bound.literal, bound.text) == (operator, literal, written)


@pytest.mark.parametrize(
    "text",
    ["", "5", "<", "< x", "=< 5", "<> 5", "< NaN", "< Infinity", "< -Infinity", "< 1e999", "< true", '< "5"', "> [1]", "== null", "== {}", "== [1, 2]"]
    + ["in []", "in 5", 'in "abc"', "in [null]", "in [[1]]", "inside [1]", "~ 5", "< 5 6", "< 5s", "== NaN", "in [NaN]", "== [[]]", "< " + "[" * 100000],
)
def test_parse_refuses(text):
    with pytest.raises(ValueError):
        bounds.parse(text)


@pytest.mark.parametrize(
    "text, value, met",
    [
        ("< 5", 4.999, True), ("< 5", 5, False), ("< 5", 5.0, False), ("<= 5", 5, True), ("<= 5", 5.001, False),
        ("> 5", 5, False), ("> 5", 5.001, True), (">= 5", 5, True), (">= 5", 4.999, False),
        ("== 0", 0, True), ("== 0", 0.0, True), ("== 0", -0.0, True), ("== 0", 1e-300, False), ("!= 0", 0, False), ("!= 0", 1, True),
        ("== true", True, True), ("== true", False, False), ("!= true", False, True), ('== "a"', "a", True), ('== "a"', "A", False),
        ('in ["a", 5]', "a", True), ('in ["a", 5]', 5.0, True), ('in ["a", 5]', 4, False), ("in [true, 5]", 1, False), ("in [1, 5]", 5, True),
        ('== ["a", "b"]', ["a", "b"], True), ('== ["a"]', ["b"], False), ("== []", [], True),
        ("< 5", 10**400, False), ("> 5", 10**400, True),
    ],
)  # fmt: skip
def test_value(text, value, met):
    bound = bounds.parse(text)
    assert bounds.trouble(value, [bound]) == ""
    assert bounds.truth(bound, value) == ("meets" if met else "misses")


@pytest.mark.parametrize(
    "text, value",
    [
        ("< 5", True), ("== 1", True), ("== true", 1), ("== false", 0), ("< 5", "4"), ("< 5", {}), ("== 0", None), ("in [1]", True),
        ("< 5", math.nan), ("< 5", math.inf), ("> 5", math.inf), ("> 5", -math.inf), ("== 0", math.nan), ("!= 0", math.nan),
        ("< 5", -1), ("< 5", -1e-300), ("!= 0", -1), ("== 0", -1), ('== "a"', 5), ('== "a"', ["a"]), ('== ["a"]', "a"), ('== ["a"]', [1]), ("== []", [1, 2]),
        ("== 0", [0, 1]), ("!= 5", [0, 1]), ("in [1]", [0, 1]), ("== true", [0, 1]),
        ("< 5", []), ("< 5", [1]), ("< 5", [1, 2, 3]), ("< 5", [2, 1]), ("< 5", [1, 1]), ("< 5", [None, 1]), ("< 5", [None, None]), ("< 5", [-1, 1]),
        ("< 5", [0, "1"]), ("< 5", ["0", 1]), ("< 5", [False, 1]), ("< 5", [0, True]), ("< 5", [math.nan, 1]), ("< 5", [0, math.nan]), ("> 5", [6, math.inf]),
        ("> 5", [[6], 7]),
    ],
)  # fmt: skip
def test_implausible(text, value):
    assert bounds.trouble(value, [bounds.parse(text)]).startswith("Implausible: ")


def test_negative_is_plausible_only_where_a_bound_names_a_negative():
    unlimited, positive = bounds.parse("!= -1"), bounds.parse("> 1024")
    assert bounds.trouble(-1, [unlimited]) == ""
    assert bounds.truth(unlimited, -1) == "misses"
    assert bounds.trouble(-1, [positive]) == "Implausible: -1 is negative."


@pytest.mark.parametrize(
    "text, met, missed, straddled",
    [
        ("< 5", [[1, 4], [1, 5], [0, 5]], [[5, 6], [6, None], [5, None]], [[4, 6], [4, None], [4.999, 5.001]]),
        ("<= 5", [[1, 4], [1, 5]], [[5, 6], [6, None]], [[4, 6], [4, None]]),
        ("> 5", [[5, 6], [6, 7], [5, None]], [[1, 4], [1, 5]], [[4, 6], [4, None]]),
        (">= 5", [[5, 6], [6, 7], [5, None]], [[1, 4]], [[4, 6], [4, None], [1, 5]]),
    ],
)
def test_interval(text, met, missed, straddled):
    bound = bounds.parse(text)
    for expected, values in (("meets", met), ("misses", missed), ("straddles", straddled)):
        for value in values:
            assert bounds.trouble(value, [bound]) == ""
            assert (value, bounds.truth(bound, value)) == (value, expected)


@given(st.sampled_from(["<", "<=", ">", ">="]), POSITIVE, POSITIVE, POSITIVE, st.floats(0, 1, exclude_min=True))
def test_interval_never_says_more_than_every_value_in_it(symbol, number, low, width, share):
    high = low + width
    value = min(high, max(math.nextafter(low, math.inf), low + width * share))
    if not low < value <= high:
        return
    found = bounds.truth(bounds.parse(f"{symbol} {number!r}"), [low, high])
    exact = bounds.truth(bounds.parse(f"{symbol.replace('<=', '<').replace('<', '<=')} {number!r}"), value)
    assert found in (exact, "straddles")


# target, critical: meets, misses, straddles or None (there is no such bound)
@pytest.mark.parametrize(
    "target, critical, value, result, undecided",
    [
        ("< 1", "< 5", 0.5, "PASS", False),
        ("< 1", "< 5", 1, "CONDITIONAL", False),
        ("< 1", "< 5", 5, "FAIL", False),
        ("< 1", "< 5", [0, 1], "PASS", False),
        ("< 1", "< 5", [0.5, 2], "CONDITIONAL", True),
        ("< 1", "< 5", [1, 5], "CONDITIONAL", False),
        ("< 1", "< 5", [4, 6], "INCONCLUSIVE", False),
        ("< 1", "< 5", [0, 6], "INCONCLUSIVE", False),
        ("< 1", "< 5", [0, None], "INCONCLUSIVE", False),
        ("< 1", "< 5", [5, 6], "FAIL", False),
        ("> 5", "> 1", [5, 6], "PASS", False),
        ("> 5", "> 1", [4, 6], "CONDITIONAL", True),
        ("> 5", "> 1", [0, 2], "INCONCLUSIVE", False),
        ("> 5", "> 1", [0, 1], "FAIL", False),
        (None, "< 5", 4, "PASS", False),
        (None, "< 5", 5, "FAIL", False),
        (None, "< 5", [4, 6], "INCONCLUSIVE", False),
        ("< 5", None, 4, "PASS", False),
        ("< 5", None, 5, "CONDITIONAL", False),
        ("< 5", None, [4, 6], "CONDITIONAL", True),
        ("< 5", None, [5, 6], "CONDITIONAL", False),
    ],
)
def test_decide(target, critical, value, result, undecided):
    parsed = [text and bounds.parse(text) for text in (target, critical)]
    found = bounds.decide(value, *parsed)
    assert (found["result"], found.get("undecided", False)) == (result, undecided)
    assert bool(found["reason"]) == (undecided or result == "INCONCLUSIVE")


@pytest.mark.parametrize(
    "target, critical, value, evaluated",
    [
        ("< 1", "< 5", [0, 1], "<= 1, <= 5"),
        ("< 1", "<= 5", [0, 1], "<= 1"),
        ("<= 1", "< 5", [0, 1], "<= 5"),
        ("<= 1", "<= 5", [0, 1], None),
        ("> 5", "> 1", [0, 1], None),
        ("< 1", "< 5", 1, None),
    ],
)
def test_evaluated(target, critical, value, evaluated):
    assert bounds.decide(value, bounds.parse(target), bounds.parse(critical)).get("evaluated") == evaluated


@pytest.mark.parametrize(
    "first, second, implied",
    [
        ("< 1", "< 5", True), ("< 5", "< 1", False), ("< 5", "< 5", True), ("< 5", "<= 5", True), ("<= 5", "< 5", False), ("<= 5", "<= 5", True),
        ("> 5", "> 1", True), ("> 1", "> 5", False), ("> 5", ">= 5", True), (">= 5", "> 5", False),
        ("< 1", "> 5", False), ("> 5", "< 1", False), ("== 3", "<= 5", True), ("== 6", "<= 5", False), ("<= 5", "== 3", False),
        ("in [1, 2]", "<= 2", True), ("in [1, 3]", "<= 2", False), ("in [1]", "in [1, 2]", True), ("in [1, 2]", "in [1]", False), ("== 1", "in [1, 2]", True),
        ("!= 1", "!= 1", True), ("!= 1", "!= 2", False), ("< 5", "!= 7", True), ("< 5", "!= 3", False), ("!= 1", "< 5", False),
        ("== true", "== true", True), ("== true", "== 1", False), ("== 1", "== true", False), ("< 5", '!= "x"', False), ("< 5", "in [1]", False),
    ],
)  # fmt: skip
def test_implies(first, second, implied):
    assert bounds.implies(bounds.parse(first), bounds.parse(second)) is implied


@pytest.mark.parametrize(
    "old, new, expected",
    [
        ("< 5", "< 4", "tightened"), ("< 5", "< 6", "relaxed"), ("< 5", "<= 5", "relaxed"), ("<= 5", "< 5", "tightened"), ("< 5", "<5.0", ""),
        ("> 5", "> 6", "tightened"), ("> 5", "> 4", "relaxed"), ("< 5", "> 5", "changed"), ("== 1", "== 2", "changed"), ("== 1", "in [1, 2]", "relaxed"),
        (None, "< 5", "tightened"),
    ],
)  # fmt: skip
def test_direction(old, new, expected):
    assert bounds.direction(old and bounds.parse(old), bounds.parse(new)) == expected


@pytest.mark.parametrize(
    "text, better, worse",
    [
        ("< 5", 4, 6), ("< 5", 6, 7), ("< 5", 6, 10**400), ("> 5", 6, 5), ("> 5", 10**400, 6), ("< 5", [4, 6], [4, None]), ("< 5", [4, 6], [1, 7]),
        ("> 5", [5, 9], [4, 99]), ("== 0", 0, 1), ("== 5", 4, 7), ("== 0", 1, 2),
    ],
)  # fmt: skip
def test_badness(text, better, worse):
    assert bounds.badness(better, text) < bounds.badness(worse, text)


@pytest.mark.parametrize("value", [None, True, "x", {}, [], [1], ["a", "b"]])
@pytest.mark.parametrize("text", ["== true", '== "x"', 'in ["x"]', "> 5", None])
def test_badness_without_a_number(text, value):
    assert bounds.badness(value, text) == 0.0
