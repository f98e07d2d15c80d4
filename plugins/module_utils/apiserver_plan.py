# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the apiserver layer is going to do: the load that the cluster is expected to carry, and the steps of a profile. Pure.

Sizing: see sizing.py.
"""

from __future__ import annotations

import math

from . import etcd_plan, sizing, stress_plan, time_scale
from .sizing import PlanError
from .sizing import number as _number

# Declared in certify_capacity.
INPUTS = sizing.API
# The mission's bound for the sustained rate where no api_qps is declared, and how much more is offered to prove it.
QPS_BOUND = 1000
QPS_FACTOR = 1.1
# A pod that has started is deleted while others are made, but never holds its slot for longer than the SLO of its start and as long to go.
POD_SECONDS = 10
# What certify_time_scale shortens.
DURATIONS = ("objects", "qps", "kube_burner", "ramp")
# The share of our load (files/k6/objects.js) that changes objects of the same kind in the same way: PATCH, which does most, and POST, which does least.
PATCHED, POSTED = 0.15 / 3, 0.025 / 3
# So many requests a step of the ramp needs for the P99 of every way; a try of recovery, and what is shortened, for the P99 of one way.
SAMPLES = stress_plan.samples(0.99, POSTED)
FEWEST = stress_plan.samples(0.99, PATCHED)
# The share of our load that makes etcd write, and the bytes of what it writes at most: 1,000 that fill an object, its key, and its metadata with the fields
# that each of its writers manages.
WRITTEN, WRITTEN_BYTES = 0.25, 1700
# The least rate of a ramp: at it 300 s have so many.
RAMP_RATE = 135


def plan(profile, settings):
    """Return {inputs: [{name, value, source, text}], expected: {writes, reads, qps, churn, pods}, steps: [step], seconds, pods, objects, rate, bytes,
    missing: {fact: why it is not measured}}, and with a ramp {spare, stress} (stress_plan). `bytes`: what a step of the ramp adds to etcd at most.

    `settings`: nodes (counted, 0 when unknown), capacity (certify_capacity), engines [k6, kube_burner], live, stress, the role's apiserver_*.
    A step is {name, kind, seconds, ...}: kind objects {rate, share, window}, kube_burner {rates, pods, pod_rate, window}, pods {count, rate,
    at_once, window}, pull {images, rate}, streams {}, density {rate, window}. `window`: the servers' metrics are read before and after, and
    their numbers count. PlanError on a bad setting.
    """
    load, engines = time_scale.shortened(_load(profile, settings), settings.get("time_scale", 1), DURATIONS), settings["engines"]
    inputs = sizing.api(settings["capacity"], settings["nodes"])[0]
    expected = _expected({one["name"]: one["value"] for one in inputs})
    missing = {}
    if settings["live"]:
        load, missing = _spared(load, expected)
    steps = [*_objects(load, expected, settings), *_qps(load, settings)] if "k6" in engines else []
    ramp, spare = _ramp(load, expected, settings) if "k6" in engines else ([], [])
    steps += ramp
    # Where k6 finds the breaking point another hour of kube-burner finds nothing new.
    steps += _kube_burner(load, expected, settings) if "kube_burner" in engines and not ramp else []
    steps += [*_pods(load, expected, settings), *_pulls(load, expected, settings)]
    if load["streams"]:
        steps.append({"name": "streams", "kind": "streams", "seconds": 0})
    if settings["apiserver_density_node"]:
        steps.append({"name": "density", "kind": "density", "rate": _pod_rate(expected, settings), "seconds": 0, "window": True})
    return {
        "inputs": inputs,
        "expected": expected,
        "steps": steps,
        "seconds": sum(step["seconds"] for step in steps) + stress_plan.refining(steps, spare),
        "rate": max([step["rate"] for step in steps if step["kind"] == "objects"], default=0),
        "pods": max([step["at_once"] for step in steps if "at_once" in step], default=0),
        "objects": settings["apiserver_objects"] * 3,
        "bytes": max([step["bytes"] for step in ramp + spare], default=0),
        "missing": missing,
        **({"spare": spare, "stress": stress_plan.about(settings, expected["qps"])} if ramp else {}),
    }


def _spared(load, expected):
    """Return (the load of a cluster that serves, {fact: why it is not measured}): nothing goes beyond what it is declared, or expected, to carry."""
    missing = {}
    if load["qps"]:
        missing["qps"] = f"certify_live: nothing beyond the {expected['qps']:g} requests/s that are expected is offered"
    load = dict(load, qps=0, objects=[step for step in load["objects"] if step["share"] <= 1])
    if not expected["churn"]:
        missing["pods"] = "certify_live: no pod is made where certify_capacity.pod_churn is 0"
        load = dict(load, pods=0, pull=0, kube_burner={**load["kube_burner"], "pods": 0})
    return load, missing


def _load(profile, settings):
    every = settings["apiserver_load"]
    if not isinstance(every, dict) or not isinstance(every.get(profile), dict):
        raise PlanError(f"apiserver_load is {every!r}. Write a map with an entry for each profile.")
    load = {"objects": [], "qps": 0, "kube_burner": {"pods": 0, "seconds": 0}, "pods": 0, "pull": 0, "streams": False, "ramp": 0, **every[profile]}
    where = f"apiserver_load.{profile}"
    if not isinstance(load["objects"], list) or not all(isinstance(step, dict) and set(step) == {"share", "seconds"} for step in load["objects"]):
        raise PlanError(f"{where}.objects is {load['objects']!r}. Write a list of steps, such as [{{share: 1.0, seconds: 900}}].")
    for number, step in enumerate(load["objects"]):
        _number(f"{where}.objects[{number}].share", step["share"], 0.001)
        _number(f"{where}.objects[{number}].seconds", step["seconds"], 1)
    for name in ("qps", "pods", "pull", "ramp"):
        _number(f"{where}.{name}", load[name], 0)
    if not isinstance(load["kube_burner"], dict) or set(load["kube_burner"]) != {"pods", "seconds"}:
        raise PlanError(f"{where}.kube_burner is {load['kube_burner']!r}. Write {{pods: 100, seconds: 120}}.")
    for name, value in load["kube_burner"].items():
        _number(f"{where}.kube_burner.{name}", value, 0)
    return load


def _expected(values):
    reads = min(values["api_reads"], values["api_qps"])
    return {
        "qps": values["api_qps"],
        "reads": reads,
        "writes": round(values["api_qps"] - reads, 1),
        "churn": values["pod_churn"],
        "pods": round(values["nodes"] * values["pods_per_node"]),
    }


def _objects(load, expected, settings):
    """Return the steps of objects; the numbers of the last one count."""
    steps = []
    for number, step in enumerate(load["objects"], 1):
        wanted = max(step["share"] * expected["qps"], settings["apiserver_least_rate"])
        rate = max(1, math.floor(min(wanted, expected["qps"])) if settings["live"] else round(wanted))
        name = f"objects-{number}-{round(step['share'] * 100)}"
        steps.append({"name": name, "kind": "objects", "share": step["share"], "rate": rate, "seconds": step["seconds"], "window": False})
    for step in steps[-1:]:
        step["window"] = True
    return steps


def _ramp(load, expected, settings):
    """Return the steps of a stress run; where so little is expected that a step has too few requests, all of them offer more."""
    if not load["ramp"]:
        return [], []
    base = max(expected["qps"], settings["apiserver_least_rate"], RAMP_RATE)

    def step(share, seconds):
        rate = stress_plan.rate_of(base, share)
        written = round(rate * WRITTEN * seconds * etcd_plan.stored(WRITTEN_BYTES))
        return {"kind": "objects", "rate": rate, "seconds": seconds, "window": True, "bytes": written}

    return stress_plan.ramp(step, load["ramp"], settings, SAMPLES if settings.get("time_scale", 1) == 1 else FEWEST, FEWEST)


def _qps(load, settings):
    if not load["qps"]:
        return []
    bound = settings["capacity"].get("api_qps", QPS_BOUND)
    return [{"name": "qps", "kind": "objects", "share": None, "rate": max(1, round(bound * QPS_FACTOR)), "seconds": load["qps"], "window": True}]


def _kube_burner(load, expected, settings):
    """Return the step of kube-burner: pods, then objects at the rates of the steps, each for as many seconds."""
    one = load["kube_burner"]
    if not one["seconds"]:
        return []
    steps = _ramp(load, expected, settings)[0] if load["ramp"] else _objects(load, expected, settings)
    rates = [step["rate"] for step in steps if step["window"] and step.get("phase") not in (stress_plan.RECOVER, stress_plan.PROBE)]
    pod_rate = _pod_rate(expected, settings)
    pods = _count(one["pods"], pod_rate, settings)
    return [
        {
            "name": "kube-burner",
            "kind": "kube_burner",
            "rates": rates,
            "pods": pods,
            "pod_rate": pod_rate,
            "at_once": pods,
            "each": one["seconds"],
            # Created, read, patched, deleted, one after the other.
            "seconds": round(pods / pod_rate + 4 * one["seconds"] * len(rates)),
            "window": True,
        }
    ]


def _pod_rate(expected, settings):
    """Return pods in a second: what was set, else the expected churn, else one; in a cluster that serves no more than the churn."""
    rate = _number("apiserver_pod_rate", settings["apiserver_pod_rate"], 0) or expected["churn"] or 1
    return min(rate, expected["churn"] or rate) if settings["live"] else rate


def _count(pods, rate, settings):
    """Return how many pods start at this rate in the time that they have."""
    return round(time_scale.shorten(pods / rate, settings.get("time_scale", 1)) * rate)


def _pods(load, expected, settings):
    if not load["pods"]:
        return []
    rate = _pod_rate(expected, settings)
    count = _count(load["pods"], rate, settings)
    at_once = min(count, max(1, round(rate * POD_SECONDS)))
    return [{"name": "pods", "kind": "pods", "count": count, "rate": rate, "at_once": at_once, "seconds": round(count / rate), "window": True}]


def _pulls(load, expected, settings):
    images = settings["apiserver_pull_images"]
    if not load["pull"] or not images:
        return []
    return [{"name": "pull", "kind": "pull", "images": list(images), "rate": _pod_rate(expected, settings), "seconds": 0}]
