#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scale_load
short_description: Put Deployments and Services on hollow nodes, scale them, and take them away
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - Makes Deployments, and a Service for every second one, so that their pods are asked for at a fixed rate, whether or not the former requests have been
    answered; follows the pods and the EndpointSlices by watches, and measures by this machine's own clock how the scheduler, the hollow kubelets and the
    controller of EndpointSlices keep up.
  - O(phase=churn) scales each Deployment to between half and one and a half of its size, O(phase=drain) deletes all, in a random order and at the same rate.
    The three are called with the same options.
  - O(state=absent) deletes whatever is left of it, and verifies that it is gone.
  - A load ends before its time when an abort condition of O(watch) is met, a node that is not hollow is lost (O(nodes_ready)), or more than a tenth of the
    answers are errors.
  - Runs on the controller.
options:
  state:
    description: Whether there is a load, or nothing of it.
    type: str
    choices: [present, absent]
    default: present
  phase:
    description: What is done with it.
    type: str
    choices: [fill, churn, drain]
    default: fill
  kubeconfig:
    description: Path of the kubeconfig of an account that may change Deployments and Services and watch pods and EndpointSlices in O(namespaces).
    type: path
    required: true
  run_id:
    description: Value of the label C(kubeproof.io/run).
    type: str
    required: true
  name:
    description: Begin of the names of what is made, and value of the label C(kubeproof.io/name).
    type: str
    default: scale
  namespaces:
    description: The namespaces, which have to exist; Deployments go to them in turn.
    type: list
    elements: str
    required: true
  image:
    description: Image of the only container. Hollow nodes do not pull it.
    type: str
    default: pause
  groups:
    description: The pods of each Deployment.
    type: list
    elements: int
    default: []
  rate:
    description: Pods that come or go in a second.
    type: float
    default: 10
  node_selector:
    description: Labels of the hollow nodes.
    type: dict
    default: {}
  tolerations:
    description: Tolerations of the pods.
    type: list
    elements: dict
    default: []
  seed:
    description: The same seed gives the same order and the same sizes.
    type: int
    default: 1
  timeout:
    description: Seconds after which the phase ends, whatever has been reached.
    type: float
    default: 600
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
    details: Fails instead, because pods that were not made measured nothing.
    support: partial
"""

EXAMPLES = r"""
- name: Fill the hollow nodes
  kubeproof.certify.scale_load: &load
    kubeconfig: /home/me/run/load.kubeconfig
    run_id: 20261121t040000z-1a2b
    namespaces: [kubeproof-20261121t040000z-1a2b-scale-1]
    groups: [30, 30, 5, 5, 5, 5]
    rate: 10
    node_selector: {kubeproof.io/run: 20261121t040000z-1a2b}
    tolerations: [{key: kubeproof.io/hollow, operator: Exists}]
    timeout: 120
  register: filled
"""

RETURN = r"""
facts:
  description: What was measured, in seconds and 1/s.
  returned: O(state=present)
  type: dict
  contains:
    expected: {description: Pods that there are to be at the end of the phase., type: int}
    ready: {description: How many of these are ready., type: int}
    failed: {description: How many are not., type: int}
    surplus: {description: Pods that there are beyond., type: int}
    unlisted: {description: Ready pods that the EndpointSlices of their Service lack., type: int}
    stale: {description: Endpoints of pods that are gone or going., type: int}
    deployments: {description: Number of Deployments., type: int}
    services: {description: Number of Services., type: int}
    seconds: {description: From the first request until all was as it should be., type: float}
    sending: {description: How long requests were sent., type: float}
    rate_offered: {description: O(rate)., type: float}
    throughput: {description: "Pods that came, in a second, from the first request until all was as it should be.", type: float}
    scheduled_rate: {description: The highest rate of 5 s at which pods got their node. Absent where all took less., type: float}
    late: {description: Seconds after its time at which the latest request was first sent., type: float}
    throttled: {description: Answers 429., type: int}
    refused: {description: Requests that were given up., type: int}
    busy: {description: Share of a core that this module used., type: float}
    generator_limited: {description: "This machine could not keep up, so that the numbers are not the cluster's.", type: bool}
    phases:
      description: "Distribution from the first sight of a pod to C({scheduled, started, ready}), as M(kubeproof.certify.pod_startup) has it."
      type: dict
    endpoints:
      description: "C({added, removed}): distribution from a pod that is ready to its endpoint in a slice, and from a pod that goes to its endpoint's end."
      type: dict
    nodes: {description: Nodes that have pods of it., type: int}
    most_on_a_node: {description: The most pods on one node., type: int}
    reasons: {description: "Why pods are not ready or requests were refused, as C({reason, count}).", type: list, elements: dict}
  sample: {expected: 80, ready: 80, failed: 0, surplus: 0, unlisted: 0, stale: 0, deployments: 6, services: 3, seconds: 9.1, sending: 7.5, throughput: 8.8}
