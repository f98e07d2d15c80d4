# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of one etcd cluster and of its hosts, put together from what modules and tools returned. What is not known is absent."""

from __future__ import annotations

import urllib.parse

from ansible_collections.kubeproof.certify.plugins.module_utils import stress, stress_plan

# Where tool_run's tools are copied to.
COPIES = "/var/tmp/kubeproof/"
# The share of its planned seconds that a step must have lasted.
WHOLE = 0.8
NO_LEADER = "0"
# Nothing that is measured is larger; NaN and infinity are not below it either.
LARGEST = 1e30
SOURCES = ("hosts", "addresses", "asked", "clock", "keys", "clean", "steps", "seconds", "after")


def of_host(measured):
    """Return one host's document: `measured` has the arguments of host_facts, and soak, what the watch of a day proved of the host."""
    return _with(host_facts(measured["info"], measured["plan"], measured["extra"]), _map(measured.get("soak")))


def of_cluster(measured):
    """Return the cluster's document: `measured` is that of cluster_facts, with soak, what the watch of a day proved of the cluster."""
    return _with(cluster_facts(measured), _map(measured.get("soak")))


def _with(facts, more):
    """Return facts with more of them, also within the same map."""
    return {**facts, **{name: _with(_map(facts.get(name)), value) if isinstance(value, dict) else value for name, value in more.items()}}


def host_facts(info, plan, extra):
    """Return one host's document: `info` (etcd_info's facts), {fio, window, members_count, host_access} of `extra` where known, and what follows from both."""
    facts = dict(_map(info), **{name: value for name, value in extra.items() if value})
    if "host_access" in extra:
        facts["host_access"] = extra["host_access"]
    endpoint, free = facts.get("endpoint"), _map(facts.get("disk")).get("free")
    if isinstance(endpoint, str) and endpoint:
        facts["tls"] = endpoint.startswith("https:")
    if _is_number(free):
        facts["disk_room"] = round(free / max(1, plan["growth"] + plan["fsync"]), 1)
    left_out = {name: sentence for name, sentence in plan["missing"].items() if name == "fio"}
    return dict(facts, missing=left_out) if left_out else facts


def cluster_facts(measured):
    """Return the cluster's document.

    `measured`: host_access (False when etcd is reached by given endpoints from hosts that are not its members'), hosts {name: etcd_info's
    facts}, addresses {name: where Ansible reaches it}, asked (the facts of etcdctl's member list, endpoint status, endpoint health and
    alarm list, merged), clock (etcd_ask's facts of clocks, and the tools after the copy), runner (the host that loads), stress (see
    stress.facts), keys (etcd_ask's free), clean (etcd_keys' facts), steps {name: facts}, seconds {name: s it took}, after (endpoint status), plan (etcd_plan).
    Only `plan` must be there.
    """
    known, plan = {name: _map(measured.get(name)) for name in SOURCES}, measured["plan"]
    asked, hosts = known["asked"], known["hosts"]
    facts = {name: asked[name] for name in ("members_count", "learners_count", "alarms_count") if name in asked}
    status = _map(asked.get("endpoints"))
    access = measured.get("host_access") is not False
    if "host_access" in measured:
        facts["host_access"] = access
    if access:
        facts.update(_members(_map(asked.get("members")), hosts, known["addresses"]))
    tools = _tools(hosts, measured.get("runner"), known["clock"].get("tools"))
    if tools:
        facts["tools"] = tools
    health = _health(asked.get("health"), hosts if access else {})
    if health:
        facts["health"] = health
    facts.update(_status(status or _own_status(hosts)))
    facts.update(_database(status, hosts, plan))
    difference = known["clock"].get("clock_difference")
    if difference:
        facts["clock_difference"] = difference
    facts.update((name, known[name]) for name in ("keys", "clean") if known[name])
    facts.update(_keys_left(known["clean"]))
    whole = _whole(known["steps"], known["seconds"], plan)
    facts.update(_load(whole, plan))
    facts.update(_left_out(facts, plan))
    if "stress" in plan:
        views = {step["name"]: _view(step, _map(whole[step["name"]])) for step in stress_plan.ran(plan, whole) if _map(whole[step["name"]])}
        stress.add(facts, "etcd", plan, views, measured.get("stress"))
    facts.update(_change(status, _map(known["after"].get("endpoints"))))
    return facts


