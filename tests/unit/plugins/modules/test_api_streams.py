# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import json
import re
import signal
import threading
import time
from itertools import count
from types import SimpleNamespace

import pytest
from ansible.module_utils.testing import patch_module_args
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import api_streams_checks as checks
from ansible_collections.kubeproof.certify.plugins.module_utils import api_streams_wire as wire
from ansible_collections.kubeproof.certify.plugins.module_utils import cluster
from ansible_collections.kubeproof.certify.plugins.modules import api_streams
from ansible_collections.kubeproof.certify.tests.unit.plugins import stream_proxy
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import TOKEN, FakeCluster, status, write_kubeconfig

PODS = "/api/v1/namespaces/ns/pods"
POD = f"{PODS}/streams"
RUN = "20261121t040000z-1a2b"
V5, V4 = wire.CHANNELS
SUCCESS = b'\x03{"metadata":{},"status":"Success"}'
# Recorded on the lab.
NOT_FOUND = (
    b'\x03{"metadata":{},"status":"Failure","message":"Internal error occurred: Internal error occurred: error executing command in container: '
    b'failed to exec in container: OCI runtime exec failed: exec failed: unable to start container process: exec: \\"/nope\\": stat /nope: no such '
    b'file or directory","reason":"InternalError","details":{"causes":[{"message":"Internal error occurred: error executing command in container"}]},'
    b'"code":500}'
)
EXIT_3 = (
    b'\x03{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code","reason":"NonZeroExitCode",'
    b'"details":{"causes":[{"reason":"ExitCode","message":"3"}]}}'
)
NO_NODE = (
    b'\x03{"metadata":{},"status":"Failure","message":"Internal error occurred: error dialing backend: dial tcp 10.0.0.1:10250: i/o timeout",'
    b'"reason":"InternalError","code":500}'
)
REFUSED = b"\x01error forwarding port 1 to pod a, uid : failed to connect to localhost:1 inside namespace: dial tcp4 127.0.0.1:1: connect: connection refused"
REPLY = b"\x80\x03\x00\x02\x00\x00\x00\x14\x00\x00\x00\x01x\xf9\xe3\xc6\xa7\xc2b```\x00\x00\x00\x00\xff\xff"
RESET = b"\x80\x03\x00\x03\x00\x00\x00\x08\x00\x00\x00\x01\x00\x00\x00\x05"
RUNNING = {
    "phase": "Running",
    "containerStatuses": [
        {"name": "main", "containerID": "containerd://1", "restartCount": 0, "state": {"running": {}}, "resources": {"requests": {"cpu": "10m"}}},
    ],
}


def said(stream, text, last=False):
    """Return a SPDY frame of data."""
    return stream.to_bytes(4, "big") + bytes([last]) + len(text).to_bytes(3, "big") + text


class Streams(FakeCluster):
    """An API server with one pod, behind a proxy. `streams` {"exec": meddle} answers what asks for a WebSocket; `statuses` are the pod's, in turn."""

    def __init__(self):
        super().__init__({"GET /version": {"major": "1", "minor": "36", "gitVersion": "v1.36.3"}, "GET /api/v1/pods": {"kind": "List", "items": []}})
        self.pod, self.statuses, self.deletes = None, [{"phase": "Pending"}, RUNNING], 1
        self.answers.update({f"POST {PODS}": self.create, f"GET {POD}": self.read, f"DELETE {POD}": self.delete, f"PATCH {POD}/resize": self.resize})
        self.streams = {"exec": opens(b"\1", b"\1pause.go\n", SUCCESS), "attach": pings, "portforward": forward(said(1, REFUSED[1:]))}
        self.proxy = stream_proxy.Proxy(self.url, self.meddle)

    def meddle(self, head, client):
        name = head.split(b"?")[0].decode().rsplit("/", 1)[1]
        return self.streams[name](head, client)

    def __enter__(self):
        self.proxy.__enter__()
        return super().__enter__()

    def __exit__(self, *dummy):
        self.proxy.__exit__()
        super().__exit__()

    def create(self, asked):
        if self.pod:
            return 409, status(409, "AlreadyExists", 'pods "streams" already exists')
        self.pod = copy.deepcopy(asked.body)
        self.pod["metadata"]["uid"] = "u1"
        return 201, self.pod

    def read(self, dummy):
        if self.pod is None:
            return 404, status(404, "NotFound", 'pods "streams" not found')
        if "deletionTimestamp" in self.pod["metadata"]:
            self.deletes -= 1
            self.pod = self.pod if self.deletes >= 0 else None
        elif len(self.statuses) > 1:
            return {**self.pod, "status": self.statuses.pop(0)}
        return {**(self.pod or {"metadata": {"deletionTimestamp": "now"}}), "status": copy.deepcopy(self.statuses[0])}

    def delete(self, asked):
        assert asked.body == {"preconditions": {"uid": self.pod["metadata"].get("uid")}}
        self.pod["metadata"]["deletionTimestamp"] = "now"
        return self.pod

    def resize(self, asked):
        [container] = asked.body["spec"]["containers"]
        assert container == {"name": "main", "resources": {"requests": {"cpu": "20m"}}}
        self.statuses = [copy.deepcopy(self.statuses[-1])]
        self.statuses[0]["containerStatuses"][0]["resources"] = {"requests": {"cpu": "20m"}}
        return self.pod


