# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is removed from a bad run never makes it a better one. One part is bad at a time, so that nothing else keeps its result."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import checks as engine
from ansible_collections.kubeproof.certify.plugins.module_utils.storage_facts import cluster_facts
from ansible_collections.kubeproof.certify.tests.unit.plugins.module_utils.test_storage_facts import CHECKS, LOAD, ORDER, SETTINGS, measured, paths

GIB, LONG = 2**30, 600
# One job of each kind is enough.
JOBS = {**LOAD, "random_write": 0, "sequential_write": 0}
GOOD = ("PASS", "NOT_APPLICABLE")
NUMBERS = {"storage_random_read_iops", "storage_latency_p99", "storage_workload_iops", "storage_sequential_read"}
RAMP = ("storage_headroom", "storage_recovered", "storage_errors")


def slim(parts):
    """Return the directions of a job without what is not looked at."""
    found = {way: parts[way] for way in ("read", "write") if way in parts}
    return {way: {**{key: one[key] for key in ("rate", "bandwidth")}, "latency": {"count": 200_000, "p99": 0.002}} for way, one in found.items()}


def good(profile):
    """Return what the modules returned of a class on two nodes, good wherever a check looks. Of the second one something is going to be bad."""
    kept = {**{f"{name}-1": name for name in LOAD if JOBS.get(name)}}
    found = measured(profile, storage_nodes=["worker1", "worker2"], storage_load={"smoke": JOBS, "stress": {"stress": 100, "file": "20Gi"}},
                     stress={"shares": [1.0, 1.5]})  # fmt: skip
    first = found["volumes"]["local-path-1"]["facts"]
    devices = {"vda": {"reads": 300_000, "writes": 300_000}}
    jobs = {name: {**slim(one), "runtime": LONG, "devices": dict(devices)} for name, one in first["jobs"].items() if name in kept and profile == "smoke"}
    first.update(jobs=copy.deepcopy(jobs), expand={"grown": True}, file=20 * GIB)
    for step in found["plan"]["steps"]:
        step["least"] = 20 * GIB
        for job in step["jobs"] if profile == "smoke" else ():
            job["seconds"] = LONG
    disk = {"jobs": {name: slim(found["disks"]["worker1"]["jobs"][name]) for name in ("random_read", "sequential_read")}, "devices": {"vda": {}}}
    same = dict(found["info"]["classes"]["local-path"], expandable=True)
    found["info"]["classes"] = {"local-path": same, "other": dict(same, default=False)}
    found.update(hosts=["worker1", "worker2"], disks={"worker1": disk, "worker2": copy.deepcopy(disk)})
    found["volumes"]["local-path-2"] = {"facts": {**copy.deepcopy(first), "node": "worker2"}}
    for step, volumes in found.get("ran", {}).get("local-path", {}).items():
        job = volumes["local-path-1"]["facts"]["jobs"][step]
        facts = {"jobs": {step: {**{way: {**slim(job)[way], "rate": job[way]["rate"]} for way in ("read", "write")}, "runtime": LONG}}, "devices": devices}
        volumes.update({f"local-path-{number}": {"facts": copy.deepcopy(facts), "error": ""} for number in (1, 2)})
    return found


def results(found, profile, only):
    facts = {"cluster": {"lab": cluster_facts(found)}}
    findings = engine.judge({name: CHECKS[name] for name in only}, facts, "storage", profile, {"cluster": ["lab"]}, SETTINGS)
    assert {one["id"] for one in findings} == set(only)
    return {name: min((one["result"] for one in findings if one["id"] == name and one["judged"]), key=ORDER.get, default="INFO") for name in only}


def each_removal(found, roots):
    """Yield the path of every part, while that is not there. The first volume stays as it is."""
    for path in paths({name: found[name] for name in roots}):
        at = found
        for key in path[:-1]:
            at = at[key]
        if "local-path-1" not in path and "worker1" not in path:
            kept = dict(at)
            del at[path[-1]]
            yield path
            at.clear()
            at.update(kept)


def volume(found):
    return found["volumes"]["local-path-2"]["facts"]


def job(found, name):
    return volume(found)["jobs"][f"{name}-1"]


