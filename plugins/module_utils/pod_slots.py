# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A load of many pods in few slots: who holds one, and the deletion of what is measured."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from .pod_watch import shorten

DELETERS = 16
SHORTEST_RETRY, LONGEST_RETRY = 0.5, 4.0
ALWAYS = float("-inf")


class Slots:
    """At most `most` pods of a measurement exist at a time. With 0 there is no limit, and nothing is deleted before the end.

    A pod holds its slot from before its create request is sent until it is seen to be gone. Threads of their own delete what is measured to its end.
    """

    def __init__(self, cluster, tracker, path, most, freed):
        """`path` is where the pods or Deployments are created, `freed()` is called whenever a slot gets free."""
        self.cluster, self.tracker, self.path, self.most, self.freed = cluster, tracker, path, most, freed
        self._held, self._asked, self._deleted, self._since = set(), set(), set(), ALWAYS
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(DELETERS)
        if most:
            tracker.changed = self.look

    @property
    def full(self):
        return bool(self.most) and len(self._held) >= self.most

    def take(self, index):
        """Give a pod a slot; return since when one has been free (monotonic), or None when none is."""
        with self._lock:
            if self.full:
                return None
            self._held.add(index)
            return self._since

    def stop(self):
        """Delete nothing more, and wait for the answers to what was sent."""
        with self._lock:
            self._stopping.set()
        self._pool.shutdown(cancel_futures=True)

    def look(self, index):
        """Delete what there is of a pod that is measured to its end; when all of it is gone, its slot is free."""
        with self._lock:
            there = None if self._stopping.is_set() else self.tracker.retire(index)
            if there is None:
                return
            wanted = self._wanted(index, there)
            for one in wanted - self._asked:
                self._pool.submit(self._delete, index, *one)
            self._asked |= wanted
            was_full = self.full
            if there:
                # A Deployment may make another pod before it is deleted itself, and a lost request may arrive after all.
                self._held.add(index)
            elif wanted <= self._deleted:
                self._held.discard(index)
            if not was_full or self.full:
                return
            self._since = time.monotonic()
        self.freed()

    def _wanted(self, index, there):
        """Return what has to be deleted, {(path, UID, "" where it is not known)}: the pods, or the Deployment that owns them."""
        if self.tracker.bare:
            return {(f"{self.path}/{name}", uid) for uid, name in there.items()}
        pod = self.tracker.pods[index]
        return {(f"{self.path}/{self.tracker.name}-{index:05d}", pod.uid)} if there or pod.accepted else set()

    def _delete(self, index, path, uid):
        """Delete one object, however many tries it takes."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", **({"preconditions": {"uid": uid}} if uid else {})}
        pause = SHORTEST_RETRY
        while not self._stopping.is_set():
            try:
                self.cluster.delete(path, body=body)
            # Nobody would see an error in this thread, and the slot would stay taken.
            except Exception as error:  # pylint: disable=broad-exception-caught
                # 409 says that the name has another UID by now, so that this one is gone.
                if getattr(error, "status", 0) != 409:
                    self.tracker.answer(f"cannot delete yet: {shorten(str(error), self.tracker.name)}")
                    self._stopping.wait(max(pause, getattr(error, "retry_after", None) or 0.0))
                    pause = min(pause * 2, LONGEST_RETRY)
                    continue
            with self._lock:
                self._deleted.add((path, uid))
            self.look(index)
            return
