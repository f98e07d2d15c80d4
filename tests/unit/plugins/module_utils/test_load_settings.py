# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a layer's load is not the default of its role; and that no such run stands for another one unseen where runs are joined."""

from __future__ import annotations

import copy
import json
import pathlib

import jsonschema
import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.kubeproof.certify.plugins.filter.load_changes import load_changes
from ansible_collections.kubeproof.certify.plugins.module_utils import fingerprint, join_runs
from ansible_collections.kubeproof.certify.plugins.module_utils.certificate import LAYERS
from ansible_collections.kubeproof.certify.tests.unit.plugins.module_utils.test_join import BAD, by_id, fixture_results
from ansible_collections.kubeproof.certify.tests.unit.scripts.test_kubeproof_gate import gate

__all__ = ["fixture_results"]

ROOT = pathlib.Path(__file__).parents[4]
ROLES = ROOT / "roles"
VARS = yaml.safe_load((ROLES / "certify" / "vars" / "main.yml").read_text(encoding="utf-8"))
NAMES, TARGETS, MEANS = (VARS[f"__certify_{what}_names"] for what in ("load", "target", "means"))
SETTINGS = {layer: yaml.safe_load((ROLES / layer / "defaults" / "main" / "settings.yml").read_text(encoding="utf-8")) for layer in (*LAYERS, "scale")}
DEFAULTS = {layer: {name: SETTINGS[layer][name] for name in names} for layer, names in NAMES.items()}
# What makes no load lighter or heavier and sends it nowhere else: how a tool is found and how long it is waited for, what it may take of a machine, whom it
# trusts, and the port of our own servers.
BESIDE = {
    "etcd": {"etcd_compaction_window", "etcd_grace", "etcd_tool_paths"},
    "apiserver": {"apiserver_grace"},
    "network": {"network_host_port", "network_resources"},
    "dns": {"dns_resources", "dns_grace"},
    "storage": {"storage_resources", "storage_kbench_image", "storage_disk_free", "storage_bind_timeout", "storage_attach_timeout", "storage_expand_timeout",
                "storage_delete_timeout"},
    "ingress": {"ingress_key", "ingress_ca", "ingress_client_cpus", "ingress_request_timeout", "ingress_ready_timeout", "ingress_grace",
                "ingress_resources"},
    "scale": {"scale_image", "scale_resources", "scale_tolerations", "scale_pod_image", "scale_grace"},
}  # fmt: skip
# Of the settings of every layer: what a run compares by itself (certify_capacity, for one), what the certificate has to say of it, what is written and where,
# and what cleans up.
OF_THE_RUN = {
    "certify_profile", "certify_layers", "certify_tuning", "certify_time_scale", "certify_live", "certify_thresholds", "certify_waivers",
    "certify_not_applicable", "certify_capacity", "certify_tiers", "certify_cluster_uid", "certify_i_understand_stress", "certify_cluster_name",
    "certify_kubeconfig", "certify_tools_image", "certify_tools_pull_secret",
    "certify_results", "certify_accept", "certify_valid_days", "certify_sign", "certify_sign_key",
    "certify_sign_passphrase_file", "certify_baseline", "certify_regression", "certify_prometheus_access", "certify_resume", "certify_join_days",
    "certify_continue", "certify_clean_timeout", "certify_budget", "certify_reboot_command", "certify_reboot_emptydir", "certify_reboot_timeout",
    "certify_system_namespaces",
}  # fmt: skip


@pytest.mark.parametrize("layer", sorted(SETTINGS))
def test_every_setting_of_a_layer_is_on_record_or_changes_no_load(layer):
    parts = [NAMES[layer], TARGETS[layer], [name for name in MEANS[layer] if name in SETTINGS[layer]], sorted(BESIDE[layer])]
    assert sorted(name for part in parts for name in part) == sorted(SETTINGS[layer])


def test_every_setting_of_a_run_is_on_record_or_changes_no_load():
    settings = yaml.safe_load((ROLES / "certify" / "defaults" / "main" / "settings.yml").read_text(encoding="utf-8"))
    means = {name for names in MEANS.values() for name in names if name.startswith("certify_")} | set(VARS["__certify_ramp_names"])
    assert means | OF_THE_RUN == set(settings) and not means & OF_THE_RUN


@pytest.mark.parametrize("profile", ["smoke", "load", "stress", "soak"])
def test_the_defaults_of_every_role_are_no_change(profile):
    assert load_changes(copy.deepcopy(DEFAULTS), profile, ROLES) == []


