# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""1,000 runs listed, two of them compared, and the trends over all: at most 5 s for the command, also the first time, as runs leave themselves at their end.

Runs that are certificates alone are read and looked through once: 5 to 30 s, bound by its ratio to only reading their JSON; then they are as fast.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / ".ansible" / "collections"))
from ansible_collections.kubeproof.certify.plugins.module_utils import files, history_kept, history_report, report_seal  # noqa: E402
from ansible_collections.kubeproof.certify.tests.unit.plugins import report_fake as fake  # noqa: E402

RUNS = 1000
FINDINGS = 110
MOST_SECONDS = 5.0
# Of reading and parsing all the certificates: of runs as they leave themselves, and of certificates alone, the first time and every other.
MOST_ENDED = 0.8
MOST_FIRST = 4.0
MOST_NEXT = 0.8
TEMPLATES = 10


def certificate(number):
    """Return a certificate of the size of a whole run's, about 450 kB."""
    findings = {layer: [fake.finding(layer, one // 2, entry=str(one % 2), value=0.005 + (number * 7 + one) % 90 / 10000, reason="x" * 60)
                        for one in range(FINDINGS)] for layer in (*fake.engine.LAYERS, "tuning")}  # fmt: skip
    made = fake.certificate(findings, sealed=False)
    made["run"]["id"], made["run"]["started"] = named(number)
    return made


def named(number):
    """Return (id, begin) of a run."""
    return f"20260101t{number:06d}z-0000", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1767225600 + number * 3600))


def place(top):
    """Leave the runs as their ends leave them. Sealing each would take longer than what is measured: all but two are only named anew."""
    templates = [certificate(number) for number in range(TEMPLATES)]
    for number in range(RUNS):
        directory = os.path.join(top, named(number)[0])
        made = report_seal.sealed(certificate(number), {}, [], 90) if number >= RUNS - 2 else as_of(templates[number % TEMPLATES], number)
        files.write_json(os.path.join(directory, "certificate.json"), made)
        history_kept.leave(directory, report_seal.listed(made))


def as_of(made, number):
    """Return a certificate under another name, with its summary, and without a right digest, which is not asked of a run that is only listed."""
    identifier, started = named(number)
    made = {**made, "run": {**made["run"], "id": identifier, "started": started}}
    return {**made, "history": history_kept.sum_of(report_seal.listed(made)), "digest": "0" * 64}


def main():
    """Print the numbers, and fail beyond the bounds."""
    results = tempfile.mkdtemp(prefix="kubeproof-history-")
    top = os.path.join(results, "prod")
    try:
        place(top)
        read = only_read(top)
        ended, made = timed(top)
        command = compared(results)
        for one in pathlib.Path(top).glob("*/history.json"):
            one.unlink()
        first, looked = timed(top)
        next_one, again = timed(top)
    finally:
        shutil.rmtree(results)
    print(f"history: {RUNS} runs: {ended:.2f} s as they ended, the command {command:.2f} s; of certificates alone {first:.2f} s, then {next_one:.2f} s;"
          f" reading their JSON takes {read:.2f} s")  # fmt: skip
    if len(made["runs"]) != RUNS or not made["comparison"] or not made["trends"] or not made == looked == again:
        sys.exit("history: the runs were not all listed and compared")
    if command > MOST_SECONDS or ended / read > MOST_ENDED or first / read > MOST_FIRST or next_one / read > MOST_NEXT:
        sys.exit(f"history: the command takes more than {MOST_SECONDS} s, or reading more than {MOST_ENDED}, {MOST_FIRST} or {MOST_NEXT} times that of JSON")


def only_read(top):
    """Return how many seconds it takes to read the certificates as JSON."""
    begin = time.perf_counter()
    for name in sorted(os.listdir(top)):
        with open(os.path.join(top, name, "certificate.json"), encoding="utf-8") as stream:
            json.load(stream)
    return time.perf_counter() - begin


def timed(top):
    """Return (seconds, the report) of one question."""
    begin = time.perf_counter()
    made = history_report.report(top)
    return time.perf_counter() - begin, made


def compared(results):
    """Return how many seconds the playbook takes."""
    variables = {"certify_results": results, "certify_cluster_name": "prod"}
    argv = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), "playbooks/compare.yml", "-c", "local", "-i", "localhost,"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    begin = time.perf_counter()
    done = subprocess.run([*argv, "-e", json.dumps(variables)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    seconds = time.perf_counter() - begin
    if done.returncode or f"RUNS: {RUNS}" not in done.stdout:
        sys.exit(f"history: the playbook ended with {done.returncode}: {(done.stdout + done.stderr)[-3000:]}")
    return seconds


if __name__ == "__main__":
    main()
