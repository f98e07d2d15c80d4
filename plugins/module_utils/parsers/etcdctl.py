# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcdctl: endpoint status, endpoint health, member list, alarm list (all with -w json) and check perf (text) to facts."""

from __future__ import annotations

import re

from .common import NUMBER, ParseError, boolean, decode_json, duration, excerpt, integer, mapping, message, name, sequence

ALARMS = {1: "NOSPACE", 2: "CORRUPT"}
# Keys of facts <- keys of the status; protobuf leaves out what is 0, so that absent stays absent.
SIZES = (
    ("db_size", "dbSize"),
    ("db_size_in_use", "dbSizeInUse"),
    ("db_quota", "dbSizeQuota"),
    ("raft_term", "raftTerm"),
    ("raft_index", "raftIndex"),
    ("raft_applied_index", "raftAppliedIndex"),
)
PERF_LINES = (
    ("rate", re.compile(r"(PASS: Throughput is|FAIL: Throughput too low:) ([0-9]{1,15}) writes/s$")),
    ("max", re.compile(rf"(PASS: Slowest request took|Slowest request took too long:) ({NUMBER})s$")),
    ("stdev", re.compile(rf"(PASS: Stddev is|Stddev too high:) ({NUMBER})s$")),
)
PERF_ERROR = re.compile(r"FAIL: ERROR\(.*\) -> ([0-9]{1,15})$")
PERF_ERRORS = "FAIL: too many errors"
PERF_CLEANUP = "FAIL: Cleanup failed"
VERDICTS = {"PASS": True, "FAIL": False}


def parse(text: str) -> dict:
    """Return the facts of the command whose output this is; the shape of the document tells which."""
    stripped = text.strip()
    if stripped[:1] not in ("[", "{"):
        return _perf(text)
    document, end = decode_json(stripped)
    if stripped[end:].strip():
        raise ParseError(f"there is more after the JSON: {excerpt(stripped[end:].strip())}.")
    if isinstance(document, list):
        return _endpoints(document)
    if "members" in document:
        return _members(document)
    if "header" in document and set(document) <= {"header", "alarms"}:
        return _alarms(document)
    raise ParseError(f"the JSON has {excerpt(', '.join(sorted(document)))}: not an endpoint status, endpoint health, member list or alarm list.")


def _endpoints(rows: list) -> dict:
    """Return the facts of endpoint status or endpoint health."""
    if not rows:
        raise ParseError("no endpoint answered.")
    rows = [mapping(row, "an endpoint") for row in rows]
    if all("Status" in row for row in rows):
        return _status(rows)
    if all("health" in row for row in rows):
        return {"health": _by_name([(row.get("endpoint"), _health(row)) for row in rows], "an endpoint")}
    raise ParseError("the JSON is an array, but neither of endpoint status nor of endpoint health.")


def _by_name(pairs: list, what: str) -> dict:
    """Return {name: value}; ParseError when a name is there twice or cannot be a key."""
    found = {name(key, f"the name of {what}"): value for key, value in pairs}
    if len(found) != len(pairs):
        raise ParseError(f"{what} is there twice.")
    return found


def _hex(value, what: str) -> str:
    """Return a 64-bit id as etcdctl prints it."""
    return f"{integer(value, what, 1):x}"


def _status(rows: list) -> dict:
    """Return {cluster_id, endpoints: {url: …}, leader?: url}; leader is absent unless exactly one endpoint is and all agree."""
    statuses = [mapping(row["Status"], "Status") for row in rows]
    headers = [mapping(status.get("header"), "header") for status in statuses]
    clusters = {_hex(header.get("cluster_id"), "cluster_id") for header in headers}
    if len(clusters) > 1:
        raise ParseError("the endpoints belong to different clusters.")
    endpoints = _by_name([(row.get("Endpoint"), _endpoint(status, header)) for row, status, header in zip(rows, statuses, headers)], "an endpoint")
    leaders = [url for url, endpoint in endpoints.items() if endpoint["leader"]]
    agreed = len({endpoint.get("leader_id") for endpoint in endpoints.values()}) == 1
    return {"cluster_id": clusters.pop(), "endpoints": endpoints, **({"leader": leaders[0]} if len(leaders) == 1 and agreed else {})}


