#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: compare
short_description: Compare two runs of a cluster, and show the trends over all
version_added: "0.1.0"
description:
  - For each check the change, whether it is beyond noise, and how that is known; what became worse is a regression.
  - Settings that changed between the two runs are listed beside, and what else is different, such as versions and flags.
    One setting is what a change can be attributed to where nothing else changed, several are not.
  - A directory that is damaged, or of another cluster, is named and skipped. The two runs that are compared have to be as they were sealed.
  - Writes C(comparison.json) beside the certificate of the newer run, and C(.history.json) beside the runs where certificates had to
    be read since no C(history.json) beside them stands for them; it may be deleted at any time.
  - Measures nothing. Runs on the controller.
author: kubeproof authors (@kubeproof)
options:
  results:
    description: Directory of the runs of one cluster, such as C(results/prod).
    type: path
    required: true
  after:
    description: The newer run, a name below O(results) or a path. Without it, the newest one that ended.
    type: str
  before:
    description:
      - The older run, the baseline. Without it, the newest before O(after) that has its profile, its time scale and all of its layers.
      - Runs in between that have not are named with the reason.
    type: str
  uid:
    description:
      - The cluster that is meant, the UID of its namespace kube-system. A run of another one in O(after) is refused.
      - Without it, the cluster is that of O(after). Where more runs are of others, RV(text) says so first.
    type: str
  regression:
    description: Whether a regression is a finding with the result CONDITIONAL (V(warn)) or FAIL (V(fail)).
    type: str
    choices: [warn, fail]
    default: warn
attributes:
  check_mode:
    description: Can run in check mode and then writes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Compare the newest run with the one before
  kubeproof.certify.compare:
    results: results/prod

- name: Compare with a baseline
  kubeproof.certify.compare:
    results: results/prod
    before: 20261101t040000z-1a2b
    regression: fail
"""

RETURN = r"""
text:
  description: The runs, the trends and the comparison, 100 columns wide.
  returned: success
  type: str
comparison:
  description:
    - The comparison, or null where there is only one run.
    - Its C(unmeasured) are layers that the run before did not measure, its C(unmeasured_checks) further checks.
  returned: success
  type: dict
findings:
  description:
    - The regressions as findings of the layer C(regression), or one that says there is none; empty where nothing was compared.
    - One more, C(regression_measured), is C(INCONCLUSIVE) where the run before did not measure all.
  returned: success
  type: list
  elements: dict
regressions:
  description: How many there are.
  returned: success
  type: int
  sample: 0
skipped_directories:
  description: Directories that were skipped, each with C(path) and C(reason).
  returned: success
  type: list
  elements: dict
passed_over:
  description:
    - Runs between the two that were not taken as the one before, each with C(id), C(path) and C(reason), the newest first.
    - Empty with O(before).
  returned: success
  type: list
  elements: dict
  sample: [{id: 20261120t040000z-1a2b, path: results/prod/20261120t040000z-1a2b, reason: "it did not measure network, dns"}]
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubeproof.certify.plugins.module_utils.files import DataFileError, write_json
from ansible_collections.kubeproof.certify.plugins.module_utils.history_compare import regressions
from ansible_collections.kubeproof.certify.plugins.module_utils.history_report import report
from ansible_collections.kubeproof.certify.plugins.module_utils.history_runs import HistoryError


def main():
    module = AnsibleModule(
        argument_spec={
            "results": {"type": "path", "required": True},
            "after": {"type": "str"},
            "before": {"type": "str"},
            "uid": {"type": "str"},
            "regression": {"type": "str", "choices": ["warn", "fail"], "default": "warn"},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        made = report(given["results"], given["after"], given["before"], not module.check_mode, given["uid"])
        comparison = made["comparison"]
        findings = regressions(comparison, given["regression"], os.path.basename(os.path.normpath(given["results"]))) if comparison else []
        if not module.check_mode:
            write_json(os.path.join(made["after"], "comparison.json"), {key: made[key] for key in ("comparison", "trends", "skipped", "passed_over")})
    except (DataFileError, HistoryError) as error:
        module.fail_json(msg=str(error))
    worse = sum(row["regression"] for row in comparison["rows"]) if comparison else 0
    # A result with the key `skipped` is that of a task that was skipped.
    told = {"text": made["text"], "skipped_directories": made["skipped"], "passed_over": made["passed_over"]}
    module.exit_json(changed=not module.check_mode, comparison=comparison, findings=findings, regressions=worse, **told)


if __name__ == "__main__":
    main()
