# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role soak before and after the load and in the cleanup, on hosts whose watchers are played: a directory of a cluster and host is its host."""

from __future__ import annotations

import gzip
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from ansible_collections.kubeproof.certify.plugins.module_utils import soak_file
from ansible_collections.kubeproof.certify.tests.unit.plugins.module_utils.test_soak_facts import SECONDS, WALL, recording

ROOT = pathlib.Path(__file__).parents[4]
RUN = "20261122t101828z-0482"
HOSTS = ["etcd1", "etcd2"]
# facts.json and recording.gz are what a watcher has; new.gz is what it has when it was just started. Actions, since a module has a process of its own.
WATCH = """\
import json, os, shutil
from ansible.plugins.action import ActionBase

SPEC = {name: {"type": kind} for name, kind in {"at": "str", "name": "str", "state": "str", "soak": "dict", "client": "dict", "metrics": "dict",
                                                "raw": "str"}.items()}


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        dummy, asked = self.validate_argument_spec(SPEC)
        place, state = os.path.join(PLACE, asked["name"], asked["at"]), asked["state"]
        path = os.path.join(place, "facts.json")
        facts = json.load(open(path)) if os.path.exists(path) else {"state": "absent"}
        if state == "started" and facts["state"] != "running":
            if facts["state"] == "absent":
                shutil.copy(os.path.join(PLACE, "new.gz"), os.path.join(place, "recording.gz"))
            facts = {**asked["soak"], "state": "running"}
            json.dump(facts, open(path, "w"))
            open(os.path.join(place, "started"), "w").write(json.dumps(facts))
        elif state == "absent" and os.path.exists(path):
            os.unlink(path)
            facts = {"state": "absent"}
        elif state == "collected" and facts["state"] != "absent":
            os.makedirs(os.path.dirname(asked["raw"]), exist_ok=True)
            shutil.copy(os.path.join(place, "recording.gz"), asked["raw"])
        shown = {"samples": 1, "bytes": 1, "most": 2, "damage": ""} if "id" in facts else {}
        return {"facts": {**shown, **facts}}
"""
INFO = """\
from ansible.plugins.action import ActionBase

SPEC = {name: {"type": "raw"} for name in ("name", "port", "data_dir", "endpoint", "ca", "cert", "key", "host", "tools")}


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        self.validate_argument_spec(SPEC)
        return {"facts": {"client": {"url": "https://10.0.0.1:2379"}, "metrics_url": "http://127.0.0.1:2381/metrics", "member_count": 2}}
"""
WATCHES = re.compile(r"kubeproof\.certify\.soak_watch:\n")


def packed(found, state="finished"):
    """Return a recording as a watcher writes it."""
    digest, data = soak_file.NO_DIGEST, b""
    records = [("begin", found["begin"]), ("start", found["starts"][0]), *(("sample", one) for one in found["samples"]), ("end", {"state": state})]
    for number, (kind, record) in enumerate(records if state else records[:-1]):
        line, digest = soak_file.encode({"n": number, "kind": kind, **record}, digest)
        data += line
    return gzip.compress(data)


