# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubelets, containerd, kernels, machines and certificates of hosts, as the tuning rules ask for them. Pure; runs on the controller only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Dict, List, Optional

from . import tuning_known, tuning_units
from .tuning_drift import stale, unlike

# Pods on a node that the scalability thresholds are tested with: this many, and so many on each processor.
PODS, PODS_PER_CPU = 110, 10
SIGNALS = ("imagefs.available", "imagefs.inodesFree", "memory.available", "nodefs.available", "nodefs.inodesFree")
NODE_PORTS = (30000, 32767)
# What the kubelet sets itself unless protectKernelDefaults is set.
KUBELET_KERNEL = {"vm.overcommit_memory": 1, "vm.panic_on_oom": 0, "kernel.panic": 10, "kernel.panic_on_oops": 1}
# Flags of the kubelet that belong into its file.
FILE_FLAGS = frozenset((
    "cgroup-driver", "cluster-dns", "cluster-domain", "cpu-manager-policy", "enforce-node-allocatable", "event-qps", "eviction-hard", "feature-gates",
    "image-gc-high-threshold", "image-gc-low-threshold", "kube-api-burst", "kube-api-qps", "kube-reserved", "max-pods", "node-status-update-frequency",
    "pod-max-pids", "protect-kernel-defaults", "registry-burst", "registry-qps", "rotate-certificates", "serialize-image-pulls", "sync-frequency",
    "system-reserved", "topology-manager-policy",
))  # fmt: skip
# Nodes up to, CPUs, memory: the example sizes of etcd's hardware guide.
ETCD_SIZES = ((50, 2, 8), (250, 4, 16), (1000, 8, 32), (10**9, 16, 64))
GIGABYTE = 10**9
# Where kubeadm writes it.
KUBELET_FILE = "/var/lib/kubelet/config.yaml"


def sized(facts: Dict[str, Any], host: Mapping, scale: Mapping) -> Dict[str, Any]:
    """Return the facts of a member with its machine beside what the number of nodes asks for: {cpu_share, memory_share}."""
    node, nodes = host.get("node") or {}, scale.get("nodes")
    if nodes is None or "cpus" not in node or "memory" not in node:
        return facts
    cpus, memory = next((cpus, memory) for most, cpus, memory in ETCD_SIZES if nodes <= most)
    # The system keeps a part of a machine's memory for itself.
    return {**facts, "cpu_share": node["cpus"] / cpus, "memory_share": min(1.0, node["memory"] * 1.1 / (memory * GIGABYTE)) if node["memory"] else 0}


# The kubelet ----------------------------------------------------------------------------------------------------------------


def kubelets(cluster: Mapping, why: str, expected: Iterable, hosts: Mapping) -> Dict[str, dict]:
    """Return {node: facts} of the kubelets' effective configuration; the files of those `hosts` that were read say where it is written."""
    if why or "kubelets" not in cluster:
        reason = why or (cluster.get("missing") or {}).get("kubelets") or "the kubelets were not asked"
        return {name: {"missing": {"": reason}} for name in expected} or {"every node": {"missing": {"": reason}}}
    found = {name: {"missing": {"": reason}} for name, reason in (cluster.get("kubelets_failed") or {}).items()}
    files = {host["name"]: host["configs"]["kubelet"]["path"] for host in hosts.values() if "kubelet" in host["configs"]}
    # Not every host is read, as a rule, but all are made alike.
    usual = next(iter(files.values())) if len(set(files.values())) == 1 else KUBELET_FILE
    for group in cluster["kubelets"]:
        for name in group["nodes"]:
            found[name] = kubelet(group["config"], (cluster.get("nodes") or {}).get(name) or {}, files.get(name, usual))
    return found


