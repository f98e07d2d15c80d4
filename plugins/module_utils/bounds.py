# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bounds such as `< 0.025`, and what a value, or an interval of a histogram, says about them.

An interval [low, high] holds a value v with low < v <= high; high None has no upper end. T is the bound's number:

    bound    meets when    misses when                      straddles
    < and <= high <= T     low >= T (then v > T)            otherwise; a histogram cannot tell < from <=, so < is judged as <=
    >        low >= T      high <= T                        otherwise; v > low, so low == T is enough
    >=       low >= T      high < T                         otherwise; with high == T the value may be T itself
"""

from __future__ import annotations

import functools
import json
import math
import operator
import re
from collections.abc import Mapping, Sequence
from typing import Any, FrozenSet, NamedTuple, Optional, Tuple

BOUND_KEYS = ("target", "critical")
MEETS, MISSES, STRADDLES = "meets", "misses", "straddles"
BY_CRITICAL = {MISSES: "FAIL", STRADDLES: "INCONCLUSIVE"}
BY_TARGET = {MISSES: "CONDITIONAL", STRADDLES: "CONDITIONAL"}

BOUND = re.compile(r"\s*(==|!=|<=|>=|<|>|in(?=[\s\[]))\s*(\S.*?)\s*", re.DOTALL)
HOW = "write an operator (== != < <= > >= in) and a JSON literal, such as \"< 0.025\""
SIDE = {"<": 1, "<=": 1, ">": -1, ">=": -1}  # 1: too high is bad
COMPARE = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
KINDS = {bool: "boolean", int: "number", float: "number", str: "string", list: "list"}
LONGEST = 80


class Bound(NamedTuple):
    """A parsed bound: its operator, its literal, the kinds of value it can judge, and its text."""

    operator: str
    literal: Any
    kinds: FrozenSet[str]
    text: str


def kind(value: Any) -> Optional[str]:
    """Return boolean, number, string or list, or None for what is never judged; True is not 1."""
    return KINDS.get(type(value))


def show(value: Any) -> str:
    """Return a value as text for a sentence, cut when it is long."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def is_finite(number: Any) -> bool:
    """Say whether an int or float is finite; an int always is, however large."""
    return isinstance(number, int) or math.isfinite(number)


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> Bound:
    """Return the bound that `text` writes; ValueError says what to write instead."""
    match = BOUND.fullmatch(text)
    if not match:
        raise ValueError(HOW)
    symbol, written = match.groups()
    try:
        literal = json.loads(written, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise ValueError(HOW) from None
    kinds = frozenset(map(kind, literal)) if symbol == "in" and isinstance(literal, list) else frozenset([kind(literal)])
    if None in kinds or not all(is_finite(one) for one in _numbers(literal)):
        raise ValueError("compare with a finite number, a string, true or false")
    if symbol in SIDE and kinds != {"number"}:
        raise ValueError(f"{symbol} compares numbers only; use ==, != or in")
    if symbol == "in" and (not isinstance(literal, list) or not literal or "list" in kinds):
        raise ValueError("in takes a JSON list of values, such as 'in [\"a\", \"b\"]'")
    if symbol != "in" and isinstance(literal, list) and not all(isinstance(one, str) for one in literal):
        raise ValueError("a list to compare with has strings only")
    return Bound(symbol, literal, kinds, f"{symbol} {written}")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _members(bound: Bound) -> list:
    """Return the values that a bound names."""
    return bound.literal if bound.operator == "in" else [bound.literal]


def _numbers(literal: Any) -> list:
    return [one for one in (literal if isinstance(literal, list) else [literal]) if kind(one) == "number"]


def implies(first: Bound, second: Bound) -> bool:
    """Say whether every value that meets `first` also meets `second`."""
    if first.operator in ("==", "in"):
        return all(kind(one) in second.kinds and truth(second, one) == MEETS for one in _members(first))
    if first.kinds != second.kinds:
        return False
    if first.operator == "!=":
        return second.operator == "!=" and first.literal == second.literal
    if second.operator == "!=":
        return truth(first, second.literal) == MISSES
    if SIDE.get(second.operator) != SIDE[first.operator]:
        return False
    return COMPARE[second.operator](first.literal, second.literal) or (first.literal == second.literal and first.operator in ("<", ">"))


def direction(old: Optional[Bound], new: Bound) -> str:
    """Return what becomes of a bound: "" (the same), tightened, relaxed or changed; a bound where none was is tightened."""
    if old is None:
        return "tightened"
    stronger, weaker = implies(new, old), implies(old, new)
    return {(True, True): "", (True, False): "tightened", (False, True): "relaxed"}.get((stronger, weaker), "changed")


def trouble(value: Any, bounds: Sequence[Bound]) -> str:
    """Return why a value cannot be judged by the bounds, as a sentence, or "" if it can.

    A negative number is implausible unless a bound itself names one (podPidsLimit `!= -1`): nothing we measure is below zero.
    """
    found = kind(value)
    kinds = frozenset.intersection(*(bound.kinds for bound in bounds))
    if found == "list" and "list" not in kinds:
        return _interval_trouble(value, bounds)
    if found not in kinds:
        return f"Implausible: {show(value)} is not a {' or '.join(sorted(kinds)) or 'value that every bound can judge'}."
    if found == "number":
        return _number_trouble(value, bounds)
    if found == "list" and not all(isinstance(one, str) for one in value):
        return f"Implausible: {show(value)} is not a list of strings."
    return ""


def _number_trouble(value: Any, bounds: Sequence[Bound]) -> str:
    if not is_finite(value):
        return f"Implausible: {show(value)} is not a finite number."
    if value < 0 and not any(one < 0 for bound in bounds for one in _numbers(bound.literal)):
        return f"Implausible: {show(value)} is negative."
    return ""


def _interval_trouble(value: list, bounds: Sequence[Bound]) -> str:
    if not all(bound.operator in SIDE for bound in bounds):
        return f"Implausible: {show(value)} is a list or an interval, which only < <= > >= can judge."
    if len(value) != 2 or kind(value[0]) != "number" or (value[1] is not None and kind(value[1]) != "number"):
        return f"Implausible: {show(value)} is not an interval [low, high]."
    low, high = value
    if not is_finite(low) or (high is not None and not is_finite(high)) or low < 0 or (high is not None and low >= high):
        return f"Implausible: {show(value)} is not an interval with 0 <= low < high."
    return ""


def truth(bound: Bound, value: Any) -> str:
    """Return meets, misses or straddles, for a value or interval without trouble."""
    if bound.operator == "in":
        return MEETS if any(kind(one) == kind(value) and one == value for one in bound.literal) else MISSES
    if bound.operator not in SIDE or not isinstance(value, list):
        return MEETS if COMPARE[bound.operator](value, bound.literal) else MISSES
    low, high = value[0], math.inf if value[1] is None else value[1]
    if SIDE[bound.operator] > 0:
        met, missed = high <= bound.literal, low >= bound.literal
    else:
        met, missed = low >= bound.literal, high < bound.literal or (high == bound.literal and bound.operator == ">")
    return MEETS if met else MISSES if missed else STRADDLES


def decide(value: Any, target: Optional[Bound], critical: Optional[Bound]) -> dict:
    """Return {result, evaluated?, undecided?, reason} of a value without trouble against one or two bounds.

    Only critical: a miss is FAIL. Only target: a miss is CONDITIONAL. Straddling critical is INCONCLUSIVE, straddling only the
    target CONDITIONAL and undecided. `evaluated` holds the bounds that an interval turned from < into <=, target first.
    """
    by_target = truth(target, value) if target else MEETS
    by_critical = truth(critical, value) if critical else MEETS
    finding = {"result": BY_CRITICAL.get(by_critical) or BY_TARGET.get(by_target) or "PASS", "reason": ""}
    if isinstance(value, list):
        turned = [bound.text.replace("<", "<=", 1) for bound in (target, critical) if bound and bound.operator == "<"]
        if turned:
            finding["evaluated"] = ", ".join(turned)
    if by_critical == STRADDLES:
        finding["reason"] = f"Undecided: the interval {show(value)} lies on both sides of critical."
    elif by_critical == MEETS and by_target == STRADDLES:
        finding["undecided"] = True
        finding["reason"] = f"Undecided: the interval {show(value)} lies on both sides of target."
    return finding


def badness(value: Any, text: Optional[str]) -> float:
    """Return how far a value lies on the bad side of the bound `text`, as a share of the bound; negative on the good side.

    Comparable between entries with bounds of different tiers; 0 where there is no value, no number or no direction.
    """
    if not text:
        return 0.0
    bound = parse(text)
    side = SIDE.get(bound.operator, 0)
    if isinstance(value, list) and len(value) == 2:
        value = value[0] if side < 0 else math.inf if value[1] is None else value[1]
    if bound.kinds != {"number"} or bound.operator == "in" or isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0.0
    try:
        excess = float(value) - bound.literal
    except OverflowError:
        return math.inf if side > 0 else -math.inf
    return (excess * side if side else abs(excess)) / (abs(bound.literal) or 1.0)


class Effective(NamedTuple):
    """The bounds (target, critical) that are judged, each a Bound or None, and where they come from.

    origin: default, capacity, tightened, relaxed or changed; weaker: what is wrong if target is weaker than critical, or "".
    """

    bounds: Tuple[Optional[Bound], Optional[Bound]]
    origin: str
    weaker: str
    changes: Tuple[dict, ...]


def tiers_of(check: Mapping) -> list:
    """Return the tiers of a check's bounds, or [None] if it has none."""
    return next((list(check[key]) for key in BOUND_KEYS if isinstance(check.get(key), dict)), [None])


def effective(check: Mapping, override: Optional[Mapping] = None, capacity: Any = None, tier: Optional[str] = None) -> Effective:
    """Return the bounds of a check in one tier: its own, replaced by a declared capacity, replaced by the user's override."""
    own = {key: of_tier(check.get(key), tier) for key in BOUND_KEYS}
    if capacity is not None:
        half = capacity / 2
        own = {"target": f">= {show(capacity)}", "critical": f">= {show(int(half) if half == int(half) else half)}"}
    changed = {key: of_tier((override or {}).get(key), tier) for key in BOUND_KEYS}
    old = {key: parse(text) if text else None for key, text in own.items()}
    new = {key: parse(changed[key]) if changed[key] else old[key] for key in BOUND_KEYS}
    moves = {key: direction(old[key], new[key]) if changed[key] else "" for key in BOUND_KEYS}
    changes = tuple(
        {"bound": key, **({"tier": tier} if tier else {}), "from": old[key] and old[key].text, "to": new[key].text, "direction": move}
        for key, move in moves.items()
        if move
    )
    directions = {change["direction"] for change in changes}
    origin = "changed" if len(directions) > 1 else next(iter(directions), "default" if capacity is None else "capacity")
    target, critical = new["target"], new["critical"]
    weaker = ""
    if target and critical and not implies(target, critical):
        weaker = f"target {target.text} is weaker than critical {critical.text}{f' in tier {tier}' if tier else ''}; whatever meets target must meet critical"
    return Effective((target, critical), origin, weaker, changes)


def of_tier(value: Any, tier: Optional[str]) -> Any:
    """Return what a key of a check holds in one tier: the same in each, or by tier and None in one that it does not name."""
    return value.get(tier) if isinstance(value, dict) else value
