# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import json

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.kubeproof.certify.plugins.module_utils import cluster
from ansible_collections.kubeproof.certify.plugins.modules import dns_info
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import TOKEN, FakeCluster, status

HOME = "/api/v1/namespaces/kube-system"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices"
DAEMON_SETS = "/apis/apps/v1/daemonsets"
POLICIES = "/apis/cilium.io/v2/ciliumlocalredirectpolicies"
CADVISOR = "/api/v1/nodes/w1/proxy/metrics/cadvisor"
FORBIDDEN = (403, status(403, "Forbidden", "no rights"))
READY = {"conditions": [{"type": "Ready", "status": "True"}]}
COREFILE = ".:53 {\n kubernetes cluster.local\n tsig {\n  secret key s3cret\n }\n prometheus :9153\n cache 30\n import custom/*.override\n}\n"
LOCAL = "cluster.local:53 {\n bind 169.254.20.10 10.96.0.10\n cache 30\n prometheus :9253\n}\n"


def coredns(name, node, **status_more):
    spec = {
        "nodeName": node,
        "containers": [
            {
                "name": "coredns",
                "args": ["-conf", "/etc/coredns/Corefile"],
                "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}, {"name": "custom", "mountPath": "/etc/coredns/custom"}],
                "resources": {"limits": {"cpu": "500m", "memory": "170Mi"}},
            }
        ],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}, {"name": "custom", "configMap": {"name": "custom", "optional": True}}],
    }
    state = {"podIP": "10.0.0.1", "containerStatuses": [{"name": "coredns", "restartCount": 0}], **status_more}
    return {"metadata": {"name": name, "namespace": "kube-system", "uid": f"uid-{name}"}, "spec": spec, "status": state}


def node_cache():
    one = coredns("n1", "w1", **READY)
    container = one["spec"]["containers"][0]
    container.update(name="node-cache", args=["-localip", "169.254.20.10,10.96.0.10", "-conf", "/etc/Corefile"])
    one["spec"]["volumes"] = [{"name": "config", "configMap": {"name": "node-local-dns", "items": [{"key": "Corefile", "path": "Corefile.base"}]}}]
    return one


def pods_of(asked):
    return {"items": [node_cache()] if "node-local" in asked.query["labelSelector"] else [coredns("a", "w1"), coredns("b", "w2"), coredns("c", "w1")]}


NODE = {"metadata": {"name": "w1"}, "status": {**READY, "allocatable": {"pods": "110"}}}
PORTS = [{"name": "dns", "protocol": "UDP", "port": 53, "targetPort": "dns"}]
ANSWERS = {
    "/api/v1/nodes": {"items": [NODE, {"metadata": {"name": "w2"}, "status": {}}]},
    "/api/v1/services": {
        "items": [
            {
                "metadata": {"name": "kube-dns", "namespace": "kube-system"},
                "spec": {"clusterIP": "10.96.0.10", "ports": PORTS, "selector": {"k8s-app": "kube-dns"}},
            }
        ]
    },
    SLICES: {
        "items": [
            {
                "ports": [{"name": "dns-tcp", "protocol": "TCP", "port": 1}, {"name": "dns", "protocol": "UDP", "port": 53}],
                "endpoints": [{"targetRef": {"kind": "Pod", "name": name}} for name in ("a", "b")],
            }
        ]
    },
    f"{HOME}/pods": pods_of,
    f"{HOME}/configmaps/coredns": {"data": {"Corefile": COREFILE}},
    f"{HOME}/configmaps/node-local-dns": {"data": {"Corefile": LOCAL}},
    CADVISOR: "# TYPE container_cpu_cfs_periods_total counter\n"
    'container_cpu_cfs_periods_total{container="coredns",id="/k",namespace="kube-system",pod="a"} 9\n',
    "/api/v1/nodes/w2/proxy/metrics/cadvisor": "# TYPE x gauge\nx 1\n",
    DAEMON_SETS: {"items": [{"metadata": {"name": "kube-proxy", "namespace": "kube-system"}}]},
}
NODE_LOCAL = {
    "metadata": {"name": "node-local-dns", "namespace": "kube-system"},
    "spec": {
        "selector": {"matchLabels": {"k8s-app": "node-local-dns"}},
        "template": {"spec": {"hostNetwork": True, "containers": node_cache()["spec"]["containers"]}},
    },
}
CILIUM = {"args": ["-localip", "169.254.20.10,10.96.0.10", "-conf", "/etc/Corefile", "-upstreamsvc", "upstream", "-setupinterface=false"]}


