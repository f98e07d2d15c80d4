# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to a Kubernetes API server in plain JSON. The kubernetes library reads the kubeconfig, its credentials and its plugins.

Runs on the controller only. TLS is verified as the kubeconfig says. No request is repeated: the caller decides what that would mean.
"""

from __future__ import annotations

import contextlib
import copy
import json
import re
import ssl
import threading
import traceback
from urllib.parse import urlencode

try:
    import kubernetes
    import urllib3
except ImportError:
    kubernetes = None
    IMPORT_ERROR = traceback.format_exc()
else:
    IMPORT_ERROR = None

LOCK = threading.Lock()
# The first that verifies an address by a context that it is given.
URLLIB3 = 2
TIMEOUT = 30.0
CHUNK = 500
JSON = "application/json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
# The key of the bearer token in a Configuration; older versions of the library call it "authorization".
TOKEN_KEYS = ("BearerToken", "authorization")
# The other form of Retry-After is a date.
SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


class ClusterError(Exception):
    """A request failed. `status` is the HTTP status, 0 when no answer came; `reason` is the API's word, such as AlreadyExists;
    `message` is all that the API said, of which the text may have the start alone; `retry_after` is for how many seconds not to
    ask again, None where the answer does not say it."""

    def __init__(self, text, status=0, reason="", message="", retry_after=None):
        super().__init__(text)
        self.status, self.reason, self.message, self.retry_after = status, reason, message, retry_after


class Cluster:
    """One API server, reached with the credentials of a kubeconfig, or with a token in their place.

    `authority` is the CA in bytes, None where the kubeconfig names none. `tls` is an SSLContext that knows it and the client's certificate.
    What of them a kubeconfig has in itself, the library writes to files: those are gone when this is made. Files that it names are read once.
    """

    def __init__(self, kubeconfig, token="", timeout=TIMEOUT, connections=None):
        """`connections` is how many are kept open, the library's default without it. ClusterError when the kubeconfig cannot be used."""
        if int(urllib3.__version__.partition(".")[0]) < URLLIB3:
            raise ClusterError(f"the Python library urllib3 is {urllib3.__version__}, which is too old: pip install 'urllib3>={URLLIB3}'")
        self.configuration = kubernetes.client.Configuration()
        self.timeout = timeout
        try:
            with without_files():
                kubernetes.config.load_kube_config(kubeconfig, client_configuration=self.configuration)
                if token:
                    self.configuration = with_token(self.configuration, token)
                self.authority, self.tls = authority_of(self.configuration), context_of(self.configuration)
            if not token:
                require_credentials(kubeconfig, self.configuration)
            if connections:
                self.configuration.connection_pool_maxsize = connections
            self.pool = self.connect()
        # The library raises its own errors, yaml's and those of credential plugins; each is the same to the user.
        except Exception as error:  # pylint: disable=broad-exception-caught
            raise ClusterError(f"{kubeconfig}: {reason_of(error)}") from error
        self.server = self.configuration.host.rstrip("/")

    def connect(self):
        """Return a pool of connections to where the Configuration says."""
        configuration = copy.copy(self.configuration)
        configuration.ssl_ca_cert = configuration.cert_file = configuration.key_file = None
        pool = kubernetes.client.rest.RESTClientObject(configuration).pool_manager
        pool.connection_pool_kw["ssl_context"] = self.tls
        # A proxy with TLS of its own has a context of its own, which knows the same CA.
        if self.authority and str(configuration.proxy or "").lower().startswith("https:"):
            pool.connection_pool_kw["ca_cert_data"] = self.authority.decode("ascii", "ignore")
        return pool

    def request(self, method, path, body=None, query=None, content_type="application/json", timeout=None):
        """Return the answer to one request as data; text that is no JSON as it is, no body as {}. ClusterError on every other answer than 2xx."""
        return self.answer(method, path, body, query, content_type, timeout)[0]

    def answer(self, method, path, body=None, query=None, content_type="application/json", timeout=None, accept=JSON):
        """Return (what `request` returns, headers of the answer)."""
        response = self._open(method, path, body, query, content_type, timeout or self.timeout, preload=True, accept=accept)
        text = response.data.decode("utf-8", "replace")
        if "json" not in response.headers.get("Content-Type", "json"):
            return text, response.headers
        try:
            return (json.loads(text) if text else {}), response.headers
        except ValueError as error:
            raise ClusterError(f"{method} {path}: the answer is no JSON", response.status) from error

    def get(self, path, **query):
        """Return what GET answers."""
        return self.request("GET", path, query=query)

    def table(self, path, **query):
        """Return a list as the table that kubectl shows, without the objects themselves."""
        return self.answer("GET", path, query={**query, "includeObject": "None"}, accept=TABLE)[0]

    def items(self, path, chunk=CHUNK, **query):
        """Yield the items of a list, read in chunks."""
        token = ""
        while True:
            page = self.request("GET", path, query={**query, "limit": chunk, "continue": token})
            items = (page.get("items") or []) if isinstance(page, dict) else None
            if not isinstance(items, list):
                raise ClusterError(f"GET {path}: the answer is no list of the API, so something else answers at {self.server}")
            yield from items
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return

    def watch(self, path, timeout, **query):
        """Yield the events {type, object} of one watch until the server ends it or `timeout` seconds pass without a line.

        An event of type ERROR becomes a ClusterError with its status (410 when the resource version is too old).
        """
        query = {"watch": "true", "allowWatchBookmarks": "true", **query}
        with contextlib.closing(self._open("GET", path, None, query, "", timeout, preload=False)) as response:
            pending = b""
            try:
                for part in response.stream(65536, decode_content=True):
                    *lines, pending = (pending + part).split(b"\n")
                    for line in filter(None, lines):
                        yield event_of(line, path)
                if pending:
                    yield event_of(pending, path)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise ClusterError(f"GET {path}: {reason_of(error)}") from error

    def delete(self, path, query=None, body=None):
        """Delete an object or a collection; return whether there was one."""
        try:
            self.request("DELETE", path, query=query, body=body)
        except ClusterError as error:
            if error.status == 404:
                return False
            raise
        return True

    def _open(self, method, path, body, query, content_type, timeout, preload, accept=JSON):
        given = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        url = self.server + path + ("?" + urlencode(given, doseq=True) if given else "")
        headers = {"Accept": accept, **authorization(self.configuration)}
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            response = self.pool.request(
                method,
                url,
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=urllib3.Timeout(connect=min(timeout, 10.0), read=timeout),
                preload_content=preload,
                retries=False,
            )
        # A header that cannot be sent is a ValueError whose text has the token.
        except ValueError as error:
            if isinstance(error, (urllib3.exceptions.HTTPError, OSError)):
                raise ClusterError(f"{method} {path}: {reason_of(error)}") from error
            raise ClusterError(f"{method} {path}: the URL or the token of the kubeconfig has characters that cannot be sent") from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterError(f"{method} {path}: {reason_of(error)}") from error
        if 200 <= response.status < 300:
            return response
        try:
            raise refusal(f"{method} {path}", response.status, response.data, response.headers)
        finally:
            response.close()


