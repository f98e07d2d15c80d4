# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Elections during a soak: what proves that there was none, what proves one, and what leaves it open."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils.soak_facts import soak_facts
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_trend import trend

HOSTS = ["etcd1", "etcd2", "etcd3"]
SECONDS, INTERVAL, WALL = 1000, 5, 1.8e9
BOUNDS = [0.001, 0.002, 0.004, None]


def recording(host="etcd1", **more):
    """Return the recording of a quiet member; etcd1 leads."""
    samples = [
        {
            "at": at + 0.001, "wall": WALL + at, "running": 5000.0 + at, "term": 7, "changes": 1, "leader": "a1", "member": host, "cluster": "c",
            "started": WALL - 4000, "has_leader": True, "healthy": True, "committed": 100 * at, "memory": 10**8, "files": 60, "size": 10**7 + at,
            "fsync": [at, 2 * at, 2 * at, 2 * at], **({"bounds": BOUNDS} if not at else {}),
        }
        for at in range(0, SECONDS + 1, INTERVAL)
    ]  # fmt: skip
    begin = {"id": "soak", "seconds": SECONDS, "interval": INTERVAL, "wall": WALL}
    return {"begin": begin, "starts": [{"boot": "b"}], "samples": samples, "state": "finished", "torn": 0, "damage": "", **more}


@pytest.fixture
def quiet():
    return {host: recording(host) for host in HOSTS}


def after(samples, at, **changes):
    """Change every sample from `at` on: a number is added, everything else replaces."""
    for sample in samples:
        if sample["at"] >= at:
            for name, value in changes.items():
                sample[name] = sample[name] + value if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def elect(recordings, at, hosts=tuple(HOSTS), terms=1, changes=1, leader="b2"):
    for host in hosts:
        after(recordings[host]["samples"], at, term=terms, changes=changes, leader=leader)


def restart(samples, at, gap=20, changes=1):
    """Restart a member's etcd: samples are missing for `gap` seconds, and its counter begins anew."""
    samples[:] = [one for one in samples if not at <= one["at"] < at + gap]
    for sample in samples:
        if sample["at"] >= at:
            sample.update(started=WALL + at + 1, changes=changes)


def cluster(recordings, needed=SECONDS, members=tuple(HOSTS), **options):
    found = soak_facts(recordings, list(members), needed, **options)
    json.dumps(found, allow_nan=False)
    return found["cluster"].get("soak", {}), found["cluster"]["missing"].get("soak.elections", found["cluster"]["missing"].get("soak", ""))


def test_a_quiet_soak_had_no_election(quiet):
    facts, why = cluster(quiet, put_rate=200)
    assert (facts["elections"], facts["seen"], why) == (0, 0, "")
    assert (facts["coverage"], facts["terms"], facts["changes"], facts["leaders"], facts["rate"], facts["load_share"]) == (1, 0, 0, 1, 100, 0.5)


def test_a_leader_that_moves_is_an_election(quiet):
    elect(quiet, 300)
    facts, dummy = cluster(quiet)
    assert (facts["elections"], facts["changes"], facts["leaders"]) == (1, 1, 2)


def test_the_same_leader_elected_again_is_an_election(quiet):
    elect(quiet, 300, terms=2, leader="a1")
    assert cluster(quiet)[0]["elections"] == 2


def test_an_election_is_seen_however_much_is_missing(quiet):
    elect(quiet, 300)
    for host in HOSTS:
        quiet[host]["samples"] = quiet[host]["samples"][50:70]
        quiet[host]["state"] = ""
    assert cluster(quiet)[0]["elections"] == 1
    del quiet["etcd3"]
    quiet["etcd2"]["damage"] = "3 bytes before line 7 are changed"
    assert cluster(quiet)[0]["elections"] == 1


def test_an_election_in_a_gap_is_seen_by_the_term(quiet):
    elect(quiet, 300)
    for host in HOSTS:
        quiet[host]["samples"] = [one for one in quiet[host]["samples"] if not 290 <= one["at"] < 299.9]
    assert cluster(quiet)[0]["elections"] == 1


