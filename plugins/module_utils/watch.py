# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The abort watch: reads metrics and health pages while a tool runs and says why it must be stopped."""

from __future__ import annotations

import json
import math
import threading

from . import bounds, web
from .stop import Stop

MISSES = 3
_RULE_SPEC = {
    "endpoint": {"type": "dict", "required": True, "options": {**web.ENDPOINT_SPEC, "timeout": {"type": "float", "default": 3.0}}},
    "metric": {"type": "str"},
    "value": {"type": "str"},
    "increase": {"type": "str"},
    "reason": {"type": "str", "required": True},
}
# The option of a module; plugins/doc_fragments/watch.py describes it.
WATCH_SPEC = {
    "type": "dict",
    "options": {"interval": {"type": "float", "default": 1.0}, "rules": {"type": "list", "elements": "dict", "required": True, "options": _RULE_SPEC}},
}
CHUNK = 256 * 1024
LONGEST_LINE = 1024 * 1024


class WatchError(Exception):
    """A rule cannot be used; the text names it."""


class Rule:
    """One abort condition: a metric's value or increase since the first reading meets a bound, or a URL does not answer 200."""

    def __init__(self, reason, metric=None, value=None, increase=None):
        self.reason, self.metric = reason, metric
        self.value, self.increase = parse_bound(value), parse_bound(increase)
        self.first: dict = {}
        self.last: dict = {}
        if bool(metric) is not bool(self.value or self.increase):
            raise WatchError(f"The abort rule {reason!r} needs a metric together with value or increase, or neither of them.")

    def meets(self, series):
        """Return why `series` ({name with labels: number}) is a reason to abort, or None."""
        self.first = self.first or series
        before, self.last = self.last, series
        for name, number in series.items():
            # A series that appears later is a counter that was 0 before.
            increase = number - self.first.get(name, 0.0)
            if holds(self.value, number):
                return f"{self.reason} ({name} is {number:.15g}, limit {self.value.text})"
            if holds(self.increase, increase):
                return f"{self.reason} ({name} rose by {increase:.15g} to {number:.15g}, limit {self.increase.text})"
            if self.increase and number < before.get(name, number):
                return f"{self.reason} ({name} fell from {before[name]:.15g} to {number:.15g}, so its process was restarted)"
        return None


def parse_bound(text):
    """Return the bound in `text`, or None without one; WatchError when it does not compare with a number."""
    if text is None:
        return None
    try:
        bound = bounds.parse(text)
    except ValueError as error:
        raise WatchError(f"The bound {text!r} of an abort rule cannot be used: {error}.") from error
    if bound.kinds != {"number"}:
        raise WatchError(f"The bound {text!r} of an abort rule does not compare with a number.")
    return bound


def holds(bound, number):
    """Tell whether there is a bound and a number meets it."""
    return bound is not None and bounds.truth(bound, number) == bounds.MEETS


