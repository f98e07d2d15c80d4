# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""More pods than there are slots for at a time."""

from __future__ import annotations

import gzip
import json
import os
import signal
import threading

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import pod_load
from ansible_collections.kubeproof.certify.plugins.modules import pod_startup
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import status
from ansible_collections.kubeproof.certify.tests.unit.plugins.pods_fake import NAMESPACE, PODS, Api, caller

DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
COUNTS = ("expected", "created", "started", "ready", "failed", "left")
LATER = 0.06


@pytest.fixture(name="api")
def fixture_api():
    with Api() as api:
        yield api


@pytest.fixture(name="call")
def fixture_call(api, capsys, tmp_path, monkeypatch):
    call = caller(api, capsys, tmp_path, monkeypatch)
    # Every pod that starts here has an event, however late it is seen.
    monkeypatch.setattr(pod_startup, "IMAGE_WAIT", 2.0)
    return call


def numbers(facts):
    return tuple(facts[key] for key in COUNTS)


def deleted(api):
    """Return the names that were asked to be deleted one by one, without the test of the rights."""
    return [asked.path.rpartition("/")[2] for asked in api.asked if asked.method == "DELETE" and not asked.query][1:]


def linger(api):
    """Let pods go a while after they were deleted, as a kubelet does."""
    timers = []

    def later(name):
        if not any(one.args[1] == name for one in timers) and (PODS, name) in api.store:
            timers.append(threading.Timer(LATER, api.finish, (PODS, name)))
            timers[-1].start()
        return 200, {}

    api.on_delete = later


@pytest.mark.parametrize("at_once", [1, 3, 20])
@pytest.mark.parametrize("kind", ["pod", "deployment"])
def test_never_more_than_there_are_slots(call, api, kind, at_once):
    facts = call(count=20, rate=2000, kind=kind, at_once=at_once)["facts"]
    assert numbers(facts) == (20, 20, 20, 20, 0, 0) and api.peak <= at_once
    assert [entry["count"] for entry in facts["phases"].values()] == [20] * 6 and facts["images"]["present"] == facts["latency"]["present"]["count"] == 20
    assert facts["reasons"] == [{"reason": "waited for a slot", "count": facts["slot_waits"]["count"]}] * bool(facts["slot_waits"]["count"])
    # Those that nobody needed the slot of may be left to the end.
    assert 20 - at_once <= len(deleted(api)) == len(set(deleted(api)))
    owner = PODS if kind == "pod" else DEPLOYMENTS
    own = [asked for asked in api.asked if asked.method == "DELETE" and not asked.query]
    assert all(asked.path.startswith(owner + "/a-") and asked.body["preconditions"]["uid"] for asked in own)


def test_without_a_limit_nothing_is_deleted_before_the_end(call, api):
    facts = call(count=10)["facts"]
    assert numbers(facts) == (10, 10, 10, 10, 0, 0) and api.peak == 10 and deleted(api) == [] and facts["slot_waits"] == {"count": 0}


def test_waiting_for_a_slot_is_latency_and_no_fault_of_the_generator(call, api, monkeypatch, tmp_path):
    monkeypatch.setattr(pod_load, "LATE_SECONDS", 1.5 * LATER)
    monkeypatch.setattr(pod_startup, "BUSY", 99)
    linger(api)
    facts = call(at_once=1, rate=1000, raw=str(tmp_path / "pods"))["facts"]
    assert numbers(facts) == (3, 3, 3, 3, 0, 0) and api.peak == 1
    assert facts["slot_waits"]["count"] == 2 and facts["slot_waits"]["max"] > 1.9 * LATER > facts["late"]
    assert facts["latency"]["present"]["max"] >= facts["phases"]["created"]["max"] >= facts["slot_waits"]["max"] and not facts["generator_limited"]
    kept = [json.loads(line) for line in gzip.decompress((tmp_path / "pods.jsonl.gz").read_bytes()).splitlines()]
    assert ["due" in one for one in kept] == [False, True, True] and kept[2]["sent"] - kept[2]["due"] == pytest.approx(facts["slot_waits"]["max"], abs=1e-4)


def test_a_slot_that_never_gets_free(call, api):
    """Those that are not made are lost, and the time that they waited is known; what hangs is deleted in the end."""
    api.on_delete = lambda name: (200, {})
    facts = call(count=5, rate=1000, at_once=2, timeout=0.4)["facts"]
    assert numbers(facts) == (5, 2, 2, 2, 3, 0) and sorted(deleted(api)) == ["a-00000", "a-00001"]
    assert facts["slot_waits"]["count"] == facts["latency"]["present"]["count"] - 2 == 3
    assert facts["slot_waits"]["p50"][0] > 0.05 and facts["latency"]["present"]["max"][0] > 0.05 and facts["latency"]["present"]["max"][1] is None
    assert facts["reasons"] == [{"reason": "not created in time", "count": 3}, {"reason": "waited for a slot", "count": 3}]


def test_a_pod_that_does_not_start_keeps_its_slot(call, api):
    api.steps = ("scheduled",)
    facts = call(at_once=2, timeout=0.4)["facts"]
    assert numbers(facts) == (3, 2, 0, 0, 3, 0) and deleted(api) == [] and api.peak == 2
    assert {"reason": "not started in time, last seen scheduled", "count": 2} in facts["reasons"]


def test_refused_pods_have_no_slot(call, api):
    api.on_create = lambda number, index: (403, status(403, "Forbidden", "exceeded quota: few")) if index < 4 else None
    facts = call(count=6, at_once=1)["facts"]
    assert numbers(facts) == (6, 2, 2, 2, 4, 0) and {"reason": "403 exceeded quota: few", "count": 4} in facts["reasons"] and api.peak == 1


