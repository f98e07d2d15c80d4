# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check data : read as plain data and validated completely. Runs on the controller only."""

from __future__ import annotations

import datetime
import difflib
import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from ansible_collections.kubeproof.certify.plugins.module_utils import bounds

try:
    import jmespath
except ImportError:
    jmespath = None

PLAIN = {type(None), bool, int, float, str}
PROFILES = ("smoke", "load", "stress", "soak")
SCOPES = ("host", "cluster")
UNITS = ("s", "byte", "byte/s", "bit/s", "1/s", "ratio", "count")
# What a plain path is made of: no filter, no function, no "or" that could hide a missing fact.
PATH_NODES = {"field", "subexpression", "index_expression", "index", "current", "identity"}
ROLE = re.compile(r"(?:^|/)roles/([a-z][a-z0-9_]*)(?:/|$)")
IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*[a-z0-9]")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class CheckError(Exception):
    """Check data or settings cannot be used; each line of the text names the file or variable, the id, the key and what to do."""


class Rule(NamedTuple):
    """What a key holds: `valid` says no by False or by a ValueError that says more than `advice`."""

    valid: Callable[[Any], Any]
    advice: str
    required: bool = False


def plain(value: Any) -> Any:
    """Return a copy made of dict, list, str, int, float, bool and None alone, without Ansible's lazy and tagged types; dates become text."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Mapping):
        return {str.__str__(key) if isinstance(key, str) else str(key): plain(value[key]) for key in value}
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [plain(one) for one in value]
    return value


def require_map(value: Any, name: str) -> Mapping:
    """Return the value if it is a map; CheckError names it if not."""
    if not isinstance(value, Mapping):
        raise CheckError(f"{name} is {bounds.show(value)}; pass a map.")
    return value


def require_findings(value: Any) -> Sequence:
    """Return the value if it is a list of findings; CheckError if not."""
    if not isinstance(value, Sequence) or not all(isinstance(one, Mapping) and "id" in one for one in value):
        raise CheckError(f"The findings are {bounds.show(value)}; pass the list that the filter judge returns.")
    return value


@functools.lru_cache(maxsize=4096)
def path(query: str) -> Any:
    """Return the compiled JMESPath of a plain path; ValueError says what to write, CheckError that jmespath is missing."""
    if jmespath is None:
        raise CheckError("Python's jmespath is missing on the controller; install it with pip install jmespath.")
    try:
        compiled = jmespath.compile(query)
        nodes = _nodes(compiled.parsed)
    except (jmespath.exceptions.JMESPathError, RecursionError):
        raise ValueError("write a path into the facts, such as write.latency.p99, with names that are not words in double quotes") from None
    if not nodes <= PATH_NODES:
        raise ValueError("write a plain path into the facts, such as write.latency.p99, without filters, functions, | and *")
    return compiled


def _nodes(node: Mapping) -> set:
    return {node["type"]}.union(*map(_nodes, node["children"]))


# What a value may be ------------------------------------------------------------------------------------------------------


def is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def is_path(value: Any) -> bool:
    return is_text(value) and bool(path(value))


def is_bound(value: Any) -> bool:
    return isinstance(value, str) and bool(bounds.parse(value))


def is_bound_or_tiers(value: Any) -> bool:
    return bool(value) and all(map(is_bound, value.values())) if isinstance(value, dict) else is_bound(value)


def is_names(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_text, value)) and len(set(value)) == len(value)


def is_profiles(value: Any) -> bool:
    return is_names(value) and bool(value) and set(value) <= set(PROFILES)


def listed(value: Any) -> list:
    """Return the rules of a check's key: a list, one map, or none."""
    return value if isinstance(value, list) else [value] if isinstance(value, dict) else []


def is_rules(value: Any) -> bool:
    return bool(listed(value))


def is_count(value: Any) -> bool:
    return bounds.kind(value) == "number" and isinstance(value, int) and value > 0


def is_count_or_tiers(value: Any) -> bool:
    return bool(value) and all(map(is_count, value.values())) if isinstance(value, dict) else is_count(value)


