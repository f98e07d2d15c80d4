# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""exec, attach, port-forward and resize on the lab: directly, through a proxy that breaks them, and with the module stopped at any moment."""

from __future__ import annotations

import base64
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from ansible_collections.kubeproof.certify.tests.unit.plugins import stream_proxy

pytestmark = pytest.mark.lab
SPACE = "kubeproof-streams"
RUN = "20261121t000000z-lab0"
LABELS = {"app.kubernetes.io/managed-by": "kubeproof", "kubeproof.io/run": RUN}
VERSION = yaml.safe_load((Path(__file__).parents[2] / "roles/lab/vars/main.yml").read_text(encoding="utf-8"))["__lab_pause_version"]
IMAGE = f"registry.kubeproof.lab:5000/kubernetes/pause:{VERSION}"
# What the module's notes ask for.
RULES = [
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "get", "delete"]},
    {"apiGroups": [""], "resources": ["pods/exec", "pods/attach", "pods/portforward"], "verbs": ["get", "create"]},
    {"apiGroups": [""], "resources": ["pods/resize"], "verbs": ["patch"]},
]
WORKS = {"exec": True, "attach": True, "port_forward": True, "resize": True}
BROKEN = {"exec": False, "attach": False, "port_forward": False, "resize": True}
CODE = """
import json, sys
from ansible.module_utils.testing import patch_module_args
from ansible_collections.kubeproof.certify.plugins.modules import api_streams
with patch_module_args(json.loads(sys.argv[1])):
    api_streams.main()
"""


