# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is interrupted in its second layer goes on, and keeps the first."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import resume
from ansible_collections.kubeproof.certify.tests.lab.conftest import ANSIBLE, COLLECTION, ENVIRONMENT, NO_LOAD, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.usefixtures("untouched")]
DNS = {"pods": 4, "service": [{"share": 0.1, "seconds": 20}], "node_local": 0, "external": 0}


@pytest.fixture(name="playbook")
def fixture_playbook(tmp_path):
    """Return playbook(path, **variables) -> process, which has these results and layers."""
    load = {"etcd_load": {"smoke": {**NO_LOAD, "write": 4}}, "dns_load": {"smoke": DNS}}

    def run(path, **variables):
        variables = {"certify_results": str(tmp_path), "certify_layers": ["etcd", "dns"], **load, **variables}
        argv = [ANSIBLE, path, "-i", "inventories/lab", "-e", json.dumps(variables)]
        with open(tmp_path / "terminal", "a", encoding="utf-8") as terminal:
            return subprocess.Popen(argv, cwd=COLLECTION, env=ENVIRONMENT, start_new_session=True, stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal)

    return run


def test_an_interrupted_run_goes_on(lab, playbook, tmp_path):
    first = playbook("certify.yml")
    [done] = wait_for(lambda: list(tmp_path.rglob("done/etcd.json")) or (first.poll() is not None and [None]), 120)
    directory = done.parents[1]
    wait_for(lambda: list(directory.glob("raw/dns/*")) or first.poll() is not None, 60)
    os.killpg(first.pid, signal.SIGINT)
    assert first.wait(30) != 0

    def read(part):
        return json.loads((directory / part).read_text(encoding="utf-8"))

    wait_for(lambda: "The cleanup has run" in read("certificate.json")["message"])
    assert f"certify_resume: {directory.name}" in read("certificate.json")["message"]
    kept = read("done/etcd.json")
    # Until then it would be refused: what cleans up would meet what goes on.
    wait_for(lambda: not resume.guards(str(directory)))

    # Another expectation is another run; the name of the fact is explained.
    others = {"certify_capacity": {"dns_qps": 1}, "dns_domain": "elsewhere.local", "etcd_clusters": [{"name": "again", "group": "etcd"}]}
    assert playbook("certify.yml", certify_resume=directory.name, **others).wait(60) != 0
    assert playbook("certify.yml", certify_run=directory.name).wait(60) != 0
    said = (tmp_path / "terminal").read_text(encoding="utf-8")
    assert all(one in said for one in ("certify_capacity", "dns_domain", "elsewhere.local", "etcd_clusters"))
    assert f"write certify_resume: {directory.name}" in said

    # The budget would not hold both layers, and has to hold only what is left.
    playbook("certify.yml", certify_resume=directory.name, certify_budget="1.7").wait(200)
    said = (tmp_path / "terminal").read_text(encoding="utf-8").rpartition("It goes on")[2]
    assert "etcd stays" in said and "What is still to be measured: about" in said and "etcd: about" not in said and "dns: about" in said
    certificate = read("certificate.json")
    assert certificate["state"] == "finished" and certificate["run"]["id"] == directory.name and read("done/etcd.json") == kept
    assert [sorted(one["kept"]) for one in certificate["run"]["resumed"]] == [["etcd"]]
    assert "etcd had been measured before, dns then" in certificate["message"]
    assert certificate["layer_verdicts"]["etcd"]["at"] == kept["at"] and "error" not in certificate["layer_verdicts"]["dns"]
    assert list((directory / "interrupted").rglob("raw/dns"))
    assert playbook("playbooks/verify.yml", verify_directory=str(directory)).wait(60) == 0
