# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole control plane of the lab's cache in this network namespace: etcd, kube-apiserver, scheduler, controller manager, and kwok for every node."""

from __future__ import annotations

import base64
import json
import subprocess
import time

from .cluster import ADDRESS, SERVER, TOKEN, HollowCluster

NODE = "real-0"
PODS = 990
COMMON = ("--leader-elect=false", "--kube-api-qps=500", "--kube-api-burst=500")


class ControlPlane(HollowCluster):
    """With one node for the pods that play others. `stages` is the file of kwok's configuration."""

    def __init__(self, directory, stages):
        super().__init__(directory, 1, {})
        self.stages = stages

    def start(self):
        """Start everything; return when the node is Ready."""
        self._certificates()
        self._kubeconfig()
        self._run("etcd", "etcd", f"--data-dir={self.directory}/etcd", "--unsafe-no-fsync", "--log-level=error")
        self._run("kube-apiserver", "kubernetes", "--etcd-servers=http://127.0.0.1:2379", f"--advertise-address={ADDRESS}", f"--bind-address={ADDRESS}",
                  f"--tls-cert-file={self.directory}/server.crt", f"--tls-private-key-file={self.directory}/server.key",
                  "--service-cluster-ip-range=10.96.0.0/12", "--service-account-issuer=https://kubernetes.default.svc",
                  f"--service-account-key-file={self.directory}/sa.pub", f"--service-account-signing-key-file={self.directory}/sa.key",
                  f"--token-auth-file={self.directory}/tokens", "--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount")  # fmt: skip
        self._wait_for("/readyz", 120)
        self._run("kube-scheduler", "kubernetes", f"--kubeconfig={self.kubeconfig}", *COMMON)
        self._run("kube-controller-manager", "kubernetes", f"--kubeconfig={self.kubeconfig}", "--use-service-account-credentials=false",
                  f"--service-account-private-key-file={self.directory}/sa.key", *COMMON)  # fmt: skip
        self._run("kwok", "kwok", f"--kubeconfig={self.kubeconfig}", "--manage-all-nodes", f"--node-ip={ADDRESS}", "--node-lease-duration-seconds=40",
                  "--server-address=127.0.0.1:10247", f"--config={self.stages}")  # fmt: skip
        self.request("/api/v1/nodes", node())
        deadline = time.monotonic() + 120
        while not is_ready(self.request(f"/api/v1/nodes/{NODE}")):
            if time.monotonic() > deadline:
                raise SystemExit(f"kwok does not make {NODE} Ready: {(self.directory / 'kwok.log').read_text(encoding='utf-8')[-500:]}")
            time.sleep(0.5)

    def _certificates(self):
        super()._certificates()
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout server.key -out server.crt -subj /CN=server -days 2"
        subprocess.run([*command.split(), "-addext", f"subjectAltName=IP:{ADDRESS}"], cwd=self.directory, check=True, capture_output=True)

    def _kubeconfig(self):
        """Who cannot verify the server gives no token to it, so its certificate is its own authority here."""
        super()._kubeconfig()
        authority = base64.b64encode((self.directory / "server.crt").read_bytes()).decode()
        document = json.loads(self.kubeconfig.read_text(encoding="utf-8"))
        document["clusters"][0]["cluster"] = {"server": SERVER, "certificate-authority-data": authority}
        self.kubeconfig.write_text(json.dumps(document), encoding="utf-8")
        (self.directory / "tokens").write_text(f"{TOKEN},admin,admin,system:masters\n", encoding="utf-8")


def is_ready(made):
    """Return whether a node is Ready and takes pods: the controller manager removes the taint that it was made with."""
    conditions = made["status"].get("conditions", ())
    return "taints" not in made["spec"] and any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def node():
    """Return the node that has room for the pods that play others."""
    sizes = {"cpu": "64", "memory": "256Gi", "pods": str(PODS)}
    labels = {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": labels}, "status": {"allocatable": sizes, "capacity": sizes}}
