# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of a tool: what it was asked, how it ended, and what a parser made of its output."""

from __future__ import annotations

import base64
import os
import zlib

from . import files, parsers
from .parsers.common import ParseError
from .run import RunError, run, signal_name
from .watch import watch_of

STDERR_TAIL = 2000


def execute(options):
    """Run the tool of `options`; return (result, why it failed or None). RunError, WatchError, ParseError, DataFileError before it starts."""
    argv = options["argv"]
    check_result(options["parser"], options["result"])
    make_place(options["result"])
    environment = {key: str(value) for key, value in options["environment"].items()}
    with watch_of(options["watch"]) as watching:
        outcome = run(argv, options["timeout"], environment, options["chdir"], options["run_dir"], watching)
    result = {"aborted": True} if outcome.aborted else {}
    if outcome.rc is not None:
        result.update(rc=outcome.rc, seconds=outcome.seconds, cpu_seconds=outcome.cpu_seconds, started=outcome.started)
        result["raw"] = {"stdout": pack(outcome.stdout), "stderr": pack(outcome.stderr)}
    tool, facts, reason = os.path.basename(argv[0]), None, None
    if options["result"]:
        reason = failure(tool, outcome, options["success_codes"], None)
        if not reason:
            facts, reason = read_result(tool, outcome.rc, options["parser"], options["result"])
    else:
        facts, unreadable = read(options["parser"], outcome.stdout)
        reason = failure(tool, outcome, options["success_codes"], unreadable)
    if not reason:
        result["facts"] = facts
    return result, reason


def check_result(parser, path):
    """Refuse, with ParseError, an unknown parser, one that does not fit `path`, and a path where something stands already."""
    if not parser:
        if path:
            raise ParseError(f"Nothing reads {path}: name the parser of result, or leave result out.")
    elif parsers.reads_path(parser) and not path:
        raise ParseError(f"The parser {parser} reads files: name in result what the tool writes.")
    elif path and not parsers.reads_path(parser):
        raise ParseError(f"The parser {parser} reads standard output, not {path}: leave result out.")
    elif path and not parsers.absent(path):
        raise ParseError(f"{path} is not empty before the tool starts, and could be taken for its result: remove it, or name another result.")


def make_place(path):
    """Make the directory that the result at `path` is to be in, where it is missing; RunError when that cannot be."""
    try:
        files.make_directory(os.path.dirname(path or ""))
    except OSError as error:
        raise RunError(f"The directory of {path} cannot be made: {error.strerror}. Correct result, or the permissions.") from error


def read_result(tool, code, parser, path):
    """Return (facts, None) of what a tool that ended well wrote to `path`, or (None, why there are none)."""
    missing = parsers.absent(path)
    if missing:
        return None, f"{tool} ended with exit code {code} without the expected result: {missing}"
    try:
        return parsers.parse_path(parser, path), None
    except ParseError as error:
        return None, f"Cannot read the result of {tool}: {error}"


def read(parser, output):
    """Return (facts, None), or (None, why the output cannot be read)."""
    try:
        return parsers.parse(parser, output.decode("utf-8", "replace")) if parser else {}, None
    except ParseError as error:
        return None, str(error)


def failure(tool, outcome, success_codes, unreadable):
    """Return in one sentence why a run failed, or None."""
    if outcome.aborted:
        return f"{tool} was {'not started' if outcome.rc is None else 'aborted'}: {outcome.stopped}"
    if outcome.stopped:
        return f"{tool} {outcome.stopped}."
    if outcome.rc < 0:
        return f"{tool} was killed by {signal_name(-outcome.rc)} after {outcome.seconds:.1f} s; it was not ended by this run."
    if outcome.rc not in success_codes:
        said = " ".join(tail_of(outcome.stderr).split())[-300:] or (outcome.stdout and unreadable) or "it said nothing"
        return f"{tool} failed with exit code {outcome.rc}: {said}"
    return unreadable and f"Cannot read the output of {tool}: {unreadable}"


def tail_of(output):
    """Return the end of some output as text."""
    return output[-STDERR_TAIL:].decode("utf-8", "replace")


def pack(output):
    """Return bytes as text that passes through JSON unchanged; the action part unpacks it."""
    return base64.b64encode(zlib.compress(output, 1)).decode("ascii")


def stderr_of(result):
    """Return the end of standard error of a run's result as text."""
    return tail_of(zlib.decompress(base64.b64decode(result["raw"]["stderr"]))) if "raw" in result else ""
