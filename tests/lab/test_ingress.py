# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ingress layer on a real controller: what it measures, what faults make of the certificate, and that nothing stays."""

from __future__ import annotations

import contextlib
import functools
import json
import subprocess
import time

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import cluster
from ansible_collections.kubeproof.certify.plugins.modules import ingress_route
from ansible_collections.kubeproof.certify.tests.lab.conftest import STATE, wait_for
from ansible_collections.kubeproof.certify.tests.lab.test_network import dropped
from ansible_collections.kubeproof.certify.tests.lab.test_storage import made, once_there

pytestmark = pytest.mark.lab
API = "gateway.networking.k8s.io/v1"
RUN_LABEL = "kubeproof.io/run"
KINDS = "namespaces,clusterroles,clusterrolebindings"
CONTROLLER = "traefik"
# One class that no controller serves.
NOBODY = {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "kubeproof-test"}, "spec": {"controller": "example.com/nobody"}}
EMPTY = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "kubeproof-test", "namespace": "default"},
    "spec": {"type": "NodePort", "selector": {"app": "kubeproof-test"}, "ports": [{"port": 80}]},
}
# A Gateway of the lab's controller, which has no address: requests come in by a port of a node. Its listeners are for host names of runs.
NAME = "kubeproof-test"
LISTENERS = [
    {"name": "web", "protocol": "HTTP", "port": 8000, "allowedRoutes": {"namespaces": {"from": "All"}}},
    {
        "name": "websecure",
        "protocol": "HTTPS",
        "port": 8443,
        "hostname": "*.ingress.kubeproof.test",
        "tls": {"certificateRefs": [{"name": NAME}]},
        "allowedRoutes": {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"app.kubernetes.io/managed-by": "kubeproof"}}}},
    },
]
GATEWAY = f"default/{NAME}"
# Of a load balancer that is on no node: kube-proxy leads it to the Service wherever a pod asks for it.
BALANCER = "10.89.77.200"
# The clients, seen from this machine, on which the lab's nodes are; and seconds into the load.
CLIENTS = "/kubeproof/files/(report.lua|get.js)"
UNDER_WAY = 3


@pytest.fixture
def certify(lab, certify):
    """Return conftest's function for this layer; prove after each run that nothing of it is left."""
    wait_for(lambda: is_ready(lab))
    run = functools.partial(certify, layer="ingress")
    made_runs = []

    def keep(**arguments):
        made_runs.append(run(**arguments))
        return made_runs[-1]

    yield keep
    wait_for(lambda: is_ready(lab))
    for one in made_runs:
        label = f"{RUN_LABEL}={one.directory.name}"
        assert lab.kubectl("get", KINDS, "-l", label, "-o", "name") == "" and one.finding("ingress_left")["result"] == "PASS"


def is_ready(lab):
    """Say whether the controller's Deployment has all its pods."""
    state = lab.kubectl("get", "deployment", CONTROLLER, "-n", CONTROLLER, "-o", "json")["status"]
    return state.get("readyReplicas", 0) == state["replicas"] > 0


def facts_of(run):
    return json.loads((run.directory / "facts/ingress/cluster/lab.json").read_text())


