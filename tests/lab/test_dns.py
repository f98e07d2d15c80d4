# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of a cluster's DNS: each certificate says what happened, CoreDNS is as before, and nothing is left."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import json
import time

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("as_before")]
SYSTEM = ("-n", "kube-system")
DNS = ("deployment/coredns", *SYSTEM)
PODS = ("pods", *SYSTEM, "-l", "k8s-app=kube-dns")
OURS = ("-l", "app.kubernetes.io/managed-by=kubeproof")
WORKERS = ("worker1", "worker2")
# Short, and enough for a share of errors below one in a thousand.
SHORT = {"pods": 2, "service": [{"share": 0.1, "seconds": 7}], "node_local": 0, "external": 0}
RATE = 600
# Seconds until CoreDNS is as it was: it waits for 5 s before it ends.
SETTLED = 60
TABLE = "kubeproof_test"
CACHE = "node-local-dns"
LINK_LOCAL = "169.254.20.10"
CACHED = f".:53 {{\n errors\n bind {LINK_LOCAL}\n cache 30\n forward . 10.96.0.10\n prometheus :9253\n}}\n"
# What is dropped on its way to a CoreDNS pod, after kube-proxy has chosen one.
DROP = (
    f"sudo nft 'add table inet {TABLE}; add chain inet {TABLE} f {{ type filter hook forward priority -300; }}; add rule inet {TABLE} f udp dport 53 drop'"
)


def until(condition, seconds=SETTLED):
    """Wait until a function returns something true; return that, or fail."""
    limit = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < limit, f"{condition} did not come true in {seconds} s"
        time.sleep(0.3)
    return found


def names(lab, ready=True):
    """Return the CoreDNS pods: those that are ready and stay, or all."""
    found = lab.kubectl("get", *PODS, "-o", "json")["items"]
    conditions = {pod["metadata"]["name"]: {one["type"]: one["status"] for one in pod["status"].get("conditions", [])} for pod in found}
    stay = {pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]}
    return sorted(name for name, one in conditions.items() if not ready or (name in stay and one.get("Ready") == "True"))


def rolled_out(lab):
    """Wait until CoreDNS runs as it is told: two pods that are ready, and no other."""
    lab.kubectl("rollout", "status", *DNS, f"--timeout={SETTLED}s", "--request-timeout=0")
    until(lambda: len(names(lab)) == len(names(lab, ready=False)) == 2)


@pytest.fixture
def as_before(lab, tmp_path):
    """Prove after the test that CoreDNS is told what it was told, that it is ready, and that nothing of its runs is left."""
    rolled_out(lab)

    def told():
        deployment, config = (lab.kubectl("get", *what, "-o", "json") for what in (DNS, ("configmap/coredns", *SYSTEM)))
        return deployment["spec"]["replicas"], deployment["spec"]["template"]["spec"], config["data"]

    before = told()
    yield
    rolled_out(lab)
    assert told() == before
    for directory in tmp_path.glob("lab/*"):
        mine = ("-l", f"kubeproof.io/run={directory.name}")
        until(lambda mine=mine: lab.kubectl("get", "namespaces,clusterroles,clusterrolebindings", *mine, "-o", "name").strip() == "")
    nodes = lab.kubectl("get", "nodes", "-o", "json")["items"]
    assert [node["metadata"]["name"] for node in nodes if node["spec"].get("taints")] == ["cp1"]
    assert [host for host in WORKERS if TABLE in lab.on(host, "sudo nft list tables")] == []


@pytest.fixture
def certify(certify):
    """Return conftest's function for this layer."""
    return functools.partial(certify, layer="dns", load=SHORT, dns_least_rate=RATE, dns_services=1)


@contextlib.contextmanager
def patched(lab, *changes):
    """Change objects of CoreDNS [(object, patch, patch that undoes it)], of which the last starts it anew, and undo that."""
    try:
        with contextlib.ExitStack() as undoing:
            for what, patch, undo in changes:
                lab.kubectl("patch", *what, "--type=json", "-p", json.dumps(patch))
                undoing.callback(lab.kubectl, "patch", *what, "--type=json", "-p", json.dumps(undo))
            rolled_out(lab)
            yield
    finally:
        rolled_out(lab)


def facts_of(run):
    return json.loads((run.directory / "facts/dns/cluster/lab.json").read_text())


def test_dns(certify, note):
    run = certify()
    facts = facts_of(run)
    assert not run.error and {run.finding(check)["result"] for check in ("dns_errors", "dns_pod_errors", "dns_balance", "dns_servfail")} == {"PASS"}
    assert len(facts["pods"]) == 2 and facts["lookups"]["service"]["samples"] == facts["errors"]["count"] >= 3000
    assert facts["errors"]["rcodes"]["NXDOMAIN"] == pytest.approx(facts["errors"]["count"] / 10, rel=0.05)
    note("none", run, run.finding("dns_latency_p99"))


def test_gates(lab, certify, note):
    """No CoreDNS pod, and no node that takes pods: nothing is loaded, and both are named."""
    try:
        lab.kubectl("scale", *DNS, "--replicas=0")
        lab.kubectl("taint", "nodes", *WORKERS, "kubeproof.test/dns=:NoSchedule")
        until(lambda: not names(lab))
        run = certify()
    finally:
        lab.kubectl("taint", "nodes", *WORKERS, "kubeproof.test/dns=:NoSchedule-")
        lab.kubectl("scale", *DNS, "--replicas=2")
    found = [run.finding(check) for check in ("dns_pods_ready", "dns_client_nodes")]
    assert run.blocked() and [(one["result"], one["value"]) for one in found] == [("FAIL", 0)] * 2
    assert all(one["title"] in run.error for one in found), run.error
    for one in found:
        note("no CoreDNS pod, tainted nodes", run, one)


