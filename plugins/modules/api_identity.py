#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: api_identity
short_description: Say as whom requests reach the API server, and in which priority level they land
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - Asks the API server with O(kubeconfig) who that is, and which FlowSchema and priority level of API Priority and Fairness took the request.
  - A load in an exempt level waits for nobody, so it would not show what clients are made to wait.
options:
  kubeconfig:
    description: Path of the kubeconfig whose user is meant.
    type: path
    required: true
  operator_kubeconfig:
    description: Path of a kubeconfig that may read FlowSchemas and priority levels. It gives the UIDs in the answer their names.
    type: path
    required: true
requirements:
  - kubernetes
attributes:
  check_mode:
    description: Only reads.
    support: full
"""

EXAMPLES = r"""
- name: Look in which priority level the load lands
  kubeproof.certify.api_identity:
    kubeconfig: /run/user/1000/kubeproof/load.kubeconfig
    operator_kubeconfig: ~/.kube/prod
"""

RETURN = r"""
facts:
  description:
    - What is known. Without fairness there is no flow schema and no priority level, and nothing is exempt from it. C(exempt) is absent when the
      answer does not say which level it was.
  returned: success
  type: dict
  sample: {username: "system:serviceaccount:a:load", groups: ["system:serviceaccounts"], flow_schema: service-accounts,
    priority_level: workload-low, exempt: false}
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.kubeproof.certify.plugins.module_utils import cluster

FLOWCONTROL = "/apis/flowcontrol.apiserver.k8s.io/v1"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
# Of each kind: the header with the UID of what took the request, and the fact that names it.
HEADERS = {
    "flowschemas": ("X-Kubernetes-PF-FlowSchema-UID", "flow_schema"),
    "prioritylevelconfigurations": ("X-Kubernetes-PF-PriorityLevel-UID", "priority_level"),
}
MASTERS = "system:masters"


def identify(user, operator):
    """Return the facts; ClusterError when the API server does not say who that is, or has no name for what took the request."""
    answer, headers = user.answer("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", REVIEW)
    info = (answer.get("status") or {}).get("userInfo") or {}
    if not info.get("username"):
        raise cluster.ClusterError("the review of the user has no name")
    groups = info.get("groups") or []
    facts = {"username": info["username"], "groups": groups}
    if MASTERS in groups or not is_fair(operator):
        return dict(facts, exempt=MASTERS in groups)
    for kind, (header, fact) in HEADERS.items():
        if header not in headers:
            # A proxy that drops headers leaves open which level it was.
            facts.pop("exempt", None)
            return facts
        found = next((one for one in operator.items(f"{FLOWCONTROL}/{kind}") if one["metadata"].get("uid") == headers[header]), None)
        if found is None:
            raise cluster.ClusterError(f"none of the {kind} has the UID {headers[header]}")
        facts[fact] = found["metadata"]["name"]
        # The last of the two is the level; a FlowSchema has no type.
        facts["exempt"] = found.get("spec", {}).get("type") == "Exempt"
    return facts


def is_fair(operator):
    """Say whether the API server has priority levels at all."""
    try:
        operator.get(FLOWCONTROL)
    except cluster.ClusterError as error:
        if error.status == 404:
            return False
        raise
    return True


def main():
    module = AnsibleModule(
        argument_spec={"kubeconfig": {"type": "path", "required": True}, "operator_kubeconfig": {"type": "path", "required": True}},
        supports_check_mode=True,
    )
    if cluster.kubernetes is None:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=cluster.IMPORT_ERROR)
    try:
        facts = identify(cluster.Cluster(module.params["kubeconfig"]), cluster.Cluster(module.params["operator_kubeconfig"]))
    except cluster.ClusterError as error:
        module.fail_json(msg=f"In which priority level the load lands is not known: {error}. Correct the rights or the network.")
    module.exit_json(changed=False, facts=facts)


if __name__ == "__main__":
    main()
