# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scrape configuration of a Prometheus for every component of a cluster. Pure.

etcd, the scheduler and the controllers are named, since no API lists where they listen; everything else is found through the API server, also from
outside of the cluster: kubelets, CoreDNS and the ingress are asked through its proxy, each API server itself. The names of jobs are those of
kube-prometheus-stack, so that rules and dashboards fit both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Dict, List

from ansible_collections.kubeproof.certify.plugins.module_utils.monitoring_queries import MonitoringError

IN_CLUSTER = "/var/run/secrets/kubernetes.io/serviceaccount"
JOBS = {"etcd": "kube-etcd", "scheduler": "kube-scheduler", "manager": "kube-controller-manager", "proxy": "kube-proxy", "node": "node-exporter",
        "certificate": "kubeproof"}  # fmt: skip
PORTS = {"etcd": 2379, "scheduler": 10259, "manager": 10257, "proxy": 10249, "node": 9100, "certificate": 9100}
SCHEMES = {"etcd": "https", "scheduler": "https", "manager": "https"}
INGRESS = {
    "traefik": {"name": "traefik", "port": 8080, "selector": "app.kubernetes.io/name=traefik"},
    "nginx": {"name": "ingress-nginx", "port": 10254, "selector": "app.kubernetes.io/name=ingress-nginx"},
}
KUBELETS = (("kubelet", "/metrics"), ("kubelet-cadvisor", "/metrics/cadvisor"))
DNS = {"name": "coredns", "port": 9153, "selector": "k8s-app=kube-dns"}
OPTIONS = {"api", "targets", "tls", "interval", "ingress", "namespaces", "ports", "rule_files", "labels", "found"}
API = {"server", "ca_file", "token_file"}
TLS = {"ca_file", "cert_file", "key_file", "server_name", "insecure_skip_verify", "token_file", "scheme"}


def configuration(options: Mapping) -> Dict[str, Any]:
    """Return prometheus.yml as data for `options`:

    api {server, ca_file, token_file}, empty for a Prometheus in the cluster · targets {component: {host: address}} · tls {component: {…}} ·
    interval · ingress (traefik, nginx or "") · namespaces {dns, ingress} · ports {dns, ingress} · rule_files · labels for everything that is sent on ·
    found {apiservers, nodes, pods: {dns, ingress}}, for a Prometheus that does not know Kubernetes, such as Debian's; None for one that does.
    """
    _check(options)
    api, found = options["api"], options["found"]
    client = _client(api)
    if found:
        return {**_head(options), "scrape_configs": _fixed(client, api, found, options) + _all_named(options, client)}
    dns = _pods(client, api, DNS["name"], options["namespaces"]["dns"], DNS["selector"], _port(options, "dns"))
    jobs = [_apiservers(client, api), *_kubelets(client, api), dns]
    if options["ingress"]:
        known = INGRESS[options["ingress"]]
        jobs.append(_pods(client, api, known["name"], options["namespaces"]["ingress"], known["selector"], _port(options, "ingress")))
    return {**_head(options), "scrape_configs": jobs + _all_named(options, client)}


def _head(options: Mapping) -> Dict[str, Any]:
    made = {"scrape_interval": options["interval"], "evaluation_interval": options["interval"]}
    if options["labels"]:
        made["external_labels"] = dict(options["labels"])
    return {"global": made, "rule_files": list(options["rule_files"])}


def _all_named(options: Mapping, client: Mapping) -> List[dict]:
    return [_named(component, hosts, options["tls"].get(component, {}), client) for component, hosts in options["targets"].items() if hosts]


def _check(options: Mapping) -> None:
    wrong = sorted(set(options) ^ OPTIONS)
    if wrong:
        raise MonitoringError(f"The scrape configuration has or lacks {', '.join(wrong)}; write {', '.join(sorted(OPTIONS))}.")
    for name, allowed, given in (("monitoring_api", API, options["api"]), ("monitoring_targets", set(JOBS), options["targets"]),
                                 ("monitoring_tls", set(JOBS), options["tls"])):  # fmt: skip
        if not isinstance(given, Mapping) or set(given) - allowed:
            raise MonitoringError(f"{name} is {given!r}; write a map of {', '.join(sorted(allowed))}.")
    for component, hosts in options["targets"].items():
        if not isinstance(hosts, Mapping) or not all(isinstance(one, str) and one for pair in hosts.items() for one in pair):
            raise MonitoringError(f"monitoring_targets.{component} is {hosts!r}; write a map of hosts to addresses, such as {{etcd1: 10.0.0.11}}.")
    for component, given in options["tls"].items():
        if not isinstance(given, Mapping) or set(given) - TLS:
            raise MonitoringError(f"monitoring_tls.{component} is {given!r}; write a map of {', '.join(sorted(TLS))}.")
    if options["ingress"] not in ("", *INGRESS):
        raise MonitoringError(f"monitoring_ingress is {options['ingress']!r}; write {' or '.join(INGRESS)}, or leave it empty.")
    if options["api"] and set(options["api"]) != API:
        raise MonitoringError(f"monitoring_api has {', '.join(sorted(options['api']))}; write all of {', '.join(sorted(API))}, or none in the cluster.")
    if not re.fullmatch(r"[1-9][0-9]*(ms|s|m)", str(options["interval"])):
        raise MonitoringError(f"monitoring_interval is {options['interval']!r}; write a time such as 15s.")


def _port(options: Mapping, name: str) -> int:
    return options["ports"].get(name) or (DNS["port"] if name == "dns" else INGRESS[options["ingress"]]["port"])


