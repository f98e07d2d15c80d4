# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole clusters: a stock one gets a short page at its size, and what is not known or not there never becomes a pass."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import checks as engine
from ansible_collections.kubeproof.certify.plugins.module_utils.tuning_facts import cluster_facts, folded
from ansible_collections.kubeproof.certify.tests.unit.plugins.tuning_fake import flag, judged, kubeadm, kubespray, off, rules

# What a stock cluster pays for at any size.
STOCK = {"coredns_budget", "kubelet_pids", "kubelet_reserved_memory", "kubelet_shutdown"}
PLANE = ("apiserver", "manager", "scheduler", "etcd")
BETTER = {"FAIL": 0, "INCONCLUSIVE": 0, "CONDITIONAL": 1, "PASS": 2, "NOT_APPLICABLE": 3, "INFO": 3}


def results(findings, component=""):
    return {one["result"] for one in findings if one["judged"] and one["id"].startswith(f"tuning_{component}")}


def large(workers):
    """Return a stock cluster with so many workers, of which two hosts were read."""
    measured = kubeadm()
    cluster = measured["cluster"]
    for number in range(workers):
        cluster["nodes"][f"pool{number}"] = dict(cluster["nodes"]["worker1"])
        cluster["kubelets"][0]["nodes"].append(f"pool{number}")
    cluster["counts"].update(pods=30 * workers, services=int(1.5 * workers))
    return measured


# Stock clusters -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minor,more", [(33, {"cluster_version", "etcd_state"}), (34, set()), (35, set()), (36, set())])
def test_a_stock_kubeadm_cluster_gets_a_page_and_no_wall(minor, more):
    findings = judged(kubeadm(minor))
    assert off(findings) == STOCK | more
    assert "INCONCLUSIVE" not in results(findings) and len(off(findings, False)) < 30


# IPVS is what Kubespray has used for long, and is deprecated from 1.35 on.
@pytest.mark.parametrize("minor,more", [(33, {"cluster_version"}), (34, set()), (35, {"proxy_mode"}), (36, {"proxy_mode"})])
@pytest.mark.parametrize("stacked", [False, True])
def test_a_stock_kubespray_cluster(minor, more, stacked):
    findings = judged(kubespray(minor, stacked))
    assert off(findings) == STOCK | {"etcd_corrupt_check"} | more and len(off(findings, False)) < 30
    assert {one["entry"] for one in findings if one["id"] == "tuning_etcd_corrupt_check"} == {f"{'cp' if stacked else 'etcd'}{n}" for n in (1, 2, 3)}
    assert {one["where"] for one in findings if one["id"] == "tuning_etcd_corrupt_check"} == {"/etc/etcd.env"}
    assert {one["where"] for one in findings if one["id"] == "tuning_kubelet_pids"} == {"/etc/kubernetes/kubelet-config.yaml"}


def test_one_control_plane_node():
    assert off(judged(kubeadm(planes=1))) == STOCK | {"apiserver_instances"}


def test_defaults_become_warnings_with_the_size():
    assert {"apiserver_goaway", "coredns_autoscaler", "kubelet_serial_pulls"} <= off(judged(large(60))) - STOCK
    assert {"etcd_dedicated", "coredns_node_local"} <= off(judged(large(150)))
    found = off(judged(large(1000)))
    assert {
        "apiserver_seats_large",
        "apiserver_events_etcd",
        "etcd_quota_large",
        "manager_qps",
        "scheduler_qps",
        "manager_addresses",
        "proxy_mode_services",
    } <= found
    assert "apiserver_seats_huge" not in found and "apiserver_seats_huge" in off(judged(large(3500)))


def test_the_planned_size_counts():
    measured = kubeadm()
    assert "apiserver_seats_large" in off(judged({**measured, "nodes": 600}))


def test_a_thousand_equal_kubelets_are_one_finding():
    findings = [one for one in judged(large(1000)) if one["id"] == "tuning_kubelet_pids"]
    assert [one["entry"] for one in findings] == ["cp1 and 1004 more"]


def test_where_a_kubelet_is_configured_is_what_its_host_says():
    measured = kubeadm()
    measured["hosts"]["worker2"]["configs"]["kubelet"]["path"] = "/etc/other.yaml"
    found = {one["entry"]: one["where"] for one in judged(measured) if one["id"] == "tuning_kubelet_pids"}
    assert found == {"cp1 and 3 more": "/var/lib/kubelet/config.yaml", "worker2": "/etc/other.yaml"}


def test_another_kubelet_is_another_finding():
    measured = large(20)
    [group] = measured["cluster"]["kubelets"]
    measured["cluster"]["kubelets"].append({"nodes": [group["nodes"].pop()], "config": {**group["config"], "podPidsLimit": 4096}})
    found = {one["entry"]: one["result"] for one in judged(measured) if one["id"] == "tuning_kubelet_pids"}
    assert found == {"cp1 and 23 more": "CONDITIONAL", "pool19": "PASS"}


