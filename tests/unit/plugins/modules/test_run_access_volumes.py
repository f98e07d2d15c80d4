# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What run_access does about volumes, and about what still uses machines and disks."""

from __future__ import annotations

import pytest
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import status
from ansible_collections.kubeproof.certify.tests.unit.plugins.modules.test_run_access import OURS, RUN, SPACE, SPACES, VOLUMES, fixture_call, fixture_store

__all__ = ["fixture_call", "fixture_store"]
MINE, CLAIMS, PODS = f"{SPACES}/{SPACE}", f"{SPACES}/{SPACE}/persistentvolumeclaims", f"{SPACES}/{SPACE}/pods"


def provisioner(store, after=1):
    """Have the store delete Released volumes whose policy is Delete, as a provisioner does: at the `after`-th look."""
    looks = iter(range(1, 10**6))

    def listed(asked):
        if next(looks) > after and MINE not in store.objects:
            doomed = [path for path, one in store.objects.items() if "spec" in one and one["spec"]["persistentVolumeReclaimPolicy"] == "Delete"]
            for path in doomed:
                del store.objects[path]
        return store.get(asked)

    store.answers[f"GET {VOLUMES}"] = listed


@pytest.mark.parametrize(("policy", "deleted"), [("Retain", [f"Namespace {SPACE}", "PersistentVolume pv-1"]), ("Delete", [f"Namespace {SPACE}"])])
def test_volumes_of_the_runs_claims_go_with_them(call, store, policy, deleted):
    store.add(MINE)
    store.add_volume("pv-1", SPACE, policy=policy)
    store.add_volume("pv-2", "default")
    provisioner(store)
    answer = call(state="absent")
    assert answer["left"] == 0 and sorted(answer["deleted"]) == deleted
    assert list(store.objects) == [f"{VOLUMES}/pv-2"]
    assert store.objects[f"{VOLUMES}/pv-2"]["spec"]["persistentVolumeReclaimPolicy"] == "Retain" and not store.objects[f"{VOLUMES}/pv-2"]["metadata"]["labels"]
    # Before the namespace goes: afterwards nobody knows whose the volume was. Then what runs, at once.
    order = [f"{asked.method} {asked.path}" for asked in store.asked if asked.method in ("PATCH", "DELETE")]
    assert order == [f"PATCH {VOLUMES}/pv-1", f"DELETE {MINE}", f"DELETE {MINE}/pods", f"DELETE {MINE}/persistentvolumeclaims"]


def test_a_later_call_still_knows_the_volume(call, store):
    store.add(MINE)
    store.add_volume("pv-1", SPACE)
    answer = call(state="absent", timeout=0)
    assert answer["left"] == 2 and MINE not in store.objects
    store.objects[f"{VOLUMES}/pv-1"]["status"] = {"phase": "Failed", "message": "rmdir: not empty"}
    answer = call(state="absent", timeout=0)
    assert answer["left"] == 1 and answer["changed"] is False
    assert answer["remaining"] == [
        f"PersistentVolume pv-1 of the claim {SPACE}/data is Failed: rmdir: not empty: its provisioner a.csi has to delete it once the claim is gone."
    ]
    provisioner(store, after=0)
    assert call(state="absent")["left"] == 0 and not store.objects


def test_volumes_of_every_run_get_the_labels_of_their_own(call, store):
    other = {**OURS, "kubeproof.io/run": "run-2"}
    store.add(MINE)
    store.add(f"{SPACES}/b", other)
    store.add_volume("pv-1", SPACE)
    store.add_volume("pv-2", "b")
    call(state="absent", run_id="*", timeout=0)
    assert [store.objects[f"{VOLUMES}/pv-{number}"]["metadata"]["labels"] for number in (1, 2)] == [OURS, other]


def test_a_volume_that_no_claim_ever_had_is_deleted(call, store):
    store.add_volume("pv-1", "gone", OURS, phase="Available")
    store.add_volume("pv-2", "gone", phase="Available")
    answer = call(state="absent")
    assert answer["deleted"] == ["PersistentVolume pv-1"] and list(store.objects) == [f"{VOLUMES}/pv-2"]


def test_a_volume_that_is_held_is_said(call, store):
    store.add_volume("pv-1", "gone", OURS)
    store.objects[f"{VOLUMES}/pv-1"]["metadata"].update(deletionTimestamp="2026-11-21T04:00:00Z", finalizers=["kubernetes.io/pv-protection"])
    (sentence,) = call(state="absent", timeout=0)["remaining"]
    assert sentence.startswith("PersistentVolume pv-1 is being deleted for") and "held by the finalizer kubernetes.io/pv-protection" in sentence


def test_a_volume_that_was_changed_meanwhile_is_judged_anew(call, store):
    store.add(MINE)
    store.add_volume("pv-1", SPACE)
    path = f"{VOLUMES}/pv-1"
    answers = iter([(409, status(409, "Conflict", "it was changed"))])
    store.answers[f"PATCH {path}"] = lambda asked: next(answers, None) or store.patch(asked)
    call(state="absent", timeout=1)
    assert store.objects[path]["spec"]["persistentVolumeReclaimPolicy"] == "Delete"


