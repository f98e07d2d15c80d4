#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: volume_run
short_description: Make a volume of a StorageClass, measure it, let it grow, and delete it
version_added: "0.1.0"
description:
  - Makes a PersistentVolumeClaim and a pod that uses it, and waits until the pod is ready, which also binds a claim that waits for its first consumer.
  - Looks whether what is mounted is a volume, writes with checksums and reads back, fills a file and runs fio on it, or kbench.
  - Lets the volume grow where O(expand) says so, until the pod sees it, and deletes all of it, until the volume is gone.
  - With O(state=present) the volume stays, for M(kubeproof.certify.pod_exec) to use, and O(state=absent) is its end.
  - What goes wrong with the volume is no failure of this module but in C(facts.outcome), a sentence in place of V(works).
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
  image:
    description: Image that has C(sh), the coreutils, C(grep) and C(fio); with the engine kbench that of kbench, which has them too.
    type: str
    required: true
  step:
    description: A step of P(kubeproof.certify.storage_plan#filter).
    type: dict
    required: true
  state:
    description:
      - V(measured) is all of it. V(present) ends when the file is filled; RV(pod) is where it is. A volume that cannot be used does not stay.
      - V(absent) goes on after V(present), with its O(facts), looks what memory would give, lets the volume grow, and deletes it.
    type: str
    choices: [measured, present, absent]
    default: measured
  facts:
    description: The facts that O(state=present) returned.
    type: dict
    default: {}
  expand:
    description: Whether the StorageClass lets its volumes grow.
    type: bool
    default: false
  tolerations:
    description: Tolerations of the pod.
    type: list
    elements: dict
    default: []
  resources:
    description: Requests and limits of the pod's container, as M(kubeproof.certify.pod_group) says.
    type: dict
    default: {requests: {cpu: 100m, memory: 128Mi}, limits: {memory: 1Gi}}
  security:
    description: How far the pod is confined, as M(kubeproof.certify.pod_group) says.
    type: str
    choices: [restricted, baseline]
    default: restricted
  raw:
    description: Directory on the controller for what the tools print.
    type: path
    required: true
  pull_timeout:
    description: Seconds that the pod has to start after it was scheduled, with the attachment and the mount of the volume and the pull of O(image).
    type: float
    default: 120
  bind_timeout:
    description: Seconds until the claim is bound and the pod is scheduled.
    type: float
    default: 60
  expand_timeout:
    description: Seconds until a volume must have grown.
    type: float
    default: 120
  delete_timeout:
    description: Seconds until a volume must be gone.
    type: float
    default: 60
requirements:
  - kubernetes
notes:
  - "Rights in the namespace: those of M(kubeproof.certify.pod_group) and M(kubeproof.certify.pod_exec), and C(create), C(get), C(patch) and C(delete) of
    C(persistentvolumeclaims). In the cluster: C(get) of C(persistentvolumes)."
attributes:
  check_mode:
    description: Makes nothing in check mode, and returns no facts.
    support: partial
    details: A volume that was not made measured nothing.
"""

EXAMPLES = r"""
- name: Measure a volume
  kubeproof.certify.volume_run:
    kubeconfig: ~/.kube/prod
    namespace: kubeproof-20261121t040000z-1a2b-storage
    run_id: 20261121t040000z-1a2b
    image: registry.example.com/kubeproof/tools:0.3.0
    step: "{{ plan.steps.0 }}"
    raw: /home/me/results/prod/20261121t040000z-1a2b/raw/storage/fast-1
  register: volume
"""

RETURN = r"""
facts:
  description:
    - C(outcome) is V(works) or what went wrong. What was not reached is absent.
    - C(provision) has the seconds until the claim was C(bound) and the pod C(ready), C(delete) and C(expand) those until the volume was gone and had grown.
    - C(space) describes the mounted filesystem, and whether it is on the node's own disk (C(node_disk)). Where that has no room for a test file,
      C(unmeasured) says so.
    - C(expand) has C(grown) by the filesystem, or where that showed all of a disk from the beginning (C(quota) is false) by the claim. C(integrity) says
      whether what was read back is what was written.
    - C(jobs) has what each job measured, C(cached) what the page cache gave, C(resident) the share of the test file in it, C(errors) the runs that failed.
  returned: success
  type: dict
  sample:
    class: fast
    outcome: works
    node: worker1
    provision: {bound: 1.4, ready: 2.9}
    space:
      {filesystem: ext4, device: "8:16", source: /dev/sdb, asked: 10737418240, size: 10464022528, free: 10447245312, memory: 33554432000, node_disk: false}
    integrity: {same: true}
    jobs: {}
    errors: 0
    delete: {gone: true, seconds: 2.2}
pod:
  description: The pod that has the volume, where it stays.
  returned: when O(state=present) made a volume that can be used
  type: str
  sample: volume-1-fio
seconds:
  description: Time for all of it.
  returned: success
  type: float
  sample: 61.5
left:
  description: What could not be deleted, or whose deletion could not be seen. The module fails unless it is empty.
  returned: always
  type: list
  elements: str
  sample: []
"""

import math
import time

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.kubeproof.certify.plugins.module_utils import cluster, job_stop, pod_group_spec, storage_volume
from ansible_collections.kubeproof.certify.plugins.module_utils.storage_fio import PLACE

RESOURCES = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}
SPEC = {
    "kubeconfig": {"type": "path", "required": True},
    "namespace": {"type": "str", "required": True},
    "run_id": {"type": "str", "required": True},
    "image": {"type": "str", "required": True},
    "step": {"type": "dict", "required": True},
    "state": {"type": "str", "choices": ["measured", "present", "absent"], "default": "measured"},
    "facts": {"type": "dict", "default": {}},
    "expand": {"type": "bool", "default": False},
    "tolerations": {"type": "list", "elements": "dict", "default": []},
    "resources": {"type": "dict", "default": RESOURCES},
    "security": {"type": "str", "choices": ["restricted", "baseline"], "default": "restricted"},
    "raw": {"type": "path", "required": True},
    "pull_timeout": {"type": "float", "default": 120},
    "bind_timeout": {"type": "float", "default": 60},
    "expand_timeout": {"type": "float", "default": 120},
    "delete_timeout": {"type": "float", "default": 60},
}


def group_options(options):
    """Return the options with those of pod_group filled in: one pod with the claim."""
    step = options["step"]
    pod = ArgumentSpecValidator(pod_group_spec.POD).validate({"node": step["node"], "claims": {step["object"]: PLACE}}).validated_parameters
    waits = sum(options[name] for name in ("pull_timeout", "bind_timeout", "expand_timeout"))
    return {
        **options,
        "name": step["object"],
        "pods": {storage_volume.POD: pod},
        "files": {},
        "host_aliases": {},
        "results_limit": "1Gi",
        # Twice what the plan says, and what may be waited for: whoever measures has given up long before.
        "seconds": math.ceil(waits + 2 * step["seconds"] + step.get("beside", 0)) + 600,
        "ready_timeout": options["bind_timeout"],
    }


def main():
    """Measure one volume, remove it, and exit."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    result = {"changed": False, "left": []}
    if cluster.kubernetes is None:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=cluster.IMPORT_ERROR, **result)
    if module.check_mode:
        module.exit_json(**{**result, "changed": True, "facts": {}, "seconds": 0.0})
    options = group_options(module.params)
    problem = pod_group_spec.problem_of(options)
    if problem:
        module.fail_json(msg=problem, **result)
    try:
        server = cluster.Cluster(options["kubeconfig"])
    except cluster.ClusterError as error:
        module.fail_json(msg=f"The cluster cannot be reached: {error}.", **result)
    began, volume = time.monotonic(), storage_volume.Volume(server, options)
    parts = {"measured": volume.measure, "present": volume.hold, "absent": volume.let_go}
    reason = job_stop.guarded(parts[options["state"]], f"The volume {options['step']['name']}", volume.module)
    if options["state"] == "present" and not reason and "outcome" not in volume.facts:
        result["pod"] = volume.pod
    else:
        result["left"] = volume.finish(wait=not reason)
    result.update(changed=True, facts=volume.facts, seconds=round(time.monotonic() - began, 3))
    if result["left"]:
        text = f"{', '.join(result['left'])} could not be deleted, or their deletion could not be seen. Delete what has the labels {volume.selector}."
        reason = f"{reason} {text}" if reason else text
    if reason:
        module.fail_json(msg=reason, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
