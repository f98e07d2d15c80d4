# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of the profile load that measured some layers each, as they are, become one certificate; another expectation does not."""

from __future__ import annotations

import json
import subprocess

import pytest

from ansible_collections.kubeproof.certify.tests.lab.conftest import ANSIBLE, COLLECTION, ENVIRONMENT

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.usefixtures("untouched")]
DNS = {"pods": 2, "service": [{"share": 1.0, "seconds": 15}], "qps": 0, "node_local": 0, "external": 0}
INGRESS = {"straight": 2, "rps": 5, "connections": 2, "handshakes": 2, "latency": [{"share": 1.0, "seconds": 15}], "peak": [{"share": 1.0, "seconds": 8}]}


@pytest.fixture(name="measure")
def fixture_measure(lab, certify):
    """Return measure(layer, **variables) -> Run of the profile load."""
    uid = lab.kubectl("get", "namespace", "kube-system", "-o", "json")["metadata"]["uid"]
    loads = {"dns_load": {"load": DNS}, "ingress_load": {"load": INGRESS}}
    return lambda layer, **variables: certify(layer=layer, certify_profile="load", certify_cluster_uid=uid, **{**loads, **variables})


def playbook(path, **variables):
    """Run a playbook to its end; return its exit status and what it showed."""
    argv = [ANSIBLE, path, "-i", "inventories/lab", "-e", json.dumps(variables)]
    done = subprocess.run(argv, cwd=COLLECTION, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_two_runs_become_one_certificate(measure, tmp_path):
    dns, ingress = measure("dns"), measure("ingress")
    assert dns.error == "" and ingress.error == "", dns.output + ingress.output
    dummy, shown = playbook("playbooks/join.yml", certify_results=str(tmp_path), join_accept=["PASS", "CONDITIONAL", "FAIL", "INCONCLUSIVE"])
    [path] = set(tmp_path.rglob("certificate.json")) - {run.directory / "certificate.json" for run in (dns, ingress)}
    joined = json.loads(path.read_text())
    assert sorted(joined["layers"]) == ["dns", "ingress"], shown
    # Each row names the run that fills it, with its value there.
    rows = {row["layer"]: row for row in joined["checklist"]}
    for layer, run in (("dns", dns), ("ingress", ingress)):
        [own] = [row for row in run.certificate["checklist"] if row["layer"] == layer]
        assert rows[layer]["run"] == run.directory.name and rows[layer].get("value") == own.get("value")
    # Its load was shortened, which is said wherever the row is read.
    assert "dns_load.load" in json.dumps(rows["dns"])
    status, shown = playbook("playbooks/verify.yml", verify_directory=str(path.parent))
    assert status == 0, shown

    # What is expected decides what was proven, and where it was asked.
    other = measure("dns", certify_capacity={"dns_qps": 500}, dns_tolerations=[{"operator": "Exists"}])
    status, shown = playbook("playbooks/join.yml", certify_results=str(tmp_path), certify_runs=[ingress.directory.name, other.directory.name])
    assert status != 0 and "dns_qps" in shown, shown
    status, shown = playbook("playbooks/join.yml", certify_results=str(tmp_path), certify_runs=[dns.directory.name, other.directory.name])
    assert status != 0 and "dns_tolerations" in shown, shown
