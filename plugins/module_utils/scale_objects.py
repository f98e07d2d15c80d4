# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is put on hollow nodes: Deployments with their Services, and when each request is due. Pure; the same seed gives the same load.

`options` has the keys run_id, name, namespaces, image, groups, rate, tolerations, node_selector and seed.
"""

from __future__ import annotations

import random
from typing import Dict, List, NamedTuple

from . import owned

NAME_LABEL = "kubeproof.io/name"
GROUP_LABEL = "kubeproof.io/group"
USER = 65532
# Every second Deployment has a Service.
SERVED = 2
# A Deployment goes to between half and one and a half of its size.
CHURN = (0.5, 1.5)


class Group(NamedTuple):
    """One Deployment: its place in the load, its pods, those that it is scaled to, and whether it has a Service."""

    index: int
    name: str
    namespace: str
    pods: int
    scaled: int
    served: bool


class Turn(NamedTuple):
    """A request on its schedule: seconds after the begin, and the Deployment that is made, scaled or deleted."""

    due: float
    group: Group


def layout(options) -> List[Group]:
    """Return the Deployments, spread over the namespaces in turn."""
    chance, found = random.Random(options["seed"]), []
    for index, pods in enumerate(options["groups"]):
        space = options["namespaces"][index % len(options["namespaces"])]
        scaled = max(1, round(pods * chance.uniform(*CHURN)))
        found.append(Group(index, f"{options['name']}-{index:04d}", space, pods, scaled, index % SERVED == 0))
    return found


def schedule(options, phase) -> List[Turn]:
    """Return the requests of a phase (fill, churn or drain) in a random order, each due when the pods before it came or went at the rate."""
    order = list(layout(options))
    random.Random(f"{options['seed']} {phase}").shuffle(order)
    turns, moved = [], 0
    for group in order:
        turns.append(Turn(moved / options["rate"], group))
        moved += abs(group.scaled - group.pods) if phase == "churn" else group.scaled if phase == "drain" else group.pods
    return turns


def wanted(options, phase) -> Dict[str, int]:
    """Return {Deployment: pods} at the end of a phase."""
    return {group.name: {"fill": group.pods, "churn": group.scaled, "drain": 0}[phase] for group in layout(options)}


def selector(options) -> str:
    """Return the label selector of everything of this load."""
    return f"{owned.RUN_LABEL}={options['run_id']},{NAME_LABEL}={options['name']}"


def paths(namespace) -> Dict[str, str]:
    """Return where each kind is."""
    core = f"/api/v1/namespaces/{namespace}"
    return {
        "pods": f"{core}/pods",
        "services": f"{core}/services",
        "deployments": f"/apis/apps/v1/namespaces/{namespace}/deployments",
        "replicasets": f"/apis/apps/v1/namespaces/{namespace}/replicasets",
        "slices": f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices",
    }


def labels(options, group) -> Dict[str, str]:
    return {**owned.labels(options["run_id"]), NAME_LABEL: options["name"], GROUP_LABEL: group.name}


def service(options, group) -> dict:
    """Return the Service of a Deployment."""
    matching = {owned.RUN_LABEL: options["run_id"], GROUP_LABEL: group.name}
    spec = {"selector": matching, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(options, group), "spec": spec}


def deployment(options, group) -> dict:
    """Return a Deployment whose pods go to hollow nodes alone, and that the Pod Security level `restricted` lets pass."""
    container = {
        "name": "main",
        "image": options["image"],
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": "http", "containerPort": 8080}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "containers": [container],
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "nodeSelector": options["node_selector"],
        "tolerations": options["tolerations"],
        "securityContext": {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    marks = labels(options, group)
    matching = {"matchLabels": {owned.RUN_LABEL: options["run_id"], GROUP_LABEL: group.name}}
    template = {"metadata": {"labels": marks}, "spec": pod}
    # All at once: what a Deployment makes in steps of a quarter would be its strategy's time, not the cluster's.
    spec = {"replicas": group.pods, "revisionHistoryLimit": 0, "selector": matching, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _metadata(options, group), "spec": spec}


def _metadata(options, group) -> dict:
    return {"name": group.name, "namespace": group.namespace, "labels": labels(options, group)}
