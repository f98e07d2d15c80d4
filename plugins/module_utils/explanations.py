# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What could explain a number that is off target: findings of lower layers and of the tuning, by the links that its check names. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import List

from ansible_collections.kubeproof.certify.plugins.module_utils import checks

OFF_TARGET = ("FAIL", "CONDITIONAL")
SHOWN = ("id", "layer", "title", "result", "value", "unit", "host", "entry")


def explain(findings: Iterable) -> List[dict]:
    """Return the findings, with `explained_by` [{id, layer, title, result, value, unit?, host?, entry?}] where there is an explanation.

    It is in what a finding that is off target names in its own `explained_by` [ids]: those that are off target as well, each by its worst finding,
    in the order of the links. A finding that meets its target, or was not measured, has none.
    """
    findings = list(findings)
    off = checks.worst(one for one in findings if one.get("result") in OFF_TARGET)
    return [_explained(one, off) for one in findings]


def _explained(finding: Mapping, off: Mapping) -> dict:
    kept = {key: value for key, value in finding.items() if key != "explained_by"}
    if finding.get("result") not in OFF_TARGET:
        return kept
    links = finding.get("explained_by")
    reasons = [off[name] for name in (links if isinstance(links, list) else ()) if isinstance(name, str) and name in off]
    shown = [{key: one[key] for key in SHOWN if one.get(key) not in (None, "")} for one in reasons]
    return {**kept, "explained_by": shown} if shown else kept
