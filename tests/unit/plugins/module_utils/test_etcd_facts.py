# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import json
import pathlib

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils.checks import judge
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_facts import cluster_facts, host_facts
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_plan import plan
from ansible_collections.kubeproof.certify.tests.unit.plugins import stress_fake

ROOT = pathlib.Path(__file__).parents[4]
SETTINGS = {**yaml.safe_load((ROOT / "roles" / "etcd" / "defaults" / "main" / "settings.yml").read_text(encoding="utf-8")), "capacity": {}, "nodes": 0}
CHECKS = yaml.safe_load((ROOT / "roles" / "etcd" / "defaults" / "main" / "checks.yml").read_text(encoding="utf-8"))["etcd_checks"]
MEASURED = yaml.safe_load((ROOT / "tests" / "fixtures" / "etcd_facts" / "measured.yml").read_text(encoding="utf-8"))
SMOKE, STRESS = (plan(profile, dict(SETTINGS, capacity={"etcd_put_rate": 100})) for profile in ("smoke", "stress"))
ONE, TWO, THREE = MEASURED["asked"]["endpoints"]
STATUS = f"asked endpoints {TWO}"
NOTHING = {"plan": SMOKE}
ETCDCTL = {"path": "/usr/local/bin/etcdctl", "version": "3.6.8"}
COPY = "/var/tmp/kubeproof/20261121t041852z-c208/etcd/tools/benchmark"


def measured(changes=None, profile_plan=SMOKE):
    """Return everything that a smoke run measured, with the values at some paths changed; the paths' keys are separated by blanks, ... removes."""
    found = copy.deepcopy(MEASURED)
    found["plan"] = profile_plan
    found["seconds"] = {step["name"]: step["seconds"] + 0.2 for step in profile_plan["steps"]}
    for path, value in (changes or {}).items():
        *above, last = path.split()
        part = found
        for key in above:
            part = part[key]
        if value is ...:
            del part[last]
        else:
            part[last] = value
    return found


def put(rate, p99=0.01, errors=0):
    """Return the facts of one put step."""
    return {"rate": rate, "errors": errors, "latency": {"count": 1000, **({} if p99 is None else {"p99": p99})}}


def stress(**changes):
    """Return what a stress run measured, which held every step; a change is the facts of a step by its name, with _ for -."""
    steps = {step["name"]: put(step["rate"]) for step in STRESS["steps"]}
    steps.update((name.replace("_", "-"), facts) for name, facts in changes.items())
    return dict(measured(profile_plan=STRESS), steps=steps, stress=stress_fake.known(CHECKS, STRESS))


def test_cluster_in_full():
    found = cluster_facts(measured())
    expected = {
        "members_count": 3,
        "learners_count": 0,
        "alarms_count": 0,
        "members_without_host": 0,
        "leaders": 1,
        "versions_count": 1,
        "applied_gap": 2,
        "clock_difference": [0.0, 0.032],
        "errors": 0,
        "raft_term_increase": 0,
        "growth": 2347008 - 1200128,
    }
    assert {name: found[name] for name in expected} == expected
    assert found["predicted"] == {
        "bytes": SMOKE["growth"],
        "share": round((1200128 + SMOKE["growth"]) / 268435456, 4),
        "run_share": round(SMOKE["growth"] / 268435456, 4),
    }
    assert all(found[name] == MEASURED["steps"][name] for name in MEASURED["steps"])
    assert (found["keys"], found["clean"], found["health"]) == (MEASURED["keys"], MEASURED["clean"], MEASURED["asked"]["health"])
    assert not {"stress", "plan", "hosts", "endpoints"} & set(found)


