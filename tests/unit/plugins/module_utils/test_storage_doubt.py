# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import storage_doubt
from ansible_collections.kubeproof.certify.plugins.module_utils.storage_plan import SHAPES

GIB = 2**30
# What memory gives, far more than any disk of these tests.
MEMORY = 1e9


def part(rate=1000.0, count=4000, block=4096):
    return {"rate": rate, "bandwidth": rate * block, "latency": {"count": count, "p99": 0.001}}


def volume(reads=4000, writes=4000, devices=True, **more):
    jobs = {"random_read-1": {"read": part(), "runtime": 4}, "random_write-1": {"write": part(), "runtime": 4}, "mixed-1": {"read": part(), "runtime": 4}}
    for name, one in jobs.items():
        # A cache that the mixed job hits is none of direct I/O's business.
        one["devices"] = {} if not devices else {"vda": {"reads": reads if name != "mixed-1" else 0, "writes": writes}, "vda1": {"reads": 1, "writes": 1}}
    return {"jobs": jobs, "space": {"memory": 8 * GIB, "filesystem": "ext4"}, "file": GIB, "resident": None, **more}


def on(filesystem, disk="", **more):
    """Return a volume of which nothing is in the page cache, on a filesystem, whose requests a disk counted where it has one."""
    one = volume(devices=False, **{"resident": 0.0, "space": {"memory": 8 * GIB, "filesystem": filesystem}, **more})
    for job in one["jobs"].values():
        job["devices"] = {disk: {"reads": 4000, "writes": 4000}} if disk else {}
    return one


def changed(one, job, **more):
    one["jobs"][job].update(more)
    return one


def without(one, *jobs, **keys):
    one["jobs"] = {name: job for name, job in one["jobs"].items() if name not in jobs}
    return {key: value for key, value in one.items() if key not in keys}


PLANNED = {f"{name}-1": {"job": name, **SHAPES[name]} for name in ("random_read", "random_write", "mixed")}


@pytest.mark.parametrize(
    ("one", "proven", "said"),
    [
        (volume(), True, "the disk vda counted 100% of the requests"),
        (volume(reads=2000), True, "counted 50%"),
        (volume(reads=1999), False, "counted 50%"),
        (volume(reads=40), False, "counted 1%"),
        # What is written through the cache is not direct either.
        (volume(writes=0), False, "counted 0%"),
        (volume(devices=False, resident=0.0), True, "0% of the file is in the page cache"),
        (volume(devices=False, resident=0.1), True, "10%"),
        (volume(devices=False, resident=0.11), False, "11%"),
        # The disk's own count is more than what the cache holds later.
        (volume(resident=1.0), True, "the disk vda"),
        (volume(devices=False, resident=None), False, "0.1 times the node's memory"),
        (volume(devices=False, file=16 * GIB), True, "2.0 times"),
        (volume(devices=False, space={"memory": None, "filesystem": "nfs4"}), False, "no disk and no page cache can be seen"),
        (volume(space={}), False, "what filesystem it has is not known"),
        # What remembers by itself is seen neither in the page cache nor at a disk.
        (on("nfs4"), True, "0% of the file is in the page cache"),
        (on("zfs"), False, "zfs may answer from memory that nothing shows, and the file is 0.1 times the node's memory; it counts from 16 GiB on: "),
        (on("zfs", file=16 * GIB), True, "zfs may answer from memory that nothing shows, and the file is 2.0 times the node's memory"),
        (on("zfs", space={"filesystem": "zfs"}), False, "and the node's memory is not known"),
        (on("fuse.juicefs"), False, "fuse.juicefs may answer"),
        (on("fuse"), False, "fuse may answer"),
        (on("fuseblk", file=16 * GIB), True, "2.0 times"),
        (on("ext4", "sda"), True, "the disk sda counted"),
        (on("ext4", "zd16"), False, "the disk zd16 may answer from memory that nothing shows"),
        (on("xfs", "loop0"), False, "the disk loop0 may answer"),
        (on("xfs", "zram0"), False, "the disk zram0 may answer"),
        (on("xfs", "loop0", file=16 * GIB), True, "2.0 times"),
        # A name that only begins so is another disk.
        (on("xfs", "loopback"), True, "the disk loopback counted"),
        ({"jobs": {}}, False, "how many requests random_read-1 made is not known"),
        (without(volume(devices=False, resident=0.0), "random_write-1"), False, "how many requests random_write-1 made"),
        (without(volume(devices=False), resident=None), False, "the page cache was not looked at"),
        # What is known of other jobs says nothing of one whose disk, or whose number of requests, is not known.
        (changed(volume(resident=0.0), "random_write-1", devices={}), False, "fio names no disk for random_write-1"),
        (changed(volume(resident=0.0), "mixed-1", devices=None), False, "fio names no disk for mixed-1"),
        (changed(volume(resident=0.0), "random_read-1", read=part(count=None)), False, "how many requests random_read-1 made"),
    ],
)
def test_direct_io_is_proven_or_not(one, proven, said):
    found = storage_doubt.direct(one, PLANNED)
    assert found["proven"] is proven and said in found["by"]


