#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_probe
short_description: Measure how long a Service's new endpoint needs to work on nodes
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - Every Service of O(services) selects pods by its own value of the label O(label), which no pod has. In each client a poller tries to connect to them,
    one after the other. When all of them try a Service, O(server) gets its label, and the module takes the seconds until each client has connected.
  - The seconds are an upper bound by the clock of the controller, which needs no other one.
options:
  kubeconfig:
    description: Path of a kubeconfig that may run commands in the clients and change the labels of the server.
    type: path
    required: true
  namespace:
    description: The pods' namespace.
    type: str
    required: true
  server:
    description: Name of the pod that becomes the endpoint. It answers HTTP.
    type: str
    required: true
  clients:
    description: "Pods of M(kubeproof.certify.pod_group) that connect, as C({name in the facts: name of the pod})."
    type: dict
    required: true
  services:
    description: Cluster IPs of the Services by their names, each of which is the value of the label that the Service selects. Each is used once.
    type: dict
    required: true
  port:
    description: Port of the Services.
    type: int
    required: true
  label:
    description: Key of the label.
    type: str
    default: kubeproof.io/probe
  timeout:
    description: Seconds that a client may need to reach a Service. When one does not, the Services after it are not tried.
    type: float
    default: 60
requirements:
  - kubernetes
  - websocket-client
attributes:
  check_mode:
    description: Never measures in check mode.
    details: Fails instead.
    support: partial
"""

EXAMPLES = r"""
- name: Measure network programming
  kubeproof.certify.service_probe:
    kubeconfig: /run/user/1000/kubeproof/load.kubeconfig
    namespace: kubeproof-20261121t040000z-1a2b-network
    server: net-pod-0
    clients: {worker1: net-pod-0, worker2: net-pod-1}
    services: {probe-0: 10.96.10.1}
    port: 80
  register: programming
"""

RETURN = r"""
facts:
  description:
    - C(expected) connections and the C(count) of those that were made, C(missed) clients that did not reach a Service in time; of all seconds the C(max),
      C(p50) and C(p99), unless one missed; for each of the C(clients) its C(count) and C(max).
  returned: success
  type: dict
  sample: {expected: 40, count: 40, missed: 0, max: 1.31, p50: 0.6, p99: 1.31}
seconds:
  description: How long it took.
  returned: success
  type: float
  sample: 24.8
"""

import time

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.kubeproof.certify.plugins.module_utils import cluster
from ansible_collections.kubeproof.certify.plugins.module_utils.network_probe import Probe, ProbeError

SPEC = {
    "kubeconfig": {"type": "path", "required": True},
    "namespace": {"type": "str", "required": True},
    "server": {"type": "str", "required": True},
    "clients": {"type": "dict", "required": True},
    "services": {"type": "dict", "required": True},
    "port": {"type": "int", "required": True},
    "label": {"type": "str", "default": "kubeproof.io/probe"},
    "timeout": {"type": "float", "default": 60},
}


def main():
    """Measure and exit."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    if cluster.kubernetes is None:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=cluster.IMPORT_ERROR)
    options = module.params
    for name in ("clients", "services"):
        if not options[name]:
            module.fail_json(msg=f"{name} is empty: name at least one.")
    if module.check_mode:
        module.fail_json(msg="Nothing is measured in check mode.")
    begun = time.monotonic()
    try:
        facts = Probe(cluster.Cluster(options["kubeconfig"]), options).measure()
    except cluster.ClusterError as error:
        module.fail_json(msg=f"The cluster cannot be reached: {error}.")
    except ProbeError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, facts=facts, seconds=round(time.monotonic() - begun, 3))


if __name__ == "__main__":
    main()
