# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Joined certificates on disk: which runs of a cluster belong to one, how it is written, and whether it still follows from them."""

from __future__ import annotations

import datetime
import json
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Dict, List, NamedTuple, Tuple

from . import fingerprint, history_runs, join, report_seal
from .files import DataFileError, read_json, write_json
from .join import JoinError, Member

RUN = re.compile(r"([0-9]{8}t[0-9]{6}z)-(?!join$)[0-9a-z-]+")
STAMP = "%Y%m%dt%H%M%Sz"
REPAIR = "Restore it from a copy, or certify again and move it out of the results."
# A run that ended within the days may have begun so long before them.
LONGEST = datetime.timedelta(days=7)


class Choice(NamedTuple):
    """The runs that are joined, those that could be and were not named, and [{id, reason}] of those that cannot be."""

    members: List[Member]
    left_out: List[Member]
    ignored: List[Dict[str, str]]


def read(directory: str) -> Member:
    """Return the run in a directory; JoinError when it is damaged."""
    name = os.path.basename(directory)
    try:
        certificate = history_runs.read(directory)
        run = read_json(os.path.join(directory, "run.json"))
        plan = run["plan"] if not certificate.get("joined") else {}
        if certificate["run"]["id"] != name:
            raise JoinError(f"{name} is damaged: its certificate is of {certificate['run']['id']}. {REPAIR}")
        if certificate["state"] == "finished":
            join.moment(certificate["run"]["finished"])
        # A run that looks unfit because it was damaged must not be passed over.
        if certificate.get("digest") != report_seal.digest(certificate) and ("digest" in certificate or _had_to_be_sealed(certificate, run)):
            raise JoinError(f"{name} is damaged: its certificate was changed after it was sealed. {REPAIR}")
        return Member(certificate, plan)
    except (DataFileError, history_runs.HistoryError, KeyError, TypeError, ValueError) as error:
        raise JoinError(f"{name} is damaged: {error if str(error) else type(error).__name__}. {REPAIR}".replace("..", ".")) from error


def _had_to_be_sealed(certificate: Mapping, run: Mapping) -> bool:
    """Say whether a certificate without a seal lost it: older versions sealed none, and took no fingerprint."""
    return certificate["state"] == "finished" and "fingerprint" in run


def choose(top: str, names: Sequence[str], days: float, verify: Callable[[str], Mapping]) -> Choice:
    """Return which runs below `top` are joined: those named, or all that can be with the newest.

    `verify` returns {valid, problems} of a directory. JoinError names a run that is damaged, unknown, too old or of another kind.
    """
    wanted = {os.path.basename(os.path.normpath(name)) for name in names}
    found = _found(top, wanted, days)
    unknown = sorted(wanted - set(found))
    if unknown:
        raise JoinError(f"certify_runs names {', '.join(unknown)}, and {top} has no such run. It has {', '.join(sorted(found)[-5:]) or 'none'}.")
    fit = {name: one for name, one in found.items() if not join.unfit(one.certificate)}
    for name in sorted(wanted - set(fit)):
        raise JoinError(f"{name} cannot be joined: {join.unfit(found[name].certificate)}.")
    if not fit:
        reasons = [f"{name}: {join.unfit(one.certificate)}" for name, one in sorted(found.items())[-5:]] or ["it has no run at all"]
        raise JoinError(f"{top} has no run that can be joined: {'; '.join(reasons)}. Certify with the profiles load and soak.")
    newest = max((one for name, one in fit.items() if not wanted or name in wanted), key=lambda one: (one.finished, one.id))
    since = join.moment(newest.finished) - datetime.timedelta(days=days)
    members, left_out, ignored = [], [], []
    for name, one in sorted(found.items()):
        reason = _apart(one, newest, since, days)
        if name in wanted:
            if reason:
                raise JoinError(f"{name} cannot be joined: {reason}.")
            # Another configuration among those named is refused where they are joined.
            members.append(one)
            continue
        reason = reason or _changed(one, newest)
        if reason:
            ignored.append({"id": name, "reason": reason})
        else:
            (left_out if wanted else members).append(one)
    for one in (*members, *left_out):
        _require_whole(os.path.join(top, one.id), one, verify)
    return Choice(members, left_out, ignored)


