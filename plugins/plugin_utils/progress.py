# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a certification says while it runs: what is known of it, the lines that an event is worth, and the status at any moment.

Pure: times come in, lines go out. It knows no layer: their names, steps and times are those of the plan.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.kubeproof.certify.plugins.module_utils import report_words as words
from ansible_collections.kubeproof.certify.plugins.module_utils.checks import RESULTS
from ansible_collections.kubeproof.certify.plugins.module_utils.human import clean, human

# The label of what belongs to no layer.
RUN = "run"
GOOD = "good"
ATTENTION = "attention"
BAD = "bad"
SOFT = "soft"
TONES = {"PASS": GOOD, "CONDITIONAL": ATTENTION, "INCONCLUSIVE": ATTENTION, "FAIL": BAD}
# More checks that missed are on the certificate.
MOST_CHECKS = 12
# From this many on, checks that were not measured for one reason are one line.
ALIKE = 3
# Where tools say how slow the slowest were, and what went wrong; a number or numbers by kind.
SLOW = ("latency.p99", "latency.present.p99", "rtt.p99", "sync.latency.p99")
ERRORS = ("errors", "failed", "lost", "missed")


class Line(NamedTuple):
    """A line of the log: the layer, or RUN, what is said, and in which tone."""

    label: str
    text: str
    tone: str = ""


class Step(NamedTuple):
    """A step of a layer's load: what is asked of it, and when it began."""

    name: str
    began: float
    rate: Optional[float] = None
    seconds: Optional[float] = None

    def asked(self) -> str:
        """Return it as a line says it when it begins."""
        rate = f" at {human(self.rate, '1/s')}" if self.rate else ""
        return f"{self.name}{rate}{f' for {duration(self.seconds)}' if self.seconds else ''}"


