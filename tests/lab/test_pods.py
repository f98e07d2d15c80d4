# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods really start: on the lab's workers, and by the thousand on hollow nodes."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest
import yaml

from ansible_collections.kubeproof.certify.plugins.module_utils import cluster

pytestmark = pytest.mark.lab
COLLECTION = Path(__file__).parents[2]
STATE = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "kubeproof/lab"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubeproof"
ENVIRONMENT = {**os.environ, "ANSIBLE_CONFIG": str(COLLECTION / "ansible.cfg"), "PYTHONPATH": str(COLLECTION / ".ansible/collections")}
WORKERS = ["worker1", "worker2"]
MANAGED = {"app.kubernetes.io/managed-by": "kubeproof"}
HOLLOW = "kubeproof.io/hollow"
HOLLOW_NODES = 20
# The number that the module gives an object is in the name of its pod.
NUMBER = re.compile(r"-([0-9]{5})(?:-|$)")
MEBIBYTE = 1024  # ru_maxrss is in KiB
RULES = [
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "list", "watch", "delete", "deletecollection"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list", "watch"]},
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create", "list", "delete", "deletecollection"]},
    {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["list", "deletecollection"]},
]
# Runs the module and adds its peak memory and how it ended to what it says.
RUNNER = """
import json, resource, subprocess, sys
module = subprocess.run([sys.executable, "-m", "ansible_collections.kubeproof.certify.plugins.modules.pod_startup"], stdin=sys.stdin, capture_output=True)
answer = json.loads(module.stdout)
print(json.dumps({**answer, "peak": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, "stderr": module.stderr.decode()}))
"""


def until(condition, seconds=60):
    """Wait until `condition()` is true, and return what it was."""
    limit = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < limit:
        time.sleep(0.2)
    assert found, f"not within {seconds} s"
    return found


def create(*objects):
    text = "\n---\n".join(map(json.dumps, objects))
    argv = [STATE / "bin/kubectl", "--kubeconfig", STATE / "kubeconfig", "create", "--filename", "-"]
    subprocess.run(argv, input=text, text=True, check=True, capture_output=True)


@pytest.fixture(name="pause", scope="session")
def fixture_pause(lab):
    """Return the name of an image that every worker has, and that runs as any user."""
    nodes = [lab.kubectl("get", "node", worker, "--output", "json")["status"]["images"] for worker in WORKERS]
    name, *dummy = sorted(set.intersection(*({name for image in images for name in image["names"] or () if "/pause:" in name} for images in nodes)))
    return name


@pytest.fixture(name="namespace")
def fixture_namespace(lab, tmp_path):
    """Make a namespace with an account that may only do in it what the module needs; yield its name and prove that no pod is left."""
    name = f"kubeproof-pods-{uuid.uuid4().hex[:8]}"
    meta = {"name": "pods", "namespace": name}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "pods"}
    labels = {**MANAGED, "pod-security.kubernetes.io/enforce": "restricted"}
    create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": meta, "rules": RULES},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": role,
            "subjects": [{"kind": "ServiceAccount", "name": "pods", "namespace": name}],
        },
    )
    config = yaml.safe_load((STATE / "kubeconfig").read_text())
    token = lab.kubectl("--namespace", name, "create", "token", "pods").strip()
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    path = tmp_path / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    try:
        yield name
        left = lab.kubectl("--namespace", name, "get", "pods,deployments,replicasets", "--output", "json")["items"]
        assert [item["metadata"]["name"] for item in left] == []
    finally:
        lab.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(name="start")
