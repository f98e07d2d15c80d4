# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry of the formats that are rendered from certificate.json: one line each."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import List

from . import report_html, report_junit, report_metrics, report_summary, report_text
from .files import read_json, write_text
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
    certificate = read_json(os.path.join(directory, "certificate.json"))
    try:
        rendered = [(FORMATS[name][0], FORMATS[name][1](certificate)) for name in formats if name in FORMATS]
        rendered += [(TEXTS[name], report_text.render(templates, TEXTS[name], certificate)) for name in formats if name in TEXTS]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ReportError(f"{directory}/certificate.json is damaged ({type(error).__name__}: {error}). Certify again.") from error
    paths = [os.path.join(directory, file) for file, dummy in rendered]
    for path, (dummy, text) in zip(paths, rendered):
        write_text(path, text)
    return paths
