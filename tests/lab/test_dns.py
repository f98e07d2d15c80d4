# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of a DNS: each certificate says what happened, and nothing is left. A copy of CoreDNS takes them, so that the cluster keeps its own."""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import functools
import gzip
import json
import time

import pytest

from ansible_collections.kubeproof.certify.tests.lab.test_storage import made, once_there

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("as_before")]
HOME = "kubeproof-test-dns"
NAME = {"name": "coredns", "namespace": HOME}
OURS = ("-l", "app.kubernetes.io/managed-by=kubeproof")
WORKERS = ("worker1", "worker2")
LABELS = {"k8s-app": "kube-dns"}
# Short, and enough for a share of errors below one in a thousand.
SHORT = {"pods": 2, "service": [{"share": 0.1, "seconds": 7}], "node_local": 0, "external": 0}
RATE = 600
# Seconds until a rollout is over: CoreDNS waits for 5 s before it ends.
SETTLED = 90
TABLE = "kubeproof_test"
# What is dropped on its way to a CoreDNS pod, after kube-proxy has chosen one.
DROP = (
    f"sudo nft 'add table inet {TABLE}; add chain inet {TABLE} f {{ type filter hook forward priority -300; }};"
    f" add rule inet {TABLE} f ip daddr {{ %s }} udp dport 53 drop'"
)
CACHE = "node-local-dns"
LINK_LOCAL = "169.254.20.10"
CACHED = f".:53 {{\n errors\n bind {LINK_LOCAL}\n cache 30\n forward . %s\n prometheus :9253\n}}\n"


def until(condition, seconds=SETTLED):
    """Wait until a function returns something true; return that, or fail."""
    limit = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < limit, f"{condition} did not come true in {seconds} s"
        time.sleep(0.3)
    return found


def pods(lab):
    """Return {name: pod} of the copy's pods."""
    found = lab.kubectl("get", "pods", "-n", HOME, "-l", "k8s-app=kube-dns", "-o", "json")["items"]
    return {pod["metadata"]["name"]: pod for pod in found}


def rolled_out(lab):
    """Wait until the copy runs as it is told: two pods that are ready, and no other."""

    def is_done():
        found = lab.kubectl("get", "deployment/coredns", "-n", HOME, "-o", "json")
        counts = [found["status"].get(name) for name in ("replicas", "updatedReplicas", "readyReplicas")]
        return found["status"].get("observedGeneration") == found["metadata"]["generation"] and counts == [2, 2, 2] and len(pods(lab)) == 2

    until(is_done)


def original(lab, what):
    return lab.kubectl("get", what, "-n", "kube-system", "-o", "json")


