# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd's `benchmark` (3.5 and 3.6): its text reports to facts."""

from __future__ import annotations

import math
import re

from .common import NUMBER, PERCENTILES, ParseError, excerpt

HEADINGS = {
    "Summary:": "summary",
    "Response time histogram:": "histogram",
    "Latency distribution:": "percentiles",
    "Error distribution:": "errors",
}
# The line before a report that says what it is about -> the name of the report in the facts.
LABELS = {
    "Put summary:": "put",
    "Watch events summary:": "watch",
    "Watch creation summary:": "creation",
    "Watch events received summary:": "watch",
    "Get during watch summary:": "get",
}
# Which reports belong together: one alone without a label, txn-mixed, watch-latency, watch, watch-get.
TOGETHER = ({""}, {"read", "write"}, {"put", "watch"}, {"creation", "watch"}, {"get"})
TOTAL_LABEL = re.compile(r"Total (Read|Write) Ops: ([0-9]{1,15})")
LINES = {
    "summary": re.compile(rf"  (Total|Slowest|Fastest|Average|Stddev|Requests/sec):\t({NUMBER})( secs\.)?"),
    "histogram": re.compile(rf"  ({NUMBER}) \[([0-9]{{1,15}})\]\t\|∎*"),
    "percentiles": re.compile(rf"  ({NUMBER})% in ({NUMBER}) secs\."),
    "errors": re.compile(r"  \[([0-9]{1,15})\]\t(.+)"),
}
SUMMARY = ("Total", "Slowest", "Fastest", "Average", "Stddev", "Requests/sec")
PRINTED = (10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9)
BUCKETS = 11
# Without --precise every number is rounded to four decimals.
ROUNDING = 0.000051


def parse(text: str) -> dict:
    """Return {rate, errors, latency} of the one report, or {<report>: the same} where the tool prints several (txn-mixed, watch)."""
    reports = _reports(text)
    if not reports:
        raise ParseError(f"there is no report in it; it begins with {excerpt(text.strip())}.")
    if set(reports) not in TOGETHER:
        raise ParseError(f"it has the reports {', '.join(sorted(reports))} and lacks their counterpart.")
    facts = {label: _facts(report) for label, report in reports.items()}
    return facts[""] if "" in facts else facts


def _reports(text: str) -> dict:
    """Return {label: {section: [matches], "requests"?: n}}; the label of a lone report is ""."""
    reports: dict = {}
    label, section = "", ""
    for raw in text.split("\n"):
        # The progress bar of 3.5 is on stdout: what counts is what is left after its last carriage return.
        line = raw.rstrip("\r").rsplit("\r", 1)[-1]
        total = TOTAL_LABEL.fullmatch(line)
        if total or line in LABELS:
            label, section = (total[1].lower(), "") if total else (LABELS[line], "")
            if label in reports or "" in reports:
                raise ParseError(f"the report of {label} is there twice or mixed with another.")
            reports[label] = {"requests": int(total[2])} if total else {}
        elif line in HEADINGS:
            section = HEADINGS[line]
            report = reports.setdefault(label, {})
            if section in report:
                raise ParseError(f"the section {excerpt(line)} is there twice.")
            report[section] = []
        elif not line.strip():
            section = ""
        elif section:
            match = LINES[section].fullmatch(line)
            if not match:
                raise ParseError(f"the line {excerpt(line)} below {section} is not understood.")
            reports[label][section].append(match)
    return reports


def _facts(report: dict) -> dict:
    """Return the facts of one report; ParseError when its parts are missing or contradict each other."""
    errors = sum(int(match[1]) for match in report.get("errors", ()))
    if "errors" in report and not errors:
        raise ParseError("there is an error distribution without errors.")
    if "summary" not in report:
        if "histogram" in report or "percentiles" in report or not errors and report.get("requests") != 0:
            raise ParseError("the summary is missing.")
        _check_requests(report, 0, errors)
        return {"rate": 0.0, "errors": errors, "latency": {"count": 0}}
    summary = _summary(report["summary"])
    buckets = _buckets(report.get("histogram", []), summary)
    count = sum(size for dummy, size in buckets)
    _check_rate(count, summary)
    _check_requests(report, count, errors)
    points = _percentiles(report.get("percentiles"), buckets, count)  # {percent: (rank, seconds)}
    latency = {"count": count, "min": summary["Fastest"], "mean": summary["Average"], "max": summary["Slowest"], "stdev": summary["Stddev"]}
    ranks = [(0, summary["Fastest"]), *points.values(), (count - 1, summary["Slowest"])]
    for key, percent in PERCENTILES:
        if percent in points:
            latency[key] = _with_failures(percent, ranks, count, errors) if errors else points[percent][1]
    return {"rate": summary["Requests/sec"], "errors": errors, "latency": latency}


