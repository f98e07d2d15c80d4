# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of the role monitoring: it fits the checks, and every version of a cluster gets queries that can be made."""

from __future__ import annotations

import functools
import json
import pathlib
import re

import pytest
import yaml

from ansible_collections.kubeproof.certify.plugins.module_utils import monitoring_bundle
from ansible_collections.kubeproof.certify.plugins.module_utils.bounds import BOUND_KEYS

ROOT = pathlib.Path(__file__).parents[2]
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
FILES = ROOT / "roles/monitoring/files"
# Names that no metric has, as the catalogue of metrics found in the sources of every version.
NO_METRICS = ("etcd_server_requests_total", "scheduler_scheduling_duration_seconds", "apiserver_request_slo_duration_seconds", "coredns_cache_misses_total",
              "scheduler_pod_scheduling_duration_seconds")  # fmt: skip
CLUSTERS = [
    {"kubernetes": "v1.29.6", "etcd": "", "ingress": "", "exporters": []},
    {"kubernetes": "v1.36.3+k3s1", "etcd": "3.6.8", "ingress": "traefik", "exporters": ["node-exporter"]},
    {"kubernetes": "1.36.3", "etcd": "3.7.3", "ingress": "nginx", "exporters": ["node-exporter", "kube-state-metrics"]},
]


def load(path):
    return yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)


LAYERS = {path.stem: load(path) for path in sorted((FILES / "layers").glob("*.yml"))}
CHECKS = {path.parents[2].name: load(path)[f"{path.parents[2].name}_checks"] for path in sorted((ROOT / "roles").glob("*/defaults/main/checks.yml"))}
SELECTORS = load(ROOT / "roles/monitoring/vars/main.yml")["__monitoring_selectors"]


def made(**cluster):
    return _made(json.dumps({**CLUSTERS[-1], **cluster}))


@functools.lru_cache(maxsize=None)
def _made(cluster):
    options = {**json.loads(cluster), "window": "10m", "selectors": SELECTORS, "scrape": None, "namespace": "monitoring"}
    return monitoring_bundle.bundle(LAYERS, load(FILES / "certificate.yml"), CHECKS, {"tiers": {"ingress": "small"}}, options)


@pytest.mark.parametrize("layer", LAYERS)
def test_queries_are_of_checks_that_are_there(layer):
    assert set(LAYERS[layer]["checks"]) - set(CHECKS.get(layer, {})) == set()


@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda one: one["kubernetes"])
def test_every_cluster_gets_rules_and_dashboards(cluster):
    found = made(**cluster)
    bounded = {name for part in CHECKS.values() for name, check in part.items() if {*BOUND_KEYS, "capacity"} & set(check)}
    assert {*found["watched"], *found["left"]} == bounded and not set(found["watched"]) & set(found["left"])
    assert all(len(reason) > 15 and reason.endswith((".", ")")) for reason in found["left"].values())
    text = json.dumps(list(found["files"].values()))
    assert [name for name in NO_METRICS if re.search(rf"\b{name}(_bucket|_count|_sum)?\b", text)] == []


def test_a_good_part_is_watched():
    assert len(made()["watched"]) >= 45 and len(made(exporters=[], ingress="")["watched"]) >= 40


def test_names_follow_the_version():
    """The catalogue of metrics: what was renamed, and what is new."""
    old, new = (json.dumps(made(kubernetes=version)["dashboards"]) for version in ("1.33.6", "1.34.0"))
    assert "apiserver_storage_objects" in old and "apiserver_resource_objects" not in old
    assert "apiserver_resource_objects" in new and "apiserver_storage_objects" not in new
    before, after = (json.dumps(made(etcd=version)["dashboards"]) for version in ("3.6.8", "3.7.3"))
    assert "etcd_server_request_duration_seconds" in after and "etcd_server_request_duration_seconds" not in before
    assert "dns_cache_hit_ratio" in made(kubernetes="1.31.14")["watched"] and "dns_cache_hit_ratio" in made(kubernetes="1.32.0")["left"]


def test_every_alert_has_a_test_of_its_own():
    found = made()
    rules = {rule["alert"] for groups in found["groups"].values() for group in groups for rule in group["rules"] if "alert" in rule}
    tested = set()
    for name, text in found["files"].items():
        if name.startswith("tests/"):
            tested |= {moment["alertname"] for case in yaml.load(text, Loader=LOADER)["tests"] for moment in case["alert_rule_test"]}
    assert rules - tested == set() and len(rules) > 45


def test_dashboards_have_names_of_their_own():
    boards = made()["dashboards"]
    assert len({board["uid"] for board in boards.values()}) == len(boards) == len(LAYERS) + 1
    assert all(len(panel["targets"]) <= 26 for board in boards.values() for panel in board["panels"])
