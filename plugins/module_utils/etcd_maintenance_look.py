# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every member of an etcd cluster says before, between and after its maintenance; reads only, standard library alone."""

from __future__ import annotations

import contextlib

from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_status, openmetrics, web
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_gateway import Gateway
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_maintenance_plan import NO_LEADER
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_maintenance_snapshot import free
from ansible_collections.kubeproof.certify.plugins.module_utils.web import Endpoint, HttpError

# What a member says only in its metrics: whether it is being defragmented, and before etcd 3.6 its quota.
METRICS = {"etcd_disk_defrag_inflight": "defragmenting", "etcd_server_quota_backend_bytes": "quota_backend_bytes"}
COMPACTED_BY_API_SERVER = b"compact_rev_key"
CHUNK = 2**16
# What etcd answers that is no answer: another server, or a version that this was not written for.
STRANGE = (AttributeError, KeyError, TypeError, ValueError, openmetrics.ExpositionError)


class Cluster:
    """The members of the cluster that `url` belongs to; `urls` stand for those that the members advertise.

    etcd does not say how much room the disk of a member has: `free` {member id: bytes} is what was found beforehand, and `local` {id, data_dir} the
    member on this host, whose disk is read whenever it is looked at.
    """

    def __init__(self, url, ca=None, cert=None, key=None, timeout=web.TIMEOUT, urls=(), free=None, local=None):
        self.url, self.urls, self.timeout, self.free, self.local = url, list(urls), timeout, free or {}, local or {}
        self.secrets = {"ca": ca, "cert": cert, "key": key}

    def endpoint(self, url, timeout=None):
        """Return the Endpoint of a client URL."""
        return Endpoint(url, timeout=timeout or self.timeout, **self.secrets)

    def call(self, url, path, body, timeout=None):
        """Return what the member at `url` answers to one request; HttpError when it does not."""
        with Gateway(self.endpoint(url, timeout)) as gateway:
            return gateway.call(path, body)

    def look(self):
        """Return {cluster_id, revision, apiserver_compacts, alarms, members: {name: facts}}; HttpError when the cluster does not answer at all.

        A member that does not answer as it should has its `error`.
        """
        try:
            with Gateway(self.endpoint(self.url)) as gateway:
                status = gateway.call("/v3/maintenance/status", {})
                # Without a leader every other question waits until it times out.
                if str(status.get("leader", NO_LEADER)) == NO_LEADER:
                    raise HttpError(f"{self.url} knows no leader: too few members run for a majority (no quorum).")
                known = etcd_status.members(gateway.call("/v3/cluster/member/list", {}))["members"]
                alarms = gateway.call("/v3/maintenance/alarm", {"action": "GET"}).get("alarms", [])
                seen = {
                    "cluster_id": f"{int(status['header']['cluster_id']):x}",
                    "revision": gateway.revision(),
                    "apiserver_compacts": bool(gateway.existing([COMPACTED_BY_API_SERVER])),
                }
            names = {member["id"]: name for name, member in known.items()}
            ids = [(one.get("alarm", "NONE"), f"{int(one['memberID']):x}") for one in alarms]
        except STRANGE as error:
            reason = f"{type(error).__name__} {error}"
            raise HttpError(f"{self.url} does not answer as etcd does ({reason}). Set the endpoint to a client URL of etcd.") from error
        seen["alarms"] = [{"kind": kind, "member": names.get(member, member), "id": member} for kind, member in ids]
        seen["members"] = self._members(known)
        return seen

    def _members(self, known):
        """Return {name: facts} of the members that are in the member list, in the order of their names."""
        places = self._places(known)
        return {name: self._member(known[name], places.get(known[name]["id"])) for name in sorted(known)}

    def _places(self, known):
        """Return {member id: URL}: the first that each advertises, or the one of `urls` that leads to it."""
        if not self.urls:
            return {member["id"]: member["urls"][0] for member in known.values() if member["urls"]}
        found = {}
        for url in self.urls:
            try:
                found.setdefault(etcd_status.status(self.call(url, "/v3/maintenance/status", {}))["member_id"], url)
            except (HttpError, *STRANGE):
                # The member that it would have led to is then the one that cannot be reached.
                continue
        return found

    def _member(self, member, url):
        """Return what one member says of itself; `error` when it does not answer, or is not the one that was meant."""
        facts = {"id": member["id"], "url": url, "learner": member["learner"], "downgrade": False, "free": self._free(member["id"])}
        if url is None:
            reason = "none of the endpoints leads to it." if self.urls else "it has not started: it advertises no client URL."
            return dict(facts, error=reason)
        try:
            with Gateway(self.endpoint(url)) as gateway:
                answer = gateway.call("/v3/maintenance/status", {})
                facts.update(etcd_status.status(answer), version=answer["version"], downgrade=bool(answer.get("downgradeInfo", {}).get("enabled")))
                facts.update(index=int(answer["raftIndex"]), applied=int(answer["raftAppliedIndex"]))
                if facts["member_id"] != member["id"]:
                    return dict(facts, error=f"at {url} answers the member {facts['member_id']} and not {member['id']}.")
                if facts["leader_id"] != NO_LEADER:
                    # A read that needs the agreement of the majority.
                    gateway.revision()
            facts.update(self._metrics(url, facts))
        except HttpError as error:
            facts["error"] = str(error)
        except STRANGE as error:
            facts["error"] = f"{url} does not answer as etcd does ({type(error).__name__} {error})."
        return facts

    def _free(self, member):
        """Return the bytes that are free beside the data of a member, or None."""
        if member == self.local.get("id"):
            with contextlib.suppress(OSError):
                return free(self.local["data_dir"])
        return self.free.get(member)

    def _metrics(self, url, facts):
        """Return what only the metrics say; a metric that is missing stays unknown."""
        with web.request(self.endpoint(url), "/metrics") as response:
            found = openmetrics.read(iter(lambda: response.read(CHUNK), b""), set(METRICS))
        said = {fact: int(series.value) for name, fact in METRICS.items() if name in found for series in found[name].series.values()}
        if "defragmenting" in said:
            said["defragmenting"] = bool(said["defragmenting"])
        # The status says it better: there a quota that is turned off is left out.
        if "quota_backend_bytes" in facts or said.get("quota_backend_bytes", 1) <= 0:
            said.pop("quota_backend_bytes", None)
        return said
