# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings of the tuning as a page: by component and by what to do, with the value found, where, and the lines to write. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any, Dict, List, Optional

from . import checks
from .human import clean, human

WIDTH = 100
MARGIN = " " * 15
# Names of places in a sentence.
MOST = 6
# The second word of an id is the component.
COMPONENTS = {
    "apiserver": "API server",
    "manager": "Controller manager",
    "scheduler": "Scheduler",
    "etcd": "etcd",
    "kubelet": "Kubelet",
    "containerd": "containerd",
    "proxy": "kube-proxy",
    "coredns": "CoreDNS",
    "cni": "Network plugin",
    "storage": "Storage",
    "node": "Kernel and machine",
    "cluster": "Cluster",
    "waivers": "Waivers",
    "measured": "Measured",
}
# In a column of 12.
SHORT = {"Controller manager": "Manager", "Kernel and machine": "Kernel", "Network plugin": "Network"}
DEVIATES = ("FAIL", "CONDITIONAL", "INCONCLUSIVE")
# Its own findings, and those about its waivers, which name a rule as their entry.
LAYER = "tuning"
# So many rules without an answer, for the same reason, are one line.
FEW = 3


def component(identifier: str) -> str:
    """Return the component of a rule."""
    return identifier.split("_")[1]


def groups(findings: Iterable) -> List[dict]:
    """Return [{component, short, fixes: [fix]}] of the tuning's findings.

    A fix is {id, result, judged, informs, title, fix, write?, reference, places: [sentence], seen: [row]}; a row is {value, unit, target, critical,
    entry, where, reason, result}, and `places` says the same in sentences, equal ones together.
    Advice stands before information, the worst first. What meets its target, does not apply, or is no part of the verdict and was not measured, is left out.
    """
    findings = [one for one in findings if one["layer"] == LAYER or str(one.get("entry", "")).startswith(f"{LAYER}_")]
    # On its own the tuning is judged; in a certificate, where only what blocks is, the findings say themselves whether they inform.
    alone = any(one["judged"] and not one.get("blocking") for one in findings)
    by_id: Dict[str, List[Mapping]] = {}
    for finding in findings:
        if finding["result"] in DEVIATES and (finding["judged"] or finding["result"] != "INCONCLUSIVE"):
            by_id.setdefault(finding["id"], []).append({**finding, "informs": finding.get("informs", alone and not finding["judged"])})
    fixes: Dict[str, List[dict]] = {name: [] for name in COMPONENTS}
    for identifier, found in by_id.items():
        first = min(found, key=_rank)
        one = {name: first[name] for name in ("id", "result", "judged", "informs", "title", "fix", "write", "reference") if name in first}
        one["seen"] = [{name: row.get(name) for name in ("value", "unit", "target", "critical", "entry", "where", "reason", "result")} for row in found]
        one["places"] = _places(one["seen"])
        fixes.setdefault(component(identifier), []).append(one)
    titles = {name: COMPONENTS.get(name, name) for name in fixes}
    return [{"component": titles[name], "short": SHORT.get(titles[name], titles[name]), "fixes": sorted(own, key=_rank)} for name, own in fixes.items() if own]


def _rank(finding: Mapping) -> tuple:
    return finding["informs"], checks.RESULTS.index(finding["result"])


