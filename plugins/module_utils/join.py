# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One certificate from several runs of one cluster in one configuration. Pure; runs on the controller only.

Which findings decide: of each layer in each profile those of the newest run; of what stands beside the layers (tuning) those of the newest
run at all. The verdict is that of all of them together. A run that would decide, and was left out, decides by its own verdict, so that
leaving one out never makes the verdict better.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from . import certificate as engine
from . import checks, fingerprint, history_compare, load_settings, next_step, report_seal, time_scale
from .human import human

# What decides what the certificate is one of, the first that there is.
BASES = ("load", "soak", "stress")
TIME = "%Y-%m-%dT%H:%M:%SZ"
OWN = "certify"
LEAST = 2


class JoinError(Exception):
    """The runs cannot be joined; the text names the run, what was found and what to do."""


class Member(NamedTuple):
    """One run: its certificate, and the plan of its run.json (checklist, slas)."""

    certificate: Mapping
    plan: Mapping

    @property
    def id(self) -> str:
        return self.certificate["run"]["id"]

    @property
    def profile(self) -> str:
        return self.certificate["profile"]

    @property
    def finished(self) -> str:
        return self.certificate["run"]["finished"]

    @property
    def name(self) -> str:
        return f"{self.id} ({self.profile})"


def moment(text: Any) -> datetime.datetime:
    """Return the time of an ISO 8601 text in UTC; ValueError when it is none."""
    return datetime.datetime.strptime(str(text), TIME)


def unfit(certificate: Mapping) -> str:
    """Return why a run never joins, whatever the others are, or ""."""
    if certificate.get("joined"):
        return "it is joined itself; name the runs that it was made of"
    if certificate["state"] != "finished":
        return "it was interrupted"
    if certificate["profile"] not in BASES:
        return f"its profile is {certificate['profile']}, which validates the configuration and decides nothing"
    if time_scale.is_scaled(certificate["run"].get("time_scale")):
        return f"it is scaled: its load was shortened by certify_time_scale {certificate['run']['time_scale']}"
    if not certificate["cluster"].get("uid"):
        return "it does not identify its cluster; set certify_kubeconfig"
    if not fingerprint.is_whole(certificate.get("fingerprint")):
        return "it has no fingerprint of the configuration, which older versions did not take"
    return ""


def differences(one: Member, other: Member) -> List[Dict[str, Any]]:
    """Return what of the configuration changed from the older of two runs to the newer, [{what, before, after}]."""
    older, newer = sorted((one, other), key=lambda member: (member.finished, member.id))
    before, after = older.certificate, newer.certificate
    # Versions of etcd are known where the layer etcd ran. A layer that both runs loaded in one profile has to have had the same load.
    unknown = [fingerprint.ETCD] if any(fingerprint.ETCD not in each["fingerprint"]["values"] for each in (before, after)) else []
    prints = before["fingerprint"], after["fingerprint"]
    unknown += fingerprint.unshared(*prints) + fingerprint.means(*prints)
    found = fingerprint.changes(*prints, unknown)
    return found + _settings(before, after)


def _settings(before: Mapping, after: Mapping) -> List[Dict[str, Any]]:
    """Return what the audits read differently of what somebody has set, where both runs had one."""
    seen = [{(row["id"], row["host"], row.get("entry")): row for row in one["findings"] if report_seal.is_setting(row)} for one in (before, after)]
    return [{"what": f"{row['title']} at {row.get('entry') or row['host']}", "before": _text(seen[0][key]["value"]), "after": _text(row["value"])}
            for key, row in seen[1].items() if key in seen[0] and seen[0][key]["value"] != row["value"]]  # fmt: skip


def _text(value: Any) -> Optional[str]:
    return None if value is None else human(value)


def parts(members: Sequence[Member]) -> Dict[Tuple[str, str], Member]:
    """Return {(profile, layer): the newest run that measured it}; of the configuration (tuning) the profile is ""."""
    found: Dict[Tuple[str, str], Member] = {}
    for member in sorted(members, key=lambda one: (one.finished, one.id)):
        for layer in member.certificate["layer_verdicts"]:
            found[_part(member, layer)] = member
    return found


