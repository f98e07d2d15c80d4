# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import job_spec, job_state

OPTIONS = {
    "namespace": "ns", "run_id": "20261121t040000z-1a2b", "name": "k6", "image": "registry/tools:1", "argv": ["k6", "{count}", "{index}"],
    "environment": {"A": "$(B)"},
    "secrets": {"TOKEN": "hidden"}, "files": {"a.js": "x"}, "count": 3, "nodes": [], "zones": [],
    "spread": True, "tolerations": [], "host_aliases": {"10.0.0.1": ["a.b"]},
    "resources": {"limits": {"memory": "1Gi"}}, "results_limit": "2Gi", "timeout": 30.5, "pull_timeout": 120.0, "ready_timeout": 60.0,
    "start_together": True, "security": "restricted",
}


def pod(**changes):
    return job_spec.job({**OPTIONS, **changes}, "k6-1")["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, None),
        ({"argv": []}, "argv is empty"),
        ({"name": "K6"}, "name is 'K6'"),
        ({"name": "a" * 41}, "at most 40"),
        ({"run_id": "a b"}, "cannot be the value of a label"),
        ({"count": 0}, "count is 0"),
        ({"timeout": 0.0}, "timeout is 0"),
        ({"files": {"../a": ""}}, "'../a' cannot be the name of a file"),
        ({"environment": {"A-B": ""}}, "'A-B' cannot be the name of a variable"),
        ({"host_aliases": {"10.0.0.1": "a.b"}}, "give a list of names"),
        ({"secrets": {"1A": ""}}, "'1A' cannot be the name of a variable"),
        ({"environment": {"TOKEN": ""}}, "TOKEN is in environment and in secrets"),
    ],
)
def test_arguments(changes, text):
    found = job_spec.problem_of({**OPTIONS, **changes})
    assert found is None if text is None else text in found


def test_a_job_ends_and_goes_by_itself():
    job = job_spec.job(OPTIONS, "k6-1")
    spec = job["spec"]
    assert (spec["completions"], spec["parallelism"], spec["completionMode"], spec["backoffLimit"]) == (3, 3, "Indexed", 0)
    assert spec["activeDeadlineSeconds"] == 211 + 600 + 30 and spec["ttlSecondsAfterFinished"] > 0
    marks = {"app.kubernetes.io/managed-by": "kubeproof", "kubeproof.io/run": OPTIONS["run_id"]}
    assert job["metadata"]["labels"] == marks == spec["template"]["metadata"]["labels"]


def test_restricted():
    spec = pod()
    assert spec["automountServiceAccountToken"] is False and spec["restartPolicy"] == "Never"
    assert spec["securityContext"]["runAsNonRoot"] is True and spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        assert container["image"] == OPTIONS["image"] and container["resources"]["limits"]["memory"]
    loose = pod(security="baseline")
    assert "runAsUser" not in loose["securityContext"] and loose["securityContext"]["seccompProfile"]


def test_secrets_are_in_the_secret_alone():
    owner = {"metadata": {"name": "k6-1", "uid": "u1"}}
    secret = job_spec.owned("Secret", OPTIONS, "k6-1", owner, OPTIONS["secrets"])
    assert secret["stringData"] == {"TOKEN": "hidden"} and secret["metadata"]["ownerReferences"][0]["uid"] == "u1"
    assert "hidden" not in json.dumps(job_spec.job(OPTIONS, "k6-1"))
    assert job_spec.owned("ConfigMap", OPTIONS, "k6-1", owner, OPTIONS["files"])["data"] == {"a.js": "x"}


def test_places():
    assert pod()["hostAliases"] == [{"ip": "10.0.0.1", "hostnames": ["a.b"]}]
    assert "affinity" not in pod() and pod()["topologySpreadConstraints"][0]["labelSelector"] == {"matchLabels": {"batch.kubernetes.io/job-name": "k6-1"}}
    terms = pod(nodes=["a", "b"], spread=False)["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [term["matchFields"][0]["values"] for term in terms] == [["a"], ["b"]] and "topologySpreadConstraints" not in pod(spread=False)
    # Else a node with Windows could have it.
    assert pod()["nodeSelector"] == {"kubernetes.io/os": "linux"}


def one_of(key, *values):
    return [{"key": key, "operator": "In", "values": list(values)}]


ZONES = {"matchExpressions": one_of("topology.kubernetes.io/zone", "z1", "z2")}
A, B = ({"matchFields": one_of("metadata.name", name)} for name in "ab")


# A term takes one name alone, so that the zones are in each of them.
@pytest.mark.parametrize(("nodes", "zones", "terms"), [("", ("z1", "z2"), [ZONES]), ("a", (), [A]), ("ab", ("z1", "z2"), [{**A, **ZONES}, {**B, **ZONES}])])
def test_the_load_runs_on_these_nodes_in_these_zones(nodes, zones, terms):
    affinity = pod(nodes=list(nodes), zones=list(zones))["affinity"]["nodeAffinity"]
    assert affinity == {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}


def test_without_files_nothing_is_mounted():
    assert "/kubeproof/files" in json.dumps(pod()) and "/kubeproof/files" not in json.dumps(pod(files={}))


@given(st.text())
def test_kubernetes_leaves_literals_alone(text):
    # What kubelet's expansion does with $$; a single $ cannot be left.
    assert job_spec.literal(text).replace("$$", "") == text.replace("$", "")
    assert job_spec.literal(text).replace("$$", "$") == text


def shell(tmp_path, *argv, wait="", script=job_spec.RUN):
    """Run the script of the pod here; return (exit code, stdout, stderr, last words)."""
    for name in ("results", "state"):
        (tmp_path / name).mkdir(exist_ok=True)
    script = script.replace("/dev/termination-log", str(tmp_path / "log")).replace("/kubeproof", str(tmp_path))
    environment = {"PATH": "/usr/bin:/bin", "JOB_COMPLETION_INDEX": "7", "KUBEPROOF_WAIT": wait}
    code = subprocess.run(["sh", "-c", script, "sh", *argv], env=environment, check=False, timeout=10).returncode
    return code, (tmp_path / "results/stdout").read_text(), (tmp_path / "results/stderr").read_text(), (tmp_path / "log").read_text()


def test_the_script_passes_arguments_on_as_they_are(tmp_path):
    given_argv = ["{index}/3:{next}/3", "a {index} b {index}", "", "-n", "*", "a\nb\n", "\\", "'\"`$(id)`", "{other}"]
    code, out, err, said = shell(tmp_path, "printf", "%s|", *given_argv)
    assert (code, err) == (0, "") and out == "7/3:8/3|a 7 b 7||-n|*|a\nb\n|\\|'\"`$(id)`|{other}|"
    assert job_state.used_of(said) is not None


def test_the_script_ends_as_the_tool_does(tmp_path):
    code, out, err, said = shell(tmp_path, "sh", "-c", "echo no >&2; cat; exit 3")
    assert (code, out, err) == (3, "", "no\n") and job_state.used_of(said)[0] >= 0
    assert shell(tmp_path, "sh", "-c", "kill -9 $$")[0] == 137
    assert shell(tmp_path, "no-such-tool")[0] == 127


def test_the_script_waits_for_the_start(tmp_path):
    wait = job_spec.RUN.replace("sleep 0.1", 'echo waited >>/kubeproof/waits; : >/kubeproof/state/go')
    assert shell(tmp_path, "true", wait="yes", script=wait)[0] == 0
    assert (tmp_path / "waits").read_text() == "waited\n"