def gateway(listeners, of=CONTROLLER):
    """Return a Gateway of a class, and the Secret with the certificate of its listeners."""
    pki = {"tls.crt": (STATE / "pki/ingress.pem").read_text(), "tls.key": (STATE / "pki/ingress-key.pem").read_text()}
    place = {"name": NAME, "namespace": "default"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": place, "type": "kubernetes.io/tls", "stringData": pki}
    return secret, {"apiVersion": API, "kind": "Gateway", "metadata": place, "spec": {"gatewayClassName": of, "listeners": listeners}}


@contextlib.contextmanager
def served(lab, listeners):
    """Make a Gateway, and wait until the controller has programmed it."""
    with made(lab, *gateway(listeners)):
        lab.kubectl("wait", "--for=condition=Programmed", "--timeout=20s", "--request-timeout=30s", "-n", "default", f"gateway/{NAME}")
        yield


def under_way(act):
    """Return what meanwhile waits for the load, and then acts."""

    def later(dummy):
        time.sleep(UNDER_WAY)
        act()

    return once_there(lambda: subprocess.run(["pgrep", "-f", CLIENTS], check=False, capture_output=True).stdout, later)


@pytest.mark.long
def test_measured(certify, note):
    run = certify(load={"straight": 1, "rps": 3, "connections": 3, "handshakes": 3, "latency": [{"share": 0.1, "seconds": 16}]})
    facts = facts_of(run)
    assert not run.error and facts["missing"] == {}
    assert facts["path"]["via"] == "node port" and facts["controller"]["found"] and facts["tls"]["certificate"] == "valid"
    assert {"straight", "rps", "connections_plain", "handshakes"} <= set(facts) and facts["connections"] == facts["handshakes"]
    assert facts["latency"]["count"] >= 3000 and facts["errors"]["requests"] > 3000 and facts["statuses"].keys() == {"2xx"}
    for check in ("ingress_errors", "ingress_generator", "ingress_restarts", "ingress_backends_lost", "ingress_stranger"):
        assert run.finding(check)["result"] == "PASS", run.finding(check)
    # In smoke, peak and rates are shown and not judged.
    assert run.finding("ingress_peak")["value"] is not None and not run.finding("ingress_peak")["judged"]
    note("nothing", run, run.finding("ingress_rps"))


@pytest.mark.long
def test_generators_and_the_certificate_of_the_controller(certify, note):
    load = {"rps": 3, "handshakes": 2, "latency": [{"share": 0.1, "seconds": 16}]}
    run = certify(load=load, certify_generators=2, ingress_tls="default", ingress_host="{{ certify_run.id }}.ingress.kubeproof.test")
    facts = facts_of(run)
    assert facts["tls"]["certificate"] == "valid" and facts["errors"]["ratio"] == 0 and {"rps", "handshakes", "latency"} <= set(facts), run.error
    note("two generators", run, run.finding("ingress_rps"))


def test_no_controller(lab, certify, note):
    """Its class and its Service are there, and no pod behind them. Nothing of the lab's own is touched for it."""
    with made(lab, NOBODY, EMPTY):
        run = certify(load={"rps": 1}, ingress_class="kubeproof-test", ingress_service="default/kubeproof-test")
    assert run.blocked() and run.finding("ingress_controller")["result"] == "FAIL" and "No pod behind the Service default/kubeproof-test" in run.error
    note("no ingress controller", run, run.finding("ingress_controller"))


@pytest.mark.long
def test_host_name_that_the_controller_does_not_know(lab, certify, note):
    service = f"{CONTROLLER}/{CONTROLLER}"
    with made(lab, NOBODY):
        run = certify(load={"rps": 1}, ingress_class="kubeproof-test", ingress_service=service, ingress_tls="none", ingress_ready_timeout=2)
    found = run.finding("ingress_answer")
    assert run.blocked() and (found["result"], found["value"]) == ("FAIL", "status 404")
    note("wrong host name", run, found)


@pytest.mark.long
def test_a_policy_that_keeps_everybody_from_our_backends(certify, note):
    """As the one that denies all, which a policy engine puts into each new namespace: nothing was learned of the ingress."""
    backends = "tcp dport 8080"
    with dropped("worker1", backends), dropped("worker2", backends):
        run = certify(load={"rps": 1})
    finding = run.finding("ingress_answer")
    assert run.status and finding["result"] == "INCONCLUSIVE" and "NetworkPolicy" in finding["reason"], finding
    note("a policy against our backends", run, finding)


def test_certificate_that_is_not_valid(certify, note):
    """The controller's own certificate is not for the host name."""
    run = certify(load={"rps": 1}, ingress_tls="default", ingress_host="{{ certify_run.id }}.elsewhere.kubeproof.test", ingress_ready_timeout=2)
    found = run.finding("ingress_certificate")
    assert run.blocked() and found["result"] == "FAIL" and "x509" in found["value"]
    note("TLS not valid", run, found)


@pytest.mark.long
def test_backends_are_killed(lab, certify, note):
    def kill():
        [namespace] = {one["metadata"]["namespace"] for one in lab.kubectl("get", "ingresses", "-A", "-l", RUN_LABEL, "-o", "json")["items"]}
        lab.kubectl("delete", "pods", "-n", namespace, "-l", "kubeproof.io/part=backend", "--grace-period=0", "--force", "--wait=false")

    with under_way(kill):
        run = certify(load={"rps": 10})
    facts = facts_of(run)
    assert run.finding("ingress_backends_lost")["result"] == run.finding("ingress_errors")["result"] == "FAIL"
    # Answers before, and a status of the controller's own afterwards: each is counted as what it is.
    assert facts["rps"]["measured"] > 0 and facts["errors"]["unexpected"] > 0 and set(facts["statuses"]) > {"2xx"} and facts["backends"]["lost"] == 2
    note("backends killed", run, run.finding("ingress_errors"))


@pytest.mark.long
def test_controller_is_killed(lab, certify, note):
    def kill():
        lab.kubectl("delete", "pods", "-n", CONTROLLER, "--all", "--grace-period=0", "--force", "--wait=false")

    with under_way(kill):
        run = certify(load={"latency": [{"share": 0.1, "seconds": 20}]})
    assert run.finding("ingress_restarts")["result"] == run.finding("ingress_errors")["result"] == "FAIL"
    note("controller killed", run, run.finding("ingress_errors"))


@pytest.mark.long
def test_measured_over_a_gateway(lab, certify, note):
    """An HTTPRoute of our own at a Gateway that is named: the certificate is the Gateway's, the host name one that its listener is for."""
    load = {"straight": 1, "rps": 3, "connections": 3, "handshakes": 3, "latency": [{"share": 0.1, "seconds": 16}]}
    with served(lab, LISTENERS):
        run = certify(load=load, ingress_gateway=GATEWAY)
        assert lab.kubectl("get", "httproutes", "-A", "-o", "name") == ""
    facts = facts_of(run)
    assert not run.error and facts["missing"] == {} and facts["controller"]["kind"] == "HTTPRoute" and facts["route"]["state"] == "accepted"
    assert facts["path"]["via"] == "node port" and facts["path"]["https"] == 30443 and facts["tls"]["certificate"] == "valid"
    assert facts["connections"] == facts["handshakes"] and facts["statuses"].keys() == {"2xx"} and facts["latency"]["count"] >= 3000
    for check in ("ingress_route", "ingress_answer", "ingress_stranger", "ingress_certificate", "ingress_errors", "ingress_restarts"):
        assert run.finding(check)["result"] == "PASS", run.finding(check)
    assert run.finding("ingress_way")["value"].startswith("node port worker")
    note("over a Gateway", run, run.finding("ingress_rps"))


@pytest.mark.long
def test_measured_over_a_load_balancer(lab, certify, note):
    """A Service of type LoadBalancer comes before the port of a node."""
    spec = {"type": "LoadBalancer", "selector": {"app.kubernetes.io/name": CONTROLLER}, "allocateLoadBalancerNodePorts": False}
    ports = [{"name": "web", "port": 80, "targetPort": "web"}, {"name": "websecure", "port": 443, "targetPort": "websecure"}]
    place = {"name": f"{CONTROLLER}-outside", "namespace": CONTROLLER}
    address = json.dumps({"status": {"loadBalancer": {"ingress": [{"ip": BALANCER, "ipMode": "VIP"}]}}})
    with made(lab, {"apiVersion": "v1", "kind": "Service", "metadata": place, "spec": {**spec, "ports": ports}}):
        lab.kubectl("patch", "service", place["name"], "-n", CONTROLLER, "--subresource=status", "--type=merge", "-p", address)
        run = certify(load={"rps": 3, "handshakes": 3, "latency": [{"share": 0.1, "seconds": 16}]})
    facts = facts_of(run)
    assert not run.error and facts["controller"]["service"] == f"{CONTROLLER}/{place['name']}" and facts["errors"]["ratio"] == 0
    assert facts["path"]["via"] == "load balancer" and facts["path"]["addresses"] == [BALANCER] and facts["path"]["kube_proxy"] is True
    assert run.finding("ingress_way")["value"] == f"load balancer {BALANCER}:443, led there by kube-proxy"
    note("over a load balancer", run, run.finding("ingress_rps"))


@pytest.mark.long
def test_gateway_without_https(lab, certify, note):
    with served(lab, LISTENERS[:1]):
        run = certify(load={"rps": 2, "connections": 2, "handshakes": 2}, ingress_gateway=GATEWAY)
    found, facts = run.finding("ingress_certificate"), facts_of(run)
    assert (found["result"], facts["tls"]["used"]) == ("NOT_APPLICABLE", False) and "no listener for HTTPS" in found["reason"]
    assert facts["connections"] == facts["connections_plain"] and "handshakes" not in facts and facts["rps"]["rate"]
    note("Gateway without HTTPS", run, found)


@pytest.mark.parametrize(
    ("listeners", "of", "more", "said"),
    [
        ([{**LISTENERS[1], "allowedRoutes": {"namespaces": {"from": "Same"}}}], CONTROLLER, {}, "(HTTPS 8443) takes routes of its own namespace alone"),
        pytest.param(LISTENERS[1:], CONTROLLER, {"ingress_host": "a.elsewhere.test"}, "ingress_host is a.elsewhere.test", marks=pytest.mark.long),
        # By the name that this tool would choose its certificate could not be valid.
        pytest.param([{**LISTENERS[1], "hostname": None}], CONTROLLER, {}, "Name in ingress_host a host name", marks=pytest.mark.long),
        pytest.param(LISTENERS, "nobody", {}, f"The Gateway {GATEWAY} is not programmed", marks=pytest.mark.long),
    ],
    ids=["namespace", "host name", "no host name", "nobody"],
)
def test_gateway_that_takes_no_route_of_ours(lab, certify, note, listeners, of, more, said):
    with made(lab, *gateway(listeners, of)):
        if of == CONTROLLER:
            lab.kubectl("wait", "--for=condition=Programmed", "--timeout=20s", "--request-timeout=30s", "-n", "default", f"gateway/{NAME}")
        run = certify(load={"rps": 1}, ingress_gateway=GATEWAY, **more)
    found = run.finding("ingress_controller")
    assert run.blocked() and said in run.error and found["result"] == ("FAIL" if of == "nobody" else "INCONCLUSIVE")
    note("Gateway that takes no route", run, found)


def test_what_the_controller_says_against_a_route(lab):
    """It is handed on in its own words: here of a backend that is not there."""
    place, parent = {"name": NAME, "namespace": "default"}, {"name": NAME, "namespace": "default"}
    rules = [{"backendRefs": [{"name": "kubeproof-nobody", "port": 80}]}]
    route = {"apiVersion": API, "kind": "HTTPRoute", "metadata": place, "spec": {"parentRefs": [parent], "rules": rules}}
    asked = {"namespace": "default", "name": NAME, "gateway": GATEWAY, "timeout": 20}
    with served(lab, LISTENERS[:1]), made(lab, route):
        found = ingress_route.route(cluster.Cluster(str(STATE / "kubeconfig")), asked, time.monotonic())
    assert found["route"]["state"].startswith("ResolvedRefs is False: BackendNotFound") and "kubeproof-nobody" in found["problem"]
