# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fingerprint of a configuration is made of, what it never has in it, and how a change of it reads."""

from __future__ import annotations

import json

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import fingerprint
from ansible_collections.kubeproof.certify.plugins.modules import cluster_info
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import FakeCluster, status

TITLES = ["Name", "Status", "Roles", "Age", "Version", "Internal-IP", "External-IP", "OS-Image", "Kernel-Version", "Container-Runtime"]


def table(*versions):
    """Return the API server's answer to a request for nodes as a table, as recorded on the lab."""
    system = ["10.0.0.1", "<none>", "Debian GNU/Linux 12 (bookworm)", "6.1", "containerd://2.2.1"]
    rows = [{"cells": [f"n{number}", "Ready", "<none>", "1d", version, *system]} for number, version in enumerate(versions)]
    return {"kind": "Table", "columnDefinitions": [{"name": title} for title in TITLES], "rows": rows}


def server(name, *flags, image="registry.example.com:5000/kubernetes/kube-apiserver:v1.36.3", part="kube-apiserver"):
    return {"metadata": {"name": name, "labels": {"component": part}},
            "spec": {"containers": [{"name": part, "image": image, "command": [part, *flags]}, {"name": "sidecar", "image": "other:1"}]}}  # fmt: skip


RUN = {"version": "0.1.0", "hosts": {"etcd": ["etcd2", "etcd1"]},
       "settings": {"capacity": {"dns_qps": 2000}, "tiers": {"fast": "nvme"}, "thresholds": {"dns_p99": {"target": "< 1", "reason": "slow"}}},
       "more": {"certify_live": "False"}}  # fmt: skip
IDENTITY = {"uid": "u", "kubernetes": "v1.36.3", "nodes": 3, "configuration": {"kubelets": "v1.36.3 (3)"}, "changed": False}


def test_what_a_run_has():
    found = fingerprint.of_run(IDENTITY, RUN)
    assert found["values"] == {"kubeproof.certify": "0.1.0", "cluster uid": "u", "Kubernetes": "v1.36.3", "nodes": 3, "kubelets": "v1.36.3 (3)",
                               "hosts of etcd": "etcd1, etcd2", "capacity dns_qps": 2000, "tier of fast": "nvme", "threshold dns_p99 target": "< 1",
                               "certify_live": "False"}  # fmt: skip
    assert fingerprint.is_whole(found) and fingerprint.of_run({}, RUN)["hash"] != found["hash"]
    # A reason is no expectation, and an order is none.
    other = json.loads(json.dumps(RUN).replace("slow", "old").replace('"etcd2", "etcd1"', '"etcd1", "etcd2"'))
    assert fingerprint.of_run(IDENTITY, other) == found


LOAD = {"load": {"pods": 4, "service": [{"share": 1.0, "seconds": 900}]}, "soak": {"pods": 1}}
LOADS = {"profile": "load", "loads": {"dns": {"dns_load": LOAD, "dns_least_rate": 500}}}


def test_how_layers_are_loaded_is_in_it():
    long, short = fingerprint.of_run({}, {**RUN, **LOADS}), json.loads(json.dumps(LOADS).replace("900", "9"))
    assert long["values"]["load of dns in load"] == (
        '{"dns_least_rate": 500, "dns_load.load.pods": 4, "dns_load.load.service": [{"seconds": 900, "share": 1.0}]}'
    )
    [change] = fingerprint.changes(long, fingerprint.of_run({}, {**RUN, **short}))
    # Of what it is loaded with only what differs.
    assert change == {"what": "load of dns in load", "before": '{"dns_load.load.service": [{"seconds": 900, "share": 1.0}]}',
                      "after": '{"dns_load.load.service": [{"seconds": 9, "share": 1.0}]}'}  # fmt: skip
    # Only what this profile is loaded with; a layer whose settings are none is refused by its own plan.
    soak = fingerprint.of_run({}, {**RUN, **LOADS, "profile": "soak"})
    assert soak["values"]["load of dns in soak"] == '{"dns_least_rate": 500, "dns_load.soak.pods": 1}' and "load of dns in load" not in soak["values"]
    assert fingerprint.unshared(long, soak) == ["load of dns in load", "load of dns in soak"] and fingerprint.unshared(long, long) == []
    assert fingerprint.of_run({}, {**RUN, "profile": "load", "loads": {"dns": {"dns_load": {"smoke": {}}}, "etcd": 5}}) == fingerprint.of_run({}, RUN)


