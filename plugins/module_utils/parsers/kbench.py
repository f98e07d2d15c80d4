# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kbench, modes quick and full: the log of its Job to facts. It prints means, no percentiles, and the modes of one test print 0 or null."""

from __future__ import annotations

import re

from .common import ParseError, excerpt, rounded

MODES = ("quick", "full")
FIELD = re.compile(r"^(Size|Mode): *(\S{0,40})$", re.MULTILINE)
SUMMARY = re.compile(r"^FIO Benchmark Summary$", re.MULTILINE)
SIZE = re.compile(r"([0-9]{1,9})([KMGT])i?B?")
UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
# Section of the summary -> its name in the facts, and its unit in ours. fio's bw is in KiB/s.
SECTIONS = {"IOPS": ("iops", 1), "Bandwidth in KiB/sec": ("bandwidth", 1024), "Latency in ns": ("latency", 1e-9)}
HEADING = re.compile(r"^(IOPS|Bandwidth in KiB/sec|Latency in ns) \(Read/Write\)\s*$")
ROW = re.compile(r"^ +(Random|Sequential): +(\S*) / (\S*)\s*$")
VALUE = re.compile(r"[0-9]{1,3}(?:,[0-9]{3}){0,5}")


def parse(text: str) -> dict:
    """Return {mode, size, iops: {random: {read, write}, sequential: {read, write}}, bandwidth: {the same}, latency: {the same}}: means."""
    summaries = list(SUMMARY.finditer(text))
    if len(summaries) != 1:
        found = "no" if not summaries else "several"
        raise ParseError(f"it has {found} summary of kbench; it ends with {excerpt(text.strip()[-80:])}.")
    summary = text[summaries[0].start() :]
    fields = dict(FIELD.findall(summary))
    if fields.get("Mode") not in MODES:
        raise ParseError(f"the mode is {excerpt(fields.get('Mode', ''))}: the summary of any but {' and '.join(MODES)} is not complete.")
    size = SIZE.fullmatch(fields.get("Size", ""))
    if not size:
        raise ParseError(f"the size is {excerpt(fields.get('Size', ''))}, not a number of bytes.")
    facts = _sections(summary)
    for key, dummy in SECTIONS.values():
        for pattern in ("random", "sequential"):
            if pattern not in facts.get(key, {}):
                raise ParseError(f"the summary has no {pattern} {key}, so kbench did not go to its end.")
    return {"mode": fields["Mode"], "size": int(size[1]) * UNITS[size[2]], **facts}


def _sections(summary: str) -> dict:
    """Return {section: {random: {read, write}, sequential: {read, write}}} as far as they are there."""
    facts: dict = {}
    key, unit = None, 1
    # A last line without an end may be cut off in a number.
    for line in summary.split("\n")[:-1]:
        heading, row = HEADING.match(line), ROW.match(line)
        if heading:
            key, unit = SECTIONS[heading[1]]
            if key in facts:
                raise ParseError(f"the section {excerpt(line.strip())} is there twice.")
            facts[key] = {}
        elif row and key:
            pattern = row[1].lower()
            if pattern in facts[key]:
                raise ParseError(f"{key} has {pattern} twice.")
            facts[key][pattern] = {side: _value(value, f"{pattern} {side} {key}", unit) for side, value in (("read", row[2]), ("write", row[3]))}
    return facts


def _value(value: str, what: str, unit):
    """Return a number with commas in base units; kbench prints 0 or null for what it did not measure."""
    if not VALUE.fullmatch(value) or not value.strip("0,"):
        raise ParseError(f"{what} is {excerpt(value)}, so it was not measured.")
    found = int(value.replace(",", "")) * unit
    return rounded(found) if isinstance(found, float) else found
