# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check data and settings: what is refused, and that each refusal names the file or variable, the id and the key."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.kubeproof.certify.plugins.module_utils import check_data, check_settings
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import CheckError, load_checks, path, plain
from ansible_collections.kubeproof.certify.plugins.module_utils.check_settings import load_catalogue, load_settings, own_settings, threshold_changes

SOURCE = "roles/etcd/defaults/main/checks.yml"
CHECK = {
    "title": "Write latency", "query": "write.p99", "scope": "cluster", "unit": "s", "samples": "write.count", "min_samples": 299,
    "target": "< 0.025", "critical": "< 0.050", "profiles": ["smoke", "load"], "fix": "Use a faster disk.", "reference": "https://etcd.io",
}  # fmt: skip
TIERED = {**CHECK, "target": {"ssd": "> 10", "nvme": "> 50"}, "critical": {"ssd": "> 5", "nvme": "> 25"}}
RATE = {**CHECK, "target": "> 1000", "critical": "> 500", "capacity": "api_qps"}
OPEN = {key: value for key, value in RATE.items() if key not in ("target", "critical")}
CHECKS = {"etcd_write": CHECK, "etcd_tiered": TIERED, "etcd_rate": RATE, "etcd_open": OPEN}
WAIVER = {"reason": "New disks are ordered.", "owner": "storage team", "expires": "2027-01-31"}


NO_PATHS = ["a..b", "a[", "a-b", "a[?b>`1`]", "length(a)", "a||b", "a|b", "a[*]", "a.*", "`1`", "!a", "[]"]


def without(key):
    return {name: value for name, value in CHECK.items() if name != key}


def refused(call, *args):
    with pytest.raises(CheckError) as caught:
        call(*args)
    return str(caught.value)


@pytest.mark.parametrize(
    "check",
    [
        CHECK, TIERED, RATE, OPEN, without("unit"), without("target"), without("critical"), {**CHECK, "gate": True}, {**CHECK, "gate": False},
        {**CHECK, "each": "write.by_member", "expect": ["a"]}, {**CHECK, "each": '"a b"', "query": "@"}, {**CHECK, "query": 'a."b.c"[0].d'},
        {**CHECK, "not_applicable": {"query": "members", "when": "== 1", "reason": "There is one member."}}, {**CHECK, "target": {"ssd": "< 0.01"}},
        {**TIERED, "min_samples": {"nvme": 3000, "ssd": 299}},
    ],
)  # fmt: skip
def test_valid_checks(check):
    assert load_checks({"etcd_write": check}, SOURCE) == {"etcd_write": check}


