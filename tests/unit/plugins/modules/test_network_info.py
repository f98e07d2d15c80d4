# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils import network_state
from ansible_collections.kubeproof.certify.plugins.module_utils.job_exec import ExecError
from ansible_collections.kubeproof.certify.plugins.module_utils.network_probe import ProbeError
from ansible_collections.kubeproof.certify.plugins.modules import network_info, network_nodes, service_probe
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import FakeCluster, status, write_kubeconfig

RUN = {"app.kubernetes.io/managed-by": "kubeproof", "kubeproof.io/run": "run-1"}
SYSTEM = "/api/v1/namespaces/kube-system"
FORBIDDEN = (403, status(403, "Forbidden", "no rights"))
PROXY = {"metadata": {}, "data": {"config.conf": "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nmode: \"ipvs\"\n"}}


def node(name, **labels):
    state = {"conditions": [{"type": "Ready", "status": "True"}]}
    return {"metadata": {"name": name, "labels": labels}, "spec": {}, "status": state}


@pytest.fixture(name="api")
def fixture_api(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with FakeCluster() as api:
        api.answers = {
            "GET /api/v1/nodes": {"items": [node("n1"), node("n2", **{network_info.WORKER: ""}), node("n3", **{network_info.WORKER: "x"})]},
            "GET /api/v1/services": {"items": [{}], "metadata": {"remainingItemCount": 41, "continue": "x"}},
            f"GET {SYSTEM}/pods": {"items": [{}, {}]},
            f"GET {SYSTEM}/configmaps/kube-proxy": PROXY,
        }
        yield api


@pytest.fixture(name="run")
def fixture_run(capsys, tmp_path):
    def run(module, _check=False, **arguments):
        with patch_module_args({**arguments, "_ansible_check_mode": _check}), pytest.raises(SystemExit):
            module.main()
        return json.loads(capsys.readouterr().out)

    return run


def look(api, run, tmp_path, **arguments):
    return run(network_info, kubeconfig=api.kubeconfig(tmp_path / "k"), run_id="run-1", **arguments)


def test_info(api, run, tmp_path):
    found = look(api, run, tmp_path, netperf=True)
    assert found["layout"]["taking_part"] == ["n1", "n2", "n3"] and len(found["layout"]["pairs"]) == 4
    assert found["facts"] == {
        "nodes": 3, "services": 42, "kube_proxy": {"pods": 2, "mode": "ipvs", "replaced": False}, "workers": ["n2"], "netperf_namespace": False, "problems": [],
    }  # fmt: skip


@pytest.mark.parametrize(("labels", "another"), [(RUN, False), ({**RUN, "kubeproof.io/run": "run-0"}, True), ({}, True)])
def test_a_namespace_netperf_that_is_not_ours_is_told(api, run, tmp_path, labels, another):
    api.answers["GET /api/v1/namespaces/netperf"] = {"metadata": {"name": "netperf", "labels": labels}}
    api.answers["GET /api/v1/namespaces/netperf/pods"] = {"items": []}
    assert look(api, run, tmp_path, netperf=True)["facts"]["netperf_namespace"] is another


def test_why_pods_of_k8s_netperf_do_not_run_is_told(api, run, tmp_path):
    def pod(name, state):
        return {"metadata": {"name": name}, "spec": {}, "status": {"containerStatuses": [{"state": state}]}}

    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}
    api.answers["GET /api/v1/namespaces/netperf"] = {"metadata": {"name": "netperf", "labels": RUN}}
    api.answers["GET /api/v1/namespaces/netperf/pods"] = {"items": [pod("client-1", waiting), pod("server-1", {"running": {}})]}
    assert look(api, run, tmp_path, netperf=True)["facts"]["netperf_troubles"] == ["pod client-1: ImagePullBackOff: Back-off pulling image"]


