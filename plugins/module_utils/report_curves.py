# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes over something: a ramp up to its breaking point, a soak over time, numbers over runs. Inline SVG, with the same numbers in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Dict, List, Optional, Tuple

from .human import human
from .report_markup import Html, join, table, tag
from .report_svg import NOT_MEASURED, bounds_in, ends_of, pairs, percentiles, svg
from .report_words import cut, number

TALL = 44
HIGH = 150
# Above the highest of what is drawn.
ROOM = 1.15
# What was carried of what was offered; less than this fell short.
HELD = 0.98
PHASES = {"recovery": "recovery", "bisect": "between", "again": "again"}
KEPT = {True: ("pass", "✓ held"), False: ("fail", "✕ broke"), None: ("inconclusive", "? not known")}
LEGEND_RAMP = (
    "From left to right what was offered, upwards what was carried; on the dashed line all of it was. "
    "● was held, ✕ was not, ○ is not known. The upright line is the breaking point."
)
LEGEND_GAP = " A dashed box with ? was not measured."
LEGEND_TIME = "A bar is the range of the histogram that the P99 of this stretch of time lies in. Dashed: target; solid: critical."


def plot(data: Mapping, findings: Sequence[Mapping]) -> Html:
    """Return one of the certificate's plots, or "" for a kind that is not known."""
    draw = {"percentiles": percentiles, "pairs": pairs, "ramp": ramp, "time": over_time, "trend": trend}.get(str(data.get("kind")))
    rows = [row for row in data.get("rows") or [] if isinstance(row, Mapping)]
    return draw(data, rows, findings) if draw and rows else Html("")


def ramp(data: Mapping, rows: Sequence[Mapping], findings: Sequence[Mapping]) -> Html:
    """Return the steps of a ramp: what was offered, what was carried and how slow; where it broke, and by what."""
    rows = [row for row in rows if all(number(row.get(key), True) is not None for key in ("offered", "rate"))]
    if not rows:
        return Html("")
    unit = data.get("unit_of_rate") or "1/s"
    told = any("held" in row for row in rows)
    heads = ["Step", "Offered", "Carried", "Errors", "P99", "Held", "Because"] if told else ["Offered", "Carried", "", "P99"]
    shown = [_step(row, unit) if told else _offered(row, unit) for row in rows]
    said = tag("p", tag("b", data["said"])) if data.get("said") else ""
    return join([tag("h3", data.get("title")), said, *_curve(data, rows, unit), table(heads, shown)])


def _step(row: Mapping, unit: Any) -> List[Any]:
    name = " ".join(dict.fromkeys(filter(None, (str(row.get("name") or ""), PHASES.get(str(row.get("phase")), "")))))
    share = f" ({human(row['share'], 'ratio')})" if number(row.get("share"), True) is not None else ""
    held = row.get("held") if row.get("held") in (True, False) else None
    errors = human(row["errors"], "ratio") if number(row.get("errors"), True) is not None else ""
    marked = tag("span", KEPT[held][1], class_=f"badge {KEPT[held][0]} small")
    return [name, human(row["offered"], unit) + share, human(row["rate"], unit), errors, _slow(row), marked, row.get("broke_by") or ""]


def _offered(row: Mapping, unit: Any) -> List[Any]:
    short = "fell short" if row["rate"] < HELD * row["offered"] else ""
    return [human(row["offered"], unit), human(row["rate"], unit), short, _slow(row)]


def _slow(row: Mapping) -> str:
    return human(row["p99"], "s") if number(row.get("p99"), True) is not None or number(row.get("p99"), False) is not None else ""


