# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person would rather look at, picked out of the facts of a run: distributions, pairs of nodes, ramps. Pure; nothing is invented."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Dict, List, Optional, Tuple

POINTS = ("p50", "p90", "p95", "p99", "p999", "max")
# A percentile of fewer observations is a guess.
FEWEST = 20
# A chart with more rows is not looked at.
MOST = 24
# What is kept of a step of a stress run.
STEP = ("name", "phase", "share", "offered", "p99", "errors", "held", "broke_by")
PAIR = re.compile(r"(.+) -> (.+?)(?: \(([^()]*)\))?")
# What is drawn of a pair of nodes: path of the fact, title, unit, and whether more is better.
OF_PAIRS = (("tcp.rate", "Throughput between pods", "bit/s", True), ("rtt.p99", "Round trip between pods, P99", "s", False))


def collect(facts: Mapping) -> List[dict]:
    """Return the plots of {`<layer>/<host>` or `<layer>/cluster/<name>`: document}, in a fixed order.

    {kind: percentiles, layer, title, unit, rows: [{name, count, points: {p50, …, max}}]}
    {kind: pairs, layer, title, unit, more_is_better, rows: [{from, to, value}]}
    {kind: ramp, layer, title, unit, rows: [{offered, rate, p99}]}; of a stress run with unit_of_rate, said, broke (the rate at which it broke) and
    rows [{name, phase, share, offered, rate, p99, errors, held, broke_by}]
    {kind: time, layer, title, unit, about (a word in the id of the check that judges it), every, rows: [{name, points: [{at, count, p99}]}]}
    """
    found: Dict[str, List[dict]] = {}
    pairs: List[dict] = []
    ramps: List[dict] = []
    times: Dict[Tuple, List[dict]] = {}
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
    return [_percentiles(layer, rows) for layer, rows in sorted(found.items())] + pairs + ramps + [_times(*key, rows) for key, rows in sorted(times.items())]


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
    plots = []
    for path, title, unit, more_is_better in OF_PAIRS:
        rows = [{"from": match.group(1), "to": match.group(2), "value": _at(entry, path)} for match, entry in named if match and _is_size(_at(entry, path))]
        if rows:
            plots.append({"kind": "pairs", "layer": layer, "title": title, "unit": unit, "more_is_better": more_is_better, "rows": rows})
    return plots


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
    """Return how slow the WAL's fsyncs were over the time of a soak, of one member."""
    fsync = _at(document, "soak.fsync")
    points, every = _at(fsync, "over_time"), _at(fsync, "every")
    points = [one for one in points if isinstance(one, Mapping) and _is_size(one.get("at"))] if isinstance(points, list) else []
    return [{"name": name or layer, "every": every, "points": points}] if len(points) > 1 and _is_size(every) else []


def _times(layer: str, every: float, rows: List[dict]) -> dict:
    title = "Fsync of the write-ahead log over time, P99"
    return {"kind": "time", "layer": layer, "title": title, "unit": "s", "about": "fsync", "every": every, "rows": rows}


def _at(value: Any, path: str) -> Optional[Any]:
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _is_size(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
