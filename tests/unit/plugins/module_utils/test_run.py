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

from ansible_collections.kubeproof.certify.plugins.module_utils import files, run

# A tool with a worker: both outlive a plain kill of the tool, as fio's do.
WITH_WORKER = "sleep 60 & echo $!; wait"


class Reason:
    """A watch that finds a reason `seconds` after it was first asked."""

    def __init__(self, seconds):
        self.seconds, self.begun = seconds, None

    @property
    def reason(self):
        self.begun = self.begun or time.monotonic()
        return "etcd lost its leader" if time.monotonic() >= self.begun + self.seconds else None


def alive(pid):
    """Tell whether a process runs; a zombie does not."""
    return run._stat(pid)[0] not in (None, "Z", "X")


def gone(pid):
    """Wait until a process has ended."""
    run._wait_until(lambda: not alive(pid), 5)
    return not alive(pid)


@pytest.mark.parametrize(
    ("script", "rc", "stdout", "stderr"),
    [
        ("echo out; echo err >&2", 0, b"out\n", b"err\n"),
        ("exit 3", 3, b"", b""),
        ("kill -9 $$", -9, b"", b""),
        ("cat", 0, b"", b""),  # standard input is empty
        ("echo $LC_ALL $MORE", 0, b"C 1\n", b""),
        ("exec >&- 2>&-; sleep 0.05; exit 4", 4, b"", b""),
        ("head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2", 0, b"\0" * 300000, b"\0" * 300000),
    ],
)
def test_outcome(script, rc, stdout, stderr):
    outcome = run.run(["sh", "-c", script], 20, {"MORE": "1", "LC_ALL": "de_DE"})
    assert (outcome.rc, outcome.stdout, outcome.stderr, outcome.stopped, outcome.aborted) == (rc, stdout, stderr, None, False)
    assert outcome.seconds < 20 and abs(outcome.started - time.time()) < 60


@pytest.mark.parametrize(
    ("options", "stopped", "aborted"),
    [
        ({"timeout": 0.3}, "did not end within 0.3 s", False),
        ({"timeout": 20, "watch": Reason(0.1)}, "etcd lost its leader", True),
    ],
)
def test_ends_the_whole_group(options, stopped, aborted):
    outcome = run.run(["sh", "-c", WITH_WORKER], **options)
    assert (outcome.stopped, outcome.aborted, outcome.rc) == (stopped, aborted, -signal.SIGTERM)
    assert gone(int(outcome.stdout))


def test_kills_what_ignores_term(monkeypatch):
    monkeypatch.setattr(run, "GRACE", 0.2)
    outcome = run.run(["sh", "-c", "trap '' TERM; sleep 60 & echo $!; wait; sleep 60"], 0.3)
    assert outcome.rc == -signal.SIGKILL and gone(int(outcome.stdout))


def test_ends_workers_of_a_tool_that_was_killed():
    outcome = run.run(["sh", "-c", "sleep 60 & echo $!; kill -9 $$"], 20)
    assert outcome.rc == -signal.SIGKILL and outcome.stopped is None and gone(int(outcome.stdout))


def test_does_not_wait_for_what_escaped_the_group():
    outcome = run.run([sys.executable, "-c", "import os\nif not os.fork():\n os.setsid()\n import time; time.sleep(3)\nelse: print('done')"], 20)
    assert outcome.stdout == b"done\n" and outcome.seconds < 3


def test_reason_before_the_start_starts_nothing(tmp_path):
    outcome = run.run(["touch", str(tmp_path / "x")], 5, watch=Reason(0))
    assert (outcome.rc, outcome.aborted, list(tmp_path.iterdir())) == (None, True, [])


@pytest.mark.parametrize("stream", ["", ">&2"])
def test_too_much_output(stream):
    outcome = run.run(["sh", "-c", f"yes {stream}"], 20, limit=100_000)
    assert outcome.stopped == "wrote more than 100000 bytes, so its output cannot be kept"


@pytest.mark.parametrize(
    ("argv", "chdir", "error"),
    [
        (["no-such-tool"], None, "no-such-tool was not found on this host (PATH is "),
        (["/no/such/tool"], None, "/no/such/tool is not there. Build it with make tools, name its path in etcd_tool_paths "),
        (["/etc/passwd"], None, "/etc/passwd is not executable. "),
        (["true"], "/no/such/dir", "/no/such/dir: there is no such directory."),
        (["true", "a\0b"], None, "Cannot start "),
    ],
)
def test_cannot_start(argv, chdir, error):
    with pytest.raises(run.RunError) as caught:
        run.run(argv, 5, chdir=chdir)
    assert error in str(caught.value)


def test_broken_interpreter_and_format(tmp_path):
    for content in ("#!/no/such/interpreter\n", "\x7fELF"):
        tool = tmp_path / "tool"
        tool.write_text(content)
        tool.chmod(0o755)
        with pytest.raises(run.RunError, match="Cannot start .*make tools"):
            run.run([str(tool)], 5)


