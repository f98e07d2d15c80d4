# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands in the keeper of a load job's pod, over WebSocket, byte by byte: output is handed on as it comes and is never kept here."""

from __future__ import annotations

import json
import time

from .api_streams_wire import CHANNELS, Stream, StreamError
from .job_spec import KEEPER

STDIN, STDOUT, STDERR, STATUS = range(4)
# Seconds until a WebSocket is open; and for output that comes after the command's status, which may overtake it on its way.
CONNECT, REST = 30.0, 5.0
KEPT = 2000


class ExecError(Exception):
    """A command could not be run in a pod, was cut off or failed; `final`: to try again would not help."""

    def __init__(self, text, final=False):
        super().__init__(text)
        self.final = final


class Command:
    """One command in a pod."""

    def __init__(self, server, namespace, pod, argv, stdin=False):
        """Start it; ExecError when that is not possible."""
        query = [("container", KEEPER), ("stdout", "true"), ("stderr", "true"), ("stdin", str(stdin).lower()), *(("command", one) for one in argv)]
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/exec"
        self.stderr, self.status = b"", b""
        try:
            self.stream = Stream(server.configuration, path, query, CHANNELS, CONNECT)
        except StreamError as error:
            raise ExecError(str(error), error.refused) from error

    def send(self, data):
        """Send to the command's standard input, within the time for opening it."""
        try:
            self.stream.send(bytes([STDIN]) + data)
        except StreamError as error:
            raise ExecError(str(error)) from error

    def output(self, seconds):
        """Yield the standard output in pieces, for `seconds` at most; ExecError unless the command ends well and says so."""
        try:
            yield from self.pieces(time.monotonic() + seconds, until_status=True)
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

    def pieces(self, limit, until_status):
        """Yield the standard output until the status is there or the stream ends; StreamError at its end."""
        for data in self.stream.messages(limit):
            channel, payload = (data[0], data[1:]) if data else (None, b"")
            if channel == STDOUT and payload:
                yield payload
            elif channel == STDERR:
                self.stderr = (self.stderr + payload)[-KEPT:]
            elif channel == STATUS:
                self.status += payload
                if until_status and self.status:
                    return

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
