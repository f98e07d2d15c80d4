# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The breaking point of a layer, its headroom and its recovery, from the steps of a stress run. The same for every layer. Pure; controller only.

A step is held when all of its rate was answered, what gates the layer is within critical, and nothing restarted, ran out of memory, was not ready or
elected a leader (scale.md, section 4). The bounds are those of the layer's own checks, with what the user says about them: each step is a small
document of the layer's facts, and the checks are asked of it. What is not known is neither held nor broken, and ends the ramp: at least so much.
A probe that showed more errors than may be is the step that it was for; one that did not says nothing.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

from ansible_collections.kubeproof.certify.plugins.module_utils import stress_plan
from ansible_collections.kubeproof.certify.plugins.module_utils.check_settings import effective, own_settings
from ansible_collections.kubeproof.certify.plugins.module_utils.human import human
from ansible_collections.kubeproof.certify.plugins.module_utils.question import Question
from ansible_collections.kubeproof.certify.plugins.module_utils.stress_health import MOST_ERRORS, blind, hindrance, replaced, unread, worsened

# scale.md: achieved/offered.
HELD = 0.99
# How the judge begins to say so.
FEW = "Too few samples"
ANSWERED = ("PASS", "CONDITIONAL", "FAIL", "NOT_APPLICABLE")
SHOWN = ("name", "phase", "share", "offered", "achieved", "p99", "errors", "held", "broke_by", "seconds", "short")


def facts(layer: str, plan: dict, views: Dict[str, dict], known: Any) -> dict:
    """Return {unit, expected, closed, steps, headroom?, broke?, recovery?, hysteresis, most, said, missing, next}.

    `plan`: the layer's, with steps, spare and stress {expected, unit, closed, scale}. `views` {step: {offered, achieved, seconds, p99?, errors?,
    limited (why the generator was what limited), stopped? (what broke a step whose load stopped by itself), full? (why a rate that fell short was not
    the layer's fault), short? (what had too few samples, beside what decides), document (the layer's facts, of this step
    alone), wanted (ids of the checks that must have an answer)}}. `known`: checks, settings (those of the judge), health (before the ramp),
    runs [{name, began, ended, error, stop, health}].
    """
    known = _map(known)
    about = plan["stress"]
    judge = _Judge(layer, known)
    runs = {run["name"]: run for run in known.get("runs") or ()}
    looks = _looks(_map(known.get("health")), list(runs.values()))
    rows = [_row(step, _map(views.get(step["name"])), runs[step["name"]], judge, looks[step["name"]]) for step in stress_plan.planned(plan, list(runs))]
    rows.sort(key=lambda row: row["began"])
    anew = _replaced(rows)
    found: Dict[str, Any] = {name: about[name] for name in ("unit", "expected", "closed")}
    for row in rows:
        row["offered"] = row["offered"] or 0
    upcoming = stress_plan.following(plan, rows, judge.limit(f"{layer}_recovered") * about["scale"])
    hindered = _hindered(plan, upcoming, looks)
    rows = [row for row in rows if row["phase"] != stress_plan.PROBE]
    found["steps"] = [{key: row[key] for key in SHOWN if row.get(key) is not None or key == "held"} for row in rows]
    found["missing"] = {}
    _headroom(found, rows, about, hindered)
    _recovery(found, rows, hindered)
    found["hysteresis"] = _hysteresis(rows)
    rates = [row["achieved"] for row in rows if row.get("achieved") is not None]
    found.update({"most": max(rates)} if rates else {})
    found["said"] = _said(found, rows, about, hindered) + _short(rows) + anew + _unwatched(plan, _map(known.get("health")))
    found["next"] = None if hindered else upcoming
    return found


def add(document: dict, layer: str, plan: dict, views: Dict[str, dict], known: Any) -> None:
    """Put the facts of the ramp into a layer's document, and with them why one of them is not known."""
    found = facts(layer, plan, views, known)
    why = found.pop("missing")
    document["stress"] = found
    document["missing"] = {**_map(document.get("missing")), **{f"stress.{name}": sentence for name, sentence in why.items()}}