def test_relative_path_and_chdir(tmp_path):
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\npwd\n")
    tool.chmod(0o755)
    assert run.run(["./tool"], 5, chdir=str(tmp_path)).stdout.decode().strip() == str(tmp_path)


def test_record_exists_only_while_the_tool_runs(tmp_path):
    outcome = run.run(["sh", "-c", f"sleep 0.2; cat {tmp_path}/run/process-$$.json; echo; echo $$"], 5, run_dir=str(tmp_path / "run"))
    text, pid = outcome.stdout.decode().rsplit("}", 1)
    record = json.loads(text + "}")
    assert (record["pid"], record["argv0"]) == (int(pid), "sh")
    assert record["start_time"] > 0 and record["deadline"] == pytest.approx(outcome.started + 5)
    assert not list((tmp_path / "run").iterdir())


def test_record_that_cannot_be_written_ends_the_tool(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(files.DataFileError, match="process-"):
        run.run(["sh", "-c", f"sleep 0.5; touch {tmp_path}/late"], 5, run_dir=str(tmp_path / "file"))
    time.sleep(0.7)
    assert not (tmp_path / "late").exists()


@pytest.mark.parametrize("number", run.STOP_SIGNALS)
def test_signal_to_us_ends_the_tool_and_puts_the_handlers_back(number):
    before = [signal.getsignal(one) for one in run.STOP_SIGNALS]
    timer = threading.Timer(0.2, os.kill, (os.getpid(), number))
    timer.start()
    outcome = run.run(["sh", "-c", WITH_WORKER], 20)
    assert outcome.stopped == f"was stopped by {number.name}, sent to tool_run"
    assert gone(int(outcome.stdout)) and [signal.getsignal(one) for one in run.STOP_SIGNALS] == before


def start_recorded(run_dir, script):
    """Start a runner that records its tool in `run_dir`, kill the runner itself, and return (pid of the tool, pid of its worker)."""
    code = "import sys; from ansible_collections.kubeproof.certify.plugins.module_utils import run; run.run(['sh', '-c', sys.argv[2]], 60, run_dir=sys.argv[1])"
    path = run_dir.parent / "pids"
    runner = subprocess.Popen([sys.executable, "-c", code, str(run_dir), f"{script} & echo $$ $! > {path}.part; mv {path}.part {path}; wait"],
                              env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    run._wait_until(lambda: path.exists() and list(run_dir.glob("process-*")), 10)
    runner.kill()
    runner.wait()
    tool, worker = map(int, path.read_text().split())
    return tool, worker


def test_end_recorded_ends_the_group(tmp_path):
    run_dir = tmp_path / "run"
    tool, worker = start_recorded(run_dir, "sleep 60")
    assert alive(tool) and alive(worker)
    assert run.end_recorded(str(run_dir) + "/") == [{"pid": tool, "argv0": "sh", "ended": "SIGTERM"}]
    assert gone(tool) and gone(worker) and not list(run_dir.iterdir())
    assert run.end_recorded(str(run_dir)) == []


def test_end_recorded_ends_workers_whose_leader_is_gone(tmp_path):
    run_dir = tmp_path / "run"
    tool, worker = start_recorded(run_dir, "sleep 60")
    os.kill(tool, signal.SIGKILL)
    assert gone(tool) and alive(worker)
    assert run.end_recorded(str(run_dir)) == [{"pid": tool, "argv0": "sh", "ended": "SIGTERM"}]
    assert gone(worker)


def test_end_recorded_uses_kill(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "GRACE", 0.2)
    run_dir = tmp_path / "run"
    tool, worker = start_recorded(run_dir, "trap '' TERM; sleep 60")
    assert run.end_recorded(str(run_dir)) == [{"pid": tool, "argv0": "sh", "ended": "SIGKILL"}]
    assert gone(tool) and gone(worker)


def test_end_recorded_leaves_a_pid_that_was_used_again(tmp_path):
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
        record = {"pid": other.pid, "start_time": run._stat(other.pid)[2] - 1, "argv0": "fio", "deadline": 0}
        files.write_json(str(tmp_path / f"process-{other.pid}.json"), record)
        assert run.end_recorded(str(tmp_path)) == []
        assert alive(other.pid) and not list(tmp_path.iterdir())
        other.kill()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": 1, "start_time": 1}', '{"pid": "7", "start_time": 1}'])
def test_end_recorded_refuses_a_broken_record(tmp_path, content):
    (tmp_path / "process-7.json").write_text(content)
    with pytest.raises((run.RunError, files.DataFileError), match="process-7.json"):
        run.end_recorded(str(tmp_path))


def test_end_recorded_without_a_directory(tmp_path):
    assert run.end_recorded(str(tmp_path / "none")) == []