@pytest.mark.parametrize("source", ["hosts", "asked", "clock", "keys", "clean", "steps", "seconds", "after"])
@pytest.mark.parametrize("value", [None, {}, [], "", 0, "damaged", ...])
def test_without_a_source_its_facts_are_absent(source, value):
    whole, found = cluster_facts(measured()), cluster_facts(measured({source: value}))
    assert all(found[name] == whole[name] for name in found)
    gone = {
        "hosts": {"members_without_host", "tools"},
        "asked": {"health", "members_count", "learners_count", "alarms_count", "members_without_host", "versions_count", "applied_gap"}
        | {"predicted", "raft_term_increase", "growth"},
        "clock": {"clock_difference"},
        "clean": {"clean", "keys_left"},
        "after": {"raft_term_increase", "growth"},
        "steps": {"errors", *MEASURED["steps"]},
        "seconds": {"errors", *MEASURED["steps"]},
    }.get(source, {source})
    assert set(whole) - set(found) == gone


def test_nothing_known_is_an_empty_document():
    assert cluster_facts(NOTHING) == {}
    assert cluster_facts({"plan": dict(SMOKE, steps=[])}) == {}


@pytest.mark.parametrize(
    ("changes", "fact", "expected"),
    [
        # Members and hosts
        ({"hosts etcd3": ...}, "members_without_host", 1),
        # A member that is stopped advertises nothing: its name or its host's address tells it.
        ({"hosts etcd3 advertise_client_urls": []}, "members_without_host", 0),
        ({"hosts etcd3": ..., "addresses": {"third": "10.89.77.13"}}, "members_without_host", 0),
        ({"hosts etcd3": ..., "addresses": {"third": "10.89.77.14", "fourth": None}}, "members_without_host", 1),
        # One that was never started goes by its id and has no URL.
        ({"asked members 9aaef7fe2c895fed": {"id": "9aaef7fe2c895fed", "client_urls": []}}, "members_without_host", 1),
        ({"asked members more": {"client_urls": ["http://[bad"]}}, "members_without_host", 1),
        ({"asked members etcd3 client_urls": ["https://10.0.0.9:2379", "https://10.89.77.13:2379"]}, "members_without_host", 0),
        ({"asked members etcd3 client_urls": None}, "members_without_host", ...),
        ({"asked members etcd3": "damaged"}, "members_without_host", ...),
        ({"hosts": {}}, "members_without_host", ...),
        # Health
        ({"hosts etcd3 healthy": False}, "health", dict(MEASURED["asked"]["health"], etcd3={"healthy": False})),
        ({"hosts etcd3 running": False}, "health", dict(MEASURED["asked"]["health"], etcd3={"healthy": False})),
        ({"hosts etcd3 healthy": None, "hosts etcd2": "damaged"}, "health", MEASURED["asked"]["health"]),
        ({"asked health": ...}, "health", ...),
        ({"asked health": "damaged"}, "health", ...),
        # Leader
        ({f"{STATUS} leader_id": ...}, "leaders", 0),
        ({f"{STATUS} leader_id": "0"}, "leaders", 0),
        ({f"{STATUS} leader_id": "6d8cac1afe2d0694"}, "leaders", 2),
        ({f"{STATUS} leader_id": None}, "leaders", ...),
        ({f"{STATUS} leader_id": 12}, "leaders", ...),
        ({STATUS: None}, "leaders", ...),
        # Without a quorum etcdctl has no answer, but each member has.
        ({"asked endpoints": {}}, "leaders", 1),
        ({"asked endpoints": {}, "hosts etcd2 leader_id": "0"}, "leaders", 0),
        ({"asked endpoints": {}, "hosts etcd2 leader_id": 7}, "leaders", ...),
        # A leader that was just lost is still named, but no linearizable read is answered.
        ({"asked endpoints": {}, **{f"hosts etcd{number} healthy": ... for number in (1, 2, 3)}}, "leaders", ...),
        ({"asked endpoints": {}, **{f"hosts etcd{number} healthy": False for number in (1, 2, 3)}}, "leaders", ...),
        ({"asked endpoints": {}, "hosts": {}}, "leaders", ...),
        # Versions and entries to apply
        ({f"{STATUS} version": "3.5.21"}, "versions_count", 2),
        ({f"{STATUS} version": ""}, "versions_count", ...),
        ({f"{STATUS} version": ["3.6.8"]}, "versions_count", ...),
        ({f"{STATUS} raft_index": 6000}, "applied_gap", 6000 - 875),
        ({f"{STATUS} raft_index": ...}, "applied_gap", ...),
        ({f"{STATUS} raft_applied_index": "875"}, "applied_gap", ...),
        ({f"{STATUS} raft_applied_index": True}, "applied_gap", ...),
        # Database
        ({f"{STATUS} db_size": ...}, "predicted", ...),
        ({f"{STATUS} db_size": ...}, "growth", ...),
        ({f"{STATUS} db_size": float("nan")}, "growth", ...),
        ({f"after endpoints {TWO} db_size": 3000000}, "growth", 3000000 - 1200128),
        ({f"after endpoints {name} db_size": 1000 for name in (ONE, TWO, THREE)}, "growth", 0),
        ({f"after endpoints {TWO}": ...}, "growth", ...),
        ({f"after endpoints {TWO} raft_term": 3}, "raft_term_increase", 1),
        ({f"after endpoints {TWO} raft_term": None}, "raft_term_increase", ...),
        # Clocks: an interval, which may begin at 0
        ({"clock clock_difference": [0.0, 0.0]}, "clock_difference", [0.0, 0.0]),
        ({"clock clock_difference": ...}, "clock_difference", ...),
        # Tools: those that were there, and the copies on the host that runs the load
        ({}, "tools", {name: {"etcdctl": dict(ETCDCTL, source="on the host")} for name in MEASURED["hosts"]}),
        ({"hosts etcd2 tools": ..., "hosts etcd3 tools": "damaged", "hosts etcd1 tools": {"fio": {"version": "3.33"}, "etcdctl": None}}, "tools", ...),
        (
            {"hosts": {"etcd1": {"tools": {"fio": {"path": "/usr/bin/fio"}}}}, "runner": "etcd1", "clock tools": {"benchmark": {"path": COPY}}},
            "tools",
            {"etcd1": {"benchmark": {"path": COPY, "source": "copied for the run"}}},
        ),
        ({"hosts": {}, "clock tools": {"etcdctl": ETCDCTL}}, "tools", ...),
        # Members that are not in the inventory
        ({"host_access": False}, "members_without_host", ...),
        ({"host_access": False, "hosts etcd3 running": False}, "health", MEASURED["asked"]["health"]),
        # Errors
        ({"steps write errors": 3}, "errors", 3),
        ({"steps watch put errors": 2, "steps read errors": 1}, "errors", 3),
        ({"steps check_perf": {}}, "errors", ...),
        ({"steps read": ...}, "errors", ...),
        ({"steps read errors": ...}, "errors", ...),
        ({"steps watch watch": {"rate": 1.0}, "steps watch put errors": ...}, "errors", ...),
        ({"steps read errors": "1"}, "errors", ...),
        ({"steps read errors": None}, "errors", ...),
        ({"seconds check_perf": 20}, "errors", ...),
        ({"seconds check_perf": 20}, "check_perf", ...),
        ({"seconds check_perf": "60"}, "check_perf", ...),
        ({"steps write": "damaged"}, "write", ...),
        ({"steps write": []}, "write", ...),
        # A step that was not planned is none, whatever its name.
        ({"steps errors": {"a": 1}, "seconds errors": 1}, "errors", 0),
    ],
)
def test_one_fact(changes, fact, expected):
    found = cluster_facts(measured(changes))
    assert found.get(fact, ...) == expected


