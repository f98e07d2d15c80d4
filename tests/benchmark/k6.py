# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast k6's raw samples are read: compressed ones of a quarter of a million requests, against the csv module on a part of them."""

from __future__ import annotations

import collections
import csv
import gzip
import pathlib
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / ".ansible" / "collections"))

from ansible_collections.kubeproof.certify.plugins.module_utils import parsers  # noqa: E402

SAMPLE = ROOT / "tests" / "fixtures" / "k6" / "dropped.csv.gz"
COPIES, PART = 600, 60
ROUNDS = 3
MIN_RATE = 100_000
MIN_RATIO = 1.5


def write_samples(path, copies):
    """Write the sample's rows so many times, compressed as k6 does."""
    header, dummy, rows = gzip.decompress(SAMPLE.read_bytes()).partition(b"\n")
    with gzip.open(path, "wb", compresslevel=6) as stream:
        stream.write(header + b"\n")
        for dummy in range(copies):
            stream.write(rows)


def read_ours(path):
    """Read the samples; return the number of requests."""
    return parsers.parse_path("k6", str(path))["requests"]


def read_theirs(path):
    """Read the times of each operation with the csv module; return the number of requests."""
    times, took = collections.defaultdict(list), 0.0
    with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        for metric, dummy, value, error_code, group, name, status, *dummy in csv.reader(stream):
            if metric == "http_req_duration" and not group:
                took = float(value)
            if metric == "http_req_blocked" and not group:
                times[name, status, error_code].append(took + float(value))
    return sum(map(len, times.values()))


def speed(read, path):
    """Return requests per second of processor time in the best of some rounds, and their number."""
    best, count = 0.0, 0  # processor time, so that a neighbour's load does not decide
    for dummy in range(ROUNDS):
        started = time.process_time()
        count = read(path)
        best = max(best, count / (time.process_time() - started))
    return best, count


def main():
    """Measure, print one line, exit 1 when a bound is missed."""
    with tempfile.TemporaryDirectory() as directory:
        whole, part = pathlib.Path(directory) / "whole.csv.gz", pathlib.Path(directory) / "part.csv.gz"
        write_samples(whole, COPIES)
        write_samples(part, PART)
        ours, count = speed(read_ours, whole)
        theirs, fewer = speed(read_theirs, part)
    ratio = ours / theirs
    good = ours >= MIN_RATE and ratio >= MIN_RATIO and count == fewer * COPIES // PART
    print(
        f"k6: {ours:,.0f} requests/s over {count:,} (at least {MIN_RATE:,}); the csv module {theirs:,.0f}/s; "
        f"ratio {ratio:.1f} (at least {MIN_RATIO}): {'good' if good else 'MISSED'}"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
