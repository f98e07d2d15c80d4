# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module monitoring_files: what it writes and returns, and what it says where it cannot."""

from __future__ import annotations

import json
import pathlib

import pytest

from ansible.module_utils.testing import patch_module_args
from ansible_collections.kubeproof.certify.plugins.modules import monitoring_files

ROLES = pathlib.Path(__file__).parents[4] / "roles"
SELECTORS = {name: f'job="{name}"' for name in ("etcd", "apiserver", "kubelet", "cadvisor", "scheduler", "manager", "proxy", "dns", "ingress", "node", "state")}
CLUSTER = {"kubernetes": "v1.36.3", "ingress": "traefik"}


@pytest.fixture
def run(tmp_path, capsys):
    def call(**given):
        arguments = {"directory": str(tmp_path / "made"), "roles": str(ROLES), "selectors": SELECTORS, "cluster": CLUSTER, **given}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            monitoring_files.main()
        return json.loads(capsys.readouterr().out)

    return call


def test_files_are_written_once_and_removed(run, tmp_path):
    first = run()
    assert first["changed"] and "rules/kubeproof-etcd.yml" in first["written"] and "prometheus.yml" not in first["written"]
    assert set(first["watched"]).isdisjoint(first["left"]) and first["left"]["etcd_check_perf"] == "It is a test that loads etcd."
    assert {one["metadata"]["namespace"] for one in first["config_maps"] + first["rules"]} == {"monitoring"}
    assert not run()["changed"]
    gone = run(state="absent", roles=None, cluster=None)
    assert gone["changed"] and set(gone["removed"]) == set(first["written"]) and not (tmp_path / "made").exists()


def test_looking_writes_nothing(run, tmp_path):
    assert run(_ansible_check_mode=True)["changed"] and not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cluster": {"kubernetes": ""}}, "monitoring_kubernetes_version is ''"),
        ({"cluster": None}, "cluster"),
        ({"selectors": {}}, "monitoring_selectors has no apiserver"),
        ({"settings": {"thresholds": {"etcd_none": {"target": "< 1", "reason": "x"}}}}, "etcd_none: there is no such check"),
        ({"settings": {"thresholds": {"etcd_versions": {"target": "== \"one\"", "reason": "x"}}}}, "compares numbers"),
        ({"roles": "/nowhere"}, "/nowhere"),
        ({"scrape": {"interval": "15s"}}, "The scrape configuration has or lacks api"),
    ],
)
def test_what_cannot_be_made_is_said(run, tmp_path, given, said):
    answer = run(**given)
    assert answer["failed"] and said in answer["msg"] and not (tmp_path / "made").exists()
