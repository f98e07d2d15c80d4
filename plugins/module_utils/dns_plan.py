# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the DNS layer is going to do: the queries that the cluster is expected to ask, and the steps of a profile. Pure.

Sizing: see sizing.py.
"""

from __future__ import annotations

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
LONGEST = 86400


def plan(profile, settings):
    """Return {inputs: [{name, value, source, text}], expected: {qps}, steps: [step], seconds, rate}, and with a ramp {spare, stress} (stress_plan).

    `settings`: nodes (counted, 0 when unknown), capacity (certify_capacity), live, stress, and dns_load, dns_least_rate and dns_external_names of the
    role. A step is {name, kind, rate, seconds, share, window}: kind pods (each CoreDNS pod alone, which also fills the caches), service (through the DNS
    Service), node_local, external. `window`: the metrics of CoreDNS are read before and after it, and its numbers count. PlanError on a bad setting.
    """
    # All of the load is seconds.
    load = time_scale.shortened(_load(profile, settings), settings.get("time_scale", 1), (*SINGLE, "service"))
    inputs = _inputs(settings)
    expected = inputs[-1]["value"]
    least = _number("dns_least_rate", settings["dns_least_rate"], 1, MOST)
    names = settings["dns_external_names"]
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip(".") for name in names):
        raise PlanError(f"dns_external_names is {names!r}. Write a list of names, such as [www.example.com].")
    if settings["live"]:
        # A cluster that serves is loaded up to what it is declared to carry, and not beyond.
        load = dict(load, qps=0, service=[step for step in load["service"] if step["share"] <= 1])
    main = _service(load, expected, least)
    ramp, spare = _ramp(load, expected, least, settings)
    usual = main[-1]["rate"] if main else max(round(expected), least)
    steps = [_step("pods", "pods", usual, load["pods"], False), *main]
    steps.append(_step("qps", "service", round(settings["capacity"].get("dns_qps", QPS_BOUND) * QPS_FACTOR), load["qps"], True))
    steps.append(_step("node-local", "node_local", usual, load["node_local"], True))
    # A tenth of the queries of the catalogue's mix are for names outside.
    steps.append(_step("external", "external", max(1, round(usual / 10)), load["external"] if names else 0, True))
    steps = [step for step in steps + ramp if step["seconds"]]
    if not main and not ramp:
        raise PlanError(f"dns_load.{profile}.service has no step that can run. Write a list of steps, such as [{{share: 1.0, seconds: 900}}].")
    return {
        "inputs": inputs,
        "expected": {"qps": expected},
        "steps": steps,
        "seconds": sum(step["seconds"] for step in steps),
        "rate": max(step["rate"] for step in steps),
        **({"spare": spare, "stress": stress_plan.about(settings, expected)} if ramp else {}),
    }


def _step(name, kind, rate, seconds, window, share=None):
    return {"name": name, "kind": kind, "rate": max(1, rate), "seconds": seconds, "share": share, "window": window}


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


def _service(load, expected, least):
    """Return the steps through the Service; the numbers of the last one count."""
    steps = []
    for number, step in enumerate(load["service"], 1):
        rate = max(round(step["share"] * expected), least)
        steps.append(_step(f"service-{number}-{round(step['share'] * 100)}", "service", rate, step["seconds"], False, step["share"]))
    for step in steps[-1:]:
        step["window"] = True
    return steps
