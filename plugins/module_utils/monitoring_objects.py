# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dashboards and rules as objects of Kubernetes: ConfigMaps for the sidecar of Grafana, PrometheusRules for the operator. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import List

from ansible_collections.kubeproof.certify.plugins.module_utils.owned import MONITORING, labels

# Stands in the place of a run: these objects stay until they are taken away.
OWNER = MONITORING
RULES = "monitoring.coreos.com/v1"
NAME = "kubeproof"


def config_maps(dashboards: Mapping, namespace: str, label: Mapping, annotations: Mapping) -> List[dict]:
    """Return a ConfigMap for each dashboard."""
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {**_metadata(f"dashboard-{name}", namespace, label), **({"annotations": dict(annotations)} if annotations else {})},
            "data": {f"{NAME}-{name}.json": json.dumps(dashboard, indent=1)},
        }
        for name, dashboard in dashboards.items()
    ]


def prometheus_rules(groups: Mapping, namespace: str, label: Mapping) -> List[dict]:
    """Return a PrometheusRule for each layer."""
    return [
        {"apiVersion": RULES, "kind": "PrometheusRule", "metadata": _metadata(name, namespace, label), "spec": {"groups": list(found)}}
        for name, found in groups.items()
    ]


def _metadata(name: str, namespace: str, label: Mapping) -> dict:
    return {"name": f"{NAME}-{name}", "namespace": namespace, "labels": {**label, **labels(OWNER)}}


def stale(present: Sequence, wanted: Sequence) -> List[dict]:
    """Return those of our objects in the cluster that are not wanted any more, by kind and name."""
    names = {(one["kind"], one["metadata"]["name"]) for one in wanted}
    return [one for one in present if (one["kind"], one["metadata"]["name"]) not in names]
