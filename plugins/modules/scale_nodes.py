#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scale_nodes
short_description: Add hollow nodes to a cluster, and take them away
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - O(state=present) has nodes played by a Job of the run, which ends by itself after O(deadline), and waits until all of them are Ready.
    With C(kubemark) each is a real kubelet and a real kube-proxy without a machine, in a pod of its own; with C(kwok) one pod plays all.
  - The nodes carry the labels of the run, a taint, and a label for an operating system that no DaemonSet selects.
  - O(state=absent) ends the Jobs, then deletes the nodes and their leases, and verifies that all of it is gone.
  - Runs on the controller.
options:
  state:
    description: Whether the nodes are there.
    type: str
    choices: [present, absent]
    default: present
  kubeconfig:
    description: Path of the kubeconfig.
    type: path
    required: true
  run_id:
    description: Value of the label C(kubeproof.io/run).
    type: str
    required: true
  namespace:
    description: The run's namespace, with the account and the configuration of hollow nodes.
    type: str
    required: true
  kind:
    description: What plays the nodes.
    type: str
    choices: [kubemark, kwok]
    default: kubemark
  name:
    description: Name of the Job.
    type: str
    default: hollow
  prefix:
    description: Begin of the nodes' names; a dash and a number follow.
    type: str
    default: hollow
  count:
    description: Number of nodes.
    type: int
    default: 1
  image:
    description: Image with the program, at C(/usr/local/bin/kubemark) or C(/usr/local/bin/kwok).
    type: str
    default: ""
  resources:
    description: Resources of each container that plays, as in a pod.
    type: dict
    default: {}
  tolerations:
    description: Tolerations of the pods that play.
    type: list
    elements: dict
    default: []
  deadline:
    description: Seconds after which the Job ends by itself.
    type: int
    default: 3600
  timeout:
    description: Seconds in which all nodes have to be Ready, or gone.
    type: float
    default: 180
  nodes_ready:
    description: How many nodes that are not hollow were Ready before the load. With fewer the load ends; 0 follows none of them.
    type: int
    default: 0
requirements:
  - kubernetes
extends_documentation_fragment: [kubeproof.certify.watch]
attributes:
  check_mode:
    description: Never runs in check mode.
    details: Fails instead.
    support: partial
"""

EXAMPLES = r"""
- name: Add twenty hollow nodes
  kubeproof.certify.scale_nodes:
    kubeconfig: /home/me/run/load.kubeconfig
    run_id: 20261121t040000z-1a2b
    namespace: kubeproof-20261121t040000z-1a2b-scale
    prefix: hollow-20261121t040000z-1a2b-1
    count: 20
    image: registry.example.com/kubemark:v1.36.3
  register: hollow
"""

RETURN = r"""
facts:
  description: What was measured, in seconds.
  returned: O(state=present)
  type: dict
  contains:
    asked: {description: Nodes that were asked for., type: int}
    ready: {description: Nodes that are Ready., type: int}
    seconds: {description: From the request until the last one was Ready., type: float}
    joined: {description: Distribution from the request to Ready., type: dict}
  sample: {asked: 20, ready: 20, seconds: 14.2, joined: {count: 20, p50: 9.1, p90: 12.8, p95: 13.9, p99: 14.2, max: 14.2}}
aborted:
  description: An abort condition was met or could not be watched. Nothing that was measured until then is returned.
  returned: when an abort condition ended the load
  type: bool
  sample: true
left:
  description: How many Jobs, pods, nodes and leases are left.
  returned: O(state=absent)
  type: int
  sample: 0
