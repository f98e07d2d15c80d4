#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_reboot
short_description: Take a node out of service, see it come back, and put it into service again
version_added: "0.1.0"
description:
  - The parts of a reboot that the API server knows. The reboot itself is the caller's, between O(state=drained) and O(state=ready).
  - O(state=drained) refuses a node whose loss the cluster would not survive, cordons the node, and evicts its pods within their PodDisruptionBudgets.
    Nothing is deleted. Pods of DaemonSets and of files stay. Those that came until the cordon are evicted as well, and refused by the same rules.
  - O(state=ready) waits until the node is Ready with another boot id than O(before) has.
  - O(state=schedulable) takes away a cordon of O(run_id) and no other, looks whether it is gone, and waits until what ran on the node is ready again.
  - Runs on the controller.
author: kubeproof authors (@kubeproof)
options:
  kubeconfig:
    description: Path of the kubeconfig.
    type: path
    required: true
  state:
    description: What to do.
    type: str
    choices: [drained, ready, schedulable]
    required: true
  name:
    description: Name of the node. With O(state=schedulable) it may be left out, for every node that O(run_id) cordoned.
    type: str
    default: ""
  run_id:
    description: Identifier of the run, or V(*) for every run with O(state=schedulable).
    type: str
    required: true
  etcd_members:
    description:
      - The members of every etcd cluster that the inventory knows. The node of one of them, told by boot id, name or address, is refused unless members
        are pods that can be seen, of which a quorum stays.
    type: list
    elements: dict
    default: []
    suboptions:
      cluster:
        description: Name of its etcd cluster.
        type: str
        required: true
      name:
        description: Name of its host in the inventory.
        type: str
      address:
        description: Address of its host, or its client URL.
        type: str
      boot_id:
        description: What its host says of its boot, empty where it said nothing. To be left out only where no host is known.
        type: str
  delete_emptydir:
    description: Evict pods that have an emptyDir too, whose files are lost.
    type: bool
    default: false
  before:
    description: RV(before) of O(state=drained).
    type: dict
    default: {}
  timeout:
    description: Seconds until all of it must have happened.
    type: int
    default: 600
requirements:
  - kubernetes
attributes:
  check_mode:
    description: Never runs in check mode.
    details: Fails instead, because nothing would be measured.
    support: none
"""

EXAMPLES = r"""
- name: Take the node out of service
  kubeproof.certify.node_reboot:
    kubeconfig: ~/.kube/prod
    state: drained
    name: worker2
    run_id: 20261121t040000z-1a2b
  register: drained
"""

RETURN = r"""
before:
  description: What is compared afterwards, C(boot_id) and C(workloads).
  returned: with O(state=drained)
  type: dict
evicted:
  description: How many pods were evicted.
  returned: with O(state=drained)
  type: int
  sample: 7
returned:
  description: Whether the node came back; left out where the API server could not say so.
  returned: with O(state=ready)
  type: bool
boot_id:
  description: The boot id of the node that came back.
  returned: with O(state=ready)
  type: str
ready_at:
  description: When the node was seen to be Ready, by this machine's clock, in seconds since 1970.
  returned: with O(state=ready)
  type: float
waited:
  description: Seconds until the node was Ready, or what ran on it was ready.
  returned: with O(state=ready) and O(state=schedulable)
  type: float
nodes:
  description: The nodes that were uncordoned.
  returned: with O(state=schedulable)
  type: list
  elements: str
cordoned:
  description: Whether a node is still cordoned.
  returned: with O(state=schedulable)
  type: bool
missing:
  description: What is not ready again, as sentences.
  returned: with O(state=schedulable)
  type: list
  elements: str
