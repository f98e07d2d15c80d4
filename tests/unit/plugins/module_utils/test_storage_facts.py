# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import json
import pathlib

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.filter.layer_facts import FilterModule
from ansible_collections.kubeproof.certify.plugins.module_utils import checks as engine
from ansible_collections.kubeproof.certify.plugins.module_utils.storage_facts import cluster_facts
from ansible_collections.kubeproof.certify.plugins.module_utils.storage_plan import DISK_JOBS, SHAPES, plan
from ansible_collections.kubeproof.certify.tests.unit.plugins import stress_fake

ROOT = pathlib.Path(__file__).parents[4]


def load(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


CHECKS = load("roles/storage/defaults/main/checks.yml")["storage_checks"]
DEFAULTS = load("roles/storage/defaults/main/settings.yml")
RECORDED = load("tests/fixtures/storage_facts/measured.yml")
CLASS = {"name": "local-path", "tier": "ssd", "required_iops": 1000, "size": "30Gi"}
# The seconds of the recorded run.
LOAD = {"random_read": 5, "random_write": 5, "mixed": 6, "workload": 5, "sequential_write": 5, "sequential_read": 5, "ramp": 1, "baseline": 2, "file": "256Mi"}
# Of what was measured, by profile.
PATHS = {}
RATE = {"ssd": 1000, "nvme": 5000}
SETTINGS = {"today": "2026-11-21", "tiers": {"local-path": "ssd"}}


def planned(profile="smoke", **more):
    loads = {name: LOAD if name == "smoke" else {**LOAD, "repeats": 3, "file": "20Gi"} for name in ("smoke", "load", "soak")}
    loads["stress"] = {"stress": 100, "ramp": 1, "file": "20Gi"}
    own = {"storage_load": loads, "storage_mixed_rate": RATE, "storage_classes": [CLASS], "storage_baseline_directory": "/data"}
    return plan(profile, {**DEFAULTS, **own, "engine": "fio", "live": False, "default_class": "local-path", **more})


def measured(profile="smoke", **more):
    """Return what the modules returned, with as many rounds as the plan has, each as the recorded one."""
    found = {"plan": planned(profile, **more), **copy.deepcopy(RECORDED), "hosts": ["worker1"]}
    jobs = found["volumes"]["local-path-1"]["facts"]["jobs"]
    planned_jobs = found["plan"]["steps"][0]["jobs"]
    volume_of(found)["file"] = found["plan"]["steps"][0]["file"]
    if profile == "stress":
        steps = {job["name"]: {"local-path-1": {"facts": stressed(job, jobs["workload-1"]), "error": ""}} for job in planned_jobs}
        known = stress_fake.known(CHECKS, {"steps": planned_jobs}, settings=SETTINGS)
        return {**found, "stress": {"local-path": known}, "ran": {"local-path": steps}}
    for job in planned_jobs:
        jobs.setdefault(job["name"], copy.deepcopy(jobs[f"{job['job']}-1"]))
    return found


def stressed(job, recorded):
    """Return what fio says of a job of the ramp that held its rate."""
    found = copy.deepcopy(recorded)
    for way, rate in job["rate"].items():
        found[way].update(rate=rate, bandwidth=rate * 4096)
        found[way]["latency"].update(p99=0.002, count=rate * job["seconds"])
    devices = found.pop("devices", {})
    return {"jobs": {job["name"]: {**found, "runtime": job["seconds"]}}, "devices": devices}


def step_of(found, name):
    """Return what fio measured in a step of the ramp."""
    return found["ran"]["local-path"][name]["local-path-1"]["facts"]["jobs"][name]


def volume_of(found):
    return found["volumes"]["local-path-1"]["facts"]


def of_class(found, name="local-path"):
    return cluster_facts(found)["classes"][name]


def judge(found, profile="load", settings=None):
    """Return {check: finding} of the class."""
    facts = {"cluster": {"lab": cluster_facts(found)}}
    findings = engine.judge(CHECKS, facts, "storage", profile, {"cluster": ["lab"]}, SETTINGS if settings is None else settings)
    return {one["id"]: one for one in findings}


def test_the_recorded_run():
    facts = of_class(measured())
    assert facts["outcome"] == "works" and facts["missing"] == {} and facts["direct"]["proven"] is True and facts["nodes"] == ["worker1"]
    assert 70000 < facts["random_read"]["rate"] < 80000 and facts["random_read"]["seconds"] == 5 and facts["random_read"]["steadiness"] == 1.0
    assert facts["workload"]["ratio"] == pytest.approx(facts["workload"]["rate"] / 1000, abs=0.001)
    assert facts["mixed"]["offered"] == 1000 and 0 < facts["mixed"]["p99"] < 0.01 and facts["mixed"]["samples"] > 5000
    assert 0.5 < facts["random_read"]["of_disk"] < 1.5 and facts["room"] == 1.0
    assert json.dumps(cluster_facts(measured())) and FilterModule().filters()["layer_facts"](measured(), "storage") == cluster_facts(measured())


@pytest.mark.parametrize("profile", ["smoke", "load", "stress", "soak"])
def test_every_check_of_a_profile_finds_its_fact(profile):
    findings = judge(measured(profile), profile)
    reasons = {name: one["reason"] for name, one in findings.items() if one["judged"] and one["result"] not in ("PASS", "NOT_APPLICABLE", "CONDITIONAL")}
    # The recorded seconds are too few for a load run; that is all that is wrong.
    assert {name for name, reason in reasons.items() if not reason.startswith("Too few samples")} == set()
    assert profile == "load" or not reasons


@pytest.mark.parametrize(
    ("job", "ways", "ratio"),
    [
        ("ramp-150", {}, [2.0, None]),
        ("ramp-150", {"read": {"latency": {"p99": 0.02, "count": 120000}}}, 1.25),
        ("ramp-150", {"read": {"rate": 700, "bandwidth": 700 * 4096}}, 1.25),
        ("ramp-100", {"write": {"latency": {"p99": 0.02, "count": 50000}}}, 0.0),
    ],
)
def test_the_ramp_of_a_class(job, ways, ratio):
    found = measured("stress")
    for way, more in ways.items():
        step_of(found, job)[way].update(more)
    ramp = of_class(found)["stress"]
    assert ramp["headroom"]["ratio"] == ratio and ramp["recovery"]["seconds"] == 3.0 and "a closed loop where answers are slow: 40 requests" in ramp["said"]


@pytest.mark.parametrize(
    ("due", "seen", "result"),
    [
        # As recorded: a P99 of 3.3 ms, while the volume stood still for a tenth of the time.
        (0.287, [0.0033, 0.287], "INCONCLUSIVE"),
        (0.0049, [0.0033, 0.0049], "PASS"),
        (0.0099, [0.0033, 0.0099], "CONDITIONAL"),
        # The same but for the width of a bin.
        (0.00335, 0.0033, "PASS"),
    ],
)
def test_what_was_due_while_the_volume_stood_still_may_be_late(due, seen, result):
    found = measured("load")
    for name, job in volume_of(found)["jobs"].items():
        for way in ("read", "write") if name.startswith("mixed") else ():
            job[way]["latency"].update(p99=0.0033, count=100_000)
    assert of_class(found)["mixed"]["p99"] == 0.0033
    volume_of(found)["jobs"]["mixed-2"]["write"]["due"] = {"p99": due}
    assert of_class(found)["mixed"]["p99"] == seen
    volume_of(found).update(direct={"proven": True, "by": "test"})
    finding = judge(found)["storage_latency_p99"]
    assert (finding["value"], finding["result"]) == (seen, result)


@pytest.mark.parametrize(
    ("mean", "p99", "ratio", "says"),
    [
        # 40 that wait for 0.029 s each are 1,380/s: the queue was full. Where that is too slow, the volume is.
        (0.029, 0.05, 1.25, "4 KiB I/O, P99 at the tier's rate"),
        (0.029, 0.009, [1.25, None], "not known: fio's queue of 40 was full, with answers in time"),
        # One that had room did not wait for anything but the volume, which takes requests one by one.
        (0.002, 0.009, 1.25, "Achieved of offered: 92 %"),
        (None, 0.009, 1.25, "Achieved of offered: 92 %"),
    ],
)
def test_a_queue_that_is_full_is_not_the_volume(mean, p99, ratio, says):
    found = measured("stress")
    step = step_of(found, "ramp-150")
    for way in ("read", "write"):
        step[way].update(rate=step[way]["rate"] * 0.92, bandwidth=step[way]["bandwidth"] * 0.92)
        step[way]["latency"].update(p99=p99, mean=mean)
    ramp = of_class(found)["stress"]
    assert ramp["headroom"]["ratio"] == ratio and any(one["broke_by"].startswith(says) for one in ramp["steps"] if one["name"] == "ramp-150"), ramp["steps"]


def test_the_curve_shows_the_p99_with_what_was_due():
    found = measured("stress")
    step_of(found, "ramp-125")["write"]["due"] = {"p99": 0.006}
    shown = {step["name"]: step["p99"] for step in of_class(found)["stress"]["steps"]}
    assert (shown["ramp-100"], shown["ramp-125"]) == (0.002, 0.006)


def test_a_ramp_that_did_not_run_has_no_headroom():
    found = measured("stress")
    found["ran"]["local-path"]["ramp-100"]["local-path-1"] = {"error": "fio ended with exit code 1"}
    assert volume_of(found)["errors"] == 0 and of_class(found)["errors"] == 1
    assert "headroom" not in of_class(found)["stress"] and judge(found, "stress")["storage_headroom"]["result"] == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("devices", "volume", "said"),
    [
        ({}, {"resident": 1.0}, "too good to be true: 100% of the file is in the page cache"),
        ({}, {"resident": 0.0}, ""),
        ({}, {"resident": None}, "too good to be true: the file is"),
        ({}, {}, "too good to be true: the page cache was not looked at"),
        # What the disk counted decides, whatever is in the page cache.
        ({"vda": {"reads": 100, "writes": 100}}, {"resident": 0.0}, "too good to be true: the disk vda counted 0% of the requests"),
        ({"vda": {"reads": 10**6, "writes": 10**6}}, {"resident": 1.0}, ""),
    ],
)
def test_a_ramp_that_was_not_direct_proves_nothing(devices, volume, said):
    """Which shows when its volumes were let go: until then the ramp goes on."""
    found = measured("stress")
    for step in found["ran"]["local-path"].values():
        step["local-path-1"]["facts"]["devices"] = devices
    del volume_of(found)["resident"]
    volume_of(found).update(volume)
    findings = judge(found, "stress")
    assert {findings[name]["result"] for name in ("storage_headroom", "storage_recovered")} == {"INCONCLUSIVE" if said else "PASS"}
    assert all(said in findings[name]["reason"] for name in ("storage_headroom", "storage_recovered"))
    found["stress"]["local-path"]["runs"][1:] = []
    assert cluster_facts({**found, "ramping": "local-path"})["stress"]["next"]["name"] == "ramp-125"


