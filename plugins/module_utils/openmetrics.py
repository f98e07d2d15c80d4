# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text that /metrics answers (Prometheus 0.0.4 and OpenMetrics): only the families asked for are read.

A big API server answers 50 to 100 MB. The body comes in pieces, a regular expression picks the lines of the families
out of each piece, and everything else is passed over without ever becoming a Python line.
"""

from __future__ import annotations

import math
import re

MAX_LINE = 1 << 20
SHOWN = 100
SUFFIXES = {
    "counter": {"": "value", "_total": "value"},
    "gauge": {"": "value"},
    "histogram": {"_bucket": "bucket", "_sum": "sum", "_count": "count"},
}
UNTYPED = "untyped"
EOF_MARK = b"\n# EOF"

_NAME = rb"[a-zA-Z_:][a-zA-Z0-9_:]*"
# Unrolled, without nested repetition, so that a damaged line costs linear time.
_LABEL = rb'[a-zA-Z_][a-zA-Z0-9_]*="[^"\\]*(?:\\[\\"n][^"\\]*)*"'
_LABELS = rb"\{(?:" + _LABEL + rb"(?:," + _LABEL + rb")*,?)?\}"
_VALUE = rb"[-+]?(?:[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?|[Ii]nf|[Nn]a[Nn])"
_TIME = rb"(?:[ \t]+-?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?)?"
SAMPLE = re.compile(
    rb"(" + _NAME + rb")(?:[ \t]*(" + _LABELS + rb"))?[ \t]+(" + _VALUE + rb")" + _TIME + rb"[ \t]*"
    rb"(?:# " + _LABELS + rb"[ \t]+" + _VALUE + _TIME + rb"[ \t]*)?"
)
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="([^"\\]*(?:\\.[^"\\]*)*)"')
ESCAPE = re.compile(r"\\(.)")
ESCAPED = {"n": "\n"}
BOUND = re.compile(_VALUE)


class ExpositionError(Exception):
    """The text is incomplete or has a line that is not understood; the sentence shows the line's beginning."""


class Family:
    """One family: `type` from its # TYPE line ("untyped" without one), `series` {key: Series}, and the `labels` that occur."""

    def __init__(self, kind):
        self.type = kind
        self.series = {}
        self.labels = set()


class Series:
    """One label set: `labels` {name: value}, and `value`, or for a histogram `buckets` {upper bound: count}, `sum` and `count`."""

    __slots__ = ("buckets", "count", "labels", "sum", "value")

    def __init__(self, labels):
        self.labels = labels
        self.buckets = {}
        self.value = self.sum = self.count = None


def shown(line):
    """Return the beginning of a line (bytes), fit to be printed."""
    text = line[:SHOWN].decode("utf-8", "replace")
    return repr(text + "…" if len(line) > SHOWN else text)


def series_key(labels):
    """Return labels {name: value} as a hashable key in which their order does not matter."""
    return tuple(sorted(labels.items()))


def read(chunks, names, end_mark=False):
    """Return {name: Family} of those `names` that occur in the text, an iterable of bytes; `end_mark`: it must end with # EOF.

    Names are those of samples for counters and gauges, and without _bucket, _sum, _count for histograms.
    """
    lines = _lines_of(names)
    reader = _Reader(names)
    rest = b"\n"
    end = b""
    for chunk in chunks:
        text = rest + chunk
        cut = text.rfind(b"\n")
        if len(text) - cut > MAX_LINE:
            raise ExpositionError(f"A line is longer than {MAX_LINE} bytes: {shown(text[cut + 1:])}. This is not the text of /metrics.")
        if cut:
            reader.lines(lines.findall(text, 0, cut + 1))
            end = text[max(0, cut - len(EOF_MARK)):cut]
        rest = text[cut:]
    if rest != b"\n":
        raise ExpositionError(f"The text is incomplete: its last line does not end: {shown(rest[1:])}.")
    if not end:
        raise ExpositionError("The text is empty.")
    if end_mark and end != EOF_MARK:
        raise ExpositionError("The text is incomplete: # EOF is missing at its end.")
    return reader.families


def _lines_of(names):
    """Return the pattern that finds the families' lines in a text that starts with a line's end: (bucket up to le, bound, count, other line)."""
    aliases = set(names) | {name[:-len("_total")] for name in names if name.endswith("_total")}
    anyone = b"(?:" + b"|".join(re.escape(name).encode() for name in sorted(aliases)) + b")"
    # Known servers write le last: what stands before it identifies the series, whose labels are then read once.
    bucket = rb"(" + anyone + rb'_bucket\{(?:[^}\n]*,)?)le="([^"\\\n]+)"\} ([0-9]+)(?=\n)'
    other = rb"((?:# TYPE " + anyone + rb"|" + anyone + rb"(?:_bucket|_sum|_count|_total)?)(?![a-zA-Z0-9_:])[^\n]*)"
    return re.compile(rb"\n[ \t]*(?:" + bucket + rb"|" + other + rb")")


