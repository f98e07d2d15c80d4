# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What could explain a number that is off target."""

from __future__ import annotations

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import CheckError
from ansible_collections.kubeproof.certify.plugins.module_utils.check_settings import load_catalogue
from ansible_collections.kubeproof.certify.plugins.module_utils.explanations import explain

LINKS = ["etcd_fsync", "tuning_x", "etcd_other"]
SLOW = {"id": "apiserver_p99", "layer": "apiserver", "title": "API P99", "result": "FAIL", "value": 0.9, "explained_by": LINKS}
FSYNC = {"id": "etcd_fsync", "layer": "etcd", "title": "fsync P99", "result": "CONDITIONAL", "value": 0.031, "unit": "s", "host": "etcd2", "critical": "< 0.05"}
CHECK = {"title": "t", "query": "v", "scope": "cluster", "target": "> 1", "profiles": ["load"], "fix": "Do it.", "reference": "r"}


def explanations(*findings):
    """Return {id: ids of what explains it}."""
    return {one["id"]: [why["id"] for why in one["explained_by"]] for one in explain(findings) if "explained_by" in one}


def test_an_explanation_says_what_is_seen_and_where():
    found = explain([SLOW, FSYNC])[0]["explained_by"]
    assert found == [{"id": "etcd_fsync", "layer": "etcd", "title": "fsync P99", "result": "CONDITIONAL", "value": 0.031, "unit": "s", "host": "etcd2"}]


@pytest.mark.parametrize(
    "findings, expected",
    [
        ([SLOW], {}),
        ([SLOW, {**FSYNC, "result": "PASS"}], {}),
        ([SLOW, {**FSYNC, "result": "INCONCLUSIVE"}], {}),
        ([{**SLOW, "result": "PASS"}, FSYNC], {}),
        ([{**SLOW, "result": "INCONCLUSIVE"}, FSYNC], {}),
        ([{**SLOW, "result": "CONDITIONAL"}, FSYNC], {"apiserver_p99": ["etcd_fsync"]}),
        ([SLOW, {**FSYNC, "id": "etcd_another"}], {}),
        ([SLOW, {**FSYNC, "id": "etcd_other"}, FSYNC], {"apiserver_p99": ["etcd_fsync", "etcd_other"]}),
        ([{**SLOW, "explained_by": "damaged"}, FSYNC], {}),
        ([{**SLOW, "explained_by": [["damaged"], None]}, FSYNC], {}),
    ],
)
def test_links(findings, expected):
    assert explanations(*findings) == expected


def test_the_worst_of_a_check_explains():
    worse = {**FSYNC, "host": "etcd3", "result": "FAIL", "value": 0.2}
    assert explain([SLOW, FSYNC, worse])[0]["explained_by"][0]["host"] == "etcd3"


def test_links_are_gone_where_nothing_is_explained():
    assert all("explained_by" not in one for one in explain([{**SLOW, "result": "PASS"}, FSYNC]))


def test_a_link_to_a_check_that_is_not_there_is_an_error():
    linked = {"etcd_a": {**CHECK, "explained_by": ["dns_a", "dns_b"]}}
    parts = [{"source": "roles/etcd/x.yml", "checks": linked}, {"source": "roles/dns/x.yml", "checks": {"dns_a": CHECK}}]
    with pytest.raises(CheckError, match="etcd_a: explained_by names dns_b"):
        load_catalogue(parts)
    parts[1]["checks"]["dns_b"] = CHECK
    assert set(load_catalogue(parts)) == {"etcd_a", "dns_a", "dns_b"}
