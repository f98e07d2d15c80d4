# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all parsers share: the error, numbers that can be trusted, names that can be keys, JSON without surprises."""

from __future__ import annotations

import json
import math
import re

NUMBER = r"[0-9]{1,18}(?:\.[0-9]{1,25})?(?:[eE][+-]?[0-9]{1,3})?"
GO_DURATION = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{1,12})?(?:ns|us|µs|μs|ms|h|m|s)){1,6}")
GO_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)(ns|us|µs|μs|ms|h|m|s)")
SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
PERCENTILES = (("p50", 50.0), ("p90", 90.0), ("p95", 95.0), ("p99", 99.0), ("p999", 99.9))
LONGEST_NAME = 253
LONGEST_MESSAGE = 500


class ParseError(Exception):
    """The output cannot be trusted; the text is one sentence that says what was found."""


def excerpt(text) -> str:
    """Return the start of `text` on one line, quoted, for an error message."""
    text = str(text)
    return repr(text[:80] + ("…" if len(text) > 80 else ""))


def number(value, what: str, low: float = 0.0):
    """Return `value` if it is a finite number not below `low`; ParseError names `what` otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ParseError(f"{what} is {excerpt(value)}, not a number.")
    try:
        finite = math.isfinite(value) and abs(value) < 1e300
    except OverflowError:
        finite = False
    if not finite or value < low:
        raise ParseError(f"{what} is {excerpt(value)}, which is not possible.")
    return value


def integer(value, what: str, low: int = 0) -> int:
    """Return `value` if it is a whole number not below `low` that fits in 64 bits; ParseError names `what` otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value < 2**64:
        raise ParseError(f"{what} is {excerpt(value)}, not a whole number from {low} on.")
    return value


def boolean(value, what: str) -> bool:
    """Return `value` if it is true or false; ParseError names `what` otherwise."""
    if not isinstance(value, bool):
        raise ParseError(f"{what} is {excerpt(value)}, not true or false.")
    return value


def name(value, what: str) -> str:
    """Return `value` if it is a printable string that can be a key of facts; ParseError names `what` otherwise."""
    if not isinstance(value, str) or not value or len(value) > LONGEST_NAME or not value.isprintable():
        raise ParseError(f"{what} is {excerpt(value)}, not a printable name.")
    return value


def message(value, what: str) -> str:
    """Return a string from a tool as one printable line of bounded length; ParseError names `what` if it is no string."""
    if not isinstance(value, str):
        raise ParseError(f"{what} is {excerpt(value)}, not a text.")
    line = " ".join("".join(character if character.isprintable() else " " for character in value[: 4 * LONGEST_MESSAGE]).split())
    return line[:LONGEST_MESSAGE]


def mapping(value, what: str) -> dict:
    """Return `value` if it is a JSON object; ParseError names `what` otherwise."""
    if not isinstance(value, dict):
        raise ParseError(f"{what} is {excerpt(value)}, not an object.")
    return value


def sequence(value, what: str) -> list:
    """Return `value` if it is a JSON array; ParseError names `what` otherwise."""
    if not isinstance(value, list):
        raise ParseError(f"{what} is {excerpt(value)}, not an array.")
    return value


def rank(percent: float, count: int) -> int:
    """Return which of `count` sorted values is a percentile, counted from 1: the first that so many are not above (nearest rank)."""
    return max(1, -(-round(percent * 1000) * count // 100_000))


def rounded(value: float) -> float:
    """Return a number without the noise of binary fractions."""
    return float(f"{value:.12g}")


def duration(value, what: str) -> float:
    """Return a Go duration such as "2.37ms" or "1m2.5s" in seconds; ParseError names `what` otherwise."""
    if not isinstance(value, str) or not GO_DURATION.fullmatch(value):
        raise ParseError(f"{what} is {excerpt(value)}, not a duration.")
    return rounded(sum(float(amount) * SECONDS[unit] for amount, unit in GO_PART.findall(value)))


def decode_json(text: str, start: int = 0):
    """Return (document, index after it) of the JSON that starts at `start`; ParseError when it is cut off, broken or has NaN."""

    def refuse(constant):
        raise ValueError(f"{constant} is not JSON")

    try:
        return json.JSONDecoder(parse_constant=refuse).raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        raise ParseError(f"the JSON is cut off or broken ({excerpt(error)}).") from error
