# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a certificate still speak of the cluster as it is now? What it stands on is its `voided_by`, and it has an end. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, List, Optional, Tuple

from . import fingerprint
from .human import human
from .report_seal import TIME, configuration

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


def expired(certificate: Mapping, now: datetime.datetime) -> List[str]:
    """Return what of a certificate has come to its end by now (UTC, without a zone), as sentences: itself, and waivers, whose last day is valid."""
    found = []
    if certificate.get("state") == "finished":
        end = _moment(certificate.get("valid_until"), TIME)
        if end is None:
            found.append("it does not say until when it is valid.")
        elif now > end:
            found.append(f"it expired at {certificate['valid_until']}. Certify again.")
    waived = {row["id"]: row["waiver"] for row in certificate.get("findings") or () if row.get("waiver") and row.get("judged")}
    for name, waiver in sorted(waived.items()):
        waiver = waiver if isinstance(waiver, Mapping) else {}
        day = _moment(waiver.get("expires"), "%Y-%m-%d")
        if day is None or day.date() < now.date():
            found.append(f"the waiver for {name} by {waiver.get('owner')} expired on {waiver.get('expires')}: what it answered for is a FAIL now.")
    return found


def _moment(text: Any, form: str) -> Optional[datetime.datetime]:
    """Return the time that a text names in a form; None where it names none."""
    try:
        return datetime.datetime.strptime(text, form)
    except (TypeError, ValueError):
        return None
