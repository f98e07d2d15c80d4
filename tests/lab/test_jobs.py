# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Load jobs in a real cluster, by an account with exactly the rights of job_run's notes, in a namespace of Pod Security `restricted`."""

from __future__ import annotations

import hashlib
import json
import signal
import time

import pytest

from ansible_collections.kubeproof.certify.tests.lab import accounts

pytestmark = [pytest.mark.lab]
NAMESPACE, RUN, ACCOUNT = "kubeproof-test-jobs", "test-jobs", "runner"
RIGHTS = [
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "delete"]},
    {"apiGroups": [""], "resources": ["configmaps", "secrets"], "verbs": ["create", "delete"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch", "deletecollection"]},
    {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
]
K6 = """
export const options = {scenarios: {one: {executor: 'shared-iterations', vus: 2, iterations: 10}}};
export default function () {}
export function handleSummary(data) { return {stdout: String(data.metrics.iterations.values.count)}; }
"""
# More memory than it may have.
OVER = "head -c 200m /dev/zero | tail -c 200m"
# Seconds for what was begun by a job to be seen.
SEEN = 30


@pytest.fixture(scope="module")
def kubeconfig(lab, tmp_path_factory):
    """Make the namespace and the account; return a kubeconfig for it."""
    path = accounts.make_account(lab, NAMESPACE, ACCOUNT, RIGHTS, "restricted", tmp_path_factory.mktemp("jobs") / "kubeconfig")
    yield path
    lab.kubectl("delete", "namespace", NAMESPACE, "--timeout", "60s", "--request-timeout", "70s")


@pytest.fixture
def run(lab, kubeconfig, tmp_path):
    """Return run(argv, during=function, **arguments) -> Answer; prove after the test that nothing is left in the namespace."""

    def call(argv, during=None, **arguments):
        given = {"kubeconfig": str(kubeconfig), "namespace": NAMESPACE, "run_id": RUN, "name": "job", "image": accounts.tools_image(), "timeout": 60}
        return accounts.call("job_run", {**given, "argv": argv, **arguments}, tmp_path, during)

    yield call
    assert lab.kubectl("get", "jobs,pods,configmaps,secrets", "-n", NAMESPACE, "-l", f"kubeproof.io/run={RUN}", "-o", "name") == ""


def wait_for_tools(lab, count):
    """Wait until the tools of `count` pods run; return the names of the pods."""
    limit = time.monotonic() + SEEN
    while time.monotonic() < limit:
        pods = lab.kubectl("get", "pods", "-n", NAMESPACE, "-o", "json")["items"]
        names = [one["metadata"]["name"] for one in pods if one["status"]["phase"] == "Running"]
        if len(names) == count:
            # The tool itself shows in what it writes.
            begun = [lab.kubectl("exec", "-n", NAMESPACE, name, "-c", "keeper", "--", "cat", "/kubeproof/results/stdout", check=False) for name in names]
            if all("begun" in text for text in begun):
                return sorted(names)
        time.sleep(0.2)
    raise AssertionError(f"no {count} tools run")


def test_k6_in_two_segments(run, tmp_path):
    segment = ["--execution-segment", "{index}/{count}:{next}/{count}", "--execution-segment-sequence", "0,1/2,1"]
    answer = run(["k6", "run", "--quiet", *segment, "/kubeproof/files/empty.js"], count=2, files={"empty.js": K6}, raw=str(tmp_path / "raw"))
    pods = answer.data["pods"]
    assert not answer.data.get("failed") and answer.data["left"] == [], answer.data
    assert [one["index"] for one in pods] == [0, 1] and len({one["node"] for one in pods}) == 2
    assert all(one["exit_code"] == 0 and 0 < one["cpu_seconds"] and 0 < one["seconds"] < 60 for one in pods)
    assert [(tmp_path / "raw" / str(index) / "stdout").read_text() for index in (0, 1)] == ["5", "5"]


def test_tools_start_together(run, tmp_path):
    answer = run(["date", "+%s.%N"], count=4, raw=str(tmp_path / "raw"))
    begun = [float((tmp_path / "raw" / str(index) / "stdout").read_text()) for index in range(4)]
    assert not answer.data.get("failed") and max(begun) - min(begun) < 1, begun


def test_argv_environment_and_secrets_are_literal(run, tmp_path):
    tricky = ["$(HOME)", "$$", "a  b\n\"'`id`", "-n", "", "*"]
    argv = ["sh", "-c", 'printf "%s|" "$@" "$PLAIN" "$SECRET"; ls -A', "sh", *tricky]
    answer = run(argv, environment={"PLAIN": "$(SECRET) $$"}, secrets={"SECRET": "hidden word"}, raw=str(tmp_path / "raw"))
    assert (tmp_path / "raw/0/stdout").read_text() == "|".join([*tricky, "$(SECRET) $$", "hidden word"]) + "|stderr\nstdout\n"
    assert "hidden word" not in json.dumps(answer.data)


def test_a_large_result_comes_back_whole(run, tmp_path):
    answer = run(["sh", "-c", "head -c 20000000 /dev/urandom >big; sha256sum <big; head -c 100000000 /dev/zero >&2"], raw=str(tmp_path / "raw"))
    found = (tmp_path / "raw/0/big").read_bytes()
    assert not answer.data.get("failed"), answer.data
    assert len(found) == 20000000 and hashlib.sha256(found).hexdigest() == (tmp_path / "raw/0/stdout").read_text().split()[0]
    assert (tmp_path / "raw/0/stderr").stat().st_size == 100000000
    assert answer.memory < 120e6


@pytest.mark.parametrize(
    ("argv", "arguments", "said"),
    [
        (["sh", "-c", "echo why >&2; exit 3"], {"count": 2}, ("sh ended with exit code 3 in pod job-", "on worker", ": why")),
        (["no-such-tool"], {}, ("exit code 127", "no-such-tool: not found")),
        (["sleep", "60"], {"timeout": 2}, ("sleep did not end within 2 s in pod job-",)),
        (["sh", "-c", OVER], {"resources": {"limits": {"memory": "40Mi"}}}, ("sh ended with exit code 137 (OOMKilled) in pod job-",)),
        (["mkdir", "sub"], {}, ("The results of pod job-", "'odd sub' cannot come back")),
        (["true"], {"image": "registry.kubeproof.lab:5000/kubernetes/tools:none"}, ("on worker", "and will not: ErrImagePull", "not found")),
        (["true"], {"image": "No/Image:::"}, ("InvalidImageName",)),
        (["true"], {"image": "registry.kubeproof.lab:5999/a:b", "pull_timeout": 4}, ("did not start within 4 s", "connection refused")),
        (["true"], {"nodes": ["nowhere"], "ready_timeout": 3, "count": 2}, ("2 of 2 pods were not scheduled within 3 s: 0/3 nodes are available",)),
        (["true"], {"security": "baseline"}, ("1 of 1 pods were not created", 'violates PodSecurity "restricted')),
        (["true"], {"namespace": "default"}, ("Cannot create the Job", "403", "Give it the rights")),
        (["true"], {"resources": {"limits": {"memory": "much"}}}, ("Cannot create the Job", "400", "quantities must match")),
    ],
)
def test_what_fails_says_why(run, argv, arguments, said):
    answer = run(argv, **arguments)
    assert all(text in answer.said for text in said) and answer.data["left"] == [], answer.said


def test_no_quota_for_pods(lab, run):
    meta = {"name": "none", "namespace": NAMESPACE}
    accounts.apply(lab, {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": {"pods": "0"}}})
    try:
        answer = run(["true"], ready_timeout=4)
    finally:
        lab.kubectl("delete", "resourcequota", "none", "-n", NAMESPACE)
    assert "1 of 1 pods were not created" in answer.said and "exceeded quota: none" in answer.said


def test_a_lost_pod_fails_the_run(lab, run):
    names = []

    def kill(dummy):
        names.extend(wait_for_tools(lab, 2))
        lab.kubectl("delete", "pod", names[1], "-n", NAMESPACE, "--wait=false")

    answer = run(["sh", "-c", "echo begun; sleep 60"], count=2, during=kill)
    assert "pods were lost: pod " in answer.said and f"pod {names[1]} (index 1) on worker" in answer.said and "not by this run" in answer.said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing(lab, run, number):
    def stop(process):
        wait_for_tools(lab, 2)
        process.send_signal(number)

    answer = run(["sh", "-c", "echo begun; sleep 60"], count=2, files={"a": "b"}, secrets={"A": "secret-word"}, during=stop)
    assert f"stopped by {number.name}" in answer.said and answer.data["left"] == []


def test_a_killed_controller_leaves_what_ends_by_itself(lab, run, kubeconfig):
    def kill(process):
        wait_for_tools(lab, 1)
        process.kill()

    with pytest.raises(json.JSONDecodeError):
        run(["sh", "-c", "echo begun; sleep 60"], files={"a": "b"}, secrets={"A": "secret-word"}, during=kill)
    [job] = lab.kubectl("get", "jobs", "-n", NAMESPACE, "-o", "json")["items"]
    assert job["spec"]["activeDeadlineSeconds"] == 120 + 60 + 60 + 610 and job["spec"]["ttlSecondsAfterFinished"] == 300
    # One deletion removes all.
    lab.kubectl("delete", "job", job["metadata"]["name"], "-n", NAMESPACE, "--cascade=foreground", "--timeout", "60s", "--request-timeout", "70s")
