# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A window between two scrapes of /metrics: what was counted in between, and why a number is not known.

A request is {name, by: [labels], where: {label: [values]}, except: {label: [values]}, as: name of the fact}.
A scene is what one scrape saw: {time: epoch, start: process start or None, families: {fact: Family}}.
"""

from __future__ import annotations

import math
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.kubeproof.certify.plugins.module_utils import histogram, openmetrics, window_prometheus
from ansible_collections.kubeproof.certify.plugins.module_utils.web import HttpError, request

SCHEMA = 1
START_TIME = "process_start_time_seconds"
CHUNK = 1 << 18
MAX_BODY = 1 << 30
MAX_PROBLEMS = 20
READERS = 8
NUMBERS = ("value", "sum", "count")
GZIP = 16 + zlib.MAX_WBITS
OPENMETRICS = "application/openmetrics-text"
CONTENT_TYPES = ("text/plain", OPENMETRICS)


class WindowError(Exception):
    """The window cannot be opened or closed; the sentence says what was found and what to do."""


class _Unknown(Exception):
    """A number is not known; the sentence says why."""


def scrape(endpoint, names, keep=False):
    """Return ({name: Family}, gzip of the whole body or None unless `keep`); HttpError names the URL and the reason.

    The whole answer has to come within `endpoint.timeout` seconds.
    """
    deadline = time.monotonic() + endpoint.timeout
    kept = []
    with request(endpoint, headers={"Accept-Encoding": "gzip"}) as response:
        kind = response.headers.get_content_type()
        if kind not in CONTENT_TYPES:
            raise HttpError(f"{endpoint.url} answered {kind}, which is not the text of metrics: correct the URL.")
        encoding = response.getheader("Content-Encoding", "identity").lower()
        if encoding not in ("gzip", "identity"):
            raise HttpError(f"{endpoint.url} answered with the encoding {encoding!r}, which was not asked for.")
        pieces = _received(response, deadline)
        if encoding == "gzip":
            text = _unzipped(_copied(pieces, kept if keep else None))
        else:
            text = _zipped(pieces, kept) if keep else pieces
        try:
            families = openmetrics.read(_bounded(text), names, end_mark=kind == OPENMETRICS)
        except (openmetrics.ExpositionError, _Unknown) as error:
            raise HttpError(f"{endpoint.url}: {error}") from error
    return families, b"".join(kept) if keep else None


def _received(response, deadline):
    """Yield the body as it arrives; _Unknown when it is too short or too late."""
    left = response.length
    while left is None or left > 0:
        piece = response.read1(CHUNK if left is None else min(CHUNK, left))
        if time.monotonic() > deadline:
            raise _Unknown("The answer did not end in time: raise timeout.")
        if not piece:
            if left:
                raise _Unknown(f"The answer is incomplete: {left} bytes are missing.")
            return
        if left is not None:
            left -= len(piece)
        yield piece


def _copied(pieces, kept):
    """Yield the pieces and append them to the list `kept`, unless it is None."""
    for piece in pieces:
        if kept is not None:
            kept.append(piece)
        yield piece


def _zipped(pieces, kept):
    """Yield the pieces and append their gzip to the list `kept`."""
    encoder = zlib.compressobj(1, zlib.DEFLATED, GZIP)
    for piece in pieces:
        kept.append(encoder.compress(piece))
        yield piece
    kept.append(encoder.flush())


def _unzipped(pieces):
    """Yield the text of gzip pieces in bounded chunks; _Unknown when it is damaged or incomplete."""
    decoder = zlib.decompressobj(GZIP)
    try:
        for piece in pieces:
            while piece and not decoder.eof:
                yield decoder.decompress(piece, CHUNK)
                piece = decoder.unconsumed_tail
            if decoder.unused_data or (decoder.eof and piece):
                raise _Unknown("The answer has data after the end of its gzip stream.")
        yield decoder.flush()
    except zlib.error as error:
        raise _Unknown(f"The answer is not gzip: {error}.") from error
    if not decoder.eof:
        raise _Unknown("The answer is incomplete: its gzip stream does not end.")


def _bounded(chunks):
    """Yield the chunks; _Unknown when they are more than MAX_BODY bytes."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > MAX_BODY:
            raise _Unknown(f"The answer is longer than {MAX_BODY} bytes.")
        yield chunk