class Watch:
    """Follows all rules, each endpoint in a thread of its own. `reason` is a sentence as soon as the load must be stopped."""

    def __init__(self, rules, interval=1.0):
        self.interval, self.reason = interval, None
        self.stopping = Stop()
        self.sources = _sources(rules)

    def __enter__(self):
        """Read everything once before the load begins, so that a cluster that already meets a rule is not loaded."""
        threads = [threading.Thread(target=self._read, args=(source,), daemon=True) for source in self.sources]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if not self.reason:
            for source in self.sources:
                threading.Thread(target=self._follow, args=(source,), daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.stopping.set()

    def _follow(self, source):
        while not self.stopping.wait(self.interval) and not self.reason:
            self._read(source)

    def _read(self, source):
        """Read one endpoint; whatever goes wrong is a reason to stop, because a watch that died would watch nothing."""
        try:
            reason = source.read()
        except Exception as error:
            reason = f"cannot watch {source.endpoint.url}: {error!r}"
        self.reason = self.reason or reason


def watch_of(option):
    """Return the Watch of a module's option, which watches nothing where it is not given; WatchError when a rule cannot be used."""
    return Watch(option["rules"], option["interval"]) if option else Watch([])


class Ends:
    """Whether a load has to end: true as soon as a signal came (run.caught), or one of the `watchers` has a `reason`."""

    def __init__(self, signals, watchers):
        self.signals, self.watchers = signals, watchers

    def __bool__(self):
        return bool(self.signals) or bool(self.reason)

    @property
    def reason(self):
        """Return why the load is aborted, or None."""
        return next((one.reason for one in self.watchers if one.reason), None)


class Source:
    """One endpoint and its rules."""

    def __init__(self, endpoint):
        self.endpoint, self.rules, self.misses = endpoint, [], 0

    def read(self):
        """Read the endpoint once and return the reason to abort, or None; the third failure in a row is one."""
        try:
            reason = self._judge()
            self.misses = 0
            return reason
        except web.HttpError as error:
            self.misses += 1
            return f"cannot watch {self.endpoint.url}: {error}" if self.misses >= MISSES else None

    def _judge(self):
        """Return the reason to abort in one reading, or None; HttpError when it cannot be read."""
        metrics = {rule.metric for rule in self.rules if rule.metric}
        try:
            with web.request(self.endpoint) as response:
                series = read_metrics(response, metrics) if metrics else {}
        except web.HttpError as error:
            health = [rule for rule in self.rules if not rule.metric]
            if error.status is None or not health:
                raise
            return f"{health[0].reason} ({error})"
        rules = [rule for rule in self.rules if rule.metric]
        for rule in rules:
            # A member of etcd that no longer answers takes its series along.
            gone = sorted(set(rule.first) - set(series[rule.metric])) if series[rule.metric] else [rule.metric]
            if gone:
                raise web.HttpError(f"it has no metric {gone[0]}")
        return next(filter(None, (rule.meets(series[rule.metric]) for rule in rules)), None)


def read_metrics(response, metrics):
    """Return {metric: {series: number}} of the metrics asked for, from a page of metrics; HttpError when a value is not a number."""
    prefixes = tuple(metric.encode() for metric in metrics)
    found: dict = {metric: {} for metric in metrics}
    for line in _lines(response):
        if line.startswith(prefixes):
            metric, series, value = _sample(line)
            if metric in found:
                found[metric][series] = _number(value, series)
    return found


def _sample(line):
    """Return (metric, metric with labels, text of the value) of a line `name{labels} value [timestamp]`."""
    text = line.decode("utf-8", "replace")
    series, brace, rest = text.rpartition("}")
    if not brace:
        series, dummy, rest = text.partition(" ")
    fields = rest.split()
    return series.partition("{")[0], series + brace, fields[0] if fields else ""


def _number(value, series):
    """Return a sample's value; HttpError when it is not a finite number."""
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise web.HttpError(f"{series} is {value[:40]!r}, not a number")
    return number


def _lines(response):
    """Yield the lines of a page without holding more than a chunk of it."""
    rest = b""
    while True:
        chunk = response.read(CHUNK)
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        yield from lines
        if not chunk:
            break
        if len(rest) > LONGEST_LINE:
            raise web.HttpError("it is not a page of metrics")
    yield rest


def _sources(rules):
    """Return the Sources of `rules` ([{endpoint: {url, …}, reason, metric?, value?, increase?}]), each endpoint once."""
    sources: dict = {}
    for rule in rules:
        options = {key: value for key, value in rule["endpoint"].items() if value is not None}
        key = json.dumps(options, sort_keys=True)
        if key not in sources:
            try:
                sources[key] = Source(web.Endpoint(**options))
            except (web.HttpError, ValueError) as error:
                raise WatchError(f"The endpoint of the abort rule {rule['reason']!r} cannot be used: {error}") from error
        sources[key].rules.append(Rule(rule["reason"], rule.get("metric"), rule.get("value"), rule.get("increase")))
    return list(sources.values())
