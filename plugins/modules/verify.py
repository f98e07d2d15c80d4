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
  - On request, asks for a signature (O(public_key)), and compares what the certificate stands on with the cluster as it is now (O(live)).
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
  public_key:
    description: The certificate has to be signed by it. A minisign key or its file, or a file of C(gpg --export).
    type: str
  live:
    description: What the certificate stands on, as it is now; what differs voids it.
    type: dict
    suboptions:
      cluster:
        description: UID, version, number of nodes and configuration, as M(kubeproof.certify.cluster_info) returns them.
        type: dict
        required: true
      hosts:
        description: How many hosts of the cluster the inventory has.
        type: int
        required: true
      audit:
        description: Directory of an audit of today, for the fingerprint of the configuration and the versions of etcd's members.
        type: path
attributes:
  check_mode:
    description: Reads only, so it does in check mode what it always does.
    support: full
"""

EXAMPLES = r"""
- name: Verify a run
  kubeproof.certify.verify:
    directory: results/prod/20261121t040000z-1a2b
    public_key: prod.pub
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
  sample: {hashes: 157, raw outputs: 9, findings: 769, certificate: 21, signatures: 1}
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubeproof.certify.plugins.module_utils import report_live
from ansible_collections.kubeproof.certify.plugins.module_utils.files import DataFileError, read_json
from ansible_collections.kubeproof.certify.plugins.module_utils.report_seal import CERTIFICATE
from ansible_collections.kubeproof.certify.plugins.module_utils.report_verify import verify
from ansible_collections.kubeproof.certify.plugins.module_utils.signature import Unsigned, signed

LIVE = {"cluster": {"type": "dict", "required": True}, "hosts": {"type": "int", "required": True}, "audit": {"type": "path"}}


def check_signature(made, path, public_key):
    """Add to what was verified whether the file at `path` is signed."""
    try:
        with open(path, "rb") as stream:
            signed(stream.read(), path, public_key)
    except Unsigned as error:
        made["problems"].append(f"The signature cannot be relied on: {error}.")
    else:
        made["done"]["signatures"] = 1


def check_live(made, path, live):
    """Add to what was verified what has changed since."""
    certificate = read_json(path)
    if not isinstance(certificate, dict):
        # That it is damaged is said already.
        return
    findings, facts = (read_json(os.path.join(live["audit"], name)) if live["audit"] else None for name in ("findings.json", "facts.json"))
    try:
        now = report_live.seen(live["cluster"], live["hosts"], findings, facts)
    except (AttributeError, KeyError, TypeError) as error:
        raise DataFileError(f"{live['audit']} is damaged: its findings.json or facts.json is not what playbooks/audit.yml writes. Audit again.") from error
    problems, notes = report_live.compare(certificate.get("voided_by"), now)
    made["problems"] += problems
    made["notes"] += notes
    made["done"]["against now"] = len(now)


def main():
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "catalogue": {"type": "dict"},
            "settings": {"type": "dict"},
            "public_key": {"type": "str", "no_log": False},
            "live": {"type": "dict", "options": LIVE},
        },
        supports_check_mode=True,
    )
    path = os.path.join(module.params["directory"], CERTIFICATE)
    try:
        made = verify(module.params["directory"], module.params["catalogue"], module.params["settings"])
        if module.params["public_key"]:
            check_signature(made, path, module.params["public_key"])
        if module.params["live"]:
            check_live(made, path, module.params["live"])
    except DataFileError as error:
        module.fail_json(msg=str(error), problems=[str(error)], notes=[], done={})
    told = {key: made[key] for key in ("problems", "notes", "done")}
    if made["problems"]:
        kind = "The certificate is not good any more: " if made["valid"] else "The certificate does not follow from what the run left: "
        module.fail_json(msg=kind + " ".join(made["problems"]), **told)
    module.exit_json(changed=False, **told)


if __name__ == "__main__":
    main()