def _summary(matches: list) -> dict:
    """Return the summary as {name: number}; ParseError unless every line is there once and the numbers are possible."""
    summary = {match[1]: float(match[2]) for match in matches}
    if [match[1] for match in matches] != list(SUMMARY) or any(bool(match[3]) is (match[1] == "Requests/sec") for match in matches):
        raise ParseError("the summary is not complete.")
    if not all(math.isfinite(value) for value in summary.values()):
        raise ParseError("the summary has a number that is not possible.")
    fastest, slowest = summary["Fastest"], summary["Slowest"]
    if not fastest - ROUNDING <= summary["Average"] <= slowest + ROUNDING:
        raise ParseError(f"the average {summary['Average']:g} s is not between the fastest {fastest:g} s and the slowest {slowest:g} s.")
    if summary["Stddev"] > (slowest - fastest) / 2 + ROUNDING:
        raise ParseError(f"the standard deviation {summary['Stddev']:g} s is more than half of the range.")
    return summary


def _buckets(matches: list, summary: dict) -> list:
    """Return the histogram as [(upper bound, count)]; ParseError unless it is complete and fits the summary."""
    buckets = [(float(match[1]), int(match[2])) for match in matches]
    if len(buckets) != BUCKETS or not buckets[0][1]:
        raise ParseError("the histogram is not complete.")
    bounds = [bound for bound, dummy in buckets]
    width = (summary["Slowest"] - summary["Fastest"]) / (BUCKETS - 1)
    if any(abs(bound - summary["Fastest"] - width * index) > 2 * ROUNDING for index, bound in enumerate(bounds)):
        raise ParseError("the bounds of the histogram do not fit the fastest and the slowest request.")
    return buckets


def _check_rate(count: int, summary: dict) -> None:
    """Refuse a report whose rate and time do not lead to its number of requests; both are rounded."""
    rate, total = summary["Requests/sec"], summary["Total"]
    if abs(rate * total - count) > ROUNDING * (rate + total) + 1e-9 * count:
        raise ParseError(f"it reports {count} requests, but {rate:g} requests/s for {total:g} s.")


def _check_requests(report: dict, count: int, errors: int) -> None:
    """Refuse a report of txn-mixed whose own number of requests is not what it lists."""
    if report.get("requests", count + errors) != count + errors:
        raise ParseError(f"it reports {report['requests']} requests, but lists {count} successes and {errors} errors.")


def _rank(percent: float, count: int) -> int:
    """Return the index in `count` sorted samples that the tool prints for a percentile; `count` or more: it prints none."""
    rank = max(0, math.floor(percent * count / 100) - 1)
    while rank * 100.0 / count < percent:
        rank += 1
    return rank


def _percentiles(matches, buckets: list, count: int) -> dict:
    """Return {percent: (rank, seconds)}; ParseError unless each that must be there is, in the bucket its rank falls into."""
    if matches is None:
        raise ParseError("the latency distribution is missing.")
    printed = {float(match[1]): float(match[2]) for match in matches}
    if len(printed) != len(matches) or not set(printed) <= set(PRINTED) or list(printed.values()) != sorted(printed.values()):
        raise ParseError("the latency distribution is not in order.")
    points, rank = {}, -1
    for percent in PRINTED:
        # One sample stands for one percentile only, so that few samples shift the later ones.
        rank = max(rank + 1, _rank(percent, count))
        if rank < count:
            _check_bucket(percent, printed.get(percent), rank, buckets)
        elif percent in printed:
            raise ParseError(f"it reports the percentile {percent:g} of only {count} requests.")
        if percent in printed:
            points[percent] = (rank, printed[percent])
    return points


def _check_bucket(percent: float, value, rank: int, buckets: list) -> None:
    """Refuse a percentile that is not in the bucket of its rank; the tool leaves out the line of an exact zero only."""
    low, seen = buckets[0][0], 0
    for bound, size in buckets:
        seen += size
        if rank < seen:
            break
        low = bound
    if value is None and (rank >= buckets[0][1] or low > ROUNDING):
        raise ParseError(f"the {percent:g} % line of the latency distribution is missing.")
    if not low - 2 * ROUNDING <= (value or 0.0) <= bound + 2 * ROUNDING:
        raise ParseError(f"the percentile {percent:g} is {value or 0.0:g} s, which the histogram contradicts.")


def _with_failures(percent: float, ranks: list, count: int, errors: int):
    """Return a percentile of all requests, the failed ones slower than every success: seconds, or [low, high] where the report leaves it open."""
    rank = _rank(percent, count + errors)
    low = max(value for position, value in ranks if position <= rank)
    high = min((value for position, value in ranks if position >= rank), default=None)
    return low if low == high else [low, high]
