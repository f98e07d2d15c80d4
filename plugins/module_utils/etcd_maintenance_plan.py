# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the maintenance of an etcd cluster would do, why, and what stands against it; pure functions over what the members say."""

from __future__ import annotations

import re

# The oldest and the newest minor version of etcd 3 that is maintained; of others it is not known what a defragmentation does to them.
KNOWN = (5, 7)
VERSION = re.compile(r"3\.(\d+)\.\d+\S*")
# etcd copies what is in use before it lets go of the old file, and makes a new file of its log at any time. What fails for want of room leaves its copy behind.
COPY = 1.1
LOG = 64 * 2**20
NO_LEADER = "0"
NOSPACE = "NOSPACE"
# Numbers without which nothing can be decided. Absent is not zero.
NEEDED = ("db_size", "db_in_use", "index", "applied", "raft_term", "defragmenting")
COMPACT = ("auto", "always", "never")
# Settings: (type, default, least, most). A setting without a default must be given.
SETTINGS = {
    "snapshot_directory": (str, None, None, None),
    "snapshot_keep": (int, 3, 1, 1000),
    "compact": (str, "auto", None, None),
    "keep_revisions": (int, 10000, 0, 10**9),
    "reclaimable": (float, 0.5, 0.0, 1.0),
    "reclaimable_bytes": (int, 512 * 2**20, 0, 2**40),
    "alarm_share": (float, 0.8, 0.01, 0.99),
    "move_leader": (bool, False, None, None),
    "settle": (float, 60.0, 1.0, 3600.0),
    "timeout": (float, 600.0, 1.0, 86400.0),
    "etcdutl": (str, None, None, None),
}


class PlanError(Exception):
    """A setting cannot be meant; the text names the variable, what was found and what to write."""


def check_settings(given):
    """Return all settings, each in its type, with defaults for those that are missing; PlanError names the first that cannot be meant."""
    unknown = sorted(set(given) - set(SETTINGS))
    if unknown:
        raise PlanError(f"{unknown[0]} is no setting of the maintenance. Write one of {', '.join(SETTINGS)}.")
    settings = {}
    for name, (kind, default, least, most) in SETTINGS.items():
        value = given.get(name)
        settings[name] = default if value is None else _converted(name, value, kind, least, most)
        if settings[name] is None:
            raise PlanError(f"etcd_maintenance_{name} is missing. Write an absolute path.")
    if settings["compact"] not in COMPACT:
        raise PlanError(f"etcd_maintenance_compact is {settings['compact']!r}. Write {', '.join(COMPACT[:-1])} or {COMPACT[-1]}.")
    for name in ("snapshot_directory", "etcdutl"):
        if not settings[name].startswith("/"):
            raise PlanError(f"etcd_maintenance_{name} is {settings[name]!r}. Write an absolute path.")
    return settings


def _converted(name, value, kind, least, most):
    """Return a value in the type of its setting; PlanError if it is another, or out of its range."""
    fits = isinstance(value, (int, float) if kind is float else kind) and (kind is bool or not isinstance(value, bool))
    if not fits or (least is not None and not least <= value <= most):
        wanted = f"a number from {least:g} to {most:g}" if least is not None else {bool: "true or false", str: "a text"}[kind]
        raise PlanError(f"etcd_maintenance_{name} is {value!r}. Write {wanted}.")
    return kind(value)


# What stands against it -------------------------------------------------------------------------------------------------------


def refusal(seen):
    """Return why nothing may be done to this cluster now, as a sentence and what to do; None when nothing stands against it."""
    members = seen["members"]
    for name, member in members.items():
        reason = _unfit(name, member)
        if reason:
            return reason
    versions = sorted({member["version"] for member in members.values()})
    if len(versions) > 1:
        return f"The members run different versions ({', '.join(versions)}). Finish the upgrade first."
    leaders = {(member["leader_id"], member["raft_term"]) for member in members.values()}
    if len(leaders) > 1:
        said = "; ".join(f"{name}: {member['leader_id']} in term {member['raft_term']}" for name, member in members.items())
        return f"The members do not agree on one leader ({said}). Wait for the election to end; if it does not, look at the network between them."
    if leader(seen) is None:
        return f"The leader {leaders.pop()[0]} is not among the members {', '.join(members)}. Correct the endpoints, or repair the member list."
    for alarm in seen["alarms"]:
        if alarm["kind"] != NOSPACE:
            return f"{alarm['member']} has the alarm {alarm['kind']}. Replace this member from a healthy one; such an alarm is never cleared here."
    return None


def _unfit(name, member):
    """Return why one member stands against it, or None."""
    if member.get("error"):
        return f"{name} is not healthy: {member['error']} Repair it first."
    known = VERSION.fullmatch(member.get("version", ""))
    if not known or not KNOWN[0] <= int(known.group(1)) <= KNOWN[1]:
        shown = member.get("version") or "an unknown version"
        return f"{name} runs etcd {shown}; known are 3.{KNOWN[0]} to 3.{KNOWN[1]}. Update the collection, or etcd."
    missing = [fact for fact in NEEDED if member.get(fact) is None]
    if missing:
        return f"{name} does not say {', '.join(missing)}. Update etcd to its newest patch, and see that /metrics is served on its client URL."
    if member["learner"]:
        return f"{name} is a learner. Promote it (etcdctl member promote) or remove it first."
    if member["downgrade"]:
        return f"{name} says that a downgrade is under way. Finish or cancel it first (etcdctl downgrade cancel)."
    if member["leader_id"] == NO_LEADER:
        return f"{name} knows no leader: too few members run for a majority. Start them first."
    if member["defragmenting"]:
        return f"{name} is being defragmented by somebody else. Wait until it has ended (etcd_disk_defrag_inflight is 0), and see that only one does it."
    return None


