# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge: results, verdict, the worst, checklist and waivers; hypothesis for what a tool may hand over."""

from __future__ import annotations

import json
import math

import pytest
from ansible_collections.kubeproof.certify.plugins.module_utils import checks
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import CheckError
from hypothesis import given, settings
from hypothesis import strategies as st

CHECK = {"title": "A question", "query": "v", "scope": "host", "profiles": ["load"], "fix": "Mend it.", "reference": "a book"}
BOTH = {**CHECK, "target": "< 1", "critical": "< 5"}
TIERED = {**CHECK, "target": {"ssd": "> 10", "nvme": "> 50"}, "critical": {"ssd": "> 5", "nvme": "> 25"}}
SAMPLED = {**BOTH, "samples": "n", "min_samples": 299}
WAIVER = {"reason": "New disks are ordered.", "owner": "storage team", "expires": "2027-01-31"}


def ask(check, document, profile="load", because=None, **said):
    """Return the findings of one check about one host."""
    facts = {"host": {"a": document}}
    return checks.judge({"etcd_x": check}, facts, "etcd", profile, {"host": ["a"]}, {"today": "2027-01-01", **said}, because)


def one(*args, **kwargs):
    (finding,) = ask(*args, **kwargs)
    return finding


@pytest.mark.parametrize(
    "extra, value, result",
    [
        ({"target": "< 1", "critical": "< 5"}, 0, "PASS"),
        ({"target": "< 1", "critical": "< 5"}, 1, "CONDITIONAL"),
        ({"target": "< 1", "critical": "< 5"}, 5, "FAIL"),
        ({"target": "< 1", "critical": "< 5"}, -1, "INCONCLUSIVE"),
        ({"target": "< 1", "critical": "< 5"}, None, "INCONCLUSIVE"),
        ({"target": "< 1", "critical": "< 5"}, [0, 1], "PASS"),
        ({"target": "< 1", "critical": "< 5"}, [4, 6], "INCONCLUSIVE"),
        ({"critical": "== true"}, True, "PASS"),
        ({"critical": "== true"}, 1, "INCONCLUSIVE"),
        ({"critical": "== 1"}, True, "INCONCLUSIVE"),
        ({"critical": "== true"}, False, "FAIL"),
        ({"critical": 'in ["none", "mq-deadline"]'}, "bfq", "FAIL"),
        ({"target": "== 0"}, 1, "CONDITIONAL"),
        ({}, 1, "INFO"),
        ({}, None, "INFO"),
        ({}, {}, "INFO"),
        ({}, -1, "INFO"),
        ({"capacity": "qps"}, 1, "INFO"),
    ],
)
def test_results(extra, value, result):
    finding = one({**CHECK, **extra}, {"v": value})
    assert finding["result"] == result
    assert finding["judged"] is (result != "INFO")
    assert bool(finding["reason"]) == (result == "INCONCLUSIVE" or (result == "INFO" and value in (None, {})))


def test_finding():
    check = {**SAMPLED, "unit": "s", "gate": True}
    assert one(check, {"v": [0.5, 1], "n": 300.0}) == {
        "id": "etcd_x", "layer": "etcd", "title": "A question", "scope": "host", "host": "a", "value": [0.5, 1], "unit": "s",
        "samples": 300, "min_samples": 299, "target": "< 1", "critical": "< 5", "bounds": "default", "evaluated": "<= 1, <= 5", "result": "PASS",
        "judged": True, "gate": True, "reason": "", "fix": "Mend it.", "reference": "a book",
    }  # fmt: skip


@pytest.mark.parametrize(
    "count, result, words",
    [
        (299, "PASS", ""), (299.0, "PASS", ""), (10**30, "PASS", ""),
        (298, "INCONCLUSIVE", "Too few samples: 298 of at least 299."), (0, "INCONCLUSIVE", "0 of"),
        (None, "INCONCLUSIVE", "(n) is missing; at least 299"), (-300, "INCONCLUSIVE", "Implausible"), (299.5, "INCONCLUSIVE", "Implausible"),
        (math.nan, "INCONCLUSIVE", "Implausible"), (math.inf, "INCONCLUSIVE", "Implausible"), (True, "INCONCLUSIVE", "Implausible"),
        ("300", "INCONCLUSIVE", "Implausible"), ([299, 300], "INCONCLUSIVE", "Implausible"), ({}, "INCONCLUSIVE", "Implausible"),
    ],
)  # fmt: skip
def test_samples(count, result, words):
    finding = one(SAMPLED, {"v": 0.5, "n": count})
    assert finding["result"] == result and words in finding["reason"]


