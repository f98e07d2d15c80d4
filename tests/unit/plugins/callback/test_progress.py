# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A played certification, seen through the callback in a pipe and at a terminal; and when it leaves the output to Ansible."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from ansible_collections.kubeproof.certify.plugins.callback import progress

COLLECTION = Path(__file__).parents[4]
ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
NAME = "kubeproof.certify.progress"
# What a terminal acts on: colours, and the line that is written over.
CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# Only actions of the controller, which start no process. The guard and the seal, which do not run, are what tells a certification.
PLAY = r"""
- name: Foreign
  hosts: one
  gather_facts: false
  tasks:
    - name: Foreign | Speak
      ansible.builtin.debug: {msg: of another playbook}
- name: Preflight
  hosts: one
  gather_facts: false
  tags: [always]
  tasks:
    - name: Preflight | Fix the run
      ansible.builtin.set_fact:
        certify_run: {id: r1, profile: smoke, cluster: {name: played}, hosts: {all: [one, two]}}
        certify_plan: {layers: [dns], times: {seconds: 60, load: 9, layers: [{layer: dns, load: 9, seconds: 30}]}}
        certify_done: {}
    - name: Preflight | Guard
      kubeproof.certify.guard: {directory: /nonexistent, playbook: none}
      when: false
- name: Certify DNS
  hosts: all
  gather_facts: false
  tags: [dns]
  tasks:
    - name: Layer | Measure
      block:
        - name: Load | Run the steps
          ansible.builtin.include_tasks: step.yml
          loop: [{name: pods, rate: 500, seconds: 4}]
          loop_control: {loop_var: dns_step}
          run_once: true
        - name: Stress | Choose the step
          ansible.builtin.set_fact: {certify_step: {name: ramp-150, rate: 750, seconds: 9}}
          run_once: true
        - name: Stress | End it
          ansible.builtin.set_fact: {certify_step_ended: 1}
          run_once: true
        - name: Load | Break
          ansible.builtin.fail: {msg: "it broke\nin \e[31mtwo\e[0m lines"}
      rescue:
        - name: Layer | Go on
          ansible.builtin.debug: {msg: never seen}
    - name: Layer | Keep a secret
      ansible.builtin.fail: {msg: topsecret}
      no_log: true
      ignore_errors: true
      run_once: true
    - name: Record | Judge
      ansible.builtin.set_fact:
        certify_done:
          dns:
            clusters: [played]
            seconds: 3
            verdict: {verdict: FAIL}
        certify_found_dns: [{id: dns_p99, layer: dns, title: Lookup P99, scope: cluster, host: played, value: 0.0600, unit: s, target: "< 0.01",
                             critical: "< 0.05", result: FAIL, judged: true, reason: ""}]
      run_once: true
- name: Certify the ingress
  hosts: nobody
  tags: [ingress]
- name: Verdict
  hosts: one
  gather_facts: false
  tags: [always]
  tasks:
    - name: Verdict | Seal
      kubeproof.certify.seal: {directory: /nonexistent}
      when: false
    - name: Verdict | Break
      ansible.builtin.set_fact: "{{ nothing.there }}"
"""
STEP = """
- name: Step | Ask
  ansible.builtin.set_fact: {asked: true}
"""


@pytest.fixture(name="seen", scope="module")
def fixture_seen(tmp_path_factory):
    """Run the play in both ways at once; return {way: (exit status, what was shown)}."""
    place = tmp_path_factory.mktemp("played")
    (place / "play.yml").write_text(PLAY)
    (place / "step.yml").write_text(STEP)
    (place / "ansible.cfg").write_text("[defaults]\n")
    (place / "hosts.yml").write_text("all: {hosts: {one: {}, two: {}}}\n")
    base = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE", "LC_", "LANG")) and key != "NO_COLOR"}
    base.update(ANSIBLE_CONFIG=str(place / "ansible.cfg"), ANSIBLE_COLLECTIONS_PATH=str(COLLECTION / ".ansible/collections"), ANSIBLE_STDOUT_CALLBACK=NAME,
                LANG="C.UTF-8", ANSIBLE_COLLECTIONS_SCAN_SYS_PATH="False", TERM="xterm")  # fmt: skip
    ways = {"pipe": ({"LANG": "C"}, False), "terminal": ({}, True)}
    argv = [str(ANSIBLE), "-i", "hosts.yml", "play.yml"]
    started = {way: start(argv, {**base, **environment}, place, at) for way, (environment, at) in ways.items()}
    return {way: finish(*process) for way, process in started.items()}


