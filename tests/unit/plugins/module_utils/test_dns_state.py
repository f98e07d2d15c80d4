# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.kubeproof.certify.plugins.module_utils import dns_state
from ansible_collections.kubeproof.certify.plugins.module_utils.dns_corefile import CorefileError
from ansible_collections.kubeproof.certify.plugins.module_utils.openmetrics import ExpositionError

UDP = {"protocol": "UDP", "port": 53}


def service(name, address="10.96.0.10", ports=(UDP,), namespace="kube-system"):
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterIP": address, "ports": list(ports)}}


def pod(container, volumes=(), **more):
    return {"metadata": {"name": "p", "namespace": "kube-system", "uid": "u"}, "spec": {"containers": [container], "volumes": list(volumes)}, **more}


@pytest.mark.parametrize(
    ("services", "wanted", "name"),
    [
        ([service("kube-dns")], "", "kube-dns"),
        ([service("a-dns"), service("kube-dns")], "", "kube-dns"),
        ([service("coredns"), service("a-metrics", ports=[{"protocol": "TCP", "port": 9153}])], "", "coredns"),
        ([service("kube-dns", address="None"), service("coredns")], "", "coredns"),
        ([service("kube-dns-upstream")], "", None),
        ([service("kube-dns"), service("dns", namespace="other")], "other/dns", "dns"),
        ([service("kube-dns")], "other/dns", None),
        ([], "", None),
    ],
)
def test_the_dns_service(services, wanted, name):
    found = dns_state.service_of(services, wanted)
    assert (found and found["metadata"]["name"]) == name


def test_both_addresses_of_a_dual_stack_service():
    one = service("kube-dns")
    one["spec"]["clusterIPs"] = ["10.96.0.10", "fd00::a"]
    assert dns_state.addresses(one) == ["10.96.0.10", "fd00::a"]


def test_pods_that_are_ready():
    endpoints = [
        {"targetRef": {"kind": "Pod", "name": "b"}, "conditions": {"ready": True}},
        {"targetRef": {"kind": "Pod", "name": "a"}},
        {"targetRef": {"kind": "Pod", "name": "c"}, "conditions": {"ready": False}},
        {"targetRef": {"kind": "Node", "name": "d"}},
        {"addresses": ["10.0.0.1"]},
    ]
    # The other family of a dual stack has a slice of its own with the same pods.
    assert dns_state.ready_pods([{"endpoints": endpoints}, {"endpoints": endpoints}, {"endpoints": None}]) == {"a": None, "b": None}


@pytest.mark.parametrize(
    ("ports", "name", "port"),
    [
        ([{"name": "dns-tcp", "protocol": "TCP", "port": 1}, {"name": "dns", "protocol": "UDP", "port": 5353}], "dns", 5353),
        ([{"name": "", "protocol": "UDP", "port": 1053}], "", 1053),
        ([{"name": None, "protocol": "UDP", "port": 53}], "", 53),
        ([{"name": "other", "protocol": "UDP", "port": 53}], "dns", None),
        ([{"name": "dns", "port": 53}], "dns", None),
        (None, "dns", None),
    ],
)
def test_where_pods_take_queries(ports, name, port):
    one = {"endpoints": [{"targetRef": {"kind": "Pod", "name": "a"}}], "ports": ports}
    assert dns_state.ready_pods([one], name) == {"a": port}
    assert dns_state.pod_facts({"metadata": {"name": "a"}}, {"a": port}).get("port") == port


@pytest.mark.parametrize(
    ("container", "where"),
    [
        ({"args": ["-conf", "/etc/coredns/Corefile"]}, "/etc/coredns/Corefile"),
        ({"command": ["/coredns", "-conf=/a/b"]}, "/a/b"),
        ({"command": ["/coredns"], "args": ["--conf=/a=b"]}, "/a=b"),
        ({"args": ["-conf"]}, ""),
        ({}, ""),
    ],
)
def test_arguments_of_a_command(container, where):
    assert dns_state.argument(container, "-conf") == where


def test_the_container_that_answers():
    others = [{"name": "sidecar"}, {"name": "coredns"}, {"name": "node-cache", "args": ["-conf", "/etc/Corefile"]}]
    assert dns_state.container_of({"spec": {"containers": others}})["name"] == "node-cache"
    assert dns_state.container_of({"spec": {"containers": others[:2]}})["name"] == "coredns"
    assert dns_state.container_of({"spec": {"containers": others[:1]}})["name"] == "sidecar"
    assert dns_state.container_of({}) == {}


def test_facts_of_a_pod():
    container = {"name": "coredns", "resources": {"limits": {"cpu": 1, "memory": "170Mi"}}}
    one = pod(container, status={"podIP": "10.0.0.1", "containerStatuses": [{"name": "other", "restartCount": 9}, {"name": "coredns", "restartCount": 2}]})
    one["spec"]["nodeName"] = "w1"
    found = dns_state.pod_facts(one, {"p": 53})
    assert found == {
        **{"uid": "u", "ip": "10.0.0.1", "node": "w1", "ready": True, "restarts": 2},
        **{"container": "coredns", "cpu_limit": "1", "memory_limit": "170Mi", "port": 53},
    }


