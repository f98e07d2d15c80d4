# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab is the cluster that it says it is."""

from __future__ import annotations

import http.client
import json
import pathlib
import ssl
import time

import pytest
import yaml

pytestmark = pytest.mark.lab
ETCD = ("etcd1", "etcd2", "etcd3")
WORKERS = {"worker1", "worker2"}
MANIFESTS = "-H 'Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json'"


SETTINGS = yaml.safe_load((pathlib.Path(__file__).parents[2] / "inventories/lab/group_vars/all/certify.yml").read_text(encoding="utf-8"))
HOST = "echo.ingress.kubeproof.test"
PLACES = "".join(f"{one}_temp_path /tmp/{one}; " for one in ("client_body", "fastcgi", "proxy", "scgi", "uwsgi"))
NGINX = f"pid /tmp/pid; events {{}} http {{ access_log off; {PLACES} server {{ listen 8080; location / {{ return 200 kubeproof; }} }} }}"


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


# What the lab has for other layers ------------------------------------------------------------------------------------------


@pytest.fixture
def namespace(lab):
    """Make a namespace for a test; delete it, and see that it goes."""
    name = f"helper-lab-{int(time.time())}"
    lab.kubectl("create", "namespace", name)
    yield name
    lab.kubectl("delete", "namespace", name, "--timeout", "60s", "--request-timeout", "60s")


def make(lab, namespace, *objects):
    for one in objects:
        one["metadata"]["namespace"] = namespace
    items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    lab.kubectl("apply", "--filename", "-", data=json.dumps(items))


def pod(name, *argv, mounts=(), volumes=()):
    container = {"name": "main", "image": SETTINGS["certify_tools_image"], "command": list(argv), "volumeMounts": list(mounts)}
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container], "volumes": list(volumes)}
    spec["securityContext"] = {"runAsNonRoot": True}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


def test_a_volume_is_provisioned_written_and_deleted(lab, namespace):
    resources = {"requests": {"storage": "16Mi"}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}}
    claim["spec"] = {"accessModes": ["ReadWriteOnce"], "storageClassName": "local-path", "resources": resources}
    write = "echo kubeproof >/data/file && dd if=/dev/zero of=/data/direct bs=4k count=1 oflag=direct && stat --file-system --format %T /data"
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    make(lab, namespace, claim, pod("writer", "sh", "-c", write, mounts=[{"name": "data", "mountPath": "/data"}], volumes=volumes))
    lab.kubectl("--namespace", namespace, "wait", "--for", "jsonpath={.status.phase}=Succeeded", "pod/writer", "--timeout", "60s", "--request-timeout", "60s")
    # Direct I/O to a disk, not to the memory or the overlay of the node's own container.
    assert lab.kubectl("--namespace", namespace, "logs", "writer").split()[-1] not in ("overlayfs", "tmpfs")
    node = lab.kubectl("--namespace", namespace, "get", "pod", "writer", "--output", "jsonpath={.spec.nodeName}")
    name = lab.kubectl("--namespace", namespace, "get", "pvc", "data", "--output", "jsonpath={.spec.volumeName}")
    written = f"sudo sh -c 'cat /var/lib/kubelet/local-path/{name}_*/file'"
    assert lab.on(node, written) == "kubeproof\n"
    lab.kubectl("--namespace", namespace, "delete", "pod/writer", "pvc/data", "--timeout", "60s", "--request-timeout", "60s")
    lab.kubectl("wait", "--for", "delete", f"pv/{name}", "--timeout", "60s", "--request-timeout", "60s", check=False)
    assert lab.kubectl("get", "pv", name, "--ignore-not-found") == ""
    assert lab.on(node, written, check=False) == ""


def ask(address, port, context=None):
    """Return what a node answers for the Ingress's host, by http or by https."""
    connection = http.client.HTTPConnection(address, port, timeout=5)
    if context:
        connection.connect()
        connection.sock = context.wrap_socket(connection.sock, server_hostname=HOST)
    connection.request("GET", "/", headers={"Host": HOST})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_an_ingress_answers_on_every_node(lab, namespace):
    """By http, and by https with a certificate that the lab's authority has signed."""
    selector = {"app": "echo"}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "echo"}, "spec": {"selector": selector, "ports": [{"port": 8080}]}}
    backend = {"service": {"name": "echo", "port": {"number": 8080}}}
    rule = {"host": HOST, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "echo"}, "spec": {"rules": [rule]}}
    start = f"echo '{NGINX}' >/tmp/nginx.conf && exec nginx -e stderr -c /tmp/nginx.conf -g 'daemon off;'"
    make(lab, namespace, service, ingress, pod("echo", "sh", "-c", start))
    lab.kubectl("--namespace", namespace, "wait", "--for", "condition=Ready", "pod/echo", "--timeout", "60s", "--request-timeout", "60s")
    trusting = ssl.create_default_context(cafile=lab.state / "pki/ingress-ca.pem")
    addresses = lab.kubectl("get", "nodes", "--output", 'jsonpath={.items[*].status.addresses[?(@.type=="InternalIP")].address}').split()
    assert len(addresses) == 3
    limit = time.monotonic() + 20
    while ask(addresses[0], 30080)[0] != 200 and time.monotonic() < limit:
        time.sleep(0.2)
    for address in addresses:
        assert ask(address, 30080) == (200, "kubeproof")
        assert ask(address, 30443, trusting) == (200, "kubeproof")
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(addresses[0], 30443, ssl.create_default_context())
