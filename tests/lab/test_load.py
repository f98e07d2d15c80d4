# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The profile load in a fraction of its time: its steps run, its certificate says that they were shortened, and nobody takes it for a whole one."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

import pytest

from .conftest import ANSIBLE, COLLECTION, ENVIRONMENT

pytestmark = [pytest.mark.lab, pytest.mark.long]
GATE = pathlib.Path(__file__).parents[2] / "scripts" / "kubeproof_gate.py"
FAILED = 20
LACKING = 30
STEPS = {"pods": 50, "service": [{"share": 0.7, "seconds": 100}, {"share": 0.85, "seconds": 100}, {"share": 1.0, "seconds": 250}]}


def test_a_scaled_load_fills_nothing(lab, certify):
    uid = lab.kubectl("get", "namespace", "kube-system", "-o", "json")["metadata"]["uid"]
    run = certify(layer="dns", dns_load={"load": STEPS}, certify_profile="load", certify_cluster_uid=uid, certify_time_scale=0.04, certify_budget=30)
    certificate = run.certificate
    assert certificate["heading"] == "LOAD, SCALED 0.04, PARTIAL: dns" and certificate["run"]["time_scale"] == 0.04
    assert {row["status"] for row in certificate["checklist"] + certificate["slas"]} <= {"indicative", "not measured"}
    # 10 s at all of the expected rate, after 4 s at each of the others.
    assert run.finding("dns_latency_p99")["samples"] == pytest.approx(2000 * 10, rel=0.1) and run.finding("dns_latency_p99")["proof"]["allowed"] > 0
    assert ("dns", "dns_qps", 2000, "declared") in {(row["layer"], row["name"], row["value"], row["source"]) for row in certificate["expected"]}
    gate = subprocess.run([sys.executable, GATE, run.directory / "certificate.json", "--allow-partial"], capture_output=True, timeout=60, check=False)
    assert gate.returncode == (FAILED if certificate["verdict"] == "FAIL" else LACKING)


def test_a_load_over_its_budget_is_refused_before_anything_is_loaded(lab, tmp_path):
    uid = lab.kubectl("get", "namespace", "kube-system", "-o", "json")["metadata"]["uid"]
    argv = [ANSIBLE, "certify.yml", "-i", "inventories/lab", "-e", f"certify_results={tmp_path}", "-e", f"certify_cluster_uid={uid}"]
    argv += ["-e", "certify_profile=load", "-e", "certify_budget=60"]
    found = subprocess.run(argv, cwd=COLLECTION, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)
    said = " ".join(found.stdout.split())
    assert found.returncode != 0 and "certify_budget is 60 minutes, and this run would take about" in said and "Nothing was loaded." in said
    assert "The whole run: about" in said and not list(tmp_path.rglob("certificate.json"))
    # What is added up is what the layer says, with the nodes that were counted.
    [whole], [named] = re.findall(r" network: about .*? \(load (.*?)\)", said), re.findall(r" load: ([^(]*) \(pairs ", said)
    assert whole == named