def is_date(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(DATE.fullmatch(value)) and bool(datetime.date.fromisoformat(value))
    except ValueError:  # 2027-02-30
        return False


def is_bool(value: Any) -> bool:
    return isinstance(value, bool)


SENTENCE = "write a sentence"
PROFILES_ADVICE = f"write a list of some of {', '.join(PROFILES)}"
PATH_ADVICE = "write a path into the facts, such as write.latency.p99"
DATE_ADVICE = "write a date, such as 2027-01-31"
RULES_ADVICE = "write query, when and reason, or a list of such maps"
RULE = {
    "query": Rule(is_path, PATH_ADVICE, True),
    "when": Rule(is_bound, bounds.HOW, True),
    "reason": Rule(is_text, SENTENCE, True),
}
CHECK = {
    "title": Rule(is_text, "write a short text", True),
    "query": Rule(is_path, PATH_ADVICE, True),
    "scope": Rule(lambda value: value in SCOPES, "write host or cluster", True),
    "unit": Rule(lambda value: value in UNITS, f"write one of {', '.join(UNITS)}, or leave it out"),
    "samples": Rule(is_path, PATH_ADVICE),
    "min_samples": Rule(is_count_or_tiers, "write a whole number above 0, or one for each tier of the bounds"),
    "target": Rule(is_bound_or_tiers, bounds.HOW),
    "critical": Rule(is_bound_or_tiers, bounds.HOW),
    "profiles": Rule(is_profiles, PROFILES_ADVICE, True),
    "gate": Rule(is_bool, "write true or false"),
    "blocking": Rule(is_bool, "write true or false"),
    "each": Rule(is_path, "write the path to a map of the facts"),
    "expect": Rule(is_names, "write a list of names, each once"),
    "explained_by": Rule(is_names, "write a list of ids of checks, each once"),
    "capacity": Rule(is_text, "write the name of an entry of certify_capacity"),
    "not_applicable": Rule(is_rules, RULES_ADVICE),
    "informs": Rule(lambda value: value is True or is_rules(value), f"write true, or {RULES_ADVICE[6:]}"),
    "where": Rule(is_path, "write the path to the fact that says where the value was set"),
    "write": Rule(is_text, "write the lines that correct it"),
    "fix": Rule(is_text, SENTENCE, True),
    "reference": Rule(is_text, "write where the number comes from", True),
}


def problems(where: str, data: Any, rules: Mapping, prefix: str = "") -> List[str]:
    """Return one sentence for each key of `data` that is unknown, missing or wrong."""
    if not isinstance(data, dict):
        return [f"{where}: {prefix or 'the entry'} is {bounds.show(data)}; write a map with the keys {', '.join(rules)}."]
    found = [f"{where}: unknown key {prefix}{key}; {instead(key, rules)}." for key in data if key not in rules]
    for key, rule in rules.items():
        if key in data:
            found += wrong(f"{where}: {prefix}{key}", data[key], rule)
        elif rule.required:
            found.append(f"{where}: {prefix}{key} is missing; {rule.advice}.")
    return found


def wrong(where: str, value: Any, rule: Rule) -> List[str]:
    """Return no sentence for a valid value, or one that says what was found and what to write instead."""
    try:
        if rule.valid(value):
            return []
        advice = rule.advice
    except ValueError as error:
        advice = str(error)
    return [f"{where} is {bounds.show(value)}; {advice}."]


def instead(name: Any, known: Any) -> str:
    """Return what to write instead of an unknown name: the one that looks like it, or a list."""
    close = difflib.get_close_matches(str(name), list(known), 1)
    return f"write {close[0]}" if close else f"write one of {', '.join(sorted(known)[:20]) or 'none: there are none'}"


def load_checks(data: Any, source: str, layer: Optional[str] = None) -> Dict[str, dict]:
    """Return the validated checks {id: check} of one role; CheckError lists every problem.

    `source` is the file that errors name; the layer, with which every id starts, comes from its roles/<layer>/ unless given.
    """
    data = plain(data)
    layer = layer or next(iter(ROLE.findall(source)), None)
    if layer is None:
        raise CheckError(f"{source}: the layer cannot be told from the file's name; name a file below roles/<layer>/, or give the layer.")
    if not isinstance(data, dict):
        raise CheckError(f"{source}: the checks are {bounds.show(data)}; write a map of ids.")
    found = [sentence for identifier, check in data.items() for sentence in _check_problems(f"{source}: {identifier}", identifier, check, layer)]
    if found:
        raise CheckError("\n".join(found))
    return data


def _check_problems(where: str, identifier: str, check: Any, layer: str) -> List[str]:
    found = problems(where, check, CHECK)
    if not IDENTIFIER.fullmatch(identifier) or not identifier.startswith(f"{layer}_"):
        found.append(f"{where}: the id is not {layer}_ and then small letters, digits and _; rename it.")
    for key in ("not_applicable", "informs") if isinstance(check, dict) else ():
        for rule in listed(check.get(key)):
            found += problems(where, rule, RULE, f"{key}.")
    return found or [f"{where}: {sentence}." for sentence in _contradictions(check, layer)]


def _contradictions(check: Mapping, layer: str) -> List[str]:
    """Return what is wrong between the keys of a check whose keys are each valid."""
    tiers = [set(check[key]) for key in bounds.BOUND_KEYS if isinstance(check.get(key), dict)]
    effects = [bounds.effective(check, tier=tier) for tier in bounds.tiers_of(check)]
    own = [bound for effect in effects for bound in effect.bounds if bound]
    table = (
        ("samples" in check and "min_samples" not in check, "min_samples is missing; samples and min_samples go together"),
        ("min_samples" in check and "samples" not in check, "samples is missing; samples and min_samples go together"),
        (isinstance(check.get("min_samples"), dict) and set(check["min_samples"]) != set(bounds.tiers_of(check)),
         "min_samples has other tiers than target and critical; write the same, or one number"),
        ("expect" in check and "each" not in check, "each is missing; expect names entries of the map to which each points"),
        ("informs" in check and not own, "informs is set, but there is no target or critical; write one, or remove informs"),
        ("informs" in check and (check.get("gate") or check.get("blocking")), "informs excludes gate and blocking; remove one"),
        (check.get("gate") and not own, "gate is true, but there is no target or critical; write one"),
        (check.get("blocking") and not own, "blocking is true, but there is no target or critical; write one"),
        (check.get("blocking") and layer != "tuning", "blocking is true; only a tuning rule can be blocking, so remove it"),
        (len(tiers) == 2 and tiers[0] != tiers[1], "target and critical have different tiers; write the same in both"),
        ("capacity" in check and tiers, "capacity and tiers exclude each other; remove one"),
        ("capacity" in check and any(bounds.SIDE.get(bound.operator) != -1 for bound in own),
         "capacity means at least so much, but target or critical is not > or >=; correct one"),
    )  # fmt: skip
    return [sentence for contradiction, sentence in table if contradiction] + [effect.weaker for effect in effects if effect.weaker]
