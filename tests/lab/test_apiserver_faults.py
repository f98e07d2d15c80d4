# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of a real control plane: each certificate says what happened, and nothing is left in the cluster or on its hosts."""

from __future__ import annotations

import contextlib
import functools
import glob
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("at_peace")]
NAME = "kubeproof-test"
MANAGED, RUN_LABEL = "app.kubernetes.io/managed-by", "kubeproof.io/run"
OURS = {"matchLabels": {MANAGED: "kubeproof"}}
CONTROL_PLANE = "cp1"
# Where a run keeps its processes on a host, and its tokens on this machine.
PLACE = "/var/tmp/kubeproof"
SECRETS = (os.environ.get("XDG_RUNTIME_DIR") or f"{Path.home()}/.cache") + "/kubeproof/runs"
LEFT = f"sudo sh -c 'ls -d {PLACE}; grep -la [K]UBEPROOF_RUN_DIR={PLACE}/ /proc/[0-9]*/environ'"
# Seconds until a node that stopped is NotReady, or a control plane that was disturbed is itself again.
NOTICED = 120
# Seconds that the API server takes a token for good without looking whether its account is there.
TOKEN_CACHE = 10
# Requests in a second, where the certificate has to count 3,000 to tell the share of those that failed.
RATE = 200
# Seconds of silence in the middle of a load.
SILENCE = 6
# ConfigMaps, Secrets and Leases that k6 makes before it loads, of each so many.
OBJECTS = 100


def objects(seconds):
    return {"objects": [{"share": 0.1, "seconds": seconds}]}


def named(version, kind, spec, **more):
    return {"apiVersion": version, "kind": kind, "metadata": {"name": NAME, **more}, **({"spec": spec} if spec else {})}


# What is put into the cluster.
ADMISSION = "admissionregistration.k8s.io/v1"
FLOW = "flowcontrol.apiserver.k8s.io/v1"
LEFTOVER = named("v1", "Namespace", {}, labels={MANAGED: "kubeproof", RUN_LABEL: "former"})
DEAD_API = named("apiregistration.k8s.io/v1", "APIService", {}) | {
    "metadata": {"name": "v1.kubeproof.test"},
    "spec": {
        "group": "kubeproof.test",
        "version": "v1",
        "service": {"namespace": "default", "name": "none"},
        "insecureSkipTLSVerify": True,
        "groupPriorityMinimum": 1000,
        "versionPriority": 1,
    },
}


def rules(resource):
    return [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": [resource]}]


POLICY = [
    named(
        ADMISSION,
        "ValidatingAdmissionPolicy",
        {
            "matchConstraints": {"resourceRules": rules("pods"), "objectSelector": OURS},
            "validations": [{"expression": "false", "message": "no load here"}],
        },
    ),
    named(ADMISSION, "ValidatingAdmissionPolicyBinding", {"policyName": NAME, "validationActions": ["Deny"]}),
]


def webhook(policy):
    """Return an admission webhook at a port on which nothing listens."""
    one = {
        "name": "dead.kubeproof.test",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": rules("configmaps"),
        "namespaceSelector": OURS,
        "failurePolicy": policy,
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
    }
    return {**named(ADMISSION, "ValidatingWebhookConfiguration", None), "webhooks": [one]}


def shedding(namespace):
    """Return a priority level without shares, which leaves one seat, for the account of the load."""
    limited = {"nominalConcurrencyShares": 0, "lendablePercent": 0, "borrowingLimitPercent": 0, "limitResponse": {"type": "Reject"}}
    subject = {"kind": "ServiceAccount", "serviceAccount": {"namespace": namespace, "name": "load"}}
    every = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}
    return [
        named(FLOW, "PriorityLevelConfiguration", {"type": "Limited", "limited": limited}),
        named(
            FLOW,
            "FlowSchema",
            {"matchingPrecedence": 50, "priorityLevelConfiguration": {"name": NAME}, "rules": [{"subjects": [subject], "resourceRules": [every]}]},
        ),
    ]


@contextlib.contextmanager
def made(lab, *items):
    """Make objects in the cluster, and delete them."""
    data = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    try:
        lab.kubectl("create", "-f", "-", data=data)
        yield
    finally:
        lab.kubectl("delete", "--ignore-not-found", "--timeout=60s", "--request-timeout=70s", "-f", "-", data=data)


@contextlib.contextmanager
def paused(lab, host):
    """Stop a host as a whole: its sockets stay open and silent."""
    try:
        lab.podman("pause", host)
        yield
    finally:
        lab.podman("unpause", host)


def is_true(item, condition):
    return any(one["type"] == condition and one["status"] == "True" for one in item.get("status", {}).get("conditions", []))


def trouble(lab):
    """Return what is wrong with the cluster, or None."""
    try:
        if lab.kubectl("get", "--raw", "/readyz") != "ok":
            return "the API server is not ready"
        nodes = lab.kubectl("get", "nodes", "-o", "json")["items"]
        pods = lab.kubectl("get", "pods", "-n", "kube-system", "-o", "json")["items"]
    except subprocess.CalledProcessError as error:
        return error.stderr
    bad = [item["metadata"]["name"] for item in nodes + pods if not is_true(item, "Ready") or "deletionTimestamp" in item["metadata"]]
    return f"{', '.join(bad)}: not Ready" if bad else None if len(nodes) == 3 else f"{len(nodes)} nodes"