def observe(endpoint, requests, keep=False, fresh=False):
    """Return (scene, gzip of the body or None) of an endpoint, or of the last, with `fresh` the next, scrape of a Prometheus; HttpError when that failed."""
    if isinstance(endpoint, window_prometheus.Stored):
        moment, start, families, body = window_prometheus.observe(endpoint, requests, keep, fresh)
    else:
        moment = time.time()
        families, body = scrape(endpoint, names_of(requests), keep)
        start = start_of(families)
    return scene_of(moment, start, families, requests), body


def names_of(requests):
    """Return the names of the families to read."""
    return {wanted["name"] for wanted in requests} | {START_TIME}


def scene_of(moment, start, families, requests):
    """Return the scene of what one scrape said."""
    chosen = {wanted["as"]: _chosen(families[wanted["name"]], wanted) for wanted in requests if wanted["name"] in families}
    return {"time": moment, "start": start, "families": chosen}


def start_of(families):
    """Return the start time of the process, None when it is not exposed once."""
    values = [series.value for series in families[START_TIME].series.values()] if START_TIME in families else []
    return values[0] if len(values) == 1 and values[0] is not None and math.isfinite(values[0]) else None


def _chosen(family, wanted):
    """Return the family with those series that `where` and `except` leave; `labels` are still those of all, None if there were no series."""
    chosen = openmetrics.Family(family.type)
    chosen.labels = family.labels if family.series else None
    for key, series in family.series.items():
        inside = all(series.labels.get(label, "") in values for label, values in wanted["where"].items())
        outside = any(series.labels.get(label, "") in values for label, values in wanted["except"].items())
        if inside and not outside:
            chosen.series[key] = series
    return chosen


def dump(scene):
    """Return a scene as JSON data without NaN and Infinity, which become strings."""
    families = {}
    for fact, family in scene["families"].items():
        series = [
            {
                "labels": one.labels,
                "buckets": {repr(bound): _json(count) for bound, count in one.buckets.items()},
                "numbers": {role: _json(getattr(one, role)) for role in NUMBERS if getattr(one, role) is not None},
            }
            for one in family.series.values()
        ]
        families[fact] = {"type": family.type, "series": series}
    return dict(scene, families=families)


def load(data):
    """Return the scene of JSON data that `dump` made; WindowError when it is something else."""
    try:
        scene = {"time": float(data["time"]), "start": None if data["start"] is None else float(data["start"]), "families": {}}
        if not all(math.isfinite(moment) for moment in (scene["time"], scene["start"] or 0)):
            raise ValueError("a time without an end")
        for fact, content in data["families"].items():
            family = scene["families"][fact] = openmetrics.Family(content["type"])
            for item in content["series"]:
                one = openmetrics.Series({label: str(value) for label, value in item["labels"].items()})
                one.buckets = {float(bound): float(count) for bound, count in item["buckets"].items()}
                for role in NUMBERS:
                    if role in item["numbers"]:
                        setattr(one, role, float(item["numbers"][role]))
                family.series[openmetrics.series_key(one.labels)] = one
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise WindowError("it is not a window that metrics_window wrote: open it again.") from error
    return scene


def _json(number):
    """Return a number that JSON can hold, or its text."""
    return number if math.isfinite(number) else repr(number)


def compare(first, last, requests):
    """Return the facts {seconds, <fact>: …, problems} between two scenes; what is not known is absent and said in problems."""
    seconds = last["time"] - first["time"]
    facts, problems = {}, []
    if seconds > 0:
        facts["seconds"] = seconds
    else:
        problems.append(f"The host's clock went back by {-seconds:.3f} s in the window, so there are no rates.")
    restart = _restart(first["start"], last["start"])
    if restart:
        problems.append(restart)
    for wanted in requests:
        name = wanted["as"]
        try:
            numbers = _family(first["families"].get(name), last["families"].get(name), wanted, facts.get("seconds"), bool(restart), problems)
        except _Unknown as error:
            problems.append(str(error))
            if last["families"].get(name) is not None:
                # There, but not understood: no zero may be read into its absence.
                facts.setdefault("unknown", []).append(name)
            continue
        if numbers is not None:
            facts[name] = numbers
    if problems:
        more = len(problems) - MAX_PROBLEMS
        facts["problems"] = problems[:MAX_PROBLEMS] + ([f"And {more} more."] if more > 0 else [])
    return facts


