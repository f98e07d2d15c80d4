# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import job_state
from ansible_collections.kubeproof.certify.plugins.module_utils.job_state import ENDED, LOST, RUNNING, STARTING, UNSCHEDULED

SAID = "114.31 115.82\n0m0.000000s 0m0.000000s\n0m1.250000s 1m0.500000s\n"
UP, MADE = {"running": {}}, {"waiting": {"reason": "ContainerCreating"}}
READY = {"type": "Ready", "status": "True"}


def pod(tool=None, keeper=None, *conditions, node="worker1", **status):
    """Return a pod; `tool` and `keeper` are states of containers."""
    states = [{"name": name, "state": state} for name, state in (("tool", tool), ("keeper", keeper)) if state]
    meta = {"name": "k6-1-0-x", "uid": "u", "annotations": {"batch.kubernetes.io/job-completion-index": "7"}, "labels": {}}
    status = {"phase": "Running", "containerStatuses": states, "conditions": list(conditions), **status}
    return {"metadata": meta, "spec": {"nodeName": node} if node else {}, "status": status}


def ended(code, reason="Completed", message=SAID):
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


def waiting(reason, message=""):
    return {"waiting": {"reason": reason, "message": message}}


def deleted(found):
    return {**found, "metadata": {**found["metadata"], "deletionTimestamp": "2026-11-21T00:00:00Z"}}


def disrupted(reason, message):
    return {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}


UNFIT = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available: 3 Insufficient cpu."}
NO_KEEPER = "container tool ended with exit code 128 (StartError: no sh) and container keeper ended with exit code 128 (StartError: no sh)"


