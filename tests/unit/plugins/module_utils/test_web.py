# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import http.server
import json
import socket
import ssl
import subprocess
import threading

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils.web import Endpoint, HttpError, fetch_json, request


class Server:
    """An HTTP server on loopback: `answers` {path: (status, bytes)}, `seen` [(method, path, headers, body)]."""

    def __init__(self, context=None):
        self.answers, self.seen = {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            wbufsize = -1

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.seen.append((self.command, self.path, dict(self.headers), body))
                status, text = outer.answers.get(self.path, (404, b"no such page"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(text) if status != 206 else 1000))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = answer

            def log_message(self, *dummy):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(name="server")
def fixture_server():
    server = Server()
    yield server
    server.close()


def openssl(*arguments, directory):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


@pytest.fixture(name="keys", scope="module")
def fixture_keys(tmp_path_factory):
    """Return a directory with a self-signed pair for 127.0.0.1, another pair, and the first key encrypted."""
    directory = tmp_path_factory.mktemp("keys")
    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test"]
    openssl(*new, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "own.key", "-out", "own.crt", directory=directory)
    openssl(*new, "-keyout", "other.key", "-out", "other.crt", directory=directory)
    openssl("pkey", "-in", "own.key", "-aes256", "-passout", "pass:secret", "-out", "encrypted.key", directory=directory)
    (directory / "empty").write_text("")
    return directory


def message(endpoint, path="", call=fetch_json):
    with pytest.raises(HttpError) as caught:
        call(endpoint, path)
    return str(caught.value)


def test_get_and_post(server):
    server.answers = {"/v": (200, b'{"a": 1}'), "/base/v3/kv?x=1": (200, b"[]"), "/base?q=2": (200, b"0")}
    assert fetch_json(Endpoint(f"http://{server.address}"), "/v") == {"a": 1}
    assert fetch_json(Endpoint(f"http://{server.address}/base/", token="s3cret"), "/v3/kv?x=1", {"key": "\u00e9"}) == []
    assert fetch_json(Endpoint(f"http://{server.address}/base?q=2")) == 0
    first, second, third = server.seen
    assert first[:2] == ("GET", "/v") and "Authorization" not in first[2] and first[3] == b""
    assert second[0] == "POST" and json.loads(second[3]) == {"key": "\u00e9"}
    assert (second[2]["Authorization"], second[2]["Content-Type"]) == ("Bearer s3cret", "application/json")
    assert third[0] == "GET" and third[2]["Host"] == server.address


def test_headers_of_a_caller(server):
    server.answers = {"/": (200, b"ok")}
    with request(Endpoint(f"http://{server.address}"), headers={"Accept": "text/plain"}) as response:
        assert response.read() == b"ok"
    assert server.seen[0][2]["Accept"] == "text/plain"


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ((404, b"no such page"), 404, "answered 404 Not Found: no such page."),
        ((503, b""), 503, "answered 503 Service Unavailable: no text."),
        ((500, b"\xff" * 1000), 500, "answered 500"),
        ((204, b""), 204, "answered 204"),
        ((302, b""), 302, "answered 302"),
        ((200, b"<html>"), None, "not JSON: b'<html>'"),
        ((200, b""), None, "not JSON: b''"),
        ((200, b"[" * 100000), None, "not JSON"),
        ((200, b"\xff\xfe"), None, "not JSON"),
    ],
)
def test_answers_that_are_none(server, answer, status, said):
    server.answers = {"/v": answer}
    with pytest.raises(HttpError) as caught:
        fetch_json(Endpoint(f"http://{server.address}", token="s3cret"), "/v")
    assert said in str(caught.value) and f"http://{server.address}/v" in str(caught.value) and len(str(caught.value)) < 600
    assert caught.value.status == status and "s3cret" not in str(caught.value)


def test_a_server_that_ends_before_the_end(server):
    server.answers = {"/v": (206, b"{")}
    assert "answered 206" in message(Endpoint(f"http://{server.address}"), "/v")


