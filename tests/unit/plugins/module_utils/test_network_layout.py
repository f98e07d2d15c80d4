# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import network_layout
from ansible_collections.kubeproof.certify.plugins.module_utils.network_layout import LayoutError, layout, node

READY = {"conditions": [{"type": "Ready", "status": "True"}]}
ZONE = "topology.kubernetes.io/zone"
CONTROL_PLANE = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
DATABASE = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}


def item(labels=None, status=None, **spec):
    return {"metadata": {"name": "a", "labels": labels or {}}, "spec": spec, "status": READY if status is None else status}


def place(name, zone="", aside="", trouble=""):
    return {"name": name, "zone": zone, "aside": aside, "trouble": trouble}


def names(found, kind=None, measured=True):
    return [pair["name"] for pair in found["pairs"] if kind in (None, pair["kind"]) and pair["measured"] is measured]


@pytest.mark.parametrize(
    ("given_item", "tolerations", "expected"),
    [
        (item(), [], {"zone": "", "aside": "", "trouble": ""}),
        (item({ZONE: "b"}), [], {"zone": "b"}),
        (item({"failure-domain.beta.kubernetes.io/zone": "b"}), [], {"zone": "b"}),
        (item(status={}), [], {"trouble": "is not Ready"}),
        (item(unschedulable=True), [], {"trouble": "is cordoned"}),
        (item(taints=[DATABASE]), [], {"trouble": "has the taint dedicated=db:NoSchedule, which network_tolerations does not tolerate"}),
        (item(taints=[DATABASE]), [{"key": "dedicated", "operator": "Exists"}], {"trouble": ""}),
        (item(taints=[dict(DATABASE, effect="PreferNoSchedule")]), [], {"trouble": ""}),
        (item(taints=[CONTROL_PLANE]), [], {"aside": "is a control-plane node; a toleration in network_tolerations takes it in", "trouble": ""}),
        (item(taints=[CONTROL_PLANE]), [{"operator": "Exists"}], {"aside": "", "trouble": ""}),
        (item({"kubernetes.io/os": "windows"}), [], {"aside": "runs windows"}),
    ],
)
def test_nodes(given_item, tolerations, expected):
    found = node(given_item, tolerations)
    assert {key: found[key] for key in expected} == expected and found["name"] == "a"


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, []),
        (2, ["n0 -> n1 (nodes)"]),
        (3, ["n0 -> n1 (nodes)", "n1 -> n2 (nodes)", "n2 -> n0 (nodes)"]),
    ],
)
def test_a_ring(count, expected):
    found = layout([place(f"n{number}") for number in range(count)])
    assert names(found, "nodes") == expected
    assert names(found, "same") == ["n0 -> n0 (same)"] and not names(found, measured=False)
    assert found["possible"] == {"nodes": len(expected), "across": len(expected)}


def test_zones_are_measured_with_each_other():
    found = layout([place("a1", "a"), place("a2", "a"), place("b1", "b"), place("c1", "c"), place("d1", "d")])
    assert names(found, "nodes") == ["a1 -> a2 (nodes)"]
    joined = {frozenset((name.split()[0][0], name.split()[2][0])) for name in names(found, "zones")}
    assert len(joined) == 6 and found["zones"] == 4 and found["possible"] == {"nodes": 1, "across": 10}


def test_a_node_alone():
    found = layout([place("n0")])
    assert found["possible"] == {"nodes": 0, "across": 0} and names(found) == ["n0 -> n0 (same)"]


@pytest.mark.parametrize(
    ("nodes", "chosen", "missed", "why"),
    [
        ([place("n0"), place("n1", trouble="is cordoned")], [], "n0 -> n1 (nodes)", "is cordoned"),
        ([place("n0"), place("n1"), place("n2", trouble="is not Ready")], [], "n0 -> n2 (nodes)", "is not Ready"),
        ([place("n0"), place("n1", aside="is a control-plane node")], [], "n0 -> n1 (nodes)", "is a control-plane node"),
        ([place("n0"), place("n1"), place("cp", aside="is a control-plane node")], ["n0"], "n0 -> n1 (nodes)", "is not in network_nodes"),
        ([place("n0", "a"), place("n1", "b", trouble="is cordoned")], [], "n0 -> n1 (zones)", "is cordoned"),
        # A name is no place for the load by itself, and nobody else is to blame.
        ([place("n0"), place("n1"), place("cp", aside="is a control-plane node")], ["n0", "n1", "cp"], "n0 -> cp (nodes)", "is a control-plane node"),
        ([place("n0"), place("n1"), place("w", aside="runs windows")], ["n0", "w"], "n0 -> w (nodes)", "runs windows"),
        ([place("n0", "a"), place("n1", "b"), place("cp", "a", aside="is aside")], ["n0", "n1", "cp"], "n0 -> cp (nodes)", "is aside"),
        ([place("n0", "a"), place("n1", "a"), place("cp", "b", aside="is aside")], ["n0", "n1", "cp"], "n0 -> cp (zones)", "is aside"),
        ([place("n0"), place("n1"), place("n2", trouble="is cordoned")], ["n0", "n2"], "n0 -> n2 (nodes)", "is cordoned"),
    ],
    ids=["cordoned", "one of three", "control plane alone", "by the owner", "zone", "named", "windows", "named, zone", "another zone", "named, ill"],
)
def test_who_cannot_take_part_is_missed(nodes, chosen, missed, why):
    """Its pair is expected, so that it is judged, and nothing of it is measured."""
    found = layout(nodes, chosen)
    assert missed in names(found, measured=False) and found["left_out"] == {missed.split()[2]: why}
    assert found["possible"]["across"] > 0


