# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the tuning's document that concern the whole cluster. Pure; runs on the controller only."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping
from typing import Any, Dict, List, Optional

from . import tuning_known, tuning_units
from .tuning_nodes import modern
from .tuning_objects import named

# One CoreDNS for so many nodes, or processors: the defaults of the cluster proportional autoscaler.
NODES_PER_DNS, CPUS_PER_DNS = 16, 256
# Memory of CoreDNS by pods and Services, and half as much again: (byte for each, byte).
DNS_MEMORY, DNS_MEMORY_AUTOPATH, DNS_SPARE = (858, 49100000), (2500, 50500000), 1.5
# How many minor versions a component may be older than the API server.
SKEW = {"kubelet": 3, "manager": 1, "scheduler": 1}
PROXY_MODES = {"": "iptables"}
SOON = 1


def scale(cluster: Mapping, planned: int) -> Dict[str, Any]:
    """Return {nodes, pods, pods_per_node, services, namespaces, apiservers, zones}; the planned nodes where they are more."""
    found = dict(cluster.get("counts") or {})
    nodes = cluster.get("nodes")
    if nodes is not None:
        found["nodes"] = max(len(nodes), planned)
        found["zones"] = len({node["zone"] for node in nodes.values()} - {""})
        if "pods" in found and nodes:
            found["pods_per_node"] = found["pods"] / len(nodes)
    if "apiservers" in cluster:
        found["apiservers"] = cluster["apiservers"]
    return found


def sections(cluster: Mapping, why: str, hosts: Mapping, document: Mapping) -> Dict[str, Any]:
    """Return {cluster, coredns, proxy, agents, webhooks, classes, drivers}; without a cluster only what the hosts tell."""
    if why:
        empty: Dict[str, Any] = {name: {"missing": {"": why}} for name in ("coredns", "proxy", "cluster")}
        empty["cluster"].update(_of_hosts(cluster, hosts, document))
        return {**empty, **{name: {"every one": {"missing": {"": why}}} for name in ("agents", "webhooks", "classes", "drivers")}}
    missing = cluster.get("missing") or {}
    nodes = cluster.get("nodes") or {}
    found: Dict[str, Any] = {
        "cluster": {**_cluster(cluster, nodes, hosts), **_of_hosts(cluster, hosts, document)},
        "coredns": coredns(cluster, document["scale"], nodes),
        "proxy": proxy(cluster, nodes),
        "webhooks": cluster.get("webhooks"),
        "agents": _agents(cluster),
        "classes": (cluster.get("storage") or {}).get("classes"),
        "drivers": cluster.get("csi"),
    }
    for name, source in (("webhooks", "webhooks"), ("agents", "workloads"), ("classes", "storage"), ("drivers", "csi")):
        # An empty map is a fact here: there is none.
        found[f"{name}_count"] = None if found[name] is None else len(found[name])
        if found[name] is None:
            found[name] = {"every one": {"missing": {"": missing.get(source, "it was not asked")}}}
    return {name: value for name, value in found.items() if value is not None}


def _agents(cluster: Mapping) -> Optional[Dict[str, dict]]:
    own = (cluster.get("workloads") or {}).get("agents")
    return None if own is None else {name: {**one, "share": one["ready"] / one["wanted"] if one["wanted"] else 1} for name, one in own.items()}


# Where each fact of the whole cluster comes from.
SOURCES = {
    "not_ready": "nodes",
    "pressed": "nodes",
    "untainted": "nodes",
    "plane_zones": "nodes",
    "compact_jobs": "jobs",
    "defrag_jobs": "jobs",
    "without_requests": "addons",
    "monitored": "workloads",
    "node_local_dns": "workloads",
    "default_classes": "storage",
    "removed_volumes": "volumes",
    "volume_options": "volumes",
    "most_objects": "metrics",
    "events": "metrics",
    "alpha": "metrics",
    "removed_apis": "metrics",
    "prefer_close": "services",
    "services_in_namespace": "services",
    "deployments_in_namespace": "workloads",
    "kubeadm_differs": "kubeadm",
    "policies_kept": "policies",
    "manager_renewed": "leases",
    "scheduler_renewed": "leases",
}


