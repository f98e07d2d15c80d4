# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the clocks of etcd members are apart, from the Date header of their answers; standard library alone."""

from __future__ import annotations

import email.utils
import http.client
import threading
import time

# A Date header has whole seconds: requests spread over a little more than one second meet the moment when it changes.
REQUESTS = 24
SPREAD = 1.1
LIMIT = 2.4
PATH = "/version"


def narrow(samples):
    """Return (low, high) of the other clock minus ours, s, from [(sent, received, date)], or None when the samples contradict each other."""
    low = max((date - received for dummy, received, date in samples), default=0.0)
    high = min((date + 1 - sent for sent, dummy, date in samples), default=0.0)
    return (low, high) if low < high else None


def magnitude(low, high):
    """Return [low, high] of the absolute value of a number between `low` and `high`."""
    nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return [round(nearest, 4), round(max(abs(low), abs(high)), 4)]


def worst(differences):
    """Return [low, high] of the largest of several intervals."""
    return [max(one[0] for one in differences), max(one[1] for one in differences)]


def compare(endpoints, spread=SPREAD, limit=LIMIT):
    """Return ({url: [low, high]}, {url: reason}) of absolute differences in s between this host's clock and each Endpoint's, within `limit` seconds."""
    found, failed = {}, {}
    threads = {
        endpoint.url: threading.Thread(target=_measure, args=(endpoint, spread, time.monotonic() + limit, found, failed), daemon=True)
        for endpoint in endpoints
    }
    end = time.monotonic() + limit
    for thread in threads.values():
        thread.start()
    for thread in threads.values():
        thread.join(max(0.0, end - time.monotonic()))
    # A thread that is still waiting may write later: the answer is taken from what there is now.
    found, failed = dict(found), dict(failed)
    failed.update((url, f"no answer within {limit:g} s") for url in threads if url not in found and url not in failed)
    return found, failed


def _measure(endpoint, spread, deadline, found, failed):
    """Write the difference of one endpoint's clock into `found`, or the reason into `failed`."""
    samples = []
    try:
        connection = endpoint.connect()
        connection.connect()
        first = time.monotonic()
        for number in range(REQUESTS):
            time.sleep(max(0.0, first + number * spread / (REQUESTS - 1) - time.monotonic()))
            if time.monotonic() > deadline:
                break
            sent = time.time()
            connection.request("GET", PATH)
            response = connection.getresponse()
            received = time.time()
            date = response.getheader("Date")
            response.read()
            samples.append((sent, received, email.utils.parsedate_to_datetime(date).timestamp()))
        connection.close()
    except (OSError, http.client.HTTPException, ValueError, TypeError) as error:
        failed[endpoint.url] = getattr(error, "verify_message", None) or getattr(error, "strerror", None) or str(error) or type(error).__name__
        return
    interval = narrow(samples) if samples else None
    if interval is None:
        failed[endpoint.url] = "a clock was set while it was read"
    else:
        found[endpoint.url] = magnitude(*interval)
