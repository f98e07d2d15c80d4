# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which node may be rebooted, what has to leave it, and what has to be there again."""

from __future__ import annotations

import pathlib
import subprocess

import pytest
import yaml

from ansible_collections.kubeproof.certify.plugins.module_utils import checks, node_reboot

ROLE = pathlib.Path(__file__).parents[4] / "roles" / "apiserver"
CHECKS = ROLE / "defaults" / "main" / "checks.yml"
# Recorded on the lab: /proc/uptime and /proc/1/stat of a container that began 922 s before.
AGE = """30529.31 18585.86
1 (systemd) S 0 1 1 0 -1 4194560 5944 464435 0 0 52 28 1362 1143 20 0 1 0 2960749 171438080 2956 18446744073709551615 94593562521600 94593562558701
"""


def ready(value="True"):
    return [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": value}]


def node(name, control_plane=False, is_ready="True", boot="a", addresses=(), **spec):
    labels = {node_reboot.CONTROL_PLANE: ""} if control_plane else {}
    status = {"conditions": ready(is_ready), "nodeInfo": {"bootID": boot} if boot else {}, "addresses": [{"address": one} for one in addresses]}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec, "status": status}


def pod(name, where, kind="ReplicaSet", is_ready="True", owner="o", component=None, **more):
    owners = [{"kind": kind, "name": owner, "uid": f"uid-{owner}", "controller": True}] if kind else []
    labels = {"component": component} if component else {}
    return {"metadata": {"name": name, "namespace": "n", "uid": f"uid-{name}", "ownerReferences": owners, "labels": labels, **more.pop("metadata", {})},
            "spec": {"nodeName": where, **more}, "status": {"phase": "Running", "conditions": ready(is_ready)}}  # fmt: skip


def server(where, is_ready="True", component="kube-apiserver"):
    return pod(f"{component}-{where}", where, "Node", is_ready, owner=where, component=component)


def hosts(*names, cluster="etcd"):
    """Return members of etcd that are on hosts of these names."""
    return [{"cluster": cluster, "name": name, "address": name, "boot_id": f"of-{name}"} for name in names]


NODES = [node("cp1", True), node("cp2", True), node("worker1"), node("worker2")]
SERVERS = [server("cp1"), server("cp2")]


def test_what_may_be_rebooted():
    assert [node_reboot.refusal(name, NODES, SERVERS, []) for name in ("cp1", "cp2", "worker1", "worker2")] == [""] * 4


@pytest.mark.parametrize(
    ("name", "nodes", "system", "members", "said"),
    [
        ("worker9", NODES, [], [], "no node of this name; its nodes are cp1, cp2, worker1 and 1 more"),
        ("w", [node("w", is_ready="False")], [], [], "not Ready"),
        ("w", [node("w", is_ready="Unknown")], [], [], "not Ready"),
        ("w", [node("w", unschedulable=True)], [], [], "cordoned already"),
        ("w", [node("w", boot="")], [], [], "does not say a boot id"),
        ("cp1", [node("cp1", True), node("w")], [], [], "last healthy node of the control plane"),
        ("cp1", [node("cp1", True), node("cp2", True, "False")], [], [], "last healthy node of the control plane"),
        # The other node is Ready, and its API server is not.
        ("cp1", NODES, [server("cp1"), server("cp2", "False")], [], "last healthy node of the control plane"),
        # An API server on a node without the label.
        ("worker1", [node("worker1"), node("worker2")], [server("worker1")], [], "last healthy node of the control plane"),
        ("cp1", NODES, [*SERVERS, server("cp1", component="etcd")], [], "of the 1 members 0 others are healthy, while 1 make a quorum"),
        ("cp1", NODES, [*SERVERS, server("cp1", component="etcd"), server("cp2", component="etcd")], [], "1 others are healthy, while 2 make a quorum"),
        ("worker1", NODES, SERVERS, hosts("worker1", "worker2"), "is a host of etcd (etcd)"),
        # A second cluster of etcd, in whatever group.
        ("worker1", NODES, SERVERS, [*hosts("cp1"), *hosts("worker1", cluster="events")], "is a host of etcd (events)"),
        ("cp1", NODES, [*SERVERS, server("cp1", component="etcd")], [*hosts("cp1"), *hosts("cp1", cluster="events")], "members of several clusters"),
        ("cp1", NODES, [*SERVERS, server("cp1", component="etcd"), server("cp1", component="etcd")], hosts("cp1"), "members of several clusters"),
        # The pods of another cluster are no members of this one.
        ("cp1", [*NODES, node("e1"), node("e2")], [*SERVERS, *(server(name, component="etcd") for name in ("cp1", "e1", "e2"))],
         [*hosts("cp1", "cp2", "cp3"), *hosts("e1", "e2", cluster="events")], "of the 3 members 0 others are healthy, while 2 make a quorum"),
        # Who does not say which machine it is may be this one.
        ("worker1", NODES, SERVERS, [{"cluster": "etcd", "name": "e1", "address": "10.0.0.9", "boot_id": ""}], "e1 did not say its boot id"),
    ],
)  # fmt: skip
def test_what_is_refused(name, nodes, system, members, said):
    assert said in node_reboot.refusal(name, nodes, system, members)