def _cluster(cluster: Mapping, nodes: Mapping, hosts: Mapping) -> Dict[str, Any]:
    """Return what is one for the whole cluster; a fact whose source could not be read is named in `missing`."""
    version = tuning_units.version(cluster.get("version"))
    why = tuning_known.unknown("Kubernetes", version, tuning_known.KUBERNETES, str(cluster.get("version") or ""))
    found: Dict[str, Any] = {} if why else {"supported": version[1] >= tuning_known.SUPPORTED, "version": ".".join(map(str, version)), "minor": version[1]}
    workloads, services, storage, volumes, jobs, leases = (
        cluster.get(name) or {} for name in ("workloads", "services", "storage", "volumes", "jobs", "leases")
    )
    planes = {name: node for name, node in nodes.items() if node["control_plane"]}
    metrics = cluster.get("metrics") or {}
    found.update(
        not_ready=named(name for name, node in nodes.items() if not node["ready"]) if nodes else None,
        pressed=named(f"{name}: {', '.join(node['pressures'])}" for name, node in nodes.items() if node["pressures"]) if nodes else None,
        planes=len(planes) if nodes else None,
        untainted=named(name for name, node in planes.items() if not node["tainted"]) if nodes else None,
        plane_zones=len({node["zone"] for node in planes.values()} - {""}) if nodes else None,
        unavailable_apis=cluster.get("unavailable_apis"),
        stuck_budgets=cluster.get("stuck_budgets"),
        pending_requests=cluster.get("pending_requests"),
        compact_jobs=jobs.get("compact"),
        defrag_jobs=jobs.get("defrag_all"),
        without_requests=(cluster.get("addons") or {}).get("without_requests"),
        monitored=workloads.get("monitored"),
        node_local_dns=workloads.get("node_local_dns"),
        calico=None if not workloads else any("calico" in name for name in workloads["agents"]),
        typha=workloads.get("typha"),
        policies_kept=_policies_kept(cluster.get("policies"), workloads.get("agents")),
        prefer_close=services.get("prefer_close"),
        services_in_namespace=services.get("in_namespace"),
        deployments_in_namespace=workloads.get("in_namespace"),
        kubeadm=None if cluster.get("kubeadm") is None else bool(cluster["kubeadm"]),
        kubeadm_differs=_kubeadm_differs(cluster, hosts),
        default_classes=storage.get("default_classes"),
        removed_volumes=volumes.get("removed"),
        volume_options=volumes.get("options"),
        most_objects=_most(metrics.get("objects")),
        events=(metrics.get("objects") or {}).get("events"),
        alpha=metrics.get("alpha"),
        removed_apis=_removed(metrics.get("deprecated"), version),
        manager_renewed=leases.get("manager"),
        scheduler_renewed=leases.get("scheduler"),
    )
    reasons = cluster.get("missing") or {}
    told = {name: reasons[SOURCES.get(name, name)] for name, value in found.items() if value is None and SOURCES.get(name, name) in reasons}
    found["missing"] = {**told, **({"supported": why} if why else {})}
    return {name: value for name, value in found.items() if value is not None}


# What kubeadm's ConfigMap says of networks, and the flag that says it to a component.
SUBNETS = (("podSubnet", "manager", "cluster-cidr"), ("serviceSubnet", "apiserver", "service-cluster-ip-range"))


def _kubeadm_differs(cluster: Mapping, hosts: Mapping) -> Optional[List[str]]:
    """Return what the ConfigMap of kubeadm, from which the next upgrade starts, says other than what runs."""
    own = cluster.get("kubeadm")
    if own is None:
        return None
    found, networking = [], own.get("networking") or {}
    if own.get("version") and tuning_units.version(own["version"]) != tuning_units.version(cluster.get("version")):
        found.append(f"kubernetesVersion {own['version']}, but {cluster.get('version')} runs")
    for key, component, flag in SUBNETS:
        running = {process["flags"].get(flag) for host in hosts.values() for process in host["processes"].get(component, ())} - {None}
        found += [f"{key} {networking[key]}, but --{flag}={value} runs" for value in sorted(running) if networking.get(key) and value != networking[key]]
    return named(found)


