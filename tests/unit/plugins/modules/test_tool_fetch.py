# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads from a server on loopback that answers in every way that servers and proxies do."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tarfile
import threading

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils import download
from ansible_collections.kubeproof.certify.plugins.modules import tool_fetch

ROOT = pathlib.Path(__file__).parents[4]
TOOL = b"\x7fELF" + bytes(range(256)) * 4000
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in\x1b[31m to\n the network</title></head></html>"
USER, PASSWORD = "mirror-user", "s3cret%2Fword"


def packed(name="k6-v1.2.3-linux-amd64/k6", data=TOOL):
    """Return a .tar.gz file with one file, and another beside it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for path, content in (("README.md", b"read me"), (name, data)):
            info = tarfile.TarInfo(path)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


PACKED = packed()
SUM = hashlib.sha256(PACKED).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """A server on a free port of this host; `answer`, a function of the handler, may be changed."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.requests = good, []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, request, client_address):
        """Clients that break off are part of the tests."""


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the server says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Answer a request."""
        self.server.requests.append((self.path, dict(self.headers)))
        self.close_connection = True
        self.server.answer(self)

    def do_CONNECT(self):
        """Refuse what a proxy is asked for."""
        self.close_connection = True
        self.send_error(407)

    def log_message(self, format, *args):
        """Say nothing."""

    def send(self, body, status=200, length=None, **headers):
        """Send status, headers and body; `length` is what Content-Length says, False for none."""
        self.send_response(status)
        if length is not False:
            headers["Content-Length"] = str(len(body) if length is None else length)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


def good(handler):
    """Send the file."""
    handler.send(PACKED, Content_Type="application/octet-stream")


def mislabelled(handler):
    """Send the file as servers do that know no other type, and call it encoded, too."""
    handler.send(PACKED, Content_Type="text/html", Content_Encoding="gzip")


def chunked(handler):
    """Send the file in chunks."""
    handler.send(b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (PACKED[:900], PACKED[900:], b"")), length=False, Transfer_Encoding="chunked")


def moved(handler):
    """Send the client to the file, and there send it."""
    if handler.path.startswith("/there"):
        good(handler)
    else:
        handler.send(b"", 302, Location="/there/file?signature=very-secret-too")


def moved_to_login(handler):
    """Send the client to the login page of a proxy."""
    if handler.path.startswith("/login"):
        handler.send(PAGE, Content_Type="text/html; charset=utf-8")
    else:
        handler.send(b"", 302, Location="/login?back=very-secret-too")


def status(code, body=PAGE):
    """Return a function that answers with a status."""
    return lambda handler: handler.send(body, code)


def half(handler):
    """Close the connection half way."""
    handler.send(PACKED[:600], length=len(PACKED))


def half_until_closed(handler):
    """Close the connection half way, when no length was announced."""
    handler.send(PACKED[:600], length=False)


def half_chunks(handler):
    """Stop before the last chunk."""
    handler.send(b"%x\r\n%b\r\n" % (600, PACKED[:600]), length=False, Transfer_Encoding="chunked")


def reset(handler):
    """Reset the connection half way."""
    handler.send(PACKED[:600], length=len(PACKED))
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    handler.connection.close()


def other(handler):
    """Send another file of the same length."""
    handler.send(PACKED[:-1] + b"?")


def html(handler):
    """Send a page with the type of a file."""
    handler.send(PAGE, Content_Type="application/octet-stream")


def plain_page(handler):
    """Send a page that only its type tells from a file."""
    handler.send(b"Please sign in.", Content_Type="text/html")


def not_http(handler):
    """Send what is no HTTP."""
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")


def nothing(handler):
    """Close the connection without a word."""


def sleeps(handler):
    """Say no word until the client has gone."""
    with contextlib.suppress(OSError):
        handler.connection.recv(1)


@pytest.fixture(autouse=True)
def environment(tmp_path, monkeypatch):
    """Take away the proxies and the credentials of who runs the tests."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.fixture(name="server")
def fixture_server():
    server = Server()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(name="fetch")
def fixture_fetch(server, tmp_path, capsys):
    """Return a function that runs the module; its options are those of a good download unless changed."""
    pin = {"version": "1.2.3", "url": "{mirror}/k6-v{version}-linux-{architecture}.tar.gz", "sha256": {"amd64": SUM}}

    def call(changes=None, **options):
        arguments = {
            "tools": ["k6"], "downloads": {"k6": {**pin, **(changes or {})}}, "mirror": server.url + "/", "cache": str(tmp_path / "cache"),
            "built": str(tmp_path / "built"), "architecture": "amd64", **options,
        }  # fmt: skip
        with patch_module_args(arguments), pytest.raises(SystemExit):
            tool_fetch.main()
        answer = json.loads(capsys.readouterr().out)
        assert "Traceback" not in json.dumps(answer) and "very-secret" not in json.dumps(answer)
        return answer

    return call


def left(tmp_path):
    """Return the names of what is in the cache, but for locks."""
    return [path.name for path in (tmp_path / "cache" / "downloads").glob("*") if path.suffix != ".lock"]


# What is taken ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [good, mislabelled, chunked, moved])
def test_the_pinned_file_is_taken_once(server, fetch, tmp_path, answer):
    server.answer = answer
    first = fetch()
    assert first["changed"] and first["downloaded"] == ["k6"] and first["missing"] == {}
    path = pathlib.Path(first["paths"]["k6"])
    assert path.read_bytes() == TOOL and path.stat().st_mode & 0o777 == 0o755
    assert server.requests[0][0] == "/k6-v1.2.3-linux-amd64.tar.gz"
    assert sorted(one.name for one in path.parent.iterdir()) == ["k6", "k6.sha256"] and left(tmp_path) == [path.parent.name]
    asked = len(server.requests)
    server.answer = status(500)
    again = fetch()
    assert again["paths"] == first["paths"] and not again["changed"] and again["downloaded"] == [] and len(server.requests) == asked


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(TOOL[:-1]), lambda path: path.unlink(), lambda path: path.chmod(0o644)])
def test_what_was_damaged_in_the_cache_is_downloaded_again(server, fetch, damage):
    path = pathlib.Path(fetch()["paths"]["k6"])
    damage(path)
    assert fetch()["downloaded"] == ["k6"] and path.read_bytes() == TOOL and os.access(path, os.X_OK) and len(server.requests) == 2


