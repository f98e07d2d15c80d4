# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Prometheus can answer: the data of a layer (roles/monitoring/files/layers) and the versions of a cluster make queries. Pure, on the controller.

An entry of `checks` is a query, a sentence that says why there is none, or a list of both, of which the first that fits is taken. A query is
{expr} as it is, or {quantile, metric, job, by, where} of a histogram; beside them
    samples, least   how many observations stand behind it, and how many it needs; a histogram has them by itself, the check has the number
    window           the time that its rates are taken over, where so few happen that monitoring_window would hardly ever hold enough of them
    for              how long an alert waits
    when             {kubernetes: ">= 1.34", etcd: …, ingress: name or names, exporter: name}; all must fit
    sparse           why its series may be missing in a healthy cluster
    note             in what it differs from what the certificate has
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Dict, List, NamedTuple, Optional

QUERY_KEYS = {"expr", "samples", "least", "quantile", "metric", "job", "by", "where", "window", "for", "when", "sparse", "note"}
PANEL_KEYS = {"title", "kind", "unit", "targets", "when", "sparse", "width", "mappings"}
TARGET_KEYS = {"expr", "legend", "when", "format"}
LAYER_KEYS = {"title", "jobs", "words", "when", "checks", "panels"}
WORD = re.compile(r"\$([a-z_]+)")
# How often something happened in the window, also what a server counts for the first time. increase() needs two samples of a series, so that the errors
# a series is born with would be none; a series that was not there at the begin was 0 then, where its server was scraped already.
COUNTED = re.compile(r"counted\(([a-z_:]+\{[^{}]*\})\)")
COUNTED_AS = r"(\1 unless \1 offset $window and on (job, instance) up offset $window or increase(\1[$window]))"
VERSION = re.compile(r"v?([0-9]+)\.([0-9]+)(?:[.+-].*)?")
CONDITION = re.compile(r"(>=|<) ([0-9]+)\.([0-9]+)")
DURATION = re.compile(r"[1-9][0-9]*[smhdw]")
# Grafana's own word for a time that fits the scrape interval and the width of the panel.
PANEL_WINDOW = "$__rate_interval"
WINDOW = "window"
OLDEST_ETCD = "3.5"


class MonitoringError(Exception):
    """Data or settings cannot be used; each line names what was found and what to write."""


class Query(NamedTuple):
    """A query with $words still in it. `samples`, `sparse` and `window` are "" where there are none, `least` is None where the check decides."""

    expr: str
    samples: str = ""
    least: Optional[int] = None
    wait: str = "0s"
    interpolated: bool = False
    sparse: str = ""
    note: str = ""
    window: str = ""


def version_of(text: str, name: str) -> tuple:
    """Return (major, minor) of a version; MonitoringError names the variable."""
    match = VERSION.fullmatch(text)
    if not match:
        raise MonitoringError(f"{name} is {text!r}; write a version such as 1.36.3.")
    return int(match.group(1)), int(match.group(2))


def facts_of(kubernetes: str, etcd: str, ingress: str, exporters: Sequence) -> Dict[str, Any]:
    """Return what conditions are about. An etcd of unknown version has the metrics of the oldest."""
    return {
        "kubernetes": version_of(kubernetes, "monitoring_kubernetes_version"),
        "etcd": version_of(etcd or OLDEST_ETCD, "monitoring_etcd_version"),
        "ingress": ingress,
        "exporter": list(exporters),
    }


def fits(condition: Optional[Mapping], facts: Mapping) -> bool:
    """Say whether all of a condition holds."""
    return all(_fits(name, wanted, facts) for name, wanted in (condition or {}).items())


def _fits(name: str, wanted: Any, facts: Mapping) -> bool:
    if name not in facts:
        raise MonitoringError(f"when has {name}; write one of {', '.join(sorted(facts))}.")
    if name == "exporter":
        return wanted in facts["exporter"]
    if name == "ingress":
        return facts["ingress"] in ([wanted] if isinstance(wanted, str) else wanted)
    match = CONDITION.fullmatch(str(wanted))
    if not match:
        raise MonitoringError(f"when: {name} is {wanted!r}; write >= or < and a version such as 1.34.")
    newer = facts[name] >= (int(match.group(2)), int(match.group(3)))
    return newer if match.group(1) == ">=" else not newer


