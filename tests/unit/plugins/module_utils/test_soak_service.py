# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service and the Deployment that watchers run as."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import NamedTuple

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import owned, soak_service
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_manifest import ManifestError, manifest, member_name
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_program import program
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_service import Service, SoakError, summary
from ansible_collections.kubeproof.certify.plugins.modules.soak_watch import start
from ansible_collections.kubeproof.certify.tests.unit.plugins.module_utils.test_soak_file import written

SOAK = {"id": "one", "host": "etcd1", "seconds": 100.0, "interval": 5.0}
CLIENT = {"url": "https://10.0.0.1:2379", "ca": "/pki/ca.crt", "cert": "/pki/client.crt", "key": "/pki/client.key"}
METRICS = {"url": "http://127.0.0.1:2381/metrics"}


class Systemd:
    """Answers in place of systemctl and journalctl: `state` of the unit once it was started, `failing` {verb: what it says}, `ran` [argv]."""

    def __init__(self):
        self.state, self.failing, self.ran, self.on_start, self.is_started = "active", {}, [], lambda: None, False

    def __call__(self, *argv):
        self.ran.append(argv)
        if argv[1] == "enable":
            self.on_start()
        self.is_started = {"enable": True, "disable": False}.get(argv[1], self.is_started)
        answers = {"--version": "systemd 252 (252.39)", "is-active": self.state if self.is_started else "inactive"}
        problem = self.failing.get(argv[1], "")
        return subprocess.CompletedProcess(argv, 1 if problem else 0, answers.get(argv[1], ""), problem)


@pytest.fixture
def service(tmp_path):
    for place in ("etc/systemd/system", "usr/local/lib", "var/lib"):
        (tmp_path / place).mkdir(parents=True)
    return Service("etcd", str(tmp_path))


@pytest.fixture
def systemd(service, monkeypatch, tmp_path):
    played = Systemd()

    def record():
        (tmp_path / "var/lib/kubeproof-soak-etcd").mkdir()
        samples(tmp_path / "var/lib/kubeproof-soak-etcd/recording")

    played.on_start = record
    monkeypatch.setattr(soak_service, "run", played)
    return played


def samples(path, end=""):
    """Write a recording that has begun."""
    sample = {"at": 0.0, "wall": 1.0, "running": 1.0, "term": 7, "changes": 1, "leader": "a", "member": "a", "cluster": "c", "started": 0.5}
    writer = soak_service.soak_file.Writer(str(path), 10**6)
    writer.append("begin", {**SOAK, "wall": 1.0, "by": "admin"})
    writer.append("start", {"boot": "b", "at": 0.0, "wall": 1.0, "running": 1.0})
    writer.append("sample", sample)
    if end:
        writer.end(end)
    writer.close()


def test_it_is_installed_and_removed(service, systemd):
    service.install(SOAK, CLIENT, METRICS)
    config = json.loads(open(service.config, encoding="utf-8").read())
    assert open(service.program, "rb").read() == program() and config["limit"] == (21 + 1024) * 1024 and config["member"]["client"] == CLIENT
    assert ("systemctl", "enable", "--now", "kubeproof-soak-etcd.service") in systemd.ran
    assert service.remove() is True and not service.is_installed() and service.remove() is False


def test_the_unit_is_confined_and_gets_its_files_from_systemd(service):
    text = service.text(SOAK, CLIENT, 252)
    for line in ("DynamicUser=yes", "CapabilityBoundingSet=", "LoadCredential=key:/pki/client.key", "MemoryMax=48M", "CPUQuota=20%", "Restart=on-failure",
                 "RestartPreventExitStatus=73 75 78", "ProtectSystem=strict", "WantedBy=multi-user.target"):  # fmt: skip
        assert line in text.splitlines(), line
    old = service.text(SOAK, CLIENT, 239)
    assert "DynamicUser" not in old and "LoadCredential" not in old and "CapabilityBoundingSet=CAP_DAC_READ_SEARCH" in old.splitlines()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"client": {**CLIENT, "key": "/proc/7/root/pki/key"}}, "/proc/7/root/pki/key is inside of a container"),
        ({"client": {**CLIENT, "key": "/my keys/key\nUser=root"}}, "cannot stand in a unit"),
        ({"soak": {**SOAK, "id": "x\nUser=root"}}, "cannot stand in a unit"),
        ({"soak": {**SOAK, "seconds": 1e15}}, "bytes free, and the recording may take"),
    ],
)
def test_what_cannot_work_is_refused_before_anything(service, systemd, change, says):
    arguments = {"soak": SOAK, "client": CLIENT, "metrics": METRICS, **change}
    with pytest.raises(SoakError, match=says):
        service.install(**arguments)
    assert not service.is_installed() and not systemd.ran


