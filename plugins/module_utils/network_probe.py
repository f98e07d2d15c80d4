# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time until a Service's new endpoint works on a node: what connects there, and what came of it.

Each Service selects the server by its own value of a label, which the server does not have. A poller in each client tries them one after the
other. As soon as all clients try one, the server gets its label; the seconds until the line of a client says that it connected are an upper
bound by this machine's clock alone: the request, the EndpointSlice, every proxy's rules, a connection and the way of the line.
"""

from __future__ import annotations

import math
import queue
import threading
import time

from .cluster import ClusterError
from .job_exec import Command, ExecError

MERGE = "application/merge-patch+json"
# Seconds in which a client surely has tried a Service that has no endpoint, before it gets one; and between two tries.
SETTLE, PAUSE = 0.5, 0.05
# Tries addresses one after the other. $1 seconds after which it gives up, $2 port, then addresses.
POLL = f"""
end=$(($(date +%s) + $1)) port=$2
shift 2
for address; do
  until curl --silent --globoff --output /dev/null --connect-timeout 0.5 --max-time 2 "http://$address:$port/"; do
    [ "$(date +%s)" -lt "$end" ] || exit 1
    sleep {PAUSE}
  done
  echo "$address"
done
"""


class ProbeError(Exception):
    """The time could not be measured; the sentence says why."""


class Probe:
    """Measures the Services one after the other."""

    def __init__(self, server, options):
        self.server, self.options = server, options
        self.lines = queue.Queue()
        self.times = {client: [] for client in options["clients"]}
        self.commands = []

    def measure(self):
        """Return the facts; ProbeError when a client or the server cannot be used."""
        try:
            for client, pod in self.options["clients"].items():
                self.begin(client, pod)
            missed = self.every_service()
        finally:
            for command in self.commands:
                command.close()
        return facts_of(self.times, len(self.options["services"]), missed)

    def begin(self, client, pod):
        """Start the poller of one client and a thread that reads its lines."""
        whole = self.options["timeout"] * len(self.options["services"])
        addresses = [bracketed(address) for address in self.options["services"].values()]
        argv = ["sh", "-c", POLL, "sh", str(math.ceil(whole)), str(self.options["port"]), *addresses]
        try:
            command = Command(self.server, self.options["namespace"], pod, argv)
        except ExecError as error:
            raise ProbeError(f"{client} cannot be asked: {error}.") from error
        self.commands.append(command)
        threading.Thread(target=self.read, args=(client, command, whole), daemon=True).start()

    def read(self, client, command, seconds):
        """Put (client, address or None, when, error) of every line into the queue."""
        rest = b""
        try:
            for piece in command.output(seconds):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    self.lines.put((client, line.decode("ascii", "replace"), time.monotonic(), None))
        except ExecError as error:
            self.lines.put((client, None, time.monotonic(), str(error)))

    def every_service(self):
        """Give each Service its endpoint and wait for all clients; return how many did not connect to the first that was not reached by all."""
        for service in self.options["services"].items():
            self.refuse_early(service)
            begun = time.monotonic()
            self.label(service[0])
            waiting = set(self.times)
            while waiting:
                client, ended = self.next(begun + self.options["timeout"], service)
                if client is None:
                    return len(waiting)
                waiting.discard(client)
                self.times[client].append(ended - begun)
        return 0

    def refuse_early(self, service):
        """ProbeError when a client reached a Service before it had an endpoint."""
        client, dummy = self.next(time.monotonic() + SETTLE, service)
        if client is not None:
            raise ProbeError(f"{client} reached the Service {service[0]} before it had an endpoint, so something else answers at {service[1]}.")

    def next(self, limit, service):
        """Return (client, when it connected) to a Service (name, address), or (None, None) when none did until `limit`."""
        try:
            client, line, ended, error = self.lines.get(timeout=max(0.0, limit - time.monotonic()))
        except queue.Empty:
            return None, None
        if error:
            raise ProbeError(f"The connection to {client} ended while it tried the Service {service[0]}: {error}.")
        if line != bracketed(service[1]):
            raise ProbeError(f"{client} said {line!r}, not that it reached {service[1]}.")
        return client, ended

    def label(self, value):
        """Give the server the label that the Service selects."""
        path = f"/api/v1/namespaces/{self.options['namespace']}/pods/{self.options['server']}"
        try:
            self.server.request("PATCH", path, {"metadata": {"labels": {self.options["label"]: value}}}, content_type=MERGE)
        except ClusterError as error:
            raise ProbeError(f"The pod {self.options['server']} cannot be labelled: {error}.") from error


def bracketed(address):
    """Return an address as it stands in a URL."""
    return f"[{address}]" if ":" in address else address


def facts_of(times, services, missed):
    """Return {expected, count, missed, max, p50, p99, clients: {client: {max, count}}} of {client: [seconds]}."""
    every = sorted(one for found in times.values() for one in found)
    facts = {"expected": len(times) * services, "count": len(every), "missed": missed}
    if every and not missed:
        facts.update(max=every[-1], p50=rank(every, 0.5), p99=rank(every, 0.99))
    facts["clients"] = {client: {"count": len(found), **({"max": max(found)} if found else {})} for client, found in times.items()}
    return facts


def rank(values, share):
    """Return the nearest-rank quantile of sorted values."""
    return values[max(0, math.ceil(share * len(values)) - 1)]
