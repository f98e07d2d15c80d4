# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import gzip
import json
import os
import signal
import threading
from collections import Counter
from types import SimpleNamespace

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import pod_load, pod_watch, report_verify_raw
from ansible_collections.kubeproof.certify.plugins.modules import pod_startup
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import status
from ansible_collections.kubeproof.certify.tests.unit.plugins.pods_fake import EVENTS, NAMESPACE, PODS, PRESENT, Api, caller, terms_of

APPS = f"/apis/apps/v1/namespaces/{NAMESPACE}/"
PULLED = 'Successfully pulled image "pause" in 1.2s'
QUOTA = status(403, "Forbidden", 'pods "a-00001" is forbidden: exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2')
SECURITY = status(403, "Forbidden", 'pods "a-00001" is forbidden: violates PodSecurity "restricted:latest": seccompProfile')
RBAC = status(403, "Forbidden", 'pods is forbidden: User "x" cannot create resource "pods" in API group "" in the namespace "proof"')
NO_NAMESPACE = status(404, "NotFound", 'namespaces "proof" not found')
DENIED = status(400, "BadRequest", 'admission webhook "no.example.com" denied the request: no')
WEBHOOK = status(500, "InternalError", 'Internal error occurred: failed calling webhook "slow": context deadline exceeded')
CROWDED = status(429, "TooManyRequests", "too many requests")


@pytest.fixture(name="api")
def fixture_api():
    with Api() as api:
        yield api


@pytest.fixture(name="call")
def fixture_call(api, capsys, tmp_path, monkeypatch):
    return caller(api, capsys, tmp_path, monkeypatch)


def numbers(facts, *keys):
    return tuple(facts[key] for key in keys)


COUNTS = ("expected", "created", "started", "ready", "failed", "left")


@pytest.mark.parametrize("kind", ["pod", "deployment"])
def test_all_good(call, api, tmp_path, kind):
    answer = call(kind=kind, raw=str(tmp_path / "raw/pods"))
    facts = answer["facts"]
    assert answer["changed"] is True and numbers(facts, *COUNTS, "reconnects", "reasons") == (3, 3, 3, 3, 0, 0, 0, [])
    assert facts["images"] == {"present": 3, "pulled": 0, "unknown": 0} and facts["nodes"] == {"n1": 3}
    assert list(facts["latency"]) == ["present", "pulled", "unknown"] and facts["latency"]["pulled"] == {"count": 0}
    assert set(facts["latency"]["present"]) == {"count", "p50", "p90", "p95", "p99", "max"} and facts["latency"]["present"]["count"] == 3
    assert [entry["count"] for entry in facts["phases"].values()] == [3] * 6
    assert len(facts["slowest"]) == 3 and set(facts["slowest"][0]) == {"pod", "node", "seconds", *pod_watch.PHASES}
    assert facts["rate_offered"] == 500 and facts["rate"] > 0 and facts["late"] >= 0 and facts["seconds"] > 0
    assert facts["slot_waits"] == {"count": 0}
    generator = {"rate_offered", "rate", "late", "slot_waits", "generator_limited"}
    assert set(facts) == {*COUNTS, *generator, "reconnects", "seconds", "latency", "images", "phases", "nodes", "slowest", "reasons"}
    kept = [json.loads(line) for line in gzip.decompress((tmp_path / "raw/pods.jsonl.gz").read_bytes()).splitlines()]
    assert [one["index"] for one in kept] == [0, 1, 2] and all(one["image_was"] == "present" and one["ready"] > 0 for one in kept)
    # What they say is all that is needed to compute it again.
    assert report_verify_raw.Raw(str(tmp_path), ".").at("pods") == facts
    created = [asked.path for asked in api.asked if asked.method == "POST"]
    assert created == [PODS if kind == "pod" else APPS + "deployments"] * 3


