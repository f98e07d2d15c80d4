# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is the certificate of a run what follows from what the run left? Every step is taken again, and every difference is a sentence.

    hashes: every file is the one that was sealed, none is missing, none was added
    raw output -> facts: where one output is one fact (etcd's benchmark, check perf and fio); other facts join several outputs, and only
    their hashes vouch for them
    facts -> findings: judged again by the checks and settings that the run recorded
    findings -> certificate: assembled again, with its verdict
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, Dict, Iterable, List, Optional

from . import certificate as engine
from . import checks, join_runs, parsers, report_seal
from .check_data import CheckError
from .files import DataFileError, read_json
from .join import JoinError
from .parsers.common import ParseError
from .report_words import ReportError, cut, require

MOST = 50
# What a finding is, without the words of its reason, which also tell what went wrong on the way.
JUDGED = ("id", "layer", "scope", "host", "entry", "value", "unit", "target", "critical", "bounds", "result", "judged", "samples", "min_samples", "evaluated",
          "undecided", "gate", "blocking", "waiver")  # fmt: skip
# What only the end of a run knew.
AT_THE_END = ("finished", "seconds", "load_seconds", "command")
# Raw output that is one fact: name of the tool -> parser. The name of the output is the name of the step.
ETCD_TOOLS = {"benchmark": "etcd_benchmark", "etcdctl": "etcdctl", "fio": "fio"}
LIKE_STEP = {"check_perf": "etcdctl"}


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


def verify(directory: str, catalogue: Optional[Mapping] = None, settings: Optional[Mapping] = None) -> Dict[str, Any]:
    """Return {valid, problems, notes, done} of the run in the directory.

    `catalogue` and `settings`: the checks and what the user says about them, for runs that did not record theirs.
    DataFileError when there is no certificate.
    """
    made = Verification()
    certificate = read_json(os.path.join(directory, report_seal.CERTIFICATE))
    try:
        require(certificate)
        _seal(made, directory, certificate)
        run = read_json(os.path.join(directory, "run.json"))
        if certificate.get("joined") or "joined" in run:
            _joined(made, directory, certificate, run)
            return made.report()
        facts = report_seal.facts(directory)
        findings = _read_findings(directory)
        _raw(made, directory, facts)
        path = os.path.join(directory, report_seal.CHECKS)
        asked = read_json(path) or {} if os.path.isfile(path) else None
        _findings(made, run, facts, findings, _recorded(made, asked, "catalogue", catalogue), _recorded(made, asked, "settings", settings))
        _certificate(made, certificate, run, findings)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, DataFileError, ReportError, CheckError, JoinError,
            engine.CertificateError) as error:  # fmt: skip
        made.differ(f"The run cannot be read to its end: {error if str(error) else type(error).__name__}")
    return made.report()


def _joined(made: Verification, directory: str, certificate: Mapping, run: Mapping) -> None:
    """Verify each run that was joined, and join them again."""
    problems, made.done["runs"] = join_runs.verify(directory, certificate, run, verify)
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


def _seal(made: Verification, directory: str, certificate: Mapping) -> None:
    """Compare the digest and the hashes."""
    if not isinstance(certificate.get("digest"), str) or not isinstance(certificate.get("hashes"), Mapping):
        made.differ("The certificate is not sealed, so nothing vouches for the files of the run.")
        return
    if certificate["digest"] != report_seal.digest(certificate):
        made.differ("certificate.json was changed after it was sealed: its digest is not that of its content.")
    taken = report_seal.fingerprint_of(directory, report_seal.facts(directory))
    if certificate.get("fingerprint") != taken:
        made.differ("certificate.json: fingerprint is not what follows from run.json and the facts.")
    sealed, found = certificate["hashes"], report_seal.hashes(directory)
    for path in sorted({*sealed, *found}):
        if path not in found:
            made.differ(f"{path} is missing.")
        elif path not in sealed:
            made.differ(f"{path} was added after the certificate was sealed.")
        elif sealed[path] != found[path]:
            made.differ(f"{path} was changed after the certificate was sealed.")
    made.done["hashes"] = len(sealed)


def _read_findings(directory: str) -> Dict[str, Any]:
    top = os.path.join(directory, "findings")
    names = sorted(os.listdir(top)) if os.path.isdir(top) else []
    return {name[: -len(".json")]: read_json(os.path.join(top, name)) for name in names if name.endswith(".json")}


# Raw output -> facts ----------------------------------------------------------------------------------------------------------


