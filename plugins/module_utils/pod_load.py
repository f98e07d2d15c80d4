# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods as a load: what they look like, how they are created on schedule, how they are deleted, and what was measured.

`options` has the keys run_id, namespace, name, image, count, rate, at_once, kind, timeout, nodes, tolerations, resources, and may have
`places`, one node for each pod.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor

from . import job_spec, owned, pod_rows
from .cluster import ClusterError
from .pod_slots import DELETERS, Slots
from .pod_watch import INDEX_LABEL, text_of

NAME_LABEL = "kubeproof.io/name"
# Pods are deleted in batches: the answer to a deletion lists what it deletes, which would fill the memory.
BATCH_LABEL = "kubeproof.io/batch"
BATCH = 100
USER = 65532
# A bare pod ends by itself this much later than the measurement, should this module be killed.
SPARE_SECONDS = 120
THREADS = 64
# Else each connection beyond the library's own number would be made anew for each request.
CONNECTIONS = THREADS + DELETERS + 4
LEAD = 0.1
TICK = 0.1
RETRY_AFTER = 1.0
SHORTEST_RETRY, LONGEST_RETRY = 0.5, 4.0
REMOVE_TIMEOUT = 180.0
REMOVE_REQUEST = 60.0
REMOVE_POLL = 0.3
REMOVE_AGAIN = 5.0
FORCE_AFTER = 60.0
SETTLE = 1.0
# The generator is late when a request left this much after its time: a tenth of the whole schedule, and never less than this.
LATE_SHARE, LATE_SECONDS = 0.1, 0.25
# An API server that has just begun says this with the status of a refusal.
NOT_YET = "not yet ready to handle request"
# No object has this UID, so that nothing is deleted.
NOTHING = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "none"}}


def selector(run_id, *names):
    """Return the label selector of everything made under these names in a run."""
    return f"{owned.RUN_LABEL}={run_id},{NAME_LABEL} in ({','.join(names)})"


def paths(namespace, kind):
    """Return the paths of what is made, owners first; the first one is what is created."""
    pods = [f"/api/v1/namespaces/{namespace}/pods"]
    return [f"/apis/apps/v1/namespaces/{namespace}/{one}" for one in ("deployments", "replicasets")] + pods if kind == "deployment" else pods