def test_pulled_is_told_apart(call, api):
    api.on_create = lambda number, index: setattr(api, "pulled", PULLED if index == 0 else PRESENT)
    facts = call()["facts"]
    assert facts["images"] == {"present": 2, "pulled": 1, "unknown": 0}
    assert (facts["latency"]["present"]["count"], facts["latency"]["pulled"]["count"]) == (2, 1)


def test_every_node_pulls_every_image(call, api):
    api.pulled = PULLED
    facts = call(images=["a", "b"], image=None, count=None, nodes=["n1", "n2", "n3"])["facts"]
    assert numbers(facts, "expected", "started", "left") == (6, 6, 0) and facts["latency"]["pulled"]["count"] == 6
    bodies = [asked.body for asked in api.asked if asked.method == "POST"]
    places = {(body["spec"]["containers"][0]["image"], terms_of(body)[0]["matchFields"][0]["values"][0]) for body in bodies}
    assert places == {(image, node) for image in "ab" for node in ("n1", "n2", "n3")} and all(len(terms_of(body)) == 1 for body in bodies)


def test_without_events(call, api):
    api.pulled = ""
    facts = call()["facts"]
    assert facts["images"]["unknown"] == 3 and facts["latency"]["unknown"]["count"] == 3 and facts["phases"]["image"] == {"count": 0}


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        ((403, QUOTA), "exceeded quota"),
        ((403, SECURITY), "violates PodSecurity"),
        ((400, DENIED), "denied the request"),
        ((500, WEBHOOK), "failed calling webhook"),
    ],
)
def test_a_refused_pod_is_slower_than_every_bound(call, api, refusal, said):
    api.on_create = lambda number, index: refusal if index == 1 else None
    facts = call()["facts"]
    assert numbers(facts, *COUNTS) == (3, 2, 2, 2, 1, 0)
    latency = facts["latency"]["present"]
    assert latency["count"] == 3 and latency["p99"] == [facts["slowest"][0]["seconds"], None] and isinstance(latency["p50"], float)
    assert facts["phases"]["ready"]["count"] == 3 and facts["phases"]["ready"]["max"][1] is None
    assert len(facts["reasons"]) == 1 and facts["reasons"][0]["count"] == 1 and said in facts["reasons"][0]["reason"]


@pytest.mark.parametrize("preload", [True, False])
def test_all_refused(call, api, preload):
    api.on_create = lambda number, index: (403, QUOTA)
    facts = call(preload=preload, nodes=["n1"])["facts"]
    assert numbers(facts, *COUNTS) == (3, 0, 0, 0, 3, 0) and facts["images"] == {"present": 0, "pulled": 0, "unknown": 0}
    sort = "present" if preload else "unknown"
    assert facts["latency"][sort] == {"count": 3, **dict.fromkeys(("p50", "p90", "p95", "p99", "max"), [0.0, None])}
    assert "exceeded quota" in facts["reasons"][0]["reason"] and facts["reasons"][0]["reason"].startswith("preload: ") is preload
    # Without the image on any node there is nothing to measure.
    assert api.creates == (1 if preload else 3)


def test_never_started(call, api):
    api.steps = ("scheduled", "sandbox")
    facts = call(timeout=0.1)["facts"]
    assert numbers(facts, *COUNTS) == (3, 3, 0, 0, 3, 0)
    assert facts["reasons"] == [{"reason": "not started in time, last seen sandbox", "count": 3}]
    low, high = facts["latency"]["unknown"]["p50"]
    assert 0.05 < low < 5 and high is None and facts["phases"]["started"] == {"count": 0} and facts["phases"]["sandbox"]["count"] == 3


def test_started_and_never_ready(call, api):
    api.steps = ("scheduled", "started")
    facts = call(timeout=0.1)["facts"]
    assert numbers(facts, *COUNTS) == (3, 3, 3, 0, 0, 0) and facts["phases"]["ready"] == {"count": 0}


