# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The binomial bound, by the tables of the catalogue (scale.md, section 5), and what facts say of their percentiles."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from ansible_collections.kubeproof.certify.plugins.module_utils import binomial, bounds
from ansible_collections.kubeproof.certify.plugins.module_utils.proof import DOUBT, prove, quantile
from hypothesis import given, settings
from hypothesis import strategies as st

T = bounds.parse("< 0.025")


def exact(count, trials, chance):
    """Return P(X <= count) by whole numbers."""
    hit, every = chance.numerator, chance.denominator
    return float(Fraction(sum(math.comb(trials, one) * hit**one * (every - hit) ** (trials - one) for one in range(count + 1)), every**trials))


# The distribution -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chance", [Fraction(1, 100), Fraction(1, 20), Fraction(1, 2), Fraction(1, 1000)])
@pytest.mark.parametrize("trials", [1, 2, 31, 299])
def test_tails_are_those_of_whole_numbers(trials, chance):
    for count in sorted({0, 1, min(2, trials), trials // 100, trials // 20, trials // 2, trials - 1, trials}):
        below = exact(count, trials, chance)
        assert binomial.at_most(count, trials, float(chance)) == pytest.approx(below, rel=1e-11, abs=1e-300)
        above = 1 - exact(count - 1, trials, chance) if count else 1.0
        assert binomial.at_least(count, trials, float(chance)) == pytest.approx(above, rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("trials", [10**6, 10**9])
def test_a_thousand_million_trials(trials):
    mean = trials // 100
    deviation = math.sqrt(trials * 0.01 * 0.99)
    # Of a distribution so close to the normal one both tails meet at the mean, and 1.645 deviations leave 5 %.
    assert binomial.at_most(mean, trials, 0.01) + binomial.at_least(mean + 1, trials, 0.01) == pytest.approx(1, abs=1e-12)
    assert binomial.at_most(mean, trials, 0.01) == pytest.approx(0.5, abs=0.01)
    assert binomial.at_most(math.floor(mean - 1.6449 * deviation), trials, 0.01) == pytest.approx(0.05, abs=5e-4)
    assert binomial.most(trials, 0.01, DOUBT) == pytest.approx(mean - 1.6449 * deviation, abs=2)
    assert binomial.at_most(0, trials, 0.01) == 0.0 and binomial.at_least(trials, trials, 0.01) == 0.0


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 10**5), st.sampled_from([0.5, 0.05, 0.01, 0.001]))
def test_the_largest_count_is_the_largest(trials, chance):
    found = binomial.most(trials, chance, DOUBT)
    assert binomial.at_most(found, trials, chance) <= DOUBT < binomial.at_most(found + 1, trials, chance)


# The tables of scale.md -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("beyond", "needed"), [(0, 299), (1, 473), (2, 628), (3, 773), (5, 1049), (10, 1693)])
def test_samples_that_prove_a_p99(beyond, needed):
    assert binomial.most(needed, 0.01, DOUBT) == beyond
    assert binomial.most(needed - 1, 0.01, DOUBT) == beyond - 1


@pytest.mark.parametrize(("samples", "beyond"), [(100, 4), (300, 7), (1000, 16), (10000, 118)])
def test_samples_beyond_it_that_disprove_a_p99(samples, beyond):
    assert binomial.at_least(beyond, samples, 0.01) <= DOUBT < binomial.at_least(beyond - 1, samples, 0.01)


@pytest.mark.parametrize(("samples", "first", "last"), [(100, 97.0, 100), (300, 97.9, 100), (1000, 98.4, 99.6), (10000, 98.8, 99.2)])
def test_the_ranks_between_which_a_p99_lies(samples, first, last):
    beyond = next(count for count in range(samples) if binomial.at_least(count, samples, 0.01) <= DOUBT)
    assert 100 * (samples - beyond + 1) / samples == pytest.approx(first, abs=0.11)
    assert 100 * (samples - max(0, binomial.most(samples, 0.01, DOUBT))) / samples == pytest.approx(last, abs=0.06)


# Facts ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "share"),
    [("write.latency.p99", "99/100"), ("p50", "1/2"), ("a.p999", "999/1000"), ("latency_p95", "19/20"), ("rps.rate", None), ("p9", None), ("p99.count", None)],
)
def test_a_percentile_is_told_by_its_path(query, share):
    assert quantile(query) == (share and Fraction(share))


def says(latency, samples, bound=T, **beside):
    return prove("latency.p99", {"latency": latency, **beside}, samples, {"target": bound, "critical": None}).get("target")


