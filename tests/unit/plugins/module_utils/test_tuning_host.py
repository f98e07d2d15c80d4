# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read on a host: processes, manifests, units, kernel, jobs; and that no secret leaves it."""

from __future__ import annotations

import json
import os
import pathlib

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import tuning_drift, tuning_etcd, tuning_files, tuning_node, tuning_process

FIXTURES = pathlib.Path(__file__).parents[3] / "fixtures/tuning"
CANARY = "c4nary-s3cret"


# Processes ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def proc(tmp_path):
    """Return add(pid, argv, environ, net, mnt) for a /proc of our own, whose `self` is in the namespaces of the host."""
    for kind in ("net", "mnt", "other"):
        (tmp_path / f"ns-{kind}").write_text("")

    def add(pid, argv, environ=(), net="net", mnt="mnt", cgroup="0::/system.slice/kubelet.service"):
        base = tmp_path / str(pid)
        (base / "ns").mkdir(parents=True)
        os.link(tmp_path / f"ns-{net}", base / "ns/net")
        os.link(tmp_path / f"ns-{mnt}", base / "ns/mnt")
        (base / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in argv))
        (base / "environ").write_bytes(b"".join(word.encode() + b"\0" for word in environ))
        (base / "cgroup").write_text(cgroup)
        (base / "limits").write_text("Limit  Soft Limit  Hard Limit  Units\nMax open files            65536                524288               files\n")
        (base / "stat").write_text(f"{pid} (a (b) c) S " + " ".join(["0"] * 18) + " 500 0\n")

    (tmp_path / "uptime").write_text("100.0 50.0\n")
    add("self", ["python"])
    add.path = str(tmp_path)
    return add


def test_processes_of_this_host(proc):
    proc(10, ["/usr/bin/kubelet", "--config=/a", "--v", "2"])
    proc(11, ["kube-apiserver", "--secure-port=6443"], mnt="other", cgroup="0::/kubepods/besteffort/pod1/abc")
    proc(12, ["kube-apiserver", "--secure-port=7443"], net="other", mnt="other")
    proc(13, ["/bin/bash", "-c", "kubelet"])
    proc(14, ["containerd", "config", "dump"])
    found, others = tuning_process.processes(proc.path)
    assert set(found) == {"kubelet", "apiserver"} and others == []
    [kubelet], [apiserver] = found["kubelet"], found["apiserver"]
    assert kubelet["flags"] == {"config": "/a", "v": "2"} and kubelet["unit"] == "kubelet.service" and kubelet["open_files"] == 65536
    # The API server of somebody's virtual cluster runs in a pod with a network of its own.
    assert apiserver["flags"] == {"secure-port": "6443"} and "unit" not in apiserver and kubelet["on_host"] and not apiserver["on_host"]


def test_another_distribution_is_named(proc):
    proc(10, ["/usr/local/bin/k3s", "server"])
    assert tuning_process.processes(proc.path) == ({}, ["k3s"])


def test_of_the_environment_only_settings_of_etcd_are_read(proc):
    proc(10, ["etcd"], [f"PASSWORD={CANARY}", "ETCD_NAME=a", f"ETCDCTL_PASSWORD={CANARY}", f"AWS_SECRET={CANARY}", "ETCD_QUOTA_BACKEND_BYTES=1", "ETCD_EMPTY="])
    [etcd] = tuning_process.processes(proc.path)[0]["etcd"]
    assert etcd["environment"] == {"name": "a", "quota-backend-bytes": "1"} and CANARY not in json.dumps(etcd)


@pytest.mark.parametrize(
    "argument",
    [
        f"--bearer-token={CANARY}",
        f"--password={CANARY}",
        f"--oidc-client-secret={CANARY}",
        f"--etcd-servers=https://user:{CANARY}@10.0.0.1:2379",
        f"--initial-cluster=a=http://u:{CANARY}@b:2380,c=http://u:{CANARY}@d:2380",
        f"--key={CANARY}",
        f"--auth-token=simple-{CANARY}",
        f"--static-header={CANARY}",
        f"--credential={CANARY}",
    ],
)
def test_no_secret_of_an_argument_leaves_the_host(argument):
    found = tuning_process.shown_flags([argument, CANARY])
    assert CANARY not in json.dumps(found) and list(found) == [argument[2:].split("=")[0]]


