# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd's keys through its gRPC gateway (JSON over HTTP), because etcdctl cannot take binary keys; standard library alone."""

from __future__ import annotations

import base64
import http.client
import json
import ssl

from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_keyspace
from ansible_collections.kubeproof.certify.plugins.module_utils.web import HttpError

PAGE = 1000
NOT_JSON = "{where} answered something that is not JSON: {text!r}. Set the endpoint to a client URL of etcd."
REFUSED = {
    404: (
        "{where} answered 404: the gRPC gateway of etcd is not served there. Use a client URL of a member whose gateway is on (its default), "
        "or start etcd with --enable-grpc-gateway=true; without it, keys of benchmark can be neither proved absent nor deleted."
    ),
    401: "{where} answered 401: etcd wants a user ({text}). Give a token, or turn etcd's authentication off for the time of the run.",
}


class Gateway:
    """One kept connection to the gRPC gateway of `endpoint`; use it as a context manager."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.connection = endpoint.connect()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.connection.close()

    def call(self, path, body):
        """Return the JSON answer to a POST of `body`; HttpError with a sentence when there is none."""
        where = self.endpoint.url.rstrip("/") + path
        headers = {"Content-Type": "application/json"}
        if self.endpoint.token:
            headers["Authorization"] = self.endpoint.token
        try:
            self.connection.request("POST", self.endpoint.parts.path.rstrip("/") + path, json.dumps(body, allow_nan=False).encode(), headers)
            response = self.connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise HttpError(f"{where}: {_failure(error)}.") from error
        if response.status != 200:
            known = REFUSED.get(response.status, "{where} answered {status}: {text}.")
            raise HttpError(known.format(where=where, status=response.status, text=_reason(text)), response.status)
        try:
            return json.loads(text)
        except ValueError as error:
            raise HttpError(NOT_JSON.format(where=where, text=text[:80])) from error

    def meant(self, puts, prefix=None):
        """Return the keys of the runs `puts` of benchmark, there or not, and those there that begin with `prefix`; KeyspaceError when they cannot be told."""
        return etcd_keyspace.predict(puts) + (self.own_keys(prefix) if prefix else [])

    def seen(self, keys):
        """Return {predicted, present, revision}: how many `keys` are meant, how many of them exist, and the revision of etcd then."""
        return {"predicted": len(keys), "present": len(self.existing(keys)), "revision": self.revision()}

    def existing(self, keys):
        """Return those of `keys` that exist: linearizable reads that touch nothing but these keys."""
        found = []
        for batch in etcd_keyspace.batches(keys):
            operations = [{"request_range": {"key": encode(key), "count_only": True}} for key in batch]
            answer = self.call("/v3/kv/txn", {"success": operations})
            counts = [int(one.get("response_range", {}).get("count", 0)) for one in _responses(answer, batch)]
            found.extend(key for key, count in zip(batch, counts) if count)
        return found

    def revision(self):
        """Return the newest revision of etcd."""
        return _revision(self.call("/v3/kv/range", {"key": encode(b"\0"), "count_only": True}))

    def delete(self, keys):
        """Delete exactly `keys`, each by its name; return how many existed. KeyspaceError before anything if one is not ours."""
        keys = list(keys)
        for key in keys:
            etcd_keyspace.check_deletable(key)
        deleted = 0
        for batch in etcd_keyspace.batches(keys):
            answer = self.call("/v3/kv/txn", {"success": [{"request_delete_range": {"key": encode(key)}} for key in batch]})
            deleted += sum(int(one.get("response_delete_range", {}).get("deleted", 0)) for one in _responses(answer, batch))
        return deleted

    def delete_unchanged(self, record):
        """Delete the key of `record` if it is still the one that was created at that revision; return whether it was."""
        etcd_keyspace.check_deletable(record["key"])
        key = encode(record["key"])
        same = {"key": key, "target": "CREATE", "result": "EQUAL", "create_revision": str(record["create_revision"])}
        answer = self.call("/v3/kv/txn", {"compare": [same], "success": [{"request_delete_range": {"key": key}}]})
        return bool(answer.get("succeeded"))

    def records(self, start, end, since=0):
        """Yield {key, create_revision, mod_revision, version, lease} of the keys in [start, end), created after revision `since`, as of one revision."""
        revision = 0
        while start is not None:
            body = {"key": encode(start), "range_end": encode(end), "keys_only": True, "limit": PAGE}
            if since:
                body["min_create_revision"] = str(since + 1)
            if revision:
                body["revision"] = str(revision)
            answer = self.call("/v3/kv/range", body)
            revision = revision or _revision(answer)
            found = answer.get("kvs", [])
            for one in found:
                numbers = {name: int(one.get(name, 0)) for name in ("create_revision", "mod_revision", "version", "lease")}
                yield {"key": base64.b64decode(one["key"]), **numbers}
            more = answer.get("more") and found
            start = base64.b64decode(found[-1]["key"]) + b"\0" if more else None

    def own_keys(self, prefix):
        """Return the keys that begin with `prefix` (text), which must be one of ours; KeyspaceError when it is not."""
        start = prefix.encode()
        if not etcd_keyspace.is_own(start):
            raise etcd_keyspace.KeyspaceError(f"The prefix {prefix} is not one of ours: it must begin with {etcd_keyspace.OWN_PREFIX.decode()}.")
        return [record["key"] for record in self.records(start, _end(start))]

    def watch_keys(self, key_size, puts, since, partial=False):
        """Return the records that only `benchmark watch-latency` can have left: one random key of `key_size` bytes for each run of `puts` puts."""
        return [
            record
            for start, end in etcd_keyspace.UNPROTECTED_RANGES
            for record in self.records(start, end, since)
            if len(record["key"]) == key_size
            and (record["version"] <= puts if partial else record["version"] == puts)
            and not record["lease"]
            and not etcd_keyspace.is_text(record["key"])
        ]


def mod_revisions(endpoint, prefix):
    """Return {key: mod_revision} of all keys that begin with `prefix` (bytes), read page by page as of one revision."""
    with Gateway(endpoint) as gateway:
        return {record["key"]: record["mod_revision"] for record in gateway.records(prefix, _end(prefix))}


def encode(key):
    """Return `key` (bytes) as the gateway wants it."""
    return base64.b64encode(key).decode()


def _end(prefix):
    """Return the first key after all that begin with `prefix`."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else b"\0"


def _revision(answer):
    """Return the revision of etcd that the answer was given at."""
    return int(answer.get("header", {}).get("revision", 0))


def _responses(answer, batch):
    """Return the answers to the operations of a transaction; HttpError unless there is one for each key."""
    responses = answer.get("responses", [])
    if not answer.get("succeeded") or len(responses) != len(batch):
        raise HttpError(f"etcd answered {len(responses)} of {len(batch)} operations of a transaction. Update etcd to 3.4 or newer.")
    return responses


def _failure(error):
    """Say in words what a socket, TLS or protocol error was."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    # A server that misses a client certificate, or refuses it, just ends the connection.
    return reason + ("; see that cert and key are set and signed by the CA that etcd trusts" if isinstance(error, ssl.SSLError) else "")


def _reason(text):
    """Return the sentence in an error answer of the gateway, which is JSON or plain text."""
    try:
        found = json.loads(text)
        return str(found.get("message") or found.get("error") or found)
    except (ValueError, AttributeError):
        return text[:200].decode("utf-8", "replace").strip() or "no text"
