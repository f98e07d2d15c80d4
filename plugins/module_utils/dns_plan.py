# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the DNS layer is going to do: the queries that the cluster is expected to ask, and the steps of a profile. Pure.

Sizing: see sizing.py.
"""

from __future__ import annotations

import math

from . import sizing, stress_plan, time_scale
from .sizing import MOST, PlanError
from .sizing import number as _number

# Declared in certify_capacity: name -> what it is, for the plan.
INPUTS = {"nodes": "nodes", "pods_per_node": "pods on a node", "dns_qps": "DNS queries a second, all together"}
QUERIES_PER_POD = 2
# The mission's bound for the rate where none is declared, and how much more is offered to prove it.
QPS_BOUND = 10000
QPS_FACTOR = 1.1
# Seconds of a step of each kind; one of 0 is left out.
SINGLE = ("pods", "qps", "node_local", "external", "ramp")
# The least observations behind a P99 and a share of errors that a step of the ramp may have; the checks ask for no more.
SAMPLES = 3000
# Bytes of a line that dnsperf before 2.11.2 prints for each answer: 81.4 on the average of our names in the lab (dnsperf 2.10.0, whose names end with
# cluster.local); so that a domain of 60 characters has room, more.
ANSWER = 128
# What a pod may write until it is evicted (results_limit of job_run), and the share of it that is used: kubelet does not look all the time.
RESULTS, FILLED = 2 * 2**30, 0.8
# What each CoreDNS pod alone is asked at least, as its checks need: a share of errors, and in the profile load a P99.
EACH = {"smoke": 299, "load": 1000, "soak": 299}
# As many as all the checks of a kind of step need, of the cache too.
NEEDED = {"service": 10000, "node_local": 10000, "external": 100}
LONGEST = 86400
# What stays unknown of a cluster that serves, and why.
BEYOND = "nothing is asked beyond the declared rate because of certify_live"
UNDECLARED = "nothing is asked because of certify_live, as long as no rate is declared: set certify_capacity.dns_qps to what DNS carries"
LOADED = ("lookups", "errors", "pods", "qps", "external", "generator", "cache", "node_cache", "balance", "servfail", "server_latency", "panics", "forward")


def plan(profile, settings):
    """Return {inputs: [{name, value, source, text}], expected: {qps}, steps: [step], seconds, rate, clients, bytes, missing}, and with a ramp
    {spare, stress} (stress_plan).

    `settings`: nodes and coredns (pods; counted, 0 when unknown), capacity (certify_capacity), live, stress, and dns_load, dns_least_rate and
    dns_external_names of the role. A step is {name, kind, rate, seconds, share, window, limited}: kind pods (each CoreDNS pod alone, all at once, each
    `samples` times at least; this fills the caches, too), service (through the DNS Service), node_local, external. `window`: the metrics of CoreDNS are
    read before and after it, and its numbers count. `limited`: not one query a second more. `clients`: pods that ask, at least (`fewest`). `bytes`: what
    dnsperf prints, at most. `missing`: {fact: why it stays unknown}. PlanError on a bad setting.
    """
    inputs = _inputs(settings)
    expected = inputs[-1]["value"]
    proven = stress_plan.rate_of(settings["capacity"].get("dns_qps", QPS_BOUND), QPS_FACTOR)
    load = _load(profile, settings)
    if load["qps"]:
        # A rate that is declared is asked at that rate, however low, so that it takes longer.
        load["qps"] = max(load["qps"], math.ceil(round(stress_plan.MARGIN * SAMPLES / proven, 6)))
    # All of the load is seconds.
    load = time_scale.shortened(load, settings.get("time_scale", 1), (*SINGLE, "service"))
    least = _number("dns_least_rate", settings["dns_least_rate"], 1, MOST)
    names = settings["dns_external_names"]
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip(".") for name in names):
        raise PlanError(f"dns_external_names is {names!r}. Write a list of names, such as [www.example.com].")
    limited, most, missing = bool(settings["live"]), MOST, {}
    if limited:
        # A cluster that serves is loaded up to what it is declared to carry, and not beyond; what is made up from its nodes is not declared.
        load = dict(load, qps=0, service=[step for step in load["service"] if step["share"] <= 1])
        # Of what is declared, since the sizing rounds it.
        most, missing = math.floor(settings["capacity"].get("dns_qps", expected)), {"qps": BEYOND}
    main = _service(load, expected, least, most)
    ramp, spare = _ramp(load, expected, least, settings)
    usual = main[-1]["rate"] if main else _rate(expected, least, most)
    steps = [dict(_step("pods", "pods", usual, load["pods"], False), samples=EACH.get(profile, 0)), *main]
    steps.append(_step("qps", "service", proven, load["qps"], True))
    steps.append(_step("node-local", "node_local", usual, load["node_local"], True))
    # A tenth of the queries of the catalogue's mix are for names outside.
    steps.append(_step("external", "external", max(1, round(usual / 10)), load["external"] if names else 0, True))
    steps = [step for step in steps + ramp if step["seconds"]]
    if not main and not ramp:
        raise PlanError(f"dns_load.{profile}.service has no step that can run. Write a list of steps, such as [{{share: 1.0, seconds: 900}}].")
    if limited:
        steps = [_as_many(dict(step, limited=True), least) for step in steps]
    if limited and "dns_qps" not in settings["capacity"]:
        steps, missing = [], dict.fromkeys(LOADED, UNDECLARED)
    steps = [long_enough(step, settings.get("coredns", 0)) for step in steps]
    return {
        "inputs": inputs,
        "expected": {"qps": expected},
        "steps": steps,
        "seconds": sum(step["seconds"] for step in steps) + stress_plan.refining(steps, spare),
        "rate": max((step["rate"] for step in steps), default=0),
        "clients": max((fewest(step) for step in [*steps, *spare] if step["kind"] != "pods"), default=0),
        "bytes": sum(map(printed, steps)) + stress_plan.refining(steps, spare, printed),
        "missing": missing,
        **({"spare": spare, "stress": stress_plan.about(settings, expected)} if ramp else {}),
    }


def rate_of(step, count):
    """Return the queries a second of each of so many dnsperfs; 0 where there is less than one for each, and not one too much."""
    return int(step["rate"] // count) if step["limited"] else max(1, math.ceil(step["rate"] / count))


def printed(step):
    """Return how many bytes all dnsperfs of a step print at most, where they print a line for each answer."""
    return step["rate"] * step["seconds"] * ANSWER


def fewest(step):
    """Return how many pods have to ask in a step, at least, so that what none of them prints outgrows its volume."""
    return max(1, math.ceil(printed(step) / (FILLED * RESULTS)))


def long_enough(step, count):
    """Return a step that asks each of so many CoreDNS pods, longer where one of them would be asked less often than its checks need."""
    rate = rate_of(step, count) if count and step["kind"] == "pods" else 0
    needed = math.ceil(round(stress_plan.MARGIN * step["samples"] / rate, 6)) if rate else 0
    return dict(step, seconds=max(step["seconds"], needed))


def _step(name, kind, rate, seconds, window, share=None):
    return {"name": name, "kind": kind, "rate": max(1, rate), "seconds": seconds, "share": share, "window": window, "limited": False}


def _rate(wanted, least, most):
    """Return the rate to offer: no less than the least one, and never more than the most."""
    return min(max(round(wanted), least), most)


def _as_many(step, least):
    """Return a step, longer where its rate is below the least one: as many queries as at that rate, or as many as its checks need."""
    least = least / 10 if step["kind"] == "external" else least
    if not step["window"] or step["rate"] >= least:
        return step
    queries = min(step["seconds"] * least, stress_plan.MARGIN * NEEDED[step["kind"]])
    return dict(step, seconds=max(step["seconds"], math.ceil(round(queries / step["rate"], 6))))


def _load(profile, settings):
    every = settings["dns_load"]
    if not isinstance(every, dict) or not isinstance(every.get(profile), dict):
        raise PlanError(f"dns_load is {every!r}. Write a map with an entry for each profile.")
    where = f"dns_load.{profile}"
    load = {"service": [], **dict.fromkeys(SINGLE, 0), **every[profile]}
    unknown = [name for name in load if name not in (*SINGLE, "service")]
    if unknown:
        raise PlanError(f"{where} has {unknown[0]!r}. Write some of service, {', '.join(SINGLE)}.")
    if not isinstance(load["service"], list) or not all(isinstance(step, dict) and set(step) == {"share", "seconds"} for step in load["service"]):
        raise PlanError(f"{where}.service is {load['service']!r}. Write a list of steps, such as [{{share: 1.0, seconds: 900}}].")
    for number, step in enumerate(load["service"]):
        _number(f"{where}.service[{number}].share", step["share"], 0.001, 1000)
        _number(f"{where}.service[{number}].seconds", step["seconds"], 1, LONGEST)
    for name in SINGLE:
        _number(f"{where}.{name}", load[name], 0, LONGEST)
    return load


def _inputs(settings):
    """Return every input of the sizing, with where it comes from: declared, counted or the formula that made it."""
    inputs = sizing.Inputs(settings["capacity"], INPUTS)
    nodes = inputs.take("nodes", settings["nodes"], "counted", 1)
    pods = nodes * inputs.take("pods_per_node", sizing.PODS_PER_NODE, sizing.UPSTREAM, 1)
    inputs.take("dns_qps", QUERIES_PER_POD * pods, f"{QUERIES_PER_POD} x {pods} pods", 1)
    return inputs.found


def _ramp(load, expected, least, settings):
    """Return the steps of a stress run; where so little is expected that a step has too few queries, all of them ask for more."""
    if not load["ramp"]:
        return [], []
    base = max(expected, least)

    def step(share, seconds):
        return _step("", "service", stress_plan.rate_of(base, share), seconds, True, share)

    return stress_plan.ramp(step, load["ramp"], settings, SAMPLES)


def _service(load, expected, least, most):
    """Return the steps through the Service; the numbers of the last one count."""
    steps = []
    for number, step in enumerate(load["service"], 1):
        rate = _rate(step["share"] * expected, least, most)
        steps.append(_step(f"service-{number}-{round(step['share'] * 100)}", "service", rate, step["seconds"], False, step["share"]))
    for step in steps[-1:]:
        step["window"] = True
    return steps
