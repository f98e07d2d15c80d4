# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is picked out of the facts of a run to be drawn, and that nothing is invented."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import report_curves
from ansible_collections.kubeproof.certify.plugins.module_utils.report_plots import collect

LATENCY = {"count": 1000, "p50": 0.001, "p99": 0.009, "max": 0.02, "stdev": 1}
STRESS = {
    "unit": "bit/s",
    "said": "It broke at 400 Mbit/s.",
    "broke": {"rate": 4e8, "share": 2},
    "steps": [
        {"name": "a", "phase": "ramp", "share": 1, "offered": 2e8, "achieved": 2e8, "p99": 0.01, "errors": 0, "held": True, "seconds": 60},
        {"name": "b", "phase": "ramp", "share": 2, "offered": 4e8, "achieved": 3e8, "held": False, "broke_by": "slow"},
        {"name": "lost", "phase": "ramp", "share": 4, "offered": 8e8, "held": None},
    ],
}
FSYNC = {"every": 3600, "over_time": [{"at": 0, "count": 9, "p99": [0.004, 0.008]}, {"at": 3600, "count": 9, "p99": [0.008, None]}]}


def test_a_distribution_is_drawn_with_its_place():
    [plot] = collect({"etcd/etcd1": {"fio": {"latency": LATENCY}}, "etcd/cluster/etcd": {"few": {**LATENCY, "count": 5}}})
    assert plot["kind"] == "percentiles" and plot["left_out"] == 0
    assert plot["rows"] == [{"name": "etcd1 fio", "count": 1000, "points": {"p50": 0.001, "p99": 0.009, "max": 0.02}}]


def test_pairs_of_nodes_are_a_matrix():
    every = {"a -> b (nodes)": {"tcp": {"rate": 9e9}}, "b -> a (nodes)": {"tcp": {"rate": None}}, "x": {"tcp": {"rate": 1}}}
    [plot] = collect({"network/cluster/prod": {"every": every}})
    assert plot["rows"] == [{"from": "a", "to": "b", "value": 9e9}, {"from": "b", "to": "a", "value": None}] and plot["more_is_better"]


def failed(name, why="it was lost"):
    """Return the facts of a pair that gave no number."""
    return {f"{name} (nodes)": {"missing": {"": why}}}


def test_a_pair_without_a_number_and_a_node_without_a_pair_stay_in_the_matrix():
    every = {"a -> b (nodes)": {"tcp": {"rate": 9e9}}, **failed("b -> c"), "east -> west (zones)": {"missing": {"": "one of the zones has no node"}}}
    layout = {"taking_part": ["a", "b", "c", "d"], "left_out": {"e": "is not Ready"}}
    [plot, rtt] = collect({"network/cluster/prod": {"every": every, "layout": layout}})
    assert [(row["from"], row["to"], row["value"]) for row in plot["rows"]] == [("a", "b", 9e9), ("b", "c", None), ("zone east", "zone west", None)]
    assert plot["nodes"] == ["a", "b", "c", "d", "e"] and rtt["title"].startswith("Round trip")
    drawn = report_curves.plot(plot, [])
    assert drawn.count("? not measured") == 4 and "No pair has d, e, which were to take part." in drawn
    assert "2 of 3 pairs were not measured." in drawn and "A · is a pair that was not to be measured." in drawn
    assert all(f'<th scope="row">{name}</th>' in drawn for name in "abcde") and drawn.count("9 Gbit/s") == 2
    assert "3 of 3 pairs were not measured." in report_curves.plot(rtt, [])


def test_what_was_not_to_be_measured_is_no_matrix():
    assert collect({"network/cluster/prod": {"every": {"a -> b (nodes)": {"works": {"tcp": True}, "missing": {"host": "no host network"}}}}}) == []


def test_of_many_nodes_those_without_a_number_are_named():
    every = {f"n{number} -> n{number + 1} (nodes)": {"tcp": {"rate": 1e9 + number}} for number in range(20)}
    layout = {"taking_part": ["n0"], "left_out": {"gone": ""}}
    [plot, dummy] = collect({"network/cluster/prod": {"every": {**every, **failed("n20 -> n21")}, "layout": layout}})
    drawn = report_curves.plot(plot, [])
    assert "20 pairs; the worst 20:" in drawn and "1 pairs not measured:" in drawn and "No pair has gone, which was to take part." in drawn and ">n21<" in drawn


@pytest.mark.parametrize(
    ("document", "title"),
    [({"stress": STRESS}, "How far it carries"), ({"classes": {"fast": {"stress": STRESS}}}, "How far it carries fast")],
)
def test_a_stress_run_is_a_ramp_with_its_breaking_point(document, title):
    [plot] = collect({"storage/cluster/prod": document})
    assert (plot["kind"], plot["title"], plot["unit_of_rate"], plot["broke"], plot["said"]) == ("ramp", title, "bit/s", 4e8, STRESS["said"])
    assert [row["name"] for row in plot["rows"]] == ["a", "b"], "a step whose rate is not known is not drawn"
    assert plot["rows"][1] == {"name": "b", "phase": "ramp", "share": 2, "offered": 4e8, "rate": 3e8, "held": False, "broke_by": "slow"}


