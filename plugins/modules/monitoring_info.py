#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: monitoring_info
short_description: What a scrape configuration has to know of a cluster
version_added: "0.1.0"
description:
  - Reads which version the cluster has, which ingress controller, where its components are scraped, and whether it has the operator's PrometheusRules.
  - Reads alone. Runs on the controller.
author: kubeproof authors (@kubeproof)
options:
  kubeconfig:
    description: Path of the kubeconfig.
    type: path
    required: true
  ingress:
    description: The ingress controller, where it is known; otherwise it is looked for by the labels of its pods.
    type: str
    choices: ["", traefik, nginx]
    default: ""
requirements:
  - kubernetes
attributes:
  check_mode:
    description: Only reads.
    support: full
"""

EXAMPLES = r"""
- name: Look at the cluster
  kubeproof.certify.monitoring_info:
    kubeconfig: ~/.kube/prod
"""

RETURN = r"""
facts:
  description: Version, ingress controller, the namespaces of its pods and of CoreDNS, what is there to scrape, and whether there are PrometheusRules.
  returned: success
  type: dict
  sample:
    kubernetes: v1.36.3
    ingress: traefik
    namespaces: {dns: kube-system, ingress: traefik}
    rules: false
    server: https://10.0.0.21:6443
    found: {apiservers: ["10.0.0.21:6443"], nodes: [cp1, worker1], pods: {dns: {coredns-1: worker1}, ingress: {traefik-1: worker1}}}
"""

from ansible_collections.kubeproof.certify.plugins.module_utils import cluster_module
from ansible_collections.kubeproof.certify.plugins.module_utils.monitoring_cluster import look


def main():
    """Return what the cluster has."""
    spec = {"kubeconfig": {"type": "path", "required": True}, "ingress": {"type": "str", "choices": ["", "traefik", "nginx"], "default": ""}}
    cluster_module.run(spec, lambda server, options: {"facts": look(server, options)})


if __name__ == "__main__":
    main()
