# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends the requests of a load on their schedule, whether or not the former ones were answered, and deletes all of it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from . import scale_objects
from .cluster import ClusterError
from .stress_health import MOST_ERRORS

# With fewer a slow API server would make the generator late, which would be taken for its own slowness.
THREADS = 128
AGAIN = 1.0
LONGEST_AGAIN = 8.0
TRIES = 6
PATCH = "application/merge-patch+json"
BACKGROUND = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
# Of fewer answers no share is taken.
LEAST_ANSWERS = 30
POLL = 0.5
ASK_AGAIN = 10.0
# Who makes others goes first, or they would be made again.
OWNERS_FIRST = ("deployments", "replicasets", "pods", "services")
PATIENT = (0, 429, 500, 502, 503, 504)


class Sender:
    """One phase. `late` is how many seconds after its time the latest request was first sent, `failed` {reason: requests given up}; `reason` says when too
    many of all answers were errors, so that the load has to end."""

    def __init__(self, server, options, phase):
        self.server, self.options, self.phase = server, options, phase
        self.late, self.sent, self.throttled, self.failed = 0.0, 0, 0, {}
        self.began = self.ended = 0.0
        self.answers, self.errors, self._ends = 0, 0, ()
        self._lock, self._stopping = threading.Lock(), threading.Event()
        self._act = {"fill": self._make, "churn": self._scale, "drain": self._delete}[phase]

    def run(self, limit, signals):
        """Send everything that is due before `limit`; return when all is answered."""
        self.began, self._ends = time.monotonic(), signals
        with ThreadPoolExecutor(THREADS) as pool:
            for turn in scale_objects.schedule(self.options, self.phase):
                due = self.began + turn.due
                while not signals and time.monotonic() < min(due, limit):
                    time.sleep(min(0.1, max(0.0, due - time.monotonic())))
                if signals or time.monotonic() >= limit:
                    self._stopping.set()
                    break
                pool.submit(self._send, turn.group, due)
        self.ended = time.monotonic()

    @property
    def reason(self):
        """Return why nothing more may be sent, or None."""
        if self.answers < LEAST_ANSWERS or self.errors <= MOST_ERRORS * self.answers:
            return None
        return f"{self.errors} of {self.answers} answers to the load were errors, limit {MOST_ERRORS:.0%}"

    def _answered(self, error=False):
        with self._lock:
            self.answers, self.errors = self.answers + 1, self.errors + error

    def _send(self, group, due):
        with self._lock:
            self.late, self.sent = max(self.late, time.monotonic() - due), self.sent + 1
        try:
            self._act(group)
        # Nobody would see an error in this thread.
        except Exception as error:  # pylint: disable=broad-exception-caught
            text = f"{self.phase} of {group.name}: {error}".replace(group.name, "a Deployment")[:200]
            with self._lock:
                self.failed[text] = self.failed.get(text, 0) + 1

    def _make(self, group):
        places = scale_objects.paths(group.namespace)
        if group.served:
            self._ask("POST", places["services"], scale_objects.service(self.options, group))
        self._ask("POST", places["deployments"], scale_objects.deployment(self.options, group))

    def _scale(self, group):
        path = f"{scale_objects.paths(group.namespace)['deployments']}/{group.name}"
        self._ask("PATCH", path, {"spec": {"replicas": group.scaled}}, PATCH)

    def _delete(self, group):
        places = scale_objects.paths(group.namespace)
        self._ask("DELETE", f"{places['deployments']}/{group.name}", BACKGROUND)
        if group.served:
            self._ask("DELETE", f"{places['services']}/{group.name}", BACKGROUND)

    def _ask(self, method, path, body, kind="application/json"):
        """Send one request, again where the answer is to try again; what a lost answer had done already is done."""
        pause = AGAIN
        for number in range(TRIES):
            try:
                self.server.request(method, path, body, content_type=kind)
                self._answered()
                return
            except ClusterError as error:
                done = error.status == 409 and method == "POST" and number or error.status == 404 and method == "DELETE"
                self._answered(not done)
                if done:
                    return
                with self._lock:
                    self.throttled += error.status == 429
                if error.status not in PATIENT or number == TRIES - 1 or self._stopping.is_set() or self._ends:
                    raise
                time.sleep(max(error.retry_after or 0.0, pause))
                pause = min(2 * pause, LONGEST_AGAIN)


def remove(server, options, seconds):
    """Delete what is left of a load and wait until it is gone; return (how many objects are left, why)."""
    limit, asked, wanted = time.monotonic() + seconds, {}, scale_objects.selector(options)
    while True:
        left, why = 0, ""
        for space in options["namespaces"]:
            for path in map(scale_objects.paths(space).get, OWNERS_FIRST):
                try:
                    page = server.get(path, labelSelector=wanted, limit=1)
                    count = len(page.get("items") or ()) + ((page.get("metadata") or {}).get("remainingItemCount") or 0)
                    if count and time.monotonic() - asked.get(path, float("-inf")) > ASK_AGAIN:
                        server.request("DELETE", path, BACKGROUND, {"labelSelector": wanted, "limit": 500})
                        asked[path] = time.monotonic()
                    left += count
                except ClusterError as error:
                    left, why = left + 1, str(error)
        if not left or time.monotonic() > limit:
            return left, why
        time.sleep(POLL)