def test_a_gap_with_the_same_term_on_both_sides_hides_none(quiet):
    for host in HOSTS:
        quiet[host]["samples"] = [one for one in quiet[host]["samples"] if not 290 <= one["at"] < 300]
    facts, dummy = cluster(quiet)
    assert facts["elections"] == 0 and facts["coverage"] == pytest.approx(199 / 201, abs=1e-6)


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (slice(None, 190), "etcd2 has 94.53% of its samples, and 99% are needed"),
        (slice(None, None, 2), "50.25%"),
        (slice(0, 0), "a member did not answer"),
    ],
)
def test_too_few_samples_prove_nothing(quiet, samples, says):
    quiet["etcd2"]["samples"] = quiet["etcd2"]["samples"][samples]
    facts, why = cluster(quiet)
    assert "elections" not in facts and "seen" not in facts and says in why


def test_many_samples_in_one_slot_are_one(quiet):
    samples = quiet["etcd1"]["samples"][:100]
    quiet["etcd1"]["samples"] = sorted(samples * 3, key=lambda one: one["at"])
    assert "49.75%" in cluster(quiet)[1]


def test_the_ends_need_more_than_half_of_the_members(quiet):
    """Of 10,000 samples the last 1 % may be missing, but not in most members."""
    for number, host in enumerate(HOSTS):
        quiet[host]["begin"]["interval"] = 1
        quiet[host]["samples"] = [dict(quiet[host]["samples"][0], at=at + 0.0, wall=WALL + at, running=at + 0.5) for at in range(SECONDS + (1, -5, -5)[number])]
    facts, why = cluster(quiet)
    assert "elections" not in facts and why == "only 1 of 3 members have a sample near the end: an election could hide there"
    quiet["etcd2"]["samples"].append(dict(quiet["etcd2"]["samples"][-1], at=999.0, wall=WALL + 999, running=999.5))
    assert cluster(quiet)[0]["elections"] == 0
    for host in HOSTS[1:]:
        quiet[host]["samples"] = quiet[host]["samples"][4:]
    assert "near the beginning" in cluster(quiet)[1]


@pytest.mark.parametrize("changes", [0, 1])
def test_a_follower_that_is_started_again_elects_nobody(quiet, changes):
    restart(quiet["etcd2"]["samples"], 300, gap=10, changes=changes)
    facts, dummy = cluster(quiet)
    assert facts["elections"] == 0 and soak_facts(quiet, HOSTS)["hosts"]["etcd2"]["soak"]["restarts"] == 1


def test_a_leader_that_is_started_again_is_an_election(quiet):
    elect(quiet, 300)
    restart(quiet["etcd1"]["samples"], 300)
    assert cluster(quiet)[0]["elections"] == 1


def test_a_member_that_replays_its_log_names_an_old_term_for_a_moment(quiet):
    restart(quiet["etcd2"]["samples"], 300, gap=5)
    quiet["etcd2"]["samples"][60]["term"] = 0
    assert cluster(quiet)[0]["elections"] == 0
    quiet["etcd2"]["samples"][60]["term"] = 3
    assert cluster(quiet)[0]["elections"] == 0


def test_a_counter_that_no_process_spans_is_no_second_source(quiet):
    for host in HOSTS:
        restart(quiet[host]["samples"], 300, gap=10)
    facts, why = cluster(quiet)
    assert "elections" not in facts and "no other member's counter was unbroken" in why
    elect(quiet, 300, changes=0)
    assert cluster(quiet)[0]["elections"] == 1


def test_a_single_member_that_is_started_again_is_an_election(quiet):
    one = {"etcd1": quiet["etcd1"]}
    assert cluster(one, members=["etcd1"])[0]["elections"] == 0
    restart(one["etcd1"]["samples"], 300, gap=10)
    assert "elections" not in cluster(one, members=["etcd1"])[0]
    after(one["etcd1"]["samples"], 300, term=1)
    assert cluster(one, members=["etcd1"])[0]["elections"] == 1


