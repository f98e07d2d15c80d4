# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python programs in one file that `python3 <file>` runs, made of this collection's own module_utils; standard library alone."""

from __future__ import annotations

import ast
import importlib
import io
import posixpath
import zipfile

PACKAGE = "ansible_collections.kubeproof.certify.plugins.module_utils"
ENTRY = "__main__.py"
INITIAL = "__init__.py"
# The earliest date that an archive can hold: the bytes depend on the sources alone.
DATE = (1980, 1, 1, 0, 0, 0)
UNIX = 3
MODE = 0o100644


def build(files, main):
    """Return the bytes of an archive that Python runs: `files` {archive name: source text} and `main`, the source of its __main__.py.

    Packages are made of the directories in `files`. The same sources are the same bytes on every machine: nothing is compressed, since
    versions of zlib differ.
    """
    content = dict(files)
    content[ENTRY] = main
    for name in files:
        directory = posixpath.dirname(name)
        while directory:
            content.setdefault(posixpath.join(directory, INITIAL), "")
            directory = posixpath.dirname(directory)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(content):
            entry = zipfile.ZipInfo(name, DATE)
            entry.create_system, entry.external_attr = UNIX, MODE << 16
            archive.writestr(entry, content[name].encode())
    return stream.getvalue()


def sources(*names):
    """Return {archive name: source text} of module_utils (`names`, such as "web") and of all of ours that they import.

    A module for managed hosts must import them in the ordinary way too, since Ansible sends only what it sees imported.
    """
    found, rest = {}, [f"{PACKAGE}.{name}" for name in names]
    while rest:
        name = rest.pop()
        place = name.replace(".", "/") + ".py"
        if place not in found:
            found[place] = _source(name)
            rest += _imported(found[place])
    return found


def _source(name):
    """Return the source text of a module that may itself have come in an archive."""
    text = importlib.import_module(name).__spec__.loader.get_source(name)
    return text.decode() if isinstance(text, bytes) else text


def _imported(text):
    """Return the names of our own modules that a source imports, as `from package import module` or `from package.module import name`."""
    ours = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").startswith(PACKAGE)]
    below = [node.module for node in ours if node.module != PACKAGE]
    return below + [f"{PACKAGE}.{name.name}" for node in ours if node.module == PACKAGE for name in node.names]
