# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proof: removing or damaging any fact never improves a verdict, nor any check, nor the checklist.

Better is {FAIL, INCONCLUSIVE} < CONDITIONAL < PASS. What cannot be noticed is left out: another plausible value of the right type,
and an entry of `each` that nobody expects by name.
"""

from __future__ import annotations

import copy
import math

import pytest
from ansible_collections.kubeproof.certify.plugins.module_utils import checks

RANK = {"FAIL": 0, "INCONCLUSIVE": 0, "CONDITIONAL": 1, "PASS": 2, "NOT_APPLICABLE": 3}
ABSENT = object()
OF_A_MAP = [ABSENT, None, "damaged", {}, []]
OF_A_LEAF = [ABSENT, None, "damaged", math.nan, math.inf, -0.5, {}, [2, 1]]
HOSTS = ["etcd1", "etcd2"]
EXPECTED = {"host": HOSTS, "cluster": ["etcd"]}
COMMON = {"profiles": ["load"], "fix": "Mend it.", "reference": "a book"}


def check(query, scope, **more):
    return {"title": query, "query": query, "scope": scope, **COMMON, **more}


CATALOGUE = {
    "etcd_write_latency_p99": check("write.latency.p99", "cluster", samples="write.latency.count", min_samples=1000, target="< 0.025", critical="< 0.050"),
    "etcd_write_rate": check("write.rate", "cluster", capacity="etcd_put_rate"),
    "etcd_errors": check("write.errors", "cluster", critical="== 0"),
    "etcd_members": check("members", "cluster", target=">= 3"),
    "etcd_alarms": check("alarms", "cluster", critical="== []", gate=True),
    "etcd_health": check("healthy", "cluster", each="health", expect=HOSTS, critical="== true", gate=True),
    "etcd_round_trip": check("p99", "host", each="window.round_trip", expect=["a", "b"], samples="count", min_samples=10, target="< 0.05", critical="< 0.1"),
    "etcd_disk_rate": check("fio.rate", "host", target={"ssd": "> 500", "nvme": "> 2000"}, critical={"ssd": "> 50", "nvme": "> 500"}),
    "etcd_scheduler": check("scheduler", "host", target='in ["none", "mq-deadline"]'),
    "etcd_wal_fsync_p99": check("window.wal.p99", "host", samples="window.wal.count", min_samples=299, target="< 0.016", critical="<= 0.032"),
    "etcd_fsync_share": check("window.wal.share", "host", target=">= 0.99", critical="> 0.9"),
    "etcd_clock": check("clock", "cluster", critical="< 1", gate=True, not_applicable={"query": "single", "when": "== true", "reason": "One member only."}),
    "etcd_zones": check("zone_latency", "cluster", critical="< 1", not_applicable={"query": "zones", "when": "== 1", "reason": "One zone only."}),
    "etcd_growth": check("growth", "cluster"),
}
SETTINGS = {
    "today": "2027-01-01",
    "capacity": {"etcd_put_rate": 1000},
    "tiers": {"etcd_disk_rate": "nvme"},
    "thresholds": {"etcd_errors": {"critical": "<= 2", "reason": "Known."}},
    "waivers": {"etcd_errors": {"reason": "Known.", "owner": "me", "expires": "2027-12-31"}},
}
ITEMS = {"write": {"title": "etcd write", "layer": "etcd", "checks": ["etcd_write_latency_p99", "etcd_wal_fsync_p99"]}}


def host():
    return {
        "fio": {"rate": 3100.5, "jobs": {"etcd": {"rate": 3100.5}}},
        "scheduler": "none",
        "window": {
            "wal": {"p99": [0.004, 0.008], "count": 1800, "share": [0.995, 1.0]},
            "round_trip": {"a": {"p99": [0.0064, 0.0128], "count": 24}, "b": {"p99": 0.012, "count": 24.0}},
        },
    }


def facts(changes=()):
    """Return what healthy members hand over, with some leaves [(path, value)] replaced."""
    document = {
        "cluster": {
            "etcd": {
                "write": {"latency": {"p99": 0.0123, "count": 46200}, "rate": 1100.2, "errors": 0},
                "members": 3,
                "alarms": [],
                "health": {name: {"healthy": True} for name in HOSTS},
                "clock": 0.001,
                "single": False,
                "zones": 1,
                "zone_latency": 0.2,
                "growth": 12345678,
            }
        },
        "host": {name: host() for name in HOSTS},
    }
    for path, value in changes:
        put(document, path.split("."), value)
    return document


def put(document, path, value):
    """Replace what is at the path in place, or remove it."""
    for step in path[:-1]:
        document = document[step]
    if value is ABSENT:
        del document[path[-1]]
    else:
        document[path[-1]] = copy.deepcopy(value)


def nodes(document, path=()):
    """Yield the path of every map, list and leaf below the document."""
    for step in document if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ():
        yield [*path, step]
        yield from nodes(document[step], [*path, step])


def judged(document, said):
    """Return the rank of the verdict, of each judged check (its worst), and of the checklist's item."""
    found = checks.judge(CATALOGUE, document, "etcd", "load", EXPECTED, said)
    found += checks.waiver_findings(found, said, "etcd")
    by_check = {identifier: RANK[worst["result"]] for identifier, worst in checks.worst(found).items() if worst["judged"] and identifier in CATALOGUE}
    (item,) = checks.checklist(ITEMS, found, "load", False, ["etcd"])
    return RANK[checks.verdict(found)["verdict"]], by_check, RANK[item["result"]]


