# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a number of a volume is too good to be true. Pure.

Where numbers decide (load, stress) none counts whose file a cache may hold, of the node, of a controller or of the storage itself:
0. the file has 20 GiB, or four times the memory of the node where that is less. The counters of a disk do not show such a cache: it is behind them.
Direct I/O is asked for, which proves nothing: kernels take it on memory. A volume's numbers count when
1. the disk itself counted at least half of the requests of each random job (its counters before and after, by fio, for all jobs or for none), or
2. where there is no such disk, as on a network filesystem: at most a tenth of the file is in the page cache after it was read, or
3. where that cannot be seen either: the file is at least twice as large as the memory of the node.
A filesystem that keeps what it read in memory of its own (ZFS, FUSE, GPFS), and a disk whose requests memory may answer (zd, loop, ram), are of the third kind:
neither counters nor the page cache show that memory.
And a number of one job counts unless
4. it is near what the page cache gives in the same pod, or that is not known: 80 % of its random reads in a second, or
5. it is twice as fast as the disk under the node did with the same job, where both name the same disk, or that was tried and failed, or
6. no device is that fast with one process: more than 1,500,000 requests or 30 GB in a second, or
7. it ended early: less than nine tenths of its seconds.
What does not count is absent from the facts, with this reason, and so INCONCLUSIVE.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Optional

from .human import human

# The catalogue's storage.oltp.*: the least bytes of a file, and the share of the node's memory from which on less will do.
LARGE, OF_MEMORY = 20 * 2**30, 4
SEEN, RESIDENT, MEMORY = 0.5, 0.1, 2
OF_CACHE, OF_DISK = 0.8, 2
MOST_RATE, MOST_BANDWIDTH = 1.5e6, 30e9
EARLY = 0.9
RANDOM = ("random_read", "random_write", "stress")
DIRECTIONS = {"read": "reads", "write": "writes"}
WAYS = {"randread": ("read",), "randwrite": ("write",)}
SAID = "too good to be true"
# Filesystems with a cache of their own (ARC; the daemon's; pagepool), and disks that are files or memory, or a volume of ZFS.
# https://openzfs.github.io/openzfs-docs/Performance%20and%20Tuning/Workload%20Tuning.html
OWN_CACHE, OWN_MEMORY = re.compile(r"zfs|fuse.*|gpfs"), re.compile(r"(?:zd|loop|z?ram)[0-9]+")


def small(step: dict, size: float, space: Dict[str, Any]) -> str:
    """Return why a cache may hold a file of so many bytes, and what to write, or ""; `step` of the plan, `space` of the volume as far as it is known."""
    memory = space.get("memory")
    least = min(step["least"], OF_MEMORY * memory) if memory else step["least"]
    if size >= least:
        return ""
    # Without a quota there is the whole disk behind the volume, and a larger one gives the file no more.
    full = size < step["file"] and (space.get("size") or 0) > (space.get("asked") or 0)
    advice = f"write {step['larger']}" if step["larger"] and not full else "make room on the disk behind the volume, which has no more for it"
    rule = f"numbers count from {human(LARGE, 'byte')} on, or from {OF_MEMORY} times the node's memory where that is less"
    return f"a cache may hold the test file of {human(size, 'byte', (f'>= {least}',))}; {rule}: {advice}"


def direct(volume: Dict[str, Any], planned: Dict[str, dict]) -> dict:
    """Return {proven, by} of a volume's I/O; `volume` as volume_run returns it, `planned` {name: job of the plan}."""
    ran = {name: one for name, one in (volume.get("jobs") or {}).items() if name in planned}
    random = {name: _requests(ran.get(name) or {}, job) for name, job in planned.items() if job["job"] in RANDOM}
    # What others show says nothing of a job that shows nothing.
    unknown = next((name for name, asked in random.items() if not asked or None in asked.values()), "")
    if unknown:
        return {"proven": False, "by": f"how many requests {unknown} made is not known"}
    blind = [name for name, one in ran.items() if not one.get("devices")]
    if blind and len(blind) < len(ran):
        return {"proven": False, "by": f"fio names no disk for {blind[0]}, and one for other jobs"}
    space = volume.get("space") or {}
    if not space.get("filesystem"):
        return {"proven": False, "by": "what filesystem it has is not known"}
    remembers = _remembers(space["filesystem"], ran)
    if remembers:
        return _larger_than_memory(space, volume.get("file") or 0, f"{remembers} may answer from memory that nothing shows, and ")
    if random and not blind:
        seen, disk = min(_seen(ran[name]["devices"], way, count) for name, asked in random.items() for way, count in asked.items())
        return {"proven": seen >= SEEN, "by": f"the disk {disk} counted {seen:.0%} of the requests"}
    if "resident" not in volume:
        return {"proven": False, "by": "the page cache was not looked at"}
    cached = volume["resident"]
    if cached is not None:
        return {"proven": cached <= RESIDENT, "by": f"{cached:.0%} of the file is in the page cache"}
    return _larger_than_memory(space, volume.get("file") or 0)