def _raw(made: Verification, directory: str, facts: Mapping) -> None:
    """Parse again what one output alone is a fact of."""
    top, done = os.path.join(directory, "raw", "etcd"), 0
    documents = {path: document for path, document in facts.items() if path.startswith("etcd/cluster/")}
    for host in sorted(os.listdir(top)) if os.path.isdir(top) else []:
        for name in sorted(os.listdir(os.path.join(top, host))):
            step, suffix = os.path.splitext(name)
            if suffix != ".stdout":
                continue
            # Several clusters share the directory; the step's fact is in one of them.
            own = {f"etcd/{host}": facts.get(f"etcd/{host}")} if step == "fio" else documents
            known = [document[step] for document in own.values() if isinstance(document, Mapping) and step in document]
            parser = _parser(os.path.join(top, host, step + ".json"), step)
            if not known or not parser:
                continue
            done += 1
            path = f"raw/etcd/{host}/{name}"
            try:
                parsed = parsers.parse(parser, _text(os.path.join(top, host, name)))
            except ParseError as error:
                made.differ(f"{path} is not the output of {parser}, but facts were made of it: {error}")
                continue
            if not any(_within(parsed, fact) for fact in known):
                made.differ(f"{path} says something else than the facts ({step}).")
    if done:
        made.done["raw outputs"] = done
    others = sorted({path.split("/")[0] for path in facts} - {"etcd"})
    if others:
        made.note(f"The facts of {', '.join(others)} join several outputs, and so do etcd's windows of metrics: their hashes vouch for them.")


def _parser(path: str, step: str) -> Optional[str]:
    """Return the parser of an output by the tool that its record names."""
    argv = read_json(path).get("argv") if os.path.isfile(path) else None
    tool = os.path.basename(str(argv[0])) if isinstance(argv, list) and argv else ""
    found = ETCD_TOOLS.get(tool)
    # What etcdctl says of members and health goes into other facts, together with what the hosts say.
    return found if found != "etcdctl" or step in LIKE_STEP else None


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError as error:
        raise DataFileError(f"Cannot read {path}: {error.strerror}.") from error


def _within(part: Any, whole: Any) -> bool:
    """Say whether everything in `part` is in `whole` too: facts may say more than one output."""
    if isinstance(part, Mapping) and isinstance(whole, Mapping):
        return all(key in whole and _within(value, whole[key]) for key, value in part.items())
    return _plain(part) == _plain(whole)


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


# Facts -> findings ------------------------------------------------------------------------------------------------------------


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


def _certificate(made: Verification, certificate: Mapping, run: Mapping, findings: Mapping) -> None:
    """Assemble the certificate again, and compare it key by key."""
    plan = run["plan"]
    whole = {**run, **{key: certificate["run"][key] for key in AT_THE_END if key in certificate["run"]}, "tools": certificate["tools"]}
    if certificate["state"] == "interrupted":
        again = engine.interrupted(whole, plan)
    else:
        again = engine.certificate(whole, plan, findings, certificate["layer_verdicts"])
    again = _plain(again)
    if certificate["state"] == "interrupted":
        # The cleanup after a killed run says there how it went.
        again["message"] = certificate["message"]
    for key in again:
        # run.json has its keys in the order of the alphabet, and so has a checklist that is made of it.
        found, expected = (_by_id(one.get(key)) if key in ("checklist", "slas") else one.get(key) for one in (certificate, again))
        if found != expected:
            made.differ(f"certificate.json: {key} is not what follows from the findings{_first(found, expected)}")
    for key in sorted(set(certificate) - set(again) - set(report_seal.KEYS)):
        made.differ(f"certificate.json: {key} does not follow from the run.")
    made.done["certificate"] = len(again)


def _by_id(items: Any) -> Any:
    return sorted(items, key=lambda item: str(item.get("id"))) if isinstance(items, list) and all(isinstance(item, Mapping) for item in items) else items


def _first(found: Any, expected: Any) -> str:
    """Return where two documents differ first, as the end of a sentence."""
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        key = next(key for key in sorted({*found, *expected}, key=str) if found.get(key) != expected.get(key))
        return f", {key}{_first(found.get(key), expected.get(key))}"
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        index = next(number for number, pair in enumerate(zip(found, expected)) if pair[0] != pair[1])
        return f", number {index + 1}{_first(found[index], expected[index])}"
    if isinstance(found, list) and isinstance(expected, list):
        return f": {len(found)} instead of {len(expected)} entries."
    return f": {cut(json.dumps(found), 80)} instead of {cut(json.dumps(expected), 80)}."