@pytest.mark.parametrize(
    ("member", "node_has"),
    [
        ({"name": "w"}, {}),
        ({"name": "W"}, {}),
        ({"name": "w.example.com", "address": "10.0.0.5"}, {"addresses": ["10.0.0.5", "w"]}),
        ({"name": "w.example.com", "address": "w.example.com"}, {"addresses": ["10.0.0.5", "w.example.com"]}),
        ({"name": "w.example.com", "address": "fd00:0:0::5"}, {"addresses": ["fd00::5"]}),
        ({"name": "machine7", "address": "machine7", "boot_id": "b"}, {"boot": "b"}),
        # Of an etcd that is reached by its client URLs.
        ({"address": "https://10.0.0.5:2379", "name": None, "boot_id": None}, {"addresses": ["10.0.0.5"]}),
        ({"address": "https://[fd00::5]:2379"}, {"addresses": ["fd00::5"]}),
        ({"address": "https://W.example.com:2379"}, {"addresses": ["w.example.com"]}),
    ],
)
def test_a_host_of_etcd_is_known_whatever_the_inventory_calls_it(member, node_has):
    """Its node is refused, and another one is not."""
    nodes = [node("w", **node_has), node("other", addresses=["10.0.0.6"], boot="another")]
    members = [{"cluster": "etcd", **member}]
    assert "is a host of etcd (etcd)" in node_reboot.refusal("w", nodes, [], members)
    assert node_reboot.refusal("other", nodes, [], members) == ""


@pytest.mark.parametrize("address", ["https://[fd00::5", "https://", "", None])
def test_an_address_that_is_none_is_nobodys(address):
    assert node_reboot.refusal("worker1", NODES, SERVERS, [{"cluster": "etcd", "address": address, "name": None}]) == ""


def test_a_silent_host_that_is_another_node_is_in_nobodys_way():
    members = [{"cluster": "etcd", "name": "cp1", "address": "10.0.0.9", "boot_id": ""}]
    assert node_reboot.refusal("worker1", NODES, SERVERS, members) == ""


def test_a_member_of_three_may_go_while_the_others_are_healthy():
    members = [server(name, component="etcd") for name in ("cp1", "cp2", "cp3")]
    nodes = [*NODES, node("cp3", True)]
    assert node_reboot.refusal("cp1", nodes, [*SERVERS, *members], hosts("cp1", "cp2", "cp3")) == ""
    # Those of another cluster, that are no pods, do not count.
    events = hosts("e1", "e2", "e3", "e4", "e5", "e6", "e7", cluster="events")
    assert node_reboot.refusal("cp1", nodes, [*SERVERS, *members], [*hosts("cp1", "cp2", "cp3"), *events]) == ""
    members[1] = server("cp2", "False", component="etcd")
    assert "make a quorum" in node_reboot.refusal("cp1", nodes, [*SERVERS, *members], [])


