#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ingress_route
short_description: Wait for what an ingress controller says of the run's route
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - With O(gateway) it waits until the status of the HTTPRoute says that the Gateway has accepted it and found its backends, or why it has not.
  - Without it, it waits until the status of the Ingress has an address.
  - What stands in the way is a fact, or a sentence in C(problem). It is no failure of the module.
options:
  kubeconfig:
    description: Path of the operator's kubeconfig.
    type: path
    required: true
  namespace:
    description: The namespace of the route.
    type: str
    required: true
  name:
    description: Name of the HTTPRoute or Ingress.
    type: str
    required: true
  gateway:
    description: The Gateway of the HTTPRoute, as namespace/name. Empty for an Ingress.
    type: str
    default: ""
  pending:
    description: Why only the status of the Ingress can say the way, which comes first when it does not.
    type: str
    default: ""
  tls:
    description: Whether TLS is measured.
    type: bool
    default: true
  timeout:
    description: For how long to wait, in seconds.
    type: float
    default: 30
requirements:
  - kubernetes
attributes:
  check_mode:
    description: Only reads.
    support: full
"""

EXAMPLES = r"""
- name: Wait until the Gateway takes the route
  kubeproof.certify.ingress_route:
    kubeconfig: ~/.kube/prod
    namespace: kubeproof-20261121t040000z-1a2b-ingress
    name: backend
    gateway: edge/public
  register: routed
"""

RETURN = r"""
facts:
  description: What was found. What is not known is absent.
  returned: success
  type: dict
  contains:
    problem:
      description: Why nothing can be measured, and what to do; empty when all is known.
      returned: always
      type: str
      sample: ""
    route:
      description: With O(gateway), C(state), which is V(accepted) or what the controller says against the route; absent when it says nothing.
      returned: with O(gateway)
      type: dict
      sample: {state: accepted, seconds: 0.4}
    path:
      description: Without O(gateway), the way as the status of the Ingress says it, in the form of M(kubeproof.certify.ingress_info).
      returned: when known
      type: dict
      sample: {via: ingress status, addresses: [192.0.2.9], http: 80, https: 443, said: "ingress status 192.0.2.9:443"}
    found:
      description: That there is a controller, which is known by its having given an address.
      returned: with C(path)
      type: bool
      sample: true
"""

import time

from ansible_collections.kubeproof.certify.plugins.module_utils import cluster_module, ingress_gateway, ingress_path, ingress_resolve

INGRESSES = "/apis/networking.k8s.io/v1/namespaces/{}/ingresses/{}"
ROUTES = f"{ingress_gateway.API}/namespaces/{{}}/httproutes/{{}}"
PAUSE = 0.2
# What a controller says against a route holds after so many seconds: it may not have seen the Service yet.
SETTLED = 5
SPEC = {
    "kubeconfig": {"type": "path", "required": True},
    "namespace": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "gateway": {"type": "str", "default": ""},
    "pending": {"type": "str", "default": ""},
    "tls": {"type": "bool", "default": True},
    "timeout": {"type": "float", "default": 30},
}


def route(server, options, began):
    """Return the facts of an HTTPRoute."""
    while True:
        state = ingress_gateway.state_of(server.get(ROUTES.format(options["namespace"], options["name"])), options["gateway"])
        passed = time.monotonic() - began
        if state == ingress_gateway.ACCEPTED or passed >= (min(SETTLED, options["timeout"]) if state else options["timeout"]):
            break
        time.sleep(PAUSE)
    found, gateway = {"seconds": round(passed, 3)}, options["gateway"]
    if not state:
        text = f"The controller of the Gateway {gateway} has said nothing about our HTTPRoute in {passed:.0f} s (ingress_ready_timeout). Look at its log."
        return {"problem": text, "route": found}
    problem = "" if state == ingress_gateway.ACCEPTED else f"The Gateway {gateway} does not take our HTTPRoute: {state}."
    return {"problem": problem, "route": {**found, "state": state}}


def address(server, options, began):
    """Return the facts of an Ingress."""
    while True:
        path = ingress_path.by_status(server.get(INGRESSES.format(options["namespace"], options["name"])))
        if path or time.monotonic() - began >= options["timeout"]:
            break
        time.sleep(PAUSE)
    if not path:
        text = f"The status of our Ingress has no address after {options['timeout']:g} s either (ingress_ready_timeout)."
        return {"problem": f"{options['pending']} {text}".strip()}
    try:
        ingress_path.require(path, options["tls"])
        return {"problem": "", "found": True, "path": {**ingress_resolve.resolved(path), "said": ingress_path.said(path, options["tls"])}}
    except ingress_path.PathError as error:
        return {"problem": str(error)}


def main():
    """Wait, return the facts."""
    began = time.monotonic()
    cluster_module.run(SPEC, lambda server, options: {"facts": (route if options["gateway"] else address)(server, options, began)})


if __name__ == "__main__":
    main()
