# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import gzip
import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.action.metrics_window import hide_tokens
from ansible_collections.kubeproof.certify.plugins.module_utils import report_verify_raw
from ansible_collections.kubeproof.certify.plugins.modules import metrics_window

ROOT = pathlib.Path(__file__).parents[4]
FIXTURES = ROOT / "tests" / "fixtures" / "metrics"
BEFORE, AFTER = (gzip.decompress((FIXTURES / f"etcd-{state}.txt.gz").read_bytes()) for state in ("before", "after"))
FSYNC = {"name": "etcd_disk_wal_fsync_duration_seconds"}
TOKEN = "a.very-secret_token"
CREDENTIALS = {"ca": "ca.crt", "cert": "client.crt", "key": "client.key"}


class Server(http.server.ThreadingHTTPServer):
    """A server of /metrics on a free port of this host; `body` and `answer` (a function of the handler) may be changed."""

    daemon_threads = True

    def __init__(self, context=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.answer, self.requests = BEFORE, plain, []
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.server_address[1]}/metrics"

    def handle_error(self, request, client_address):
        """Clients that break off are part of the tests."""


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the server says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Answer a request."""
        self.server.requests.append(dict(self.headers))
        self.close_connection = True
        self.server.answer(self, self.server.body)

    def log_message(self, format, *args):
        """Say nothing."""

    def send(self, headers, body):
        """Send status, headers and body."""
        self.send_response(200)
        for name, value in {"Content-Type": "text/plain; version=0.0.4; charset=utf-8", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def plain(handler, body):
    """Answer with Content-Length."""
    handler.send({"Content-Length": str(len(body))}, body)


def until_closed(handler, body):
    """Answer without a length."""
    handler.send({}, body)


def zipped(handler, body):
    """Answer with gzip."""
    assert handler.headers["Accept-Encoding"] == "gzip"
    body = gzip.compress(body)
    handler.send({"Content-Length": str(len(body)), "Content-Encoding": "gzip"}, body)


def chunked(handler, body):
    """Answer in chunks of gzip, as Go does."""
    body = gzip.compress(body)
    parts = [body[at:at + 1000] for at in range(0, len(body), 1000)]
    handler.send({"Transfer-Encoding": "chunked", "Content-Encoding": "gzip"}, b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""]))


def short(handler, body):
    """Promise more than is sent."""
    handler.send({"Content-Length": str(len(body) + 7)}, body)


def cut(handler, body):
    """Stop in the middle of a line."""
    handler.send({}, body[:-3])


def cut_gzip(handler, body):
    """Stop before the end of the gzip stream."""
    handler.send({"Content-Encoding": "gzip"}, gzip.compress(body)[:-9])


def cut_chunks(handler, body):
    """Stop before the last chunk."""
    handler.send({"Transfer-Encoding": "chunked"}, b"%x\r\n%b\r\n" % (len(body), body))


def not_gzip(handler, body):
    """Call plain text gzip."""
    handler.send({"Content-Encoding": "gzip"}, body)


def more_than_gzip(handler, body):
    """Add bytes after the gzip stream."""
    handler.send({"Content-Encoding": "gzip"}, gzip.compress(body) + b"more")


def other_encoding(handler, body):
    """Use an encoding that was not asked for."""
    handler.send({"Content-Encoding": "br"}, body)


def html(handler, body):
    """Answer with a page."""
    handler.send({"Content-Type": "text/html"}, b"<html>\n")


def malformed(handler, body):
    """Damage a line that is read."""
    plain(handler, body.replace(b'fsync_duration_seconds_bucket{le="0.008"}', b'fsync_duration_seconds_bucket{le="0.008}'))


def forbidden(handler, body):
    """Refuse."""
    handler.send_error(403, "Forbidden")


def slow(handler, body):
    """Send a byte now and then, for longer than anybody wants to wait."""
    handler.send({}, b"")
    for dummy in range(100):
        handler.wfile.write(b"#")
        handler.wfile.flush()
        time.sleep(0.05)


@pytest.fixture(name="server")
def serve():
    """A plain server."""
    yield from running(Server())


def running(server):
    """Run a server while a test runs."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(name="run")
