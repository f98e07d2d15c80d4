# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import json
import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import job_exec, job_results
from ansible_collections.kubeproof.certify.plugins.module_utils.api_streams_wire import StreamError
from ansible_collections.kubeproof.certify.plugins.module_utils.job_exec import Command, ExecError
from ansible_collections.kubeproof.certify.plugins.module_utils.job_results import File, ResultError

GOOD = b'\x03{"kind": "Status", "status": "Success"}'
BAD = b'\x03{"kind": "Status", "status": "Failure", "message": "command terminated with exit code 1", "reason": "NonZeroExitCode"}'
CUT = StreamError("the connection was cut 1.0 s after it was opened")
DATA = bytes(range(256)) * 4


class Wire:
    """Plays streams: one list of messages for each stream that is opened; an error in it is raised."""

    def __init__(self, *streams):
        self.streams, self.asked, self.closed = list(streams), [], 0

    def __call__(self, configuration, path, query, protocols, timeout):
        self.asked.append((path, query))
        messages = self.streams.pop(0)
        if isinstance(messages, Exception):
            raise messages
        return Played(self, iter(messages))


class Played:
    def __init__(self, wire, left):
        self.wire, self.left = wire, left

    def messages(self, limit):
        for one in self.left:
            if isinstance(one, Exception):
                raise one
            yield one

    def close(self):
        self.wire.closed += 1


class Server:
    configuration = None


@pytest.fixture(name="play")
def fixture_play(monkeypatch):
    """Return play(*streams), which plays them to what opens streams."""

    def play(*streams):
        wire = Wire(*streams)
        monkeypatch.setattr(job_exec, "Stream", wire)
        return wire

    return play


def run(*argv):
    with Command(Server, "ns", "pod", argv or ["cat"]) as command:
        return b"".join(command.output(1))


@pytest.mark.parametrize(
    "messages",
    [
        [b"\x01ab", b"\x01", None, b"\x01c", GOOD, CUT],
        [b"\x01a", b"", b"\x02note", GOOD[:9], b"\x03" + GOOD[9:], b"\x01bc", CUT],
        [GOOD, b"\x01abc", b"\xff\x01"],
    ],
)
def test_output_is_whole_also_when_the_status_comes_first(play, messages):
    wire = play(messages)
    assert run("cat", "a b") == b"abc" and wire.closed == 1
    path, query = wire.asked[0]
    assert path == "/api/v1/namespaces/ns/pods/pod/exec" and query[-2:] == [("command", "cat"), ("command", "a b")] and ("container", "keeper") in query


@pytest.mark.parametrize(
    ("stream", "text", "final"),
    [
        ([b"\x01ab", CUT], "the connection was cut", False),
        ([b"\x01ab"], "did not end within 1 s", False),
        ([b"\x02no such file\n", BAD], "failed: no such file", True),
        ([BAD], "failed: command terminated with exit code 1", True),
        ([b"\x03]"], "without a status that can be read", True),
        ([b'\x03["status"]'], "without a status that can be read", True),
        (StreamError("the API server refused it with 403", refused=True), "refused it with 403", True),
        (StreamError("no answer"), "no answer", False),
    ],
)
def test_a_command_that_fails(play, stream, text, final):
    play(stream)
    with pytest.raises(ExecError, match=text) as caught:
        run()
    assert caught.value.final is final


def listed(**contents):
    lines = [f"{len(data)} {hashlib.sha256(data).hexdigest()} {name}" for name, data in contents.items()]
    return [b"\x01" + "\n".join([*lines, "end", ""]).encode(), GOOD, CUT]


def fetched(tmp_path, size=len(DATA), data=DATA):
    job_results.fetch(Server, "ns", "pod", File("a", size, hashlib.sha256(data).hexdigest()), str(tmp_path / "0" / "a"))
    return (tmp_path / "0" / "a").read_bytes()


def test_results_are_collected(play, tmp_path):
    play(listed(stdout=DATA, stderr=b"", more=b"x"), [b"\x01" + DATA, GOOD, CUT], [b"\x01x", GOOD, CUT])
    assert job_results.collect(Server, "ns", "pod", str(tmp_path / "0")) == ["stdout", "stderr", "more"]
    assert {one.name: one.read_bytes() for one in (tmp_path / "0").iterdir()} == {"stdout": DATA, "stderr": b"", "more": b"x"}
    assert {one.stat().st_mode & 0o777 for one in (tmp_path / "0").iterdir()} == {0o600}


