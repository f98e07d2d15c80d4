# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether etcd elected a leader during a soak. Pure.

Two sources: the raft term, which every election raises, which is kept on disk and never falls; and the counter of leader changes, which a
process keeps as long as it lives. They must agree. (The term that etcd names is that of the newest entry it has applied, and a new leader
begins with an entry of its own. The counter also counts the same leader when a member had lost sight of it.)

When a gap between samples hides an election, and when it does not:
- Both sides of a gap in the same member of the same cluster show the same term: nobody was elected in between, however long it was, since
  a term that went up does not come back. Another term is an election, and is counted.
- The counter spans a gap as long as the process lives. Over a restart it is blind, so another member's process must have lived through it;
  where none did, the second source is missing, and the answer is not known. How short the gap was does not matter: a leader that is stopped
  hands over within milliseconds.
- A gap at either end has one side only. There the newest (or oldest) sample of more than half of the members must be within a few intervals:
  an election needs the votes of more than half of them, so one of those that were asked would know of it.
- Coverage is asked for beside that, because samples also show health and the moments without a leader.
"""

from __future__ import annotations

import math
import time

from ansible_collections.kubeproof.certify.plugins.module_utils.soak_file import integer
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_member import EDGE, NO_LEADER, Member, number

DAY = 86400
COVERAGE = 0.99
# Intervals that may be missing at either end.
ENDS = 3
# What moves with the time in a sample.
CLOCKS = ("at", "wall", "running")
# Digits of a cluster's id.
CLUSTER = 16
NOT_STARTED = "no watcher has recorded it; start one with playbooks/soak.yml -e soak_state=started, and certify when the time is over"
REMOVE = "remove it with playbooks/soak.yml -e soak_state=absent, or from soak_recordings, and certify again"
IN_VAIN = "what is recorded can no longer prove a time without elections: {}. Begin anew: " + REMOVE + "; soak_state=collected keeps a copy"
NOT_SCRAPED = "{}. Correct soak_prometheus_selector, or have every member scraped, and certify again"

# What stands for the elections beside the counter.
SOURCES = {"watcher": "raft term", "prometheus": "leading member"}


def soak_facts(recordings, members, needed=DAY, put_rate=None, source="watcher", since=None, cluster=None):
    """Return {cluster: document, hosts: {host: document}}: facts under `soak`, and in `missing` why one of them is not there.

    `recordings` {host: what soak_file.read returned}, `members` the hosts of all members. `soak.elections` is there only when it is proved
    for `needed` seconds, or when there were any; `soak.seen` is what was seen in the time that there was, proved in the same way.
    `put_rate` are the declared writes per second. With the `source` prometheus, `term` counts how often another member led. Recordings that ended
    before `since` (epoch s), or that are of another than `cluster` (the id of an etcd cluster), say nothing at all; without these any serves.
    """
    known = {host: Member(host, recordings[host]) for host in members if isinstance(recordings.get(host), dict)}
    strange = _strange(known.values(), since, cluster) if recordings else NOT_STARTED
    if strange:
        return {"cluster": {"missing": {"soak": strange}}, "hosts": {host: {"missing": {"soak": strange}} for host in members}}
    hosts = {host: {"soak": {"source": source, **one.facts()}} if not one.problem else {"missing": {"soak": one.problem}} for host, one in known.items()}
    hosts.update({host: {"missing": {"soak": f"there is no recording of {host}"}} for host in members if host not in known})
    facts, missing = _cluster([one for one in known.values() if not one.problem], members, known, needed, source)
    facts.update(declared=bool(put_rate), source=source)
    if put_rate and "rate" in facts:
        facts["load_share"] = round(facts["rate"] / put_rate, 4)
    return {"cluster": {"soak": facts, "missing": {f"soak.{name}": reason for name, reason in missing.items()}}, "hosts": hosts}


def _strange(members, since, cluster):
    """Return why recordings are not those of this cluster and these days, or ""."""
    for one in members:
        for sample in one.samples if cluster is not None else ():
            if sample["cluster"] != cluster:
                return f"the recording of {one.host} is of the etcd cluster {sample['cluster'][:CLUSTER]}, and this one is {cluster}; {REMOVE}"
        if since is not None and one.samples and one.samples[-1]["wall"] < since:
            ended, limit = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (one.samples[-1]["wall"], since))
            return f"the recording of {one.host} ended {ended}, and what ended before {limit} (certify_join_days) is too old; {REMOVE}"
    return ""


def in_vain(recordings, members, needed=DAY, source="watcher", since=None, cluster=None, goes_on=True):
    """Return why these recordings can no longer become a soak of `needed` seconds without an election, and what to do; or "".

    The judge of the end is asked for the best that can still come: recordings that have not ended go on, where `goes_on`, without a gap and without
    an election. The time that a Prometheus is asked for moves on, so that of it only the members count.
    """
    known = {host: Member(host, recordings[host]) for host in members if isinstance(recordings.get(host), dict)}
    if source == "prometheus":
        problems = _problems(known, members)
        return NOT_SCRAPED.format("; ".join(problems)) if problems else ""
    best = {host: Member(host, _at_best(one, recordings[host])) if goes_on and not one.state else one for host, one in known.items()}
    strange = _strange(best.values(), since, cluster)
    if strange:
        return strange
    facts, missing = _cluster([one for one in best.values() if not one.problem], members, best, needed, source)
    if facts.get("elections"):
        return IN_VAIN.format(f"{facts['elections']} leader elections are in it")
    return IN_VAIN.format(missing["elections"]) if "elections" in missing else ""


def _at_best(one, recording):
    """Return the recording of a member as it can end at best: as the last sample was, with none of those missing that can still come."""
    begun = [record["at"] for record in [*one.starts, *one.all] if number(record.get("at"))]
    if not one.samples or not begun or not one.is_planned:
        return recording
    last, end = one.samples[-1], one.slots - 1
    ahead = end - math.floor(max(begun) / one.interval + EDGE)
    if ahead < 1:
        return recording
    passed = end * one.interval - last["at"]
    final = {**last, **{name: last[name] + passed for name in CLOCKS if number(last.get(name))}}
    return {**recording, "samples": [*recording["samples"], final], "granted": ahead - 1, "state": "finished"}


def _problems(known, members):
    """Return why the recordings of members cannot be trusted, or are not there."""
    return [one.problem for one in known.values() if one.problem] + [f"there is no recording of {host}" for host in members if host not in known]


def _cluster(usable, members, known, needed, source):
    """Return (facts, {fact: why it is missing}) of the cluster."""
    problems = _problems(known, members)
    sampled = [one for one in usable if one.samples]
    if not sampled:
        reason = "; ".join(problems) or "no member answered"
        return {}, {"elections": reason, "seen": reason}
    terms = _terms(sampled)
    changes = max(one.changes for one in sampled)
    blind = _blind(sampled)
    facts = {
        "id": sampled[0].id,
        "seconds": min(one.samples[-1]["at"] for one in sampled),
        "planned": min(one.seconds for one in sampled),
        "coverage": round(min(one.coverage for one in sampled), 6),
        "terms": terms,
        "changes": changes,
        "leaders": len({sample["leader"] for one in sampled for sample in one.samples} - {NO_LEADER}),
    }
    facts.update(_rate(sampled))
    identities = {sample["cluster"] for one in sampled for sample in one.samples}
    facts.update({"cluster": next(iter(identities))} if len(identities) == 1 and source == "watcher" else {})
    trouble = _contradiction(sampled, terms, changes, blind, SOURCES[source])
    if terms and not trouble:
        # What was seen was seen, however much is missing beside it.
        return {**facts, "elections": terms, "seen": terms}, {}
    trouble = trouble or "; ".join(problems) or _thin(sampled, members, blind)
    if trouble:
        return facts, {"elections": trouble, "seen": trouble}
    if facts["planned"] < needed:
        short = f"the soak was to last {facts['planned']:g} s and had no election, but {needed:g} s are asked for"
        return {**facts, "seen": 0}, {"elections": short}
    return {**facts, "seen": 0, "elections": 0}, {}


def _terms(sampled):
    """Return how many terms passed between the oldest and the newest that any member knew."""
    return max(one.samples[-1]["term"] for one in sampled) - min(one.samples[0]["term"] for one in sampled)


def _blind(sampled):
    """Return [(host, s)] of restarts of etcd that no other member's process spans."""
    found = []
    for one in sampled:
        for begin, end in one.blind:
            # The members' hosts have their own clocks, and these may have been set.
            slacks = [(other, one.interval + one.unsure + other.unsure) for other in sampled if other is not one]
            if not any(other.saw_through(begin - slack, end + slack) for other, slack in slacks):
                found.append((one.host, round(end - begin, 1)))
    return found


