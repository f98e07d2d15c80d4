# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is put on hollow nodes, when, and how pods and EndpointSlices are followed."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import scale_objects, scale_track

OPTIONS = {
    "run_id": "run",
    "name": "scale-1",
    "namespaces": ["a", "b"],
    "image": "pause",
    "groups": [30, 5, 5],
    "rate": 10,
    "tolerations": [{"key": "kubeproof.io/hollow", "operator": "Exists"}],
    "node_selector": {"kubeproof.io/run": "run"},
    "seed": 1,
}


def pod(uid, group="g", node="", ready=False, going=False):
    conditions = [{"type": "Ready", "status": "True"}] if ready else []
    status = {"conditions": conditions, "containerStatuses": [{"state": {"running": {}}}] if ready else []}
    metadata = {"uid": uid, "namespace": "a", "labels": {scale_objects.GROUP_LABEL: group}, **({"deletionTimestamp": "2026-11-21T04:00:00Z"} if going else {})}
    return {"metadata": metadata, "spec": {"containers": [{}], **({"nodeName": node} if node else {})}, "status": status}


def piece(name, *uids, ready=True):
    return {"metadata": {"uid": name, "namespace": "a"}, "endpoints": [{"targetRef": {"uid": uid}, "conditions": {"ready": ready}} for uid in uids]}


# What is sent ---------------------------------------------------------------------------------------------------------------


def test_namespaces_and_services_take_turns():
    groups = scale_objects.layout(OPTIONS)
    assert [(group.namespace, group.served, group.pods) for group in groups] == [("a", True, 30), ("b", False, 5), ("a", True, 5)]
    assert scale_objects.layout(OPTIONS) == groups and all(0.5 * one.pods <= one.scaled + 0.5 and one.scaled <= 1.5 * one.pods + 0.5 for one in groups)


@given(st.lists(st.integers(1, 250), min_size=1, max_size=50), st.sampled_from(["fill", "churn", "drain"]))
def test_requests_are_due_at_the_rate_of_pods(sizes, phase):
    turns = scale_objects.schedule({**OPTIONS, "groups": sizes}, phase)
    moved = {"fill": lambda one: one.pods, "churn": lambda one: abs(one.scaled - one.pods), "drain": lambda one: one.scaled}[phase]
    assert turns[0].due == 0 and len(turns) == len(sizes) == len({turn.group.name for turn in turns})
    for before, after in itertools.pairwise(turns):
        assert after.due - before.due == pytest.approx(moved(before.group) / OPTIONS["rate"])


def test_what_is_wanted_after_each_phase():
    assert scale_objects.wanted(OPTIONS, "fill") == {"scale-1-0000": 30, "scale-1-0001": 5, "scale-1-0002": 5}
    assert set(scale_objects.wanted(OPTIONS, "drain").values()) == {0}


def test_pods_go_to_hollow_nodes_alone_and_are_of_the_run():
    group = scale_objects.layout(OPTIONS)[0]
    made = scale_objects.deployment(OPTIONS, group)
    spec = made["spec"]["template"]["spec"]
    assert spec["nodeSelector"] == {"kubeproof.io/run": "run"} and spec["tolerations"] == OPTIONS["tolerations"]
    for labels in (made["metadata"]["labels"], made["spec"]["template"]["metadata"]["labels"], scale_objects.service(OPTIONS, group)["metadata"]["labels"]):
        assert labels["app.kubernetes.io/managed-by"] == "kubeproof" and labels["kubeproof.io/run"] == "run"


# What is seen ---------------------------------------------------------------------------------------------------------------


def test_a_pod_and_its_endpoint():
    tracker = scale_track.Tracker(["g"])
    tracker.see_pod("ADDED", pod("1"), 10.0)
    tracker.see_pod("MODIFIED", pod("1", node="n"), 10.5)
    assert tracker.state({"g": 1}) == {"pods": 1, "ready": 0, "surplus": 0, "unlisted": 0, "stale": 0}
    tracker.see_pod("MODIFIED", pod("1", node="n", ready=True), 11.0)
    assert tracker.state({"g": 1})["unlisted"] == 1
    tracker.see_slice("ADDED", piece("s", "1"), 13.0)
    assert tracker.state({"g": 1}) == {"pods": 1, "ready": 1, "surplus": 0, "unlisted": 0, "stale": 0}
    facts = tracker.facts(10.0, 14.0)
    assert facts["phases"]["scheduled"]["p99"] == 0.5 and facts["phases"]["ready"]["p99"] == 1.0
    assert facts["endpoints"]["added"] == {"count": 1, **dict.fromkeys(("p50", "p90", "p95", "p99", "max"), 2.0)}
    assert (facts["nodes"], facts["most_on_a_node"], facts["reasons"]) == (1, 1, [])


