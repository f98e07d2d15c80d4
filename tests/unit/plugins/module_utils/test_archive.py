# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives as they are, and as an enemy makes them: nothing is written but the one file, where the caller says."""

from __future__ import annotations

import gzip
import hashlib
import io
import stat
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import archive

TOOL = b"\x7fELF" + b"tool" * 500


def tar(*entries, mode="w:gz", kind=tarfile.REGTYPE):
    """Return a tar file; an entry is (name, bytes), or (name, target) of another kind."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as packed:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                packed.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname = kind, content
                packed.addfile(info)
    return stream.getvalue()


def zipped(*entries, kind=None):
    """Return a zip file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in entries:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (kind | 0o755) << 16 if kind else 0
            packed.writestr(info, content)
    return stream.getvalue()


@pytest.fixture(name="extract")
def fixture_extract(tmp_path):
    """Return a function that takes one file out of an archive given as bytes, and returns its content."""

    def call(data, name="k6", member=None):
        source, target = tmp_path / "source", tmp_path / "inner" / "target"
        source.write_bytes(data)
        target.parent.mkdir(exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            digest = archive.extract(str(source), str(target), name, member)
        finally:
            assert {path.name for path in tmp_path.rglob("*")} <= {"source", "inner", "target"}
        assert digest == hashlib.sha256(target.read_bytes()).hexdigest() and not target.is_symlink()
        return target.read_bytes()

    return call


@pytest.mark.parametrize(
    ("data", "member"),
    [
        (TOOL, None),
        (tar(("LICENSE", b"x"), ("k6", TOOL)), None),
        (tar(("./k6", TOOL)), None),
        (tar(("./k6", TOOL)), "k6"),
        (tar(("k6-v1/k6", TOOL), ("k6-v1/README.md", b"x")), None),
        (tar(("k6-v1/k6", TOOL), ("old/k6", b"old")), "k6-v1/k6"),
        (tar(("k6", TOOL), mode="w"), None),
        (tar(("other-name", TOOL)), "./other-name"),
        (zipped(("README.md", b"x"), ("k6-v1/k6", TOOL)), None),
        (zipped(("k6", TOOL), kind=stat.S_IFREG), "k6"),
        (tar(("k6", "."), ("k6/k6", TOOL), kind=tarfile.DIRTYPE), None),
        # What leads out of the archive is passed over.
        (tar(("../k6", b"evil"), ("/usr/bin/k6", b"evil"), ("a/../../k6", b"evil"), ("bin/k6", TOOL)), None),
        (zipped(("../k6", b"evil"), ("bin/k6", TOOL)), None),
    ],
)
def test_one_file_is_taken_out(extract, data, member):
    assert extract(data, member=member) == TOOL


@pytest.mark.parametrize(
    ("data", "member", "text"),
    [
        (b"", None, "holds an empty file"),
        (TOOL, "k6", "is no .tar.gz or .zip archive, so k6 cannot be taken out of it"),
        (tar(("k6", b"")), None, "holds an empty file"),
        (tar(), None, "has no file k6: it has no file"),
        (tar(*((f"file{number}", b"x") for number in range(6))), None, "has no file k6: it has file0, file1, file2, file3, file4 and others"),
        (tar(("a\x1b[31m\nb", b"x")), None, "has no file k6: it has a [31m b"),
        (tar(("K6", TOOL)), "k6", "has no file k6: it has K6"),
        (tar(("a/k6", TOOL), ("b/k6", TOOL)), None, "has 2 files k6: a/k6, b/k6"),
        (tar(("k6", TOOL), ("k6", TOOL)), "k6", "has 2 files k6: k6, k6"),
        (tar(("k6", "/etc/passwd"), kind=tarfile.SYMTYPE), None, "has k6 as a link or another thing"),
        (tar(("a", TOOL), ("k6", "a"), kind=tarfile.LNKTYPE), None, "has k6 as a link or another thing"),
        (tar(("k6", ""), kind=tarfile.CHRTYPE), None, "has k6 as a link or another thing"),
        (tar(("k6", ""), kind=tarfile.FIFOTYPE), "k6", "has k6 as a link or another thing"),
        (zipped(("k6", "/etc/passwd"), kind=stat.S_IFLNK), None, "has k6 as a link or another thing"),
        (tar(("../k6", TOOL)), None, "has no file k6: it has no file"),
        (tar(("../k6", TOOL)), "../k6", "has no file ../k6"),
        (tar(("/bin/k6", TOOL)), "/bin/k6", "has no file /bin/k6"),
        (gzip.compress(TOOL), None, "cannot be unpacked"),
        (tar(("k6", TOOL))[:-40], None, "cannot be unpacked"),
        (zipped(("k6", TOOL))[:-40], None, "cannot be unpacked: File is not a zip file"),
        (tar(("k6", TOOL), mode="w:xz"), None, "is packed in another way than .tar.gz and .zip"),
        (tar(("k6", TOOL), mode="w:bz2"), None, "is packed in another way"),
    ],
)  # fmt: skip
def test_refused_with_the_reason(extract, data, member, text):
    with pytest.raises(archive.ArchiveError) as seen:
        extract(data, member=member)
    assert text in str(seen.value) and str(seen.value).isprintable()


def test_a_broken_checksum_of_zip_is_seen(extract):
    data = bytearray(zipped(("k6", TOOL)))
    data[14] ^= 1
    at = data.index(b"PK\x01\x02") + 16
    data[at] ^= 1
    with pytest.raises(archive.ArchiveError, match="Bad CRC-32"):
        extract(bytes(data))


def test_bombs(extract, monkeypatch):
    monkeypatch.setattr(archive, "FILE_BYTES", 100)
    monkeypatch.setattr(archive, "ARCHIVE_BYTES", 5000)
    monkeypatch.setattr(archive, "ARCHIVE_FILES", 3)
    for data, text in (
        (tar(("k6", bytes(101))), "holds a file of 101 bytes, more than the 100"),
        (zipped(("k6", bytes(101))), "holds a file of 101 bytes"),
        (b"#!/bin/sh" + bytes(100), "holds a file of more than the 100 bytes"),
        (tar(("k6", b"x"), ("big", bytes(5000))), "unpacks to more than 5000 bytes or 3 files"),
        (tar(*((f"file{number}", b"x") for number in range(9))), "unpacks to more than 5000 bytes or 3 files"),
    ):
        with pytest.raises(archive.ArchiveError, match=text):
            extract(data)
    assert extract(tar(("k6", bytes(100)))) == bytes(100)


def test_a_full_disk_is_not_called_damage(extract, monkeypatch):
    def full(*dummy):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive.shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        extract(tar(("k6", TOOL)))


ARCHIVES = [tar(("bin/k6", TOOL), ("README.md", b"x")), tar(("k6", TOOL), mode="w"), zipped(("bin/k6", TOOL), ("README.md", b"x")), gzip.compress(TOOL)]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_archives_end_in_a_sentence(data):
    """Bytes of an archive are changed, cut and moved; what comes out is a file or an ArchiveError, nothing beside it."""
    packed = bytearray(data.draw(st.sampled_from(ARCHIVES)))
    for dummy in range(data.draw(st.integers(1, 6))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    packed = packed[: data.draw(st.integers(1, len(packed)))]
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name, "source"), Path(name, "target")
        source.write_bytes(packed)
        try:
            archive.extract(str(source), str(target), "k6", data.draw(st.sampled_from([None, "bin/k6"])))
        except archive.ArchiveError as error:
            assert str(error).isprintable() and len(str(error)) < 500
        assert {path.name for path in Path(name).iterdir()} <= {"source", "target"}
