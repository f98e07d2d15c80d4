#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: resume
short_description: Continue a run that was interrupted
version_added: "0.1.0"
description:
  - Reads back what the layers that had ended left, as M(kubeproof.certify.record) kept it, and compares it with its hashes.
  - What was changed since is refused, and so is a run that was begun with another profile, other layers, thresholds or hosts, loaded otherwise or elsewhere,
    or in another configuration of the cluster, with what differs.
  - Layers that did not end, or ended with an error without a C(FAIL), are measured again; what they left is moved to C(interrupted/).
  - Runs on the controller.
author: kubeproof authors (@kubeproof)
options:
  directory:
    description: Directory of the run.
    type: path
    required: true
  run:
    description: The run that would continue, as in C(run.json).
    type: dict
    required: true
  plan:
    description: Its plan.
    type: dict
    required: true
  checks:
    description: Its checks and settings, as in C(checks.json).
    type: dict
    required: true
  days:
    description: How many days ago the run may have begun.
    type: int
    default: 7
attributes:
  check_mode:
    description: Can run in check mode and then moves nothing.
    support: full
"""

EXAMPLES = r"""
- name: Continue the run
  kubeproof.certify.resume:
    directory: results/prod/20261121t040000z-1a2b
    run: "{{ certify_run }}"
    plan: "{{ certify_plan }}"
    checks: {catalogue: "{{ certify_catalogue }}", settings: {}}
"""

RETURN = r"""
run:
  description: What of the run that was begun continues, C(id), C(started) and C(resumed).
  returned: success
  type: dict
done:
  description: The layers that stay, each with its record.
  returned: success
  type: dict
found:
  description: The layers that stay, each with its findings.
  returned: success
  type: dict
kept:
  description: Of the layers that stay, which clusters were measured.
  returned: success
  type: dict
moved:
  description: What was moved out of the way.
  returned: success
  type: list
  elements: str
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubeproof.certify.plugins.module_utils import resume
from ansible_collections.kubeproof.certify.plugins.module_utils.files import DataFileError

SPEC = {
    "directory": {"type": "path", "required": True},
    "run": {"type": "dict", "required": True},
    "plan": {"type": "dict", "required": True},
    "checks": {"type": "dict", "required": True},
    "days": {"type": "int", "default": 7},
}


def main():
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    options, now = module.params, time.strftime(resume.TIME, time.gmtime())
    name = os.path.basename(os.path.normpath(options["directory"]))
    try:
        found = resume.resume(*(options[key] for key in SPEC), now)
        stamp = now.replace("-", "").replace(":", "").lower()
        moved = [] if module.check_mode else resume.set_aside(options["directory"], list(found["done"]), stamp)
    except (resume.ResumeError, DataFileError) as error:
        module.fail_json(msg=str(error))
    except (AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        module.fail_json(msg=f"{name} cannot be continued: it is damaged ({type(error).__name__}: {error}). Begin anew.")
    module.exit_json(changed=bool(moved), moved=moved, **found)


if __name__ == "__main__":
    main()