def applied(lab, *items):
    lab.kubectl("apply", "-f", "-", data=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def listed(lab, **changes):
    """Return the objects of the copy as the cluster's own are; changes: corefile, resources."""
    spec = original(lab, "deployment/coredns")["spec"]
    template = spec["template"]["spec"]
    template["containers"][0].update({"resources": changes["resources"]} if "resources" in changes else {})
    # A new Corefile is read at once by new pods.
    annotations = {"kubeproof.test/changes": json.dumps(sorted(changes))}
    corefile = changes.get("corefile") or original(lab, "configmap/coredns")["data"]["Corefile"]
    # In its first half minute it asks for a name through itself, which in a lab without a resolver outside is a SERVFAIL each time.
    corefile = corefile.replace("    loop\n", "")
    subject = {"kind": "ServiceAccount", **NAME}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": NAME},
        {
            **{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": HOME}, "subjects": [subject]},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns"},
        },
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": NAME, "data": {"Corefile": corefile}},
        {
            **{"apiVersion": "v1", "kind": "Service", "metadata": {**NAME, "labels": {"kubeproof.test/dns": "copy"}}},
            "spec": {"selector": LABELS, "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}]},
        },
        {
            **{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": NAME},
            "spec": {
                **{"replicas": 2, "selector": {"matchLabels": LABELS}, "strategy": {"type": "Recreate"}},
                "template": {"metadata": {"labels": LABELS, "annotations": annotations}, "spec": template},
            },
        },
    ]


@pytest.fixture(name="dns", scope="module")
def fixture_dns(lab):
    """Run a copy of CoreDNS in a namespace of its own."""
    try:
        applied(lab, *listed(lab))
        rolled_out(lab)
        yield
    finally:
        lab.kubectl("delete", "--ignore-not-found", "--wait=false", f"namespace/{HOME}", f"clusterrolebinding/{HOME}")


@pytest.fixture
def as_before(lab, dns, tmp_path):
    """Prove after the test that nothing of its runs is left."""
    yield
    for written in tmp_path.glob("lab/*/certificate.json"):
        mine = ("-l", f"kubeproof.io/run={written.parent.name}")
        until(lambda mine=mine: lab.kubectl("get", "namespaces,clusterroles,clusterrolebindings", *mine, "-o", "name").strip() == "")


@pytest.fixture
def certify(certify):
    """Return conftest's function for this layer and the copy of CoreDNS."""
    return functools.partial(certify, layer="dns", load=SHORT, dns_service=f"{HOME}/coredns", dns_least_rate=RATE, dns_services=1)


@contextlib.contextmanager
def changed(lab, **changes):
    """Change the copy, and undo that."""
    try:
        applied(lab, *listed(lab, **changes))
        rolled_out(lab)
        yield
    finally:
        applied(lab, *listed(lab))
        rolled_out(lab)


def facts_of(run):
    return json.loads((run.directory / "facts/dns/cluster/lab.json").read_text())


@pytest.mark.long
def test_dns(certify, note):
    run = certify()
    facts = facts_of(run)
    assert not run.error and {run.finding(check)["result"] for check in ("dns_errors", "dns_pod_errors", "dns_balance", "dns_servfail")} == {"PASS"}
    assert len(facts["pods"]) == 2 and facts["lookups"]["service"]["samples"] == facts["errors"]["count"] >= 3000
    assert facts["errors"]["rcodes"]["NXDOMAIN"] == pytest.approx(facts["errors"]["count"] / 10, rel=0.05)
    note("none", run, run.finding("dns_latency_p99"))


def test_no_pod(lab, certify, note):
    try:
        lab.kubectl("scale", "deployment/coredns", "-n", HOME, "--replicas=0")
        until(lambda: not pods(lab))
        run = certify()
    finally:
        lab.kubectl("scale", "deployment/coredns", "-n", HOME, "--replicas=2")
        rolled_out(lab)
    finding = run.finding("dns_pods_ready")
    assert run.blocked() and (finding["result"], finding["value"]) == ("FAIL", 0) and finding["title"] in run.error
    note("no CoreDNS pod", run, finding)


@pytest.mark.long
def test_no_metrics_and_a_limit(lab, certify, note):
    """CoreDNS without its metrics, and throttled: clients count all the same, and what only metrics tell is said to be unknown."""
    text = original(lab, "configmap/coredns")["data"]["Corefile"]
    silent = "".join(line for line in text.splitlines(keepends=True) if "prometheus" not in line)
    with changed(lab, corefile=silent, resources={"requests": {"cpu": "20m"}, "limits": {"cpu": "20m", "memory": "170Mi"}}):
        run = certify()
    found = {check: run.finding(check) for check in ("dns_metrics", "dns_balance", "dns_servfail", "dns_panics", "dns_throttling")}
    assert found["dns_metrics"]["result"] == "CONDITIONAL" and found["dns_throttling"]["result"] == "FAIL" and run.status
    for check in ("dns_balance", "dns_servfail", "dns_panics"):
        assert found[check]["result"] == "INCONCLUSIVE" and "CoreDNS exposes no metrics" in found[check]["reason"]
    assert not run.error and run.finding("dns_errors")["value"] is not None
    for one in (found["dns_metrics"], found["dns_balance"], found["dns_throttling"]):
        note("no metrics, a limit of 20m", run, one)


@pytest.mark.long
def test_pods_pull_with_the_secret_that_was_named(lab, certify, note):
    """Every pod of the run has the copy, though no pod names it; what is in it is in no file of the run."""
    word = base64.b64encode(b"kubeproof:test-word").decode()
    content = json.dumps({"auths": {"registry.example.com": {"auth": word}}})
    name = {"name": "kubeproof-test-pull", "namespace": HOME}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": name, "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": content}}
    seen = []
    with made(lab, secret), once_there(lambda: lab.kubectl("get", "pods", "-A", *OURS, "-o", "json")["items"], seen.extend):
        run = certify(certify_tools_pull_secret=f"{HOME}/kubeproof-test-pull")
    assert not run.error and [pod["spec"]["imagePullSecrets"] for pod in seen] == [[{"name": "kubeproof-pull"}]] * len(seen) != []
    files = [path for path in run.directory.rglob("*") if path.is_file()]
    raw = [gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes() for path in files] + [run.output.encode()]
    assert not [hidden for hidden in (word, "test-word", base64.b64encode(content.encode()).decode()) if any(hidden.encode() in one for one in raw)]
    note("a pull secret", run, run.finding("dns_errors"))


@pytest.mark.long
def test_udp_is_dropped(lab, certify, note):
    addresses = ", ".join(pod["status"]["podIP"] for pod in pods(lab).values())
    try:
        for host in WORKERS:
            lab.on(host, DROP % addresses)
        run = certify()
    finally:
        for host in WORKERS:
            lab.on(host, f"sudo nft delete table inet {TABLE}", check=False)
    finding = run.finding("dns_errors")
    assert run.status and not run.error and finding["result"] == "FAIL" and finding["value"] == 1
    assert facts_of(run)["lookups"]["service"]["p99"] == [5.0, None] and run.finding("dns_latency_p99")["result"] == "FAIL"
    assert facts_of(run)["generator"]["limited"] is False
    note("UDP dropped", run, finding)


@pytest.mark.long
def test_pod_is_killed(lab, certify, note):
    victim = sorted(pods(lab))[0]

    def kill():
        """Wait until the Service is asked, and end a CoreDNS pod at once."""
        until(lambda: "service-1" in lab.kubectl("get", "pods", "-A", *OURS, "--field-selector=status.phase=Running", "-o", "name"))
        time.sleep(4)
        lab.kubectl("delete", "pod", victim, "-n", HOME, "--grace-period=0", "--force")

    with concurrent.futures.ThreadPoolExecutor() as pool:
        killed = pool.submit(kill)
        run = certify(load=dict(SHORT, service=[{"share": 0.1, "seconds": 12}]))
    killed.result()
    rolled_out(lab)
    finding, balance = run.finding("dns_pods_lost"), run.finding("dns_balance")
    assert run.status and finding["result"] == "FAIL" and finding["value"] == 1 and victim in facts_of(run)["pods"]
    assert balance["result"] == "INCONCLUSIVE" and "gone or new after the load" in balance["reason"]
    note("CoreDNS pod killed", run, finding)


@contextlib.contextmanager
def node_local(lab):
    """Run CoreDNS with a cache on every worker at a link-local address, as NodeLocal DNSCache does."""
    spec = original(lab, "deployment/coredns")["spec"]["template"]["spec"]
    container = {name: spec["containers"][0][name] for name in ("name", "image", "args", "securityContext", "volumeMounts")}
    address = lab.kubectl("get", "service/coredns", "-n", HOME, "-o", "json")["spec"]["clusterIP"]
    pod = {
        "hostNetwork": True,
        "dnsPolicy": "Default",
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [{"name": spec["volumes"][0]["name"], "configMap": {"name": CACHE}}],
    }
    labels = {"k8s-app": CACHE}
    about = {"metadata": {"name": CACHE, "namespace": HOME}}
    items = [
        {"apiVersion": "v1", "kind": "ConfigMap", **about, "data": {"Corefile": CACHED % address}},
        {
            **{"apiVersion": "apps/v1", "kind": "DaemonSet", **about},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
        },
    ]
    try:
        for host in WORKERS:
            lab.on(host, f"sudo ip address add {LINK_LOCAL}/32 dev lo")
        applied(lab, *items)
        until(lambda: lab.kubectl("get", f"daemonset/{CACHE}", "-n", HOME, "-o", "json")["status"].get("numberReady") == len(WORKERS))
        yield
    finally:
        lab.kubectl("delete", "--ignore-not-found", f"daemonset/{CACHE}", f"configmap/{CACHE}", "-n", HOME, "--timeout=60s", "--request-timeout=70s")
        for host in WORKERS:
            lab.on(host, f"sudo ip address del {LINK_LOCAL}/32 dev lo", check=False)


@pytest.mark.long
def test_cache_on_the_nodes(lab, certify, note):
    with node_local(lab):
        run = certify(load=dict(SHORT, pods=0, node_local=7))
    facts = facts_of(run)
    assert not run.error and run.finding("dns_node_errors")["result"] == "PASS" and facts["lookups"]["node-local"]["samples"] >= 3000
    # CoreDNS itself does not cache names of the cluster, its copies on the nodes do.
    assert facts["node_cache"]["ratio"] > 0.9 and facts["cache"]["ratio"] == 0
    assert run.finding("dns_cache_hit_ratio")["result"] == "NOT_APPLICABLE"
    note("NodeLocal DNSCache", run, run.finding("dns_node_cache_hit_ratio"))
