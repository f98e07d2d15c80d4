# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The YAML that Kubernetes components are configured with, read on hosts, which have no YAML library.

Block maps and lists, quoted and plain scalars, flow maps and lists on one line, literal and folded text. What is more (anchors, tags, scalars
over several lines, keys that are no plain words) is refused, never guessed.
"""

from __future__ import annotations

import json
import re

KEY = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s#"'{}\[\],&*!|>%@`?:-][^#{}\[\]]*?|-?[^\s#"'{}\[\],&*!|>%@`?:-][^#{}\[\]]*?)[ \t]*:(?=[ \t]|$)""")
INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
NUMBER = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?")
WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
WORDS.update({word: True for word in ("true", "True", "TRUE")})
WORDS.update({word: False for word in ("false", "False", "FALSE")})
BLOCK = re.compile(r"[|>]([-+]?)$")
REFUSED = tuple("&*!%@`?")
DEEPEST = 40
BLANKS = " \t"


class YamlError(Exception):
    """The text is not YAML that is understood here; the text names the line."""


def load_all(text):
    """Return the documents of a text; YamlError when it cannot be read."""
    documents, lines = [], []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if line.rstrip(BLANKS) in ("---", "..."):
            documents.append(lines)
            lines = []
        else:
            lines.append((number, line.rstrip(BLANKS)))
    return [_Reader(one).document() for one in documents + [lines] if any(_is_content(line) for dummy, line in one)]


def load(text):
    """Return the only document of a text, or None when it is empty."""
    found = load_all(text)
    if len(found) > 1:
        raise YamlError("there are several documents")
    return found[0] if found else None


def _is_content(line):
    return bool(line.strip(BLANKS)) and not line.lstrip(BLANKS).startswith("#")


class _Reader:
    """Reads one document from its numbered lines."""

    def __init__(self, lines):
        self.lines, self.at = lines, 0

    def document(self):
        """Return the value of the document."""
        if self.lines and self.lines[0][1].startswith("%"):
            self.refuse("a directive is not understood")
        value = self.block(0, 0)
        if self.peek() is not None:
            self.refuse("the indentation does not fit")
        return value

    def refuse(self, why):
        raise YamlError(f"line {self.lines[min(self.at, len(self.lines) - 1)][0]}: {why}")

    def peek(self):
        """Return (indentation, text) of the next line with content, or None."""
        while self.at < len(self.lines) and not _is_content(self.lines[self.at][1]):
            self.at += 1
        if self.at == len(self.lines):
            return None
        line = self.lines[self.at][1]
        body = line.lstrip(" ")
        if body.startswith("\t"):
            self.refuse("a tab stands where spaces belong")
        return len(line) - len(body), body

    def block(self, least, depth):
        """Return the map, list or scalar that begins at the next line, which is indented by `least` or more; None when there is none."""
        found = self.peek()
        if found is None or found[0] < least:
            return None
        if depth > DEEPEST:
            self.refuse("it is nested too deeply")
        indent, body = found
        if body == "-" or body.startswith("- "):
            return self.sequence(indent, depth)
        if KEY.match(body):
            return self.mapping(indent, depth)
        self.at += 1
        return self.scalar(body, indent, depth)

    def sequence(self, indent, depth):
        """Return the list whose dashes stand at `indent`."""
        found = []
        while True:
            line = self.peek()
            if line is None or line[0] < indent or not (line[1] == "-" or line[1].startswith("- ")):
                return found
            if line[0] > indent:
                self.refuse("the indentation does not fit")
            rest = line[1][1:]
            inner = indent + 1 + len(rest) - len(rest.lstrip(" "))
            if not _is_content(rest):
                self.at += 1
                found.append(self.block(indent + 1, depth + 1))
                continue
            # What follows the dash is a block of its own, as if it stood alone in the line.
            self.lines[self.at] = (self.lines[self.at][0], " " * inner + rest.lstrip(" "))
            found.append(self.block(inner, depth + 1))

    def mapping(self, indent, depth):
        """Return the map whose keys stand at `indent`."""
        found = {}
        while True:
            line = self.peek()
            if line is None or line[0] < indent:
                return found
            match = KEY.match(line[1])
            if line[0] > indent or not match:
                self.refuse("the indentation does not fit" if line[0] > indent else "a key is expected")
            key = _quoted(match.group(1)) if match.group(1)[0] in "\"'" else match.group(1)
            if key in found:
                self.refuse(f"the key {key} is there twice")
            rest = line[1][match.end() :].strip(BLANKS)
            self.at += 1
            if _is_content(rest):
                found[key] = self.scalar(rest, indent, depth)
            else:
                after = self.peek()
                # A list may stand at the indentation of its key.
                is_list = after is not None and after[0] == indent and (after[1] == "-" or after[1].startswith("- "))
                found[key] = self.block(indent if is_list else indent + 1, depth + 1)

    def scalar(self, text, indent, depth):
        """Return the value of a text in a line that was taken."""
        self.at -= 1
        try:
            value = self.text_block(text, indent) if text[0] in "|>" else self.inline(text, depth)
        finally:
            self.at += 1
        return value

    def inline(self, text, depth):
        """Return the value of a scalar or a flow collection in one line."""
        value, rest = _flow(text, 0) if text[0] in "{[" else _word(text, self.refuse)
        if rest.strip(BLANKS) and not re.match(r"[ \t]+#", rest):
            self.refuse("a value goes on where it should end")
        following = self.at + 1
        if following < len(self.lines) and _is_content(self.lines[following][1]):
            line = self.lines[following][1]
            mine = self.lines[self.at][1]
            if len(line) - len(line.lstrip(" ")) > len(mine) - len(mine.lstrip(" ")):
                self.refuse("a value over several lines is not understood")
        return value

    def text_block(self, text, indent):
        """Return the text of a literal (|) or folded (>) block whose key or dash stands at `indent`."""
        match = BLOCK.match(text.split(" #")[0].rstrip(BLANKS))
        if not match:
            self.refuse("this form of text is not understood")
        taken, inner = [], None
        for dummy, line in self.lines[self.at + 1 :]:
            own = len(line) - len(line.lstrip(" "))
            if line.strip(BLANKS) and inner is None:
                inner = own
            if line.strip(BLANKS) and (own <= indent or own < inner):
                break
            taken.append(line)
        self.at += len(taken)
        body = [line[inner:] if inner else "" for line in taken]
        while body and not body[-1]:
            body.pop()
        if text[0] == ">" and any(not line or line[0] == " " for line in body):
            self.refuse("folded text with empty or indented lines is not understood")
        joined = (" " if text[0] == ">" else "\n").join(body)
        return joined + ("" if match.group(1) == "-" or not body else "\n")


