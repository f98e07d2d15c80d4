# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ingress layer is going to do: the rates that it has to carry, and the steps of a profile. Pure.

A declared rate wins over that of the size class (certify_tiers); nothing is guessed from the number of nodes, since what comes in from
outside does not depend on it.
"""

from __future__ import annotations

import math
from urllib.parse import urlsplit

from . import bounds, stress_plan, time_scale
from .sizing import PlanError
from .sizing import number as _number

# Declared in certify_capacity: name -> what it is, for the plan.
INPUTS = {
    "ingress_rps": "requests a second that are expected through the ingress",
    "ingress_peak_rps": "requests a second at its peak",
}
# The mission's rates by size class, which are offered where none is declared.
CLASSES = {"small": 10_000, "large": 50_000}
TLS = ("run", "own", "default", "none")
# Steps that wrk or k6 drives as fast as answers come, by what they ask: our backend itself, the ingress with and without TLS.
CLOSED = {"straight": "straight", "rps": "main", "connections": "plain", "handshakes": "tls"}
OPEN = ("latency", "peak")
# The checks that the rates of those steps and the latency are judged by. Without the ingress a rate is not judged.
RATES = {"rps": "ingress_rps", "connections": "ingress_connection_rate", "handshakes": "ingress_connection_rate"}
LATENCY = "ingress_latency_p99"
# The least observations behind a P99, also of a step of the ramp, and behind a share of failed requests: what the checks ask.
SAMPLES = 10_000
REQUESTS = {"small": 3_000, "large": 30_000}
# What is planned beyond that, since not all that is planned is sent; and the seconds that a step is made longer for it at most.
MARGIN = 1.05
LONGER = 600
# Requests a second for each processor that a generator uses, measured on the lab (2 processors of x86-64, Traefik, answers of 1 KiB): GETs of k6 on kept
# connections; its GETs with a whole handshake each, P-256 (6 runs of 6 s with 622 to 836 a second: 690 to 890, median 800); wrk's with a connection each
# without TLS (6 of 5 s: 7,700 to 10,600), on kept ones without (6 of 3 s: 46,000 to 68,000) and with TLS (6 of 8 s: 12,600 to 21,500, median 16,000).
PER_PROCESSOR = {"k6": 2_850, "handshakes": 800, "connections": 9_000, "rps": 50_000}
WITH_TLS = {"rps": 16_000}
# Above that share of its processors it is what limits.
BUSY = 0.8
# How many times the mean the P99 of answers is that spread as those of a queue do (exponential).
TAIL = math.log(100)


def plan(profile, settings):
    """Return {inputs: [{name, value, source, text}], expected: {rps, peak, tier}, steps: [step], seconds, rate, tls, limited, missing}.

    With a ramp {spare, stress} (stress_plan). `settings`: capacity (certify_capacity), tier (that of certify_tiers or ""), live, stress, generators,
    time_scale, checks ({id: check}) and thresholds (certify_thresholds), by which rates are judged, the role's ingress_*.
    A step is {name, kind: wrk, handshakes or k6, to: straight, main, plain or tls, seconds}, of k6 with {rate, share, of}, the others with {keep_alive,
    connections, open?}, which are those of all generators; open is [1/s, 1/s], between which more of them might have had a higher rate.
    `limited`: nothing goes beyond what is declared, so that nothing is driven as fast as answers come. `missing`: sentences, each about
    something that cannot be judged, and the variable to set. PlanError on a bad setting.
    """
    url = settings["ingress_url"]
    scheme = _scheme(url) if url else ""
    load, scale = _load(profile, settings), settings.get("time_scale", 1)
    tls = scheme == "https" if url else _certificate(settings) != "none"
    expected = _expected(settings)
    limited = bool(settings["live"] or url)
    offered = _open("latency", load, expected["rps"], settings, limited) + _open("peak", load, expected["peak"], settings, limited)
    too_few = _lengthen(offered, profile, expected["tier"], settings)
    aims = _aims(profile, expected["tier"], settings)
    closed = [] if limited else _closed(load, tls, aims, settings)
    # Shortened at the end: a run in less time has fewer samples, and is judged by them.
    steps = [{**step, "seconds": time_scale.shorten(step["seconds"], scale)} for step in [*closed, *offered]]
    ramp, spare = _ramp(time_scale.shorten(load["ramp"], scale), expected, settings, limited)
    steps += ramp
    return {
        "inputs": _inputs(settings["capacity"], expected),
        "expected": expected,
        "steps": steps,
        "seconds": sum(step["seconds"] for step in steps) + stress_plan.refining(steps, spare),
        "rate": max([step["rate"] for step in steps if step["kind"] == "k6"], default=0),
        "tls": tls,
        "limited": limited,
        "missing": _missing(settings, expected, limited) + too_few + _too_fast(steps, settings) + _too_many(closed, aims, tls, settings),
        **({"spare": spare, "stress": stress_plan.about(settings, expected["rps"])} if ramp else {}),
    }


def _load(profile, settings):
    every = settings["ingress_load"]
    if not isinstance(every, dict) or not isinstance(every.get(profile), dict):
        raise PlanError(f"ingress_load is {every!r}. Write a map with an entry for each profile.")
    load = {**dict.fromkeys(CLOSED, 0), **dict.fromkeys(OPEN, ()), "ramp": 0, **every[profile]}
    where = f"ingress_load.{profile}"
    for name in load:
        if name not in (*CLOSED, *OPEN, "ramp"):
            raise PlanError(f"{where} has {name!r}. Write one of {', '.join([*CLOSED, *OPEN, 'ramp'])}.")
    for name in (*CLOSED, "ramp"):
        _number(f"{where}.{name}", load[name], 0)
    for name in OPEN:
        if not isinstance(load[name], (list, tuple)) or not all(isinstance(step, dict) and set(step) == {"share", "seconds"} for step in load[name]):
            raise PlanError(f"{where}.{name} is {load[name]!r}. Write a list of steps, such as [{{share: 1.0, seconds: 300}}].")
        for number, step in enumerate(load[name]):
            _number(f"{where}.{name}[{number}].share", step["share"], 0.001)
            _number(f"{where}.{name}[{number}].seconds", step["seconds"], 1)
    return load


def _scheme(url):
    """Return the scheme of ingress_url."""
    try:
        parts = urlsplit(url)
        host, dummy = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host:
        raise PlanError(f"ingress_url is {url!r}. Write a whole URL, such as https://shop.example.com/health.")
    return parts.scheme


def _certificate(settings):
    """Return ingress_tls."""
    if settings["ingress_tls"] not in TLS:
        raise PlanError(f"ingress_tls is {settings['ingress_tls']!r}. Write one of {', '.join(TLS)}.")
    for name in ("ingress_certificate", "ingress_key"):
        if settings["ingress_tls"] == "own" and not settings[name]:
            raise PlanError(f"ingress_tls is own, and {name} is empty. Write the path of a file in PEM on this machine.")
    return settings["ingress_tls"]


def _expected(settings):
    """Return {rps, peak, tier}; a rate is None where neither it nor a size class is declared."""
    tier, capacity = settings["tier"], settings["capacity"]
    declared = {name: _number(f"certify_capacity.{name}", capacity[name], 0) for name in INPUTS if name in capacity}
    return {"rps": declared.get("ingress_rps", CLASSES.get(tier)), "peak": declared.get("ingress_peak_rps"), "tier": tier or None}


def _inputs(capacity, expected):
    sources = {"ingress_rps": f"size class {expected['tier']}" if expected["rps"] else "not declared", "ingress_peak_rps": "not declared"}
    values = {"ingress_rps": expected["rps"], "ingress_peak_rps": expected["peak"]}
    return [{"name": name, "value": values[name], "source": "declared" if name in capacity else sources[name], "text": INPUTS[name]} for name in INPUTS]


def _closed(load, tls, aims, settings):
    """Return the steps without a rate: wrk, and k6 for whole TLS handshakes, which wrk does not make.

    By Little's law a rate is at most its connections, divided by the mean of answers: what is less than the target while that is a quick one, is left
    `open`, from so many to so many a second. More connections beforehand would cost the ingress more: 1,000 halved the rate of Traefik on two processors.
    """
    connections, steps = _number("ingress_connections", settings["ingress_connections"], 1, whole=True), []
    for name, to in CLOSED.items():
        if load[name] and (tls or to != "tls"):
            kind, aim = "handshakes" if name == "handshakes" else "wrk", aims.get(RATES.get(name))
            step = {"name": name, "kind": kind, "to": to, "keep_alive": name in ("straight", "rps"), "seconds": load[name], "connections": connections}
            steps.append({**step, "open": [round(connections / aim["mean"], 1), aim["rate"]]} if aim and aim["mean"] else step)
    return steps


def _aims(profile, tier, settings):
    """Return {check of a rate: {rate: the target, mean: seconds of a quick answer, or None}} of those that count in the profile and have a bound."""
    checks, late = settings.get("checks") or {}, _bounds(LATENCY, tier, settings)[0]
    counted = {name for name in RATES.values() if profile in checks.get(name, {}).get("profiles", ())}
    rates = {name: _bounds(name, tier, settings)[0] for name in counted}
    return {name: {"rate": rate, "mean": late / TAIL if late else None} for name, rate in rates.items() if rate}


def _bounds(name, tier, settings):
    """Return the numbers of a check's [target, critical] as they are judged, each None where there is none; without a size class there is none."""
    check = (settings.get("checks") or {}).get(name)
    if not check:
        return [None, None]
    found = bounds.effective(check, (settings.get("thresholds") or {}).get(name), None, tier).bounds
    return [bound.literal if bound and bound.operator in bounds.SIDE else None for bound in found]