def fixture_start(namespace, pause, tmp_path):
    """Return start(**options) -> the module's answer, with `peak`, its memory in KiB."""

    def start(**options):
        given = {"kubeconfig": str(tmp_path / "kubeconfig"), "namespace": namespace, "run_id": namespace, "image": pause, "nodes": WORKERS, **options}
        argv = [sys.executable, "-c", RUNNER]
        text = json.dumps({"ANSIBLE_MODULE_ARGS": given})
        done = subprocess.run(argv, input=text, env=ENVIRONMENT, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert not answer["stderr"] and not answer.get("failed"), answer
        return answer

    return start


@pytest.mark.parametrize("kind", ["pod", "deployment"])
def test_image_present(start, tmp_path, kind):
    facts = start(count=10, rate=5, timeout=60, kind=kind, preload=True, raw=str(tmp_path / "pods"))["facts"]
    assert {key: facts[key] for key in ("expected", "created", "started", "ready", "failed", "left", "reasons")} == {
        **dict.fromkeys(("expected", "created", "started", "ready"), 10),
        **dict.fromkeys(("failed", "left"), 0),
        "reasons": [],
    }
    assert facts["images"] == {"present": 10, "pulled": 0, "unknown": 0} and set(facts["nodes"]) == set(WORKERS)
    assert facts["latency"]["present"]["count"] == 10 and 0.05 < facts["latency"]["present"]["p50"] <= facts["latency"]["present"]["max"] < 60
    assert all(entry["count"] == 10 for entry in facts["phases"].values())
    on_time(facts, 5)
    kept = [json.loads(line) for line in gzip.decompress((tmp_path / "pods.jsonl.gz").read_bytes()).splitlines()]
    assert [one["index"] for one in kept] == list(range(10))
    assert all(0 < one["created"] <= one["scheduled"] <= one["sandbox"] <= one["started"] <= one["ready"] for one in kept)


def on_time(facts, rate):
    """Prove that pods were created at a rate, unless the module itself says that this machine was too slow for it."""
    assert facts["generator_limited"] or facts["slot_waits"]["count"] or facts["rate"] == pytest.approx(rate, rel=0.1)


class Census(threading.Thread):
    """Watches the pods of a namespace by another connection. `peak` is of how many there were any at a time, `seen` of which there were."""

    def __init__(self, namespace):
        super().__init__(daemon=True)
        self.peak, self.seen = 0, set()
        self.path, self.server = f"/api/v1/namespaces/{namespace}/pods", cluster.Cluster(str(STATE / "kubeconfig"))
        self.version = self.server.get(self.path)["metadata"]["resourceVersion"]

    def run(self):
        there = set()
        for event in self.server.watch(self.path, 120, resourceVersion=self.version):
            name = event["object"]["metadata"].get("name", "-preload-")
            if "-preload-" not in name:
                (there.discard if event["type"] == "DELETED" else there.add)(name)
                # What a ReplicaSet may make again before it hears that it is deleted has its Deployment's number.
                self.peak, self.seen = max(self.peak, len(numbers(there))), self.seen | numbers([name])


def numbers(names):
    """Return the numbers that pods have from the module."""
    return {NUMBER.search(name)[1] for name in names}


@pytest.mark.parametrize(("kind", "at_once"), [("pod", 10), ("deployment", 15)])
def test_more_pods_than_slots(start, namespace, kind, at_once):
    """What a pod leaves is used by another one, and all of them are measured."""
    census = Census(namespace)
    census.start()
    facts = start(count=30, rate=3, at_once=at_once, timeout=90, kind=kind, preload=True)["facts"]
    assert {key: facts[key] for key in ("expected", "created", "started", "ready", "failed", "left")} == {
        **dict.fromkeys(("expected", "created", "started", "ready"), 30),
        **dict.fromkeys(("failed", "left"), 0),
    }
    until(lambda: len(census.seen) == 30)
    assert census.peak <= at_once
    assert facts["images"]["present"] == 30 and all(entry["count"] == 30 for entry in facts["phases"].values())
    assert ("waited for a slot" in {one["reason"] for one in facts["reasons"]}) == bool(facts["slot_waits"]["count"])
    on_time(facts, 3)


def test_image_that_does_not_exist(start, pause):
    facts = start(count=2, rate=5, timeout=8, image=pause.rpartition(":")[0] + ":none")["facts"]
    assert (facts["created"], facts["started"], facts["failed"], facts["left"]) == (2, 0, 2, 0)
    assert facts["latency"]["pulled"]["count"] == 2 and facts["latency"]["pulled"]["p50"][1] is None
    assert facts["reasons"][0]["count"] == 2 and facts["reasons"][0]["reason"].startswith("ErrImagePull: ")


@pytest.mark.parametrize("kind", ["pod", "deployment"])
def test_quota(start, namespace, kind):
    create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few", "namespace": namespace}, "spec": {"hard": {"pods": "2"}}})
    # All at once: a pod that is ready is deleted, and what it leaves of the quota is another's.
    facts = start(count=4, rate=100, timeout=15, kind=kind)["facts"]
    assert (facts["started"], facts["failed"], facts["left"]) == (2, 2, 0)
    assert facts["latency"]["present"]["count"] == 4 and facts["latency"]["present"]["p99"][1] is None
    assert any("exceeded quota" in one["reason"] for one in facts["reasons"])


def test_no_room(start):
    facts = start(count=3, rate=5, timeout=4, resources={"requests": {"cpu": "500"}})["facts"]
    assert (facts["created"], facts["started"], facts["failed"], facts["left"]) == (3, 0, 3, 0)
    assert [one["count"] for one in facts["reasons"]] == [3] and "Insufficient cpu" in facts["reasons"][0]["reason"]


@pytest.fixture(name="kwok", scope="session")
def fixture_kwok():
    """Build kwok, unless the cache has it; return its path."""
    options = {"src": str(COLLECTION / "roles/lab/files/components/kwok"), "cache": str(CACHE)}
    argv = [sys.executable, "-m", "ansible_collections.kubeproof.certify.plugins.modules.go_build"]
    CACHE.mkdir(parents=True, exist_ok=True)
    built = subprocess.run(argv, input=json.dumps({"ANSIBLE_MODULE_ARGS": options}), env=ENVIRONMENT, check=False, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return Path(json.loads(built.stdout)["path"]) / "kwok"


def stage(name, kind, matching, following):
    """Return a stage of kwok: an object for which all of `matching` [(path, operator, values)] hold goes to `following`."""
    expressions = [{"key": key, "operator": operator, **({"values": values} if values else {})} for key, operator, values in matching]
    spec = {"resourceRef": {"apiGroup": "v1", "kind": kind}, "selector": {"matchExpressions": expressions}, "next": following}
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name}, "spec": spec}


