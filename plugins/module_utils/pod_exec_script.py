# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pod is told to run a tool, and what it answers. Pure: arguments in, a command out; text in, an answer out.

The tool runs apart from the connection that started it, so that a connection may end and another one take up the wait: each connection starts
somebody to run the tool, and the first of them to make the directory of the run's state does. The pod itself ends the tool at its timeout.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from .job_results import END, ENTRIES, ResultError, digest_of, read_list
from .job_spec import RESULTS, STATE
from .job_state import used_of

# Bytes of results that come with the answer; what is larger is asked for by itself.
INLINE = 2**20
# Seconds that a tool has to end after it was asked to.
GRACE = 2
# Everything of one run carries it in its environment, wherever it went: fio's workers leave the process group.
MARK = "KUBEPROOF_EXEC"
ENDED = re.compile(r"([0-9]{1,3}) ([0-9]{1,6}) ([0-9]{1,9})")
# Lines before the list: the first, and what job_state.used_of reads.
HEAD = 4
# Ends what has the mark, as often as something is found, for some seconds: what waits for a disk cannot be ended at once. Says how many are left.
# A shell's read drops the zero bytes between the variables.
SWEEP = f"""
marked() {{
  for one in /proc/[0-9]*; do
    while read -r line || [ -n "$line" ]; do
      case $line in *"{MARK}=$token"*) echo "${{one#/proc/}}"; break ;; esac
    done <"$one/environ"
  done 2>/dev/null
}}
sweep() {{
  tries=50
  while found=$(marked); [ -n "$found" ] && [ "$tries" -gt 0 ]; do
    for one in $found; do kill -9 "$one" 2>/dev/null; done
    tries=$((tries - 1))
    sleep 0.1
  done
  left=0
  for one in $found; do left=$((left + 1)); done
}}
"""
START = f"""
token=$1 limit=$2 state={STATE}/$1 results={RESULTS}/$1
shift 2
{SWEEP}
killed() {{
  count=0
  for one in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
    [ -r "$one" ] || continue
    while read -r key value; do [ "$key" != oom_kill ] || count=$value; done <"$one"
  done
  echo "$count"
}}
supervise() {{
  mkdir "$state" 2>/dev/null || return
  read -r pid rest </proc/self/stat
  echo "$pid" >"$state/pid"
  before=$(killed)
  read -r begun rest </proc/uptime
  {MARK}=$token timeout -k {GRACE} "$limit" env "$@" </dev/null >stdout 2>stderr
  code=$?
  read -r ended rest </proc/uptime
  {{ echo "$begun $ended"; times; }} >"$state/used"
  sweep
  {{ echo "$code $left $(($(killed) - before))"; cat "$state/used"; }} >"$state/part"
  mv "$state/part" "$state/end"
}}
mkdir -p "$results" && cd "$results" || exit 1
supervise "$@" </dev/null >/dev/null 2>&1 &
wait "$!"
[ -d "$state" ] || {{ echo "$state cannot be made" >&2; exit 1; }}
while [ ! -e "$state/end" ]; do
  if [ -s "$state/pid" ] && ! kill -0 "$(cat "$state/pid")" 2>/dev/null && [ ! -e "$state/end" ]; then
    echo "what watched it in the pod was killed" >&2
    exit 1
  fi
  sleep 0.2
done
cat "$state/end"
{ENTRIES}
left={INLINE}
for one in *; do
  [ -f "$one" ] || continue
  size=$(wc -c <"$one")
  [ "$size" -gt "$left" ] || {{ left=$((left - size)); cat "./$one" || exit 1; }}
done
"""
# Never starts it afterwards, and waits until the one that watches it has seen its end.
STOP = f"""
token=$1 state={STATE}/$1
{SWEEP}
if mkdir "$state" 2>/dev/null; then
  echo stopped >"$state/end"
  exit
fi
tries=50
while [ ! -e "$state/end" ] && [ "$tries" -gt 0 ]; do
  sweep
  tries=$((tries - 1))
  sleep 0.1
done
sweep
[ "$left" = 0 ] && [ -e "$state/end" ]
"""
REMOVE = f'rm -rf "{RESULTS}/$1"'


class Answer(NamedTuple):
    """How a tool ended. `left` and `killed` count its processes that could not be ended, and that the kernel ended for memory.

    `files` [File] is all that it wrote, `contents` {name: bytes} what of it came along.
    """

    exit_code: int
    left: int
    killed: int
    seconds: float
    cpu_seconds: float
    files: list
    contents: dict


def start(token, run):
    """Return the command that runs a tool, or that waits for the one that runs, and answers."""
    variables = [f"{name}={value}" for name, value in run["environment"].items()]
    return ["sh", "-c", START, "sh", token, str(math.ceil(run["timeout"])), *variables, *run["argv"]]


def stop(token):
    """Return the command that ends a tool, also one that was not started yet."""
    return ["sh", "-c", STOP, "sh", token]


def remove(token):
    """Return the command that removes what a tool wrote."""
    return ["sh", "-c", REMOVE, "sh", token]


def read(data):
    """Return the Answer in what the pod printed; ResultError when it was cut, or names what cannot come back."""
    mark = f"\n{END}\n".encode()
    listed, found, rest = data.partition(mark)
    if not found:
        raise ResultError("the answer of the pod was cut off")
    first, *lines = (listed + mark).decode("utf-8", "replace").splitlines(keepends=True)
    ended, used = ENDED.fullmatch(first.strip()), used_of("".join(lines[: HEAD - 1]))
    if not ended or used is None:
        raise ResultError(f"the answer of the pod cannot be read: {' '.join(listed.decode('utf-8', 'replace').split())[:120]!r}")
    files = read_list("".join(lines[HEAD - 1 :]))
    return Answer(*(int(one) for one in ended.groups()), *used, files, contents_of(files, rest))


def contents_of(files, data):
    """Return {name: content} of what came along; ResultError unless it is whole."""
    left, found = INLINE, {}
    for one in files:
        if one.size <= left:
            left -= one.size
            content, data = data[: one.size], data[one.size :]
            if digest_of(content) != one.digest:
                raise ResultError(f"{one.name} was cut or damaged on its way")
            found[one.name] = content
    return found
