# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate: what was run, every finding worst first, and the verdict; and numbers as a person reads them."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Dict, List, Optional

from . import bounds, checks, time_scale
from .explanations import explain

SCHEMA = 1
LAYERS = ("etcd", "apiserver", "network", "dns", "storage", "ingress")
RUN_KEYS = ("id", "started", "user", "controller", "version")
RUN_OPTIONAL_KEYS = ("finished", "seconds", "load_seconds", "time_scale", "command", "resumed")
RECORD_KEYS = ("at", "seconds", "load_seconds", "error")
DIGITS = re.compile(r"([0-9]+)")

# What a reader does next, short enough for one line of a terminal. {n}: "3 INCONCLUSIVE checks"; {step} follows the profile.
NEXT_BY_VERDICT = {
    "FAIL": "Not ready for production: correct the {n} and certify again.",
    "INCONCLUSIVE": "Nothing is proven: remove the reasons for the {n} and certify again.",
    "CONDITIONAL": "Accept or correct the {n}, then {step}.",
    "PASS": "All that was judged is on target: {step}.",
}
STEP_SCALED = "certify without certify_time_scale"
STEP_PARTIAL = "certify all six layers with the profile load"
STEP_BY_PROFILE = {
    "smoke": "run the profile load to fill the checklist",
    "load": "keep certificate.json as the baseline",
    "stress": "keep the headroom found for planning",
    "soak": "keep certificate.json as the baseline",
}
NEXT_INTERRUPTED = "Interrupted: run playbooks/cleanup.yml -i {inventory}, then certify again."

# unit: (from this value on, size of one, how it is written); the first row that the value reaches.
SCALES = {
    "s": ((7200, 3600, " h"), (600, 60, " min"), (1, 1, " s"), ("1e-3", "1e-3", " ms"), ("1e-6", "1e-6", " µs"), (0, "1e-9", " ns")),
    "byte": ((2**40, 2**40, " TiB"), (2**30, 2**30, " GiB"), (2**20, 2**20, " MiB"), (2**10, 2**10, " KiB"), (0, 1, " B")),
    "byte/s": (("1e9", "1e9", " GB/s"), ("1e6", "1e6", " MB/s"), ("1e3", "1e3", " kB/s"), (0, 1, " B/s")),
    "bit/s": (("1e9", "1e9", " Gbit/s"), ("1e6", "1e6", " Mbit/s"), ("1e3", "1e3", " kbit/s"), (0, 1, " bit/s")),
    "1/s": ((0, 1, "/s"),),
    "ratio": ((0, "0.01", " %"),),
    "count": ((0, 1, ""),),
}
BOUND = re.compile(r"(==|!=|<=|>=|<|>) +(-?\d\S*)$")
FIGURES = 3
MOST_FIGURES = 17
LARGEST = Decimal("1e15")
NOTHING = "-"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class CertificateError(Exception):
    """The certificate cannot be assembled; the text names what is missing."""


def certificate(
    run: Mapping,
    plan: Mapping,
    findings_by_layer: Mapping,
    records: Optional[Mapping] = None,
) -> Dict[str, Any]:
    """Return the certificate of a run that has ended, as plain data.

    `run`: id, started, user, controller, version, profile, cluster {name, uid?, kubernetes?}; finished, seconds,
    load_seconds, time_scale, command, resumed [{at, kept {layer: when}}], hosts {group: [names]}, tools {host: {tool: {version, path, source}}} where known.
    `plan`: layers [chosen]; beside [what is read beside them, such as tuning]; checklist and slas {id: {title, layer, checks, profiles?}},
    changes [...], capacity {name: value}, expected {layer: [{name, value, source, text}]}, waivers {id: {reason, owner, expires}},
    not_applicable {id: reason}, inventory, where there are any.
    `findings_by_layer`: {layer: [finding]}; a chosen layer that is missing, damaged or has nothing judged is INCONCLUSIVE.
    `records`: {layer: {seconds?, load_seconds?, error?}}; a layer with an error is at best INCONCLUSIVE.
    CertificateError if run or plan lack a key.
    """
    return _assemble(run, plan, findings_by_layer, records or {}, "finished", "no findings were recorded")


def interrupted(run: Mapping, plan: Mapping) -> Dict[str, Any]:
    """Return the certificate that is written before anything is measured, and stays if the run is killed."""
    return _assemble(run, plan, {}, {}, "interrupted", "the run was interrupted")