IS_READY = '.status.conditions.[] | select( .type == "Ready" ) | .status'
STAGES = [
    stage(
        "node-ready",
        "Node",
        [(IS_READY, "NotIn", ["True"])],
        {"statusTemplate": """
conditions:
{{ range NodeConditions }}
- {lastHeartbeatTime: {{ Now | Quote }}, lastTransitionTime: {{ Now | Quote }}, message: {{ .message | Quote }},
   reason: {{ .reason | Quote }}, status: {{ .status | Quote }}, type: {{ .type | Quote }}}
{{ end }}
phase: Running
"""},
    ),
    stage(
        "pod-ready",
        "Pod",
        [(".metadata.deletionTimestamp", "DoesNotExist", []), (".status.phase", "In", ["Pending"])],
        {"statusTemplate": """
conditions:
- {lastTransitionTime: {{ Now | Quote }}, status: "True", type: Ready}
containerStatuses:
{{ range .spec.containers }}
- {image: {{ .image | Quote }}, name: {{ .name | Quote }}, ready: true, restartCount: 0, state: {running: {startedAt: {{ Now | Quote }}}}}
{{ end }}
phase: Running
startTime: {{ Now | Quote }}
"""},
    ),
    stage("pod-delete", "Pod", [(".metadata.deletionTimestamp", "Exists", [])], {"delete": True}),
]


def hollow_node(name):
    """Return a node without a machine. It has no label for its system, so that no DaemonSet's pods come."""
    room = {"cpu": "1000", "memory": "1000Gi", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**MANAGED, HOLLOW: "true", "kubernetes.io/hostname": name}},
        "spec": {"taints": [{"key": HOLLOW, "effect": "NoSchedule"}]},
        "status": {"allocatable": room, "capacity": room},
    }


@pytest.fixture(name="hollow")
def fixture_hollow(lab, kwok, tmp_path):
    """Make hollow nodes and run kwok for these alone; yield their names, then prove that they are gone."""
    names = [f"hollow-{number:02d}" for number in range(HOLLOW_NODES)]
    (tmp_path / "stages.yaml").write_text("\n---\n".join(map(json.dumps, STAGES)))
    argv = [
        kwok,
        "--config",
        tmp_path / "stages.yaml",
        "--kubeconfig",
        STATE / "kubeconfig",
        "--manage-nodes-with-label-selector",
        f"{HOLLOW}=true",
        "--node-lease-duration-seconds",
        "40",
    ]

    def ready():
        nodes = lab.kubectl("get", "nodes", "--selector", HOLLOW, "--output", "json")["items"]
        return sum(one["type"] == "Ready" and one["status"] == "True" for node in nodes for one in node["status"].get("conditions", ())) == len(names)

    with open(tmp_path / "kwok.log", "wb") as log:
        # kwok looks for its configuration in the home directory; it shall find none.
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "HOME": str(tmp_path)})
    try:
        create(*map(hollow_node, names))
        until(lambda: ready() or process.poll() is not None)
        assert process.poll() is None, (tmp_path / "kwok.log").read_text()
        yield names
    finally:
        lab.kubectl("delete", "nodes", "--selector", HOLLOW, "--wait=true")
        process.terminate()
        process.wait(10)
    assert lab.kubectl("get", "nodes", "--selector", HOLLOW, "--output", "json")["items"] == []


@pytest.mark.long
def test_a_thousand_pods(start, hollow):
    answer = start(count=1000, rate=40, timeout=240, nodes=hollow, tolerations=[{"key": HOLLOW, "operator": "Exists"}])
    facts = answer["facts"]
    assert {key: facts[key] for key in ("expected", "created", "started", "ready", "failed", "left")} == {
        **dict.fromkeys(("expected", "created", "started", "ready"), 1000),
        **dict.fromkeys(("failed", "left"), 0),
    }
    assert sum(facts["nodes"].values()) == 1000 and set(facts["nodes"]) == set(hollow)
    # There is no kubelet that would say whether it had the image.
    assert facts["images"] == {"present": 0, "pulled": 0, "unknown": 1000} and facts["latency"]["unknown"]["count"] == 1000
    assert answer["peak"] <= 150 * MEBIBYTE
