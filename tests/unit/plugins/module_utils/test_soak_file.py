# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of a soak: nothing that was changed, cut or lost in it goes unseen, and nothing that was written is lost."""

from __future__ import annotations

import errno
import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import soak_file
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_facts import soak_facts

SAMPLES = 20


def written(path, count=SAMPLES, end="finished", most=10**6):
    writer = soak_file.Writer(str(path), most)
    writer.append("begin", {"id": "one", "seconds": 100, "interval": 5, "wall": 1.0})
    writer.append("start", {"boot": "b", "at": 0, "running": 0, "wall": 1.0})
    for number in range(count):
        writer.append("sample", {"at": number * 5, "term": 3})
    if end:
        writer.end(end)
    writer.close()
    return path.read_bytes()


def read(data):
    return soak_file.read(io.BytesIO(data))


def is_whole(found):
    return not found["damage"] and not found["torn"] and found["state"] == "finished" and len(found["samples"]) == SAMPLES


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return written(tmp_path_factory.mktemp("soak") / "file")


def test_all_that_is_written_is_read(data, tmp_path):
    found = read(data)
    assert is_whole(found) and [one["at"] for one in found["samples"]] == list(range(0, 100, 5)) and found["begin"]["id"] == "one"
    assert not os.path.exists(tmp_path / "file.reserve")


@given(st.data())
def test_a_cut_is_found(data, draw):
    cut = draw.draw(st.integers(0, len(data) - 1))
    found = read(data[:cut])
    assert not is_whole(found) and (found["state"] == "" or found["damage"])
    assert not found["damage"] or not data[:cut].startswith(data.split(b"\n")[0] + b"\n")


@given(st.data())
def test_a_change_is_found(data, draw):
    begin = draw.draw(st.integers(0, len(data) - 1))
    end = draw.draw(st.integers(begin, min(len(data), begin + 300)))
    new = draw.draw(st.binary(max_size=300))
    changed = data[:begin] + new + data[end:]
    assert is_whole(read(changed)) == (changed == data)


@given(st.data())
def test_lines_that_are_moved_doubled_or_missing_are_found(data, draw):
    lines = data.splitlines(keepends=True)
    chosen = draw.draw(st.lists(st.sampled_from(lines), max_size=len(lines) + 3))
    assert is_whole(read(b"".join(chosen))) == (chosen == lines)


@given(st.binary(max_size=5000))
def test_noise_is_no_recording(noise):
    found = read(noise)
    assert found["damage"] and found["samples"] == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(
    ["id", "seconds", "interval", "wall", "boot", "running", "at", "term", "changes", "started", "member", "cluster", "leader", "fsync", "bounds", "memory",
     "committed", "state", "n", "torn", "healthy"]
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(soak_file.KINDS), st.dictionaries(KEYS, JSON)), max_size=8), st.floats(allow_nan=True) | st.none())
def test_a_forged_file_breaks_nothing(records, put_rate):
    """Lines whose checksums are right, with anything in them."""
    digest, data = soak_file.NO_DIGEST, b""
    for number, (kind, record) in enumerate(records):
        line, digest = soak_file.encode({"n": number, "kind": kind, **record}, digest)
        data += line
    found = soak_facts({"a": read(data), "b": read(data)}, ["a", "b"])
    assert "elections" not in found["cluster"].get("soak", {})


def test_a_half_written_line_is_passed_over_and_nothing_is_lost(tmp_path):
    path = tmp_path / "file"
    before = written(path, 3, end="")
    path.write_bytes(before + b"0123456789abcdef {\"n\":5,\"ki")
    assert read(path.read_bytes())["torn"] == 27 and not read(path.read_bytes())["damage"]
    writer = soak_file.Writer(str(path), 10**6)
    writer.append("start", {"boot": "b"})
    writer.append("sample", {"at": 20, "term": 3})
    writer.close()
    after = path.read_bytes()
    found = read(after)
    assert after.startswith(before) and (found["damage"], found["torn"]) == ("", 0) and len(found["samples"]) == 4 and len(found["starts"]) == 2


@pytest.mark.parametrize("tail", [b"\0" * 3000, b"\0" * 100 + b"\n", b"x\ny\n", b"\n"])
def test_what_a_loss_of_power_leaves_is_passed_over(tmp_path, tail):
    path = tmp_path / "file"
    before = written(path, 3, end="")
    path.write_bytes(before + tail)
    writer = soak_file.Writer(str(path), 10**6)
    writer.append("start", {"boot": "c"})
    writer.end("finished")
    writer.close()
    found = read(path.read_bytes())
    assert (found["damage"], len(found["samples"]), found["state"]) == ("", 3, "finished")


def test_only_one_may_write(tmp_path):
    first = soak_file.Writer(str(tmp_path / "file"), 10**6)
    with pytest.raises(soak_file.SoakFileError, match="Another watcher"):
        soak_file.Writer(str(tmp_path / "file"), 10**6)
    first.close()
    soak_file.Writer(str(tmp_path / "file"), 10**6).close()


def test_a_full_disk_is_said_in_the_file(tmp_path):
    path, left = tmp_path / "file", [2000]

    def write(descriptor, data):
        """As a disk with so many bytes left, and those of the reserve once it is removed."""
        room = left[0] if os.path.exists(f"{path}.reserve") else soak_file.RESERVE
        if room < len(data) and not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = os.write(descriptor, data[: max(1, room)])
        left[0] = max(0, left[0] - done)
        return done

    writer = soak_file.Writer(str(path), 10**6, write=write)
    writer.append("begin", {"id": "one"})
    with pytest.raises(soak_file.SoakFileError, match="No space left") as caught:
        for number in range(100):
            writer.append("sample", {"at": number})
    assert caught.value.state == "full"
    found = read(path.read_bytes())
    assert found["state"] == "full" and found["damage"] == "" and len(found["samples"]) > 10


def test_the_file_never_grows_beyond_its_limit(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(soak_file.SoakFileError, match="limit"):
        written(path, 10**5, most=10000)
    found = read(path.read_bytes())
    assert found["state"] == "limit" and path.stat().st_size <= 10000 and not found["damage"]


def test_a_long_reason_makes_no_long_line(tmp_path):
    path = tmp_path / "file"
    writer = soak_file.Writer(str(path), 10**6)
    writer.append("begin", {"id": "one"})
    writer.append("sample", {"at": 1, "error": "é" * 5000})
    writer.close()
    assert max(map(len, path.read_bytes().splitlines())) < soak_file.LINE and read(path.read_bytes())["samples"][0] == {"n": 1, "kind": "sample", "at": 1}
