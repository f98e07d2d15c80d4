# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""fio 3.x: its JSON (json, json+, client mode), with whatever text stands around it, to facts."""

from __future__ import annotations

import math
import os
import re

from .common import PERCENTILES, ParseError, decode_json, excerpt, integer, mapping, message, name, number, rounded, sequence

DOCUMENT = re.compile(r"^\{\r?$", re.MULTILINE)
# What fio prints outside of the JSON when a run did not go to its end, although jobs may say error 0.
BROKEN = re.compile(r"terminating on signal|exited with error|fio: failed|err=[1-9]|Connection (?:refused|reset)")
DIRECTIONS = ("read", "write", "trim", "mixed")
# Latency from submission to completion if its percentiles were asked for, else fio's default, completion latency.
KINDS = {"lat_ns": "total", "clat_ns": "completion"}
ALL_CLIENTS = "All clients"
NANOSECOND = 1e-9
# The options that say what was measured; others may be nobody's business, such as the password of an engine.
OPTIONS = (
    *("rw", "readwrite", "bs", "blocksize", "size", "filesize", "io_size", "filename", "directory", "ioengine", "direct", "buffered", "iodepth", "numjobs"),
    *("runtime", "time_based", "ramp_time", "loops", "rwmixread", "rwmixwrite", "rate_iops", "rate", "fsync", "fdatasync", "end_fsync", "sync"),
    *("stonewall", "randrepeat", "norandommap", "refill_buffers", "buffer_compress_percentage", "startdelay", "overwrite", "fallocate", "invalidate"),
)
# A bin is 1/64 wide and stands for its middle; min and max are exact.
BIN_WIDTH = 1.02
# iops and bw_bytes are a total through a time in whole milliseconds.
ROUNDING = 1e-3


def parse(text: str) -> dict:
    """Return {jobs: {<name>: {read, write, trim, mixed: {rate, bandwidth, total, bytes, latency}, sync: {rate, latency}, both: {the same of read and
    write together}, errors, runtime, options}}, devices: {<name>: {reads, writes}}, clients?: n}.

    Processes and clients with the same job name are one job: rates add up, percentiles come from merged json+ bins or are absent. A latency is
    from submission to completion (kind total) where --lat_percentiles=1 was given, else fio's default (completion). Options are as fio ran them,
    those of [global] too; devices the disks and partitions that fio knows to be below its files: none for tmpfs, overlayfs or the network.

    A direction of a job with a fixed rate (--rate_iops), whose processes have one request at a time (--iodepth=1) and json+ bins, has `due` as well:
    {p50 …}, none of them less than that of latency, with what was due while a request was under way, which fio asks later and does not count as late.
    """
    document = _document(text)
    if ("jobs" in document) is ("client_stats" in document):
        raise ParseError("it must have either jobs or client_stats.")
    entries = [mapping(entry, "a job") for entry in sequence(document.get("jobs", document.get("client_stats")), "jobs")]
    groups: dict = {}
    totals = []
    for entry in entries:
        job = name(entry.get("jobname"), "the name of a job")
        _check_error(job, entry)
        if "client_stats" in document and job == ALL_CLIENTS:
            totals.append(entry)
        else:
            groups.setdefault(job, []).append(entry)
    if not groups:
        raise ParseError("it has no job.")
    common = _options(document.get("global options"), "global options")
    facts: dict = {"jobs": {job: _job(job, members, common) for job, members in groups.items()}, "devices": _devices(document.get("disk_util"))}
    if "client_stats" in document:
        # A client that could not be reached is missing without any error, so that their number must be checked.
        clients = {(name(entry.get("hostname"), "hostname"), integer(entry.get("port"), "port")) for entry in entries}
        facts["clients"] = len(clients)
        _check_totals(totals, groups)
    return facts


def _document(text: str) -> dict:
    """Return the one JSON document in fio's output; ParseError when fio says that the run broke."""
    starts = [match.start() for match in DOCUMENT.finditer(text)]
    if not starts:
        raise ParseError(f"there is no JSON in it; it begins with {excerpt(text.strip())}.")
    document, end = decode_json(text, starts[0])
    if len(starts) > 1:
        raise ParseError("it has several JSON documents, as --status-interval makes them.")
    for part in (text[: starts[0]], text[end:]):
        broken = BROKEN.search(part)
        if broken:
            line = part[part.rfind("\n", 0, broken.start()) + 1 :].partition("\n")[0]
            raise ParseError(f"the run did not go to its end: {excerpt(line.strip())}.")
    return mapping(document, "the JSON")


