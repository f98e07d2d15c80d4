# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run says while it runs, and how that looks in the columns and characters that there are."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils.human import cells
from ansible_collections.kubeproof.certify.plugins.plugin_utils import progress
from ansible_collections.kubeproof.certify.plugins.plugin_utils import progress_terminal as terminal

RUN = {"id": "r1", "profile": "smoke", "cluster": {"name": "prod"}, "hosts": {"etcd": ["a", "b"], "kube_node": ["b", "c"]}}
TIMES = {"seconds": 500, "load": 400, "layers": [{"layer": "etcd", "load": 110, "seconds": 144}]}
PLAN = {"layers": ["etcd", "dns"], "beside": ["tuning"], "times": TIMES, "steps": {"etcd": {"write": 20, "read": 5}, "dns": {}}}
FINDING = {"id": "etcd_a", "layer": "etcd", "title": "Write P99", "scope": "host", "host": "a", "value": 0.06, "unit": "s", "target": "< 0.025",
           "critical": "< 0.05", "result": "FAIL", "judged": True, "reason": ""}  # fmt: skip


def texts(lines):
    return [f"{line.label}: {line.text}" for line in lines]


def planned():
    state = progress.Progress(0)
    state.planned(RUN, PLAN)
    return state


def record(*findings, **more):
    return {"clusters": ["etcd"], "seconds": 12.3, "verdict": {"verdict": "FAIL"}, "findings": list(findings), **more}


def judged(state, done, now):
    """Return what is told of layers whose findings stand in their records here."""
    return state.judged(
        {layer: {key: value for key, value in one.items() if key != "findings"} for layer, one in done.items()},
        {layer: one.get("findings") for layer, one in done.items()},
        now,
    )


def test_the_plan_is_told_once():
    state = progress.Progress(0)
    assert texts(state.planned(RUN, PLAN)) == ["run: r1: prod, profile smoke, 3 hosts, tuning, etcd, dns; about 8 min 20 s"]
    assert state.planned(RUN, PLAN) == []


def test_a_plan_without_times_says_nothing_of_them():
    state = progress.Progress(0)
    state.planned(RUN, {"layers": ["etcd"]})
    state.play("Certify etcd", ["etcd"], 0)
    assert texts(state.started("x", 1)) == ["etcd: Certify etcd"]
    assert state.share(100) is None and state.status(100)[-1] == "run 1:40"


def test_a_play_is_told_with_its_first_task():
    state = planned()
    state.play("Certify etcd", ["etcd"], 0)
    assert texts(state.started("Layer | Begin", 1)) == ["etcd: Certify etcd; about 2 min 24 s"]
    assert state.started("Layer | Measure", 2) == []


@pytest.mark.parametrize(("tags", "said"), [(["dns"], ["dns: Play: skipped, no host matches"]), (["ingress"], []), (["always"], [])])
def test_only_a_chosen_layer_without_hosts_is_told(tags, said):
    state = planned()
    state.play("Play", tags, 0)
    assert texts(state.nobody()) == said


def test_steps_that_tasks_stand_in():
    state = planned()
    state.play("Certify DNS", ["dns"], 0)
    assert texts(state.within({"dns_step": {"name": "pods", "rate": 500, "seconds": 4}}, 1)) == ["dns: pods at 500/s for 4 s"]
    assert state.within({"dns_step": {"name": "pods"}}, 2) == []
    state.measured({"facts": {"rate": 498.2, "latency": {"p99": [0.001, 0.002]}, "failed": 1, "lost": 2}})
    state.measured({"facts": {"ready": True}})
    assert texts(state.within({"dns_step": {"name": "service"}}, 9)) == ["dns: pods: 8 s, 498/s, P99 1-2 ms, 3 errors", "dns: service"]
    assert texts(state.within({}, 10)) == ["dns: service: 1 s"]
    assert state.within({}, 11) == []


def test_steps_that_one_task_runs():
    state = planned()
    state.play("Certify etcd", ["etcd"], 0)
    state.started("Load | Run a step", 0)
    assert texts(state.next_step(0)) == ["etcd: write for 20 s"]
    assert state.status(12) == ["etcd 2/3", "write", "0:12/0:20", "run 0:12/8:20"]
    assert texts(state.told({"name": "write"}, {"facts": {"rate": 110.2, "errors": 0}}, 21)) == ["etcd: write: 21 s, 110/s, no errors", "etcd: read for 5 s"]
    assert texts(state.told({"name": "read"}, {}, 27)) == ["etcd: read: 6 s"]
    assert texts(state.next_step(30)) == ["etcd: write for 20 s"], "a task that repeats its steps begins again"


