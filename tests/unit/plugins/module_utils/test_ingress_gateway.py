# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import ingress_gateway
from ansible_collections.kubeproof.certify.plugins.module_utils.ingress_path import PathError

RUN, SPACE = "run-1", "kubeproof-run-1-ingress"
DEFAULT = f"{RUN}.{ingress_gateway.DOMAIN}"


def condition(kind, status="True", reason="Done", text="all is well", generation=1):
    return {"type": kind, "status": status, "reason": reason, "message": text, "observedGeneration": generation}


GOOD = [condition("Accepted"), condition("Programmed")]


def gateway(name="edge/public", listeners=(), addresses=("192.0.2.9",), conditions=None, states=()):
    namespace, name = name.split("/")
    values = [one if isinstance(one, dict) else {"type": "IPAddress", "value": one} for one in addresses]
    return {
        "metadata": {"namespace": namespace, "name": name, "generation": 1},
        "spec": {"gatewayClassName": "c", "listeners": list(listeners)},
        "status": {"addresses": values, "conditions": GOOD if conditions is None else conditions, "listeners": list(states)},
    }


def listener(protocol="HTTP", port=80, allowed="All", hostname=None, name=None, kinds=None, **more):
    spaces = allowed if isinstance(allowed, dict) else {"from": allowed}
    rules = {"namespaces": spaces, **({"kinds": kinds} if kinds else {})}
    return {"name": name or protocol.lower(), "protocol": protocol, "port": port, "hostname": hostname, "allowedRoutes": rules, **more}


def selector(labels=None, *expressions):
    return {"from": "Selector", "selector": {"matchLabels": labels or {}, "matchExpressions": list(expressions)}}


def asked(host="", tls=True, needed=False):
    return ingress_gateway.ours(RUN, SPACE, host, tls, needed)


def taken(*listeners, host="", tls=True, needed=False, **more):
    return ingress_gateway.take(gateway(listeners=listeners, **more), asked(host, tls, needed))


def refused(*listeners, **more):
    with pytest.raises(PathError) as error:
        taken(*listeners, **more)
    return error.value


WILD = f"*.{ingress_gateway.DOMAIN}"
BOTH = (listener(), listener("HTTPS", 443, hostname=WILD))


@pytest.mark.parametrize(
    ("listeners", "tls", "ports"),
    [
        (BOTH, True, (80, 443)),
        (BOTH, False, (80, 443)),
        (BOTH[:1], True, (80, None)),
        (BOTH[1:], True, (None, 443)),
        ((listener(allowed="Same"), listener("HTTPS", 8443, hostname=WILD)), True, (None, 8443)),
        ((*BOTH, listener("TCP", 9), listener("HTTPS", 8443, hostname="shop.example.com")), True, (80, 443)),
        # The one that is for the host name comes before the one that is for all.
        ((listener("HTTPS", 443), listener("HTTPS", 8443, hostname=WILD, name="ours")), True, (None, 8443)),
    ],
)
def test_listeners_that_take_our_route(listeners, tls, ports):
    found = taken(*listeners, tls=tls)
    assert (found["http"], found["https"], found["host"]) == (*ports, DEFAULT)


@pytest.mark.parametrize(
    ("allowed", "takes"),
    [
        ("All", True),
        ("Same", False),
        ("None", False),
        (selector({"app.kubernetes.io/managed-by": "kubeproof"}), True),
        (selector({"kubernetes.io/metadata.name": SPACE}), True),
        (selector({"team": "shop"}), False),
        (selector(), True),
        (selector({"kubeproof.io/run": RUN}, {"key": "team", "operator": "DoesNotExist"}), True),
        (selector({}, {"key": "app.kubernetes.io/managed-by", "operator": "In", "values": ["kubeproof", "helm"]}), True),
        (selector({}, {"key": "app.kubernetes.io/managed-by", "operator": "NotIn", "values": ["kubeproof"]}), False),
        (selector({}, {"key": "kubeproof.io/run", "operator": "Exists"}), True),
        (selector({}, {"key": "kubeproof.io/run", "operator": "Unheard"}), False),
    ],
)
def test_namespaces_whose_routes_are_taken(allowed, takes):
    if takes:
        assert taken(listener(allowed=allowed), tls=False)["http"] == 80
    else:
        error = refused(listener(allowed=allowed), tls=False)
        assert "for HTTP takes a route of ours: http (HTTP 80) takes routes of" in str(error) and "app.kubernetes.io/managed-by: kubeproof" in str(error)
        assert not error.absent


