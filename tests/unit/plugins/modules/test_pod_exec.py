# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
import time

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils import job_exec, job_pods, parsers, pod_exec
from ansible_collections.kubeproof.certify.plugins.module_utils.api_streams_wire import StreamError
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers.common import ParseError
from ansible_collections.kubeproof.certify.plugins.module_utils.run import STOP_SIGNALS
from ansible_collections.kubeproof.certify.plugins.modules import pod_exec as module
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import FakeCluster, status
from ansible_collections.kubeproof.certify.tests.unit.plugins.exec_fake import LocalPods

PODS = "/api/v1/namespaces/ns/pods"
UP = {"running": {}}
BIG = 3_000_000
DROPPED = StreamError("no connection for a WebSocket: connection refused")


def pod(name, tool=None, **more):
    states = [{"name": name, "state": state} for name, state in (("tool", tool), ("keeper", UP)) if state]
    spec = {"nodeName": "worker1", "containers": [{"name": one["name"]} for one in states]}
    return {"metadata": {"name": name, **more.pop("metadata", {})}, "spec": spec, "status": {"phase": "Running", "containerStatuses": states, **more}}


class Api(FakeCluster):
    """An API server that knows `pods` {name: pod}."""

    def __init__(self):
        super().__init__({f"GET {PODS}": self.list})
        self.pods = {name: pod(name) for name in ("g-a", "g-b")}

    def list(self, asked):
        name = asked.query.get("fieldSelector", "").partition("metadata.name=")[2]
        return {"items": [one for key, one in self.pods.items() if name in ("", key)]}


@pytest.fixture(name="api")
def fixture_api():
    with Api() as api:
        yield api


@pytest.fixture(name="local")
def fixture_local(tmp_path, monkeypatch):
    local = LocalPods(tmp_path / "pods")
    monkeypatch.setattr(job_exec, "Stream", local)
    monkeypatch.setattr(job_exec, "QUIET", 0.1)
    monkeypatch.setattr(pod_exec, "PAUSE", 0.02)
    monkeypatch.setattr(job_pods, "SETTLE", 0.05)
    return local


