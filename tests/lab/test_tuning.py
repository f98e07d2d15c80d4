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

# A node is a container on one shared disk: limits of the host, and no clock and no cgroups of its own.
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
}
SECONDS = 15
# What the inventory of the lab says does not apply, since a node is a container.
STATED = {"tuning_node_cgroup", "tuning_node_clock"}


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
    # It takes 6 s on two cores that others use as well.
    assert seconds <= SECONDS
    assert {"kubelet_pids", "apiserver_instances"} <= off(findings) and status == 0, terminal[-2000:]
    assert "Watch cache is on" not in terminal and "TUNING OF lab: CONDITIONAL" in terminal
    assert {one["result"] for one in findings if one["id"] in STATED} == {"NOT_APPLICABLE"}
    assert not [one for one in findings if one["judged"] and one["result"] == "INCONCLUSIVE"]


def test_a_host_that_cannot_be_reached_is_named(audit, tmp_path):
    ghost = tmp_path / "ghost.yml"
    # No such address is in the lab's network.
    ghost.write_text("etcd: {hosts: {ghost: {ansible_host: 10.89.77.99}}}\n")
    findings, dummy, status, dummy = audit("-i", str(ghost))
    lost = [one for one in findings if one.get("entry") == "ghost" and one["id"] == "tuning_etcd_fsync"]
    assert [one["result"] for one in lost] == ["INCONCLUSIVE"] and "10.89.77.99" in lost[0]["reason"] and status != 0


