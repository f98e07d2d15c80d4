# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import socket

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.kubeproof.certify.plugins.modules import ingress_info
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import TOKEN, FakeCluster, status

PODS = "/api/v1/namespaces/edge/pods"
SLICES = ingress_info.SLICES.format("edge")
GATEWAYS = f"{ingress_info.GATEWAY_API}/gateways"
BACKENDS = "/api/v1/namespaces/run/pods"


def node(name, address, ready="True"):
    return {
        "metadata": {"name": name},
        "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "allocatable": {"pods": "110"},
            "addresses": [{"type": "InternalIP", "address": address}],
        },
    }


def service(kind="NodePort", balancer=()):
    ports = [{"name": "web", "port": 80, "nodePort": 30080}, {"name": "websecure", "port": 443, "nodePort": 30443}]
    spec = {"type": kind, "ports": ports, "selector": {"app": "traefik"}}
    return {"metadata": {"name": "traefik", "namespace": "edge"}, "spec": spec, "status": {"loadBalancer": {"ingress": list(balancer)}}}


GATEWAY = {
    "metadata": {"name": "public", "namespace": "edge"},
    "spec": {"gatewayClassName": "envoy", "listeners": [{"protocol": "HTTP", "port": 80, "allowedRoutes": {"namespaces": {"from": "All"}}}]},
    "status": {"addresses": [{"value": "192.0.2.9"}], "conditions": [{"type": "Programmed", "status": "True"}]},
}


