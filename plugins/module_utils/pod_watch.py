# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How pods start, as a watch shows it: the phases of each by the observer's own clock, and the reasons why some do not.

A time is when something was seen, so it may be late (after a lost connection) but is never early.
"""

from __future__ import annotations

import re
import threading
import time

from .cluster import ClusterError

PHASES = ("created", "scheduled", "sandbox", "image", "started", "ready")
INDEX_LABEL = "kubeproof.io/index"
PRESENT, PULLED, UNKNOWN = "present", "pulled", "unknown"
PULLED_EVENTS = (("already present on machine", PRESENT), ("Successfully pulled", PULLED))
# What a container waits for while all is well.
PATIENCE = ("ContainerCreating", "PodInitializing")
PULL_FAILED = ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "SignatureValidationFailed")
# Events that say nothing new: they are not asked for.
DULL_OF_PODS = ("Scheduled", "FailedScheduling", "Pulling", "Created", "Started", "Killing", "Failed", "BackOff")
DULL = (*DULL_OF_PODS, "SuccessfulCreate", "SuccessfulDelete", "ScalingReplicaSet")
EVENT_FIELDS = ",".join(f"reason!={reason}" for reason in DULL)
# Seconds without a line after which a watch is opened again; that finds a connection which dropped in silence.
QUIET = 20.0
SERVER_TIMEOUT = 1800
PAGE = 200
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
MISSES = 3
LONGEST_REASON = 200
MOST_REASONS = 200
REQUEST = re.compile(r"^(?:GET|POST|DELETE) /\S*: ")
CHANGING = (
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b|\b[0-9a-f]{32,}\b"), "…"),
    (re.compile(r"used: \S+?(?=, limited:)"), "used: …"),
    (re.compile(r"(?: no new claims to deallocate,)? preemption: .*"), ""),
    (re.compile(r"\(combined from similar events\): "), ""),
    (re.compile(r"\b[0-9]+(?:\.[0-9]+)?m?s\b"), "… s"),
)


def dig(value, *keys):
    """Return what stands under `keys` in nested objects, or {} where there is nothing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return {} if value is None else value


def entries(value, *keys):
    """Return the objects of the array under `keys`, or []."""
    found = dig(value, *keys)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def text_of(value, *keys):
    """Return the string under `keys`, or ""."""
    found = dig(value, *keys)
    return found if isinstance(found, str) else ""


def reached(item):
    """Return the phases that a pod has reached as its object shows it; `image` is never among them, only an event shows it."""
    conditions = {text_of(one, "type"): one.get("status") for one in entries(item, "status", "conditions")}
    containers, statuses = entries(item, "spec", "containers"), entries(item, "status", "containerStatuses")
    found = ["created"]
    if text_of(item, "spec", "nodeName"):
        found.append("scheduled")
    if conditions.get("PodReadyToStartContainers") == "True":
        found.append("sandbox")
    if containers and len(statuses) >= len(containers) and all(map(has_started, statuses)):
        found.append("started")
        if conditions.get("Ready") == "True":
            found.append("ready")
    return found


def has_started(status):
    """Tell whether a container runs, or ran to a good end; one that crashed before it was seen to run did not start."""
    state = dig(status, "state")
    return isinstance(state, dict) and ("running" in state or dig(state, "terminated", "exitCode") == 0)


def troubles(item):
    """Return why a pod does not go on, as [text]: not schedulable, a container that waits for a bad reason, or a failed pod."""
    found = []
    for one in entries(item, "status", "conditions"):
        if one.get("type") == "PodScheduled" and one.get("reason") == "Unschedulable":
            found.append(f"FailedScheduling: {text_of(one, 'message')}")
    for one in entries(item, "status", "containerStatuses"):
        reason = text_of(one, "state", "waiting", "reason")
        if reason and reason not in PATIENCE:
            found.append(f"{reason}: {text_of(one, 'state', 'waiting', 'message')}")
    if dig(item, "status", "phase") == "Failed":
        found.append(f"{text_of(item, 'status', 'reason') or 'Failed'}: {text_of(item, 'status', 'message')}")
    return found


