# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of a cluster through an API server that is played: what is read, what is refused, and what never leaves."""

from __future__ import annotations

import json

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import cluster
from ansible_collections.kubeproof.certify.plugins.modules import cluster_config
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import FakeCluster, status

CANARY = "c4nary-s3cret"
COREFILE = """.:53 {
    errors
    health {
        lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa
    prometheus :9153
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    log
}
"""
METRICS = """# HELP
apiserver_request_total{verb="GET"} 1
kubernetes_feature_enabled{name="WatchList",stage="BETA"} 1
kubernetes_feature_enabled{name="CBORServingAndStorage",stage="ALPHA"} 1
kubernetes_feature_enabled{name="ContextualLogging",stage="ALPHA"} 0
apiserver_resource_objects{group="",resource="pods"} 4.2e+04
apiserver_resource_objects{group="events.k8s.io",resource="events"} 900
apiserver_requested_deprecated_apis{group="flowcontrol",removed_release="1.37",resource="flowschemas",subresource="",version="v1beta3"} 1
"""


def listed(*items, **metadata):
    return {"items": list(items), "metadata": metadata}


def named(name, namespace="", labels=None, **more):
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels or {}}, **more}


def node(name, **labels):
    state = {
        "nodeInfo": {"kubeletVersion": "v1.36.3", "containerRuntimeVersion": "containerd://2.2.1", "kernelVersion": "6.8.0"},
        "capacity": {"cpu": "4", "memory": "16Gi"},
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "True" if name == "n2" else "False"}],
    }
    return named(name, labels=labels, spec={"podCIDR": "10.244.1.0/24"}, status=state)


def pod(name, where, owner="ReplicaSet", **labels):
    container = {"name": "a", "resources": {}}
    state = {"conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [{"image": f"registry/{name}:v1.36.3"}]}
    found = named(name, "kube-system", labels, spec={"nodeName": where, "containers": [container]}, status=state)
    found["metadata"]["ownerReferences"] = [{"kind": owner, "name": name}]
    return found


PODS = [pod("kube-apiserver-n1", "n1", "Node", component="kube-apiserver", tier="control-plane"), pod("coredns-1", "n1", **{"k8s-app": "kube-dns"})]
TEMPLATE = {
    "spec": {"priorityClassName": "system-cluster-critical", "containers": [{"image": "coredns:1", "resources": {"limits": {"memory": "170Mi", "cpu": "1"}}}]}
}
SERVICE = {"namespace": "hooks", "name": "one"}
HOOK = {"name": "h", "timeoutSeconds": 20, "clientConfig": {"service": SERVICE}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "operations": ["*"]}]}
BY_URL = {"name": "u", "failurePolicy": "Ignore", "clientConfig": {"url": "https://example.com"}}
ENDPOINTS = [
    {"addresses": ["10.0.0.7"], "conditions": {"ready": True}},
    {"addresses": ["10.0.0.7"]},
    {"addresses": ["10.0.0.8"], "conditions": {"ready": False}},
]


def pods(asked):
    selector = asked.query.get("labelSelector", "")
    key, dummy, value = selector.partition("=")
    return listed(*(one for one in PODS if not selector or one["metadata"]["labels"].get(key) == value))