@contextlib.contextmanager
def without_files():
    """Remove at the end what the library wrote to files. It does so itself when a process ends, but not where a worker of Ansible ends."""
    # A key that another thread has not read yet must stay.
    with LOCK:
        try:
            yield
        finally:
            kubernetes.config.kube_config._cleanup_temp_files()


def authority_of(configuration):
    """Return the CA of a Configuration in bytes, or None."""
    if not configuration.ssl_ca_cert:
        return None
    with open(configuration.ssl_ca_cert, "rb") as stream:
        return stream.read()


def context_of(configuration):
    """Return an SSLContext with all that a Configuration names; ClusterError or OSError when a file of it cannot be used."""
    context = urllib3.util.ssl_.create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if configuration.verify_ssl else ssl.CERT_NONE)
    context.check_hostname = bool(configuration.verify_ssl) and configuration.assert_hostname is not False
    if configuration.ssl_ca_cert:
        context.load_verify_locations(configuration.ssl_ca_cert)
    else:
        context.load_default_certs()
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file, password=no_password)
    return context


def no_password():
    """Raise ClusterError, where OpenSSL would ask the terminal."""
    raise ClusterError("the client's key is encrypted: name one that is not, or a token or a plugin for credentials")


def with_token(configuration, token):
    """Return a copy of a Configuration that has the token as its only credential."""
    changed = copy.copy(configuration)
    changed.cert_file = changed.key_file = None
    changed.username = changed.password = ""
    changed.refresh_api_key_hook = None
    changed.api_key = dict.fromkeys(TOKEN_KEYS, token)
    changed.api_key_prefix = dict.fromkeys(TOKEN_KEYS, "Bearer")
    return changed


