# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work in a cluster that a signal may stop, after which what it made is removed undisturbed."""

from __future__ import annotations

import signal

from . import cluster
from .job_pods import JobError
from .run import STOP_SIGNALS, deafen, signal_name


class Stopped(BaseException):
    """A signal told this module to stop. Not an Exception, so that nothing on the way takes it for an error of its own."""


def stop(number, dummy):
    """Stop once; what follows is the removal, which no second signal may interrupt."""
    deafen()
    raise Stopped(signal_name(number))


def guarded(function, what, module):
    """Call a function and return in a sentence why it failed, or None. No signal is heard afterwards: what comes next is the removal."""
    try:
        try:
            for number in STOP_SIGNALS:
                signal.signal(number, stop)
            function()
            return None
        except JobError as error:
            return f"{str(error).rstrip('.')}."
        # Whatever it is: what runs in the cluster must go.
        except Exception as error:  # pylint: disable=broad-exception-caught
            return f"{what} could not be run: {type(error).__name__}: {cluster.reason_of(error)}."
        finally:
            deafen()
    except Stopped as error:
        return f"{what} was stopped by {error}, sent to {module}."
