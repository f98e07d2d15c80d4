# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The watcher of a soak, against an etcd that is played: it samples in time, goes on after a crash and a reboot, and ends by itself."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import soak_file, zipped
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_facts import soak_facts
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_program import MAIN, program
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_sample import Member
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_watcher import Clock, Watcher, credentials
from ansible_collections.kubeproof.certify.tests.unit.plugins.etcd_fake import FakeEtcd

METRICS = """# TYPE etcd_disk_wal_fsync_duration_seconds histogram
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.001"} 5
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.002"} 9
etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"} 10
etcd_disk_wal_fsync_duration_seconds_sum 0.01
etcd_disk_wal_fsync_duration_seconds_count 10
# TYPE etcd_server_has_leader gauge
etcd_server_has_leader 1
# TYPE etcd_server_leader_changes_seen_total counter
etcd_server_leader_changes_seen_total 1
# TYPE etcd_server_proposals_committed_total gauge
etcd_server_proposals_committed_total 35260
# TYPE process_max_fds gauge
process_max_fds 40000
# TYPE process_open_fds gauge
process_open_fds 61
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 1.00663296e+08
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1.79528762533e+09
"""
SOAK = {"id": "one", "host": "etcd1", "seconds": 10, "interval": 1}


@pytest.fixture
def etcd():
    fake = FakeEtcd()
    fake.answers["/metrics"] = (200, METRICS)
    yield fake
    fake.close()


def member(etcd):
    return Member({"url": etcd.url}, {"url": etcd.url + "/metrics"})


class Time(Clock):
    """A clock that only runs when somebody waits; `set` moves the wall clock alone."""

    def __init__(self, running=100.0, wall=1.8e9, boot="boot-1"):
        self.at, self.wall, self.boot, self.events = running, wall, boot, {}

    def running(self):
        return self.at

    def now(self):
        return self.wall + self.at, self.at

    def is_set(self):
        return False

    def wait(self, seconds):
        """As Event.wait; what was planned for that moment happens."""
        self.at += seconds
        for moment in [one for one in self.events if one <= self.at]:
            if self.events.pop(moment)():
                return True
        return False


def watch(path, etcd, clock, most=10**6, **soak):
    writer = soak_file.Writer(str(path), most)
    try:
        Watcher({**SOAK, **soak}, member(etcd), writer, clock, clock).run()
    finally:
        writer.close()
    return soak_file.read(io.BytesIO(path.read_bytes()))


def facts(recording, needed=10):
    found = soak_facts({"etcd1": recording}, ["etcd1"], needed)
    return found["cluster"], found["hosts"]["etcd1"]["soak"]


def times(found):
    return [one["at"] for one in found["samples"]]


def test_what_a_sample_holds(etcd):
    looked = member(etcd)
    first = looked.look()
    assert first == {
        "term": 2, "leader": "5f860626a1f51781", "member": "5f860626a1f51781", "cluster": "1", "size": 31236096, "used": 3018752, "quota": 2147483648,
        "changes": 1, "has_leader": True, "started": 1795287625.33, "committed": 35260, "memory": 100663296, "files": 61, "files_limit": 40000,
        "fsync": [5, 9, 10], "bounds": [0.001, 0.002, None], "healthy": True,
    }  # fmt: skip
    assert "bounds" not in looked.look()


def test_one_connection_serves_all_questions(etcd):
    looked = member(etcd)
    looked.look()
    looked.look()
    assert looked.metrics is looked.gateway.connection and len(etcd.requests) == 6


@pytest.mark.parametrize(
    ("path", "answer", "missing", "kept"),
    [
        ("/v3/maintenance/status", (503, "{}"), "term", "changes"),
        ("/v3/maintenance/status", (200, "[]"), "term", "changes"),
        ("/metrics", (200, "etcd_server_has_leader x\n"), "changes", "term"),
        ("/metrics", (404, ""), "changes", "term"),
        ("/health", (200, "nothing"), "healthy", "term"),
    ],
)
def test_what_is_not_answered_is_absent_and_said(etcd, path, answer, missing, kept):
    etcd.answers[path] = answer
    found = member(etcd).look()
    assert missing not in found and kept in found and found["error"]


def test_it_is_unhealthy_by_its_own_word(etcd):
    etcd.answers["/health"] = (503, {"health": "false"})
    found = member(etcd).look()
    assert found["healthy"] is False and "error" not in found


def test_it_recovers_when_etcd_is_back(etcd):
    looked = member(etcd)
    assert "term" in looked.look()
    etcd.close()
    looked.gateway.connection.close()
    assert "error" in looked.look()
    back = FakeEtcd()
    back.answers["/metrics"] = (200, METRICS)
    looked.gateway.connection.port = back.server.server_port
    assert looked.look()["term"] == 2
    back.close()


def test_a_quiet_soak(etcd, tmp_path):
    found = watch(tmp_path / "file", etcd, Time())
    assert times(found) == list(range(11)) and (found["state"], found["damage"]) == ("finished", "")
    cluster, host = facts(found)
    assert cluster["soak"]["elections"] == 0 and host["coverage"] == 1


def test_started_again_it_ends_at_once_when_it_had_finished(etcd, tmp_path):
    first = watch(tmp_path / "file", etcd, Time())
    assert watch(tmp_path / "file", etcd, Time(running=900.0)) == first


