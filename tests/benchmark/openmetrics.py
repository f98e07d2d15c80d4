# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast /metrics is read: one 50 MB file made of a recorded API server's, against prometheus_client on its beginning."""

from __future__ import annotations

import functools
import gzip
import pathlib
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / ".ansible" / "collections"))

from ansible_collections.kubeproof.certify.plugins.module_utils import openmetrics, window  # noqa: E402
from prometheus_client.parser import text_string_to_metric_families  # noqa: E402

SAMPLE = ROOT / "tests" / "fixtures" / "metrics" / "apiserver-after.txt.gz"
SIZE = 50_000_000
SLICE = 2_000_000
ROUNDS = 3
MIN_SPEED = 50.0
MIN_RATIO = 10.0
# What the layers etcd and apiserver can ask an API server for: more than half of its bytes.
FAMILIES = (
    "apiserver_current_inflight_requests",
    "apiserver_current_inqueue_requests",
    "apiserver_flowcontrol_nominal_limit_seats",
    "apiserver_flowcontrol_rejected_requests_total",
    "apiserver_flowcontrol_request_wait_duration_seconds",
    "apiserver_request_duration_seconds",
    "apiserver_request_sli_duration_seconds",
    "apiserver_request_terminations_total",
    "apiserver_request_total",
    "etcd_request_duration_seconds",
    "etcd_requests_total",
    "etcd_request_errors_total",
    "process_start_time_seconds",
)


def write_exposition(path, size):
    """Write the sample with each family's series repeated under other label values, until it has `size` bytes."""
    lines = gzip.decompress(SAMPLE.read_bytes()).splitlines(keepends=True)
    copies = -(-size // sum(len(line) for line in lines))
    with open(path, "wb") as stream:
        for family in families_of(lines):
            labelled = [line for line in family if line[:1] != b"#" and b"{" in line]
            stream.writelines(line for line in family if line[:1] == b"#" or b"{" not in line)
            for copy in range(copies):
                stream.writelines(line.replace(b"{", b'{shard="%03d",' % copy, 1) for line in labelled)


def families_of(lines):
    """Yield the lines of each family, its # HELP line first."""
    family = []
    for line in lines:
        if line.startswith(b"# HELP ") and family:
            yield family
            family = []
        family.append(line)
    yield family


def read_ours(path):
    """Read the families; return (bytes, number of series)."""
    with open(path, "rb") as stream:
        families = openmetrics.read(iter(functools.partial(stream.read, window.CHUNK), b""), FAMILIES)
        return stream.tell(), sum(len(family.series) for family in families.values())


def read_theirs(path):
    """Read everything in the beginning of the file with prometheus_client; return (bytes, number of families)."""
    with open(path, encoding="utf-8") as stream:
        text = stream.read(SLICE)
    text = text[:text.rindex("\n") + 1]
    return len(text), sum(1 for dummy in text_string_to_metric_families(text))


def speed(read, path):
    """Return MB/s of processor time in the best of some rounds, and the number of what was read."""
    best = 0.0  # processor time, so that a neighbour's load does not decide
    for dummy in range(ROUNDS):
        started = time.process_time()
        size, count = read(path)
        best = max(best, size / 1e6 / (time.process_time() - started))
    return best, count


def main():
    """Measure, print one line, exit 1 when a bound is missed."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "metrics.txt"
        write_exposition(path, SIZE)
        size = path.stat().st_size / 1e6
        ours, series = speed(read_ours, path)
        theirs, dummy = speed(read_theirs, path)
    ratio = ours / theirs
    good = ours >= MIN_SPEED and ratio >= MIN_RATIO
    print(
        f"openmetrics: {ours:.0f} MB/s over {size:.0f} MB, {series} series kept (at least {MIN_SPEED:.0f} MB/s); prometheus_client {theirs:.1f} MB/s; "
        f"ratio {ratio:.0f} (at least {MIN_RATIO:.0f}): {'good' if good else 'MISSED'}"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
