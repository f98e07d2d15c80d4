# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of the storage: of each StorageClass the worst of its volumes and of its rounds. Pure. What is not known is absent."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Optional

from . import storage_doubt, storage_fio, storage_kbench, stress, stress_plan
from .storage_sound import sound

# What is kept of a StorageClass as the cluster describes it.
DESCRIBED = ("provisioner", "default", "binding", "reclaim", "expandable")
# Which direction of a job counts, and by what; the larger the better.
RATES = {"random_read": "rate", "random_write": "rate", "workload": "rate", "sequential_write": "bandwidth", "sequential_read": "bandwidth"}
# fio's bins are that wide: what differs less is the same.
SAME = 1.02
# A rate that was offered and is not reached by this share grows a queue, and with it every latency.
HELD = 0.95
# All of a rate was done where no more than this is missing, or than chance takes of requests that come as they like.
DONE, DEVIATIONS = 0.99, 3
# A queue that holds so much of what it can was full most of the time.
FULL = 0.9
WORKS = "works"
UNSEEN = f"{storage_doubt.SAID}: nothing shows whether its I/O was direct"


def cluster_facts(measured: Dict[str, Any]) -> dict:
    """Return the document of the storage.

    `measured`: plan (storage_plan), info (storage_info's facts), volumes {step name: {facts: volume_run's}}, disks {node: fio's facts},
    left {node: why the disk under it was not measured}, hosts (of the inventory), stress {class: as stress.facts takes it},
    ran {class: {step: {volume: {facts: fio's}}}}, ramping (the class whose ramp goes on, whose next step is said), clean. Only `plan` must be there.
    """
    plan, info = measured["plan"], _map(measured.get("info"))
    volumes = {name: sound(_map(_map(one).get("facts"))) for name, one in _map(measured.get("volumes")).items()}
    disks = {name: sound(_map(one)) for name, one in _map(measured.get("disks")).items()}
    # What is tried on the disks under the nodes of the inventory as well, and what came of it.
    below = {"jobs": [job["job"] for job in plan["disk"].get("jobs", ())], "hosts": measured.get("hosts"), "nodes": disks, "left": _map(measured.get("left"))}
    facts: Dict[str, Any] = {"plan": {name: plan[name] for name in ("classes", "steps", "missing", "engine")}}
    known = _map(info.get("classes")) if "classes" in info else None
    defaults = [_map(one).get("default") for one in (known or {}).values()]
    if known is not None and all(isinstance(one, bool) for one in defaults):
        facts["defaults"] = sum(defaults)
    facts.update({name: info[name] for name in ("volumes",) if name in info})
    facts["missing"] = _unread(info, "defaults", "volumes")
    names = {step["class"]: None for step in plan["steps"] if step["class"]}
    ran = _map(measured.get("ran"))
    ramps = {name: _map(_map(measured.get("stress")).get(name)) for name in names}
    for step in plan["steps"]:
        if volumes.get(step["name"]) and any("phase" in job for job in step["jobs"]):
            ramp = [run["name"] for run in ramps[step["class"]].get("runs") or ()]
            volumes[step["name"]] = _stressed(step["name"], volumes[step["name"]], _map(ran.get(step["class"])), ramp)
    facts["classes"] = {name: _class(name, plan, info, volumes, below) for name in names}
    for name in names:
        # What shows whether I/O was direct is complete when the volumes were let go: between steps nothing is doubted for want of it.
        doubt = "" if measured.get("ramping") == name else facts["classes"][name].get("doubt", UNSEEN)
        _ramp(facts["classes"][name], name, plan, volumes, below, ramps[name], doubt)
    if measured.get("ramping"):
        facts["stress"] = {"next": facts["classes"][measured["ramping"]]["stress"]["next"]}
    facts.update({"left": measured["clean"]["left"]} if "left" in _map(measured.get("clean")) else {})
    return {name: value for name, value in facts.items() if value != {}}


