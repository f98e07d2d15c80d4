# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import subprocess

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils import run
from ansible_collections.kubeproof.certify.plugins.modules import run_end


@pytest.fixture(name="root")
def fixture_root(tmp_path, monkeypatch):
    """Return our own place below a directory that belongs to everybody."""
    monkeypatch.setattr(run_end, "ROOT", str(tmp_path / "kubeproof"))
    monkeypatch.setattr(run, "GRACE", 0.3)
    (tmp_path / "kubeproof").mkdir()
    return tmp_path / "kubeproof"


@pytest.fixture(name="call")
def fixture_call(capsys, root):
    """Return a function that runs the module and returns its answer."""

    def call(*run_dirs, files=(), **more):
        arguments = {"run_dirs": [str(path) for path in run_dirs], "files": [str(path) for path in files], **more}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            run_end.main()
        answer = json.loads(capsys.readouterr().out)
        assert "exception" not in answer
        return answer

    return call


@pytest.fixture(name="tool")
def fixture_tool():
    """Return a function that starts a tool with a worker as tool_run does, with its record in a directory."""
    started = []

    def tool(directory, script="sleep 60 & wait"):
        directory.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, run.MARK: str(directory)}
        process = subprocess.Popen(["sh", "-c", script], env=environment, start_new_session=True)
        started.append(process)
        run._record(str(directory), process.pid, "benchmark", 0)
        return process

    yield tool
    for process in started:
        run._signal_group(process.pid, 9)
        process.wait()


