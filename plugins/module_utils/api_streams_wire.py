# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WebSocket to an API server as kubectl opens it, and what goes through it: channels (exec, attach) and SPDY frames (port-forward).

The kubernetes library's own WebSocket follows redirects with the token in its hand and has no timeout, so it is opened here.
"""

from __future__ import annotations

import contextlib
import json
import struct
import time
import zlib

try:
    import websocket
    from kubernetes.stream import ws_client
except ImportError:
    websocket = ws_client = None

from . import cluster

# What kubectl asks for first; where a server does not speak it, the one after it.
CHANNELS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
TUNNEL = "SPDY/3.1+portforward.k8s.io"
FORWARDS = (TUNNEL, "v4.channel.k8s.io")
# What the API server and the node say to a request for a stream that has no header Upgrade any more.
NO_UPGRADE = ("Upgrade request required", "X-Stream-Protocol-Version is required")
# Whom the API server takes for the user of a request without credentials; the requests before this one had them.
ANONYMOUS = '"system:anonymous"'
SYN_STREAM, SYN_REPLY, RST_STREAM, GOAWAY = 1, 2, 3, 7
FIN = 1


class StreamError(Exception):
    """A stream did not work. `refused`: the API server said that this user may not open it, which says nothing about the path.
    `protocol` is the subprotocol of a stream that was open, else ""."""

    def __init__(self, text, refused=False, protocol=""):
        super().__init__(text)
        self.refused, self.protocol = refused, protocol


class Stream:
    """One WebSocket. `protocol` is the subprotocol that the server chose."""

    def __init__(self, server, path, query, protocols, timeout):
        """Open it to a Cluster; StreamError says what came in place of a WebSocket."""
        self.opened = time.monotonic()
        self.limit = self.opened + timeout
        self.socket = websocket.WebSocket(sslopt=tls_of(server), skip_utf8_validation=True)
        try:
            self.socket.connect(url_of(server.configuration.host, path, query), **options_of(server.configuration, protocols, timeout))
        except websocket.WebSocketBadStatusException as error:
            raise answered(error.status_code, getattr(error, "resp_body", None)) from error
        except (websocket.WebSocketTimeoutException, TimeoutError) as error:
            raise StreamError(f"no answer to the request for a WebSocket within {timeout:g} s") from error
        except websocket.WebSocketException as error:
            raise not_switched(self.socket, error) from error
        except OSError as error:
            raise StreamError(f"no connection for a WebSocket: {cluster.reason_of(error)}") from error
        self.protocol = self.socket.getheaders().get("sec-websocket-protocol", "")
        if self.protocol not in protocols:
            self.close()
            if not self.protocol:
                raise StreamError("the WebSocket has no subprotocol: a proxy before the server drops the header Sec-WebSocket-Protocol")
            raise StreamError(f"the server or a proxy before it chose the subprotocol {self.protocol[:50]}, which was not offered")

    def messages(self, limit=None):
        """Yield the data of each message, None for the answer to a ping, until `limit` (monotonic seconds, the stream's own unless given).

        StreamError when the connection ends.
        """
        limit = limit or self.limit
        while (remaining := limit - time.monotonic()) > 0:
            self.socket.settimeout(remaining)
            try:
                opcode, frame = self.socket.recv_data_frame(True)
            except (websocket.WebSocketTimeoutException, TimeoutError):
                return
            except (websocket.WebSocketException, OSError) as error:
                raise self.cut() from error
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                raise self.cut(frame.data)
            if opcode in (websocket.ABNF.OPCODE_BINARY, websocket.ABNF.OPCODE_TEXT):
                yield frame.data
            elif opcode == websocket.ABNF.OPCODE_PONG:
                yield None

    def send(self, data, opcode=None):
        """Send one message; StreamError when the connection has ended."""
        self.socket.settimeout(max(self.limit - time.monotonic(), 0.1))
        try:
            self.socket.send(data, websocket.ABNF.OPCODE_BINARY if opcode is None else opcode)
        except (websocket.WebSocketException, OSError) as error:
            raise self.cut() from error

    def ping(self):
        """Send a ping; StreamError when the connection has ended."""
        self.send(b"kubeproof", websocket.ABNF.OPCODE_PING)

    def seconds(self):
        """Return how long ago it was begun to open it."""
        return time.monotonic() - self.opened

    def failed(self, text):
        """Return the StreamError of this stream."""
        return StreamError(text, protocol=self.protocol)

    def cut(self, closing=None):
        """Return the StreamError of a connection that ended before its time; `closing` is the data of a close message."""
        if closing is None:
            return self.failed(f"the connection was cut {self.seconds():.1f} s after it was opened")
        said = closing[2:].decode("utf-8", "replace")
        code = f" with code {struct.unpack('!H', closing[:2])[0]}" if len(closing) >= 2 else ""
        return self.failed(f"the other end closed the WebSocket{code} after {self.seconds():.1f} s" + (f": {said}" if said else ""))

    def close(self):
        """Close it; the other end has a second to agree."""
        with contextlib.suppress(websocket.WebSocketException, OSError, ValueError):
            self.socket.close(timeout=1)

    def __enter__(self):
        return self

    def __exit__(self, *dummy):
        self.close()


def url_of(server, path, query):
    """Return the URL of a stream: ws for http, wss for https; `query` is a list of pairs."""
    return "ws" + server.rstrip("/")[len("http") :] + path + "?" + cluster.urlencode(query)


def tls_of(server):
    """Return a Cluster's TLS as websocket-client wants it."""
    name = getattr(server.configuration, "tls_server_name", None)
    return {"context": server.tls, **({"server_hostname": name} if name else {})}


def options_of(configuration, protocols, timeout):
    """Return how to connect: credentials, subprotocols, the kubeconfig's proxy; no redirect, and no Origin, which kubectl does not send."""
    headers = {"Sec-WebSocket-Protocol": ", ".join(protocols), **cluster.authorization(configuration)}
    options = {"header": [f"{name}: {value}" for name, value in headers.items()], "timeout": timeout, "redirect_limit": 0, "suppress_origin": True}
    if configuration.proxy or configuration.proxy_headers:
        options = ws_client.websocket_proxycare(options, configuration, None, None)
    return options


def answered(status, body):
    """Return the StreamError of an answer that is not 101."""
    try:
        answer = json.loads(body or b"")
        said, server = answer["message"], answer["kind"] == "Status"
    except (ValueError, KeyError, TypeError):
        said, server = (body or b"").decode("utf-8", "replace"), False
    said = " ".join(str(said).split())[:300]
    if server and ANONYMOUS in said:
        return StreamError(f"a proxy before the server drops the credentials from the request for a WebSocket: {said}")
    if server and status in (401, 403):
        return StreamError(f"the API server refused it with {status}: {said}", refused=True)
    text = f"the server or a proxy before it answered {status} instead of switching to WebSocket" + (f": {said}" if said else "")
    if any(words in said for words in NO_UPGRADE):
        text = f"a proxy before the server drops the header Upgrade, so that it answered {status} instead of switching to WebSocket: {said}"
    return StreamError(text)


def not_switched(socket, error):
    """Return the StreamError of a handshake that was no HTTP, a redirect, or a 101 without what belongs to it."""
    response = socket.handshake_response
    if response is not None and response.status != 101:
        return StreamError(f"the server or a proxy before it answered {response.status}, a redirect, instead of switching to WebSocket")
    said = cluster.reason_of(error)
    if said == "Invalid WebSocket Header":
        said = "the server or a proxy before it answered 101 without the headers of a WebSocket"
    else:
        said = f"the server or a proxy before it did not switch to WebSocket: {said}"
    return StreamError(said)


class Spdy:
    """The client's side of a SPDY/3.1 connection, as far as port-forward needs it: opens streams, reads frames."""

    def __init__(self):
        # Without SPDY's dictionary: whoever reads needs it only where the data says so.
        self.headers, self.pending = zlib.compressobj(), b""

    def open(self, stream, headers):
        """Return the frame that opens a stream; the names of headers in lower case."""
        block = struct.pack("!I", len(headers))
        for text in (text.encode() for pair in headers.items() for text in pair):
            block += struct.pack("!I", len(text)) + text
        block = self.headers.compress(block) + self.headers.flush(zlib.Z_SYNC_FLUSH)
        return struct.pack("!HHIIIH", 0x8003, SYN_STREAM, len(block) + 10, stream, 0, 0) + block

    def read(self, data):
        """Return [(type or None for data, stream, payload, whether it ends the stream)] of the frames that are now whole."""
        self.pending += data
        frames = []
        while len(self.pending) >= 8:
            word, length = struct.unpack("!II", self.pending[:8])
            flags, length = length >> 24, length & 0xFFFFFF
            if len(self.pending) < 8 + length:
                break
            payload, self.pending = self.pending[8 : 8 + length], self.pending[8 + length :]
            if word >> 31:
                frames.append((word & 0xFFFF, struct.unpack("!I", payload[:4].rjust(4, b"\0"))[0], payload, bool(flags & FIN)))
            else:
                frames.append((None, word, payload, bool(flags & FIN)))
        return frames
