# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changed since a cluster was certified; and the module that says so."""

from __future__ import annotations

import datetime
import json

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils import fingerprint, report_live, report_seal
from ansible_collections.kubeproof.certify.plugins.modules import verify as module
from ansible_collections.kubeproof.certify.tests.unit.plugins import report_fake as fake

CLUSTER = {"uid": fake.UID, "kubernetes": "v1.36.3", "nodes": 5}
TOLD = {**CLUSTER, "hosts": 2, "etcd": "3.6.8", "configuration": "ab" * 32}
PRINT = fingerprint.fingerprint({fingerprint.ETCD: "3.6.8 (3)"})
SETTING = {"id": "tuning_etcd_quota", "layer": "tuning", "host": "prod", "entry": "etcd1", "value": 2147483648, "where": "/etc/etcd.env", "write": "x"}


def test_nothing_changed():
    problems, notes = report_live.compare({**TOLD, "configuration": report_seal.configuration([SETTING])}, report_live.seen(CLUSTER, 2, [SETTING]))
    assert not problems
    (note,) = notes
    assert note.startswith("Not compared with the cluster: the version of etcd. The cluster does not tell: ") and "verify_audit" in note


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"uid": "another"}, "the UID of kube-system changed from"),
        ({"kubernetes": "v1.37.0"}, "Void: the version of Kubernetes changed from v1.36.3 to v1.37.0. Certify again."),
        ({"nodes": 6}, "Void: the number of nodes changed from 5 to 6."),
        ({"hosts": 3}, "Void: the number of hosts in the inventory changed from 2 to 3."),
        ({"etcd": "3.6.8, 3.7.0"}, "Void: the version of etcd changed from 3.6.8 to 3.6.8, 3.7.0."),
        ({"configuration": "cd" * 32}, "Void: the configuration changed. Certify again."),
    ],
)
def test_each_change_voids_it(change, text):
    problems, dummy = report_live.compare(TOLD, {**TOLD, **change})
    assert len(problems) == 1 and text in problems[0]


@pytest.mark.parametrize("told", [None, [], "x", {}, {"hosts": 2}])
def test_what_does_not_say_what_it_stands_on_is_no_good(told):
    assert len(report_live.compare(told, TOLD)[0]) == 3


def test_an_audit_that_read_nothing_is_another_configuration():
    assert "configuration changed" in str(report_live.compare(TOLD, report_live.seen(CLUSTER, 2, []))[0])
    assert "configuration" not in report_live.seen(CLUSTER, 2)


PODS = {"etcd pods": "etcd:3.6.8-0 (3)"}


@pytest.mark.parametrize(
    ("pods", "members", "etcd"),
    [
        ({}, None, None),
        (PODS, None, "3.6.8"),
        ({"etcd pods": "etcd:v3.6.8 (1), etcd:3.6.9-0 (2)"}, None, "3.6.8, 3.6.9"),
        # An image that says no version, or is named by a digest, tells nothing.
        ({"etcd pods": "etcd:latest (3)"}, None, None),
        ({"etcd pods": "etcd@sha256:3.6.8 (3)"}, None, None),
        ({"etcd pods": "etcd:3.6.8-0 (2), other:1 (1)"}, None, None),
        # What members say themselves is better, when each of them does.
        (PODS, {"etcd1": {"version": "3.6.9"}, "etcd2": {"version": "3.6.9"}}, "3.6.9"),
        ({}, {"etcd1": {"version": "3.6.9"}, "etcd2": {}}, None),
        ({}, {}, None),
    ],
)
def test_where_the_version_of_etcd_is_known_from(pods, members, etcd):
    facts = None if members is None else {"etcd": members}
    assert report_live.seen({**CLUSTER, "configuration": pods}, 2, None, facts).get("etcd") == etcd


def test_what_is_not_asked_for_is_said():
    problems, notes = report_live.compare(TOLD, report_live.seen(CLUSTER, 2))
    assert not problems and any("verify_audit" in note for note in notes)


