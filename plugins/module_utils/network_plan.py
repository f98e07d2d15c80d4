# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the network layer is going to do: the tests of each pair of nodes, and the steps of a profile. Pure.

The catalogue's floors are 5 samples of a throughput, and 5 repeats and 10,000 round trips of a latency. Its 5 samples of 30 s for every test
of every pair would be hours for ten nodes, so a sample of the load profile is shorter; the seconds are settings.
"""

from __future__ import annotations

from . import stress_plan, time_scale
from .network_layout import BETWEEN_ZONES, NODES
from .sizing import PlanError
from .sizing import number as _number

# Declared in certify_capacity: name -> what it is, for the plan.
INPUTS = {
    "interzone_rate": "bit/s that the workload needs between two zones",
    "network_rate": "bit/s that pods on two nodes are expected to exchange",
}
# The rate that a ramp begins with where none is declared: what the mission asks of every network at least, the critical bound of the throughput.
LEAST_RATE = 10**9
# Streams of the ramp, together at its rate, and the seconds that a pair needs for round trips beside them.
RAMP_STREAMS = 8
LEAST_EACH = 5
CLOSED = f"a closed loop: {RAMP_STREAMS} TCP streams that send no faster than it is acknowledged"
ENGINES = ("auto", "builtin", "k8s_netperf")
# What a run needs beside the seconds of its tool: an exec, a handshake, a farewell.
OVERHEAD = 0.7
# sockperf sends for so long before it counts.
WARMUP = 0.5
# New connections in a second, one after the other; seconds of a Service that gets an endpoint, and until k8s-netperf's pods run.
CONNECTIONS = 1000
PROBE_SECONDS = 2
K8S_NETPERF_START = 60
# Names and most of the numbers in an entry of network_load.
NUMBERS = {"tcp": 600, "rtt": 600, "udp": 600, "loaded": 600, "connections": 100_000, "samples": 100, "probes": 1000, "ramp": 86400}
# What certify_time_scale shortens.
DURATIONS = ("tcp", "rtt", "udp", "loaded", "ramp")
STREAMS = ("streams", "reverse", "host")
STEPS = (
    ("pairs", "pairs", ("throughput", "latency", "loss")),
    ("loaded", "pairs", ("loaded",)),
    ("programming", "programming", ("programming",)),
)
# The limit of iperf3.
MOST_STREAMS = 128
LARGEST = 10**15


def plan(profile, settings):
    """Return {inputs, load, engines: [builtin, k8s_netperf], netperf: {tests, seconds}, live, udp_rate, steps: [{name, kind, tests,
    seconds}], seconds, pairs}.

    `settings`: nodes (counted, 0 when unknown), capacity (certify_capacity), engine, found (whether k8s-netperf was named), live, and the role's
    network_*. Kinds of steps: pairs (of the tests throughput, latency, loss; loaded apart, since it needs what they measured), programming,
    k8s_netperf. PlanError on a bad setting.
    """
    load = time_scale.shortened(_load(profile, settings), settings.get("time_scale", 1), DURATIONS)
    if settings["live"]:
        # A throughput takes all that the network carries, which others need.
        load = dict(load, tcp=0, loaded=0)
    engines = _engines(settings)
    nodes = min(_number("nodes", settings["nodes"], 0, LARGEST), _number("network_most_nodes", settings["network_most_nodes"], 2, 100))
    pairs = {0: 0, 1: 0, 2: 1}.get(nodes, nodes)
    udp_rate = _number("network_udp_rate", settings["network_udp_rate"], 1000, 10**12)
    seconds = _seconds(load, pairs)
    if "builtin" not in engines:
        seconds.update(throughput=0, latency=0, loaded=0)
    steps = [_step(name, kind, tests, seconds) for name, kind, tests in STEPS]
    if "k8s_netperf" in engines:
        steps.append({"name": "k8s-netperf", "kind": "k8s_netperf", "tests": [], "seconds": _netperf_whole(load)})
    ramp, spare = _ramp(load, pairs, settings) if "builtin" in engines and nodes != 1 else ([], [])
    steps = [step for step in steps + ramp if step["seconds"]]
    if not steps:
        raise PlanError(f"network_load.{profile} asks for nothing. Write seconds, such as {{tcp: 1, rtt: 1, udp: 1}}.")
    return {
        "inputs": _inputs(settings["capacity"]),
        "load": load,
        "engines": engines,
        "udp_rate": udp_rate,
        "steps": steps,
        "seconds": sum(step["seconds"] for step in steps),
        "netperf": {"tests": netperf_tests(load), "seconds": netperf_seconds(load)},
        "live": bool(settings["live"]),
        "pairs": pairs,
        **({"spare": spare, "stress": stress_plan.about(settings, _expected(settings), "bit/s", CLOSED)} if ramp else {}),
    }


def _expected(settings):
    return _number("certify_capacity.network_rate", settings["capacity"].get("network_rate", LEAST_RATE), 1, LARGEST)


def _ramp(load, pairs, settings):
    """Return the steps of a stress run: each pair of nodes one after the other, pairs of two zones with what is declared for these."""
    if not load["ramp"]:
        return [], []
    between = settings["capacity"].get("interzone_rate", 0)

    def step(share, seconds):
        rates = {NODES: share * _expected(settings), **({BETWEEN_ZONES: share * between} if between else {})}
        each = max(LEAST_EACH, round(seconds / max(1, pairs)))
        whole = round(max(1, pairs) * (each + 2 * OVERHEAD))
        return {"kind": "pairs", "tests": ["ramp"], "rates": rates, "rate": rates[NODES], "streams": RAMP_STREAMS, "each": each, "seconds": whole}

    return stress_plan.ramp(step, load["ramp"], settings, probed=False)


def _step(name, kind, tests, seconds):
    """Return a step with those of its tests that are asked for."""
    wanted = [test for test in tests if seconds[test]]
    return {"name": name, "kind": kind, "tests": wanted, "seconds": round(sum(seconds[test] for test in wanted))}


def _load(profile, settings):
    every = settings["network_load"]
    if not isinstance(every, dict) or not isinstance(every.get(profile), dict):
        raise PlanError(f"network_load is {every!r}. Write a map with an entry for each profile.")
    load, where = {**dict.fromkeys(NUMBERS, 0), "samples": 1, **{name: [] for name in STREAMS}, **every[profile]}, f"network_load.{profile}"
    unknown = [name for name in load if name not in NUMBERS and name not in STREAMS]
    if unknown:
        raise PlanError(f"{where} has {unknown[0]!r}. Write some of {', '.join([*NUMBERS, *STREAMS])}.")
    for name, most in NUMBERS.items():
        # Tools take whole seconds.
        if isinstance(load[name], float):
            raise PlanError(f"{where}.{name} is {load[name]!r}. Write a whole number.")
        _number(f"{where}.{name}", load[name], 1 if name == "samples" else 0, most)
    for name in STREAMS:
        _streams(f"{where}.{name}", load[name])
    if load["tcp"] and not load["streams"]:
        raise PlanError(f"{where}.streams is empty. Write numbers of streams, such as [1, 8].")
    for name in ("reverse", "host"):
        extra = [one for one in load[name] if one not in load["streams"]]
        if extra:
            raise PlanError(f"{where}.{name} has {extra[0]}, which {where}.streams has not. Write only numbers of streams that are there.")
    if load["loaded"] and not load["tcp"]:
        raise PlanError(f"{where}.loaded needs {where}.tcp, half of which is the load. Write both or neither.")
    return load


def _streams(name, value):
    good = isinstance(value, list) and all(isinstance(one, int) and not isinstance(one, bool) and 1 <= one <= MOST_STREAMS for one in value)
    if not good or len(set(value)) < len(value):
        raise PlanError(f"{name} is {value!r}. Write a list of numbers of streams from 1 to {MOST_STREAMS}, each once, such as [1, 8].")


def _engines(settings):
    engine = settings["engine"]
    if engine not in ENGINES:
        raise PlanError(f"certify_network_engine is {engine!r}. Write one of {', '.join(ENGINES)}.")
    if engine == "auto":
        return ["builtin", *(["k8s_netperf"] if settings["found"] else [])]
    return [engine]


def _inputs(declared):
    """Return what is declared, or that it is not: what goes between zones does not follow from the number of nodes."""
    found = []
    for name, text in INPUTS.items():
        value = _number(f"certify_capacity.{name}", declared[name], 1, LARGEST) if name in declared else None
        found.append({"name": name, "value": value, "source": "not declared" if value is None else "declared", "text": text})
    return found


def _seconds(load, pairs):
    """Return {test: about how many seconds}."""
    samples, every = load["samples"], pairs + 1
    runs = len(load["streams"]) + len(load["reverse"])
    host = len(load["host"]) + len([one for one in load["host"] if one in load["reverse"]])
    round_trips = (every + 2 * pairs) * samples * (load["rtt"] + WARMUP + OVERHEAD) if load["rtt"] else 0
    connections = pairs * samples * (load["connections"] / CONNECTIONS + OVERHEAD) if load["connections"] else 0
    return {
        "throughput": (runs * every + host * pairs) * samples * (load["tcp"] + OVERHEAD) if load["tcp"] else 0,
        "latency": round_trips + connections,
        "loss": every * (load["udp"] + 1 + 2 * OVERHEAD) if load["udp"] else 0,
        "loaded": pairs * (load["loaded"] + WARMUP + OVERHEAD) if load["loaded"] else 0,
        "programming": load["probes"] * PROBE_SECONDS,
    }


def _netperf_whole(load):
    """Return about how long k8s-netperf needs; it starts pods first."""
    return round(K8S_NETPERF_START + len(netperf_tests(load)) * load["samples"] * (netperf_seconds(load) + 2))


def netperf_tests(load):
    """Return the tests of k8s-netperf's configuration: [{name, profile, parallelism, service}]."""
    streams = load["streams"] if load["tcp"] else []
    tests = [("TCP_STREAM", number, False) for number in streams]
    tests += [("TCP_RR", 1, False), ("TCP_RR", 1, True), ("TCP_CRR", 1, True)]
    return [{"name": f"Test{place}", "profile": profile, "parallelism": number, "service": service} for place, (profile, number, service) in enumerate(tests)]


def netperf_seconds(load):
    """Return the seconds of one of its samples."""
    return max(1, load["tcp"], load["rtt"])
