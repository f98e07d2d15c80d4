# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import json

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_maintenance_program as program
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_maintenance_plan import SETTINGS
from ansible_collections.kubeproof.certify.plugins.modules import etcd_maintain, etcd_maintenance_program
from ansible_collections.kubeproof.certify.tests.unit.plugins.etcd_cluster_fake import FakeCluster, write_etcdutl


@pytest.fixture
def etcd():
    fake = FakeCluster()
    yield fake
    fake.close()


@pytest.fixture
def run(etcd, capsys, tmp_path):
    """Return a function that runs the module and returns its answer."""

    def call(**arguments):
        paths = {"snapshot_directory": str(tmp_path / "snapshots"), "etcdutl": write_etcdutl(tmp_path / "etcdutl")}
        with patch_module_args({"endpoint": {"url": etcd.url}, "reclaimable_bytes": 0, **paths, **arguments}), pytest.raises(SystemExit):
            etcd_maintain.main()
        return json.loads(capsys.readouterr().out)

    return call


def test_defaults_are_those_of_the_plan():
    assert {name: option.get("default") for name, option in etcd_maintain.SPEC.items() if name in SETTINGS} == {
        name: default for name, (kind, default, least, most) in SETTINGS.items()
    }


def test_check_mode_and_the_real_thing(etcd, run, tmp_path):
    planned = run(_ansible_check_mode=True)
    assert planned["changed"] is True and etcd.log == [] and planned["steps"] == [] and not (tmp_path / "snapshots").exists()
    done = run()
    assert done["changed"] is True and done["steps"][0] == "etcd1: taking a snapshot." and len(etcd.log) == 7
    assert run(compact="never")["changed"] is False


def test_a_failure_says_what_was_done(etcd, run):
    etcd.members["etcd3"].answers["/v3/maintenance/defragment"] = (500, {"error": "no space left on device"})
    answer = run()
    assert answer["failed"] and answer["changed"] is True and "etcd1 is defragmented; etcd3, etcd2 are not." in answer["msg"]
    assert answer["facts"]["members"]["etcd1"]["after"] < answer["facts"]["members"]["etcd1"]["before"] and answer["steps"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"reclaimable": 50}, "etcd_maintenance_reclaimable is 50.0. Write a number from 0 to 1."),
        ({"free": {"3e9": "much"}}, "free is {'3e9': 'much'}. Write bytes by the id of each member."),
        ({"free": {"3e9": 0}, "compact": "never"}, "etcd1 has 0.0 MiB free beside its data"),
        ({"endpoint": {"url": "ftp://a"}}, "is not an http or https URL"),
        ({"endpoint": {"url": "http://127.0.0.1:1"}}, "http://127.0.0.1:1"),
    ],
)
def test_what_cannot_be_meant(etcd, run, arguments, said):
    answer = run(**arguments)
    assert answer["failed"] and said in answer["msg"] and etcd.log == []


def test_the_program_is_written_once(capsys, tmp_path):
    path = tmp_path / "lib" / "maintenance.pyz"

    def call(**arguments):
        with patch_module_args(arguments), pytest.raises(SystemExit):
            etcd_maintenance_program.main()
        return json.loads(capsys.readouterr().out)

    assert call(path=str(path), _ansible_check_mode=True)["changed"] is True and not path.exists()
    first, again = call(path=str(path)), call(path=str(path))
    assert (first["changed"], again["changed"]) == (True, False) and path.read_bytes() == program.build()
    path.write_text("another")
    assert call(path=str(path))["changed"] is True
    assert base64.b64decode(call()["content"]) == program.build()
    assert call(path=str(tmp_path / "lib"))["failed"] is True
