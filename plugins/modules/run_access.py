#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: run_access
short_description: Give a run its namespace and its rights, and take them away
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - O(state=present) makes the run's namespace and ServiceAccounts with exactly the given rights, asks for a token of each, and writes kubeconfigs
    with the server and the CA of O(kubeconfig). It then asks the server with each token who it is and whether the rights are in force.
  - O(state=absent) deletes every object of the cluster that carries the labels C(app.kubernetes.io/managed-by=kubeproof) and C(kubeproof.io/run)
    of the run, and waits until they are gone. The kinds are Namespace, ClusterRole, ClusterRoleBinding, PriorityClass, and Node where it is hollow.
  - Volumes that were provisioned for claims in the run's namespaces go with them. Where their reclaim policy is Retain it is set to Delete,
    or they would stay for ever. They get the labels of the run, so that a later call still knows whose they are. A volume that no provisioner made
    for us is given back as soon as its claim is gone.
  - Both can be repeated. Tokens are written to files with mode 0600 alone. A certificate that cannot be verified is never accepted.
options:
  state:
    description: Whether the run has access.
    type: str
    choices: [present, absent]
    default: present
  kubeconfig:
    description: Path of the operator's kubeconfig.
    type: path
    required: true
  run_id:
    description:
      - The run, a valid value of a label.
      - V(*) with O(state=absent) stands for every run, also for those of others that are still going on in the cluster. Use it when none is.
    type: str
    required: true
  namespace:
    description: Name of the run's namespace. Needed with O(state=present).
    type: str
  pod_security:
    description: Pod Security level that the namespace enforces.
    type: str
    choices: [privileged, baseline, restricted]
    default: restricted
  accounts:
    description: ServiceAccounts of the run. An account that an earlier call made and that is not named stays as it is.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the ServiceAccount.
        type: str
        required: true
      rules:
        description: RBAC rules within the namespace.
        type: list
        elements: dict
        default: []
      cluster_rules:
        description: RBAC rules for the whole cluster, also with C(nonResourceURLs).
        type: list
        elements: dict
        default: []
  objects:
    description:
      - What else the run has in its namespace from the beginning, in this order. An object that an earlier call made stays as it is.
      - Its labels and its namespace are set here. The path of its kind is the kind in small letters with C(s), or C(es) after an C(s).
    type: list
    elements: dict
    default: []
    suboptions:
      api_version:
        description: Version of the API.
        type: str
        default: v1
      kind:
        description: A kind that has a namespace.
        type: str
        required: true
      name:
        description: Name of the object.
        type: str
        required: true
      annotations:
        description: Its annotations.
        type: dict
        default: {}
      content:
        description: The object without C(apiVersion), C(kind) and C(metadata).
        type: dict
        default: {}
      secret:
        description: Its C(stringData), which is never shown.
        type: dict
        default: {}
  pull_secret:
    description:
      - A Secret of the cluster, as namespace/name, with which nodes pull the images of the run's pods. It is read with the rights of O(kubeconfig), and
        copied into O(namespace), where every ServiceAccount names it, so that every pod pulls with it. Neither is it shown nor written anywhere else.
      - Its type is C(kubernetes.io/dockerconfigjson), as C(kubectl create secret docker-registry) makes it, or C(kubernetes.io/dockercfg).
    type: str
    default: ""
  token_seconds:
    description: For how long the tokens are needed, in seconds. It is an error when the API server shortens it.
    type: int
    default: 3600
  directory:
    description:
      - Absolute path of a directory of the run, on the controller. Needed with O(state=present).
      - It is made with mode 0700. If it exists, it must belong to the user alone.
      - O(state=absent) removes the files that O(state=present) wrote there, and the directory when nothing else is in it.
      - For every run it is a pattern of directories, such as C(/run/user/1000/kubeproof-*).
    type: path
  wait:
    description:
      - What O(state=absent) waits for. V(load) ends as soon as no pod, PersistentVolumeClaim and PersistentVolume of the run is left.
      - Its namespaces may still be terminating then, and do not count as left. A later call with V(all) sees them gone.
    type: str
    choices: [all, load]
    default: all
  timeout:
    description: For how long O(state=absent) waits for the objects to go, and O(state=present) for the rights to be in force (30 s at most), in seconds.
    type: int
    default: 300