def query_of(identifier: str, entry: Any, facts: Mapping) -> Any:
    """Return the Query of an entry, or the sentence that says why there is none."""
    for variant in entry if isinstance(entry, list) else [entry]:
        if isinstance(variant, str):
            return variant
        unknown = sorted(set(variant) - QUERY_KEYS) if isinstance(variant, Mapping) else [repr(variant)]
        if unknown:
            raise MonitoringError(f"{identifier}: {', '.join(unknown)} is not known; write a sentence, or {', '.join(sorted(QUERY_KEYS))}.")
        if fits(variant.get("when"), facts):
            return _query(identifier, variant)
    return "No query fits the versions and exporters of this cluster."


def _query(identifier: str, entry: Mapping) -> Query:
    for key in ("for", "window"):
        if key in entry and (key, entry[key]) != ("for", "0s") and not DURATION.fullmatch(str(entry[key])):
            raise MonitoringError(f"{identifier}: {key} is {entry[key]!r}; write a time such as 10m.")
    same = {"least": entry.get("least"), "wait": entry.get("for", "0s"), **{key: entry.get(key, "") for key in ("sparse", "note", "window")}}
    if "expr" in entry:
        return Query(entry["expr"], entry.get("samples", ""), **same)
    try:
        chosen = f"${entry['job']}" + (f",{entry['where']}" if entry.get("where") else "")
        by = [*entry.get("by", []), "le"]
        rate = f"sum by ({', '.join(by)}) (rate({entry['metric']}_bucket{{{chosen}}}[${WINDOW}]))"
        counted = f"sum by ({', '.join(by[:-1])}) (increase({entry['metric']}_count{{{chosen}}}[${WINDOW}]))"
        return Query(f"histogram_quantile({entry['quantile']}, {rate})", counted, interpolated=True, **same)
    except KeyError as error:
        raise MonitoringError(f"{identifier}: {error} is missing; write expr, or quantile, metric and job.") from error


def filled(expr: str, words: Mapping) -> str:
    """Return an expression with its words replaced, counted(metric{matchers}) written out, and its line breaks as blanks."""
    counted = COUNTED.sub(COUNTED_AS, " ".join(expr.split()))
    return WORD.sub(lambda match: _word(match.group(1), words, expr), counted)


def _word(name: str, words: Mapping, expr: str) -> str:
    if name not in words:
        raise MonitoringError(f"${name} in {expr!r} is not known; write one of {', '.join(sorted(words))}.")
    return words[name]


def words_of(layer: Mapping, selectors: Mapping, window: str) -> Dict[str, str]:
    """Return the words of a layer; MonitoringError when a selector cannot stand between braces, or the window is neither a duration nor Grafana's."""
    if not DURATION.fullmatch(str(window)) and not str(window).startswith("$__"):
        raise MonitoringError(f"monitoring_window is {window!r}; write a duration, such as 5m.")
    wrong = [name for name, text in selectors.items() if not isinstance(text, str) or not re.fullmatch(r"[^{}\[\]\n]*[^{}\[\]\n,\s]", text)]
    if wrong:
        raise MonitoringError(f"monitoring_selectors: {wrong[0]} is {selectors[wrong[0]]!r}; write label matchers without braces, such as job=\"etcd\".")
    return {**selectors, **layer.get("words", {}), WINDOW: window}


def panels_of(name: str, layer: Mapping, facts: Mapping) -> List[dict]:
    """Return the panels of a layer that fit, each with the targets that fit."""
    found = []
    for panel in layer.get("panels", []):
        unknown = (set(panel) - PANEL_KEYS) | {key for target in panel.get("targets", []) for key in set(target) - TARGET_KEYS}
        if unknown:
            raise MonitoringError(f"{name}: {panel.get('title')}: {', '.join(sorted(unknown))} is not known.")
        targets = [target for target in panel["targets"] if fits(target.get("when"), facts)] if fits(panel.get("when"), facts) else []
        if targets:
            found.append({**panel, "targets": targets})
    return found


def require_layer(name: str, layer: Any) -> Mapping:
    """Return the document of a layer; MonitoringError when it has other keys."""
    unknown = sorted(set(layer) - LAYER_KEYS) if isinstance(layer, Mapping) else [repr(layer)[:40]]
    if unknown:
        raise MonitoringError(f"layers/{name}.yml: {', '.join(unknown)} is not known; write {', '.join(sorted(LAYER_KEYS))}.")
    return layer
