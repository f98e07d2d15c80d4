# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the judge is: 10,000 findings (50 checks of 20 hosts with 10 entries each), with verdict and worst."""

from __future__ import annotations

import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / ".ansible" / "collections"))

from ansible_collections.kubeproof.certify.plugins.module_utils import checks  # noqa: E402

CHECKS, HOSTS, ENTRIES = 50, 20, 10
MOST_SECONDS = 5.0


def catalogue():
    """Return checks that use everything that costs time: entries, samples, intervals, tiers, a rule and a waiver."""
    check = {
        "title": "Latency", "query": "latency.p99", "scope": "host", "unit": "s", "samples": "latency.count", "min_samples": 299, "each": "by.pair",
        "expect": ["entry-0"], "target": {"ssd": "< 0.025"}, "critical": {"ssd": "< 0.050"}, "profiles": ["load"], "fix": "Mend it.", "reference": "a book",
        "not_applicable": {"query": "members", "when": "== 1", "reason": "There is one only."},
    }  # fmt: skip
    return {f"etcd_check_{number}": check for number in range(CHECKS)}


def facts():
    """Return good, bad, missing and damaged values, and intervals, in turn."""
    values = [0.01, 0.03, 0.06, [0.016, 0.032], None, "damaged"]
    entries = [{f"entry-{n}": {"latency": {"p99": values[(n + host) % len(values)], "count": 1000}} for n in range(ENTRIES)} for host in range(HOSTS)]
    return {"host": {f"host-{number}": {"members": 3, "by": {"pair": found}} for number, found in enumerate(entries)}}


def main():
    """Print one line; exit with 1 if the bound is missed."""
    asked, found = catalogue(), facts()
    settings = {
        "today": "2027-01-01",
        "tiers": {identifier: "ssd" for identifier in asked},
        "waivers": {"etcd_check_0": {"reason": "Known.", "owner": "me", "expires": "2027-12-31"}},
    }
    began = time.perf_counter()
    findings = checks.judge(asked, found, "etcd", "load", {"host": list(found["host"])}, settings)
    checks.verdict(findings)
    checks.worst(findings)
    seconds = time.perf_counter() - began
    print(f"judge: {len(findings):,} findings in {seconds:.2f} s, {len(findings) / seconds:,.0f}/s (bound: 10,000 in {MOST_SECONDS:.0f} s)")
    return 0 if len(findings) == CHECKS * HOSTS * ENTRIES and seconds <= MOST_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
