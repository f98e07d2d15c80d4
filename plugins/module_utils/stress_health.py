# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look at the health between two steps of a stress run says: whether something restarted, was killed or lost, is not ready or elected. Pure.

A look is {nodes: {names, not_ready}, pods: {namespace/name: {uid, phase, restarts, reason?, ready?, owner?}}, etcd: {endpoints (endpoint status),
quota}, error}; a part that was not looked at is absent in all looks. `error` says why a look, or a part of it, could not be had. Where etcd has several
clusters, each endpoint names its own. Only pods that are to run for ever say whether they are `ready`; those of an `owner` stand in for each other.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, List, Tuple

from ansible_collections.kubeproof.certify.plugins.module_utils.human import human

# The share of its quota from which on etcd is not written to, and the share of failed requests at which a load is aborted (design.md).
FULL = 0.8
MOST_ERRORS = 0.10
UNKNOWN = "it is not known how full etcd is"
# What cluster_health takes for the system; who names other namespaces says that all of their pods are.
NO_SYSTEM = (
    "no pod of the system is seen: none is in kube-system or a namespace openshift-*, and none has the priority class system-cluster-critical or "
    "system-node-critical. Name the namespaces of the system in certify_system_namespaces"
)
# What a kubelet says of a pod that it ended for want of memory or disk.
EVICTED = "Evicted"


def worsened(first: Any, before: Any, after: Any) -> Tuple[str, str]:
    """Return (what became worse in a sentence or "", why no load may follow or "").

    What restarts or elects does so once, since the look before; what is lost stays lost until it is as at first.
    """
    first, before, after = _map(first), _map(before), _map(after)
    said = _nodes(*(_map(look.get("nodes")) for look in (first, before, after)))
    said += _pods(*(_map(look.get("pods")) for look in (first, before, after)))
    etcd, stop = _etcd(*(_map(look.get("etcd")) for look in (first, before, after)))
    return "; ".join(said + etcd), stop


def hindrance(look: Any, written: float = 0) -> str:
    """Return why no load may follow a look, or "": etcd is full, reports an alarm, or has no room for so many bytes. Where it is not looked at nobody knows.

    Pages that are free within the file are filled before it grows.
    """
    etcd = _map(_map(look).get("etcd"))
    endpoints = _map(etcd.get("endpoints"))
    full = _full(endpoints, etcd.get("quota"))
    if full or not endpoints or not written:
        return f"etcd {full}" if full else ""
    shares = [_share(one, etcd.get("quota"), written) for one in endpoints.values()]
    if None in shares:
        return UNKNOWN
    most = max(shares)
    return f"etcd would have filled {most:.0%} of its quota after the next step, which writes up to {human(written, 'byte')}" if most > FULL else ""


def etcd_room(look: Any, written: float, looks: Any = ()) -> dict:
    """Return what is known of etcd before a load that writes so much: {watched} and then {hindrance, share?, alarms?, missing?}.

    `looks` are those before this one, the first and the last of which say what became worse since.
    """
    look = _map(look)
    why = look.get("error") or ("" if "etcd" in look else None)
    if why is None:
        return {"watched": False}
    if why:
        return {"watched": True, "hindrance": why, "missing": {name: why for name in ("share", "alarms")}}
    endpoints, quota = _map(look["etcd"].get("endpoints")), look["etcd"].get("quota")
    worse = worsened(looks[0], looks[-1], look)[0] if looks else ""
    alarms = sorted({text for one in endpoints.values() for text in one.get("errors") or ()})
    found = {"watched": True, "hindrance": hindrance(look, written) or worse, "alarms": alarms}
    shares = [_share(one, quota, written) for one in endpoints.values()]
    return {**found, **({"share": round(max(shares), 4)} if shares and None not in shares else {"missing": {"share": UNKNOWN}})}


def _share(one: dict, quota: Any, written: float = 0) -> Any:
    """Return the share of its quota that a member has filled when so much more is written, None where that is not known."""
    quota, size = one.get("db_quota") or quota, one.get("db_size")
    return max(size, one.get("db_size_in_use", size) + written) / quota if size and quota else None


def blind(look: Any) -> str:
    """Return why a look says nothing, or "". A cluster has nodes, and its system pods: who sees none of them has not seen the cluster."""
    look = _map(look)
    if look.get("error"):
        return look["error"]
    if "nodes" in look and not _map(look["nodes"]).get("names"):
        return "no node is seen"
    return NO_SYSTEM if "pods" in look and not look["pods"] else ""


def replaced(before: Any, after: Any) -> List[str]:
    """Return whose pods were replaced by others between two looks. By itself that breaks nothing: a rollout does it, too."""
    old, new = (_map(_map(look).get("pods")) for look in (before, after))
    left = {pod.get("uid") for pod in new.values()}
    gone = {_group(name, pod) for name, pod in old.items() if "ready" in pod and pod.get("phase") != "Failed" and pod.get("uid") not in left}
    return sorted(gone & {_group(name, pod) for name, pod in new.items()})


def unread(before: Any, after: Any) -> str:
    """Return why the two looks cannot be compared, or ""."""
    why = blind(before) or blind(after)
    if why:
        return f"the health could not be read: {why}"
    return "the health was not read" if not before or not after or set(before) != set(after) else ""