def test_the_ramp_goes_on_where_it_is_not_at_its_end():
    found = measured("stress", stress={"bisect": True})
    assert "stress" not in cluster_facts(found)
    found.update(ramping="local-path")
    assert cluster_facts(found)["stress"]["next"]["name"] == "again-200"
    found["stress"]["local-path"]["runs"][2:] = []
    assert cluster_facts(found)["stress"]["next"]["name"] == "ramp-150"
    step_of(found, "ramp-125")["read"]["latency"].update(p99=0.02)
    assert cluster_facts(found)["stress"]["next"]["name"] == "recovery-1"
    found["stress"] = {}
    assert cluster_facts(found)["stress"]["next"]["name"] == "ramp-100"


def test_bisection_takes_a_volume_between_two_steps():
    found = measured("stress", stress={"bisect": True})
    [step], known = found["plan"]["steps"], found["stress"]["local-path"]
    step_of(found, "ramp-125")["read"]["latency"].update(p99=0.02)
    [bisect] = [job for job in step["spare"] if job["name"] == "bisect-112"]
    found["ran"]["local-path"]["bisect-112"] = {"local-path-1": {"facts": stressed(bisect, volume_of(found)["jobs"]["workload-1"]), "error": ""}}
    known["runs"] = [known["runs"][0], known["runs"][1], {**known["runs"][-1], "began": 1200.0, "ended": 1260.0}]
    known["runs"].append({**known["runs"][-1], "name": "bisect-112", "began": 1270.0, "ended": 1330.0})
    ramp = of_class(found)["stress"]
    assert ramp["headroom"]["share"] == 1.125 and ramp["broke"]["share"] == 1.25 and ramp["next"]["name"] == "bisect-119"


