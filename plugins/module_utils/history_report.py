# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The history of a cluster, read from its runs on disk: a comparison of two of them, the trends over all, and both as text."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Dict, List, Optional, Tuple

from . import history_compare, history_runs, history_text
from .history_runs import HistoryError
from .report_words import by_check, cut


def report(top: str, after: Optional[str] = None, before: Optional[str] = None, keep: bool = True, uid: Optional[str] = None) -> Dict[str, Any]:
    """Return {text, comparison or None, trends, runs, skipped, passed_over, after} of the runs below `top`.

    `after` and `before` are names of runs below it, or paths of their directories. Without `after` it is the newest run that ended, of the cluster
    with this `uid` where it is given; without `before`, the newest before it that has its profile, its time scale and all of its layers; those in
    between are passed over. HistoryError names what cannot be compared. `keep`: see history_runs.runs.
    """
    found, skipped = history_runs.runs(top, keep)
    if after:
        new = _chosen(top, after)
        certificate = _load(new)
        _require_cluster(certificate, uid)
    else:
        new, certificate = _newest(found, skipped, top, uid)
    try:
        made = _report(certificate, found, skipped, new, _chosen(top, before) if before else None)
        made["text"] = ("" if uid else history_text.clusters(found, certificate)) + made["text"]
        return made
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise HistoryError(f"{new}, or what it is compared with, is damaged ({type(error).__name__}: {error}). Name another run.") from error


def _report(certificate: Mapping, found: List[dict], skipped: List[dict], new: str, old: Optional[str]) -> Dict[str, Any]:
    """Return the report of a run against another, or against the one before it."""
    own, foreign = _own(found, certificate["cluster"].get("uid"))
    skipped, passed = skipped + foreign, []
    former = _load(old) if old else None
    if former is None:
        former, passed = _before(own, certificate, skipped)
    same = [one for one in history_runs.finished(own, certificate) if one["started"] < certificate["run"]["started"]]
    comparison = history_compare.compare(former, certificate, same) if former else None
    names = {name: rows[0] for name, rows in by_check(certificate["findings"]).items()}
    trends = history_text.trends(history_runs.finished(own, certificate), names)
    parts = [history_text.history(own, skipped, trends)]
    alone = f"{certificate['run']['id']} is the first of its profile, time scale and layers: there is nothing to compare.\n"
    parts.append((history_text.comparison(comparison) if comparison else alone) + history_text.passed_over(passed))
    listed = [{key: one[key] for key in ("id", "started", "heading", "verdict", "path")} for one in own]
    return {"text": "\n".join(parts), "comparison": comparison, "trends": trends, "runs": listed, "skipped": skipped,
            "passed_over": passed, "after": new}  # fmt: skip


def findings(certificate: Mapping, top: str, baseline: str, mode: str) -> List[dict]:
    """Return the regressions of a run that has just ended, against its baseline, as findings; one that is INCONCLUSIVE where they cannot be compared."""
    cluster = str(certificate["cluster"]["name"])
    try:
        found, dummy = history_runs.runs(top, False)
        made = _report(certificate, found, [], top, _chosen(top, baseline))
        return history_compare.regressions(made["comparison"], mode, cluster)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, HistoryError) as error:
        reason = str(error) if isinstance(error, HistoryError) else f"{baseline} is damaged ({type(error).__name__}: {error})."
        return [history_compare.uncompared(reason, cluster)]


def baseline_problem(run: Mapping, layers: Sequence[str], top: str, baseline: str) -> str:
    """Return why a run that is planned could not be compared with its baseline, "" where it can: hours of load must not end in that."""
    try:
        before = history_runs.summary(_load(_chosen(top, baseline)))
    except HistoryError as error:
        return f"certify_baseline: {error}"
    cluster = run["cluster"]
    planned = {"uid": cluster.get("uid"), "name": cluster["name"], "profile": run["profile"], "scale": run["time_scale"], "layers": list(layers)}
    reason, missing = history_runs.unlike(before, planned), history_runs.unmeasured(before, planned)
    if not reason and missing:
        reason = f"it did not measure {', '.join(missing)}"
    return f"certify_baseline is {baseline}, with which this run could not be compared: {reason}. Name another run, or leave it empty." if reason else ""


