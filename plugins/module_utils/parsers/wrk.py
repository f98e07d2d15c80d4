# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""wrk 4.x with the collection's own report.lua: what one or several of them printed to facts.

A request that no answer came to is in none of wrk's numbers, and one that took longer than --timeout only in errors.timeout. wrk adds samples of
its own to the latencies where it was stalled, so that these are no measured percentiles.
"""

from __future__ import annotations

import os
import re

from . import samples
from .common import ParseError, boolean, decode_json, excerpt, integer, mapping, number, rounded

LINE = re.compile(r"^WRK_JSON (?=\{)", re.MULTILINE)
ASKED = re.compile(r"^Running ([0-9]{1,9})([smh]) test @ ", re.MULTILINE)
TOTAL = re.compile(r"^  ([0-9]{1,15}) requests in ", re.MULTILINE)
# What ran it may say after it for how long its threads were ready to run and had no processor.
WAITED = re.compile(r"^KUBEPROOF_WAITED ([0-9]{1,9}\.[0-9]{1,9})$", re.MULTILINE)
RATE = re.compile(r"^Requests/sec: +([0-9]{1,12}\.[0-9]{2})$", re.MULTILINE)
UNITS = {"s": 1, "m": 60, "h": 3600}
ERRORS = ("connect", "read", "write", "timeout", "status")
LATENCIES = ("min", "mean", "max", "p50", "p90", "p95", "p99", "p999")
CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
STATUS = re.compile(r"[1-5][0-9]{2}")
LARGEST_FILE = 1024 * 1024
MICROSECOND = 1e-6


def parse(text: str) -> dict:
    """Return {requests, seconds, rate, good, rate_good, bytes, errors: {connect, read, write, timeout, status}, statuses: {"2xx": n}, codes: {"200": n},
    expected: {status, marker}, latency: {min, mean, max, p50, p90, p95, p99, p999, samples, synthetic}, waited?}.

    `requests` were answered, `good` of them as was expected; `expected` is {} when any 2xx was. Without an answer there is no latency. `waited` (s) is
    for how long its threads were ready to run and had no processor, where it was watched.
    """
    lines = list(LINE.finditer(text))
    if not lines:
        raise ParseError(f"there is no line of report.lua (WRK_JSON) in it; it begins with {excerpt(text.strip())}.")
    if len(lines) > 1:
        raise ParseError("it has several lines of report.lua.")
    document, end = decode_json(text, lines[0].end())
    if not text.startswith("\n", end) and end < len(text):
        raise ParseError(f"the line of report.lua goes on with {excerpt(text[end:])}.")
    if "good" not in mapping(document, "the line of report.lua"):
        raise ParseError("its line WRK_JSON is not of the collection's own report.lua: it does not say how many answers were good.")
    facts = _facts(document)
    _check_text(text[: lines[0].start()], facts)
    waited = WAITED.findall(text, end)
    if len(waited) > 1:
        raise ParseError("it says several times for how long wrk waited.")
    return {**facts, "waited": rounded(float(waited[0]))} if waited else facts


def parse_files(path: str) -> dict:
    """Return the facts of the output in a file, or in all files of a directory together, and how many `clients` they are; without latencies.

    Counts and rates are sums, `seconds` and `waited` the longest.
    """
    paths = samples.files(path)
    parts = []
    for one in paths:
        try:
            parts.append(parse(_read(one)))
        except ParseError as error:
            raise ParseError(f"{os.path.basename(one)}: {error}") from error
    if any(part["expected"] != parts[0]["expected"] for part in parts):
        raise ParseError("the files do not expect the same answers.")
    facts: dict = {key: _sum(part[key] for part in parts) for key in ("requests", "rate", "good", "rate_good", "bytes", "errors", "statuses", "codes")}
    waited = [part["waited"] for part in parts if "waited" in part]
    facts.update({"waited": max(waited)} if waited else {})
    return {"clients": len(paths), **facts, "seconds": max(part["seconds"] for part in parts), "expected": parts[0]["expected"]}


def _read(path: str) -> str:
    """Return the text of one file; it is small."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            text = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ParseError(f"it cannot be read: {error.strerror}.") from error
    if len(text) > LARGEST_FILE:
        raise ParseError(f"it is larger than {LARGEST_FILE} bytes.")
    return text


