# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.kubeproof.certify.plugins.action import etcd_ask
from ansible_collections.kubeproof.certify.plugins.module_utils.tool_call import pack

SAID = {"rc": 0, "started": 1.5, "seconds": 2.5, "argv": ["etcdctl", "member", "list"], "raw": {"stdout": pack(b"{}"), "stderr": pack(b"")}}
NEVER = {"argv": ["etcdctl", "alarm", "list"]}


@pytest.fixture(name="act")
def fixture_act(monkeypatch):
    """Return a function that runs the action with the module's answer and the task's arguments."""
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp=None, task_vars=None: {})

    def act(answer, **arguments):
        action = etcd_ask.ActionModule.__new__(etcd_ask.ActionModule)
        action._task = SimpleNamespace(args=arguments)
        monkeypatch.setattr(etcd_ask.direct, "run", lambda task, task_vars: dict(answer))
        return action.run(task_vars={})

    return act


def test_each_answer_is_kept_with_what_has_read_it(act, tmp_path):
    answer = {"facts": {}, "answers": {"members": {**SAID}, "alarms": {**NEVER}}}
    assert act(answer, raw=str(tmp_path / "raw")) == {"facts": {}}
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == ["members.json", "members.stdout"]
    said = json.loads((tmp_path / "raw" / "members.json").read_text())
    assert said == {"argv": SAID["argv"], "rc": 0, "started": 1.5, "seconds": 2.5, "parser": "etcdctl", "files": ["members.stdout"]}


def test_nothing_is_kept_where_nobody_asks_for_it(act):
    assert act({"facts": {}, "answers": {"members": {**SAID}}}) == {"facts": {}}


def test_a_file_that_cannot_be_written(act, tmp_path):
    (tmp_path / "file").write_text("")
    answer = {"answers": {"members": {**SAID}}}
    with pytest.raises(AnsibleActionFail, match="Cannot write .*file/members.json"):
        act(answer, raw=str(tmp_path / "file"))
    assert "Cannot write" in act({"answers": {"members": {**SAID}}, "failed": True, "msg": "No."}, raw=str(tmp_path / "file"))["msg"]
