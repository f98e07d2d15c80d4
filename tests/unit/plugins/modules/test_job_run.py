# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import json
import os
import signal

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils import job_exec, job_pods, job_results, job_runner, parsers, report_verify_raw
from ansible_collections.kubeproof.certify.plugins.module_utils.api_streams_wire import StreamError
from ansible_collections.kubeproof.certify.plugins.module_utils.run import STOP_SIGNALS
from ansible_collections.kubeproof.certify.plugins.modules import job_run
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import FakeCluster, status

PODS, JOBS, EVENTS = "/api/v1/namespaces/ns/pods", "/apis/batch/v1/namespaces/ns/jobs", "/api/v1/namespaces/ns/events"
SECRETS, FILES = "/api/v1/namespaces/ns/secrets", "/api/v1/namespaces/ns/configmaps"
USED = "10.00 12.50\n0m0.0s 0m0.0s\n0m1.25s 0m0.50s\n"
UP = {"running": {"startedAt": "2026-11-21T00:00:00Z"}}
SECRET = "hidden-word"


def pod(index, tool=None, node="worker1", keeper=None, **more):
    """Return a pod; `tool` and `keeper` are states of containers."""
    states = [{"name": name, "state": state} for name, state in (("tool", tool), ("keeper", keeper or UP)) if tool]
    meta = {"name": f"job-{index}", "uid": f"u{index}", "annotations": {"batch.kubernetes.io/job-completion-index": str(index)}, "labels": {}}
    meta.update(more.pop("metadata", {}))
    return {"metadata": meta, "spec": {"nodeName": node} if node else {}, "status": {"phase": "Running", "containerStatuses": states, **more}}


def ended(code=0, reason="Completed"):
    return {"terminated": {"exitCode": code, "reason": reason, "message": USED}}


def waiting(reason, message):
    return {"waiting": {"reason": reason, "message": message}}


def both(*states):
    return [pod(index, state) for index, state in enumerate(states)]


START = [[], both(None, None), both(UP, waiting("ContainerCreating", "")), both(UP, UP)]
GOOD = [*START, both(ended(), UP), both(ended(), ended())]


class JobCluster(FakeCluster):
    """Lists of pods, one for each time they are asked for, the last one for ever; what was created and not deleted is in `objects`."""

    def __init__(self):
        super().__init__({f"GET {PODS}": self.pods, f"DELETE {PODS}": self.delete_pods, f"GET {EVENTS}": {"items": []}})
        for path in (JOBS, SECRETS, FILES):
            self.answers[f"POST {path}"] = self.create
        self.stages, self.objects, self.made = GOOD, {}, []
        self.answers["GET /api/v1/nodes/worker1"] = {"metadata": {"labels": {"topology.kubernetes.io/zone": "a"}}}

    def create(self, asked):
        path = f"{asked.path}/{asked.body['metadata']['name']}"
        self.objects[path] = asked.body
        self.made.append(asked.body)
        self.answers[f"DELETE {path}"] = self.delete
        return 201, {**asked.body, "metadata": {**asked.body["metadata"], "uid": "u"}}

    def delete(self, asked):
        if asked.path not in self.objects:
            return 404, status(404, "NotFound", "gone")
        del self.objects[asked.path]
        return {}

    def delete_pods(self, dummy):
        self.stages = [[]]
        return {}

    def pods(self, asked):
        if "watch" in asked.query:
            return iter([])
        if len(self.stages) > 1:
            self.stages = self.stages[1:]
        return {"metadata": {"resourceVersion": "1"}, "items": self.stages[0]}


class Streams:
    """What the pods answer to a command: their files, which were started, an error in place of a connection."""

    def __init__(self):
        self.files, self.started, self.errors = {}, [], []

    def __call__(self, configuration, path, query, protocols, timeout):
        for error in self.errors:
            raise error
        argv = [value for name, value in query if name == "command"]
        return Stream(self, path.split("/")[-2], argv)


