# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import struct
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import api_streams_wire as wire
from ansible_collections.kubeproof.certify.plugins.module_utils.cluster import Cluster
from ansible_collections.kubeproof.certify.tests.unit.plugins import stream_proxy
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import TOKEN, status, write_kubeconfig

# What the lab's node (containerd 2.2.1 behind Kubernetes 1.36.3) answered to a port-forward to a port without a listener.
REFUSED = b'failed to connect to localhost:1 inside namespace "a", IPv4: dial tcp4 127.0.0.1:1: connect: connection refused'
RECORDED = [
    b"\x80\x03\x00\x02\x00\x00\x00\x14\x00\x00\x00\x01x\xf9\xe3\xc6\xa7\xc2b```\x00\x00\x00\x00\xff\xff",
    b"\x80\x03\x00\x02\x00\x00\x00\x0c\x00\x00\x00\x03\x02a\x00\x00\x00\x00\xff\xff",
    b"\x00\x00\x00\x03\x01\x00\x00\x00",
    b"\x00\x00\x00\x01\x00" + len(REFUSED).to_bytes(3, "big") + REFUSED,
    b"\x80\x03\x00\x03\x00\x00\x00\x08\x00\x00\x00\x01\x00\x00\x00\x05",
]
FRAMES = [
    (wire.SYN_REPLY, 1, RECORDED[0][8:], False),
    (wire.SYN_REPLY, 3, RECORDED[1][8:], False),
    (None, 3, b"", True),
    (None, 1, REFUSED, False),
    (wire.RST_STREAM, 1, RECORDED[4][8:], False),
]
PAGE = b"<html>\n <body>no  way</body></html>"


