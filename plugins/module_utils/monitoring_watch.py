# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is watched: the checks of every layer that a Prometheus can answer, with the bounds of the certificate; and what is not, with the reason. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Dict, List, NamedTuple, Tuple

from ansible_collections.kubeproof.certify.plugins.module_utils import bounds, check_settings
from ansible_collections.kubeproof.certify.plugins.module_utils.monitoring_queries import MonitoringError, Query, fits, query_of, require_layer

SEVERITIES = {"target": "warning", "critical": "critical"}
# What PromQL says where a bound is missed.
MISSED = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
# Why nothing is known of all checks of a layer.
WITHOUT = {
    "tuning": "It is read from the configuration, which playbooks/audit.yml reads again.",
    "scale": "Only a run of playbooks/scale.yml, in which the cluster grows, shows it.",
}
UNKNOWN = "No query is known for it."
TIERLESS = "Its bounds depend on the class; choose one in certify_tiers ({layer}: {tiers})."


class Limit(NamedTuple):
    """A bound as an alert: severity, the bound as it is judged, the operator that says that it is missed, and the number."""

    severity: str
    bound: bounds.Bound
    missed: str
    number: Any


class Watched(NamedTuple):
    """A check that is watched: id, layer, check, query, limits (warning first), and how many samples it needs, 0 for any."""

    identifier: str
    layer: str
    check: Mapping
    query: Query
    limits: Tuple[Limit, ...]
    least: int


def watch(layers: Mapping, checks: Mapping, settings: Any, facts: Mapping) -> Tuple[List[Watched], Dict[str, str]]:
    """Return (what is watched, {id: why it is not}) of the checks with bounds.

    `layers`: {name: document}; `checks`: {layer: {id: check}}, as load_catalogue validated them; `settings`: as those of the judge.
    """
    every = {identifier: check for part in checks.values() for identifier, check in part.items()}
    try:
        settings = check_settings.load_settings(settings, every)
    except check_settings.CheckError as error:
        raise MonitoringError(str(error)) from error
    watched, left = [], {}
    for layer, part in checks.items():
        document = require_layer(layer, layers[layer]) if layer in layers else None
        for identifier, check in part.items():
            found = _look(identifier, layer, check, document, settings, facts)
            if isinstance(found, Watched):
                watched.append(found)
            elif found:
                left[identifier] = found
    return watched, left


def _look(identifier: str, layer: str, check: Mapping, document: Any, settings: Mapping, facts: Mapping) -> Any:
    """Return Watched, the reason why not, or None for a check without bounds."""
    changed = settings["thresholds"].get(identifier, {})
    if not any(key in one for one in (check, changed) for key in (*bounds.BOUND_KEYS, "capacity")):
        return None
    if identifier in settings["not_applicable"]:
        return f"certify_not_applicable: {settings['not_applicable'][identifier]}"
    if document is None:
        return WITHOUT.get(layer, UNKNOWN)
    entry = document["checks"].get(identifier, UNKNOWN) if fits(document.get("when"), facts) else UNKNOWN
    query = query_of(identifier, entry, facts)
    if isinstance(query, str):
        return query
    tiers = [one for one in bounds.tiers_of(check) if one]
    tier = settings["tiers"].get(identifier) or settings["tiers"].get(layer)
    if tiers and tier not in tiers:
        return TIERLESS.format(layer=layer, tiers=" or ".join(tiers))
    tier = tier if tiers else None
    effect = check_settings.effective(check, identifier, settings, tier)
    limits = _limits(identifier, effect.bounds, query)
    least = query.least or (bounds.of_tier(check.get("min_samples", 0), tier) if query.samples else 0)
    return Watched(identifier, layer, check, query, limits, least)


def _limits(identifier: str, pair: tuple, query: Query) -> Tuple[Limit, ...]:
    """Return the limits, without a warning that would say the same as the critical one."""
    found = []
    for key, bound in zip(bounds.BOUND_KEYS, pair):
        if bound is None:
            continue
        if bound.operator not in MISSED or not bound.kinds <= {"number", "boolean"}:
            raise MonitoringError(f"{identifier}: the bound {bound.text} cannot be an alert, which compares numbers. Say that it is not applicable.")
        # As the judge does with an interval of buckets: < and <= cannot be told apart.
        judged = bounds.parse(f"<= {bounds.show(bound.literal)}") if query.interpolated and bound.operator == "<" else bound
        number = int(bound.literal) if isinstance(bound.literal, bool) else bound.literal
        found.append(Limit(SEVERITIES[key], judged, MISSED[judged.operator], number))
    if len(found) == 2 and found[0][2:] == found[1][2:]:
        del found[0]
    return tuple(found)
