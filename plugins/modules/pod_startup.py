#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pod_startup
short_description: Create pods at a rate, watch them start, and delete them
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - Creates pods at a fixed rate, whether or not the former ones have been answered, and measures by a watch and this machine's own clock how long each
    takes from just before its create request is sent until all of its containers run, phase by phase.
  - Pods that start from an image that the node has, and pods whose image is pulled first, are told apart by the kubelet's event C(Pulled), and are never mixed.
  - Pods that fail, that are refused and that do not start in time count as slower than every other.
  - The pods comply with the Pod Security level C(restricted), have no token and no rights.
  - Everything made is deleted, also on failure and on C(SIGTERM), C(SIGINT) and C(SIGHUP), and the deletion is verified. What an earlier, killed call with the
    same O(run_id) and O(name) left is deleted first.
  - Lost connections, restarts of the API server and expired watches are survived. A change that is seen only afterwards is timed late, never early.
  - Runs on the controller. The account needs the verbs create, list, watch and deletecollection on pods, list and watch on events, and with
    O(kind=deployment) create, list and deletecollection on deployments, and list and deletecollection on replicasets, all within O(namespace).
    With O(at_once) it needs delete on what O(kind) says, too.
options:
  kubeconfig:
    description: Path of the kubeconfig.
    type: path
    required: true
  namespace:
    description: The namespace; it has to exist.
    type: str
    required: true
  run_id:
    description: Value of the label C(kubeproof.io/run).
    type: str
    required: true
  name:
    description: Begin of the names of what is made, and value of the label C(kubeproof.io/name). Lower-case letters, digits and dashes, 40 at most.
    type: str
    default: startup
  image:
    description: Image of the only container. It is started without arguments and has to run as any user. It is pulled only where it is not present.
    type: str
  images:
    description: Images that no node has, in place of O(image) and O(count). Each of O(nodes) starts one pod of each, and pulls it.
    type: list
    elements: str
    default: []
  count:
    description: Number of pods, 99,999 at most.
    type: int
  rate:
    description: Pods to create in a second.
    type: float
    required: true
  at_once:
    description:
      - At most so many pods exist at a time, so that a small cluster can start many. 0 sets no limit; then no pod is deleted before the end.
      - A pod is deleted while others are made as soon as it is ready or has failed for good, and its slot is free when it is seen to be gone. One that
        is neither keeps its slot. O(preload) makes its pods at once anyway.
      - A request whose time comes while no slot is free is sent when one is. Its pod's time counts from when the request was due, so that what the
        cluster is too slow for makes the latency longer; RV(facts.slot_waits) says how often and how long. It is no C(late) and no C(generator_limited).
      - O(rate) times the seconds that a pod takes to start and to go away again, and a third more, is enough where nothing is to wait.
    type: int
    default: 0
  kind:
    description: Whether each pod is made alone or by a Deployment of its own, whose create request is then the begin.
    type: str
    choices: [pod, deployment]
    default: pod
  timeout:
    description: Seconds after which the measurement ends. O(preload) may take as long once more, and the deletion takes its own time.
    type: float
    required: true
  nodes:
    description: Names of the nodes that the pods are restricted to, 100 at most, by node affinity on C(metadata.name). Any node if left out.
    type: list
    elements: str
    default: []
  node_selector:
    description: Labels of the nodes that the pods are restricted to, for more of them than O(nodes) takes. Nodes with Linux if left out.
    type: dict
    default: {}
  tolerations:
    description: Tolerations of the pods.
    type: list
    elements: dict
    default: []
  resources:
    description: Resources of the container, as in a pod.
    type: dict
    default: {}
  preload:
    description: Run one pod on each of O(nodes) first and delete it, so that the image is there. When none of them starts, nothing is measured after it.
    type: bool
    default: false
  raw:
    description: Absolute path prefix. C(<raw>.jsonl.gz) gets a line for each pod.
    type: str
extends_documentation_fragment: [kubeproof.certify.watch]
attributes:
  check_mode:
    description: Never runs in check mode.
    details: Fails instead, because pods that were not made measured nothing.
    support: partial
