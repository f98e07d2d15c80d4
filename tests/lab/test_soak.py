# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Soaks of a minute beside a real etcd: a quiet one passes, and whatever happens in one is seen."""

from __future__ import annotations

import glob
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("untouched")]
COLLECTION = Path(__file__).parents[2]
ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
ETCD = ("etcd1", "etcd2", "etcd3")
UNIT = "kubeproof-soak-etcd"
RECORDING = "/var/lib/kubeproof-soak-etcd/recording"
# What is left of a watcher, or nothing.
REST = f"sudo sh -c 'ls -d /var/lib/{UNIT} /var/lib/private/{UNIT} /usr/local/lib/kubeproof /etc/systemd/system/{UNIT}.service; systemctl is-active {UNIT}'"
LOAD = {"soak": {"write": 20, "write_all": 0, "read": 0, "read_serializable": 0, "watch": 0, "check_perf": "", "fsync": 0}}
# A clock that is set: the kernel has one for all hosts of the lab, so that only the watcher's own is.
FAKETIME = "/usr/lib/*/faketime/libfaketime.so.1"
CLOCK = "/usr/local/lib/kubeproof-clock"
DROP_IN = f"/etc/systemd/system/{UNIT}.service.d"
DROP_IN_TEXT = f"""[Service]
Environment=LD_PRELOAD={CLOCK}/libfaketime.so.1 FAKETIME_TIMESTAMP_FILE={CLOCK}/now FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1
"""
HOURS = 3 * 3600
# Bytes of memory and the share of a core that a watcher may have.
MEMORY = 32 * 2**20
PROCESSOR = 0.005


class Play(NamedTuple):
    """How the playbook ended."""

    status: int
    output: str
    facts: dict


