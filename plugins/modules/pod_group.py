#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pod_group
short_description: Make pods on chosen nodes, in which tools run one after the other
version_added: "0.1.0"
description:
  - Makes the pods of a group at once and waits until all are ready. M(kubeproof.certify.pod_exec) then runs tools in them, without a start of a pod
    for each.
  - A pod keeps sleeping, or runs a command of its own, such as C(iperf3 -s). Tools run beside that command too.
  - When one pod does not become ready, the reason is returned and everything that was made is removed.
  - The pods end by themselves after O(seconds), also when nobody removes them.
author: kubeproof authors (@kubeproof)
options:
  kubeconfig:
    description: Path of the kubeconfig.
    type: path
    required: true
  namespace:
    description: Namespace, which must exist.
    type: str
    required: true
  run_id:
    description: The run that everything is labelled with.
    type: str
    required: true
  name:
    description:
      - What the group is called, which is the label C(kubeproof.io/group) of its pods and the beginning of their names.
      - With O(state=present) the run may not have a group of this name yet.
    type: str
    required: true
  state:
    description: Whether to make the group, or to remove it and wait until it is gone.
    type: str
    choices: [present, absent]
    default: present
  image:
    description: Image that has the tools, C(sh) and the coreutils, as Debian and Alpine do. Needed to make a group.
    type: str
    default: ""
  pods:
    description:
      - The pods, by their name in the group. Each is a dictionary of these keys, all of which can be left out.
      - C(node), the name of its node; without it they are spread.
      - C(argv), a command of its own, which must not end while the group is used. No shell is involved. Without it the pod sleeps.
      - C(ports), the TCP ports at which C(argv) must listen before the pod is ready.
      - C(host_network), whether it uses the network of its node. The namespace must allow that, which is beyond V(baseline).
      - C(labels), additional ones, as for the selector of a Service.
      - C(claims), paths by the name of a PersistentVolumeClaim. With C(block) they are devices, which only root can use (O(security=privileged)).
      - C(environment), variables of C(argv) and of the tools.
    type: dict
    default: {}
  files:
    description: Content of files by their name. All pods find them in C(/kubeproof/files). Together they must be smaller than 1 MiB.
    type: dict
    default: {}
  host_aliases:
    description: Additional lines of the pods' C(/etc/hosts), lists of names by their IP address.
    type: dict
    default: {}
  tolerations:
    description: Tolerations of the pods.
    type: list
    elements: dict
    default: []
  resources:
    description:
      - Requests and limits of each container, which a pod with C(argv) has two of. A limit of CPU throttles the load, so there is none unless it is given
        here, and a pod that gets another one from a LimitRange or an admission policy is refused.
    type: dict
    default: {requests: {cpu: 100m, memory: 128Mi}, limits: {memory: 1Gi}}
  results_limit:
    description: Largest size of what the tools of a pod may leave, as Kubernetes writes quantities. A pod in which there is more is evicted.
    type: str
    default: 2Gi
  security:
    description:
      - How far the pods are confined.
      - V(restricted) runs as user 65532 without capabilities and with a read-only root filesystem; C(/tmp) and C(/kubeproof/results) can be written.
      - V(baseline) runs as the user of the image with the runtime's usual capabilities.
      - V(privileged) runs as root with all capabilities and devices.
    type: str
    choices: [restricted, baseline, privileged]
    default: restricted
  seconds:
    description: Seconds after which Kubernetes ends the pods, counted from their start. Give what all tools may need together, and some more.
    type: int
    default: 3600
  pull_timeout:
    description: Seconds that a pod has to start after it was scheduled, most of them for the pull of O(image).
    type: float
    default: 120
  ready_timeout:
    description: Seconds until all pods must be created and scheduled; and that C(argv) has to listen at C(ports) after its start.
    type: float
    default: 60
requirements:
  - kubernetes
notes:
  - "Rights in the namespace: C(create), C(list), C(watch) and C(deletecollection) of C(pods); C(create) and C(delete) of C(configmaps); C(list) of C(events)."
  - C(get) of C(nodes) in the cluster is used for zones where pods do not carry them. Without it zones are missing.
attributes:
  check_mode:
    description: Makes and removes nothing in check mode, and returns no pods.
    support: partial
    details: Without pods the tasks that use them cannot be tried.
