# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the lines of a run look: with the time in front, in the columns and characters that there are; at a terminal with one line that moves."""

from __future__ import annotations

import os
import re
import textwrap
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional

from ansible_collections.kubeproof.certify.plugins.module_utils.human import cells, fit
from ansible_collections.kubeproof.certify.plugins.plugin_utils.progress import Line

LABEL = 10
# Below so many columns a line begins without the time.
NARROW = 60
BAR = 12
# What the page and the terminal show otherwise, for a terminal without Unicode.
PLAIN = str.maketrans({"µ": "u", "…": "...", "→": "->", "–": "-", "—": "-", "×": "x", "≥": ">=", "≤": "<=", "━": "=", "─": "-"})
# A text that was cut, with two characters before: three dots have room there.
CUT = re.compile("..…")
CLEAR = "\r\033[K"


def speaks_unicode(environment: Mapping, encoding: Any) -> bool:
    """Say whether more than ASCII may be written. Python sets LC_CTYPE=C.UTF-8 by itself where the locale is C, which says nothing of the terminal."""
    if "utf" not in str(encoding or "").lower():
        return False
    own = [environment.get("LC_ALL"), "" if environment.get("LC_CTYPE") == "C.UTF-8" else environment.get("LC_CTYPE"), environment.get("LANG")]
    return "utf" in next(filter(None, own), "").lower()


def plain(text: str, unicode: bool) -> str:
    """Return the text in the characters that there are."""
    return text if unicode else text.translate(PLAIN).encode("ascii", "replace").decode("ascii")


def in_columns(text: str, unicode: bool) -> str:
    """Return the text in the characters that there are; what was cut to fit its column takes no more columns than before."""
    return text if unicode else plain(CUT.sub("...", text), False)


def written(line: Line, moment: float, width: Optional[int], unicode: bool) -> str:
    """Return a line as it is written. With a width, at a terminal, it is folded and has the local time; without one it is whole, with the day in UTC."""
    label = plain(line.label, unicode)
    if width is None:
        return f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(moment))} {label:<{LABEL}} {plain(line.text, unicode)}"
    front = f"{label:<{LABEL}} " if width >= NARROW else f"{label}: "
    front = f"{time.strftime('%H:%M:%S', time.localtime(moment))} {front}" if width >= NARROW else front
    indent = " " * (len(front) + len(line.text) - len(line.text.lstrip())) if width >= NARROW else "  "
    text = plain(line.text, unicode)
    return textwrap.fill(text, max(width, 20), initial_indent=front, subsequent_indent=indent + "  ", break_on_hyphens=False, drop_whitespace=True) or front


def status(parts: Sequence[str], share: Optional[float], width: int, unicode: bool) -> str:
    """Return the line that moves, in less than `width` columns: what has no room is left out, the task's name is cut."""
    # Three dots or an arrow take more columns than what they stand for.
    place, what, took, run = (plain(part, unicode) for part in parts)
    room = width - 1
    drawn = ""
    if share is not None and width >= NARROW:
        full = round(share * BAR)
        drawn = f"{('━' if unicode else '=') * full}{('─' if unicode else '-') * (BAR - full)} {share:4.0%} "
    for ends in ([took, run], [took], []):
        fixed = cells(drawn) + cells(place) + 1 + sum(2 + cells(end) for end in ends)
        if room - fixed >= min(cells(what), 8):
            break
    what = fit(what, min(cells(what), max(1, room - fixed)))
    text = fit(f"{drawn}{place} {what}{''.join('  ' + end for end in ends)}", room).rstrip()
    return text if unicode else in_columns(text, False)[:room]


class Terminal:
    """Where the lines go. `write(text, tone)` writes a whole line; at a terminal `raw(text)` writes what is to be written over."""

    def __init__(self, write: Callable, raw: Optional[Callable], lock: Any, width: Callable, unicode: bool) -> None:
        self.write, self.raw, self.lock, self.width, self.unicode = write, raw, lock, width, unicode
        self.shown = ""
        self.last = time.time()
        self._stop = threading.Event()

    def lines(self, lines: Sequence[Line]) -> None:
        """Write lines above the one that moves."""
        with self.lock:
            for line in lines:
                self.clear()
                self.last = time.time()
                self.write(written(line, self.last, self.width() if self.raw else None, self.unicode), line.tone)

    def clear(self) -> None:
        """Take the line that moves away, so that something else can be written."""
        with self.lock:
            if self.shown and self.raw:
                self.raw(CLEAR)
                self.shown = ""

    def draw(self, parts: Sequence[str], share: Optional[float]) -> None:
        """Draw the line that moves, where there is a terminal."""
        with self.lock:
            if self.raw:
                text = status(parts, share, self.width(), self.unicode)
                if text != self.shown:
                    self.raw(CLEAR + text)
                    self.shown = text

    def start(self, tick: Callable[[], None], every: float) -> None:
        """Call `tick` again and again until `stop`, in a thread of its own."""

        def run() -> None:
            while not self._stop.wait(every):
                tick()

        threading.Thread(target=run, name="kubeproof-progress", daemon=True).start()

    def stop(self) -> None:
        """Write nothing more by itself."""
        self._stop.set()
        self.clear()


def columns(descriptor: int) -> int:
    """Return how wide the terminal is now; 80 where it does not say."""
    try:
        return os.get_terminal_size(descriptor).columns or 80
    except OSError:
        return 80
