# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role of the ingress makes of its variables: its plan as preflight shows it, and for how long its pods and its rights last."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
FILES = ["roles/certify/defaults/main/settings.yml", "roles/ingress/defaults/main/settings.yml", "roles/ingress/vars/main/main.yml"]
CHECKS = yaml.safe_load((ROOT / "roles/ingress/defaults/main/checks.yml").read_text(encoding="utf-8"))["ingress_checks"]
PLACES = {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible/collections"), "ANSIBLE_LOCALHOST_WARNING": "false"}
# A process of its own: where tests have imported ansible_collections before it, Ansible's loader does not find its own lookups.
TEMPLATED = """
import json, sys
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

init_plugin_loader()
files, wanted, cases = json.load(sys.stdin)
loader, known = DataLoader(), {}
for path in files:
    known.update(loader.load_from_file(path, trusted_as_template=True))
wanted = {name: trust_as_template(text) for name, text in wanted.items()}
json.dump([Templar(loader=loader, variables={**known, **case}).template(wanted) for case in cases], sys.stdout)
"""


def task(path, name):
    """Return the task of that name."""
    return next(one for one in yaml.safe_load((ROOT / path).read_text(encoding="utf-8")) if one["name"] == name)


@pytest.fixture(scope="module")
def templated():
    """Return what Ansible makes of the role's variables: in a load of each size class, in a stress run, in smoke, and on a cluster that serves."""
    route = task("roles/ingress/tasks/route.yml", "Route | Give the layer its place, and lead the host name to the backends")
    access = task("roles/certify/tasks/cluster/access.yml", "Access | Give the layer its namespace and its rights")
    asked = route["vars"]["certify_access_options"]["seconds"].strip("{} ")
    wanted = {
        "plan": "{{ __ingress_plan }}",
        "shown": "{{ ingress_plan }}",
        "pods": task("roles/ingress/tasks/before.yml", "Before | Start backends and a client")["kubeproof.certify.pod_group"]["seconds"],
        "tokens": access["kubeproof.certify.run_access"]["token_seconds"].replace("certify_access_options.seconds", f"({asked})"),
    }
    shared = {"certify_catalogue": CHECKS, "certify_capacity": {"ingress_rps": 500, "ingress_peak_rps": 800}}
    kinds = {"small": ("load", False), "large": ("load", False), "stress": ("stress", False), "smoke": ("smoke", False), "live": ("load", True)}
    cases = [
        {**shared, "certify_profile": profile, "certify_live": live, "certify_tiers": {"ingress": "large" if name == "large" else "small"}}
        for name, (profile, live) in kinds.items()
    ]
    given = json.dumps([[str(ROOT / name) for name in FILES], wanted, cases])
    argv = [sys.executable, "-c", TEMPLATED]
    done = subprocess.run(argv, input=given, env={**os.environ, **PLACES}, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return dict(zip(kinds, json.loads(done.stdout)))


def test_a_load_has_the_connections_and_the_plan_the_generators_that_its_checks_ask_for(templated):
    said = {name: "\n".join(found["shown"]) for name, found in templated.items()}
    assert "from 1 generator(s), for a part as fast as answers come, on 64 connections" in said["small"]
    assert "handshakes is judged by 5,000 new connections a second" in said["small"] and "set certify_generators to 4 (it is 1;" in said["small"]
    assert "rps is judged by 50,000 requests a second" in said["large"] and "set certify_generators to 16 (it is 1;" in said["large"]
    assert "on 64 connections" in said["smoke"] and "is judged by" not in said["smoke"]
    assert "requests/s\n" in said["live"] and "connections\n" not in said["live"]


@pytest.mark.parametrize("case", ["small", "large", "stress", "smoke", "live"])
def test_backends_and_rights_last_longer_than_what_comes_before_and_between_the_steps(templated, case):
    """A Job of each step is made and taken away, and a second reads no more than 95,000 of the requests that it wrote."""
    found = templated[case]
    plan = found["plan"]
    read = sum(step["seconds"] * max(step.get("rate", 0), 50_000) for step in plan["steps"]) / 95_000
    # Every step with its grace, and what its Job takes to begin and to end; recovery of a ramp is tried for up to an hour.
    needed = 180 + plan["seconds"] + read + 60 * len(plan["steps"]) + (3600 if case == "stress" else 0)
    assert found["pods"] >= needed and found["tokens"] >= found["pods"] + 3000
