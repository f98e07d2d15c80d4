# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy

import pytest
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_maintenance_plan as planning
from ansible_collections.kubeproof.certify.plugins.module_utils import tuning_known
from hypothesis import given
from hypothesis import strategies as st

MIB = 2**20
PATHS = {"snapshot_directory": "/var/lib/x", "etcdutl": "/usr/local/bin/etcdutl"}
MEMBER = {
    "url": "https://a:2379", "learner": False, "downgrade": False, "version": "3.6.8", "leader_id": "b", "raft_term": 2, "db_size": 2048 * MIB,
    "db_in_use": 512 * MIB, "quota_backend_bytes": 8192 * MIB, "index": 900, "applied": 900, "defragmenting": False,
}  # fmt: skip
SEEN = {
    "cluster_id": "bee", "revision": 50000, "apiserver_compacts": True, "alarms": [],
    "members": {"etcd1": {**MEMBER, "id": "a"}, "etcd2": {**MEMBER, "id": "b"}, "etcd3": {**MEMBER, "id": "c"}},
}  # fmt: skip


def settings(**changes):
    return planning.check_settings({**PATHS, **changes})


def seen(member=None, **changes):
    """Return a good cluster with changes to it, or to its member etcd3."""
    found = {**copy.deepcopy(SEEN), **changes}
    found["members"]["etcd3"].update(member or {})
    return found


# What stands against it -------------------------------------------------------------------------------------------------------


def test_nothing_stands_against_a_good_cluster():
    assert planning.refusal(SEEN) is None


@pytest.mark.parametrize(
    ("member", "changes", "said"),
    [
        ({"error": "https://c:2379: connection refused."}, {}, "etcd3 is not healthy: https://c:2379: connection refused. Repair it first."),
        ({"version": "3.4.33"}, {}, "etcd3 runs etcd 3.4.33; known are 3.5 to 3.7"),
        ({"version": "3.8.0-alpha.0"}, {}, "etcd3 runs etcd 3.8.0-alpha.0"),
        ({"version": "4.6.0"}, {}, "etcd3 runs etcd 4.6.0"),
        ({"version": ""}, {}, "etcd3 runs etcd an unknown version"),
        ({"version": "3.6.9"}, {}, "different versions (3.6.8, 3.6.9)"),
        ({"learner": True}, {}, "etcd3 is a learner"),
        ({"downgrade": True}, {}, "a downgrade is under way"),
        ({"leader_id": "0"}, {}, "etcd3 knows no leader"),
        ({"leader_id": "c"}, {}, "do not agree on one leader (etcd1: b in term 2; etcd2: b in term 2; etcd3: c in term 2)"),
        ({"raft_term": 3}, {}, "do not agree on one leader"),
        ({"defragmenting": True}, {}, "etcd3 is being defragmented by somebody else"),
        ({}, {"alarms": [{"kind": "CORRUPT", "member": "etcd1", "id": "a"}]}, "etcd1 has the alarm CORRUPT"),
        ({}, {"alarms": [{"kind": "NEWKIND", "member": "etcd1", "id": "a"}]}, "etcd1 has the alarm NEWKIND"),
    ],
)
def test_refusal(member, changes, said):
    assert said in planning.refusal(seen(member, **changes))


def test_a_leader_that_is_no_member_is_refused():
    found = copy.deepcopy(SEEN)
    for member in found["members"].values():
        member["leader_id"] = "dead"
    assert "The leader dead is not among the members" in planning.refusal(found)


@pytest.mark.parametrize("fact", planning.NEEDED)
def test_what_a_member_does_not_say_is_not_taken_for_good(fact):
    found = seen()
    del found["members"]["etcd3"][fact]
    assert f"etcd3 does not say {fact}" in planning.refusal(found)


def test_the_alarm_that_can_be_cleared_does_not_stand_against_it():
    assert planning.refusal(seen(alarms=[{"kind": "NOSPACE", "member": "etcd1", "id": "a"}])) is None


def test_known_versions_are_those_of_the_audit():
    assert planning.KNOWN == tuning_known.ETCD


@pytest.mark.parametrize(("index", "late"), [(899, []), (900, []), (901, ["etcd1", "etcd2", "etcd3"])])
def test_behind(index, late):
    assert planning.behind(SEEN, index) == late and planning.highest(SEEN) == 900


# What would be done -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leading", ["a", "b", "c"])
def test_the_leader_is_last(leading):
    found = copy.deepcopy(SEEN)
    for member in found["members"].values():
        member["leader_id"] = leading
    order = list(planning.members(found, settings()))
    assert found["members"][order[-1]]["id"] == leading and order[:-1] == sorted(order[:-1])


@pytest.mark.parametrize(
    ("size", "in_use", "changes", "alarmed", "due", "said"),
    [
        (2048, 512, {}, False, True, None),
        (2048, 1024, {}, False, True, None),
        (2048, 1025, {}, False, False, "50% can be given back, less than etcd_maintenance_reclaimable (50%)"),
        (1000, 400, {}, False, True, None),
        (1000, 489, {}, False, False, "511.0 MiB can be given back, less than etcd_maintenance_reclaimable_bytes (512.0 MiB)"),
        (1000, 489, {"reclaimable_bytes": 0}, False, True, None),
        (1000, 900, {"reclaimable": 0.1, "reclaimable_bytes": 0}, False, True, None),
        (1000, 1000, {"reclaimable": 0, "reclaimable_bytes": 0}, False, False, "Nothing can be given back."),
        (1000, 1010, {"reclaimable": 0, "reclaimable_bytes": 0}, False, False, "Nothing can be given back."),
        (0, 0, {"reclaimable": 0, "reclaimable_bytes": 0}, False, False, "Nothing can be given back."),
        # While the alarm is set: a member above the share of its quota of 8 GiB that comes below it, one that does not, one that is below it.
        (6600, 6500, {}, True, True, None),
        (6600, 6500, {}, False, False, "2% can be given back"),
        (6700, 6600, {}, True, False, "1% can be given back"),
        (6600, 6600, {}, True, False, "Nothing can be given back."),
        (6500, 6400, {}, True, False, "2% can be given back"),
    ],
)
def test_turn(size, in_use, changes, alarmed, due, said):
    turn = planning.turn({**MEMBER, "db_size": size * MIB, "db_in_use": in_use * MIB}, settings(**changes), alarmed)
    assert (turn["due"], turn["before"], turn["reclaimable"]) == (due, size * MIB, max(0, size - in_use) * MIB)
    assert "reason" not in turn if said is None else said in turn["reason"]