def test_one_that_is_tried_again_has_a_slot(call, api):
    api.on_create = lambda number, index: (429, status(429, "TooManyRequests", "wait")) if number < 6 else None
    facts = call(count=5, at_once=1)["facts"]
    assert numbers(facts) == (5, 5, 5, 5, 0, 0) and api.peak == 1 and {"reason": "429 Too Many Requests", "count": 5} in facts["reasons"]


@pytest.mark.parametrize("kind", ["pod", "deployment"])
def test_an_answer_that_is_lost(call, api, kind):
    """The pod is ready before its request is known to have arrived; it is not made twice."""

    def lose(number, index):
        if number > 1:
            return None
        body = api.with_uid(next(asked for asked in api.asked if asked.method == "POST").body)
        api.put("ADDED", PODS if kind == "pod" else DEPLOYMENTS, body)
        (api.run if kind == "pod" else api.replicate)(body)
        return 504, status(504, "Timeout", "the server did not answer")

    api.on_create = lose
    facts = call(at_once=1, kind=kind)["facts"]
    assert numbers(facts) == (3, 3, 3, 3, 0, 0) and api.creates == 4 and api.peak == 1
    assert [name[:7] for name in deleted(api)[:2]] == ["a-00000", "a-00001"]


def test_deletion_goes_on_through_errors(call, api):
    failures = iter([(503, status(503, "ServiceUnavailable", "starting")), (429, status(429, "TooManyRequests", "wait")), (404, {})])
    api.on_delete = lambda name: next(failures) if name == "a-00000" and (PODS, name) in api.store and len(deleted(api)) < 3 else None
    facts = call(at_once=1)["facts"]
    assert numbers(facts) == (3, 3, 3, 3, 0, 0) and api.peak == 1
    assert {one["reason"] for one in facts["reasons"]} >= {"cannot delete yet: 503 starting", "cannot delete yet: 429 wait"}


def test_what_we_delete_is_deleted_by_nobody_else(call, api):
    """What a kubelet says of a pod that it ends is no reason either."""

    def end(name):
        if (PODS, name) in api.store:
            api.put("MODIFIED", PODS, {**api.store[PODS, name][1], "status": {"phase": "Failed", "message": "killed"}})

    api.on_delete = end
    facts = call(count=6, at_once=2, rate=100)["facts"]
    assert numbers(facts) == (6, 6, 6, 6, 0, 0) and {one["reason"] for one in facts["reasons"]} <= {"waited for a slot"}


def test_one_that_somebody_else_deletes_has_no_slot(call, api):
    api.steps = ("scheduled",)

    def delete(number, index):
        if number == 1:
            threading.Timer(0.02, lambda: (setattr(api, "steps", ("scheduled", "ready")), api.finish(PODS, "a-00000"))).start()

    api.on_create = delete
    facts = call(at_once=1)["facts"]
    assert numbers(facts) == (3, 3, 2, 2, 1, 0) and {"reason": "deleted by somebody else", "count": 1} in facts["reasons"] and api.peak == 1


def test_one_that_fails_is_deleted(call, api):
    def fail(number, index):
        if index == 0:
            api.put("ADDED", PODS, {**api.with_uid(api.asked[-1].body), "status": {"phase": "Failed", "reason": "Evicted", "message": "no room"}})
            return 201, {}

    api.on_create = fail
    facts = call(at_once=1)["facts"]
    assert numbers(facts) == (3, 3, 2, 2, 1, 0) and {"reason": "Evicted: no room", "count": 1} in facts["reasons"] and len(facts["reasons"]) == 2


@pytest.mark.parametrize("kind", ["pod", "deployment"])
def test_what_could_not_be_deleted_by_name_is_not_made(call, api, kind):
    api.on_delete = lambda name: (403, status(403, "Forbidden", "cannot delete by name"))
    assert "403 cannot delete by name" in call(kind=kind, at_once=5)["msg"] and api.creates == 0


def test_the_test_of_the_rights_deletes_nothing(call, api):
    api.put("ADDED", PODS, {"metadata": {"name": "a-00000", "uid": "another's"}})
    api.stuck = {"a-00000"}
    facts = call(at_once=5, count=2)["facts"]
    assert numbers(facts) == (2, 1, 1, 1, 1, 0) and (PODS, "a-00000") in api.store


def test_a_signal_while_pods_wait_for_a_slot(call, api):
    api.on_delete = lambda name: os.kill(os.getpid(), signal.SIGTERM) or (200, {}) if name == "a-00000" and api.creates else None
    answer = call(count=50, rate=1000, at_once=1, timeout=60)
    assert answer["failed"] is True and answer["facts"]["created"] == 1 and answer["facts"]["left"] == 0


def test_the_preload_has_no_slots(call, api):
    facts = call(preload=True, nodes=["n1", "n2", "n3"], at_once=1)["facts"]
    assert numbers(facts) == (3, 3, 3, 3, 0, 0)


@pytest.mark.parametrize("ends", [[1, 2, 0, 1], [{"type": "ERROR", "object": {"code": 410, "message": "too old"}}, 4, 1]], ids=str)
def test_watches_that_end(call, api, ends):
    """A slot whose pod went while nobody looked is found to be free."""
    api.watches[PODS] = [*ends]
    facts = call(count=6, at_once=2)["facts"]
    assert numbers(facts) == (6, 6, 6, 6, 0, 0) and facts["reconnects"] >= 1 and api.peak <= 2