def test_too_few_samples_hide_a_miss_but_not_an_implausible_value():
    assert one(SAMPLED, {"v": 9, "n": 3})["result"] == "INCONCLUSIVE"
    assert one(SAMPLED, {"v": "9", "n": 3})["reason"].startswith("Implausible")


PERCENTILE = {**SAMPLED, "query": "latency.p99", "samples": "latency.count"}


@pytest.mark.parametrize(
    ("latency", "proof"),
    [
        ({"p99": 0.5, "p999": 0.9, "count": 10000}, {"target": "proved", "critical": "proved", "allowed": 83}),
        ({"p99": 0.5, "p999": 2, "count": 10000}, {"target": "open", "critical": "proved", "allowed": 83}),
        ({"p99": 9, "p95": 8, "count": 10000}, {"target": "disproved", "critical": "disproved", "allowed": 83}),
        ({"p99": 0.5, "count": 100}, {"target": "open", "critical": "open"}),
        ({"p99": -1, "count": 10000}, None),
        ({"p99": 0.5}, None),
    ],
)
def test_a_percentile_says_what_its_samples_prove(latency, proof):
    assert one(PERCENTILE, {"latency": latency}).get("proof") == proof


def test_what_is_no_percentile_proves_nothing():
    assert "proof" not in one(SAMPLED, {"v": 0.5, "n": 10000})
    assert "proof" not in one({**CHECK, "query": "latency.p99", "samples": "latency.count", "min_samples": 1}, {"latency": {"p99": 1, "count": 500}})


NAMES = st.sampled_from(["p50", "p95", "p999", "max", "below", "errors"])
BESIDE = st.dictionaries(NAMES, st.one_of(st.floats(), st.lists(st.floats(), max_size=2), st.none()))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([0.5, 1, 3, 9, [0.5, 2.0], [2.0, None]]), st.sampled_from([0, 298, 299, 10**6]), BESIDE)
def test_what_samples_prove_changes_no_result(value, count, beside):
    plain = one(PERCENTILE, {"latency": {"p99": value, "count": count}})
    found = one(PERCENTILE, {"latency": {**beside, "p99": value, "count": count}})
    assert {key: found[key] for key in found if key != "proof"} == {key: plain[key] for key in plain if key != "proof"}


@pytest.mark.parametrize("value", [math.nan, math.inf, [math.nan, 1], [0, math.inf], [[1]], {"a": 1}])
@pytest.mark.parametrize("check", [BOTH, CHECK])
def test_a_value_that_json_cannot_hold_is_null(check, value):
    finding = one(check, {"v": value})
    assert finding["value"] is None and finding["reason"]
    json.dumps(finding, allow_nan=False)


@pytest.mark.parametrize(
    "profiles, gate, profile, judged",
    [
        (["load"], False, "load", True),
        (["load"], False, "smoke", False),
        (["smoke", "load"], False, "smoke", True),
        (["load"], True, "stress", True),
        (["soak"], False, "stress", False),
    ],
)
def test_judged(profiles, gate, profile, judged):
    finding = one({**BOTH, "profiles": profiles, "gate": gate}, {"v": 9}, profile)
    assert (finding["judged"], finding["result"]) == (judged, "FAIL")


@pytest.mark.parametrize(
    "facts, expected, because, reasons",
    [
        ({}, ["a"], {}, ["Not measured: there are no facts of a."]),
        (None, ["a"], {}, ["Not measured: there are no facts of a."]),
        ({"host": {"a": "x"}}, ["a"], {}, ["Not measured: there are no facts of a."]),
        ({"host": {"a": {}}}, ["a"], {}, ["Not measured: v is missing in the facts of a."]),
        ({"host": {"a": {}}}, ["a"], {"a": "fio failed."}, ["Not measured: fio failed."]),
        ({}, ["a", "b"], {"*": "blocked by etcd", "b": "unreachable"}, ["Not measured: blocked by etcd.", "Not measured: unreachable."]),
        ({"host": {"c": {"v": 0}}}, ["a", "a"], {}, ["Not measured: there are no facts of a."]),
        ({"host": {"c": {"v": 0}}}, [], {}, ["Not measured: no host is expected, its group is empty or misspelt."]),
    ],
)
def test_not_measured(facts, expected, because, reasons):
    if expected == ["a", "a"]:
        with pytest.raises(CheckError, match="expected.host is"):
            checks.judge({"etcd_x": BOTH}, facts, "etcd", "load", {"host": expected})
        return
    found = checks.judge({"etcd_x": BOTH}, facts, "etcd", "load", {"host": expected}, {}, because)
    assert [finding["reason"] for finding in found] == reasons
    assert {finding["result"] for finding in found} == {"INCONCLUSIVE"} and {finding["value"] for finding in found} == {None}


