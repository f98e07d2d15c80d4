# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which versions are known, and the flags of their components that rules ask for, with their defaults. Pure; runs on the controller only.

A version that is not here has no facts: its defaults may be others, and a rule must not be judged by those of an older one.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import tuning_units

AS_OF = "2026-08"
# The oldest and the newest minor version whose flags and defaults were read in the source, and the newest three, which get fixes.
KUBERNETES = (29, 36)
SUPPORTED = 34
ETCD = (5, 7)
# All others are at 1.
MAJORS = {"etcd": 3}
# Of the line 3.5 what is older leaves members behind that come back to life in 3.6.
ETCD_LEAST = {5: 26, 6: 0, 7: 0}
# The API server reads from its cache with these and newer ones.
ETCD_PROGRESS = {4: 31, 5: 13}
CONTAINERD = {1: (7, 7), 2: (0, 3)}
# containerd that Kubernetes is tested with: {minor of Kubernetes: {(major, minor): least patch}}.
CONTAINERD_LEAST = {
    34: {(1, 7): 28, (2, 0): 6, (2, 1): 3, (2, 2): 0, (2, 3): 0},
    35: {(1, 7): 28, (2, 1): 5, (2, 2): 0, (2, 3): 0},
    36: {(2, 2): 0, (2, 3): 0},
}
CONTAINERD_OLDER = {(1, 7): 0, (2, 0): 0, (2, 1): 0, (2, 2): 0, (2, 3): 0}
GATES = {
    "apiserver": ("ConsistentListFromCache", "ListFromCacheSnapshot", "DetectCacheInconsistency", "SizeBasedListCostEstimate", "WatchList"),
    "scheduler": ("OpportunisticBatching", "SchedulerQueueingHints"),
}
REMOVED_PLUGINS = frozenset((
    "NodeResourcesLeastAllocated", "NodeResourcesMostAllocated", "RequestedToCapacityRatio", "NodePreferAvoidPods", "SelectorSpread", "NodeLabel",
    "ServiceAffinity",
    "DefaultPodTopologySpread", "CinderLimits", "EBSLimits", "GCEPDLimits", "AzureDiskLimits",
))  # fmt: skip


class Flag(NamedTuple):
    """A flag: the kind of its value, its default, and the defaults that came with later minor versions."""

    kind: str
    default: Any
    later: Tuple[Tuple[int, Any], ...] = ()


FLAGS: Dict[str, Dict[str, Flag]] = {
    "apiserver": {
        "audit-log-maxage": Flag("int", 0),
        "audit-log-maxbackup": Flag("int", 0),
        "audit-log-maxsize": Flag("int", 0),
        "audit-log-mode": Flag("text", "blocking"),
        "audit-log-path": Flag("text", ""),
        "audit-policy-file": Flag("text", ""),
        "audit-webhook-config-file": Flag("text", ""),
        "audit-webhook-mode": Flag("text", "batch"),
        "default-watch-cache-size": Flag("int", 100),
        "delete-collection-workers": Flag("int", 1),
        "enable-garbage-collector": Flag("bool", True),
        "enable-priority-and-fairness": Flag("bool", True),
        "encryption-provider-config": Flag("text", ""),
        "etcd-compaction-interval": Flag("duration", 300),
        "etcd-count-metric-poll-period": Flag("duration", 60),
        "etcd-servers": Flag("text", ""),
        "etcd-servers-overrides": Flag("text", ""),
        "event-ttl": Flag("duration", 3600),
        "goaway-chance": Flag("float", 0),
        "max-mutating-requests-inflight": Flag("int", 200),
        "max-requests-inflight": Flag("int", 400),
        "min-request-timeout": Flag("int", 1800),
        "request-timeout": Flag("duration", 60),
        "shutdown-delay-duration": Flag("duration", 0),
        "storage-media-type": Flag("text", "application/vnd.kubernetes.protobuf"),
        "v": Flag("int", 0),
        "watch-cache": Flag("bool", True),
        "watch-cache-sizes": Flag("text", ""),
    },
    "manager": {
        "allocate-node-cidrs": Flag("bool", False),
        "cluster-cidr": Flag("text", ""),
        "concurrent-deployment-syncs": Flag("int", 5),
        "concurrent-gc-syncs": Flag("int", 20),
        "concurrent-replicaset-syncs": Flag("int", 5),
        "enable-garbage-collector": Flag("bool", True),
        "endpointslice-updates-batch-period": Flag("duration", 0),
        "kube-api-burst": Flag("int", 30),
        "kube-api-qps": Flag("float", 20),
        "leader-elect": Flag("bool", True),
        "leader-elect-lease-duration": Flag("duration", 15),
        "leader-elect-renew-deadline": Flag("duration", 10),
        "node-cidr-mask-size": Flag("int", 0),
        "node-cidr-mask-size-ipv4": Flag("int", 0),
        "node-monitor-grace-period": Flag("duration", 40, ((32, 50),)),
        "node-monitor-period": Flag("duration", 5),
        "terminated-pod-gc-threshold": Flag("int", 12500),
        "v": Flag("int", 0),
    },
    "scheduler": {
        "config": Flag("text", ""),
        "kube-api-burst": Flag("int", 100),
        "kube-api-qps": Flag("float", 50),
        "leader-elect": Flag("bool", True),
        "profiling": Flag("text", "unset"),
        "v": Flag("int", 0),
    },
    "etcd": {
        "auto-compaction-mode": Flag("text", "periodic"),
        "auto-compaction-retention": Flag("text", "0"),
        "election-timeout": Flag("int", 1000),
        "enable-pprof": Flag("bool", False),
        "force-new-cluster": Flag("bool", False),
        "heartbeat-interval": Flag("int", 100),
        "listen-metrics-urls": Flag("text", ""),
        "log-level": Flag("text", "info"),
        "max-request-bytes": Flag("int", 1572864),
        "max-wals": Flag("int", 5),
        "metrics": Flag("text", "basic"),
        "pre-vote": Flag("bool", True),
        "quota-backend-bytes": Flag("int", 0),
        "snapshot-count": Flag("int", 100000, ((6, 10000),)),
        "strict-reconfig-check": Flag("bool", True),
        "unsafe-no-fsync": Flag("bool", False),
        "wal-dir": Flag("text", ""),
        "watch-progress-notify-interval": Flag("duration", 600),
    },
}
# What a Go flag of type bool takes.
BOOLEANS = {**dict.fromkeys(("1", "t", "T", "true", "True", "TRUE"), True), **dict.fromkeys(("0", "f", "F", "false", "False", "FALSE"), False)}