@pytest.mark.parametrize(
    ("own", "of_pod", "limit"), [({}, {"cpu": "500m"}, "500m"), ({"cpu": "1"}, {"cpu": "2"}, "1"), ({"memory": "1Gi"}, {"cpu": "2"}, "2"), ({}, {}, "")]
)
def test_the_limit_of_a_pod_is_that_of_its_container(own, of_pod, limit):
    one = pod({"name": "coredns", "resources": {"limits": own}})
    one["spec"]["resources"] = {"limits": of_pod}
    assert dns_state.pod_facts(one, {})["cpu_limit"] == limit


def test_how_often_a_pod_without_status_restarted_is_not_known():
    found = dns_state.pod_facts(pod({"name": "coredns"}), {})
    assert "restarts" not in found and not found["ready"] and found["cpu_limit"] == ""


# The Corefile ---------------------------------------------------------------------------------------------------------------


def mounted(*folders, items=None):
    volumes = [{"name": f"v{number}", "configMap": {"name": f"c{number}", **({"items": items} if items else {})}} for number in range(len(folders))]
    mounts = [{"name": f"v{number}", "mountPath": folder} for number, folder in enumerate(folders)]
    return pod({"name": "coredns", "args": ["-conf", "/etc/coredns/Corefile"], "volumeMounts": [*mounts, {"name": "token", "mountPath": "/t"}]}, volumes)


def test_config_maps_are_folders():
    one = mounted("/etc/coredns/", "/etc/coredns/custom")
    assert {folder: volume["name"] for folder, volume in dns_state.mounts(one).items()} == {"/etc/coredns": "c0", "/etc/coredns/custom": "c1"}
    items = [{"key": "Corefile", "path": "Corefile.base"}, {"key": "gone", "path": "gone"}]
    assert dns_state.folder_of({"items": items}, {"data": {"Corefile": "x", "other": "y"}}) == {"Corefile.base": "x"}
    assert dns_state.folder_of({}, {"data": {"Corefile": "x"}}) == {"Corefile": "x"} and dns_state.folder_of({}, {}) == {}


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        ({"/etc/coredns": {"Corefile": "x"}, "/a": {"Corefile": "y"}}, ("x", "/etc/coredns")),
        ({"/etc/base": {"Corefile.base": "x", "README": "y"}}, ("x", "/etc/base")),
        ({"/etc/coredns": {"other": "x"}}, ("", "")),
        ({}, ("", "")),
    ],
)
def test_the_corefile_of_a_pod(folders, expected):
    assert dns_state.corefile_of(mounted("/etc/coredns"), folders) == expected


def test_the_configuration_follows_imports():
    folders = {"/etc/coredns": {"Corefile": ".:53 {\n kubernetes k8s.local\n import custom/*.override\n}"}, "/etc/coredns/custom": {"a.override": "cache 5"}}
    found = dns_state.configuration(mounted("/etc/coredns"), folders)
    assert found["domain"] == "k8s.local" and found["cache"]["success_ttl"] == 5
    other = dns_state.configuration(mounted("/etc/coredns"), folders, "corp", 1053)
    assert other["domain"] == "corp" and "at port 1053" in other["missing"]["cache"]


def test_no_corefile_is_said():
    with pytest.raises(CorefileError, match="no ConfigMap that the pod mounts"):
        dns_state.configuration(mounted("/etc/coredns"), {})


# NodeLocal DNSCache ---------------------------------------------------------------------------------------------------------


def daemon_set(name, *arguments, host=True, labels=None, namespace="kube-system"):
    spec = {"hostNetwork": host, "containers": [{"name": "node-cache", "args": list(arguments)}]}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"template": {"metadata": {"labels": labels or {}}, "spec": spec}}}


@pytest.mark.parametrize(
    ("names", "found"),
    [(["kube-proxy", "node-local-dns"], "node-local-dns"), (["nodelocaldns"], "nodelocaldns"), (["other"], None), ([], None)],
)
def test_the_cache_on_the_nodes(names, found):
    one = dns_state.node_local([daemon_set(name) for name in names], "kube-system")
    assert (one and one["metadata"]["name"]) == found


@pytest.mark.parametrize(
    "one",
    [
        daemon_set("dns-cache-node-local-dns", labels={"k8s-app": "node-local-dns"}, namespace="dns"),
        daemon_set("release", labels={"app.kubernetes.io/name": "node-local-dns"}),
        daemon_set("cache", "-localip", "169.254.20.10"),
    ],
)
def test_a_cache_by_another_name_is_found(one):
    assert dns_state.node_local([daemon_set("kube-proxy", "-conf", "/x"), one], "kube-system") is one


def test_of_several_caches_the_one_beside_the_service_counts():
    ours, other = daemon_set("z", "-localip", "169.254.20.10"), daemon_set("node-local-dns", namespace="a")
    assert dns_state.node_local([other, ours], "kube-system") is ours and dns_state.node_local([ours, other], "a") is other


