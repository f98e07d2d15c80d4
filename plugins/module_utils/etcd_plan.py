# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the etcd layer is going to do: the load steps of a profile, the keys they write and the bytes they add."""

from __future__ import annotations

import math

from . import bounds, sizing, stress_plan, time_scale
from .sizing import PlanError
from .sizing import number as _number

CHECK_PERF_SECONDS = 60
# etcdctl check perf: writes per second of each size, with 256 bytes behind the prefix and 1 KiB values (etcdctl/ctlv3/command/check.go).
CHECK_PERF_RATE = {"s": 150, "m": 1000, "l": 8000, "xl": 15000}
# Of our own, so that what an ended check perf leaves can be told and deleted; it deletes its keys itself otherwise.
CHECK_PERF_PREFIX = "/kubeproof-check-perf/"
CHECK_PERF_PUT = len(CHECK_PERF_PREFIX) + 256 + 1024
# In bbolt's pages a put is key and value with element header, revision and protobuf around them. etcd fills nine tenths of a page
# (FillPercent), and a page holds two puts at least; branches and copies add up to 7 % (measured with 3.6.8: 1,280 bytes became 2,085, 89
# became 158, 2,256 became 4,388).
PAGE = 4096
PAGE_HEADER = 16
PAGE_FILL = 0.9
ENTRY = 48
SPARE = 1.07
WATCH_RATE = 100
WATCH_KEY_SIZE = 57
WATCH_VALUE_SIZE = 32
# The least observations behind a P99 that a step of the ramp may have: what the check asks.
SAMPLES = 1000
CLOSED = "a closed loop: {} clients at most wait for their answers"
# benchmark's clients wait for an answer before they ask again. So many that they would only limit the rate when answers take longer than this, the critical
# bound of etcd_write_latency_p99, on the average: then it is their latency that breaks a step.
CRITICAL = 0.050
# etcd refuses what is more than 5,000 entries ahead of what it has applied (server/etcdserver/v3_server.go): no more clients at once than that, with room for
# others.
MOST_CLIENTS = 4000
# What certify_time_scale shortens. check perf always takes its minute.
DURATIONS = ("write", "write_all", "read", "read_serializable", "watch")
WATCHERS = {"streams": 10, "watchers-per-stream": 1}
# benchmark's key 24 is the byte 0x30, then zeros, or in later passes a tail and zeros: one or two keys of ours, and none of
# Kubernetes', from "0" up to "1".
ONE_KEY = ("0", "1")
LEAST_KEYS = 25


def _duration(name, value, may_be_steps):
    """PlanError unless the value is seconds, or steps of which the last one counts."""
    if not may_be_steps or not isinstance(value, list):
        _number(name, value, 0)
        return
    if not value or not all(isinstance(step, dict) and set(step) == {"share", "seconds"} for step in value):
        raise PlanError(f"{name} is {value!r}. Write seconds, or a list of steps, such as [{{share: 0.85, seconds: 300}}, {{share: 1.0, seconds: 900}}].")
    for number, step in enumerate(value):
        _number(f"{name}[{number}].share", step["share"], 0.001)
        _number(f"{name}[{number}].seconds", step["seconds"], 1)


def _map(settings, name):
    if not isinstance(settings.get(name), dict):
        raise PlanError(f"{name} is {settings.get(name)!r}. Write a map with an entry for each profile.")
    return settings[name]


