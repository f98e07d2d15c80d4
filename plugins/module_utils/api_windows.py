# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows over the metrics of API servers, schedulers and kubelets: how what they counted becomes facts. Pure.

A window is {endpoint: facts of metrics_window}; which families are read stands in roles/apiserver/vars. Histograms of several endpoints and
windows are merged by adding the counts of their buckets, which is exact. A percentile that would need an endpoint that is not known is not
known either.
"""

from __future__ import annotations

import math
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

from ansible_collections.kubeproof.certify.plugins.module_utils import histogram

MUTATING = ("POST", "PUT", "PATCH", "APPLY", "DELETE")
SHED = "429"
# A big API server's /metrics is 100 MB.
SCRAPE_SECONDS = 30
SCHEDULER = "https://127.0.0.1:10259/metrics"


def endpoints(info: dict, access: dict, token: str, kubelets: List[str]) -> Dict[str, dict]:
    """Return the endpoints of metrics_window {api, kubelet, scheduler}: {name: options}, scheduler the options alone.

    Every API server itself, never a load balancer; the kubelets of these nodes through the API server, which knows how to trust them; the
    scheduler on loopback of its host, where it signs its certificate itself. `info`: apiserver_info's facts; `access`: what run_access returned.
    """
    common: Dict[str, Any] = {"token": token, "timeout": SCRAPE_SECONDS}
    trust = dict(common, ca=access["ca"]) if access.get("ca") else common
    return {
        "api": {name: dict(trust, url=f"{instance['url'].rstrip('/')}/metrics") for name, instance in info["instances"].items()},
        "kubelet": {name: dict(trust, url=f"{access['server']}/api/v1/nodes/{name}/proxy/metrics") for name in kubelets},
        "scheduler": dict(common, url=SCHEDULER, pin=True),
    }


def entries(window: Any, family: str) -> Dict[str, List[dict]]:
    """Return {group: [what each endpoint counted]} of a family with groups."""
    found: Dict[str, List[dict]] = {}
    for facts in _maps(window):
        for group, numbers in _map(facts.get(family)).items():
            found.setdefault(group, []).append(numbers)
    return found


def merged(parts: Iterable) -> Optional[dict]:
    """Return the summary of all parts together, or None when there is none, or when one of them is not known or has other buckets."""
    collected, amount = [], 0.0
    for part in parts:
        if not isinstance(part, dict) or not isinstance(part.get("count"), int):
            return None
        if part["count"] == 0:
            continue
        if not isinstance(part.get("below"), dict):
            return None
        buckets = [(float(bound), round(fraction * part["count"])) for bound, fraction in part["below"].items()]
        collected.append(sorted(buckets) + [(math.inf, part["count"])])
        amount = amount + part["sum"] if amount is not None and "sum" in part else None
    try:
        return histogram.summary(histogram.merge(collected), amount) if collected else None
    except histogram.HistogramError:
        return None


def total(window: Any, family: str, chosen: Callable[[Tuple[str, ...]], bool] = lambda key: True) -> Optional[float]:
    """Return the increase of all groups of a counter that are chosen, over all endpoints; 0 for a family that is not exposed yet; None when unknown."""
    found: float = 0
    for facts in _maps(window):
        if "seconds" not in facts or restarted(facts) or family in facts.get("unknown", ()):
            return None
        for group, numbers in _map(facts.get(family)).items():
            if chosen(tuple(group.split(" "))):
                if not isinstance(_map(numbers).get("increase"), (int, float)):
                    return None
                found += numbers["increase"]
    return found if _maps(window) else None


def seconds(window: Any) -> Optional[float]:
    """Return the length of a window: that of its longest reading."""
    return max((facts["seconds"] for facts in _maps(window) if isinstance(facts.get("seconds"), (int, float))), default=None)


def series_name(group: str) -> str:
    """Return how a (verb, resource, subresource, scope) is written: POST pods/binding, LIST pods cluster."""
    verb, resource, subresource, scope = (group.split(" ") + ["", "", ""])[:4]
    name = f"{verb} {resource}" + (f"/{subresource}" if subresource else "")
    return f"{name} {scope}" if verb == "LIST" else name


def requests(window: Any) -> dict:
    """Return {count, failed, throttled, ratio, rate} of the requests that the API servers answered; failed: 429 and 5xx. {} when unknown."""
    count = total(window, "requests")
    failed = total(window, "requests", lambda key: key[-1] == SHED or key[-1].startswith("5"))
    throttled = total(window, "requests", lambda key: key[-1] == SHED)
    length = seconds(window)
    if count is None or failed is None or not length:
        return {}
    found = {"count": int(count), "failed": int(failed), "throttled": int(throttled or 0), "rate": (count - failed) / length}
    if count:
        found["ratio"] = failed / count
    return found


def restarts(window: Any) -> Optional[int]:
    """Return how many endpoints restarted in the window; None when one of them does not say."""
    found = [_map(facts.get("start")) for facts in _maps(window)]
    if not found or not all("first" in start and "last" in start for start in found):
        return None
    return sum(start["first"] != start["last"] for start in found)


def restarted(facts: dict) -> bool:
    """Say whether an endpoint has another start time at the end of the window than at its beginning."""
    start = _map(facts.get("start"))
    return "first" in start and start["first"] != start.get("last")


def _maps(window: Any) -> List[dict]:
    return [facts for facts in _map(window).values() if isinstance(facts, dict)]


def _map(value: Any) -> dict:
    return value if isinstance(value, dict) else {}