def heading(profile: str, layers: Sequence, state: str = "finished", scale: Any = 1, joined: bool = False) -> str:
    """Return the heading, such as `SMOKE, SCALED 0.1, PARTIAL: etcd, dns, INTERRUPTED`."""
    parts = [profile.upper()]
    if joined:
        parts.append("JOINED")
    if time_scale.is_scaled(scale):
        parts.append(f"SCALED {human(scale)}")
    if is_partial(layers):
        parts.append("PARTIAL: " + ", ".join(layers))
    if state == "interrupted":
        parts.append("INTERRUPTED")
    return ", ".join(parts)


def is_partial(layers: Sequence) -> bool:
    """Say whether fewer than all six layers were chosen."""
    return bool(set(LAYERS) - set(layers))


def _assemble(run: Mapping, plan: Mapping, findings_by_layer: Mapping, records: Mapping, state: str, why: str) -> Dict[str, Any]:
    """Return the certificate in the given state; `why` says why a layer without findings has none."""
    _require(run, RUN_KEYS + ("profile", "cluster"), "run")
    _require(run["cluster"], ("name",), "run.cluster")
    _require(plan, ("layers",), "plan")
    chosen = [layer for layer in LAYERS if layer in plan["layers"]] + [layer for layer in plan["layers"] if layer not in LAYERS]
    if not chosen:
        raise CertificateError("The plan has no layers. Choose at least one in certify_layers.")
    if not _is_list(plan.get("changes", [])):
        raise CertificateError("The plan's changes are no list. Give what the filter kubeproof.certify.changes returns for certify_thresholds.")
    planned = set(plan.get("beside", ()))
    beside = sorted((planned | set(findings_by_layer)) - set(chosen))

    findings: List[dict] = []
    layer_verdicts: Dict[str, dict] = {}
    for layer in chosen + beside:
        record = {key: records[layer][key] for key in RECORD_KEYS if records.get(layer, {}).get(key) not in (None, "")}
        own = _layer_findings(layer, findings_by_layer.get(layer), record, layer in chosen or layer in planned, run["cluster"]["name"], why)
        layer_verdicts[layer] = {"verdict": checks.verdict(own)["verdict"], **record}
        # Tuning has a verdict of its own; of it, only what blocks is part of the certificate's, and that it was not read at all.
        findings += own if layer in chosen else [{**one, "judged": one["judged"] and _blocks(one)} for one in own]
    waivers = {"waivers": plan.get("waivers", {}), "today": run["started"][:10]}
    findings += checks.waiver_findings(findings, waivers, run["cluster"]["name"]) if state == "finished" else []
    findings = explain(findings)
    findings.sort(key=order(findings))
    outcome = checks.verdict(findings)
    measured = [layer for layer in chosen if findings_by_layer.get(layer)]
    partial = is_partial(chosen)
    profile, scaled = run["profile"], time_scale.is_scaled(run.get("time_scale"))
    fills = (profile, partial, measured, scaled)
    return {
        "schema": SCHEMA,
        "heading": heading(profile, chosen, state, run.get("time_scale")),
        "verdict": outcome["verdict"],
        "state": state,
        "message": NEXT_INTERRUPTED.format(inventory=plan.get("inventory") or "<inventory>") if state == "interrupted" else
        " ".join((message(outcome["verdict"], _step(profile, partial, scaled), findings), *_went_on(run, chosen),
                  *([f"Then {STEP_SCALED}."] if scaled and outcome["verdict"] in checks.DECIDING[:2] else []))),
        "profile": profile,
        "layers": chosen,
        "partial": partial,
        "cluster": dict(run["cluster"]),
        "run": {key: run[key] for key in RUN_KEYS + RUN_OPTIONAL_KEYS if run.get(key) is not None},
        "hosts": run.get("hosts", {}),
        "tools": run.get("tools", {}),
        "counts": outcome["counts"],
        "layer_verdicts": layer_verdicts,
        "checklist": checks.checklist(plan.get("checklist", {}), findings, *fills),
        "slas": checks.checklist(plan.get("slas", {}), findings, *fills),
        "changes": list(plan.get("changes", [])),
        "capacity": plan.get("capacity", {}),
        **_expected(plan),
        "waivers": checks.waiver_states(findings, waivers),
        "not_applicable": _not_applicable(plan.get("not_applicable", {}), findings),
        "findings": findings,
    }


def _blocks(finding: Mapping) -> bool:
    return bool(finding.get("blocking")) or finding["id"] == f"{finding['layer']}_measured"


def _require(data: Mapping, keys: Sequence, name: str) -> None:
    """CertificateError unless `data` has every key."""
    missing = [key for key in keys if key not in data]
    if missing:
        raise CertificateError(f"Cannot write the certificate: {name} has no {', '.join(missing)}.")