def test_a_gateway_in_our_own_namespace_takes_its_routes():
    one = gateway(f"{SPACE}/g", listeners=[listener(allowed="Same")])
    assert ingress_gateway.take(one, asked(tls=False))["http"] == 80


@pytest.mark.parametrize(
    ("listeners", "more", "said"),
    [
        ([listener("HTTPS", 443, "Same"), listener()], {}, "No listener of the Gateway edge/public for HTTPS takes a route of ours: https (HTTPS 443) takes"),
        ([listener("HTTPS", 443, tls={"mode": "Passthrough"})], {}, "passes TLS on to backends"),
        ([listener(kinds=[{"kind": "GRPCRoute"}])], {"tls": False}, "takes no HTTPRoute"),
        ([listener(kinds=[{"kind": "HTTPRoute", "group": "example.com"}])], {"tls": False}, "takes no HTTPRoute"),
        ([listener("TCP", 9)], {}, "has no listener for HTTP, which is to be measured"),
        ([], {}, "has no listener for HTTP"),
        ([listener("HTTPS", 443)], {"tls": False}, "has no listener for HTTP,"),
        ([listener()], {"needed": True}, "has no listener for HTTPS. Give it one, or set ingress_tls to none"),
        (
            [listener("HTTPS", 443)],
            {"states": [{"name": "https", "conditions": [condition("ResolvedRefs", "False", "InvalidCertificateRef", "no Secret")]}]},
            "https (HTTPS 443) ResolvedRefs is False: InvalidCertificateRef: no Secret",
        ),
        (
            [listener()],
            {"tls": False, "states": [{"name": "http", "conditions": [condition("Conflicted", "True", "HostnameConflict", "twice")]}]},
            "Conflicted is True: HostnameConflict: twice",
        ),
    ],
)
def test_no_listener_takes_our_route(listeners, more, said):
    assert said in str(refused(*listeners, **more))


def test_a_kind_without_its_group_is_the_apis_own():
    assert taken(listener(kinds=[{"kind": "HTTPRoute"}]), tls=False)["http"] == 80


@pytest.mark.parametrize(
    ("hostnames", "given", "host"),
    [
        # Its certificate is for what the listener is for.
        ([None, "*.apps.example.com"], "", f"{RUN}.apps.example.com"),
        ([None], "shop.example.com", "shop.example.com"),
        (["*.apps.example.com"], "", f"{RUN}.apps.example.com"),
        (["shop.example.com", "*.apps.example.com"], "", f"{RUN}.apps.example.com"),
        ([WILD], "", DEFAULT),
        (["*.apps.example.com"], "test.apps.example.com", "test.apps.example.com"),
        (["*.example.com"], "a.b.example.com", "a.b.example.com"),
        (["shop.example.com"], "Shop.example.com", "Shop.example.com"),
    ],
)
def test_host_name_that_a_listener_is_for(hostnames, given, host):
    listeners = [listener("HTTPS", 443 + number, hostname=one, name=f"l{number}") for number, one in enumerate(hostnames)]
    assert taken(*listeners, host=given)["host"] == host


@pytest.mark.parametrize(
    ("hostname", "given", "said"),
    [
        ("shop.example.com", "", "are for shop.example.com alone. Add one such as *."),
        ("*.example.com", "example.com", "ingress_host is example.com, and the listeners of the Gateway edge/public are for *.example.com."),
        ("*.example.com", "a.example.org", "Write one that they take, or leave it empty."),
        ("shop.example.com", "a.shop.example.com", "are for shop.example.com."),
    ],
)
def test_host_name_that_no_listener_is_for(hostname, given, said):
    assert said in str(refused(listener("HTTPS", 443, hostname=hostname), host=given))


@pytest.mark.parametrize("hostnames", [[None], [None, "shop.example.com"]])
def test_what_a_certificate_is_for_is_not_guessed(hostnames):
    """A name that this tool chose, and that no certificate can be for, would be a FAIL of the cluster."""
    listeners = [listener("HTTPS", 443 + number, hostname=one, name=f"l{number}") for number, one in enumerate(hostnames)]
    error = refused(*listeners)
    assert "for HTTPS has no hostname" in str(error) and "Name in ingress_host a host name that its certificate is for" in str(error) and not error.absent
    # Without TLS every name will do.
    assert taken(listener(hostname=None), tls=False)["host"] == taken(listener(hostname=None))["host"] == DEFAULT