@pytest.mark.parametrize(
    "name,value",
    [
        ("service-account-key-file", "/a/sa.pub"),
        ("use-service-account-credentials", "true"),
        ("enable-bootstrap-token-auth", "true"),
        ("tls-private-key-file", "/a/b.key"),
        ("requestheader-group-headers", "X-Remote-Group"),
        ("initial-cluster-token", "lab"),
        ("goaway-chance", "0.001"),
        ("concurrent-serviceaccount-token-syncs", "5"),
    ],
)
def test_what_is_no_secret_is_shown(name, value):
    assert tuning_process.shown(name, value) == value


def test_no_secret_of_a_configuration_leaves_the_host():
    found = tuning_files.settings({
        "maxPods": 110, "staticPodURLHeader": {"Authorization": [CANARY]}, "inner": [{"token": CANARY, "url": f"https://u:{CANARY}@h/"}],
        "tlsPrivateKeyFile": "/a",
    })  # fmt: skip
    assert CANARY not in json.dumps(found) and found["maxPods"] == 110 and found["tlsPrivateKeyFile"] == "/a"


def test_files_of_a_folder_are_taken_over_the_first():
    assert tuning_files.merged({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"c": 3}, "e": [4]}) == {"a": 1, "b": {"c": 3, "d": 2}, "e": [4]}


# Files ----------------------------------------------------------------------------------------------------------------------


def test_manifests_of_kubeadm():
    problems = []
    found = tuning_files.manifests(str(FIXTURES), problems)
    assert set(found) == {"apiserver", "etcd"} and found["apiserver"]["image"].endswith("kube-apiserver:v1.36.3")
    assert found["apiserver"]["flags"]["authorization-mode"] == "Node,RBAC" and found["etcd"]["flags"]["snapshot-count"] == "10000"


def test_a_manifest_that_cannot_be_read_is_a_problem(tmp_path):
    (tmp_path / "kube-apiserver.yaml").write_text("spec: &a {}\n")
    problems = []
    assert tuning_files.manifests(str(tmp_path), problems) == {} and "kube-apiserver.yaml" in problems[0]


def test_a_manifest_in_json_with_variables(tmp_path):
    container = {
        "command": ["etcd"],
        "args": ["--name=a"],
        "image": "etcd:3.6.8",
        "env": [{"name": "ETCD_METRICS", "value": "basic"}, {"name": "TOKEN", "value": CANARY}],
    }
    (tmp_path / "etcd.json").write_text(json.dumps({"spec": {"containers": [container]}}))
    found = tuning_files.manifests(str(tmp_path), [])
    assert found["etcd"]["flags"] == {"name": "a"} and found["etcd"]["environment"] == {"metrics": "basic"} and CANARY not in json.dumps(found)


def test_units_as_systemctl_shows_them(tmp_path):
    environment = tmp_path / "kubeadm-flags.env"
    environment.write_text('# flags\nKUBELET_KUBEADM_ARGS="--node-ip=10.0.0.1 --max-pods=50"\n')
    text = (FIXTURES / "systemctl-show.txt").read_text().replace("/var/lib/kubelet/kubeadm-flags.env", str(environment))
    found = dict(tuning_files.unit(block) for block in text.split("\n\n"))
    kubelet = found["kubelet.service"]
    assert kubelet["flags"] == {
        "bootstrap-kubeconfig": "/etc/kubernetes/bootstrap-kubelet.conf", "kubeconfig": "/etc/kubernetes/kubelet.conf",
        "config": "/var/lib/kubelet/config.yaml",
        "node-ip": "10.0.0.1", "max-pods": "50",
    }  # fmt: skip
    assert kubelet["reload"] is False and kubelet["tasks"] == "infinity" and str(environment) in kubelet["paths"]
    assert found["containerd.service"]["flags"] == {}


