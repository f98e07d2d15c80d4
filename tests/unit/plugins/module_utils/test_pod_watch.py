# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import pod_watch
from ansible_collections.kubeproof.certify.plugins.module_utils.cluster import ClusterError, event_of
from ansible_collections.kubeproof.certify.plugins.module_utils.pod_watch import Follower, Tracker, reached, shorten

RUNNING, WAITING = {"running": {"startedAt": "2026-11-21T07:00:00Z"}}, {"waiting": {"reason": "ContainerCreating"}}
STEPS = ("created", "scheduled", "sandbox", "started", "ready")
PRESENT = 'Container image "pause" already present on machine and can be accessed by the pod'
PULLED = 'Successfully pulled image "pause" in 1.2s (1.2s including waiting). Image size: 318441 bytes.'


def pod(index=0, step="created", uid="u0", name=None, state=None, **more):
    """Return a pod that has come to `step`."""
    far = STEPS.index(step)
    conditions = [{"type": kind, "status": "True"} for at, kind in ((1, "PodScheduled"), (2, "PodReadyToStartContainers"), (4, "Ready")) if far >= at]
    item = {
        "metadata": {"name": name or f"a-{index:05d}", "uid": uid, "labels": {pod_watch.INDEX_LABEL: str(index)}},
        "spec": {"containers": [{"name": "main"}], **({"nodeName": "n1"} if far else {})},
        "status": {"phase": "Running" if far >= 3 else "Pending", "conditions": conditions},
    }
    if far >= 2:
        item["status"]["containerStatuses"] = [{"name": "main", "state": state or (RUNNING if far >= 3 else WAITING)}]
    item["status"].update(more)
    return item


def event(text=PRESENT, reason="Pulled", uid="u0", name="a-00000", kind="Pod", severity="Normal"):
    return {"involvedObject": {"kind": kind, "name": name, "uid": uid}, "reason": reason, "message": text, "type": severity}


def tracker(count=1, bare=True, sent=100.0):
    found = Tracker("a", count, bare)
    for index in range(count):
        found.sending(index, sent)
    return found


@pytest.mark.parametrize("step", STEPS)
def test_reached(step):
    assert reached(pod(step=step)) == list(STEPS[: STEPS.index(step) + 1])


@pytest.mark.parametrize(
    ("state", "started"),
    [
        (RUNNING, True),
        ({"running": {}}, True),
        ({"terminated": {"exitCode": 0, "reason": "Completed"}}, True),
        ({"terminated": {"exitCode": 128, "reason": "StartError"}}, False),
        ({"terminated": {}}, False),
        ({"waiting": {"reason": "CrashLoopBackOff"}}, False),
        ({}, False),
        (None, False),
        ("running", False),
    ],
)
def test_started(state, started):
    item = pod(step="started")
    item["status"]["containerStatuses"][0]["state"] = state
    assert ("started" in reached(item)) is started


def test_started_needs_every_container():
    item = pod(step="ready")
    item["spec"]["containers"].append({"name": "second"})
    assert "started" not in reached(item) and "ready" not in reached(item)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ('POST /api/v1/namespaces/x/pods: 403 pods "a-00017" is forbidden: no', '403 pods "a-*" is forbidden: no'),
        ("GET /x: Connection refused", "Connection refused"),
        ("FailedCreate: pod a-00003-5d9c-x7k2p is bad", "FailedCreate: pod a-* is bad"),
        ("quota: q, requested: pods=1, used: cpu=1,pods=17, limited: pods=20", "quota: q, requested: pods=1, used: …, limited: pods=20"),
        ("0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available", "0/3 nodes are available: 3 Insufficient cpu."),
        ("0/1 nodes are available: x. no new claims to deallocate, preemption: y", "0/1 nodes are available: x."),
        ("FailedCreate: (combined from similar events): no", "FailedCreate: no"),
        ("sandbox 9c44c8af93819d82c5ea8679fa061027a77ad928cca5caaa5d0c6b6a9b328974 of 0b2b6a52-8e5c-4f58-9a51-4f0b4b7f5a11", "sandbox … of …"),
        ("timed out after 1.532s", "timed out after … s"),
        ("two\nlines ", "two lines"),
        ("ErrImagePull: ", "ErrImagePull"),
        ("x" * 1000, "x" * pod_watch.LONGEST_REASON),
    ],
)
def test_shorten(text, short):
    assert shorten(text, "a") == short


