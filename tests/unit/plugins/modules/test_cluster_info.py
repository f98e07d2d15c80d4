# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import socket

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils import cluster
from ansible_collections.kubeproof.certify.plugins.modules import cluster_info
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import TOKEN, FakeCluster, write_kubeconfig

UID = "0b2b6a52-8e5c-4f58-9a51-4f0b4b7f5a11"
NAMESPACE, VERSION, NODES = "GET /api/v1/namespaces/kube-system", "GET /version", "GET /api/v1/nodes"
FIVE_THOUSAND = {"kind": "NodeList", "metadata": {"remainingItemCount": 4999}, "items": [{}]}
ANSWERS = {
    NAMESPACE: {"kind": "Namespace", "metadata": {"name": "kube-system", "uid": UID}},
    VERSION: {"major": "1", "minor": "36", "gitVersion": "v1.36.3"},
    NODES: lambda asked: {"kind": "NodeList", "items": []} if asked.query.get("labelSelector") == "kubeproof.io/run" else FIVE_THOUSAND,
}


@pytest.fixture(name="api")
def fixture_api():
    with FakeCluster(ANSWERS) as api:
        yield api


@pytest.fixture(name="call")
def fixture_call(capsys, tmp_path, monkeypatch):
    """Return a function that runs the module with a kubeconfig for `url` and returns its answer."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "kubeconfig"

    def call(url=None, token=TOKEN, text=None, **more):
        if url:
            write_kubeconfig(path, url, token)
        elif text is not None:
            path.write_text(text)
        with patch_module_args({"kubeconfig": str(path), **more}), pytest.raises(SystemExit):
            cluster_info.main()
        return json.loads(capsys.readouterr().out)

    call.path = path
    return call


def refused(answer, *said):
    """Assert that the module failed with one sentence that says what was found and what to do."""
    assert answer["failed"] is True and "exception" not in answer and TOKEN not in json.dumps(answer)
    assert "\n" not in answer["msg"] and len(answer["msg"]) < 600
    assert all(text in answer["msg"] for text in said), answer["msg"]


@pytest.mark.parametrize("expected", ["", UID])
def test_identifies(call, api, expected):
    answer = call(api.url, expected_uid=expected)
    assert {key: answer[key] for key in ("uid", "kubernetes", "nodes", "changed")} == {"uid": UID, "kubernetes": "v1.36.3", "nodes": 5000, "changed": False}
    assert [f"{asked.method} {asked.path}" for asked in api.asked] == [NAMESPACE, VERSION, NODES, NODES]
    assert api.asked[2].query == {"limit": "1"}


@pytest.mark.parametrize(("answer", "nodes"), [({"items": [{}]}, 1), ({"items": []}, 0), ({"items": [{}], "metadata": {"remainingItemCount": None}}, 1)])
def test_counts_the_nodes(call, api, answer, nodes):
    api.answers[NODES] = lambda asked: {"items": []} if "labelSelector" in asked.query else answer
    assert call(api.url)["nodes"] == nodes


def test_hollow_nodes_that_a_killed_run_left_are_none_of_the_cluster(call, api):
    """Or else that run could not go on: it would be of a smaller cluster."""
    of_run = {"items": [{"metadata": {"labels": {"kubeproof.io/run": "a"}}}] * 20}
    every = {"items": [{}], "metadata": {"remainingItemCount": 22}}
    api.answers[NODES] = lambda asked: of_run if asked.query.get("labelSelector") == "kubeproof.io/run" else every
    assert call(api.url)["nodes"] == 3


PODS = "GET /api/v1/namespaces/kube-system/pods"


@pytest.mark.parametrize(("answer", "found"), [({"items": [{}] * 30}, 30), ({"items": []}, 0), ((403, {"kind": "Status"}), None), ({"items": 7}, None)])
def test_counts_the_pods_of_coredns(call, api, answer, found):
    api.answers[PODS] = lambda asked: answer if "kube-dns" in asked.query["labelSelector"] else {"items": []}
    assert call(api.url, configuration=True).get("dns_pods") == found and "dns_pods" not in call(api.url)


def test_another_cluster(call, api):
    refused(call(api.url, expected_uid="other"), "certify_cluster_uid is other", f"has {UID}", "This is another cluster")


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({NAMESPACE: (403, {"kind": "Status", "message": "no right"})}, "kube-system: 403 no right. "),
        ({NAMESPACE: (404, {"kind": "Status"})}, "could not be identified: GET /api/v1/namespaces/kube-system: 404. "),
        ({VERSION: (500, b"<html>broken</html>")}, "GET /version: 500 <html>broken</html>. "),
        ({NODES: (403, {"message": "no nodes"})}, "GET /api/v1/nodes: 403 no nodes. "),
        ({NAMESPACE: {"kind": "Namespace"}}, "has no UID or no version"),
        ({NAMESPACE: {"metadata": {"name": "kube-system"}}}, "has no UID or no version"),
        ({NAMESPACE: (200, b"<html>")}, "the answer is no JSON"),
        ({VERSION: {}}, "has no UID or no version"),
    ],
)
def test_a_server_that_is_no_cluster(call, api, answers, said):
    api.answers.update(answers)
    refused(call(api.url), f"the cluster of {call.path}", said, "Correct the file or the network.")


def test_a_wrong_token(call, api):
    refused(call(api.url, token="other"), "could not be identified: ", "401 Unauthorized")


def test_unreachable(call):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    refused(call(f"http://127.0.0.1:{port}"), "could not be identified", "Connection refused")


def test_a_server_that_is_silent_is_asked_once(call, monkeypatch):
    monkeypatch.setattr(cluster_info, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        refused(call(f"http://127.0.0.1:{listener.getsockname()[1]}"), "could not be identified", "timed out")
        listener.settimeout(0.3)
        accepted = 0
        try:
            while True:
                listener.accept()[0].close()
                accepted += 1
        except TimeoutError:
            pass
    assert accepted == 1


@pytest.mark.parametrize("text", [None, "", "not: [yaml", "a: b", "[]"])
def test_a_file_that_is_no_kubeconfig(call, text):
    refused(call(text=text), f"the cluster of {call.path} could not be identified: ", "Correct the file or the network.")


def test_without_the_library(call, api, monkeypatch):
    monkeypatch.setattr(cluster, "kubernetes", None)
    answer = call(api.url)
    assert answer["failed"] is True and "kubernetes" in answer["msg"]
