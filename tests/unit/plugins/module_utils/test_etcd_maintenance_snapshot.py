# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import json
import os

import pytest
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_maintenance_snapshot as snapshots
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_maintenance_look import Cluster
from ansible_collections.kubeproof.certify.tests.unit.plugins.etcd_cluster_fake import UNIT, FakeCluster, write_etcdutl

SAYS = "#!/bin/sh\necho '{said}'\nexit {status}\n"
GOOD = {"hash": 7, "revision": 50000, "totalKey": 3, "totalSize": 8 * UNIT}


@pytest.fixture
def etcd():
    fake = FakeCluster(members=1, leader="etcd1")
    yield fake
    fake.close()


@pytest.fixture
def take(etcd, tmp_path):
    """Return take(etcdutl=…) -> facts of a snapshot in tmp_path/snapshots."""
    folder = tmp_path / "snapshots"
    folder.mkdir()
    program = write_etcdutl(tmp_path / "etcdutl")

    def run(etcdutl=program):
        settings = {"snapshot_directory": str(folder), "etcdutl": etcdutl, "timeout": 5.0}
        return snapshots.take(Cluster(etcd.url, timeout=2.0), {"url": etcd.url}, settings, "bee")

    run.folder = folder
    return run


def swap(messages):
    return [*messages[1:-1], messages[0], messages[-1]]


def error(messages):
    return [messages[0], json.dumps({"error": {"code": 13, "message": "etcdserver: corrupt page"}})]


def test_what_is_written_is_what_was_sent(take):
    found = take()
    with open(found["path"], "rb") as stream:
        data = stream.read()
    assert len(data) == 8 * UNIT + 32 and hashlib.sha256(data[:-32]).digest() == data[-32:]
    assert found["sha256"] == hashlib.sha256(data).hexdigest() and (found["hash"], found["keys"], found["size"]) == (7, 3, 8 * UNIT)
    record = json.loads((take.folder / (os.path.basename(found["path"]) + ".json")).read_text())
    assert record["sha256"] == found["sha256"] and record["file"] == os.path.basename(found["path"])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda messages: messages[:-1], "is damaged or cut off: its SHA-256 is another"),
        (lambda messages: messages[1:], "is damaged or cut off"),
        (lambda messages: [*messages[:3], *messages[4:]], "is damaged or cut off"),
        (lambda messages: [*messages, messages[-1]], "is damaged or cut off"),
        (lambda messages: messages[-1:], "is damaged or cut off"),
        (lambda messages: [], "sent no snapshot but"),
        (swap, "is damaged or cut off"),
        (error, "broke off its snapshot: {'code': 13, 'message': 'etcdserver: corrupt page'}"),
        (lambda messages: [messages[0], messages[1][:50]], "sent no snapshot but"),
        (lambda messages: ['{"result": {"blob": "§"}}'], "sent no snapshot but"),
        (lambda messages: ["[]"], "sent no snapshot but"),
        (lambda messages: ["<html>"], "sent no snapshot but b'<html>"),
    ],
)
def test_a_damaged_snapshot_leaves_nothing(etcd, take, damage, said):
    etcd.members["etcd1"].damage = damage
    with pytest.raises(snapshots.SnapshotError) as error:
        take()
    assert said in str(error.value) and os.listdir(take.folder) == []


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        (json.dumps(GOOD), 1, "etcdutl refuses the snapshot (1)"),
        ("", 0, "etcdutl refuses the snapshot (0): it says nothing"),
        ("[]", 0, "etcdutl refuses the snapshot (0): []"),
        (json.dumps({**GOOD, "hash": None}), 0, "etcdutl refuses the snapshot"),
        (json.dumps({**GOOD, "totalSize": True}), 0, "etcdutl refuses the snapshot"),
        (json.dumps({name: value for name, value in GOOD.items() if name != "revision"}), 0, "etcdutl refuses the snapshot"),
        (json.dumps({**GOOD, "totalSize": 4096}), 0, "etcdutl finds 4096 bytes in 524288."),
        (json.dumps({**GOOD, "revision": 49999}), 0, "its revision is 49999, and the member's was 50000 before and 50000 after."),
        (json.dumps({**GOOD, "revision": 50001}), 0, "its revision is 50001"),
    ],
)
def test_what_etcdutl_does_not_prove_is_no_snapshot(take, tmp_path, said, status, reason):
    path = tmp_path / "liar"
    path.write_text(SAYS.format(said=said, status=status))
    path.chmod(0o755)
    with pytest.raises(snapshots.SnapshotError) as error:
        take(str(path))
    assert reason in str(error.value) and os.listdir(take.folder) == []


