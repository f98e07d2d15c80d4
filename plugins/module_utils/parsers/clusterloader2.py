# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""clusterloader2: the directory of its reports (--report-dir) to facts: junit.xml says what failed, PerfData files what was measured.

It writes 0 for percentiles of which it has no observation, says of none how many there are, and writes no junit.xml when it breaks off.
"""

from __future__ import annotations

import os
import re
from xml.etree import ElementTree

from .common import ParseError, decode_json, excerpt, integer, mapping, message, name, number, rounded, sequence

JUNIT = "junit.xml"
MOST_FILES = 1000
LARGEST = 64 * 1024 * 1024
# <what>_<identifier>_<name of the test>_<time>.json; the time is of seconds, so that what was measured twice has two files.
FILE = re.compile(r"([A-Za-z0-9]+)(?:_.*)?_(20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}[^/]*)\.json")
WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
PERCENTILES = {"Perc50": "p50", "Perc90": "p90", "Perc99": "p99"}
UNITS = {"ms": 1e-3, "s": 1.0, "us": 1e-6, "ns": 1e-9}
THROUGHPUT = {"perc50": "p50", "perc90": "p90", "perc99": "p99", "max": "max"}
# What carries these labels is one series of the API servers; the others are named by Metric.
SERIES = ("Verb", "Resource", "Subresource", "Scope")


def parse(path: str) -> dict:
    """Return {tests, failed, failures: [text], seconds, <measurement>: {<metric>: {p50, p90, p99}}, scheduling_throughput?: {p50, p90, p99, max}}.

    Durations in s, rates in 1/s. A metric without an observation is left out. Of API servers a metric is a series such as POST pods/binding namespace,
    with `count` where it is told.
    """
    try:
        names = sorted(os.listdir(path))
    except OSError as error:
        raise ParseError(f"{path}: {error.strerror}.") from error
    if JUNIT not in names:
        raise ParseError(f"it has no {JUNIT}, so clusterloader2 did not come to its end; there are {', '.join(names[:5]) or 'no files'}.")
    if len(names) > MOST_FILES:
        raise ParseError(f"it has {len(names)} files: give each run a directory of its own.")
    facts = _junit(_read(path, JUNIT))
    for one in names:
        found = FILE.fullmatch(one)
        if found:
            what = WORD.sub("_", found[1]).lower()
            if what in facts:
                raise ParseError(f"{what} is there twice: give each run a directory of its own.")
            measured = _measured(what, _document(_read(path, one), one), one)
            facts.update({what: measured} if measured else {})
    return facts


def _read(path: str, one: str) -> str:
    try:
        with open(os.path.join(path, one), "rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        raise ParseError(f"{one}: {error.strerror}.") from error
    if len(data) > LARGEST:
        raise ParseError(f"{one} is larger than {LARGEST // 1024**2} MiB.")
    return data.decode("utf-8", "replace")


def _document(text: str, file: str):
    found, end = decode_json(text.strip())
    if end != len(text.strip()):
        raise ParseError(f"{file} has more than one document.")
    return found


def _junit(text: str) -> dict:
    """Return {tests, failed, failures, seconds}; the counts of the suite and what is listed have to agree."""
    if "<!" in text.replace("<![CDATA[", ""):
        raise ParseError(f"{JUNIT} has a declaration, which clusterloader2 does not write.")
    try:
        suite = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ParseError(f"{JUNIT} is no whole document: {error}.") from error
    cases = suite.findall("testcase")
    if suite.tag != "testsuite" or not cases:
        raise ParseError(f"{JUNIT} has no testsuite with a testcase; it begins with {excerpt(text)}.")
    broken = [one for one in cases if one.find("failure") is not None or one.find("error") is not None]
    told = _count(suite, "failures") + _count(suite, "errors")
    if told != len(broken):
        raise ParseError(f"{JUNIT} says that {told} steps failed, and lists {len(broken)}.")
    seconds = _float(suite.get("time"))
    found = [f"{one.get('name')}: {(one.findtext('failure') or one.findtext('error') or 'no reason was given').strip()}" for one in broken]
    facts = {"tests": len(cases), "failed": len(broken), "failures": [message(one, "a failure") for one in found[:10]]}
    return {**facts, **({} if seconds is None else {"seconds": seconds})}


def _count(suite, key: str) -> int:
    text = suite.get(key, "0")
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise ParseError(f"{key} of {JUNIT} is {excerpt(text)}, not a number.")
    return int(text)


def _float(text):
    return rounded(float(text)) if text and re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,12})?", text) else None


def _measured(what: str, content, file: str) -> dict:
    """Return what one file has: PerfData, or the plain numbers of the throughput."""
    content = mapping(content, file)
    if "dataItems" in content:
        return _items(sequence(content["dataItems"] or [], f"dataItems of {file}"), file)
    if set(THROUGHPUT) <= set(content) and what == "scheduling_throughput":
        found = {ours: rounded(number(content[theirs], f"{theirs} of {file}")) for theirs, ours in THROUGHPUT.items()}
        # Nothing that was scheduled is no rate of 0: it was not looked, or there was nothing to schedule.
        return found if found["max"] else {}
    return {}


def _items(items: list, file: str) -> dict:
    """Return {metric: {p50, p90, p99, count?}} of PerfData; ParseError when a metric is there twice."""
    facts: dict = {}
    for one in items:
        one = mapping(one, f"a dataItem of {file}")
        labels, data = mapping(one.get("labels") or {}, f"labels in {file}"), mapping(one.get("data"), f"data in {file}")
        if not set(PERCENTILES) <= set(data) or one.get("unit") not in UNITS:
            continue
        metric = name(_name(labels), f"a metric of {file}")
        if metric in facts:
            raise ParseError(f"{metric} is twice in {file}.")
        values = {ours: rounded(number(data[theirs], f"{theirs} of {metric}") * UNITS[one["unit"]]) for theirs, ours in PERCENTILES.items()}
        if list(values.values()) != sorted(values.values()):
            raise ParseError(f"the percentiles of {metric} in {file} fall: {excerpt(data)}.")
        if any(values.values()):
            facts[metric] = {**values, **_told(labels, metric)}
    return facts


def _name(labels: dict):
    if not set(SERIES) <= set(labels):
        return labels.get("Metric")
    part = f"/{labels['Subresource']}" if labels["Subresource"] else ""
    return f"{labels['Verb']} {labels['Resource']}{part} {labels['Scope']}"


def _told(labels: dict, metric: str) -> dict:
    """Return {count} where the labels of a series have it."""
    count = labels.get("Count")
    return {} if count is None else {"count": integer(int(count) if str(count).isdigit() else count, f"Count of {metric}")}
