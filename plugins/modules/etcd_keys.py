#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_keys
short_description: Prove absent, or delete, exactly the keys that etcd's benchmark writes
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - C(benchmark put --sequential-keys) writes keys that can be computed from its sizes. This module computes them, proves that none of them exists before
    the load, and deletes exactly them after it, each by its name and never by a range.
  - C(benchmark watch-latency) writes one random key for each run. It is found by its size, its number of versions and the revision it was created after.
  - A key of Kubernetes (C(/registry...), C(compact_rev_key)) or any other key that reads as text is never deleted.
  - Talks to etcd's gRPC gateway, which is on by default and served on the client URLs.
options:
  endpoint:
    description: Client URL of one member of etcd, and the credentials for it.
    type: dict
    required: true
    suboptions:
      url:
        description: Client URL, without a path.
        type: str
        required: true
      ca:
        description: CA file that signed the certificate of etcd.
        type: path
      cert:
        description: Client certificate file.
        type: path
      key:
        description: Key file of the client certificate.
        type: path
      token:
        description: Token of a user of etcd.
        type: str
      timeout:
        description: Seconds to wait for each answer.
        type: float
        default: 10.0
  state:
    description:
      - V(free) fails unless none of the predicted keys exists; it reads, and writes nothing.
      - V(absent) deletes the predicted keys and the keys described by O(watch), reads again, and fails if one is left.
    type: str
    choices: [free, absent]
    default: free
  puts:
    description: The runs of C(benchmark put) whose keys are meant, with the values of its flags C(--total), C(--key-size) and C(--key-space-size).
    type: list
    elements: dict
    default: []
    suboptions:
      total:
        description: Number of puts.
        type: int
        required: true
      key_size:
        description: Size of a key in bytes, at least one more than the longest number needs; 8 is enough for 2**48 keys.
        type: int
        required: true
      key_space_size:
        description: Number of different numbers.
        type: int
        required: true
  prefix:
    description:
      - A prefix of our own, C(/kubeproof-…), that C(etcdctl check perf) was given. It deletes its keys itself, unless it is ended.
      - The keys that begin with it are counted with the predicted ones, and deleted by name.
    type: str
  watch:
    description: Runs of C(benchmark watch-latency) whose random keys shall be deleted. Not used by O(state=free).
    type: dict
    suboptions:
      key_size:
        description: Size of the key in bytes, at least 16.
        type: int
        required: true
      puts:
        description: Number of puts of each run.
        type: int
        required: true
      since:
        description: Revision of etcd before the first of the runs.
        type: int
        required: true
      runs:
        description: Number of runs, and so of keys. If more keys match, none is deleted and the module fails.
        type: int
        default: 1
      partial:
        description: Runs may have been killed, so that a key may have fewer versions or may be missing.
        type: bool
        default: false
attributes:
  check_mode:
    description: Counts what would be deleted, and deletes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Prove that the keys of the benchmark are free
  kubeproof.certify.etcd_keys:
    endpoint: "{{ etcd_endpoint }}"
    puts: [{total: 30000, key_size: 256, key_space_size: 10000}]
    state: free

- name: Delete the keys of the benchmark
  kubeproof.certify.etcd_keys:
    endpoint: "{{ etcd_endpoint }}"
    puts: [{total: 30000, key_size: 256, key_space_size: 10000}]
    watch: {key_size: 32, puts: 1000, since: 34760}
    state: absent
"""

RETURN = r"""
facts:
  description: What was found and done.
  returned: success, and failure when keys are in the way or left
  type: dict
  sample: {predicted: 10064, deleted: 10064, left: 0, revision: 75123, watch: {found: 1, deleted: 1, left: 0}}
  contains:
    predicted:
      description: Number of different keys that the runs of C(benchmark put) write.
      type: int
      sample: 10064
    present:
      description: How many of them exist.
      returned: O(state=free) or check mode
      type: int
      sample: 0
    deleted:
      description: How many of them were deleted.
      returned: O(state=absent), not in check mode
      type: int
      sample: 10064
    left:
      description: How many of them exist after the deletion.
      returned: O(state=absent), not in check mode
      type: int
      sample: 0
    revision:
      description: Revision of etcd at the last answer.
      type: int
      sample: 75123
    watch:
      description: Number of random keys of C(benchmark watch-latency) that were found, deleted, and are left.
      returned: O(state=absent) with O(watch)
      type: dict
      sample: {found: 1, deleted: 1, left: 0}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_keyspace
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_gateway import Gateway
from ansible_collections.kubeproof.certify.plugins.module_utils.web import ENDPOINT_SPEC, Endpoint, HttpError

