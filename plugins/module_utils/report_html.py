# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate as one HTML file: the verdict first, then what decides, then everything else. Pure: the same certificate, the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Dict, List

from . import report_curves as curves
from . import report_svg as svg
from . import report_words as words
from . import time_scale
from . import tuning_page
from .human import human
from .report_markup import SYMBOLS, Html, badge, code, escape, join, link, page, table, tag

TUNING = "tuning"
FINDING_HEADS = ["Result", "Check", "Measured", "Target", "Critical", "Margin", "Samples", "Against its bounds", "Worst at"]
MOST_HASHES = 5000
MOST_PLACES = 50
# Every host may have a reason of its own.
MOST_REASONS = 200
# From this many on, checks that were not measured for one reason are one line.
ALIKE = 3


def render(certificate: Mapping) -> str:
    """Return the page; ReportError if the document is no certificate."""
    certificate = words.require(certificate)
    cluster = words.cut(certificate["cluster"].get("name", ""), 80)
    title = f"{words.word(certificate['verdict'])}: {cluster}, {words.cut(certificate['heading'], 80)}"
    parts = [
        _head(certificate),
        _checklist(certificate),
        _layers(certificate),
        _open(certificate),
        *((_tuning if layer == TUNING else _layer)(certificate, layer) for layer in words.layers(certificate)),
        _unmeasured(certificate),
        _exceptions(certificate),
        _provenance(certificate),
        tag("p", "Every value, bound and finding is in certificate.json, which this page was rendered from.", class_="soft"),
    ]
    return str(page(title, join(parts, Html("\n"))))


def _section(title: Any, name: str, *children: Any) -> Html:
    """Return a section that links find by its name."""
    return tag("section", tag("h2", title), *children, id=name)


def _link(name: str, text: Any) -> Html:
    return tag("a", text, href=Html("#" + name))


def _name(certificate: Mapping, layer: str) -> str:
    """Return the name of a layer's section; a number, as the layer's own name could be anything."""
    return f"layer-{words.layers(certificate).index(layer)}"


def _facts(rows: Sequence) -> Html:
    return tag("dl", *(join([tag("dt", name), tag("dd", value)]) for name, value in rows if value not in (None, "")), class_="facts")


def _head(certificate: Mapping) -> Html:
    verdict = certificate["verdict"] if certificate["verdict"] in SYMBOLS else "INCONCLUSIVE"
    cluster, run = certificate["cluster"], certificate["run"]
    band = tag(
        "div",
        tag("strong", tag("span", SYMBOLS[verdict], aria_hidden="true"), " ", words.word(certificate["verdict"])),
        tag("p", certificate["message"]),
        class_=f"verdict {verdict.lower()}",
        role="status",
    )
    notices = []
    if certificate["state"] != "finished":
        notices.append("This run was interrupted. What it had measured proves nothing.")
    elif certificate["profile"] == "smoke":
        notices.append("SMOKE: a short run that validates the configuration. It is no certificate for production.")
    if time_scale.is_scaled(run.get("time_scale")):
        notices.append(f"SCALED: every load lasted {human(run['time_scale'])} times as long as it should. It is no certificate for production.")
    if certificate["partial"]:
        notices.append(f"PARTIAL: only {', '.join(map(str, certificate['layers']))} ran. Nothing is said of the other layers.")
    times = [f"{text} {human(run[key], 's')}" for key, text in (("seconds", "took"), ("load_seconds", "load for")) if key in run]
    facts = [
        ("Cluster", ", ".join(filter(None, (str(cluster.get("name", "")), f"Kubernetes {cluster['kubernetes']}" if "kubernetes" in cluster else "")))),
        ("UID", cluster.get("uid")),
        ("Nodes", human(cluster["nodes"]) if "nodes" in cluster else ""),
        ("Profile", certificate["profile"]),
        ("Measured", ", ".join(filter(None, (str(run.get("started", "")), *times)))),
        ("Valid until", certificate.get("valid_until")),
        ("By", f"{run.get('user', '')} on {run.get('controller', '')}, kubeproof.certify {run.get('version', '')}"),
        ("Run", run.get("id")),
        ("Joined from", "; ".join(words.joined(certificate))),
    ]
    targets = {"checklist": "Checklist", "layers": "Layers", "open": "What keeps it from a PASS", **{_name(certificate, layer): layer for layer in
               words.layers(certificate)}, "unmeasured": "Not measured", "exceptions": "Changed and waived", "provenance": "Tools and hashes"}  # fmt: skip
    nav = tag("nav", *(_link(name, text) for name, text in targets.items()), aria_label="Sections")
    title = tag("h1", f"Kubeproof certificate: {certificate['heading']}")
    return join([title, band, *(tag("p", text, class_="notice") for text in notices), _facts(facts), nav])


