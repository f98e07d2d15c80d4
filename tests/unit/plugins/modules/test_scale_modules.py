# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules of the scale layer against an API that is played by a table: what is sent again, what is given up, what is counted, what is left."""

from __future__ import annotations

import contextlib
import json
import threading
import time

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils import owned, scale_hollow, scale_objects, scale_send
from ansible_collections.kubeproof.certify.plugins.module_utils.cluster import ClusterError
from ansible_collections.kubeproof.certify.plugins.module_utils.watch import Ends
from ansible_collections.kubeproof.certify.plugins.modules import scale_info, scale_load, scale_nodes

RUN = "20261121t040000z-1a2b"
OPTIONS = {
    "run_id": RUN,
    "name": "scale-1",
    "namespaces": ["a"],
    "image": "pause",
    "groups": [5, 5, 5],
    "rate": 1000,
    "tolerations": [],
    "node_selector": {owned.RUN_LABEL: RUN},
    "seed": 1,
}
HOLLOW = {"run_id": RUN, "namespace": "home", "kind": "kubemark", "name": "hollow-1", "prefix": "hollow-x", "count": 2, "timeout": 1.0}


def refused(status, reason="", again=None):
    return ClusterError(f"POST /x: {status} {reason}", status, reason, retry_after=again)


class Played:
    """Answers each request with what `answers` has next for its method, else with success; keeps what was asked."""

    def __init__(self, lists=None, **answers):
        self.lists, self.answers, self.asked, self.lock = lists or {}, answers, [], threading.Lock()

    def request(self, method, path, body=None, query=None, **dummy):
        with self.lock:
            self.asked.append((method, path))
            queue = self.answers.get(method, [])
            answer = queue.pop(0) if queue else {}
        if isinstance(answer, Exception):
            raise answer
        return answer

    def get(self, path, **dummy):
        found = self.lists.get(path, [])
        found = found() if callable(found) else found
        if isinstance(found, (Exception, str)):
            if isinstance(found, Exception):
                raise found
            return found
        return {"items": found, "metadata": {}}

    def items(self, path, **dummy):
        return iter(self.get(path)["items"])

    def delete(self, path, **dummy):
        self.asked.append(("DELETE", path))
        return True


@pytest.fixture(autouse=True)
def fixture_quick(monkeypatch):
    for name, value in (("AGAIN", 0.01), ("LONGEST_AGAIN", 0.02), ("POLL", 0.01)):
        monkeypatch.setattr(scale_send, name, value)
    monkeypatch.setattr(scale_nodes, "POLL", 0.01)


def send(server, phase="fill", **changes):
    sender = scale_send.Sender(server, {**OPTIONS, **changes}, phase)
    sender.run(time.monotonic() + 5, [])
    return sender


# What is sent ---------------------------------------------------------------------------------------------------------------


def test_every_deployment_and_every_second_service():
    server = Played()
    sender = send(server)
    kinds = [path.rpartition("/")[2] for dummy, path in server.asked]
    assert (kinds.count("deployments"), kinds.count("services"), sender.sent, sender.failed) == (3, 2, 3, {})


def test_what_is_shed_is_sent_again_and_counted():
    sender = send(Played(POST=[refused(429), refused(503), refused(0)]))
    assert (sender.failed, sender.throttled) == ({}, 1)


def test_what_a_lost_answer_had_made_is_made():
    assert send(Played(POST=[refused(0), refused(409, "AlreadyExists")]), groups=[5]).failed == {}


@pytest.mark.parametrize("status", [403, 409, 422])
def test_a_refusal_is_given_up_and_named(status):
    sender = send(Played(POST=[refused(status, "quota")]))
    assert sum(sender.failed.values()) == 1 and "a Deployment" in next(iter(sender.failed))


def test_what_never_gets_better_is_given_up():
    sender = send(Played(POST=[refused(503)] * 100))
    assert sum(sender.failed.values()) == 3


def test_what_is_gone_is_deleted():
    assert send(Played(DELETE=[refused(404)] * 5), "drain").failed == {}


def test_a_load_of_errors_ends_itself(monkeypatch):
    """What is refused for good, too: with an alarm of etcd every write is."""
    monkeypatch.setattr(scale_send, "LEAST_ANSWERS", 5)
    server = Played(POST=[refused(403)] * 1000)
    sender = scale_send.Sender(server, {**OPTIONS, "groups": [5] * 200, "rate": 500}, "fill")
    sender.run(time.monotonic() + 30, Ends([], [sender]))
    assert sender.reason == f"{sender.errors} of {sender.answers} answers to the load were errors, limit 10%" and sender.sent < 200


def test_few_errors_and_few_answers_end_nothing():
    few = send(Played(POST=[refused(403)] * 1000), groups=[5] * 10)
    assert few.answers < scale_send.LEAST_ANSWERS and few.reason is None
    # What a lost answer had made is no error, and neither is what is gone already.
    gone = send(Played(DELETE=[refused(404)] * 1000), "drain", groups=[5] * 40)
    assert (gone.answers, gone.errors, gone.reason) == (60, 0, None)
    some = send(Played(POST=[refused(429)] * 3), groups=[5] * 40)
    assert (some.answers, some.errors, some.reason) == (63, 3, None)


