# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dashboards, scrape configuration and objects: what Grafana, Prometheus and the cluster are handed."""

from __future__ import annotations

import json

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import monitoring_bundle, monitoring_dashboards, monitoring_objects, monitoring_scrape
from ansible_collections.kubeproof.certify.plugins.module_utils.monitoring_queries import MonitoringError
from ansible_collections.kubeproof.certify.plugins.module_utils.owned import is_of

CHECK = {"title": "Fsync, P99", "query": "a", "scope": "host", "unit": "s", "profiles": ["load"],
         "fix": "Give it a disk of its own.", "reference": "https://example.com/x"}  # fmt: skip
LAYER = {
    "title": "etcd", "jobs": ["etcd"], "words": {"read": 'op="get"'},
    "checks": {"etcd_x": {"quantile": 0.99, "metric": "fsync_seconds", "job": "etcd"}},
    "panels": [
        {"title": "Size", "unit": "bytes", "targets": [{"expr": "size{$etcd,$read}", "legend": "{{instance}}"}]},
        {"title": "New", "when": {"etcd": ">= 3.7"}, "targets": [{"expr": "new{$etcd}"}]},
    ],
}  # fmt: skip
CERTIFICATE = {
    "title": "Certificates",
    "panels": [{"title": "Verdict", "kind": "stat", "mappings": "verdicts", "targets": [{"expr": "$verdict(v{$certificate})"}]}],
}
SCRAPE = {
    "api": {"server": "https://api.example.com:6443/", "ca_file": "/p/ca", "token_file": "/p/token"}, "targets": {"etcd": {"etcd1": "10.0.0.1"}},
    "tls": {"etcd": {"ca_file": "/p/etcd.ca", "cert_file": "/p/c", "key_file": "/p/k"}}, "interval": "15s", "ingress": "traefik",
    "namespaces": {"dns": "kube-system", "ingress": "edge"}, "ports": {}, "rule_files": ["rules/*.yml"], "labels": {"cluster": "prod"}, "found": None,
}  # fmt: skip
FOUND = {"apiservers": ["10.0.0.9:6443"], "nodes": ["n1"], "pods": {"dns": {"coredns-1": "n1"}, "ingress": {"traefik-1": "n1"}}}
OPTIONS = {"kubernetes": "1.36.3", "etcd": "3.6.8", "ingress": "traefik", "exporters": [], "window": "10m", "selectors": {"etcd": 'job="kube-etcd"'},
           "scrape": None, "namespace": "monitoring"}  # fmt: skip


def bundle(check=None, **options):
    checks = {"etcd": {"etcd_x": {**CHECK, **(check or {"target": "< 0.01", "critical": "< 0.025"})}}}
    return monitoring_bundle.bundle({"etcd": LAYER}, CERTIFICATE, checks, {}, {**OPTIONS, **options})


def board(check=None):
    return bundle(check)["dashboards"]["etcd"]


def test_a_panel_for_each_check_and_those_that_fit():
    made = board()
    assert [panel["title"] for panel in made["panels"]] == ["Last certificate", "Fsync, P99", "Size"]
    assert made["panels"][1]["targets"][0]["expr"] == 'histogram_quantile(0.99, sum by (le) (rate(fsync_seconds_bucket{job="kube-etcd"}[$__rate_interval])))'
    assert made["panels"][2]["targets"][0]["expr"] == 'size{job="kube-etcd",op="get"}'
    assert made["panels"][1]["description"] == "etcd_x. target <= 0.01 s; critical <= 0.025 s"


def test_panels_do_not_lie_on_each_other():
    for made in bundle()["dashboards"].values():
        cells = [(x, y) for panel in made["panels"] for place in [panel["gridPos"]] for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])]  # fmt: skip
        assert len(set(cells)) == len(cells) and max(x for x, dummy in cells) < monitoring_dashboards.COLUMNS
        assert len({panel["id"] for panel in made["panels"]}) == len(made["panels"])


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        ({"target": "< 0.01", "critical": "< 0.025"}, [("green", 0), ("orange", 0.01), ("red", 0.025)]),
        ({"critical": "< 0.025"}, [("green", 0), ("red", 0.025)]),
        ({"target": "> 0.9", "critical": "> 0.8"}, [("red", 0), ("orange", 0.8), ("green", 0.9)]),
        ({"target": ">= 3"}, [("orange", 0), ("green", 3)]),
        ({"critical": "== 0"}, [("green", 0), ("red", 0.001)]),
        ({"critical": "== true"}, [("red", 0), ("green", 1)]),
        ({"critical": "== 1"}, [("red", 0), ("green", 1), ("red", 1.001)]),
    ],
)
def test_bounds_are_the_colors_of_a_panel(check, expected):
    assert [(one["color"], one["value"]) for one in board(check)["panels"][1]["fieldConfig"]["defaults"]["thresholds"]["steps"]] == expected


