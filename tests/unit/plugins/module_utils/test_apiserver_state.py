# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.kubeproof.certify.plugins.module_utils import apiserver_state as state
from hypothesis import given
from hypothesis import strategies as st

TAINT = {"key": "a", "value": "b", "effect": "NoSchedule"}
LABELS = {"app.kubernetes.io/managed-by": "kubeproof", "kubeproof.io/run": "run-1"}


def node(name, zone=None, ready="True", pods="110", taints=(), cordoned=False, images=(), address=""):
    return {
        "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone} if zone else {}},
        "spec": {"taints": list(taints), **({"unschedulable": True} if cordoned else {})},
        "status": {
            "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": ready}],
            "allocatable": {"pods": pods},
            "nodeInfo": {"kubeletVersion": "v1.36.3", "containerRuntimeVersion": "containerd://2.2.1"},
            "images": [{"names": list(names)} for names in images],
            "addresses": [{"type": "InternalIP", "address": address}] if address else [],
        },
    }


def look(*nodes, **options):
    seen = state.Nodes(**options)
    for one in nodes:
        seen.add(one)
    return seen


def test_only_nodes_that_take_the_load_count_as_room():
    nodes = look(
        node("a", "z1"), node("b", "z2"), node("c", "z1", cordoned=True), node("d", ready="Unknown"), node("e", taints=[TAINT]),
        node("f", taints=[{**TAINT, "effect": "PreferNoSchedule"}], pods="ten"),
    )
    facts = nodes.facts()["nodes"]
    assert facts == {
        "count": 6, "ready": 5, "not_ready": ["d"], "schedulable": 3, "names": ["f", "a", "b"], "zones": {"z1": 1, "z2": 1},
        "versions": {"v1.36.3": 6}, "runtimes": {"containerd://2.2.1": 6},
    }
    assert nodes.allocatable == 220


def labelled(found, **labels):
    return {**found, "metadata": {**found["metadata"], "labels": {**found["metadata"]["labels"], **labels}}}


def test_a_node_of_another_system_is_no_room():
    windows, linux = (labelled(node(name), **{"kubernetes.io/os": name}) for name in ("windows", "linux"))
    nodes = look(windows, linux, node("unsaid"))
    facts = nodes.facts()["nodes"]
    assert (facts["count"], facts["ready"], facts["schedulable"], facts["names"]) == (3, 3, 2, ["linux", "unsaid"]) and nodes.allocatable == 220


@pytest.mark.parametrize(
    ("only", "zones", "names"),
    [
        ([], [], ["d", "a", "c", "b"]),
        (["a", "b"], [], ["a", "b"]),
        ([], ["z1"], ["a", "b"]),
        (["b", "c"], ["z1"], ["b"]),
        # It is there, and takes no pods.
        (["e"], [], []),
    ],
)
def test_the_load_is_for_these_nodes_in_these_zones(only, zones, names):
    seen = look(node("a", "z1"), node("b", "z1"), node("c", "z2"), node("d"), node("e", cordoned=True), only=only, zones=zones)
    seen.refuse_unknown()
    assert sorted(seen.facts()["nodes"]["names"]) == sorted(names)


@pytest.mark.parametrize(("only", "zones", "said"), [(["a", "worker9"], [], "has worker9,"), ([], ["z2", "z3"], "has z2, z3,")])
def test_the_load_is_not_for_fewer_nodes_than_were_named(only, zones, said):
    with pytest.raises(state.PlaceError, match=said):
        look(node("a", "z1"), only=only, zones=zones).refuse_unknown()


@pytest.mark.parametrize(("pods", "room"), [("110", 110), ("1k", 1000), ("0", 0), ("1Ki", 0), ("-1", 0), ("ten", 0), ("", 0)])
def test_the_room_of_a_node_is_a_quantity(pods, room):
    assert look(node("a", pods=pods)).allocatable == room


def test_a_node_without_anything_is_not_ready():
    assert look({}, {"metadata": {"name": "a"}, "status": None}).facts()["nodes"]["ready"] == 0


@pytest.mark.parametrize(
    ("toleration", "good"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "a", "operator": "Exists"}, True),
        ({"key": "b", "operator": "Exists"}, False),
        ({"key": "a", "value": "b"}, True),
        ({"key": "a", "value": "b", "operator": "Equal", "effect": "NoSchedule"}, True),
        ({"key": "a", "value": "b", "effect": "NoExecute"}, False),
        ({"key": "a", "value": "c"}, False),
        ({"key": "c", "value": "b"}, False),
        ({"key": "a"}, False),
        ({}, False),
        ({"key": "a", "value": "b", "operator": "Gt"}, False),
    ],
)
def test_tolerations(toleration, good):
    assert state.tolerated(TAINT, [toleration]) is good
    assert look(node("a", taints=[TAINT]), tolerations=[toleration]).facts()["nodes"]["schedulable"] == int(good)


def test_names_come_from_every_zone_in_turn():
    places = [("a", f"a{number}") for number in range(9)] + [("b", "b0"), ("c", "c0"), ("c", "c1")]
    assert state.spread(places, 6) == ["a0", "b0", "c0", "a1", "c1", "a2"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text(max_size=3)), unique=True, max_size=40), st.integers(0, 50))
