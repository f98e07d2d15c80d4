# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kube-burner 2.x: the directory of its local index, with its log if that lies there, to facts.

Creation is stamped in whole seconds, and so is every condition of a pod: a latency up to a condition may be a second off either way, which
is why these are intervals. The start of the containers is stamped by an event in nanoseconds: that latency is at most a second too long.
"""

from __future__ import annotations

import datetime
import math
import os
import re
from fractions import Fraction

from .common import ParseError, boolean, decode_json, excerpt, integer, mapping, message, name, number, sequence

SUMMARY = "jobSummary.json"
ALERTS = "alert.json"
PODS, QUANTILES, SERVICES = "podLatencyMeasurement", "podLatencyQuantilesMeasurement", "svcLatencyMeasurement"
# A pseudo job, without a type, that gcMetrics adds.
GARBAGE = "garbage-collection"
# Where --user-metadata puts what each job is to create or to find: {objects: {<job>: {<resource>: n}}}.
DECLARED = "kubeproof"
LARGEST_FILE = 1024**3
LONGEST_LINE = 4096
SHARES = (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
STARTED = "containersStartedLatency"
# Latency of a phase, since the creation: its key, and kube-burner's own name in the quantiles. `started` comes from an event, the others from conditions:
# `scheduled` would come from an event too, but Kubernetes 1.36 leaves its eventTime empty, and then kube-burner takes the condition.
PHASES = {
    "scheduled": ("schedulingLatency", "PodScheduled"),
    "ready_to_start": ("readyToStartContainersLatency", "PodReadyToStartContainers"),
    "started": (STARTED, "ContainersStarted"),
    "ready": ("podReadyLatency", "Ready"),
}
RESOLUTION = 1.0
STAMP = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?Z")
LINE = re.compile(r'level=([a-z]{1,10}) msg=(?:"((?:[^"\\]|\\.)*)|(\S*))')
TRIGGERED = re.compile(r"Triggering job: (\S+)$")
FOUND = re.compile(r"Found ([0-9]{1,12}) (\S{1,253}) with selector ")
MISMATCH = re.compile(r"(\S{1,253}) found: ([0-9]{1,12}) Expected: [0-9]{1,12}$")
PRELOADED = re.compile(r"Pre-load: All images pulled on ([0-9]{1,9}) nodes")
CLAMPED = re.compile(r"podLatencyMeasurement (?:latencies )?error rate was: ([0-9]{1,3}\.[0-9]{1,6})")
# What follows from another error, or is none.
NO_ERROR = ("Retrying object creation", "empty document list in ")
VERIFIED = "Verifying created objects"
FINISHED = "Finished execution with UUID"
# The first that fits an error in the log.
KINDS = (
    ("create", re.compile(r"Error creating object|\S+/\S+ (?:in namespace \S+ )?already exists$|\w+ error creating namespace")),
    ("read", re.compile(r"Error found reading")),
    ("patch", re.compile(r"(?:Error|Authorization error) patching")),
    ("delete", re.compile(r"Error found removing|Error deleting")),
    ("list", re.compile(r"Error found listing|Error listing|Error verifying")),
    ("verify", re.compile(r".* found: \d+ Expected: \d+$|object verification failed$")),
    ("wait", re.compile(r".*(?:timeout occurred while waiting|error waiting for objects)")),
    ("other", re.compile(r"")),
)


def parse(path: str) -> dict:
    """Return {version, uuid, passed, execution_errors, jobs, pods?, alerts?, errors?, problems?, preloaded?} of the one run in the directory.

    jobs: {<name>: {type, iterations, seconds, qps_limit, burst, objects: {<resource>: {expected?, found?}}, pods?, services?}}.
    pods (of all jobs that create some, and of each): {expected, declared, measured, missing, unstamped, churned, resolution,
    latency, phases: {scheduled, ready_to_start, started, ready}}, latencies in s since the creation, {count, p50, p90, p95, p99, max}. `latency` is
    up to the start of the containers. Pods without a time count as slower than every bound: the quantile is then [longest known, null].
    objects have `found` where kube-burner counted: not for its pods, whose documents count, nor where it does not verify.
    errors: lines of the log by {create, read, patch, delete, list, verify, wait, other}; absent without a log. problems: the first of each.
    """
    files = _files(path)
    log = _log(path, files)
    summaries = _summaries(path, files, log)
    uuid = _one({name(summary.get("uuid"), f"uuid in {SUMMARY}") for summary in summaries.values()}, "runs")
    _check_end(summaries, log)
    declared = _declared(summaries)
    jobs, pods = {}, {}
    for job, summary in summaries.items():
        jobs[job] = _job(job, summary)
        jobs[job]["objects"] = _objects(job, declared.get(job, {}), log)
        documents = _documents(path, files, PODS, job, uuid)
        # Of a job that patches or deletes, they are of pods that were there before.
        if jobs[job]["type"] == "create":
            pods[job] = _pods(job, jobs[job], documents, declared.get(job))
        _check_quantiles(job, _documents(path, files, QUANTILES, job, uuid), documents)
        services = _documents(path, files, SERVICES, job, uuid)
        if services:
            jobs[job]["services"] = _services(services)
    facts = {"version": message(_first(summaries).get("version"), "version"), "uuid": uuid, "jobs": jobs}
    facts["passed"] = all(boolean(summary.get("passed"), f"passed of job {job}") for job, summary in summaries.items())
    facts["execution_errors"] = sorted({message(summary.get("executionErrors", ""), "executionErrors") for summary in summaries.values()} - {""})
    _add_pods(facts, {job: found for job, found in pods.items() if found["expected"]}, log)
    if ALERTS in files:
        facts["alerts"] = _alerts(_read(path, ALERTS), uuid)
    if log:
        facts.update({key: log[key] for key in ("errors", "problems", "preloaded") if key in log})
    return facts


def _files(path: str) -> list:
    """Return the names in the directory."""
    try:
        return sorted(os.listdir(path))
    except OSError as error:
        raise ParseError(f"{path}: {error.strerror}.") from error


def _read(path: str, file: str) -> list:
    """Return the documents, objects all, in one file of the index."""
    full = os.path.join(path, file)
    try:
        if os.path.getsize(full) > LARGEST_FILE:
            raise ParseError(f"{file} is larger than {LARGEST_FILE} bytes.")
        with open(full, encoding="utf-8", errors="replace") as stream:
            text = stream.read()
    except OSError as error:
        raise ParseError(f"{file}: {error.strerror}.") from error
    try:
        documents, end = decode_json(text)
    except ParseError as error:
        raise ParseError(f"{file}: {error}") from error
    if text[end:].strip():
        raise ParseError(f"{file} goes on after its JSON with {excerpt(text[end:].strip())}.")
    return [mapping(document, f"a document of {file}") for document in sequence(documents, file)]


def _documents(path: str, files: list, metric: str, job: str, uuid: str) -> list:
    """Return the documents of a metric of one job, [] when there is no file: kube-burner writes none for an empty list."""
    file = f"{metric}-{job}.json"
    documents = _read(path, file) if file in files else []
    for document in documents:
        if document.get("uuid") != uuid or document.get("jobName") != job:
            found = f"uuid {excerpt(document.get('uuid'))} and job {excerpt(document.get('jobName'))}"
            raise ParseError(f"{file} has a document of {found}: kube-burner appends, so use a fresh directory.")
    return documents


def _one(found: set, what: str):
    """Return the only member of a set."""
    if len(found) != 1:
        raise ParseError(f"it holds {len(found)} {what} ({', '.join(sorted(found))[:200]}): kube-burner appends, so use a fresh directory.")
    return found.pop()


def _first(summaries: dict) -> dict:
    """Return the first summary."""
    return next(iter(summaries.values()))


def _summaries(path: str, files: list, log: dict) -> dict:
    """Return {job: its summary} in the order of the run."""
    if SUMMARY not in files:
        said = f"; its log ends with {excerpt(log['last'])}" if log.get("last") else ""
        raise ParseError(f"there is no {SUMMARY}, so kube-burner did not go to its end{said}.")
    summaries: dict = {}
    for document in _read(path, SUMMARY):
        job = name(mapping(document.get("jobConfig"), "jobConfig").get("name"), "name of a job")
        if "incrementalLoadUUID" in document:
            raise ParseError(f"job {job} has an incrementalLoad, whose steps have no counts of their own: use one job for each step.")
        if job in summaries:
            raise ParseError(f"{SUMMARY} has job {job} twice: kube-burner appends, so use a fresh directory.")
        if job != GARBAGE:
            summaries[job] = document
    if not summaries:
        raise ParseError(f"{SUMMARY} has no job.")
    for file in files:
        metric, dummy, job = file.partition("-")
        if metric in (PODS, QUANTILES, SERVICES) and job not in [known + ".json" for known in summaries]:
            raise ParseError(f"{file} belongs to no job of {SUMMARY}.")
    return summaries


def _check_end(summaries: dict, log: dict) -> None:
    """Refuse a run that did not go to its end: kube-burner then loses the latencies."""
    for summary in summaries.values():
        error = message(summary.get("executionErrors", ""), "executionErrors")
        if "timeout reached" in error:
            raise ParseError(f"kube-burner reached its own timeout and lost all latencies: {excerpt(error)}.")
    if log and not log["finished"]:
        raise ParseError(f"kube-burner did not go to its end; its log ends with {excerpt(log['last'])}.")


def _declared(summaries: dict) -> dict:
    """Return {job: {resource: n}} as declared in the metadata, {} without."""
    found = mapping(_first(summaries).get(DECLARED, {}), DECLARED)
    objects = mapping(found.get("objects", {}), f"objects of {DECLARED}")
    return {
        job: {name(resource, "a resource"): integer(count, f"{resource} of job {job}") for resource, count in mapping(counts, f"objects of job {job}").items()}
        for job, counts in objects.items()
    }


def _job(job: str, summary: dict) -> dict:
    """Return the facts of one job's summary."""
    config = summary["jobConfig"]
    seconds = _time(summary.get("endTimestamp"), f"endTimestamp of job {job}") - _time(summary.get("timestamp"), f"timestamp of job {job}")
    if seconds < 0:
        raise ParseError(f"job {job} ended {-seconds:g} s before it began.")
    return {
        "type": name(config.get("jobType"), f"jobType of job {job}"),
        "iterations": integer(config.get("jobIterations"), f"jobIterations of job {job}", 1),
        "seconds": round(seconds, 6),
        "qps_limit": number(config.get("qps"), f"qps of job {job}"),
        "burst": integer(config.get("burst"), f"burst of job {job}", 1),
        "longest_wait": integer(config.get("maxWaitTimeout", 0), f"maxWaitTimeout of job {job}") / 1e9,
    }