def _map(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _at(value: Any, *path: str) -> Any:
    """Return what is at a path of maps, None where that ends."""
    for key in path:
        value = _map(value).get(key)
    return value


def _unread(info: dict, *names: str) -> dict:
    """Return {fact: why it is not known} of those that what could not be read would have said; `defaults` and what describes a class are of the classes."""
    said = _map(info.get("missing"))
    found = {name: said.get(name if name == "volumes" else "classes") for name in names}
    return {name: text for name, text in found.items() if isinstance(text, str) and text}


def _class(name: str, plan: dict, info: dict, volumes: dict, below: dict) -> dict:
    """Return the facts of one StorageClass; `missing` {path: sentence} says why some are not there."""
    declared, known = _map(plan["classes"].get(name)), _map(info.get("classes")) if "classes" in info else None
    facts: Dict[str, Any] = {key: declared[key] for key in ("tier", "required_iops") if declared.get(key) is not None}
    facts["engine"] = plan["engine"]
    facts["missing"] = {**_undeclared(declared, plan), **_unread(info, "exists", "expanded", *DESCRIBED)}
    if known is not None:
        described = _map(known.get(name))
        facts["exists"] = name in known
        facts.update({key: described[key] for key in DESCRIBED if key in described})
    steps = [step for step in plan["steps"] if step["class"] == name]
    mine = [(step, volumes[step["name"]]) for step in steps if volumes.get(step["name"])]
    if not mine:
        return facts
    # One that was not tried leaves open what the others together would say.
    whole = len(mine) == len(steps)
    facts.update(_function(mine, whole))
    facts["missing"].update({"": said for said in (_at(volume, "unmeasured") for dummy, volume in mine) if said})
    facts["nodes"] = sorted({volume["node"] for dummy, volume in mine if volume.get("node")})
    if whole and steps[0]["jobs"]:
        numbers, doubts = _numbers(mine, below, declared)
        facts.update(numbers)
        # What broke a volume says more than what is unknown because of it.
        facts["missing"].update(doubts if facts.get("outcome", WORKS) == WORKS else {})
    if facts.get("outcome", WORKS) != WORKS:
        facts["missing"][""] = facts["outcome"]
    return facts


def _undeclared(declared: dict, plan: dict) -> dict:
    """Return why numbers are missing that the inventory does not ask for."""
    if not declared:
        return {"": "storage_classes is empty, so that the default StorageClass was tried for its function alone"}
    found = {}
    jobs = {job["job"] for step in plan["steps"] if step["class"] == declared["name"] for job in step["jobs"]}
    if declared["tier"] is None:
        found["mixed"] = f"storage_classes gives {declared['name']} no tier, and with it no rate"
    if declared["required_iops"] is None:
        found["workload"] = f"storage_classes gives {declared['name']} no required_iops"
    for name in RATES if not jobs else [name for name in (*RATES, "mixed") if name not in jobs and "kbench" not in jobs]:
        found.setdefault(name, "the load of this profile has no such job, or certify_live leaves it out")
    if "kbench" in jobs:
        found.update(dict.fromkeys(("mixed", "workload"), "kbench has no fixed rate and no workload of yours; certify_storage_engine: fio has both"))
    return found


def _function(mine: list, whole: bool) -> dict:
    """Return what the test of the function found; times are those of the slowest."""
    volumes = [volume for dummy, volume in mine]
    outcomes = [volume["outcome"] for volume in volumes if isinstance(volume.get("outcome"), str)]
    bad = [outcome for outcome in outcomes if outcome != WORKS]
    facts: Dict[str, Any] = {"outcome": bad[0]} if bad else {"outcome": WORKS} if whole and len(outcomes) == len(mine) else {}
    for name, path in (
        ("bound_seconds", ("provision", "bound")), ("ready_seconds", ("provision", "ready")), ("expand_seconds", ("expand", "seconds")),
        ("delete_seconds", ("delete", "seconds")),
    ):  # fmt: skip
        times = [_at(volume, *path) for volume in volumes]
        if whole and all(_is_number(time) for time in times):
            facts[name] = max(times)
    for name, path in (
        ("integrity", ("integrity", "same")), ("expanded", ("expand", "grown")), ("deleted", ("delete", "gone")), ("quota", ("expand", "quota")),
    ):  # fmt: skip
        said = [_at(volume, *path) for volume in volumes]
        if False in said or (whole and all(one is True for one in said)):
            facts[name] = False not in said
    # A class without quotas has the whole disk behind each volume.
    spaces = [(_at(volume, "space", "free"), _at(volume, "space", "asked")) for volume in volumes]
    room = [min(1.0, free / asked) for free, asked in spaces if _is_number(free) and _is_number(asked) and asked > 0]
    room = room if whole and len(room) == len(spaces) else []
    filesystem = next(filter(None, (_at(volume, "space", "filesystem") for volume in volumes)), None)
    facts.update({"room": min(room)} if room else {})
    facts.update({"filesystem": filesystem} if filesystem else {})
    errors = [volume["errors"] for volume in volumes if _is_number(volume.get("errors"))]
    facts.update({"errors": sum(errors)} if any(errors) or (whole and len(errors) == len(volumes)) else {})
    return facts


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# What the jobs measured -----------------------------------------------------------------------------------------------------


def _numbers(mine: list, below: dict, declared: dict) -> tuple:
    """Return ({job: what it measured} for every job that all volumes have run in all rounds, {job: why its numbers do not count})."""
    kbench = mine[0][0]["engine"] == storage_kbench.KBENCH
    worst = min((_proof(*(storage_kbench.proving(*one) if kbench else one)) for one in mine), key=lambda one: one["proven"])
    mine = [storage_kbench.as_fio(*one) for one in mine] if kbench else mine
    files = [volume["file"] if _is_number(volume.get("file")) else 0 for dummy, volume in mine]
    small = [volume.get("unmeasured") or storage_doubt.small(step, size, _map(volume.get("space"))) for (step, volume), size in zip(mine, files)]
    indirect = "" if worst["proven"] else f"{storage_doubt.SAID}: {worst['by']}"
    facts: Dict[str, Any] = {"direct": worst, "file": min(files), "doubt": next(filter(None, small), indirect)}
    doubts = {}
    for name in dict.fromkeys(job["job"] for job in mine[0][0]["jobs"] if "phase" not in job):
        volumes = [[_run(volume, job, below) for job in step["jobs"] if job["job"] == name] for step, volume in mine]
        runs = [run for one in volumes for run in one]
        if not all(runs):
            continue
        doubt = facts["doubt"] or next((run["doubt"] for run in runs if run["doubt"]), "")
        facts.update({} if doubt else {name: _quantity(name, volumes, declared)})
        doubts.update({name: doubt} if doubt else {f"{name}.of_disk": why for why in [_uncompared(name, mine, below)] if why})
    return facts, doubts


def _uncompared(name: str, mine: list, below: dict) -> str:
    """Return why a job was not compared with the disk under a node although the owner names a directory there, "" where that is not so."""
    strange = [volume["node"] for dummy, volume in mine if name in below["jobs"] and _is_strange(volume.get("node"), below)]
    return f"no host of the inventory is called {strange[0]}, as the node is, so that storage_baseline_directory is not measured there" if strange else ""


def _is_strange(node: Any, below: dict) -> bool:
    """Return whether no host of the inventory is called as the node."""
    return bool(node) and isinstance(below["hosts"], list) and node not in below["hosts"]


def _proof(step: dict, volume: dict) -> dict:
    """Return whether a volume's I/O was direct, from what of its facts can be used."""
    jobs = {name: {**_map(one), "devices": _map(_at(one, "devices"))} for name, one in _map(volume.get("jobs")).items()}
    known = {name: volume[name] for name in ("resident", "file") if _is_number(volume.get(name)) or volume.get(name, "") is None}
    # Of a ramp only what ran: it ends where a step breaks it.
    planned = {job["name"]: job for job in step["jobs"] if "phase" not in job or job["name"] in jobs}
    return storage_doubt.direct({"jobs": jobs, "space": _map(volume.get("space")), **known}, planned)


def _below(volume: dict, job: dict, below: dict) -> Optional[dict]:
    """Return what the same job measured on the disk under a volume's node, None where that was not to be tried."""
    node = volume.get("node")
    if job["job"] not in below["jobs"] or _is_strange(node, below):
        return None
    disk, why = _map(below["nodes"].get(node)), below["left"].get(node)
    parts = {name: one for name, one in _map(_at(disk, "jobs", job["job"])).items() if _is_part(one)}
    devices = {"devices": disk["devices"]} if isinstance(disk.get("devices"), dict) else {}
    return {**parts, **devices, **({"why": why} if isinstance(why, str) and why else {})}


def _run(volume: dict, job: dict, below: dict) -> Optional[dict]:
    """Return one job's {rate, count, p99, due, p999 (infinite where unknown), waiting (requests, in the middle), offered, doubt, seconds, of_disk}, or None.

    None is one that was not measured. `due` is the P99 with what was due while a request was under way, p99 itself where nothing was.
    """
    measured = _map(_at(volume, "jobs", job["name"]))
    parts = {name: measured[name] for name in ("read", "write") if _is_part(measured.get(name))}
    wanted = {"randread": ["read"], "read": ["read"], "randwrite": ["write"], "write": ["write"]}.get(job["rw"])
    if wanted is None:
        wanted = [name for name, share in (("read", job["read_share"]), ("write", 1 - job["read_share"])) if share > 0.005]
    if any(name not in parts for name in wanted):
        return None
    disk = _below(volume, job, below)
    under = sum(disk[name]["bandwidth"] for name in parts if name in disk) if disk else 0
    latencies = [part["latency"] for part in parts.values() if _is_number(_at(part, "latency", "p99"))]
    measured = {**parts, "runtime": measured.get("runtime") or 0, "devices": _map(measured.get("devices"))}
    return {
        "rate": sum(part["rate"] for part in parts.values()),
        "bandwidth": sum(part["bandwidth"] for part in parts.values()),
        "count": sum(_at(part, "latency", "count") or 0 for part in parts.values()),
        # Of reads and writes the worse one counts.
        "p99": max(one["p99"] for one in latencies) if len(latencies) == len(parts) else None,
        "due": max([_at(part, "due", "p99") or 0 for part in parts.values()] + [one["p99"] for one in latencies]) if len(latencies) == len(parts) else None,
        "p999": max([one.get("p999") or math.inf for one in latencies], default=math.inf) if len(latencies) == len(parts) else math.inf,
        "waiting": sum(part["rate"] * _at(part, "latency", "mean") for part in parts.values()) if _has(parts, "mean") else None,
        "offered": sum(job["rate"].values()) if job["rate"] else None,
        "seconds": job["seconds"],
        "doubt": storage_doubt.of_job(job, measured, _at(volume, "cached", "rate"), disk),
        "of_disk": sum(part["bandwidth"] for part in parts.values()) / under if under else None,
    }


def _has(parts: Dict[str, dict], key: str) -> bool:
    """Return whether every direction has this number of its latency."""
    return all(_is_number(_at(part, "latency", key)) for part in parts.values())


def _is_part(value: Any) -> bool:
    """Return whether that is what a direction of a job measured."""
    return all(_is_number(_at(value, key)) for key in ("rate", "bandwidth"))


# The ramp -------------------------------------------------------------------------------------------------------------------


def _stressed(name: str, volume: dict, ran: dict, ramp: List[str]) -> dict:
    """Return the facts of a volume with what the steps of its class's ramp, by their names, measured in it."""
    jobs, errors = dict(_map(volume.get("jobs"))), 0
    for step, runs in ran.items():
        if name in _map(runs):
            try:
                jobs[step] = storage_fio.result(step, sound(_map(_map(runs[name]).get("facts"))))
            except storage_fio.VolumeError:
                errors += 1
    # A step that says nothing of this volume leaves open whether it failed there.
    known = _is_number(volume.get("errors")) and all(name in _map(ran.get(step)) for step in ramp)
    found = {**volume, "jobs": jobs, "errors": errors + (volume["errors"] if _is_number(volume.get("errors")) else 0)}
    return found if known or found["errors"] else {key: value for key, value in found.items() if key != "errors"}


def _ramp(facts: dict, name: str, plan: dict, volumes: dict, below: dict, known: dict, doubt: str) -> None:
    """Add the ramp of a StorageClass, of all its volumes together; `doubt` says why none of its steps counts."""
    steps = [step for step in plan["steps"] if step["class"] == name]
    jobs = [job for job in steps[0]["jobs"] if "phase" in job]
    if not jobs:
        return
    expected = plan["classes"][name]["required_iops"]
    closed = f"a closed loop where answers are slow: {storage_fio.places(jobs[0])} requests at most wait for theirs"
    whole = {"steps": jobs, "spare": steps[0]["spare"], "stress": {"expected": expected, "unit": "1/s", "closed": closed, "scale": plan["scale"]}}
    views = {}
    for job in stress_plan.ran(whole, [run["name"] for run in known.get("runs") or ()]):
        runs = [_run(_map(volumes.get(step["name"])), job, below) for step in steps]
        views[job["name"]] = _view(name, job, [{**run, "doubt": doubt or run["doubt"]} if run else None for run in runs])
    stress.add(facts, "storage", whole, views, known)
    if doubt and facts["stress"].pop("recovery", None):
        facts["missing"]["stress.recovery"] = doubt
    # What kept the ramp from its first step says more than that it took none.
    why = "" if known.get("runs") else facts["missing"].get("")
    facts["missing"].update({one: why for one in ("stress.headroom", "stress.recovery") if why and one in facts["missing"]})


def _view(name: str, job: dict, runs: List[Optional[dict]]) -> dict:
    """Return what the ramp asks of a step: the worst volume decides."""
    good, offered = [run for run in runs if run], sum(job["rate"].values())
    if len(good) < len(runs):
        return {"offered": offered, "limited": "the step was not measured"}
    slow = None if any(run["p99"] is None for run in good) else _slowest([_asked(run) for run in good])
    return {
        "offered": offered,
        "achieved": round(min(run["rate"] for run in good), 1),
        "seconds": job["seconds"],
        "limited": next((run["doubt"] for run in good if run["doubt"]), ""),
        "full": _full(job, good, offered),
        "document": {"classes": {name: {"mixed": {**({} if slow is None else {"p99": slow}), "samples": int(min(run["count"] for run in good))}}}},
        "wanted": ("storage_latency_p99",),
        # The curve shows the end that decides.
        **({} if slow is None else {"p99": max(run["due"] for run in good)}),
    }


def _full(job: dict, runs: List[dict], offered: float) -> str:
    """Return in a sentence that the queue of fio is what kept it from a rate, "" where it had room: by Little's law so many requests waited."""
    short = [run for run in runs if run["rate"] < stress.HELD * offered]
    most = storage_fio.places(job)
    if not short or any(run["waiting"] is None or run["waiting"] < FULL * most for run in short):
        return ""
    return f"fio's queue of {most} was full, with answers in time. Declare a greater queue_depth in storage_classes"


def _quantity(name: str, volumes: List[List[dict]], declared: dict) -> dict:
    """Return the worst of a job's runs, given for each volume. Of what stands behind it the volume with the least counts: none proves another."""
    key, runs = RATES.get(name, "rate"), [run for one in volumes for run in one]
    values = [run[key] for run in runs]
    facts: Dict[str, Any] = {"rounds": min(map(len, volumes))}
    facts.update({total: int(min(sum(run[part] for run in one) for one in volumes)) for total, part in (("seconds", "seconds"), ("samples", "count"))})
    facts.update({key: round(min(values), 1), "steadiness": round(min(values) / max(values), 3)} if max(values) else {})
    percentiles = [_p99(run) for run in runs]
    if None not in percentiles:
        facts["p99"] = _slowest(percentiles)
        # Not where a rate was not held, or what was due was asked later: what waited longest was never asked.
        slowest = max(run["p999"] for run in runs)
        facts.update({"p999": slowest} if slowest < math.inf and not any(isinstance(one, list) for one in percentiles) else {})
    if name == "workload" and declared.get("required_iops") and key in facts:
        facts["ratio"] = _ratio(min(values), runs, declared["required_iops"])
    of_disk = [run["of_disk"] for run in runs if run["of_disk"] is not None]
    facts.update({"of_disk": round(min(of_disk), 3)} if of_disk else {})
    facts.update({"offered": runs[0]["offered"]} if runs[0]["offered"] else {})
    return facts


def _ratio(rate: float, runs: List[dict], required: float) -> Any:
    """Return the share of what is required, an interval without an upper end where no more was offered than was done.

    Not rounded: a share just below a bound would reach it.
    """
    offered = runs[0]["offered"]
    if offered:
        chance = 1 - DEVIATIONS / math.sqrt(offered * min(run["seconds"] for run in runs))
        if rate >= min(DONE, chance) * offered:
            return [offered / required, None]
    return rate / required


def _p99(run: dict) -> Any:
    """Return the P99 of a run in s, or where the offered rate was not held the interval from the least that its queue came to."""
    if run["p99"] is None:
        return None
    offered = run["offered"]
    if not offered or run["rate"] >= HELD * offered:
        return _asked(run)
    # Whoever asks at that rate waits for what was not done yet: at the end of the run for this share of its seconds.
    return [round(max(run["p99"], 0.98 * run["seconds"] * (1 - run["rate"] / offered)), 6), None]


def _asked(run: dict) -> Any:
    """Return the P99 of requests that were asked, up to that with those which were due while others were under way, where it is another one."""
    return [run["p99"], run["due"]] if run["due"] > SAME * run["p99"] else run["p99"]


def _slowest(percentiles: list) -> Any:
    """Return the worst of some values and intervals, an interval where it can be one."""
    ends = [one if isinstance(one, list) else [one, one] for one in percentiles]
    low, high = max(low for low, dummy in ends), None if any(high is None for dummy, high in ends) else max(high for dummy, high in ends)
    return low if low == high else [low, high]
