# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts out of checks: which are watched, that an alert says what the judge says, and that nothing is left out in silence."""

from __future__ import annotations

import operator
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import bounds, monitoring_proof, monitoring_queries, monitoring_rules, monitoring_watch
from ansible_collections.kubeproof.certify.plugins.module_utils.monitoring_queries import MonitoringError

FACTS = monitoring_queries.facts_of("v1.36.3", "3.6.8", "traefik", ["node-exporter"])
CHECK = {"title": "Fsync, P99", "query": "a", "scope": "host", "unit": "s", "min_samples": 299, "profiles": ["load"],
         "fix": "Give it a disk of its own.", "reference": "https://example.com/x"}  # fmt: skip
HISTOGRAM = {"quantile": 0.99, "metric": "fsync_seconds", "job": "etcd", "by": ["instance"], "for": "10m"}
SELECTORS = {"etcd": 'job="kube-etcd"'}
SIGNS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "!=": operator.ne, "==": operator.eq}


def watch(entry, settings=None, **check):
    layers = {"etcd": {"title": "etcd", "jobs": ["etcd"], "checks": {"etcd_x": entry}}}
    watched, left = monitoring_watch.watch(layers, {"etcd": {"etcd_x": {**CHECK, **check}}}, settings, FACTS)
    return watched, left, layers


def alerts(entry, settings=None, **check):
    """Return {severity: alert} of one check."""
    watched, dummy, layers = watch(entry, settings, **check)
    rules = [rule for group in monitoring_rules.groups(watched, layers, SELECTORS, "5m")["etcd"] for rule in group["rules"]]
    return {rule["labels"]["severity"]: rule for rule in rules if rule.get("alert") == "KubeproofEtcdX"}, rules


def test_target_warns_and_critical_is_critical():
    found, rules = alerts(HISTOGRAM, target="< 0.01", critical="< 0.025")
    assert found["warning"]["expr"] == "kubeproof:etcd_x > 0.01 and kubeproof:etcd_x:samples >= 299"
    assert found["critical"]["expr"] == "kubeproof:etcd_x > 0.025 and kubeproof:etcd_x:samples >= 299"
    assert found["critical"]["annotations"]["summary"] == 'Fsync, P99: {{ $value | printf "%.6g" }}, critical <= 0.025 s'
    assert found["critical"]["labels"] == {"severity": "critical", "layer": "etcd", "check": "etcd_x"}
    assert [rule["expr"] for rule in rules if "record" in rule] == [
        'histogram_quantile(0.99, sum by (instance, le) (rate(fsync_seconds_bucket{job="kube-etcd"}[5m])))',
        'sum by (instance) (increase(fsync_seconds_count{job="kube-etcd"}[5m]))',
    ]


@pytest.mark.parametrize(
    ("entry", "bound", "expected"),
    [
        ({"expr": "up{$etcd}"}, "== true", "kubeproof:etcd_x != 1"),
        ({"expr": "up{$etcd}"}, "== 0", "kubeproof:etcd_x != 0"),
        ({"expr": "up{$etcd}"}, "< 0.75", "kubeproof:etcd_x >= 0.75"),
        ({"expr": "up{$etcd}"}, "> 0.9", "kubeproof:etcd_x <= 0.9"),
        ({"expr": "up{$etcd}"}, ">= 2", "kubeproof:etcd_x < 2"),
        ({"expr": "up{$etcd}", "samples": "n{$etcd}"}, ">= 2", "kubeproof:etcd_x < 2 and kubeproof:etcd_x:samples >= 299"),
        ({"expr": "up{$etcd}", "samples": "n{$etcd}", "least": 5}, ">= 2", "kubeproof:etcd_x < 2 and kubeproof:etcd_x:samples >= 5"),
        ({**HISTOGRAM}, "> 5", "kubeproof:etcd_x <= 5 and kubeproof:etcd_x:samples >= 299"),
    ],
)
def test_an_alert_is_the_bound_turned_round(entry, bound, expected):
    assert alerts(entry, critical=bound)[0]["critical"]["expr"] == expected


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"expr": "up{$etcd}"}, {"KubeproofCheckNotMeasured": "absent(kubeproof:etcd_x == kubeproof:etcd_x)"}),
        ({"expr": "up{$etcd}", "sparse": "It may be."}, {}),
        (HISTOGRAM, {"KubeproofCheckNotMeasured": "absent(kubeproof:etcd_x == kubeproof:etcd_x)",
                     "KubeproofCheckTooFewSamples": "absent(kubeproof:etcd_x:samples >= 299)"}),
        ({**HISTOGRAM, "sparse": "It may be."}, {"KubeproofCheckTooFewSamples": "absent(kubeproof:etcd_x:samples >= 299)"}),
    ],
)  # fmt: skip
def test_a_check_without_a_number_is_an_alert(entry, expected):
    """NaN, which is not equal to itself, is none; with too few samples the alerts of the bounds are silent."""
    rules = {rule["alert"]: rule for rule in alerts(entry, critical="< 1")[1] if rule.get("alert", "").startswith("KubeproofCheck")}
    assert {name: rule["expr"] for name, rule in rules.items()} == expected
    assert {rule["for"] for rule in rules.values()} <= {"1h"}


