# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate as JUnit XML, as GitLab, Jenkins and the actions of GitHub read it. Pure: the same certificate, the same bytes.

A test suite for each layer, a test case for each finding: FAIL is a failure, INCONCLUSIVE an error, NOT_APPLICABLE and what a waiver
answers for are skipped with their reason, and so is what only informs. CONDITIONAL passes and says in system-out what is off target.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Dict, List

from . import report_words as words
from .report_markup import escape

# XML 1.0 knows fewer characters than Unicode; half a surrogate pair, for one, would make the file unreadable.
UNKNOWN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
CERTIFICATE = "certificate"


def render(certificate: Mapping) -> str:
    """Return the XML; ReportError if the document is no certificate."""
    certificate = words.require(certificate)
    suites = []
    for layer in words.layers(certificate):
        own = [finding for finding in certificate["findings"] if finding["layer"] == layer]
        record = certificate["layer_verdicts"].get(layer)
        groups = words.by_check(own)
        cases = [_case(finding, groups[finding["id"]]) for finding in own]
        suites.append(_suite(layer, cases, record if isinstance(record, Mapping) else {}, certificate["run"]))
    total = _sum(suites)
    suites.append(_suite(CERTIFICATE, [_verdict(certificate, total)], {}, certificate["run"]))
    attributes = {"name": f"kubeproof {words.cut(certificate['heading'])}", **_sum(suites), "time": _seconds(certificate["run"].get("seconds"))}
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuites{_attributes(attributes)}>", *(line for one in suites for line in one["lines"]),
                      "</testsuites>", ""])  # fmt: skip


def _suite(name: str, cases: Sequence[Mapping], record: Mapping, run: Mapping) -> Dict[str, Any]:
    numbers = {"tests": len(cases), **{kind: sum(case["kind"] == kind for case in cases) for kind in ("failures", "errors", "skipped")}}
    attributes = {"name": name, **numbers, "time": _seconds(record.get("seconds")), "timestamp": str(run.get("started", "")).replace("Z", "")}
    return {**numbers, "lines": [f"  <testsuite{_attributes(attributes)}>", *(line for case in cases for line in case["lines"]), "  </testsuite>"]}


def _sum(suites: Sequence[Mapping]) -> Dict[str, int]:
    return {key: sum(suite[key] for suite in suites) for key in ("tests", "failures", "errors", "skipped")}


def _case(finding: Mapping, among: Sequence[Mapping]) -> Dict[str, Any]:
    """Return {kind, lines} of one of the findings of a check."""
    result = finding["result"]
    if not finding["judged"]:
        kind, element, said = "skipped", "skipped", f"Indicative, not part of the verdict ({words.word(result)}). {finding['reason']}"
    elif finding.get("waiver"):
        waiver = finding["waiver"]
        kind, element = "skipped", "skipped"
        said = f"Waived until {waiver.get('expires')} by {waiver.get('owner')}: {waiver.get('reason')}. {finding['reason']}"
    elif result == "FAIL":
        kind, element, said = "failures", "failure", finding["reason"] or "beyond critical"
    elif result in ("PASS", "CONDITIONAL"):
        kind, element, said = "", "", ""
    elif result == "NOT_APPLICABLE":
        kind, element, said = "skipped", "skipped", finding["reason"] or "not applicable"
    else:
        kind, element, said = "errors", "error", finding["reason"] or "not measured"
    name = " ".join(filter(None, (str(finding["title"]), f"[{words.place(finding, among) or words.cut(finding['host'])}]")))
    return {"kind": kind, "lines": _lines(f"kubeproof.{finding['layer']}.{finding['id']}", name, element, said, _detail(finding))}


def _verdict(certificate: Mapping, total: Mapping) -> Dict[str, Any]:
    """Return the case of the verdict itself: a certificate that no finding speaks against may still prove nothing."""
    kind, element = {"FAIL": ("failures", "failure"), "PASS": ("", ""), "CONDITIONAL": ("", "")}.get(certificate["verdict"], ("errors", "error"))
    return {"kind": kind, "lines": _lines("kubeproof.certificate", "Verdict", element, certificate["message"],
            [f"Verdict: {words.word(certificate['verdict'])}", f"{total['tests']} findings"])}  # fmt: skip


def _detail(finding: Mapping) -> List[str]:
    """Return what was found and what to do, a line each."""
    fix = words.cut(finding.get("fix", "")) if finding["result"] in words.OPEN else ""
    rows = [("Result", words.word(finding["result"])), ("Measured", words.value(finding)), ("Target", words.bound(finding, "target")),
            ("Critical", words.bound(finding, "critical")), ("Margin", words.margin_text(finding)), ("Samples", words.samples(finding)),
            ("Reason", words.cut(finding["reason"])), ("Fix", fix), ("Reference", words.cut(finding.get("reference", "")))]  # fmt: skip
    return [f"{name}: {text}" for name, text in rows if text not in ("", "-")] + [f"Could be explained by {text}." for text in words.explained(finding)]


def _lines(classname: str, name: str, element: str, said: str, detail: Sequence[str]) -> List[str]:
    text = "\n".join(_text(line) for line in detail)
    inner = f"      <{element}{_attributes({'message': said, 'type': element})}>{text}</{element}>" if element in ("failure", "error") else ""
    inner = f"      <skipped{_attributes({'message': said})}/>" if element == "skipped" else inner
    out = f"      <system-out>{text}</system-out>" if element in ("", "skipped") else ""
    return [f"    <testcase{_attributes({'classname': classname, 'name': name})}>", *filter(None, (inner, out)), "    </testcase>"]


def _attributes(values: Mapping) -> str:
    return "".join(f' {name}="{_text(value)}"' for name, value in values.items() if value not in (None, ""))


def _text(value: Any) -> str:
    return UNKNOWN.sub("\ufffd", escape(str(value)))


def _seconds(value: Any) -> str:
    seconds = words.number(value, True)
    return "" if seconds is None else f"{seconds:.3f}"