def _policies_kept(policies: Optional[bool], agents: Optional[Mapping]) -> Optional[bool]:
    """Return whether NetworkPolicies are kept: Flannel alone does not know them."""
    if policies is None or agents is None:
        return None
    return not policies or not agents or not all("flannel" in name for name in agents)


def _most(objects: Optional[Mapping]) -> Optional[float]:
    """Return how many objects the most numerous built-in type has, events aside."""
    return max((value for name, value in (objects or {}).items() if name.split(".")[0] != "events"), default=None)


def _removed(deprecated: Optional[List[Mapping]], version: Any) -> Optional[List[str]]:
    """Return the APIs that are used and that the next minor version does not have."""
    if deprecated is None or version is None:
        return None
    found = []
    for one in deprecated:
        parts = (one.get("removed") or "").split(".")
        if len(parts) == 2 and all(part.isdigit() for part in parts) and (int(parts[0]), int(parts[1])) <= (version[0], version[1] + SOON):
            found.append(one["resource"].strip("/"))
    return named(found)


def _of_hosts(cluster: Mapping, hosts: Mapping, document: Mapping) -> Dict[str, Any]:
    """Return what several hosts together tell: {etcd_members, collector_equal, compactions, compact_scripts, defrag_scripts, cidr_room, instances}."""
    servers, managers, members = ({name: one for name, one in document[part].items() if "settings" in one} for part in ("apiserver", "manager", "etcd"))
    found: Dict[str, Any] = {}
    counts = [one["live"]["member_count"] for one in members.values() if "member_count" in one.get("live", {})]
    if counts:
        found["etcd_members"] = max(counts)
    if servers and managers:
        found["collector_equal"] = len({one.get("collector") for one in [*servers.values(), *managers.values()]}) == 1
    scripts = [host["etcd_jobs"] for host in hosts.values() if "etcd_jobs" in host]
    if scripts:
        for name in ("compact", "defrag_all"):
            own = (f"{host} {path}" for host, facts in hosts.items() for path in facts.get("etcd_jobs", {}).get(name, ()))
            found[f"{name}_scripts"] = named(own)
    for one in managers.values():
        found.update(_room(one["settings"], document["scale"], cluster))
    for component in ("manager", "scheduler"):
        running = [one for one in document[component].values() if "where" in one]
        instances = len((cluster.get("instances") or {}).get(component) or ())
        if running or instances:
            found[f"{component}s"] = max(len(running), instances)
    return found


def _room(settings: Mapping, sizes: Mapping, cluster: Mapping) -> Dict[str, Any]:
    """Return {cidr_room}: for how many times the nodes the range of pod addresses has blocks."""
    if not settings["allocate_node_cidrs"] or not sizes.get("nodes"):
        return {"cidr_allocated": bool(settings["allocate_node_cidrs"])}
    try:
        network = ipaddress.ip_network(settings["cluster_cidr"].split(",")[0])
    except ValueError:
        return {"cidr_allocated": True}
    mask = settings["node_cidr_mask_size"] or settings["node_cidr_mask_size_ipv4"] or (24 if network.version == 4 else 64)
    return {"cidr_allocated": True, "cidr_room": 2 ** max(0, mask - network.prefixlen) / sizes["nodes"]}


# CoreDNS and kube-proxy -----------------------------------------------------------------------------------------------------


