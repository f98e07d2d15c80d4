# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at an etcd member over connections that are kept: raft term, leader, counters, health, sizes; standard library alone."""

from __future__ import annotations

import http.client
import json
import math

from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_status, histogram, openmetrics
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_gateway import Gateway
from ansible_collections.kubeproof.certify.plugins.module_utils.web import Endpoint, HttpError

TIMEOUT = 2.0
FSYNC = "etcd_disk_wal_fsync_duration_seconds"
# Name in the sample, metric, and what its value becomes.
METRICS = {
    "changes": ("etcd_server_leader_changes_seen_total", int),
    "has_leader": ("etcd_server_has_leader", bool),
    "started": ("process_start_time_seconds", float),
    "committed": ("etcd_server_proposals_committed_total", int),
    "memory": ("process_resident_memory_bytes", int),
    "files": ("process_open_fds", int),
    "files_limit": ("process_max_fds", int),
}
NAMES = [metric for metric, dummy in METRICS.values()] + [FSYNC]
FAILED = (OSError, http.client.HTTPException, HttpError, openmetrics.ExpositionError, histogram.HistogramError, AttributeError, KeyError, TypeError, ValueError)


class Member:
    """An etcd member: `client` and `metrics` are {url, ca, cert, key}; `metrics` is the whole URL of its /metrics."""

    def __init__(self, client, metrics, timeout=TIMEOUT):
        self.gateway = Gateway(Endpoint(timeout=timeout, **client))
        endpoint = Endpoint(timeout=timeout, **metrics)
        shared = (endpoint.parts.scheme, endpoint.parts.netloc) == (self.gateway.endpoint.parts.scheme, self.gateway.endpoint.parts.netloc)
        self.metrics = self.gateway.connection if shared else endpoint.connect()
        self.path = endpoint.parts.path
        self.bounds = None

    def look(self):
        """Return what the member answers; what it does not is left out, and `error` says why."""
        found, errors = {}, []
        for connection, question in (
            (self.gateway.connection, self._status),
            (self.metrics, self._metrics),
            (self.gateway.connection, self._health),
        ):
            try:
                found.update(question())
            except FAILED as error:
                # A connection that broke in the middle is made anew by the next request.
                connection.close()
                errors.append(str(error) or type(error).__name__)
        return dict(found, error=errors[0]) if errors else found

    def _status(self):
        answer = self.gateway.call("/v3/maintenance/status", {})
        known = etcd_status.status(answer)
        return {
            "term": known["raft_term"],
            "leader": known["leader_id"],
            "member": known["member_id"],
            "cluster": f"{int(answer['header']['cluster_id']):x}",
            "size": known["db_size"],
            "used": known["db_in_use"],
            **({"quota": known["quota_backend_bytes"]} if "quota_backend_bytes" in known else {}),
        }

    def _metrics(self):
        families = openmetrics.read([_get(self.metrics, self.path)], NAMES)
        found = {}
        for name, (metric, kind) in METRICS.items():
            [series] = families[metric].series.values() if metric in families else [None]
            if series is not None and series.value is not None and math.isfinite(series.value):
                found[name] = kind(series.value)
        if FSYNC in families:
            [series] = families[FSYNC].series.values()
            buckets = histogram.from_counts(series.buckets)
            bounds = [None if bound == math.inf else bound for bound in histogram.bounds_of(buckets)]
            found["fsync"] = [count for dummy, count in buckets]
            # They are those of etcd's program: once is enough.
            if bounds != self.bounds:
                self.bounds = found["bounds"] = bounds
        return found

    def _health(self):
        # With an alarm, or without a leader, the answer is 503.
        answer = json.loads(_get(self.gateway.connection, "/health", (200, 503)))
        return {"healthy": str(answer.get("health")).lower() == "true"}


def _get(connection, path, codes=(200,)):
    """Return the body of a GET over a kept connection; HttpError when the status is another."""
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    if response.status not in codes:
        raise HttpError(f"{path} answered {response.status}.", response.status)
    return body