def test_phases_are_when_they_were_first_seen():
    found = tracker()
    for now, step in enumerate(STEPS, 101):
        found.see_pod("MODIFIED", pod(step=step), now)
        found.see_pod("MODIFIED", pod(step=step), now + 0.5)
    found.see_event("ADDED", event(), 104.5)
    found.see_event("MODIFIED", event(), 107)
    assert found.pods[0].phases() == {"created": 1, "scheduled": 2, "sandbox": 3, "image": 4.5, "started": 4, "ready": 5}
    assert (found.pods[0].seen.sort, found.pods[0].seen.node, found.open, found.reasons) == ("present", "n1", set(), {})


def test_a_phase_that_was_not_seen_is_late_never_early():
    found = tracker()
    found.see_pod("ADDED", pod(step="ready"), 110)
    found.see_pod("ADDED", pod(step="created"), 111)
    assert found.pods[0].phases() == dict.fromkeys(STEPS, 10)


@pytest.mark.parametrize(
    ("text", "sort"), [(PRESENT, "present"), (PULLED, "pulled"), ('Container image "pause" already present on machine', "present"), ("?", "unknown")]
)
def test_sort_of_image(text, sort):
    found = tracker()
    found.see_event("ADDED", event(text), 101)
    assert found.pods[0].seen is None
    found.see_pod("ADDED", pod(step="started"), 102)
    assert found.pods[0].seen.sort == sort and found.unsorted() is (sort == "unknown")


def test_an_event_about_an_earlier_pod_of_that_name_says_nothing():
    found = tracker()
    found.see_event("ADDED", event(PULLED, uid="earlier"), 101)
    found.see_pod("ADDED", pod(step="ready"), 102)
    assert found.pods[0].seen.sort == "unknown" and "image" not in found.pods[0].phases()


@pytest.mark.parametrize("name", ["b-00000", "a-preload-00000", "a-00000x", "a-00001", "", None, 7])
def test_events_about_others(name):
    found = tracker()
    found.see_event("ADDED", event("no", "FailedCreate", name=name, severity="Warning"), 101)
    assert found.reasons == {} and found.pods[0].attempts == {}


def test_a_replica_set_that_is_refused():
    found = tracker(bare=False)
    text = 'Error creating: pods "a-00000-6d4-x2" is forbidden: exceeded quota: q'
    found.see_event("ADDED", event(text, "FailedCreate", name="a-00000-6d4", kind="ReplicaSet", severity="Warning"), 101)
    assert found.reasons == {'FailedCreate: Error creating: pods "a-*" is forbidden: exceeded quota: q': {0}} and found.open == {0}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3"}]}, "FailedScheduling: 0/3"),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}]}, "ErrImagePull: not found"),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "CreateContainerError", "message": "m"}}}]}, "CreateContainerError: m"),
        ({"phase": "Failed", "reason": "DeadlineExceeded", "message": "too long"}, "DeadlineExceeded: too long"),
        ({"phase": "Failed"}, "Failed"),
    ],
)
def test_troubles(more, reason):
    found = tracker()
    found.see_pod("MODIFIED", pod(**more), 101)
    assert found.reasons == {reason: {0}}
    assert found.open == (set() if "phase" in more else {0})


def test_a_pull_that_is_waited_for_keeps_its_reason_and_is_a_pull():
    found = tracker()
    for reason in ("ErrImagePull", "ImagePullBackOff"):
        found.see_pod("MODIFIED", pod(containerStatuses=[{"state": {"waiting": {"reason": reason, "message": "gone"}}}]), 101)
    assert found.reasons == {"ErrImagePull: gone": {0}} and found.pods[0].seen.sort == "pulled"


def test_a_bare_pod_that_somebody_deletes_is_lost():
    found = tracker()
    found.see_pod("ADDED", pod(step="scheduled"), 101)
    found.see_pod("DELETED", pod(step="scheduled"), 102)
    assert found.open == set() and found.pods[0].over and found.reasons == {"deleted by somebody else": {0}}


@pytest.mark.parametrize("order", [("first", "second", "gone"), ("second", "first", "gone"), ("gone", "second", "first"), ("second", "gone", "first")])
def test_a_deployment_replaces_what_somebody_deletes(order):
    found = tracker(bare=False)
    steps = {
        "first": ("ADDED", pod(step="scheduled", uid="u1", name="a-00000-x-1")),
        "gone": ("DELETED", pod(step="scheduled", uid="u1", name="a-00000-x-1")),
        "second": ("ADDED", pod(step="ready", uid="u2", name="a-00000-x-2")),
    }
    for now, step in enumerate(order, 101):
        found.see_pod(*steps[step], now)
    assert found.open == set() and found.pods[0].seen.name == "a-00000-x-2" and found.pods[0].phases()["started"] == order.index("second") + 1


