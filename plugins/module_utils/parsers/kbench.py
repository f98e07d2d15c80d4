# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kbench, modes quick and full: the log of its Job, and the results of fio that it sums up, to facts.

The log has means and no percentiles; fio's results, which stay where kbench ran, have them. The modes of one test print 0 or null.
"""

from __future__ import annotations

import os
import re

from . import fio
from .common import ParseError, decode_json, excerpt, mapping, number, rounded

MODES = ("quick", "full")
FIELD = re.compile(r"^(Size|Mode): *(\S{0,40})$", re.MULTILINE)
SUMMARY = re.compile(r"^FIO Benchmark Summary$", re.MULTILINE)
SIZE = re.compile(r"([0-9]{1,9})([KMGT])i?B?")
UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
# Section of the summary -> its name in the facts, and its unit in ours. fio's bw is in KiB/s.
SECTIONS = {"IOPS": ("iops", 1), "Bandwidth in KiB/sec": ("bandwidth", 1024), "Latency in ns": ("latency", 1e-9)}
UNIT = dict(SECTIONS.values())
HEADING = re.compile(r"^(IOPS|Bandwidth in KiB/sec|Latency in ns) \(Read/Write\)\s*$")
ROW = re.compile(r"^ +(Random|Sequential): +(\S*) / (\S*)\s*$")
VALUE = re.compile(r"[0-9]{1,3}(?:,[0-9]{3}){0,5}")
# Where kbench runs: its log, and with OUTPUT=./<PREFIX> fio's results, one file for each section.
LOG = "stdout"
PREFIX = "test_device"
# The jobs of each file, by what the summary calls them; and where in a job's results a section's mean is, which the summary cuts to a whole number.
ORDERS = {"random": "rand", "sequential": "seq"}
ENDINGS = {"iops": "iops", "bandwidth": "bw", "latency": "lat"}
MEANS = {"iops": ("iops_mean",), "bandwidth": ("bw_mean",), "latency": ("lat_ns", "mean")}
LARGEST_FILE = 4 * 1024 * 1024


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


def parse_files(path: str) -> dict:
    """Return the facts of the directory in which kbench ran: those of its log, and fio: {iops, bandwidth, latency: {jobs, devices}} as fio's parser has it.

    A job is called rand-read-iops, seq-write-bw, rand-write-lat and so on. ParseError when the log is not of these results.
    """
    file, results = LOG, {}
    try:
        facts = parse(_text(os.path.join(path, file)))
        for key in ENDINGS:
            file = f"{PREFIX}-{key}.json"
            text = _text(os.path.join(path, file))
            results[key] = fio.parse(text)
            _check_means(key, facts[key], text)
    except ParseError as error:
        raise ParseError(f"{file}: {error}") from error
    return {**facts, "fio": results}


def job_name(section: str, order: str, side: str) -> str:
    """Return what fio calls a job: of the section iops, bandwidth or latency, the order random or sequential, and the side read or write."""
    return f"{ORDERS[order]}-{side}-{ENDINGS[section]}"


def _text(path: str) -> str:
    """Return the text of a small file."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            text = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ParseError(f"it cannot be read: {error.strerror}.") from error
    if len(text) > LARGEST_FILE:
        raise ParseError(f"it is larger than {LARGEST_FILE} bytes.")
    return text


def _check_means(section: str, said: dict, text: str) -> None:
    """Refuse results of fio that are not those of the summary; fio's parser has seen that they are whole."""
    jobs = {entry["jobname"]: entry for entry in decode_json(text, fio.DOCUMENT.search(text).start())[0].get("jobs", ())}
    for order in ORDERS:
        for side in ("read", "write"):
            name, value = job_name(section, order, side), jobs
            for key in (name, side, *MEANS[section]):
                value = mapping(value, f"{side} of job {name}").get(key)
            found = _value(f"{int(number(value, f'the mean of job {name}')):,}", f"{order} {side} {section}", UNIT[section])
            if found != said[order][side]:
                raise ParseError(f"the mean of job {name} is {found:g}, but the summary says {said[order][side]:g}.")


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
