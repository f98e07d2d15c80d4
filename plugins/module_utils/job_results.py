# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tool of a load job wrote, from its pod to the controller: whole, or an error. Size and SHA-256 are those that the pod computed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from typing import NamedTuple

from . import files, parsers
from .job_exec import Command, ExecError
from .job_spec import FILE, RESULTS

ATTEMPTS = 5
# Seconds for a command in a pod, and what is added for what it reads: a slow disk and a slow network.
SECONDS, PER_SECOND = 120.0, 2**20
LONGEST_LIST = 2**20
END = "end"
ENTRY = re.compile(r"([0-9]{1,18}) ([0-9a-f]{64}) (.+)")
# Every entry is listed, so that nothing is left out silently: what is no plain file is an error for the reader.
ENTRIES = f"""
for one in * .[!.]* ..?*; do
  if [ -L "$one" ]; then echo "odd $one"
  elif [ -f "$one" ]; then sum=$(sha256sum <"$one") && size=$(wc -c <"$one") || exit 1; echo $size "${{sum%% *}} $one"
  elif [ -e "$one" ]; then echo "odd $one"
  fi
done
echo {END}
"""
LIST = f"cd {RESULTS} || exit 1{ENTRIES}"


class ResultError(Exception):
    """The results of a pod are not whole; the text says what is wrong."""


class File(NamedTuple):
    """A file in a pod: name, size in bytes, SHA-256 in hexadecimal digits."""

    name: str
    size: int
    digest: str


def parser_problem(parser, result):
    """Return in a sentence why a parser does not fit the file that it shall read, or None; ParseError when there is no such parser."""
    if not parser:
        return f"Nothing reads {result}: name the parser of result, or leave result out." if result else None
    if parsers.reads_path(parser):
        return None if FILE.fullmatch(result or "") else f"The parser {parser} reads files: name in result the file that the tool writes."
    return f"The parser {parser} reads standard output, not {result}: leave result out." if result else None


def read_list(text):
    """Return the [File] that a pod listed; ResultError when the list is cut off, or names what cannot come back."""
    lines = text.splitlines()
    if not lines or lines.pop() != END:
        raise ResultError("the list of its results was cut off")
    found = []
    for line in lines:
        entry = ENTRY.fullmatch(line)
        if not entry or not FILE.fullmatch(entry[3]):
            raise ResultError(f"{line[:120]!r} cannot come back: only plain files directly in {RESULTS}, with a name of letters, digits and ._-, can")
        found.append(File(entry[3], int(entry[1]), entry[2]))
    missing = {"stdout", "stderr"} - {one.name for one in found}
    if missing:
        raise ResultError(f"{min(missing)} is not among its results")
    return found


def digest_of(content):
    """Return the SHA-256 of some bytes in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def collect(server, namespace, pod, directory):
    """Bring all results of a pod to `directory` and return their names; ResultError unless every one is whole."""
    listed = listing(server, namespace, pod)
    for one in listed:
        fetch(server, namespace, pod, one, os.path.join(directory, one.name))
    return [one.name for one in listed]


def listing(server, namespace, pod):
    """Return the [File] in a pod."""
    problem = None
    for dummy in range(ATTEMPTS):
        try:
            with Command(server, namespace, pod, ["sh", "-c", LIST]) as command:
                text = command.text(SECONDS * 5, LONGEST_LIST)
            if text is None:
                raise ResultError("the list of its results is longer than 1 MiB")
            return read_list(text.decode("utf-8", "replace"))
        except ExecError as error:
            problem = error
            if error.final:
                break
    raise ResultError(f"its results cannot be listed: {problem}") from problem


def fetch(server, namespace, pod, one, path, source=RESULTS):
    """Bring one file of a pod, from its directory `source`, to `path` in one step, whatever its size; what was cut is asked for from there on."""
    temporary = None
    try:
        files.make_directory(os.path.dirname(path))
        descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=os.path.dirname(path))
        with os.fdopen(descriptor, "wb") as stream:
            receive(server, namespace, pod, one, stream, source)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise ResultError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def receive(server, namespace, pod, one, stream, source):
    """Write the content of a file of a pod to `stream`; ResultError unless size and digest are those that the pod computed."""
    digest, size, problem = hashlib.sha256(), 0, None
    attempts = ATTEMPTS if one.size else 0
    while size < one.size and attempts:
        attempts -= 1
        try:
            with Command(server, namespace, pod, ["tail", "-c", f"+{size + 1}", f"{source}/{one.name}"]) as command:
                for part in command.output(SECONDS + one.size / PER_SECOND):
                    size += len(part)
                    digest.update(part)
                    stream.write(part)
                    if size > one.size:
                        raise ResultError(f"{one.name} grew while it was read: the tool has left a process that still writes")
        except ExecError as error:
            problem = error
            if error.final:
                break
    if size != one.size:
        raise ResultError(f"{one.name} was cut: {size} of {one.size} bytes came" + (f" ({problem})" if problem else ""))
    if digest.hexdigest() != one.digest:
        raise ResultError(f"{one.name} was damaged on its way: it has {size} bytes as it should, but another SHA-256")
