# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The TOML of containerd, read on hosts whose Python has no tomllib (before 3.11): tables, strings, numbers, booleans, arrays, inline tables.

What is more (dates, special numbers) is refused, never guessed.
"""

from __future__ import annotations

import json
import re

BARE = re.compile(r"[A-Za-z0-9_-]+")
BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*"')
LITERAL = re.compile(r"'[^'\n]*'")
SPACE = re.compile(r"(?:[ \t]|#[^\n]*|\n)*")
BLANK = re.compile(r"[ \t]*")
NUMBER = re.compile(r"[-+]?(?:0x[0-9A-Fa-f_]+|0o[0-7_]+|0b[01_]+|[0-9][0-9_]*(?:\.[0-9_]+)?(?:[eE][-+]?[0-9_]+)?)(?![\w:.+-])")
DEEPEST = 40


class TomlError(Exception):
    """The text is not TOML that is understood here; the text names the line."""


def load(text):
    """Return the document; TomlError when it cannot be read."""
    return _Reader(text.replace("\r\n", "\n")).document()


class _Reader:
    """Reads one text from its beginning to its end."""

    def __init__(self, text):
        self.text, self.at, self.closed = text, 0, set()

    def refuse(self, why):
        raise TomlError(f"line {self.text.count(chr(10), 0, self.at) + 1}: {why}")

    def take(self, pattern):
        """Return the text that matches here and go behind it, or None."""
        match = pattern.match(self.text, self.at)
        if match is None:
            return None
        self.at = match.end()
        return match.group(0)

    def eat(self, word):
        """Say whether the word stands here, and go behind it if it does."""
        if not self.text.startswith(word, self.at):
            return False
        self.at += len(word)
        return True

    def document(self):
        """Return the whole as a map."""
        found = {}
        table = found
        self.take(SPACE)
        while self.at < len(self.text):
            if self.eat("[["):
                table = self.element(found)
            elif self.eat("["):
                table = self.table(found)
            else:
                self.pair(table)
            self.take(BLANK)
            if self.at < len(self.text) and self.text[self.at] not in "#\n":
                self.refuse("a line goes on where it should end")
            self.take(SPACE)
        return found

    def keys(self):
        """Return the parts of a dotted key."""
        parts = []
        while True:
            self.take(BLANK)
            part = self.take(BARE)
            if part is None:
                part = self.string()
            parts.append(part)
            self.take(BLANK)
            if not self.eat("."):
                return parts

    def table(self, found):
        """Return the table that a header names."""
        parts = self.keys()
        if not self.eat("]"):
            self.refuse("the header of a table does not end")
        table = self.inside(found, parts)
        if tuple(parts) in self.closed:
            self.refuse(f"the table {'.'.join(parts)} is there twice")
        self.closed.add(tuple(parts))
        return table

    def element(self, found):
        """Return a new element of the list of tables that a header names."""
        parts = self.keys()
        if not self.eat("]]"):
            self.refuse("the header of a table does not end")
        parent = self.inside(found, parts[:-1])
        rows = parent.setdefault(parts[-1], [])
        if not isinstance(rows, list) or any(not isinstance(one, dict) for one in rows):
            self.refuse(f"{parts[-1]} is there as another thing")
        rows.append({})
        self.closed = {one for one in self.closed if one[: len(parts)] != tuple(parts)}
        return rows[-1]

    def inside(self, table, parts):
        """Return the table below `table` that the parts of a key lead to; those that are missing are made."""
        for part in parts:
            inner = table.setdefault(part, {})
            table = inner[-1] if isinstance(inner, list) and inner else inner
            if not isinstance(table, dict):
                self.refuse(f"{part} is there as another thing")
        return table

    def pair(self, table):
        """Read `key = value` into a table."""
        parts = self.keys()
        if not self.eat("="):
            self.refuse("= is expected")
        table = self.inside(table, parts[:-1])
        if parts[-1] in table:
            self.refuse(f"{parts[-1]} is there twice")
        table[parts[-1]] = self.value(0)

    def value(self, depth):
        """Return the value that stands here."""
        if depth > DEEPEST:
            self.refuse("it is nested too deeply")
        self.take(BLANK)
        if self.eat("true"):
            return True
        if self.eat("false"):
            return False
        if self.eat("["):
            return self.array(depth)
        if self.eat("{"):
            return self.inline(depth)
        if self.text[self.at : self.at + 1] in ("'", '"'):
            return self.string()
        text = self.take(NUMBER)
        if text is None:
            self.refuse("this value is not understood")
        digits = text.replace("_", "")
        if re.search(r"[0-9](\.|e|E)[-+0-9]", digits) and not digits.lstrip("+-").startswith("0x"):
            return float(digits)
        if re.fullmatch(r"[-+]?0[0-9]+", digits):
            self.refuse("a number begins with 0")
        return int(digits, 0)

    def array(self, depth):
        """Return the array whose bracket was taken."""
        found = []
        while True:
            self.take(SPACE)
            if self.eat("]"):
                return found
            found.append(self.value(depth + 1))
            self.take(SPACE)
            if not self.eat(",") and not self.text.startswith("]", self.at):
                self.refuse("an array does not end")

    def inline(self, depth):
        """Return the inline table whose brace was taken."""
        found = {}
        self.take(BLANK)
        if self.eat("}"):
            return found
        while True:
            parts = self.keys()
            if not self.eat("="):
                self.refuse("= is expected")
            self.inside(found, parts[:-1])[parts[-1]] = self.value(depth + 1)
            self.take(BLANK)
            if self.eat("}"):
                return found
            if not self.eat(","):
                self.refuse("an inline table does not end")

    def string(self):
        """Return the string that stands here, which may be over several lines."""
        for quotes in ('"""', "'''"):
            if self.eat(quotes):
                end = self.text.find(quotes, self.at)
                body = self.text[self.at : end]
                if end < 0 or "\\" in body and quotes == '"""':
                    self.refuse("this text over several lines is not understood")
                self.at = end + 3
                return body[1:] if body.startswith("\n") else body
        text = self.take(LITERAL)
        if text is not None:
            return text[1:-1]
        text = self.take(BASIC)
        if text is None:
            self.refuse("a key or a value is expected")
        try:
            return json.loads(text)
        except ValueError:
            return self.refuse("the escapes of a string are not understood")