@pytest.mark.parametrize(
    ("changes", "quota"),
    [
        ({"hosts etcd2 quota_backend_bytes": 1000000000}, 268435456),
        ({"hosts etcd2 quota_backend_bytes": 100000000}, 100000000),
        ({f"{STATUS} db_quota": 100000000}, 100000000),
        # etcd 3.5 does not tell its quota, and a quota that is turned off is none.
        ({f"asked endpoints {name} db_quota": ... for name in (ONE, TWO, THREE)}, 268435456),
        ({f"{STATUS} db_quota": 0, "hosts etcd2 quota_backend_bytes": -1, "hosts etcd3 quota_backend_bytes": "no"}, 268435456),
    ],
)
def test_the_smallest_quota_counts(changes, quota):
    assert cluster_facts(measured(changes))["predicted"]["run_share"] == round(SMOKE["growth"] / quota, 4)


def test_no_prediction_without_a_quota():
    changes = {f"hosts {name} quota_backend_bytes": ... for name in MEASURED["hosts"]}
    changes.update({f"asked endpoints {name} db_quota": ... for name in (ONE, TWO, THREE)})
    assert "predicted" not in cluster_facts(measured(changes))


@pytest.mark.parametrize(
    ("changes", "headroom", "recovered"),
    [
        ({}, [2.0, None], 3.0),
        ({"ramp_175": put(175, 0.051)}, 1.5, 3.0),
        ({"ramp_175": put(175, 0.050)}, 1.5, 3.0),
        ({"ramp_175": put(173)}, 1.5, 3.0),
        ({"ramp_175": put(173.25)}, [2.0, None], 3.0),
        ({"ramp_100": put(100, 0.2)}, 0.0, 3.0),
        # A step above one that broke does not count, however good it looks.
        ({"ramp_125": put(125, 0.2)}, 1.0, 3.0),
        # With errors the P99 may be an interval, and there may be none at all.
        ({"ramp_200": put(200, [0.03, 0.04], 7)}, 1.75, 3.0),
        ({"recovery_1": put(70, 0.06)}, [2.0, None], [63.0, None]),
        ({"recovery_1": put(70, 0.01, 1)}, [2.0, None], [63.0, None]),
        # Damaged, so unknown
        ({"recovery_1": put(70, None)}, [2.0, None], [63.0, None]),
        ({"ramp_150": put(150, "0.01")}, [1.25, None], 3.0),
        ({"ramp_150": put("150")}, [1.25, None], 3.0),
        ({"ramp_150": {"rate": 150, "latency": 3, "errors": 0}}, [1.25, None], 3.0),
        ({"ramp_150": {}}, [1.25, None], 3.0),
        ({"ramp_100": {}}, ..., 3.0),
    ],
)
def test_headroom(changes, headroom, recovered):
    found = cluster_facts(stress(**changes))["stress"]
    assert (found.get("headroom", {}).get("ratio", ...), found["recovery"]["seconds"]) == (headroom, recovered)


