# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a layer's load is not the default of its role."""

from __future__ import annotations

import copy
import pathlib

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.kubeproof.certify.plugins.filter.load_changes import load_changes
from ansible_collections.kubeproof.certify.plugins.module_utils.certificate import LAYERS

ROLES = pathlib.Path(__file__).parents[4] / "roles"
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
