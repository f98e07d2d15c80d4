#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_keys
short_description: Delete exactly the keys that etcd's benchmark writes
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - C(benchmark put --sequential-keys) writes keys that can be computed from its sizes. This module computes them and deletes exactly them after the load,
    each by its name and never by a range, reads again, and fails if one is left. That none of them exists before the load is for
    M(kubeproof.certify.etcd_ask) to tell.
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
    description: Runs of C(benchmark watch-latency) whose random keys shall be deleted too.
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
- name: Delete the keys of the benchmark
  kubeproof.certify.etcd_keys:
    endpoint: "{{ etcd_endpoint }}"
    puts: [{total: 30000, key_size: 256, key_space_size: 10000}]
    watch: {key_size: 32, puts: 1000, since: 34760}
"""

RETURN = r"""
facts:
  description: What was found and done.
  returned: success, and failure when keys are left
  type: dict
  sample: {predicted: 10064, deleted: 10064, left: 0, revision: 75123, watch: {found: 1, deleted: 1, left: 0}}
  contains:
    predicted:
      description: Number of different keys that the runs of C(benchmark put) write.
      type: int
      sample: 10064
    present:
      description: How many of them exist.
      returned: check mode
      type: int
      sample: 0
    deleted:
      description: How many of them were deleted.
      returned: not in check mode
      type: int
      sample: 10064
    left:
      description: How many of them exist after the deletion.
      returned: not in check mode
      type: int
      sample: 0
    revision:
      description: Revision of etcd at the last answer.
      type: int
      sample: 75123
    watch:
      description: Number of random keys of C(benchmark watch-latency) that were found, deleted, and are left.
      returned: with O(watch)
      type: dict
      sample: {found: 1, deleted: 1, left: 0}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_keyspace
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_gateway import Gateway
from ansible_collections.kubeproof.certify.plugins.module_utils.web import ENDPOINT_SPEC, Endpoint, HttpError

RANDOM_KEY_SIZE = 16
NUMBER = etcd_keyspace.NUMBER
SPEC = {
    "endpoint": {"type": "dict", "required": True, "options": ENDPOINT_SPEC},
    "prefix": {"type": "str"},
    "puts": etcd_keyspace.PUTS_SPEC,
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


class KeysLeft(Exception):
    """Keys are there that were to be deleted; `facts` has the numbers."""

    def __init__(self, message, facts):
        super().__init__(message)
        self.facts = facts


def remove(gateway, keys):
    """Delete `keys`, read again and return the facts; KeysLeft when one is left."""
    deleted = gateway.delete(keys)
    left = gateway.existing(keys)
    facts = {"predicted": len(keys), "deleted": deleted, "left": len(left), "revision": gateway.revision()}
    if left:
        raise KeysLeft(f"{len(left)} of {len(keys)} keys of benchmark are left after the deletion: end what still writes them, then run again.", facts)
    return facts


def remove_watched(gateway, watch, dry):
    """Delete the random keys of watch-latency and return {found, deleted, left}; KeysLeft when they cannot be told from others."""
    if watch["key_size"] < RANDOM_KEY_SIZE:
        raise etcd_keyspace.KeyspaceError(f"watch.key_size is {watch['key_size']}: a random key needs at least {RANDOM_KEY_SIZE} bytes to be told from others.")
    search = (watch["key_size"], watch["puts"], watch["since"], watch["partial"])
    found = gateway.watch_keys(*search)
    facts = {"found": len(found), "deleted": 0, "left": len(found)}
    if len(found) > watch["runs"] or (len(found) < watch["runs"] and not watch["partial"]):
        raise KeysLeft(
            f"{len(found)} keys look like those of {watch['runs']} runs of watch-latency ({watch['key_size']} bytes, {watch['puts']} puts, created after "
            f"revision {watch['since']}), so none was deleted: {', '.join(one['key'].hex() for one in found[:5]) or 'no key'} (hex). Correct watch, or set "
            "partial if a run was killed.",
            {"watch": facts},
        )
    if not dry:
        facts["deleted"] = sum(gateway.delete_unchanged(record) for record in found)
        facts["left"] = len(gateway.watch_keys(*search))
    if not dry and facts["left"]:
        raise KeysLeft(f"{facts['left']} random keys of watch-latency are left: end what still writes them, then run again.", {"watch": facts})
    return facts


def main():
    """Read the arguments, ask etcd, return facts."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    options, facts = module.params, {}
    try:
        with Gateway(Endpoint(**options["endpoint"])) as gateway:
            keys = gateway.meant(options["puts"], options["prefix"])
            facts = gateway.seen(keys) if module.check_mode else remove(gateway, keys)
            if options["watch"]:
                facts["watch"] = remove_watched(gateway, options["watch"], module.check_mode)
                facts["revision"] = gateway.revision()
    except KeysLeft as error:
        module.fail_json(msg=str(error), facts=dict(facts, **error.facts))
    except (HttpError, etcd_keyspace.KeyspaceError) as error:
        # Facts that are there say what was done before the error; none must not look like an answer.
        module.fail_json(msg=str(error), **({"facts": facts} if facts else {}))
    ours, random = ("present", "found") if module.check_mode else ("deleted", "deleted")
    module.exit_json(changed=bool(facts[ours] or facts.get("watch", {}).get(random)), facts=facts)


if __name__ == "__main__":
    main()
