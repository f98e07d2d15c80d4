#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: render
short_description: Render the certificate of a run in every format
version_added: "0.1.0"
description:
  - Reads C(certificate.json) in the directory of a run and nothing else, and writes each format beside it.
  - The same certificate gives the same bytes. Names from hosts and tools are escaped, so that they cannot become markup.
  - Runs on the controller.
author: kubeproof authors (@kubeproof)
options:
  directory:
    description: Directory of the run.
    type: path
    required: true
  formats:
    description:
      - V(html) is one self-contained page, C(certificate.html); V(junit) C(certificate.xml), which GitLab, Jenkins and GitHub read;
        V(openmetrics) C(certificate.prom) for a textfile collector or a Pushgateway; V(summary) C(summary.md) for a pull request.
      - V(md) is all of it as C(certificate.md), V(txt) what a terminal shows, C(certificate.txt).
    type: list
    elements: str
    choices: [html, junit, openmetrics, summary, md, txt]
    default: [html, junit, openmetrics, summary, md, txt]
  templates:
    description: Directory of the templates for V(md) and V(txt), those of the role report.
    type: path
    required: true
requirements:
  - jinja2
attributes:
  check_mode:
    description: Can run in check mode and then writes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Render a run
  kubeproof.certify.render:
    directory: results/prod/20261121t040000z-1a2b
    templates: roles/report/templates
"""

RETURN = r"""
paths:
  description: The files written.
  returned: success
  type: list
  elements: str
  sample: [results/prod/20261121t040000z-1a2b/certificate.html]
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.kubeproof.certify.plugins.module_utils import report_text
from ansible_collections.kubeproof.certify.plugins.module_utils.files import DataFileError
from ansible_collections.kubeproof.certify.plugins.module_utils.report_formats import NAMES, write
from ansible_collections.kubeproof.certify.plugins.module_utils.report_words import ReportError


def main():
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "formats": {"type": "list", "elements": "str", "choices": NAMES, "default": NAMES},
            "templates": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    if report_text.jinja2 is None:
        module.fail_json(msg=missing_required_lib("jinja2"), exception=report_text.IMPORT_ERROR)
    try:
        paths = [] if module.check_mode else write(*(module.params[name] for name in ("directory", "formats", "templates")))
    except (DataFileError, ReportError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(paths), paths=paths)


if __name__ == "__main__":
    main()