def test_429_is_an_answer_and_is_tried_again(call, api):
    api.on_create = lambda number, index: (429, CROWDED) if number <= 4 else None
    facts = call()["facts"]
    assert numbers(facts, *COUNTS) == (3, 3, 3, 3, 0, 0) and facts["reasons"] == [{"reason": "429 Too Many Requests", "count": 4}]
    # From the first request on.
    assert facts["latency"]["present"]["max"] > 0.01


@pytest.mark.parametrize(("default", "said"), [(60.0, "0"), (0.01, "Sat, 21 Nov 2026 08:00:00 GMT")])
def test_retry_after_is_obeyed(call, api, monkeypatch, default, said):
    """The server's word counts, where it is a number of seconds."""
    monkeypatch.setattr(pod_load, "RETRY_AFTER", default)
    api.headers = {"Retry-After": said}
    api.on_create = lambda number, index: (429, CROWDED) if number == 1 else None
    assert numbers(call()["facts"], *COUNTS) == (3, 3, 3, 3, 0, 0) and api.creates == 4


def test_an_answer_that_is_lost(call, api):
    """The request arrived, its answer did not; the next one finds the pod there."""

    def lose(number, index):
        body = next(asked for asked in api.asked if asked.method == "POST").body
        if number > 1:
            return api.run(body)
        api.put("ADDED", PODS, body)
        return 504, status(504, "Timeout", "the server did not answer")

    api.on_create = lose
    facts = call(count=1)["facts"]
    assert numbers(facts, *COUNTS) == (1, 1, 1, 1, 0, 0) and "rate" not in facts and api.creates == 2


def test_a_name_that_is_taken_is_no_success(call, api):
    api.on_create = lambda number, index: (409, status(409, "AlreadyExists", 'pods "a-00000" already exists')) if index == 0 else None
    facts = call()["facts"]
    assert numbers(facts, *COUNTS) == (3, 2, 2, 2, 1, 0) and facts["reasons"][0]["reason"] == '409 pods "a-*" already exists'