@pytest.mark.parametrize(
    ("pods", "cilium", "replaced"),
    [(0, "true", True), (0, "strict", True), (0, "partial", False), (2, "true", False), (0, None, False)],
)
def test_what_replaces_kube_proxy(api, run, tmp_path, pods, cilium, replaced):
    api.answers[f"GET {SYSTEM}/pods"] = {"items": [{}] * pods}
    if cilium:
        api.answers[f"GET {SYSTEM}/configmaps/cilium-config"] = {"data": {"kube-proxy-replacement": cilium}}
    found = look(api, run, tmp_path)["facts"]["kube_proxy"]
    assert found["replaced"] is replaced and found.get("by") == ("cilium" if replaced else None)


def test_what_may_not_be_read_is_a_problem(api, run, tmp_path):
    for path in ("/api/v1/services", f"{SYSTEM}/pods", "/api/v1/namespaces/netperf"):
        api.answers[f"GET {path}"] = FORBIDDEN
    facts = look(api, run, tmp_path, netperf=True)["facts"]
    assert {"services", "kube_proxy", "netperf_namespace"}.isdisjoint(facts) and len(facts["problems"]) == 3
    assert all("no rights" in one for one in facts["problems"])


@pytest.mark.parametrize(
    ("arguments", "answers", "said"),
    [
        ({"nodes": ["n7"]}, {}, "network_nodes names n7, which is no node of this cluster."),
        ({}, {"GET /api/v1/nodes": FORBIDDEN}, "no rights"),
    ],
)
def test_without_nodes_there_is_no_layout(api, run, tmp_path, arguments, answers, said):
    api.answers.update(answers)
    found = look(api, run, tmp_path, **arguments)
    assert found["failed"] and said in found["msg"]


# What is asked from pods -----------------------------------------------------------------------------------------------------


def test_nodes_are_asked_at_once_and_one_that_is_silent_is_named(monkeypatch, run, tmp_path):
    class Command:
        def __init__(self, server, namespace, pod, argv):
            if pod == "net-pod-1":
                raise ExecError("no such pod")
            self.argv = argv

        def __enter__(self):
            return self

        def __exit__(self, *dummy):
            pass

        def text(self, seconds, longest):
            assert self.argv[2] == network_state.LOOK
            return b"== sockperf\nsockperf, version 3.7-no.git\n== end\n" if self.argv[-1] == "pod" else b"== mode\nnftables\n"

    monkeypatch.setattr(network_nodes, "Command", Command)
    pods = {"pods": {"pod-0": "net-pod-0", "pod-1": "net-pod-1"}, "hosts": {"host-0": "host-host-0"}}
    found = run(network_nodes, kubeconfig=write_kubeconfig(tmp_path / "k", "http://127.0.0.1:1"), namespace="n", **pods)
    assert found["facts"] == {"pod-0": {"sockperf": "3.7"}, "pod-1": {"error": "no such pod"}, "host-0": {"error": "the answer has no end"}}


@pytest.mark.parametrize(
    ("changed", "check", "said"),
    [
        ({"clients": {}}, False, "clients is empty: name at least one."),
        ({"services": {}}, False, "services is empty: name at least one."),
        ({}, True, "Nothing is measured in check mode."),
        ({"kubeconfig": "/nonexistent"}, False, "The cluster cannot be reached: /nonexistent"),
        ({}, False, "worker1 cannot be asked: gone."),
    ],
)
def test_what_a_probe_refuses(monkeypatch, run, tmp_path, changed, check, said):
    class Probe:
        def __init__(self, server, options):
            self.options = options

        def measure(self):
            raise ProbeError("worker1 cannot be asked: gone.")

    monkeypatch.setattr(service_probe, "Probe", Probe)
    kubeconfig = write_kubeconfig(tmp_path / "k", "http://127.0.0.1:1")
    arguments = {"kubeconfig": kubeconfig, "namespace": "n", "server": "a", "clients": {"a": "b"}, "services": {"c": "d"}, "port": 80, **changed}
    found = run(service_probe, _check=check, **arguments)
    assert found["failed"] and said in found["msg"]