# Versions -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "version,word", [("v1.37.0-alpha.1", "newer"), ("v1.38.0", "newer"), ("v2.30.0", "newer"), ("v1.20.1", "older"), ("v0.35.0", "older")]
)
def test_a_version_that_nobody_knows_is_said_and_judged_by_no_rule(version, word):
    measured = kubeadm()
    for host in measured["hosts"].values():
        for name in ("apiserver", "manager", "scheduler"):
            if name in host["manifests"]:
                host["manifests"][name]["image"] = f"registry/kube:{version}"
    for images in measured["cluster"]["instances"].values():
        images.update(dict.fromkeys(images, f"registry/kube:{version}"))
    measured["cluster"]["version"] = version
    findings = judged(measured)
    seen = [
        one for one in findings
        if one["id"][7:] in ("apiserver_watch_cache", "manager_leader", "scheduler_leader", "cluster_version", "proxy_mode")
    ]  # fmt: skip
    assert {one["result"] for one in seen} == {"INCONCLUSIVE"} and len({one["id"] for one in seen}) == 5
    assert all(word in one["reason"] and version[1:].partition("-")[0] in one["reason"] for one in seen)
    assert engine.verdict(findings)["verdict"] in ("INCONCLUSIVE", "FAIL")


@pytest.mark.parametrize("unknown", ["3.9.0", "4.6.0", "2.6.0"])
def test_an_unknown_etcd_containerd_and_kubelet(unknown):
    measured = kubeadm()
    for host in measured["hosts"].values():
        host["versions"]["containerd"] = "3.0.0"
        for process in host["processes"].get("etcd", ()):
            process["live"]["version"] = unknown
    for node in measured["cluster"]["nodes"].values():
        node["kubelet"] = "v1.40.0"
    findings = {one["id"]: one for one in judged(measured)}
    for rule, word in (("etcd_fsync", f"etcd {unknown}"), ("containerd_driver", "containerd 3.0.0"), ("kubelet_sync", "the kubelet 1.40.0")):
        finding = findings[f"tuning_{rule}"]
        assert finding["result"] == "INCONCLUSIVE" and word in finding["reason"], rule


def test_rules_of_other_versions_do_not_apply():
    findings = {one["id"]: one["result"] for one in judged(kubeadm(33))}
    assert findings["tuning_apiserver_list_snapshot"] == findings["tuning_scheduler_batching"] == findings["tuning_etcd_experimental"] == "NOT_APPLICABLE"
    assert findings["tuning_etcd_snapshots_old"] == "PASS" and findings["tuning_etcd_corrupt_check"] == "PASS"


def test_skew():
    measured = kubeadm()
    measured["cluster"]["nodes"]["worker1"]["kubelet"] = "v1.32.0"
    measured["cluster"]["nodes"]["worker2"]["kubelet"] = "v1.37.0"
    [finding] = [one for one in judged(measured) if one["id"] == "tuning_cluster_skew_kubelet"]
    assert finding["result"] == "FAIL" and finding["value"] == ["worker1 1.32", "worker2 1.37"]


# What is not there ----------------------------------------------------------------------------------------------------------


def test_a_managed_control_plane_does_not_apply():
    measured = kubeadm()
    for name in ("cp1", "cp2", "cp3"):
        del measured["hosts"][name]
    measured.update(managed="EKS", expected={"nodes": ["worker1", "worker2"]})
    findings = judged(measured)
    for part in PLANE:
        own = [one for one in findings if one["id"].startswith(f"tuning_{part}") and one["judged"] and one["result"] == "INCONCLUSIVE"]
        assert own == [], part
    stated = [one for one in findings if one["id"] == "tuning_apiserver_watch_cache"]
    assert [(one["result"], one["reason"]) for one in stated] == [("NOT_APPLICABLE", "The control plane is managed by its provider.")]
    assert "PASS" in results(findings, "kubelet")


def test_no_hosts_of_the_control_plane_without_a_word_is_not_a_pass():
    measured = kubeadm()
    for name in ("cp1", "cp2", "cp3"):
        del measured["hosts"][name]
    measured["expected"] = {"nodes": ["worker1", "worker2"]}
    findings = {one["id"]: one for one in judged(measured)}
    assert findings["tuning_apiserver_watch_cache"]["result"] == "INCONCLUSIVE"
    assert "the inventory has no host in the group kube_control_plane" in findings["tuning_apiserver_watch_cache"]["reason"]


def test_a_host_that_was_lost_is_named():
    measured = kubeadm()
    del measured["hosts"]["cp2"]
    measured["errors"] = {"cp2": "ssh: connection refused"}
    lost = [one for one in judged(measured) if one["id"] == "tuning_etcd_fsync" and one["entry"] == "cp2"]
    assert [(one["result"], one["reason"]) for one in lost] == [("INCONCLUSIVE", "Not measured: ssh: connection refused.")]


