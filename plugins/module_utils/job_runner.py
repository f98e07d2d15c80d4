# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a load job in a cluster: create it, follow its pods, start its tools together, bring their results, remove it and prove that it is gone."""

from __future__ import annotations

import contextlib
import os
import re
import time

from . import job_results, job_spec
from .job_exec import Command, ExecError
from .job_pods import PAUSE, JobError, Pods
from .job_state import ENDED, RUNNING, STARTING, UNSCHEDULED

# Seconds: between two looks at events; for a start.
EVENTS, START = 2.0, 30.0
OPENING = 3
STDERR_TAIL = 2000
# A refusal that stays, whereas a quota may be freed and a webhook may come back.
REFUSED = re.compile(r"violates PodSecurity|denied the request")


class Runner(Pods):
    """One load job. `collected` {pod name: directory}."""

    # The keeper of a job does nothing.
    module, measuring = "job_run", (job_spec.TOOL,)

    def __init__(self, server, options, directory):
        self.name = job_spec.unique(options["name"])
        super().__init__(server, options, f"batch.kubernetes.io/job-name={self.name}")
        self.directory, self.collected = directory, {}
        self.tool = os.path.basename(options["argv"][0])
        self.started = self.ended = self.looked = None

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
            raise JobError(f"{error}{': ' + said if said else ''}") from error

    def create(self):
        """Create the Job, then what it owns: without it a pod does not start."""
        self.begun = time.monotonic()
        owner = self.post("jobs", job_spec.job(self.options, self.name), "/apis/batch/v1")
        for kind, kinds, data in (("Secret", "secrets", self.options["secrets"]), ("ConfigMap", "configmaps", self.options["files"])):
            if data:
                self.post(kinds, job_spec.owned(kind, self.options, self.name, owner, data))

    def all_started(self):
        """Return whether all pods run; JobError when that will not or did not happen in time."""
        count, now = self.options["count"], time.monotonic()
        late = now - self.begun > self.options["ready_timeout"]
        self.refuse_loss(count)
        self.refuse_limit()
        self.refuse_delay(count, late)
        if len(self.states) < count:
            self.look_for_refusal(now, late)
        return len(self.states) == count and [one.index for one in self.at(RUNNING, ENDED)] == list(range(count))

    def look_for_refusal(self, now, late):
        """JobError when pods are refused for good, or are not there in time. A Job says so in its events alone."""
        if not late and self.looked and now - self.looked < EVENTS:
            return
        self.looked = now
        why = self.event("Job", self.name, "type=Warning")
        if late or REFUSED.search(why):
            missing = self.options["count"] - len(self.states)
            raise JobError(f"{missing} of {self.options['count']} pods were not created: {why or 'the Job says nothing'}{self.silence()}")

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
                    raise JobError(f"{self.tool} cannot be started in {state.place}: {error}{self.rights(error.final)}") from error
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
        self.refuse_loss(self.options["count"])
        self.refuse_failure(self.tool)
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
        zones, found = self.zones(), []
        for state in sorted(self.states.values(), key=lambda one: (one.index, one.name)):
            seconds, cpu = state.used or (None, None)
            entry = {"index": state.index, "pod": state.name, "node": state.node, "zone": zones.get(state.node), "exit_code": state.exit_code}
            entry.update(seconds=seconds, cpu_seconds=cpu, reason=state.reason or state.killed)
            found.append({key: value for key, value in entry.items() if value not in (None, "")})
        return found
