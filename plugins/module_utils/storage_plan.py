# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the storage layer is going to do: for each StorageClass its volumes, one on each node of the test, and the jobs that run on them. Pure."""

from __future__ import annotations

import math
import re
from typing import Any, Dict, List, Optional, Tuple

from . import storage_doubt, storage_kbench, stress_plan, time_scale
from .human import human
from .sizing import PlanError
from .sizing import number as _number
from .storage_kbench import KBENCH

# No entry of certify_capacity sizes this load: what is required of a StorageClass is declared beside it.
INPUTS: Dict[str, str] = {}
TIERS = ("ssd", "nvme")
KEYS = ("name", "tier", "required_iops", "size", "block_size", "read_share", "queue_depth")
# What each job does. Random I/O is that of the catalogue: 4 KiB, 32 requests at a time, 70 % reads where both are done.
SHAPES = {
    "random_read": {"rw": "randread", "block_size": 4096, "queue_depth": 32},
    "random_write": {"rw": "randwrite", "block_size": 4096, "queue_depth": 32},
    "mixed": {"rw": "randrw", "block_size": 4096, "queue_depth": 32, "read_share": 0.7},
    "workload": {"rw": "randrw", "block_size": 4096, "queue_depth": 32, "read_share": 0.7},
    "sequential_write": {"rw": "write", "block_size": 2**20, "queue_depth": 8},
    "sequential_read": {"rw": "read", "block_size": 2**20, "queue_depth": 8},
}
# What is tried on the disk under a node as well.
DISK_JOBS = ("random_read", "random_write", "sequential_write", "sequential_read")
# What certify_time_scale shortens; kbench has durations of its own.
DURATIONS = (*SHAPES, "precondition", "ramp", "baseline", "stress")
LOAD_KEYS = (*DURATIONS, "repeats", "file")
# The least requests behind a P99 that a step of the ramp may have: what the check asks. So many seconds are waited for them at most, or as many as
# storage_load says.
SAMPLES, MOST_SECONDS = 100_000, 300
# fio sends no more as long as all requests that its queue holds wait for their answers. The queue of the ramp and of the workload carries the highest rate
# with answers of twice the highest critical latency, so that what falls short is the volume; so many requests, and bytes of theirs in memory, it takes
# at most.
CARRIED, DEEPEST, BUFFERS = 0.02, 1024, 256 * 2**20
# Of required_iops, what the target of storage_workload_iops asks; and the P99 that the target of storage_latency_p99 leaves a volume, by tier.
GROWTH, ANSWERED = 1.3, {"ssd": 0.005, "nvme": 0.001}
# What recovery may take beyond what is planned, so long a pod lives longer.
MORE_SECONDS = 3600
# Rounds that a verdict on numbers needs, of which the worst counts.
LEAST_ROUNDS = 3
# Bytes a second that an estimate takes for filling a file, and the share of a volume that a file may take.
FILL_RATE, SHARE = 100e6, 0.8
# What a filesystem and its reserve leave of a volume at least: ext4 takes 6.5 %.
USABLE = 0.9
# The profiles whose numbers decide, for which a file must be larger than a cache, and a volume that has room for it beside its filesystem's own.
SIZED, ROOMY = ("load", "stress"), "30Gi"
# Seconds for making a volume, the test of its function, and its deletion.
FUNCTION_SECONDS = 10
LEAST_FILE = 16 * 2**20
# Who keeps nearly all of a disk free leaves nothing to measure on it; a number such as 20 is meant as 0.2.
MOST_FREE = 0.9
UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
QUANTITY = re.compile(r"([0-9]{1,15})(|k|M|G|T|Ki|Mi|Gi|Ti)")
BLOCK = re.compile(r"([0-9]{1,6})([kKmM]?)")
NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")


