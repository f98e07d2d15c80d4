# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups of pods and tools in them, in a real cluster, by an account with exactly the rights of the notes of pod_group and pod_exec."""

from __future__ import annotations

import base64
import hashlib
import json
import signal
import ssl
import time

import pytest
import yaml

from ansible_collections.kubeproof.certify.tests.lab import accounts
from ansible_collections.kubeproof.certify.tests.unit.plugins.stream_proxy import Proxy

pytestmark = [pytest.mark.lab]
RUN = "test-groups"
RIGHTS = [
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "list", "watch", "deletecollection"]},
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "delete"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]},
]
NODES = ("worker1", "worker2", "cp1")
EVERYWHERE = [{"operator": "Exists"}]
SERVER = {"argv": ["iperf3", "-s"], "ports": [5201]}
SEEN = 30
# A file of a node that becomes a loop device.
IMAGE = "/var/lib/kubelet/kubeproof-test.img"


class Space:
    """A namespace of a Pod Security level, with an account."""

    def __init__(self, lab, level, directory):
        self.lab, self.namespace = lab, f"kubeproof-test-groups-{level}"
        self.kubeconfig = accounts.make_account(lab, self.namespace, "load", RIGHTS, level, directory / "kubeconfig")

    def kubectl(self, *arguments, check=True):
        return self.lab.kubectl("-n", self.namespace, *arguments, check=check)

    def processes(self, pod):
        """Return the command lines in a pod's keeper."""
        return self.kubectl("exec", pod, "-c", "keeper", "--", "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '", check=False)

    def until(self, pod, text):
        """Wait until a command line in a pod has this text."""
        limit = time.monotonic() + SEEN
        while text not in self.processes(pod):
            assert time.monotonic() < limit, f"no {text} in {pod}"
            time.sleep(0.2)


def spaces(level):
    @pytest.fixture(scope="module", name=level)
    def space(lab, tmp_path_factory):
        found = Space(lab, level, tmp_path_factory.mktemp(level))
        yield found
        lab.kubectl("delete", "namespace", found.namespace, "--timeout", "60s", "--request-timeout", "70s")

    return space


fixture_restricted, fixture_privileged = spaces("restricted"), spaces("privileged")


@pytest.fixture
def group(tmp_path):
    """Return group(space, pods, during=function, **arguments) -> Answer; the group is removed after the test, and nothing is left."""
    used = []

    def call(space, pods, during=None, **arguments):
        used.append(space)
        given = {"kubeconfig": str(space.kubeconfig), "namespace": space.namespace, "run_id": RUN, "name": "g", "image": accounts.tools_image(), "seconds": 120}
        return accounts.call("pod_group", {**given, "pods": pods, **arguments}, tmp_path, during)

    yield call
    for space in set(used):
        answer = call(space, {}, state="absent")
        assert not answer.data.get("failed") and answer.data["left"] == [], answer.data
        assert space.kubectl("get", "pods,configmaps", "-l", f"kubeproof.io/run={RUN}", "-o", "name") == ""


@pytest.fixture
def run(tmp_path):
    """Return run(space, (pod, argv, {more}), …, during=function, **arguments) -> Answer."""

    def call(space, *runs, during=None, **arguments):
        made = [{"name": f"r{index}", "pod": pod, "argv": argv, "timeout": 30, **more} for index, (pod, argv, more) in enumerate(runs)]
        given = {"kubeconfig": str(space.kubeconfig), "namespace": space.namespace, "raw": str(tmp_path / "raw"), "runs": made}
        return accounts.call("pod_exec", {**given, **arguments}, tmp_path, during)

    return call


def sh(script, pod="g-a", **more):
    return pod, ["sh", "-c", script], more