def _map(value):
    return value if isinstance(value, dict) else {}


def _texts(value):
    return {one for one in value if isinstance(one, str)} if isinstance(value, list) else set()


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < LARGEST


def _numbers(documents, key):
    """Return the number under `key` of each document; [] unless every one has it."""
    found = [_map(document).get(key) for document in documents]
    return found if all(map(_is_number, found)) else []


def _members(members, hosts, addresses):
    """Return {members_without_host}: members that are no host by advertised URL, address or name, so also when their etcd is stopped."""
    urls = {url for info in hosts.values() for url in _texts(_map(info).get("advertise_client_urls"))}
    # A name counts only where no etcd runs that could advertise something else.
    stopped = {name for name, info in hosts.items() if not _map(info).get("advertise_client_urls")}
    places = {place for place in addresses.values() if isinstance(place, str) and place} | stopped
    wanted = {name: _map(member).get("client_urls") for name, member in members.items()}
    if not wanted or not hosts or not all(isinstance(one, list) for one in wanted.values()):
        return {}
    return {
        "members_without_host": sum(
            1 for name, one in wanted.items() if name not in stopped and not urls & _texts(one) and not places & {_hostname(url) for url in _texts(one)}
        )
    }


def _keys_left(clean):
    """Return {keys_left}: predicted keys, those under our prefix, and those of watches, that exist after the deletion."""
    counts = [clean.get("left")] + ([_map(clean["watch"]).get("left")] if "watch" in clean else [])
    return {"keys_left": sum(counts)} if all(map(_is_number, counts)) else {}


def _tools(hosts, runner, later):
    """Return {host: {tool: {path, version?, source}}}: what was there, and on the runner also what was copied (`later`: etcd_info's tools)."""
    found = {name: _map(_map(info).get("tools")) for name, info in hosts.items()}
    found.update({runner: _map(later)} if runner and later else {})
    used = {host: {name: _tool(tool) for name, tool in tools.items() if _map(tool).get("path")} for host, tools in found.items()}
    return {host: tools for host, tools in used.items() if tools}


def _tool(tool):
    source = "copied for the run" if str(tool["path"]).startswith(COPIES) else "on the host"
    return {**{key: tool[key] for key in ("path", "version") if key in tool}, "source": source}


def _hostname(url):
    try:
        return urllib.parse.urlsplit(url).hostname
    except ValueError:
        return None


def _health(health, hosts):
    """Return what etcdctl says of each endpoint, and beside it the hosts on which no etcd runs or whose member is not healthy."""
    ill = {name for name, info in hosts.items() if _map(info).get("running") is False or _map(info).get("healthy") is False}
    return {**_map(health), **{name: {"healthy": False} for name in ill}}


def _own_status(hosts):
    """Return what each member says of the leader when etcdctl could not ask them, as without a quorum."""
    # A member goes on naming a lost leader until its election timeout: only a linearizable read proves that the leader is there.
    told = {name: _map(info) for name, info in hosts.items()}
    return {
        name: {"leader_id": info["leader_id"]}
        for name, info in told.items()
        if info.get("leader_id") and (info.get("healthy") is True or info["leader_id"] == NO_LEADER)
    }


def _status(status):
    """Return {leaders, versions_count, applied_gap} from endpoint status of every member."""
    if not status or not all(isinstance(member, dict) for member in status.values()):
        return {}
    # A member that knows no leader does not name one.
    leaders = [member.get("leader_id", NO_LEADER) for member in status.values()]
    versions = [member.get("version") for member in status.values()]
    facts = {}
    if all(isinstance(one, str) for one in leaders):
        facts["leaders"] = 0 if NO_LEADER in leaders else len(set(leaders))
    if all(isinstance(one, str) and one for one in versions):
        facts["versions_count"] = len(set(versions))
    reached, applied = _numbers(status.values(), "raft_index"), _numbers(status.values(), "raft_applied_index")
    if reached and applied:
        facts["applied_gap"] = max(reached) - min(applied)
    return facts


