# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import bisect
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import histogram

INF = math.inf
FSYNC = [(0.001, 10), (0.002, 60), (0.004, 90), (0.008, 99), (0.016, 100), (INF, 100)]


@pytest.mark.parametrize(
    "buckets, q, interval",
    [
        (FSYNC, 0.1, [0.0, 0.001]),
        (FSYNC, 0.11, [0.001, 0.002]),
        (FSYNC, 0.5, [0.001, 0.002]),
        (FSYNC, 0.9, [0.002, 0.004]),
        (FSYNC, 0.99, [0.004, 0.008]),
        (FSYNC, 0.999, [0.008, 0.016]),
        (FSYNC, 1.0, [0.008, 0.016]),
        ([(1.0, 998), (INF, 1000)], 0.999, [1.0, None]),
        ([(1.0, 999), (INF, 1000)], 0.999, [0.0, 1.0]),  # 0.999 * 1000 is rank 999, exactly
        ([(1.0, 7), (2.0, 100), (INF, 100)], 0.07, [0.0, 1.0]),  # in binary 0.07 * 100 is 7.000000000000001
        ([(INF, 3)], 0.5, [0.0, None]),
        ([(1.0, 0), (2.0, 5), (4.0, 5), (INF, 5)], 0.99, [1.0, 2.0]),
        ([(1.0, 0), (INF, 0)], 0.5, None),
        ([], 0.5, None),
        ([(-1.0, 5), (INF, 5)], 0.5, None),
        ([(0.0, 5), (INF, 5)], 0.5, None),
        ([(-1.0, 1), (1.0, 5), (INF, 5)], 0.5, [-1.0, 1.0]),
    ],
)
def test_quantile_is_an_interval_of_bounds(buckets, q, interval):
    assert histogram.quantile_interval(buckets, q) == interval


@pytest.mark.parametrize("bound, fraction", [(0.008, 0.99), (0.001, 0.1), (0.016, 1.0), (INF, 1.0), (0.01, None), (0, None)])
def test_fraction_is_exact_or_absent(bound, fraction):
    assert histogram.fraction_at_most(FSYNC, bound) == fraction


def test_fraction_of_nothing_is_absent():
    assert histogram.fraction_at_most([(1.0, 0), (INF, 0)], 1.0) is None


@pytest.mark.parametrize(
    "counts, reason",
    [
        ({}, "no bucket"),
        ({1.0: 2}, "no bucket"),
        ({1.0: 3, INF: 2}, "less than the 3 below"),
        ({1.0: -1, INF: 2}, "less than the 0 below"),
        ({1.0: 1.5, INF: 2}, "not a whole number"),
        ({1.0: math.nan, INF: 2}, "not a whole number"),
        ({1.0: 1, INF: INF}, "not a whole number"),
    ],
)
def test_counts_that_are_no_histogram_are_refused(counts, reason):
    with pytest.raises(histogram.HistogramError, match=reason):
        histogram.from_counts(counts)


def test_subtract():
    assert histogram.subtract([(1.0, 5), (INF, 9)], [(1.0, 2), (INF, 3)]) == [(1.0, 3), (INF, 6)]


@pytest.mark.parametrize(
    "last, first, reason",
    [
        ([(1.0, 5), (INF, 9)], [(2.0, 2), (INF, 3)], "bounds changed"),
        ([(1.0, 5), (INF, 9)], [(INF, 3)], "bounds changed"),
        ([(1.0, 1), (INF, 9)], [(1.0, 2), (INF, 3)], "went down"),
        ([(1.0, 5), (INF, 5)], [(1.0, 2), (INF, 3)], "less than the 3 below"),  # the bucket's own count fell: a reset in disguise
    ],
)
def test_subtract_refuses(last, first, reason):
    with pytest.raises(histogram.HistogramError, match=reason):
        histogram.subtract(last, first)


def test_merge():
    assert histogram.merge([FSYNC, FSYNC]) == [(bound, 2 * count) for bound, count in FSYNC]
    assert histogram.merge([]) == []
    with pytest.raises(histogram.HistogramError, match="different bucket bounds"):
        histogram.merge([[(1.0, 1), (INF, 1)], [(2.0, 1), (INF, 1)]])


def test_summary():
    assert histogram.summary(FSYNC, 0.25) == {
        "count": 100,
        "sum": 0.25,
        "mean": 0.0025,
        "p50": [0.001, 0.002],
        "p90": [0.002, 0.004],
        "p95": [0.004, 0.008],
        "p99": [0.004, 0.008],
        "p999": [0.008, 0.016],
        "below": {"0.001": 0.1, "0.002": 0.6, "0.004": 0.9, "0.008": 0.99, "0.016": 1.0},
    }
    assert histogram.summary([(1.0, 0), (INF, 0)], 0.0) == {"count": 0, "sum": 0.0}
    assert histogram.summary([]) == {"count": 0}


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(0.001, 100), min_size=1, max_size=8, unique=True).map(sorted),
    st.lists(st.floats(0.0005, 200), min_size=1, max_size=60),
    st.sampled_from([0.5, 0.9, 0.95, 0.99, 0.999, 1.0]),
)
def test_the_interval_holds_the_nearest_rank_value(bounds, values, q):
    counts = {bound: sum(value <= bound for value in values) for bound in [*bounds, INF]}
    buckets = histogram.from_counts(counts)
    low, high = histogram.quantile_interval(buckets, q)
    exact = sorted(values)[min(len(values), -(-int(q * 1000) * len(values) // 1000)) - 1]
    assert low < exact <= (INF if high is None else high)
    index = bisect.bisect_left(bounds, exact)
    assert high == (bounds[index] if index < len(bounds) else None)
    json.dumps(histogram.summary(buckets, sum(values)), allow_nan=False)