WAIVED = {"id": "etcd_p99", "judged": True, "waiver": {"reason": "ordered", "owner": "ops", "expires": "2026-12-01"}}


@pytest.mark.parametrize(
    ("certificate", "now", "said"),
    [
        ({"valid_until": "2027-02-19T05:00:00Z"}, "2027-02-19T05:00:00", []),
        ({"valid_until": "2027-02-19T05:00:00Z"}, "2027-02-19T05:00:01", ["it expired at 2027-02-19T05:00:00Z. Certify again."]),
        ({"valid_until": "2027-02-19"}, "2026-12-01", ["it does not say until when it is valid."]),
        ({}, "2026-12-01", ["it does not say until when it is valid."]),
        ({"state": "interrupted"}, "2026-12-01", []),
        ({"state": "interrupted", "findings": [WAIVED, WAIVED]}, "2026-12-01T23:59:59", []),
        ({"state": "interrupted", "findings": [WAIVED, WAIVED]}, "2026-12-02", ["the waiver for etcd_p99 by ops expired on 2026-12-01"]),
        ({"state": "interrupted", "findings": [{**WAIVED, "judged": False}]}, "2026-12-02", []),
        ({"state": "interrupted", "findings": [{**WAIVED, "waiver": {"expires": 5}}]}, "2026-01-01", ["the waiver for etcd_p99 by None expired on 5"]),
        ({"state": "interrupted", "findings": [{**WAIVED, "waiver": ["2027-01-01"]}]}, "2026-01-01", ["the waiver for etcd_p99 by None"]),
    ],
)
def test_what_has_come_to_its_end(certificate, now, said):
    found = report_live.expired({"state": "finished", **certificate}, datetime.datetime.fromisoformat(now))
    assert len(found) == len(said) and all(one.startswith(text) for one, text in zip(found, said))


def test_the_module(tmp_path, capsys):
    certificate = fake.certificate(sealed=False)
    certificate["findings"].append({**SETTING, "result": "PASS", "judged": False})
    for name, document in (("certificate", certificate), ("run", {"id": "x", "fingerprint": PRINT}), ("checks", {})):
        (tmp_path / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    report_seal.seal(str(tmp_path), 90)
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "findings.json").write_text(json.dumps([{**SETTING, "value": 1}]), encoding="utf-8")
    (tmp_path / "audit" / "facts.json").write_text(json.dumps({"etcd": {"etcd1": {"version": "3.7.0"}}}), encoding="utf-8")

    def problems(**arguments):
        with patch_module_args({"directory": str(tmp_path), **arguments}), pytest.raises(SystemExit):
            module.main()
        return " ".join(json.loads(capsys.readouterr().out)["problems"])

    live = {"cluster": {**CLUSTER, "changed": False}, "hosts": 2}
    assert "Void" not in problems(live=live)
    assert "number of nodes changed from 5 to 4" in problems(live={**live, "cluster": {**CLUSTER, "nodes": 4}})
    said = problems(live={**live, "audit": str(tmp_path / "audit")})
    assert "the configuration changed" in said and "the version of etcd changed from 3.6.8 to 3.7.0" in said
    assert "etcd changed from 3.6.8 to 3.6.9" in problems(live={**live, "cluster": {**CLUSTER, "configuration": {"etcd pods": "etcd:3.6.9-0 (1)"}}})
    assert "findings.json" in problems(live={**live, "audit": str(tmp_path / "none")})
    assert "The signature cannot be relied on" in problems(public_key="RW" + "a" * 54)
    assert "The signature" not in problems()
    (tmp_path / "audit" / "findings.json").write_text("[1]", encoding="utf-8")
    assert "Audit again" in problems(live={**live, "audit": str(tmp_path / "audit")})
    (tmp_path / "certificate.json").write_text("[]", encoding="utf-8")
    assert problems(live=live)