requirements:
  - kubernetes
attributes:
  check_mode:
    description: Says what it would do. No token is asked for, so that C(accounts) is empty.
    support: full
"""

EXAMPLES = r"""
- name: Give the run its rights
  kubeproof.certify.run_access:
    kubeconfig: ~/.kube/prod
    run_id: 20261121t040000z-1a2b
    namespace: kubeproof-20261121t040000z-1a2b
    accounts:
      - name: load
        rules:
          - {apiGroups: [""], resources: [configmaps], verbs: [create, get, list, patch, delete]}
        cluster_rules:
          - {nonResourceURLs: [/metrics], verbs: [get]}
    objects:
      - {kind: Service, name: backend, content: {spec: {ports: [{name: http, port: 80}]}}}
    token_seconds: 7200
    directory: /run/user/1000/kubeproof-20261121t040000z-1a2b
  register: access

- name: Take them away
  kubeproof.certify.run_access:
    state: absent
    kubeconfig: ~/.kube/prod
    run_id: 20261121t040000z-1a2b
    directory: /run/user/1000/kubeproof-20261121t040000z-1a2b
"""

RETURN = r"""
namespace:
  description: The run's namespace.
  returned: O(state=present)
  type: str
  sample: kubeproof-20261121t040000z-1a2b
server:
  description: Address of the API server, as in the operator's kubeconfig.
  returned: O(state=present)
  type: str
  sample: https://10.0.0.10:6443
tls_server_name:
  description: The name that the server's certificate must have; empty for that of C(server).
  returned: O(state=present)
  type: str
  sample: ""
ca:
  description: File with the certificate authority; null when those of the system are meant.
  returned: O(state=present)
  type: str
  sample: /run/user/1000/kubeproof-20261121t040000z-1a2b/ca.crt
accounts:
  description: For each account its files, and when its token expires.
  returned: O(state=present)
  type: dict
  sample:
    load:
      kubeconfig: /run/user/1000/kubeproof-20261121t040000z-1a2b/load.kubeconfig
      token_file: /run/user/1000/kubeproof-20261121t040000z-1a2b/load.token
      expires: "2026-11-21T06:00:00Z"
addresses:
  description: The address of each Service of O(objects).
  returned: O(state=present)
  type: dict
  sample: {backend: 10.96.17.4}
deleted:
  description: The objects whose deletion was asked for, and the volumes that were set to be deleted with their claim; the first 20.
  returned: O(state=absent)
  type: list
  elements: str
  sample: [Namespace kubeproof-20261121t040000z-1a2b]
left:
  description: How many of the objects that O(wait) waits for are left. A kind that could not be looked at counts as one.
  returned: O(state=absent)
  type: int
  sample: 0
remaining:
  description: What is left and what holds it, the first 20.
  returned: O(state=absent)
  type: list
  elements: str
  sample: ["Namespace a is being deleted for 60 s: NamespaceFinalizersRemaining: Some content has finalizers remaining: b/c in 1 resource instances."]
msg:
  description: The first three sentences of RV(remaining), for whoever fails because of them.
  returned: O(state=absent) and something is left
  type: str
