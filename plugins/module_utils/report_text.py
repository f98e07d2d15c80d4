# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text for the terminal and the long Markdown: templates of the role report, rendered by Jinja itself. Ansible's templating, which looks
into each of some hundred findings for more templates, takes seconds for the same. Runs on the controller only."""

from __future__ import annotations

import re
import traceback
from typing import Any, Dict

try:
    import jinja2
except ImportError:
    jinja2 = None
    IMPORT_ERROR = traceback.format_exc()
else:
    IMPORT_ERROR = None

from .human import cell
from .report_words import PROOF_LEGEND, hosts, one_reason, samples, told
from .tuning_page import groups


def difference(first, second):
    """Return what is in the first list and not in the second."""
    return [one for one in first if one not in second]


def environment(templates: str):
    """Return what renders the templates in a directory; the settings are those of ansible.builtin.template with lstrip_blocks."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    made.globals.update(dict=dict, proof_legend=PROOF_LEGEND)
    made.filters.update(
        {
            "kubeproof.certify.human": cell,
            "kubeproof.certify.tuning_groups": groups,
            "samples": samples,
            "told": told,
            "one_reason": one_reason,
            "hosts": hosts,
            "difference": difference,
            "regex_replace": lambda text, pattern, new: re.sub(pattern, new, text),
            "zip": lambda *lists: list(zip(*lists)),
        }
    )
    return made


def render(templates: str, name: str, certificate: Dict[str, Any]) -> str:
    """Return a certificate as the template `name`.j2 has it; ValueError when it lacks something."""
    try:
        return environment(templates).get_template(f"{name}.j2").render(__report_certificate=certificate)
    except jinja2.TemplateError as error:
        raise ValueError(f"{name}.j2: {error}") from error