def test_a_list_without_a_pod_says_that_it_is_gone():
    found = tracker(3)
    for index in range(2):
        found.see_pod("ADDED", pod(index, uid=f"u{index}"), 101)
    found.see_event("ADDED", event(uid="u2", name="a-00002"), 101)
    found.see_all({"u1"}, 102)
    assert found.open == {1, 2} and found.reasons == {"deleted by somebody else": {0}}


def test_nothing_changes_after_the_end():
    found = tracker()
    found.see_pod("ADDED", pod(), 101)
    found.close()
    found.see_pod("MODIFIED", pod(step="ready"), 102)
    found.see_event("ADDED", event(), 102)
    found.see_all(set(), 103)
    assert found.pods[0].phases() == {"created": 1} and found.open == {0} and found.reasons == {}


def test_the_first_request_counts():
    found = Tracker("a", 1)
    assert found.sending(0, 5.0) is True and found.sending(0, 6.0) is False and found.pods[0].sent == 5.0


def test_reasons_are_bounded():
    found = tracker()
    for number in range(pod_watch.MOST_REASONS + 50):
        found.note(0, f"reason {chr(97 + number % 26)} {number}")
    assert len(found.reasons) == pod_watch.MOST_REASONS


COUNT = 3
SIGHTS = st.tuples(st.just("pod"), st.integers(0, COUNT), st.sampled_from(STEPS), st.sampled_from(["ADDED", "MODIFIED", "DELETED"]), st.integers(0, 2))
EVENTS = st.tuples(st.just("event"), st.integers(0, COUNT), st.sampled_from([PRESENT, PULLED, ""]), st.sampled_from(["ADDED", "DELETED"]), st.integers(0, 2))
LISTS = st.tuples(st.just("list"), st.sets(st.sampled_from([f"u{index}-{uid}" for index in range(COUNT) for uid in range(3)])))


@given(st.lists(SIGHTS | EVENTS | LISTS, max_size=40), st.booleans())
def test_any_order(stream, bare):
    """Whatever comes, in any order and twice: no time before its first sight, and never more pods than were asked for."""
    found, first = tracker(COUNT, bare), {}
    for now, (sort, *said) in enumerate(stream, 101):
        if sort == "list":
            found.see_all(said[0], now)
            continue
        index, what, kind, uid = said
        if sort == "pod":
            found.see_pod(kind, pod(index, what, f"u{index}-{uid}", f"a-{index:05d}"), now)
            for step in STEPS[: STEPS.index(what) + 1]:
                first.setdefault((index, step), now)
        else:
            found.see_event(kind, event(what, uid=f"u{index}-{uid}", name=f"a-{index:05d}"), now)
            first.setdefault((index, "image"), now)
    assert len(found.pods) == COUNT and found.open <= set(range(COUNT))
    for index, one in enumerate(found.pods):
        assert all(100 + seconds >= first[index, phase] for phase, seconds in one.phases().items())
        assert ("started" in one.phases()) is ((index, "started") in first)
        assert index in found.open or one.over or (index, "ready") in first


WORDS = st.text(max_size=5)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3))


@st.composite
def damaged(draw):
    """Return a real pod or event of which one part is something else."""
    item = draw(st.sampled_from([pod(step="ready"), event(), event("no", "FailedCreate", severity="Warning")]))
    at, path = item, draw(st.lists(st.integers(0, 5), min_size=1, max_size=5))
    for step in path[:-1]:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys or not isinstance(at[keys[step % len(keys)]], (dict, list)):
            break
        at = at[keys[step % len(keys)]]
    keys = list(at) if isinstance(at, dict) else list(range(len(at)))
    if keys:
        at[keys[path[-1] % len(keys)]] = draw(JSON)
    return item


@given(st.sampled_from(["ADDED", "MODIFIED", "DELETED", ""]), damaged() | JSON)
def test_damaged_objects(kind, item):
    found = tracker()
    found.see_pod(kind, item, 101)
    found.see_event(kind, item, 101)
    assert len(found.pods) == 1 and all(seconds == 1 for seconds in found.pods[0].phases().values())


