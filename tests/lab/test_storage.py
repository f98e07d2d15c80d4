# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage layer on a real cluster: what it measures, what broken StorageClasses make of the certificate, and that nothing stays."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import threading
import time

import pytest

from ansible_collections.kubeproof.certify.tests.lab.conftest import ANSIBLE, COLLECTION, ENVIRONMENT, wait_for

pytestmark = pytest.mark.lab
NODE, PROVISIONER, CLASS = "worker1", "rancher.io/local-path", "local-path"
RUN_LABEL = "kubeproof.io/run"
DEFAULT = "storageclass.kubernetes.io/is-default-class"
# Where the lab's volumes are.
DISK = "/var/lib/kubelet/local-path"
# On the disk of the node: a filesystem of 22 MiB, one without a free inode, one that promises more than the pool under it has, and one that is read-only.
PLACE = "/var/lib/kubelet/kubeproof-test"
MOUNT = f"""sudo sh -ec '
mkdir -p {PLACE}/small {PLACE}/crowded {PLACE}/thin {PLACE}/pool {PLACE}/frozen
mount -t tmpfs -o size=40M tmpfs {PLACE}/pool
truncate -s 24M {PLACE}/small.img {PLACE}/crowded.img
truncate -s 200M {PLACE}/pool/thin.img
ln -s pool/thin.img {PLACE}/thin.img
mkfs.ext4 -q -F {PLACE}/small.img
mkfs.ext4 -q -F -N 16 {PLACE}/crowded.img
mkfs.ext4 -q -F {PLACE}/thin.img
for one in small crowded thin; do
  mount -o loop {PLACE}/$one.img {PLACE}/$one
  chmod 777 {PLACE}/$one
done
number=0
while touch {PLACE}/crowded/$number 2>/dev/null; do number=$((number + 1)); done
mount --bind {PLACE}/frozen {PLACE}/frozen
mount -o remount,ro,bind {PLACE}/frozen'"""
UNMOUNT = f"sudo sh -c 'umount {PLACE}/small {PLACE}/crowded {PLACE}/thin {PLACE}/frozen; umount {PLACE}/pool; rm -rf {PLACE}'"
SHORT = {"random_read": 1, "random_write": 1, "mixed": 1, "workload": 1, "sequential_write": 1, "sequential_read": 1, "ramp": 0, "baseline": 1, "file": "64Mi"}
NONE = dict.fromkeys(SHORT, 0) | {"file": "64Mi"}
# Seconds until a run has begun to load, and until the guard of a killed one has removed what that left.
SLOWLY = 120
# Volumes that are there before us.
BEFOREHAND = ("small", "crowded", "thin", "frozen")
# Seconds that a claim of the tests may take; the lab's provisioner starts a pod for each volume.
PATIENCE = 10


@pytest.fixture
def certify(certify):
    """Return conftest's function for this layer."""
    return functools.partial(certify, layer="storage", storage_bind_timeout=PATIENCE, storage_expand_timeout=2)


def storage_class(name, provisioner=PROVISIONER, binding="WaitForFirstConsumer", **more):
    meta = {"name": f"kubeproof-{name}"}
    return {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": meta, "provisioner": provisioner, "volumeBindingMode": binding, **more}


def volume(name):
    """Return a volume that is there beforehand, in a directory of a node."""
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": f"kubeproof-{name}",
        "local": {"path": f"{PLACE}/{name}"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"kubeproof-{name}"}, "spec": spec}


@contextlib.contextmanager
def made(lab, *items):
    """Make objects in the cluster, and delete them."""
    data = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    try:
        lab.kubectl("create", "-f", "-", data=data)
        yield
    finally:
        lab.kubectl("delete", "--ignore-not-found", "--timeout=60s", "--request-timeout=70s", "-f", "-", data=data)


@contextlib.contextmanager
def once_there(find, act):
    """Meanwhile wait for something, and then do something with it."""
    ended = threading.Event()

    def wait():
        while not ended.is_set():
            found = find()
            if found:
                act(found)
                return
            time.sleep(0.2)

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def namespace_of(lab, known):
    """Return the namespace of a run that began meanwhile, or None."""
    found = lab.kubectl("get", "namespaces", "-l", RUN_LABEL, "-o", "name", check=False).split()
    return next((one.partition("/")[2] for one in found if one.endswith("-storage") and one not in known), None)


def left(lab, run):
    """Return what is there of a run: in the cluster, and on the disks of the nodes."""
    found = lab.kubectl("get", "namespaces,persistentvolumes,clusterroles", "-l", f"{RUN_LABEL}={run}", "-o", "name").split()
    return found + [one for node in ("worker1", "worker2") for one in lab.on(node, f"sudo ls {DISK} || true").split() if run in one]


def findings(run, check):
    return {one["entry"].removeprefix("kubeproof-"): one for one in run.certificate["findings"] if one["id"] == check}