@pytest.mark.parametrize(
    "check, words",
    [
        ({**CHECK, "tite": "x"}, ["unknown key tite", "write title"]),
        ({**CHECK, "zzz": 1}, ["unknown key zzz", "write one of"]),
        *[(without(key), [f"{key} is missing"]) for key in ("title", "query", "scope", "profiles", "fix", "reference", "samples", "min_samples")],
        ({**CHECK, "title": ""}, ['title is ""']),
        ({**CHECK, "query": 5}, ["query is 5"]),
        *[({**CHECK, "query": query}, ["query is ", "write a p"]) for query in NO_PATHS],
        ({**CHECK, "samples": "length(a)"}, ["samples is"]),
        ({**CHECK, "scope": "node"}, ['scope is "node"', "write host or cluster"]),
        ({**CHECK, "scope": ["host"]}, ["scope is"]),
        ({**CHECK, "unit": "ms"}, ['unit is "ms"', "write one of s, byte"]),
        *[({**CHECK, "min_samples": value}, ["min_samples is"]) for value in (0, -1, 1.5, True, "299", None, {}, {"ssd": 0}, {"ssd": {}})],
        *[({**TIERED, "min_samples": dict.fromkeys(tiers, 5)}, ["min_samples has other tiers"]) for tiers in (["ssd"], ["ssd", "nvme", "hdd"], ["hdd"])],
        ({**CHECK, "min_samples": {"ssd": 5}}, ["min_samples has other tiers than target and critical", "or one number"]),
        ({**CHECK, "target": 5}, ["target is 5", "operator"]),
        ({**CHECK, "target": None}, ["target is null"]),
        ({**CHECK, "target": "~ 5"}, ['target is "~ 5"', "operator"]),
        ({**CHECK, "critical": "< NaN"}, ["critical is"]),
        ({**CHECK, "target": {}}, ["target is {}"]),
        ({**CHECK, "target": {"ssd": 5}}, ["target is"]),
        ({**CHECK, "target": "< 0.05", "critical": "< 0.025"}, ["target < 0.05 is weaker than critical < 0.025"]),
        ({**CHECK, "target": "<= 0.05", "critical": "< 0.05"}, ["weaker"]),
        ({**CHECK, "target": "> 0.05"}, ["weaker"]),
        ({**TIERED, "critical": {"ssd": "> 5", "nvme": "> 51"}}, ["weaker than critical > 51 in tier nvme"]),
        ({**TIERED, "critical": {"ssd": "> 5"}}, ["different tiers"]),
        ({**TIERED, "capacity": "iops"}, ["capacity and tiers exclude each other"]),
        ({**CHECK, "capacity": "latency"}, ["capacity means at least so much"]),
        *[({**CHECK, "profiles": value}, ["profiles is"]) for value in ([], "load", ["full"], ["load", "load"], [["load"]], None)],
        ({**CHECK, "gate": "yes"}, ['gate is "yes"', "write true or false"]),
        ({**OPEN, "gate": True}, ["gate is true, but there is no target or critical"]),
        ({**CHECK, "blocking": True}, ["only a tuning rule"]),
        ({**CHECK, "expect": ["a"]}, ["each is missing"]),
        ({**CHECK, "each": "a", "expect": "b"}, ["expect is"]),
        ({**CHECK, "not_applicable": "never"}, ["not_applicable is"]),
        ({**CHECK, "not_applicable": [{"query": "a||b", "when": "== 1", "reason": "x"}]}, ["not_applicable.query is"]),
        ({**CHECK, "informs": "never"}, ["informs is"]),
        ({**CHECK, "informs": {"query": "a", "when": "= 1", "reason": "x"}}, ["informs.when is"]),
        ({**CHECK, "informs": True, "gate": True}, ["informs excludes gate"]),
        ({**CHECK, "where": "a || b"}, ["where is"]),
        ({**CHECK, "write": ""}, ["write is"]),
        ({**CHECK, "not_applicable": {"query": "a||b", "when": "= 1", "because": "x"}},
         ["not_applicable.query is", "not_applicable.when is", "not_applicable.reason is missing", "unknown key not_applicable.because"]),
        ("x", ['the entry is "x"']),
        (None, ["the entry is null"]),
    ],
)  # fmt: skip
def test_refused_checks(check, words):
    message = refused(load_checks, {"etcd_write": check}, SOURCE)
    assert all(word in message for word in words), message
    assert all(line.startswith(f"{SOURCE}: etcd_write: ") and line.endswith(".") for line in message.splitlines())


@pytest.mark.parametrize("identifier", ["write", "etcd", "etcd_", "dns_write", "etcd_Write", "etcd-write", "etcd_wr ite", ""])
def test_refused_ids(identifier):
    message = refused(load_checks, {identifier: CHECK}, SOURCE)
    assert message.startswith(f"{SOURCE}: {identifier}: ") and "the id is not etcd_" in message


def test_blocking_is_for_tuning():
    assert load_checks({"tuning_swap": {**CHECK, "blocking": True}}, "roles/tuning/defaults/main/checks.yml")
    assert "blocking is true, but" in refused(load_checks, {"tuning_swap": {**OPEN, "blocking": True}}, "tuning.yml", "tuning")


def test_every_problem_of_one_load_is_reported():
    broken = {"etcd_a": {**CHECK, "unit": "ms", "tagret": 1}, "etcd_b": {**CHECK, "query": "a||b"}, "etcd_c": CHECK}
    lines = refused(load_catalogue, [{"checks": broken, "source": SOURCE}, {"checks": [], "source": "roles/dns/defaults/main/checks.yml"}]).splitlines()
    assert len(lines) == 4
    assert sum("etcd_a" in line for line in lines) == 2 and sum("etcd_b" in line for line in lines) == 1 and "roles/dns" in lines[3]


def test_layer_that_cannot_be_told():
    assert "checks.yml: the layer cannot be told" in refused(load_checks, {"etcd_write": CHECK}, "checks.yml")
    assert load_checks({"etcd_write": CHECK}, "checks.yml", "etcd")


def test_catalogue_joins_roles_and_refuses_a_second_one_with_the_same_ids():
    dns = {"checks": {"dns_latency": CHECK}, "source": "dns.yml", "layer": "dns"}
    etcd = {"checks": {"etcd_write": CHECK}, "source": SOURCE}
    assert sorted(load_catalogue([etcd, dns])) == ["dns_latency", "etcd_write"]
    assert "etcd_write: the id exists already" in refused(load_catalogue, [etcd, etcd])