class Full:
    reason = "etcd is full"


def run_load(monkeypatch, capsys, server, **options):
    """Return what scale_load answers."""
    monkeypatch.setattr(scale_load.cluster, "Cluster", lambda *dummy, **more: server)
    with patch_module_args({"kubeconfig": "/k", **OPTIONS, "timeout": 5, **options}), pytest.raises(SystemExit):
        scale_load.main()
    return json.loads(capsys.readouterr().out)


class Quiet(Played):
    """An API where nothing ever happens."""

    def request(self, method, path, body=None, query=None, **more):
        super().request(method, path, body, query, **more)
        return {"items": [], "metadata": {"resourceVersion": "1"}}

    def watch(self, dummy, seconds, **more):
        time.sleep(0.05)
        return iter(())


@pytest.mark.parametrize("before", [True, False])
def test_a_load_that_is_aborted_says_why_and_measured_nothing(monkeypatch, capsys, before):
    """Whether the rule is met before the load or meanwhile: there are no facts that anybody could take for the whole."""
    server, watching = Quiet(), Full()
    watching.reason = Full.reason if before else None
    if not before:
        threading.Timer(0.3, setattr, (watching, "reason", Full.reason)).start()
    monkeypatch.setattr(scale_load, "watch_of", lambda option: contextlib.nullcontext(watching))
    answer = run_load(monkeypatch, capsys, server, watch={"rules": []})
    assert answer["failed"] and answer["aborted"] and answer["msg"] == "scale_load was aborted: etcd is full" and "facts" not in answer
    assert bool([path for method, path in server.asked if method == "POST"]) is not before


def test_a_load_ends_where_too_many_answers_are_errors(monkeypatch, capsys):
    class Refusing(Quiet):
        def request(self, method, path, body=None, query=None, **more):
            if method == "POST":
                raise refused(403)
            return super().request(method, path, body, query, **more)

    monkeypatch.setattr(scale_send, "LEAST_ANSWERS", 5)
    answer = run_load(monkeypatch, capsys, Refusing(), groups=[5] * 20)
    assert answer["aborted"] and "answers to the load were errors, limit 10%" in answer["msg"] and "facts" not in answer


def test_a_load_ends_where_a_real_node_is_lost(monkeypatch, capsys):
    answer = run_load(monkeypatch, capsys, Quiet(), nodes_ready=3)
    assert answer["aborted"] and answer["msg"] == "scale_load was aborted: only 0 of 3 real nodes are Ready" and "facts" not in answer


def test_scaling_is_a_patch_of_each():
    server = Played()
    send(server, "churn")
    assert [method for method, dummy in server.asked] == ["PATCH"] * 3


def test_removal_asks_owners_first_and_waits():
    paths, left = scale_objects.paths("a"), [2]

    def pods():
        left[0] -= 1
        return [{}] if left[0] >= 0 else []

    server = Played({paths["deployments"]: lambda: [{}] if left[0] >= 0 else [], paths["pods"]: pods})
    assert scale_send.remove(server, OPTIONS, 5) == (0, "")
    assert [path for dummy, path in server.asked] == [paths["deployments"], paths["pods"]]


def test_removal_says_how_many_are_left():
    server = Played({scale_objects.paths("a")["pods"]: [{}], scale_objects.paths("a")["services"]: refused(500)})
    left, why = scale_send.remove(server, OPTIONS, 0.05)
    assert left == 2 and "500" in why


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"groups": []}, "groups"), ({"groups": [0]}, "groups"), ({"rate": 0.0}, "rate"), ({"node_selector": {}}, "node_selector"), ({}, None)],
)
def test_options_that_cannot_be_used(changes, named):
    problem = scale_load.refusal({**OPTIONS, "state": "present", **changes})
    assert problem is None if named is None else problem.startswith(named)


# Hollow nodes ---------------------------------------------------------------------------------------------------------------


