#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: soak_result
short_description: What the recordings of a soak prove
version_added: "0.1.0"
description:
  - Reads the recordings that M(kubeproof.certify.soak_watch) has collected, and says whether etcd elected a leader in that time.
  - The raft term and the counter of leader changes must agree, every member must have been watched, and no gap may have hidden an election.
author: kubeproof authors (@kubeproof)
options:
  recordings:
    description:
      - Path of each host's recording, compressed with gzip or not.
      - One that is not there is missing, and then nothing proves that there was no election.
    type: dict
    required: true
  members:
    description: The hosts of all members.
    type: list
    elements: str
    required: true
  needed:
    description: Seconds that a soak must last to fill the checklist.
    type: float
    default: 86400
  seconds:
    description: Seconds that are asked for where a shorter soak than O(needed) is wanted, for C(in_vain).
    type: float
  goes_on:
    description: Whether recordings that have not ended go on, for C(in_vain). One that was copied does not.
    type: bool
    default: true
  put_rate:
    description: Declared writes per second, with which the rate of the time is compared.
    type: float
  since:
    description: Seconds since the epoch. A recording that ended before proves nothing. Without it any age will do.
    type: float
  cluster:
    description: The id of the etcd cluster in hexadecimal. A recording of another proves nothing. Without it any cluster will do.
    type: str
  raw:
    description:
      - Directory in which the recordings are kept, compressed; those that are there already stay. C(<raw>.json) beside it gets what was asked of them, by
        which M(kubeproof.certify.verify) reads them again.
    type: path
attributes:
  check_mode:
    description: Reads the same, and keeps nothing in O(raw).
    support: full
"""

EXAMPLES = r"""
- name: Read the recordings
  kubeproof.certify.soak_result:
    recordings: {etcd1: results/soak/etcd1.gz, etcd2: results/soak/etcd2.gz, etcd3: results/soak/etcd3.gz}
    members: [etcd1, etcd2, etcd3]
  delegate_to: localhost
"""

RETURN = r"""
facts:
  description:
    - The document of the cluster and those of its C(hosts). C(soak.elections) is there only when it is proved; C(missing) says why it is not.
  returned: success
  type: dict
  sample:
    cluster:
      soak: {id: 20261121t160000z-5c1f, seconds: 86400.0, planned: 86400, coverage: 0.9998, terms: 0, changes: 0, leaders: 1, rate: 61.2, seen: 0, elections: 0}
      missing: {}
    hosts:
      etcd1:
        soak: {coverage: 0.9998, samples: 17278, longest_gap: 15.0, restarts: 0, watcher_starts: 1, boots: 1, clock_steps: 0, clock_step: 0.0}
verdict:
  description: PASS, FAIL or INCONCLUSIVE, and a sentence.
  returned: success
  type: dict
  sample: {result: PASS, sentence: "No leader election in 86400 s, by raft term and by counter, 99.98% covered."}
in_vain:
  description:
    - Why these recordings can no longer become a soak without an election, whatever comes, and what to do; or empty.
    - They are damaged, of another than O(cluster), ended before O(since), are too short, have too many gaps or an election in them, or one is missing.
  returned: success
  type: str
  sample: ""
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubeproof.certify.plugins.module_utils import soak_raw
from ansible_collections.kubeproof.certify.plugins.module_utils.files import DataFileError
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_facts import in_vain, verdict

ASKED = ("members", "needed", "put_rate", "since", "cluster")


def main():
    """Read the arguments, read the recordings, return facts."""
    spec = {
        "recordings": {"type": "dict", "required": True},
        "members": {"type": "list", "elements": "str", "required": True},
        "needed": {"type": "float", "default": 86400},
        "seconds": {"type": "float"},
        "goes_on": {"type": "bool", "default": True},
        "put_rate": {"type": "float"},
        "since": {"type": "float"},
        "cluster": {"type": "str"},
        "raw": {"type": "path"},
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    options = module.params
    how = {"source": soak_raw.WATCHER, **{name: options[name] for name in ASKED}}
    paths = {host: path for host, path in options["recordings"].items() if os.path.exists(path)}
    keeps = bool(paths and options["raw"]) and not module.check_mode
    try:
        paths = soak_raw.keep_recordings(options["raw"], paths) if keeps else paths
        there = {host: soak_raw.recording(path) for host, path in paths.items()}
        facts = soak_raw.facts(there, how)
        if keeps:
            soak_raw.say(options["raw"], list(paths.values()), {**how, "of": list(paths)})
    except DataFileError as error:
        module.fail_json(msg=str(error))
    least = min(options["needed"], options["needed"] if options["seconds"] is None else options["seconds"])
    vain = in_vain(there, options["members"], least, goes_on=options["goes_on"], since=options["since"], cluster=options["cluster"])
    module.exit_json(changed=False, facts=facts, verdict=verdict(facts["cluster"]), in_vain=vain)


if __name__ == "__main__":
    main()