def raw_server(data):
    """Return the address of a server that sends `data` to one client, or nothing at all for None."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, dummy = listener.accept()
        with connection, listener:
            connection.recv(4096)
            if data is None:
                connection.recv(1)
            else:
                connection.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "closed connection without response"),
        (b"SSH-2.0-OpenSSH\r\n", "SSH-2.0"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{", "IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nBad header\r\n" + b"x" * 70000, "line"),
        (None, "timed out"),
    ],
)
def test_what_does_not_speak_http(data, said):
    address = raw_server(data)
    assert said in message(Endpoint(f"http://{address}", timeout=0.3 if data is None else 5), "/v")


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    assert message(Endpoint(f"http://{address}"), "/v") == f"http://{address}/v: Connection refused."


@pytest.mark.parametrize(
    "url",
    ["", "etcd:2379", "127.0.0.1:2379", "ftp://a", "http://", "https:///x", "http://a:99999", "http://a:b", "http://a:0", "http://[::1"]
    + ["http://a..b", "http://" + "a" * 70, "http://a b", "http://a/\n", "http://\u00e4", "http://a/\u00e4", "http://a\x00"],
)
def test_a_url_that_is_none(url):
    with pytest.raises(HttpError, match="is not an http or https URL"):
        Endpoint(url)


def test_a_url_says_why():
    with pytest.raises(ValueError, match="^Port could not be cast.*: 'http://a:b' is not an http or https URL. Write it as https://host:port.$"):
        Endpoint("http://a:b")


def test_a_password_in_the_url_is_refused_and_not_shown():
    with pytest.raises(HttpError) as caught:
        Endpoint("https://user:s3cret@10.0.0.1:2379")
    assert "s3cret" not in str(caught.value) and "10.0.0.1:2379" in str(caught.value)


@pytest.mark.parametrize("token", ["a\nb", "a\r", "\u00e4"])
def test_a_token_that_no_header_carries_is_not_shown(token):
    with pytest.raises(HttpError, match="The token for http://a has") as caught:
        Endpoint("http://a", token=token)
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [("http://a", "a", 80), ("https://a", "a", 443), ("http://[2001:db8::1]", "2001:db8::1", 80), ("https://[2001:db8::1]:2379/x", "2001:db8::1", 2379)],
)
def test_host_and_port(url, host, port):
    connection = Endpoint(url).connect()
    assert (connection.host, connection.port) == (host, port)


# TLS ----------------------------------------------------------------------------------------------------------------------


def tls(keys, verify=False, name="own"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys / f"{name}.crt", keys / f"{name}.key")
    if verify:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(keys / "own.crt")
    return context


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ca": "own.crt", "cert": "own.crt", "key": "own.key"}, None),
        ({"ca": "other.crt", "cert": "own.crt", "key": "own.key"}, "its certificate is refused: self-signed certificate"),
        ({"cert": "own.crt", "key": "own.key"}, "its certificate is refused: self-signed certificate"),
    ],
)
def test_tls_is_verified(keys, options, said):
    server = Server(tls(keys, verify=True))
    server.answers = {"/v": (200, b"1")}
    endpoint = Endpoint(f"https://{server.address}", **{name: str(keys / file) for name, file in options.items()}, timeout=5)
    try:
        if said:
            assert said in message(endpoint, "/v")
        else:
            assert fetch_json(endpoint, "/v") == 1
    finally:
        server.close()


def test_the_name_is_verified(keys):
    server = Server(tls(keys))
    endpoint = Endpoint(f"https://localhost:{server.server.server_port}", ca=str(keys / "own.crt"), timeout=5)
    try:
        assert "Hostname mismatch" in message(endpoint, "/v")
    finally:
        server.close()


def test_a_pinned_certificate_needs_no_name_and_no_issuer(keys):
    server = Server(tls(keys))
    server.answers = {"/v": (200, b"1")}
    endpoint = Endpoint(f"https://localhost:{server.server.server_port}", timeout=5, pin=True)
    try:
        assert [fetch_json(endpoint, "/v"), fetch_json(endpoint, "/v")] == [1, 1]
    finally:
        server.close()
    with_another = Server(tls(keys, name="other"))
    endpoint.port = with_another.server.server_port
    try:
        assert "its certificate is refused" in message(endpoint, "/v")
    finally:
        with_another.close()


def test_only_a_server_on_loopback_is_pinned():
    with pytest.raises(HttpError, match="10.0.0.1:10259 is not on loopback"):
        Endpoint("https://10.0.0.1:10259", pin=True)


def test_nobody_shows_a_certificate():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert "Connection refused" in message(Endpoint(f"https://127.0.0.1:{port}", timeout=5, pin=True), "/v")


def test_a_server_without_tls(server):
    assert f"https://{server.address}/v: " in message(Endpoint(f"https://{server.address}", timeout=5), "/v")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ca": "missing"}, "the CA file"),
        ({"ca": "empty"}, "the CA file"),
        ({"cert": "own.crt", "key": "missing"}, "the client certificate"),
        ({"cert": "own.crt", "key": "other.key"}, "the client certificate"),
        ({"cert": "own.crt"}, "the client certificate"),
        # Without a password OpenSSL would ask for one on the terminal and wait.
        ({"cert": "own.crt", "key": "encrypted.key"}, "the client certificate"),
    ],
)
def test_files_that_cannot_be_used(keys, options, said):
    with pytest.raises(HttpError, match=said) as caught:
        Endpoint("https://a", **{name: str(keys / file) for name, file in options.items()})
    assert "https://a" in str(caught.value)
