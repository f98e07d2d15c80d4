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
KILLED = {"terminated": {"reason": "OOMKilled"}}
ANSWERS = {
    "GET /api/v1/nodes": {"items": [{"metadata": {"name": "w1"}, "status": READY}, {"metadata": {"name": "w2"}, "status": {}}]},
    "GET /api/v1/namespaces/kube-system/pods": {
        "items": [
            {"metadata": {"name": "a"}, "status": {"containerStatuses": [{"restartCount": 2, "lastState": KILLED}, {"restartCount": 1}]}},
            {"metadata": {"name": "b"}, "status": {"initContainerStatuses": [{"restartCount": 1}]}},
            {"metadata": {"name": "c"}},
        ]
    },
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
        found = call(api.url, capsys, tmp_path, namespaces=["traefik", "kube-system"])["facts"]
    assert found["nodes"] == {"count": 2, "not_ready": ["w2"]}
    assert found["pods"] == {
        "kube-system/a": {"restarts": 3, "reason": "OOMKilled"},
        "kube-system/b": {"restarts": 1},
        "kube-system/c": {"restarts": 0},
    }


def test_what_may_not_be_read_is_no_health(capsys, tmp_path):
    with FakeCluster({**ANSWERS, "GET /api/v1/nodes": (403, status(403, "Forbidden", "no rights"))}) as api:
        found = call(api.url, capsys, tmp_path)
    assert found["failed"] and "facts" not in found and "cannot be looked at" in found["msg"]