def test_a_volume_that_may_not_be_changed_or_seen_is_left(call, store):
    store.add(MINE)
    store.add_volume("pv-1", SPACE)
    store.refused[f"PATCH {VOLUMES}/pv-1"] = (403, status(403, "Forbidden", "no rights"))
    (sentence,) = call(state="absent", timeout=1)["remaining"]
    assert sentence.startswith("PersistentVolume pv-1 cannot be set to be deleted with its claim: ") and "no rights" in sentence
    store.refused[f"GET {VOLUMES}"] = (403, status(403, "Forbidden", "cannot list"))
    (sentence,) = call(state="absent", timeout=1)["remaining"]
    assert sentence.startswith("What there is of the kind PersistentVolume is not known") and "cannot list" in sentence


def test_check_mode_changes_no_volume(call, store):
    store.add(MINE)
    store.add_volume("pv-1", SPACE)
    answer = call(state="absent", _ansible_check_mode=True)
    assert answer["changed"] and answer["left"] == 2 and {asked.method for asked in store.asked} == {"GET"}


@pytest.mark.parametrize(("wait", "left"), [("all", 1), ("load", 0)])
def test_a_namespace_that_is_terminating_holds_nobody_up(call, store, wait, left):
    store.add(MINE, finalizers=["a/b"])
    answer = call(state="absent", wait=wait, timeout=0 if wait == "all" else 1)
    assert answer["left"] == left and answer["deleted"] == [f"Namespace {SPACE}"]
    assert store.objects[MINE]["metadata"]["deletionTimestamp"]


def test_load_waits_for_pods_claims_and_volumes(call, store):
    store.add(MINE, finalizers=["a/b"])
    store.add(f"{PODS}/one", {}, deletionTimestamp="2026-11-21T04:00:00Z", finalizers=["batch/job"])
    store.add(f"{PODS}/two", {})
    store.add(f"{CLAIMS}/data", {}, deletionTimestamp="2026-11-21T04:00:00Z", finalizers=["kubernetes.io/pvc-protection"])
    store.add_volume("pv-1", SPACE)
    answer = call(state="absent", wait="load", timeout=0)
    pod, claim, volume = sorted(answer["remaining"], key=lambda one: ("Volume" in one, one.startswith("PersistentVolume ")))
    assert answer["left"] == 3
    assert pod.startswith(f"{SPACE}: Pod one is being deleted for") and pod.endswith("the finalizer batch/job. So are 1 more of its kind.")
    assert claim.startswith(f"{SPACE}: PersistentVolumeClaim data is being deleted") and "pvc-protection" in claim
    assert volume.startswith("PersistentVolume pv-1 of the claim")
    # Their end is seen, also when the namespace has gone with them.
    store.objects = {f"{VOLUMES}/pv-1": store.objects[f"{VOLUMES}/pv-1"]}
    provisioner(store, after=2)
    assert call(state="absent", wait="load")["left"] == 0 and not store.objects


def test_load_fails_closed(call, store):
    store.add(MINE, finalizers=["a/b"])
    store.refused[f"GET {PODS}"] = (403, status(403, "Forbidden", "cannot list pods"))
    (sentence,) = call(state="absent", wait="load", timeout=1)["remaining"]
    assert sentence.startswith(f"What there is of the kind Pod in {SPACE} is not known") and "cannot list pods" in sentence
    store.add(MINE)
    store.refused[f"DELETE {MINE}"] = (403, status(403, "Forbidden", "no rights"))
    assert any("no rights" in one for one in call(state="absent", wait="load", timeout=1)["remaining"])


def test_the_run_of_a_volume_is_never_guessed(call, store):
    """A name that looks like ours is no proof, and neither is half of the labels."""
    store.add_volume("pv-1", f"kubeproof-{RUN}-storage")
    store.add_volume("pv-2", "x", {"kubeproof.io/run": RUN})
    assert call(state="absent")["changed"] is False and {asked.method for asked in store.asked} == {"GET"}


@pytest.mark.parametrize(("phase", "left"), [("Bound", 1), ("Released", 0), ("Available", 0)])
@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_a_volume_that_was_there_before_us_is_given_back(call, store, phase, left, policy):
    store.add(MINE)
    store.add_volume("pv-1", SPACE, phase=phase, policy=policy)
    volume = store.objects[f"{VOLUMES}/pv-1"]
    volume["metadata"]["annotations"] = {}
    answer = call(state="absent", timeout=0)
    # The namespace was counted before it went.
    assert answer["left"] == left + 1 and answer["deleted"] == [f"Namespace {SPACE}"]
    assert (volume["spec"]["claimRef"] is None) == (phase == "Released")
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == policy and not volume["metadata"]["labels"]
    if left:
        assert "pv-1 of the claim" in answer["remaining"][-1] and answer["remaining"][-1].endswith("it is given back once the claim is gone.")
