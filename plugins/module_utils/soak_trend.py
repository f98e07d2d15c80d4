# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether something grows: the slope of a series by Theil and Sen, with its confidence interval. Pure.

The slope is the median of the slopes between all pairs of points (H. Theil, 1950; P. K. Sen, Journal of the American Statistical
Association 63, 1968), which a quarter of wild points, such as the teeth of compactions, does not move. The interval is Sen's, from
Kendall's variance. Long series are first made to medians of equal stretches of time.
"""

from __future__ import annotations

import math
import statistics

STRETCHES = 48
LEAST = 8
# Both sides of a normal distribution hold 95 % within.
NORMAL = 1.96


def trend(points):
    """Return {slope, low, high (1/s), first, last, points} of [(s, value)] in order of time, or None when they are too few."""
    points = condense(points)
    count = len(points)
    if count < LEAST:
        return None
    slopes = sorted(
        (later[1] - earlier[1]) / (later[0] - earlier[0]) for number, earlier in enumerate(points) for later in points[number + 1 :] if later[0] > earlier[0]
    )
    if not slopes:
        return None
    spread = NORMAL * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(0, math.floor((len(slopes) - spread) / 2))
    high = min(len(slopes) - 1, math.ceil((len(slopes) + spread) / 2))
    return {
        "slope": statistics.median(slopes),
        "low": slopes[low],
        "high": slopes[high],
        "first": points[0][1],
        "last": points[-1][1],
        "points": count,
    }


def condense(points):
    """Return one point, the medians, for each stretch of time that holds any."""
    if len(points) <= STRETCHES:
        return list(points)
    begin, length = points[0][0], (points[-1][0] - points[0][0]) / STRETCHES
    if length <= 0:
        return []
    stretches = {}
    for time, value in points:
        stretches.setdefault(min(STRETCHES - 1, int((time - begin) / length)), []).append((time, value))
    return [tuple(statistics.median(one) for one in zip(*stretches[number])) for number in sorted(stretches)]