class Stream:
    def __init__(self, streams, name, argv):
        self.streams, self.name, self.argv = streams, name, argv
        self.left = self.answer()

    def send(self, data):
        assert data == b"\0go\n"
        self.streams.started.append(self.name)

    def messages(self, dummy):
        yield from self.left

    def answer(self):
        found = {"stdout": f"from {self.name}\n".encode(), "stderr": b"", **self.streams.files}
        if self.argv[-1] == job_results.LIST:
            lines = [f"{len(data)} {hashlib.sha256(data).hexdigest()} {name}" for name, data in found.items()]
            yield b"\x01" + "\n".join([*lines, "end", ""]).encode()
        elif self.argv[0] == "tail":
            yield b"\x01" + found[os.path.basename(self.argv[-1])][int(self.argv[2]) - 1 :]
        yield b'\x03{"status": "Success"}'

    def close(self):
        pass


@pytest.fixture(name="api")
def fixture_api():
    with JobCluster() as api:
        yield api
        # Nothing may be left, whatever happened.
        assert api.objects == {}


@pytest.fixture(name="streams")
def fixture_streams(monkeypatch):
    found = Streams()
    monkeypatch.setattr(job_exec, "Stream", found)
    return found


@pytest.fixture(name="call")
def fixture_call(api, streams, capsys, tmp_path, monkeypatch):
    """Return call(**arguments), which runs the module and returns its answer."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("PAUSE", "EVENTS"):
        monkeypatch.setattr(job_runner, name, 0.0)
    for name in ("PAUSE", "SETTLE"):
        monkeypatch.setattr(job_pods, name, 0.0)
    config = api.kubeconfig(tmp_path / "kubeconfig")
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    def call(**arguments):
        given = {"kubeconfig": config, "namespace": "ns", "run_id": "r1", "name": "job", "image": "tools:1", "argv": ["/usr/bin/k6", "run"], "timeout": 20}
        with patch_module_args({**given, "count": 2, **arguments}), pytest.raises(SystemExit):
            job_run.main()
        return json.loads(capsys.readouterr().out)

    yield call
    for number, handler in before.items():
        signal.signal(number, handler)


def failed(answer):
    """Return why the module failed, one sentence."""
    assert answer["failed"] and "Traceback" not in answer["msg"] and answer["left"] == [], answer
    return answer["msg"]


def test_two_pods(call, api, streams, tmp_path):
    answer = call(secrets={"TOKEN": SECRET}, files={"a.js": "x"}, raw=str(tmp_path / "raw"))
    known = {"node": "worker1", "zone": "a", "exit_code": 0, "seconds": 2.5, "cpu_seconds": 1.75}
    assert not answer.get("failed") and answer["pods"] == [{"index": index, "pod": f"job-{index}", **known} for index in (0, 1)]
    assert (answer["facts"], answer["left"], answer["changed"]) == ({}, [], True) and answer["seconds"] >= 0
    assert streams.started == ["job-0", "job-1"]
    assert (tmp_path / "raw/1/stdout").read_text() == "from job-1\n" and (tmp_path / "raw/0/stderr").read_bytes() == b""
    assert [one["kind"] for one in api.made] == ["Job", "Secret", "ConfigMap"]
    assert all(one["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "kubeproof", "kubeproof.io/run": "r1"} for one in api.made)
    assert SECRET not in json.dumps(answer)


def test_a_tool_that_may_end_by_itself(call, api, streams, tmp_path):
    """What all of them measured is there, and which of them ended how."""
    api.stages = [*START, both(ended(99, "Error"), UP), both(ended(99, "Error"), ended())]
    answer = call(success_codes=[0, 99], raw=str(tmp_path / "raw"))
    assert not answer.get("failed") and [one["exit_code"] for one in answer["pods"]] == [99, 0] and answer["facts"] == {}
    assert (tmp_path / "raw/0/stdout").read_text() == "from job-0\n" and (tmp_path / "raw/1/stdout").is_file()


@pytest.mark.parametrize("how", [ended(99, "OOMKilled"), ended(98, "Error")])
def test_a_tool_that_may_end_by_itself_may_not_be_killed_or_fail(call, api, how):
    api.stages = [*START, both(how, UP)]
    assert "k6 ended with exit code 9" in failed(call(success_codes=[0, 99]))


def test_tools_that_need_no_common_start(call, streams):
    streams.files["stdout"] = b"1"
    assert call(start_together=False)["left"] == [] and streams.started == []


LOST = {"metadata": {"deletionTimestamp": "2026-11-21T00:00:00Z"}}


def limited(cpu, *names):
    """Return a pod whose containers of these names got a limit of CPU."""
    found = pod(1, UP)
    found["spec"]["containers"] = [{"name": name, "resources": {"limits": {"cpu": cpu} if name in names else {}}} for name in ("tool", "keeper")]
    return found


def test_what_limits_the_keeper_alone_limits_no_load(call, api):
    api.stages = [[pod(0, UP), limited("10m", "keeper")] if stage == START[-1] else stage for stage in GOOD]
    assert "failed" not in call()


@pytest.mark.parametrize(
    ("stages", "arguments", "said"),
    [
        ([*START, both(UP, ended(3))], {}, "k6 ended with exit code 3 in pod job-1 (index 1) on worker1: it said nothing"),
        ([*START, both(UP, ended(137, "OOMKilled"))], {}, "k6 ended with exit code 137 (OOMKilled) in pod job-1 (index 1) on worker1: it said nothing"),
        ([*START, [pod(0, UP), pod(1, UP, **LOST)]], {}, "1 of 2 pods were lost: pod job-1 (index 1) on worker1: it was deleted, and not by this run."),
        ([*START, [pod(0, UP)]], {}, "1 of 2 pods were lost: pod job-1 (index 1) on worker1: it was deleted, and not by this run."),
        (
            [*START, [pod(0, UP, **LOST), pod(1, phase="Failed", reason="Evicted", message="low on memory")]],
            {},
            "2 of 2 pods were lost: pod job-1 (index 1) on worker1: Evicted: low on memory; pod job-0 (index 0)",
        ),
        ([*START, [pod(0, UP), pod(1, UP, conditions=[{"type": "Ready", "status": "False"}])]], {}, "(index 1) on worker1: its node does not answer."),
        (START, {"timeout": 0.05}, "k6 did not end within 0.05 s in pod job-0 (index 0) on worker1; pod job-1 (index 1) on worker1."),
        ([[pod(0, UP), limited("500m", "tool")]], {}, "pod job-1 (index 1) on worker1 got a CPU limit of 500m, which the run did not ask for"),
        ([both(UP, waiting("InvalidImageName", "x"))], {}, "pod job-1 (index 1) on worker1 did not start and will not: InvalidImageName: x."),
        ([both(UP, waiting("ErrImagePull", "no route"))], {"pull_timeout": 0.05}, "within 0.05 s after it was scheduled: ErrImagePull: no route."),
        ([both(UP, None)], {"pull_timeout": 0.05}, "on worker1 did not start within 0.05 s after it was scheduled: sandbox."),
        (
            [[pod(0, UP), pod(1, node="", conditions=[{"type": "PodScheduled", "message": "0/3 nodes are available."}])]],
            {"ready_timeout": 0.05},
            "1 of 2 pods were not scheduled within 0.05 s: 0/3 nodes are available.",
        ),
        ([[pod(0, UP)]], {"ready_timeout": 0.05}, "1 of 2 pods were not created: exceeded quota: none."),
        ([[pod(0, UP), pod(0, UP, metadata={"name": "other"})]], {"ready_timeout": 0.05, "timeout": 0.05}, None),
    ],
)
def test_a_run_that_fails(call, api, monkeypatch, stages, arguments, said):
    def events(asked):
        message = "exceeded quota: none." if "kind=Job" in asked.query["fieldSelector"] else "sandbox"
        return {"items": [{"lastTimestamp": "2", "message": message}, {"lastTimestamp": "1", "message": "older"}]}

    api.answers[f"GET {EVENTS}"] = events
    api.stages = [[], *stages]
    if said is None:
        # Two pods of one index are no two pods: the run cannot begin, however long it waits.
        monkeypatch.setattr(job_runner.Runner, "start", lambda self: pytest.fail("started"))
        api.stages += [[pod(0, UP)]]
        said = "pods were lost: pod other (index 0)"
    answer = call(**arguments)
    assert said in failed(answer) and "facts" not in answer


@pytest.mark.parametrize("message", ['pods "a" is forbidden: violates PodSecurity "restricted:latest"', 'admission webhook "x" denied the request: no'])
def test_pods_that_are_refused_for_good_are_not_waited_for(call, api, message):
    api.stages = [[]]
    api.answers[f"GET {EVENTS}"] = {"items": [{"message": message}]}
    assert failed(call()) == f"2 of 2 pods were not created: {message}."
    api.answers[f"GET {EVENTS}"] = (403, status(403, "Forbidden", "no events"))
    assert "its events cannot be read (GET /api/v1/namespaces/ns/events: 403 no events)" in failed(call(ready_timeout=0.01))


@pytest.mark.parametrize(
    ("path", "answer", "said"),
    [
        (JOBS, (404, status(404, "NotFound", 'namespaces "ns" not found')), 'Cannot create the Job job-'),
        (JOBS, (403, status(403, "Forbidden", 'User "u" cannot create resource "jobs"')), "Give it the rights that the notes of job_run name."),
        (JOBS, (403, status(403, "Forbidden", "exceeded quota: jobs")), "exceeded quota: jobs."),
        (SECRETS, (500, status(500, "InternalError", "webhook failed")), "Cannot create the Secret job-"),
        (FILES, (413, b"too large"), "Cannot create the ConfigMap job-"),
    ],
)
def test_what_cannot_be_created(call, api, path, answer, said):
    api.answers[f"POST {path}"] = answer
    assert said in failed(call(secrets={"A": SECRET}, files={"a": "b"}))


def test_an_object_whose_creation_was_not_answered_is_deleted(call, api):
    api.answers[f"POST {JOBS}"] = lambda asked: (JobCluster.create(api, asked), (504, b"timeout"))[1]
    assert "504" in failed(call()) and any(one.method == "DELETE" and one.path.startswith(JOBS) for one in api.asked)


def test_an_api_server_that_does_not_answer_for_a_while(call, api):
    times = iter([503, 429, 410])
    api.answers[f"GET {PODS}"] = lambda asked: next(((code, status(code, "", "later")) for code in times), None) or api.pods(asked)
    assert call()["left"] == []
    api.answers[f"GET {PODS}"] = lambda asked: api.pods(asked) if not api.objects else (503, status(503, "", "down"))
    api.stages = [[]]
    assert "0 of 2" not in failed(call(ready_timeout=0.05, count=2))


def test_pods_that_may_not_be_read(call, api):
    api.answers[f"GET {PODS}"] = lambda asked: api.pods(asked) if not api.objects else (403, status(403, "Forbidden", "no"))
    assert "cannot be followed" in failed(call())


def test_a_watch_brings_what_happens(call, api):
    api.stages = [[], both(UP, UP)]
    events = [{"type": "MODIFIED", "object": pod(index, ended())} for index in (0, 1)]
    api.answers[f"GET {PODS}"] = lambda asked: iter(list(events)) if "watch" in asked.query else api.pods(asked)
    assert not call().get("failed")
    api.stages = [[], both(UP, UP)]
    events[1] = {"type": "DELETED", "object": pod(1, UP)}
    assert "pod job-1 (index 1) on worker1: it was deleted" in failed(call())


def test_a_tool_that_cannot_be_started_or_read(call, api, streams):
    streams.errors.append(StreamError("the API server refused it with 403: no", refused=True))
    assert "k6 cannot be started in pod job-0 (index 0) on worker1: the API server refused it with 403: no. Give it the rights" in failed(call())
    api.stages = GOOD
    assert "The results of pod job-0 (index 0) on worker1 are not whole: its results cannot be listed" in failed(call(start_together=False))


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_leaves_nothing(call, api, number):
    def interrupted(asked):
        if api.objects and len(api.stages) == 1:
            os.kill(os.getpid(), number)
        return api.pods(asked)

    api.stages = START
    api.answers[f"GET {PODS}"] = interrupted
    assert failed(call()) == f"k6 was stopped by {signal.Signals(number).name}, sent to job_run."


def test_what_is_left_is_named(call, api, monkeypatch):
    # Time for a second look, which sees that all else is gone.
    monkeypatch.setattr(job_pods, "REMOVAL", 1.0)
    api.answers[f"DELETE {PODS}"] = {}
    answer = call()
    assert answer["failed"] and answer["left"] == ["pods/job-0 on worker1", "pods/job-1 on worker1"] and "facts" not in answer
    assert "the label kubeproof.io/run=r1" in answer["msg"]
    api.answers[f"DELETE {PODS}"] = (401, status(401, "Unauthorized", "expired"))
    assert call()["left"] == ["its pods"]


def test_what_was_asked_to_go_need_not_be_waited_for(call, api):
    api.answers[f"DELETE {PODS}"] = {}
    answer = call(wait=False)
    assert not answer.get("failed") and answer["left"] == [] and not api.objects
    # What cannot be deleted is told all the same, and a job that failed is waited for.
    api.answers[f"DELETE {PODS}"] = (403, status(403, "Forbidden", "no"))
    assert call(wait=False)["left"] == ["its pods"]


def test_a_job_that_failed_is_waited_for(call, api, monkeypatch):
    monkeypatch.setattr(job_pods, "REMOVAL", 0.1)
    api.stages, api.answers[f"DELETE {PODS}"] = [*START, both(ended(1), UP)], {}
    answer = call(wait=False)
    assert answer["failed"] and answer["left"] == ["pods/job-0 on worker1", "pods/job-1 on worker1"]


def test_a_text_is_parsed(call, api, tmp_path, monkeypatch):
    monkeypatch.setitem(parsers.PARSERS, "fio", lambda text: {"text": text})
    api.stages = [[], [pod(0, UP)], [pod(0, ended())]]
    assert call(parser="fio", count=1, raw=str(tmp_path / "raw/one"))["facts"] == {"text": "from job-0\n"}
    # What has read it is said beside it.
    assert json.loads((tmp_path / "raw/one.json").read_text(encoding="utf-8")) == {"parser": "fio", "files": ["one/0/stdout"]}


def test_files_of_all_pods_are_parsed(call, api, streams, tmp_path, monkeypatch):
    monkeypatch.setitem(parsers.PATH_PARSERS, "k6", lambda path: {name: os.path.getsize(os.path.join(path, name)) for name in sorted(os.listdir(path))})
    streams.files["samples.csv"] = b"abc"
    facts = call(parser="k6", result="samples.csv", raw=str(tmp_path / "raw/several"))["facts"]
    assert facts == {"0-samples.csv": 3, "1-samples.csv": 3} == report_verify_raw.Raw(str(tmp_path), ".").at("several")
    api.stages = GOOD
    assert "Cannot read the result of k6: the tool ended well in the pod with index 0, but did not write it" in failed(call(parser="k6", result="other.csv"))


def test_an_error_of_our_own_leaves_nothing(call, monkeypatch):
    monkeypatch.setattr(job_runner.Runner, "collect", lambda self: {}["no such key"])
    assert failed(call()) == "k6 could not be run: KeyError: 'no such key'."


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"argv": []}, "argv is empty"),
        ({"parser": "none"}, "there is no parser 'none'"),
        ({"parser": "fio"}, "so count must be 1; it is 2."),
        ({"parser": "fio", "result": "a", "count": 1}, "leave result out"),
        ({"parser": "k6"}, "name in result the file"),
        ({"parser": "k6", "result": "../a"}, "name in result the file"),
        ({"result": "a"}, "name the parser of result"),
        ({"raw": "/proc/self/fd"}, "which is not empty"),
        ({"raw": "/proc/version"}, "which is no directory"),
        ({"kubeconfig": "/no/such/file"}, "The cluster cannot be reached"),
        ({"_ansible_check_mode": True}, "Load tools do not run in check mode, so /usr/bin/k6 measured nothing."),
    ],
)
def test_refused_before_anything_is_created(call, api, arguments, said):
    answer = call(**arguments)
    assert said in failed(answer) and api.asked == [] and answer["changed"] is False
