# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A control plane with hollow nodes: etcd, kube-apiserver and kwok of the lab's cache, and one server that answers for every kubelet."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.server
import json
import pathlib
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

CACHE = pathlib.Path.home() / ".cache" / "kubeproof" / "bin"
# Every address of it is this machine's own, in a network namespace of the benchmark.
NETWORK = "10.77.0.0/16"
ADDRESS = "10.77.0.1"
SERVER = f"https://{ADDRESS}:6443"
TOKEN = "hollow"
KUBELET_PORT = 10250
WRITERS = 8
SERVICES = 500
DAEMONS = ("kube-proxy", "cni-agent")
COREFILE = """.:53 {
    errors
    health { lameduck 5s }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa { pods insecure\n fallthrough in-addr.arpa ip6.arpa\n ttl 30 }
    prometheus :9153
    forward . /etc/resolv.conf { max_concurrent 1000 }
    cache 30
    loop
    reload
    loadbalance
}
"""
# Without stages kwok does nothing: a pod runs as soon as it is there, and a node stays as it was made.
STAGES = """
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: node-ready}
spec:
  resourceRef: {apiGroup: v1, kind: Node}
  selector: {matchExpressions: [{key: .status.phase, operator: DoesNotExist}]}
  next: {statusTemplate: "phase: Running"}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-ready}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector: {matchExpressions: [{key: .status.podIP, operator: DoesNotExist}]}
  next: {statusTemplate: "{phase: Running, podIP: 10.0.0.1, conditions: [{type: Ready, status: 'True'}]}"}
"""


