# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine kbench: what its rounds are, and its results as those of the jobs of fio that they are made of. Pure.

A round is twelve jobs of fio: random and sequential, reads and writes, each with 4 KiB and 128 KiB requests, 64 at a time, and with 4 KiB requests one at a
time. It has no fixed rate and no workload of the owner's. Its summary has means alone; fio's results, which it sums up, are judged as those of the engine fio.
"""

from __future__ import annotations

from typing import Any, Dict, List

from .parsers.kbench import ORDERS, job_name

KBENCH = "kbench"
# Seconds of a round by its mode, with the ramps, and of each of its jobs.
ROUND_SECONDS = {"quick": 90, "full": 400}
JOB_SECONDS = {"quick": 5, "full": 20}
# The seconds of one job, of all rounds together, that the check with the highest floor wants.
ENOUGH = 600
# What a round measures for each job of ours: the section, order and side of kbench. The last two have no bound.
JOBS = {
    "random_read": ("iops", "random", "read"),
    "random_write": ("iops", "random", "write"),
    "sequential_read": ("bandwidth", "sequential", "read"),
    "sequential_write": ("bandwidth", "sequential", "write"),
    "single_read": ("latency", "random", "read"),
    "single_write": ("latency", "random", "write"),
}
SIDES = ("read", "write")


def rounds(mode: str, repeats: int) -> List[dict]:
    """Return the rounds of a step of the plan."""
    one = {"job": KBENCH, "seconds": ROUND_SECONDS[mode], "ramp": 0, "rate": {}}
    return [{**one, "name": f"{KBENCH}-{number}", "round": number} for number in range(1, repeats + 1)]


def missing(profile: str, repeats: int) -> str:
    """Return in a sentence what cannot be completed with kbench."""
    said = "kbench has no fixed rate and no workload of yours: latency and the declared workload stay open; certify_storage_engine: fio has both"
    seconds = JOB_SECONDS["full"]
    if profile != "load" or repeats * seconds >= ENOUGH:
        return said
    enough = ENOUGH // seconds
    return f"{said}. Its rounds measure for {seconds} s each: all of its numbers are judged from storage_load.load.repeats: {enough} on, {repeats} are planned"


def as_fio(step: dict, volume: dict) -> tuple:
    """Return (step, volume) as they would be had fio been asked for each job by itself; what a round did not measure is absent."""
    jobs, found = [], {}
    for run in step["jobs"]:
        for name, (section, order, side) in JOBS.items():
            label, results = f"{name}-{run['round']}", _at(volume, "jobs", run["name"], "fio", section)
            kind = f"rand{side}" if order == "random" else side
            jobs.append({"name": label, "job": name, "round": run["round"], "rw": kind, "seconds": JOB_SECONDS[step["mode"]], "rate": {}})
            found[label] = {**_map(_at(results, "jobs", job_name(section, order, side))), "devices": _map(results).get("devices")}
    return {**step, "jobs": jobs}, {**volume, "jobs": found}


def proving(step: dict, volume: dict) -> tuple:
    """Return (step, volume) with what shows whether its I/O was direct.

    The disks' counters are of all jobs of a section together, and of several requests on their way neighbours may be merged: those that went one at a time
    are counted, random and sequential ones.
    """
    jobs, found = [], {}
    for run in step["jobs"]:
        results = _at(volume, "jobs", run["name"], "fio", "latency")
        counts = {side: [_at(results, "jobs", job_name("latency", order, side), side, "latency", "count") for order in ORDERS] for side in SIDES}
        # A round whose requests are not known shows nothing, whatever the others show.
        if _at(volume, "jobs", run["name"]) is not None:
            jobs.append({"name": run["name"], "job": "random_read"})
            known = {side: all(isinstance(count, int) for count in counts[side]) for side in SIDES}
            parts = {side: {"latency": {"count": sum(counts[side]) if known[side] else None}} for side in SIDES}
            found[run["name"]] = {**parts, "devices": _map(results).get("devices")}
    return {**step, "jobs": jobs}, {**volume, "jobs": found}


def _map(value: Any) -> Dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _at(value: Any, *path: str) -> Any:
    for key in path:
        value = _map(value).get(key)
    return value
