# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the samples behind a percentile prove its bound, disprove it or leave that open: the exact one-sided binomial bound at 95 %. Pure.

Of n samples, k are beyond the bound T. If the true quantile q were beyond T too, each sample would be so with a chance of 1 - q or more:

    proved      so few as k would then happen in at most 5 % of all runs     P(Bin(n, 1 - q) <= k) <= 0.05
    disproved   and so many as k, if it were within T                        P(Bin(n, 1 - q) >= k) <= 0.05
    open        neither

Facts seldom carry k, but they carry what encloses it: each further percentile of the same samples, the largest of them, and the counts of
histogram buckets lie on one side of T. What is not enclosed closely enough stays open. Samples are taken as independent, which latencies are
not quite, so this is the least that one should ask for; it is shown beside a result and never changes it.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any, Dict, List, Optional, Tuple

from ansible_collections.kubeproof.certify.plugins.module_utils import binomial, bounds

PROVED, DISPROVED, OPEN = "proved", "disproved", "open"
DOUBT = 0.05
# The last part of a path, or of a key in it: p50, p99, p999.
QUANTILE = re.compile(r"(?:^|[._])p([1-9][0-9]{1,4})$")
KEY = re.compile(r"p([1-9][0-9]{1,4})")
# Where one of these is not zero, the largest sample is only that of what succeeded.
FAILURES = ("errors", "failed", "lost", "missed", "timeouts", "unmeasured")
LARGEST = 10**9


def quantile(query: str) -> Optional[Fraction]:
    """Return the share that a path such as write.latency.p99 asks for, None for one that is no percentile."""
    found = QUANTILE.search(query)
    return _share(found[1]) if found else None


def prove(query: str, document: Any, samples: Any, own: Dict[str, Optional[bounds.Bound]]) -> Dict[str, Any]:
    """Return {target?, critical?: proved, disproved or open, allowed?}, {} for what is no percentile with samples and an upper bound.

    `own` {target, critical: a bound or None}; `allowed`: so many samples may be beyond a bound that is proved all the same, where any n of
    this size can prove one.
    """
    share = quantile(query)
    if share is None or bounds.kind(samples) != "number" or not 1 <= samples <= LARGEST:
        return {}
    parent, beside = _parents(query, document)
    said = {name: _says(bound, share, int(samples), parent, beside) for name, bound in own.items() if bound and bounds.SIDE.get(bound.operator, 0) > 0}
    if not said:
        return {}
    allowed = binomial.most(int(samples), float(1 - share), DOUBT)
    return {**said, **({"allowed": allowed} if allowed >= 0 else {})}


def _share(digits: str) -> Fraction:
    return Fraction(int(digits), 10 ** len(digits))


def _parents(query: str, document: Any) -> Tuple[dict, dict]:
    """Return the map that holds the percentile, and the one that holds that map."""
    parts = [part.strip('"') for part in re.findall(r'"[^"]*"|[^.]+', query)][:-1]
    above: List[Any] = [document]
    for part in parts:
        above.append(above[-1].get(part) if isinstance(above[-1], dict) else None)
    maps = [one if isinstance(one, dict) else {} for one in above]
    return maps[-1], maps[-2] if len(maps) > 1 else {}


def _says(bound: bounds.Bound, share: Fraction, count: int, parent: dict, beside: dict) -> str:
    """Return what the samples say of one bound."""
    low, high = _beyond(bound, count, parent, beside)
    chance = float(1 - share)
    if low > high:
        # They contradict each other.
        return OPEN
    if binomial.at_most(high, count, chance) <= DOUBT:
        return PROVED
    return DISPROVED if binomial.at_least(low, count, chance) <= DOUBT else OPEN


def _beyond(bound: bounds.Bound, count: int, parent: dict, beside: dict) -> Tuple[int, int]:
    """Return between how many and how many samples are beyond the bound."""
    low, high = 0, count
    for key, value in parent.items():
        name = KEY.fullmatch(key) if isinstance(key, str) else None
        if name is None or bounds.trouble(value, [bound]):
            continue
        # A tool may print the sample of the nearest rank, or what lies between it and a neighbour.
        above = count - math.floor(_share(name[1]) * (count - 1)) - 1
        truth = bounds.truth(bound, value)
        if truth == bounds.MEETS:
            high = min(high, above)
        elif truth == bounds.MISSES:
            low = max(low, above)
    largest = parent.get("max")
    if bounds.kind(largest) == "number" and not bounds.trouble(largest, [bound]):
        if bounds.truth(bound, largest) == bounds.MISSES:
            low = max(low, 1)
        elif not any(_counts(one) for one in (parent, beside)):
            high = 0
    for limit, above in _buckets(parent.get("below"), count):
        if limit <= bound.literal:
            high = min(high, above)
        if limit >= bound.literal:
            low = max(low, above)
    return low, high


def _counts(document: dict) -> bool:
    """Say whether something failed, or may have: a count or a share of it, or a map that has its share."""
    found = [document[name] for name in FAILURES if name in document]
    return any((one.get("ratio", True) if isinstance(one, dict) else one) not in (0, None) for one in found)


def _buckets(below: Any, count: int) -> List[Tuple[float, int]]:
    """Return [(bound of a bucket, samples above it)] of the fractions at or below it."""
    found = []
    for text, fraction in below.items() if isinstance(below, dict) else ():
        try:
            limit = float(text)
        except (TypeError, ValueError):
            continue
        if bounds.kind(fraction) == "number" and 0 <= fraction <= 1 and math.isfinite(limit):
            found.append((limit, count - round(fraction * count)))
    return found
