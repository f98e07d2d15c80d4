# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role lab builds for which layers, and what a running lab is given."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
LAB = ROOT / "roles/lab"
ANSIBLE = pathlib.Path(sys.executable).with_name("ansible-playbook")
VARIABLES = yaml.safe_load((LAB / "vars/main.yml").read_text(encoding="utf-8"))
LAYERS = ["etcd", "apiserver", "network", "dns", "storage", "ingress"]
BASE = {"etcd", "containerd", "kubernetes"}
TOOLS, VOLUMES, INGRESS = {"k6"}, {"localpath"}, {"traefik"}
HOLLOW = {"kubemark", "kwok"}
TASKS = """
- ansible.builtin.set_fact:
    __lab_healthy: "{{ case.healthy }}"
    __lab_lacking: "{{ __lab_wanted | rejectattr('name', 'in', __lab_has if case.healthy else []) }}"
- ansible.builtin.set_fact:
    seen: "{{ seen | combine({case.name: {'components': __lab_building | map(attribute='name'), 'roots': __lab_root_names}}) }}"
"""
PLAY = """
- hosts: localhost
  gather_facts: false
  vars_files: ["{{ role_path }}/vars/main.yml"]
  vars:
    __lab_part_files: {files: []}
    lab_directory: "{{ directory }}/{{ case.name }}"
    lab_layers: "{{ case.layers }}"
    seen: {}
  tasks:
    - ansible.builtin.command:
        argv: "{{ ['touch'] + [directory ~ '/'] | product(marks, [__lab_parts_key]) | map('join') }}"
    - ansible.builtin.include_tasks: tasks.yml
      loop: "{{ cases }}"
      loop_control: {loop_var: case}
    - ansible.builtin.copy:
        content: "{{ seen | to_json }}"
        dest: "{{ directory }}/seen.json"
        mode: "0600"
"""
# Layers that are wanted, whether the lab runs, the parts that it has -> what Go builds, and the root filesystems.
CASES = {
    "all, cold": (LAYERS, False, [], BASE | TOOLS | VOLUMES | INGRESS, {"node", "proxy", "tools"}),
    "etcd, cold": (["etcd"], False, [], BASE, {"node", "proxy"}),
    "dns, cold": (["dns"], False, [], BASE | TOOLS, {"node", "proxy", "tools"}),
    "storage, cold": (["storage"], False, [], BASE | TOOLS | VOLUMES, {"node", "proxy", "tools"}),
    "ingress, cold": (["etcd", "ingress"], False, [], BASE | TOOLS | INGRESS, {"node", "proxy", "tools"}),
    "all run": (LAYERS, True, ["tools", "local-path-provisioner", "traefik"], set(), set()),
    "etcd runs": (["etcd"], True, [], set(), set()),
    "ingress is added": (LAYERS, True, ["tools", "local-path-provisioner"], INGRESS, set()),
    "all are added": (LAYERS, True, [], TOOLS | VOLUMES | INGRESS, {"tools"}),
    "scale is added": (["scale"], True, ["tools"], HOLLOW, set()),
    "scale, cold": (["scale"], False, [], BASE | HOLLOW, {"node", "proxy"}),
    # A lab that is booted anew has lost them.
    "marks of a lab that broke": (LAYERS, False, ["tools", "traefik"], BASE | TOOLS | VOLUMES | INGRESS, {"node", "proxy", "tools"}),
}


@pytest.fixture(name="seen", scope="module")
def fixture_seen(tmp_path_factory):
    """Return {case: what would be built}."""
    directory = tmp_path_factory.mktemp("lab")
    (directory / "tasks.yml").write_text(TASKS, encoding="utf-8")
    (directory / "play.yml").write_text(PLAY, encoding="utf-8")
    cases = [{"name": name, "layers": case[0], "healthy": case[1], "has": case[2]} for name, case in CASES.items()]
    for name in CASES:
        (directory / name).mkdir()
        (directory / name / "with-traefik-0123").touch()
    # Their names end in a key that the role knows. In one task, since each costs a quarter of a second.
    marks = [f"{name}/with-{has}-" for name, case in CASES.items() for has in case[2]]
    options = {"role_path": str(LAB), "directory": str(directory), "cases": cases, "marks": marks, "ansible_python_interpreter": sys.executable}
    environment = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(directory / "tmp")}
    command = [str(ANSIBLE), "-i", "localhost,", "-c", "local", "-e", json.dumps(options), "play.yml"]
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((directory / "seen.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES)
def test_a_layer_that_is_left_out_is_not_waited_for(seen, case):
    assert set(seen[case]["components"]) == CASES[case][3]
    assert set(seen[case]["roots"]) == CASES[case][4]


def test_parts_are_whole():
    """Each names layers, a component and a root filesystem that exist, and has a template where it has a namespace."""
    components = {one["name"] for one in VARIABLES["__lab_components"]}
    roots = {one["name"] for one in VARIABLES["__lab_roots"]}
    for part in VARIABLES["__lab_parts"]:
        assert set(part["layers"]) <= set(LAYERS)
        assert part["component"] in components
        assert {part["root"]} <= roots if "root" in part else True
        assert (LAB / f"templates/parts/{part['name']}.yaml.j2").exists() == ("namespace" in part)


def test_extras_are_whole_and_no_layer_of_a_whole_run_has_them():
    components = {one["name"] for one in VARIABLES["__lab_components"]}
    for extra in VARIABLES["__lab_extras"]:
        assert not set(extra["layers"]) & set(LAYERS) and extra["component"] in components and "namespace" not in extra
    # What is a part of these keys is made anew with each change of the extras.
    for key in ("__lab_content", "__lab_parts_content"):
        assert "__lab_extra" not in str(VARIABLES[key])


def test_shared_modules_have_one_version():
    """Else Go compiles client-go once more: the parts' modules are those of Kubernetes where both have them."""

    def versions(component):
        lines = (LAB / f"files/components/{component}/go.mod").read_text(encoding="utf-8").splitlines()
        return dict(line.split()[:2] for line in lines if line.startswith("\t") and " v" in line and "=>" not in line)

    kubernetes = versions("kubernetes")
    for part in ("localpath", "traefik"):
        found = versions(part)
        for module in ("k8s.io/api", "k8s.io/apimachinery", "k8s.io/client-go", "k8s.io/kube-openapi", "golang.org/x/net", "google.golang.org/protobuf"):
            assert found[module] == kubernetes[module], f"{module} of {part}"


def test_hooks_run():
    """mmdebstrap passes over the hook customize, silently, for packages that it only unpacks."""
    for root in VARIABLES["__lab_roots"]:
        if root["hooks"]:
            assert root.get("hook", "customize") == ("extract" if root["variant"] == "extract" else "customize"), root["name"]