def test_steps_of_a_plan_are_a_ramp_where_they_differ():
    step = {"rate": 100, "latency": {"p99": 0.01}}
    document = {"plan": {"steps": [{"name": "a", "rate": 100}, {"name": "b", "rate": 200}]}, "a": step, "b": {**step, "rate": 180}}
    assert [plot["rows"] for plot in collect({"dns/cluster/prod": document})] == [
        [{"offered": 100, "rate": 100, "p99": 0.01}, {"offered": 200, "rate": 180, "p99": 0.01}]
    ]


def test_fsync_over_the_time_of_a_soak_is_one_plot_for_all_members():
    facts = {f"etcd/etcd{number}": {"soak": {"fsync": FSYNC}} for number in (1, 2)}
    facts["etcd/etcd3"] = {"soak": {"fsync": {**FSYNC, "over_time": FSYNC["over_time"][:1]}}}
    [plot] = collect(facts)
    assert (plot["kind"], plot["every"], [row["name"] for row in plot["rows"]]) == ("time", 3600, ["etcd1", "etcd2", "etcd3"])
    assert plot["rows"][2]["points"] == [FSYNC["over_time"][0], {"at": 3600, "p99": None}]


def test_stretches_and_members_without_a_number_are_drawn_as_not_measured():
    points = [{"at": 300.0 * number, "count": 9, "p99": [0.004, 0.008]} for number in (0, 1, 2, 3, 6, 7, 8, 9)]
    facts = {"etcd/etcd1": {"soak": {"fsync": {"every": 300.0, "stretches": 12, "over_time": points}}}, "etcd/etcd2": {"missing": {"soak": "lost"}}}
    [plot] = collect({**facts, "etcd/cluster/etcd": {"soak": {}}})
    assert [row["name"] for row in plot["rows"]] == ["etcd1", "etcd2"]
    gaps = [[one["at"] for one in row["points"] if one["p99"] is None] for row in plot["rows"]]
    assert gaps == [[1200.0, 1500.0, 3000.0, 3300.0], [300.0 * number for number in range(12)]]
    drawn = report_curves.plot(plot, [])
    assert "8 of 12 stretches of 300 s; the worst" in drawn and "0 of 12 stretches of 300 s: not measured" in drawn
    assert "A dashed box with ? was not measured." in drawn and drawn.count('class="gap"') == 3, "neighbours are one box"
    assert "8 of 12 measured" in drawn and "the whole is 60 min" in drawn


def test_a_member_without_any_point_is_drawn_where_a_certificate_has_it():
    drawn = report_curves.plot({"kind": "time", "every": 300, "rows": [{"name": "a", "points": FSYNC["over_time"]}, {"name": "lost", "points": []}]}, [])
    assert ">lost<" in drawn and drawn.count('class="gap"') == 1


def test_damaged_lengths_fill_no_memory():
    [plot] = collect({"etcd/etcd1": {"soak": {"fsync": {"every": 1e-9, "stretches": 1e300, "over_time": FSYNC["over_time"]}}}})
    assert len(plot["rows"][0]["points"]) == 2


def test_the_bounds_over_time_are_those_of_the_check_that_judges_it():
    [plot] = collect({"etcd/etcd1": {"soak": {"fsync": {**FSYNC, "over_time": [{"at": at, "count": 9, "p99": [0.004, 0.008]} for at in (0, 3600)]}}}})
    finding = {"id": "etcd_soak_fsync", "layer": "etcd", "unit": "s", "value": [0.004, 0.008], "target": "< 0.01", "critical": "< 0.025"}
    assert "The target is 10 ms." in report_curves.plot(plot, [finding])
    assert "The target is" not in report_curves.plot(plot, [{**finding, "id": "etcd_write"}, {**finding, "value": [0.1, 0.2]}])


KEYS = st.sampled_from([*STRESS, *STRESS["steps"][0], "stress", "soak", "fsync", "over_time", "every", "at", "plan", "classes", "a -> b"])
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


@settings(max_examples=60)
@given(JSON, st.sampled_from(["stress", "soak", "every", "plan", "classes"]))
def test_damaged_facts_draw_nothing_that_cannot_be_drawn(value, key):
    facts = {"etcd/etcd1": {key: value}, "etcd/cluster/etcd": {"stress": {**STRESS, "steps": [value, *STRESS["steps"]], "broke": value, "said": value}}}
    plots = collect(facts)
    for plot in json.loads(json.dumps(plots)):
        report_curves.plot(plot, [])