@pytest.mark.parametrize(
    ("given_pod", "stage", "reason"),
    [
        (pod(node="", phase="Pending"), UNSCHEDULED, ""),
        (pod(None, None, UNFIT, node="", phase="Pending"), UNSCHEDULED, "0/3 nodes are available: 3 Insufficient cpu"),
        (pod(phase="Pending"), STARTING, ""),
        (pod(MADE, MADE, phase="Pending"), STARTING, ""),
        (pod(UP, MADE, phase="Pending"), STARTING, ""),
        (pod(waiting("ErrImagePull", "no route"), MADE), STARTING, "ErrImagePull: no route"),
        (pod(MADE, waiting("CreateContainerConfigError", 'secret "a" not found')), STARTING, 'CreateContainerConfigError: secret "a" not found'),
        (pod(UP, UP, READY), RUNNING, ""),
        (pod(ended(0), UP), ENDED, ""),
        (pod(ended(0), UP, {"type": "Ready", "status": "False", "reason": "ContainersNotReady"}), ENDED, ""),
        (pod(ended(0), ended(0), phase="Succeeded"), LOST, "container tool ended with exit code 0 and container keeper ended with exit code 0"),
        (pod(ended(128, "StartError", "no sh"), ended(128, "StartError", "no sh"), phase="Failed"), LOST, NO_KEEPER),
        (pod(UP, ended(137, "OOMKilled", "")), LOST, "container keeper ended with exit code 137 (OOMKilled)"),
        (pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory. "), LOST, "Evicted: The node was low on resource: memory"),
        (pod(phase="Failed", reason="DeadlineExceeded"), LOST, "DeadlineExceeded"),
        (pod(phase="Failed"), LOST, "its phase is Failed"),
        (deleted(pod(UP, UP, READY)), LOST, "it was deleted, and not by this run"),
        (deleted(pod(None, ended(0), phase="Succeeded")), LOST, "it was deleted, and not by this run; container keeper ended with exit code 0"),
        (deleted(pod(UP, ended(137, "OOMKilled", ""))), LOST, "it was deleted, and not by this run; container keeper ended with exit code 137 (OOMKilled)"),
        (deleted(pod(UP, UP, disrupted("PreemptionByScheduler", "by b"))), LOST, "a pod of higher priority took its place: by b"),
        (pod(UP, UP, disrupted("Other", "")), LOST, "Other"),
        (pod(UP, UP, {**disrupted("EvictionByEvictionAPI", ""), "status": "False"}), RUNNING, ""),
        (pod(UP, UP, {"type": "Ready", "status": "False"}), LOST, "its node does not answer"),
        (pod(UP, UP, {"type": "Ready", "status": "False", "reason": "ContainersNotReady"}), RUNNING, ""),
        (pod(UP, UP, READY, phase="Unknown", reason="NodeLost"), LOST, "NodeLost"),
    ],
)
def test_stages(given_pod, stage, reason):
    state = job_state.read(given_pod)
    assert (state.stage, state.reason, state.index) == (stage, reason, 7)


@pytest.mark.parametrize(
    ("reason", "message", "hopeless"),
    [
        ("InvalidImageName", "", True),
        ("ErrImageNeverPull", "", True),
        ("ErrImagePull", "failed to resolve image: registry:5000/a:b: not found", True),
        ("ImagePullBackOff", "MANIFEST UNKNOWN", True),
        ("ImagePullBackOff", "Back-off pulling image", False),
        ("ErrImagePull", "dial tcp: connection refused", False),
        ("CreateContainerConfigError", 'secret "a" not found', False),
    ],
)
def test_what_is_hopeless(reason, message, hopeless):
    assert job_state.read(pod(MADE, waiting(reason, message))).hopeless is hopeless


@pytest.mark.parametrize(
    ("tool", "failure"),
    [
        (ended(0), ""),
        (ended(3, "Error"), "ended with exit code 3"),
        (ended(137, "Error"), "ended with exit code 137 (signal 9)"),
        (ended(137, "OOMKilled"), "ended with exit code 137 (OOMKilled)"),
        (ended(0, "OOMKilled"), "ended with exit code 0 (OOMKilled)"),
        (ended(1, "Error", "cannot open"), "ended with exit code 1 (cannot open)"),
        (ended(255, "Error"), "ended with exit code 255"),
        ({"terminated": {"message": SAID}}, "ended without an exit code"),
    ],
)
def test_failures(tool, failure):
    assert job_state.failure(job_state.read(pod(tool, UP))) == failure


@pytest.mark.parametrize(
    ("message", "used"),
    [
        (SAID, (1.51, 61.75)),
        ("1 2\n0m0s 0m0s\n0m0.5s 0m0s", (1.0, 0.5)),
        (SAID[:40], None),
        ("", None),
        (None, None),
        ("nan 1\n0m0s 0m0s\n0m0.5s 0m0s", None),
    ],
)
def test_used(message, used):
    assert job_state.read(pod(ended(0, message=message), UP)).used == used


def test_the_cause_comes_before_what_the_job_deleted_after_it():
    cause = pod(phase="Failed", reason="Evicted", message="low on memory")
    cause["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] = "9"
    states = [job_state.read(deleted(pod(UP, UP))), job_state.read(cause), job_state.read(pod(UP, UP))]
    assert job_state.lost_in(states) == (
        "pod k6-1-0-x (index 9) on worker1: Evicted: low on memory; pod k6-1-0-x (index 7) on worker1: it was deleted, and not by this run"
    )
    assert job_state.lost_in(states[2:]) == "" and job_state.lost_in(states[:1] * 7).endswith("; and 2 more")


BARE = 'ImagePullBackOff: Back-off pulling image "r/t:1"'
UNTAGGED = "ErrImagePull: r/t:1: not found"


@pytest.mark.parametrize(
    ("before", "now", "reason", "hopeless"),
    [
        (waiting("ErrImagePull", "401 Unauthorized"), waiting("ImagePullBackOff", 'Back-off pulling image "r/t:1"'), "ErrImagePull: 401 Unauthorized", False),
        (waiting("ErrImagePull", "r/t:1: not found"), waiting("ImagePullBackOff", 'Back-off pulling image "r/t:1"'), UNTAGGED, True),
        # A kubelet from 1.32 on says it itself.
        (waiting("ErrImagePull", "a"), waiting("ImagePullBackOff", 'Back-off pulling image "r/t:1": b'), f"{BARE}: b", False),
        (waiting("ErrImagePull", "a"), waiting("ErrImagePull", "b"), "ErrImagePull: b", False),
        (waiting("ErrImagePull", "a"), MADE, "", False),
        (waiting("CreateContainerConfigError", "a"), waiting("ImagePullBackOff", 'Back-off pulling image "r/t:1"'), BARE, False),
    ],
)
def test_the_reason_of_the_last_pull_stays(before, now, reason, hopeless):
    before, now = (job_state.read(pod(MADE, one, phase="Pending")) for one in (before, now))
    found = job_state.with_cause(now, before)
    assert (found.reason, found.hopeless) == (reason, hopeless) and job_state.with_cause(now, None) == now


def test_limits_of_cpu_are_known():
    limited = {"name": "tool", "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}}
    found = pod(UP, UP)
    found["spec"]["containers"] = [limited, {"name": "keeper", "resources": {"limits": {"memory": "1Gi"}}}]
    assert job_state.read(found).limits == (("tool", "500m"),) and job_state.read(pod(UP, UP)).limits == ()


TEXT = st.none() | st.sampled_from(["", "Failed", "Running", "True", "False", "ErrImagePull", "not found", "Ready", "PodScheduled"]) | st.text(max_size=20)
ONE = st.dictionaries(st.sampled_from(["reason", "message"]), TEXT) | st.fixed_dictionaries({"exitCode": st.integers(0, 255)})
STATE = st.dictionaries(st.sampled_from(["waiting", "running", "terminated"]), ONE, max_size=1)
CONTAINER = st.fixed_dictionaries({"name": st.sampled_from(["tool", "keeper", "mesh"]), "state": STATE})
CONDITION = st.fixed_dictionaries({key: TEXT for key in ("type", "status", "reason", "message")})
STATUS = st.fixed_dictionaries({}, optional={
    "phase": TEXT, "reason": TEXT, "message": TEXT, "conditions": st.none() | st.lists(CONDITION, max_size=3),
    "containerStatuses": st.none() | st.lists(CONTAINER, max_size=3),
})


@given(STATUS, st.booleans(), st.booleans())
def test_only_a_pod_that_ended_well_is_no_failure(status, scheduled, gone):
    found = {**pod(node="worker1" if scheduled else ""), "status": status}
    state = job_state.read(deleted(found) if gone else found)
    assert state.stage in (UNSCHEDULED, STARTING, RUNNING, ENDED, LOST)
    assert "\n" not in state.reason and len(state.reason) <= job_state.LONGEST
    assert state.reason or state.stage != LOST
    if gone or status.get("phase") in ("Failed", "Succeeded"):
        assert state.stage == LOST
    if state.stage == ENDED and not job_state.failure(state):
        assert state.exit_code == 0 and {"tool", "keeper"} <= {one["name"] for one in status["containerStatuses"]}