def measured(rate=1000.0, runtime=100, block=4096, **more):
    return {"read": part(rate, block=block), "runtime": runtime, "devices": {"vda": {}}, **more}


@pytest.mark.parametrize(
    ("name", "one", "cached", "disk", "said"),
    [
        ("random_read", measured(), 2000.0, None, ""),
        ("random_read", measured(), None, None, "what memory gives is not known"),
        ("random_read", measured(rate=1600), 2000.0, None, "1600/s, and memory gives 2000/s"),
        # Writes and large blocks are not compared with small reads.
        ("sequential_read", measured(rate=1600), 2000.0, None, ""),
        ("sequential_read", measured(), None, None, ""),
        ("random_read", measured(rate=2000), MEMORY, measured(), ""),
        ("random_read", measured(rate=2001), MEMORY, measured(), "2.0 times the disk under it"),
        # Another disk, such as that of a storage in the network, may be as fast as it likes.
        ("random_read", measured(rate=9000), MEMORY, measured(devices={"sdb": {}}), ""),
        ("random_read", measured(rate=9000), MEMORY, measured(devices={}), ""),
        # Where it was tried it has to be known.
        ("random_read", measured(), MEMORY, {}, "the disk under it was to be compared with it, and was not measured"),
        ("random_read", measured(), MEMORY, {"devices": {"vda": {}}}, "and was not measured"),
        ("random_read", measured(), MEMORY, {"read": part()}, "and was not measured: see raw/storage. Repair that, or empty storage_baseline_directory"),
        ("random_read", measured(), MEMORY, {"why": "/data has no room"}, "and was not measured: /data has no room. Repair that, or empty storage_baseline_"),
        ("random_read", measured(rate=1.5e6), MEMORY, None, ""),
        ("random_read", measured(rate=1.6e6), MEMORY, None, "1600000 requests"),
        ("sequential_read", measured(rate=29000, block=2**20), None, None, "bytes a second"),
        ("random_read", measured(runtime=90), MEMORY, None, ""),
        ("random_read", measured(runtime=89), MEMORY, None, "it ended after 89 of 100 s"),
        ("random_read", {"read": part()}, MEMORY, None, "it ended after 0 of 100 s"),
    ],
)
def test_too_good_to_be_true(name, one, cached, disk, said):
    found = storage_doubt.of_job({"job": name, "seconds": 100, **SHAPES[name]}, one, cached, disk)
    assert said in found and bool(found) == bool(said)
    assert not found or found.startswith((storage_doubt.SAID, "it ended", "what memory gives", "the disk under it"))


@pytest.mark.parametrize(
    ("size", "memory", "enough"),
    [
        (20 * GIB, 64 * GIB, True),
        (20 * GIB - 1, 64 * GIB, False),
        (20 * GIB, None, True),
        (20 * GIB - 1, None, False),
        # A node with little memory needs less.
        (8 * GIB, 2 * GIB, True),
        (8 * GIB - 1, 2 * GIB, False),
        (0, 2 * GIB, False),
    ],
)
def test_a_file_that_a_cache_may_hold(size, memory, enough):
    step = {"least": storage_doubt.LARGE, "larger": "size: 30Gi for fast in storage_classes", "file": 20 * GIB}
    found = storage_doubt.small(step, size, {"memory": memory})
    assert (found == "") is enough
    assert enough or "numbers count from 20 GiB on, or from 4 times the node's memory where that is less: write size: 30Gi for fast in storage_" in found


WRITE, ROOM = "write size: 30Gi for fast in storage_classes", "make room on the disk behind the volume, which has no more for it"


@pytest.mark.parametrize(
    ("larger", "file", "space", "advice"),
    [
        ("", 20, {}, ROOM),
        ("size: 30Gi for fast in storage_classes", 20, {}, WRITE),
        # A filesystem takes some of what was asked for.
        ("size: 30Gi for fast in storage_classes", 20, {"asked": 26 * GIB, "size": 25 * GIB}, WRITE),
        # Behind a volume without a quota is a disk, which is full.
        ("size: 30Gi for fast in storage_classes", 20, {"asked": 26 * GIB, "size": 500 * GIB}, ROOM),
        # It had room for all that was planned.
        ("size: 30Gi for fast in storage_classes", 10, {"asked": 13 * GIB, "size": 500 * GIB}, WRITE),
    ],
)
def test_what_is_advised_where_a_file_is_small(larger, file, space, advice):
    assert storage_doubt.small({"least": storage_doubt.LARGE, "larger": larger, "file": file * GIB}, 10 * GIB, space).endswith(f": {advice}")


def test_a_file_that_may_be_of_any_size():
    assert storage_doubt.small({"least": 0, "larger": "", "file": GIB}, 0, {"memory": 8 * GIB}) == ""
