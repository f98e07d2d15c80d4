# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The looks between two steps: at nodes and pods, and at etcd, which is made of what each member says; and how two of them compare."""

from __future__ import annotations

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils.stress_health import (
    NO_SYSTEM, blind, etcd_look, etcd_room, hindrance, replaced, unread, worsened,
)  # fmt: skip
from hypothesis import given
from hypothesis import strategies as st

# Nodes and pods ---------------------------------------------------------------------------------------------------------------

DNS, API, JOB = "kube-system/coredns-a", "kube-system/kube-apiserver-cp1", "kube-system/backup-1"
OWNER = "Deployment kube-system/coredns"
NODES = {"names": ["cp1", "w1", "w2"], "not_ready": []}


def pod(uid, **more):
    return {"uid": uid, "phase": "Running", "ready": True, "restarts": 1, **more}


PODS = {DNS: pod("1", owner=OWNER), "kube-system/coredns-b": pod("2", owner=OWNER), API: pod("3"), JOB: {"uid": "4", "phase": "Running", "restarts": 0}}
NEW = {"kube-system/coredns-c": pod("5", owner=OWNER, restarts=0)}
# What a kubelet leaves of a pod that it evicted.
EVICTED = {"phase": "Failed", "reason": "Evicted", "ready": False}


def cluster(nodes=None, gone=(), **pods):
    """Return a look: that of before without the pods that are `gone`, and with what became of others, by the last letters of their names."""
    found = {name: {**one, **pods.get(name.rpartition("-")[2], {})} for name, one in PODS.items() if name not in gone}
    return {"nodes": {**NODES, **(nodes or {})}, "pods": {**found, **{name: one for name, one in pods.items() if "/" in name}}}


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (cluster(), ""),
        (cluster(a={**EVICTED}, **NEW), f"{DNS} was evicted"),
        (cluster(a={**EVICTED}), f"{DNS} was evicted; {OWNER} has 1 of 2 pods ready"),
        (cluster(a={"phase": "Failed", "reason": "NodeLost", "ready": False}, **NEW), f"{DNS} failed (NodeLost)"),
        (cluster(gone=[DNS]), f"{OWNER} has 1 of 2 pods ready"),
        (cluster(a={"ready": False}), f"{OWNER} has 1 of 2 pods ready"),
        (cluster(gone=[API]), f"{API} is not ready"),
        (cluster(cp1={"ready": False}), f"{API} is not ready"),
        (cluster(a={"restarts": 2, "reason": "OOMKilled"}), f"{DNS} restarted (OOMKilled)"),
        # One that came since, and one of the same name that is another, have restarted as often as they say.
        (cluster(gone=[DNS], **{"kube-system/coredns-c": pod("5", owner=OWNER, restarts=3, reason="Error")}), "kube-system/coredns-c restarted (Error)"),
        (cluster(cp1={"uid": "9", "restarts": 1}), f"{API} restarted"),
        # A rollout, one more than before, and a Job at its end, which may be taken away.
        (cluster(gone=[DNS], **NEW), ""),
        (cluster(**NEW), ""),
        (cluster(**{"1": {"phase": "Succeeded"}}), ""),
        (cluster(**{"1": {"phase": "Failed", "reason": "Error"}}), ""),
        (cluster(**{"1": {"phase": "Failed", "reason": "Evicted"}}), f"{JOB} was evicted"),
        (cluster(gone=[JOB]), ""),
        (cluster({"not_ready": ["w1"]}), "w1 is not ready"),
        (cluster({"names": ["cp1", "w1"]}), "w2 is gone"),
        (cluster({"names": ["cp1", "w1", "w9"]}), "w2 is gone"),
        (cluster({"names": ["cp1"]}), "w1, w2 are gone"),
        (cluster({"names": [*NODES["names"], "w9"]}), ""),
    ],
)
def test_what_is_lost_breaks_a_step(after, said):
    assert worsened(cluster(), cluster(), after) == (said, "") and unread(cluster(), after) == ""


@pytest.mark.parametrize(
    ("lost", "back", "said"),
    [
        # What happens once is over; what is lost is lost until it is as at first.
        (cluster(a={**EVICTED}, **NEW), cluster(a={**EVICTED}, **NEW), ""),
        (cluster(gone=[DNS]), cluster(gone=[DNS]), f"{OWNER} has 1 of 2 pods ready"),
        (cluster(gone=[DNS]), cluster(gone=[DNS], **NEW), ""),
        (cluster({"names": ["cp1", "w1"]}), cluster({"names": ["cp1", "w1"]}), "w2 is gone"),
        (cluster({"names": ["cp1", "w1"]}), cluster({"names": ["cp1", "w1", "w9"]}), ""),
    ],
)
def test_what_is_lost_stays_lost_until_it_is_as_at_first(lost, back, said):
    assert worsened(cluster(), cluster(), lost)[0] and worsened(cluster(), lost, back) == (said, "")