def play(name, **variables):
    """Run a playbook to its end."""
    argv = [ANSIBLE, f"playbooks/{name}.yml", "-i", "inventories/lab", "-e", json.dumps(variables)]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(COLLECTION / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    return subprocess.run(argv, cwd=COLLECTION, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def soak(lab, tmp_path):
    """Return soak(state, **variables) -> Play; nothing of it is left afterwards."""

    def run(state, place="results", **variables):
        done = play("soak", soak_state=state, certify_results=str(tmp_path / place), **variables)
        written = sorted((tmp_path / place).rglob("facts.json"))
        return Play(done.returncode, done.stdout + done.stderr, json.loads(written[-1].read_text()) if written else {})

    yield run
    gone = run("absent")
    assert gone.status == 0, gone.output
    assert {host: lab.on(host, REST, check=False).strip() for host in ETCD} == dict.fromkeys(ETCD, "inactive")


@pytest.fixture
def clock(on, soak):
    """Return clock(host, s): set the watcher's wall clock so far off, from before it is started on; no host has it afterwards."""
    changed = set()

    def put(host, path, data):
        on(host, f"sudo sh -c 'cat >{path}.new && chmod 0644 {path}.new && mv {path}.new {path}'", data=data)

    def step(host, seconds):
        if host not in changed:
            changed.add(host)
            on(host, f"sudo mkdir -p -m 0755 {CLOCK} {DROP_IN}")
            [library] = glob.glob(FAKETIME)
            put(host, f"{CLOCK}/libfaketime.so.1", Path(library).read_bytes())
            put(host, f"{DROP_IN}/clock.conf", DROP_IN_TEXT.encode())
        put(host, f"{CLOCK}/now", f"{seconds:+d}\n".encode())

    yield step
    left = {}
    for host in sorted(changed):
        on(host, f"sudo sh -c 'systemctl stop {UNIT}; rm -rf {CLOCK} {DROP_IN} /dev/shm/*faketime*; systemctl daemon-reload'", check=False)
        left[host] = on(host, f"sudo sh -c 'ls -d {CLOCK} {DROP_IN} /dev/shm/*faketime*'", check=False)
    assert left == dict.fromkeys(changed, "")


def finished(lab, seconds):
    """Wait until every watcher has ended by itself."""
    limit = time.monotonic() + seconds + 20
    while any(lab.on(host, f"systemctl is-active {UNIT}", check=False).strip() == "active" for host in ETCD):
        assert time.monotonic() < limit
        time.sleep(0.5)


def used(on):
    """Return {memory (byte), seconds (of the processor)} of a watcher so far."""
    process = f"/proc/$(systemctl show {UNIT} --property MainPID --value)"
    ticks, pages = on("etcd1", f"cut -d ' ' -f 14,15 {process}/stat; cut -d ' ' -f 2 {process}/statm").splitlines()
    return {"memory": int(pages) * os.sysconf("SC_PAGE_SIZE"), "seconds": sum(map(int, ticks.split())) / os.sysconf("SC_CLK_TCK")}


def watched(facts, name):
    return [facts["hosts"][host]["soak"][name] for host in ETCD]


@pytest.mark.long
def test_a_watcher_costs_little_and_is_started_once(on, soak):
    assert "no watcher" in soak("shown").output and soak("collected").status != 0
    started = soak("started", soak_seconds=600, soak_interval=0.5)
    assert started.status == 0, started.output
    before = used(on)
    time.sleep(8)
    after = used(on)
    assert after["memory"] < MEMORY
    # Every 5 s, as for a day; here it is ten times as often.
    assert (after["seconds"] - before["seconds"]) / (8 / 0.5) / 5 < PROCESSOR
    again = soak("started", soak_seconds=600, soak_interval=0.5)
    assert again.status == 0 and "changed=1" not in again.output
    other = soak("started", soak_seconds=100)
    assert other.status != 0 and "it would be lost otherwise" in other.output
    early = soak("collected")
    assert early.status != 0 and "its watcher has not finished" in early.output and watched(early.facts, "watcher_starts") == [1, 1, 1]


@pytest.mark.long
def test_a_quiet_soak_passes_and_damage_does_not(lab, on, soak):
    assert soak("started", soak_seconds=15, soak_interval=0.5).status == 0
    finished(lab, 15)
    quiet = soak("collected", place="another controller")
    assert quiet.status == 0 and "PASS. No leader election in 15 s" in quiet.output, quiet.output
    assert "elections" not in quiet.facts["cluster"]["soak"] and "86400 s are asked for" in quiet.facts["cluster"]["missing"]["soak.elections"]
    assert watched(quiet.facts, "coverage") == [1, 1, 1] and watched(quiet.facts, "restarts") == [0, 0, 0]
    on("etcd2", f"sudo dd if=/dev/zero of={RECORDING} bs=1 seek=7000 count=3 conv=notrunc")
    damaged = soak("collected", place="damaged")
    assert damaged.status != 0 and "INCONCLUSIVE" in damaged.output and "etcd2: the file is damaged" in damaged.output
    on("etcd2", f"sudo truncate --size 6000 {RECORDING}")
    cut = soak("collected", place="cut")
    assert cut.status != 0 and "INCONCLUSIVE" in cut.output and "etcd2 has" in cut.output


@pytest.mark.long
def test_a_leader_that_moves_is_seen(lab, soak):
    assert soak("started", soak_seconds=20, soak_interval=0.5).status == 0
    time.sleep(3)
    *followers, leader = lab.members().items()
    lab.ask(leader[0], "maintenance/transfer-leadership", targetID=followers[0][1]["header"]["member_id"])
    finished(lab, 20)
    found = soak("collected")
    assert found.status != 0 and "FAIL. 1 leader elections" in found.output
    facts = found.facts["cluster"]["soak"]
    assert (facts["terms"], facts["changes"], facts["leaders"], facts["elections"]) == (1, 1, 2, 1)


@pytest.mark.long
def test_killed_watchers_and_hosts_that_are_started_again_go_on(lab, on, soak):
    assert soak("started", soak_seconds=50, soak_interval=0.5).status == 0
    time.sleep(3)
    follower, leader = lab.follower(), list(lab.members())[-1]
    [other] = [host for host in ETCD if host not in (follower, leader)]
    on(other, f"sudo systemctl kill --signal KILL {UNIT}")
    on(leader, f"sudo systemctl stop {UNIT}")
    lab.podman("restart", follower)
    lab.settle()
    # Once more mends what somebody stopped.
    assert soak("started", soak_seconds=50, soak_interval=0.5).status == 0
    finished(lab, 50)
    found = soak("collected")
    assert found.status != 0 and "INCONCLUSIVE" in found.output and "99% are needed" in found.output
    hosts, cluster = found.facts["hosts"], found.facts["cluster"]["soak"]
    assert [hosts[host]["soak"]["watcher_starts"] for host in (other, leader, follower)] == [2, 2, 2]
    assert [hosts[host]["soak"]["restarts"] for host in (other, leader, follower)] == [0, 0, 1]
    assert (cluster["terms"], cluster["changes"]) == (0, 0)
    assert hosts[other]["soak"]["longest_gap"] < 10


@pytest.mark.long
def test_a_clock_that_is_set_by_hours_is_told_and_makes_no_gap(lab, soak, clock):
    """Forward beside one member and right again, back beside another: what happened in between is known by a clock that nobody sets."""
    forward, back = lab.follower(), list(lab.members())[-1]
    [other] = [host for host in ETCD if host not in (forward, back)]
    clock(forward, 0)
    clock(back, 0)
    assert soak("started", soak_seconds=40, soak_interval=0.5).status == 0
    clock(forward, HOURS)
    clock(back, -HOURS)
    time.sleep(2)
    shown = soak("shown").output
    clock(forward, 0)
    finished(lab, 40)
    found = soak("collected")
    assert found.status == 0 and "PASS. No leader election in 40" in found.output, found.output
    hosts = [found.facts["hosts"][host]["soak"] for host in (forward, back, other)]
    assert [one["clock_steps"] for one in hosts] == [2, 1, 0]
    assert [one["clock_step"] for one in hosts] == pytest.approx([HOURS, HOURS, 0], abs=5)
    assert [(one["restarts"], one["boots"], one["watcher_starts"]) for one in hosts] == [(0, 1, 1)] * 3
    assert max(one["longest_gap"] for one in hosts) < 2 and found.facts["cluster"]["soak"]["changes"] == 0
    # Nor was it shown as over, or as full of gaps, while it ran.
    covered = re.findall(r"running, [^;]*; ([\d.]+) s passed, [^;]*?([\d.]+) % covered", " ".join(shown.split()))
    assert len(covered) == 3 and all(float(passed) < 39 and float(share) > 80 for passed, share in covered), shown


@pytest.mark.long
def test_a_clock_that_is_set_back_hides_no_gap(lab, on, soak, clock):
    """By its wall clock this watcher was never away."""
    follower = lab.follower()
    clock(follower, 0)
    assert soak("started", soak_seconds=20, soak_interval=0.5).status == 0
    on(follower, f"sudo systemctl stop {UNIT}")
    gone = time.monotonic()
    time.sleep(4)
    clock(follower, -round(time.monotonic() - gone))
    on(follower, f"sudo systemctl start {UNIT}")
    finished(lab, 20)
    found = soak("collected")
    assert found.status != 0 and "INCONCLUSIVE" in found.output and f"{follower} has" in found.output and "99% are needed" in found.output, found.output
    host = found.facts["hosts"][follower]["soak"]
    assert host["longest_gap"] > 4 and host["clock_steps"] == 1 and host["clock_step"] > 3 and (host["restarts"], host["watcher_starts"]) == (0, 2)


@pytest.mark.long
def test_a_leader_that_moves_is_seen_by_watchers_whose_clocks_are_set(lab, soak, clock):
    for host in ETCD:
        clock(host, 0)
    assert soak("started", soak_seconds=20, soak_interval=0.5).status == 0
    *followers, leader = lab.members().items()
    for host, hours in zip(ETCD, (-HOURS, HOURS, -HOURS)):
        clock(host, hours)
    lab.ask(leader[0], "maintenance/transfer-leadership", targetID=followers[0][1]["header"]["member_id"])
    finished(lab, 20)
    found = soak("collected")
    assert found.status != 0 and "FAIL. 1 leader elections" in found.output, found.output
    facts = found.facts["cluster"]["soak"]
    assert (facts["terms"], facts["changes"], facts["leaders"], facts["elections"]) == (1, 1, 2, 1)
    assert watched(found.facts, "clock_steps") == [1, 1, 1]


@pytest.mark.long
def test_the_profile_soak_watches_and_takes_what_was_seen(lab, on, certify, soak):
    """A soak of seconds: all is taken and judged, and the row of the checklist stays open."""
    uid = lab.kubectl("get", "namespace", "kube-system", "-o", "json")["metadata"]["uid"]
    run = certify(certify_profile="soak", certify_cluster_uid=uid, etcd_load=LOAD, soak_seconds=12, soak_interval=0.5)
    elections, coverage = run.finding("etcd_soak_elections"), run.finding("etcd_soak_coverage")
    assert (elections["result"], elections["value"]) == ("INCONCLUSIVE", None) and "12 s and had no election, but 86400 s are asked for" in elections["reason"]
    assert (coverage["result"], coverage["value"]) == ("PASS", 1)
    assert run.finding("etcd_soak_load")["result"] in ("PASS", "CONDITIONAL") and run.finding("etcd_soak_restarts")["result"] == "PASS"
    [row] = [one for one in run.certificate["checklist"] if one["id"] == "etcd_leader"]
    assert (row["status"], row["result"]) == ("not measured", "INCONCLUSIVE") and run.status != 0
    assert sorted(path.name for path in (run.directory / "raw/etcd/etcd/soak").iterdir()) == [f"{host}.gz" for host in ETCD]
    assert {host: on(host, REST, check=False).strip() for host in ETCD} == dict.fromkeys(ETCD, "inactive")
    # The day's facts are made again of the recordings.
    verified = play("verify", verify_directory=str(run.directory))
    assert verified.returncode == 0 and "VERIFIED" in verified.stdout, verified.stdout + verified.stderr


@pytest.mark.long
def test_a_recording_that_is_too_old_stops_the_run_before_its_load(lab, certify, soak):
    """It ended before the run, and none may here; whose it is nobody decides but who made it."""
    uid = lab.kubectl("get", "namespace", "kube-system", "-o", "json")["metadata"]["uid"]
    assert soak("started", soak_seconds=5, soak_interval=0.5).status == 0
    finished(lab, 5)
    run = certify(certify_profile="soak", certify_cluster_uid=uid, etcd_load=LOAD, certify_join_days=0)
    elections = run.finding("etcd_soak_elections")
    assert run.status != 0 and elections["result"] == "INCONCLUSIVE" and "(certify_join_days) is too old; remove it" in elections["reason"]
    assert not list((run.directory / "raw/etcd").rglob("write*"))


@pytest.mark.long
def test_a_soak_with_an_election_in_it_stops_the_run_before_its_load(lab, certify, soak):
    uid = lab.kubectl("get", "namespace", "kube-system", "-o", "json")["metadata"]["uid"]
    assert soak("started", soak_seconds=600, soak_interval=0.5).status == 0
    *followers, leader = lab.members().items()
    lab.ask(leader[0], "maintenance/transfer-leadership", targetID=followers[0][1]["header"]["member_id"])
    time.sleep(3)
    run = certify(certify_profile="soak", certify_cluster_uid=uid, etcd_load=LOAD, soak_seconds=600)
    elections = run.finding("etcd_soak_elections")
    assert run.status != 0 and elections["result"] == "INCONCLUSIVE" and "1 leader elections are in it" in elections["reason"], elections
    assert not list((run.directory / "raw/etcd").rglob("write*"))


@pytest.mark.long
def test_a_host_that_lost_its_watcher_gets_it_again_and_the_soak_stays(lab, on, certify, soak):
    """It was started by hand: neither the end of the run nor the cleanup ends it."""
    uid = lab.kubectl("get", "namespace", "kube-system", "-o", "json")["metadata"]["uid"]
    assert soak("started", soak_seconds=600, soak_interval=0.5).status == 0
    on("etcd2", f"sudo sh -c 'systemctl disable --now {UNIT}; rm -rf /var/lib/{UNIT} /var/lib/private/{UNIT} /etc/systemd/system/{UNIT}.service'")
    run = certify(certify_profile="soak", certify_cluster_uid=uid, etcd_load=LOAD, soak_seconds=600)
    assert "its watcher has not finished" in run.finding("etcd_soak_elections")["reason"]
    assert sorted(path.name for path in (run.directory / "raw/etcd/etcd/soak").iterdir()) == [f"{host}.gz" for host in ETCD]
    assert "A soak stays on etcd1, etcd2, etcd3: no run began it" in " ".join(lab.playbook("playbooks/cleanup.yml").split())
    assert [on(host, f"systemctl is-active {UNIT}", check=False).strip() for host in ETCD] == ["active"] * 3
