# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How each layer is loaded (<layer>_load): what of that is not the role's default, and who has to say so. Pure; runs on the controller only.

A default is sized so that its percentiles hold and that a layer takes an hour at most. Whoever changes it may have a reason, and may have shortened it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Dict, List

from .human import human


def entries(given: Mapping, profile: str) -> Dict[str, Mapping]:
    """Return {layer: its entry for the profile} of {layer: <layer>_load}; what is no entry is left out, since the layer's own plan refuses it by name."""
    found = {layer: every.get(profile) for layer, every in given.items() if isinstance(every, Mapping)}
    return {layer: entry for layer, entry in found.items() if isinstance(entry, Mapping)}


def changed(given: Mapping, defaults: Mapping, profile: str) -> List[Dict[str, Any]]:
    """Return [{layer, setting, default, value}] of what differs from the defaults, both {layer: <layer>_load}; null stands for what is not there."""
    usual = entries(defaults, profile)
    return [{"layer": layer, "setting": f"{layer}_load.{profile}.{name}", "default": _text(usual.get(layer, {}), name), "value": _text(entry, name)}
            for layer, entry in entries(given, profile).items() for name in sorted({*entry, *usual.get(layer, {})}, key=str)
            if _text(entry, name) != _text(usual.get(layer, {}), name)]  # fmt: skip


def _text(entry: Mapping, name: str) -> Any:
    return human(entry[name]) if name in entry else None


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