def _remembers(filesystem: str, ran: Dict[str, dict]) -> str:
    """Return the filesystem, or the disk of a job that ran, that has a cache of its own, or ""."""
    if OWN_CACHE.fullmatch(filesystem):
        return filesystem
    return next((f"the disk {disk}" for one in ran.values() for disk in one.get("devices") or () if OWN_MEMORY.fullmatch(disk)), "")


def _larger_than_memory(space: Dict[str, Any], size: float, because: str = "") -> dict:
    """Return the proof by a file that memory cannot hold."""
    memory = space.get("memory")
    if not memory:
        return {"proven": False, "by": f"{because}the node's memory is not known" if because else "no disk and no page cache can be seen"}
    proven = size >= MEMORY * memory
    enough = f"; it counts from {human(MEMORY * memory, 'byte')} on: write a larger file in storage_load, and size in storage_classes"
    return {"proven": proven, "by": f"{because}the file is {size / memory:.1f} times the node's memory{'' if proven or not because else enough}"}


def _requests(measured: dict, job: dict) -> Dict[str, Optional[float]]:
    """Return {read?, write?: the requests that a random job made, None where that is not known}."""
    ways = WAYS.get(job.get("rw") or "", tuple(job.get("rate") or DIRECTIONS))
    latencies = {way: (measured.get(way) or {}).get("latency") or {} for way in ways}
    return {way: latency.get("count") or None for way, latency in latencies.items()}


def _seen(devices: Dict[str, dict], way: str, count: float) -> tuple:
    """Return (its requests for each of fio's, disk) of the disk that counted most."""
    return max((((one.get(DIRECTIONS[way]) or 0) / count, disk) for disk, one in devices.items()), key=lambda one: one[0])


def of_job(job: dict, measured: Dict[str, Any], cached: Optional[float], disk: Optional[Dict[str, Any]]) -> str:
    """Return in a few words why a job's numbers do not count, or "".

    `job` is that of the plan, `measured` {read?, write?, runtime, devices}, `cached` the rate of the page cache, `disk` what the same job
    measured on the disk under the node, with `why` where it did not.
    """
    parts = [measured[name] for name in DIRECTIONS if name in measured]
    rate, bandwidth = (sum(part[key] for part in parts) for key in ("rate", "bandwidth"))
    if measured.get("runtime", 0) < EARLY * job["seconds"]:
        return f"it ended after {measured.get('runtime', 0):g} of {job['seconds']:g} s"
    if job["job"] == "random_read" and not cached:
        return "what memory gives is not known, so that nothing shows that it was not measured"
    if job["job"] == "random_read" and rate >= OF_CACHE * cached:
        return f"{SAID}: {rate:.0f}/s, and memory gives {cached:.0f}/s"
    if disk is not None:
        below = sum(disk[name]["bandwidth"] for name in DIRECTIONS if name in disk)
        if not below or "devices" not in disk:
            why = disk.get("why") or "see raw/storage"
            return f"the disk under it was to be compared with it, and was not measured: {why}. Repair that, or empty storage_baseline_directory"
        if set(disk["devices"]) & set(measured.get("devices") or {}) and bandwidth > OF_DISK * below:
            return f"{SAID}: {bandwidth / below:.1f} times the disk under it"
    if rate > MOST_RATE or bandwidth > MOST_BANDWIDTH:
        return f"{SAID}: {rate:.0f} requests and {bandwidth:.3g} bytes a second"
    return ""