def _layer_findings(layer: str, found: Any, record: Mapping, expected: bool, cluster: str, why: str) -> List[dict]:
    """Return the layer's findings, and one more that is INCONCLUSIVE where they do not prove anything."""
    # A finding that has lost a key keeps its result, and one that does not say whether it is judged is judged: a FAIL must not vanish.
    complete = {"id": f"{layer}_damaged", "layer": layer, "title": "Measured completely", "scope": "cluster", "host": cluster, "value": None, "target": None,
                "critical": None, "bounds": "default", "reason": ""}  # fmt: skip
    rows = list(found) if _is_list(found) else []
    readable = [one for one in rows if isinstance(one, Mapping) and one.get("result") in checks.RESULTS]
    findings = [{**complete, **one, "judged": one.get("judged", True) is not False} for one in readable]
    judged = [finding for finding in findings if finding["judged"]]
    if found is not None and not _is_list(found) or len(readable) < len(rows):
        reason = f"{layer} was not measured completely: its findings are damaged."
    elif record.get("error"):
        reason = f"{layer} was not measured completely: {record['error']}"
    elif expected and not findings:
        reason = f"{layer} was not measured: {why}."
    elif expected and not judged:
        reason = f"{layer} was not judged: none of its checks is part of this profile."
    else:
        return findings
    if judged and checks.verdict(judged)["verdict"] in ("FAIL", "INCONCLUSIVE"):
        return findings  # The layer's own findings say it already.
    fix = "Remove the reason and certify again."
    findings.append({**complete, "id": f"{layer}_measured", "result": "INCONCLUSIVE", "judged": True, "reason": reason, "fix": fix})
    return findings


def order(findings: Sequence) -> Any:
    """Return a sort key: judged first, the worst result, the check in the order given, its worst value, the host."""
    place: Dict[str, int] = {}
    for finding in findings:
        place.setdefault(finding["id"], len(place))

    def key(finding: Mapping) -> tuple:
        return (
            not finding["judged"],
            checks.RESULTS.index(finding["result"]),
            place[finding["id"]],
            -_badness(finding),
            _natural(finding.get("host")),
            _natural(finding.get("entry")),
        )

    return key


def _badness(finding: Mapping) -> float:
    """Return how bad the value is beside its bound; 0 where a damaged bound cannot say."""
    try:
        return bounds.badness(finding["value"], finding["critical"] or finding["target"])
    except (TypeError, ValueError):
        return 0.0


def _natural(name: Any) -> list:
    """Return a sort key that puts node2 before node10."""
    parts = DIGITS.split(str(name or ""))
    return [(text, Decimal(number)) for text, number in zip(parts[::2], parts[1::2] + ["0"])]


def _step(profile: str, partial: bool, scaled: bool) -> str:
    """Return what a good run leaves to do."""
    return STEP_SCALED if scaled else STEP_PARTIAL if partial else STEP_BY_PROFILE.get(profile, STEP_PARTIAL)


def _went_on(run: Mapping, chosen: Sequence) -> List[str]:
    """Return a sentence for each time that the run was interrupted and went on: what had been measured before, and what was measured then."""
    told = []
    for entry in run.get("resumed") or ():
        again = [layer for layer in chosen if layer not in entry["kept"]]
        kept = ", ".join(layer for layer in chosen if layer in entry["kept"]) or "nothing"
        told.append(f"It was interrupted and went on at {entry['at']}: {kept} had been measured before, {', '.join(again) or 'nothing'} then.")
    return told


def message(verdict: str, step: str, findings: Sequence) -> str:
    """Return one sentence: what the verdict means and what to do next."""
    number = len({finding["id"] for finding in findings if finding["judged"] and finding["result"] == verdict})
    marked = f"{number} {verdict} check{'' if number == 1 else 's'}"
    return NEXT_BY_VERDICT[verdict].format(n=marked, step=step)


def _expected(plan: Mapping) -> Dict[str, List[dict]]:
    """Return {expected: what sized the load of each layer, and where each number comes from}, {} where that is not known."""
    known = plan.get("expected") or {}
    # run.json has its keys in the order of the alphabet.
    rows = [{"layer": layer, **one} for layer in (*LAYERS, *sorted(set(known) - set(LAYERS))) for one in known.get(layer, ())]
    return {"expected": rows} if rows else {}