GONE = {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old resource version"}}


@pytest.mark.parametrize("ends", [[1, 2, 0, 1], [GONE, 1], [1, GONE, GONE], [b'{"type": "MODIF', 3], [{"type": "ADDED"}, 2]], ids=str)
@pytest.mark.parametrize("path", [PODS, EVENTS])
def test_watches_that_end(call, api, path, ends):
    api.watches[path] = [*ends]
    facts = call(count=5)["facts"]
    assert numbers(facts, *COUNTS) == (5, 5, 5, 5, 0, 0) and facts["images"]["present"] == 5 and facts["reasons"] == []
    assert facts["reconnects"] >= 1


def test_a_pod_that_somebody_deletes(call, api):
    api.steps = ("scheduled",)

    def delete(number, index):
        if number == 3:
            api.steps = ("scheduled", "ready")
            for path, item in [*api.store.values()]:
                api.put("DELETED", path, item)

    api.on_create = delete
    # The third request deletes what the others made.
    facts = call()["facts"]
    assert numbers(facts, *COUNTS) == (3, 3, 1, 1, 2, 0) and facts["reasons"] == [{"reason": "deleted by somebody else", "count": 2}]


def test_a_restart_while_deleting(call, api):
    """Deletion goes on through errors, and is not over before the list is empty."""
    failures = iter([{}, (503, status(503, "ServiceUnavailable", "starting")), (403, status(403, "Forbidden", "not yet ready to handle request"))])
    api.answers[f"DELETE {PODS}"] = lambda asked: next(failures, None) or api.delete(asked)
    assert call()["facts"]["left"] == 0


def test_what_cannot_be_deleted_is_counted(call, api, monkeypatch):
    monkeypatch.setattr(pod_load, "REMOVE_TIMEOUT", 0.05)
    api.stuck = {"a-00001"}
    facts = call()["facts"]
    assert facts["left"] == 1 and facts["reasons"] == [{"reason": "cannot delete: they stay", "count": 1}]


def test_nobody_can_say_what_is_left(call, api, monkeypatch):
    monkeypatch.setattr(pod_load, "REMOVE_TIMEOUT", 0.05)
    lists = iter(range(3))

    def answer(asked):
        """Answer the first lists, those before and at the begin of the measurement."""
        if asked.query.get("watch"):
            return api.watch(asked)
        unauthorized = asked.query.get("limit") and next(lists, None) is None
        return (401, status(401, "Unauthorized", "Unauthorized")) if unauthorized else {"metadata": {"resourceVersion": "100"}, "items": []}

    api.answers[f"GET {PODS}"] = answer
    api.stuck = {f"a-0000{index}" for index in range(3)}
    facts = call()["facts"]
    assert facts["left"] == 3 and facts["reasons"][0]["reason"] == "cannot delete: 401 Unauthorized"


def test_force_is_the_last_resort_and_is_said(call, api, monkeypatch):
    monkeypatch.setattr(pod_load, "FORCE_AFTER", 0.05)
    api.stuck = {"a-00001"}
    facts = call()["facts"]
    assert facts["left"] == 0 and facts["reasons"] == [{"reason": "deleted by force only", "count": 1}]
    assert not [item for path, item in api.store.values() if path == PODS]


def test_what_a_killed_call_left_is_deleted_first(call, api):
    options = {"run_id": "r1", "namespace": NAMESPACE, "name": "a", "image": "p", "kind": "pod", "timeout": 5.0}
    api.put("ADDED", PODS, pod_load.manifest({**options, "nodes": [], "tolerations": [], "resources": {}}, 0))
    assert numbers(call()["facts"], *COUNTS) == (3, 3, 3, 3, 0, 0)


def test_preload(call, api):
    facts = call(preload=True, nodes=["n1", "n2"])["facts"]
    assert facts["expected"] == facts["started"] == 3
    bodies = [asked.body for asked in api.asked if asked.method == "POST"]
    names = [body["metadata"]["name"] for body in bodies]
    assert sorted(names[:2]) == ["a-preload-00000", "a-preload-00001"] and sorted(names[2:]) == ["a-00000", "a-00001", "a-00002"]
    where = [[term["matchFields"][0]["values"] for term in terms_of(body)] for body in sorted(bodies[:2], key=lambda body: body["metadata"]["name"])]
    assert where == [[["n1"]], [["n2"]]]
    # Those are deleted before the measurement begins.
    order = [(asked.method, asked.path) for asked in api.asked if asked.method in ("POST", "DELETE")]
    assert order[:5] == [("DELETE", PODS)] + [("POST", PODS)] * 2 + [("DELETE", PODS), ("POST", PODS)]


def test_a_signal_while_the_image_is_loaded(call, api):
    """Not one pod more is made."""
    api.on_create = lambda count, index: os.kill(os.getpid(), signal.SIGTERM)
    answer = call(preload=True, nodes=["n1"])
    assert answer["failed"] is True and api.creates == 1 and answer["facts"]["created"] == 0 and answer["facts"]["left"] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_and_everything_is_deleted(call, api, number):
    api.on_create = lambda count, index: os.kill(os.getpid(), number) if index == 1 else None
    before = signal.getsignal(number)
    answer = call(count=50, rate=20, timeout=60)
    assert answer["failed"] is True and answer["msg"] == f"pod_startup was stopped by {number.name}; 0 of its objects are left."
    assert answer["facts"]["created"] < 50 and answer["facts"]["left"] == 0 and signal.getsignal(number) is before


def test_a_rule_that_is_met_ends_it_and_nothing_of_it_is_kept(call, api, tmp_path, monkeypatch):
    """Of a part nobody may think that it is the whole; what was made is deleted as always."""
    watching = SimpleNamespace(reason=None)
    monkeypatch.setattr(pod_startup, "watch_of", lambda option: contextlib.nullcontext(watching))
    api.on_create = lambda number, index: setattr(watching, "reason", "etcd is full")
    answer = call(count=500, rate=50, timeout=60, raw=str(tmp_path / "raw/pods"), watch={"rules": []})
    assert answer["aborted"] and answer["msg"] == "pod_startup was aborted: etcd is full" and "facts" not in answer and not (tmp_path / "raw").exists()
    assert len([asked for asked in api.asked if asked.method == "POST"]) < 500


@pytest.mark.parametrize(
    ("request_", "answer", "said"),
    [
        (f"POST {PODS}", (404, NO_NAMESPACE), f'No pod can be created in proof: POST {PODS}: 404 namespaces "proof" not found.'),
        (f"POST {PODS}", (403, RBAC), "cannot create resource"),
        (f"POST {PODS}", (401, status(401, "Unauthorized", "Unauthorized")), "401 Unauthorized"),
        (f"GET {EVENTS}", (403, status(403, "Forbidden", "events is forbidden")), f"Cannot measure pods in proof: GET {EVENTS}: 403 events is forbidden."),
    ],
)
def test_nothing_can_be_measured(call, api, request_, answer, said):
    api.answers[request_] = answer
    result = call()
    assert result["failed"] is True and said in result["msg"] and "facts" not in result and "\n" not in result["msg"]


@pytest.mark.parametrize("kind", ["pod", "deployment"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("path", [PODS, APPS + "replicasets"])
def test_what_could_not_be_deleted_is_not_made(call, api, kind, method, path):
    api.answers[f"{method} {path}"] = (403, status(403, "Forbidden", f"{path} is forbidden"))
    if kind == "deployment" or path == PODS:
        result = call(kind=kind)
        assert result["failed"] is True and f"403 {path} is forbidden" in result["msg"] and api.creates == 0


def test_a_kubeconfig_that_is_broken(call, tmp_path):
    (tmp_path / "broken").write_text("{")
    assert "broken" in call(kubeconfig=str(tmp_path / "broken"))["msg"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"count": 0}, "count is 0"),
        ({"count": 100_000}, "count is 100000"),
        ({"rate": 0}, "rate is 0"),
        ({"rate": "nan"}, "rate is nan"),
        ({"timeout": -1}, "timeout is -1"),
        ({"at_once": -1}, "at_once is -1"),
        ({"count": 100, "rate": 10}, "to create 100 pods takes 10 s"),
        ({"name": "A"}, "name is 'A'"),
        ({"name": "a" * 41}, "name is"),
        ({"run_id": "a b"}, "run_id is 'a b'"),
        ({"namespace": "../x"}, "namespace is"),
        ({"nodes": ["n"] * 101}, "nodes has 101"),
        ({"preload": True}, "preload needs nodes"),
        ({"image": None}, "image or count is missing"),
        ({"count": None}, "image or count is missing"),
        ({"images": ["a"]}, "images needs nodes"),
        ({"images": ["a"], "nodes": ["n"], "preload": True}, "and no preload"),
        ({"raw": "here"}, "raw is 'here'"),
        ({"_ansible_check_mode": True}, "check mode"),
    ],
)
def test_options_that_cannot_be_used(call, api, options, said):
    result = call(**options)
    assert result["failed"] is True and said in result["msg"] and api.asked == []


def test_a_late_generator_says_so(call, api, monkeypatch):
    monkeypatch.setattr(pod_load, "THREADS", 1)
    monkeypatch.setattr(pod_load, "LATE_SECONDS", 0.001)
    api.on_create = lambda number, index: threading.Event().wait(0.01) and None
    facts = call()["facts"]
    assert facts["generator_limited"] is True and facts["late"] > 0.001 and facts["rate"] < 500


def test_reasons_are_at_most_ten(call, api):
    api.on_create = lambda number, index: (422, status(422, "Invalid", f"reason {chr(97 + index % 12)}"))
    found = call(count=24, rate=2000)["facts"]["reasons"]
    assert len(found) == 10 and Counter(one["count"] for one in found) == {2: 10}
