# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import socket
import threading

import pytest
import yaml
from ansible_collections.kubeproof.certify.plugins.module_utils import cluster
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import TOKEN, FakeCluster, status, write_kubeconfig
from hypothesis import given
from hypothesis import strategies as st

PODS = "/api/v1/pods"


@pytest.fixture(name="api")
def fixture_api(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with FakeCluster() as api:
        yield api


@pytest.fixture(name="server")
def fixture_server(api, tmp_path):
    return cluster.Cluster(api.kubeconfig(tmp_path / "kubeconfig"), timeout=2)


@pytest.fixture(name="raw")
def fixture_raw(tmp_path, api):
    """Return a function that starts a server of these bytes, whatever it is asked, and returns a Cluster for it."""
    listeners = []

    def start(data):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve():
            connection = listener.accept()[0]
            connection.recv(65536)
            connection.sendall(data)
            connection.close()

        threading.Thread(target=serve, daemon=True).start()
        return cluster.Cluster(write_kubeconfig(tmp_path / "raw", f"http://127.0.0.1:{listener.getsockname()[1]}"), timeout=2)

    yield start
    for listener in listeners:
        listener.close()


def http(body, kind="application/json", code=200, length=None):
    return f"HTTP/1.1 {code} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body


def user(api, path, value):
    """Write a kubeconfig with other credentials and return its path."""
    config = yaml.safe_load(open(api.kubeconfig(path), encoding="utf-8"))
    config["users"][0]["user"] = value
    path.write_text(yaml.safe_dump(config))
    return str(path)


def test_request_sends_what_it_was_given(api, server):
    api.answers["POST /x"] = (201, {"made": True})
    assert server.request("POST", "/x", {"a": 1}, {"b": "c d", "left": None, "out": "", "zero": 0}) == {"made": True}
    assert api.asked == [("POST", "/x", {"b": "c d", "zero": "0"}, {"a": 1})]


@pytest.mark.parametrize("body", [None, {"preconditions": {"uid": "a"}}])
def test_delete_says_whether_there_was_one(api, server, body):
    api.answers.update({"DELETE /there": {}, "DELETE /held": (409, status(409, "Conflict", "no"))})
    assert server.delete("/there", body=body) is True and server.delete("/gone", body=body) is False
    assert api.asked[0].body == body
    with pytest.raises(cluster.ClusterError) as caught:
        server.delete("/held")
    assert (caught.value.status, caught.value.reason) == (409, "Conflict")


def test_items_are_read_in_chunks(api, server):
    pages = {"": ([1, 2], "a"), "a": ([], "b"), "b": ([3], "")}
    api.answers[f"GET {PODS}"] = lambda asked: {
        "items": pages[asked.query.get("continue", "")][0], "metadata": {"continue": pages[asked.query.get("continue", "")][1]}
    }
    assert list(server.items(PODS, chunk=2, labelSelector="a=b")) == [1, 2, 3]
    assert all(asked.query["limit"] == "2" and asked.query["labelSelector"] == "a=b" for asked in api.asked)


def test_items_that_expire_are_an_error(api, server):
    api.answers[f"GET {PODS}"] = lambda asked: (
        (410, status(410, "Expired", "too old")) if "continue" in asked.query else {"items": [1], "metadata": {"continue": "a"}}
    )
    with pytest.raises(cluster.ClusterError) as caught:
        list(server.items(PODS))
    assert caught.value.status == 410


@pytest.mark.parametrize("code", [301, 302, 400, 401, 403, 409, 429, 500, 503])
def test_every_other_answer_is_an_error_and_nothing_is_asked_twice(api, server, code):
    api.answers["GET /x"] = (code, status(code, "Reason", "line\nline"))
    with pytest.raises(cluster.ClusterError) as caught:
        server.get("/x")
    assert (caught.value.status, caught.value.reason, str(caught.value)) == (code, "Reason", f"GET /x: {code} line line")
    assert len(api.asked) == 1


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"<html>", b"\xff", b"5"])
def test_a_refusal_that_is_no_status(api, server, body):
    api.answers["GET /x"] = (500, body)
    with pytest.raises(cluster.ClusterError) as caught:
        server.get("/x")
    assert (caught.value.status, caught.value.reason) == (500, "") and "\n" not in str(caught.value)