def test_servers_and_clients_on_every_node(restricted, group, run):
    pods = {f"{kind}-{node}": {**spec, "node": node} for node in NODES for kind, spec in (("server", SERVER), ("client", {}))}
    made = group(restricted, pods, tolerations=EVERYWHERE)
    found = made.data["pods"]
    assert made.data["seconds"] < 20 and {name: one["node"] for name, one in found.items()} == {name: name.partition("-")[2] for name in pods}
    address, clients = found["server-cp1"]["ip"], [found[f"client-{node}"]["pod"] for node in NODES]
    answer = run(restricted, *((pod, ["iperf3", "-c", address, "-J", "-t", "1"], {"parser": "iperf3"}) for pod in clients))
    facts = [one["facts"] for one in answer.data["runs"].values()]
    assert all(one["received"]["rate"] > 1e6 for one in facts) and len(facts) == 3
    # What a run costs beyond its tool.
    answer = run(restricted, *((clients[index % 3], ["true"], {"name": f"t{index}"}) for index in range(12)))
    assert all(one["error"] == "" for one in answer.data["runs"].values()) and answer.data["seconds"] / 12 < 0.5, answer.data["seconds"]


def test_large_results_in_little_memory(restricted, group, run, tmp_path):
    group(restricted, {"a": {}}, files={"hello": "world"})
    answer = run(restricted, sh("head -c 20000000 /dev/urandom >big; sha256sum <big; cat /kubeproof/files/hello; head -c 100000000 /dev/zero >&2"))
    digest, hello = (tmp_path / "raw/r0/stdout").read_text().split("  -\n")
    found = (tmp_path / "raw/r0/big").read_bytes()
    assert len(found) == 20000000 and hashlib.sha256(found).hexdigest() == digest and hello == "world"
    assert (tmp_path / "raw/r0/stderr").stat().st_size == 100000000 and answer.data["runs"]["r0"]["error"] == ""
    assert answer.memory < 120e6 and restricted.kubectl("exec", "g-a", "--", "ls", "/kubeproof/results") == ""


def test_network_of_the_host_and_root(privileged, group, run, tmp_path):
    given = {"a": {"node": "worker1", "host_network": True, **SERVER}, "b": {"node": "worker2"}}
    found = group(privileged, given, host_aliases={"10.1.2.3": ["kubeproof.test"]}).data["pods"]
    assert found["a"]["ip"] == found["a"]["host_ip"] != found["b"]["ip"]
    answer = run(privileged, ("g-b", ["iperf3", "-c", found["a"]["ip"], "-t", "1"], {}), sh("id -u; cat /etc/hosts", "g-b"))
    assert not [one for one in answer.data["runs"].values() if one["error"]]
    assert (tmp_path / "raw/r1/stdout").read_text().startswith("65532\n") and "10.1.2.3\tkubeproof.test" in (tmp_path / "raw/r1/stdout").read_text()
    group(privileged, {}, state="absent")
    group(privileged, {"a": {"node": "worker1"}}, security="privileged")
    answer = run(privileged, sh("id -u; cat /proc/sys/net/netfilter/nf_conntrack_count; ls /dev/loop-control", name="root"))
    assert (tmp_path / "raw/root/stdout").read_text().startswith("0\n") and answer.data["runs"]["root"]["error"] == ""


