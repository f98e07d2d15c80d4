# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_status
from ansible_collections.kubeproof.certify.plugins.module_utils.web import Endpoint
from ansible_collections.kubeproof.certify.tests.unit.plugins.etcd_fake import FakeEtcd


@pytest.fixture
def etcd():
    fake = FakeEtcd()
    yield fake
    fake.close()


def test_a_healthy_member(etcd):
    assert etcd_status.ask(Endpoint(etcd.url)) == {
        "version": "3.6.8", "cluster_version": "3.6.0", "healthy": True, "member_id": "5f860626a1f51781", "leader_id": "5f860626a1f51781", "leader": True,
        "revision": 1, "raft_term": 2, "db_size": 31236096, "db_in_use": 3018752, "quota_backend_bytes": 2147483648, "alarms": [], "alarm_count": 0,
        "members": {"cp1": {"id": "5f860626a1f51781", "urls": [etcd.url], "learner": False}, "11": {"id": "11", "urls": [], "learner": True}},
        "member_count": 2,
    }


@pytest.mark.parametrize(
    ("path", "answer", "expected", "absent"),
    [
        ("/health", (503, {"health": "false", "reason": "ALARM NOSPACE"}), {"healthy": False, "revision": 1}, "error"),
        ("/health", (200, {"health": "false"}), {"healthy": False}, "error"),
        ("/version", (200, "<html>"), {}, "healthy"),
        ("/version", (200, []), {}, "healthy"),
        ("/version", (503, "proxy"), {}, "healthy"),
        ("/v3/maintenance/status", (404, "404 page not found"), {"version": "3.6.8"}, "healthy"),
        ("/v3/maintenance/alarm", (200, {"alarms": [{"memberID": "17", "alarm": "NOSPACE"}]}), {"alarms": ["NOSPACE of member 11"], "alarm_count": 1}, "error"),
        ("/v3/maintenance/status", (200, {"header": {"member_id": "17"}, "raftTerm": "3"}), {"healthy": False, "leader_id": "0", "raft_term": 3}, "alarms"),
        ("/v3/maintenance/status", (200, {"header": {"member_id": "17"}, "leader": "17"}), {"leader": True}, "db_size"),
        ("/v3/cluster/member/list", (200, {}), {"alarm_count": 0}, "members"),
        ("/v3/maintenance/status", (200, {"header": {"member_id": "17"}, "leader": "18", "dbSizeQuota": "-1"}), {"leader": False}, "quota_backend_bytes"),
    ],
)
def test_what_is_not_answered_is_left_out(etcd, path, answer, expected, absent):
    etcd.answers[path] = answer
    facts = etcd_status.ask(Endpoint(etcd.url))
    assert facts.items() >= expected.items() and absent not in facts
    assert ("error" in facts) == (absent != "error" and absent not in ("db_size", "quota_backend_bytes"))


def test_a_dead_member_is_one_sentence():
    assert etcd_status.ask(Endpoint("http://127.0.0.1:1")) == {"error": "http://127.0.0.1:1/version: Connection refused."}