def _contradiction(sampled, terms, changes, blind, source):
    """Return why the recordings contradict each other, or ""."""
    if len({one.id for one in sampled}) > 1:
        return "the recordings are of different soaks; remove the old ones with soak_state=absent"
    if len({sample["cluster"] for one in sampled for sample in one.samples}) > 1:
        return "the members are of different clusters"
    leaders = {}
    for one in sampled:
        for sample in one.samples:
            if sample["leader"] != NO_LEADER:
                leaders.setdefault(sample["term"], set()).add(sample["leader"])
    twice = sorted(term for term, names in leaders.items() if len(names) > 1)
    # A member that is asked in the middle of an election may name the old leader with the new term.
    if twice and not terms:
        return f"members name different leaders in term {twice[0]}"
    if terms and not changes and not blind:
        return f"the {source} changed {terms} times, and no member counted a change of its leader; read the logs of etcd"
    if changes and not terms:
        return f"a member counted {changes} changes of its leader, and the {source} stayed: it may have lost sight of the leader; see its network and disk"
    return ""


def _thin(sampled, members, blind):
    """Return why too little was seen to say that there was no election, or ""."""
    for one in sampled:
        if one.coverage < COVERAGE:
            state = "" if one.state else "; its watcher has not finished"
            return f"{one.host} has {one.coverage:.2%} of its samples, and {COVERAGE:.0%} are needed{state}"
    if len(sampled) < len(members):
        return "a member did not answer"
    ends = {"beginning": lambda one: one.samples[0]["at"], "end": lambda one: one.seconds - one.samples[-1]["at"]}
    for name, distance in ends.items():
        near = [one.host for one in sampled if distance(one) <= ENDS * one.interval]
        if 2 * len(near) <= len(members):
            return f"only {len(near)} of {len(members)} members have a sample near the {name}: an election could hide there"
    if blind:
        host, seconds = blind[0]
        off = max(one.unsure for one in sampled)
        clocks = f"; clocks were set by up to {off:.0f} s, so that times of two hosts are not sure" if off > sampled[0].interval else ""
        return f"etcd on {host} was restarted, and within those {seconds:g} s no other member's counter was unbroken{clocks}"
    return ""