def tries_to_pull(item):
    """Tell whether a container of a pod waits because its image could not be pulled."""
    return any(text_of(one, "state", "waiting", "reason") in PULL_FAILED for one in entries(item, "status", "containerStatuses"))


def shorten(text, name):
    """Return a reason on one line, without what differs from pod to pod, so that equal reasons are equal texts."""
    text = re.sub(rf"\b{re.escape(name)}-[0-9]{{5}}(?:-[a-z0-9]+)*", f"{name}-*", REQUEST.sub("", " ".join(text.split())))
    for pattern, instead in CHANGING:
        text = pattern.sub(instead, text)
    return text.rstrip(": ")[:LONGEST_REASON]


class Attempt:
    """One pod by its UID. A Deployment makes another one when the first is lost."""

    __slots__ = ("name", "node", "phases", "sort", "gone")

    def __init__(self):
        self.name, self.node, self.phases, self.sort, self.gone = "", "", {}, UNKNOWN, False

    def reach(self, phase, now):
        self.phases.setdefault(phase, now)

    @property
    def order(self):
        """Sort the attempt that started first to the front, then the one that came furthest."""
        never = float("inf")
        return self.phases.get("started", never), self.phases.get("ready", never), -len(self.phases)


class Wanted:
    """One pod that was asked for. `sent` is when its create request was first sent, `due` when it should have been, had there been a slot, else None.

    `uid` is what its create request made, "" where no answer said it, `settled` that the answer to it was final, `over` that nothing more is to come,
    `retired` that it is measured to its end, so that we may delete it.
    """

    __slots__ = ("sent", "due", "uid", "accepted", "settled", "over", "retired", "why", "attempts")

    def __init__(self):
        self.sent, self.due, self.uid, self.why, self.attempts = None, None, "", "", {}
        self.accepted = self.settled = self.over = self.retired = False

    @property
    def begin(self):
        """Return from when on its time counts: waiting for a slot is a part of it. None when it was not its turn."""
        return self.sent if self.due is None else self.due

    @property
    def seen(self):
        """Return the Attempt that counts, or None when no pod was seen."""
        return min((one for one in self.attempts.values() if "created" in one.phases), key=lambda one: one.order, default=None)

    def phases(self):
        """Return {phase: seconds after the begin}."""
        seen = self.seen
        return {phase: seen.phases[phase] - self.begin for phase in PHASES if phase in seen.phases} if seen and self.sent is not None else {}