def test_http_of_another_host_name_is_left_out():
    found = taken(listener(hostname="shop.example.com"), listener("HTTPS", 443, hostname="*.apps.example.com"))
    assert found == {"host": f"{RUN}.apps.example.com", "http": None, "https": 443}


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        ([], "its controller has not said so: is that of its class c running?"),
        ([condition("Accepted")], "its controller has not said so"),
        ([condition("Accepted"), condition("Programmed", "False", "AddressNotAssigned", "none yet")], "Programmed is False: AddressNotAssigned: none yet"),
        ([condition("Accepted", "False", "ListenersNotValid", "All must be"), condition("Programmed")], "Accepted is False: ListenersNotValid: All must be"),
        ([condition("Accepted"), condition("Programmed", generation=0)], "its last change was not yet looked at"),
        ([condition("Accepted"), condition("Programmed", "Unknown", "Pending", "")], "Programmed is Unknown: Pending"),
    ],
)
def test_gateway_that_is_not_programmed(conditions, said):
    error = refused(*BOTH, conditions=conditions)
    assert str(error).startswith("The Gateway edge/public is not programmed: ") and said in str(error) and error.absent


def test_what_is_wrong_with_a_listener_is_said_of_its_gateway():
    states = [{"name": "https", "conditions": [condition("ResolvedRefs", "False", "InvalidCertificateRef", "no Secret")]}]
    assert "listener https, ResolvedRefs is False: InvalidCertificateRef: no Secret" in str(refused(*BOTH, conditions=[], states=states))


@pytest.mark.parametrize(
    ("gateways", "wanted", "name"),
    [
        ([], "", None),
        ([gateway("a/x", BOTH), gateway("a/y", BOTH, conditions=[])], "", "x"),
        # One that forbids our namespace is none to choose from.
        ([gateway("a/x", [listener(allowed="Same")]), gateway("b/y", BOTH)], "", "y"),
        ([gateway("a/x", BOTH), gateway("a/y", BOTH)], "a/y", "y"),
    ],
)
def test_gateway(gateways, wanted, name):
    found = ingress_gateway.choose(gateways, wanted, asked())
    assert (found and found[0]["metadata"]["name"]) == name


@pytest.mark.parametrize(
    ("gateways", "wanted", "said", "absent"),
    [
        ([gateway("a/x", BOTH)], "x", "ingress_gateway is x, and the cluster has Gateway a/x.", False),
        ([], "a/x", "ingress_gateway is a/x, and the cluster has no Gateway.", False),
        ([gateway("a/x", BOTH), gateway("a/y", BOTH)], "", "2 Gateways take our route. Name one in ingress_gateway: a/x, a/y.", False),
        ([gateway("a/x", BOTH, conditions=[])], "", "The Gateway a/x is not programmed", True),
        ([gateway("a/x", BOTH, conditions=[])], "a/x", "The Gateway a/x is not programmed", True),
        ([gateway("a/x", BOTH, conditions=[]), gateway("a/y")], "", "None of 2 Gateways can be used. The Gateway a/x is not programmed", False),
    ],
)
def test_no_gateway(gateways, wanted, said, absent):
    with pytest.raises(PathError) as error:
        ingress_gateway.choose(gateways, wanted, asked())
    assert said in str(error.value) and error.value.absent is absent


# The way to it -----------------------------------------------------------------------------------------------------------------

WEB = [{"name": "web", "port": 80, "nodePort": 30080}, {"name": "websecure", "port": 443, "nodePort": 30443}]
TARGETS = {"web": 8000, "websecure": 8443}
NODES = {"a": "192.0.2.1"}
PORTS = {"host": DEFAULT, "http": 80, "https": 443}
INSIDE = {"host": DEFAULT, "http": 8000, "https": 8443}


def service(name="edge/traefik", kind="NodePort", balancer=(), labels=None):
    namespace, name = name.split("/")
    spec = {"type": kind, "ports": WEB}
    return {"metadata": {"namespace": namespace, "name": name, "labels": labels}, "spec": spec, "status": {"loadBalancer": {"ingress": list(balancer)}}}


