# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the generators of a load say: what they sent of what was asked, how busy they were, and what clients saw. Pure.

A step is {name, kind, rate, seconds, facts, took (s), cpu_seconds, cpus, codes (exit codes of its generators)}. A generator that was too slow
itself has no numbers. One that stopped by itself, since too many of its requests failed, is what the step ended with, whatever the others measured.
"""

from __future__ import annotations

from typing import Any, List, Optional

from ansible_collections.kubeproof.certify.plugins.module_utils.stress import MOST_ERRORS

# More of its processors, and a generator may be what is measured; less of what was asked, and it was not sent (scale.md, section 4).
BUSY = 0.8
HELD = 0.99
# k6's exit code when a threshold with abortOnFail was crossed: of requests that failed, in the scripts of both layers that are loaded by it.
GAVE_UP = 99


def clients(done: List[dict]) -> dict:
    """Return {clients: k6's facts, generator, kube_burner} of the steps that count; of several the last, which is the highest that was planned."""
    steps = [step for step in done if step["kind"] == "objects" and step.get("window") and step["name"] != "qps"]
    other = kube_burner(done)
    if not steps:
        return other
    step = steps[-1]
    found, seen = generator(step), _map(step.get("facts"))
    facts = {**other, "generator": found}
    return dict(facts, clients=dict(seen, rate_offered=step["rate"])) if found.get("limited") is False else facts


def kube_burner(done: List[dict]) -> dict:
    """Return {kube_burner: its facts, with missing and failed; generator}, or {} where it did not run."""
    step = next((step for step in done if step["kind"] == "kube_burner"), None)
    seen = _map(step.get("facts")) if step else {}
    if not step or not seen:
        return {}
    pods, errors = _map(seen.get("pods")), _map(seen.get("errors"))
    found = dict(seen, **{name: value for name, value in (("missing", pods.get("missing")), ("failed", sum(errors.values()))) if _is_number(value)})
    return {"kube_burner": found, "generator": generator(step)}


def generator(step: dict) -> dict:
    """Return {share: sent of what was to be sent, busy: share of its processors, limited}; limited is absent when one of them is."""
    share = _sent(step) if step["kind"] == "objects" else _made(_map(step.get("facts")))
    cpus, took = step.get("cpus"), step.get("took")
    if share is None or not _is_number(step.get("cpu_seconds")) or not cpus or not took:
        return {}
    busy = step["cpu_seconds"] / (took * cpus)
    # What such a generator did not send, or sent late, is not the API server's fault.
    return {"busy": busy, "limited": True} if busy > BUSY else {"share": share, "busy": busy, "limited": False}


def stopped(step: dict) -> Optional[dict]:
    """Return what broke a step whose load stopped by itself, {title, value, unit, bound, entry? (which generators)}; None where none did."""
    codes = step.get("codes") or []
    if GAVE_UP not in codes:
        return None
    found = {"title": "Share of errors, and k6 stopped", "value": error_ratio(step), "unit": "ratio", "bound": f"<= {MOST_ERRORS}"}
    return found if len(codes) == 1 else {**found, "entry": f"{codes.count(GAVE_UP)} of {len(codes)} generators"}


def error_ratio(step: dict) -> Any:
    """Return which share of a step's requests failed; of generators of which one stopped for it more than it stops at, however it is with the others."""
    found = _map(step.get("facts")).get("error_ratio")
    if GAVE_UP not in (step.get("codes") or ()) or _is_number(found) and found > MOST_ERRORS:
        return found
    return [MOST_ERRORS, None]


def stopped_errors(done: List[dict], counted: dict) -> dict:
    """Return the errors with those of a step that k6 stopped for them, {} where none did: other steps and generators make it no better.

    `counted`: {count, ratio, …} of the steps that count, {} where what was to follow, and would have counted, was not run.
    """
    for step in done:
        seen, ratio = _map(step.get("facts")), error_ratio(step)
        low = ratio[0] if isinstance(ratio, list) else ratio
        # The step that offers more than is expected has errors of its own.
        if step["kind"] != "objects" or counted and step["name"] == "qps" or not _is_number(seen.get("requests")) or not _is_number(low):
            continue
        if isinstance(ratio, list) or low > MOST_ERRORS:
            return counted if counted and counted["ratio"] > low else {**counted, "count": seen["requests"], "clients": ratio, "ratio": ratio}
    return {}


def _sent(step: dict) -> Optional[float]:
    """Return the share of the requests that k6 was to send, and sent."""
    started = _map(step.get("facts")).get("started")
    return min(1.0, started / (step["rate"] * step["seconds"])) if _is_number(started) and step.get("seconds") else None


def _made(seen: dict) -> Optional[float]:
    """Return the least share of its rate that kube-burner held in a job, times what it made of what it was to make; it waits for answers."""
    shares = [_job(_map(job)) for job in _map(seen.get("jobs")).values()]
    return min(shares) if shares and None not in shares else None


def _job(job: dict) -> Optional[float]:
    """Return the share of one job. That of pods also waits for them to start, so only what it made counts."""
    pods = _map(job.get("pods"))
    if _is_number(pods.get("measured")) and pods.get("expected"):
        return min(1.0, pods["measured"] / pods["expected"])
    counts = [_map(one) for one in _map(job.get("objects")).values()]
    expected = sum(one["expected"] for one in counts if _is_number(one.get("expected")))
    found = sum(one["found"] for one in counts if _is_number(one.get("found")))
    if not expected or not _is_number(job.get("seconds")) or not job.get("qps_limit"):
        return None
    planned = expected / job["qps_limit"]
    return min(1.0, found / expected) * min(1.0, planned / max(job["seconds"], planned))


def _map(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
