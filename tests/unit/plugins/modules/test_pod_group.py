# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import signal

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils import job_pods
from ansible_collections.kubeproof.certify.plugins.module_utils.run import STOP_SIGNALS
from ansible_collections.kubeproof.certify.plugins.modules import pod_group
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import FakeCluster, status

PODS, FILES, EVENTS = (f"/api/v1/namespaces/ns/{one}" for one in ("pods", "configmaps", "events"))
UP, READY = {"running": {}}, {"type": "Ready", "status": "True"}
PAIR = {"server": {"argv": ["/usr/bin/iperf3", "-s"], "ports": [5201], "node": "worker1"}, "client": None}
LABELS = {"app.kubernetes.io/managed-by": "kubeproof", "kubeproof.io/run": "r1", "kubeproof.io/group": "g"}


def waiting(reason, message=""):
    return {"waiting": {"reason": reason, "message": message}}


def ended(code, reason="Error", message=""):
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


class GroupCluster(FakeCluster):
    """An API server that keeps pods. `stages` [{pod name: what is known of it}], one for each list, the last one for ever.

    What is known is (state of tool or None, state of keeper or None, more of the pod's status). A pod without any is ready.
    """

    def __init__(self):
        super().__init__({f"GET {PODS}": self.list, f"DELETE {PODS}": self.delete_all, f"GET {EVENTS}": {"items": []}})
        self.answers[f"POST {PODS}"] = self.answers[f"POST {FILES}"] = self.create
        self.answers["GET /api/v1/nodes/worker1"] = {"metadata": {"labels": {"topology.kubernetes.io/zone": "a"}}}
        self.objects, self.made, self.refusals, self.stages, self.stays = {}, [], [], [{}], False

    def create(self, asked):
        if self.refusals and (answer := self.refusals.pop(0)):
            return answer
        path = f"{asked.path}/{asked.body['metadata']['name']}"
        if path in self.objects:
            return 409, status(409, "AlreadyExists", f"{path} already exists")
        self.objects[path] = asked.body
        self.made.append(asked.body)
        self.answers[f"DELETE {path}"] = lambda asked: self.objects.pop(asked.path, None) or (404, status(404, "NotFound", "gone"))
        return 201, asked.body

    def delete_all(self, asked):
        assert asked.query["labelSelector"] == ",".join(f"{key}={value}" for key, value in LABELS.items())
        if not self.stays:
            self.objects = {path: one for path, one in self.objects.items() if one["kind"] != "Pod"}
        return {}

    def list(self, asked):
        if "watch" in asked.query:
            return iter([])
        made = [one for one in self.objects.values() if one["kind"] == "Pod"]
        stage = self.stages.pop(0) if made and len(self.stages) > 1 else self.stages[0]
        items = [self.status_of(one, *stage.get(one["metadata"]["name"], (UP, UP, {"conditions": [READY]}))) for one in made]
        return {"metadata": {"resourceVersion": "1"}, "items": [one for one in items if one]}

    def status_of(self, pod, tool=None, keeper=None, more=None):
        """Return a pod with its status; None when it is gone."""
        if tool == "gone":
            return None
        names = [one["name"] for one in pod["spec"]["containers"]]
        states = [{"name": name, "state": state} for name, state in (("tool", tool), ("keeper", keeper)) if state and name in names]
        more = dict(more or {})
        node = more.pop("node", "worker1")
        known = {"phase": "Running", "containerStatuses": states, "podIPs": [{"ip": "10.1.0.1"}, {"ip": "fd00::1"}], "hostIP": "10.0.0.1", **more}
        return {**pod, "metadata": {**pod["metadata"], "uid": "u"}, "spec": {**pod["spec"], **({"nodeName": node} if node else {})}, "status": known}


@pytest.fixture(name="api")
def fixture_api():
    with GroupCluster() as api:
        yield api