def _database(status, hosts, plan):
    """Return {predicted: {bytes, share, run_share}}: the fullest member after the run against the smallest quota."""
    quotas = [_map(info).get("quota_backend_bytes") for info in hosts.values()]
    quotas += [_map(member).get("db_quota") for member in status.values()]
    quotas = [quota for quota in quotas if _is_number(quota) and quota > 0]
    sizes = _numbers(status.values(), "db_size")
    if not quotas or not sizes:
        return {}
    quota = min(quotas)
    return {
        "predicted": {
            "bytes": plan["growth"],
            "share": round((max(sizes) + plan["growth"]) / quota, 4),
            "run_share": round(plan["growth"] / quota, 4),
        }
    }


def _whole(steps, seconds, plan):
    """Return the steps that took their time: an ended check perf prints PASS all the same."""
    planned = {step["name"]: step["seconds"] for step in [*plan["steps"], *stress_plan.ran(plan, steps)]}
    took = {name: value for name, value in seconds.items() if _is_number(value)}
    return {name: facts for name, facts in steps.items() if name in planned and took.get(name, 0) >= WHOLE * planned[name]}


def _load(steps, plan):
    """Return each step's facts by its name, and {errors} when every planned step was measured, of a ramp those up to the expected rate."""
    facts = {name: found for name, found in steps.items() if _map(found)}
    wanted = [step["name"] for step in stress_plan.usual(plan)["steps"]]
    if not wanted or not all(name in facts for name in wanted):
        return facts
    errors = _sum([_errors(facts[name]) for name in wanted])
    return dict(facts, **({} if errors is None else {"errors": errors}))


def _left_out(facts, plan):
    """Return {missing?, write?}: what the plan says cannot be measured. A rate of which no more was offered is known only where not even that was reached."""
    why = {name: sentence for name, sentence in plan["missing"].items() if name != "fio"}
    write, offered = _map(facts.get("write")), next((step["rate"] for step in plan["steps"] if step["name"] == "write"), 0)
    reached = _is_number(write.get("rate")) and write["rate"] >= stress.HELD * offered
    if "write.rate" in why and reached:
        return {"missing": why, "write": {name: value for name, value in write.items() if name != "rate"}}
    why.pop("write.rate", None)
    return {"missing": why} if why else {}


def _errors(facts):
    """Return the sum of all counts of errors in a step's facts; None when there is none, or one is no number."""
    return _sum([value if name == "errors" else _errors(value) for name, value in facts.items() if name == "errors" or _has_errors(value)])


def _has_errors(value):
    return isinstance(value, dict) and ("errors" in value or any(map(_has_errors, value.values())))


def _sum(counts):
    return sum(counts) if counts and all(map(_is_number, counts)) else None


def _view(step, facts):
    """Return what the ramp asks of a step."""
    latency, errors = _map(facts.get("latency")), facts.get("errors")
    count = latency.get("count")
    known = _is_number(errors) and _is_number(count) and errors + count > 0
    return {
        "offered": step["rate"],
        "achieved": facts.get("rate") if _is_number(facts.get("rate")) else None,
        "seconds": step["seconds"],
        "p99": latency.get("p99"),
        "errors": errors / (errors + count) if known else None,
        "document": {"write": facts, "errors": errors},
        "wanted": ("etcd_request_errors", "etcd_write_latency_p99"),
    }


def _change(before, after):
    """Return {raft_term_increase, growth} between two endpoint status of the same members."""
    if not before or set(before) != set(after):
        return {}
    facts = {}
    for name, key in (("raft_term_increase", "raft_term"), ("growth", "db_size")):
        first, last = _numbers(before.values(), key), _numbers(after.values(), key)
        if first and last:
            facts[name] = max(0, max(last) - max(first))
    return facts