def _open(of, load, rate, settings, limited):
    """Return the steps at a fixed rate: shares of the expected rate, or of the peak, which has none where it is not declared."""
    least = _number("ingress_least_rate", settings["ingress_least_rate"], 0)
    steps = []
    for number, step in enumerate(load[of], 1):
        if (of == "peak" and not rate) or (limited and (step["share"] > 1 or not rate)):
            continue
        # Rounded up: a share that is to be proven must be reached.
        asked = max(1, math.ceil(round(max(step["share"] * (rate or 0), min(least, rate) if limited else least), 6)))
        name = f"{of}-{number}-{round(step['share'] * 100)}"
        steps.append({"name": name, "kind": "k6", "to": "main", "of": of, "share": step["share"], "rate": asked, "seconds": step["seconds"]})
    return steps


def _lengthen(offered, profile, tier, settings):
    """Make the last steps at a fixed rate as long as it takes for the requests that P99 and a share of failed ones need; return what nobody would wait for.

    The P99 is that of the last step of latency alone, where the profile judges it; what failed is counted in all steps.
    """
    said, latency = [], [step for step in offered if step["of"] == "latency"][-1:]
    judged = any(_bounds(LATENCY, tier, settings)) and profile in settings["checks"][LATENCY].get("profiles", ())
    for steps, needed, what in ((latency if judged else [], SAMPLES, "the P99"), (offered, REQUESTS.get(tier, 0), "how many fail")):
        sent = sum(step["rate"] * step["seconds"] for step in steps)
        more = math.ceil(max(0, MARGIN * needed - sent) / steps[-1]["rate"]) if steps else 0
        if 0 < more <= LONGER:
            steps[-1]["seconds"] += more
        elif more:
            said.append(
                f"fewer requests are offered than the {needed:,} that it takes to judge {what}: "
                "make the steps of ingress_load longer, or declare a higher certify_capacity.ingress_rps"
            )
    return said


