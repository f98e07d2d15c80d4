# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a run is going to take: the load of each layer, and about as much as is beside it; and whether certify_budget allows for that. Pure."""

from __future__ import annotations

import math

from . import bounds
from .sizing import PlanError

# Seconds of a layer beside its load: a look before and after, pods that start, volumes that are made, cleaning up. Measured on two shared cores.
BESIDE = {"etcd": 25, "apiserver": 32, "network": 15, "dns": 15, "storage": 15, "ingress": 15}
BESIDE_OTHERS = 5
# Preflight, verdict and report.
AROUND = 20
MINUTE = 60
# So many layers are named as those to shorten: the longest ones.
NAMED = 2
# A reboot of a node, at most: drained within certify_reboot_timeout; Ready within critical of apiserver_node_ready (roles/apiserver/defaults/main/checks.yml),
# what takes longer is a FAIL; and as long as that again for the machine's firmware before, and for three pods and the node's own workloads afterwards.
REBOOTS = "apiserver"
READY = 240
REBOOT = 2 * READY


def run_times(loads, profile="load", budget="", kept=None, clusters=None, reboots=0, reboot_timeout=0, recovery=None):
    """Return {layers: [{layer, load, seconds, kept}], load, seconds, reboot, recovery, over} of {layer: seconds of its load}, in that order.

    Only what is still to be measured counts. `kept` {layer: [clusters]} is what a run that goes on has measured already, of the number `clusters` {layer: n}
    that it has (1); a layer of which all is there is `kept`. `reboots`: nodes that are rebooted after the load of the API servers, each drained
    within `reboot_timeout`; `reboot` is how long they all take, at most. `recovery`, of the profile stress: {catalogue, thresholds, time_scale, ramps {layer:
    how many it has of its own (1)}}; a load has one try of recovery, and `recovery` is how many seconds more they may take, all layers together.
    `over` says why `budget`, certify_budget in minutes or "", does not allow for it and what to change, or is "". PlanError on a bad budget.
    """
    reboot = reboots * (reboot_timeout + REBOOT) if REBOOTS in loads and not (kept or {}).get(REBOOTS) else 0
    layers, more = [], 0
    for layer, load in loads.items():
        of_all = max(1, int((clusters or {}).get(layer, 1)))
        left = max(0, of_all - len((kept or {}).get(layer) or ())) / of_all
        beside = BESIDE.get(layer, BESIDE_OTHERS) + (reboot if layer == REBOOTS else 0)
        layers.append({"layer": layer, "load": round(load * left), "seconds": round((load + beside) * left), "kept": not left})
        more += _recovery(layer, recovery or {}) * of_all * left
    seconds, more = sum(one["seconds"] for one in layers) + AROUND, round(more)
    allowed = _minutes(budget)
    over = "" if allowed is None or seconds + more <= allowed * MINUTE else _over(layers, seconds, allowed, profile, reboot, more)
    return {"layers": layers, "load": sum(one["load"] for one in layers), "seconds": seconds, "reboot": reboot, "recovery": more, "over": over}


def _recovery(layer, stress):
    """Return for how many seconds recovery is tried again in a layer, at most: until critical of its check is over, after each ramp."""
    name = f"{layer}_recovered"
    check = (stress.get("catalogue") or {}).get(name)
    if not check:
        return 0
    critical = bounds.effective(check, (stress.get("thresholds") or {}).get(name)).bounds[1]
    return critical.literal * stress["time_scale"] * (stress.get("ramps") or {}).get(layer, 1) if critical else 0


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


def _over(layers, seconds, allowed, profile, reboot, more):
    layers = [one for one in layers if not one["kept"]]
    parts = ", ".join(f"{one['layer']} {_shown(one['seconds'])}" for one in layers)
    longest = sorted(layers, key=lambda one: -one["seconds"])[:NAMED]
    shorten = " and ".join(f"{one['layer']}_load.{profile}" for one in longest)
    until = f", and up to {_shown(more)} more until every layer has recovered" if more else ""
    fewer = " reboot fewer nodes (certify_reboot_nodes)," if reboot else ""
    return (
        f"certify_budget is {allowed:g} minutes, and this run would take about {_shown(seconds)}: {parts}, and {_shown(AROUND)} around them{until}. Raise "
        f"certify_budget, choose fewer layers (certify_layers),{fewer} or shorten what takes longest ({shorten}). Nothing was loaded."
    )


def _shown(seconds):
    """Return minutes, rounded up, so that a sum of them is never less than the whole."""
    return f"{math.ceil(seconds / MINUTE)} min"
