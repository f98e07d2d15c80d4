# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The maintenance of one etcd cluster from one host: snapshot, compaction, defragmentation member by member, alarms; standard library alone.

One sequence in one place, because it has one rule: at the first thing that is not as it should be, it stops and touches nothing more.
"""

from __future__ import annotations

import time

from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_maintenance_plan as planning
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_maintenance_snapshot as snapshots
from ansible_collections.kubeproof.certify.plugins.module_utils.web import HttpError

PAUSE = 0.25
COMPACTED = "has been compacted"
CHANGED = (
    "The leader changed without being asked: it was {} in term {}, it is {} in term {}. "
    "Look at the disks and the network of the members before you go on."
)


class Stop(Exception):
    """The maintenance has stopped; the text says where, why and what to do, and `facts` what was done until then."""

    def __init__(self, reason, facts=None):
        super().__init__(reason)
        self.facts = facts


def maintain(cluster, settings, dry=False, say=None):
    """Maintain a `cluster` by `settings` (both checked) and return the facts; Stop when it could not be finished. `dry` only says what would be done."""
    work = Maintenance(cluster, settings, say or (lambda text: None))
    began = time.monotonic()
    try:
        work.look(dry)
        if not dry:
            work.work()
    except (Stop, snapshots.SnapshotError, HttpError) as error:
        raise Stop(f"{error}{work.done()}", dict(work.facts, seconds=round(time.monotonic() - began, 3))) from error
    return dict(work.facts, seconds=round(time.monotonic() - began, 3))


class Maintenance:
    """One maintenance: `facts` is at any time what was found, planned and done."""

    def __init__(self, cluster, settings, say):
        self.cluster, self.settings, self.say = cluster, settings, say
        self.facts = {"changed": False}
        self.plan = self.expected = None

    # What is there -----------------------------------------------------------------------------------------------------------

    def look(self, dry):
        """Look at the cluster, make the plan, and see that it can be carried out; Stop before anything is touched."""
        seen = self.agreed()
        self.expected = planning.leadership(seen)
        self.plan = plan = planning.plan(seen, self.settings)
        self.facts.update(cluster_id=seen["cluster_id"], revision=seen["revision"], leader=self.expected[0], raft_term=self.expected[1])
        self.facts.update(version=next(iter(seen["members"].values()))["version"], compaction=plan["compaction"], members=plan["members"])
        self.facts["moves"] = plan["moves"]
        self.facts["reclaimable"] = sum(turn["reclaimable"] for turn in plan["members"].values() if turn["due"])
        self.facts["alarms"] = [f"{alarm['kind']} of {alarm['member']}" for alarm in seen["alarms"]]
        if plan["alarms"]:
            self.facts["full"] = planning.full(seen, self.settings)
        if plan["work"]:
            # A tool that the host lacks is brought when it is done, and not when it is only looked at.
            if not dry:
                snapshots.check_tool(self.settings["etcdutl"])
            snapshots.check_room(self.settings["snapshot_directory"], max(turn["before"] for turn in plan["members"].values()))
            reasons = [planning.cramped(name, seen["members"][name]) for name, turn in plan["members"].items() if turn["due"]]
            # After a compaction there is less to copy, so then each member is asked at its turn.
            if any(reasons) and "revision" not in plan["compaction"]:
                raise Stop(" ".join(filter(None, reasons)))
        if dry:
            self.facts["changed"] = plan["work"] or self.facts.get("full") == []

    def agreed(self, expected=None, handed_to=None):
        """Return what the members say as soon as nothing stands against going on and all have applied the raft log; Stop after `settle` seconds.

        `expected` is the leadership that must not have changed, `handed_to` the member that the leadership is on its way to.
        """
        limit, index = time.monotonic() + self.settings["settle"], None
        while True:
            seen, reason = self.asked()
            if not reason and expected and planning.leadership(seen) != expected:
                raise Stop(CHANGED.format(*expected, *planning.leadership(seen)))
            if not reason and handed_to and planning.leader(seen) != handed_to:
                reason = f"{handed_to} did not become the leader within {self.settings['settle']:g} s. Look at its log."
            if not reason:
                index = planning.highest(seen) if index is None else index
                late = planning.behind(seen, index)
                if not late:
                    return seen
                reason = f"{', '.join(late)} did not apply the raft log up to {index} within {self.settings['settle']:g} s. Look at the disk there."
            # What is wrong before anything was done does not pass by waiting, but for a member that is a little behind.
            if time.monotonic() > limit or (index is None and not expected and not handed_to):
                raise Stop(reason)
            time.sleep(PAUSE)

    def asked(self):
        """Return (what the members say, why nothing may be done now or None)."""
        try:
            seen = self.cluster.look()
        except HttpError as error:
            return None, str(error)
        return seen, planning.refusal(seen)

    # What is done ------------------------------------------------------------------------------------------------------------

    def work(self):
        """Carry out the plan."""
        if self.plan["work"]:
            with snapshots.directory(self.settings["snapshot_directory"]):
                self.snapshot()
                self.compact()
                for name in self.plan["members"]:
                    self.defragment(name)
                removed = snapshots.prune(self.settings["snapshot_directory"], self.settings["snapshot_keep"], self.facts["cluster_id"])
                self.facts["snapshot"]["removed"] = removed
        self.clear()

    def snapshot(self):
        """Take and prove a snapshot, of the member whose turn is first: it is a follower, where there is one."""
        seen = self.agreed(self.expected)
        name = next(iter(self.plan["members"]))
        self.say(f"{name}: taking a snapshot.")
        self.facts["snapshot"] = dict(snapshots.take(self.cluster, seen["members"][name], self.settings, seen["cluster_id"]), member=name)
        self.facts["changed"] = True
        self.say("{path}: revision {revision}, {keys} keys, {size} bytes, proved.".format(**self.facts["snapshot"]))

    def compact(self):
        """Compact to the planned revision, and wait until every member has given up what is older.

        Only the member that is asked waits for that, and only after it does it say truly what it can give back: so each one is asked, each for one
        revision more than the one before it, since none can be asked for the same twice.
        """
        revision = self.facts["compaction"].get("revision")
        if revision is None:
            return
        seen = self.agreed(self.expected)
        self.say(f"Compacting to revision {revision}.")
        names = list(self.plan["members"])
        for number, name in enumerate(names, 1):
            body = {"revision": str(max(1, revision - len(names) + number)), "physical": True}
            try:
                self.cluster.call(seen["members"][name]["url"], "/v3/kv/compaction", body, self.settings["timeout"])
                self.facts["compaction"]["done"] = self.facts["changed"] = True
            except HttpError as error:
                if COMPACTED not in str(error):
                    raise
        if "done" not in self.facts["compaction"]:
            self.facts["compaction"] = {"reason": f"Revision {revision} was compacted already."}

    def defragment(self, name):
        """Defragment a member if it is worth it now, and see that the cluster is as it was before."""
        seen = self.agreed(self.expected)
        turn = planning.turn(seen["members"][name], self.settings, bool(seen["alarms"]))
        self.facts["members"][name] = turn
        if not turn["due"]:
            self.say(f"{name}: left out. {turn['reason']}")
            return
        reason = planning.cramped(name, seen["members"][name])
        if reason:
            raise Stop(reason)
        if planning.hands_over(name, seen, self.settings):
            seen = self.move(seen)
        self.say(f"{name}: defragmenting, {planning.mebibytes(turn['reclaimable'])} of {planning.mebibytes(turn['before'])} can be given back.")
        began, self.facts["changed"] = time.monotonic(), True
        try:
            self.cluster.call(seen["members"][name]["url"], "/v3/maintenance/defragment", {}, self.settings["timeout"])
        except HttpError as error:
            raise Stop(f"{name} did not end its defragmentation: {error} It may go on: wait until etcd_disk_defrag_inflight is 0 there.") from error
        turn["seconds"] = round(time.monotonic() - began, 3)
        turn["after"] = self.agreed(self.expected)["members"][name]["db_size"]
        self.say(f"{name}: {planning.mebibytes(turn['after'])}, {turn['seconds']:.1f} s.")

    def move(self, seen):
        """Move the leadership to a follower, as asked; return what the members say then."""
        old = self.expected[0]
        new = next(name for name in self.plan["members"] if name != old)
        self.say(f"{old}: handing the leadership to {new}.")
        target = {"targetID": str(int(seen["members"][new]["id"], 16))}
        self.cluster.call(seen["members"][old]["url"], "/v3/maintenance/transfer-leadership", target)
        self.facts.update(changed=True, moved={"from": old, "to": new})
        seen = self.agreed(handed_to=new)
        self.expected = planning.leadership(seen)
        self.facts.update(leader=new, raft_term=self.expected[1])
        return seen

    def clear(self):
        """Clear each NOSPACE alarm if its cause is gone on every member; Stop when it is not, since etcd refuses writes meanwhile."""
        seen = self.agreed(self.expected)
        for name, turn in self.facts["members"].items():
            turn.setdefault("after", seen["members"][name]["db_size"])
        if not seen["alarms"]:
            return
        reasons = planning.full(seen, self.settings)
        if reasons:
            raise Stop(f"The alarm NOSPACE stays, so etcd refuses writes: {' '.join(reasons)} Delete keys or raise the quota, compact, then run again.")
        for alarm in seen["alarms"]:
            self.say(f"Clearing the alarm NOSPACE of {alarm['member']}.")
            request = {"action": "DEACTIVATE", "memberID": str(int(alarm["id"], 16)), "alarm": alarm["kind"]}
            self.cluster.call(self.cluster.url, "/v3/maintenance/alarm", request)
            self.facts["changed"] = True
        seen = self.agreed(self.expected)
        self.facts["cleared"], self.facts["alarms"] = self.facts["alarms"], [f"{alarm['kind']} of {alarm['member']}" for alarm in seen["alarms"]]
        if seen["alarms"]:
            raise Stop("The alarm NOSPACE came back as soon as it was cleared. Find what fills etcd, then run again.")

    def done(self):
        """Return a sentence that says what was done before a stop."""
        members = self.facts.get("members", {})
        ended = [name for name, turn in members.items() if "seconds" in turn]
        rest = [name for name, turn in members.items() if turn["due"] and "seconds" not in turn]
        if not self.facts["changed"]:
            return " Nothing was changed."
        parts = [f"the snapshot {self.facts['snapshot']['path']} is kept"] if "snapshot" in self.facts else []
        parts += [f"compacted to revision {self.facts['compaction']['revision']}"] if self.facts["compaction"].get("done") else []
        parts += [f"{', '.join(ended)} {'is' if len(ended) == 1 else 'are'} defragmented"] if ended else []
        parts += [f"{', '.join(rest)} {'is' if len(rest) == 1 else 'are'} not"] if rest else []
        return f" Until then: {'; '.join(parts) or 'an alarm was cleared'}."
