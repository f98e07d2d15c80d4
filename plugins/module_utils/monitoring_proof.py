# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests for promtool that every alert fires where the certificate's judge says that the bound is missed, and is silent where it is met. Pure.

What an alert must do is asked of the judge (bounds.truth), not of the rule: a rule that says something else than the check fails its test.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Dict, List, Optional

from ansible_collections.kubeproof.certify.plugins.module_utils import bounds, monitoring_rules as rules
from ansible_collections.kubeproof.certify.plugins.module_utils.monitoring_watch import Limit, Watched

# A step that shows in six digits, and that a float does not lose.
STEP = 1e-4
DIGITS = 12
EQUAL = re.compile(r'([a-zA-Z_]\w*)="([^"\\]*)"')
CHOICE = re.compile(r'([a-zA-Z_]\w*)=~"([^"\\]*)"')
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
MINUTE = 60


def proof(watched: Sequence, layer: str, jobs: Mapping, rule_file: str) -> Dict[str, Any]:
    """Return a file of tests for promtool for the rules of a layer; `jobs`: {name: selector} of what it scrapes.

    One test for each check: for each bound a series at it and just beside it, and one with too few samples. Then what is missing, and what is not.
    """
    tests = [_case(one) for one in watched if one.limits] + _missing(watched, layer, jobs)
    return {"rule_files": [rule_file], "evaluation_interval": "1m", "tests": tests}


def _case(one: Watched) -> dict:
    cases = [(value, one.least) for value in values(one.limits)]
    if one.least:
        cases.append((next(value for value, dummy in cases if any(misses(limit, value) for limit in one.limits)), one.least - 1))
    wait = _seconds(one.query.wait)
    given, firing = [], []
    for value, samples in cases:
        labels = {"instance": f"at {_text(value)}" + (f" with {samples}" if one.least else "")}
        given.append(_given(rules.series(one.identifier), labels, value, wait))
        if one.least:
            given.append(_given(rules.series(one.identifier) + ":samples", labels, samples, wait))
        if samples >= one.least:
            firing += [_expected(one, limit, labels, value) for limit in one.limits if misses(limit, value)]
    name = rules.alert_name(one.identifier)
    moments = [{"eval_time": f"{wait}s", "alertname": name, "exp_alerts": firing}]
    if wait:
        # Not before its time.
        moments.insert(0, {"eval_time": f"{wait - MINUTE}s", "alertname": name, "exp_alerts": []})
    return {"name": one.identifier, "interval": "1m", "input_series": given, "alert_rule_test": moments}


def values(limits: Sequence[Limit]) -> List[float]:
    """Return each bound, and the values just beside it; what is a truth value has no others."""
    found = set()
    for limit in limits:
        whole = isinstance(limit.number, int) and limit.number < 1000
        step = 1 if whole else limit.number * STEP
        found |= {limit.number} | ({limit.number - step, limit.number + step} if not isinstance(limit.bound.literal, bool) else {1 - limit.number})
    return sorted(round(value, DIGITS) for value in found if value >= 0)


def misses(limit: Limit, value: float) -> bool:
    """Say whether the judge would find the bound missed."""
    asked = bool(value) if isinstance(limit.bound.literal, bool) else value
    return bounds.truth(limit.bound, asked) == bounds.MISSES


def _given(name: str, labels: Mapping, value: float, wait: int) -> dict:
    inside = ",".join(f'{key}="{text}"' for key, text in labels.items())
    return {"series": f"{name}{{{inside}}}", "values": f"{_text(value)}x{wait // MINUTE + 2}"}


def _expected(one: Watched, limit: Limit, labels: Mapping, value: float) -> dict:
    rule = rules.alert(one, limit)
    notes = {key: text.replace(rules.VALUE, f"{value:.6g}").replace('{{ "{{" }}', "{{") for key, text in rule["annotations"].items()}
    return {"exp_labels": {**labels, **rule["labels"]}, "exp_annotations": notes}


def _text(value: float) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def _seconds(wait: str) -> int:
    return int(wait[:-1]) * UNITS[wait[-1]]


def _missing(watched: Sequence, layer: str, jobs: Mapping) -> List[dict]:
    """Return tests of the alerts that say that something is not scraped, or not measured."""
    checked = [one for one in watched if not one.query.sparse]
    scraped = {job: labels for job, labels in ((job, matching(selector)) for job, selector in jobs.items()) if labels}
    missing = {job: _rule_alert(rules.target(layer, job, selector, True)) for job, selector in jobs.items()}
    gone = [_rule_alert(rules.unmeasured(one)) for one in checked]
    few = [_rule_alert(rules.few(one)) for one in watched if one.least]
    unmeasured = [
        {"eval_time": "59m", "alertname": rules.UNMEASURED, "exp_alerts": []},
        {"eval_time": "60m", "alertname": rules.UNMEASURED, "exp_alerts": gone},
        {"eval_time": "59m", "alertname": rules.FEW, "exp_alerts": []},
        {"eval_time": "60m", "alertname": rules.FEW, "exp_alerts": few},
    ]
    nothing = [
        *unmeasured,
        {"eval_time": "14m", "alertname": rules.MISSING, "exp_alerts": []},
        {"eval_time": "15m", "alertname": rules.MISSING, "exp_alerts": list(missing.values())},
    ]
    there = [{"series": rules.series(one.identifier), "values": "1x61"} for one in checked]
    there += [{"series": rules.series(one.identifier) + ":samples", "values": f"{one.least}x61"} for one in watched if one.least]
    odd = [{"series": rules.series(one.identifier), "values": "NaN+0x61"} for one in checked]
    odd += [{"series": rules.series(one.identifier) + ":samples", "values": f"{one.least - 1}x61"} for one in watched if one.least]
    there += [_given("up", {**labels, "instance": name}, value, 1000) for labels in scraped.values() for name, value in (("on", 1), ("off", 0))]
    down = [_down(layer, job, labels, jobs[job]) for job, labels in scraped.items()]
    present = [
        {"eval_time": "60m", "alertname": rules.UNMEASURED, "exp_alerts": []},
        {"eval_time": "60m", "alertname": rules.FEW, "exp_alerts": []},
        {"eval_time": "16m", "alertname": rules.MISSING, "exp_alerts": [one for job, one in missing.items() if job not in scraped]},
        {"eval_time": "4m", "alertname": rules.DOWN, "exp_alerts": []},
        {"eval_time": "5m", "alertname": rules.DOWN, "exp_alerts": down},
    ]
    # What a target's state is recorded as would stand beside the series that are given here.
    own = {one.identifier for one in checked if "up{" in one.query.expr}
    there = [one for one in there if one["series"].partition(":")[2] not in own]
    return [
        {"name": "nothing is there", "interval": "1m", "input_series": [], "alert_rule_test": nothing},
        {"name": "nothing happens", "interval": "1m", "input_series": odd, "alert_rule_test": unmeasured},
        {"name": "all is there", "interval": "1m", "input_series": there, "alert_rule_test": present},
    ]


