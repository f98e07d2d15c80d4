# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.kubeproof.certify.plugins.module_utils import stress_plan
from ansible_collections.kubeproof.certify.plugins.module_utils.sizing import PlanError
from ansible_collections.kubeproof.certify.tests.unit.plugins.module_utils import (
    test_apiserver_plan,
    test_dns_plan,
    test_etcd_plan,
    test_ingress_plan,
    test_network_plan,
)
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

SHARES = [1.0, 1.25, 1.5, 1.75, 2.0]
LIMIT = 900


def made(shares=None, bisect=False, seconds=300, probed=False, **more):
    settings = {"stress": {"shares": shares or SHARES, "bisect": bisect}, **more}
    steps, spare = stress_plan.ramp(lambda share, length: {"rate": round(1000 * share), "seconds": length}, seconds, settings, 3000, probed=probed)
    return {"steps": [{"name": "warm", "seconds": 1}, *steps], "spare": spare}


def simulated(plan, holds, recovers=1, stop=""):
    """Run a plan to its end: `holds(share, name)` says what became of a step; recovery is held at the try `recovers`. Return the rows."""
    rows, clock = [], 0.0
    while step := stress_plan.following(plan, rows, LIMIT):
        held = len([row for row in rows if row["phase"] == "recovery"]) + 1 >= recovers if step["phase"] == "recovery" else holds(step["share"], step["name"])
        rows.append({**{key: step[key] for key in ("name", "phase", "share")}, "held": held, "began": clock, "ended": clock + step["seconds"]})
        rows[-1]["stop"] = stop if held is False else ""
        clock += step["seconds"] + 5
        assert len(rows) <= 80
    return rows


def names(rows):
    return [row["name"] for row in rows]


@pytest.mark.parametrize(
    ("breaks", "expected", "held", "broken"),
    [
        (9.0, ["ramp-100", "ramp-125", "ramp-150", "ramp-175", "ramp-200", "recovery-1"], 2.0, None),
        (1.6, ["ramp-100", "ramp-125", "ramp-150", "ramp-175", "recovery-1"], 1.5, 1.75),
        (0.9, ["ramp-100", "recovery-1"], 0, 1.0),
    ],
)
def test_the_ramp_ends_at_the_first_step_that_breaks(breaks, expected, held, broken):
    rows = simulated(made(), lambda share, name: share < breaks)
    assert (names(rows), stress_plan.held(rows), stress_plan.broken(rows)) == (expected, held, broken)


@pytest.mark.parametrize("breaks", [0.72, 0.8, 0.95, 1.01, 1.1, 1.2, 1.3, 1.4, 1.55, 1.6, 1.8, 1.99])
def test_bisection_comes_close(breaks):
    rows = simulated(made(bisect=True), lambda share, name: share < breaks)
    low, high = stress_plan.held(rows) or stress_plan.RECOVERY, stress_plan.broken(rows)
    assert low <= breaks <= high and high / low <= stress_plan.RESOLUTION
    assert names(rows)[-1] == (f"again-{round(low * 100)}" if stress_plan.held(rows) else names(rows)[-1])


@pytest.mark.parametrize("shares", [SHARES, [1.0], [1.0, 3.0], [1.5, 20.0]])
@pytest.mark.parametrize("probed", [False, True])
def test_no_bisection_takes_longer_than_was_planned(shares, probed):
    plan = made(shares, bisect=True, probed=probed)
    spare = {step["name"]: step["seconds"] for step in plan["spare"]}
    took = []
    for breaks in sorted({step["share"] for step in [*plan["steps"][1:], *plan["spare"]]}):
        rows = simulated(plan, lambda share, name, end=breaks: share <= end)
        took.append(sum(300 if row["phase"] == "again" else spare.get(row["name"], 0) for row in rows))
    assert max(took) == stress_plan.refining(plan["steps"], plan["spare"]) > 0 == stress_plan.refining(plan["steps"], [])


@pytest.mark.parametrize(
    "planned",
    [
        *(one.planned for one in (test_apiserver_plan, test_dns_plan, test_ingress_plan, test_network_plan)),
        lambda profile, **more: test_etcd_plan.plan(profile, {**test_etcd_plan.SETTINGS, **more}),
    ],
    ids=["apiserver", "dns", "ingress", "network", "etcd"],
)
def test_every_plan_counts_the_seconds_of_bisection(planned):
    once, more = (planned("stress", stress={"shares": SHARES, "bisect": bisect}) for bisect in (False, True))
    assert more["seconds"] - once["seconds"] >= 4 * min(step["seconds"] for step in more["spare"] if step["phase"] == "bisect")


def test_what_is_held_once_and_another_time_not_is_not_held():
    rows = simulated(made(bisect=True), lambda share, name: share < 1.6 and not name.startswith("again"))
    assert names(rows)[-1] == "again-163" or stress_plan.held(rows) < 1.5


def test_without_a_break_nothing_is_refined():
    assert [row["phase"] for row in simulated(made(bisect=True), lambda share, name: True)][-2:] == ["recovery", "again"]


