# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the network layer is going to do: the tests of each pair of nodes, and the steps of a profile. Pure.

The catalogue's floors are 5 samples of a throughput, and 5 repeats and 10,000 round trips of a latency. Its 5 samples of 30 s for every test
of every pair would be hours for ten nodes, so a sample of the load profile is shorter; the seconds are settings. With more pairs than are done
within the layer's hour a sample is shorter still, never fewer of them, and never shorter than what is judged by it needs.
"""

from __future__ import annotations

import math

from . import network_netperf, network_runs, stress_plan, time_scale
from .network_layout import BETWEEN_ZONES, NODES
from .network_pairs import SENT
from .sizing import PlanError
from .sizing import number as _number

# Declared in certify_capacity: name -> what it is, for the plan.
INPUTS = {
    "interzone_rate": "bit/s that one node needs to one node of another zone",
    "network_rate": "bit/s that pods on two nodes are expected to exchange",
}
# The rate that a ramp begins with where none is declared: what the mission asks of every network at least, the critical bound of the throughput.
LEAST_RATE = 10**9
# Streams of the ramp, together at its rate, and the seconds that a pair needs for round trips beside them.
RAMP_STREAMS = 8
LEAST_EACH = 5
CLOSED = f"a closed loop: {RAMP_STREAMS} TCP streams that send no faster than it is acknowledged"
ENGINES = ("auto", "builtin", "k8s_netperf")
# What a run needs beside the seconds of its tool: an exec, a handshake, a farewell. On the lab it is 0.3.
OVERHEAD = 0.5
# sockperf takes so much longer than it is told, however long that is: it sends before it counts, and is slow to end.
SOCKPERF = 2.3
# Until a load is there, a round trip beside it waits.
BESIDE = 1
# New connections in a second, one after the other; seconds of a Service that gets an endpoint, and until k8s-netperf's pods run.
CONNECTIONS = 1000
PROBE_SECONDS = 2
K8S_NETPERF_START = 60
# Names and most of the numbers in an entry of network_load.
NUMBERS = {
    "tcp": 600, "rtt": 600, "udp": 600, "loaded": 600, "connections": 100_000, "samples": 100, "probes": 1000, "ramp": 86400, "within": 86400
}  # fmt: skip
# What certify_time_scale shortens.
DURATIONS = ("tcp", "rtt", "udp", "loaded", "ramp")
STREAMS = ("streams", "reverse", "host")
# What many pairs shorten, and to how many seconds at least. In 2 s there are 400 round trips of 5 ms, the critical bound, in each repeat, and in 5
# repeats 10,000 of 1 ms, the target; a stream that takes a tenth of a second until it is at its rate is there for 95 % of them. A loss is proven by
# so many datagrams (network_udp_loss), which are as large as a jumbo frame holds, and of which a part may not be sent (network_pairs.SENT).
LEAST_SECONDS = 2
LEAST_DATAGRAMS = 6000
LARGEST_DATAGRAM = 8 * 8948
# The shares of its seconds that are tried, the longest first.
SHARES = [share / 20 for share in range(20, -1, -1)]
# How many tests of a step are tried once more, should each take until its tool is ended: enough for what failed by chance. What never works, such as
# what a firewall drops, is not tried again for every pair.
MOST_AGAIN = 3
# The test of each kind that decides how long that is.
LONGEST = {"throughput": "tcp", "latency": "rtt", "loss": "udp", "loaded": "loaded"}
STEPS = (
    ("pairs", "pairs", ("throughput", "latency", "loss")),
    ("loaded", "pairs", ("loaded",)),
    ("programming", "programming", ("programming",)),
)
# Where k8s-netperf decides it measures one pair of nodes, so ours still asks every pair whether it works: each round trip once, for a second.
WORKS = {"tcp": 0, "loaded": 0, "rtt": 1, "samples": 1}
# The limit of iperf3.
MOST_STREAMS = 128
LARGEST = 10**15


def plan(profile, settings):
    """Return {inputs, load, shortened: {test: seconds that were asked}, engines: [builtin, k8s_netperf], netperf: {tests, seconds}, live, udp_rate,
    steps: [{name, kind, tests, seconds, again?}], again, seconds, pairs, nodes, sampled: of how many nodes they are a sample or 0}.

    `settings`: nodes (counted, 0 when unknown), pairs (of the layout, 0 when unknown), capacity (certify_capacity), engine, found (whether k8s-netperf
    was named), live, and the role's network_*. Kinds of steps: pairs (of the tests throughput, latency, loss; loaded apart, since it needs what they
    measured), programming, k8s_netperf. `again` is how many seconds the second tries of what failed take at most, which `seconds` has in it.
    PlanError on a bad setting.
    """
    asked = _load(profile, settings)
    if settings["live"]:
        # A throughput takes all that the network carries, which others need.
        asked = dict(asked, tcp=0, loaded=0)
    engines = _engines(settings)
    known = _number("nodes", settings["nodes"], 0, LARGEST)
    nodes = min(known, _number("network_most_nodes", settings["network_most_nodes"], 2, 100))
    # Each with the next one, until the nodes were asked: zones may have more.
    pairs = _number("pairs", settings.get("pairs", 0), 0, LARGEST) or {0: 0, 1: 0, 2: 1}.get(nodes, nodes)
    udp_rate = _number("network_udp_rate", settings["network_udp_rate"], 1000, 10**12)
    own = asked if "builtin" in engines else dict(asked, **WORKS)
    fitted = _fitted(own, pairs, udp_rate, _netperf_whole(asked) if "k8s_netperf" in engines else 0)
    asked, own, load = (time_scale.shortened(one, settings.get("time_scale", 1), DURATIONS) for one in (asked, own, fitted))
    steps = _steps(load, pairs)
    if "k8s_netperf" in engines:
        steps.append({"name": "k8s-netperf", "kind": "k8s_netperf", "tests": [], "seconds": _netperf_whole(asked)})
    ramp, spare = _ramp(load, pairs, settings) if nodes != 1 else ([], [])
    steps = [step for step in steps + ramp if step["seconds"]]
    again = sum(step.get("again", 0) for step in steps)
    if not steps:
        raise PlanError(f"network_load.{profile} asks for nothing. Write seconds, such as {{tcp: 1, rtt: 1, udp: 1}}.")
    return {
        "inputs": _inputs(settings["capacity"]),
        "load": load,
        "shortened": {name: own[name] for name in DURATIONS if load[name] < own[name]},
        "engines": engines,
        "udp_rate": udp_rate,
        "steps": steps,
        "again": again,
        "seconds": sum(step["seconds"] for step in steps) + again + stress_plan.refining(steps, spare),
        "netperf": {"tests": network_netperf.tests(asked), "seconds": network_netperf.seconds(asked)},
        "live": bool(settings["live"]),
        "pairs": pairs,
        "nodes": nodes,
        "sampled": known if nodes < known else 0,
        **({"spare": spare, "stress": stress_plan.about(settings, _expected(settings), "bit/s", CLOSED)} if ramp else {}),
    }


def _fitted(load, pairs, udp_rate, beside):
    """Return the load with tests as short as so many pairs ask for, to be done within load.within seconds (0: however long) with what is `beside`.

    Second tries are not in these seconds: nothing is shorter for what may fail.
    """
    least = dict.fromkeys(("tcp", "rtt", "loaded"), LEAST_SECONDS)
    least["udp"] = math.ceil(LEAST_DATAGRAMS * LARGEST_DATAGRAM / (SENT * udp_rate))
    shorter = load
    for share in SHARES if load["within"] else ():
        shorter = {**load, **{name: max(round(share * load[name]), min(load[name], seconds)) for name, seconds in least.items()}}
        if sum(_seconds(shorter, pairs).values()) + beside <= load["within"]:
            break
    return shorter


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
        # Its round trips are two seconds shorter (network_runs.RAMP).
        whole = round(max(1, pairs) * (each - 2 + BESIDE + SOCKPERF + OVERHEAD))
        return {"kind": "pairs", "tests": ["ramp"], "rates": rates, "rate": rates[NODES], "streams": RAMP_STREAMS, "each": each, "seconds": whole}

    return stress_plan.ramp(step, load["ramp"], settings, probed=False)


def _steps(load, pairs):
    """Return every step with those of its tests that are asked for."""
    seconds, found = _seconds(load, pairs), []
    for name, kind, tests in STEPS:
        wanted = [test for test in tests if seconds[test]]
        found.append({"name": name, "kind": kind, "tests": wanted, "seconds": round(sum(seconds[test] for test in wanted))})
        if wanted and kind == "pairs":
            found[-1]["again"] = MOST_AGAIN * max(network_runs.limit({"test": LONGEST[test]}, load) for test in wanted)
    return found


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
    round_trips = (every * samples + 2 * pairs) * (load["rtt"] + SOCKPERF + OVERHEAD) if load["rtt"] else 0
    connections = pairs * samples * (load["connections"] / CONNECTIONS + OVERHEAD) if load["connections"] else 0
    return {
        "throughput": (runs * every + host * pairs) * samples * (load["tcp"] + OVERHEAD) if load["tcp"] else 0,
        "latency": round_trips + connections,
        "loss": every * (load["udp"] + 1 + 2 * OVERHEAD) if load["udp"] else 0,
        "loaded": pairs * (load["loaded"] + BESIDE + SOCKPERF + OVERHEAD) if load["loaded"] else 0,
        "programming": load["probes"] * PROBE_SECONDS,
    }


def _netperf_whole(load):
    """Return about how long k8s-netperf needs; it starts pods first."""
    samples = sum(test["samples"] for test in network_netperf.tests(load))
    return round(K8S_NETPERF_START + samples * (network_netperf.seconds(load) + 2))
