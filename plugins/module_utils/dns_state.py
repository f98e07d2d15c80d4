# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster says about its DNS, as facts. Pure: objects of the API and texts in, facts out.

CoreDNS is found by what it does, not by what an installer calls it: the pods behind the DNS Service, and the ConfigMaps that they mount.
"""

from __future__ import annotations

import ipaddress
import posixpath
from typing import Dict, Iterable, List, Mapping, Optional, Tuple

from . import dns_corefile, openmetrics

# The label that every installer keeps, since it is what Kubernetes' own add-on had.
LABEL = "k8s-app=kube-dns"
DNS_PORT = 53
# NodeLocal DNSCache, as Kubernetes and as Kubespray call it, the labels that charts give it whatever its name, and the option that it alone has; and
# the Service by which it reaches CoreDNS where it took the address of the first, unless it is told another one.
NODE_LOCAL = ("node-local-dns", "nodelocaldns")
NODE_LOCAL_LABELS = ("k8s-app", "app.kubernetes.io/name")
LOCAL_ADDRESSES = "-localip"
UPSTREAM_OPTION, UPSTREAM = "-upstreamsvc", "kube-dns-upstream"
COREFILE = "Corefile"
METRICS_PORT = 9153
NODE_LOCAL_METRICS_PORT = 9253
THROTTLED, PERIODS = "container_cpu_cfs_throttled_periods_total", "container_cpu_cfs_periods_total"


def service_of(services: Iterable[dict], wanted: str = "") -> Optional[dict]:
    """Return the DNS Service: the one of that name (namespace/name), else the first that has an address, kube-dns before others."""
    found = [one for one in services if udp_port(one) and addresses(one)]
    if wanted:
        return next((one for one in found if full_name(one) == wanted), None)
    found = [one for one in found if one["metadata"]["name"] != UPSTREAM]
    return min(found, key=lambda one: (one["metadata"]["name"] != "kube-dns", full_name(one)), default=None)


def full_name(item: dict) -> str:
    return f"{item['metadata'].get('namespace')}/{item['metadata'].get('name')}"


def addresses(service: dict) -> List[str]:
    """Return the cluster addresses of a Service; none for a headless one."""
    spec = service.get("spec") or {}
    return [one for one in spec.get("clusterIPs") or [spec.get("clusterIP")] if one and one != "None"]


def udp_port(service: dict) -> Optional[dict]:
    """Return the port of a Service that takes queries by UDP."""
    return next((one for one in (service.get("spec") or {}).get("ports") or () if (one.get("protocol"), one.get("port")) == ("UDP", DNS_PORT)), None)


def ready_pods(slices: Iterable[dict], port: str = "") -> Dict[str, Optional[int]]:
    """Return {pod: where it takes queries by UDP} of the pods that the EndpointSlices of a Service name as ready; None where they do not say it.

    `port`: the name of the Service's port. What an endpoint does not say of its readiness is that it is ready, as in kube-proxy.
    """
    found: Dict[str, Optional[int]] = {}
    for one in slices:
        ports = [each.get("port") for each in one.get("ports") or () if (each.get("name") or "") == port and (each.get("protocol") or "TCP") == "UDP"]
        for endpoint in one.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready", True) is not False and (endpoint.get("targetRef") or {}).get("kind") == "Pod":
                found[endpoint["targetRef"]["name"]] = ports[0] if ports else found.get(endpoint["targetRef"]["name"])
    return dict(sorted(found.items()))


def container_of(pod: dict) -> dict:
    """Return the container that answers queries: the one that is told a Corefile, else coredns, else the first."""
    found = (pod.get("spec") or {}).get("containers") or [{}]
    told = [one for one in found if "-conf" in words_of(one)]
    return (told or [one for one in found if one.get("name") == "coredns"] or found)[0]


def words_of(container: dict) -> List[str]:
    """Return the command and the arguments of a container; -a=b as two."""
    found: List[str] = []
    for word in [*(container.get("command") or ()), *(container.get("args") or ())]:
        word = word[1:] if word.startswith("--") else word
        found += word.split("=", 1) if word.startswith("-") else [word]
    return found


def argument(container: dict, name: str) -> str:
    """Return the argument after an option of a container's command, "" without it."""
    given = words_of(container)
    return next((given[at + 1] for at, word in enumerate(given[:-1]) if word == name), "")


