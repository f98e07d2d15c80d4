# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The maintenance of a real etcd under writes, with a member down, full, in check mode, and on a schedule."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import threading

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils.web import HttpError

from .conftest import ADDRESSES, ANSIBLE, COLLECTION, ENVIRONMENT, ETCD

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("untouched", "tidy")]
MIB = 2**20
FILL = b"/kubeproof-test/fill"
WRITES = "/kubeproof-test/write/"
SNAPSHOTS = "/var/lib/kubeproof-test"
UNIT = "kubeproof-etcd-maintenance-etcd"
LIBRARY = f"/usr/local/lib/{UNIT}"
INSTALLED = f"sudo ls -d /etc/systemd/system/{UNIT}.* {LIBRARY} 2>/dev/null; systemctl list-unit-files --no-legend '{UNIT}*'"
PKI = "/etc/ssl/etcd/ssl"
EXTERNAL = {
    "name": "etcd", "group": "kube_control_plane", "endpoints": [f"https://{ADDRESSES[host]}:2379" for host in ETCD],
    "ca": f"{PKI}/ca.pem", "cert": f"{PKI}/node-cp1.pem", "key": f"{PKI}/node-cp1-key.pem",
}  # fmt: skip
# Every database is worth it, and nothing of the lab's own setting is used.
WORTH_IT = {"etcd_maintenance_reclaimable": 0, "etcd_maintenance_reclaimable_bytes": MIB, "etcd_maintenance_snapshot_directory": SNAPSHOTS}

# Compact although the API server does, and keep next to nothing.
COMPACTING = {"etcd_maintenance_compact": "always", "etcd_maintenance_keep_revisions": 5}


def encoded(key):
    return base64.b64encode(key).decode()


@pytest.fixture
def tidy(lab):
    """Leave no snapshot, and no key of these tests."""
    yield
    for host in ("etcd1", "cp1"):
        lab.on(host, f"sudo rm -rf {SNAPSHOTS}")
    with lab.gateway(ETCD[0]) as gateway:
        gateway.call("/v3/kv/deleterange", {"key": encoded(b"/kubeproof-test/"), "range_end": encoded(b"/kubeproof-test0")})


@pytest.fixture
def maintain():
    """Return maintain(*arguments, **variables) -> (exit status, what the terminal showed)."""

    def run(*arguments, **variables):
        variables = {**WORTH_IT, "etcd_maintenance_kubeconfig": "", **variables}
        argv = [ANSIBLE, "playbooks/etcd_maintenance.yml", "-i", "inventories/lab", "-e", json.dumps(variables), *arguments]
        done = subprocess.run(argv, cwd=COLLECTION, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


def fill(lab, more):
    """Write revisions of one key until etcd's database has grown by `more` bytes; HttpError when it refuses them."""
    body = {"key": encoded(FILL), "value": encoded(bytes(MIB))}
    size = max(sizes(lab).values()) + more
    with lab.gateway(ETCD[0]) as gateway:
        while int(gateway.call("/v3/maintenance/status", {})["dbSize"]) < size:
            gateway.call("/v3/kv/put", body)


class Writers:
    """One writer through each member, which counts up as fast as it is answered; `acknowledged` are the keys that etcd has said to hold."""

    def __init__(self, lab):
        self.lab, self.acknowledged, self.refused, self.ended = lab, [], 0, threading.Event()
        self.threads = [threading.Thread(target=self.write, args=(host,)) for host in ETCD]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exception):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def write(self, host):
        number = 0
        while not self.ended.is_set():
            with contextlib.suppress(HttpError), self.lab.gateway(host) as gateway:
                while not self.ended.wait(0.01):
                    number += 1
                    self.refused += 1
                    gateway.call("/v3/kv/put", {"key": encoded(f"{WRITES}{host}/{number}".encode()), "value": encoded(str(number).encode())})
                    self.refused -= 1
                    self.acknowledged.append(f"{host}/{number}")


def written(lab):
    """Return {key without prefix: value} of what the writers wrote."""
    body = {"key": encoded(WRITES.encode()), "range_end": encoded(WRITES[:-1].encode() + b"0")}
    found = lab.ask(ETCD[0], "kv/range", **body).get("kvs", [])
    return {base64.b64decode(one["key"]).decode()[len(WRITES) :]: base64.b64decode(one["value"]).decode() for one in found}


def sizes(lab):
    return {host: int(member["dbSize"]) for host, member in sorted(lab.members().items())}


def leadership(lab):
    return {(member["leader"], member["raftTerm"]) for member in lab.members().values()}


def test_no_write_is_lost_and_the_leader_stays(lab, maintain):
    fill(lab, 40 * MIB)
    leaders, before = leadership(lab), sizes(lab)
    status, terminal = maintain("--check", **COMPACTING)
    assert status == 0 and "Compaction: to revision" in terminal and "Snapshot: none" in terminal, terminal
    assert all(size >= before[host] for host, size in sizes(lab).items()) and lab.on("etcd1", f"ls {SNAPSHOTS}", check=False) == ""
    with Writers(lab) as writers:
        status, terminal = maintain(**COMPACTING)
    assert status == 0 and terminal.count("defragmented in") == 3, terminal
    found, after = written(lab), sizes(lab)
    lost = [key for key in writers.acknowledged if found.get(key) != key.rpartition("/")[2]]
    assert len(writers.acknowledged) > 100 and lost == []
    assert leadership(lab) == leaders
    assert all(after[host] < before[host] - 30 * MIB for host in ETCD), (before, after)
    [name] = [name for name in lab.on("etcd1", f"sudo ls {SNAPSHOTS}").split() if name.endswith(".db")]
    proved = json.loads(lab.on("etcd1", f"sudo etcdutl snapshot status {SNAPSHOTS}/{name} -w json"))
    assert f"-r{proved['revision']}.db" in name and lab.on("etcd1", f"sudo stat -c %a {SNAPSHOTS}/{name}").strip() == "600"
    # Kept for a reader of -s.
    print(f"{len(writers.acknowledged)} writes acknowledged, {writers.refused} not; {before} -> {after}")