def test_every_check_finds_its_fact():
    growing = measured()
    growing["info"]["classes"]["local-path"]["expandable"] = True
    volume_of(growing)["expand"] = {"grown": True, "seconds": 3.0}
    found = judge(growing)
    beyond = {"storage_headroom", "storage_recovered", "storage_breaking_point", "storage_kbench_read_p99", "storage_kbench_write_p99"}
    assert {name for name, one in found.items() if one["value"] is None} == beyond and set(found) == set(CHECKS)


@pytest.mark.parametrize(
    ("lost", "checks"),
    [("classes", ["storage_classes_exist", "storage_default_class", "storage_expansion"]), ("volumes", ["storage_volumes_failed", "storage_volumes_released"])],
)
def test_what_may_not_be_read_says_why(lost, checks):
    found = measured()
    del found["info"][lost]
    found["info"]["missing"] = {lost: f"{lost} cannot be read: forbidden"}
    findings = judge(found)
    assert [findings[name]["reason"] for name in checks] == [f"Not measured: {lost} cannot be read: forbidden."] * len(checks)
    assert "forbidden" not in {one["reason"] for name, one in findings.items() if name not in checks}


def test_without_facts_no_check_passes():
    results = {one["result"] for one in engine.judge(CHECKS, {}, "storage", "load", {"cluster": ["lab"]}, SETTINGS) if one["judged"]}
    assert results == {"INCONCLUSIVE"}


