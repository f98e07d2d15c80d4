# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be rebooted, what has to leave before, and what has to be there again afterwards. Pure; runs on the controller only."""

from __future__ import annotations

import ipaddress
import re
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Dict, List, Optional

from . import owned

# Whose the cordon is, so that only our own is taken away, also after a run that was killed.
LABEL = "kubeproof.io/cordoned"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
COMPONENT = "component"
MIRROR = "kubernetes.io/config.mirror"
ENDED = ("Succeeded", "Failed")
SHOWN = 3
UNASKED = "no node is named in certify_reboot_nodes"
# Clock ticks of /proc, the same on every Linux that runs Kubernetes.
TICKS = 100
UPTIME = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?)\s+[0-9.]+\s*$", re.MULTILINE)
FIRST = re.compile(r"^1 \(.*\) (.*)$", re.MULTILINE)


def ready(item: Mapping) -> bool:
    """Say whether a node or a pod has the condition Ready."""
    conditions = (item.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def boot_id(node: Mapping) -> str:
    """Return what the kubelet says of the boot of its node; "" when it does not."""
    return ((node.get("status") or {}).get("nodeInfo") or {}).get("bootID") or ""


def cordoned(node: Mapping) -> bool:
    return bool((node.get("spec") or {}).get("unschedulable"))


def cordoned_by(node: Mapping) -> str:
    """Return the run that cordoned a node; "" where it was none."""
    return ((node.get("metadata") or {}).get("labels") or {}).get(LABEL) or ""


def cordon(run_id: Optional[str]) -> Dict[str, Any]:
    """Return the patch that cordons a node for a run, or uncordons it with None."""
    return {"metadata": {"labels": {LABEL: run_id}}, "spec": {"unschedulable": True if run_id else None}}


def refusal(name: str, nodes: Sequence[Mapping], system: Iterable[Mapping], members: Sequence[Mapping]) -> str:
    """Return why a node must not be rebooted, or "".

    `nodes`: every node; `system`: the pods of kube-system that are API servers and members of etcd; `members`: those of etcd that the inventory knows,
    {cluster, name, address, boot_id} of a host, or {cluster, address} of a client URL.
    """
    node = next((one for one in nodes if one["metadata"]["name"] == name), None)
    if node is None:
        known = sorted(one["metadata"]["name"] for one in nodes)
        return f"the cluster has no node of this name; its nodes are {_names(known)}"
    if not ready(node):
        return "it is not Ready, so that its return could not be told; repair it first"
    if cordoned(node):
        return "it is cordoned already, by somebody who may work on it; uncordon it first"
    if not boot_id(node):
        return "its kubelet does not say a boot id (status.nodeInfo.bootID), so that a reboot could not be told"
    system = list(system)
    servers = [pod for pod in system if _component(pod) == "kube-apiserver"]
    if CONTROL_PLANE in (node["metadata"].get("labels") or {}) or name in map(_node, servers):
        others = [one["metadata"]["name"] for one in nodes if one is not node and CONTROL_PLANE in (one["metadata"].get("labels") or {}) and ready(one)]
        # Where API servers are pods, a Ready node is not enough.
        others = [one for one in others if not servers or one in [_node(pod) for pod in servers if ready(pod)]]
        if not others:
            return "it is the last healthy node of the control plane"
    return _last_member(name, nodes, [pod for pod in system if _component(pod) == "etcd"], members)


def _last_member(name: str, nodes: Sequence[Mapping], pods: Sequence[Mapping], members: Sequence[Mapping]) -> str:
    """Return why etcd would not survive the reboot of a node, or ""."""
    places = {one["metadata"]["name"]: {member["cluster"] for member in members if _is(member, one)} for one in nodes}
    its = sorted(places[name])
    own = [pod for pod in pods if _node(pod) == name]
    if not own:
        if its:
            return f"it is a host of etcd ({', '.join(its)}) whose members are no pods, so that the health of the others is not seen here; reboot it by hand"
        # Whoever does not say which machine it is, and is known as no other node, may be this one.
        silent = [one["name"] for one in members if one.get("boot_id") == "" and not any(_is(one, node) for node in nodes)]
        return f"it may be a host of etcd, since {_names(silent)} did not say its boot id; correct its address in the inventory" if silent else ""
    if len(own) > 1 or len(its) > 1:
        return "it has members of several clusters of etcd, whose health cannot be told apart here; reboot it by hand"
    if its:
        # Pods of another cluster of etcd are no members of this one.
        pods = [pod for pod in pods if not places.get(_node(pod)) or its[0] in places[_node(pod)]]
    healthy = [pod for pod in pods if ready(pod) and _node(pod) != name]
    # A node that was deleted takes its pod away, and not its member: the members that the inventory names count as well.
    named = [one["cluster"] for one in members]
    count = max([len(pods), *(named.count(cluster) for cluster in its or set(named))])
    quorum = count // 2 + 1
    if len(healthy) < quorum:
        return f"it has a member of etcd, and of the {count} members {len(healthy)} others are healthy, while {quorum} make a quorum"
    return ""


def _is(member: Mapping, node: Mapping) -> bool:
    """Say whether a member of etcd is on a node, by its boot id, its name or its address: an inventory may call a host as it likes."""
    addresses = (one.get("address") for one in (node.get("status") or {}).get("addresses") or ())
    known = {_place(text) for text in (node["metadata"]["name"], *addresses)}
    return boot_id(node) in str(member.get("boot_id") or "").split() or any(_place(member.get(key)) in known for key in ("name", "address") if member.get(key))


def _place(text: Any) -> str:
    """Return a name in small letters, an IP address in its usual form; of a URL, those of its host."""
    text = str(text or "")
    try:
        text = urllib.parse.urlsplit(text).hostname or "" if "://" in text else text
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text.lower()


def _component(pod: Mapping) -> str:
    return (pod["metadata"].get("labels") or {}).get(COMPONENT) or ""


def _node(pod: Mapping) -> str:
    return (pod.get("spec") or {}).get("nodeName") or ""


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def name_of(pod: Mapping) -> str:
    return f"{pod['metadata'].get('namespace')}/{pod['metadata']['name']}"


def controller(pod: Mapping) -> Optional[Mapping]:
    """Return the owner that makes a pod anew, or None."""
    return next((one for one in pod["metadata"].get("ownerReferences") or () if one.get("controller")), None)


def leaving(pods: Iterable[Mapping], delete_emptydir: bool) -> List[Mapping]:
    """Return the pods of a node that have to be evicted; ValueError names those that would be lost for good.

    Pods of the node itself (mirrors of files, DaemonSets) stay, and those that have ended are no load.
    """
    found = [pod for pod in pods if not _stays(pod)]
    lost = [name_of(pod) for pod in found if controller(pod) is None]
    if lost:
        raise ValueError(f"{_names(lost)} would not come back, since no controller made it; delete it, or give it one")
    kept = [name_of(pod) for pod in found if any("emptyDir" in volume for volume in (pod.get("spec") or {}).get("volumes") or ())]
    if kept and not delete_emptydir:
        raise ValueError(f"{_names(kept)} would lose the files of an emptyDir; set certify_reboot_emptydir: true if they may go")
    return found


def _stays(pod: Mapping) -> bool:
    owner = controller(pod)
    mirror = MIRROR in (pod["metadata"].get("annotations") or {})
    return mirror or (pod.get("status") or {}).get("phase") in ENDED or bool(owner and owner.get("kind") in ("DaemonSet", "Node"))


def wanted(name: str, pods: Iterable[Mapping]) -> Dict[str, Any]:
    """Return what has to be there again: {"<uid> <node or *>": {name, ready}}, from all pods of the cluster before the drain.

    Pods of DaemonSets and of the node itself come back on it; those of other controllers, anywhere.
    """
    found: Dict[str, Any] = {}
    counts = _ready_by_owner(name, pods)
    for key, (text, total, here) in counts.items():
        if here and total:
            found[key] = {"name": text, "ready": total}
    return found


def missing(name: str, pods: Iterable[Mapping], before: Mapping) -> List[str]:
    """Return what is not there again as it was, as sentences."""
    counts = _ready_by_owner(name, pods)
    again = {key: counts[key][1] if key in counts else 0 for key in before}
    return [f"{before[key]['name']} has {again[key]} of {before[key]['ready']} pods ready" for key in sorted(before) if again[key] < before[key]["ready"]]


def _ready_by_owner(name: str, pods: Iterable[Mapping]) -> Dict[str, tuple]:
    """Return {key: (name of the owner, its ready pods, those of them on the node)}."""
    found: Dict[str, tuple] = {}
    for pod in pods:
        owner = controller(pod)
        if owner is None or (pod.get("spec") or {}).get("restartPolicy", "Always") != "Always" or not ready(pod) or pod["metadata"].get("deletionTimestamp"):
            continue
        here = _node(pod) == name
        if owner["kind"] in ("DaemonSet", "Node"):
            if not here:
                continue
            # A static pod is known by its name: its owner is the node.
            key = f"{owner.get('uid')} {pod['metadata']['name'] if owner['kind'] == 'Node' else name}"
        else:
            key = f"{owner.get('uid')} *"
        text = f"{owner['kind']} {pod['metadata'].get('namespace')}/{owner['name'] if owner['kind'] != 'Node' else pod['metadata']['name']}"
        dummy, total, own = found.get(key, (text, 0, 0))
        found[key] = (text, total + 1, own + here)
    return found


def age(text: str) -> float:
    """Return for how many seconds a host has been up, from /proc/uptime and /proc/1/stat; ValueError when they are not there.

    A container is as old as its first process, and so is a machine to a second or two.
    """
    up, first = UPTIME.search(text), FIRST.search(text)
    fields = first.group(1).split() if first else []
    if not up or len(fields) < 20 or not fields[19].isdigit():
        raise ValueError("the host did not say since when it is up (/proc/uptime, /proc/1/stat)")
    seconds = float(up.group(1)) - int(fields[19]) / TICKS
    if seconds < 0:
        raise ValueError("the host's first process began after now (/proc/1/stat)")
    return seconds


def labelled(run_id: str) -> str:
    """Return the label selector of nodes that a run cordoned; of every run for '*'."""
    return LABEL if run_id == owned.EVERY_RUN else f"{LABEL}={run_id}"


def facts(asked: Sequence[str], measured: Sequence[Mapping]) -> Dict[str, Any]:
    """Return what the checks ask: {asked, nodes?: {name: {reboots, returned?, seconds?, since_asked?, evicted?, cordoned?, not_back?, pods_failed?}}}.

    `measured` [{drained, asked, again, ready, boot_id, read, age, back, pods}] of the tasks, in the order of `asked`; what is not known is absent. A node
    that was asked for again is there again, as "name (2)". `reboots`: how many have their seconds, of all nodes together.
    """
    nodes = {name: _node_facts(one) for name, one in zip_longest(_turns(asked), measured[: len(asked)], fillvalue={})}
    count = sum("seconds" in one for one in nodes.values())
    return {"asked": bool(asked), **({"nodes": {name: {**one, "reboots": count} for name, one in nodes.items()}} if nodes else {})}


def _turns(asked: Sequence[str]) -> List[str]:
    """Return a name for each reboot, of which no two are the same."""
    counts = [list(asked[: place + 1]).count(name) for place, name in enumerate(asked)]
    return [f"{name} ({count})" if count > 1 else name for name, count in zip(asked, counts)]


def _node_facts(one: Mapping) -> Dict[str, Any]:
    found: Dict[str, Any] = {}
    drained, again, back, pods = (one.get(key) or {} for key in ("drained", "again", "back", "pods"))
    if isinstance(again.get("returned"), bool):
        found["returned"] = again["returned"]
    if "evicted" in drained:
        found["evicted"] = drained["evicted"]
    if "ready" in one and "asked" in one:
        found["since_asked"] = round(float(one["ready"]) - float(one["asked"]), 2)
    if "ready" in one and "read" in one:
        try:
            if str(one.get("boot_id")) not in str(one.get("age")).split():
                raise ValueError("the host of this name in the inventory is another machine: its boot id is not that of the node")
            seconds = age(str(one.get("age"))) - (float(one["read"]) - float(one["ready"]))
            found.update({"seconds": round(seconds, 2)} if seconds > 0 else {})
        except ValueError as error:
            found["missing"] = {"seconds": str(error)}
    if isinstance(back.get("cordoned"), bool) and drained.get("before"):
        found["cordoned"] = back["cordoned"]
        found.update({"not_back": len(back["missing"]), "not_back_names": list(back["missing"])} if "ready" in one else {})
    if "failed" in pods:
        found["pods_failed"] = pods["failed"]
    return found
