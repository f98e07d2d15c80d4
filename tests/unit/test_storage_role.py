# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role storage on the disks under nodes, played: what is measured there, what is not and why, and where a killed run's file is looked for."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
ANSIBLE = pathlib.Path(sys.executable).with_name("ansible-playbook")
VARS = yaml.safe_load((ROOT / "roles/storage/vars/main/main.yml").read_text(encoding="utf-8"))
OURS = {name: VARS[name] for name in ("__storage_raw", "__storage_disk_file", "__storage_disk_refused", "__storage_disk_left")}
MIB = 2**20
PLAN = {"disk": {"jobs": [], "file": 20 * MIB, "disk_free": 0.2, "seconds": 1}}
# A disk of 100 MiB in each directory that is there.
STAT = """#!/bin/sh
[ -d "$4" ] || exec /usr/bin/stat "$@"
echo "space 1048576 100 $FREE"
"""
FIO = f"#!/bin/sh\necho x >> {{asked}}\ncat {ROOT}/tests/fixtures/fio/lat-percentiles.json\n"


@pytest.fixture
def play(tmp_path):
    """Return play(plays, groups, **environment) -> what its tasks `Say` said, in their order; it must end well."""

    def run(plays, groups, **environment):
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        hosts = {"all": {"children": {name: {"hosts": dict.fromkeys(some, {})} for name, some in groups.items()}, "vars": local}}
        (tmp_path / "hosts.yml").write_text(yaml.safe_dump(hosts))
        (tmp_path / "play.yml").write_text(yaml.safe_dump(plays))
        own = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp"), **environment}
        argv = [ANSIBLE, "-i", str(tmp_path / "hosts.yml"), str(tmp_path / "play.yml")]
        done = subprocess.run(argv, cwd=ROOT, env={**os.environ, **own}, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return [json.loads(line.partition("said ")[2]) for line in (tmp_path / "said").read_text().splitlines()]

    return run


def say(tmp_path, expression):
    """Return the task that keeps what an expression is."""
    text = f"said {{{{ {expression} | to_json }}}}"
    return {"name": "Say", "ansible.builtin.lineinfile": {"path": str(tmp_path / "said"), "create": True, "mode": "0600", "line": text, "insertafter": "EOF"}}


def test_a_disk_is_measured_where_its_directory_is_and_a_fifth_stays_free(play, tmp_path):
    programs, asked, data = tmp_path / "bin", tmp_path / "asked", tmp_path / "data"
    programs.mkdir()
    data.mkdir()
    for name, text in (("stat", STAT), ("fio", FIO.format(asked=asked))):
        (programs / name).write_text(text)
        (programs / name).chmod(0o700)
    plays = []
    for node, directory, free in (("good", data, 40), ("misspelt", tmp_path / "dat", 40), ("full", data, 39)):
        given = {**OURS, "__storage_plan": PLAN, "storage_baseline_directory": str(directory), "storage_node": node}
        given.update(certify_run={"id": "20261122t000000z-1a2b", "directory": str(tmp_path / "results")}, __storage_run_dir=str(tmp_path / "run"))
        include = {"name": "Measure", "ansible.builtin.include_tasks": str(ROOT / "roles/storage/tasks/disk.yml")}
        plays.append({"hosts": "localhost", "gather_facts": False, "vars": given, "environment": {"FREE": str(free)}, "tasks": [include]})
    plays[-1]["tasks"].append(say(tmp_path, "[storage_disks, storage_disks_left]"))
    [[disks, left]] = play(plays, {"nodes": ["good", "misspelt", "full"], "here": ["localhost"]}, PATH=f"{programs}:{os.environ['PATH']}")
    assert disks["good"]["jobs"] and (disks["misspelt"], disks["full"]) == ({}, {}) and asked.read_text() == "x\n"
    assert set(left) == {"misspelt", "full"} and "dat cannot be looked at: " in left["misspelt"] and "No such file" in left["misspelt"]
    assert "has 39 MiB free of 100 MiB, so that a file of 20 MiB would leave less than 20%" in left["full"]
    assert not (tmp_path / "dat").exists()


def test_the_file_of_a_killed_run_is_looked_for_on_every_node_of_the_inventory(play, tmp_path):
    tasks = yaml.safe_load((ROOT / "roles/certify/tasks/cluster/cleanup.yml").read_text(encoding="utf-8"))
    [task] = [one for one in tasks if "loop" in one]
    # As names the nodes have cloud1, which is in a group of its own, and one that the inventory does not know.
    nodes = {"facts": {"nodes": {"names": ["cloud1", "cp1", "elsewhere", "worker1"]}}}
    cases = [("/data", nodes), ("/data", {"msg": "no answer"}), ("", {"skipped": True})]
    given = [{"storage_baseline_directory": directory, "__certify_nodes": known, "looked": task["loop"]} for directory, known in cases]
    plays = [{"hosts": "localhost", "gather_facts": False, "vars": one, "tasks": [say(tmp_path, "[looked]")]} for one in given]
    groups = {"kube_control_plane": ["cp1"], "kube_node": ["worker1"], "clouds": ["cloud1", "balancer"], "here": ["localhost"]}
    found = [sorted(one) for said in play(plays, groups) for one in said]
    assert found == [["cloud1", "cp1", "worker1"], ["cp1", "worker1"], ["cp1"]]
    # Nodes that could not be named are no reason to say that nothing is left, nor to leave anything that is known.
    assert tasks[-1]["when"].endswith("__certify_nodes.facts is not defined") and "fail" in str(tasks[-1])
