# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import ingress_path
from ansible_collections.kubeproof.certify.plugins.module_utils.ingress_path import PathError

NODES = {"a": "192.0.2.1", "b": "192.0.2.2"}
WEB = [{"name": "web", "port": 80, "nodePort": 30080}, {"name": "websecure", "port": 443, "nodePort": 30443}]


def ingress_class(name, default=False, controller="traefik.io/ingress-controller"):
    return {"metadata": {"name": name, "annotations": {ingress_path.DEFAULT_CLASS: "true"} if default else None}, "spec": {"controller": controller}}


def service(name, kind="NodePort", ports=None, balancer=(), labels=None, **spec):
    namespace, name = name.split("/")
    return {
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {"type": kind, "ports": WEB if ports is None else ports, **spec},
        "status": {"loadBalancer": {"ingress": list(balancer)}},
    }


@pytest.mark.parametrize(
    ("classes", "wanted", "name"),
    [
        ([], "", None),
        ([ingress_class("one")], "", "one"),
        ([ingress_class("one"), ingress_class("two", True)], "", "two"),
        ([ingress_class("one"), ingress_class("two", True)], "one", "one"),
    ],
)
def test_class(classes, wanted, name):
    found = ingress_path.choose_class(classes, wanted)
    assert (found and found["metadata"]["name"]) == name


@pytest.mark.parametrize(
    ("classes", "wanted", "said"),
    [
        ([ingress_class("one")], "two", "ingress_class is two, and the cluster has IngressClass one. Name one"),
        ([], "two", "ingress_class is two, and the cluster has no IngressClass."),
        ([ingress_class("one"), ingress_class("two")], "", "2 IngressClasses, none of which is the default. Name one in ingress_class: one, two."),
        ([ingress_class("one", True), ingress_class("two", True)], "", "2 default classes"),
    ],
)
def test_no_class(classes, wanted, said):
    with pytest.raises(PathError) as refused:
        ingress_path.choose_class(classes, wanted)
    # What a setting names wrongly says nothing about the cluster.
    assert said in str(refused.value) and not refused.value.absent


INTERNAL = service("edge/internal-nginx", labels={"app.kubernetes.io/name": "internal-nginx"}, selector={"app": "internal"})
EXTERNAL = service("edge/nginx", "LoadBalancer", balancer=[{"ip": "192.0.2.5"}], selector={"app": "external"})


@pytest.mark.parametrize(
    ("controller", "services", "name"),
    [
        ("traefik.io/ingress-controller", [service("traefik/traefik"), service("shop/front")], "traefik"),
        ("k8s.io/ingress-nginx", [service("edge/ingress-nginx-controller"), service("shop/front")], "ingress-nginx-controller"),
        (
            "k8s.io/ingress-nginx",
            [service("ingress-nginx/ingress-nginx-controller", "LoadBalancer"), service("ingress-nginx/admission", "ClusterIP")],
            "ingress-nginx-controller",
        ),
        ("haproxy.org/ingress-controller", [service("edge/entry", labels={"app.kubernetes.io/name": "haproxy-ingress"}), service("shop/front")], "entry"),
        # The one that has more of its name, though another one has a load balancer.
        ("k8s.io/internal-ingress-nginx", [INTERNAL, EXTERNAL], "internal-nginx"),
        ("k8s.io/internal-ingress-nginx", [EXTERNAL, INTERNAL], "internal-nginx"),
        # Of two before the same pods the one with an address of a load balancer is where requests come in.
        ("traefik.io/x", [service("traefik/dashboard"), service("traefik/entry", "LoadBalancer", balancer=[{"ip": "192.0.2.5"}])], "entry"),
    ],
)
def test_service_is_called_like_its_controller(controller, services, name):
    assert ingress_path.choose_service(services, "", controller)["metadata"]["name"] == name