"""

import glob
import os
import time

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.kubeproof.certify.plugins.module_utils import cluster, files, owned, run_access, run_pull, run_removal, run_tokens

MINIMUM = 600
RULES = {"type": "list", "elements": "dict", "default": []}
SPEC = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "kubeconfig": {"type": "path", "required": True},
    "run_id": {"type": "str", "required": True},
    "namespace": {"type": "str"},
    "pod_security": {"type": "str", "choices": ["privileged", "baseline", "restricted"], "default": "restricted"},
    "objects": {
        **RULES,
        "options": {
            "api_version": {"type": "str", "default": "v1"},
            "kind": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "annotations": {"type": "dict", "default": {}},
            "content": {"type": "dict", "default": {}},
            "secret": {"type": "dict", "default": {}, "no_log": True},
        },
    },
    "accounts": {**RULES, "options": {"name": {"type": "str", "required": True}, "rules": RULES, "cluster_rules": RULES}},
    "pull_secret": {"type": "str", "default": "", "no_log": False},
    "token_seconds": {"type": "int", "default": 3600, "no_log": False},
    "directory": {"type": "path"},
    "wait": {"type": "str", "choices": ["all", "load"], "default": "all"},
    "timeout": {"type": "int", "default": 300},
}


def existing(server, path, wanted, run_id):
    """Return the object of the wanted one's name, or None; AccessError when it is not the run's."""
    name = wanted["metadata"]["name"]
    try:
        found = run_access.document(server.get(f"{path}/{name}"))
    except cluster.ClusterError as error:
        if error.status == 404:
            return None
        raise
    if not owned.is_of(found, run_id):
        raise run_access.AccessError(f"{wanted['kind']} {name} exists and is not of the run {run_id}: use another name, or delete it by hand.")
    if found["metadata"].get("deletionTimestamp"):
        raise run_access.AccessError(f"{run_access.why_left(wanted['kind'], found, time.time())} Wait until it is gone, or use another name.")
    return found


def ensure(server, path, wanted, run_id):
    """Make an object what it should be; return whether that changed anything."""
    strict = {"fieldValidation": "Strict"}
    try:
        server.request("POST", path, wanted, strict)
        return True
    except cluster.ClusterError as error:
        if error.reason != "AlreadyExists":
            raise
    found = existing(server, path, wanted, run_id)
    if found is None:
        raise run_access.AccessError(f"{wanted['kind']} {wanted['metadata']['name']} was deleted in this moment: end what deletes it, then run again.")
    if not run_access.differs(found, wanted):
        return False
    metadata = {**found["metadata"], "labels": {**found["metadata"].get("labels", {}), **wanted["metadata"]["labels"]}}
    server.request("PUT", f"{path}/{wanted['metadata']['name']}", {**found, **wanted, "metadata": metadata}, strict)
    return True


def remove(server, path, unwanted, run_id):
    """Delete an object of the run that an earlier call made; return whether there was one."""
    return existing(server, path, unwanted, run_id) is not None and server.delete(f"{path}/{unwanted['metadata']['name']}")


def grant(server, account, namespace, run_id):
    """Make an account with its rights; return whether that changed anything. AccessError names the account and what the API says."""
    changed = False
    for path, item, wanted in run_access.account_objects(account, namespace, run_id):
        try:
            changed |= (ensure if wanted else remove)(server, path, item, run_id)
        except cluster.ClusterError as error:
            raise run_access.AccessError(f"accounts: {account['name']}: {run_access.why_refused(error, item['kind'])}") from error
    return changed


def furnish(server, objects, namespace, run_id):
    """Make the objects of the namespace and return {Service: its address}. AccessError names the object and what the API says."""
    for one in objects:
        path, wanted = run_access.namespaced(one, namespace, run_id)
        try:
            ensure(server, path, wanted, run_id)
        except cluster.ClusterError as error:
            raise run_access.AccessError(f"objects: {one['kind']} {one['name']}: {run_access.why_refused(error, one['kind'])}") from error
    named = [one["name"] for one in objects if one["kind"] == "Service"]
    found = {item["metadata"]["name"]: item["spec"].get("clusterIP") for item in server.items(f"/api/v1/namespaces/{namespace}/services")} if named else {}
    return {name: found[name] for name in named}


def pull(server, given, namespace, run_id, accounts):
    """Let the pods of the namespace's ServiceAccounts, `accounts` and that of pods without one, pull with a Secret {type, data}; AccessError says why not."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    try:
        ensure(server, f"/api/v1/namespaces/{namespace}/secrets", run_pull.secret_object(given, namespace, run_id), run_id)
        for name in (run_pull.DEFAULT, *accounts):
            add_pull(server, path, run_pull.account(name, namespace, run_id))
    except cluster.ClusterError as error:
        raise run_access.AccessError(f"pull_secret: it cannot be given to the pods of {namespace}: {error}.") from error


