# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster has the name of the inventory's directory, wherever it is asked for; and a cluster without a name is refused."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.kubeproof.certify.plugins.filter.cluster_name import cluster_name

ROOT = pathlib.Path(__file__).parents[2]
NAME = "harbour"


@pytest.fixture(name="place")
def fixture_place(tmp_path):
    """Return a directory with a copy of the example, in which no host is the controller and no name of a cluster is set."""
    shutil.copytree(ROOT / "inventories" / "example", tmp_path / "inventories" / NAME)
    texts = [path.read_text(encoding="utf-8") for path in (tmp_path / "inventories").rglob("*.yml")]
    assert not any(word in text for text in texts for word in ("localhost", "certify_cluster_name"))
    return tmp_path


def test_the_name_is_that_of_the_directory(place, monkeypatch):
    path = place / "inventories" / NAME
    (place / "linked").symlink_to(path)
    (place / "a,b").mkdir()
    monkeypatch.chdir(place)
    for source in (path, f"{path}/", path / "hosts.yml", f"inventories/{NAME}", f"inventories/../inventories/{NAME}/hosts.yml", path / "." / "hosts.yml"):
        assert cluster_name([str(source)]) == NAME
    # Of several the first; a link by the name that it was given by; and what has a comma is no list of hosts where it is there.
    assert cluster_name([str(path), str(place / "inventories")]) == NAME
    assert cluster_name([str(place / "linked")]) == "linked"
    assert cluster_name(["a,b"]) == "a,b"


@pytest.mark.parametrize("sources", [[], None, "", "prod", ["h1,"], ["h1,h2"], ["h1,", "prod"], ["none"], ["none/hosts.yml"], ["/"], [" "]])
def test_what_names_no_cluster_is_an_error(tmp_path, monkeypatch, sources):
    (tmp_path / "prod").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AnsibleFilterError, match="set certify_cluster_name|Set certify_cluster_name"):
        cluster_name(sources)


def play(place, path, *options):
    """Return (exit status, what was said in one line) of a playbook that is called beside the inventories."""
    argv = [str(pathlib.Path(sys.executable).with_name("ansible-playbook")), str(path), "-e", f"certify_results={place / 'results'} certify_kubeconfig="]
    environment = {**os.environ, "PWD": str(place), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run([*argv, *options], cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


# What asks for a cluster, and what it says of one that has no results yet.
SAYS = [
    ("certify", "hosts.yml", ["-e", "certify_budget=1", "-e", '{"certify_layers": ["etcd"]}'], "/results/%s/2"),
    ("compare", "", [], "Cannot read {}/results/%s: "),
    ("join", "hosts.yml", [], "Cannot read {}/results/%s: "),
    ("report", "", [], "There is no {}/results/%s/certificate.json"),
    ("verify", "hosts.yml", [], "Cannot read {}/results/%s/certificate.json"),
    ("monitoring", "", ["-e", "monitoring_kubernetes_version=1.36.3"], "{}/monitoring/%s"),
]


@pytest.mark.parametrize(("name", "given", "options", "says"), SAYS, ids=[case[0] for case in SAYS])
def test_every_playbook_finds_the_cluster_by_the_inventory(place, name, given, options, says):
    # By a relative path, as a user gives it.
    said = play(place, ROOT / "playbooks" / f"{name}.yml", "-i", os.path.join("inventories", NAME, given), *options)[1]
    assert says.replace("{}", str(place)) % NAME in said, said
    # What certify_budget refuses has written nothing.
    assert not (place / "results").exists()
    if name == "monitoring":
        assert [path.name for path in (place / "monitoring").iterdir()] == [NAME]
        prometheus = next(path for path in (place / "monitoring").rglob("prometheus*.yml"))
        assert yaml.safe_load(prometheus.read_text(encoding="utf-8"))["global"]["external_labels"]["cluster"] == NAME


@pytest.mark.parametrize(("name", "says"), [("report", "There is no {}/run/certificate.json"), ("verify", "Cannot read {}/run/certificate.json")])
def test_a_run_that_is_named_needs_no_inventory(place, name, says):
    said = play(place, ROOT / "playbooks" / f"{name}.yml", "-i", "localhost,", "-c", "local", "-e", f"{name}_directory={place / 'run'}")[1]
    assert says.replace("{}", str(place)) in said and "cluster_name" not in said, said


def test_the_audit_and_a_soak_find_it_too(place):
    """On the controller, and on the hosts of etcd, where the task of a soak asks for its directory."""
    show = {"name": "Show", "ansible.builtin.debug": {"msg": "<{{ __tuning_name }} {{ soak_directory }}>"}}
    files = [str(ROOT / "roles" / path) for path in ("tuning/vars/main.yml", "soak/vars/main.yml", "soak/defaults/main.yml")]
    (place / "play.yml").write_text(yaml.safe_dump([{"name": "Ask", "hosts": "localhost:etcd1", "gather_facts": False, "vars_files": files, "tasks": [show]}]))
    status, said = play(place, place / "play.yml", "-i", f"inventories/{NAME}")
    found = re.findall(r"<([^<>]+)>", said)
    assert status == 0 and found == [f"{NAME} {place}/results/{NAME}/soak"] * 2, said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-i", "h1,h2"], "the first inventory is 'h1,h2', which is in no directory that could name the cluster. Set certify_cluster_name."),
        (["-i", f"inventories/{NAME}", "-e", "certify_cluster_name="], "certify_cluster_name is empty."),
    ],
)
def test_a_cluster_without_a_name_is_refused_before_anything_is_written(place, options, says):
    status, said = play(place, ROOT / "playbooks" / "certify.yml", "-e", "certify_budget=1", "-e", '{"certify_layers": ["etcd"]}', *options)
    assert status != 0 and says in said and not (place / "results").exists(), said


def test_nobody_else_makes_a_name_of_the_inventory():
    """Of a controller that no inventory names, inventory_dir is not there."""
    paths = [path for part in ("playbooks", "roles") for path in (ROOT / part).rglob("*.yml")]
    assert [str(path) for path in paths if "inventory_dir" in path.read_text(encoding="utf-8")] == []
