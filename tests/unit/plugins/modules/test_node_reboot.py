# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node is drained, comes back and is put into service again, at an API server that is played."""

from __future__ import annotations

import copy
import json
import time
import types

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils import node_reboot as rules
from ansible_collections.kubeproof.certify.plugins.modules import node_reboot
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import FakeCluster, status
from ansible_collections.kubeproof.certify.tests.unit.plugins.module_utils.test_node_reboot import node, pod, ready

RUN = "20261121t040000z-1a2b"


class Played(FakeCluster):
    """Nodes and pods as data; an eviction is refused `refused` times by a budget, and an evicted pod comes up on another node.

    `late` are pods that the scheduler binds while the node is cordoned.
    """

    def __init__(self):
        super().__init__()
        self.nodes = {one["metadata"]["name"]: one for one in (node("w1"), node("w2"))}
        self.pods = {one["metadata"]["name"]: one for one in (pod("a", "w1"), pod("d", "w1", "DaemonSet", owner="ds"), pod("b", "w2", owner="other"))}
        self.refused, self.evicted, self.stuck, self.late = 0, [], False, []
        self.answers.update({"GET /api/v1/nodes": self.list_nodes, "GET /api/v1/pods": self.list_pods,
                             "GET /api/v1/namespaces/kube-system/pods": {"items": []}})  # fmt: skip
        for name in self.nodes:
            self.answers[f"GET /api/v1/nodes/{name}"] = lambda asked, name=name: self.nodes[name]
            self.answers[f"PATCH /api/v1/nodes/{name}"] = lambda asked, name=name: self.patch(self.nodes[name], asked.body)
        for name in (*self.pods, "late"):
            self.answers[f"POST /api/v1/namespaces/n/pods/{name}/eviction"] = lambda asked, name=name: self.evict(name, asked.body)

    def list_pods(self, asked):
        wanted = asked.query.get("fieldSelector", "").rpartition("=")[2]
        return {"items": [one for one in self.pods.values() if wanted in ("", one["spec"]["nodeName"])]}

    def list_nodes(self, asked):
        key, is_set, value = asked.query.get("labelSelector", "").partition("=")
        labels = {one["metadata"]["name"]: one["metadata"]["labels"] for one in self.nodes.values()}
        chosen = [name for name, its in labels.items() if not key or (its.get(key) == value if is_set else key in its)]
        return {"items": [one for one in self.nodes.values() if one["metadata"]["name"] in chosen]}

    def patch(self, one, body):
        """Merge as the API server does: null takes away."""
        for part, key in (("spec", "unschedulable"), ("labels", rules.LABEL)):
            place = one["spec"] if part == "spec" else one["metadata"]["labels"]
            value = body["spec"].get(key) if part == "spec" else body["metadata"]["labels"].get(key)
            place.pop(key, None) if value is None else place.update({key: value})
        self.pods.update({late["metadata"]["name"]: late for late in self.late if rules.cordoned(one)})
        return one

    def evict(self, name, body):
        assert body["kind"] == "Eviction" and body["deleteOptions"]["preconditions"]["uid"] == f"uid-{name}"
        if self.refused:
            self.refused -= 1
            return 429, status(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.")
        self.evicted.append(name)
        if not self.stuck:
            old = self.pods.pop(name)
            self.pods["again"] = {**copy.deepcopy(old), "spec": {"nodeName": "w2"}}
        return {}


@pytest.fixture(name="api")
def fixture_api(monkeypatch):
    monkeypatch.setattr(node_reboot, "PAUSE", 0.01)
    with Played() as api:
        yield api


@pytest.fixture(name="call")
def fixture_call(api, capsys, tmp_path):
    def call(state, name="w1", **more):
        path = api.kubeconfig(tmp_path / "kubeconfig")
        with patch_module_args({"kubeconfig": path, "state": state, "name": name, "run_id": RUN, "timeout": 2, **more}), pytest.raises(SystemExit):
            node_reboot.main()
        return json.loads(capsys.readouterr().out)

    return call


def is_cordoned(api, name="w1"):
    return rules.cordoned(api.nodes[name]), rules.cordoned_by(api.nodes[name])


def test_a_whole_reboot(api, call):
    api.refused = 3
    drained = call("drained")
    assert drained["changed"] and drained["evicted"] == 1 and api.evicted == ["a"] and is_cordoned(api) == (True, RUN)
    assert not any(asked.method == "DELETE" for asked in api.asked)
    api.nodes["w1"]["status"] = {"conditions": ready(), "nodeInfo": {"bootID": "b"}}
    assert call("ready", before=drained["before"])["boot_id"] == "b"
    back = call("schedulable", before=drained["before"])
    assert (back["nodes"], back["cordoned"], back["missing"]) == (["w1"], False, []) and is_cordoned(api) == (False, "")


def test_what_is_bound_until_the_cordon_is_evicted_too(api, call):
    """The look before says who is refused; what is on the node once it is cordoned says who has to leave."""
    api.late = [pod("late", "w1", owner="new")]
    api.refused = 2
    assert call("drained")["evicted"] == 2 and sorted(api.evicted) == ["a", "late"]
    lists = [place for place, asked in enumerate(api.asked) if asked.path == "/api/v1/pods"]
    assert lists[-1] == len(api.asked) - 1 and api.asked[-1].query["fieldSelector"] == "spec.nodeName=w1"


@pytest.mark.parametrize(("change", "said"), [({"ownerReferences": []}, "n/late would not come back"), ({}, "n/late would lose the files of an emptyDir")])
def test_what_is_bound_until_the_cordon_may_refuse_too(api, call, change, said):
    late = pod("late", "w1", owner="new")
    late["spec"]["volumes"] = [{"name": "files", "emptyDir": {}}]
    late["metadata"].update(change)
    api.late = [late]
    assert said in call("drained", delete_emptydir=bool(change))["msg"] and not api.evicted
    # Whoever called puts it into service again.
    assert is_cordoned(api) == (True, RUN) and call("schedulable")["cordoned"] is False


def test_what_comes_a_moment_after_the_cordon_is_seen(api, call, monkeypatch):
    """The scheduler may bind what it chose before it saw the cordon: a node that looks empty is not empty yet."""
    del api.pods["a"]
    late = {"late": pod("late", "w1", owner="new")}
    # So much is bound while it waits.
    monkeypatch.setattr(node_reboot, "time", types.SimpleNamespace(monotonic=time.monotonic, sleep=lambda dummy: api.pods.update(late) or late.clear()))
    assert call("drained")["evicted"] == 1 and api.evicted == ["late"]


def test_another_pod_of_the_name_is_left_to_the_next_list(api, call):
    answers = iter([(409, status(409, "Conflict", "the UID in the precondition does not match"))])
    api.answers["POST /api/v1/namespaces/n/pods/a/eviction"] = lambda asked: next(answers, None) or api.evict("a", asked.body)
    assert call("drained")["evicted"] == 1 and api.evicted == ["a"]


def test_a_budget_that_never_allows_it(api, call):
    api.refused = 10**6
    refused = call("drained", timeout=0)
    assert refused["failed"] and "could not be drained in 0 s" in refused["msg"] and "disruption budget" in refused["msg"] and "n/a" in refused["msg"]
    # Whoever called puts it into service again.
    assert is_cordoned(api) == (True, RUN) and call("schedulable")["cordoned"] is False and is_cordoned(api) == (False, "")


def test_a_pod_that_does_not_end(api, call):
    api.stuck = True
    assert "still ending" in call("drained", timeout=0)["msg"]


def test_a_refusal_touches_nothing(api, call):
    api.pods["a"]["metadata"]["ownerReferences"] = []
    assert "n/a would not come back" in call("drained")["msg"]
    api.nodes["w1"]["status"]["conditions"] = ready("False")
    assert "not Ready" in call("drained")["msg"]
    assert "no node of this name" in call("drained", name="w9")["msg"]
    assert not api.evicted and is_cordoned(api) == (False, "") and not any(asked.method != "GET" for asked in api.asked)


@pytest.mark.parametrize(
    ("boot", "is_ready", "said"), [("a", "True", "its boot id is the same"), ("b", "False", "it is not Ready"), ("", "True", "it is not Ready")]
)
def test_a_node_that_does_not_come_back(api, call, boot, is_ready, said):
    api.nodes["w1"]["status"] = {"conditions": ready(is_ready), "nodeInfo": {"bootID": boot}}
    refused = call("ready", before={"boot_id": "a"}, timeout=0)
    assert refused["failed"] and refused["returned"] is False and "did not come back in 0 s" in refused["msg"] and said in refused["msg"]


def test_the_api_server_may_be_away(api, call):
    answers = iter([(503, status(503, "Unavailable", "away"))] * 3)
    api.nodes["w1"]["status"]["nodeInfo"]["bootID"] = "b"
    api.answers["GET /api/v1/nodes/w1"] = lambda asked: next(answers, api.nodes["w1"])
    back = call("ready", before={"boot_id": "a"})
    assert back["boot_id"] == "b" and back["returned"] is True


def test_where_the_api_server_stays_away_nobody_knows(api, call):
    api.answers["GET /api/v1/nodes/w1"] = lambda asked: (503, status(503, "Unavailable", "away"))
    refused = call("ready", before={"boot_id": "a"}, timeout=0)
    assert refused["failed"] and "returned" not in refused


def test_a_cordon_that_has_lost_its_label_is_ours_all_the_same(api, call):
    drained = call("drained")
    del api.nodes["w1"]["metadata"]["labels"][rules.LABEL]
    back = call("schedulable", before=drained["before"])
    assert (back["nodes"], back["cordoned"]) == (["w1"], False) and is_cordoned(api) == (False, "")


def test_what_is_not_back_is_named(api, call):
    drained = call("drained")
    del api.pods["d"]
    assert call("schedulable", before=drained["before"], timeout=0)["missing"] == ["DaemonSet n/ds has 0 of 1 pods ready"]


def test_the_cordons_of_others_stay(api, call):
    api.nodes["w1"]["spec"]["unschedulable"] = True
    api.patch(api.nodes["w2"], rules.cordon("other"))
    assert call("schedulable", name="")["nodes"] == [] and is_cordoned(api) == (True, "") and is_cordoned(api, "w2") == (True, "other")
    # The cleanup by hand means every run, and still not what nobody of us cordoned.
    assert call("schedulable", name="", run_id="*")["nodes"] == ["w2"] and is_cordoned(api) == (True, "") and is_cordoned(api, "w2") == (False, "")


@pytest.mark.parametrize(("state", "options", "said"), [("drained", {"name": ""}, "name is empty"), ("drained", {"run_id": "*"}, "run_id is '*'")])
def test_what_cannot_be_asked(call, state, options, said):
    assert said in call(state, **options)["msg"]