# What is written badly without starting anything anew: objects, files that nobody has read yet, an interface and two settings of a node's own network.
LABELS = {"app.kubernetes.io/managed-by": "kubeproof"}
SCRIPT = "etcdctl compact $(date +%s)\netcdctl defrag --cluster"
JOB = {"restartPolicy": "Never", "containers": [{"name": "a", "image": "none", "command": ["sh", "-c", SCRIPT]}]}
# matchConditions keep it from ever being asked.
HOOK = {
    "name": "helper.tuning.test",
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
    "timeoutSeconds": 30,
    "clientConfig": {"service": {"name": "none", "namespace": "default"}, "caBundle": ""},
    "rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "operations": ["CREATE"]}],
    "matchConditions": [{"name": "never", "expression": "false"}],
}
DEFAULT = {"storageclass.kubernetes.io/is-default-class": "true"}
OBJECTS = [
    ("PodDisruptionBudget", "policy/v1", "kube-system", {"spec": {"minAvailable": 2, "selector": {"matchLabels": {"k8s-app": "kube-dns"}}}}),
    ("CronJob", "batch/v1", "kube-system", {"spec": {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"spec": {"template": {"spec": JOB}}}}}),
    ("StorageClass", "storage.k8s.io/v1", "", {"provisioner": "kubernetes.io/gce-pd", "volumeBindingMode": "WaitForFirstConsumer"}),
    ("ValidatingWebhookConfiguration", "admissionregistration.k8s.io/v1", "", {"webhooks": [HOOK]}),
    (
        "PersistentVolume",
        "v1",
        "",
        {"spec": {"capacity": {"storage": "1Mi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "none", "awsElasticBlockStore": {"volumeID": "vol-0"}}},
    ),
]
CLASSES = ("helper-tuning-local-1", "helper-tuning-local-2")
FILES = {
    "worker2": ("/etc/containerd/config.toml", "/var/lib/kubelet/config.yaml", "/var/lib/kubelet/kubeadm-flags.env"),
    "etcd1": ("/etc/etcd.env",),
}
CHANGES = {
    "worker2": """
        sed -i "/^.plugins.'io.containerd.cri.v1.images'.$/a max_concurrent_downloads = 1" /etc/containerd/config.toml
        printf "\\n[plugins.'io.containerd.grpc.v1.cri'.containerd]\\nsnapshotter = 'stargz'\\n" >> /etc/containerd/config.toml
        echo podsPerCore: 10 >> /var/lib/kubelet/config.yaml
        sed -i 's/"$/ --v=5"/' /var/lib/kubelet/kubeadm-flags.env
        sysctl -qw net.ipv4.ip_local_port_range='40000 60999' net.core.somaxconn=128
        ip link add vethtuning mtu 9000 type veth peer name vethtuning2 mtu 1400
        cd $(mktemp -d); openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=ca 2>/dev/null
        openssl req -newkey rsa:2048 -nodes -keyout a.key -out a.csr -subj /CN=helper 2>/dev/null
        openssl x509 -req -in a.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 1 -out /etc/kubernetes/pki/helper-tuning.crt 2>/dev/null
        rm -rf "$PWD"
    """,
    "etcd1": """
        echo ETCD_LOG_LEVEL=debug >> /etc/etcd.env
        mkdir -p /etc/cron.d
        printf '0 0 31 2 * root %s\\n' 'etcdctl compact $(date +%s)' 'etcdctl defrag --cluster' > /etc/cron.d/helper-tuning
    """,
}
UNDO = {
    "worker2": """
        sysctl -qw net.ipv4.ip_local_port_range='32768 60999' net.core.somaxconn=4096
        ip link del vethtuning; rm -f /etc/kubernetes/pki/helper-tuning.crt
    """,
    "etcd1": "rm -f /etc/cron.d/helper-tuning",
}
BROKEN = {
    "apiserver_webhook_backends", "apiserver_webhook_busy", "apiserver_webhook_system", "apiserver_webhook_timeout", "cluster_certificates",
    "cluster_budgets", "cni_mtu", "cni_mtus",
    "containerd_changed", "containerd_downloads", "containerd_unread", "etcd_defrag_jobs", "etcd_defrag_scripts", "etcd_jobs", "etcd_scripts", "etcd_stale",
    "kubelet_stale", "kubelet_unlike", "node_ports", "node_somaxconn", "proxy_mode", "proxy_sync", "storage_binding", "storage_binding_local",
    "storage_defaults", "storage_provisioner", "storage_volumes_removed",
}  # fmt: skip
KEEP = "for f in {files}; do cp -p $f $f.kept; done"
RESTORE = "for f in {files}; do [ ! -e $f.kept ] || mv -f $f.kept $f; done"


def objects():
    """Return the objects that tune the cluster badly."""
    name = "helper-tuning"
    made = [{"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": LABELS, **({"namespace": space} if space else {})}, **body}
            for kind, version, space, body in OBJECTS]  # fmt: skip
    for one in CLASSES:
        metadata = {"name": one, "labels": LABELS, "annotations": DEFAULT}
        made.append(
            {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": metadata, "provisioner": "helper/local", "volumeBindingMode": "Immediate"}
        )
    return {"apiVersion": "v1", "kind": "List", "items": made}


@pytest.fixture
def mistuned(lab, tmp_path):
    """Return tune(): writes all of it; after the test everything is as it was."""
    everything = tmp_path / "objects.json"
    everything.write_text(json.dumps(objects()))
    proxy = lab.kubectl("-n", "kube-system", "get", "configmap", "kube-proxy", "-o", "json")
    written = proxy["data"]["config.conf"]

    def set_proxy(text):
        lab.kubectl("-n", "kube-system", "patch", "configmap", "kube-proxy", "--type", "merge", "-p", json.dumps({"data": {"config.conf": text}}))

    def tune():
        lab.kubectl("apply", "-f", str(everything))
        set_proxy(written.replace("mode: nftables", "mode: ipvs").replace("minSyncPeriod: 0s", "minSyncPeriod: 30s"))
        for host, script in CHANGES.items():
            lab.on(host, "sudo sh", data=(KEEP.format(files=" ".join(FILES[host])) + "\n" + script).encode())

    yield tune
    set_proxy(written)
    lab.kubectl("delete", "-f", str(everything), "--ignore-not-found", check=False)
    for host, script in UNDO.items():
        lab.on(host, "sudo sh", data=(RESTORE.format(files=" ".join(FILES[host])) + "\n" + script).encode(), check=False)


def test_what_is_tuned_badly_is_found_and_nothing_else(audit, mistuned):
    before = off(audit()[0])
    mistuned()
    found = off(audit()[0])
    assert found - before == BROKEN - before and len(BROKEN) >= 25
    # The budget that stops every drain is one for CoreDNS.
    assert before - found <= {"coredns_budget"}