@pytest.mark.parametrize("kind", ["fails", "silent", "refused"])
def test_a_watcher_that_does_not_work_leaves_nothing(service, systemd, tmp_path, monkeypatch, kind):
    systemd.state = "failed"
    if kind == "refused":
        systemd.failing["enable"] = "Access denied"
    if kind == "fails":
        systemd.on_start = lambda: None
    if kind == "silent":
        systemd.on_start = lambda: ((tmp_path / "var/lib/kubeproof-soak-etcd").mkdir(), written(tmp_path / "var/lib/kubeproof-soak-etcd/recording", 0, ""))
    with pytest.raises(SoakError, match="Access denied" if kind == "refused" else "does not work"):
        service.install(SOAK, CLIENT, METRICS)
    assert not service.is_installed()


@pytest.mark.parametrize("name", ["", "Etcd", "a b", "../x", "x" * 60])
def test_names_that_cannot_be_a_unit(name):
    with pytest.raises(SoakError, match="cannot be a part"):
        Service(name)


# Starting twice -------------------------------------------------------------------------------------------------------------


OPTIONS = {"soak": SOAK, "client": CLIENT, "metrics": METRICS}


def test_the_same_soak_is_started_once(service, systemd):
    assert start(service, OPTIONS, False) is True
    before = open(service.recording, "rb").read()
    assert start(service, OPTIONS, False) is False and open(service.recording, "rb").read() == before


@pytest.mark.parametrize(
    ("state", "soak"),
    [("active", {"id": "two"}), ("active", {"seconds": 50.0}), ("inactive", {"interval": 4.0}), ("failed", {"id": "two"})],
)
def test_another_recording_is_never_overwritten(service, systemd, state, soak):
    start(service, OPTIONS, False)
    systemd.state = state
    before = open(service.recording, "rb").read()
    with pytest.raises(SoakError, match="it would be lost otherwise"):
        start(service, {**OPTIONS, "soak": {**SOAK, **soak}}, False)
    assert open(service.recording, "rb").read() == before


@pytest.mark.parametrize("state", ["inactive", "failed"])
def test_a_watcher_that_was_stopped_goes_on(service, systemd, state):
    start(service, OPTIONS, False)
    before, systemd.state, systemd.on_start = open(service.recording, "rb").read(), state, lambda: None
    del systemd.ran[:]
    assert start(service, OPTIONS, False) is True and open(service.recording, "rb").read() == before
    assert ("systemctl", "enable", "--now", "kubeproof-soak-etcd.service") in systemd.ran


def test_a_recording_that_has_ended_is_kept(service, systemd, tmp_path):
    systemd.on_start = lambda: ((tmp_path / "var/lib/kubeproof-soak-etcd").mkdir(), samples(tmp_path / "var/lib/kubeproof-soak-etcd/recording", "finished"))
    start(service, OPTIONS, False)
    with pytest.raises(SoakError, match="it would be lost otherwise"):
        start(service, OPTIONS, False)


def test_check_mode_starts_nothing(service, systemd):
    assert start(service, OPTIONS, True) is True and not service.is_installed()


@pytest.mark.parametrize("soak", [{"interval": 0.1}, {"seconds": 9.0}])
def test_times_that_make_no_sense(service, systemd, soak):
    with pytest.raises(SoakError, match="Write an interval"):
        start(service, {**OPTIONS, "soak": {**SOAK, **soak}}, False)


@pytest.mark.parametrize(
    ("soak", "least"),
    [
        ({"seconds": 86400, "interval": 5}, None),
        ({"seconds": 86400, "interval": 2.8}, None),
        ({"seconds": 86400, "interval": 1}, "2.8"),
        ({"seconds": 604800, "interval": 5}, "19.1"),
        ({"seconds": 15000, "interval": 0.5}, None),
    ],
)
def test_a_recording_that_would_be_too_large_is_refused(service, systemd, soak, least):
    """And with the interval that the sentence names it is not."""
    options = {**OPTIONS, "soak": {**SOAK, **soak}}
    if least is None:
        assert start(service, options, True) is True and soak_service.soak_file.limit(soak["seconds"] / soak["interval"] + 1) <= 32 * 2**20
        return
    with pytest.raises(SoakError, match=f"write soak_interval: {least} or more, or a smaller soak_seconds"):
        start(service, options, True)
    assert start(service, {**OPTIONS, "soak": {**SOAK, **soak, "interval": float(least)}}, True) is True


