# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from ansible_collections.kubeproof.certify.plugins.plugin_utils import guard

INTERRUPTED = json.dumps({"state": "interrupted"})


@pytest.fixture(name="sleeper")
def fixture_sleeper():
    """Return a process that runs until it is ended."""
    # A background job of a shell ignores SIGINT, and some runners of pipelines ignore SIGTERM; so would what they start.
    process = subprocess.Popen(["env", "--default-signal", "sleep", "60"])
    yield process
    process.kill()
    process.wait()


def wait(condition, seconds=10):
    """Wait until a condition holds; say whether it does."""
    limit = time.monotonic() + seconds
    while not condition() and time.monotonic() < limit:
        time.sleep(0.02)
    return condition()


def test_alive(sleeper):
    assert guard.alive(os.getpid()) and guard.alive(1) and guard.alive(sleeper.pid)
    sleeper.kill()
    # Nobody has waited for it, so it is a zombie.
    assert wait(lambda: not guard.alive(sleeper.pid))
    os.kill(sleeper.pid, 0)
    sleeper.wait()
    assert not guard.alive(sleeper.pid)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (INTERRUPTED, True),
        ('{"state": "finished"}', False),
        ("{}", False),
        ('{"state": null}', False),
        ("[]", False),
        ("null", False),
        ("", False),
        ('{"state": "interr', False),
        (None, False),
    ],
)
def test_interrupted(tmp_path, text, expected):
    if text is not None:
        (tmp_path / "certificate.json").write_text(text)
    assert guard.interrupted(str(tmp_path)) is expected


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_cleans_up_after_the_end_and_not_before(tmp_path, monkeypatch, sleeper, number):
    monkeypatch.setattr(guard, "POLL", 0.02)
    (tmp_path / "certificate.json").write_text(INTERRUPTED)
    command = ["sh", "-c", f"echo out; echo err >&2; cat; touch '{tmp_path}/done'"]
    thread = threading.Thread(target=guard.main, args=(str(tmp_path), sleeper.pid, command))
    thread.start()
    time.sleep(0.1)
    assert thread.is_alive() and os.listdir(tmp_path) == ["certificate.json"]
    sleeper.send_signal(number)
    # It is left a zombie meanwhile.
    thread.join(10)
    assert not thread.is_alive() and (tmp_path / "done").exists()
    assert (tmp_path / "cleanup.log").read_text() == "out\nerr\n"


def test_looks_at_the_certificate_after_the_end(tmp_path, monkeypatch, sleeper):
    """The run writes its certificate at its end, long after the guard was started."""
    monkeypatch.setattr(guard, "POLL", 0.02)
    (tmp_path / "certificate.json").write_text(INTERRUPTED)
    thread = threading.Thread(target=guard.main, args=(str(tmp_path), sleeper.pid, ["touch", str(tmp_path / "done")]))
    thread.start()
    (tmp_path / "certificate.json").write_text('{"state": "finished"}')
    sleeper.kill()
    thread.join(10)
    assert not thread.is_alive() and os.listdir(tmp_path) == ["certificate.json"]


def test_a_process_that_ended_before(tmp_path, sleeper):
    sleeper.kill()
    sleeper.wait()
    (tmp_path / "certificate.json").write_text(INTERRUPTED)
    guard.main(str(tmp_path), sleeper.pid, ["touch", str(tmp_path / "done")])
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize(("command", "said"), [(["/no such", "-e{secret: hunter2}"], "No such file"), (["sh", "-c", "sleep 60", "hunter2"], "took too long")])
def test_a_cleanup_that_fails_says_so_and_no_secret(tmp_path, monkeypatch, sleeper, command, said):
    monkeypatch.setattr(guard, "CLEANUP_TIMEOUT", 0.1)
    monkeypatch.setattr(guard, "POLL", 0.02)
    sleeper.kill()
    (tmp_path / "certificate.json").write_text(INTERRUPTED)
    guard.main(str(tmp_path), sleeper.pid, command)
    log = tmp_path / "cleanup.log"
    assert said in log.read_text() and "playbooks/cleanup.yml" in log.read_text() and "hunter2" not in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


def test_as_a_program(tmp_path, sleeper):
    """The processes are those of a run: nobody waits for the killed one, the guard has a session of its own."""
    directories = {}
    for state in ("interrupted", "finished"):
        directories[state] = tmp_path / f"{state} run"
        directories[state].mkdir()
        (directories[state] / "certificate.json").write_text(json.dumps({"state": state}))
    guards = [
        subprocess.Popen(
            [sys.executable, guard.__file__, str(directory), str(sleeper.pid), "touch", str(directory / "done")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for directory in directories.values()
    ]
    time.sleep(0.2)
    assert [one.poll() for one in guards] == [None, None]
    sleeper.kill()
    assert [one.wait(10) for one in guards] == [0, 0]
    assert (directories["interrupted"] / "done").exists() and not (directories["finished"] / "done").exists()


# A process that forks a worker as Ansible does: with the queue of its results, in a session of its own; it prints the worker's id.
FORKS = """
import os, signal, sys, time
queue = os.pipe()
sys.stdin.readline()
worker = os.fork()
if not worker:
    os.setsid()
    signal.signal(signal.SIGTERM, getattr(signal, sys.argv[1]))
    time.sleep(60)
print(worker, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("heeds", ["SIG_DFL", "SIG_IGN"])
def test_ends_a_worker_that_began_in_the_last_moment(tmp_path, monkeypatch, heeds):
    monkeypatch.setattr(guard, "GRACE", 1)
    (tmp_path / "certificate.json").write_text(INTERRUPTED)
    # A process with the same command line that is not of this run goes on.
    command = [sys.executable, "-c", FORKS, heeds]
    run, other = (subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for dummy in range(2))
    found = []
    try:
        thread = threading.Thread(target=guard.main, args=(str(tmp_path), run.pid, ["touch", str(tmp_path / "done")]))
        assert wait(lambda: guard.pipes(run.pid) and guard.pipes(other.pid))
        monkeypatch.setattr(guard, "POLL", 0.1)
        thread.start()
        time.sleep(0.05)
        for one in (run, other):
            one.stdin.write("\n")
            one.stdin.flush()
            found.append(int(one.stdout.readline()))
        run.kill()
        run.wait()
        thread.join(10)
        assert (tmp_path / "done").exists() and wait(lambda: not guard.alive(found[0])) and guard.alive(found[1]) and other.poll() is None
    finally:
        for number in (run.pid, other.pid, *found):
            if guard.command_line(number):
                os.kill(number, signal.SIGKILL)
        for one in (run, other):
            one.communicate()