def _time(stamp, what: str) -> float:
    """Return an RFC 3339 time in UTC as seconds since 1970."""
    match = STAMP.fullmatch(stamp) if isinstance(stamp, str) else None
    try:
        whole = datetime.datetime.strptime(match.group(1), "%Y-%m-%dT%H:%M:%S") if match else None
    except ValueError:
        whole = None
    if whole is None:
        raise ParseError(f"{what} is {excerpt(stamp)}, not a time.")
    return (whole - datetime.datetime(1970, 1, 1)).total_seconds() + float("0." + (match.group(2) or "0"))


def _objects(job: str, declared: dict, log: dict) -> dict:
    """Return {resource: {expected?, found?}}: what was declared, and what kube-burner's log says it counted."""
    objects = {resource: {"expected": count} for resource, count in declared.items()}
    counted = log.get("jobs", {}).get(job, {"found": {}, "verified": False})
    if counted["verified"]:
        objects = {resource: {**entry, "found": entry["expected"]} for resource, entry in objects.items()}
    for resource, count in counted["found"].items():
        objects.setdefault(resource, {})["found"] = count
    return objects


def _pods(job: str, facts: dict, documents: list, declared) -> dict:
    """Return {expected, declared, churned, samples: {phase: [ms]}} of a job that creates."""
    seen, highest, churned = set(), 0, 0
    samples: dict = {phase: [] for phase in PHASES}
    for document in documents:
        pod = f"{name(document.get('namespace'), 'namespace')}/{name(document.get('podName'), 'podName')}"
        if document.get("churnMetric"):
            churned += 1
            continue
        if pod in seen:
            raise ParseError(f"pod {pod} is measured twice.")
        seen.add(pod)
        highest = max(highest, integer(document.get("replica"), f"replica of pod {pod}"))
        if integer(document.get("jobIteration"), f"jobIteration of pod {pod}") >= facts["iterations"]:
            raise ParseError(f"pod {pod} is of iteration {document['jobIteration']}, of {facts['iterations']}.")
        for phase, (key, dummy) in PHASES.items():
            samples[phase].append(integer(document.get(key), f"{key} of pod {pod}"))
    if declared is None:
        # The index has no replicas; whole iterations of the highest one seen are the least that there must have been.
        expected = facts["iterations"] * max(highest, math.ceil(len(seen) / facts["iterations"]))
    else:
        expected = declared.get("pods", 0)
    if len(seen) > expected:
        raise ParseError(f"job {job} measured {len(seen)} pods and was to create {expected}.")
    return {"expected": expected, "declared": declared is not None, "churned": churned, "samples": samples}


