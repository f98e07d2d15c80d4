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

from .certificate_parts import digest
from .files import DataFileError, read_json, write_text
from .report_words import ReportError, by_check, cut, number, require

CERTIFICATE = "certificate.json"
KEPT = ".history.json"
# What is of ours beside the runs: recordings of the soak's watchers, audits, and certificates that were joined from runs.
NO_RUN = re.compile(r"soak|audit-[0-9tz]+|[0-9tz]+-join")
SCHEMA = 2
# What a summary holds.
SUMMARY = {"id": str, "started": str, "profile": str, "scale": (int, float), "layers": list, "measured": list, "heading": str, "state": str, "verdict": str,
           "name": (str, type(None)), "uid": (str, type(None)), "values": dict}  # fmt: skip


class HistoryError(Exception):
    """The runs that are asked for cannot be compared; the text names them and says what to do."""


def load(directory: str) -> Dict[str, Any]:
    """Return the certificate in the directory of a run as it was sealed; HistoryError says why there is none.

    For what is compared: looking at the seal costs as much as reading, too much for a thousand runs that are only listed.
    """
    certificate = read(directory)
    sealed = certificate.get("digest")
    # One that was interrupted may not have come to its seal. It is compared with nothing.
    if sealed is None and certificate["state"] != "finished":
        return certificate
    try:
        whole = sealed == digest(certificate)
    except (RecursionError, ValueError):
        whole = False
    if not whole:
        what = "it has no seal (its digest is missing)" if sealed is None else "it was changed after it was sealed (its digest is wrong)"
        path = os.path.join(directory, CERTIFICATE)
        raise HistoryError(f"{path} is damaged: {what}. Restore it from a copy, or move its directory out of the results.")
    return certificate


def read(directory: str) -> Dict[str, Any]:
    """Return the certificate in the directory of a run, sealed or not; HistoryError says why there is none."""
    return _read(directory)[0]


def _read(directory: str) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    """Return (certificate, its summary)."""
    path = os.path.join(directory, CERTIFICATE)
    if not os.path.isfile(path):
        raise HistoryError(f"{directory} has no {CERTIFICATE}: it is not the directory of a run.")
    try:
        certificate = require(read_json(path))
        made = summary(certificate)
    except (DataFileError, ReportError) as error:
        raise HistoryError(str(error)) from error
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise HistoryError(f"{path} is damaged ({type(error).__name__}: {error}).") from error
    if not _is_summary(made):
        raise HistoryError(f"{path} is damaged: its time scale, its cluster or its layers are of another type than a run writes.")
    return certificate, made


def _is_summary(found: Any) -> bool:
    """Say whether this is what `summary` returns, so that all who take it can stand on its types."""
    return (
        isinstance(found, dict)
        and set(found) == set(SUMMARY)
        and all(isinstance(found[key], kind) for key, kind in SUMMARY.items())
        and all(isinstance(layer, str) for layer in found["layers"])
        and all(isinstance(identifier, str) for identifier in found["values"])
        and all(map(_is_number, found["values"].values()))
    )


def _is_number(found: Any) -> bool:
    """Say whether this is [number, whether it is judged] as `size` returns numbers."""
    return isinstance(found, list) and len(found) == 2 and isinstance(found[0], float) and abs(found[0]) < 1e300 and isinstance(found[1], bool)


def summary(certificate: Mapping) -> Dict[str, Any]:
    """Return what a list of runs and a trend need of a certificate; `values` {check: [its worst number, whether it is judged]}.

    `measured`: the layers of which a judged finding has a value. One that was blocked, or whose tools broke, measured nothing.
    """
    run, cluster = certificate["run"], certificate["cluster"]
    values = {}
    for identifier, rows in by_check(certificate["findings"]).items():
        # The worst finding stands first; one that was not measured has no number to draw.
        seen = next((one for one in (size(row["value"]) for row in rows) if one is not None), None)
        if seen is not None:
            values[identifier] = [seen, bool(rows[0]["judged"])]
    seen_of = {row["layer"] for row in certificate["findings"] if row["judged"] and row["value"] is not None}
    return {"id": str(run["id"]), "started": str(run["started"]), "profile": certificate["profile"], "scale": run.get("time_scale", 1),
            "layers": list(certificate["layers"]), "measured": [layer for layer in certificate["layers"] if layer in seen_of],
            "heading": certificate["heading"], "state": certificate["state"], "verdict": certificate["verdict"],
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
            row = known[name] if mark and name in known and known[name]["mark"] == mark else _row(mark, _read(path)[1])
        except HistoryError as error:
            skipped.append({"path": path, "reason": cut(error, 300)})
            continue
        seen[name] = row
        found.append({**row["summary"], "path": path})
    if keep and seen != known:
        # Who may only read the results does without.
        with contextlib.suppress(DataFileError):
            write_text(os.path.join(top, KEPT), json.dumps({"schema": SCHEMA, "runs": seen}))
    return sorted(found, key=lambda one: (one["started"], one["id"])), skipped


def _mark(path: str) -> Optional[List[int]]:
    """Return what tells a file from the one that was read before; None when it cannot be looked at.

    Not its number: a copy of the results, or a file system that numbers anew, would be read as a whole for nothing.
    """
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _kept(top: str) -> Dict[str, Any]:
    """Return the rows that were kept, {name: {mark, summary, digest}}, but for those that are not as they were written: these are read anew."""
    try:
        kept = read_json(os.path.join(top, KEPT))
    except DataFileError:
        return {}
    rows = kept.get("runs") if isinstance(kept, dict) and kept.get("schema") == SCHEMA else None
    return {name: row for name, row in rows.items() if _is_kept(row)} if isinstance(rows, dict) else {}


def _row(mark: Optional[List[int]], made: Dict[str, Any]) -> Dict[str, Any]:
    row = {"mark": mark, "summary": made}
    return {**row, "digest": digest(row)}


def _is_kept(row: Any) -> bool:
    with contextlib.suppress(ValueError):
        return isinstance(row, dict) and row.get("digest") == digest(row)
    return False


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
    """Return the layers of a run, a summary or a certificate, that another one, a summary, did not measure."""
    return [layer for layer in after["layers"] if layer not in before["measured"]]


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
