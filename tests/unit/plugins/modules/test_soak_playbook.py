# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/soak.yml where it needs no host of etcd: a Prometheus, recordings that were copied, and a Deployment."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest
import yaml

from ansible_collections.kubeproof.certify.tests.unit.plugins.modules.test_soak_modules import ADDRESSES, SECONDS, FakePrometheus, recordings

__all__ = ["recordings"]
ROOT = pathlib.Path(__file__).parents[4]
ANSIBLE = pathlib.Path(sys.executable).with_name("ansible-playbook")
ENDPOINTS = [f"https://{address}:2379" for address in ADDRESSES.values()]


@pytest.fixture
def soak(tmp_path):
    """Return soak(state, **variables) -> (status, output)."""
    hosts = {host: {"ansible_host": address, "ansible_connection": "local", "ansible_become": False} for host, address in ADDRESSES.items()}
    inventory = tmp_path / "prod" / "hosts.yml"
    inventory.parent.mkdir()
    inventory.write_text(yaml.safe_dump({"all": {"children": {"etcd": {"hosts": hosts}}}}))

    def run(state, **variables):
        variables = {"soak_state": state, "certify_results": str(tmp_path / "results"), **variables}
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        argv = [ANSIBLE, "playbooks/soak.yml", "-i", str(inventory), "-e", json.dumps(variables)]
        done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


def test_a_prometheus_serves_in_place_of_watchers(soak, tmp_path):
    prometheus = FakePrometheus()
    settings = {"soak_prometheus": {"url": prometheus.url, "token": "SECRET-7331"}, "soak_prometheus_selector": 'job="etcd"', "soak_seconds": SECONDS}
    status, output = soak("collected", **settings)
    assert status == 0 and "PASS. No leader election in 3" in output and "86400 s are asked for" in output, output
    assert {path.name for path in (tmp_path / "results/prod/soak/prometheus/etcd").iterdir()} == {"facts.json", "prometheus.gz"}
    for address in ADDRESSES.values():
        prometheus.since("etcd_server_leader_changes_seen_total", address, 1800, 3)
        prometheus.since("etcd_server_is_leader", address, 1800, int(address.endswith("2")))
    status, output = soak("collected", **settings)
    assert status != 0 and "FAIL. 1 leader elections" in output and "SECRET-7331" not in output, output


def test_recordings_that_were_copied_are_read(soak, recordings, tmp_path):
    status, output = soak("collected", soak_recordings=str(tmp_path))
    assert status == 0 and "PASS. No leader election in 1000" in output, output
    recordings["etcd2"].unlink()
    status, output = soak("collected", soak_recordings=str(tmp_path))
    assert status != 0 and "INCONCLUSIVE" in output and "there is no recording of etcd2" in output, output


def test_the_manifest_is_written_and_watchers_are_refused_without_hosts(soak, tmp_path):
    cluster = {"soak_clusters": [{"name": "etcd", "group": "etcd", "endpoints": ENDPOINTS}]}
    status, output = soak("manifest", soak_image="registry.example.com/python:3.11", **cluster)
    assert status == 0 and "10-0-0-1, 10-0-0-2, 10-0-0-3" in output, output
    text = (tmp_path / "results/prod/soak/manifest-etcd.yml").read_text()
    assert [one["kind"] for one in yaml.safe_load_all(text)] == ["Namespace", "ConfigMap", "Deployment"] and "&id" not in text
    status, output = soak("started", **cluster)
    assert status != 0 and "Use soak_state=manifest" in output, output


def test_an_inventory_without_etcd_is_said(soak):
    status, output = soak("shown", soak_clusters=[{"name": "etcd", "group": "etcds"}])
    assert status != 0 and "The inventory has no host of etcd: its groups are etcd" in output, output