class Time(NamedTuple):
    """A clock that stands still."""

    boot: str
    wall: float
    running: float

    def now(self):
        return self.wall, self.running


@pytest.mark.parametrize(
    ("clock", "elapsed"),
    [
        (Time("b", wall=51.0, running=51.0), 50.0),
        # Set forward or back by hours: the boot's own clock knows better.
        (Time("b", wall=51.0 + 3 * 3600, running=51.0), 50.0),
        (Time("b", wall=51.0 - 3 * 3600, running=51.0), 50.0),
        (Time("another boot", wall=51.0, running=7.0), 50.0),
        (Time("b", wall=51.0, running=500.0), 100.0),
    ],
)
def test_what_has_passed_is_shown_by_a_clock_that_nobody_sets(service, systemd, clock, elapsed):
    start(service, OPTIONS, False)
    assert summary(service, clock)["elapsed"] == elapsed


def test_what_is_shown(service, systemd):
    assert summary(service) == {"state": "absent"}
    start(service, OPTIONS, False)
    shown = summary(service, Time("another boot", wall=51.0, running=7.0))
    assert {name: shown[name] for name in ("state", "id", "by", "elapsed", "samples", "coverage", "term", "most")} == {
        "state": "running", "id": "one", "by": "admin", "elapsed": 50.0, "samples": 1, "coverage": 0.0909, "term": 7, "most": (21 + 1024) * 1024,
    }  # fmt: skip
    systemd.state = "inactive"
    assert summary(service)["state"] == "stopped"
    open(service.recording, "ab").write(b"x\n")
    assert summary(service)["state"] == "stopped"


# The Deployment -------------------------------------------------------------------------------------------------------------

SETTINGS = {
    "id": "one", "seconds": 86400.0, "interval": 5.0, "endpoints": ["https://etcd-0.example.com:2379", "https://[fd00::2]:2379/"], "namespace": "soak",
    "image": "registry.example.com/python:3.11", "secret": "etcd-client", "storage_class": "",
}  # fmt: skip


def test_the_deployment_has_a_container_for_each_member():
    objects = {one["kind"]: one for one in manifest(SETTINGS)}
    assert list(objects) == ["Namespace", "ConfigMap", "Deployment"]
    assert base64.b64decode(objects["ConfigMap"]["binaryData"]["watcher.pyz"]) == program()
    config = json.loads(objects["ConfigMap"]["data"]["etcd-0-example-com.json"])
    assert config["member"]["metrics"]["url"] == "https://etcd-0.example.com:2379/metrics" and config["stay"] is True
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    assert [one["name"] for one in pod["containers"]] == ["etcd-0-example-com", "fd00-2"] and pod["securityContext"]["runAsNonRoot"]
    assert int(pod["volumes"][2]["emptyDir"]["sizeLimit"]) == 2 * (config["limit"] + 4096)
    assert all(one["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "kubeproof" for one in objects.values())
    # Neither what a run left, nor what the cleanup removes.
    assert not any(owned.is_of(one, owned.EVERY_RUN) for one in objects.values())


def test_recordings_outlive_the_pod_with_a_storage_class():
    objects = {one["kind"]: one for one in manifest({**SETTINGS, "storage_class": "fast"})}
    assert objects["PersistentVolumeClaim"]["spec"]["storageClassName"] == "fast"
    assert objects["Deployment"]["spec"]["template"]["spec"]["volumes"][2] == {"name": "data", "persistentVolumeClaim": {"claimName": "kubeproof-soak"}}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"image": ""}, "soak_image is ''"),
        ({"endpoints": []}, "The endpoints in etcd_clusters are"),
        ({"endpoints": ["https://a:1", "https://a:2"]}, "on a host of its own"),
        ({"more": 1}, "Write exactly"),
    ],
)
def test_settings_that_cannot_be_used(change, says):
    with pytest.raises(ManifestError, match=says):
        manifest({**SETTINGS, **change})


def test_member_names():
    assert [member_name(one) for one in ("https://ETCD-1.b:2379", "http://10.0.0.1:2379", "x")] == ["etcd-1-b", "10-0-0-1", ""]