def _check_error(job: str, entry: dict) -> None:
    """Refuse the whole run when a job of it failed."""
    error = integer(entry.get("error"), f"error of job {job}", -(2**31))
    if error:
        where = f" on {message(entry['hostname'], 'hostname')}" if "hostname" in entry else ""
        raise ParseError(f"job {job}{where} failed with error {error} ({os.strerror(min(abs(error), 2**31 - 1))}).")


def _options(table, what: str) -> dict:
    """Return the options of a job that say what it did, all texts."""
    return {key: message(value, f"{key} in {what}") for key, value in mapping(table or {}, what).items() if key in OPTIONS}


def _devices(disks) -> dict:
    """Return {<name>: {reads, writes}} of the disks below the files; client mode lists those of each client, whose numbers add up."""
    found: dict = {}
    for disk in sequence(disks or [], "disk_util"):
        device = name(mapping(disk, "a disk").get("name"), "the name of a disk")
        entry = found.setdefault(device, {"reads": 0, "writes": 0})
        for side, key in (("reads", "read_ios"), ("writes", "write_ios")):
            entry[side] += integer(disk.get(key), f"{key} of disk {device}")
    return found


def _job(job: str, entries: list, common: dict) -> dict:
    """Return the facts of all entries of one job name."""
    facts: dict = {}
    directions = {
        direction: [_part(f"{direction} of job {job}", entry[direction]) for entry in entries if direction in entry] for direction in DIRECTIONS
    }
    directions["both"] = directions["read"] + directions["write"] if _moved(directions["read"]) and _moved(directions["write"]) else []
    for direction, parts in directions.items():
        parts = _moved(parts)
        if parts:
            facts[direction] = {key: sum(part[key] for part in parts) for key in ("rate", "bandwidth", "total", "bytes")}
            latency = _latency(f"{direction} of job {job}", [part["stats"] for part in parts])
            facts[direction].update({"latency": latency} if latency else {})
    for direction, found in _due(entries, directions, common).items():
        latency = facts.get(direction, {}).get("latency", {})
        facts.get(direction, {}).update({"due": {key: max(rounded(value * NANOSECOND), latency[key]) for key, value in found.items()}} if latency else {})
    sync = _sync(job, entries)
    if sync:
        facts["sync"] = sync
    if not facts:
        raise ParseError(f"job {job} did nothing: no read, write, trim or sync is recorded.")
    facts["errors"] = sum(integer(entry.get("total_err", 0), f"total_err of job {job}") for entry in entries)
    facts["runtime"] = max(integer(entry.get("job_runtime"), f"job_runtime of job {job}") for entry in entries) / 1000
    facts["options"] = {**common, **_options(entries[0].get("job options"), f"job options of {job}")}
    return facts


def _moved(parts: list) -> list:
    """Return those parts in which anything was read or written."""
    return [part for part in parts if part["total"]]


def _part(what: str, part) -> dict:
    """Return {total, bytes, rate, bandwidth, stats} of one direction of one entry; ParseError when its rates contradict its totals."""
    mapping(part, what)
    total, size = integer(part.get("total_ios"), f"total_ios, {what}"), integer(part.get("io_bytes"), f"io_bytes, {what}")
    seconds = integer(part.get("runtime"), f"runtime, {what}") / 1000
    rate, bandwidth = number(part.get("iops"), f"iops, {what}"), number(part.get("bw_bytes"), f"bw_bytes, {what}")
    for value, amount, key in ((rate, total, "iops"), (bandwidth, size, "bw_bytes")):
        if abs(value * seconds - amount) > ROUNDING * amount + seconds + 1e-6:
            raise ParseError(f"{key}, {what}, is {value:g}, but {amount} were counted in {seconds:g} s.")
    stats = {kind: _stats(f"{kind}, {what}", part.get(kind), total) for kind in KINDS}
    return {"total": total, "bytes": size, "rate": rate, "bandwidth": bandwidth, "stats": stats}


def _sync(job: str, entries: list) -> dict:
    """Return {rate, latency} of the syncs of a job, or {}. Where fio has lat_ns.N, that is their number, and their total_ios is 0."""
    what = f"sync of job {job}"
    stats, rate = [], 0.0
    for entry in entries:
        syncs = mapping(entry.get("sync", {}), what)
        found = _stats(what, syncs.get("lat_ns"), syncs.get("total_ios"))
        if found["count"]:
            stats.append({"lat_ns": found})
            milliseconds = integer(entry.get("job_runtime"), f"job_runtime of job {job}", 1)
            rate += found["count"] * 1000 / milliseconds
    return {"rate": rate, "latency": _latency(what, stats)} if stats else {}


