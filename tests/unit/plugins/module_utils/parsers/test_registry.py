# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the parsers is sent to a host, and what is read there."""

from __future__ import annotations

import ast
import pathlib
import subprocess
import sys

import pytest
from ansible.executor.module_common import ModuleDepFinder

from ansible_collections.kubeproof.certify.plugins.module_utils import parsers

ROOT = pathlib.Path(__file__).parents[5]
REGISTRY = {**parsers.PARSERS, **parsers.PATH_PARSERS}
READ = """
import sys
from ansible_collections.kubeproof.certify.plugins.module_utils import {first}
{then}
print(*sorted(name.rpartition(".")[2] for name in sys.modules if ".module_utils.parsers." in name))
"""


def read(first, then=""):
    """Return the names of the parsers that a new Python has read."""
    argv = [sys.executable, "-c", READ.format(first=first, then=then)]
    done = subprocess.run(argv, cwd=ROOT, env={"PYTHONPATH": ".ansible/collections"}, check=True, capture_output=True, text=True)
    return done.stdout.split()


def test_ansible_sends_every_parser():
    tree = ast.parse(pathlib.Path(parsers.__file__).read_text(encoding="utf-8"))
    seen = {names[-1] for names in ModuleDepFinder(parsers.__name__, tree, is_pkg_init=True).submodules}
    assert {parser.module.lstrip(".") for parser in REGISTRY.values()} <= seen


@pytest.mark.parametrize("tool", sorted(REGISTRY))
def test_every_parser_is_there(tool):
    assert callable(REGISTRY[tool].read())


def test_only_the_parser_that_is_asked_for_is_read_and_before_its_tool_starts():
    assert read("tool_call") == ["common"]
    assert read("tool_call", "tool_call.check_result('fio', None)") == ["common", "fio"]