def test_a_plain_file_is_the_tool(server, fetch):
    server.answer = lambda handler: handler.send(TOOL)
    answer = fetch(changes={"url": "{mirror}/k6", "sha256": {"amd64": hashlib.sha256(TOOL).hexdigest().upper()}})
    assert pathlib.Path(answer["paths"]["k6"]).read_bytes() == TOOL


def test_words_of_other_architectures(server, fetch):
    fetch(architecture="arm64", changes={"sha256": {"arm64": SUM}, "architectures": {"arm64": "aarch64"}, "member": "k6-v{version}-linux-amd64/k6"})
    assert server.requests[0][0] == "/k6-v1.2.3-linux-aarch64.tar.gz"


def test_another_pin_is_another_download(server, fetch):
    first = fetch()["paths"]["k6"]
    assert fetch(changes={"member": "README.md"})["paths"]["k6"] != first and len(server.requests) == 2
    assert pathlib.Path(first).read_bytes() == TOOL


def test_check_mode_downloads_nothing(server, fetch, tmp_path):
    answer = fetch(_ansible_check_mode=True)
    assert answer["changed"] and answer["downloaded"] == ["k6"] and answer["paths"] == answer["missing"] == {}
    assert server.requests == [] and not (tmp_path / "cache").exists()


# What is refused -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (status(404), 'answered 404 Not Found ("Sign in [31m to the network"). Correct tools_downloads.k6 or tools_mirror.'),
        (status(401, b""), "answered 401 Unauthorized. Give a user and password for it in ~/.netrc"),
        (status(403, b""), "answered 403 Forbidden. Give a user"),
        (status(407, b""), "answered 407 Proxy Authentication Required. Give the proxy's user and password in https_proxy"),
        (status(429, b""), "answered 429 Too Many Requests. Run again later"),
        (status(503, b""), "answered 503 Service Unavailable. Run again later, or set tools_mirror to another server."),
        (status(302), "answered 302 Found"),
        (lambda handler: handler.send(b"", 302, Location=handler.path), "answered 302 Found and leads in a circle"),
        (lambda handler: handler.send(b"", 302, Location="file:///etc/passwd"), "answered 302 Found and leads in a circle or elsewhere than to http"),
        (status(204, b""), "sent 0 bytes with the SHA-256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (html, 'sent an HTML page ("Sign in [31m to the network") instead of the file, as the login or error page of a proxy is. Look at http_proxy'),
        (plain_page, "sent an HTML page instead of the file"),
        (moved_to_login, '/login, sent an HTML page ("Sign in'),
        (half, f"ended after 600 of {len(PACKED)} bytes: the connection was closed. Run again later"),
        (half_chunks, "ended after 600 bytes: the connection was closed."),
        (reset, f"of {len(PACKED)} bytes: "),
        (half_until_closed, "sent 600 bytes with the SHA-256 " + hashlib.sha256(PACKED[:600]).hexdigest()),
        (other, f"with the SHA-256 {hashlib.sha256(PACKED[:-1] + b'?').hexdigest()}, not {SUM}, which tools_downloads.k6 requires. Find out"),
        (not_http, "cannot be read: the answer is not HTTP (BadStatusLine)."),
        (nothing, "cannot be read: Remote end closed connection without response."),
        (sleeps, "cannot be read: nothing came for 0.2 s."),
    ],
)  # fmt: skip
@pytest.mark.parametrize("optional", [False, True])
def test_refused_with_the_reason(server, fetch, tmp_path, monkeypatch, answer, text, optional):
    monkeypatch.setattr(download, "SILENCE", 0.2 if answer is sleeps else 5)
    server.answer = answer
    seen = fetch(optional=optional)
    assert text in seen["missing"]["k6"] and seen["missing"]["k6"].startswith(f"k6: {server.url}/k6-v1.2.3-linux-amd64.tar.gz")
    assert seen.get("failed", False) is not optional and seen.get("msg", seen["missing"]["k6"]) == seen["missing"]["k6"]
    assert not seen["changed"] and seen["paths"] == {} and left(tmp_path) == []
    server.answer = good
    assert pathlib.Path(fetch()["paths"]["k6"]).read_bytes() == TOOL