def test_only_what_is_expected_is_judged():
    facts = {"host": {"a": {"v": 0}, "z": {"v": 9}}, "cluster": {"a": {"v": 9}}}
    found = checks.judge({"etcd_x": BOTH}, facts, "etcd", "load", {"host": ["a", "b"]})
    assert [(one["host"], one["result"]) for one in found] == [("a", "PASS"), ("b", "INCONCLUSIVE")]


EACH = {**BOTH, "each": "m", "expect": ["x", "y"]}


@pytest.mark.parametrize(
    "check, document, expected",
    [
        (EACH, {"m": {"x": {"v": 0}, "y": {"v": 2}, "z": {"v": 9}}}, {"x": "PASS", "y": "CONDITIONAL", "z": "FAIL"}),
        (EACH, {"m": {"x": {"v": 0}}}, {"x": "PASS", "y": "INCONCLUSIVE"}),
        (EACH, {"m": {"x": {"v": 0}, "y": None}}, {"x": "PASS", "y": "INCONCLUSIVE"}),
        (EACH, {"m": {}}, {"x": "INCONCLUSIVE", "y": "INCONCLUSIVE"}),
        (EACH, {"m": [1]}, {"x": "INCONCLUSIVE", "y": "INCONCLUSIVE"}),
        (EACH, {}, {"x": "INCONCLUSIVE", "y": "INCONCLUSIVE"}),
        ({**BOTH, "each": "m"}, {}, {None: "INCONCLUSIVE"}),
        ({**BOTH, "each": "m"}, {"m": {}}, {None: "INCONCLUSIVE"}),
        ({**BOTH, "each": "m"}, {"m": {"b": {"v": 0}, "a": {"v": 0}}}, {"a": "PASS", "b": "PASS"}),
        ({**BOTH, "each": "m", "query": "@"}, {"m": {"a": 0, "b": "x"}}, {"a": "PASS", "b": "INCONCLUSIVE"}),
        ({**CHECK, "each": "m"}, {}, {None: "INFO"}),
    ],
)
def test_each(check, document, expected):
    assert {finding.get("entry"): finding["result"] for finding in ask(check, document)} == expected


@pytest.mark.parametrize(
    "tiers, entry_results",
    [
        ({"fast": "nvme", "slow": "ssd"}, {"fast": "CONDITIONAL", "slow": "PASS"}),
        ({"etcd_x": "ssd"}, {"fast": "PASS", "slow": "PASS"}),
        ({"etcd_x": "ssd", "fast": "nvme"}, {"fast": "CONDITIONAL", "slow": "PASS"}),
        ({"etcd": "ssd", "etcd_x": "nvme"}, {"fast": "CONDITIONAL", "slow": "CONDITIONAL"}),
        ({"etcd": "nvme"}, {"fast": "CONDITIONAL", "slow": "CONDITIONAL"}),
        ({"dns": "nvme"}, {"fast": "INCONCLUSIVE", "slow": "INCONCLUSIVE"}),
        ({"fast": "nvme"}, {"fast": "CONDITIONAL", "slow": "INCONCLUSIVE"}),
        ({}, {"fast": "INCONCLUSIVE", "slow": "INCONCLUSIVE"}),
        ({"fast": "hdd"}, {"fast": "INCONCLUSIVE", "slow": "INCONCLUSIVE"}),
    ],
)
def test_tiers(tiers, entry_results):
    found = ask({**TIERED, "each": "m"}, {"m": {"fast": {"v": 40}, "slow": {"v": 40}}}, tiers=tiers)
    assert {finding["entry"]: finding["result"] for finding in found} == entry_results
    assert all("certify_tiers" in finding["reason"] and finding["target"] is None for finding in found if finding["result"] == "INCONCLUSIVE")
    assert all(finding["judged"] for finding in found)