def plan(profile: str, settings: Dict[str, Any]) -> dict:
    """Return {classes: {name: declared}, steps: [step], disk: {jobs, file, disk_free, seconds} or {}, missing: [sentence], engine, function_only, bytes,
    kept, seconds}.

    `settings`: engine (auto, fio, kbench), live, default_class ("" while the cluster was not asked), hosts (of the inventory), and the role's storage_*.
    `bytes` are there at once, `kept` where volumes are retained until the layer's end.
    A step is one volume: {name, object, class, node, size, file, least, larger, engine, mode, jobs: [job], spare, fill_rate, disk_free, seconds,
    beside}; a job is
    {name, job, round, rw, block_size, queue_depth, seconds, ramp, rate: {read, write} or {}, read_share}. `least` and `larger` are what storage_doubt.small
    takes. In a stress run jobs and spare (those of bisection) are what stress_plan takes; each is run when it is chosen, in all volumes of its class,
    which are there for `beside` seconds more. PlanError on a bad setting.
    """
    engine = "fio" if settings["engine"] == "auto" else settings["engine"]
    load = time_scale.shortened(_load(profile, settings), settings.get("time_scale", 1), DURATIONS)
    declared = [_declared(number, one, settings) for number, one in enumerate(_list("storage_classes", settings["storage_classes"]))]
    names = [one["name"] for one in declared]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PlanError(f"storage_classes names {twice[0]} twice. Write each StorageClass once.")
    if engine == KBENCH and not settings["storage_kbench_image"]:
        raise PlanError("certify_storage_engine is kbench, and storage_kbench_image is empty. Name your copy of its image.")
    nodes = [str(node) for node in _list("storage_nodes", settings["storage_nodes"])] or [""]
    # Without a StorageClass in the inventory the cluster's default one is tried, for its function alone.
    chosen = declared or [{"name": settings["default_class"], "size": _size("storage_size", settings["storage_size"])}]
    steps = [
        _step(one, node, number, profile, {**settings, "load": load, "engine": engine, "measured": bool(declared)})
        for number, (one, node) in enumerate([(one, node) for one in chosen for node in nodes], 1)
    ]
    for step in steps:
        # The volumes of a class are ramped together.
        others = sum(1 for one in steps if one["class"] == step["class"]) - 1
        step["beside"] = MORE_SECONDS + others * step["seconds"] if any("phase" in job for job in step["jobs"]) else 0
    about = {**settings, "load": load, "profile": profile}
    disk = _disk(load, min(step["file"] for step in steps), settings) if any(step["jobs"] for step in steps) and engine != KBENCH else {}
    return {
        "classes": {one["name"]: one for one in declared},
        "steps": steps,
        "disk": disk,
        "inputs": [_input(one) for one in declared],
        "missing": _missing(declared, about, engine) + _foreseen(declared, steps, about) + (_strange(settings) if disk else []),
        "engine": engine,
        "scale": settings.get("time_scale", 1),
        "function_only": not declared,
        # Of what is there at once.
        "kept": sum(step["size"] for step in steps),
        "bytes": max(sum(one["size"] for one in steps if one["class"] == step["class"]) if step["beside"] else step["size"] for step in steps),
        "seconds": sum(step["seconds"] for step in steps) + disk.get("seconds", 0) * len(nodes),
    }


def _input(declared: dict) -> dict:
    """Return what sizes the workload of a StorageClass, as the other layers' plans have it."""
    value = declared["required_iops"]
    source = "not declared" if value is None else "declared"
    text = f"requests a second to the volumes of {declared['name']}"
    return {"name": f"{declared['name']}.required_iops", "value": value, "source": source, "text": text}


def quantity(text: Any) -> Optional[int]:
    """Return the bytes of a quantity of Kubernetes such as 10Gi, None for what is none."""
    found = QUANTITY.fullmatch(str(text)) if isinstance(text, (int, str)) and not isinstance(text, bool) else None
    return int(found[1]) * UNITS[found[2]] if found else None


def _list(name: str, value: Any) -> list:
    if not isinstance(value, list):
        raise PlanError(f"{name} is {value!r}. Write a list.")
    return value


def _size(name: str, value: Any) -> int:
    size = quantity(value)
    if not size:
        raise PlanError(f"{name} is {value!r}. Write a size such as 10Gi.")
    return size