@pytest.mark.parametrize(
    ("limit", "value", "text"),
    [("FILE_BYTES", 500, "sent more than 500 bytes, which no tool needs."), ("SECONDS", -1, "sent for more than -1 s, which no tool needs.")],
)
def test_what_has_no_end_is_ended(fetch, tmp_path, monkeypatch, limit, value, text):
    monkeypatch.setattr(download, limit, value)
    assert text in fetch()["msg"] and left(tmp_path) == []


def test_an_archive_without_the_tool(server, fetch, tmp_path):
    data = packed("bin/other")
    server.answer = lambda handler: handler.send(data)
    answer = fetch(changes={"sha256": {"amd64": hashlib.sha256(data).hexdigest()}})
    assert answer["msg"].endswith("has no file k6: it has README.md, bin/other. Correct tools_downloads.k6, its member above all.") and left(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"sha256": {}}, "k6: tools_downloads.k6 has no SHA-256 for amd64, so nothing was downloaded. Add tools_downloads.k6.sha256.amd64."),
        ({"sha256": None}, "has no SHA-256 for amd64"),
        ({"sha256": SUM}, "has no SHA-256 for amd64"),
        ({"sha256": {"arm64": SUM}}, "has no SHA-256 for amd64"),
        ({"sha256": {"amd64": SUM[:-1]}}, "is not 64 hexadecimal digits in quotes"),
        ({"sha256": {"amd64": 1234}}, "is not 64 hexadecimal digits in quotes"),
        ({"url": None}, "tools_downloads.k6 has no url"),
        ({"url": "{mirror}/{os}.tar.gz"}, "has {os}, so nothing was downloaded. Use {mirror}, {version} and {architecture}."),
        ({"url": "{mirror}/{}"}, "has {}, so nothing"),
        ({"version": None}, "has {version}, so nothing was downloaded. Set tools_downloads.k6.version."),
        ({"url": "{mirror}:0/k6"}, "gives no http or https URL, so nothing was downloaded."),
        ({"url": "ftp://mirror/k6"}, "gives no http or https URL"),
        ({"url": "file:///etc/passwd"}, "gives no http or https URL"),
        ({"url": "http://user:very-secret word@mirror/k6"}, "gives no http or https URL"),
        ({"url": "http://user:very-secret/word@mirror/k6"}, "gives no http or https URL"),
        ({"checksum": SUM}, "tools_downloads.k6 has checksum, so nothing was downloaded. Use architectures, member, sha256, url, version."),
    ],
)  # fmt: skip
def test_refused_before_it_begins(server, fetch, tmp_path, changes, text):
    answer = fetch(changes=changes)
    assert text in answer["msg"] and server.requests == [] and not (tmp_path / "cache").exists()


