# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An etcd cluster for tests of its maintenance: members with databases that shrink, one leadership, alarms, snapshots; and an etcdutl."""

from __future__ import annotations

import base64
import hashlib
import json
import sys

from ansible_collections.kubeproof.certify.tests.unit.plugins.etcd_fake import FakeEtcd

# A small database is copied quickly.
UNIT = 2**16
CHUNK = 32 * 1024
# What changes something; all else reads.
CHANGING = {
    "/v3/maintenance/snapshot": "snapshot",
    "/v3/maintenance/defragment": "defragment",
    "/v3/maintenance/transfer-leadership": "move",
    "/v3/kv/compaction": "compact",
}
METRICS = "# HELP x y\n# TYPE etcd_disk_defrag_inflight gauge\netcd_disk_defrag_inflight {}\n"
QUOTA = "# TYPE etcd_server_quota_backend_bytes gauge\netcd_server_quota_backend_bytes {:e}\n"
# The revision is in the first bytes of a snapshot.
ETCDUTL = """#!{python}
import json, sys
data = open(sys.argv[3], "rb").read()
assert sys.argv[1:3] == ["snapshot", "status"] and sys.argv[4] == "--write-out=json"
print(json.dumps({{"hash": 7, "revision": int.from_bytes(data[:8], "big"), "totalKey": 3, "totalSize": len(data) - 32, "version": "3.6.0"}}))
"""


class FakeMember(FakeEtcd):
    """One member: its database, how many entries of the raft log it is behind, and `after`, called when it was defragmented."""

    def __init__(self, cluster, name, identity, size, in_use):
        super().__init__()
        self.cluster, self.name, self.identity = cluster, name, identity
        self.size, self.in_use, self.quota, self.version = size, in_use, 256 * UNIT, "3.6.8"
        self.behind, self.defragmenting, self.learner, self.after = 0, 0, False, lambda: None
        self.status, self.damage = {}, lambda messages: messages
        handle_error = self.server.handle_error
        # A client that was killed does not wait for its answer. Anything else is a mistake of this file.
        self.server.handle_error = lambda *about: None if isinstance(sys.exc_info()[1], ConnectionError) else handle_error(*about)

    def respond(self, path, body):
        if path in CHANGING:
            self.cluster.log.append(f"{CHANGING[path]} {self.name}")
        mine = {
            "/metrics": self.metrics,
            "/v3/maintenance/status": self.said,
            "/v3/cluster/member/list": self.cluster.member_list,
            "/v3/maintenance/snapshot": self.snapshot,
            "/v3/maintenance/defragment": self.defragment,
        }
        if path in mine:
            return 200, mine[path]()
        shared = {"/v3/maintenance/alarm": self.cluster.alarm, "/v3/kv/compaction": self.compact, "/v3/maintenance/transfer-leadership": self.cluster.move}
        return shared[path](body) if path in shared else super().respond(path, body)

    def metrics(self):
        return METRICS.format(self.defragmenting) + QUOTA.format(self.quota)

    def said(self):
        header = {"cluster_id": "3054", "member_id": str(self.identity), "revision": str(self.cluster.revision), "raft_term": str(self.cluster.term)}
        index = self.cluster.revision + 300
        self.behind = max(0, self.behind - 1)
        return {
            "header": header, "version": self.version, "dbSize": str(self.size), "dbSizeInUse": str(self.in_use), "dbSizeQuota": str(self.quota),
            "leader": str(self.cluster.leader), "raftIndex": str(index), "raftAppliedIndex": str(index - self.behind), "raftTerm": str(self.cluster.term),
            "downgradeInfo": {}, **self.status,
        }  # fmt: skip

    def snapshot(self):
        data = self.cluster.revision.to_bytes(8, "big").ljust(self.size, b"k")
        blobs = [data[start : start + CHUNK] for start in range(0, self.size, CHUNK)] + [hashlib.sha256(data).digest()]
        messages = [json.dumps({"result": {"blob": base64.b64encode(blob).decode(), "version": "3.6.0"}}) for blob in blobs]
        return "\n".join(self.damage(messages)) + "\n"

    def compact(self, body):
        """All compact, but only the member that is asked says at once what it can give back, as etcd does when nothing is written."""
        revision = int(body["revision"])
        if revision <= self.cluster.compacted:
            return 400, {"error": "etcdserver: mvcc: required revision has been compacted", "code": 11}
        assert body["physical"] is True and revision < self.cluster.revision
        self.cluster.compacted = revision
        self.in_use //= 2
        return 200, {}

    def defragment(self):
        self.size = self.in_use
        self.after()
        return {}


class FakeCluster:
    """Members etcd1, etcd2 (which leads), ...; `log` is what changed something, in its order."""

    def __init__(self, members=3, size=8 * UNIT, in_use=UNIT, leader="etcd2"):
        self.log, self.term, self.revision, self.alarms, self.compacted = [], 2, 50000, [], 0
        self.after_clear = lambda: None
        self.members = {f"etcd{number}": FakeMember(self, f"etcd{number}", 1000 + number, size, in_use) for number in range(1, members + 1)}
        self.leader = self.members[leader].identity
        for member in self.members.values():
            member.revision = self.revision

    def close(self):
        for member in self.members.values():
            member.close()

    @property
    def url(self):
        return self.members["etcd1"].url

    def member_list(self):
        return {"members": [
            {"ID": str(one.identity), "name": one.name, "clientURLs": [one.url], **({"isLearner": True} if one.learner else {})}
            for one in self.members.values()
        ]}  # fmt: skip

    def lead(self, name):
        """Let another member lead, in a new term."""
        self.leader, self.term = self.members[name].identity, self.term + 1

    def move(self, body):
        self.lead(next(one.name for one in self.members.values() if str(one.identity) == body["targetID"]))
        return 200, {}

    def alarm(self, body):
        if body["action"] == "GET":
            return 200, {"alarms": [{"memberID": str(self.members[name].identity), "alarm": kind} for name, kind in self.alarms]}
        self.log.append(f"clear {next(one.name for one in self.members.values() if str(one.identity) == body['memberID'])}")
        self.alarms = [(name, kind) for name, kind in self.alarms if str(self.members[name].identity) != body["memberID"] or kind != body["alarm"]]
        self.after_clear()
        return 200, {}


def write_etcdutl(path, text=ETCDUTL):
    """Write an etcdutl that says of a snapshot of ours what etcd's own would; return its path."""
    path.write_text(text.format(python=sys.executable))
    path.chmod(0o755)
    return str(path)
