# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user says about checks (certify_thresholds, _waivers, _not_applicable, _capacity, _tiers), validated. Runs on the controller only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Dict, List

from ansible_collections.kubeproof.certify.plugins.module_utils import apiserver_plan, bounds, ingress_plan, network_plan
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import (
    DATE_ADVICE,
    SENTENCE,
    CheckError,
    Rule,
    instead,
    is_bound_or_tiers,
    is_date,
    is_text,
    load_checks,
    plain,
    problems,
    require_map,
    wrong,
)

# Entries of certify_capacity that no check has for a bound: they size the load.
SIZES = (*apiserver_plan.INPUTS, *network_plan.INPUTS, *ingress_plan.INPUTS)
SECTIONS = ("thresholds", "waivers", "not_applicable", "capacity", "tiers")
LARGEST_CAPACITY = 1e18
BOUND = Rule(is_bound_or_tiers, bounds.HOW)
REASON = Rule(is_text, SENTENCE, True)
DATE = Rule(is_date, DATE_ADVICE, True)
CAPACITY = Rule(lambda value: bounds.kind(value) == "number" and 0 < value <= LARGEST_CAPACITY, "write a number above 0")
THRESHOLD = {"target": BOUND, "critical": BOUND, "reason": REASON}
WAIVER = {"reason": REASON, "owner": Rule(is_text, "write who answers for it", True), "expires": DATE}


def load_catalogue(parts: Any, settings: Any = None) -> Dict[str, dict]:
    """Return the validated checks of all roles, from parts [{checks, source, layer?}]; CheckError lists every problem of them or of the settings."""
    checks: Dict[str, dict] = {}
    found: List[str] = []
    for part in parts:
        try:
            loaded = load_checks(part["checks"], part["source"], part.get("layer"))
        except CheckError as error:
            found.append(str(error))
            continue
        found += [f"{part['source']}: {identifier}: the id exists already; write another." for identifier in loaded if identifier in checks]
        checks.update(loaded)
    found = found or _unknown_links(checks) + _problems(plain(settings or {}), checks)
    if found:
        raise CheckError("\n".join(found))
    return checks


def _unknown_links(catalogue: Mapping) -> List[str]:
    """Return one sentence for each `explained_by` that names no check; links cross layers, so the whole catalogue must be there."""
    return [
        f"{identifier}: explained_by names {name}, and there is no such check; correct or remove it."
        for identifier, check in catalogue.items()
        for name in check.get("explained_by", ())
        if name not in catalogue
    ]


def load_settings(settings: Any, checks: Mapping) -> Dict[str, Any]:
    """Return the settings {today, thresholds, waivers, not_applicable, capacity, tiers}, each there; CheckError lists every problem."""
    settings = plain(settings or {})
    found = _problems(settings, checks)
    if found:
        raise CheckError("\n".join(found))
    return {"today": settings.get("today"), **{name: settings.get(name) or {} for name in SECTIONS}}


def own_settings(settings: Any, checks: Mapping) -> Dict[str, Any]:
    """Return what the settings say about these checks, validated; what they say about other layers was validated with the catalogue."""
    settings = plain(settings or {})
    if isinstance(settings, dict):
        known, tiers = _known(checks), _tiers(checks)
        settings = {
            name: {key: value for key, value in section.items() if (key in known[name] if name in known else value in tiers)}
            if name in SECTIONS and isinstance(section, dict) else section
            for name, section in settings.items()
        }  # fmt: skip
    return load_settings(settings, checks)


def threshold_changes(checks: Mapping, settings: Any) -> List[dict]:
    """Return the certificate's changes [{id, bound, tier?, from, to, direction, reason}]: every bound that certify_thresholds changes."""
    checks = plain(require_map(checks, "The catalogue of checks"))
    loaded = load_settings(settings, checks)
    return [
        {"id": identifier, **change, "reason": override["reason"]}
        for identifier, override in sorted(loaded["thresholds"].items())
        for tier in bounds.tiers_of(checks[identifier])
        for change in effective(checks[identifier], identifier, loaded, tier).changes
    ]


def checklist_changes(given: Mapping, usual: Mapping) -> List[dict]:
    """Return [{list, id, value, default}] of the items that are not those of the role's default; null is what is not there.

    Both are {checklist: {id: {title, layer, checks, profiles?}}, slas: …}; value and default are texts with all that an item says. The order is no change.
    """
    found = []
    for name in ("checklist", "slas"):
        items = [require_map(one.get(name) or {}, f"certify_{name}") for one in (plain(given), plain(usual))]
        for identifier in dict.fromkeys([*items[1], *items[0]]):
            value, default = (_item(one[identifier]) if identifier in one else None for one in items)
            found += [{"list": name, "id": str(identifier), "value": value, "default": default}] if value != default else []
    return found