@pytest.mark.parametrize(
    ("tiers", "count", "result", "least", "reason"),
    [
        ({"etcd": "ssd"}, 299, "PASS", 299, ""),
        ({"etcd": "ssd"}, 298, "INCONCLUSIVE", 299, "Too few samples: 298 of at least 299."),
        ({"etcd": "nvme"}, 3000, "PASS", 3000, ""),
        ({"etcd": "nvme"}, 299, "INCONCLUSIVE", 3000, "Too few samples: 299 of at least 3000."),
        ({"etcd": "nvme"}, None, "INCONCLUSIVE", 3000, "The number of samples (n) is missing; at least 3000 are needed."),
        ({}, 10**6, "INCONCLUSIVE", None, "Not judged: certify_tiers does not name the tier of etcd_x; write etcd_x: and one of ssd, nvme."),
        ({"etcd": "hdd"}, 10**6, "INCONCLUSIVE", None, "Not judged: certify_tiers gives etcd_x the tier hdd, which has no bound here;"),
    ],
)
def test_a_tier_has_its_own_number_of_samples(tiers, count, result, least, reason):
    check = {**TIERED, "samples": "n", "min_samples": {"ssd": 299, "nvme": 3000}}
    # The tier hdd is one of another check.
    other = {**CHECK, "target": {"hdd": "> 1"}}
    found = checks.judge({"etcd_x": check, "etcd_y": other}, {"host": {"a": {"v": 99, "n": count}}}, "etcd", "load", {"host": ["a"]}, {"tiers": tiers})
    finding = next(one for one in found if one["id"] == "etcd_x")
    assert (finding["result"], finding.get("samples"), finding.get("min_samples")) == (result, count, least)
    assert finding["reason"].startswith(reason) and bool(finding["reason"]) == bool(reason)


@pytest.mark.parametrize(
    "check, said, target, critical, origin",
    [
        (BOTH, {}, "< 1", "< 5", "default"),
        (BOTH, {"thresholds": {"etcd_x": {"target": "<2", "reason": "x"}}}, "< 2", "< 5", "relaxed"),
        (BOTH, {"thresholds": {"etcd_x": {"critical": "< 3", "reason": "x"}}}, "< 1", "< 3", "tightened"),
        (BOTH, {"thresholds": {"etcd_x": {"target": "< 2", "critical": "< 3", "reason": "x"}}}, "< 2", "< 3", "changed"),
        (BOTH, {"thresholds": {"etcd_x": {"target": "<1", "reason": "x"}}}, "< 1", "< 5", "default"),
        ({**CHECK, "capacity": "qps"}, {}, None, None, "default"),
        ({**CHECK, "capacity": "qps"}, {"capacity": {"qps": 1000}}, ">= 1000", ">= 500", "capacity"),
        ({**CHECK, "capacity": "qps"}, {"capacity": {"qps": 0.5}}, ">= 0.5", ">= 0.25", "capacity"),
        ({**CHECK, "capacity": "qps", "target": "> 9", "critical": "> 3"}, {"capacity": {"qps": 5}}, ">= 5", ">= 2.5", "capacity"),
        ({**CHECK, "capacity": "qps", "target": "> 9", "critical": "> 3"}, {}, "> 9", "> 3", "default"),
        ({**CHECK, "capacity": "qps"}, {"capacity": {"qps": 10}, "thresholds": {"etcd_x": {"target": "> 20", "reason": "x"}}}, "> 20", ">= 5", "tightened"),
        ({**CHECK, "capacity": "other"}, {"capacity": {"qps": 10}}, None, None, "default"),
    ],
)
def test_bounds(check, said, target, critical, origin):
    finding = one(check, {"v": 1}, **said)
    assert (finding["target"], finding["critical"], finding["bounds"]) == (target, critical, origin)
    assert finding["judged"] is bool(target or critical)


RULE = {"not_applicable": {"query": "members", "when": "== 1", "reason": "There is one member only."}}


@pytest.mark.parametrize(
    "members, result",
    [(1, "NOT_APPLICABLE"), (1.0, "NOT_APPLICABLE")]
    + [(members, "PASS") for members in (2, None, True, "1", -1, [0, 1], math.nan, {}, [])],
)  # fmt: skip
def test_own_rule(members, result):
    finding = one({**BOTH, **RULE}, {"v": 0, "members": members})
    assert (finding["result"], finding["reason"]) == (result, RULE["not_applicable"]["reason"] if result == "NOT_APPLICABLE" else "")


def test_own_rule_needs_facts():
    assert one({**BOTH, **RULE}, None)["result"] == "INCONCLUSIVE"


SMALL = {"query": "nodes", "when": "<= 500", "reason": "It costs nothing at this size."}


