#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: seal
short_description: Seal the certificate of a run
version_added: "0.1.0"
description:
  - Adds to C(certificate.json) the SHA-256 of all that the run left (C(hashes)), until when it is valid (C(valid_until)), what voids it (C(voided_by)),
    what is drawn of its facts (C(plots)), the SHA-256 of what a list of runs says of it (C(history)), and a C(digest) over the whole.
  - Leaves what a list of runs says of it beside it, in C(history.json).
  - The digest tells a damaged certificate from a whole one; it does not prove who made it. For that, sign the file.
  - Runs on the controller.
author: kubeproof authors (@kubeproof)
options:
  directory:
    description: Directory of the run.
    type: path
    required: true
  valid_days:
    description: How many days after the end of the run the certificate is valid.
    type: int
    default: 90
attributes:
  check_mode:
    description: Can run in check mode and then writes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Seal the certificate
  kubeproof.certify.seal:
    directory: results/prod/20261121t040000z-1a2b
    valid_days: 90
"""

RETURN = r"""
digest:
  description: The SHA-256 of the certificate without this key.
  returned: when not in check mode
  type: str
  sample: 3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8550
files:
  description: How many files of the run have their hash in it.
  returned: when not in check mode
  type: int
  sample: 157
verdict:
  description: The verdict that the certificate says.
  returned: when not in check mode
  type: str
  sample: PASS
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubeproof.certify.plugins.module_utils.files import DataFileError
from ansible_collections.kubeproof.certify.plugins.module_utils.report_seal import seal

# Days: a hundred years.
LONGEST = 36500


def main():
    module = AnsibleModule(
        argument_spec={"directory": {"type": "path", "required": True}, "valid_days": {"type": "int", "default": 90}},
        supports_check_mode=True,
    )
    if not 1 <= module.params["valid_days"] <= LONGEST:
        module.fail_json(msg=f"valid_days is {module.params['valid_days']}. Write a number of days from 1 to {LONGEST}.")
    if module.check_mode:
        module.exit_json(changed=False)
    try:
        certificate = seal(module.params["directory"], module.params["valid_days"])
    except DataFileError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, digest=certificate["digest"], files=len(certificate["hashes"]), verdict=certificate["verdict"])


if __name__ == "__main__":
    main()