def _restart(first, last):
    """Return a sentence when the process has restarted, or may have; None when it has not."""
    if first is None or last is None:
        return f"{START_TIME} is not exposed, so a restart cannot be excluded: counters and histograms are left out."
    if first != last:
        return f"The process restarted, or another one answered ({START_TIME} was {first!r}, is {last!r}): counters and histograms are left out."
    return None


def _family(first, last, wanted, seconds, restarted, problems):
    """Return the numbers of a family, or {group: numbers} with `by`; None after a restart; _Unknown says why there are none."""
    name = wanted["name"]
    if last is None:
        raise _Unknown(f"Family {name} is not exposed.")
    if last.type not in KINDS:
        raise _Unknown(f"Family {name} is of type {last.type}; a window reads {', '.join(sorted(KINDS))}.")
    if first is not None and first.type != last.type:
        raise _Unknown(f"Family {name} changed its type from {first.type} to {last.type}.")
    unknown = {*wanted["by"], *wanted["where"], *wanted["except"]}.difference(last.labels or ())
    if unknown and last.labels is not None:
        raise _Unknown(f"Family {name} has no label {', '.join(sorted(unknown))}; it has {', '.join(sorted(last.labels)) or 'none'}.")
    if restarted and last.type != "gauge":
        return None
    groups = _groups(first.series if first else {}, last.series, wanted["by"])
    if not wanted["by"]:
        return KINDS[last.type](name, groups.get((), []), seconds, problems)
    facts = {}
    for values, pairs in sorted(groups.items()):
        entry = " ".join(values)
        try:
            if entry in facts:
                raise _Unknown(f"Family {name} has two groups that are written {entry!r}.")
            facts[entry] = {}  # stays when nothing is known: a group that was seen must not vanish from a check of each
            facts[entry] = KINDS[last.type](name, pairs, seconds, problems)
        except _Unknown as error:
            facts[entry] = {}
            problems.append(str(error))
    return facts


def _groups(first, last, by):
    """Return {label values: [(series at open or None, series at close or None)]}."""
    groups = {}
    for key in list(last) + [key for key in first if key not in last]:
        pair = (first.get(key), last.get(key))
        labels = (pair[1] or pair[0]).labels
        groups.setdefault(tuple(labels.get(label, "") for label in by), []).append(pair)
    return groups


def _counter(name, pairs, seconds, problems):
    """Return {increase, rate} of the sum of counters; a series absent at open counts as 0 there."""
    increase = 0.0
    for first, last in pairs:
        increase += _increase(_title(name, first, last), first.value if first else 0.0, last and last.value)
    facts = {"increase": _number(increase)}
    if seconds:
        facts["rate"] = increase / seconds
    return facts


def _gauge(name, pairs, seconds, problems):
    """Return {first, last}, each the sum over the series that were there."""
    facts = {}
    for role, side in (("first", 0), ("last", 1)):
        values = [pair[side].value for pair in pairs if pair[side]]
        if not values:
            continue
        total = sum(values)
        if not math.isfinite(total):
            raise _Unknown(f"Gauge {name} is {total!r}, which is not a finite number.")
        facts[role] = _number(total)
    if not facts:
        raise _Unknown(f"Family {name} has no series that was asked for.")
    return facts


