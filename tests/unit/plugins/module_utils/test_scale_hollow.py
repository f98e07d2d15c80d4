# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What plays hollow nodes, what it may do, and whose pods would come."""

from __future__ import annotations

import json

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import scale_hollow, scale_state

RUN = "20261121t040000z-1a2b"
OPTIONS = {
    "run_id": RUN,
    "namespace": "space",
    "name": "hollow-1",
    "prefix": "hollow-x-1",
    "count": 20,
    "kind": "kubemark",
    "image": "registry.example.com/kubemark:v1",
    "resources": {"requests": {"cpu": "20m"}},
    "deadline": 900,
    "tolerations": [],
}
EVERYTHING = [{"operator": "Exists"}]
LINUX = {"kubernetes.io/os": "linux"}
VIRTUAL = [("type", "NotIn", ["virtual-kubelet"])]


def affinity(*terms):
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}}}


def expressions(*found):
    return {"matchExpressions": [dict(zip(("key", "operator", "values"), one)) for one in found]}


# Pods of others: what they tolerate and select -> whether a hollow node would get them.
GUESTS = [
    ({}, False),
    ({"tolerations": EVERYTHING}, True),
    ({"tolerations": [{"operator": "Exists", "effect": "NoExecute"}]}, False),
    ({"tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]}, False),
    ({"tolerations": [{"key": "kubeproof.io/hollow", "operator": "Exists"}]}, True),
    ({"tolerations": EVERYTHING, "nodeSelector": LINUX}, False),
    ({"tolerations": EVERYTHING, "nodeSelector": {"disk": "ssd"}}, False),
    ({"tolerations": EVERYTHING, **affinity(expressions(("kubernetes.io/os", "In", ["linux"])))}, False),
    ({"tolerations": EVERYTHING, **affinity(expressions(("kubernetes.io/os", "NotIn", ["windows"])))}, True),
    ({"tolerations": EVERYTHING, **affinity(expressions(("kubernetes.io/os", "Exists")))}, True),
    ({"tolerations": EVERYTHING, **affinity(expressions(*VIRTUAL))}, False),
    ({"tolerations": EVERYTHING, **affinity(expressions(("kubeproof.io/hollow", "DoesNotExist")))}, False),
    ({"tolerations": EVERYTHING, **affinity(expressions(("zone", "NotIn", ["a"])))}, True),
    ({"tolerations": EVERYTHING, **affinity(expressions(("b", "DoesNotExist")), expressions(("a", "Exists")))}, True),
    ({"tolerations": EVERYTHING, **affinity(expressions(("a", "Exists")))}, False),
    ({"tolerations": EVERYTHING, **affinity({})}, False),
    ({"tolerations": EVERYTHING, **affinity({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]})}, False),
    # What compares numbers is told rather than passed over.
    ({"tolerations": EVERYTHING, **affinity(expressions(("kubeproof.io/hollow", "Gt", ["1"])))}, True),
]


@pytest.mark.parametrize(("pod", "expected"), GUESTS)
def test_guests(pod, expected):
    item = {"metadata": {"namespace": "a", "name": "b"}, "spec": {"template": {"spec": pod}}}
    assert scale_state.guests("DaemonSet", [item], RUN, "kwok") == (["DaemonSet a/b"] if expected else [])


def test_agents_that_select_linux_come_to_kubelets_alone():
    item = {"metadata": {"namespace": "a", "name": "b"}, "spec": {"template": {"spec": {"tolerations": EVERYTHING, "nodeSelector": LINUX}}}}
    assert [len(scale_state.guests("DaemonSet", [item], RUN, kind)) for kind in ("kubemark", "kwok")] == [1, 0]


def test_what_is_of_the_run_is_no_guest():
    item = {"metadata": {"name": "b", "labels": scale_hollow.labels(RUN, "kwok")}, "spec": {"template": {"spec": {"tolerations": EVERYTHING}}}}
    assert scale_state.guests("Deployment", [item], RUN, "kubemark") == []


def test_kubemark_is_a_pod_for_each_node_and_ends_by_itself():
    job = scale_hollow.job(OPTIONS)
    assert job["spec"]["template"]["spec"]["nodeSelector"] == LINUX
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    assert (spec["completions"], spec["parallelism"], spec["completionMode"], spec["activeDeadlineSeconds"]) == (20, 20, "Indexed", 900)
    kubelet, proxy = pod["containers"]
    assert "--morph=kubelet" in kubelet["command"] and "--morph=proxy" in proxy["command"]
    assert "--name=hollow-x-1-$(JOB_COMPLETION_INDEX)" in kubelet["command"]
    assert "--register-with-taints=kubeproof.io/hollow=:NoSchedule" in kubelet["command"]
    # Nothing of the machine below: no privileges, no host paths, and the runtime's images played too.
    assert "--use-host-image-service=false" in kubelet["command"] and pod["securityContext"]["runAsNonRoot"]
    assert not any("hostPath" in volume for volume in pod["volumes"])
    labels = next(one for one in kubelet["command"] if one.startswith("--node-labels="))
    # A kubelet would write it back.
    assert "kubernetes.io/os=linux" in labels and f"kubeproof.io/run={RUN}" in labels and "exclude-from-external-load-balancers=" in labels


def test_kwok_is_one_pod_for_all_nodes():
    job = scale_hollow.job({**OPTIONS, "kind": "kwok"})
    assert (job["spec"]["completions"], len(job["spec"]["template"]["spec"]["containers"])) == (1, 1)
    node = scale_hollow.node({**OPTIONS, "kind": "kwok"}, 7)
    assert node["metadata"]["name"] == "hollow-x-1-7" and node["spec"]["taints"] == [scale_hollow.TAINT]
    assert node["metadata"]["labels"]["kubernetes.io/os"] == "hollow" and scale_hollow.KWOK_ANNOTATION in node["metadata"]["annotations"]


@pytest.mark.parametrize("kind", ["kubemark", "kwok"])
def test_configuration(kind):
    data = scale_hollow.config(kind, "stages")["content"]["data"]
    assert json.loads(data["kubeconfig"])["users"][0]["user"]["tokenFile"].endswith("/token")
    assert data.get("kwok.yaml") == ("stages" if kind == "kwok" else None)


def test_only_hollow_nodes_can_be_changed():
    """A rule for nodes or leases either reads, creates, or names what it is for; Secrets are in none."""
    accounts = {account["name"]: account for account in scale_hollow.accounts(["hollow-x-1-0"])}
    for account in accounts.values():
        for rule in account["cluster_rules"]:
            changing = set(rule["verbs"]) - {"get", "list", "watch", "create"}
            assert not changing or rule["resourceNames"] == ["hollow-x-1-0"], rule
            assert not {"secrets", "*"} & set(rule.get("resources", ()))
    assert accounts["hollow"]["rules"] == []


def test_pods_of_others_cannot_be_changed():
    rules = [one for one in scale_hollow.guests("home") if one["kind"] == "Role"]
    assert {one["name"] for one in rules} == {"load", "hollow"}
    bindings = [one for one in scale_hollow.guests("home") if one["kind"] == "RoleBinding"]
    assert {one["content"]["subjects"][0]["namespace"] for one in bindings} == {"home"}