def test_spread_loses_and_invents_nothing(places, most):
    names = state.spread(places, most)
    assert len(names) == min(most, len(places)) and not set(names) - {name for dummy, name in places}
    taken = {zone: sum(1 for one in names if (zone, one) in places) for zone in "abc"}
    assert most < len(places) or sum(taken.values()) >= len(places)


def test_the_pause_image_that_most_nodes_have():
    old, new, digest = ["r/pause:3.9"], ["r/pause:3.10", "r/pause@sha256:a"], ["pause-like:1", "r/mypause:1"]
    facts = look(node("a", images=[old, new]), node("b", images=[new, digest]), node("c", images=[[]]), node("d", cordoned=True, images=[old])).facts()
    assert facts["image"] == {"name": "r/pause:3.10", "nodes_with": 2, "known": False}
    assert look(node("a", images=[new]), node("b", images=[new])).facts()["image"]["known"] is True
    assert look(node("a")).facts()["image"] == {"name": "", "nodes_with": 0, "known": False}
    assert look().facts()["image"]["known"] is False


@pytest.mark.parametrize(
    ("given_name", "listed", "there"),
    [
        ("nginx", "r.x/library/nginx:latest", True),
        ("a/b:1", "r.x/a/b:1", True),
        ("localhost/a:1", "localhost/a:1", True),
        ("r:5000/a", "r:5000/a:latest", True),
        ("r.x/a@sha256:b", "r.x/a@sha256:b", True),
        ("r.x/a:1", "r.x/a:2", False),
        ("a:1", "r.x/a:1", False),
    ],
)
def test_a_given_image(given_name, listed, there):
    facts = look(node("a", images=[[listed]]), image=given_name).facts()["image"]
    assert facts == {"name": given_name, "nodes_with": int(there), "known": there}


def test_api_servers_are_named_by_their_nodes():
    slices = [
        {"ports": [{"name": "https", "port": 6443}], "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.9"]}]},
        {"ports": [{"name": "https", "port": 6443}], "endpoints": [{"addresses": ["fd00::1"]}]},
        {"ports": [], "endpoints": [{"addresses": ["10.0.0.8"]}]},
        {"ports": None, "endpoints": None},
    ]
    urls = state.registered(slices)
    assert urls == {"10.0.0.1": "https://10.0.0.1:6443", "10.0.0.9": "https://10.0.0.9:6443", "fd00::1": "https://[fd00::1]:6443"}
    nodes = look(node("cp1", address="10.0.0.1"), node("worker", address="10.0.0.7"), addresses=urls)
    assert nodes.named == {"10.0.0.1": "cp1"}
    assert state.named(urls, nodes.named) == {"cp1": urls["10.0.0.1"], "10.0.0.9": urls["10.0.0.9"], "fd00::1": urls["fd00::1"]}
    assert state.named(urls, {"10.0.0.1": "cp1", "fd00::1": "cp1"}) == urls


@pytest.mark.parametrize(
    ("page", "count"),
    [
        ({"items": [{}], "metadata": {"continue": "x", "remainingItemCount": 9}}, 10),
        ({"items": [{}], "metadata": {}}, 1),
        ({"items": None}, 0),
        ({"items": [{}], "metadata": {"continue": "x"}}, None),
    ],
)
def test_total(page, count):
    assert state.total(page) == count


@pytest.mark.parametrize(
    ("conditions", "bad"), [([{"type": "Available", "status": "True"}], False), ([{"type": "Available", "status": "False"}], True), ([], True), (None, True)]
)
def test_unavailable(conditions, bad):
    assert state.unavailable({"status": {"conditions": conditions}}) is bad


RULE = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}


@pytest.mark.parametrize(
    ("change", "blocks"),
    [
        ({}, True),
        ({"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}, True),
        ({"resources": ["configmaps"], "scope": "Namespaced"}, True),
        ({"scope": "Cluster"}, False),
        ({"resources": ["pods/*"]}, False),
        ({"operations": ["UPDATE"]}, False),
        ({"apiGroups": ["apps"]}, False),
        ({"resources": None}, False),
    ],
)
def test_webhooks(change, blocks):
    hooks = {"webhooks": [{"name": "w", "timeoutSeconds": 3, "rules": [{**RULE, **change}]}, {"name": "i", "failurePolicy": "Ignore", "rules": [RULE]}]}
    assert state.blocking_webhooks(hooks, "mutating") == ([{"name": "w", "kind": "mutating", "timeout": 3}] if blocks else [])


@pytest.mark.parametrize(
    ("labels", "run"), [(LABELS, "run-1"), ({}, None), (None, None), ({"kubeproof.io/run": "a"}, None), ({"app.kubernetes.io/managed-by": "kubeproof"}, None)]
)
def test_run_of(labels, run):
    assert state.run_of({"metadata": {"labels": labels}}) == run


@pytest.mark.parametrize(("stamp", "age"), [("1970-01-01T00:01:00Z", 40), ("1970-01-01T00:02:00Z", 0), ("soon", None), (None, None)])
def test_terminating(stamp, age):
    assert state.terminating({"deletionTimestamp": stamp}, 100.4) == age