class Progress:
    """What is known of a run. Every event returns the lines that it is worth."""

    def __init__(self, now: float) -> None:
        self.began = now
        self.layers: List[str] = []
        self.times: Mapping = {}
        self.steps: Mapping = {}
        self.label = RUN
        self.task = ""
        self.task_began = now
        self.mark = now
        self.hosts = 0
        self.step: Optional[Step] = None
        self.ramp = False
        self.facts: Mapping = {}
        self.done: Dict[str, Tuple] = {}
        self.opening: List[Line] = []
        self.cluster = ""

    def planned(self, run: Mapping, plan: Mapping) -> List[Line]:
        """Take over the plan; it is told once."""
        if self.layers:
            return []
        self.layers = [str(one) for one in [*(plan.get("beside") or []), *(plan.get("layers") or [])]]
        self.times, self.steps = _map(plan.get("times")), _map(plan.get("steps"))
        cluster = _map(run.get("cluster")).get("name", "")
        hosts = {name for names in _map(run.get("hosts")).values() for name in names}
        parts = [f"{run.get('id', '')}: {cluster}", f"profile {run.get('profile', '')}", f"{len(hosts)} hosts", ", ".join(self.layers)]
        return [Line(RUN, clean(", ".join(parts) + self._about(self.times)))]

    def play(self, name: str, tags: Iterable[str], now: float) -> None:
        """Begin a play; one with the tag of a layer belongs to it. It is told with its first task."""
        self.label = next((tag for tag in tags if tag in self.layers), RUN)
        self.step, self.facts, self.cluster, self.ramp = None, {}, "", False
        self.task, self.task_began, self.hosts = clean(name), now, 0
        self.opening = [Line(self.label, clean(name) + self._about(self._of_layer()))]

    def nobody(self) -> List[Line]:
        """Return what to say of a play without hosts: nothing of a layer that was not chosen."""
        opening, self.opening = self.opening, []
        return [line._replace(text=f"{line.text}: skipped, no host matches", tone=ATTENTION) for line in opening if line.label != RUN]

    def started(self, task: str, now: float) -> List[Line]:
        """Begin a task: its name is the last part, as those before name its file."""
        self.task, self.task_began, self.hosts, self.mark = clean(task.rpartition(" | ")[2]), now, 0, now
        opening, self.opening = self.opening, []
        return opening

    def within(self, known: Mapping, now: float) -> List[Line]:
        """Look at the variables that a task stands among: the step that it is of, and which of several clusters."""
        if self.label == RUN:
            return []
        item = known.get(f"{self.label}_step")
        lines = [] if self.ramp else self.stepped(item, now) if isinstance(item, Mapping) else self.ended(now)
        cluster = known.get(f"{self.label}_name")
        if isinstance(cluster, str) and cluster != self.cluster:
            again, self.cluster = bool(self.cluster), cluster
            lines += [Line(self.label, f"and now {clean(cluster)}")] if again else []
        return lines

    def stepped(self, item: Mapping, now: float) -> List[Line]:
        """Begin a step, which ends the one before."""
        name = clean(str(item.get("name", "")))
        if self.step and self.step.name == name:
            return []
        lines = self.ended(now)
        self.step = Step(name, now, _number(item.get("rate")), _number(item.get("seconds")))
        return [*lines, Line(self.label, self.step.asked(), SOFT)]

    def ramped(self, facts: Mapping, now: float) -> List[Line]:
        """Begin or end a step of a ramp, which the tasks of every layer run: `facts` are those that the certification sets for itself."""
        if isinstance(facts.get("certify_step"), Mapping):
            self.ramp = True
            return self.stepped(facts["certify_step"], now)
        if "certify_step_ended" in facts:
            self.ramp = False
            return self.ended(now)
        return []

    def next_step(self, now: float) -> List[Line]:
        """Begin the step that stands next in the plan, where a task runs them all and tells each only when it has ended."""
        if self.ramp:
            return []
        steps = _map(self.steps.get(self.label))
        names = list(steps)
        after = names.index(self.step.name) + 1 if self.step and self.step.name in names else 0
        if after < len(names):
            return self.stepped({"name": names[after], "seconds": steps[names[after]]}, now)
        return self.ended(now)

    def told(self, item: Any, result: Mapping, now: float) -> List[Line]:
        """End the step that a task tells of, and begin the next. A step of a ramp ends with what follows it."""
        name = clean(str(_map(item).get("name", "")))
        if not self.ramp and name and (self.step is None or self.step.name != name):
            # Another than was planned: it began when the one before it ended.
            self.step = Step(name, self.mark)
        self.measured(result)
        return self.next_step(now)

    def measured(self, result: Mapping) -> None:
        """Keep what a tool measured in this step; what says most is kept."""
        facts = result.get("facts")
        found = facts if isinstance(facts, Mapping) else {"runs": result["runs"]} if isinstance(result.get("runs"), Mapping) else {}
        if self.step and summary(found):
            self.facts = found

    def ended(self, now: float, why: str = "") -> List[Line]:
        """End the step, and say what it measured."""
        step, facts, self.step, self.facts = self.step, self.facts, None, {}
        self.mark = now
        if step is None:
            return []
        said = [duration(now - step.began), *summary(facts), *([why] if why else [])]
        return [Line(self.label, f"{step.name}: {', '.join(said)}", ATTENTION if why or errors(facts) else "")]

    def taken(self, done: Mapping) -> List[Line]:
        """Take over the layers that a run which is resumed had measured: they are told, but not again what they found."""
        known = {layer: record for layer, record in done.items() if isinstance(record, Mapping)}
        self.done.update({layer: _mark(record) for layer, record in known.items()})
        verdicts = {layer: _map(record.get("verdict")).get("verdict") for layer, record in known.items()}
        return [Line(layer, f"taken over: {words.word(verdict)}", TONES.get(str(verdict), "")) for layer, verdict in verdicts.items()]

    def judged(self, done: Mapping, found: Mapping, now: float) -> List[Line]:
        """Return what is new in the record of each layer and in its findings: its verdict, and each check that keeps it from a PASS."""
        lines: List[Line] = []
        for layer, record in done.items():
            mark = _mark(record) if isinstance(record, Mapping) else ()
            if mark and self.done.get(layer) != mark:
                lines += self.ended(now)
                known = layer in self.done and len(record.get("clusters") or ()) == self.done[layer][0]
                lines += _verdict(layer, record, [one for one in found.get(layer) or [] if isinstance(one, Mapping)], known)
                self.done[layer] = mark
        return lines

    def status(self, now: float) -> List[str]:
        """Return the parts of the status, the most important first: where it is, what it does, since when, and the whole run."""
        # The thread that asks may be between two assignments of the one that tells.
        label, step, layers = self.label, self.step, self.layers
        place = f"{label} {layers.index(label) + 1}/{len(layers)}" if label in layers else label
        what = step.name if step else self.task
        if step and step.rate:
            what += f" {human(step.rate, '1/s')}"
        elif self.hosts > 1:
            what += f" ({self.hosts} hosts)"
        took = clock(now - (step.began if step else self.task_began), step.seconds if step else None)
        return [place, what, took, f"run {clock(now - self.began, _number(self.times.get('seconds')))}"]

    def share(self, now: float) -> Optional[float]:
        """Return how much of the expected time has passed, less than 1 while it runs; None where nobody knows."""
        whole = _number(self.times.get("seconds"))
        return min(0.99, (now - self.began) / whole) if whole else None

    def _of_layer(self) -> Mapping:
        layers = self.times.get("layers")
        return next((one for one in layers if _map(one).get("layer") == self.label), {}) if isinstance(layers, list) else {}

    @staticmethod
    def _about(times: Mapping) -> str:
        seconds = _number(times.get("seconds"))
        return f"; about {duration(seconds)}" if seconds else ""