def trend(certificate: Mapping, top: str) -> List[dict]:
    """Return a plot for each layer of how its judged numbers went over this run and those before it, of the same cluster and profile; [] without any."""
    try:
        own, dummy = _own(history_runs.runs(top)[0], certificate["cluster"].get("uid"))
        now = history_runs.summary(certificate)
        before = [one for one in history_runs.finished(own, certificate) if one["started"] < now["started"]]
        return history_text.plots([*before, now], {name: rows[0] for name, rows in by_check(certificate["findings"]).items()})
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, HistoryError):
        # A picture is no reason to leave a run without its seal.
        return []


def _chosen(top: str, name: str) -> str:
    """Return the directory of a run that is named, or given as a path of a directory or of its certificate."""
    for path in (os.path.join(top, name), name, os.path.dirname(name)):
        if path and os.path.isfile(os.path.join(path, history_runs.CERTIFICATE)):
            return path
    raise HistoryError(f"There is no run {name} in {top}, nor is it the path of one. Name one of its directories.")


def _load(directory: str) -> Dict[str, Any]:
    """Return the certificate of a run that is going to be compared; HistoryError says why it cannot be."""
    certificate = history_runs.load(directory)
    reason = history_compare.wrong(certificate)
    if reason:
        path = os.path.join(directory, history_runs.CERTIFICATE)
        raise HistoryError(f"{path} is damaged: {reason}. Restore it from a copy, or move its directory out of the results.")
    return certificate


def _newest(found: List[dict], skipped: List[dict], top: str, uid: Optional[str]) -> Tuple[str, Dict[str, Any]]:
    """Return (directory, certificate) of the newest run that ended and is whole; those that are not are skipped."""
    ended = [one for one in found if one["state"] == "finished" and (not uid or one["uid"] == uid)]
    while ended:
        one = ended.pop()
        certificate = _whole(one, found, skipped)
        if certificate:
            return one["path"], certificate
    damaged = f" Skipped: {skipped[-1]['reason']}" if skipped else ""
    if uid and found:
        raise HistoryError(f"{top} has {len(found)} runs, and none of the cluster {uid} that ended.{damaged} Correct certify_cluster_uid, or certify first.")
    raise HistoryError(f"{top} has no run that ended.{damaged} Certify first, or name the directory of a cluster's runs.")


def _before(own: List[dict], certificate: Mapping, skipped: List[dict]) -> Tuple[Optional[Dict[str, Any]], List[Dict[str, str]]]:
    """Return (the certificate of the run before or None, those that were passed over); those that are damaged are skipped."""
    while True:
        chosen, passed = history_runs.run_before(own, certificate)
        former = _whole(chosen, own, skipped) if chosen else None
        if former or not chosen:
            return former, passed


def _whole(one: dict, found: List[dict], skipped: List[dict]) -> Optional[Dict[str, Any]]:
    """Return the certificate of a run that was listed; None where it is damaged, which makes it one that is skipped."""
    try:
        return _load(one["path"])
    except HistoryError as error:
        found.remove(one)
        skipped.append({"path": one["path"], "reason": cut(error, 300)})
        return None


def _require_cluster(certificate: Mapping, uid: Optional[str]) -> None:
    """HistoryError unless the run is of the cluster that is meant."""
    own = certificate["cluster"].get("uid")
    if uid and own != uid:
        advice = "Name a run of that cluster in compare_after, or correct certify_cluster_uid."
        raise HistoryError(f"{certificate['run']['id']} is of another cluster: its uid is {own}, and certify_cluster_uid is {uid}. {advice}")


def _own(found: List[dict], uid: Optional[str]) -> tuple:
    """Return (runs of this cluster, those of others as skipped ones)."""
    own = [one for one in found if one["uid"] == uid]
    return own, [_foreign(one, uid) for one in found if one["uid"] != uid]


def _foreign(one: Mapping, uid: Optional[str]) -> Dict[str, str]:
    return {"path": one["path"], "reason": f"It is of another cluster: its uid is {one['uid']}, not {uid}."}