def stored(size):
    """Return the bytes of the database's file that a put of `size` bytes, key and value, takes."""
    entry = size + ENTRY
    count = max(2, int((PAGE * PAGE_FILL - PAGE_HEADER) // entry))
    return math.ceil(math.ceil((PAGE_HEADER + count * entry) / PAGE) * PAGE / count * SPARE)


def _clients(rate, settings):
    """Return benchmark's option for as many clients as this rate needs: those that were set, or more."""
    return f"--clients={max(settings['etcd_clients'], min(MOST_CLIENTS, math.ceil(rate * settings['slowest'])))}"


def _slowest(settings):
    """Return the seconds within which a write must be answered: the check's critical bound, as it was changed for this run."""
    try:
        found = bounds.parse(str(settings.get("latency") or "")).literal
    except ValueError:
        # What is no bound is refused by those who read the thresholds.
        return CRITICAL
    return found if isinstance(found, (int, float)) and not isinstance(found, bool) and found > 0 else CRITICAL


def _whole_rate(rate, settings):
    """Return a rate that benchmark can offer, which takes 0 for no limit; to a cluster that serves never more."""
    return max(1, math.floor(min(rate, settings["most"])) if "most" in settings else round(rate))


def _put(name, rate, seconds, settings, leader=False):
    rate = _whole_rate(rate, settings)
    total = max(1, round(rate * seconds))
    size = {"key_size": settings["etcd_key_size"], "key_space_size": settings["etcd_key_space"], "total": total}
    return {
        "name": name,
        "tool": "benchmark",
        "seconds": seconds,
        "rate": rate,
        "leader": leader,
        "puts": [size],
        "bytes": total * stored(settings["etcd_key_size"] + settings["etcd_value_size"]),
        "arguments": [
            "put",
            "--sequential-keys",
            f"--total={total}",
            f"--rate={rate}",
            f"--key-size={settings['etcd_key_size']}",
            f"--val-size={settings['etcd_value_size']}",
            f"--key-space-size={settings['etcd_key_space']}",
            _clients(rate, settings),
        ],
    }


def _range(name, rate, seconds, consistency, settings):
    total = max(1, round(rate * seconds))
    return {
        "name": name,
        "tool": "benchmark",
        "seconds": seconds,
        "rate": rate,
        "arguments": ["range", *ONE_KEY, f"--consistency={consistency}", f"--total={total}", f"--rate={rate}", _clients(rate, settings)],
    }


def _watch(rate, seconds, settings):
    # The tool sends the puts of the first second at once.
    puts = round(rate * (seconds + 1))
    return {
        "name": "watch",
        "tool": "benchmark",
        "seconds": seconds,
        "rate": rate,
        "watch": {"key_size": WATCH_KEY_SIZE, "puts": puts},
        "bytes": puts * stored(WATCH_KEY_SIZE + WATCH_VALUE_SIZE),
        "arguments": [
            "watch-latency",
            f"--put-total={puts}",
            f"--put-rate={rate}",
            f"--key-size={WATCH_KEY_SIZE}",
            f"--val-size={WATCH_VALUE_SIZE}",
            *(f"--{name}={value}" for name, value in WATCHERS.items()),
            _clients(rate, settings),
        ],
    }


def _check_perf(size):
    if not isinstance(size, str) or size not in CHECK_PERF_RATE:
        raise PlanError(f"etcd_load: check_perf is {size!r}. Write one of {', '.join(CHECK_PERF_RATE)}, or leave it empty.")
    return {
        "name": "check_perf",
        "tool": "etcdctl",
        "seconds": CHECK_PERF_SECONDS,
        "rate": CHECK_PERF_RATE[size],
        "bytes": CHECK_PERF_SECONDS * CHECK_PERF_RATE[size] * stored(CHECK_PERF_PUT),
        "arguments": ["check", "perf", f"--load={size}", f"--prefix={CHECK_PERF_PREFIX}"],
    }


def _left_out(settings, load, declared, steps):
    """Return {fact: why it is not measured}: what a cluster that serves is spared, and a rate that is proven only by offering more than it."""
    found = {}
    write = next((step["rate"] for step in steps if step["name"] == "write"), None)
    if write is not None and write <= declared:
        live = "certify_live: " if settings.get("live") else ""
        found["write.rate"] = f"{live}{write}/s are offered where {declared:g}/s are expected, and only who offers more can prove a rate"
    if settings.get("live") and load["fsync"]:
        found["fio"] = "certify_live: no fio beside the data of a cluster that serves"
    if _is_beyond(load["check_perf"], settings):
        rate = CHECK_PERF_RATE[load["check_perf"]]
        found["check_perf"] = f"certify_live: etcdctl check perf writes {rate}/s, and no more than the {declared:g}/s that are expected is offered"
    return found


def _is_beyond(size, settings):
    return bool(size) and "most" in settings and _check_perf(size)["rate"] > settings["most"]


def _expected(settings):
    """Return what sizes the load; of a cluster that serves, and whose nodes are known, no default adds to what follows from them."""
    known = settings["nodes"] or settings["capacity"].get("nodes")
    return sizing.etcd(settings["capacity"], settings["nodes"], 1 if settings.get("live") and known else settings["etcd_default_rate"])


def _writes(profile, load, rate, settings):
    """Return the put steps through the leader: those that warm up and the one that counts."""
    if not load["write"] or profile == "stress":
        return []
    if isinstance(load["write"], list):
        *before, last = load["write"]
        steps = [
            _put(f"write_{number}_{round(one['share'] * 100)}", rate * one["share"], one["seconds"], settings, True) for number, one in enumerate(before, 1)
        ]
        return [*steps, _put("write", rate * last["share"], last["seconds"], settings, leader=True)]
    return [_put("write", rate, load["write"], settings, leader=True)]


def _ramp(profile, load, rate, settings):
    """Return the steps of a stress run, and those that bisection may take."""
    if not load["write"] or profile != "stress":
        return [], []

    def step(share, seconds):
        return _put("", stress_plan.rate_of(rate, share), seconds, settings, leader=True)

    return stress_plan.ramp(step, load["write"], settings, SAMPLES)


def plan(profile, settings):
    """Return {steps, seconds, bytes, growth, puts, prefix, watch, rate, declared, inputs, fsync, missing}: what a run of `profile` does to one etcd cluster.

    With a ramp there are {spare, stress} (stress_plan).

    `settings` holds the role's variables by name, `capacity` (certify_capacity), `nodes` (counted, 0 when unknown), `live`, and `latency` (the
    critical bound of etcd_write_latency_p99 where it was changed). `declared` is the rate that the last of `inputs`, which the plan shows, says the
    cluster has to carry: with `live` nothing is offered above it. `missing` {fact: why it is not measured}. `steps` are
    {name, tool, seconds, arguments, rate, timeout, bytes?, puts?, watch?, leader?}; `bytes` is everything written, `growth` what can be in
    the file at once, since the API server compacts (`etcd_compaction_window`). PlanError names a variable that cannot be used.
    """
    load = _map(settings, "etcd_load").get(profile)
    if not isinstance(load, dict):
        raise PlanError(f"etcd_load has no entry {profile!r}. Add one with the seconds of each step.")
    wanted = {"write", "write_all", "read", "read_serializable", "watch", "check_perf", "fsync"}
    if set(load) != wanted:
        raise PlanError(f"etcd_load.{profile} has the keys {sorted(map(str, load))}. Write exactly {sorted(wanted)}.")
    for name in DURATIONS:
        _duration(f"etcd_load.{profile}.{name}", load[name], name == "write" and profile != "stress")
    _number(f"etcd_load.{profile}.fsync", load["fsync"], 0, whole=True)
    for name, least in (("etcd_key_size", 1), ("etcd_value_size", 1), ("etcd_key_space", LEAST_KEYS), ("etcd_clients", 1)):
        _number(name, settings.get(name), least, whole=True)
    for name, least in (("etcd_default_rate", 1), ("etcd_compaction_window", 1), ("etcd_read_factor", 0)):
        _number(name, settings.get(name), least)
    if settings["etcd_key_size"] < 10:
        raise PlanError(f"etcd_key_size is {settings['etcd_key_size']}. benchmark writes a number of up to 10 bytes there: write 10 or more.")
    load = time_scale.shortened(load, settings.get("time_scale", 1), DURATIONS)
    inputs = _expected(settings)
    declared = inputs[-1]["value"]
    settings = {**settings, "slowest": _slowest(settings), **({"most": declared} if settings.get("live") else {})}
    factor = _number(f"etcd_rate_factor.{profile}", _map(settings, "etcd_rate_factor").get(profile), 0)
    rate = _whole_rate(declared * factor, settings)
    reads = _whole_rate(rate * settings["etcd_read_factor"], settings)
    steps = _writes(profile, load, rate, settings)
    if load["write_all"]:
        steps.append(_put("write_all", rate, load["write_all"], settings))
    if load["read"]:
        steps.append(_range("read", reads, load["read"], "l", settings))
    if load["read_serializable"]:
        steps.append(_range("read_serializable", reads, load["read_serializable"], "s", settings))
    if load["watch"]:
        steps.append(_watch(_whole_rate(WATCH_RATE, settings), load["watch"], settings))
    if load["check_perf"] and not _is_beyond(load["check_perf"], settings):
        steps.append(_check_perf(load["check_perf"]))
    ramp, spare = _ramp(profile, load, declared * factor, settings)
    steps += ramp
    grace = _number("etcd_grace", settings.get("etcd_grace"), 1)
    # Of the steps of bisection only so many are taken.
    written = [step for step in steps + stress_plan.costliest(spare) if step.get("bytes")]
    per_second = max([step["bytes"] / step["seconds"] for step in written], default=0)
    total = sum(step["bytes"] for step in written)
    for step in steps + spare:
        # It may be slow, but it may not hang.
        step["timeout"] = step["seconds"] * 2 + grace
    return {
        "steps": steps,
        "seconds": sum(step["seconds"] for step in steps) + stress_plan.refining(steps, spare),
        "bytes": total,
        "growth": round(min(total, per_second * settings["etcd_compaction_window"])),
        "puts": _distinct(put for step in steps + spare for put in step.get("puts", ())),
        "watch": next((step["watch"] for step in steps if "watch" in step), None),
        "rate": rate,
        "declared": declared,
        "inputs": inputs,
        "prefix": CHECK_PERF_PREFIX,
        "fsync": load["fsync"],
        "missing": _left_out(settings, load, declared, steps),
        **({"spare": spare, "stress": stress_plan.about(settings, declared, closed=CLOSED.format(_most_clients(steps + spare)))} if ramp else {}),
    }


def _most_clients(steps):
    return max(int(one.partition("=")[2]) for step in steps for one in step["arguments"] if one.startswith("--clients="))


def _distinct(puts):
    """Return each kind of put run once, with its largest total: its keys include those of the smaller ones."""
    largest = {}
    for put in puts:
        kind = (put["key_size"], put["key_space_size"])
        if kind not in largest or put["total"] > largest[kind]["total"]:
            largest[kind] = put
    return list(largest.values())