def test_no_mirror(server, fetch):
    assert "has {mirror}, so nothing was downloaded. Set tools_mirror." in fetch(mirror="")["msg"] and server.requests == []


def test_nobody_listens(server, fetch):
    server.shutdown()
    server.server_close()
    assert f"{server.url}/k6-v1.2.3-linux-amd64.tar.gz cannot be read: Connection refused." in fetch()["msg"]


def test_a_cache_that_cannot_be_written(server, fetch, tmp_path):
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    assert f"k6: cannot write {tmp_path}/cache/downloads: " in fetch()["msg"] and server.requests == []


def test_a_full_disk_is_not_the_archives_fault(fetch, tmp_path, monkeypatch):
    def full(*dummy):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download.archive.shutil, "copyfileobj", full)
    assert "downloads: No space left on device. Free the space" in fetch()["msg"] and left(tmp_path) == []


# Credentials and proxies -----------------------------------------------------------------------------------------------------


def guarded(handler):
    """Ask for the user and password."""
    if handler.headers.get("Authorization") == "Basic bWlycm9yLXVzZXI6czNjcmV0L3dvcmQ=":
        good(handler)
    else:
        handler.send(b"", 401, WWW_Authenticate='Basic realm="mirror"')


def test_credentials_in_the_url_are_used_and_not_shown(server, fetch):
    server.answer = guarded
    mirror = server.url.replace("://", f"://{USER}:{PASSWORD}@")
    answer = fetch(mirror=mirror)
    assert answer["downloaded"] == ["k6"] and PASSWORD not in json.dumps(answer) and USER not in json.dumps(answer)
    server.answer = status(404)
    answer = fetch(mirror=mirror, changes={"url": "{mirror}/x/{version}?token=very-secret-too", "member": "README.md"})
    assert f"k6: {server.url}/x/1.2.3 answered 404" in answer["msg"] and PASSWORD not in json.dumps(answer)


def test_credentials_in_netrc_stay_with_their_server(server, fetch, tmp_path):
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login {USER} password s3cret/word\n", encoding="utf-8")
    elsewhere = Server()
    server.answer = lambda handler: handler.send(b"", 302, Location=elsewhere.url + "/k6")
    assert fetch()["downloaded"] == ["k6"]
    assert "Authorization" in server.requests[0][1] and "Authorization" not in elsewhere.requests[0][1]
    elsewhere.shutdown()
    elsewhere.server_close()


def test_a_netrc_that_cannot_be_read(fetch, tmp_path):
    (tmp_path / "netrc").write_text("machine\tvery-secret\x1b nonsense\n", encoding="utf-8")
    assert "k6: ~/.netrc cannot be used: bad follower token 'nonsense'. Correct it." in fetch()["msg"]