def _part(member: Member, layer: str) -> Tuple[str, str]:
    # What became worse under load did not become better by a soak.
    return member.profile if layer in (*engine.LAYERS, history_compare.LAYER) else "", layer


def join(run: Mapping, members: Sequence[Member], left_out: Sequence[Member] = ()) -> Dict[str, Any]:
    """Return the certificate of the members.

    `run`: id, at (when it is joined), user, controller; `left_out`: runs that could have been members, and were not named.
    JoinError when they do not belong together, or are fewer than two.
    """
    members = sorted(members, key=lambda one: (one.finished, one.id))
    _require(members)
    newest, chosen = members[-1], parts(members)
    base = next((base for base in BASES if any((base, layer) in chosen for layer in engine.LAYERS)), None)
    if base is None:
        raise JoinError(f"None of {', '.join(one.name for one in members)} measured one of the layers {', '.join(engine.LAYERS)}. Name one that did.")
    layers = [layer for layer in engine.LAYERS if (base, layer) in chosen]
    waivers = {"waivers": {}, "today": str(run["at"])[:10]}
    for member in members:
        waivers["waivers"].update({row["id"]: {key: row[key] for key in ("reason", "owner", "expires")} for row in member.certificate["waivers"]})
    findings = [_expired(one, waivers["today"]) for one in _unique(_own(chosen))]
    cluster = newest.certificate["cluster"]
    findings += [_left_out(one, cluster["name"], waivers["today"]) for one in _deciding(members, left_out)]
    findings += checks.waiver_findings(findings, waivers, cluster["name"])
    findings.sort(key=engine.order(findings))
    outcome = checks.verdict(findings)
    partial = engine.is_partial(layers)
    step = next_step.step(base, partial)
    rows = [{**_head(one), "layers": [layer for layer in one.certificate["layers"] if chosen[_part(one, layer)] is one]} for one in members]
    return {
        "schema": engine.SCHEMA,
        "heading": engine.heading(base, layers, joined=True),
        "verdict": outcome["verdict"],
        "state": "finished",
        "message": f"{next_step.message(outcome['verdict'], step, findings)} Joined from {', '.join(one.name for one in members)}; "
        "of a layer in a profile the newest of them decides.",
        "profile": base,
        "layers": layers,
        "partial": partial,
        "cluster": dict(cluster),
        "run": _run(run, members),
        "joined": {"at": run["at"], "runs": rows, "left_out": [_head(one) for one in left_out]},
        "hosts": newest.certificate["hosts"],
        "tools": {host: tools for one in members for host, tools in one.certificate["tools"].items()},
        "counts": outcome["counts"],
        "layer_verdicts": _layer_verdicts(chosen, findings),
        "checklist": _checklist(_items(newest, "checklist"), chosen, findings, partial),
        "slas": _checklist(_items(newest, "slas"), chosen, findings, partial),
        "changes": newest.certificate["changes"],
        "capacity": newest.certificate["capacity"],
        **_expected(chosen, base, layers),
        **_loads(chosen),
        # Whose items these are.
        **{key: value for key, value in newest.certificate.items() if key == "checklist_changes"},
        "waivers": checks.waiver_states(findings, waivers),
        "not_applicable": _not_applicable(members, findings),
        "findings": findings,
    }


def _require(members: Sequence[Member]) -> None:
    """JoinError unless the members belong together."""
    if len({one.id for one in members}) < len(members):
        raise JoinError("A run is named twice. Name each run once in certify_runs.")
    for member in members:
        reason = unfit(member.certificate)
        if reason:
            raise JoinError(f"{member.id} cannot be joined: {reason}.")
    if len(members) < LEAST:
        raise JoinError(f"{members[0].name if members else 'No run'} is alone: there is nothing to join. Make another run, or name more in certify_runs.")
    # The newest first: what changed since is what matters most. Every pair, since not every run knows the versions of etcd.
    for newer, older in itertools.combinations(reversed(members), 2):
        found = differences(older, newer)
        if found:
            raise JoinError(f"{older.id} cannot be joined with {newer.id}, because the configuration changed: {fingerprint.told(found)}. "
                            "Certify again what the change may have touched, or name only runs of one configuration in certify_runs.")  # fmt: skip