@pytest.mark.parametrize(
    ("look", "why"),
    [
        ({"nodes": {"names": [], "not_ready": []}, "pods": {}}, "no node is seen"),
        ({**cluster(), "nodes": {}}, "no node is seen"),
        ({**cluster(), "pods": {}}, NO_SYSTEM),
        ({**cluster(), "error": "it was not asked"}, "it was not asked"),
    ],
)
def test_who_sees_nothing_has_not_looked(look, why):
    assert unread(cluster(), look) == unread(look, cluster()) == f"the health could not be read: {why}"


def test_where_no_pod_of_the_system_is_seen_it_says_what_to_set():
    assert blind({**cluster(), "pods": {}}).endswith("Name the namespaces of the system in certify_system_namespaces")


def test_a_look_at_an_empty_cluster_blames_nothing():
    assert worsened(cluster(), cluster(), {"nodes": {"names": []}, "pods": {}}) == ("", "")


def test_whose_pods_were_replaced_is_named():
    assert replaced(cluster(), cluster(gone=[DNS], **NEW)) == [OWNER]
    assert replaced(cluster(), cluster(cp1={"uid": "9", "restarts": 0})) == [API]
    # What is evicted or gone is named elsewhere; a Job ends.
    assert replaced(cluster(), cluster(a={**EVICTED}, gone=[JOB], **NEW)) == replaced(cluster(), cluster(gone=[API])) == replaced({}, cluster()) == []


# etcd ---------------------------------------------------------------------------------------------------------------------------

GOOD = {"running": True, "healthy": True, "raft_term": 4, "db_size": 100, "quota_backend_bytes": 1000, "alarms": [], "member_count": 3}
DEAD = {"running": True, "error": "https://10.0.0.2:2379/version: Connection refused."}
REFUSED = {"failed": False, "msg": "Several etcd processes run on this host."}
GONE = {"unreachable": True, "msg": "Failed to connect to the host via ssh"}


def seen(*results, cluster="etcd"):
    """Return what a loop of etcd_info registered: one of {facts}, or of what it says without facts, for each host."""
    items = [{"cluster": cluster, "host": f"etcd{number}"} for number in range(1, len(results) + 1)]
    return {"results": [{"certify_member": item, **(one if "msg" in one else {"facts": one})} for item, one in zip(items, results)]}


def member(**changes):
    return {**GOOD, **changes}


@pytest.mark.parametrize(
    ("after", "said", "stops"),
    [
        (seen(GOOD, GOOD, GOOD), "", False),
        (seen(GOOD, member(raft_term=5), GOOD), "etcd elected a leader", False),
        (seen(GOOD, GOOD, member(db_size=801)), "etcd has filled 80% of its quota", True),
        (seen(GOOD, GOOD, member(healthy=False, alarms=["NOSPACE of member 11"])), "etcd reports NOSPACE of member 11", True),
        (seen(GOOD, DEAD, GOOD), "1 of 3 members of etcd do not answer", False),
        (seen(GOOD, {"running": False}, GOOD), "1 of 3 members of etcd do not answer", False),
        (seen(GOOD, member(healthy=False), GOOD), "1 of 3 members of etcd do not answer", False),
    ],
)
def test_what_became_worse(after, said, stops):
    before, after = etcd_look(seen(GOOD, GOOD, GOOD)), etcd_look(after)
    found, stop = worsened(before, before, after)
    assert found == said and bool(stop) is stops and unread(before, after) == ""


@pytest.mark.parametrize(
    ("after", "why"),
    [
        (seen(GOOD, REFUSED, GOOD), "etcd on etcd2 could not be asked: Several etcd processes run on this host."),
        (seen(GOOD, GONE, GOOD), "etcd on etcd2 could not be asked: Failed to connect to the host via ssh"),
        (seen(DEAD, DEAD, DEAD), f"no member of etcd answered: {DEAD['error']}"),
        (seen(*[{"running": False}] * 3), "no member of etcd answered: no etcd runs there"),
        (seen(GOOD, GOOD), "etcd has 3 members, and its group in the inventory 2 hosts: name them all"),
        ({"failed": False, "msg": "Task failed: x is undefined"}, "no member of etcd answered: Task failed: x is undefined"),
        ({}, "no member of etcd answered: no etcd runs there"),
        (None, "no member of etcd answered: no etcd runs there"),
    ],
)
def test_what_could_not_be_asked_is_not_known(after, why):
    """It is not lost either: nobody knows how it is."""
    good, unknown = etcd_look(seen(GOOD, GOOD, GOOD)), etcd_look(after)
    assert unknown == {"error": why}
    assert worsened(good, good, unknown) == ("", "")
    assert unread(good, unknown) == unread(unknown, good) == f"the health could not be read: {why}"


