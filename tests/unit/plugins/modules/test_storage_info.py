# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils import cluster
from ansible_collections.kubeproof.certify.plugins.modules import storage_info
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import FakeCluster, status

CLASSES, DRIVERS, VOLUMES = "/apis/storage.k8s.io/v1/storageclasses", "/apis/storage.k8s.io/v1/csidrivers", "/api/v1/persistentvolumes"
FORBIDDEN = (403, status(403, "Forbidden", "no rights"))


def storage_class(name, default=None, created="2026-01-01T00:00:00Z", beta=False, **more):
    key = storage_info.DEFAULT[beta]
    return {"metadata": {"name": name, "creationTimestamp": created, **({"annotations": {key: default}} if default else {})}, "provisioner": "a.csi", **more}


@pytest.fixture(name="api")
def fixture_api():
    with FakeCluster({f"GET {path}": {"items": []} for path in (CLASSES, DRIVERS, VOLUMES)}) as api:
        yield api


@pytest.fixture(name="call")
def fixture_call(api, capsys, tmp_path, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)

    def call(**arguments):
        with patch_module_args({"kubeconfig": api.kubeconfig(tmp_path / "kubeconfig"), **arguments}), pytest.raises(SystemExit):
            storage_info.main()
        answer = json.loads(capsys.readouterr().out)
        assert {asked.method for asked in api.asked} <= {"GET"}
        return answer

    return call


def test_what_is_there(call, api):
    slow = storage_class("slow", provisioner="b.csi", volumeBindingMode="WaitForFirstConsumer", reclaimPolicy="Retain", allowVolumeExpansion=True)
    api.answers[f"GET {CLASSES}"] = {"items": [storage_class("fast", "true"), slow]}
    api.answers[f"GET {DRIVERS}"] = {"items": [{"metadata": {"name": "a.csi"}}]}
    api.answers[f"GET {VOLUMES}"] = {"items": [{"status": {"phase": phase}} for phase in ("Bound", "Bound", "Failed")] + [{}]}
    facts = call()["facts"]
    assert facts["classes"] == {
        "fast": {"provisioner": "a.csi", "default": True, "binding": "Immediate", "reclaim": "Delete", "expandable": False, "driver": True},
        "slow": {"provisioner": "b.csi", "default": False, "binding": "WaitForFirstConsumer", "reclaim": "Retain", "expandable": True, "driver": False},
    }
    assert facts["default_class"] == "fast" and facts["missing"] == {}
    assert facts["volumes"] == {"Available": 0, "Bound": 2, "Released": 0, "Failed": 1, "Unknown": 1}


@pytest.mark.parametrize(
    ("items", "name"),
    [
        ([], ""),
        ([storage_class("a")], ""),
        ([storage_class("a", "false")], ""),
        ([storage_class("a", "true", beta=True)], "a"),
        ([storage_class("a", "true", "2026-01-02T00:00:00Z"), storage_class("b", "true", "2026-01-01T00:00:00Z")], "a"),
    ],
)
def test_the_default_class(call, api, items, name):
    api.answers[f"GET {CLASSES}"] = {"items": items}
    assert call()["facts"]["default_class"] == name


@pytest.mark.parametrize(("path", "lost"), [(CLASSES, "classes"), (VOLUMES, "volumes")])
def test_what_may_not_be_read_is_absent(call, api, path, lost):
    api.answers[f"GET {path}"] = FORBIDDEN
    facts = call()["facts"]
    assert lost not in facts and list(facts["missing"]) == [lost] and "no rights" in facts["missing"][lost]


def test_drivers_that_may_not_be_read(call, api):
    api.answers.update({f"GET {DRIVERS}": FORBIDDEN, f"GET {CLASSES}": {"items": [storage_class("a")]}})
    facts = call()["facts"]
    assert "driver" not in facts["classes"]["a"] and "CSIDrivers cannot be read" in facts["missing"]["drivers"]


def test_a_cluster_that_says_nothing(call, api):
    api.answers.clear()
    answer = call()
    assert answer["failed"] and "cannot be looked at: nothing can be read: " in answer["msg"]


def test_without_the_library(call, monkeypatch):
    monkeypatch.setattr(cluster, "kubernetes", None)
    assert "kubernetes" in call()["msg"]