"""

import time
from concurrent.futures import ThreadPoolExecutor

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.kubeproof.certify.plugins.module_utils import apiserver_state, cluster, owned, pod_rows, pod_watch, scale_hollow
from ansible_collections.kubeproof.certify.plugins.module_utils.run import caught, signal_name
from ansible_collections.kubeproof.certify.plugins.module_utils.scale_real import RealNodes
from ansible_collections.kubeproof.certify.plugins.module_utils.watch import WATCH_SPEC, Ends, WatchError, watch_of

NODES = "/api/v1/nodes"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
THREADS = 16
POLL = 0.5
LOOK_AGAIN = 5.0
# A foreground deletion: the Job is gone when its pods are.
FOREGROUND = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground"}
SPEC = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "kubeconfig": {"type": "path", "required": True},
    "run_id": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": list(("kubemark", "kwok")), "default": "kubemark"},
    "name": {"type": "str", "default": "hollow"},
    "prefix": {"type": "str", "default": "hollow"},
    "count": {"type": "int", "default": 1},
    "image": {"type": "str", "default": ""},
    "resources": {"type": "dict", "default": {}},
    "tolerations": {"type": "list", "elements": "dict", "default": []},
    "deadline": {"type": "int", "default": 3600},
    "timeout": {"type": "float", "default": 180},
    "nodes_ready": {"type": "int", "default": 0},
    "watch": WATCH_SPEC,
}


class NodesError(Exception):
    """Not all nodes are there, or gone; the text is a sentence that says why and what to do."""


class Hollow:
    """The hollow nodes of a run."""

    def __init__(self, server, options, ends):
        """`ends`: the watch.Ends, or nothing, of what is waited for."""
        self.server, self.options, self.ends = server, options, ends
        self.core = f"/api/v1/namespaces/{options['namespace']}"
        self.jobs = f"/apis/batch/v1/namespaces/{options['namespace']}/jobs"
        self.selector = owned.selector(options["run_id"])
        self.ready = {}

    def add(self):
        """Start the nodes and wait; return the facts. NodesError names the first one that is not Ready."""
        names = {f"{self.options['prefix']}-{index}" for index in range(self.options["count"])}
        if self.ends:
            raise self.ended()
        began = time.monotonic()
        follower = pod_watch.Follower(self.server, NODES, {"labelSelector": self.selector}, self.see)
        follower.start()
        try:
            if self.options["kind"] == "kwok":
                with ThreadPoolExecutor(THREADS) as pool:
                    list(pool.map(self.make, range(self.options["count"])))
            if not self.ends:
                self.server.request("POST", self.jobs, scale_hollow.job(self.options))
            self.wait(lambda: not names <= set(self.ready), began + self.options["timeout"])
        finally:
            follower.stop()
        if self.ends:
            raise self.ended()
        times = [self.ready[name] - began for name in names if name in self.ready]
        if len(times) < len(names):
            raise NodesError(f"{len(times)} of {len(names)} hollow nodes are Ready after {self.options['timeout']:g} s: {self.why()}.")
        return {"asked": len(names), "ready": len(times), "seconds": round(max(times), 3), "joined": pod_rows.distribution(times)}

    def make(self, index):
        """Make one of kwok's nodes, unless there are to be no more."""
        if not self.ends:
            self.server.request("POST", NODES, scale_hollow.node(self.options, index))

    def ended(self):
        """Return the error of what was ended before its time."""
        if self.ends.reason:
            return NodesError(f"scale_nodes was aborted: {self.ends.reason}")
        return NodesError(f"scale_nodes was stopped by {signal_name(self.ends.signals[0])}.")

    def see(self, kind, item, now):
        """Take an event of the watch for nodes."""
        name = pod_watch.text_of(item, "metadata", "name")
        if kind == "DELETED" or not apiserver_state.is_ready(item.get("status") or {}):
            self.ready.pop(name, None)
        else:
            self.ready.setdefault(name, now)

    def wait(self, unfinished, limit):
        while unfinished() and not self.ends and time.monotonic() < limit:
            time.sleep(POLL)

    def why(self):
        """Return why a pod that plays a node does not run, with the end of its log, or where to look."""
        for item in self.server.items(f"{self.core}/pods", labelSelector=f"{self.selector},{scale_hollow.HOSTS_LABEL}={self.options['name']}"):
            name, found = item["metadata"]["name"], pod_watch.troubles(item)
            for one in pod_watch.entries(item, "status", "containerStatuses"):
                ended = pod_watch.dig(one, "lastState", "terminated") or pod_watch.dig(one, "state", "terminated")
                if ended:
                    found.append(f"{one.get('name')} ended with {ended.get('exitCode')}: {self.last_line(name, one)}")
            if found:
                return f"{name}: {'; '.join(found)[:600]}"
        return f"the pods of the Job {self.options['name']} run, so the API server may refuse what they send: look at their logs"

    def last_line(self, pod, status):
        """Return the last line that a container wrote before it ended."""
        previous = "true" if pod_watch.dig(status, "lastState", "terminated") else None
        try:
            text = self.server.get(f"{self.core}/pods/{pod}/log", container=status.get("name"), previous=previous, tailLines=20)
        except cluster.ClusterError as error:
            return f"its log cannot be read ({error})"
        lines = [line for line in str(text).splitlines() if line[:1] in "EF"] or str(text).splitlines()
        return lines[-1][:300] if lines else "it wrote nothing"

    def remove(self):
        """End the Jobs, delete nodes and leases; NodesError when something is left."""
        limit = time.monotonic() + self.options["timeout"]
        self.server.request("DELETE", self.jobs, FOREGROUND, {"labelSelector": self.selector})
        playing = f"{self.selector},{scale_hollow.HOSTS_LABEL}"
        # A kubelet that still runs would make its lease anew.
        self.wait(lambda: self.some(self.jobs, self.selector) or self.some(f"{self.core}/pods", playing), limit)
        names = set()
        while True:
            found = [item["metadata"]["name"] for item in self.server.items(NODES, labelSelector=self.selector)]
            names.update(found)
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(lambda name: self.server.delete(f"{NODES}/{name}"), found))
                leases = list(pool.map(lambda name: self.server.delete(f"{LEASES}/{name}"), sorted(names)))
            left = len(found) + sum(leases) + self.some(self.jobs, self.selector) + self.some(f"{self.core}/pods", playing)
            if not left or time.monotonic() > limit:
                break
            time.sleep(POLL)
        if left:
            raise NodesError(f"{left} hollow nodes, or what plays them, are left: {', '.join(found[:3]) or 'pods or leases'}. Run playbooks/cleanup.yml.")
        return {"left": 0, "removed": len(names)}

    def some(self, path, selector):
        """Return how many objects there are, at most one page of them."""
        try:
            return len(self.server.get(path, labelSelector=selector, limit=100).get("items") or ())
        except cluster.ClusterError as error:
            if error.status == 404:
                return 0
            raise