CLUSTERS = {"etcd_clusters": [{"name": "etcd", "group": "etcd", "cert": "/etc/client.crt", "key": "/etc/client.key",
                               "recordings": "/copied"}], "hosts": {}}
TWO = {"etcd_clusters": [*CLUSTERS["etcd_clusters"], {"name": "events", "group": "events"}], "hosts": {"events": ["e1"]}}


def with_targets(**targets):
    return fingerprint.of_run({}, {**RUN, "targets": targets})


def test_where_loads_go_is_in_it():
    one, two = with_targets(etcd=CLUSTERS, dns={"dns_service": ""}), with_targets(etcd=TWO, ingress={"ingress_url": ""})
    assert one["values"]["target of etcd"] == '{"etcd_clusters": [{"group": "etcd", "name": "etcd"}], "hosts": {}}'
    assert fingerprint.unshared(one, two) == ["target of dns", "target of ingress"]
    assert fingerprint.told(fingerprint.changes(one, two, fingerprint.unshared(one, two))) == (
        'target of etcd was {"etcd_clusters": [{"group": "etcd", "name": "etcd"}], "hosts": {}}, is {"etcd_clusters": [{"group": "etcd", "name": "etcd"}, '
        '{"group": "events", "name": "events"}], "hosts": {"events": ["e1"]}}'
    )
    # The key of a toleration is no file of a key.
    three, four = (with_targets(dns={"dns_tolerations": [{"key": key}]}) for key in ("a", "b"))
    assert fingerprint.told(fingerprint.changes(three, four)) == 'target of dns was {"dns_tolerations": [{"key": "a"}]}, is {"dns_tolerations": [{"key": "b"}]}'
    # Another profile is loaded otherwise, and elsewhere it is not.
    assert with_targets(etcd=CLUSTERS) != with_targets(etcd=TWO) and not fingerprint.unshared(with_targets(etcd=CLUSTERS), with_targets(etcd=TWO))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://shop.example.com/healthz", "https://shop.example.com/healthz"),
        ("https://10.0.0.1:6443", "https://10.0.0.1:6443"),
        ("https://ops:s3cret@shop.example.com:8443/a", "https://shop.example.com:8443/a sha256:"),
        ("https://shop.example.com/a?token=s3cret", "https://shop.example.com/a sha256:"),
        ("https://[s3cret", "sha256:"),
        # No URL, and so as it is.
        ("kube-system/kube-dns", "kube-system/kube-dns"),
        ("see https://x/?a=b", "see https://x/?a=b"),
    ],
)
def test_a_target_has_nothing_that_lets_somebody_in(url, shown):
    found = json.loads(with_targets(ingress={"ingress_url": url, "deep": {"a": [url]}})["values"]["target of ingress"])
    assert found["ingress_url"].startswith(shown) and found["deep"]["a"] == [found["ingress_url"]] and "s3cret" not in json.dumps(found)
    # Another one is another target none the less.
    assert with_targets(ingress={"ingress_url": url}) != with_targets(ingress={"ingress_url": url + "x"})
    means = {"etcd": {"certify_prometheus_url": url}}
    assert "s3cret" not in json.dumps(fingerprint.of_run({}, {**RUN, "profile": "load", "means": means}))


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ('{"a": 1, "b": 2}', '{"a": 1, "b": 3}', ('{"b": 2}', '{"b": 3}')),
        ('{"a": 1}', '{"a": 1, "b": null}', ("{}", '{"b": null}')),
        ('{"a": 1}', None, ('{"a": 1}', None)),
        ('{"a": 1', '{"a": 2}', ('{"a": 1', '{"a": 2}')),
        ("[1]", "[2]", ("[1]", "[2]")),
        ("400", "600", ("400", "600")),
    ],
)
def test_of_two_maps_only_what_differs_is_told(before, after, shown):
    [row] = fingerprint.changes(*({"values": {"a": value, "b": 1}} for value in (before, after)))
    assert (row["before"], row["after"]) == shown


@pytest.mark.parametrize("change", [{"nodes": 4}, {"kubernetes": "v1.36.4"}, {"uid": "v"}, {"configuration": {"kubelets": "v1.36.3 (2), v1.36.4 (1)"}},
                                    {"configuration": {}}])  # fmt: skip