class Hosts:
    """Two hosts, the role with played watchers, and what was asked of it."""

    def __init__(self, place):
        self.place, self.tasks = place, []
        shutil.copytree(ROOT / "roles/soak", place / "roles/soak")
        for path in (place / "roles/soak/tasks").iterdir():
            text = WATCHES.sub('played_watch:\n    at: "{{ inventory_hostname }}"\n', path.read_text())
            path.write_text(text.replace("kubeproof.certify.etcd_info:", "played_info:"))
        (place / "action_plugins").mkdir()
        (place / "action_plugins/played_watch.py").write_text(WATCH.replace("PLACE", repr(str(place / "hosts"))))
        (place / "action_plugins/played_info.py").write_text(INFO)
        (place / "hosts").mkdir()
        (place / "hosts/new.gz").write_bytes(packed(self.seen(1), ""))

    @staticmethod
    def seen(samples, host="etcd1"):
        found = recording(host)
        found["samples"] = found["samples"][:samples]
        return found

    def watcher(self, case, host, found, facts):
        """Let a watcher have been there; None for `found` means that none is."""
        place = self.place / "hosts" / case / host
        place.mkdir(parents=True)
        if found is not None:
            (place / "recording.gz").write_bytes(packed(found, "" if facts["state"] == "running" else facts["state"]))
            (place / "facts.json").write_text(json.dumps({"id": "soak", "seconds": SECONDS, "interval": 5, **facts}))

    def ask(self, case, tasks_from, **variables):
        """Ask for a tasks file of the role, as the layer etcd does."""
        own = {**({"soak_name": case} if case else {}), "soak_path": str(self.place / "raw" / case), "soak_cluster_id": "c", **variables}
        role = {"name": "Ask", "ansible.builtin.include_role": {"name": "soak", "tasks_from": tasks_from}, "vars": own}
        told = [{"name": "Tell", "ansible.builtin.debug": {"msg": f"<{case}: {word}>"}} for word in ("done", "stopped")]
        self.tasks.append({"name": "Try", "block": [role, told[0]], "rescue": [told[1]]})

    def play(self, options=()):
        inventory, playbook = self.place / "hosts.yml", self.place / "play.yml"
        clusters = [{"name": path.name, "group": "etcd"} for path in sorted((self.place / "hosts").iterdir()) if path.is_dir()]
        # The last one can never have had a watcher.
        variables = {
            "soak_clusters": [*clusters, {"name": "etcd_events", "group": "etcd"}], "soak_seconds": SECONDS, "soak_interval": 1,
            "certify_results": str(self.place / "results"), "certify_run": {"id": RUN, "began": WALL, "directory": "x"},
            "ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_pipelining": True,
        }  # fmt: skip
        inventory.write_text(yaml.safe_dump({"all": {"vars": variables, "children": {"etcd": {"hosts": dict.fromkeys(HOSTS)}}}}))
        playbook.write_text(yaml.safe_dump([{"name": "Play", "hosts": "etcd", "gather_facts": False, "tasks": self.tasks}]))
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        argv = [pathlib.Path(sys.executable).with_name("ansible-playbook"), str(playbook), "-i", str(inventory), *options]
        done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def left(self, case):
        """Return the hosts that have a watcher."""
        return [host for host in HOSTS if (self.place / "hosts" / case / host / "facts.json").exists()]

    def started(self, case):
        """Return {host: what its watcher was started with}."""
        paths = {host: self.place / "hosts" / case / host / "started" for host in HOSTS}
        return {host: json.loads(path.read_text()) for host, path in paths.items() if path.exists()}


@pytest.fixture
def hosts(tmp_path):
    return Hosts(tmp_path)


def test_before_the_load_and_after_it(hosts):
    """In one playbook, since each costs seconds. What is in vain is a matter of test_soak_in_vain.py."""
    running = {"state": "running"}
    hosts.watcher("lacks", "etcd1", hosts.seen(100, "etcd1"), running)
    for case, host in (("lacks", "etcd2"), ("none", "etcd1"), ("none", "etcd2")):
        (hosts.place / "hosts" / case / host).mkdir(parents=True)
    for case, facts in (("own", {"id": RUN, "state": "failed"}), ("other", running), ("broke", {"id": RUN, "state": "failed"})):
        for host in HOSTS:
            hosts.watcher(case, host, hosts.seen(100, host), facts)
    for case in ("none", "lacks"):
        hosts.ask(case, "ready.yml")
    # The other host broke before the recordings were read.
    hosts.tasks.append({"name": "Prove", "ansible.builtin.set_fact": {"soak_proved": {"broke": {}}}, "when": "inventory_hostname == 'etcd1'"})
    for case in ("own", "other", "broke"):
        hosts.ask(case, "done.yml")
    output = hosts.play()
    assert {case: output.count(f"<{case}: done>") for case in ("none", "lacks", "own", "other")} == {"none": 2, "lacks": 2, "own": 2, "other": 2}, output
    # As the soak was begun that is there, and of a run only what is its own.
    assert {case: list(hosts.started(case)) for case in ("none", "lacks")} == {"none": HOSTS, "lacks": ["etcd2"]}
    lacks, none = hosts.started("lacks")["etcd2"], hosts.started("none")["etcd2"]
    assert (lacks["id"], lacks["seconds"], lacks["interval"], lacks["run"]) == ("soak", SECONDS, 5, False)
    assert (none["id"], none["seconds"], none["interval"], none["run"]) == (RUN, SECONDS, 1, True)
    # However they stand: what was not collected is taken first.
    assert {case: hosts.left(case) for case in ("own", "other")} == {"own": [], "other": HOSTS}
    assert {case: (hosts.place / "raw" / case / "etcd2.gz").exists() for case in ("own", "other")} == {"own": True, "other": False}
    # What facts were made of stays as it is.
    assert not (hosts.place / "raw/broke").exists() and [path.name for path in (hosts.place / "raw/broke-after").iterdir()] == ["etcd2.gz"]


