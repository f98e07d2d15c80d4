# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import pod_load, pod_rows
from ansible_collections.kubeproof.certify.tests.unit.plugins.pods_fake import NAMESPACE, terms_of

OPTIONS = {"run_id": "r1", "namespace": NAMESPACE, "name": "a", "image": "p:1", "kind": "pod", "timeout": 60.0, "count": 1}
OPTIONS.update(tolerations=[], resources={}, nodes=[])


def test_pods_comply_with_restricted():
    body = pod_load.manifest({**OPTIONS, "nodes": ["n1", "n2"], "tolerations": [{"operator": "Exists"}], "resources": {"requests": {"cpu": "1m"}}}, 123)
    spec, [container] = body["spec"], body["spec"]["containers"]
    assert body["metadata"]["name"] == "a-00123" and body["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "kubeproof"
    assert body["metadata"]["labels"]["kubeproof.io/run"] == "r1" and body["metadata"]["labels"][pod_load.BATCH_LABEL] == "1"
    assert spec["securityContext"]["runAsNonRoot"] is True and spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert spec["automountServiceAccountToken"] is spec["enableServiceLinks"] is False
    assert spec["terminationGracePeriodSeconds"] == 1 and spec["activeDeadlineSeconds"] == 180 and spec["tolerations"] == [{"operator": "Exists"}]
    assert [term["matchFields"][0]["values"] for term in terms_of(body)] == [["n1"], ["n2"]] and container["resources"] == {"requests": {"cpu": "1m"}}


def test_pods_run_on_linux_unless_other_nodes_are_selected():
    """Hollow nodes have another system, so that nobody else's pods come."""
    assert pod_load.manifest(OPTIONS, 0)["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}
    hollow = {"kubeproof.io/run": "r1"}
    assert pod_load.manifest({**OPTIONS, "node_selector": hollow}, 0)["spec"]["nodeSelector"] == hollow


def test_a_deployment_has_one_replica_and_no_deadline():
    body = pod_load.manifest({**OPTIONS, "kind": "deployment"}, 7)
    template = body["spec"]["template"]
    assert body["spec"]["replicas"] == 1 and "activeDeadlineSeconds" not in template["spec"] and "affinity" not in template["spec"]
    assert body["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items() == body["metadata"]["labels"].items()


@pytest.mark.parametrize(
    ("known", "lost", "expected"),
    [
        ([], [], {"count": 0}),
        ([3.0], [], {"count": 1, "p50": 3.0, "p90": 3.0, "p95": 3.0, "p99": 3.0, "max": 3.0}),
        ([4, 1, 3, 2], [], {"count": 4, "p50": 2, "p90": 4, "p95": 4, "p99": 4, "max": 4}),
        (range(1, 101), [], {"count": 100, "p50": 50, "p90": 90, "p95": 95, "p99": 99, "max": 100}),
        (range(1, 100), [0.0], {"count": 100, "p50": 50, "p90": 90, "p95": 95, "p99": 99, "max": [99, None]}),
        (range(1, 99), [0.0, 500.0], {"count": 100, "p50": 50, "p90": 90, "p95": 95, "p99": [98, None], "max": [500.0, None]}),
        ([], [7.0, 5.0], {"count": 2, "p50": [5.0, None], "p90": [7.0, None], "p95": [7.0, None], "p99": [7.0, None], "max": [7.0, None]}),
    ],
)
def test_distribution(known, lost, expected):
    assert pod_rows.distribution(known, lost) == expected