@pytest.mark.parametrize(
    "check, document, result, judged",
    [
        ({**BOTH, "informs": SMALL}, {"v": 9, "nodes": 3}, "FAIL", False),
        ({**BOTH, "informs": SMALL}, {"v": 0, "nodes": 3}, "PASS", False),
        ({**BOTH, "informs": SMALL}, {"v": 9, "nodes": 501}, "FAIL", True),
        # What is not known does not excuse.
        ({**BOTH, "informs": SMALL}, {"v": 9}, "FAIL", True),
        ({**BOTH, "informs": SMALL}, {"v": 9, "nodes": "3"}, "FAIL", True),
        ({**BOTH, "informs": SMALL}, {"v": 9, "nodes": [1, 600]}, "FAIL", True),
        ({**BOTH, "informs": [{**SMALL, "query": "other"}, SMALL]}, {"v": 9, "nodes": 3}, "FAIL", False),
        ({**BOTH, "informs": True}, {"v": 9}, "FAIL", False),
        ({**BOTH, "informs": True}, {}, "INCONCLUSIVE", False),
        ({**BOTH, "informs": True, "each": "m"}, {}, "INCONCLUSIVE", False),
        ({**BOTH, "informs": True, "each": "m"}, None, "INCONCLUSIVE", False),
        ({**BOTH, "informs": SMALL, "each": "m"}, {"nodes": 3}, "INCONCLUSIVE", True),
    ],
)
def test_informs(check, document, result, judged):
    finding = one(check, document)
    assert (finding["result"], finding["judged"]) == (result, judged)
    assert (SMALL["reason"] in finding["reason"]) == (not judged and result == "FAIL" and check["informs"] is not True)


def test_rules_are_asked_of_the_whole_and_of_each_entry():
    check = {**BOTH, "each": "m", "informs": SMALL, "not_applicable": [{"query": "role", "when": '== "witness"', "reason": "It holds no data."}]}
    document = {"nodes": 3, "m": {"a": {"v": 9}, "b": {"v": 9, "role": "witness"}, "c": {"v": 9, "nodes": 900}}}
    found = {finding["entry"]: (finding["result"], finding["judged"]) for finding in ask(check, document)}
    assert found == {"a": ("FAIL", False), "b": ("NOT_APPLICABLE", True), "c": ("FAIL", False)}
    assert {finding["judged"] for finding in ask(check, {**document, "nodes": 900}) if finding["entry"] != "b"} == {True}


@pytest.mark.parametrize(
    "document, reason",
    [
        ({"missing": {"v": "It is too new."}}, "Not measured: It is too new."),
        ({"missing": {"": "It cannot be read."}}, "Not measured: It cannot be read."),
        ({"v": [2, None], "missing": {"v": "A step was lost"}}, "Undecided: the interval [2, null] lies on both sides of critical. A step was lost."),
        ({"v": [0, 2], "missing": {"v": "A step was lost."}}, "Undecided: the interval [0, 2] lies on both sides of target. A step was lost."),
        ({"v": [2, None]}, "Undecided: the interval [2, null] lies on both sides of critical."),
        ({"missing": {"": "It cannot be read.", "v": "It is too new"}}, "Not measured: It is too new."),
        ({"missing": {"w": "Another."}}, "Not measured: v is missing in the facts of a."),
        ({"missing": {"v": 7}}, "Not measured: v is missing in the facts of a."),
        ({"missing": "damaged"}, "Not measured: v is missing in the facts of a."),
    ],
)
def test_facts_say_why_one_is_missing(document, reason):
    assert one(BOTH, document)["reason"] == reason
    assert one(BOTH, {**document, "v": 0})["result"] == "PASS"
    assert one({**BOTH, "each": "m"}, {"m": {"x": document}})["reason"].replace("of x", "of a") == reason


def test_why_a_map_is_missing():
    assert one({**BOTH, "each": "m"}, {"missing": {"m": "Nobody answered."}})["reason"] == "Not measured: Nobody answered."
    assert one(BOTH, {"missing": {"v": "It is too new."}}, because={"a": "the host was lost"})["reason"] == "Not measured: the host was lost."


def test_where_it_was_set_and_what_to_write():
    check = {**BOTH, "each": "m", "where": "set_by", "write": "max: 3"}
    found = {finding["entry"]: finding for finding in ask(check, {"m": {"a": {"v": 9, "set_by": "/etc/x"}, "b": {"v": 9, "set_by": 3}, "c": {"v": 9}}})}
    assert [found[name].get("where") for name in "abc"] == ["/etc/x", None, None] and found["a"]["write"] == "max: 3"


def test_not_applicable_by_the_user():
    finding = one(BOTH, None, not_applicable={"etcd_x": "It is managed."})
    assert (finding["result"], finding["reason"], finding["judged"], finding["value"]) == ("NOT_APPLICABLE", "It is managed.", True, None)


