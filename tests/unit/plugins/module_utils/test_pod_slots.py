# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import pod_slots
from ansible_collections.kubeproof.certify.plugins.module_utils.cluster import ClusterError
from ansible_collections.kubeproof.certify.plugins.module_utils.pod_slots import ALWAYS, Slots
from ansible_collections.kubeproof.certify.plugins.module_utils.pod_watch import INDEX_LABEL, Tracker

COUNT, MOST = 6, 2


class Later:
    """A pool of threads whose work is done when the test says so."""

    def __init__(self, *dummy):
        self.work = []

    def submit(self, function, *arguments):
        self.work.append((function, arguments))

    def do(self, at=0):
        function, arguments = self.work.pop(at % len(self.work))
        function(*arguments)

    def shutdown(self, **dummy):
        self.work.clear()


class Server:
    """Keeps {name: UID of what exists}, and what was deleted [(path, UID)]; `errors` are raised first."""

    def __init__(self):
        self.there, self.gone, self.deleted, self.errors = {}, [], [], []

    def delete(self, path, body):
        if self.errors:
            raise self.errors.pop(0)
        self.deleted.append((path, body.get("preconditions", {}).get("uid", "")))
        return True


@pytest.fixture(autouse=True)
def fixture_pool(monkeypatch):
    monkeypatch.setattr(pod_slots, "ThreadPoolExecutor", Later)
    monkeypatch.setattr(pod_slots, "SHORTEST_RETRY", 0.001)


def make(bare=True, most=MOST):
    """Return (tracker, slots, server, [each time that a slot got free])."""
    tracker, server, freed = Tracker("a", COUNT, bare), Server(), []
    return tracker, Slots(server, tracker, "/pods", most, lambda: freed.append(True)), server, freed


def pod(index, ready=False, uid=""):
    state = {"containerStatuses": [{"state": {"running": {}}}], "conditions": [{"type": "Ready", "status": "True"}]} if ready else {}
    labels = {INDEX_LABEL: str(index)}
    return {"metadata": {"name": f"a-{index:05d}-x", "uid": uid or f"u{index}", "labels": labels}, "spec": {"containers": [{}]}, "status": state}


def created(tracker, slots, index, ready=True):
    assert slots.take(index) is not None
    tracker.sending(index, 1.0)
    tracker.accepted(index, f"owner-{index}")
    tracker.see_pod("ADDED", pod(index, ready), 2.0)


def test_without_a_limit():
    tracker, slots, dummy, freed = make(most=0)
    for index in range(COUNT):
        created(tracker, slots, index)
    assert slots.take(0) == ALWAYS and not slots.full and slots._pool.work == [] and freed == [] and not tracker.pods[0].retired


@pytest.mark.parametrize("bare", [True, False])
def test_a_slot_is_free_when_the_pod_is_gone(bare, monkeypatch):
    monkeypatch.setattr(pod_slots.time, "monotonic", lambda: 77.0)
    tracker, slots, server, freed = make(bare)
    created(tracker, slots, 0)
    created(tracker, slots, 1, ready=False)
    assert slots.full and slots.take(2) is None and len(slots._pool.work) == 1
    slots._pool.do()
    assert server.deleted == [("/pods/a-00000-x", "u0") if bare else ("/pods/a-00000", "owner-0")] and slots.take(2) is None and not freed
    tracker.see_pod("MODIFIED", pod(0), 3.0)
    assert slots.full
    tracker.see_pod("DELETED", pod(0), 4.0)
    # Since when it has been free tells what is the cluster's fault from what is ours.
    assert freed == [True] and slots.take(2) == 77.0 and slots.take(3) is None and tracker.reasons == {} and slots._pool.work == []


def test_nothing_is_deleted_before_its_request_is_answered():
    """A request that is tried again would make the pod once more."""
    tracker, slots, dummy, dummy = make()
    slots.take(0)
    tracker.sending(0, 1.0)
    tracker.see_pod("ADDED", pod(0, ready=True), 2.0)
    assert slots._pool.work == [] and not tracker.pods[0].retired
    tracker.accepted(0)
    assert len(slots._pool.work) == 1


