# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one member's recording of a soak says. Pure; everything in a recording is doubted."""

from __future__ import annotations

import math

from ansible_collections.kubeproof.certify.plugins.module_utils import histogram
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_file import integer
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_trend import trend

# process_start_time_seconds is made of the boot's time in whole seconds, which may be one more or less from read to read.
SAME_START = 2.0
# ntpd sets a clock that is farther off by a step, and lets a nearer one glide (its default threshold).
STEP = 0.128
# A soak that is shorter than so many hours is looked at in as many parts.
STRETCHES = 12
HOUR = 3600
LARGEST = 2**63
NO_LEADER = "0"
TRENDS = {"memory": "memory", "files": "files", "database": "size"}
EDGE = 1e-6


def number(value, least=0):
    """Say whether a value is a finite number that can be measured."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and least <= value < LARGEST


def is_good(sample):
    """Say whether a sample tells what elections are known by."""
    # Before it has applied an entry, a member names the term 0.
    whole = all(integer(sample.get(name)) and number(sample[name], least) for name, least in (("term", 1), ("changes", 0)))
    named = all(isinstance(sample.get(name), str) for name in ("member", "cluster", "leader"))
    return whole and named and number(sample.get("at")) and number(sample.get("wall")) and number(sample.get("started"))


def _caught_up(samples):
    """Return samples without those of a member that was started again and has not yet read all of its log: their term is an old one."""
    found, newest = [], 0
    for sample in samples:
        if sample["term"] >= newest:
            newest = sample["term"]
            found.append(sample)
    return found


class Member:
    """A recording {begin, starts, samples, state, torn, damage} of `host`, looked through. `problem` is "" or why it cannot be trusted."""

    def __init__(self, host, recording):
        self.host, begin = host, recording.get("begin") or {}
        self.id, self.state, self.torn = begin.get("id"), recording.get("state"), recording.get("torn")
        # Samples that are taken for granted where it is asked what can still become of it.
        self.granted = recording.get("granted", 0)
        self.starts = [one for one in recording.get("starts") or [] if isinstance(one, dict)]
        self.all = [one for one in recording.get("samples") or [] if isinstance(one, dict)]
        good = [one for one in self.all if is_good(one)]
        self.samples = _caught_up(good)
        self.fell = bool(good) and good[-1] is not self.samples[-1]
        self.seconds, self.interval, self.wall = (begin.get(name) for name in ("seconds", "interval", "wall"))
        self.is_planned = number(self.seconds) and number(self.interval, 1e-3) and number(self.wall) and isinstance(self.id, str)
        self.problem = self._problem(recording.get("damage"))
        self.segments = self._segments() if not self.problem else []

    def _problem(self, damage):
        pairs = list(zip(self.samples, self.samples[1:]))
        table = (
            (damage, f"the file is damaged: {damage}"),
            (not self.is_planned, "the file does not say what was planned"),
            (any(later["at"] < earlier["at"] for earlier, later in pairs), "its samples are not in order of time"),
            (len({(one["member"], one["cluster"]) for one in self.samples}) > 1, "another member, or another cluster, answered in between"),
            (self.fell, "its raft term went down and stayed there, as when a backup is restored"),
        )
        return next((f"{self.host}: {sentence}" for wrong, sentence in table if wrong), "")

    def _segments(self):
        """Return the samples of each etcd process, [[sample]]."""
        found = []
        for sample in self.samples:
            if found and self._same_process(found[-1][-1], sample):
                found[-1].append(sample)
            else:
                found.append([sample])
        return found

    @staticmethod
    def _same_process(earlier, later):
        """Say whether no restart lies between two samples: the start is the same, or it moved with a wall clock that was set."""
        moved = later["started"] - earlier["started"]
        both = number(earlier.get("running")) and number(later.get("running"))
        step = (later["wall"] - later["running"]) - (earlier["wall"] - earlier["running"]) if both else 0
        return min(abs(moved), abs(moved - step)) <= SAME_START and later["changes"] >= earlier["changes"]

    @property
    def slots(self):
        """Return how many samples were planned."""
        return math.floor(self.seconds / self.interval + EDGE) + 1

    @property
    def coverage(self):
        """Return the share of planned samples that are there; two in one slot are one."""
        seen = {math.floor(one["at"] / self.interval + EDGE) for one in self.samples}
        return (len([slot for slot in seen if slot < self.slots]) + self.granted) / self.slots

    @property
    def gaps(self):
        """Return [(from, to)] in s since the beginning: between samples, before the first and after the last."""
        times = [0.0, *(one["at"] for one in self.samples), float(max(self.seconds, self.samples[-1]["at"] if self.samples else 0))]
        return list(zip(times, times[1:]))

    @property
    def blind(self):
        """Return [(from, to)] in epoch s in which the counter was lost, because etcd was restarted."""
        return [(self.wall + earlier[-1]["at"], self.wall + later[0]["at"]) for earlier, later in zip(self.segments, self.segments[1:])]

    @property
    def unsure(self):
        """Return how far off (s) the wall clock was set: nobody knows which of its times was right."""
        return max((abs(one["wall"] - one["at"] - self.wall) for one in self.samples), default=0.0)

    def saw_through(self, begin, end):
        """Say whether one process was asked before `begin` and after `end` (epoch s), so that its counter spans what lies between."""
        return any(self.wall + one[0]["at"] <= begin and self.wall + one[-1]["at"] >= end for one in self.segments)

    @property
    def changes(self):
        """Return how often the member saw another leader: per process, without the first leader that it sees."""
        total = 0
        for position, segment in enumerate(self.segments):
            first = 1 if position else max(1, segment[0]["changes"])
            total += max(0, segment[-1]["changes"] - first)
        return total

    @property
    def boots(self):
        """Return how many boots of the host the watcher has seen."""
        return len({one.get("boot") for one in self.starts if isinstance(one.get("boot"), str)})

    def facts(self):
        """Return the facts of this member; what is not known is absent."""
        steps = self._steps()
        facts = {
            # How the recording ends: finished, full, limit, failed; open where it goes on, torn where its last line is no whole one.
            "state": self.state or ("torn" if self.torn else "open"),
            "coverage": round(self.coverage, 6),
            "samples": len(self.samples),
            "longest_gap": round(max(end - begin for begin, end in self.gaps), 3),
            "restarts": max(0, len(self.segments) - 1),
            "leaderless": sum(one["leader"] == NO_LEADER or one.get("has_leader") is False for one in self.samples),
            "changes": self.changes,
        }
        if self.starts:
            facts.update(watcher_starts=len(self.starts), boots=self.boots, clock_steps=len(steps), clock_step=round(max(steps, default=0.0), 3))
        if any("healthy" in one for one in self.all):
            facts["unhealthy"] = sum(one.get("healthy") is False for one in self.all)
        fsync = self._fsync()
        longest = max(self.segments, key=len, default=[])
        trends = {name: self._trend(key, self.samples if name == "database" else longest) for name, key in TRENDS.items()}
        return {**facts, **({"fsync": fsync} if fsync else {}), "trends": {name: found for name, found in trends.items() if found}}

    def _steps(self):
        """Return by how many seconds the wall clock was set, for each time that it was."""
        both = [one for one in self.samples if number(one.get("running"))]
        off = [
            abs((later["wall"] - earlier["wall"]) - (later["running"] - earlier["running"]))
            for earlier, later in zip(both, both[1:])
            # After a boot the running clock begins anew.
            if later["running"] > earlier["running"]
        ]
        return [one for one in off if one > STEP]

    @staticmethod
    def _trend(key, samples):
        return trend([(one["at"], one[key]) for one in samples if number(one.get(key))])

    def _fsync(self):
        """Return WAL fsyncs as {worst_hour: the summary of the hour with the highest P99, every: s, stretches, over_time: [{at, count, p99}]}, or None.

        `stretches`: how many of this length were planned. Those without a count are not in `over_time`.
        """
        worst = max((one for dummy, one in self._stretches(HOUR)), key=_badness, default=None)
        if worst is None:
            return None
        every = HOUR if self.seconds >= STRETCHES * HOUR else max(self.seconds / STRETCHES, self.interval)
        over_time = [{"at": round(at, 3), **one} for at, one in self._stretches(every)]
        return {"worst_hour": worst, "every": round(every, 3), "stretches": int(self._last(every)) + 1, "over_time": over_time}

    def _stretches(self, length):
        """Return [(its beginning, {count, p99})] of stretches of time of this length in which fsyncs were counted."""
        stretches, bounds = {}, None
        for segment in self.segments:
            earlier = None
            for sample in segment:
                bounds = sample.get("bounds") or bounds
                counts = sample.get("fsync")
                if not isinstance(counts, list) or not all(number(one) for one in counts):
                    continue
                if earlier is not None:
                    stretch = min(sample["at"] // length, self._last(length))
                    stretches.setdefault(stretch, []).append((earlier, counts))
                earlier = counts
        found = [(stretch * length, self._summary(pairs, bounds)) for stretch, pairs in sorted(stretches.items())]
        return [(at, one) for at, one in found if one]

    def _last(self, length):
        """Return the number of the last stretch of this length; what is left after the last whole one belongs to it."""
        return (max(length, self.seconds) - length) // length

    @staticmethod
    def _summary(pairs, bounds):
        """Return the summary of what was counted between pairs of counts; None where they make no histogram."""
        if not isinstance(bounds, list) or any(len(one) != len(bounds) for pair in pairs for one in pair):
            return None
        grown = [sum(later[position] - earlier[position] for earlier, later in pairs) for position in range(len(bounds))]
        try:
            found = histogram.summary(histogram.from_counts({math.inf if bound is None else bound: one for bound, one in zip(bounds, grown)}))
        except (histogram.HistogramError, TypeError):
            return None
        return {name: found[name] for name in ("count", "p99") if name in found} if "p99" in found else None


def _badness(summary):
    low, high = summary["p99"]
    return math.inf if high is None else high, low, summary["count"]