def leader(seen):
    """Return the name of the leader, or None when it is not among the members."""
    return next((name for name, member in seen["members"].items() if member["id"] == member["leader_id"]), None)


def leadership(seen):
    """Return (name of the leader, raft term) of a cluster that agrees on it."""
    return leader(seen), next(iter(seen["members"].values()))["raft_term"]


def highest(seen):
    """Return the newest raft index that any member has committed."""
    return max(member["index"] for member in seen["members"].values())


def behind(seen, index):
    """Return the names of the members that have not yet applied the raft log up to `index`."""
    return [name for name, member in seen["members"].items() if member["applied"] < index]


# What would be done -----------------------------------------------------------------------------------------------------------


def plan(seen, settings):
    """Return {compaction, members, alarms, work, moves}: what would be done to a cluster that nothing stands against."""
    turns = members(seen, settings)
    compacting = compaction(seen, settings)
    work = "revision" in compacting or any(turn["due"] for turn in turns.values())
    moves = turns[leader(seen)]["due"] and hands_over(leader(seen), seen, settings)
    return {"compaction": compacting, "members": turns, "alarms": [dict(alarm) for alarm in seen["alarms"]], "work": work, "moves": moves}


def hands_over(name, seen, settings):
    """Say whether a member gives the leadership away before its turn."""
    return settings["move_leader"] and name == leader(seen) and len(seen["members"]) > 1


def compaction(seen, settings):
    """Return {revision} to compact to, or {reason} why there is no compaction."""
    if settings["compact"] == "never":
        return {"reason": "etcd_maintenance_compact is never."}
    if settings["compact"] == "auto" and seen["apiserver_compacts"]:
        # Its compaction begins with a write, which etcd refuses while the alarm is set.
        blocked = " It cannot while the alarm NOSPACE is set: set etcd_maintenance_compact to always for this once." if seen["alarms"] else ""
        return {"reason": "The API server compacts (compact_rev_key exists)." + blocked}
    revision = seen["revision"] - settings["keep_revisions"]
    if revision < 1:
        return {"reason": f"etcd is at revision {seen['revision']}, and {settings['keep_revisions']} revisions are kept."}
    return {"revision": revision}


def members(seen, settings):
    """Return {name: {before, reclaimable, share, due, reason?}} in the order of their turns: the leader last."""
    first = leader(seen)
    order = sorted(seen["members"], key=lambda name: (name == first, name))
    return {name: turn(seen["members"][name], settings, bool(seen["alarms"])) for name in order}


def turn(member, settings, alarmed=False):
    """Return {before, reclaimable (byte), share, due, reason?} of a member; while the alarm is set it is due if that takes away the cause."""
    size = member["db_size"]
    reclaimable = max(0, size - member["db_in_use"])
    share = reclaimable / size if size else 0.0
    found = {"before": size, "reclaimable": reclaimable, "share": round(share, 4), "due": True}
    if reclaimable == 0:
        return dict(found, due=False, reason="Nothing can be given back.")
    if alarmed and crowded(member, settings) and not crowded(dict(member, db_size=member["db_in_use"]), settings):
        return found
    if share < settings["reclaimable"]:
        return dict(found, due=False, reason=f"{share:.0%} can be given back, less than etcd_maintenance_reclaimable ({settings['reclaimable']:.0%}).")
    if reclaimable < settings["reclaimable_bytes"]:
        wanted = mebibytes(settings["reclaimable_bytes"])
        return dict(found, due=False, reason=f"{mebibytes(reclaimable)} can be given back, less than etcd_maintenance_reclaimable_bytes ({wanted}).")
    return found


def cramped(name, member):
    """Return why a member's disk has no room for its defragmentation, or None; where the room is not known, None."""
    needed = int(member["db_in_use"] * COPY) + LOG
    if member.get("free") is None or member["free"] >= needed:
        return None
    return f"{name} has {mebibytes(member['free'])} free beside its data, and its defragmentation needs {mebibytes(needed)}. Free the space there first."


def full(seen, settings):
    """Return why the cause of a NOSPACE alarm is not gone: a sentence for each member that is too full, or whose quota is not known."""
    reasons = {name: crowded(member, settings) for name, member in seen["members"].items()}
    return [f"{name} {reason}" for name, reason in reasons.items() if reason]


def crowded(member, settings):
    """Return in what way a member is too full for its alarm to be cleared, or None."""
    quota = member.get("quota_backend_bytes")
    if not quota:
        return "does not say its quota."
    if member["db_size"] < quota * settings["alarm_share"]:
        return None
    share = f"etcd_maintenance_alarm_share ({settings['alarm_share']:.0%})"
    return f"holds {mebibytes(member['db_size'])} of its quota of {mebibytes(quota)}, not less than {share}."


def mebibytes(size):
    """Return bytes as a person reads them."""
    return f"{size / 2**20:.1f} MiB"
