# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a monitoring: written once, removed alone, and never anything else."""

from __future__ import annotations

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import monitoring_place
from ansible_collections.kubeproof.certify.plugins.module_utils.files import DataFileError


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_files_come_change_and_go(tmp_path):
    folder = tmp_path / "made"
    first = monitoring_place.place(str(folder), {"rules/a.yml": "1", "b.yml": "2"}, False)
    assert first == {"changed": ["rules/a.yml", "b.yml"], "removed": []}
    assert monitoring_place.place(str(folder), {"rules/a.yml": "1", "b.yml": "2"}, False) == {"changed": [], "removed": []}
    assert monitoring_place.place(str(folder), {"b.yml": "3"}, False) == {"changed": ["b.yml"], "removed": ["rules/a.yml"]}
    assert names(folder) == [".kubeproof.json", "b.yml"] and not (folder / "rules").exists()
    assert monitoring_place.clear(str(folder), False) == {"removed": ["b.yml"], "left": []}
    assert not folder.exists()
    assert monitoring_place.clear(str(folder), False) == {"removed": [], "left": []}


def test_what_is_not_ours_stays(tmp_path):
    monitoring_place.place(str(tmp_path), {"rules/a.yml": "1"}, False)
    (tmp_path / "rules" / "own.yml").write_text("x")
    monitoring_place.clear(str(tmp_path), False)
    assert names(tmp_path) == ["rules/own.yml"]


def test_looking_changes_nothing(tmp_path):
    folder = tmp_path / "made"
    assert monitoring_place.place(str(folder), {"a": "1"}, True)["changed"] == ["a"]
    assert not folder.exists()
    monitoring_place.place(str(folder), {"a": "1"}, False)
    assert monitoring_place.clear(str(folder), True)["removed"] == ["a"] and (folder / "a").is_file()


@pytest.mark.parametrize("text", ['["../../etc/passwd"]', '["/etc/passwd"]', "{}", "[1]"])
def test_a_list_that_was_changed_deletes_nothing(tmp_path, text):
    (tmp_path / monitoring_place.INDEX).write_text(text)
    with pytest.raises(DataFileError, match="is not a list of files"):
        monitoring_place.clear(str(tmp_path), False)
