#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify
short_description: Verify that a certificate follows from what its run left
version_added: "0.1.0"
description:
  - Compares the hashes that the certificate was sealed with, parses raw output again, judges the facts again and assembles the certificate again.
    Every difference fails.
  - Facts that join several outputs are not computed again; their hashes vouch for them, and RV(notes) says which.
  - Writes nothing. Runs on the controller.
author: kubeproof authors (@kubeproof)
options:
  directory:
    description: Directory of the run.
    type: path
    required: true
  catalogue:
    description: The checks of all roles by id, for runs that did not record theirs.
    type: dict
  settings:
    description: What the user says about checks, for runs that did not record it.
    type: dict
attributes:
  check_mode:
    description: Reads only, so it does in check mode what it always does.
    support: full
"""

EXAMPLES = r"""
- name: Verify a run
  kubeproof.certify.verify:
    directory: results/prod/20261121t040000z-1a2b
"""

RETURN = r"""
problems:
  description: A sentence for each difference.
  returned: always
  type: list
  elements: str
  sample: [raw/etcd/etcd1/write.stdout was changed after the certificate was sealed.]
notes:
  description: What could not be computed again, and why.
  returned: always
  type: list
  elements: str
done:
  description: How much of each was compared.
  returned: always
  type: dict
  sample: {hashes: 157, raw outputs: 9, findings: 769, certificate: 21}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubeproof.certify.plugins.module_utils.files import DataFileError
from ansible_collections.kubeproof.certify.plugins.module_utils.report_verify import verify


def main():
    module = AnsibleModule(
        argument_spec={"directory": {"type": "path", "required": True}, "catalogue": {"type": "dict"}, "settings": {"type": "dict"}},
        supports_check_mode=True,
    )
    try:
        made = verify(module.params["directory"], module.params["catalogue"], module.params["settings"])
    except DataFileError as error:
        module.fail_json(msg=str(error), problems=[str(error)], notes=[], done={})
    told = {key: made[key] for key in ("problems", "notes", "done")}
    if not made["valid"]:
        module.fail_json(msg="The certificate does not follow from what the run left: " + " ".join(made["problems"]), **told)
    module.exit_json(changed=False, **told)


if __name__ == "__main__":
    main()