def kubelet(config: Mapping, node: Mapping, where: str = KUBELET_FILE) -> Dict[str, Any]:
    """Return the facts of one kubelet from its effective configuration and its node."""
    version = tuning_units.version(node.get("kubelet"))
    why = tuning_known.unknown("the kubelet", version, tuning_known.KUBERNETES, str(node.get("kubelet") or ""))
    if why:
        return {"missing": {"": why}}
    most, hard = config.get("maxPods"), config.get("evictionHard") or {}
    facts: Dict[str, Any] = {
        "version": ".".join(map(str, version)),
        "minor": version[1],
        "where": where,
        "config": {name: value for name, value in config.items() if isinstance(value, (bool, int, float, str))},
        "gates_off": sorted(name for name, on in (config.get("featureGates") or {}).items() if on is False),
        "gates_set": sorted(config.get("featureGates") or {}),
        "signals_missing": [] if config.get("mergeDefaultEvictionSettings") else [name for name in SIGNALS if name not in hard],
        "enforced_blindly": [name for name in ("kube-reserved", "system-reserved")
                             if name in (config.get("enforceNodeAllocatable") or ()) and not config.get(f"{name[:-9]}ReservedCgroup")],
        "verbosity": (config.get("logging") or {}).get("verbosity", 0),
        "swap_behaviour": (config.get("memorySwap") or {}).get("swapBehavior") or "NoSwap",
        "parallel_pulls": config.get("maxParallelImagePulls") or 0,
        **_times(config),
        **_reserved(config),
        **_images(config, hard),
    }  # fmt: skip
    cpus, addresses = node.get("cpus"), node.get("pod_addresses")
    if isinstance(most, int) and most > 0:
        facts["pods_above"] = max(0, most - min(PODS, PODS_PER_CPU * int(cpus))) if cpus else None
        facts["pod_addresses"] = addresses
        if addresses:
            facts["addresses_share"] = (addresses - 3) / most
    return {name: value for name, value in facts.items() if value is not None}


TIMES = {
    "sync": "syncFrequency",
    "status_update": "nodeStatusUpdateFrequency",
    "status_report": "nodeStatusReportFrequency",
    "shutdown": "shutdownGracePeriod",
    "request_timeout": "runtimeRequestTimeout",
}


def _times(config: Mapping) -> Dict[str, Any]:
    return {name: tuning_units.seconds(config.get(key)) for name, key in TIMES.items()}


def _reserved(config: Mapping) -> Dict[str, Any]:
    """Return {reserved_memory (byte), reserved_cpu, reserved_disk}: what is kept from pods for the system and for Kubernetes."""
    found = {}
    for name, resource in (("reserved_memory", "memory"), ("reserved_cpu", "cpu"), ("reserved_disk", "ephemeral-storage")):
        found[name] = sum(tuning_units.quantity((config.get(key) or {}).get(resource)) or 0 for key in ("kubeReserved", "systemReserved"))
    return found


def _images(config: Mapping, hard: Mapping) -> Dict[str, Any]:
    """Return {collects_in_time}: whether images are collected before pods are evicted for want of disk."""
    high, least = config.get("imageGCHighThresholdPercent"), str(hard.get("imagefs.available", "0%"))
    if not isinstance(high, int) or not re.fullmatch(r"[0-9.]+%", least):
        return {}
    return {"collects_in_time": high <= 100 - float(least[:-1])}


def kubelet_file(host: Mapping, cluster: Mapping) -> Dict[str, Any]:
    """Return {where, stale, unlike, deprecated, missing} of the kubelet's process, its unit and its file."""
    process = next(iter(host["processes"].get("kubelet", ())), None)
    if process is None:
        return {"missing": {"": "the kubelet does not run on this host"}}
    unit = host["units"].get(process.get("unit", "")) or {}
    file = host["configs"].get("kubelet")
    facts: Dict[str, Any] = {"missing": {}, "deprecated": sorted(f"--{name}" for name in process["flags"] if name in FILE_FLAGS)}
    facts["where"] = file["path"] if file else unit.get("path", "the kubelet's unit")
    if unit:
        facts["stale"] = stale(process["flags"], unit["flags"], unit["path"]) + (
            [f"{unit['path']} has changed: systemctl daemon-reload"] if unit["reload"] else []
        )
    else:
        facts["missing"]["stale"] = "the unit of the kubelet was not found"
    running = next((group["config"] for group in cluster.get("kubelets") or () if host["name"] in group["nodes"]), None)
    if file and running:
        # Flags win over the file.
        facts["unlike"] = [one for one in unlike(file["settings"], running) if not _is_flag(one, process["flags"])]
    else:
        facts["missing"]["unlike"] = "the file of the kubelet was not read" if running else f"the kubelet of {host['name']} was not asked"
    return facts