ORDER = {"FAIL": 0, "INCONCLUSIVE": 0, "CONDITIONAL": 1, "NOT_APPLICABLE": 2, "PASS": 2, "INFO": 2}


def paths(value, path=()):
    """Yield the path of every entry below a value, so that each can be removed in turn."""
    items = value.items() if isinstance(value, dict) else ()
    for key, one in items:
        yield (*path, key)
        yield from paths(one, (*path, key))


def test_removing_anything_never_improves_a_finding():
    whole = measured()
    before = {name: ORDER[one["result"]] for name, one in judge(whole).items()}
    for path in paths({name: whole[name] for name in ("info", "volumes", "clean")}):
        damaged = copy.deepcopy(whole)
        at = damaged
        for key in path[:-1]:
            at = at[key]
        del at[path[-1]]
        better = {name for name, one in judge(damaged).items() if ORDER[one["result"]] > before[name]}
        assert better == set(), path


HOSTILE = st.one_of(
    st.text(max_size=5), st.booleans(), st.none(), st.lists(st.integers(), max_size=3), st.floats(), st.integers(), st.sampled_from([10**400, -1, 0, {}]),
    st.dictionaries(st.text(max_size=3), st.one_of(st.text(max_size=3), st.integers()), max_size=2),
)  # fmt: skip


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.sampled_from(["smoke", "stress"]))
def test_what_cannot_be_is_absent_and_never_an_error(data, profile):
    """A text where a number belongs, a list where a map does: whichever it is, there are facts, and they are no better."""
    damaged = measured(profile)
    kept = {name: damaged[name] for name in ("info", "volumes", "disks", "ran", "clean") if name in damaged}
    path = data.draw(st.sampled_from(PATHS.setdefault(profile, list(paths(kept)))))
    at = damaged
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = data.draw(HOSTILE)
    json.dumps(cluster_facts(damaged))
    judge(damaged, profile)


@pytest.mark.parametrize("value", ["70000", True, [], {}, float("nan"), float("inf"), 10**400, -1])
@pytest.mark.parametrize("key", ["rate", "bandwidth"])
def test_a_rate_that_is_no_number_is_not_measured(key, value):
    found = measured()
    volume_of(found)["jobs"]["random_read-1"]["read"][key] = value
    facts = of_class(found)
    assert "random_read" not in facts and "random_write" in facts


def test_the_worst_round_counts():
    found = measured("load")
    volume_of(found)["jobs"]["random_read-2"]["read"].update(rate=100.0, bandwidth=409600.0)
    volume_of(found)["jobs"]["mixed-3"]["write"]["latency"]["p99"] = 0.5
    facts = of_class(found)
    assert facts["random_read"]["rate"] == 100.0 and facts["random_read"]["rounds"] == 3 and facts["random_read"]["steadiness"] < 0.01
    assert facts["random_read"]["seconds"] == 15 and facts["mixed"]["p99"] == 0.5


