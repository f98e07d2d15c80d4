#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: record
short_description: Write the JSON documents of a run
version_added: "0.1.0"
description:
  - Writes each document to a temporary name and renames it, so that a file is whole or not there. One whose path ends with C(.gz) is compressed.
  - Directories are made with mode 0700 and files with mode 0600. NaN and Infinity are refused.
  - Runs on the controller.
author: kubeproof authors (@kubeproof)
options:
  directory:
    description: Where the paths of the documents begin.
    type: path
    required: true
  documents:
    description: A map from a path below O(directory) to the document to write there as JSON.
    type: dict
    default: {}
  ended:
    description:
      - A layer that has ended. Its documents are written as those of O(documents) are. Then C(done/<layer>.json) gets the record and the hashes of all that
        the layer left, by which M(kubeproof.certify.resume) continues an interrupted run.
    type: dict
    suboptions:
      layer:
        description: The layer.
        type: str
        required: true
      documents:
        description: Its facts and what they are made of, as in O(documents).
        type: dict
        required: true
      findings:
        description: Its findings, for C(findings/<layer>.json).
        type: list
        elements: dict
        required: true
      record:
        description: What is known of it, C(clusters), C(seconds), C(load_seconds), C(tools), C(verdict) and C(error).
        type: dict
        required: true
attributes:
  check_mode:
    description: Can run in check mode and then writes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Write the facts of a layer
  kubeproof.certify.record:
    directory: results/prod/20261121t040000z-1a2b
    documents:
      facts/etcd/etcd1.json: {disk: {free: 1000000}}

- name: Write what a layer has measured, and what it ended with
  kubeproof.certify.record:
    directory: results/prod/20261121t040000z-1a2b
    ended:
      layer: dns
      documents:
        facts/dns/cluster/prod.json: {qps: 20000}
      findings: "{{ dns_findings }}"
      record: {clusters: [prod], seconds: 39.0, load_seconds: 25.6, verdict: "{{ dns_findings | kubeproof.certify.verdict }}"}
  register: dns_ended
"""

RETURN = r"""
paths:
  description: The files written.
  returned: success
  type: list
  elements: str
  sample: [results/prod/20261121t040000z-1a2b/facts/etcd/etcd1.json]
record:
  description: The record of O(ended).
  returned: when a layer has ended, also when its documents could not be written
  type: dict
findings:
  description: The findings of O(ended).
  returned: when a layer has ended, also when its documents could not be written
  type: list
  elements: dict
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubeproof.certify.plugins.module_utils.files import DataFileError, write_json
from ansible_collections.kubeproof.certify.plugins.module_utils.resume import TIME, keep


def main():
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "documents": {"type": "dict", "default": {}},
            "ended": {
                "type": "dict",
                "options": {
                    "layer": {"type": "str", "required": True},
                    "documents": {"type": "dict", "required": True},
                    "findings": {"type": "list", "elements": "dict", "required": True},
                    "record": {"type": "dict", "required": True},
                },
            },
        },
        supports_check_mode=True,
    )
    root = os.path.realpath(module.params["directory"])
    ended = module.params["ended"] or {}
    kept = {key: ended[key] for key in ("record", "findings") if ended}
    given = {**module.params["documents"], **ended.get("documents", {}), **({f"findings/{ended['layer']}.json": ended["findings"]} if ended else {})}
    documents = {}
    for name, document in sorted(given.items()):
        path = os.path.realpath(os.path.join(root, name))
        if not path.startswith(root.rstrip(os.sep) + os.sep):
            module.fail_json(msg=f"documents: {name} leads out of {root}. Use a path below it.", **kept)
        documents[path] = document
    try:
        # What facts are made of is there before they are: whoever finds facts finds that, also of a run that is killed here.
        for path, document in sorted(documents.items(), key=lambda item: not item[0].endswith(".gz")):
            if not module.check_mode:
                write_json(path, document)
        if ended and not module.check_mode:
            keep(root, ended["layer"], ended["record"], time.strftime(TIME, time.gmtime()))
    except DataFileError as error:
        module.fail_json(msg=str(error), **kept)
    module.exit_json(changed=bool(documents), paths=list(documents), **kept)


if __name__ == "__main__":
    main()
