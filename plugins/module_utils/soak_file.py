# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of a soak: lines that are only ever appended, numbered, and chained by checksums; standard library alone.

A line is the first 16 hex digits of SHA-256(those of the line before + the JSON), a space, and a JSON object with `n`, its number from 0,
and `kind`: begin (what was asked for), start (the watcher was started), sample, end. A line that is changed, missing, moved or doubled
breaks the chain. What a crash left half written stays in the file: the next line says in `torn` how many bytes to pass over.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import math
import os

DIGEST = 16
NO_DIGEST = "0" * DIGEST
# No line is longer, so that lines times this bounds the file.
LINE = 1024
# Beside samples: begin, end, and a start for each time that the watcher is started again.
OTHERS = 1024
RESERVE = 4096
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
BEGIN, START, SAMPLE, END = KINDS = ("begin", "start", "sample", "end")
# What is left out of a line that would be too long, in this order.
DISPENSABLE = ("error", "fsync", "bounds")
# Characters of a reason that are kept.
ERROR = 200


# Bytes that a recording may have at most, on a disk that etcd may share.
MOST = 32 * 2**20


def integer(value):
    """Say whether a value is an integer; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def limit(samples):
    """Return how many bytes a file of so many samples may have."""
    return (samples + OTHERS) * LINE


def too_large(seconds, interval):
    """Return in a sentence why a recording of so many seconds would be too large, and what to write, or ""."""
    most = limit(math.floor(seconds / interval) + 1)
    if most <= MOST:
        return ""
    # A step of the interval more, so that rounding is on the side of less.
    least = math.ceil(10 * seconds / (MOST // LINE - OTHERS - 1)) / 10
    size = f"{seconds:g} s every {interval:g} s may take {most / 2**20:.0f} MiB, and a recording may have {MOST >> 20} MiB"
    return f"{size}: write soak_interval: {least:g} or more, or a smaller soak_seconds."


def encode(record, digest):
    """Return (line as bytes, its digest) of a record after the line with `digest`."""
    body = json.dumps(record, separators=(",", ":"), allow_nan=False)
    own = _digest(digest, body.encode())
    return f"{own} {body}\n".encode(), own


def _digest(digest, body):
    return hashlib.sha256(digest.encode() + body).hexdigest()[:DIGEST]


class Reader:
    """Takes lines one by one; afterwards says what stands in them and what is wrong with them.

    `last` {kind: its last record}, `count` of records, `digest` of the last good line, `damage` [sentence], `loose` bytes after the last
    good line. `keep` gets every good record.
    """

    def __init__(self, keep=None):
        self.keep, self.last, self.count, self.digest, self.damage, self.loose = keep, {}, 0, NO_DIGEST, [], 0
        self._number, self._suspect = 0, None

    def lines(self, stream):
        """Take every line of a binary stream; one of any length is taken in pieces. Return self."""
        while True:
            raw = stream.readline(LINE + 1)
            if not raw:
                return self
            self.line(raw)

    def line(self, raw):
        """Take one line, with its end if it has one."""
        self._number += 1
        record, expected = self._valid(raw, self.digest), True
        if record is None and self._suspect:
            # The line before was changed, not this one: it hangs together with what that one says of itself.
            record, expected = self._valid(raw, self._suspect), False
        if record is None:
            self.loose += len(raw)
            self._suspect = raw[:DIGEST].decode("latin-1")
            return
        if self.loose and not (expected and record.get("torn") == self.loose):
            self._harm(f"{self.loose} bytes before line {self._number} are changed")
        if record["n"] != self.count and not self.loose:
            self._harm(f"line {self._number} has the number {record['n']} in place of {self.count}")
        self.loose, self._suspect, self.digest, self.count = 0, None, raw[:DIGEST].decode(), record["n"] + 1
        self.last[record["kind"]] = record
        if self.keep is not None:
            self.keep.append(record)

    def _valid(self, raw, digest):
        """Return the record of a line that follows the one with `digest`, or None."""
        body = raw[DIGEST + 1 : -1]
        if raw[-1:] != b"\n" or raw[DIGEST : DIGEST + 1] != b" " or raw[:DIGEST] != _digest(digest, body).encode("latin-1"):
            return None
        try:
            record = json.loads(body)
        except (ValueError, RecursionError):
            return None
        known = isinstance(record, dict) and integer(record.get("n")) and record["n"] >= 0 and record.get("kind") in KINDS
        return record if known else None

    def _harm(self, sentence):
        if len(self.damage) < 5:
            self.damage.append(sentence)

    @property
    def ended(self):
        """Say how the file ends: finished, full, limit, failed; or "" when its end is not there."""
        state = self.last.get(END, {}).get("state")
        return state if isinstance(state, str) and not self.loose else ""


def read(stream):
    """Return {begin, starts, samples, state, torn, damage} of a binary stream. `damage` is "" or a sentence; nothing in it is trusted then."""
    records = []
    reader = Reader(records).lines(stream)
    damage = list(reader.damage)
    if not records or records[0]["kind"] != BEGIN or records[0]["n"]:
        damage.append("its beginning is missing")
    kinds = {kind: [record for record in records if record["kind"] == kind] for kind in KINDS}
    if len(kinds[BEGIN]) > 1 or len(kinds[END]) > 1 or (kinds[END] and records[-1]["kind"] != END):
        damage.append("it goes on after its end")
    if reader.loose > LINE:
        damage.append(f"its last {reader.loose} bytes are no lines")
    return {
        "begin": kinds[BEGIN][0] if kinds[BEGIN] else {},
        "starts": kinds[START],
        "samples": kinds[SAMPLE],
        "state": reader.ended,
        "torn": reader.loose,
        "damage": "; ".join(damage),
    }


class SoakFileError(Exception):
    """The file cannot be written any more; the text says why. `state` is full, limit or failed."""

    def __init__(self, text, state):
        super().__init__(text)
        self.state = state


class Writer:
    """Appends to the file at `path`, up to `most` bytes; only one may write. `reader` says what stood there before.

    A little space is set aside beside it, so that a full disk still leaves room to say so.
    """

    def __init__(self, path, most, write=os.write):
        self.path, self.most, self.write, self.reserve = path, most, write, path + ".reserve"
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self.descriptor)
            raise SoakFileError(f"Another watcher writes {path}. Stop it first.", "failed") from error
        with open(path, "rb") as stream:
            self.reader = Reader().lines(stream)
        self.size, self.torn = os.fstat(self.descriptor).st_size, self.reader.loose
        self.count, self.digest = self.reader.count, self.reader.digest
        if not self.reader.ended and not os.path.exists(self.reserve):
            self._set_aside()

    def _set_aside(self):
        with open(self.reserve, "wb") as stream:
            stream.write(b"\0" * RESERVE)
            stream.flush()
            os.fsync(stream.fileno())

    def append(self, kind, record, sync=False):
        """Write one record; SoakFileError ends the file with the reason in it, as far as that can still be written."""
        try:
            if self.size + 2 * LINE > self.most:
                raise SoakFileError(f"{self.path} has reached its limit of {self.most} bytes.", "limit")
            self._append(kind, record)
            if sync:
                os.fsync(self.descriptor)
        except OSError as error:
            state = "full" if error.errno in FULL else "failed"
            self._give_up(SoakFileError(f"Cannot write {self.path}: {error.strerror or error}.", state))
        except SoakFileError as error:
            self._give_up(error)

    def _append(self, kind, record):
        if self.torn and not self._ends_a_line():
            self._put(b"\n")
            self.torn += 1
        record = dict({"n": self.count, "kind": kind}, **record)
        if self.torn:
            record["torn"] = self.torn
        line, digest = encode(record, self.digest)
        for name in DISPENSABLE:
            if len(line) > LINE:
                record.pop(name, None)
                line, digest = encode(record, self.digest)
        self._put(line)
        self.count, self.digest, self.torn = self.count + 1, digest, 0

    def _put(self, data):
        """Write all of `data`; what a failed write left behind is remembered as torn."""
        done = 0
        try:
            while done < len(data):
                done += self.write(self.descriptor, data[done:])
        except OSError:
            self.torn += done
            raise
        finally:
            self.size += done

    def _ends_a_line(self):
        return os.pread(self.descriptor, 1, self.size - 1) == b"\n"

    def _give_up(self, error):
        """Write the end of the file into the space that was set aside, and raise the error."""
        try:
            os.unlink(self.reserve)
            self._append(END, {"state": error.state, "error": str(error)[:ERROR]})
            os.fsync(self.descriptor)
        except OSError:
            pass
        raise error

    def sync(self):
        """Make what was written outlast a loss of power."""
        os.fsync(self.descriptor)

    def end(self, state):
        """Write the end of the file."""
        self.append(END, {"state": state}, sync=True)
        os.unlink(self.reserve)

    def close(self):
        """Close the file; another may write then."""
        os.close(self.descriptor)
