# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""History as text for a terminal, 100 columns wide: a comparison, the runs, and the trends over all of them. Pure."""

from __future__ import annotations

import collections
import statistics
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Dict, List

from .human import clean, fit, human
from .report_words import parsed, word

WIDTH = 100
BARS = "▁▂▃▄▅▆▇█"
DRAWN = 20
MOST = 30
INDENT = " " * 13
HEAD = f"{'':13}{'CHECK':36}{'BEFORE':13}{'AFTER':13}{'CHANGE':9}BEYOND NOISE"


def comparison(compared: Mapping) -> str:
    """Return a comparison: regressions, what else changed beyond noise, settings, and what else is different."""
    before, after = compared["before"], compared["after"]
    rows = compared["rows"]
    worse = [row for row in rows if row["regression"]]
    moved = [row for row in rows if not row["regression"] and row["beyond"]]
    same = len(rows) - len(worse) - len(moved)
    lines = [
        f"COMPARISON: {len(worse)} regression{'' if len(worse) == 1 else 's'}",
        "",
        *(f"{name:8} " + clean(f"{one['id']}, {one['heading']}, {word(one['verdict'])}") for name, one in (("Before", before), ("After", after))),
        "Layers   " + clean(", ".join(compared["layers"])),
        *_uncompared([*compared["unmeasured"], *compared["unmeasured_checks"]]),
    ]
    lines += _rows("REGRESSIONS", worse) + _rows("CHANGED BEYOND NOISE", moved)
    lines += ["", f"{same} checks are unchanged, or changed within noise."]
    lines += ["", "SETTINGS", clean(compared["attribution"])]
    for row in compared["tuning"][:MOST]:
        lines.append(f"  {clean(row['title'] + _at(row))}: {human(row['before'], row['unit'])} to {human(row['after'], row['unit'])}")
    lines += ["", "ALSO DIFFERENT"] if compared["others"] else []
    lines += [f"  {clean(row['what'])}: {human(row['before']) or 'none'} to {human(row['after']) or 'none'}" for row in compared["others"][:MOST]]
    lines += [f"  and {len(compared['others']) - MOST} more: see comparison.json"] if len(compared["others"]) > MOST else []
    return _text(lines)


def _uncompared(names: Sequence[str]) -> List[str]:
    """Return the layers and checks that the run before did not measure, as lines; [] where it measured all."""
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    told = f"Not compared, since the run before did not measure them: {clean(', '.join(names[:MOST]))}{more}"
    return textwrap.wrap(told, WIDTH, initial_indent=" " * 9, subsequent_indent=" " * 9, break_on_hyphens=False) if names else []


