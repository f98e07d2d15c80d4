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
from ansible_collections.kubeproof.certify.plugins.module_utils import join_runs
from ansible_collections.kubeproof.certify.plugins.module_utils.certificate import LAYERS
from ansible_collections.kubeproof.certify.tests.unit.plugins.module_utils.test_join import Results, by_id

ROOT = pathlib.Path(__file__).parents[4]
ROLES = ROOT / "roles"
DEFAULTS = {
    layer: yaml.safe_load((ROLES / layer / "defaults" / "main" / "settings.yml").read_text(encoding="utf-8"))[f"{layer}_load"] for layer in (*LAYERS, "scale")
}


@pytest.mark.parametrize("profile", ["smoke", "load", "stress", "soak"])
def test_the_defaults_of_every_role_are_no_change(profile):
    assert load_changes(copy.deepcopy(DEFAULTS), profile, ROLES) == []


def row(name, default, value):
    return {"layer": "dns", "setting": f"dns_load.load.{name}", "default": default, "value": value}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"external": 5}, [row("external", "60", "5")]),
        ({"external": 60.0}, []),
        ({"more": True}, [row("more", None, "true")]),
        ({"service": [{"share": 1.0, "seconds": 9}]}, [row("service", None, '{"seconds": 9, "share": 1.0}')]),
        ({"service": []}, [row("service", None, "")]),
    ],
)
def test_each_setting_that_differs_is_named(change, expected):
    found = load_changes({"dns": {**DEFAULTS["dns"], "load": {**DEFAULTS["dns"]["load"], **change}}, "etcd": DEFAULTS["etcd"]}, "load", ROLES)
    assert [{**one, "default": None} if one["setting"].endswith("service") else one for one in found] == expected
    assert load_changes({"dns": {**DEFAULTS["dns"], "load": change}}, "soak", ROLES) == []


def test_what_is_left_out_is_a_change():
    shorter = {name: value for name, value in DEFAULTS["dns"]["load"].items() if name != "external"}
    assert load_changes({"dns": {"load": shorter}}, "load", ROLES) == [row("external", "60", None)]


@pytest.mark.parametrize("given", [{}, {"dns": None}, {"dns": 5}, {"dns": {"load": "long"}}, {"dns": {"smoke": {}}}])
def test_what_is_no_setting_is_left_to_the_layer_that_refuses_it(given):
    assert load_changes(given, "load", ROLES) == []


def test_a_role_without_a_load_is_a_clear_error(tmp_path):
    with pytest.raises(AnsibleFilterError, match="settings.yml has no dns_load that can be read"):
        load_changes({"dns": {}}, "load", tmp_path)


# Where runs are joined ---------------------------------------------------------------------------------------------------------


@pytest.fixture(name="results")
def fixture_results(tmp_path):
    return Results(tmp_path)


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