def _is_flag(sentence: str, flags: Mapping) -> bool:
    name = sentence.split(" ")[0].split(".")[0].lower()
    return any(flag.replace("-", "") == name for flag in flags)


# containerd -----------------------------------------------------------------------------------------------------------------


def containerd(host: Mapping, cluster: Mapping, minor: Optional[int]) -> Dict[str, Any]:
    """Return the facts of the container runtime of a host: {runtime, version, state, settings, driver_equal, changed_since, disk, tasks, open_files}."""
    process = next(iter(host["processes"].get("containerd", ())), None)
    runtime = ((cluster.get("nodes") or {}).get(host["name"]) or {}).get("runtime", "").partition(":")[0]
    if process is None or runtime not in ("", "containerd"):
        return {"runtime": runtime} if runtime else {"missing": {"": "containerd does not run on this host"}}
    settings = host.get("containerd") or {}
    facts: Dict[str, Any] = {
        "runtime": "containerd",
        "missing": {},
        "where": settings.get("path", "/etc/containerd/config.toml"),
        "open_files": process.get("open_files"),
    }
    unit = host["units"].get(process.get("unit", ""))
    facts["tasks"] = unit["tasks"] if unit else None
    facts["disk"] = {
        key: value for key, value in host.get("disks", {}).get("images", {}).items() if key in ("filesystem", "network", "rotational", "scheduler")
    }
    facts["inodes_low"] = host.get("disks", {}).get("images", {}).get("inodes_free", 1) < 0.1
    version = tuning_units.version(host["versions"].get("containerd"))
    if version is None or version[0] not in tuning_known.CONTAINERD or version[1] > tuning_known.CONTAINERD[version[0]][1]:
        why = (
            "the version of containerd is not known"
            if version is None
            else f"containerd {'.'.join(map(str, version))} is newer than these rules know ({tuning_known.AS_OF})"
        )
        facts["missing"].update(dict.fromkeys(("state", "settings", "major"), why))
        return {name: value for name, value in facts.items() if value is not None}
    facts.update(version=".".join(map(str, version)), major=version[0])
    if minor is None:
        facts["missing"]["state"] = "the version of Kubernetes is not known"
    else:
        facts["state"] = tuning_known.containerd_state(version, minor)
    if "config_version" not in settings:
        told = (one.rstrip(".") for one in host.get("problems") or () if "containerd" in one.lower())
        facts["missing"]["settings"] = next(told, "containerd config dump could not be read")
        return {name: value for name, value in facts.items() if value is not None}
    facts["settings"] = {key: value for key, value in settings.items() if key not in ("changed", "path")}
    driver = settings.get("systemd_cgroup")
    config = next((group["config"] for group in cluster.get("kubelets") or () if host["name"] in group["nodes"]), None)
    wanted = (config or (host["configs"].get("kubelet") or {}).get("settings") or {}).get("cgroupDriver")
    if driver is not None and wanted:
        facts["driver_equal"] = driver == (wanted == "systemd")
    changed, started = settings.get("changed"), process.get("started")
    # What was written while it started is read.
    facts["changed_since"] = bool(changed and started and changed > started + 60)
    return {name: value for name, value in facts.items() if value is not None}


# Kernel and machine ---------------------------------------------------------------------------------------------------------


