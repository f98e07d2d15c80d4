#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_config
short_description: How a Kubernetes cluster is configured
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - Reads through the API what a cluster is configured with, which is the effective configuration of every kubelet, the ConfigMaps of kube-proxy and CoreDNS,
    nodes and versions, storage classes, CSI drivers, volumes, disruption budgets, webhooks, and the feature gates of the API server.
  - It reads only, keeps what is asked for, and never reads Secrets. It runs on the controller.
options:
  kubeconfig:
    description: Path of the kubeconfig of an administrator.
    type: path
    required: true
  kubelets:
    description: Most kubelets that are asked at once.
    type: int
    default: 32
  metrics:
    description: Read the metrics of the API server. On a large cluster they are 100 MB.
    type: bool
    default: true
  timeout:
    description: Seconds to wait for each answer.
    type: float
    default: 30.0
requirements:
  - kubernetes
attributes:
  check_mode:
    description: Reads the same.
    support: full
"""

EXAMPLES = r"""
- name: Read the configuration of the cluster
  kubeproof.certify.cluster_config:
    kubeconfig: ~/.kube/prod
  delegate_to: localhost
"""

RETURN = r"""
facts:
  description:
    - What is known, in base units. What cannot be read is left out, and C(missing) says why, by the name of the fact.
    - Kubelets with the same configuration are one entry. The sample is shortened.
  returned: success
  type: dict
  sample:
    version: v1.36.3
    counts: {pods: 210, services: 12, namespaces: 9}
    nodes: {cp1: {kubelet: v1.36.3, cpus: 4, memory: 8589934592, pod_addresses: 256, control_plane: true, tainted: true, ready: true, pressures: []}}
    kubelets: [{nodes: [cp1, worker1], config: {maxPods: 110}}]
    kubelets_failed: {}
    dns: {ready: 2, nodes: 2, replicas: 2, budget: false, corefile: {plugins: [cache, errors]}}
    proxy: {config: {mode: nftables}}
    missing: {}