def _checklist(certificate: Mapping) -> Html:
    heads = ["Status", "Item", "Measured", "At, or why not"]
    why = words.indicative(certificate)
    parts = [tag("p", why, class_="soft")] if why else []
    for title, rows in (("", certificate["checklist"]), ("Service levels", certificate["slas"])):
        body = [_item(row, bool(why)) for row in rows]
        parts += [tag("h3", title) if title and body else "", table(heads, body)]
    return _section("Pre-production checklist", "checklist", *parts)


def _item(item: Mapping, known: bool) -> List[Any]:
    status = item.get("status")
    shown = badge(item["result"]) if status == "filled" and "result" in item else tag("span", status, class_="badge info")
    seen = human(item.get("value"), item.get("unit")) if status != "not measured" else ""
    where = f"{item.get('host') or ''} {item.get('entry') or ''}".strip()
    reason = "" if known and status == "indicative" else item.get("reason", "")
    return [shown, item.get("title"), seen, join([reason, where], "; ") if reason else where]


def _layers(certificate: Mapping) -> Html:
    rows = []
    for layer in words.layers(certificate):
        record = certificate["layer_verdicts"].get(layer)
        found = [group[0] for group in words.by_check(finding for finding in certificate["findings"] if finding["layer"] == layer).values()]
        judged = svg.tally(words.counts(row for row in found if row["judged"]))
        rows.append([
            _link(_name(certificate, layer), layer),
            badge(record["verdict"]) if isinstance(record, Mapping) and "verdict" in record else "",
            judged,
            human(sum(not row["judged"] for row in found)),
            human(record["seconds"], "s") if record and "seconds" in record else "",
            human(record["load_seconds"], "s") if record and "load_seconds" in record else "",
            record.get("error", "") if record else "",
        ])
    return _section("Layers", "layers", table(["Layer", "Verdict", "Checks judged", "Indicative", "Took", "Load", "Error"], rows))


def _open(certificate: Mapping) -> Html:
    """Return what keeps the certificate from a PASS: a card each, the worst first."""
    alike = _alike(certificate)
    found = [rows for rows in words.by_check(certificate["findings"]).values() if rows[0]["judged"] and rows[0]["result"] in words.OPEN]
    cards = [_card(rows) for rows in found if rows[0]["id"] not in alike]
    told = len(found) - len(cards)
    if told:
        cards.append(tag("p", f"{told} more checks are INCONCLUSIVE because they were not measured: see ", _link("unmeasured", "why"), "."))
    if not cards:
        cards = [tag("p", "Nothing: all that was judged meets its target.")]
    return _section("What keeps it from a PASS", "open", *cards)


def _alike(certificate: Mapping) -> Dict[str, str]:
    """Return {check: reason} of those that were not measured for a reason that many have: it is told once."""
    found = {row["id"]: words.cut(row["reason"]) or words.NO_REASON for row in words.one_reason(certificate["findings"]) if row.get("value") is None}
    several = Counter(found.values())
    return {identifier: reason for identifier, reason in found.items() if several[reason] > ALIKE}


def _card(rows: Sequence[Mapping]) -> Html:
    first = rows[0]
    number = [("Measured", words.value(first)), ("Target", words.bound(first, "target")), ("Critical", words.bound(first, "critical")),
              ("Margin", words.margin_text(first)), ("Samples", words.samples(first)), ("At", words.place(first, rows))]  # fmt: skip
    return tag(
        "div",
        tag("h3", badge(first["result"]), " ", f"{first['layer']}: {first['title']}"),
        tag("div", *(tag("span", f"{name} ", tag("b", text)) for name, text in number if text not in ("", "-")), class_="numbers"),
        svg.strip(rows),
        tag("p", f"All {len(rows)} are {words.word(first['result'])}.") if len(rows) > 1 and len(words.counts(rows)) == 1 else "",
        *(tag("p", said) for said in words.told(rows)),
        *(tag("p", f"Could be explained by {text}.") for text in words.explained(first)),
        tag("p", tag("b", "Fix: "), first["fix"], class_="fix") if first.get("fix") else "",
        code(first["write"]) if first.get("write") else "",
        tag("p", link(first.get("reference"), "Reference"), " ", tag("span", first["id"], class_="id")) if first.get("reference") else "",
        class_="card",
    )


def _row(rows: Sequence[Mapping]) -> List[Any]:
    first = rows[0]
    many = f" (worst of {len(rows)})" if len(rows) > 1 else ""
    changed = f"Bounds: {first['bounds']}." if first.get("bounds", "default") != "default" else ""
    note = " ".join(filter(None, ("; ".join(words.told(rows)), changed)))
    return [
        badge(first["result"], small=True),
        join([first["title"], tag("span", first["id"], class_="id"), tag("span", note, class_="note") if note else ""]),
        words.value(first),
        words.bound(first, "target"),
        words.bound(first, "critical"),
        words.margin_text(first),
        words.samples(first),
        svg.strip(rows),
        words.place(first, rows) + many,
    ]


