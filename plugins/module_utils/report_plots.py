# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person would rather look at, picked out of the facts of a run: distributions, pairs of nodes, ramps. Pure; nothing is invented."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Dict, List, Optional, Tuple

from .network_layout import BETWEEN_ZONES

POINTS = ("p50", "p90", "p95", "p99", "p999", "max")
# A percentile of fewer observations is a guess.
FEWEST = 20
# A chart with more rows is not looked at.
MOST = 24
# A soak of a month has 720, of an hour each.
MOST_STRETCHES = 2000
# What is kept of a step of a stress run.
STEP = ("name", "phase", "share", "offered", "p99", "errors", "held", "broke_by")
PAIR = re.compile(r"(.+) -> (.+?)(?: \(([^()]*)\))?")
# What is drawn of a pair of nodes: path of the fact, title, unit, and whether more is better.
OF_PAIRS = (("tcp.rate", "Throughput between pods", "bit/s", True), ("rtt.p99", "Round trip between pods, P99", "s", False))


def collect(facts: Mapping) -> List[dict]:
    """Return the plots of {`<layer>/<host>` or `<layer>/cluster/<name>`: document}, in a fixed order.

    {kind: percentiles, layer, title, unit, rows: [{name, count, points: {p50, …, max}}]}
    {kind: pairs, layer, title, unit, more_is_better, nodes: [those that were to take part], rows: [{from, to, value}]}
    {kind: ramp, layer, title, unit, rows: [{offered, rate, p99}]}; of a stress run with unit_of_rate, said, broke (the rate at which it broke) and
    rows [{name, phase, share, offered, rate, p99, errors, held, broke_by}]
    {kind: time, layer, title, unit, about (a word in the id of the check that judges it), every, rows: [{name, points: [{at, count, p99}]}]}
    What was to be measured between nodes or over time, and was not, stands there with null as its value or p99: a gap must not look like nothing.
    """
    found: Dict[str, List[dict]] = {}
    pairs: List[dict] = []
    ramps: List[dict] = []
    times: Dict[Tuple, List[dict]] = {}
    hosts: Dict[str, List[str]] = {}
    for path in sorted(facts):
        layer, dummy, name = path.partition("/")
        document = facts[path]
        if not isinstance(document, Mapping):
            continue
        name = "" if name.startswith("cluster/") else name
        for place, points in _distributions(document, ()):
            known = {key: points[key] for key in POINTS if _is_size(points.get(key))}
            row = {"name": " ".join((name, *place)).strip(), "count": points["count"], "points": known}
            rows = found.setdefault(layer, [])
            # The same pair of nodes stands in several groups.
            if not any(row["points"] == other["points"] and row["count"] == other["count"] for other in rows):
                rows.append(row)
        pairs += _pairs(layer, document)
        ramps += _stress(layer, document) or _ramp(layer, document)
        for one in _over_time(layer, name, document):
            times.setdefault((layer, one.pop("every")), []).append(one)
        if not path.partition("/")[2].startswith("cluster/"):
            hosts.setdefault(layer, []).append(name or layer)
    # One stretch alone is no course of time.
    times = {key: rows for key, rows in times.items() if max(row["wanted"] for row in rows) > 1}
    over_time = [_times(*key, rows, _without(key, times, hosts)) for key, rows in sorted(times.items())]
    return [_percentiles(layer, rows) for layer, rows in sorted(found.items())] + pairs + ramps + over_time


def _percentiles(layer: str, rows: List[dict]) -> dict:
    return {"kind": "percentiles", "layer": layer, "title": "Latencies by percentile", "unit": "s", "rows": rows[:MOST], "left_out": len(rows[MOST:])}


def _distributions(value: Any, place: Tuple) -> Iterator[Tuple[tuple, Mapping]]:
    """Yield (place, map) of every map with a median, a 99th percentile and enough observations."""
    if not isinstance(value, Mapping):
        return
    if _is_size(value.get("p50")) and _is_size(value.get("p99")) and _is_size(value.get("count")) and value["count"] >= FEWEST:
        yield tuple(part for part in place if part != "latency"), value
        return
    for key in sorted(value, key=str):
        yield from _distributions(value[key], (*place, str(key)))


def _pairs(layer: str, document: Mapping) -> List[dict]:
    """Return a plot for each quantity that was measured between nodes."""
    every = document.get("every")
    named = [(PAIR.fullmatch(str(key)), entry) for key, entry in sorted(every.items())] if isinstance(every, Mapping) else []
    known = [(match, entry) for match, entry in named if match]
    nodes = _nodes(document)
    plots = []
    for path, title, unit, more_is_better in OF_PAIRS:
        rows = [{**_ends(match, nodes), "value": _at(entry, path) if _is_size(_at(entry, path)) else None} for match, entry in known]
        if any(row["value"] is not None or _is_missed(entry, path) for row, (dummy, entry) in zip(rows, known)):
            about = {"kind": "pairs", "layer": layer, "title": title, "unit": unit, "more_is_better": more_is_better}
            plots.append({**about, "nodes": nodes, "rows": rows})
    return plots