def pod_facts(pod: dict, ready: Mapping[str, Optional[int]]) -> dict:
    """Return {uid, ip, node, ready, restarts, container, cpu_limit (the quantity, "" without one), memory_limit, port} of a pod.

    `ready`: what `ready_pods` returns; without a restart count and a port where these are not known. The limit of the whole pod is that of a container
    without one of its own.
    """
    state, spec, container = pod.get("status") or {}, pod.get("spec") or {}, container_of(pod)
    limits = {**((spec.get("resources") or {}).get("limits") or {}), **((container.get("resources") or {}).get("limits") or {})}
    statuses = [one for one in state.get("containerStatuses") or () if one.get("name") == container.get("name")]
    port = ready.get(pod["metadata"]["name"])
    return {
        "uid": pod["metadata"].get("uid") or "",
        "ip": state.get("podIP") or "",
        "node": spec.get("nodeName") or "",
        "ready": pod["metadata"]["name"] in ready,
        "container": container.get("name") or "",
        "cpu_limit": str(limits.get("cpu") or ""),
        "memory_limit": str(limits.get("memory") or ""),
        **({"restarts": statuses[0].get("restartCount") or 0} if statuses else {}),
        **({"port": port} if port else {}),
    }


def scraped(pods: Mapping[str, dict], corefile: Mapping, port: int, nodes: Optional[List[str]] = None) -> Dict[str, str]:
    """Return {pod: pod:port}, the pods that are ready and whose /metrics can be read, as a proxy names them; `port` where the Corefile is not known.

    With `nodes` only those on these.
    """
    metrics = corefile.get("metrics") or {"exposed": True}
    found = [name for name, pod in pods.items() if pod["ready"] and (nodes is None or pod["node"] in nodes)]
    return {name: f"{name}:{metrics.get('port', port)}" for name in sorted(found)} if metrics["exposed"] else {}


# The Corefile ---------------------------------------------------------------------------------------------------------------


def mounts(pod: dict) -> Dict[str, dict]:
    """Return {folder: volume of a ConfigMap} that the container which answers queries sees."""
    volumes = {one.get("name"): one["configMap"] for one in (pod.get("spec") or {}).get("volumes") or () if one.get("configMap")}
    seen = [one for one in container_of(pod).get("volumeMounts") or () if one.get("name") in volumes and not one.get("subPath")]
    return {posixpath.normpath(one["mountPath"]): volumes[one["name"]] for one in seen}


def folder_of(volume: dict, config_map: dict) -> Dict[str, str]:
    """Return {file: text} of a mounted ConfigMap."""
    data = config_map.get("data") or {}
    if volume.get("items"):
        return {one["path"]: data[one["key"]] for one in volume["items"] if one.get("key") in data}
    return dict(data)


def corefile_of(pod: dict, folders: Mapping[str, Mapping[str, str]]) -> Tuple[str, str]:
    """Return (text, folder) of the Corefile that a pod is told, or of the one from which it makes it; ("", "") when none is known."""
    where, name = posixpath.split(argument(container_of(pod), "-conf"))
    if name in folders.get(where, {}):
        return folders[where][name], where
    for folder, files in sorted(folders.items()):
        for name in sorted(files):
            if name.startswith(COREFILE):
                return files[name], folder
    return "", ""


def configuration(pod: dict, folders: Mapping[str, Mapping[str, str]], domain: str = "", port: Optional[int] = None) -> dict:
    """Return dns_corefile's summary of a pod's Corefile; CorefileError when there is none, or CoreDNS would refuse it."""
    text, folder = corefile_of(pod, folders)
    if not text:
        raise dns_corefile.CorefileError("no ConfigMap that the pod mounts has one.")
    return dns_corefile.summary(dns_corefile.parse(text, folders, folder), domain, port)


