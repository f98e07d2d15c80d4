# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of a certificate, so that a thousand of them need not be looked through for each question, and when it is believed.

A summary is kept as text, beside the certificate (history.json, when a run is sealed), or for those without in one file beside the runs (.history.json, when
they are first read). It is believed where it names the SHA-256 of the very bytes that certificate.json has now: size and time of a file would cost less,
but a copy and a checkout change them, and a file that was changed may have them still. The seal of a certificate says which summary follows from it
(`history`), so that no other one is believed, whoever wrote it. One without that (no run of this version leaves it so) has only its own sum beside it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any, Dict, NamedTuple, Optional

from .files import DataFileError, read_json, write_bytes, write_text

CERTIFICATE = "certificate.json"
BESIDE = "history.json"
KEPT = ".history.json"
# Of both files; another one where history_runs.summary says something else.
SCHEMA = 3
# As files.write_json writes it: only a key of the certificate itself stands two blanks from the begin of a line.
VOUCHED = b'\n  "history": "'
START, MIDDLE, END = b'{"schema":%d,"certificate":"' % SCHEMA, b'","summary":', b"}\n"
# Of a SHA-256, written in hexadecimal digits.
LONG = 64


class Seen(NamedTuple):
    """A certificate as it is on disk: the SHA-256 of its bytes, and that of its summary as its seal says it, "" where that says none."""

    certificate: str
    vouched: str


def text_of(made: Mapping) -> str:
    """Return a summary as it is kept: JSON with sorted keys, no blanks and only ASCII. ValueError when it cannot be."""
    return json.dumps(made, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sum_of(text: str) -> str:
    """Return the SHA-256 of a summary as it is kept."""
    return hashlib.sha256(text.encode("ascii", "replace")).hexdigest()


def look(directory: str) -> Optional[Seen]:
    """Return what tells the certificate in a directory from every other one; None where there is none that can be read."""
    path = os.path.join(directory, CERTIFICATE)
    content = _bytes(path)
    if content is None:
        return None
    # What is long, the findings, stands before it.
    begin = content.rfind(VOUCHED)
    vouched = content[begin + len(VOUCHED) :][:LONG].decode("ascii", "replace") if begin >= 0 else ""
    return Seen(hashlib.sha256(content).hexdigest(), vouched)


def _bytes(path: str) -> Optional[bytes]:
    with contextlib.suppress(OSError):
        # Whoever opens a pipe waits.
        if os.path.isfile(path):
            with open(path, "rb") as stream:
                return stream.read()
    return None


def leave(directory: str, text: str) -> None:
    """Keep the summary of a certificate beside it, which has to be there as it was sealed. DataFileError when it cannot be written."""
    seen = look(directory)
    if seen and text:
        write_bytes(os.path.join(directory, BESIDE), START + seen.certificate.encode("ascii") + MIDDLE + text.encode("ascii") + END)


def beside(directory: str, seen: Seen) -> Optional[Any]:
    """Return the summary that was left beside a certificate, None unless the seal of that very certificate vouches for it."""
    begin = START + seen.certificate.encode("ascii") + MIDDLE
    content = _bytes(os.path.join(directory, BESIDE)) if seen.vouched else None
    if content is None or not content.startswith(begin) or not content.endswith(END):
        return None
    text = content[len(begin) : -len(END)]
    return _parsed(text) if hashlib.sha256(text).hexdigest() == seen.vouched else None


def row(seen: Seen, made: Mapping) -> Dict[str, str]:
    """Return a summary as a row of .history.json."""
    text = text_of(made)
    return {"certificate": seen.certificate, "summary": text, "digest": sum_of(text)}


def of_row(found: Any, seen: Seen) -> Optional[Any]:
    """Return the summary of a row, None where it is of another certificate, or not as it was written."""
    text = found.get("summary") if isinstance(found, dict) and found.get("certificate") == seen.certificate else None
    return _parsed(text) if isinstance(text, str) and sum_of(text) == (seen.vouched or found.get("digest")) else None


def _parsed(text: Any) -> Optional[Any]:
    with contextlib.suppress(RecursionError, ValueError):
        return json.loads(text)
    return None


def rows(top: str) -> Dict[str, Any]:
    """Return the rows of .history.json, {name: row}; {} where it is damaged or missing."""
    try:
        kept = read_json(os.path.join(top, KEPT))
    except DataFileError:
        return {}
    found = kept.get("runs") if isinstance(kept, dict) and kept.get("schema") == SCHEMA else None
    return found if isinstance(found, dict) else {}


def write_rows(top: str, found: Mapping) -> None:
    """Write .history.json."""
    # Who may only read the results does without.
    with contextlib.suppress(DataFileError):
        write_text(os.path.join(top, KEPT), json.dumps({"schema": SCHEMA, "runs": found}))
