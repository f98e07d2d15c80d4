# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before a day of load: what can no longer become a soak without an election, and what still can."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils.soak_facts import in_vain, soak_facts
from ansible_collections.kubeproof.certify.tests.unit.plugins.module_utils.test_soak_facts import HOSTS, SECONDS, WALL, after, elect, recording


@pytest.fixture
def quiet():
    return {host: recording(host) for host in HOSTS}


def cut(recordings, at, hosts=tuple(HOSTS)):
    """The watchers have seen this much, and go on."""
    for host in hosts:
        recordings[host].update(samples=[one for one in recordings[host]["samples"] if one["at"] < at], state="")
    return recordings


def drop(recordings, host, begin, end):
    recordings[host]["samples"] = [one for one in recordings[host]["samples"] if not begin <= one["at"] < end]


def asked(recordings, needed=SECONDS, **options):
    return in_vain(recordings, HOSTS, needed, **options)


@pytest.mark.parametrize(
    ("change", "options", "says"),
    [
        (lambda found: None, {}, ""),
        (lambda found: None, {"needed": 86400}, "the soak was to last 1000 s and had no election, but 86400 s are asked for"),
        (lambda found: None, {"cluster": "d"}, "is of the etcd cluster c, and this one is d"),
        (lambda found: None, {"since": WALL + SECONDS + 1}, "(certify_join_days) is too old"),
        (lambda found: found.pop("etcd2"), {}, "there is no recording of etcd2"),
        (lambda found: found.clear(), {}, "there is no recording of etcd1; there is no recording of etcd2"),
        (lambda found: [one.update(damage="line 9 is changed") for one in found.values()], {}, "etcd1: the file is damaged: line 9 is changed"),
        (lambda found: elect(found, 300), {}, "1 leader elections are in it"),
        (lambda found: drop(found, "etcd3", 300, 400), {}, "etcd3 has 90"),
        (lambda found: found["etcd3"]["begin"].update(id="other"), {}, "the recordings are of different soaks"),
        (lambda found: [cut(found, 600), [one.update(state="full") for one in found.values()]], {}, "59.70% of its samples, and 99% are needed"),
    ],
)
def test_what_has_ended(quiet, change, options, says):
    change(quiet)
    why = asked(quiet, **options)
    assert says in why and bool(why) is bool(says) and (not says or "soak_state=absent" in why)


def late(found):
    """A watcher that was started on its host 600 s after the others, when that one had lost it."""
    found["etcd2"]["begin"]["wall"] += 600
    after(found["etcd2"]["samples"], 0, wall=600, running=600)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda found: None, ""),
        (lambda found: drop(found, "etcd3", 300, 310), ""),
        (lambda found: drop(found, "etcd3", 300, 360), "etcd3 has 94"),
        (lambda found: elect(found, 300), "1 leader elections are in it"),
        (lambda found: elect(found, 300, changes=0), "no member counted a change of its leader"),
        (lambda found: found.pop("etcd2"), "there is no recording of etcd2"),
        (late, ""),
        # Its etcd was started again and reads its log: the term is an old one for a moment.
        (lambda found: found["etcd2"]["samples"][-1].update(term=3), ""),
        # It is asked, and does not answer since a minute.
        (lambda found: [one.pop("term") for one in found["etcd2"]["samples"][-12:]], "etcd2 has 94"),
        # Its watcher was stopped for a minute, and goes on.
        (lambda found: [drop(found, "etcd2", 440, 501), found["etcd2"]["starts"].append({"boot": "b", "at": 500.0})], "etcd2 has 93"),
        (lambda found: found["etcd2"].update(samples=[]), "a member did not answer"),
    ],
)
def test_what_still_runs(quiet, change, says):
    change(cut(quiet, 501))
    why = asked(quiet)
    assert says in why and bool(why) is bool(says)


def test_what_was_copied_while_it_ran_goes_on_no_more(quiet):
    cut(quiet, 501)
    assert asked(quiet) == "" and "of its samples" in asked(quiet, goes_on=False)


def test_a_recording_that_says_it_lasts_for_ever_costs_nothing(quiet):
    cut(quiet, 501)
    for one in quiet.values():
        one["begin"]["seconds"] = 2.0**62
    assert asked(quiet) == ""


HARM = st.lists(
    st.tuples(st.sampled_from(HOSTS), st.sampled_from(["drop", "forget", "elect", "count", "restart", "damage"]), st.integers(0, 200), st.integers(1, 6)),
    max_size=4,
)


@settings(deadline=None, max_examples=40)
@given(HARM, st.integers(3, 201))
def test_it_is_the_judge_of_the_end(harm, seen):
    """What has ended is in vain exactly where it does not pass; what still runs is not in vain where the same soak passes in the end."""
    recordings = copy.deepcopy({host: recording(host) for host in HOSTS})
    for host, kind, position, length in harm:
        samples, at = recordings[host]["samples"], 5 * position
        if kind == "drop":
            drop(recordings, host, at, at + 5 * length)
        elif kind == "forget":
            [one.pop("member", None) for one in samples[position : position + length]]
        elif kind == "elect":
            elect(recordings, at)
        elif kind == "count":
            after(samples, at, changes=1)
        elif kind == "restart":
            after(samples, at, started=1000)
        else:
            recordings[host]["damage"] = "a line is changed"
    passes = soak_facts(recordings, HOSTS, SECONDS)["cluster"]["soak"].get("elections") == 0
    assert passes is (asked(recordings) == "")
    if passes:
        assert asked(cut(recordings, 5 * seen)) == ""
