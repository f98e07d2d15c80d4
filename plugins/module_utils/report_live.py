# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a certificate still speak of the cluster as it is now? What it stands on is its `voided_by`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, List, Tuple

from . import fingerprint
from .human import human
from .report_seal import configuration

NAMES = {
    "uid": "the UID of kube-system",
    "kubernetes": "the version of Kubernetes",
    "nodes": "the number of nodes",
    "hosts": "the number of hosts in the inventory",
    "etcd": "the version of etcd",
    "configuration": "the configuration",
}
# Of these, a cluster that answers says all.
ALWAYS = ("uid", "kubernetes", "nodes")
BY_AUDIT = " It is when verify_audit names the directory of today's audit."
HOW = {"configuration": BY_AUDIT, "etcd": f" The cluster does not tell: no pods of kube-system are its members.{BY_AUDIT}"}


def seen(cluster: Mapping, hosts: int, findings: Any = None, facts: Any = None) -> dict:
    """Return what is known now: of the cluster {uid, kubernetes, nodes, configuration}, of the inventory, and of the findings and facts of an audit.

    Versions of etcd are those that an audit read of every member, else those in the images of its pods.
    """
    now = {"hosts": hosts, **{key: cluster[key] for key in ALWAYS if key in cluster}}
    if findings is not None:
        now["configuration"] = configuration(findings) or "nothing was read"
    members = (facts or {}).get("etcd") or {}
    versions = [one.get("version") for one in members.values()]
    read = {fingerprint.ETCD: fingerprint.counted(versions)} if versions and all(versions) else cluster.get("configuration") or {}
    etcd = fingerprint.etcd_versions(read)
    if etcd:
        now["etcd"] = etcd
    return now


def compare(told: Any, now: Mapping) -> Tuple[List[str], List[str]]:
    """Return (problems, notes): what has changed since, and what was not compared."""
    told = told if isinstance(told, Mapping) else {}
    problems = [f"The certificate does not say {NAMES[key]}, so it cannot be compared with the cluster." for key in ALWAYS if key not in told]
    notes = []
    for key in (key for key in NAMES if key in told):
        if key not in now:
            notes.append(f"Not compared with the cluster: {NAMES[key]}.{HOW.get(key, '')}")
        elif told[key] != now[key] or isinstance(told[key], bool):
            known = "" if key == "configuration" else f" from {human(told[key])} to {human(now[key])}"
            problems.append(f"Void: {NAMES[key]} changed{known}. Certify again.")
    return problems, notes
