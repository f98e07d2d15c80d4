# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import math
import pathlib
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import network_state
from ansible_collections.kubeproof.certify.plugins.module_utils.network_state import StateError, facts_of, programmed

RECORDED = pathlib.Path(__file__).parents[3] / "fixtures/network"
HOST = (RECORDED / "look-host.txt").read_text(encoding="utf-8")
IPTABLES = """
# TYPE kubeproxy_sync_proxy_rules_iptables_total gauge
kubeproxy_sync_proxy_rules_iptables_total{ip_family="IPv4",table="filter"} 12
kubeproxy_sync_proxy_rules_iptables_total{ip_family="IPv4",table="nat"} 300
kubeproxy_sync_proxy_rules_iptables_total{ip_family="IPv6",table="nat"} 8
"""


def answer(**sections):
    return "".join(f"== {name}\n{text}\n" for name, text in sections.items()) + "== end\n"


def test_what_a_node_of_the_lab_says():
    found = facts_of(HOST)
    assert found["sockperf"] == "3.7" and found["proxy"]["mode"] == "nftables" and "rules" not in found["proxy"]
    assert found["conntrack"]["max"] == 262144 and 0 < found["conntrack"]["count"] < 5000 and found["conntrack"]["failed"] >= 0
    buckets = found["proxy"]["programming"]
    assert buckets[-1][0] is None and [count for dummy, count in buckets] == sorted(count for dummy, count in buckets)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (answer(), {}),
        (answer(table="nf_conntrack_count 5"), {"conntrack": {"count": 5}}),
        (answer(table="nf_conntrack_count 5\nnf_conntrack_max 100"), {"conntrack": {"count": 5, "max": 100}}),
        (answer(table="nf_conntrack_count many\nnf_conntrack_max 100"), {"conntrack": {"max": 100}}),
        (answer(statistics="entries  drop early_drop\n0000000a 00000010 00000001\n0000000b 00000002 00000000"), {"conntrack": {"failed": 19}}),
        (answer(statistics="entries  drop early_drop\n0000000a"), {}),
        (answer(table="nf_conntrack_count absent\nnf_conntrack_max absent"), {"conntrack": {"loaded": False}}),
        (answer(table="nf_conntrack_count absent"), {}),
        (answer(sockperf="sockperf, version 3.10-0.git5ebd327da983\n   compiled 2023"), {"sockperf": "3.10"}),
        (answer(sockperf="sh: sockperf: not found"), {}),
        (answer(mode="ipvs"), {"proxy": {"mode": "ipvs"}}),
        (answer(mode="<html>404</html>"), {}),
        (answer(mode="iptables", metrics=IPTABLES.strip()), {"proxy": {"mode": "iptables", "rules": 320}}),
        (answer(mode="iptables", metrics="kubeproxy_sync_proxy_rules_iptables_total{ 3"), {"proxy": {"mode": "iptables"}}),
    ],
)
def test_answers(text, expected):
    assert facts_of(text) == expected


@pytest.mark.parametrize("text", ["", "== table\nnf_conntrack_count 5\n", HOST[: len(HOST) // 2], HOST + "more\n"])
def test_an_answer_without_its_end_is_refused(text):
    with pytest.raises(StateError):
        facts_of(text)


@given(st.text(max_size=200))
def test_any_text_is_refused_or_gives_facts(text):
    facts = facts_of(answer(table=text, statistics=text, sockperf=text, mode=text, metrics=text))
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


def look(*counts, start=1.0):
    return {"proxy": {"start": start, "programming": [[bound, count] for bound, count in zip([0.5, 1.0, None], counts)]}}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": look(0, 0, 0)}, {"a": look(0, 0, 0)}, {"count": 0}),
        ({"a": look(5, 5, 5), "b": look(1, 1, 1)}, {"a": look(6, 9, 9), "b": look(1, 2, 3)}, {"count": 6, "p50": [0.5, 1.0], "p99": [1.0, None]}),
        ({"a": look(5, 5, 5)}, {"a": look(1, 1, 1, start=2.0)}, {}),
        ({"a": look(5, 5, 5)}, {"a": look(1, 1, 1)}, {}),
        ({"a": look(5, 5, 5), "b": {}}, {"a": look(6, 9, 9)}, {}),
        ({"a": look(5, 5, 5)}, {"a": {"error": "gone"}}, {}),
        ({"a": {"proxy": {"start": 1.0, "programming": [[2.0, 1], [None, 1]]}}}, {"a": look(6, 9, 9)}, {}),
    ],
)
def test_what_was_programmed_between_two_looks(before, after, expected):
    assert programmed(before, after) == expected


def test_the_script_is_shell_and_its_answer_is_read():
    done = subprocess.run(["sh", "-c", network_state.LOOK, "sh", "pod"], capture_output=True, text=True, check=True)
    assert "mode" not in network_state.sections(done.stdout) and "proxy" not in facts_of(done.stdout)


@pytest.mark.parametrize(
    ("files", "table"),
    [
        ({"nf_conntrack_count": "5", "nf_conntrack_max": "100"}, {"count": 5, "max": 100}),
        # Other parts of netfilter are there.
        ({"nf_log_all_netns": "0"}, {"loaded": False}),
        ({"nf_conntrack_max": "100"}, {"max": 100}),
        # Nothing is said of a system that shows no settings of the network.
        (None, {}),
    ],
)
def test_a_table_that_is_not_loaded_is_told_from_one_that_cannot_be_read(tmp_path, files, table):
    if files is not None:
        (tmp_path / "netfilter").mkdir()
    for name, text in (files or {}).items():
        (tmp_path / "netfilter" / name).write_text(f"{text}\n")
    place = tmp_path if files is not None else tmp_path / "none"
    script = network_state.LOOK.replace("/proc/sys/net", str(place)).replace("/proc/net/stat", str(tmp_path))
    done = subprocess.run(["sh", "-c", script, "sh", "pod"], capture_output=True, text=True, check=True)
    assert facts_of(done.stdout).get("conntrack", {}) == table


def test_buckets_come_back():
    assert network_state.buckets_of([[1.0, 2], [None, 3]]) == [(1.0, 2), (math.inf, 3)]
