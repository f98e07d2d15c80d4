# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A checklist or SLAs that are not the role's are told: in the plan, on the certificate, and of several runs."""

from __future__ import annotations

import copy
import json
import pathlib

import jsonschema
import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.kubeproof.certify.plugins.filter.checklist_changes import checklist_changes
from ansible_collections.kubeproof.certify.plugins.module_utils import certificate as engine
from ansible_collections.kubeproof.certify.tests.unit.plugins import report_fake as fake
from ansible_collections.kubeproof.certify.tests.unit.plugins.module_utils.test_join import fixture_results
from ansible_collections.kubeproof.certify.tests.unit.scripts.test_kubeproof_gate import gate

__all__ = ["fixture_results"]
ROOT = pathlib.Path(__file__).parents[4]
PATH = ROOT / "roles" / "certify" / "defaults" / "main" / "checklist.yml"
SCHEMA = json.loads((ROOT / "docs" / "certificate.schema.json").read_text(encoding="utf-8"))
DEFAULTS = {name: yaml.safe_load(PATH.read_text(encoding="utf-8"))[f"certify_{name}"] for name in ("checklist", "slas")}
DNS = "DNS P99 < 10 ms (dns: dns_latency_p99)"
LEADER = "No etcd leader election in 24 h (etcd: etcd_soak_elections; only in soak)"


def changed(name, identifier, item):
    """Return what is told of the defaults with one item changed; None removes it."""
    given = copy.deepcopy(DEFAULTS)
    given[name].update({identifier: item})
    given[name] = {key: one for key, one in given[name].items() if one is not None}
    return checklist_changes(given, PATH)


def test_the_default_is_no_change_whatever_its_order():
    assert checklist_changes(copy.deepcopy(DEFAULTS), PATH) == []
    assert checklist_changes({name: dict(reversed(items.items())) for name, items in DEFAULTS.items()}, PATH) == []


@pytest.mark.parametrize(
    ("name", "identifier", "item", "value", "default"),
    [
        ("checklist", "dns_latency", None, None, DNS),
        ("checklist", "dns_latency", {**DEFAULTS["checklist"]["dns_latency"], "checks": ["dns_errors"]}, "DNS P99 < 10 ms (dns: dns_errors)", DNS),
        ("checklist", "dns_latency", {**DEFAULTS["checklist"]["dns_latency"], "title": "DNS"}, "DNS (dns: dns_latency_p99)", DNS),
        ("checklist", "dns_latency", {**DEFAULTS["checklist"]["dns_latency"], "layer": "etcd"}, "DNS P99 < 10 ms (etcd: dns_latency_p99)", DNS),
        ("checklist", "etcd_leader", {**DEFAULTS["checklist"]["etcd_leader"], "profiles": ["load", "soak"]}, LEADER.replace("soak)", "load or soak)"), LEADER),
        ("slas", "mine", {"title": "Mine", "layer": "etcd", "checks": ["etcd_a", "etcd_b"]}, "Mine (etcd: etcd_a, etcd_b)", None),
        # What cannot be used is refused where it is to be filled.
        ("slas", "mine", {"title": "Mine"}, '{"title": "Mine"}', None),
        ("slas", "mine", "x", '"x"', None),
    ],
)
def test_each_item_that_differs_is_named(name, identifier, item, value, default):
    assert changed(name, identifier, item) == [{"list": name, "id": identifier, "value": value, "default": default}]


@pytest.mark.parametrize("empty", [{}, None])
def test_an_empty_list_has_lost_every_item(empty):
    rows = checklist_changes({"checklist": empty, "slas": empty}, PATH)
    assert [row["id"] for row in rows] == [*DEFAULTS["checklist"], *DEFAULTS["slas"]] and not any(row["value"] for row in rows)


def test_what_is_no_map_or_no_file_is_a_clear_error(tmp_path):
    with pytest.raises(AnsibleFilterError, match="certify_checklist"):
        checklist_changes({"checklist": ["x"], "slas": {}}, PATH)
    (tmp_path / "empty.yml").write_text("", encoding="utf-8")
    for path in (tmp_path / "none.yml", tmp_path / "empty.yml"):
        with pytest.raises(AnsibleFilterError, match="cannot be read as the defaults of the checklist"):
            checklist_changes(DEFAULTS, path)


def test_the_plan_holds_it_and_the_certificate_says_it():
    plan = yaml.safe_load((ROOT / "roles" / "certify" / "vars" / "main.yml").read_text(encoding="utf-8"))["__certify_plan"]
    assert "kubeproof.certify.checklist_changes" in plan["checklist_changes"]
    rows = changed("checklist", "dns_latency", None)
    made = engine.certificate(fake.run(), fake.plan(checklist_changes=rows), {layer: [fake.finding(layer)] for layer in engine.LAYERS})
    assert made["checklist_changes"] == rows
    jsonschema.validate(made, SCHEMA)
    assert engine.interrupted(fake.run(), fake.plan(checklist_changes=rows))["checklist_changes"] == rows
    assert "checklist_changes" not in engine.certificate(fake.run(), fake.plan(checklist_changes=[]), {})


def test_of_several_runs_the_newest_says_whose_items_they_are(results):
    rows = changed("checklist", "dns_latency", None)
    results.run(20)
    results.run(22, "soak", ["etcd"])
    made = results.join()
    assert "checklist_changes" not in made
    # What is filled by one of several runs, the gate finds borne out.
    assert gate.check(json.loads(json.dumps(made))) == made["verdict"] and any(item["status"] == "filled" for item in made["checklist"])
    results.run(23, layers=["dns"], items=rows)
    made = results.join()
    assert made["checklist_changes"] == rows
    jsonschema.validate(json.loads(json.dumps(made)), SCHEMA)