def _ends(match: Any, nodes: List[str]) -> Dict[str, str]:
    """Return {from, to} of a pair; a zone without a node that takes part stands for itself, and is no node."""
    ends = dict(zip(("from", "to"), match.groups()))
    is_zone = match.group(3) == BETWEEN_ZONES and nodes
    return {key: f"zone {name}" if is_zone and name not in nodes else name for key, name in ends.items()}


def _is_missed(entry: Any, path: str) -> bool:
    """Say whether a pair of nodes tells why it has no such number: of what was not to be measured it tells nothing."""
    why = _at(entry, "missing")
    return isinstance(why, Mapping) and bool(why.get("") or why.get(path.partition(".")[0]))


def _nodes(document: Mapping) -> List[str]:
    """Return the nodes that were to take part, whether a pair has them or not."""
    found = [_at(document, f"layout.{name}") for name in ("taking_part", "left_out")]
    return sorted({name for names in found if isinstance(names, (list, Mapping)) for name in names if isinstance(name, str)})


def _ramp(layer: str, document: Mapping) -> List[dict]:
    """Return the steps of a plan whose own facts are in the document: what was offered, what was carried, and how slow it was."""
    plan = document.get("plan")
    steps = plan.get("steps") if isinstance(plan, Mapping) else None
    rows = []
    for step in steps if isinstance(steps, list) else []:
        own = document.get(step.get("name")) if isinstance(step, Mapping) else None
        offered, rate, slow = (step.get("rate"), _at(own, "rate"), _at(own, "latency.p99")) if isinstance(own, Mapping) else (None, None, None)
        if _is_size(offered) and _is_size(rate) and _is_size(slow):
            rows.append({"offered": offered, "rate": rate, "p99": slow})
    rows.sort(key=lambda row: row["offered"])
    different = len({row["offered"] for row in rows}) > 1
    return [{"kind": "ramp", "layer": layer, "title": "Latency as the load rises, P99", "unit": "s", "rows": rows}] if different else []


def _stress(layer: str, document: Mapping) -> List[dict]:
    """Return the ramp of a stress run, of the layer or of each of its classes: every step, the breaking point, and the sentence that says it."""
    classes = document.get("classes")
    every = {"": document, **(classes if isinstance(classes, Mapping) else {})}
    plots = []
    for name in sorted(every, key=str):
        stress = _at(every[name], "stress")
        steps = _at(stress, "steps")
        rows = []
        for step in steps if isinstance(steps, list) else []:
            row = {key: step[key] for key in STEP if key in step} if isinstance(step, Mapping) else {}
            if _is_size(row.get("offered")) and _is_size(step.get("achieved")):
                rows.append({**row, "rate": step["achieved"]})
        if rows:
            plot = {"kind": "ramp", "layer": layer, "title": f"How far it carries {name}".strip(), "unit": "s", "rows": rows}
            told = {"unit_of_rate": _at(stress, "unit"), "said": _at(stress, "said"), "broke": _at(stress, "broke.rate")}
            plots.append({**plot, **{key: one for key, one in told.items() if one}})
    return plots


def _over_time(layer: str, name: str, document: Mapping) -> List[dict]:
    """Return how slow the WAL's fsyncs were over the time of a soak, of one member, in as many stretches as it was to have."""
    fsync = _at(document, "soak.fsync")
    points, every, planned = _at(fsync, "over_time"), _at(fsync, "every"), _at(fsync, "stretches")
    points = [one for one in points if isinstance(one, Mapping) and _is_size(one.get("at"))] if isinstance(points, list) else []
    if not points or not _is_size(every) or not every:
        return []
    known = {round(one["at"] / every): one for one in points}
    wanted = max([max(known) + 1, *([int(planned)] if _is_size(planned) else [])])
    return [{"name": name or layer, "every": every, "known": known, "wanted": wanted}]


def _without(key: Tuple, times: Mapping, hosts: Mapping) -> List[str]:
    """Return the hosts of a layer without anything over time, once: a layer may have soaks of several lengths."""
    layer = key[0]
    if key != min(one for one in times if one[0] == layer):
        return []
    drawn = {row["name"] for one, rows in times.items() if one[0] == layer for row in rows}
    return [name for name in hosts.get(layer, []) if name not in drawn]


def _times(layer: str, every: float, rows: List[dict], without: List[str]) -> dict:
    """Return the plot of members, with every stretch of time that any of them was to have; what is beyond all reason is not filled."""
    title = "Fsync of the write-ahead log over time, P99"
    wanted = max(row["wanted"] for row in rows)
    drawn = []
    for row in sorted([*rows, *({"name": name, "known": {}} for name in without)], key=lambda row: row["name"]):
        numbers = range(wanted) if wanted <= MOST_STRETCHES else sorted(row["known"])
        points = [row["known"].get(number) or {"at": round(number * every, 3), "p99": None} for number in numbers]
        drawn.append({"name": row["name"], "points": points})
    return {"kind": "time", "layer": layer, "title": title, "unit": "s", "about": "fsync", "every": every, "rows": drawn}


def _at(value: Any, path: str) -> Optional[Any]:
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _is_size(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