"""

EXAMPLES = r"""
- name: Start pods whose image is present
  kubeproof.certify.pod_startup:
    kubeconfig: /home/me/run/kubeconfig
    namespace: kubeproof-20261121t040000z-1a2b
    run_id: 20261121t040000z-1a2b
    image: registry.example.com/pause:3.10.2
    count: 500
    rate: 5
    timeout: 180
    nodes: [worker1, worker2]
    preload: true
    raw: "{{ playbook_dir }}/results/raw/apiserver/pods"
  register: pods
"""

RETURN = r"""
facts:
  description:
    - What was measured, in seconds and 1/s.
    - A distribution has C(count), and unless it is 0 C(p50), C(p90), C(p95), C(p99) and C(max) by nearest rank. One that falls on a pod that did not get
      there is C([longest, null]), where C(longest) is the longest time that is known, waiting included.
  returned: success, and after a signal
  type: dict
  contains:
    expected: {description: Number of pods that were asked for., type: int}
    created: {description: Number of create requests that were accepted., type: int}
    started: {description: Number of pods that were seen with all containers started., type: int}
    ready: {description: Number of pods that were seen ready., type: int}
    failed: {description: C(expected) without C(started)., type: int}
    left: {description: Number of objects that could not be deleted; C(expected) when nobody can say., type: int}
    reconnects: {description: How often one of the two watches was lost; that one is opened again after 20 silent seconds is not counted., type: int}
    rate_offered: {description: O(rate)., type: float}
    rate: {description: Rate at which create requests were first sent. Absent with fewer than two., type: float}
    late: {description: "Seconds after its time, and after there was a slot for it, at which the latest request was first sent.", type: float}
    slot_waits: {description: Distribution of how late those requests were sent that had to wait for a slot of O(at_once)., type: dict}
    generator_limited:
      description:
        - This machine could not keep up, so that the numbers are not the cluster's. A request was later than a tenth of the schedule (and than 0.25 s), or
          the module used more than nine tenths of a core.
      type: bool
    seconds: {description: From the first request to the end of the measurement., type: float}
    latency:
      description:
        - "Distribution from the request to all containers started, as C({present, pulled, unknown}), the pods whose image was present, those whose image
          was pulled, and those of which no event said it."
        - A pod that did not start counts in each of the three that has a pod which started, unless its own sort is known. When none has, it counts in
          C(present) with O(preload), else in C(unknown).
      type: dict
    images: {description: "Number of started pods, as C({present, pulled, unknown}).", type: dict}
    phases:
      description:
        - "Distribution from the request to each phase, as C({created, scheduled, sandbox, image, started, ready}): the pod is seen, it has a node,
          its condition C(PodReadyToStartContainers) is true, its event C(Pulled) is seen, all containers run, its condition C(Ready) is true."
        - A pod that did not start is lost to each phase that it did not reach and others did.
      type: dict
    nodes: {description: "Number of pods on each node, as C({name: number}).", type: dict}
    slowest: {description: "The three slowest that started, as C({pod, node, seconds, <phase>: seconds}).", type: list, elements: dict}
    reasons: {description: "The ten most frequent reasons why pods did not start or were late, as C({reason, count}).", type: list, elements: dict}
  sample:
    expected: 10
    created: 10
    started: 10
    ready: 10
    failed: 0
    left: 0
    reconnects: 0
    rate_offered: 5.0
    rate: 5.001
    late: 0.004
    slot_waits: {count: 0}
    generator_limited: false
    seconds: 2.9
    latency: {present: {count: 10, p50: 0.71, p90: 0.94, p95: 1.02, p99: 1.02, max: 1.02}, pulled: {count: 0}, unknown: {count: 0}}
    images: {present: 10, pulled: 0, unknown: 0}
    phases: {created: {count: 10, p50: 0.011, p90: 0.013, p95: 0.02, p99: 0.02, max: 0.02}}
    nodes: {worker1: 5, worker2: 5}
    slowest: [{pod: startup-00007, node: worker1, seconds: 1.02, created: 0.02, scheduled: 0.03, sandbox: 0.61, image: 0.62, started: 1.02, ready: 1.02}]
    reasons: []
aborted:
  description: An abort condition was met or could not be watched. Nothing that was measured until then is returned.
  returned: when an abort condition ended the load
  type: bool
  sample: true
