# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a number of a volume is too good to be true. Pure.

Direct I/O is asked for, which proves nothing: kernels take it on memory, and storage has caches of its own. A volume's numbers count when
1. the disk itself counted at least half of the random requests (its counters before and after, by fio), or
2. where there is no such disk, as on a network filesystem: at most a tenth of the file is in the page cache after it was read, or
3. where that cannot be seen either: the file is at least twice as large as the memory of the node.
And a number of one job counts unless
4. it is near what the page cache gives in the same pod: 80 % of its random reads in a second, or
5. it is twice as fast as the disk under the node did with the same job, where both name the same disk, or
6. no device is that fast with one process: more than 1,500,000 requests or 30 GB in a second, or
7. it ended early: less than nine tenths of its seconds.
What does not count is absent from the facts, with this reason, and so INCONCLUSIVE.
"""

from __future__ import annotations

from typing import Any, Dict, Optional

SEEN, RESIDENT, MEMORY = 0.5, 0.1, 2
OF_CACHE, OF_DISK = 0.8, 2
MOST_RATE, MOST_BANDWIDTH = 1.5e6, 30e9
EARLY = 0.9
RANDOM = ("random_read", "random_write")
DIRECTIONS = {"read": "reads", "write": "writes"}
SAID = "too good to be true"


def direct(volume: Dict[str, Any], planned: Dict[str, dict]) -> dict:
    """Return {proven, by} of a volume's I/O; `volume` as volume_run returns it, `planned` {name: job of the plan}."""
    shares = [share for name, job in planned.items() if job["job"] in RANDOM for share in _shares((volume.get("jobs") or {}).get(name))]
    if shares:
        seen = min(share for dummy, share in shares)
        disk = shares[0][0]
        return {"proven": seen >= SEEN, "by": f"the disk {disk} counted {seen:.0%} of the requests"}
    cached = volume.get("resident")
    if cached is not None:
        return {"proven": cached <= RESIDENT, "by": f"{cached:.0%} of the file is in the page cache"}
    memory, size = (volume.get("space") or {}).get("memory"), volume.get("file") or 0
    if not memory:
        return {"proven": False, "by": "no disk and no page cache can be seen"}
    return {"proven": size >= MEMORY * memory, "by": f"the file is {size / memory:.1f} times the node's memory"}


def _shares(job: Optional[dict]) -> list:
    """Return [(disk, its requests for each of fio's)] of a job's directions, by the disk that counted most; [] where fio names no disk."""
    found = []
    for direction, counter in DIRECTIONS.items():
        asked = ((job or {}).get(direction) or {}).get("latency", {}).get("count")
        counted = [(disk, one.get(counter) or 0) for disk, one in ((job or {}).get("devices") or {}).items()]
        if asked and counted:
            disk, most = max(counted, key=lambda one: one[1])
            found.append((disk, most / asked))
    return found


def of_job(job: dict, measured: Dict[str, Any], cached: Optional[float], disk: Optional[Dict[str, Any]]) -> str:
    """Return in a few words why a job's numbers do not count, or "".

    `job` is that of the plan, `measured` {read?, write?, runtime, devices}, `cached` the rate of the page cache, `disk` what the same job
    measured on the disk under the node.
    """
    parts = [measured[name] for name in DIRECTIONS if name in measured]
    rate, bandwidth = (sum(part[key] for part in parts) for key in ("rate", "bandwidth"))
    if measured.get("runtime", 0) < EARLY * job["seconds"]:
        return f"it ended after {measured.get('runtime', 0):g} of {job['seconds']:g} s"
    if job["job"] == "random_read" and cached and rate >= OF_CACHE * cached:
        return f"{SAID}: {rate:.0f}/s, and memory gives {cached:.0f}/s"
    if disk and set(disk.get("devices") or {}) & set(measured.get("devices") or {}):
        below = sum(disk[name]["bandwidth"] for name in DIRECTIONS if name in disk)
        if below and bandwidth > OF_DISK * below:
            return f"{SAID}: {bandwidth / below:.1f} times the disk under it"
    if rate > MOST_RATE or bandwidth > MOST_BANDWIDTH:
        return f"{SAID}: {rate:.0f} requests and {bandwidth:.3g} bytes a second"
    return ""
