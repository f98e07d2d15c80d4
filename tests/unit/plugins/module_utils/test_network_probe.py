# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import threading
import time

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import network_probe
from ansible_collections.kubeproof.certify.plugins.module_utils.cluster import ClusterError
from ansible_collections.kubeproof.certify.plugins.module_utils.job_exec import ExecError
from ansible_collections.kubeproof.certify.plugins.module_utils.network_probe import Probe, ProbeError, facts_of

OPTIONS = {
    "namespace": "n",
    "server": "net-pod-0",
    "clients": {"worker1": "net-pod-0", "worker2": "net-pod-1"},
    "services": {"probe-0": "10.96.0.1", "probe-1": "fd00::2"},
    "port": 8080,
    "label": "kubeproof.io/probe",
    "timeout": 1.0,
}


class Cluster:
    """An API server whose Services reach the pod with their label after `delay` seconds; `stuck` clients never do, `early` ones do at once."""

    def __init__(self, delay=0.02, stuck=(), early=(), refuse=False):
        self.delay, self.stuck, self.early, self.refuse = delay, stuck, early, refuse
        self.label, self.when, self.patched = None, 0.0, []

    def request(self, method, path, body=None, content_type=""):
        if self.refuse:
            raise ClusterError("PATCH: 403 no rights", 403)
        assert (method, path, content_type) == ("PATCH", "/api/v1/namespaces/n/pods/net-pod-0", "application/merge-patch+json")
        [self.label] = body["metadata"]["labels"].values()
        self.when = time.monotonic() + self.delay
        self.patched.append(self.label)

    def reaches(self, service, pod):
        return pod in self.early or (self.label == service and time.monotonic() >= self.when and pod not in self.stuck)


@pytest.fixture(autouse=True)
def fixture_soon(monkeypatch):
    monkeypatch.setattr(network_probe, "SETTLE", 0.1)

    class Poller:
        """A poller as in a pod, in a thread of this process; its lines come in pieces."""

        def __init__(self, server, namespace, pod, argv):
            if pod == "gone":
                raise ExecError("no such pod")
            self.server, self.pod, self.addresses, self.over = server, pod, argv[6:], threading.Event()

        def output(self, seconds):
            end = time.monotonic() + seconds
            for service, address in zip(OPTIONS["services"], self.addresses):
                while not self.server.reaches(service, self.pod):
                    if self.over.wait(0.005) or time.monotonic() > end:
                        raise ExecError("the command failed")
                yield address[:4].encode()
                yield address[4:].encode() + b"\n"

        def close(self):
            self.over.set()

    monkeypatch.setattr(network_probe, "Command", Poller)


def measure(server, **changed):
    return Probe(server, {**OPTIONS, **changed}).measure()


def test_every_client_reaches_every_service():
    server = Cluster(delay=0.05)
    found = measure(server)
    assert server.patched == ["probe-0", "probe-1"]
    assert (found["expected"], found["count"], found["missed"]) == (4, 4, 0) and 0.05 <= found["p50"] <= found["max"] < 1
    assert {client: one["count"] for client, one in found["clients"].items()} == {"worker1": 2, "worker2": 2}


def test_a_client_that_does_not_reach_it_is_missed_and_ends_the_measurement():
    server = Cluster(stuck=["net-pod-1"])
    found = measure(server, timeout=0.3)
    assert (found["count"], found["missed"]) == (1, 1) and "max" not in found and server.patched == ["probe-0"]
    assert found["clients"]["worker2"] == {"count": 0}


def test_something_else_that_answers_is_refused():
    with pytest.raises(ProbeError, match="worker2 reached the Service probe-0 before it had an endpoint"):
        measure(Cluster(early=["net-pod-1"]))


@pytest.mark.parametrize(
    ("server", "changed", "said"),
    [
        (Cluster(refuse=True), {}, "The pod net-pod-0 cannot be labelled: PATCH: 403 no rights."),
        (Cluster(), {"clients": {"worker1": "gone"}}, "worker1 cannot be asked: no such pod."),
    ],
)
def test_what_cannot_be_measured_says_why(server, changed, said):
    with pytest.raises(ProbeError) as error:
        measure(server, **changed)
    assert str(error.value) == said


def test_a_poller_that_ends_is_an_error():
    class Ending(Cluster):
        def reaches(self, service, pod):
            if pod == "net-pod-1":
                raise ExecError("the connection was cut")
            return super().reaches(service, pod)

    with pytest.raises(ProbeError, match="The connection to worker2 ended while it tried the Service probe-0: the connection was cut"):
        measure(Ending())


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"a": [3.0, 1.0], "b": [2.0]}, {"expected": 4, "count": 3, "max": 3.0, "p50": 2.0, "p99": 3.0}),
        ({"a": [], "b": []}, {"expected": 4, "count": 0}),
        ({"a": [float(number) for number in range(1, 101)]}, {"count": 100, "p50": 50.0, "p99": 99.0, "max": 100.0}),
    ],
)
def test_percentiles_are_those_of_single_times(times, expected):
    found = facts_of(times, 2, 0)
    assert {key: found[key] for key in expected} == expected and ("max" in found) is bool(found["count"])