def _head(member: Member) -> Dict[str, Any]:
    """Return what the certificate says of a run."""
    certificate = member.certificate
    return {"id": member.id, "profile": member.profile, "verdict": certificate["verdict"], "started": certificate["run"]["started"],
            "finished": member.finished, "digest": certificate["digest"], "valid_until": certificate["valid_until"]}  # fmt: skip


def _run(run: Mapping, members: Sequence[Member]) -> Dict[str, Any]:
    """Return the run of the certificate, which is as old as its oldest member."""
    own = [one.certificate["run"] for one in members]
    found = {key: run[key] for key in ("id", "user", "controller")}
    # It is in the fingerprint, so that all have the same.
    found.update(version=own[-1]["version"], started=min(one["started"] for one in own), finished=min(one.finished for one in members))
    found.update({key: sum(one[key] for one in own) for key in ("seconds", "load_seconds") if all(key in one for one in own)})
    return found


def _own(chosen: Mapping) -> List[dict]:
    """Return the findings of the parts, each with its run."""
    return [{**finding, "run": member.id} for (dummy, layer), member in sorted(chosen.items(), key=lambda part: part[0])
            for finding in member.certificate["findings"] if finding["layer"] == layer]  # fmt: skip


def _unique(findings: Sequence[Mapping]) -> List[Mapping]:
    """Return the findings without what only informs of a check that another run judged, and of the others the newest."""
    judged = {one["id"] for one in findings if one["judged"]}
    kept: Dict[tuple, Mapping] = {}
    for one in sorted(findings, key=lambda one: one["run"]):
        if one["judged"] or one["id"] not in judged:
            # Of what only informs, a number says more than none.
            key = (one["id"], one["host"], one.get("entry"), one["run"] if one["judged"] else "")
            if key not in kept or one["value"] is not None or kept[key]["value"] is None:
                kept[key] = one
    return list(kept.values())


def _expired(finding: Mapping, today: str) -> Mapping:
    """Return a finding whose waiver has expired since as the FAIL that it is."""
    waiver = finding.get("waiver")
    if not waiver or waiver["expires"] >= today:
        return finding
    kept = {key: value for key, value in finding.items() if key != "waiver"}
    return {**kept, "result": "FAIL", "reason": f"The waiver by {waiver['owner']} expired on {waiver['expires']}."}


def _deciding(members: Sequence[Member], left_out: Sequence[Member]) -> List[Member]:
    """Return those that were left out and would decide something if they were members."""
    whole = parts([*members, *left_out])
    return [one for one in left_out if any(member is one for member in whole.values())]


def _left_out(member: Member, cluster: str, today: str) -> Dict[str, Any]:
    """Return the finding of a run that was left out: its verdict is the result, without waivers that have expired since."""
    said = [member.certificate["verdict"], *(one["result"] for one in (_expired(each, today) for each in member.certificate["findings"]) if one["judged"])]
    verdict = next(result for result in checks.DECIDING if result in said)
    return {"id": f"{OWN}_joined", "layer": OWN, "title": "Every run is joined", "scope": "cluster", "host": cluster, "entry": member.id, "value": verdict,
            "target": '== "PASS"', "critical": None, "bounds": "default", "result": verdict, "judged": True, "run": member.id,
            "reason": "" if verdict == "PASS" else f"{member.name} has the verdict {verdict} and was not named, so it decides as a whole.",
            "fix": "Name it in certify_runs too, or certify again.", "reference": "certify_runs"}  # fmt: skip


