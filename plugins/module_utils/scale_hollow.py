# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hollow nodes: what plays them, what it may do, and what keeps other pods off. Pure.

kubemark plays each by a real kubelet and a real kube-proxy without a machine below them, in a pod of its own; kwok plays all of them in one pod.
A taint keeps others' pods off, and a hollow node takes no traffic of load balancers. Node agents tolerate every taint, but select the operating system:
kwok's nodes have one that nobody selects. A kubelet writes its own back within ten seconds, so that kubemark's nodes are linux; what would come to them
is found before the load (scale_info), and stays Pending: hollow kubelets may not touch pods outside of the run's namespaces.
"""

from __future__ import annotations

import json

from . import owned

HOLLOW_LABEL = "kubeproof.io/hollow"
SYSTEM_LABEL = "kubernetes.io/os"
SYSTEMS = {"kubemark": "linux", "kwok": "hollow"}
# What agents of many clouds avoid, since it stands for a node without a machine.
VIRTUAL = {"type": "virtual-kubelet"}
NO_TRAFFIC_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"
NAMED = "hollow-"
TAINT = {"key": HOLLOW_LABEL, "value": "", "effect": "NoSchedule"}
TOLERATION = {"key": HOLLOW_LABEL, "operator": "Exists", "effect": "NoSchedule"}
KWOK_ANNOTATION = "kwok.x-k8s.io/node"
HOSTS_LABEL = "kubeproof.io/name"
ACCOUNT = "hollow"
CONFIG = "hollow"
PLACE = "/etc/hollow"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"
USER = 65532
PODS = 110
READ = ["get", "list", "watch"]


def labels(run_id, kind):
    """Return the labels of a hollow node."""
    return {**owned.labels(run_id), HOLLOW_LABEL: kind, SYSTEM_LABEL: SYSTEMS[kind], NO_TRAFFIC_LABEL: "", **VIRTUAL}


def selector(run_id):
    """Return the node selector of the load's pods."""
    return {owned.RUN_LABEL: run_id}


