# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the pods of a run go and what they pull with, as the roles ask for it."""

from __future__ import annotations

import pathlib

import pytest
import yaml

ROLES = pathlib.Path(__file__).parents[2] / "roles"
PLACES = {"nodes": "{{ certify_load_nodes }}", "zones": "{{ certify_load_zones }}"}


def calls(module, *roles):
    """Return {file: arguments} of the tasks of the roles that call a module."""
    files = [path for role in roles for path in sorted((ROLES / role / "tasks").rglob("*.yml"))]
    tasks = [(path, task) for path in files for task in yaml.safe_load(path.read_text(encoding="utf-8")) or ()]
    return {path.relative_to(ROLES).as_posix(): task[f"kubeproof.certify.{module}"] for path, task in tasks if f"kubeproof.certify.{module}" in task}


@pytest.mark.parametrize(
    ("module", "role", "asked"),
    [
        ("job_run", "apiserver", PLACES),
        ("job_run", "ingress", PLACES),
        # The nodes that clients are counted by, and those that a cache is looked for on.
        ("dns_info", "dns", PLACES),
        ("job_run", "dns", {"nodes": "{{ __dns_job.nodes }}"}),
    ],
)
def test_the_load_runs_where_the_owner_says(module, role, asked):
    found = calls(module, role)
    assert found and all(asked.items() <= arguments.items() for arguments in found.values())


def test_the_only_generator_of_the_ingress_runs_where_the_owner_says():
    assert PLACES.items() <= calls("ingress_info", "ingress")["ingress/tasks/before.yml"].items()


def test_every_layer_pulls_with_the_secret_of_the_owner_and_is_told_of_it_beforehand():
    found = calls("run_access", "certify")
    for path in ("certify/tasks/cluster/access.yml", "certify/tasks/cluster/plan.yml"):
        assert found[path]["pull_secret"] == "{{ certify_tools_pull_secret }}"
    assert "the Secret {{ certify_tools_pull_secret }}" in (ROLES / "certify/templates/plan.txt.j2").read_text(encoding="utf-8")


def test_pods_of_kube_burner_run_on_linux():
    assert "\n  nodeSelector: {kubernetes.io/os: linux}\n" in (ROLES / "apiserver/templates/kube_burner/pods.yaml.j2").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["access", "clean"])
def test_what_layers_import_uses_no_file_of_its_own_role(name):
    tasks = (ROLES / f"certify/tasks/cluster/{name}.yml").read_text(encoding="utf-8").partition("\n- name:")[2]
    assert not any(word in tasks for word in ("role_path", "builtin.file'", "builtin.template", "src:"))