def _stats(what: str, stats, total) -> dict:
    """Return {count, min, mean, max, stdev, percentiles: {percent: ns}, bins: [(ns, count)]} in ns; {count: 0} when there is nothing.

    An old fio, such as Ubuntu 20.04's 3.16, does not say how many they are: as many as there were requests, where any took time.
    """
    if stats is None:
        return {"count": 0}
    old = "N" not in mapping(stats, what)
    count = integer(total if old else stats["N"], f"{'total_ios' if old else 'N'}, {what}")
    count = count if not old or stats.get("max") else 0
    if not count:
        return {"count": 0}
    low, mean, high, deviation = (number(stats.get(key), f"{key}, {what}") for key in ("min", "mean", "max", "stddev"))
    if not low * (1 - 1e-6) <= mean <= high * (1 + 1e-6) or deviation > (high - low) * (1 + 1e-6):
        raise ParseError(f"{what}: min {low:g}, mean {mean:g}, max {high:g} and stddev {deviation:g} contradict each other.")
    bins = _bins(what, stats.get("bins"), count, low, high)
    percentiles = _percentiles(what, stats.get("percentile"), low, high)
    for percent, value in percentiles.items() if bins else ():
        if abs(percentile(bins, percent) - value) > value * (BIN_WIDTH - 1):
            raise ParseError(f"{what}: the percentile {percent:g} is {value:g}, which the bins contradict.")
    return {"count": count, "min": low, "mean": mean, "max": high, "stdev": deviation, "percentiles": percentiles, "bins": bins}


def _keyed(what: str, table) -> list:
    """Return a JSON object with numbers as keys as sorted [(key, value)]."""
    pairs = {}
    for key, value in mapping(table, what).items():
        if not re.fullmatch(r"[0-9]{1,18}(?:\.[0-9]{1,6})?", key):
            raise ParseError(f"{what}: {excerpt(key)} is not a number.")
        pairs[float(key)] = integer(value, f"{what}, {key}")
    return sorted(pairs.items())


def _bins(what: str, table, count: int, low, high) -> list:
    """Return json+ bins as sorted [(ns, count)], or [] without; ParseError when they do not add up or lie outside of min and max."""
    bins = _keyed(f"bins, {what}", table or {})
    if bins and sum(size for dummy, size in bins) != count:
        raise ParseError(f"{what}: the bins hold {sum(size for dummy, size in bins)} values, N is {count}.")
    _check_range(what, [value for value, dummy in bins], low, high)
    return bins


def _percentiles(what: str, table, low, high) -> dict:
    """Return fio's own percentiles as {percent: ns}; ParseError when they fall or lie outside of min and max."""
    found = dict(_keyed(f"percentile, {what}", table or {}))
    values = list(found.values())
    if values != sorted(values) or any(percent > 100 for percent in found):
        raise ParseError(f"{what}: the percentiles are not in order.")
    _check_range(what, values, low, high)
    return found


def _check_range(what: str, values: list, low, high) -> None:
    """Refuse values of bins outside of min and max."""
    if values and not (low / BIN_WIDTH - 1 <= min(values) and max(values) <= high * BIN_WIDTH + 1):
        raise ParseError(f"{what}: values from {min(values):g} to {max(values):g} lie outside of min {low:g} and max {high:g}.")


def percentile(bins: list, percent: float) -> float:
    """Return a percentile of sorted [(value, count)] as fio does: the first bin that reaches the share."""
    wanted, seen = percent / 100 * sum(size for dummy, size in bins), 0
    for value, size in bins:
        seen += size
        if seen >= wanted:
            return value
    return bins[-1][0]


def _latency(what: str, parts: list) -> dict:
    """Return {kind, count, min, mean, max, stdev, p50, …} in s of one or several entries, or {} when none was recorded."""
    kind = next((kind for kind in KINDS if all(_has_percentiles(part.get(kind)) for part in parts)), None)
    kind = kind or next((kind for kind in KINDS if all(part.get(kind, {}).get("count") for part in parts)), None)
    if kind is None:
        return {}
    stats = [part[kind] for part in parts]
    count = sum(stat["count"] for stat in stats)
    mean = sum(stat["mean"] * stat["count"] for stat in stats) / count
    squares = sum(stat["stdev"] ** 2 * (stat["count"] - 1) + stat["count"] * (stat["mean"] - mean) ** 2 for stat in stats)
    nanoseconds = {
        "min": min(stat["min"] for stat in stats),
        "mean": mean,
        "max": max(stat["max"] for stat in stats),
        "stdev": math.sqrt(squares / max(count - 1, 1)),
        **_merged(stats),
    }
    latency = {key: rounded(value * NANOSECOND) for key, value in nanoseconds.items()}
    if not all(math.isfinite(value) for value in latency.values()):
        raise ParseError(f"{what}: the latencies are not possible.")
    return {"kind": KINDS[kind], "count": count, **latency}


