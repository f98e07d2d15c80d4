#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_info
short_description: Identify a Kubernetes cluster
version_added: "0.1.0"
description:
  - Reads the UID of the namespace C(kube-system), which is the cluster's identity, and the server's version, and counts its nodes, in four requests.
  - Fails when the UID is not the expected one, so that load never meets the wrong cluster.
author: kubeproof authors (@kubeproof)
options:
  kubeconfig:
    description: Path of the kubeconfig.
    type: path
    required: true
  expected_uid:
    description: The UID that the cluster must have; empty for any.
    type: str
    default: ""
  configuration:
    description: Read for the fingerprint what nodes, API servers and members of etcd run as well, in three more requests.
    type: bool
    default: false
requirements:
  - kubernetes
attributes:
  check_mode:
    description: Only reads.
    support: full
"""

EXAMPLES = r"""
- name: Identify the cluster
  kubeproof.certify.cluster_info:
    kubeconfig: ~/.kube/prod
"""

RETURN = r"""
uid:
  description: The UID of the namespace kube-system.
  returned: success
  type: str
  sample: 0b2b6a52-8e5c-4f58-9a51-4f0b4b7f5a11
kubernetes:
  description: The server's version.
  returned: success
  type: str
  sample: v1.36.3
nodes:
  description: How many nodes it has, without hollow ones of a run.
  returned: success
  type: int
  sample: 3
dns_pods:
  description: How many pods of CoreDNS there are in kube-system, or of what serves DNS in its place, by the usual labels.
  returned: with O(configuration), when they can be listed
  type: int
  sample: 2
configuration:
  description: What of the configuration can be read cheaply, name to value. What cannot be read is left out.
  returned: with O(configuration)
  type: dict
  sample: {kubelets: v1.36.3 (3), kube-apiserver --max-requests-inflight: "400"}
"""

import contextlib

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.kubeproof.certify.plugins.module_utils import cluster, fingerprint, owned

TIMEOUT = 10.0
NODES = "/api/v1/nodes"
# Of kubeadm and Kubespray, and of CoreDNS's own chart; a cache on the nodes has another.
DNS_PODS = "k8s-app in (kube-dns,coredns)"


def identify(path):
    """Return {uid, kubernetes, nodes} of the cluster of the kubeconfig at `path`; ClusterError when it does not say."""
    server = cluster.Cluster(path, timeout=TIMEOUT)
    uid = server.get("/api/v1/namespaces/kube-system").get("metadata", {}).get("uid")
    version = server.get("/version").get("gitVersion")
    if not uid or not version:
        raise cluster.ClusterError("the server's answer has no UID or no version")
    # One object and the number of those that remain: 5,000 nodes would be 50 MB.
    page = server.get(NODES, limit=1)
    nodes = len(page.get("items") or ()) + (page.get("metadata", {}).get("remainingItemCount") or 0)
    # A selection has no number of those that remain. There are none but after a scale.yml that was killed.
    hollow = sum(owned.RUN_LABEL in (item["metadata"].get("labels") or {}) for item in server.items(NODES, labelSelector=owned.RUN_LABEL))
    return {"uid": uid, "kubernetes": version, "nodes": nodes - hollow}


def configuration(path):
    """Return {name: value} of what nodes and components run; what the account may not read is left out."""
    server, found = cluster.Cluster(path, timeout=TIMEOUT), {}
    with contextlib.suppress(cluster.ClusterError, ValueError):
        # A line for each node, not the whole object.
        found.update(fingerprint.of_nodes(server.table(NODES, labelSelector=f"!{owned.RUN_LABEL}")))
    with contextlib.suppress(cluster.ClusterError):
        query = {"labelSelector": "component in (kube-apiserver,etcd)"}
        found.update(fingerprint.of_components(server.items("/api/v1/namespaces/kube-system/pods", **query)))
    return found


def dns_pods(path):
    """Return {dns_pods}, {} where they cannot be listed."""
    with contextlib.suppress(cluster.ClusterError):
        found = cluster.Cluster(path, timeout=TIMEOUT).items("/api/v1/namespaces/kube-system/pods", labelSelector=DNS_PODS)
        return {"dns_pods": sum(1 for dummy in found)}
    return {}


def main():
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "required": True},
            "expected_uid": {"type": "str", "default": ""},
            "configuration": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    if cluster.kubernetes is None:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=cluster.IMPORT_ERROR)
    path, expected = module.params["kubeconfig"], module.params["expected_uid"]
    try:
        found = identify(path)
    except cluster.ClusterError as error:
        module.fail_json(msg=f"certify_kubeconfig: the cluster of {path} could not be identified: {error}. Correct the file or the network.")
    if expected and found["uid"] != expected:
        module.fail_json(
            msg=f"certify_cluster_uid is {expected}, but the cluster of {path} has {found['uid']}. "
            "This is another cluster: correct certify_kubeconfig or the UID."
        )
    if module.params["configuration"]:
        found.update(configuration=configuration(path), **dns_pods(path))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
