# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import shutil
import subprocess
import time

import pytest
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_certificates

DAY = 86400


@pytest.mark.parametrize(
    ("files", "host", "expected"),
    [
        (["etcd/healthcheck-client.crt", "etcd/healthcheck-client.key", "apiserver-etcd-client.crt", "apiserver-etcd-client.key"], None,
         ("etcd/healthcheck-client.crt", "etcd/healthcheck-client.key")),
        (["etcd/healthcheck-client.crt", "apiserver-etcd-client.crt", "apiserver-etcd-client.key", "etcd/ca.crt"], None,
         ("apiserver-etcd-client.crt", "apiserver-etcd-client.key")),
        (["etcd/admin-a.pem", "etcd/admin-a-key.pem", "etcd/admin-b.pem", "etcd/admin-b-key.pem", "etcd/member-b.pem", "etcd/member-b-key.pem"], "b",
         ("etcd/admin-b.pem", "etcd/admin-b-key.pem")),
        (["etcd/admin-a.pem", "etcd/admin-a-key.pem", "etcd/member-b.pem", "etcd/member-b-key.pem"], "b", ("etcd/admin-a.pem", "etcd/admin-a-key.pem")),
        (["etcd/member-x-key-key.pem", "etcd/member-x-key.pem"], None, ("etcd/member-x-key.pem", "etcd/member-x-key-key.pem")),
        (["etcd/client.crt", "etcd/client.key"], None, ("etcd/client.crt", "etcd/client.key")),
        (["etcd/server.crt", "etcd/server.key"], None, None),
    ],
)
def test_takes_the_best_pair_that_is_whole(tmp_path, files, host, expected):
    (tmp_path / "etcd").mkdir()
    for name in files:
        (tmp_path / name).touch()
    found = etcd_certificates.client_pair([str(tmp_path / "etcd")], host)
    assert found == (expected and tuple(str(tmp_path / name) for name in expected))


def test_a_missing_directory_has_no_pair():
    assert etcd_certificates.client_pair(["/no/such/directory"], "a") is None


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
def test_reads_when_certificates_end(tmp_path):
    path = str(tmp_path / "a.crt")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", "/dev/null", "-out", path, "-days", "3", "-subj", "/CN=a"],
        check=True, capture_output=True,
    )
    (tmp_path / "b.crt").write_text("no certificate")
    found, problems = etcd_certificates.expiry([path, str(tmp_path / "b.crt")])
    assert abs(found[path]["expires_in"] - 3 * DAY) < 60
    assert abs(time.mktime(time.strptime(found[path]["not_after"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone - time.time() - 3 * DAY) < 60
    assert len(problems) == 1 and "b.crt cannot be read" in problems[0]
    assert etcd_certificates.expiry([path], time.time() + 5 * DAY)[0][path]["expires_in"] < 0


def test_without_openssl_nothing_is_measured(monkeypatch):
    monkeypatch.setattr(etcd_certificates.shutil, "which", lambda name: None)
    found, problems = etcd_certificates.expiry(["/a"])
    assert found == {} and "install it" in problems[0]
    assert etcd_certificates.expiry([]) == ({}, [])


@pytest.mark.parametrize(
    ("seconds", "problems", "expected"),
    [
        ([5, 100], [], {"certificate_seconds_left": 5, "certificates_expired": 0}),
        ([-5, 100], [], {"certificate_seconds_left": 0, "certificates_expired": 1}),
        ([0], [], {"certificate_seconds_left": 0, "certificates_expired": 1}),
        # One that was not read might be the first to end: then there is no smallest.
        ([100], ["unread"], {}),
    ],
)
def test_the_smallest_counts_only_if_all_are_known(seconds, problems, expected):
    certificates = {f"/{number}": {"expires_in": one} for number, one in enumerate(seconds)}
    assert etcd_certificates.summary(certificates, problems) == dict(expected, certificates=certificates)
    assert etcd_certificates.summary({}, []) == {}
