# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the apiserver layer is going to do: the load that the cluster is expected to carry, and the steps of a profile. Pure.

Sizing. Declared numbers win; what is not declared follows from the number of nodes (SIG-scalability's load test, clusterloader2):
    pods       = nodes * pods_per_node                      30 pods on a node
    pod_churn  = nodes / 10, at least 2 and at most 20      pods created in a second; 20 is the limit of the SLO's environment
    writes     = nodes / 10 + nodes / 300 + 15 * pod_churn + api_operator_writes
                 a lease every 10 s, a node status every 300 s, and 15 writes in the life of a pod
    reads      = 2 * writes
    api_qps    = writes + reads
"""

from __future__ import annotations

# Declared in certify_capacity: name -> what it is, for the plan.
INPUTS = {
    "nodes": "nodes",
    "pods_per_node": "pods on a node",
    "pod_churn": "pods created in a second",
    "api_operator_writes": "writes a second by operators and controllers of your own",
    "api_reads": "reads a second by clients",
    "api_qps": "requests a second, all together",
}
PODS_PER_NODE = 30
LEASE_SECONDS = 10
STATUS_SECONDS = 300
WRITES_PER_POD = 15
CHURN = (2, 20)
CHURN_PER_NODE = 0.1
READS_PER_WRITE = 2
# The mission's bound for the sustained rate where no api_qps is declared, and how much more is offered to prove it.
QPS_BOUND = 1000
QPS_FACTOR = 1.1
# A pod that has started is deleted while others are made, but never holds its slot for longer than the SLO of its start and as long to go.
POD_SECONDS = 10
MOST = 10**9


class PlanError(Exception):
    """A setting cannot be used; the text names the variable, what was found and what to write."""


def plan(profile, settings):
    """Return {inputs: [{name, value, source, text}], expected: {writes, reads, qps, churn, pods}, steps: [step], seconds, pods, objects, rate}.

    `settings`: nodes (counted, 0 when unknown), capacity (certify_capacity), engines [k6, kube_burner], live, and the role's apiserver_*.
    A step is {name, kind, seconds, ...}: kind objects {rate, share, window}, kube_burner {rates, pods, pod_rate, window}, pods {count, rate,
    at_once, window}, pull {images, rate}, streams {}, density {rate, window}. `window`: the servers' metrics are read before and after, and
    their numbers count. PlanError on a bad setting.
    """
    load, engines = _load(profile, settings), settings["engines"]
    inputs = _inputs(settings)
    expected = _expected({one["name"]: one["value"] for one in inputs})
    if settings["live"]:
        # A cluster that serves is loaded up to what it is declared to carry, and not beyond.
        load = dict(load, qps=0, objects=[step for step in load["objects"] if step["share"] <= 1])
    steps = [*_objects(load, expected, settings), *_qps(load, settings)] if "k6" in engines else []
    steps += _kube_burner(load, expected, settings) if "kube_burner" in engines else []
    steps += [*_pods(load, expected, settings), *_pulls(load, expected, settings)]
    if load["streams"]:
        steps.append({"name": "streams", "kind": "streams", "seconds": 0})
    if settings["apiserver_density_node"]:
        steps.append({"name": "density", "kind": "density", "rate": _pod_rate(expected, settings), "seconds": 0, "window": True})
    return {
        "inputs": inputs,
        "expected": expected,
        "steps": steps,
        "seconds": sum(step["seconds"] for step in steps),
        "rate": max([step["rate"] for step in steps if step["kind"] == "objects"], default=0),
        "pods": max([step["at_once"] for step in steps if "at_once" in step], default=0),
        "objects": settings["apiserver_objects"] * 3,
    }


def _load(profile, settings):
    every = settings["apiserver_load"]
    if not isinstance(every, dict) or not isinstance(every.get(profile), dict):
        raise PlanError(f"apiserver_load is {every!r}. Write a map with an entry for each profile.")
    load = {"objects": [], "qps": 0, "kube_burner": {"pods": 0, "seconds": 0}, "pods": 0, "pull": 0, "streams": False, **every[profile]}
    where = f"apiserver_load.{profile}"
    if not isinstance(load["objects"], list) or not all(isinstance(step, dict) and set(step) == {"share", "seconds"} for step in load["objects"]):
        raise PlanError(f"{where}.objects is {load['objects']!r}. Write a list of steps, such as [{{share: 1.0, seconds: 900}}].")
    for number, step in enumerate(load["objects"]):
        _number(f"{where}.objects[{number}].share", step["share"], 0.001)
        _number(f"{where}.objects[{number}].seconds", step["seconds"], 1)
    for name in ("qps", "pods", "pull"):
        _number(f"{where}.{name}", load[name], 0)
    if not isinstance(load["kube_burner"], dict) or set(load["kube_burner"]) != {"pods", "seconds"}:
        raise PlanError(f"{where}.kube_burner is {load['kube_burner']!r}. Write {{pods: 100, seconds: 120}}.")
    for name, value in load["kube_burner"].items():
        _number(f"{where}.kube_burner.{name}", value, 0)
    return load


def _number(name, value, least):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= MOST:
        raise PlanError(f"{name} is {value!r}. Write a number from {least} to {MOST}.")
    return value


def _inputs(settings):
    """Return every input of the sizing, with where it comes from: declared, counted or the formula that made it."""
    declared, found = settings["capacity"], {}

    def take(name, value, source):
        if name in declared:
            value, source = _number(f"certify_capacity.{name}", declared[name], 0), "declared"
        found[name] = {"name": name, "value": round(value, 1), "source": source, "text": INPUTS[name]}
        return value

    nodes = take("nodes", settings["nodes"], "counted")
    take("pods_per_node", PODS_PER_NODE, "SIG-scalability's load test")
    churn = take("pod_churn", min(CHURN[1], max(CHURN[0], nodes * CHURN_PER_NODE)), f"nodes x {CHURN_PER_NODE}, {CHURN[0]} to {CHURN[1]}")
    operators = take("api_operator_writes", 0, "none declared")
    writes = nodes / LEASE_SECONDS + nodes / STATUS_SECONDS + WRITES_PER_POD * churn + operators
    reads = take("api_reads", READS_PER_WRITE * writes, f"{READS_PER_WRITE} x {writes:.0f} writes/s")
    take("api_qps", writes + reads, "reads and writes")
    return list(found.values())


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
    """Return the steps of objects; the numbers of the last one count, and in stress those of each."""
    steps = []
    for number, step in enumerate(load["objects"], 1):
        rate = max(1, round(max(step["share"] * expected["qps"], settings["apiserver_least_rate"])))
        name = f"objects-{number}-{round(step['share'] * 100)}"
        steps.append({"name": name, "kind": "objects", "share": step["share"], "rate": rate, "seconds": step["seconds"], "window": False})
    for step in steps if any(step["share"] > 1 for step in steps) else steps[-1:]:
        step["window"] = True
    return steps


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
    rates = [step["rate"] for step in _objects(load, expected, settings) if step["window"]]
    pod_rate = _pod_rate(expected, settings)
    return [
        {
            "name": "kube-burner",
            "kind": "kube_burner",
            "rates": rates,
            "pods": round(one["pods"]),
            "pod_rate": pod_rate,
            "at_once": round(one["pods"]),
            "each": one["seconds"],
            # Created, read, patched, deleted, one after the other.
            "seconds": round(one["pods"] / pod_rate + 4 * one["seconds"] * len(rates)),
            "window": True,
        }
    ]


def _pod_rate(expected, settings):
    """Return pods in a second: what was set, else the expected churn, else one."""
    return _number("apiserver_pod_rate", settings["apiserver_pod_rate"], 0) or expected["churn"] or 1


def _pods(load, expected, settings):
    if not load["pods"]:
        return []
    rate = _pod_rate(expected, settings)
    count = round(load["pods"])
    at_once = min(count, max(1, round(rate * POD_SECONDS)))
    return [{"name": "pods", "kind": "pods", "count": count, "rate": rate, "at_once": at_once, "seconds": round(count / rate), "window": True}]


def _pulls(load, expected, settings):
    images = settings["apiserver_pull_images"]
    if not load["pull"] or not images:
        return []
    return [{"name": "pull", "kind": "pull", "images": list(images), "rate": _pod_rate(expected, settings), "seconds": 0}]