def test_a_round_that_is_missing_leaves_its_number_open():
    found = measured("load")
    del volume_of(found)["jobs"]["workload-3"]
    del volume_of(found)["jobs"]["mixed-1"]["write"]
    facts = of_class(found)
    assert "workload" not in facts and "mixed" not in facts and "random_write" in facts
    # Without all that shows that I/O was direct no number counts.
    del volume_of(found)["jobs"]["random_read-3"]
    assert "random_write" not in of_class(found) and "how many requests random_read-3 made" in of_class(found)["missing"]["random_write"]


def test_the_worst_node_counts():
    found = {**measured(storage_nodes=["worker1", "worker2"])}
    found["volumes"]["local-path-2"] = copy.deepcopy(found["volumes"]["local-path-1"])
    other = found["volumes"]["local-path-2"]["facts"]
    other["node"], other["provision"]["bound"] = "worker2", 50.0
    other["jobs"]["random_write-1"]["write"]["rate"] = 7.0
    facts = of_class(found)
    assert facts["nodes"] == ["worker1", "worker2"] and facts["random_write"]["rate"] == 7.0 and facts["bound_seconds"] == 50.0
    # The other node is not in the inventory, so that its volume is compared with nothing.
    assert facts["random_read"]["of_disk"] > 0 and "no host of the inventory is called worker2" in facts["missing"]["random_read.of_disk"]
    assert "the disk under it was to be compared with it" in of_class({**found, "hosts": ["worker1", "worker2"]})["missing"]["random_read"]
    other["outcome"] = "random_read-1: fio ended with exit code 1"
    assert of_class(found)["outcome"] == other["outcome"]
    del found["volumes"]["local-path-2"]
    facts = of_class(found)
    assert not {"outcome", "random_write", "deleted", "errors", "bound_seconds", "integrity"} & set(facts)


def test_a_rate_that_is_not_held_has_the_latency_of_its_queue():
    found = measured(storage_mixed_rate={"ssd": 2000, "nvme": 5000})
    facts = of_class(found)
    # Half of what was offered was done: at the end of 6 s a request waits for 3 s.
    assert facts["mixed"]["p99"][0] == pytest.approx(0.98 * 6 * (1 - facts["mixed"]["rate"] / 2000), rel=1e-3) and facts["mixed"]["p99"][1] is None
    found = judge(found, "load", {**SETTINGS, "thresholds": {}})["storage_latency_p99"]
    assert found["result"] in ("INCONCLUSIVE", "FAIL") and found["result"] != "PASS"


def test_what_is_too_good_is_missing_with_the_reason():
    found = measured()
    volume_of(found)["cached"]["rate"] = 50000.0
    facts = of_class(found)
    assert "random_read" not in facts and "random_write" in facts
    assert facts["missing"] == {"random_read": "too good to be true: 73487/s, and memory gives 50000/s"}
    finding = judge(found)["storage_random_read_iops"]
    assert finding["result"] == "INCONCLUSIVE" and "too good to be true" in finding["reason"]


def test_a_node_that_the_inventory_calls_otherwise_is_said():
    found = measured("load")
    found.update(hosts=["worker1.example.com"], disks={})
    finding = judge(found)["storage_of_disk_read"]
    assert finding["reason"] == (
        "Not measured: no host of the inventory is called worker1, as the node is, so that storage_baseline_directory is not measured there."
    )
    # Nothing speaks against the numbers themselves, nor is anything said where no directory is named.
    assert "random_read" in of_class(found) and set(of_class(found)["missing"]) == {f"{name}.of_disk" for name in DISK_JOBS}
    assert of_class({**measured("load", storage_baseline_directory=""), "hosts": [], "disks": {}})["missing"] == {}


def test_a_disk_that_was_not_measured_says_why():
    found = measured()
    found.update(disks={"worker1": {}}, left={"worker1": "/data has 26 GiB free of 100 GiB"})
    reason = judge(found)["storage_random_read_iops"]["reason"]
    assert "was to be compared with it, and was not measured: /data has 26 GiB free of 100 GiB. Repair that" in reason
    found["left"] = {"worker1": {"no": "text"}}
    assert "was not measured: see raw/storage" in judge(found)["storage_random_read_iops"]["reason"]