def row(name, default, value):
    return {"layer": name.partition("_")[0], "setting": name, "default": default, "value": value}


def with_load(layer, change, profile="load"):
    """Return what a layer is loaded with, its load changed."""
    load = DEFAULTS[layer][f"{layer}_load"]
    return {**DEFAULTS, layer: {**DEFAULTS[layer], f"{layer}_load": {**load, profile: {**load[profile], **change}}}}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"external": 5}, [row("dns_load.load.external", "60", "5")]),
        ({"external": 60.0}, []),
        ({"more": True}, [row("dns_load.load.more", None, "true")]),
        ({"service": [{"share": 1.0, "seconds": 9}]}, [row("dns_load.load.service", None, '{"seconds": 9, "share": 1.0}')]),
        ({"service": []}, [row("dns_load.load.service", None, "")]),
    ],
)
def test_each_step_that_differs_is_named(change, expected):
    found = load_changes(with_load("dns", change), "load", ROLES)
    assert [{**one, "default": None} if one["setting"].endswith("service") else one for one in found] == expected
    assert load_changes(with_load("dns", change), "soak", ROLES) == []


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        # Of a map by profile only what this run is loaded with.
        ("etcd_rate_factor", {"load": 0.05, "smoke": 9}, [row("etcd_rate_factor.load", "1.1", "0.05")]),
        ("etcd_rate_factor", {"smoke": 9}, [row("etcd_rate_factor.load", "1.1", "-")]),
        ("etcd_value_size", 16, [row("etcd_value_size", "1,024", "16")]),
        ("etcd_clients", 100.0, []),
        ("dns_least_rate", 50, [row("dns_least_rate", "500", "50")]),
        ("storage_mixed_rate", {"ssd": 1000, "nvme": 50000}, [row("storage_mixed_rate.ssd", "10,000", "1,000")]),
        ("storage_size", "1Gi", [row("storage_size", "30Gi", "1Gi")]),
        ("network_udp_rate", 1000, [row("network_udp_rate", "100,000,000", "1,000")]),
        # No amounts, and so in words.
        ("network_nodes", ["worker1", "worker2"], [row("network_nodes", "all", "worker1, worker2")]),
        ("apiserver_pod_rate", 0.1, [row("apiserver_pod_rate", "the expected churn", "0.1")]),
        ("apiserver_pod_rate", 0.0, []),
        ("ingress_tls", "own", []),
        ("ingress_tls", "none", [row("ingress_tls", "with TLS", "without TLS")]),
    ],
)
def test_each_setting_that_changes_a_load_is_named(name, value, expected):
    layer = name.partition("_")[0]
    found = load_changes({**DEFAULTS, layer: {**DEFAULTS[layer], name: value}}, "load", ROLES)
    assert found == expected
    # It is the verdict of the gate, too, and what two runs differ in.
    assert gate.loads({"loads": found}) == ([f"{one['setting']} is {one['value']}, not {one['default']}" for one in expected], [])
    prints = [fingerprint.of_run({}, {"version": "1", "profile": "load", "loads": loads}) for loads in
              (DEFAULTS, {**DEFAULTS, layer: {**DEFAULTS[layer], name: value}})]  # fmt: skip
    assert [one["what"] for one in fingerprint.changes(*prints)] == [f"load of {layer} in load" for dummy in expected[:1]] or not expected


def test_what_is_left_out_is_a_change():
    shorter = with_load("dns", {})
    del shorter["dns"]["dns_load"]["load"]["external"]
    assert load_changes(shorter, "load", ROLES) == [row("dns_load.load.external", "60", None)]


@pytest.mark.parametrize("given", [{}, {"dns_load": None}, {"dns_load": 5}, {"dns_load": {"load": "long"}}, {"dns_load": {"smoke": {}}}])
def test_what_is_no_setting_is_left_to_the_layer_that_refuses_it(given):
    assert load_changes({"dns": {**given, "dns_least_rate": 5}}, "load", ROLES) == []


def test_a_role_without_a_load_is_a_clear_error(tmp_path):
    with pytest.raises(AnsibleFilterError, match="settings.yml cannot be read as the defaults of dns_load"):
        load_changes({"dns": {"dns_load": {}}}, "load", tmp_path)
    with pytest.raises(AnsibleFilterError, match="KeyError"):
        load_changes({"dns": {"dns_lod": {}}}, "load", ROLES)


# Where runs are joined ---------------------------------------------------------------------------------------------------------


