# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""k8s-netperf with --json: its log and its JSON array, both on standard output, to facts.

It exits with 0 without any document. What it could not measure, or not read, it prints as 0.
"""

from __future__ import annotations

import re

from .common import ParseError, boolean, decode_json, excerpt, integer, mapping, message, name, number, rounded, sequence

DOCUMENT = re.compile(r"^\[\r?$", re.MULTILINE)
LOG = re.compile(r'^time="[^"\n]{1,60}" level=([a-z]{1,10}) msg=(?:"((?:[^"\\\n]|\\.){0,2000})"|([^\n]{0,2000}))', re.MULTILINE)
SERIOUS = ("error", "fatal", "panic")
# What a profile measures: throughput in 10^6 bit/s, or transactions in a second.
STREAM = "STREAM"
UNITS = {"Mb/s": 1e6, "OP/s": 1.0}
MICROSECOND = 1e-6
# Drivers whose numbers are measured. iperf3 has no latencies, those of uperf are of means over a second, and with STREAM they are of calls to send.
# The tool reads the loss of iperf3 only where nothing arrived, when iperf3 itself says 0, and no retransmits of uperf.
P99 = ("netperf",)
LOSS = ("netperf",)
RETRANSMITS = ("netperf", "iperf3")


def parse(text: str) -> dict:
    """Return {version, runs: [{driver, profile, service, host_network, same_node, parallelism, message_size, seconds, samples, throughput or rate,
    latency_p99, retransmits, loss, confidence, client: {node, zone}, server: {node, zone}, mtu, kernel}]}.

    throughput is in bit/s (STREAM), rate in 1/s (RR, CRR): means of the samples, and `confidence` their 95 % interval in the same unit, or None
    with one sample. latency_p99 is the mean of the samples' P99 in s. What the tool cannot tell is None; it tells no zone at all.
    """
    logged = [(match[1], message((match[2] or match[3] or "").replace('\\"', '"'), "a line")) for match in LOG.finditer(text)]
    errors = [line for level, line in logged if level in SERIOUS]
    start = DOCUMENT.search(text)
    if not start:
        said = errors[0] if errors else logged[-1][1] if logged else text.strip()
        raise ParseError(f"k8s-netperf printed no document; it says {excerpt(said)}.")
    documents, end = decode_json(text, start.start())
    if text[end:].strip() and not LOG.match(text[end:].lstrip()):
        raise ParseError(f"it goes on after its JSON with {excerpt(text[end:].strip())}.")
    if errors:
        raise ParseError(f"k8s-netperf logged {len(errors)} error(s), and prints 0 for what it could not measure: {excerpt(errors[-1])}.")
    runs = [mapping(document, "a document") for document in sequence(documents, "the JSON")]
    if not runs:
        raise ParseError("k8s-netperf printed an empty list.")
    versions = {name(run.get("toolVersion"), "toolVersion") for run in runs}
    if len(versions) > 1:
        raise ParseError(f"the documents are of k8s-netperf {' and '.join(sorted(versions))}, which is not one run.")
    return {"version": versions.pop(), "runs": [_run(run) for run in runs]}


def _run(run: dict) -> dict:
    """Return the facts of one document."""
    profile, driver = (name(run.get(key), key) for key in ("profile", "driver"))
    what = f"{profile} with {driver}"
    for flag in ("virt", "externalServer"):
        if boolean(run.get(flag), flag):
            raise ParseError(f"{what} did not run between two pods ({flag}).")
    metric = name(run.get("tputMetric"), "tputMetric").strip()
    if metric not in UNITS or (STREAM in profile) is not (metric == "Mb/s"):
        raise ParseError(f"{what} has the unit {excerpt(metric)}.")
    if name(run.get("ltcyMetric"), "ltcyMetric") != "usec":
        raise ParseError(f"{what} has latencies in {excerpt(run['ltcyMetric'])}, not usec.")
    value = number(run.get("throughput"), f"throughput of {what}")
    if not value:
        raise ParseError(f"{what} has a throughput of 0, which is what the tool prints when it could not read a result.")
    samples = integer(run.get("samples"), "samples", 1)
    tcp, stream = profile.startswith("TCP"), STREAM in profile
    latency = number(run.get("latency"), f"latency of {what}")
    loss = number(run.get("udpLossPercent"), f"udpLossPercent of {what}", -1e-6)
    return {
        "driver": driver,
        "profile": profile,
        "service": boolean(run.get("service"), "service"),
        "host_network": boolean(run.get("hostNetwork"), "hostNetwork"),
        "same_node": boolean(run.get("local"), "local"),
        "parallelism": integer(run.get("parallelism"), "parallelism", 1),
        "message_size": integer(run.get("messageSize"), "messageSize", 1),
        "seconds": integer(run.get("duration"), "duration", 1),
        "samples": samples,
        "throughput" if stream else "rate": rounded(value * UNITS[metric]),
        "latency_p99": rounded(latency * MICROSECOND) if latency and not stream and driver in P99 else None,
        "retransmits": number(run.get("tcpRetransmits"), f"tcpRetransmits of {what}", -1) if tcp and stream and driver in RETRANSMITS else None,
        "loss": _loss(loss, what) if not tcp and stream and driver in LOSS else None,
        "confidence": _confidence(run.get("confidence"), what, value, samples, UNITS[metric]),
        "client": _node(run.get("clientNodeInfo"), f"client of {what}"),
        "server": _node(run.get("serverNodeInfo"), f"server of {what}"),
        "mtu": integer(mapping(run.get("metadata"), "metadata").get("mtu"), "mtu") or None,
        "kernel": message(mapping(run.get("clientNodeInfo"), "clientNodeInfo").get("kernelVersion", ""), "kernelVersion") or None,
    }


def _loss(percent: float, what: str) -> float:
    """Return the share of UDP packets that were lost."""
    if percent > 100:
        raise ParseError(f"{what} lost {percent:g} % of its packets.")
    return rounded(max(percent, 0.0) / 100)


def _confidence(interval, what: str, value: float, samples: int, unit: float):
    """Return the 95 % interval of the mean in base units, which may begin below 0, or None with one sample."""
    low, high = (number(bound, f"confidence of {what}", -1e300) for bound in (sequence(interval, f"confidence of {what}") + [None, None])[:2])
    if samples == 1:
        return None
    if not low <= value * (1 + 1e-9) or not value <= high * (1 + 1e-9):
        raise ParseError(f"{what}: the mean {value:g} is not within its confidence interval from {low:g} to {high:g}.")
    return [rounded(low * unit), rounded(high * unit)]


def _node(info, what: str) -> dict:
    """Return {node, zone}; the tool knows no zones."""
    return {"node": name(mapping(info, what).get("nodeName"), f"node of the {what}"), "zone": None}
