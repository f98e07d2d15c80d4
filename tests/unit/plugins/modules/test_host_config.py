# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of a host: this machine's, and one that is played with files of our own; no secret of it leaves."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils import tuning_containerd, tuning_files, tuning_process
from ansible_collections.kubeproof.certify.plugins.modules import host_config

CANARY = "c4nary-s3cret"
MANIFEST = f"""apiVersion: v1
spec:
  containers:
  - command:
    - kube-apiserver
    - --watch-cache=false
    - --oidc-client-secret={CANARY}
    env:
    - name: HTTPS_PROXY
      value: https://u:{CANARY}@proxy
    image: registry.example.com/kube-apiserver:v1.36.3
"""
KUBELET = f"maxPods: 50\nstaticPodPath: {{path}}\nstaticPodURLHeader:\n  Authorization:\n  - {CANARY}\n"
DUMP = f"""version = 3
root = '/'
[plugins.'io.containerd.cri.v1.images']
snapshotter = 'overlayfs'
[plugins.'io.containerd.cri.v1.images'.registry.configs.'a'.auth]
password = '{CANARY}'
"""


@pytest.fixture
def played(tmp_path, monkeypatch):
    """Return the folder of a host whose processes are played; its API server, kubelet, etcd and containerd have files there."""
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (manifests / "kube-apiserver.yaml").write_text(MANIFEST)
    (tmp_path / "kubelet.yaml").write_text(KUBELET.format(path=manifests))
    (tmp_path / "drop-in").mkdir()
    (tmp_path / "drop-in/10-pods.conf").write_text("maxPods: 60\n")
    (tmp_path / "etcd.yml").write_text(f"name: a\ndata-dir: {tmp_path}\nquota-backend-bytes: 1000\npassword: {CANARY}\n")
    (tmp_path / "containerd.toml").write_text(DUMP)
    (tmp_path / "broken.crt").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")

    def process(program, **flags):
        return {"pid": 1, "program": program, "flags": {name.replace("_", "-"): str(value) for name, value in flags.items()}, "on_host": True}

    running = {
        "apiserver": [process("kube-apiserver", audit_log_path=tmp_path / "audit.log")],
        "kubelet": [process("kubelet", config=tmp_path / "kubelet.yaml", config_dir=tmp_path / "drop-in")],
        "etcd": [{**process("etcd", config_file=tmp_path / "etcd.yml"), "environment": {"name": "ignored"}, "environment_read": True}],
        "containerd": [process("containerd", config=tmp_path / "containerd.toml")],
    }
    monkeypatch.setattr(tuning_process, "processes", lambda: (running, []))
    monkeypatch.setattr(tuning_files, "version_of", lambda program, problems: "v1.2.3")
    monkeypatch.setattr(tuning_containerd, "dump", lambda program, path: DUMP)
    return tmp_path


def look(folder):
    return host_config.Look({"manifests": "/nowhere", "certificates": [f"{folder}/*.crt"]}).all()


def test_what_is_configured(played):
    facts = look(played)
    assert facts["configs"]["kubelet"]["settings"]["maxPods"] == 60
    assert facts["manifests"]["apiserver"]["flags"]["watch-cache"] == "false"
    [etcd] = facts["processes"]["etcd"]
    assert etcd["flags"]["quota-backend-bytes"] == "1000" and etcd["environment"] == {} and etcd["live"] == {}
    assert facts["containerd"]["snapshotter"] == "overlayfs" and facts["containerd"]["written"] == {"version": 3, "unread": []}
    assert {"etcd", "audit", "images", "root"} <= set(facts["disks"]) and facts["versions"]["kubelet"] == "1.2.3"
    assert any("broken.crt" in problem for problem in facts["problems"]) and facts["certificates"] == {}


def test_no_secret_leaves(played):
    assert CANARY not in json.dumps(look(played))


def test_a_file_that_cannot_be_read_is_a_problem(played):
    (played / "kubelet.yaml").write_text("a: &b c")
    facts = look(played)
    assert "kubelet" not in facts["configs"] and any("kubelet.yaml" in problem for problem in facts["problems"])


def test_a_containerd_that_does_not_tell(played, monkeypatch):
    def refuse(program, path):
        raise tuning_containerd.ContainerdError("containerd config dump cannot be run: no")

    monkeypatch.setattr(tuning_containerd, "dump", refuse)
    facts = look(played)
    assert "config_version" not in facts["containerd"] and "Containerd config dump cannot be run: no." in facts["problems"]


def test_this_machine(capsys):
    with patch_module_args({}), pytest.raises(SystemExit):
        host_config.main()
    answer = json.loads(capsys.readouterr().out)
    assert answer["changed"] is False and answer["facts"]["node"]["cpus"] > 0 and answer["facts"]["disks"]["root"]["size"] > 0