def step(found, name):
    return found["ran"]["local-path"][name]["local-path-2"]["facts"]["jobs"][name]


def unseen(found, **more):
    """Let fio name no disk."""
    for one in volume(found)["jobs"].values():
        one["devices"] = {}
    volume(found).update(more)


BAD = {
    "slow reads": (lambda one: job(one, "random_read")["read"].update(rate=100), {"storage_random_read_iops"}),
    "slow stream": (lambda one: job(one, "sequential_read")["read"].update(bandwidth=100), {"storage_sequential_read"}),
    "slow workload": (lambda one: [job(one, "workload")[way].update(rate=10) for way in ("read", "write")], {"storage_workload_iops"}),
    "late": (lambda one: job(one, "mixed")["write"]["latency"].update(p99=0.5), {"storage_latency_p99"}),
    "rate not held": (lambda one: job(one, "mixed")["read"].update(rate=10), {"storage_latency_p99"}),
    "few samples": (lambda one: [job(one, "mixed")[way]["latency"].update(count=9) for way in ("read", "write")], {"storage_latency_p99"}),
    "ended early": (lambda one: job(one, "workload").update(runtime=LONG / 2), {"storage_workload_iops"}),
    "near memory": (lambda one: volume(one)["cached"].update(rate=50_000), {"storage_random_read_iops"}),
    "above the disk": (lambda one: one["disks"]["worker2"]["jobs"]["sequential_read"]["read"].update(bandwidth=9), {"storage_sequential_read"}),
    "disk not measured": (lambda one: one["disks"].update(worker2={}), {"storage_random_read_iops", "storage_sequential_read"}),
    "above any device": (lambda one: job(one, "workload")["read"].update(rate=2e6), {"storage_workload_iops"}),
    "not at the disk": (lambda one: job(one, "random_read")["devices"]["vda"].update(reads=9), NUMBERS),
    "in the page cache": (lambda one: unseen(one, resident=1.0), NUMBERS),
    "unseen": (lambda one: unseen(one, resident=None, space={**volume(one)["space"], "memory": 64 * GIB}), NUMBERS),
    "cached by itself": (lambda one: unseen(one, resident=0.0, space={**volume(one)["space"], "memory": 64 * GIB, "filesystem": "zfs"}), NUMBERS),
    "a disk of memory": (lambda one: [job.update(devices={"loop0": job["devices"]["vda"]}) for job in volume(one)["jobs"].values()], NUMBERS),
    "no room": (lambda one: volume(one).update(unmeasured="it is full", jobs={}), NUMBERS),
    "small file": (lambda one: volume(one).update(file=GIB), NUMBERS),
    "another content": (lambda one: volume(one)["integrity"].update(same=False), {"storage_integrity"}),
    "kept": (lambda one: volume(one)["delete"].update(gone=False), {"storage_deletion"}),
    "did not grow": (lambda one: volume(one)["expand"].update(grown=False), {"storage_expansion"}),
    "no space": (lambda one: volume(one)["space"].update(free=0), {"storage_room"}),
    "little room": (lambda one: volume(one)["space"].update(free=0.7 * volume(one)["space"]["asked"]), {"storage_room"}),
    "errors": (lambda one: volume(one).update(errors=2), {"storage_errors"}),
    "broken": (lambda one: volume(one).update(outcome="it was not bound"), {"storage_function"}),
    "two defaults": (lambda one: one["info"]["classes"]["other"].update(default=True), {"storage_default_class"}),
    "no default": (lambda one: one["info"]["classes"]["local-path"].update(default=False), {"storage_default_class"}),
    "left": (lambda one: one["clean"].update(left=1), {"storage_left"}),
}
# A cluster without one of its classes, and a disk below that is another one: who lists them is trusted.
TRUSTED = {"two defaults": [("info", "classes", "local-path"), ("info", "classes", "other")], "above the disk": [("disks", "worker2", "devices", "vda")]}