def test_steps_of_a_ramp():
    """Its tasks stand in no loop over steps, and hand their step on as a template."""
    state = planned()
    state.play("Certify etcd", ["etcd"], 0)
    step = {"name": "ramp-125", "rate": 125, "seconds": 20}
    assert texts(state.ramped({"certify_step": step, "certify_step_error": ""}, 1)) == ["etcd: ramp-125 at 125/s for 20 s"]
    state.started("Stress | Run a step", 2)
    assert state.within({"etcd_step": "{{ certify_step }}"}, 2) == [] and state.ramped({"etcd_stressed": []}, 3) == []
    assert state.next_step(2) == [] and state.told({"name": "ramp-125"}, {"runs": {"pod": {"facts": {"rate": 124.6, "errors": 2}, "seconds": 20}}}, 22) == []
    assert state.status(11) == ["etcd 2/3", "ramp-125 125/s", "0:10/0:20", "run 0:11/8:20"]
    assert texts(state.ramped({"certify_step_ended": "22.5"}, 22)) == ["etcd: ramp-125: 21 s, 125/s, 2 errors"]
    assert state.within({}, 23) == [] and state.ramped({"certify_step_ended": "22.5"}, 23) == []


def test_a_step_that_no_plan_has_is_told_when_it_has_ended():
    state = planned()
    state.play("Certify DNS", ["dns"], 0)
    state.started("Load | Run a step", 2)
    assert state.next_step(2) == []
    assert texts(state.told({"name": "one"}, {}, 6)) == ["dns: one: 4 s"]
    assert texts(state.told({"name": "two"}, {}, 11)) == ["dns: two: 5 s"]


def test_of_several_clusters_each_is_named():
    state = planned()
    state.play("Certify etcd", ["etcd"], 0)
    assert state.within({"etcd_name": "etcd"}, 1) == []
    assert texts(state.within({"etcd_name": "events"}, 2)) == ["etcd: and now events"]


def test_results_as_they_are_judged():
    state = planned()
    nothing = {**FINDING, "value": None, "result": "INCONCLUSIVE", "reason": "no answer"}
    missing = [{**nothing, "id": f"etcd_m{number}", "title": f"M{number}"} for number in range(5)]
    passed = {**FINDING, "id": "etcd_p", "result": "PASS"}
    aside = {**FINDING, "id": "etcd_i", "judged": False}
    done = {"etcd": record(FINDING, {**FINDING, "host": "b"}, *missing, passed, aside, load_seconds=4)}
    assert texts(judged(state, done, 1)) == [
        "etcd: FAIL: 1 FAIL, 5 INCONCLUSIVE, 1 PASS, 1 indicative, took 12.3 s, load 4 s",
        "etcd:   FAIL Write P99: 60 ms, target < 25 ms, critical < 50 ms (a, 2 such)",
        "etcd:   not measured 5 checks: no answer",
    ]
    assert judged(state, done, 2) == []
    later = {"etcd": {**done["etcd"], "error": "b had no turn"}, "dns": {"error": "no host"}}
    assert texts(judged(state, later, 3)) == ["etcd: b had no turn", "dns: no host"]


def test_what_was_not_measured_is_told_beside_what_failed():
    state = planned()
    lost = {**FINDING, "value": None, "result": "INCONCLUSIVE", "reason": "the host was lost"}
    open_one = {**FINDING, "host": "e", "value": [0.02, 0.06], "result": "INCONCLUSIVE", "reason": "straddles"}
    rows = [FINDING, *({**lost, "host": host} for host in "bcd"), open_one]
    assert texts(judged(state, {"etcd": record(*rows)}, 1))[1:] == [
        "etcd:   FAIL Write P99: 60 ms, target < 25 ms, critical < 50 ms (a)",
        "etcd:   INCONCLUSIVE Write P99: 20-60 ms, target < 25 ms, critical < 50 ms (e)",
        "etcd:   3 of 5 not measured Write P99 (b, c, d): the host was lost",
    ]


