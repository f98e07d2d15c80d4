# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role etcd, where a second cluster is on the hosts of the first; and the look at etcd of a layer that writes to it, played."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import sys

import pytest
import yaml

from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_keyspace
from ansible_collections.kubeproof.certify.tests.unit.plugins.etcd_fake import FakeEtcd

ROOT = pathlib.Path(__file__).parents[2]
TASKS = ROOT / "roles" / "etcd" / "tasks"
ANSIBLE = pathlib.Path(sys.executable).with_name("ansible-playbook")
# What is found on the host by its port, whatever else runs there.
PROCESS = ["etcd", "-c", "import time; time.sleep(60)"]
KEYS = etcd_keyspace.benchmark_keys(1000, 256, 1000)
# What the first cluster has left on the hosts: steps, a window, keys that were deleted.
FIRST = {
    "__etcd_steps": {"results": [{"etcd_step": {"name": "write"}, "facts": {"rate": 73317331}, "seconds": 73317331}]},
    "__etcd_open": {"failed_endpoints": {}, "changed": False},
    "__etcd_window": {"facts": {"etcd": {"etcd_server_proposals_pending": {"last": 73317331}}}},
    "__etcd_before": {
        "facts": {"asked": {"members_count": 73317331}, "clock_difference": [73317331, 73317331]},
        "free": {"predicted": 73317331, "present": 73317331, "revision": 1},
    },
    "__etcd_after": {"facts": {"endpoints": {"a": {"db_size": 73317331}}}},
    "__etcd_fio": {"results": [{"etcd_host": "etcd1", "facts": {"fsync": 73317331}, "seconds": 73317331}]},
    "__etcd_clean": {"results": [{"facts": {"left": 73317331}}]},
    "etcd_stressed": [{"etcd_step": {"name": "ramp-100"}, "facts": {"rate": 73317331}, "seconds": 73317331}],
}


@contextlib.contextmanager
def member():
    """Serve a fake with a process of its own, as a member on a host has."""
    fake = FakeEtcd()
    flags = [f"--advertise-client-urls={fake.url}", f"--listen-client-urls={fake.url}", "--name=cp1"]
    with subprocess.Popen([*PROCESS, *flags], executable=sys.executable) as process:
        try:
            yield fake
        finally:
            process.kill()
            fake.close()


@pytest.fixture
def etcd():
    with member() as fake:
        yield fake


