# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An API server for tests, on a port of loopback: answers by method and path, and what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import yaml

TOKEN = "s3cret-token"


class Asked(NamedTuple):
    """One request: method, path without query, query {name: text}, body as data (None without one)."""

    method: str
    path: str
    query: dict
    body: object


class FakeCluster:
    """`answers` {"GET /path": answer} with answer data, (status, data or bytes), or a function of Asked that returns one of them.

    Data that is an iterator is sent as a watch, an event a line; the connection ends with it. `asked` [Asked] is what was asked.
    What has no answer is 404. Who does not have `token` is told 401. `headers` {name: text} go with every answer. `tls` is the server's
    SSLContext, if it has one.
    """

    def __init__(self, answers=None, token=TOKEN, tls=None):
        self.answers, self.asked, self.token, self.headers = dict(answers or {}), [], token, {}
        fake = self

        class Handler(BaseHTTPRequestHandler):
            wbufsize = -1
            disable_nagle_algorithm = True

            def answer(self):
                url = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                asked = Asked(self.command, url.path, {name: values[0] for name, values in parse_qs(url.query).items()}, body)
                fake.asked.append(asked)
                self.write(*fake.respond(asked, self.headers.get("Authorization")))

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

            def write(self, status, data):
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                for name, text in fake.headers.items():
                    self.send_header(name, text)
                if isinstance(data, Iterator):
                    self.end_headers()
                    try:
                        for event in data:
                            self.wfile.write(json.dumps(event).encode() + b"\n")
                            self.wfile.flush()
                    except OSError:
                        pass
                    return
                text = data if isinstance(data, bytes) else json.dumps(data).encode()
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *dummy):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls:
            # A handshake belongs to the thread of its connection; one that fails is the client's to tell.
            self.server.handle_error = lambda *dummy: None
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.server.server_port}"

    def respond(self, asked, authorization):
        """Return (status, data) for one request."""
        if authorization != f"Bearer {self.token}":
            return 401, status(401, "Unauthorized", "Unauthorized")
        answer = self.answers.get(f"{asked.method} {asked.path}", (404, status(404, "NotFound", f"{asked.path} not found")))
        answer = answer(asked) if callable(answer) else answer
        return answer if isinstance(answer, tuple) else (200, answer)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *dummy):
        self.server.shutdown()
        self.server.server_close()

    def kubeconfig(self, path, token=None):
        """Write a kubeconfig for this server and return its path."""
        return write_kubeconfig(path, self.url, self.token if token is None else token)


def status(code, reason, message):
    """Return the API's Status of a refused request."""
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message}


def write_kubeconfig(path, url, token=TOKEN):
    """Write a kubeconfig and return its path as text."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": url}}],
        "users": [{"name": "a", "user": {"token": token}}],
    }
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return str(path)
