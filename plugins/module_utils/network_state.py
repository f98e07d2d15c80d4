# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node says about its network, asked from a pod in it: the script that asks, and how its answer becomes facts. Pure.

Connection tracking is that of the pod's network namespace, so that only a pod in the host network tells the node's. kube-proxy listens for
its metrics on loopback of the node.
"""

from __future__ import annotations

import math
import re

from . import histogram, openmetrics

TABLE = ("nf_conntrack_count", "nf_conntrack_max")
# Said in the place of a number that the kernel does not have: nf_conntrack is not loaded.
ABSENT = "absent"
# Of the kernel's own statistics: connections that found no place.
FAILED = ("insert_failed", "drop", "early_drop")
PROGRAMMING = "kubeproxy_network_programming_duration_seconds"
RULES = "kubeproxy_sync_proxy_rules_iptables_total"
START = "process_start_time_seconds"
FAMILIES = (PROGRAMMING, RULES, START)
MODE = re.compile(r"[a-zA-Z]{2,20}")
VERSION = re.compile(r"sockperf, version ([0-9]{1,4}\.[0-9]{1,4})\b")
SECTION = re.compile(r"== ([a-z]+)")
# Bytes of an answer that are read, a hundred times what one has.
LONGEST = 4 << 20

LOOK = f"""
echo "== table"
for one in {' '.join(TABLE)}; do
  value=$(cat "/proc/sys/net/netfilter/$one" 2>/dev/null) && echo "$one $value"
  [ ! -d /proc/sys/net ] || [ -e "/proc/sys/net/netfilter/$one" ] || echo "$one {ABSENT}"
done
echo "== statistics"
cat /proc/net/stat/nf_conntrack 2>/dev/null
echo "== sockperf"
sockperf --version 2>/dev/null
if [ "$1" = host ]; then
  for address in 127.0.0.1 '[::1]'; do
    mode=$(curl --silent --fail --globoff --max-time 3 "http://$address:10249/proxyMode" 2>/dev/null) && break
  done
  printf '== mode\\n%s\\n== metrics\\n' "$mode"
  [ -n "$mode" ] && curl --silent --fail --globoff --max-time 10 "http://$address:10249/metrics" | grep -E '^(# TYPE )?({'|'.join(FAMILIES)})'
fi
echo "== end"
"""


class StateError(Exception):
    """An answer cannot be read; the sentence says what was found."""


def facts_of(text):
    """Return {conntrack: {count, max, failed}, sockperf: its version, proxy: {mode, rules, start, programming: [[bound, count]]}} of an answer.

    What is not known is absent. conntrack: {loaded: False} says that the kernel has no such table.
    """
    parts = sections(text)
    found = {}
    conntrack = {**table(parts.get("table", [])), **statistics(parts.get("statistics", []))}
    if conntrack:
        found["conntrack"] = conntrack
    version = VERSION.search(" ".join(parts.get("sockperf", [])))
    if version:
        found["sockperf"] = version[1]
    mode = " ".join(parts.get("mode", [])).strip()
    if MODE.fullmatch(mode):
        found["proxy"] = {"mode": mode, **metrics(parts.get("metrics", []))}
    return found


def sections(text):
    """Return {name: [line]} of an answer; StateError unless it is whole."""
    found, lines = {}, []
    for line in text.splitlines():
        match = SECTION.fullmatch(line)
        if match:
            lines = found.setdefault(match[1], [])
        else:
            lines.append(line)
    if "end" not in found or found["end"]:
        raise StateError("the answer has no end")
    return found


def table(lines):
    """Return {count, max} of the connection tracking table, each where it is a number; {loaded: False} where the kernel has none."""
    values = dict(line.split(" ", 1) for line in lines if " " in line)
    if all(values.get(name) == ABSENT for name in TABLE):
        return {"loaded": False}
    return {name.rpartition("_")[2]: int(values[name]) for name in TABLE if values.get(name, "").isdigit()}


def statistics(lines):
    """Return {failed}: connections that found no place, from a table of hexadecimal numbers with a row for each processor."""
    names = lines[0].split() if lines else []
    columns = [names.index(name) for name in FAILED if name in names]
    try:
        rows = [[int(value, 16) for value in line.split()] for line in lines[1:]]
        return {"failed": sum(row[column] for row in rows for column in columns)} if columns and rows else {}
    except (ValueError, IndexError):
        return {}


def metrics(lines):
    """Return {start, rules, programming} of kube-proxy's metrics, each where it is there."""
    try:
        families = openmetrics.read([("\n".join(lines) + "\n").encode()], FAMILIES) if lines else {}
        series = {name: list(family.series.values()) for name, family in families.items()}
        found = {"start": series[START][0].value} if series.get(START) else {}
        rules = [one.value for one in series.get(RULES, ()) if one.value is not None]
        if rules:
            found["rules"] = round(sum(rules))
        counts = histogram.merge([histogram.from_counts(one.buckets) for one in series.get(PROGRAMMING, ())])
        if counts:
            found["programming"] = [[None if bound == math.inf else bound, count] for bound, count in counts]
        return found
    except (openmetrics.ExpositionError, histogram.HistogramError):
        return {}


def buckets_of(listed):
    """Return buckets for histogram from the list in the facts."""
    return [(math.inf if bound is None else bound, count) for bound, count in listed]


def programmed(before, after):
    """Return the summary {count, p50, p99, …} of what kube-proxies counted between two looks {pod: facts}, {} unless all of them tell it."""
    found = []
    for pod, first in before.items():
        one, two = first.get("proxy") or {}, (after.get(pod) or {}).get("proxy") or {}
        if "programming" not in one or "programming" not in two or one.get("start") != two.get("start"):
            return {}
        try:
            found.append(histogram.subtract(buckets_of(two["programming"]), buckets_of(one["programming"])))
        except histogram.HistogramError:
            return {}
    try:
        summary = histogram.summary(histogram.merge(found))
    except histogram.HistogramError:
        return {}
    return {name: summary[name] for name in ("count", "p50", "p99") if name in summary}