@pytest.fixture(name="api")
def fixture_api(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with FakeCluster() as api:
        api.answers = {f"GET {path}": copy.deepcopy(answer) for path, answer in ANSWERS.items()}
        yield api


@pytest.fixture(name="call")
def fixture_call(api, capsys, tmp_path):
    """Return a function that runs the module and returns its answer, in which no secret is."""

    def call(**arguments):
        with patch_module_args({"kubeconfig": api.kubeconfig(tmp_path / "operator"), **arguments}), pytest.raises(SystemExit):
            dns_info.main()
        out = capsys.readouterr().out
        assert TOKEN not in out and "s3cret" not in out
        return json.loads(out)

    return call


def test_everything(call, api):
    facts = call()["facts"]
    assert facts["service"] == {"namespace": "kube-system", "name": "kube-dns", "address": "10.96.0.10", "addresses": ["10.96.0.10"], "port": 53}
    assert facts["service_found"] and facts["ready"] == 2 and {name: pod["ready"] for name, pod in facts["pods"].items()} == {"a": True, "b": True, "c": False}
    assert facts["domain"] == "cluster.local" and facts["corefile"]["cache"]["success_ttl"] == 30 and facts["corefile"]["unknown"] == []
    assert facts["nodes"] == {"count": 2, "schedulable": 1, "names": ["w1"]}
    assert facts["throttling"] == {"a": {"/k": {"periods": 9}}}
    assert facts["node_local_found"] is False and "node_local" not in facts
    assert facts["scraped"] == {"coredns": {"a": "a:9153", "b": "b:9153"}, "node_local": {}} and facts["missing"] == {}
    assert all(asked.method == "GET" for asked in api.asked)


def test_a_cache_on_the_nodes(call, api):
    api.answers[f"GET {DAEMON_SETS}"] = {"items": [NODE_LOCAL]}
    api.answers[f"GET {HOME}/services/kube-dns-upstream"] = {"spec": {"clusterIP": "10.96.0.99"}}
    facts = call()["facts"]
    found = facts["node_local"]
    assert (found["address"], found["takes_service"], found["upstream"]) == ("169.254.20.10", True, "10.96.0.99")
    assert found["pods"]["n1"]["ready"] and found["corefile"]["zones"] == ["cluster.local"]
    assert facts["scraped"]["node_local"] == {"n1": "n1:9253"} and facts["node_local_found"] is True and facts["missing"] == {}


@pytest.mark.parametrize(
    ("upstream", "said"),
    [
        (None, "there is no Service kube-system/kube-dns-upstream besides"),
        ({"spec": {"clusterIP": "10.96.0.10"}}, "the Service kube-system/kube-dns-upstream has no address of its own"),
        ({"spec": {"clusterIP": "None"}}, "the Service kube-system/kube-dns-upstream has no address of its own"),
        (FORBIDDEN, "the Service kube-system/kube-dns-upstream cannot be read: "),
    ],
)
def test_a_cache_that_hides_coredns_is_said(call, api, upstream, said):
    api.answers[f"GET {DAEMON_SETS}"] = {"items": [NODE_LOCAL]}
    if upstream:
        api.answers[f"GET {HOME}/services/kube-dns-upstream"] = upstream
    facts = call()["facts"]
    assert facts["node_local"]["upstream"] == "" and said in facts["missing"]["node_local.upstream"]


def in_pod_network(api):
    """Have a cache as Cilium's example has it: it makes no interface, and is not in the network of its host."""
    one = copy.deepcopy(NODE_LOCAL)
    one["spec"]["template"]["spec"]["hostNetwork"] = False
    one["spec"]["template"]["spec"]["containers"][0].update(CILIUM)
    api.answers[f"GET {DAEMON_SETS}"] = {"items": [one]}
    api.answers[f"GET {HOME}/configmaps/node-local-dns"] = {"data": {"Corefile": LOCAL.replace("169.254.20.10 10.96.0.10", "0.0.0.0")}}
    api.answers[f"GET {HOME}/services/upstream"] = {"spec": {"clusterIP": "10.96.0.99"}}


@pytest.mark.parametrize(
    ("matched", "address", "takes_service", "upstream"),
    [
        (None, "10.96.0.10", True, "10.96.0.99"),
        ({"serviceMatcher": {"serviceName": "kube-dns"}}, "10.96.0.10", True, "10.96.0.99"),
        ({"addressMatcher": {"ip": "169.254.20.10"}}, "169.254.20.10", False, ""),
    ],
)
def test_a_cache_that_queries_are_redirected_to(call, api, matched, address, takes_service, upstream):
    in_pod_network(api)
    if matched:
        api.answers[f"GET {POLICIES}"] = {"items": [{"spec": {"redirectFrontend": matched}}]}
    facts = call()["facts"]
    found = facts["node_local"]
    assert (found["address"], found["takes_service"], found["upstream"]) == (address, takes_service, upstream) and facts["missing"] == {}


def test_redirections_that_cannot_be_read_leave_the_address_unknown(call, api):
    in_pod_network(api)
    api.answers[f"GET {POLICIES}"] = FORBIDDEN
    facts = call()["facts"]
    assert "address" not in facts["node_local"] and "cannot be read" in facts["missing"]["node_local.address"]


def test_a_cache_of_another_name_in_another_namespace(call, api):
    one = copy.deepcopy(NODE_LOCAL)
    one["metadata"] = {"name": "release", "namespace": "dns"}
    api.answers[f"GET {DAEMON_SETS}"] = {"items": [one]}
    pods = {"items": [dict(node_cache(), metadata={"name": "n1", "namespace": "dns", "uid": "n1"})]}
    api.answers["GET /api/v1/namespaces/dns/pods"] = pods
    api.answers["GET /api/v1/namespaces/dns/configmaps/node-local-dns"] = {"data": {"Corefile": LOCAL}}
    api.answers["GET /api/v1/namespaces/dns/services/kube-dns-upstream"] = {"spec": {"clusterIP": "10.96.0.99"}}
    facts = call()["facts"]
    found = facts["node_local"]
    assert (found["name"], found["namespace"], list(found["pods"]), found["upstream"]) == ("release", "dns", ["n1"], "10.96.0.99")
    assert facts["scraped"]["node_local"] == {"n1": "n1:9253"} and facts["missing"] == {}


@pytest.mark.parametrize(
    ("path", "answer", "said", "address"),
    [
        (f"{HOME}/configmaps/node-local-dns", FORBIDDEN, {"node_local.corefile"}, "169.254.20.10"),
        (f"{HOME}/configmaps/node-local-dns", {"data": {"Corefile": ". {"}}, {"node_local.corefile"}, "169.254.20.10"),
    ],
)
def test_a_cache_whose_corefile_is_not_known_is_asked_all_the_same(call, api, path, answer, said, address):
    api.answers[f"GET {DAEMON_SETS}"] = {"items": [NODE_LOCAL]}
    api.answers[f"GET {HOME}/services/kube-dns-upstream"] = {"spec": {"clusterIP": "10.96.0.99"}}
    api.answers[f"GET {path}"] = answer
    facts = call()["facts"]
    assert set(facts["missing"]) == said and facts["node_local"]["address"] == address and "n1" in facts["node_local"]["pods"]


def test_a_cache_on_hosts_that_names_no_address_is_not_asked(call, api):
    one = copy.deepcopy(NODE_LOCAL)
    one["spec"]["template"]["spec"]["containers"][0]["args"] = ["-conf", "/etc/Corefile"]
    api.answers[f"GET {DAEMON_SETS}"] = {"items": [one]}
    api.answers[f"GET {HOME}/configmaps/node-local-dns"] = FORBIDDEN
    facts = call()["facts"]
    assert "address" not in facts["node_local"] and "names one" in facts["missing"]["node_local.address"]


def test_pods_are_asked_at_the_port_behind_the_service(call, api):
    api.answers[f"GET {SLICES}"]["items"][0]["ports"][1]["port"] = 5353
    api.answers[f"GET {HOME}/configmaps/coredns"] = {"data": {"Corefile": ".:53 {\n forward . 1.1.1.1\n}\n" + COREFILE.replace(":53", ":5353")}}
    facts = call()["facts"]
    assert {name: pod.get("port") for name, pod in facts["pods"].items()} == {"a": 5353, "b": 5353, "c": None}
    assert facts["corefile"]["cache"]["present"] and "kubernetes" in facts["corefile"]["plugins"] and facts["missing"] == {}


def test_the_cache_is_that_of_the_domain_that_is_measured(call, api):
    api.answers[f"GET {HOME}/configmaps/coredns"] = {"data": {"Corefile": COREFILE + "k8s.corp {\n kubernetes k8s.corp\n}\n"}}
    assert call()["facts"]["corefile"]["cache"]["present"] is True and call(domain="k8s.corp")["facts"]["corefile"]["cache"]["present"] is False


def test_no_service(call, api):
    api.answers["GET /api/v1/services"] = {"items": []}
    facts = call()["facts"]
    assert facts["service_found"] is False and {"service", "pods", "ready", "corefile"}.isdisjoint(facts)
    assert set(facts["missing"].values()) == {"there is no DNS Service"} and {"ready", "corefile", "domain"} <= set(facts["missing"])
    assert [asked.query["labelSelector"] for asked in api.asked if asked.path == "/api/v1/services"] == ["k8s-app=kube-dns"]


def test_a_service_that_is_named(call, api):
    facts = call(service="kube-system/kube-dns", domain="my.domain")["facts"]
    assert facts["service"]["name"] == "kube-dns" and facts["domain"] == "my.domain"
    assert [asked.query.get("labelSelector") for asked in api.asked if asked.path == "/api/v1/services"] == [None]


def test_metrics_that_are_not_exposed_are_not_read(call, api):
    api.answers[f"GET {HOME}/configmaps/coredns"] = {"data": {"Corefile": COREFILE.replace(" prometheus :9153\n", "")}}
    facts = call()["facts"]
    assert facts["corefile"]["metrics"] == {"exposed": False} and facts["scraped"]["coredns"] == {}


@pytest.mark.parametrize(
    ("path", "answer", "absent", "said"),
    [
        ("/api/v1/nodes", FORBIDDEN, {"nodes"}, "Nodes cannot be read"),
        ("/api/v1/services", FORBIDDEN, {"service_found", "service", "pods", "ready", "corefile", "domain", "throttling"}, "Services cannot be read"),
        (SLICES, FORBIDDEN, {"pods", "ready", "corefile", "domain", "throttling"}, "behind the DNS Service cannot be read"),
        (f"{HOME}/configmaps/coredns", FORBIDDEN, {"corefile", "domain"}, "The Corefile cannot be read"),
        (f"{HOME}/configmaps/coredns", {"data": {"Corefile": ". {"}}, {"corefile", "domain"}, "The Corefile cannot be understood: line 1"),
        (f"{HOME}/configmaps/coredns", {"data": {}}, {"corefile", "domain"}, "no ConfigMap that the pod mounts"),
        (CADVISOR, FORBIDDEN, {"throttling"}, "The throttling of CoreDNS cannot be read"),
        (CADVISOR, "", {"throttling"}, "The throttling of CoreDNS cannot be understood"),
        (DAEMON_SETS, FORBIDDEN, {"node_local_found"}, "NodeLocal DNSCache cannot be read"),
    ],
)
def test_what_cannot_be_read_is_absent_and_said(call, api, path, answer, absent, said):
    whole = call()["facts"]
    api.answers[f"GET {path}"] = answer
    facts = call()["facts"]
    assert set(whole) - set(facts) == absent and absent - {"service"} == set(facts["missing"])
    assert len(set(facts["missing"].values())) == 1 and said in next(iter(facts["missing"].values()))


def test_without_pods_there_is_no_corefile(call, api):
    api.answers[f"GET {HOME}/pods"] = {"items": []}
    facts = call()["facts"]
    assert facts["ready"] == 0 and facts["pods"] == {} and "corefile" not in facts and facts["missing"]["corefile"] == "no pod is behind the DNS Service"


def test_a_service_without_selector_has_unknown_pods(call, api):
    del api.answers["GET /api/v1/services"]["items"][0]["spec"]["selector"]
    facts = call()["facts"]
    assert "pods" not in facts and {"pods", "ready", "corefile"} <= {name for name, why in facts["missing"].items() if "has no selector" in why}


def test_no_api_server(call):
    found = call(kubeconfig="/nowhere")
    assert found["failed"] and "cannot be looked at" in found["msg"] and "exception" not in found


def test_without_the_library(call, monkeypatch):
    monkeypatch.setattr(cluster, "kubernetes", None)
    answer = call()
    assert answer["failed"] is True and "kubernetes" in answer["msg"]