def test_what_etcdutl_proves_is_a_snapshot(take, tmp_path):
    path = tmp_path / "honest"
    path.write_text(SAYS.format(said=json.dumps(GOOD), status=0))
    path.chmod(0o755)
    assert take(str(path))["revision"] == 50000


def test_etcdutl_that_cannot_run(take, tmp_path):
    path = tmp_path / "broken"
    path.write_text("#!/nowhere\n")
    path.chmod(0o755)
    with pytest.raises(snapshots.SnapshotError, match="cannot prove the snapshot"):
        take(str(path))
    with pytest.raises(snapshots.SnapshotError, match="is no program"):
        snapshots.check_tool(str(tmp_path))


@pytest.mark.parametrize(
    ("size", "low", "high", "fits"),
    [(10, (5, 10), (5, 10), True), (10, (4, 8), (6, 12), True), (10, (6, 10), (7, 10), False), (10, (5, 11), (5, 12), False), (10, (5, 8), (5, 9), False)],
)
def test_between_two_statuses(size, low, high, fits):
    before, after = ({"revision": revision, "db_size": bytes_} for revision, bytes_ in (low, high))
    assert (snapshots.mismatch({"size": size, "revision": 5}, size, before, after) is None) == fits


# What is kept ---------------------------------------------------------------------------------------------------------------


def keep(folder, name, record=None):
    (folder / name).write_bytes(b"x")
    if record is not False:
        (folder / (name + ".json")).write_text(json.dumps(record or {"writer": snapshots.WRITER, "file": name}))


def test_only_our_oldest_are_removed(tmp_path):
    ours = [f"etcd-bee-2026112{day}T020000Z-r{900 - day}.db" for day in range(5)]
    foreign = {
        "etcd-bee-20200101T000000Z-r1.db": False,
        "etcd-bee-20200102T000000Z-r1.db": {"writer": "somebody", "file": "etcd-bee-20200102T000000Z-r1.db"},
        "etcd-bee-20200103T000000Z-r1.db": {"writer": snapshots.WRITER, "file": "another.db"},
        "etcd-bee-20200104T000000Z-r1.db": ["no record"],
        "etcd-c0de-20200101T000000Z-r1.db": None,
        "backup.db": None,
    }
    for name in ours:
        keep(tmp_path, name)
    for name, record in foreign.items():
        keep(tmp_path, name, record)
    assert snapshots.prune(str(tmp_path), 2, "bee") == ours[:3]
    assert {name for name in os.listdir(tmp_path) if not name.endswith(".json")} == {*ours[3:], *foreign}
    assert snapshots.prune(str(tmp_path), 2, "bee") == []


def test_what_a_killed_maintenance_left_is_removed(tmp_path):
    part, orphan = ".etcd-bee-20261121T020000Z.part", "etcd-bee-20261121T020000Z-r5.db.json"
    whole = "etcd-bee-20261122T020000Z-r6.db"
    keep(tmp_path, whole)
    others = ["notes.json", ".part", "lost+found.json", whole, whole + ".json"]
    for name in (part, orphan, *others[:3]):
        (tmp_path / name).write_text("{}")
    with snapshots.directory(str(tmp_path)):
        assert sorted(os.listdir(tmp_path)) == sorted(others)
        with pytest.raises(snapshots.SnapshotError, match="Another maintenance holds"), snapshots.directory(str(tmp_path)):
            pass
    with snapshots.directory(str(tmp_path / "made" / "anew")):
        assert os.stat(tmp_path / "made").st_mode & 0o777 == 0o700
