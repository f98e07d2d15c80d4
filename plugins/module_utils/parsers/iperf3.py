# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""iperf3 (3.7 and later): the JSON of a client that sends one way (-t, with or without -R, -P, -u) to facts.

It exits with 0 although its document has an error. Where not one UDP packet arrived it reports that none was lost: what was lost is what was
sent and did not arrive.
"""

from __future__ import annotations

from .common import ParseError, decode_json, excerpt, integer, mapping, message, name, number, rounded, sequence

PROTOCOLS = ("TCP", "UDP")
# bits_per_second is bytes through a time that has more digits than the one printed, or than that of a stream.
ROUNDING = 0.005
# Of the time that was asked for.
SHORTEST = 0.98
# Between the end of an interval and the next one's begin, in s.
GAP = 0.05


def parse(text: str) -> dict:
    """Return {version, protocol, reverse, streams, seconds, sent: {bytes, rate}, received: {bytes, rate}, cpu: {local, remote}, mss, retransmits,
    slowest_interval} and with UDP {packets, lost, loss, out_of_order, jitter, offered_rate, asked_rate, datagram} as `udp`.

    Rates are in bit/s, of all streams; a datagram is in bytes, without headers. mss and retransmits are None with UDP, or where a system does not tell them.
    """
    document, end = decode_json(text, len(text) - len(text.lstrip()))
    if text[end:].strip():
        raise ParseError(f"it goes on after its JSON with {excerpt(text[end:].strip())}.")
    document = mapping(document, "the JSON")
    if "error" in document:
        raise ParseError(f"iperf3 says {excerpt(message(document['error'], 'error'))}.")
    start, result = mapping(document.get("start"), "start"), mapping(document.get("end"), "end")
    test = mapping(start.get("test_start"), "test_start")
    protocol = name(test.get("protocol"), "protocol")
    if protocol not in PROTOCOLS:
        raise ParseError(f"the protocol is {excerpt(protocol)}, not TCP or UDP.")
    if any(key.endswith("bidir_reverse") for key in result):
        raise ParseError("it ran both ways at once (--bidir): run it once each way.")
    reverse, streams = bool(integer(test.get("reverse"), "reverse")), integer(test.get("num_streams"), "num_streams", 1)
    duration = number(test.get("duration"), "duration")
    if not duration:
        raise ParseError("it did not run for a time (-t).")
    sent, received = _sum("sum_sent", result), _sum("sum_received", result)
    local, local_name = (received, "sum_received") if reverse else (sent, "sum_sent")
    _check_streams(result, streams, protocol, sent, received)
    if not sent["bytes"] or protocol == "TCP" and not received["bytes"]:
        raise ParseError(f"{sent['bytes']} bytes were sent and {received['bytes']} arrived.")
    slowest = _intervals(document, duration, local["bytes"], local_name)
    load = mapping(result.get("cpu_utilization_percent"), "cpu_utilization_percent")
    facts = {
        "version": name(start.get("version"), "version").replace("iperf ", ""),
        "protocol": protocol.lower(),
        "reverse": reverse,
        "streams": streams,
        "seconds": local["seconds"],
        "sent": {"bytes": sent["bytes"], "rate": sent["rate"]},
        "received": {"bytes": received["bytes"], "rate": received["rate"]},
        "slowest_interval": slowest,
        "cpu": {place: rounded(number(load.get(f"{key}_total"), f"{key}_total") / 100) for place, key in (("local", "host"), ("remote", "remote"))},
        "mss": _known(start, "tcp_mss", "tcp_mss_default") if protocol == "TCP" else None,
        "retransmits": _known(mapping(result["sum_sent"], "sum_sent"), "retransmits") if protocol == "TCP" else None,
    }
    return {**facts, "udp": _udp(result, test, streams, sent, received)} if protocol == "UDP" else facts


def _known(place: dict, *keys):
    """Return the first of these numbers that is there, or None."""
    return next((integer(place[key], key) for key in keys if key in place), None)


def _sum(what: str, result: dict) -> dict:
    """Return {bytes, seconds, rate} of one side; ParseError when its rate is not that of its bytes."""
    part = mapping(result.get(what), what)
    size, seconds = integer(part.get("bytes"), f"bytes of {what}"), number(part.get("seconds"), f"seconds of {what}")
    claimed = number(part.get("bits_per_second"), f"bits_per_second of {what}")
    if not seconds:
        raise ParseError(f"{what} took 0 s.")
    rate = size * 8 / seconds
    if abs(rate - claimed) > ROUNDING * max(rate, claimed):
        raise ParseError(f"{what} says {claimed:g} bit/s, but {size} bytes in {seconds:g} s are {rate:g} bit/s.")
    return {"bytes": size, "seconds": seconds, "rate": rounded(rate)}


def _check_streams(result: dict, streams: int, protocol: str, sent: dict, received: dict) -> None:
    """Refuse a document that lacks a stream, or whose sums are not those of its streams."""
    entries = [mapping(entry, "a stream") for entry in sequence(result.get("streams"), "streams")]
    if len(entries) != streams:
        raise ParseError(f"{streams} streams were to run, {len(entries)} have a result.")
    if protocol == "UDP":
        # A stream has what its sender counted; nothing of its own about what arrived.
        parts = {"sent": (sent, [mapping(entry.get("udp"), "udp of a stream") for entry in entries])}
    else:
        parts = {
            "sent": (sent, [mapping(entry.get("sender"), "sender of a stream") for entry in entries]),
            "received": (received, [mapping(entry.get("receiver"), "receiver of a stream") for entry in entries]),
        }
    for what, (total, ends) in parts.items():
        listed = [integer(one.get("bytes"), f"bytes {what} by a stream") for one in ends]
        if sum(listed) != total["bytes"]:
            raise ParseError(f"sum_{what} has {total['bytes']} bytes, its streams {sum(listed)}.")


def _intervals(document: dict, duration: float, expected: int, what: str) -> float:
    """Return the lowest rate of an interval in bit/s; ParseError unless the intervals cover the time without a gap and give the sum."""
    reached, total, rates = 0.0, 0, []
    for interval in sequence(document.get("intervals"), "intervals"):
        part = mapping(mapping(interval, "an interval").get("sum"), "sum of an interval")
        if part.get("omitted"):
            continue
        start, end = number(part.get("start"), "start of an interval"), number(part.get("end"), "end of an interval")
        if abs(start - reached) > GAP or end < start:
            raise ParseError(f"an interval from {start:g} s to {end:g} s follows on {reached:g} s.")
        reached, size = end, integer(part.get("bytes"), "bytes of an interval")
        total += size
        # What is left of the last second may be any short.
        if end - start > GAP:
            rates.append(size * 8 / (end - start))
    if reached < SHORTEST * duration:
        raise ParseError(f"it was to run for {duration:g} s, but its intervals end at {reached:g} s.")
    if total != expected:
        raise ParseError(f"the intervals have {total} bytes, {what} has {expected}.")
    if not rates:
        raise ParseError(f"no interval is longer than {GAP:g} s.")
    return rounded(min(rates))


def _udp(result: dict, test: dict, streams: int, sent: dict, received: dict) -> dict:
    """Return what is known of the packets. The receiver counts as lost only what a later packet overtook."""
    parts = {key: mapping(result.get(f"sum_{key}"), f"sum_{key}") for key in ("sent", "received")}
    packets = integer(parts["sent"].get("packets"), "packets of sum_sent", 1)
    arrived = integer(parts["received"].get("packets"), "packets of sum_received") - integer(parts["received"].get("lost_packets"), "lost_packets")
    size = sent["bytes"] / packets
    if arrived < 0 or abs(arrived * size - received["bytes"]) > 0.001 * received["bytes"] + size:
        raise ParseError(f"{arrived} packets of {size:g} bytes arrived, but sum_received has {received['bytes']} bytes.")
    lost = max(packets - arrived, 0)
    orders = [mapping(mapping(entry, "a stream").get("udp"), "udp of a stream").get("out_of_order", 0) for entry in result["streams"]]
    return {
        "packets": packets,
        "lost": lost,
        "loss": rounded(lost / packets),
        "out_of_order": sum(integer(order, "out_of_order") for order in orders),
        "jitter": rounded(number(parts["received"].get("jitter_ms"), "jitter_ms") / 1000),
        "offered_rate": sent["rate"],
        "asked_rate": integer(test.get("target_bitrate"), "target_bitrate") * streams,
        "datagram": integer(test.get("blksize"), "blksize", 1),
    }
