# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The profile stress on real layers that are throttled: the breaking point that is found moves with the throttle.

Each throttle has two values, so far apart that what is found for one cannot be taken for the other; all else is the same in both runs.
"""

from __future__ import annotations

import contextlib
import json

import pytest

from ansible_collections.kubeproof.certify.tests.lab.conftest import ETCD, NO_LOAD, wait_for
from ansible_collections.kubeproof.certify.tests.lab.test_dns import HOME, TABLE, changed, fixture_dns, pods
from ansible_collections.kubeproof.certify.tests.lab.test_ingress import CONTROLLER, is_ready

pytestmark = [pytest.mark.lab, pytest.mark.long]
# What the found breaking point may be off, of the throttle; seconds of a run.
OFF = 0.15
LONGEST = 700
LIMITED = "kubeproof-test-limited"
# A burst lets pauses of a busy machine pass, and adds a hundredth to the rate of a step.
BURST = 0.1
LIMITER = "http:\n  middlewares:\n    kubeproof-test:\n      rateLimit: {{average: {rate}, burst: {burst:.0f}, period: 1s}}\n"
# Drops what comes to a pod beyond a rate.
POLICER = (
    f"sudo nft 'add table inet {TABLE}; add chain inet {TABLE} f {{{{ type filter hook forward priority -300; }}}};"
    f" add rule inet {TABLE} f ip daddr {{address}} udp dport 53 limit rate over {{rate}}/second burst {{burst:.0f}} packets drop'"
)
# Lets a member write so many bytes a second: its log and its database, which grow with the puts.
BLKIO = "/sys/fs/cgroup/blkio"
THROTTLE = (
    f"sudo sh -c 'mkdir -p {BLKIO}/kubeproof-test; device=$(cat /sys/block/$(basename $(findmnt -no SOURCE /var/lib/etcd))/dev);"
    f" echo $device {{rate}} >{BLKIO}/kubeproof-test/blkio.throttle.write_bps_device; pgrep -x etcd >{BLKIO}/kubeproof-test/cgroup.procs'"
)
UNTHROTTLE = f"sudo sh -c 'cat {BLKIO}/kubeproof-test/cgroup.procs >{BLKIO}/cgroup.procs; rmdir {BLKIO}/kubeproof-test'"
dns = fixture_dns


@pytest.fixture(name="stress")
def fixture_stress(lab, certify):
    """Return stress(layer, **variables) -> (Run, the facts of its ramp)."""
    uid = lab.kubectl("get", "namespace", "kube-system", "-o", "json")["metadata"]["uid"]

    def run(layer, **variables):
        more = {"certify_profile": "stress", "certify_cluster_uid": uid, "certify_i_understand_stress": uid, "certify_stress_bisect": True}
        found = certify(layer=layer, longest=LONGEST, **{**more, **variables})
        [facts] = (found.directory / f"facts/{layer}/cluster").iterdir()
        return found, json.loads(facts.read_text())["stress"]

    return run


# On a machine with others' load it is the loss alone that counts.
LATE = {"dns_latency_p99": {"target": "< 4", "critical": "< 4.5", "reason": "Two cores, shared with others."}}
COPY = {"dns_service": f"{HOME}/coredns", "dns_least_rate": 100, "dns_services": 1, "dns_load": {"stress": {"pods": 0, "ramp": 8}}}


def alone(lab):
    """Leave one pod of the copy of CoreDNS: of several each would have its share of a limit, and what kube-proxy gives it of the queries. Return it."""
    lab.kubectl("scale", "deployment/coredns", "-n", HOME, "--replicas=1")
    wait_for(lambda: len(pods(lab)) == 1)
    return next(iter(pods(lab).values()))


@contextlib.contextmanager
def policed(lab, rate):
    """Let so many packets a second through to the one pod of the copy of CoreDNS, and undo that."""
    pod = alone(lab)
    try:
        lab.on(pod["spec"]["nodeName"], POLICER.format(address=pod["status"]["podIP"], rate=rate, burst=BURST * rate))
        yield
    finally:
        lab.on(pod["spec"]["nodeName"], f"sudo nft delete table inet {TABLE}", check=False)


@pytest.mark.parametrize("limit", [500, 800])
def test_dns_breaks_where_its_packets_are_dropped(lab, stress, dns, note, limit):
    shares = {"certify_capacity": {"dns_qps": 380}, "certify_stress_shares": [1.0, 1.5, 2.25]}
    with policed(lab, limit):
        run, found = stress("dns", certify_thresholds=LATE, **COPY, **shares)
    note(f"a DNS that gets {limit} packets a second", run, run.finding("dns_breaking_point"))
    assert found["headroom"]["rate"] == pytest.approx(limit, rel=OFF) and found["broke"]["id"] == "dns_errors", found["said"]
    assert run.finding("dns_recovered")["result"] == "PASS"


def test_dns_breaks_in_proportion_to_its_processor_time(lab, stress, dns, note):
    shares = {"certify_capacity": {"dns_qps": 500}, "certify_stress_shares": [1.0, 2.0, 4.0, 8.0]}
    # A pod that has used its share of a tenth of a second is stopped until the next, in which packets are lost long before it is busy all the time:
    # with 100m the first hundredth was lost at 594 a second in one run and at 826 in another. What is looked for is where it can do no more.
    lossy = {**LATE, "dns_errors": {"target": "< 0.05", "critical": "< 0.08", "reason": "A pod that is stopped again and again."}}
    limits, found = (100, 200), []
    for limit in limits:
        with changed(lab, resources={"requests": {"cpu": "10m"}, "limits": {"cpu": f"{limit}m", "memory": "170Mi"}}):
            alone(lab)
            run, ramp = stress("dns", certify_thresholds=lossy, **COPY, **shares)
        note(f"a CoreDNS with {limit}m", run, run.finding("dns_breaking_point"))
        assert "broke" in ramp and run.finding("dns_recovered")["result"] == "PASS", ramp["said"]
        found.append(ramp["headroom"]["rate"])
    assert found[1] / found[0] == pytest.approx(limits[1] / limits[0], rel=OFF), found


@contextlib.contextmanager
def rate_limited(lab, rate):
    """Let the controller answer so many requests a second, and undo that."""
    data = lab.kubectl("get", "secret", CONTROLLER, "-n", CONTROLLER, "-o", "json")["data"]
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": LIMITED, "namespace": CONTROLLER}, "data": data}
    secret["stringData"] = {"limit.yaml": LIMITER.format(rate=rate, burst=BURST * rate)}
    before = lab.kubectl("get", "deployment", CONTROLLER, "-n", CONTROLLER, "-o", "json")["spec"]["template"]["spec"]
    container = before["containers"][0]
    kept = [one for one in container["args"] if not one.startswith("--providers.file.filename")]
    args = [*kept, "--providers.file.directory=/etc/traefik", "--entrypoints.websecure.http.middlewares=kubeproof-test@file"]
    volumes = [{"name": "configuration", "secret": {"secretName": LIMITED}}]
    lab.kubectl("apply", "-f", "-", data=json.dumps(secret))
    try:
        patch(lab, {"containers": [{"name": container["name"], "args": args}], "volumes": volumes})
        yield
    finally:
        patch(lab, {"containers": [{"name": container["name"], "args": container["args"]}], "volumes": before["volumes"]})
        lab.kubectl("delete", "secret", LIMITED, "-n", CONTROLLER, "--ignore-not-found")


def patch(lab, spec):
    """Change the controller's pods, and wait until those of before are gone."""
    lab.kubectl("patch", "deployment", CONTROLLER, "-n", CONTROLLER, "-p", json.dumps({"spec": {"template": {"spec": spec}}}))
    wait_for(lambda: is_ready(lab) and rolled_out(lab))


