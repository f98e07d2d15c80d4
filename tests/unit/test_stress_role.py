# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The look at nodes and pods between two steps of a ramp, played: the first finds the system wherever it lives, and the next look where it was."""

from __future__ import annotations

import json

from ansible_collections.kubeproof.certify.tests.unit import test_etcd_role
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import FakeCluster

play = test_etcd_role.play
LOOK = {"name": "kubeproof.certify.certify", "tasks_from": "stress_health.yml", "defaults_from": "main/settings.yml", "public": True}
READY = {"conditions": [{"type": "Ready", "status": "True"}]}


def pod(namespace, name, **spec):
    return {"metadata": {"name": name, "namespace": namespace, "uid": name}, "spec": spec, "status": {"phase": "Running", **READY}}


def test_the_system_is_found_once_and_looked_at_there(play, tmp_path):
    pods = [pod("calico-system", "calico-node-a", priorityClassName="system-node-critical"), pod("openshift-dns", "dns-a"), pod("shop", "web")]
    rancher, ingress = pod("cattle-system", "rancher"), pod("traefik", "traefik-a")
    answers = {f"GET /api/v1/namespaces/{one['metadata']['namespace']}/pods": {"items": [one]} for one in (*pods, rancher, ingress)}
    answers.update({"GET /api/v1/nodes": {"items": [{"metadata": {"name": "w1"}, "status": READY}]}, "GET /api/v1/pods": {"items": [*pods, rancher, ingress]}})
    look = {"ansible.builtin.include_role": LOOK}
    tasks = [
        look, {"ansible.builtin.set_fact": {"certify_stress": {"health": "{{ __certify_health }}"}}},
        look, {"ansible.builtin.copy": {"content": "{{ [certify_stress.health, __certify_health] }}", "dest": str(tmp_path / "seen"), "mode": "0600"}},
    ]  # fmt: skip
    variables = {"certify_layer": "ingress", "certify_system_namespaces": ["cattle-system"], "ingress_watched": ["traefik"]}
    with FakeCluster(answers) as api:
        plays = [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]
        play(plays, {"ungrouped": {"localhost": {}}}, certify_kubeconfig=api.kubeconfig(tmp_path / "kubeconfig"), **variables)
        asked = [one.path for one in api.asked]
    first, second = json.loads((tmp_path / "seen").read_text())
    assert first == second and sorted(first["pods"]) == ["calico-system/calico-node-a", "cattle-system/rancher", "openshift-dns/dns-a", "traefik/traefik-a"]
    places = [f"/api/v1/namespaces/{name}/pods" for name in ("calico-system", "cattle-system", "openshift-dns", "traefik")]
    assert [path for path in asked if path.endswith("/pods")] == ["/api/v1/pods", *places]