def _rate(sampled):
    """Return {rate}: proposals committed per second, as the member counted that saw most."""
    rates = []
    for one in sampled:
        counted = [(sample["at"], sample["committed"]) for sample in one.samples if integer(sample.get("committed"))]
        if len(counted) > 1 and counted[-1][0] > counted[0][0]:
            rates.append((counted[-1][1] - counted[0][1]) / (counted[-1][0] - counted[0][0]))
    return {"rate": round(max(rates), 3)} if rates and max(rates) >= 0 else {}


def verdict(document):
    """Return {result, sentence} of the cluster's document: FAIL, INCONCLUSIVE or PASS, and what it means."""
    facts, missing = document.get("soak", {}), document.get("missing", {})
    if facts.get("seen"):
        return {"result": "FAIL", "sentence": f"{facts['seen']} leader elections in {facts['seconds']:g} s."}
    if "seen" not in facts:
        reason = missing.get("soak.seen") or missing.get("soak") or "nothing was recorded"
        return {"result": "INCONCLUSIVE", "sentence": f"It is not known whether there was an election: {reason}."}
    short = missing.get("soak.elections")
    tail = f" It fills no checklist: {short}." if short else ""
    sentence = f"No leader election in {facts['seconds']:g} s, by {SOURCES[facts['source']]} and by counter, {facts['coverage']:.2%} covered.{tail}"
    return {"result": "PASS", "sentence": sentence}
