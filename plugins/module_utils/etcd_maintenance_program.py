# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command of etcd's maintenance as one file that Python runs, made of the sources that run here; the same sources make the same bytes."""

from __future__ import annotations

import ast
import importlib.util
import io
import zipfile

# Imported so that Ansible takes it to the host, where the sources are read again.
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_maintenance_command

PACKAGE = etcd_maintenance_command.__name__.rpartition(".")[0]
MAIN = """import sys

from {package} import {command}

sys.exit({command}.main(sys.argv[1:]))
"""
# The oldest time that a zip file can hold.
EPOCH = (1980, 1, 1, 0, 0, 0)
UNIX = 3
MODE = 0o644


def build():
    """Return the program (bytes)."""
    sources = collect(etcd_maintenance_command.__name__)
    contents = {"__main__.py": MAIN.format(package=PACKAGE, command=etcd_maintenance_command.__name__.rpartition(".")[2])}
    folder = ""
    for part in PACKAGE.split("."):
        folder += part + "/"
        contents[folder + "__init__.py"] = ""
    contents.update((name.replace(".", "/") + ".py", source) for name, source in sources.items())
    stream = io.BytesIO()
    # Stored, since what compression makes depends on the library's version.
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system, entry.external_attr = UNIX, MODE << 16
            archive.writestr(entry, contents[name].encode())
    return stream.getvalue()


def collect(first):
    """Return {name: source} of a module of this package and of all those of it that it needs."""
    found, rest = {}, [first]
    while rest:
        name = rest.pop()
        if name not in found:
            found[name] = importlib.util.find_spec(name).loader.get_source(name)
            rest += needed(found[name])
    return found


def needed(source):
    """Return the names of the modules of this package that a source imports."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module == PACKAGE:
            names += [f"{PACKAGE}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").startswith(PACKAGE + "."):
            names.append(node.module)
    return names