aborted:
  description: An abort condition was met or could not be watched. Nothing that was measured until then is returned.
  returned: when an abort condition ended the load
  type: bool
  sample: true
left:
  description: How many objects are left.
  returned: O(state=absent)
  type: int
  sample: 0
"""

import functools
import threading
import time

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.kubeproof.certify.plugins.module_utils import cluster, pod_load, pod_watch, scale_objects, scale_send, scale_track
from ansible_collections.kubeproof.certify.plugins.module_utils.run import caught, signal_name
from ansible_collections.kubeproof.certify.plugins.module_utils.scale_real import RealNodes
from ansible_collections.kubeproof.certify.plugins.module_utils.watch import WATCH_SPEC, Ends, WatchError, watch_of

POLL = 0.1
BUSY = 0.9
# One for each request under way, and for the watches.
CONNECTIONS = scale_send.THREADS + 64
SPEC = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "phase": {"type": "str", "choices": ["fill", "churn", "drain"], "default": "fill"},
    "kubeconfig": {"type": "path", "required": True},
    "run_id": {"type": "str", "required": True},
    "name": {"type": "str", "default": "scale"},
    "namespaces": {"type": "list", "elements": "str", "required": True},
    "image": {"type": "str", "default": "pause"},
    "groups": {"type": "list", "elements": "int", "default": []},
    "rate": {"type": "float", "default": 10},
    "node_selector": {"type": "dict", "default": {}},
    "tolerations": {"type": "list", "elements": "dict", "default": []},
    "seed": {"type": "int", "default": 1},
    "timeout": {"type": "float", "default": 600},
    "nodes_ready": {"type": "int", "default": 0},
    "watch": WATCH_SPEC,
}


class Measurement:
    """One phase of a load."""

    def __init__(self, server, options, ends):
        """`ends`: the watch.Ends of the load, which the sender's errors become part of."""
        self.options, self.ends = options, ends
        self.groups = scale_objects.layout(options)
        self.wanted = scale_objects.wanted(options, options["phase"])
        self.tracker = scale_track.Tracker(group.name for group in self.groups if group.served)
        self.sender = scale_send.Sender(server, options, options["phase"])
        ends.watchers.append(self.sender)
        query = {"labelSelector": scale_objects.selector(options)}
        self.followers = []
        for space in options["namespaces"]:
            places = scale_objects.paths(space)
            self.followers += [
                pod_watch.Follower(server, places["pods"], query, self.tracker.see_pod, functools.partial(self.tracker.see_pods, space)),
                pod_watch.Follower(server, places["slices"], query, self.tracker.see_slice, functools.partial(self.tracker.see_slices, space)),
            ]
        self.began = self.ended = self.busy = 0.0

    def run(self):
        """Follow what is there already, send the requests, and wait until all is as it should be or the time is over."""
        limit, used, waiting = time.monotonic() + self.options["timeout"], time.process_time(), time.monotonic()
        for follower in self.followers:
            # From a list: a later phase begins with what is there.
            follower.version = ""
            follower.start()
        before = scale_objects.wanted(self.options, {"churn": "fill", "drain": "churn"}.get(self.options["phase"], "drain"))
        self._wait(min(limit, time.monotonic() + 20), lambda: self.tracker.state(before)["ready"] < sum(before.values()))
        sending = threading.Thread(target=self.sender.run, args=(limit, self.ends), daemon=True)
        self.began = time.monotonic()
        sending.start()
        self._wait(limit, sending.is_alive)
        sending.join()
        self._wait(limit, self._unfinished)
        self.ended = time.monotonic()
        self.busy = (time.process_time() - used) / max(self.ended - waiting, POLL)
        self.tracker.close()
        for follower in self.followers:
            follower.stop()
        return self

    def _wait(self, limit, unfinished):
        while not self.ends and time.monotonic() < limit and unfinished():
            time.sleep(POLL)

    def _unfinished(self):
        state = self.tracker.state(self.wanted)
        return state["ready"] < sum(self.wanted.values()) or any(state[name] for name in ("surplus", "unlisted", "stale"))

    def facts(self):
        """Return what the module answers."""
        options, sender, state = self.options, self.sender, self.tracker.state(self.wanted)
        measured, expected, seconds = self.tracker.facts(self.began, self.ended), sum(self.wanted.values()), self.ended - self.began
        came = measured["phases"]["ready"]["count"]
        last = (scale_objects.schedule(options, options["phase"]) or [scale_objects.Turn(0.0, None)])[-1].due
        reasons = measured.pop("reasons") + [{"reason": text, "count": count} for text, count in sender.failed.items()]
        return {
            "expected": expected,
            "ready": state["ready"],
            "failed": expected - state["ready"],
            **{name: state[name] for name in ("surplus", "unlisted", "stale")},
            "deployments": len(self.groups),
            "services": sum(group.served for group in self.groups),
            "seconds": round(seconds, 3),
            "sending": round(sender.ended - sender.began, 3),
            "rate_offered": options["rate"],
            **({"throughput": round(came / seconds, 3)} if came and seconds else {}),
            **measured,
            "late": round(sender.late, 3),
            "throttled": sender.throttled,
            "refused": sum(sender.failed.values()),
            "reconnects": sum(follower.reconnects for follower in self.followers),
            "busy": round(self.busy, 3),
            "generator_limited": sender.late > max(pod_load.LATE_SECONDS, pod_load.LATE_SHARE * last) or self.busy > BUSY,
            "reasons": reasons[: scale_track.MOST_REASONS],
        }


