# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""With what each layer is loaded: what of that is not the role's default, and who has to say so. Pure; runs on the controller only.

A default is sized so that its percentiles hold and that a layer takes an hour at most. Whoever changes it may have a reason, and may have lightened it:
by fewer seconds, and as well by a lower rate, smaller values, fewer clients or fewer nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Dict, List

from .check_data import PROFILES
from .human import human

# Values that are no amounts, but words: where a role decides by itself, and where several values load alike.
WORDS = {
    "apiserver_pod_rate": {0: "the expected churn"},
    "network_nodes": {"": "all"},
    "network_netperf_arguments": {"": "none"},
    "scale_nodes": {"": "by the factors"},
    "ingress_tls": {"run": "with TLS", "own": "with TLS", "default": "with TLS", "none": "without TLS"},
}


def entries(given: Mapping, profile: str) -> Dict[str, Dict[str, Any]]:
    """Return {layer: {setting: value}} of {layer: {variable: value}}: maps by their keys, and of one by profile only what is of this one.

    A layer whose <layer>_load has no entry for the profile is left out: its own plan refuses it by name, or it is not loaded.
    """
    return {layer: _entries(variables, profile) for layer, variables in given.items() if _is_loaded(layer, variables, profile)}


def _is_loaded(layer: str, variables: Any, profile: str) -> bool:
    load = variables.get(f"{layer}_load") if isinstance(variables, Mapping) else None
    return isinstance(load, Mapping) and isinstance(load.get(profile), Mapping)


def _entries(variables: Mapping, profile: str) -> Dict[str, Any]:
    found: Dict[str, Any] = {}
    for name, value in variables.items():
        if isinstance(value, Mapping) and value and set(value) <= set(PROFILES):
            name, value = f"{name}.{profile}", value.get(profile)
        found.update({f"{name}.{key}": one for key, one in value.items()} if isinstance(value, Mapping) else {name: value})
    return found


def changed(given: Mapping, defaults: Mapping, profile: str) -> List[Dict[str, Any]]:
    """Return [{layer, setting, default, value}] of what differs from the defaults, both {layer: {variable: value}}; null is what is not there."""
    usual = entries(defaults, profile)
    return [{"layer": layer, "setting": name, "default": _text(usual.get(layer, {}), name), "value": _text(entry, name)}
            for layer, entry in entries(given, profile).items() for name in sorted({*entry, *usual.get(layer, {})}, key=str)
            if _text(entry, name) != _text(usual.get(layer, {}), name)]  # fmt: skip


def _text(entry: Mapping, name: str) -> Any:
    if name not in entry:
        return None
    value, words = entry[name], WORDS.get(name, {})
    known = value if isinstance(value, (int, float, str)) and not isinstance(value, bool) else human(value)
    return words[known] if known in words else human(value)


def told(row: Mapping) -> str:
    """Return one change as a part of a sentence."""
    return f"{row['setting']} is {_shown(row['value'])}, not {_shown(row['default'])}"


def _shown(text: Any) -> str:
    return "left out" if text is None else text or "empty"


def marked(items: Iterable[Mapping], rows: Sequence[Mapping]) -> List[dict]:
    """Return items of a checklist; the reason of one whose layer was loaded otherwise than by default says so."""
    return [_marked(item, [told(row) for row in rows if row["layer"] == item["layer"]]) for item in items]


def _marked(item: Mapping, changes: Sequence[str]) -> dict:
    if not changes or item["status"] == "not measured":
        return dict(item)
    return {**item, "reason": " ".join(filter(None, (item.get("reason"), f"The load was changed: {'; '.join(changes)}.")))}
