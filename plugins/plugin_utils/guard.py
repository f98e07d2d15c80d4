# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits for the end of a run and cleans up when that run could not do it itself (SIGINT, SIGKILL, a lost terminal).

Started detached by the guard action: `python guard.py <run directory> <pid> <command …>`. When process <pid> has
ended and the run's certificate still says "interrupted", what that process had started is ended too, since a worker of a killed
ansible-playbook goes on to the next step of its load; then the command is run once, and its output is kept in cleanup.log.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

POLL = 0.5
CLEANUP_TIMEOUT = 600
GRACE = 5


def stat(pid):
    """Return [state, parent, …, start time, …] of process `pid` as /proc has them; [] when it has ended, or where there is no /proc."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            # The name before it stands in parentheses, and may hold blanks and parentheses itself.
            return stream.read().rpartition(")")[2].split()
    except OSError:
        return []


def alive(pid):
    """Tell whether process `pid` still runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return stat(pid)[:1] != ["Z"]


def command_line(pid):
    """Return the command line of process `pid` as /proc has it; b"" when it has ended, or where there is no /proc."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            return stream.read()
    except OSError:
        return b""


def pipes(pid):
    """Return the pipes that process `pid` has open, beside its own input and output."""
    found = set()
    with contextlib.suppress(OSError):
        for entry in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found.add(os.readlink(f"/proc/{pid}/fd/{entry}") if int(entry) > 2 else "")
    return {name for name in found if name.startswith("pipe:")}


def workers(line, queue):
    """Return the processes with this command line and one of these pipes: a worker of Ansible is a fork that holds the queue of its results."""
    entries = os.listdir("/proc") if line and os.path.isdir("/proc/self") else []
    return [int(entry) for entry in entries if entry.isdigit() and command_line(entry) == line and pipes(entry) & queue]


def end(find):
    """End the processes that `find()` returns: told to first, and killed if they go on.

    A module of the controller runs in the worker itself (direct.py), which hears SIGTERM and takes away what it made. Pods may need longer for that
    than GRACE: what is left then is what the cleanup is for.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in find():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, number)
        limit = time.monotonic() + GRACE
        while find() and time.monotonic() < limit:
            time.sleep(0.02)


def interrupted(directory):
    """Tell whether the certificate in `directory` was left as it was written before the load."""
    try:
        with open(os.path.join(directory, "certificate.json"), encoding="utf-8") as stream:
            return json.load(stream)["state"] == "interrupted"
    except (OSError, ValueError, TypeError, KeyError):
        return False


def main(directory, pid, command):
    """Wait for `pid`, then run `command` if the run in `directory` was interrupted."""
    line, queue = command_line(pid), pipes(pid)
    while alive(pid):
        time.sleep(POLL)
    if not interrupted(directory):
        return
    # Looked for now, since a worker may have begun in its last moment.
    end(lambda: workers(line, queue))
    # What a playbook shows may hold more than others may read.
    with open(os.open(os.path.join(directory, "cleanup.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
        try:
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=CLEANUP_TIMEOUT, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            # Neither the error nor the command: in their arguments are the variables of the run, with its secrets.
            why = "it took too long" if isinstance(error, subprocess.TimeoutExpired) else error.strerror
            log.write(f"The cleanup did not end well: {why}. Run playbooks/cleanup.yml with the inventory of the run.\n".encode())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