def _map(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


class _Judge:
    """The checks of a layer, asked of one step."""

    def __init__(self, layer: str, known: dict) -> None:
        self.layer = layer
        self.checks = {name: check for name, check in _map(known.get("checks")).items() if name.startswith(f"{layer}_")}
        # A waiver answers for a failure, and makes no rate one that is held.
        self.settings = own_settings({**_map(known.get("settings")), "waivers": {}}, self.checks)

    def limit(self, name: str) -> float:
        """Return the number in a check's critical bound, as it is set for this run."""
        critical = effective(self.checks[name], name, self.settings).bounds[1] if name in self.checks else None
        return critical.literal if critical else 0

    def ask(self, view: dict) -> Tuple[Optional[dict], str]:
        """Return ({id, title, value, bound, entry?} of the first check that is beyond critical, why one has no answer)."""
        open_ = ""
        for name in view["wanted"]:
            if name not in self.checks:
                return None, f"there is no check {name}"
            check = self.checks[name]
            found = list(Question(name, check, self.layer, "load", self.settings).ask("step", view["document"], ""))
            bad = next((one for one in found if one["result"] == "FAIL"), None)
            if bad:
                return _broken_by(bad, check), ""
            # Where some entries have too few samples the others answer; an interval on both sides of critical is no answer.
            undecided = next((one for one in found if one["result"] not in ANSWERED and one["reason"].startswith("Undecided")), None)
            if undecided or not any(one["result"] in ANSWERED for one in found):
                open_ = open_ or f"{check['title']}: {(undecided or found[0])['reason'].rstrip('.')}"
        return None, open_


def _broken_by(finding: dict, check: dict) -> dict:
    keys = ("id", "title", "value", "entry", "unit")
    return {**{key: finding[key] for key in keys if finding.get(key) is not None}, "bound": finding["critical"]}


def _looks(first: dict, runs: List[dict]) -> Dict[str, tuple]:
    """Return {step: (the first look at the health, the last that could be had before it)}; under "" what is known before the step that comes next."""
    found, last = {}, first
    for run in sorted(runs, key=lambda one: one["began"]):
        found[run["name"]] = (first, last)
        seen = _map(run.get("health"))
        last = seen if seen and not blind(seen) else last
    return {**found, "": (first, last)}


def _hindered(plan: dict, step: Optional[dict], looks: Dict[str, tuple]) -> str:
    """Return why the step that would be next may not be run, or "". One that is tried first is tried only where all of it could follow."""
    if not step:
        return ""
    first, last = looks[""]
    if len(looks) == 1 and blind(first):
        return f"the health could not be read: {blind(first)}"
    whole = stress_plan.planned(plan, [step["whole"]]) if "whole" in step else []
    return hindrance(last, sum(one.get("bytes", 0) for one in [step, *whole]))


# One step -------------------------------------------------------------------------------------------------------------------


def _row(step: dict, view: dict, run: dict, judge: _Judge, looks: tuple) -> dict:
    """Return a step with {held, broke_by, broke?, stop}; a probe that was not passed is the step that it was for."""
    row = _judged(step, view, run, judge, looks)
    return row if row["held"] or "whole" not in step else dict(row, name=step["whole"], phase=step["whole"].partition("-")[0])


def _judged(step: dict, view: dict, run: dict, judge: _Judge, looks: tuple) -> dict:
    row = {key: step[key] for key in ("name", "phase", "share")}
    row.update({key: view[key] for key in ("offered", "achieved", "p99", "errors", "seconds", "short") if view.get(key) is not None})
    row.setdefault("offered", step.get("rate"))
    row.update(began=run["began"], ended=run["ended"], health=_map(run.get("health")))
    worse, stop = worsened(*looks, row["health"])
    row["stop"] = stop or run.get("stop") or ""
    row["replaced"] = replaced(looks[1], row["health"])
    if run.get("aborted"):
        return dict(row, **_failed({"title": "The step was stopped", "value": run["error"]}))
    if view.get("stopped"):
        return dict(row, **_failed(view["stopped"]))
    if worse:
        return dict(row, **_failed({"title": worse}))
    blind = run.get("error") or unread(looks[1], row["health"])
    if blind:
        return _open(row, blind)
    if not view:
        return _open(row, "the step was not measured")
    errors = view.get("errors")
    if step["phase"] == stress_plan.PROBE:
        if errors is None or errors <= MOST_ERRORS:
            return dict(row, held=True, broke_by="")
        title = f"Share of errors in the first {step['seconds']:g} s"
        return dict(row, **_failed({"title": title, "value": errors, "unit": "ratio", "bound": f"<= {MOST_ERRORS}"}))
    if view.get("limited"):
        return _open(row, view["limited"])
    broke, why = judge.ask(view)
    if broke is None and errors is not None and errors > MOST_ERRORS:
        broke = {"title": "Share of errors", "value": errors, "unit": "ratio", "bound": f"<= {MOST_ERRORS}"}
    if row.get("achieved") is None or not row["offered"]:
        why = why or "the rate that was achieved is not known"
    elif broke is None and row["achieved"] < HELD * row["offered"]:
        # That is decided whatever else is not known.
        share = {"title": "Achieved of offered", "value": row["achieved"] / row["offered"], "unit": "ratio", "bound": f">= {HELD}"}
        broke, why = (None, view["full"]) if view.get("full") else (share, why)
    if broke:
        return dict(row, **_failed(broke))
    return dict(_open(row, why), few=FEW in why) if why else dict(row, held=True, broke_by="")


def _failed(broke: dict) -> dict:
    return {"held": False, "broke": broke, "broke_by": _sentence(broke)}


def _open(row: dict, why: str) -> dict:
    return dict(row, held=None, broke_by=f"not known: {why}".rstrip(". "))


def _sentence(broke: dict) -> str:
    """Return what broke a step: DNS latency, P99: 120 ms, critical < 50 ms."""
    if "value" not in broke:
        return broke["title"]
    place = f" ({broke['entry']})" if broke.get("entry") else ""
    bound = f", critical {human(broke['bound'], broke.get('unit'))}" if broke.get("bound") else ""
    against = [broke["bound"]] if broke.get("bound") else []
    return f"{broke['title']}{place}: {human(broke['value'], broke.get('unit'), against)}{bound}"


# All of them ----------------------------------------------------------------------------------------------------------------


def _loading(rows: List[dict]) -> List[dict]:
    return [row for row in rows if row["phase"] in stress_plan.LOADING]


def _at(rows: List[dict], share: Optional[float], held: bool) -> Optional[dict]:
    return next((row for row in _loading(rows) if row["share"] == share and row["held"] is held), None)


def _headroom(found: dict, rows: List[dict], about: dict, hindered: str) -> None:
    """Add {headroom: {ratio, rate, share}, broke?}; the ratio is an interval without an upper end where nothing broke."""
    best, bad = _at(rows, stress_plan.held(rows), True), _at(rows, stress_plan.broken(rows), False)
    unknown = next((row for row in _loading(rows) if row["held"] is None), None)
    if bad:
        found["broke"] = {"name": bad["name"], "share": bad["share"], "rate": bad["offered"], **bad["broke"]}
    if not _loading(rows):
        found["missing"]["headroom"] = f"No load may begin: {hindered}." if hindered else "No step of the ramp ran."
    elif not best and not bad:
        found["missing"]["headroom"] = f"The first step is {unknown['broke_by']}." if unknown else "No step of the ramp ran."
    else:
        rate = best["offered"] if best else 0
        ratio, end = (round(one / about["expected"], 4) for one in (rate, bad["offered"] if bad else 0))
        # What is between the last that was held and the first that broke is known only when each step in between is.
        open_ = unknown is not None and (bad is None or unknown["share"] < bad["share"])
        found["headroom"] = {"ratio": [ratio, end or None] if open_ or not bad else ratio, "rate": rate, "share": best["share"] if best else 0}


def _recovery(found: dict, rows: List[dict], hindered: str) -> None:
    """Add {recovery: {seconds, attempts}}: from the end of the ramp to the beginning of the first step that was within critical all the time."""
    tries = [row for row in rows if row["phase"] == stress_plan.RECOVER]
    ramp = [row for row in rows if row["phase"] == stress_plan.RAMP]
    good = next((row for row in tries if row["held"]), None)
    if not tries or not ramp:
        stop = next((row["stop"] for row in rows if row["stop"]), hindered)
        found["missing"]["recovery"] = f"No load may follow: {stop}." if stop else "No step at the rate of recovery ran."
        return
    overload = max(row["ended"] for row in ramp)
    if not good and tries[-1].get("few"):
        found["missing"]["recovery"] = f"The rate of recovery is {tries[-1]['broke_by']}."
        return
    if good:
        seconds: Any = round(max(0.0, good["began"] - overload), 1)
    else:
        seconds = [round(max(0.0, stress_plan.elapsed(rows)), 1), None]
    found["recovery"] = {"seconds": seconds, "attempts": len(tries)}


def _hysteresis(rows: List[dict]) -> List[str]:
    """Return in sentences which steps were not held although a higher or the same rate was before: what is overloaded once may stay slow."""
    said = []
    for number, row in enumerate(rows):
        before = [one for one in rows[:number] if one["held"] and one["share"] >= row["share"] and one["phase"] in stress_plan.LOADING]
        if row["held"] is False and before:
            said.append(f"{_percent(row)} was not held after {_percent(before[-1])} had been: {row['broke_by']}.")
    return said


def _percent(row: dict) -> str:
    return f"{row['share'] * 100:.4g} %"


def _rate(row: dict, about: dict) -> str:
    # A ramp that would have too few requests begins above what is expected.
    more = row["offered"] > stress_plan.rate_of(about["expected"], row["share"])
    share = f"{row['offered'] / about['expected'] * 100:.4g} %" if more else _percent(row)
    return f"{share} ({human(row['offered'], about['unit'])})"


def _short(rows: List[dict]) -> str:
    """Return in a sentence which steps were too short for each of their percentiles."""
    few = sorted({name for row in rows for name in row.get("short") or ()})
    names = [row["name"] for row in rows if row.get("short")]
    return f" Too short for a percentile of {', '.join(few[:3])}{' and others' if few[3:] else ''}: {', '.join(names)}." if names else ""


def _replaced(rows: List[dict]) -> str:
    """Return in a sentence whose pods were replaced meanwhile, which may be a rollout."""
    found = [f"{whose} ({row['name']})" for row in rows for whose in row["replaced"]]
    return f" Pods were replaced by others: {', '.join(found[:3])}{' and others' if found[3:] else ''}." if found else ""


def _unwatched(plan: dict, look: dict) -> str:
    """Return in a sentence that nobody looked at the etcd that the ramp writes to."""
    writes = any(step.get("bytes") for step in plan["steps"])
    return " etcd was not watched: the inventory names no host of it." if writes and look and "etcd" not in look and not look.get("error") else ""


def _said(found: dict, rows: List[dict], about: dict, hindered: str) -> str:
    """Return the breaking point in one plain sentence."""
    best, bad = _at(rows, stress_plan.held(rows), True), _at(rows, stress_plan.broken(rows), False)
    unknown = next((row for row in _loading(rows) if row["held"] is None), None)
    if not best and not bad:
        return f"The breaking point is not known: {found['missing'].get('headroom', '').rstrip('.')}."
    held = f"held {_rate(best, about)} of what is expected" if best else "no step was held"
    if bad:
        end = f"broke at {_rate(bad, about)}: {bad['broke_by']}"
    elif unknown:
        end = f"{_rate(unknown, about)} is {unknown['broke_by']}"
    else:
        end = f"nothing broke, and it was not loaded more: {hindered}" if hindered else "nothing broke, so it may carry more"
    loop = f" ({about['closed']})" if about["closed"] else ""
    return f"{held[0].upper()}{held[1:]}; {end}{loop}."
