# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role, the module, and what a timer or a CronJob reads have the same settings with the same defaults."""

from __future__ import annotations

import pathlib

import yaml

from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_maintenance_plan import SETTINGS
from ansible_collections.kubeproof.certify.plugins.modules.etcd_maintain import SPEC

ROLE = pathlib.Path(__file__).parents[2] / "roles" / "etcd_maintenance"
# The role finds it on the host.
FOUND = "etcdutl"


def load(path):
    return yaml.safe_load((ROLE / path).read_text(encoding="utf-8"))


def test_defaults_are_those_of_the_plan():
    defaults = load("defaults/main.yml")
    assert {name: defaults[f"etcd_maintenance_{name}"] for name, (kind, default, least, most) in SETTINGS.items() if default is not None} == {
        name: default for name, (kind, default, least, most) in SETTINGS.items() if default is not None
    }


def test_the_schedule_reads_every_setting():
    written = load("vars/main.yml")["__etcd_maintenance_settings"]
    assert {name: text for name, text in written.items() if name != FOUND} == {
        name: "{{ etcd_maintenance_%s }}" % name for name in SETTINGS if name != FOUND
    }
    assert FOUND in written


def test_the_module_gets_every_option():
    given = next(task["kubeproof.certify.etcd_maintain"] for task in load("tasks/now.yml") if "kubeproof.certify.etcd_maintain" in task)
    assert set(given) == set(SPEC)
    assert all(given[name] == "{{ etcd_maintenance_%s }}" % name for name in SETTINGS if name != FOUND)


def test_by_default_nothing_is_scheduled():
    assert load("defaults/main.yml")["etcd_maintenance_schedule"] == "none"