@pytest.mark.parametrize(
    "today, value, result, waived",
    [
        ("2027-01-31", 9, "CONDITIONAL", True),
        ("2027-02-01", 9, "FAIL", False),
        ("2027-01-01", 2, "CONDITIONAL", False),
        ("2027-01-01", 0, "PASS", False),
        ("2027-01-01", None, "INCONCLUSIVE", False),
        ("2027-01-01", [4, 6], "INCONCLUSIVE", False),
    ],
)
def test_waiver(today, value, result, waived):
    finding = one({**BOTH, "gate": True}, {"v": value}, today=today, waivers={"etcd_x": WAIVER})
    assert (finding["result"], finding.get("waiver")) == (result, WAIVER if waived else None)
    assert ("storage team" in finding["reason"]) == (value == 9) and finding["gate"]


def test_judge_refuses():
    for arguments, words in (
        (({"etcd_x": BOTH}, {}, "dns", "load", {}), "No check belongs to the layer"),
        (({"etcd_x": BOTH}, {}, "etcd", "full", {}), "certify_profile is"),
        (({"etcd_x": {**BOTH, "target": 5}}, {}, "etcd", "load", {}), "etcd_checks: etcd_x: target is 5"),
        (({"etcd_x": BOTH}, {}, "etcd", "load", {"host": "a"}), "expected.host is"),
        (({"etcd_x": BOTH}, {}, "etcd", "load", {}, {"waivers": {"etcd_x": WAIVER}}), "today is null"),
    ):
        with pytest.raises(CheckError, match=words):
            checks.judge(*arguments)
    assert checks.judge({}, {}, "etcd", "load", {}) == []


def test_a_layer_takes_its_own_checks_from_the_catalogue():
    catalogue = {"etcd_x": BOTH, "dns_x": BOTH}
    assert [f["id"] for f in checks.judge(catalogue, {}, "dns", "load", {"host": ["a"]}, {"waivers": {"etcd_x": WAIVER}, "tiers": {"a": "b"}})] == ["dns_x"]


# Verdict, worst, checklist, waivers -----------------------------------------------------------------------------------------


def finding(result="PASS", identifier="etcd_x", **more):
    base = {"id": identifier, "layer": "etcd", "title": identifier, "host": "a", "value": 1, "unit": "s", "target": "< 1", "critical": "< 5"}
    return {**base, "judged": True, "reason": "", "result": result, **more}


@pytest.mark.parametrize(
    "results, expected",
    [
        ([], "INCONCLUSIVE"),
        (["NOT_APPLICABLE"], "INCONCLUSIVE"),
        (["PASS", "NOT_APPLICABLE"], "PASS"),
        (["PASS", "CONDITIONAL"], "CONDITIONAL"),
        (["PASS", "CONDITIONAL", "INCONCLUSIVE"], "INCONCLUSIVE"),
        (["PASS", "INCONCLUSIVE", "FAIL"], "FAIL"),
        (["PASS", "ODD"], "INCONCLUSIVE"),
    ],
)
def test_verdict(results, expected):
    found = checks.verdict([finding(result) for result in results] + [finding("FAIL", judged=False)])
    assert found["verdict"] == expected and sum(found["counts"].values()) == len(results) + 1 and found["counts"]["INFO"] == 1
    assert found["judged"] == len([result for result in results if result != "NOT_APPLICABLE"])


def test_verdict_of_a_certificate_asks_only_blocking_rules_of_tuning():
    tuning = [finding("FAIL", "tuning_a", layer="tuning"), finding("PASS", "tuning_b", layer="tuning", blocking=True)]
    assert checks.verdict([finding(), *tuning])["verdict"] == "FAIL"
    found = checks.verdict([finding(), *tuning], ["tuning"])
    assert (found["verdict"], found["counts"]["INFO"]) == ("PASS", 1)
    assert checks.verdict([finding(), {**tuning[0], "blocking": True}], ["tuning"])["verdict"] == "FAIL"


def test_a_finding_that_lost_its_keys_improves_nothing():
    assert checks.verdict([{"result": "FAIL"}])["verdict"] == "FAIL"
    assert checks.verdict([{"judged": True}])["verdict"] == "INCONCLUSIVE"