def rolled_out(lab):
    found = lab.kubectl("get", "deployment", CONTROLLER, "-n", CONTROLLER, "-o", "json")
    return found["status"]["observedGeneration"] == found["metadata"]["generation"] and found["status"].get("updatedReplicas") == found["status"]["replicas"]


@pytest.mark.parametrize("limit", [400, 700])
def test_ingress_breaks_at_its_rate_limit(lab, stress, note, limit):
    # Both throttles are in the middle between two steps.
    shares = {"certify_capacity": {"ingress_rps": 300}, "certify_stress_shares": [1.0, 1.25, 1.45, 1.65, 1.9, 2.2, 2.5], "certify_stress_bisect": False}
    late = {"ingress_latency_p99": {"target": {"small": "< 4"}, "critical": {"small": "< 4.5"}, "reason": "Two cores, shared with others."}}
    with rate_limited(lab, limit):
        run, found = stress("ingress", certify_thresholds=late, ingress_load={"stress": {"ramp": 8}}, **shares)
    note(f"an ingress limited to {limit}/s", run, run.finding("ingress_breaking_point"))
    assert found["headroom"]["rate"] == pytest.approx(limit, rel=OFF) and found["broke"]["id"] == "ingress_errors", found["said"]
    assert run.finding("ingress_recovered")["result"] == "PASS"


@contextlib.contextmanager
def slow_disks(lab, rate):
    """Let each member of etcd write so many bytes a second, and undo that."""
    if lab.on(ETCD[0], f"ls {BLKIO}/blkio.throttle.write_bps_device", check=False) == "":
        pytest.skip("the hosts of the lab have no blkio controller of their own")
    try:
        for host in ETCD:
            lab.on(host, THROTTLE.format(rate=rate))
        yield
    finally:
        for host in ETCD:
            lab.on(host, UNTHROTTLE, check=False)


def test_etcd_breaks_in_proportion_to_its_disks(lab, stress, untouched, note):
    # What is slow on a throttled disk is not what is looked for: the rate alone counts. Few clients, so that what they still wait for at the end of a
    # step, which counts as its time, is less than a hundredth of it; a bound on the latency that is wider would bring more of them.
    late = {"etcd_write_latency_p99": "Disks that are throttled."}
    shares = {"certify_capacity": {"etcd_put_rate": 25}, "certify_stress_shares": [1.0, 2.0, 4.0, 8.0]}
    small = {"etcd_clients": 20, "etcd_key_size": 64, "etcd_value_size": 64, "etcd_load": {"stress": {**NO_LOAD, "write": 16}}}
    limits, found = (200_000, 400_000), []
    for limit in limits:
        with slow_disks(lab, limit):
            run, ramp = stress("etcd", certify_not_applicable=late, **small, **shares)
        note(f"an etcd that may write {limit} bytes a second", run, run.finding("etcd_breaking_point"))
        assert "broke" in ramp and run.finding("etcd_recovered")["result"] == "PASS", ramp["said"]
        found.append(ramp["headroom"]["rate"])
    assert found[1] / found[0] == pytest.approx(limits[1] / limits[0], rel=OFF), found