def refusal(options):
    """Return in a sentence why the options cannot be used, or None."""
    if options["state"] == "absent":
        return None if options["namespaces"] else "namespaces is empty: name those of the load."
    if not options["groups"] or min(options["groups"]) < 1:
        return f"groups is {options['groups']!r}: give the pods of each Deployment, each at least 1."
    if not 0 < options["rate"] <= 10_000:
        return f"rate is {options['rate']:g}: give pods in a second, above 0."
    return None if options["node_selector"] else "node_selector is empty: name the labels of the hollow nodes, so that no real node gets these pods."


def main():
    """Do one phase, or see that all is gone."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    if cluster.kubernetes is None:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=cluster.IMPORT_ERROR)
    options = module.params
    problem = refusal(options)
    if problem or module.check_mode:
        module.fail_json(msg=problem or "scale_load does not run in check mode, so nothing was measured.")
    try:
        server = cluster.Cluster(options["kubeconfig"], connections=CONNECTIONS)
        if options["state"] == "absent":
            left, why = scale_send.remove(server, options, options["timeout"])
            if left:
                module.fail_json(msg=f"{left} objects of the load are left: {why or 'they stay'}. Delete the namespaces of the run.", left=left)
            module.exit_json(changed=True, left=0)
        with caught() as signals, watch_of(options["watch"]) as watching, RealNodes(server, options["nodes_ready"]) as nodes:
            ends = Ends(signals, [watching, nodes])
            facts = {} if ends else Measurement(server, options, ends).run().facts()
    except WatchError as error:
        module.fail_json(msg=str(error))
    except cluster.ClusterError as error:
        module.fail_json(msg=f"The load cannot be put on the hollow nodes: {error}.")
    if ends.reason:
        # Of a part nobody may think that it is the whole.
        module.fail_json(msg=f"scale_load was aborted: {ends.reason}", changed=True, aborted=True)
    if signals:
        module.fail_json(msg=f"scale_load was stopped by {signal_name(signals[0])}.", changed=True, facts=facts)
    module.exit_json(changed=True, facts=facts)


if __name__ == "__main__":
    main()
