# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.kubeproof.certify.plugins.action import tool_run
from ansible_collections.kubeproof.certify.plugins.module_utils.tool_call import pack
from ansible_collections.kubeproof.certify.plugins.plugin_utils.raw import unpack

ANSWER = {"command": "fio --name='a b'", "rc": 0, "started": 1.5, "seconds": 2.5, "facts": {}}


@pytest.fixture(name="act")
def fixture_act(monkeypatch):
    """Return a function that runs the action with the module's answer and the task's arguments."""
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp=None, task_vars=None: {})

    def act(answer, **arguments):
        action = tool_run.ActionModule.__new__(tool_run.ActionModule)
        action._task = SimpleNamespace(args=arguments)
        monkeypatch.setattr(tool_run.direct, "run", lambda task, task_vars: dict(answer))
        return action.run(task_vars={})

    return act


def raw(stdout=b"", stderr=b""):
    """Return the module's raw output."""
    return {"stdout": pack(stdout), "stderr": pack(stderr)}


@pytest.mark.parametrize(
    ("output", "names"),
    [(raw(b"\xffout", b"err"), {"fio.json", "fio.stdout", "fio.stderr"}), (raw(b"\xffout"), {"fio.json", "fio.stdout"}), (raw(), {"fio.json", "fio.stdout"})],
)
def test_writes_what_there_is(act, tmp_path, output, names):
    result = act({**ANSWER, "raw": output}, raw=str(tmp_path / "raw" / "fio"))
    assert result == ANSWER
    assert {path.name for path in (tmp_path / "raw").iterdir()} == names
    assert (tmp_path / "raw" / "fio.stdout").read_bytes() == unpack(output["stdout"])
    assert json.loads((tmp_path / "raw" / "fio.json").read_text()) == {"argv": ["fio", "--name=a b"], "rc": 0, "started": 1.5, "seconds": 2.5}


@pytest.mark.parametrize(("result", "files"), [(None, ["fio.stdout"]), ("{0}/fio/index", ["fio/index"])])
def test_beside_it_is_said_what_has_read_it(act, tmp_path, result, files):
    place = tmp_path / "raw" / "fio"
    act({**ANSWER, "raw": raw(b"x")}, raw=str(place), parser="fio", **({"result": result.format(place.parent)} if result else {}))
    said = json.loads((tmp_path / "raw" / "fio.json").read_text())
    assert (said["parser"], said["files"], said["rc"]) == ("fio", files, 0)


@pytest.mark.parametrize("arguments", [{}, {"raw": None}, {"raw": ""}])
def test_raw_output_never_stays_in_the_result(act, arguments):
    assert act({**ANSWER, "raw": raw(b"x")}, **arguments) == ANSWER


def test_a_tool_that_did_not_start_leaves_no_file(act, tmp_path):
    answer = {"failed": True, "msg": "fio was not found.", "command": "fio"}
    assert act(answer, raw=str(tmp_path / "fio")) == answer and not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written(act, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AnsibleActionFail, match="Cannot write .*file/fio.json"):
        act({**ANSWER, "raw": raw(b"x")}, raw=str(tmp_path / "file" / "fio"))
    failed = act({**ANSWER, "raw": raw(b"x"), "failed": True, "msg": "fio was killed."}, raw=str(tmp_path / "file" / "fio"))
    assert failed["msg"].startswith("fio was killed. Cannot write ") and "file/fio.json" in failed["msg"]