def _due(entries: list, directions: dict, common: dict) -> dict:
    """Return {direction: {p50: ns, …}} of a fixed rate, or {}: percentiles as those have them who do not wait with asking (coordinated omission).

    While a process waits L for an answer, as many requests are due as its rate says, and have waited for up to L: on average half of them longer than
    L / 2, and so on. That is the most it can be, since a volume may have answered them meanwhile.
    """
    rates = [_rates({**common, **_options(entry.get("job options"), "job options")}) for entry in entries]
    stats = {way: [part["stats"]["lat_ns"] for part in directions[way]] for way in ("read", "write")}
    moved = {way: part for way, part in stats.items() if any(one["count"] for one in part)}
    if not all(rates) or not moved or any(one["count"] and not one.get("bins") for part in moved.values() for one in part):
        return {}
    found = {}
    for way, part in moved.items():
        rate = sum(one.get(way, 0.0) for one in rates) / len(rates) * NANOSECOND
        found[way] = _with_what_was_due(_all_bins(part), _all_bins(one for each in moved.values() for one in each), rate)
    return found


def _rates(options: dict) -> dict:
    """Return {read?, write?} of --rate_iops in 1/s, {} unless a process has one request at a time."""
    parts = options.get("rate_iops", "").split(",")
    if options.get("iodepth", "1") != "1" or not all(re.fullmatch(r"[0-9]{0,9}", part) for part in parts):
        return {}
    return {way: float(part) for way, part in zip(("read", "write"), parts * (2 if len(parts) == 1 else 1)) if part}


def _all_bins(stats) -> list:
    """Return the bins of several entries as one sorted [(ns, count)]."""
    merged: dict = {}
    for stat in stats:
        for value, size in stat.get("bins", ()):
            merged[value] = merged.get(value, 0) + size
    return sorted(merged.items())


def _with_what_was_due(own: list, both: list, rate: float) -> dict:
    """Return {p50: ns, …} of `own` bins and of what was due, `rate` a ns, while a request of `both` was under way."""
    total = sum(size for dummy, size in own)
    sizes, found = dict(own), {}
    # From the slowest on: how many of its own were slower, and of all so many requests with so many ns.
    slower, seen, spent = 0, 0, 0.0
    wanted = sorted(PERCENTILES, key=lambda one: -one[1])
    for value, size in reversed(both):
        while wanted and slower + sizes.get(value, 0) + rate * max(0.0, spent - value * seen) > (1 - wanted[0][1] / 100) * total:
            found[wanted.pop(0)[0]] = value
        slower, seen, spent = slower + sizes.get(value, 0), seen + size, spent + size * value
    return {**{key: both[0][0] for key, dummy in wanted}, **found}


def _has_percentiles(stat) -> bool:
    """Tell whether an entry has percentiles of this kind of latency."""
    return bool(stat and (stat.get("bins") or stat.get("percentiles")))


def _merged(stats: list) -> dict:
    """Return {p50: ns, …} from the merged bins, from the only entry's own percentiles, or {}: percentiles cannot be averaged."""
    if all(stat["bins"] for stat in stats):
        bins = _all_bins(stats)
        return {key: percentile(bins, percent) for key, percent in PERCENTILES}
    own = stats[0]["percentiles"] if len(stats) == 1 else {}
    return {key: own[percent] for key, percent in PERCENTILES if percent in own}


def _check_totals(totals: list, groups: dict) -> None:
    """Refuse client mode's output when its own total is not the sum of the clients."""
    for total in totals:
        for direction in DIRECTIONS:
            listed = sum(entry[direction]["total_ios"] for entries in groups.values() for entry in entries if direction in entry)
            if mapping(total.get(direction, {}), direction).get("total_ios", 0) != listed:
                raise ParseError(f"{ALL_CLIENTS}: the number of {direction} requests is not the sum of the clients.")