def require_credentials(kubeconfig, configuration):
    """Raise ClusterError when the kubeconfig's plugin gave nothing: the library only logs that, and asks as nobody."""
    _contexts, current = kubernetes.config.list_kube_config_contexts(kubeconfig)
    merged = kubernetes.config.kube_config.KubeConfigMerger(kubeconfig).config
    user = merged["users"].get_with_name(current["context"].get("user"), safe=True) if "users" in merged else None
    if user and "exec" in user["user"] and not (authorization(configuration) or configuration.cert_file):
        raise ClusterError(f"{kubeconfig}: the credential plugin {user['user']['exec']['command']} gave no credentials: run it by hand")


def authorization(configuration):
    """Return the headers that carry the credentials of a Configuration."""
    # To ask for it may run the kubeconfig's plugin again, which may answer with a key.
    with without_files():
        tokens = (configuration.get_api_key_with_prefix(key) for key in TOKEN_KEYS)
        # A file of a token ends in a newline as a rule.
        token = next((one.strip() for one in tokens if one), None)
    if token is None and configuration.username:
        token = configuration.get_basic_auth_token()
    return {"Authorization": token} if token else {}


def event_of(line, path):
    """Return the event in one line of a watch; ClusterError for an ERROR event or a line that is cut off."""
    try:
        event = json.loads(line)
        kind, value = event["type"], event["object"]
    except (ValueError, KeyError, TypeError) as error:
        raise ClusterError(f"GET {path}: a line of the watch is no event") from error
    if kind == "ERROR" and not isinstance(value, dict):
        raise ClusterError(f"GET {path}: the watch ended with an error")
    if kind == "ERROR":
        raise ClusterError(f"GET {path}: {value.get('message') or value.get('reason') or 'the watch ended with an error'}", value.get("code") or 0)
    return event


def refusal(what, status, data, headers=None):
    """Return the ClusterError of an answer that is not 2xx; `data` is the body, a Status where the API server wrote it."""
    again = (headers or {}).get("Retry-After") or ""
    retry_after = float(again) if SECONDS.fullmatch(again) else None
    try:
        answer = json.loads(data)
        reason, message = str(answer.get("reason") or ""), " ".join(str(answer.get("message") or "").split())
    except (ValueError, AttributeError):
        reason, message = "", data.decode("utf-8", "replace")
    return ClusterError(f"{what}: {status} {' '.join(message.split())[:300]}".rstrip(), status, reason, message, retry_after)


def reason_of(error):
    """Return in a few words what went wrong: a refused request's status, the cause behind urllib3's retries, or the error's text."""
    # The reason of an error of TLS is a word of OpenSSL; its text says more.
    status, reason = getattr(error, "status", None), None if isinstance(error, ssl.SSLError) else getattr(error, "reason", None)
    text = f"{status} {reason}" if status else str(reason or error)
    return " ".join(text.split()).rstrip(".")[:300] or type(error).__name__