def _down(layer: str, job: str, labels: Mapping, selector: str) -> dict:
    expected = _rule_alert(rules.target(layer, job, selector, False))
    notes = {key: text.replace("{{ $labels.instance }}", "off") for key, text in expected["exp_annotations"].items()}
    return {"exp_labels": {**labels, "instance": "off", **expected["exp_labels"]}, "exp_annotations": notes}


def _rule_alert(rule: Mapping) -> dict:
    """Return the alert that a rule without a series of its own fires; absent() hands on what the selector says with =."""
    inside = re.search(r"absent\(up\{(.*)\}\)", rule["expr"])
    labels = dict(EQUAL.findall(inside.group(1))) if inside else {}
    return {"exp_labels": {**labels, **rule["labels"]}, "exp_annotations": dict(rule["annotations"])}


def matching(selector: str) -> Optional[dict]:
    """Return labels that a selector matches, None where it says more than =, or a choice of names in =~."""
    found = dict(EQUAL.findall(selector))
    for label, pattern in CHOICE.findall(selector):
        text = re.sub(r"\(([^()|]*)(?:\|[^()]*)?\)", r"\1", pattern).split("|")[0].replace(".*", "")
        if not re.fullmatch(pattern, text):
            return None
        found[label] = text
    return found if len(found) == len(re.findall(r"=~?\"", selector)) and "!" not in selector else None


# When promtool's clock, which begins at 0, shows six minutes, an alert that waits for five fires if its reason came in the first minute.
FORTNIGHT = 14 * 86400
CERTIFICATES = {
    "KubeproofCertificateFailed": ('kubeproof_certificate_verdict{%s,verdict="FAIL"}', 1, 0),
    "KubeproofCertificateInconclusive": ('kubeproof_certificate_verdict{%s,verdict="INCONCLUSIVE"}', 1, 0),
    "KubeproofCertificateExpires": ("kubeproof_certificate_expiry_timestamp_seconds{%s}", FORTNIGHT, FORTNIGHT + 600),
    "KubeproofCertificateExpired": ("kubeproof_certificate_expiry_timestamp_seconds{%s}", 60, 600),
}


def certificate_proof(rule_file: str, scraped: bool) -> Dict[str, Any]:
    """Return a file of tests for the alerts about certificates: of the cluster prod all fires, of the cluster lab nothing. `scraped`: as for the rules."""
    tests = _no_certificate()
    if scraped:
        tests += _missing([], rules.CERTIFICATES, {rules.CERTIFICATES: rules.OF_CERTIFICATES})
    for rule in rules.certificate_groups(scraped)[0]["rules"]:
        if rule["alert"] == rules.GONE:
            continue
        name, bad, good = CERTIFICATES[rule["alert"]]
        labels = {"cluster": "prod", "profile": "load"}
        given = [
            {"series": name % f'cluster="{cluster}",profile="load"', "values": f"{value}x7"} for cluster, value in (("prod", bad), ("lab", good))
        ]  # fmt: skip
        notes = {key: text.replace("{{ $labels.cluster }}", "prod").replace("{{ $labels.profile }}", "load") for key, text in rule["annotations"].items()}
        shown = {**labels, **dict(EQUAL.findall(name)), **rule["labels"]}
        moments = [
            {"eval_time": "4m", "alertname": rule["alert"], "exp_alerts": []},
            {"eval_time": "6m", "alertname": rule["alert"], "exp_alerts": [{"exp_labels": shown, "exp_annotations": notes}]},
        ]
        tests.append({"name": rule["alert"], "interval": "1m", "input_series": given, "alert_rule_test": moments})
    return {"rule_files": [rule_file], "evaluation_interval": "1m", "tests": tests}


def _no_certificate() -> List[dict]:
    """Return tests of the alert that there is no certificate; one of any cluster is one."""
    there = {"series": 'kubeproof_certificate_verdict{cluster="prod",verdict="PASS"}', "values": "1x61"}
    found = []
    for name, given, expected in (("no certificate is there", [], [_rule_alert(rules.gone())]), ("a certificate is there", [there], [])):
        moments = [{"eval_time": "59m", "alertname": rules.GONE, "exp_alerts": []}, {"eval_time": "60m", "alertname": rules.GONE, "exp_alerts": expected}]
        found.append({"name": name, "interval": "1m", "input_series": given, "alert_rule_test": moments})
    return found
