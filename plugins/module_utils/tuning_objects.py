# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the objects of a cluster say about its configuration. Pure: objects of the API in, facts out; nothing else of them is kept."""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Dict, List, Optional, Tuple

from .apiserver_state import ZONES, is_ready
from .tuning_units import quantity

CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
# In-tree plugins that are gone from Kubernetes; the names live on only where CSI migration translates them.
REMOVED_PROVISIONERS = frozenset(
    f"kubernetes.io/{name}"
    for name in ("gce-pd", "aws-ebs", "azure-disk", "azure-file", "cinder", "vsphere-volume", "rbd", "cephfs", "portworx-volume", "glusterfs", "quobyte",
                 "scaleio", "storageos")
)  # fmt: skip
REMOVED_SOURCES = (
    "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "gcePersistentDisk", "glusterfs", "photonPersistentDisk", "portworxVolume", "quobyte",
    "rbd", "scaleIO", "storageos", "vsphereVolume",
)  # fmt: skip
LOCAL = re.compile(r"local|hostpath|no-provisioner|topolvm|lvm", re.IGNORECASE)
# What every node or controller writes all the time: a webhook on it is in the way of the whole cluster.
HOT = {("coordination.k8s.io", "leases"), ("", "events"), ("events.k8s.io", "events"), ("", "nodes/status"), ("discovery.k8s.io", "endpointslices")}
CNI = re.compile(r"^(calico-node|canal|cilium|kube-flannel(-ds)?|kube-router|antrea-agent|weave-net|aws-node|kindnet|ovnkube-node)")
MONITORS = re.compile(r"prometheus|victoria-?metrics|vmagent|vmsingle|mimir|thanos-receive|grafana-agent|datadog|alloy", re.IGNORECASE)
SHOWN = 5


def node(item: Mapping) -> Dict[str, Any]:
    """Return the facts of one node."""
    metadata, spec, state = (item.get(key) or {} for key in ("metadata", "spec", "status"))
    labels, about, capacity = metadata.get("labels") or {}, state.get("nodeInfo") or {}, state.get("capacity") or {}
    taints = [taint for taint in spec.get("taints") or () if taint.get("effect") in ("NoSchedule", "NoExecute")]
    cidr = spec.get("podCIDR") or ""
    facts = {
        "kubelet": about.get("kubeletVersion"),
        "runtime": about.get("containerRuntimeVersion"),
        "kernel": about.get("kernelVersion"),
        "cpus": quantity(capacity.get("cpu")),
        "memory": quantity(capacity.get("memory")),
        "pod_addresses": ipaddress.ip_network(cidr, strict=False).num_addresses if cidr else 0,
        "zone": next((labels[label] for label in ZONES if label in labels), ""),
        "control_plane": CONTROL_PLANE in labels,
        "tainted": bool(taints),
        "ready": is_ready(state),
        "pressures": [one["type"] for one in state.get("conditions") or () if one.get("type") in PRESSURES and one.get("status") == "True"],
    }
    return {name: value for name, value in facts.items() if value is not None}


def named(items: Iterable, limit: int = SHOWN) -> List[str]:
    """Return the names as a list of at most `limit`, and how many more there are."""
    found = sorted(items)
    return found[:limit] + ([f"and {len(found) - limit} more"] if len(found) > limit else [])


def most_in_namespace(names: Iterable) -> int:
    """Return how many of namespace/name are in the namespace that has most."""
    return max(Counter(name.partition("/")[0] for name in names).values(), default=0)


def full_name(item: Mapping) -> str:
    """Return namespace/name of an object."""
    metadata = item.get("metadata") or {}
    return "/".join(filter(None, (metadata.get("namespace"), metadata.get("name"))))


def selects(selector: Optional[Mapping], labels: Mapping) -> bool:
    """Return whether a label selector selects an object with these labels; an empty one selects all."""
    selector = selector or {}
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    tests = {
        "In": lambda key, values: labels.get(key) in values,
        "NotIn": lambda key, values: labels.get(key) not in values,
        "Exists": lambda key, values: key in labels,
        "DoesNotExist": lambda key, values: key not in labels,
    }
    return all(tests[one["operator"]](one["key"], one.get("values") or ()) for one in selector.get("matchExpressions") or ())


