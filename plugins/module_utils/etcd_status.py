# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an etcd member says of itself: health, version, status, members and alarms; standard library alone."""

from __future__ import annotations

from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_gateway import Gateway
from ansible_collections.kubeproof.certify.plugins.module_utils.web import HttpError, fetch_json

NO_LEADER = "0"
NUMBERS = {
    "revision": ("header", "revision"),
    "raft_term": ("raftTerm",),
    "db_size": ("dbSize",),
    "db_in_use": ("dbSizeInUse",),
    "quota_backend_bytes": ("dbSizeQuota",),
}


def ask(endpoint):
    """Return {healthy, version, cluster_version, ...} of the member at `endpoint`; what it does not answer is left out, and `error` says why."""
    facts = {}
    try:
        versions = fetch_json(endpoint, "/version")
        facts.update(version=versions["etcdserver"], cluster_version=versions["etcdcluster"])
        with Gateway(endpoint) as gateway:
            facts.update(status(gateway.call("/v3/maintenance/status", {})))
            # Without a leader every other question waits until it times out.
            if facts["leader_id"] == NO_LEADER:
                return dict(facts, healthy=False, error=f"{endpoint.url} knows no leader: too few members run for a majority (no quorum).")
            facts["healthy"] = healthy(endpoint)
            facts.update(alarms(gateway.call("/v3/maintenance/alarm", {"action": "GET"})))
            facts.update(members(gateway.call("/v3/cluster/member/list", {})))
    except HttpError as error:
        facts["error"] = str(error)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        facts["error"] = f"{endpoint.url} does not answer as etcd does ({type(error).__name__} {error}). Set the endpoint to a client URL of etcd."
    return facts


def healthy(endpoint):
    """Return whether the member says that it is healthy; with an alarm, or without a leader, it answers 503."""
    try:
        return str(fetch_json(endpoint, "/health").get("health")).lower() == "true"
    except HttpError as error:
        if error.status == 503:
            return False
        raise


def status(answer):
    """Return {member_id, leader_id (hex, as etcdctl prints them), leader (bool), revision, raft_term, db_size, db_in_use, quota_backend_bytes (byte)}."""
    member, leader = int(answer["header"]["member_id"]), int(answer.get("leader", 0))
    facts = {"member_id": f"{member:x}", "leader_id": f"{leader:x}", "leader": member == leader}
    for name, path in NUMBERS.items():
        value = answer
        for part in path:
            value = value.get(part, {})
        if value != {}:
            facts[name] = int(value)
    # A quota that is turned off is negative.
    if facts.get("quota_backend_bytes", 1) <= 0:
        del facts["quota_backend_bytes"]
    return facts


def alarms(answer):
    """Return {alarms: ["NOSPACE of member <hex>"], alarm_count}."""
    found = [f"{one.get('alarm', 'NONE')} of member {int(one['memberID']):x}" for one in answer.get("alarms", [])]
    return {"alarms": found, "alarm_count": len(found)}


def members(answer):
    """Return {members: {name: {id, urls, learner}}, member_count}; a member that has not started goes by its id."""
    found = {}
    for one in answer["members"]:
        member = f"{int(one['ID']):x}"
        found[one.get("name") or member] = {"id": member, "urls": one.get("clientURLs", []), "learner": bool(one.get("isLearner"))}
    return {"members": found, "member_count": len(answer["members"])}
