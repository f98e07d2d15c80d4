# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is looked for in a cluster, and that our objects in it come, change and go, and no other."""

from __future__ import annotations

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import monitoring_cluster as monitoring
from ansible_collections.kubeproof.certify.plugins.module_utils.cluster import ClusterError
from ansible_collections.kubeproof.certify.plugins.module_utils.monitoring_objects import config_maps, prometheus_rules

BOARDS = config_maps({"etcd": {"a": 1}, "dns": {"b": 2}}, "monitoring", {}, {})
RULES = prometheus_rules({"etcd": [{"name": "g", "rules": []}]}, "monitoring", {})


class Server:
    """Objects by path, as an API server keeps them; `rules` is whether it has the operator's kinds."""

    server = "https://10.0.0.1:6443"

    def __init__(self, rules=True, stuck=()):
        self.rules, self.stuck, self.kept, self.version = rules, stuck, {}, 0

    def request(self, method, path, body=None, query=None, content_type="application/json", timeout=None):
        if path == "/version":
            return {"gitVersion": "v1.36.3"}
        if path == "/apis/monitoring.coreos.com/v1":
            if not self.rules:
                raise ClusterError("GET: 404", 404)
            return {"resources": [{"name": "prometheusrules"}]}
        if path.endswith("/endpoints/kubernetes"):
            return {"subsets": [{"addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}], "ports": [{"name": "https", "port": 6443}, {"name": "x", "port": 1}]}]}
        assert method == "PATCH" and content_type.startswith("application/apply-patch")
        before = self.kept.get(path)
        same = before and versioned(before, None) == versioned(body, None)
        self.version += not same
        made = before if same else versioned(body, str(self.version))
        if "dryRun" not in query:
            self.kept[path] = made
        return made

    def items(self, path, **query):
        if path == "/api/v1/nodes":
            return [{"metadata": {"name": "n1"}}]
        if path == "/api/v1/pods":
            wanted = {"k8s-app=kube-dns": "kube-system", "app.kubernetes.io/name=traefik": "edge"}.get(query["labelSelector"])
            phases = [("one", "Running"), ("two", "Pending")] if wanted else []
            return [{"metadata": {"name": name, "namespace": wanted}, "spec": {"nodeName": "n1"}, "status": {"phase": phase}} for name, phase in phases]
        assert query["labelSelector"] == "app.kubernetes.io/managed-by=kubeproof,kubeproof.io/run=monitoring"
        return [one for place, one in self.kept.items() if place.rpartition("/")[0] == path]

    def delete(self, path):
        if path not in self.stuck:
            self.kept.pop(path)


def versioned(one, version):
    return {**one, "metadata": {**one["metadata"], "resourceVersion": version}}


def names(server):
    return {one["metadata"]["name"] for one in server.kept.values()}


@pytest.mark.parametrize(
    ("places", "namespace", "pods"),
    [
        (["kube-system"], "kube-system", {"p0"}),
        # A copy of somebody's, such as one that a test deploys, has the same label.
        (["a", "kube-system", "a"], "kube-system", {"p1"}),
        (["b", "a", "b"], "b", {"p0", "p2"}),
        (["b", "a"], "a", {"p1"}),
        ([], "", set()),
    ],
)
def test_only_pods_of_one_namespace_are_scraped(places, namespace, pods):
    class Copies(Server):
        def items(self, path, **query):
            if query.get("labelSelector") != "k8s-app=kube-dns":
                return super().items(path, **query)
            running = {"spec": {"nodeName": "n1"}, "status": {"phase": "Running"}}
            return [{"metadata": {"name": f"p{number}", "namespace": place}, **running} for number, place in enumerate(places)]

    found = monitoring.look(Copies(), {"ingress": ""})
    assert found["namespaces"]["dns"] == namespace and set(found["found"]["pods"]["dns"]) == pods


def test_what_is_there_to_scrape():
    found = monitoring.look(Server(), {"ingress": ""})
    assert found["ingress"] == "traefik" and found["namespaces"] == {"dns": "kube-system", "ingress": "edge"} and found["rules"]
    assert found["found"] == {"apiservers": ["10.0.0.1:6443", "10.0.0.2:6443"], "nodes": ["n1"], "pods": {"dns": {"one": "n1"}, "ingress": {"one": "n1"}}}


def test_a_cluster_without_the_operator():
    assert not monitoring.look(Server(rules=False), {"ingress": ""})["rules"]


def test_objects_come_once_change_and_go():
    server = Server()
    assert len(monitoring.keep(server, "monitoring", BOARDS + RULES, False)["changed"]) == 3
    assert monitoring.keep(server, "monitoring", BOARDS + RULES, False) == {"changed": [], "removed": []}
    # One that is not wanted any more goes.
    assert monitoring.keep(server, "monitoring", BOARDS[:1] + RULES, False) == {"changed": [], "removed": ["ConfigMap/kubeproof-dashboard-dns"]}
    assert names(server) == {"kubeproof-dashboard-etcd", "kubeproof-etcd"}
    gone = monitoring.remove(server, "monitoring", 5)
    assert sorted(gone["removed"]) == ["ConfigMap/kubeproof-dashboard-etcd", "PrometheusRule/kubeproof-etcd"] and gone["left"] == [] and names(server) == set()


def test_looking_changes_nothing():
    server = Server()
    assert monitoring.keep(server, "monitoring", BOARDS, True)["changed"] and server.kept == {}


@pytest.mark.parametrize("timeout", [0])
def test_what_does_not_go_is_named(timeout):
    path = "/api/v1/namespaces/monitoring/configmaps/kubeproof-dashboard-dns"
    server = Server(stuck=[path])
    monitoring.keep(server, "monitoring", BOARDS, False)
    assert monitoring.remove(server, "monitoring", timeout)["left"] == ["ConfigMap/kubeproof-dashboard-dns"]
