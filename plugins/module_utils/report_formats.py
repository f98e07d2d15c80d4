# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry of the formats that are rendered from certificate.json: one line each."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from typing import Any, Dict, List, Optional, Tuple

from . import report_html, report_junit, report_metrics, report_summary, report_text
from .files import encoded, read_json, write_text
from .report_words import ReportError

# format: (file, what renders it)
FORMATS = {
    "html": ("certificate.html", report_html.render),
    "junit": ("certificate.xml", report_junit.render),
    "openmetrics": ("certificate.prom", report_metrics.render),
    "summary": ("summary.md", report_summary.render),
}
# Those of templates: format: file
TEXTS = {"md": "certificate.md", "txt": "certificate.txt"}
NAMES = [*FORMATS, *TEXTS]


def write(directory: str, formats: Iterable[str], templates: str) -> List[str]:
    """Render the certificate in the directory of a run, and return the files written; ReportError or DataFileError say what is wrong."""
    formats = list(formats)
    unknown = sorted(set(formats) - set(NAMES))
    if unknown:
        raise ReportError(f"There is no format {', '.join(unknown)}. The formats are {', '.join(NAMES)}.")
    path = os.path.join(directory, "certificate.json")
    rendered = _rendered(read_json(path), formats, templates, path)
    for file, text in rendered.items():
        write_text(os.path.join(directory, file), text)
    return [os.path.join(directory, file) for file in rendered]


def different(directory: str, templates: str) -> Tuple[List[str], int]:
    """Return (the rendered files that say something else than the certificate, how many there are) of the directory of a run."""
    files = {**{name: file for name, (file, dummy) in FORMATS.items()}, **TEXTS}
    there = [name for name, file in files.items() if os.path.lexists(os.path.join(directory, file))]
    path = os.path.join(directory, "certificate.json")
    rendered = _rendered(read_json(path), there, templates, path)
    return [file for file, text in rendered.items() if _bytes(os.path.join(directory, file)) != encoded(text)], len(rendered)


def _rendered(certificate: Any, formats: Collection[str], templates: str, path: str) -> Dict[str, str]:
    """Return {file: text} of a certificate in some formats; `path` is where it was read."""
    try:
        rendered = {FORMATS[name][0]: FORMATS[name][1](certificate) for name in formats if name in FORMATS}
        return {**rendered, **{TEXTS[name]: report_text.render(templates, TEXTS[name], certificate) for name in formats if name in TEXTS}}
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ReportError(f"{path} is damaged ({type(error).__name__}: {error}). Certify again.") from error


def _bytes(path: str) -> Optional[bytes]:
    """Return the content of a plain file; None where it is none, or cannot be read."""
    if not os.path.isfile(path):
        return None
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError:
        return None