@pytest.mark.parametrize(
    ("url", "answer", "text"),
    [
        ("http://mirror.example.com/k6.tar.gz", html, 'sent an HTML page ("Sign in'),
        ("http://mirror.example.com/k6.tar.gz", status(407), "answered 407 Proxy Authentication Required"),
        ("https://mirror.example.com/k6.tar.gz", None, "cannot be read: Tunnel connection failed: 407 Proxy Authentication Required"),
    ],
)
def test_a_proxy_is_used_and_named(server, fetch, monkeypatch, url, answer, text):
    proxy = server.url.replace("://", f"://{USER}:{PASSWORD}@")
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("https_proxy", proxy)
    server.answer = answer
    seen = fetch(changes={"url": url})
    assert f"k6: {url} (through the proxy {server.url.partition('//')[2]}) {text}" in seen["msg"] and PASSWORD not in json.dumps(seen)
    server.answer = good
    if url.startswith("http:"):
        assert fetch(changes={"url": url})["downloaded"] == ["k6"] and server.requests[-1][0] == url


def test_no_proxy(server, fetch, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server.answer = status(404)
    assert "proxy" not in fetch()["msg"]


# Where tools are found -------------------------------------------------------------------------------------------------------


@pytest.fixture(name="places")
def fixture_places(tmp_path, monkeypatch):
    """Put a k6 on the PATH, among the built tools and elsewhere; return the three paths."""
    paths = [tmp_path / place / "k6" for place in ("path", "built", "own")]
    for path in paths:
        path.parent.mkdir()
        path.write_text(f"#!/bin/sh\n# {path}\n", encoding="utf-8")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(paths[0].parent), prepend=os.pathsep)
    return paths


def test_the_first_that_names_it_decides(server, fetch, places):
    on_path, built, own = places
    given = {"k6": {"path": str(own)}}
    assert fetch(files=given)["paths"] == {"k6": str(own)} and server.requests == []
    assert "/downloads/" in fetch()["paths"]["k6"]
    assert fetch(downloads={})["paths"] == {"k6": str(on_path)}
    assert fetch(downloads={}, host="etcd1")["paths"] == {"k6": str(built)}
    on_path.unlink()
    assert fetch(downloads={})["paths"] == {"k6": str(built)}
    built.unlink()
    assert fetch(downloads={}, tools=["k6", "k6"])["msg"] == (
        f"k6 is not on the PATH of the controller, and {built} on the controller is missing. "
        "Run `make tools`, install k6, or set tools_files.k6 or tools_downloads.k6."
    )
    assert "k6 is not on the PATH of etcd1, and" in fetch(downloads={}, host="etcd1")["msg"]


def test_a_pin_that_fails_is_not_replaced_by_another_tool(server, fetch, places):
    server.answer = other
    assert fetch()["failed"] and fetch(optional=True)["paths"] == {}


def test_files_are_refused_with_the_reason(fetch, places):
    own = places[2]
    found = hashlib.sha256(own.read_bytes()).hexdigest()
    assert fetch(files={"k6": {"path": str(own), "sha256": found.upper()}})["paths"] == {"k6": str(own)}
    answer = fetch(files={"k6": {"path": str(own), "sha256": SUM}})
    assert answer["msg"] == f"k6: {own} has the SHA-256 {found}, not {SUM}, which tools_files.k6 requires. Correct one of them."
    own.chmod(0o644)
    assert f"k6: {own}, which tools_files.k6 names, is not executable." in fetch(files={"k6": {"path": str(own)}})["msg"]
    # A copy on a host gets its mode there.
    assert fetch(files={"k6": {"path": str(own)}}, host="etcd1")["paths"] == {"k6": str(own)}
    assert "is missing on the controller" in fetch(files={"k6": {"path": "/no/such/k6"}})["msg"]
    assert "tools_files.k6 has no path" in fetch(files={"k6": "/no/such/k6"})["msg"]