@pytest.mark.parametrize(
    ("services", "wanted", "said"),
    [
        ([service("shop/front")], "", "no Service of type LoadBalancer or NodePort looks like it. Name its address in ingress_address"),
        ([service("traefik-a/web"), service("traefik-b/web")], "", "2 Services look like it: traefik-a/web, traefik-b/web."),
        # An application that is called like it, of a controller without a Service of its own (hostPort), and with one that is no entrance (hostNetwork).
        ([service("shop/web-traefik", "LoadBalancer", balancer=[{"ip": "192.0.2.5"}])], "",
         "shop/web-traefik is called like it and may be an application's: neither its namespace nor its label app.kubernetes.io/name says that it is one."),
        ([service("shop/web", labels={"app.kubernetes.io/name": "traefik"}), service("edge/traefik", "ClusterIP")], "",
         "edge/traefik, by which nothing comes in from outside, looks as much like it as shop/web. Name its address"),
        ([service("a/traefik", ports=[{"port": 8080, "name": "admin"}])], "", "no Service"),
        ([service("a/traefik")], "a/other", "ingress_service is a/other, and there is no such Service."),
    ],
)  # fmt: skip
def test_no_service(services, wanted, said):
    with pytest.raises(PathError) as refused:
        ingress_path.choose_service(services, wanted, "traefik.io/ingress-controller")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "other",
    [service("shop/nginx", "LoadBalancer", balancer=[{"ip": "192.0.2.5"}]), service("edge/other-nginx", "LoadBalancer", balancer=[{"ip": "192.0.2.5"}])],
)
def test_a_load_balancer_of_other_pods_is_not_preferred(other):
    """It may be that of an application, or of another controller. What the status of our Ingress says decides then."""
    own = service("edge/ingress-nginx-controller", selector={"app": "ingress-nginx"})
    with pytest.raises(PathError) as refused:
        ingress_path.choose_service([own, other], "", "k8s.io/ingress-nginx")
    assert "2 Services look like it: edge/ingress-nginx-controller, " in str(refused.value) and not refused.value.absent
    assert ingress_path.choose_service([own, other], "edge/ingress-nginx-controller", "k8s.io/ingress-nginx") is own


def test_what_has_less_of_the_name_is_another_controllers():
    """Also where that which has all of it is none that requests from outside come in by."""
    with pytest.raises(PathError, match="no Service of type LoadBalancer or NodePort looks like it"):
        ingress_path.choose_service([service("edge/internal-nginx", "ClusterIP"), EXTERNAL], "", "k8s.io/internal-ingress-nginx")


def test_a_service_of_another_name_can_be_named():
    assert ingress_path.choose_service([service("edge/entry", "ClusterIP")], "edge/entry", "traefik.io/x")["metadata"]["name"] == "entry"


@pytest.mark.parametrize(
    ("balancer", "addresses", "kube_proxy"),
    [
        ([{"ip": "192.0.2.5"}], ["192.0.2.5"], True),
        ([{"ip": "192.0.2.5", "ipMode": "VIP"}], ["192.0.2.5"], True),
        # Then requests from within the cluster see the load balancer too, as they do by a name.
        ([{"ip": "192.0.2.5", "ipMode": "Proxy"}], ["192.0.2.5"], False),
        ([{"ip": "192.0.2.5"}, {"hostname": "lb.example.com"}], ["192.0.2.5", "lb.example.com"], False),
        # One that says that it cannot serve a port is none.
        ([{"ip": "192.0.2.4", "ports": [{"port": 80, "protocol": "TCP", "error": "Taken"}]}, {"ip": "192.0.2.5"}], ["192.0.2.5"], True),
    ],
)
def test_load_balancer_comes_first(balancer, addresses, kube_proxy):
    found = ingress_path.by_service(service("a/t", "LoadBalancer", balancer=balancer), NODES, ["b"])
    assert found == {"via": "load balancer", "addresses": addresses, "kube_proxy": kube_proxy, "http": 80, "https": 443}


@pytest.mark.parametrize("balancer", [[], [{}], [{"ip": "192.0.2.4", "ports": [{"port": 80, "error": "Taken"}]}]])
def test_a_load_balancer_without_an_address_leaves_the_port_of_a_node(balancer):
    found = ingress_path.by_service(service("a/t", "LoadBalancer", balancer=balancer), NODES, ["b"])
    assert (found["via"], found["https"]) == ("node port", 30443)


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ([], None),
        ([{"ip": "192.0.2.5"}], (["192.0.2.5"], 80, 443)),
        ([{"hostname": "lb.example.com", "ports": [{"port": 443, "protocol": "TCP"}]}], (["lb.example.com"], None, 443)),
    ],
)
def test_status_of_our_ingress(entries, found):
    path = ingress_path.by_status({"status": {"loadBalancer": {"ingress": entries}}})
    assert found == (path and (path["addresses"], path["http"], path["https"])) and ingress_path.by_status({}) is None


