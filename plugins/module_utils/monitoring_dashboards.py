# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dashboards for Grafana, one for each layer and one for the certificates: the queries of the alerts with their bounds as lines. Pure.

They keep to what Grafana's schema has, so that they work from Grafana 10.2 on: a Prometheus that is chosen at the top, no plugin, no library panel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Dict, List, Optional

from ansible_collections.kubeproof.certify.plugins.module_utils.monitoring_queries import PANEL_WINDOW, filled, panels_of, words_of
from ansible_collections.kubeproof.certify.plugins.module_utils.monitoring_rules import worded
from ansible_collections.kubeproof.certify.plugins.module_utils.monitoring_watch import Watched

SCHEMA_VERSION = 39
COLUMNS, WIDTH, HEIGHT, HEAD = 24, 8, 8, 4
GOOD, WARN, BAD = "green", "orange", "red"
UNITS = {"s": "s", "byte": "bytes", "byte/s": "Bps", "bit/s": "bps", "1/s": "ops", "ratio": "percentunit", "count": "short"}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
TAG = "kubeproof"
BY_CLUSTER = "kubeproof_certificate_info"
# Just beside a bound that only one number meets.
BESIDE = 0.001
# The color of a first step holds below it too. Grafana itself writes null here, which its schema has only from version 12 on.
BASE = 0
# The verdicts by their rank, so that a panel can give each a color.
VERDICTS = {"PASS": GOOD, "CONDITIONAL": WARN, "INCONCLUSIVE": "purple", "FAIL": BAD}
VERDICT_OF = re.compile(r"\$verdict\((\w+)\{([^{}]*)\}\)")
# The last run, from its begin to its end, wherever in the time shown it was: the values are those at the end of that time.
RUN = (
    'max by (cluster, profile, heading, run) (kubeproof_certificate_info @ end()'
    ' and on (cluster, profile) (kubeproof_run_started_timestamp_seconds @ end() <= time())'
    ' and on (cluster, profile) (kubeproof_run_finished_timestamp_seconds @ end() >= time()))'
)
ANNOTATIONS = (("Certifications", "blue", RUN), ("Alerts", BAD, 'ALERTS{alertname=~"Kubeproof.+",alertstate="firing"}'))


def dashboards(watched: Sequence, layers: Mapping, selectors: Mapping, facts: Mapping, certificate: Mapping) -> Dict[str, dict]:
    """Return {name: dashboard}; `certificate` is the document of the dashboard of certificates, in the form of a layer's."""
    found = {name: _layer(name, layer, [one for one in watched if one.layer == name], selectors, facts) for name, layer in layers.items()}
    words = words_of(certificate, {"certificate": 'cluster=~"$cluster"'}, PANEL_WINDOW)
    panels = [_extra(panel, words) for panel in panels_of("certificate", certificate, facts)]
    found["certificate"] = _dashboard("certificate", certificate["title"], panels, True)
    return found


def _layer(name: str, layer: Mapping, watched: Sequence, selectors: Mapping, facts: Mapping) -> dict:
    words = words_of(layer, selectors, PANEL_WINDOW)
    verdict = {
        "title": "Last certificate", "kind": "stat", "mappings": "verdicts", "width": WIDTH,
        "targets": [{"expr": f'$verdict(kubeproof_layer_verdict{{layer="{name}"}})', "legend": "{{cluster}}, {{profile}}"}],
    }  # fmt: skip
    head = [_extra(verdict, words)] if layer.get("checks") else []
    return _dashboard(name, layer["title"], head + [_check(one, words) for one in watched] + [_extra(panel, words) for panel in panels_of(name, layer, facts)])


def _dashboard(name: str, title: str, panels: List[dict], by_cluster: bool = False) -> dict:
    variables: List[dict] = [{"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus", "refresh": 1, "hide": 0}]
    if by_cluster:
        query = f"label_values({BY_CLUSTER}, cluster)"
        variables.append({"type": "query", "name": "cluster", "label": "Cluster", "datasource": SOURCE, "query": query, "refresh": 2, "hide": 0,
                          "includeAll": True, "multi": True, "allValue": ".*"})  # fmt: skip
    return {
        "uid": f"{TAG}-{name}",
        "title": f"Kubeproof / {title}",
        "tags": [TAG],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": variables},
        "annotations": {"list": [
            {"name": called, "datasource": SOURCE, "enable": True, "iconColor": color, "expr": expr} for called, color, expr in ANNOTATIONS
        ]},
        "links": [{"title": "Kubeproof", "type": "dashboards", "icon": "external link", "tooltip": "", "url": "", "tags": [TAG], "asDropdown": True,
                   "targetBlank": False, "includeVars": True, "keepTime": True}],
        "panels": _placed(panels),
    }  # fmt: skip


def _placed(panels: Sequence) -> List[dict]:
    """Return the panels with ids and places: rows from left to right, each as high as its highest panel."""
    found, x, y, row = [], 0, 0, 0
    for number, panel in enumerate(panels, 1):
        size = panel.pop("size")
        if x + size["w"] > COLUMNS:
            x, y, row = 0, y + row, 0
        found.append({"id": number, **panel, "gridPos": {"x": x, "y": y, **size}})
        x, row = x + size["w"], max(row, size["h"])
    return found