def test_an_answer_that_is_cut_off(raw):
    with pytest.raises(cluster.ClusterError) as caught:
        raw(http(b'{"a":', length=100)).get("/x")
    assert caught.value.status == 0
    with pytest.raises(cluster.ClusterError):
        raw(http(b'{"a":')).get("/x")


def test_text_is_returned_as_it_is(raw):
    assert raw(http(b"ok", "text/plain")).get("/readyz") == "ok"


def test_no_body_is_an_empty_object(raw):
    assert raw(http(b"")).get("/x") == {}


def test_nobody_answers(tmp_path, api):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(cluster.ClusterError) as caught:
        cluster.Cluster(write_kubeconfig(tmp_path / "k", f"http://127.0.0.1:{port}")).get("/x")
    assert caught.value.status == 0 and "Connection refused" in str(caught.value)


def test_silence_ends(tmp_path, api):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = cluster.Cluster(write_kubeconfig(tmp_path / "k", f"http://127.0.0.1:{listener.getsockname()[1]}"), timeout=0.05)
        with pytest.raises(cluster.ClusterError) as caught:
            server.get("/x")
    assert "timed out" in str(caught.value)


def test_a_watch_yields_events_until_the_server_ends_it(api, server):
    events = [{"type": "ADDED", "object": {"a": "x" * 70000}}, {"type": "BOOKMARK", "object": {}}]
    api.answers[f"GET {PODS}"] = lambda asked: iter(events)
    assert list(server.watch(PODS, 2, resourceVersion="5")) == events
    assert api.asked[0].query == {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": "5"}


def test_a_watch_that_is_too_old(api, server):
    api.answers[f"GET {PODS}"] = lambda asked: iter([{"type": "ADDED", "object": {}}, {"type": "ERROR", "object": status(410, "Expired", "too old")}])
    seen = []
    with pytest.raises(cluster.ClusterError) as caught:
        seen.extend(event["type"] for event in server.watch(PODS, 2))
    assert caught.value.status == 410 and "too old" in str(caught.value)


def test_a_watch_that_is_silent(api, server):
    released = threading.Event()
    api.answers[f"GET {PODS}"] = lambda asked: (released.wait(1) for dummy in range(1))
    try:
        with pytest.raises(cluster.ClusterError) as caught:
            list(server.watch(PODS, 0.05))
    finally:
        released.set()
    assert "timed out" in str(caught.value)


@pytest.mark.parametrize("line", [b"", b"{", b"5", b"[]", b"null", b'{"type": "ADDED"}', b'{"object": {}}'])
def test_a_line_that_is_no_event(line):
    with pytest.raises(cluster.ClusterError):
        cluster.event_of(line, "/x")


@given(st.binary(max_size=200), st.sampled_from([200, 403, 500]))
def test_no_body_of_a_refusal_breaks_it(data, code):
    error = cluster.refusal("GET /x", code, data)
    assert error.status == code and "\n" not in str(error) and len(str(error)) < 400


@pytest.mark.parametrize(
    ("credentials", "header"),
    [
        ({"token": "abc"}, "Bearer abc"),
        ({"username": "a", "password": "b"}, f"Basic {base64.b64encode(b'a:b').decode()}"),
        ({}, None),
    ],
)
def test_the_kubeconfig_decides_who_asks(api, tmp_path, monkeypatch, credentials, header):
    seen = []
    monkeypatch.setattr(api, "respond", lambda asked, authorization: (seen.append(authorization), (200, {}))[1])
    cluster.Cluster(user(api, tmp_path / "k", credentials)).get("/x")
    assert seen == [header]


@pytest.mark.parametrize("credentials", [{"token": "other"}, {"username": "a", "password": "b"}, {}])
def test_a_token_takes_the_place_of_every_credential(api, tmp_path, credentials):
    api.answers["GET /x"] = {"good": True}
    server = cluster.Cluster(user(api, tmp_path / "k", credentials), token=TOKEN)
    assert server.get("/x") == {"good": True}
    assert (server.configuration.cert_file, server.configuration.key_file) == (None, None)


def test_a_token_does_not_change_the_configuration_it_came_from(api, tmp_path):
    plain = cluster.Cluster(user(api, tmp_path / "k", {"token": "other"})).configuration
    assert cluster.with_token(plain, "new") is not plain
    assert cluster.authorization(plain) == {"Authorization": "Bearer other"}


@pytest.mark.parametrize("text", ["", "a: b", "[]", "not: [yaml"])
def test_a_file_that_is_no_kubeconfig(tmp_path, text):
    path = tmp_path / "k"
    path.write_text(text)
    with pytest.raises(cluster.ClusterError) as caught:
        cluster.Cluster(str(path))
    assert str(path) in str(caught.value) and caught.value.status == 0


def test_certificates_that_are_not_there(tmp_path):
    path = tmp_path / "k"
    config = yaml.safe_load(open(write_kubeconfig(path, "https://127.0.0.1:1"), encoding="utf-8"))
    config["clusters"][0]["cluster"]["certificate-authority"] = "/no/ca.crt"
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(cluster.ClusterError) as caught:
        cluster.Cluster(str(path))
    assert "/no/ca.crt" in str(caught.value)


# Answers and credentials that are not what they should be ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [http(b"<html></html>", "text/html"), http(b"[]"), http(b"null"), http(b"5"), http(b'{"items": 5}')],
    ids=["html", "list", "null", "number", "items"],
)
def test_items_of_what_is_no_list(raw, answer):
    with pytest.raises(cluster.ClusterError):
        list(raw(answer).items(PODS))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_token_file_with_a_newline(api, tmp_path, end):
    api.answers["GET /x"] = {"good": True}
    (tmp_path / "token").write_text(TOKEN + end)
    assert cluster.Cluster(user(api, tmp_path / "k", {"tokenFile": str(tmp_path / "token")})).get("/x") == {"good": True}


