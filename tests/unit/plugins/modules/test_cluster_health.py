# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.kubeproof.certify.plugins.modules import cluster_health
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import FakeCluster, status, write_kubeconfig

READY = {"conditions": [{"type": "Ready", "status": "True"}]}
OLD = {"terminated": {"reason": "Error", "exitCode": 1, "finishedAt": "2026-11-21T04:00:00Z"}}
KILLED = {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-11-21T05:00:00Z"}}
DONE = {"terminated": {"reason": "Completed", "exitCode": 0, "finishedAt": "2026-11-21T06:00:00Z"}}
RAN = [{"restartCount": 2, "lastState": KILLED}, {"restartCount": 1, "lastState": OLD}]


def pod(name, owner=None, state=None, spec=None, **metadata):
    owners = [{"kind": owner[0], "name": owner[1], "controller": True}] if owner else []
    metadata.setdefault("namespace", "kube-system")
    return {"metadata": {"name": name, "uid": f"uid-{name}", "ownerReferences": owners, **metadata}, "spec": spec or {}, "status": state or {}}


PODS = [
    pod("a", ("ReplicaSet", "coredns-7d"), {**READY, "phase": "Running", "containerStatuses": RAN}, labels={"pod-template-hash": "7d"}),
    pod("b", ("DaemonSet", "proxy"), {"phase": "Pending", "initContainerStatuses": [{"restartCount": 1, "state": DONE}]}),
    pod("c", ("Node", "w1"), {**READY, "phase": "Running", "containerStatuses": [{"restartCount": 0, "state": KILLED}]}),
    pod("d", ("ReplicaSet", "own"), {**READY, "phase": "Running"}, deletionTimestamp="2026-11-21T04:00:00Z"),
    pod("e", ("Job", "backup-1"), {"phase": "Succeeded"}, {"restartPolicy": "Never"}),
    pod("f", ("StatefulSet", "db"), {"phase": "Failed", "reason": "Evicted", "containerStatuses": RAN}),
    # A load of ours comes and goes.
    pod("g", ("Job", "load"), labels={"app.kubernetes.io/managed-by": "kubeproof", "kubeproof.io/run": "20261121t040000z-1a2b"}),
]


def critical(name, namespace, of="system-node-critical"):
    return pod(name, state={**READY, "phase": "Running"}, spec={"priorityClassName": of}, namespace=namespace)


# Where the system of other distributions lives, and pods of the users of a cluster.
ELSEWHERE = [
    critical("calico-node", "calico-system"), critical("flannel", "kube-flannel"), critical("own", "shop", "system-cluster-critical"),
    critical("etcd-cp1", "openshift-etcd", "openshift-user-critical"), pod("console", namespace="openshift-console"),
]  # fmt: skip
USERS = [critical("web", "shop", "high"), pod("app", namespace="my-openshift-app"), pod("rancher", namespace="cattle-system")]
ANSWERS = {
    "GET /api/v1/nodes": {"items": [{"metadata": {"name": "w1"}, "status": READY}, {"metadata": {"name": "w2"}, "status": {}}]},
    "GET /api/v1/pods": {"items": PODS + ELSEWHERE + USERS},
    "GET /api/v1/namespaces/kube-system/pods": {"items": PODS},
    "GET /api/v1/namespaces/traefik/pods": {"items": []},
}


def call(url, capsys, tmp_path, **more):
    path = tmp_path / "kubeconfig"
    write_kubeconfig(path, url)
    with patch_module_args({"kubeconfig": str(path), **more}), pytest.raises(SystemExit):
        cluster_health.main()
    return json.loads(capsys.readouterr().out)


def test_looks_at_nodes_and_pods(capsys, tmp_path):
    with FakeCluster(ANSWERS) as api:
        found = call(api.url, capsys, tmp_path, namespaces=["traefik"], among=["kube-system"])["facts"]
    assert found["nodes"] == {"names": ["w1", "w2"], "not_ready": ["w2"]}
    assert found["pods"] == {
        "kube-system/a": {"uid": "uid-a", "phase": "Running", "restarts": 3, "reason": "OOMKilled", "ready": True, "owner": "Deployment kube-system/coredns"},
        "kube-system/b": {"uid": "uid-b", "phase": "Pending", "restarts": 1, "ready": False, "owner": "DaemonSet kube-system/proxy"},
        "kube-system/c": {"uid": "uid-c", "phase": "Running", "restarts": 0, "reason": "OOMKilled", "ready": True},
        "kube-system/d": {"uid": "uid-d", "phase": "Running", "restarts": 0, "ready": False, "owner": "ReplicaSet kube-system/own"},
        "kube-system/e": {"uid": "uid-e", "phase": "Succeeded", "restarts": 0},
        "kube-system/f": {"uid": "uid-f", "phase": "Failed", "restarts": 3, "reason": "Evicted", "ready": False, "owner": "StatefulSet kube-system/db"},
    }


def seen(api, capsys, tmp_path, **more):
    return sorted(call(api.url, capsys, tmp_path, **more)["facts"]["pods"])


def test_pods_of_the_system_are_known_wherever_they_live(capsys, tmp_path):
    """By their priority class, or by a namespace that is the system's; with a name of the inventory also where both are another's."""
    system = sorted(f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in PODS[:-1] + ELSEWHERE)
    with FakeCluster({**ANSWERS, "GET /api/v1/namespaces/shop/pods": {"items": [*USERS[:1], ELSEWHERE[2]]}}) as api:
        assert seen(api, capsys, tmp_path) == system
        assert seen(api, capsys, tmp_path, namespaces=["cattle-system"]) == sorted([*system, "cattle-system/rancher"])
        # A later look need not read the whole cluster, and finds no others there.
        assert seen(api, capsys, tmp_path, among=["shop"]) == ["shop/own"]
    with FakeCluster({**ANSWERS, "GET /api/v1/pods": {"items": USERS}}) as api:
        assert seen(api, capsys, tmp_path) == []


def test_what_may_not_be_read_is_no_health(capsys, tmp_path):
    with FakeCluster({**ANSWERS, "GET /api/v1/nodes": (403, status(403, "Forbidden", "no rights"))}) as api:
        found = call(api.url, capsys, tmp_path)
    assert found["failed"] and "facts" not in found and "cannot be looked at" in found["msg"]
