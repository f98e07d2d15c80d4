# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands in a pod, in its keeper unless another container is named, over WebSocket, byte by byte: output is handed on as it comes and is never kept here."""

from __future__ import annotations

import json
import time

from .api_streams_wire import CHANNELS, Stream, StreamError
from .job_spec import KEEPER

STDIN, STDOUT, STDERR, STATUS = range(4)
# Seconds until a WebSocket is open; and for output that comes after the command's status, which may overtake it on its way.
CONNECT, REST = 30.0, 5.0
# Seconds without a word after which to look what the pod does.
QUIET = 5.0
KEPT = 2000


class ExecError(Exception):
    """A command could not be run in a pod, was cut off or failed; `final`: to try again would not help; `refused`: this user may not run any."""

    def __init__(self, text, final=False, refused=False):
        super().__init__(text)
        self.final, self.refused = final or refused, refused


class Command:
    """One command in a pod."""

    def __init__(self, server, namespace, pod, argv, stdin=False, container=KEEPER):
        """Start it; ExecError when that is not possible."""
        query = [("container", container), ("stdout", "true"), ("stderr", "true"), ("stdin", str(stdin).lower()), *(("command", one) for one in argv)]
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/exec"
        self.stderr, self.status = b"", b""
        try:
            self.stream = Stream(server, path, query, CHANNELS, CONNECT)
        except StreamError as error:
            raise ExecError(str(error), refused=error.refused) from error

    def send(self, data):
        """Send to the command's standard input, within the time for opening it."""
        try:
            self.stream.send(bytes([STDIN]) + data)
        except StreamError as error:
            raise ExecError(str(error)) from error

    def text(self, seconds, longest, quiet=None):
        """Return the whole standard output; None when it is longer than `longest` bytes. The rest is as for `output`."""
        found = b""
        for part in self.output(seconds, quiet):
            found += part
            if len(found) > longest:
                return None
        return found

    def output(self, seconds, quiet=None):
        """Yield the standard output in pieces, for `seconds` at most; ExecError unless the command ends well and says so.

        `quiet` is called whenever nothing came for some seconds; what it raises ends the output.
        """
        try:
            yield from self.pieces(time.monotonic() + seconds, until_status=True, quiet=quiet)
            if self.status:
                yield from self.pieces(time.monotonic() + REST, until_status=False)
        except StreamError as error:
            if not self.status:
                raise ExecError(str(error)) from error
        if not self.status:
            raise ExecError(f"the command in the pod did not end within {seconds:g} s")
        problem = problem_of(self.status, self.stderr)
        if problem:
            raise ExecError(problem, final=True)

    def pieces(self, limit, until_status, quiet=None):
        """Yield the standard output until the status is there or the stream ends; StreamError at its end."""
        while time.monotonic() < limit:
            for data in self.stream.messages(min(limit, time.monotonic() + QUIET) if quiet else limit):
                channel, payload = (data[0], data[1:]) if data else (None, b"")
                if channel == STDOUT and payload:
                    yield payload
                elif channel == STDERR:
                    self.stderr = (self.stderr + payload)[-KEPT:]
                elif channel == STATUS:
                    self.status += payload
                    if until_status and self.status:
                        return
            if not quiet:
                return
            # What is between here and the pod may cut a connection that is quiet, and one that is cut without a word shows when it is used.
            self.stream.ping()
            quiet()

    def close(self):
        """Close the connection."""
        self.stream.close()

    def __enter__(self):
        return self

    def __exit__(self, *dummy):
        self.close()


def problem_of(status, stderr):
    """Return why a command failed, from the Status at its end, or ""."""
    try:
        answer = json.loads(status)
        good, said = answer["status"] == "Success", answer.get("message") or answer.get("reason") or ""
    except (ValueError, KeyError, TypeError, AttributeError):
        return "the command in the pod ended without a status that can be read"
    text = " ".join(stderr.decode("utf-8", "replace").split())[-300:]
    return "" if good else f"the command in the pod failed: {text or said or 'it said nothing'}"
