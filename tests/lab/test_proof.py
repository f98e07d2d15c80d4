# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certification touches no key of Kubernetes."""

from __future__ import annotations

import time

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("untouched")]
# Every step but check perf, which lasts 60 s and writes under a prefix of its own; `make labtest` has it.
LOAD = {"write": 2, "write_all": 2, "read": 1, "read_serializable": 1, "watch": 1, "fsync": 2**20}


def records(lab):
    """Return {key: its record} of all that Kubernetes keeps in etcd."""
    with lab.gateway("etcd1") as gateway:
        ranges = ((b"/registry", b"/registrz"), (b"compact_rev_key", b"compact_rev_key\0"))
        return {record["key"]: record for start, end in ranges for record in gateway.records(start, end)}


def test_keys_of_kubernetes(lab, certify):
    """With the API server paused nobody else writes, so every key has the same revision before and after; etcd itself ends leases."""
    lab.podman("pause", "cp1")
    try:
        before = records(lab)
        run = certify(load=LOAD, certify_kubeconfig="")
        after = records(lab)
    finally:
        lab.podman("unpause", "cp1")
    assert run.load_seconds > 5 and run.finding("etcd_keys_left")["result"] == "PASS", run.error
    expired = {key for key, record in before.items() if record["lease"] and key not in after}
    assert len(before) > 200 and b"compact_rev_key" in before
    assert {key: record["mod_revision"] for key, record in after.items()} == {
        key: record["mod_revision"] for key, record in before.items() if key not in expired
    }
    wait_for_the_api_server(lab)


def wait_for_the_api_server(lab):
    """Wait until the API server answers again."""
    limit = time.monotonic() + 60
    while lab.kubectl("get", "--raw", "/readyz", check=False) != "ok":
        assert time.monotonic() < limit, "the API server does not answer"
        time.sleep(0.5)