def test_a_refused_request_whose_pod_comes_after_all():
    tracker, slots, server, freed = make(most=1)
    slots.take(0)
    tracker.refused(0, "403 no")
    assert freed == [True] and not slots.full
    tracker.see_pod("ADDED", pod(0), 2.0)
    assert slots.full
    slots._pool.do()
    tracker.see_pod("DELETED", pod(0), 3.0)
    assert not slots.full and server.deleted == [("/pods/a-00000-x", "u0")] and tracker.reasons == {"403 no": {0}}


def test_a_deployment_whose_pod_somebody_deletes():
    """It makes another one, so its slot is free only when it is deleted itself, and both pods are gone."""
    tracker, slots, server, freed = make(bare=False, most=1)
    created(tracker, slots, 0)
    tracker.see_pod("DELETED", pod(0), 3.0)
    assert not freed and slots.full
    tracker.see_pod("ADDED", pod(0, uid="second"), 3.5)
    slots._pool.do()
    assert not freed and server.deleted == [("/pods/a-00000", "owner-0")]
    tracker.see_all(set(), 4.0)
    assert freed == [True] and slots._pool.work == []


@pytest.mark.parametrize(
    "errors",
    [[ClusterError("DELETE /x: 503 no", 503)] * 2, [ClusterError("DELETE /x: 429 no", 429, retry_after=0.001)], [RuntimeError("no")]],
    ids=str,
)
def test_it_is_tried_again(errors):
    tracker, slots, server, dummy = make()
    server.errors = [*errors]
    created(tracker, slots, 0)
    slots._pool.do()
    assert server.deleted == [("/pods/a-00000-x", "u0")] and sum(tracker.answers.values()) == len(errors) and tracker.reasons == {}


def test_a_name_that_has_another_uid_is_gone():
    tracker, slots, server, dummy = make()
    server.errors = [ClusterError("DELETE /pods/a-00000-x: 409 Conflict", 409)]
    created(tracker, slots, 0)
    slots._pool.do()
    assert server.deleted == [] and tracker.answers == {}


def test_nothing_is_deleted_after_the_end():
    tracker, slots, server, dummy = make()
    created(tracker, slots, 0)
    work = [*slots._pool.work]
    slots.stop()
    created(tracker, slots, 1)
    for function, arguments in work:
        function(*arguments)
    assert server.deleted == [] and slots._pool.work == []


STEPS = st.sampled_from(["take", "ready", "fail", "answer", "refuse", "delete", "gone", "list", "somebody"])


@given(st.lists(st.tuples(STEPS, st.integers(0, COUNT - 1)), max_size=80), st.booleans())
def test_any_order(stream, bare):
    """Whatever happens when: never more pods than slots, nothing is deleted that is still measured, and in the end every slot is free."""
    tracker, slots, server, dummy = make(bare)
    there, taken, answered = set(), [], set()

    def gone(index):
        there.discard(index)
        tracker.see_pod("DELETED", pod(index), 3.0)

    def step(what, index):
        deleted = {int(path[8:13]) for path, dummy in server.deleted}
        if what == "take":
            index = len(taken)
            if index < COUNT and slots.take(index) is not None:
                taken.append(index)
                tracker.sending(index, 1.0)
                there.add(index)
                tracker.see_pod("ADDED", pod(index), 2.0)
        elif what == "delete" and slots._pool.work:
            slots._pool.do(index)
        elif index in taken and index not in answered and what in ("answer", "refuse"):
            answered.add(index)
            tracker.accepted(index) if what == "answer" else tracker.refused(index, "no")
        elif index in there and what in ("ready", "fail"):
            tracker.see_pod("MODIFIED", pod(index, True) if what == "ready" else {**pod(index), "status": {"phase": "Failed"}}, 2.5)
        elif index in there and ((what == "gone" and index in deleted) or what == "somebody"):
            gone(index)
        elif what == "list":
            tracker.see_all({f"u{one}" for one in there}, 3.0)
        assert len(there) <= len(slots._held) <= MOST
        assert not {int(path[8:13]) for path, dummy in server.deleted} & (tracker.open | set(taken) - answered)

    for one in stream:
        step(*one)
    # What is under way comes to its end.
    for index in itertools.chain(taken, taken):
        for what in ("ready", "answer", *["delete"] * COUNT, "gone"):
            step(what, index)
    lost = {index for index in taken if index in tracker.open}
    assert slots._held == lost and (not lost or not bare) and there == set()
    assert all("deleted by somebody else" not in tracker.pods[index].why for index in taken if "ready" in tracker.pods[index].phases())
