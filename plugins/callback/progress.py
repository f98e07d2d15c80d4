# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's events as the lines of a certification."""

from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: stdout
short_description: Show what a certification does while it runs
version_added: "0.1.0"
author: kubeproof authors (@kubeproof)
description:
  - Shows the layers of a certification, the step that runs, the time that has passed and the one that is expected, what a tool measured in
    each step, and each layer's results as soon as they are judged.
  - At a terminal one line at the bottom moves. Without one, in a pipeline, every event is a line with its time, and a line after five quiet
    minutes says that the run goes on.
  - What goes wrong is shown whole. A failure that the run goes on from is a line with its hosts and its message; one that ends it is shown as
    Ansible shows it. Warnings and deprecations are Ansible's own, and what C(no_log) hides stays hidden.
  - Colours and their absence (E(NO_COLOR), E(ANSIBLE_NOCOLOR), no terminal) are Ansible's own. Without a UTF-8 locale only ASCII is written,
    as of all that M(kubeproof.certify.show) prints.
  - With C(-v) or C(--step), and for plays that are no part of a certification, the output is that of P(ansible.builtin.default#callback).
requirements:
  - set as stdout callback, C(stdout_callback = kubeproof.certify.progress) below C([defaults]) of ansible.cfg
  - or for one run, E(ANSIBLE_STDOUT_CALLBACK=kubeproof.certify.progress)
extends_documentation_fragment:
  - ansible.builtin.default_callback
  - ansible.builtin.result_format_callback
"""

import atexit
import functools
import os
import sys
import threading
import time

from ansible import constants as C
from ansible import context
from ansible.playbook.block import Block
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback.default import CallbackModule as Default

from ansible_collections.kubeproof.certify.plugins.plugin_utils import progress
from ansible_collections.kubeproof.certify.plugins.plugin_utils.progress_terminal import Terminal, columns, speaks_unicode

# The first thing that a certification does when its plan stands, and the last thing before its report.
FIRST = "kubeproof.certify.guard"
LAST = "kubeproof.certify.seal"
TICK = 1.0
# Without a terminal: so long nothing may be said, since pipelines end what is silent.
QUIET = 300
COLORS = {progress.GOOD: C.COLOR_OK, progress.ATTENTION: C.COLOR_CHANGED, progress.BAD: C.COLOR_ERROR, progress.SOFT: C.COLOR_VERBOSE}
# All that they have to say is their message.
SPOKEN = ("ansible.builtin.fail", "ansible.builtin.assert", "fail", "assert")


def tasks_of(blocks):
    """Yield every task that stands in the blocks of a play, without those that are included later."""
    for one in blocks:
        if isinstance(one, Block):
            yield from tasks_of([*one.block, *one.rescue, *one.always])
        else:
            yield one


def rescued(task):
    """Say whether a failure of this task is rescued: whether it is, with what includes it, in the first part of a block that has a rescue."""
    below = task
    while below is not None:
        above = below._parent
        if isinstance(above, Block) and above.rescue and any(one._uuid == below._uuid for one in above.block):
            return True
        below = above
    return False


def ours(method):
    """Leave what is no part of a certification to Ansible's own output."""

    @functools.wraps(method)
    def chosen(self, *arguments, **named):
        if self.calm:
            return method(self, *arguments, **named)
        return getattr(super(CallbackModule, self), method.__name__)(*arguments, **named)

    return chosen


class CallbackModule(Default):
    """Ansible's own output, in which a certification has its own lines."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "kubeproof.certify.progress"

    def __init__(self):
        super().__init__()
        self.calm = False
        self.ends = False
        self.foreign = False
        self.state = progress.Progress(time.time())
        self.waiting = {}
        self.terminal = None
        self.over = False

    # When it speaks -----------------------------------------------------------------------------------------------------------

    def v2_playbook_on_play_start(self, play):
        self._flush()
        actions = {task.action for task in tasks_of(play.tasks)}
        wanted = not (self._display.verbosity or context.CLIARGS.get("step"))
        self.calm, self.ends = wanted and (FIRST in actions or (self.calm and not self.ends)), LAST in actions
        if not self.calm:
            self.foreign = True
            self._quiet()
            return super().v2_playbook_on_play_start(play)
        self._play = play
        self._begin()
        self.state.play(play.get_name().strip(), [str(tag) for tag in play.tags], time.time())
        return None

    def _begin(self):
        """Open the terminal, once."""
        if self.terminal is not None:
            return
        lock = getattr(self._display, "_lock", None) or threading.RLock()
        moves = sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
        unicode = speaks_unicode(os.environ, sys.stdout.encoding)
        self.terminal = Terminal(self._write, self._raw if moves else None, lock, lambda: columns(sys.stdout.fileno()), unicode)
        self._step_aside()
        self.state.began = time.time()
        self.terminal.start(self._tick, TICK)
        atexit.register(self._interrupted)

    def _step_aside(self):
        """Take the moving line away before anything else is written: a warning, the plan, the certificate."""
        display, owner = self._display.display, os.getpid()

        @functools.wraps(display)
        def shown(*arguments, **named):
            if os.getpid() == owner and self.terminal:
                self.terminal.clear()
            return display(*arguments, **named)

        self._display.display = shown

    def _interrupted(self):
        """Say where the run was when it ended without an end."""
        if self.terminal is not None and not self.over:
            place, what, took = self.state.status(time.time())[:3]
            self._say([progress.Line(progress.RUN, f"interrupted at {place}: {what}, {took}; what it made is being cleaned up", progress.BAD)])
        self._quiet()

    def _quiet(self):
        if self.terminal is not None:
            self._flush()
            self.terminal.stop()
            self.terminal = None

    def _tick(self):
        terminal = self.terminal
        if terminal is None:
            return
        with terminal.lock:
            now = time.time()
            if terminal.raw:
                terminal.draw(self.state.status(now), self.state.share(now))
            elif now - terminal.last >= QUIET:
                terminal.lines([progress.Line(self.state.label, ", ".join(self.state.status(now)[1:]), progress.SOFT)])
                sys.stdout.flush()

    def _write(self, text, tone):
        self._display.display(text, color=COLORS.get(tone))

    @staticmethod
    def _raw(text):
        sys.stdout.flush()
        os.write(sys.stdout.fileno(), text.encode(errors="replace"))

    def _say(self, lines):
        if self.terminal is None:
            return
        # What begins is told by the line that moves, where there is one.
        self.terminal.lines([line for line in lines if line.tone != progress.SOFT or not self.terminal.raw])
        self._tick()

    def _flush(self):
        """Tell the failures that were gathered: one line for all hosts that failed in the same way."""
        waiting, self.waiting = self.waiting, {}
        self._say([progress.alike(label, told, task, how) for (label, task, dummy, how), told in waiting.items()])

    # What happens -------------------------------------------------------------------------------------------------------------

    @ours
    def v2_playbook_on_task_start(self, task, is_conditional):
        self._flush()
        self._last_task_name = task.get_name().strip()
        now = time.time()
        self._say(self.state.started(self._last_task_name, now))
        if task.loop and task.loop_control and self._is_step(task.loop_control.loop_var) and not isinstance(task, TaskInclude):
            self._say(self.state.next_step(now))
        else:
            self._say(self.state.within(task.get_vars(), now))

    @ours
    def v2_playbook_on_handler_task_start(self, task):
        self.v2_playbook_on_task_start(task, False)

    @ours
    def v2_playbook_on_include(self, included_file):
        """What is included is seen by its tasks: those of a loop are all included before the first of them runs."""

    def _is_step(self, name):
        return name == f"{self.state.label}_step"

    @ours
    def v2_runner_on_ok(self, result):
        self._handle_warnings_and_exception(result)
        if isinstance(result.task, TaskInclude):
            return
        self.state.hosts += 1
        facts = result.result.get("ansible_facts")
        if isinstance(facts, dict):
            self._learn(facts)
        else:
            self.state.measured(result.result)
        self._overlooked(result)

    def _learn(self, facts):
        """Take over what the certification hands over to itself: its plan, and the record of each layer."""
        run, plan, done = (facts.get(name) for name in ("certify_run", "certify_plan", "certify_done"))
        # The plan is whole when the state of the run is there.
        if all(isinstance(one, dict) for one in (run, plan, done)):
            self._say([*self.state.planned(run, plan), *self.state.taken(done)])
        elif isinstance(done, dict):
            self._flush()
            self._say(self.state.judged(done, {layer: facts.get(f"certify_found_{layer}") for layer in done}, time.time()))
        else:
            self._say(self.state.ramped(facts, time.time()))

    def _overlooked(self, result):
        """Tell what failed and was allowed to."""
        if result.result.get("failed_when_suppressed_exception") and result.result.get("msg"):
            self._gather(result, "did not work")

    @ours
    def v2_runner_item_on_ok(self, result):
        self._handle_warnings_and_exception(result)
        if isinstance(result.task, TaskInclude):
            return
        if self._is_step(result.result.get("ansible_loop_var")):
            self._say(self.state.told(result.result.get(result.result["ansible_loop_var"]), result.result, time.time()))
        elif isinstance(result.result.get("ansible_facts"), dict):
            self._learn(result.result["ansible_facts"])
        self._overlooked(result)

    @ours
    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.state.hosts += 1
        # Of a loop every item has been told.
        if result.task.loop and "results" in result.result:
            self._handle_warnings(result.result)
        elif ignore_errors or rescued(result.task):
            self._handle_warnings(result.result)
            self._gather(result, "failed, and ignored" if ignore_errors else "failed")
        else:
            self._whole(result, super().v2_runner_on_failed)

    @ours
    def v2_runner_item_on_failed(self, result):
        if self._is_step(result.result.get("ansible_loop_var")):
            self._say(self.state.ended(time.time(), "failed"))
        if result.task.ignore_errors or rescued(result.task):
            self._handle_warnings(result.result)
            self._gather(result, "failed", self._get_item_label(result.result))
        else:
            self._whole(result, super().v2_runner_item_on_failed)

    def _whole(self, result, shown):
        """Show a failure that ends the run, or a part of it: what fail, assert and a failed_when of ours say, everything else as Ansible does."""
        self._flush()
        told, action = result.result, result.task.action
        spoken = action in SPOKEN or told.get("failed_when_result") and action.startswith("kubeproof.certify.")
        # Ansible's own output of what is hidden would still have the text of its error.
        message = told.get("censored") or (told.get("msg") if spoken else None)
        if isinstance(message, str):
            self._handle_warnings(result.result)
            line = progress.failed(self.state.label, [self.host_label(result)], result.task.get_name(), message)
            self._say([line._replace(tone=progress.BAD)])
        else:
            shown(result)

    @ours
    def v2_runner_on_unreachable(self, result):
        self._handle_warnings(result.result)
        self._gather(result, "could not connect")

    def _gather(self, result, how, item=None):
        told = result.result
        message = str(told.get("censored") or told.get("msg") or "no reason was given")
        # What a command wrote says more than that its exit status was not zero.
        message += f" {told['stderr']}" if isinstance(told.get("stderr"), str) and told["stderr"].strip() not in message else ""
        message = f"{item}: {message}" if isinstance(item, str) and item else message
        key = self.state.label, result.task.get_name(), progress.nameless(message, result.host.get_name()), how
        self.waiting.setdefault(key, {})[self.host_label(result)] = message

    @ours
    def v2_runner_on_skipped(self, result):
        self._handle_warnings_and_exception(result)

    @ours
    def v2_runner_item_on_skipped(self, result):
        self._handle_warnings_and_exception(result)

    @ours
    def v2_runner_retry(self, result):
        """A task that is tried again is told when it ends."""

    @ours
    def v2_playbook_on_no_hosts_matched(self):
        self._say(self.state.nobody())

    @ours
    def v2_playbook_on_no_hosts_remaining(self):
        self._flush()
        self._say([progress.Line(self.state.label, "no host is left", progress.BAD)])

    def v2_playbook_on_stats(self, stats):
        self.over = True
        self._flush()
        totals = {host: stats.summarize(host) for host in sorted(stats.processed)}
        if self.terminal is not None:
            broken = [f"{host} {one['failures']} failed, {one['unreachable']} unreachable" for host, one in totals.items()
                      if one["failures"] or one["unreachable"]]  # fmt: skip
            self._say([progress.Line(progress.RUN, f"not rescued: {text}", progress.ATTENTION) for text in broken])
            self._say([progress.Line(progress.RUN, f"ended after {progress.duration(time.time() - self.state.began)}")])
            self._quiet()
        if self.foreign or stats.custom:
            super().v2_playbook_on_stats(stats)
