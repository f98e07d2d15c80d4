# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import json
import pathlib

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils.parsers import iperf3
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers.common import ParseError

FIXTURES = pathlib.Path(__file__).parents[4] / "fixtures" / "iperf3"


def document(name):
    """Return the JSON of a fixture."""
    return json.loads((FIXTURES / name).read_text(encoding="utf-8"))


def change(data, path, value):
    """Return a copy of `data` with the value at `path` replaced, or removed when it is None."""
    data = copy.deepcopy(data)
    place = data
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return data


def refusal(data):
    """Return why a document is refused."""
    with pytest.raises(ParseError) as caught:
        iperf3.parse(json.dumps(data))
    return str(caught.value)


def test_iperf3_says_that_nothing_was_lost_where_nothing_arrived():
    data = document("udp-all-lost.json")
    assert data["end"]["sum"]["lost_percent"] == 0 and data["end"]["sum_received"]["bytes"] == 0
    udp = iperf3.parse(json.dumps(data))["udp"]
    assert (udp["packets"], udp["lost"], udp["loss"]) == (892, 892, 1.0)


@pytest.mark.parametrize(("overtaken", "arrived", "lost"), [(944, 34756, 944), (0, 34000, 1700), (700, 34000, 1700)])
def test_what_was_sent_and_did_not_arrive_is_lost(overtaken, arrived, lost):
    data = document("udp-loss.json")
    data["end"]["sum_received"].update({"packets": arrived + overtaken, "lost_packets": overtaken, "bytes": arrived * 1400})
    data["end"]["sum_received"]["bits_per_second"] = arrived * 1400 * 8 / data["end"]["sum_received"]["seconds"]
    udp = iperf3.parse(json.dumps(data))["udp"]
    assert udp["lost"] == lost and udp["loss"] == pytest.approx(lost / 35700)


def test_the_first_interval_may_be_omitted():
    data = document("tcp-omit.json")
    assert data["intervals"][0]["sum"]["omitted"] and iperf3.parse(json.dumps(data))["seconds"] == 0.996588


def test_an_interval_without_a_byte_is_the_slowest():
    data = document("tcp-sample.json")
    parts = [interval["sum"] for interval in data["intervals"]]
    parts[0]["bytes"] += parts[2]["bytes"]
    parts[2]["bytes"] = 0
    assert iperf3.parse(json.dumps(data))["slowest_interval"] == 0.0


@pytest.mark.parametrize("key", ["tcp_mss_default", "retransmits"])
def test_what_a_system_does_not_tell_is_unknown(key):
    path = ("start", key) if key == "tcp_mss_default" else ("end", "sum_sent", key)
    facts = iperf3.parse(json.dumps(change(document("tcp-sample.json"), path, None)))
    assert facts[key.replace("tcp_mss_default", "mss")] is None


SUM = ("end", "sum_received")


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        (("error",), "it broke\n", "iperf3 says 'it broke'."),
        (("start", "test_start", "protocol"), "SCTP", "the protocol is 'SCTP', not TCP or UDP."),
        (("start", "test_start", "num_streams"), 2, "2 streams were to run, 1 have a result."),
        (("start", "test_start", "duration"), 5, "it was to run for 5 s, but its intervals end at 4.00016 s."),
        (("start", "test_start", "duration"), 0, "it did not run for a time (-t)."),
        (("end",), {}, "sum_sent is 'None', not an object."),
        ((*SUM, "bits_per_second"), 1e9, "sum_received says 1e+09 bit/s, but 10178920448 bytes in 4.00565 s are 2.03291e+10 bit/s."),
        ((*SUM, "seconds"), 0, "sum_received took 0 s."),
        ((*SUM, "bytes"), "much", "bytes of sum_received is 'much', not a whole number from 0 on."),
        (("end", "streams", 0, "receiver", "bytes"), 1, "sum_received has 10178920448 bytes, its streams 1."),
        (("intervals", 1), None, "an interval from 2.00022 s to 3.00012 s follows on 1.00131 s."),
        (("intervals", 3), None, "it was to run for 4 s, but its intervals end at 3.00012 s."),
        (("intervals", 1, "sum", "bytes"), 1, "the intervals have 7738884097 bytes, sum_sent has 10209591296."),
        (("intervals", 1, "sum"), None, "sum of an interval is 'None', not an object."),
        (("end", "cpu_utilization_percent"), None, "cpu_utilization_percent is 'None', not an object."),
    ],
)
def test_contradictions(path, value, error):
    assert refusal(change(document("tcp-sample.json"), path, value)) == error


def test_intervals_that_are_too_short_for_a_rate_are_refused():
    short = change(document("tcp-sample.json"), ("start", "test_start", "duration"), 0.02)
    short["intervals"] = [{"sum": {"start": 0, "end": 0.03, "bytes": short["end"]["sum_sent"]["bytes"]}}]
    assert refusal(short) == "no interval is longer than 0.05 s."


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        ((*SUM, "packets"), 30000, "29056 packets of 1400 bytes arrived, but sum_received has 48658400 bytes."),
        ((*SUM, "lost_packets"), 40000, "-4300 packets of 1400 bytes arrived, but sum_received has 48658400 bytes."),
        (("end", "sum_sent", "packets"), 0, "packets of sum_sent is '0', not a whole number from 1 on."),
        (("end", "streams", 0, "udp"), None, "udp of a stream is 'None', not an object."),
    ],
)
def test_contradictions_of_udp(path, value, error):
    assert refusal(change(document("udp-loss.json"), path, value)) == error


def test_nothing_arrived_over_tcp():
    data = document("tcp-sample.json")
    for part in (data["end"]["sum_received"], data["end"]["streams"][0]["receiver"]):
        part.update({"bytes": 0, "bits_per_second": 0})
    assert refusal(data) == "10209591296 bytes were sent and 0 arrived."


def test_two_documents_are_refused():
    text = (FIXTURES / "udp.json").read_text(encoding="utf-8")
    with pytest.raises(ParseError, match=r"it goes on after its JSON with '\{"):
        iperf3.parse(text + text)
