# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What could explain a number that is off target."""

from __future__ import annotations

import pathlib

import pytest
import yaml

from ansible_collections.kubeproof.certify.plugins.module_utils.certificate import certificate
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import CheckError
from ansible_collections.kubeproof.certify.plugins.module_utils.check_settings import load_catalogue
from ansible_collections.kubeproof.certify.plugins.module_utils.explanations import explain
from ansible_collections.kubeproof.certify.plugins.module_utils.tuning_page import groups
from ansible_collections.kubeproof.certify.tests.unit.plugins import tuning_fake

LINKS = ["etcd_fsync", "tuning_x", "etcd_other"]
SLOW = {"id": "apiserver_p99", "layer": "apiserver", "title": "API P99", "result": "FAIL", "value": 0.9, "explained_by": LINKS}
FSYNC = {"id": "etcd_fsync", "layer": "etcd", "title": "fsync P99", "result": "CONDITIONAL", "value": 0.031, "unit": "s", "host": "etcd2", "critical": "< 0.05"}
RUN = {"id": "r", "started": "2026-11-21T03:49:15Z", "user": "ops", "controller": "bastion", "version": "0.1.0", "profile": "load", "cluster": {"name": "prod"}}
CHECK = {"title": "t", "query": "v", "scope": "cluster", "target": "> 1", "profiles": ["load"], "fix": "Do it.", "reference": "r"}


def explanations(*findings):
    """Return {id: ids of what explains it}."""
    return {one["id"]: [why["id"] for why in one["explained_by"]] for one in explain(findings) if "explained_by" in one}


def test_an_explanation_says_what_is_seen_and_where():
    found = explain([SLOW, FSYNC])[0]["explained_by"]
    assert found == [{"id": "etcd_fsync", "layer": "etcd", "title": "fsync P99", "result": "CONDITIONAL", "value": 0.031, "unit": "s", "host": "etcd2"}]


@pytest.mark.parametrize(
    "findings, expected",
    [
        ([SLOW], {}),
        ([SLOW, {**FSYNC, "result": "PASS"}], {}),
        ([SLOW, {**FSYNC, "result": "INCONCLUSIVE"}], {}),
        ([{**SLOW, "result": "PASS"}, FSYNC], {}),
        ([{**SLOW, "result": "INCONCLUSIVE"}, FSYNC], {}),
        ([{**SLOW, "result": "CONDITIONAL"}, FSYNC], {"apiserver_p99": ["etcd_fsync"]}),
        ([SLOW, {**FSYNC, "id": "etcd_another"}], {}),
        ([SLOW, {**FSYNC, "id": "etcd_other"}, FSYNC], {"apiserver_p99": ["etcd_fsync", "etcd_other"]}),
        ([{**SLOW, "explained_by": "damaged"}, FSYNC], {}),
        ([{**SLOW, "explained_by": [["damaged"], None]}, FSYNC], {}),
    ],
)
def test_links(findings, expected):
    assert explanations(*findings) == expected


def test_the_worst_of_a_check_explains():
    worse = {**FSYNC, "host": "etcd3", "result": "FAIL", "value": 0.2}
    assert explain([SLOW, FSYNC, worse])[0]["explained_by"][0]["host"] == "etcd3"


def test_what_was_found_at_the_same_place_explains_before_what_is_worse_elsewhere():
    here = {**FSYNC, "scope": "host", "host": "etcd1"}
    worse = {**FSYNC, "scope": "host", "host": "etcd3", "result": "FAIL", "value": 0.2}
    slow = {**SLOW, "scope": "host", "host": "etcd1"}
    assert explain([slow, worse, here])[0]["explained_by"][0]["host"] == "etcd1"
    assert explain([{**slow, "host": "etcd2"}, worse, here])[0]["explained_by"][0]["host"] == "etcd3"
    # A setting of a host is an entry of the cluster's document.
    setting = {**FSYNC, "id": "tuning_x", "scope": "cluster", "host": "prod", "entry": "etcd1"}
    other = {**setting, "entry": "etcd3", "result": "FAIL"}
    assert explain([slow, setting, other])[0]["explained_by"][0]["entry"] == "etcd1"
    assert explain([{**slow, "scope": "cluster", "host": "prod"}, setting, other])[0]["explained_by"][0]["entry"] == "etcd3"


def test_a_default_that_costs_nothing_at_this_size_explains_nothing():
    default = {**FSYNC, "id": "tuning_x", "informs": True, "reason": "It costs something above 500 nodes."}
    assert explanations(SLOW, default) == {}
    # What is always information may well be the reason.
    assert explanations(SLOW, {**default, "reason": ""}) == {"apiserver_p99": ["tuning_x"]}


def test_links_are_gone_where_nothing_is_explained():
    assert all("explained_by" not in one for one in explain([{**SLOW, "result": "PASS"}, FSYNC]))


