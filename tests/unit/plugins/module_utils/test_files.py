# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import files
from ansible_collections.kubeproof.certify.plugins.module_utils.files import DataFileError, read_json, write_json, write_text


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def nested(depth):
    """Return lists in lists."""
    found = []
    for dummy in range(depth):
        found = [found]
    return found


def test_files_and_every_new_directory_are_for_the_owner_alone(tmp_path):
    before = os.umask(0)
    try:
        path = tmp_path / "run" / "facts" / "etcd" / "etcd1.json"
        write_json(str(path), {"a": 1})
    finally:
        os.umask(before)
    assert mode(path) == 0o600
    assert {mode(path.parents[number]) for number in range(3)} == {0o700}
    assert os.listdir(path.parent) == ["etcd1.json"]


def test_a_directory_that_is_there_keeps_its_mode(tmp_path):
    (tmp_path / "there").mkdir(mode=0o755)
    write_text(str(tmp_path / "there" / "a"), "text\n")
    assert mode(tmp_path / "there") == 0o755 and (tmp_path / "there" / "a").read_text(encoding="utf-8") == "text\n"


def test_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_text("a", "1")
    write_text("b/c/d", "2")
    assert (tmp_path / "a").read_text() == "1" and (tmp_path / "b" / "c" / "d").read_text() == "2"


def test_the_old_file_is_whole_when_the_new_one_cannot_be(tmp_path, monkeypatch):
    path = tmp_path / "certificate.json"
    write_json(str(path), {"state": "interrupted"})

    def fail(*dummy):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", fail)
    with pytest.raises(DataFileError, match="Cannot write .*certificate.json: No space left on device"):
        write_json(str(path), {"state": "finished"})
    assert read_json(str(path)) == {"state": "interrupted"} and os.listdir(tmp_path) == ["certificate.json"]


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "other").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "other")
    write_text(str(tmp_path / "link"), "new")
    assert (tmp_path / "other").read_text() == "kept" and (tmp_path / "link").read_text() == "new"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"a": float("nan")}, "not plain JSON"),
        ([float("inf")], "not plain JSON"),
        ({"a": -float("inf")}, "not plain JSON"),
        ({"a": {1, 2}}, "not plain JSON"),
        ({"a": b"bytes"}, "not plain JSON"),
        ({1: 2, "a": 3}, "not plain JSON"),
        (nested(100000), "not plain JSON"),
    ],
)
def test_what_is_not_json_is_not_written(tmp_path, data, said):
    with pytest.raises(DataFileError, match=said):
        write_json(str(tmp_path / "a.json"), data)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["file/a.json", "\0", "a" * 300, "directory"])
def test_a_path_that_cannot_be_written(tmp_path, name):
    (tmp_path / "file").write_text("")
    (tmp_path / "directory").mkdir()
    with pytest.raises(DataFileError) as caught:
        write_text(str(tmp_path / name), "text")
    assert str(caught.value).startswith(f"Cannot write {tmp_path / name}: ") and "None" not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["directory", "file"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a JSON document"),
        (b'{"a": 1', "not a JSON document"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": Infinity}', "Infinity is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b"\xff", "not a JSON document"),
        (b"[" * 100000, "not a JSON document"),
        (None, "No such file or directory"),
    ],
)
def test_what_cannot_be_read(tmp_path, content, said):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataFileError, match=said):
        read_json(str(path))


PACKED = gzip.compress(b'{"a": 1}')


@pytest.mark.parametrize("damage", [b"", b"{}", b"\x1f\x8b", b"\x1f\x8b\x08\x00garbage", PACKED[:-4], gzip.compress(b"{"), gzip.compress(b"NaN")])
def test_compressed_documents(tmp_path, damage):
    path = str(tmp_path / "a.json.gz")
    write_json(path, {"a": [1, "é"]})
    first = (tmp_path / "a.json.gz").read_bytes()
    write_json(path, {"a": [1, "é"]})
    assert read_json(path) == {"a": [1, "é"]} and (tmp_path / "a.json.gz").read_bytes() == first
    (tmp_path / "a.json.gz").write_bytes(damage)
    with pytest.raises(DataFileError, match="Cannot read .*a.json.gz: "):
        read_json(path)


@pytest.mark.parametrize("text", ["\ud800", "caf\u00e9 \u221e", "\udcff end", ""])
def test_every_text_can_be_kept(tmp_path, text):
    """What a tool printed may hold bytes that are not UTF-8, which Python keeps as half a surrogate pair."""
    write_json(str(tmp_path / "a"), {"text": text})
    assert read_json(str(tmp_path / "a")) == {"text": text}
    (tmp_path / "a").read_bytes().decode("utf-8")


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text())


@given(data=st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8))
def test_what_is_written_is_read(tmp_path_factory, data):
    path = str(tmp_path_factory.getbasetemp() / "written.json")
    write_json(path, data)
    assert read_json(path) == data
