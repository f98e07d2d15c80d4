# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of a real etcd: each certificate says what happened, and where; nothing is left on hosts or in etcd."""

from __future__ import annotations

import base64
import contextlib
import json
import signal
import subprocess
import time

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("untouched")]
ETCD = ("etcd1", "etcd2", "etcd3")
KEY = b"/kubeproof-test/fill"
MIB = 2**20
# Seconds until the guard of a killed run must have cleaned up.
CLEANED = 60
# Seconds within which a member must notice that the leader is gone; the lab's election timeout is 2.5 s, raft waits for up to twice that.
ELECTION = 15
KILL = "sudo sh -c 'grep -h pid $(grep -l benchmark /var/tmp/kubeproof/*/*/process-*.json) | tr -dc 0-9 | xargs kill -9'"
FILLED = "/var/lib/etcd/kubeproof-test"


@contextlib.contextmanager
def stopped(on, *hosts):
    """Stop etcd on hosts at once, and start it again."""
    try:
        for host in hosts:
            on(host, "sudo systemctl kill --signal KILL etcd; sudo systemctl stop etcd")
        yield
    finally:
        for host in hosts:
            on(host, "sudo systemctl start --no-block etcd")


@contextlib.contextmanager
def alarm(lab, host):
    """Set etcd's alarm NOSPACE for a member, and disarm it."""
    request = {"memberID": lab.members()[host]["header"]["member_id"], "alarm": "NOSPACE"}
    lab.ask(host, "maintenance/alarm", action="ACTIVATE", **request)
    try:
        yield
    finally:
        lab.ask(host, "maintenance/alarm", action="DEACTIVATE", **request)


@contextlib.contextmanager
def database(lab, size):
    """Fill etcd's database to `size` bytes with revisions of one key, and give the space back: followers first."""
    value = base64.b64encode(bytes(MIB)).decode()
    with lab.gateway(ETCD[0]) as gateway:
        try:
            while int(gateway.call("/v3/maintenance/status", {})["dbSize"]) < size:
                gateway.call("/v3/kv/put", {"key": base64.b64encode(KEY).decode(), "value": value})
            yield
        finally:
            gateway.delete([KEY])
            gateway.call("/v3/kv/compaction", {"revision": gateway.revision(), "physical": True})
            for host in lab.members():
                lab.ask(host, "maintenance/defragment")


@contextlib.contextmanager
def disk(on, host, free):
    """Fill the disk of a host's data until `free` MiB are left."""
    left = int(on(host, "df --output=avail --block-size=1M /var/lib/etcd | tail -1"))
    try:
        on(host, f"sudo fallocate --length {left - free}MiB {FILLED}")
        yield
    finally:
        on(host, f"sudo rm -f {FILLED}")


@pytest.fixture
def certificates(lab, on, tmp_path):
    """Put client certificates on the etcd hosts: `wrong` of another authority, `expired` of the right one; return their directory."""
    authority, made, there = lab.state / "pki", tmp_path / "certificates", "/tmp/kubeproof-test"
    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc"
    made.mkdir()
    for command in (
        f"req -x509 {key} -days 365 -subj /CN=wrong -keyout wrong-key.pem -out wrong.pem",
        f"req {key} -subj /CN=expired -keyout expired-key.pem -out expired.csr",
        f"x509 -req -days 0 -set_serial 1 -in expired.csr -CA {authority}/ca.pem -CAkey {authority}/ca-key.pem -out expired.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=made, check=True, capture_output=True)
    archive = subprocess.run(["tar", "-c", "."], cwd=made, check=True, capture_output=True).stdout
    for host in ETCD:
        on(host, f"mkdir -p {there} && tar -x -C {there}", data=archive)
    yield there
    for host in ETCD:
        on(host, f"rm -r {there}")


@pytest.mark.long
def test_member_stopped(lab, on, certify, note):
    host = lab.follower()
    with stopped(on, host):
        run = certify(load={"write": 2})
    finding = run.finding("etcd_member_health")
    assert run.blocked() and (finding["result"], finding["entry"]) == ("FAIL", host)
    note("member stopped", run, finding)


@pytest.mark.long
def test_quorum_lost(lab, on, certify, note):
    with stopped(on, "etcd2", "etcd3"):
        # Until its election timeout the member that is left goes on naming the leader that was stopped.
        limit = time.monotonic() + ELECTION
        while int(lab.ask("etcd1", "maintenance/status").get("leader", 0)):
            assert time.monotonic() < limit, "etcd1 still names a leader"
            time.sleep(0.1)
        run = certify(load={"write": 2}, certify_kubeconfig="")
    finding = run.finding("etcd_quorum")
    assert run.blocked() and (finding["result"], finding["value"]) == ("FAIL", 0)
    assert "etcd1: https://10.89.77.11:2379 knows no leader" in run.error
    note("quorum lost", run, finding)


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "verdict", "seen"), [("wrong", "INCONCLUSIVE", "see that the client certificate"), ("expired", "FAIL", "certificate expired")]
)
def test_certificate(certificates, certify, note, kind, verdict, seen):
    cluster = {"name": "etcd", "group": "etcd", "cert": f"{certificates}/{kind}.pem", "key": f"{certificates}/{kind}-key.pem"}
    run = certify(load={"write": 2}, etcd_clusters=[cluster])
    finding = run.finding("etcd_certificates")
    assert run.blocked() and run.certificate["verdict"] == verdict and "etcd1: https://10.89.77.11:2379" in run.error and seen in run.error
    assert finding["result"] == ("FAIL" if kind == "expired" else "PASS")
    note(f"{kind} certificate", run, finding)


