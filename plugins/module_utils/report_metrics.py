# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate as OpenMetrics, for a textfile collector or a Pushgateway. Pure: the same certificate, the same bytes.

Values are in base units, one family for each unit, as OpenMetrics wants it; an interval has two samples, edge="low" and edge="high".
No sample has a time: a textfile collector refuses it. When the run ended is a value.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Dict, List, Tuple

from . import report_words as words
from . import time_scale
from .checks import DECIDING, RESULTS

# unit of a fact: (end of the family's name, unit that OpenMetrics is told)
UNITS = {"s": ("_seconds", "seconds"), "byte": ("_bytes", "bytes"), "byte/s": ("_bytes_per_second", "bytes_per_second"), "1/s": ("_per_second", "per_second"),
         "bit/s": ("_bits_per_second", "bits_per_second"), "ratio": ("_ratio", "ratio"), "count": ("", "")}  # fmt: skip
OTHER = ("", "")
TIME = "%Y-%m-%dT%H:%M:%SZ"
LONGEST_LABEL = 512


def render(certificate: Mapping) -> str:
    """Return the text; ReportError if the document is no certificate."""
    certificate = words.require(certificate)
    cluster = certificate["cluster"]
    same = {"cluster": cluster.get("name", ""), "profile": certificate["profile"]}
    more = {"uid": cluster.get("uid", ""), "kubernetes": cluster.get("kubernetes", ""), "run": certificate["run"].get("id", ""),
            "heading": certificate["heading"], "version": certificate["run"].get("version", "")}  # fmt: skip
    families = [
        # A gauge: the classic text format, which a textfile collector reads, does not know the type info.
        ("kubeproof_certificate_info", "gauge", "", "What the certificate is of.", [({**same, **more}, 1)]),
        ("kubeproof_certificate_verdict", "gauge", "", "1 for the verdict of the certificate.", _states(same, certificate["verdict"])),
        ("kubeproof_layer_verdict", "gauge", "", "1 for the verdict of a layer.", _layers(certificate, same)),
        ("kubeproof_certificate_partial", "gauge", "", "Whether fewer than all layers ran.", [(same, int(bool(certificate["partial"])))]),
        ("kubeproof_certificate_scaled", "gauge", "", "Whether every load was shortened, so that it is none for production.",
         [(same, int(time_scale.is_scaled(certificate["run"].get("time_scale"))))]),
        ("kubeproof_findings", "gauge", "", "Judged findings by result; INFO counts what only informs.",
         [one for result in RESULTS for one in _number({**same, "result": result}, certificate["counts"].get(result))]),
        ("kubeproof_run_started_timestamp_seconds", "gauge", "seconds", "When the run began.", _moment(same, certificate["run"].get("started"))),
        ("kubeproof_run_finished_timestamp_seconds", "gauge", "seconds", "When the run ended.", _moment(same, certificate["run"].get("finished"))),
        ("kubeproof_certificate_expiry_timestamp_seconds", "gauge", "seconds", "Until when it is valid.", _moment(same, certificate.get("valid_until"))),
        ("kubeproof_run_duration_seconds", "gauge", "seconds", "How long the run took.", _number(same, certificate["run"].get("seconds"))),
        ("kubeproof_run_load_seconds", "gauge", "seconds", "How long it loaded the cluster.", _number(same, certificate["run"].get("load_seconds"))),
        ("kubeproof_check_result", "gauge", "", "1 for the worst result of a judged check.", _results(certificate, same)),
        ("kubeproof_check_unmeasured", "gauge", "", "Findings of a judged check that were not measured or not decided, where there are any.",
         _unmeasured(certificate, same)),
        *_values(certificate, same),
    ]  # fmt: skip
    lines = [line for family in families for line in _family(*family)]
    return "\n".join([*lines, "# EOF", ""])


def _family(name: str, kind: str, unit: str, text: str, samples: Sequence[Tuple]) -> List[str]:
    """Return the lines of a family, or none without samples."""
    if not samples:
        return []
    head = [f"# TYPE {name} {kind}", *([f"# UNIT {name} {unit}"] if unit else []), f"# HELP {name} {text}"]
    return head + [f"{name}{{{_labels(labels)}}} {_size(value)}" for labels, value in samples]