def _client(api: Mapping) -> Dict[str, Any]:
    """Return how the API server is asked."""
    token = api.get("token_file") or f"{IN_CLUSTER}/token"
    authority = api.get("ca_file") or f"{IN_CLUSTER}/ca.crt"
    return {"scheme": "https", "authorization": {"credentials_file": token}, "tls_config": {"ca_file": authority}}


def _discovery(client: Mapping, api: Mapping, role: str, **more: Any) -> List[dict]:
    given = {"role": role, **more}
    if api:
        given.update(api_server=api["server"], authorization=client["authorization"], tls_config=client["tls_config"])
    return [given]


def _set(label: str, text: str) -> dict:
    return {"target_label": label, "replacement": text}


def _from(source: str, label: str, text: str = "$1", pattern: str = "(.+)") -> dict:
    return {"source_labels": [source], "regex": pattern, "target_label": label, "replacement": text}


def _address(api: Mapping) -> str:
    """Return where the API server's proxy is."""
    return re.sub(r"^https://|/+$", "", api["server"]) if api else "kubernetes.default.svc:443"


def _node_path(node: str, path: str) -> str:
    return f"/api/v1/nodes/{node}/proxy{path}"


def _pod_path(namespace: str, pod: str, port: int) -> str:
    return f"/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy/metrics"


def _fixed(client: Mapping, api: Mapping, found: Mapping, options: Mapping) -> List[dict]:
    """Return the jobs with the targets that the cluster has now."""
    proxy = [_address(api)]
    jobs = [{"job_name": "apiserver", **client, "static_configs": [{"targets": [place], "labels": {"instance": place}} for place in found["apiservers"]]}]
    for name, path in KUBELETS:
        nodes = [
            {"targets": proxy, "labels": {"__metrics_path__": _node_path(node, path), "instance": node, "node": node, "metrics_path": path, "job": "kubelet"}}
            for node in found["nodes"]
        ]
        jobs.append({"job_name": name, **client, "static_configs": nodes})
    for kind, known in (("dns", DNS), ("ingress", INGRESS.get(options["ingress"]))):
        if known:
            namespace, port = options["namespaces"][kind], _port(options, kind)
            pods = [
                {"targets": proxy, "labels": {"__metrics_path__": _pod_path(namespace, pod, port), "instance": pod, "pod": pod, "node": node}}
                for pod, node in found["pods"][kind].items()
            ]
            jobs.append({"job_name": known["name"], **client, "static_configs": pods})
    return jobs


def _apiservers(client: Mapping, api: Mapping) -> dict:
    """Each API server itself: through a load balancer one would subtract the counters of different servers."""
    found = _discovery(client, api, "endpoints", namespaces={"names": ["default"]})
    named = "__meta_kubernetes_endpoints_name"
    only = {"source_labels": [named, "__meta_kubernetes_endpoint_port_name"], "regex": "kubernetes;https", "action": "keep"}
    return {"job_name": "apiserver", **client, "kubernetes_sd_configs": found, "relabel_configs": [only]}


def _kubelets(client: Mapping, api: Mapping) -> List[dict]:
    """The kubelets through the API server, which knows how to trust them."""
    jobs = []
    for name, path in KUBELETS:
        relabel = [
            _from("__meta_kubernetes_node_name", "__metrics_path__", _node_path("$1", path)),
            _from("__meta_kubernetes_node_name", "instance"),
            _from("__meta_kubernetes_node_name", "node"),
            _set("__address__", _address(api)),
            _set("metrics_path", path),
            _set("job", "kubelet"),
        ]
        jobs.append({"job_name": name, **client, "kubernetes_sd_configs": _discovery(client, api, "node"), "relabel_configs": relabel})
    return jobs


def _pods(client: Mapping, api: Mapping, name: str, namespace: str, selector: str, port: int) -> dict:
    """Pods through the API server's proxy, which reaches them from everywhere."""
    found = _discovery(client, api, "pod", namespaces={"names": [namespace]}, selectors=[{"role": "pod", "label": selector}])
    relabel = [
        # A pod has one target for each port that it names; the one of metrics may have none.
        {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Running", "action": "keep"},
        _from("__meta_kubernetes_pod_name", "__metrics_path__", _pod_path(namespace, "${1}", port)),
        _from("__meta_kubernetes_pod_name", "instance"),
        _from("__meta_kubernetes_pod_name", "pod"),
        _from("__meta_kubernetes_pod_node_name", "node"),
        _set("__address__", _address(api)),
    ]
    return {"job_name": name, **client, "kubernetes_sd_configs": found, "relabel_configs": relabel}


def _named(component: str, hosts: Mapping, tls: Mapping, client: Mapping) -> dict:
    """Return the job of a component whose addresses are given, with the name of the host as its instance."""
    scheme = tls.get("scheme") or SCHEMES.get(component, "http")
    job: Dict[str, Any] = {"job_name": JOBS[component], "scheme": scheme}
    secrets = {key: tls[key] for key in ("ca_file", "cert_file", "key_file", "server_name", "insecure_skip_verify") if key in tls}
    if scheme == "https" and secrets:
        job["tls_config"] = secrets
    if component in ("scheduler", "manager"):
        job["authorization"] = {"credentials_file": tls["token_file"]} if tls.get("token_file") else client["authorization"]
    if component == "certificate":
        # Labels of the certificate, such as its host, are its own.
        job["honor_labels"] = True
    job["static_configs"] = [
        {"targets": [address if _has_port(address) else f"{address}:{PORTS[component]}"], "labels": {"instance": host}} for host, address in hosts.items()
    ]
    return job


def _has_port(address: str) -> bool:
    return bool(re.search(r"(^[^:]+|\]):[0-9]+$", address))
