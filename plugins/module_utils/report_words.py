# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every format says of a certificate, in the same words. Pure; a damaged certificate is refused as a whole."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Dict, List, Optional

from . import bounds, time_scale
from .checks import RESULTS
from .human import clean, human

WORDS = {"CONDITIONAL": "CONDITIONAL PASS", "NOT_APPLICABLE": "N/A", "INFO": "info"}
OPEN = ("FAIL", "INCONCLUSIVE", "CONDITIONAL")
PROOFS = {"disproved": "disprove {}", "proved": "prove {}", "open": "leave {} open"}
# What a reader has to know of them, once.
PROOF_LEGEND = ("Samples prove the bound of a percentile, disprove it, or leave it open: an exact binomial bound, so that either is wrong in 5 % of "
                "runs at most, if samples are independent. It changes no result.")  # fmt: skip
# What every renderer stands on; the schema says more.
FORM = {"heading": str, "verdict": str, "state": str, "message": str, "profile": str, "layers": list, "partial": bool, "cluster": dict, "run": dict,
        "hosts": dict, "tools": dict, "counts": dict, "layer_verdicts": dict, "checklist": list, "slas": list, "changes": list, "capacity": dict,
        "waivers": list, "not_applicable": list, "findings": list}  # fmt: skip
OF_FINDING = ("id", "layer", "title", "scope", "host", "value", "target", "critical", "result", "judged", "reason")
LONGEST = 2000
# So many places, and so many reasons of one check, are told; all are in certificate.json.
MOST_PLACES = 5
MOST_REASONS = 3
NO_REASON = "No reason was recorded."


class ReportError(Exception):
    """The document is no certificate; the text says what is missing."""


def require(certificate: Any) -> Mapping:
    """Return the certificate; ReportError if it is none that can be rendered."""
    if not isinstance(certificate, Mapping):
        raise ReportError("The document is no certificate: it is no JSON object. Certify again.")
    wrong = [key for key, kind in FORM.items() if not isinstance(certificate.get(key), kind)]
    if wrong:
        raise ReportError(f"The document is no certificate: {', '.join(wrong)} is missing or of another type. Certify again.")
    for finding in certificate["findings"]:
        missing = [key for key in OF_FINDING if key not in finding] if isinstance(finding, Mapping) else list(OF_FINDING)
        if missing or finding["result"] not in RESULTS:
            raise ReportError(f"The certificate has a finding without {', '.join(missing) or 'a known result'}. Certify again.")
    if "joined" in certificate and not _is_joined(certificate["joined"]):
        raise ReportError("The certificate does not say which runs it was joined from. Join them again.")
    return certificate


def _is_joined(found: Any) -> bool:
    """Say whether a joined certificate says of each run what is shown of it."""
    groups = [found.get(name) for name in ("runs", "left_out")] if isinstance(found, Mapping) else [None]
    rows = [one for group in groups if isinstance(group, list) for one in group]
    named = all(isinstance(one, Mapping) and all(isinstance(one.get(key), str) for key in ("id", "profile", "verdict")) for one in rows)
    return named and all(isinstance(group, list) for group in groups) and all(isinstance(one.get("layers"), list) for one in groups[0])


def word(result: Any) -> str:
    """Return the result as it is written for people."""
    return WORDS.get(result, str(result))


def cut(text: Any, most: int = LONGEST) -> str:
    """Return a text as one clean line, cut when it is long: a tool's error may be of any length."""
    text = str(text)
    line = clean(text[: most * 4])
    return line if len(line) <= most and len(text) <= most * 4 else line[: most - 1] + "…"


def lines(text: Any, most: int = LONGEST) -> List[str]:
    """Return a text as clean lines that keep their indentation, such as lines to write into a file."""
    kept = str(text)[:most].expandtabs(2).split("\n")
    return [" " * (len(line) - len(line.lstrip(" "))) + clean(line) for line in kept] + (["…"] if len(str(text)) > most else [])


def by_check(findings: Iterable) -> Dict[str, List[Mapping]]:
    """Return {id: its findings, the worst first}, the judged ones and the worst first: the order of the certificate."""
    found: Dict[str, List[Mapping]] = {}
    for finding in findings:
        found.setdefault(finding["id"], []).append(finding)
    return found


def layers(certificate: Mapping) -> List[str]:
    """Return the chosen layers, and what stands beside them, tuning; also where only a finding names one."""
    beside = sorted({*certificate["layer_verdicts"], *(str(finding["layer"]) for finding in certificate["findings"])} - set(certificate["layers"]))
    return [str(layer) for layer in certificate["layers"]] + beside


