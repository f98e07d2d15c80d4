# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy for tests, on a port of loopback: passes HTTP on to an API server, and breaks what it is told to. Also a WebSocket's other end."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import select
import socket
import struct
import threading
from urllib.parse import urlsplit

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Proxy:
    """Listens on `url`, passes each connection on to `upstream` (http, or https with the SSLContext `tls`).

    `meddle(head, client)` is called with the head of the first request that asks for a WebSocket. It returns the head to pass on, or None when
    it answered itself. Such a connection is cut when it was quiet for `idle` seconds.
    """

    def __init__(self, upstream, meddle=None, tls=None, idle=None):
        parts = urlsplit(upstream)
        self.address, self.tls, self.meddle, self.idle = (parts.hostname, parts.port), tls, meddle, idle
        self.heads = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *dummy):
        self.listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _peer = self.listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, contextlib.suppress(OSError, EOFError):
            head, rest = read_head(client)
            stream = b"\r\nupgrade: websocket" in head.lower()
            if stream:
                self.heads.append(head)
                head = self.meddle(head, client) if self.meddle else head
            if head:
                with socket.create_connection(self.address) as plain:
                    server = self.tls.wrap_socket(plain, server_hostname=self.address[0]) if self.tls else plain
                    with server:
                        server.sendall(head + rest)
                        pump(client, server, self.idle if stream else None)


def read_head(client):
    """Return (the head of a request, what came after it)."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = client.recv(65536)
        if not part:
            raise EOFError
        data += part
    head, end, rest = data.partition(b"\r\n\r\n")
    return head + end, rest


def pump(one, other, idle):
    """Pass bytes both ways until one side ends, or both are quiet for `idle` seconds."""
    while True:
        ready = [end for end in (one, other) if getattr(end, "pending", int)()] or select.select([one, other], [], [], idle)[0]
        if not ready:
            return
        for end in ready:
            data = end.recv(65536)
            if not data:
                return
            (other if end is one else one).sendall(data)


def accept(head, client, protocol):
    """Answer 101 to a request for a WebSocket."""
    [key] = [line.split(b": ")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")]
    proof = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    lines = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Accept: " + proof]
    lines += [b"Sec-WebSocket-Protocol: " + protocol.encode()] if protocol else []
    client.sendall(b"\r\n".join(lines) + b"\r\n\r\n")


def frame(data, kind=BINARY):
    """Return one message of a WebSocket's server."""
    length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack("!H", len(data))
    return bytes([0x80 | kind]) + length + data


def read_frame(client):
    """Return (kind, data) of one message of a WebSocket's client."""
    kind, length = read_bytes(client, 2)
    length &= 0x7F
    if length == 126:
        [length] = struct.unpack("!H", read_bytes(client, 2))
    mask = read_bytes(client, 4)
    data = read_bytes(client, length)
    return kind & 0xF, bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))


def until_close(client):
    """Read messages until the client closes the WebSocket."""
    while read_frame(client)[0] != CLOSE:
        pass


def read_bytes(client, count):
    data = b""
    while len(data) < count:
        part = client.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data
