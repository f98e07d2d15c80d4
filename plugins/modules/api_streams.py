#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: api_streams
short_description: Prove that exec, attach, port-forward and in-place resize work through the address that users use
version_added: "0.1.0"
description:
  - Creates one pod, waits until it runs, and then opens exec, attach and port-forward over WebSocket as kubectl does, through the server of
    the kubeconfig. Load balancers and proxies break these, and break nothing else.
  - Then asks for more CPU for the running container, which must not restart, and reads all pods of the cluster in chunks of 500.
  - The pod is deleted in every case, also when the module is told to stop, and the deletion is verified.
author: kubeproof authors (@kubeproof)
options:
  kubeconfig:
    description: Kubeconfig on the controller, of the run's ServiceAccount. Its server is the address that is tested.
    type: path
    required: true
  list_kubeconfig:
    description: Kubeconfig of who may list all pods. It is only read with. Without it the list is left out.
    type: path
  namespace:
    description: Namespace of the pod.
    type: str
    required: true
  run_id:
    description: The run. The pod carries it as a label, and only a pod with it is deleted.
    type: str
    required: true
  name:
    description: Name of the pod. There must not be one yet.
    type: str
    required: true
  image:
    description: Image of the pod. What it runs unasked must not end by itself, as that of Kubernetes's pause.
    type: str
    required: true
  command:
    description: What is run in the pod by exec. It has to print something and end. No shell is involved.
    type: list
    elements: str
    default: [/pause, -v]
  timeout:
    description: Seconds for each check, and for the start and the deletion of the pod.
    type: float
    default: 30.0
  idle:
    description:
      - Seconds for which attach is left open without a byte. A load balancer that cuts sooner breaks C(kubectl attach) and C(kubectl exec),
        which send a ping every 5 s.
    type: float
    default: 6.0
  list_timeout:
    description: Seconds for the list of all pods.
    type: float
    default: 120.0
  node:
    description: Node on which the pod runs. The scheduler chooses unless given.
    type: str
  tolerations:
    description: Tolerations of the pod, as in a pod's specification.
    type: list
    elements: dict
    default: []
attributes:
  check_mode:
    description: Never creates the pod in check mode.
    details: Fails instead, because nothing was tried.
    support: partial