"""

EXAMPLES = r"""
- name: Start a server on one node and a client on another
  kubeproof.certify.pod_group:
    kubeconfig: ~/.kube/prod
    namespace: kubeproof-20261121t040000z-1a2b-network
    run_id: 20261121t040000z-1a2b
    name: pair
    image: registry.example.com/kubeproof/tools:0.3.0
    pods:
      server:
        node: worker1
        argv: [iperf3, -s]
        ports: [5201]
      client:
        node: worker2
    seconds: 300
  register: pair

- name: Remove them
  kubeproof.certify.pod_group:
    kubeconfig: ~/.kube/prod
    namespace: kubeproof-20261121t040000z-1a2b-network
    run_id: 20261121t040000z-1a2b
    name: pair
    state: absent
"""

RETURN = r"""
pods:
  description: The pods, by their name in the group.
  returned: success and state=present
  type: dict
  sample: {client: {pod: pair-client, node: worker2, zone: a, ip: 10.244.2.7, ips: [10.244.2.7], host_ip: 10.0.0.12}}
seconds:
  description: Time until all pods were ready, or gone.
  returned: success
  type: float
  sample: 2.1
left:
  description: What could not be deleted, or whose deletion could not be seen. The module fails unless it is empty.
  returned: always
  type: list
  elements: str
  sample: []
"""

import time

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.kubeproof.certify.plugins.module_utils import cluster, job_spec, job_stop, pod_group_spec
from ansible_collections.kubeproof.certify.plugins.module_utils.pod_group import Group

SPEC = {
    **job_spec.ARGUMENTS,
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "image": {"type": "str", "default": ""},
    "pods": {"type": "dict", "default": {}},
    "security": {"type": "str", "choices": ["restricted", "baseline", "privileged"], "default": "restricted"},
    "seconds": {"type": "int", "default": 3600},
}


def pods_of(given):
    """Return ({name: pod with all keys}, None), or ({}, why they cannot be used in a sentence)."""
    validator, found = ArgumentSpecValidator(pod_group_spec.POD), {}
    for name, pod in given.items():
        if not isinstance(pod, (dict, type(None))):
            return {}, f"pods: {name} is {pod!r}: give a dictionary."
        checked = validator.validate(pod or {})
        if checked.error_messages:
            return {}, f"pods: {name}: {checked.error_messages[0].rstrip('.')}."
        found[name] = checked.validated_parameters
    return found, None


def problem_of(options):
    """Return in a sentence why these arguments cannot be used, or None; fills the pods' defaults in."""
    options["pods"], problem = pods_of(options["pods"])
    if problem or options["state"] == "absent":
        return problem
    return "image is empty: name the image that has the tools." if not options["image"] else pod_group_spec.problem_of(options)


def execute(group):
    """Make or remove the group; return (result, why that failed or None)."""
    began, options = time.monotonic(), group.options
    if options["state"] == "present":
        what = f"The group {options['name']}"
        reason = job_stop.guarded(group.make, what, group.module)
        result = {"left": group.remove() if reason else [], "changed": True}
        if not reason:
            result["pods"] = group.pods()
    else:
        there: list = []
        reason = job_stop.guarded(lambda: there.append(group.begone()), f"The removal of the group {options['name']}", group.module)
        result = {"left": group.remove(), "changed": any(there)}
    result["seconds"] = round(time.monotonic() - began, 3)
    if result["left"]:
        text = f"{', '.join(result['left'])} could not be deleted, or their deletion could not be seen. Delete what has the labels {group.selector}."
        reason = f"{reason} {text}" if reason else text
    return result, reason


def main():
    """Make or remove the group and exit."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    options = module.params
    result = {"changed": False, "left": []}
    if cluster.kubernetes is None:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=cluster.IMPORT_ERROR, **result)
    problem = problem_of(options)
    if problem:
        module.fail_json(msg=problem, **result)
    if module.check_mode:
        module.exit_json(**{**result, "changed": True, "pods": {}, "seconds": 0.0})
    try:
        server = cluster.Cluster(options["kubeconfig"])
    except cluster.ClusterError as error:
        module.fail_json(msg=f"The cluster cannot be reached: {error}.", **result)
    outcome, reason = execute(Group(server, options))
    result.update(outcome)
    if reason:
        module.fail_json(msg=reason, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