def test_headroom_is_a_multiple_of_what_was_declared():
    over = plan("stress", dict(SETTINGS, capacity={"etcd_put_rate": 100}, etcd_rate_factor={"stress": 2}))
    steps = {step["name"]: put(step["rate"]) for step in over["steps"]}
    run = dict(measured(profile_plan=over), steps=steps, stress=stress_fake.known(CHECKS, over))
    assert cluster_facts(run)["stress"]["headroom"]["ratio"] == [4.0, None]


# The host -----------------------------------------------------------------------------------------------------------------


def test_host_in_full():
    extra = {"fio": MEASURED["fio"], "window": MEASURED["window"], "members_count": 3, "fio_file": "/var/lib/etcd/kubeproof-1.fio", "watch": {}}
    found = host_facts(MEASURED["hosts"]["etcd1"], SMOKE, extra)
    more = {name: found.pop(name) for name in set(found) - set(MEASURED["hosts"]["etcd1"])}
    assert found == MEASURED["hosts"]["etcd1"]
    del extra["watch"]
    assert more == dict(extra, tls=True, disk_room=round(874692608 / (SMOKE["growth"] + SMOKE["fsync"]), 1))


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({}, {}),
        (None, {}),
        ({"endpoint": "http://10.0.0.1:2379"}, {"tls": False}),
        ({"endpoint": None}, {}),
        ({"endpoint": ["https://a"]}, {}),
        ({"disk": None}, {}),
        ({"disk": {"free": 0}}, {"disk_room": 0.0}),
        ({"disk": {"free": "many"}}, {}),
        ({"disk": {"free": True}}, {}),
        ({"disk": {"free": float("inf")}}, {}),
        ({"disk": "sda"}, {}),
    ],
)
def test_host_facts_that_follow(info, expected):
    found = host_facts(info, SMOKE, {"fio": {}, "window": None, "members_count": 0})
    assert found == dict(info or {}, **expected)