@pytest.mark.parametrize(
    ("addresses", "listeners", "behind", "found"),
    [
        (["192.0.2.9"], PORTS, None, {"via": "gateway", "addresses": ["192.0.2.9"], "kube_proxy": False, "http": 80, "https": 443}),
        (["192.0.2.9"], {**PORTS, "http": None}, None, {"via": "gateway", "addresses": ["192.0.2.9"], "kube_proxy": False, "http": None, "https": 443}),
        ([{"type": "Hostname", "value": "lb.example.com"}, {"type": "NamedAddress", "value": "x"}], PORTS, None,
         {"via": "gateway", "addresses": ["lb.example.com"], "kube_proxy": False, "http": 80, "https": 443}),
        # Traefik's listeners name ports of its pods.
        (["192.0.2.9"], INSIDE, service(), {"via": "gateway", "addresses": ["192.0.2.9"], "kube_proxy": False, "http": 80, "https": 443}),
        (["192.0.2.5"], INSIDE, service(kind="LoadBalancer", balancer=[{"ip": "192.0.2.5"}]),
         {"via": "gateway", "addresses": ["192.0.2.5"], "kube_proxy": True, "http": 80, "https": 443}),
        (["192.0.2.5"], PORTS, service(kind="LoadBalancer", balancer=[{"ip": "192.0.2.5", "ipMode": "Proxy"}]),
         {"via": "gateway", "addresses": ["192.0.2.5"], "kube_proxy": False, "http": 80, "https": 443}),
        # Without an address of its own a Gateway is where its Service is.
        ([], PORTS, service(), {"via": "node port", "addresses": ["192.0.2.1"], "node": "a", "http": 30080, "https": 30443}),
        ([], INSIDE, service(), {"via": "node port", "addresses": ["192.0.2.1"], "node": "a", "http": 30080, "https": 30443}),
        ([], {**INSIDE, "https": None}, service(), {"via": "node port", "addresses": ["192.0.2.1"], "node": "a", "http": 30080, "https": None}),
    ],
)  # fmt: skip
def test_way(addresses, listeners, behind, found):
    assert ingress_gateway.way(gateway(addresses=addresses), listeners, behind, TARGETS, NODES, ["a"]) == found


@pytest.mark.parametrize(
    ("behind", "nodes", "said", "absent"),
    [(None, [], "The Gateway edge/public has no address that can be used.", False), (service(), [], "No pod behind the Service edge/traefik", True)],
)
def test_no_way(behind, nodes, said, absent):
    with pytest.raises(PathError) as error:
        ingress_gateway.way(gateway(addresses=[]), PORTS, behind, TARGETS, NODES, nodes)
    assert str(error.value).startswith(said) and error.value.absent is absent


OWNED = {ingress_gateway.OWNERS[0]: "public"}


@pytest.mark.parametrize(
    ("services", "wanted", "controller", "name"),
    [
        ([service("edge/public-istio", labels=OWNED), service("edge/istiod")], "", "istio.io/gateway-controller", "edge/public-istio"),
        # Gateways of one name in two namespaces.
        ([service("edge/one", labels=OWNED), service("shop/two", labels=OWNED)], "", "x", "edge/one"),
        ([service("envoy/one", labels={ingress_gateway.OWNERS[1]: "public"})], "", "x", "envoy/one"),
        ([service("a/one", labels=OWNED), service("b/two", labels=OWNED)], "", "x", None),
        ([service("traefik/traefik"), service("edge/other")], "", "traefik.io/gateway-controller", "traefik/traefik"),
        ([service("edge/traefik"), service("edge/other")], "edge/other", "traefik.io/gateway-controller", "edge/other"),
        ([service("edge/front")], "", "networking.gke.io/gateway", None),
    ],
)
def test_service_of_a_gateway(services, wanted, controller, name):
    found = ingress_gateway.service_of(services, wanted, gateway(), controller)
    assert (found and ingress_gateway.full_name(found)) == name


def test_a_service_that_is_named_must_be_there():
    with pytest.raises(PathError, match="ingress_service is edge/none"):
        ingress_gateway.service_of([service()], "edge/none", gateway(), "x")


# Our route ---------------------------------------------------------------------------------------------------------------------


def route(*parents, name="shop/front", hostnames=None, references=({"name": "public", "namespace": "edge"},), labels=None):
    namespace, name = name.split("/")
    return {
        "metadata": {"namespace": namespace, "name": name, "generation": 1, "labels": labels},
        "spec": {"parentRefs": list(references), "hostnames": hostnames},
        "status": {"parents": list(parents)},
    }