def test_many_checks_of_a_lost_host_are_one_line_with_the_host():
    rows = [{**FINDING, "id": f"etcd_{number}", "result": "PASS"} for number in range(5)]
    rows += [{**row, "host": "b", "value": None, "result": "INCONCLUSIVE", "reason": "lost"} for row in rows]
    assert texts(judged(planned(), {"etcd": record(*rows)}, 1))[1:] == ["etcd:   not measured 5 checks at b: lost"]


def test_of_several_clusters_the_one_that_failed_is_named():
    state = planned()
    rows = [{**FINDING, "scope": "cluster", "host": "events"}, {**FINDING, "scope": "cluster", "host": "main", "result": "PASS"}]
    assert texts(judged(state, {"etcd": record(*rows)}, 1))[1] == "etcd:   FAIL Write P99: 60 ms, target < 25 ms, critical < 50 ms (events)"


def test_what_a_resumed_run_takes_over_is_told_once():
    state = planned()
    done = {"etcd": record(FINDING)}
    assert texts(state.taken(done)) == ["etcd: taken over: FAIL"]
    assert judged(state, done, 1) == []


def test_many_misses_are_cut_and_counted():
    rows = [{**FINDING, "id": f"etcd_{number}"} for number in range(40)]
    lines = judged(planned(), {"etcd": record(*rows)}, 1)
    assert len(lines) == 1 + progress.MOST_CHECKS + 1 and lines[-1].text.strip() == f"and {40 - progress.MOST_CHECKS} more: see the certificate"


def test_a_failure_names_every_host_and_the_whole_message():
    line = progress.failed("etcd", [f"node{number}" for number in range(50)], "kubeproof.certify.etcd : Load | Run", "a\n\x1b[31m" + "b" * 5000)
    assert all(f"node{number}" in line.text for number in range(50)) and line.text.endswith("b" * 5000)
    assert "\x1b" not in line.text and ": Run: a" in line.text
    assert progress.failed("run", ["localhost"], "x", "y").text == "failed: x: y"


def test_hosts_that_fail_alike_are_one_line():
    told = {f"node{number}": f"node{number} cannot be reached: node{number}.example refused" for number in (1, 2)}
    assert len({progress.nameless(message, host) for host, message in told.items()}) == 2, "another name is another message"
    told = {f"node{number}": f"node{number} cannot be reached by node{number}." for number in (2, 1)}
    assert len({progress.nameless(message, host) for host, message in told.items()}) == 1
    assert progress.alike("etcd", told, "Load | Look", "failed").text == "failed at node1, node2: Look: each cannot be reached by each."
    assert progress.alike("etcd", {"node1 -> a": "node1 is gone"}, "Look", "failed").text == "failed at node1 -> a: Look: node1 is gone"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, []),
        ({"rate": 3505.46, "errors": 0, "latency": {"p99": 0.0305}}, ["3,505/s", "P99 30.5 ms", "no errors"]),
        ({"rate": 60, "errors": {"transport": 29, "server": 14}}, ["60/s", "43 errors"]),
        ({"rate": 5.0, "failed": 0, "latency": {"present": {"p99": [5, None]}}}, ["5/s", "P99 > 5 s", "no errors"]),
        ({"rate": None, "latency": {"p99": "nan"}, "errors": "many"}, []),
        ({"runs": {"a": {"error": ""}, "b": {"error": "refused"}}}, ["2 measurements, 1 failed"]),
    ],
)
def test_what_a_tool_says_of_a_step(facts, said):
    assert progress.summary(facts) == said


@pytest.mark.parametrize(
    ("seconds", "said", "shown"),
    [(0, "0 s", "0:00"), (0.04, "0.0 s", "0:00"), (4.26, "4.3 s", "0:04"), (20, "20 s", "0:20"), (59.7, "1 min", "0:59"), (92, "1 min 32 s", "1:32"),
     (3600, "1 h", "1:00:00"), (7500, "2 h 5 min", "2:05:00"), (86400, "24 h", "24:00:00")],
)  # fmt: skip
def test_times(seconds, said, shown):
    assert (progress.duration(seconds), progress.clock(seconds)) == (said, shown)


