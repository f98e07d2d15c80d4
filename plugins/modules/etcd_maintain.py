#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_maintain
short_description: Maintain an etcd cluster, member by member
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - Takes a snapshot and proves it, compacts, defragments the members that are worth it one after the other with the leader last, and clears alarms whose
    cause is gone.
  - Between two members it waits until all are healthy, have applied the raft log, and still agree on the same leader. At the first member that is not as it
    should be it stops, and says which, what was done, and what to do.
  - When no member is worth it and nothing is to be compacted, nothing is written, and no snapshot is taken.
  - Talks to the gRPC gateway on the members' client URLs, from the host that it runs on.
options:
  endpoint:
    description: Client URL of one member of etcd, and the credentials that all members take.
    type: dict
    required: true
    suboptions:
      url:
        description: Client URL, without a path.
        type: str
        required: true
      ca:
        description: CA file that signed the certificates of etcd.
        type: path
      cert:
        description: Client certificate file.
        type: path
      key:
        description: Key file of the client certificate.
        type: path
      timeout:
        description: Seconds to wait for an answer that needs no work.
        type: float
        default: 10.0
  endpoints:
    description: Client URLs of all members, in place of those that they advertise.
    type: list
    elements: str
    default: []
  free:
    description:
      - Bytes that are free beside the data of each member, by its id as M(kubeproof.certify.etcd_info) has it. A member without room for a copy of what is in
        use is not touched, and stops the maintenance.
      - etcd does not say it, so of members that are not named it is not known.
    type: dict
    default: {}
  local:
    description: The member on this host. The room on its disk is read when it is needed, so that a snapshot on the same disk counts.
    type: dict
    suboptions:
      id:
        description: Its id, as M(kubeproof.certify.etcd_info) has it.
        type: str
        required: true
      data_dir:
        description: Its data directory.
        type: path
        required: true
  snapshot_directory:
    description: Directory on this host for snapshots. It is held alone while the maintenance runs.
    type: path
    required: true
  snapshot_keep:
    description: How many snapshots of this cluster to keep. Files that were not written here are never deleted.
    type: int
    default: 3
  compact:
    description: Whether to compact. V(auto) leaves it to the API server where one does it (the key C(compact_rev_key) exists).
    type: str
    choices: [auto, always, never]
    default: auto
  keep_revisions:
    description: How many of the newest revisions a compaction leaves.
    type: int
    default: 10000
  reclaimable:
    description: Share of its database that a member must be able to give back to be defragmented.
    type: float
    default: 0.5
  reclaimable_bytes:
    description: Bytes that a member must be able to give back to be defragmented.
    type: int
    default: 536870912
  alarm_share:
    description: The alarm NOSPACE is cleared when the database of every member is below this share of its quota. While it is set, a member is
      defragmented if that takes it there.
    type: float
    default: 0.8
  move_leader:
    description: Hand the leadership to a member that was defragmented before the leader's turn. Any other change of the leader stops the maintenance.
    type: bool
    default: false
  settle:
    description: Seconds to wait for the members to be healthy and to agree, before and after each step.
    type: float
    default: 60.0
  timeout:
    description: Seconds that one snapshot, compaction or defragmentation may take.
    type: float
    default: 600.0
  etcdutl:
    description: Path of etcdutl on this host, which proves the snapshot.
    type: path
    required: true
attributes:
  check_mode:
    description: Says what would be done and what it would give back; changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Maintain etcd
  kubeproof.certify.etcd_maintain:
    endpoint:
      url: https://10.0.0.11:2379
      ca: /etc/ssl/etcd/ssl/ca.pem
      cert: /etc/ssl/etcd/ssl/admin-etcd1.pem
      key: /etc/ssl/etcd/ssl/admin-etcd1-key.pem
    snapshot_directory: /var/lib/kubeproof/etcd-snapshots
    etcdutl: /usr/local/bin/etcdutl
  become: true
"""

RETURN = r"""
facts:
  description:
    - What was found, planned and done, also when it fails. In check mode what would be done.
    - A member has C(seconds) only if it was defragmented, and C(reason) if it was left out.
    - C(full) is why the alarm could not be cleared at the beginning, C(cleared) which alarms were, C(moved) where the leadership was handed to.
  returned: when the cluster answers
  type: dict
  sample:
    changed: true
    cluster_id: b4898f17075c799b
    version: 3.6.8
    revision: 34760
    leader: etcd2
    raft_term: 2
    reclaimable: 56426496
    compaction: {reason: The API server compacts (compact_rev_key exists).}
    snapshot:
      path: /var/lib/kubeproof/etcd-snapshots/etcd-b4898f17075c799b-20261121T191747Z-r34760.db
      member: etcd1
      sha256: 1ae591999a62d661d489b90c3a15c304cdbd55b31309a344d4d39443c431642c
      hash: 544090698
      revision: 34760
      keys: 467
      size: 34258944
      seconds: 1.036
      removed: []
    members:
      etcd1: {before: 34258944, reclaimable: 28213248, share: 0.8235, due: true, after: 6045696, seconds: 0.21}
      etcd3: {before: 34258944, reclaimable: 28213248, share: 0.8235, due: true, after: 6045696, seconds: 0.19}
      etcd2: {before: 8388608, reclaimable: 2097152, share: 0.25, due: false, reason: "25% can be given back, …", after: 8388608}
    moves: false
    alarms: []
    seconds: 4.2
steps:
  description: What was done, in sentences.
  returned: always
  type: list
  elements: str
  sample: ["etcd1: taking a snapshot."]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubeproof.certify.plugins.module_utils import web
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_maintenance import Stop, maintain
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_maintenance_look import Cluster
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_maintenance_plan import SETTINGS, PlanError, check_settings

SPEC = {
    "endpoint": {"type": "dict", "required": True, "options": {name: web.ENDPOINT_SPEC[name] for name in ("url", "ca", "cert", "key", "timeout")}},
    "endpoints": {"type": "list", "elements": "str", "default": []},
    "free": {"type": "dict", "default": {}},
    "local": {"type": "dict", "options": {"id": {"type": "str", "required": True}, "data_dir": {"type": "path", "required": True}}},
    "snapshot_directory": {"type": "path", "required": True},
    "snapshot_keep": {"type": "int", "default": 3},
    "compact": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
    "keep_revisions": {"type": "int", "default": 10000},
    "reclaimable": {"type": "float", "default": 0.5},
    "reclaimable_bytes": {"type": "int", "default": 512 * 2**20},
    "alarm_share": {"type": "float", "default": 0.8},
    "move_leader": {"type": "bool", "default": False},
    "settle": {"type": "float", "default": 60.0},
    "timeout": {"type": "float", "default": 600.0},
    "etcdutl": {"type": "path", "required": True},
}


def main():
    """Read the arguments, maintain the cluster, return facts."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    options, steps = module.params, []
    try:
        settings = check_settings({name: options[name] for name in SETTINGS})
        if not all(isinstance(size, int) for size in options["free"].values()):
            raise PlanError(f"free is {options['free']}. Write bytes by the id of each member.")
        cluster = Cluster(urls=options["endpoints"], free=options["free"], local=options["local"], **options["endpoint"])
        facts = maintain(cluster, settings, module.check_mode, steps.append)
    except Stop as stop:
        module.fail_json(msg=str(stop), facts=stop.facts, steps=steps, changed=stop.facts["changed"])
    except (PlanError, web.HttpError) as error:
        module.fail_json(msg=str(error), steps=steps)
    module.exit_json(changed=facts["changed"], facts=facts, steps=steps)


if __name__ == "__main__":
    main()