def _found(top: str, wanted: Collection[str], days: float) -> Dict[str, Member]:
    """Return {id: run} of those wanted and of the runs below `top` that may have ended near the newest of them, the newest first."""
    try:
        every = sorted((name for name in os.listdir(top) if RUN.fullmatch(name) and os.path.isdir(os.path.join(top, name))), reverse=True)
    except OSError as error:
        raise JoinError(f"Cannot read {top}: {error.strerror}. Name the results in certify_results, and the cluster in certify_cluster_name.") from error
    found: Dict[str, Member] = {}
    since = datetime.datetime.min
    for name in every:
        if name in wanted or datetime.datetime.strptime(RUN.fullmatch(name).group(1), STAMP) >= since:
            found[name] = one = read(os.path.join(top, name))
            if since == datetime.datetime.min and not join.unfit(one.certificate) and (not wanted or name in wanted):
                since = join.moment(one.finished) - datetime.timedelta(days=days) - LONGEST
    return found


def _apart(one: Member, newest: Member, since: datetime.datetime, days: float) -> str:
    """Return why a run cannot stand beside the newest whatever the configuration, or ""."""
    certificate = one.certificate
    if join.unfit(certificate):
        return join.unfit(certificate)
    if certificate["cluster"]["uid"] != newest.certificate["cluster"]["uid"]:
        return f"it is of another cluster, {certificate['cluster']['uid']}"
    if join.moment(one.finished) < since:
        return f"it ended at {one.finished}, more than {days:g} days (certify_join_days) before {newest.id}"
    return ""


def _changed(one: Member, newest: Member) -> str:
    """Return what of the configuration is another than in the newest run, or ""."""
    changed = join.differences(one, newest)
    return f"the configuration is another than in {newest.id}: {fingerprint.told(changed)}" if changed else ""


def _require_whole(directory: str, one: Member, verify: Callable[[str], Mapping]) -> None:
    """JoinError unless everything that the run left is what was sealed, and its certificate follows from it."""
    made = verify(directory)
    if not made["valid"]:
        raise JoinError(f"{one.id} is damaged: {' '.join(made['problems'][:3])} {REPAIR}")


def write(top: str, run: Mapping, choice: Choice) -> Tuple[str, Dict[str, Any]]:
    """Write the joined certificate below `top` and seal it; return (its directory, the certificate)."""
    directory = os.path.join(top, run["id"])
    certificate = join.join(run, choice.members, choice.left_out)
    if os.path.lexists(directory):
        raise JoinError(f"{directory} is there already. Wait a second, then join again.")
    named = {"runs": _digests(choice.members), "left_out": _digests(choice.left_out)}
    write_json(os.path.join(directory, "run.json"), {**run, "joined": named, "fingerprint": _fingerprint(choice.members)})
    write_json(os.path.join(directory, report_seal.CERTIFICATE), certificate)
    return directory, report_seal.seal(directory, 0)


def _digests(members: Sequence[Member]) -> List[Dict[str, str]]:
    return [{"id": one.id, "digest": one.certificate["digest"]} for one in sorted(members, key=lambda one: one.id)]


def _fingerprint(members: Sequence[Member]) -> Dict[str, Any]:
    """Return the fingerprint of all: they are equal but for the versions of etcd, which not every run knows."""
    values: Dict[str, Any] = {}
    for one in sorted(members, key=lambda one: (one.finished, one.id)):
        values.update(one.certificate["fingerprint"]["values"])
    return fingerprint.fingerprint(values)


def verify(directory: str, certificate: Mapping, run: Mapping, verify_run: Callable[[str], Mapping]) -> Tuple[List[str], int]:
    """Return (a sentence for each difference, how many runs were verified) of a joined certificate."""
    problems: List[str] = []
    top = os.path.dirname(os.path.abspath(directory))
    groups: Dict[str, List[Member]] = {"runs": [], "left_out": []}
    for group, members in groups.items():
        for named in run["joined"][group]:
            path = os.path.join(top, named["id"])
            if not os.path.isdir(path):
                problems.append(f"The run {named['id']}, which was joined, is missing beside {os.path.basename(directory)}.")
                continue
            made = verify_run(path)
            problems += [f"{named['id']}: {text}" for text in made["problems"]]
            one = read(path)
            if one.certificate["digest"] != named["digest"]:
                problems.append(f"{named['id']} was sealed anew after it was joined.")
            members.append(one)
    if not problems:
        again = json.loads(json.dumps(join.join(run, groups["runs"], groups["left_out"])))
        different = sorted(key for key in {*again, *certificate} - set(report_seal.KEYS) if again.get(key) != certificate.get(key))
        problems += [f"certificate.json: {key} is not what follows from the runs that were joined." for key in different]
    return problems, sum(map(len, groups.values()))
