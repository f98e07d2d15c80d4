# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The binomial distribution, exact to about 13 digits for up to a thousand million trials. Pure, standard library only.

One term is computed by Loader's saddle-point expansion (Fast and Accurate Computation of Binomial Probabilities, 2000), which does not subtract
large logarithms from each other; a tail is the sum of its terms from the largest one on, which is 9 standard deviations at most.
"""

from __future__ import annotations

import functools
import math

# A term that is so much smaller than the sum adds nothing to it.
TINY = 1e-17
HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)
# Above it, what is left of Stirling's series after four terms is below 1e-16.
EXACT = 30


def _stirling_error(number):
    """Return log(number!) minus Stirling's formula."""
    if number <= EXACT:
        return math.lgamma(number + 1) - (number + 0.5) * math.log(number) + number - HALF_LOG_TAU
    square = number * number
    return (1 / 12 - (1 / 360 - (1 / 1260 - 1 / (1680 * square)) / square) / square) / number


def _deviance(seen, mean):
    """Return seen * log(seen / mean) + mean - seen, without cancellation where they are close."""
    difference = seen - mean
    if abs(difference) >= 0.1 * (seen + mean):
        return seen * math.log(seen / mean) - difference
    ratio = difference / (seen + mean)
    result, term, power = difference * ratio, 2 * seen * ratio, 1
    while True:
        term *= ratio * ratio
        power += 2
        added = result + term / power
        if added == result:
            return result
        result = added


def probability(count, trials, chance):
    """Return the chance of exactly `count` hits in so many trials, each with `chance` (0 < chance < 1)."""
    if not 0 <= count <= trials:
        return 0.0
    if count == 0:
        return math.exp(trials * math.log1p(-chance))
    if count == trials:
        return math.exp(trials * math.log(chance))
    missed = trials - count
    exponent = _stirling_error(trials) - _stirling_error(count) - _stirling_error(missed)
    exponent -= _deviance(count, trials * chance) + _deviance(missed, trials * (1 - chance))
    return math.exp(exponent) * math.sqrt(trials / (2 * math.pi * count * missed))


def at_most(count, trials, chance):
    """Return the chance of `count` hits or fewer."""
    if count < 0:
        return 0.0
    if count >= trials:
        return 1.0
    if count > trials * chance:
        return 1 - at_least(count + 1, trials, chance)
    found = term = probability(count, trials, chance)
    odds = (1 - chance) / chance
    while count > 0 and term > TINY * found:
        term *= count / (trials - count + 1) * odds
        count -= 1
        found += term
    return min(found, 1.0)


def at_least(count, trials, chance):
    """Return the chance of `count` hits or more."""
    if count <= 0:
        return 1.0
    if count > trials:
        return 0.0
    if count <= trials * chance:
        return 1 - at_most(count - 1, trials, chance)
    found = term = probability(count, trials, chance)
    odds = chance / (1 - chance)
    while count < trials and term > TINY * found:
        count += 1
        term *= (trials - count + 1) / count * odds
        found += term
    return min(found, 1.0)


@functools.lru_cache(maxsize=1024)
def most(trials, chance, doubt):
    """Return the largest count of which so many hits or fewer have at most the chance `doubt` (below 0.5); -1 where even none has more."""
    # The median is no farther than one from the mean.
    low, high = -1, math.ceil(trials * chance) + 1
    while high - low > 1:
        middle = (low + high) // 2
        if at_most(middle, trials, chance) <= doubt:
            low = middle
        else:
            high = middle
    return low
