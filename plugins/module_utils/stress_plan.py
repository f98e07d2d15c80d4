# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which steps a stress run may take, and which one comes next. The same for every layer. Pure.

First the ramp, each share of the expected rate higher than the one before, until a step is not held or none is left. Then the rate at which the
layer recovers, again and again until a step of it is held or `limit` seconds have passed. Then, where that is asked for, bisection between the last
step that was held and the first that was not, and the highest one that was held once more: what held once and another time not is not held.

No tool says on its way how much of it failed. So a step that is long is tried for some seconds first, and that probe takes its place where more than
the tolerable share of it failed: an overload is not kept up for minutes to learn what seconds have shown.

A step is what the layer makes of a share, with {name, phase, share}; a row is a step that ran: {name, phase, share, held, began, ended, stop, few}. `held`
is None where that is not known, `few` whether that is for want of samples; `stop` says that no load may follow.
"""

from __future__ import annotations

import math

from .sizing import PlanError

# The rate of recovery, of the expected one, and how long a try of it takes at most; how close bisection comes; how often recovery is tried at most.
RECOVERY = 0.7
RECOVERY_SECONDS = 120
RESOLUTION = 1.1
MOST_TRIES = 40
# A tool's first and last second have fewer samples than its rate promises.
MARGIN = 1.1
# So many steps bisection takes at most, and the last of them a second time.
MOST_BISECTED = 4
# A step of so many seconds is tried first, for so many; what fails is known when the tools have given up, which takes them 5 to 10 s at most.
PROBED = 60
PROBE_SECONDS = 15
SHARES = (1.0, 1.25, 1.5, 1.75, 2.0)
RAMP, BISECT, AGAIN, RECOVER, PROBE = "ramp", "bisect", "again", "recovery", "probe"
# Phases that load beyond the expected rate.
LOADING = (RAMP, BISECT, AGAIN)


def ramp(make, seconds, settings, samples=0, few=None, probed=True):
    """Return (steps of the ramp and the first of the recovery, steps that bisection may take); PlanError says what to write.

    `make(share, seconds)` is the layer's step at a share of the expected rate, with its rate. `settings`: live, and stress {shares, bisect} (certify_stress_*).
    A step is longer than `seconds` where its rate needs that for so many samples, a try of recovery for `few` of them. `probed`: long ones are tried
    first, which needs a tool that counts errors and goes on; such a probe has the name of its `whole` step.
    """
    if settings.get("live"):
        # Preflight refuses such a run; its plan is still asked what it would have written.
        return [], []
    chosen = settings.get("stress") or {}
    shares = shares_of(SHARES if chosen.get("shares") is None else chosen["shares"])

    def step(phase, share, most, least=samples):
        wanted = max(most, math.ceil(MARGIN * least / max(make(share, most)["rate"], 1)))
        return {**make(share, wanted), "name": f"{phase}-{round(share * 100)}", "phase": phase, "share": share}

    def tried(phase, share):
        whole = step(phase, share, seconds)
        if not probed or whole["seconds"] < PROBED:
            return [whole]
        return [{**make(share, PROBE_SECONDS), "name": f"{PROBE}-{round(share * 100)}", "phase": PROBE, "share": share, "whole": whole["name"]}, whole]

    taken = {round(share * 100) for share in shares}
    between = [share for share in _between([RECOVERY, *shares]) if round(share * 100) not in taken] if chosen.get("bisect") else []
    recovery = dict(step(RECOVER, RECOVERY, min(seconds, RECOVERY_SECONDS), samples if few is None else few), name=f"{RECOVER}-1")
    return [*(one for share in shares for one in tried(RAMP, share)), recovery], [one for share in between for one in tried(BISECT, share)]


def samples(quantile, share=1.0, doubt=0.05):
    """Return of how many requests a share is so many that they prove a percentile when none of them is beyond its bound (one-sided, 95 %): 299 for P99."""
    return math.ceil(math.ceil(math.log(doubt) / math.log(quantile)) / share)


def costliest(spare):
    """Return as many steps as bisection takes, those at the highest rates, with their probes."""
    shares = sorted({step["share"] for step in spare})[-MOST_BISECTED:]
    return [step for step in spare if step["share"] in shares]


def refining(steps, spare, cost=lambda step: step["seconds"]):
    """Return how many seconds bisection takes: its longest way between two steps of the ramp, with the probes, and the longest step once more.

    More it is only where that one breaks the second time.
    """
    if not spare:
        return 0
    times = {}
    for step in spare:
        times[step["share"]] = times.get(step["share"], 0) + cost(step)

    def way(low, high):
        inside = [share for share in times if low < share < high]
        if not inside or high / low <= RESOLUTION:
            return 0
        middle = _middle(inside, low, high)
        return times[middle] + max(way(low, middle), way(middle, high))

    shares = [RECOVERY, *sorted({step["share"] for step in steps if step.get("phase") == RAMP})]
    again = max(cost(step) for step in [*steps, *spare] if step.get("phase") in (RAMP, BISECT))
    return max(way(low, high) for low, high in zip(shares, shares[1:])) + again


def _middle(shares, low, high):
    """Return the one of some shares that is nearest to the middle between two."""
    return min(shares, key=lambda share: abs(2 * share - low - high))


def rate_of(expected, share):
    """Return the rate to offer: rounded up, since a share that is to be proven must be reached."""
    return max(1, math.ceil(round(expected * share, 6)))


def shares_of(shares):
    """Return the shares of the ramp; PlanError says what to write."""
    advice = "Write a list of shares of the expected rate, each higher than the one before, such as [1.0, 1.25, 1.5, 1.75, 2.0]."
    good = isinstance(shares, (list, tuple)) and shares and all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in shares)
    if not good or not all(RECOVERY < one <= 100 for one in shares) or any(round(one * 100) >= round(other * 100) for one, other in zip(shares, shares[1:])):
        raise PlanError(f"certify_stress_shares is {shares!r}. {advice} Each is above {RECOVERY}, the share at which recovery is looked for.")
    return list(shares)


def about(settings, expected, unit="1/s", closed=""):
    """Return the plan's {expected, unit, closed, scale}: the rate of a share of 1, and a sentence where clients wait for answers before they ask again."""
    return {"expected": expected, "unit": unit, "closed": closed, "scale": settings.get("time_scale", 1)}


