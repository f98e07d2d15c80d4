# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""k6 (1.x): the raw samples that one or several generators wrote with --out csv, to facts.

Files are read in pieces, and of the dozen rows of a request only those that are needed are looked at: looking at each would take too long.

A request takes from when it was to be sent until the whole answer came: http_req_blocked, the wait for a connection, in which connecting and the TLS
handshake are, and http_req_duration, which begins when there is one (https://grafana.com/docs/k6/latest/using-k6/metrics/reference/). On a
connection that is kept the first is nothing; the first request of each client has it.
"""

from __future__ import annotations

import math
import os
import re
from array import array
from collections import defaultdict

from . import samples
from .common import ParseError, excerpt, name, rank, rounded

ENDINGS = (".csv", ".csv.gz")
FIRST_COLUMNS, LAST_COLUMNS = ["metric_name", "timestamp", "metric_value"], ["extra_tags", "metadata"]
# What k6 can write of a request (--system-tags); the others go into its column metadata.
TAGS = set("check error error_code expected_response group ip method name ocsp_status proto scenario service status subproto tls_version url".split())
NEEDED_TAGS = {"name", "status"}
# A column such as url has another value in each request, which is not to be kept.
MOST_SORTS = 10_000
# The groups in which k6 runs setup() and teardown(), which are no part of the load.
BESIDE = ("::setup", "::teardown")
STATUS = re.compile(r"0|[1-5][0-9]{2}")
ERROR_CODE = re.compile(r"0?|[1-9][0-9]{3}")
# Digits of a timestamp (K6_CSV_TIME_FORMAT: unix, unix_milli, unix_micro, unix_nano) -> its unit in s.
UNITS = {10: 1.0, 13: 1e-3, 16: 1e-6, 19: 1e-9}
# What a script counts of its own accord: answers with a good status and another content than is expected, requests that the generator had no free port for;
# and what its generator waited for a processor.
UNEXPECTED, WITHOUT_PORT, WAITED = "kubeproof_unexpected", "kubeproof_without_port", "kubeproof_waited"
READ = ("http_req_duration", "http_req_blocked", "dropped_iterations", "vus_max", UNEXPECTED, WITHOUT_PORT, WAITED)
COUNTED = ("http_req_duration", "http_req_blocked", "http_reqs", "iterations")
ERRORS = ("transport", "throttled", "server", "other")
QUANTILES = (("p50", 50), ("p90", 90), ("p95", 95), ("p99", 99), ("p999", 99.9), ("max", 100))
MINUTE = 60


def parse(path: str) -> dict:
    """Return the facts of the file at `path`, or of all files in that directory, one of each generator: {generators, requests, seconds, rate,
    started, dropped, offered, slowest_minute?, errors: {transport, throttled, server, other}, error_ratio, statuses: {"200": n},
    operations: {<name>: {count, failed, p50, p90, p95, p99, p999, max}}, latency: {the same}, vus_max, without_port?, waited?}.

    `count` requests were sent, `failed` of them were not answered well. In a percentile those are slower than all others, and in `latency`
    those that were dropped as well; where it falls on them it is [<longest known>, null]. `seconds` is the time in which requests were begun,
    `without_port` of the transport errors are those of a generator that had no free port left, where its script counts them.
    `rate` what was answered well in a second, `slowest_minute` the lowest such rate over a whole minute. `waited` (s) is for how long the threads of the
    generator that had to wait longest were ready to run and had no processor, where it was watched.
    """
    load = _Load()
    paths = samples.files(path, ENDINGS)
    for one in paths:
        _File(one, load).read()
    return {"generators": len(paths), **load.facts()}


class _Sort:
    """Requests that have the same tags: their times in ms, how many ended in each tenth of a second, when the first and the last began."""

    def __init__(self, operation, status, error_code):
        self.operation, self.status, self.error_code = operation, status, error_code
        self.milliseconds, self.tenths = array("d"), defaultdict(int)
        self.first, self.last = math.inf, -math.inf

    @property
    def error(self):
        """Return which of ERRORS this is, or None when the whole of a good answer came."""
        if self.status == 429:
            return "throttled"
        if self.status >= 500:
            return "server"
        # The status of an answer that broke off in its body is a good one.
        if self.status == 0 or self.status < 300 and self.error_code:
            return "transport"
        return None if 200 <= self.status < 300 else "other"


class _File:
    """One generator's samples."""

    def __init__(self, path, load):
        self.path, self.load = path, load
        self.file = os.path.basename(path)
        self.columns: list = []
        self.patterns: dict = {}
        self.digits, self.unit = 0, 1.0
        self.counts = dict.fromkeys(COUNTED, 0)
        self.sorts: dict = {}  # rest of a row: _Sort
        self.vus_max, self.waited = 0, None
        self.requests, self.blocked = [], []  # rows of requests whose other row is in the next piece

    def read(self):
        """Add the samples to the load; ParseError when they cannot be trusted."""
        for piece in samples.read(self.path, "CSV of k6"):
            self._add(piece)
        requests, times, waits = (self.counts[metric] for metric in ("http_reqs", "http_req_duration", "http_req_blocked"))
        if requests != times:
            raise ParseError(f"{self.file} counts {requests} requests, but has the times of {times}.")
        if requests != waits:
            raise ParseError(f"{self.file} counts {requests} requests, but has the waits for a connection of {waits}.")
        if not any(sort.milliseconds for sort in self.sorts.values() if sort.operation):
            raise ParseError(f"{self.file} has no request of the load.")
        self.load.iterations += self.counts["iterations"]
        self.load.vus_max += self.vus_max
        if self.waited is not None:
            self.load.waited = max(self.waited, self.load.waited or 0.0)

    def _add(self, piece):
        """Add the samples in a piece."""
        if not self.columns:
            self._begin(*piece.split(b"\n", 3)[1:3])
        for metric in COUNTED:
            self.counts[metric] += piece.count(b"\n%s," % metric.encode())
        self._add_requests(self.requests + self._rows("http_req_duration", piece), self.blocked + self._rows("http_req_blocked", piece))
        for second, rest, value, dummy in self._rows("dropped_iterations", piece):
            self.load.dropped += self._whole("dropped_iterations", value)
            self.load.last_drop = max(self.load.last_drop, int(second + rest) * self.unit)
        for dummy, dummy, value, dummy in self._rows("vus_max", piece):
            self.vus_max = max(self.vus_max, self._whole("vus_max", value))
        for dummy, dummy, value, dummy in self._rows(UNEXPECTED, piece):
            self.load.unexpected += self._whole(UNEXPECTED, value)
        for dummy, dummy, value, dummy in self._rows(WITHOUT_PORT, piece):
            self.load.without_port += self._whole(WITHOUT_PORT, value)
        for dummy, dummy, value, dummy in self._rows(WAITED, piece):
            self.waited = float(value)

    def _begin(self, header, row=b""):
        """Learn the columns, and the form of the timestamps from the first row."""
        columns = header.decode("utf-8", "replace").split(",")
        tags = columns[len(FIRST_COLUMNS) : -len(LAST_COLUMNS)]
        if columns != [*FIRST_COLUMNS, *tags, *LAST_COLUMNS]:
            raise ParseError(f"{self.file} is no CSV of k6: it begins with {samples.shown(header)}.")
        strange = [tag for tag in tags if tag not in TAGS or tags.count(tag) > 1] or sorted(NEEDED_TAGS.difference(tags))
        if strange:
            raise ParseError(f"{self.file} has {'the unknown' if strange[0] in tags else 'no'} column {excerpt(strange[0])}.")
        stamp = row.split(b",")[1] if row.count(b",") else b""
        if row and (len(stamp) not in UNITS or not stamp.isdigit()):
            raise ParseError(f"{self.file}: the timestamp in {samples.shown(row)} is none of {', '.join(map(str, UNITS))} digits.")
        self.columns, self.unit = columns, UNITS.get(len(stamp), 1.0)
        # To the tenth of a second, where there are any, and the rest.
        tenths = min(len(stamp), 11)
        for metric in READ:
            pattern = rb"\n%s,([0-9]{%d})([0-9]{%d}),([0-9]{1,12}\.[0-9]{1,9}),([^\n]*)" % (metric.encode(), tenths, len(stamp) - tenths)
            self.patterns[metric] = re.compile(pattern)

    def _rows(self, metric, piece):
        """Return [(time to the tenth of a second, its other digits, value, rest of the row)] of a metric; each of its rows must be sound."""
        rows = self.patterns[metric].findall(piece)
        head = b"\n%s," % metric.encode()
        if len(rows) != piece.count(head):
            for line in piece.split(b"\n"):
                if line.startswith(head[1:]) and not self.patterns[metric].fullmatch(b"\n" + line):
                    raise ParseError(f"{self.file}: the row {samples.shown(line)} is not possible.")
        return rows

    def _add_requests(self, rows, blocked):
        """Add requests; this loop is what reading takes, so that it calls little. What has no other row yet is kept for the next piece."""
        sorts, unit, both = self.sorts, self.unit, min(len(rows), len(blocked))
        self.requests, self.blocked = rows[both:], blocked[both:]
        for (tenth, rest, value, tags), (same, too, wait, also) in zip(rows, blocked):
            if tags != also or rest != too or tenth != same:
                found = f"{samples.shown(tenth + rest + b',' + tags)} and {samples.shown(same + too + b',' + also)}"
                raise ParseError(f"{self.file}: two rows are not of one request, {found}.")
            sort = sorts.get(tags)
            if sort is None:
                sort = sorts[tags] = self._sort(tags)
            took = float(value) + float(wait)
            sort.milliseconds.append(took)
            sort.tenths[tenth] += 1
            began = int(tenth + rest) * unit - took * 1e-3
            if began > sort.last:
                sort.last = began
            if began < sort.first:
                sort.first = began

    def _sort(self, tags):
        """Return the sort of requests with these tags, as a row has them; one beside the load has no operation and is not kept."""
        values = tags.decode("utf-8", "replace").split(",")
        if len(values) != len(self.columns) - len(FIRST_COLUMNS):
            raise ParseError(f"{self.file}: a row ends with {samples.shown(tags)}, which are not {len(self.columns) - len(FIRST_COLUMNS)} columns.")
        if len(self.sorts) >= MOST_SORTS:
            raise ParseError(f"{self.file} has more than {MOST_SORTS} sorts of requests: give them names, and leave url out of --system-tags.")
        row = dict(zip(self.columns[len(FIRST_COLUMNS) :], values))
        status, error_code = row["status"], row.get("error_code", "")
        if not STATUS.fullmatch(status) or not ERROR_CODE.fullmatch(error_code):
            raise ParseError(f"{self.file}: a row ends with {samples.shown(tags)}: its status or error code is not possible.")
        if row.get("group") in BESIDE:
            return _Sort(None, int(status), int(error_code or 0))
        key = (name(row["name"], "the name of a request"), int(status), int(error_code or 0))
        return self.load.sorts.setdefault(key, _Sort(*key))

    def _whole(self, metric, value):
        """Return a value that must be a whole number."""
        found = float(value)
        if found != int(found):
            raise ParseError(f"{self.file}: {metric} is {samples.shown(value)}, not a whole number.")
        return int(found)


class _Load:
    """What all generators did."""

    def __init__(self):
        self.sorts: dict = {}  # (operation, status, error code): _Sort
        self.iterations, self.dropped, self.vus_max, self.unexpected, self.without_port = 0, 0, 0, 0, 0
        self.waited = None
        self.last_drop = -math.inf

    def facts(self) -> dict:
        """Return the facts; ParseError when the load was too short for a rate."""
        sorts = list(self.sorts.values())
        count = sum(len(sort.milliseconds) for sort in sorts)
        begun = min(sort.first for sort in sorts)
        span = max(self.last_drop, *(sort.last for sort in sorts)) - begun
        asked = count + self.dropped
        if asked < 2 or span <= 0:
            raise ParseError(f"the load was {asked} request(s) in {max(span, 0):g} s, too few for a rate.")
        # From the first to the last there is one pause less than there are requests.
        seconds = span * asked / (asked - 1)
        errors = {error: sum(len(sort.milliseconds) for sort in sorts if sort.error == error) for error in ERRORS}
        if self.unexpected > count - sum(errors.values()):
            raise ParseError(f"{self.unexpected} answers with a good status were not the expected one, but there are {count - sum(errors.values())} such.")
        errors["other"] += self.unexpected
        if self.without_port > errors["transport"]:
            raise ParseError(f"{self.without_port} requests had no port, but {errors['transport']} failed without an answer.")
        failed = sum(errors.values())
        facts = {
            "requests": count,
            "seconds": rounded(seconds),
            "rate": rounded((count - failed) / seconds),
            "started": self.iterations,
            "dropped": self.dropped,
            "offered": rounded((self.iterations + self.dropped) / seconds),
            "errors": errors,
            "error_ratio": rounded(failed / count),
            "statuses": self._statuses(),
            "operations": {one: _latency([sort for sort in sorts if sort.operation == one]) for one in sorted({sort.operation for sort in sorts})},
            "latency": _latency(sorts, self.dropped, self.unexpected),
            "vus_max": self.vus_max,
            **({"without_port": self.without_port} if self.without_port else {}),
            **({} if self.waited is None else {"waited": rounded(self.waited)}),
        }
        slowest = _slowest_minute([sort for sort in sorts if not sort.error], begun, seconds, self.unexpected)
        return facts if slowest is None else {**facts, "slowest_minute": slowest}

    def _statuses(self) -> dict:
        """Return {status: number of answers}; what was not answered has none."""
        counts: dict = defaultdict(int)
        for sort in self.sorts.values():
            if sort.status:
                counts[str(sort.status)] += len(sort.milliseconds)
        return dict(sorted(counts.items()))


def _latency(sorts: list, dropped: int = 0, unexpected: int = 0) -> dict:
    """Return {count, failed, p50, p90, p95, p99, p999, max} in s by nearest rank, with the failed and the dropped ones as the slowest.

    Of those with a good status so many were `unexpected`. Which ones is not known: the fastest, so that no percentile is better than it was.
    """
    good = sorted(value for sort in sorts if not sort.error for value in sort.milliseconds)[unexpected:]
    count = sum(len(sort.milliseconds) for sort in sorts)
    facts: dict = {"count": count, "failed": count - len(good)}
    for key, percent in QUANTILES:
        position = rank(percent, count + dropped)
        longest = good[-1] if good else 0.0
        facts[key] = rounded(good[position - 1] / 1000) if position <= len(good) else [rounded(longest / 1000), None]
    return facts


def _slowest_minute(sorts: list, begun: float, seconds: float, unexpected: int):
    """Return the lowest rate of good answers over a whole minute since the load began, or None when it was shorter; all `unexpected` ones were in it."""
    # A load of a minute is one, although its last request did not begin at its end.
    minutes = int((seconds + 0.1) // MINUTE)
    if not minutes:
        return None
    counts = [0] * minutes
    start = round(begun * 10)
    for sort in sorts:
        for tenth, count in sort.tenths.items():
            minute = (int(tenth.ljust(11, b"0")) - start) // (MINUTE * 10)
            if minute < minutes:
                counts[max(minute, 0)] += count
    return rounded(max(0, min(counts) - unexpected) / MINUTE)
