# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pathlib

import jinja2
import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible.plugins.filter.mathstuff import human_readable
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.filter.storage_plan import storage_plan
from ansible_collections.kubeproof.certify.plugins.module_utils import storage_fio
from ansible_collections.kubeproof.certify.plugins.module_utils import storage_plan as module
from ansible_collections.kubeproof.certify.plugins.module_utils.storage_plan import CARRIED, PlanError, plan, quantity

ROOT = pathlib.Path(__file__).parents[4]
DEFAULTS = yaml.safe_load((ROOT / "roles/storage/defaults/main/settings.yml").read_text(encoding="utf-8"))
CHECKS = yaml.safe_load((ROOT / "roles/storage/defaults/main/checks.yml").read_text(encoding="utf-8"))["storage_checks"]
LATENCY = CHECKS["storage_latency_p99"]
FAST = {"name": "fast", "tier": "nvme", "required_iops": 20000, "size": "100Gi"}
ALL = list(module.SHAPES)


def settings(**more):
    return {**DEFAULTS, "engine": "auto", "live": False, "default_class": "", "storage_classes": [FAST], **more}


def names(step):
    return [job["name"] for job in step["jobs"]]


@pytest.mark.parametrize(("profile", "jobs", "rounds"), [("smoke", ALL, 1), ("load", ALL, 3), ("soak", None, 1)])
def test_the_jobs_of_a_profile(profile, jobs, rounds):
    [step] = plan(profile, settings())["steps"]
    jobs = jobs or ["random_read", "random_write", "workload"]
    assert names(step) == [f"{job}-{number}" for number in range(1, rounds + 1) for job in jobs]
    assert (step["class"], step["node"], step["size"], step["engine"]) == ("fast", "", 100 * 2**30, "fio")


@pytest.mark.parametrize(
    ("declared", "depth"),
    [
        ({"required_iops": 1000}, 40),
        ({"required_iops": 100}, 32),
        ({"required_iops": 1000, "queue_depth": 4}, 40),
        ({"required_iops": 1000, "queue_depth": 512}, 512),
        ({"required_iops": 10**6}, 1024),
        ({"required_iops": 20000, "block_size": "1m"}, 256),
    ],
)
def test_the_queue_of_a_ramp_carries_its_highest_rate(declared, depth):
    [step] = plan("stress", settings(storage_classes=[{**FAST, **declared}], stress={"bisect": True}))["steps"]
    assert {job["queue_depth"] for job in step["jobs"] + step["spare"]} == {depth}
    # In answers of twice the latency that is critical, where the queue may be so deep.
    assert CARRIED == pytest.approx(2 * max(float(bound.split()[1]) for bound in LATENCY["critical"].values()))


def workload(planned):
    [depth] = {job["queue_depth"] for step in planned["steps"] for job in step["jobs"] if job["job"] == "workload"}
    return depth


@pytest.mark.parametrize("profile", ["load", "soak", "smoke"])
@pytest.mark.parametrize(
    ("declared", "depth"),
    [
        # 32 requests in answers of 0.6 ms on average are 53,333 of them a second; in answers of 2 ms 16,000.
        ({"required_iops": 60000}, 1024),
        ({"required_iops": 20000, "tier": "ssd"}, 520),
        ({"required_iops": 20000, "tier": None}, 520),
        ({"required_iops": 20000, "queue_depth": None}, 520),
        ({"required_iops": 1000}, 32),
        # What is declared is the owner's word.
        ({"required_iops": 60000, "queue_depth": 4}, 4),
        ({"required_iops": 60000, "queue_depth": 1000}, 1000),
        # So many bytes wait at most; 32 requests as ever.
        ({"required_iops": 60000, "block_size": "1m"}, 256),
        ({"required_iops": 60000, "block_size": "16m"}, 32),
    ],
)
def test_the_queue_of_the_workload_carries_what_its_target_asks(profile, declared, depth):
    planned = plan(profile, settings(storage_classes=[{**FAST, **declared}]))
    assert workload(planned) == depth
    others = {job["queue_depth"] for job in planned["steps"][0]["jobs"] if job["job"].startswith("random")}
    assert others == {32} and [one["queue_depth"] for one in plan("load", settings(storage_baseline_directory="/data"))["disk"]["jobs"]] == [32, 32, 8, 8]
    assert module.GROWTH == float(CHECKS["storage_workload_iops"]["target"].split()[1])