def settle(lab):
    limit = time.monotonic() + NOTICED
    while (found := trouble(lab)) and time.monotonic() < limit:
        time.sleep(0.5)
    assert not found, f"{found}. Make the lab anew: make lab-down lab"


def left(lab):
    """Return what is there of any run: objects, files, tokens and processes."""
    found = lab.kubectl("get", "namespaces,clusterroles,clusterrolebindings", "-l", f"{MANAGED}=kubeproof", "-o", "name").split()
    found += glob.glob(PLACE) + glob.glob(f"{SECRETS}/*")
    for path in glob.glob("/proc/[0-9]*/environ"):
        with contextlib.suppress(OSError):
            found += [path] if b"KUBEPROOF_RUN_DIR=" in Path(path).read_bytes() else []
    return found + lab.on(CONTROL_PLANE, LEFT, check=False).split()


@pytest.fixture
def at_peace(lab):
    """Begin with a healthy cluster; prove after the test that it is healthy and that nothing is left."""
    settle(lab)
    assert left(lab) == []
    yield
    settle(lab)
    assert left(lab) == []


@pytest.fixture
def certify(certify):
    """Return conftest's function for this layer, and with k6 alone."""
    return functools.partial(certify, layer="apiserver", certify_apiserver_engine="k6")


def loading(lab):
    """Wait until k6 has made its objects, so that it loads; return the namespace of the run."""
    [place] = glob.glob(f"{PLACE}/*/apiserver")
    namespace = f"kubeproof-{Path(place).parent.name}-apiserver"
    limit = time.monotonic() + NOTICED
    while lab.kubectl("get", "leases", "-n", namespace, "-o", "name").count("\n") < OBJECTS:
        assert time.monotonic() < limit, f"k6 made no leases in {namespace}"
        time.sleep(0.1)
    return namespace


def facts_of(run):
    return json.loads((run.directory / "facts/apiserver/cluster/lab.json").read_text())


@pytest.mark.long
def test_gates(lab, certify, note):
    """Four at once: none may hide another, and nothing that cannot be deleted may be made."""
    gates = {"apiserver_pod_room": 0.1, "apiserver_nodes_ready": 1, "apiserver_apis_available": 1, "apiserver_leftovers": 1}
    with made(lab, LEFTOVER):
        with paused(lab, "worker2"), made(lab, DEAD_API):
            limit = time.monotonic() + NOTICED
            while is_true(lab.kubectl("get", "node", "worker2", "-o", "json"), "Ready"):
                assert time.monotonic() < limit, "worker2 is still Ready"
                time.sleep(0.5)
            run = certify(load={**objects(8), "pods": 9000}, apiserver_pod_rate=1000, certify_clean_timeout=20)
        found = {check: run.finding(check) for check in gates}
        assert run.blocked() and [one["result"] for one in found.values()] == ["FAIL"] * 4, found
        assert all(one["title"] in run.error for one in found.values()), run.error
        assert found["apiserver_pod_room"]["value"] < 0.1 and {one["value"] for check, one in found.items() if gates[check] == 1} == {1}
        remains = run.finding("apiserver_left")
        for check, finding in found.items():
            note(check, run, finding)
        settle(lab)
        lab.playbook("playbooks/cleanup.yml")
        assert left(lab) == []
    run = certify(load={})
    assert {run.finding(check)["result"] for check in gates} == {"PASS"} and not run.error
    assert remains["result"] == "PASS", remains


@pytest.mark.long
@pytest.mark.parametrize(
    ("items", "image", "reason"),
    [(POLICY, "", "no load here"), ([], "registry.kubeproof.lab:5000/none:1", "ErrImagePull")],
    ids=["refused", "no image"],
)
def test_pods_do_not_start(lab, certify, note, items, image, reason):
    with made(lab, *items) if items else contextlib.nullcontext():
        run = certify(load={"pods": 5}, apiserver_pod_image=image, apiserver_grace=10)
    finding = run.finding("apiserver_pods_failed")
    assert run.status and (finding["result"], finding["value"]) == ("FAIL", 5)
    assert reason in json.dumps(facts_of(run)["pods"]["cached"]["reasons"])
    note(f"pods do not start: {reason}", run, finding)


@pytest.mark.long
def test_webhook_refuses(lab, certify, note):
    with made(lab, webhook("Fail")):
        run = certify(load=objects(8))
    finding = run.finding("apiserver_errors")
    assert run.status and finding["result"] == "INCONCLUSIVE"
    assert "cannot create configmaps for the load" in finding["reason"] and "500" in finding["reason"], finding
    note("dead webhook, Fail", run, finding)


