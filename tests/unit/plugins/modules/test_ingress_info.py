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
GATEWAY_CLASSES = f"{ingress_info.GATEWAY_API}/gatewayclasses"
ROUTES = f"{ingress_info.GATEWAY_API}/httproutes"
RUN, SPACE = "run-1", "run"
HOST = "run-1.ingress.kubeproof.test"
BACKENDS = "/api/v1/namespaces/run/pods"


def node(name, address, ready="True"):
    return {
        "metadata": {"name": name},
        "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "allocatable": {"pods": "110"},
            "capacity": {"cpu": "4"},
            "addresses": [{"type": "InternalIP", "address": address}],
        },
    }


def service(kind="NodePort", balancer=()):
    ports = [{"name": "web", "port": 80, "nodePort": 30080}, {"name": "websecure", "port": 443, "nodePort": 30443}]
    spec = {"type": kind, "ports": ports, "selector": {"app": "traefik"}}
    metadata = {"name": "traefik", "namespace": "edge", "labels": {"app.kubernetes.io/name": "traefik"}}
    return {"metadata": metadata, "spec": spec, "status": {"loadBalancer": {"ingress": list(balancer)}}}


ALL = {"namespaces": {"from": "All"}}
GATEWAY = {
    "metadata": {"name": "public", "namespace": "edge"},
    "spec": {"gatewayClassName": "envoy", "listeners": [{"name": "web", "protocol": "HTTP", "port": 8000, "allowedRoutes": ALL}]},
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
            ingress_info.INGRESSES: [],
            SLICES: [{"ports": [{"name": "web", "port": 8000}], "endpoints": [{"nodeName": "a", "targetRef": {"name": "traefik-1"}}]}],
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
        given = {"kubeconfig": api.kubeconfig(tmp_path / "operator"), "run_id": RUN, "namespace": SPACE, **arguments}
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
        "kind": "Ingress",
        "host": HOST,
        "classes": ["traefik"],
        "ingress_class": "traefik",
        "controller": "traefik.io/ingress-controller",
        "service": "edge/traefik",
        "path": {"via": "node port", "addresses": ["192.0.2.1"], "node": "a", "http": 30080, "https": 30443, "said": "node port a:30443"},
        "pods": {"traefik-1": 1},
        "nodes": ["a"],
        "processors": {"a": 4},
    }
    asked = {one.path: one.query for one in api.asked}
    assert asked[PODS]["labelSelector"] == "app=traefik" and asked[SLICES]["labelSelector"] == "kubernetes.io/service-name=traefik"


def test_the_load_runs_on_the_nodes_that_are_named(api, call):
    items(api, "/api/v1/nodes", [node("a", "192.0.2.1"), node("c", "192.0.2.3")])
    assert call()["facts"]["nodes"] == ["a", "c"] and call(nodes=["c"])["facts"]["nodes"] == ["c"]
    assert "certify_load_zones has nowhere, and no node has" in call(zones=["nowhere"])["msg"]


def test_load_balancer_with_a_name(api, call, monkeypatch):
    items(api, "/api/v1/services", [service("LoadBalancer", [{"hostname": "lb.example.com"}])])
    resolved = {"lb.example.com": [(socket.AF_INET6, "2001:db8::5"), (socket.AF_INET, "192.0.2.5"), (socket.AF_INET, "192.0.2.5")]}
    genuine = socket.getaddrinfo

    def resolve(host, *rest, **more):
        return [(family, None, None, "", (address, 0)) for family, address in resolved[host]] if host in resolved else genuine(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    path = {"via": "load balancer", "addresses": ["192.0.2.5", "2001:db8::5"], "kube_proxy": False, "http": 80, "https": 443}
    assert call()["facts"]["path"] == {**path, "said": "load balancer lb.example.com:443"}


def test_what_only_the_status_of_our_ingress_can_say(api, call):
    """Some controllers have no Service: they make a load balancer for each Ingress."""
    items(api, "/api/v1/services", [])
    facts = call()["facts"]
    assert not facts["problem"] and not {"path", "found"} & set(facts)
    assert facts["pending"].startswith("Of the controller traefik.io/ingress-controller no Service")
    # A name that is wrong is no such controller.
    assert "there is no such Service" in call(service="edge/traefik")["facts"]["problem"]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [({"tls_needed": True}, True), ({"tls_needed": True, "host": "a.example.com"}, False), ({}, False), ({"tls": False, "tls_needed": True}, False)],
)
def test_a_certificate_of_others_needs_its_host_name(call, given, wanted):
    facts = call(**given)["facts"]
    assert ("Name in ingress_host a host name that its certificate is for" in facts["problem"]) is wanted
    # That says nothing about the cluster.
    assert ("found" in facts) is not wanted


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
    items(api, "/api/v1/services", [])
    facts = call(tls=False)["facts"]
    assert (facts["gateway"], facts["controller"], facts["found"], facts["kind"], facts["host"]) == ("edge/public", "envoy", True, "HTTPRoute", HOST)
    assert facts["path"] == {"via": "gateway", "addresses": ["192.0.2.9"], "kube_proxy": False, "http": 8000, "https": None, "said": "gateway 192.0.2.9:8000"}
    # Without a listener for HTTPS it is measured without, unless TLS was asked for by name.
    assert call()["facts"]["path"] == facts["path"]
    assert "has no listener for HTTPS" in call(tls_needed=True)["facts"]["problem"]