@pytest.mark.parametrize(
    ("declared", "live", "said"),
    [
        ({"required_iops": 60000}, False, ""),
        ({"required_iops": 60000, "queue_depth": 32}, False, "32 requests at a time are 78,000/s only with answers in 410 µs on average, and 1 ms is"),
        ({"required_iops": 60000, "queue_depth": 32}, False, "write queue_depth: 78 for fast in storage_classes"),
        ({"required_iops": 60000, "queue_depth": 77}, False, "write queue_depth: 78 for fast in storage_classes"),
        ({"required_iops": 60000, "queue_depth": 78}, False, ""),
        ({"required_iops": 20000, "tier": "ssd", "queue_depth": 32}, False, "write queue_depth: 130 for fast in storage_classes"),
        # No deeper one may be written.
        ({"required_iops": 10**6, "queue_depth": 1024}, False, ""),
        ({"required_iops": 60000, "tier": None, "queue_depth": 1}, False, ""),
        # A cluster that serves is asked for no more than is declared, and gets no deeper queue by itself; so many requests are no rate without answers.
        ({"required_iops": 60000}, True, "32 requests at a time are 60,000/s only with answers in 533 µs on average"),
        ({"required_iops": 60000}, True, "write queue_depth: 60 for fast in storage_classes"),
        ({"required_iops": 60000, "queue_depth": 60}, True, ""),
        ({"required_iops": 32000}, True, ""),
    ],
)
def test_a_queue_that_is_too_short_for_its_rate_is_said_beforehand(declared, live, said):
    given = settings(storage_classes=[{**FAST, **declared}], storage_nodes=["a", "b"], live=live)
    found = [one for one in plan("load", given)["missing"] if "queue" in one]
    assert len(found) == bool(said) and all(said in one and "'Storage IOPS meet the workload' may fail for its queue alone" in one for one in found)
    # Where nobody asks for the workload, and where it is not measured, there is nothing to say.
    for profile, more in (("smoke", {}), ("soak", {}), ("stress", {}), ("load", {"engine": "kbench", "storage_kbench_image": "kbench"})):
        assert not [one for one in plan(profile, {**given, **more})["missing"] if "queue" in one]
    assert module.ANSWERED == {tier: float(bound.split()[1]) for tier, bound in LATENCY["target"].items()}


@pytest.mark.parametrize(
    ("required", "said"),
    [
        (1, "cannot pass: ramp-100 asks 330 times in 330 s, and its P99 takes 100,000: write stress: 100000 in storage_load.stress, or required_iops: 334 for"),
        (100, "cannot pass: ramp-100 asks 33,000 times in 330 s, and its P99 takes 100,000: write stress: 1000 in storage_load.stress, or required_iops: 334"),
        (302, "cannot pass: "),
        (304, "may stay open: "),
        (334, ""),
        (20000, ""),
    ],
)
def test_a_rate_that_gives_a_ramp_too_few_samples_is_said_beforehand(required, said):
    classes = [FAST, {**FAST, "name": "slow", "required_iops": required}]
    given = settings(storage_classes=classes, storage_nodes=["a", "b"])
    found = plan("stress", given)["missing"]
    titles = f"'{CHECKS['storage_headroom']['title']}' and '{CHECKS['storage_recovered']['title']}'"
    assert len(found) == bool(said) and all(one.startswith(f"slow: {titles} {said}") for one in found)
    # What is advised is enough, for the recovery too.
    for text in found:
        load = {**DEFAULTS["storage_load"]["stress"], "stress": int(text.partition("write stress: ")[2].split()[0])}
        more = plan("stress", {**given, "storage_load": {"stress": load}})
        assert more["missing"] == []
        for step in more["steps"]:
            assert min(job["seconds"] * sum(job["rate"].values()) for job in step["jobs"]) >= 1.1 * LATENCY["min_samples"]
    # Other profiles ask no P99 of it; a scaled run proves nothing anyhow, a cluster that serves and kbench have no ramp.
    for profile, more in (
        ("load", {}), ("stress", {"time_scale": 0.1}), ("stress", {"live": True}), ("stress", {"engine": "kbench", "storage_kbench_image": "kbench"}),
    ):  # fmt: skip
        assert not [one for one in plan(profile, {**given, **more})["missing"] if "P99 takes" in one]