def test_who_is_named_counts():
    """So that no check takes its pair for one that cannot be."""
    control = place("cp", "b", aside="is a control-plane node")
    found = layout([place("n0", "a"), place("n1", "a"), control], ["n0", "n1", "cp"])
    assert (found["nodes"], found["zones"], found["possible"]) == (3, 2, {"nodes": 1, "across": 3}) and found["taking_part"] == ["n0", "n1"]
    found = layout([place("n0", "a"), place("n1", "b"), place("n2", "c"), dict(control, zone="a")], ["n0", "cp"])
    assert found["possible"]["nodes"] == 1 and names(found, "nodes", measured=False) == ["n0 -> cp (nodes)"]
    alone = layout([place("n0"), control], ["cp"])
    assert alone["taking_part"] == [] and alone["left_out"] == {"cp": "is a control-plane node"} and alone["aside"] == {}


def test_a_control_plane_beside_workers_is_left_in_peace():
    found = layout([place("cp", "a", aside="is a control-plane node"), place("n0", "a"), place("n1", "b")])
    assert found["left_out"] == {} and not names(found, measured=False) and found["nodes"] == 2
    assert found["aside"] == {"cp": "is a control-plane node"} and network_layout.took_part(found) == "2 of 2; not counted: is a control-plane node (cp)"
    # No two workers share a zone: the control plane's is no reason to miss such a pair.
    assert found["possible"] == {"nodes": 0, "across": 1} and names(found, "zones") == ["n0 -> n1 (zones)"]


def test_a_zone_without_a_node_that_takes_part_is_missed():
    found = layout([place("a1", "a"), place("a2", "a"), place("b1", "b", trouble="is cordoned"), place("b2", "b", trouble="is cordoned")])
    assert "a -> b (zones)" in names(found, "zones", measured=False) and found["zones"] == 2


def test_nobody_can_take_part():
    found = layout([place("n0", trouble="is cordoned"), place("n1", trouble="is not Ready")])
    assert found["taking_part"] == [] and found["pairs"] == [] and set(found["left_out"]) == {"n0", "n1"}


def test_a_sample_of_many_nodes_has_every_zone_and_is_the_same_for_a_run():
    nodes = [place(f"n{number:03}", "abc"[number % 3] if number < 98 else "d") for number in range(100)]
    found = layout(nodes, seed="run-1")
    assert len(found["taking_part"]) == network_layout.MOST and found["sampled"] == found["nodes"] == 100
    assert {found["zone_of"][name] for name in found["taking_part"]} == set("abcd")
    # Whoever else measures there may choose another node.
    assert found["zone_of"] == {one["name"]: one["zone"] for one in nodes}
    assert found == layout(nodes, seed="run-1") and found["taking_part"] != layout(nodes, seed="run-2")["taking_part"]


def test_a_name_of_no_node_is_refused():
    with pytest.raises(LayoutError, match="network_nodes names n7, which is no node"):
        layout([place("n0")], ["n7"])


@given(st.lists(st.tuples(st.sampled_from(["", "a", "b", "c"]), st.sampled_from(["", "is cordoned"])), max_size=40))
def test_every_node_takes_part_or_is_missed(drawn):
    nodes = [place(f"n{number}", zone, trouble=trouble) for number, (zone, trouble) in enumerate(drawn)]
    found = layout(nodes, most=50)
    able = [one["name"] for one in nodes if not one["trouble"]]
    assert sorted(found["taking_part"]) == sorted(able) and set(found["left_out"]) == {one["name"] for one in nodes} - set(able)
    ends = {pair[end] for pair in found["pairs"] if pair["measured"] and pair["kind"] != "same" for end in ("from", "to")}
    assert ends == (set(able) if len(able) > 1 else set())
    missed = {pair["to"] for pair in found["pairs"] if not pair["measured"]}
    assert not able or set(found["left_out"]) <= missed
    assert len({pair["name"] for pair in found["pairs"]}) == len(found["pairs"])
