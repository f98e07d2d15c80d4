# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How what a run has in the cluster goes: its objects by their labels, its volumes by their claims, and what keeps one of them from going."""

from __future__ import annotations

import contextlib
import time
from typing import NamedTuple

from . import cluster, owned, run_access

PAUSE = 0.05
SHOWN, TOLD = 20, 3
VOLUMES = "/api/v1/persistentvolumes"
# Cluster-scoped kinds that a run creates: what deletes them, and for a kind that others create too, the annotations or labels of which one tells ours.
KINDS = {
    "Namespace": ("/api/v1/namespaces", None),
    "ClusterRoleBinding": (f"{run_access.RBAC}/clusterrolebindings", None),
    "ClusterRole": (f"{run_access.RBAC}/clusterroles", None),
    "PriorityClass": ("/apis/scheduling.k8s.io/v1/priorityclasses", None),
    "Node": ("/api/v1/nodes", ("kwok.x-k8s.io/node", "kubeproof.io/hollow")),
}
# What of a namespace still uses machines and disks. The rest of it goes by itself.
LOAD = {"pods": "Pod", "persistentvolumeclaims": "PersistentVolumeClaim"}


class Left(NamedTuple):
    """Something that is there: why, whether it may still go without our doing more, and whether it is being deleted."""

    sentence: str
    hope: bool = True
    going: bool = False


class Removal:
    """The removal of one run, or of every run. `deleted` {what: True} is what was asked to go, in that order."""

    def __init__(self, server, run_id, check_mode):
        self.server, self.run_id, self.check_mode = server, run_id, check_mode
        # Namespaces of the run {name: run id}, also those that are gone: their volumes may be there for longer.
        self.deleted, self.spaces, self.pending = {}, {}, list(KINDS)

    def round(self):
        """Ask for the deletion of what is not being deleted; return {kind: [Left]} of what is there."""
        items, unseen = dict.fromkeys(self.pending, ()), {}
        for kind in self.pending:
            try:
                items[kind] = [item for item in self.server.items(KINDS[kind][0], labelSelector=owned.selector(self.run_id)) if self.owns(kind, item)]
            except cluster.ClusterError as error:
                unseen[kind] = [] if error.status == 404 else [unknown(kind, error)]
        self.spaces.update({item["metadata"]["name"]: item["metadata"]["labels"][owned.RUN_LABEL] for item in items.get("Namespace", ())})
        # Before the claims go: a volume that was found only by its claim's namespace could not be told from others afterwards.
        volumes = self.volumes()
        left = {kind: unseen.get(kind) or [self.drop(kind, item) for item in found] for kind, found in items.items()}
        self.pending = [kind for kind in self.pending if left[kind]]
        return {**left, "PersistentVolume": volumes}

    def owns(self, kind, item):
        """Return whether an object is of the run."""
        marks, metadata = KINDS[kind][1], item["metadata"]
        return owned.is_of(item, self.run_id) and (not marks or bool(set(marks) & {*(metadata.get("annotations") or {}), *(metadata.get("labels") or {})}))

    def drop(self, kind, item):
        """Ask for the deletion of an object unless that was done; return the Left of it."""
        metadata = item["metadata"]
        if metadata.get("deletionTimestamp") or self.check_mode:
            return Left(run_access.why_left(kind, item, time.time()), going=bool(metadata.get("deletionTimestamp")))
        what = f"{kind} {metadata['name']}"
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": metadata.get("uid")}}
        path = VOLUMES if kind == "PersistentVolume" else KINDS[kind][0]
        try:
            self.server.delete(f"{path}/{metadata['name']}", body=body)
        except cluster.ClusterError as error:
            return Left(f"{what} cannot be deleted: {error}.", hopeful(error))
        self.deleted[what] = True
        if kind == "Namespace":
            self.empty(metadata["name"])
        return Left(f"{what} is being deleted.", going=True)

    def empty(self, space):
        """Ask for the deletion of the pods and claims in a namespace that goes: its controller waits five seconds before it does the same."""
        for resource in LOAD:
            with contextlib.suppress(cluster.ClusterError):
                # One page, since the answer lists what it deletes. The controller sees to the rest.
                self.server.delete(f"/api/v1/namespaces/{space}/{resource}", query={"limit": cluster.CHUNK})

    def volumes(self):
        """See to it that the volumes of the run's claims go with them; return the [Left] of those that are there."""
        left = []
        try:
            for item in self.server.items(VOLUMES):
                run = run_of(item, self.run_id, self.spaces)
                if run:
                    ours = owned.is_of(item, run) or made_by(item)
                    left += (self.release if ours else self.give_back)(item, run)
        except cluster.ClusterError as error:
            left.append(unknown("PersistentVolume", error))
        return left

    def release(self, item, run):
        """Have a volume that was made for us deleted by its provisioner as soon as its claim is gone; return the [Left] of it."""
        metadata, what = item["metadata"], f"PersistentVolume {item['metadata']['name']}"
        if metadata.get("deletionTimestamp"):
            return [Left(run_access.why_left("PersistentVolume", item, time.time()), going=True)]
        # Nothing was ever stored there, and no provisioner deletes a volume that no claim has had.
        if (item.get("status") or {}).get("phase") == "Available":
            return [self.drop("PersistentVolume", item)]
        retained = item["spec"].get("persistentVolumeReclaimPolicy") != "Delete"
        if retained or not owned.is_of(item, run):
            change = {"metadata": {"labels": owned.labels(run)}, "spec": {"persistentVolumeReclaimPolicy": "Delete"}}
            refused = self.change(item, change, "set to be deleted with its claim")
            if refused:
                return refused
            self.deleted.update({what: True} if retained and not self.check_mode else {})
        return [Left(why_volume_left(item))]

    def give_back(self, item, dummy):
        """Free a volume that was there before us, and is not ours to delete, from the claim that is gone; return the [Left] of it."""
        phase = (item.get("status") or {}).get("phase")
        if phase == "Released" and not self.check_mode:
            return self.change(item, {"spec": {"claimRef": None}}, "given back")
        return [Left(why_volume_left(item))] if phase in ("Bound", "Released") else []

    def change(self, item, change, what):
        """Change a volume as it was read; return the [Left] of it when that is refused."""
        name = item["metadata"]["name"]
        # The version of what was judged: another's change in between is refused and judged anew.
        change = {**change, "metadata": {**change.get("metadata", {}), "resourceVersion": item["metadata"].get("resourceVersion")}}
        if not self.check_mode:
            try:
                self.server.request("PATCH", f"{VOLUMES}/{name}", change, content_type="application/merge-patch+json")
            except cluster.ClusterError as error:
                return [] if error.status == 404 else [Left(f"PersistentVolume {name} cannot be {what}: {error}.", hopeful(error))]
        return []

    def load(self):
        """Return the [Left] of pods and claims in the run's namespaces."""
        return [one for space in self.spaces for resource, kind in LOAD.items() for one in self.content(space, resource, kind)]

    def content(self, space, resource, kind):
        """Return the [Left] of one kind in a namespace: one sentence for all, by the first."""
        path = f"/api/v1/namespaces/{space}/{resource}"
        try:
            page = run_access.document(self.server.get(path, limit=1))
        except cluster.ClusterError as error:
            return [unknown(f"{kind} in {space}", error)]
        first, more = next(iter(page.get("items") or ()), None), (page.get("metadata") or {}).get("remainingItemCount") or 0
        if first is None:
            return []
        sentence = run_access.why_left(kind, first, time.time())
        return [Left(f"{space}: {sentence}" + (f" So are {more} more of its kind." if more else ""))]