def test_alarm_quota_and_disk(lab, on, certify, note):
    host = lab.follower()
    with database(lab, 206 * MIB), disk(on, host, 50), alarm(lab, host):
        # etcd purges old WAL files of 64 MiB at any time, so the room is asked against more than they can give back.
        run = certify(load={"write": 2, "fsync": 256 * MIB})
    found = [run.finding("etcd_alarms"), run.finding("etcd_database_share"), run.finding("etcd_disk_room")]
    assert run.blocked() and [finding["result"] for finding in found] == ["FAIL"] * 3
    assert found[0]["value"] == 1 and found[1]["value"] > 0.8 and found[2]["host"] == host
    for fault, finding in zip(("alarm set", "quota nearly reached", "disk nearly full"), found):
        note(fault, run, finding)


@pytest.mark.long
def test_disk_full_during_load(lab, on, certify, note):
    host = lab.follower()
    with contextlib.ExitStack() as full:
        run = certify(load={"write": 2, "fsync": 8 * MIB}, during=lambda process: full.enter_context(disk(on, host, 2)))
    finding = run.finding("etcd_fsync_p99", host)
    assert run.status and finding["result"] == "INCONCLUSIVE"
    assert f"{host}: fio failed" in finding["reason"] and "No space left on device" in finding["reason"]
    note("disk full during the load", run, finding)


@pytest.mark.long
def test_tool_killed(on, certify, note):
    run = certify(load={"write": 5}, during=lambda process: on("etcd1", KILL))
    finding = run.finding("etcd_write_latency_p99")
    assert run.status and finding["result"] == "INCONCLUSIVE" and "benchmark was killed by SIGKILL" in finding["reason"]
    note("tool killed", run, finding)


@pytest.mark.long
def test_leader_moved(lab, certify, note):
    def move(process):
        members = lab.members()
        lab.ask(list(members)[-1], "maintenance/transfer-leadership", targetID=members[lab.follower()]["header"]["member_id"])

    run = certify(load={"write": 5}, during=move)
    changes, term = run.finding("etcd_leader_changes"), run.finding("etcd_raft_term")
    assert run.status and (changes["result"], term["result"]) == ("FAIL", "FAIL")
    assert "benchmark was aborted: the leader changed" in run.error and run.load_seconds < 4
    note("leader moved during the load", run, changes)


@pytest.mark.long
def test_host_that_never_answers_again(lab, certify, note):
    """Its sockets stay open and silent: the tool hangs on them, Ansible loses the host."""
    host = lab.follower()
    try:
        run = certify(load={"write_all": 1}, during=lambda process: lab.podman("pause", host))
    finally:
        lab.podman("unpause", host)
    finding = run.finding("etcd_write_all_latency_p99")
    assert run.status and run.certificate["state"] == "finished" and finding["result"] == "INCONCLUSIVE"
    assert "benchmark did not end within 32 s" in finding["reason"] and f"{host}: the connection was lost" in run.error
    assert run.finding("etcd_keys_left")["result"] == "PASS"
    lab.playbook("playbooks/cleanup.yml")
    note("dead endpoint, host unreachable during the load", run, finding)


def test_sigkill(certify, note):
    run = certify(load={"write": 30}, during=lambda process: process.kill())
    assert run.status == -signal.SIGKILL and run.certificate["state"] == "interrupted" and run.certificate["verdict"] == "INCONCLUSIVE"
    limit = time.monotonic() + CLEANED
    while "nothing is left" not in (message := json.loads((run.directory / "certificate.json").read_text())["message"]):
        assert time.monotonic() < limit, message
        time.sleep(0.2)
    note("SIGKILL of the run", run, {"reason": message})