@pytest.fixture(name="call")
def fixture_call(api, capsys, tmp_path, monkeypatch):
    """Return call(**arguments), which runs the module and returns its answer."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("PAUSE", "SETTLE"):
        monkeypatch.setattr(job_pods, name, 0.01)
    config = api.kubeconfig(tmp_path / "kubeconfig")
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    def call(**arguments):
        options = {"kubeconfig": config, "namespace": "ns", "run_id": "r1", "name": "g", "image": "tools:1", "pods": PAIR, **arguments}
        with patch_module_args(options), pytest.raises(SystemExit):
            pod_group.main()
        answer = json.loads(capsys.readouterr().out)
        assert "Traceback" not in json.dumps(answer)
        return answer

    yield call
    for number, handler in before.items():
        signal.signal(number, handler)


def failed(api, answer):
    """Return why the module failed; nothing of it is left."""
    assert answer["failed"] and answer["left"] == [] and api.objects == {} and "pods" not in answer, answer
    return answer["msg"]


def test_a_group(call, api):
    api.stages = [{"g-server": (None, None, {"phase": "Pending", "node": ""})}, {"g-server": (UP, waiting("ContainerCreating"))}, {"g-server": (UP, UP)}, {}]
    answer = call(files={"a": 1})
    known = {"node": "worker1", "zone": "a", "ip": "10.1.0.1", "ips": ["10.1.0.1", "fd00::1"], "host_ip": "10.0.0.1"}
    assert answer["pods"] == {name: {"pod": f"g-{name}", **known} for name in ("client", "server")}
    assert answer["changed"] and answer["left"] == [] and answer["seconds"] > 0 and len(api.stages) == 1
    assert [one["kind"] for one in api.made] == ["ConfigMap", "Pod", "Pod"] and len(api.objects) == 3


def test_a_group_of_this_name_is_not_touched(call, api):
    assert not call().get("failed")
    answer = call()
    assert answer["failed"] and answer["msg"] == "The run has a group g already (g-client, g-server): remove it with state=absent first."
    assert len(api.objects) == 2 and len(api.made) == 2


def test_absent(call, api):
    call(files={"a": "b"})
    answer = call(state="absent", pods={}, image="")
    assert answer["changed"] and answer["left"] == [] and api.objects == {} and not answer.get("failed")
    assert call(state="absent")["changed"] is False


UNBOUND = {"node": "", "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available: 3 Insufficient cpu."}]}
LOST = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."}
WAIT, PULL = {"ready_timeout": 0.05}, {"pull_timeout": 0.05}


def server(*known):
    return [{"g-server": known}]


def client(*known):
    return [{"g-client": known}]


@pytest.mark.parametrize(
    ("stages", "arguments", "said"),
    [
        (server(UP, waiting("ErrImagePull", "manifest unknown")), {}, "pod g-server on worker1 did not start and will not: ErrImagePull: manifest unknown."),
        (server(UP, waiting("ErrImagePull", "no route")), PULL, "did not start within 0.05 s after it was scheduled: ErrImagePull: no route."),
        (server(UP, waiting("ContainerCreating")), PULL, "did not start within 0.05 s after it was scheduled: MountVolume.SetUp failed."),
        (client(None, None, UNBOUND), WAIT, "1 of 2 pods were not scheduled within 0.05 s: 0/3 nodes are available: 3 Insufficient cpu."),
        (client(None, None, {"node": ""}), WAIT, "were not scheduled within 0.05 s: the scheduler says nothing."),
        (server(UP, UP), WAIT, "pod g-server on worker1 runs, but was not ready within 0.05 s: nothing listens at port 5201."),
        (client(None, UP), WAIT, "pod g-client on worker1 runs, but was not ready within 0.05 s: MountVolume.SetUp failed."),
        (server(ended(1, message="bind: in use"), UP), {}, "iperf3 ended with exit code 1 (bind: in use) in pod g-server on worker1, where it should go on."),
        (server(ended(0), UP), {}, "iperf3 ended with exit code 0 in pod g-server on worker1, where it should go on."),
        (client(None, None, LOST), {}, "1 of 2 pods were lost: pod g-client on worker1: Evicted: The node was low on memory."),
        (client(None, ended(128, "StartError", "no sh")), {}, "pod g-client on worker1: container keeper ended with exit code 128 (StartError: no sh)."),
        ([*server(UP, UP), *client("gone")], {}, "1 of 2 pods were lost: pod g-client on worker1: it was deleted, and not by this run."),
    ],
)
def test_pods_that_do_not_become_ready(call, api, stages, arguments, said):
    api.answers[f"GET {EVENTS}"] = {"items": [{"lastTimestamp": "2", "message": "MountVolume.SetUp failed."}, {"lastTimestamp": "1", "message": "older"}]}
    api.stages = stages
    assert said in failed(api, call(files={"a": "b"}, **arguments))


BARE = waiting("ImagePullBackOff", 'Back-off pulling image "r/t:1"')


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        # Kubelets before 1.32 say the cause once, then only that they wait.
        ([*server(UP, waiting("ErrImagePull", "401 Unauthorized")), *server(UP, BARE)], "scheduled: ErrImagePull: 401 Unauthorized."),
        # Where that once was missed, the event has it.
        (server(UP, BARE), 'ImagePullBackOff: Back-off pulling image "r/t:1": Failed to pull image "r/t:1": denied.'),
    ],
)
def test_why_an_image_cannot_be_pulled(call, api, stages, said):
    messages = ["Error: ImagePullBackOff", 'Failed to pull image "r/t:1": denied', "MountVolume.SetUp failed"]
    api.answers[f"GET {EVENTS}"] = {"items": [{"lastTimestamp": str(9 - number), "message": one} for number, one in enumerate(messages)]}
    api.stages = stages
    assert failed(api, call(**PULL)).endswith(said)


@pytest.mark.parametrize(
    ("asked", "got", "refused"), [(None, None, False), (None, "8", True), ("2", "2", False), ("2000m", "2", False), ("2", "500m", True), ("1", "2", False)]
)
def test_a_limit_of_cpu_that_was_not_asked_for(call, api, asked, got, refused):
    """A LimitRange gives it, or an admission policy: what it throttles would be measured in place of the network."""
    plain = api.status_of

    def status_of(pod, *known):
        limit = {"resources": {"limits": {"cpu": got}}} if got else {}
        return plain({**pod, "spec": {**pod["spec"], "containers": [{**one, **limit} for one in pod["spec"]["containers"]]}}, *known)

    api.status_of = status_of
    answer = call(resources={"limits": {"memory": "1Gi", **({"cpu": asked} if asked else {})}})
    assert answer.get("failed", False) is refused
    if refused:
        assert f"got a CPU limit of {got}, which the run did not ask for" in failed(api, answer) and "LimitRange" in answer["msg"]


def test_the_reason_of_a_loss_comes_after_it(call, api):
    api.stages = [*client(None, ended(0, "Completed")), *client(None, ended(0, "Completed"), LOST)]
    assert "g-client on worker1: Evicted: The node was low on memory." in failed(api, call())


@pytest.mark.parametrize("said", [{"": "waiting for a volume"}, {"": "is provisioning", ",type=Warning": "no such class"}])
def test_a_volume_that_never_binds(call, api, said):
    def events(asked):
        _before, found, more = asked.query["fieldSelector"].partition("involvedObject.kind=PersistentVolumeClaim,involvedObject.name=data")
        return {"items": [{"message": said[more]}] if found and more in said else []}

    api.answers[f"GET {EVENTS}"] = events
    api.stages = [{"g-a": (None, None, {"node": ""})}]
    answer = call(pods={"a": {"claims": {"data": "/data"}}}, ready_timeout=0.05)
    assert failed(api, answer) == f"1 of 1 pods were not scheduled within 0.05 s: claim data: {list(said.values())[-1]}."


def forbidden(text):
    return 403, status(403, "Forbidden", text)


QUOTA = forbidden('pods "g-client" is forbidden: exceeded quota: none')
ACCOUNT = forbidden('pods "g-server" is forbidden: error looking up service account ns/default: serviceaccount "default" not found')


@pytest.mark.parametrize(
    ("refusals", "said"),
    [
        ([None, QUOTA, *[QUOTA] * 50], "Cannot create the Pod g-client: POST /api/v1/namespaces/ns/pods: 403 "),
        ([forbidden('pods "g-server" is forbidden: violates PodSecurity "restricted:latest": host namespaces')], "violates PodSecurity"),
        ([forbidden('admission webhook "x" denied the request: no')], 'admission webhook "x" denied the request: no.'),
        ([forbidden('User "u" cannot create resource "pods"')], 'cannot create resource "pods". Give it the rights that the notes of pod_group name.'),
        ([(404, status(404, "NotFound", 'namespaces "ns" not found'))], 'namespaces "ns" not found.'),
        ([(422, status(422, "Invalid", "spec.containers[0].resources: bad"))], "spec.containers[0].resources: bad."),
        ([(409, status(409, "AlreadyExists", "exists"))], "Cannot create the Pod g-server: POST /api/v1/namespaces/ns/pods: 409 exists."),
    ],
)
def test_pods_that_are_refused(call, api, refusals, said):
    api.refusals = refusals
    assert said in failed(api, call(ready_timeout=0.2))


def test_what_is_refused_for_a_while_is_tried_again(call, api):
    api.refusals = [ACCOUNT, (503, status(503, "", "later")), (500, b"failed calling webhook"), None, QUOTA, None]
    assert len(call()["pods"]) == 2 and api.refusals == []


def test_a_creation_without_an_answer(call, api):
    lost = iter([True])

    def create(asked):
        answer = GroupCluster.create(api, asked)
        return (504, b"timeout") if next(lost, False) else answer

    api.answers[f"POST {PODS}"] = create
    assert len(call()["pods"]) == 2 and len(api.made) == 2


@pytest.mark.parametrize("made", [0, 2])
def test_pods_that_may_not_be_read(call, api, made):
    """What was made is deleted without being seen."""
    api.answers[f"GET {PODS}"] = lambda asked: forbidden("no") if len(api.made) == made else api.list(asked)
    answer = call()
    assert answer["failed"] and "403 no. Give it the rights that the notes of pod_group name." in answer["msg"]
    assert api.objects == {} and answer["left"] == (["its pods"] if made else [])


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_leaves_nothing(call, api, number):
    def interrupted(asked):
        if len(api.objects) == 3:
            os.kill(os.getpid(), number)
        return api.list(asked)

    api.answers[f"GET {PODS}"] = interrupted
    assert failed(api, call(files={"a": "b"})) == f"The group g was stopped by {signal.Signals(number).name}, sent to pod_group."


@pytest.mark.parametrize("state", ["present", "absent"])
def test_what_is_left_is_named(call, api, monkeypatch, state):
    monkeypatch.setattr(job_pods, "REMOVAL", 0.05)
    if state == "absent":
        call()
    api.stays, api.stages = True, [{"g-server": (ended(1), UP)}]
    answer = call(state=state)
    assert answer["failed"] and answer["left"] == ["pods/g-server on worker1", "pods/g-client on worker1"]
    assert "Delete what has the labels app.kubernetes.io/managed-by=kubeproof,kubeproof.io/run=r1,kubeproof.io/group=g." in answer["msg"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"pods": {}}, "pods is empty"),
        ({"image": ""}, "image is empty"),
        ({"name": "G"}, "name is 'G'"),
        ({"seconds": 0}, "seconds is 0: give seconds."),
        ({"pods": {"a": "b"}}, "pods: a is 'b': give a dictionary."),
        ({"pods": {"a": {"nodes": "b"}}}, "pods: a: nodes. Supported parameters include: "),
        ({"pods": {"a": {"ports": ["x"], "argv": ["a"]}}}, "pods: a: Elements value for option 'ports'"),
        ({"pods": {"a_b": {}}}, "pods: a_b: use lower case letters"),
        ({"pods": {"a" * 40: {}}, "name": "b" * 30}, "at most 62"),
        ({"pods": {"a": {"ports": [80]}}}, "pods: a: it has ports, but no argv"),
        ({"pods": {"a": {"ports": [0], "argv": ["a"]}}}, "pods: a: 0 is no port"),
        ({"pods": {"a": {"block": True}}}, "claims is empty"),
        ({"pods": {"a": {"claims": {"data": "data"}}}}, "claims: data has 'data': give a path"),
        ({"pods": {"a": {"labels": {"kubeproof.io/run": "x"}}}}, "labels: kubeproof.io/run is given by this module."),
        ({"pods": {"a": {"labels": {"a": "b c"}}}}, "'b c' cannot be the value of a label."),
        ({"pods": {"a": {"environment": {"A B": "c"}}}}, "pods.a.environment: 'A B' cannot be the name of a variable."),
        ({"host_aliases": {"10.0.0.1": "a"}}, "host_aliases: 10.0.0.1 has 'a': give a list of names."),
        ({"kubeconfig": "/no/such/file"}, "The cluster cannot be reached"),
    ],
)
def test_refused_before_anything_is_made(call, api, arguments, said):
    answer = call(**arguments)
    assert said in failed(api, answer) and api.asked == [] and answer["changed"] is False


def test_check_mode_makes_nothing(call, api):
    answer = call(_ansible_check_mode=True)
    assert answer["changed"] and answer["pods"] == {} and api.asked == []