def value(finding: Mapping) -> str:
    """Return the measured value; an empty list or text is a value too."""
    if finding.get("value") in ([], ""):
        return "none"
    limits = [limit for limit in (finding.get("target"), finding.get("critical")) if isinstance(limit, str)]
    return cut(human(finding.get("value"), finding.get("unit"), limits))


def bound(finding: Mapping, key: str) -> str:
    """Return the target or the critical bound."""
    return cut(human(finding.get(key), finding.get("unit")))


def place(finding: Mapping, among: Iterable = ()) -> str:
    """Return where it was seen: the host of a host's finding, or the cluster where the findings `among` which it stands are of several; and the entry."""
    named = finding.get("scope") == "host" or len({one.get("host") for one in among}) > 1
    host = finding.get("host") or "" if named else ""
    return cut(f"{host} {finding.get('entry') or ''}".strip())


def samples(finding: Mapping) -> str:
    """Return how many observations stand behind it, how many it needs, and what they prove."""
    if finding.get("samples") is None:
        return ""
    needed, said = finding.get("min_samples"), proof(finding)
    text = f"{human(finding['samples'])} of {human(needed)}" if needed is not None and finding["samples"] < needed else human(finding["samples"])
    return f"{text}: {said}" if said else text


def proof(finding: Mapping) -> str:
    """Return what the samples of a percentile prove, such as `prove critical, leave target open`, or ""."""
    found = finding.get("proof")
    said = {name: found[name] for name in bounds.BOUND_KEYS if found.get(name) in PROOFS} if isinstance(found, Mapping) else {}
    if len(set(said.values())) == 1:
        return PROOFS[next(iter(said.values()))].format("it")
    return ", ".join(text.format(name) for result, text in PROOFS.items() for name in said if said[name] == result)


def number(seen: Any, high_is_bad: bool) -> Optional[float]:
    """Return a value, or the worse end of an interval, as a finite number; None if it is none."""
    if isinstance(seen, (list, tuple)) and len(seen) == 2:
        seen = seen[1] if high_is_bad else seen[0]
    return float(seen) if isinstance(seen, (int, float)) and not isinstance(seen, bool) and abs(seen) < 1e300 and math.isfinite(seen) else None