@pytest.mark.long
def test_classes_good_and_broken(lab, certify, note):
    """One run of classes, all but one broken, each in another way: each says how, the others go on, and nothing of any stays."""
    classes = [
        storage_class("kept", reclaimPolicy="Retain", allowVolumeExpansion=True),
        storage_class("nobody", "nobody.example.com"),
        # Its provisioner makes volumes on nodes, and is asked before there is one.
        storage_class("hasty", binding="Immediate"),
        storage_class("limited"),
        *(storage_class(name, "kubernetes.io/no-provisioner") for name in BEFOREHAND),
    ]
    declared = [{"name": name, "tier": "ssd", "required_iops": 100, "size": "1Gi"} for name in (CLASS, *(one["metadata"]["name"] for one in classes))]
    quota = {"kubeproof-limited.storageclass.storage.k8s.io/requests.storage": "1Mi"}
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "limited"}, "spec": {"hard": quota}}
    known = lab.kubectl("get", "namespaces", "-l", RUN_LABEL, "-o", "name").split()

    def limit(namespace):
        lab.kubectl("create", "-n", namespace, "-f", "-", data=json.dumps(body))

    lab.on(NODE, MOUNT)
    try:
        with made(lab, *classes, *map(volume, BEFOREHAND)), once_there(lambda: namespace_of(lab, known), limit):
            run = certify(load=SHORT, storage_classes=declared, storage_baseline_directory=DISK)
            volumes = lab.kubectl("get", "persistentvolumes", *(f"kubeproof-{name}" for name in BEFOREHAND), "-o", "json")["items"]
    finally:
        lab.on(NODE, UNMOUNT)
    is_measured(run)
    say_what_is_broken(run, note)
    assert left(lab, run.directory.name) == []
    assert lab.on(NODE, f"ls {DISK}/*.fio 2>/dev/null", check=False) == ""
    # What was there before us is free again.
    assert [one["status"]["phase"] for one in volumes] == ["Available"] * len(BEFOREHAND)


def is_measured(run):
    """Assert that the good class was measured, whatever its neighbours are."""
    facts = json.loads((run.directory / "facts/storage/cluster/lab.json").read_text())["classes"][CLASS]
    assert facts["outcome"] == "works"
    # A second of a disk that others use as well may be twice as fast as the next.
    assert {reason.partition(":")[0] for reason in facts["missing"].values()} <= {"too good to be true"}
    assert facts["direct"]["proven"] is True and facts["integrity"] is True and facts["deleted"] is True and facts["errors"] == 0
    assert facts["workload"]["ratio"] > 1 and facts["random_read"]["of_disk"] > 0 and facts["mixed"]["samples"] > 0
    assert findings(run, "storage_expansion")[CLASS]["result"] == "NOT_APPLICABLE"
    # One second of each proves nothing.
    for name in ("random_read_iops", "workload_iops", "latency_p99"):
        assert findings(run, f"storage_{name}")[CLASS]["reason"].startswith("Too few samples")


def say_what_is_broken(run, note):
    """Assert that the certificate says what is wrong with each class."""
    found = findings(run, "storage_function")
    said = {
        "kept": "it did not grow within 2 s: waiting for an external controller",
        "nobody": "nobody.example.com",
        "hasty": "configuration error, no node was specified",
        "limited": "exceeded quota: limited",
        "small": "there is no space left: ",
        "crowded": "kubeproof.touch': No space left on device",
        "thin": "No space left on device",
        "frozen": "it is mounted read-only",
    }
    assert {name: text for name, text in said.items() if text not in found[name]["value"]} == {}, found
    for name in said:
        note(f"StorageClass {name}", run, found[name])
    assert run.status != 0 and run.certificate["verdict"] == "FAIL"
    assert findings(run, "storage_deletion")["kept"]["result"] == "NOT_APPLICABLE"
    assert findings(run, "storage_expansion")["kept"]["result"] == "FAIL"
    # What is missing has the reason of its own class.
    assert "exceeded quota" in findings(run, "storage_workload_iops")["limited"]["reason"]


def test_no_class(lab, certify, note):
    run = certify(load=NONE, storage_classes=[{"name": "kubeproof-none", "size": "1Gi"}])
    one = run.finding("storage_classes_exist")
    note("a StorageClass that is not there", run, one)
    assert run.blocked() and (one["result"], one["entry"], one["value"]) == ("FAIL", "kubeproof-none", False)
    lab.kubectl("annotate", "storageclass", CLASS, f"{DEFAULT}-")
    try:
        run = certify(load=NONE, storage_classes=[])
    finally:
        lab.kubectl("annotate", "--overwrite", "storageclass", CLASS, f"{DEFAULT}=true")
    one = run.finding("storage_default_class")
    note("no default StorageClass", run, one)
    assert run.blocked() and one["result"] == "CONDITIONAL" and one["value"] == 0
    assert "the cluster has no default StorageClass" in run.error and "storage_classes is empty" in run.finding("storage_function")["reason"]


@pytest.mark.long
def test_a_killed_run_leaves_nothing(lab, tmp_path):
    """Killed while fio runs on a volume that its class retains: the guard of the run ends it, and the volume goes."""
    variables = {
        "certify_results": str(tmp_path), "certify_layers": ["storage"], "storage_classes": [{"name": "kubeproof-kept", "size": "1Gi"}],
        "storage_load": {"smoke": NONE | {"random_read": 120}},
    }  # fmt: skip
    argv = [ANSIBLE, "certify.yml", "-i", "inventories/lab", "-e", json.dumps(variables)]
    known = lab.kubectl("get", "namespaces", "-l", RUN_LABEL, "-o", "name").split()
    with made(lab, storage_class("kept", reclaimPolicy="Retain")):
        process = subprocess.Popen(argv, cwd=COLLECTION, env=ENVIRONMENT, start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            namespace = wait_for(lambda: namespace_of(lab, known), SLOWLY)
            exec_fio = ("exec", "-n", namespace, "volume-1-fio", "-c", "keeper", "--", "sh", "-c", "grep -laz '^--rw=randread' /proc/[0-9]*/cmdline")
            wait_for(lambda: lab.kubectl(*exec_fio, check=False).strip())
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        run = namespace.removeprefix("kubeproof-").removesuffix("-storage")
        # Its class may go only afterwards: a provisioner that does not know it deletes nothing.
        wait_for(lambda: left(lab, run) == [], SLOWLY)