@pytest.fixture(name="call")
def fixture_call(api, local, capsys, tmp_path, monkeypatch):
    """Return call(*runs, **arguments), which runs the module and returns its answer; a run is (pod, argv, {more})."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    config = api.kubeconfig(tmp_path / "kubeconfig")
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    def call(*runs, **arguments):
        made = [{"name": f"r{index}", "pod": pod, "argv": argv, "timeout": 10, **more} for index, (pod, argv, more) in enumerate(runs)]
        options = {"kubeconfig": config, "namespace": "ns", "raw": str(tmp_path / "raw"), "runs": made, **arguments}
        with patch_module_args(options), pytest.raises(SystemExit):
            module.main()
        answer = json.loads(capsys.readouterr().out)
        assert "Traceback" not in json.dumps(answer)
        return answer

    yield call
    for number, handler in before.items():
        signal.signal(number, handler)


def sh(script, pod_name="g-a", **more):
    return pod_name, ["sh", "-c", script], more


def error_of(answer, name="r0"):
    assert not answer.get("failed"), answer
    assert "facts" not in answer["runs"][name]
    return answer["runs"][name]["error"]


def marked(mark):
    """Return whether a process has these bytes in its environment."""
    for one in os.listdir("/proc"):
        try:
            if one.isdigit() and mark in open(f"/proc/{one}/environ", "rb").read():
                return True
        except OSError:
            continue
    return False


@pytest.mark.parametrize(("code", "error"), [(99, ""), (0, ""), (98, "sh ended with exit code 98 in pod g-a: it said nothing.")])
def test_a_tool_that_may_end_by_itself(call, code, error):
    ran = call(sh(f"exit {code}", success_codes=[0, 99]))["runs"]["r0"]
    assert (ran["exit_code"], ran["error"], ran.get("facts")) == (code, error, None if error else {})


def test_runs_one_after_the_other(call, local, tmp_path):
    tricky = ["$(HOME)", "a  b\n\"'`id`", "-n", "", "*"]
    answer = call(
        ("g-a", ["printf", "%s|", *tricky], {}),
        sh('printf %s "$A" >&2; ls -A; pwd', "g-b", environment={"A": "$(B) 'c"}),
        sh("i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done"),
    )
    assert answer["changed"] and not answer.get("failed") and list(answer["runs"]) == ["r0", "r1", "r2"]
    assert all((one["exit_code"], one["error"], one["facts"]) == (0, "", {}) for one in answer["runs"].values())
    used = answer["runs"]["r2"]
    assert 0 < used["cpu_seconds"] < 5 and 0 < used["seconds"] < 5 and answer["seconds"] >= used["seconds"]
    assert (tmp_path / "raw/r0/stdout").read_text() == "|".join(tricky) + "|"
    listed, here = (tmp_path / "raw/r1/stdout").read_text().splitlines()[1:]
    assert listed == "stdout" and here.startswith(f"{local.root}/g-b/results/r1-") and (tmp_path / "raw/r1/stderr").read_text() == "$(B) 'c"
    assert [one for one, dummy in local.opened] == ["g-a", "g-b", "g-a"]


def test_large_results_are_whole_and_do_not_stay_in_the_pod(call, local, tmp_path):
    answer = call(sh(f"head -c {BIG} /dev/urandom >big; sha256sum <big; echo small >small"))
    found = (tmp_path / "raw/r0/big").read_bytes()
    assert answer["runs"]["r0"]["error"] == "" and len(found) == BIG
    assert hashlib.sha256(found).hexdigest() == (tmp_path / "raw/r0/stdout").read_text().split()[0]
    assert (tmp_path / "raw/r0/small").read_text() == "small\n" and os.listdir(local.root / "g-a/results") == []


@pytest.mark.parametrize(
    ("script", "more", "said"),
    [
        ("echo why >&2; exit 3", {}, "sh ended with exit code 3 in pod g-a: why."),
        ("exit 1", {}, "sh ended with exit code 1 in pod g-a: it said nothing."),
        ("kill -9 $$", {}, "sh ended with exit code 137 (signal 9) in pod g-a: "),
        ("sleep 30", {"timeout": 0.3}, "sh did not end within 0.3 s in pod g-a: it said nothing."),
        ("mkdir sub", {}, "the results of sh in pod g-a are not whole: 'odd sub' cannot come back"),
        ("rm stderr", {}, "the results of sh in pod g-a are not whole: stderr is not among its results."),
        ("echo x", {"parser": "refusing"}, "cannot read the output of sh in pod g-a: it is x."),
        ("echo x; exit 2", {"parser": "refusing"}, "sh ended with exit code 2 in pod g-a: it is x."),
        ("true", {"parser": "files", "result": "a.json"}, "cannot read the result of sh in pod g-a: "),
    ],
)
def test_a_run_that_fails_says_why_and_the_next_one_runs(call, monkeypatch, tmp_path, script, more, said):
    def refuse(text):
        raise ParseError(f"it is {text.strip()}.")

    monkeypatch.setitem(parsers.PARSERS, "refusing", refuse)
    monkeypatch.setitem(parsers.PATH_PARSERS, "files", lambda path: {})
    answer = call(sh(script, **more), sh("echo next"))
    assert error_of(answer).startswith(said) and answer["runs"]["r1"]["error"] == ""
    assert (tmp_path / "raw/r1/stdout").read_text() == "next\n"


def test_stop_on_error(call):
    answer = call(sh("true"), sh("exit 3"), sh("true"), stop_on_error=True)
    assert answer["failed"] and answer["msg"] == "r1: sh ended with exit code 3 in pod g-a: it said nothing."
    assert list(answer["runs"]) == ["r0", "r1"]


def test_facts(call, tmp_path, monkeypatch):
    monkeypatch.setitem(parsers.PARSERS, "words", lambda text: {"words": len(text.split())})
    monkeypatch.setitem(parsers.PATH_PARSERS, "size", lambda path: {"size": os.path.getsize(path)})
    answer = call(sh("echo a b c", parser="words"), sh("printf abcde >out", parser="size", result="out"))
    said = [json.loads((tmp_path / f"raw/r{number}.json").read_text(encoding="utf-8")) for number in (0, 1)]
    assert said == [{"parser": "words", "files": ["r0/stdout"]}, {"parser": "size", "files": ["r1/out"]}]
    assert [one["facts"] for one in answer["runs"].values()] == [{"words": 3}, {"size": 5}]


def test_output_that_is_too_long_for_a_parser(call, monkeypatch):
    monkeypatch.setattr(pod_exec, "OUTPUT_LIMIT", 10)
    monkeypatch.setitem(parsers.PARSERS, "words", lambda text: {})
    assert "it is longer than 10 bytes." in error_of(call(sh("echo 1234567890", parser="words")))


# Connections -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("faults", [[0.1], [0.05, DROPPED, DROPPED, 0.1, 0.1], [DROPPED]])
def test_a_tool_runs_once_whatever_becomes_of_the_connections(call, local, tmp_path, faults):
    local.faults[:] = faults
    answer = call(sh("echo begun; sleep 0.8; echo ended"))
    assert answer["runs"]["r0"]["error"] == "" and (tmp_path / "raw/r0/stdout").read_text() == "begun\nended\n"
    assert len(local.opened) == len(faults) + 1 and len(list((local.root / "g-a/state").iterdir())) == 1


def test_a_quiet_connection_is_used(call, local):
    assert call(sh("sleep 0.5"))["runs"]["r0"]["error"] == "" and local.pings > 1


def test_a_connection_that_never_opens(call, local, monkeypatch):
    monkeypatch.setattr(pod_exec, "STARTING", 0.1)
    local.faults[:] = [DROPPED] * 1000
    answer = call(sh("true"), sh("true"))
    said = "sh could not be run in pod g-a within 0.1 s: no connection for a WebSocket: connection refused"
    assert answer["failed"] and answer["msg"] == f"No pod could be reached: {said}; sh was not run: {said}."


def test_a_tool_of_which_nothing_is_heard_any_more(call, local, monkeypatch):
    monkeypatch.setattr(pod_exec, "ANSWER", -11.5)
    local.faults[:] = [None, 0.1, *[DROPPED] * 20]
    answer = call(sh("true", "g-b"), sh("sleep 2"))
    assert error_of(answer, "r1").startswith("nothing was heard of sh in pod g-a for") and "connection refused" in error_of(answer, "r1")
    # It was told to end.
    assert local.opened[-1][1][2] == pod_exec.pod_exec_script.STOP


def test_who_may_not_run_commands(call, api, local):
    local.faults.append(StreamError("the API server refused it with 403: no", refused=True))
    answer = call(sh("true"), sh("true"))
    assert answer["failed"] and answer["msg"].startswith("sh cannot be run in pod g-a: the API server refused it with 403: no. Give it the rights")
    local.faults.append(DROPPED)
    api.answers[f"GET {PODS}"] = (403, status(403, "Forbidden", "no pods"))
    answer = call(sh("true"))
    assert answer["failed"] and "403 no pods. Give it the rights that the notes of pod_exec name." in answer["msg"]


# Pods ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "pod g-a is not there, or no longer."),
        (pod("g-a", phase="Failed", reason="Evicted", message="Low on memory."), "pod g-a on worker1 was lost: Evicted: Low on memory."),
        (pod("g-a", metadata={"deletionTimestamp": "x"}), "pod g-a on worker1 was lost: it was deleted, and not by this run."),
        (pod("g-a", conditions=[{"type": "Ready", "status": "False"}]), "pod g-a on worker1 was lost: its node does not answer."),
    ],
)
@pytest.mark.parametrize("fault", [None, 0.2])
def test_a_pod_that_is_lost_meanwhile(call, api, local, fault, found, said):
    """Also when the connection stays as it is, as with a node that has lost its power."""

    def lose():
        api.pods = {name: one for name, one in {**api.pods, "g-a": found}.items() if one}

    local.faults.append(fault)
    threading.Timer(0.15, lose).start()
    began = time.monotonic()
    answer = call(sh("sleep 3"), sh("true"), sh("true", "g-b"))
    assert time.monotonic() - began < 2.5
    assert error_of(answer) == said and error_of(answer, "r1") == f"sh was not run: {said}" and answer["runs"]["r2"]["error"] == ""


def test_the_reason_of_a_loss_comes_after_it(call, api, local):
    states = iter([pod("g-a", phase="Failed"), pod("g-a", phase="Failed", reason="Evicted", message="Too much.")])
    api.answers[f"GET {PODS}"] = lambda asked: {"items": [next(states)] if "fieldSelector" in asked.query else []}
    local.faults.append(DROPPED)
    assert "pod g-a on worker1 was lost: Evicted: Too much." in call(sh("true"))["msg"]


def test_all_pods_lost(call, api, local):
    api.pods = {}
    local.faults += [DROPPED, DROPPED]
    answer = call(sh("true"), sh("true", "g-b"), sh("true"))
    assert answer["failed"] and "No pod could be reached: pod g-a is not there, or no longer; pod g-b is not there, or no longer; sh was" in answer["msg"]


def test_a_server_that_ended_is_named(call, api):
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "message": "bind: in use"}}
    api.pods["g-b"] = pod("g-b", tool=ended)
    error = error_of(call(sh("echo refused >&2; exit 1")))
    assert error == "sh ended with exit code 1 in pod g-a: refused; the command of pod g-b on worker1 ended with exit code 1 (bind: in use)."
    api.answers[f"GET {PODS}"] = (503, status(503, "", "down"))
    assert error_of(call(sh("exit 1", name="other")), "other").endswith("it said nothing.")


def test_memory(call, local):
    local.memory.parent.mkdir(parents=True)
    local.memory.write_text("max 3\noom 1\noom_kill 4\n")
    answer = call(sh(f"echo oom_kill 5 >{local.memory}; exit 137"), sh("true"))
    assert error_of(answer).startswith("sh ended with exit code 137 (OOMKilled) in pod g-a") and answer["runs"]["r1"]["error"] == ""


# The end ---------------------------------------------------------------------------------------------------------------------


def test_nothing_of_a_tool_goes_on(call, local):
    local.processes = "/proc/[0-9]*"
    word = f"KUBEPROOF_TEST={os.getpid()}"
    environment = dict([word.split("=")])
    answer = call(sh("setsid sleep 60 & sleep 60", timeout=1, environment=environment), sh("(setsid sleep 60 &) ; true", environment=environment))
    assert "did not end within 1 s" in error_of(answer) and answer["runs"]["r1"]["error"] == ""
    assert not marked(word.encode())


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_ends_the_tool(call, local, number):
    local.processes = "/proc/[0-9]*"
    word = f"KUBEPROOF_TEST=signal-{os.getpid()}"

    def interrupt():
        while not marked(word.encode()):
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt, daemon=True).start()
    answer = call(sh("setsid sleep 60; sleep 60", timeout=70, environment=dict([word.split("=")])))
    assert answer["failed"] and answer["msg"] == f"The run was stopped by {signal.Signals(number).name}, sent to pod_exec."
    assert not marked(word.encode())


def test_a_tool_that_is_stopped_before_it_began_never_begins(local):
    run = {"environment": {}, "timeout": 5, "argv": ["touch", "here"]}
    for argv in (pod_exec.pod_exec_script.stop("t-1"), pod_exec.pod_exec_script.start("t-1", run)):
        command = job_exec.Command(type("Server", (), {"configuration": None}), "ns", "g-a", argv)
        list(command.output(5))
        command.close()
    assert not list((local.root / "g-a/results").rglob("here"))


# Arguments -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ([], "runs is empty"),
        ([sh("true", name="a b")], "runs: a b: use letters"),
        ([sh("true", name="a"), sh("true", name="a")], "runs: a: its name is used twice."),
        ([("g-a", [], {})], "argv must begin with the name of a tool."),
        ([("g-a", ["A=b", "sh"], {})], "argv must begin with the name of a tool."),
        ([("g-a", ["-i", "sh"], {})], "argv must begin with the name of a tool."),
        ([sh("true", timeout=0)], "timeout is 0: give seconds."),
        ([sh("true", environment={"A B": ""})], "'A B' cannot be the name of a variable."),
        ([sh("true", parser="nothing")], "parser: there is no parser 'nothing'"),
        ([sh("true", parser="k6")], "name in result the file"),
        ([sh("true", parser="fio", result="a")], "leave result out"),
        ([sh("true", result="a")], "name the parser of result"),
    ],
)
def test_refused_before_anything_runs(call, api, local, runs, said):
    answer = call(*runs)
    assert answer["failed"] and said in answer["msg"] and local.opened == [] == api.asked and answer.get("changed") is not True


def test_results_of_a_former_run_are_refused(call, local, tmp_path):
    (tmp_path / "raw/r0").mkdir(parents=True)
    (tmp_path / "raw/r0/stdout").touch()
    answer = call(sh("true"))
    assert answer["failed"] and "raw/r0 is not empty" in answer["msg"]
    (tmp_path / "raw/r1").touch()
    assert "raw/r1 is no directory that can be read: Not a directory." in call(sh("true", name="r1"))["msg"] and local.opened == []
    local.root.mkdir()
    assert "are not whole: Cannot write" in error_of(call(sh("true"), raw=str(tmp_path / "raw/r1")))


def test_check_mode_and_a_kubeconfig_that_is_not_there(call):
    assert "do not run in check mode, so sh measured nothing." in call(sh("true"), _ansible_check_mode=True)["msg"]
    assert "The cluster cannot be reached" in call(sh("true"), kubeconfig="/no/such")["msg"]
