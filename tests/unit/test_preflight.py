# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that would mean something else than what was written are refused before anything is touched."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}


# What a run reads: the layers, and what stands beside them.
ROLES = ("certify", "etcd", "apiserver", "network", "dns", "storage", "ingress", "scale", "tuning", "tools", "report")
TYPES = ("list", "dict", "bool")


def run(tmp_path, *texts):
    """Return what certify.yml says that is given texts, and that it refused them before it wrote anything."""
    argv = [sys.executable, "-m", "ansible", "playbook", "playbooks/certify.yml", "-i", "inventories/lab", "-e", f"certify_results={tmp_path}"]
    argv += [part for one in texts for part in ("-e", one)]
    done = subprocess.run(argv, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120)
    said = " ".join(done.stdout.split())
    assert done.returncode != 0 and not list(tmp_path.iterdir()), said
    return said


def typed():
    """Return {name: option} of every list, map and boolean that a user may set."""
    specs = [yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")) for role in ROLES]
    options = {name: one for spec in specs for point in spec["argument_specs"].values() for name, one in point.get("options", {}).items()}
    return {name: option for name, option in options.items() if option["type"] in TYPES}


def text(option):
    """Return a text that Ansible's own validation takes for a value of the option."""
    if option["type"] == "dict":
        return f"{next(iter(option.get('options', ['a'])))}=b"
    return "false" if option["type"] == "bool" else option.get("choices", ["1"])[0]


def test_a_text_is_no_list_no_map_and_no_false(tmp_path):
    """Whichever setting it is, of whichever layer; found later, a node might be drained already."""
    texts = {name: text(option) for name, option in typed().items()}
    assert {"certify_live", "certify_reboot_command", "storage_classes", "scale_load", "tools_files"} <= set(texts)
    said = run(tmp_path, *(f"{name}={value}" for name, value in texts.items()), "certify_generators=2", "certify_reboot_timeout=60")
    named = re.search(r"something else is meant: ([a-z0-9_, ]+) is a text\. Write it as JSON, such as -e '\{", said)
    assert named and set(named[1].split(", ")) == {*texts, "certify_generators", "certify_reboot_timeout"}, said


def test_no_stress_without_the_cluster_that_says_which_it_is(tmp_path):
    """Hosts of etcd alone have no UID: any text would be as good as another."""
    said = run(tmp_path, "certify_profile=stress certify_cluster_uid=any certify_i_understand_stress=any certify_kubeconfig=", '{"certify_layers": ["etcd"]}')
    assert "certify_kubeconfig is empty." in said and "also where etcd alone is to be loaded" in said, said


def test_a_pull_secret_that_cannot_be_one_is_refused_before_anything_is_loaded(tmp_path):
    said = run(tmp_path, "certify_kubeconfig=/nowhere certify_tools_pull_secret=pull")
    assert "pull_secret is 'pull': write the namespace and the name of a Secret, as in registry/pull." in said, said


# A process of its own: where tests have imported ansible_collections before it, Ansible's loader does not find its own lookups.
COMPARED = """
import json, sys
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

init_plugin_loader()
files, cases = json.load(sys.stdin)
loader, known = DataLoader(), {"groups": {"etcd": ["a"], "events": ["c", "b"]}}
for path in files:
    known.update(loader.load_from_file(path, trusted_as_template=True))
wanted = trust_as_template("{{ [__certify_target_settings, __certify_means_settings] | to_json }}")
json.dump([json.loads(Templar(loader=loader, variables={**known, **case}).template(wanted)) for case in cases], sys.stdout)
"""


def compared(*cases):
    """Return the targets and the means by which runs are compared, as Ansible makes them of the defaults of the roles and of each case's settings."""
    files = [ROOT / "roles" / role / "defaults" / "main" / "settings.yml" for role in ROLES[:8]] + [ROOT / "roles/certify/vars/main.yml"]
    given = json.dumps([[str(path) for path in files], cases])
    done = subprocess.run([sys.executable, "-c", COMPARED], input=given, env=ENVIRONMENT, capture_output=True, text=True, check=True, timeout=120)
    return json.loads(done.stdout)


def test_by_what_a_run_is_compared():
    events = [{"name": "etcd", "group": "etcd"}, {"name": "events", "group": "events"}]
    stress = {"certify_layers": ["etcd", "ingress", "storage"], "certify_generators": 2, "ingress_url": "https://a", "certify_profile": "stress"}
    (targets, means), other = compared({**stress, "etcd_clusters": events}, {"certify_layers": ["apiserver"], "certify_profile": "load"})
    # Hosts of a group that no other part of the fingerprint has.
    assert targets["etcd"] == {"etcd_clusters": events, "hosts": {"events": ["b", "c"]}}
    assert targets["ingress"]["ingress_url"] == "https://a" and targets["storage"]["storage_classes"] == []
    ramp = {"certify_stress_shares": [1.0, 1.25, 1.5, 1.75, 2.0], "certify_stress_bisect": False}
    places = {"certify_load_nodes": [], "certify_load_zones": []}
    assert means["ingress"] == {"certify_generators": 2, **places, **ramp} and means["etcd"] == {"certify_prometheus_url": "", **ramp}
    # Without that layer its hosts are nobody's, and without a ramp its steps are none.
    targets, means = other
    assert list(targets) == ["apiserver"] and means["apiserver"]["certify_reboot_nodes"] == []
    assert "certify_stress_shares" not in means["apiserver"]