def node(name, ready=True, ours=True):
    marks = scale_hollow.labels(RUN, "kubemark") if ours else {}
    status = {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    return {"metadata": {"name": name, "labels": marks}, "spec": {}, "status": status}


def test_a_node_that_is_lost_again_is_not_ready():
    hollow = scale_nodes.Hollow(Played(), HOLLOW, [])
    hollow.see("ADDED", node("hollow-x-0", ready=False), 1.0)
    hollow.see("MODIFIED", node("hollow-x-0"), 2.0)
    hollow.see("MODIFIED", node("hollow-x-1"), 3.0)
    assert hollow.ready == {"hollow-x-0": 2.0, "hollow-x-1": 3.0}
    hollow.see("MODIFIED", node("hollow-x-0", ready=False), 4.0)
    hollow.see("DELETED", node("hollow-x-1"), 5.0)
    assert hollow.ready == {}


def test_the_reason_is_the_end_of_the_log():
    state = {"name": "kubelet", "lastState": {"terminated": {"exitCode": 255}}}
    pod = {"metadata": {"name": "hollow-1-0-a"}, "status": {"containerStatuses": [state]}}
    core = "/api/v1/namespaces/home/pods"
    server = Played({core: [pod], f"{core}/hollow-1-0-a/log": "I1121 fine\nF1121 cannot open /etc/passwd\nI1121 bye"})
    assert scale_nodes.Hollow(server, HOLLOW, []).why() == "hollow-1-0-a: kubelet ended with 255: F1121 cannot open /etc/passwd"


def test_nodes_are_not_added_where_a_rule_is_met_and_not_waited_for(monkeypatch):
    server, ends = Quiet(), Ends([], [Full()])
    with pytest.raises(scale_nodes.NodesError, match="scale_nodes was aborted: etcd is full"):
        scale_nodes.Hollow(server, HOLLOW, ends).add()
    assert server.asked == []
    monkeypatch.setattr(Full, "reason", None)
    threading.Timer(0.2, setattr, (Full, "reason", "etcd is full")).start()
    with pytest.raises(scale_nodes.NodesError, match="scale_nodes was aborted: etcd is full"):
        scale_nodes.Hollow(server, {**HOLLOW, "timeout": 30, "image": "i", "resources": {}, "tolerations": [], "deadline": 60}, ends).add()


def test_no_more_of_kwoks_nodes_are_made_where_a_rule_is_met():
    class Slow(Quiet):
        def request(self, method, path, body=None, query=None, **more):
            full.reason = "etcd is full" if method == "POST" else full.reason
            return super().request(method, path, body, query, **more)

    full = Full()
    full.reason, server = None, Slow()
    with pytest.raises(scale_nodes.NodesError, match="etcd is full"):
        scale_nodes.Hollow(server, {**HOLLOW, "kind": "kwok", "count": 500}, Ends([], [full])).add()
    made = [path for method, path in server.asked if method == "POST"]
    assert 0 < len(made) <= scale_nodes.THREADS and not [path for path in made if path.endswith("/jobs")]


def test_removal_ends_the_jobs_before_the_nodes_and_their_leases():
    server = Played({scale_nodes.NODES: lambda: [] if ("DELETE", f"{scale_nodes.NODES}/hollow-x-0") in server.asked else [node("hollow-x-0")]})
    server.delete = lambda path: server.asked.append(("DELETE", path)) or False
    assert scale_nodes.Hollow(server, HOLLOW, []).remove() == {"left": 0, "removed": 1}
    assert [path.rpartition("/")[2] for dummy, path in server.asked[:3]] == ["jobs", "hollow-x-0", "hollow-x-0"]
    assert f"{scale_nodes.LEASES}/hollow-x-0" in [path for dummy, path in server.asked]


def test_a_node_that_stays_is_an_error():
    server = Played({scale_nodes.NODES: [node("hollow-x-0")]})
    with pytest.raises(scale_nodes.NodesError, match="hollow-x-0.*playbooks/cleanup.yml"):
        scale_nodes.Hollow(server, {**HOLLOW, "timeout": 0.05}, []).remove()


# The census -----------------------------------------------------------------------------------------------------------------


def placed(name, place, kind="ReplicaSet", ours=False, phase="Running"):
    metadata = {"name": name, "namespace": "b", "ownerReferences": [{"kind": kind, "controller": True}], "labels": owned.labels(RUN) if ours else {}}
    return {"metadata": metadata, "spec": {"nodeName": place}, "status": {"phase": phase}}


def test_the_census_counts_others_and_names_strangers():
    hollow = f"hollow-{RUN}-1-0"
    lists = {
        "/api/v1/nodes": [node("n1", ours=False), node(hollow)],
        "/api/v1/pods": [
            placed("web", "n1"), placed("done", "n1", phase="Succeeded"), placed("ours", hollow, ours=True), placed("proxy", hollow, "DaemonSet"),
            placed("lost", hollow), placed("orphan", f"hollow-{RUN}-1-7", "DaemonSet"),
        ],
        "/api/v1/namespaces": [{"metadata": {"name": "b"}}, {"metadata": {"name": "c", "labels": owned.labels(RUN)}}],
        "/api/v1/services": [{"metadata": {"name": "web", "namespace": "b"}}],
        "/apis/discovery.k8s.io/v1/endpointslices": [
            {"metadata": {"namespace": "b", "labels": {"kubernetes.io/service-name": "web"}}, "addressType": "IPv4", "endpoints": [{}] * count}
            for count in (100, 20)
        ],
    }  # fmt: skip
    facts = scale_info.look(Played(lists), {"run_id": RUN, "kind": "kubemark"})["facts"]
    assert facts["size"]["nodes"] == 1 and facts["hollow"] == 1 and facts["size"]["namespaces"] == 1
    assert (facts["size"]["pods"], facts["size"]["pods_per_namespace"], facts["size"]["endpoints_per_service"]) == (4, 4, 120)
    assert (facts["strangers"]["daemons"], facts["strangers"]["others"]) == (1, 1) and facts["strangers"]["pods"][0]["pod"] == "b/lost"
    assert facts["orphans"] == 1 and facts["guests"] == {"daemons": [], "others": []}
