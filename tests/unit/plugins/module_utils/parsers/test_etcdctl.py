# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils.parsers import common, etcdctl

HEADER = {"cluster_id": 7, "member_id": 17, "revision": 3, "raft_term": 2}
STATUS = {"header": HEADER, "version": "3.5.21", "dbSize": 4096, "leader": 17, "raftTerm": 2}
# The lines of a failed check perf are those of etcdctl's source; check-perf-slow is a recorded one.
FAILED = (
    "FAIL: too many errors\nFAIL: ERROR(etcdserver: too many requests) -> 12\nFAIL: ERROR(context deadline exceeded) -> 3\n"
    "FAIL: Throughput too low: 88 writes/s\nPASS: Slowest request took 0.150429s\nPASS: Stddev is 0.007471s\nFAIL\n"
)
PASSED = "PASS: Throughput is 151 writes/s\nPASS: Slowest request took 0.150429s\nPASS: Stddev is 0.007471s\nPASS\n"


def status(*endpoints):
    """Return endpoint status's JSON of [{key: value}] that change STATUS."""
    return json.dumps([{"Endpoint": f"https://e{index}:2379", "Status": {**STATUS, **changes}} for index, changes in enumerate(endpoints)])


@pytest.mark.parametrize(
    ("endpoints", "leader"),
    [
        ([{}], "https://e0:2379"),
        ([{"leader": 99}, {}], None),
        ([{}, {}], None),
        ([{"leader": 0}], None),
        ([{}, {"header": {**HEADER, "member_id": 18}}], "https://e0:2379"),
    ],
)
def test_leader_is_named_when_all_agree(endpoints, leader):
    assert etcdctl.parse(status(*endpoints)).get("leader") == leader


def test_what_a_status_lacks_is_absent():
    facts = etcdctl.parse(status({"leader": 0}))["endpoints"]["https://e0:2379"]
    assert not {"leader_id", "db_quota", "db_size_in_use", "raft_index"} & set(facts)
    assert (facts["leader"], facts["learner"], facts["errors_count"]) == (False, False, 0)


def test_large_ids_stay_exact():
    facts = etcdctl.parse(status({"header": {**HEADER, "member_id": 2**64 - 1}, "leader": 2**64 - 1}))
    assert facts["endpoints"]["https://e0:2379"]["leader_id"] == "f" * 16


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (status({"dbSize": "4096"}), "dbSize is '4096', not a whole number from 0 on."),
        (status({"dbSize": True}), "dbSize is 'True', not a whole number from 0 on."),
        (status({"dbSize": -1}), "dbSize is '-1', not a whole number from 0 on."),
        (status({"dbSize": 1.5}), "dbSize is '1.5', not a whole number from 0 on."),
        (status({"dbSizeInUse": 9999}), "the database uses 9999 bytes of only 4096."),
        (status({"version": None}), "version is 'None', not a printable name."),
        (status({"errors": {}}), "errors is '{}', not an array."),
        (status({}, {"header": {**HEADER, "cluster_id": 8}}), "the endpoints belong to different clusters."),
        (status({}).replace("e0:2379", "e0\\ud8002379"), "the name of an endpoint is 'https://e0\\ud8002379', not a printable name."),
        ("[]", "no endpoint answered."),
        ("[1]", "an endpoint is '1', not an object."),
        ('[{"x": 1}]', "the JSON is an array, but neither of endpoint status nor of endpoint health."),
        ('{"x": 1}', "the JSON has 'x': not an endpoint status, endpoint health, member list or alarm list."),
        ("[" + "[" * 100000, None),
        (status({})[:-5], None),
        (status({}) + "{}", "there is more after the JSON: '{}'."),
        ('{"header": {"cluster_id": 1}, "members": []}', "the list of members is empty."),
        ('{"header": {"cluster_id": 1}, "alarms": [{"memberID": 1}]}', "alarm is 'None', not a whole number from 1 on."),
        ('[{"endpoint": "e", "health": "true", "took": "1ms"}]', "health is 'true', not true or false."),
        ('[{"endpoint": "e", "health": true, "took": "1ms", "error": "x"}]', "an endpoint is healthy with the error 'x'."),
        ('[{"endpoint": "e", "health": true, "took": "soon"}]', "took is 'soon', not a duration."),
        (PASSED.replace("\nPASS\n", "\nFAIL\n"), "its verdict contradicts its lines."),
        (FAILED.replace("FAIL: too many errors\n", ""), "its verdict contradicts its lines."),
        (FAILED.replace("\nFAIL\n", "\n"), None),
        (PASSED.replace("PASS: Stddev is 0.007471s\n", ""), "the line with the stdev is there 0 times in this check perf."),
        ("Error: context deadline exceeded", "it is neither JSON nor a finished check perf; it ends with 'Error: context deadline exceeded'."),
    ],
)
def test_refused(text, error):
    with pytest.raises(common.ParseError) as caught:
        etcdctl.parse(text)
    assert error is None or str(caught.value) == error


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        (FAILED, {"passed": False, "rate": 88.0, "latency": {"max": 0.150429, "stdev": 0.007471}, "errors": 15, "cleanup": True}),
        (
            "FAIL: Cleanup failed during key deletion: ERROR(context deadline exceeded)\n" + PASSED,
            {"passed": True, "rate": 151.0, "latency": {"max": 0.150429, "stdev": 0.007471}, "errors": 0, "cleanup": False},
        ),
        # 3.5 draws its progress bar on standard output.
        (
            "\r 0 / 60 Booo 0.00%\r 60 / 60 Booo! 100.00% 1m0s" + PASSED,
            {"passed": True, "rate": 151.0, "latency": {"max": 0.150429, "stdev": 0.007471}, "errors": 0, "cleanup": True},
        ),
    ],
)
def test_check_perf(text, facts):
    assert etcdctl.parse(text) == facts


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2.37ms", 0.00237), ("1m2.5s", 62.5), ("180µs", 0.00018), ("180μs", 0.00018), ("15us", 1.5e-05), ("7ns", 7e-09), ("1h0m0s", 3600.0), ("0s", 0.0)],
)
def test_go_durations(text, seconds):
    assert common.duration(text, "took") == seconds


@pytest.mark.parametrize("text", ["", "1", "ms", "1 ms", "-1ms", "1ms ", "1e3s", 5, None, "1" * 100 + "s"])
def test_not_durations(text):
    with pytest.raises(common.ParseError):
        common.duration(text, "took")


def test_unknown_alarm_is_still_an_alarm():
    text = '{"header": {"cluster_id": 1}, "alarms": [{"memberID": 255, "alarm": 9}, {"memberID": 1, "alarm": 2}]}'
    assert etcdctl.parse(text) == {"alarms": [{"member_id": "ff", "alarm": "alarm 9"}, {"member_id": "1", "alarm": "CORRUPT"}], "alarms_count": 2}