def test_gateway_by_its_class_and_its_service(api, call):
    """Its listeners name ports of its pods, and it has no address."""
    items(api, GATEWAYS, [{**GATEWAY, "status": {"conditions": GATEWAY["status"]["conditions"]}}])
    items(api, GATEWAY_CLASSES, [{"metadata": {"name": "envoy"}, "spec": {"controllerName": "traefik.io/gateway-controller"}}])
    facts = call(gateway="edge/public")["facts"]
    assert (facts["controller"], facts["service"], facts["pods"]) == ("traefik.io/gateway-controller", "edge/traefik", {"traefik-1": 1})
    path = {"via": "node port", "addresses": ["192.0.2.1"], "node": "a", "http": 30080, "https": None, "said": "node port a:30080"}
    assert facts["path"] == path and "ingress_class" not in facts


def test_gateway_that_is_named(api, call):
    items(api, GATEWAYS, [GATEWAY])
    assert call(gateway="edge/public", tls=False)["facts"]["gateway"] == "edge/public"
    assert "ingress_gateway is edge/other" in call(gateway="edge/other")["facts"]["problem"]


def test_gateway_that_is_not_programmed(api, call):
    items(api, GATEWAYS, [{**GATEWAY, "status": {}}])
    facts = call(gateway="edge/public")["facts"]
    assert facts["found"] is False and "The Gateway edge/public is not programmed" in facts["problem"]


def test_gateway_where_the_cluster_knows_none(call):
    assert "the cluster has no Gateway" in call(gateway="edge/public")["facts"]["problem"]


def test_host_name_that_another_route_has(api, call):
    items(api, GATEWAYS, [GATEWAY])
    spec = {"parentRefs": [{"name": "public", "namespace": "edge"}], "hostnames": ["shop.example.com"]}
    items(api, ROUTES, [{"metadata": {"name": "front", "namespace": "shop"}, "spec": spec}])
    assert "which the HTTPRoute shop/front has" in call(gateway="edge/public", tls=False, host="shop.example.com")["facts"]["problem"]
    assert not call(gateway="edge/public", tls=False, host="test.example.com")["facts"]["problem"]


def ingress(host, labels=None):
    return {"metadata": {"name": "front", "namespace": "shop", "labels": labels}, "spec": {"rules": [{"host": host}]}}


@pytest.mark.parametrize("host", ["shop.example.com", "*.example.com", "plain-shop.example.com"])
@pytest.mark.parametrize("gateway", ["", "edge/public"])
def test_host_name_that_another_ingress_has(api, call, host, gateway):
    items(api, GATEWAYS, [GATEWAY])
    items(api, ingress_info.INGRESSES, [ingress(host)])
    given = {"host": "shop.example.com", "gateway": gateway, "tls": not gateway}
    facts = call(**given)["facts"]
    # By a Gateway there is one host name with and without TLS.
    assert (f"which the Ingress shop/front has ({host}): a route of ours" in facts["problem"]) is not (bool(gateway) and host.startswith("plain"))
    assert "path" not in facts or not facts["problem"]
    items(api, ingress_info.INGRESSES, [ingress(host, {"app.kubernetes.io/managed-by": "kubeproof", "kubeproof.io/run": RUN})])
    assert not call(**given)["facts"]["problem"]