def parent(*conditions, name="public", namespace="edge"):
    return {"parentRef": {"name": name, "namespace": namespace}, "conditions": list(conditions)}


ACCEPTED, RESOLVED = condition("Accepted"), condition("ResolvedRefs")
REFUSED = condition("Accepted", "False", "NotAllowedByListeners", "no  listener\ntakes it")


@pytest.mark.parametrize(
    ("parents", "state"),
    [
        ([], ""),
        ([parent(ACCEPTED, RESOLVED)], "accepted"),
        ([parent(ACCEPTED)], "accepted"),
        ([parent(RESOLVED)], ""),
        ([parent(ACCEPTED, condition("ResolvedRefs", generation=0))], ""),
        ([parent(REFUSED, RESOLVED)], "Accepted is False: NotAllowedByListeners: no listener takes it"),
        ([parent(ACCEPTED, condition("ResolvedRefs", "False", "BackendNotFound", "x"))], "ResolvedRefs is False: BackendNotFound: x"),
        ([parent(ACCEPTED, RESOLVED), parent(REFUSED)], "Accepted is False: NotAllowedByListeners: no listener takes it"),
        ([parent(ACCEPTED, RESOLVED, name="other")], ""),
    ],
)
def test_what_the_controller_says_of_our_route(parents, state):
    assert ingress_gateway.state_of(route(*parents), "edge/public") == state


@pytest.mark.parametrize(
    ("one", "rival"),
    [
        (route(hostnames=["shop.example.com"]), "shop/front"),
        (route(hostnames=["other.example.com"]), None),
        # Without a host name of its own it has the listener's.
        (route(), "shop/front"),
        (route(hostnames=["shop.example.com"], references=[{"name": "other", "namespace": "edge"}]), None),
        (route(hostnames=["shop.example.com"], name="edge/front", references=[{"name": "public"}]), "edge/front"),
        (route(hostnames=["shop.example.com"], labels={"app.kubernetes.io/managed-by": "kubeproof", "kubeproof.io/run": RUN}), None),
    ],
)
def test_routes_that_have_our_host_name(one, rival):
    edge = gateway(listeners=[listener(hostname="shop.example.com")])
    assert ingress_gateway.rival(edge, [one], "shop.example.com", RUN) == rival


@pytest.mark.parametrize(
    ("listeners", "one", "rival"),
    [
        # Ours is the more specific one, and would take all its requests.
        ([{"hostname": "*.example.com"}], route(hostnames=["*.example.com"]), "shop/front"),
        ([{"hostname": "*.example.com"}], route(), "shop/front"),
        ([{"hostname": "*.example.com"}], route(hostnames=["*.example.org"]), None),
        # Of a route for one listener only that one counts.
        ([{"hostname": "*.example.com", "name": "a"}, {"hostname": "*.example.org", "name": "b"}],
         route(references=[{"name": "public", "namespace": "edge", "sectionName": "b"}]), None),
        ([{"hostname": "*.example.com", "name": "a"}, {"hostname": "*.example.org", "name": "b"}],
         route(references=[{"name": "public", "namespace": "edge", "sectionName": "a"}]), "shop/front"),
        # What takes every host name, such as a redirect to HTTPS, has named none.
        ([{}], route(), None),
    ],
)  # fmt: skip
def test_routes_that_have_it_by_a_wildcard(listeners, one, rival):
    edge = gateway(listeners=[{**listener(), **given} for given in listeners])
    assert ingress_gateway.rival(edge, [one], "shop.example.com", RUN) == rival


@given(protocol=st.sampled_from(["HTTP", "HTTPS", "TLS"]), source=st.sampled_from(["All", "Same", "Selector", "Sometimes"]), hostname=st.text(max_size=12),
       labels=st.dictionaries(st.sampled_from(["a", "kubeproof.io/run"]), st.text(max_size=5), max_size=2))  # fmt: skip
def test_a_gateway_is_taken_or_refused_with_a_sentence(protocol, source, hostname, labels):
    one = listener(protocol, 443, {"from": source, "selector": {"matchLabels": labels}}, hostname=hostname)
    try:
        found = taken(one)
    except PathError as error:
        assert str(error).endswith(".")
    else:
        assert source in ("All", "Selector") and {found["http"], found["https"]} == {443, None} and found["host"].startswith(RUN)
