# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of the lab, whole and with faults: each certificate says what happened, and nothing of the run is left."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.kubeproof.certify.tests.lab.test_storage import made

pytestmark = pytest.mark.lab
# The workers of the lab are in two zones.
PAIR, SERVICE = "worker1 -> worker2 (zones)", "worker1 -> worker2 (service)"
SHORT = {"tcp": 1, "streams": [1], "host": [1], "connections": 50, "udp": 1}
# What keeps packets for the servers of a pod from it, as a network policy of a plugin does that enforces one.
TABLE = "kubeproof_network_test"
CHAIN = f"add table inet {TABLE}; add chain inet {TABLE} forward {{ type filter hook forward priority -200; }}"
RECORDED = Path(__file__).parents[1] / "fixtures/k8s_netperf/iperf3.json"
SERVERS = "{ 5201, 5202, 8080, 11111 }"
LONGEST = 90
# What keeps pods out of the host network, as policies of Kyverno or Gatekeeper do; of the run's own alone.
POLICY = "kubeproof-test-host-network"
ADMISSION = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": POLICY}}
RUNS = {"namespaceSelector": {"matchLabels": {"app.kubernetes.io/managed-by": "kubeproof"}}}
PODS = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
VALIDATION = {"expression": "!has(object.spec.hostNetwork) || !object.spec.hostNetwork", "message": "no host network here"}
REFUSE_HOSTS = (
    {**ADMISSION, "kind": "ValidatingAdmissionPolicy", "spec": {"matchConstraints": {**RUNS, "resourceRules": [PODS]}, "validations": [VALIDATION]}},
    {**ADMISSION, "kind": "ValidatingAdmissionPolicyBinding", "spec": {"policyName": POLICY, "validationActions": ["Deny"]}},
)