TOLD = ("-localip", "169.254.20.10,10.96.0.10", "-conf", "/etc/Corefile")
CILIUM = (*TOLD, "-upstreamsvc", "kube-dns-upstream", "-skipteardown=true", "-setupinterface=false", "-setupiptables=false")


@pytest.mark.parametrize(
    ("arguments", "bound", "expected"),
    [
        (TOLD, [], ["169.254.20.10", "10.96.0.10"]),
        (["-localip", "169.254.20.10, 10.96.0.10"], [], ["169.254.20.10", "10.96.0.10"]),
        (["-conf", "/etc/Corefile"], ["169.254.25.10"], ["169.254.25.10"]),
        (["-conf", "/etc/Corefile"], ["fd00::10"], ["fd00::10"]),
        (["-conf", "/etc/Corefile"], ["0.0.0.0", "::"], []),
        ([], ["__PILLAR__LOCAL__DNS__"], []),
        # It makes no interface: what it is bound to is there, what it is told may not be.
        (CILIUM, ["0.0.0.0"], []),
        (CILIUM, ["169.254.20.10"], ["169.254.20.10"]),
        ((*TOLD, "-setupinterface=true"), ["0.0.0.0"], ["169.254.20.10", "10.96.0.10"]),
    ],
)
def test_where_the_cache_answers(arguments, bound, expected):
    assert dns_state.local_addresses(daemon_set("node-local-dns", *arguments), bound) == expected


@pytest.mark.parametrize(("redirected", "expected"), [([], []), (["169.254.20.10", "169.254.42.1"], ["169.254.20.10"])])
def test_a_cache_outside_of_the_network_of_its_host_answers_where_it_is_redirected_to(redirected, expected):
    assert dns_state.local_addresses(daemon_set("node-local-dns", *CILIUM, host=False), ["0.0.0.0"], redirected) == expected


def test_what_cilium_redirects():
    policies = [
        {"spec": {"redirectFrontend": {"addressMatcher": {"ip": "169.254.20.10"}}}},
        {"spec": {"redirectFrontend": {"serviceMatcher": {"serviceName": "kube-dns"}}}},
        {},
    ]
    assert dns_state.redirected_addresses(policies) == ["169.254.20.10"]


@pytest.mark.parametrize(("arguments", "name"), [(CILIUM, "kube-dns-upstream"), (["-upstreamsvc", "coredns"], "coredns"), (TOLD, "kube-dns-upstream")])
def test_by_which_service_the_cache_reaches_coredns(arguments, name):
    assert dns_state.upstream_of(daemon_set("node-local-dns", *arguments)) == name


PODS = {"a": {"ready": True, "node": "w1"}, "b": {"ready": True, "node": "w2"}, "c": {"ready": False, "node": "w1"}}


@pytest.mark.parametrize(
    ("corefile", "nodes", "expected"),
    [
        ({"metrics": {"exposed": True, "port": 9}}, None, {"a": "a:9", "b": "b:9"}),
        ({"metrics": {"exposed": True, "port": 9}}, ["w2"], {"b": "b:9"}),
        ({"metrics": {"exposed": False, "port": 9}}, None, {}),
        ({"metrics": {"exposed": False}}, None, {}),
        # What is not known is tried.
        ({}, None, {"a": "a:9153", "b": "b:9153"}),
    ],
)
def test_whose_metrics_can_be_read(corefile, nodes, expected):
    assert dns_state.scraped(PODS, corefile, 9153, nodes) == expected


# Processors -----------------------------------------------------------------------------------------------------------------


def sample(name, value, pod="a", container="coredns", namespace="kube-system", group="/k/1"):
    return f'{name}{{container="{container}",id="{group}",image="i",name="n",namespace="{namespace}",pod="{pod}"}} {value} 1700000000000\n'


def exposition(*samples):
    types = "".join(f"# TYPE {name} counter\n" for name in (dns_state.PERIODS, dns_state.THROTTLED))
    return types + "".join(samples)


def test_throttling_of_the_containers_that_answer():
    text = exposition(
        sample(dns_state.PERIODS, 100),
        sample(dns_state.THROTTLED, 7),
        sample(dns_state.PERIODS, 20, group="/k/2"),
        sample(dns_state.PERIODS, 5, container="sidecar"),
        sample(dns_state.PERIODS, 5, container=""),
        sample(dns_state.PERIODS, 5, pod="other"),
        sample(dns_state.PERIODS, 5, namespace="other"),
    )
    found = dns_state.throttling(text, {"a": {"container": "coredns"}, "b": {"container": "coredns"}}, "kube-system")
    assert found == {"a": {"/k/1": {"periods": 100, "throttled": 7}, "/k/2": {"periods": 20}}}


def test_without_limits_nothing_is_counted():
    assert dns_state.throttling("# TYPE x gauge\nx 1\n", {"a": {"container": "coredns"}}, "kube-system") == {}


@pytest.mark.parametrize("text", ["", "<html>", exposition(sample(dns_state.PERIODS, 100))[:-5]])
def test_a_damaged_answer_is_refused(text):
    with pytest.raises(ExpositionError):
        dns_state.throttling(text, {}, "kube-system")
