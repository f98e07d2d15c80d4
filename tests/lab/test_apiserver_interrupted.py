# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certification of the control plane that is interrupted at any moment leaves nothing in the cluster, on its hosts or here."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("nothing_left")]
LOAD = {"objects": [{"share": 0.1, "seconds": 3}], "pods": 6, "streams": True}
# Seconds after k6 has begun in which a run is interrupted: it loads, starts and deletes pods, streams, cleans up. The run takes some more.
MOMENTS = 24
# Seconds until the guard of a killed run must have cleaned up.
CLEANED = 60
PAUSE = 0.2
PLACE = "/var/tmp/kubeproof"
SECRETS = Path(os.environ.get("XDG_RUNTIME_DIR") or Path.home() / ".cache", "kubeproof/runs")
# Where Ansible puts a module with its arguments, when it does not hand them over through a pipe.
MODULES = os.path.expanduser("~/.ansible/tmp/ansible-tmp-*/AnsiballZ_*.py")
MARK = f"KUBEPROOF_RUN_DIR={PLACE}/".encode()
LEFT = f"sudo sh -c 'ls -d {PLACE}; grep -la [K]UBEPROOF_RUN_DIR={PLACE}/ /proc/[0-9]*/environ'"
KINDS = "namespaces,clusterroles,clusterrolebindings,priorityclasses"
MANAGED = "app.kubernetes.io/managed-by=kubeproof"


def contents(pattern):
    """Return {path: bytes} of the files that can be read."""
    found = {}
    for path in glob.glob(pattern):
        with contextlib.suppress(OSError):
            found[path] = Path(path).read_bytes()
    return found


def left(lab):
    """Return what is there of any run: labelled objects, keys of etcd that name us, processes, files, tokens."""
    found = lab.kubectl("get", KINDS, "--selector", MANAGED, "--output", "name").split()
    with lab.gateway("etcd1") as gateway:
        # Of whatever kind an object is, its key has the name of the run's namespace, or its own, in which the run is.
        found += [record["key"].decode() for record in gateway.records(b"/registry", b"/registrz") if b"kubeproof" in record["key"]]
    found += [path for path, data in contents("/proc/[0-9]*/environ").items() if MARK in data]
    return found + glob.glob(PLACE) + [str(path) for path in SECRETS.glob("*")] + lab.on("cp1", LEFT, check=False).split()


@pytest.fixture(name="nothing_left")
def fixture_nothing_left(lab):
    """Begin with a lab that has nothing of a run; prove after the test that this is so again."""
    assert left(lab) == []
    before = set(contents(MODULES))
    yield
    assert left(lab) == []
    modules = {path: data for path, data in contents(MODULES).items() if path not in before}
    assert [path for path, data in modules.items() if b'"TOKEN"' in data] == []


def cleaned(run):
    """Wait until the guard says on the certificate that nothing is left; return (its words, seconds that this took)."""
    began = time.monotonic()
    while "nothing is left" not in (message := json.loads((run.directory / "certificate.json").read_text())["message"]):
        assert time.monotonic() < began + CLEANED, f"{message} {(run.directory / 'cleanup.log').read_text()[-2000:]}"
        time.sleep(PAUSE)
    return message, time.monotonic() - began


def step_of(output):
    """Return the task that ran last."""
    return output.rpartition("TASK [")[2].partition("]")[0].rpartition(" : ")[2]


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 5])
def test_sigint(certify, note, seed):
    moment = random.Random(seed).uniform(0, MOMENTS)

    def interrupt(process):
        time.sleep(moment)
        assert process.poll() is None, f"the run ended before {moment:.1f} s, so nothing was interrupted"
        process.send_signal(signal.SIGINT)

    run = certify(layer="apiserver", load=LOAD, during=interrupt, certify_apiserver_engine="k6")
    assert run.status and run.certificate["state"] == "interrupted" and run.certificate["verdict"] == "INCONCLUSIVE"
    message, seconds = cleaned(run)
    note(f"SIGINT {moment:.1f} s after k6 began", run, {"reason": f"It ran: {step_of(run.output)}. {message} After {seconds:.1f} s"})


def test_sigkill_while_pods_are_created(lab, certify, note):
    """Nobody tells the module that the run is over; it may go on to create pods while the cleanup deletes their namespace."""

    def kill(process):
        [place] = glob.glob(f"{PLACE}/*/apiserver")
        namespace = f"kubeproof-{Path(place).parent.name}-apiserver"
        limit = time.monotonic() + CLEANED
        while not any("preload" not in name for name in lab.kubectl("get", "pods", "--namespace", namespace, "--output", "name").split()):
            assert process.poll() is None and time.monotonic() < limit, "no pod was created"
        process.kill()

    run = certify(layer="apiserver", load={**LOAD, "pods": 20}, during=kill, certify_apiserver_engine="k6", apiserver_pod_rate=2)
    assert run.status == -signal.SIGKILL and run.certificate["state"] == "interrupted" and "Pods | Start" in run.output
    message, seconds = cleaned(run)
    note("SIGKILL while pods are created", run, {"reason": f"{message} After {seconds:.1f} s"})
