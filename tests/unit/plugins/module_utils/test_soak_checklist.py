# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From recordings to the row of the checklist: only a proved day fills it, whatever else is there."""

from __future__ import annotations

import copy
import pathlib

import pytest
import yaml

from ansible_collections.kubeproof.certify.plugins.module_utils import checks as engine
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_facts import soak_facts
from ansible_collections.kubeproof.certify.tests.unit.plugins.module_utils.test_soak_facts import HOSTS, elect, recording, restart

ROLES = pathlib.Path(__file__).parents[4] / "roles"
DAY, INTERVAL = 86400, 60


def load(path):
    return yaml.safe_load((ROLES / path).read_text(encoding="utf-8"))


CHECKS = load("etcd/defaults/main/checks.yml")["etcd_checks"]
ITEMS = {"etcd_leader": load("certify/defaults/main/checklist.yml")["certify_checklist"]["etcd_leader"]}


@pytest.fixture(scope="module")
def recorded():
    """Return the recordings of a quiet day."""
    found = {}
    for host in HOSTS:
        found[host] = recording(host)
        [first] = found[host]["samples"][:1]
        found[host]["begin"].update(seconds=DAY, interval=INTERVAL)
        found[host]["samples"] = [
            {**first, "at": at + 0.001, "wall": first["wall"] + at, "running": 5000.0 + at, "committed": 100 * at, "fsync": [at, 2 * at, 2 * at, 2 * at]}
            for at in range(0, DAY + 1, INTERVAL)
        ]
    return found


@pytest.fixture
def day(recorded):
    return copy.deepcopy(recorded)


def row(recordings, profile="soak", partial=False, documents=None):
    """Return (row of the checklist, {id: worst result})."""
    facts = soak_facts(recordings, HOSTS, DAY, 200)
    documents = documents or {"host": facts["hosts"], "cluster": {"etcd": facts["cluster"]}}
    findings = engine.judge(CHECKS, documents, "etcd", profile, {"host": HOSTS, "cluster": ["etcd"]})
    [found] = engine.checklist(ITEMS, findings, profile, partial, ["etcd"])
    return found, {name: one["result"] for name, one in engine.worst(findings).items() if name.startswith("etcd_soak_")}


def test_a_quiet_day_fills_the_row(day):
    found, results = row(day)
    assert (found["status"], found["result"], found["value"]) == ("filled", "PASS", 0)
    assert set(results.values()) == {"PASS", "INFO"}


def test_an_election_fails_it(day):
    elect(day, 40000)
    found, dummy = row(day)
    assert (found["status"], found["result"], found["value"]) == ("filled", "FAIL", 1)


def test_a_restart_of_a_follower_is_told_beside_it(day):
    restart(day["etcd2"]["samples"], 40020, gap=60)
    found, results = row(day)
    assert (found["status"], found["result"], results["etcd_soak_restarts"]) == ("filled", "PASS", "CONDITIONAL")


@pytest.mark.parametrize(
    "change",
    [
        lambda day: day.clear(),
        lambda day: day.pop("etcd3"),
        lambda day: [one["begin"].update(seconds=DAY - 1) for one in day.values()],
        lambda day: [one.update(samples=one["samples"][:1000]) for one in day.values()],
        lambda day: day["etcd1"].update(samples=day["etcd1"]["samples"][::2]),
        lambda day: day["etcd1"].update(damage="line 3 is changed"),
        lambda day: elect(day, 40000, terms=0),
        lambda day: elect(day, 40000, changes=0),
    ],
    ids=["nothing", "a member", "a second", "the end", "every other sample", "damage", "counter alone", "term alone"],
)
def test_nothing_less_than_a_proved_day_fills_it(day, change):
    change(day)
    found, dummy = row(day)
    assert (found["status"], found["result"]) == ("not measured", "INCONCLUSIVE") and len(found["reason"]) > 20


@pytest.mark.parametrize(("profile", "partial"), [("smoke", False), ("load", False), ("stress", False), ("soak", True)])
def test_other_runs_do_not_fill_it(day, profile, partial):
    assert row(day, profile, partial)[0]["status"] == "indicative"


def leaves(document, path=()):
    for name, value in document.items():
        yield (*path, name)
        if isinstance(value, dict):
            yield from leaves(value, (*path, name))


def test_no_fact_that_is_taken_away_fills_a_row_that_was_open(day):
    day["etcd1"]["samples"] = day["etcd1"]["samples"][::2]
    facts = soak_facts(day, HOSTS, DAY, 200)
    for path in leaves(facts["cluster"]):
        document = copy.deepcopy(facts["cluster"])
        place = document
        for name in path[:-1]:
            place = place[name]
        del place[path[-1]]
        found, dummy = row(day, documents={"host": facts["hosts"], "cluster": {"etcd": document}})
        assert found["status"] == "not measured", path