@pytest.mark.parametrize(("tier", "rate", "depth"), [("ssd", 1000, 32), ("ssd", 10000, 100), ("nvme", 50000, 100), ("nvme", 10**6, 1024)])
def test_the_latency_is_that_of_the_volume_up_to_what_is_critical(tier, rate, depth):
    """By Little's law so many requests wait for answers that take 10 and 2 ms."""
    given = settings(storage_classes=[{**FAST, "tier": tier}], storage_mixed_rate={"ssd": rate, "nvme": rate})
    assert {job["queue_depth"] for job in plan("load", given)["steps"][0]["jobs"] if job["job"] == "mixed"} == {depth}


def test_the_plan_of_a_ramp_that_certify_live_does_not_allow():
    planned = plan("stress", settings(live=True))
    assert planned["steps"][0]["jobs"] == [] and "certify_live" in planned["missing"][0]


def test_stress_is_the_workload_at_shares_of_its_rate():
    [step] = plan("stress", settings())["steps"]
    assert [(job["name"], sum(job["rate"].values()), job["seconds"]) for job in step["jobs"]] == [
        ("ramp-100", 20000, 120), ("ramp-125", 25000, 120), ("ramp-150", 30000, 120), ("ramp-175", 35000, 120), ("ramp-200", 40000, 120),
        ("recovery-1", 14000, 120),
    ]  # fmt: skip
    assert step["spare"] == [] and step["beside"] > 3000
    steps = plan("stress", settings(storage_nodes=["a", "b"], stress={"bisect": True}))["steps"]
    # At most three steps of bisection and one of them again, each with the ramp of fio.
    assert steps[0]["seconds"] == step["seconds"] + 4 * (120 + DEFAULTS["storage_load"]["stress"]["ramp"])
    assert [one["beside"] for one in steps] == [3600 + steps[0]["seconds"]] * 2
    assert [(job["name"], sum(job["rate"].values())) for job in steps[0]["spare"]][:2] == [("bisect-74", 14750), ("bisect-77", 15500)]
    assert plan("smoke", settings())["steps"][0]["beside"] == 0
    assert plan("stress", settings(storage_classes=[{"name": "a", "size": "1Gi"}]))["steps"][0]["jobs"] == []
    slow = plan("stress", settings(storage_classes=[{**FAST, "required_iops": 500}]))["steps"][0]["jobs"]
    assert slow[0]["seconds"] * 500 >= 100_000 and slow[0]["seconds"] <= 330


def test_the_load_is_large_enough_for_the_checks():
    """The floors of the catalogue: seconds of each job, of three rounds together, and a file that no cache of a controller holds."""
    planned = plan("load", settings())
    seconds = {job: sum(one["seconds"] for one in planned["steps"][0]["jobs"] if one["job"] == job) for job in ALL}
    checks = yaml.safe_load((ROOT / "roles/storage/defaults/main/checks.yml").read_text(encoding="utf-8"))["storage_checks"]
    floors = {check["samples"].split(".")[0]: check["min_samples"] for check in checks.values() if check.get("samples", "").endswith(".seconds")}
    assert floors == {"random_read": 300, "random_write": 600, "sequential_write": 120, "sequential_read": 120, "workload": 300}
    assert {name: seconds[name] >= floor for name, floor in floors.items()} == dict.fromkeys(floors, True)
    assert planned["steps"][0]["file"] == 20 * 2**30
    # The slower tier's rate gives enough requests for the percentile too.
    assert seconds["mixed"] * DEFAULTS["storage_mixed_rate"]["ssd"] >= checks["storage_latency_p99"]["min_samples"]


def test_a_smoke_run_is_short():
    assert plan("smoke", settings())["seconds"] <= 60


@pytest.mark.parametrize(("tier", "rate"), [("ssd", {"read": 7000, "write": 3000}), ("nvme", {"read": 35000, "write": 15000})])
def test_the_latency_is_that_of_the_tiers_rate(tier, rate):
    [step] = plan("smoke", settings(storage_classes=[{**FAST, "tier": tier}]))["steps"]
    assert [job["rate"] for job in step["jobs"] if job["job"] == "mixed"] == [rate]
    assert [job["rate"] for job in step["jobs"] if job["job"] == "workload"] == [{}]


def test_the_workload_is_the_declared_one():
    [step] = plan("smoke", settings(storage_classes=[{**FAST, "block_size": "8k", "read_share": 0.5, "queue_depth": 4}]))["steps"]
    [job] = [job for job in step["jobs"] if job["job"] == "workload"]
    assert (job["block_size"], job["read_share"], job["queue_depth"], job["rw"]) == (8192, 0.5, 4, "randrw")


