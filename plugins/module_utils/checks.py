# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge: checks and facts become findings. Pure; runs on the controller only.

What is missing, damaged or implausible is INCONCLUSIVE, so that removing or damaging a fact never improves a verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Dict, List, Optional

from ansible_collections.kubeproof.certify.plugins.module_utils import bounds
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import (
    PROFILES,
    PROFILES_ADVICE,
    CheckError,
    Rule,
    is_names,
    is_profiles,
    is_text,
    load_checks,
    plain,
    problems,
    require_map,
    wrong,
)
from ansible_collections.kubeproof.certify.plugins.module_utils.check_settings import own_settings
from ansible_collections.kubeproof.certify.plugins.module_utils.question import Question

# The worst first; the first four decide.
RESULTS = ("FAIL", "INCONCLUSIVE", "CONDITIONAL", "PASS", "NOT_APPLICABLE", "INFO")
DECIDING = RESULTS[:4]
FILLED_BY = ("load", "soak")
NAMES = Rule(is_names, "write a list of names, each once")
ITEM = {
    "title": Rule(is_text, "write a short text", True),
    "layer": Rule(is_text, "write the name of a layer", True),
    "checks": Rule(lambda value: is_names(value) and bool(value), "write a list of ids, each once", True),
    "profiles": Rule(is_profiles, PROFILES_ADVICE),
}


def judge(
    checks: Mapping,
    facts: Any,
    layer: str,
    profile: str,
    expected: Mapping,
    settings: Optional[Mapping] = None,
    because: Optional[Mapping] = None,
) -> List[dict]:
    """Return the findings of one layer; of `checks` those whose id starts with `layer` are asked.

    `facts` {scope: {name: document}}; `expected` {scope: [names]}: each expected name has a finding for each check of its scope,
    or for each entry with `each`; names that are not expected are ignored. `settings`: see check_settings.load_settings.
    `because` {name or "*": sentence}: why something was not measured, appended to the reason of what was not.
    A layer that is blocked is judged with facts {} and because {"*": "blocked by etcd"}.
    CheckError if checks, settings or profile cannot be used.
    """
    facts, expected, because = plain(facts), plain(expected), plain(require_map(because or {}, "because"))
    if profile not in PROFILES:
        raise CheckError(f"certify_profile is {bounds.show(profile)}; write one of {', '.join(PROFILES)}.")
    own = {identifier: check for identifier, check in require_map(checks, "checks").items() if identifier.startswith(f"{layer}_")}
    if checks and not own:
        raise CheckError(f"No check belongs to the layer {bounds.show(layer)}: no id starts with {layer}_; correct the layer's name.")
    own = load_checks(own, f"{layer}_checks", layer)
    said = own_settings(settings, own)
    findings: List[dict] = []
    for identifier, check in own.items():
        scope = check["scope"]
        question, documents = Question(identifier, check, layer, profile, said), _map(_map(facts).get(scope))
        # No expected name at all is an empty or misspelt group, and that is not measured either.
        for name in _names(expected, scope) or [""]:
            findings += question.ask(name, documents.get(name), because.get(name) or because.get("*") or "")
    return findings