def opens(*messages, protocol=V5, end=b""):
    """Return what opens a WebSocket, sends these messages, and ends with `end` or when the client ends."""

    def meddle(head, client):
        stream_proxy.accept(head, client, protocol)
        client.sendall(b"".join(map(stream_proxy.frame, messages)) + end)
        if not end:
            stream_proxy.until_close(client)

    return meddle


def pings(head, client):
    """Open the channels and answer a ping."""
    stream_proxy.accept(head, client, V4)
    client.sendall(stream_proxy.frame(b"\1"))
    _kind, data = stream_proxy.read_frame(client)
    client.sendall(stream_proxy.frame(data, stream_proxy.PONG))
    stream_proxy.until_close(client)


def forward(*frames, end=b""):
    """Return what opens a tunnel, reads the frames that open two streams, and answers with these."""

    def meddle(head, client):
        stream_proxy.accept(head, client, wire.TUNNEL)
        opened = [stream_proxy.read_frame(client)[1] for _count in range(2)]
        assert [frame[:4] + frame[8:12] for frame in opened] == [b"\x80\x03\x00\x01\x00\x00\x00\x01", b"\x80\x03\x00\x01\x00\x00\x00\x03"]
        client.sendall(b"".join(map(stream_proxy.frame, (REPLY, *frames))) + end)
        if not end:
            stream_proxy.until_close(client)

    return meddle


