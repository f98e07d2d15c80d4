# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sockperf 3.x, mode ping-pong with --full-rtt: its report to facts.

Its percentiles are those of all its observations, which it keeps and sorts: --full-log writes the same ones as CSV. Its rank is the nearest
whole number to the share where ours is the next one, so that a percentile may be that of one observation less.
"""

from __future__ import annotations

import re

from .common import ParseError, excerpt, rank, rounded

NUMBER = r"[0-9]{1,12}\.[0-9]{3}"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
VERSION = re.compile(r"^sockperf: == version #(\S{1,40}) == *$", re.MULTILINE)
PROTOCOL = re.compile(r"^\[ 0\] IP = \S+ +PORT = +[0-9]+ # (TCP|UDP) *$", re.MULTILINE)
TOTAL = re.compile(rf"^sockperf: \[Total Run\] RunTime=({NUMBER}) sec; Warm up time=([0-9]{{1,9}}) msec; ", re.MULTILINE)
COUNT = r"([0-9]{1,15})"
VALID = re.compile(rf"^sockperf: \[Valid Duration\] RunTime=({NUMBER}) sec; SentMessages={COUNT}; ReceivedMessages={COUNT}$", re.MULTILINE)
AVERAGE = re.compile(rf"^sockperf: ====> avg-(rtt|latency)= *({NUMBER}) \(std-dev=({NUMBER})\)$", re.MULTILINE)
COUNTS = re.compile(rf"^sockperf: # dropped messages = {COUNT}; # duplicated messages = {COUNT}; # out-of-order messages = {COUNT}$", re.MULTILINE)
SAMPLES = re.compile(rf"^sockperf: Total {COUNT} observations; each percentile contains", re.MULTILINE)
POINT = re.compile(rf"^sockperf: ---> (<MIN>|<MAX>|percentile [0-9.]{{1,9}}) +(?:observation )?= +({NUMBER})$", re.MULTILINE)
# What it says in place of a report.
EMPTY = re.compile(r"^sockperf: (No valid observations found|No messages were (?:received|sent)|ERROR: [^\n]*)", re.MULTILINE)
# What it prints, from the lowest to the highest: key -> (its name, percent).
PRINTED = {
    "min": ("<MIN>", 0.0),
    "p25": ("percentile 25.000", 25.0),
    "p50": ("percentile 50.000", 50.0),
    "p75": ("percentile 75.000", 75.0),
    "p90": ("percentile 90.000", 90.0),
    "p99": ("percentile 99.000", 99.0),
    "p999": ("percentile 99.900", 99.9),
    "p9999": ("percentile 99.990", 99.99),
    "p99999": ("percentile 99.999", 99.999),
    "max": ("<MAX>", 100.0),
}
QUANTILES = ("p50", "p90", "p99", "p999", "p9999")
MICROSECOND = 1e-6
# Of the run without its warm-up and its last 50 ms: the least part in which messages went to and fro.
SHORTEST = 0.9
TAIL = 0.05
# Seconds of a pause at either end, which is left out of what is counted; in the middle it is a round trip like others. TCP sends again what was lost
# after 0.2 s (the least of Linux), and machines are late.
PAUSE = 0.35


def parse(text: str) -> dict:
    """Return {version, protocol, samples, lost, duplicated, out_of_order, seconds, sent, rtt: {min, mean, max, p50, p90, p99, p999, p9999, samples}}.

    What was lost is slower than every bound, so that percentiles are then an interval or [longest known, None]. So is the one message that waited while
    nothing went to and fro at the beginning or the end, if that was no longer than PAUSE; ParseError if it was.
    """
    text = COLOUR.sub("", text)
    empty = EMPTY.search(text)
    if empty:
        raise ParseError(f"sockperf measured nothing: {excerpt(empty[1])}.")
    version, protocol, total, valid, average, counts, samples = (
        _one(pattern, what, text)
        for pattern, what in (
            (VERSION, "version"), (PROTOCOL, "protocol"), (TOTAL, "total run"), (VALID, "valid duration"), (AVERAGE, "average"),
            (COUNTS, "numbers of dropped messages"), (SAMPLES, "number of observations"),
        )
    )  # fmt: skip
    if average[1] != "rtt":
        raise ParseError("it has half of the round trip times: run it with --full-rtt.")
    sent, received, count = int(valid[2]), int(valid[3]), int(samples[1])
    dropped, duplicated, disordered = (int(counts[index]) for index in (1, 2, 3))
    # It waits for each answer, so that more than the last one cannot be missing: other modes and lost messages look like that.
    if not count or received != count or not received <= sent <= received + dropped + 1:
        raise ParseError(f"{sent} messages were sent, {received} received, {dropped} dropped and {count} observed, which is no ping-pong.")
    seconds = float(valid[1])
    wanted = float(total[1]) - int(total[2]) / 1000 - TAIL
    paused = seconds < SHORTEST * wanted
    if paused and seconds < wanted - PAUSE:
        raise ParseError(f"messages went to and fro for {seconds:g} s only, of {wanted:g} s: for the rest one had no answer.")
    points = _points(text, float(average[2]))
    lost = sent - received + paused
    return {
        "version": version[1],
        "protocol": protocol[1].lower(),
        "samples": count,
        "lost": lost,
        "duplicated": duplicated,
        "out_of_order": disordered,
        "seconds": seconds,
        "sent": sent,
        "rtt": {
            **{key: rounded(points[key] * MICROSECOND) for key in ("min", "max")},
            "mean": rounded(float(average[2]) * MICROSECOND),
            **{key: _with_lost(key, points, count, lost) for key in QUANTILES},
            "samples": count,
        },
    }


def _one(pattern, what: str, text: str):
    """Return the only match; ParseError when it is missing, or there twice as with --full-log or several servers."""
    found = list(pattern.finditer(text))
    if len(found) != 1:
        raise ParseError(f"its {what} {'is missing' if not found else 'is there several times'}; it begins with {excerpt(text.strip())}.")
    return found[0]


def _points(text: str, mean: float) -> dict:
    """Return {min, p25, …, max} in us; ParseError unless all are there and rise."""
    found = [(match[1], float(match[2])) for match in POINT.finditer(text)]
    if [label for label, dummy in found] != [label for label, dummy in reversed(list(PRINTED.values()))]:
        raise ParseError("its percentiles are not complete.")
    points = {key: dict(found)[label] for key, (label, dummy) in PRINTED.items()}
    if list(points.values()) != sorted(points.values()) or not points["min"] <= mean <= points["max"]:
        raise ParseError("its percentiles and its average are not in order.")
    return points


def _with_lost(key: str, points: dict, count: int, lost: int):
    """Return a percentile of all messages in s, the lost ones slower than every other; an interval where the printed points leave it open."""
    if not lost:
        return rounded(points[key] * MICROSECOND)
    position = rank(PRINTED[key][1], count + lost)
    ranks = [(rank(percent, count), points[point]) for point, (dummy, percent) in PRINTED.items()]
    low = max(value for where, value in ranks if where <= position)
    high = min((value for where, value in ranks if where >= position), default=None)
    return rounded(low * MICROSECOND) if low == high else [rounded(low * MICROSECOND), None if high is None else rounded(high * MICROSECOND)]
