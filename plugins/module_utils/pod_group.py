# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A group of pods: make it and wait until all are ready, or say why they are not; remove it and prove that it is gone."""

from __future__ import annotations

import os
import re
import time

from . import job_pods, job_state, pod_group_spec
from .cluster import ClusterError
from .job_pods import JobError, Pods
from .job_state import ENDED, RUNNING

# What may come to another end when it is tried again: a quota is freed, the account of a new namespace is made.
LATER = re.compile(r"exceeded quota|service account")


class Group(Pods):
    """One group of pods."""

    module = "pod_group"

    def __init__(self, server, options):
        super().__init__(server, options, pod_group_spec.selector(options))
        self.names = {pod_group_spec.name_of(options, name): name for name in options["pods"]}
        self.running = {}

    def make(self):
        """Make all pods and wait until they are ready; JobError when one is not."""
        self.begun = time.monotonic()
        if self.there():
            raise JobError(f"The run has a group {self.options['name']} already ({', '.join(sorted(self.states))}): remove it with state=absent first")
        for kinds, body in pod_group_spec.objects(self.options):
            self.create(kinds, body)
        self.follow(self.all_ready)

    def create(self, kinds, body):
        """Create an object; what may be refused for a while is tried again until all pods must be scheduled."""
        again = False
        while True:
            try:
                self.post(kinds, body)
                return
            except JobError as error:
                cause = error.__cause__
                # Nobody else had it before: the answer to the first try was lost.
                if again and cause.status == 409:
                    return
                later = cause.status in (0, 429) or cause.status >= 500 or cause.status == 403 and LATER.search(str(cause))
                if not later or time.monotonic() - self.begun > self.options["ready_timeout"]:
                    raise
                again = True
                time.sleep(job_pods.PAUSE)

    def all_ready(self):
        """Return whether all pods are ready; JobError when that will not or did not happen in time."""
        count, now = len(self.names), time.monotonic()
        self.refuse_loss(count)
        self.refuse_limit()
        self.refuse_end()
        self.refuse_delay(count, now - self.begun > self.options["ready_timeout"])
        for state in self.at(RUNNING):
            since = self.running.setdefault(state.name, now)
            if not state.ready and now - since > self.options["ready_timeout"]:
                raise JobError(f"{state.place} runs, but was not ready within {self.options['ready_timeout']:g} s: {self.unready(state)}{self.silence()}")
        return sum(state.ready for state in self.at(RUNNING)) == count

    def refuse_end(self):
        """JobError when the command of a pod has ended, which it should not."""
        for state in self.at(ENDED):
            tool = os.path.basename(self.options["pods"][self.names[state.name]]["argv"][0])
            raise JobError(f"{tool} {job_state.end_of(state)} in {state.place}, where it should go on")

    def unready(self, state):
        """Return why a pod that runs is not ready."""
        ports = self.options["pods"][self.names[state.name]]["ports"]
        listens = f"nothing listens at port {' or '.join(map(str, ports))}" if ports else ""
        return listens or self.event("Pod", state.name, "type=Warning") or "it says nothing"

    def why_unscheduled(self, state):
        """Return why a pod has no node: what the scheduler says, and what is said of its volumes, which it waits for."""
        said = [state.reason]
        for claim in self.options["pods"][self.names[state.name]]["claims"]:
            # A provisioner that fails says so, and then again that it is going to try.
            about = ("PersistentVolumeClaim", claim)
            event = self.event(*about, "type=Warning") or self.event(*about)
            said += [f"claim {claim}: {event}"] if event else []
        return "; ".join(filter(None, said))

    def pods(self):
        """Return {name: what is known of the pod} of the pods that are ready."""
        zones, found = self.zones(), {}
        for state in self.at(RUNNING):
            ips = list(state.ips)
            found[self.names[state.name]] = {
                "pod": state.name,
                "node": state.node,
                "zone": zones.get(state.node, ""),
                "ip": ips[0] if ips else "",
                "ips": ips,
                "host_ip": state.host_ip,
            }
        return found

    def there(self):
        """Return whether there are pods of this group; JobError when that cannot be seen."""
        try:
            self.refresh()
        except ClusterError as error:
            raise JobError(f"The pods of {self.options['name']} cannot be listed: {error}{self.rights(error.status == 403)}") from error
        return bool(self.states)

    def begone(self):
        """Take all of the group for made by this module; return whether there are pods."""
        # Its files cannot be looked for without another right, but to delete them tells.
        self.created = [f"{self.path('configmaps')}/{self.options['name']}"]
        return self.there()
