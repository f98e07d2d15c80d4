# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Histograms with buckets: quantiles as intervals of bucket bounds, exact fractions at a bound, and no interpolation.

`buckets` is a list of (upper bound, cumulative count) with ascending bounds, the last of which is +Inf.
"""

from __future__ import annotations

import math
from fractions import Fraction

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}


class HistogramError(Exception):
    """Buckets that cannot be read, subtracted or summed; the sentence says what was found."""


def from_counts(counts):
    """Return buckets from {upper bound: cumulative count}; HistogramError unless they make a histogram."""
    bounds = sorted(counts)
    if not bounds or bounds[-1] != math.inf:
        raise HistogramError("it has no bucket +Inf")
    buckets = []
    below = 0
    for bound in bounds:
        if not (math.isfinite(counts[bound]) and counts[bound] == int(counts[bound])):
            raise HistogramError(f"bucket {bound!r} has the count {counts[bound]!r}, which is not a whole number")
        count = int(counts[bound])
        if count < below:
            raise HistogramError(f"bucket {bound!r} has the count {count}, less than the {below} below it")
        buckets.append((bound, count))
        below = count
    return buckets


def bounds_of(buckets):
    """Return the upper bounds of buckets."""
    return [bound for bound, dummy in buckets]


def total(buckets):
    """Return the number of observations."""
    return buckets[-1][1]


def subtract(last, first):
    """Return the buckets of what was observed between `first` and `last`; HistogramError on a reset or other bounds."""
    if bounds_of(last) != bounds_of(first):
        raise HistogramError("its bucket bounds changed")
    if any(later < earlier for (dummy, later), (dummy, earlier) in zip(last, first)):
        raise HistogramError("a bucket went down")
    return from_counts({bound: later - earlier for (bound, later), (dummy, earlier) in zip(last, first)})


def merge(histograms):
    """Return the sum of a list of buckets, [] of none; HistogramError when their bounds differ."""
    if not histograms:
        return []
    bounds = bounds_of(histograms[0])
    if any(bounds_of(buckets) != bounds for buckets in histograms):
        raise HistogramError("its series have different bucket bounds, which cannot be summed")
    return [(bound, sum(buckets[index][1] for buckets in histograms)) for index, bound in enumerate(bounds)]


def quantile_interval(buckets, q):
    """Return [low, high] around the nearest-rank quantile `q` (0 < q <= 1): low excluded, high included, None for +Inf.

    None when nothing was observed, or when the quantile is in a first bucket without a lower end (bound <= 0).
    """
    if not buckets or not total(buckets):
        return None
    # The decimal form of q is meant: 0.999 * 1000 in binary could round up to rank 1000.
    rank = math.ceil(Fraction(repr(q)) * total(buckets))
    low = 0.0
    for bound, count in buckets:
        if count >= rank:
            break
        low = bound
    if bound <= low:
        return None
    return [low, None if bound == math.inf else bound]


def fraction_at_most(buckets, bound):
    """Return the exact fraction of observations <= `bound`, None when it is no bucket bound or nothing was observed."""
    counts = dict(buckets)
    if bound not in counts or not total(buckets):
        return None
    return counts[bound] / total(buckets)


def summary(buckets, amount=None):
    """Return {count, sum, mean, p50 ... p999, below: {bound: fraction}} of buckets and the sum of all values; [] counts as 0."""
    count = total(buckets) if buckets else 0
    facts = {"count": count}
    if amount is not None:
        facts["sum"] = amount
    if not count:
        return facts
    if amount is not None:
        facts["mean"] = amount / count
    intervals = {name: quantile_interval(buckets, q) for name, q in QUANTILES.items()}
    facts.update({name: interval for name, interval in intervals.items() if interval})
    facts["below"] = {repr(bound): fraction_at_most(buckets, bound) for bound in bounds_of(buckets) if math.isfinite(bound)}
    return facts