@pytest.mark.parametrize(
    ("path", "tls", "words"),
    [
        ({"via": "node port", "addresses": ["192.0.2.1"], "node": "a", "http": 30080, "https": 30443}, True, "node port a:30443"),
        ({"via": "node port", "addresses": ["192.0.2.1"], "node": "a", "http": 30080, "https": 30443}, False, "node port a:30080"),
        ({"via": "gateway", "addresses": ["2001:db8::1"], "http": 80, "https": None}, True, "gateway [2001:db8::1]:80"),
        (
            {"via": "load balancer", "addresses": ["192.0.2.5"], "kube_proxy": True, "http": 80, "https": 443},
            True,
            "load balancer 192.0.2.5:443, led there by kube-proxy",
        ),
        ({"via": "ingress_url", "addresses": []}, True, "ingress_url"),
        ({"via": "ingress_url", "addresses": ["192.0.2.8"]}, True, "ingress_url at 192.0.2.8"),
    ],
)
def test_the_way_in_words(path, tls, words):
    assert ingress_path.said(path, tls) == words


@pytest.mark.parametrize(
    ("behind", "policy", "node"),
    [(["b"], "Cluster", "b"), (["b"], "Local", "b"), (["c"], "Cluster", "a"), (["a", "b"], None, "a")],
)
def test_port_of_a_node_with_a_pod_of_the_controller(behind, policy, node):
    found = ingress_path.by_service(service("a/t", externalTrafficPolicy=policy), NODES, behind)
    assert found == {"via": "node port", "addresses": [NODES[node]], "node": node, "http": 30080, "https": 30443}


@pytest.mark.parametrize(
    ("one", "nodes", "behind", "said", "absent"),
    [
        (service("a/t"), NODES, [], "No pod behind the Service a/t", True),
        (service("a/t"), {}, ["a"], "no port on a node that is Ready", False),
        (service("a/t", externalTrafficPolicy="Local"), NODES, ["c"], "no port on a node that is Ready", False),
        (service("a/t", "LoadBalancer", ports=[{"port": 80}]), NODES, ["a"], "no address of a load balancer", False),
    ],
)
def test_no_way_by_the_service(one, nodes, behind, said, absent):
    with pytest.raises(PathError) as refused:
        ingress_path.by_service(one, nodes, behind)
    assert said in str(refused.value) and refused.value.absent is absent


@pytest.mark.parametrize(
    ("address", "tls", "host", "ports"),
    [
        ("192.0.2.7", True, "192.0.2.7", (80, 443)),
        ("lb.example.com", False, "lb.example.com", (80, 443)),
        ("192.0.2.7:8443", True, "192.0.2.7", (None, 8443)),
        ("192.0.2.7:8080", False, "192.0.2.7", (8080, None)),
        ("http://192.0.2.7:8080", True, "192.0.2.7", (8080, None)),
        ("https://lb.example.com/", True, "lb.example.com", (None, 443)),
        ("[2001:db8::1]:8443", True, "2001:db8::1", (None, 8443)),
    ],
)
def test_address_of_the_owner(address, tls, host, ports):
    found = ingress_path.by_owner(address, tls)
    assert (found["addresses"], found["http"], found["https"]) == ([host], *ports)


@pytest.mark.parametrize("address", ["", ":80", "ftp://a", "a:b", "https://a/path", "http://", "[::1"])
def test_address_that_cannot_be_used(address):
    with pytest.raises(PathError, match="^ingress_address is "):
        ingress_path.by_owner(address, True)