@pytest.mark.parametrize("name", BAD)
def test_what_is_removed_never_improves_a_finding(name):
    change, checks = BAD[name]
    found = good("smoke")
    known = results(found, "load", checks)
    assert set(known.values()) <= set(GOOD), known
    change(found)
    before = results(found, "load", checks)
    assert not set(before.values()) & set(GOOD)
    # Of doubts that all share one check tells.
    some = checks if len(checks) < 3 else {"storage_workload_iops"}
    # What a volume can do is not asked of its jobs, which are most of the parts.
    roots = ("volumes", "disks") if checks & (NUMBERS | {"storage_errors", "storage_function"}) else ("info", "clean", "volumes")
    if roots[0] == "info":
        volume(found)["jobs"] = {}
    better = {path for path in each_removal(found, roots) for one, result in results(found, "load", some).items() if ORDER[result] > ORDER[before[one]]}
    assert better <= set(TRUSTED.get(name, ()))


STRESSED = {
    "late": lambda one: step(one, "ramp-150")["read"]["latency"].update(p99=0.5),
    "no recovery": lambda one: step(one, "recovery-1")["read"]["latency"].update(p99=0.5),
    "not at the disk": lambda one: one["ran"]["local-path"]["ramp-100"]["local-path-2"]["facts"]["devices"]["vda"].update(reads=9),
    "small file": lambda one: volume(one).update(file=GIB),
    "failed step": lambda one: one["ran"]["local-path"]["ramp-150"].update({"local-path-2": {"facts": {}, "error": "fio ended with exit code 1"}}),
    "errors": lambda one: volume(one).update(errors=1),
}


@pytest.mark.parametrize("name", STRESSED)
def test_what_is_removed_never_improves_the_verdict_of_a_ramp(name):
    found = good("stress")
    known = results(found, "stress", RAMP)
    assert set(known.values()) <= set(GOOD), known
    STRESSED[name](found)
    before = min(ORDER[result] for result in results(found, "stress", RAMP).values())
    assert before < ORDER["PASS"]
    better = [path for path in each_removal(found, ("volumes", "ran")) if min(ORDER[result] for result in results(found, "stress", RAMP).values()) > before]
    assert better == []


def test_a_step_that_failed_in_one_volume_ends_the_ramp_with_its_reason():
    found = good("stress")
    STRESSED["failed step"](found)
    ramp = cluster_facts(found)["classes"]["local-path"]["stress"]
    assert [(row["name"], row["held"], row["offered"]) for row in ramp["steps"]][:2] == [("ramp-100", True, 1000), ("ramp-150", None, 1500)]
    assert "150 % (1,500/s) is not known: the step was not measured" in ramp["said"]


@pytest.mark.parametrize(("seconds", "result"), [((600, 600, 600), "PASS"), ((600, 201, 600), "INCONCLUSIVE"), ((201, 201, 201), "INCONCLUSIVE")])
def test_the_seconds_of_one_volume_prove_nothing_of_another(seconds, result):
    found = good("smoke")
    nodes = ["worker1", "worker2", "worker3"]
    found["plan"]["steps"] = [copy.deepcopy(found["plan"]["steps"][0]) for dummy in nodes]
    for number, (node, one, lasted) in enumerate(zip(nodes, found["plan"]["steps"], seconds), 1):
        one["name"] = f"local-path-{number}"
        found["volumes"][one["name"]] = {"facts": {**copy.deepcopy(found["volumes"]["local-path-1"]["facts"]), "node": node}}
        for planned in one["jobs"]:
            planned["seconds"] = lasted
            found["volumes"][one["name"]]["facts"]["jobs"][planned["name"]].update(runtime=lasted)
            for way in {"read", "write"} & set(found["volumes"][one["name"]]["facts"]["jobs"][planned["name"]]):
                found["volumes"][one["name"]]["facts"]["jobs"][planned["name"]][way]["latency"]["count"] = 200 * lasted
    facts = cluster_facts(found)["classes"]["local-path"]
    assert facts["random_read"]["seconds"] == min(seconds) and facts["random_read"]["samples"] == 200 * min(seconds) and facts["random_read"]["rounds"] == 1
    checks = {name: dict(CHECKS[name], min_samples=600) for name in ("storage_random_read_iops",)}
    [finding] = engine.judge(checks, {"cluster": {"lab": cluster_facts(found)}}, "storage", "load", {"cluster": ["lab"]}, SETTINGS)
    assert finding["result"] == result
