# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seal of a certificate: the hashes of all that the run left, until when it is valid, what voids it, and a digest over it all."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Dict, List, Optional

from . import fingerprint, history_kept, history_report, history_runs, report_plots
from .certificate_parts import digest, is_setting
from .files import DataFileError, read_json, write_json

CERTIFICATE = "certificate.json"
# The catalogue of checks and what the user said about them, {catalogue, settings}.
CHECKS = "checks.json"
# What a run leaves, beside the certificate and what is rendered from it.
PARTS = ("run.json", CHECKS, "done", "facts", "findings", "inputs", "raw")
TIME = "%Y-%m-%dT%H:%M:%SZ"
CHUNK = 1 << 20
KEYS = ("hashes", "history", "plots", "fingerprint", "valid_until", "voided_by", "digest")


def paths(directory: str) -> List[str]:
    """Return what a run left, as sorted paths below its directory; DataFileError for a link, which could lead anywhere."""
    found = []
    for part in PARTS:
        top = os.path.join(directory, part)
        if os.path.islink(top) or os.path.isfile(top):
            found.append(top)
        elif os.path.lexists(top):
            for root, directories, names in os.walk(top, onerror=_refuse):
                found += [os.path.join(root, name) for name in names]
                found += [path for path in (os.path.join(root, name) for name in directories) if os.path.islink(path)]
    for path in found:
        if os.path.islink(path) or not os.path.isfile(path):
            raise DataFileError(f"{path} is no plain file. Remove it, then seal or verify again.")
    return sorted(os.path.relpath(path, directory) for path in found)


def _refuse(error: OSError) -> None:
    raise DataFileError(f"Cannot read {error.filename}: {error.strerror}.") from error


def hashes(directory: str, chosen: Callable[[str], bool] = bool) -> Dict[str, str]:
    """Return {path: SHA-256} of what a run left, or of those paths that `chosen` says."""
    return {path: _hash(os.path.join(directory, path)) for path in paths(directory) if chosen(path)}


def _hash(path: str) -> str:
    sum_of = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            for chunk in iter(lambda: stream.read(CHUNK), b""):
                sum_of.update(chunk)
    except OSError as error:
        raise DataFileError(f"Cannot read {path}: {error.strerror}.") from error
    return sum_of.hexdigest()


def sealed(certificate: Mapping, found: Mapping, plots: list, valid_days: float, print_of: Optional[Mapping] = None) -> Dict[str, Any]:
    """Return the certificate with its seal; one that is sealed already is sealed anew. A run that did not end is valid for no time.

    `print_of`: the fingerprint of the configuration, where the run took one.
    """
    plain = {key: value for key, value in certificate.items() if key not in KEYS}
    plain.update(hashes=dict(found), voided_by=_voided_by(certificate, print_of or {}))
    kept = listed(certificate)
    if kept:
        plain["history"] = history_kept.sum_of(kept)
    if print_of:
        plain["fingerprint"] = dict(print_of)
    if plots:
        plain["plots"] = plots
    finished = certificate.get("run", {}).get("finished")
    if certificate.get("joined"):
        # It is valid as long as each run that it stands on.
        plain["valid_until"] = min(one["valid_until"] for one in certificate["joined"]["runs"])
    elif finished:
        begin = datetime.datetime.strptime(finished, TIME)
        plain["valid_until"] = (begin + datetime.timedelta(days=valid_days)).strftime(TIME)
    plain["digest"] = digest(plain)
    return plain


def listed(certificate: Mapping) -> str:
    """Return what a list of runs says of a certificate, as it is kept; "" where nothing can be said."""
    with contextlib.suppress(AttributeError, IndexError, KeyError, TypeError, ValueError):
        return history_kept.text_of(history_runs.summary(certificate))
    return ""


def _voided_by(certificate: Mapping, print_of: Mapping) -> Dict[str, Any]:
    """Return the facts that the certificate stands on: when one of them changes, it says nothing any more."""
    cluster = certificate.get("cluster", {})
    known = {key: cluster[key] for key in ("uid", "kubernetes", "nodes") if key in cluster}
    known["hosts"] = sum(len(names) for names in certificate.get("hosts", {}).values())
    versions = fingerprint.etcd_versions(print_of.get("values", {}))
    if versions:
        known["etcd"] = versions
    settings = configuration(certificate.get("findings", ()))
    if settings:
        known["configuration"] = settings
    return known


def configuration(findings: Iterable[Mapping]) -> Optional[str]:
    """Return the fingerprint of what somebody has configured, of the findings of a run or of an audit; None when none was read."""
    settings = sorted(json.dumps([row["id"], row["host"], row.get("entry"), row["value"]]) for row in findings if is_setting(row))
    return hashlib.sha256("\n".join(settings).encode("ascii")).hexdigest() if settings else None


def seal(directory: str, valid_days: float) -> Dict[str, Any]:
    """Seal the certificate in the directory of a run and return it; DataFileError names a file that cannot be used."""
    path = os.path.join(directory, CERTIFICATE)
    certificate = read_json(path)
    if not isinstance(certificate, dict) or not isinstance(certificate.get("run"), dict):
        raise DataFileError(f"{path} is no certificate. Certify again.")
    known = facts(directory)
    plots = report_plots.collect(known) + history_report.trend(certificate, os.path.dirname(os.path.abspath(directory)))
    try:
        certificate = sealed(certificate, hashes(directory), plots, valid_days, fingerprint_of(directory, known))
    except (TypeError, ValueError, AttributeError) as error:
        raise DataFileError(f"{path} cannot be sealed ({error}). Certify again.") from error
    write_json(path, certificate)
    # Without it the certificate is read for each list of runs, which takes longer and says the same.
    with contextlib.suppress(DataFileError):
        history_kept.leave(directory, listed(certificate))
    return certificate


def fingerprint_of(directory: str, known: Mapping) -> Optional[Dict[str, Any]]:
    """Return the fingerprint that preflight took, with the versions of etcd that the facts know; None for a run without one."""
    path = os.path.join(directory, "run.json")
    taken = (read_json(path) or {}).get("fingerprint") if os.path.isfile(path) else None
    hosts = {name: document for name, document in known.items() if name.startswith("etcd/") and not name.startswith("etcd/cluster/")}
    return fingerprint.with_etcd(taken, hosts) if taken else None


def facts(directory: str) -> Dict[str, Any]:
    """Return {path below facts/ without .json: document}."""
    top = os.path.join(directory, "facts")
    names = [path for path in paths(directory) if path.startswith("facts" + os.sep) and path.endswith(".json")]
    return {os.path.relpath(os.path.join(directory, name), top)[: -len(".json")]: read_json(os.path.join(directory, name)) for name in names}