class Tracker:
    """All pods of one measurement. Its methods may be called from several threads; after close() nothing changes any more.

    `changed(index)` is called after something has become known of a pod.
    """

    def __init__(self, name, count, bare=True):
        self.name, self.bare = name, bare
        self.pods = [Wanted() for dummy in range(count)]
        self.open = set(range(count))
        self.reasons, self.answers = {}, {}
        self.closed, self.changed = False, lambda index: None
        self._lock = threading.Lock()
        self._named = re.compile(rf"{re.escape(name)}-([0-9]{{5}})(?:-[a-z0-9-]+)?")

    def close(self):
        with self._lock:
            self.closed = True

    def sending(self, index, now, due=None):
        """Keep when a create request is sent for the first time, and when it was due if it waited for a slot; return whether this is it."""
        with self._lock:
            pod = self.pods[index]
            first = pod.sent is None
            if first:
                pod.sent, pod.due = now, due
            return first

    def waits(self, index, due):
        """A create request that was due was not sent, since there was no slot."""
        with self._lock:
            self.pods[index].due = due

    def accepted(self, index, uid=""):
        with self._lock:
            pod = self.pods[index]
            pod.accepted, pod.settled, pod.uid = True, True, uid
        self.changed(index)

    def refused(self, index, text):
        """A create request was refused for good."""
        with self._lock:
            self._note(index, text)
            self.pods[index].settled = True
            self._over(index)
        self.changed(index)

    def retire(self, index):
        """Return {UID: name} of the pods that exist of one that is measured to its end, None before. What becomes of those is our own doing."""
        with self._lock:
            pod = self.pods[index]
            if index in self.open or not pod.settled:
                return None
            pod.retired = True
            return {uid: one.name for uid, one in pod.attempts.items() if "created" in one.phases and not one.gone}

    def note(self, index, text):
        """Keep a reason for a pod."""
        with self._lock:
            self._note(index, text)

    def answer(self, text):
        """Count an answer that is no end, such as 429."""
        with self._lock:
            self.answers[text] = self.answers.get(text, 0) + 1

    def see_pod(self, kind, item, now):
        """Take an event of the watch for pods: ADDED, MODIFIED or DELETED, and the pod."""
        index, uid = self._index(text_of(item, "metadata", "labels", INDEX_LABEL)), text_of(item, "metadata", "uid")
        with self._lock:
            if index is None or not uid or self.closed:
                return
            pod = self.pods[index]
            attempt = pod.attempts.setdefault(uid, Attempt())
            attempt.name = text_of(item, "metadata", "name") or attempt.name
            attempt.node = text_of(item, "spec", "nodeName") or attempt.node
            for phase in reached(item):
                attempt.reach(phase, now)
            if attempt.sort == UNKNOWN and tries_to_pull(item):
                attempt.sort = PULLED
            self._judge(index, kind, item, attempt)
        self.changed(index)

    def unsorted(self):
        """Tell whether a pod has started of which it is not known whether its image was present."""
        with self._lock:
            return any("started" in one.phases and one.sort == UNKNOWN for pod in self.pods for one in pod.attempts.values())

    def _judge(self, index, kind, item, attempt):
        """See whether a pod is done, and if not, why."""
        for text in () if self.pods[index].retired else troubles(item):
            self._note(index, text)
        if "ready" in attempt.phases:
            self.open.discard(index)
        if kind == "DELETED":
            self._lose(index, attempt)
        elif self.bare and dig(item, "status", "phase") in ("Failed", "Succeeded"):
            self._over(index)

    def see_event(self, kind, item, now):
        """Take an event of the watch for events: what is about one of the pods, or about the ReplicaSet of one."""
        found = self._named.fullmatch(text_of(item, "involvedObject", "name"))
        index = self._index(found.group(1)) if found else None
        with self._lock:
            if index is None or kind == "DELETED" or self.closed:
                return
            about, uid = text_of(item, "involvedObject", "kind"), text_of(item, "involvedObject", "uid")
            reason, text = text_of(item, "reason"), text_of(item, "message")
            if reason == "Pulled" and about == "Pod" and uid:
                attempt = self.pods[index].attempts.setdefault(uid, Attempt())
                attempt.reach("image", now)
                attempt.sort = next((sort for part, sort in PULLED_EVENTS if part in text), attempt.sort)
            elif item.get("type") == "Warning" and not self.pods[index].retired:
                self._note(index, f"{reason}: {text}")

    def see_all(self, uids, dummy):
        """Take the UIDs of a whole list: pods that are not in it are gone."""
        with self._lock:
            pods = [] if self.closed else self.pods
            lost = [(index, one) for index, pod in enumerate(pods) for uid, one in pod.attempts.items() if uid not in uids and "created" in one.phases]
            for index, attempt in lost:
                self._lose(index, attempt)
        for index, dummy in lost:
            self.changed(index)

    def _lose(self, index, attempt):
        """A pod was deleted, which nobody should have done while it is measured."""
        if not attempt.gone and not self.pods[index].retired and not {"started", "ready"} <= set(attempt.phases):
            self._note(index, "deleted by somebody else")
        attempt.gone = True
        if self.bare:
            self._over(index)

    def _index(self, text):
        return int(text) if re.fullmatch(r"[0-9]{1,6}", text) and int(text) < len(self.pods) else None

    def _over(self, index):
        self.pods[index].over = True
        self.open.discard(index)

    def _note(self, index, text):
        """Keep a reason; a pull that waits before it is tried again has said its reason before."""
        text = shorten(text, self.name)
        pod = self.pods[index]
        if text.startswith("ImagePullBackOff") and pod.why:
            return
        pod.why = text
        if text in self.reasons or len(self.reasons) < MOST_REASONS:
            self.reasons.setdefault(text, set()).add(index)


