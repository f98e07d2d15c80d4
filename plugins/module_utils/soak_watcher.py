# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The watcher of a soak: looks at one etcd member every few seconds, for hours, whatever becomes of the controller; standard library alone.

Run as `python3 watcher.pyz config.json`. Started again after a crash or a reboot it goes on where it was.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time

from ansible_collections.kubeproof.certify.plugins.module_utils.soak_file import BEGIN, ERROR, SAMPLE, START, SoakFileError, Writer
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_sample import Member
from ansible_collections.kubeproof.certify.plugins.module_utils.stop import Stop
from ansible_collections.kubeproof.certify.plugins.module_utils.web import HttpError

# Seconds between two fsyncs while nothing happens: what a loss of power may cost, far below the 1 % that coverage allows.
SYNC = 60.0
# What must not be lost: a sample in which one of these changed is made to last at once.
EVENTS = ("term", "leader", "changes", "started", "has_leader", "healthy", "error")
# Exit codes; a service that ends with one of them is not started again.
CONFIG, FULL, OTHER = 78, 73, 75
STATES = {"full": FULL, "limit": FULL, "failed": OTHER}
BOOT_ID = "/proc/sys/kernel/random/boot_id"
# Two clocks cannot be read at the same moment: within so many seconds, or the best of a few tries.
TOGETHER = 0.001
TRIES = 5
# Seconds that the arithmetic of clocks may be off.
EDGE = 0.001


class Clock:
    """Time: `now()` is (wall, running): seconds since the epoch, and since the boot with sleep counted; `boot` names the boot."""

    def __init__(self, boot_id=BOOT_ID):
        try:
            with open(boot_id, encoding="ascii") as stream:
                self.boot = stream.read().strip()
        except OSError:
            self.boot = ""

    @staticmethod
    def running():
        """Return seconds that nobody can set."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def now(self):
        """Return (wall, running) of one moment."""
        best = None
        for dummy in range(TRIES):
            before, wall, after = self.running(), time.time(), self.running()
            if best is None or after - before < best[0]:
                best = (after - before, wall, (before + after) / 2)
            if best[0] < TOGETHER:
                break
        return best[1], best[2]


class Watcher:
    """Writes samples of `member` for `config` {id, seconds, interval, ...} until the time is over; `stop` (a Stop) ends it earlier."""

    def __init__(self, config, member, writer, clock, stop):
        self.config, self.member, self.writer, self.clock, self.stop = config, member, writer, clock, stop
        self.interval, self.last = config["interval"], math.floor(config["seconds"] / config["interval"])
        self.synced, self.seen = -math.inf, {}

    def run(self):
        """Sample until the end; SoakFileError when the file cannot be written any more."""
        if self.writer.reader.ended:
            return
        wall, running = self.clock.now()
        origin = running - self._elapsed(wall, running)
        if not self.writer.count:
            self.writer.append(BEGIN, dict(self.config, wall=round(wall, 3)), sync=True)
        self.writer.append(START, {"boot": self.clock.boot, **_times(wall, running, origin)}, sync=True)
        slot = math.ceil((running - origin) / self.interval)
        while not self._waited(origin + slot * self.interval):
            wall, running = self.clock.now()
            self._sample(_times(wall, running, origin), self.member.look())
            if running - origin >= self.last * self.interval - EDGE:
                self.writer.end("finished")
                return
            # Of slots that were slept through none is made up for: each is a gap.
            slot = math.floor((self.clock.running() - origin) / self.interval) + 1
        self.writer.sync()

    def _elapsed(self, wall, running):
        """Return how many seconds the soak has run: by the boot's own clock, or across a boot by the wall's."""
        start, last = self.writer.reader.last.get(START), self.writer.reader.last.get(SAMPLE)
        known = max((one for one in (start, last) if one), key=lambda one: one["n"], default=None)
        if known is None:
            return 0.0
        since = running - known["running"] if start["boot"] == self.clock.boot != "" else wall - known["wall"]
        return known["at"] + max(0.0, since)

    def _waited(self, until):
        """Wait until a moment of the running clock; say whether to stop instead."""
        while True:
            left = until - self.clock.running()
            if left <= 0:
                return self.stop.is_set()
            if self.stop.wait(left):
                return True

    def _sample(self, times, found):
        if "error" in found:
            found["error"] = found["error"][:ERROR]
        events = {name: found.get(name) for name in EVENTS}
        sync = events != self.seen or times["running"] - self.synced >= SYNC
        self.seen = events
        self.writer.append(SAMPLE, {**times, **found}, sync=sync)
        if sync:
            self.synced = times["running"]


def _times(wall, running, origin):
    return {"at": round(running - origin, 3), "wall": round(wall, 3), "running": round(running, 3)}


def credentials(endpoint, directory):
    """Return an endpoint whose files are those of the same name that the service manager has put into `directory`, where it has."""
    replaced = {name: os.path.join(directory, name) for name in ("ca", "cert", "key") if endpoint.get(name) and directory}
    return dict(endpoint, **{name: path for name, path in replaced.items() if os.path.exists(path)})


def main():
    """Read the configuration, watch; return the exit code."""
    try:
        with open(sys.argv[1], encoding="utf-8") as stream:
            config = json.load(stream)
        directory = os.environ.get("CREDENTIALS_DIRECTORY", "")
        member = Member(*(credentials(config["member"][name], directory) for name in ("client", "metrics")))
        soak, path, most = config["soak"], config["path"], config["limit"]
    except (IndexError, KeyError, TypeError, OSError, ValueError, HttpError) as error:
        sys.stderr.write(f"The configuration cannot be used: {error}\n")
        return CONFIG
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *dummy: stop.set())
    try:
        writer = Writer(path, most)
        Watcher(soak, member, writer, Clock(), stop).run()
        if config.get("stay"):
            stop.wait()
    except SoakFileError as error:
        sys.stderr.write(f"{error}\n")
        return STATES[error.state]
    except OSError as error:
        sys.stderr.write(f"Cannot write {path}: {error.strerror or error}.\n")
        return FULL
    return 0