def program(name, folder):
    """Return the path of a program of the lab's cache."""
    found = sorted(CACHE.glob(f"{folder}-*/{name}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise SystemExit(f"audit: there is no {name} below {CACHE}; make lab builds it.")
    return str(found[-1])


def address(number):
    """Return the address of a node."""
    return f"10.77.{1 + number // 250}.{1 + number % 250}"


class HollowCluster:
    """`nodes` nodes; everything that it starts ends with stop()."""

    def __init__(self, directory, nodes, config):
        """`config` is what every kubelet says that it is configured with."""
        self.directory, self.nodes, self.config = pathlib.Path(directory), nodes, config
        self.kubeconfig = self.directory / "kubeconfig"
        self.started, self.kubelets = [], None

    def start(self):
        """Start everything and write the objects; return when all nodes are there."""
        self._certificates()
        self._kubeconfig()
        self._run("etcd", "etcd", f"--data-dir={self.directory}/etcd", "--unsafe-no-fsync", "--log-level=error")
        self._run("kube-apiserver", "kubernetes", f"--cert-dir={self.directory}", "--etcd-servers=http://127.0.0.1:2379", f"--advertise-address={ADDRESS}",
                  "--service-cluster-ip-range=10.96.0.0/12", "--service-account-issuer=https://kubernetes.default.svc",
                  f"--service-account-key-file={self.directory}/sa.pub", f"--service-account-signing-key-file={self.directory}/sa.key",
                  f"--token-auth-file={self.directory}/tokens", "--authorization-mode=RBAC",
                  "--kubelet-preferred-address-types=InternalIP", "--disable-admission-plugins=ServiceAccount")  # fmt: skip
        self._wait_for("/readyz", 120)
        self.kubelets = Kubelets(self.directory, self.config)
        (self.directory / "stages.yaml").write_text(STAGES, encoding="utf-8")
        self._run("kwok", "kwok", f"--kubeconfig={self.kubeconfig}", "--manage-all-nodes", f"--node-ip={ADDRESS}", f"--node-port={KUBELET_PORT}",
                  "--node-lease-duration-seconds=40", "--server-address=127.0.0.1:10247", f"--config={self.directory}/stages.yaml")  # fmt: skip
        with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
            for made in self._objects():
                list(pool.map(lambda pair: self.request(pair[0], pair[1]), made))
        self._wait_for_leases(120)

    def stop(self):
        """End what was started, the last first."""
        for process in reversed(self.started):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
        if self.kubelets:
            self.kubelets.shutdown()

    def request(self, path, body=None):
        """Return what the API server answers; `body` is created there."""
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(SERVER + path, data, {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"})
        with urllib.request.urlopen(asked, context=self.context, timeout=30) as answer:
            return json.loads(answer.read()) if "json" in answer.headers.get("Content-Type", "") else answer.read()

    def _run(self, name, folder, *arguments):
        # Under another name, so that no host takes them for its own.
        argv = [f"hollow-{name}", *arguments]
        with open(self.directory / f"{name}.log", "wb") as log:
            self.started.append(subprocess.Popen(argv, executable=program(name, folder), cwd=self.directory, stdout=log, stderr=log))

    def _certificates(self):
        for command in (
            "openssl genrsa -out sa.key 2048",
            "openssl rsa -in sa.key -pubout -out sa.pub",
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout kubelet.key -out kubelet.crt -subj /CN=kubelet -days 2",
        ):
            subprocess.run(command.split(), cwd=self.directory, check=True, capture_output=True)

    def _kubeconfig(self):
        self.context = ssl.create_default_context()
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        (self.directory / "tokens").write_text(f"{TOKEN},admin,admin,system:masters\n", encoding="utf-8")
        document = {"apiVersion": "v1", "kind": "Config", "current-context": "hollow",
                    "clusters": [{"name": "hollow", "cluster": {"server": SERVER, "insecure-skip-tls-verify": True}}],
                    "users": [{"name": "admin", "user": {"token": TOKEN}}],
                    "contexts": [{"name": "hollow", "context": {"cluster": "hollow", "user": "admin"}}]}  # fmt: skip
        self.kubeconfig.write_text(json.dumps(document), encoding="utf-8")

    def _wait_for(self, path, seconds):
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.request(path)
            except (urllib.error.URLError, OSError) as error:
                ended = [process.args[0] for process in self.started if process.poll() is not None]
                if ended or time.monotonic() > deadline:
                    raise SystemExit(f"audit: the API server does not answer ({error}; ended: {ended}); see {self.directory}") from error
                time.sleep(0.5)

    def _wait_for_leases(self, seconds):
        """Wait until kwok keeps every node alive."""
        deadline, path = time.monotonic() + seconds, "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        while len(self.request(path)["items"]) < self.nodes:
            if time.monotonic() > deadline or self.started[-1].poll() is not None:
                raise SystemExit(f"audit: kwok does not keep all {self.nodes} nodes alive: {(self.directory / 'kwok.log').read_text()[-500:]}")
            time.sleep(1)

    def _objects(self):
        """Return [[(path, object)]]: what is written, in the order in which it has to be."""
        names = [f"node{number}" for number in range(self.nodes)]
        system = "/api/v1/namespaces/kube-system"
        about = {"kubeletVersion": "v1.36.3", "containerRuntimeVersion": "containerd://2.2.1", "kernelVersion": "6.8.0", "osImage": "Debian", "bootID": "a",
                 "architecture": "amd64", "operatingSystem": "linux", "machineID": "a", "systemUUID": "a", "kubeProxyVersion": ""}  # fmt: skip
        sizes = {"cpu": "4", "memory": "16Gi", "pods": "110", "ephemeral-storage": "100Gi"}
        nodes, others, pods = [], [], []
        for number, name in enumerate(names):
            labels = {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": f"zone{number % 3}"}
            labels.update({"node-role.kubernetes.io/control-plane": ""} if number < 3 else {})
            where = [{"type": "InternalIP", "address": address(number)}, {"type": "Hostname", "address": name}]
            status = {"nodeInfo": about, "capacity": sizes, "allocatable": sizes, "addresses": where,
                      "daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_PORT}}, "conditions": [{"type": "Ready", "status": "True"}]}  # fmt: skip
            nodes.append(("/api/v1/nodes", {"metadata": {"name": name, "labels": labels}, "spec": {"podCIDR": "10.0.0.0/24"}, "status": status}))
            driver = {"name": "csi.example.com", "nodeID": name, "topologyKeys": ["topology.kubernetes.io/zone"], "allocatable": {"count": 32}}
            others.append(("/apis/storage.k8s.io/v1/csinodes", {"metadata": {"name": name}, "spec": {"drivers": [driver]}}))
            for daemon in DAEMONS:
                container = {"name": daemon, "image": f"registry.example.com/{daemon}:v1", "resources": {"requests": {"cpu": "100m", "memory": "50Mi"}}}
                pods.append((f"{system}/pods", {"metadata": {"name": f"{daemon}-{name}", "labels": {"k8s-app": daemon}},
                                                "spec": {"nodeName": name, "containers": [container]}}))  # fmt: skip
        for name, data in (("coredns", {"Corefile": COREFILE}), ("kube-proxy", {"config.conf": "mode: nftables\n"})):
            others.append((f"{system}/configmaps", {"metadata": {"name": name}, "data": data}))
        for number in range(SERVICES):
            ports = [{"port": 80}]
            others.append(("/api/v1/namespaces/default/services", {"metadata": {"name": f"service{number}"}, "spec": {"ports": ports}}))
        return [nodes, others + pods]


class Kubelets:
    """One HTTPS server that answers GET /configz for every node."""

    def __init__(self, directory, config):
        body = json.dumps({"kubeletconfig": config}).encode()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version, wbufsize, disable_nagle_algorithm = "HTTP/1.1", -1, True

            def do_GET(self):
                self.send_response(200 if self.path == "/configz" else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *dummy):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads, request_queue_size = True, 128

            def finish_request(self, request, client_address):
                # The handshake in the thread of the connection, so that one does not hold up the others.
                super().finish_request(tls.wrap_socket(request, server_side=True), client_address)

            def handle_error(self, *dummy):
                pass

        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(directory / "kubelet.crt", directory / "kubelet.key")
        self.server = Server(("0.0.0.0", KUBELET_PORT), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def shutdown(self):
        self.server.shutdown()
