# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/audit.yml as a user runs it, on a cluster of 1,000 hollow nodes with 1, 10 and 50 SSH hosts: seconds, memory of the controller, growth.

A real API server with kwok's nodes, and one sshd with an address for each host (hollow/). Hosts run on this machine as well, so their work counts
in the seconds. Needs root and the programs that make lab builds; all of it lives in namespaces of its own, which end with this process.
"""

from __future__ import annotations

import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(pathlib.Path(__file__).parent))

import hollow.cluster  # noqa: E402
import hollow.hosts  # noqa: E402

NODES = 1000
HOSTS = (1, 10, 50)
MOST_SECONDS, MOST_BYTES = 60.0, 500 * 2**20
# Fifty hosts may take so many times as long as one.
MOST_GROWTH = 10.0
INSIDE = "KUBEPROOF_BENCHMARK_INSIDE"
NAMESPACES = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
TIMEOUT = 300
SAMPLE_SECONDS = 0.3


def descendants(pid):
    """Return a process and all that it has started, also what they have started."""
    parents = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def memory(pid, file, name):
    """Return a number of a process's memory (byte); 0 when it has ended."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def processor_seconds():
    """Return the processor time of the children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Peak(threading.Thread):
    """Watches the memory of a process and of all that it starts on the controller.

    `bytes`: shared pages count once, by each process's share of them; that is what a machine has to have. `summed`: they count for each process,
    each at its own peak.
    """

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.bytes, self.summed, self.ended = pid, 0, 0, threading.Event()

    def run(self):
        while not self.ended.wait(SAMPLE_SECONDS):
            all_of_it = descendants(self.pid)
            self.bytes = max(self.bytes, sum(memory(pid, "smaps_rollup", "Pss") for pid in all_of_it))
            self.summed = max(self.summed, sum(memory(pid, "status", "VmHWM") for pid in all_of_it))


def audit(directory, hosts, cluster, count):
    """Run the audit with so many hosts; return (seconds, processor seconds of the controller, peak of the memory, findings, facts)."""
    place = directory / f"hosts-{count}"
    place.mkdir()
    (place / "inventory.json").write_text(json.dumps(hosts.inventory(count)), encoding="utf-8")
    variables = {"certify_results": str(place), "certify_cluster_name": "hollow", "certify_kubeconfig": str(cluster.kubeconfig)}
    argv = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), "playbooks/audit.yml", "-i", str(place / "inventory.json")]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOG_PATH": str(place / "log"),
                   "ANSIBLE_SSH_CONTROL_PATH_DIR": str(place / "ssh")}  # fmt: skip
    with open(place / "output", "wb") as output:
        began, used = time.monotonic(), processor_seconds()
        process = subprocess.Popen([*argv, "-e", json.dumps(variables)], cwd=ROOT, env=environment, stdout=output, stderr=output)
        peak = Peak(process.pid)
        peak.start()
        try:
            process.wait(TIMEOUT)
        finally:
            process.kill()
            peak.ended.set()
        seconds, used = time.monotonic() - began, processor_seconds() - used
    text = (place / "output").read_text(encoding="utf-8")
    found = sorted(place.rglob("findings.json"))
    if not found:
        raise SystemExit(f"audit: no findings with {count} hosts: {text[-2000:]}")
    findings, facts = (json.loads((found[0].parent / name).read_text(encoding="utf-8")) for name in ("findings.json", "facts.json"))
    return seconds, used, peak, findings, facts


def trouble(findings, facts, count):
    """Return what is not as it must be: every host was read, and every kubelet asked."""
    found = [f"{one['id']} at {one.get('entry')}: {one['reason']}" for one in findings if "was not read" in one["reason"] or "UNREACHABLE" in one["reason"]]
    asked = sum(len(one.get("hosts", ())) for one in facts["kubelet"].values() if "config" in one)
    told = next((one["missing"][""] for one in facts["kubelet"].values() if "" in one.get("missing", {})), "")
    found += [] if asked == NODES else [f"{asked} of {NODES} kubelets were asked: {told}"]
    read = sum(len(one["hosts"]) for one in facts["kernel"].values() if "sysctl" in one)
    return found + ([] if read == count else [f"{read} of {count} hosts were read"])


def measure(directory):
    """Print a line for each number of hosts; return whether every bound is met."""
    recorded = json.loads(hollow.hosts.FIXTURE.read_text(encoding="utf-8"))
    cluster = hollow.cluster.HollowCluster(directory, NODES, recorded["cluster"]["kubelets"][0]["config"])
    hosts = hollow.hosts.Hosts(directory)
    try:
        began = time.monotonic()
        cluster.start()
        hosts.start()
        print(f"audit: {NODES:,} hollow nodes are up after {time.monotonic() - began:.0f} s", flush=True)
        good, took = True, {}
        for count in HOSTS:
            seconds, used, peak, findings, facts = audit(directory, hosts, cluster, count)
            wrong = trouble(findings, facts, count)
            took[count] = seconds
            good = good and not wrong and seconds <= MOST_SECONDS and peak.bytes <= MOST_BYTES
            print(f"audit: {count:2} hosts, {NODES:,} nodes: {seconds:.1f} s (at most {MOST_SECONDS:.0f}; {used:.1f} of the controller's processors), "
                  f"{peak.bytes / 2**20:.0f} MiB (at most {MOST_BYTES / 2**20:.0f}; {peak.summed / 2**20:.0f} with shared pages counted for each process), "
                  f"{seconds / took[HOSTS[0]]:.1f} times one host, {len(findings):,} findings", *wrong[:3], sep="; ", flush=True)  # fmt: skip
        growth = took[HOSTS[-1]] / took[HOSTS[0]]
        good = good and growth <= MOST_GROWTH
        print(f"audit: {HOSTS[-1]} hosts take {growth:.1f} times as long as one (at most {MOST_GROWTH:.0f}): {'good' if good else 'MISSED'}")
        return good
    finally:
        hosts.stop()
        cluster.stop()


def inside():
    """Measure in namespaces of its own."""
    with tempfile.TemporaryDirectory() as name:
        # In memory: overlays need it, and the disk is not what is measured.
        for command in (
            f"mount -t tmpfs tmpfs {name}",
            f"mkdir {name}/up {name}/work {name}/run",
            f"mount -t overlay overlay -o lowerdir=/etc,upperdir={name}/up,workdir={name}/work /etc",
            "mount -t tmpfs tmpfs /run",
            "ip link set lo up",
            f"ip route add local {hollow.cluster.NETWORK} dev lo",
        ):
            subprocess.run(command.split(), check=True)
        try:
            return measure(pathlib.Path(name))
        finally:
            subprocess.run(["umount", "--lazy", name], check=False)


def main():
    """Exit with 1 if a bound is missed, or if it cannot be measured."""
    if os.environ.get(INSIDE):
        return 0 if inside() else 1
    if os.geteuid() != 0:
        raise SystemExit("audit: namespaces and an sshd of its own need root. Run make bench as root, or in a container that is.")
    # What may have to be fetched is fetched here: inside there is no network but its own.
    hollow.hosts.sshd()
    return subprocess.run([*NAMESPACES, sys.executable, __file__], env={**os.environ, INSIDE: "1"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
