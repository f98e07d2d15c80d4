# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tasks that drain a node, played at an API server that is played: hosts of etcd are known in whatever group, by whatever name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jinja2
import pytest
import yaml

from ansible_collections.kubeproof.certify.tests.unit.plugins.module_utils.test_node_reboot import CATALOGUE, node
from ansible_collections.kubeproof.certify.tests.unit.plugins.modules.test_node_reboot import Played

ROOT = Path(__file__).parents[2]
ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
DRAIN = {"name": "kubeproof.certify.apiserver", "tasks_from": "reboot_drain.yml", "defaults_from": "main/settings.yml"}
CLUSTERS = [
    {"name": "etcd", "group": "nodes_of_etcd"},
    {"name": "events", "group": "nodes_of_events"},
    {"name": "far", "group": "nodes_of_etcd", "endpoints": ["https://10.0.0.77:2379"]},
]


PLAN = yaml.safe_load((ROOT / "roles" / "apiserver" / "vars" / "main" / "main.yml").read_text(encoding="utf-8"))["apiserver_plan"]
# Nobody listens there.
SILENT = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}


@pytest.mark.parametrize(("nodes", "said"), [([], "is empty"), (["a"], "fewer than 3"), (["a", "b"], "fewer than 3"), (["a", "b", "b"], "reboot: a, b, b")])
def test_the_plan_says_where_there_are_too_few_reboots(nodes, said):
    [line] = [jinja2.Template(line).render(certify_reboot_nodes=nodes) for line in PLAN if line.startswith("reboot: ")]
    assert said in line and ("stays open" in line) is (len(nodes) < CATALOGUE["apiserver_node_ready"]["min_samples"])


def drained(name):
    """Return the tasks that drain a node and say why not."""
    why = {"ansible.builtin.debug": {"msg": "{{ ansible_failed_result.msg }}"}}
    return {"block": [{"ansible.builtin.include_role": DRAIN, "vars": {"apiserver_reboot_node": name}}], "rescue": [why]}


def test_hosts_of_every_etcd_cluster_are_known(tmp_path):
    """w1 is this machine, which the inventory calls machine7; w2 is known by a client URL; nobody knows which node machine3 is."""
    groups = {"nodes_of_etcd": {"hosts": {"machine3": SILENT}}, "nodes_of_events": {"hosts": {"machine7": {}}}}
    local = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable}
    boots = {"w1": Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip(), "w2": "b", "w3": "c"}
    with Played() as api:
        api.nodes = {name: node(name, boot=boot, addresses=["10.0.0.77"] if name == "w2" else []) for name, boot in boots.items()}
        given = {"etcd_clusters": CLUSTERS, "certify_kubeconfig": str(api.kubeconfig(tmp_path / "kubeconfig")), "certify_run": {"id": "r"},
                 "certify_reboot_emptydir": False, "certify_reboot_timeout": 5}  # fmt: skip
        (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": groups, "vars": {**local, **given}}}))
        tasks = [{"ansible.builtin.include_vars": str(ROOT / "roles" / "certify" / "vars" / "main.yml")}, *map(drained, boots)]
        (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
        argv = [ANSIBLE, "-i", str(tmp_path / "hosts.yml"), str(tmp_path / "play.yml")]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp")}
        done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)
    said = " ".join(done.stdout.split())
    assert done.returncode == 0, said
    assert "w1 is not rebooted: it is a host of etcd (events) whose members are no pods" in said
    assert "w2 is not rebooted: it is a host of etcd (far) whose members are no pods" in said
    assert "w3 is not rebooted: it may be a host of etcd, since machine3 did not say its boot id" in said
    assert not any(asked.method == "PATCH" for asked in api.asked)


REFUSED = [
    ([{"name": "etcd", "group": "members"}, {"name": "events", "group": "etcd_event"}], ["w1"], "the group etcd_event of events in etcd_clusters has no host"),
    ([{"name": "events", "group": "nobody"}], ["w1"], "the group nobody of events in etcd_clusters has no host"),
    ([{"name": "etcd", "group": "members"}, {"name": "events"}], ["w1"], "the group of the entry of events in etcd_clusters has no host"),
    ([{"name": "far", "group": "nobody", "endpoints": ["https://10.0.0.77:2379"]}], ["w1"], "the group nobody of far in etcd_clusters has no host"),
    ([{"name": "events", "group": "nobody"}], [], ""),
    ([{"name": "etcd", "group": "members"}], ["w1"], ""),
    ([{"name": "etcd", "group": "etcd"}], ["w1"], ""),
    (None, ["w1"], ""),
]


def test_nothing_is_rebooted_where_an_etcd_cluster_has_no_hosts(tmp_path):
    """Nobody would know that a node is its member. Where nothing is written, its members are pods."""
    [task] = [one for one in yaml.safe_load((ROOT / "roles/apiserver/tasks/plan.yml").read_text(encoding="utf-8")) if "ansible.builtin.fail" in one]
    tasks = []
    for number, (clusters, nodes, dummy) in enumerate(REFUSED):
        given = {"certify_reboot_nodes": nodes, **({} if clusters is None else {"etcd_clusters": clusters})}
        why = {"ansible.builtin.debug": {"msg": f"case {number}: {{{{ ansible_failed_result.msg }}}} end"}}
        tasks.append({"block": [{**task, "vars": {**task["vars"], **given}}], "rescue": [why]})
    groups = {"members": {"hosts": {"e1": {}}}, "nobody": {"hosts": {}}}
    hosts = {"all": {"hosts": {"localhost": {"ansible_connection": "local"}}, "children": groups}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(hosts))
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp")}
    argv = [ANSIBLE, "-i", str(tmp_path / "hosts.yml"), str(tmp_path / "play.yml")]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)
    text = " ".join(done.stdout.split())
    assert done.returncode == 0, text
    for number, (dummy, dummy, said) in enumerate(REFUSED):
        found = text.partition(f"case {number}: ")[2].partition(" end")[0]
        assert said in found and bool(found) is bool(said) and (not said or "(groups with hosts: members)" in found), (number, found)