def _histogram(name, pairs, seconds, problems):
    """Return the summary of the sum of histograms; without sum and mean, and a problem, when only the sum is damaged."""
    deltas, amount = [], 0.0
    for first, last in pairs:
        title = _title(name, first, last)
        if last is None:
            raise _Unknown(f"{title} was there at open and is gone.")
        try:
            buckets = histogram.from_counts(last.buckets)
            before = histogram.from_counts(first.buckets) if first else [(bound, 0) for bound in histogram.bounds_of(buckets)]
            deltas.append(histogram.subtract(buckets, before))
        except histogram.HistogramError as error:
            raise _Unknown(f"{title}: {error}.") from error
        count = _increase(f"The count of {title}", first.count if first else 0.0, last.count)
        if count != histogram.total(deltas[-1]):
            raise _Unknown(f"{title}: bucket +Inf grew by {histogram.total(deltas[-1])}, but its count by {_number(count)!r}.")
        try:
            amount = None if amount is None else amount + _increase(f"The sum of {title}", first.sum if first else 0.0, last.sum)
        except _Unknown as error:
            problems.append(str(error))
            amount = None
    try:
        return histogram.summary(histogram.merge(deltas), amount)
    except histogram.HistogramError as error:
        raise _Unknown(f"Family {name}: {error}.") from error


def _increase(title, first, last):
    """Return how far a counter rose; _Unknown when it is gone, is no finite number or fell."""
    if last is None or first is None:
        raise _Unknown(f"{title} was not there at {'open' if first is None else 'close'}.")
    if not (math.isfinite(first) and math.isfinite(last)):
        raise _Unknown(f"{title} is {last if math.isfinite(first) else first!r}, which is not a finite number.")
    if last < first:
        raise _Unknown(f"{title} went down from {_number(first)!r} to {_number(last)!r}: it was reset.")
    return last - first


def _title(name, first, last):
    """Return how a series is written in /metrics, cut to a bearable length."""
    labels = (last or first).labels
    text = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{text[:200]}}}" if text else name


def _number(number):
    """Return a whole number as int."""
    return int(number) if number == int(number) else number


KINDS = {"counter": _counter, "gauge": _gauge, "histogram": _histogram}


def open_window(endpoints, requests, keep=False):
    """Scrape {name: Endpoint} and return (document to be kept, {name: why it failed}, {name: gzip of the body})."""
    scenes, failed, bodies = _observe_all(endpoints, requests, keep)
    document = {"schema": SCHEMA, "requests": requests, "scenes": {name: dump(scene) for name, scene in scenes.items()}, "failed": failed}
    return document, failed, bodies


def close_window(document, endpoints, requests, keep=False):
    """Scrape again and return ({name: facts}, {name: why it failed}, {name: gzip of the body}, {name: seconds between both}); WindowError on another window."""
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise WindowError("it is not a window that metrics_window wrote: open it again.")
    if document.get("requests") != requests:
        raise WindowError("it was opened for other families: close it with the same families.")
    try:
        opened = {name: load(data) for name, data in document["scenes"].items()}
        missed = {name: f"It was not read when the window was opened: {reason}" for name, reason in document["failed"].items()}
    except (AttributeError, KeyError) as error:
        raise WindowError("it is not a window that metrics_window wrote: open it again.") from error
    scenes, failed, bodies = _observe_all(endpoints, requests, keep, True)
    facts = {name: compare(opened[name], scene, requests) for name, scene in scenes.items() if name in opened}
    for name in scenes:
        if name not in opened:
            failed[name] = missed.get(name, "It is not in the window: open the window with the same endpoints.")
    for name in sorted(set(opened) | set(missed)):
        if name not in endpoints:
            failed[name] = "It is in the window, but was not read when it was closed: close the window with the same endpoints."
    return facts, failed, bodies, {name: scenes[name]["time"] - opened[name]["time"] for name in facts}


def _observe_all(endpoints, requests, keep, fresh=False):
    """Return ({name: scene}, {name: why it failed}, {name: gzip of the body}) of {name: Endpoint}."""
    scenes, failed, bodies = {}, {}, {}
    # At the same time, so that the windows of all endpoints begin and end together.
    with ThreadPoolExecutor(max_workers=READERS) as readers:
        readings = {name: readers.submit(observe, endpoint, requests, keep, fresh) for name, endpoint in endpoints.items()}
    for name, reading in readings.items():
        try:
            scenes[name], body = reading.result()
        except HttpError as error:
            failed[name] = str(error)
            continue
        if body is not None:
            bodies[name] = body
    return scenes, failed, bodies