def test_members_whose_nodes_were_deleted_count():
    members = [server(name, component="etcd") for name in ("cp1", "cp2", "cp3")]
    said = node_reboot.refusal("cp1", [*NODES, node("cp3", True)], [*SERVERS, *members], hosts("cp1", "cp2", "cp3", "cp4", "cp5"))
    assert "of the 5 members 2 others are healthy, while 3 make a quorum" in said


def test_what_has_to_leave():
    mirror = pod("static", "w", "Node", metadata={"annotations": {node_reboot.MIRROR: "x"}})
    done = pod("done", "w", "Job")
    done["status"]["phase"] = "Succeeded"
    stays = [pod("daemon", "w", "DaemonSet", volumes=[{"emptyDir": {}}]), mirror, done]
    assert node_reboot.leaving([pod("a", "w"), *stays], False) == [pod("a", "w")]
    with pytest.raises(ValueError, match="n/b would not come back"):
        node_reboot.leaving([pod("a", "w"), pod("b", "w", kind=None)], True)
    held = pod("c", "w", volumes=[{"name": "x", "emptyDir": {}}])
    with pytest.raises(ValueError, match="n/c would lose the files of an emptyDir; set certify_reboot_emptydir"):
        node_reboot.leaving([held], False)
    assert node_reboot.leaving([held], True) == [held]


def test_what_has_to_be_there_again():
    before = [pod("a", "w", owner="rs"), pod("b", "other", owner="rs"), pod("d", "w", "DaemonSet", owner="ds"), pod("e", "other", "DaemonSet", owner="ds"),
              pod("broken", "w", owner="no", is_ready="False"), pod("elsewhere", "other", owner="far"),
              pod("job", "w", "Job", owner="job", restartPolicy="Never")]  # fmt: skip
    wanted = node_reboot.wanted("w", before)
    assert sorted((one["name"], one["ready"]) for one in wanted.values()) == [("DaemonSet n/ds", 1), ("ReplicaSet n/rs", 2)]
    # It may be anywhere, but one of a DaemonSet has to be on the node.
    assert node_reboot.missing("w", [pod("a2", "other", owner="rs"), *before[1:4]], wanted) == []
    assert node_reboot.missing("w", [before[1], before[3]], wanted) == ["DaemonSet n/ds has 0 of 1 pods ready", "ReplicaSet n/rs has 1 of 2 pods ready"]
    going = pod("a", "w", owner="rs", metadata={"deletionTimestamp": "now", "ownerReferences": before[0]["metadata"]["ownerReferences"]})
    assert node_reboot.missing("w", [going, *before[1:4]], wanted) == ["ReplicaSet n/rs has 1 of 2 pods ready"]


def test_the_age_of_a_host():
    assert node_reboot.age(AGE) == pytest.approx(30529.31 - 29607.49)
    assert node_reboot.age(AGE.replace("(systemd)", "(a) b (c)").replace("2960749", "3")) == pytest.approx(30529.28)


@pytest.mark.parametrize("text", ["", "x", AGE.splitlines()[0], AGE.splitlines()[1], AGE.replace("2960749", "9999999"), AGE.replace("2960749", "x"), AGE[:80]])
def test_an_age_that_cannot_be(text):
    with pytest.raises(ValueError, match="host"):
        node_reboot.age(text)


BEFORE = {"boot_id": "a", "workloads": {}}
WHOLE = {"drained": {"before": BEFORE, "evicted": 2}, "asked": "1000.0", "ready": 1030.5, "boot_id": "b", "read": 1031.0, "age": AGE + "b\n",
         "again": {"returned": True}, "back": {"cordoned": False, "missing": []},
         "pods": {"failed": 0}}  # fmt: skip


def test_facts():
    found = node_reboot.facts(["w"], [WHOLE])
    assert found == {"asked": True, "nodes": {"w": {"returned": True, "evicted": 2, "since_asked": 30.5, "seconds": 921.32, "cordoned": False, "not_back": 0,
                                                    "not_back_names": [], "pods_failed": 0, "reboots": 1}}}  # fmt: skip
    assert node_reboot.facts([], []) == {"asked": False}