def _curve(data: Mapping, rows: Sequence[Mapping], unit: Any) -> List[Html]:
    """Return what was carried of what was offered, as a curve; nothing for a single step."""
    going = sorted((row for row in rows if row.get("phase") != "recovery"), key=lambda row: (float(row["offered"]), str(row.get("name"))))
    if len({row["offered"] for row in going}) < 2:
        return []
    broke = number(data.get("broke"), True)
    wide = ROOM * max([float(row["offered"]) for row in going] + ([broke] if broke else []))
    high = ROOM * max(float(max(row["rate"], row["offered"])) for row in going)

    def at(offered: float, carried: float) -> Tuple[str, str]:
        return f"{100 * offered / wide:.2f}%", f"{HIGH - 16 - (HIGH - 24) * carried / high:.1f}"

    ideal = at(min(wide, high), min(wide, high))
    drawn = [tag("line", class_="axis", x1="0", x2="100%", y1=HIGH - 16, y2=HIGH - 16)]
    drawn.append(tag("line", class_="axis dashed", x1="0", y1=HIGH - 16, x2=ideal[0], y2=ideal[1]))
    if broke:
        drawn.append(tag("line", class_="limit", x1=at(broke, 0)[0], x2=at(broke, 0)[0], y1=4, y2=HIGH - 16))
        drawn.append(tag("text", f"broke at {human(data['broke'], unit)}", class_="label", x=at(broke, 0)[0], y=12, dx=-4, text_anchor="end"))
    places = [at(float(row["offered"]), float(row["rate"])) for row in going]
    drawn += [tag("line", class_="thin", x1=one[0], y1=one[1], x2=two[0], y2=two[1]) for one, two in zip(places, places[1:])]
    drawn += [_mark(place, row.get("held", True)) for place, row in zip(places, going)]
    edge = at(float(going[-1]["offered"]), 0)[0]
    drawn.append(tag("text", human(going[-1]["offered"], unit), class_="label", x=edge, y=HIGH - 3, text_anchor="middle"))
    drawn.append(tag("text", "0", class_="label", x="0", y=HIGH - 3))
    most = max(going, key=lambda row: row["rate"])
    said = f"{len(going)} steps, up to {human(going[-1]['offered'], unit)} offered and {human(most['rate'], unit)} carried"
    return [tag("p", LEGEND_RAMP, class_="legend"), svg(drawn, said, HIGH)]


def _mark(place: Tuple[str, str], held: Any) -> Html:
    if held is False:
        return tag("svg", tag("path", d="M-4 -4L4 4M-4 4L4 -4", class_="cross"), x=place[0], y=place[1])
    return tag("circle", class_="dot" if held is True else "hollow", cx=place[0], cy=place[1], r=4)


def over_time(data: Mapping, rows: Sequence[Mapping], findings: Sequence[Mapping]) -> Html:
    """Return for each host the range of a percentile over the time of a soak, all on one axis, with the bounds of the check that judges it."""
    placed = {id(row): [one for one in row.get("points") or [] if isinstance(one, Mapping) and number(one.get("at"), True) is not None] for row in rows}
    known = {key: [one for one in points if ends_of(one.get("p99")) is not None] for key, points in placed.items()}
    if not any(known.values()):
        return Html("")
    every = number(data.get("every"), True) or 1.0
    last = max(float(points[-1]["at"]) for points in placed.values() if points) + every
    tops = [float(ends_of(one["p99"])[1]) for points in known.values() for one in points]
    bounds = _judged(data, findings, tops)
    high = ROOM * max([*tops, *(one for one in bounds.values() if one <= 2 * max(tops))]) or 1.0
    drawn = []
    for row in rows:
        points = known[id(row)]
        missing = [one for one in placed[id(row)] if ends_of(one.get("p99")) is None]
        shapes = [_level_line(name, one, high) for name, one in bounds.items() if one <= high]
        shapes += [shape for begin, end in (_stretches(missing, every) if placed[id(row)] else [(0.0, last)]) for shape in _gap(begin / last, end / last)]
        for one in points:
            low, top = ends_of(one["p99"])
            place = f"{100 * (float(one['at']) + every / 2) / last:.2f}%"
            shapes.append(tag("line", class_="range", x1=place, x2=place, y1=_level(float(low), 0.0, high), y2=_level(float(top), 0.0, high)))
        end = tag("span", *_end(points, missing), class_="end")
        drawn += [tag("span", row.get("name"), class_="name"), svg(shapes, _said(points, missing, every), TALL), end]
    said_of = "".join(f" The {name} is {human(one, 's')}." for name, one in bounds.items())
    has_gap = any(len(points) < max(1, len(placed[key])) for key, points in known.items())
    text = f"{LEGEND_TIME}{LEGEND_GAP if has_gap else ''}{said_of} Each stretch is {human(every, 's')}; the whole is {human(last, 's')}."
    return join([tag("h3", data.get("title")), tag("p", text, class_="legend"), tag("div", *drawn, class_="rows tall")])


def _said(points: Sequence[Mapping], missing: Sequence[Mapping], every: float) -> str:
    """Return what is drawn of a host in words: how many stretches of how many, and the worst."""
    count = f"{len(points)} of {len(points) + len(missing)}" if missing else f"{len(points)}"
    said = f"{count} stretches of {human(every, 's')}"
    if not points:
        return f"{said}: {NOT_MEASURED}"
    worst = _worst(points)
    return f"{said}; the worst, after {human(worst['at'], 's')}: {human(worst['p99'], 's')}"