def test_an_endpoint_that_was_seen_before_its_pod_is_no_delay():
    tracker = scale_track.Tracker(["g"])
    tracker.see_slice("ADDED", piece("s", "1"), 9.0)
    tracker.see_pod("ADDED", pod("1", node="n", ready=True), 10.0)
    assert tracker.facts(0.0, 11.0)["endpoints"]["added"]["max"] == 0.0 and tracker.state({"g": 1})["unlisted"] == 0


def test_a_pod_that_goes_and_its_endpoint_that_stays():
    tracker = scale_track.Tracker(["g"])
    tracker.see_pod("ADDED", pod("1", node="n", ready=True), 10.0)
    tracker.see_slice("ADDED", piece("s", "1"), 10.0)
    tracker.see_pod("MODIFIED", pod("1", node="n", ready=True, going=True), 20.0)
    assert tracker.state({"g": 0}) == {"pods": 0, "ready": 0, "surplus": 1, "unlisted": 0, "stale": 1}
    tracker.see_pod("DELETED", pod("1"), 21.0)
    assert tracker.state({"g": 0})["stale"] == 1 and tracker.facts(15.0, 30.0)["endpoints"]["removed"]["max"] == [10.0, None]
    tracker.see_slice("MODIFIED", piece("s", "1", ready=False), 25.0)
    assert tracker.state({"g": 0}) == dict.fromkeys(("pods", "ready", "surplus", "unlisted", "stale"), 0)
    assert tracker.facts(15.0, 30.0)["endpoints"]["removed"]["max"] == 5.0


def test_what_was_not_seen_is_slower_than_everything():
    tracker = scale_track.Tracker(["g"])
    for number in range(99):
        tracker.see_pod("ADDED", pod(str(number)), 0.0)
        tracker.see_pod("MODIFIED", pod(str(number), node="n", ready=True), 1.0)
    tracker.see_pod("ADDED", pod("stuck"), 0.0)
    facts = tracker.facts(0.0, 60.0)
    assert facts["phases"]["ready"]["count"] == 100 and facts["phases"]["ready"]["max"] == [60.0, None]
    assert facts["endpoints"]["added"]["p99"] == [59.0, None] and facts["endpoints"]["added"]["count"] == 99
    assert facts["reasons"] == [{"reason": "not ready in time, last seen created", "count": 1}]


def test_a_list_after_a_lost_watch_ends_what_is_not_in_it():
    tracker = scale_track.Tracker(["g"])
    for uid in ("1", "2"):
        tracker.see_pod("ADDED", pod(uid, node="n", ready=True), 1.0)
    tracker.see_slice("ADDED", piece("s", "1", "2"), 1.0)
    # The list of another namespace says nothing.
    tracker.see_pods("b", set(), 4.0)
    tracker.see_slices("b", set(), 4.0)
    assert tracker.state({"g": 2}) == {"pods": 2, "ready": 2, "surplus": 0, "unlisted": 0, "stale": 0}
    tracker.see_pods("a", {"1"}, 5.0)
    assert tracker.state({"g": 1}) == {"pods": 1, "ready": 1, "surplus": 0, "unlisted": 0, "stale": 1}
    tracker.see_slices("a", set(), 6.0)
    assert tracker.state({"g": 1})["unlisted"] == 1


def test_after_the_end_nothing_changes():
    tracker = scale_track.Tracker([])
    tracker.close()
    tracker.see_pod("ADDED", pod("1"), 1.0)
    tracker.see_slice("ADDED", piece("s", "1"), 1.0)
    assert tracker.pods == {} and tracker.slices == {}


@pytest.mark.parametrize(
    ("times", "expected"),
    [([], None), ([1.0], None), ([0.0, 4.9], None), ([0.0, 5.0], 0.4), ([0.1 * one for one in range(200)], 10.0), ([0.0] * 50 + [100.0], 10.0)],
)
def test_the_busiest_five_seconds(times, expected):
    assert scale_track.busiest(times) == (expected if expected is None else pytest.approx(expected, abs=0.3))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10))
def test_any_object_is_survived(value):
    tracker = scale_track.Tracker(["g"])
    for kind in ("ADDED", "DELETED"):
        tracker.see_pod(kind, {"metadata": value, "spec": value, "status": value}, 1.0)
        tracker.see_slice(kind, {"metadata": {"uid": "s"}, "endpoints": [{"targetRef": value, "conditions": value}]}, 1.0)
    assert tracker.state({"g": 1})["ready"] == 0
