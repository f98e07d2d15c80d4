# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs in one file: they run from anywhere, and the same sources are the same bytes."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import zipfile

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import zipped

MAIN = f"import sys\nfrom {zipped.PACKAGE} import etcd_status\nprint(etcd_status.NO_LEADER, sys.argv[1])\n"


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.pyz"
    path.write_bytes(zipped.build(zipped.sources("etcd_status"), MAIN))
    return path


def test_it_runs_without_anything_beside_it(program, tmp_path):
    done = subprocess.run([sys.executable, "-I", "-S", str(program), "word"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "0 word\n"


def test_all_that_is_imported_comes_along(program):
    names = {name.rpartition("/")[2] for name in zipfile.ZipFile(program).namelist()}
    assert {"etcd_status.py", "etcd_gateway.py", "etcd_keyspace.py", "web.py", "__init__.py", "__main__.py"} <= names
    assert "openmetrics.py" not in names


def test_the_same_sources_are_the_same_bytes():
    one = zipped.build({"a/b.py": "1", "c.py": "é"}, "pass")
    assert one == zipped.build({"c.py": "é", "a/b.py": "1"}, "pass") != zipped.build({"c.py": "e", "a/b.py": "1"}, "pass")
    archive = zipfile.ZipFile(io.BytesIO(one))
    assert archive.namelist() == ["__main__.py", "a/__init__.py", "a/b.py", "c.py"]
    assert archive.testzip() is None and {entry.date_time for entry in archive.infolist()} == {zipped.DATE}


def test_it_can_be_packed_out_of_an_archive(program, tmp_path):
    """As on a managed host, where Ansible's own archive brings the sources."""
    inner = f"import sys\nfrom {zipped.PACKAGE} import zipped, etcd_status\nsys.stdout.buffer.write(zipped.build(zipped.sources('etcd_status'), {MAIN!r}))"
    outer = tmp_path / "outer.pyz"
    outer.write_bytes(zipped.build(zipped.sources("zipped", "etcd_status"), inner))
    done = subprocess.run([sys.executable, "-I", "-S", str(outer)], capture_output=True, check=True)
    assert done.stdout == program.read_bytes()


def test_its_grammar_is_that_of_the_oldest_python():
    for name, text in zipped.sources("zipped").items():
        ast.parse(text, name, feature_version=(3, 8))