"""

import gzip
import json
import time

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.kubeproof.certify.plugins.module_utils import cluster, evidence, files, pod_load, pod_options, pod_rows, pod_watch
from ansible_collections.kubeproof.certify.plugins.module_utils.pod_options import PodsError
from ansible_collections.kubeproof.certify.plugins.module_utils.run import caught, signal_name
from ansible_collections.kubeproof.certify.plugins.module_utils.watch import WATCH_SPEC, Ends, WatchError, watch_of

PRELOAD_RATE = 10.0
POLL = 0.05
# Events come after the fact; the last ones are waited for.
IMAGE_WAIT = 2.0
BUSY = 0.9
SPEC = {
    "kubeconfig": {"type": "path", "required": True},
    "namespace": {"type": "str", "required": True},
    "run_id": {"type": "str", "required": True},
    "name": {"type": "str", "default": "startup"},
    "image": {"type": "str"},
    "images": {"type": "list", "elements": "str", "default": []},
    "count": {"type": "int"},
    "rate": {"type": "float", "required": True},
    "at_once": {"type": "int", "default": 0},
    "kind": {"type": "str", "choices": ["pod", "deployment"], "default": "pod"},
    "timeout": {"type": "float", "required": True},
    "nodes": {"type": "list", "elements": "str", "default": []},
    "node_selector": {"type": "dict", "default": {}},
    "tolerations": {"type": "list", "elements": "dict", "default": []},
    "resources": {"type": "dict", "default": {}},
    "preload": {"type": "bool", "default": False},
    "raw": {"type": "str"},
    "watch": WATCH_SPEC,
}


class Measurement:
    """Creates the pods of `options` and follows them until all are ready or given up, the time is over or a signal comes."""

    def __init__(self, server, options, signals):
        """ClusterError when the account may not look, so that nothing can be measured."""
        self.options, self.signals = options, signals
        self.tracker = pod_watch.Tracker(options["name"], options["count"], options["kind"] == "pod")
        self.creator = pod_load.Creator(server, options, self.tracker)
        core = f"/api/v1/namespaces/{options['namespace']}"
        pods = {"labelSelector": pod_load.selector(options["run_id"], options["name"])}
        self.followers = [
            pod_watch.Follower(server, f"{core}/pods", pods, self.tracker.see_pod, self.tracker.see_all),
            pod_watch.Follower(server, f"{core}/events", {"fieldSelector": pod_watch.EVENT_FIELDS}, self.tracker.see_event),
        ]
        self.ended, self.busy = 0.0, 0.0

    def run(self):
        """Measure; PodsError when no request can succeed. Whatever happens, no request is under way afterwards."""
        began, used = time.monotonic(), time.process_time()
        limit = began + self.options["timeout"]
        try:
            for follower in self.followers:
                follower.start()
            self.creator.start()
            self._wait(limit, lambda: self.tracker.open and not self.creator.fatal)
            self.ended = time.monotonic()
            self.busy = (time.process_time() - used) / max(self.ended - began, POLL)
            self._wait(min(limit, self.ended + IMAGE_WAIT), self.tracker.unsorted)
        finally:
            self.tracker.close()
            for follower in self.followers:
                follower.stop()
            self.creator.stop()
        if self.creator.fatal:
            raise PodsError(f"No pod can be created in {self.options['namespace']}: {self.creator.fatal}.")
        return self

    def _wait(self, limit, unfinished):
        while unfinished() and not self.signals and time.monotonic() < limit:
            time.sleep(POLL)

    def facts(self):
        """Return all facts but `left`."""
        creator, offered = self.creator, self.options["rate"]
        late = max(pod_load.LATE_SECONDS, pod_load.LATE_SHARE * self.options["count"] / offered)
        return {
            **pod_load.facts(self.tracker, self.ended, self.options["preload"]),
            "reconnects": sum(follower.reconnects for follower in self.followers),
            "rate_offered": offered,
            **({} if creator.rate is None else {"rate": round(creator.rate, 3)}),
            "late": round(creator.late, 6),
            "generator_limited": creator.late > late or self.busy > BUSY,
            "seconds": round(self.ended - creator.first, 3) if creator.first else 0.0,
        }


def preload(server, options, signals):
    """Run a pod on each node and delete them; return whether one started, and the reasons why others did not."""
    own = {**options, "name": f"{options['name']}-preload", "count": len(options["nodes"]), "rate": PRELOAD_RATE, "at_once": 0}
    own.update(kind="pod", places=options["nodes"])
    done = Measurement(server, own, signals).run()
    left, why, dummy = pod_load.remove(server, own, [own["name"]], bool(done.creator.doubtful))
    if left:
        raise PodsError(f"{left} of the {own['count']} pods that loaded the image cannot be deleted: {why or 'they stay'}. Delete them, then run again.")
    facts = pod_load.facts(done.tracker, done.ended, True)
    return facts["started"] > 0, [{**one, "reason": f"preload: {one['reason']}"} for one in facts["reasons"]]


def measure(server, options, signals):
    """Return (facts, Measurement); everything made is deleted, or counted in `left`."""
    names = [options["name"], f"{options['name']}-preload"]
    pod_load.prove(server, options, names)
    left, why, dummy = pod_load.remove(server, options, names)
    if left:
        raise PodsError(f"{left} objects of an earlier call are in the way in {options['namespace']}: {why or 'they stay'}. Delete them, then run again.")
    careful = True
    try:
        loaded, reasons = preload(server, options, signals) if options["preload"] else (True, [])
        found = Measurement(server, options, signals)
        if loaded and not signals:
            found.run()
        careful = options["kind"] == "deployment" or bool(found.creator.doubtful)
    finally:
        left, why, forced = pod_load.remove(server, options, names, careful)
    facts = {**found.facts(), "left": left}
    facts["reasons"] += reasons + [{"reason": "deleted by force only", "count": 1}] * forced
    facts["reasons"] += [{"reason": f"cannot delete: {pod_watch.shorten(why or 'they stay', options['name'])}", "count": left}] * bool(left)
    facts["reasons"] = sorted(facts["reasons"], key=lambda one: -one["count"])[:10]
    return facts, found


def lines(found):
    """Return what was seen of each pod as JSON Lines, compressed.

    `sent` and `due` are in seconds since 1970, the phases in seconds after `due`, which only what waited for a slot has, else after `sent`; `waited` is for
    how long a pod was waited for that did not get ready, `slot_wait` how long after `due` it was sent. All numbers of pods are made of these lines.
    """
    epoch = time.time() - time.monotonic()
    kept = []
    for index, (pod, row) in enumerate(zip(found.tracker.pods, pod_rows.rows(found.tracker, found.ended))):
        sent = {key: round(at + epoch, 6) for key, at in (("due", pod.due), ("sent", pod.sent)) if at is not None}
        kept.append(json.dumps({"index": index, **sent, **row, **({"reason": pod.why} if pod.why else {})}) + "\n")
    return gzip.compress("".join(kept).encode())


def main():
    """Measure and exit."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    options = module.params
    if cluster.kubernetes is None:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=cluster.IMPORT_ERROR)
    if module.check_mode:
        module.fail_json(msg="pod_startup does not run in check mode, so nothing was measured.")
    try:
        options = pod_options.complete(options)
        pod_options.check(options)
        with caught() as signals, watch_of(options["watch"]) as watching:
            ends = Ends(signals, [watching])
            facts, found = measure(cluster.Cluster(options["kubeconfig"], connections=pod_load.CONNECTIONS), options, ends)
        if options["raw"] and not ends.reason:
            path = f"{options['raw']}.jsonl.gz"
            files.write_bytes(path, lines(found))
            beside = {key: value for key, value in facts.items() if key not in pod_rows.OF_ROWS}
            evidence.keep(options["raw"], "pods", [path], preload=options["preload"], beside=beside)
    except (PodsError, WatchError, files.DataFileError) as error:
        module.fail_json(msg=str(error))
    except cluster.ClusterError as error:
        module.fail_json(msg=f"Cannot measure pods in {options['namespace']}: {error}.")
    if ends.reason:
        # Of a part nobody may think that it is the whole.
        module.fail_json(msg=f"pod_startup was aborted: {ends.reason}", changed=True, aborted=True)
    if signals:
        module.fail_json(msg=f"pod_startup was stopped by {signal_name(signals[0])}; {facts['left']} of its objects are left.", changed=True, facts=facts)
    module.exit_json(changed=True, facts=facts)


if __name__ == "__main__":
    main()
