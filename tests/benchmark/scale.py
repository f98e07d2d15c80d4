# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/scale.yml as a user runs it, with 500 nodes of kwok and 5,000 pods: whether our own modules, facts and report keep up; minutes and memory.

A control plane of its own on this machine (hollow/control_plane.py), so that no lab is filled. Needs root and the programs that make lab builds.
"""

from __future__ import annotations

import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(pathlib.Path(__file__).parent))

import hollow.cluster  # noqa: E402
import hollow.control_plane  # noqa: E402

NODES, PODS, RATE = (int(os.environ.get(f"KUBEPROOF_SCALE_{name}", default)) for name, default in (("NODES", 500), ("PODS", 5000), ("RATE", 50)))
MOST_SECONDS, MOST_BYTES = 600.0, 500 * 2**20
INSIDE = "KUBEPROOF_BENCHMARK_INSIDE"
NAMESPACES = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
# What has to be 0, or the run was none.
GOOD = ("scale_hollow", "scale_unready", "scale_refused", "scale_errors", "scale_nodes_left", "scale_clean", "scale_restarts")


def run(directory, kubeconfig):
    """Run the playbook; return (seconds, exit status, its output, the certificate or None)."""
    variables = {
        "certify_results": str(directory / "results"),
        "certify_cluster_name": "hollow",
        "certify_kubeconfig": str(kubeconfig),
        "certify_capacity": {"pods_per_node": PODS // NODES},
        "scale_hollow": "kwok",
        "scale_image": "kwok",
        "scale_nodes": [NODES],
        "scale_load": {"smoke": {"factors": [2], "fill": 1.0, "rate": RATE, "latency_pods": 300}},
        # What else is tried, such as another engine.
        **json.loads(os.environ.get("KUBEPROOF_SCALE_MORE", "{}")),
    }
    argv = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), "playbooks/scale.yml", "-i", "localhost,", "-e", json.dumps(variables)]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    began = time.monotonic()
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=2 * MOST_SECONDS, check=False)
    seconds = time.monotonic() - began
    found = sorted((directory / "results").rglob("certificate.json"))
    return seconds, done.returncode, done.stdout + done.stderr, json.loads(found[0].read_text(encoding="utf-8")) if found else None


def judge(certificate):
    """Return what is not as it must be."""
    results = {one["id"]: one for one in reversed(certificate["findings"])}
    return [f"{name}: {results[name]['result']} {results[name].get('reason', '')}" for name in GOOD if results[name]["result"] != "PASS"]


def measure(directory):
    """Print what was measured; return whether every bound is met."""
    cluster = hollow.control_plane.ControlPlane(directory, ROOT / "roles/scale/files/kwok.stages")
    try:
        cluster.start()
        seconds, status, output, certificate = run(directory, cluster.kubeconfig)
        if certificate is None or certificate["state"] != "finished":
            raise SystemExit(f"scale: no certificate (exit status {status}): {output[-3000:]}")
        wrong = judge(certificate)
        most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        measured = {one["id"]: one["value"] for one in certificate["findings"] if one["id"] in ("scale_start_p99", "scale_endpoints_p99", "scale_joined")}
        good = not wrong and seconds <= MOST_SECONDS and most <= MOST_BYTES
        print(f"scale: {NODES} nodes of kwok, {PODS:,} pods at {RATE}/s: {seconds:.0f} s (at most {MOST_SECONDS:.0f}), largest process {most / 2**20:.0f} MiB "
              f"(at most {MOST_BYTES / 2**20:.0f}), {measured}, {certificate['verdict']}", *wrong, "good" if good else "MISSED", sep="; ")  # fmt: skip
        if os.environ.get("KUBEPROOF_SCALE_KEEP"):
            subprocess.run(["cp", "-r", str(directory / "results"), os.environ["KUBEPROOF_SCALE_KEEP"]], check=True)
        if wrong:
            print(output[-3000:])
        return good
    finally:
        cluster.stop()


def inside():
    """Measure in namespaces of its own."""
    with tempfile.TemporaryDirectory() as name:
        for command in (f"mount -t tmpfs tmpfs {name}", "ip link set lo up", f"ip route add local {hollow.cluster.NETWORK} dev lo"):
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
        raise SystemExit("scale: namespaces of its own need root. Run make bench as root, or in a container that is.")
    return subprocess.run([*NAMESPACES, sys.executable, __file__], env={**os.environ, INSIDE: "1"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
