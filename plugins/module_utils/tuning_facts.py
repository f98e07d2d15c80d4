# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The document that the tuning rules ask, from what the hosts and the cluster said. Pure; runs on the controller only.

`measured` {hosts: {host: facts of host_config}, errors: {host: why it has none}, expected: {etcd, control_plane, nodes: [hosts]},
            cluster: facts of cluster_config, cluster_error: why there are none, managed: reason or "", nodes: how many are planned, 0 for none}.
Equal entries are one, so that a thousand equal kubelets are one finding. What is not known is left out, and `missing` {path: sentence} says why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Callable, Dict, List

from . import tuning_cluster, tuning_components, tuning_drift, tuning_nodes, tuning_units

CONTROL_PLANE = ("apiserver", "manager", "scheduler")
MAKE = {
    "apiserver": tuning_components.apiserver,
    "manager": tuning_components.manager,
    "scheduler": tuning_components.scheduler,
    "etcd": tuning_components.members,
}
# Facts of the whole cluster that hosts tell.
OF_HOSTS = ("collector_equal", "compact_scripts", "defrag_all_scripts", "etcd_members", "cidr_room", "managers", "schedulers")
NO_CLUSTER = "certify_kubeconfig is empty, so the cluster was not asked"


def cluster_facts(measured: Mapping) -> Dict[str, Any]:
    """Return the document."""
    hosts, expected = measured.get("hosts") or {}, measured.get("expected") or {}
    cluster = measured.get("cluster") or {}
    why = measured.get("cluster_error") or ("" if cluster else NO_CLUSTER)
    missing = dict(cluster.get("missing") or {})
    images = cluster.get("instances") or {}
    document: Dict[str, Any] = {"managed": bool(measured.get("managed")), "missing": missing}
    document["scale"] = tuning_cluster.scale(cluster, measured.get("nodes") or 0)

    def entries(component: str, group: str, make: Callable) -> Dict[str, dict]:
        """Return {host: facts} of a component on the hosts that are expected to have it, or that have it."""
        own = list(expected.get(group) or ())
        own += [name for name, host in hosts.items() if component in host["processes"] and name not in own]
        return {name: make(hosts[name]) if name in hosts else _lost(measured, name) for name in own}

    def running(component: str) -> Callable:
        """Return the function that makes the facts of a component from a host's, with the image that the cluster says it runs."""
        own = images.get(component) or {}
        return lambda host: MAKE[component](host, own.get(host["name"], ""))

    for component in CONTROL_PLANE:
        document[component] = entries(component, "control_plane", running(component))
    document["etcd"] = _members(entries("etcd", "etcd", running("etcd")))
    document["etcd"] = {name: tuning_nodes.sized(facts, hosts.get(facts.pop("host", ""), {}), document["scale"]) for name, facts in document["etcd"].items()}
    minor = (tuning_units.version(cluster.get("version")) or (1, None, 0))[1]
    nodes = cluster.get("nodes") or {}
    document["containerd"] = folded(entries("containerd", "nodes", lambda host: tuning_nodes.containerd(host, cluster, minor)))
    document["kubelet"] = folded(tuning_nodes.kubelets(cluster, why, expected.get("nodes") or (), hosts))
    document["kubelet_files"] = folded(entries("kubelet", "nodes", lambda host: tuning_nodes.kubelet_file(host, cluster)))
    everywhere = list(dict.fromkeys([*(expected.get("control_plane") or ()), *(expected.get("etcd") or ()), *(expected.get("nodes") or ()), *hosts]))
    document["kernel"] = folded({name: tuning_nodes.kernel(hosts[name], cluster) if name in hosts else _lost(measured, name) for name in everywhere})
    document["machine"] = {name: tuning_nodes.machine(hosts[name]) if name in hosts else _lost(measured, name) for name in everywhere}
    document["certificates"] = folded(
        {name: tuning_nodes.certificates(hosts[name]) if name in hosts else _lost(measured, name) for name in everywhere}, seconds=86400
    )
    document.update(tuning_cluster.sections(cluster, why, hosts, document))
    document["drift"] = drift(hosts, document)
    document["skew"] = tuning_cluster.skew(document, nodes, minor)
    document["problems"] = [f"{name}: {problem}" for name, host in sorted(hosts.items()) for problem in host.get("problems") or ()]
    for part in ("cluster", "coredns", "proxy"):
        # These have no entries that could say why something is missing.
        missing.update((f"{part}.{name}".rstrip("."), reason) for name, reason in document[part].pop("missing", {}).items())
    for part, reason in _absent(document, measured).items():
        missing.setdefault(part, reason)
    return document


