# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What could explain a number that is off target: findings of lower layers and of the tuning, by the links that its check names. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Dict, List

from ansible_collections.kubeproof.certify.plugins.module_utils import checks

OFF_TARGET = ("FAIL", "CONDITIONAL")
SHOWN = ("id", "layer", "title", "result", "value", "unit", "host", "entry")


def explain(findings: Iterable) -> List[dict]:
    """Return the findings, with `explained_by` [{id, layer, title, result, value, unit?, host?, entry?}] where there is an explanation.

    It is in what a finding that is off target names in its own `explained_by` [ids]: those that are off target as well, each by what was found at the
    same place, or else by its worst finding, in the order of the links. What costs nothing at this cluster's size explains nothing.
    A finding that meets its target, or was not measured, has none.
    """
    findings = list(findings)
    off: Dict[str, List[Mapping]] = {}
    for one in findings:
        if one.get("result") in OFF_TARGET and not _is_harmless(one):
            off.setdefault(one["id"], []).append(one)
    return [_explained(one, off) for one in findings]


def _is_harmless(finding: Mapping) -> bool:
    """Say whether a check of its own accord only informs here, and says why."""
    return bool(finding.get("informs") and finding.get("reason"))


def _explained(finding: Mapping, off: Mapping) -> dict:
    kept = {key: value for key, value in finding.items() if key != "explained_by"}
    if finding.get("result") not in OFF_TARGET:
        return kept
    links = finding.get("explained_by")
    reasons = [_nearest(off[name], finding) for name in (links if isinstance(links, list) else ()) if isinstance(name, str) and name in off]
    shown = [{key: one[key] for key in SHOWN if one.get(key) not in (None, "")} for one in reasons]
    return {**kept, "explained_by": shown} if shown else kept


def _nearest(candidates: List[Mapping], finding: Mapping) -> Mapping:
    """Return the worst of those that were found where the finding was, or of all."""
    places = _places(finding)
    [worst] = checks.worst([one for one in candidates if places & _places(one)] or candidates).values()
    return worst


def _places(finding: Mapping) -> set:
    """Return the names of a host or an entry; a cluster's name is that of every finding of its scope."""
    return {finding.get("entry"), finding.get("host") if finding.get("scope") == "host" else None} - {None, ""}
