# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate: what was run, every finding worst first, and the verdict."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Dict, List, Optional

from . import bounds, checks, load_settings, next_step, time_scale
from .explanations import explain
from .human import human

SCHEMA = 1
LAYERS = ("etcd", "apiserver", "network", "dns", "storage", "ingress")
RUN_KEYS = ("id", "started", "user", "controller", "version")
RUN_OPTIONAL_KEYS = ("finished", "seconds", "load_seconds", "time_scale", "command", "resumed")
RECORD_KEYS = ("at", "seconds", "load_seconds", "error")
DIGITS = re.compile(r"([0-9]+)")


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
    not_applicable {id: reason}, loads [{layer, setting, default, value}], checklist_changes [{list, id, value, default}], inventory, where there are any.
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
    loads = list(plan.get("loads", ()))
    return {
        "schema": SCHEMA,
        "heading": heading(profile, chosen, state, run.get("time_scale")),
        "verdict": outcome["verdict"],
        "state": state,
        "message": next_step.after_interruption(plan.get("inventory", "")) if state == "interrupted" else
        next_step.after_run(outcome["verdict"], findings, run, chosen, partial, scaled),
        "profile": profile,
        "layers": chosen,
        "partial": partial,
        "cluster": dict(run["cluster"]),
        "run": {key: run[key] for key in RUN_KEYS + RUN_OPTIONAL_KEYS if run.get(key) is not None},
        "hosts": run.get("hosts", {}),
        "tools": run.get("tools", {}),
        "counts": outcome["counts"],
        "layer_verdicts": layer_verdicts,
        "checklist": load_settings.marked(checks.checklist(plan.get("checklist", {}), findings, *fills), loads),
        "slas": load_settings.marked(checks.checklist(plan.get("slas", {}), findings, *fills), loads),
        "changes": list(plan.get("changes", [])),
        "capacity": plan.get("capacity", {}),
        **_expected(plan),
        **({"loads": loads} if loads else {}),
        **({"checklist_changes": list(plan["checklist_changes"])} if plan.get("checklist_changes") else {}),
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
    outcome = checks.verdict(judged)
    if found is not None and not _is_list(found) or len(readable) < len(rows):
        reason = f"{layer} was not measured completely: its findings are damaged."
    elif record.get("error"):
        reason = f"{layer} was not measured completely: {record['error']}"
    elif expected and not findings:
        reason = f"{layer} was not measured: {why}."
    elif expected and not judged:
        reason = f"{layer} was not judged: none of its checks is part of this profile."
    elif expected and not outcome["judged"]:
        reason = f"{layer} was not judged: none of its checks applies. Leave it out of certify_layers."
    else:
        return findings
    if outcome["judged"] and outcome["verdict"] in ("FAIL", "INCONCLUSIVE"):
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


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))
