# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An API server for tests that keeps pods, Deployments and events, with a scheduler and a kubelet that do their work at once."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils import pod_load, pod_slots, pod_watch
from ansible_collections.kubeproof.certify.plugins.modules import pod_startup
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import TOKEN, FakeCluster, status

NAMESPACE = "proof"
PODS, EVENTS = f"/api/v1/namespaces/{NAMESPACE}/pods", f"/api/v1/namespaces/{NAMESPACE}/events"
PRESENT = 'Container image "pause" already present on machine'


class Api(FakeCluster):
    """An API server that keeps pods, Deployments and events, and a kubelet that starts each pod at once.

    `on_create(number, index)` returns a (status, data) instead of creating, `on_delete(name)` one instead of deleting what is deleted by name,
    `steps` are what each pod goes through, `peak` is the greatest number of pods that there was at a time,
    `watches` holds for each path what ends its next watches: a number of events after which it ends, an event, or the bytes of a line that is cut off.
    """

    def __init__(self):
        super().__init__()
        self.server.RequestHandlerClass = chunked(self.server.RequestHandlerClass)
        self.store, self.log, self.version, self.creates = {}, [], 100, 0
        self.changed = threading.Condition()
        self.over, self.watches, self.stuck = False, {}, set()
        self.on_create, self.on_delete, self.pulled, self.peak = lambda number, index: None, lambda name: None, PRESENT, 0
        self.steps = ("scheduled", "sandbox", "ready")

    def __exit__(self, *dummy):
        self.over = True
        super().__exit__()

    def respond(self, asked, authorization):
        if authorization != f"Bearer {self.token}" or f"{asked.method} {asked.path}" in self.answers:
            return super().respond(asked, authorization)
        if asked.method == "POST":
            return self.create(asked)
        if asked.method == "DELETE":
            return self.delete(asked) if "labelSelector" in asked.query else self.delete_one(asked)
        if asked.query.get("watch"):
            return 200, self.watch(asked)
        with self.changed:
            items = [item for path, item in self.store.values() if path == asked.path and wanted(item, asked.query.get("labelSelector"))]
            return 200, {"metadata": {"resourceVersion": str(self.version)}, "items": items}

    def put(self, kind, path, item):
        with self.changed:
            self.version += 1
            item = json.loads(json.dumps(item))
            item["metadata"]["resourceVersion"] = str(self.version)
            key = (path, item["metadata"]["name"])
            if kind == "DELETED":
                self.store.pop(key, None)
            else:
                self.store[key] = (path, item)
                self.peak = max(self.peak, sum(path == PODS for path, dummy in self.store))
            self.log.append((self.version, path, {"type": kind, "object": item}))
            self.changed.notify_all()

    def create(self, asked):
        with self.changed:
            self.creates += 1
            index = int(asked.body["metadata"]["name"][-5:])
            answer = self.on_create(self.creates, index)
            if answer:
                return answer
            if (asked.path, asked.body["metadata"]["name"]) in self.store:
                return 409, status(409, "AlreadyExists", "exists")
            made = self.with_uid(asked.body)
            self.put("ADDED", asked.path, made)
            if asked.path == PODS:
                self.run(made)
            else:
                self.replicate(made)
            return 201, made

    def with_uid(self, item):
        return {**item, "metadata": {**item["metadata"], "uid": f"uid-{self.version}"}}

    def replicate(self, deployment):
        """Make the pod of a Deployment."""
        template = deployment["spec"]["template"]
        labelled = {**template["metadata"], "name": deployment["metadata"]["name"] + "-5d4-x"}
        pod = self.with_uid({"metadata": labelled, "spec": template["spec"]})
        self.put("ADDED", PODS, pod)
        self.run(pod)

    def run(self, pod):
        """Be the scheduler and the kubelet of one pod."""
        pod = json.loads(json.dumps(pod))
        name = pod["metadata"]["name"]
        pod["metadata"].setdefault("uid", f"uid-{self.version}")
        for step in self.steps:
            if step == "scheduled":
                pod["spec"]["nodeName"] = "n1"
            conditions = [{"type": "PodReadyToStartContainers", "status": "True"}, {"type": "Ready", "status": str(step == "ready")}]
            running = step in ("started", "ready")
            pod["status"] = {"conditions": conditions if step != "scheduled" else [], "containerStatuses": [{"state": {"running": {}}}] if running else []}
            self.put("MODIFIED", PODS, pod)
        if self.pulled and "ready" in self.steps:
            about = {"kind": "Pod", "name": name, "uid": pod["metadata"]["uid"]}
            self.put("ADDED", EVENTS, {"metadata": {"name": name}, "involvedObject": about, "reason": "Pulled", "message": self.pulled, "type": "Normal"})

    def delete(self, asked):
        with self.changed:
            gone = [item for path, item in self.store.values() if path == asked.path and wanted(item, asked.query["labelSelector"])]
            for item in gone:
                if item["metadata"]["name"] not in self.stuck or asked.body.get("gracePeriodSeconds") == 0:
                    self.put("DELETED", asked.path, item)
        return 200, {"items": gone}

    def delete_one(self, asked):
        """Delete a pod or a Deployment by its name."""
        path, dummy, name = asked.path.rpartition("/")
        with self.changed:
            answer = self.on_delete(name)
            if answer:
                return answer
            if (path, name) not in self.store:
                return 404, status(404, "NotFound", f"{name} not found")
            uid = self.store[path, name][1]["metadata"]["uid"]
            if asked.body.get("preconditions", {}).get("uid", uid) != uid:
                return 409, status(409, "Conflict", "Precondition failed: UID in precondition")
            self.finish(path, name)
        return 200, {}

    def finish(self, path, name):
        """Let an object and what it owns be gone."""
        with self.changed:
            for key in [(path, name), *([(PODS, f"{name}-5d4-x")] if path != PODS else [])]:
                if key in self.store:
                    self.put("DELETED", *self.store[key])

    def watch(self, asked):
        at, sent = int(asked.query["resourceVersion"]), 0
        ends = self.watches.get(asked.path) or [None]
        end = ends.pop(0)
        while not self.over:
            with self.changed:
                new = [(version, event) for version, path, event in self.log if version > at and path == asked.path]
                if not new and (end is None or isinstance(end, int)):
                    self.changed.wait(0.02)
            for at, event in new:
                if sent == end:
                    return
                yield event
                sent += 1
            if end is not None and not isinstance(end, int):
                yield end
                return


