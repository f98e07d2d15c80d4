# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.kubeproof.certify.plugins.module_utils import cluster
from ansible_collections.kubeproof.certify.plugins.modules import apiserver_info
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import TOKEN, FakeCluster, status, write_kubeconfig

OURS = {"app.kubernetes.io/managed-by": "kubeproof", "kubeproof.io/run": "run-1"}
THEIRS = {**OURS, "kubeproof.io/run": "run-0"}
RBAC = "/apis/rbac.authorization.k8s.io/v1"
FORBIDDEN = (403, status(403, "Forbidden", "no rights"))
PARTS = {
    apiserver_info.SLICES: ["instances"],
    "/api/v1/nodes": ["nodes", "image"],
    "/api/v1/pods": ["pods"],
    "/api/v1/namespaces": ["terminating", "leftovers", "leftover_runs"],
    f"{RBAC}/clusterroles": ["leftovers", "leftover_runs"],
    f"{RBAC}/clusterrolebindings": ["leftovers", "leftover_runs"],
    apiserver_info.SERVICES: ["unavailable_apis"],
    f"{apiserver_info.HOOKS}/validatingwebhookconfigurations": ["webhooks"],
    f"{apiserver_info.HOOKS}/mutatingwebhookconfigurations": ["webhooks"],
}


def named(name, labels=None, **more):
    return {"metadata": {"name": name, "labels": labels or {}, **more}}


def node(name, address=""):
    return {
        "metadata": {"name": name},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "allocatable": {"pods": "110"},
            "addresses": [{"address": address}],
            "images": [{"names": ["r/pause:1"]}],
        },
    }