def _check_quantiles(job: str, quantiles: list, documents: list) -> None:
    """Refuse documents that do not give kube-burner's own min, max and avg: some are lost or added."""
    keys = {theirs: key for key, theirs in PHASES.values()}
    for quantile in quantiles:
        key = keys.get(quantile.get("quantileName"))
        if key is None:
            continue
        values = [integer(document.get(key), f"{key} in job {job}") for document in documents]
        own = {"min": min(values, default=None), "max": max(values, default=None), "avg": sum(values) // len(values) if values else None}
        theirs = {each: quantile.get(each) for each in own}
        if own != theirs:
            raise ParseError(f"{key} of job {job}: the documents give {own}, kube-burner's quantiles {excerpt(theirs)}.")


def _add_pods(facts: dict, pods: dict, log: dict) -> None:
    """Put the pods of each job, and of all together, into `facts`."""
    errors = log.get("errors", {})
    for job, found in pods.items():
        if facts["passed"] and not found["samples"]["ready"] and not errors.get("create"):
            raise ParseError(f"kube-burner says that job {job} passed, but it has no latency of any of {found['expected']} pods.")
        # A pod of our own, without a probe, that is still missing when the wait ended has waited for longer than that.
        timed_out = found["declared"] and errors.get("wait") and facts["jobs"][job]["seconds"] >= facts["jobs"][job]["longest_wait"]
        found["floor"] = facts["jobs"][job]["longest_wait"] if timed_out else 0.0
        facts["jobs"][job]["pods"] = _pod_facts([found])
        clamped = log.get("jobs", {}).get(job, {}).get("clamped")
        if clamped is not None:
            facts["jobs"][job]["pods"]["clamped"] = clamped
    if pods:
        facts["pods"] = _pod_facts(list(pods.values()))


def _pod_facts(parts: list) -> dict:
    """Return the facts of the pods of one or several jobs."""
    samples = {phase: [value for part in parts for value in part["samples"][phase]] for phase in PHASES}
    expected, measured = sum(part["expected"] for part in parts), len(samples["ready"])
    # Without its event kube-burner writes 0, which no container can do.
    started = [value for value in samples["started"] if value]
    floor, missing = min(part["floor"] for part in parts), expected - measured
    phases = {
        "scheduled": latency(samples["scheduled"], missing, 0.0, RESOLUTION),
        "ready_to_start": latency(samples["ready_to_start"], missing, 0.0, RESOLUTION),
        "started": latency(started, expected - len(started), floor if len(started) == measured else 0.0),
        "ready": latency(samples["ready"], missing, floor, RESOLUTION),
    }
    return {
        "expected": expected,
        "declared": all(part["declared"] for part in parts),
        "measured": measured,
        "missing": missing,
        "unstamped": measured - len(started),
        "churned": sum(part["churned"] for part in parts),
        "resolution": RESOLUTION,
        "latency": phases["started"],
        "phases": phases,
    }


def latency(values: list, lost: int, floor: float = 0.0, around: float = 0.0) -> dict:
    """Return {count, p50, …, max} in s (nearest rank) of values in ms and of `lost` ones that are slower than all of them.

    A quantile among the lost is [the longest known, None], at least `floor`; with `around` any other is [value - around, value + around].
    """
    ordered, count = sorted(values), len(values) + lost
    found: dict = {"count": count}
    for key, share in SHARES if count else ():
        rank = math.ceil(Fraction(repr(share)) * count)
        if rank > len(ordered):
            found[key] = [max(ordered[-1] / 1000 if ordered else 0.0, floor), None]
        else:
            value = ordered[rank - 1] / 1000
            found[key] = [max(value - around, 0.0), value + around] if around else value
    return found


def _services(documents: list) -> dict:
    """Return {measured, latency} of the services, whose latency is in ns."""
    nanoseconds = [integer(document.get("ready"), "ready of a service") for document in documents if not document.get("churnMetric")]
    return {"measured": len(nanoseconds), "latency": latency([value / 1e6 for value in nanoseconds], 0)}


def _alerts(documents: list, uuid: str) -> dict:
    """Return {severity: number of alerts}."""
    _one({name(document.get("uuid"), f"uuid in {ALERTS}") for document in documents} | {uuid}, "runs")
    severities = [name(document.get("severity"), f"severity in {ALERTS}") for document in documents]
    return {severity: severities.count(severity) for severity in sorted(set(severities))}


def _log(path: str, files: list) -> dict:
    """Return {finished, last, errors, problems, jobs: {<job>: {found, verified, clamped?}}, preloaded?} of the log, {} without one."""
    logs = [file for file in files if file.startswith("kube-burner") and file.endswith(".log")]
    if not logs:
        return {}
    file = _one(set(logs), "logs")
    log = {"finished": False, "last": "", "errors": {kind: 0 for kind, dummy in KINDS}, "first": {}, "jobs": {}, "job": None}
    try:
        with open(os.path.join(path, file), encoding="utf-8", errors="replace") as stream:
            for line in iter(lambda: stream.readline(LONGEST_LINE), ""):
                match = LINE.search(line)
                if match:
                    _log_line(log, match.group(1), message((match.group(2) or match.group(3) or "").replace('\\"', '"'), "a line"))
    except OSError as error:
        raise ParseError(f"{file}: {error.strerror}.") from error
    return {**log, "problems": list(log["first"].values())}


def _log_line(log: dict, level: str, text: str) -> None:
    """Add what one line of the log says."""
    log["last"] = text
    log["finished"] = log["finished"] or text.startswith(FINISHED)
    triggered, preloaded = TRIGGERED.match(text), PRELOADED.match(text)
    if triggered:
        log["job"] = log["jobs"].setdefault(triggered.group(1), {"found": {}, "verified": False})
    elif preloaded:
        log["preloaded"] = int(preloaded.group(1))
    elif log["job"] is not None:
        _log_counts(log["job"], text)
    if level in ("error", "fatal", "panic") and not text.startswith(NO_ERROR):
        kind = next(kind for kind, pattern in KINDS if pattern.match(text))
        log["errors"][kind] += 1
        log["first"].setdefault(kind, text)


def _log_counts(job: dict, text: str) -> None:
    """Add to a job what the log says about its objects. A list that is repeated shows the smallest number."""
    found, mismatch, clamped = FOUND.match(text), MISMATCH.match(text), CLAMPED.search(text)
    if found:
        job["found"][found.group(2)] = min(int(found.group(1)), job["found"].get(found.group(2), int(found.group(1))))
    elif mismatch:
        job["found"][mismatch.group(1)] = int(mismatch.group(2))
    elif clamped:
        job["clamped"] = float(clamped.group(1)) / 100
    elif text == VERIFIED:
        job["verified"] = True