def main():
    """Add nodes or take them away."""
    module = AnsibleModule(argument_spec=SPEC, required_if=[("state", "present", ("image",))], supports_check_mode=True)
    if cluster.kubernetes is None:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=cluster.IMPORT_ERROR)
    options = module.params
    if module.check_mode:
        module.fail_json(msg="scale_nodes does not run in check mode.")
    if options["state"] == "present" and not options["image"]:
        module.fail_json(msg=f"image is empty: name an image with {options['kind']}.")
    try:
        server = cluster.Cluster(options["kubeconfig"], connections=2 * THREADS)
        with caught() as signals, watch_of(options["watch"]) as watching, RealNodes(server, options["nodes_ready"]) as nodes:
            ends = Ends(signals, [watching, nodes])
            hollow = Hollow(server, options, ends)
            answer = {"facts": hollow.add()} if options["state"] == "present" else hollow.remove()
    except WatchError as error:
        module.fail_json(msg=str(error))
    except NodesError as error:
        module.fail_json(msg=str(error), changed=True, **({"aborted": True} if ends.reason else {}))
    except cluster.ClusterError as error:
        module.fail_json(msg=f"Hollow nodes cannot be {'added' if options['state'] == 'present' else 'removed'}: {error}.")
    module.exit_json(changed=True, **answer)


if __name__ == "__main__":
    main()
