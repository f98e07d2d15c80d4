# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The watchers of a soak as a Deployment, for an etcd whose hosts cannot be reached: one container for each member's client URL. Pure."""

from __future__ import annotations

import base64
import json
import math
import re
import urllib.parse

from ansible_collections.kubeproof.certify.plugins.module_utils import soak_file
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_program import program

NAME = "kubeproof-soak"
USER = 65532
CODE, SECRETS, DATA = "/kubeproof/code", "/kubeproof/secrets", "/kubeproof/data"
# Keys of a Secret of type kubernetes.io/tls, with the CA beside them.
FILES = {"ca": "ca.crt", "cert": "tls.crt", "key": "tls.key"}
OPTIONS = {"id", "seconds", "interval", "endpoints", "namespace", "image", "secret", "storage_class"}
RESOURCES = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "48Mi"}}


class ManifestError(Exception):
    """A setting cannot be used; the text names the variable, what was found and what to write."""


def member_name(endpoint):
    """Return the name of a member's recording: the host in its client URL, with - for what a name of Kubernetes cannot have."""
    host = urllib.parse.urlsplit(endpoint).hostname or ""
    return re.sub(r"[^a-z0-9]+", "-", host.lower()).strip("-")


def manifest(options):
    """Return the objects for `options` {id, seconds, interval, endpoints, namespace, image, secret, storage_class}.

    `secret` names a Secret with ca.crt, tls.crt and tls.key in the namespace, which whoever applies this has made.
    """
    _check(options)
    names = {member_name(endpoint): endpoint for endpoint in options["endpoints"]}
    # Not that of a run: the gates would take it for what one left, and playbooks/cleanup.yml would remove it in the middle of its day.
    labels = {"app.kubernetes.io/managed-by": "kubeproof", "app.kubernetes.io/name": NAME, "kubeproof.io/soak": options["id"]}
    meta = {"name": NAME, "namespace": options["namespace"], "labels": labels}
    most = soak_file.limit(math.floor(options["seconds"] / options["interval"]) + 1)
    space = str((most + soak_file.RESERVE) * len(names))
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": options["namespace"], "labels": labels}},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": meta,
            "binaryData": {"watcher.pyz": base64.b64encode(program()).decode()},
            "data": {f"{name}.json": _config(name, endpoint, options, most) for name, endpoint in names.items()},
        },
    ]
    data = {"emptyDir": {"sizeLimit": space}}
    if options["storage_class"]:
        claim = {"accessModes": ["ReadWriteOnce"], "storageClassName": options["storage_class"], "resources": {"requests": {"storage": space}}}
        objects.append({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": claim})
        data = {"persistentVolumeClaim": {"claimName": NAME}}
    # Without parts in common, which YAML would write as aliases.
    return json.loads(json.dumps(objects + [_deployment(meta, labels, names, options, data)]))


def _check(options):
    if set(options) != OPTIONS:
        raise ManifestError(f"The settings are {', '.join(sorted(options))}. Write exactly {', '.join(sorted(OPTIONS))}.")
    for name in ("namespace", "image", "secret"):
        if not isinstance(options[name], str) or not options[name]:
            raise ManifestError(f"soak_{name} is {options[name]!r}. Write the name of the {name}.")
    large = soak_file.too_large(options["seconds"], options["interval"])
    if large:
        raise ManifestError(large)
    names = [member_name(endpoint) for endpoint in options["endpoints"]]
    if not names or not all(names) or len(set(names)) < len(names):
        raise ManifestError(f"The endpoints in etcd_clusters are {options['endpoints']!r}. Write the client URL of each member, each on a host of its own.")


def _config(name, endpoint, options, most):
    client = {"url": endpoint.rstrip("/")}
    if endpoint.startswith("https:"):
        client.update((key, f"{SECRETS}/{file}") for key, file in FILES.items())
    settings = {
        "soak": {"id": options["id"], "host": name, "seconds": options["seconds"], "interval": options["interval"], "by": "a Deployment"},
        "member": {"client": client, "metrics": dict(client, url=client["url"] + "/metrics")},
        "path": f"{DATA}/{name}",
        "limit": most,
        # A container that ends is started again, and its recording is still to be taken.
        "stay": True,
    }
    return json.dumps(settings, indent=1, sort_keys=True)


def _deployment(meta, labels, names, options, data):
    mounts = [
        {"name": "code", "mountPath": CODE, "readOnly": True},
        {"name": "secrets", "mountPath": SECRETS, "readOnly": True},
        {"name": "data", "mountPath": DATA},
    ]
    security = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    containers = [
        {
            "name": name,
            "image": options["image"],
            "command": ["python3", "-I", "-S", f"{CODE}/watcher.pyz", f"{CODE}/{name}.json"],
            "resources": RESOURCES,
            "securityContext": security,
            "volumeMounts": mounts,
        }
        for name in names
    ]
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 10,
        "securityContext": {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": containers,
        "volumes": [
            {"name": "code", "configMap": {"name": NAME}},
            {"name": "secrets", "secret": {"secretName": options["secret"], "defaultMode": 0o440}},
            {"name": "data", **data},
        ],
    }
    # Two pods would write one file.
    spec = {"replicas": 1, "strategy": {"type": "Recreate"}, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}
