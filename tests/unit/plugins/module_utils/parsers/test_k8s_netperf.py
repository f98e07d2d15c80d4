# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils.parsers import k8s_netperf
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers.common import ParseError

FIXTURES = pathlib.Path(__file__).parents[4] / "fixtures" / "k8s_netperf"
LOG, DOCUMENTS = (FIXTURES / "iperf3.json").read_text(encoding="utf-8").split("\n", 1)
NETPERF = {"driver": "netperf", "profile": "TCP_RR", "throughput": 9200, "tputMetric": "OP/s", "latency": 460,
           "confidence": [8951.6, 9448.4], "tcpRetransmits": 1}  # fmt: skip


def output(change, log=LOG):
    """Return the output with one document, the first of the recorded ones with some values replaced."""
    return log + "\n" + json.dumps([{**json.loads(DOCUMENTS)[0], **change}], indent=1) + "\n"


def refusal(text):
    """Return why an output is refused."""
    with pytest.raises(ParseError) as caught:
        k8s_netperf.parse(text)
    return str(caught.value)


def test_netperf_transactions():
    run = k8s_netperf.parse(output(NETPERF))["runs"][0]
    assert (run["rate"], run["latency_p99"], run["confidence"]) == (9200.0, 0.00046, [8951.6, 9448.4])
    assert "throughput" not in run and run["loss"] is None and run["retransmits"] is None


@pytest.mark.parametrize(
    ("driver", "profile", "latency_p99", "retransmits", "loss"),
    [
        ("netperf", "TCP_STREAM", None, 7, None), ("netperf", "UDP_STREAM", None, None, 0.025), ("netperf", "TCP_CRR", 0.001, None, None),
        ("iperf3", "TCP_STREAM", None, 7, None), ("iperf3", "UDP_STREAM", None, None, None), ("uperf", "TCP_RR", None, None, None),
        ("uperf", "TCP_STREAM", None, None, None),
    ],
)  # fmt: skip
def test_what_a_driver_does_not_measure_is_unknown(driver, profile, latency_p99, retransmits, loss):
    metric = "Mb/s" if "STREAM" in profile else "OP/s"
    change = {"driver": driver, "profile": profile, "tputMetric": metric, "latency": 1000, "tcpRetransmits": 7, "udpLossPercent": 2.5}
    run = k8s_netperf.parse(output(change))["runs"][0]
    assert (run["latency_p99"], run["retransmits"], run["loss"]) == (latency_p99, retransmits, loss)


def test_one_sample_has_no_confidence():
    assert k8s_netperf.parse(output({"samples": 1, "confidence": [0, 0]}))["runs"][0]["confidence"] is None


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"throughput": 0}, "TCP_STREAM with iperf3 has a throughput of 0, which is what the tool prints when it could not read a result."),
        ({"throughput": -1}, "throughput of TCP_STREAM with iperf3 is '-1', which is not possible."),
        ({"throughput": 50000}, "TCP_STREAM with iperf3: the mean 50000 is not within its confidence interval from 6185.63 to 19821.3."),
        ({"tputMetric": "OP/s"}, "TCP_STREAM with iperf3 has the unit 'OP/s'."),
        ({"tputMetric": "MiB/s"}, "TCP_STREAM with iperf3 has the unit 'MiB/s'."),
        ({"ltcyMetric": "ms"}, "TCP_STREAM with iperf3 has latencies in 'ms', not usec."),
        ({"confidence": [1]}, "confidence of TCP_STREAM with iperf3 is 'None', not a number."),
        ({"samples": 0}, "samples is '0', not a whole number from 1 on."),
        ({"virt": True}, "TCP_STREAM with iperf3 did not run between two pods (virt)."),
        ({"externalServer": True}, "TCP_STREAM with iperf3 did not run between two pods (externalServer)."),
        ({"clientNodeInfo": {"nodeName": ""}}, "node of the client of TCP_STREAM with iperf3 is '', not a printable name."),
        ({"driver": "netperf", "profile": "UDP_STREAM", "udpLossPercent": 101}, "UDP_STREAM with netperf lost 101 % of its packets."),
        ({"toolVersion": None}, "toolVersion is 'None', not a printable name."),
    ],
)
def test_contradictions(change, error):
    assert refusal(output(change)) == error


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (LOG, "k8s-netperf printed no document; it says 'Starting k8s-netperf (v0.1.43-1-gfb9a2ec@fb9a2ec)'."),
        (LOG + "\n" + 'time="x" level=error msg="no result documents"\n', "k8s-netperf printed no document; it says 'no result documents'."),
        (LOG + "\n" + 'time="x" level=error msg="json: unsupported value: NaN"\n',
         "k8s-netperf printed no document; it says 'json: unsupported value: NaN'."),
        ("command not found", "k8s-netperf printed no document; it says 'command not found'."),
        (LOG + "\n[\n]\n", "k8s-netperf printed an empty list."),
        (output({}, LOG + '\ntime="x" level=error msg="Issue while decoding: EOF"'),
         "k8s-netperf logged 1 error(s), and prints 0 for what it could not measure: 'Issue while decoding: EOF'."),
        (output({}) + "more", "it goes on after its JSON with 'more'."),
        (LOG + "\n[\n 1\n]\n", "a document is '1', not an object."),
    ],
)
def test_refused(text, error):
    assert refusal(text) == error


def test_log_after_the_document_is_fine():
    assert k8s_netperf.parse(output({}) + 'time="x" level=info msg="Cleaning resources created by k8s-netperf"\n')["runs"]


def test_two_versions_are_refused():
    data = json.loads(DOCUMENTS)
    data[1]["toolVersion"] = "v0"
    assert refusal("[\n" + json.dumps(data)[1:]) == "the documents are of k8s-netperf v0 and v0.1.43-1-gfb9a2ec, which is not one run."
