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

from ansible_collections.kubeproof.certify.plugins.module_utils import monitoring_bundle, monitoring_rules, monitoring_watch
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


# A Prometheus that scrapes the textfile collector with the certificates.
SCRAPE = {"api": {}, "targets": {"certificate": {"bastion": "10.0.0.5"}}, "tls": {}, "interval": "15s", "ingress": "", "found": None,
          "namespaces": {"dns": "kube-system"}, "ports": {}, "rule_files": [], "labels": {}}  # fmt: skip


@functools.lru_cache(maxsize=None)
def _made(cluster):
    options = {"scrape": None, **json.loads(cluster), "window": "10m", "selectors": SELECTORS, "namespace": "monitoring"}
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
    assert [name for name, reason in found["left"].items() if reason == monitoring_watch.UNKNOWN] == []
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


def test_what_is_left_out_as_a_whole_has_the_reason_of_its_layer():
    left = made()["left"]
    assert "configuration" in left["tuning_etcd_quota"] and "scale.yml" in left["scale_stopped"]


@pytest.mark.parametrize("scrape", [None, SCRAPE], ids=["alone", "scraped"])
def test_every_alert_has_a_test_of_its_own(scrape):
    found = made(scrape=scrape)
    rules = {rule["alert"] for groups in found["groups"].values() for group in groups for rule in group["rules"] if "alert" in rule}
    tested = set()
    for name, text in found["files"].items():
        if name.startswith("tests/"):
            tested |= {moment["alertname"] for case in yaml.load(text, Loader=LOADER)["tests"] for moment in case["alert_rule_test"]}
    assert rules - tested == set() and len(rules) > 45


@pytest.mark.parametrize(("scrape", "targets"), [(None, []), ({**SCRAPE, "targets": {}}, []), (SCRAPE, ["KubeproofTargetDown", "KubeproofTargetMissing"])])
def test_a_certificate_that_is_gone_is_an_alert(scrape, targets):
    """And so is an exporter that has it, where we know of one."""
    groups = made(scrape=scrape)["groups"]["certificate"]
    rules = {rule["alert"]: rule for group in groups for rule in group["rules"]}
    gone = rules["KubeproofCertificateMissing"]
    assert (gone["expr"], gone["for"], gone["labels"]["severity"]) == ("absent(kubeproof_certificate_verdict)", "1h", "warning")
    assert [name for name in rules if name.startswith("KubeproofTarget")] == targets
    if targets:
        assert [rules[name]["expr"] for name in targets] == ['up{job="kubeproof"} == 0', 'absent(up{job="kubeproof"})']
        cases = yaml.load(made(scrape=scrape)["files"]["tests/kubeproof-certificate.test.yml"], Loader=LOADER)["tests"]
        fired = {moment["alertname"] for case in cases for moment in case["alert_rule_test"] if moment["exp_alerts"]}
        assert fired == set(rules)


def test_what_hardly_happens_is_counted_for_longer():
    """A P99 needs 299 pods, which a quiet cluster does not start in ten minutes."""
    rules = {rule["record"]: rule["expr"] for group in made()["groups"]["apiserver"] for rule in group["rules"] if "record" in rule}
    for name in ("apiserver_pod_start_cached_p99", "apiserver_pod_start_pull_p99", "apiserver_scheduling_p95"):
        assert all("[6h]" in rules[one] and "[10m]" not in rules[one] for one in (f"kubeproof:{name}", f"kubeproof:{name}:samples"))
    assert "[10m]" in rules["kubeproof:apiserver_latency_p95"]


def test_silence_is_told():
    """Every check that can be silent for want of samples has an alert that says so, also where its series may well be missing."""
    for groups in made()["groups"].values():
        rules = [rule for group in groups for rule in group["rules"]]
        needs = {rule["labels"]["check"] for rule in rules if ":samples >=" in rule["expr"] and rule.get("alert") != monitoring_rules.FEW}
        assert {rule["labels"]["check"] for rule in rules if rule.get("alert") == monitoring_rules.FEW} == needs


def test_dashboards_have_names_of_their_own():
    boards = made()["dashboards"]
    assert len({board["uid"] for board in boards.values()}) == len(boards) == len(LAYERS) + 1
    assert all(len(panel["targets"]) <= 26 for board in boards.values() for panel in board["panels"])