def _end(points: Sequence[Mapping], missing: Sequence[Mapping]) -> List[Any]:
    """Return what stands beside a host: its worst, and how many of its stretches were measured."""
    seen = f"worst {human(_worst(points)['p99'], 's')}" if points else NOT_MEASURED
    count = tag("span", f"{len(points)} of {len(points) + len(missing)} measured", class_="note soft") if missing else ""
    return [seen, count]


def _worst(points: Sequence[Mapping]) -> Mapping:
    return max(points, key=lambda one: ends_of(one["p99"])[1])


def _stretches(missing: Sequence[Mapping], every: float) -> List[Tuple[float, float]]:
    """Return (from, to) of stretches of time that follow each other, as one."""
    found: List[Tuple[float, float]] = []
    for at in sorted(float(one["at"]) for one in missing):
        if found and at - found[-1][1] < every / 2:
            found[-1] = found[-1][0], at + every
        else:
            found.append((at, at + every))
    return found


def _gap(begin: float, end: float) -> List[Html]:
    """Return the box of what was not measured, between two shares of the whole time."""
    box = tag("rect", class_="gap", x=f"{100 * begin:.2f}%", width=f"{100 * (end - begin):.2f}%", y=3, height=TALL - 6)
    return [box, tag("text", "?", class_="missing", x=f"{50 * (begin + end):.2f}%", y=TALL // 2 + 5, text_anchor="middle")]


def _judged(data: Mapping, findings: Sequence[Mapping], tops: Iterable) -> Dict[str, float]:
    """Return the bounds of the check of what is drawn, whose value is one of these numbers."""
    wanted = set(tops)
    for finding in findings:
        ends: Optional[tuple] = ends_of(finding.get("value"))
        mine = finding["layer"] == data.get("layer") and str(data.get("about")) in finding["id"] and finding.get("unit") == "s"
        if mine and ends and float(ends[1]) in wanted and bounds_in(finding):
            return bounds_in(finding)
    return {}


def trend(data: Mapping, rows: Sequence[Mapping], findings: Sequence[Mapping]) -> Html:
    """Return a line for each number over the last runs, the newest at the right, with its bounds."""
    drawn = []
    for row in rows:
        sizes = [number(one, True) for one in row.get("sizes") or []]
        known = [(index, one) for index, one in enumerate(sizes) if one is not None]
        if len(known) < 2:
            continue
        low, high = min([0.0, *(one for dummy, one in known)]), max(one for dummy, one in known) * ROOM
        # A bound far away would press the line flat; it is drawn where it is near.
        near = {name: one for name, one in bounds_in(row).items() if one <= 2 * high}
        high = max([high, *near.values()]) or 1.0
        points = [(f"{1 + 98 * index / (len(sizes) - 1):.2f}%", _level(one, low, high)) for index, one in known]
        shapes = [_level_line(name, one, high, low) for name, one in near.items()]
        shapes += [tag("line", class_="thin", x1=one[0], y1=one[1], x2=two[0], y2=two[1]) for one, two in zip(points, points[1:])]
        shapes += [tag("circle", class_="dot", cx=x, cy=y, r=3) for x, y in points]
        unit = row.get("unit")
        said = f"{len(known)} runs, first {human(known[0][1], unit)}, last {human(known[-1][1], unit)}"
        last = f"{human(known[0][1], unit)} to {human(known[-1][1], unit)}"
        drawn += [tag("span", row.get("name"), class_="name"), svg(shapes, said, TALL), tag("span", last, class_="end")]
    if not drawn:
        return Html("")
    text = f"{len(data.get('runs') or [])} runs of this cluster and profile, the newest at the right. Dashed: target; solid: critical, where they are near."
    return join([tag("h3", cut(data.get("title"))), tag("p", text, class_="legend"), tag("div", *drawn, class_="rows tall")])


def _level_line(name: str, one: float, high: float, low: float = 0.0) -> Html:
    level = _level(one, low, high)
    return tag("line", class_="limit soft-limit" if name == "target" else "limit", x1="0", x2="100%", y1=level, y2=level)


def _level(one: float, low: float, high: float) -> str:
    return f"{TALL - 4 - (TALL - 8) * (one - low) / (high - low):.1f}"