def typed(kind: str, text: str) -> Any:
    """Return the value of a flag's text, or None when it is none of this kind."""
    if kind == "bool":
        return BOOLEANS.get(text)
    if kind == "duration":
        return tuning_units.seconds(text)
    if kind in ("int", "float"):
        number = re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text)
        return (int(text) if "." not in text else float(text)) if number else None
    return text


def settings(component: str, given: Mapping, minor: int) -> Dict[str, Any]:
    """Return {flag in small letters and _: its effective value} of a component in a minor version; a value that is none is left out."""
    found = {}
    for name, flag in FLAGS[component].items():
        default = next((value for since, value in reversed(flag.later) if minor >= since), flag.default)
        value = typed(flag.kind, given[name]) if name in given else default
        if value is not None:
            found[name.replace("-", "_")] = value
    return found


def gates(component: str, given: Mapping) -> Dict[str, str]:
    """Return {feature gate: "true", "false" or "unset"} of those that rules ask for, as the flag --feature-gates sets them."""
    pairs = [pair.strip().partition("=") for pair in given.get("feature-gates", "").split(",") if pair.strip()]
    stated = {name: str(BOOLEANS.get(value, value)).lower() for name, dummy, value in pairs}
    return {name: stated.get(name, "unset") for name in GATES[component]}


def unknown(name: str, version: Optional[Sequence[int]], known: Sequence[int], text: str = "") -> str:
    """Return why a version 1.<minor> or 3.<minor> is not one that these rules know, or "" when it is."""
    if version is None:
        return f"the version of {name} is not known{f' from {text}' if text else ''}"
    shown, major = ".".join(map(str, version)), MAJORS.get(name, 1)
    if version[:2] > (major, known[1]):
        return f"{name} {shown} is newer than {major}.{known[1]}, the newest that these rules know ({AS_OF})"
    if version[:2] < (major, known[0]):
        return f"{name} {shown} is older than {major}.{known[0]}, the oldest that these rules know"
    return ""


def etcd_state(version: Sequence[int]) -> str:
    """Return "supported", or what is wrong with a version of etcd."""
    least = ETCD_LEAST[version[1]]
    return "supported" if version[2] >= least else f"3.{version[1]}.{version[2]}, older than 3.{version[1]}.{least}"


def containerd_state(version: Sequence[int], minor: int) -> str:
    """Return "supported", or what is wrong with a version of containerd below a minor version of Kubernetes."""
    own = ".".join(map(str, version))
    least = CONTAINERD_LEAST.get(minor, CONTAINERD_OLDER).get(tuple(version[:2]))
    if least is None:
        return f"{own} is not tested with Kubernetes 1.{minor}"
    return "supported" if version[2] >= least else f"{own}, older than {version[0]}.{version[1]}.{least}"


def has_progress(version: Sequence[int]) -> bool:
    """Return whether the API server can read consistently from its cache above this etcd."""
    return version[1] >= 6 or version[2] >= ETCD_PROGRESS.get(version[1], 0)