def test_no_metrics_and_a_limit(lab, certify, note):
    """CoreDNS without its metrics, and throttled: clients count all the same, and what only metrics tell is said to be unknown."""
    text = lab.kubectl("get", "configmap/coredns", *SYSTEM, "-o", "json")["data"]["Corefile"]
    silent = "".join(line for line in text.splitlines(keepends=True) if "prometheus" not in line)
    corefile = (("configmap/coredns", *SYSTEM), *([{"op": "replace", "path": "/data/Corefile", "value": one}] for one in (silent, text)))
    resources = lab.kubectl("get", *DNS, "-o", "json")["spec"]["template"]["spec"]["containers"][0]["resources"]
    throttled = {"requests": {**resources["requests"], "cpu": "20m"}, "limits": {**resources["limits"], "cpu": "20m"}}
    path = "/spec/template/spec/containers/0/resources"
    limit = (DNS, *([{"op": "replace", "path": path, "value": one}] for one in (throttled, resources)))
    with patched(lab, corefile, limit):
        run = certify()
    found = {check: run.finding(check) for check in ("dns_metrics", "dns_balance", "dns_servfail", "dns_panics", "dns_throttling")}
    assert found["dns_metrics"]["result"] == "CONDITIONAL" and found["dns_throttling"]["result"] == "FAIL" and run.status
    for check in ("dns_balance", "dns_servfail", "dns_panics"):
        assert found[check]["result"] == "INCONCLUSIVE" and "CoreDNS exposes no metrics" in found[check]["reason"]
    assert not run.error and run.finding("dns_errors")["value"] is not None
    for one in (found["dns_metrics"], found["dns_balance"], found["dns_throttling"]):
        note("no metrics, a limit of 20m", run, one)


@contextlib.contextmanager
def node_local(lab):
    """Run CoreDNS with a cache on every worker at a link-local address, as NodeLocal DNSCache does."""
    spec = lab.kubectl("get", *DNS, "-o", "json")["spec"]["template"]["spec"]
    container = {name: spec["containers"][0][name] for name in ("name", "image", "args", "securityContext", "volumeMounts")}
    pod = {
        "hostNetwork": True,
        "dnsPolicy": "Default",
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [{"name": spec["volumes"][0]["name"], "configMap": {"name": CACHE}}],
    }
    labels = {"k8s-app": CACHE}
    about = {"metadata": {"name": CACHE, "namespace": "kube-system", "labels": labels}}
    items = [
        {"apiVersion": "v1", "kind": "ConfigMap", **about, "data": {"Corefile": CACHED}},
        {
            **{"apiVersion": "apps/v1", "kind": "DaemonSet", **about},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
        },
    ]
    data = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    try:
        for host in WORKERS:
            lab.on(host, f"sudo ip address add {LINK_LOCAL}/32 dev lo")
        lab.kubectl("create", "-f", "-", data=data)
        lab.kubectl("rollout", "status", f"daemonset/{CACHE}", *SYSTEM, f"--timeout={SETTLED}s", "--request-timeout=0")
        yield
    finally:
        lab.kubectl("delete", "--ignore-not-found", "--timeout=60s", "--request-timeout=70s", "-f", "-", data=data)
        for host in WORKERS:
            lab.on(host, f"sudo ip address del {LINK_LOCAL}/32 dev lo", check=False)


def test_cache_on_the_nodes(lab, certify, note):
    with node_local(lab):
        run = certify(load=dict(SHORT, pods=0, node_local=7))
    facts = facts_of(run)
    assert not run.error and run.finding("dns_node_errors")["result"] == "PASS" and facts["lookups"]["node-local"]["samples"] >= 3000
    # CoreDNS itself does not cache names of the cluster, its copies on the nodes do.
    assert facts["node_cache"]["ratio"] > 0.9 and facts["cache"]["ratio"] == 0
    assert run.finding("dns_cache_hit_ratio")["result"] == "NOT_APPLICABLE"
    note("NodeLocal DNSCache", run, run.finding("dns_node_cache_hit_ratio"))


def test_udp_is_dropped(lab, certify, note):
    try:
        for host in WORKERS:
            lab.on(host, DROP)
        run = certify()
    finally:
        for host in WORKERS:
            lab.on(host, f"sudo nft delete table inet {TABLE}", check=False)
    finding = run.finding("dns_errors")
    assert run.status and not run.error and finding["result"] == "FAIL" and finding["value"] > 0.4
    assert facts_of(run)["lookups"]["service"]["p99"] == [5.0, None] and run.finding("dns_latency_p99")["result"] == "FAIL"
    assert run.finding("dns_generator")["result"] == "PASS"
    note("UDP dropped between nodes", run, finding)


def test_pod_is_killed(lab, certify, note):
    def kill():
        """Wait until the Service is asked, and end a CoreDNS pod at once."""
        until(lambda: "service-1" in lab.kubectl("get", "pods", "-A", *OURS, "--field-selector=status.phase=Running", "-o", "name"), 90)
        time.sleep(3)
        victim = names(lab)[0]
        lab.kubectl("delete", "pod", victim, *SYSTEM, "--grace-period=0", "--force")
        return victim

    with concurrent.futures.ThreadPoolExecutor() as pool:
        killed = pool.submit(kill)
        run = certify(load=dict(SHORT, service=[{"share": 0.1, "seconds": 12}]))
    finding, balance = run.finding("dns_pods_lost"), run.finding("dns_balance")
    assert run.status and finding["result"] == "FAIL" and finding["value"] == 1 and killed.result() in facts_of(run)["pods"]
    assert balance["result"] == "INCONCLUSIVE" and "gone or new after the load" in balance["reason"]
    note("CoreDNS pod killed", run, finding)
