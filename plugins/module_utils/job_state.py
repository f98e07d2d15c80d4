# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pod of a load job or of a group is doing, and in a few words why it is not doing more. Pure: pods as the API server returns them in, states out."""

from __future__ import annotations

import re
from typing import NamedTuple

from . import job_spec
from .job_spec import KEEPER, TOOL

# In this order. ENDED: the tool has ended and what it wrote can be read. LOST: nothing can be read any more.
UNSCHEDULED, STARTING, RUNNING, ENDED, LOST = "unscheduled", "starting", "running", "ended", "lost"
INDEX = "batch.kubernetes.io/job-completion-index"
ZONE = job_spec.ZONE
# Kubelet tries again, but to no other end.
HOPELESS = ("InvalidImageName", "ErrImageNeverPull")
PULLING = ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError", *HOPELESS)
# What kubelets before 1.32 say between two tries of a pull, without what came of the last one.
NO_CAUSE = re.compile(r'ImagePullBackOff(?:: Back-off pulling image "[^"]*")?')
MISSING = re.compile(r"not found|manifest unknown|name unknown", re.IGNORECASE)
# Conditions that say why a pod goes, by their reason.
DISRUPTIONS = {
    "EvictionByEvictionAPI": "it was evicted through the API, as kubectl drain does",
    "DeletionByTaintManager": "its node has a taint that it does not tolerate",
    "DeletionByPodGC": "its node is gone",
    "PreemptionByScheduler": "a pod of higher priority took its place",
    "TerminationByKubelet": "its node ended it",
}
NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,9})?"
# Two readings of /proc/uptime, then what sh says for times: its own line, and that of the tool it ran.
USED = re.compile(rf"({NUMBER}) ({NUMBER})\n\S+ \S+\n([0-9]{{1,9}})m({NUMBER})s ([0-9]{{1,9}})m({NUMBER})s\s*")
LONGEST = 400


class State(NamedTuple):
    """One pod. `reason` says why it is not further (or why it is lost), "" when there is nothing to say; `hopeless`: it will not get further.

    `used` is (seconds, CPU seconds) of the tool, None when it did not say; `gone` means that it is lost only because it was deleted.
    `index` is -1 in a pod of no job; `ready` means that all its probes succeed; `limits` is ((container, its limit of CPU), …) of those that have one.
    """

    name: str
    uid: str
    index: int
    node: str
    stage: str
    reason: str = ""
    hopeless: bool = False
    exit_code: int | None = None
    killed: str = ""
    used: tuple | None = None
    zone: str = ""
    gone: bool = False
    ready: bool = False
    ips: tuple = ()
    host_ip: str = ""
    limits: tuple = ()

    @property
    def place(self):
        """Return how messages name the pod."""
        return f"pod {self.name}" + (f" (index {self.index})" if self.index >= 0 else "") + (f" on {self.node}" if self.node else "")


def read(pod):
    """Return the State of a pod."""
    meta, status = pod.get("metadata") or {}, pod.get("status") or {}
    known = {
        "name": meta.get("name") or "",
        "uid": meta.get("uid") or "",
        "index": index_of(meta),
        "node": (pod.get("spec") or {}).get("nodeName") or "",
        "zone": (meta.get("labels") or {}).get(ZONE) or "",
        "ips": tuple(one.get("ip") or "" for one in status.get("podIPs") or ()),
        "host_ip": status.get("hostIP") or "",
        "limits": limits_of((pod.get("spec") or {}).get("containers") or ()),
    }
    containers = {one.get("name"): one.get("state") or {} for one in status.get("containerStatuses") or ()}
    # A pod of a group without a command of its own has a keeper alone.
    names = {one.get("name") for one in (pod.get("spec") or {}).get("containers") or ({"name": TOOL},)}
    ended = (containers.get(TOOL) or {}).get("terminated")
    if ended:
        known.update(exit_code=ended.get("exitCode"), killed=killed_by(ended), used=used_of(ended.get("message")))
    return State(**known, **stage_of(meta, status, containers, known["node"], TOOL in names))


def stage_of(meta, status, containers, node, with_tool):
    """Return {stage, reason, …} of a pod; `with_tool` is whether it has a container for a tool."""
    conditions = {one.get("type"): one for one in status.get("conditions") or ()}
    lost = loss(meta, status, conditions, containers)
    if lost:
        gone = bool(meta.get("deletionTimestamp")) and status.get("phase") not in ("Failed", "Succeeded")
        return {"stage": LOST, "reason": line(lost) or "it does not say why", "gone": gone}
    if not node:
        return {"stage": UNSCHEDULED, "reason": line((conditions.get("PodScheduled") or {}).get("message"))}
    tool, keeper = (containers.get(name) or {} for name in (TOOL, KEEPER))
    if tool.get("terminated") and "running" in keeper:
        return {"stage": ENDED}
    if "running" in keeper and ("running" in tool or not with_tool):
        return {"stage": RUNNING, "ready": (conditions.get("Ready") or {}).get("status") == "True"}
    waiting = next((one["waiting"] for one in (tool, keeper) if told(one.get("waiting"))), {})
    reason, message = waiting.get("reason") or "", waiting.get("message") or ""
    hopeless = reason in HOPELESS or reason in PULLING and bool(MISSING.search(message))
    return {"stage": STARTING, "reason": line(": ".join(filter(None, (reason, message)))), "hopeless": hopeless}


