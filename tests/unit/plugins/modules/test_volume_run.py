# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import signal

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils import cluster, job_pods, storage_fio, storage_volume
from ansible_collections.kubeproof.certify.plugins.module_utils.run import STOP_SIGNALS
from ansible_collections.kubeproof.certify.plugins.module_utils.storage_plan import SHAPES
from ansible_collections.kubeproof.certify.plugins.modules import volume_run
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import status
from ansible_collections.kubeproof.certify.tests.unit.plugins.modules.test_pod_group import EVENTS, GroupCluster

CLAIMS = "/api/v1/namespaces/ns/persistentvolumeclaims"
CLAIM, VOLUME = f"{CLAIMS}/g", "/api/v1/persistentvolumes/pv-1"
MOUNT = "1 2 254:0 /a /volume rw - ext4 /dev/vda rw\nspace 4096 {blocks} {blocks}\nMemTotal: 1000 kB\nwritten\n"
GIB = 2**30
JOB = {"name": "random_read-1", "job": "random_read", "round": 1, **SHAPES["random_read"], "seconds": 4, "ramp": 1, "rate": {}}
STEP = {
    "name": "fast-1", "object": "g", "class": "fast", "node": "", "size": GIB, "file": 64 * 2**20, "engine": "fio", "mode": "quick", "jobs": [JOB],
    "fill_rate": 0, "precondition": 0, "disk_free": 0.2, "seconds": 20,
}  # fmt: skip


class Pod:
    """Stands in for Exec: `errors` {run: what it says}, `text` {run: what it prints}; fio measures `rate`, and `on_run` is called before each run."""

    def __init__(self):
        self.errors, self.text, self.ran, self.ended, self.rate, self.on_run = {}, {"look": [MOUNT.format(blocks=262144)]}, [], 0, 5000.0, None

    def __call__(self, server, namespace):
        return self

    def run(self, run, directory):
        name = os.path.basename(directory)
        self.ran.append((name, run))
        assert run["pod"] == "g-fio" and run["result"] == ("." if run["parser"] == "kbench_files" else "") and run["timeout"] > 0
        if self.on_run:
            self.on_run(name)
        os.makedirs(directory, exist_ok=True)
        texts = self.text.get(name, ["0"])
        with open(os.path.join(directory, "stdout"), "w", encoding="utf-8") as stream:
            stream.write(texts.pop(0) if len(texts) > 1 else texts[0])
        if name in self.errors:
            return {"error": self.errors[name], "exit_code": 1}
        part = {"rate": self.rate, "bandwidth": self.rate * 4096, "latency": {"count": 100, "p99": 0.001}}
        facts = {"jobs": {name: {"read": part, "runtime": 4}}, "devices": {"vda": {"reads": 100, "writes": 0}}}
        return {"error": "", "exit_code": 0, "facts": {"iops": {}} if run["parser"] == "kbench_files" else facts}

    def end(self):
        self.ended += 1
        return True


class VolumeCluster(GroupCluster):
    """An API server that keeps a claim and its volume. `bound` is whether the claim is bound, `grows` whether it grows, `policy` what becomes of the volume."""

    def __init__(self):
        super().__init__()
        self.answers.update({f"POST {CLAIMS}": self.create, f"GET {CLAIM}": self.claim, f"PATCH {CLAIM}": self.grow, f"GET {VOLUME}": self.volume})
        self.bound, self.grows, self.policy, self.size, self.phase = True, True, "Delete", str(GIB), {"phase": "Bound"}

    def claim(self, asked):
        if CLAIM not in self.objects:
            return 404, status(404, "NotFound", "gone")
        return {"spec": {"volumeName": "pv-1"}, "status": {"phase": "Bound" if self.bound else "Pending", "capacity": {"storage": self.size}}}

    def grow(self, asked):
        if self.grows:
            self.size = asked.body["spec"]["resources"]["requests"]["storage"]
        return {}

    def volume(self, asked):
        if CLAIM not in self.objects and self.policy == "Delete" and self.phase["phase"] == "Bound":
            return 404, status(404, "NotFound", "gone")
        return {"spec": {"persistentVolumeReclaimPolicy": self.policy}, "status": self.phase}


@pytest.fixture(name="api")
def fixture_api():
    with VolumeCluster() as api:
        yield api


@pytest.fixture(name="pod")
def fixture_pod(monkeypatch):
    pod = Pod()
    monkeypatch.setattr(storage_volume, "Exec", pod)
    return pod


