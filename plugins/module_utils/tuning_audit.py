# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit without a certification: what was measured becomes facts, findings, a verdict and a page. Pure; runs on the controller only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Dict, Optional

from . import checks, tuning_page
from .check_data import load_checks
from .check_settings import load_settings
from .tuning_facts import cluster_facts

SOURCE = "roles/tuning/defaults/main/checks.yml"
# The rules ask the same in every profile.
PROFILE = "smoke"


def audit(measured: Mapping, rules: Mapping, cluster: str, settings: Optional[Mapping] = None) -> Dict[str, Any]:
    """Return {facts, findings, verdict, page}; CheckError when rules or settings cannot be used, also for a rule that there is not."""
    rules = load_checks(rules, SOURCE)
    said = load_settings(settings, rules)
    facts = cluster_facts(measured)
    findings = checks.judge(rules, {"cluster": {cluster: facts}}, "tuning", PROFILE, {"cluster": [cluster]}, said)
    findings += checks.waiver_findings(findings, said, cluster)
    return {
        "facts": facts,
        "findings": findings,
        "verdict": checks.verdict(findings)["verdict"],
        "page": tuning_page.page(findings, cluster, facts["problems"]),
    }
