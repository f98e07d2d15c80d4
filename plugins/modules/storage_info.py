#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: storage_info
short_description: Look at the storage of a cluster before load
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - Reads which StorageClasses and CSI drivers there are, and in which phase the volumes are. Changes nothing.
  - What may not be read is absent from the facts, with a sentence in C(missing).
options:
  kubeconfig:
    description: Path of the operator's kubeconfig.
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
- name: Look at the storage
  kubeproof.certify.storage_info:
    kubeconfig: ~/.kube/prod
  register: before
"""

RETURN = r"""
facts:
  description: What was found.
  returned: success
  type: dict
  contains:
    classes:
      description:
        - For each StorageClass its C(provisioner), whether it is the C(default), C(binding) the mode, C(reclaim) the policy, C(expandable) whether volumes may
          grow, and C(driver), whether a CSIDriver of the provisioner's name is registered.
      returned: when known
      type: dict
      sample: {fast: {provisioner: disk.csi.example.com, default: true, binding: WaitForFirstConsumer, reclaim: Delete, expandable: true, driver: true}}
    default_class:
      description: The name of the default StorageClass, the newest of several as Kubernetes takes it; empty without one.
      returned: when known
      type: str
      sample: fast
    volumes:
      description: How many PersistentVolumes are in each phase.
      returned: when known
      type: dict
      sample: {Available: 0, Bound: 12, Released: 1, Failed: 0}
    missing:
      description: Why C(classes), C(volumes) or C(drivers), and with them C(driver) of each class, are not known.
      returned: always
      type: dict
      sample: {}
"""

from ansible_collections.kubeproof.certify.plugins.module_utils import cluster, cluster_module

STORAGE = "/apis/storage.k8s.io/v1"
VOLUMES = "/api/v1/persistentvolumes"
PHASES = ("Available", "Bound", "Released", "Failed")
DEFAULT = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")


def described(item, drivers):
    """Return what is kept of a StorageClass; `drivers` are the names of CSI drivers, None when they are not known."""
    annotations = item["metadata"].get("annotations") or {}
    found = {
        "provisioner": item.get("provisioner") or "",
        "default": any(annotations.get(name) == "true" for name in DEFAULT),
        "binding": item.get("volumeBindingMode") or "Immediate",
        "reclaim": item.get("reclaimPolicy") or "Delete",
        "expandable": item.get("allowVolumeExpansion") is True,
    }
    return found if drivers is None else {**found, "driver": found["provisioner"] in drivers}


def classes(server, drivers):
    """Return {classes, default_class}."""
    items = list(server.items(f"{STORAGE}/storageclasses"))
    found = {item["metadata"]["name"]: described(item, drivers) for item in items}
    defaults = [item["metadata"] for item in items if found[item["metadata"]["name"]]["default"]]
    # By creation, then by name, as the admission plugin of the API server chooses.
    newest = max(defaults, key=lambda one: one.get("creationTimestamp") or "", default={"name": ""})
    return {"classes": found, "default_class": newest["name"]}


def phases(server):
    """Return {volumes: {phase: how many}}."""
    count = dict.fromkeys(PHASES, 0)
    for item in server.items(VOLUMES):
        phase = (item.get("status") or {}).get("phase") or "Unknown"
        count[phase] = count.get(phase, 0) + 1
    return {"volumes": count}


def look(server):
    """Return the facts of the cluster's storage."""
    facts: dict = {"missing": {}}

    def attempt(what, called, gather):
        try:
            return gather()
        except cluster.ClusterError as error:
            facts["missing"][what] = f"{called} cannot be read: {error}"
            return None

    drivers = attempt("drivers", "CSIDrivers", lambda: {item["metadata"]["name"] for item in server.items(f"{STORAGE}/csidrivers")})
    facts.update(attempt("classes", "StorageClasses", lambda: classes(server, drivers)) or {})
    facts.update(attempt("volumes", "PersistentVolumes", lambda: phases(server)) or {})
    if not {"classes", "volumes"} & set(facts):
        raise cluster.ClusterError(f"nothing can be read: {'. '.join(facts['missing'].values())}")
    return facts


def main():
    """Look and return what was found."""
    cluster_module.run({"kubeconfig": {"type": "path", "required": True}}, lambda server, dummy: {"facts": look(server)})


if __name__ == "__main__":
    main()