def accounts(names, clusterloader=False):
    """Return the accounts of a run, as run_access takes them; `names` of the hollow nodes. Nothing but hollow nodes can be changed or deleted.

    clusterloader2 looks which namespaces and nodes there are, and follows pods, Deployments and ReplicaSets in all
    namespaces, whatever it is told.
    """
    named = {"resourceNames": list(names)}
    load = [
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch", "create"]},
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["delete"], **named},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "delete"], **named},
    ]
    if clusterloader:
        load.append({"apiGroups": [""], "resources": ["namespaces", "nodes", "pods"], "verbs": READ})
        load.append({"apiGroups": ["apps"], "resources": ["deployments", "replicasets"], "verbs": READ})
    # What a kubelet and a kube-proxy ask for (system:node, system:node-proxier), without Secrets, and changes by name only.
    hollow = [
        {"apiGroups": [""], "resources": ["nodes", "pods", "services", "namespaces"], "verbs": READ},
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["nodes", "nodes/status"], "verbs": ["update", "patch"], **named},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", *READ]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["update", "patch"], **named},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": READ},
        {"apiGroups": ["networking.k8s.io"], "resources": ["servicecidrs"], "verbs": READ},
        {"apiGroups": ["node.k8s.io"], "resources": ["runtimeclasses"], "verbs": READ},
        {"apiGroups": ["storage.k8s.io"], "resources": ["csidrivers"], "verbs": READ},
        # Without a CSINode of its own, which goes with its node, a kubelet does not become Ready.
        {"apiGroups": ["storage.k8s.io"], "resources": ["csinodes"], "verbs": ["create", *READ]},
        {"apiGroups": ["storage.k8s.io"], "resources": ["csinodes"], "verbs": ["update", "patch"], **named},
    ]
    observer = [
        {"nonResourceURLs": ["/metrics", "/readyz"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["nodes/proxy", "nodes/metrics"], "verbs": ["get"]},
    ]
    hosts = [
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list", "delete", "deletecollection"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "delete", "deletecollection"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    ]
    return [
        {"name": "load", "rules": hosts, "cluster_rules": load},
        {"name": ACCOUNT, "rules": [], "cluster_rules": hollow},
        {"name": "observer", "rules": [], "cluster_rules": observer},
    ]


def guests(home):
    """Return the objects of a namespace in which the load's pods are, as run_access takes them; the accounts are those of the namespace `home`."""
    rules = {
        "load": [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "delete", "deletecollection"]},
            {"apiGroups": [""], "resources": ["services"], "verbs": ["list", "create", "delete", "deletecollection"]},
            {"apiGroups": [""], "resources": ["events"], "verbs": ["list", "watch"]},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
            {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": [*READ, "create", "patch", "delete", "deletecollection"]},
            {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": [*READ, "delete", "deletecollection"]},
        ],
        # A kubelet tells how its pods are, and removes those that have ended.
        ACCOUNT: [
            {"apiGroups": [""], "resources": ["pods/status"], "verbs": ["update", "patch"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["update", "patch", "delete"]},
        ],
    }
    version = "rbac.authorization.k8s.io/v1"
    made = []
    for name, given in rules.items():
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        subject = {"kind": "ServiceAccount", "name": name, "namespace": home}
        made.append({"api_version": version, "kind": "Role", "name": name, "content": {"rules": given}})
        made.append({"api_version": version, "kind": "RoleBinding", "name": name, "content": {"roleRef": role, "subjects": [subject]}})
    return made


def config(kind, stages=""):
    """Return the ConfigMap that hollow nodes read, as run_access takes it; `stages` is kwok's configuration."""
    place = {"server": "https://kubernetes.default.svc", "certificate-authority": f"{TOKEN}/ca.crt"}
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": ACCOUNT,
        "contexts": [{"name": ACCOUNT, "context": {"cluster": ACCOUNT, "user": ACCOUNT}}],
        "clusters": [{"name": ACCOUNT, "cluster": place}],
        # The kubelet of the pod's own node keeps this token fresh.
        "users": [{"name": ACCOUNT, "user": {"tokenFile": f"{TOKEN}/token"}}],
    }
    # A kubelet looks for a user of its own in /etc/passwd, and does not start without that file.
    data = {"kubeconfig": json.dumps(kubeconfig), "passwd": f"hollow:x:{USER}:{USER}:hollow:/tmp:/bin/false\n"}
    data.update({"kwok.yaml": stages} if kind == "kwok" else {})
    return {"api_version": "v1", "kind": "ConfigMap", "name": CONFIG, "content": {"data": data}}


def job(options):
    """Return the Job that plays hollow nodes: a pod for each with kubemark, one for all with kwok; it ends by itself after `deadline` seconds.

    `options`: run_id, namespace, name, prefix, count, kind, image, resources, deadline, tolerations (of the pods that play).
    """
    count = options["count"] if options["kind"] == "kubemark" else 1
    marks = {**owned.labels(options["run_id"]), HOSTS_LABEL: options["name"]}
    containers = _kubemark(options) if options["kind"] == "kubemark" else [_container("kwok", _kwok(options), options)]
    pod = {
        "restartPolicy": "OnFailure",
        "serviceAccountName": ACCOUNT,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": containers,
        "nodeSelector": {SYSTEM_LABEL: "linux"},
        "volumes": [{"name": "config", "configMap": {"name": CONFIG}}, {"name": "tmp", "emptyDir": {}}],
        **({"tolerations": options["tolerations"]} if options["tolerations"] else {}),
    }
    spec = {
        "completions": count,
        "parallelism": count,
        "completionMode": "Indexed",
        "backoffLimit": 10 * count,
        "activeDeadlineSeconds": options["deadline"],
        "ttlSecondsAfterFinished": 60,
        "template": {"metadata": {"labels": marks}, "spec": pod},
    }
    metadata = {"name": options["name"], "namespace": options["namespace"], "labels": marks}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def node(options, index):
    """Return the Node that kwok plays; kubemark's kubelets make theirs themselves."""
    name, room = f"{options['prefix']}-{index}", {"cpu": "32", "memory": "256Gi", "pods": str(PODS)}
    marks = {**labels(options["run_id"], options["kind"]), "kubernetes.io/hostname": name, "kubernetes.io/arch": "amd64"}
    metadata = {"name": name, "labels": marks, "annotations": {KWOK_ANNOTATION: "fake"}}
    status = {"allocatable": room, "capacity": room}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"taints": [TAINT]}, "status": status}


def _kubemark(options):
    marks = ",".join(f"{name}={value}" for name, value in labels(options["run_id"], options["kind"]).items())
    taint = f"{TAINT['key']}={TAINT['value']}:{TAINT['effect']}"
    common = ["/usr/local/bin/kubemark", f"--name={options['prefix']}-$(JOB_COMPLETION_INDEX)", f"--kubeconfig={PLACE}/kubeconfig"]
    # The runtime and the images are played in the process; nothing of the machine below is reached.
    kubelet = [*common, "--morph=kubelet", "--use-host-image-service=false", f"--max-pods={PODS}", f"--node-labels={marks}", f"--register-with-taints={taint}"]
    return [_container("kubelet", kubelet, options), _container("proxy", [*common, "--morph=proxy"], options)]


def _kwok(options):
    return [
        "/usr/local/bin/kwok",
        f"--kubeconfig={PLACE}/kubeconfig",
        f"--config={PLACE}/kwok.yaml",
        "--manage-all-nodes=false",
        f"--manage-nodes-with-label-selector={owned.RUN_LABEL}={options['run_id']}",
        "--node-lease-duration-seconds=40",
    ]


def _container(name, command, options):
    return {
        "name": name,
        "image": options["image"],
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "env": [{"name": "HOME", "value": "/tmp"}, {"name": "GOMAXPROCS", "value": "1" if options["kind"] == "kubemark" else "4"}],
        "resources": options["resources"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            {"name": "config", "mountPath": PLACE, "readOnly": True},
            {"name": "config", "mountPath": "/etc/passwd", "subPath": "passwd", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }
