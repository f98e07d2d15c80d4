# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Prometheus of Debian beside the lab, for tests: its programs are fetched once into the cache, and nothing of it is installed."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubeproof/prometheus"
PACKAGES = ("prometheus", "prometheus-node-exporter")
PROGRAMS = ("prometheus", "promtool", "prometheus-node-exporter")
INTERVAL = 5
# Neither Prometheus nor a tunnel outlives a test that is killed.
LONGEST = 1500
START = 40


def programs():
    """Return the directory that holds the programs."""
    if all(shutil.which(name) for name in PROGRAMS):
        return Path(shutil.which("prometheus")).parent
    found = CACHE / "usr/bin"
    if not all((found / name).is_file() for name in PROGRAMS):
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", *PACKAGES], cwd=CACHE, check=True, capture_output=True)
        for package in CACHE.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, CACHE], check=True)
            package.unlink()
    return found


def free_port(address="127.0.0.1"):
    """Return a port of this machine that nothing listens on."""
    with contextlib.closing(socket.socket()) as one:
        one.bind((address, 0))
        return one.getsockname()[1]


def started(stack, argv, log):
    """Start a process that ends with the stack, and after LONGEST seconds at the latest."""
    with open(log, "w", encoding="utf-8") as stream:
        process = subprocess.Popen(["timeout", str(LONGEST), *map(str, argv)], stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
    stack.callback(process.wait, 30)
    stack.callback(process.terminate)
    return process


class Prometheus:
    """One that runs; `ask` is its API. Hosts of the lab reach only `address`es on the bridge of the lab."""

    def __init__(self, stack, configuration, directory, address="127.0.0.1"):
        self.port = free_port(address)
        self.url = f"http://{address}:{self.port}"
        argv = [programs() / "prometheus", f"--config.file={configuration}", f"--storage.tsdb.path={directory}/data"]
        argv.append(f"--web.listen-address={address}:{self.port}")
        self.log = directory / "prometheus.log"
        self.process = started(stack, argv, self.log)
        limit = time.monotonic() + START
        while not self.ready():
            assert self.process.poll() is None and time.monotonic() < limit, self.log.read_text()
            time.sleep(0.2)

    def ready(self):
        try:
            return urllib.request.urlopen(f"{self.url}/-/ready", timeout=5).status == 200
        except OSError:
            return False

    def ask(self, path, **arguments):
        """Return the data that the API answers; the error as text where it refuses."""
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(arguments)}", timeout=60) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{arguments}: {error.read().decode()}") from error

    def targets(self):
        """Return {(job, instance): what is wrong, "" for nothing} of what is scraped."""
        return {(one["labels"]["job"], one["labels"]["instance"]): one["lastError"] if one["health"] != "unknown" else "not scraped yet"
                for one in self.ask("targets")["activeTargets"]}  # fmt: skip

    def values(self, expr, start, end):
        """Return how many numbers a query gives over a time; NaN is none."""
        found = self.ask("query_range", query=expr, start=start, end=end, step=INTERVAL)["result"]
        return sum(value != "NaN" for series in found for dummy, value in series["values"])


def tunnels(stack, lab, addresses, wanted, directory):
    """Return {component: {host: address here}} for ports on loopback of the lab's hosts; `wanted` {component: (port, hosts)}."""
    found = {}
    for component, (port, hosts) in wanted.items():
        for host in hosts:
            here = free_port()
            argv = ["ssh", "-N", "-i", lab.state / "id_ed25519", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
            argv += ["-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{here}:127.0.0.1:{port}", f"kubeproof@{addresses[host]}"]
            started(stack, argv, directory / f"tunnel-{component}-{host}.log")
            found.setdefault(component, {})[host] = f"127.0.0.1:{here}"
    return found


def token_of(lab, namespace, secret):
    """Return the token in a Secret, once the API server has written it."""
    limit = time.monotonic() + START
    while time.monotonic() < limit:
        data = lab.kubectl("-n", namespace, "get", "secret", secret, "-o", "json").get("data", {})
        if "token" in data:
            return base64.b64decode(data["token"]).decode()
        time.sleep(0.5)
    raise AssertionError(f"{namespace}/{secret} has no token")
