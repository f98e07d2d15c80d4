# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_tools

HELP = """Benchmark put

Usage:
  benchmark put [flags]

Flags:
  -h, --help                 help for put
      --key-space-size int   Maximum possible keys (default 1)
      --sequential-keys      Use sequential keys

Global Flags:
      --target-leader   connect only to the leader node
"""


@pytest.mark.parametrize(
    ("name", "output", "facts", "problem"),
    [
        ("etcdctl", "etcdctl version: 3.6.8\nAPI version: 3.6\n", {"version": "3.6.8"}, None),
        ("fio", "fio-3.33\n", {"version": "3.33"}, None),
        ("fio", "note: x\nfio-3.39-15-g1a2b\n", {"version": "3.39-15-g1a2b"}, None),
        ("benchmark", HELP, {flag: ["--help", "--key-space-size", "--sequential-keys", "--target-leader"] for flag in ("flags", "watch_flags")}, None),
        ("benchmark", "another program\n", None, "is not the benchmark of etcd"),
        ("fio", "", None, "does not tell its version"),
        ("other", "", {}, None),
    ],
)
def test_asks_a_tool_what_it_is(tmp_path, name, output, facts, problem):
    program = tmp_path / name
    program.write_text(f"#!/bin/sh\ncat <<'X'\n{output}X\n")
    program.chmod(0o755)
    found, problems = etcd_tools.present([name], [str(tmp_path)])
    assert found == ({name: dict(facts, path=str(program))} if facts is not None else {})
    assert bool(problems) == bool(problem) and (not problem or problem in problems[0])


def test_an_absent_tool_has_no_entry(tmp_path):
    assert etcd_tools.present(["no-such-tool-of-kubeproof"], [str(tmp_path)]) == ({}, [])


def test_a_tool_that_hangs_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(etcd_tools, "TIMEOUT", 0.2)
    (tmp_path / "fio").write_text("#!/bin/sh\nexec sleep 20\n")
    (tmp_path / "fio").chmod(0o755)
    found, problems = etcd_tools.present(["fio"], [str(tmp_path)])
    assert found == {} and len(problems) == 1