def claim(space, name, **spec):
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}, **spec}
    meta = {"name": name, "namespace": space.namespace}
    accounts.apply(space.lab, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": wanted})


def test_volumes(restricted, group, run):
    claim(restricted, "data", storageClassName="local-path")
    claim(restricted, "never", storageClassName="kubeproof-none")
    group(restricted, {"a": {"claims": {"data": "/data"}}})
    answer = run(restricted, sh("echo kept >/data/file; df /data; cat /data/file"))
    assert answer.data["runs"]["r0"]["error"] == ""
    group(restricted, {}, state="absent")
    said = group(restricted, {"a": {"claims": {"never": "/data"}}}, ready_timeout=5).said
    assert "1 of 1 pods were not scheduled within 5 s:" in said and "never" in said and "kubeproof-none" in said, said
    restricted.kubectl("delete", "pvc", "data", "never")


def test_a_block_device(privileged, group, run):
    """A file of the node as a loop device, which a local volume hands on."""
    device = privileged.lab.on("worker1", f"sudo sh -c 'truncate -s 64M {IMAGE}; losetup --find --show {IMAGE}'").strip()
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["worker1"]}]}]
    spec = {"capacity": {"storage": "64Mi"}, "accessModes": ["ReadWriteOnce"], "volumeMode": "Block", "storageClassName": "kubeproof-test"}
    spec.update(local={"path": device}, nodeAffinity={"required": {"nodeSelectorTerms": terms}}, persistentVolumeReclaimPolicy="Retain")
    try:
        meta = {"name": "kubeproof-test-block", "labels": accounts.MANAGED}
        accounts.apply(privileged.lab, {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": meta, "spec": spec})
        claim(privileged, "disk", volumeMode="Block", storageClassName="kubeproof-test")
        made = group(privileged, {"a": {"claims": {"disk": "/dev/kubeproof"}, "block": True}}, security="privileged")
        assert made.data["pods"]["a"]["node"] == "worker1"
        answer = run(privileged, sh("dd if=/dev/zero of=/dev/kubeproof bs=1M count=8 oflag=direct && test -b /dev/kubeproof"))
        assert answer.data["runs"]["r0"]["error"] == ""
    finally:
        group(privileged, {}, state="absent")
        privileged.kubectl("delete", "pvc", "disk", "--ignore-not-found")
        privileged.lab.kubectl("delete", "pv", "kubeproof-test-block", "--ignore-not-found")
        privileged.lab.on("worker1", f"sudo sh -c 'losetup --detach {device}; rm {IMAGE}'")


@pytest.mark.parametrize(
    ("pods", "arguments", "said"),
    [
        ({"a": {}}, {"image": "registry.kubeproof.lab:5000/kubernetes/tools:none"}, ("pod g-a on worker", "and will not: ErrImagePull", "not found")),
        ({"a": {}}, {"image": "registry.kubeproof.lab:5999/a:b", "pull_timeout": 4}, ("did not start within 4 s", "connection refused")),
        ({"a": {"node": "nowhere"}}, {"ready_timeout": 3}, ("1 of 1 pods were not scheduled within 3 s: 0/3 nodes are available",)),
        ({"a": {"node": "cp1"}}, {"ready_timeout": 3}, ("untolerated taint",)),
        ({"a": {"host_network": True}}, {}, ("Cannot create the Pod g-a", 'violates PodSecurity "restricted')),
        ({"a": {}}, {"security": "privileged"}, ('violates PodSecurity "restricted',)),
        ({"a": {"argv": ["no-such-tool"]}}, {}, ("no-such-tool ended with exit code 128", "executable file not found", "where it should go on")),
        ({"a": {"argv": ["iperf3", "-c", "127.0.0.1"], "ports": [80]}}, {}, ("iperf3 ended with exit code 1", "Connection refused")),
        ({"a": {"argv": ["sleep", "60"], "ports": [80]}}, {"ready_timeout": 4}, ("runs, but was not ready within 4 s: nothing listens at port 80.",)),
        ({"a": {"claims": {"none": "/data"}}}, {"ready_timeout": 3}, ('persistentvolumeclaim "none" not found',)),
        ({"a": {}}, {"namespace": "default"}, ("403", "Give it the rights that the notes of pod_group name.")),
    ],
)
def test_a_group_that_cannot_be_says_why(restricted, group, pods, arguments, said):
    answer = group(restricted, pods, **arguments)
    assert all(text in answer.said for text in said) and answer.data["left"] == [], answer.said


def test_no_quota_for_pods(restricted, group):
    meta = {"name": "one", "namespace": restricted.namespace}
    accounts.apply(restricted.lab, {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": {"pods": "1"}}})
    try:
        answer = group(restricted, {"a": {}, "b": {}}, ready_timeout=4)
    finally:
        restricted.kubectl("delete", "resourcequota", "one")
    assert "Cannot create the Pod g-" in answer.said and "exceeded quota: one" in answer.said


@pytest.mark.parametrize(
    ("script", "more", "said"),
    [
        ("echo why >&2; exit 3", {}, "sh ended with exit code 3 in pod g-a: why."),
        ("sleep 60 & sleep 60", {"timeout": 2}, "sh did not end within 2 s in pod g-a: it said nothing."),
        ("head -c 2000m /dev/zero | tail -c 2000m", {}, "sh ended with exit code 137 (OOMKilled) in pod g-a"),
        ("mkdir sub", {}, "'odd sub' cannot come back"),
        ("echo x", {"parser": "iperf3"}, "cannot read the output of sh in pod g-a: "),
    ],
)
def test_a_run_that_fails_says_why(restricted, group, run, script, more, said):
    group(restricted, {"a": {}})
    answer = run(restricted, sh(script, **more), sh("true"))
    assert said in answer.data["runs"]["r0"]["error"] and answer.data["runs"]["r1"]["error"] == "", answer.data
    assert "sleep 60 " not in restricted.processes("g-a")


def test_a_pod_that_is_deleted_or_too_old(restricted, group, run):
    group(restricted, {"a": {}, "b": {}}, seconds=25)

    def delete(dummy):
        restricted.until("g-a", "sleep 61")
        restricted.kubectl("delete", "pod", "g-a", "--wait=false")

    answer = run(restricted, sh("sleep 61"), sh("true"), sh("sleep 28", "g-b"), during=delete)
    errors = [one["error"] for one in answer.data["runs"].values()]
    assert "pod g-a" in errors[0] and ("was deleted" in errors[0] or "is not there" in errors[0]) and errors[1].startswith("sh was not run: pod g-a"), errors
    assert "g-b on worker" in errors[2] and "was lost: DeadlineExceeded" in errors[2], errors


def test_connections_that_are_cut(restricted, group, run, tmp_path):
    """A proxy on the way ends what is quiet for a second; the tool runs once and its results are whole."""
    group(restricted, {"a": {}})
    config = yaml.safe_load(restricted.kubeconfig.read_text())
    settings = config["clusters"][0]["cluster"]
    context = ssl.create_default_context(cadata=base64.b64decode(settings["certificate-authority-data"]).decode())
    with Proxy(settings["server"], tls=context, idle=1) as proxy:
        config["clusters"][0]["cluster"] = {"server": proxy.url}
        path = tmp_path / "through-the-proxy"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))
        answer = run(restricted, sh("echo begun; sleep 4; echo ended; head -c 3000000 /dev/zero >&2"), kubeconfig=str(path))
    assert answer.data["runs"]["r0"]["error"] == "" and len(proxy.heads) > 2
    assert (tmp_path / "raw/r0/stdout").read_text() == "begun\nended\n" and (tmp_path / "raw/r0/stderr").stat().st_size == 3000000


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_tool_outlives_its_module_for_longer_than_its_timeout(restricted, group, run, number):
    group(restricted, {"a": {}})

    def stop(process):
        restricted.until("g-a", "sleep 62")
        process.send_signal(number)

    timeout = 8 if number == signal.SIGKILL else 60
    try:
        answer = run(restricted, sh("sleep 62", timeout=timeout), during=stop)
        assert f"The run was stopped by {number.name}" in answer.said
    except json.JSONDecodeError:
        assert number == signal.SIGKILL
        time.sleep(timeout)
    assert "sleep 62" not in restricted.processes("g-a")


def test_a_signal_leaves_no_group(restricted, group):
    def stop(process):
        limit = time.monotonic() + SEEN
        while "pod/g-a" not in restricted.kubectl("get", "pods", "-o", "name"):
            assert time.monotonic() < limit
        process.send_signal(signal.SIGTERM)

    answer = group(restricted, {"a": {}, "b": {"argv": ["sleep", "60"], "ports": [80]}}, files={"a": "b"}, during=stop)
    assert "The group g was stopped by SIGTERM, sent to pod_group." in answer.said and answer.data["left"] == []
