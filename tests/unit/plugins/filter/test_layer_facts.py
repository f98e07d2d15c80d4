# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.filter import layer_facts as documented
from ansible_collections.kubeproof.certify.plugins.module_utils.certificate import LAYERS
from ansible_collections.kubeproof.certify.plugins.module_utils.layer_facts import FACTS

layer_facts = documented.FilterModule().filters()["layer_facts"]


@pytest.mark.parametrize(("asked", "function"), [(("etcd",), "etcd/cluster"), (("etcd", "cluster"), "etcd/cluster"), (("etcd", "host"), "etcd/host")])
def test_the_facts_are_those_of_the_layer_and_the_scope(monkeypatch, asked, function):
    monkeypatch.setitem(FACTS, function, lambda inputs: {"made of": inputs})
    assert layer_facts({"plan": 1}, *asked) == {"made of": {"plan": 1}}


def test_every_layer_has_facts_of_its_cluster():
    assert {name.partition("/")[0] for name in FACTS if name.endswith("/cluster")} == {*LAYERS, "scale", "tuning"}


def test_the_documentation_names_the_layers():
    known = yaml.safe_load(documented.DOCUMENTATION)
    assert set(known["options"]["layer"]["choices"]) == {name.partition("/")[0] for name in FACTS}


@pytest.mark.parametrize("asked", [("dns", "host"), ("moon", "cluster")])
def test_what_nothing_makes_is_refused(asked):
    with pytest.raises(AnsibleFilterError, match=f"{'/'.join(asked)}; there are apiserver/cluster, "):
        layer_facts({}, *asked)
