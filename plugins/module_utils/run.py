# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one tool: outer timeout, bounded output, abort watch, and always the end of its whole process group."""

from __future__ import annotations

import contextlib
import glob
import os
import resource
import selectors
import shlex
import shutil
import signal
import subprocess
import threading
import time

from . import files

OUTPUT_LIMIT = 64 * 1024 * 1024
CHUNK = 1024 * 1024
TICK = 0.1
PAUSE = 0.01
GRACE = 3.0
# Marks what belongs to a run: workers, such as fio's, outlive a tool that is killed by SIGKILL.
MARK = "KUBEPROOF_RUN_DIR"
TIMEOUT = "timeout"
STOP_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
HOW_TO_GET = "Build it with make tools, name its path in etcd_tool_paths (on the hosts of etcd) or tools_files (here), or put it on the PATH."


class RunError(Exception):
    """A tool could not be started or recorded; the text names the tool, the reason and what to do."""


class Outcome:
    """What happened: rc (-N: ended by signal N, None: not begun), stdout, stderr (bytes), started (epoch), seconds, cpu_seconds
    (of the tool and of the children it waited for), stopped (why it was ended or not begun, or None), aborted (whether the watch was the reason)."""

    def __init__(self, rc, stdout, stderr, started, seconds, cpu_seconds, stopped=None, aborted=False):
        self.rc, self.stdout, self.stderr = rc, stdout, stderr
        self.started, self.seconds, self.cpu_seconds = started, seconds, cpu_seconds
        self.stopped, self.aborted = stopped, aborted


def run(argv, timeout, environment=None, chdir=None, run_dir=None, watch=None, limit=OUTPUT_LIMIT):
    """Run `argv` for at most `timeout` seconds and return its Outcome; RunError when it cannot start.

    `watch` is asked for its `reason` while the tool runs (see watch.Watch); `run_dir` holds the record of the process.
    """
    run_dir = os.path.abspath(run_dir) if run_dir else ""
    variables = {**os.environ, **(environment or {}), "LC_ALL": "C", MARK: run_dir}
    tool = find(argv[0], variables.get("PATH", os.defpath), chdir)
    started, clock = time.time(), time.monotonic()
    if watch is not None and watch.reason:
        return Outcome(None, b"", b"", started, 0.0, 0.0, watch.reason, True)
    with caught() as signals:
        return _watched(tool, argv, timeout, variables, chdir, run_dir, watch, limit, signals, (started, clock))


def deafen():
    """Let no signal to stop interrupt what is being done from now on. They are not ignored, so that plugin_utils/direct.py hears of them."""
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *dummy: None)


@contextlib.contextmanager
def caught():
    """Collect the signals that tell us to stop, so that what was begun is ended first; only the main thread can."""
    signals: list = []
    here = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, lambda received, frame: signals.append(received)) for number in (STOP_SIGNALS if here else ())}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watched(tool, argv, timeout, variables, chdir, run_dir, watch, limit, signals, begun):
    """Run the tool that was found, and return its Outcome; `begun` is (epoch, clock)."""
    started, clock = begun
    cpu = _cpu_seconds()
    process, record = None, None
    try:
        process = _start([tool, *argv[1:]], variables, chdir)
        record = _record(run_dir, process.pid, argv[0], started + timeout) if run_dir else None
        output = {process.stdout: bytearray(), process.stderr: bytearray()}
        stopped, aborted = _follow(process, output, clock + timeout, watch, signals, limit)
        seconds = time.monotonic() - clock
        rc = _end(process)
        cpu = _cpu_seconds() - cpu
        _drain(output, limit)
        if max(map(len, output.values())) > limit:
            stopped = stopped or f"wrote more than {limit} bytes, so its output cannot be kept"
        elif stopped == TIMEOUT:
            stopped = f"did not end within {timeout:g} s"
        return Outcome(rc, bytes(output[process.stdout]), bytes(output[process.stderr]), started, seconds, cpu, stopped, aborted)
    finally:
        if process is not None:
            _end(process)
            process.stdout.close()
            process.stderr.close()
        if record is not None:
            with contextlib.suppress(FileNotFoundError):  # a cleanup may have been there first
                os.unlink(record)


def find(tool, path, chdir=None):
    """Return the absolute path of a tool; RunError says how to get a missing one."""
    if os.sep in tool:
        found = os.path.join(chdir or "", tool)
        if os.path.isfile(found) and os.access(found, os.X_OK):
            return os.path.abspath(found)
        reason = "is not executable" if os.path.exists(found) else "is not there"
        raise RunError(f"{tool} {reason}. {HOW_TO_GET}")
    found = shutil.which(tool, path=path)
    if not found:
        raise RunError(f"{tool} was not found on this host (PATH is {path}). {HOW_TO_GET}")
    return os.path.abspath(found)


