# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recording and alerting rules of a Prometheus out of what is watched. Pure.

Each check is recorded as kubeproof:<id>, and as kubeproof:<id>:samples where a number of samples stands behind it. The alert of its target has the
severity warning, that of its critical bound the severity critical, under one name, so that an Alertmanager can let the second silence the first.
What is not measured is never a pass: a check without a value for an hour is an alert too. One with too few samples has no alert of its bounds, which an
alert of the severity info says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Dict, List

from ansible_collections.kubeproof.certify.plugins.module_utils.monitoring_queries import WINDOW, filled, words_of
from ansible_collections.kubeproof.certify.plugins.module_utils.monitoring_watch import Limit, Watched

PREFIX = "kubeproof"
DOWN, MISSING, UNMEASURED, FEW = "KubeproofTargetDown", "KubeproofTargetMissing", "KubeproofCheckNotMeasured", "KubeproofCheckTooFewSamples"
UNIT = {"count": "", "ratio": ""}
# The certificates, as a job and as a layer, and the selector of what scrapes them (monitoring_scrape names the job).
CERTIFICATES, OF_CERTIFICATES = "certificate", 'job="kubeproof"'
GONE = "KubeproofCertificateMissing"
# What the certificate itself says, as the textfile collector has it: (name, severity, expr, summary, description).
CERTIFICATE = (
    ("KubeproofCertificateFailed", "critical", 'kubeproof_certificate_verdict{verdict="FAIL"} == 1',
     "The last certification of {{ $labels.cluster }} (profile {{ $labels.profile }}) failed.", "The certificate names what failed and what to do."),
    ("KubeproofCertificateInconclusive", "warning", 'kubeproof_certificate_verdict{verdict="INCONCLUSIVE"} == 1',
     "The last certification of {{ $labels.cluster }} (profile {{ $labels.profile }}) proved nothing.", "The certificate says what was not measured, and why."),
    ("KubeproofCertificateExpires", "warning", "kubeproof_certificate_expiry_timestamp_seconds - time() < 14 * 86400",
     "The certificate of {{ $labels.cluster }} (profile {{ $labels.profile }}) ends within two weeks.", "Certify the cluster again."),
    ("KubeproofCertificateExpired", "critical", "kubeproof_certificate_expiry_timestamp_seconds <= time()",
     "The certificate of {{ $labels.cluster }} (profile {{ $labels.profile }}) is not valid any more.", "Certify the cluster again."),
)  # fmt: skip


def series(identifier: str) -> str:
    """Return the name under which a check is recorded."""
    return f"{PREFIX}:{identifier}"


def alert_name(identifier: str) -> str:
    """Return the name of a check's alert: etcd_wal_fsync_p99 is KubeproofEtcdWalFsyncP99."""
    return "Kubeproof" + "".join(word.capitalize() for word in identifier.split("_"))


def groups(watched: Sequence, layers: Mapping, selectors: Mapping, window: str) -> Dict[str, List[dict]]:
    """Return {layer: [group]}: the rules of each layer's checks, and those that say that something is not scraped."""
    found = {}
    for name, layer in layers.items():
        words = words_of(layer, selectors, window)
        mine = [one for one in watched if one.layer == name]
        records = [record for one in mine for record in _records(one, words)]
        alerts = [alert(one, limit) for one in mine for limit in one.limits] + [unmeasured(one) for one in mine if not one.query.sparse]
        alerts += [few(one) for one in mine if one.least]
        targets = [target(name, job, words[job], every) for job in layer.get("jobs", []) for every in (False, True)]
        parts = [("records", records), ("alerts", alerts), ("targets", targets)]
        found[name] = [{"name": f"{PREFIX}-{name}-{part}", "rules": rules} for part, rules in parts if rules]
    return found


def certificate_groups(scraped: bool) -> List[dict]:
    """Return the groups of alerts about the certificates themselves, and where something of ours scrapes them, that it does."""
    rules = [_rule(name, expr, "5m", {"severity": severity, "layer": CERTIFICATES}, summary, text) for name, severity, expr, summary, text in CERTIFICATE]
    parts = [("", [*rules, gone()])]
    if scraped:
        parts.append(("-targets", [target(CERTIFICATES, CERTIFICATES, OF_CERTIFICATES, every) for every in (False, True)]))
    return [{"name": f"{PREFIX}-{CERTIFICATES}{part}", "rules": found} for part, found in parts]


