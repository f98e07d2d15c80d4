# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import socket
import subprocess

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import pod_group_spec

POD = {"node": "", "argv": [], "host_network": False, "ports": [], "labels": {}, "claims": {}, "block": False, "environment": {}}
OPTIONS = {
    "name": "g", "run_id": "r1", "image": "tools:1", "files": {}, "host_aliases": {}, "tolerations": [{"operator": "Exists"}], "resources": {},
    "results_limit": "1Gi", "security": "restricted", "seconds": 90, "pods": {"a": POD},
}
LABELS = {"app.kubernetes.io/managed-by": "kubeproof", "kubeproof.io/run": "r1", "kubeproof.io/group": "g"}


def made(pod, **options):
    """Return the spec of a pod, and its containers by their name."""
    body = pod_group_spec.pod_object({**OPTIONS, **options}, "a", {**POD, **pod})
    return body["spec"], {one["name"]: one for one in body["spec"]["containers"]}


def test_a_pod_that_sleeps():
    spec, containers = made({})
    assert list(containers) == ["keeper"] and "startupProbe" not in containers["keeper"]
    assert (spec["activeDeadlineSeconds"], spec["restartPolicy"], spec["terminationGracePeriodSeconds"]) == (90, "Never", 1)
    assert spec["automountServiceAccountToken"] is False and spec["tolerations"] == [{"operator": "Exists"}]
    assert not {"affinity", "hostNetwork", "nodeName"} & set(spec) and spec["nodeSelector"] == {"kubernetes.io/os": "linux"}


def test_a_server_has_a_container_of_its_own():
    spec, containers = made({"argv": ["server", "$(HOME)"], "ports": [80, 5201], "node": "n1", "environment": {"A": "$(B)"}})
    assert containers["tool"]["command"] == ["server", "$$(HOME)"] and {"name": "A", "value": "$$(B)"} in containers["tool"]["env"]
    assert containers["tool"]["startupProbe"]["exec"]["command"][3:] == ["sh", "0050", "1451"] and "startupProbe" not in containers["keeper"]
    # By the scheduler, so that a volume can be bound, and not past it.
    [term] = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term == {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]} and "nodeName" not in spec


def test_labels_of_the_group_win_and_find_it():
    options = {**OPTIONS, "files": {"f": "x"}}
    [config, pod] = [body for dummy, body in pod_group_spec.objects({**options, "pods": {"a": {**POD, "labels": {"app": 1}}}})]
    assert pod["metadata"] == {"name": "g-a", "labels": {"app": "1", **LABELS}} and config["metadata"]["name"] == "g"
    assert pod_group_spec.selector(options) == ",".join(f"{key}={value}" for key, value in LABELS.items())
    assert {"name": "files", "configMap": {"name": "g"}} in pod["spec"]["volumes"]


def test_claims():
    given = {"claims": {"data": "/data", "more": "/more"}, "argv": ["a"]}
    spec, containers = made(given)
    assert [one["persistentVolumeClaim"]["claimName"] for one in spec["volumes"] if "persistentVolumeClaim" in one] == ["data", "more"]
    for one in containers.values():
        assert {"name": "claim-1", "mountPath": "/more"} in one["volumeMounts"] and "volumeDevices" not in one
    spec, containers = made({**given, "block": True})
    for one in containers.values():
        assert one["volumeDevices"] == [{"name": "claim-0", "devicePath": "/data"}, {"name": "claim-1", "devicePath": "/more"}]
        assert not [mount for mount in one["volumeMounts"] if mount["name"].startswith("claim")]


@pytest.mark.parametrize(
    ("security", "pod", "container"),
    [
        ("restricted", {"runAsNonRoot": True, "runAsUser": 65532}, {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}),
        ("baseline", {}, {"allowPrivilegeEscalation": False}),
        ("privileged", {"runAsUser": 0}, {"privileged": True}),
    ],
)
def test_security(security, pod, container):
    spec, containers = made({"argv": ["a"], "host_network": True}, security=security)
    assert pod.items() <= spec["securityContext"].items() and spec["hostNetwork"] is True and spec["dnsPolicy"] == "ClusterFirstWithHostNet"
    assert all(container.items() <= one["securityContext"].items() for one in containers.values())
    assert ("privileged" in containers["tool"]["securityContext"]) is (security == "privileged")


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_probe_sees_who_listens(family):
    with socket.socket(family) as listening, socket.socket(family) as bound:
        for one in (listening, bound):
            one.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        listening.listen()

        def probe(*sockets):
            ports = [f"{one.getsockname()[1]:04X}" for one in sockets]
            return subprocess.run(["sh", "-c", pod_group_spec.LISTEN, "sh", *ports], check=False, timeout=20).returncode

        assert (probe(listening), probe(bound), probe(listening, bound)) == (0, 1, 1)