def _check(one: Watched, words: Mapping) -> dict:
    limits = "; ".join(f"{'target' if limit.severity == 'warning' else 'critical'} {worded(one, limit)}" for limit in one.limits)
    text = ". ".join(filter(None, [one.identifier, limits, one.query.note]))
    target = {"expr": one.query.expr, "legend": "__auto"}
    return _panel("timeseries", one.check["title"], text, UNITS.get(one.check.get("unit", ""), "short"), [target], words, steps(one))


def _extra(panel: Mapping, words: Mapping) -> dict:
    kind = panel.get("kind", "timeseries")
    made = _panel(kind, panel["title"], "", panel.get("unit", "short"), panel["targets"], words, [{"color": GOOD, "value": BASE}], panel.get("width"))
    if panel.get("mappings") == "verdicts":
        names = {str(rank): {"text": verdict, "color": color, "index": rank} for rank, (verdict, color) in enumerate(VERDICTS.items())}
        made["fieldConfig"]["defaults"]["mappings"] = [{"type": "value", "options": names}]
    return made


def ranked(expr: str) -> str:
    """Return an expression with $verdict(series) as the number of the verdict that is 1: PASS is 0."""
    inside = VERDICT_OF.search(expr)
    if not inside:
        return expr
    name, chosen = inside.groups()
    parts = [f'{rank} * ({name}{{{chosen},verdict="{verdict}"}} == 1)' for rank, verdict in enumerate(VERDICTS)]
    return expr.replace(inside.group(0), f"sum without (verdict) ({' or '.join(parts)})")


def _panel(kind: str, title: str, text: str, unit: str, targets: Sequence, words: Mapping, thresholds: List[dict], width: Optional[int] = None) -> dict:
    instant = kind != "timeseries"
    asked = [
        {"refId": chr(ord("A") + place), "datasource": SOURCE, "expr": filled(ranked(target["expr"]), words), "legendFormat": target.get("legend", "__auto"),
         "editorMode": "code", "range": not instant, "instant": instant, **({"format": "table"} if kind == "table" else {})}
        for place, target in enumerate(targets)
    ]  # fmt: skip
    defaults: Dict[str, Any] = {"unit": unit, "thresholds": {"mode": "absolute", "steps": thresholds}}
    if kind == "timeseries":
        line = len(thresholds) > 1
        defaults.update(min=0, color={"mode": "palette-classic"}, custom={"lineWidth": 1, "fillOpacity": 0, "showPoints": "auto",
                        "thresholdsStyle": {"mode": "dashed" if line else "off"}})  # fmt: skip
    size = {"w": width or WIDTH, "h": HEAD if kind == "stat" else HEIGHT}
    made = {"type": kind, "title": title, "datasource": SOURCE, "targets": asked, "options": OPTIONS[kind], "size": size,
            "fieldConfig": {"defaults": defaults, "overrides": []}}  # fmt: skip
    return {**made, "description": text} if text else made


OPTIONS: Dict[str, dict] = {
    "timeseries": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}, "tooltip": {"mode": "multi", "sort": "desc"}},
    "stat": {
        "graphMode": "none", "colorMode": "value", "justifyMode": "auto", "textMode": "auto", "orientation": "auto",
        "reduceOptions": {"values": False, "calcs": ["lastNotNull"], "fields": ""},
    },
    "table": {"frameIndex": 0, "showHeader": True, "sortBy": []},
}  # fmt: skip


def steps(one: Watched) -> List[dict]:
    """Return where the color changes, from the lowest value upwards: the bounds as lines."""
    color = {limit.severity: WARN if limit.severity == "warning" else BAD for limit in one.limits}
    rising = [limit for limit in one.limits if limit.missed in (">", ">=")]
    falling = sorted((limit for limit in one.limits if limit.missed in ("<", "<=")), key=lambda limit: limit.number)
    if rising:
        marks = {limit.number: color[limit.severity] for limit in rising}
        return [{"color": GOOD, "value": BASE}] + [{"color": marks[value], "value": value} for value in sorted(marks)]
    if falling:
        upper = [color[limit.severity] for limit in falling[1:]] + [GOOD]
        return [{"color": color[falling[0].severity], "value": BASE}] + [{"color": tone, "value": limit.number} for limit, tone in zip(falling, upper)]
    limit = one.limits[-1]
    below = [{"color": color[limit.severity], "value": BASE}, {"color": GOOD, "value": limit.number}] if limit.number else [{"color": GOOD, "value": BASE}]
    above = [] if isinstance(limit.bound.literal, bool) and limit.number else [{"color": color[limit.severity], "value": limit.number + BESIDE}]
    return below + above


def expressions(dashboard: Mapping) -> List[str]:
    """Return every query of a dashboard: panels, annotations and variables."""
    found = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    found += [one["expr"] for one in dashboard["annotations"]["list"]]
    return found + [BY_CLUSTER for one in dashboard["templating"]["list"] if one["type"] == "query"]