def _sum(values):
    """Return the sum of numbers, or of mappings by key."""
    values = list(values)
    if not isinstance(values[0], dict):
        return rounded(sum(values)) if isinstance(values[0], float) else sum(values)
    return {key: sum(value.get(key, 0) for value in values) for key in sorted({key for value in values for key in value})}


def _facts(document: dict) -> dict:
    """Return the facts of the line; ParseError when its numbers are missing or contradict each other."""
    seconds = integer(document.get("duration_us"), "duration_us", 1) * MICROSECOND
    requests, good = (integer(document.get(key), key) for key in ("requests", "good"))
    errors = mapping(document.get("errors"), "errors")
    errors = {kind: integer(errors.get(kind), f"errors.{kind}") for kind in ERRORS}
    codes = {code: integer(count, f"status {excerpt(code)}", 1) for code, count in sorted(mapping(document.get("statuses"), "statuses").items())}
    strange = [code for code in codes if not STATUS.fullmatch(code)]
    if strange:
        raise ParseError(f"there are answers with the status {excerpt(strange[0])}.")
    expected = _expected(mapping(document.get("expected"), "expected"))
    if not requests and not any(errors.values()):
        raise ParseError("no request was answered, and wrk reports no error: what waits for an answer at the end is in none of its numbers.")
    if sum(codes.values()) != requests:
        raise ParseError(f"{requests} requests were answered, but the statuses are of {sum(codes.values())}.")
    if sum(count for code, count in codes.items() if int(code) > 399) != errors["status"]:
        raise ParseError(f"errors.status is {errors['status']}, which the statuses {codes} contradict.")
    able = codes.get(str(expected["status"]), 0) if expected else sum(count for code, count in codes.items() if code[0] == "2")
    if good > able or good < able and not expected.get("marker"):
        raise ParseError(f"{good} answers were good, but {able} have the status that was expected.")
    facts = {
        "requests": requests,
        "seconds": rounded(seconds),
        "rate": rounded(requests / seconds),
        "good": good,
        "rate_good": rounded(good / seconds),
        "bytes": integer(document.get("bytes"), "bytes"),
        "errors": errors,
        "statuses": {one: sum(count for code, count in codes.items() if code[0] == one[0]) for one in CLASSES},
        "codes": codes,
        "expected": expected,
    }
    latency = _latency(mapping(document.get("latency_us"), "latency_us"), requests, errors["timeout"])
    return {**facts, "latency": latency} if latency else facts


def _expected(expected: dict) -> dict:
    """Return {status, marker} that were given to report.lua, or {}."""
    status, marker = integer(expected.get("status"), "expected.status"), boolean(expected.get("marker"), "expected.marker")
    return {"status": status, "marker": marker} if status else {}


def _latency(latency: dict, requests: int, late: int) -> dict:
    """Return the latencies in s, or {} without an answer."""
    if not requests:
        return {}
    found = {key: number(latency.get(key), f"latency_us.{key}") for key in LATENCIES}
    ordered = [found[key] for key in ("min", "p50", "p90", "p95", "p99", "p999", "max")]
    if ordered != sorted(ordered) or not found["min"] <= found["mean"] <= found["max"]:
        raise ParseError(f"the latencies {', '.join(f'{key} {value:g}' for key, value in found.items())} us are not in order.")
    if late > requests:
        raise ParseError(f"{late} of {requests} answers were too late.")
    return {**{key: rounded(value * MICROSECOND) for key, value in found.items()}, "samples": requests - late, "synthetic": True}


def _check_text(text: str, facts: dict) -> None:
    """Refuse a line that is not of the run that wrk itself reports, and a run that was stopped."""
    asked, total, rate = ASKED.search(text), TOTAL.search(text), RATE.search(text)
    if not asked or not total or not rate:
        raise ParseError("wrk's own report is missing before the line of report.lua.")
    # wrk prints minutes and hours without decimals.
    wanted = (int(asked[1]) - (0.5 if asked[2] != "s" else 0)) * UNITS[asked[2]]
    if facts["seconds"] < 0.99 * wanted:
        raise ParseError(f"wrk was to run for {asked[1]}{asked[2]} and was stopped after {facts['seconds']:g} s.")
    if int(total[1]) != facts["requests"] or abs(float(rate[1]) - facts["rate"]) > 0.0051:
        raise ParseError(f"wrk reports {total[1]} requests, {rate[1]} a second; report.lua {facts['requests']}, {facts['rate']:.2f} a second.")