def _load(profile: str, settings: Dict[str, Any]) -> dict:
    every = settings["storage_load"]
    if not isinstance(every, dict) or not isinstance(every.get(profile), dict):
        raise PlanError(f"storage_load is {every!r}. Write a map with an entry for each profile.")
    where = f"storage_load.{profile}"
    unknown = sorted(set(every[profile]) - set(LOAD_KEYS))
    if unknown:
        raise PlanError(f"{where}.{unknown[0]} is unknown. Write some of {', '.join(LOAD_KEYS)}.")
    load = {**dict.fromkeys(SHAPES, 0), "precondition": 0, "ramp": 0, "baseline": 0, "stress": 0, "repeats": 1, "file": "1Gi", **every[profile]}
    for name in DURATIONS:
        _number(f"{where}.{name}", load[name], 0)
    _number(f"{where}.repeats", load["repeats"], LEAST_ROUNDS if profile == "load" else 1, 100)
    load["file"] = _size(f"{where}.file", load["file"])
    return load


def _declared(number: int, one: Any, settings: Dict[str, Any]) -> dict:
    """Return one entry of storage_classes, complete: name, tier, required_iops and queue_depth (None when not declared), size, and the form of its workload."""
    where = f"storage_classes[{number}]"
    if not isinstance(one, dict) or not isinstance(one.get("name"), str) or not NAME.fullmatch(one["name"]):
        raise PlanError(
            f"{where} is {one!r}. Write a map with the name of a StorageClass, such as {{name: fast, tier: nvme, required_iops: 20000, size: 50Gi}}."
        )
    unknown = sorted(set(one) - set(KEYS))
    if unknown:
        raise PlanError(f"{where}.{unknown[0]} is unknown. Write some of {', '.join(KEYS)}.")
    tier, required, depth = (one.get(key) for key in ("tier", "required_iops", "queue_depth"))
    if tier is not None and tier not in TIERS:
        raise PlanError(f"{where}.tier is {tier!r}. Write {' or '.join(TIERS)}.")
    if required is not None:
        _number(f"{where}.required_iops", required, 1)
    block = BLOCK.fullmatch(str(one.get("block_size", "4k")))
    size = int(block[1]) * {"": 1, "k": 2**10, "m": 2**20}[block[2].lower()] if block else 0
    if not 512 <= size <= 2**24 or size % 512:
        raise PlanError(f"{where}.block_size is {one['block_size']!r}. Write a multiple of 512 bytes, such as 8k.")
    return {
        "name": one["name"],
        "tier": tier,
        "required_iops": required,
        "size": _size(f"{where}.size", one.get("size", settings["storage_size"])),
        "block_size": size,
        "read_share": _number(f"{where}.read_share", one.get("read_share", SHAPES["workload"]["read_share"]), 0, 1),
        "queue_depth": None if depth is None else int(_number(f"{where}.queue_depth", depth, 1, DEEPEST)),
    }


