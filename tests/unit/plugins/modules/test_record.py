# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils.files import read_json, write_json
from ansible_collections.kubeproof.certify.plugins.modules import record


@pytest.fixture(name="call")
def fixture_call(capsys):
    """Return a function that runs the module and returns its answer."""

    def call(directory, documents, **more):
        with patch_module_args({"directory": str(directory), "documents": documents, **more}), pytest.raises(SystemExit):
            record.main()
        return json.loads(capsys.readouterr().out)

    return call


def test_writes_each_document(call, tmp_path):
    documents = {"facts/etcd/etcd1.json": {"free": 0, "\u00e9": None}, "run.json": {"a": [1, 2.5, "x", True]}}
    answer = call(tmp_path / "run", documents)
    assert answer["changed"] is True
    assert sorted(answer["paths"]) == [str(tmp_path / "run" / name) for name in sorted(documents)]
    for name, document in documents.items():
        assert json.loads((tmp_path / "run" / name).read_text(encoding="utf-8")) == document
        assert (tmp_path / "run" / name).stat().st_mode & 0o777 == 0o600
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "run", tmp_path / "run" / "facts", tmp_path / "run" / "facts" / "etcd")} == {0o700}


def test_what_facts_are_made_of_is_compressed_and_there_before_they_are(call, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(record, "write_json", lambda path, document: written.append(os.path.relpath(path, tmp_path)) or write_json(path, document))
    documents = {"facts/dns/a.json": {"x": 1}, "findings/dns.json": [], "inputs/dns/a.json.gz": {"plan": [1, None]}}
    call(tmp_path, documents)
    assert written == ["inputs/dns/a.json.gz", "facts/dns/a.json", "findings/dns.json"]
    path = tmp_path / written[0]
    assert path.read_bytes()[:2] == b"\x1f\x8b" and read_json(str(path)) == documents[written[0]]


def test_replaces_a_document_and_leaves_no_other_file(call, tmp_path):
    for state in ("interrupted", "finished"):
        assert call(tmp_path, {"certificate.json": {"state": state}})["changed"] is True
    assert json.loads((tmp_path / "certificate.json").read_text()) == {"state": "finished"}
    assert os.listdir(tmp_path) == ["certificate.json"]


def test_check_mode_writes_nothing(call, tmp_path):
    answer = call(tmp_path / "run", {"a.json": {}}, _ansible_check_mode=True)
    assert answer["paths"] == [str(tmp_path / "run" / "a.json")] and not (tmp_path / "run").exists()


def test_a_layer_that_ended_leaves_its_documents_and_by_what_a_run_goes_on(call, tmp_path):
    ended = {
        "layer": "dns",
        "documents": {"facts/dns/cluster/prod.json": {"x": 0}},
        "findings": [{"id": "dns_qps"}],
        "record": {"clusters": ["prod"], "seconds": 2.5, "verdict": {"verdict": "PASS"}},
    }
    answer = call(tmp_path, {}, ended=ended)
    paths = ["facts/dns/cluster/prod.json", "findings/dns.json"]
    assert [os.path.relpath(path, tmp_path) for path in answer["paths"]] == paths
    assert answer["record"] == ended["record"] and answer["findings"] == ended["findings"] == read_json(str(tmp_path / paths[1]))
    done = read_json(str(tmp_path / "done/dns.json"))
    assert done["record"] == ended["record"] and sorted(done["hashes"]) == paths


def test_what_was_judged_comes_back_also_when_it_cannot_be_written(call, tmp_path):
    documents = {"facts/dns/cluster/prod.json": {"x": float("nan")}}
    ended = {"layer": "dns", "documents": documents, "findings": [{"id": "dns_qps"}], "record": {"clusters": ["prod"]}}
    answer = call(tmp_path, {}, ended=ended)
    assert answer["failed"] and answer["record"] == ended["record"] and answer["findings"] == ended["findings"]
    assert not (tmp_path / "done").exists()


def test_no_documents(call, tmp_path):
    assert call(tmp_path / "run", {})["changed"] is False and not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["../a.json", "/etc/a.json", "facts/../../a.json", "out/a.json", "", ".", "facts/.."])
def test_a_path_that_leads_out_is_refused_before_anything_is_written(call, tmp_path, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "run" / "out").symlink_to(tmp_path / "outside")
    # The module goes through the names in order: this one comes first.
    answer = call(tmp_path / "run", {"!first.json": {}, name: {"a": 1}})
    assert answer["failed"] is True and f"documents: {name} leads out of {tmp_path / 'run'}" in answer["msg"]
    assert os.listdir(tmp_path / "run") == ["out"] and os.listdir(tmp_path / "outside") == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_json_does_not_have(call, tmp_path, value):
    answer = call(tmp_path, {"a.json": {"deep": [value]}})
    assert answer["failed"] is True and f"Cannot write {tmp_path / 'a.json'}: the data is not plain JSON" in answer["msg"]
    assert "exception" not in answer and os.listdir(tmp_path) == []


def test_a_directory_that_cannot_be_made(call, tmp_path):
    (tmp_path / "file").write_text("")
    answer = call(tmp_path / "file" / "run", {"a.json": {}})
    assert answer["failed"] is True and "Not a directory" in answer["msg"]
