# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A soak out of what a Prometheus has stored: its scrapes become recordings such as the watchers write.

Asked is for the scrapes themselves (a range selector in an instant query): query_range would go on repeating the last value for five minutes
after a scrape was missed, and so hide gaps. etcd does not export its raft term. In its place stands how often another member said that it
leads; with the counter of leader changes that makes two sources.
"""

from __future__ import annotations

import math
import re
import statistics
import urllib.parse

from ansible_collections.kubeproof.certify.plugins.module_utils.web import HttpError, fetch_json

# Name in a sample, metric, and what its value becomes; the first four must be there.
METRICS = {
    "changes": ("etcd_server_leader_changes_seen_total", int),
    "has_leader": ("etcd_server_has_leader", bool),
    "leads": ("etcd_server_is_leader", bool),
    "started": ("process_start_time_seconds", float),
    "committed": ("etcd_server_proposals_committed_total", int),
    "memory": ("process_resident_memory_bytes", int),
    "files": ("process_open_fds", int),
    "size": ("etcd_mvcc_db_total_size_in_bytes", int),
}
NEEDED = ("changes", "has_leader", "leads", "started")
FSYNC = "etcd_disk_wal_fsync_duration_seconds_bucket"
# Label matchers of PromQL, as they stand between braces; within quotes anything may.
MATCHER = r"""\s*[a-zA-Z_][a-zA-Z0-9_]*\s*(?:=~|!~|!=|=)\s*(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')\s*"""
SELECTOR = re.compile(rf"(?:{MATCHER}(?:,{MATCHER})*,?\s*)?")
PATH = "/api/v1/query?"


class PrometheusError(Exception):
    """The Prometheus did not say what it was asked; the sentence says what was found and what to do."""


def ask(endpoint, selector, seconds):
    """Return {metric: [{metric: labels, values: [[time, text]]}], "end": its time} of the last `seconds`."""
    if not SELECTOR.fullmatch(selector):
        raise PrometheusError(f'The selector is {selector!r}. Write label matchers without braces, such as job="etcd".')
    end = query(endpoint, "time()", None, "scalar")
    if not isinstance(end, list) or not _finite(end[-1]):
        raise PrometheusError(f"{endpoint.url} does not tell its time. Set the URL to that of a Prometheus.")
    found = {"end": float(end[-1])}
    for metric in [name for name, dummy in METRICS.values()] + [FSYNC]:
        found[metric] = query(endpoint, f"{metric}{{{selector}}}[{math.ceil(seconds)}s]", found["end"], "matrix")
    return found


def query(endpoint, expr, time, kind):
    """Return the result of an instant query, of this kind (scalar, vector, matrix); PrometheusError when it is another, or has holes."""
    arguments = {"query": expr, **({"time": repr(time)} if time else {})}
    try:
        answer = fetch_json(endpoint, PATH + urllib.parse.urlencode(arguments))
        data = answer["data"]
        if answer["status"] != "success" or data["resultType"] != kind:
            raise PrometheusError(f"{endpoint.url} answered {expr} with {answer['status']} and a {data['resultType']} in place of a {kind}.")
        # A part of a distributed store that is down makes an answer with holes.
        if answer.get("warnings"):
            raise PrometheusError(f"{endpoint.url} warns of its answer to {expr}: {answer['warnings'][0]}.")
        return data["result"]
    except HttpError as error:
        raise PrometheusError(str(error)) from error
    except (AttributeError, KeyError, TypeError) as error:
        raise PrometheusError(f"{endpoint.url} does not answer as Prometheus does. Correct the URL; the path ends before /api/v1.") from error


def recordings(answers, members, seconds):
    """Return {host: recording} for `members` {host: [its addresses and names]}; PrometheusError when a series fits none, or two fit one."""
    series = {name: _by_host(answers.get(metric), metric, members) for name, (metric, dummy) in METRICS.items()}
    fsync = _fsync(answers.get(FSYNC), members)
    end = answers["end"]
    begin = end - seconds
    scrapes = {host: _samples(host, series, fsync.get(host, {}), begin) for host in members}
    moves = _moves(scrapes)
    found = {}
    for host, samples in scrapes.items():
        times = [sample["wall"] for sample in samples]
        if len(times) < 2:
            continue
        for sample in samples:
            passed = [one for one in moves if one[0] <= sample["wall"]] or moves[:1]
            sample.update(term=max(1, len(passed)), leader=passed[-1][1] if passed else "0", member=host, cluster="prometheus")
        interval = statistics.median(later - earlier for earlier, later in zip(times, times[1:]))
        plan = {"id": "prometheus", "seconds": seconds, "interval": round(interval, 3), "wall": begin}
        found[host] = {"begin": plan, "starts": [], "samples": _in_slots(samples, interval), "state": "finished", "torn": 0, "damage": ""}
    return found


def _by_host(result, metric, members):
    """Return {host: {time: value}} of a metric."""
    found = {}
    for one in result if isinstance(result, list) else []:
        labels, values = one.get("metric", {}), one.get("values", [])
        host = _host(labels.get("instance", ""), members)
        if host is None:
            known = "; ".join(f"{name}: {', '.join(places)}" for name, places in members.items())
            raise PrometheusError(f"{metric} of the instance {labels.get('instance')} fits no member ({known}). Narrow soak_prometheus_selector.")
        if host in found:
            raise PrometheusError(f"{metric} of {host} is stored twice, by jobs of its own. Narrow soak_prometheus_selector to one of them.")
        found[host] = {float(time): float(value) for time, value in values if _finite(time) and _finite(value)}
    return found


def _finite(value):
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def _host(instance, members):
    """Return the member whose address or name an instance is, with or without its port."""
    names = {instance, instance.rpartition(":")[0].strip("[]")} - {""}
    return next((host for host, places in members.items() if names & {host, *places}), None)


def _fsync(result, members):
    """Return {host: {time: {bound: count}}}."""
    found = {}
    for one in result if isinstance(result, list) else []:
        labels = one.get("metric", {})
        host, bound = _host(labels.get("instance", ""), members), labels.get("le")
        for time, count in one.get("values", []) if host and bound else []:
            if _finite(time) and _finite(count):
                found.setdefault(host, {}).setdefault(float(time), {})[math.inf if bound == "+Inf" else float(bound)] = int(float(count))
    return found


def _samples(host, series, fsync, begin):
    """Return the samples of a host in order of time: what was stored at the same moment is one scrape."""
    times = set.intersection(*(set(series[name].get(host, {})) for name in NEEDED))
    samples, known = [], None
    for time in sorted(times):
        sample = {"at": round(time - begin, 3), "wall": time}
        sample.update({name: kind(series[name][host][time]) for name, (dummy, kind) in METRICS.items() if time in series[name].get(host, {})})
        counts = fsync.get(time)
        if counts:
            bounds = [None if bound == math.inf else bound for bound in sorted(counts)]
            sample["fsync"] = [counts[bound] for bound in sorted(counts)]
            if bounds != known:
                known = sample["bounds"] = bounds
        samples.append(sample)
    return [sample for sample in samples if sample["at"] >= 0]


def _moves(scrapes):
    """Return [(time, host)]: who said first that it leads, and each time that it was another."""
    said = sorted((sample["wall"], host) for host, samples in scrapes.items() for sample in samples if sample["leads"])
    return [one for earlier, one in zip([(0, None), *said], said) if one[1] != earlier[1]]


def _in_slots(samples, interval):
    """Return samples with their times moved by a part of an interval, so that the first one is at the beginning of its slot.

    Prometheus scrapes at a moment of its own in each interval; a scrape that is a little early or late must not fall into its neighbour's.
    """
    shift = samples[0]["at"] % interval - interval / 2
    return [dict(sample, at=round(max(0.0, sample["at"] - shift), 3)) for sample in samples]