def _step(declared: dict, node: str, number: int, profile: str, settings: Dict[str, Any]) -> dict:
    """Return the step of one volume."""
    load, kbench = settings["load"], settings["engine"] == KBENCH
    mode = "full" if profile == "load" else "quick"
    jobs = _jobs(declared, load, settings) if settings["measured"] and not kbench else []
    if settings["measured"] and kbench and not settings["live"]:
        jobs = storage_kbench.rounds(mode, load["repeats"])
    size = min(load["file"], int(declared["size"] * SHARE)) // 2**20 * 2**20
    if jobs and size < LEAST_FILE:
        raise PlanError(f"The size of {declared['name']} in storage_classes is {declared['size']} bytes. Write more, for a test file of {LEAST_FILE} bytes.")
    # A cluster that serves is not written to faster than it is declared to be.
    fill_rate = round(declared["required_iops"] * declared["block_size"]) if jobs and settings["live"] else 0
    precondition = 0 if settings["live"] or kbench or not jobs else load["precondition"]
    filling = size / (fill_rate or FILL_RATE) if jobs else 0
    spare = [] if kbench or not settings["measured"] else _ramp(declared, load, settings)[1]
    least = storage_doubt.LARGE if jobs and profile in SIZED else 0
    refining = stress_plan.refining(jobs, spare, lambda job: job["seconds"] + job["ramp"])
    return {
        "name": f"{declared['name'] or 'default'}-{number}",
        "object": f"volume-{number}",
        "class": declared["name"],
        "node": node,
        "size": declared["size"],
        "file": size,
        "least": least,
        "larger": _larger(declared, load, profile, least),
        "engine": settings["engine"],
        "mode": mode,
        "jobs": jobs,
        "spare": spare,
        "fill_rate": fill_rate,
        "precondition": precondition,
        "disk_free": _disk_free(settings),
        "seconds": round(FUNCTION_SECONDS + filling + precondition + sum(job["seconds"] + job["ramp"] for job in jobs) + refining),
    }


def _larger(declared: dict, load: dict, profile: str, least: int) -> str:
    """Return what to write for a test file of so many bytes, "" where the settings allow one."""
    wanted = [f"size: {ROOMY} for {declared['name']} in storage_classes"] if _holds(declared["size"]) < least else []
    return " and ".join(wanted + ([f"file: {least // 2**30}Gi in storage_load.{profile}"] if load["file"] < least else []))


def _holds(size: int) -> int:
    """Return the bytes of the file that a volume of this size has room for, whatever its filesystem."""
    return int(size * USABLE * SHARE)


def _foreseen(declared: List[dict], steps: List[dict], settings: Dict[str, Any]) -> List[str]:
    """Return in sentences which numbers of what is planned may not be those of the volume, and what to write."""
    # No other profile asks for the workload; a run in less time is judged by the samples that it has.
    shallow = _shallow(declared, steps) if settings["profile"] == "load" else []
    return _small(steps) + shallow + (_few(declared, steps, settings["load"]) if settings.get("time_scale", 1) == 1 else [])


def _small(steps: List[dict]) -> List[str]:
    """Return in sentences which classes have a test file that a cache may hold; filesystems and the memory of the nodes are not known yet."""
    found = {step["class"]: (step, storage_doubt.small(step, min(step["file"], _holds(step["size"])), {})) for step in steps}
    # Some filesystems leave enough of a volume that others do not.
    stay = {name: "stay" if step["file"] < step["least"] else "may stay" for name, (step, dummy) in found.items()}
    return [f"{name}: its read and write numbers {stay[name]} open: {why}" for name, (dummy, why) in found.items() if why]


def _shallow(declared: List[dict], steps: List[dict]) -> List[str]:
    """Return in sentences which workloads may fall short for their queue alone, on a volume whose latency is within the target of its tier."""
    jobs = {step["class"]: job for step in steps for job in step["jobs"] if job["job"] == "workload"}
    said = []
    for one in declared:
        job, answered = jobs.get(one["name"]), ANSWERED.get(one["tier"])
        if not job or not answered:
            continue
        # At a fixed rate no more is asked.
        rate = sum(job["rate"].values()) or GROWTH * one["required_iops"]
        depth, wanted = job["queue_depth"], min(_deepest(one), math.ceil(round(rate * answered, 6)))
        if depth < wanted:
            said.append(
                f"{one['name']}: 'Storage IOPS meet the workload' may fail for its queue alone: {depth} requests at a time are {human(rate, '1/s')} only with "
                f"answers in {human(depth / rate, 's')} on average, and {human(answered, 's')} is the target for the P99 of {one['tier']}: "
                f"write queue_depth: {wanted} for {one['name']} in storage_classes"
            )
    return said


