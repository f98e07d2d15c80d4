# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sequence against members that behave, fail, hang, fall behind, or lose their leader in the middle of it."""

from __future__ import annotations

import fcntl
import os
import threading

import pytest
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_maintenance, etcd_maintenance_look
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_maintenance_look import Cluster
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_maintenance_plan import check_settings
from ansible_collections.kubeproof.certify.tests.unit.plugins.etcd_cluster_fake import UNIT, FakeCluster, write_etcdutl

ALL = ["snapshot etcd1", "defragment etcd1", "defragment etcd3", "defragment etcd2"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(etcd_maintenance, "PAUSE", 0.01)


@pytest.fixture
def etcd():
    fake = FakeCluster()
    fake.members["etcd1"].keys[b"compact_rev_key"] = {"create_revision": 2}
    yield fake
    fake.close()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "snapshots"


@pytest.fixture
def maintain(etcd, folder, tmp_path):
    """Return maintain(dry=False, url=…, urls=(), free=None, local=None, **settings) -> facts; what was said is in maintain.said."""

    def run(dry=False, url=etcd.url, urls=(), free=None, local=None, **changes):
        paths = {"snapshot_directory": str(folder), "etcdutl": write_etcdutl(tmp_path / "etcdutl")}
        settings = check_settings({**paths, "reclaimable_bytes": 0, "settle": 1.0, "timeout": 5.0, **changes})
        return etcd_maintenance.maintain(Cluster(url, timeout=1.0, urls=urls, free=free, local=local), settings, dry, run.said.append)

    run.said = []
    return run


def stopped(maintain, **changes):
    """Return (what a maintenance that cannot be finished says, its facts)."""
    with pytest.raises(etcd_maintenance.Stop) as stop:
        maintain(**changes)
    return str(stop.value), stop.value.facts


def files(folder):
    return sorted(os.listdir(folder)) if folder.exists() else []


# All goes well ----------------------------------------------------------------------------------------------------------------


def test_followers_first_leader_last(etcd, folder, maintain):
    facts = maintain()
    assert etcd.log == ALL and facts["changed"] is True
    assert {name: (turn["before"], turn["after"]) for name, turn in facts["members"].items()} == dict.fromkeys(etcd.members, (8 * UNIT, UNIT))
    assert all(turn["seconds"] >= 0 for turn in facts["members"].values()) and facts["leader"] == "etcd2"
    assert facts["compaction"] == {"reason": "The API server compacts (compact_rev_key exists)."}
    snapshot = facts["snapshot"]
    assert (snapshot["member"], snapshot["revision"], snapshot["size"], snapshot["removed"]) == ("etcd1", 50000, 8 * UNIT, [])
    name = os.path.basename(snapshot["path"])
    assert files(folder) == [name, name + ".json"] and os.stat(snapshot["path"]).st_mode & 0o777 == 0o600
    assert os.path.getsize(snapshot["path"]) == 8 * UNIT + 32
    assert [text.split(":")[0] for text in maintain.said] == ["etcd1", snapshot["path"], "etcd1", "etcd1", "etcd3", "etcd3", "etcd2", "etcd2"]


def test_check_mode_changes_nothing(etcd, folder, maintain):
    facts = maintain(dry=True, compact="always", move_leader=True)
    assert etcd.log == [] and files(folder) == [] and facts["changed"] is True
    assert facts["reclaimable"] == 21 * UNIT and facts["compaction"] == {"revision": 40000} and facts["moves"] is True
    assert [turn["reclaimable"] for turn in facts["members"].values()] == [7 * UNIT] * 3 and "snapshot" not in facts


def test_where_nothing_is_worth_it_nothing_is_written(etcd, folder, maintain):
    for dry in (True, False):
        facts = maintain(dry, reclaimable=0.9)
        assert etcd.log == [] and files(folder) == [] and facts["changed"] is False and facts["reclaimable"] == 0
        assert all("less than etcd_maintenance_reclaimable (90%)" in turn["reason"] for turn in facts["members"].values())


def test_only_the_members_that_are_worth_it(etcd, maintain):
    etcd.members["etcd1"].in_use = 8 * UNIT
    facts = maintain()
    assert etcd.log == [ALL[0], "defragment etcd3", "defragment etcd2"]
    assert facts["members"]["etcd1"]["after"] == 8 * UNIT and "seconds" not in facts["members"]["etcd1"]


def test_a_second_time_there_is_nothing_to_do(etcd, maintain):
    maintain()
    assert maintain()["changed"] is False and etcd.log == ALL


def test_one_member(maintain):
    alone = FakeCluster(members=1, leader="etcd1")
    try:
        maintain(url=alone.url, move_leader=True)
        assert alone.log == ["snapshot etcd1", "compact etcd1", "defragment etcd1"]
    finally:
        alone.close()


def test_compaction_when_asked(etcd, maintain):
    facts = maintain(compact="always")
    assert etcd.log == [ALL[0], "compact etcd1", "compact etcd3", "compact etcd2", *ALL[1:]] and etcd.compacted == 40000
    assert facts["compaction"] == {"revision": 40000, "done": True}
    # What the compaction freed is given back too.
    assert [turn["after"] for turn in facts["members"].values()] == [UNIT // 2] * 3


def test_compaction_that_makes_a_member_worth_it(etcd, maintain):
    for member in etcd.members.values():
        member.in_use = 6 * UNIT
    assert maintain(dry=True, compact="always")["reclaimable"] == 0
    assert [turn["after"] for turn in maintain(compact="always")["members"].values()] == [3 * UNIT] * 3


@pytest.mark.parametrize(("compacted", "asked"), [(39997, ["39998", "39999", "40000"]), (39998, ["39998", "39999", "40000"]), (0, ["1", "1", "1"])])
def test_each_member_waits_for_its_own_compaction(etcd, maintain, compacted, asked):
    etcd.compacted = compacted
    assert maintain(compact="always", keep_revisions=50000 - int(asked[-1]))["compaction"] == {"revision": int(asked[-1]), "done": True}
    order = [etcd.members[name] for name in ("etcd1", "etcd3", "etcd2")]
    assert [body["revision"] for member in order for path, body in member.requests if path == "/v3/kv/compaction"] == asked


def test_compacted_already(etcd, maintain):
    etcd.compacted = 45000
    assert maintain(compact="always")["compaction"] == {"reason": "Revision 40000 was compacted already."} and etcd.log[-1] == ALL[-1]


def test_the_leadership_is_handed_over_when_asked(etcd, maintain):
    facts = maintain(move_leader=True)
    assert etcd.log == [*ALL[:3], "move etcd2", ALL[3]]
    assert facts["moved"] == {"from": "etcd2", "to": "etcd1"} and (facts["leader"], facts["raft_term"]) == ("etcd1", 3)


def test_a_member_that_is_behind_is_waited_for(etcd, maintain):
    etcd.members["etcd3"].behind = 20
    etcd.members["etcd1"].after = lambda: setattr(etcd.members["etcd1"], "behind", 20)
    maintain()
    assert etcd.log == ALL and etcd.members["etcd1"].behind == 0


@pytest.mark.parametrize("name", ["etcd1", "etcd3"])
def test_a_member_that_comes_back_in_time(etcd, maintain, name):
    member = etcd.members[name]

    def fall():
        member.answers["/v3/kv/range"] = (503, {"error": "etcdserver: request timed out"})
        threading.Timer(0.2, member.answers.clear).start()

    member.after = fall
    maintain()
    assert etcd.log == ALL


def test_endpoints_in_place_of_those_that_are_advertised(etcd, maintain):
    urls = [member.url for member in etcd.members.values()]
    for member in etcd.members.values():
        member.url = "http://127.0.0.1:1"
    assert "etcd1 is not healthy: http://127.0.0.1:1" in stopped(maintain, url=urls[0])[0]
    assert "etcd3 is not healthy: none of the endpoints leads to it." in stopped(maintain, url=urls[0], urls=urls[:2])[0]
    assert maintain(url=urls[0], urls=urls)["changed"] is True and etcd.log == ALL


# Something is wrong before ----------------------------------------------------------------------------------------------------


def broken(name, path, answer):
    """Return what makes a member answer something else."""
    return lambda etcd: etcd.members[name].answers.update({path: answer})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (broken("etcd3", "/v3/kv/range", (503, {"error": "etcdserver: request timed out"})), "etcd3 is not healthy: {etcd3}/v3/kv/range answered 503"),
        (broken("etcd3", "/v3/maintenance/status", (200, {})), "etcd3 is not healthy: {etcd3} does not answer as etcd does"),
        (broken("etcd3", "/v3/maintenance/status", (404, "")), "etcd3 is not healthy: {etcd3}/v3/maintenance/status answered 404: the gRPC gateway"),
        (broken("etcd3", "/metrics", (404, "gone")), "etcd3 is not healthy: {etcd3}/metrics answered 404"),
        (broken("etcd3", "/metrics", (200, "# nothing\n")), "etcd3 does not say defragmenting"),
        (broken("etcd3", "/metrics", (200, "cut")), "etcd3 is not healthy: {etcd3} does not answer as etcd does (ExpositionError"),
        (broken("etcd1", "/v3/cluster/member/list", (200, {})), "{etcd1} does not answer as etcd does (KeyError"),
        (lambda etcd: etcd.members["etcd3"].close(), "etcd3 is not healthy: {etcd3}"),
        (lambda etcd: etcd.members["etcd1"].close(), "{etcd1}"),
        (lambda etcd: setattr(etcd, "leader", 0), "{etcd1} knows no leader: too few members run for a majority (no quorum)."),
        (lambda etcd: setattr(etcd.members["etcd3"], "url", etcd.url), "etcd3 is not healthy: at {etcd1} answers the member 3e9 and not 3eb."),
        (lambda etcd: setattr(etcd.members["etcd3"], "defragmenting", 1), "etcd3 is being defragmented by somebody else"),
        (lambda etcd: setattr(etcd.members["etcd3"], "learner", True), "etcd3 is a learner"),
        (lambda etcd: setattr(etcd.members["etcd3"], "version", "3.9.0"), "etcd3 runs etcd 3.9.0; known are 3.5 to 3.7"),
        (lambda etcd: etcd.members["etcd3"].status.update(downgradeInfo={"enabled": True}), "etcd3 says that a downgrade is under way"),
        (lambda etcd: etcd.members["etcd3"].status.update(leader="1003"), "do not agree on one leader"),
        (lambda etcd: setattr(etcd.members["etcd3"], "behind", 10**6), "etcd3 did not apply the raft log up to 50300 within 1 s"),
        (lambda etcd: etcd.alarms.append(("etcd3", "CORRUPT")), "etcd3 has the alarm CORRUPT"),
    ],
)
def test_nothing_is_touched_while_something_is_wrong(etcd, folder, maintain, spoil, said):
    urls = {name: member.url for name, member in etcd.members.items()}
    spoil(etcd)
    text, facts = stopped(maintain)
    assert said.format(**urls) in text and text.endswith("Nothing was changed.")
    assert etcd.log == [] and files(folder) == [] and facts["changed"] is False


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"etcdutl": "/nowhere/etcdutl"}, "/nowhere/etcdutl is no program. Install etcdutl of etcd"),
        ({"snapshot_directory": "/dev/null/snapshots"}, "The directory /dev/null/snapshots cannot be used"),
    ],
)
def test_no_snapshot_no_maintenance(etcd, maintain, changes, said):
    assert said in stopped(maintain, **changes)[0] and etcd.log == []