@pytest.mark.parametrize(
    ("terms", "changes", "leader", "says"),
    [
        (1, 0, "b2", "the raft term changed 1 times, and no member counted"),
        (0, 1, "a1", "a member counted 1 changes of its leader, and the raft term stayed"),
        (0, 0, "b2", "members name different leaders in term 7"),
    ],
)
def test_sources_that_do_not_agree_prove_nothing(quiet, terms, changes, leader, says):
    elect(quiet, 300, ["etcd2"], terms, changes, leader)
    facts, why = cluster(quiet)
    assert "elections" not in facts and says in why


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda one: one.update(damage="line 7 is changed"), "etcd3: the file is damaged: line 7 is changed"),
        (lambda one: one["begin"].pop("seconds"), "etcd3: the file does not say what was planned"),
        (lambda one: one["begin"].update(id="other"), "the recordings are of different soaks"),
        (lambda one: after(one["samples"], 500, member="x"), "etcd3: another member, or another cluster, answered in between"),
        (lambda one: after(one["samples"], 0, cluster="x"), "the members are of different clusters"),
        (lambda one: after(one["samples"], 500, term=-5), "etcd3: its raft term went down and stayed there"),
        (lambda one: one["samples"].reverse(), "etcd3: its samples are not in order of time"),
    ],
)
def test_a_recording_that_cannot_be_trusted_proves_nothing(quiet, change, says):
    change(quiet["etcd3"])
    facts, why = cluster(quiet)
    assert "elections" not in facts and says in why


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda found: None, ""),
        (lambda found: after(found["etcd2"]["samples"], 500, cluster="other"), "the recording of etcd2 is of the etcd cluster other, and this one is c"),
        (lambda found: [after(one["samples"], 0, cluster="other") for one in found.values()], "the recording of etcd1 is of the etcd cluster other"),
        # Of the year 2020.
        (lambda found: [after(one["samples"], 0, wall=1.58e9 - WALL) for one in found.values()], "the recording of etcd1 ended 2020-01-26T01:10:00Z"),
        (lambda found: found["etcd3"].update(samples=found["etcd3"]["samples"][:100]), "the recording of etcd3 ended"),
    ],
)
@pytest.mark.parametrize("elected", [False, True])
def test_a_recording_of_another_cluster_or_of_old_says_nothing(quiet, change, says, elected):
    """Neither that there was no election, nor that there was one, nor anything of a member."""
    if elected:
        elect(quiet, 300)
    change(quiet)
    facts, why = cluster(quiet, since=WALL + SECONDS - 10, cluster="c")
    assert facts.get("elections") == (None if says else int(elected)) and says in why and bool(why) is bool(says)
    hosts = soak_facts(quiet, HOSTS, SECONDS, since=WALL + SECONDS - 10, cluster="c")["hosts"]
    assert {"soak" in one for one in hosts.values()} == {not says} and (not says or "soak_state=absent" in hosts["etcd1"]["missing"]["soak"])


def test_every_member_must_be_watched(quiet):
    del quiet["etcd2"]
    assert cluster(quiet)[1] == "there is no recording of etcd2"
    assert "no watcher has recorded it" in cluster({})[1]
    assert soak_facts({}, HOSTS)["hosts"]["etcd1"]["missing"]["soak"]


def test_a_short_soak_is_said_to_be_short(quiet):
    facts, why = cluster(quiet, needed=86400)
    assert facts["seen"] == 0 and "elections" not in facts
    assert why == "the soak was to last 1000 s and had no election, but 86400 s are asked for"


def test_a_clock_that_is_set_is_neither_a_gap_nor_a_restart(quiet):
    """The kernel's boot time moves with the wall clock, and etcd's start with it."""
    for host in HOSTS:
        after(quiet[host]["samples"], 300, wall=-3600, started=-3600)
        after(quiet[host]["samples"], 600, started=1)
    found = soak_facts(quiet, HOSTS, SECONDS)
    host = found["hosts"]["etcd1"]["soak"]
    assert found["cluster"]["soak"]["elections"] == 0
    assert (host["clock_steps"], host["clock_step"], host["restarts"]) == (1, 3600, 0) and host["coverage"] == 1


@pytest.mark.parametrize("off", [0, 1, 200, -200])
def test_no_clock_that_was_wrong_at_first_makes_restarts_at_the_same_time_into_two(quiet, off):
    """etcd2 began by a clock that was set later on: by it the others seem to have been restarted at another time."""
    for host in HOSTS:
        restart(quiet[host]["samples"], 300, gap=10)
    quiet["etcd2"]["begin"]["wall"] += off
    after([one for one in quiet["etcd2"]["samples"] if one["at"] < 100], 0, wall=off)
    facts, why = cluster(quiet)
    assert "elections" not in facts and "no other member's counter was unbroken" in why
    assert ("clocks were set by up to 200 s" in why) is (abs(off) == 200)