@pytest.mark.parametrize(
    "better, worse",
    [
        (finding("PASS"), finding("CONDITIONAL")),
        (finding("CONDITIONAL"), finding("INCONCLUSIVE")),
        (finding("INCONCLUSIVE"), finding("FAIL")),
        (finding("NOT_APPLICABLE"), finding("PASS")),
        (finding("INFO"), finding("NOT_APPLICABLE")),
        (finding("FAIL", value=6), finding("FAIL", value=7)),
        (finding("FAIL", value=[6, 7]), finding("FAIL", value=[5, None])),
        (finding("PASS", value=7, critical="> 5"), finding("PASS", value=6, critical="> 5")),
        (finding("FAIL", value=9000, critical="> 10000"), finding("FAIL", value=10000, critical="> 50000")),
        (finding("FAIL", host="b"), finding("FAIL", host="a")),
        (finding("FAIL", entry="y"), finding("FAIL", entry="x")),
    ],
)
def test_worst(better, worse):
    for order in ([better, worse], [worse, better]):
        assert checks.worst(order + [finding("FAIL", "etcd_other")])["etcd_x"] == {**worse, "findings": 2}


ITEMS = {"write": {"title": "etcd write", "layer": "etcd", "checks": ["etcd_x", "etcd_y"]}}
GOOD = [finding(entry="e"), finding("PASS", "etcd_y", value=8)]
SHOWN = {"value": 1, "unit": "s", "host": "a", "entry": "e"}


def fill(findings, profile="load", partial=False, layers=("etcd",), scaled=False, **more):
    (item,) = checks.checklist({"write": {**ITEMS["write"], **more}}, findings, profile, partial, layers, scaled)
    assert {"id": "write", **ITEMS["write"]}.items() <= item.items()
    return {key: value for key, value in item.items() if key not in ("id", "title", "layer", "checks")}


@pytest.mark.parametrize(
    "findings, how, expected",
    [
        (GOOD, {}, {"status": "filled", "result": "PASS", **SHOWN}),
        (GOOD, {"profile": "soak"}, {"status": "filled", "result": "PASS", **SHOWN}),
        (GOOD, {"profile": "smoke"}, {"status": "indicative", **SHOWN, "reason": "The profile smoke does not fill the checklist."}),
        (GOOD, {"profile": "stress"}, {"status": "indicative", **SHOWN, "reason": "The profile stress does not fill the checklist."}),
        (GOOD, {"scaled": True}, {"status": "indicative", **SHOWN, "reason": "The run is scaled: it was shortened."}),
        (GOOD, {"scaled": True, "partial": True, "profile": "soak"}, {"status": "indicative", **SHOWN, "reason": "The run is scaled: it was shortened."}),
        (GOOD, {"partial": True}, {"status": "indicative", **SHOWN, "reason": "The run is partial."}),
        (GOOD, {"profiles": ["soak"]}, {"status": "indicative", **SHOWN, "reason": "Only the profile soak fills it."}),
        (GOOD, {"profiles": ["soak"], "profile": "soak"}, {"status": "filled", "result": "PASS", **SHOWN}),
        (GOOD, {"layers": ["dns"]}, {"status": "not measured", "result": "INCONCLUSIVE", "reason": "The layer etcd did not run."}),
        (GOOD[:1], {}, {"status": "not measured", "result": "INCONCLUSIVE", "reason": "etcd_y has no finding."}),
        ([], {}, {"status": "not measured", "result": "INCONCLUSIVE", "reason": "etcd_x has no finding."}),
        ([GOOD[0], finding("FAIL", "etcd_y")], {}, {"status": "filled", "result": "FAIL", **SHOWN, "reason": "etcd_y: FAIL."}),
        ([finding("FAIL", reason="Why.")], {}, {"status": "filled", "result": "FAIL", "value": 1, "unit": "s", "host": "a", "reason": "Why."}),
        ([GOOD[0], finding("PASS", "etcd_y"), finding("INCONCLUSIVE", "etcd_y", value=None, reason="Lost.")], {},
         {"status": "not measured", "result": "INCONCLUSIVE", "reason": "Lost."}),
        ([GOOD[0], finding("INCONCLUSIVE", "etcd_y", reason="Few.")], {}, {"status": "filled", "result": "INCONCLUSIVE", **SHOWN, "reason": "Few."}),
        ([GOOD[0], finding("PASS", "etcd_y", judged=False)], {}, {"status": "indicative", **SHOWN, "reason": "etcd_y is not judged in the profile load."}),
        ([GOOD[0], finding("NOT_APPLICABLE", "etcd_y", value=None, reason="One.")], {}, {"status": "filled", "result": "PASS", **SHOWN}),
        ([finding("NOT_APPLICABLE", name, value=None, reason="One.") for name in ("etcd_x", "etcd_y")], {},
         {"status": "filled", "result": "NOT_APPLICABLE", "reason": "One."}),
        ([finding("NOT_APPLICABLE", name, value=None, reason="One.") for name in ("etcd_x", "etcd_y")], {"profile": "smoke"},
         {"status": "not measured", "result": "NOT_APPLICABLE", "reason": "One."}),
        ([finding("INFO", "etcd_x", judged=False), GOOD[1]], {},
         {"status": "indicative", "value": 1, "unit": "s", "host": "a", "reason": "etcd_x is not judged in the profile load."}),
    ],
)  # fmt: skip
def test_checklist(findings, how, expected):
    assert fill(findings, **how) == expected