def _lost(measured: Mapping, name: str) -> Dict[str, Any]:
    return {"missing": {"": (measured.get("errors") or {}).get(name) or f"{name} was not read"}}


def _members(found: Mapping) -> Dict[str, dict]:
    """Return {member: facts} from {host: {member: facts}}; a host with one member gives its name."""
    members = {}
    for host, own in found.items():
        if "missing" in own:
            members[host] = own
            continue
        for name, facts in own.items():
            members[host if len(own) == 1 else f"{host} {name}"] = {**facts, "host": host}
        if not own:
            members[host] = {"missing": {"": "etcd does not run on this host"}}
    return members


def _absent(document: Mapping, measured: Mapping) -> Dict[str, str]:
    """Return why a whole part is empty, and why what only hosts tell is not there; it says nothing of what is."""
    unread = "none of the hosts that would tell it was read"
    found = dict.fromkeys(("drift", "skew", *(f"cluster.{name}" for name in OF_HOSTS)), unread)
    groups = {"etcd": "etcd", "apiserver": "kube_control_plane", "manager": "kube_control_plane", "scheduler": "kube_control_plane", "containerd": "kube_node"}
    return {**found, **{part: f"the inventory has no host in the group {group}" for part, group in groups.items() if not document.get(part)}}


def natural(name: str) -> list:
    """Return a sort key that puts node2 before node10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", name)]


def folded(entries: Mapping[str, dict], seconds: int = 0) -> Dict[str, dict]:
    """Return the entries with those that are equal as one, named by its first and how many more; `hosts` in it has all names.

    `seconds` is the step in which numbers of seconds count as equal.
    """
    groups: Dict[str, List[str]] = {}
    for name, facts in entries.items():
        same = {key: round(value / seconds) if seconds and key.endswith("_seconds") else value for key, value in facts.items()}
        groups.setdefault(json.dumps(same, sort_keys=True, default=str), []).append(name)
    found = {}
    for names in groups.values():
        names = sorted(names, key=natural)
        title = " ".join(names) if len(names) < 3 else f"{names[0]} and {len(names) - 1} more"
        found[title] = {**entries[names[0]], "hosts": names}
    return found


def drift(hosts: Mapping, document: Mapping) -> Dict[str, List[str]]:
    """Return {component: [settings that are not the same on all its hosts]}; a component of which nothing is known is left out."""
    flags = {
        component: {name: host["processes"][component][0]["flags"] for name, host in hosts.items() if component in host["processes"]}
        for component in (*CONTROL_PLANE, "kubelet")
    }
    flags["etcd"] = {name: facts["given"] for name, facts in document["etcd"].items() if "given" in facts}
    flags["kernel"] = {name: _plain(host["node"].get("sysctl") or {}) for name, host in hosts.items() if "node" in host}
    flags["containerd"] = {name: _plain(host["containerd"]) for name, host in hosts.items() if "containerd" in host}
    return {component: tuning_drift.differences(values) for component, values in flags.items() if values}


# Counters, and what follows from the size of a machine.
MEASURED = frozenset((
    "changed", "net.netfilter.nf_conntrack_count", "net.netfilter.nf_conntrack_max", "kernel.threads-max", "fs.inotify.max_user_watches", "fs.file-max",
    "kernel.pid_max", "net.ipv4.tcp_mem",
))  # fmt: skip


def _plain(settings: Mapping) -> Dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in MEASURED and not isinstance(value, Mapping)}
