#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scale_info
short_description: Count a cluster, and find whose pods hollow nodes would get
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - Counts nodes, namespaces, pods, Services, endpoints and Deployments, without those of the run.
  - Names the DaemonSets and other workloads that tolerate the taint of hollow nodes and ask for nothing that these lack, and the pods of others
    that are on hollow nodes of the run.
  - Lists are read in chunks of 500, and of each object only what is counted is kept.
options:
  kubeconfig:
    description: Path of the operator's kubeconfig.
    type: path
    required: true
  run_id:
    description: The run.
    type: str
    required: true
  kind:
    description: What plays the nodes.
    type: str
    choices: [kubemark, kwok]
    default: kubemark
requirements:
  - kubernetes
attributes:
  check_mode:
    description: Only reads.
    support: full
"""

EXAMPLES = r"""
- name: Count the cluster
  kubeproof.certify.scale_info:
    kubeconfig: ~/.kube/prod
    run_id: 20261121t040000z-1a2b
  register: census
"""

RETURN = r"""
facts:
  description: What was found.
  returned: success
  type: dict
  contains:
    size:
      description: What there is of each kind, and the most that one namespace, node or Service has.
      type: dict
      sample: {nodes: 3, namespaces: 6, pods: 14, services: 3, pods_per_node: 8, endpoints_per_service: 2, pods_per_namespace: 10}
    hollow: {description: Hollow nodes of the run., type: int}
    guests: {description: "C({daemons, others}): what would put pods on hollow nodes.", type: dict}
    strangers: {description: "C({daemons, others, pods}): pods of others on hollow nodes of the run.", type: dict}
    clouds: {description: Number of nodes by the scheme of their provider's id., type: dict}
    ranges: {description: Nodes that have a range of pod addresses of their own., type: int}
    orphans: {description: Pods on hollow nodes of the run that are gone., type: int}
  sample: {size: {nodes: 3}, hollow: 0, guests: {daemons: [], others: []}, strangers: {daemons: 0, others: 0, pods: []}, clouds: {none: 3}, orphans: 0}
"""

from ansible_collections.kubeproof.certify.plugins.module_utils import cluster_module, scale_state

SPEC = {
    "kubeconfig": {"type": "path", "required": True},
    "run_id": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": ["kubemark", "kwok"], "default": "kubemark"},
}
THINGS = {
    "namespaces": "/api/v1/namespaces",
    "services": "/api/v1/services",
    "deployments": "/apis/apps/v1/deployments",
}
OTHERS = {"Deployment": "/apis/apps/v1/deployments", "StatefulSet": "/apis/apps/v1/statefulsets", "Job": "/apis/batch/v1/jobs"}


def look(server, options):
    """Return {facts}."""
    run_id, kind = options["run_id"], options["kind"]
    census = scale_state.Census(run_id)
    for item in server.items("/api/v1/nodes"):
        census.node(item)
    for item in server.items("/api/v1/pods"):
        census.pod(item)
    for name, path in THINGS.items():
        for item in server.items(path):
            census.thing(name, item)
    for item in server.items("/apis/discovery.k8s.io/v1/endpointslices"):
        census.slice(item)
    daemons = scale_state.guests(scale_state.DAEMON, server.items("/apis/apps/v1/daemonsets"), run_id, kind)
    others = [one for name, path in OTHERS.items() for one in scale_state.guests(name, server.items(path), run_id, kind)]
    return {"facts": {**census.facts(), "guests": {"daemons": daemons, "others": others}}}


def main():
    """Look, return the facts."""
    cluster_module.run(SPEC, look)


if __name__ == "__main__":
    main()
