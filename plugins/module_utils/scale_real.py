# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the real nodes of a cluster are Ready while hollow ones are loaded: by one watch, since a list for each look is a load of its own."""

from __future__ import annotations

from . import apiserver_state, pod_watch
from .scale_hollow import HOLLOW_LABEL

NODES = "/api/v1/nodes"


class RealNodes:
    """Follows the nodes that are not hollow. `reason` is a sentence as soon as fewer are Ready than `wanted`; 0 follows none."""

    def __init__(self, server, wanted):
        self.wanted, self.reason, self.ready, self.names, self.listed = wanted, None, {}, {}, False
        self.follower = pod_watch.Follower(server, NODES, {"labelSelector": f"!{HOLLOW_LABEL}"}, self.see, self.see_all) if wanted else None

    def __enter__(self):
        if self.follower:
            # From a list: one that was lost before is missed, too.
            self.follower.version = ""
            self.follower.start()
        return self

    def __exit__(self, *exception):
        if self.follower:
            self.follower.stop()

    def see(self, kind, item, dummy):
        """Take an event of the watch."""
        uid = pod_watch.text_of(item, "metadata", "uid")
        self.names[uid] = pod_watch.text_of(item, "metadata", "name")
        self.ready[uid] = kind != "DELETED" and apiserver_state.is_ready(item.get("status") or {})
        self._judge()

    def see_all(self, uids, dummy):
        """Take the UIDs of a whole list: who is not in it is gone."""
        self.ready.update({uid: False for uid in self.ready if uid not in uids})
        self.listed = True
        self._judge()

    def _judge(self):
        ready = sum(self.ready.values())
        if self.listed and not self.reason and ready < self.wanted:
            ill = sorted(self.names[uid] for uid in self.ready if not self.ready[uid])
            self.reason = f"only {ready} of {self.wanted} real nodes are Ready" + (f", without {', '.join(ill[:3])}" if ill else "")
