# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is the certificate of a run what follows from what the run left? Every step is taken again, and every difference is a sentence.

    hashes: every file is the one that was sealed, none is missing, none was added
    layers: what each left is what it had left when it ended
    raw output -> inputs -> facts: what tools printed, servers counted and watchers recorded is read again, and each layer's function called again
    (report_verify_raw)
    facts -> findings: judged again by the checks and settings that the run recorded, and these checks are those of its version
    findings -> certificate: assembled again, with its verdict; how each layer ended is what it recorded when it did
    certificate -> seal: until when it is valid, and what voids it
"""

from __future__ import annotations

import datetime
import json
import math
import os
from collections.abc import Callable, Mapping
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

from . import certificate as engine
from . import checks, join_runs, report_seal, report_verify_raw, resume
from .check_data import CheckError
from .files import DataFileError, read_json
from .join import JoinError
from .report_words import ReportError, cut, require

# How something is not as it was.
GONE = "gone"
NEW = "new"
OTHER = "other"
MOST = 50
# What a finding is, without the words of its reason, which also tell what went wrong on the way.
JUDGED = ("id", "layer", "scope", "host", "entry", "value", "unit", "target", "critical", "bounds", "result", "judged", "samples", "min_samples", "evaluated",
          "undecided", "gate", "blocking", "waiver")  # fmt: skip
# What only the end of a run knew.
AT_THE_END = ("finished", "seconds", "load_seconds", "command")
# What the seal says that follows from the run.
SEALED = ("fingerprint", "voided_by", "history", "valid_until")
# Seconds by which the beginning, the end and how long it took may differ: the first two are whole, and none is taken at one moment with another.
APART = 5
HASHED = ("Of the others, and of what no tool printed (answers of the Kubernetes API, and what hosts say of themselves, kept as they came), only the hashes "
          "were compared.")  # fmt: skip


class Verification:
    """What was verified: `problems` (a sentence for each difference), `done` {step: how many}, `notes` on what could not be."""

    def __init__(self) -> None:
        self.problems: List[str] = []
        self.notes: List[str] = []
        self.done: Dict[str, int] = {}

    def differ(self, text: str) -> None:
        self.problems.append(cut(text, 400))

    def note(self, text: str) -> None:
        self.notes.append(cut(text, 400))

    def report(self) -> Dict[str, Any]:
        """Return it as plain data; of many problems the first are told, and how many more there are."""
        more = len(self.problems) - MOST
        told = self.problems[:MOST] + ([f"and {more} more"] if more > 0 else [])
        return {"valid": not self.problems, "problems": told, "notes": self.notes, "done": self.done}


def verify(directory: str, catalogue: Optional[Mapping] = None, settings: Optional[Mapping] = None, version: Optional[str] = None) -> Dict[str, Any]:
    """Return {valid, problems, notes, done} of the run in the directory.

    `catalogue`: the checks of this `version` of the collection, which those of a run that it made have to be. `catalogue` and `settings` (what the user
    says about checks) also stand in for those that a run did not record.
    DataFileError when there is no certificate.
    """
    made = Verification()
    certificate = read_json(os.path.join(directory, report_seal.CERTIFICATE))
    try:
        require(certificate)
        left = report_seal.hashes(directory)
        _seal(made, left, certificate)
        run = read_json(os.path.join(directory, "run.json"))
        facts = report_seal.facts(directory)
        if "digest" in certificate:
            _valid(made, directory, certificate, run, facts)
        if certificate.get("joined") or "joined" in run:
            _joined(made, directory, certificate, run, lambda path: verify(path, catalogue, settings, version))
            return made.report()
        findings = _read_findings(directory)
        if certificate["state"] == "finished":
            _left(made, directory, run, left, certificate.get("hashes") or {})
        _raw(made, directory, facts, left)
        if made.problems and version not in (None, run.get("version")):
            made.note(f"The run was made by the version {run.get('version')}, and this is {version}, which may make other facts. Verify it with its own.")
        path = os.path.join(directory, report_seal.CHECKS)
        asked = read_json(path) or {} if os.path.isfile(path) else None
        _catalogue(made, run, asked, catalogue, version)
        _findings(made, run, facts, findings, _recorded(made, asked, "catalogue", catalogue), _recorded(made, asked, "settings", settings))
        _certificate(made, directory, certificate, run, findings)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, DataFileError, ReportError, CheckError, JoinError,
            engine.CertificateError) as error:  # fmt: skip
        made.differ(f"The run cannot be read to its end: {error if str(error) else type(error).__name__}")
    return made.report()


def _joined(made: Verification, directory: str, certificate: Mapping, run: Mapping, verify_run: Callable[[str], Mapping]) -> None:
    """Verify each run that was joined, and join them again."""
    problems, made.done["runs"] = join_runs.verify(directory, certificate, run, verify_run)
    for text in problems:
        made.differ(text)
    made.done["certificate"] = len(certificate)


def _recorded(made: Verification, asked: Optional[Mapping], name: str, other: Optional[Mapping]) -> Optional[Mapping]:
    """Return what the run recorded in checks.json, or `other` where it recorded none."""
    if asked is not None:
        if not isinstance(asked.get(name), Mapping):
            made.differ(f"{report_seal.CHECKS} does not hold the {name}.")
        return asked.get(name)
    if other is not None:
        made.note(f"The run did not record its {name}; those of today were used.")
    return other


def _unlike(then: Mapping, now: Mapping) -> Iterator[Tuple[str, str]]:
    """Yield (name, how) of what is not as it was: GONE, NEW or OTHER."""
    for name in sorted({*then, *now}):
        if name not in now:
            yield name, GONE
        elif name not in then:
            yield name, NEW
        elif then[name] != now[name]:
            yield name, OTHER


def _seal(made: Verification, found: Mapping, certificate: Mapping) -> None:
    """Compare the digest and the hashes."""
    if not isinstance(certificate.get("digest"), str) or not isinstance(certificate.get("hashes"), Mapping):
        made.differ("The certificate is not sealed, so nothing vouches for the files of the run.")
        return
    if certificate["digest"] != report_seal.digest(certificate):
        made.differ("certificate.json was changed after it was sealed: its digest is not that of its content.")
    sealed = certificate["hashes"]
    said = {GONE: "is missing", NEW: "was added after the certificate was sealed", OTHER: "was changed after the certificate was sealed"}
    for path, how in _unlike(sealed, found):
        made.differ(f"{path} {said[how]}.")
    made.done["hashes"] = len(sealed)


def _valid(made: Verification, directory: str, certificate: Mapping, run: Mapping, facts: Mapping) -> None:
    """Compare what the seal says with what follows from run.json and the facts."""
    days = (run.get("plan") or {}).get("valid_days")
    # A joined one is valid as long as its runs, and one that did not end for no time.
    known = days is not None or bool(certificate.get("joined")) or not certificate["run"].get("finished")
    if not known:
        made.note("The run did not record certify_valid_days, so until when it is valid was not computed again.")
    again = _plain(report_seal.sealed(certificate, {}, [], days or 0, report_seal.fingerprint_of(directory, facts)))
    for key in SEALED if known else SEALED[:-1]:
        # One that was sealed before there was this key does not have it.
        if certificate.get(key) != again.get(key) and (key in certificate or key != "history"):
            different = report_verify_raw.different(certificate.get(key), again.get(key))
            made.differ(f"certificate.json: {key} is not what follows from run.json and the facts{different}")


def _read_findings(directory: str) -> Dict[str, Any]:
    top = os.path.join(directory, "findings")
    names = sorted(os.listdir(top)) if os.path.isdir(top) else []
    return {name[: -len(".json")]: read_json(os.path.join(top, name)) for name in names if name.endswith(".json")}


# What layers left, and raw output -> facts --------------------------------------------------------------------------------------


def _left(made: Verification, directory: str, run: Mapping, left: Mapping, sealed: Mapping) -> None:
    """Compare what is there of each layer with what it had left when it ended. What was changed after the seal is told already."""
    said = {GONE: "is missing, and was there", NEW: "was not there", OTHER: "is not what it was"}
    for layer in (*run["plan"]["layers"], *run["plan"].get("beside", ())):
        path = os.path.join(directory, resume.DONE, f"{layer}.json")
        if not os.path.isfile(path):
            continue
        then = read_json(path)["hashes"]
        now = {one: digest for one, digest in left.items() if resume.is_of(one, layer)}
        for one, how in _unlike(then, now):
            if sealed.get(one) == now.get(one):
                made.differ(f"{one} {said[how]} when {layer} had ended ({resume.DONE}/{layer}.json).")
        made.done["left by layers"] = made.done.get("left by layers", 0) + len(then)


def _raw(made: Verification, directory: str, facts: Mapping, left: Mapping) -> None:
    """Make the facts again of what they were made of, read that again from raw output, and say of which output that was done."""
    compared = report_verify_raw.compare(directory, facts)
    for one in compared.values():
        for text in one.problems:
            made.differ(text)
    again = sum(one.facts for one in compared.values())
    made.done.update({"facts": again} if again else {})
    if any(one.read for one in compared.values()):
        made.done["raw outputs"] = sum(len(one.read) for one in compared.values())
    shares = []
    for layer in sorted({path.split("/")[1] for path in left if path.startswith("raw/")}):
        count, read = sum(path.startswith(f"raw/{layer}/") for path in left), len(compared[layer].read) if layer in compared else 0
        shares.append(f"{layer} {read} of {count}")
    if shares:
        made.note(f"These files of raw output were read again, and facts made of them: {', '.join(shares)}. {HASHED}")


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


# Facts -> findings ------------------------------------------------------------------------------------------------------------


def _catalogue(made: Verification, run: Mapping, asked: Optional[Mapping], catalogue: Optional[Mapping], version: Optional[str]) -> None:
    """Compare the checks that the run recorded with those of this collection, where it is of the version that made the run."""
    recorded = (asked or {}).get("catalogue")
    if not isinstance(recorded, Mapping) or catalogue is None:
        return
    by = run.get("version")
    if version != by:
        made.note(f"The run was made by the version {by}, and this is {version or 'not known'}: its checks were not compared with those of its version.")
        return
    today = _plain(catalogue)
    said = {GONE: f"is no check of {version}.", NEW: f"is missing, a check of {version}.", OTHER: f"is not the check of {version}"}
    for name, how in _unlike(recorded, today):
        made.differ(f"{report_seal.CHECKS}: {name} {said[how]}{report_verify_raw.different(recorded[name], today[name]) if how == OTHER else ''}")
    made.done["checks"] = len(recorded)


def _findings(made: Verification, run: Mapping, facts: Mapping, findings: Mapping, catalogue: Optional[Mapping], settings: Optional[Mapping]) -> None:
    """Judge the facts again."""
    if catalogue is None or settings is None:
        made.note("The run did not record its checks and settings, so its facts were not judged again.")
        return
    settings = {**settings, "today": str(run.get("started", ""))[:10]}
    for layer, recorded in findings.items():
        known = {path.partition("/")[2]: document for path, document in facts.items() if path.startswith(f"{layer}/")}
        clusters = {path[len("cluster/") :]: document for path, document in known.items() if path.startswith("cluster/")}
        hosts = {path: document for path, document in known.items() if not path.startswith("cluster/")}
        expected = {
            "host": sorted({*hosts, *(row["host"] for row in recorded if row["scope"] == "host" and row["host"])}),
            "cluster": sorted({*clusters, *(row["host"] for row in recorded if row["scope"] == "cluster" and row["host"])}),
        }
        own = {name: check for name, check in catalogue.items() if name.startswith(f"{layer}_")}
        if not own:
            made.note(f"The findings of {layer} come from no check, so they were not judged again.")
            continue
        again = checks.judge(own, {"host": hosts, "cluster": clusters}, layer, run["profile"], expected, settings)
        _compare(made, layer, recorded, again)
        made.done["findings"] = made.done.get("findings", 0) + len(again)


def _compare(made: Verification, layer: str, recorded: Iterable, again: Iterable) -> None:
    before, after = _keyed(recorded), _keyed(again)
    for key in sorted({*before, *after}):
        name = f"{layer}: the finding {' '.join(filter(None, key))}"
        if key not in after:
            made.differ(f"{name} does not follow from the facts.")
        elif key not in before:
            made.differ(f"{name} follows from the facts, and is not among the findings.")
        else:
            different = [part for part in JUDGED if before[key].get(part) != after[key].get(part)]
            if different:
                shown = ", ".join(f"{part} {json.dumps(before[key].get(part))} instead of {json.dumps(after[key].get(part))}" for part in different)
                made.differ(f"{name} has {shown}.")


def _keyed(findings: Iterable) -> Dict[tuple, Mapping]:
    return {(row["id"], str(row.get("host") or ""), str(row.get("entry") or "")): _plain(row) for row in findings}


# Findings -> certificate ------------------------------------------------------------------------------------------------------


def _certificate(made: Verification, directory: str, certificate: Mapping, run: Mapping, findings: Mapping) -> None:
    """Assemble the certificate again, and compare it key by key."""
    plan = run["plan"]
    whole = {**run, **{key: certificate["run"][key] for key in AT_THE_END if key in certificate["run"]}, "tools": certificate["tools"]}
    if certificate["state"] == "interrupted":
        again = engine.interrupted(whole, plan)
    else:
        ended = _ended(made, directory, run, findings)
        _times(made, certificate["run"], run, ended)
        if set(findings) & {*plan["layers"], *plan.get("beside", ())} <= set(ended):
            whole.update(_summed(certificate, [one["record"] for layer, one in ended.items() if layer in findings]))
        again = engine.certificate(whole, plan, findings, _records(certificate["layer_verdicts"], ended, run))
    again = _plain(again)
    if certificate["state"] == "interrupted":
        # The cleanup after a killed run says there how it went.
        again["message"] = certificate["message"]
    for key in again:
        # run.json has its keys in the order of the alphabet, and so has a checklist that is made of it.
        found, expected = (_by_id(one.get(key)) if key in ("checklist", "slas") else one.get(key) for one in (certificate, again))
        if found != expected:
            made.differ(f"certificate.json: {key} is not what follows from the findings{report_verify_raw.different(found, expected)}")
    for key in sorted(set(certificate) - set(again) - set(report_seal.KEYS)):
        made.differ(f"certificate.json: {key} does not follow from the run.")
    made.done["certificate"] = len(again)


def _ended(made: Verification, directory: str, run: Mapping, findings: Mapping) -> Dict[str, Mapping]:
    """Return {layer: what it recorded when it had ended}, in the order in which they did."""
    found: Dict[str, Mapping] = {}
    for layer in (*run["plan"]["layers"], *run["plan"].get("beside", ())):
        path = os.path.join(directory, resume.DONE, f"{layer}.json")
        document = read_json(path) if os.path.isfile(path) else None
        if document and (document.get("digest") != report_seal.digest(document) or document.get("layer") != layer):
            made.differ(f"{resume.DONE}/{layer}.json was changed after {layer} had ended.")
        if document:
            found[layer] = document
        elif layer in findings and os.path.isdir(os.path.dirname(path)):
            made.differ(f"{resume.DONE}/{layer}.json is missing, so nothing says whether {layer} ended with an error.")
    if not found and findings:
        made.note("The run did not record how its layers ended, so their errors were not compared.")
    return dict(sorted(found.items(), key=lambda item: item[1]["at"]))


def _records(told: Mapping, ended: Mapping, run: Mapping) -> Dict[str, Mapping]:
    """Return the records of the layers: what each ended with, and what the certificate tells of those that did not.

    The end of a run may add to an error, such as what is left in the cluster, and takes nothing away.
    """
    kept = run["resumed"][-1]["kept"] if run.get("resumed") else {}
    records = dict(told)
    for layer, document in ended.items():
        record = document["record"]
        error, more = record.get("error") or "", str((told.get(layer) or {}).get("error") or "")
        times = {key: record[key] for key in ("seconds", "load_seconds") if key in record}
        # Of a layer that went on after it was kept, with another cluster, it is not told.
        since = {"at": document["at"]} if kept.get(layer) == document["at"] else {}
        records[layer] = {**times, "error": more if more.startswith(error) else error, **since}
    return records


def _summed(certificate: Mapping, records: Iterable[Mapping]) -> Dict[str, Any]:
    """Return the seconds of load and the tools of a run that follow from the records of its layers."""
    load = sum(record["load_seconds"] for record in records)
    told = certificate["run"].get("load_seconds")
    every: Dict[str, list] = {}
    for record in records:
        for host, tools in (record.get("tools") or {}).items():
            every.setdefault(host, []).append(tools)
    # Of a host that several layers used the last one says it, and which that was is not kept where a layer has several clusters.
    tools = {host: certificate["tools"][host] if certificate["tools"].get(host) in known else known[-1] for host, known in every.items()}
    same = isinstance(told, (int, float)) and math.isclose(told, load, abs_tol=1e-6)
    return {"load_seconds": told if same else load, "tools": tools}


def _times(made: Verification, told: Mapping, run: Mapping, ended: Mapping) -> None:
    """Compare when the run ended with when it began, how long it took, and when its layers ended."""
    begun, end = (datetime.datetime.strptime(one, report_seal.TIME) for one in (run["started"], told["finished"]))
    for layer, document in ended.items():
        if datetime.datetime.strptime(document["at"], report_seal.TIME) > end:
            made.differ(f"certificate.json: run.finished is {told['finished']}, and {layer} ended later, at {document['at']}.")
    # A run that went on later says how long it was at work.
    if not run.get("resumed") and abs((end - begun).total_seconds() - told["seconds"]) > APART:
        made.differ(f"certificate.json: run.finished is {told['finished']}, which is not {told['seconds']:.0f} s (run.seconds) after {run['started']}.")


def _by_id(items: Any) -> Any:
    return sorted(items, key=lambda item: str(item.get("id"))) if isinstance(items, list) and all(isinstance(item, Mapping) for item in items) else items
