# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings of the tuning as a page: by component and by what to do, with the value found, where, and the lines to write. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any, Dict, List

from . import certificate, checks

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
}
SHORT = {"Controller manager": "Manager", "Kernel and machine": "Kernel"}
DEVIATES = ("FAIL", "CONDITIONAL", "INCONCLUSIVE")


def component(identifier: str) -> str:
    """Return the component of a rule."""
    return identifier.split("_")[1]


def groups(findings: Iterable) -> List[dict]:
    """Return [{component, fixes: [{result, judged, title, fix, write?, reference, seen: [{value, unit, target, critical, entry, where, reason}]}]}].

    The judged ones stand first, the worst before the others. What meets its target, does not apply, or is information that was not measured, is left out.
    """
    by_id: Dict[str, List[Mapping]] = {}
    for finding in findings:
        if finding["result"] in DEVIATES and (finding["judged"] or finding["result"] != "INCONCLUSIVE"):
            by_id.setdefault(finding["id"], []).append(finding)
    fixes: Dict[str, List[dict]] = {name: [] for name in COMPONENTS}
    for identifier, found in by_id.items():
        first = min(found, key=_rank)
        one = {name: first[name] for name in ("id", "result", "judged", "title", "fix", "write", "reference") if name in first}
        one["seen"] = [{name: row.get(name) for name in ("value", "unit", "target", "critical", "entry", "where", "reason", "result")} for row in found]
        fixes.setdefault(component(identifier), []).append(one)
    return [{"component": COMPONENTS.get(name, name), "fixes": sorted(own, key=_rank)} for name, own in fixes.items() if own]


def _rank(finding: Mapping) -> tuple:
    return not finding["judged"], checks.RESULTS.index(finding["result"])


def page(findings: Iterable, cluster: str, problems: Iterable = ()) -> str:
    """Return the page as text, 100 columns wide: what is judged in full, information in one line each."""
    findings = list(findings)
    outcome = checks.verdict(findings)
    counts = ", ".join(f"{count} {result}" for result, count in outcome["counts"].items() if count and result in checks.DECIDING)
    lines = [f"TUNING OF {certificate.clean(cluster)}: {outcome['verdict']} ({counts or 'nothing was judged'})"]
    grouped = groups(findings)
    for group in grouped:
        judged = [fix for fix in group["fixes"] if fix["judged"]]
        lines += ["", group["component"].upper()] if judged else []
        for fix in judged:
            lines += _full(fix)
    informing = [(group["component"], fix) for group in grouped for fix in group["fixes"] if not fix["judged"]]
    lines += ["", "FOR YOUR INFORMATION (not judged)"] if informing else []
    for name, fix in informing:
        lines += _short(name, fix)
    told = list(dict.fromkeys(certificate.clean(one) for one in problems))
    lines += ["", "NOT READ"] if told else []
    lines += [line for one in told for line in _wrapped(one, "  ")]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _full(fix: Mapping) -> List[str]:
    """Return the lines of a finding that is judged."""
    lines = [f"{fix['result']:<14} {certificate.clean(fix['title'])}"]
    for sentence in _places(fix["seen"]):
        lines += _wrapped(sentence, MARGIN)
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
    reason = f" ({seen['reason'].rstrip('.')})" if seen["reason"] else ""
    return f"{_value(seen['value'], seen)}, wanted {certificate.human(wanted, seen['unit'])}{reason}"


def _value(value: Any, seen: Mapping) -> str:
    if value == []:
        return "none"
    return "; ".join(certificate.clean(str(one)) for one in value) if isinstance(value, list) else certificate.human(value, seen["unit"]) or '""'


def _short(name: str, fix: Mapping) -> List[str]:
    """Return the lines of a finding that is information."""
    seen = fix["seen"][0]
    where = "" if len(fix["seen"]) == 1 else f", and {len(fix['seen']) - 1} more"
    text = f"{fix['title']}: {_value(seen['value'], seen)}{where}." + (f" {seen['reason']}" if seen["reason"] else "")
    text += f" Advice: {fix['write'].splitlines()[0]}" if fix.get("write") else f" {fix['fix']}"
    return textwrap.wrap(
        f"{SHORT.get(name, name):<14} {certificate.clean(text)}", WIDTH, subsequent_indent=MARGIN, break_long_words=False, break_on_hyphens=False
    )


def _wrapped(text: str, indent: str) -> List[str]:
    return textwrap.wrap(certificate.clean(text), WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_long_words=False, break_on_hyphens=False)
