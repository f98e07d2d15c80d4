# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users do with a running pod: exec, attach, port-forward, resize; and the list of all pods as `kubectl get` reads it.

A check returns {works: bool, or None when it could not be asked, seconds, reason: a sentence, or None, …}.
"""

from __future__ import annotations

import json
import time

from . import cluster
from .api_streams_wire import CHANNELS, FORWARDS, RST_STREAM, TUNNEL, Spdy, Stream, StreamError
from .cluster import CHUNK, ClusterError

CONTAINER = "main"
STDOUT, STDERR, STATUS = 1, 2, 3
# Nobody listens there, so the node has to go into the pod's network to learn that.
PORT = 1
REFUSED = "connection refused"
# The node's words, before those of its container runtime.
EXEC_FAILED = "error executing command in container: "
CPU_BEFORE, CPU_AFTER = "10m", "20m"
RESIZE_SINCE = (1, 33)
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PAUSE = 0.2


def exec_check(server, pod, command, timeout):
    """Run a command that prints something in the pod at the path `pod`; return {works, exit_code, seconds, protocol, reason}.

    It works when output came and the status channel said how the command ended. That the node cannot run it, or another exit code than 0,
    proves the same path: `works` is true, `exit_code` is not 0, and `reason` says why.
    """
    query = [("container", CONTAINER), ("stdout", "true"), ("stderr", "true"), *(("command", word) for word in command)]

    def ask():
        with Stream(server, pod + "/exec", query, CHANNELS, timeout) as stream:
            output, status, opened = b"", None, False
            for data in filter(None, stream.messages()):
                opened = True
                if data[0] in (STDOUT, STDERR):
                    output += data[1:]
                elif data[0] == STATUS:
                    status = status_of(stream, data[1:])
                    break
            if status is None and opened:
                raise stream.failed(f"the channels were opened, but the command did not end within {timeout:g} s, or a proxy holds its end back")
            if status is None:
                raise stream.failed(f"the WebSocket was opened, but nothing came through it within {timeout:g} s")
            code, reason = ended(stream, status, output)
            return {"works": True, "exit_code": code, "seconds": stream.seconds(), "protocol": stream.protocol, "reason": reason}

    return {"exit_code": None, **outcome("exec", ask)}


def status_of(stream, data):
    """Return the Status that the status channel carried."""
    try:
        status = json.loads(data)
        return {"status": status["status"], "reason": status.get("reason"), "message": str(status.get("message") or ""), "details": status.get("details") or {}}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise stream.failed(f"the status channel carried no status: {data[:100].decode('utf-8', 'replace')}") from error


def ended(stream, status, output):
    """Return (exit code or None, reason or None) of a command whose end came through the stream; StreamError when the path is at fault."""
    if status["status"] == "Success":
        if not output:
            raise stream.failed("the command ended with exit code 0, but none of its output came; it has to print something")
        return 0, None
    if status["reason"] == "NonZeroExitCode":
        try:
            code = int(status["details"]["causes"][0]["message"])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise stream.failed(f"the status channel named no exit code: {short(status['message'])}") from error
        return code, f"the path works, but the command ended with exit code {code}: {short(output.decode('utf-8', 'replace')) or 'it printed nothing'}"
    _before, found, said = status["message"].rpartition(EXEC_FAILED)
    if found:
        return None, f"the path works, but the node could not run the command: {short(said)}"
    raise stream.failed(f"the WebSocket was opened, but not up to the container: {short(status['message'])}")


def attach_check(server, pod, idle, timeout):
    """Attach to the pod, leave the stream without a byte for `idle` seconds; return {works, idle, seconds, protocol, reason}.

    It works when the channels were opened and a ping is still answered afterwards. `seconds` is how long the opening took.
    """
    query = [("container", CONTAINER), ("stdout", "true"), ("stderr", "true")]

    def ask():
        with Stream(server, pod + "/attach", query, CHANNELS, timeout) as stream:
            # Whoever opens the channels says so with an empty message.
            if not any(data for data in attached(stream, stream.limit)):
                raise stream.failed(f"the WebSocket was opened, but nothing came through it within {timeout:g} s")
            seconds = stream.seconds()
            for _output in attached(stream, time.monotonic() + idle):
                pass
            stream.limit = time.monotonic() + timeout
            stream.ping()
            if not any(data is None for data in attached(stream, stream.limit)):
                raise stream.failed(f"the WebSocket was silent for {idle:g} s, and then a ping was not answered within {timeout:g} s")
            return {"works": True, "idle": idle, "seconds": seconds, "protocol": stream.protocol, "reason": None}

    return {"idle": None, **outcome("attach", ask)}


def attached(stream, limit):
    """Yield the messages of an attached stream; StreamError when its status says that it has ended."""
    for data in stream.messages(limit):
        if data and data[0] == STATUS:
            raise stream.failed(f"the node ended it: {short(status_of(stream, data[1:])['message']) or 'the container has ended'}")
        yield data


def port_forward_check(server, pod, timeout):
    """Connect to a port of the pod on which nobody listens; return {works, seconds, protocol, reason}.

    It works when the node says that the pod's network refused the connection: that is as far as a forwarded byte comes. Through SPDY in a
    WebSocket as kubectl does since v1.31; an older server chooses the WebSocket channels of the kubernetes library.
    """

    def ask():
        with Stream(server, pod + "/portforward", [("ports", PORT)], FORWARDS, timeout) as stream:
            said = ""
            try:
                for text in answers(stream):
                    said += text.decode("utf-8", "replace")
                    if REFUSED in said.lower():
                        return {"works": True, "seconds": stream.seconds(), "protocol": stream.protocol, "reason": None}
            except StreamError:
                # A node that has said why may close what it has no use for any more.
                if not said:
                    raise
            raise stream.failed(f"the node could not connect to the pod: {short(said)}" if said else f"no answer from the pod's network within {timeout:g} s")

    return outcome("port-forward", ask)


def answers(stream):
    """Yield what the node says of a connection to the pod's port, up to its end."""
    if stream.protocol != TUNNEL:
        began = False
        for data in filter(None, stream.messages()):
            # The first message of each channel is the port. The second channel is the one for errors.
            if data[0] == 1 and began:
                yield data[1:]
            began = began or data[0] == 1
        return
    spdy, port = Spdy(), str(PORT)
    stream.send(spdy.open(1, {"streamtype": "error", "port": port, "requestid": "0"}))
    stream.send(spdy.open(3, {"streamtype": "data", "port": port, "requestid": "0"}))
    for data in filter(None, stream.messages()):
        for kind, number, payload, last in spdy.read(data):
            if kind is None and number == 1:
                yield payload
            if number == 1 and (last or kind == RST_STREAM):
                return


