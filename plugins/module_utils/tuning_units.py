# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations, quantities and versions as Kubernetes writes them, as numbers. Pure; runs on the controller only."""

from __future__ import annotations

import re
from typing import Any, Optional, Tuple

DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+|0")
PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)")
SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(n|u|m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?")
SIZES = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
SIZES.update({f"{letter}i": 1024**power for power, letter in enumerate("KMGTP", 1)})
VERSION = re.compile(r"(?:^|[^0-9.])v?([0-9]+)\.([0-9]+)\.([0-9]+)")


def seconds(text: Any) -> Optional[float]:
    """Return the seconds of a duration of Go, such as 1m30s; None for anything else."""
    if not isinstance(text, str) or not DURATION.fullmatch(text):
        return None
    found = sum(float(number) * SECONDS[unit] for number, unit in PART.findall(text))
    return int(found) if found == int(found) else round(found, 9)


def quantity(value: Any) -> Optional[float]:
    """Return the number of a quantity, such as 500m or 16Gi; None for anything else."""
    match = QUANTITY.fullmatch(str(value)) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else None
    if not match:
        return None
    found = float(match.group(1)) * SIZES.get(match.group(2), 1)
    return int(found) if found == int(found) else found


def version(text: Any) -> Optional[Tuple[int, int, int]]:
    """Return (major, minor, patch) of the first version in a text, such as registry/etcd:3.6.8-0; None when there is none."""
    match = VERSION.search(text) if isinstance(text, str) else None
    return tuple(map(int, match.groups())) if match else None