def limits_of(containers):
    """Return ((name, limit of CPU), …) of the containers of a pod that have one, as the API server has them: a policy may have put it in."""
    cpus = ((one.get("name"), ((one.get("resources") or {}).get("limits") or {}).get("cpu")) for one in containers)
    return tuple((name, cpu) for name, cpu in cpus if cpu is not None)


def with_cause(state, before):
    """Return the state of a pod that waits for the next try of a pull with what the state `before`, or None, says of the last try."""
    if before is None or not NO_CAUSE.fullmatch(state.reason) or not before.reason.startswith(PULLING):
        return state
    return state._replace(reason=before.reason, hopeless=before.hopeless)


def told(waiting):
    """Return whether a waiting container says more than that it waits."""
    return bool(waiting) and waiting.get("reason") not in (None, "", "ContainerCreating", "PodInitializing")


def loss(meta, status, conditions, containers):
    """Return why nothing can be read from a pod any more, or ""."""
    disruption = conditions.get("DisruptionTarget") or {}
    disrupted = disruption.get("status") == "True"
    why = DISRUPTIONS.get(disruption.get("reason"), disruption.get("reason") or "it was disrupted") if disrupted else ""
    said = ": ".join(filter(None, (why, disruption.get("message") if disrupted else "")))
    own = ": ".join(filter(None, (status.get("reason"), status.get("message"))))
    keeper, tool = ((containers.get(name) or {}).get("terminated") for name in (KEEPER, TOOL))
    if status.get("phase") in ("Failed", "Succeeded") or meta.get("deletionTimestamp"):
        # A deletion ends the containers first: how they ended alone would hide it.
        deleted = "it was deleted, and not by this run" if meta.get("deletionTimestamp") else ""
        return own or said or "; ".join(filter(None, (deleted, died(keeper, tool)))) or f"its phase is {status['phase']}"
    if said:
        return said
    if keeper:
        return died(keeper, tool)
    ready = conditions.get("Ready") or {}
    # The kubelet gives a reason with False; what marks the pods of a node that does not answer gives none.
    if ready.get("status") in ("False", "Unknown") and not ready.get("reason") and not tool and "running" in (containers.get(KEEPER) or {}):
        return "its node does not answer"
    return own if own and status.get("phase") == "Unknown" else ""


def died(keeper, tool):
    """Return how the containers of a pod ended that should still be there, or ""."""
    parts = [f"container {name} ended with exit code {one.get('exitCode')}" + suffix(one) for name, one in ((TOOL, tool), (KEEPER, keeper)) if one]
    return " and ".join(parts)


def suffix(ended):
    """Return the reason and the message of an end in parentheses, where they add something."""
    reason = ended.get("reason") or ""
    message = "" if USED.fullmatch(ended.get("message") or "") else ended.get("message") or ""
    text = ": ".join(filter(None, ("" if reason in ("Error", "Completed") else reason, message)))
    return f" ({line(text)})" if text else ""


def killed_by(ended):
    """Return what Kubernetes says of a tool that did not end by itself, such as OOMKilled, or that could not start; or ""."""
    return suffix(ended)[2:-1]


def failure(state, codes=(0,)):
    """Return how the tool of an ENDED pod failed, or ""; with one of these exit codes it ended well."""
    if state.exit_code in codes and not state.killed:
        return ""
    if state.exit_code is None:
        return "ended without an exit code"
    return f"ended with exit code {state.exit_code} ({state.killed})" if state.killed else ended_with(state.exit_code)


def end_of(state):
    """Return how the command of an ENDED pod ended, well or not."""
    return failure(state) or "ended with exit code 0"


def ended_with(code):
    """Return how a tool ended with an exit code, in words."""
    return f"ended with exit code {code}" + (f" (signal {code - 128})" if 128 < code < 193 else "")


def used_of(message):
    """Return (seconds, CPU seconds) from a container's last words, or None."""
    found = USED.fullmatch(message or "")
    if not found:
        return None
    begun, ended, *times = (float(one) for one in found.groups())
    return round(max(ended - begun, 0.0), 3), round(times[0] * 60 + times[1] + times[2] * 60 + times[3], 3)


def index_of(meta):
    """Return the completion index of a pod, -1 when it has none."""
    text = (meta.get("annotations") or {}).get(INDEX) or ""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else -1


def line(text):
    """Return a text as one line of bounded length without a full stop at its end."""
    return " ".join(str(text or "").split())[:LONGEST].rstrip(".")


def lost_in(states):
    """Return in words which pods are lost, first those that were not merely deleted after another one: the Job ends them all; or ""."""
    lost = sorted((one for one in states if one.stage == LOST), key=lambda one: (one.gone, one.index))
    return "; ".join(f"{one.place}: {one.reason}" for one in lost[:5]) + (f"; and {len(lost) - 5} more" if len(lost) > 5 else "")
