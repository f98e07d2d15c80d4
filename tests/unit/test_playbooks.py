# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No playbook ends well having done nothing: Ansible itself does, where --limit or --tags leave out every host or every task."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
ALWAYS = {"hosts": "localhost:all", "gather_facts": False}


def is_met_always(play):
    """Say whether a play is one that neither --limit nor --tags leaves out."""
    return {name: play.get(name) for name in ALWAYS} == ALWAYS and "always" in play.get("tags", [])


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_the_first_play_is_met_always_and_so_is_the_last_where_hosts_are_chosen(path):
    plays = yaml.safe_load(path.read_text(encoding="utf-8"))
    imported = plays[0].get("ansible.builtin.import_playbook")
    first = yaml.safe_load((path.parent / imported).read_text(encoding="utf-8"))[0] if imported else plays[0]
    assert is_met_always(first) and first["tasks"][0].get("run_once")
    # One that works on the controller alone was refused without it.
    assert is_met_always(plays[-1]) or imported


def runs_that_go_on():
    """Return {playbook: its plays} of those that begin a run, and so can go on with one (certify_resume)."""
    every = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in PLAYBOOKS}
    return {name: plays for name, plays in every.items() if "'tasks_from': 'preflight'" in str(plays)}


def test_what_an_interrupted_run_left_is_taken_away_before_its_playbook_loads_again():
    found = runs_that_go_on()
    assert set(found) == {"certify", "scale"}
    for name, plays in found.items():
        assert [play["name"] for play in plays][0] == "Preflight" and plays[1].get("ansible.builtin.import_playbook") == "plays/leftovers.yml", name
    plays = yaml.safe_load((ROOT / "playbooks" / "plays" / "leftovers.yml").read_text(encoding="utf-8"))
    # The groups that resume.yml makes, and neither --limit nor --tags leaves them out by a tag.
    made = (ROOT / "roles" / "certify" / "tasks" / "resume.yml").read_text(encoding="utf-8")
    for play, group, role in zip(plays, ("etcd", "cluster"), ("etcd", "certify")):
        assert f"groups.certify_left_{group} |" in play["hosts"] and f"'{group}'" in made and play["tags"] == ["always"]
        assert play["tasks"][0]["ansible.builtin.include_role"]["name"] == f"kubeproof.certify.{role}"


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("verify", ["--limit", "etcd1"], "--limit leaves out the controller, on which this playbook works"),
        ("compare", ["--tags", "etcd"], "--tags or --skip-tags leave out everything"),
        ("soak", ["--limit", "bastion"], "Nothing was done on etcd1, etcd2: it failed, it cannot be reached, or --limit or --tags left it out"),
        ("soak", ["--tags", "etcd"], "Nothing was done on etcd1, etcd2"),
    ],
)
def test_what_leaves_out_everything_is_no_success(tmp_path, name, options, says):
    (tmp_path / "hosts").write_text("[etcd]\netcd1\netcd2\n[rest]\nbastion\n[all:vars]\nansible_connection=local\n", encoding="utf-8")
    command = [pathlib.Path(sys.executable).with_name("ansible-playbook"), f"playbooks/{name}.yml", "-i", str(tmp_path / "hosts"),
               "-e", f"certify_results={tmp_path} soak_state=absent", *options]  # fmt: skip
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp"), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and says in " ".join((done.stdout + done.stderr).split()), done.stdout + done.stderr