def test_no_day_is_begun_without_a_host_and_the_guard_leaves_watchers_that_go_when_it_is_done_by_hand(hosts):
    for case, one, run in (("by-hand", "x", False), ("of-a-run", "y", True), ("of-this-run", RUN, True)):
        hosts.watcher(case, "etcd1", hosts.seen(100), {"id": one, "state": "running", "run": run})
    (hosts.place / "hosts/none/etcd1").mkdir(parents=True)
    hosts.ask("none", "ready.yml")
    for run_id in (RUN, "*"):
        hosts.tasks.append({"name": "Forget", "ansible.builtin.set_fact": {"soak_stays": []}})
        hosts.ask("", "cleanup.yml", certify_run={"id": run_id})
        left = "{{ lookup('ansible.builtin.pipe', 'ls " + str(hosts.place) + "/hosts/*/etcd1/facts.json | wc -l') }}"
        hosts.tasks.append({"name": "Tell", "ansible.builtin.debug": {"msg": "<left " + left + ", stays {{ soak_stays | join(' ') }}>"}})
    output = hosts.play(["--limit", "etcd1"])
    assert output.count("<none: stopped>") == 1 and not hosts.started("none"), output
    assert "none: etcd2 cannot be reached, broke before, or was left out by --limit" in " ".join(output.split())
    assert re.findall("<left (.*)>", output) == [f"3, stays {RUN}", "1, stays x"] and hosts.left("by-hand") == ["etcd1"], output


@pytest.mark.parametrize(
    ("stays", "says"),
    [
        ([], "The cleanup has run, nothing is left: certify again, or go on with certify_resume: run"),
        ([RUN], "what is left are the watchers of the soak on etcd1, etcd2: remove them with playbooks/soak.yml -e soak_state=absent and certify again, or"),
    ],
)
def test_the_certificate_of_a_killed_run_says_which_watchers_are_left(tmp_path, stays, says):
    """By the last play of the cleanup alone: the others end processes of whoever runs this."""
    shared = {"ansible_connection": "local", "cleanup_done_etcd": True, "cleanup_done_soak": True, **({"soak_stays": stays} if stays else {})}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": {"certify_etcd": {"hosts": dict.fromkeys(HOSTS), "vars": shared}}}}))
    plays = yaml.safe_load((ROOT / "playbooks/cleanup.yml").read_text())
    (tmp_path / "play.yml").write_text(yaml.safe_dump(plays[-1:]))
    (tmp_path / "run").mkdir()
    shutil.copy(ROOT / "tests/fixtures/certificates/interrupted.json", tmp_path / "run/certificate.json")
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    argv = [pathlib.Path(sys.executable).with_name("ansible-playbook"), str(tmp_path / "play.yml"), "-i", str(tmp_path / "hosts.yml")]
    done = subprocess.run([*argv, "-e", f"certify_run_directory={tmp_path}/run"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    message = json.loads((tmp_path / "run/certificate.json").read_text())["message"]
    assert done.returncode == 0 and says in message, done.stdout + done.stderr + message
    assert ("A soak stays on etcd1, etcd2: certify_resume goes on with it" in " ".join(done.stdout.split())) is bool(stays)
