# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role scale: what a size leaves is not that of the next, and none is loaded where etcd has no room for it, played."""

from __future__ import annotations

import json

from ansible_collections.kubeproof.certify.tests.unit import test_etcd_role
from ansible_collections.kubeproof.certify.tests.unit.test_etcd_role import ROOT, member, tasks_in

ROLE = ROOT / "roles" / "scale"
play = test_etcd_role.play
LOOK = {"name": "kubeproof.certify.scale", "tasks_from": "etcd.yml", "defaults_from": "main/settings.yml"}


def test_what_a_size_leaves_is_forgotten_before_the_next():
    """A result stays until its task runs again, and a size that breaks does not come so far."""
    files = [ROLE / "tasks" / f"{name}.yml" for name in ("size", "pods", "window")]
    left = {task["register"] for path in files for task in tasks_in(path) if "register" in task}
    assert "__scale_strangers" in left and left <= set(tasks_in(ROLE / "tasks" / "size.yml")[0]["ansible.builtin.set_fact"])


def test_etcd_is_looked_at_before_everything_that_is_loaded():
    """By the gate before the first size, then before each, and before clusterloader2."""
    looks = {name: [task for task in tasks_in(ROLE / "tasks" / f"{name}.yml") if task.get("ansible.builtin.include_tasks") == "etcd.yml"]
             for name in ("before", "size", "load")}  # fmt: skip
    [[gate], [further], [other]] = looks.values()
    assert gate["vars"] == {"scale_size": "{{ __scale_plan.sizes | first }}", "scale_gated": True}
    assert further["when"] == "scale_turn > 0" and other["vars"]["scale_size"]["bytes"] == "{{ __scale_plan.clusterloader_bytes }}"
    # Before anything of a size is made.
    names = [task["name"] for task in tasks_in(ROLE / "tasks" / "size.yml")]
    assert names.index(further["name"]) < names.index("Size | Measure")


def test_a_size_for_which_etcd_has_no_room_is_not_loaded(play, tmp_path):
    def look(name, written, gated=False, **variables):
        task = {"ansible.builtin.include_role": LOOK, "vars": {"scale_size": {"name": name, "bytes": written}, "scale_gated": gated, **variables}}
        return {"block": [task], "rescue": [{"ansible.builtin.debug": {"msg": "{{ ansible_failed_result.msg }}"}}]}

    with member() as one, member() as two:
        hosts = {f"etcd{number}": {"member_port": fake.server.server_port} for number, fake in enumerate((one, two), 1)}
        clusters = [{"name": "etcd", "group": "etcd", "port": "{{ member_port | default(0) }}"}]
        nobody = [{"name": "etcd", "group": "nobody"}]
        tasks = [
            {"ansible.builtin.include_vars": str(ROOT / "roles" / "certify" / "vars" / "main.yml")},
            # What the gate judges stops nothing by itself.
            look("4 nodes", 2_000_000_000, gated=True), look("6 nodes", 1_000_000), look("8 nodes", 2_000_000_000), look("9 nodes", 1, etcd_clusters=nobody),
            {"ansible.builtin.copy": {"content": "{{ __scale_etcd }}", "dest": str(tmp_path / "seen"), "mode": "0600"}},
        ]  # fmt: skip
        plays = [{"hosts": "localhost", "gather_facts": False, "vars": {"ansible_become": False, "certify_layer": "scale"}, "tasks": tasks}]
        # A cluster that nobody can ask: its nodes and pods are not looked at here.
        said = play(plays, {"etcd": hosts, "ungrouped": {"localhost": {}}}, etcd_clusters=clusters, certify_kubeconfig="/nowhere")
    seen = json.loads((tmp_path / "seen").read_text())
    assert seen["4 nodes"] == seen["8 nodes"] and seen["8 nodes"]["share"] == 0.9327 and seen["8 nodes"]["alarms"] == []
    assert (seen["6 nodes"]["hindrance"], seen["6 nodes"]["share"]) == ("", 0.0145) and seen["9 nodes"] == {"watched": False}
    assert "rescued=1" in said and "8 nodes: nothing more was loaded, since etcd would have filled 93% of its quota" in said