def test_a_link_to_a_check_that_is_not_there_is_an_error():
    linked = {"etcd_a": {**CHECK, "explained_by": ["dns_a", "dns_b"]}}
    parts = [{"source": "roles/etcd/x.yml", "checks": linked}, {"source": "roles/dns/x.yml", "checks": {"dns_a": CHECK}}]
    with pytest.raises(CheckError, match="etcd_a: explained_by names dns_b"):
        load_catalogue(parts)
    parts[1]["checks"]["dns_b"] = CHECK
    assert set(load_catalogue(parts)) == {"etcd_a", "dns_a", "dns_b"}


ROOT = pathlib.Path(__file__).parents[4]
CHECKS = {path.parents[2].name: yaml.safe_load(path.read_text(encoding="utf-8"))[f"{path.parents[2].name}_checks"]
          for path in ROOT.glob("roles/*/defaults/main/checks.yml")}  # fmt: skip
EVERY = {identifier: check for own in CHECKS.values() for identifier, check in own.items()}
# What a layer stands on.
LOWER = ("etcd", "apiserver", "network", "dns", "storage", "ingress")
# Load is sent by ourselves: a generator that falls short is no fault of the cluster.
OURS = {"dns_generator", "apiserver_generator"}


def is_performance(check):
    return check.get("unit") in ("s", "1/s", "bit/s", "byte/s") and not check.get("gate") and {"target", "critical", "capacity"} & set(check)


def test_every_link_leads_to_a_check_of_a_lower_layer_or_of_the_tuning():
    for layer in LOWER:
        for identifier, check in CHECKS[layer].items():
            for link in check.get("explained_by", ()):
                assert link in EVERY and link != identifier, (identifier, link)
                own = link.split("_")[0]
                assert own == "tuning" or LOWER.index(own) <= LOWER.index(layer), (identifier, link)
                assert {"target", "critical", "capacity"} & set(EVERY[link]) or own != "tuning", (identifier, link)


@pytest.mark.parametrize("layer", LOWER)
def test_every_number_of_performance_can_be_explained_by_the_configuration(layer):
    links = {name: check.get("explained_by", []) for name, check in CHECKS[layer].items() if is_performance(check)}
    assert links and {name for name, own in links.items() if not any(one.startswith("tuning_") for one in own)} - OURS == set()


def measured(identifier, result, value, layer, **more):
    check = EVERY[identifier]
    return {"id": identifier, "layer": layer, "title": check["title"], "scope": check["scope"], "host": "prod", "value": value, "target": None,
            "critical": None, "bounds": "default", "result": result, "judged": True, "reason": "", "fix": check["fix"], "unit": check.get("unit"),
            "explained_by": check.get("explained_by", []), **more}  # fmt: skip


def test_the_certificate_names_what_could_explain_a_slow_api():
    """The links are the roles' own data, and what explains is a finding of the tuning's own judge."""
    badly = tuning_fake.kubeadm()
    tuning_fake.flag("apiserver", max_requests_inflight="100", v="9")(badly)
    findings = {
        "etcd": [measured("etcd_wal_fsync_p99", "FAIL", 0.031, "etcd", host="etcd2", scope="host")],
        "apiserver": [measured("apiserver_mutating_latency_p99", "FAIL", 1.7, "apiserver", entry="POST pods")],
        "tuning": tuning_fake.judged(badly),
    }
    made = certificate(RUN, {"layers": ["etcd", "apiserver"], "beside": ["tuning"]}, findings)
    slow = next(one for one in made["findings"] if one["id"] == "apiserver_mutating_latency_p99")
    why = {one["id"]: one for one in slow["explained_by"]}
    assert why["etcd_wal_fsync_p99"]["host"] == "etcd2" and why["etcd_wal_fsync_p99"]["value"] == 0.031
    assert why["tuning_apiserver_seats"]["value"] == 300 and why["tuning_apiserver_verbosity"]["value"] == 9
    assert "tuning_apiserver_fairness" not in why and not [one for one in why.values() if one["result"] == "PASS"]


def test_what_only_informs_at_this_size_stands_apart_in_the_certificate():
    findings = {"apiserver": [measured("apiserver_scheduling_p95", "FAIL", 30, "apiserver")], "tuning": tuning_fake.judged(tuning_fake.kubeadm())}
    made = certificate(RUN, {"layers": ["apiserver"], "beside": ["tuning"]}, findings)
    slow = next(one for one in made["findings"] if one["id"] == "apiserver_scheduling_p95")
    # A stock scheduler has 50 requests/s, which is enough up to 500 nodes.
    assert "tuning_scheduler_qps" not in [one["id"] for one in slow.get("explained_by", ())]
    fixes = {fix["id"]: fix["informs"] for group in groups(made["findings"]) for fix in group["fixes"]}
    assert fixes["tuning_scheduler_qps"] and not fixes["tuning_kubelet_pids"]
