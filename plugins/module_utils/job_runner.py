# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a load job in a cluster: create it, follow its pods, start its tools together, bring their results, remove it and prove that it is gone."""

from __future__ import annotations

import contextlib
import os
import re
import time

from . import job_results, job_spec, job_state
from .cluster import ClusterError
from .job_exec import Command, ExecError
from .job_state import ENDED, LOST, RUNNING, STARTING, UNSCHEDULED

# Seconds: one watch, after which time limits are looked at; the pause after a failed or an empty one; between two looks at events;
# for a start; for the removal.
TICK, PAUSE, EVENTS, START, REMOVAL = 5, 0.25, 2.0, 30.0, 120.0
OPENING = 3
STDERR_TAIL = 2000
# A refusal that stays, whereas a quota may be freed and a webhook may come back.
REFUSED = re.compile(r"violates PodSecurity|denied the request")
RIGHTS = "Give it the rights that the notes of job_run name."


class JobError(Exception):
    """A load job failed; the text says which pod, where and why. `state` is that of a pod whose tool failed."""

    def __init__(self, text, state=None):
        super().__init__(text)
        self.state = state


class Runner:
    """One load job. `states` {pod name: State}, `collected` {pod name: directory}."""

    def __init__(self, server, options, directory):
        self.server, self.options, self.directory = server, options, directory
        self.name = job_spec.unique(options["name"])
        self.tool = os.path.basename(options["argv"][0])
        self.states, self.collected, self.created, self.scheduled = {}, {}, [], {}
        self.begun = self.started = self.ended = self.looked = None
        self.trouble = ""

    def path(self, kind, group="/api/v1"):
        """Return the path of a kind of object in the run's namespace."""
        return f"{group}/namespaces/{self.options['namespace']}/{kind}"

    def measure(self):
        """Run the tools to their end and bring what they wrote; JobError when any of it fails, after what can be had was brought."""
        try:
            self.create()
            self.follow(self.all_started)
            self.start()
            self.follow(self.all_ended)
            self.ended = time.monotonic()
            self.collect()
        except JobError as error:
            self.salvage()
            said = self.said(error.state)
            raise JobError(f"{error}{': ' + said if said else '.'}") from error

    def create(self):
        """Create the Job, then what it owns: without it a pod does not start."""
        self.begun = time.monotonic()
        owner = self.post("jobs", job_spec.job(self.options, self.name), "/apis/batch/v1")
        for kind, kinds, data in (("Secret", "secrets", self.options["secrets"]), ("ConfigMap", "configmaps", self.options["files"])):
            if data:
                self.post(kinds, job_spec.owned(kind, self.options, self.name, owner, data))

    def post(self, kinds, body, group="/api/v1"):
        """Create an object; it counts as created unless the API server says that it is not."""
        self.created.append(f"{self.path(kinds, group)}/{self.name}")
        try:
            return self.server.request("POST", self.path(kinds, group), body)
        except ClusterError as error:
            if 400 <= error.status < 500 and error.status != 429:
                self.created.pop()
            hint = f". {RIGHTS[:-1]}" if error.status == 403 and " cannot create " in str(error) else ""
            raise JobError(f"Cannot create the {body['kind']} {self.name}: {error}{hint}") from error

    def follow(self, done):
        """Keep `states` up to date until `done()`, which is asked after every change and at least every few seconds."""
        selector = f"batch.kubernetes.io/job-name={self.name}"
        while True:
            began = time.monotonic()
            try:
                version = self.refresh(selector)
                if done():
                    return
                query = {"labelSelector": selector, "resourceVersion": version, "timeoutSeconds": TICK}
                for event in self.server.watch(self.path("pods"), 3 * TICK, **query):
                    if event["type"] in ("ADDED", "MODIFIED", "DELETED"):
                        self.take(event["object"], event["type"] == "DELETED")
                        if done():
                            return
            except ClusterError as error:
                if error.status in (401, 403, 404):
                    raise JobError(f"The pods of {self.name} cannot be followed: {error}" + (f". {RIGHTS[:-1]}" if error.status == 403 else "")) from error
                self.trouble = str(error)
                if done():
                    return
            if time.monotonic() - began < PAUSE:
                time.sleep(PAUSE)

    def refresh(self, selector):
        """Read all pods; those that are gone are lost. Return the resource version."""
        page = self.server.get(self.path("pods"), labelSelector=selector)
        self.trouble, seen = "", set()
        for pod in page.get("items") or ():
            seen.add(self.take(pod, False))
        for name in set(self.states) - seen:
            self.lose(name)
        return page.get("metadata", {}).get("resourceVersion")

    def take(self, pod, deleted):
        """Take a pod over into `states` and return its name."""
        state = job_state.read(pod)
        self.states[state.name] = state
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
        """Return the states in these stages, by index."""
        return sorted((one for one in self.states.values() if one.stage in stages), key=lambda one: one.index)

    def refuse_loss(self):
        """JobError when a pod is lost."""
        if self.at(LOST):
            raise JobError(f"{len(self.at(LOST))} of {self.options['count']} pods were lost: {job_state.lost_in(self.states.values())}")

    def all_started(self):
        """Return whether all pods run; JobError when that will not or did not happen in time."""
        self.refuse_loss()
        options, now = self.options, time.monotonic()
        for state in self.at(STARTING):
            late = now - self.scheduled[state.name] > options["pull_timeout"]
            if state.hopeless or late:
                why = state.reason or self.warning("Pod", state.name) or "it says nothing"
                when = f"within {options['pull_timeout']:g} s after it was scheduled" if late else "and will not"
                raise JobError(f"{state.place} did not start {when}: {why}{self.silence()}")
        late = now - self.begun > options["ready_timeout"]
        waiting = self.at(UNSCHEDULED)
        if late and waiting:
            why = waiting[0].reason or "the scheduler says nothing"
            raise JobError(f"{len(waiting)} of {options['count']} pods were not scheduled within {options['ready_timeout']:g} s: {why}{self.silence()}")
        if len(self.states) < options["count"]:
            self.look_for_refusal(now, late)
        return len(self.states) == options["count"] and [one.index for one in self.at(RUNNING, ENDED)] == list(range(options["count"]))

    def look_for_refusal(self, now, late):
        """JobError when pods are refused for good, or are not there in time. A Job says so in its events alone."""
        if not late and self.looked and now - self.looked < EVENTS:
            return
        self.looked = now
        why = self.warning("Job", self.name)
        if late or REFUSED.search(why):
            missing = self.options["count"] - len(self.states)
            raise JobError(f"{missing} of {self.options['count']} pods were not created: {why or 'the Job says nothing'}{self.silence()}")

    def warning(self, kind, name):
        """Return the last warning among the events of an object, or ""."""
        query = {"fieldSelector": f"involvedObject.kind={kind},involvedObject.name={name},type=Warning"}
        try:
            found = self.server.get(self.path("events"), **query).get("items") or ()
        except ClusterError as error:
            return f"its events cannot be read ({error})" if error.status == 403 else ""
        last = max(found, key=lambda one: one.get("lastTimestamp") or one.get("eventTime") or "", default={})
        return job_state.line(last.get("message"))

    def silence(self):
        """Return what to add to a reason while the API server does not answer."""
        return f" (the API server does not answer: {self.trouble})" if self.trouble else ""

    def start(self):
        """Start all tools at once: every connection is there before the first word is sent."""
        if self.options["start_together"]:
            with contextlib.ExitStack() as stack:
                waiting = [(state, stack.enter_context(self.opened(state))) for state in self.at(RUNNING)]
                for state, command in waiting:
                    self.started = self.started or time.monotonic()
                    self.ask(state, lambda command=command: command.send(b"go\n"))
                for state, command in waiting:
                    self.ask(state, lambda command=command: list(command.output(START)))
        self.started = self.started or time.monotonic()

    def opened(self, state):
        """Return the Command that starts the tool of a pod at a word."""
        argv = ["sh", "-c", f"read -r word && : >{job_spec.GO}"]
        for attempt in range(OPENING):
            try:
                return Command(self.server, self.options["namespace"], state.name, argv, stdin=True)
            except ExecError as error:
                if error.final or attempt == OPENING - 1:
                    raise JobError(f"{self.tool} cannot be started in {state.place}: {error}" + (f". {RIGHTS[:-1]}" if error.final else "")) from error
                time.sleep(PAUSE)
        raise JobError(f"{self.tool} cannot be started in {state.place}")

    def ask(self, state, function):
        """Call a function of a pod's command; JobError names the pod."""
        try:
            function()
        except ExecError as error:
            raise JobError(f"{self.tool} cannot be started in {state.place}: {error}") from error

    def all_ended(self):
        """Return whether all tools have ended well; JobError at the first that did not, and when it is too late."""
        self.refuse_loss()
        for state in self.at(ENDED):
            if job_state.failure(state):
                raise JobError(f"{self.tool} {job_state.failure(state)} in {state.place}", state)
        if len(self.at(ENDED)) == self.options["count"]:
            return True
        if time.monotonic() - self.started > self.options["timeout"]:
            late = [state.place for state in self.at(UNSCHEDULED, STARTING, RUNNING)]
            named = "; ".join(late[:5]) + (f"; and {len(late) - 5} more" if len(late) > 5 else "")
            raise JobError(f"{self.tool} did not end within {self.options['timeout']:g} s in {named}{self.silence()}")
        return False

    def collect(self):
        """Bring the results of all pods."""
        for state in self.at(ENDED):
            self.bring(state)

    def bring(self, state):
        """Bring the results of a pod; JobError names the pod."""
        directory = os.path.join(self.directory, str(state.index))
        try:
            job_results.collect(self.server, self.options["namespace"], state.name, directory)
        except job_results.ResultError as error:
            raise JobError(f"The results of {state.place} are not whole: {error}") from error
        self.collected[state.name] = directory

    def salvage(self):
        """Bring what can be had of a failed run."""
        for state in self.at(ENDED):
            if state.name not in self.collected:
                with contextlib.suppress(JobError):
                    self.bring(state)

    def said(self, state):
        """Return the end of what a failed tool wrote to standard error, or ""."""
        if state is None or state.name not in self.collected:
            return ""
        with open(os.path.join(self.collected[state.name], "stderr"), "rb") as stream:
            stream.seek(-min(STDERR_TAIL, stream.seek(0, os.SEEK_END)), os.SEEK_END)
            return " ".join(stream.read().decode("utf-8", "replace").split())[-300:] or "it said nothing"

    def pods(self):
        """Return what is known of the pods: index, pod, node, zone, exit_code, seconds, cpu_seconds; what is not known is left out."""
        zones = {state.node: state.zone for state in self.states.values() if state.node}
        for node in zones:
            zones[node] = zones[node] or self.zone_of(node)
        found = []
        for state in sorted(self.states.values(), key=lambda one: (one.index, one.name)):
            seconds, cpu = state.used or (None, None)
            entry = {"index": state.index, "pod": state.name, "node": state.node, "zone": zones.get(state.node), "exit_code": state.exit_code}
            entry.update(seconds=seconds, cpu_seconds=cpu, reason=state.reason or state.killed)
            found.append({key: value for key, value in entry.items() if value not in (None, "")})
        return found

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

    def remaining(self):
        """Delete once more; return (what may still be there, whether this user may not delete or look)."""
        left, denied = [], False
        for path in self.created:
            try:
                gone = not self.server.delete(path, query={"propagationPolicy": "Background"})
            except ClusterError as error:
                gone, denied = False, denied or error.status in (401, 403)
            if not gone:
                left.append("/".join(path.split("/")[-2:]))
        query = {"labelSelector": f"batch.kubernetes.io/job-name={self.name}"}
        try:
            # Not left to the garbage collector alone, which waits for every aggregated API.
            self.server.delete(self.path("pods"), query=query)
            pods = [job_state.read(pod) for pod in self.server.items(self.path("pods"), **query)]
            left += [f"pods/{one.name}" + (f" on {one.node}" if one.node else "") for one in pods]
        except ClusterError as error:
            left.append("its pods")
            denied = denied or error.status in (401, 403)
        return left, denied
