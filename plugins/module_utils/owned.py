# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What everything carries that a run creates in the cluster, and how it is known by that. Pure, and light: filters are loaded with it for each task."""

from __future__ import annotations

import calendar
import time

MANAGED_LABEL = "app.kubernetes.io/managed-by"
MANAGER = "kubeproof"
RUN_LABEL = "kubeproof.io/run"
# In the place of a run: what monitoring.yml made stays until that takes it away.
MONITORING = "monitoring"
EVERY_RUN = "*"


def labels(run_id):
    """Return the labels that everything of a run carries."""
    return {MANAGED_LABEL: MANAGER, RUN_LABEL: run_id}


def selector(run_id):
    """Return the label selector of what a run created; of every run for '*'."""
    return f"{MANAGED_LABEL}={MANAGER},{RUN_LABEL}" + ("" if run_id == EVERY_RUN else f"={run_id}")


def is_of(item, run_id):
    """Return whether an object carries both labels, of this run or of any for '*', of which what monitoring.yml made is none."""
    given = item.get("metadata", {}).get("labels") or {}
    run = given.get(RUN_LABEL)
    return given.get(MANAGED_LABEL) == MANAGER and bool(run) and (run == run_id or run_id == EVERY_RUN and run != MONITORING)


def seconds_of(timestamp):
    """Return the seconds since 1970 of a timestamp of the API such as 2026-11-21T04:00:00Z, None for anything else."""
    try:
        return calendar.timegm(time.strptime(timestamp, "%Y-%m-%dT%H:%M:%SZ"))
    except (TypeError, ValueError):
        return None