@pytest.mark.parametrize(("off", "proved"), [(0, True), (100, True), (-100, True), (500, False)])
def test_a_restart_is_spanned_by_who_lived_on_wherever_a_clock_may_have_been(quiet, off, proved):
    restart(quiet["etcd1"]["samples"], 500, gap=5)
    for host in ("etcd2", "etcd3"):
        after(quiet[host]["samples"], 700, wall=off, started=off)
    facts, why = cluster(quiet)
    assert ("elections" in facts) is proved and (proved or "no other member's counter was unbroken" in why)


def test_what_a_host_says(quiet):
    samples = quiet["etcd1"]["samples"]
    for sample in samples[10:12]:
        sample.update(has_leader=False, healthy=False)
    del samples[20:23]
    host = soak_facts(quiet, HOSTS)["hosts"]["etcd1"]["soak"]
    assert (host["leaderless"], host["unhealthy"], host["longest_gap"], host["samples"], host["watcher_starts"]) == (2, 2, 20, 198, 1)
    assert host["trends"]["database"]["slope"] == pytest.approx(1, rel=0.01) and host["trends"]["memory"]["slope"] == 0
    assert host["fsync"]["worst_hour"] == {"count": 2000, "p99": [0.001, 0.002]}


def test_the_worst_hour_of_fsync(quiet):
    samples = quiet["etcd1"]["samples"]
    for position, sample in enumerate(samples):
        sample["at"], slow = position * 36.0, 100 if position > 150 else 0
        sample["fsync"] = [10 * position, 10 * position, 10 * position, 10 * position + slow]
    quiet["etcd1"]["begin"].update(seconds=7200, interval=36)
    fsync = soak_facts(quiet, HOSTS)["hosts"]["etcd1"]["soak"]["fsync"]
    assert fsync["worst_hour"] == {"count": 1110, "p99": [0.004, None]}
    # Over time a soak of two hours is looked at in twelve parts, of which one had the slow ones.
    assert (fsync["every"], fsync["stretches"]) == (600, 12) and [one["at"] for one in fsync["over_time"]] == [600 * part for part in range(12)]
    assert [one["at"] for one in fsync["over_time"] if one["p99"][1] is None] == [5400] and all(one["count"] for one in fsync["over_time"])
    del samples[40:90]
    fsync = soak_facts(quiet, HOSTS)["hosts"]["etcd1"]["soak"]["fsync"]
    assert fsync["stretches"] == 12 and [one["at"] for one in fsync["over_time"]] != [600 * part for part in range(12)], "what is missing was planned"


DAMAGES = st.lists(
    st.tuples(
        st.sampled_from(HOSTS),
        st.sampled_from(["drop", "forget", "text", "negative", "lose"]),
        st.integers(0, 200),
        st.sampled_from(["term", "changes", "at", "leader", "member", "started", "wall", "cluster"]),
    ),
    min_size=1,
    max_size=8,
)


@settings(deadline=None, max_examples=60)
@given(DAMAGES, st.booleans())
def test_damage_never_makes_it_better(damages, moved):
    """With an election nothing that is taken away proves that there was none; without one, nothing proves one."""
    recordings = copy.deepcopy({host: recording(host) for host in HOSTS})
    if moved:
        elect(recordings, 500)
    for host, kind, position, name in damages:
        samples = recordings[host]["samples"]
        sample = samples[min(position, len(samples) - 1)] if samples else {}
        if kind == "drop":
            del samples[position:]
        elif kind == "lose":
            recordings[host]["samples"] = []
        elif kind == "forget":
            sample.pop(name, None)
        else:
            sample[name] = "x" if kind == "text" else -1
    facts, why = cluster(recordings)
    assert facts.get("elections") in ((1, None) if moved else (0, None)) and ("elections" in facts or why)


@pytest.mark.parametrize(
    ("points", "slope"),
    [
        ([(at, 3 * at) for at in range(100)], 3),
        ([(at, 5) for at in range(10)], 0),
        ([(at, 2 * at + (1000 if at % 7 == 0 else 0)) for at in range(400)], 2),
    ],
)
def test_trend(points, slope):
    found = trend(points)
    assert found["slope"] == pytest.approx(slope, rel=0.05) and found["low"] <= found["slope"] <= found["high"]


def test_a_trend_needs_points():
    assert trend([(at, 1) for at in range(5)]) is None and trend([]) is None and trend([(3, at) for at in range(100)]) is None
