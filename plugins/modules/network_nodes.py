#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: network_nodes
short_description: Ask nodes about their network, from pods on them
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - Asks each pod, all of them at once, for the version of sockperf and the use of the connection tracking table of its network namespace; pods in the
    host network also for the mode of kube-proxy and what its metrics count.
  - A pod that does not answer has an C(error) in the place of facts, and the module ends well.
options:
  kubeconfig:
    description: Path of a kubeconfig that may run commands in the pods.
    type: path
    required: true
  namespace:
    description: The pods' namespace.
    type: str
    required: true
  pods:
    description: "Names of pods of M(kubeproof.certify.pod_group) in the pod network, as C({name in the facts: name of the pod})."
    type: dict
    default: {}
  hosts:
    description: The same of pods in the host network.
    type: dict
    default: {}
  timeout:
    description: Seconds in which a pod has to answer.
    type: float
    default: 20
requirements:
  - kubernetes
attributes:
  check_mode:
    description: Only reads.
    support: full
"""

EXAMPLES = r"""
- name: Ask the nodes
  kubeproof.certify.network_nodes:
    kubeconfig: /run/user/1000/kubeproof/load.kubeconfig
    namespace: kubeproof-20261121t040000z-1a2b-network
    hosts: {host-0: host-host-0}
  register: look
"""

RETURN = r"""
facts:
  description:
    - For each pod C(sockperf), its version; C(conntrack) with C(count), C(max) and C(failed), how many connections found no place since the boot, or
      C(loaded) false where the kernel has no such table; C(proxy) with C(mode), C(start), and where kube-proxy tells them C(rules) and the buckets of
      C(programming).
    - Or C(error), why it did not answer.
  returned: success
  type: dict
  sample: {host-0: {sockperf: "3.7", conntrack: {count: 120, max: 131072, failed: 0}, proxy: {mode: nftables}}}
seconds:
  description: How long it took.
  returned: success
  type: float
  sample: 0.4
"""

import time
from concurrent.futures import ThreadPoolExecutor

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.kubeproof.certify.plugins.module_utils import cluster, network_state
from ansible_collections.kubeproof.certify.plugins.module_utils.job_exec import Command, ExecError

AT_ONCE = 20
SPEC = {
    "kubeconfig": {"type": "path", "required": True},
    "namespace": {"type": "str", "required": True},
    "pods": {"type": "dict", "default": {}},
    "hosts": {"type": "dict", "default": {}},
    "timeout": {"type": "float", "default": 20},
}


def ask(server, options, pod, network):
    """Return the facts that a pod tells, or {error}."""
    try:
        with Command(server, options["namespace"], pod, ["sh", "-c", network_state.LOOK, "sh", network]) as command:
            text = command.text(options["timeout"], network_state.LONGEST)
        return network_state.facts_of((text or b"").decode("utf-8", "replace"))
    except (ExecError, network_state.StateError) as error:
        return {"error": str(error)}


def main():
    """Read the arguments, ask all pods, return what they say."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    if cluster.kubernetes is None:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=cluster.IMPORT_ERROR)
    options = module.params
    wanted = [(name, pod, network) for network, pods in (("pod", options["pods"]), ("host", options["hosts"])) for name, pod in pods.items()]
    begun = time.monotonic()
    try:
        server = cluster.Cluster(options["kubeconfig"])
    except cluster.ClusterError as error:
        module.fail_json(msg=f"The cluster cannot be reached: {error}.")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda one: ask(server, options, one[1], one[2]), wanted))
    facts = {name: answer for (name, dummy, dummy), answer in zip(wanted, answers)}
    module.exit_json(changed=False, facts=facts, seconds=round(time.monotonic() - begun, 3))


if __name__ == "__main__":
    main()
