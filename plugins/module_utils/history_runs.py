# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runs of a cluster on disk: which there are, what each measured, and which directories are damaged or foreign. No server needed."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping
from typing import Any, Dict, List, Optional, Tuple

from .files import DataFileError, read_json, write_text
from .report_words import ReportError, by_check, cut, number, require

CERTIFICATE = "certificate.json"
KEPT = ".history.json"
# What is of ours beside the runs: recordings of the soak's watchers, audits, and certificates that were joined from runs.
NO_RUN = re.compile(r"soak|audit-[0-9tz]+|[0-9tz]+-join")
SCHEMA = 1
SUMMARY = {"id", "started", "profile", "scale", "layers", "heading", "state", "verdict", "name", "uid", "values"}


class HistoryError(Exception):
    """The runs that are asked for cannot be compared; the text names them and says what to do."""


def load(directory: str) -> Dict[str, Any]:
    """Return the certificate in the directory of a run; HistoryError says why there is none."""
    return _read(directory)[0]


def _read(directory: str) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    """Return (certificate, its summary)."""
    path = os.path.join(directory, CERTIFICATE)
    if not os.path.isfile(path):
        raise HistoryError(f"{directory} has no {CERTIFICATE}: it is not the directory of a run.")
    try:
        certificate = require(read_json(path))
        return certificate, summary(certificate)
    except (DataFileError, ReportError) as error:
        raise HistoryError(str(error)) from error
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise HistoryError(f"{path} is damaged ({type(error).__name__}: {error}).") from error


def summary(certificate: Mapping) -> Dict[str, Any]:
    """Return what a list of runs and a trend need of a certificate; `values` {check: [its worst number, whether it is judged]}."""
    run, cluster = certificate["run"], certificate["cluster"]
    values = {}
    for identifier, rows in by_check(certificate["findings"]).items():
        # The worst finding stands first; one that was not measured has no number to draw.
        seen = next((row for row in rows if size(row["value"]) is not None), None)
        if seen is not None:
            values[identifier] = [size(seen["value"]), bool(rows[0]["judged"])]
    return {"id": str(run["id"]), "started": str(run["started"]), "profile": certificate["profile"], "scale": run.get("time_scale", 1),
            "layers": list(certificate["layers"]), "heading": certificate["heading"], "state": certificate["state"], "verdict": certificate["verdict"],
            "name": cluster.get("name"), "uid": cluster.get("uid"), "values": values}  # fmt: skip


def size(value: Any) -> Optional[float]:
    """Return a number, or the upper end of an interval (the lower one where it is open), for drawing and sorting; None for what is none."""
    upper = number(value, True)
    return upper if upper is not None else number(value, False)


def runs(top: str, keep: bool = True) -> Tuple[List[dict], List[dict]]:
    """Return ([summary with `path`, the oldest first], [{path, reason}]) of the directories below `top`; what cannot be read is never fatal.

    Unless `keep` is false, summaries are kept in a file below `top`, so that a thousand runs need not be read again for each question.
    """
    found: List[dict] = []
    skipped: List[dict] = []
    try:
        names = sorted(name for name in os.listdir(top) if not name.startswith("."))
    except OSError as error:
        raise HistoryError(f"Cannot read {top}: {error.strerror}. Name the directory of a cluster's runs.") from error
    known, seen = _kept(top), {}
    for name in names:
        path = os.path.join(top, name)
        if not os.path.isdir(path) or NO_RUN.fullmatch(name):
            continue
        mark = _mark(os.path.join(path, CERTIFICATE))
        try:
            one = known[name]["summary"] if mark and name in known and known[name]["mark"] == mark else _read(path)[1]
        except HistoryError as error:
            skipped.append({"path": path, "reason": cut(error, 300)})
            continue
        seen[name] = {"mark": mark, "summary": one}
        found.append({**one, "path": path})
    if keep and seen != known:
        # Who may only read the results does without.
        with contextlib.suppress(DataFileError):
            write_text(os.path.join(top, KEPT), json.dumps({"schema": SCHEMA, "runs": seen}))
    return sorted(found, key=lambda one: (one["started"], one["id"])), skipped


def _mark(path: str) -> Optional[List[int]]:
    """Return what tells a file from the one that was read before; None when it cannot be looked at."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _kept(top: str) -> Dict[str, Any]:
    """Return the summaries that were kept, {name: {mark, summary}}; {} where they are none, or damaged."""
    try:
        kept = read_json(os.path.join(top, KEPT))
        rows = kept["runs"] if kept["schema"] == SCHEMA else {}
        return {name: row for name, row in rows.items() if set(row["summary"]) == SUMMARY and isinstance(row["summary"]["values"], dict)}
    except (DataFileError, AttributeError, KeyError, TypeError):
        return {}


def finished(found: List[dict], certificate: Mapping) -> List[dict]:
    """Return those runs that ended and loaded as this one did: of its profile, and of its time scale."""
    like = summary(certificate)
    return [one for one in found if one["state"] == "finished" and all(one[key] == like[key] for key in ("profile", "scale"))]


def unlike(before: Mapping, after: Mapping) -> str:
    """Return why a later run is not to be compared with an earlier one, both as summaries, as the end of a sentence; "" where it may be."""
    if before["uid"] != after["uid"] or (before["uid"] is None and before["name"] != after["name"]):
        return f"it is of another cluster ({before['uid'] or before['name']}, not {after['uid'] or after['name']})"
    if before["state"] != "finished":
        return "it was interrupted"
    if before["profile"] != after["profile"]:
        return f"its profile is {before['profile']}, not {after['profile']}, which loads differently"
    if before["scale"] != after["scale"]:
        return f"its time scale is {before['scale']}, not {after['scale']}, so that it loaded for other times"
    return ""


def unmeasured(before: Mapping, after: Mapping) -> List[str]:
    """Return the layers of a run that another did not measure; summaries or certificates."""
    return [layer for layer in after["layers"] if layer not in before["layers"]]


def run_before(found: List[dict], certificate: Mapping) -> Tuple[Optional[dict], List[Dict[str, str]]]:
    """Return (the newest earlier run that loaded as this one did and measured all of its layers, or None; [{id, path, reason}] of those in between).

    `found`: summaries, the oldest first.
    """
    own = summary(certificate)
    passed: List[Dict[str, str]] = []
    for one in reversed([one for one in found if one["started"] < own["started"]]):
        reason = unlike(one, own)
        if not reason and unmeasured(one, own):
            reason = f"it did not measure {', '.join(unmeasured(one, own))}"
        if not reason:
            return one, passed
        passed.append({"id": one["id"], "path": one["path"], "reason": reason})
    return None, passed