@pytest.mark.parametrize("profile", ["smoke", "stress"])
def test_a_node_without_room_leaves_the_numbers_open(profile):
    found, said = measured(profile), "its volume is on the node's own disk, of which 19 GiB of 100 GiB are free: make room there"
    volume_of(found).update(jobs={}, unmeasured=said)
    volume_of(found).pop("file")
    found.update({"ran": {}, "stress": {}} if profile == "stress" else {})
    findings = judge(found, profile)
    assert findings["storage_function"]["result"] == "PASS" and of_class(found)["missing"][""] == said
    name = "storage_headroom" if profile == "stress" else "storage_random_read_iops"
    assert findings[name]["result"] == "INCONCLUSIVE" and said in findings[name]["reason"]


@pytest.mark.parametrize(("quota", "kept"), [(True, True), (False, False), (None, None)])
def test_a_volume_without_a_quota_is_known(quota, kept):
    found = measured()
    volume_of(found)["expand"] = {"grown": True, "seconds": 1.0, **({} if quota is None else {"quota": quota})}
    assert of_class(found).get("quota") is kept and of_class(found)["expanded"] is True


def test_without_proof_of_direct_io_no_number_counts():
    found = measured()
    for job in volume_of(found)["jobs"].values():
        job["devices"] = {"vda": {"reads": 1, "writes": 1}}
    facts = of_class(found)
    assert facts["direct"]["proven"] is False and not set(SHAPES) & set(facts)
    assert set(facts["missing"]) == set(SHAPES) and all("the disk vda counted 0%" in reason for reason in facts["missing"].values())


def test_a_broken_volume_is_the_reason_for_what_is_missing():
    found = measured()
    volume_of(found).update(jobs={}, outcome="fill: fio ended with exit code 1: No space left on device", errors=1)
    findings = judge(found)
    assert findings["storage_function"]["result"] == "FAIL" and findings["storage_function"]["value"].startswith("fill: ")
    assert findings["storage_errors"]["result"] == "FAIL"
    assert "No space left on device" in findings["storage_random_read_iops"]["reason"]


@pytest.mark.parametrize(
    ("declared", "check", "said"),
    [
        ({"tier": "ssd"}, "storage_workload_iops", "storage_classes gives local-path no required_iops"),
        ({"required_iops": 5}, "storage_latency_p99", "storage_classes gives local-path no tier"),
    ],
)
def test_what_is_not_declared_is_named(declared, check, said):
    found = measured(storage_classes=[{"name": "local-path", "size": "1Gi", **declared}])
    assert said in judge(found)[check]["reason"]


def test_without_classes_the_default_one_is_judged_by_its_function():
    found = measured(storage_classes=[])
    volume_of(found).update(jobs={})
    findings = judge(found)
    assert findings["storage_function"]["result"] == "PASS" and findings["storage_function"]["entry"] == "local-path"
    assert "storage_classes is empty" in findings["storage_workload_iops"]["reason"]


def test_live():
    """Only the declared workload is offered; the rest says why it is missing."""
    found = measured("load", live=True, storage_mixed_rate={"ssd": 10000, "nvme": 50000})
    facts = of_class(found)
    assert "random_read" not in facts and "certify_live leaves it out" in judge(found)["storage_random_read_iops"]["reason"]
    assert facts["workload"]["ratio"] == [1.0, None]


@pytest.mark.parametrize(
    ("rate", "seconds", "ratio", "result"),
    [
        (1000, 300, [1.0, None], "CONDITIONAL"),
        (991, 300, [1.0, None], "CONDITIONAL"),
        (989, 300, 0.989, "FAIL"),
        # Requests that come by chance are fewer at times: in 30 s of 1000/s by 1.7 %.
        (983, 30, [1.0, None], "INCONCLUSIVE"),
        (980, 30, 0.98, "INCONCLUSIVE"),
    ],
)
def test_a_live_volume_that_does_what_it_is_asked_is_not_too_slow(rate, seconds, ratio, result):
    """No more than the requirement is offered there, so that its reserve is not known."""
    found = measured("load", live=True)
    for number, job in enumerate(found["plan"]["steps"][0]["jobs"]):
        ran = volume_of(found)["jobs"][job["name"]]
        job["seconds"] = ran["runtime"] = seconds
        for way, asked in job["rate"].items():
            ran[way]["rate"] = asked * (rate / 1000 if number else 1.1)
    assert of_class(found)["workload"]["ratio"] == ratio
    finding = judge(found)["storage_workload_iops"]
    assert finding["result"] == result and finding.get("undecided", False) is (result == "CONDITIONAL")