def signal_name(number):
    """Return the name of a signal, such as SIGKILL."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def end_recorded(run_dir):
    """End every process group that a run left recorded in `run_dir` and remove the records; return [{pid, argv0, ended: signal name}].

    A record whose pid now belongs to another process is only removed. RunError or files.DataFileError when a record cannot be used,
    RunError when a process survives.
    """
    run_dir = os.path.abspath(run_dir)
    ended = []
    for path in sorted(glob.glob(os.path.join(glob.escape(run_dir), "process-*.json"))):
        # Anybody may make the directory first; only a record of our own may end a process.
        if os.lstat(path).st_uid != os.geteuid():
            raise RunError(f"{path} belongs to another user, so it is not trusted. Remove it by hand.")
        record = files.read_json(path)
        pid, start = (record.get("pid"), record.get("start_time")) if isinstance(record, dict) else (None, None)
        if not isinstance(pid, int) or pid <= 1 or not isinstance(start, int):
            raise RunError(f"{path} is not the record of a process. Remove it by hand.")
        used = _end_group(pid, start, run_dir)
        if _group(pid, start, run_dir):
            raise RunError(f"The process group {pid} ({record.get('argv0')}) could not be ended. End it by hand.")
        with contextlib.suppress(FileNotFoundError):  # its own runner, if it still lives, removes it too
            os.unlink(path)
        if used:
            ended.append({"pid": pid, "argv0": str(record.get("argv0")), "ended": signal_name(used)})
    return ended


def _end_group(pid, start, run_dir):
    """End a recorded process group, first with TERM, then with KILL; return the last signal used, or None."""
    used = None
    for number in (signal.SIGTERM, signal.SIGKILL):
        if _group(pid, start, run_dir):
            used = number
            _signal_group(pid, number)
            _wait_until(lambda: not _group(pid, start, run_dir), GRACE)
    return used


def _group(pid, start, run_dir):
    """Return the processes of the recorded group that still run: its leader, if it began at `start`, and those with the run's mark."""
    mark = f"{MARK}={run_dir}".encode()
    found = []
    for entry in os.listdir("/proc"):
        state, group, begun = _stat(entry) if entry.isdigit() else (None, None, None)
        if group == pid and state not in ("Z", "X") and (int(entry) == pid and begun == start or mark in _environment(entry)):
            found.append(int(entry))
    return found


def _environment(pid):
    """Return the environment that a process began with, as [b"NAME=value"]; [] when it is gone or another user's."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as stream:
            return stream.read().split(b"\0")
    except OSError:
        return []


def _start(argv, variables, chdir):
    """Start the tool in a process group of its own; RunError when it cannot be."""
    if chdir and not os.path.isdir(chdir):
        raise RunError(f"Cannot run {argv[0]} in {chdir}: there is no such directory.")
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=variables,
            cwd=chdir,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise RunError(f"Cannot start {shlex.quote(argv[0])}: {getattr(error, 'strerror', None) or error}. {HOW_TO_GET}") from error


def _record(run_dir, pid, tool, deadline):
    """Write the record by which a cleanup finds exactly this process group, and return its path."""
    path = os.path.join(run_dir, f"process-{pid}.json")
    files.write_json(path, {"pid": pid, "start_time": _stat(pid)[2], "argv0": tool, "deadline": deadline})
    return path


def _stat(pid):
    """Return (state, process group, start in clock ticks since boot) of a process; None for each when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            # The second field is the name in parentheses, which may itself hold blanks and parentheses.
            fields = stream.read().rpartition(")")[2].split()
        return fields[0], int(fields[2]), int(fields[19])
    except (OSError, IndexError, ValueError):
        return None, None, None


def _follow(process, output, deadline, watch, signals, limit):
    """Read until the tool ends, or return (why it must be stopped, whether by the watch)."""
    with selectors.DefaultSelector() as selector:
        for stream in output:
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ)
        while not _ended(process):
            if signals:
                return f"was stopped by {signal_name(signals[0])}, sent to tool_run", False
            if watch is not None and watch.reason:
                return watch.reason, True
            if time.monotonic() >= deadline:
                return TIMEOUT, False
            for key, dummy in selector.select(TICK) if selector.get_map() else _pause():
                if not _read(key.fileobj, output[key.fileobj]):
                    selector.unregister(key.fileobj)
            if max(map(len, output.values())) > limit:
                return None, False
    return None, False


def _pause():
    """Wait for a tool that closed its output."""
    time.sleep(PAUSE)
    return ()


def _read(stream, kept):
    """Add what is there to read; False at the end of the stream."""
    try:
        data = os.read(stream.fileno(), CHUNK)
    except BlockingIOError:
        return True
    kept += data
    return bool(data)


def _drain(output, limit):
    """Read what the ended group left in the pipes; a process that escaped the group may hold them open, so never wait."""
    for stream, kept in output.items():
        while len(kept) <= limit:
            before = len(kept)
            if not _read(stream, kept) or len(kept) == before:
                break


def _ended(process):
    """Tell whether the tool ended without reaping it: while it is a zombie its process group cannot become another's."""
    if process.returncode is not None:
        return True
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(process):
    """End what is left of the process group (TERM, then KILL), reap the tool and return its exit code."""
    if process.returncode is None:
        if not _ended(process):
            _signal_group(process.pid, signal.SIGTERM)
            _wait_until(lambda: _ended(process), GRACE)
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode


def _cpu_seconds():
    """Return the processor time of all children that ended and were waited for, with their own such children."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _signal_group(pid, number):
    """Send a signal to a process group; whether it helped is seen by looking at the process."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _wait_until(condition, seconds):
    """Wait until `condition()` holds, for `seconds` at most."""
    limit = time.monotonic() + seconds
    while not condition() and time.monotonic() < limit:
        time.sleep(0.02)