def test_what_is_free_within_the_file_is_known_of_members():
    look = etcd_look(seen(*[member(db_size=700, db_in_use=100)] * 3))
    assert hindrance(look, 500) == "" and hindrance(etcd_look(seen(*[member(db_size=700)] * 3)), 500).startswith("etcd would have filled 120%")


@pytest.mark.parametrize(
    ("look", "found"),
    [
        (etcd_look(seen(*[GOOD] * 3)), {"hindrance": "", "share": 0.6, "alarms": []}),
        (etcd_look(seen(GOOD, member(db_size=700, db_in_use=200), GOOD)), {"hindrance": "", "share": 0.7, "alarms": []}),
        (etcd_look(seen(GOOD, member(db_size=350), GOOD)), {"share": 0.85, "alarms": [], "hindrance": "etcd would have filled 85% of its quota after the "
                                                            "next step, which writes up to 500 B"}),
        (etcd_look(seen(GOOD, GOOD, member(alarms=["NOSPACE of member 11"]))), {"hindrance": "etcd reports NOSPACE of member 11", "share": 0.6,
                                                                                "alarms": ["NOSPACE of member 11"]}),
        (etcd_look(seen(GOOD, member(quota_backend_bytes=0), GOOD)), {"hindrance": "it is not known how full etcd is", "alarms": [],
                                                                      "missing": {"share": "it is not known how full etcd is"}}),
        ({"error": "no route"}, {"hindrance": "no route", "missing": {"share": "no route", "alarms": "no route"}}),
    ],
)  # fmt: skip
def test_whether_there_is_room_for_a_load(look, found):
    assert etcd_room(look, 500) == {"watched": True, **found}


def test_where_nobody_looks_at_etcd_it_says_so():
    assert etcd_room({}, 500) == etcd_room(None, 500) == etcd_room({}, 500, [{}]) == {"watched": False}


@pytest.mark.parametrize(
    ("looks", "now", "why"),
    [
        ([[GOOD] * 3], [GOOD] * 3, ""),
        ([[GOOD] * 3], [GOOD, GOOD, member(raft_term=5)], "etcd elected a leader"),
        # An election is over once it was named; a member that is lost stays lost.
        ([[GOOD] * 3, [member(raft_term=5)] * 3], [member(raft_term=5)] * 3, ""),
        ([[GOOD] * 3, [GOOD, GOOD, DEAD]], [GOOD, GOOD, DEAD], "1 of 3 members of etcd do not answer"),
        # Who is full is not written to, whatever else became worse.
        ([[GOOD] * 3], [GOOD, DEAD, member(db_size=900)], "etcd has filled 90% of its quota"),
    ],
)
def test_what_became_worse_since_the_looks_before_is_no_room_either(looks, now, why):
    assert etcd_room(etcd_look(seen(*now)), 0, [etcd_look(seen(*one)) for one in looks])["hindrance"] == why


def both(*, events):
    """Return what two clusters of three members say."""
    return {"results": seen(GOOD, GOOD, GOOD)["results"] + seen(*[member(raft_term=events)] * 3, cluster="events")["results"]}


def test_an_election_of_a_cluster_with_the_lower_term_is_seen():
    before, after = etcd_look(both(events=2)), etcd_look(both(events=3))
    assert len(before["etcd"]["endpoints"]) == 6
    assert worsened(before, before, after) == ("etcd elected a leader", "") and worsened(before, before, before) == ("", "")


def test_endpoints_that_were_given_are_asked_as_they_are():
    """Of several members one may be asked through one place."""
    item = {"cluster": "etcd", "host": "bastion", "endpoint": "https://10.0.0.1:2379"}
    found = etcd_look({"results": [{"certify_member": item, "facts": GOOD}]})
    assert list(found["etcd"]["endpoints"]) == ["https://10.0.0.1:2379"]


ANYTHING = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=5)


@given(ANYTHING, ANYTHING)
def test_a_result_of_another_shape_is_an_error(result, facts):
    assert set(etcd_look({"results": [result]})) == {"error"} and set(etcd_look({"results": [{"facts": facts}]})) == {"error"}