def add_pull(server, path, wanted):
    """Make a ServiceAccount that pulls, or let the one that is there do so too: Kubernetes makes that of pods without one by itself."""
    try:
        server.request("POST", path, wanted)
    except cluster.ClusterError as error:
        if error.reason != "AlreadyExists":
            raise
        path = f"{path}/{wanted['metadata']['name']}"
        [own] = wanted["imagePullSecrets"]
        others = [one for one in run_access.document(server.get(path)).get("imagePullSecrets") or () if one != own]
        server.request("PATCH", path, {"imagePullSecrets": [*others, own]}, content_type="application/merge-patch+json")


def give(server, options, check_mode):
    """Give a run its access and return the answer of the module."""
    run_id, namespace, directory, accounts = (options[key] for key in ("run_id", "namespace", "directory", "accounts"))
    place = run_access.place_of(server)
    ca = os.path.join(directory, "ca.crt") if place["ca"] is not None else None
    answer = {"changed": True, "namespace": namespace, "server": place["server"], "tls_server_name": place["tls_server_name"], "ca": ca}
    answer.update(accounts={}, addresses={})
    wanted = run_access.namespace_object(namespace, run_id, options["pod_security"])
    credentials = run_pull.read(server, options["pull_secret"]) if options["pull_secret"] else None
    if check_mode:
        existing(server, "/api/v1/namespaces", wanted, run_id)
        return answer
    run_access.own_directory(directory)
    names = [f"{account['name']}.{kind}" for account in accounts for kind in ("kubeconfig", "token")]
    known = run_access.manifest(directory, run_id) or {"files": ["ca.crt"]}
    files.write_json(os.path.join(directory, run_access.MANIFEST), {"run": run_id, "files": sorted({*known["files"], *names})})
    ensure(server, "/api/v1/namespaces", wanted, run_id)
    if credentials:
        pull(server, credentials, namespace, run_id, [account["name"] for account in accounts])
    for account in accounts:
        grant(server, account, namespace, run_id)
    answer["addresses"] = furnish(server, options["objects"], namespace, run_id)
    if ca:
        files.write_bytes(ca, place["ca"])
    for account in accounts:
        token, expires = run_tokens.token_of(server, account["name"], namespace, options["token_seconds"])
        paths = run_access.write_account(directory, account["name"], namespace, token, place)
        run_tokens.prove(paths["kubeconfig"], account, namespace, options["timeout"])
        answer["accounts"][account["name"]] = {**paths, "expires": expires}
    return answer


def forget(options, check_mode):
    """Remove the files of the run, or of every run; return whether there were any."""
    directory, every = options["directory"] or "", options["run_id"] == owned.EVERY_RUN
    places = sorted(glob.glob(directory)) if every else filter(None, [directory])
    removed = [run_access.remove_files(place, options["run_id"], check_mode) for place in places]
    return any(removed)


def refusal(options):
    """Return in a sentence why the arguments cannot be used, or None."""
    present, directory = options["state"] == "present", options["directory"]
    if directory and not os.path.isabs(directory):
        return f"directory: {directory} is not an absolute path."
    if present and options["token_seconds"] < MINIMUM:
        return f"token_seconds is {options['token_seconds']}: the API server makes no token for less than {MINIMUM} s."
    problem = run_pull.problem_of(options["pull_secret"])
    if problem:
        return problem
    if not present and options["run_id"] == owned.EVERY_RUN:
        return None
    return run_access.problem_of(options["run_id"], options["namespace"] if present else "none", options["accounts"] if present else [])


def main():
    """Read the arguments, give or take the access, return what was done."""
    module = AnsibleModule(argument_spec=SPEC, required_if=[("state", "present", ("namespace", "directory"))], supports_check_mode=True)
    if cluster.kubernetes is None:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=cluster.IMPORT_ERROR)
    options = module.params
    problem = refusal(options)
    if problem:
        module.fail_json(msg=problem)
    try:
        removed = options["state"] == "absent" and forget(options, module.check_mode)
        server = cluster.Cluster(options["kubeconfig"])
        answer = (give if options["state"] == "present" else run_removal.take)(server, options, module.check_mode)
    except (cluster.ClusterError, files.DataFileError, run_access.AccessError) as error:
        module.fail_json(msg=f"{str(error).rstrip('.')}.")
    answer["changed"] = bool(answer["changed"] or removed)
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
