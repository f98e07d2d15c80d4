# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stops a layer before its load, as the person reads it who has to mend it."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
ANSIBLE = pathlib.Path(sys.executable).with_name("ansible-playbook")
GATE = {"title": "All CoreDNS pods are ready", "gate": True, "host": "prod", "result": "FAIL", "reason": "1 of 2 is ready."}
GOOD = {**GATE, "title": "The image is there", "result": "PASS", "reason": ""}


@pytest.fixture(name="judge")
def fixture_judge(tmp_path):
    """Return a function that judges the gates among these findings, and returns (exit code, what Ansible said)."""

    def call(*findings, gated=None):
        role = {"name": "kubeproof.certify.certify", "tasks_from": "gate.yml"}
        known = {"ansible.builtin.set_fact": {"certify_gated": gated}}
        tasks = [*([known] if gated else []), {"ansible.builtin.include_role": role}]
        play = [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]
        (tmp_path / "play.yml").write_text(json.dumps(play))
        given = {"certify_layer": "dns", "__certify_judged": {"findings": findings}, "__certify_handed": {}}
        argv = [ANSIBLE, "-i", "localhost,", "-c", "local", "-e", json.dumps(given), tmp_path / "play.yml"]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.oneline", "ANSIBLE_NOCOLOR": "1"}
        done = subprocess.run(argv, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
        return done.returncode, done.stdout + done.stderr

    return call


def test_gates_that_are_met_let_the_load_begin(judge):
    code, said = judge(GOOD, {**GATE, "result": "CONDITIONAL"}, {**GOOD, "gate": False} | {"title": "No gate"})
    assert code == 0, said


def test_each_gate_says_where_and_why(judge):
    other = {**GATE, "title": "Room in etcd", "host": "etcd1", "result": "INCONCLUSIVE", "reason": ""}
    code, said = judge(GATE, {**GATE, "host": "other"}, GOOD, other)
    assert code != 0
    assert "Nothing was loaded, because of: All CoreDNS pods are ready at prod, other (1 of 2 is ready); Room in etcd at etcd1" in said, said


def test_a_waiver_does_not_let_a_load_begin(judge):
    code, said = judge({**GOOD, "waiver": {"owner": "ops"}})
    assert code != 0 and "because of: The image is there at prod" in said


def test_a_layer_without_a_gate_is_not_stopped_by_one(judge):
    code, said = judge(GATE, gated=["etcd"])
    assert code == 0, said
    assert judge(GATE, gated=["dns"])[0] != 0