def take(server, options, check_mode):
    """Delete what the run has in the cluster, wait until what `wait` says is gone, and return the answer of the module."""
    deadline = time.monotonic() + options["timeout"]
    removal = Removal(server, options["run_id"], check_mode)
    while True:
        began, asked = time.monotonic(), len(removal.deleted)
        found = removal.round()
        if options["wait"] == "load":
            found["Namespace"] = [*(one for one in found.get("Namespace", ()) if not one.going), *removal.load()]
        left = [one for some in found.values() for one in some]
        if check_mode or not any(one.hope for one in left) or time.monotonic() >= deadline:
            break
        # A big cluster's volumes are a long list: ask for no more than half of the time. What was deleted in this round may be gone at once.
        time.sleep(PAUSE if len(removal.deleted) > asked else max(PAUSE, time.monotonic() - began))
    changed = bool(left if check_mode else removal.deleted)
    remaining = [one.sentence for one in left[:SHOWN]]
    told = {"msg": " ".join(remaining[:TOLD])} if remaining else {}
    return {"changed": changed, "deleted": list(removal.deleted)[:SHOWN], "left": len(left), "remaining": remaining, **told}


def hopeful(error):
    """Return whether the same request may succeed later."""
    return error.status in (0, 409, 429) or error.status >= 500


def unknown(kind, error):
    """Return the Left of a kind that could not be looked at."""
    return Left(f"What there is of the kind {kind} is not known: {error}.", hopeful(error))


def run_of(volume, run_id, spaces):
    """Return the run that a volume is of, None when it is not of the one meant: by our labels, or by the namespace of its claim {name: run}."""
    if owned.is_of(volume, run_id):
        return volume["metadata"]["labels"][owned.RUN_LABEL]
    return spaces.get(((volume.get("spec") or {}).get("claimRef") or {}).get("namespace"))


def made_by(volume):
    """Return the provisioner that made a volume for its claim, "" for a volume that somebody made beforehand."""
    return (volume["metadata"].get("annotations") or {}).get("pv.kubernetes.io/provisioned-by") or ""


def why_volume_left(volume):
    """Return in a sentence why a volume that goes with its claim is still there."""
    metadata, state = volume["metadata"], volume.get("status") or {}
    claim = volume["spec"].get("claimRef") or {}
    maker = made_by(volume)
    text = " ".join(str(state.get("message") or "").split())[:400].rstrip(".")
    return (
        f"PersistentVolume {metadata['name']} of the claim {claim.get('namespace')}/{claim.get('name')} is {state.get('phase')}"
        f"{f': {text}' if text else ''}: {f'its provisioner {maker} has to delete it' if maker else 'it is given back'} once the claim is gone."
    )