# CoreDNS --------------------------------------------------------------------------------------------------------------------


def dns(pods: Iterable, deployments: Iterable, zones: Mapping) -> Dict[str, Any]:
    """Return {replicas, ready, nodes, zones, priority, cpu_limited, memory_limit, spread, image} of CoreDNS; `zones` {node: zone}."""
    running = [pod for pod in pods if is_ready(pod.get("status") or {})]
    nodes = {(pod.get("spec") or {}).get("nodeName") for pod in running} - {None}
    facts: Dict[str, Any] = {"ready": len(running), "nodes": len(nodes), "zones": len({zones.get(name) for name in nodes} - {None, ""})}
    for deployment in deployments:
        spec = deployment.get("spec") or {}
        template = (spec.get("template") or {}).get("spec") or {}
        container = next(iter(template.get("containers") or ()), {})
        limits = (container.get("resources") or {}).get("limits") or {}
        affinity = ((template.get("affinity") or {}).get("podAntiAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
        constraints = [one for one in template.get("topologySpreadConstraints") or () if one.get("whenUnsatisfiable") == "DoNotSchedule"]
        facts.update(
            replicas=spec.get("replicas", 1),
            priority=template.get("priorityClassName") or "none",
            cpu_limited="cpu" in limits,
            memory_limit=quantity(limits.get("memory")) if "memory" in limits else None,
            spread=bool(affinity or constraints),
            image=container.get("image"),
        )
    return {name: value for name, value in facts.items() if value is not None}


def disruption(budgets: Iterable, labels: Mapping, namespace: str) -> bool:
    """Return whether one of the PodDisruptionBudgets of a namespace protects pods with these labels."""
    return any((one["metadata"].get("namespace") == namespace) and selects((one.get("spec") or {}).get("selector"), labels) for one in budgets)


def stuck_budgets(budgets: Iterable) -> List[str]:
    """Return the budgets that never allow a pod to be evicted although all are healthy: no node with one of their pods can be drained."""
    found = []
    for one in budgets:
        state = one.get("status") or {}
        if state.get("expectedPods", 0) > 0 and state.get("disruptionsAllowed", 1) == 0 and state.get("currentHealthy", 0) >= state.get("expectedPods", 0):
            found.append(full_name(one))
    return named(found)


# Webhooks and APIs ----------------------------------------------------------------------------------------------------------


def webhook_services(configurations: Iterable) -> List[Tuple[str, str]]:
    """Return the Services [(namespace, name)] behind admission webhooks, each once."""
    services = [(hook.get("clientConfig") or {}).get("service") for configuration in configurations for hook in configuration.get("webhooks") or ()]
    return sorted({(one["namespace"], one["name"]) for one in services if one})


def ready_addresses(slices: Iterable) -> int:
    """Return how many addresses of a Service take requests; an endpoint that does not say whether it is ready is."""
    endpoints = [endpoint for one in slices for endpoint in one.get("endpoints") or () if (endpoint.get("conditions") or {}).get("ready") is not False]
    return len({address for endpoint in endpoints for address in endpoint["addresses"]})


def webhooks(configurations: Iterable, system_labels: Mapping, backends: Mapping) -> Dict[str, dict]:
    """Return {name: {timeout, holds_system, hot, stops_writes, backends?}} of admission webhooks.

    `system_labels` are those of the namespace kube-system, `backends` {(namespace, name): ready addresses} those of the Services.
    """
    found = {}
    for configuration in configurations:
        for hook in configuration.get("webhooks") or ():
            fails = hook.get("failurePolicy", "Fail") == "Fail"
            service = (hook.get("clientConfig") or {}).get("service")
            in_cluster = service is not None
            # One for objects with a label of its own is not asked about the system's.
            is_narrow = bool(hook.get("objectSelector"))
            found[f"{configuration['metadata']['name']} {hook['name']}"] = {
                "timeout": hook.get("timeoutSeconds", 10),
                # One that runs in the cluster cannot be started again when it holds up the pods of the system.
                "holds_system": fails and in_cluster and not is_narrow and selects(hook.get("namespaceSelector"), system_labels) and _reads_pods(hook),
                "hot": sorted({f"{group}/{resource}".strip("/") for group, resource in HOT if not is_narrow and _matches(hook, group, resource)}),
                "stops_writes": fails and in_cluster,
                **({"backends": backends[(service["namespace"], service["name"])]} if in_cluster else {}),
            }
    return found


def _matches(hook: Mapping, group: str, resource: str) -> bool:
    for rule in hook.get("rules") or ():
        groups, resources = rule.get("apiGroups") or (), rule.get("resources") or ()
        whole = "*/*" in resources or resource in resources or ("*" in resources and "/" not in resource)
        if ("*" in groups or group in groups) and whole and rule.get("scope") != ("Namespaced" if resource == "nodes/status" else "Cluster"):
            return True
    return False


def _reads_pods(hook: Mapping) -> bool:
    return _matches(hook, "", "pods") and any({"*", "CREATE"} & set(rule.get("operations") or ()) for rule in hook.get("rules") or ())


def unavailable(services: Iterable) -> List[str]:
    """Return the APIServices that are not available."""
    states = {
        one["metadata"]["name"]: {state.get("type"): state.get("status") for state in (one.get("status") or {}).get("conditions") or ()} for one in services
    }
    return named(name for name, state in states.items() if state.get("Available") != "True")


# Storage --------------------------------------------------------------------------------------------------------------------


def storage_classes(classes: Iterable, drivers: Iterable) -> Dict[str, dict]:
    """Return {name: {provisioner, kind, binding, expansion, options, local}}; kind is csi, other or removed."""
    installed = {driver["metadata"]["name"] for driver in drivers}
    found = {}
    for one in classes:
        provisioner = one.get("provisioner") or ""
        removed = provisioner in REMOVED_PROVISIONERS
        found[one["metadata"]["name"]] = {
            "provisioner": provisioner,
            "kind": "removed" if removed else "csi" if provisioner in installed else "other",
            "binding": one.get("volumeBindingMode", "Immediate"),
            "expansion": bool(one.get("allowVolumeExpansion")),
            "options": redundant(one.get("mountOptions") or ()),
            "local": bool(LOCAL.search(provisioner)),
            "topologies": bool(one.get("allowedTopologies")),
        }
    return found


def redundant(options: Iterable) -> List[str]:
    """Return mount options that another of them, or the kernel's default, already says."""
    own = set(options)
    return sorted(({"nodiratime"} if {"noatime", "nodiratime"} <= own else set()) | (own & {"relatime"}))


def default_classes(classes: Iterable) -> int:
    """Return how many StorageClasses are the default."""
    return sum((one["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true" for one in classes)


def volumes(items: Iterable) -> Dict[str, Any]:
    """Return {count, removed, options} of PersistentVolumes: those of plugins that are gone, and those with mount options that say nothing."""
    count, removed, options = 0, [], []
    for one in items:
        spec = one.get("spec") or {}
        count += 1
        removed += [one["metadata"]["name"]] if any(name in spec for name in REMOVED_SOURCES) else []
        options += [one["metadata"]["name"]] if redundant(spec.get("mountOptions") or ()) else []
    return {"count": count, "removed": named(removed), "options": named(options)}


def csi_nodes(items: Iterable, attachments: Iterable) -> Dict[str, dict]:
    """Return {driver: {nodes, unlimited, used, topology}}: nodes without a limit of volumes, the fullest node's share, whether it knows zones."""
    attached = Counter((one["spec"].get("attacher"), one["spec"].get("nodeName")) for one in attachments)
    found: Dict[str, dict] = {}
    for item in items:
        name = item["metadata"]["name"]
        for driver in (item.get("spec") or {}).get("drivers") or ():
            facts = found.setdefault(driver["name"], {"nodes": 0, "unlimited": 0, "used": 0.0, "topology": True})
            limit = (driver.get("allocatable") or {}).get("count")
            facts["nodes"] += 1
            facts["unlimited"] += limit is None
            facts["used"] = max(facts["used"], attached[(driver["name"], name)] / limit if limit else 0.0)
            facts["topology"] = facts["topology"] and bool(driver.get("topologyKeys"))
    return found


# Workloads of the system ----------------------------------------------------------------------------------------------------


def daemonsets(items: Iterable) -> Dict[str, dict]:
    """Return {namespace/name: {wanted, ready, priority}} of the agents of the network, and of kube-proxy and the node-local DNS cache."""
    found = {}
    for one in items:
        spec, state = one.get("spec") or {}, one.get("status") or {}
        template = (spec.get("template") or {}).get("spec") or {}
        limits = [container for container in template.get("containers") or () if "cpu" in ((container.get("resources") or {}).get("limits") or {})]
        found[full_name(one)] = {
            "wanted": state.get("desiredNumberScheduled", 0),
            "ready": state.get("numberReady", 0),
            "priority": template.get("priorityClassName") or "none",
            "cpu_limited": bool(limits),
        }
    return found


def agents(sets: Mapping) -> Dict[str, dict]:
    """Return those of the daemonsets that are the network's."""
    return {name: facts for name, facts in sets.items() if CNI.match(name.rpartition("/")[2])}


def without_requests(pods: Iterable) -> List[str]:
    """Return the pods of the system that have a container without requests of cpu and memory, by what owns them."""
    found = set()
    for pod in pods:
        owner = next(iter((pod.get("metadata") or {}).get("ownerReferences") or ()), {})
        if owner.get("kind") == "Node":
            continue
        for container in (pod.get("spec") or {}).get("containers") or ():
            requests = (container.get("resources") or {}).get("requests") or {}
            if not {"cpu", "memory"} & set(requests):
                found.add(re.sub(r"-[a-f0-9]{6,10}$", "", owner.get("name") or pod["metadata"]["name"]))
    return named(found)


def is_monitored(names: Iterable) -> bool:
    """Return whether one of these workloads looks like a monitoring that keeps what it measures."""
    return any(MONITORS.search(name) for name in names)


def renewed(lease: Mapping, now: float) -> Optional[float]:
    """Return how long ago a Lease was renewed (s)."""
    text = (lease.get("spec") or {}).get("renewTime") or ""
    try:
        return max(0.0, now - datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())
    except ValueError:
        return None


# /metrics of the API server -------------------------------------------------------------------------------------------------

GATE = re.compile(r'^kubernetes_feature_enabled\{name="([^"]+)",stage="([^"]*)"\} ([01])', re.MULTILINE)
OBJECTS = re.compile(r"^apiserver_(?:resource|storage)_objects\{([^}]*)\} ([0-9.e+-]+)", re.MULTILINE)
DEPRECATED = re.compile(r"^apiserver_requested_deprecated_apis\{([^}]*)\} 1", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


def metrics(text: str) -> Dict[str, Any]:
    """Return {gates: {name: on}, alpha: [names that are on], objects, most_objects, deprecated: [{resource, removed}]}."""
    gates = {name: value == "1" for name, dummy, value in GATE.findall(text)}
    alpha = sorted(name for name, stage, value in GATE.findall(text) if stage == "ALPHA" and value == "1")
    objects = {}
    for labels, value in OBJECTS.findall(text):
        found = dict(LABEL.findall(labels))
        name = ".".join(filter(None, (found.get("resource"), found.get("group"))))
        objects[name] = float(value)
    deprecated = [dict(LABEL.findall(labels)) for labels in DEPRECATED.findall(text)]
    return {
        **({"gates": gates} if gates else {}),
        "alpha": alpha,
        "objects": objects,
        "deprecated": [
            {"resource": f"{one.get('group')}/{one.get('version')} {one.get('resource')}", "removed": one.get("removed_release")} for one in deprecated
        ],
    }