def test_a_member_that_is_down_stops_it_before_anything(lab, on, maintain):
    host = lab.follower()
    before = sizes(lab)
    try:
        on(host, "sudo systemctl stop etcd")
        status, terminal = maintain(**COMPACTING)
    finally:
        on(host, "sudo systemctl start --no-block etcd")
    assert status != 0 and f"{host} is not healthy: https://{ADDRESSES[host]}:2379" in terminal and "Nothing was changed." in terminal, terminal
    lab.settle()
    assert all(size >= before[host] for host, size in sizes(lab).items()) and on("etcd1", f"ls {SNAPSHOTS}", check=False) == ""


def test_the_leadership_is_handed_over_when_asked(lab, maintain):
    fill(lab, 8 * MIB)
    old = list(lab.members())[-1]
    status, terminal = maintain(etcd_maintenance_move_leader=True, **COMPACTING)
    assert status == 0 and terminal.count("defragmented in") == 3, terminal
    assert list(lab.members())[-1] != old and len(leadership(lab)) == 1


@pytest.fixture
def alarmed(lab, untouched):
    """Set the alarm NOSPACE for a member, so that etcd refuses writes; take it away if the test could not."""
    request = {"memberID": lab.members()[lab.follower()]["header"]["member_id"], "alarm": "NOSPACE"}
    yield lambda: lab.ask("etcd1", "maintenance/alarm", action="ACTIVATE", **request)
    lab.ask("etcd1", "maintenance/alarm", action="DEACTIVATE", **request)


@pytest.mark.long
def test_the_alarm_goes_with_its_cause(lab, maintain, alarmed):
    """Nothing is written any more, not even by the API server's compaction. The quota is not reached: that would leave 256 MiB in logs of etcd."""
    [quota] = {int(member["dbSizeQuota"]) for member in lab.members().values()}
    used = max(int(member["dbSizeInUse"]) for member in lab.members().values())
    fill(lab, 30 * MIB)
    alarmed()
    share = (used + 15 * MIB) / quota
    status, terminal = maintain(etcd_maintenance_alarm_share=share, etcd_maintenance_reclaimable=0.9)
    assert status != 0 and "The alarm NOSPACE stays, so etcd refuses writes" in terminal and "Nothing was changed." in terminal, terminal
    assert lab.ask("etcd1", "maintenance/alarm", action="GET")["alarms"]
    status, terminal = maintain(etcd_maintenance_alarm_share=share, **COMPACTING)
    assert status == 0 and "Alarms: none; cleared: NOSPACE of etcd" in terminal and terminal.count("defragmented in") == 3, terminal
    assert not lab.ask("etcd1", "maintenance/alarm", action="GET").get("alarms") and max(sizes(lab).values()) < share * quota
    fill(lab, MIB)


@pytest.mark.long
def test_the_timer(lab, on, maintain):
    timed = {"etcd_maintenance_now": False, "etcd_maintenance_schedule": "timer", **COMPACTING}
    try:
        status, terminal = maintain(**timed)
        assert status == 0 and "Snapshot:" not in terminal, terminal
        assert on("etcd1", f"systemctl is-enabled {UNIT}.timer; systemctl is-active {UNIT}.timer").split() == ["enabled", "active"]
        assert maintain(**timed)[1].count("changed=0") == 2
        fill(lab, 8 * MIB)
        on("etcd1", f"sudo systemctl start {UNIT}.service || sudo journalctl -u {UNIT}.service >&2")
        journal = on("etcd1", f"sudo journalctl --output=cat -u {UNIT}.service")
        assert ": taking a snapshot." in journal and '"changed": true' in journal, journal
        assert "Deactivated successfully" in journal and on("etcd1", f"sudo ls {SNAPSHOTS}").count(".db\n") == 1
    finally:
        status, terminal = maintain(etcd_maintenance_now=False)
    assert status == 0 and on("etcd1", INSTALLED, check=False) == ""


def test_the_cronjob(lab, maintain):
    variables = {
        "etcd_maintenance_now": False, "etcd_maintenance_clusters": [EXTERNAL], "etcd_maintenance_image": "registry.kubeproof.lab:5000/kubernetes/tools:0.3.0",
        "etcd_maintenance_kubeconfig": str(lab.state / "kubeconfig"),
    }  # fmt: skip
    look = ("-n", "kube-system", "get", "cronjob,configmap", "-l", "app.kubernetes.io/name=etcd-maintenance", "-o", "json")
    try:
        status, terminal = maintain(etcd_maintenance_schedule="cronjob", **variables)
        assert status == 0, terminal
        job, program = sorted(lab.kubectl(*look)["items"], key=lambda one: one["kind"], reverse=True)
        pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        assert job["spec"]["concurrencyPolicy"] == "Forbid" and pod["hostNetwork"] is True
        assert pod["nodeSelector"] == {"node-role.kubernetes.io/control-plane": ""}
        assert [volume["hostPath"]["path"] for volume in pod["volumes"][1:]] == [SNAPSHOTS, PKI]
        assert all(mount.get("readOnly") for mount in pod["containers"][0]["volumeMounts"] if mount["name"] != "snapshots")
        assert json.loads(program["data"]["configuration.json"])["endpoint"]["cert"] == EXTERNAL["cert"] and "maintenance.pyz" in program["binaryData"]
    finally:
        status, terminal = maintain(**variables)
    assert status == 0 and lab.kubectl(*look)["items"] == [], terminal
