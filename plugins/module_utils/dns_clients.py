# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What dnsperf saw: latencies, failed queries, and whether dnsperf itself was too slow. Pure.

A step is {name, kind, rate, share, seconds, window, job (dns_job), facts (of the parser dnsperf), each {CoreDNS pod: facts}, pods [of the job]}.
A percentile is a number, or an interval where dnsperf has bins or queries were lost. Where dnsperf was too slow itself nothing is said of the server.
"""

from __future__ import annotations

import math
from typing import Any, Dict, Iterable, List, Optional

# More of its threads, and a generator may be what is measured; less of what was asked, and it was not sent (scale.md, section 4).
BUSY = 0.8
HELD = 0.99
# dnsperf has a thread that sends and one that receives for each of -T.
THREADS_EACH = 2
# With so much of -q waiting for answers the server was slow, and not dnsperf.
WAITING = 0.5
# Without one of these nothing is said.
SEEN = ("sent", "completed", "lost", "interrupted", "failed", "seconds", "timeout")
ASKED = ("rate", "count", "threads", "outstanding", "searched", "lines", "seconds")
LATENCY = ("p50", "p90", "p95", "p99", "p999", "mean", "max")


def generator(step: dict) -> dict:
    """Return {share: sent of what was to be sent, busy: share of its threads, limited}; {} when one of them is not known."""
    seen, job = _map(step.get("facts")), _map(step.get("job"))
    cpu = [_map(pod).get("cpu_seconds") for pod in step.get("pods") or ()]
    numbers = [*cpu, *(seen.get(name) for name in SEEN), *(job.get(name) for name in ASKED)]
    if not cpu or not all(map(_is_number, numbers)) or not all([seen["sent"], seen["seconds"], *(job[name] for name in ("rate", "count", "lines", "seconds"))]):
        return {}
    share = min(1.0, seen["sent"] / (job["rate"] * job["count"] * job["seconds"]))
    busy = max(cpu) / (job["seconds"] * job["threads"] * THREADS_EACH)
    # What waits for an answer on the average: Little's law for those that came, the whole time for those that were lost.
    mean = _map(seen.get("latency")).get("mean")
    waiting = (seen["completed"] * (mean if _is_number(mean) else 0) + seen["lost"] * seen["timeout"]) / job["seconds"]
    held_back = waiting >= WAITING * job["outstanding"] * job["count"]
    return {"share": share, "busy": busy, "limited": busy > BUSY or (share < HELD and not held_back)}


def worst(found: Iterable[dict]) -> dict:
    """Return the generator that sent least of what it was to send; one that is limited first."""
    return max(found, key=lambda one: (one.get("limited", True), 1 - one.get("share", 0)), default={})


def lookup(step: Optional[dict]) -> dict:
    """Return {rate (good answers/s), seconds, errors, count, lost, rcodes, samples, p50, p90, p99, mean, max} of a step; {} when nothing is known."""
    seen = _map(_map(step).get("facts"))
    if not seen or generator(step or {}).get("limited") is not False:
        return {}
    bad, sent, latency = failed(step), seen["sent"], _map(seen.get("latency"))
    found = {"rate": max(0, sent - bad) / seen["seconds"], "seconds": round(seen["seconds"]), "errors": bad / sent, "count": sent}
    found.update({name: seen[name] for name in ("lost", "rcodes") if name in seen})
    if _is_number(latency.get("samples")) and _is_number(latency.get("unmeasured")):
        # What was lost is an observation too: one that is slower than every bound.
        found["samples"] = latency["samples"] + latency["unmeasured"]
        found.update({name: latency[name] for name in LATENCY if latency.get(name) is not None})
    return found


def failed(step: dict) -> int:
    """Return how many queries were lost, or answered with another rcode than they should be."""
    seen, job = step["facts"], step["job"]
    missing = _map(seen.get("rcodes")).get("NXDOMAIN", 0)
    # dnsperf goes round the file, and of each process the last round may end anywhere.
    searched = math.ceil(seen["sent"] * job["searched"] / job["lines"]) + job["searched"] * job["count"]
    return seen["lost"] + seen["interrupted"] + seen["failed"] + max(0, missing - searched)


def errors(steps: List[dict]) -> dict:
    """Return {ratio, count, failed, lost, rcodes (of the last step)} of all queries of the steps; {} when one of them is not known."""
    known = [step for step in steps if _map(step.get("facts")) and generator(step).get("limited") is False]
    if not known or len(known) < len(steps):
        return {}
    sent, bad = sum(step["facts"]["sent"] for step in known), sum(map(failed, known))
    lost = sum(step["facts"]["lost"] for step in known)
    return {"ratio": bad / sent, "count": sent, "failed": bad, "lost": lost, "rcodes": _map(known[-1]["facts"].get("rcodes"))}


def alone(step: dict, expected: Iterable[str]) -> dict:
    """Return {CoreDNS pod: what `lookup` returns}; of a pod that is not known, or was not asked though it is expected, {}, so that it does not vanish."""
    job, ran = _map(step.get("job")), {_map(pod).get("index"): pod for pod in step.get("pods") or ()}
    found: Dict[str, dict] = {name: {} for name in expected} if step else {}
    for index, name in enumerate(job.get("names") or ()):
        own = {"facts": _map(step.get("each")).get(name), "job": dict(job, count=1), "pods": [ran[index]] if index in ran else []}
        found[name] = lookup(dict(step, **own))
    return found


def _map(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