@pytest.mark.parametrize(("rate", "result"), [(999.51, "FAIL"), (999.99, "FAIL"), (1000, "CONDITIONAL"), (1299.51, "CONDITIONAL"), (1300, "PASS")])
def test_a_workload_just_below_its_bound_does_not_reach_it(rate, result):
    found = measured("load")
    for job in found["plan"]["steps"][0]["jobs"]:
        if job["job"] == "workload":
            job["seconds"] = volume_of(found)["jobs"][job["name"]]["runtime"] = 300
            for way, share in (("read", 0.75), ("write", 0.25)):
                volume_of(found)["jobs"][job["name"]][way]["rate"] = rate * share
    assert judge(found)["storage_workload_iops"]["result"] == result


@pytest.mark.parametrize(
    ("change", "check", "result"),
    [
        ({"integrity": {"same": False}}, "storage_integrity", "FAIL"),
        ({"delete": {"gone": False, "why": "it is Failed"}}, "storage_deletion", "FAIL"),
        ({"delete": {"gone": None}}, "storage_deletion", "INCONCLUSIVE"),
        ({"space": {"asked": 100, "free": 49, "filesystem": "ext4"}}, "storage_room", "FAIL"),
        ({"space": {"asked": 100, "free": 70, "filesystem": "ext4"}}, "storage_room", "CONDITIONAL"),
        # No bound is reached by rounding, nor missed.
        ({"space": {"asked": 100_000, "free": 50_040, "filesystem": "ext4"}}, "storage_room", "CONDITIONAL"),
        ({"space": {"asked": 100_000, "free": 80_040, "filesystem": "ext4"}}, "storage_room", "PASS"),
        ({"errors": 2}, "storage_errors", "FAIL"),
    ],
)
def test_what_a_volume_cannot_do(change, check, result):
    found = measured()
    volume_of(found).update(change)
    assert judge(found)[check]["result"] == result


def test_what_a_class_does_not_promise_is_not_asked():
    found = measured()
    found["info"]["classes"]["local-path"].update(reclaim="Retain", expandable=False)
    findings = judge(found)
    assert {findings[name]["result"] for name in ("storage_deletion", "storage_expansion")} == {"NOT_APPLICABLE"}
    found["info"]["classes"]["local-path"]["expandable"] = True
    assert judge(found)["storage_expansion"]["result"] == "INCONCLUSIVE"


@pytest.mark.parametrize(("count", "result"), [(0, "CONDITIONAL"), (1, "PASS"), (2, "CONDITIONAL")])
def test_default_classes(count, result):
    found = measured()
    found["info"]["classes"] = {name: {"default": number <= count} for number, name in enumerate(("local-path", "b", "c"), 1)}
    assert judge(found)["storage_default_class"]["result"] == result


def test_a_class_that_is_not_there_stops_the_load():
    found = measured(storage_classes=[{**CLASS, "name": "fast"}])
    found["volumes"] = {}
    finding = judge(found)["storage_classes_exist"]
    assert finding["gate"] is True and (finding["result"], finding["entry"], finding["value"]) == ("FAIL", "fast", False)


KEYS = ["facts", "local-path-1", "jobs", "provision", "bound", "outcome", "random_read-1", "classes", "local-path", "left", "space", "cached", "read"]
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=3)


@given(st.recursive(LEAVES, lambda inner: st.dictionaries(st.sampled_from(KEYS), inner, max_size=4), max_leaves=12))
def test_damaged_input_is_no_fact(damage):
    found = cluster_facts({"plan": planned(), "info": damage, "volumes": damage, "disks": damage, "clean": damage})
    assert "random_read" not in found["classes"]["local-path"]
