# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the audit grows with 1, 10 and 50 hosts of a cluster of 1,000 nodes: one API server that is played, its kubelets asked, the rules, the page.

The hosts' own part is measured on the lab (tests/lab/test_tuning.py), where a host is read in about a second, twenty at once.
"""

from __future__ import annotations

import copy
import json
import pathlib
import resource
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / ".ansible" / "collections"))

from ansible_collections.kubeproof.certify.plugins.module_utils import checks, cluster, tuning_facts, tuning_page  # noqa: E402
from ansible_collections.kubeproof.certify.plugins.modules import cluster_config  # noqa: E402
from ansible_collections.kubeproof.certify.tests.unit.plugins import tuning_fake  # noqa: E402
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import write_kubeconfig  # noqa: E402

NODES = 1000
HOSTS = (1, 10, 50)
MOST_SECONDS, MOST_BYTES = 45.0, 500 * 2**20


def api_server():
    """Return a server with the nodes and their kubelets; every other list is empty."""
    config = json.dumps({"kubeletconfig": tuning_fake.kubeadm()["cluster"]["kubelets"][0]["config"]}).encode()
    about = {"kubeletVersion": "v1.36.3", "containerRuntimeVersion": "containerd://2.2.1", "kernelVersion": "6.8.0"}
    state = {"nodeInfo": about, "capacity": {"cpu": "4", "memory": "16Gi"}, "conditions": [{"type": "Ready", "status": "True"}]}
    names = [f"node{number}" for number in range(NODES)]
    nodes = [
        {"metadata": {"name": name, "labels": {}, "annotations": {"filler": "x" * 3000}}, "spec": {"podCIDR": "10.0.0.0/24"}, "status": state} for name in names
    ]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_GET(self):
            path = self.path.split("?")[0]
            if path.endswith("/configz"):
                body = config
            elif path == "/api/v1/nodes":
                begin = int(self.path.partition("continue=")[2] or 0)
                end = begin + cluster.CHUNK
                body = json.dumps({"items": nodes[begin:end], "metadata": {"continue": str(end) if end < NODES else ""}}).encode()
            elif path == "/version":
                body = b'{"gitVersion": "v1.36.3"}'
            else:
                body = b'{"items": [], "metadata": {"name": "a"}, "spec": {}, "data": {}}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *dummy):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def read_cluster(url, folder):
    """Return (facts, seconds) of the played cluster."""
    path = write_kubeconfig(pathlib.Path(folder) / "kubeconfig", url)
    began = time.perf_counter()
    facts = cluster_config.Look(cluster.Cluster(path, connections=32), {"kubelets": 32, "metrics": False, "timeout": 30}).all()
    return facts, time.perf_counter() - began


def judge(hosts, facts):
    """Return the seconds that facts, rules and page take with so many hosts."""
    measured = tuning_fake.kubeadm(planes=min(3, hosts), workers=max(0, hosts - 3))
    measured["cluster"]["nodes"].update(facts["nodes"])
    measured["cluster"]["kubelets"][0]["nodes"] += facts["kubelets"][0]["nodes"]
    measured = copy.deepcopy(measured)
    began = time.perf_counter()
    document = tuning_facts.cluster_facts(measured)
    findings = checks.judge(tuning_fake.rules(), {"cluster": {"a": document}}, "tuning", "smoke", {"cluster": ["a"]})
    tuning_page.page(findings, "a")
    return time.perf_counter() - began, len(findings)


def main():
    """Print a line for each size; exit with 1 if a bound is missed."""
    server = api_server()
    with tempfile.TemporaryDirectory() as folder:
        facts, seconds = read_cluster(f"http://127.0.0.1:{server.server_port}", folder)
    server.shutdown()
    asked = sum(len(group["nodes"]) for group in facts["kubelets"])
    print(f"tuning: {asked:,} kubelets asked in {seconds:.1f} s, {len(facts['kubelets'])} configuration(s)")
    total = seconds
    tuning_fake.rules()
    for hosts in HOSTS:
        took, findings = judge(hosts, facts)
        print(f"tuning: {hosts} hosts, {NODES:,} nodes: facts, {findings:,} findings and page in {took:.2f} s")
        total = seconds + took
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"tuning: {total:.1f} s (bound: {MOST_SECONDS:.0f}), {memory / 2**20:.0f} MiB (bound: {MOST_BYTES / 2**20:.0f})")
    return 0 if asked == NODES and total <= MOST_SECONDS and memory <= MOST_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