def _labels(labels: Mapping) -> str:
    return ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items() if value not in ("", None))


def _escape(value: Any) -> str:
    # Half a surrogate pair cannot be written as UTF-8; clean() has replaced it.
    return words.cut(value, LONGEST_LABEL).replace("\\", "\\\\").replace('"', '\\"')


def _size(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else repr(float(value)) if isinstance(value, float) else str(value)


def _states(labels: Mapping, found: str) -> List[Tuple]:
    return [({**labels, "verdict": verdict}, int(verdict == found)) for verdict in DECIDING]


def _layers(certificate: Mapping, same: Mapping) -> List[Tuple]:
    found = sorted(certificate["layer_verdicts"].items())
    return [one for layer, record in found for one in _states({**same, "layer": layer}, record.get("verdict", "INCONCLUSIVE"))]


def _moment(labels: Mapping, text: Any) -> List[Tuple]:
    """Return a sample of the time that an ISO 8601 text names, or none."""
    try:
        moment = datetime.datetime.strptime(str(text), TIME).replace(tzinfo=datetime.timezone.utc)
    except ValueError:
        return []
    return [(labels, int(moment.timestamp()))]


def _number(labels: Mapping, value: Any) -> List[Tuple]:
    return [(labels, value)] if not isinstance(value, (list, tuple)) and words.number(value, True) is not None else []


def _results(certificate: Mapping, same: Mapping) -> List[Tuple]:
    groups = words.by_check(certificate["findings"])
    return [({**same, "layer": rows[0]["layer"], "check": identifier, "result": rows[0]["result"]}, 1)
            for identifier, rows in sorted(groups.items()) if rows[0]["judged"]]  # fmt: skip


def _unmeasured(certificate: Mapping, same: Mapping) -> List[Tuple]:
    """Return how many places of each judged check are INCONCLUSIVE: a FAIL elsewhere is its result, and hides them."""
    groups = words.by_check(row for rows in words.unmeasured(certificate).values() for row in rows)
    return [({**same, "layer": rows[0]["layer"], "check": identifier}, len(rows)) for identifier, rows in sorted(groups.items())]


def _values(certificate: Mapping, same: Mapping) -> Iterable[Tuple]:
    """Return the families of the values and of the bounds, one for each unit."""
    values: Dict[tuple, Dict[str, Tuple]] = {}
    limits: Dict[tuple, Dict[str, Tuple]] = {}
    for finding in certificate["findings"]:
        end = UNITS.get(finding.get("unit", ""), OTHER)
        labels = {**same, "layer": finding["layer"], "check": finding["id"], "host": finding["host"], "entry": finding.get("entry", "")}
        for edge, size in _edges(finding["value"]):
            written = {**labels, "edge": edge, "judged": str(bool(finding["judged"])).lower()}
            # Names that differ only in what was cut or cleaned would be one series twice: the worst, which stands first, is kept.
            values.setdefault(end, {}).setdefault(_labels(written), (written, size))
        for name in ("target", "critical"):
            limit = words.parsed(finding[name])
            if limit:
                written = {key: labels[key] for key in labels if key != "host"}
                written.update(bound=name, operator=limit.operator)
                limits.setdefault(end, {}).setdefault(_labels(written), (written, limit.literal))
    for title, text, found in (("value", "What was measured.", values), ("bound", "Target and critical of a check.", limits)):
        for (suffix, unit), samples in sorted(found.items()):
            yield f"kubeproof_check_{title}{suffix}", "gauge", unit, text, [samples[key] for key in sorted(samples)]


def _edges(value: Any) -> List[Tuple[str, Any]]:
    """Return (edge, number) of a number, a truth value or an interval; none for what is no number."""
    if isinstance(value, bool):
        return [("", int(value))]
    if isinstance(value, (list, tuple)):
        ends = list(zip(("low", "high"), value)) if len(value) == 2 and words.number(value[0], True) is not None else []
        return [(edge, size) for edge, size in ends if words.number(size, True) is not None]
    return [("", value)] if words.number(value, True) is not None else []