def _few(declared: List[dict], steps: List[dict], load: dict) -> List[str]:
    """Return in sentences which classes have a rate at which a step of the ramp has too few samples for its P99."""
    ramps = {step["class"]: [job for job in step["jobs"] if "phase" in job] for step in steps}
    said = []
    for one in declared:
        planned = [(round(job["seconds"] * sum(job["rate"].values())), job) for job in ramps[one["name"]]]
        asked, job = min(planned, key=lambda each: each[0], default=(math.inf, {}))
        # What is held may be a little less than what is asked.
        if asked >= stress_plan.MARGIN * SAMPLES:
            continue
        how, name = "cannot pass" if asked < SAMPLES else "may stay open", one["name"]
        longer, more = (math.ceil(SAMPLES / least) for least in (one["required_iops"], _most_seconds(load)))
        said.append(
            f"{name}: 'Expected rate that was carried' and 'Within critical after overload' {how}: {job['name']} asks {asked:,} times in {job['seconds']:g} s, "
            f"and its P99 takes {SAMPLES:,}: write stress: {longer} in storage_load.stress, or required_iops: {more} for {name} in storage_classes"
        )
    return said


def _strange(settings: Dict[str, Any]) -> List[str]:
    """Return in a sentence under which nodes no disk is measured, since the inventory has no host of their name."""
    hosts = settings.get("hosts")
    strange = [str(node) for node in settings["storage_nodes"] if isinstance(hosts, list) and node not in hosts]
    return [f"storage_baseline_directory: no host of the inventory is called {', '.join(strange)}, as storage_nodes is"] if strange else []


def _jobs(declared: dict, load: dict, settings: Dict[str, Any]) -> List[dict]:
    """Return the jobs of fio, one round after the other, so that a volume that grows slower with time is seen."""
    required, live, tier = declared["required_iops"], settings["live"], declared["tier"]
    rate = _rates(settings)[tier] if tier else None
    own = {key: declared[key] for key in ("block_size", "read_share")}
    made = []
    for name, shape in SHAPES.items():
        job = {"job": name, **shape, "seconds": load[name], "ramp": load["ramp"], "rate": {}}
        if name == "mixed":
            # The rate of the tier's target, so that the latency is not that of saturation.
            job["rate"] = _split(rate, shape["read_share"]) if rate else {}
            # Room for answers that take what is critical, twice the target, so that slower ones are not the queue's.
            job["queue_depth"] = max(shape["queue_depth"], min(DEEPEST, math.ceil(2 * ANSWERED[tier] * rate))) if rate else shape["queue_depth"]
            wanted = bool(rate) and (not live or rate <= (required or 0))
        elif name == "workload":
            job.update(own, queue_depth=_queue(declared, live), rate=_split(required, own["read_share"]) if live and required else {})
            wanted = bool(required)
        else:
            wanted = not live
        if wanted and load[name]:
            made.append(job)
    rounds = [{**job, "round": number, "name": f"{job['job']}-{number}"} for number in range(1, load["repeats"] + 1) for job in made]
    return rounds + _ramp(declared, load, settings)[0]


def _ramp(declared: dict, load: dict, settings: Dict[str, Any]) -> Tuple[List[dict], List[dict]]:
    """Return the jobs of a stress run, the declared workload at shares of its rate, and those that bisection may take."""
    required = declared.get("required_iops")
    if not load["stress"] or not required:
        return [], []

    def job(share: float, seconds: float) -> dict:
        own = {key: declared[key] for key in ("block_size", "read_share")}
        shape = {**SHAPES["workload"], **own, "rate": _split(share * required, own["read_share"]), "ramp": load["ramp"]}
        return {"job": "stress", **shape, "seconds": seconds, "round": 1}

    def made(share: float, seconds: float) -> dict:
        return {**job(share, seconds), "rate": share * required}

    def jobs(steps: List[dict]) -> List[dict]:
        return [{**step, "rate": job(step["share"], 0)["rate"]} for step in steps]

    # A volume cannot be measured in less time than its samples take, unless the run says that it proves nothing.
    samples = min(SAMPLES, required * _most_seconds(load)) if settings.get("time_scale", 1) == 1 else 0
    # fio ends at the first request that fails, so that nothing has to be tried first.
    ramp, spare = (jobs(part) for part in stress_plan.ramp(made, load["stress"], settings, samples, probed=False))
    # None where certify_live allows no ramp.
    depth = _depth(declared, max((sum(one["rate"].values()) for one in ramp + spare), default=0))
    return [{**one, "queue_depth": depth} for one in ramp], [{**one, "queue_depth": depth} for one in spare]