def _map(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _names(expected: Any, scope: str) -> List[str]:
    """Return the names that are expected in a scope; CheckError if they are no list."""
    names = _map(expected).get(scope) or []
    found = wrong(f"expected.{scope}", names, NAMES)
    if found:
        raise CheckError(found[0])
    return names


def verdict(findings: Iterable, advisory: Sequence = ()) -> Dict[str, Any]:
    """Return {verdict, counts, judged}: the first of FAIL, INCONCLUSIVE, CONDITIONAL, PASS among the judged findings.

    Nothing judged, or all of it NOT_APPLICABLE, is INCONCLUSIVE. counts {result: n} counts findings that are not judged as INFO;
    judged is how many decided. Of the layers in `advisory` (tuning, in the certificate's verdict) only blocking findings are judged.
    A finding that does not say whether it is judged is judged, and one without a known result is INCONCLUSIVE.
    """
    counts = dict.fromkeys(RESULTS, 0)
    for finding in findings:
        judged = finding.get("judged", True) and (finding.get("layer") not in advisory or finding.get("blocking", False))
        result = finding.get("result")
        counts["INFO" if not judged else result if result in RESULTS else "INCONCLUSIVE"] += 1
    decided = [result for result in DECIDING if counts[result]]
    return {"verdict": decided[0] if decided else "INCONCLUSIVE", "counts": counts, "judged": sum(counts[result] for result in DECIDING)}


def worst(findings: Iterable) -> Dict[str, dict]:
    """Return {id: its worst finding, with `findings` (how many there are)}.

    Worst is the worst result, then the value farthest on the bad side of the bound, then the first host and entry by name.
    """
    by_id: Dict[str, list] = {}
    for finding in findings:
        by_id.setdefault(finding["id"], []).append(finding)
    return {identifier: {**plain(min(group, key=_order)), "findings": len(group)} for identifier, group in by_id.items()}


def _order(finding: Mapping) -> tuple:
    bound = finding.get("critical") or finding.get("target")
    return _rank(finding), -bounds.badness(finding.get("value"), bound), finding.get("host", ""), finding.get("entry", "")


def _rank(finding: Mapping) -> int:
    return RESULTS.index(finding["result"]) if finding.get("result") in RESULTS else RESULTS.index("INCONCLUSIVE")


def checklist(items: Mapping, findings: Iterable, profile: str, partial: bool, layers: Sequence, scaled: bool = False) -> List[dict]:
    """Return the certificate's checklist [{id, title, layer, checks, status, result?, value?, unit?, host?, entry?, reason?}].

    `items` {id: {title, layer, checks: [ids], profiles?: [those that fill it]}}; `layers` that ran. The result is the worst of the
    item's checks, the value that of its first check. Only a whole load or soak run that was not shortened (`scaled`) fills it, and only
    with checks that are judged in the profile; a value from another run is indicative, without a result; what was not measured is
    INCONCLUSIVE.
    CheckError if an item cannot be used.
    """
    items = plain(require_map(items, "The checklist"))
    found = [sentence for identifier, item in items.items() for sentence in problems(f"checklist: {identifier}", item, ITEM)]
    if found:
        raise CheckError("\n".join(found))
    by_id = worst(findings)
    told = (
        (scaled, "The run is scaled: it was shortened."),
        (partial, "The run is partial."),
        (profile not in FILLED_BY, f"The profile {profile} does not fill the checklist."),
    )
    why = next((text for holds, text in told if holds), "")
    return [
        {"id": identifier, "title": item["title"], "layer": item["layer"], "checks": item["checks"], **_fill(item, by_id, profile, why, layers)}
        for identifier, item in items.items()
    ]


def _fill(item: Mapping, by_id: Mapping, profile: str, why: str, layers: Sequence) -> dict:
    """Return status, and what is known of one item; `why` says why this run fills nothing, or is ""."""
    if item["layer"] not in layers:
        return {"status": "not measured", "result": "INCONCLUSIVE", "reason": f"The layer {item['layer']} did not run."}
    rows = [by_id.get(identifier) or _no_finding(identifier) for identifier in item["checks"]]
    first, deciding = rows[0], min(rows, key=_rank)
    unmeasured = [row for row in rows if row.get("value") is None and row["result"] != "NOT_APPLICABLE"]
    shown = {key: first[key] for key in ("value", "unit", "host", "entry") if first.get(key) is not None and first.get("value") is not None}
    if unmeasured and deciding["result"] != "FAIL":
        return {"status": "not measured", "result": "INCONCLUSIVE", "reason": unmeasured[0]["reason"]}
    if not why and profile not in item.get("profiles", FILLED_BY):
        why = f"Only the profile {' or '.join(item['profiles'])} fills it."
    aside = next((row["id"] for row in rows if not row.get("judged", True)), None)
    if (why or aside) and deciding["result"] == "NOT_APPLICABLE":
        return {"status": "not measured", "result": "NOT_APPLICABLE", "reason": deciding["reason"]}
    if why or aside:
        return {"status": "indicative", **shown, "reason": why or f"{aside} is not judged in the profile {profile}."}
    reason = deciding["reason"] or ("" if deciding is first else f"{deciding['title']}: {deciding['result']}.")
    return {"status": "filled", "result": RESULTS[_rank(deciding)], **shown, **({"reason": reason} if reason else {})}


def _no_finding(identifier: str) -> dict:
    return {"id": identifier, "title": identifier, "result": "INCONCLUSIVE", "value": None, "judged": True, "reason": f"{identifier} has no finding."}


def waiver_states(findings: Iterable, settings: Mapping) -> List[dict]:
    """Return the certificate's waivers [{id, reason, owner, expires, state}], state used, unused or expired (the last day is valid)."""
    waived = {finding["id"] for finding in findings if finding.get("waiver")}
    settings = plain(settings or {})
    return [
        {"id": identifier, **waiver, "state": "expired" if waiver["expires"] < settings["today"] else "used" if identifier in waived else "unused"}
        for identifier, waiver in sorted((settings.get("waivers") or {}).items())
    ]


def waiver_findings(findings: Sequence, settings: Mapping, cluster: str = "") -> List[dict]:
    """Return a CONDITIONAL finding for each waiver that has expired, and for each that nothing failed for.

    It is judged when its check was judged in this run; an unused waiver whose check was not judged, or not measured, is no finding.
    """
    results: Dict[str, set] = {}
    for finding in findings:
        if finding.get("judged", True):
            results.setdefault(finding["id"], set()).add(finding["result"])
    reasons = {
        "expired": "The waiver by {owner} expired on {expires}.",
        "unused": "Nothing failed for the waiver by {owner} until {expires}.",
    }
    return [
        {
            "id": "certify_waivers",
            "layer": "certify",
            "title": "Waivers are in use and have not expired",
            "scope": "cluster",
            "host": cluster,
            "entry": waiver["id"],
            "value": waiver["expires"],
            "target": None,
            "critical": None,
            "bounds": "default",
            "result": "CONDITIONAL",
            "judged": waiver["id"] in results,
            "reason": reasons[waiver["state"]].format(**waiver),
            "fix": "Remove the waiver, or renew it with a new date and reason.",
            "reference": "certify_waivers",
        }
        for waiver in waiver_states(findings, settings)
        if _is_reported(waiver["state"], results.get(waiver["id"], set()))
    ]


def _is_reported(state: str, results: set) -> bool:
    return state == "expired" or (state == "unused" and bool(results) and "INCONCLUSIVE" not in results)
