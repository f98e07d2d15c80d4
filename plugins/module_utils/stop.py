# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An Event that is waited for by a clock that nobody sets; standard library alone.

Before Python 3.10 a threading.Event waits until a time of the wall clock: where that is set back by an hour, it waits for an hour more, and
who looks every few seconds is blind for that long. select counts by the monotonic clock in every version. (So does sleep, but libfaketime
0.9.10, by which tests set clocks, breaks that of Python 3.11.)
"""

from __future__ import annotations

import select
import threading
import time

# Seconds after which one that was set is noticed.
PIECE = 0.2


class Stop(threading.Event):
    """An Event whose `wait` no step of the wall clock makes longer or shorter."""

    def wait(self, timeout=None):
        """Wait until it is set, or for so many seconds; say whether it is set."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self.is_set():
            left = PIECE if until is None else until - time.monotonic()
            if left <= 0:
                break
            select.select((), (), (), min(PIECE, left))
        return self.is_set()