def test_a_node_that_is_asked_for_again_is_there_again():
    found = node_reboot.facts(["w", "v", "w", "w", "v"], [{**WHOLE, "ready": 1030.5 + turn} for turn in range(4)])["nodes"]
    assert {name: one.get("since_asked") for name, one in found.items()} == {"w": 30.5, "v": 31.5, "w (2)": 32.5, "w (3)": 33.5, "v (2)": None}
    # The last one was not measured.
    assert {one["reboots"] for one in found.values()} == {4}


@pytest.mark.parametrize(("again", "known"), [({"failed": True, "returned": False}, {"returned": False}), ({"failed": True}, {}), ({}, {})])
def test_a_node_that_did_not_come_back(again, known):
    assert node_reboot.facts(["w"], [{"asked": 1.0, "again": again}])["nodes"]["w"] == {**known, "reboots": 0}


def test_the_age_of_another_machine_is_none():
    [found] = node_reboot.facts(["w"], [{**WHOLE, "age": AGE + "other"}])["nodes"].values()
    assert "seconds" not in found and "is another machine" in found["missing"]["seconds"]


@pytest.mark.parametrize(("says", "obeys"), [("the-node", True), ("another", False), ("", False)])
def test_only_the_machine_with_the_boot_id_reboots(tmp_path, says, obeys):
    """The command of the task itself, where every program is ours: the inventory may lead anywhere, also to this machine."""
    tasks = yaml.safe_load((ROLE / "tasks" / "reboot_ask.yml").read_text(encoding="utf-8"))
    [command] = [task["ansible.builtin.raw"] for task in tasks if "ansible.builtin.raw" in task]
    command = command.replace("{{ __apiserver_drained.before.boot_id | quote }}", "the-node")
    programs = {"cat": f"echo {says}", "sleep": "exit 0", "systemctl": f"echo asked >{tmp_path}/asked", "shutdown": "exit 1", "nohup": 'exec "$@"',
                "sh": 'exec /bin/sh "$@"'}  # fmt: skip
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(["/bin/sh", "-c", command + " wait"], env={"PATH": str(tmp_path)}, check=False)
    assert done.returncode == (0 if obeys else 3) and (tmp_path / "asked").exists() is obeys


CATALOGUE = {name: check for name, check in yaml.safe_load(CHECKS.read_text(encoding="utf-8"))["apiserver_checks"].items()
             if name.startswith(("apiserver_reboot", "apiserver_node_ready"))}  # fmt: skip
GOOD = {**WHOLE, "age": WHOLE["age"].replace("2960749", "3050000")}


def judged(asked, measured):
    facts = {"cluster": {"prod": {"reboot": node_reboot.facts(asked, measured)}}}
    return checks.judge(CATALOGUE, facts, "apiserver", "load", {"cluster": ["prod"]})


@pytest.mark.parametrize("part", [*WHOLE, None])
def test_what_is_not_known_is_not_there_and_never_makes_it_better(part):
    asked, others = ["u", "v", "w", "w"], [GOOD, GOOD, GOOD]
    assert checks.verdict(judged(asked, [*others, GOOD]))["verdict"] == "PASS"
    damaged = [*others, {key: value for key, value in GOOD.items() if key != part}] if part else others
    assert checks.verdict(judged(asked, damaged))["verdict"] == ("PASS" if part == "asked" else "INCONCLUSIVE")


@pytest.mark.parametrize(("asked", "result"), [(["u"], "INCONCLUSIVE"), (["u", "u"], "INCONCLUSIVE"), (["u", "v", "w"], "PASS"), (["u", "u", "u"], "PASS")])
def test_fewer_than_three_reboots_prove_nothing(asked, result):
    """The catalogue's floor: node.ready_after_reboot, min_samples."""
    found = [one for one in judged(asked, [GOOD] * len(asked)) if one["id"] == "apiserver_node_ready"]
    assert {(one["result"], one["samples"]) for one in found} == {(result, len(asked))}
    assert all((f"Too few samples: {len(asked)} of at least 3" in one["reason"]) is (result != "PASS") for one in found)


def test_a_reboot_that_was_not_measured_is_no_sample():
    slow = [GOOD, GOOD, {**GOOD, "age": ""}]
    assert {one["result"] for one in judged(["u", "v", "w"], slow) if one["id"] == "apiserver_node_ready"} == {"INCONCLUSIVE"}
