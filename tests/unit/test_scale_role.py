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


LOADING = ("kubeproof.certify.scale_nodes", "kubeproof.certify.scale_load", "kubeproof.certify.pod_startup", "kubeproof.certify.tool_run")


def test_whatever_loads_a_size_is_watched():
    """By the same rules, and by the number of real nodes where the module follows nodes."""
    loading = []
    for name in ("size", "pods", "clusterloader2"):
        for task in tasks_in(ROLE / "tasks" / f"{name}.yml"):
            defaults = task.get("module_defaults", {})
            loading += [(module, {**defaults.get(module, {}), **task[module]}) for module in LOADING if module in task]
            loading += list(defaults.items())
    assert {module for module, dummy in loading} == set(LOADING)
    # The options of scale_load are those of its block.
    given = {module: options for module, options in loading if module != "kubeproof.certify.scale_load" or "groups" in options}
    assert [options["watch"] for options in given.values()] == ["{{ __scale_watch }}"] * 4
    ready = {module: options.get("nodes_ready") for module, options in given.items()}
    assert [module for module, text in ready.items() if text == "{{ __scale_info.facts.nodes.ready }}"] == list(LOADING[:2])


def test_a_size_that_was_stopped_says_why(play, tmp_path):
    """From the module that was aborted to what is kept of the size; what broke otherwise is an error, and no stop."""
    sizes = {
        "stopped": {"__scale_filled": {"failed": True, "aborted": True, "msg": "scale_load was aborted: etcd"}},
        "broken": {"__scale_filled": {"failed": True, "msg": "The load cannot be put on the hollow nodes"}},
        "whole": {"__scale_filled": {"changed": True, "facts": {"ready": 3}}, "__scale_started": {"skipped": True}},
    }
    forget = tasks_in(ROLE / "tasks" / "size.yml")[0]
    api = {"cp1": {"url": "https://cp1:6443/metrics", "token": "t"}}
    seen = {"results": [{"certify_member": {"cluster": "etcd", "host": "etcd1"}, "facts": {"raft_term": 2, "healthy": True, "db_size": 100,
            "quota_backend_bytes": 1000, "member_count": 1}}]}  # fmt: skip
    tasks = [
        *({"ansible.builtin.include_vars": str(path)} for path in sorted((ROLE / "vars/main").glob("*.yml"))),
        {"ansible.builtin.set_fact": {"__scale_endpoints": {"api": api}, "__certify_etcd_seen": seen, "__certify_etcd": [1]}},
        {"ansible.builtin.set_fact": {"rules": "{{ __scale_watch }}"}, "vars": {"scale_size": {"rate": 10, "hollow": 3}}},
    ]
    for name, variables in sizes.items():
        tasks += [forget, {"ansible.builtin.set_fact": variables}, {"ansible.builtin.set_fact": {name: "{{ __scale_measured }}"}}]
    kept = {name: "{{ %s }}" % name for name in ("rules", *sizes)}
    tasks.append({"ansible.builtin.copy": {"content": kept, "dest": str(tmp_path / "seen"), "mode": "0600"}})
    play([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}], {"ungrouped": {"localhost": {}}})
    found = json.loads((tmp_path / "seen").read_text())
    assert {name: found[name]["stopped"] for name in sizes} == {"stopped": ["scale_load was aborted: etcd"], "broken": [], "whole": []}
    assert found["whole"]["fill"] == {"ready": 3} and found["stopped"]["fill"] == {}
    assert [rule.get("value") for rule in found["rules"]["rules"]] == [None, "> 800"] and found["rules"]["rules"][0]["endpoint"]["url"].endswith("/readyz")


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
            {"ansible.builtin.set_fact": {"__scale_looks": [{"etcd": {"endpoints": {"etcd/etcd1": {"cluster": "etcd", "raft_term": 1}}}}]}},
            look("10 nodes", 1), look("11 nodes", 1),
            {"ansible.builtin.copy": {"content": "{{ __scale_etcd }}", "dest": str(tmp_path / "seen"), "mode": "0600"}},
        ]  # fmt: skip
        plays = [{"hosts": "localhost", "gather_facts": False, "vars": {"ansible_become": False, "certify_layer": "scale"}, "tasks": tasks}]
        # A cluster that nobody can ask: its nodes and pods are not looked at here.
        said = play(plays, {"etcd": hosts, "ungrouped": {"localhost": {}}}, etcd_clusters=clusters, certify_kubeconfig="/nowhere")
    seen = json.loads((tmp_path / "seen").read_text())
    assert seen["4 nodes"] == seen["8 nodes"] and seen["8 nodes"]["share"] == 0.9327 and seen["8 nodes"]["alarms"] == []
    assert (seen["6 nodes"]["hindrance"], seen["6 nodes"]["share"]) == ("", 0.0145) and seen["9 nodes"] == {"watched": False}
    # Two members more than in that look, of a newer term: an election, which is over when the next is looked at.
    assert (seen["10 nodes"]["hindrance"], seen["11 nodes"]["hindrance"]) == ("etcd elected a leader", "")
    assert "10 nodes: nothing more was loaded, since etcd elected a leader" in said
    assert "rescued=2" in said and "8 nodes: nothing more was loaded, since etcd would have filled 93% of its quota" in said
