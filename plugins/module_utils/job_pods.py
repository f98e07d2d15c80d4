# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pods of one label selector: create what they need, follow them, say why they do not start, remove them and prove that they are gone."""

from __future__ import annotations

import contextlib
import time

from . import job_state, owned
from .cluster import ClusterError
from .job_spec import KEEPER, TOOL
from .job_state import ENDED, LOST, STARTING, UNSCHEDULED
from .tuning_units import quantity

# Seconds: one watch, after which time limits are looked at; the pause after a failed or an empty one; for the reason of a loss; for the removal.
TICK, PAUSE, SETTLE, REMOVAL = 5, 0.25, 1.0, 120.0
UNASKED = (
    "which the run did not ask for and which would be measured in place of the cluster. A LimitRange or an admission policy gives it to new pods: "
    f"let it leave out namespaces with the label {owned.MANAGED_LABEL}={owned.MANAGER}, or ask for a limit of CPU that is not reached in the resources "
    "of the layer, such as dns_resources"
)
# How the event of a failed pull begins, which has the cause.
PULL_FAILED = "Failed to pull image"


class JobError(Exception):
    """A job or a group of pods failed; the text says which pod, where and why. `state` is that of a pod whose tool failed."""

    def __init__(self, text, state=None):
        super().__init__(text)
        self.state = state