# NodeLocal DNSCache ---------------------------------------------------------------------------------------------------------


def node_local(daemon_sets: Iterable[dict], home: str = "") -> Optional[dict]:
    """Return the DaemonSet of NodeLocal DNSCache, None where there is none; of several one in the namespace `home` first."""
    found = [one for one in daemon_sets if is_node_local(one)]
    return min(found, key=lambda one: (one["metadata"].get("namespace") != home, one["metadata"]["name"] not in NODE_LOCAL, full_name(one)), default=None)


def is_node_local(daemon_set: dict) -> bool:
    """Say whether a DaemonSet is NodeLocal DNSCache: by its name, by a label of its pods, or by an option that nothing else has."""
    template = (daemon_set.get("spec") or {}).get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    told = any(argument(container, LOCAL_ADDRESSES) for container in (template.get("spec") or {}).get("containers") or ())
    return told or daemon_set["metadata"]["name"] in NODE_LOCAL or any(labels.get(name) in NODE_LOCAL for name in NODE_LOCAL_LABELS)


def local_addresses(daemon_set: dict, bound: Iterable[str] = (), redirected: Iterable[str] = ()) -> List[str]:
    """Return the addresses on each node at which NodeLocal DNSCache answers; none where it is reached by the address of the DNS Service alone.

    It makes those of its command itself, where it is in the network of the host and not told to leave that; `bound` are those of its Corefile, which
    then have to be there. Else a CNI hands it what is sent to the Service, or to `redirected` addresses.
    """
    template = ((daemon_set.get("spec") or {}).get("template") or {}).get("spec") or {}
    container = container_of({"spec": template})
    told = [one.strip() for one in argument(container, LOCAL_ADDRESSES).split(",") if _is_own(one.strip())]
    makes = argument(container, "-setupinterface").lower() not in ("false", "f", "0")
    there = ((told if makes else []) or [one for one in bound if _is_own(one)]) if template.get("hostNetwork") else []
    return there or [one for one in told if one in set(redirected)]


def _is_own(text: str) -> bool:
    """Say whether a text is an address, and not the one for all (0.0.0.0, ::)."""
    try:
        return not ipaddress.ip_address(text).is_unspecified
    except ValueError:
        return False


def redirected_addresses(policies: Iterable[dict]) -> List[str]:
    """Return the addresses whose queries CiliumLocalRedirectPolicies hand to a pod on the node."""
    frontends = [(one.get("spec") or {}).get("redirectFrontend") or {} for one in policies]
    return [frontend["addressMatcher"]["ip"] for frontend in frontends if (frontend.get("addressMatcher") or {}).get("ip")]


def upstream_of(daemon_set: dict) -> str:
    """Return the name of the Service by which NodeLocal DNSCache reaches CoreDNS."""
    template = ((daemon_set.get("spec") or {}).get("template") or {}).get("spec") or {}
    return argument(container_of({"spec": template}), UPSTREAM_OPTION) or UPSTREAM


def selector_of(labels: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))


# Processors -----------------------------------------------------------------------------------------------------------------


def throttling(text: str, pods: Mapping[str, dict], namespace: str) -> Dict[str, Dict[str, dict]]:
    """Return {pod: {container's cgroup: {periods, throttled}}} from a kubelet's /metrics/cadvisor. Nothing is there without a limit of CPU.

    The cgroup is part of the answer: a container that was started again has another one, and counts anew. ExpositionError on a damaged text.
    """
    families = openmetrics.read([text.encode()], {THROTTLED, PERIODS})
    found: Dict[str, Dict[str, dict]] = {}
    for fact, family in (("periods", PERIODS), ("throttled", THROTTLED)):
        for series in families[family].series.values() if family in families else ():
            labels = series.labels
            pod = pods.get(labels.get("pod", ""))
            if pod and labels.get("namespace") == namespace and labels.get("container") == pod["container"]:
                found.setdefault(labels["pod"], {}).setdefault(labels.get("id", ""), {})[fact] = series.value
    return found