def test_a_verdict_is_a_number_with_a_name():
    panel = bundle()["dashboards"]["certificate"]["panels"][0]
    assert panel["targets"][0]["expr"].startswith('sum without (verdict) (0 * (v{cluster=~"$cluster",verdict="PASS"} == 1) or 1 * (')
    names = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    assert {rank: one["text"] for rank, one in names.items()} == {"0": "PASS", "1": "CONDITIONAL", "2": "INCONCLUSIVE", "3": "FAIL"}


def test_the_same_input_gives_the_same_bytes():
    assert bundle()["files"] == bundle()["files"]
    assert all(json.loads(text) for name, text in bundle()["files"].items() if name.endswith(".json"))


def test_a_selector_that_is_missing_is_named():
    with pytest.raises(MonitoringError, match="monitoring_selectors has no etcd"):
        bundle(selectors={"dns": 'job="a"'})


# The scrape configuration ------------------------------------------------------------------------------------------------------


def jobs(**options):
    return {one["job_name"]: one for one in monitoring_scrape.configuration({**SCRAPE, **options})["scrape_configs"]}


@pytest.mark.parametrize("found", [None, FOUND])
def test_every_component_has_a_job(found):
    assert set(jobs(found=found)) == {"apiserver", "kubelet", "kubelet-cadvisor", "coredns", "traefik", "kube-etcd"}


def test_etcd_shows_its_certificate_and_is_verified():
    assert jobs()["kube-etcd"] == {
        "job_name": "kube-etcd", "scheme": "https", "tls_config": {"ca_file": "/p/etcd.ca", "cert_file": "/p/c", "key_file": "/p/k"},
        "static_configs": [{"targets": ["10.0.0.1:2379"], "labels": {"instance": "etcd1"}}],
    }  # fmt: skip


def test_tls_is_verified_unless_said():
    assert "insecure_skip_verify" not in json.dumps(jobs(targets={"scheduler": {"cp1": "10.0.0.9"}}))
    told = jobs(targets={"scheduler": {"cp1": "10.0.0.9"}}, tls={"scheduler": {"insecure_skip_verify": True}})
    assert told["kube-scheduler"]["tls_config"] == {"insecure_skip_verify": True}


def test_static_targets_are_those_that_discovery_would_find():
    kubelet = jobs(found=FOUND)["kubelet-cadvisor"]["static_configs"]
    [path] = [one["labels"].pop("__metrics_path__") for one in kubelet]
    assert path == "/api/v1/nodes/n1/proxy/metrics/cadvisor"
    labels = {"instance": "n1", "node": "n1", "metrics_path": "/metrics/cadvisor", "job": "kubelet"}
    assert kubelet == [{"targets": ["api.example.com:6443"], "labels": labels}]
    labels = jobs(found=FOUND)["traefik"]["static_configs"][0]["labels"]
    assert labels["__metrics_path__"] == "/api/v1/namespaces/edge/pods/traefik-1:8080/proxy/metrics"


def test_a_prometheus_in_the_cluster_needs_no_address():
    inside = jobs(api={})
    assert inside["kubelet"]["authorization"]["credentials_file"] == "/var/run/secrets/kubernetes.io/serviceaccount/token"
    assert "api_server" not in inside["kubelet"]["kubernetes_sd_configs"][0]


@pytest.mark.parametrize(
    ("address", "expected"),
    [("10.0.0.1", "10.0.0.1:2379"), ("etcd.example.com:23790", "etcd.example.com:23790"), ("[fd00::1]", "[fd00::1]:2379"), ("[fd00::1]:5", "[fd00::1]:5")],
)
def test_a_port_is_added_where_none_is(address, expected):
    assert jobs(targets={"etcd": {"a": address}})["kube-etcd"]["static_configs"][0]["targets"] == [expected]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"targets": {"etcs": {}}}, "monitoring_targets"),
        ({"tls": {"etcd": {"ca": "/x"}}}, "monitoring_tls.etcd"),
        ({"api": {"server": "https://a"}}, "monitoring_api has server"),
        ({"ingress": "haproxy"}, "monitoring_ingress is 'haproxy'"),
        ({"interval": "often"}, "monitoring_interval is 'often'"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(options, said):
    with pytest.raises(MonitoringError, match=said):
        jobs(**options)


# Objects -----------------------------------------------------------------------------------------------------------------------


def test_objects_carry_our_labels_and_those_of_the_sidecars():
    made = bundle()
    objects = monitoring_objects.config_maps(made["dashboards"], "monitoring", {"grafana_dashboard": "1"}, {"grafana_folder": "K"})
    objects += monitoring_objects.prometheus_rules(made["groups"], "monitoring", {"release": "kps"})
    assert all(is_of(one, monitoring_objects.OWNER) and one["metadata"]["namespace"] == "monitoring" for one in objects)
    assert objects[0]["metadata"]["labels"]["grafana_dashboard"] == "1" and objects[-1]["metadata"]["labels"]["release"] == "kps"
    assert monitoring_objects.stale(objects, objects[1:]) == [objects[0]]
