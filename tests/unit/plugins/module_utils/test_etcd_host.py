# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_host
from hypothesis import given, settings
from hypothesis import strategies as st

KUBEADM = [
    "etcd",
    "--advertise-client-urls=https://10.89.7.11:2379",
    "--cert-file=/etc/kubernetes/pki/etcd/server.crt",
    "--client-cert-auth=true",
    "--data-dir=/var/lib/etcd",
    "--feature-gates=InitialCorruptCheck=true",
    "--listen-client-urls=https://127.0.0.1:2379,https://10.89.7.11:2379",
    "--listen-metrics-urls=http://127.0.0.1:2381",
    "--name=cp1",
    "--snapshot-count=10000",
    "--trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt",
]
KUBESPRAY = {
    "ETCD_NAME": "etcd1-events",
    "ETCD_DATA_DIR": "/var/lib/etcd-events",
    "ETCD_LISTEN_CLIENT_URLS": "https://10.0.0.1:2383,https://127.0.0.1:2383",
    "ETCD_ADVERTISE_CLIENT_URLS": "https://10.0.0.1:2383",
    "ETCD_QUOTA_BACKEND_BYTES": "8589934592",
    "ETCD_CERT_FILE": "/etc/ssl/etcd/ssl/member-node1.pem",
    "ETCDCTL_KEY": "/secret",
    "PATH": "/bin",
}
YAML = """\
# rke2 writes such a file
advertise-client-urls: https://10.0.0.1:2379
client-transport-security:
  cert-file: /pki/server.crt   # the server's
  client-cert-auth: true
  trusted-ca-file: "/pki/ca.crt"
data-dir: '/db/etcd'
election-timeout: 5000
experimental-initial-corrupt-check: true
log-outputs:
- stderr
name: node-1
peer-transport-security:
  cert-file: /pki/peer.crt
quota-backend-bytes:
snapshot-count: 10000
"""


@pytest.fixture
def proc(tmp_path):
    """Return a function that adds a process to a made-up /proc."""

    def add(pid, argv, environ=(), files=()):
        base = tmp_path / "proc" / str(pid)
        base.mkdir(parents=True)
        (base / "cmdline").write_bytes(b"".join(one.encode() + b"\0" for one in argv))
        (base / "environ").write_bytes(b"".join(f"{name}={value}".encode() + b"\0" for name, value in dict(environ).items()))
        (base / "cwd").symlink_to("/srv")
        for path, text in dict(files).items():
            (base / ("root" + path)).parent.mkdir(parents=True, exist_ok=True)
            (base / ("root" + path)).write_text(text)
        return str(tmp_path / "proc")

    add("self", ["x"])
    return add


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (
            ["--name=a", "-data-dir", "/d", "--client-cert-auth", "--wal-dir", "/w"],
            {"name": "a", "data-dir": "/d", "client-cert-auth": "true", "wal-dir": "/w"},
        ),
        (["--initial-cluster=a=http://x,b=http://y"], {"initial-cluster": "a=http://x,b=http://y"}),
        ([], {}),
        (["word", "--name=a"], {}),
    ],
)
def test_flags_are_read_as_go_does(argv, expected):
    assert etcd_host.flags(argv) == expected


def test_kubeadm_flags(proc):
    process, = etcd_host.processes(proc(10, KUBEADM))
    assert (process.get("name"), process.path("data-dir"), process.ports()) == ("cp1", "/var/lib/etcd", {2379})
    assert process.urls("listen-metrics-urls") == ["http://127.0.0.1:2381"]
    assert process.get("heartbeat-interval") == "100"
    assert set(process.sources.values()) == {"flag"}


def test_variables_and_flags_that_win_over_them(proc):
    process, = etcd_host.processes(proc(10, ["/usr/local/bin/etcd", "--name", "other"], KUBESPRAY))
    assert process.get("name") == "other"
    assert process.sources == dict.fromkeys(("data-dir", "listen-client-urls", "advertise-client-urls", "quota-backend-bytes", "cert-file"), "environment") | {
        "name": "flag"
    }
    assert "/secret" not in str(vars(process))