def test_room_when_nothing_is_written():
    assert host_facts({"disk": {"free": 5000}}, {"growth": 0, "fsync": 0, "missing": {}}, {})["disk_room"] == 5000


LIVE = plan("smoke", dict(SETTINGS, capacity={"etcd_put_rate": 100}, live=True))


@pytest.mark.parametrize(
    ("planned", "rate", "shown", "told"),
    [
        # More than declared was offered: what came of it is known.
        (SMOKE, 100, 100, []),
        (LIVE, 99.9, None, ["check_perf", "write.rate"]),
        # Not even what was offered was reached, which is known.
        (LIVE, 60, 60, ["check_perf"]),
        (LIVE, "99", "99", ["check_perf"]),
        (LIVE, ..., None, ["check_perf"]),
    ],
)
def test_a_rate_is_proven_only_by_offering_more(planned, rate, shown, told):
    found = cluster_facts(measured({"steps write rate": rate}, planned))
    assert (found["write"].get("rate"), sorted(found.get("missing", {}))) == (shown, told)
    assert found["write"]["latency"]["count"] and found["errors"] == 0


def test_what_a_cluster_that_serves_is_spared_says_so():
    checks = {name: CHECKS[name] for name in ("etcd_put_rate", "etcd_check_perf", "etcd_fsync_p99")}
    document, host = cluster_facts(measured({"steps write rate": 99.9, "steps check_perf": ...}, LIVE)), host_facts({}, LIVE, {})
    found = judge(checks, {"cluster": {"etcd": document}, "host": {"etcd1": host}}, "etcd", "load", {"cluster": ["etcd"], "host": ["etcd1"]},
                  {"capacity": {"etcd_put_rate": 100}})  # fmt: skip
    assert {(one["result"], one["judged"], "certify_live: " in one["reason"]) for one in found} == {("INCONCLUSIVE", True, True)} and len(found) == 3


# Damage -------------------------------------------------------------------------------------------------------------------


def paths(part, above=()):
    """Yield the path to every value of nested maps."""
    for key, value in part.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from paths(value, (*above, key))


PLACES = [(whole, path) for whole in (measured(), stress()) for path in paths({**whole, "plan": {}, "stress": {}})]
ODD = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.lists(st.none() | st.text(max_size=2), max_size=2))
ODD = st.recursive(ODD, lambda inner: st.dictionaries(st.sampled_from(["errors", "latency", "p99", "a"]), inner, max_size=2), max_leaves=4)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(PLACES), ODD)
def test_damage_never_raises_and_invents_nothing(place, value):
    whole, path = place
    part = found = dict(whole)
    for key in path[:-1]:
        part[key] = dict(part[key])
        part = part[key]
    part[path[-1]] = value
    found["plan"] = whole["plan"]
    facts = cluster_facts(found)
    assert set(facts) <= set(cluster_facts(whole))
    host_facts(found["hosts"] if path[0] == "hosts" else {}, SMOKE, {})
    for name in ("leaders", "versions_count", "members_without_host", "applied_gap", "errors", "growth", "raft_term_increase", "predicted"):
        if name in facts:
            json.dumps(facts[name], allow_nan=False)