def runner(tmp_path, capsys):
    """Return a function that runs the module in check mode, where it works as always, and returns its result."""

    def run(state, endpoints, families=(FSYNC,), **more):
        arguments = {"state": state, "path": str(tmp_path / "window.json"), "endpoints": endpoints, "families": list(families), **more}
        with patch_module_args({**arguments, "_ansible_check_mode": True}), pytest.raises(SystemExit):
            metrics_window.main()
        result = json.loads(capsys.readouterr().out)
        assert not result.get("changed")
        assert "Traceback" not in json.dumps(result)
        return result

    return run


@pytest.mark.parametrize("answer", [plain, until_closed, zipped, chunked])
def test_opens_and_closes(server, run, tmp_path, answer):
    server.answer = answer
    endpoints = {"etcd": {"url": server.url, "ca": None}}
    families = [FSYNC, {"name": "etcd_server_proposals_committed_total", "as": "committed"}, {"name": "etcd_nothing"}]
    opened = run("open", endpoints, families)
    assert opened["failed_endpoints"] == {}
    assert "facts" not in opened
    server.body = AFTER
    result = run("close", endpoints, families)
    facts = result["facts"]["etcd"]
    assert facts["etcd_disk_wal_fsync_duration_seconds"]["count"] == 729
    assert facts["etcd_disk_wal_fsync_duration_seconds"]["p99"] == [0.032, 0.064]
    assert facts["committed"] == {"first": 30247, "last": 35776}
    assert facts["problems"] == ["Family etcd_nothing is not exposed."]
    assert 0 < facts["seconds"] < 60
    assert "raw" not in result
    assert os.stat(tmp_path / "window.json").st_mode & 0o777 == 0o600


@pytest.mark.parametrize("answer", [plain, zipped])
def test_the_whole_answer_is_kept(server, run, answer):
    server.answer = answer
    result = run("open", {"etcd": {"url": server.url}}, raw="/somewhere/etcd")
    assert gzip.decompress(base64.b64decode(result["raw"]["etcd"])) == BEFORE


@pytest.mark.parametrize(
    "answer, reason",
    [
        (short, "incomplete: 7 bytes are missing"),
        (cut, "incomplete: its last line does not end"),
        (cut_gzip, "its gzip stream does not end"),
        (cut_chunks, "IncompleteRead"),
        (not_gzip, "is not gzip"),
        (more_than_gzip, "after the end of its gzip stream"),
        (other_encoding, "the encoding 'br', which was not asked for"),
        (html, "answered text/html"),
        (malformed, "A line is not understood: 'etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.008} "),
        (forbidden, "answered 403 Forbidden"),
        (slow, "did not end in time"),
    ],
)
def test_an_answer_that_is_not_whole_is_said(server, run, answer, reason):
    endpoints = {"etcd": {"url": server.url, "timeout": 0.5}, "other": {"url": server.url}}
    server.answer = answer
    result = run("open", {"etcd": endpoints["etcd"]}, raw="/somewhere/etcd")
    assert result["failed"]
    assert result["msg"].startswith("No endpoint could be read. etcd: http://127.0.0.1:")
    assert reason in result["msg"]
    assert result["raw"] == {}

    # A window with one good endpoint: the other is told, at close again, and the good one has its facts.
    server.answer = lambda handler, body: (answer if handler.headers.get("Authorization") else plain)(handler, body)
    tokens = {"etcd": TOKEN}
    result = run("open", endpoints, tokens=tokens)
    assert not result.get("failed")
    assert reason in result["failed_endpoints"]["etcd"]
    result = run("close", endpoints, tokens={})
    assert result["failed_endpoints"]["etcd"].startswith("It was not read when the window was opened: http")
    assert list(result["facts"]) == ["other"]
    assert result["facts"]["other"]["etcd_disk_wal_fsync_duration_seconds"] == {"count": 0, "sum": 0.0}


def test_close_without_open(run, server):
    result = run("close", {"etcd": {"url": server.url}})
    assert result["failed"]
    assert "window.json: No such file or directory. The window has to be opened before it is closed." in result["msg"]


