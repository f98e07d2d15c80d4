# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit of the lab, which is healthy: what is found is what the lab is built like; and of a lab that is tuned badly."""

from __future__ import annotations

import json
import os
import subprocess
import time

import pytest

from .conftest import ANSIBLE, COLLECTION, ENVIRONMENT

pytestmark = pytest.mark.lab

# A node is a container on one shared disk: no clock and no cgroups of its own, limits of the host, and certificates for a year.
BUILT = {
    "apiserver_instances": "one control-plane node is enough for a lab",
    "etcd_quota": "256 MiB, so that a full one can be tried",
    "etcd_rotational": "a virtual disk says that it turns",
    "etcd_corrupt_check": "Kubespray's settings do not have it",
    "kubelet_pids": "kubeadm's default",
    "kubelet_reserved_memory": "kubeadm's default",
    "kubelet_shutdown": "kubeadm's default",
    "kubelet_eviction": "the disk is the whole machine's",
    "kubelet_image_gc_order": "the disk is the whole machine's",
    "kubelet_driver": "systemd has no cgroups to give in a container",
    "containerd_driver": "systemd has no cgroups to give in a container",
    "containerd_open_files": "limits cannot be above the host's",
    "coredns_budget": "kubeadm makes none",
    "node_cgroup": "the host boots with version 1",
    "node_clock": "nobody synchronises the host's clock",
    "cluster_authorities": "etcd's authority is made for a year",
}


@pytest.fixture
def audit(lab, tmp_path):
    """Return audit(*arguments, **variables) -> (findings, seconds, exit status, terminal)."""

    def run(*arguments, **variables):
        variables = {"certify_results": str(tmp_path), **variables}
        argv = [ANSIBLE, "playbooks/audit.yml", "-i", "inventories/lab", "-e", json.dumps(variables), *arguments]
        began = time.monotonic()
        done = subprocess.run(argv, cwd=COLLECTION, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, timeout=120, check=False)
        [path] = sorted(tmp_path.rglob("findings.json"), key=os.path.getmtime)[-1:]
        return json.loads(path.read_text()), time.monotonic() - began, done.returncode, done.stdout + done.stderr

    return run


def off(findings):
    return {one["id"][len("tuning_") :] for one in findings if one["judged"] and one["result"] not in ("PASS", "NOT_APPLICABLE")}


def test_the_healthy_lab(audit):
    findings, seconds, status, terminal = audit()
    assert off(findings) <= set(BUILT)
    assert {"node_cgroup", "kubelet_pids", "apiserver_instances"} <= off(findings) and status != 0
    assert "Watch cache is on" not in terminal and "TUNING OF lab: FAIL" in terminal
    assert not [one for one in findings if one["judged"] and one["result"] == "INCONCLUSIVE"]
    assert seconds < 60, seconds


def test_a_host_that_cannot_be_reached_is_named(audit, tmp_path):
    ghost = tmp_path / "ghost.yml"
    # No such address is in the lab's network.
    ghost.write_text("etcd: {hosts: {ghost: {ansible_host: 10.89.77.99}}}\n")
    findings, dummy, status, dummy = audit("-i", str(ghost))
    lost = [one for one in findings if one.get("entry") == "ghost" and one["id"] == "tuning_etcd_fsync"]
    assert [one["result"] for one in lost] == ["INCONCLUSIVE"] and "10.89.77.99" in lost[0]["reason"] and status != 0


def test_what_is_tuned_badly_is_found_and_nothing_else(lab, audit):
    before = off(audit()[0])
    made = [
        (
            "poddisruptionbudget",
            {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "spec": {"minAvailable": 2, "selector": {"matchLabels": {"k8s-app": "kube-dns"}}}},
        ),
        (
            "storageclass",
            {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "kubernetes.io/gce-pd", "volumeBindingMode": "WaitForFirstConsumer"},
        ),
    ]
    name = "helper-tuning-test"
    try:
        for kind, body in made:
            namespace = {"namespace": "kube-system"} if kind == "poddisruptionbudget" else {}
            labels = {"app.kubernetes.io/managed-by": "kubeproof"}
            lab.kubectl("apply", "-f", "-", data=json.dumps({**body, "metadata": {"name": name, "labels": labels, **namespace}}))
        lab.on("worker1", "sudo sysctl -w net.ipv4.ip_local_port_range='20000 60999' net.core.somaxconn=128")
        found = off(audit()[0])
    finally:
        lab.on("worker1", "sudo sysctl -w net.ipv4.ip_local_port_range='32768 60999' net.core.somaxconn=4096")
        for kind, dummy in made:
            lab.kubectl("delete", kind, name, *(["-n", "kube-system"] if kind == "poddisruptionbudget" else []), check=False)
    assert found - before == {"storage_provisioner", "cluster_budgets", "node_node_ports", "node_somaxconn"}
    assert before - found == {"coredns_budget"}