@given(st.integers(0, 2**40), st.integers(0, 2**40), st.floats(0, 1), st.integers(0, 2**40))
def test_only_what_is_worth_it_is_due(size, in_use, share, least):
    turn = planning.turn({**MEMBER, "db_size": size, "db_in_use": in_use}, settings(reclaimable=share, reclaimable_bytes=least))
    assert turn["due"] == (size > in_use and size - in_use >= least and (size - in_use) / size >= share)
    assert turn["due"] != bool(turn.get("reason"))


@pytest.mark.parametrize(
    ("changes", "given_settings", "expected"),
    [
        ({}, {}, {"reason": "The API server compacts (compact_rev_key exists)."}),
        ({}, {"compact": "always"}, {"revision": 40000}),
        ({"apiserver_compacts": False}, {}, {"revision": 40000}),
        ({"apiserver_compacts": False}, {"compact": "never"}, {"reason": "etcd_maintenance_compact is never."}),
        ({"apiserver_compacts": False}, {"keep_revisions": 0}, {"revision": 50000}),
        ({"apiserver_compacts": False}, {"keep_revisions": 49999}, {"revision": 1}),
        ({"apiserver_compacts": False}, {"keep_revisions": 50000}, {"reason": "etcd is at revision 50000, and 50000 revisions are kept."}),
    ],
)
def test_compaction(changes, given_settings, expected):
    assert planning.compaction(seen(**changes), settings(**given_settings)) == expected


def test_the_api_server_cannot_compact_a_full_etcd():
    reason = planning.compaction(seen(alarms=[{"kind": "NOSPACE", "member": "etcd1", "id": "a"}]), settings())["reason"]
    assert "It cannot while the alarm NOSPACE is set: set etcd_maintenance_compact to always" in reason


@pytest.mark.parametrize(("size", "quota", "reasons"), [(799, 1000, 0), (800, 1000, 1), (1200, 1000, 1), (1, None, 1), (1, 0, 1)])
def test_the_cause_of_an_alarm(size, quota, reasons):
    assert len(planning.full(seen({"db_size": size * MIB, "quota_backend_bytes": quota and quota * MIB}), settings())) == reasons


@pytest.mark.parametrize(
    ("free", "in_use", "said"),
    [
        (None, 512, None),
        (64 + 1100, 1000, None),
        (64 + 1099, 1000, "etcd3 has 1163.0 MiB free beside its data, and its defragmentation needs 1164.0 MiB."),
        (0, 0, "etcd3 has 0.0 MiB"),
    ],
)
def test_room_for_the_copy(free, in_use, said):
    found = planning.cramped("etcd3", {**MEMBER, "free": free and free * MIB, "db_in_use": in_use * MIB})
    assert found is None if said is None else said in found


def test_without_work_no_plan():
    small = seen()
    for member in small["members"].values():
        member["db_in_use"] = member["db_size"]
    plan = planning.plan(small, settings(move_leader=True))
    assert plan["work"] is False and plan["moves"] is False
    assert planning.plan(SEEN, settings(move_leader=True))["moves"] is True


# Settings -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_settings", "said"),
    [
        ({"reclaimable": 50}, "etcd_maintenance_reclaimable is 50. Write a number from 0 to 1."),
        ({"reclaimable": "0.5"}, "etcd_maintenance_reclaimable is '0.5'"),
        ({"reclaimable": float("nan")}, "etcd_maintenance_reclaimable is nan"),
        ({"reclaimable": True}, "etcd_maintenance_reclaimable is True"),
        ({"snapshot_keep": 0}, "etcd_maintenance_snapshot_keep is 0. Write a number from 1 to 1000."),
        ({"snapshot_keep": 1.5}, "etcd_maintenance_snapshot_keep is 1.5"),
        ({"alarm_share": 1.0}, "etcd_maintenance_alarm_share is 1.0"),
        ({"keep_revisions": -1}, "etcd_maintenance_keep_revisions is -1"),
        ({"move_leader": "yes"}, "etcd_maintenance_move_leader is 'yes'. Write true or false."),
        ({"compact": "sometimes"}, "etcd_maintenance_compact is 'sometimes'. Write auto, always or never."),
        ({"snapshot_directory": "snapshots"}, "etcd_maintenance_snapshot_directory is 'snapshots'. Write an absolute path."),
        ({"etcdutl": None}, "etcd_maintenance_etcdutl is missing"),
        ({"reclaimble": 0.5}, "reclaimble is no setting of the maintenance"),
    ],
)
def test_settings_that_cannot_be_meant(given_settings, said):
    with pytest.raises(planning.PlanError) as error:
        settings(**given_settings)
    assert said in str(error.value)


def test_settings_have_their_types():
    found = settings(settle=30, timeout=None)
    assert (found["settle"], found["timeout"], found["compact"]) == (30.0, 600.0, "auto") and isinstance(found["settle"], float)
