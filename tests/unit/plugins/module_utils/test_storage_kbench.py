# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of the storage where kbench measured it."""

from __future__ import annotations

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import parsers, storage_kbench
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers import kbench
from ansible_collections.kubeproof.certify.tests.unit.plugins.module_utils.test_storage_facts import CHECKS, ROOT, judge, measured, of_class, planned, volume_of


def kbench_round():
    """Return what a round of kbench measured."""

    def job(side, latency):
        part = {"rate": 9000.0, "bandwidth": 4e8, "latency": {"count": 180_000, "p99": latency, "p999": 2 * latency}}
        return {side: part, "runtime": 20.0}

    jobs = [(kbench.job_name(section, order, side), section, side) for section in kbench.ENDINGS for order in kbench.ORDERS for side in ("read", "write")]
    devices = {"vda": {"reads": 400_000, "writes": 400_000}}
    return {"fio": {one: {"jobs": {name: job(side, 0.001) for name, section, side in jobs if section == one}, "devices": devices} for one in kbench.ENDINGS}}


def kbench_measured():
    """Return what the modules returned of three rounds of kbench."""
    found = {**measured(), "plan": planned("load", engine="kbench", storage_kbench_image="kbench")}
    volume_of(found).update(jobs={f"kbench-{number}": kbench_round() for number in (1, 2, 3)}, cached={"rate": 100_000.0}, file=20 * 2**30)
    return found


def test_kbench():
    found = kbench_measured()
    volume_of(found)["jobs"]["kbench-2"]["fio"]["iops"]["jobs"]["rand-read-iops"]["read"]["rate"] = 6000.0
    volume_of(found)["jobs"]["kbench-3"]["fio"]["latency"]["jobs"]["rand-write-lat"]["write"]["latency"]["p99"] = 0.007
    facts = of_class(found)
    assert facts["direct"]["proven"] is True and facts["file"] > 0 and facts["sequential_write"]["bandwidth"] == 4e8
    assert {name: facts["random_read"][name] for name in ("rate", "rounds", "seconds", "samples", "steadiness")} == {
        "rate": 6000.0, "rounds": 3, "seconds": 60, "samples": 540_000, "steadiness": 0.667,
    }  # fmt: skip
    findings = judge(found)
    assert findings["storage_random_read_iops"]["value"] == 6000 and findings["storage_random_read_iops"]["reason"].startswith("Too few samples: 60")
    assert findings["storage_kbench_write_p99"]["value"] == 0.007 and findings["storage_kbench_read_p99"]["value"] == 0.001
    assert "kbench has no fixed rate" in findings["storage_latency_p99"]["reason"] and "kbench" in findings["storage_workload_iops"]["reason"]
    del volume_of(found)["jobs"]["kbench-3"]
    assert "random_read" not in of_class(found)


def test_a_recorded_round_of_kbench():
    found = {**measured(), "plan": planned("smoke", engine="kbench", storage_kbench_image="kbench")}
    recorded = parsers.parse_path("kbench_files", str(ROOT / "tests/fixtures/kbench_files/quick"))
    volume_of(found).update(jobs={"kbench-1": recorded}, cached={"rate": 250_000.0})
    facts = of_class(found)
    assert facts["direct"]["proven"] is True and "the disk vda counted" in facts["direct"]["by"] and set(facts["missing"]) == {"mixed", "workload"}
    assert facts["random_read"]["rate"] == 70312.7 and facts["random_write"]["samples"] == 288_823 and facts["sequential_read"]["seconds"] == 5
    assert facts["single_read"]["p99"] == pytest.approx(0.000211968) and facts["single_write"]["p99"] == pytest.approx(0.000362496)


def test_the_numbers_of_kbench_are_doubted_as_those_of_fio():
    found = kbench_measured()
    volume_of(found)["cached"]["rate"] = 10_000.0
    assert of_class(found)["missing"]["random_read"] == "too good to be true: 9000/s, and memory gives 10000/s"
    found = kbench_measured()
    # Twice 180,000 requests one at a time: the disk saw a tenth of them.
    volume_of(found)["jobs"]["kbench-2"]["fio"]["latency"]["devices"]["vda"]["reads"] = 36_000
    facts = of_class(found)
    assert facts["direct"] == {"proven": False, "by": "the disk vda counted 10% of the requests"} and "random_write" not in facts
    found = kbench_measured()
    volume_of(found)["jobs"]["kbench-1"]["fio"]["iops"]["jobs"]["rand-read-iops"]["runtime"] = 3.0
    assert of_class(found)["missing"]["random_read"] == "it ended after 3 of 20 s"


@pytest.mark.parametrize("path", [("iops", "jobs", "rand-read-iops"), ("iops", "jobs"), ("iops",), ("latency",), ()])
def test_what_kbench_did_not_measure_is_absent(path):
    found = kbench_measured()
    at = volume_of(found)["jobs"]["kbench-2"]
    for key in ("fio", *path)[:-1]:
        at = at[key]
    del at[("fio", *path)[-1]]
    facts = of_class(found)
    # What went one at a time shows whether I/O was direct, of each round.
    assert "random_read" not in facts and ("single_read" in facts) is (path[:1] == ("iops",))
    assert facts["direct"]["proven"] is (path[:1] == ("iops",))


def test_enough_rounds_of_kbench_are_judged():
    """The floor of the checks, by rounds, is what the plan says."""
    floors = [check["min_samples"] for check in CHECKS.values() if check.get("samples", "").endswith(".seconds")]
    assert storage_kbench.ENOUGH == max(floors)