def test_close_needs_the_window_that_was_opened(run, server, tmp_path):
    endpoints = {"etcd": {"url": server.url}}
    run("open", endpoints)
    assert "opened for other families" in run("close", endpoints, [dict(FSYNC, by=["x"])])["msg"]
    result = run("close", {"new": {"url": server.url}})
    assert result["failed"]
    assert "not in the window" in result["failed_endpoints"]["new"]
    assert "not read when it was closed" in result["failed_endpoints"]["etcd"]
    (tmp_path / "window.json").write_text('{"schema": 1, "requests"', encoding="utf-8")
    assert "not a JSON document" in run("close", endpoints)["msg"]
    (tmp_path / "window.json").write_text('{"schema": 2}', encoding="utf-8")
    assert run("close", endpoints)["msg"].endswith("it is not a window that metrics_window wrote: open it again.")


def test_an_open_that_failed_is_not_closed_with_an_older_window(run, server):
    endpoints = {"etcd": {"url": server.url}}
    run("open", endpoints)
    server.answer = forbidden
    assert run("open", endpoints)["failed"]
    server.answer = plain
    assert "not read when the window was opened" in run("close", endpoints)["msg"]


def test_a_restart_is_said(run, server):
    endpoints = {"etcd": {"url": server.url}}
    run("open", endpoints)
    server.body = AFTER.replace(b"process_start_time_seconds 1.79522668438e+09", b"process_start_time_seconds 1.79522668439e+09")
    facts = run("close", endpoints)["facts"]["etcd"]
    assert set(facts) == {"seconds", "problems"}
    assert "restarted" in facts["problems"][0]


@pytest.mark.parametrize(
    "endpoints, families, reason",
    [
        ({}, [FSYNC], "endpoints is empty"),
        ({"../x": {"url": "http://127.0.0.1:1"}}, [FSYNC], "'../x'"),
        ({"a": "http://127.0.0.1:1"}, [FSYNC], "endpoints.a is not a mapping"),
        ({"a": {}}, [FSYNC], "missing required arguments: url"),
        ({"a": {"url": "http://127.0.0.1:1", "cacert": "x"}}, [FSYNC], "endpoints.a has cacert: use ca, cert, key, pin, selector, timeout, url, and tokens"),
        ({"a": {"url": "http://127.0.0.1:1", "timeout": "soon"}}, [FSYNC], "endpoints.a cannot be used"),
        ({"a": {"url": "ftp://127.0.0.1"}}, [FSYNC], "is not an http or https URL"),
        ({"a": {"url": "http://127.0.0.1:x"}}, [FSYNC], "is not an http or https URL"),
        ({"a": {"url": "http://[::1"}}, [FSYNC], "endpoints.a.url is not a valid URL"),
        ({"a": {"url": "http://a..b/"}}, [FSYNC], "endpoints.a.url is not a valid URL"),
        ({"a": {"url": "http://127.0.0.1:1/a b"}}, [FSYNC], "has blanks"),
        ({"a": {"url": "https://127.0.0.1:1", "ca": "/no/such/file"}}, [FSYNC], "the CA file /no/such/file cannot be used"),
        ({"a": {"url": "http://127.0.0.1:1"}}, [FSYNC], "Connection refused"),
        ({"a": {"url": "http://127.0.0.1:1"}}, [FSYNC, FSYNC], "the fact 'etcd_disk_wal_fsync_duration_seconds' twice"),
        ({"a": {"url": "http://127.0.0.1:1"}}, [dict(FSYNC, **{"as": "seconds"})], "the fact 'seconds'"),
        ({"a": {"url": "http://127.0.0.1:1"}}, [{"by": ["x"]}], "missing required arguments: name"),
    ],
)
def test_options_that_cannot_be_used(run, endpoints, families, reason):
    result = run("open", endpoints, families)
    assert result["failed"]
    assert reason in result["msg"]


