# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are whole or not there: written to a temporary name beside the target, then renamed."""

from __future__ import annotations

import errno
import gzip
import json
import os
import tempfile
import zlib

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600


class DataFileError(Exception):
    """A file could not be read or written; the text names the file, the reason and what to do."""


def write_bytes(path, data):
    """Write `data` (bytes) to `path` in one step; missing directories are made with mode 0700."""
    directory = os.path.dirname(path) or "."
    temporary = None
    try:
        make_directory(directory)
        descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=directory)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        os.chmod(temporary, FILE_MODE)
        os.replace(temporary, path)
    except (OSError, ValueError) as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        reason = getattr(error, "strerror", None) or error
        raise DataFileError(f"Cannot write {path}: {reason}. Free the space or correct the path, then run again.") from error


def make_directory(path):
    """Make `path` and what is missing above it, each with mode 0700; os.makedirs gives its mode to the last one alone."""
    if path and not os.path.isdir(path):
        make_directory(os.path.dirname(path))
        try:
            os.mkdir(path, DIRECTORY_MODE)
        except FileExistsError as error:
            # Another process may have been faster.
            if not os.path.isdir(path):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error


def encoded(text):
    """Return `text` as UTF-8; half a surrogate pair, which UTF-8 cannot hold, becomes its escape, as JSON has it."""
    return text.encode("utf-8", "backslashreplace")


def write_text(path, text):
    """Write `text` as UTF-8 to `path` in one step."""
    write_bytes(path, encoded(text))


def write_json(path, data):
    """Write `data` as JSON to `path` in one step, compressed where it ends with .gz; NaN and Infinity are refused with DataFileError."""
    small = path.endswith(".gz")
    try:
        text = json.dumps(data, indent=None if small else 2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataFileError(f"Cannot write {path}: the data is not plain JSON ({error}).") from error
    if small:
        write_bytes(path, gzip.compress(encoded(text), mtime=0))
    else:
        write_text(path, text + "\n")


def read_json(path):
    """Return the JSON document in `path`; DataFileError if it is missing, cut off or has NaN or Infinity."""

    def refuse(constant):
        raise ValueError(f"{constant} is not JSON")

    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.endswith(".gz") else open(path, encoding="utf-8") as stream:
            return json.load(stream, parse_constant=refuse)
    except (EOFError, ValueError, RecursionError, gzip.BadGzipFile, zlib.error) as error:
        raise DataFileError(f"Cannot read {path}: not a JSON document ({error}).") from error
    except OSError as error:
        raise DataFileError(f"Cannot read {path}: {error.strerror}.") from error