def test_no_room_for_a_snapshot(etcd, folder, maintain):
    etcd.members["etcd3"].size = 2**60
    text = stopped(maintain, dry=True)[0]
    assert f"{folder.parent} has" in text and "and a snapshot needs 1209462790553.6 MiB" in text and etcd.log == []


def test_no_room_for_the_copy_of_a_member(etcd, folder, maintain):
    for dry in (True, False):
        text = stopped(maintain, dry=dry, free={"3e9": 2**40, "3eb": 2**20})[0]
        assert "etcd3 has 1.0 MiB free beside its data, and its defragmentation needs 64.1 MiB" in text
    assert etcd.log == [] and files(folder) == []
    # One that is not worth it needs no room.
    etcd.members["etcd3"].in_use = etcd.members["etcd3"].size
    assert maintain(free={"3eb": 2**20})["changed"] is True


def test_room_is_asked_for_again_when_a_compaction_made_a_member_due(etcd, maintain):
    for member in etcd.members.values():
        member.in_use = 6 * UNIT
    text = stopped(maintain, compact="always", free={"3eb": 2**20})[0]
    assert "etcd3 has 1.0 MiB free" in text and "etcd1 is defragmented; etcd3 is not." in text and "defragment etcd3" not in etcd.log


def test_room_is_asked_for_after_the_compaction_has_made_it(etcd, maintain):
    for member in etcd.members.values():
        member.in_use = 6 * UNIT
    # Enough for what is in use after the compaction, and not for what is before it.
    room = 64 * 2**20 + 4 * UNIT
    assert "etcd1 has 64.2 MiB free" in stopped(maintain, reclaimable=0.1, free={"3e9": room})[0] and etcd.log == []
    assert maintain(reclaimable=0.1, compact="always", free={"3e9": room})["members"]["etcd1"]["after"] == 3 * UNIT


