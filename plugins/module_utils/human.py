# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A number, a text or a table's cell as a person reads it: units, as many figures as it takes, and columns of a terminal. Pure."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Optional

# unit: (from this value on, size of one, how it is written); the first row that the value reaches.
SCALES = {
    "s": ((7200, 3600, " h"), (600, 60, " min"), (1, 1, " s"), ("1e-3", "1e-3", " ms"), ("1e-6", "1e-6", " µs"), (0, "1e-9", " ns")),
    "byte": ((2**40, 2**40, " TiB"), (2**30, 2**30, " GiB"), (2**20, 2**20, " MiB"), (2**10, 2**10, " KiB"), (0, 1, " B")),
    "byte/s": (("1e9", "1e9", " GB/s"), ("1e6", "1e6", " MB/s"), ("1e3", "1e3", " kB/s"), (0, 1, " B/s")),
    "bit/s": (("1e9", "1e9", " Gbit/s"), ("1e6", "1e6", " Mbit/s"), ("1e3", "1e3", " kbit/s"), (0, 1, " bit/s")),
    "1/s": ((0, 1, "/s"),),
    "ratio": ((0, "0.01", " %"),),
    "count": ((0, 1, ""),),
}
BOUND = re.compile(r"(==|!=|<=|>=|<|>) +(-?\d\S*)$")
FIGURES = 3
MOST_FIGURES = 17
LARGEST = Decimal("1e15")
NOTHING = "-"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def human(value: Any, unit: Optional[str] = None, against: Sequence = ()) -> str:
    """Return a value, an interval, a bound or a text as a person reads it, on one line.

    0.0123 s is `12.3 ms`, 1610612736 byte `1.5 GiB`, 8190 1/s `8,190/s`, [0.008, 0.016] s `8-16 ms`, [8.19, null] s `> 8.19 s`,
    the bound `< 0.025` in s `< 25 ms`, null `-`. `against`: bounds beside which the value must not look equal when it is not.
    """
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        match = BOUND.match(value) if unit else None
        return f"{match.group(1)} {human(_literal(match.group(2)), unit)}" if match else clean(value)
    if _is_number(value):
        return _quantity(value, unit, against)
    if _is_interval(value):
        return _interval(value[0], value[1], unit, against)
    if _is_list(value):
        return ", ".join(human(one, unit) for one in value)
    return clean(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str))


def clean(text: str) -> str:
    """Return the text on one line without control, direction and undefined characters: it may come from a tool or a host."""
    # Of what is printable nothing is replaced; that is nearly every text, and a report has some ten thousand.
    if text.isprintable():
        return " ".join(text.split())
    kept = (REPLACEMENT if unicodedata.category(one) in ("Cc", "Cf", "Cn", "Co", "Cs") and not one.isspace() else one for one in text)
    return " ".join("".join(kept).split())


def cells(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    return sum(_cells(one) for one in text)


def fit(text: str, width: int) -> str:
    """Return the text in exactly `width` columns: cut with … or filled with spaces."""
    taken = cells(text)
    if taken > width:
        taken, kept = 0, []
        for one in text:
            if taken + _cells(one) > width - 1:
                break
            kept.append(one)
            taken += _cells(one)
        text, taken = "".join(kept) + "…", taken + 1
    return text + " " * (width - taken)


def cell(value: Any, unit: Optional[str] = None, width: Optional[int] = None, against: Sequence = ()) -> str:
    """Return a value as `human` does, in exactly `width` columns if that is given."""
    text = human(value, unit, against)
    return text if width is None else fit(text, width)


def _cells(character: str) -> int:
    """Return the columns of one character."""
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def _quantity(value: Any, unit: Optional[str], against: Sequence = ()) -> str:
    """Return a number with its unit, with as many figures as tell it from every bound that it does not equal."""
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        return "not a number"
    size, suffix = _scale(number, unit)
    others = _bounds(unit, against)
    figures = next((some for some in range(FIGURES, MOST_FIGURES) if _tells(number, others, size, some)), MOST_FIGURES)
    return _figures(number / size, figures) + suffix


def _interval(low: Any, high: Any, unit: Optional[str], against: Sequence = ()) -> str:
    """Return the two ends in one unit, with as many figures as tell them from each other, and each from every bound that it does not equal."""
    if high is None:
        return f"> {_quantity(low, unit, against)}"
    first, last = Decimal(repr(low)), Decimal(repr(high))
    if not (first.is_finite() and last.is_finite()):
        return "not a number"
    size, suffix = _scale(last, unit)
    others = _bounds(unit, against)
    for figures in range(FIGURES, MOST_FIGURES + 1):
        ends = _figures(first / size, figures), _figures(last / size, figures)
        if ends[0] != ends[1] and _tells(first, others, size, figures) and _tells(last, others, size, figures):
            break
    return (" to " if first < 0 else "-").join(ends) + suffix


def _bounds(unit: Optional[str], against: Sequence) -> list:
    """Return the numbers that a value must not look equal to."""
    found = [_literal(match.group(2)) for match in map(BOUND.match, filter(None, against)) if match]
    # 99.95 % is not 100 %: close to one, the nines count.
    return [Decimal(repr(one)) for one in found if _is_number(one)] + ([Decimal(1)] if unit == "ratio" else [])


def _tells(number: Decimal, others: Sequence, size: Decimal, figures: int) -> bool:
    """Say whether so many figures tell a number from every other that it does not equal."""
    return all(_figures(number / size, figures) != _figures(other / size, figures) for other in others if other != number)


def _scale(number: Decimal, unit: Optional[str]) -> tuple:
    """Return the size of one and the suffix for this number."""
    rows = SCALES.get(unit or "", ((0, 1, f" {clean(unit)}" if unit else ""),))
    if number == 0 and unit == "s":
        return Decimal(1), " s"
    return next((Decimal(size), suffix) for start, size, suffix in rows if abs(number) >= Decimal(start))


def _figures(number: Decimal, figures: int) -> str:
    """Return the number with so many significant figures, thousands by comma; whole numbers are not rounded to fewer."""
    if abs(number) >= LARGEST:
        return f"{number:.{figures}e}"
    decimals = max(0, figures - 1 - number.adjusted()) if number else 0
    text = f"{number:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _literal(text: str) -> Any:
    """Return the JSON literal, or the text itself if it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _is_interval(value: Any) -> bool:
    """An interval is two numbers of which the second may be null."""
    return _is_list(value) and len(value) == 2 and _is_number(value[0]) and (value[1] is None or _is_number(value[1]))