@pytest.mark.parametrize(
    ("declared", "left_out", "said"),
    [
        ({"tier": "nvme"}, "workload", "fast: required_iops is missing"),
        ({"required_iops": 5}, "mixed", "fast: tier is missing"),
        ({}, "mixed", "fast: tier and required_iops are missing"),
    ],
)
def test_what_is_not_declared_is_said(declared, left_out, said):
    planned = plan("load", settings(storage_classes=[{"name": "fast", **declared}]))
    assert left_out not in {job["job"] for job in planned["steps"][0]["jobs"]} and said in planned["missing"][0]


def test_without_classes_the_default_one_is_tried_for_its_function():
    planned = plan("load", settings(storage_classes=[], default_class="standard"))
    assert [(step["class"], step["jobs"], step["size"]) for step in planned["steps"]] == [("standard", [], 30 * 2**30)]
    assert planned["function_only"] and planned["classes"] == {} and "storage_classes is empty" in planned["missing"][0] and planned["disk"] == {}


def test_a_cluster_that_serves_gets_what_is_declared_and_no_more():
    planned = plan("load", settings(live=True, storage_baseline_directory="/data"))
    [step] = planned["steps"]
    assert {job["job"] for job in step["jobs"]} == {"workload"} and step["precondition"] == 0 and planned["disk"] == {}
    assert step["jobs"][0]["rate"] == {"read": 14000, "write": 6000} and step["fill_rate"] == 20000 * 4096
    # Together never less than what is to be proven.
    [step] = plan("load", settings(live=True, storage_classes=[{**FAST, "required_iops": 1005, "read_share": 0.5}]))["steps"]
    assert step["jobs"][0]["rate"] == {"read": 502, "write": 503}
    [step] = plan("load", settings(live=True, storage_classes=[{**FAST, "required_iops": 1000.5, "read_share": 1}]))["steps"]
    assert step["jobs"][0]["rate"] == {"read": 1001}
    [step] = plan("load", settings(live=True, storage_classes=[{**FAST, "required_iops": 50000}]))["steps"]
    assert {job["job"] for job in step["jobs"]} == {"workload", "mixed"}
    [step] = plan("load", settings(live=True, storage_classes=[{"name": "fast"}]))["steps"]
    assert step["jobs"] == []
    assert "certify_live" in planned["missing"][-1]


def test_kbench():
    given = {"engine": "kbench", "storage_kbench_image": "registry.example.com/kbench"}
    planned = plan("load", settings(**given))
    assert names(planned["steps"][0]) == ["kbench-1", "kbench-2", "kbench-3"] and planned["steps"][0]["mode"] == "full"
    assert "storage_load.load.repeats: 30 on, 3 are planned" in planned["missing"][-1] and planned["disk"] == {}
    many = plan("load", settings(**given, storage_load={"load": {"repeats": 30, "file": "20Gi"}}))
    assert many["missing"][-1].endswith("certify_storage_engine: fio has both") and many["seconds"] > 30 * 400
    assert plan("smoke", settings(**given))["steps"][0]["mode"] == "quick"
    assert plan("smoke", settings(**given, live=True))["steps"][0]["jobs"] == []


@pytest.mark.parametrize(
    ("size", "file", "written"),
    [
        ("28Gi", "20Gi", ""),
        # With room for it only where the filesystem takes next to nothing.
        ("27Gi", "20Gi", "write size: 30Gi for fast in storage_classes"),
        ("25Gi", "20Gi", "write size: 30Gi for fast in storage_classes"),
        ("100Gi", "200Gi", ""),
        ("24Gi", "20Gi", "write size: 30Gi for fast in storage_classes"),
        ("100Gi", "19Gi", "write file: 20Gi in storage_load.load"),
        ("1Gi", "64Mi", "write size: 30Gi for fast in storage_classes and file: 20Gi in storage_load.load"),
    ],
)
def test_a_file_that_a_cache_may_hold_is_said_beforehand(size, file, written):
    loads = {profile: {**DEFAULTS["storage_load"][profile], "file": file} for profile in ("smoke", "load", "stress", "soak")}
    given = settings(storage_classes=[{**FAST, "size": size}], storage_load=loads, storage_nodes=["a", "b"])
    said = plan("load", given)["missing"]
    assert [one.partition(": ")[0] for one in said] == (["fast"] if written else []) and all(one.endswith(written) for one in said)
    assert all((" may stay open" in one) is (size in ("25Gi", "27Gi")) for one in said)
    assert len(plan("stress", given)["missing"]) == len(said)
    # Numbers of the other profiles decide nothing, and what is not measured needs no file.
    assert plan("smoke", given)["missing"] == plan("soak", given)["missing"] == []
    assert len(plan("load", {**given, "storage_classes": [], "default_class": "standard"})["missing"]) == 1
    kbench = plan("load", {**given, "engine": "kbench", "storage_kbench_image": "kbench"})
    assert (kbench["missing"][-1].endswith(written) if written else "cache" not in kbench["missing"][-1]) and kbench["steps"][0]["least"] == 20 * 2**30


