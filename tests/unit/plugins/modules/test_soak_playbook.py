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

from ansible_collections.kubeproof.certify.plugins.module_utils import soak_raw
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

    def run(state, playbook="playbooks/soak.yml", **variables):
        variables = {"soak_state": state, "certify_results": str(tmp_path / "results"), **variables}
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        argv = [ANSIBLE, str(playbook), "-i", str(inventory), "-e", json.dumps(variables)]
        done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


def test_a_prometheus_serves_in_place_of_watchers(soak, tmp_path):
    prometheus = FakePrometheus()
    settings = {"soak_prometheus": {"url": prometheus.url, "token": "SECRET-7331"}, "soak_prometheus_selector": 'job="etcd"', "soak_seconds": SECONDS}
    status, output = soak("collected", **settings)
    assert status == 0 and "PASS. No leader election in 3" in output and "86400 s are asked for" in output, output
    kept = tmp_path / "results/prod/soak/prometheus"
    assert {path.name for path in (kept / "etcd").iterdir()} == {"facts.json", "prometheus.gz"}
    assert json.loads((kept / "etcd.json").read_text())["files"] == ["etcd/prometheus.gz"]
    for address in ADDRESSES.values():
        prometheus.since("etcd_server_leader_changes_seen_total", address, 1800, 3)
        prometheus.since("etcd_server_is_leader", address, 1800, int(address.endswith("2")))
    status, output = soak("collected", **settings)
    assert status != 0 and "FAIL. 1 leader elections" in output and "SECRET-7331" not in output, output


def test_recordings_that_were_copied_are_read(soak, recordings, tmp_path):
    status, output = soak("collected", soak_recordings=str(tmp_path))
    assert status == 0 and "PASS. No leader election in 1000" in output, output
    # A copy stays with the facts that were made of it; where they were copied to, nothing is written.
    kept = tmp_path / "results/prod/soak/copied"
    assert {path.name for path in (kept / "etcd").iterdir()} == {"facts.json", *(path.name for path in recordings.values())}
    how = json.loads((kept / "etcd.json").read_text())
    facts, again = json.loads((kept / "etcd/facts.json").read_text()), soak_raw.again([str(kept / path) for path in how["files"]], how)
    assert how["of"] == list(recordings) and again == {"cluster": facts["cluster"], "hosts": facts["hosts"], "changed": []}
    assert {path.name for path in tmp_path.iterdir()} == {"prod", "results", *(path.name for path in recordings.values())}
    recordings["etcd2"].unlink()
    status, output = soak("collected", soak_recordings=str(tmp_path))
    assert status != 0 and "INCONCLUSIVE" in output and "there is no recording of etcd2" in output, output


def test_of_several_clusters_each_has_recordings_of_its_own(soak, recordings, tmp_path):
    clusters = [{"name": "etcd", "group": "etcd"}, {"name": "events", "group": "etcd"}]
    for path in recordings.values():
        (tmp_path / "etcd").mkdir(exist_ok=True)
        path.rename(tmp_path / "etcd" / path.name)
    status, output = soak("collected", soak_recordings=str(tmp_path), soak_clusters=clusters)
    assert status != 0 and "etcd: PASS" in output and "events: PASS" not in output and "events: INCONCLUSIVE" in output, output
    # Those of the other one once more prove nothing of this one.
    same = [clusters[0], {**clusters[1], "recordings": str(tmp_path / "etcd")}]
    status, output = soak("collected", soak_recordings=str(tmp_path), soak_clusters=same)
    said = " ".join(output.split())
    assert status != 0 and "etcd: PASS" in output and "events: PASS" not in said, output
    assert "The recordings of events and etcd are of one etcd cluster, c," in said


def test_one_selector_does_not_choose_the_members_of_several_clusters(soak):
    prometheus = FakePrometheus()
    clusters = [{"name": "etcd", "group": "etcd"}, {"name": "events", "group": "etcd"}]
    settings = {"soak_prometheus": {"url": prometheus.url}, "soak_prometheus_selector": 'job="etcd"', "soak_seconds": SECONDS}
    status, output = soak("collected", **settings, soak_clusters=clusters)
    assert status != 0 and "Write prometheus_selector" in " ".join(output.split()) and "PASS" not in output, output
    own = [clusters[0], {**clusters[1], "prometheus_selector": 'job="etcd-events"'}]
    status, output = soak("collected", **settings, soak_clusters=own)
    assert "etcd: PASS" in output and "Write prometheus_selector" not in output, output


def ready(name, **own):
    """Return a task that asks as the layer etcd asks before its load, and then says that `name` is ready, or stopped."""
    role = {"name": "Ask", "ansible.builtin.include_role": {"name": "kubeproof.certify.soak", "tasks_from": "ready.yml"}, "vars": {"soak_name": "etcd", **own}}
    told = [{"name": "Tell", "ansible.builtin.debug": {"msg": f"{name}: {text}"}, "run_once": True} for text in ("ready", "stopped")]
    return {"name": "Try", "block": [role, told[0]], "rescue": [told[1]]}


def written(path, *tasks):
    """Return the path of a playbook with these tasks."""
    path.write_text(yaml.safe_dump([{"name": "Certify", "hosts": "etcd", "gather_facts": False, "tasks": list(tasks)}]))
    return path


def test_a_run_stops_before_its_load_where_the_recordings_are_not_its_own(soak, recordings, tmp_path):
    """With the cluster that it is, and how old the recordings may be."""
    cases = [("c", 7), ("d", 7), ("c", 1)]
    tasks = [ready(f"{cluster} {days}", soak_path=str(tmp_path), soak_cluster_id=cluster, certify_join_days=days) for cluster, days in cases]
    # They ended 1000 s after 1.8e9.
    run = {"id": "own", "began": 1.8e9 + 1000 + 2 * 86400}
    playbook = written(tmp_path / "ready.yml", *tasks)
    status, output = soak("shown", playbook=playbook, soak_recordings=str(tmp_path), certify_run=run, soak_seconds=1000)
    assert status == 0 and all(text in output for text in ("c 7: ready", "d 7: stopped", "c 1: stopped")), output
    assert "etcd: the recording of etcd1 is of the etcd cluster c, and this one is d; remove it" in output
    assert "etcd: the recording of etcd1 ended 2027-01-15T08:16:40Z" in output and output.count("remove it with") >= 2


def test_a_run_asks_its_prometheus_before_its_load(soak, tmp_path):
    """A selector that knows no member is found after a second, and not after a day."""
    served = {"whole": FakePrometheus(), "lacking": FakePrometheus()}
    for prometheus in served.values():
        prometheus.seconds = 600
    for series in served["lacking"].scrapes.values():
        del series["10.0.0.2:2381"]
    playbook = written(tmp_path / "ready.yml", *(ready(name, soak_prometheus={"url": one.url}) for name, one in served.items()))
    settings = {"soak_prometheus_selector": 'job="etcd"', "certify_run": {"id": "own", "began": 1.8e9}, "soak_path": str(tmp_path / "raw")}
    status, output = soak("shown", playbook=playbook, **settings)
    assert status == 0 and "whole: ready" in output and "lacking: stopped" in output and "failed=0" in output, output
    assert "there is no recording of etcd2. Correct soak_prometheus_selector" in " ".join(output.split()), output
    # These answers are not those that the facts are made of.
    assert not list(tmp_path.glob("raw*"))


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