def in_node(node, *argv):
    return subprocess.run(["podman", "--runtime", "runc", "exec", f"kubeproof-lab-{node}", *argv], check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def dropped(node, rule):
    """Drop packets that a node forwards to its pods."""
    in_node(node, "nft", f"{CHAIN}; add rule inet {TABLE} forward {rule} drop")
    try:
        yield
    finally:
        in_node(node, "nft", f"delete table inet {TABLE}")


@contextlib.contextmanager
def changed(lab, undo, *arguments):
    """Change something with kubectl, and change it back."""
    lab.kubectl(*arguments)
    try:
        yield
    finally:
        lab.kubectl(*undo)


@pytest.fixture
def certify(lab, certify):
    """Return conftest's function for this layer; after each run nothing of it is left."""

    def run(load=None, **variables):
        found = certify(layer="network", load=SHORT if load is None else load, **variables)
        name = found.directory.name
        kinds = "namespaces,clusterroles,clusterrolebindings"
        assert lab.kubectl("get", kinds, "-l", f"kubeproof.io/run={name}", "-o", "name") == "" and not Path(f"/var/tmp/kubeproof/{name}").exists()
        return found

    return run


def facts_of(run):
    return json.loads((run.directory / "facts/network/cluster/lab.json").read_text())


def results(run, entry=None):
    return {one["id"]: one["result"] for one in run.certificate["findings"] if one["judged"] and entry in (None, one.get("entry"))}


def why(run, check, entry):
    return next(one["reason"] for one in run.certificate["findings"] if one["id"] == check and one.get("entry") == entry)


@pytest.mark.long
def test_smoke(certify, note):
    run = certify(load={**SHORT, "streams": [1, 8], "reverse": [8], "host": [8], "rtt": 1, "connections": 300, "probes": 2})
    assert not run.error and set(results(run).values()) == {"PASS"} and run.status == 0, run.output
    pair = facts_of(run)["zones"][PAIR]
    assert pair["tcp"]["rate"] > 1e9 and pair["rtt"]["count"] > 1000 and pair["mtu"] == {"path": 1500}
    assert facts_of(run)["kube_proxy"]["mode"] == "nftables" and facts_of(run)["programming"]["count"] == 4
    layer = run.certificate["layer_verdicts"]["network"]
    note(f"all is well, layer {layer['seconds']:.0f} s of which load {run.load_seconds:.0f} s", run, run.finding("network_tcp"))
    assert layer["seconds"] < LONGEST, layer


@pytest.mark.long
def test_blocked(certify, note):
    with dropped("worker2", f"meta l4proto {{ tcp, udp }} th dport {SERVERS}"):
        run = certify()
    assert run.status and results(run, PAIR) == {"network_tcp": "FAIL", "network_udp": "FAIL", "network_full_size": "FAIL"}
    assert results(run, SERVICE) == {"network_service": "FAIL"} and results(run, "worker1 -> worker1 (same)")["network_tcp"] == "PASS"
    note("pods blocked", run, run.finding("network_tcp"))


@pytest.mark.long
def test_policy_against_the_host_network(lab, certify, note):
    """The pod network is measured, and what only the host network shows says why it is not known."""
    with made(lab, *REFUSE_HOSTS):
        # API servers take a new policy into account after a while.
        time.sleep(5)
        run = certify()
    assert not run.error and results(run, PAIR) == dict.fromkeys(("network_tcp", "network_udp", "network_full_size"), "PASS"), run.output
    assert results(run, "worker1")["network_conntrack"] == "INCONCLUSIVE" and "no host network here" in why(run, "network_conntrack", "worker1")
    note("policy against the host network", run, run.finding("network_conntrack"))


@pytest.mark.long
def test_udp_dropped(certify, note):
    with dropped("worker2", f"udp dport {SERVERS}"):
        run = certify()
    assert run.status and results(run, PAIR) == {"network_tcp": "PASS", "network_udp": "FAIL", "network_full_size": "FAIL"}
    note("UDP dropped", run, run.finding("network_udp"))


@pytest.mark.long
def test_large_packets_lost(certify, note):
    with dropped("worker2", f"ip length > 1400 udp dport {SERVERS}"):
        run = certify(load={"udp": 1})
    found = results(run, PAIR)
    assert run.status and found["network_full_size"] == "FAIL", run.output
    note("large packets lost", run, run.finding("network_full_size"))


@pytest.mark.long
def test_tainted_node(lab, certify, note):
    taint = "kubeproof-test=yes:NoSchedule"
    with changed(lab, ["taint", "node", "worker2", f"{taint}-"], "taint", "node", "worker2", taint):
        run = certify()
    assert run.status and results(run, PAIR)["network_tcp"] == "INCONCLUSIVE" and "FAIL" not in results(run).values()
    assert f"worker2 has the taint {taint}" in why(run, "network_tcp", PAIR)
    note("tainted node", run, run.finding("network_tcp"))


@pytest.mark.long
def test_server_lost(lab, certify, note):
    """A pod is gone in the middle of the tests of its pair: that is no fault of the network."""

    def lose():
        limit = time.monotonic() + LONGEST
        while time.monotonic() < limit and not over.wait(0.3):
            ready = lab.kubectl("get", "pods", "-A", "-l", "kubeproof.io/server=pod-1", "-o", "json")["items"]
            if ready and ready[0]["status"].get("phase") == "Running" and lab.kubectl("get", "services", "-n", ready[0]["metadata"]["namespace"], "-o", "name"):
                time.sleep(3)
                lab.kubectl("delete", "pod", "-n", ready[0]["metadata"]["namespace"], ready[0]["metadata"]["name"], "--grace-period=1", "--wait=false")
                return

    over = threading.Event()
    thread = threading.Thread(target=lose)
    thread.start()
    try:
        run = certify(load={"tcp": 6, "streams": [1], "samples": 2})
    finally:
        over.set()
        thread.join()
    assert run.status and results(run, PAIR)["network_tcp"] == "INCONCLUSIVE" and "FAIL" not in results(run).values()
    assert "pod-1 on worker2 was lost" in why(run, "network_tcp", PAIR)
    note("server lost", run, run.finding("network_tcp"))


@pytest.mark.long
def test_zones(certify, note):
    """The pair is one between zones, which the checklist asks for."""
    run = certify(load={"tcp": 2, "streams": [1, 8]})
    assert not run.error and set(facts_of(run)["zones"]) == {PAIR}, run.error
    finding = run.finding("network_interzone_throughput")
    assert finding["entry"] == PAIR and finding["value"] > 1, finding
    note("two zones", run, finding)


@pytest.mark.long
def test_one_zone(lab, certify, note):
    """Nodes without zones: the pair is one of two nodes, and nothing is asked of zones."""
    label = "topology.kubernetes.io/zone"
    zones = {one["metadata"]["name"]: one["metadata"]["labels"][label] for one in lab.kubectl("get", "nodes", "-o", "json")["items"]}
    with contextlib.ExitStack() as undo:
        for node, zone in zones.items():
            undo.callback(lab.kubectl, "label", "--overwrite", "node", node, f"{label}={zone}")
        lab.kubectl("label", "node", *zones, f"{label}-")
        run = certify(load={"tcp": 2, "streams": [1, 8]})
    assert not run.error and set(facts_of(run)["nodes"]) == {"worker1 -> worker2 (nodes)"}, run.error
    assert run.finding("network_interzone_throughput")["result"] == "NOT_APPLICABLE"
    assert run.finding("network_pod_throughput")["entry"] == "worker1 -> worker2 (nodes)"
    note("one zone", run, run.finding("network_pod_throughput"))


@pytest.mark.long
def test_worker_lost(lab, certify, note):
    """A node stands still in the middle of the load, and comes back: its pair is never a pass, and nothing stays on it."""

    def freeze():
        limit = time.monotonic() + LONGEST
        while time.monotonic() < limit and not over.wait(0.3):
            ready = lab.kubectl("get", "pods", "-A", "-l", "kubeproof.io/server=pod-1", "-o", "json")["items"]
            if ready and ready[0]["status"].get("phase") == "Running":
                time.sleep(5)
                lab.podman("pause", "worker2")
                over.wait(45)
                lab.podman("unpause", "worker2")
                return

    over = threading.Event()
    thread = threading.Thread(target=freeze)
    thread.start()
    try:
        run = certify(load={"tcp": 4, "streams": [1], "samples": 2})
    finally:
        over.set()
        thread.join()
    found = [one for one in run.certificate["findings"] if one["judged"] and one.get("entry") in (PAIR, SERVICE)]
    # While it stands still its connections end as on any other fault of the network.
    assert run.status and found and all(one["result"] in ("INCONCLUSIVE", "FAIL") for one in found), found
    assert run.finding("network_left")["result"] == "PASS"
    note("a worker lost in mid-test", run, run.finding("network_tcp"))


@pytest.mark.long
def test_k8s_netperf(lab, certify, note, tmp_path):
    """What it printed elsewhere, in the place of the real one, whose image is not in the lab: its namespace and its labels are handled all the same."""
    label, fake = "node-role.kubernetes.io/worker", tmp_path / "k8s-netperf"
    fake.write_text(f"#!/bin/sh\ngrep -q TCP_CRR netperf.yml || exit 3\ncat {RECORDED}\n", encoding="utf-8")
    fake.chmod(0o755)
    files = {"k8s-netperf": {"path": str(fake)}}
    refused = certify(load={"udp": 1}, tools_files=files)
    # It informs, so that the load goes on without it.
    said = refused.finding("network_k8s_netperf_throughput")["reason"]
    assert not refused.error and f"kubectl label node worker1 worker2 {label}=" in said and results(refused, PAIR)["network_udp"] == "PASS"
    with changed(lab, ["label", "node", "worker1", "worker2", f"{label}-"], "label", "node", "worker1", "worker2", f"{label}="):
        run = certify(load={"udp": 1}, tools_files=files)
        alone = certify(load={"udp": 1, "probes": 2}, tools_files=files, certify_network_engine="k8s_netperf")
    # Ours asks whether every pair works, also where the numbers are not ours.
    assert not alone.error and "FAIL" not in results(alone).values() and results(alone, SERVICE) == {"network_service": "PASS"}, alone.output
    # Of what it measured elsewhere it is not known whether that was within a zone.
    without = {name for name, result in results(alone).items() if result == "INCONCLUSIVE"}
    assert without <= {"network_interzone_throughput", "network_pod_throughput", "network_pod_latency_p99", "network_interzone_latency_p99"}, without
    found = facts_of(run)["k8s_netperf"]["streams"]
    assert not run.error and found["TCP_STREAM x1 by iperf3 (pod)"]["throughput"] > 1e9
    assert "netperf" not in lab.kubectl("get", "namespaces", "-o", "name")
    note("k8s-netperf without labels", refused, refused.finding("network_k8s_netperf_throughput"))
    note("k8s-netperf", run, run.finding("network_k8s_netperf_throughput"))
    note("k8s-netperf alone", alone, alone.finding("network_service"))