notes:
  - The credentials of O(kubeconfig) need in the namespace C(create), C(get) and C(delete) on C(pods), C(get) and C(create) on C(pods/exec),
    C(pods/attach) and C(pods/portforward) (C(create) since Kubernetes v1.35, where a WebSocket's C(get) alone no longer is enough), and
    C(patch) on C(pods/resize). Those of O(list_kubeconfig) need C(list) on C(pods) in all namespaces.
  - kubectl tries SPDY without WebSocket when a proxy refuses the WebSocket, until that is removed. So kubectl may work where this does not.
"""

EXAMPLES = r"""
- name: Prove exec, attach and port-forward
  kubeproof.certify.api_streams:
    kubeconfig: /home/me/results/prod/20261121t040000z-1a2b/kubeconfig
    list_kubeconfig: /home/me/.kube/config
    namespace: kubeproof-20261121t040000z-1a2b
    run_id: 20261121t040000z-1a2b
    name: streams
    image: registry.example.com/pause:3.10
"""

RETURN = r"""
facts:
  description:
    - What was found. C(works) is true, false, or null when it could not be asked, as when the API server refuses the right. C(reason) is a
      sentence where there is something to say, else null. Times are in seconds.
    - C(exec) works when the output and the end of the command came through. C(exit_code) is null when the node could not run the command, which
      proves the same path.
    - C(attach) works when the channels opened, C(seconds) after the request, and the stream lived for C(idle) seconds without a byte.
    - C(port_forward) works when the node says that the pod's network refused a connection to a port on which nobody listens.
    - C(resize) has C(supported), false before Kubernetes v1.33. It works when the container has the CPU and was not restarted.
    - C(list) is null when it was left out or refused. C(problems) has a sentence for everything that could not be asked.
    - C(left) names the pod when it could not be deleted.
  returned: success
  type: dict
  sample:
    exec: {works: true, exit_code: 0, seconds: 0.08, protocol: v5.channel.k8s.io, reason: null}
    attach: {works: true, idle: 6.0, seconds: 0.02, protocol: v5.channel.k8s.io, reason: null}
    port_forward: {works: true, seconds: 0.02, protocol: SPDY/3.1+portforward.k8s.io, reason: null}
    resize: {supported: true, works: true, seconds: 0.7, reason: null}
    list: {pods: 150000, chunks: 300, seconds: 41.5, bytes: 650000000}
    left: []
    problems: []
seconds:
  description: How long the running pod was asked.
  returned: success
  type: float
  sample: 7.1
left:
  description: The pod, when it could not be deleted.
  returned: always, unless an argument is refused
  type: list
  elements: str
  sample: []
"""

import math
import signal
import time

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.kubeproof.certify.plugins.module_utils import api_streams_checks as checks
from ansible_collections.kubeproof.certify.plugins.module_utils import cluster, job_spec, job_state, owned
from ansible_collections.kubeproof.certify.plugins.module_utils.run import STOP_SIGNALS, deafen, signal_name

SPEC = {
    "kubeconfig": {"type": "path", "required": True},
    "list_kubeconfig": {"type": "path"},
    "namespace": {"type": "str", "required": True},
    "run_id": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "image": {"type": "str", "required": True},
    "command": {"type": "list", "elements": "str", "default": ["/pause", "-v"]},
    "timeout": {"type": "float", "default": 30.0},
    "idle": {"type": "float", "default": 6.0},
    "list_timeout": {"type": "float", "default": 120.0},
    "node": {"type": "str"},
    "tolerations": {"type": "list", "elements": "dict", "default": []},
}
# Start, four checks and what each may take to connect.
PHASES = 8
# Nothing but another specification helps against these.
HOPELESS = ("ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "CrashLoopBackOff")


class PodError(Exception):
    """The pod could not be created or did not start; the text says why. `exists`: there may be one of ours."""

    def __init__(self, text, exists=True):
        super().__init__(text)
        self.exists = exists


class Stopped(BaseException):
    """This module was told to stop. Not an Exception, so that no library takes it for one of its own."""


class Stops:
    """While open, the first signal to stop raises Stopped, unless it is held; all others are ignored."""

    def __enter__(self):
        self.before = {number: signal.signal(number, self._stop) for number in STOP_SIGNALS}
        return self

    def hold(self):
        """From now on, what is being done is finished."""
        deafen()

    def _stop(self, number, dummy):
        self.hold()
        raise Stopped(signal_name(number))

    def __exit__(self, *dummy):
        for number, handler in self.before.items():
            signal.signal(number, handler)


def pod_of(options):
    """Return the pod to create; Pod Security's level restricted admits it."""
    spec = {
        "activeDeadlineSeconds": math.ceil(PHASES * options["timeout"] + options["idle"]),
        "terminationGracePeriodSeconds": 1,
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "nodeSelector": job_spec.LINUX,
        "tolerations": options["tolerations"],
        "containers": [
            {
                "name": checks.CONTAINER,
                "image": options["image"],
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                # The runtime needs some of it to start a command in the pod.
                "resources": {"requests": {"cpu": checks.CPU_BEFORE, "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}},
            }
        ],
    }
    if options["node"]:
        term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [options["node"]]}]}
        spec["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    labels = owned.labels(options["run_id"])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": options["name"], "labels": labels}, "spec": spec}


def start(server, pods, options):
    """Create the pod and wait until its container runs; PodError says why it does not."""
    limit, reason = time.monotonic() + options["timeout"], ""
    try:
        server.request("POST", pods, body=pod_of(options))
    except cluster.ClusterError as error:
        raise PodError(f"The pod {options['name']} could not be created: {error}.", not 400 <= error.status < 500) from error
    while True:
        try:
            reason = why_waiting(server.get(f"{pods}/{options['name']}"), reason)
        except cluster.ClusterError as error:
            reason = str(error)
        if not reason:
            return
        if time.monotonic() > limit:
            raise PodError(f"The pod {options['name']} did not run within {options['timeout']:g} s: {reason}.")
        time.sleep(checks.PAUSE)