"""

import concurrent.futures
import json
import time

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.kubeproof.certify.plugins.module_utils import cluster, tuning_corefile, tuning_drift, tuning_etcd, tuning_objects

try:
    import yaml
except ImportError:
    yaml = None

SYSTEM = "kube-system"
PODS = f"/api/v1/namespaces/{SYSTEM}/pods"
APPS = "/apis/apps/v1"
COUNTED = {"pods": "/api/v1/pods", "services": "/api/v1/services", "namespaces": "/api/v1/namespaces"}
# The label component of kubeadm's static pods, and what we call it.
STATIC = {"kube-apiserver": "apiserver", "kube-controller-manager": "manager", "kube-scheduler": "scheduler", "etcd": "etcd"}
LEASES = {"manager": "kube-controller-manager", "scheduler": "kube-scheduler"}
SPEC = {
    "kubeconfig": {"type": "path", "required": True},
    "kubelets": {"type": "int", "default": 32},
    "metrics": {"type": "bool", "default": True},
    "timeout": {"type": "float", "default": 30.0},
}


class Look:
    """Gathers the facts of one cluster; what cannot be read is named in `missing`."""

    def __init__(self, server, options):
        self.server, self.options = server, options
        self.facts = {"missing": {}}
        self.daemonsets = {}

    def attempt(self, *names):
        """Add the facts that the methods with these names return; say of each that fails why its fact is missing."""
        for name in names:
            try:
                self.facts[name] = getattr(self, name)()
            except (cluster.ClusterError, AttributeError, KeyError, TypeError, ValueError) as error:
                reason = str(error) if isinstance(error, cluster.ClusterError) else f"the API's answer has another form ({type(error).__name__} {error})"
                self.facts["missing"][name] = f"{name} cannot be read: {reason}"

    def all(self):
        """Return every fact. ClusterError when the server does not even tell its version."""
        self.facts["version"] = self.server.get("/version").get("gitVersion")
        if not self.facts["version"]:
            raise cluster.ClusterError("GET /version: the answer has no gitVersion, so this is no API server")
        self.attempt("counts", "nodes", "kubelets", "instances", "apiservers", "leases", "workloads", "dns", "proxy", "kubeadm", "webhooks", "unavailable_apis")
        self.attempt("storage", "volumes", "csi", "stuck_budgets", "pending_requests", "jobs", "addons", "services", "policies")
        if self.options["metrics"]:
            self.attempt("metrics")
        return self.facts

    def list(self, path, **query):
        """Return the items of a list."""
        return list(self.server.items(path, **query))

    def config_map(self, name):
        """Return the data of a ConfigMap of the system, or None where there is none."""
        try:
            return self.server.get(f"/api/v1/namespaces/{SYSTEM}/configmaps/{name}").get("data") or {}
        except cluster.ClusterError as error:
            if error.status == 404:
                return None
            raise

    def counts(self):
        """Return {pods, services, namespaces}."""
        found = {}
        for name, path in COUNTED.items():
            page = self.server.get(path, limit=1)
            found[name] = len(page["items"]) + (page["metadata"].get("remainingItemCount") or 0)
        return found

    def nodes(self):
        return {item["metadata"]["name"]: tuning_objects.node(item) for item in self.server.items("/api/v1/nodes")}

    def kubelets(self):
        """Return [{nodes, config}] of kubelets with the same configuration; those that did not answer are in the fact kubelets_failed."""
        if "nodes" not in self.facts:
            raise cluster.ClusterError("the nodes are not known")
        found, self.facts["kubelets_failed"] = {}, {}
        with concurrent.futures.ThreadPoolExecutor(self.options["kubelets"]) as pool:
            for name, config in zip(self.facts["nodes"], pool.map(self.kubelet, self.facts["nodes"])):
                if isinstance(config, str):
                    self.facts["kubelets_failed"][name] = config
                else:
                    found.setdefault(json.dumps(config, sort_keys=True), []).append(name)
        return [{"nodes": names, "config": json.loads(text)} for text, names in found.items()]

    def kubelet(self, name):
        """Return the configuration of a kubelet, or why it is not known."""
        try:
            config = self.server.get(f"/api/v1/nodes/{name}/proxy/configz")["kubeletconfig"]
        except cluster.ClusterError as error:
            # Without what differs from node to node: a thousand that are silent for one reason are one finding.
            return f"the kubelet does not say its configuration: {tuning_drift.anonymous(str(error), name)}"
        except (KeyError, TypeError):
            return "the kubelet does not say its configuration: the answer has another form"
        # Its values may be credentials.
        return {key: value for key, value in config.items() if key != "staticPodURLHeader"}

    def instances(self):
        """Return {component: {node: image}} of the static pods of the control plane."""
        found = {}
        for pod in self.server.items(PODS, labelSelector="tier=control-plane"):
            component = STATIC.get((pod["metadata"].get("labels") or {}).get("component"))
            if component and tuning_objects.is_ready(pod.get("status") or {}):
                state = (pod["status"].get("containerStatuses") or [{}])[0]
                found.setdefault(component, {})[pod["spec"]["nodeName"]] = state.get("image") or pod["spec"]["containers"][0]["image"]
        return found

    def apiservers(self):
        """Return how many API servers are registered."""
        return tuning_objects.ready_addresses(self.slices("default", "kubernetes"))

    def slices(self, namespace, service):
        """Return the EndpointSlices of a Service."""
        return self.list(f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices", labelSelector=f"kubernetes.io/service-name={service}")

    def leases(self):
        """Return {component: seconds since its Lease was renewed}."""
        found = {}
        for component, name in LEASES.items():
            age = tuning_objects.renewed(self.server.get(f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/{name}"), time.time())
            found.update({} if age is None else {component: age})
        return found

    def workloads(self):
        """Return {agents, node_local_dns, proxies, typha, monitored, in_namespace}: what runs on every node, what else there is, and how crowded it is."""
        self.daemonsets = tuning_objects.daemonsets(self.server.items(f"{APPS}/daemonsets"))
        deployments, statefulsets = (list(map(tuning_objects.full_name, self.server.items(f"{APPS}/{kind}"))) for kind in ("deployments", "statefulsets"))
        names = [*self.daemonsets, *deployments, *statefulsets]
        return {
            "agents": tuning_objects.agents(self.daemonsets),
            "node_local_dns": any("local-dns" in name or "nodelocaldns" in name for name in self.daemonsets),
            "proxies": [name for name in self.daemonsets if name.endswith("/kube-proxy")],
            "typha": any("typha" in name for name in names),
            "monitored": tuning_objects.is_monitored(names),
            "in_namespace": tuning_objects.most_in_namespace(deployments),
        }

    def dns(self):
        """Return the facts of CoreDNS: where it runs, and its Corefile."""
        label = "k8s-app=kube-dns"
        pods = self.list(PODS, labelSelector=label)
        deployments = self.list(f"{APPS}/namespaces/{SYSTEM}/deployments", labelSelector=label)
        if not pods and not deployments:
            raise cluster.ClusterError(f"nothing in {SYSTEM} has the label {label}")
        zones = {name: facts["zone"] for name, facts in self.facts.get("nodes", {}).items()}
        facts = tuning_objects.dns(pods, deployments, zones)
        labels = next((pod["metadata"].get("labels") or {} for pod in pods), {"k8s-app": "kube-dns"})
        budgets = self.server.items("/apis/policy/v1/poddisruptionbudgets")
        facts["budget"] = tuning_objects.disruption(budgets, labels, SYSTEM)
        facts["autoscaled"] = self.is_dns_autoscaled()
        text = (self.config_map("coredns") or {}).get("Corefile")
        facts.update({"corefile": tuning_corefile.facts(text)} if text else {})
        return facts

    def is_dns_autoscaled(self):
        """Return whether something scales CoreDNS with the cluster."""
        names = [one["metadata"]["name"] for one in self.server.items(f"{APPS}/namespaces/{SYSTEM}/deployments")]
        scaled = [one["spec"]["scaleTargetRef"]["name"] for one in self.server.items(f"/apis/autoscaling/v2/namespaces/{SYSTEM}/horizontalpodautoscalers")]
        return "coredns" in scaled or any("dns" in name and "autoscaler" in name for name in names)

    def proxy(self):
        """Return {config} of kube-proxy, {} where there is no ConfigMap of it; and whether Cilium replaces it."""
        data = self.config_map("kube-proxy")
        cilium = self.config_map("cilium-config") or {}
        facts = {"cilium_replaces": cilium.get("kube-proxy-replacement") in ("true", "strict")}
        if data is not None:
            facts["config"] = yaml.safe_load(data.get("config.conf") or "{}")
        return facts

    def kubeadm(self):
        """Return {certificates, networking} of the ConfigMap of kubeadm, {} where kubeadm did not make the cluster."""
        data = self.config_map("kubeadm-config")
        config = yaml.safe_load((data or {}).get("ClusterConfiguration") or "{}")
        return {"networking": config.get("networking") or {}, "version": config.get("kubernetesVersion")} if config else {}

    def webhooks(self):
        base = "/apis/admissionregistration.k8s.io/v1"
        found = [one for kind in ("validating", "mutating") for one in self.server.items(f"{base}/{kind}webhookconfigurations")]
        labels = self.server.get(f"/api/v1/namespaces/{SYSTEM}")["metadata"].get("labels") or {}
        backends = {service: tuning_objects.ready_addresses(self.slices(*service)) for service in tuning_objects.webhook_services(found)}
        return tuning_objects.webhooks(found, labels, backends)

    def unavailable_apis(self):
        return tuning_objects.unavailable(self.server.items("/apis/apiregistration.k8s.io/v1/apiservices"))

    def storage(self):
        """Return {classes, default_classes}."""
        base = "/apis/storage.k8s.io/v1"
        classes = self.list(f"{base}/storageclasses")
        drivers = self.list(f"{base}/csidrivers")
        return {"classes": tuning_objects.storage_classes(classes, drivers), "default_classes": tuning_objects.default_classes(classes)}

    def volumes(self):
        return tuning_objects.volumes(self.server.items("/api/v1/persistentvolumes"))

    def csi(self):
        base = "/apis/storage.k8s.io/v1"
        return tuning_objects.csi_nodes(self.server.items(f"{base}/csinodes"), self.server.items(f"{base}/volumeattachments"))

    def stuck_budgets(self):
        return tuning_objects.stuck_budgets(self.server.items("/apis/policy/v1/poddisruptionbudgets"))

    def pending_requests(self):
        """Return how many requests for a certificate nobody has decided."""
        path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
        return sum(not (one.get("status") or {}).get("conditions") for one in self.server.items(path))

    def jobs(self):
        """Return {compact, defrag_all}: CronJobs that do that to etcd."""
        found = {"compact": [], "defrag_all": []}
        for job in self.server.items("/apis/batch/v1/cronjobs"):
            containers = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
            text = "\n".join(" ".join(one.get("command") or []) + " " + " ".join(one.get("args") or []) for one in containers)
            for name, is_it in tuning_etcd.suspicious(text).items():
                found[name] += [tuning_objects.full_name(job)] if is_it else []
        return found

    def addons(self):
        """Return {without_requests} of the pods of the system."""
        return {"without_requests": tuning_objects.without_requests(self.server.items(PODS))}

    def services(self):
        """Return {prefer_close, in_namespace}: Services that ask for PreferClose, the former name of PreferSameZone; and how many the fullest namespace has."""
        found = {tuning_objects.full_name(one): one["spec"].get("trafficDistribution") for one in self.server.items("/api/v1/services")}
        return {
            "prefer_close": tuning_objects.named(name for name, wish in found.items() if wish == "PreferClose"),
            "in_namespace": tuning_objects.most_in_namespace(found),
        }

    def policies(self):
        """Return whether there are NetworkPolicies."""
        return bool(self.server.get("/apis/networking.k8s.io/v1/networkpolicies", limit=1)["items"])

    def metrics(self):
        text = self.server.get("/metrics")
        if not isinstance(text, str) or "apiserver_request" not in text:
            raise cluster.ClusterError("GET /metrics: the answer has no metrics of an API server")
        return tuning_objects.metrics(text)


def main():
    """Look at the cluster and return facts."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    if cluster.kubernetes is None:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=cluster.IMPORT_ERROR)
    options = module.params
    try:
        server = cluster.Cluster(options["kubeconfig"], timeout=options["timeout"], connections=options["kubelets"])
        facts = Look(server, options).all()
    except cluster.ClusterError as error:
        module.fail_json(msg=f"certify_kubeconfig: the cluster of {options['kubeconfig']} could not be read: {error}. Correct the file or the network.")
    module.exit_json(changed=False, facts=facts)


if __name__ == "__main__":
    main()
