# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that may be larger than the memory: which there are, and their lines, in pieces."""

from __future__ import annotations

import gzip
import os
import zlib

from .common import ParseError, excerpt

PIECE = 1024 * 1024


def files(path: str, endings=()) -> list:
    """Return the path itself, or those of the files in that directory; ParseError when there is none, or something without one of `endings`."""
    if not os.path.isdir(path):
        return [path]
    entries = sorted(os.listdir(path))
    for entry in entries:
        if not os.path.isfile(os.path.join(path, entry)) or endings and not entry.endswith(tuple(endings)):
            raise ParseError(f"{path} has {excerpt(entry)}, which is no file of samples{f' ({_either(endings)})' if endings else ''}.")
        if entry + ".gz" in entries:
            raise ParseError(f"{path} has the samples {excerpt(entry)} twice, plain and compressed.")
    if not entries:
        raise ParseError(f"{path} is empty.")
    return [os.path.join(path, entry) for entry in entries]


def _either(endings) -> str:
    return " or ".join(endings)


def read(path: str, what: str, file: str = ""):
    """Yield the pieces of a file, of a compressed one where it ends with .gz; ParseError names the file, as `file`, and what it should be."""
    file = file or os.path.basename(path)
    try:
        with gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb") as stream:
            yield from pieces(stream, file, what)
    except EOFError as error:
        raise ParseError(f"{file} is cut off: its compressed data have no end.") from error
    except (OSError, zlib.error) as error:
        raise ParseError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}.") from error


def pieces(stream, file: str, what: str):
    """Yield pieces of whole lines, each with the newline that ends the line before it."""
    rest = b"\n"
    while True:
        data = stream.read(PIECE)
        if not data:
            break
        rest += data
        end = rest.rfind(b"\n") + 1
        if end > 1:
            yield rest[:end]
            rest = rest[end - 1 :]
        elif len(rest) > PIECE:
            raise ParseError(f"{file} is no {what}: it has a line of more than {PIECE} bytes.")
    if rest != b"\n":
        raise ParseError(f"{file} is cut off in its last line, {shown(rest)}.")


def shown(data: bytes) -> str:
    """Return some bytes of a file for an error message."""
    return excerpt(data.decode("utf-8", "replace").strip("\n"))