@pytest.fixture(name="api")
def fixture_api(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with FakeCluster() as api:
        lists = {
            "/api/v1/nodes": [node("a", "192.0.2.1"), node("b", "192.0.2.2", "False")],
            "/api/v1/services": [service()],
            ingress_info.CLASSES: [{"metadata": {"name": "traefik"}, "spec": {"controller": "traefik.io/ingress-controller"}}],
            SLICES: [{"endpoints": [{"conditions": {"ready": True}, "nodeName": "a", "targetRef": {"name": "traefik-1"}}]}],
            PODS: [{"metadata": {"name": "traefik-1"}, "status": {"containerStatuses": [{"restartCount": 1}]}}],
            BACKENDS: [
                {"metadata": {"name": "b-0"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}},
                {"metadata": {"name": "b-1"}, "status": {}},
            ],
        }
        api.answers = {f"GET {path}": {"items": items} for path, items in lists.items()}
        yield api


@pytest.fixture(name="call")
def fixture_call(api, capsys, tmp_path):
    """Return a function that runs the module and returns its answer, in which no token is."""

    def call(**arguments):
        given = {"kubeconfig": api.kubeconfig(tmp_path / "operator"), **arguments}
        with patch_module_args(given), pytest.raises(SystemExit):
            ingress_info.main()
        out = capsys.readouterr().out
        assert TOKEN not in out
        return json.loads(out)

    return call


def items(api, path, found):
    api.answers[f"GET {path}"] = {"items": found}


def test_controller_behind_a_port_of_a_node(api, call):
    facts = call()["facts"]
    assert facts == {
        "problem": "",
        "found": True,
        "classes": ["traefik"],
        "ingress_class": "traefik",
        "controller": "traefik.io/ingress-controller",
        "service": "edge/traefik",
        "path": {"via": "node port", "addresses": ["192.0.2.1"], "node": "a", "http": 30080, "https": 30443},
        "pods": {"traefik-1": 1},
        "nodes": ["a"],
    }
    asked = {one.path: one.query for one in api.asked}
    assert asked[PODS]["labelSelector"] == "app=traefik" and asked[SLICES]["labelSelector"] == "kubernetes.io/service-name=traefik"


def test_load_balancer_with_a_name(api, call, monkeypatch):
    items(api, "/api/v1/services", [service("LoadBalancer", [{"hostname": "lb.example.com"}])])
    resolved = {"lb.example.com": [(socket.AF_INET6, "2001:db8::5"), (socket.AF_INET, "192.0.2.5"), (socket.AF_INET, "192.0.2.5")]}
    genuine = socket.getaddrinfo

    def resolve(host, *rest, **more):
        return [(family, None, None, "", (address, 0)) for family, address in resolved[host]] if host in resolved else genuine(host, *rest, **more)

    monkeypatch.setattr(ingress_info.socket, "getaddrinfo", resolve)
    assert call()["facts"]["path"] == {"via": "load balancer", "addresses": ["192.0.2.5", "2001:db8::5"], "http": 80, "https": 443}


def test_a_name_that_nobody_knows(call):
    facts = call(address="nowhere.invalid")["facts"]
    assert facts["problem"].startswith("nowhere.invalid cannot be resolved on this machine") and "path" not in facts


def test_no_controller(api, call):
    items(api, ingress_info.CLASSES, [])
    facts = call()["facts"]
    assert facts["found"] is False and "no IngressClass and no Gateway" in facts["problem"]


def test_no_pod_of_the_controller_is_ready(api, call):
    items(api, SLICES, [])
    facts = call()["facts"]
    assert facts["found"] is False and "No pod behind the Service edge/traefik" in facts["problem"]


def test_a_class_that_is_not_there_says_nothing_about_the_cluster(call):
    facts = call(ingress_class="nginx")["facts"]
    assert "found" not in facts and "ingress_class is nginx" in facts["problem"] and facts["classes"] == ["traefik"]


def test_gateway_where_there_is_no_class(api, call):
    items(api, ingress_info.CLASSES, [])
    items(api, GATEWAYS, [GATEWAY])
    facts = call(tls=False)["facts"]
    assert (facts["gateway"], facts["controller"], facts["found"], facts["path"]["via"]) == ("edge/public", "envoy", True, "gateway")
    assert "no port for https" in call(tls=True)["facts"]["problem"]


def test_gateway_that_is_named(api, call):
    items(api, GATEWAYS, [GATEWAY])
    assert call(gateway="edge/public", tls=False)["facts"]["gateway"] == "edge/public"
    assert "ingress_gateway is edge/other" in call(gateway="edge/other")["facts"]["problem"]


def test_address_of_the_owner(api, call):
    facts = call(address="https://192.0.2.7:8443")["facts"]
    assert facts["path"] == {"via": "ingress_address", "addresses": ["192.0.2.7"], "http": None, "https": 8443} and facts["pods"] == {"traefik-1": 1}
    items(api, "/api/v1/services", [])
    facts = call(address="192.0.2.7")["facts"]
    # What is behind the address is not known, and is not needed.
    assert facts["found"] is True and not facts["problem"] and "pods" not in facts
    assert "there is no such Service" in call(address="192.0.2.7", service="edge/traefik")["facts"]["problem"]


@pytest.mark.parametrize(("address", "addresses"), [("", []), ("192.0.2.8", ["192.0.2.8"])])
def test_url_of_the_owner(api, call, address, addresses):
    items(api, ingress_info.CLASSES, [])
    facts = call(url="https://shop.example.com/", address=address)["facts"]
    assert facts["path"] == {"via": "ingress_url", "addresses": addresses} and not facts["problem"] and "found" not in facts


def test_backends_of_the_run(call):
    assert call(namespace="run", backends="kubeproof.io/part=backend")["facts"]["backends"] == {"b-0": True, "b-1": False}


def test_no_node_for_the_load(api, call):
    items(api, "/api/v1/nodes", [node("b", "192.0.2.2", "False")])
    answer = call()
    assert answer["failed"] and "ingress_tolerations" in answer["msg"]


@pytest.mark.parametrize("path", ["/api/v1/nodes", ingress_info.CLASSES, "/api/v1/services", SLICES, PODS])
def test_what_may_not_be_read_fails(api, call, path):
    api.answers[f"GET {path}"] = (403, status(403, "Forbidden", "no rights"))
    answer = call()
    assert answer["failed"] and "403 no rights" in answer["msg"]