@pytest.mark.long
def test_webhook_is_shown(lab, certify, note):
    """The SLI leaves its time out, so that it is shown beside."""
    with made(lab, webhook("Ignore")):
        run = certify(load=objects(8))
    finding = run.finding("apiserver_webhook_p99")
    assert run.status and not run.error and finding["value"] is not None and finding["samples"] > 0, finding
    note("dead webhook, Ignore", run, finding)


@pytest.mark.long
def test_shed(lab, certify, note):
    with contextlib.ExitStack() as storm:
        run = certify(load=objects(16), apiserver_least_rate=RATE, during=lambda process: storm.enter_context(made(lab, *shedding(loading(lab)))))
    finding, facts = run.finding("apiserver_errors"), facts_of(run)
    assert run.status and finding["result"] == "FAIL" and facts["errors"]["throttled"] == run.finding("apiserver_throttled")["value"] > 0
    assert facts["clients"]["statuses"]["429"] > 0
    note("429 storm", run, finding)


@pytest.mark.long
def test_account_deleted(lab, certify, note):
    def delete(process):
        lab.kubectl("delete", "serviceaccount", "load", "-n", loading(lab))

    run = certify(load=objects(TOKEN_CACHE + 8), apiserver_least_rate=RATE, during=delete)
    finding = run.finding("apiserver_refused")
    assert run.status and finding["result"] == "FAIL" and facts_of(run)["clients"]["statuses"]["401"] > 0, finding
    note("account of the load deleted", run, finding)


@pytest.mark.long
def test_api_server_killed(lab, on, certify, note):
    def kill(process):
        loading(lab)
        on(CONTROL_PLANE, "sudo kill -9 $(pidof kube-apiserver)")

    run = certify(load=objects(20), during=kill)
    finding, errors = run.finding("apiserver_restarts"), run.finding("apiserver_errors")
    # k6 stops where more than a tenth fails. The server may not be back yet, and then nobody knows how often it restarted.
    assert run.status and (finding["result"], finding["value"]) in (("FAIL", 1), ("INCONCLUSIVE", None)), finding
    assert errors["result"] in ("FAIL", "INCONCLUSIVE") and "FAIL" in (finding["result"], errors["result"]), errors
    note("API server killed", run, finding)


@pytest.mark.long
def test_connection_drops(lab, certify, note):
    def drop(process):
        loading(lab)
        with paused(lab, CONTROL_PLANE):
            time.sleep(SILENCE)

    run = certify(load=objects(12), during=drop)
    finding, clients = run.finding("apiserver_generator"), facts_of(run)["clients"]
    # What waited is counted with its wait, and what could not be sent is slower than everything.
    assert run.status and finding["result"] == "FAIL" and clients["dropped"] > 0
    assert clients["latency"]["max"][0] > SILENCE - 1 and clients["latency"]["max"][1] is None
    note("connection drops", run, finding)


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        ([], {"certify_cluster_uid": "5b0ba3f5-0000-4000-8000-000000000000"}, "5b0ba3f5-0000-4000-8000-000000000000"),
        ([], {"certify_kubeconfig": "/nonexistent/kubeconfig"}, "/nonexistent/kubeconfig"),
        (["--check"], {}, "it cannot be made with --check"),
    ],
    ids=["another cluster", "no kubeconfig", "check"],
)
def test_refused(lab, tmp_path, arguments, variables, said):
    with pytest.raises(subprocess.CalledProcessError) as refused:
        lab.playbook("certify.yml", *arguments, certify_results=str(tmp_path), certify_layers=["apiserver"], **variables)
    assert said in refused.value.stdout and not list(tmp_path.rglob("certificate.json"))


@pytest.mark.parametrize("arguments", [("--limit", "etcd"), ("--tags", "etcd")])
def test_left_out(certify, arguments):
    run = certify(*arguments, load=objects(8))
    assert run.blocked() and "the run was limited to other hosts or tags" in run.error


@pytest.mark.long
def test_generators(certify, note):
    run = certify(load=objects(8), certify_generators=2)
    finding = run.finding("apiserver_generator")
    assert not run.error and finding["result"] == "PASS" and run.finding("apiserver_errors")["value"] == 0
    assert facts_of(run)["clients"]["generators"] == 2
    note("two generators", run, finding)


@pytest.mark.long
def test_generators_without_image(certify, note):
    image = "registry.kubeproof.lab:5000/kubernetes/tools:none"
    run = certify(load=objects(8), certify_generators=2, certify_tools_image=image)
    finding = run.finding("apiserver_generator")
    assert run.status and finding["result"] == "INCONCLUSIVE" and "ErrImagePull" in finding["reason"]
    note("generators without an image", run, finding)


@pytest.mark.skipif(shutil.which("kube-burner") is not None, reason="kube-burner is on PATH")
def test_engine_is_missing(certify, note):
    run = certify(load={"kube_burner": {"pods": 1, "seconds": 1}}, certify_apiserver_engine="kube_burner", tools_cache="/nonexistent")
    finding = run.finding("apiserver_kube_burner_missing")
    assert run.blocked() and finding["result"] == "INCONCLUSIVE" and "kube-burner" in run.error and "tools_downloads" in run.error
    note("kube-burner is missing", run, finding)