def test_without_a_cluster_the_hosts_are_judged():
    measured = {**kubeadm(), "cluster": {}}
    findings = {one["id"]: one for one in judged(measured)}
    assert findings["tuning_apiserver_watch_cache"]["result"] == findings["tuning_etcd_fsync"]["result"] == "PASS"
    assert findings["tuning_kubelet_pids"]["result"] == findings["tuning_coredns_budget"]["result"] == "INCONCLUSIVE"
    assert "certify_kubeconfig is empty" in findings["tuning_kubelet_pids"]["reason"]


def test_a_cluster_that_could_not_be_read_says_why():
    findings = {one["id"]: one for one in judged({**kubeadm(), "cluster": {}, "cluster_error": "GET /version: 401 Unauthorized"})}
    assert "401 Unauthorized" in findings["tuning_coredns_replicas"]["reason"] and "401" in findings["tuning_storage_binding"]["reason"]


def test_a_part_of_the_cluster_that_could_not_be_read_says_why():
    measured = kubeadm()
    for part in ("dns", "webhooks", "stuck_budgets", "storage"):
        del measured["cluster"][part]
        measured["cluster"]["missing"][part] = f"{part} cannot be read: 403 Forbidden"
    findings = {one["id"]: one for one in judged(measured)}
    for rule in ("coredns_budget", "apiserver_webhook_timeout", "cluster_budgets", "storage_provisioner", "storage_defaults"):
        assert findings[f"tuning_{rule}"]["result"] == "INCONCLUSIVE" and "403 Forbidden" in findings[f"tuning_{rule}"]["reason"], rule


def test_a_flag_that_is_no_value_is_not_measured():
    measured = kubeadm()
    flag("apiserver", event_ttl="soon")(measured)
    [finding] = {one["reason"] for one in judged(measured) if one["id"] == "tuning_apiserver_event_ttl"}
    assert finding == "Not measured: --event-ttl=soon is no value that these rules understand."


def test_an_etcd_that_does_not_answer():
    measured = kubeadm()
    for host in measured["hosts"].values():
        for process in host["processes"].get("etcd", ()):
            process["live"] = {"error": "connection refused"}
    findings = {one["id"]: one for one in judged(measured)}
    assert "connection refused" in findings["tuning_etcd_alarms"]["reason"] and findings["tuning_etcd_alarms"]["result"] == "INCONCLUSIVE"


def test_without_facts_nothing_passes():
    findings = engine.judge(rules(), {}, "tuning", "load", {"cluster": ["a"]})
    assert results(findings) == {"INCONCLUSIVE"}


def worst_of(findings):
    ranks = {}
    for one in findings:
        if one["judged"]:
            ranks[one["id"]] = min(ranks.get(one["id"], 9), BETTER[one["result"]])
    return ranks


# What makes a rule not apply or inform is a fact too; without it the rule is judged.
def parts_of(document, depth=2, path=()):
    for name, value in document.items():
        yield (*path, name)
        if isinstance(value, dict) and len(path) < depth:
            yield from parts_of(value, depth, (*path, name))


def removed(document, path):
    found = copy.deepcopy(document)
    inner = found
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return found


def test_removing_a_part_of_what_was_measured_never_improves_a_rule():
    """An entry that nobody expects by name is left out: the document itself names those that are expected."""
    measured = kubeadm()
    flag("apiserver", watch_cache="false", v="9")(measured)
    document = cluster_facts(measured)
    before = worst_of(engine.judge(rules(), {"cluster": {"a": document}}, "tuning", "load", {"cluster": ["a"]}))
    entries = {
        (part, name)
        for part, value in document.items()
        if isinstance(value, dict)
        for name, one in value.items()
        if isinstance(one, dict) and part not in ("cluster", "coredns", "scale", "proxy")
    }
    # As clusters of one judge, which reads the rules once.
    less = {repr(path): removed(document, path) for path in parts_of(document) if not (path[:2] in entries and len(path) == 2 or "missing" in path)}
    found = {name: [] for name in less}
    for one in engine.judge(rules(), {"cluster": less}, "tuning", "load", {"cluster": list(less)}):
        found[one["host"]].append(one)
    for path, findings in found.items():
        after = worst_of(findings)
        better = {rule for rule, rank in after.items() if rank > before.get(rule, 9)}
        assert after and better == set(), path
    assert len(found) > 100


def test_equal_entries_are_one_and_all_are_named():
    entries = {"node10": {"a": 1}, "node2": {"a": 1}, "node1": {"a": 1}, "other": {"a": 2}, "pair": {"a": 2}}
    found = folded(entries)
    assert found == {"node1 and 2 more": {"a": 1, "hosts": ["node1", "node2", "node10"]}, "other pair": {"a": 2, "hosts": ["other", "pair"]}}


def test_the_rules_are_many_and_few_of_them_block():
    assert len(rules()) >= 100
    assert 1 <= sum(bool(rule.get("blocking")) for rule in rules().values()) <= 10
    assert all(rule.get("write") or "informs" not in rule or len(rule["fix"]) > 20 for rule in rules().values())