def test_jmespath_is_missing(monkeypatch):
    monkeypatch.setattr(check_data, "jmespath", None)
    path.cache_clear()
    assert "jmespath is missing" in refused(load_checks, {"etcd_write": CHECK}, SOURCE)


VALID_SETTINGS = {
    "today": "2026-12-01",
    "thresholds": {
        "etcd_write": {"target": "< 0.03", "reason": "Slow disks."},
        "etcd_tiered": {"target": {"ssd": "> 20"}, "critical": {"ssd": "> 2"}, "reason": "x"},
    },
    "waivers": {"etcd_write": WAIVER},
    "not_applicable": {"etcd_rate": "There is no API server."},
    "capacity": {"api_qps": 300},
    "tiers": {"fast": "nvme", "etcd_tiered": "ssd"},
}


@pytest.mark.parametrize("settings", [None, {}, {"thresholds": None, "waivers": {}}, VALID_SETTINGS])
def test_valid_settings(settings):
    loaded = load_settings(settings, CHECKS)
    assert loaded == {**{"today": None, **{name: {} for name in check_settings.SECTIONS}}, **{key: value or {} for key, value in (settings or {}).items()}}
    assert load_catalogue([{"checks": CHECKS, "source": SOURCE}], settings) == CHECKS


def test_yaml_dates_are_dates():
    settings = {"today": "2026-12-01", "waivers": {"etcd_write": {**WAIVER, "expires": datetime.date(2027, 1, 31)}}}
    assert load_settings(settings, CHECKS)["waivers"] == {"etcd_write": WAIVER}


@pytest.mark.parametrize(
    "settings, line",
    [
        ([], None),
        ("x", "The settings are"),
        ({"treshold": {}}, "certify_treshold: unknown setting; write thresholds."),
        ({"thresholds": []}, None),
        ({"thresholds": ["etcd_write"]}, 'certify_thresholds is ["etcd_write"]; write a map.'),
        ({"thresholds": {"etcd_wirte": {"target": "< 1", "reason": "x"}}}, "certify_thresholds: etcd_wirte: there is no such check; write etcd_write."),
        ({"thresholds": {"etcd_write": {"target": "< 0.03"}}}, "certify_thresholds: etcd_write: reason is missing; write a sentence."),
        ({"thresholds": {"etcd_write": {"target": "< 0.03", "reason": ""}}}, 'certify_thresholds: etcd_write: reason is ""'),
        ({"thresholds": {"etcd_write": {"target": 5, "reason": "x"}}}, "certify_thresholds: etcd_write: target is 5"),
        ({"thresholds": {"etcd_write": {"min_samples": 5, "reason": "x"}}}, "certify_thresholds: etcd_write: unknown key min_samples"),
        ({"thresholds": {"etcd_write": {"reason": "x"}}}, "certify_thresholds: etcd_write: target and critical are missing"),
        ({"thresholds": {"etcd_write": "< 5"}}, 'certify_thresholds: etcd_write: the entry is "< 5"'),
        ({"thresholds": {"etcd_write": {"target": "< 0.06", "reason": "x"}}}, "certify_thresholds: etcd_write: target < 0.06 is weaker than critical < 0.050"),
        ({"thresholds": {"etcd_write": {"critical": "< 0.01", "reason": "x"}}},
         "certify_thresholds: etcd_write: target < 0.025 is weaker than critical < 0.01"),
        ({"thresholds": {"etcd_write": {"target": {"ssd": "< 0.01"}, "reason": "x"}}}, "certify_thresholds: etcd_write: target is {"),
        ({"thresholds": {"etcd_tiered": {"target": "> 5", "reason": "x"}}},
         'certify_thresholds: etcd_tiered: target is "> 5"; write a map of tiers (ssd, nvme)'),
        ({"thresholds": {"etcd_tiered": {"target": {"hdd": "> 5"}, "reason": "x"}}}, "certify_thresholds: etcd_tiered: target is"),
        ({"thresholds": {"etcd_tiered": {"critical": {"nvme": "> 60"}, "reason": "x"}}}, "certify_thresholds: etcd_tiered: target > 50 is weaker"),
        ({"capacity": {"api_qps": 300}, "thresholds": {"etcd_rate": {"target": "> 100", "reason": "x"}}},
         "certify_thresholds: etcd_rate: target > 100 is weaker than critical >= 150"),
        ({"waivers": {"nope": WAIVER}, "today": "2026-12-01"}, "certify_waivers: nope: there is no such check"),
        ({"waivers": {"etcd_write": {**WAIVER, "expires": "31.1.2027"}}, "today": "2026-12-01"},
         'certify_waivers: etcd_write: expires is "31.1.2027"; write a date'),
        ({"waivers": {"etcd_write": {**WAIVER, "expires": "2027-02-30"}}, "today": "2026-12-01"}, "certify_waivers: etcd_write: expires is"),
        ({"waivers": {"etcd_write": {**WAIVER, "expires": 20270131}}, "today": "2026-12-01"}, "certify_waivers: etcd_write: expires is"),
        ({"waivers": {"etcd_write": {"reason": "x", "expires": "2027-01-31"}}, "today": "2026-12-01"}, "certify_waivers: etcd_write: owner is missing"),
        ({"waivers": {"etcd_write": WAIVER}}, "today is null; write a date"),
        ({"not_applicable": {"nope": "x"}}, "certify_not_applicable: nope: there is no such check"),
        ({"not_applicable": {"etcd_write": ""}}, 'certify_not_applicable: etcd_write is ""; write a sentence.'),
        ({"not_applicable": {"etcd_write": True}}, "certify_not_applicable: etcd_write is true"),
        ({"capacity": {"qps": 5}}, "certify_capacity: qps: there is no such capacity"),
        *[({"capacity": {"api_qps": value}}, "certify_capacity: api_qps is") for value in (0, -5, True, "500", None, float("nan"), float("inf"))],
        ({"tiers": {"fast": "optane"}}, 'certify_tiers: fast is "optane"; write a tier: nvme, ssd.'),
        ({"tiers": {"fast": ["ssd"]}}, "certify_tiers: fast is"),
    ],
)  # fmt: skip
def test_refused_settings(settings, line):
    if line is None:
        assert load_settings(settings, CHECKS)["thresholds"] == {}
        return
    message = refused(load_settings, settings, CHECKS)
    assert message.startswith(line) and message.endswith("."), message
    assert refused(load_catalogue, [{"checks": CHECKS, "source": SOURCE}], settings) == message