def running(group):
    """Return the processes of a group that have not ended."""
    found = [run._stat(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    return [one for one in found if one[1] == group and one[0] not in ("Z", "X")]


def test_ends_and_removes(call, root, tool, tmp_path):
    process = tool(root / "run1" / "etcd")
    (root / "run1" / "etcd" / "tools").mkdir()
    (root / "run1" / "etcd" / "tools" / "benchmark").write_text("")
    (tmp_path / "kubeproof-run1.fio").write_text("")
    answer = call(root / "run1" / "etcd", files=[tmp_path / "kubeproof-run1.fio"])
    assert answer["ended"] == [f"{process.pid} benchmark"] and answer["changed"] is True
    assert answer["removed"] == [str(root / "run1" / "etcd"), str(tmp_path / "kubeproof-run1.fio")]
    assert not running(process.pid)
    # Our own place goes with the last run.
    assert os.listdir(tmp_path) == []


def test_patterns(call, root, tool, tmp_path):
    processes = [tool(root / name / "etcd") for name in ("run1", "run2")]
    for name in ("kubeproof-run1.fio", "kubeproof-run2.fio", "kubeproof.fio", "other"):
        (tmp_path / name).write_text("")
    answer = call(f"{root}/*/etcd", files=[f"{tmp_path}/kubeproof-*.fio"])
    assert len(answer["ended"]) == 2 and len(answer["removed"]) == 4 and not any(running(process.pid) for process in processes)
    assert sorted(os.listdir(tmp_path)) == ["kubeproof.fio", "other"]


def test_leaves_another_run_alone(call, root, tool):
    own, other = tool(root / "run1" / "etcd"), tool(root / "run2" / "etcd")
    call(root / "run1" / "etcd")
    assert not running(own.pid) and running(other.pid) and os.listdir(root) == ["run2"]


def test_nothing_to_do(call, root, tmp_path):
    (root / "run2").mkdir()
    answer = call(root / "run1", files=[tmp_path / "kubeproof-run1.fio"])
    assert (answer["changed"], answer["ended"], answer["removed"]) == (False, [], [])


def test_check_mode_touches_nothing(call, root, tool):
    process = tool(root / "run1")
    answer = call(root / "run1", _ansible_check_mode=True)
    assert answer["changed"] is True and answer["removed"] == [str(root / "run1")]
    assert running(process.pid) and os.listdir(root / "run1") == [f"process-{process.pid}.json"]


@pytest.mark.parametrize(
    "path",
    ["{root}", "{root}/", "{root}/.", "{root}/../other", "{root}/*/../../other", "{root}-other/run1", "/etc", "/", "kubeproof/run1", ""],
)
def test_a_foreign_directory_is_refused(call, root, path, tmp_path):
    (tmp_path / "other").mkdir()
    (root / "run1").mkdir()
    answer = call(root / "run1", path.format(root=root))
    assert answer["failed"] is True and "Only a run's own directory is removed." in answer["msg"]
    assert sorted(os.listdir(tmp_path)) == ["kubeproof", "other"] and os.listdir(root) == ["run1"]


@pytest.mark.parametrize("path", ["/etc/passwd", "{tmp}/other", "{tmp}/kubeproof-1/../other", "{tmp}/kubeproof", "{tmp}/*", ""])
def test_a_foreign_file_is_refused(call, root, path, tmp_path):
    (tmp_path / "other").write_text("")
    (root / "run1").mkdir()
    answer = call(root / "run1", files=[path.format(tmp=tmp_path)])
    assert answer["failed"] is True and "Only a run's own files are removed." in answer["msg"]
    assert sorted(os.listdir(tmp_path)) == ["kubeproof", "other"] and os.listdir(root) == ["run1"]


def test_a_link_in_place_of_our_own_directory_is_not_followed(call, root, tmp_path):
    """Anybody can make /var/tmp/kubeproof before us, and a pattern would then match what is behind it, such as /var/lib/etcd."""
    (tmp_path / "var" / "lib" / "etcd").mkdir(parents=True)
    root.rmdir()
    root.symlink_to(tmp_path / "var")
    answer = call(f"{root}/*/etcd")
    assert answer["failed"] is True and f"a symbolic link leads from {root}/lib/etcd to {tmp_path}/var/lib/etcd" in answer["msg"]
    assert (tmp_path / "var" / "lib" / "etcd").is_dir()


@pytest.mark.parametrize("above", [True, False])
def test_a_link_inside_is_not_followed(call, root, tmp_path, above):
    (tmp_path / "precious" / "etcd").mkdir(parents=True)
    (root / "run1").symlink_to(tmp_path / "precious")
    answer = call(f"{root}/*/etcd" if above else f"{root}/*")
    assert answer["failed"] is True and "a symbolic link leads from" in answer["msg"] and (tmp_path / "precious" / "etcd").is_dir()


def test_a_link_below_a_run_is_removed_and_its_target_kept(call, root, tmp_path):
    (tmp_path / "precious").mkdir()
    (root / "run1").mkdir()
    (root / "run1" / "link").symlink_to(tmp_path / "precious")
    assert call(root / "run1")["removed"] == [str(root / "run1")]
    assert os.listdir(tmp_path) == ["precious"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1, "start_time": 5}', '{"pid": "7"}'])
def test_a_damaged_record_keeps_its_directory_and_the_rest_goes(call, root, tmp_path, text):
    for name in ("run1", "run2"):
        (root / name).mkdir()
    (root / "run1" / "process-7.json").write_text(text)
    (tmp_path / "kubeproof-1.fio").write_text("")
    answer = call(f"{root}/*", files=[tmp_path / "kubeproof-1.fio"])
    assert answer["failed"] is True and f"{root}/run1/process-7.json" in answer["msg"] and f"Could not remove {root}/run1. " in answer["msg"]
    assert os.listdir(root) == ["run1"] and os.listdir(tmp_path) == ["kubeproof"]


def test_a_process_that_cannot_be_ended_keeps_its_record(call, root, tool, monkeypatch):
    process = tool(root / "run1")
    monkeypatch.setattr(run, "_signal_group", lambda pid, number: None)
    answer = call(root / "run1")
    monkeypatch.undo()
    assert answer["failed"] is True and f"The process group {process.pid} (benchmark) could not be ended." in answer["msg"]
    assert os.listdir(root / "run1") == [f"process-{process.pid}.json"]


def test_a_process_that_ignores_term_is_killed(call, root, tool):
    process = tool(root / "run1", "trap '' TERM; sleep 60 & wait; sleep 60")
    assert call(root / "run1")["ended"] == [f"{process.pid} benchmark"] and not running(process.pid)


def test_what_cannot_be_removed_is_named(call, root, tmp_path):
    (root / "run1").write_text("a file in place of a directory")
    (tmp_path / "kubeproof-directory").mkdir()
    answer = call(root / "run1", files=[tmp_path / "kubeproof-directory"])
    assert answer["failed"] is True and f"Could not remove {root}/run1, {tmp_path}/kubeproof-directory. Remove it by hand." in answer["msg"]
