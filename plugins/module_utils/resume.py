# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An interrupted run that continues: what of it stays, by its hashes, and whether what continues it is the same run. Runs on the controller only.

done/<layer>.json is written when a layer has ended: its record, and the hashes of its facts, findings and raw output. A layer stays when it
ended without an error, or failed: whoever continues a run must not ask again what had a FAIL for an answer.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Collection, Mapping
from typing import Any, Dict, List

from . import fingerprint, report_seal, signature
from .files import DataFileError, read_json, write_json

DONE = "done"
TIME = "%Y-%m-%dT%H:%M:%SZ"
# What of a run and of its plan has to be the same, and how it is called where the user sets it.
OF_RUN = {"profile": "certify_profile", "time_scale": "certify_time_scale", "hosts": "the inventory's hosts"}
OF_PLAN = {"layers": "certify_layers", "beside": "certify_tuning", "checklist": "certify_checklist", "slas": "certify_slas", "changes": "certify_thresholds",
           "capacity": "certify_capacity", "expected": "what the layers are expected to carry (certify_capacity, storage_classes)",
           "waivers": "certify_waivers", "not_applicable": "certify_not_applicable"}  # fmt: skip
OF_RECORD = ("clusters", "seconds", "load_seconds", "tools", "verdict", "error")


class ResumeError(Exception):
    """The run cannot be continued; the text says why and what to do."""


def keep(directory: str, layer: str, record: Mapping, now: str) -> Dict[str, Any]:
    """Write what a layer has ended with, and return it."""
    document = {"layer": layer, "at": now, "record": {key: record[key] for key in OF_RECORD if key in record}, "hashes": _hashes(directory, layer)}
    document["digest"] = report_seal.digest(document)
    write_json(os.path.join(directory, DONE, f"{layer}.json"), document)
    return document


def _hashes(directory: str, layer: str) -> Dict[str, str]:
    """Return the hashes of what a layer left."""
    return report_seal.hashes(directory, lambda path: is_of(path, layer))


def is_of(path: str, layer: str) -> bool:
    """Say whether a path below the directory of a run is something that the layer left."""
    return path == f"findings/{layer}.json" or path.startswith(tuple(f"{part}/{layer}/" for part in ("facts", "inputs", "raw")))


def resume(directory: str, run: Mapping, plan: Mapping, checks: Mapping, days: float, now: str) -> Dict[str, Any]:
    """Return {run, done, found, kept} of a run that continues: its run.json with one more entry in `resumed`, {layer: record}, {layer: findings} and
    {layer: [clusters]}.

    `run`, `plan` and `checks` are those that would continue it. ResumeError when they differ from those that began it, when it is too old, when
    there is nothing to continue, or when what it left was changed.
    """
    name = os.path.basename(os.path.normpath(directory))
    busy = guards(os.path.abspath(directory))
    if busy:
        raise ResumeError(f"{name} still runs, or is being cleaned up (process {busy[0]}). Wait until that has ended, then continue it.")
    before, certificate = (_read(directory, part, name) for part in ("run.json", report_seal.CERTIFICATE))
    asked = _read(directory, report_seal.CHECKS, name)
    different = _differences(before, run, plan, asked, checks)
    if different:
        raise ResumeError(f"{name} cannot be continued, because it was begun otherwise: {'; '.join(different)}. Set what it was begun with, or begin anew.")
    age = datetime.datetime.strptime(now, TIME) - datetime.datetime.strptime(before["started"], TIME)
    if age > datetime.timedelta(days=days):
        raise ResumeError(f"{name} began {age.days} days ago, more than certify_join_days ({days:g}). Begin anew.")
    done, found, kept = {}, {}, {}
    for layer in plan["layers"]:
        document = _done(directory, layer, name)
        if document and _stays(document["record"]):
            found[layer] = _read(directory, f"findings/{layer}.json", name)
            done[layer], kept[layer] = {**document["record"], "at": document["at"]}, list(document["record"].get("clusters") or ())
    if certificate.get("state") == "finished" and len(done) == len(plan["layers"]):
        raise ResumeError(f"{name} has ended, and each of its layers was measured: there is nothing to continue. Begin anew.")
    entry = {"at": now, "kept": {layer: done[layer]["at"] for layer in done}}
    run = {**{key: before[key] for key in ("id", "started")}, "resumed": [*before.get("resumed", ()), entry]}
    return {"run": run, "done": done, "found": found, "kept": kept}


