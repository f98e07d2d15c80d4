# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a run is going to take: the load of each layer, and about as much as is beside it; and whether certify_budget allows for that. Pure."""

from __future__ import annotations

import math

from .sizing import PlanError

# Seconds of a layer beside its load: a look before and after, pods that start, volumes that are made, cleaning up. Measured on two shared cores.
BESIDE = {"etcd": 35, "apiserver": 45, "network": 25, "dns": 30, "storage": 15, "ingress": 25}
BESIDE_OTHERS = 5
# Preflight, verdict and report.
AROUND = 25
MINUTE = 60
# So many layers are named as those to shorten: the longest ones.
NAMED = 2


def run_times(loads, profile="load", budget=""):
    """Return {layers: [{layer, load, seconds}], load, seconds, over} of {layer: seconds of its load}, in that order.

    `over` says why `budget`, certify_budget in minutes or "", does not allow for it and what to change, or is "". PlanError on a bad budget.
    """
    layers = [{"layer": layer, "load": round(load), "seconds": round(load + BESIDE.get(layer, BESIDE_OTHERS))} for layer, load in loads.items()]
    seconds = sum(one["seconds"] for one in layers) + AROUND
    allowed = _minutes(budget)
    over = "" if allowed is None or seconds <= allowed * MINUTE else _over(layers, seconds, allowed, profile)
    return {"layers": layers, "load": sum(one["load"] for one in layers), "seconds": seconds, "over": over}


def _minutes(budget):
    """Return the minutes of certify_budget, None where it is empty."""
    if budget is None or budget == "":
        return None
    try:
        minutes = math.nan if isinstance(budget, bool) else float(budget)
    except (TypeError, ValueError):
        minutes = math.nan
    if not 0 < minutes < math.inf:
        raise PlanError(f"certify_budget is {budget!r}. Write minutes above 0, such as 240, or leave it empty.")
    return minutes


def _over(layers, seconds, allowed, profile):
    parts = ", ".join(f"{one['layer']} {_shown(one['seconds'])}" for one in layers)
    longest = sorted(layers, key=lambda one: -one["seconds"])[:NAMED]
    shorten = " and ".join(f"{one['layer']}_load.{profile}" for one in longest)
    return (
        f"certify_budget is {allowed:g} minutes, and this run would take about {_shown(seconds)}: {parts}, and {_shown(AROUND)} around them. Raise "
        f"certify_budget, choose fewer layers (certify_layers), or shorten what takes longest ({shorten}). Nothing was loaded."
    )


def _shown(seconds):
    """Return minutes, rounded up, so that a sum of them is never less than the whole."""
    return f"{math.ceil(seconds / MINUTE)} min"
