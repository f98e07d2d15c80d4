# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plots as inline SVG and HTML: shapes and words carry the meaning, colour only repeats it; places in percent fit a phone and a page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Callable, Dict, List, Optional

from . import bounds
from .human import human
from .report_markup import Html, escape, join, table, tag
from .report_plots import POINTS
from .report_words import cut, number, parsed, word

HEIGHT = 22
MIDDLE = 11
# From this ratio of the largest to the smallest number on, an axis is logarithmic.
WIDE = 8
MOST_NODES = 16
MOST_PAIRS = 24
LEGEND = (
    "How to read: ● PASS, ◆ CONDITIONAL PASS, ✕ FAIL, ○ not decided; a bar is a range of a histogram. "
    "T (dashed) is the target, C is critical, and the shaded side is beyond it."
)
LEGEND_PAIRS = "A · is a pair that was not to be measured."
NOT_MEASURED = "not measured"
LEGEND_ROWS = "● is P99, the bar reaches from the median to the largest one seen, | is P90. T and C are the bounds of the check that judges this number."


def scale(numbers: Sequence[float]) -> Callable[[float], str]:
    """Return a function that gives a number's place between 8 % and 88 %, so that there is room for what lies beyond a bound."""
    above = [one for one in numbers if one > 0]
    wide = bool(above) and len(above) == len(numbers) and max(above) / min(above) > WIDE
    convert = math.log10 if wide else float
    low, high = (convert(min(numbers)), convert(max(numbers))) if wide else (min([0.0, *numbers]), max([0.0, *numbers]))
    span = (high - low) or 1.0

    def place(one: float) -> str:
        return f"{8 + 80 * (convert(one) - low) / span:.2f}%"

    return place


def strip(findings: Sequence[Mapping]) -> Html:
    """Return all values of one check against its bounds, or "" where there is no number with a bound."""
    limits: Dict[str, bounds.Bound] = {}
    for name in ("target", "critical"):
        # Bounds of tiers differ: those of the worst finding are drawn.
        limit = parsed(findings[0].get(name))
        if limit:
            limits[name] = limit
    ranges = [(ends, finding["result"]) for ends, finding in ((ends_of(finding.get("value")), finding) for finding in findings) if ends]
    if not limits or not ranges:
        return Html("")
    high_is_bad = bounds.SIDE[next(iter(limits.values())).operator] > 0
    place = scale([end for ends, dummy in ranges for end in ends] + [float(limit.literal) for limit in limits.values()])
    drawn: List[Html] = [tag("line", class_="axis", x1="0", x2="100%", y1=MIDDLE, y2=MIDDLE)]
    worst = limits.get("critical") or limits["target"]
    at = place(float(worst.literal))
    rest = f"{100 - float(at[:-1]):.2f}%"
    drawn.append(tag("rect", class_="zone", x=at if high_is_bad else "0", width=rest if high_is_bad else at, y=3, height=HEIGHT - 6))
    drawn += [_limit(name, place(float(limit.literal))) for name, limit in limits.items()]
    # Of a thousand hosts with about the same value one shape is seen; the worst, which stands first, is drawn last and on top.
    shapes: Dict[tuple, tuple] = {}
    for ends, result in ranges:
        shapes.setdefault((*(round(float(place(end)[:-1]) * 2) for end in ends), result), (ends, result))
    drawn += [_value(place, ends, result) for ends, result in reversed(shapes.values())]
    missing = sum(finding.get("value") is None for finding in findings)
    said = f"{len(ranges)} value{'s' if len(ranges) > 1 else ''}; worst {human(findings[0].get('value'), findings[0].get('unit'))}"
    said += f"; {missing} {NOT_MEASURED}" if missing else ""
    bound = "; ".join(f"{name} {human(findings[0][name], findings[0].get('unit'))}" for name in limits)
    return svg(drawn, f"{said}; {bound}")


def ends_of(seen: Any) -> Optional[tuple]:
    """Return (low, high) of a number or an interval; an end that is open ends where it begins."""
    low = number(seen, False)
    high = number(seen, True)
    return None if low is None else (low, low if high is None else high)


def svg(drawn: Iterable, said: str, height: int = HEIGHT) -> Html:
    return tag("svg", *drawn, width="100%", height=height, role="img", aria_label=said)