def chunked(handler):
    """Return a handler that sends a watch in chunks, as an API server does, so that each event arrives by itself."""

    class Chunked(handler):
        protocol_version = "HTTP/1.1"

        def write(self, status, data):
            if not isinstance(data, Iterator):
                super().write(status, data)
                return
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                for event in data:
                    line = event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n"
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                    self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")
            except OSError:
                pass

    return Chunked


def wanted(item, selector):
    """Tell whether an object's labels meet a selector of `a=b` and `a in (b,c)`."""
    labels = item["metadata"].get("labels", {})
    parts = re.findall(r"([^,= ]+)(?:=([^,]*)| in \(([^)]*)\))", selector or "")
    return all(labels.get(key) in (one or several).split(",") for key, one, several in parts)


def terms_of(body):
    """Return the terms that restrict a pod to nodes."""
    return body["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]


def caller(api, capsys, tmp_path, monkeypatch):
    """Return a function that runs the module against the fake API server and returns its answer."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    quick = {"LEAD": 0.0, "TICK": 0.01, "RETRY_AFTER": 0.01, "SHORTEST_RETRY": 0.01, "REMOVE_POLL": 0.01, "REMOVE_AGAIN": 0.05, "SETTLE": 0.01}
    for key, value in quick.items():
        monkeypatch.setattr(pod_load, key, value)
    monkeypatch.setattr(pod_slots, "SHORTEST_RETRY", 0.01)
    for key in ("SHORTEST_PAUSE", "LONGEST_PAUSE"):
        monkeypatch.setattr(pod_watch, key, 0.01)
    monkeypatch.setattr(pod_startup, "POLL", 0.005)
    monkeypatch.setattr(pod_startup, "IMAGE_WAIT", 0.1)
    path = api.kubeconfig(tmp_path / "kubeconfig")

    def call(**more):
        options = {"kubeconfig": path, "namespace": NAMESPACE, "run_id": "r1", "name": "a", "image": "pause", "count": 3, "rate": 500, "timeout": 5, **more}
        with patch_module_args(options), pytest.raises(SystemExit):
            pod_startup.main()
        answer = json.loads(capsys.readouterr().out)
        assert TOKEN not in json.dumps(answer) and "Traceback" not in json.dumps(answer)
        # Whatever happened, nothing is left that could be deleted.
        assert not [item for path, item in api.store.values() if path != EVENTS and item["metadata"]["name"] not in api.stuck]
        return answer

    return call
