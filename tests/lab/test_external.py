# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An external etcd whose hosts are not in the inventory is certified from a control-plane host."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("untouched")]
ADDRESSES = ("10.89.77.11", "10.89.77.12", "10.89.77.13")
PKI = "/etc/ssl/etcd/ssl"
EXTERNAL = {
    "name": "etcd",
    "group": "kube_control_plane",
    "endpoints": [f"https://{address}:2379" for address in ADDRESSES],
    "ca": f"{PKI}/ca.pem",
    "cert": f"{PKI}/node-cp1.pem",
    "key": f"{PKI}/node-cp1-key.pem",
}


@pytest.mark.long
def test_from_a_control_plane_host(lab, certify):
    run = certify(load={"write": 10, "read": 2}, etcd_clusters=[EXTERNAL])
    assert run.error == "" and run.finding("etcd_write_latency_p99")["samples"] >= 1000, run.output
    assert [run.finding(check)["result"] for check in ("etcd_quorum", "etcd_member_health", "etcd_keys_left")] == ["PASS"] * 3
    assert [run.finding(check)["result"] for check in ("etcd_fsync_p99", "etcd_disk_room", "etcd_hosts_known")] == ["NOT_APPLICABLE"] * 3
    assert lab.on("cp1", "ls /var/tmp/kubeproof", check=False) == ""