def parsed(text: Any) -> Optional[bounds.Bound]:
    """Return a bound with a side and a number, or None."""
    try:
        found = bounds.parse(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found and found.operator in bounds.SIDE and abs(found.literal) < 1e300 else None


def margin(finding: Mapping) -> Optional[tuple]:
    """Return (share of the bound that is left, target or critical); negative: beyond it. None where a share says nothing.

    What meets its target has its margin to the target, everything else to critical.
    """
    best = None
    for name in ("target", "critical"):
        limit = parsed(finding.get(name))
        if limit is None or not limit.literal:
            continue
        seen = number(finding.get("value"), bounds.SIDE[limit.operator] > 0)
        if seen is None:
            return None
        share = (limit.literal - seen) / abs(limit.literal) * bounds.SIDE[limit.operator]
        best = (share, name)
        if share >= 0:
            break
    return best


def margin_text(finding: Mapping) -> str:
    """Return the margin, such as `61 % inside target` or `1.2 times beyond critical`."""
    found = margin(finding)
    if found is None:
        return ""
    share, name = found
    side = "inside" if share >= 0 else "beyond"
    size = abs(share)
    if not size:
        return f"at {name}"
    if size < 2:
        text = f"{round(size * 100) if size >= 0.1 else float(f'{size * 100:.2g}'):g} %"
    else:
        text = f"{float(f'{size:.2g}'):,g} times" if size < 1e6 else "far"
    return f"{text} {side} {name}"


def explained(finding: Mapping) -> List[str]:
    """Return what else was off target and could be why, a sentence each."""
    found = []
    for one in finding.get("explained_by") or []:
        where = f"{one.get('host') or ''} {one.get('entry') or ''}".strip()
        seen = f" is {human(one['value'], one.get('unit'))}" if one.get("value") is not None else ""
        found.append(cut(f"{one['layer']}: {one['title']}{seen}{' at ' + where if where else ''}"))
    return found


def joined(certificate: Mapping) -> List[str]:
    """Return what a joined certificate says of each run that it was made of, and of those that were left out; [] of any other."""
    found = certificate.get("joined")
    if not isinstance(found, Mapping):
        return []
    texts = [f"{one['id']} ({one['profile']}): {word(one['verdict'])}, decides {', '.join(one['layers']) or 'nothing'}" for one in found["runs"]]
    return [cut(text) for text in texts + [f"left out: {one['id']} ({one['profile']}): {word(one['verdict'])}" for one in found["left_out"]]]


def indicative(certificate: Mapping) -> str:
    """Return why the checklist is not filled as a whole, or ""."""
    if time_scale.is_scaled(certificate["run"].get("time_scale")):
        return "A SCALED run, which was shortened, fills none of it: values are indicative."
    if certificate["partial"]:
        return "A PARTIAL run fills none of it: values are indicative."
    return "" if certificate["profile"] in ("load", "soak") else "Only the profiles load and soak fill it: values are indicative."


def counts(rows: Iterable) -> Dict[str, int]:
    """Return how many of these findings have each result, the worst result first."""
    found = [finding["result"] for finding in rows]
    return {result: found.count(result) for result in RESULTS if result in found}


def unmeasured(certificate: Mapping) -> Dict[str, List[Mapping]]:
    """Return {reason: the findings that were to be judged and were not measured, or not decided}, also those of a check that FAILs elsewhere."""
    found: Dict[str, List[Mapping]] = {}
    for finding in certificate["findings"]:
        if finding["judged"] and finding["result"] == "INCONCLUSIVE":
            found.setdefault(cut(finding["reason"]) or NO_REASON, []).append(finding)
    return found


def one_reason(findings: Iterable) -> List[Mapping]:
    """Return the worst findings of the judged checks that are INCONCLUSIVE for one reason: nothing is lost where many of them are told as one."""
    found = []
    for rows in by_check(findings).values():
        reasons = {cut(row["reason"]) for row in rows if row["result"] == "INCONCLUSIVE"}
        if rows[0]["judged"] and rows[0]["result"] == "INCONCLUSIVE" and len(reasons) == 1:
            found.append(rows[0])
    return found


def places(rows: Sequence[Mapping], among: Sequence[Mapping]) -> str:
    """Return where findings of a check were seen, such as `etcd2, etcd3 and 7 more`, or ""."""
    named = list(dict.fromkeys(filter(None, (place(row, among) for row in rows[:MOST_PLACES]))))
    more = len(rows) - MOST_PLACES
    return ", ".join(named) + (f" and {more} more" if named and more > 0 else "")


def hosts(rows: Sequence[Mapping], among: Sequence[Mapping]) -> str:
    """Return at which hosts findings of several checks were seen, such as ` at etcd2, etcd3`; "" where they are all that there are of these checks."""
    named = list(dict.fromkeys(cut(row.get("host") or "") for row in rows if row.get("scope") == "host"))
    more = len(named) - MOST_PLACES
    shown = ", ".join(named[:MOST_PLACES]) + (f" and {more} more" if more > 0 else "")
    return f" at {shown}" if shown and len(rows) < len(among) else ""


def share(rows: Sequence[Mapping], among: Sequence[Mapping]) -> str:
    """Return how many of a check's findings were not measured, or not decided, such as `3 of 4 not measured`."""
    return f"{len(rows)} of {len(among)} {'not measured' if rows[0].get('value') is None else 'not decided'}"


def gaps(rows: Sequence[Mapping]) -> List[List[Mapping]]:
    """Return those findings of a check that are INCONCLUSIVE, the ones for the same reason together."""
    found: Dict[tuple, List[Mapping]] = {}
    for row in rows:
        if row["result"] == "INCONCLUSIVE":
            found.setdefault((row.get("value") is None, cut(row["reason"])), []).append(row)
    return list(found.values())


def told(rows: Sequence[Mapping]) -> List[str]:
    """Return what is to be said of the findings of a check: the reason of the worst, and what was not measured, whatever is worse; how many, and where."""
    first, whole, missing = rows[0], len(rows), gaps(rows)
    said = []
    if first["result"] != "INCONCLUSIVE":
        same = sum(row["result"] == first["result"] for row in rows)
        count = f"{same} of {whole} {word(first['result'])}" if same < whole and (first["reason"] or missing) else ""
        said.append(": ".join(filter(None, (count, cut(first["reason"])))))
    for group in missing[:MOST_REASONS]:
        where = places(group, rows)
        count = f"{share(group, rows)}{f' ({where})' if where else ''}" if len(group) < whole else ""
        said.append(": ".join(filter(None, (count, cut(group[0]["reason"])))))
    rest = sum(len(group) for group in missing[MOST_REASONS:])
    return [one for one in said if one] + ([f"{rest} of {whole} not measured or not decided, for other reasons: see certificate.json"] if rest else [])