def _limit(name: str, at: str) -> Html:
    """Return the line of a bound; its letter stands at the left of a target and at the right of critical, as both may be close together."""
    line = tag("line", class_="limit soft-limit" if name == "target" else "limit", x1=at, x2=at, y1=2, y2=HEIGHT - 2)
    beside = {"dx": -2, "text_anchor": "end"} if name == "target" else {"dx": 2}
    return join([line, tag("text", name[0].upper(), class_="label", x=at, y=9, **beside)])


def _value(place: Callable, ends: tuple, result: str) -> Html:
    """Return the shape of one value, or the bar of an interval."""
    low, high = ends
    if low != high:
        return tag("line", class_="range", x1=place(low), x2=place(high), y1=MIDDLE, y2=MIDDLE)
    at = place(low)
    if result == "PASS":
        return tag("circle", class_="dot", cx=at, cy=MIDDLE, r=4)
    if result not in ("FAIL", "CONDITIONAL"):
        return tag("circle", class_="hollow", cx=at, cy=MIDDLE, r=4)
    shape = {"d": "M-4 -4L4 4M-4 4L4 -4", "class_": "cross"} if result == "FAIL" else {"d": "M0 -5L5 0L0 5L-5 0Z", "class_": "dot"}
    return tag("svg", tag("path", **shape), x=at, y=MIDDLE)


def percentiles(data: Mapping, rows: Sequence[Mapping], findings: Sequence[Mapping]) -> Html:
    """Return a line for each distribution on one axis, with the bounds of the check whose value its P99 is."""
    judged: Dict[float, Mapping] = {}
    for finding in findings:
        if finding["layer"] == data.get("layer") and finding.get("unit") == "s" and ends_of(finding.get("value")):
            judged.setdefault(float(ends_of(finding["value"])[1]), finding)
    drawn = []
    sizes = [float(size) for row in rows for size in row.get("points", {}).values() if number(size, True) is not None and size > 0]
    limits = {id(row): bounds_in(judged.get(float(row["points"]["p99"]))) for row in rows if number(row.get("points", {}).get("p99"), True) is not None}
    if not sizes:
        return Html("")
    place = scale(sizes + [one for own in limits.values() for one in own.values()] + [min(sizes) / 2])
    for row in rows:
        sizes_of = row.get("points", {})
        points = {key: float(sizes_of[key]) for key in POINTS if number(sizes_of.get(key), True) is not None and sizes_of[key] > 0}
        if "p99" not in points:
            continue
        shapes = [tag("line", class_="axis", x1="0", x2="100%", y1=MIDDLE, y2=MIDDLE)]
        shapes += [_limit(name, place(one)) for name, one in limits.get(id(row), {}).items()]
        if "p50" in points:
            last = place(max(points.values()))
            shapes.append(tag("line", class_="range", x1=place(points["p50"]), x2=last, y1=MIDDLE, y2=MIDDLE, opacity=".45"))
        if "p90" in points:
            shapes.append(tag("line", class_="thin", x1=place(points["p90"]), x2=place(points["p90"]), y1=MIDDLE - 5, y2=MIDDLE + 5))
        shapes.append(tag("circle", class_="dot", cx=place(points["p99"]), cy=MIDDLE, r=4))
        said = ", ".join(f"{key} {human(size, 's')}" for key, size in points.items())
        drawn += [tag("span", row.get("name") or data.get("layer"), class_="name"), svg(shapes, said), tag("span", human(points["p99"], "s"), class_="end")]
    drawn = [tag("span", "", class_="name"), _axis(place, min(sizes), max(sizes)), tag("span", "P99", class_="end soft"), *drawn]
    more = f" {data['left_out']} more are in facts/." if data.get("left_out") else ""
    return join([tag("h3", data.get("title")), tag("p", LEGEND_ROWS + more, class_="legend"), tag("div", *drawn, class_="rows")])


def _axis(place: Callable, low: float, high: float) -> Html:
    """Return the powers of ten between the smallest and the largest size, as an axis."""
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    marks = [(place(10.0**power), human(10.0**power, "s")) for power in powers]
    ticks = [tag("line", class_="axis", x1=at, x2=at, y1=15, y2=HEIGHT) for at, dummy in marks]
    return svg(ticks + [tag("text", text, class_="label", x=at, y=12, text_anchor="middle") for at, text in marks], "axis in seconds")


