# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab is the cluster that it says it is."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.lab
ETCD = ("etcd1", "etcd2", "etcd3")
WORKERS = {"worker1", "worker2"}
MANIFESTS = "-H 'Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json'"


def condition(item, name):
    return next(one["status"] for one in item["status"]["conditions"] if one["type"] == name)


def test_nodes(lab):
    nodes = {item["metadata"]["name"]: item for item in lab.kubectl("get", "nodes", "--output", "json")["items"]}
    assert set(nodes) == {"cp1"} | WORKERS
    assert {condition(item, "Ready") for item in nodes.values()} == {"True"}
    assert all(item["status"]["nodeInfo"]["kubeletVersion"].startswith("v1.36.") for item in nodes.values())


def test_version(lab):
    assert lab.kubectl("version", "--output", "json")["serverVersion"]["gitVersion"].startswith("v1.36.")


def test_coredns(lab):
    pods = lab.kubectl("--namespace", "kube-system", "get", "pods", "--selector", "k8s-app=kube-dns", "--output", "json")["items"]
    assert [condition(pod, "Ready") for pod in pods] == ["True", "True"]
    assert {pod["spec"]["nodeName"] for pod in pods} <= WORKERS


@pytest.mark.parametrize("host", ["cp1", *sorted(WORKERS)])
def test_kube_proxy(lab, host):
    assert "mode: nftables" in lab.kubectl("--namespace", "kube-system", "get", "configmap", "kube-proxy", "--output", "yaml")
    assert "table ip kube-proxy" in lab.on(host, "sudo nft list tables")


def test_images_come_from_the_registry(lab):
    """The state of a pod names the digest that its image was pulled by, and the registry serves that digest."""
    pods = lab.kubectl("get", "pods", "--namespace", "kube-system", "--output", "json")["items"]
    images = {status["imageID"] for pod in pods for status in pod["status"]["containerStatuses"]}
    assert len(images) == 5
    for image in images:
        registry, name = image.split("/", 1)
        assert registry == "registry.kubeproof.lab:5000"
        path, digest = name.split("@")
        assert "200 OK" in lab.on("worker1", f"curl -sI {MANIFESTS} http://{registry}/v2/{path}/manifests/{digest}"), image


@pytest.mark.parametrize("host", ETCD)
def test_etcd_stands_outside_the_cluster(lab, host):
    """Three hosts with a systemd unit, TLS, and a filesystem of their own for the data."""
    looks = "systemctl show etcd --property ActiveState,FragmentPath; findmnt --noheadings --output SOURCE,FSTYPE /var/lib/etcd; systemctl is-active kubelet"
    shown = lab.on(host, looks, check=False)
    assert "ActiveState=active" in shown and "FragmentPath=/etc/systemd/system/etcd.service" in shown
    assert "/dev/loop" in shown and "ext4" in shown
    assert shown.endswith("inactive\n")
    assert lab.on(host, "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:2379/health", check=False) != "200"


def test_the_api_server_uses_them(lab):
    [pod] = lab.kubectl("--namespace", "kube-system", "get", "pods", "--selector", "component=kube-apiserver", "--output", "json")["items"]
    [servers] = [word for word in pod["spec"]["containers"][0]["command"] if word.startswith("--etcd-servers=")]
    assert servers == "--etcd-servers=" + ",".join(f"https://10.89.77.{last}:2379" for last in (11, 12, 13))


@pytest.mark.parametrize("host", [*ETCD, "cp1", *sorted(WORKERS)])
def test_user(lab, host):
    assert lab.on(host, "id -un; sudo -n id -un").split() == ["kubeproof", "root"]