# How it looks ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "encoding", "expected"),
    [
        ({"LANG": "de_DE.UTF-8"}, "utf-8", True),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, "utf-8", False),
        ({"LC_CTYPE": "en_US.UTF-8"}, "utf-8", True),
        ({"LC_ALL": "C.UTF-8", "LANG": "C"}, "utf-8", True),
        ({"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, "utf-8", False),
        ({"LANG": "en_US.UTF-8"}, "ascii", False),
        ({}, None, False),
    ],
)
def test_when_more_than_ascii_may_be_written(environment, encoding, expected):
    assert terminal.speaks_unicode(environment, encoding) is expected


def test_without_a_terminal_a_line_is_whole_and_has_its_day():
    line = progress.Line("etcd", "x" * 300)
    assert terminal.written(line, 0, None, True) == f"1970-01-01T00:00:00Z etcd       {'x' * 300}"
    assert terminal.written(progress.Line("etcd", "5 µs …"), 0, None, False).endswith("5 us ...")


@pytest.mark.parametrize("width", [20, 40, 59, 60, 80, 200])
def test_at_a_terminal_lines_are_folded(width):
    text = terminal.written(progress.Line("apiserver", "  FAIL Write P99: 60 ms, target < 25 ms, critical < 50 ms (etcd1, 3 such)"), 0, width, True)
    assert all(cells(one) <= width for one in text.split("\n"))
    assert " ".join(text.split()).endswith("FAIL Write P99: 60 ms, target < 25 ms, critical < 50 ms (etcd1, 3 such)")


@pytest.mark.parametrize(
    ("width", "unicode", "expected"),
    [
        (80, True, "━━━━━━──────  50% etcd 2/7 write_all 110/s  0:12/0:20  run 1:32/8:20"),
        (80, False, "======------  50% etcd 2/7 write_all 110/s  0:12/0:20  run 1:32/8:20"),
        (40, True, "etcd 2/7 write_all 110/s  0:12/0:20"),
        (24, True, "etcd 2/7 write_all 110/s"[:22] + "…"),
        (24, False, "etcd 2/7 write_all 1..."),
    ],
)
def test_the_line_that_moves(width, unicode, expected):
    found = terminal.status(["etcd 2/7", "write_all 110/s", "0:12/0:20", "run 1:32/8:20"], 0.5, width, unicode)
    assert found == expected


def test_without_unicode_a_long_name_leaves_the_clocks_whole():
    what = "Writes, through the leader … of the members → of the other …, and µs of them"
    found = terminal.status(["etcd 1/6", what, "0:15/0:20", "run 0:55/1:29"], 0.6, 80, False)
    assert found.endswith("...  0:15/0:20  run 0:55/1:29") and len(found) < 80


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a long na… | 5 µs", "a long ... | 5 us"), ("…", "..."), ("a…", "a..."), ("b\nab…", "b\n..."), ("a → b", "a -> b"), ("plain", "plain")],
)
def test_columns_stay_where_a_text_was_cut(text, expected):
    assert terminal.in_columns(text, False) == expected and terminal.in_columns(text, True) == text


@given(st.lists(st.text(max_size=60), min_size=4, max_size=4), st.one_of(st.none(), st.floats(0, 1)), st.integers(8, 200), st.booleans())
def test_the_line_that_moves_has_room(parts, share, width, unicode):
    parts = [progress.clean(part) for part in parts]
    found = terminal.status(parts, share, width, unicode)
    assert cells(found) < width and "\n" not in found and (unicode or found.isascii())


class Screen:
    """A terminal of one line that moves: what was written for good, and what is shown now."""

    def __init__(self, moves=True):
        self.kept, self.now = [], ""
        raw = self.raw if moves else None
        self.terminal = terminal.Terminal(lambda text, tone: self.kept.append(self.now + text), raw, threading.RLock(), lambda: 80, True)

    def raw(self, text):
        self.now = text.rpartition(terminal.CLEAR)[2]


def test_lines_stand_above_the_one_that_moves():
    screen = Screen()
    screen.terminal.draw(["etcd", "write", "0:01", "run 0:01"], None)
    assert screen.now == "etcd write  0:01  run 0:01"
    screen.terminal.lines([progress.Line("etcd", "done")])
    assert screen.now == "" and screen.kept[0].endswith(" etcd       done")


def test_without_a_terminal_nothing_moves():
    screen = Screen(moves=False)
    screen.terminal.draw(["etcd", "write", "0:01", "run 0:01"], None)
    screen.terminal.clear()
    assert screen.now == "" and screen.kept == []