def _ramp(seconds, expected, settings, limited):
    """Return the steps of a stress run: shares of the expected rate, none where it is not known or nothing may go beyond it."""
    rate = expected["rps"]
    if not seconds or not rate or (limited and not settings["live"]):
        return [], []

    def step(share, seconds):
        asked = stress_plan.rate_of(max(rate, settings["ingress_least_rate"]), share)
        return {"kind": "k6", "to": "main", "of": "latency", "rate": asked, "seconds": seconds}

    return stress_plan.ramp(step, seconds, settings, max(SAMPLES, REQUESTS.get(expected["tier"], 0)))


def _missing(settings, expected, limited):
    found = []
    if not expected["tier"]:
        found.append(f"nothing of its performance can be judged without its size class: set certify_tiers.ingress to {' or '.join(CLASSES)}")
    if not expected["peak"]:
        found.append("the checklist's ingress peak cannot be judged: set certify_capacity.ingress_peak_rps")
    if limited and not expected["rps"]:
        found.append("nothing is offered without a declared rate: set certify_capacity.ingress_rps")
    if limited:
        why = "ingress_url" if settings["ingress_url"] else "certify_live"
        found.append(f"nothing goes beyond the declared rates because of {why}: no rate of new connections is measured")
    if settings["ingress_url"] and not settings["ingress_marker"]:
        found.append("every answer of ingress_url with status 200 is taken for the expected one, a login page as well: set ingress_marker")
    return found


def _too_fast(steps, settings):
    """Say which steps at a fixed rate have more to send than the generators can: such a step decides nothing."""
    generators = settings.get("generators", 1)
    each = _each("k6", settings)
    beyond = [step for step in steps if step["kind"] == "k6" and step["rate"] > each * generators]
    if not beyond:
        return []
    rate, names = max(step["rate"] for step in beyond), ", ".join(step["name"] for step in beyond)
    return [
        f"the generators cannot send what {names} ask{'s' if len(beyond) == 1 else ''} for, so that nothing is decided there: set certify_generators to "
        f"{math.ceil(rate / each)} for {rate:,} requests a second (it is {generators}; one sends about {each:,.0f})"
    ]


def _too_many(closed, aims, tls, settings):
    """Say which steps without a rate are judged by one that the generators cannot ask for."""
    generators, found = settings.get("generators", 1), []
    for step in closed:
        name, aim = step["name"], aims.get(RATES.get(step["name"]))
        # With TLS a new connection is judged by its handshake.
        if not aim or name == ("connections" if tls else "handshakes"):
            continue
        each = _each(name, settings, tls)
        needed = math.ceil(aim["rate"] / each)
        if needed > generators:
            what = "requests" if name == "rps" else "new connections"
            found.append(
                f"{name} is judged by {aim['rate']:,} {what} a second, which the generators cannot ask for, so that it cannot pass: set certify_generators "
                f"to {needed} (it is {generators}; one makes about {each:,.0f})"
            )
    return found


def _each(name, settings, tls=False):
    """Return how many requests a second a generator sends before it is what limits."""
    rate = WITH_TLS.get(name, PER_PROCESSOR[name]) if tls else PER_PROCESSOR[name]
    return rate * BUSY * _number("ingress_client_cpus", settings["ingress_client_cpus"], 0.1)