def failed(label: str, hosts: Sequence[str], task: str, message: str, how: str = "failed") -> Line:
    """Return the line of a failure that the run goes on from: every host, and the whole message."""
    where = f" at {', '.join(hosts)}" if list(hosts) != ["localhost"] else ""
    return Line(label, clean(f"{how}{where}: {task.rpartition(' | ')[2]}: {message}"), ATTENTION)


def nameless(message: str, host: str) -> str:
    """Return a message in which a host does not name itself, so that those of many hosts are alike."""
    return re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-]|\.\w)", "each", message)


def alike(label: str, told: Mapping, task: str, how: str) -> Line:
    """Return the line of what several hosts, {name: its message}, said in the same way."""
    hosts = sorted(told)
    return failed(label, hosts, task, told[hosts[0]] if len(hosts) == 1 else nameless(told[hosts[0]], hosts[0].partition(" -> ")[0]), how)


def _verdict(layer: str, record: Mapping, findings: Sequence[Mapping], known: bool) -> List[Line]:
    verdict = _map(record.get("verdict"))
    error = [Line(layer, clean(str(record["error"])), ATTENTION)] if record.get("error") else []
    if known or not verdict:
        return error
    result, counts = verdict.get("verdict"), _counts(findings)
    numbers = [f"{counts[one]} {'indicative' if one == 'INFO' else words.word(one)}" for one in RESULTS if counts.get(one)]
    times = [f"{text} {human(record[key], 's')}" for key, text in (("seconds", "took"), ("load_seconds", "load")) if _number(record.get(key)) is not None]
    return [Line(layer, f"{words.word(result)}: {', '.join([*numbers, *times])}", TONES.get(str(result), ""))] + error + _misses(layer, findings)


def _counts(findings: Sequence[Mapping]) -> Counter:
    """Return how many checks have each result, by their worst finding; those that are not judged count as INFO."""
    worst: Dict[Any, int] = {}
    for one in findings:
        if one.get("result") in RESULTS:
            rank = RESULTS.index(one["result"] if one.get("judged") else "INFO")
            worst[one.get("id")] = min(rank, worst.get(one.get("id"), rank))
    return Counter(RESULTS[rank] for rank in worst.values())


def _misses(layer: str, findings: Sequence[Mapping]) -> List[Line]:
    """Return a line for each judged check that is no PASS, the worst first; those that were not measured for one reason in one."""
    found, among = [one for one in findings if one.get("judged") and one.get("result") in words.OPEN], words.by_check(findings)
    found.sort(key=lambda one: RESULTS.index(one["result"]))
    unmeasured: Dict[str, Dict[Any, List[Mapping]]] = {}
    lines = []
    for identifier, rows in words.by_check(found).items():
        measured = []
        for row in rows:
            if row["result"] == "INCONCLUSIVE" and row.get("value") is None:
                unmeasured.setdefault(str(row.get("reason")), {}).setdefault(identifier, []).append(row)
            elif not measured or row["result"] in (measured[0]["result"], "INCONCLUSIVE"):
                measured.append(row)
        # What is not decided at one place is told beside what FAILs at another.
        alike = [[row for row in measured if row["result"] == result] for result in dict.fromkeys(row["result"] for row in measured)]
        lines += [_miss(layer, same, among[identifier]) for same in alike]
    for reason, checks in unmeasured.items():
        lines += [Line(layer, f"  {text}: {words.cut(reason)}", ATTENTION) for text in _nothing(checks, among)]
    more = len(lines) - MOST_CHECKS
    return lines[:MOST_CHECKS] + ([Line(layer, f"  and {more} more: see the certificate", ATTENTION)] if more > 0 else [])


