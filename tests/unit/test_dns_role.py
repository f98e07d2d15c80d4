# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script that chooses what dnsperf is asked for: the address of its pod, and percentiles in the way that its version has."""

from __future__ import annotations

import pathlib
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / "roles/dns/files/dnsperf.sh"
FAKE = """#!/bin/sh
if [ "$1" = -h ]; then
  echo "Usage: dnsperf [-f family]" {stream}
  printf 'DNS Performance Testing Tool\\n{version}\\n' {stream}
else
  echo "$@"
fi
"""


def run(tmp_path, *arguments, version="Version 2.10.0", stream=""):
    """Return the arguments that dnsperf got."""
    fake = tmp_path / "dnsperf"
    fake.write_text(FAKE.format(version=version, stream=stream))
    fake.chmod(0o755)
    found = subprocess.run(["sh", SCRIPT, *arguments], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=True)
    assert found.stderr == ""
    return found.stdout.split()


@pytest.mark.parametrize(
    ("version", "histogram"),
    [
        ("Version 2.3.4", False),
        ("Version 2.9.0", False),
        ("Version 2.10.0", False),
        ("Version 2.10", False),
        ("Version 2.11.0", False),
        ("Version 2.11.1", False),
        ("Version 2.11.2", True),
        ("Version 2.12.0", True),
        ("Version 2.14.0", True),
        ("Version 3.0.0", True),
        ("something else", False),
    ],
)
@pytest.mark.parametrize("stream", ["", ">&2"])
def test_percentiles(tmp_path, version, histogram, stream):
    assert run(tmp_path, "0", "10.0.0.1", "-l", "5", version=version, stream=stream)[6:] == (["-O", "latency-histogram"] if histogram else ["-v"])


@pytest.mark.parametrize(
    ("number", "addresses", "address"),
    [
        ("0", "10.0.0.1,10.0.0.2,fd00::3", "10.0.0.1"),
        ("1", "10.0.0.1,10.0.0.2,fd00::3", "10.0.0.2"),
        ("2", "10.0.0.1,10.0.0.2,fd00::3", "fd00::3"),
        ("0", "10.96.0.10", "10.96.0.10"),
        ("7", "10.96.0.10", "10.96.0.10"),
    ],
)
def test_whom_it_asks(tmp_path, number, addresses, address):
    assert run(tmp_path, number, addresses, "-l", "5", "-Q", "7")[:8] == ["-s", address, "-d", "/kubeproof/files/queries", "-l", "5", "-Q", "7"]