def manifest(options, index):
    """Return the object to create: a pod, or a Deployment with one replica."""
    own = {NAME_LABEL: options["name"], INDEX_LABEL: str(index), BATCH_LABEL: str(index // BATCH)}
    labels = {**owned.labels(options["run_id"]), **own}
    metadata = {"name": f"{options['name']}-{index:05d}", "namespace": options["namespace"], "labels": labels}
    spec = pod_spec(options, image_of(options, index), options["places"][index : index + 1] if "places" in options else options["nodes"])
    if options["kind"] == "pod":
        deadline = {"activeDeadlineSeconds": int(options["timeout"]) + SPARE_SECONDS}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**spec, **deadline}}
    template = {"metadata": {"labels": labels}, "spec": spec}
    matching = {"matchLabels": {owned.RUN_LABEL: options["run_id"], **own}}
    deployment = {"replicas": 1, "revisionHistoryLimit": 0, "selector": matching, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": deployment}


def image_of(options, index):
    """Return the image of one pod: of several images each is for as many pods as the one before."""
    images = options.get("images")
    return images[index * len(images) // options["count"]] if images else options["image"]


def pod_spec(options, image, nodes):
    """Return the spec of a pod that the Pod Security level `restricted` lets pass, for one of `nodes` or for any."""
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "resources": options["resources"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "containers": [container],
        # Hollow nodes may say that they have another system.
        "nodeSelector": options.get("node_selector") or job_spec.LINUX,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # With 0 the object would be gone before the kubelet has stopped the container.
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    if options["tolerations"]:
        spec["tolerations"] = options["tolerations"]
    if nodes:
        # By the node's name: the label kubernetes.io/hostname may differ from it, and the scheduler looks at these nodes only.
        terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]} for node in nodes]
        spec["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    return spec


class Creator:
    """Sends create requests in threads at a fixed rate, whether or not the former ones were answered.

    A request whose time comes while there is no slot is sent when there is one, and its pod's time counts from when it was due.
    `late` is how many seconds after its time, and after there was a slot, the latest request was first sent, `fatal` why no request can succeed, or "".
    """

    def __init__(self, cluster, options, tracker):
        self.cluster, self.options, self.tracker = cluster, options, tracker
        self.path = paths(options["namespace"], options["kind"])[0]
        self.late, self.first, self.last, self.sent, self.fatal = 0.0, None, None, 0, ""
        self.doubtful: dict = {}
        self._due, self._again, self._under_way = deque(), [], 0
        self._changed = threading.Condition()
        self.slots = Slots(cluster, tracker, self.path, options["at_once"], self._wake)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        begin = time.monotonic() + LEAD
        self._due.extend((begin + index / self.options["rate"], index) for index in range(self.options["count"]))
        self._thread.start()

    def stop(self):
        """Send nothing more, and wait for the answers to what was sent: what they made has to be deleted."""
        self._stopping.set()
        if self._thread.ident:
            self._thread.join()
        self.slots.stop()
        for due, index in self._due if self.slots.full else ():
            if due < time.monotonic():
                self.tracker.waits(index, due)

    @property
    def rate(self):
        """Return the rate at which requests were first sent, None with fewer than two."""
        span = self.last - self.first if self.sent > 1 else 0.0
        return (self.sent - 1) / span if span > 0 else None

    def _run(self):
        with ThreadPoolExecutor(THREADS) as pool:
            while not self._stopping.is_set() and not self.fatal:
                with self._changed:
                    if not self._due and not self._again and not self._under_way:
                        return
                    now = time.monotonic()
                    turn = self._turn(now)
                    if not turn:
                        self._wait(now)
                        continue
                    self._under_way += 1
                pool.submit(self._create, *turn)
            pool.shutdown(cancel_futures=True)

    def _turn(self, now):
        """Return (index, when it was due, since when it had a slot) of the request to send now, or None. One that is tried again has a slot."""
        if self._again and self._again[0][0] <= now:
            due, index = heapq.heappop(self._again)
            return index, due, due
        if not self._due or self._due[0][0] > now:
            return None
        due, index = self._due[0]
        free = self.slots.take(index)
        if free is None:
            return None
        self._due.popleft()
        return index, due, free

    def _wait(self, now):
        """Wait for the next request's time, for a slot or for an answer."""
        ahead = [queue[0][0] - now for queue in (self._due, self._again) if queue]
        self._changed.wait(min([TICK, *(seconds for seconds in ahead if seconds > 0)]))

    def _wake(self):
        with self._changed:
            self._changed.notify()

    def _create(self, index, due, free):
        """Send one request, and put the index back when the answer is to try again."""
        again = None
        try:
            body = manifest(self.options, index)
            now = time.monotonic()
            if self.tracker.sending(index, now, due if free > due else None):
                self._sent(now, max(due, free))
            again = self._send(index, body)
        # Nobody would see an error in this thread.
        except Exception as error:  # pylint: disable=broad-exception-caught
            self.tracker.refused(index, f"cannot create: {error!r}")
        finally:
            with self._changed:
                self._under_way -= 1
                if again is not None:
                    heapq.heappush(self._again, (time.monotonic() + again, index))
                self._changed.notify()

    def _sent(self, now, due):
        with self._changed:
            self.late = max(self.late, now - due)
            self.first = now if self.first is None else min(self.first, now)
            self.last = now if self.last is None else max(self.last, now)
            self.sent += 1

    def _send(self, index, body):
        """Send one request; return the seconds after which to try again, or None when the answer is final."""
        try:
            made = self.cluster.request("POST", self.path, body=body)
        except ClusterError as error:
            return self._failed(index, error)
        self.tracker.accepted(index, text_of(made, "metadata", "uid"))
        return None

    def _failed(self, index, error):
        if error.status == 409 and error.reason == "AlreadyExists" and index in self.doubtful:
            # The request whose answer was lost had arrived.
            self.tracker.accepted(index)
            return None
        if error.status == 429:
            self.tracker.answer("429 Too Many Requests")
            return RETRY_AFTER if error.retry_after is None else max(error.retry_after, SHORTEST_RETRY)
        if error.status in (0, 502, 503, 504) or NOT_YET in str(error):
            self.doubtful[index] = self.doubtful.get(index, 0) + 1
            self.tracker.note(index, str(error))
            return min(SHORTEST_RETRY * 2 ** (self.doubtful[index] - 1), LONGEST_RETRY)
        hopeless = error.status in (401, 404) or (error.status == 403 and "cannot create resource" in str(error))
        if hopeless and not any(pod.accepted for pod in self.tracker.pods):
            self.fatal = self.fatal or str(error)
        self.tracker.refused(index, str(error))
        return None


def prove(cluster, options, names):
    """Raise ClusterError unless what is made under `names` may be listed and deleted: what cannot be deleted must not be made."""
    query = {"labelSelector": f"{selector(options['run_id'], *names)},{BATCH_LABEL}=0"}
    for path in paths(options["namespace"], options["kind"]):
        cluster.get(path, limit=1, **query)
        cluster.request("DELETE", path, query=query, timeout=REMOVE_REQUEST)
    if options["at_once"]:
        try:
            cluster.delete(f"{paths(options['namespace'], options['kind'])[0]}/{options['name']}-00000", body=NOTHING)
        except ClusterError as error:
            if error.status != 409:
                raise


def remove(cluster, options, names, careful=False):
    """Delete everything made under `names` and wait until it is gone; return (how many are left, why, whether force was needed).

    With `careful` what may still be on its way is waited for: objects of a controller, or of a request without an answer.
    """
    wanted, began, asked, empty, forced = selector(options["run_id"], *names), time.monotonic(), {}, 0, False
    while True:
        busy, reason = False, ""
        for path in paths(options["namespace"], options["kind"]):
            passed = time.monotonic() - began
            try:
                found = bool(cluster.get(path, labelSelector=wanted, limit=1).get("items"))
                busy = busy or found
                if found and time.monotonic() - asked.get(path, float("-inf")) > REMOVE_AGAIN:
                    forced = forced or passed > FORCE_AFTER
                    _delete(cluster, path, options, wanted, passed > FORCE_AFTER)
                    asked[path] = time.monotonic()
            except ClusterError as error:
                busy, reason = True, str(error)
        empty = 0 if busy else empty + 1
        if empty > int(careful):
            return 0, "", forced
        if time.monotonic() - began > REMOVE_TIMEOUT:
            return _left(cluster, options, wanted), reason, forced
        time.sleep(REMOVE_POLL if busy else SETTLE)


def _delete(cluster, path, options, wanted, force):
    """Delete a collection in batches; ClusterError when one fails."""
    body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", **({"gracePeriodSeconds": 0} if force else {})}
    for batch in range((options["count"] - 1) // BATCH + 1):
        query = {"labelSelector": f"{wanted},{BATCH_LABEL}={batch}"}
        cluster.request("DELETE", path, query=query, body=body, timeout=REMOVE_REQUEST)


def _left(cluster, options, wanted):
    """Return how many objects are left; all that were asked for when nobody can say."""
    try:
        return sum(sum(1 for dummy in cluster.items(path, BATCH, labelSelector=wanted)) for path in paths(options["namespace"], options["kind"]))
    except ClusterError:
        return options["count"]


def facts(tracker, ended, preloaded):
    """Return what the rows of a measurement that ended say, and why pods did not start or were late."""
    return {**pod_rows.of_rows(pod_rows.rows(tracker, ended), preloaded), "reasons": reasons(tracker, [(pod, pod.seen, pod.phases()) for pod in tracker.pods])}


def reasons(tracker, pods):
    """Return the ten most frequent [{reason, count}]: of how many pods it was said, and how often 429 was answered."""
    found = {text: len(indices) for text, indices in tracker.reasons.items()}
    for pod, seen, phases in pods:
        if "started" not in phases and not pod.why and pod.sent is not None:
            text = f"not started in time, last seen {list(seen.phases)[-1]}" if seen else "no pod was seen in time"
            found[text] = found.get(text, 0) + 1
    unsent = sum(pod.sent is None for pod, dummy, dummy in pods)
    found.update({"not created in time": unsent} if 0 < unsent < len(pods) else {})
    slotless = sum(pod.due is not None for pod, dummy, dummy in pods)
    found.update({"waited for a slot": slotless} if slotless else {})
    for text, count in tracker.answers.items():
        found[text] = found.get(text, 0) + count
    return [{"reason": text, "count": count} for text, count in sorted(found.items(), key=lambda one: (-one[1], one[0]))[:10]]