class Pods:
    """Pods that this module makes. `states` {pod name: State}, `created` the paths of what is to be deleted, besides the pods."""

    # The module, whose notes name the rights, and the containers in which what is measured runs.
    module, measuring = "", (TOOL, KEEPER)

    def __init__(self, server, options, selector):
        self.server, self.options, self.selector = server, options, selector
        self.states, self.created, self.scheduled = {}, [], {}
        self.begun = None
        self.trouble = ""

    def path(self, kind, group="/api/v1"):
        """Return the path of a kind of object in the run's namespace."""
        return f"{group}/namespaces/{self.options['namespace']}/{kind}"

    def rights(self, missing):
        """Return what to add to a refusal when a right is missing."""
        return f". Give it the rights that the notes of {self.module} name" if missing else ""

    def post(self, kinds, body, group="/api/v1"):
        """Create an object; it counts as created unless the API server says that it is not."""
        name = body["metadata"]["name"]
        self.created.append(f"{self.path(kinds, group)}/{name}")
        try:
            return self.server.request("POST", self.path(kinds, group), body)
        except ClusterError as error:
            if 400 <= error.status < 500 and error.status != 429:
                self.created.pop()
            hint = self.rights(error.status == 403 and " cannot create " in str(error))
            raise JobError(f"Cannot create the {body['kind']} {name}: {error}{hint}") from error

    def follow(self, done):
        """Keep `states` up to date until `done()`, which is asked after every change and at least every few seconds."""
        while True:
            began = time.monotonic()
            try:
                version = self.refresh()
                if done():
                    return
                query = {"labelSelector": self.selector, "resourceVersion": version, "timeoutSeconds": TICK}
                for event in self.server.watch(self.path("pods"), 3 * TICK, **query):
                    if event["type"] in ("ADDED", "MODIFIED", "DELETED"):
                        self.take(event["object"], event["type"] == "DELETED")
                        if done():
                            return
            except ClusterError as error:
                if error.status in (401, 403, 404):
                    raise JobError(f"The pods of {self.options['name']} cannot be followed: {error}{self.rights(error.status == 403)}") from error
                self.trouble = str(error)
                if done():
                    return
            if time.monotonic() - began < PAUSE:
                time.sleep(PAUSE)

    def refresh(self):
        """Read all pods; those that are gone are lost. Return the resource version."""
        page = self.server.get(self.path("pods"), labelSelector=self.selector)
        self.trouble, seen = "", set()
        for pod in page.get("items") or ():
            seen.add(self.take(pod, False))
        for name in set(self.states) - seen:
            self.lose(name)
        return page.get("metadata", {}).get("resourceVersion")

    def take(self, pod, deleted):
        """Take a pod over into `states` and return its name."""
        state = job_state.read(pod)
        self.states[state.name] = job_state.with_cause(state, self.states.get(state.name))
        if deleted:
            self.lose(state.name)
        if state.node:
            self.scheduled.setdefault(state.name, time.monotonic())
        return state.name

    def lose(self, name):
        """Count a pod that is gone as lost, with the reason that it had."""
        state = self.states[name]
        if state.stage != LOST:
            self.states[name] = state._replace(stage=LOST, reason="it was deleted, and not by this run", gone=True)

    def at(self, *stages):
        """Return the states in these stages, by index and name."""
        return sorted((one for one in self.states.values() if one.stage in stages), key=lambda one: (one.index, one.name))

    def refuse_loss(self, count):
        """JobError when one of `count` pods is lost."""
        lost = self.at(LOST)
        if lost:
            # That a container has ended is there before the reason is.
            time.sleep(SETTLE)
            with contextlib.suppress(ClusterError):
                self.refresh()
            lost = self.at(LOST) or lost
            raise JobError(f"{len(lost)} of {count} pods were lost: {job_state.lost_in(lost)}")

    def refuse_limit(self):
        """JobError when a pod got a limit of CPU that was not asked for: it would be measured in place of the cluster."""
        asked = quantity((self.options["resources"].get("limits") or {}).get("cpu"))
        for state in self.states.values():
            for container, cpu in state.limits:
                if container in self.measuring and (asked is None or (quantity(cpu) or 0) < asked):
                    raise JobError(f"{state.place} got a CPU limit of {cpu}, {UNASKED}")

    def refuse_failure(self, tool):
        """JobError when the tool of a pod has not ended well."""
        for state in self.at(ENDED):
            problem = job_state.failure(state, self.options.get("success_codes", (0,)))
            if problem:
                raise JobError(f"{tool} {problem} in {state.place}", state)

    def refuse_delay(self, count, late):
        """JobError when a pod will not start, or did not in time; `late` is whether the time to be scheduled is over."""
        options, now = self.options, time.monotonic()
        for state in self.at(STARTING):
            over = now - self.scheduled[state.name] > options["pull_timeout"]
            if state.hopeless or over:
                why = self.why_not_started(state) or "it says nothing"
                when = f"within {options['pull_timeout']:g} s after it was scheduled" if over else "and will not"
                raise JobError(f"{state.place} did not start {when}: {why}{self.silence()}")
        waiting = self.at(UNSCHEDULED)
        if late and waiting:
            why = self.why_unscheduled(waiting[0]) or "the scheduler says nothing"
            raise JobError(f"{len(waiting)} of {count} pods were not scheduled within {options['ready_timeout']:g} s: {why}{self.silence()}")

    def why_not_started(self, state):
        """Return why a pod that has a node does not start, or ""."""
        if not job_state.NO_CAUSE.fullmatch(state.reason):
            return state.reason or self.event("Pod", state.name, "type=Warning")
        return ": ".join(filter(None, (state.reason, self.event("Pod", state.name, "type=Warning", begins=PULL_FAILED))))

    def why_unscheduled(self, state):
        """Return why a pod has no node, or ""."""
        return state.reason

    def event(self, kind, name, *more, begins=""):
        """Return what the last event of an object says, among those that `more` selects and whose message begins so; or ""."""
        selector = ",".join((f"involvedObject.kind={kind}", f"involvedObject.name={name}", *more))
        try:
            found = self.server.get(self.path("events"), fieldSelector=selector).get("items") or ()
        except ClusterError as error:
            return f"its events cannot be read ({error})" if error.status == 403 else ""
        found = [one for one in found if (one.get("message") or "").startswith(begins)]
        last = max(found, key=lambda one: one.get("lastTimestamp") or one.get("eventTime") or "", default={})
        return job_state.line(last.get("message"))

    def silence(self):
        """Return what to add to a reason while the API server does not answer."""
        return f" (the API server does not answer: {self.trouble})" if self.trouble else ""

    def zones(self):
        """Return {node: zone} of the nodes of all pods, "" where there is none or it may not be read."""
        zones = {state.node: state.zone for state in self.states.values() if state.node}
        return {node: zone or self.zone_of(node) for node, zone in zones.items()}

    def zone_of(self, node):
        """Return the zone of a node, "" when it has none or may not be read."""
        try:
            return (self.server.get(f"/api/v1/nodes/{node}").get("metadata", {}).get("labels") or {}).get(job_state.ZONE) or ""
        except ClusterError:
            return ""

    def remove(self):
        """Delete all that was created, wait until it is gone, and return what is left, by name."""
        limit, refused = time.monotonic() + REMOVAL, 0
        while self.created:
            left, denied = self.remaining()
            refused += denied
            # A second round sees whether what could be deleted is gone.
            if not left or refused > 1 or time.monotonic() > limit:
                return left
            time.sleep(PAUSE)
        return []

    def leave(self):
        """Ask for the deletion of all that was created; return what this user may not delete, by name."""
        return self.remove() if self.remaining()[1] else []

    def remaining(self):
        """Delete once more; return (what may still be there, whether this user may not delete or look)."""
        left, denied = [], False
        # The pods go together, below.
        for path in (one for one in self.created if not one.startswith(f"{self.path('pods')}/")):
            try:
                gone = not self.server.delete(path, query={"propagationPolicy": "Background"})
            except ClusterError as error:
                gone, denied = False, denied or error.status in (401, 403)
            if not gone:
                left.append("/".join(path.split("/")[-2:]))
        query = {"labelSelector": self.selector}
        try:
            # Not left to the garbage collector alone, which waits for every aggregated API.
            self.server.delete(self.path("pods"), query=query)
            pods = [job_state.read(pod) for pod in self.server.items(self.path("pods"), **query)]
            left += [f"pods/{one.name}" + (f" on {one.node}" if one.node else "") for one in pods]
        except ClusterError as error:
            left.append("its pods")
            denied = denied or error.status in (401, 403)
        return left, denied