def test_a_check_has_a_window_of_its_own():
    rules = alerts({**HISTOGRAM, "window": "6h"}, critical="< 1")[1]
    assert [rule["expr"].count("[6h]") for rule in rules if "record" in rule] == [1, 1]


def test_one_alert_where_both_bounds_are_the_same():
    assert set(alerts(HISTOGRAM, target="<= 5", critical="<= 5.0")[0]) == {"critical"}


def test_the_users_bounds_are_those_of_the_alerts():
    settings = {"thresholds": {"etcd_x": {"critical": "< 0.5", "reason": "A slow disk."}}}
    assert "> 0.5 " in alerts(HISTOGRAM, settings, target="< 0.01", critical="< 0.025")[0]["critical"]["expr"]
    # A bound where the check had none.
    assert "> 0.3 " in alerts(HISTOGRAM, {"thresholds": {"etcd_x": {"target": "< 0.3", "reason": "Ours."}}})[0]["warning"]["expr"]


@pytest.mark.parametrize(
    ("entry", "settings", "check", "reason"),
    [
        ("It is a test.", {}, {"critical": "== 0"}, "It is a test."),
        ([{**HISTOGRAM, "when": {"etcd": ">= 3.7"}}, "Older."], {}, {"critical": "< 1"}, "Older."),
        ([{**HISTOGRAM, "when": {"exporter": "kube-state-metrics"}}], {}, {"critical": "< 1"}, "No query fits the versions and exporters of this cluster."),
        (HISTOGRAM, {"not_applicable": {"etcd_x": "No disk."}}, {"critical": "< 1"}, "certify_not_applicable: No disk."),
        (HISTOGRAM, {}, {"critical": {"ssd": "< 1", "nvme": "< 2"}}, "Its bounds depend on the class; choose one in certify_tiers (etcd: ssd or nvme)."),
    ],
)
def test_what_is_not_watched_has_a_reason(entry, settings, check, reason):
    watched, left, dummy = watch(entry, settings, **check)
    assert watched == [] and left == {"etcd_x": reason}


def test_a_check_without_bounds_is_no_alert_and_needs_no_reason():
    assert watch(HISTOGRAM)[:2] == ([], {})


def test_the_class_chooses_the_bound():
    found, dummy = alerts(HISTOGRAM, {"tiers": {"etcd": "nvme"}}, critical={"ssd": "< 1", "nvme": "< 2"})
    assert "> 2 " in found["critical"]["expr"]


@pytest.mark.parametrize(("tier", "least"), [("ssd", 299), ("nvme", 3000)])
def test_the_class_chooses_how_many_samples_it_takes(tier, least):
    found, dummy = alerts(HISTOGRAM, {"tiers": {"etcd": tier}}, critical={"ssd": "< 1", "nvme": "< 2"}, min_samples={"ssd": 299, "nvme": 3000})
    assert found["critical"]["expr"].endswith(f"kubeproof:etcd_x:samples >= {least}")


