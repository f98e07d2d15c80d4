# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate as a short Markdown for a pull request: verdict, checklist, what is beyond target, what to do. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, List

from . import report_words as words
from .human import human
from .report_markup import SYMBOLS, escape

# A comment of GitHub holds 65,536 characters; whoever reads it wants less.
LARGEST = 60000
MOST = 20
LONGEST = 300
# Characters that Markdown, or GitHub's mentions, references, addresses and pictures, could take for markup.
MARKUP = re.compile(r"[\\`*_\[\]#|~@]|:(?! )|(?<=www)\.", re.IGNORECASE)
CUT = "\n\n_Cut: the whole is in certificate.md and certificate.html._\n"


def render(certificate: Mapping) -> str:
    """Return the Markdown; ReportError if the document is no certificate."""
    certificate = words.require(certificate)
    cluster, run = certificate["cluster"], certificate["run"]
    name = md(cluster.get("name", ""))
    version = f", Kubernetes {md(cluster['kubernetes'])}" if "kubernetes" in cluster else ""
    until = f", valid until {md(certificate['valid_until'])}" if "valid_until" in certificate else ""
    parts = [
        f"## {_mark(certificate['verdict'])}: cluster {name}",
        f"**{md(certificate['heading'])}**{version}, run {md(run.get('id', ''))}, finished {md(run.get('finished', 'never'))}{until}.",
        _paragraph(certificate["message"]),
        _layers(certificate),
        _open(certificate),
        _checklist(certificate),
        _changed(certificate),
        _items(certificate),
    ]
    text = "\n\n".join(part for part in parts if part) + "\n"
    # Cut between lines, so that no row of a table is left half.
    return text if len(text) <= LARGEST else text[:LARGEST].rpartition("\n")[0] + CUT


def md(value: Any) -> str:
    """Return a text that Markdown shows as it is."""
    text = escape(words.cut(value, LONGEST))
    # HTML's references stay; everything else that could be markup becomes one.
    return "".join(part if part.startswith("&") else MARKUP.sub(lambda match: f"&#{ord(match.group())};", part) for part in re.split(r"(&#?\w+;)", text))


def _paragraph(value: Any) -> str:
    """Return a text that may begin a line, where a dash or a number would begin a list."""
    text = md(value)
    return f"&#{ord(text[0])};{text[1:]}" if text[:1] in tuple("-+=0123456789") else text


def _mark(result: Any) -> str:
    return f"{SYMBOLS.get(result, SYMBOLS['INFO'])} {words.word(result) if result in SYMBOLS else md(result)}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads), *body]) if rows else ""


def _titled(title: str, heads: Sequence[str], rows: List[Sequence[str]]) -> str:
    more = f"\n\nand {len(rows) - MOST} more: see certificate.md" if len(rows) > MOST else ""
    return f"### {title}\n\n{_table(heads, rows[:MOST])}{more}" if rows else ""


def _layers(certificate: Mapping) -> str:
    shown = [f"{md(layer)} {_mark(record.get('verdict'))}" for layer, record in ((layer, certificate["layer_verdicts"].get(layer))
             for layer in words.layers(certificate)) if isinstance(record, Mapping)]  # fmt: skip
    return "Layers: " + ", ".join(shown) + "." if shown else ""


def _open(certificate: Mapping) -> str:
    """Return what is beyond target, the worst first, and what to do; what was not measured for one reason is one row, also beside what FAILs."""
    groups = words.by_check(certificate["findings"])
    found = {result: [] for result in words.OPEN}
    for rows in groups.values():
        first = rows[0]
        if first["judged"] and first["result"] in words.OPEN and first["result"] != "INCONCLUSIVE":
            wanted = words.bound(first, "critical" if first["result"] == "FAIL" and first["critical"] else "target" if first["target"] else "critical")
            found[first["result"]].append(_beyond(rows[:1], rows, wanted, first.get("fix") or first["reason"]))
    for reason, rows in words.unmeasured(certificate).items():
        found["INCONCLUSIVE"] += _unmeasured(reason, rows, groups)
    heads = ["Result", "Check", "Measured", "Wanted", "What to do"]
    return _titled("Beyond target", heads, [row for result in words.OPEN for row in found[result]])


def _beyond(rows: Sequence[Mapping], among: Sequence[Mapping], wanted: str, what: Any) -> List[str]:
    """Return the row of findings of one check, of which the first is told."""
    first, place = rows[0], words.places(rows, among)
    where = f" at {md(place)}" if place else ""
    return [_mark(first["result"]), f"{md(first['layer'])}: {md(first['title'])}{where}", md(words.value(first)), md(wanted), md(what)]


def _unmeasured(reason: str, rows: Sequence[Mapping], groups: Mapping) -> List[List[str]]:
    """Return the rows of what was not measured, or not decided, for one reason: one for many checks without any value."""
    checks = words.by_check(rows)
    if len(checks) > 1 and all(row["value"] is None for row in rows):
        where = words.hosts(rows, [row for identifier in checks for row in groups[identifier]])
        return [[_mark("INCONCLUSIVE"), md(f"{len(checks)} checks{where}"), "-", "-", md(reason)]]
    found = []
    for identifier, own in checks.items():
        first, among = own[0], groups[identifier]
        count = f"{words.share(own, among)}: " if len(own) < len(among) else ""
        what = reason if first["value"] is None else first.get("fix") or reason
        found.append(_beyond(own, among, words.bound(first, "target" if first["target"] else "critical"), f"{count}{what}"))
    return found


def _checklist(certificate: Mapping) -> str:
    why = words.indicative(certificate)
    rows = []
    for item in certificate["checklist"]:
        filled = item.get("status") == "filled"
        seen = human(item.get("value"), item.get("unit")) if item.get("status") != "not measured" else ""
        rows.append([_mark(item.get("result")) if filled else md(item.get("status")), md(item.get("title")), md(seen),
                     md("" if why and item.get("status") == "indicative" else item.get("reason", ""))])  # fmt: skip
    shown = _titled("Checklist", ["Status", "Item", "Measured", "Why"], rows)
    return f"{shown}\n\n{_paragraph(why)}" if shown and why else shown


def _changed(certificate: Mapping) -> str:
    rows = [[f"{md(row['direction'])} {md(row['bound'])}", md(row["id"]), f"{md(row['from'])} to {md(row['to'])}: {md(row['reason'])}"]
            for row in certificate["changes"]]  # fmt: skip
    rows += [[f"waiver {md(row['state'])}", md(row["id"]), f"{md(row['owner'])}, until {md(row['expires'])}: {md(row['reason'])}"]
             for row in certificate["waivers"]]  # fmt: skip
    return _titled("Changed bounds and waivers", ["What", "Check", "How, and why"], rows)


def _items(certificate: Mapping) -> str:
    rows = [[md(f"{row['list']} {row['id']}"), md(row["value"] or "left out"), md(row["default"] or "not there")]
            for row in certificate.get("checklist_changes") or ()]  # fmt: skip
    return _titled("Checklist and SLAs that are not the default", ["Item", "Value", "Default"], rows)
