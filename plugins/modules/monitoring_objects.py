#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: monitoring_objects
short_description: Keep dashboards and rules in a cluster
version_added: "0.1.0"
description:
  - O(state=present) makes exactly these objects be there, by server-side apply, and deletes those of an earlier call that are not among them.
  - O(state=absent) deletes all of them and sees that they are gone. They are known by their labels.
  - Runs on the controller.
author: kubeproof authors (@kubeproof)
options:
  state:
    description: Whether the objects are there.
    type: str
    choices: [present, absent]
    default: present
  kubeconfig:
    description: Path of the kubeconfig.
    type: path
    required: true
  namespace:
    description: Their namespace, which is there already.
    type: str
    required: true
  objects:
    description: ConfigMaps and PrometheusRules.
    type: list
    elements: dict
    default: []
  timeout:
    description: Seconds to wait until they are gone.
    type: float
    default: 60
requirements:
  - kubernetes
attributes:
  check_mode:
    description: Asks the API server what it would do.
    support: full
"""

EXAMPLES = r"""
- name: Keep the dashboards in the cluster
  kubeproof.certify.monitoring_objects:
    kubeconfig: ~/.kube/prod
    namespace: monitoring
    objects: "{{ made.config_maps }}"
"""

RETURN = r"""
applied:
  description: Objects that changed.
  returned: O(state=present)
  type: list
  elements: str
  sample: [ConfigMap/kubeproof-dashboard-etcd]
removed:
  description: Objects that were deleted.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.kubeproof.certify.plugins.module_utils import cluster
from ansible_collections.kubeproof.certify.plugins.module_utils.monitoring_cluster import keep, present, remove


def main():
    """Apply the objects, or delete them."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "kubeconfig": {"type": "path", "required": True},
            "namespace": {"type": "str", "required": True},
            "objects": {"type": "list", "elements": "dict", "default": []},
            "timeout": {"type": "float", "default": 60},
        },
        supports_check_mode=True,
    )
    if cluster.kubernetes is None:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=cluster.IMPORT_ERROR)
    options = module.params
    try:
        server = cluster.Cluster(options["kubeconfig"])
        if options["state"] == "absent" and module.check_mode:
            found = {"removed": [f"{one['kind']}/{one['metadata']['name']}" for one in present(server, options["namespace"])]}
        elif options["state"] == "absent":
            found = remove(server, options["namespace"], options["timeout"])
        else:
            found = keep(server, options["namespace"], options["objects"], module.check_mode)
    except cluster.ClusterError as error:
        module.fail_json(msg=f"The objects in {options['namespace']} cannot be kept: {error}. See that the namespace is there and that you may change it.")
    if found.get("left"):
        module.fail_json(msg=f"These are still in {options['namespace']} after {options['timeout']:g} s: {', '.join(found['left'])}. A finalizer holds them.")
    changed = found.get("changed", [])
    module.exit_json(changed=bool(changed or found["removed"]), applied=changed, removed=found["removed"])


if __name__ == "__main__":
    main()