@pytest.fixture(name="call")
def fixture_call(api, pod, capsys, tmp_path, monkeypatch):
    """Return call(**arguments), which runs the module and returns its answer; nothing is left in the cluster afterwards."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(job_pods, "PAUSE", 0.01)
    monkeypatch.setattr(storage_volume, "PAUSE", 0.01)
    config = api.kubeconfig(tmp_path / "kubeconfig")
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    def call(stays=False, **arguments):
        options = {"kubeconfig": config, "namespace": "ns", "run_id": "r1", "image": "tools:1", "step": STEP, "raw": str(tmp_path / "raw"), **arguments}
        with patch_module_args(options), pytest.raises(SystemExit):
            volume_run.main()
        answer = json.loads(capsys.readouterr().out)
        assert "Traceback" not in json.dumps(answer) and answer["left"] == [] and bool(api.objects) is stays, answer
        return answer

    yield call
    for number, handler in before.items():
        signal.signal(number, handler)


def step(**more):
    return {**STEP, **more}


def test_a_volume(call, api, pod):
    answer = call()
    facts = answer["facts"]
    assert "failed" not in answer and facts["outcome"] == "works" and facts["errors"] == 0 and facts["node"] == "worker1"
    assert [name for name, dummy in pod.ran] == ["look", "verify", "fill", "random_read-1", "resident", "cached", "remove"] and pod.ended == 1
    assert facts["jobs"]["random_read-1"]["read"]["rate"] == 5000.0 and facts["jobs"]["random_read-1"]["devices"] == {"vda": {"reads": 100, "writes": 0}}
    assert facts["integrity"] == {"same": True} and facts["delete"]["gone"] is True and facts["resident"] == 0.0 and facts["cached"] == {"rate": 5000.0}
    assert 0 <= facts["provision"]["bound"] <= facts["provision"]["ready"] and facts["file"] == 64 * 2**20
    claim, made = api.made
    assert (claim["kind"], claim["metadata"]["name"], claim["spec"]["storageClassName"]) == ("PersistentVolumeClaim", "g", "fast")
    assert claim["spec"]["resources"]["requests"]["storage"] == str(GIB) and claim["metadata"]["labels"]["kubeproof.io/run"] == "r1"
    assert {"name": "claim-0", "persistentVolumeClaim": {"claimName": "g"}} in made["spec"]["volumes"]
    assert {"name": "claim-0", "mountPath": storage_fio.PLACE} in made["spec"]["containers"][0]["volumeMounts"]
    # A node is chosen by the scheduler, which a claim that waits for its first consumer needs.
    assert "nodeName" not in made["spec"] and made["spec"]["activeDeadlineSeconds"] > 2 * STEP["seconds"]


def test_a_volume_that_is_held_stays_until_it_is_let_go(call, api, pod):
    held = call(stays=True, state="present", step=step(beside=4000))
    assert [name for name, dummy in pod.ran] == ["look", "verify", "fill"] and held["pod"] == "g-fio"
    # That it works is known when all of it was tried.
    assert "outcome" not in held["facts"] and held["facts"]["jobs"] == {} and held["facts"]["file"] == 64 * 2**20
    assert api.made[1]["spec"]["activeDeadlineSeconds"] > 4000
    pod.ran.clear()
    found = call(state="absent", facts=held["facts"])
    assert [name for name, dummy in pod.ran] == ["resident", "cached", "remove"] and "pod" not in found
    facts = found["facts"]
    assert facts["outcome"] == "works" and facts["delete"]["gone"] is True and facts["cached"] == {"rate": 5000.0}
    assert (facts["provision"], facts["integrity"], facts["node"]) == (held["facts"]["provision"], {"same": True}, "worker1")


def test_a_volume_that_cannot_be_used_does_not_stay(call, pod):
    pod.errors["fill"] = "fio ended with exit code 1"
    answer = call(state="present")
    assert answer["facts"]["outcome"] == "fill: fio ended with exit code 1" and "pod" not in answer and answer["facts"]["delete"]["gone"] is True


def test_a_held_volume_whose_pod_is_lost_is_deleted(call, pod):
    held = call(stays=True, state="present")
    pod.errors["resident"] = "the pod g-fio is lost"
    facts = call(state="absent", facts=held["facts"])["facts"]
    assert facts["outcome"] == "resident: the pod g-fio is lost" and facts["delete"]["gone"] is True


def test_a_node(call, api):
    call(step=step(node="worker2"))
    assert "worker2" in json.dumps(api.made[1]["spec"]["affinity"])


def test_the_function_alone(call, pod):
    facts = call(step=step(jobs=[]))["facts"]
    assert [name for name, dummy in pod.ran] == ["look", "verify", "remove"] and facts["outcome"] == "works" and facts["jobs"] == {} and "file" not in facts


def test_growth(call, api, pod):
    pod.text["grown"] = [MOUNT.format(blocks=262144), MOUNT.format(blocks=524288)]
    facts = call(expand=True)["facts"]
    assert facts["expand"]["grown"] is True and facts["expand"]["asked"] == 2 * GIB and facts["expand"]["seconds"] >= 0 and facts["outcome"] == "works"
    assert len([name for name, dummy in pod.ran if name.startswith("grown")]) == 2


def test_growth_without_a_quota(call, api, pod):
    """Behind each volume is a disk of 500 GiB, which its filesystem shows from the beginning: the claim says whether it grew."""
    pod.text["look"] = pod.text["grown"] = [MOUNT.format(blocks=500 * 262144)]
    facts = call(expand=True)["facts"]
    assert facts["outcome"] == "works" and facts["expand"]["grown"] is True and facts["expand"]["quota"] is False
    api.grows, api.size = False, str(GIB)
    facts = call(expand=True, expand_timeout=0.1)["facts"]
    assert facts["expand"]["grown"] is False and facts["outcome"].startswith("it did not grow within 0.1 s")


def test_growth_beyond_what_the_provider_gave(call, api, pod):
    """A disk has its least size, so that what was asked for and a bit more is there already."""
    api.size = str(20 * GIB)
    pod.text["look"], pod.text["grown"] = [MOUNT.format(blocks=19 * 262144)], [MOUNT.format(blocks=20 * 262144)]
    facts = call(expand=True)["facts"]
    assert facts["expand"]["asked"] == 21 * GIB and facts["expand"]["grown"] is True and facts["expand"]["quota"] is True
    [change] = [asked.body for asked in api.asked if asked.method == "PATCH"]
    assert change["spec"]["resources"]["requests"]["storage"] == str(21 * GIB)


# Of a node whose disk is the volume's, of which 19 % are free.
CROWDED = "1 2 254:0 /pods/1/etc-hosts /etc/hosts rw - ext4 /dev/vda rw\n" + MOUNT.replace("{blocks} {blocks}", "26214400 4980736")


@pytest.mark.parametrize("state", ["measured", "present"])
def test_a_node_without_room_is_not_filled(call, pod, state):
    """The volume works; only its numbers stay open. None is held for a ramp."""
    pod.text["look"] = [CROWDED]
    answer = call(state=state)
    facts = answer["facts"]
    assert facts["outcome"] == "works" and facts["integrity"] == {"same": True} and facts["delete"]["gone"] is True and "pod" not in answer
    assert "the node's own disk, of which 19 GiB of 100 GiB are free; 20% stay so" in facts["unmeasured"] and facts["jobs"] == {} and "file" not in facts
    assert not {"fill", "random_read-1", "cached"} & {name for name, dummy in pod.ran}
    # What needs no file of such a size is tried all the same.
    assert "unmeasured" not in call(step=step(jobs=[]))["facts"]


@pytest.mark.parametrize("grows", [True, False])
def test_no_growth(call, api, pod, grows):
    """The claim may have grown although the pod sees nothing of it."""
    pod.text["grown"] = [MOUNT.format(blocks=262144)]
    api.grows = grows
    api.answers[f"GET {EVENTS}"] = {"items": [{"message": "waiting for an external controller to expand this PVC"}]}
    facts = call(expand=True, expand_timeout=0.1)["facts"]
    assert facts["expand"]["grown"] is False and facts["outcome"] == "it did not grow within 0.1 s: waiting for an external controller to expand this PVC"
    assert facts["delete"]["gone"] is True and facts["jobs"]


def test_growth_that_is_refused(call, api):
    api.answers[f"PATCH {CLAIM}"] = (403, status(403, "Forbidden", "exceeded quota"))
    assert "it may not grow, although its class allows that: " in call(expand=True)["facts"]["outcome"]


@pytest.mark.parametrize(
    ("policy", "phase", "gone", "why"),
    [
        ("Retain", {"phase": "Released"}, None, "its reclaim policy is Retain"),
        ("Delete", {"phase": "Failed", "message": "rmdir: not empty"}, False, "it is Failed: rmdir: not empty"),
    ],
)
def test_a_volume_that_stays(call, api, policy, phase, gone, why):
    api.policy, api.phase = policy, phase
    facts = call(delete_timeout=0.05)["facts"]
    assert facts["delete"] == {"gone": gone, "why": why} and facts["outcome"] == "works"


def test_a_claim_that_is_never_bound(call, api, pod):
    api.bound = False
    why = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "pod has unbound immediate PersistentVolumeClaims"}
    api.stages = [{"g-fio": (None, None, {"phase": "Pending", "node": "", "conditions": [why]})}]
    api.answers[f"GET {EVENTS}"] = {"items": [{"message": "Waiting for a volume to be created by the external provisioner 'nobody'"}]}
    facts = call(bind_timeout=0.1)["facts"]
    assert "pod has unbound immediate" in facts["outcome"] and "external provisioner 'nobody'" in facts["outcome"]
    assert pod.ran == [] and facts["provision"] == {} and "delete" not in facts and facts["errors"] == 0


def test_a_claim_that_is_refused(call, api):
    api.refusals = [(403, status(403, "Forbidden", "exceeded quota: limited"))] * 50
    facts = call(bind_timeout=0.1)["facts"]
    assert "Cannot create the PersistentVolumeClaim g" in facts["outcome"] and "exceeded quota: limited" in facts["outcome"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MOUNT.format(blocks=1000), "there is no space left"),
        (MOUNT.replace("rw - ext4", "ro - ext4").format(blocks=262144), "it is mounted read-only"),
        (MOUNT.replace("ext4 /dev/vda", "tmpfs tmpfs").format(blocks=262144), "/volume is tmpfs, which is no volume"),
    ],
)
def test_what_cannot_be_used(call, pod, text, said):
    pod.text["look"] = [text]
    facts = call()["facts"]
    assert facts["outcome"].startswith(said) and facts["jobs"] == {} and facts["errors"] == 0 and facts["delete"]["gone"] is True


def test_a_full_volume(call, pod):
    pod.errors["fill"] = "fio ended with exit code 1 in pod g-fio: No space left on device."
    facts = call()["facts"]
    assert facts["outcome"] == "fill: fio ended with exit code 1 in pod g-fio: No space left on device" and facts["errors"] == 1
    assert facts["integrity"] == {"same": True} and facts["jobs"] == {} and [name for name, dummy in pod.ran][-1] == "remove"


@pytest.mark.parametrize(("error", "integrity"), [("fio: verify: bad header", {"same": False}), ("fio: Input/output error", None)])
def test_other_bytes_than_were_written(call, pod, error, integrity):
    pod.errors["verify"] = error
    facts = call()["facts"]
    assert facts.get("integrity") == integrity and facts["errors"] == 1 and facts["outcome"].startswith("verify: ")


def test_kbench(call, pod):
    job = {"job": "kbench", "name": "kbench-1", "round": 1, "seconds": 90, "ramp": 0, "rate": {}}
    facts = call(step=step(engine="kbench", jobs=[job]), security="baseline")["facts"]
    # The file was written full beforehand, and what memory would give is measured, as with fio.
    assert [name for name, dummy in pod.ran] == ["look", "verify", "fill", "kbench-1", "resident", "cached", "remove"]
    assert facts["jobs"] == {"kbench-1": {"iops": {}}} and facts["cached"] == {"rate": 5000.0} and facts["file"] == 64 * 2**20
    assert facts["outcome"] == "works" and facts["integrity"] == {"same": True}


def test_a_signal_leaves_nothing(call, api, pod):
    pod.on_run = lambda name: os.kill(os.getpid(), signal.SIGTERM) if name == "fill" else None
    answer = call()
    assert answer["failed"] and "was stopped by SIGTERM" in answer["msg"] and pod.ended == 1 and "outcome" not in answer["facts"]


def test_what_cannot_be_deleted_is_said(api, pod, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(job_pods, "PAUSE", 0.01)
    monkeypatch.setattr(job_pods, "REMOVAL", 0.05)
    api.stays = True
    options = {"kubeconfig": api.kubeconfig(tmp_path / "k"), "namespace": "ns", "run_id": "r1", "image": "i", "step": STEP, "raw": str(tmp_path / "raw")}
    with patch_module_args(options), pytest.raises(SystemExit):
        volume_run.main()
    answer = json.loads(capsys.readouterr().out)
    assert answer["failed"] and "pods/g-fio" in str(answer["left"]) and "kubeproof.io/group=g" in answer["msg"] and answer["facts"]["outcome"] == "works"


@pytest.mark.parametrize(("arguments", "said"), [({"run_id": "a b"}, "run_id is 'a b'"), ({"step": step(object="A")}, "name is 'A'")])
def test_arguments_that_cannot_be_used(call, arguments, said):
    answer = call(**arguments)
    assert answer["failed"] and said in answer["msg"]


def test_check_mode_makes_nothing(call, api):
    answer = call(_ansible_check_mode=True)
    assert answer["changed"] and answer["facts"] == {} and api.asked == []


def test_without_the_library(call, monkeypatch):
    monkeypatch.setattr(cluster, "kubernetes", None)
    assert "kubernetes" in call()["msg"]
