#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: join
short_description: Make one certificate of several runs
version_added: "0.1.0"
description:
  - Joins runs of one cluster (its UID) in one configuration (the fingerprint in each certificate) that ended within O(days) of the newest, and writes a
    sealed certificate in a directory of its own beside theirs.
  - Each run is verified first, as M(kubeproof.certify.verify) does. A damaged one is refused by name, and so are another configuration, with what changed,
    the profile smoke, and runs that were shortened.
  - Of one layer in one profile the newest run decides. A run that could be joined and is not named decides by its own verdict, so that leaving one out never
    makes the verdict better.
  - Runs on the controller.
author: kubeproof authors (@kubeproof)
options:
  results:
    description: Directory of the runs of one cluster, such as C(results/prod).
    type: path
    required: true
  runs:
    description: The runs to join, names below O(results). Without it, all that can be joined with the newest one that can.
    type: list
    elements: str
    default: []
  days:
    description: How many days before the newest a run may have ended.
    type: int
    default: 7
attributes:
  check_mode:
    description: Can run in check mode and then writes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Join the runs of the last week
  kubeproof.certify.join:
    results: results/prod
"""

RETURN = r"""
directory:
  description: Where the certificate was written.
  returned: when not in check mode
  type: str
  sample: results/prod/20261121t040000z-join
verdict:
  description: Its verdict.
  returned: always
  type: str
  sample: PASS
runs:
  description: The runs that were joined.
  returned: always
  type: list
  elements: str
left_out:
  description: Runs that could have been joined and were not named.
  returned: always
  type: list
  elements: str
ignored:
  description: Runs that cannot be joined with these, each with its reason.
  returned: always
  type: list
  elements: dict
"""

import getpass
import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubeproof.certify.plugins.module_utils import join, join_runs
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import CheckError
from ansible_collections.kubeproof.certify.plugins.module_utils.files import DataFileError
from ansible_collections.kubeproof.certify.plugins.module_utils.report_verify import verify


def main():
    module = AnsibleModule(
        argument_spec={
            "results": {"type": "path", "required": True},
            "runs": {"type": "list", "elements": "str", "default": []},
            "days": {"type": "int", "default": 7},
        },
        supports_check_mode=True,
    )
    options, now = module.params, time.gmtime()
    if options["days"] < 1:
        module.fail_json(msg=f"certify_join_days is {options['days']}. Write a number of days above zero.")
    run = {"id": time.strftime(f"{join_runs.STAMP}-join", now), "at": time.strftime(join.TIME, now), "user": getpass.getuser(),
           "controller": os.uname().nodename}  # fmt: skip
    try:
        choice = join_runs.choose(options["results"], options["runs"], options["days"], verify)
        if module.check_mode:
            told = {"verdict": join.join(run, choice.members, choice.left_out)["verdict"]}
        else:
            directory, certificate = join_runs.write(options["results"], run, choice)
            told = {"directory": directory, "verdict": certificate["verdict"]}
    except (join.JoinError, DataFileError, CheckError) as error:
        module.fail_json(msg=str(error))
    names = {"runs": [one.id for one in choice.members], "left_out": [one.id for one in choice.left_out]}
    module.exit_json(changed=not module.check_mode, ignored=choice.ignored, **names, **told)


if __name__ == "__main__":
    main()