def test_what_is_not_known_ends_the_ramp_and_refines_nothing():
    rows = simulated(made(bisect=True), lambda share, name: True if share < 1.5 else None)
    assert names(rows) == ["ramp-100", "ramp-125", "ramp-150", "recovery-1"]
    assert (stress_plan.held(rows), stress_plan.broken(rows)) == (1.25, None)


def test_recovery_is_tried_until_it_is_held_or_the_time_is_over():
    rows = simulated(made(), lambda share, name: share < 1.1, recovers=3)
    assert names(rows)[-3:] == ["recovery-1", "recovery-2", "recovery-3"]
    rows = simulated(made(), lambda share, name: share < 1.1, recovers=99)
    assert stress_plan.elapsed(rows[:-1]) < LIMIT <= stress_plan.elapsed(rows)


def test_where_no_load_may_follow_none_does():
    assert names(simulated(made(bisect=True), lambda share, name: share < 1.1, stop="etcd has an alarm")) == ["ramp-100", "ramp-125"]


def test_every_step_that_ran_is_found_by_its_name():
    plan = made(bisect=True)
    rows = simulated(plan, lambda share, name: share < 1.55, recovers=2)
    found = stress_plan.planned(plan, names(rows))
    assert names(found) == names(rows) and [step["share"] for step in found] == [row["share"] for row in rows]
    assert stress_plan.planned(plan, ["recovery-x", "again-", "again-101", "ramp-7", "nothing"])[1:] == []


def test_a_step_is_long_enough_for_its_samples():
    assert [step["seconds"] for step in made(seconds=1)["steps"][1:]] == [4, 3, 3, 2, 2, 5]
    assert made()["steps"][-1]["seconds"] == stress_plan.RECOVERY_SECONDS


def test_a_long_step_is_tried_first():
    rows = simulated(made(bisect=True, probed=True), lambda share, name: name.startswith("probe") or share < 1.6)
    ramp = [name for percent in (100, 125, 150, 175) for name in (f"probe-{percent}", f"ramp-{percent}")]
    assert names(rows) == [*ramp, "recovery-1", "probe-162", "bisect-162", "again-150"]
    assert [step["phase"] for step in made(seconds=59, probed=True)["steps"][1:]] == ["ramp"] * 5 + ["recovery"]


def test_the_costliest_steps_of_bisection_have_their_probes():
    spare = made(bisect=True, probed=True)["spare"]
    found = stress_plan.costliest(spare)
    assert len(found) == 2 * stress_plan.MOST_BISECTED and max(step["share"] for step in found) == max(step["share"] for step in spare)


@pytest.mark.parametrize(("quantile", "share", "expected"), [(0.99, 1, 299), (0.95, 1, 59), (0.999, 1, 2995), (0.99, 0.05, 5980), (0.5, 1, 5)])
def test_samples_of_a_percentile(quantile, share, expected):
    assert stress_plan.samples(quantile, share) == expected
    # One fewer could be within the bound by chance more often than one time in twenty.
    assert quantile ** (round(expected * share) - 1) > 0.05 >= quantile ** round(expected * share)


@pytest.mark.parametrize("shares", ["x", [], [1.0, 1.0], [2.0, 1.0], [0.5, 1.0], [True], [1.0, "2"], [1.0, 1.001], [1.0, 1000]])
def test_refused_shares(shares):
    with pytest.raises(PlanError, match="certify_stress_shares"):
        stress_plan.shares_of(shares)


@pytest.mark.parametrize("settings", [{}, {"stress": {}}, {"stress": {"shares": None, "bisect": False}}])
def test_a_cleanup_that_knows_no_settings_has_the_usual_ramp(settings):
    steps, spare = stress_plan.ramp(lambda share, length: {"rate": 1, "seconds": length}, 50, settings)
    assert [step["share"] for step in steps] == [*SHARES, stress_plan.RECOVERY] and spare == []


def test_a_cluster_that_serves_has_no_ramp():
    assert made(live=True) == {"steps": [{"name": "warm", "seconds": 1}], "spare": []}


@hypothesis_settings(deadline=None)
@given(
    st.lists(st.integers(71, 400), min_size=1, max_size=6, unique=True),
    st.lists(st.sampled_from([True, False, None]), max_size=90),
    st.booleans(),
    st.booleans(),
)
def test_it_ends_whatever_happens_and_no_name_comes_twice(percents, fates, bisect, probed):
    plan, rows, clock = made([one / 100 for one in sorted(percents)], bisect, probed=probed), [], 0.0
    for held in [*fates, *[False] * 60]:
        step = stress_plan.following(plan, rows, LIMIT)
        if step is None:
            break
        rows.append({**{key: step[key] for key in ("name", "phase", "share")}, "held": held, "began": clock, "ended": clock + step["seconds"]})
        clock += step["seconds"]
    assert stress_plan.following(plan, rows, LIMIT) is None and len(set(names(rows))) == len(rows)
    assert stress_plan.broken(rows) is None or stress_plan.held(rows) < stress_plan.broken(rows)
