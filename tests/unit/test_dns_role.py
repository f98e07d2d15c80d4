# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script that chooses what dnsperf is asked for: the address of its pod, and percentiles in the way that its version has. And what the plan says."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = ROOT / "roles/dns/files/dnsperf.sh"
# A process of its own: where tests have imported ansible_collections before it, Ansible's loader does not find its own filters.
PLANNED = """
import json, sys
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

init_plugin_loader()
root, cases = json.load(sys.stdin)
loader, known = DataLoader(), {"hostvars": {"localhost": {}}, "certify_run": {"cluster": {"nodes": 1}, "id": "", "directory": ""}}
for path in ("certify/defaults/main/settings.yml", "dns/defaults/main/settings.yml", "dns/vars/main/main.yml"):
    known.update(loader.load_from_file(f"{root}/roles/{path}", trusted_as_template=True))
wanted = trust_as_template("{{ dns_plan }}")
json.dump([Templar(loader=loader, variables={**known, **case}).template(wanted) for case in cases], sys.stdout)
"""
FAKE = """#!/bin/sh
if [ "$1" = -h ]; then
  echo "Usage: dnsperf [-f family]" {stream}
  printf 'DNS Performance Testing Tool\\n{version}\\n' {stream}
else
  echo "$@"
fi
"""


def run(tmp_path, *arguments, version="Version 2.10.0", stream=""):
    """Return the arguments that dnsperf got."""
    fake = tmp_path / "dnsperf"
    fake.write_text(FAKE.format(version=version, stream=stream))
    fake.chmod(0o755)
    found = subprocess.run(["sh", SCRIPT, *arguments], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=True)
    assert found.stderr == ""
    return found.stdout.split()


@pytest.mark.parametrize(
    ("version", "histogram"),
    [
        ("Version 2.3.4", False),
        ("Version 2.9.0", False),
        ("Version 2.10.0", False),
        ("Version 2.10", False),
        ("Version 2.11.0", False),
        ("Version 2.11.1", False),
        ("Version 2.11.2", True),
        ("Version 2.12.0", True),
        ("Version 2.14.0", True),
        ("Version 3.0.0", True),
        ("something else", False),
    ],
)
@pytest.mark.parametrize("stream", ["", ">&2"])
def test_percentiles(tmp_path, version, histogram, stream):
    assert run(tmp_path, "0", "10.0.0.1", "-l", "5", version=version, stream=stream)[6:] == (["-O", "latency-histogram"] if histogram else ["-v"])


@pytest.mark.parametrize(
    ("number", "addresses", "address"),
    [
        ("0", "10.0.0.1,10.0.0.2,fd00::3", "10.0.0.1"),
        ("1", "10.0.0.1,10.0.0.2,fd00::3", "10.0.0.2"),
        ("2", "10.0.0.1,10.0.0.2,fd00::3", "fd00::3"),
        ("0", "10.96.0.10", "10.96.0.10"),
        ("7", "10.96.0.10", "10.96.0.10"),
    ],
)
def test_whom_it_asks(tmp_path, number, addresses, address):
    assert run(tmp_path, number, addresses, "-l", "5", "-Q", "7")[:8] == ["-s", address, "-d", "/kubeproof/files/queries", "-l", "5", "-Q", "7"]


def plans(*given):
    """Return the lines of the plan, as Ansible makes them of the defaults of the roles and of the settings of each."""
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    text = json.dumps([str(ROOT), given])
    done = subprocess.run([sys.executable, "-c", PLANNED], input=text, env=environment, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    return [" ".join(" ".join(lines).split()) for lines in json.loads(done.stdout)]


def test_the_plan_says_from_how_many_pods_and_what_they_leave():
    """Where dnsperf prints a line for each answer, one pod of 50,000 queries a second has no room for them."""
    load, much = {"certify_profile": "load"}, {"certify_capacity": {"dns_qps": 50000}}
    one, ten, little, nothing = plans(
        {**load, **much, "dns_clients": 1}, {**load, **much}, {**load, "certify_capacity": {"dns_qps": 5}}, {**load, "certify_live": True}
    )
    assert "from at most 4 pods, in the namespace of the run with 7" in one and "from at most 10 pods" in ten
    assert "raw output: up to 12.2 GiB on nodes, then on the controller, from dnsperf before 2.11.2" in one
    assert "qps 550 s at 6/s" in little
    assert "nothing is asked" in nothing and "raw output" not in nothing