def test_the_disk_of_this_host_is_read_when_it_is_needed(etcd, folder, maintain, tmp_path, monkeypatch):
    local, room = {"id": "3e9", "data_dir": str(tmp_path)}, {"now": 2**30}
    monkeypatch.setattr(etcd_maintenance_look, "free", lambda path: {str(tmp_path): room}[path]["now"])
    # The snapshot takes the room that the copy needs.
    monkeypatch.setattr(etcd_maintenance.snapshots, "take", lambda *dummy: {"path": "x", "revision": room.update(now=0), "keys": 1, "size": 1})
    text = stopped(maintain, local=local)[0]
    assert "etcd1 has 0.0 MiB free" in text and etcd.log == []


def test_only_one_at_a_time(etcd, folder, maintain):
    folder.mkdir()
    holder = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        assert f"Another maintenance holds {folder}" in stopped(maintain)[0] and etcd.log == []
    finally:
        os.close(holder)
    maintain()


# Something goes wrong in the middle ---------------------------------------------------------------------------------------------


def test_a_defragmentation_that_fails(etcd, folder, maintain):
    etcd.members["etcd3"].answers["/v3/maintenance/defragment"] = (500, {"error": "no space left on device"})
    text, facts = stopped(maintain)
    assert "etcd3 did not end its defragmentation" in text and "no space left on device" in text
    assert text.endswith(f"Until then: the snapshot {facts['snapshot']['path']} is kept; etcd1 is defragmented; etcd3, etcd2 are not.")
    assert etcd.log == ALL[:2] and facts["changed"] is True and "seconds" not in facts["members"]["etcd3"]
    assert len(files(folder)) == 2