def start(argv, environment, place, terminal):
    """Start a process whose output is a pipe or a terminal; return it and where to read that."""
    if not terminal:
        process = subprocess.Popen(argv, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return process, process.stdout.fileno()
    mine, theirs = pty.openpty()
    process = subprocess.Popen(argv, cwd=place, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    return process, mine


def finish(process, descriptor):
    chunks = []
    # A terminal that nobody writes to any more is an error to read.
    with contextlib.suppress(OSError):
        while chunk := os.read(descriptor, 65536):
            chunks.append(chunk)
    return process.wait(timeout=60), b"".join(chunks).decode()


def events(text):
    """Return the lines of the certification without their times."""
    return [line.partition(" ")[2] for line in text.splitlines() if re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", line)]


def test_a_pipe_is_a_calm_log(seen):
    status, text = seen["pipe"]
    lines = events(text)
    assert lines[:7] == [
        "run        Preflight",
        "run        r1: played, profile smoke, 2 hosts, dns; about 1 min",
        "dns        Certify DNS; about 30 s",
        "dns        pods at 500/s for 4 s",
        next(line for line in lines if line.startswith("dns        pods: ")),
        "dns        ramp-150 at 750/s for 9 s",
        next(line for line in lines if line.startswith("dns        ramp-150: ")),
    ]
    assert "dns        failed at one, two: Break: it broke in ?[31mtwo?[0m lines" in lines
    assert any(line.startswith("dns        FAIL: 1 FAIL, took 3 s") for line in lines)
    assert "dns          FAIL Lookup P99: 60 ms, target < 10 ms, critical < 50 ms" in lines
    assert status == 2 and "\x1b" not in text and "\r" not in text
    assert "never seen" not in text and text.count("TASK [") == 2, "one of another playbook, and one that broke the run"


def test_what_ends_the_run_is_whole(seen):
    for dummy, text in seen.values():
        assert "fatal: [one]: FAILED!" in text and "'nothing' is undefined" in text
    assert "not rescued: one 1 failed, 0 unreachable" in seen["pipe"][1]


def test_other_plays_have_the_output_of_ansible(seen):
    assert "PLAY [Foreign]" in seen["pipe"][1] and "of another playbook" in seen["pipe"][1] and "PLAY RECAP" in seen["pipe"][1]
    assert "PLAY [Preflight]" not in seen["pipe"][1]


def test_a_terminal_has_one_line_that_moves(seen):
    status, text = seen["terminal"]
    assert status == 2 and "\r\x1b[K" in text and "dns 1/1" in text
    # What stays on the screen: of a line that is written over only what came last.
    kept = [CONTROL.sub("", line.rpartition("\r\x1b[K")[2]).rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    assert any(line.endswith(" run        ended after 0 s") or " ended after " in line for line in kept)
    assert not any("run 0:0" in line for line in kept), "no status is left behind"


def test_colors_need_a_terminal(seen):
    assert "\x1b[0;31m" in seen["terminal"][1] and "\x1b" not in seen["pipe"][1]


def test_secrets_stay_hidden(seen):
    for way, (dummy, text) in seen.items():
        assert "topsecret" not in text and "no_log" in text, way


@pytest.fixture(name="callback")
def fixture_callback(monkeypatch):
    """The callback in this process, and what it shows."""
    shown = []
    found = progress.CallbackModule()
    display = types.SimpleNamespace(verbosity=0, display=lambda text, **more: shown.append(text), banner=lambda text, **more: shown.append(text))
    monkeypatch.setattr(found, "_display", display)
    monkeypatch.setattr(progress.context, "CLIARGS", {})
    monkeypatch.setattr(found, "get_option", lambda name: False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    yield found, shown
    found._quiet()


def play(*actions, tags=()):
    """Return a play with these actions."""
    tasks = [types.SimpleNamespace(action=action) for action in actions]
    return types.SimpleNamespace(tasks=tasks, tags=list(tags), get_name=lambda: "Play", check_mode=False, strategy="linear")


FIRST = play(progress.FIRST)


@pytest.mark.parametrize(
    ("verbosity", "arguments", "plays", "calm"),
    [
        (0, {}, [FIRST], [True]),
        (1, {}, [FIRST], [False]),
        (0, {"step": True}, [FIRST], [False]),
        (0, {}, [play("ansible.builtin.debug")], [False]),
        (0, {}, [play("x"), FIRST, play("x"), play(progress.LAST), play("x")], [False, True, True, True, False]),
        (0, {}, [play(progress.LAST), play("x")], [False, False]),
    ],
)
def test_which_plays_are_a_certification(callback, monkeypatch, verbosity, arguments, plays, calm):
    found, shown = callback
    found._display.verbosity = verbosity
    monkeypatch.setattr(progress.context, "CLIARGS", arguments)
    seen = []
    for one in plays:
        found.v2_playbook_on_play_start(one)
        seen.append(found.calm)
    assert seen == calm and shown == ["PLAY [Play]"] * calm.count(False)
