# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tasks of a stress run keep, for tests of the facts of layers."""

from __future__ import annotations

COREDNS = {"uid": "1", "phase": "Running", "ready": True, "owner": "Deployment kube-system/coredns", "restarts": 1}
HEALTH = {"nodes": {"names": ["cp1", "worker1"], "not_ready": []}, "pods": {"kube-system/coredns-a": COREDNS}}
SETTINGS = {"capacity": {}, "thresholds": {}, "waivers": {}, "not_applicable": {}, "tiers": {}, "today": "2026-01-01"}
PAUSE = 3


def names_of(plan):
    """Return the names of the ramp and of the first try of recovery."""
    return [step["name"] for step in plan["steps"] if "phase" in step]


def known(checks, plan, names=None, settings=None, **changes):
    """Return what stress.facts takes as `known`; changes: what the run of a step keeps beside its times, by its name with _ for -."""
    runs, clock = [], 1000.0
    for name in names_of(plan) if names is None else names:
        more = changes.get(name.replace("-", "_"), {})
        runs.append({"name": name, "began": clock, "ended": clock + 60, "error": "", "aborted": False, "health": HEALTH, **more})
        clock += 60 + PAUSE
    return {"checks": checks, "settings": {**SETTINGS, **(settings or {})}, "health": HEALTH, "runs": runs}
