# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import pod_exec_script
from ansible_collections.kubeproof.certify.plugins.module_utils.job_results import ResultError

HEAD = b"3 0 1\n10.00 12.50\n0m0.00s 0m0.00s\n0m1.25s 0m0.50s\n"


def entry(name, data):
    return f"{len(data)} {hashlib.sha256(data).hexdigest()} {name}\n".encode()


def answer(contents, head=HEAD, along=None):
    """Return what a pod prints of a run that left {name: content}; `along` are the contents that come along, all of them unless given."""
    listed = b"".join(entry(name, data) for name, data in contents.items())
    return head + listed + b"end\n" + b"".join(contents.values() if along is None else along)


FILES = {"stderr": b"", "stdout": b"end\n\0\xff", "z": b"x" * 10}


def test_an_answer():
    found = pod_exec_script.read(answer(FILES))
    assert found[:5] == (3, 0, 1, 2.5, 1.75) and found.contents == FILES and [one.name for one in found.files] == list(FILES)


def test_large_files_do_not_come_along(monkeypatch):
    monkeypatch.setattr(pod_exec_script, "INLINE", 12)
    found = pod_exec_script.read(answer(FILES, along=[FILES["stdout"]]))
    assert found.contents == {"stderr": b"", "stdout": FILES["stdout"]} and len(found.files) == 3


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "cut off"),
        (answer(FILES)[:90], "cut off"),
        (answer(FILES)[:-1], "z was cut or damaged"),
        (answer(FILES, along=[b"", b"end\n\0\xfe", b"x" * 10]), "stdout was cut or damaged"),
        (answer({"stdout": b""}), "stderr is not among"),
        (answer(FILES, head=b"stopped\n"), "cannot be read: 'stopped 0"),
        (answer(FILES, head=HEAD.replace(b"3 0 1", b"3 0")), "cannot be read"),
        (answer(FILES, head=HEAD.replace(b"10.00", b"nan")), "cannot be read"),
        (HEAD + b"odd link\n" + answer(FILES, head=b""), "'odd link' cannot come back"),
        (HEAD + entry("../a", b"") + answer(FILES, head=b""), "cannot come back"),
    ],
)
def test_an_answer_that_is_not_trusted(data, said):
    with pytest.raises(ResultError, match=said):
        pod_exec_script.read(data)


@given(st.binary(), st.integers(0, len(answer(FILES))))
def test_an_answer_is_read_or_refused(data, at):
    whole = answer(FILES)
    try:
        found = pod_exec_script.read(whole[:at] + data + whole[at:])
    except ResultError:
        return
    # What came along is what the list says, whatever was put in.
    assert {one.name: one.digest for one in found.files} == {name: hashlib.sha256(content).hexdigest() for name, content in found.contents.items()}


def test_commands():
    run = {"environment": {"A": "b c"}, "timeout": 2.1, "argv": ["tool", "$x"]}
    assert pod_exec_script.start("t", run)[3:] == ["sh", "t", "3", "A=b c", "tool", "$x"]
    assert pod_exec_script.stop("t")[3:] == pod_exec_script.remove("t")[3:] == ["sh", "t"]