def _item(item: Any) -> str:
    """Return what an item says; one that cannot be used, which is refused where it is to be filled, is shown as it is."""
    if not isinstance(item, dict) or not isinstance(item.get("checks"), list):
        return bounds.show(item)
    only = item.get("profiles") or []
    filled = f"; only in {' or '.join(map(str, only)) if isinstance(only, list) else bounds.show(only)}" if only else ""
    return f"{item.get('title')} ({item.get('layer')}: {', '.join(map(str, item['checks']))}{filled})"


def effective(check: Mapping, identifier: str, settings: Mapping, tier: Any = None) -> bounds.Effective:
    """Return the bounds of a check under these settings."""
    capacity = (settings.get("capacity") or {}).get(check.get("capacity"))
    return bounds.effective(check, (settings.get("thresholds") or {}).get(identifier), capacity, tier)


def _known(checks: Mapping) -> Dict[str, Any]:
    """Return the names that a section may have; the names in tiers (StorageClasses) are known only when the cluster is read."""
    capacities = {check["capacity"] for check in checks.values() if "capacity" in check}
    return {"thresholds": checks, "waivers": checks, "not_applicable": checks, "capacity": capacities}


def _tiers(checks: Mapping) -> List[str]:
    return sorted({tier for check in checks.values() for tier in bounds.tiers_of(check) if tier})


def _problems(settings: Any, checks: Mapping) -> List[str]:
    """Return one sentence for each thing that is wrong with the settings."""
    if not isinstance(settings, dict):
        return [f"The settings are {bounds.show(settings)}; write a map with the keys today, {', '.join(SECTIONS)}."]
    found = [f"certify_{name}: unknown setting; {instead(name, SECTIONS)}." for name in settings if name not in SECTIONS + ("today",)]
    known, tiers = _known(checks), _tiers(checks)
    known["capacity"] = known["capacity"].union(SIZES)
    tier = Rule(lambda value: value in tiers, f"write a tier: {', '.join(tiers) or 'there are none'}")
    examine = {
        "thresholds": lambda where, value: problems(where, value, THRESHOLD),
        "waivers": lambda where, value: problems(where, value, WAIVER),
        "not_applicable": lambda where, value: wrong(where, value, REASON),
        "capacity": lambda where, value: wrong(where, value, CAPACITY),
        "tiers": lambda where, value: wrong(where, value, tier),
    }
    for name in SECTIONS:
        section = settings.get(name) or {}
        if not isinstance(section, dict):
            found.append(f"certify_{name} is {bounds.show(section)}; write a map.")
            continue
        for key, value in section.items():
            if key in known.get(name, section):
                found += examine[name](f"certify_{name}: {key}", value)
            else:
                found.append(f"certify_{name}: {key}: there is no such {'capacity' if name == 'capacity' else 'check'}; {instead(key, known[name])}.")
    if settings.get("waivers"):
        found += wrong("today", settings.get("today"), DATE)
    return found or _override_problems(settings, checks)


def _override_problems(settings: Mapping, checks: Mapping) -> List[str]:
    """Return what is wrong with thresholds whose keys are each valid: nothing changed, tiers that the check lacks, a target weaker than critical."""
    found = []
    for identifier, override in (settings.get("thresholds") or {}).items():
        check, where = checks[identifier], f"certify_thresholds: {identifier}"
        tiers = [tier for tier in bounds.tiers_of(check) if tier]
        changed = [key for key in bounds.BOUND_KEYS if key in override]
        own = [f"{where}: target and critical are missing; write one of them."] if not changed else []
        own += [wording for key in changed for wording in wrong(f"{where}: {key}", override[key], _shape(tiers))]
        effects = [] if own else [effective(check, identifier, settings, tier) for tier in tiers or [None]]
        found += own + [f"{where}: {effect.weaker}." for effect in effects if effect.weaker]
    return found


def _shape(tiers: Sequence) -> Rule:
    """Return the rule that an override has the form of the bound that it replaces."""
    if tiers:
        return Rule(lambda value: isinstance(value, dict) and all(tier in tiers for tier in value), f"write a map of tiers ({', '.join(tiers)}) to bounds")
    return Rule(lambda value: isinstance(value, str), "write one bound: this check has no tiers")