def test_a_token_is_sent_and_never_shown(run, server):
    result = run("open", {"etcd": {"url": server.url}}, tokens={"etcd": TOKEN})
    assert server.requests[-1]["Authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in json.dumps(result)
    result = run("open", {"etcd": {"url": server.url}}, tokens={"etcd": TOKEN + "\n"})
    assert "line ends" in result["msg"]
    assert TOKEN not in json.dumps(result)


@pytest.mark.parametrize(
    "condition, texts",
    [
        ({"code": [429, "500"]}, {"code": ["429", "500"]}),
        ({"code": 200}, {"code": ["200"]}),
        ({"success": [True, False]}, {"success": ["true", "false"]}),
        ({}, {}),
    ],
)
def test_conditions_are_texts(condition, texts):
    assert metrics_window.label_values(condition) == texts


@pytest.mark.parametrize(
    "arguments, sent",
    [
        ({"endpoints": {"a": {"url": "u", "token": "t"}, "b": {"url": "v"}}}, {"endpoints": {"a": {"url": "u"}, "b": {"url": "v"}}, "tokens": {"a": "t"}}),
        ({"endpoints": {"a": {"url": "u", "token": None}}}, {"endpoints": {"a": {"url": "u"}}, "tokens": {}}),
        ({"endpoints": {"a": "u"}, "tokens": {"a": "t"}}, {"endpoints": {"a": "u"}, "tokens": {"a": "t"}}),
        ({"endpoints": "u"}, {"endpoints": "u"}),
        ({}, {}),
    ],
)
def test_tokens_leave_the_endpoints_before_they_reach_the_host(arguments, sent):
    assert hide_tokens(arguments) == sent


@pytest.fixture(name="secure")
def serve_tls(mutual_tls):
    """A server that wants a client certificate."""
    yield from running(Server(mutual_tls))


def test_tls_with_a_client_certificate(run, secure, authority):
    endpoints = {"etcd": {"url": secure.url, **{option: str(authority / file) for option, file in CREDENTIALS.items()}}}
    assert not run("open", endpoints).get("failed")
    secure.body = AFTER
    assert run("close", endpoints)["facts"]["etcd"]["etcd_disk_wal_fsync_duration_seconds"]["count"] == 729


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"ca": None}, "its certificate is refused"),
        ({"ca": "other-ca.crt"}, "its certificate is refused"),
        ({"cert": None, "key": None}, "https://127.0.0.1:"),
        ({"key": "ca.key"}, "cannot be used"),
    ],
)
def test_tls_is_verified_both_ways(run, secure, authority, change, reason):
    files = {option: str(authority / file) for option, file in {**CREDENTIALS, **change}.items() if file}
    result = run("open", {"etcd": {"url": secure.url, **files}})
    assert result["failed"]
    assert reason in result["msg"]


PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - name: Open
      kubeproof.certify.metrics_window: &window
        state: open
        path: "{{ directory }}/window.json"
        endpoints: {etcd: {url: "{{ url }}", token: "{{ token }}"}}
        families: [{name: etcd_disk_wal_fsync_duration_seconds}]
        raw: "{{ directory }}/raw/etcd"
    - name: Close
      kubeproof.certify.metrics_window:
        <<: *window
        state: close
      register: result
    - name: Check
      ansible.builtin.assert:
        that: result.facts.etcd.etcd_disk_wal_fsync_duration_seconds.count == 0
"""


def test_in_a_playbook_snapshots_reach_the_controller_and_tokens_no_log(server, tmp_path):
    (tmp_path / "play.yml").write_text(PLAYBOOK, encoding="utf-8")
    variables = json.dumps({"directory": str(tmp_path), "url": server.url, "token": TOKEN, "ansible_python_interpreter": sys.executable})
    command = [os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), "-i", "localhost,", "-c", "local", "-vvv", "-e", variables, "play.yml"]
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible" / "collections"), "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.requests[-1]["Authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in done.stdout + done.stderr
    for state in ("open", "close"):
        assert gzip.decompress((tmp_path / "raw" / f"etcd-etcd-{state}.txt.gz").read_bytes()) == BEFORE
    # By which the window can be computed again.
    said = json.loads((tmp_path / "raw" / "etcd-etcd.json").read_text(encoding="utf-8"))
    assert (said["parser"], said["files"]) == ("window", ["etcd-etcd-open.txt.gz", "etcd-etcd-close.txt.gz"]) and said["seconds"] > 0
    assert report_verify_raw.Raw(str(tmp_path), ".").at("etcd-etcd")["seconds"] == said["seconds"]