def kernel(host: Mapping, cluster: Mapping) -> Dict[str, Any]:
    """Return the kernel's settings of a host, those that hosts of one kind have in common."""
    node = host.get("node") or {}
    own = {name.replace(".", "_").replace("-", "_"): value for name, value in (node.get("sysctl") or {}).items()}
    role = "node" if "kubelet" in host["processes"] else "etcd" if "etcd" in host["processes"] else "other"
    facts: Dict[str, Any] = {"role": role, "control_plane": "apiserver" in host["processes"] or "etcd" in host["processes"]}
    facts["sysctl"] = {name: value for name, value in own.items() if name != "net_netfilter_nf_conntrack_count"}
    facts["kubelet_differs"] = sorted(f"{name} = {value}" for name, value in (node.get("sysctl") or {}).items() if KUBELET_KERNEL.get(name, value) != value)
    ports = own.get("net_ipv4_ip_local_port_range")
    if isinstance(ports, list) and len(ports) == 2:
        low, high = ports
        facts["ports"] = high - low + 1
        reserved = "net_ipv4_ip_local_reserved_ports" in own
        facts["node_ports_open"] = 0 if reserved else max(0, min(high, NODE_PORTS[1]) - max(low, NODE_PORTS[0]) + 1)
    for name in ("tcp_rmem", "tcp_wmem"):
        value = own.get(f"net_ipv4_{name}")
        facts[name] = value[-1] if isinstance(value, list) and value else None
    for name in ("cgroup", "transparent_hugepages", "huge_pages", "kernel"):
        facts[name] = node.get(name)
    if "governors" in node:
        facts.update(governed=bool(node["governors"]), slow_governors=[name for name in node["governors"] if name != "performance"])
    facts["bridge_filter"] = {0: "off", 1: "on"}.get(own.get("net_bridge_bridge_nf_call_iptables"), "absent")
    facts["modern"] = modern(node.get("kernel"))
    network = node.get("network") or {}
    facts["speed"] = network.get("speed", 0)
    if "mtu" in network:
        facts.update(pod_interfaces="pod_mtus" in network, mtu_above=max(0, max(network.get("pod_mtus") or [0]) - network["mtu"]))
        facts["mtus"] = len(network.get("pod_mtus") or ())
    minor = (tuning_units.version(cluster.get("version")) or (1, None, 0))[1]
    facts["minor"] = minor
    return {name: value for name, value in facts.items() if value is not None}


def modern(release: Optional[str]) -> Optional[bool]:
    """Return whether a kernel is 5.13 or newer, which nftables mode needs."""
    match = re.match(r"([0-9]+)\.([0-9]+)", release or "")
    return None if match is None else (int(match.group(1)), int(match.group(2))) >= (5, 13)


def machine(host: Mapping) -> Dict[str, Any]:
    """Return what differs from host to host: clock, swap, use of tables, what was lost."""
    node = host.get("node") or {}
    sysctl = node.get("sysctl") or {}
    most, used = sysctl.get("net.netfilter.nf_conntrack_max"), sysctl.get("net.netfilter.nf_conntrack_count")
    thresh = sysctl.get("net.ipv4.neigh.default.gc_thresh3")
    file = (host["configs"].get("kubelet") or {}).get("settings") or {}
    behaviour = (file.get("memorySwap") or {}).get("swapBehavior")
    facts: Dict[str, Any] = {
        "control_plane": "apiserver" in host["processes"] or "etcd" in host["processes"],
        "clock": node.get("clock"),
        "swap": node.get("swap"),
        "swap_managed": None if node.get("swap") is None else node["swap"] == 0 or (behaviour == "LimitedSwap" and node.get("cgroup") == 2),
        "tracks": most is not None,
        "conntrack_max": most,
        "conntrack_used": used / most if most and used is not None else None,
        "neighbours_used": (node.get("neighbours") or 0) / thresh if thresh else None,
        "insert_failed": node.get("insert_failed"),
        "oom_kills": node.get("oom_kills"),
        "cpus": node.get("cpus"),
    }
    return {name: value for name, value in facts.items() if value is not None}


def certificates(host: Mapping) -> Dict[str, Any]:
    """Return {leaf_seconds, leaf, authority_seconds, authority}: how long the certificates of a host still hold, the shortest first named."""
    facts: Dict[str, Any] = {"missing": {}}
    found: Mapping = host.get("certificates") or {}
    for name, is_authority in (("leaf", False), ("authority", True)):
        own: List[tuple] = sorted((one["expires_in"], path) for path, one in found.items() if one["ca"] == is_authority)
        if own:
            facts.update({f"{name}_seconds": max(0, own[0][0]), name: own[0][1]})
        else:
            facts["missing"][f"{name}_seconds"] = "no certificate was found on this host"
    unread = [one.rstrip(".") for one in host.get("problems") or () if one.startswith("The certificate")]
    if unread:
        facts = {"missing": {"": unread[0]}}
    return facts
