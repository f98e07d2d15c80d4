# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The maintenance as one file: it is whole, always the same, and does what the module does."""

from __future__ import annotations

import ast
import io
import json
import signal
import subprocess
import sys
import time
import zipfile

import pytest
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_maintenance_program as program
from ansible_collections.kubeproof.certify.tests.unit.plugins.etcd_cluster_fake import FakeCluster, write_etcdutl

OLDEST = (3, 8)


@pytest.fixture
def etcd():
    fake = FakeCluster()
    yield fake
    fake.close()


@pytest.fixture
def start(etcd, tmp_path):
    """Return start(*arguments, document=None, **settings) -> the process of the program, with the standard library alone."""
    path = tmp_path / "maintenance.pyz"
    path.write_bytes(program.build())

    def run(*arguments, document=None, **settings):
        paths = {"snapshot_directory": str(tmp_path / "snapshots"), "etcdutl": write_etcdutl(tmp_path / "etcdutl")}
        whole = {"endpoint": {"url": etcd.url}, "settings": {**paths, "reclaimable_bytes": 0, "settle": 1, **settings}}
        (tmp_path / "configuration.json").write_text(json.dumps(whole if document is None else document))
        argv = [sys.executable, "-I", "-S", path, tmp_path / "configuration.json", *arguments]
        return subprocess.Popen(argv, cwd="/", text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    return run


def ended(process):
    """Return (exit status, lines of the output, errors) of a process."""
    output, errors = process.communicate(timeout=30)
    return process.returncode, output.splitlines(), errors


def test_the_same_sources_make_the_same_bytes():
    assert program.build() == program.build()
    with zipfile.ZipFile(io.BytesIO(program.build())) as archive:
        entries = archive.infolist()
        assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)} and [entry.filename for entry in entries] == sorted(archive.namelist())
        names = {name.rpartition("/")[2] for name in archive.namelist()}
        for name in archive.namelist():
            ast.parse(archive.read(name), name, feature_version=OLDEST)
    assert {"__main__.py", "etcd_maintenance.py", "etcd_gateway.py", "web.py", "openmetrics.py"} <= names
    # Nothing of Ansible, and no more of ours than it needs.
    assert len(names) < 20


def test_it_does_what_the_module_does(etcd, start):
    status, lines, errors = ended(start())
    assert (status, errors) == (0, "")
    assert etcd.log == ["snapshot etcd1", *(f"compact etcd{one}" for one in (1, 3, 2)), "defragment etcd1", "defragment etcd3", "defragment etcd2"]
    assert lines[0] == "etcd1: taking a snapshot." and json.loads(lines[-1])["changed"] is True


def test_check(etcd, start):
    status, lines, errors = ended(start("--check"))
    assert status == 0 and json.loads(lines[-1])["changed"] is True and etcd.log == []


def test_a_stop_is_a_failure(etcd, start):
    etcd.members["etcd3"].answers["/v3/maintenance/defragment"] = (500, {"error": "no space left on device"})
    status, lines, errors = ended(start())
    assert status == 1 and errors.startswith("Stopped. etcd3 did not end its defragmentation") and json.loads(lines[-1])["changed"] is True


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "The configuration is not {endpoint, endpoints, local, settings}"),
        ({"settings": {}}, "The configuration cannot be used (KeyError 'endpoint')"),
        ({"endpoint": {"url": "https://a", "token": "x"}, "settings": {}}, "The configuration cannot be used (TypeError"),
        ({"endpoint": {"url": "https://a"}, "settings": {}}, "etcd_maintenance_snapshot_directory is missing"),
        ({"endpoint": {"url": "a"}, "settings": {"snapshot_directory": "/a", "etcdutl": "/b"}}, "'a' is not an http or https URL"),
        ({"endpoint": {"url": "https://a"}, "settings": [], "more": 1}, "The configuration is not"),
    ],
)
def test_a_configuration_that_cannot_be_used(start, document, said):
    status, lines, errors = ended(start(document=document))
    assert status == 1 and said in errors and "Traceback" not in errors


def test_what_is_half_written_is_removed_when_the_service_is_stopped(etcd, start, tmp_path):
    etcd.members["etcd1"].damage = lambda messages: time.sleep(5) or messages
    process = start()
    while "snapshot etcd1" not in etcd.log:
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 1 and list((tmp_path / "snapshots").iterdir()) == [] and etcd.log == ["snapshot etcd1"]
