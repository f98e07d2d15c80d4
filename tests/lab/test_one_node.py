# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster with one node that takes pods: what has no second node to be asked of says so, everything else is measured, and nothing is left."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.long]
TAINT = "kubeproof-test=yes:NoSchedule"
OTHER = "worker2"
LAYERS = ["network", "dns", "storage", "ingress"]


@pytest.fixture(name="alone")
def fixture_alone(lab):
    """Keep new pods off every worker but one."""
    try:
        lab.kubectl("taint", "node", OTHER, TAINT)
        yield
    finally:
        lab.kubectl("taint", "node", OTHER, f"{TAINT}-")


@pytest.mark.usefixtures("alone")
def test_one_node(lab, certify, note):
    run = certify(certify_layers=LAYERS, certify_time_scale=0.15, dns_least_rate=1500, longest=400)
    verdicts = {layer: run.certificate["layer_verdicts"][layer]["verdict"] for layer in LAYERS}
    note("one node", run, run.finding("network_tcp"))
    assert verdicts == {"network": "INCONCLUSIVE", "dns": "CONDITIONAL", "storage": "PASS", "ingress": "PASS"}, run.output
    # Nobody knows how pods on two nodes reach each other: no PASS, and the node that took no part is named.
    pair = run.finding("network_tcp")
    assert pair["value"] is None and OTHER in pair["reason"] and run.status != 0
    assert [one["id"] for one in run.certificate["findings"] if one["judged"] and one["result"] == "CONDITIONAL"] == ["dns_client_nodes"]
    mine = ("-l", f"kubeproof.io/run={run.directory.name}")
    assert lab.kubectl("get", "namespaces,clusterroles,clusterrolebindings,persistentvolumes", *mine, "-o", "name").strip() == ""
