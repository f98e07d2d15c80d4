# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.kubeproof.certify.plugins.plugin_utils.raw import write_raw


def test_writes_bytes_and_text(tmp_path):
    write_raw(str(tmp_path / "a" / "x"), {".txt": "µ", "-1.gz": b"\xff"})
    assert (tmp_path / "a" / "x.txt").read_text(encoding="utf-8") == "µ" and (tmp_path / "a" / "x-1.gz").read_bytes() == b"\xff"
    assert (tmp_path / "a" / "x.txt").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("prefix", ["relative/x", "/tmp/", "/tmp/..", "/tmp/a\0b", ""])
def test_refuses_a_prefix(prefix):
    with pytest.raises(AnsibleActionFail, match="give an absolute path prefix on the controller"):
        write_raw(prefix, {".txt": ""})


@pytest.mark.parametrize("suffix", ["/../x", "\0"])
def test_refuses_a_suffix(tmp_path, suffix):
    with pytest.raises(AnsibleActionFail, match="cannot be a file of raw output"):
        write_raw(str(tmp_path / "x"), {suffix: ""})