def gone() -> dict:
    """Return the alert that nobody knows of any certificate: all that they could say is silent then."""
    labels = {"severity": "warning", "layer": CERTIFICATES}
    text = "Certify, and copy certificate.prom of the run to the directory of a textfile collector that is scraped; see whether it still is."
    return _rule(GONE, "absent(kubeproof_certificate_verdict)", "1h", labels, "No certificate has been seen for an hour.", text)


def _records(one: Watched, words: Mapping) -> List[dict]:
    words = {**words, WINDOW: one.query.window or words[WINDOW]}
    found = [{"record": series(one.identifier), "expr": filled(one.query.expr, words)}]
    if one.least:
        found.append({"record": f"{series(one.identifier)}:samples", "expr": filled(one.query.samples, words)})
    return found


def alert(one: Watched, limit: Limit) -> dict:
    """Return the alert of one bound of a check."""
    recorded = series(one.identifier)
    expr = f"{recorded} {limit.missed} {number(limit.number)}" + (f" and {recorded}:samples >= {one.least}" if one.least else "")
    labels = {"severity": limit.severity, "layer": one.layer, "check": one.identifier}
    bound = "target" if limit.severity == "warning" else "critical"
    text = " ".join(filter(None, [one.check["fix"], one.query.note]))
    rule = _rule(alert_name(one.identifier), expr, one.query.wait, labels, f"{quoted(one.check['title'])}: {VALUE}, {bound} {worded(one, limit)}", quoted(text))
    rule["annotations"]["runbook_url"] = one.check["reference"]
    return rule


# What the alert says of itself; %.6g keeps five digits after a bound such as 0.03.
VALUE = '{{ $value | printf "%.6g" }}'


def worded(one: Watched, limit: Limit) -> str:
    """Return a bound with its unit, as a sentence has it."""
    unit = UNIT.get(one.check.get("unit", ""), one.check.get("unit", ""))
    return f"{limit.bound.operator} {number(limit.number)}" + (f" {unit}" if unit else "")


def quoted(text: str) -> str:
    """Return a text that Prometheus' templates leave as it is."""
    return text.replace("{{", '{{ "{{" }}')


def number(value: Any) -> str:
    """Return a number as PromQL has it."""
    return repr(float(value)) if isinstance(value, float) and value != int(value) else str(int(value))


def unmeasured(one: Watched) -> dict:
    """Return the alert that a check is not recorded any more, or that its value is NaN, which is beyond no bound and equal to nothing."""
    labels = {"severity": "warning", "layer": one.layer, "check": one.identifier}
    summary = f"{quoted(one.check['title'])}: not measured for an hour."
    text = "See whether its targets are scraped, and whether their metrics are kept."
    recorded = series(one.identifier)
    return _rule(UNMEASURED, f"absent({recorded} == {recorded})", "1h", labels, summary, text)


def few(one: Watched) -> dict:
    """Return the alert that the alerts of a check say nothing: it is quiet, which is no fault of the cluster."""
    labels = {"severity": "info", "layer": one.layer, "check": one.identifier}
    summary = f"{quoted(one.check['title'])}: fewer than {one.least} samples for an hour, so that its alerts say nothing."
    text = "There is too little of it to be judged by, or not all of its targets are scraped."
    return _rule(FEW, f"absent({series(one.identifier)}:samples >= {one.least})", "1h", labels, summary, text)


def target(layer: str, job: str, selector: str, every: bool) -> dict:
    """Return the alert that one target of a job is down, or that there is no target at all (`every`)."""
    severity = "warning" if job == CERTIFICATES else "critical"
    labels = {"severity": severity, "layer": layer, "component": job}
    if every:
        setting = "monitoring_targets" if job == CERTIFICATES else "monitoring_selectors"
        text = f"Add a job for it, or correct {setting}.{job}."
        return _rule(MISSING, f"absent(up{{{selector}}})", "15m", labels, f"Nothing of {job} is scraped.", text)
    summary = f"{job} on {{{{ $labels.instance }}}} is not scraped."
    return _rule(DOWN, f"up{{{selector}}} == 0", "5m", labels, summary, "See the error of the target in Prometheus.")


def _rule(name: str, expr: str, wait: str, labels: Mapping, summary: str, text: str) -> dict:
    return {"alert": name, "expr": expr, "for": wait, "labels": dict(labels), "annotations": {"summary": summary, "description": text}}