def _layer(certificate: Mapping, layer: str) -> Html:
    own = [finding for finding in certificate["findings"] if finding["layer"] == layer]
    groups = words.by_check(own)
    alike = {identifier: reason for identifier, reason in _alike(certificate).items() if identifier in groups}
    judged = [_row(rows) for rows in groups.values() if rows[0]["judged"] and rows[0]["id"] not in alike]
    aside = [_row(rows) for rows in groups.values() if not rows[0]["judged"]]
    record = certificate["layer_verdicts"].get(layer)
    title = join([f"Layer {layer} ", badge(record["verdict"]) if isinstance(record, Mapping) and "verdict" in record else ""])
    plots = [curves.plot(plot, own) for plot in certificate.get("plots") or [] if isinstance(plot, Mapping) and plot.get("layer") == layer]
    parts = [
        table(FINDING_HEADS, judged, "findings"),
        *(tag("p", badge("INCONCLUSIVE", small=True), f" {number} checks{_at(alike, reason, groups)}: {reason}") for reason, number in
          Counter(alike.values()).items()),
        tag("p", svg.LEGEND, class_="legend") if judged else "",
        tag("p", words.PROOF_LEGEND, class_="legend") if any(one.get("proof") for one in own) else "",
        *plots,
        tag("details", tag("summary", f"{len(aside)} more, indicative: not part of the verdict"), table(FINDING_HEADS, aside, "findings")) if aside else "",
    ]
    return _section(title, _name(certificate, layer), *(parts if own else [tag("p", "It has no finding.")]))


def _at(alike: Mapping, reason: str, groups: Mapping) -> str:
    """Return at which hosts checks that are told as one were not measured."""
    rows = [row for identifier, own in alike.items() if own == reason for row in groups[identifier]]
    return words.hosts([row for row in rows if row["result"] == "INCONCLUSIVE"], rows)


def _tuning(certificate: Mapping, layer: str) -> Html:
    """Return what in the configuration deviates, by component and by what to write."""
    own = [finding for finding in certificate["findings"] if finding["layer"] == layer]
    parts: List[Any] = []
    for group in tuning_page.groups(finding for finding in own if "_" in finding["id"]):
        cards = [(fix.get("informs"), _fix(fix, [finding for finding in own if finding["id"] == fix["id"]])) for fix in group["fixes"]]
        advice, aside = ([card for informs, card in cards if bool(informs) is wanted] for wanted in (False, True))
        parts += [tag("h3", group["component"]), *advice]
        parts.append(tag("details", tag("summary", f"{len(aside)} for your information"), *aside) if aside else "")
    record = certificate["layer_verdicts"].get(layer)
    title = join(["Configuration (tuning) ", badge(record["verdict"]) if isinstance(record, Mapping) and "verdict" in record else ""])
    intro = "It has a verdict of its own; only what is marked blocking counts in the certificate's."
    good = sum(finding["result"] == "PASS" for finding in own)
    parts = [tag("p", intro, class_="soft"), tag("p", f"{len(own)} settings were looked at, {good} meet the advice.")] + (parts or [tag("p", "None deviates.")])
    return _section(title, _name(certificate, layer), *parts)


def _fix(fix: Mapping, rows: Sequence[Mapping]) -> Html:
    rows = [row for row in rows if row["result"] in words.OPEN] or rows
    more = f"and {len(rows) - MOST_PLACES} more: see certificate.json" if len(rows) > MOST_PLACES else ""
    seen = [[row.get("entry") or row.get("host"), row.get("where", ""), words.value(row), words.bound(row, "target") if row.get("target") else
             words.bound(row, "critical"), row["reason"]] for row in rows[:MOST_PLACES]]  # fmt: skip
    blocking = tag("span", "blocking", class_="badge fail small") if any(row.get("blocking") for row in rows) else ""
    return tag(
        "div",
        tag("h3", badge(fix["result"], small=True), " ", fix["title"], " ", blocking),
        tag("p", fix.get("fix", "")),
        code(fix["write"]) if fix.get("write") else "",
        table(["At", "Set in", "Found", "Wanted", "Note"], seen),
        tag("p", more) if more else "",
        tag("p", link(fix.get("reference"), "Reference"), " ", tag("span", fix["id"], class_="id")),
        class_="card",
    )