@pytest.mark.parametrize("name", ["../k6", "/bin/sh", "", ".k6", "k6\n", "a b"])
def test_names_are_no_paths(server, fetch, name):
    answer = fetch(tools=[name], downloads={name: {"url": server.url, "sha256": {"amd64": SUM}}}, optional=True)
    assert "is no name of a tool" in answer["missing"][name] and server.requests == []


def test_one_failure_hides_no_other_tool(server, fetch, places):
    answer = fetch(tools=["k6", "kube-burner", "other"], files={"other": {"path": str(places[2])}})
    assert set(answer["paths"]) == {"k6", "other"} and set(answer["missing"]) == {"kube-burner"} and answer["downloaded"] == ["k6"]


# Interruptions and two at once -----------------------------------------------------------------------------------------------

# A background job of a shell ignores SIGINT, and so would what it starts.
ALONE = """
import json, signal, sys
from ansible.module_utils.testing import patch_module_args
from ansible_collections.kubeproof.certify.plugins.modules import tool_fetch
signal.signal(signal.SIGINT, signal.default_int_handler)
with patch_module_args(json.loads(sys.argv[1])):
    tool_fetch.main()
"""


def alone(server, tmp_path):
    """Start the module in a process of its own."""
    pin = {"url": "{mirror}/k6.tar.gz", "sha256": {"amd64": SUM}}
    options = {
        "tools": ["k6"], "downloads": {"k6": pin}, "mirror": server.url, "cache": str(tmp_path / "cache"), "built": "/no", "architecture": "amd64"
    }  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".ansible" / "collections"), "no_proxy": "*"}
    return subprocess.Popen([sys.executable, "-c", ALONE, json.dumps(options)], env=environment, stdout=subprocess.PIPE)


class Half:
    """Sends half of the file, and the rest when it may."""

    def __init__(self):
        self.sent, self.may = threading.Event(), threading.Event()

    def __call__(self, handler):
        handler.send(PACKED[:600], length=len(PACKED))
        self.sent.set()
        self.may.wait(60)
        handler.wfile.write(PACKED[600:])


@pytest.mark.parametrize(("end", "remains"), [(signal.SIGKILL, 1), (signal.SIGINT, 0)])
def test_an_interrupted_download_is_never_taken(server, fetch, tmp_path, end, remains):
    server.answer = half = Half()
    process = alone(server, tmp_path)
    assert half.sent.wait(60)
    # Python may be where it can only say "Exception ignored": who wants it to end asks again.
    while process.poll() is None:
        process.send_signal(end)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
    assert process.returncode != 0
    half.may.set()
    names = left(tmp_path)
    assert len(names) == remains and all(name.endswith(".unfinished") for name in names)
    server.answer = good
    answer = fetch(changes={"url": "{mirror}/k6.tar.gz"})
    assert answer["downloaded"] == ["k6"] and pathlib.Path(answer["paths"]["k6"]).read_bytes() == TOOL
    assert left(tmp_path) == [pathlib.Path(answer["paths"]["k6"]).parent.name]
    process.stdout.close()


def test_two_runs_download_once(server, tmp_path, monkeypatch):
    server.answer = half = Half()
    waits, lock, answers = threading.Event(), download.fcntl.flock, []
    pin = {"name": "k6", "architecture": "amd64", "url": server.url + "/k6.tar.gz", "sha256": SUM, "member": ""}

    def seen(*arguments):
        if half.sent.is_set():
            waits.set()
        lock(*arguments)

    monkeypatch.setattr(download.fcntl, "flock", seen)
    runs = [threading.Thread(target=lambda: answers.append(download.fetch(pin, str(tmp_path / "cache"), tool_fetch.opened))) for dummy in range(2)]
    runs[0].start()
    assert half.sent.wait(60)
    runs[1].start()
    assert waits.wait(60)
    half.may.set()
    for run in runs:
        run.join(60)
    # Which of them says so first is open; that one downloaded is not.
    assert sorted(is_new for dummy, is_new in answers) == [False, True] and answers[0][0] == answers[1][0]
    assert len(server.requests) == 1 and len(left(tmp_path)) == 1
