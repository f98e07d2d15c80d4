# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One file out of an archive (.tar, .tar.gz, .zip). It is written where the caller says; a path inside the archive is only compared."""

from __future__ import annotations

import contextlib
import hashlib
import posixpath
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib

# Above every tool that there is; an archive that would unpack to more is a bomb.
FILE_BYTES = 2**30
ARCHIVE_BYTES = 2**32
ARCHIVE_FILES = 20000
CHUNK = 2**18
ZIP = (b"PK\x03\x04", b"PK\x05\x06")
GZIP = b"\x1f\x8b"
TAR_AT, TAR = 257, b"ustar"
# bzip2, xz, Zstandard, 7-Zip
OTHERS = (b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c")
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError, OverflowError)


class ArchiveError(Exception):
    """The file is not in the archive, or cannot be taken out of it; the text goes on after the name of the archive and ends without a full stop."""


def extract(source, target, name, member=None):
    """Write one file of the archive `source` to the new file `target`; return its SHA-256.

    Without `member` it is the only file whose last part is `name`; a `source` that is no archive is then the file itself.
    """
    try:
        with open(source, "rb") as stream:
            kind = _kind(stream.read(512))
        if kind is None and not member:
            with open(source, "rb") as stream:
                return _write(stream, target)
        if kind is None:
            raise ArchiveError(f"is no .tar.gz or .zip archive, so {member} cannot be taken out of it")
        with (_zip(source) if kind == "zip" else _tar(source, kind)) as members:
            size, opened = _choose(members, name, member)
            if size > FILE_BYTES:
                raise ArchiveError(f"holds a file of {size} bytes, more than the {FILE_BYTES} that a tool may have")
            with opened() as stream:
                return _write(stream, target)
    except DAMAGE as error:
        # One with a number comes from the disk; gzip's own have none.
        if getattr(error, "errno", None):
            raise
        raise ArchiveError(f"cannot be unpacked: {printable(error) or type(error).__name__}") from error


def printable(text):
    """Return a text of somebody else as one short line that is safe for a terminal."""
    line = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return " ".join(line.split())[:80]


def _kind(head):
    """Return 'zip', 'r:gz' or 'r:' (modes of tarfile) by the first 512 bytes of a file, None for what is no archive."""
    if head.startswith(ZIP):
        return "zip"
    if head.startswith(GZIP):
        return "r:gz"
    if head[TAR_AT:].startswith(TAR):
        return "r:"
    if head.startswith(OTHERS):
        raise ArchiveError("is packed in another way than .tar.gz and .zip")
    return None


@contextlib.contextmanager
def _tar(path, mode):
    """Yield [(name, bytes, whether it is a plain file, function that opens it)] of what is no directory."""
    with tarfile.open(path, mode) as archive:
        found, total = [], 0
        for info in archive:
            total += info.size
            if total > ARCHIVE_BYTES or len(found) > ARCHIVE_FILES:
                raise ArchiveError(f"unpacks to more than {ARCHIVE_BYTES} bytes or {ARCHIVE_FILES} files")
            if not info.isdir():
                # A sparse file would be filled up to any size.
                found.append((info.name, info.size, info.isreg() and not info.issparse(), lambda info=info: archive.extractfile(info)))
        yield found


@contextlib.contextmanager
def _zip(path):
    """Yield the same for a zip file."""
    with zipfile.ZipFile(path) as archive:
        found = []
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if not info.is_dir():
                found.append((info.filename, info.file_size, kind in (0, stat.S_IFREG), lambda info=info: archive.open(info)))
        yield found


def _choose(members, name, member):
    """Return (bytes, function that opens it) of the one file that is meant; ArchiveError when there is none, or more than one."""
    inside = [(posixpath.normpath(path), *rest) for path, *rest in members if not path.startswith("/") and ".." not in path.split("/")]
    wanted = posixpath.normpath(member) if member else name
    matching = [one for one in inside if (one[0] if member else posixpath.basename(one[0])) == wanted]
    files = [one for one in matching if one[2]]
    if not matching:
        names = ", ".join(printable(one[0]) for one in inside[:5]) or "no file"
        raise ArchiveError(f"has no file {wanted}: it has {names}{' and others' if len(inside) > 5 else ''}")
    if not files:
        raise ArchiveError(f"has {wanted} as a link or another thing that is no plain file")
    if len(files) > 1:
        raise ArchiveError(f"has {len(files)} files {wanted}: {', '.join(printable(one[0]) for one in files[:5])}")
    return files[0][1], files[0][3]


def _write(stream, target):
    """Copy a stream to a new file, return its SHA-256; ArchiveError when it is empty or larger than a tool may be."""
    with open(target, "xb") as output:
        shutil.copyfileobj(_Bounded(stream), output, CHUNK)
        if not output.tell():
            raise ArchiveError("holds an empty file")
    return sha256_of(target)


class _Bounded:
    """A stream that ends with ArchiveError at FILE_BYTES: the size that an archive states need not be the one that comes."""

    def __init__(self, stream):
        self.stream, self.left = stream, FILE_BYTES

    def read(self, size):
        """Return at most `size` bytes."""
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise ArchiveError(f"holds a file of more than the {FILE_BYTES} bytes that a tool may have")
        return data


def sha256_of(path):
    """Return the SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()