def test_what_is_advised_is_enough():
    given = settings(storage_classes=[{**FAST, "size": module.ROOMY}])
    [step] = plan("load", given)["steps"]
    # Of a volume a filesystem takes some, and ext4 keeps a twentieth besides.
    space = {"free": int(0.93 * step["size"]), "size": step["size"]}
    assert storage_fio.file_size(step, space) == step["least"] == step["file"] and DEFAULTS["storage_size"] == module.ROOMY
    # So is every size of which nothing is said beforehand, and of others something is.
    for size in range(24, 30):
        planned = plan("load", settings(storage_classes=[{**FAST, "size": f"{size}Gi"}]))
        [step] = planned["steps"]
        assert planned["missing"] or storage_fio.file_size(step, {"free": int(0.93 * step["size"]), "size": step["size"]}) == step["least"]


def test_every_class_on_every_node():
    planned = plan("smoke", settings(storage_classes=[FAST, {**FAST, "name": "slow"}], storage_nodes=["a", "b"]))
    found = [(step["name"], step["object"], step["class"], step["node"]) for step in planned["steps"]]
    assert found == [
        ("fast-1", "volume-1", "fast", "a"),
        ("fast-2", "volume-2", "fast", "b"),
        ("slow-3", "volume-3", "slow", "a"),
        ("slow-4", "volume-4", "slow", "b"),
    ]


def test_the_disk_below_gets_the_same_jobs():
    planned = plan("load", settings(storage_baseline_directory="/data"))
    assert [job["job"] for job in planned["disk"]["jobs"]] == list(module.DISK_JOBS) and {job["seconds"] for job in planned["disk"]["jobs"]} == {30}
    assert planned["disk"]["file"] == planned["steps"][0]["file"] and planned["seconds"] > plan("load", settings())["seconds"]


@pytest.mark.parametrize(
    ("nodes", "hosts", "said"),
    [
        (["worker1", "worker2"], ["worker1", "worker2", "cp1"], []),
        (["worker1", "worker2"], ["worker1.example.com"], ["storage_baseline_directory: no host of the inventory is called worker1, worker2"]),
        (["worker1"], None, []),
        # Which node it is going to be is not known.
        ([], ["cp1"], []),
    ],
)
def test_a_node_whose_name_the_inventory_does_not_know(nodes, hosts, said):
    more = {} if hosts is None else {"hosts": hosts}
    given = settings(storage_nodes=nodes, **more)
    found = plan("load", {**given, "storage_baseline_directory": "/data"})["missing"]
    assert len(found) == len(said) and all(one.startswith(text) for one, text in zip(found, said))
    assert plan("load", given)["missing"] == []


