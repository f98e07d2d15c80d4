# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is watched while a size is loaded: by which bound, how often, and which real nodes are missed."""

from __future__ import annotations

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import scale_plan, scale_watch
from ansible_collections.kubeproof.certify.plugins.module_utils.scale_real import RealNodes

GIB = 2**30
SERVERS = {name: {"url": f"https://{name}:6443/metrics", "token": "t", "ca": "/ca", "timeout": 30} for name in ("cp1", "cp2")}
SIZE = {"rate": 10, "hollow": 20}


def look(*members):
    """Return what etcd_look says of members (cluster, size, quota)."""
    return {"etcd": {"endpoints": {str(place): {"cluster": one[0], "db_size": one[1], "db_quota": one[2]} for place, one in enumerate(members)}}}


def test_each_api_server_is_asked_whether_it_is_ready_and_how_full_etcd_is():
    found = scale_watch.rules(SERVERS, look(("etcd", 100, 2 * GIB)), SIZE)
    ready, full = found["rules"][2:]
    assert ready == {"endpoint": {**SERVERS["cp2"], "url": "https://cp2:6443/readyz", "timeout": 10.0}, "reason": "an API server is not ready"}
    assert (full["endpoint"], full["metric"], full["value"]) == (SERVERS["cp2"], "apiserver_storage_size_bytes", f"> {int(1.6 * GIB)}")
    assert full["reason"] == "etcd has filled more than 80% of its quota of 2 GiB"


@pytest.mark.parametrize(
    ("seen", "quota"),
    [
        (look(("etcd", 100, 2 * GIB), ("etcd", 100, 2 * GIB)), 2 * GIB),
        # No series says whose it is: events have less, and it is not that cluster which has more than they may.
        (look(("etcd", 100, 8 * GIB), ("events", 100, 2 * GIB)), 2 * GIB),
        (look(("etcd", 5 * GIB, 8 * GIB), ("events", 100, 2 * GIB)), 8 * GIB),
        (look(("etcd", 7 * GIB, 8 * GIB), ("events", 100, 2 * GIB)), 8 * GIB),
        # Nobody looked, or nobody answered: which quota it is nobody knows, and a guess would end what is well.
        ({}, None), ({"error": "no route"}, None), (look(("etcd", 100, None)), None),
    ],
)  # fmt: skip
def test_the_quota_by_which_it_is_judged(seen, quota):
    bounds = [rule["value"] for rule in scale_watch.rules(SERVERS, seen, SIZE)["rules"] if "value" in rule]
    assert bounds == ([f"> {int(0.8 * quota)}"] * 2 if quota else [])


@pytest.mark.parametrize(("rate", "quota", "least", "most"), [(10, 8 * GIB, 30, 30), (10, GIB // 10, 15, 20), (1000, GIB // 10, 1, 1)])
def test_it_is_looked_again_before_etcd_can_be_full(rate, quota, least, most):
    """A page of metrics costs an API server something, so that it is read as seldom as is safe."""
    interval = scale_watch.rules(SERVERS, look(("etcd", 0, quota)), {"rate": rate, "hollow": 20})["interval"]
    assert least <= interval <= most and (interval == 1 or interval * rate * scale_plan.POD_BYTES <= 0.1 * quota)


# Real nodes -------------------------------------------------------------------------------------------------------------------


def node(name, ready=True):
    conditions = [{"type": "Ready", "status": "True" if ready else "Unknown"}]
    return {"metadata": {"name": name, "uid": f"uid-{name}"}, "status": {"conditions": conditions}}


class Lists:
    """An API whose every list is empty, which keeps what was asked."""

    def __init__(self):
        self.asked = []

    def request(self, method, path, query=None, **dummy):
        self.asked.append((method, path, query["labelSelector"]))
        return {"items": [], "metadata": {"resourceVersion": "1"}}


@pytest.mark.parametrize(
    ("events", "listed", "reason"),
    [
        ([("ADDED", node("w1")), ("ADDED", node("w2"))], ["w1", "w2"], None),
        ([("ADDED", node("w1")), ("ADDED", node("w2")), ("MODIFIED", node("w2"))], ["w1", "w2"], None),
        ([("ADDED", node("w1")), ("ADDED", node("w2", False))], ["w1", "w2"], "only 1 of 2 real nodes are Ready, without w2"),
        ([("ADDED", node("w1")), ("ADDED", node("w2")), ("DELETED", node("w2"))], ["w1", "w2"], "only 1 of 2 real nodes are Ready, without w2"),
        # One that was gone before is in no list, and one that goes while the watch is lost is in the next list no more.
        ([("ADDED", node("w1"))], ["w1"], "only 1 of 2 real nodes are Ready"),
        ([("ADDED", node("w1")), ("ADDED", node("w2"))], ["w1"], "only 1 of 2 real nodes are Ready, without w2"),
        # A node that was not Ready before the load either is not missed; a list that is not whole misses none.
        ([("ADDED", node("w1")), ("ADDED", node("w2")), ("ADDED", node("w3", False))], ["w1", "w2", "w3"], None),
        ([("ADDED", node("w1"))], None, None),
    ],
)
def test_a_real_node_that_is_lost_ends_the_load(events, listed, reason):
    nodes = RealNodes(Lists(), 2)
    for kind, item in events:
        nodes.see(kind, item, 1.0)
    if listed is not None:
        nodes.see_all({f"uid-{name}" for name in listed}, 2.0)
    assert nodes.reason == reason


def test_a_node_that_is_lost_later_is_seen_too():
    nodes = RealNodes(Lists(), 1)
    nodes.see("ADDED", node("w1"), 1.0)
    nodes.see_all({"uid-w1"}, 1.0)
    assert nodes.reason is None
    nodes.see("MODIFIED", node("w1", False), 2.0)
    assert nodes.reason == "only 0 of 1 real nodes are Ready, without w1"


def test_hollow_nodes_are_not_followed_and_none_where_nobody_asks():
    server = Lists()
    RealNodes(server, 1)
    assert server.asked == [("GET", "/api/v1/nodes", "!kubeproof.io/hollow")]
    with RealNodes(server, 0) as nodes:
        assert nodes.reason is None and len(server.asked) == 1