def objects():
    """Yield a namespace with Pod Security's strictest level, and a ServiceAccount with exactly the rights needed."""
    rbac, metadata = "rbac.authorization.k8s.io", {"name": "run", "namespace": SPACE}
    labels = {**LABELS, "pod-security.kubernetes.io/enforce": "restricted"}
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE, "labels": labels}}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    yield {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": metadata, "rules": RULES}
    role, account = {"apiGroup": rbac, "kind": "Role", "name": "run"}, {"kind": "ServiceAccount", "name": "run", "namespace": SPACE}
    yield {"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "metadata": metadata, "roleRef": role, "subjects": [account]}


@pytest.fixture(scope="module", name="account")
def fixture_account(lab):
    """Return {server, ca (PEM), token} of the ServiceAccount; its namespace is deleted afterwards."""
    kubectl = [lab.state / "bin/kubectl", "--kubeconfig", lab.state / "kubeconfig"]
    subprocess.run([*kubectl, "apply", "-f", "-"], input="\n---\n".join(map(json.dumps, objects())), text=True, check=True, capture_output=True)
    cluster = yaml.safe_load((lab.state / "kubeconfig").read_text())["clusters"][0]["cluster"]
    token = lab.kubectl("--namespace", SPACE, "create", "token", "run", "--duration", "1h").strip()
    yield {"server": cluster["server"], "ca": base64.b64decode(cluster["certificate-authority-data"]).decode(), "token": token}
    subprocess.run([*kubectl, "delete", "namespace", SPACE, "--timeout", "60s"], check=True, capture_output=True)


@pytest.fixture(name="start")
def fixture_start(lab, account, tmp_path):
    """Return start(server, **options): the module's process. Its pod has to be gone after the test."""
    path = tmp_path / "kubeconfig"
    path.touch(0o600)

    def run(server=None, **options):
        place = {"server": server} if server else {"server": account["server"], "certificate-authority-data": base64.b64encode(account["ca"].encode()).decode()}
        entries = {"clusters": [{"name": "a", "cluster": place}], "users": [{"name": "a", "user": {"token": account["token"]}}]}
        path.write_text(yaml.safe_dump({"current-context": "a", "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}], **entries}))
        given = {"kubeconfig": str(path), "namespace": SPACE, "run_id": RUN, "name": "streams", "image": IMAGE, "idle": 2, **options}
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        return subprocess.Popen([sys.executable, "-c", CODE, json.dumps(given)], stdout=subprocess.PIPE, env=environment, text=True)

    yield run
    assert lab.kubectl("--namespace", SPACE, "get", "pods", "--output", "json")["items"] == []


def answer_of(process):
    """Return what the module answered."""
    output, _none = process.communicate(timeout=120)
    answer = json.loads(output)
    assert answer["left"] == []
    return answer


def works(facts):
    return {name: facts[name]["works"] for name in WORKS}


def test_directly(lab, start):
    facts = answer_of(start(list_kubeconfig=str(lab.state / "kubeconfig")))["facts"]
    assert works(facts) == WORKS and facts["problems"] == []
    assert facts["exec"]["exit_code"] == 0 and facts["exec"]["protocol"] == "v5.channel.k8s.io"
    assert facts["port_forward"]["protocol"] == "SPDY/3.1+portforward.k8s.io"
    assert facts["list"]["pods"] >= 8 and facts["list"]["chunks"] == 1


def test_a_command_that_is_not_there(start):
    fact = answer_of(start(command=["/nope"]))["facts"]["exec"]
    assert fact["works"] is True and fact["exit_code"] is None and "the node could not run the command" in fact["reason"]


def without(name):
    """Return what drops a header."""
    return lambda head, client: b"\r\n".join(line for line in head.split(b"\r\n") if line.split(b":")[0].lower() != name)


def answers(code):
    """Return what answers in place of the server."""
    return lambda head, client: client.sendall(b"HTTP/1.1 %d X\r\nContent-Length: 6\r\n\r\n<html>" % code)


@pytest.mark.parametrize(
    ("meddle", "idle", "expected", "reason"),
    [
        (None, None, WORKS, None),
        (answers(400), None, BROKEN, "attach: the server or a proxy before it answered 400 instead of switching to WebSocket: <html>"),
        (answers(403), None, BROKEN, "attach: the server or a proxy before it answered 403 instead of switching to WebSocket: <html>"),
        (answers(200), None, BROKEN, "attach: the server or a proxy before it answered 200 instead of switching to WebSocket: <html>"),
        (without(b"upgrade"), None, BROKEN, "attach: a proxy before the server drops the header Upgrade, so that it answered 400"),
        (without(b"authorization"), None, BROKEN, "attach: a proxy before the server drops the credentials from the request for a WebSocket"),
        (without(b"sec-websocket-protocol"), None, BROKEN, "attach: the WebSocket has no subprotocol: a proxy before the server drops"),
        (None, 1.0, {**WORKS, "attach": False}, "attach: the connection was cut 1."),
    ],
)
def test_through_a_proxy(start, account, meddle, idle, expected, reason):
    with stream_proxy.Proxy(account["server"], meddle, ssl.create_default_context(cadata=account["ca"]), idle) as proxy:
        facts = answer_of(start(proxy.url))["facts"]
    assert works(facts) == expected and facts["problems"] == []
    assert facts["attach"]["reason"] is reason or facts["attach"]["reason"].startswith(reason)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"image": IMAGE + "-none"}, "Pull"),
        ({"node": "none"}, "Unschedulable 0/3 nodes are available"),
        ({"namespace": "kube-system"}, "403 pods is forbidden"),
    ],
)
def test_a_pod_that_does_not_run(start, options, reason):
    answer = answer_of(start(timeout=5, **options))
    assert answer["failed"] is True and reason in answer["msg"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after", [0.0, 0.05, 0.3, 0.7, 1.5])
def test_stopped(lab, start, number, after):
    """From the moment in which the pod is there; the fixture proves that it is gone."""
    process = start()
    limit = time.monotonic() + 20
    while not lab.kubectl("--namespace", SPACE, "get", "pods", "--output", "name") and time.monotonic() < limit:
        pass
    time.sleep(after)
    process.send_signal(number)
    answer = answer_of(process)
    assert answer["failed"] is True and answer["msg"] == f"This was stopped by {number.name} before everything was asked."
