# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_machine

MOUNTINFO = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 8:16 / /var/lib/etcd rw - xfs /dev/sdb rw
31 22 8:17 / /var/lib/my\\040disk rw - ext4 /dev/sdc1 rw
32 30 0:40 / /var/lib/etcd rw - tmpfs tmpfs rw
33 22 8:1 /data /srv rw shared:1 - ext4 /dev/sda1 rw
"""


@pytest.fixture
def table(tmp_path):
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "mountinfo").write_text(MOUNTINFO)
    return etcd_machine.mounts("self", str(tmp_path))


@pytest.mark.parametrize(
    ("path", "device"),
    [
        ("/", "/dev/sda1"), ("/var/lib/etcd2", "/dev/sda1"), ("/var/lib/etcd", "tmpfs"), ("/var/lib/etcd/member/wal", "tmpfs"),
        ("/var/lib/my disk/a", "/dev/sdc1"), ("/srv/etcd", "/dev/sda1"),
    ],
)
def test_finds_the_mount_of_a_path(table, path, device):
    assert etcd_machine.mount(path, table)["device"] == device


def test_describes_the_disk_of_a_directory(tmp_path):
    facts = etcd_machine.disk(str(tmp_path))
    assert {"device", "filesystem", "mount_point", "own_mount", "size", "free"} <= set(facts)
    assert 0 < facts["free"] <= facts["size"]
    assert etcd_machine.disk("/")["own_mount"] is False


@pytest.mark.parametrize(("files", "expected"), [({"sda/sda1/queue/rotational": "1\n"}, True), ({"sda/queue/rotational": "0\n"}, False), ({}, None)])
def test_a_partition_turns_as_its_disk_does(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    assert etcd_machine._rotational(str(tmp_path / "sda" / "sda1")) is expected


def test_a_missing_directory_is_an_os_error():
    with pytest.raises(FileNotFoundError):
        etcd_machine.disk("/no/such/directory")


def test_machine():
    facts = etcd_machine.machine()
    assert facts["memory"] >= facts["memory_available"] > 0 and facts["cpus"] > 0 and facts["kernel"] and facts["architecture"] != "x86_64"