@pytest.fixture(name="stream")
def fixture_stream(tmp_path, monkeypatch):
    """Return stream(meddle, **more): a Stream to a server that answers as `meddle` does."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    proxies, streams = [], []

    def run(meddle, timeout=5, protocols=wire.CHANNELS):
        proxies.append(stream_proxy.Proxy("http://127.0.0.1:1", meddle).__enter__())
        server = Cluster(write_kubeconfig(tmp_path / "kubeconfig", proxies[-1].url))
        streams.append(wire.Stream(server, "/pods/a/exec", [("command", "/a b"), ("command", "c")], protocols, timeout))
        return streams[-1]

    run.proxies = proxies
    yield run
    for end in (*streams, *proxies):
        end.__exit__()


def says(*messages, protocol="v5.channel.k8s.io", end=b""):
    """Return what a server that opens the WebSocket and sends these messages does; it ends the connection when the client does, or with `end`."""

    def meddle(head, client):
        stream_proxy.accept(head, client, protocol)
        client.sendall(b"".join(map(stream_proxy.frame, messages)) + end)
        if not end:
            stream_proxy.until_close(client)

    return meddle


def http(code, body=b"", headers=b""):
    """Return what a server that answers with an HTTP status does."""
    return lambda head, client: client.sendall(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n%s\r\n%s" % (code, len(body), headers, body))


def test_opens_as_kubectl_does(stream):
    opened = stream(says(b"\1", b"\1out"))
    assert opened.protocol == "v5.channel.k8s.io"
    messages = opened.messages()
    assert [next(messages), next(messages)] == [b"\1", b"\1out"]
    head = stream.proxies[0].heads[0].decode()
    assert head.startswith("GET /pods/a/exec?command=%2Fa+b&command=c HTTP/1.1\r\n")
    assert "\r\nSec-WebSocket-Protocol: v5.channel.k8s.io, v4.channel.k8s.io\r\n" in head
    assert f"\r\nAuthorization: Bearer {TOKEN}\r\n" in head and "Origin" not in head


STATUS_400 = json.dumps(status(400, "BadRequest", "Upgrade request required")).encode()
STATUS_404 = json.dumps(status(404, "NotFound", 'pods "a" not found')).encode()
STATUS_403 = json.dumps(status(403, "Forbidden", "no right")).encode()
STATUS_401 = json.dumps(status(401, "Unauthorized", "Unauthorized")).encode()
ANONYMOUS = json.dumps(status(403, "Forbidden", 'User "system:anonymous" cannot get resource')).encode()
INSTEAD = "instead of switching to WebSocket"


@pytest.mark.parametrize(
    ("meddle", "said", "refused"),
    [
        (http(400, PAGE), f"the server or a proxy before it answered 400 {INSTEAD}: <html> <body>no way</body></html>", False),
        (http(403, PAGE), f"the server or a proxy before it answered 403 {INSTEAD}: <html> <body>no way</body></html>", False),
        (http(200, b"ok"), f"the server or a proxy before it answered 200 {INSTEAD}: ok", False),
        (http(200), f"the server or a proxy before it answered 200 {INSTEAD}", False),
        (http(502, b"x" * 1000), f"the server or a proxy before it answered 502 {INSTEAD}: {'x' * 300}", False),
        (http(404, STATUS_404), f'the server or a proxy before it answered 404 {INSTEAD}: pods "a" not found', False),
        (http(400, STATUS_400), f"a proxy before the server drops the header Upgrade, so that it answered 400 {INSTEAD}: Upgrade request required", False),
        (
            http(400, b"unable to upgrade: X-Stream-Protocol-Version is required"),
            f"a proxy before the server drops the header Upgrade, so that it answered 400 {INSTEAD}: unable to upgrade: X-Stream-Protocol-Version",
            False,
        ),
        (http(403, STATUS_403), "the API server refused it with 403: no right", True),
        (http(401, STATUS_401), "the API server refused it with 401: Unauthorized", True),
        (http(403, ANONYMOUS), 'a proxy before the server drops the credentials from the request for a WebSocket: User "system:anonymous"', False),
        (http(403, b'{"message": "no", "kind": "Other"}'), f"the server or a proxy before it answered 403 {INSTEAD}: no", False),
        (http(302, headers=b"Location: http://127.0.0.1:1/\r\n"), f"the server or a proxy before it answered 302, a redirect, {INSTEAD}", False),
        (http(101), "the server or a proxy before it answered 101 without the headers of a WebSocket", False),
        (says(protocol=""), "the WebSocket has no subprotocol: a proxy before the server drops the header Sec-WebSocket-Protocol", False),
        (says(protocol="chat"), "the server or a proxy before it chose the subprotocol chat, which was not offered", False),
        (lambda head, client: client.sendall(b"SSH-2.0-x\r\n\r\n"), "the server or a proxy before it did not switch to WebSocket: Invalid status", False),
        (lambda head, client: None, "the server or a proxy before it did not switch to WebSocket: ", False),
    ],
)
def test_what_comes_in_place_of_a_websocket(stream, meddle, said, refused):
    with pytest.raises(wire.StreamError) as failed:
        stream(meddle)
    assert str(failed.value).startswith(said) and failed.value.refused is refused
    assert "\n" not in str(failed.value) and len(str(failed.value)) < 500 and TOKEN not in str(failed.value)


def test_a_redirect_does_not_get_the_token(stream):
    with stream_proxy.Proxy("http://127.0.0.1:1", says()) as elsewhere:
        with pytest.raises(wire.StreamError, match="302, a redirect"):
            stream(http(302, headers=f"Location: ws{elsewhere.url[4:]}/\r\n".encode()))
        assert elsewhere.heads == []


def test_no_answer(stream):
    with pytest.raises(wire.StreamError, match="no answer to the request for a WebSocket within 0.05 s"):
        stream(lambda head, client: client.recv(1), timeout=0.05)


def test_no_server(tmp_path):
    server = Cluster(write_kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:1"))
    with pytest.raises(wire.StreamError, match="no connection for a WebSocket: .*refused"):
        wire.Stream(server, "/", [], wire.CHANNELS, 1)


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (stream_proxy.frame(b"\x03\xe9gone", stream_proxy.CLOSE), r"the other end closed the WebSocket with code 1001 after \d.\d s: gone"),
        (stream_proxy.frame(b"", stream_proxy.CLOSE), r"the other end closed the WebSocket after \d.\d s$"),
        (b"\x82\x05ab", r"the connection was cut \d.\d s after it was opened"),
        (b"\xff\xff\xff\xff", r"the connection was cut \d.\d s after it was opened"),
    ],
)
def test_the_connection_ends(stream, end, said):
    messages = stream(says(b"\1", end=end)).messages()
    assert next(messages) == b"\1"
    with pytest.raises(wire.StreamError, match=said) as failed:
        next(messages)
    assert failed.value.protocol == "v5.channel.k8s.io"


def test_messages_end_at_the_limit(stream):
    opened = stream(says(b"\1"))
    assert next(opened.messages()) == b"\1"
    assert list(opened.messages(time.monotonic() + 0.01)) == []


def test_ping(stream):
    def meddle(head, client):
        stream_proxy.accept(head, client, "v4.channel.k8s.io")
        kind, data = stream_proxy.read_frame(client)
        assert kind == stream_proxy.PING
        client.sendall(stream_proxy.frame(b"\1late") + stream_proxy.frame(data, stream_proxy.PONG))
        stream_proxy.until_close(client)

    opened = stream(meddle)
    opened.ping()
    messages = opened.messages()
    assert [next(messages), next(messages)] == [b"\1late", None]


@pytest.mark.parametrize(("server", "url"), [("https://a:6443/", "wss://a:6443/p?x=1"), ("http://a/k8s", "ws://a/k8s/p?x=1")])
def test_url(server, url):
    assert wire.url_of(server, "/p", [("x", 1)]) == url


def test_spdy_opens_streams():
    spdy, reader = wire.Spdy(), zlib.decompressobj()
    for stream, headers in ((1, {"streamtype": "error", "port": "1"}), (3, {"streamtype": "data", "port": "1"})):
        frame = spdy.open(stream, headers)
        version, kind, length, number, beside, priority = struct.unpack("!HHIIIH", frame[:18])
        assert (version, kind, length, number, beside, priority) == (0x8003, wire.SYN_STREAM, len(frame) - 8, stream, 0, 0)
        block = reader.decompress(frame[18:])
        words = []
        for _count in range(2 * struct.unpack("!I", block[:4])[0]):
            [size] = struct.unpack("!I", block[4:8])
            words.append(block[8 : 8 + size].decode())
            block = block[:4] + block[8 + size :]
        assert dict(zip(words[::2], words[1::2])) == headers and len(block) == 4


@given(st.lists(st.integers(0, len(b"".join(RECORDED))), max_size=20))
def test_spdy_reads_frames_however_they_are_cut(cuts):
    data, spdy = b"".join(RECORDED), wire.Spdy()
    bounds = [0, *sorted(cuts), len(data)]
    assert [frame for low, high in zip(bounds, bounds[1:]) for frame in spdy.read(data[low:high])] == FRAMES


@given(st.lists(st.binary(max_size=100), max_size=10))
def test_spdy_reads_anything(parts):
    spdy = wire.Spdy()
    frames = [frame for part in parts for frame in spdy.read(part)]
    assert sum(8 + len(payload) for _kind, _stream, payload, _last in frames) + len(spdy.pending) == sum(map(len, parts))