@pytest.mark.parametrize(
    ("latency", "samples", "found"),
    [
        # The percentile alone leaves a hundredth of the samples beyond the bound, which proves nothing.
        ({"p99": 0.01}, 10**6, "open"),
        ({"p99": 0.03}, 10**6, "open"),
        # 299 samples prove it by their largest, and no fewer.
        ({"p99": 0.01, "max": 0.02}, 299, "proved"),
        ({"p99": 0.01, "max": 0.02}, 298, "open"),
        ({"p99": 0.01, "max": 0.03}, 299, "open"),
        # A thousandth beyond it is little enough from 500 on.
        ({"p99": 0.01, "p999": 0.02, "max": 9}, 1000, "proved"),
        ({"p99": 0.01, "p999": 0.02, "max": 9}, 400, "open"),
        ({"p99": 0.01, "p999": 0.03}, 10**6, "open"),
        # A twentieth beyond it is too much, from 60 or so on.
        ({"p95": 0.03, "p99": 0.04}, 1000, "disproved"),
        ({"p95": 0.03, "p99": 0.04}, 20, "open"),
        ({"p50": 0.03, "p99": 0.04}, 10, "disproved"),
        # A value that equals a strict bound does not meet it.
        ({"p99": 0.01, "p999": 0.025}, 10**6, "open"),
        ({"p95": 0.025, "p99": 0.04}, 1000, "disproved"),
        # Intervals of a histogram, of which the upper end is included.
        ({"p99": [0.0, 0.016], "p999": [0.016, 0.025]}, 10**4, "proved"),
        ({"p99": [0.0, 0.016], "p999": [0.016, 0.032]}, 10**4, "open"),
        ({"p95": [0.025, 0.032], "p99": [0.032, None]}, 10**4, "disproved"),
        # Counts of its buckets tell k itself: 83 of 10,000 may be beyond.
        ({"p99": [0.0, 0.025], "below": {"0.025": 0.9917}}, 10**4, "proved"),
        ({"p99": [0.0, 0.025], "below": {"0.025": 0.9916}}, 10**4, "open"),
        ({"p99": [0.025, 0.05], "below": {"0.025": 0.9883}}, 10**4, "open"),
        ({"p99": [0.025, 0.05], "below": {"0.025": 0.9882}}, 10**4, "disproved"),
        ({"p99": [0.016, 0.032], "below": {"0.016": 0.95, "0.032": 0.97}}, 10**4, "disproved"),
    ],
)
def test_what_samples_say(latency, samples, found):
    assert says(latency, samples) == found


def test_the_slowest_of_what_succeeded_is_not_the_slowest():
    latency = {"p99": 0.01, "max": 0.02}
    assert says(latency, 299, errors=0) == "proved"
    assert says(latency, 299, errors={"ratio": 0.0, "worst": "rps"}) == "proved"
    assert says(latency, 299, errors={"ratio": 0.1}) == says(latency, 299, errors={"worst": "rps"}) == says(latency, 299, errors=True) == "open"
    assert says(latency, 299, errors=1) == says({**latency, "lost": 2}, 299) == says({**latency, "failed": 1}, 299) == "open"


def test_at_its_own_bound_each():
    own = {"target": bounds.parse("< 0.01"), "critical": T}
    assert prove("p99", {"p99": 0.012, "p95": 0.011, "p999": 0.02}, 10**4, own) == {"target": "disproved", "critical": "proved", "allowed": 83}
    assert prove("p99", {"p99": 0.012}, 100, own) == {"target": "open", "critical": "open"}


@pytest.mark.parametrize(
    ("query", "document", "samples", "text"),
    [
        ("rps.rate", {"rps": {"rate": 5}}, 300, "< 9"),
        ("p99", {"p99": 1}, None, "< 9"),
        ("p99", {"p99": 1}, True, "< 9"),
        ("p99", {"p99": 1}, 0, "< 9"),
        ("p99", {"p99": 1}, 10**10, "< 9"),
        ("p99", {"p99": 1}, 300, "> 9"),
        ("p99", {"p99": 1}, 300, "== 9"),
    ],
)
def test_of_what_nothing_is_said(query, document, samples, text):
    assert prove(query, document, samples, {"target": bounds.parse(text), "critical": None}) == {}


@pytest.mark.parametrize(
    "latency",
    [{"p99": 0.01, "p999": 0.001, "p95": 0.9}, {"p99": "fast"}, {"p99": 0.01, "p999": float("nan")}, {"p99": 0.01, "max": "0.02"},
     {"p99": 0.01, "below": {"x": 1.0, "0.02": 2.0, "0.01": True}}, {"p99": 0.01, "p999": [1]}, {"p99": 0.01, "max": -1}, {7: 7}],
)  # fmt: skip
def test_damage_leaves_it_open(latency):
    assert says(latency, 10**4) == "open"
    assert prove("a.b.p99", {"a": latency}, 10**4, {"target": T}) == {"target": "open", "allowed": 83}


VALUES = st.one_of(st.floats(), st.integers(-5, 5), st.none(), st.lists(st.floats(0, 1), max_size=3), st.text(max_size=3), st.booleans())
KEYS = st.sampled_from(["p50", "p95", "p99", "p999", "max", "errors", "lost", "below", "count"])


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(KEYS, VALUES), VALUES, st.integers(0, 10**5))
def test_hostile_facts_raise_nothing(latency, beside, samples):
    assert says(latency, samples, errors=beside) in ("proved", "disproved", "open", None)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0.001, 0.05), min_size=20, max_size=600))
def test_what_percentiles_say_agrees_with_the_samples_themselves(values):
    ranked = sorted(values)
    latency = {key: ranked[math.ceil(share * len(ranked)) - 1] for key, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999))}
    beyond, count = sum(value >= T.literal for value in values), len(values)
    found = says({**latency, "max": ranked[-1]}, count)
    if found == "proved":
        assert binomial.at_most(beyond, count, 0.01) <= DOUBT
    if found == "disproved":
        assert binomial.at_least(beyond, count, 0.01) <= DOUBT