@pytest.mark.parametrize(
    ("tls", "http", "https", "said"),
    [(True, 80, None, "no port for https"), (False, None, 443, "no port for http."), (True, None, 443, ""), (False, 80, None, "")],
)
def test_the_way_has_the_port_that_is_measured(tls, http, https, said):
    path = {"via": "gateway", "http": http, "https": https}
    if not said:
        ingress_path.require(path, tls)
        return
    with pytest.raises(PathError) as refused:
        ingress_path.require(path, tls)
    assert said in str(refused.value)


def test_endpoints_that_are_ready():
    slices = [
        {
            "endpoints": [
                {"conditions": {"ready": True}, "targetRef": {"name": "p"}, "nodeName": "a"},
                {"conditions": {"ready": False}, "targetRef": {"name": "q"}, "nodeName": "b"},
                {"addresses": ["192.0.2.3"]},
            ]
        },
        {"endpoints": None},
    ]
    assert ingress_path.endpoints(slices) == {"p": "a", "192.0.2.3": ""}


def test_restarts_of_all_containers():
    pods = [
        {"metadata": {"name": "p"}, "status": {"containerStatuses": [{"restartCount": 1}, {"restartCount": 2}]}},
        {"metadata": {"name": "q"}, "status": {}},
        # What was evicted, or has completed, is none of them any more, and may be cleared away at any time.
        {"metadata": {"name": "r"}, "status": {"phase": "Failed", "containerStatuses": [{"restartCount": 9}]}},
        {"metadata": {"name": "s"}, "status": {"phase": "Succeeded"}},
    ]
    assert ingress_path.restarts(pods) == {"p": 3, "q": 0}


def owned_by(kind=None, name="t", controller=True):
    return {"metadata": {"name": "p", **({"ownerReferences": [{"kind": kind, "name": name, "controller": controller}]} if kind else {})}}


@pytest.mark.parametrize(
    ("pods", "found"),
    [
        ([owned_by("ReplicaSet", "a"), owned_by("ReplicaSet", "a"), owned_by("ReplicaSet", "b")], {("ReplicaSet", "a"), ("ReplicaSet", "b")}),
        ([owned_by("ReplicaSet"), owned_by()], None),
        ([owned_by("Node", controller=False)], None),
        ([], None),
    ],
)
def test_who_makes_the_pods(pods, found):
    assert ingress_path.owners(pods) == found


@pytest.mark.parametrize(
    ("owner", "number"),
    [
        ({"spec": {"replicas": 3}, "status": {"replicas": 2}}, 3),
        ({"spec": {"replicas": 0}}, 0),
        ({"spec": {"template": {}}, "status": {"desiredNumberScheduled": 5}}, 5),
        ({"spec": {}}, 1),
    ],
)
def test_how_many_pods_are_asked_for(owner, number):
    assert ingress_path.replicas(owner) == number


def ingress(*hosts, name="front"):
    return {"metadata": {"namespace": "shop", "name": name}, "spec": {"rules": [{"host": host} if host else {} for host in hosts]}}


@pytest.mark.parametrize(
    ("ingresses", "found"),
    [
        ([ingress("a.example.com", "Shop.example.com")], ("shop/front", "Shop.example.com")),
        ([ingress("*.example.com")], ("shop/front", "*.example.com")),
        ([ingress("plain-shop.example.com")], ("shop/front", "plain-shop.example.com")),
        # What takes every host name has named none, and ours is none of theirs.
        ([ingress(""), ingress("a.example.com"), ingress("shop.example.com.de"), {"metadata": {}, "spec": {}}], None),
        ([ingress("shop.example.com", name="ours")], None),
    ],
)
def test_whether_somebody_else_has_our_host_name(ingresses, found):
    hosts = ["shop.example.com", "plain-shop.example.com"]
    assert ingress_path.rival(ingresses, hosts, lambda one: one["metadata"].get("name") == "ours") == found


@pytest.mark.parametrize(("address", "refused"), [("", False), ("192.0.2.8", False), ("lb.example.com", False), ("192.0.2.8:8443", True), ("https://a/", True)])
def test_beside_a_url_an_address_has_no_port(address, refused):
    if not refused:
        ingress_path.without_port(address)
        return
    with pytest.raises(PathError, match="With ingress_url write a host alone"):
        ingress_path.without_port(address)