def dns(seconds):
    """Return the fingerprint's value and the plan's row of a run whose dns_load was set."""
    return {"values": {"load of dns in load": f'{{"seconds": {seconds}}}'}, "loads": [{"layer": "dns", "setting": "dns_load.load.external", "default": "60",
                                                                                      "value": str(seconds)}]}  # fmt: skip


def test_a_row_says_that_its_layer_was_loaded_otherwise_than_by_default(results):
    short = results.run(20, **dns(5))
    results.run(22, "soak", ["etcd"], values={"load of etcd in soak": "{}"})
    made = results.join()
    rows = by_id(made["checklist"])
    assert rows["dns"]["reason"] == f"The load was changed: dns_load.load.external is 5, not 60. By {short} (load)."
    assert "changed" not in rows["write"]["reason"] + rows["leader"]["reason"]
    assert made["loads"] == [{**dns(5)["loads"][0], "run": short}]
    jsonschema.validate(json.loads(json.dumps(made)), json.loads((ROOT / "docs" / "certificate.schema.json").read_text(encoding="utf-8")))


def test_a_layer_that_was_loaded_otherwise_in_the_same_profile_does_not_join(results):
    """Or else the newest, which may have been shortened, would fill the row."""
    long, short = results.run(20, **dns(60)), results.run(21, layers=["dns"], **dns(5))
    with pytest.raises(join_runs.JoinError, match='load of dns in load was {"seconds": 60}, is {"seconds": 5}'):
        results.join(long, short)
    # Unasked, it is left aside with the reason.
    soak = results.run(19, "soak", ["etcd"])
    [ignored] = results.choose(long, soak).ignored
    assert ignored["id"] == short and "load of dns in load" in ignored["reason"]
    # Other layers, and another profile, may have any load.
    other = results.run(22, "stress", ["dns"], values={"load of dns in stress": "{}"})
    network = results.run(23, layers=["network"], values={"load of network in load": "{}"})
    assert {one["id"] for one in results.join(long, soak, other, network)["joined"]["runs"]} == {long, soak, other, network}


def target(layer, **settings):
    """Return the fingerprint's value of where the load of a layer goes."""
    return {f"target of {layer}": json.dumps(settings, sort_keys=True)}


def test_what_asked_elsewhere_takes_the_place_of_nothing(results):
    """Or else a page of somebody else would stand for an ingress that failed."""
    failed = results.run(20, facts={"ingress": BAD}, values=target("ingress", ingress_url="", ingress_class=""))
    other = results.run(21, layers=["ingress"], values=target("ingress", ingress_url="https://somewhere", ingress_class=""))
    said = 'target of ingress was {"ingress_url": ""}, is {"ingress_url": "https://somewhere"}'
    with pytest.raises(join_runs.JoinError, match=said):
        results.join(failed, other)
    soak = results.run(19, "soak", ["etcd"], values=target("etcd", etcd_clusters=[]))
    [ignored] = results.choose(failed, soak).ignored
    assert ignored["id"] == other and said in ignored["reason"]
    # A layer that only one of them has may be anywhere; asked at the same place, the newer one decides.
    assert results.join(failed, soak)["verdict"] == "FAIL"
    again = results.run(22, layers=["ingress"], values=target("ingress", ingress_url="", ingress_class=""))
    assert results.join(failed, again)["verdict"] == "PASS"


def test_a_layer_whose_generator_was_too_busy_is_certified_again_with_two(results):
    """That is what the fix of its finding says."""
    one, two = ({"means of ingress in load": json.dumps({"certify_generators": number})} for number in (1, 2))
    failed, again = results.run(20, facts={"ingress": BAD}, values=one), results.run(21, layers=["ingress"], values=two)
    assert results.join(failed, again)["verdict"] == "PASS"


def test_another_list_of_etcd_clusters_is_refused_in_every_profile(results):
    """The election that nobody watched for in the second one would be none."""
    one, two = [{"name": "etcd", "group": "etcd"}], [{"name": "etcd", "group": "etcd"}, {"name": "events", "group": "events"}]
    load = results.run(20, values=target("etcd", etcd_clusters=two))
    soak = results.run(22, "soak", ["etcd"], values=target("etcd", etcd_clusters=one))
    with pytest.raises(join_runs.JoinError, match=r'target of etcd was {"etcd_clusters": .*"events".*}, is {"etcd_clusters": .*{"group": "etcd", "name"'):
        results.join(load, soak)