def _endpoint(status: dict, header: dict) -> dict:
    """Return the facts of one endpoint's status."""
    member, leader = _hex(header.get("member_id"), "member_id"), integer(status.get("leader", 0), "leader")
    errors = [message(error, "an error") for error in sequence(status.get("errors", []), "errors")]
    facts = {
        "version": name(status.get("version"), "version"),
        "member_id": member,
        "leader": f"{leader:x}" == member,
        "learner": boolean(status.get("isLearner", False), "isLearner"),
        "errors": errors,
        "errors_count": len(errors),
    }
    if leader:
        facts["leader_id"] = f"{leader:x}"
    if "revision" in header:
        facts["revision"] = integer(header["revision"], "revision")
    facts.update((key, integer(status[source], source)) for key, source in SIZES if source in status)
    if facts.get("db_size_in_use", 0) > facts.get("db_size", 0):
        raise ParseError(f"the database uses {facts['db_size_in_use']} bytes of only {facts.get('db_size', 0)}.")
    return facts


def _health(row: dict) -> dict:
    """Return {healthy, took, error?} of one endpoint."""
    error = message(row.get("error", ""), "error")
    healthy = boolean(row["health"], "health")
    if healthy and error:
        raise ParseError(f"an endpoint is healthy with the error {excerpt(error)}.")
    return {"healthy": healthy, "took": duration(row.get("took"), "took"), **({"error": error} if error else {})}


def _members(document: dict) -> dict:
    """Return {members: {name, or id of one that was never started: …}, members_count, learners_count}."""
    pairs = []
    for member in sequence(document["members"], "members"):
        identity = _hex(mapping(member, "a member").get("ID"), "ID")
        started = bool(member.get("name"))
        facts = {
            "id": identity,
            "peer_urls": [message(url, "a peer URL") for url in sequence(member.get("peerURLs", []), "peerURLs")],
            "client_urls": [message(url, "a client URL") for url in sequence(member.get("clientURLs", []), "clientURLs")],
            "learner": boolean(member.get("isLearner", False), "isLearner"),
            "started": started,
        }
        pairs.append((member["name"] if started else identity, facts))
    members = _by_name(pairs, "a member")
    if not members:
        raise ParseError("the list of members is empty.")
    return {"members": members, "members_count": len(members), "learners_count": sum(member["learner"] for member in members.values())}


def _alarms(document: dict) -> dict:
    """Return {alarms: [{member_id, alarm}], alarms_count}."""
    _hex(mapping(document["header"], "header").get("cluster_id"), "cluster_id")
    alarms = []
    for alarm in sequence(document.get("alarms", []), "alarms"):
        kind = integer(mapping(alarm, "an alarm").get("alarm"), "alarm", 1)
        alarms.append({"member_id": _hex(alarm.get("memberID"), "memberID"), "alarm": ALARMS.get(kind, f"alarm {kind}")})
    return {"alarms": alarms, "alarms_count": len(alarms)}


def _perf(text: str) -> dict:
    """Return {passed, rate, latency: {max, stdev}, errors, cleanup} of check perf; cleanup is false when its keys were left behind."""
    # 3.5 prints its progress bar on standard output, so only the ends of lines count.
    lines = [line.rstrip() for line in text.rstrip().split("\n")]
    verdict = VERDICTS.get(lines[-1])
    if verdict is None:
        raise ParseError(f"it is neither JSON nor a finished check perf; it ends with {excerpt(lines[-1])}.")
    numbers, passes = {}, []
    for key, pattern in PERF_LINES:
        matches = [match for match in map(pattern.search, lines) if match]
        if len(matches) != 1:
            raise ParseError(f"the line with the {key} is there {len(matches)} times in this check perf.")
        numbers[key] = float(matches[0][2])
        passes.append(matches[0][1].startswith("PASS"))
    errors = sum(int(match[1]) for match in map(PERF_ERROR.search, lines) if match)
    failed = any(PERF_ERRORS in line for line in lines)
    if failed is not bool(errors) or verdict is not (all(passes) and not failed):
        raise ParseError("its verdict contradicts its lines.")
    return {
        "passed": verdict,
        "rate": numbers["rate"],
        "latency": {"max": numbers["max"], "stdev": numbers["stdev"]},
        "errors": errors,
        "cleanup": not any(PERF_CLEANUP in line for line in lines),
    }