def passed_over(rows: Sequence[Mapping]) -> str:
    """Return the runs between the two that were not the one before, and why, or ""."""
    lines = ["", "PASSED OVER"] if rows else []
    for one in rows[:MOST]:
        lines += textwrap.wrap(clean(f"{one['id']}: {one['reason']}"), WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    lines += [f"and {len(rows) - MOST} more"] if len(rows) > MOST else []
    return _text(lines) if lines else ""


def _rows(title: str, rows: Sequence[Mapping]) -> List[str]:
    lines = ["", title, HEAD] if rows else []
    for row in rows[:MOST]:
        change = "" if row["change"] is None else f"{row['change']:+.0%}" if abs(row["change"]) < 100 else "far"
        kind = row["direction"] or "changed"
        start = f"{fit(kind, 12)} {fit(clean(f'''{row['layer']}: {row['title']}'''), 35)} "
        numbers = f"{fit(human(row['before'], row['unit']), 12)} {fit(human(row['after'], row['unit']), 12)} {change:8} {'yes' if row['beyond'] else 'no'}"
        lines.append(start + numbers)
        results = " to ".join(dict.fromkeys(map(word, row["results"])))
        told = clean(f"{results}; {row['noise'] or 'its result is worse'}{_at(row)}")
        lines += textwrap.wrap(told, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)
    return lines + ([f"{'':13}and {len(rows) - MOST} more: see comparison.json"] if len(rows) > MOST else [])


def _at(row: Mapping) -> str:
    place = f"{row.get('entry') or ''}".strip()
    return f" at {place}" if place else ""


def trends(found: Sequence[Mapping], names: Mapping) -> List[Dict[str, Any]]:
    """Return {id, title, unit, runs, first, median, last, low, high, drawn} of every judged check with a number in two runs or more.

    `found`: summaries of runs of one profile, the oldest first; `names`: a finding of each check, for its title and unit.
    """
    series: Dict[str, List[float]] = {}
    for one in found:
        for identifier, (measured, judged) in one["values"].items():
            if judged:
                series.setdefault(identifier, []).append(measured)
    rows = []
    for identifier, finding in names.items():
        sizes = series.get(identifier, [])
        bounded = parsed(finding.get("target")) or parsed(finding.get("critical"))
        if bounded and len(sizes) > 1 and max(sizes) > min(sizes):
            rows.append({"id": identifier, "title": f"{finding['layer']}: {finding['title']}", "unit": finding.get("unit"), "runs": len(sizes),
                         "first": sizes[0], "median": statistics.median(sizes), "last": sizes[-1],
                         "low": min(sizes), "high": max(sizes), "drawn": _drawn(sizes)})  # fmt: skip
    return rows


def plots(found: Sequence[Mapping], names: Mapping) -> List[Dict[str, Any]]:
    """Return {kind: trend, layer, title, runs, rows: [{name, unit, target, critical, sizes}]} for each layer, with the sizes of the last runs."""
    shown = found[-DRAWN:]
    layers: Dict[str, List[dict]] = {}
    for row in trends(shown, names):
        finding = names[row["id"]]
        layers.setdefault(finding["layer"], []).append({
            "name": finding["title"],
            "unit": finding.get("unit"),
            "target": finding["target"],
            "critical": finding["critical"],
            # A run that did not measure it leaves a gap.
            "sizes": [one["values"].get(row["id"], [None])[0] for one in shown],
        })
    same = {"kind": "trend", "title": "Over the last runs", "runs": [one["id"] for one in shown]}
    return [{**same, "layer": layer, "rows": rows} for layer, rows in layers.items()]


def _drawn(sizes: Sequence[float]) -> str:
    """Return the last sizes as a line of bars, from the lowest to the highest."""
    shown = sizes[-DRAWN:]
    low, span = min(shown), (max(shown) - min(shown)) or 1.0
    return "".join(BARS[min(len(BARS) - 1, int((one - low) / span * len(BARS)))] for one in shown)


def history(found: Sequence[Mapping], skipped: Sequence[Mapping], rows: Sequence[Mapping]) -> str:
    """Return the runs, what was skipped, and the trends."""
    lines = [f"RUNS: {len(found)}", ""]
    lines += [f"{one['started']}  {fit(clean(one['id']), 28)} {fit(clean(one['heading']), 32)} {word(one['verdict'])}" for one in found[-MOST:]]
    lines += [f"and {len(found) - MOST} earlier ones"] if len(found) > MOST else []
    lines += ["", "SKIPPED"] if skipped else []
    for one in skipped[:MOST]:
        lines += textwrap.wrap(clean(f"{one['path']}: {one['reason']}"), WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    lines += [f"and {len(skipped) - MOST} more"] if len(skipped) > MOST else []
    lines += ["", f"{'TRENDS':36}{'RUNS':6}{'FIRST':12}{'MEDIAN':12}{'LAST':12}THE LAST {DRAWN}"] if rows else []
    for row in rows:
        sizes = " ".join(fit(human(row[key], row["unit"]), 11) for key in ("first", "median", "last"))
        lines.append(f"{fit(clean(row['title']), 35)} {row['runs']:<5} {sizes} {row['drawn']}")
    return _text(lines)


def clusters(found: Sequence[Mapping], certificate: Mapping) -> str:
    """Return which cluster was taken and how another is, where more of the runs are of others than of this one; else ""."""
    own = certificate["cluster"].get("uid")
    others = collections.Counter(str(one["uid"]) for one in found if one["uid"] != own)
    skipped = sum(others.values())
    if skipped * 2 <= len(found):
        return ""
    [(most, count)] = others.most_common(1)
    told = (
        f"{skipped} of {len(found)} runs are of other clusters and skipped: taken was {own}, the cluster of {certificate['run']['id']}. "
        f"{count} are of {most}: if that is the one you mean, set certify_cluster_uid to it, or name one of its runs in compare_after."
    )
    return _text(["OTHER CLUSTERS", *textwrap.wrap(clean(told), WIDTH, break_on_hyphens=False), ""])


def _text(lines: Sequence[str]) -> str:
    return "\n".join(line.rstrip() for line in lines) + "\n"