def test_a_defragmentation_that_does_not_end(etcd, maintain):
    etcd.members["etcd1"].after = threading.Event().wait
    text, facts = stopped(maintain, timeout=1.0)
    assert "etcd1 did not end its defragmentation" in text and "timed out" in text and "It may go on: wait until etcd_disk_defrag_inflight is 0" in text
    assert etcd.log == ALL[:2]


@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (lambda etcd: etcd.lead("etcd3"), "The leader changed without being asked: it was etcd2 in term 2, it is etcd3 in term 3."),
        (lambda etcd: etcd.lead("etcd2"), "The leader changed without being asked: it was etcd2 in term 2, it is etcd2 in term 3."),
        (lambda etcd: etcd.members["etcd1"].status.update(leader="0"), "knows no leader: too few members run"),
        (broken("etcd3", "/v3/kv/range", (503, {"error": "timed out"})), "etcd3 is not healthy"),
        (lambda etcd: setattr(etcd.members["etcd1"], "behind", 10**6), "etcd1 did not apply the raft log up to 50300 within 1 s"),
        (lambda etcd: etcd.alarms.append(("etcd1", "CORRUPT")), "etcd1 has the alarm CORRUPT"),
    ],
)
def test_it_stops_at_the_first_member_that_is_not_as_it_was(etcd, maintain, happens, said):
    etcd.members["etcd1"].after = lambda: happens(etcd)
    text, facts = stopped(maintain)
    assert said in text and "etcd1 is defragmented; etcd3, etcd2 are not." in text
    assert etcd.log == ALL[:2] and facts["changed"] is True