class Follower:
    """Follows one resource in a thread. `reconnects` counts how often the watch ended and had to be opened again, however many tries it took.

    `see(type, object, now)` takes each event, `see_all(uids, now)` the UIDs of a whole list.
    """

    def __init__(self, cluster, path, query, see, see_all=None):
        """Find out from where to follow; ClusterError when the resource cannot be listed."""
        self.cluster, self.path, self.query, self.see, self.see_all = cluster, path, query, see, see_all
        self.reconnects, self._misses, self._heard, self._lost = 0, 0, 0.0, False
        self.stopping = threading.Event()
        # From here on, whatever was there before is of no interest.
        self.version = self._page("", 1)[2]
        if not self.version:
            raise ClusterError(f"GET {path}: the list has no resourceVersion")
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def start(self):
        self._thread.start()

    def stop(self, seconds=0.0):
        """Let the thread end; a thread that waits for a line ends when one comes or the module does."""
        self.stopping.set()
        if seconds:
            self._thread.join(seconds)

    def _follow(self):
        pause = SHORTEST_PAUSE
        while not self.stopping.is_set():
            before = self.version
            try:
                self._watch()
            # Whatever an API server or a proxy sends, the watch goes on: what it missed is found by the next list.
            except Exception as error:  # pylint: disable=broad-exception-caught
                self._misses += 1
                if not isinstance(error, ClusterError) or error.status in (400, 410) or self._misses >= MISSES:
                    self.version, self._misses = "", 0
            if self.stopping.is_set():
                return
            # After a long silence it is this side that ends it, to be sure.
            if not self._lost and time.monotonic() - self._heard < QUIET:
                self.reconnects, self._lost = self.reconnects + 1, True
            pause = SHORTEST_PAUSE if self.version != before else min(pause * 2, LONGEST_PAUSE)
            self.stopping.wait(pause)

    def _watch(self):
        """Watch until the server ends it, from a list when the last version is too old."""
        if not self.version:
            self._list()
        self._heard = time.monotonic()
        for event in self.cluster.watch(self.path, QUIET, resourceVersion=self.version, timeoutSeconds=SERVER_TIMEOUT, **self.query):
            now = self._heard = time.monotonic()
            if self.stopping.is_set():
                return
            if event["type"] != "BOOKMARK":
                self.see(event["type"], event["object"], now)
            self.version = text_of(event, "object", "metadata", "resourceVersion") or self.version
            self._misses, self._lost = 0, False

    def _list(self):
        seen, version, token = set(), "", ""
        while True:
            items, token, at = self._page(token, PAGE)
            now = time.monotonic()
            version = version or at
            for item in items:
                self.see("ADDED", item, now)
                seen.add(text_of(item, "metadata", "uid"))
            if not token:
                break
        if self.see_all:
            self.see_all(seen, time.monotonic())
        self.version = version

    def _page(self, token, limit):
        """Return (items, continue token, resource version) of one chunk of the list."""
        page = self.cluster.request("GET", self.path, query={**self.query, "limit": limit, "continue": token})
        return entries(page, "items"), text_of(page, "metadata", "continue"), text_of(page, "metadata", "resourceVersion")
