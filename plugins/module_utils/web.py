# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP with verified TLS and client certificates, from the standard library, because it runs on managed hosts."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import re
import socket
import ssl
import urllib.parse

TIMEOUT = 10.0
CLIENT_CERTIFICATE = "see that the client certificate and its key are set, in date, and signed by a CA that the server trusts"
DEFAULT_PORTS = {"http": 80, "https": 443}
# What may stand in a request line: ASCII without blanks and control characters.
URL = re.compile(r"[!-~]+")
# X509_V_FLAG_PARTIAL_CHAIN, which Python's ssl names from 3.10 on: a certificate may be trusted itself, without its issuer.
PARTIAL_CHAIN = 0x80000
URL_SECRET = re.compile(r"//[^/@]*@")
ENDPOINT_SPEC = {
    "url": {"type": "str", "required": True},
    "ca": {"type": "path"},
    "cert": {"type": "path"},
    "key": {"type": "path", "no_log": False},
    "token": {"type": "str", "no_log": True},
    "timeout": {"type": "float", "default": TIMEOUT},
}


class HttpError(Exception):
    """A request failed; the text names the URL and the reason. `status` is the HTTP status, or None."""

    def __init__(self, message, status=None):
        super().__init__(message)
        self.status = status


class UrlError(HttpError, ValueError):
    """A text is no http or https URL; the text says why."""


class Endpoint:
    """Where and how to ask: base URL, CA file, client certificate and key files, bearer token, seconds to wait.

    With `pin` the certificate that the server shows first is the only one trusted: for a server on loopback that signs for itself, as
    kube-scheduler does, and whose place nobody but root could take.
    """

    def __init__(self, url, ca=None, cert=None, key=None, token=None, timeout=TIMEOUT, pin=False):
        parts = _split(url)
        if pin and not _is_loopback(parts.hostname):
            raise HttpError(f"{url} is not on loopback, so its certificate cannot be pinned. Give the CA file that signs it.")
        if token and not (token.isascii() and token.isprintable()):
            raise HttpError(f"The token for {url} has a line break or another character that a header cannot carry. Correct it.")
        self.url, self.parts, self.token, self.timeout = url, parts, token, timeout
        # Always a number: http.client would take the last group of an IPv6 address for the port.
        self.port = parts.port or DEFAULT_PORTS[parts.scheme]
        self.context = _tls(url, ca, cert, key) if parts.scheme == "https" else None
        self.unpinned = pin and self.context is not None

    def connect(self):
        """Return a new connection; TLS is verified against the CA file, or the system's when none is given."""
        if self.unpinned:
            try:
                self.context = _pin(self.parts.hostname, self.port, self.timeout)
            except OSError as error:
                raise HttpError(f"{self.url}: {_reason(error)}.") from error
            self.unpinned = False
        if self.context is None:
            return http.client.HTTPConnection(self.parts.hostname, self.port, timeout=self.timeout)
        return http.client.HTTPSConnection(self.parts.hostname, self.port, timeout=self.timeout, context=self.context)


def _split(url):
    """Return the parts of an http or https URL; UrlError for every other text."""
    reason = ""
    try:
        parts = urllib.parse.urlsplit(url)
        # Port and name are converted when they are read or used, and may then turn out to be none.
        usable = parts.scheme in DEFAULT_PORTS and parts.hostname and parts.port != 0 and parts.username is None and URL.fullmatch(url)
        if usable:
            parts.hostname.encode("idna")
    except ValueError as error:
        usable, reason = False, f"{error}: "
    if not usable:
        raise UrlError(f"{reason}{URL_SECRET.sub('//***@', repr(url))} is not an http or https URL. Write it as https://host:port.")
    return parts


def _tls(url, ca, cert, key):
    """Return the TLS context for `url`; HttpError names the file that cannot be used."""
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise HttpError(f"{url}: the CA file {ca} cannot be used: {error}.") from error
    if cert:
        try:
            # An encrypted key is refused; OpenSSL would ask for its password on the terminal.
            context.load_cert_chain(cert, key, password="")
        except (OSError, ssl.SSLError) as error:
            raise HttpError(f"{url}: the client certificate {cert} with key {key} cannot be used: {error}.") from error
    return context


def _is_loopback(host):
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _pin(host, port, timeout):
    """Return a context that trusts the certificate that the server shows now, and no other; OSError when it shows none."""
    look = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    look.check_hostname, look.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, port), timeout) as plain, look.wrap_socket(plain) as shown:
        certificate = shown.getpeercert(True)
    pinned = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    pinned.load_verify_locations(cadata=ssl.DER_cert_to_PEM_cert(certificate))
    # One certificate is meant, whatever name is in it and whoever signed it.
    pinned.check_hostname = False
    pinned.verify_flags |= PARTIAL_CHAIN
    return pinned


@contextlib.contextmanager
def request(endpoint, path="", body=None, headers=None):
    """Yield the HTTPResponse of a GET, or of a POST when `body` (JSON data) is given; HttpError unless its status is 200."""
    target = (endpoint.parts.path.rstrip("/") + path) or "/"
    if endpoint.parts.query and not path:
        target += "?" + endpoint.parts.query
    headers = {"Accept": "*/*", **(headers or {})}
    if endpoint.token:
        headers["Authorization"] = f"Bearer {endpoint.token}"
    payload = None
    if body is not None:
        payload = json.dumps(body, allow_nan=False).encode()
        headers["Content-Type"] = "application/json"
    where = f"{endpoint.parts.scheme}://{endpoint.parts.netloc}{target}"
    connection = endpoint.connect()
    try:
        connection.request("POST" if body is not None else "GET", target, payload, headers)
        response = connection.getresponse()
        if response.status != 200:
            text = response.read(300).decode("utf-8", "replace").strip()
            raise HttpError(f"{where} answered {response.status} {response.reason}: {text or 'no text'}.", response.status)
        yield response
    except (OSError, http.client.HTTPException) as error:
        raise HttpError(f"{where}: {_reason(error)}.") from error
    finally:
        connection.close()


def _reason(error):
    """Say in words what a socket, TLS or protocol error was."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    # A server that misses a client certificate, or refuses it, just ends the connection.
    return f"{reason}; {CLIENT_CERTIFICATE}" if isinstance(error, ssl.SSLError) else reason


def fetch_json(endpoint, path="", body=None):
    """Return the parsed JSON answer; HttpError when it is not JSON."""
    with request(endpoint, path, body) as response:
        data = response.read()
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise HttpError(f"{endpoint.url}{path} answered something that is not JSON: {data[:80]!r}.") from error