def test_a_leadership_that_does_not_arrive(etcd, maintain):
    etcd.move = None
    etcd.members["etcd2"].answers["/v3/maintenance/transfer-leadership"] = (200, {})
    text = stopped(maintain, move_leader=True)[0]
    assert "etcd1 did not become the leader within 1 s" in text and etcd.log == ALL[:3]


# Alarms -------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def crowded(etcd):
    """A cluster with the alarm NOSPACE, whose databases are as large as their quota."""
    etcd.alarms.append(("etcd3", "NOSPACE"))
    for member in etcd.members.values():
        member.quota = 8 * UNIT
    return etcd


def test_the_alarm_is_cleared_when_its_cause_is_gone(crowded, maintain):
    for member in crowded.members.values():
        member.in_use = 6 * UNIT
    facts = maintain()
    # A quarter can be given back, less than it needs to be worth it; while the alarm is set every byte counts.
    assert crowded.log == [*ALL, "clear etcd3"] and (facts["alarms"], facts["cleared"], crowded.alarms) == ([], ["NOSPACE of etcd3"], [])


def test_the_alarm_stays_while_its_cause_is_there(crowded, maintain):
    for member in crowded.members.values():
        member.in_use = 7 * UNIT
    text, facts = stopped(maintain)
    assert "The alarm NOSPACE stays, so etcd refuses writes: etcd1 holds 0.5 MiB of its quota of 0.5 MiB" in text and text.endswith("Nothing was changed.")
    assert crowded.log == [] and crowded.alarms and facts["alarms"] == ["NOSPACE of etcd3"]


def test_the_alarm_alone_is_cleared_without_a_snapshot(crowded, folder, maintain):
    for member in crowded.members.values():
        member.size = member.in_use
    assert maintain(dry=True)["changed"] is True and crowded.alarms
    assert maintain()["changed"] is True and crowded.log == ["clear etcd3"] and files(folder) == []


def test_an_alarm_that_comes_back(crowded, maintain):
    crowded.after_clear = lambda: crowded.alarms.append(("etcd3", "NOSPACE"))
    assert "came back as soon as it was cleared" in stopped(maintain)[0]


def test_without_a_quota_the_alarm_stays(crowded, maintain):
    member = crowded.members["etcd2"]
    member.status["dbSizeQuota"] = "-1"
    member.quota = -1
    assert "etcd2 does not say its quota" in stopped(maintain)[0] and crowded.alarms


def test_the_quota_of_older_versions_is_in_their_metrics(crowded, maintain):
    for member in crowded.members.values():
        member.version = "3.5.26"
        member.status["dbSizeQuota"] = "0"
    maintain()
    assert crowded.alarms == []
