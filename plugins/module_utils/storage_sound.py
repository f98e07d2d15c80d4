# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tools and modules said of volumes and disks, without what cannot be: a text where a number belongs is absent, as what was not measured. Pure."""

from __future__ import annotations

import math
from typing import Any

NUMBERS = {
    *("rate", "bandwidth", "total", "bytes", "runtime", "count", "min", "mean", "max", "stdev", "p50", "p90", "p95", "p99", "p999", "reads", "writes"),
    *("file", "memory", "free", "size", "asked", "resident", "seconds", "bound", "ready", "errors"),
}
MAPS = {"jobs", "devices", "fio", "latency", "due", "read", "write", "both", "sync", "space", "provision", "expand", "delete", "integrity", "cached"}
TEXTS = {"node", "filesystem", "outcome", "unmeasured"}
# Below these a key is a name that others have given.
NAMED = {"jobs", "devices", "fio"}
LARGEST = 2**63


def sound(value: Any, named: bool = False) -> Any:
    """Return a value without the entries that are not what their keys say; null stays, which means not known. `named`: its keys are names."""
    if not isinstance(value, dict):
        return value
    can_be = _is_named if named else _can_be
    return {key: sound(one, key in NAMED and not named) for key, one in value.items() if can_be(key, one)}


def _is_named(key: Any, value: Any) -> bool:
    return isinstance(key, str) and isinstance(value, dict)


def _can_be(key: Any, value: Any) -> bool:
    if value is None:
        return True
    if key in NUMBERS:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < LARGEST and math.isfinite(value)
    if key in MAPS:
        return isinstance(value, dict)
    return isinstance(value, str) if key in TEXTS else True
