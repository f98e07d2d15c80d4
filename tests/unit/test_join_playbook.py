# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook join, called from the checkout as a user does; and what every role has to know of the names of a resumed run."""

from __future__ import annotations

import pathlib
import shutil

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import signature
from ansible_collections.kubeproof.certify.tests.unit.plugins.module_utils.test_join import BAD, Results
from ansible_collections.kubeproof.certify.tests.unit.plugins.module_utils.test_signature import Keys
from ansible_collections.kubeproof.certify.tests.unit.test_history_playbooks import play

ROOT = pathlib.Path(__file__).parents[2]
# Made-up facts are made of themselves, also where a playbook verifies them in a process of its own.
MADE_UP = """
from ansible.plugins.callback import CallbackBase
from ansible_collections.kubeproof.certify.plugins.module_utils import report_verify_raw

report_verify_raw.FACTS = {name: lambda inputs: inputs for name in report_verify_raw.FACTS}
report_verify_raw.PARTS = {}


class CallbackModule(CallbackBase):
    CALLBACK_VERSION, CALLBACK_TYPE, CALLBACK_NAME = 2.0, "aggregate", "made_up"
"""


@pytest.fixture(autouse=True)
def fixture_made_up(tmp_path, monkeypatch):
    (tmp_path / "callbacks").mkdir()
    (tmp_path / "callbacks" / "made_up.py").write_text(MADE_UP, encoding="utf-8")
    monkeypatch.setenv("ANSIBLE_CALLBACK_PLUGINS", str(tmp_path / "callbacks"))
    monkeypatch.setenv("ANSIBLE_CALLBACKS_ENABLED", "made_up")


def test_runs_are_joined_shown_and_decide(tmp_path):
    (tmp_path / "prod").mkdir()
    results = Results(tmp_path / "prod")
    load, soak = results.run(20), results.run(22, "soak", ["etcd"])
    status, said = play("join", tmp_path)
    assert status == 0 and f"Joined: {load}, {soak}: PASS" in said and "KUBEPROOF CERTIFICATE: LOAD, JOINED" in said, said
    [directory] = (tmp_path / "prod").glob("*-join")
    assert {"certificate.html", "certificate.md", "certificate.xml", "certificate.prom", "summary.md"} <= {path.name for path in directory.iterdir()}
    results.run(23, facts={"dns": BAD})
    status, said = play("join", tmp_path, "-e", f"certify_runs={load},{soak}", "--check")
    assert status != 0 and "Left out, so that it decides as a whole: 20261123t020000z-load" in said and "Verdict FAIL." in said, said
    assert len(list((tmp_path / "prod").glob("*-join"))) == 1


@pytest.mark.skipif(not shutil.which("minisign"), reason="minisign is not installed")
def test_it_is_signed_as_a_run_is(tmp_path):
    (tmp_path / "prod").mkdir()
    results, keys = Results(tmp_path / "prod"), Keys("minisign", tmp_path)
    results.run(20)
    results.run(22, "soak", ["etcd"])
    # A key that cannot sign leaves nothing behind.
    status, said = play("join", tmp_path, "-e", f"certify_sign=minisign certify_sign_key={tmp_path}/none")
    assert status != 0 and f"certify_sign_key: there is no file {tmp_path}/none" in said, said
    assert not list((tmp_path / "prod").glob("*-join"))
    secret, public = keys.open
    status, said = play("join", tmp_path, "-e", f"certify_sign=minisign certify_sign_key={secret}")
    [path] = (tmp_path / "prod").glob("*-join/certificate.json")
    assert status == 0 and signature.signed(path.read_bytes(), str(path), public) == f"{path}.minisig", said
