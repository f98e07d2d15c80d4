# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of the network layer gathers when all is well, for tests of its facts."""

from __future__ import annotations

import pathlib

import yaml

from ansible_collections.kubeproof.certify.plugins.module_utils import checks, network_runs
from ansible_collections.kubeproof.certify.plugins.module_utils.network_layout import layout
from ansible_collections.kubeproof.certify.plugins.module_utils.network_plan import plan
from ansible_collections.kubeproof.certify.tests.unit.plugins import stress_fake

ROLE = pathlib.Path(__file__).parents[3] / "roles/network/defaults/main"
DEFAULTS = yaml.safe_load((ROLE / "settings.yml").read_text(encoding="utf-8"))
CHECKS = yaml.safe_load((ROLE / "checks.yml").read_text(encoding="utf-8"))["network_checks"]
NODES = "a1 -> a2 (nodes)"
ZONES = "a2 -> b1 (zones)"
SERVICE = "a1 -> a2 (service)"
REFUSED = {"exit_code": 1, "seconds": 3.0, "error": "iperf3 ended with 1: unable to connect"}
TIMED_OUT = {"exit_code": 124, "seconds": 9.0, "error": "timeout ended with 124"}
# Of packets of 1450 bytes with IPv4.
DATAGRAM = 1422
CUT = {"seconds": 3.0, "error": "the pod net-pod-1 was lost"}


def place(name, zone, trouble=""):
    return {"name": name, "zone": zone, "aside": "", "trouble": trouble}


def facts_of(test, rate):
    """Return the parser's facts of a good run."""
    if test["test"] == "ramp":
        rtt = {"p50": 2e-05, "p99": 1e-03, "samples": 50_000}
        return {"iperf3": {"received": {"bytes": 1.5e9, "rate": rate}}, "sockperf": {"samples": 50_000, "rtt": rtt}}
    if test["test"] in ("rtt", "loaded"):
        return {"samples": 50_000, "lost": 0, "rtt": {"p50": 2e-05, "p99": 1e-04 * (test["repeat"] + 1), "samples": 50_000 - test["repeat"]}}
    if test["test"] == "connect":
        return {"count": 2000, "good": 2000, "failed": 0, "latency": {"p50": 1e-04, "p99": 5e-04, "samples": 2000}}
    facts = {"sent": {"bytes": 1.5e9, "rate": rate}, "received": {"bytes": 1.5e9, "rate": rate}, "mss": 1500, "retransmits": 10}
    if test["test"] != "tcp":
        facts.update(udp={"packets": 80_000, "lost": 0, "loss": 0.0, "jitter": 1e-06, "offered_rate": 100e6, "datagram": DATAGRAM}, retransmits=None, mss=None)
    return facts


def netperf_runs(asked):
    """Return the parser's runs of k8s-netperf, which prints a document for each test of its configuration."""
    numbers = {
        ("TCP_STREAM", False): {"throughput": 8e9, "latency_p99": None, "retransmits": 3.0},
        ("TCP_RR", False): {"rate": 20e3, "latency_p99": 8e-05, "retransmits": None},
        ("TCP_RR", True): {"rate": 18e3, "latency_p99": 9e-05, "retransmits": None},
        ("TCP_CRR", True): {"rate": 5e3, "latency_p99": 4e-04, "retransmits": None},
    }
    every = {"client": {"node": "a1"}, "server": {"node": "a2"}, "driver": "netperf", "same_node": False, "host_network": False, "loss": None}
    return [{**test, **numbers[test["profile"], test["service"]], **every, "seconds": asked["seconds"]} for test in asked["tests"]]


def measured(profile="load", nodes=None, engine="auto", capacity=None, most=20, names=(), **more):
    """Return what a run on two nodes of one zone and one of another gathers when all is well."""
    found = layout(nodes or [place("a1", "a"), place("a2", "a"), place("b1", "b")], names, most)
    planned = plan(profile, {**DEFAULTS, "nodes": 3, "capacity": {}, "engine": engine, "found": True, "live": False, **more})
    steps = {}
    for step in [step for step in planned["steps"] if step["kind"] == "pairs"]:
        runs = {}
        for test in [test for kind in step["tests"] for test in network_runs.tests(kind, found, planned["load"])]:
            if "phase" in step:
                runs[test["name"]] = {"facts": facts_of(test, step["rates"].get(test["kind"], 0)), "exit_code": 0, "seconds": 1.0, "error": ""}
                continue
            rate = (10e9 if test["network"] == "host" else 9.5e9) - (1e9 if test.get("way") == "reverse" else 0) - (2e9 if test.get("streams") == 1 else 0)
            runs[test["name"]] = {"facts": facts_of(test, rate), "exit_code": 0, "seconds": 1.0, "error": ""}
        steps[step["name"]] = {"runs": runs, "facts": {}, "took": 10.0, "error": ""}
    steps["programming"] = {"facts": {"expected": 60, "count": 60, "missed": 0, "max": 1.5, "p50": 0.6, "p99": 1.4}, "took": 30.0}
    steps["k8s-netperf"] = {"facts": {"runs": netperf_runs(planned["netperf"])}, "took": 60.0}
    pods = {**network_runs.pods(found, "pod"), **network_runs.pods(found, "host")}
    return {
        "plan": planned,
        "layout": found,
        "info": {"nodes": 3, "services": 20, "kube_proxy": {"pods": 3, "mode": "iptables", "replaced": False}},
        "capacity": {"interzone_rate": 5e9} if capacity is None else capacity,
        "steps": steps,
        "looks": {"before": {pod: look(pod, 0) for pod in pods}, "after": {pod: look(pod, 100) for pod in pods}},
        "pods": {pod: {"pod": f"net-{pod}", "ip": "10.0.0.1"} for pod in pods},
        "host_error": "",
        "clean": {"left": 0},
        "stress": stress_fake.known(CHECKS, planned) if profile == "stress" else {},
    }


def look(pod, count):
    facts = {"sockperf": "3.7", "conntrack": {"count": 1000 + count, "max": 10_000, "failed": 7}}
    programming = [[1.0, count], [2.0, count], [None, count]]
    return {**facts, "proxy": {"mode": "iptables", "rules": 300, "start": 5.0, "programming": programming}} if pod.startswith("host") else facts


def judged(facts, profile="load"):
    return checks.judge(CHECKS, {"cluster": {"lab": facts}}, "network", profile, {"cluster": ["lab"]})


def finding(facts, check, entry=None, profile="load"):
    return next(one for one in judged(facts, profile) if one["id"] == check and entry in (None, one.get("entry")))
