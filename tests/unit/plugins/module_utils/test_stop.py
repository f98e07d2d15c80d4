# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is waited for by a clock that nobody sets."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import stop as module
from ansible_collections.kubeproof.certify.plugins.module_utils.stop import PIECE, Stop


class Clock:
    """A clock that only runs while somebody waits in select; `at_end` is called when that was for so many seconds."""

    def __init__(self, end=float("inf"), at_end=None):
        self.passed, self.end, self.at_end = 0.0, end, at_end

    def monotonic(self):
        return 5000.0 + self.passed

    def time(self):
        raise AssertionError("the wall clock is no measure of a wait")

    def select(self, readers, writers, others, seconds):
        self.passed += seconds
        if self.passed >= self.end:
            self.at_end()


@pytest.fixture
def clock(monkeypatch):
    def wait(*arguments):
        raise AssertionError("an Event of Python 3.8 waits by the wall clock")

    def build(*arguments):
        made = Clock(*arguments)
        monkeypatch.setattr(module, "time", made)
        monkeypatch.setattr(module, "select", made)
        return made

    monkeypatch.setattr(threading.Event, "wait", wait)
    return build


@pytest.mark.parametrize("seconds", [0.0, 0.05, 1.0, 3600.0])
def test_it_waits_for_as_long_as_it_was_told(clock, seconds):
    time = clock()
    assert Stop().wait(seconds) is False and time.passed == pytest.approx(seconds)


@pytest.mark.parametrize("limit", [3600.0, None])
def test_it_ends_soon_after_it_was_set(clock, limit):
    stop = Stop()
    time = clock(10.0, stop.set)
    assert stop.wait(limit) is True and time.passed <= 10.0 + PIECE


def test_what_is_set_is_not_waited_for(clock):
    stop, time = Stop(), clock()
    stop.set()
    assert stop.wait() is True and stop.wait(5) is True and time.passed == 0


def test_a_thread_sets_it_for_another():
    stop, seen = Stop(), []
    thread = threading.Thread(target=lambda: seen.append(stop.wait(30)))
    thread.start()
    stop.set()
    thread.join()
    assert seen == [True]