@pytest.mark.parametrize("item", [{}, "x", {**ITEMS["write"], "checks": []}, {**ITEMS["write"], "check": "x"}, {**ITEMS["write"], "profiles": ["x"]}])
def test_checklist_refuses(item):
    with pytest.raises(CheckError, match="checklist: write: "):
        checks.checklist({"write": item}, [], "load", False, ["etcd"])


@pytest.mark.parametrize(
    "results, today, state, reported, judged",
    [
        (["FAIL"], "2027-02-01", "expired", True, True),
        ([], "2027-02-01", "expired", True, False),
        (["PASS"], "2027-01-31", "unused", True, True),
        (["PASS", "CONDITIONAL"], "2027-01-31", "unused", True, True),
        (["PASS", "INCONCLUSIVE"], "2027-01-31", "unused", False, False),
        ([], "2027-01-31", "unused", False, False),
        (["WAIVED", "PASS"], "2027-01-31", "used", False, False),
    ],
)
def test_waiver_findings(results, today, state, reported, judged):
    found = [finding("CONDITIONAL", waiver=WAIVER) if result == "WAIVED" else finding(result) for result in results]
    said = {"today": today, "waivers": {"etcd_x": WAIVER}}
    assert checks.waiver_states(found, said) == [{"id": "etcd_x", **WAIVER, "state": state}]
    reports = checks.waiver_findings(found, said, "prod")
    assert len(reports) == reported
    for report in reports:
        assert (report["layer"], report["entry"], report["result"], report["judged"], report["host"]) == ("certify", "etcd_x", "CONDITIONAL", judged, "prod")
        assert "storage team" in report["reason"]


def test_an_unused_waiver_of_a_check_that_is_not_judged_is_no_finding():
    assert checks.waiver_findings([finding(judged=False)], {"today": "2027-01-01", "waivers": {"etcd_x": WAIVER}}) == []


# Hostile facts --------------------------------------------------------------------------------------------------------------

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from([0, 0.5, 1, 2, 9, 299, 300, "ssd", 10**400])
KEYS = st.sampled_from(["v", "n", "m", "members", "x", "y"])
FACTS = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner), max_leaves=8)
CATALOGUE = {
    "etcd_both": BOTH, "etcd_sampled": SAMPLED, "etcd_each": EACH, "etcd_any": {**BOTH, "each": "m", "query": "@"}, "etcd_tier": TIERED,
    "etcd_rule": {**BOTH, **RULE},
    "etcd_text": {**CHECK, "critical": 'in ["ssd", true]'}, "etcd_info": CHECK, "etcd_up": {**CHECK, "target": ">= 2", "critical": "> 1"},
}  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(FACTS, st.sampled_from(checks.PROFILES), st.sampled_from(["ssd", "nvme"]))
def test_any_facts_are_judged(document, profile, tier):
    said = {"today": "2027-01-01", "waivers": {"etcd_both": WAIVER}, "tiers": {"etcd_tier": tier}}
    found = checks.judge(CATALOGUE, {"host": {"a": document}}, "etcd", profile, {"host": ["a", "b"]}, said)
    json.dumps(found, allow_nan=False)
    assert {(f["id"], f["host"]) for f in found} == {(identifier, host) for identifier in CATALOGUE for host in "ab"}
    assert all(f["result"] in ("INCONCLUSIVE", "INFO") for f in found if f["host"] == "b")
    value = document.get("v") if isinstance(document, dict) else None
    (both,) = [f for f in found if (f["id"], f["host"]) == ("etcd_both", "a")]
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf:
        assert both["result"] == ("PASS" if value < 1 else "CONDITIONAL") and ("waiver" in both) == (value >= 5)
    elif not isinstance(value, list):
        assert both["result"] == "INCONCLUSIVE"
    assert checks.verdict(found)["verdict"] in ("FAIL", "INCONCLUSIVE")
    assert set(checks.worst(found)) == set(CATALOGUE)
    checks.checklist(ITEMS, found, profile, False, ["etcd"])