def _between(shares):
    """Return the shares that bisection can come to, each of another percentage."""
    found = {}
    for low, high in zip(shares, shares[1:]):
        for share in _halves(low, high):
            found.setdefault(round(share * 100), share)
    return [found[percent] for percent in sorted(found)]


def _halves(low, high):
    if high / low <= RESOLUTION:
        return []
    middle = (low + high) / 2
    return [*_halves(low, middle), middle, *_halves(middle, high)]


def planned(plan, names):
    """Return the steps of a plan that have one of these names, in their order; of recovery and of the second time there is one step for each name."""
    known = {step["name"]: step for step in [*plan["steps"], *plan.get("spare", ())]}
    by_share = {round(step["share"] * 100): step for step in known.values() if step.get("phase") in (RAMP, BISECT)}
    recovery = next((step for step in known.values() if step.get("phase") == RECOVER), None)
    found = []
    for name in names:
        phase, dummy, number = name.rpartition("-")
        if name in known:
            found.append(known[name])
        elif phase == RECOVER and recovery and number.isdigit():
            found.append(dict(recovery, name=name))
        elif phase == AGAIN and number.isdigit() and int(number) in by_share:
            found.append(dict(by_share[int(number)], name=name, phase=AGAIN))
    return found


def ran(plan, names):
    """Return the steps of the ramp, the recovery and the bisection that have one of these names."""
    return [step for step in planned(plan, list(names)) if "phase" in step]


def usual(plan):
    """Return the plan without what goes beyond the expected rate, where something may break, and what comes after that, which may take its time."""
    return dict(plan, steps=[step for step in plan["steps"] if "phase" not in step or (step["share"] <= 1 and step["phase"] == RAMP)])


def following(plan, rows, limit):
    """Return the step that comes next, or None when nothing more is to be learned, or no load may follow."""
    if any(row.get("stop") for row in rows):
        return None
    ran = {row["name"]: row for row in rows}
    for step in plan["steps"]:
        if step.get("phase") == RAMP:
            if step["name"] not in ran:
                return _probe(plan, step, ran)
            if ran[step["name"]]["held"] is not True:
                break
    tries = [row for row in rows if row["phase"] == RECOVER]
    if not any(row["held"] for row in tries):
        # What has too few samples has too few the next time, too.
        again = not tries or (elapsed(rows) < limit and len(tries) < MOST_TRIES and not tries[-1].get("few"))
        return next(iter(planned(plan, [f"{RECOVER}-{len(tries) + 1}"])), None) if again else None
    return _refined(plan, rows, ran) if plan.get("spare") else None


def _refined(plan, rows, ran):
    """Return the step of bisection, or of the second time."""
    if any(row["held"] is None for row in rows if row["phase"] in LOADING):
        return None
    low, high = held(rows), broken(rows)
    inside = [step for step in plan["spare"] if (low or RECOVERY) < step["share"] < (high or 0)]
    between = {step["share"]: step for step in inside if step["phase"] == BISECT and step["name"] not in ran}
    if between and high / (low or RECOVERY) > RESOLUTION:
        return _probe(plan, between[_middle(between, low or RECOVERY, high)], ran)
    name = f"{AGAIN}-{round(low * 100)}"
    return next(iter(planned(plan, [name])), None) if low and name not in ran else None


def _probe(plan, step, ran):
    """Return the probe of a step that has one which did not run, else the step."""
    probes = [one for one in [*plan["steps"], *plan.get("spare", ())] if one.get("whole") == step["name"] and one["name"] not in ran]
    return probes[0] if probes else step


def held(rows):
    """Return the highest share that was held, with every lower one: 0 for none."""
    end = min((row["share"] for row in rows if row["phase"] in LOADING and row["held"] is not True), default=math.inf)
    return max((row["share"] for row in rows if row["phase"] in LOADING and row["share"] < end), default=0)


def broken(rows):
    """Return the lowest share that was not held, None where there is none."""
    return min((row["share"] for row in rows if row["phase"] in LOADING and row["held"] is False), default=None)


def elapsed(rows):
    """Return the seconds from the end of the ramp to the end of the last try of recovery."""
    loaded, tries = ([row["ended"] for row in rows if row["phase"] == phase] for phase in (RAMP, RECOVER))
    return max(tries) - max(loaded) if loaded and tries else 0