def test_several_environment_files_of_a_unit(tmp_path):
    (tmp_path / "a").write_text("A=--x=1\nB=--y=1\n")
    (tmp_path / "b").write_text("B='--y=2'\n")
    text = "Id=a.service\nFragmentPath=/a\nExecStart={ path=/a ; argv[]=/a $A ${B} --z=$C ; ignore_errors=no ; }\n"
    text += f"EnvironmentFiles={tmp_path}/a (ignore_errors=no)\nEnvironmentFiles={tmp_path}/b (ignore_errors=yes)\n"
    dummy, found = tuning_files.unit(text)
    assert found["flags"] == {"x": "1", "y": "2", "z": ""}


def test_a_unit_that_is_not_there():
    assert tuning_files.unit("Id=a.service\nFragmentPath=\n") is None


# etcd -----------------------------------------------------------------------------------------------------------------------


def test_the_config_file_of_etcd(tmp_path):
    path = tmp_path / "etcd.yml"
    path.write_text(
        "name: a\nquota-backend-bytes: 8589934592\npre-vote: false\nclient-transport-security:\n  cert-file: /c\npeer-transport-security:\n  cert-file: /p\n"
    )
    assert tuning_etcd.from_file(str(path)) == {
        "name": "a",
        "quota-backend-bytes": "8589934592",
        "pre-vote": "false",
        "cert-file": "/c",
        "peer-cert-file": "/p",
    }


JOBS = [
    ("*/5 * * * * root etcdctl compact $(date -d '5 minutes ago' +%s)", {"compact": True, "defrag_all": False}),
    ("#* * * * * root etcdctl compact $(date +%s)", {"compact": False, "defrag_all": False}),
    ("rev=$(etcdctl endpoint status)\netcdctl compact $rev\netcdctl defrag\n", {"compact": False, "defrag_all": False}),
    ("0 3 * * * root /usr/bin/etcdctl --endpoints=a defrag --cluster", {"compact": False, "defrag_all": True}),
    ("echo date compact", {"compact": False, "defrag_all": False}),
]


@pytest.mark.parametrize("text,expected", JOBS)
def test_jobs_that_harm_etcd(text, expected):
    assert tuning_etcd.suspicious(text) == expected


def test_files_of_jobs_are_named_and_not_shown(tmp_path):
    (tmp_path / "bad").write_text(JOBS[0][0] + f" # {CANARY}\n")
    (tmp_path / "good").write_text(JOBS[2][0])
    assert tuning_etcd.jobs([f"{tmp_path}/*"]) == {"compact": [f"{tmp_path}/bad"], "defrag_all": []}


# Kernel ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def kernel(tmp_path):
    """Return write(path, text) for a /proc and a /sys of our own."""

    def write(path, text):
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    write("proc/meminfo", "MemTotal:       16000000 kB\nMemAvailable:   8000000 kB\nHugePages_Total:       4\n")
    write.proc, write.sys = str(tmp_path / "proc"), str(tmp_path / "sys")
    return write


def test_the_kernel(kernel):
    kernel("proc/swaps", "Filename Type Size Used Priority\n/swap file 1024 0 -2\n")
    kernel("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n")
    kernel("proc/sys/net/core/somaxconn", "4096\n")
    kernel("proc/vmstat", "nr_free 1\noom_kill 3\n")
    kernel("proc/net/stat/nf_conntrack", "entries searched insert_failed drop\n00000010 00000000 00000002 00000001\n00000010 00000000 0000000a 00000000\n")
    kernel("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n")
    kernel("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n")
    kernel("sys/fs/cgroup/cgroup.controllers", "cpu memory\n")
    found = tuning_node.node(kernel.proc, kernel.sys)
    assert found["swap"] == 1048576 and found["sysctl"] == {"net.core.somaxconn": 4096, "net.ipv4.ip_local_port_range": [32768, 60999]}
    assert (found["oom_kills"], found["insert_failed"], found["governors"], found["transparent_hugepages"], found["cgroup"]) == (
        3,
        13,
        ["powersave"],
        "madvise",
        2,
    )
    assert found["huge_pages"] == 4 and found["memory"] == 16384000000


