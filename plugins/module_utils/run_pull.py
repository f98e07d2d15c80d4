# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The credentials with which nodes pull the images of a run's pods: a Secret of the cluster, of which the run has a copy in its own namespace.

No pod names it: the API server gives a pod the imagePullSecrets of its ServiceAccount, so that every pod of the namespace has them, whoever makes it.
"""

from __future__ import annotations

import re

from . import cluster
from .owned import labels
from .run_access import AccessError, document

NAME = "kubeproof-pull"
# The account of pods that name none.
DEFAULT = "default"
PLACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
# What kubelets take, and where each type has it.
KEYS = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}


def problem_of(place):
    """Return in a sentence why a pull secret cannot be what `place` says, or None."""
    return None if not place or PLACE.fullmatch(place) else f"pull_secret is {place!r}: write the namespace and the name of a Secret, as in registry/pull."


def read(server, place):
    """Return {type, data} of the Secret namespace/name; AccessError when it cannot be read or is none to pull with. No message has a part of it."""
    namespace, name = place.split("/")
    try:
        found = document(server.get(f"/api/v1/namespaces/{namespace}/secrets/{name}"))
    except cluster.ClusterError as error:
        raise AccessError(f"pull_secret: the Secret {place} cannot be read: {error}. Name one that the kubeconfig of the operator may read.") from error
    sort = found.get("type")
    content = (found.get("data") or {}).get(KEYS.get(sort, ""))
    if not content:
        raise AccessError(f"pull_secret: the Secret {place} is of the type {sort}: name one that kubectl create secret docker-registry has made.")
    return {"type": sort, "data": {KEYS[sort]: content}}


def secret_object(given, namespace, run_id):
    """Return the run's copy of what `read` returned."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME, "namespace": namespace, "labels": labels(run_id)}, "immutable": True, **given}


def account(name, namespace, run_id):
    """Return a ServiceAccount whose pods pull with the copy."""
    metadata = {"name": name, "namespace": namespace, "labels": labels(run_id)}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "imagePullSecrets": [{"name": NAME}]}