def answers():
    apps, storage, policy = "GET /apis/apps/v1", "GET /apis/storage.k8s.io/v1", "GET /apis/policy/v1/poddisruptionbudgets"
    system = "GET /api/v1/namespaces/kube-system"
    deployment = named("coredns", "kube-system", {"k8s-app": "kube-dns"}, spec={"replicas": 2, "template": TEMPLATE})
    job = {"spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"command": ["sh", "-c", "etcdctl compact $(date +%s)"]}]}}}}}}
    return {
        "GET /version": {"gitVersion": "v1.36.3"},
        "GET /api/v1/pods": listed(named("a"), remainingItemCount=41),
        "GET /api/v1/services": listed(named("a", "shop", spec={"trafficDistribution": "PreferClose"})),
        "GET /api/v1/namespaces": listed(named("a")),
        "GET /api/v1/nodes": listed(node("n1", **{"node-role.kubernetes.io/control-plane": ""}), node("n2"), node("n3")),
        "GET /api/v1/nodes/n1/proxy/configz": {"kubeletconfig": {"maxPods": 110, "staticPodURLHeader": {"a": [CANARY]}}},
        "GET /api/v1/nodes/n2/proxy/configz": {"kubeletconfig": {"maxPods": 110}},
        "GET /api/v1/nodes/n3/proxy/configz": (503, status(503, "ServiceUnavailable", "connection refused")),
        f"{system}/pods": pods,
        system: named("kube-system", labels={"kubernetes.io/metadata.name": "kube-system"}),
        f"{system}/configmaps/coredns": {"data": {"Corefile": COREFILE}},
        f"{system}/configmaps/kube-proxy": {"data": {"config.conf": "mode: ipvs\n", "kubeconfig.conf": CANARY}},
        "GET /apis/discovery.k8s.io/v1/namespaces/default/endpointslices": listed(named("k", endpoints=[{"addresses": ["10.0.0.1", "10.0.0.2"]}])),
        "GET /apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler": named("s", spec={"renewTime": "2026-01-01T00:00:00.000000Z"}),
        "GET /apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager": named("m", spec={"renewTime": "2026-01-01T00:00:00.000000Z"}),
        f"{apps}/daemonsets": listed(named("cilium", "kube-system", spec={"template": {"spec": {}}}, status={"desiredNumberScheduled": 3, "numberReady": 2})),
        f"{apps}/deployments": listed(deployment),
        f"{apps}/statefulsets": listed(named("prometheus-k8s", "monitoring")),
        f"{apps}/namespaces/kube-system/deployments": listed(deployment),
        "GET /apis/autoscaling/v2/namespaces/kube-system/horizontalpodautoscalers": listed(),
        policy: listed(
            named("dns", "kube-system", spec={"selector": {"matchLabels": {"k8s-app": "kube-dns"}}}),
            named("web", "shop", spec={}, status={"expectedPods": 1, "currentHealthy": 1, "disruptionsAllowed": 0}),
        ),
        "GET /apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations": listed(named("v", webhooks=[HOOK, BY_URL])),
        "GET /apis/discovery.k8s.io/v1/namespaces/hooks/endpointslices": listed(named("one-a", endpoints=ENDPOINTS)),
        "GET /apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations": listed(),
        "GET /apis/apiregistration.k8s.io/v1/apiservices": listed(named("v1.metrics", status={"conditions": [{"type": "Available", "status": "False"}]})),
        f"{storage}/storageclasses": listed(
            {**named("old"), "provisioner": "kubernetes.io/gce-pd"},
            {**named("new"), "provisioner": "csi.x", "volumeBindingMode": "WaitForFirstConsumer"},
        ),
        f"{storage}/csidrivers": listed(named("csi.x")),
        f"{storage}/csinodes": listed(
            named("n1", spec={"drivers": [{"name": "csi.x", "allocatable": {"count": 2}, "topologyKeys": ["z"]}]}),
            named("n2", spec={"drivers": [{"name": "csi.x"}]}),
        ),
        f"{storage}/volumeattachments": listed(*(named(str(n), spec={"attacher": "csi.x", "nodeName": "n1"}) for n in range(2))),
        "GET /api/v1/persistentvolumes": listed(named("pv", spec={"awsElasticBlockStore": {}, "mountOptions": ["noatime", "nodiratime"]})),
        "GET /apis/certificates.k8s.io/v1/certificatesigningrequests": listed(named("a"), named("b", status={"conditions": [{"type": "Approved"}]})),
        "GET /apis/batch/v1/cronjobs": listed(named("bad", "kube-system", **job)),
        "GET /apis/networking.k8s.io/v1/networkpolicies": listed(named("a")),
        "GET /metrics": METRICS,
    }  # fmt: skip


@pytest.fixture
def look(tmp_path):
    """Return look(**changed answers) -> (facts, what was asked)."""

    def run(changed=None, metrics=True):
        with FakeCluster({**answers(), **(changed or {})}) as fake:
            fake.headers = {}
            server = cluster.Cluster(fake.kubeconfig(tmp_path / "kubeconfig"), connections=4)
            return cluster_config.Look(server, {"kubelets": 4, "metrics": metrics, "timeout": 5}).all(), fake.asked

    return run


def test_all_is_read(look):
    facts, asked = look()
    assert facts["missing"] == {}
    assert facts["counts"] == {"pods": 42, "services": 1, "namespaces": 1} and facts["apiservers"] == 2
    assert facts["nodes"]["n1"]["control_plane"] and facts["nodes"]["n2"]["pressures"] == ["DiskPressure"] and facts["nodes"]["n1"]["memory"] == 16 * 2**30
    assert facts["kubelets"] == [{"nodes": ["n1", "n2"], "config": {"maxPods": 110}}] and "503" in facts["kubelets_failed"]["n3"]
    assert facts["instances"] == {"apiserver": {"n1": "registry/kube-apiserver-n1:v1.36.3"}}
    dns = facts["dns"]
    assert (dns["ready"], dns["nodes"], dns["budget"], dns["cpu_limited"], dns["memory_limit"], dns["autoscaled"]) == (1, 1, True, True, 170 * 2**20, False)
    assert dns["corefile"]["lacks"] == ["loadbalance"] and dns["corefile"]["logs"] is True and dns["corefile"]["lameduck"] is True
    assert facts["proxy"] == {"cilium_replaces": False, "config": {"mode": "ipvs"}}
    assert facts["webhooks"]["v h"]["holds_system"] is True and "coordination.k8s.io/leases" in facts["webhooks"]["v h"]["hot"]
    assert facts["webhooks"]["v h"]["backends"] == 1 and facts["webhooks"]["v h"]["stops_writes"] is True
    assert facts["webhooks"]["v u"]["stops_writes"] is False and "backends" not in facts["webhooks"]["v u"]
    assert facts["unavailable_apis"] == ["v1.metrics"] and facts["stuck_budgets"] == ["shop/web"] and facts["pending_requests"] == 1
    assert {name: one["kind"] for name, one in facts["storage"]["classes"].items()} == {"old": "removed", "new": "csi"}
    assert facts["csi"] == {"csi.x": {"nodes": 2, "unlimited": 1, "used": 1.0, "topology": False}}
    assert facts["volumes"] == {"count": 1, "removed": ["pv"], "options": ["pv"]} and facts["jobs"]["compact"] == ["kube-system/bad"]
    assert facts["workloads"]["agents"]["kube-system/cilium"]["ready"] == 2 and facts["workloads"]["monitored"]
    assert facts["metrics"]["alpha"] == ["CBORServingAndStorage"] and facts["metrics"]["objects"]["pods"] == 42000
    assert facts["metrics"]["deprecated"] == [{"resource": "flowcontrol/v1beta3 flowschemas", "removed": "1.37"}]
    assert facts["services"] == {"prefer_close": ["shop/a"], "in_namespace": 1} and facts["workloads"]["in_namespace"] == 1
    assert facts["policies"] is True and dns["corefile"]["kubernetes"] is True
    assert CANARY not in json.dumps(facts)
    assert {one.method for one in asked} == {"GET"} and not any("secrets" in one.path for one in asked)


def test_kubelets_that_are_silent_for_one_reason_are_told_alike(look):
    """Each names its own node and address: without them a thousand are one finding."""
    words = "error trying to reach {0}: dial tcp 10.0.0.{1}:10250: refused"
    silent = {
        f"GET /api/v1/nodes/{name}/proxy/configz": (503, status(503, "ServiceUnavailable", words.format(name, name[1]))) for name in ("n1", "n2", "n3")
    }
    told = look(silent)[0]["kubelets_failed"]
    assert set(told) == {"n1", "n2", "n3"} and len(set(told.values())) == 1 and "refused" in told["n1"]


def test_what_is_refused_is_missing_by_name(look):
    refused = (403, status(403, "Forbidden", "not allowed"))
    facts, dummy = look(
        {
            "GET /apis/apps/v1/daemonsets": refused,
            "GET /api/v1/nodes": refused,
            "GET /apis/storage.k8s.io/v1/storageclasses": {"items": [{}]},
            "GET /metrics": {"a": 1},
        }
    )
    assert set(facts["missing"]) == {"workloads", "nodes", "kubelets", "storage", "metrics"}
    assert "403" in facts["missing"]["nodes"] and "another form" in facts["missing"]["storage"] and "no metrics" in facts["missing"]["metrics"]
    assert not {"workloads", "nodes", "kubelets", "storage"} & set(facts)


def test_what_is_not_there_is_no_problem(look):
    gone = (404, status(404, "NotFound", "gone"))
    path = "GET /api/v1/namespaces/kube-system/configmaps/"
    facts, dummy = look({f"{path}coredns": gone, f"{path}kube-proxy": gone}, metrics=False)
    assert "corefile" not in facts["dns"] and facts["proxy"] == {"cilium_replaces": False} and facts["missing"] == {}


def test_a_cluster_whose_dns_is_elsewhere_is_not_one_without(look):
    facts, dummy = look({"GET /api/v1/namespaces/kube-system/pods": listed(), "GET /apis/apps/v1/namespaces/kube-system/deployments": listed()})
    assert "dns" not in facts and "k8s-app=kube-dns" in facts["missing"]["dns"]


def test_a_server_that_is_none(look):
    with pytest.raises(cluster.ClusterError, match="gitVersion"):
        look({"GET /version": {}})
