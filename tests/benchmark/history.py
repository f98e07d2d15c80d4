# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""1,000 runs listed, two of them compared, and the trends over all: at most 5 s when their summaries are kept, as each run keeps them when it ends.

The first time, when nothing is kept, every certificate is read and looked through: 15 to 30 s, bound by its ratio to only reading their JSON.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / ".ansible" / "collections"))
from ansible_collections.kubeproof.certify.plugins.module_utils import certificate_parts, history_report  # noqa: E402
from ansible_collections.kubeproof.certify.tests.unit.plugins import report_fake as fake  # noqa: E402

RUNS = 1000
FINDINGS = 110
MOST_SECONDS = 5.0
# Of reading and parsing all the certificates: for the first time, and for every other, when each row that was kept is compared with its digest.
MOST_FIRST = 4.0
MOST_NEXT = 0.5


def certificate(number):
    """Return a certificate of the size of a whole run's, about 450 kB."""
    findings = {layer: [fake.finding(layer, one // 2, entry=str(one % 2), value=0.005 + (number * 7 + one) % 90 / 10000, reason="x" * 60)
                        for one in range(FINDINGS)] for layer in (*fake.engine.LAYERS, "tuning")}  # fmt: skip
    made = fake.certificate(findings, sealed=False)
    made["run"]["id"] = f"20260101t{number:06d}z-0000"
    made["run"]["started"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1767225600 + number * 3600))
    return made


def sealed(text):
    """Return the text of a certificate with its digest."""
    made = json.loads(text)
    return json.dumps({**made, "digest": certificate_parts.digest(made)}, indent=2, sort_keys=True)


def main():
    """Print the numbers, and fail beyond the bounds."""
    top = tempfile.mkdtemp(prefix="kubeproof-history-")
    try:
        texts = [json.dumps(certificate(number), indent=2, sort_keys=True) for number in range(10)]
        for number in range(RUNS):
            one = json.loads(texts[number % 10]) if number < 10 else None
            directory = os.path.join(top, f"20260101t{number:06d}z-0000")
            os.mkdir(directory)
            text = texts[number % 10].replace(f"20260101t{number % 10:06d}z", f"20260101t{number:06d}z") if one is None else texts[number]
            if number >= RUNS - 2:
                # The two that are compared have to be as they were sealed; sealing all would take longer than what is measured here.
                text = sealed(text)
            pathlib.Path(directory, "certificate.json").write_text(text, encoding="utf-8")
        begin = time.perf_counter()
        for name in sorted(os.listdir(top)):
            with open(os.path.join(top, name, "certificate.json"), encoding="utf-8") as stream:
                json.load(stream)
        read = time.perf_counter() - begin
        first, made = timed(top)
        next_one, again = timed(top)
    finally:
        shutil.rmtree(top)
    print(f"history: {RUNS} runs of {len(texts[0]) >> 10} KiB: the first time {first:.2f} s, then {next_one:.2f} s;"
          f" {first / read:.2f} and {next_one / read:.2f} times what reading their JSON costs ({read:.2f} s)")  # fmt: skip
    if len(made["runs"]) != RUNS or not made["comparison"] or not made["trends"] or made != again:
        sys.exit("history: the runs were not all listed and compared")
    if next_one > MOST_SECONDS or first / read > MOST_FIRST or next_one / read > MOST_NEXT:
        sys.exit(f"history: more than {MOST_SECONDS} s, {MOST_FIRST} or {MOST_NEXT} times")


def timed(top):
    """Return (seconds, the report) of one question."""
    begin = time.perf_counter()
    made = history_report.report(top)
    return time.perf_counter() - begin, made


if __name__ == "__main__":
    main()