def page(findings: Iterable, cluster: str, problems: Iterable = ()) -> str:
    """Return the page as text, 100 columns wide: what deviates in full, information in one line each, and what could not be read."""
    findings = list(findings)
    outcome = checks.verdict(findings)
    counts = ", ".join(f"{count} {result}" for result, count in outcome["counts"].items() if count and result in checks.DECIDING)
    lines = [f"TUNING OF {clean(cluster)}: {outcome['verdict']} ({counts or 'nothing was judged'})"]
    grouped = groups(findings)
    unread = _unread(grouped)
    for group in grouped:
        advice = [fix for fix in (_without(fix, unread) for fix in group["fixes"] if not fix["informs"]) if fix["seen"]]
        lines += ["", group["component"].upper()] if advice else []
        for fix in advice:
            lines += _full(fix)
    lines += ["", "NOT MEASURED"] if unread else []
    for sentence, titles in unread.items():
        lines += _wrapped(f"{len(titles)} rules: {sentence}", f"{'INCONCLUSIVE':<14} ", MARGIN)
        lines += _wrapped("; ".join(titles[:MOST]) + (f"; and {len(titles) - MOST} more" if len(titles) > MOST else ""), MARGIN)
    informing = [(group["short"], fix) for group in grouped for fix in group["fixes"] if fix["informs"]]
    lines += ["", "FOR YOUR INFORMATION (not judged)"] if informing else []
    for name, fix in informing:
        lines += _short(name, fix)
    told = list(dict.fromkeys(clean(one) for one in problems))
    lines += ["", "NOT READ"] if told else []
    lines += [line for one in told for line in _wrapped(one, "  ")]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _unread(grouped: Iterable) -> Dict[str, List[str]]:
    """Return {why: [titles]} where one reason keeps several rules from an answer: a host that was lost is one line, not fifty."""
    found: Dict[str, List[str]] = {}
    for fix in (fix for group in grouped for fix in group["fixes"] if not fix["informs"]):
        for row in fix["seen"]:
            if row["result"] == "INCONCLUSIVE":
                found.setdefault(_places([row])[0], []).append(fix["title"])
    return {sentence: titles for sentence, titles in found.items() if len(titles) >= FEW}


def _without(fix: Mapping, unread: Mapping) -> dict:
    """Return a fix without the places of which the page says in one line why they are not known."""
    rows = [row for row in fix["seen"] if row["result"] != "INCONCLUSIVE" or _places([row])[0] not in unread]
    return {**fix, "seen": rows, "places": _places(rows)}


def _full(fix: Mapping) -> List[str]:
    """Return the lines of a finding that is judged."""
    lines = [f"{fix['result']:<14} {clean(fix['title'])}"]
    for sentence in fix["places"]:
        lines += _wrapped(sentence, MARGIN)
    if fix["result"] == "INCONCLUSIVE":
        # Nobody knows whether there is anything to correct.
        return lines
    lines += _wrapped(f"Fix: {fix['fix']}", MARGIN)
    for line in str(fix.get("write") or "").splitlines():
        lines.append(f"{MARGIN}  {line}")
    return lines


def _places(rows: Iterable) -> List[str]:
    """Return a sentence for each thing that was found, with all the places where it was."""
    found: Dict[tuple, List[str]] = {}
    for row in rows:
        found.setdefault((_seen(row), row["where"] or ""), []).extend([row["entry"]] if row["entry"] else [])
    sentences = []
    for (text, where), names in found.items():
        place = " in ".join(filter(None, (", ".join(names[:MOST]) + (f" and {len(names) - MOST} more" if len(names) > MOST else ""), where)))
        sentences.append(f"{place}: {text}" if place else text)
    return sentences


def _seen(seen: Mapping) -> str:
    """Return what was found, and what was wanted."""
    if seen["value"] is None:
        return seen["reason"]
    wanted = (seen["critical"] if seen["result"] == "FAIL" else seen["target"]) or seen["target"] or seen["critical"]
    if wanted is None:
        return seen["reason"] or _value(seen["value"], seen)
    reason = f" ({seen['reason'].rstrip('.')})" if seen["reason"] else ""
    return f"{_value(seen['value'], seen)}, wanted {human(wanted, seen['unit'])}{reason}"


def _value(value: Any, seen: Mapping) -> str:
    if value == []:
        return "none"
    return "; ".join(clean(str(one)) for one in value) if isinstance(value, list) else human(value, seen["unit"]) or '""'


def _short(name: str, fix: Mapping) -> List[str]:
    """Return the lines of a finding that is information."""
    seen = fix["seen"][0]
    where = "" if len(fix["seen"]) == 1 else f", and {len(fix['seen']) - 1} more"
    text = f"{fix['title']}: {_value(seen['value'], seen)}{where}." + (f" {seen['reason']}" if seen["reason"] else "")
    text += f" Advice: {fix['write'].splitlines()[0]}" if fix.get("write") else f" {fix['fix']}"
    return textwrap.wrap(
        f"{name:<14} {clean(text)}", WIDTH, subsequent_indent=MARGIN, break_long_words=False, break_on_hyphens=False
    )


def _wrapped(text: str, first: str, rest: Optional[str] = None) -> List[str]:
    rest = first + "  " if rest is None else rest
    return textwrap.wrap(clean(text), WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False)
