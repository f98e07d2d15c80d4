# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scene of metrics_window out of what a Prometheus has stored, for servers that cannot be reached.

A scene is one scrape: the last one before a window is opened, and the first one after it is closed. So the window has all that was counted in
between, and at each end at most one scrape interval more. Needs the standard library alone, as it may run on a managed host.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import time
import urllib.parse

from ansible_collections.kubeproof.certify.plugins.module_utils import openmetrics
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_prometheus import SELECTOR, PrometheusError, query
from ansible_collections.kubeproof.certify.plugins.module_utils.web import HttpError, fetch_json

START_TIME = "process_start_time_seconds"
# Seconds: how far back a scrape is looked for, and for how long the next one is waited for.
PAST = 300
PATIENCE = 150
POLL = 1.0
SUFFIXES = ("_bucket", "_sum", "_count", "")


class Stored:
    """One server as a Prometheus has it: how that is asked, and label matchers that choose the server."""

    def __init__(self, endpoint, selector):
        if not selector or not SELECTOR.fullmatch(selector):
            raise HttpError(f'The selector is {selector!r}. Write label matchers without braces, such as job="apiserver",instance="10.0.0.11:6443".')
        self.endpoint, self.selector, self.url = endpoint, selector, endpoint.url


def observe(stored, requests, keep=False, fresh=False):
    """Return (time, start of the process, {name: Family}, gzip of what was answered or None); HttpError when the Prometheus has no scrape.

    `fresh`: of a scrape that is later than now.
    """
    try:
        moment, start = _scrape(stored, _now(stored) if fresh else None)
        answers, families, kinds = {}, {}, {}
        for name in sorted({wanted["name"] for wanted in requests}):
            found = _series(stored, name, moment)
            if found:
                answers[name], kinds[name] = found, _kind(stored, name, found)
                families[name] = family(name, kinds[name], found)
    except PrometheusError as error:
        raise HttpError(str(error)) from error
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise HttpError(f"{stored.url} does not answer as Prometheus does ({error!r}). Correct the URL; the path ends before /api/v1.") from error
    body = gzip.compress(json.dumps({"time": moment, "start": start, "kinds": kinds, "answers": answers}).encode(), mtime=0) if keep else None
    return moment, start, families, body


def kept(text):
    """Return (start of the process, {name: Family}) of what `observe` kept."""
    document = json.loads(text)
    return document["start"], {name: family(name, document["kinds"][name], found) for name, found in document["answers"].items()}


def _now(stored):
    """Return the time of the Prometheus, whose clock its samples have."""
    return float(query(stored.endpoint, "time()", None, "scalar")[1])


def _scrape(stored, after):
    """Return (time, start of the process) of the last scrape, or of the first one later than `after`, which is waited for."""
    limit = time.monotonic() + PATIENCE
    while True:
        found = query(stored.endpoint, f"{START_TIME}{{{stored.selector}}}[{PAST}s]", None, "matrix")
        if len(found) > 1:
            raise PrometheusError(f"{stored.url} has {len(found)} servers with {stored.selector}. Narrow the selector to one.")
        values = [(float(moment), float(value)) for moment, value in found[0]["values"]] if found else []
        if values and after is None:
            return values[-1]
        later = [one for one in values if after is not None and one[0] > after]
        if later:
            return later[0]
        if after is None or time.monotonic() > limit:
            what = f"no scrape in the last {PAST} s" if after is None else f"no scrape within {PATIENCE} s"
            raise PrometheusError(f"{stored.url} has {what} of {stored.selector}. See its targets, or correct the selector.")
        time.sleep(POLL)


def _series(stored, name, moment):
    names = "|".join(re.escape(name + suffix) for suffix in SUFFIXES)
    # PromQL reads the text once more before it is a pattern.
    pattern = names.replace("\\", "\\\\")
    return query(stored.endpoint, f'{{__name__=~"{pattern}",{stored.selector}}}', moment, "vector")


def _kind(stored, name, found):
    """Return the type of a family as its server said it, or by its name where this Prometheus does not keep that."""
    known = {}
    for family_name in (name, name[: -len("_total")] if name.endswith("_total") else name):
        answer = fetch_json(stored.endpoint, "/api/v1/metadata?" + urllib.parse.urlencode({"metric": family_name}))
        known = (answer.get("data") or {}) if isinstance(answer, dict) else {}
        if known:
            break
    kinds = {one.get("type") for entries in known.values() for one in entries}
    if len(kinds) == 1:
        return kinds.pop()
    if any(one["metric"].get("__name__") == f"{name}_bucket" for one in found):
        return "histogram"
    return "counter" if name.endswith("_total") else "gauge"


def family(name, kind, found):
    """Return a Family from the series of an instant query."""
    made = openmetrics.Family(kind)
    roles = {name + suffix: role for suffix, role in openmetrics.SUFFIXES.get(kind, {"": "value"}).items()}
    for one in found:
        labels = {label: value for label, value in one["metric"].items() if label not in ("__name__", "le")}
        role = roles.get(one["metric"].get("__name__"))
        if role is None:
            continue
        key = openmetrics.series_key(labels)
        series = made.series.setdefault(key, openmetrics.Series(labels))
        made.labels.update(labels)
        value = float(one["value"][1])
        if role == "bucket":
            series.buckets[float(one["metric"].get("le", math.nan))] = value
        else:
            setattr(series, role, value)
    return made