def _miss(layer: str, rows: Sequence[Mapping], among: Sequence[Mapping]) -> Line:
    """Return the line of findings of a check with the same result, of which the first is told."""
    first = rows[0]
    bounds = [f"{key} {words.bound(first, key)}" for key in ("target", "critical") if first.get(key) is not None]
    where = ", ".join(filter(None, [words.place(first, among), f"{len(rows)} such" if len(rows) > 1 else ""]))
    said = ", ".join([words.value(first), *bounds]) + (f" ({where})" if where else "")
    return Line(layer, f"  {words.word(first['result'])} {clean(first['title'])}: {said}", TONES[first["result"]])


def _nothing(checks: Mapping, among: Mapping) -> List[str]:
    """Return what to say of checks {id: the findings that were not measured for one reason}; in one for many of them."""
    if len(checks) > ALIKE:
        rows = [row for own in checks.values() for row in own]
        return [f"not measured {len(checks)} checks{words.hosts(rows, [row for identifier in checks for row in among[identifier]])}"]
    said = []
    for identifier, rows in checks.items():
        whole, where = among[identifier], words.places(rows, among[identifier])
        count = words.share(rows, whole) if len(rows) < len(whole) else "not measured"
        said.append(f"{count} {clean(rows[0]['title'])}" + (f" ({where})" if where and len(rows) < len(whole) else ""))
    return said


def summary(facts: Mapping) -> List[str]:
    """Return what a tool says of a step in a few words: rate, the slowest of a hundred, errors. What it does not say is left out."""
    parts = []
    if isinstance(facts.get("runs"), Mapping):
        runs = [_map(run) for run in facts["runs"].values()]
        if len(runs) == 1 and _map(runs[0].get("facts")):
            return summary(runs[0]["facts"])
        return [f"{len(runs)} measurements, {sum(1 for run in runs if run.get('error'))} failed"]
    rate = _number(facts.get("rate"))
    if rate is not None:
        parts.append(human(rate, "1/s"))
    slow = next((found for found in (_at(facts, path) for path in SLOW) if found is not None), None)
    if slow is not None and (_number(slow) is not None or isinstance(slow, list)):
        parts.append(f"P99 {human(slow, 's')}")
    count = errors(facts)
    if count is not None:
        parts.append(f"{human(count)} errors" if count else "no errors")
    return parts


def errors(facts: Mapping) -> Optional[float]:
    """Return how many errors a tool counted; None where it does not say."""
    counts: List[float] = []
    if isinstance(facts.get("runs"), Mapping):
        return sum(1 for run in facts["runs"].values() if isinstance(run, Mapping) and run.get("error"))
    for key in ERRORS:
        found = facts.get(key)
        counts += [one for one in (found.values() if isinstance(found, Mapping) else [found]) if _number(one) is not None]
    return sum(counts) if counts else None


def duration(seconds: float) -> str:
    """Return a time as people say it: 20 s, 1 min 32 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 and seconds != whole else f"{whole} s"
    large, small, names = (whole // 60, whole % 60, ("min", "s")) if whole < 3600 else (whole // 3600, whole % 3600 // 60, ("h", "min"))
    return f"{large} {names[0]}" + (f" {small} {names[1]}" if small else "")


def clock(seconds: float, expected: Optional[float] = None) -> str:
    """Return a time as a clock shows it, beside the one that is expected."""
    shown = [f"{int(one) // 3600}:{int(one) // 60 % 60:02}:{int(one) % 60:02}" if one >= 3600 else f"{int(one) // 60}:{int(one) % 60:02}"
             for one in (max(0.0, seconds), *([expected] if expected else []))]  # fmt: skip
    return "/".join(shown)


def _mark(record: Mapping) -> Tuple:
    """Return what changes when a layer has something new to tell."""
    return len(record.get("clusters") or ()), record.get("error") or ""


def _map(value: Any) -> Mapping:
    return value if isinstance(value, Mapping) else {}


def _at(value: Any, path: str) -> Any:
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _number(value: Any) -> Optional[float]:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