def test_a_kernel_that_says_little(kernel):
    found = tuning_node.node(kernel.proc, kernel.sys)
    assert found["cgroup"] == 1 and found["governors"] == [] and "insert_failed" not in found and "transparent_hugepages" not in found


def test_the_network(kernel):
    kernel(
        "proc/net/route",
        "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU\neth0 00000000 0102A8C0 0003 0 0 0 00000000 0\neth0 0002A8C0 0 1 0 0 0 00FFFFFF 0\n",
    )
    for name, mtu in (("eth0", 1500), ("veth1", 1450), ("cali2", 1440), ("docker0", 1500)):
        kernel(f"sys/class/net/{name}/mtu", f"{mtu}\n")
    kernel("sys/class/net/eth0/speed", "25000\n")
    kernel("sys/class/net/eth0/device/vendor", "x\n")
    assert tuning_node.network(kernel.proc, kernel.sys) == {"mtu": 1500, "pod_mtus": [1440, 1450], "speed": 25000000000}


def test_the_clock_of_this_machine():
    found = tuning_node.clock()
    assert found is None or (isinstance(found["synchronised"], bool) and found["offset"] >= 0 and found["error"] >= 0)


def test_the_disk_of_this_machine(tmp_path):
    found = tuning_node.disk(str(tmp_path))
    assert found["free"] <= found["size"] and found["network"] is False and found["number"]
    with pytest.raises(OSError):
        tuning_node.disk(str(tmp_path / "nowhere"))


# Drift ----------------------------------------------------------------------------------------------------------------------


def test_a_difference_between_hosts_is_a_sentence():
    flags = {
        "cp1": {"v": "2", "etcd": "https://10.0.0.1:2379"},
        "cp2": {"v": "2", "etcd": "https://10.0.0.2:2379"},
        "cp3": {"v": "4", "etcd": "https://10.0.0.3:2379", "x": "1"},
    }
    assert tuning_drift.differences(flags) == ["v: 2 on cp1, cp2, 4 on cp3", "x: nothing on cp1, cp2, 1 on cp3"]


@pytest.mark.parametrize("name", ["cert-file", "hostname-override"])
def test_a_hosts_own_name_is_no_difference(name):
    assert tuning_drift.differences({"etcd1": {name: "/ssl/member-etcd1.pem"}, "etcd2": {name: "/ssl/member-etcd2.pem"}}) == []


def test_many_differences_are_cut():
    flags = {"a": {f"f{n}": "1" for n in range(9)}, "b": {}}
    assert len(tuning_drift.differences(flags)) == 6 and tuning_drift.differences(flags)[-1] == "and 4 more"


def test_a_file_that_differs_from_the_process():
    assert tuning_drift.stale({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}, "/etc/x") == [
        "b is 3 in /etc/x, 2 in the process",
        "c is 4 in /etc/x, nothing in the process",
    ]


@pytest.mark.parametrize(
    "written,running,expected",
    [
        ({"syncFrequency": "0s", "a": None, "b": ""}, {"syncFrequency": "1m0s"}, []),
        ({"syncFrequency": "60s"}, {"syncFrequency": "1m0s"}, []),
        ({"containerRuntimeEndpoint": "unix:///run/c.sock"}, {"containerRuntimeEndpoint": "unix:///var/run/c.sock"}, []),
        ({"maxPods": 50}, {"maxPods": 110}, ["maxPods is 50 in the file, 110 in the process"]),
        ({"evictionHard": {"memory.available": "1Gi"}}, {"evictionHard": {}}, ["evictionHard.memory.available is 1Gi in the file, nothing in the process"]),
    ],
)
def test_a_configuration_that_differs_from_what_runs(written, running, expected):
    assert tuning_drift.unlike(written, running) == expected