def _layer_verdicts(chosen: Mapping, findings: Sequence[Mapping]) -> Dict[str, Any]:
    """Return {layer: {verdict, seconds, load_seconds, error}} over all runs that decide."""
    found: Dict[str, Any] = {}
    for layer in dict.fromkeys(layer for dummy, layer in sorted(chosen, key=lambda part: part[1])):
        records = [(member, member.certificate["layer_verdicts"][layer]) for (dummy, own), member in chosen.items() if own == layer]
        found[layer] = {"verdict": checks.verdict([one for one in findings if one["layer"] == layer])["verdict"]}
        found[layer].update({key: sum(record[key] for dummy, record in records) for key in ("seconds", "load_seconds")
                             if all(key in record for dummy, record in records)})  # fmt: skip
        errors = [f"{member.id}: {record['error']}" for member, record in records if record.get("error")]
        found[layer].update({"error": "; ".join(errors)} if errors else {})
    return found


def _items(member: Member, name: str) -> Dict[str, Any]:
    """Return the items of a run's plan in the order of its certificate; run.json has them in that of the alphabet."""
    planned = member.plan.get(name) or {}
    return {row["id"]: planned[row["id"]] for row in member.certificate[name] if row["id"] in planned}


def _checklist(items: Mapping, chosen: Mapping, findings: Sequence[Mapping], partial: bool) -> List[dict]:
    """Return the items, each filled by the run that says the worst of it among those that fill it, which is named."""
    rows = []
    for name, item in items.items():
        able = [member for (profile, layer), member in chosen.items() if layer == item["layer"] and profile]
        # A check that only informs in one run was left to the run that judged it.
        made: List[tuple] = [(_row(name, item, findings, member, partial), member) for member in able]
        made = made or [(checks.checklist({name: item}, [], BASES[0], partial, [])[0], None)]
        row, member = min(made, key=lambda one: (_status(one[0]), one[1].profile if one[1] else "", one[1].id if one[1] else ""))
        if member and row["status"] != "not measured":
            row = {**row, "run": member.id, "reason": " ".join(filter(None, (row.get("reason"), f"By {member.name}.")))}
        rows.append(row)
    return rows


def _row(name: str, item: Mapping, findings: Sequence[Mapping], member: Member, partial: bool) -> dict:
    """Return an item as one run fills it, with what it says of its load."""
    own = [one for one in findings if one.get("run") == member.id]
    rows = checks.checklist({name: item}, own, member.profile, partial, [item["layer"]])
    return load_settings.marked(rows, member.certificate.get("loads") or ())[0]


def _loads(chosen: Mapping) -> Dict[str, Any]:
    """Return {loads: what of the load of each layer was not the default, with the run that decides}, {} where all was."""
    rows = [{**row, "run": member.id} for (profile, layer), member in sorted(chosen.items(), key=lambda part: part[0]) if profile
            for row in member.certificate.get("loads") or () if row["layer"] == layer]  # fmt: skip
    return {"loads": rows} if rows else {}


def _expected(chosen: Mapping, base: str, layers: Sequence[str]) -> Dict[str, Any]:
    """Return {expected: what sized the load of each layer, by the run that decides}, {} where that is not known."""
    rows = [row for layer in layers for row in chosen[(base, layer)].certificate.get("expected") or () if row["layer"] == layer]
    return {"expected": rows} if rows else {}


def _status(row: Mapping) -> tuple:
    """Return a sort key: what is filled before what is not, and of that the worst."""
    known = checks.RESULTS.index(row["result"]) if row.get("result") in checks.RESULTS else len(checks.RESULTS)
    return ("filled", "indicative", "not measured").index(row["status"]), known


def _not_applicable(members: Sequence[Member], findings: Sequence[Mapping]) -> List[dict]:
    """Return what was stated not to apply, where no run found otherwise."""
    applies = {one["id"] for one in findings if one["judged"] and one["result"] != "NOT_APPLICABLE"}
    rows = {row["id"]: row for member in members for row in member.certificate["not_applicable"] if row["id"] not in applies}
    return [rows[name] for name in sorted(rows)]
