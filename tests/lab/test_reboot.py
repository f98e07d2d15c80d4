# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node of the lab is rebooted: its container is restarted, which gives it another boot id. It is in service again whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

from ansible_collections.kubeproof.certify.tests.lab.conftest import wait_for

pytestmark = [pytest.mark.lab, pytest.mark.long]
NODE = "worker2"
OTHER = "worker1"
OBJECTS = {"objects": [{"share": 0.1, "seconds": 5}], "kube_burner": {"pods": 0, "seconds": 1}, "pods": 0, "streams": False}
REBOOT = {"certify_reboot_nodes": [NODE], "certify_reboot_timeout": 120, "certify_reboot_emptydir": True}
RESTART = ["podman", "--runtime", "runc", "restart", "kubeproof-lab-{node}"]


@pytest.fixture(name="node")
def fixture_node(lab):
    """Return node() -> the node as the API server has it; it is in service before and after."""

    def get(name=NODE):
        return lab.kubectl("get", "node", name, "-o", "json")

    def serves(name):
        ready = [one["status"] for one in get(name)["status"]["conditions"] if one["type"] == "Ready"] == ["True"]
        return ready and not get(name)["spec"].get("unschedulable") and "kubeproof.io/cordoned" not in get(name)["metadata"]["labels"]

    assert serves(NODE) and serves(OTHER)
    try:
        yield get
        wait_for(lambda: serves(NODE) and serves(OTHER))
    finally:
        lab.kubectl("uncordon", NODE, OTHER, check=False)
        spread_coredns(lab)


def spread_coredns(lab):
    """A drain leaves both replicas on nodes of which one may be that of the control plane; on the lab they stand on the workers, one each."""

    def pods():
        return lab.kubectl("--namespace", "kube-system", "get", "pods", "--selector", "k8s-app=kube-dns", "-o", "json")["items"]

    def spread():
        ready = all(one["status"] == "True" for pod in pods() for one in pod["status"].get("conditions", [{"status": ""}]))
        return ready and sorted(pod["spec"].get("nodeName", "") for pod in pods()) == [OTHER, NODE]

    if spread():
        return
    lab.kubectl("cordon", "cp1")
    try:
        lab.kubectl("--namespace", "kube-system", "delete", "pod", "--selector", "k8s-app=kube-dns", "--wait=false")
        wait_for(spread)
    finally:
        lab.kubectl("uncordon", "cp1")


def test_three_reboots_of_two_workers(certify, node):
    """As many as the SLA asks for; the second of a node begins when all is back after the first."""
    before = {name: node(name)["status"]["nodeInfo"]["bootID"] for name in (NODE, OTHER)}
    run = certify(layer="apiserver", load=OBJECTS, certify_reboot_command=RESTART, **{**REBOOT, "certify_reboot_nodes": [OTHER, NODE, NODE]})
    assert run.error == ""
    findings = {one["entry"]: one for one in run.certificate["findings"] if one["id"] == "apiserver_node_ready"}
    assert set(findings) == {OTHER, NODE, f"{NODE} (2)"}
    assert all(one["result"] == "PASS" and one["samples"] == 3 and 0 < one["value"] < 120 for one in findings.values()), findings
    for check in ("cordoned", "not_back", "pods_failed"):
        assert {one["result"] for one in run.certificate["findings"] if one["id"] == f"apiserver_reboot_{check}"} == {"PASS"}
    assert all(node(name)["status"]["nodeInfo"]["bootID"] != boot for name, boot in before.items())


def test_told_over_ssh(certify, node):
    """Without a command the node is told itself. Its container then ends, and is started as a machine's firmware would."""
    name = f"kubeproof-lab-{NODE}"
    starter = subprocess.Popen(["sh", "-c", f"podman wait {name} && podman --runtime runc start {name}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        run = certify(layer="apiserver", load=OBJECTS, **REBOOT)
    finally:
        starter.terminate()
        subprocess.run(["podman", "--runtime", "runc", "start", name], check=True, capture_output=True)
    finding = run.finding("apiserver_node_ready")
    assert run.error == "" and finding["entry"] == NODE and 0 < finding["value"] < 120 and node()
    # One reboot proves nothing of the others.
    assert finding["result"] == "INCONCLUSIVE" and finding["reason"] == "Too few samples: 1 of at least 3."


def test_what_does_not_reboot(certify, node):
    """The command does nothing: the boot id stays the same. From outside that is a node that never comes back."""
    run = certify(layer="apiserver", load=OBJECTS, certify_reboot_command=["true"], **{**REBOOT, "certify_reboot_timeout": 30})
    assert "its boot id is the same as before" in run.error
    assert run.finding("apiserver_node_ready")["value"] is None and run.finding("apiserver_reboot_returned")["result"] == "FAIL" and node()


def test_the_last_control_plane_is_refused(certify, node):
    before = node("cp1")
    run = certify(layer="apiserver", load=OBJECTS, certify_reboot_command=["false"], **{**REBOOT, "certify_reboot_nodes": ["cp1"]})
    assert "it is the last healthy node of the control plane" in run.error
    assert not node("cp1")["spec"].get("unschedulable") and node("cp1")["status"]["nodeInfo"] == before["status"]["nodeInfo"]


def test_a_killed_run_leaves_no_cordon(certify, node):
    """Killed while the node is drained: the guard's cleanup puts it into service again."""

    def kill(process):
        wait_for(lambda: node()["spec"].get("unschedulable"), 90)
        os.killpg(process.pid, signal.SIGKILL)

    run = certify(layer="apiserver", load=OBJECTS, during=kill, certify_reboot_command=["sleep", "60"], **REBOOT)
    assert run.certificate["state"] == "interrupted"
    wait_for(lambda: "The cleanup has run" in json.loads((run.directory / "certificate.json").read_text())["message"], 90)
    assert not node()["spec"].get("unschedulable")