def etcd_look(seen: Any) -> dict:
    """Return the part of a look that is of etcd, {etcd} or {error}: of what etcd_info found in a loop over {cluster, host, endpoint} (certify_member).

    A member that answers no read is lost, and absent. One that could not be asked is something else: nobody knows how it is.
    """
    seen = _map(seen)
    results = [_map(one) for one in seen.get("results") or ()]
    found: dict = {}
    for one in results:
        item, facts = _map(one.get("certify_member")), _map(one.get("facts"))
        if not facts:
            return {"error": f"etcd on {item.get('host')} could not be asked: {one.get('msg') or 'no reason was given'}"}
        members = [other for other in results if _map(other.get("certify_member")).get("cluster") == item.get("cluster")]
        if not item.get("endpoint") and facts.get("member_count", 0) > len(members):
            return {
                "error": f"{item.get('cluster')} has {facts['member_count']} members, and its group in the inventory {len(members)} hosts: name them all"
            }
        if "raft_term" in facts and (facts.get("healthy") or facts.get("alarms")):
            quota = {"db_quota": facts["quota_backend_bytes"]} if facts.get("quota_backend_bytes") else {}
            names = {"raft_term": "raft_term", "db_size": "db_size", "db_size_in_use": "db_in_use"}
            kept = {name: facts[own] for name, own in names.items() if own in facts}
            place = item.get("endpoint") or f"{item['cluster']}/{item['host']}"
            found[place] = {"cluster": item["cluster"], **kept, **quota, "errors": facts.get("alarms") or []}
    if not found:
        why = next((_map(one.get("facts"))["error"] for one in results if _map(one.get("facts")).get("error")), seen.get("msg") or "no etcd runs there")
        return {"error": f"no member of etcd answered: {why}"}
    return {"etcd": {"endpoints": found}}


def _map(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _nodes(first: dict, before: dict, after: dict) -> list:
    """Return what is lost of the nodes. One that left is named once; while there are fewer than at first, so is each that was there then."""
    began, old, now = (set(one.get("names") or ()) for one in (first, before, after))
    gone = old - now | (began - now if len(now) < len(began) else set())
    ill = set(after.get("not_ready") or ()) - set(first.get("not_ready") or ())
    return [_are(names, what) for names, what in ((gone, "gone"), (ill, "not ready")) if names and now]


def _are(names: set, what: str) -> str:
    return f"{', '.join(sorted(names)[:3])}{' and others' if len(names) > 3 else ''} {'is' if len(names) == 1 else 'are'} {what}"


def _pods(first: dict, before: dict, after: dict) -> list:
    """Return what happened to pods since the look before, and of which fewer are ready than at first."""
    said = []
    for name, pod in sorted(after.items()):
        # A pod of the same name may be another, and one that came since then has restarted as often as it says.
        old = _map(before.get(name))
        old = old if old.get("uid") == pod.get("uid") else {}
        reason = f" ({pod['reason']})" if pod.get("reason") else ""
        failed = pod.get("phase") == "Failed" and old.get("phase") != "Failed"
        if failed and pod.get("reason") == EVICTED:
            said.append(f"{name} was evicted")
        elif failed and "ready" in pod:
            said.append(f"{name} failed{reason}")
        elif pod.get("restarts", 0) > old.get("restarts", 0):
            said.append(f"{name} restarted{reason}")
    were, are = _ready(first), _ready(after)
    for group in sorted(were) if after else ():
        if are[group] < were[group]:
            said.append(f"{group} is not ready" if group in first else f"{group} has {are[group]} of {were[group]} pods ready")
    return said[:3]


def _ready(pods: dict) -> Counter:
    return Counter(_group(name, pod) for name, pod in pods.items() if pod.get("ready"))


def _group(name: str, pod: dict) -> str:
    """Return by what name a pod is known that another may replace."""
    return pod.get("owner") or name


def _etcd(first: dict, before: dict, after: dict) -> Tuple[list, str]:
    if not after:
        # It was not asked, which does not say that it does not answer.
        return [], ""
    members, last = _map(first.get("endpoints")), _map(after.get("endpoints"))
    said = [f"etcd {stop}" for stop in (_full(last, after.get("quota")),) if stop]
    stop = said[0] if said else ""
    terms, newer = _terms(_map(before.get("endpoints"))), _terms(last)
    if any(newer[cluster] > terms.get(cluster, newer[cluster]) for cluster in newer):
        said.append("etcd elected a leader")
    if len(last) < len(members):
        said.append(f"{len(members) - len(last)} of {len(members)} members of etcd do not answer")
    return said, stop


def _terms(endpoints: dict) -> dict:
    """Return {cluster: the newest raft term that a member of it names}."""
    found: dict = {}
    for one in endpoints.values():
        found[one.get("cluster")] = max(found.get(one.get("cluster"), 0), one.get("raft_term", 0))
    return found


def _full(endpoints: dict, quota: Any) -> str:
    """Return why etcd may not be written to."""
    if any(one.get("errors") for one in endpoints.values()):
        return f"reports {next(one['errors'][0] for one in endpoints.values() if one.get('errors'))}"
    shares = [share for share in (_share(one, quota) for one in endpoints.values()) if share is not None]
    return f"has filled {max(shares):.0%} of its quota" if shares and max(shares) > FULL else ""