def why_waiting(pod, before=""):
    """Return why the pod does not run yet, None when it runs; PodError when it never will. `before` is what it said before."""
    status, name = pod.get("status", {}), pod["metadata"]["name"]
    state = checks.container_of(pod).get("state") or {}
    waiting = state.get("waiting") or {}
    if status.get("phase") == "Running" and "running" in state:
        return None
    if status.get("phase") in ("Failed", "Succeeded"):
        ended = state.get("terminated") or {}
        said = f"{status.get('reason') or ended.get('reason') or ''} {status.get('message') or ended.get('message') or ''}"
        code = f" with exit code {ended['exitCode']}" if "exitCode" in ended else ""
        raise PodError(f"The pod {name} ended{code} in place of running: {checks.short(said)}. Give an image whose own command does not end.")
    said = checks.short(": ".join(filter(None, (waiting.get("reason"), waiting.get("message")))))
    if waiting.get("reason") in HOPELESS:
        cause = before.startswith(job_state.PULLING) and job_state.NO_CAUSE.fullmatch(said)
        raise PodError(f"The pod {name} cannot run: {before if cause else said}.")
    if waiting.get("reason") and waiting["reason"] != "ContainerCreating":
        return said
    conditions = [one for one in status.get("conditions") or () if one.get("type") == "PodScheduled" and one.get("status") == "False"]
    said = " ".join(f"{one.get('reason') or ''} {one.get('message') or ''}" for one in conditions)
    return checks.short(said) or f"its phase is {status.get('phase') or 'not known'} {waiting.get('reason') or ''}".strip()


def measure(server, pods, options):
    """Return the facts that need the running pod, and for how long it was asked."""
    pod, timeout, began = f"{pods}/{options['name']}", options["timeout"], time.monotonic()
    facts = {
        "exec": checks.exec_check(server, pod, options["command"], timeout),
        "attach": checks.attach_check(server, pod, options["idle"], timeout),
        "port_forward": checks.port_forward_check(server, pod, timeout),
        "resize": checks.resize_check(server, pod, timeout),
    }
    return facts, round(time.monotonic() - began, 3)


def remove(server, path, options):
    """Delete the pod, if it is of this run, and wait until it is gone; return (left, why it is left or None)."""
    limit, reason = time.monotonic() + options["timeout"], "it still terminates"
    while True:
        try:
            metadata = server.get(path)["metadata"]
            if (metadata.get("labels") or {}).get(owned.RUN_LABEL) != options["run_id"]:
                return [], None
            if "deletionTimestamp" not in metadata:
                server.delete(path, body={"preconditions": {"uid": metadata["uid"]}})
        except cluster.ClusterError as error:
            if error.status == 404:
                return [], None
            reason = str(error)
        if time.monotonic() > limit:
            name = f"pod {options['namespace']}/{options['name']}"
            return [name], f"{name} is left: {reason}. Delete it by hand."
        time.sleep(checks.PAUSE)


def run(server, options):
    """Create the pod, check, delete it; return (facts or None, seconds, left, sentences of what went wrong)."""
    pods = f"/api/v1/namespaces/{options['namespace']}/pods"
    facts, seconds, wrong, exists = None, 0.0, [], True
    with Stops() as stops:
        try:
            try:
                start(server, pods, options)
                facts, seconds = measure(server, pods, options)
            except PodError as error:
                wrong, exists = [str(error)], error.exists
            finally:
                stops.hold()
        except Stopped as stopped:
            facts, wrong = None, [f"This was stopped by {stopped} before everything was asked."]
        left, reason = remove(server, f"{pods}/{options['name']}", options) if exists else ([], None)
    return facts, seconds, left, wrong + ([reason] if reason else [])


def listed(options):
    """Return (facts of the list of all pods or None, why there are none or None)."""
    if not options["list_kubeconfig"]:
        return None, None
    try:
        return checks.list_pods(cluster.Cluster(options["list_kubeconfig"]), options["list_timeout"]), None
    except cluster.ClusterError as error:
        return None, f"list: not all pods could be read: {error}"


def main():
    """Prove what is asked and return facts."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    options = module.params
    if cluster.kubernetes is None:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=cluster.IMPORT_ERROR)
    if module.check_mode:
        module.fail_json(msg="No pod is created in check mode, so nothing was tried.")
    wrong = next((name for name in ("timeout", "idle", "list_timeout") if not 0 < options[name] < math.inf), None)
    if wrong or not options["command"]:
        module.fail_json(msg=f"{wrong} is {options[wrong]:g}: give seconds." if wrong else "command is empty: name what is run in the pod.")
    try:
        server = cluster.Cluster(options["kubeconfig"], timeout=options["timeout"])
    except cluster.ClusterError as error:
        module.fail_json(msg=str(error))
    facts, seconds, left, problems = run(server, options)
    if facts is None:
        module.fail_json(msg=" ".join(problems), left=left)
    facts["list"], refused = listed(options)
    problems += [fact["reason"] for fact in facts.values() if fact and fact.get("works", True) is None] + ([refused] if refused else [])
    module.exit_json(changed=True, left=left, seconds=seconds, facts={**facts, "left": left, "problems": problems})


if __name__ == "__main__":
    main()
