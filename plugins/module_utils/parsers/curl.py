# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The times of single connections, each of which curl opened, used for one request and closed, and then the line "end" with its exit code:

    curl --output /dev/null --header "Connection: close" --write-out "%{http_code} %{time_connect} %{time_total}\\n" "http://…/?[1-2000]"
    echo "end $?"

Raw samples, from the beginning of a connection to the end of the answer. A request without an answer counts as slower than every bound; the exit
code is that of the last one. The end says that the output is whole.
"""

from __future__ import annotations

import re

from .common import PERCENTILES, ParseError, excerpt, rank, rounded

LINE = re.compile(r"([0-9]{3}) ([0-9]{1,6}\.[0-9]{6}) ([0-9]{1,6}\.[0-9]{6})")
END = re.compile(r"end ([0-9]{1,3})")
GOOD = ("200", "204")


def parse(text: str) -> dict:
    """Return {count, good, failed, latency: {samples, p50 … p999, mean, min, max}}; the mean and the ends are those of good answers."""
    *lines, last = text.rstrip("\n").split("\n")
    if not END.fullmatch(last) or not text.endswith("\n"):
        raise ParseError(f"it is cut off: its last line is {excerpt(last)}, not that curl ended.")
    times, failed = [], 0
    for number, line in enumerate(lines, 1):
        match = LINE.fullmatch(line)
        if not match:
            raise ParseError(f"line {number} is {excerpt(line)}, not the status and the times of a connection.")
        status, connected, total = match[1], float(match[2]), float(match[3])
        if status not in GOOD:
            failed += 1
        elif not 0 < connected <= total:
            raise ParseError(f"line {number} is {excerpt(line)}: no connection was opened for this request.")
        else:
            times.append(total)
    if not times:
        raise ParseError(f"none of {failed} requests had a good answer.")
    return {"count": len(times) + failed, "good": len(times), "failed": failed, "latency": latency(sorted(times), failed)}


def latency(times, lost):
    """Return the statistics of sorted times and of so many that are slower than all of them; a percentile among these is [longest known, None]."""
    count = len(times) + lost
    found = {"samples": count, "mean": rounded(sum(times) / len(times)), "min": times[0], "max": times[-1]}
    for name, percent in PERCENTILES:
        place = rank(percent, count)
        found[name] = times[place - 1] if place <= len(times) else [times[-1], None]
    return found
