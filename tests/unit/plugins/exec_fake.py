# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods for tests: each a directory here, in which a command that is sent over a WebSocket really runs."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import time

from ansible_collections.kubeproof.certify.plugins.module_utils.api_streams_wire import StreamError


class LocalPods:
    """Stands in for api_streams_wire.Stream. A pod is a directory below `root`, made when it is first used.

    `faults` is what becomes of the next connections, one each: an exception instead of it, a number of seconds after which it is cut, or None.
    `memory` is the text of the cgroup's memory.events, `processes` the pattern of the processes that a pod sees.
    """

    def __init__(self, root):
        self.root, self.faults, self.opened, self.pings = root, [], [], 0
        self.memory, self.processes = root / "cgroup" / "memory.events", "/proc/none[0-9]*"

    def __call__(self, configuration, path, query, protocols, timeout):
        fault = self.faults.pop(0) if self.faults else None
        pod = path.split("/")[-2]
        argv = [value for name, value in query if name == "command"]
        self.opened.append((pod, argv))
        if isinstance(fault, Exception):
            raise fault  # pylint: disable=raising-bad-type
        home = self.root / pod
        for name in ("results", "state", "files"):
            (home / name).mkdir(parents=True, exist_ok=True)
        places = {"/kubeproof": str(home), "/sys/fs/cgroup/": f"{self.memory.parent}/", "/proc/[0-9]*": self.processes}
        return LocalStream(self, [moved(word, places) for word in argv], fault)


def moved(text, places):
    """Return a text with paths of a pod replaced."""
    for name, place in places.items():
        text = text.replace(name, place)
    return text


class LocalStream:
    """One connection to a pod, with the channels of the API server's."""

    def __init__(self, pods, argv, cut):
        self.pods, self.cut_at = pods, None if cut is None else time.monotonic() + cut
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(argv, env={"PATH": os.environ["PATH"], "LC_ALL": "C"}, start_new_session=True, **pipes)
        self.selector, self.ended = selectors.DefaultSelector(), False
        for channel, pipe in ((b"\1", self.process.stdout), (b"\2", self.process.stderr)):
            self.selector.register(pipe, selectors.EVENT_READ, channel)

    def messages(self, limit):
        while self.selector.get_map():
            end = limit if self.cut_at is None else min(limit, self.cut_at)
            ready = self.selector.select(max(end - time.monotonic(), 0))
            if self.cut_at is not None and time.monotonic() >= self.cut_at:
                raise StreamError("the connection was cut")
            if not ready:
                return
            for key, _events in ready:
                data = os.read(key.fd, 65536)
                if data:
                    yield key.data + data
                else:
                    self.selector.unregister(key.fileobj)
        if self.ended:
            raise StreamError("the connection was closed")
        self.ended, code = True, self.process.wait()
        yield b"\3" + json.dumps({"status": "Failure", "message": f"exit code {code}"} if code else {"status": "Success"}).encode()

    def ping(self):
        self.pods.pings += 1

    def close(self):
        """End what the runtime ends with a connection: the command that it started, and none of its children."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.selector.close()
        self.process.stdout.close()
        self.process.stderr.close()