def test_what_was_cut_is_asked_for_from_there_on(play, tmp_path):
    wire = play([b"\x01" + DATA[:100], CUT], StreamError("no connection"), [b"\x01" + DATA[100:1000], GOOD, CUT], [b"\x01" + DATA[1000:], GOOD, CUT])
    assert fetched(tmp_path) == DATA
    assert [query[-2][1] for path, query in wire.asked] == ["+1", "+101", "+101", "+1001"]


@pytest.mark.parametrize(
    ("streams", "text"),
    [
        ([[b"\x01" + DATA[:100], CUT]] + [[CUT]] * 4, "was cut: 100 of 1024 bytes came .the connection was cut"),
        ([[b"\x01" + DATA[:-1], GOOD, CUT]] + [[GOOD, CUT]] * 4, "was cut: 1023 of 1024 bytes came$"),
        ([[b"\x01" + DATA[:100], b"\x02tail: gone", BAD, CUT]], "was cut: 100 of 1024 bytes came .*tail: gone"),
        ([[b"\x01" + DATA + b"x", GOOD, CUT]], "grew while it was read"),
        ([[b"\x01" + DATA[::-1], GOOD, CUT]], "another SHA-256"),
    ],
)
def test_what_is_not_whole_is_an_error_and_no_file(play, tmp_path, streams, text):
    play(*streams)
    with pytest.raises(ResultError, match=text):
        fetched(tmp_path)
    assert list((tmp_path / "0").iterdir()) == []


def test_a_file_that_cannot_be_written(play, tmp_path):
    (tmp_path / "0").write_text("in the way")
    with pytest.raises(ResultError, match="cannot write .*0/a: Not a directory"):
        fetched(tmp_path)


SUM = "0" * 64
PAIR = f"1 {SUM} stdout\n0 {SUM} stderr\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cut off"),
        (PAIR, "cut off"),
        (PAIR + "en", "cut off"),
        ("end\n", "stderr is not among"),
        (f"1 {SUM} stderr\nend\n", "stdout is not among"),
        (PAIR + "odd link\nend\n", "'odd link' cannot come back"),
        (PAIR + f"1 {SUM} ../a\nend\n", "cannot come back"),
        (PAIR + f"1 {SUM} .hidden\nend\n", "cannot come back"),
        (PAIR + f"-1 {SUM} a\nend\n", "cannot come back"),
        (PAIR + f"1 {SUM[1:]} a\nend\n", "cannot come back"),
    ],
)
def test_a_list_that_is_not_trusted(text, said):
    with pytest.raises(ResultError, match=said):
        job_results.read_list(text)


@given(st.text())
def test_a_list_is_read_or_refused(text):
    try:
        found = job_results.read_list(PAIR + text + "\nend\n")
    except ResultError:
        return
    assert all("/" not in one.name and not one.name.startswith(".") and len(one.digest) == 64 for one in found)


def test_the_list_that_a_shell_makes(tmp_path):
    for name, data in {"stdout": DATA, "stderr": b"", "with blank": b"", ".hidden": b"1"}.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "directory").mkdir()
    os.symlink("/etc/passwd", tmp_path / "link")
    script = job_results.LIST.replace(job_results.RESULTS, str(tmp_path))
    lines = subprocess.run(["sh", "-c", script], check=True, capture_output=True, text=True).stdout.splitlines()
    assert lines.pop() == "end"
    empty, one = hashlib.sha256(b"").hexdigest(), hashlib.sha256(b"1").hexdigest()
    assert sorted(lines) == sorted([
        f"1024 {hashlib.sha256(DATA).hexdigest()} stdout", f"0 {empty} stderr", f"0 {empty} with blank", f"1 {one} .hidden", "odd directory", "odd link"
    ])


def test_a_list_is_asked_for_again_and_never_endless(play):
    wire = play([CUT], listed(stdout=b"", stderr=b""))
    assert [one.name for one in job_results.listing(Server, "ns", "pod")] == ["stdout", "stderr"] and len(wire.asked) == 2
    play([b"\x01" + b"x" * (job_results.LONGEST_LIST + 1)])
    with pytest.raises(ResultError, match="longer than 1 MiB"):
        job_results.listing(Server, "ns", "pod")
    play(*[[CUT]] * job_results.ATTEMPTS)
    with pytest.raises(ResultError, match="cannot be listed: the connection was cut"):
        job_results.listing(Server, "ns", "pod")


@given(st.lists(st.binary(max_size=3)))
def test_any_status_is_success_or_a_reason(parts):
    status = b"".join(parts)
    problem = job_exec.problem_of(status, b"")
    assert problem or json.loads(status)["status"] == "Success"
