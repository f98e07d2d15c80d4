# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The running lab for tests: certify it, reach its hosts and its etcd, and prove after each test that nothing is left."""

from __future__ import annotations

import glob
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_keyspace
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_gateway import Gateway
from ansible_collections.kubeproof.certify.plugins.module_utils.web import Endpoint, HttpError

COLLECTION = Path(__file__).parents[2]
STATE = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "kubeproof/lab"
ADDRESSES = {
    "etcd1": "10.89.77.11",
    "etcd2": "10.89.77.12",
    "etcd3": "10.89.77.13",
    "cp1": "10.89.77.21",
    "worker1": "10.89.77.31",
    "worker2": "10.89.77.32",
}
ETCD = ("etcd1", "etcd2", "etcd3")
PKI = STATE / "nodes/etcd1/root/etc/ssl/etcd/ssl"
ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
# Every task is in what a test that failed shows.
ENVIRONMENT = {**os.environ, "ANSIBLE_CONFIG": str(COLLECTION / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"}
NO_LOAD = {"write": 0, "write_all": 0, "read": 0, "read_serializable": 0, "watch": 0, "check_perf": "", "fsync": 0}
# Seconds: no run of these tests may take longer unless the test says so, and no host may need longer to recover.
LONGEST = 240
RECOVERY = 60
# What a run may have left on a host: its directory, fio's file, a tool that still runs, which tool_run has marked ("[" keeps sudo's own mark out).
LEFT = "sudo sh -c 'ls -d /var/tmp/kubeproof /var/lib/*.fio /var/lib/etcd/*.fio; grep -la [K]UBEPROOF_RUN_DIR= /proc/[0-9]*/environ; pgrep -ax benchmark'"
# The control plane is loaded from this machine, the members of etcd from the first of them.
STARTED = "/var/tmp/kubeproof/*/apiserver/process-*.json"
LOADING = "timeout 60 sh -c 'until sudo grep -ls \"{tool}\" /var/tmp/kubeproof/*/*/process-*.json; do sleep 0.1; done'"
NOTES = pytest.StashKey[list]()


class Run(NamedTuple):
    """How a certification ended: exit status, certificate.json, what the terminal showed, seconds it took, the run's directory."""

    status: int
    certificate: dict
    output: str
    seconds: float
    directory: Path

    def finding(self, check, host=None):
        """Return the worst finding of a check, or the one of a host."""
        found = [one for one in self.certificate["findings"] if one["id"] == check and host in (None, one["host"])]
        assert found, f"no finding {check} among {[one['id'] for one in self.certificate['findings']]}"
        return found[0]

    @property
    def error(self):
        """Return what went wrong in the layer, or ""."""
        return "; ".join(filter(None, (layer.get("error") for layer in self.certificate["layer_verdicts"].values())))

    @property
    def load_seconds(self):
        return self.certificate["run"].get("load_seconds", 0)

    def blocked(self):
        """Say whether the run failed before any load."""
        return self.status != 0 and self.load_seconds == 0 and self.certificate["verdict"] in ("FAIL", "INCONCLUSIVE")


class Lab:
    """The lab's hosts and its etcd."""

    state = STATE

    def on(self, host, command, data=None, check=True):
        """Run a shell command on a host over SSH, as the user that Ansible is; return what it printed."""
        argv = ["ssh", "-i", STATE / "id_ed25519", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        argv += ["-o", "ConnectTimeout=5", f"kubeproof@{ADDRESSES[host]}", command]
        found = subprocess.run(argv, input=data, capture_output=True, timeout=90, check=False)
        assert found.returncode == 0 or not check, f"{command} on {host}: {found.stderr.decode()}"
        return found.stdout.decode()

    def podman(self, verb, host):
        subprocess.run(["podman", "--runtime", "runc", verb, f"kubeproof-lab-{host}"], check=True, capture_output=True)

    def playbook(self, path, *arguments, **variables):
        """Run a playbook against the lab to its end."""
        argv = [ANSIBLE, path, "-i", "inventories/lab", "-e", json.dumps(variables), *arguments]
        return subprocess.run(argv, cwd=COLLECTION, env=ENVIRONMENT, check=True, capture_output=True, text=True).stdout

    def kubectl(self, *arguments, check=True, data=None):
        """Return what kubectl printed, as data where it is JSON."""
        argv = [STATE / "bin/kubectl", "--kubeconfig", STATE / "kubeconfig", "--request-timeout", "10s", *arguments]
        text = subprocess.run(argv, input=data, check=check, capture_output=True, text=True).stdout
        return json.loads(text) if text.startswith("{") else text

    def gateway(self, host):
        """Return a connection to the gRPC gateway of a member."""
        secrets = {"ca": f"{PKI}/ca.pem", "cert": f"{PKI}/admin-etcd1.pem", "key": f"{PKI}/admin-etcd1-key.pem"}
        return Gateway(Endpoint(f"https://{ADDRESSES[host]}:2379", timeout=10, **secrets))

    def ask(self, host, path, **body):
        """Return a member's answer to a request of the gateway."""
        with self.gateway(host) as gateway:
            return gateway.call("/v3/" + path, body)

    def members(self):
        """Return {host: its status}, the leader last; HttpError when one does not answer."""
        found = {host: self.ask(host, "maintenance/status") for host in ETCD}
        return dict(sorted(found.items(), key=lambda item: item[1].get("leader") == item[1]["header"]["member_id"]))

    def follower(self):
        """Return a member that neither leads nor is the host that the load comes from."""
        return next(host for host in list(self.members())[:-1] if host != ETCD[0])

    def settle(self):
        """Wait until every member answers a linearizable read, all agree on a leader, and none has an alarm."""
        limit = time.monotonic() + RECOVERY
        while (trouble := self.trouble()) and time.monotonic() < limit:
            time.sleep(0.3)
        assert not trouble, f"{trouble}. Make the lab anew: make lab-down lab"

    def trouble(self):
        """Return what is wrong with etcd, or None."""
        try:
            status = self.members()
            for host in ETCD:
                self.ask(host, "kv/range", key="AA==", count_only=True)
            leaders = {member.get("leader", "0") for member in status.values()}
            alarms = self.ask(ETCD[0], "maintenance/alarm", action="GET").get("alarms", [])
        except HttpError as error:
            return str(error)
        return f"leaders are {leaders}" if len(leaders) != 1 or "0" in leaders else f"alarms are {alarms}" if alarms else None

    def strangers(self):
        """Return the keys in etcd that are not of Kubernetes."""
        with self.gateway(ETCD[0]) as gateway:
            found = [record["key"] for start, end in etcd_keyspace.UNPROTECTED_RANGES for record in gateway.records(start, end)]
        return [key for key in found if key not in etcd_keyspace.PROTECTED_KEYS]


@pytest.fixture(scope="session")
def lab():
    """Return the Lab, or fail at once when it does not answer."""
    found = Lab()
    trouble = found.trouble() if PKI.is_dir() else f"{STATE} is not there"
    if trouble:
        pytest.fail(f"run make lab first: {trouble}", pytrace=False)
    # What a run left that was killed together with this machine is none of these tests'.
    found.playbook("playbooks/cleanup.yml")
    return found


@pytest.fixture
def on(lab):
    return lab.on


@pytest.fixture
def untouched(lab):
    """Begin with a healthy etcd; prove after the test that etcd is healthy and that nothing is left in it or on its hosts."""
    lab.settle()
    yield
    lab.settle()
    assert lab.strangers() == []
    left = {host: lab.on(host, LEFT, check=False) for host in ETCD}
    assert left == dict.fromkeys(ETCD, "")


@pytest.fixture
def scratch(tmp_path_factory):
    """Return a directory for what runs keep for a moment; prove that no key of the kubeconfig is left in it, however they ended."""
    # A short name: gpg's sockets are in there, too.
    place = tmp_path_factory.mktemp("t")
    yield place
    assert [path for path in place.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()] == []


@pytest.fixture
def certify(lab, tmp_path, scratch):
    """Return certify(*arguments, layer="etcd", load={step: seconds}, during=function, tool=name, longest=seconds, **variables) -> Run.

    `load` is that of etcd_load or apiserver_load. `during` is called with the process of ansible-playbook as soon as the tool runs; without
    `load` nothing is loaded.
    """

    def run(*arguments, layer="etcd", load=None, during=None, tool="benchmark", longest=LONGEST, **variables):
        none = NO_LOAD if layer == "etcd" else {}
        variables = {"certify_results": str(tmp_path), "certify_layers": [layer], f"{layer}_load": {"smoke": {**none, **(load or {})}}, **variables}
        argv = [ANSIBLE, "certify.yml", "-i", "inventories/lab", "-e", json.dumps(variables), *arguments]
        began, before = time.monotonic(), set(tmp_path.rglob("certificate.json"))
        with open(tmp_path / "terminal", "w", encoding="utf-8") as terminal:
            streams = {"stdin": subprocess.DEVNULL, "stdout": terminal, "stderr": terminal}
            environment = {**ENVIRONMENT, "TMPDIR": str(scratch)}
            process = subprocess.Popen(argv, cwd=COLLECTION, env=environment, start_new_session=True, **streams)
        try:
            if during:
                if layer == "etcd":
                    lab.on(ETCD[0], LOADING.format(tool=tool))
                else:
                    wait_for(lambda: glob.glob(STARTED) or process.poll() is not None)
                during(process)
            process.wait(longest)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        [written] = set(tmp_path.rglob("certificate.json")) - before
        return Run(process.wait(), json.loads(written.read_text()), (tmp_path / "terminal").read_text(), time.monotonic() - began, written.parent)

    return run


def wait_for(condition, seconds=RECOVERY):
    """Wait until a function returns something true; return that, or fail."""
    limit = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < limit, f"{condition} did not come true in {seconds} s"
        time.sleep(0.2)
    return found


@pytest.fixture
def note(request):
    """Return note(fault, run, finding), a line for the end of the test run: what a fault produced."""

    def keep(fault, run, finding):
        said = " ".join(str(finding[key]) for key in ("result", "title", "value", "entry", "host") if finding.get(key) is not None)
        why = finding.get("reason") or run.error
        line = f"{fault}: {run.certificate['verdict']}, exit {run.status}, {run.seconds:.0f} s. {said}. {why}"
        request.config.stash.setdefault(NOTES, []).append(line[:400])

    return keep


def pytest_terminal_summary(terminalreporter, config):
    """Print what the faults produced."""
    for line in config.stash.get(NOTES, []):
        terminalreporter.write_line(line)