@pytest.fixture
def play(tmp_path):
    """Return play(plays, groups, **variables) -> its output; it must end well."""

    def run(plays, groups, **variables):
        groups = {name: {"hosts": hosts} for name, hosts in groups.items()}
        local = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable}
        (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": groups, "vars": {**local, **variables}}}))
        (tmp_path / "play.yml").write_text(yaml.safe_dump(plays))
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp")}
        argv = [ANSIBLE, "-i", str(tmp_path / "hosts.yml"), str(tmp_path / "play.yml")]
        done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def tasks_in(path):
    """Return every task of a file, also those in blocks."""
    found = list(yaml.safe_load(path.read_text(encoding="utf-8")))
    for task in found:
        for part in ("block", "rescue", "always"):
            found.extend(task.get(part, []))
    return found


# The second cluster ---------------------------------------------------------------------------------------------------------


def test_what_a_cluster_leaves_is_forgotten_before_the_next():
    """A result stays until the task runs again, and a cluster that is stopped by a gate does not come so far."""
    files = [path for path in sorted(TASKS.glob("*.yml")) if not path.name.startswith("cleanup")]
    files.remove(TASKS / "cluster.yml")
    left = {task["register"] for path in files for task in tasks_in(path) if "register" in task}
    kept = {name for path in files for task in tasks_in(path) for name in task.get("ansible.builtin.set_fact", {})}
    forgotten = tasks_in(TASKS / "cluster.yml")[0]["ansible.builtin.set_fact"]
    assert "__etcd_steps" in left and "etcd_stressed" in kept
    # What the role soak registers it includes.
    own = {name for name in forgotten if not name.startswith("__soak_")}
    assert left | {name for name in kept if not name.startswith("certify_")} == own and not any(forgotten.values())


def test_a_second_cluster_that_is_stopped_has_nothing_of_the_first(etcd, play, tmp_path):
    """Its keys may be somebody's: what was not loaded is not cleaned."""
    for key in KEYS[:3]:
        etcd.put(key)
    # Stopped before its load, by a member that does not say how it is.
    etcd.answers["/health"] = (500, "broken")
    clusters = [{"name": "etcd", "group": "etcd_others"}, {"name": "events", "group": "etcd", "port": etcd.server.server_port}]
    run = {"id": "20260101t000000z-abcd", "directory": str(tmp_path / "run"), "started": "2026-01-01T00:00:00Z", "cluster": {"nodes": 3}}
    (tmp_path / "run").mkdir()
    state = {"certify_run": run, "certify_catalogue": {}, "certify_done": {"etcd": {"clusters": ["etcd"], "findings": [], "verdict": {"verdict": "PASS"}}}}
    plays = [
        {"hosts": "localhost", "gather_facts": False, "tasks": [{"ansible.builtin.set_fact": state}]},
        {
            "hosts": "etcd", "gather_facts": False,
            "tasks": [
                {"ansible.builtin.set_fact": {"certify_run": run, **FIRST}},
                {"ansible.builtin.include_role": {"name": "kubeproof.certify.etcd", "defaults_from": "main/settings.yml"}},
            ],
        },
    ]  # fmt: skip
    said = play(plays, {"etcd": {"etcd1": {}}, "etcd_others": {}}, etcd_clusters=clusters, certify_profile="stress")
    assert "/health answered 500" in said and all(key in etcd.keys for key in KEYS[:3])
    facts = json.loads((tmp_path / "run/facts/etcd/cluster/events.json").read_text())
    host = json.loads((tmp_path / "run/facts/etcd/events/etcd1.json").read_text())
    assert "73317331" not in json.dumps([facts, host]) and host["endpoint"] == etcd.url


def test_what_a_soak_proved_is_handed_over_by_every_host_and_its_recordings_are_in_the_run(play):
    """Also by one that broke before they were read; and of recordings that were copied the run keeps a copy."""
    tell = ["<{{ inventory_hostname }}", "{{ __etcd_soak.hosts[inventory_hostname] | default(__etcd_no_soak) | to_json }}", "{{ __etcd_soak_path }}>"]
    proved = {"events": {"cluster": {}, "hosts": {"etcd1": {"soak": 1}, "etcd2": {"soak": 2}}}}
    tasks = [
        {"ansible.builtin.include_vars": str(ROOT / "roles/etcd/vars/main.yml")},
        {"ansible.builtin.set_fact": {"soak_proved": proved}, "when": "inventory_hostname == 'etcd1'"},
        {"ansible.builtin.debug": {"msg": " ".join(tell)}},
    ]
    own = {"etcd_name": "events", "etcd_clusters": [{"name": "etcd", "group": "etcd"}, {"name": "events", "group": "etcd"}], "certify_profile": "soak"}
    run = {"id": "20260101t000000z-abcd", "directory": "/x"}
    said = play([{"hosts": "etcd", "gather_facts": False, "tasks": tasks}], {"etcd": {"etcd1": {}, "etcd2": {}, "etcd3": {}}}, **own, certify_run=run,
                soak_recordings="/copied")  # fmt: skip
    said = said.replace("\\", "")
    for number in (1, 2):
        assert f'<etcd{number} {{"soak": {number}}} /x/raw/etcd/events/soak>' in said, said
    assert '<etcd3 {"missing": {"soak": "the watchers were not reached"}} /x/raw/etcd/events/soak>' in said, said


# A layer that writes to etcd ------------------------------------------------------------------------------------------------

ROLE = {"name": "kubeproof.certify.certify", "tasks_from": "stress_health.yml", "defaults_from": "main/settings.yml", "public": True}
PLAN = "{{ __certify_etcd_said }}"
# What the role etcd says of its members: as they were before the load, as they are now, and when nobody answers any more.
STATUS = {"endpoints": {"a": {"raft_term": 2}}}
ETCD = {
    **{"etcd_name": "etcd", "etcd_clusters": [{"name": "etcd", "group": "etcd"}], "certify_layer": "etcd"},
    "__etcd_before": {"facts": {"asked": STATUS}},
}
ANSWERS = {"before": {}, "now": {"facts": {"endpoints": {"a": {"raft_term": 3}}}}, "silent": {"failed": False, "msg": "etcdctl did not end within 30 s."}}


def look(layer, **variables):
    return {"ansible.builtin.include_role": ROLE, "vars": {"certify_layer": layer, **variables}}


def keep(name, text, **variables):
    return {"ansible.builtin.set_fact": {f"seen_{name}": text}, "vars": variables}


def test_a_layer_that_writes_to_etcd_looks_at_its_members(play, tmp_path):
    with member() as one, member() as two:
        two.answers["/v3/maintenance/alarm"] = (200, {"alarms": [{"memberID": "17", "alarm": "NOSPACE"}]})
        hosts = {f"etcd{number}": {"member_port": fake.server.server_port} for number, fake in enumerate((one, two), 1)}
        health, kept = "{{ __certify_health }}", ("apiserver", "dns", "plan", "blind", *ANSWERS)
        tasks = [
            look("apiserver"), keep("apiserver", health, certify_layer="apiserver"), keep("plan", PLAN),
            look("dns"), keep("dns", health, certify_layer="dns"),
            keep("blind", PLAN, etcd_clusters=[{"name": "etcd", "group": "nobody"}]),
            {"ansible.builtin.include_vars": str(ROOT / "roles" / "etcd" / "vars" / "main.yml")},
            *(keep(name, health, __etcd_status=answer, **ETCD) for name, answer in ANSWERS.items()),
            {"ansible.builtin.copy": {"content": {name: "{{ seen_%s }}" % name for name in kept}, "dest": str(tmp_path / "seen"), "mode": "0600"}},
        ]  # fmt: skip
        clusters = [{"name": "etcd", "group": "etcd", "port": "{{ member_port | default(0) }}"}]
        groups = {"etcd": hosts, "ungrouped": {"localhost": {}}}
        plays = [{"hosts": "localhost", "gather_facts": False, "vars": {"ansible_become": False}, "tasks": tasks}]
        play(plays, groups, etcd_clusters=clusters, certify_kubeconfig="", apiserver_loads_etcd=True)
    seen = json.loads((tmp_path / "seen").read_text())
    found = {"cluster": "etcd", "raft_term": 2, "db_size": 31236096, "db_size_in_use": 3018752, "db_quota": 2147483648}
    alarm = {"etcd/etcd1": {**found, "errors": []}, "etcd/etcd2": {**found, "errors": ["NOSPACE of member 11"]}}
    assert seen["apiserver"] == {"etcd": {"endpoints": alarm}} and seen["dns"] == {}
    assert seen["before"]["etcd"]["endpoints"] == STATUS["endpoints"] and seen["now"]["etcd"]["endpoints"]["a"]["raft_term"] == 3
    # The look before the load must not stand in for one that could not be had.
    assert seen["silent"] == {"error": "etcd: etcdctl did not end within 30 s."}
    assert seen["plan"] == "looked at between the steps, through etcd1, etcd2"
    assert seen["blind"].startswith("not watched while this layer loads it: the inventory has no host of it.")
