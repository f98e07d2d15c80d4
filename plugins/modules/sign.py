#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sign
short_description: Sign the certificate of a run with your own key
version_added: "0.1.0"
description:
  - Writes a detached signature beside C(certificate.json), C(certificate.json.minisig) or C(certificate.json.asc). The certificate holds the hashes of all
    that its run left, so the signature covers them too.
  - Without O(directory) it only tries the key, on a few bytes of its own, so that hours of load do not end without a signature.
  - Nobody is asked for a passphrase; a key that wants one, and no O(passphrase_file), is an error.
  - Runs on the controller.
author: kubeproof authors (@kubeproof)
options:
  directory:
    description: Directory of the run. Without it, the key is tried.
    type: path
  tool:
    description: What signs. It has to be installed on the controller.
    type: str
    choices: [minisign, gpg]
    required: true
  key:
    description: The file of the secret key for V(minisign), the fingerprint of a key in the user's keyring for V(gpg).
    type: path
    required: true
  passphrase_file:
    description: A file whose first line is the passphrase of the key.
    type: path
attributes:
  check_mode:
    description: Can run in check mode and then tries the key.
    support: full
"""

EXAMPLES = r"""
- name: Sign the certificate
  kubeproof.certify.sign:
    directory: results/prod/20261121t040000z-1a2b
    tool: minisign
    key: ~/.minisign/minisign.key
"""

RETURN = r"""
signature:
  description: Path of the signature.
  returned: when something was signed
  type: str
  sample: results/prod/20261121t040000z-1a2b/certificate.json.minisig
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubeproof.certify.plugins.module_utils.files import DataFileError
from ansible_collections.kubeproof.certify.plugins.module_utils.signature import Unsigned, sign, tried


def main():
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path"},
            "tool": {"type": "str", "choices": ["minisign", "gpg"], "required": True},
            # A path or a fingerprint, nothing secret.
            "key": {"type": "path", "required": True, "no_log": False},
            "passphrase_file": {"type": "path", "no_log": False},
        },
        supports_check_mode=True,
    )
    given = [module.params[name] for name in ("tool", "key", "passphrase_file")]
    directory = module.params["directory"]
    try:
        if directory is None or module.check_mode:
            tried(*given)
            module.exit_json(changed=False)
        path = os.path.join(directory, "certificate.json")
        if not os.path.isfile(path):
            module.fail_json(msg=f"There is no {path}. Name the directory of a run that has ended.")
        module.exit_json(changed=True, signature=sign(path, *given))
    except (Unsigned, DataFileError) as error:
        module.fail_json(msg=f"{str(error).rstrip('.')}.")


if __name__ == "__main__":
    main()
