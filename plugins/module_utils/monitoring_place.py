# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a monitoring in their directory. A list of what was written is kept beside, so that what is not made any more goes, and nothing else does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Dict, List

from .files import DataFileError, make_directory, read_json, write_json, write_text

INDEX = ".kubeproof.json"


def written(directory: str) -> List[str]:
    """Return what an earlier call wrote below a directory."""
    index = os.path.join(directory, INDEX)
    if not os.path.exists(index):
        return []
    names = read_json(index)
    if not isinstance(names, list) or any(not isinstance(name, str) or os.path.isabs(name) or ".." in name.split("/") for name in names):
        raise DataFileError(f"{index} is not a list of files that was written here: remove it, and what is not needed beside it.")
    return names


def place(directory: str, files: Mapping, dry: bool) -> Dict[str, List[str]]:
    """Write files that differ, remove those that are not made any more; return {changed, removed}."""
    before = written(directory)
    # A run that is killed in between still knows all that may be there.
    changed = [name for name, text in files.items() if _text(os.path.join(directory, name)) != text]
    removed = [name for name in before if name not in files and os.path.exists(os.path.join(directory, name))]
    if not dry and (changed or removed or sorted(before) != sorted(files)):
        make_directory(directory)
        write_json(os.path.join(directory, INDEX), sorted({*before, *files}))
        for name in changed:
            make_directory(os.path.dirname(os.path.join(directory, name)))
            write_text(os.path.join(directory, name), files[name])
        _remove(directory, removed)
        write_json(os.path.join(directory, INDEX), sorted(files))
    return {"changed": changed, "removed": removed}


def clear(directory: str, dry: bool) -> Dict[str, List[str]]:
    """Remove what was written, and the directories that are empty then; return {removed, left}."""
    before = [name for name in written(directory) if os.path.exists(os.path.join(directory, name))]
    if dry:
        return {"removed": before, "left": []}
    _remove(directory, before)
    left = [name for name in before if os.path.exists(os.path.join(directory, name))]
    index = os.path.join(directory, INDEX)
    if not left and os.path.exists(index):
        os.unlink(index)
        _prune(directory)
    return {"removed": before, "left": left}


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except (OSError, UnicodeDecodeError):
        return ""


def _remove(directory: str, names: List[str]) -> None:
    try:
        for name in names:
            os.unlink(os.path.join(directory, name))
    except OSError as error:
        raise DataFileError(f"{os.path.join(directory, name)} cannot be removed: {error.strerror}.") from error
    for folder in {os.path.dirname(name) for name in names} - {""}:
        _prune(os.path.join(directory, folder))


def _prune(folder: str) -> None:
    if os.path.isdir(folder) and not os.listdir(folder):
        os.rmdir(folder)