@pytest.mark.parametrize(
    ("entry", "check", "said"),
    [
        ({"expr": "up{$etc}"}, {"critical": "== 0"}, "$etc in 'up{$etc}' is not known"),
        ({"expr": "up", "for": "soon"}, {"critical": "== 0"}, "for is 'soon'"),
        ({"expr": "up", "window": "0s"}, {"critical": "== 0"}, "window is '0s'"),
        ({"expr": "up", "window": 6}, {"critical": "== 0"}, "window is 6"),
        ({"quantile": 0.99, "job": "etcd"}, {"critical": "== 0"}, "'metric' is missing"),
        ({"expr": "up", "sample": "x"}, {"critical": "== 0"}, "sample is not known"),
        ({"expr": "up", "when": {"etcd": "3.7"}}, {"critical": "== 0"}, "write >= or <"),
        ({"expr": "up", "when": {"weather": "fine"}}, {"critical": "== 0"}, "when has weather"),
        ({"expr": "up"}, {"critical": '== "works"'}, "compares numbers"),
    ],
)
def test_data_that_cannot_be_used_is_named(entry, check, said):
    with pytest.raises(MonitoringError, match=re.escape(said)):
        alerts(entry, **check)


@pytest.mark.parametrize("text", ["", "{job}", 'job="a",', "a[5m]"])
def test_a_selector_that_would_break_a_query_is_refused(text):
    with pytest.raises(MonitoringError, match="monitoring_selectors: etcd"):
        monitoring_queries.words_of({}, {"etcd": text}, "5m")


def test_a_version_that_is_none_is_refused():
    with pytest.raises(MonitoringError, match="monitoring_kubernetes_version is 'new'"):
        monitoring_queries.facts_of("new", "", "", [])


def test_braces_in_a_text_do_not_become_a_template():
    rule = alerts({"expr": "up"}, critical="== 0", title="Odd {{ name }}")[0]["critical"]
    assert rule["annotations"]["summary"].startswith('Odd {{ "{{" }} name }}: ')


BOUNDS = st.tuples(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), st.one_of(st.integers(0, 10**10), st.floats(1e-6, 1e9, allow_nan=False)))


@given(BOUNDS, st.floats(0, 1e10, allow_nan=False), st.booleans())
def test_an_alert_fires_where_the_judge_says_missed(pair, value, histogram):
    sign, literal = pair
    watched, dummy, dummy2 = watch(HISTOGRAM if histogram else {"expr": "up"}, critical=f"{sign} {bounds.show(literal)}")
    [limit] = watched[0].limits
    judged = [value * 0.999 - 1e-9, value] if histogram and sign == "<" and value > 1e-6 else value
    if isinstance(judged, list):
        # The upper end of an interval is in it, and < is judged as <=.
        missed = bounds.truth(bounds.parse(f"<= {bounds.show(literal)}"), value) == bounds.MISSES
    else:
        missed = bounds.truth(limit.bound, value) == bounds.MISSES
    assert SIGNS[limit.missed](value, limit.number) == missed


# The tests for promtool --------------------------------------------------------------------------------------------------------


def test_the_proof_has_each_bound_and_both_sides_of_it():
    watched, dummy, dummy2 = watch(HISTOGRAM, target="< 0.01", critical="< 0.025")
    made = monitoring_proof.proof(watched, "etcd", SELECTORS, "../rules/x.yml")
    case = made["tests"][0]
    given = {one["series"]: one["values"] for one in case["input_series"]}
    for value in ("0.009999", "0.01", "0.010001", "0.025", "0.0250025"):
        assert any(f'at {value} with 299"' in name for name in given), value
    pending, final = case["alert_rule_test"]
    assert pending == {"eval_time": "540s", "alertname": "KubeproofEtcdX", "exp_alerts": []}
    firing = {(one["exp_labels"]["instance"], one["exp_labels"]["severity"]) for one in final["exp_alerts"]}
    assert {name.split()[1] for name, dummy in firing if dummy == "critical"} == {"0.0250025"}
    assert {name.split()[1] for name, dummy in firing if dummy == "warning"} == {"0.010001", "0.0249975", "0.025", "0.0250025"}
    assert not any("298" in name for name, dummy in firing)


@pytest.mark.parametrize(
    ("selector", "labels"),
    [
        ('job="a"', {"job": "a"}),
        ('job="kubelet",metrics_path="/metrics"', {"job": "kubelet", "metrics_path": "/metrics"}),
        ('job=~".*etcd.*"', {"job": "etcd"}),
        ('job=~".*(traefik|ingress).*"', {"job": "traefik"}),
        ('job!="a"', None),
        ('job=~"[a-z]+"', None),
    ],
)
def test_labels_that_a_selector_matches(selector, labels):
    assert monitoring_proof.matching(selector) == labels
