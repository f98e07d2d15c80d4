# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An etcd for tests: keys in memory behind the paths of the gRPC gateway, on a port of loopback."""

from __future__ import annotations

import base64
import email.utils
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FakeEtcd:
    """Keys {bytes: record} and answers {path: (status, text or JSON)} that replace what it would say; `requests` is what it was asked."""

    def __init__(self, clock_offset=0.0):
        self.keys, self.answers, self.requests = {}, {}, []
        self.revision, self.clock_offset, self.date = 1, clock_offset, None
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Headers and body go out as one: else Nagle holds back the second for 40 ms.
            wbufsize = -1
            disable_nagle_algorithm = True

            def date_time_string(self, timestamp=None):
                return fake.date or email.utils.formatdate(time.time() + fake.clock_offset, usegmt=True)

            def answer(self, body):
                fake.requests.append((self.path, body))
                status, found = fake.answers.get(self.path) or fake.respond(self.path, body)
                text = (found if isinstance(found, str) else json.dumps(found)).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def do_GET(self):
                self.answer(None)

            def do_POST(self):
                self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def log_message(self, *dummy):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        """Stop serving."""
        self.server.shutdown()
        self.server.server_close()

    def put(self, key, times=1, lease=0):
        """Write a key `times` times."""
        for dummy in range(times):
            self.revision += 1
            old = self.keys.get(key, {"create_revision": self.revision, "version": 0})
            self.keys[key] = dict(old, mod_revision=self.revision, version=old["version"] + 1, lease=lease)

    def respond(self, path, body):
        """Return (status, JSON) as etcd does."""
        fixed = {
            "/version": {"etcdserver": "3.6.8", "etcdcluster": "3.6.0"},
            "/health": {"health": "true", "reason": ""},
            "/v3/maintenance/status": {
                "header": {"cluster_id": "1", "member_id": "6883195843478099841", "revision": str(self.revision), "raft_term": "2"},
                "version": "3.6.8", "dbSize": "31236096", "leader": "6883195843478099841", "raftIndex": "35260", "raftTerm": "2",
                "dbSizeInUse": "3018752", "dbSizeQuota": "2147483648",
            },
            "/v3/maintenance/alarm": {"header": {}},
            "/v3/cluster/member/list": {"members": [{"ID": "6883195843478099841", "name": "cp1", "clientURLs": [self.url]}, {"ID": "17", "isLearner": True}]},
        }
        handlers = {"/v3/kv/range": self.range, "/v3/kv/txn": self.txn}
        if path in fixed:
            return 200, fixed[path]
        return (200, handlers[path](body)) if path in handlers else (404, "404 page not found")

    def range(self, body):
        """Answer one read."""
        start, end = base64.b64decode(body["key"]), base64.b64decode(body.get("range_end", ""))
        since = int(body.get("min_create_revision", 0))
        inside = sorted(
            key for key, record in self.keys.items()
            if (start <= key and (end == b"\0" or key < end) if end else key == start) and record["create_revision"] >= since
        )
        answer = {"header": {"revision": str(self.revision)}}
        if inside:
            answer["count"] = str(len(inside))
        limit = body.get("limit") or len(inside)
        if inside and not body.get("count_only"):
            answer["kvs"] = [
                dict({name: str(value) for name, value in self.keys[key].items() if value}, key=base64.b64encode(key).decode()) for key in inside[:limit]
            ]
            answer.update({"more": True} if len(inside) > limit else {})
        return answer

    def txn(self, body):
        """Answer one transaction; a range may never be deleted."""
        assert len(body["success"]) <= 128
        for one in body.get("compare", []):
            record = self.keys.get(base64.b64decode(one["key"]), {})
            if record.get("create_revision", 0) != int(one["create_revision"]):
                return {"header": {"revision": str(self.revision)}}
        responses = []
        for operation in body["success"]:
            (kind, inner), = operation.items()
            if kind == "request_range":
                responses.append({"response_range": self.range(inner)})
                continue
            assert kind == "request_delete_range" and list(inner) == ["key"], "only single keys may be deleted"
            gone = self.keys.pop(base64.b64decode(inner["key"]), None)
            responses.append({"response_delete_range": {"deleted": "1"} if gone else {}})
        self.revision += any("response_delete_range" in one for one in responses)
        return {"header": {"revision": str(self.revision)}, "succeeded": True, "responses": responses}