def outcome(name, ask):
    """Return what a check of a stream answers, or what it is when it did not work."""
    try:
        found = ask()
    except StreamError as error:
        right = f"; it needs the rights get and create on pods/{name.replace('-', '')}" if error.refused else ""
        found = {"works": None if error.refused else False, "seconds": None, "protocol": error.protocol or None, "reason": f"{error}{right}"}
    return {**found, "reason": found["reason"] and f"{name}: {found['reason']}"}


def resize_check(server, pod, timeout):
    """Give the container more CPU without a restart; return {supported: bool or None, works, seconds, reason}."""
    try:
        return resized(server, pod, timeout)
    except ClusterError as error:
        if error.status == 404 and error.reason != "NotFound":
            return resize_result(False, None, f"the server has no pods/resize; pods are resized in place from v1.33 on ({error})")
        if error.status in (401, 403):
            return resize_result(None, None, f"the API server refused it: {error}")
        return resize_result(True, False, str(error))


def resized(server, pod, timeout):
    version = server.get("/version")
    if version_of(version) < RESIZE_SINCE:
        return resize_result(False, None, f"the server is {version.get('gitVersion')}; pods are resized in place from v1.33 on")
    before = container_of(server.get(pod))
    began = time.monotonic()
    change = {"spec": {"containers": [{"name": CONTAINER, "resources": {"requests": {"cpu": CPU_AFTER}}}]}}
    server.request("PATCH", pod + "/resize", body=change, content_type="application/strategic-merge-patch+json")
    while True:
        found = server.get(pod)
        now, seconds = container_of(found), time.monotonic() - began
        if (now.get("containerID"), now.get("restartCount")) != (before.get("containerID"), before.get("restartCount")):
            return resize_result(True, False, "the container was restarted")
        if ((now.get("resources") or {}).get("requests") or {}).get("cpu") == CPU_AFTER:
            return resize_result(True, True, None, seconds)
        if seconds > timeout:
            return resize_result(True, False, f"the container's CPU is still not {CPU_AFTER} after {timeout:g} s: {pending(found)}")
        time.sleep(PAUSE)