def _most_seconds(load: dict) -> float:
    """Return how many seconds the samples of a step may take: who writes longer steps has longer ones of the recovery, too."""
    return max(MOST_SECONDS, load["stress"])


def _queue(declared: dict, live: bool) -> int:
    """Return how many requests of the workload may wait: as declared, or what the rate of its target takes; of a cluster that serves no more than ever."""
    if declared["queue_depth"]:
        return declared["queue_depth"]
    return SHAPES["workload"]["queue_depth"] if live else _depth(declared, GROWTH * (declared["required_iops"] or 0))


def _depth(declared: dict, rate: float) -> int:
    """Return how many requests may wait for a rate: what it takes, or as many as are declared where that is more."""
    return max(declared["queue_depth"] or SHAPES["workload"]["queue_depth"], min(_deepest(declared), math.ceil(rate * CARRIED)))


def _deepest(declared: dict) -> int:
    return min(DEEPEST, BUFFERS // declared["block_size"])


def _disk(load: dict, size: int, settings: Dict[str, Any]) -> dict:
    """Return what is tried on the disk under a node, {} unless the owner names a directory for it. A cluster that serves has no disk to spare."""
    if not settings["storage_baseline_directory"] or settings["live"] or not load["baseline"]:
        return {}
    jobs = [{"job": name, "name": name, **SHAPES[name], "seconds": load["baseline"], "ramp": load["ramp"], "rate": {}} for name in DISK_JOBS if load[name]]
    seconds = round(size / FILL_RATE + sum(job["seconds"] + job["ramp"] for job in jobs))
    return {"jobs": jobs, "file": size, "disk_free": _disk_free(settings), "seconds": seconds}


def _disk_free(settings: Dict[str, Any]) -> float:
    return _number("storage_disk_free", settings["storage_disk_free"], 0, MOST_FREE)


def _split(rate: float, share: float) -> dict:
    """Return requests a second by direction, together no less than the rate; a direction without any is left out."""
    whole = stress_plan.rate_of(rate, 1)
    parts = {"read": round(whole * share), "write": whole - round(whole * share)}
    return {name: value for name, value in parts.items() if value}


def _rates(settings: Dict[str, Any]) -> dict:
    rates = settings["storage_mixed_rate"]
    if not isinstance(rates, dict) or set(rates) != set(TIERS):
        raise PlanError(f"storage_mixed_rate is {rates!r}. Write requests a second for each tier, such as {{ssd: 10000, nvme: 50000}}.")
    return {tier: _number(f"storage_mixed_rate.{tier}", rates[tier], 10) for tier in TIERS}


def _missing(declared: List[dict], settings: Dict[str, Any], engine: str) -> List[str]:
    """Return in sentences what cannot be completed, and which variable is missing."""
    if not declared:
        return [
            "storage_classes is empty: the default StorageClass is tried for its function alone, and 'Storage IOPS meet the workload' stays open. "
            "Name each class with its tier, required_iops and size."
        ]
    said = []
    for one in declared:
        lacking = [key for key in ("tier", "required_iops") if one[key] is None]
        if lacking:
            said.append(
                f"{one['name']}: {' and '.join(lacking)} {'are' if len(lacking) > 1 else 'is'} missing in storage_classes, so its numbers cannot be judged"
            )
    if engine == KBENCH:
        said.append(storage_kbench.missing(settings["profile"], settings["load"]["repeats"]))
    if settings["live"]:
        left = "kbench, which has no fixed rate, is left out" if engine == KBENCH else "only the declared workload is offered, at its required_iops"
        said.append(f"certify_live: {left}; what goes to the limit of a volume is not measured")
    return said
