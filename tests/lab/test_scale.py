# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab grows by hollow nodes of kubemark, is judged, and shrinks again; also when the run is killed while they are there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import resume

pytestmark = [pytest.mark.lab, pytest.mark.long]
COLLECTION = Path(__file__).parents[2]
ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
ENVIRONMENT = {**os.environ, "ANSIBLE_CONFIG": str(COLLECTION / "ansible.cfg")}
NODES = 20
# Twenty nodes join within seconds where nothing else runs; this machine may be busy.
LONGEST = 420
CLEANED = 180
HOLLOW = "kubeproof.io/hollow"
# Loads that a smoke test of the lab needs no more of: 60 pods, 10 Deployments of one.
LOAD = {"smoke": {"factors": [2], "fill": 0.1, "rate": 10, "latency_pods": 10}}
# What has to pass whatever the machine is busy with.
PASSED = ("scale_hollow", "scale_unready", "scale_refused", "scale_kubelets", "scale_strangers", "scale_restarts", "scale_nodes_lost", "scale_nodes_left",
          "scale_orphans", "scale_clean", "scale_envelope", "scale_identity")  # fmt: skip


def wait_for(condition, seconds):
    """Wait until a function returns something true; return that, or fail."""
    limit = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < limit, f"it did not come true in {seconds} s"
        time.sleep(0.5)
    return found


def there(lab):
    """Return what there is of hollow nodes: nodes, leases, namespaces, cluster roles, and pods on nodes that are gone."""
    found = lab.kubectl("get", "nodes,namespaces,clusterroles,clusterrolebindings", "--selector", "kubeproof.io/run", "--output", "name").split()
    found += [name for name in lab.kubectl("--namespace", "kube-node-lease", "get", "leases", "--output", "name").split() if "/hollow-" in name]
    pods = lab.kubectl("get", "pods", "--all-namespaces", "--output", "json")["items"]
    return found + [pod["metadata"]["name"] for pod in pods if pod["spec"].get("nodeName", "").startswith("hollow-")]


@pytest.fixture(name="images", scope="module")
def fixture_images(lab):
    """Give the lab the images of kubemark and kwok, unless it has them."""
    lab.playbook("playbooks/lab.yml", lab_layers=["scale"])


@pytest.fixture(name="scale")
def fixture_scale(lab, images, tmp_path):
    """Return start(**variables) -> the process and the function that waits for (certificate, output); nothing of it is left after the test."""
    assert there(lab) == []
    processes = []

    def start(**variables):
        given = {"certify_results": str(tmp_path), "scale_nodes": [NODES], "scale_load": LOAD, **variables}
        argv = [ANSIBLE, "playbooks/scale.yml", "-i", "inventories/lab", "-e", json.dumps(given)]
        with open(tmp_path / "terminal", "w", encoding="utf-8") as terminal:
            streams = {"stdin": subprocess.DEVNULL, "stdout": terminal, "stderr": terminal}
            processes.append(subprocess.Popen(argv, cwd=COLLECTION, env=ENVIRONMENT, start_new_session=True, **streams))

        def end():
            processes[-1].wait(LONGEST)
            [written] = tmp_path.rglob("certificate.json")
            return json.loads(written.read_text()), (tmp_path / "terminal").read_text()

        return processes[-1], end

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    wait_for(lambda: not there(lab), CLEANED)


def hollow(lab):
    return lab.kubectl("get", "nodes", "--selector", HOLLOW, "--output", "json")["items"]


def test_twenty_nodes_join_are_loaded_and_go(lab, scale):
    process, end = scale()
    nodes = wait_for(lambda: (found := hollow(lab)) and len(found) == NODES and found, LONGEST)
    assert all(one["spec"]["taints"][0]["key"] == HOLLOW for one in nodes)
    # A real kubelet of this version wrote it, and what plays it has no privileges.
    assert {one["status"]["nodeInfo"]["kubeletVersion"] for one in nodes} == {lab.kubectl("version", "--output", "json")["serverVersion"]["gitVersion"]}
    certificate, output = end()
    assert certificate["state"] == "finished" and certificate["layers"] == ["scale"], output[-2000:]
    results = {one["id"]: one["result"] for one in reversed(certificate["findings"])}
    assert {name: results[name] for name in PASSED} == dict.fromkeys(PASSED, "PASS")
    # kube-proxy tolerates every taint and selects linux: it is found, not hidden.
    assert results["scale_daemons"] == "CONDITIONAL"
    assert process.returncode == (0 if certificate["verdict"] in ("PASS", "CONDITIONAL") else 2)
    assert there(lab) == []


def test_a_run_that_is_killed_leaves_no_node(lab, scale):
    process, dummy = scale()
    wait_for(lambda: len(hollow(lab)) == NODES, LONGEST)
    time.sleep(2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not there(lab), CLEANED)


def test_a_run_goes_on_without_what_it_left(lab, scale, tmp_path):
    """Its controller is gone with its guard, so that nobody cleaned up: nodes of its own name would be in the way."""
    process, dummy = scale()
    wait_for(lambda: len(hollow(lab)) == NODES, LONGEST)
    [directory] = {path.parent for path in tmp_path.rglob("certificate.json")}
    for pid in resume.guards(str(directory)):
        os.kill(pid, signal.SIGKILL)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = {node["metadata"]["uid"] for node in hollow(lab)}
    process, end = scale(certify_resume=directory.name)
    # Those that come are others.
    wait_for(lambda: process.poll() is not None or (len(found := hollow(lab)) == NODES and before.isdisjoint(one["metadata"]["uid"] for one in found)), LONGEST)
    certificate, output = end()
    assert certificate["state"] == "finished" and certificate["run"]["resumed"] and certificate["run"]["id"] == directory.name, output[-2000:]
    results = {one["id"]: one["result"] for one in reversed(certificate["findings"])}
    assert {name: results[name] for name in PASSED} == dict.fromkeys(PASSED, "PASS") and there(lab) == []
