# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""dnsperf 2.x: what one or several of them printed to facts.

Its summary has no percentiles. With -v it prints a line for each answer; from 2.11.2 on -O latency-histogram prints bins about 3 % wide.
A million lines are read in pieces and kept as numbers of answers by time, which are microseconds: both grow little with the answers.
"""

from __future__ import annotations

import io
import os
import re
from collections import Counter

from . import samples
from .common import PERCENTILES, ParseError, excerpt, name, rank, rounded

WHAT = "output of dnsperf"
LONGEST_SUMMARY = 1024 * 1024
VERSION = re.compile(rb"\nVersion ([0-9]{1,4}(?:\.[0-9]{1,6}){1,3})\n")
COMMAND = re.compile(rb"\n\[Status\] Command line: ([^\n]*)\n")
ENDING = re.compile(rb"\n\[Status\] Testing complete \(([a-z ]{1,40})\)\n")
# With -v: > NOERROR name A 0.000977 for an answer, > T name A for none in time, > I name A for one not waited for.
LINE = b"\n> "
ANSWER = re.compile(rb"\n> ([A-Za-z0-9]{2,20}) [^\n]* ([0-9]{1,6}\.[0-9]{6})(?=\n)")
MISSING = re.compile(rb"\n> ([TI]) [^\n]*(?=\n)")
SUMMARY = b"\nStatistics:\n"
# The summary: its lines in their order. The last two are there with more than one answer, and tcp adds a block of connections that we leave.
TIME = r"[0-9]{1,9}\.[0-9]{6}"
SHARE = r" \([0-9.]{1,12}%\)"
COUNT = r"([0-9]{1,15})"
LINES = (
    ("sent", re.compile(rf"  Queries sent: +{COUNT}")),
    ("completed", re.compile(rf"  Queries completed: +{COUNT}{SHARE}")),
    ("lost", re.compile(rf"  Queries lost: +{COUNT}{SHARE}")),
    ("interrupted", re.compile(rf"  Queries interrupted: +{COUNT}{SHARE}")),
    ("rcodes", re.compile(rf"  Response codes: +((?:[A-Za-z0-9]{{2,20}} [0-9]{{1,15}}{SHARE}(?:, )?)*)")),
    ("size", re.compile(r"  Average packet size: +request [0-9]{1,9}, response [0-9]{1,9}")),
    ("seconds", re.compile(rf"  Run time \(s\): +({TIME})")),
    ("rate", re.compile(r"  Queries per second: +([0-9]{1,12}\.[0-9]{6})")),
    ("latency", re.compile(rf"  Average Latency \(s\): +({TIME}) \(min ({TIME}), max ({TIME})\)")),
    ("deviation", re.compile(rf"  Latency StdDev \(s\): +({TIME})")),
    ("heading", re.compile(r"  Latency bucket \(s\): +answer count")),
)
NEEDED = ("sent", "completed", "lost", "rcodes", "size", "seconds", "rate", "latency")
BIN = re.compile(rf"  ({TIME}) - ({TIME}):  ([0-9]{{1,15}})")
RCODE = re.compile(r"([A-Za-z0-9]+) ([0-9]+) ")
# The rcodes of a server that works; that a name does not exist may be the answer asked for.
GOOD = ("NOERROR", "NXDOMAIN")
# Times are cut to whole microseconds.
MICROSECOND = 1.001e-6
TIMEOUT = re.compile(r" -t ?([0-9]{1,6}(?:\.[0-9]{1,9})?)(?: |$)")
DEFAULT_TIMEOUT = 5.0


def parse(text: str) -> dict:
    """Return the facts of one dnsperf: {version, sent, completed, lost, interrupted, failed, good, loss, rcodes: {NOERROR: n}, seconds, rate,
    rate_good, offered_rate, timeout, latency: {min, mean, max, p50, p90, p95, p99, p999, samples, unmeasured}}.

    What was lost, and an answer with another rcode than NOERROR or NXDOMAIN (`failed`), is slower than every bound: a percentile on them is
    [longest known, null], at least the timeout. Other intervals are bins of the histogram, wider with `failed` ones, which it does not tell apart.
    Percentiles are absent without -v and without the histogram; min, mean and max are of all answers and absent without any.
    """
    return _facts([_Run(samples.pieces(io.BytesIO((text.rstrip("\n") + "\n").encode("utf-8", "replace")), "it", WHAT))])


def parse_files(path: str) -> dict:
    """Return the facts of the output in a file, or in all files of a directory together, and how many `clients` they are.

    Rates are the sum and `seconds` the longest; percentiles come from all answers.
    """
    runs = []
    for one in samples.files(path):
        try:
            runs.append(_Run(samples.read(one, WHAT, "it")))
        except ParseError as error:
            raise ParseError(f"{os.path.basename(one)}: {error}") from error
    return {"clients": len(runs), **_facts(runs)}


class _Run:
    """What one dnsperf printed."""

    def __init__(self, pieces):
        self.version, self.command, self.ending = "", "", ""
        self.answers: Counter = Counter()  # (rcode, seconds): number, all bytes
        self.missing: Counter = Counter()
        summary = b""
        for piece in pieces:
            if not summary:
                self._add(piece)
                summary = piece[piece.index(SUMMARY) :] if SUMMARY in piece else b""
            else:
                summary += piece[1:]
                if len(summary) > LONGEST_SUMMARY:
                    raise ParseError(f"it goes on for more than {LONGEST_SUMMARY} bytes after its statistics began.")
        if not self.version:
            raise ParseError(f"it is no {WHAT}: its version is missing.")
        self._check_end(summary)
        self.bins: dict = {}  # (low, high) in s: number of answers, of the histogram
        self.summary = self._read(summary.decode("utf-8", "replace").split("\n")[2:])
        self.seconds = float(self.summary["seconds"][0])
        self.sent, self.completed, self.lost, self.interrupted = (int(self.summary[key][0]) for key in ("sent", "completed", "lost", "interrupted"))
        self.rcodes = {rcode: int(count) for rcode, count in RCODE.findall(self.summary["rcodes"][0])}
        self.low, self.high = (float(value) for value in self.summary["latency"][1:])
        self.mean = float(self.summary["latency"][0])
        self._check()

    def _add(self, piece):
        """Add the lines of a piece that stand before the summary."""
        piece = piece.partition(SUMMARY)[0] + b"\n"
        for attribute, pattern in (("version", VERSION), ("command", COMMAND), ("ending", ENDING)):
            found = pattern.search(piece) if not getattr(self, attribute) else None
            if found:
                setattr(self, attribute, found[1].decode("utf-8", "replace"))
        lines = piece.count(LINE)
        if lines:
            answers, missing = ANSWER.findall(piece), MISSING.findall(piece)
            if len(answers) + len(missing) != lines:
                self._refuse_line(piece)
            self.answers.update(answers)
            self.missing.update(missing)

    def _refuse_line(self, piece):
        """Name the line of an answer that is none."""
        for line in piece.split(b"\n"):
            whole = b"\n" + line + b"\n"
            if whole.startswith(LINE) and not ANSWER.match(whole) and not MISSING.match(whole):
                raise ParseError(f"the line {samples.shown(line)} is not understood.")

    def _check_end(self, summary):
        """Refuse a run that was stopped, and one that did not get to its statistics."""
        if not summary or not self.ending:
            raise ParseError("it has no statistics, so dnsperf did not go to its end.")
        if self.ending not in ("time limit", "end of file"):
            raise ParseError(f"dnsperf did not go to its end: {excerpt(self.ending)}.")

    def _read(self, lines):
        """Return the summary as {key: groups}; ParseError when a line is missing, strange, there twice or not in its place."""
        found: dict = {"interrupted": ("0",)}
        expected = list(LINES)
        for line in lines:
            if line == "Connection Statistics:":
                break
            match = BIN.fullmatch(line) if "heading" in found else None
            if match:
                self._add_bin(float(match[1]), float(match[2]), int(match[3]))
            elif line:
                while expected:
                    key, pattern = expected.pop(0)
                    match = pattern.fullmatch(line)
                    if match:
                        found[key] = match.groups()
                        break
                else:
                    raise ParseError(f"the line {excerpt(line)} of its statistics is not understood or out of place.")
        missing = [key for key in NEEDED if key not in found]
        if missing:
            raise ParseError(f"its statistics lack {missing[0]}.")
        return found

    def _add_bin(self, low, high, count):
        """Add a bin of the histogram; they rise and do not overlap."""
        if high < low or self.bins and low <= max(bound for dummy, bound in list(self.bins)[-1:]):
            raise ParseError("the bins of its histogram are not in order.")
        self.bins[low, high] = count

    def _check(self):
        """Refuse numbers that contradict each other."""
        if not self.sent or not self.seconds:
            raise ParseError("dnsperf sent no query.")
        if self.sent != self.completed + self.lost + self.interrupted:
            raise ParseError(
                f"{self.sent} queries were sent, but {self.completed} completed, {self.lost} lost and {self.interrupted} interrupted."
            )
        if sum(self.rcodes.values()) != self.completed or len(self.rcodes) != self.summary["rcodes"][0].count("%"):
            raise ParseError(f"the response codes are {self.rcodes}, of {self.completed} completed queries.")
        rate = float(self.summary["rate"][0])
        if abs(rate * self.seconds - self.completed) > 1e-6 * (self.seconds + rate) + 1e-6:
            raise ParseError(f"{self.completed} queries in {self.seconds:g} s are not {rate:g} a second.")
        if not self.low <= self.mean + MICROSECOND or not self.mean <= self.high:
            raise ParseError(f"the average latency {self.mean:g} s is not between {self.low:g} s and {self.high:g} s.")
        if self.completed > 1 and "deviation" not in self.summary:
            raise ParseError("its statistics lack deviation.")
        self._check_answers()
        self._check_bins()

    def _check_answers(self):
        """Refuse lines of answers that are not those of the summary."""
        if not self.answers:
            if self.completed and " -v " in f"{self.command} ":
                raise ParseError("its command line has -v, but no answer was printed.")
            return
        rcodes: Counter = Counter()
        for (rcode, dummy), count in self.answers.items():
            rcodes[rcode.decode()] += count
        # -O suppress=timeouts leaves out the lines of what was lost.
        lost = self.missing[b"T"]
        if rcodes != Counter(self.rcodes) or lost not in (0, self.lost):
            raise ParseError(f"the lines are of {dict(rcodes)} and {lost} lost, the statistics of {self.rcodes} and {self.lost} lost.")
        values = [float(value) for dummy, value in self.answers]
        total = sum(float(value) * count for (dummy, value), count in self.answers.items())
        if (min(values), max(values)) != (self.low, self.high) or abs(total / self.completed - self.mean) > MICROSECOND:
            raise ParseError("the times of the answers do not give the statistics' average, min and max.")

    def _check_bins(self):
        """Refuse a histogram that is not of all answers."""
        if not self.bins:
            if self.completed > 1 and "latency-histogram" in self.command:
                raise ParseError("its command line has latency-histogram, but there is none.")
            return
        bounds = list(self.bins)
        if sum(self.bins.values()) != self.completed:
            raise ParseError(f"the histogram holds {sum(self.bins.values())} answers, of {self.completed}.")
        if not bounds[0][0] <= self.low <= bounds[0][1] or not bounds[-1][0] <= self.high <= bounds[-1][1]:
            raise ParseError(f"the histogram does not begin with min {self.low:g} s and end with max {self.high:g} s.")

    @property
    def failed(self):
        """Return the number of answers by a server that does not work."""
        return self.completed - sum(self.rcodes.get(rcode, 0) for rcode in GOOD)

    @property
    def timeout(self):
        """Return for how long an answer was waited for, in s."""
        found = TIMEOUT.findall(self.command)
        return float(found[-1]) if found else DEFAULT_TIMEOUT

    def times(self):
        """Return ({(low, high) in s: number of answers}, how many failed ones are among them), or None when they are not known."""
        if self.answers:
            counts: Counter = Counter()
            for (rcode, value), count in self.answers.items():
                if rcode.decode() in GOOD:
                    counts[float(value), float(value)] += count
            return counts, 0
        if self.bins:
            return Counter(self.bins), self.failed
        # The histogram is printed from two answers on; the time of one is its min and max, of none there is nothing to know.
        return (Counter({(self.low, self.high): 1} if self.completed and not self.failed else {}), 0) if self.completed < 2 else None


def _facts(runs: list) -> dict:
    """Return the facts of one or several runs together."""
    sent, completed, lost, interrupted, failed = (sum(getattr(run, key) for run in runs) for key in ("sent", "completed", "lost", "interrupted", "failed"))
    rcodes: Counter = Counter()
    for run in runs:
        rcodes.update(run.rcodes)
    return {
        "version": _version(runs),
        "sent": sent,
        "completed": completed,
        "lost": lost,
        "interrupted": interrupted,
        "failed": failed,
        "good": completed - failed,
        "loss": rounded(lost / sent),
        "rcodes": {name(rcode, "a response code"): count for rcode, count in sorted(rcodes.items())},
        "seconds": max(run.seconds for run in runs),
        "rate": rounded(sum(run.completed / run.seconds for run in runs)),
        "rate_good": rounded(sum((run.completed - run.failed) / run.seconds for run in runs)),
        "offered_rate": rounded(sum(run.sent / run.seconds for run in runs)),
        "timeout": min(run.timeout for run in runs),
        "latency": {**_summary(runs, completed), **_quantiles(runs), "samples": completed - failed, "unmeasured": sent - completed + failed},
    }


def _version(runs: list) -> str:
    """Return the version, which is one for all."""
    versions = sorted({run.version for run in runs})
    if len(versions) > 1:
        raise ParseError(f"the files are of dnsperf {' and '.join(versions)}, which cannot be one measurement.")
    return versions[0]


def _summary(runs: list, completed: int) -> dict:
    """Return {min, mean, max} of all answers, or {} without any."""
    answered = [run for run in runs if run.completed]
    if not answered:
        return {}
    mean = sum(run.mean * run.completed for run in answered) / completed
    return {"min": min(run.low for run in answered), "mean": rounded(mean), "max": max(run.high for run in answered)}


def _quantiles(runs: list) -> dict:
    """Return {p50: s, [low, high] or [longest known, None]} by nearest rank, or {} when no run tells the times of its answers."""
    known = [run.times() for run in runs]
    if None in known:
        if any(run.answers or run.bins for run in runs):
            raise ParseError("some files have the times of their answers (-v, or a histogram), others not.")
        return {}
    merged: Counter = Counter()
    for counts, dummy in known:
        merged.update(counts)
    bins = sorted(merged.items())
    if any(one[0][1] >= other[0][0] for one, other in zip(bins, bins[1:])):
        raise ParseError("the histograms, or the times of answers beside them, do not have the same bins.")
    # A failed answer in a histogram may stand anywhere in it: without it, what it stood below moves up.
    hidden = sum(count for dummy, count in known)
    good = sum(run.completed - run.failed for run in runs)
    longest = max([min(run.timeout for run in runs)] + [bound for (dummy, bound), dummy in bins[-1:]])
    found = {}
    for key, percent in PERCENTILES:
        position = rank(percent, sum(run.sent for run in runs))
        if position > good:
            found[key] = [longest, None]
        else:
            low, high = _value(bins, position)[0], _value(bins, position + hidden)[1]
            found[key] = low if low == high else [low, high]
    return found


def _value(bins: list, position: int) -> tuple:
    """Return the bin in which that one of the sorted values lies, counted from 1."""
    for bounds, count in bins:
        position -= count
        if position <= 0:
            break
    return bounds