def test_a_killed_watcher_goes_on_in_the_same_file(etcd, tmp_path):
    clock = Time()
    clock.events[103.5] = lambda: True
    assert watch(tmp_path / "file", etcd, clock)["state"] == ""
    clock.at += 2.2
    found = watch(tmp_path / "file", etcd, clock)
    cluster, host = facts(found)
    assert found["state"] == "finished" and len(found["starts"]) == 2 and found["samples"][-1]["at"] == 10
    assert times(found) == [0, 1, 2, 3, 7, 8, 9, 10] and host["restarts"] == 0
    assert "elections" not in cluster["soak"] and "72.73% of its samples" in cluster["missing"]["soak.elections"]


def test_after_a_boot_the_wall_clock_says_how_long_it_was(etcd, tmp_path):
    clock = Time()
    clock.events[104.5] = lambda: True
    watch(tmp_path / "file", etcd, clock)
    wall = clock.wall + clock.at + 3
    found = watch(tmp_path / "file", etcd, Time(running=7.0, wall=wall - 7.0, boot="boot-2"))
    assert found["state"] == "finished" and facts(found)[1]["boots"] == 2
    assert times(found) == [0, 1, 2, 3, 4, 8, 9, 10]


def test_a_clock_that_goes_back_over_a_boot_makes_the_soak_longer_and_never_shorter(etcd, tmp_path):
    clock = Time()
    clock.events[104.5] = lambda: True
    watch(tmp_path / "file", etcd, clock)
    found = watch(tmp_path / "file", etcd, Time(running=7.0, wall=1000.0, boot="boot-2"))
    assert found["state"] == "finished" and times(found) == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 10]


def test_a_clock_that_is_set_changes_nothing(etcd, tmp_path):
    clock = Time()

    def step():
        """The start of a process is told by the boot's time, which moves with the clock."""
        clock.wall -= 3600
        etcd.answers["/metrics"] = (200, METRICS.replace("1.79528762533e+09", "1.79528402533e+09"))

    clock.events[103.5] = step
    found = watch(tmp_path / "file", etcd, clock)
    cluster, host = facts(found)
    assert (host["clock_steps"], host["clock_step"], host["coverage"]) == (1, 3600, 1) and cluster["soak"]["elections"] == 0


def test_a_slow_member_costs_slots_and_none_is_made_up_for(etcd, tmp_path):
    clock = Time()

    def slow():
        clock.at += 2.5

    clock.events[103.0] = slow
    found = watch(tmp_path / "file", etcd, clock)
    assert times(found) == [0, 1, 2, 5.5, 6, 7, 8, 9, 10]


def test_an_election_is_written_to_the_disk_at_once(etcd, tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(soak_file.os, "fsync", lambda descriptor: synced.append(len(etcd.requests)))
    clock = Time()

    def elect():
        dummy, status = etcd.respond("/v3/maintenance/status", {})
        etcd.answers["/v3/maintenance/status"] = (200, {**status, "raftTerm": "3"})

    clock.events[105.0] = elect
    found = watch(tmp_path / "file", etcd, clock)
    # The reserve, the beginning, the start, the first sample, the one with the election, the end.
    assert len(synced) == 6 and {one["term"] for one in found["samples"]} == {2, 3}


def test_the_service_managers_copies_of_the_files_are_taken(tmp_path):
    (tmp_path / "key").write_text("x")
    endpoint = {"url": "https://a:1", "key": "/etc/key", "cert": "/etc/cert"}
    assert credentials(endpoint, str(tmp_path)) == {**endpoint, "key": str(tmp_path / "key")}
    assert credentials(endpoint, "") == endpoint


# The program as it runs on a host -------------------------------------------------------------------------------------------


@pytest.fixture
def start(etcd, tmp_path):
    """Return start(**soak) -> process of the packed program, which writes to tmp_path/file."""
    (tmp_path / "watcher.pyz").write_bytes(program())
    processes = []

    def run(**soak):
        config = {
            "soak": {**SOAK, "seconds": 600, "interval": 0.1, **soak},
            "member": {"client": {"url": etcd.url}, "metrics": {"url": etcd.url + "/metrics"}},
            "path": str(tmp_path / "file"),
            "limit": 10**6,
        }
        (tmp_path / "config.json").write_text(json.dumps(config))
        argv = [sys.executable, "-I", "-S", str(tmp_path / "watcher.pyz"), str(tmp_path / "config.json")]
        processes.append(subprocess.Popen(argv, stderr=subprocess.PIPE, text=True))
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()


def lines(path, least):
    limit = time.monotonic() + 20
    while not path.exists() or len(path.read_bytes().splitlines()) < least:
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_killed_at_any_moment_it_loses_nothing(start, tmp_path):
    for times in (1, 2, 3):
        process = start(seconds=600)
        lines(tmp_path / "file", 12 * times)
        process.kill()
        process.wait()
    found = soak_file.read(io.BytesIO((tmp_path / "file").read_bytes()))
    assert found["damage"] == "" and len(found["starts"]) == 3 and len(found["samples"]) >= 30


def test_it_ends_when_it_is_told_to_and_when_the_time_is_over(start, tmp_path):
    process = start()
    lines(tmp_path / "file", 5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert start(seconds=1).wait(30) == 0
    assert soak_file.read(io.BytesIO((tmp_path / "file").read_bytes()))["state"] == "finished"


def test_two_watchers_do_not_write_one_file(start, tmp_path):
    start()
    lines(tmp_path / "file", 5)
    second = start()
    assert second.wait(10) == 75 and "Another watcher" in second.stderr.read()


def test_a_configuration_that_cannot_be_used(start, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    argv = [sys.executable, str(tmp_path / "watcher.pyz"), str(tmp_path / "config.json")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 78 and done.stderr.startswith("The configuration cannot be used") and "Traceback" not in done.stderr


def test_the_program_is_the_same_everywhere():
    assert program() == zipped.build(zipped.sources("soak_watcher"), MAIN)