def bounds_in(finding: Optional[Mapping]) -> Dict[str, float]:
    found = {name: parsed(finding.get(name)) for name in ("target", "critical")} if finding else {}
    return {name: float(limit.literal) for name, limit in found.items() if limit and limit.literal > 0}


def pairs(data: Mapping, rows: Sequence[Mapping], findings: Sequence[Mapping]) -> Html:
    """Return the node-pair matrix, or the worst pairs where there are too many nodes; what has no number stands there as not measured."""
    more_is_better, unit = bool(data.get("more_is_better")), data.get("unit")
    known = [row for row in rows if number(row.get("value"), True) is not None]
    ordered = sorted(known, key=lambda row: (row["value"] if more_is_better else -row["value"], str(row.get("from")), str(row.get("to"))))
    missing = [row for row in rows if number(row.get("value"), True) is None]
    own = data.get("nodes") if isinstance(data.get("nodes"), list) else []
    paired = {cut(row.get(end)) for row in rows for end in ("from", "to")}
    alone = sorted({cut(name) for name in own} - paired)
    names = sorted([*paired, *alone])
    text = f"{len(missing)} of {len(rows)} pairs were {NOT_MEASURED}." if missing else ""
    if ordered:
        seen = f"{cut(ordered[0].get('from'))} to {cut(ordered[0].get('to'))}, {human(ordered[0]['value'], unit)}"
        text = f"{'Less' if more_is_better else 'More'} is worse; the worst pair is outlined: {seen}. {text}".strip()
    text += f" No pair has {', '.join(alone)}, which {'were' if len(alone) > 1 else 'was'} to take part." if alone else ""
    head = [tag("h3", data.get("title")), tag("p", f"{text} {LEGEND_PAIRS}" if len(names) <= MOST_NODES else text, class_="legend")]
    if len(names) > MOST_NODES:
        return join([*head, *_listed(ordered, missing, unit)])
    # A node of no pair is not measured with any other.
    return join([*head, _matrix([*missing, *({"from": name, "to": name} for name in alone), *ordered], names, unit)])


def _listed(ordered: Sequence[Mapping], missing: Sequence[Mapping], unit: Any) -> List[Html]:
    """Return the worst pairs, and those that were not measured."""
    groups = ((ordered, f"{len(ordered)} pairs; the worst {len(ordered[:MOST_PAIRS])}:"), (missing, f"{len(missing)} pairs {NOT_MEASURED}:"))
    shown: List[Html] = []
    for rows, text in groups:
        body = [[row.get("from"), row.get("to"), human(row["value"], unit) if rows is ordered else NOT_MEASURED] for row in rows[:MOST_PAIRS]]
        shown += [tag("p", text), table(["From", "To", "Measured"], body)] if body else []
    rest = len(missing) - MOST_PAIRS
    shown += [tag("p", f"and {rest} more {NOT_MEASURED}: see facts/")] if rest > 0 else []
    return shown


def _matrix(rows: Sequence[Mapping], names: Sequence[str], unit: Any) -> Html:
    """Return the matrix of rows of which the worst that was measured is the first with a number."""
    worst = next((row for row in rows if number(row.get("value"), True) is not None), None)
    cells: Dict[tuple, Mapping] = {}
    for row in rows:
        cells.setdefault((cut(row.get("from")), cut(row.get("to"))), row)
    body = []
    for first in names:
        own = [cells.get((first, second)) for second in names]
        body.append(tag("tr", tag("th", first, scope="row"), *(_cell(row, row is worst, unit) for row in own)))
    top = tag("tr", tag("th", "from \\ to", scope="col"), *(tag("th", name, scope="col") for name in names))
    return tag("div", tag("table", tag("thead", top), tag("tbody", *body), class_="matrix"), class_="scroll")


def _cell(row: Optional[Mapping], is_worst: bool, unit: Any) -> Html:
    if row is None:
        return tag("td", "·")
    if number(row.get("value"), True) is None:
        return tag("td", f"? {NOT_MEASURED}", class_="missed")
    return tag("td", human(row["value"], unit), class_="worst" if is_worst else None)


def tally(counted: Mapping) -> Html:
    """Return counts of results as words, such as `23 PASS, 2 N/A`."""
    return escape(", ".join(f"{count} {word(result)}" for result, count in counted.items()))