# Prediction is done in memory on a host of etcd, which needs its memory itself.
PREDICTED_BYTES = 2**28
RANDOM_KEY_SIZE = 16
NUMBER = {"type": "int", "required": True}
SPEC = {
    "endpoint": {"type": "dict", "required": True, "options": ENDPOINT_SPEC},
    "state": {"type": "str", "choices": ["free", "absent"], "default": "free"},
    "prefix": {"type": "str"},
    "puts": {"type": "list", "elements": "dict", "default": [], "options": {"total": NUMBER, "key_size": NUMBER, "key_space_size": dict(NUMBER, no_log=False)}},
    "watch": {
        "type": "dict",
        "options": {
            "key_size": NUMBER,
            "puts": NUMBER,
            "since": NUMBER,
            "runs": {"type": "int", "default": 1},
            "partial": {"type": "bool", "default": False},
        },
    },
}


class KeysInTheWay(Exception):
    """Keys exist that must not; `facts` has the numbers."""

    def __init__(self, message, facts):
        super().__init__(message)
        self.facts = facts


def predict(puts):
    """Return the sorted keys of all runs; KeyspaceError if they would fill the memory of the host."""
    size = sum(min(run["total"], run["key_space_size"]) * (run["key_size"] + 64) for run in puts)
    if size > PREDICTED_BYTES:
        raise etcd_keyspace.KeyspaceError(f"The predicted keys need {size} bytes, more than {PREDICTED_BYTES}: lower key_space_size or key_size.")
    return sorted(set().union(*(etcd_keyspace.benchmark_keys(**run) for run in puts)))


def prove_free(gateway, keys):
    """Return the facts when none of `keys` exists, else raise KeysInTheWay."""
    found = gateway.existing(keys)
    facts = {"predicted": len(keys), "present": len(found), "revision": gateway.revision()}
    if found:
        raise KeysInTheWay(
            f"{len(found)} of the {len(keys)} keys that benchmark would write exist already (the first begins with {found[0][:16].hex()} in hex). "
            "They are left by a run of benchmark or belong to somebody: delete them with state absent if a killed run left them, or change key_size.",
            facts,
        )
    return facts


def remove(gateway, keys):
    """Delete `keys`, read again and return the facts; KeysInTheWay when one is left."""
    deleted = gateway.delete(keys)
    left = gateway.existing(keys)
    facts = {"predicted": len(keys), "deleted": deleted, "left": len(left), "revision": gateway.revision()}
    if left:
        raise KeysInTheWay(f"{len(left)} of {len(keys)} keys of benchmark are left after the deletion: end what still writes them, then run again.", facts)
    return facts


def remove_watched(gateway, watch, dry):
    """Delete the random keys of watch-latency and return {found, deleted, left}; KeysInTheWay when they cannot be told from others."""
    if watch["key_size"] < RANDOM_KEY_SIZE:
        raise etcd_keyspace.KeyspaceError(f"watch.key_size is {watch['key_size']}: a random key needs at least {RANDOM_KEY_SIZE} bytes to be told from others.")
    search = (watch["key_size"], watch["puts"], watch["since"], watch["partial"])
    found = gateway.watch_keys(*search)
    facts = {"found": len(found), "deleted": 0, "left": len(found)}
    if len(found) > watch["runs"] or (len(found) < watch["runs"] and not watch["partial"]):
        raise KeysInTheWay(
            f"{len(found)} keys look like those of {watch['runs']} runs of watch-latency ({watch['key_size']} bytes, {watch['puts']} puts, created after "
            f"revision {watch['since']}), so none was deleted: {', '.join(one['key'].hex() for one in found[:5]) or 'no key'} (hex). Correct watch, or set "
            "partial if a run was killed.",
            {"watch": facts},
        )
    if not dry:
        facts["deleted"] = sum(gateway.delete_unchanged(record) for record in found)
        facts["left"] = len(gateway.watch_keys(*search))
    if not dry and facts["left"]:
        raise KeysInTheWay(f"{facts['left']} random keys of watch-latency are left: end what still writes them, then run again.", {"watch": facts})
    return facts


def main():
    """Read the arguments, ask etcd, return facts."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    options = module.params
    watch = options["watch"] if options["state"] == "absent" else None
    facts = {}
    try:
        keys = predict(options["puts"])
        with Gateway(Endpoint(**options["endpoint"])) as gateway:
            keys += gateway.own_keys(options["prefix"]) if options["prefix"] else []
            if options["state"] == "free":
                facts = prove_free(gateway, keys)
            elif module.check_mode:
                facts = {"predicted": len(keys), "present": len(gateway.existing(keys)), "revision": gateway.revision()}
            else:
                facts = remove(gateway, keys)
            if watch:
                facts["watch"] = remove_watched(gateway, watch, module.check_mode)
                facts["revision"] = gateway.revision()
    except KeysInTheWay as error:
        module.fail_json(msg=str(error), facts=dict(facts, **error.facts))
    except (HttpError, etcd_keyspace.KeyspaceError) as error:
        # Facts that are there say what was done before the error; none must not look like an answer.
        module.fail_json(msg=str(error), **({"facts": facts} if facts else {}))
    pending = facts.get("present", 0) if module.check_mode else facts.get("deleted", 0)
    seen = facts.get("watch", {})
    changed = options["state"] == "absent" and bool(pending or seen.get("found" if module.check_mode else "deleted"))
    module.exit_json(changed=changed, facts=facts)


if __name__ == "__main__":
    main()
