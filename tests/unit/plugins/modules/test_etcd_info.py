# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_host
from ansible_collections.kubeproof.certify.plugins.modules import etcd_info
from ansible_collections.kubeproof.certify.tests.unit.plugins.etcd_fake import FakeEtcd


@pytest.fixture
def etcd():
    fake = FakeEtcd()
    yield fake
    fake.close()


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function that runs the module on a host with the etcd processes of these flags, and returns its answer."""

    def call(processes=(), **arguments):
        found = [etcd_host.Process(number, ["etcd", *flags], {}, "/no/proc") for number, flags in enumerate(processes, 10)]
        monkeypatch.setattr(etcd_info.etcd_host, "processes", lambda: found)
        with patch_module_args({"tools": [], **arguments}), pytest.raises(SystemExit):
            etcd_info.main()
        return json.loads(capsys.readouterr().out)

    return call


def test_a_member_on_this_host(etcd, run, tmp_path):
    flags = [f"--advertise-client-urls={etcd.url}", f"--data-dir={tmp_path}", "--name=m1", "--heartbeat-interval=250"]
    answer = run([flags + ["--listen-metrics-urls=http://0.0.0.0:2381"]])
    facts = answer["facts"]
    expected = {
        "running": True, "name": "m1", "data_dir": str(tmp_path), "wal_dir": f"{tmp_path}/member/wal", "heartbeat_interval": 0.25, "election_timeout": 1.0,
        "quota_backend_bytes": 2147483648, "quota_source": "default", "snapshot_count": 10000, "max_txn_ops": 128, "configured_by": "flag",
        "endpoint": etcd.url,
        "metrics_url": "http://127.0.0.1:2381/metrics", "client": {"url": etcd.url}, "healthy": True, "version": "3.6.8", "leader": True, "tools": {},
    }
    assert answer["changed"] is False and facts.items() >= expected.items()
    assert facts["disk"]["free"] > 0 and "certificates" not in facts
    assert len(facts["problems"]) == 1 and "member/wal of etcd cannot be read" in facts["problems"][0]


def test_no_process_and_an_endpoint(etcd, run, tmp_path):
    facts = run(endpoint=etcd.url + "/", data_dir=str(tmp_path))["facts"]
    assert facts["running"] is False and facts["healthy"] is True and facts["endpoint"] == etcd.url and facts["disk"]["size"] > 0
    assert "name" not in facts and "snapshot_count" not in facts and facts["problems"] == []


def test_nothing_at_all(run):
    facts = run()["facts"]
    assert facts["running"] is False and not {"endpoint", "client", "healthy", "error", "disk"} & set(facts)


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("0", {"quota_backend_bytes": 2147483648, "quota_source": "default"}),
        ("8589934592", {"quota_backend_bytes": 8589934592, "quota_source": "flag"}),
        ("-1", {"quota_source": "disabled"}),
        ("8GB", {}),
    ],
)
def test_quota(quota, expected):
    process = etcd_host.Process(1, ["etcd", f"--quota-backend-bytes={quota}"], {}, "/no/proc")
    facts = etcd_info.from_process(process)
    assert {name: value for name, value in facts.items() if name.startswith("quota")} == expected
    assert bool(process.problems) == (quota == "8GB")


@pytest.mark.parametrize(
    ("version", "flags", "expected"), [("3.5.21", [], 100000), ("3.6.0", [], 10000), ("3.10.1", [], 10000), ("3.5.21", ["--snapshot-count=5"], 5)]
)
def test_the_default_snapshot_count_depends_on_the_version(etcd, run, version, flags, expected):
    etcd.answers["/version"] = (200, {"etcdserver": version, "etcdcluster": version})
    assert run([[f"--advertise-client-urls={etcd.url}", *flags]])["facts"]["snapshot_count"] == expected


def test_a_separate_http_port_is_where_modules_ask(etcd, run):
    port = etcd.url.rpartition(":")[2]
    facts = run([["--advertise-client-urls=http://127.0.0.1:9", f"--listen-client-http-urls=http://0.0.0.0:{port}"]])["facts"]
    assert facts["endpoint"] == "http://127.0.0.1:9" and facts["client"] == {"url": etcd.url} and facts["healthy"] is True


def test_credentials_beside_the_ca_of_etcd(run, tmp_path):
    for name in ("ca.crt", "server.crt", "server.key", "healthcheck-client.crt", "healthcheck-client.key"):
        (tmp_path / name).write_text("no certificate")
    flags = ["--advertise-client-urls=https://127.0.0.1:1", f"--cert-file={tmp_path}/server.crt", f"--key-file={tmp_path}/server.key",
             f"--trusted-ca-file={tmp_path}/ca.crt", "--client-cert-auth"]
    facts = run([flags])["facts"]
    assert facts["client"]["cert"] == f"{tmp_path}/healthcheck-client.crt" and facts["client"]["ca"] == f"{tmp_path}/ca.crt"
    assert "ca.crt cannot be used" in facts["error"] and "healthy" not in facts
    (tmp_path / "healthcheck-client.key").unlink()
    assert run([flags])["facts"]["client"]["key"] == f"{tmp_path}/server.key"
    assert run([flags], cert="/my.crt", key="/my.key", ca="/my.ca")["facts"]["client"] == {
        "url": "https://127.0.0.1:1", "ca": "/my.ca", "cert": "/my.crt", "key": "/my.key"
    }
    assert any("give cert and key" in one for one in run([flags[:1] + flags[-1:]])["facts"]["problems"])


def test_several_processes_are_a_clear_failure(run):
    answer = run([["--name=a"], ["--name=b", "--listen-client-urls=http://10.0.0.1:2383"]])
    assert answer["failed"] and "Choose one by the option name, port or data_dir" in answer["msg"]