def _not_applicable(stated: Mapping, findings: Sequence) -> List[dict]:
    """Return what the owner stated and what a check's own rule left out, each with its reason, once."""
    rows = dict(stated)
    for finding in findings:
        if finding["result"] == "NOT_APPLICABLE":
            rows.setdefault(finding["id"], finding.get("reason", ""))
    return [{"id": name, "reason": rows[name]} for name in sorted(rows)]


def human(value: Any, unit: Optional[str] = None, against: Sequence = ()) -> str:
    """Return a value, an interval, a bound or a text as a person reads it, on one line.

    0.0123 s is `12.3 ms`, 1610612736 byte `1.5 GiB`, 8190 1/s `8,190/s`, [0.008, 0.016] s `8-16 ms`, [8.19, null] s `> 8.19 s`,
    the bound `< 0.025` in s `< 25 ms`, null `-`. `against`: bounds beside which the value must not look equal when it is not.
    """
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        match = BOUND.match(value) if unit else None
        return f"{match.group(1)} {human(_literal(match.group(2)), unit)}" if match else clean(value)
    if _is_number(value):
        return _quantity(value, unit, against)
    if _is_interval(value):
        return _interval(value[0], value[1], unit)
    if _is_list(value):
        return ", ".join(human(one, unit) for one in value)
    return clean(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str))


def clean(text: str) -> str:
    """Return the text on one line without control, direction and undefined characters: it may come from a tool or a host."""
    kept = (REPLACEMENT if unicodedata.category(one) in ("Cc", "Cf", "Cn", "Co", "Cs") and not one.isspace() else one for one in text)
    return " ".join("".join(kept).split())


def cells(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    return sum(_cells(one) for one in text)


def fit(text: str, width: int) -> str:
    """Return the text in exactly `width` columns: cut with … or filled with spaces."""
    taken = cells(text)
    if taken > width:
        taken, kept = 0, []
        for one in text:
            if taken + _cells(one) > width - 1:
                break
            kept.append(one)
            taken += _cells(one)
        text, taken = "".join(kept) + "…", taken + 1
    return text + " " * (width - taken)


def cell(value: Any, unit: Optional[str] = None, width: Optional[int] = None, against: Sequence = ()) -> str:
    """Return a value as `human` does, in exactly `width` columns if that is given."""
    text = human(value, unit, against)
    return text if width is None else fit(text, width)


def _cells(character: str) -> int:
    """Return the columns of one character."""
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def _quantity(value: Any, unit: Optional[str], against: Sequence = ()) -> str:
    """Return a number with its unit, with as many figures as tell it from every bound that it does not equal."""
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        return "not a number"
    others = [_literal(match.group(2)) for match in map(BOUND.match, filter(None, against)) if match]
    others = [Decimal(repr(other)) for other in others if _is_number(other) and Decimal(repr(other)) != number]
    size, suffix = _scale(number, unit)
    # 99.95 % is not 100 %: close to one, the nines count.
    others += [Decimal(1)] if unit == "ratio" and number != 1 else []
    for figures in range(FIGURES, MOST_FIGURES):
        text = _figures(number / size, figures)
        if all(text != _figures(other / size, figures) for other in others):
            break
    return text + suffix


def _interval(low: Any, high: Any, unit: Optional[str]) -> str:
    """Return the two ends in one unit."""
    if high is None:
        return f"> {human(low, unit)}"
    first, last = Decimal(repr(low)), Decimal(repr(high))
    size, suffix = _scale(last, unit)
    for figures in range(FIGURES, MOST_FIGURES):
        ends = _figures(first / size, figures), _figures(last / size, figures)
        if ends[0] != ends[1]:
            break
    return (" to " if first < 0 else "-").join(ends) + suffix


def _scale(number: Decimal, unit: Optional[str]) -> tuple:
    """Return the size of one and the suffix for this number."""
    rows = SCALES.get(unit or "", ((0, 1, f" {clean(unit)}" if unit else ""),))
    if number == 0 and unit == "s":
        return Decimal(1), " s"
    return next((Decimal(size), suffix) for start, size, suffix in rows if abs(number) >= Decimal(start))


def _figures(number: Decimal, figures: int) -> str:
    """Return the number with so many significant figures, thousands by comma; whole numbers are not rounded to fewer."""
    if abs(number) >= LARGEST:
        return f"{number:.{figures}e}"
    decimals = max(0, figures - 1 - number.adjusted()) if number else 0
    text = f"{number:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _literal(text: str) -> Any:
    """Return the JSON literal, or the text itself if it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _is_interval(value: Any) -> bool:
    """An interval is two numbers of which the second may be null."""
    return _is_list(value) and len(value) == 2 and _is_number(value[0]) and (value[1] is None or _is_number(value[1]))