def _read(directory: str, part: str, name: str) -> Any:
    try:
        return read_json(os.path.join(directory, part))
    except DataFileError as error:
        raise ResumeError(f"{name} cannot be continued: {error} Name a run of this cluster in certify_resume, or begin anew.") from error


def _done(directory: str, layer: str, name: str) -> Dict[str, Any]:
    """Return what a layer ended with, {} when it did not; ResumeError when that or what it left was changed."""
    if not os.path.exists(os.path.join(directory, DONE, f"{layer}.json")):
        return {}
    document = _read(directory, f"{DONE}/{layer}.json", name)
    if not isinstance(document, dict) or document.get("digest") != report_seal.digest(document) or document.get("layer") != layer:
        raise ResumeError(f"{name} cannot be continued: {DONE}/{layer}.json was changed. Begin anew.")
    found = _hashes(directory, layer)
    changed = sorted(path for path in document["hashes"] if found.get(path) != document["hashes"][path])
    if changed:
        raise ResumeError(f"{name} cannot be continued: {changed[0]} was changed after it was measured. Begin anew.")
    return document


def _stays(record: Mapping) -> bool:
    return not record.get("error") or (record.get("verdict") or {}).get("verdict") == "FAIL"


def _differences(before: Mapping, run: Mapping, plan: Mapping, asked: Mapping, checks: Mapping) -> List[str]:
    """Return what is not as it was when the run began, as parts of a sentence."""
    found = [text for key, text in OF_RUN.items() if before.get(key) != run.get(key)]
    found += [text for key, text in OF_PLAN.items() if (before.get("plan") or {}).get(key) != plan.get(key)]
    if not fingerprint.is_whole(before.get("fingerprint")):
        found.append("it has no fingerprint of the configuration")
    else:
        changed = fingerprint.changes(before["fingerprint"], run["fingerprint"])
        found += [fingerprint.told(changed)] if changed else []
    settings = [{key: value for key, value in (one.get("settings") or {}).items() if key != "today"} for one in (asked, checks)]
    found += ["the settings of the checks"] if settings[0] != settings[1] else []
    found += ["the checks"] if asked.get("catalogue") != checks.get("catalogue") else []
    return found


def set_aside(directory: str, kept: Collection[str], stamp: str) -> List[str]:
    """Move what is measured again out of the way, below interrupted/<stamp>; return what was moved.

    That is all of the layers that are not kept, and of those that are what was added after they had ended: a second cluster's, for example; and
    the signatures of a certificate that is going to be another one.
    """
    moved = [name for name in sorted(os.listdir(directory)) if name.endswith(tuple(signature.SUFFIXES.values()))]
    for part in ("facts", "findings", "inputs", "raw", DONE):
        top = os.path.join(directory, part)
        moved += [f"{part}/{name}" for name in sorted(os.listdir(top) if os.path.isdir(top) else ()) if name.partition(".")[0] not in kept]
    for layer in kept:
        known = read_json(os.path.join(directory, DONE, f"{layer}.json"))["hashes"]
        moved += [path for path in _hashes(directory, layer) if path not in known]
    for path in moved:
        target = os.path.join(directory, "interrupted", stamp, path)
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        os.rename(os.path.join(directory, path), target)
    return moved


def guards(directory: str) -> List[int]:
    """Return the processes that guard the run in a directory: it still runs here, or is being cleaned up."""
    found = []
    for entry in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as stream:
                words = stream.read().split(b"\0")
        except OSError:
            continue
        if entry.isdigit() and any(word.endswith(b"guard.py") and after == os.fsencode(directory) for word, after in zip(words, words[1:])):
            found.append(int(entry))
    return found