def test_own_settings_leave_out_other_layers_and_refuse_what_is_broken():
    dns = {"dns_latency": CHECK}
    assert own_settings(VALID_SETTINGS, dns) == {"today": "2026-12-01", **{name: {} for name in check_settings.SECTIONS}}
    assert own_settings(VALID_SETTINGS, CHECKS) == load_settings(VALID_SETTINGS, CHECKS)
    assert "reason is missing" in refused(own_settings, {"thresholds": {"dns_latency": {"target": "< 0.01"}}}, dns)


@pytest.mark.parametrize(
    "identifier, override, expected",
    [
        ("etcd_write", {"target": "< 0.03"}, [("target", None, "< 0.025", "< 0.03", "relaxed")]),
        ("etcd_write", {"target": "<0.02", "critical": "< 0.06"},
         [("target", None, "< 0.025", "< 0.02", "tightened"), ("critical", None, "< 0.050", "< 0.06", "relaxed")]),
        ("etcd_write", {"target": "< 0.0250"}, []),
        ("etcd_write", {"target": "== 0"}, [("target", None, "< 0.025", "== 0", "tightened")]),
        ("etcd_tiered", {"target": {"nvme": "> 60"}}, [("target", "nvme", "> 50", "> 60", "tightened")]),
        ("etcd_rate", {"critical": ">= 100"}, [("critical", None, ">= 150", ">= 100", "relaxed")]),
        ("etcd_open", {"critical": ">= 100"}, [("critical", None, ">= 150", ">= 100", "relaxed")]),
    ],
)  # fmt: skip
def test_threshold_changes(identifier, override, expected):
    settings = {"thresholds": {identifier: {**override, "reason": "why"}}, "capacity": {"api_qps": 300}}
    found = threshold_changes(CHECKS, settings)
    assert [(one["bound"], one.get("tier"), one["from"], one["to"], one["direction"]) for one in found] == expected
    assert all(one["id"] == identifier and one["reason"] == "why" for one in found)


def test_a_bound_where_none_was_is_tightened():
    found = threshold_changes(CHECKS, {"thresholds": {"etcd_open": {"target": "> 5", "reason": "why"}}})
    assert found == [{"id": "etcd_open", "bound": "target", "from": None, "to": "> 5", "direction": "tightened", "reason": "why"}]


def test_plain():
    class Text(str):
        pass

    class Map(dict):
        pass

    found = plain(Map({Text("a"): (Text("b"), 1, True, None, 1.5, datetime.date(2027, 1, 31)), 5: []}))
    assert found == {"a": ["b", 1, True, None, 1.5, "2027-01-31"], "5": []}
    kinds = [type(one) for one in (found, *found, found["a"], *found["a"])]
    assert kinds == [dict, str, str, list, str, int, bool, type(None), float, str]