class _Bounds(dict):
    """Bucket bounds as written (bytes) -> float; "1", "1.0" and "1e0" are the same, and what is no number is None."""

    def __missing__(self, text):
        number = float(text) if BOUND.fullmatch(text) else math.nan
        self[text] = None if math.isnan(number) else number
        return self[text]


class _Reader:
    """Takes the lines of the families in their order."""

    def __init__(self, names):
        self.names = frozenset(names)
        self.families = {}
        self.roles = {}  # sample name -> (family, what its value is); family None: of no use
        self.begun = {}  # start of a bucket line up to le -> the buckets of its series
        self.bounds = _Bounds()

    def lines(self, found):
        """Take what the pattern of `_lines_of` found; ExpositionError names a line that cannot be understood."""
        begun, bounds = self.begun, self.bounds
        for start, bound, count, line in found:
            buckets = begun.get(start) if start else None
            if buckets is None:
                self._line(line or b'%ble="%b"} %b' % (start, bound, count), start)
            else:
                number = bounds[bound]
                if number is None or number in buckets:
                    raise ExpositionError(f"A bucket occurs twice or its le is not a number: {shown(start + b'le=' + bound)}.")
                buckets[number] = float(count)

    def _line(self, line, start):
        """Take one line; `start` is what stands before le in a bucket line that the pattern has recognised."""
        if line.startswith(b"# TYPE "):
            self._type(line)
            return
        sample = SAMPLE.fullmatch(line)
        if not sample:
            raise ExpositionError(f"A line is not understood: {shown(line)}.")
        name, labels, value = sample.groups()
        family, role = self._role(name.decode(), line)
        if family is None:
            return
        labels = self._labels(labels or b"", line)
        bound = self.bounds[labels.pop("le", "").encode()] if role == "bucket" else None
        key = series_key(labels)
        series = family.series.get(key)
        if series is None:
            series = family.series[key] = Series(labels)
            family.labels.update(labels)
        if role != "bucket":
            if getattr(series, role) is not None:
                raise ExpositionError(f"A series occurs twice: {shown(line)}.")
            setattr(series, role, float(value))
            return
        if bound is None or bound in series.buckets:
            raise ExpositionError(f"A bucket occurs twice or its le is not a number: {shown(line)}.")
        series.buckets[bound] = float(value)
        if start:
            self.begun[start] = series.buckets

    def _type(self, line):
        """Take a # TYPE line: from here on the names of the family's samples are known."""
        words = line.decode("utf-8", "replace").split()
        if len(words) != 4:
            raise ExpositionError(f"A line is not understood: {shown(line)}.")
        family_name, kind = words[2:]
        name = family_name
        if name not in self.names:
            name += "_total"
            if name not in self.names or kind != "counter":
                return
        if name in self.families:
            raise ExpositionError(f"{family_name} is described twice, or after its samples: {shown(line)}.")
        family = self.families[name] = Family(kind)
        for suffix, role in SUFFIXES.get(kind, {}).items():
            self.roles[family_name + suffix] = (family, role)
        if kind not in SUFFIXES:
            self.roles[family_name] = (None, "")

    def _role(self, name, line):
        """Return the family of a sample and what its value is."""
        found = self.roles.get(name)
        if found:
            return found
        if name in self.families:
            raise ExpositionError(f"A line does not belong to a {self.families[name].type}: {shown(line)}.")
        if name in self.names:
            self.families[name] = Family(UNTYPED)
            self.roles[name] = (None, "")
        return None, ""

    @staticmethod
    def _labels(text, line):
        """Return the labels of a sample as {name: value}."""
        try:
            pairs = LABEL.findall(text.decode())
        except UnicodeDecodeError as error:
            raise ExpositionError(f"A line is not UTF-8: {shown(line)}.") from error
        labels = {name: ESCAPE.sub(_unescape, value) if "\\" in value else value for name, value in pairs}
        if len(labels) != len(pairs):
            raise ExpositionError(f"A label occurs twice: {shown(line)}.")
        return labels


def _unescape(match):
    """Return the character that an escape stands for."""
    return ESCAPED.get(match.group(1), match.group(1))