def coredns(cluster: Mapping, sizes: Mapping, nodes: Mapping) -> Dict[str, Any]:
    """Return the facts of CoreDNS beside what the cluster's size asks for."""
    dns = cluster.get("dns")
    if dns is None:
        return {"missing": {"": (cluster.get("missing") or {}).get("dns", "CoreDNS was not asked")}}
    found: Dict[str, Any] = {"missing": {}, **{name: value for name, value in dns.items() if name != "corefile"}}
    corefile = dns.get("corefile")
    if corefile is None:
        found["missing"]["corefile"] = "the ConfigMap coredns has no Corefile"
    elif "error" in corefile:
        found["missing"]["corefile"] = f"CoreDNS would not start with this Corefile: {corefile['error']}"
    else:
        found["corefile"] = corefile
        if corefile["unknown"]:
            found["missing"]["corefile"] = corefile["unknown"]
    if nodes and sizes.get("nodes"):
        cpus = sum(node.get("cpus", 0) for node in nodes.values())
        found["wanted"] = max(2, math.ceil(sizes["nodes"] / NODES_PER_DNS), math.ceil(cpus / CPUS_PER_DNS))
        found["replicas_share"] = dns.get("ready", 0) / found["wanted"]
    if "pods" in sizes and "services" in sizes and "memory_limit" in found:
        each, base = DNS_MEMORY_AUTOPATH if (corefile or {}).get("autopath") else DNS_MEMORY
        found["memory_share"] = found["memory_limit"] / (DNS_SPARE * ((sizes["pods"] + sizes["services"]) * each + base))
    return found


def proxy(cluster: Mapping, nodes: Mapping) -> Dict[str, Any]:
    """Return {mode, present, implementations, old_kernels, sync, per_core, least} of kube-proxy."""
    found: Dict[str, Any] = {"missing": {}}
    own, workloads = cluster.get("proxy"), cluster.get("workloads")
    if own is None or workloads is None:
        return {"missing": {"": (cluster.get("missing") or {}).get("proxy") or (cluster.get("missing") or {}).get("workloads") or "kube-proxy was not asked"}}
    config = own.get("config")
    why = tuning_known.unknown("Kubernetes", tuning_units.version(cluster.get("version")), tuning_known.KUBERNETES, str(cluster.get("version") or ""))
    if why:
        # What an empty setting means, and which modes there are, depends on it.
        return {"missing": {"": why}}
    found["present"] = bool(workloads["proxies"]) or config is not None
    found["implementations"] = len(workloads["proxies"]) + own["cilium_replaces"]
    if config is None:
        found["missing"]["mode"] = "there is no ConfigMap kube-proxy"
        return found
    mode = PROXY_MODES.get(config.get("mode") or "", config.get("mode"))
    found["mode"] = mode
    found["old_kernels"] = named(name for name, node in nodes.items() if modern(node.get("kernel")) is False)
    found["sync"] = tuning_units.seconds((config.get(mode) or {}).get("minSyncPeriod") or "0s")
    # 0 in the ConfigMap is what kubeadm writes for "not set"; null too.
    conntrack = config.get("conntrack") or {}
    found["per_core"] = conntrack.get("maxPerCore") if conntrack.get("maxPerCore") is not None else 32768
    found["least"] = conntrack.get("min") if conntrack.get("min") is not None else 131072
    return {name: value for name, value in found.items() if value is not None}


# Versions -------------------------------------------------------------------------------------------------------------------


def skew(document: Mapping, nodes: Mapping, minor: Optional[int]) -> Dict[str, List[str]]:
    """Return {component: [what is newer, or too much older, than the oldest API server]}."""
    servers = [one["minor"] for one in document["apiserver"].values() if "minor" in one] or ([minor] if minor is not None else [])
    if not servers:
        return {}
    oldest, newest = min(servers), max(servers)
    found = {"apiserver": [f"1.{oldest} and 1.{newest}"] if newest - oldest > 1 else []}
    seen: Dict[str, Dict[str, int]] = {
        name: {host: one["minor"] for host, one in document[name].items() if "minor" in one} for name in ("manager", "scheduler")
    }
    own = {name: tuning_units.version(node.get("kubelet")) for name, node in nodes.items()}
    seen["kubelet"] = {name: version[1] for name, version in own.items() if version}
    for component, versions in seen.items():
        if versions:
            found[component] = named(f"{name} 1.{one}" for name, one in versions.items() if one > oldest or newest - one > SKEW[component])
    return found