def test_a_controller_without_a_class(api, call):
    """That its address or its Service is named says that there is one."""
    items(api, ingress_info.CLASSES, [])
    for given in ({"address": "192.0.2.7"}, {"service": "edge/traefik"}):
        facts = call(**given)["facts"]
        assert "found" not in facts and "ingress_annotations" in facts["problem"] and "ingress_url" in facts["problem"]
    facts = call(class_annotation="traefik")["facts"]
    assert (facts["controller"], facts["service"], facts["found"], facts["kind"], facts["problem"]) == ("traefik", "edge/traefik", True, "Ingress", "")
    assert "ingress_class" not in facts
    # Of one whose Service is not known the status of our Ingress says the way.
    assert call(class_annotation="gce")["facts"]["pending"].startswith("Of the controller gce no Service")


def test_the_annotation_comes_before_a_class(call):
    facts = call(class_annotation="traefik")["facts"]
    assert "ingress_class" not in facts and facts["controller"] == "traefik"


REPLICASET = "/apis/apps/v1/namespaces/edge/replicasets/traefik-6d4b8c"


def made_by(kind, name):
    return {"metadata": {"name": "traefik-1", "ownerReferences": [{"kind": kind, "name": name, "controller": True}]}, "status": {}}


def test_how_many_pods_the_controller_is_asked_for(api, call):
    items(api, PODS, [made_by("ReplicaSet", "traefik-6d4b8c")])
    api.answers[f"GET {REPLICASET}"] = {"spec": {"replicas": 3}}
    assert call()["facts"]["replicas"] == 3
    for code, reason in ((404, "NotFound"), (403, "Forbidden")):
        api.answers[f"GET {REPLICASET}"] = (code, status(code, reason, "not for you"))
        assert "replicas" not in call()["facts"]
    items(api, PODS, [made_by("Rollout", "traefik")])
    assert "replicas" not in call()["facts"]


def test_address_of_the_owner_before_a_gateway(api, call):
    items(api, GATEWAYS, [GATEWAY])
    path = call(gateway="edge/public", address="192.0.2.7")["facts"]["path"]
    # A port that no listener has is none, whoever has the address.
    assert path == {"via": "ingress_address", "addresses": ["192.0.2.7"], "http": 80, "https": None, "said": "ingress_address 192.0.2.7:80"}


def test_address_of_the_owner(api, call):
    facts = call(address="https://192.0.2.7:8443")["facts"]
    path = {"via": "ingress_address", "addresses": ["192.0.2.7"], "http": None, "https": 8443, "said": "ingress_address 192.0.2.7:8443"}
    assert facts["path"] == path and facts["pods"] == {"traefik-1": 1}
    items(api, "/api/v1/services", [])
    facts = call(address="192.0.2.7")["facts"]
    # What is behind the address is not known, and is not needed.
    assert facts["found"] is True and not facts["problem"] and "pods" not in facts
    assert "there is no such Service" in call(address="192.0.2.7", service="edge/traefik")["facts"]["problem"]


@pytest.mark.parametrize(("address", "addresses", "said"), [("", [], "ingress_url"), ("192.0.2.8", ["192.0.2.8"], "ingress_url at 192.0.2.8")])
def test_url_of_the_owner(api, call, address, addresses, said):
    items(api, ingress_info.CLASSES, [])
    facts = call(url="https://shop.example.com/", address=address)["facts"]
    assert facts["path"] == {"via": "ingress_url", "addresses": addresses, "said": said} and not facts["problem"] and "found" not in facts


def test_an_address_with_a_port_beside_a_url(call):
    assert "With ingress_url write a host alone" in call(url="https://shop.example.com/", address="192.0.2.8:8443")["facts"]["problem"]


def test_backends_of_the_run(call):
    assert call(backends="kubeproof.io/part=backend")["facts"]["backends"] == {"b-0": True, "b-1": False}


def test_no_node_for_the_load(api, call):
    items(api, "/api/v1/nodes", [node("b", "192.0.2.2", "False")])
    answer = call()
    assert answer["failed"] and "ingress_tolerations" in answer["msg"]


@pytest.mark.parametrize("path", ["/api/v1/nodes", ingress_info.CLASSES, "/api/v1/services", SLICES, PODS, ingress_info.INGRESSES])
def test_what_may_not_be_read_fails(api, call, path):
    api.answers[f"GET {path}"] = (403, status(403, "Forbidden", "no rights"))
    answer = call(host="shop.example.com")
    assert answer["failed"] and "403 no rights" in answer["msg"]