def test_a_token_that_cannot_be_sent_is_not_shown(api, tmp_path):
    with pytest.raises(cluster.ClusterError) as caught:
        cluster.Cluster(user(api, tmp_path / "k", {"token": f"{TOKEN}\nx"})).get("/x")
    assert TOKEN not in str(caught.value)


def test_a_credential_plugin_that_fails(api, tmp_path):
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "/no/such/plugin", "interactiveMode": "Never"}
    with pytest.raises(cluster.ClusterError) as caught:
        cluster.Cluster(user(api, tmp_path / "k", {"exec": plugin}))
    assert "plugin" in str(caught.value)


def test_a_watch_that_is_cut_off(raw):
    data = b'HTTP/1.1 200 X\r\nContent-Type: application/json\r\n\r\n{"type":"ADDED","object":{}}\n{"type":"AD'
    with pytest.raises(cluster.ClusterError):
        list(raw(data).watch(PODS, 1))


@pytest.mark.parametrize("line", [b'{"type":"ERROR","object":[]}', b'{"type":"ERROR","object":null}'])
def test_an_error_event_of_another_shape(line):
    with pytest.raises(cluster.ClusterError):
        cluster.event_of(line, "/x")


def test_a_status_of_another_shape():
    assert cluster.refusal("GET /x", 403, b'{"reason": 5, "message": ["a"]}').status == 403


def test_a_long_message_is_kept_whole():
    message = f"{'x' * 400} RBAC permissions not currently held: {{Verbs}}"
    error = cluster.refusal("POST /x", 403, b'{"reason": "Forbidden", "message": "%s"}' % message.encode())
    assert error.message == message


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("1", 1.0), ("0", 0.0), ("2.5", 2.5), (None, None), ("", None), ("-1", None), ("nan", None), ("inf", None), ("1e400", None), ("٣", None)]
    + [("9" * 400, None)]
    + [("Sat, 21 Nov 2026 08:00:00 GMT", None)],
)
def test_retry_after_is_a_number_or_nothing(header, seconds):
    error = cluster.refusal("GET /x", 429, b"", {} if header is None else {"Retry-After": header})
    assert error.retry_after == seconds and (seconds is None or isinstance(error.retry_after, float))


@pytest.mark.parametrize("name", ["Retry-After", "retry-after"])
def test_an_answer_says_when_to_ask_again(api, server, name):
    api.answers["GET /x"] = (429, status(429, "TooManyRequests", "wait"))
    api.headers = {name: "7"}
    with pytest.raises(cluster.ClusterError) as caught:
        server.get("/x")
    assert caught.value.retry_after == 7.0
    assert cluster.ClusterError("no answer").retry_after is None


@pytest.mark.parametrize("token", ["", "another"])
def test_connections_are_as_many_as_asked_for(api, tmp_path, token):
    server = cluster.Cluster(api.kubeconfig(tmp_path / "k"), token, connections=37)
    assert server.pool.connection_from_url(server.server).pool.maxsize == 37
