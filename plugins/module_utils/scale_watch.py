# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is watched while a size is loaded, by what the controller reaches: API servers, and what they say of etcd. Pure.

A ramp looks at health between its steps; a size takes longer than a step, and has to end as soon as a rule of design.md says so.
"""

from __future__ import annotations

from . import scale_plan
from .human import human
from .stress_health import FULL

# Of each member that an API server writes to, asked when its metrics are read (Kubernetes 1.28).
SIZE = "apiserver_storage_size_bytes"
# A page of metrics has up to 100 MB, so that it is read as seldom as is safe: half of what is left above FULL must not be written in between.
LONGEST, SHORTEST = 30.0, 1.0
READY_SECONDS = 10.0


def rules(servers, look, size):
    """Return the abort rules of a size, {interval, rules}, as the modules that load it take them.

    `servers` {name: options of an endpoint of metrics}, `look` what etcd_look says of the members before the size, {} where nobody looks; `size` of the plan.
    Without a look the quota is not known, and only API servers are watched.
    """
    found, quota = [], _quota(look)
    for options in servers.values():
        ready = {**options, "url": options["url"].rpartition("/metrics")[0] + "/readyz", "timeout": READY_SECONDS}
        found.append({"endpoint": ready, "reason": "an API server is not ready"})
        if quota:
            reason = f"etcd has filled more than {FULL:.0%} of its quota of {human(quota, 'byte')}"
            found.append({"endpoint": options, "metric": SIZE, "value": f"> {int(FULL * quota)}", "reason": reason})
    interval = (1 - FULL) / 2 * quota / _rate(size) if quota else LONGEST
    return {"interval": round(min(LONGEST, max(SHORTEST, interval)), 1), "rules": found}


def _quota(look):
    """Return the quota by which every series is judged, None where none is known: no series says of which cluster it is.

    The smallest above which no member was before the load: a smaller one is that of a cluster which holds less, such as events.
    """
    members = (look.get("etcd") or {}).get("endpoints") or {}
    known = sorted(one["db_quota"] for one in members.values() if one.get("db_quota"))
    most = max((one.get("db_size", 0) for one in members.values()), default=0)
    return next((quota for quota in known if FULL * quota >= most), known[-1] if known else None)


def _rate(size):
    """Return the bytes that a size writes in a second at most: its pods and the leases of its nodes."""
    return max(size["rate"], scale_plan.LATENCY_RATE) * scale_plan.POD_BYTES + size["hollow"] * scale_plan.LEASES * scale_plan.LEASE_BYTES