@pytest.fixture(name="api")
def fixture_api(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with FakeCluster() as api:
        lists = {path: [] for path in PARTS}
        lists["/api/v1/nodes"] = [node("cp1", "10.0.0.1"), node("worker1")]
        lists["/api/v1/namespaces"] = [named("default"), named("old", THEIRS), named("mine", OURS), named("going", deletionTimestamp="2026-01-01T00:00:00Z")]
        lists[f"{RBAC}/clusterroles"] = [named("old", THEIRS), named("mine", OURS), named("other")]
        lists[apiserver_info.SERVICES] = [named("v1.x"), {**named("v1."), "status": {"conditions": [{"type": "Available", "status": "True"}]}}]
        api.answers = {f"GET {path}": {"items": items} for path, items in lists.items()}
        api.answers.update({
            "GET /version": {"gitVersion": "v1.36.3"},
            "GET /readyz": "ok",
            "GET /api/v1/pods": lambda asked: {"items": [{}] * (3 if "fieldSelector" in asked.query else 1), "metadata": {"remainingItemCount": 11}},
            f"GET {apiserver_info.SLICES}": {"items": [{"ports": [{"port": 1}], "endpoints": [{"addresses": ["127.0.0.1"]}]}]},
        })
        yield api


@pytest.fixture(name="call")
def fixture_call(api, capsys, tmp_path):
    """Return a function that runs the module and returns its answer, in which no token is."""

    def call(**arguments):
        given = {"kubeconfig": api.kubeconfig(tmp_path / "operator"), "run_id": "run-1", **arguments}
        with patch_module_args(given), pytest.raises(SystemExit):
            apiserver_info.main()
        out = capsys.readouterr().out
        assert TOKEN not in out
        return json.loads(out)

    return call


def test_everything(call, api):
    facts = call(instances={"cp1": f"{api.url}/"}, slots_of=["worker1", "gone"])["facts"]
    assert facts["terminating"].pop("going") >= 0
    assert facts == {
        "server": api.url, "version": "v1.36.3", "instances": {"cp1": {"url": api.url, "answers": True, "error": ""}},
        "nodes": {
            "count": 2, "ready": 2, "not_ready": [], "schedulable": 2, "names": ["cp1", "worker1"], "zones": {},
            "versions": {"unknown": 2}, "runtimes": {"unknown": 2},
        },
        "pods": {"count": 12, "allocatable": 220, "free": 208}, "slots": {"worker1": 107},
        "image": {"name": "r/pause:1", "nodes_with": 2, "known": True}, "terminating": {}, "unavailable_apis": ["v1.x"],
        "webhooks": {"validating": 0, "mutating": 0, "matching": []}, "leftovers": 2, "leftover_runs": ["run-0"],
        "problems": ["slots_of: the cluster has no node gone."],
    }
    assert all(asked.method == "GET" for asked in api.asked)


def test_a_registered_server_that_is_down(call):
    instance = call()["facts"]["instances"]["127.0.0.1"]
    assert instance["answers"] is False and instance["url"] == "https://127.0.0.1:1" and "Connection refused" in instance["error"]


@pytest.mark.parametrize("answer", [(500, status(500, "InternalError", "etcd failed")), "no", (401, {}), FORBIDDEN])
def test_a_server_that_is_not_ready(call, api, answer):
    api.answers["GET /readyz"] = answer
    instance = call(instances={"a": api.url})["facts"]["instances"]["a"]
    assert instance["answers"] is False and "GET /readyz" in instance["error"]


def test_a_server_that_is_not_verified_does_not_answer(call, api, tmp_path):
    path = tmp_path / "insecure"
    config = yaml.safe_load(open(write_kubeconfig(path, api.url), encoding="utf-8"))
    config["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True
    path.write_text(yaml.safe_dump(config))
    instance = call(kubeconfig=str(path), instances={"a": api.url})["facts"]["instances"]["a"]
    assert instance["answers"] is False and "insecure-skip-tls-verify" in instance["error"]


@pytest.mark.parametrize("path", sorted(PARTS))
@pytest.mark.parametrize("answer", [FORBIDDEN, (503, {}), (410, status(410, "Expired", "too old"))])
def test_what_cannot_be_read_is_absent_and_said(call, api, path, answer):
    whole = call()["facts"]
    api.answers[f"GET {path}"] = answer
    facts = call()["facts"]
    assert set(whole) - set(facts) == set(PARTS[path]), facts
    assert path in " ".join(facts["problems"]) and len(facts["problems"]) == 1
    if path == "/api/v1/nodes":
        assert facts["pods"] == {"count": 12}


def test_an_unknown_number_of_pods_is_no_room(call, api):
    api.answers["GET /api/v1/pods"] = {"items": [{}], "metadata": {"continue": "x"}}
    facts = call()["facts"]
    assert "pods" not in facts and "does not say how many remain" in facts["problems"][0]


def test_no_registered_server_is_a_problem(call, api):
    api.answers[f"GET {apiserver_info.SLICES}"] = {"items": []}
    facts = call()["facts"]
    assert "instances" not in facts and "no endpoint" in facts["problems"][0]


@pytest.mark.parametrize(("answer", "said"), [((401, {}), "401"), ({}, "no gitVersion"), (5, "something else than an API server"), (b"<html>", "no JSON")])
def test_no_api_server(call, api, answer, said):
    api.answers["GET /version"] = answer
    found = call()
    assert found["failed"] and said in found["msg"] and "facts" not in found and "exception" not in found


def test_many_nodes_are_read_in_chunks_and_not_kept(call, api):
    filler = [{"names": [f"r/image-{number}:1"], "sizeBytes": number} for number in range(50)]

    def page(asked):
        start = int(asked.query.get("continue", 0))
        made = [node(f"node-{number}") for number in range(start, start + 500)]
        made[0]["status"]["images"] += filler
        return {"items": made, "metadata": {"continue": str(start + 500) if start < 2000 else ""}}

    api.answers["GET /api/v1/nodes"] = page
    facts = call()["facts"]["nodes"]
    assert facts["count"] == facts["schedulable"] == 2500 and len(facts["names"]) == 100
    assert [asked.query["limit"] for asked in api.asked if asked.path == "/api/v1/nodes"] == ["500"] * 5


def test_without_the_library(call, monkeypatch):
    monkeypatch.setattr(cluster, "kubernetes", None)
    answer = call()
    assert answer["failed"] is True and "kubernetes" in answer["msg"]