def test_the_file_fits_into_the_volume():
    [step] = plan("load", settings(storage_classes=[{**FAST, "size": "1Gi"}]))["steps"]
    assert step["file"] <= 0.8 * 2**30 and step["file"] % 2**20 == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"storage_classes": {}}, "storage_classes is {}. Write a list"),
        ({"storage_classes": ["fast"]}, "storage_classes[0] is 'fast'. Write a map with the name"),
        ({"storage_classes": [{"tier": "ssd"}]}, "storage_classes[0] is"),
        ({"storage_classes": [{"name": "../x"}]}, "storage_classes[0] is"),
        ({"storage_classes": [FAST, FAST]}, "storage_classes names fast twice"),
        ({"storage_classes": [{**FAST, "tier": "hdd"}]}, "storage_classes[0].tier is 'hdd'. Write ssd or nvme"),
        ({"storage_classes": [{**FAST, "iops": 1}]}, "storage_classes[0].iops is unknown"),
        ({"storage_classes": [{**FAST, "required_iops": 0}]}, "storage_classes[0].required_iops is 0"),
        ({"storage_classes": [{**FAST, "required_iops": True}]}, "storage_classes[0].required_iops is True"),
        ({"storage_classes": [{**FAST, "size": "big"}]}, "storage_classes[0].size is 'big'. Write a size such as 10Gi"),
        ({"storage_classes": [{**FAST, "size": "10Mi"}]}, "The size of fast in storage_classes is 10485760 bytes"),
        ({"storage_classes": [{**FAST, "block_size": "5"}]}, "storage_classes[0].block_size is '5'. Write a multiple of 512"),
        ({"storage_classes": [{**FAST, "read_share": 70}]}, "storage_classes[0].read_share is 70"),
        ({"storage_classes": [{**FAST, "queue_depth": 0}]}, "storage_classes[0].queue_depth is 0"),
        ({"storage_size": ""}, None),
        ({"storage_size": "", "storage_classes": []}, "storage_size is ''"),
        ({"storage_nodes": "a"}, "storage_nodes is 'a'. Write a list"),
        ({"storage_load": {}}, "storage_load is {}"),
        ({"storage_load": {"load": {"reads": 1}}}, "storage_load.load.reads is unknown"),
        ({"storage_load": {"load": {"random_read": -1}}}, "storage_load.load.random_read is -1"),
        ({"storage_load": {"load": {"repeats": 2}}}, "storage_load.load.repeats is 2. Write a number from 3"),
        ({"storage_load": {"load": {"repeats": 3, "file": "1X"}}}, "storage_load.load.file is '1X'"),
        ({"storage_disk_free": 20}, "storage_disk_free is 20"),
        ({"storage_disk_free": -0.1}, "storage_disk_free is -0.1"),
        ({"storage_disk_free": "much"}, "storage_disk_free is 'much'"),
        # -e storage_disk_free=0.3
        ({"storage_disk_free": "0.3"}, "storage_disk_free is '0.3'. Write a number from 0 to 0.9 as JSON where it follows -e"),
        ({"storage_mixed_rate": {"ssd": 1}}, "storage_mixed_rate is {'ssd': 1}"),
        ({"storage_mixed_rate": {"ssd": 1, "nvme": 50}}, "storage_mixed_rate.ssd is 1"),
        ({"engine": "kbench"}, "storage_kbench_image is empty"),
    ],
)
def test_settings_that_cannot_be_used(more, said):
    if said is None:
        assert plan("load", settings(**more))["steps"]
        return
    with pytest.raises(PlanError) as error:
        plan("load", settings(**more))
    assert said in str(error.value)
    with pytest.raises(AnsibleFilterError, match="kubeproof.certify.storage_plan: "):
        storage_plan("load", settings(**more))


@pytest.mark.parametrize(
    ("text", "size"),
    [("1Gi", 2**30), ("5G", 5 * 10**9), (7, 7), ("12", 12), ("", None), ("1.5Gi", None), ("Gi", None), (True, None), (None, None), ("-1Gi", None)],
)
def test_quantities(text, size):
    assert quantity(text) == size


@pytest.mark.parametrize(
    ("profile", "at_once", "said"),
    [
        # What is retained stays until the end of the layer.
        ("load", 100, "one after the other, so that 100.00 GB are there at once (450.00 GB with reclaimPolicy Retain, whose volumes go at the end);"),
        # Volumes of a class that is ramped stand beside each other.
        ("stress", 300, "those of a StorageClass together until its ramp ends, so that 300.00 GB are there at once (450.00 GB with reclaimPolicy Retain"),
    ],
)
def test_what_is_there_at_once_is_said(profile, at_once, said):
    small = {**FAST, "name": "small", "size": "50Gi"}
    planned = plan(profile, settings(storage_classes=[FAST, small], storage_nodes=["a", "b", "c"], stress={"bisect": False}))
    assert planned["bytes"] == at_once * 2**30
    environment = jinja2.Environment()
    environment.filters["human_readable"] = human_readable
    [text, *dummy] = yaml.safe_load((ROOT / "roles/storage/vars/main/main.yml").read_text(encoding="utf-8"))["storage_plan"]
    ramped = [step["class"] for step in planned["steps"] if step["beside"]]
    assert said in environment.from_string(text).render(__storage_plan=planned, __storage_ramped=ramped)


@given(st.dictionaries(st.sampled_from(module.KEYS), st.one_of(st.none(), st.integers(-5, 10**12), st.floats(), st.text(max_size=6), st.booleans())))
def test_any_class_is_planned_or_refused_in_a_sentence(one):
    try:
        planned = plan("load", settings(storage_classes=[one]))
    except PlanError as error:
        assert "storage_classes" in str(error)
    else:
        assert planned["seconds"] > 0 and planned["steps"][0]["class"] == one["name"]