def test_every_change_is_seen(change):
    before, after = fingerprint.of_run(IDENTITY, RUN), fingerprint.of_run({**IDENTITY, **change}, RUN)
    assert before["hash"] != after["hash"] and len(fingerprint.changes(before, after)) == 1


@pytest.mark.parametrize("found", [None, {}, [], {"hash": "x", "values": {}}, {"hash": "x", "values": {"a": 1}}, {"values": {"a": 1}}])
def test_what_is_no_fingerprint(found):
    assert not fingerprint.is_whole(found)


def test_nodes():
    assert fingerprint.of_nodes(table("v1.36.3", "v1.35.9", "v1.36.3")) == {
        "kubelets": "v1.35.9 (1), v1.36.3 (2)", "operating systems": "Debian GNU/Linux 12 (bookworm) (3)", "kernels": "6.1 (3)",
        "container runtimes": "containerd://2.2.1 (3)"}  # fmt: skip
    for wrong in ({}, {"items": []}, {**table("x"), "rows": [{"cells": []}]}, {**table("x"), "rows": None}):
        with pytest.raises(ValueError, match="no table of nodes"):
            fingerprint.of_nodes(wrong)


def test_components():
    flags = ["--max-requests-inflight", "400", "--advertise-address=10.0.0.1", "--authorization-mode=Node,RBAC", "--event-ttl=1h30m", "--profiling",
             "--token-auth-file=/etc/t0ken", "--etcd-servers=https://user:s3cret@10.0.0.2:2379"]  # fmt: skip
    found = fingerprint.of_components([server("a", *flags), server("b", *flags[:-1], "--etcd-servers=x"), server("e", image="etcd:3.6.8", part="etcd")])
    assert found["kube-apiserver pods"] == "kube-apiserver:v1.36.3 (2)" and found["etcd pods"] == "etcd:3.6.8 (1)"
    assert found["kube-apiserver --max-requests-inflight"] == "400" and found["kube-apiserver --event-ttl"] == "1h30m"
    assert found["kube-apiserver --authorization-mode"] == "Node,RBAC" and found["kube-apiserver --profiling"] == "true"
    # Two servers that differ are not one value; what does not speak for itself is a hash.
    assert found["kube-apiserver --etcd-servers"].count("sha256:") == 2
    assert not any(text in json.dumps(found) for text in ("s3cret", "t0ken", "10.0.0", "sidecar", "other"))
    assert fingerprint.of_components([server("a", "--v=2"), server("b")])["kube-apiserver --v"] == "2 (1)"
    assert fingerprint.of_components([]) == {}


def test_versions_of_etcd():
    found = fingerprint.of_run(IDENTITY, RUN)
    hosts = {"etcd/a": {"version": "3.6.8"}, "etcd/b": {"version": "3.6.8"}, "etcd/c": {}, "etcd/d": None}
    assert fingerprint.with_etcd(found, hosts)["values"][fingerprint.ETCD] == "3.6.8 (2)"
    assert fingerprint.with_etcd(found, {}) == found


def test_how_it_reads():
    before, after = fingerprint.fingerprint({"nodes": 3, "a": "x"}), fingerprint.fingerprint({"nodes": 4, "b": "y"})
    assert fingerprint.told(fingerprint.changes(before, after)) == "a was x, is not known; b was not known, is y; nodes was 3, is 4"
    assert fingerprint.told(fingerprint.changes(before, after, ["a", "b"])) == "nodes was 3, is 4"
    many = fingerprint.changes(fingerprint.fingerprint({}), fingerprint.fingerprint({str(number): number for number in range(100)}))
    assert fingerprint.told(many).endswith("; and 90 more")


@pytest.mark.parametrize("missing", ["", "nodes", "pods"])
def test_what_may_not_be_read_is_left_out(tmp_path, missing):
    forbidden = (403, status(403, "Forbidden", "no right"))
    answers = {"GET /api/v1/nodes": lambda asked: forbidden if missing == "nodes" else table("v1.36.3") if asked.query.get("includeObject") == "None" else {},
               "GET /api/v1/namespaces/kube-system/pods": forbidden if missing == "pods" else {"items": [server("a", "--v=2")]}}  # fmt: skip
    with FakeCluster(answers) as api:
        found = cluster_info.configuration(api.kubeconfig(tmp_path / "kubeconfig"))
    assert ("kubelets" in found) is (missing != "nodes") and ("kube-apiserver --v" in found) is (missing != "pods")
