# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Throughput of each parser on its largest kind of output; a parser slower than the bound would be felt in a run."""

from __future__ import annotations

import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / ".ansible" / "collections"))

# pylint: disable=wrong-import-position
from ansible_collections.kubeproof.certify.plugins.module_utils import parsers  # noqa: E402

# MB/s. Output of these tools is smaller than 1 MB.
BOUND = 1.0
SECONDS = 0.3
LARGEST = {
    "curl": "connections.out",
    "dnsperf": "2.14-intervals.out",
    "etcd_benchmark": "txn-mixed-3.6.out",
    "etcdctl": "status-three.json",
    "fio": "client-two.out",
    "iperf3": "tcp-p8.json",
    "k8s_netperf": "iperf3.json",
    "kbench": "quick.out",
    "sockperf": "ping-pong-sample.out",
    "wrk": "mixed.out",
}


def throughput(tool: str, text: str) -> float:
    """Return how many MB of `text` the parser of `tool` reads in a second."""
    rounds, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        parsers.parse(tool, text)
        rounds += 1
    return rounds * len(text.encode()) / (time.perf_counter() - started) / 1e6


def main() -> int:
    """Print one line for each parser; 1 when one is slower than the bound."""
    slow = 0
    for tool in sorted(parsers.PARSERS):
        text = (ROOT / "tests" / "fixtures" / tool / LARGEST[tool]).read_text(encoding="utf-8")
        speed = throughput(tool, text)
        slow += speed < BOUND
        sys.stdout.write(f"{tool}: {speed:.1f} MB/s (bound {BOUND} MB/s)\n")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