class Server:
    """Answers lists from `lists` and watches from `watches`: [events, then an error to raise, or the end]; then sets `done`."""

    def __init__(self, watches, lists=()):
        self.watches, self.lists, self.asked = list(watches), list(lists), []
        self.done = threading.Event()

    def request(self, method, path, query):
        self.asked.append({key: value for key, value in query.items() if value})
        return self.lists.pop(0) if len(self.asked) > 1 and self.lists else {"metadata": {"resourceVersion": "10"}}

    def watch(self, path, timeout, **query):
        self.asked.append(query["resourceVersion"])
        if not self.watches:
            self.done.set()
            raise ClusterError("GET /pods: Connection refused")
        for one in self.watches.pop(0):
            if isinstance(one, Exception):
                raise one
            yield one if isinstance(one, dict) else event_of(one, path)


def line(version, kind="MODIFIED", **more):
    item = pod(**more)
    item["metadata"]["resourceVersion"] = version
    return {"type": kind, "object": item}


def follow(server, monkeypatch):
    monkeypatch.setattr(pod_watch, "SHORTEST_PAUSE", 0.001)
    monkeypatch.setattr(pod_watch, "LONGEST_PAUSE", 0.001)
    found = tracker(2, sent=0.0)
    follower = Follower(server, "/pods", {"labelSelector": "x"}, found.see_pod, found.see_all)
    follower.start()
    assert server.done.wait(5)
    follower.stop(5)
    return found, follower


CUT = [
    [],
    [ClusterError("GET /pods: Connection broken")],
    [RuntimeError("unexpected")],
    [b'{"type": "MODIFIED", "obj'],
    [b"[]"],
    [b'{"type": "ERROR", "object": {"code": 500, "message": "etcd is away"}}'],
    [b'{"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}}'],
    [b'{"type": "ERROR", "object": []}'],
]


@pytest.mark.parametrize("end", CUT, ids=str)
def test_goes_on_after_an_end(end, monkeypatch):
    """However a watch ends, what comes afterwards is seen, and the end is counted."""
    there = {"metadata": {"resourceVersion": "20"}, "items": [pod(step="started")]}
    server = Server([[line("11"), *end], [line("21", step="ready")]], [there])
    found, follower = follow(server, monkeypatch)
    assert "ready" in found.pods[0].phases() and found.open == {1} and follower.reconnects >= 2 and found.reasons == {}


def test_a_loss_counts_once_however_many_tries_it_takes(monkeypatch):
    refused = [ClusterError("GET /pods: Connection refused")]
    dummy, follower = follow(Server([[line("11")], *[refused] * 10, [line("12", step="ready")]]), monkeypatch)
    assert follower.reconnects == 2


def test_silence_is_no_loss(monkeypatch):
    """A watch that this side ends after a long silence goes on, and is not counted; one that another ends is."""
    monkeypatch.setattr(pod_watch, "QUIET", 0.0)
    server = Server([[line("11")], [line("12", step="ready")]])
    found, follower = follow(server, monkeypatch)
    assert "ready" in found.pods[0].phases() and follower.reconnects == 0


def test_goes_on_from_where_it_was(monkeypatch):
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "15"}}}
    server = Server([[line("11"), bookmark], [], [line("16", step="ready")]])
    found, dummy = follow(server, monkeypatch)
    assert server.asked[:4] == [{"labelSelector": "x", "limit": 1}, "10", "15", "15"] and list(found.pods[0].attempts) == ["u0"]


def test_lists_again_in_chunks_when_its_version_is_too_old(monkeypatch):
    page = {"metadata": {"resourceVersion": "30", "continue": "next"}, "items": [pod(0, "ready")]}
    last = {"metadata": {"resourceVersion": "31"}, "items": []}
    server = Server([[line("11"), line("12", index=1, uid="u1"), ClusterError("gone", 410)]], [page, last])
    found, dummy = follow(server, monkeypatch)
    assert server.asked[2:5] == [{"labelSelector": "x", "limit": pod_watch.PAGE}, {"labelSelector": "x", "limit": pod_watch.PAGE, "continue": "next"}, "30"]
    # The second one is not in the list: it was deleted meanwhile.
    assert "ready" in found.pods[0].phases() and found.open == set() and found.reasons == {"deleted by somebody else": {1}}


def test_lists_again_when_a_version_never_works(monkeypatch):
    there = {"metadata": {"resourceVersion": "20"}, "items": [pod(step="ready")]}
    server = Server([[ClusterError("broken")]] * pod_watch.MISSES, [there])
    assert "ready" in follow(server, monkeypatch)[0].pods[0].phases()


def test_needs_a_version_to_begin_with(monkeypatch):
    server = Server([])
    monkeypatch.setattr(server, "request", lambda *arguments, **options: {})
    with pytest.raises(ClusterError, match="resourceVersion"):
        Follower(server, "/pods", {}, None)