@pytest.mark.parametrize("text", [YAML, json.dumps({
    "name": "node-1", "data-dir": "/db/etcd", "election-timeout": 5000, "snapshot-count": 10000, "advertise-client-urls": "https://10.0.0.1:2379",
    "client-transport-security": {"cert-file": "/pki/server.crt", "client-cert-auth": True, "trusted-ca-file": "/pki/ca.crt"},
    "peer-transport-security": {"cert-file": "/pki/peer.crt"}, "quota-backend-bytes": None,
})])
def test_a_config_file_hides_flags_and_variables(proc, text):
    process, = etcd_host.processes(proc(10, ["etcd", "--config-file", "/etc/etcd-of-a-test.yml", "--name=x"], KUBESPRAY, {"/etc/etcd-of-a-test.yml": text}))
    assert process.settings == {
        "name": "node-1", "data-dir": "/db/etcd", "election-timeout": "5000", "snapshot-count": "10000", "advertise-client-urls": "https://10.0.0.1:2379",
        "cert-file": "/pki/server.crt", "client-cert-auth": "true", "trusted-ca-file": "/pki/ca.crt", "peer-cert-file": "/pki/peer.crt",
    }
    path = process.host_path("/etc/etcd-of-a-test.yml")
    unread = f"quota-backend-bytes in {path} is not plain YAML, so it is not read: give it as an option of the module."
    assert process.problems == ([unread] if text is YAML else [])


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        ("client-transport-security: {cert-file: /a}", ["client-transport-security"]),
        ("name: &anchor x", ["name"]),
        ("data-dir: |\n  /a", ["data-dir"]),
        ("listen-client-urls:\n- http://a", ["listen-client-urls"]),
        ("self-signed-cert-validity: [1]", []),
    ],
)
def test_says_what_it_cannot_read(text, unread):
    assert etcd_host.config(text) == ({}, unread)


def test_a_missing_config_file_is_a_problem(proc):
    process, = etcd_host.processes(proc(10, ["etcd", "--config-file=/no/such/file"]))
    assert "The config file of etcd /no/such/file cannot be read" in process.problems[0]


def test_other_processes_are_not_etcd(proc):
    for pid, argv in enumerate((["etcd", "grpc-proxy", "start"], ["etcdctl", "watch"], ["/usr/bin/etcd-manager"], [], ["vi", "etcd"]), 20):
        base = proc(pid, argv)
    assert etcd_host.processes(base) == []


def test_an_etcd_in_another_network_is_another_cluster(proc, tmp_path):
    base = proc(10, KUBEADM)
    for owner, name in (("self", "ours"), ("10", "theirs")):
        (tmp_path / name).touch()
        (tmp_path / "proc" / owner / "ns").mkdir()
        (tmp_path / "proc" / owner / "ns" / "net").symlink_to(tmp_path / name)
    assert etcd_host.processes(base) == []


def test_an_unreadable_environment_is_a_problem(proc, tmp_path):
    base = proc(10, KUBEADM)
    (tmp_path / "proc" / "10" / "environ").unlink()
    process, = etcd_host.processes(base)
    assert "run with become" in process.problems[0]


def test_paths_in_a_container_and_relative_ones(proc, tmp_path):
    base = proc(10, ["etcd", "--name=m", "--cert-file=/only/inside.crt", "--key-file=/nowhere.key"], {}, {"/only/inside.crt": ""})
    process, = etcd_host.processes(base)
    assert process.path("cert-file") == base + "/10/root/only/inside.crt"
    assert process.path("key-file") == "/nowhere.key"
    assert process.path("data-dir") == "/srv/m.etcd"
    assert process.path("wal-dir") is None
    (tmp_path / "same").touch()
    (tmp_path / "proc" / "10" / "root" / str(tmp_path)[1:]).mkdir(parents=True)
    (tmp_path / "proc" / "10" / "root" / str(tmp_path)[1:] / "same").hardlink_to(tmp_path / "same")
    assert process.host_path(str(tmp_path / "same")) == str(tmp_path / "same")


@pytest.mark.parametrize("option", [{"name": "cp1"}, {"port": 2379}, {"data_dir": "/var/lib/etcd/"}, {"name": "cp1", "port": 2379}])
def test_chooses_the_one_that_is_meant(proc, option):
    proc(10, KUBEADM)
    found = etcd_host.processes(proc(11, ["etcd"], KUBESPRAY))
    assert etcd_host.choose(found, **option).pid == 10
    assert etcd_host.choose([], **option) is None


@pytest.mark.parametrize(("option", "text"), [({}, "Several etcd processes run on this host"), ({"port": 9}, "No etcd process matches with port=9")])
def test_an_unclear_choice_names_the_choices(proc, option, text):
    proc(10, KUBEADM)
    found = etcd_host.processes(proc(11, ["etcd"], KUBESPRAY))
    with pytest.raises(etcd_host.EtcdHostError, match=text) as error:
        etcd_host.choose(found, **option)
    assert "name cp1, port 2379, data_dir /var/lib/etcd; name etcd1-events, port 2383" in str(error.value)


@given(text=st.text(max_size=200), argv=st.lists(st.text(max_size=12), max_size=6))
@settings(max_examples=80, deadline=None)
def test_hostile_text_never_breaks_the_readers(text, argv):
    etcd_host.flags(argv)
    try:
        settings_found, unread = etcd_host.config(text)
    except ValueError:
        return
    assert all(isinstance(value, str) for value in settings_found.values())