"""

import time

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.kubeproof.certify.plugins.module_utils import cluster, node_reboot, owned

NODES = "/api/v1/nodes"
PODS = "/api/v1/pods"
SYSTEM = "/api/v1/namespaces/kube-system/pods"
PATCH = "application/strategic-merge-patch+json"
PAUSE = 0.5
GONE = 404
# An eviction that a PodDisruptionBudget does not allow now may be allowed later; one that met a change of the pod, or another pod of its name, is asked anew.
AGAIN = (429, 409)
MEMBER = {"cluster": {"type": "str", "required": True}, "name": {"type": "str"}, "address": {"type": "str"}, "boot_id": {"type": "str"}}
SPEC = {
    "kubeconfig": {"type": "path", "required": True},
    "state": {"type": "str", "choices": ["drained", "ready", "schedulable"], "required": True},
    "name": {"type": "str", "default": ""},
    "run_id": {"type": "str", "required": True},
    "etcd_members": {"type": "list", "elements": "dict", "default": [], "options": MEMBER},
    "delete_emptydir": {"type": "bool", "default": False},
    "before": {"type": "dict", "default": {}},
    "timeout": {"type": "int", "default": 600},
}


class Refused(Exception):
    """The node stays as it is, or did not come back; the text says why and what to do, `facts` what is known all the same."""

    def __init__(self, text, **facts):
        super().__init__(text)
        self.facts = facts


def drained(server, options, deadline):
    """Cordon the node, evict its pods and wait until they are gone; return {before, evicted}. Refused says what is in the way."""
    name = options["name"]
    system = [pod for part in ("kube-apiserver", "etcd") for pod in server.items(SYSTEM, labelSelector=f"{node_reboot.COMPONENT}={part}")]
    reason = node_reboot.refusal(name, list(server.items(NODES)), system, options["etcd_members"])
    if reason:
        raise Refused(f"{name} is not rebooted: {reason}.")
    everywhere = list(server.items(PODS))
    leaving(options, [pod for pod in everywhere if pod["spec"].get("nodeName") == name])
    before = {"boot_id": node_reboot.boot_id(server.get(f"{NODES}/{name}")), "workloads": node_reboot.wanted(name, everywhere)}
    server.request("PATCH", f"{NODES}/{name}", node_reboot.cordon(options["run_id"]), content_type=PATCH)
    evicted, why = set(), {}
    while True:
        # What the scheduler chose before it saw the cordon comes a moment later: only a list that is younger ends it.
        time.sleep(PAUSE)
        left = leaving(options, server.items(PODS, fieldSelector=f"spec.nodeName={name}"))
        if not left:
            return {"before": before, "evicted": len(evicted)}
        for pod in left:
            evict(server, pod, why)
            evicted.add(pod["metadata"]["uid"])
        if time.monotonic() > deadline:
            reason = why.get(left[0]["metadata"]["uid"], "it is still ending")
            raise Refused(f"{name} is not rebooted: it could not be drained in {options['timeout']} s, {len(left)} pods are left, such as "
                          f"{node_reboot.name_of(left[0])} ({reason}). Raise certify_reboot_timeout.")  # fmt: skip


def leaving(options, pods):
    """Return which of the pods of the node have to be evicted; Refused where one would be lost."""
    try:
        return node_reboot.leaving(pods, options["delete_emptydir"])
    except ValueError as error:
        raise Refused(f"{options['name']} is not rebooted: {error}.") from error


def evict(server, pod, why):
    """Ask for the eviction of a pod unless it is ending; the next list says whether it is gone. `why` {uid: what a budget said}."""
    namespace, name, uid = (pod["metadata"][key] for key in ("namespace", "name", "uid"))
    why.pop(uid, None)
    if pod["metadata"].get("deletionTimestamp"):
        return
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": uid}}}  # fmt: skip
    try:
        server.request("POST", f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", body)
    except cluster.ClusterError as error:
        if error.status in AGAIN:
            why[uid] = error.message or "its PodDisruptionBudget does not allow it"
        elif error.status != GONE:
            raise


def ready(server, options, deadline):
    """Wait until the node is Ready after another boot; return {returned, boot_id, ready_at, waited}. The API server may be away for a while."""
    began = time.monotonic()
    while True:
        known = {"returned": False}
        try:
            node = server.get(f"{NODES}/{options['name']}")
            found = node_reboot.boot_id(node)
            if found and found != options["before"].get("boot_id") and node_reboot.ready(node):
                return {"returned": True, "boot_id": found, "ready_at": time.time(), "waited": time.monotonic() - began}
            seen = "its boot id is the same as before" if found == options["before"].get("boot_id") else "it is not Ready"
        except cluster.ClusterError as error:
            seen, known = str(error), {}
        if time.monotonic() > deadline:
            text = f"{options['name']} did not come back in {options['timeout']} s: {seen}. Look at its console; it is uncordoned all the same."
            raise Refused(text, **known)
        time.sleep(PAUSE)


def schedulable(server, options, deadline):
    """Uncordon what the run has cordoned, and wait for what ran there; return {nodes, cordoned, missing, waited}."""
    began, changed = time.monotonic(), []
    names = [node["metadata"]["name"] for node in server.items(NODES, labelSelector=node_reboot.labelled(options["run_id"]))]
    # Its label may have been taken away; that it was drained says whose cordon it is.
    names += [options["name"]] if options["before"] and options["name"] not in names else []
    for name in names:
        if options["name"] in ("", name):
            server.request("PATCH", f"{NODES}/{name}", node_reboot.cordon(None), content_type=PATCH)
            changed.append(name)
    again = [server.get(f"{NODES}/{name}") for name in changed]
    left = [node["metadata"]["name"] for node in again if node_reboot.cordoned(node) or node_reboot.cordoned_by(node)]
    missing = []
    while options["before"].get("workloads"):
        missing = node_reboot.missing(options["name"], server.items(PODS), options["before"]["workloads"])
        if not missing or time.monotonic() > deadline:
            break
        time.sleep(2 * PAUSE)
    return {"nodes": changed, "cordoned": bool(left), "missing": missing, "waited": time.monotonic() - began}


def answer(server, options):
    """Do what `state` says and return what the module returns."""
    if not options["name"] and (options["state"] != "schedulable" or options["before"]):
        raise Refused("name is empty. Name the node.")
    if options["run_id"] == owned.EVERY_RUN and options["state"] != "schedulable":
        raise Refused("run_id is '*'. Name the run.")
    deadline = time.monotonic() + options["timeout"]
    found = {"drained": drained, "ready": ready, "schedulable": schedulable}[options["state"]](server, options, deadline)
    return {"changed": options["state"] == "drained" or bool(found.get("nodes")), **found}


def main():
    module = AnsibleModule(argument_spec=SPEC)
    if cluster.kubernetes is None:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=cluster.IMPORT_ERROR)
    try:
        module.exit_json(**answer(cluster.Cluster(module.params["kubeconfig"]), module.params))
    except Refused as error:
        module.fail_json(msg=str(error), **error.facts)
    except cluster.ClusterError as error:
        module.fail_json(msg=f"The cluster of {module.params['kubeconfig']} did not do what was asked: {error}. Correct the file or the network.")


if __name__ == "__main__":
    main()
