# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runs of a cluster on disk: which there are, what each measured, and which directories are damaged or foreign. No server needed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Dict, List, Optional, Tuple

from . import history_kept
from .certificate_parts import digest
from .files import DataFileError, read_json
from .history_kept import CERTIFICATE
from .report_words import ReportError, by_check, cut, number, require

# What is of ours beside the runs: recordings of the soak's watchers, audits, and certificates that were joined from runs.
NO_RUN = re.compile(r"soak|audit-[0-9tz]+|[0-9tz]+-join")
# A time as a run writes it: texts are sorted, and compared with one another.
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
# A number that is drawn, sorted or compared.
MOST = 1e300
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
        raise HistoryError(f"{path} is damaged: its id, times, time scale, cluster, layers or values are not what a run writes.")
    return certificate, made


def _is_summary(found: Any) -> bool:
    """Say whether this is what `summary` returns, so that all who take it can stand on its types."""
    return (
        isinstance(found, dict)
        and set(found) == set(SUMMARY)
        and all(isinstance(found[key], kind) for key, kind in SUMMARY.items())
        and bool(TIME.fullmatch(found["started"]))
        and not isinstance(found["scale"], bool)
        and abs(found["scale"]) < MOST
        and all(isinstance(layer, str) for key in ("layers", "measured") for layer in found[key])
        and all(isinstance(identifier, str) and _is_number(measured) for identifier, measured in found["values"].items())
    )


def _is_number(found: Any) -> bool:
    """Say whether this is [number, whether it is judged] as `size` returns numbers."""
    return isinstance(found, list) and len(found) == 2 and isinstance(found[0], float) and isinstance(found[1], bool) and -MOST < found[0] < MOST


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
    return {"id": run["id"], "started": run["started"], "profile": certificate["profile"], "scale": run.get("time_scale", 1),
            "layers": list(certificate["layers"]), "measured": [layer for layer in certificate["layers"] if layer in seen_of],
            "heading": certificate["heading"], "state": certificate["state"], "verdict": certificate["verdict"],
            "name": cluster.get("name"), "uid": cluster.get("uid"), "values": values}  # fmt: skip


def size(value: Any) -> Optional[float]:
    """Return a number, or the upper end of an interval (the lower one where it is open), for drawing and sorting; None for what is none."""
    upper = number(value, True)
    return upper if upper is not None else number(value, False)


def runs(top: str, keep: bool = True) -> Tuple[List[dict], List[dict]]:
    """Return ([summary with `path`, the oldest first], [{path, reason}]) of the directories below `top`; what cannot be read is never fatal.

    A certificate is read where no summary of it is kept that can be believed (history_kept). Unless `keep` is false, its summary is kept then.
    """
    found: List[dict] = []
    skipped: List[dict] = []
    try:
        names = sorted(name for name in os.listdir(top) if not name.startswith("."))
    except OSError as error:
        raise HistoryError(f"Cannot read {top}: {error.strerror}. Name the directory of a cluster's runs.") from error
    known, rows = history_kept.rows(top), {}
    for name in names:
        path = os.path.join(top, name)
        if NO_RUN.fullmatch(name) or not os.path.isdir(path):
            continue
        try:
            made, row = _summary(path, known.get(name))
        except HistoryError as error:
            skipped.append({"path": path, "reason": cut(error, 300)})
            continue
        found.append({**made, "path": path})
        if row:
            rows[name] = row
    if keep and rows != known:
        history_kept.write_rows(top, rows)
    return sorted(found, key=lambda one: (one["started"], one["id"])), skipped


def _summary(directory: str, known: Any) -> Tuple[Dict[str, Any], Optional[Dict[str, str]]]:
    """Return (the summary of a run, its row of .history.json, None where it needs none); HistoryError says why there is none."""
    seen = history_kept.look(directory)
    if not seen:
        return _read(directory)[1], None
    made = history_kept.beside(directory, seen)
    if _is_summary(made):
        return made, None
    made = history_kept.of_row(known, seen)
    if _is_summary(made):
        return made, known
    made = _read(directory)[1]
    return made, history_kept.row(seen, made)


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