def damages(document, path):
    """Return what to put at the path: nothing, and every damage that is another type or no plausible value."""
    node = document
    for step in path:
        node = node[step]
    if isinstance(node, dict):
        return OF_A_MAP
    return OF_A_LEAF if isinstance(node, bool) else [*OF_A_LEAF, True]


BASES = {
    "PASS": [],
    "CONDITIONAL by the target": [("cluster.etcd.write.latency.p99", 0.03), ("cluster.etcd.members", 1), ("host.etcd1.scheduler", "bfq")],
    "CONDITIONAL by a waiver": [("cluster.etcd.write.errors", 5)],
    "CONDITIONAL, undecided": [("host.etcd2.window.wal.p99", [0.008, 0.02])],
    "INCONCLUSIVE by straddling": [("host.etcd2.window.wal.p99", [0.016, None]), ("host.etcd1.window.wal.share", [0.5, 0.95])],
    "INCONCLUSIVE by few samples": [("host.etcd1.window.round_trip.a.count", 3)],
    "FAIL of a value": [("cluster.etcd.write.rate", 499), ("host.etcd2.fio.rate", 12)],
    "FAIL of an interval": [("host.etcd1.window.wal.p99", [0.064, None]), ("host.etcd2.window.wal.share", [0.1, 0.2])],
    "FAIL of an entry": [("host.etcd1.window.round_trip.b.p99", 5)],
    "FAIL of a gate": [("cluster.etcd.health.etcd2.healthy", False)],
    "FAIL where it applies": [("cluster.etcd.zones", 3), ("cluster.etcd.zone_latency", 7)],
}


@pytest.mark.parametrize("base", BASES)
def test_damage_never_improves(base):
    healthy = facts(BASES[base])
    # Without a miss the waiver is unused, which is a finding of its own.
    said = {key: value for key, value in SETTINGS.items() if key != "waivers"} if base == "PASS" else SETTINGS
    verdict, by_check, item = judged(healthy, said)
    assert verdict == RANK[base.split()[0].strip(",")]
    tried = 0
    for path in nodes(healthy):
        for damage in damages(healthy, path):
            damaged = copy.deepcopy(healthy)
            put(damaged, path, damage)
            found_verdict, found_by_check, found_item = judged(damaged, said)
            where = f"{path} {damage!r}"
            assert found_verdict <= verdict, where
            assert found_item <= item, where
            assert set(found_by_check) == set(by_check), where
            better = [identifier for identifier, rank in found_by_check.items() if rank > by_check[identifier]]
            assert not better, where
            tried += 1
    assert tried > 400


@pytest.mark.parametrize("document", [None, {}, [], "x", 5, {"host": None, "cluster": None}, {"host": [], "cluster": "x"}, {"host": {}, "cluster": {}}])
def test_no_facts_at_all(document):
    verdict, by_check, item = judged(document, SETTINGS)
    assert verdict == 0 and set(by_check.values()) == {0} and item == 0


def test_every_leaf_that_a_check_asks_for_matters():
    """Removing a fact that is judged makes its check INCONCLUSIVE: nothing is judged by default."""
    asked = {
        "etcd_write_latency_p99": ["cluster.etcd.write.latency.p99", "cluster.etcd.write.latency.count"],
        "etcd_health": ["cluster.etcd.health.etcd2", "cluster.etcd.health", "cluster.etcd"],
        "etcd_round_trip": ["host.etcd2.window.round_trip.a", "host.etcd2.window", "host.etcd2", "host"],
        "etcd_disk_rate": ["host.etcd1.fio.rate", "host.etcd1"],
        "etcd_clock": ["cluster.etcd.clock", "cluster"],
        "etcd_zones": [],
    }
    for identifier, paths in asked.items():
        for path in paths:
            found = checks.judge(CATALOGUE, facts([(path, ABSENT)]), "etcd", "load", EXPECTED, SETTINGS)
            assert checks.worst(found)[identifier]["result"] == "INCONCLUSIVE", path