def http(code, body=b"", kind=b"text/html"):
    """Return what answers with an HTTP status."""
    return lambda head, client: client.sendall(b"HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (code, kind, len(body), body))


@pytest.fixture(name="api")
def fixture_api():
    with Streams() as api:
        yield api


@pytest.fixture(name="call")
def fixture_call(capsys, tmp_path, monkeypatch, api):
    """Return call(**more), which runs the module and returns its answer; the server's pod is gone afterwards unless `left`."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(checks, "PAUSE", 0.002)
    path = write_kubeconfig(tmp_path / "kubeconfig", api.proxy.url)

    def call(left=False, **more):
        options = {"kubeconfig": path, "namespace": "ns", "run_id": RUN, "name": "streams", "image": "r/pause:3", "timeout": 5, "idle": 0.005, **more}
        handlers = [signal.getsignal(number) for number in api_streams.STOP_SIGNALS]
        with patch_module_args(options), pytest.raises(SystemExit):
            api_streams.main()
        assert [signal.getsignal(number) for number in api_streams.STOP_SIGNALS] == handlers
        answer = json.loads(capsys.readouterr().out)
        assert TOKEN not in json.dumps(answer) and "exception" not in answer
        assert left or (api.pod is None and answer.get("left", []) == [])
        return answer

    call.kubeconfig = path
    return call


def reason_of(answer, name):
    """Return the reason of a check that did not work."""
    fact = answer["facts"][name]
    assert fact["works"] is False and fact["seconds"] is None and "\n" not in fact["reason"]
    return fact["reason"]


def test_all_works(call, api):
    api.answers["GET /api/v1/pods"] = pages
    answer = call(list_kubeconfig=call.kubeconfig)
    facts = answer["facts"]
    for name, fact in {"exec": {"exit_code": 0, "protocol": V5}, "attach": {"idle": 0.005, "protocol": V4}, "port_forward": {"protocol": wire.TUNNEL}}.items():
        assert facts[name].pop("seconds") > 0
        assert facts[name] == {"works": True, "reason": None, **fact}
    assert facts["resize"].pop("seconds") > 0 and facts["list"].pop("seconds") > 0
    assert facts["resize"] == {"supported": True, "works": True, "reason": None}
    assert {key: facts["list"][key] for key in ("pods", "chunks")} == {"pods": 1001, "chunks": 3}
    assert facts["list"]["bytes"] == sum(len(json.dumps(table(*one))) for one in ((500, "a"), (500, "b"), (1, "")))
    assert (facts["left"], facts["problems"], answer["changed"], answer["left"]) == ([], [], True, [])
    assert [head.split(b"?")[0].rsplit(b"/", 1)[1] for head in api.proxy.heads] == [b"exec", b"attach", b"portforward"]
    assert b"command=%2Fpause&command=-v " in api.proxy.heads[0]
    assert [asked.query for asked in api.asked if asked.path == "/api/v1/pods"] == [
        {"limit": "500"},
        {"limit": "500", "continue": "a"},
        {"limit": "500", "continue": "b"},
    ]


def table(rows, token):
    return {"kind": "Table", "metadata": {"continue": token}, "rows": [{}] * rows}


def pages(asked):
    """Answer with 1,001 pods in three chunks, as a table."""
    return {None: table(500, "a"), "a": table(500, "b"), "b": table(1, "")}[asked.query.get("continue")]


def test_the_pod(call, api):
    call(node="worker7", tolerations=[{"operator": "Exists"}])
    [pod] = [asked.body for asked in api.asked if asked.method == "POST"]
    assert pod["metadata"] == {"name": "streams", "labels": {"app.kubernetes.io/managed-by": "kubeproof", "kubeproof.io/run": RUN}}
    spec, [container] = pod["spec"], pod["spec"]["containers"]
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert spec["tolerations"] == [{"operator": "Exists"}] and "worker7" in json.dumps(spec["affinity"])
    assert spec["activeDeadlineSeconds"] > 4 * 5 and spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True and spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert container["image"] == "r/pause:3" and container["resources"]["requests"]["cpu"] == "10m"


@pytest.mark.parametrize(
    ("messages", "code", "reason"),
    [
        ([b"\1", NOT_FOUND], None, "exec: the path works, but the node could not run the command: failed to exec in container: OCI runtime exec failed"),
        ([b"\1", b"\2no ", b"\2file", EXIT_3], 3, "exec: the path works, but the command ended with exit code 3: no file"),
        ([b"\1", EXIT_3], 3, "exec: the path works, but the command ended with exit code 3: it printed nothing"),
        ([b"\1", b"\1out", b"\xff\1", SUCCESS], 0, None),
        ([b"\1", b"\2out", SUCCESS], 0, None),
    ],
)
def test_exec_that_proves_the_path(call, api, messages, code, reason):
    api.streams["exec"] = opens(*messages)
    fact = call()["facts"]["exec"]
    assert (fact["works"], fact["exit_code"], fact["protocol"]) == (True, code, V5)
    assert fact["reason"] is reason or fact["reason"].startswith(reason)


@pytest.mark.parametrize(
    ("meddle", "reason"),
    [
        (http(400, b"<html>"), "exec: the server or a proxy before it answered 400 instead of switching to WebSocket: <html>"),
        (http(404, json.dumps(status(404, "NotFound", "no pod")).encode()), "exec: the server or a proxy before it answered 404 instead of switching"),
        (opens(b"\1", SUCCESS), "exec: the command ended with exit code 0, but none of its output came; it has to print something"),
        (opens(b"\1", NO_NODE), "exec: the WebSocket was opened, but not up to the container: Internal error occurred: error dialing backend: dial tcp"),
        (opens(b"\1", b"\1out", b"\3{"), "exec: the status channel carried no status: {"),
        (opens(b"\1", b"\3" + EXIT_3[1:].replace(b'"3"', b'"x"')), "exec: the status channel named no exit code: command terminated"),
        (opens(b"\1", end=b"\x88\x00"), "exec: the other end closed the WebSocket after "),
        (opens(b"\1", b"\1out", end=b"\x82"), "exec: the connection was cut 0."),
    ],
)
def test_exec_that_does_not_work(call, api, meddle, reason):
    api.streams["exec"] = meddle
    answer = call()
    assert reason_of(answer, "exec").startswith(reason)
    assert answer["facts"]["attach"]["works"] is True and answer["facts"]["problems"] == []


class Impatient(wire.Stream):
    """Its time runs out soon, but not while it is opened."""

    def __init__(self, *given_):
        super().__init__(*given_[:-1], 5)
        self.limit = time.monotonic() + given_[-1]


@pytest.mark.parametrize(
    ("name", "meddle", "reason"),
    [
        ("exec", opens(), "exec: the WebSocket was opened, but nothing came through it within 0.03 s"),
        ("exec", opens(b"\1"), "exec: the channels were opened, but the command did not end within 0.03 s, or a proxy holds its end back"),
        ("attach", opens(), "attach: the WebSocket was opened, but nothing came through it within 0.03 s"),
        ("attach", opens(b"\1"), "attach: the WebSocket was silent for 0.005 s, and then a ping was not answered within 0.03 s"),
        ("port_forward", forward(), "port-forward: no answer from the pod's network within 0.03 s"),
    ],
)
def test_silence(api, call, monkeypatch, name, meddle, reason):
    monkeypatch.setattr(checks, "Stream", Impatient)
    server = cluster.Cluster(call.kubeconfig)
    monkeypatch.setitem(api.streams, name.replace("_", ""), meddle)
    check = {
        "exec": lambda: checks.exec_check(server, POD, ["/pause"], 0.03),
        "attach": lambda: checks.attach_check(server, POD, 0.005, 0.03),
        "port_forward": lambda: checks.port_forward_check(server, POD, 0.03),
    }[name]
    assert reason_of({"facts": {name: check()}}, name) == reason


@pytest.mark.parametrize(
    ("meddle", "reason"),
    [
        (opens(b"\1", end=b"\x82"), "attach: the connection was cut 0."),
        (opens(b"\1", NO_NODE), "attach: the node ended it: Internal error occurred: error dialing backend"),
        (opens(b"\1", SUCCESS), "attach: the node ended it: the container has ended"),
        (opens(NO_NODE), "attach: the node ended it: Internal error occurred: error dialing backend"),
        (http(502), "attach: the server or a proxy before it answered 502 instead of switching to WebSocket"),
    ],
)
def test_attach_that_does_not_work(call, api, meddle, reason):
    api.streams["attach"] = meddle
    assert reason_of(call(), "attach").startswith(reason)


def test_what_an_older_server_says(api, call, monkeypatch):
    monkeypatch.setattr(checks, "Stream", Impatient)
    api.streams["portforward"] = opens(b"\0\1\0", b"\1\1\0", b"\1no ", b"\1network", protocol=V4)
    fact = checks.port_forward_check(cluster.Cluster(call.kubeconfig), POD, 0.03)
    assert fact["reason"] == "port-forward: the node could not connect to the pod: no network" and fact["works"] is False


def test_port_forward_by_an_older_server(call, api):
    api.streams["portforward"] = opens(b"\0\1\0", b"\1\1\0", REFUSED, protocol=V4)
    fact = call()["facts"]["port_forward"]
    assert (fact["works"], fact["protocol"], fact["reason"]) == (True, V4, None)


@pytest.mark.parametrize(
    ("meddle", "reason"),
    [
        (forward(said(1, b"no network"), RESET), "port-forward: the node could not connect to the pod: no network"),
        (forward(said(1, b"", last=True)), "port-forward: no answer from the pod's network"),
        (forward(said(3, b"connection refused"), RESET), "port-forward: no answer from the pod's network"),
        (opens(b"\0\1\0", b"\1\1\0", b"\1no ", b"\1network", protocol=V4, end=b"\x82"), "port-forward: the node could not connect to the pod: no network"),
        (opens(b"\0\1\0", b"\1\1\0", protocol=V4, end=b"\x82"), "port-forward: the connection was cut 0."),
        (forward(end=b"\x88\x00"), "port-forward: the other end closed the WebSocket"),
        (http(403, b"<html>"), "port-forward: the server or a proxy before it answered 403 instead of switching to WebSocket: <html>"),
    ],
)
def test_port_forward_that_does_not_work(call, api, meddle, reason):
    api.streams["portforward"] = meddle
    assert reason_of(call(), "port_forward").startswith(reason)


def test_no_right_to_a_stream(call, api):
    body = json.dumps(status(403, "Forbidden", 'pods "streams" is forbidden:')).encode()
    api.streams.update(exec=http(403, body), portforward=http(403, body))
    facts = call()["facts"]
    assert (facts["exec"]["works"], facts["attach"]["works"], facts["port_forward"]["works"]) == (None, True, None)
    assert facts["problems"] == [facts["exec"]["reason"], facts["port_forward"]["reason"]]
    refused = 'the API server refused it with 403: pods "streams" is forbidden:; it needs the rights get and create on pods/'
    assert facts["problems"] == [f"exec: {refused}exec", f"port-forward: {refused}portforward"]


@pytest.mark.parametrize(
    ("answers", "supported", "works", "reason"),
    [
        ({"GET /version": {"major": "1", "minor": "32+", "gitVersion": "v1.32.9"}}, False, None, "resize: the server is v1.32.9; pods are resized in place"),
        ({f"PATCH {POD}/resize": (404, b"404 page not found")}, False, None, "resize: the server has no pods/resize; pods are resized in place from v1.33"),
        ({f"PATCH {POD}/resize": (404, status(404, "NotFound", "no pod"))}, True, False, f"resize: PATCH {POD}/resize: 404 no pod"),
        ({f"PATCH {POD}/resize": (422, status(422, "Invalid", "static"))}, True, False, f"resize: PATCH {POD}/resize: 422 static"),
        ({f"PATCH {POD}/resize": (403, status(403, "Forbidden", "no right"))}, None, None, "resize: the API server refused it: "),
        ({"GET /version": {"gitVersion": "v1.36"}}, True, False, "resize: GET /version: the answer names no version"),
    ],
)
def test_resize_that_is_refused(call, api, answers, supported, works, reason):
    api.answers.update(answers)
    answer = call()
    fact = answer["facts"]["resize"]
    assert (fact["supported"], fact["works"], fact["seconds"]) == (supported, works, None)
    assert fact["reason"].startswith(reason)
    assert answer["facts"]["problems"] == ([fact["reason"]] if works is None else [])


@pytest.mark.parametrize(("change", "value"), [("restartCount", 1), ("containerID", "containerd://2")])
def test_resize_by_a_restart(call, api, change, value):
    def resize(asked):
        Streams.resize(api, asked)
        api.statuses[0]["containerStatuses"][0][change] = value
        return api.pod

    api.answers[f"PATCH {POD}/resize"] = resize
    assert reason_of(call(), "resize") == "resize: the container was restarted"


@pytest.mark.parametrize(
    ("conditions", "why"),
    [
        ([], "the node does not say why"),
        ([{"type": "PodResizePending", "reason": "Infeasible", "message": "Node is full."}], "PodResizePending Infeasible Node is full"),
    ],
)
def test_resize_that_never_comes(api, call, conditions, why):
    api.pod = {"metadata": {"name": "streams"}}
    api.statuses = [{**RUNNING, "conditions": conditions}]
    api.answers[f"PATCH {POD}/resize"] = {}
    fact = checks.resize_check(cluster.Cluster(call.kubeconfig), POD, 0.01)
    assert reason_of({"facts": {"resize": fact}}, "resize") == f"resize: the container's CPU is still not 20m after 0.01 s: {why}"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((403, status(403, "Forbidden", "no right")), "list: not all pods could be read: GET /api/v1/pods: 403 no right"),
        ((410, status(410, "Expired", "too old")), "list: not all pods could be read: GET /api/v1/pods: 410 too old"),
        ((200, b"<html>"), "list: not all pods could be read: GET /api/v1/pods: the answer is no list of pods"),
        ({"kind": "Table", "metadata": {}}, "list: not all pods could be read: GET /api/v1/pods: the answer is no list of pods"),
    ],
)
def test_no_list(call, api, answer, reason):
    api.answers["GET /api/v1/pods"] = answer
    facts = call(list_kubeconfig=call.kubeconfig)["facts"]
    assert facts["list"] is None and facts["problems"] == [reason] and facts["exec"]["works"] is True


def test_list_without_a_table(api, call):
    api.answers["GET /api/v1/pods"] = {"kind": "PodList", "metadata": {}, "items": [{}, {}]}
    assert checks.list_pods(cluster.Cluster(call.kubeconfig), 5)["pods"] == 2


def test_list_that_takes_too_long(api, call, monkeypatch):
    api.answers["GET /api/v1/pods"] = table(1, "more")
    monkeypatch.setattr(checks, "time", SimpleNamespace(monotonic=count(0, 10).__next__))
    with pytest.raises(cluster.ClusterError, match="after 35 s only 3 pods were read"):
        checks.list_pods(cluster.Cluster(call.kubeconfig), 35)


def test_list_kubeconfig_that_is_none(call, tmp_path):
    facts = call(list_kubeconfig=str(tmp_path / "none"))["facts"]
    assert facts["list"] is None and "list: not all pods could be read: " in facts["problems"][0]


def waiting(reason, message=""):
    return {"phase": "Pending", "containerStatuses": [{"name": "main", "state": {"waiting": {"reason": reason, "message": message}}}]}


UNSCHEDULABLE = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes."}]}
ENDED = {"phase": "Succeeded", "containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]}
LATE = "The pod streams did not run within 0.01 s: "


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("ErrImagePull: 401 Unauthorized", "ErrImagePull: 401 Unauthorized"),
        ("", 'ImagePullBackOff: Back-off pulling image "r/t:1"'),
        ("its phase is Pending", 'ImagePullBackOff: Back-off pulling image "r/t:1"'),
    ],
)
def test_a_pull_that_waits_for_its_next_try_keeps_the_reason_of_the_last(before, said):
    found = {"metadata": {"name": "streams"}, "status": waiting("ImagePullBackOff", 'Back-off pulling image "r/t:1"')}
    with pytest.raises(api_streams.PodError, match=re.escape(f"The pod streams cannot run: {said}.")):
        api_streams.why_waiting(found, before)


@pytest.mark.parametrize(
    ("pod_status", "reason"),
    [
        (waiting("ImagePullBackOff", "no such image"), "The pod streams cannot run: ImagePullBackOff: no such image."),
        (waiting("ErrImagePull", "registry down"), LATE + "ErrImagePull: registry down."),
        (waiting("ContainerCreating"), LATE + "its phase is Pending ContainerCreating."),
        (UNSCHEDULABLE, LATE + "Unschedulable 0/3 nodes."),
        ({}, LATE + "its phase is not known."),
        (ENDED, "The pod streams ended with exit code 0 in place of running: Completed. Give an image"),
        ({"phase": "Failed", "reason": "Evicted", "message": "disk"}, "The pod streams ended in place of running: Evicted disk."),
    ],
)
def test_a_pod_that_does_not_run(call, api, monkeypatch, pod_status, reason):
    monkeypatch.setattr(api_streams, "start", lambda server, pods, options, start=api_streams.start: start(server, pods, {**options, "timeout": 0.01}))
    api.statuses = [pod_status]
    answer = call()
    assert answer["failed"] is True and answer["msg"].startswith(reason) and "facts" not in answer


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((403, status(403, "Forbidden", "exceeded quota: q")), f"The pod streams could not be created: POST {PODS}: 403 exceeded quota: q."),
        ((403, status(403, "Forbidden", 'violates PodSecurity "x"')), f'The pod streams could not be created: POST {PODS}: 403 violates PodSecurity "x".'),
        ((500, b"<html>"), f"The pod streams could not be created: POST {PODS}: 500 <html>."),
    ],
)
def test_a_pod_that_is_refused(call, api, answer, reason):
    api.answers[f"POST {PODS}"] = answer
    answer = call()
    assert answer["failed"] is True and answer["msg"] == reason


def test_without_any_right_nothing_is_left(call, api):
    api.answers.update({method: (403, status(403, "Forbidden", "no right")) for method in (f"POST {PODS}", f"GET {POD}", f"DELETE {POD}")})
    assert call()["msg"] == f"The pod streams could not be created: POST {PODS}: 403 no right."


@pytest.mark.parametrize("code", [409, 500])
def test_a_pod_of_somebody_else_is_left_alone(call, api, code):
    api.pod = {"metadata": {"name": "streams", "uid": "u0", "labels": {"kubeproof.io/run": "another"}}}
    api.answers[f"POST {PODS}"] = (code, status(code, "", "no"))
    answer = call(left=True)
    assert answer["failed"] is True and f"{code} no" in answer["msg"] and answer["left"] == []
    assert api.pod and not [asked for asked in api.asked if asked.method == "DELETE"]


def test_a_pod_of_which_nothing_was_heard_is_deleted(call, api):
    def create(asked):
        api.create(asked)
        return 504, status(504, "Timeout", "request timed out")

    api.answers[f"POST {PODS}"] = create
    assert "504 request timed out" in call()["msg"]
    assert [asked.method for asked in api.asked].count("DELETE") == 1


def test_a_server_that_is_away_for_a_moment(call, api):
    troubles = [(503, status(503, "ServiceUnavailable", "restarting"))] * 2
    api.answers[f"GET {POD}"] = lambda asked: troubles.pop() if troubles else api.read(asked)
    assert call()["facts"]["exec"]["works"] is True


def test_a_pod_that_stays(call, api, monkeypatch):
    monkeypatch.setattr(api_streams, "remove", lambda server, path, options, remove=api_streams.remove: remove(server, path, {**options, "timeout": 0.01}))
    api.deletes = 10**6
    answer = call(left=True)
    assert answer["left"] == answer["facts"]["left"] == ["pod ns/streams"] and answer["facts"]["exec"]["works"] is True
    assert answer["facts"]["problems"] == ["pod ns/streams is left: it still terminates. Delete it by hand."]


def test_a_deletion_that_is_refused(call, api, monkeypatch):
    monkeypatch.setattr(api_streams, "remove", lambda server, path, options, remove=api_streams.remove: remove(server, path, {**options, "timeout": 0.01}))
    api.answers[f"DELETE {POD}"] = (403, status(403, "Forbidden", "no right"))
    answer = call(left=True)
    assert answer["left"] == ["pod ns/streams"] and f"DELETE {POD}: 403 no right" in answer["facts"]["problems"][0]


@pytest.mark.parametrize("name", ["exec", "attach", "portforward"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped(call, api, name, number):
    main = threading.main_thread().ident

    def meddle(head, client):
        stream_proxy.accept(head, client, V4)
        signal.pthread_kill(main, number)
        stream_proxy.until_close(client)

    api.streams[name] = meddle
    answer = call()
    assert answer["failed"] is True and answer["msg"] == f"This was stopped by {signal.Signals(number).name} before everything was asked."
    assert answer["left"] == [] and [asked.method for asked in api.asked].count("DELETE") == 1


def test_stopped_while_the_pod_is_created_and_deleted(call, api):
    main = threading.main_thread().ident

    def create(asked):
        signal.pthread_kill(main, signal.SIGTERM)
        return api.create(asked)

    def delete(asked):
        signal.pthread_kill(main, signal.SIGINT)
        return api.delete(asked)

    api.answers.update({f"POST {PODS}": create, f"DELETE {POD}": delete})
    assert "stopped by SIGTERM" in call(left=True)["msg"]


def test_stopped_while_it_is_deleted(call, api):
    def delete(asked):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
        return api.delete(asked)

    api.answers[f"DELETE {POD}"] = delete
    assert call()["facts"]["left"] == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"timeout": 0}, "timeout is 0: give seconds."),
        ({"idle": -1}, "idle is -1: give seconds."),
        ({"list_timeout": "nan"}, "list_timeout is nan: give seconds."),
        ({"command": []}, "command is empty: name what is run in the pod."),
        ({"_ansible_check_mode": True}, "No pod is created in check mode, so nothing was tried."),
        ({"kubeconfig": "/none"}, "/none: "),
    ],
)
def test_arguments(call, api, options, text):
    answer = call(**options)
    assert answer["failed"] is True and answer["msg"].startswith(text) and api.asked == []


def test_without_the_library(call, monkeypatch):
    monkeypatch.setattr(cluster, "kubernetes", None)
    assert "kubernetes" in call()["msg"]


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(), one))
PARTS = {"reason": JSON | st.just("NonZeroExitCode"), "message": JSON, "details": JSON | st.just({"causes": []})}
STATUSES = st.fixed_dictionaries({"status": JSON | st.just("Success")}, optional=PARTS)


class Failing:
    """What the functions that read a status need of a stream."""

    @staticmethod
    def failed(text):
        return wire.StreamError(text)


@given(st.binary(max_size=50) | (STATUSES | JSON).map(lambda data: json.dumps(data).encode()), st.binary(max_size=5))
def test_any_status_is_read_or_refused(data, output):
    try:
        code, reason = checks.ended(Failing, checks.status_of(Failing, data), output)
    except wire.StreamError as error:
        assert str(error)
    else:
        assert code == 0 or reason