def _unmeasured(certificate: Mapping) -> Html:
    groups = words.by_check(certificate["findings"])
    every = words.unmeasured(certificate)
    rows = [[_titles(found, groups), reason] for reason, found in list(every.items())[:MOST_REASONS]]
    more = f"and {len(every) - MOST_REASONS} more reasons: see certificate.json" if len(every) > MOST_REASONS else ""
    titles = {rows[0]["id"]: f"{rows[0]['layer']}: {rows[0]['title']}" for rows in groups.values()}
    stated = [[titles.get(row.get("id"), row.get("id")), row.get("reason")] for row in certificate["not_applicable"]]
    aside = words.by_check(row for row in certificate["findings"] if not row["judged"] and row["result"] == "INCONCLUSIVE" and row.get("value") is None)
    absent = [[_titles(found, groups), "; ".join(words.told(found))] for found in aside.values()]
    fold = [
        tag("details", tag("summary", f"{len(body)} {text}"), table(["Check", "Reason"], body)) if body else ""
        for body, text in ((absent, "that would only have informed"), (stated, "not applicable, by stated reason"))
    ]
    shown = table(["Checks", "Reason"], rows) or tag("p", "Everything that was to be judged was measured.")
    return _section("What was not measured, and why", "unmeasured", shown, tag("p", more) if more else "", *fold)


def _titles(found: Sequence[Mapping], groups: Mapping) -> str:
    """Return the checks of findings that were not measured for one reason; of those with several findings how many, and where."""
    shown = []
    for identifier, rows in words.by_check(found).items():
        among = groups[identifier]
        where = words.places(rows, among)
        many = words.share(rows, among) if len(among) > 1 else ""
        shown.append(f"{rows[0]['layer']}: {rows[0]['title']}" + (f", {many}" if many else "") + (f" ({where})" if where else ""))
    return "; ".join(dict.fromkeys(shown))


def _exceptions(certificate: Mapping) -> Html:
    units = {finding["id"]: finding.get("unit") for finding in certificate["findings"]}
    changes = [[row["id"], f"{row['bound']} {row.get('tier', '')}".strip(), human(row["from"], units.get(row["id"])), human(row["to"], units.get(row["id"])),
                row["direction"], row["reason"]] for row in certificate["changes"]]  # fmt: skip
    waivers = [[row["id"], row["state"], row["owner"], row["expires"], row["reason"]] for row in certificate["waivers"]]
    declared = [[name, human(size)] for name, size in sorted(certificate["capacity"].items())]
    expected = [[row["layer"], row["name"], human(row["value"]), row["source"], row.get("text", "")] for row in certificate.get("expected") or []]
    loads = [[row["layer"], row["setting"], human(row["value"]), human(row["default"])] for row in certificate.get("loads") or []]
    items = [[row["list"], row["id"], row["value"] or "left out", row["default"] or "not there"] for row in certificate.get("checklist_changes") or []]
    parts = [
        join([tag("h3", "Changed bounds"), table(["Check", "Bound", "From", "To", "Direction", "Reason"], changes)]) if changes else "",
        join([tag("h3", "Waivers"), table(["Check", "State", "Owner", "Expires", "Reason"], waivers)]) if waivers else "",
        join([tag("h3", "Declared capacity"), table(["Name", "Value"], declared)]) if declared and not expected else "",
        join([tag("h3", "Expected capacity, by which the load was sized"), table(["Layer", "Name", "Value", "From", "What it is"], expected)])
        if expected else "",
        join([tag("h3", "Load that is not the default"), table(["Layer", "Setting", "Value", "Default"], loads)]) if loads else "",
        join([tag("h3", "Checklist and SLAs that are not the default"), table(["List", "Item", "Value", "Default"], items)]) if items else "",
    ]
    return _section("What was changed, waived and declared", "exceptions", join(parts) or tag("p", "Nothing: every bound is the default."))


def _provenance(certificate: Mapping) -> Html:
    hosts = [[group, ", ".join(map(str, names))] for group, names in sorted(certificate["hosts"].items())]
    tools = [[host, tool, facts.get("version", ""), facts.get("source", ""), facts.get("path", "")]
             for host, own in sorted(certificate["tools"].items()) for tool, facts in sorted(own.items())]  # fmt: skip
    hashes = sorted((certificate.get("hashes") or {}).items())
    voided = [f"{name}: {human(seen)}" for name, seen in sorted((certificate.get("voided_by") or {}).items())]
    listed = tag("div", Html("<br>").join(escape(f"{value}  {path}") for path, value in hashes[:MOST_HASHES]), class_="hash")
    parts = [
        tag("p", "It is void when one of these changes: ", "; ".join(voided), ".") if voided else "",
        table(["Group", "Hosts"], hosts),
        tag("h3", "Tools") if tools else "",
        table(["Host", "Tool", "Version", "From", "Path"], tools),
        _facts([("Command", certificate["run"].get("command")), ("Digest of certificate.json", certificate.get("digest"))]),
        tag("details", tag("summary", f"SHA-256 of {len(hashes)} files of the run"), listed, class_="long") if hashes else "",
    ]
    return _section("Hosts, tools and hashes", "provenance", *parts)