def resize_result(supported, works, reason, seconds=None):
    return {"supported": supported, "works": works, "seconds": seconds, "reason": reason and f"resize: {reason}"}


def version_of(version):
    """Return (major, minor) of the answer of /version; ClusterError when it has none."""
    try:
        return int(version["major"]), int(version["minor"].rstrip("+"))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ClusterError("GET /version: the answer names no version") from error


def container_of(pod):
    """Return the status of the pod's container, {} when there is none yet."""
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    return next((status for status in statuses if status.get("name") == CONTAINER), {})


def pending(pod):
    """Return why a resize is not done, in the node's words."""
    conditions = pod.get("status", {}).get("conditions") or ()
    said = [f"{one['type']} {one.get('reason') or ''} {one.get('message') or ''}" for one in conditions if one.get("type", "").startswith("PodResize")]
    return short("; ".join(said)) or "the node does not say why"


def list_pods(server, timeout, chunk=CHUNK):
    """Read all pods of the cluster as `kubectl get pods --all-namespaces` does; return {pods, chunks, seconds, bytes}; ClusterError."""
    began = time.monotonic()
    pods = chunks = size = 0
    token = ""
    while True:
        remaining = timeout - (time.monotonic() - began)
        if remaining <= 0:
            raise ClusterError(f"GET /api/v1/pods: after {timeout:g} s only {pods} pods were read")
        data = chunk_of(server, {"limit": chunk, **({"continue": token} if token else {})}, remaining)
        try:
            page = json.loads(data)
            pods += len(page["rows"] if page["kind"] == "Table" else page["items"])
            token = page["metadata"].get("continue")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ClusterError("GET /api/v1/pods: the answer is no list of pods") from error
        chunks, size = chunks + 1, size + len(data)
        if not token:
            return {"pods": pods, "chunks": chunks, "seconds": time.monotonic() - began, "bytes": size}


def chunk_of(server, query, timeout):
    """Return the body of one chunk of the list."""
    headers = {"Accept": TABLE, **cluster.authorization(server.configuration)}
    limits = cluster.urllib3.Timeout(connect=min(timeout, 10.0), read=timeout)
    try:
        response = server.pool.request("GET", f"{server.server}/api/v1/pods?{cluster.urlencode(query)}", headers=headers, timeout=limits, retries=False)
    except (cluster.urllib3.exceptions.HTTPError, OSError) as error:
        raise ClusterError(f"GET /api/v1/pods: {cluster.reason_of(error)}") from error
    if response.status != 200:
        raise cluster.refusal("GET /api/v1/pods", response.status, response.data)
    return response.data


def short(text):
    """Return text in one line of at most 300 characters, without the full stop at its end."""
    return " ".join(text.split())[:300].rstrip(". ")
