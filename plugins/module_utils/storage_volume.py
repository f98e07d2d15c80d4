# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One volume of a StorageClass: its claim and the pod that uses it, what is run on it, its growth, and its end."""

from __future__ import annotations

import contextlib
import os
import time

from . import owned, storage_fio
from .cluster import ClusterError
from .job_pods import JobError
from .pod_exec import Exec
from .pod_group import Group
from .storage_facts import WORKS
from .storage_fio import VolumeError
from .storage_kbench import KBENCH
from .storage_plan import quantity

POD = "fio"
PAUSE = 0.25
# How much a volume grows: the least that every provider can add.
GROWTH = 2**30
# What fio says when it read back something else than it wrote.
DIFFERENT = ("verify: bad", "verify failed", "Invalid or incomplete multibyte")


class Volume(Group):
    """The volume of one step of the plan. `facts` is what is known of it so far."""

    module = "volume_run"

    def __init__(self, server, options):
        """`options`: those of pod_group, with one pod called POD, and step, raw, expand, bind_timeout, expand_timeout, delete_timeout."""
        super().__init__(server, options)
        self.step, self.claim = options["step"], options["step"]["object"]
        self.exec = Exec(server, options["namespace"])
        self.facts = {"class": self.step["class"], "provision": {}, "jobs": {}, "errors": 0}
        self.volume = None

    def measure(self):
        """Make the volume, use it and let it grow. What goes wrong with it is in `facts`: outcome, and errors when it is its I/O."""
        self.attempt(self.begin, self.use, self.compare, self.grow)

    def hold(self):
        """Make the volume and fill its file, for others to use. It works when it was let go well, too."""
        self.attempt(self.begin)
        if self.facts["outcome"] == WORKS and "unmeasured" not in self.facts:
            del self.facts["outcome"]

    def let_go(self):
        """Take over a volume that was held, and let it grow."""
        self.facts = dict(self.options["facts"])
        self.created = [f"{self.path('persistentvolumeclaims')}/{self.claim}"]
        self.volume = (self.look_at_claim().get("spec") or {}).get("volumeName")
        self.attempt(self.compare, self.grow)

    def attempt(self, *parts):
        """Do one after the other, as far as that goes; no file of ours stays in the volume unless it is going to be used."""
        try:
            for part in parts:
                part()
            self.facts["outcome"] = WORKS
        except (JobError, VolumeError) as error:
            self.facts["outcome"] = str(error).rstrip(".")
        if "space" in self.facts and parts != (self.begin,):
            # A volume that was there before us is there afterwards, without anything of ours.
            with contextlib.suppress(JobError, VolumeError):
                self.shell("remove", storage_fio.REMOVE)

    # Its beginning ----------------------------------------------------------------------------------------------------------

    def create(self, kinds, body):
        """Create the claim before the pod that uses it."""
        if kinds == "pods" and not self.created:
            super().create("persistentvolumeclaims", claim_of(self.options))
        super().create(kinds, body)

    def all_ready(self):
        """Return whether the pod is ready, after a look whether the claim is bound."""
        if self.volume is None:
            found = self.look_at_claim()
            if (found.get("status") or {}).get("phase") == "Bound":
                self.volume = found["spec"]["volumeName"]
                self.facts["provision"]["bound"] = round(time.monotonic() - self.begun, 2)
        return super().all_ready()

    def look_at_claim(self):
        """Return the claim, {} when it cannot be read now."""
        try:
            return self.server.get(f"{self.path('persistentvolumeclaims')}/{self.claim}")
        except ClusterError:
            return {}

    # Its use ----------------------------------------------------------------------------------------------------------------

    def begin(self):
        """Make the volume, look at it, and fill its file where the plan measures; VolumeError when it cannot be used."""
        self.make()
        self.facts["provision"]["ready"] = round(time.monotonic() - self.begun, 2)
        self.facts["node"] = self.pods()[POD]["node"]
        space = storage_fio.look(self.shell("look", storage_fio.LOOK), self.step["size"])
        self.facts["space"] = space
        size = storage_fio.file_size(self.step, space)
        self.prove()
        if not self.step["jobs"]:
            return
        if not size:
            # It works; to measure it would harm the node.
            self.facts["unmeasured"] = storage_fio.crowded(self.step, space)
            return
        self.facts["file"] = size
        for run in storage_fio.fills(self.step, size):
            self.run(run)

    def use(self):
        """Run what the plan says; VolumeError when that fails."""
        size = self.facts.get("file")
        for job in self.step["jobs"] if size else ():
            if self.step["engine"] == KBENCH:
                self.facts["jobs"][job["name"]] = self.run(storage_fio.kbench(job, self.step["mode"], size))
            else:
                self.facts["jobs"][job["name"]] = storage_fio.result(job["name"], self.run(storage_fio.measuring(job, size)))

    def compare(self):
        """See what memory would have given."""
        size = self.facts.get("file")
        if not size:
            return
        self.facts["resident"] = storage_fio.resident(self.shell("resident", storage_fio.RESIDENT), size)
        self.facts["cached"] = {"rate": storage_fio.result("cached", self.run(storage_fio.cached(size)))["read"]["rate"]}

    def prove(self):
        """Write with checksums and read back."""
        try:
            self.run(storage_fio.proof())
            self.facts["integrity"] = {"same": True}
        except VolumeError as error:
            if any(text in str(error) for text in DIFFERENT):
                self.facts["integrity"] = {"same": False}
            raise

    def run(self, run):
        """Return the facts of one run; VolumeError says how it failed."""
        outcome = self.exec.run({"result": "", **run, "pod": self.pod}, os.path.join(self.options["raw"], run["name"]))
        if outcome["error"]:
            self.facts["errors"] += 1
            raise VolumeError(f"{run['name']}: {outcome['error']}")
        return outcome["facts"]

    def shell(self, name, script):
        """Return what a small script prints in the pod."""
        directory = os.path.join(self.options["raw"], name)
        run = {"argv": ["sh", "-c", script], "timeout": storage_fio.GRACE, "parser": "", "result": "", "environment": {}, "pod": self.pod}
        error = self.exec.run(run, directory)["error"]
        if error:
            raise VolumeError(f"{name}: {error}")
        with open(os.path.join(directory, "stdout"), encoding="utf-8", errors="replace") as stream:
            return stream.read()

    @property
    def pod(self):
        """Return the name of the pod."""
        return next(iter(self.names))

    # Its growth -------------------------------------------------------------------------------------------------------------

    def grow(self):
        """Let the volume grow where its class allows that, until the pod sees it; VolumeError when it does not."""
        if not self.options["expand"]:
            return
        began, before = time.monotonic(), self.facts["space"]["size"]
        # A provider may have given more than was asked for, which would be enough already.
        wanted = max(self.step["size"], self.capacity()) + GROWTH
        # Without a quota the filesystem shows all of the disk behind it from the beginning: what has grown is the claim.
        bounded = before < wanted
        self.facts["expand"] = {"asked": wanted, "grown": False, "quota": bounded}
        path = f"{self.path('persistentvolumeclaims')}/{self.claim}"
        change = {"spec": {"resources": {"requests": {"storage": str(wanted)}}}}
        try:
            self.server.request("PATCH", path, change, content_type="application/merge-patch+json")
        except ClusterError as error:
            raise VolumeError(f"it may not grow, although its class allows that: {error}") from error
        while True:
            if self.capacity() >= wanted and (not bounded or self.size() > before):
                self.facts["expand"].update(grown=True, seconds=round(time.monotonic() - began, 2))
                return
            if time.monotonic() - began > self.options["expand_timeout"]:
                said = self.event("PersistentVolumeClaim", self.claim, "type=Warning") or self.event("PersistentVolumeClaim", self.claim)
                raise VolumeError(f"it did not grow within {self.options['expand_timeout']:g} s: {said or 'nobody says why'}")
            time.sleep(PAUSE)

    def capacity(self):
        """Return the bytes that the claim has, 0 while that is not known."""
        return quantity(((self.look_at_claim().get("status") or {}).get("capacity") or {}).get("storage")) or 0

    def size(self):
        """Return the bytes of the filesystem as the pod sees it."""
        return storage_fio.look(self.shell("grown", storage_fio.LOOK), self.step["size"])["size"]

    # Its end ----------------------------------------------------------------------------------------------------------------

    def finish(self, wait):
        """End what runs, delete pod and claim, and with `wait` see the volume go; return what is left, by name."""
        began = time.monotonic()
        self.exec.end()
        left = self.remove()
        if self.volume and wait and not left:
            self.facts["delete"] = self.gone(began)
        return left

    def gone(self, began):
        """Return {gone, seconds} of the volume after its claim; gone is None where its class retains it."""
        path, said = f"/api/v1/persistentvolumes/{self.volume}", "it cannot be read"
        while True:
            try:
                found = self.server.get(path)
                if found["spec"].get("persistentVolumeReclaimPolicy") != "Delete":
                    return {"gone": None, "why": f"its reclaim policy is {found['spec'].get('persistentVolumeReclaimPolicy')}"}
                state = found.get("status") or {}
                said = ": ".join(filter(None, (f"it is {state.get('phase')}", state.get("message"))))
            except ClusterError as error:
                if error.status == 404:
                    return {"gone": True, "seconds": round(time.monotonic() - began, 2)}
                said = str(error)
            if time.monotonic() - began > self.options["delete_timeout"]:
                return {"gone": False, "why": said}
            time.sleep(PAUSE)


def claim_of(options):
    """Return the claim of a volume."""
    step = options["step"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": step["object"], "labels": owned.labels(options["run_id"])},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": step["class"],
            "resources": {"requests": {"storage": str(step["size"])}},
        },
    }
