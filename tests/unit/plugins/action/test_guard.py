# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from unittest import mock

import pytest
from ansible.cli.playbook import PlaybookCLI

from ansible_collections.kubeproof.certify.plugins.action import guard as action
from ansible_collections.kubeproof.certify.plugins.plugin_utils import guard

RUN = "/results of mine/prod/20261121t040000z-1a2b"
# What the cleanup need not know of a run.
OWN = {"args", "extra_vars", "limit", "subset", "tags", "skip_tags", "forks", "verbosity", "step", "start_at_task", "check", "diff", "flush_cache"}


def parse(*arguments):
    """Return what ansible-playbook makes of arguments, as in CLIARGS."""
    cli = PlaybookCLI(["ansible-playbook", *arguments])
    cli.init_parser()
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in vars(cli.post_process_args(cli.parser.parse_args(arguments))).items()
    }


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-i", "prod"],
        ["-i", "prod", "-i", "more", "-i", "etcd1,etcd2,"],
        ["-e", "certify_profile=load", "-e", '{"a": "b c"}', "-e", "@vars.yml", "-e", "a='b c' d=e"],
        ["--vault-id", "dev@file", "--vault-id", "prod@other"],
        ["--vault-password-file", "pass", "--vault-password-file", "pass2"],
        ["-u", "admin", "-c", "ssh", "--private-key", "key", "-T", "30"],
        ["--ssh-common-args=-o ProxyJump=bastion", "--ssh-extra-args=-4", "--sftp-extra-args=-f", "--scp-extra-args=-l 100"],
        ["--connection-password-file", "conn", "--become-password-file", "become"],
        ["--become-method", "su", "--become-user", "etcd"],
        ["--inventory=-odd", "--extra-vars=--odd"],
    ],
)
def test_the_cleanup_gets_the_options_of_the_run(arguments):
    run = parse("certify.yml", *arguments)
    command = action.cleanup_command("cleanup.yml", RUN, run)
    assert command[:2] == [sys.argv[0], "cleanup.yml"]
    cleanup = parse(*command[1:])
    assert {name: value for name, value in cleanup.items() if name not in OWN} == {name: value for name, value in run.items() if name not in OWN}
    assert cleanup["args"] == ("cleanup.yml",)
    assert cleanup["extra_vars"] == (*run["extra_vars"], json.dumps({"certify_run_directory": RUN}))


def test_the_run_directory_cannot_be_overridden():
    run = parse("certify.yml", "-e", "certify_run_directory=/elsewhere")
    assert json.loads(action.cleanup_command("c.yml", RUN, run)[-1].partition("=")[2]) == {"certify_run_directory": RUN}


def test_passwords_that_were_typed_are_not_asked_again():
    command = action.cleanup_command("c.yml", RUN, parse("certify.yml", "-k", "-K", "--ask-vault-password"))
    assert not any("ask" in word for word in command)


def start(monkeypatch, directory, check_mode=False):
    """Run the action with Popen replaced; return its result and the calls."""
    calls = []
    monkeypatch.setattr(action.subprocess, "Popen", lambda *arguments, **options: calls.append((arguments, options)))
    monkeypatch.setattr(action.context, "CLIARGS", {"inventory": ["prod"]})
    task = mock.Mock(args={"directory": directory, "playbook": "c.yml"}, check_mode=check_mode, async_val=0)
    plugin = action.ActionModule(task, mock.Mock(), mock.Mock(check_mode=check_mode), mock.Mock(), mock.Mock(), mock.Mock())
    return plugin.run(task_vars={}), calls


def test_the_guard_is_detached(monkeypatch, tmp_path):
    result, [((argv,), options)] = start(monkeypatch, str(tmp_path))
    command = action.cleanup_command("c.yml", str(tmp_path), {"inventory": ["prod"]})
    assert argv == [sys.executable, guard.__file__, str(tmp_path), str(os.getppid()), *command]
    assert result["changed"] is False and "command" not in result
    assert options["start_new_session"] and options["close_fds"]
    assert {options[name] for name in ("stdin", "stdout", "stderr")} == {subprocess.DEVNULL}


def test_the_directory_is_made_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    dummy, [((argv,), dummy)] = start(monkeypatch, "results/1")
    assert argv[2] == str(tmp_path / "results" / "1")


def test_check_mode_starts_nothing(monkeypatch, tmp_path):
    result, calls = start(monkeypatch, str(tmp_path), check_mode=True)
    assert calls == [] and not result["changed"]


def test_the_guard_outlives_its_starter_and_its_session(tmp_path):
    """As in a run: a worker of ansible-playbook starts the guard and ends, then the playbook is killed with its whole process group."""
    (tmp_path / "certificate.json").write_text(json.dumps({"state": "interrupted"}))
    worker = "import os, subprocess, sys; subprocess.Popen([*sys.argv[1:4], str(os.getppid()), *sys.argv[4:]], start_new_session=True)"
    playbook = "import subprocess, sys, time; subprocess.run([sys.executable, '-c', *sys.argv[1:]]); print('started', flush=True); time.sleep(60)"
    arguments = [worker, sys.executable, guard.__file__, str(tmp_path), "sh", "-c", f"echo cleaned; touch {tmp_path}/done"]
    with subprocess.Popen([sys.executable, "-c", playbook, *arguments], stdout=subprocess.PIPE, start_new_session=True) as run:
        assert run.stdout.readline() == b"started\n"
        time.sleep(0.1)
        assert not (tmp_path / "done").exists()
        os.killpg(run.pid, 9)
    limit = time.monotonic() + 10
    while not (tmp_path / "done").exists() and time.monotonic() < limit:
        time.sleep(0.05)
    assert (tmp_path / "done").exists() and (tmp_path / "cleanup.log").read_text() == "cleaned\n"
