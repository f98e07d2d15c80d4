#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_maintenance_program
short_description: The maintenance of etcd as one file that Python runs
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - Writes the code of M(kubeproof.certify.etcd_maintain) as one file for a timer or a CronJob, so that both do exactly what the module does.
  - The file needs Python 3.8 and nothing else. The same version of the collection makes the same bytes.
options:
  path:
    description: File to write; without it the content is returned.
    type: path
attributes:
  check_mode:
    description: Says whether the file would change.
    support: full
"""

EXAMPLES = r"""
- name: Write the maintenance as one file
  kubeproof.certify.etcd_maintenance_program:
    path: /usr/local/lib/kubeproof-etcd-maintenance-etcd/maintenance.pyz
  become: true
"""

RETURN = r"""
sha256:
  description: SHA-256 of the file.
  returned: success
  type: str
  sample: 1ae591999a62d661d489b90c3a15c304cdbd55b31309a344d4d39443c431642c
content:
  description: The file in base64.
  returned: without O(path)
  type: str
  sample: UEsDBBQAAAAAAAAA…
"""

import base64
import hashlib
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_maintenance_program, files


def main():
    """Read the arguments, make the program, write or return it."""
    module = AnsibleModule(argument_spec={"path": {"type": "path"}}, supports_check_mode=True)
    path, program = module.params["path"], etcd_maintenance_program.build()
    answer = {"sha256": hashlib.sha256(program).hexdigest()}
    if path is None:
        module.exit_json(changed=False, content=base64.b64encode(program).decode(), **answer)
    try:
        changed = not os.path.isfile(path) or read(path) != program
        if changed and not module.check_mode:
            files.write_bytes(path, program)
    except (OSError, files.DataFileError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, **answer)


def read(path):
    """Return what is in a file."""
    with open(path, "rb") as stream:
        return stream.read()


if __name__ == "__main__":
    main()
