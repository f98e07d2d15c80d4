# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import math
import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils.parsers import sockperf
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers.common import ParseError

FIXTURES = pathlib.Path(__file__).parents[4] / "fixtures" / "sockperf"
TEXT = (FIXTURES / "ping-pong-sample.out").read_text(encoding="utf-8")
SHARES = (("p50", 50), ("p90", 90), ("p99", 99), ("p999", 99.9), ("p9999", 99.99))


def refusal(text):
    """Return why an output is refused."""
    with pytest.raises(ParseError) as caught:
        sockperf.parse(text)
    return str(caught.value)


def printed(values, dropped=0):
    """Return what sockperf prints for these observations in ns."""
    ordered, count = sorted(values), len(values)
    points = [ordered[max(round(percent * count / 100), 1) - 1] for percent in (99.999, 99.99, 99.9, 99, 90, 75, 50, 25)]
    labels = ["percentile 99.999", "percentile 99.990", "percentile 99.900", "percentile 99.000", "percentile 90.000", "percentile 75.000",
              "percentile 50.000", "percentile 25.000"]  # fmt: skip
    points = [("<MAX> observation", ordered[-1]), *zip(labels, points), ("<MIN> observation", ordered[0])]
    return "\n".join([
        "sockperf: == version #3.7-no.git == ", "[ 0] IP = 127.0.0.1       PORT = 11111 # UDP",
        "sockperf: [Total Run] RunTime=4.000 sec; Warm up time=400 msec; SentMessages=1; ReceivedMessages=1",
        f"sockperf: [Valid Duration] RunTime=3.550 sec; SentMessages={count + dropped}; ReceivedMessages={count}",
        f"sockperf: ====> avg-rtt={sum(values) / count / 1000:.3f} (std-dev=1.000)",
        f"sockperf: # dropped messages = {dropped}; # duplicated messages = 0; # out-of-order messages = 0",
        f"sockperf: Total {count} observations; each percentile contains {count / 100:.2f} observations",
        *(f"sockperf: ---> {label} = {value / 1000:.3f}" for label, value in points), "",
    ])  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=300), st.integers(0, 20))
def test_percentiles_are_at_most_one_observation_off(values, dropped):
    rtt = sockperf.parse(printed(values, dropped))["rtt"]
    ordered = sorted(values) + [math.inf] * dropped
    for key, percent in SHARES:
        at = max(math.ceil(round(percent * len(ordered) / 100, 6)), 1) - 1
        near, exact = ordered[max(at - 1, 0)] / 1e9, ordered[at] / 1e9
        low, high = rtt[key] if isinstance(rtt[key], list) else (rtt[key], rtt[key])
        assert low <= exact * (1 + 1e-9) and (high is None or near <= high * (1 + 1e-9))
        assert exact < math.inf or high is None
    assert rtt["samples"] == len(values)


def test_its_percentiles_are_those_of_its_log():
    """Values of --full-log of that very run, at the ranks 51720 (99.0) and 52190 (99.9) of 52243."""
    rtt = sockperf.parse((FIXTURES / "full-log.out").read_text(encoding="utf-8"))["rtt"]
    assert rtt["p99"] == pytest.approx(18.182e-6, abs=2e-9) and rtt["p999"] == pytest.approx(985.269e-6, abs=2e-9)


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("avg-rtt", "avg-latency", "it has half of the round trip times: run it with --full-rtt."),
        ("ReceivedMessages=190700", "ReceivedMessages=190699",
         "190700 messages were sent, 190699 received, 0 dropped and 190700 observed, which is no ping-pong."),
        ("SentMessages=190700", "SentMessages=190702", "190702 messages were sent, 190700 received, 0 dropped and 190700 observed, which is no ping-pong."),
        ("Total 190700 obs", "Total 0 obs", "190700 messages were sent, 190700 received, 0 dropped and 0 observed, which is no ping-pong."),
        ("RunTime=3.550", "RunTime=1.000", "messages went to and fro for 1 s only, of 3.55 s: for the rest one had no answer."),
        ("avg-rtt=18.559", "avg-rtt=9.559", "its percentiles and its average are not in order."),
        ("99.000 =   36.295", "99.000 =   96.295", "its percentiles and its average are not in order."),
        ("percentile 99.000", "percentile 98.000", "its percentiles are not complete."),
        ("percentile 50.000 =   17.365", "percentile 50.000 =   nan", "its percentiles are not complete."),
        ("# dropped", "dropped", "its numbers of dropped messages is missing; it begins with 'sockperf: == version #3.7-no.git == \\n"
         "sockperf[CLIENT] send on:sockperf: using re…'."),
    ],
)  # fmt: skip
def test_refused(old, new, error):
    assert TEXT.count(old) == 1 and refusal(TEXT.replace(old, new)) == error


def test_several_servers_are_refused():
    assert refusal(TEXT + TEXT).startswith("its version is there several times; ")


def test_the_last_message_may_have_no_answer():
    facts = sockperf.parse(TEXT.replace("SentMessages=190700", "SentMessages=190701"))
    assert facts["lost"] == 1 and facts["rtt"]["p50"] == [pytest.approx(17.365e-6), pytest.approx(18.155e-6)]
