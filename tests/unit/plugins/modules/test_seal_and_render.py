# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import json
import pathlib

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils import fingerprint, report_seal
from ansible_collections.kubeproof.certify.plugins.modules import render, seal
from ansible_collections.kubeproof.certify.tests.unit.plugins import report_fake as fake

TEMPLATES = str(pathlib.Path(__file__).parents[4] / "roles/report/templates")


@pytest.fixture(name="call")
def fixture_call(capsys):
    """Return a function that runs one of the modules and returns its answer."""

    def call(module, **arguments):
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        return json.loads(capsys.readouterr().out)

    return call


@pytest.fixture(name="run")
def fixture_run(tmp_path):
    """Return the directory of a run that is not sealed."""
    latency = {"count": 1650, "p50": 0.0035, "p90": 0.005, "p99": 0.0098, "max": 0.023}
    every = {"worker1 -> worker2 (nodes)": {"tcp": {"rate": 5e9}, "rtt": {"count": 9000, "p50": 1e-5, "p99": 8e-5}}}
    files = {
        "certificate.json": fake.certificate(sealed=False),
        "run.json": {"id": "x"},
        "facts/etcd/cluster/etcd.json": {"write": {"latency": latency}, "few": {**latency, "count": 3}, "window": {**latency, "p99": [0.1, 0.2]}},
        "facts/network/cluster/prod.json": {"every": every, "nodes": every},
        "findings/etcd.json": [],
        "raw/etcd/etcd1/write.json": {"rc": 0},
    }
    for name, document in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document), encoding="utf-8")
    (tmp_path / "certificate.md").write_text("rendered")
    return tmp_path


def read(run):
    return json.loads((run / "certificate.json").read_text(encoding="utf-8"))


def test_seal(call, run):
    before = read(run)
    answer = call(seal, directory=str(run), valid_days=30)
    certificate = read(run)
    assert answer["changed"] and answer["digest"] == certificate["digest"] == report_seal.digest(certificate) and answer["files"] == 5
    assert {key: certificate[key] for key in before} == before
    assert certificate["valid_until"] == "2026-12-21T05:00:00Z"
    assert certificate["voided_by"] == {"uid": fake.UID, "kubernetes": "v1.36.3", "nodes": 5, "hosts": 2}
    assert sorted(certificate["hashes"]) == ["facts/etcd/cluster/etcd.json", "facts/network/cluster/prod.json", "findings/etcd.json",
                                             "raw/etcd/etcd1/write.json", "run.json"]  # fmt: skip
    assert certificate["hashes"]["run.json"] == hashlib.sha256((run / "run.json").read_bytes()).hexdigest()
    shown = {(plot["kind"], plot["layer"]): plot["rows"] for plot in certificate["plots"]}
    assert [row["name"] for row in shown[("percentiles", "etcd")]] == ["write"]
    assert shown[("pairs", "network")] and len(shown[("percentiles", "network")]) == 1


@pytest.mark.parametrize(
    ("values", "facts", "etcd"),
    [
        ({"nodes": 5}, {}, None),
        ({"nodes": 5, "etcd pods": "etcd:3.6.8-0 (3)"}, {}, "3.6.8"),
        # Members that were asked know better than the names of their images.
        ({"nodes": 5, "etcd pods": "etcd:3.6.8-0 (2)"}, {"etcd1": "3.6.9", "etcd2": "3.6.10"}, "3.6.10, 3.6.9"),
    ],
)
def test_the_version_of_etcd_is_that_of_its_members(call, run, values, facts, etcd):
    (run / "run.json").write_text(json.dumps({"fingerprint": fingerprint.fingerprint(values)}), encoding="utf-8")
    for host, version in facts.items():
        (run / "facts" / "etcd" / f"{host}.json").write_text(json.dumps({"version": version}), encoding="utf-8")
    call(seal, directory=str(run))
    assert read(run)["voided_by"].get("etcd") == etcd


def test_the_configuration_has_a_fingerprint(call, run):
    def fingerprint(**more):
        own = {"id": "tuning_kubelet_swap", "value": 1, "where": "/etc/x", "write": "a: 1", "entry": "worker1"}
        certificate = fake.certificate({"tuning": [fake.finding("tuning", **{**own, **more})]}, sealed=False)
        (run / "certificate.json").write_text(json.dumps(certificate), encoding="utf-8")
        call(seal, directory=str(run))
        return read(run)["voided_by"].get("configuration")

    first = fingerprint()
    assert len(first) == 64 and fingerprint(reason="x") == first
    assert first not in (fingerprint(value=2), fingerprint(entry="worker2"))
    # What is measured, such as free memory, is no setting.
    assert fingerprint(write=None) is None


def test_to_seal_again_changes_nothing(call, run):
    call(seal, directory=str(run), valid_days=30)
    first = (run / "certificate.json").read_bytes()
    call(seal, directory=str(run), valid_days=30)
    assert (run / "certificate.json").read_bytes() == first


def test_an_interrupted_run_is_never_valid(call, run):
    (run / "certificate.json").write_text(json.dumps(fake.load("interrupted")), encoding="utf-8")
    assert call(seal, directory=str(run))["changed"]
    assert "valid_until" not in read(run)


def test_a_link_in_a_run_is_refused(call, run):
    for place in ("raw/link", "facts/etcd/link.json"):
        (run / place).symlink_to("/etc")
        answer = call(seal, directory=str(run))
        assert answer["failed"] and "is no plain file" in answer["msg"]
        (run / place).unlink()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"run": []}', '{"run": {"finished": "yesterday"}}', '{"run": {}, "cluster": 1}', '{"run": {}, "hosts": {"a": 1}}']
)
def test_what_is_no_certificate_cannot_be_sealed(call, run, text):
    (run / "certificate.json").write_text(text, encoding="utf-8")
    assert call(seal, directory=str(run))["failed"]
    assert (run / "certificate.json").read_text(encoding="utf-8") == text


def test_days_above_zero(call, run):
    for days in (0, 36501, 10000000):
        assert "from 1 to 36500" in call(seal, directory=str(run), valid_days=days)["msg"]


def test_render(call, run):
    call(seal, directory=str(run))
    answer = call(render, directory=str(run), templates=TEMPLATES)
    written = ["certificate.html", "certificate.xml", "certificate.prom", "summary.md", "certificate.md", "certificate.txt"]
    assert [path.rpartition("/")[2] for path in answer["paths"]] == written
    first = {path: open(path, "rb").read() for path in answer["paths"]}
    assert call(render, directory=str(run), templates=TEMPLATES)["paths"] == list(first) and {path: open(path, "rb").read() for path in first} == first
    # What is rendered is no part of the seal.
    assert report_seal.hashes(str(run)) == read(run)["hashes"]


def test_render_names_what_is_wrong(call, run):
    (run / "certificate.json").write_text("{}", encoding="utf-8")
    assert "is no certificate" in call(render, directory=str(run), templates=TEMPLATES)["msg"]
    (run / "certificate.json").unlink()
    assert "Cannot read" in call(render, directory=str(run), templates=TEMPLATES)["msg"]


def test_check_mode_writes_nothing(call, run):
    names = sorted(path.name for path in run.iterdir())
    before = read(run)
    call(seal, directory=str(run), _ansible_check_mode=True)
    call(render, directory=str(run), templates=TEMPLATES, _ansible_check_mode=True)
    assert read(run) == before and sorted(path.name for path in run.iterdir()) == names