def _word(text, refuse):
    """Return (value, rest of the text) of a quoted or plain scalar."""
    if text[0] in "\"'":
        match = re.match(r'"(?:[^"\\]|\\.)*"' if text[0] == '"' else r"'(?:[^']|'')*'", text)
        if not match:
            refuse("a value over several lines is not understood")
        return _quoted(match.group(0)), text[match.end() :]
    if text.startswith(REFUSED) or re.match(r"[-?:]([ \t]|$)", text):
        refuse("anchors, aliases and tags are not understood")
    plain = re.split(r"[ \t]#", text, maxsplit=1)[0].rstrip(BLANKS)
    if re.search(r":([ \t]|$)", plain):
        refuse("a second key in a line is not understood")
    return typed(plain), ""


def _quoted(text):
    """Return what a quoted scalar holds; YamlError for an escape that JSON lacks."""
    if text[0] == "'":
        return text[1:-1].replace("''", "'")
    try:
        return json.loads(text, strict=False)
    except ValueError:
        raise YamlError(f"the escapes of {text[:40]} are not understood") from None


def typed(text):
    """Return a plain scalar as null, boolean, number or text."""
    if text in WORDS:
        return WORDS[text]
    if INTEGER.fullmatch(text):
        return int(text)
    return float(text) if NUMBER.fullmatch(text) else text


def _flow(text, depth):
    """Return (value, rest) of a flow collection, which stands in one line."""
    if depth > DEEPEST:
        raise YamlError("it is nested too deeply")
    is_map, found, rest = text[0] == "{", [], text[1:].lstrip(BLANKS)
    closing = "}" if is_map else "]"
    while not rest.startswith(closing):
        key = None
        if is_map:
            match = re.match(r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s,{}\[\]:"'&*!#]+)[ \t]*:(?:[ \t]+|(?=["'{\[]))""", rest)
            if not match:
                raise YamlError(f"{text[:40]} is not understood")
            key, rest = _quoted(match.group(1)) if match.group(1)[0] in "\"'" else match.group(1), rest[match.end() :]
        value, rest = _flow_value(rest, depth)
        found.append((key, value))
        rest = rest.lstrip(BLANKS)
        if rest.startswith(","):
            rest = rest[1:].lstrip(BLANKS)
        elif not rest.startswith(closing):
            raise YamlError(f"{text[:40]} does not end in its line")
    return (dict(found) if is_map else [value for dummy, value in found]), rest[1:]


def _flow_value(text, depth):
    if text[:1] in ("{", "["):
        return _flow(text, depth + 1)
    match = re.match(r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')|([^,{}\[\]#"'&*!]*)""", text)
    if match.group(1):
        return _quoted(match.group(1)), text[match.end() :]
    plain = match.group(2).strip(BLANKS)
    if not plain or re.search(r":([ \t]|$)", plain):
        raise YamlError(f"{text[:40]} is not understood")
    return typed(plain), text[match.end() :]
