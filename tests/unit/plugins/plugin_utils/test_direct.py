# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module in Ansible's own process returns what it returns in one of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import job_stop
from ansible_collections.kubeproof.certify.plugins.module_utils.run import STOP_SIGNALS
from ansible_collections.kubeproof.certify.plugins.plugin_utils import direct

ROOT = Path(__file__).parents[4]
DIRECT = {path.stem for path in (ROOT / "plugins" / "action").glob("*.py") if "action.cluster_info import" in path.read_text(encoding="utf-8")}
PLAY = """
- hosts: localhost
  gather_facts: false
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  tasks:
    - {name: Write, kubeproof.certify.record: {directory: %(directory)s, documents: {"a.json": {"one": [1, 2.5, null, true, "ä"]}}}, register: written}
    - {name: Read, kubeproof.certify.tool_result: {tool: fio, content: "{}"}, register: refused, ignore_errors: true}
    - {name: Misspelt, kubeproof.certify.record: {directori: x}, register: misspelt, ignore_errors: true}
    - {name: Which, kubeproof.certify.tool_fetch: {tools: [own-tool], built: /nowhere, cache: /nowhere, architecture: x86_64}, register: found,
       environment: {PATH: "%(directory)s/bin:{{ lookup('env', 'PATH') }}"}}
    - ansible.builtin.copy:
        content: "{{ {'written': written, 'refused': refused, 'misspelt': misspelt, 'found': found} | to_json }}"
        dest: %(directory)s/results.json
        mode: "0644"
"""
LONG = """
- hosts: localhost
  gather_facts: false
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  tasks:
    - name: Long
      kubeproof.certify.tool_run:
        argv: [sh, -c, "echo began >>%(directory)s/began; exec sleep 60"]
        timeout: 60
        parser: fio
        run_dir: "%(directory)s/run"
      loop: [1, 2, 3]
"""
ENVIRONMENT = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"}


def heard():
    """Let signals be heard again."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture(scope="module", name="results")
def _results(tmp_path_factory):
    """The results of modules in one play, and the process of each."""
    directory = tmp_path_factory.mktemp("direct")
    tool = directory / "bin" / "own-tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n", encoding="utf-8")
    tool.chmod(0o755)
    play = directory / "play.yml"
    play.write_text(PLAY % {"directory": directory}, encoding="utf-8")
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local", str(play)]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory, json.loads((directory / "results.json").read_text(encoding="utf-8"))


def test_a_module_does_its_work_and_says_so(results):
    directory, found = results
    assert json.loads((directory / "a.json").read_text(encoding="utf-8")) == {"one": [1, 2.5, None, True, "ä"]}
    assert found["written"]["changed"] is True and not found["written"]["failed"]


def test_a_refusal_is_the_task_s_own(results):
    dummy, found = results
    assert found["refused"]["failed"] and found["refused"]["msg"].startswith("Cannot read the output of fio:")


@pytest.mark.parametrize(("transport", "become"), [("ssh", None), ("ansible.builtin.ssh", None), ("local", "sudo")])
def test_on_a_host_or_as_another_user_it_has_a_process_of_its_own(transport, become):
    action = mock.Mock()
    action._connection.transport, action._connection.become = transport, become
    assert direct.run(action, {}, {"tool": "fio"}) is action._execute_module.return_value
    action._execute_module.assert_called_once_with(module_args={"tool": "fio"}, task_vars={})


def test_a_module_without_a_result_is_an_error():
    with pytest.raises(direct.NoResult, match="silent ended without a result"):
        direct.called(SimpleNamespace(__name__="silent", main=lambda: None), b"{}")


def test_an_argument_that_is_not_there_is_named(results):
    dummy, found = results
    assert found["misspelt"]["failed"] and "directory" in found["misspelt"]["msg"] + found["misspelt"].get("exception", "")


def test_the_environment_of_a_task_holds(results):
    directory, found = results
    assert found["found"]["paths"] == {"own-tool": str(directory / "bin" / "own-tool")}


def test_every_action_file_has_its_module():
    assert {"record", "run_access", "dns_info", "pod_exec"} <= DIRECT
    assert all((ROOT / "plugins" / "modules" / f"{name}.py").exists() for name in DIRECT)


def parent(process):
    return int(Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])


@pytest.mark.parametrize("told", ["ansible-playbook, by Ctrl-C", "the worker, by the guard"])
def test_what_a_module_has_begun_ends_when_it_is_told_to_stop(tmp_path, told):
    play = tmp_path / "play.yml"
    play.write_text(LONG % {"directory": tmp_path}, encoding="utf-8")
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local", str(play)]
    # A pipeline may start us with signals ignored, which children inherit.
    with subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=heard) as process:  # noqa: PLW1509
        limit = time.monotonic() + 60
        while not (records := list(tmp_path.glob("run/process-*.json"))) and time.monotonic() < limit:
            time.sleep(0.05)
        assert records, process.stdout.read().decode()
        [tool] = [json.loads(path.read_text(encoding="utf-8"))["pid"] for path in records]
        if "Ctrl-C" in told:
            process.send_signal(signal.SIGINT)
        else:
            os.kill(parent(tool), signal.SIGTERM)
        assert process.wait(30) != 0
    assert not os.path.exists(f"/proc/{tool}") and not list(tmp_path.glob("run/process-*.json"))
    # Nor does the loop go on.
    assert (tmp_path / "began").read_text(encoding="utf-8") == "began\n"


class Told(Exception):
    """The handler of a worker ran."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("when", ["while it works", "while it puts away", "between"])
def test_a_signal_that_a_module_took_is_the_worker_s_afterwards(number, when):
    def tell(told, *dummy):
        raise Told(told)

    def kill():
        os.kill(os.getpid(), number)

    steps, before = [], {one: signal.signal(one, tell) for one in STOP_SIGNALS}
    try:
        with pytest.raises(Told, match=str(int(number))):
            with direct.stoppable():
                steps.append(job_stop.guarded(kill if when == "while it works" else int, "It", "a_module"))
                if when == "while it puts away":
                    kill()
                steps.append("put away")
            if when == "between":
                kill()
        assert steps == [f"It was stopped by {number.name}, sent to a_module." if when == "while it works" else None, "put away"]
        assert {signal.getsignal(one) for one in STOP_SIGNALS} == {tell}
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
