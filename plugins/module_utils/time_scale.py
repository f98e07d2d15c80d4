# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run in less time, for tests and labs: certify_time_scale shortens how long each load lasts, and nothing else. Pure.

Rates, shares, sizes, repeats and probes stay as they are, so that each step still asks what it asks; what has fewer samples for that is judged
by its samples. Such a run proves nothing about production: its certificate says SCALED and fills no checklist (certificate.py).
"""

from __future__ import annotations

from .sizing import PlanError

# Seconds that every step needs to run at all; most tools take whole seconds.
LEAST = 1


def valid(scale):
    """Return the scale; PlanError says what to write."""
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 < scale <= 1:
        raise PlanError(f"certify_time_scale is {scale!r}. Write a number above 0 and up to 1, which shortens nothing.")
    return scale


def is_scaled(scale):
    """Say whether a run with this scale on record was shortened; a record that cannot be read does not say that it was not."""
    return scale is not None and (isinstance(scale, bool) or scale != 1)


def shorten(seconds, scale):
    """Return whole seconds, at least LEAST; 0 leaves a step out, and what is not longer than LEAST stays."""
    if valid(scale) == 1 or seconds <= LEAST:
        return seconds
    return max(LEAST, round(seconds * scale))


def shortened(load, scale, names):
    """Return a profile's load with its durations shortened: of `names` those that hold seconds, or steps or a map with the key seconds."""
    return {name: _shortened(value, scale) if name in names else value for name, value in load.items()}


def _shortened(value, scale):
    if isinstance(value, dict):
        return {**value, "seconds": shorten(value["seconds"], scale)}
    if isinstance(value, (list, tuple)):
        return [_shortened(one, scale) for one in value]
    return shorten(value, scale)
