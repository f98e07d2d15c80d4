# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_gateway, etcd_keyspace
from ansible_collections.kubeproof.certify.plugins.module_utils.web import Endpoint, HttpError
from ansible_collections.kubeproof.certify.tests.unit.plugins.etcd_fake import FakeEtcd

RANDOM = bytes(range(150, 182))


@pytest.fixture
def etcd():
    fake = FakeEtcd()
    fake.put(b"compact_rev_key")
    for number in range(30):
        fake.put(b"/registry/pods/%d" % number)
    yield fake
    fake.close()


@pytest.fixture
def gateway(etcd):
    with etcd_gateway.Gateway(Endpoint(etcd.url)) as opened:
        yield opened


def test_finds_and_deletes_exactly_the_keys(etcd, gateway):
    before = dict(etcd.keys)
    keys = etcd_keyspace.benchmark_keys(900, 8, 300)
    assert gateway.existing(keys) == []
    for key in keys[5:]:
        etcd.put(key)
    assert gateway.existing(keys) == keys[5:]
    assert gateway.delete(keys) == len(keys) - 5
    assert etcd.keys == before
    assert gateway.revision() == etcd.revision


@pytest.mark.parametrize("key", [b"/registry/pods/1", b"compact_rev_key", b"/calico/x"])
def test_deletes_nothing_when_one_key_is_not_ours(etcd, gateway, key):
    etcd.put(b"\0" * 8)
    with pytest.raises(etcd_keyspace.KeyspaceError):
        gateway.delete([b"\0" * 8, key])
    with pytest.raises(etcd_keyspace.KeyspaceError):
        gateway.delete_unchanged({"key": key, "create_revision": 2})
    assert b"\0" * 8 in etcd.keys
    assert etcd.requests == []


@pytest.mark.parametrize(
    ("key", "times", "lease", "partial", "found"),
    [
        (RANDOM, 200, 0, False, 1),
        (RANDOM, 199, 0, False, 0),
        (RANDOM, 199, 0, True, 1),
        (RANDOM, 201, 0, True, 0),
        (RANDOM[1:], 200, 0, False, 0),
        (RANDOM, 200, 5, False, 0),
        (b"/registry" + RANDOM[9:], 200, 0, False, 0),
        (b"/calico/" + b"x" * 24, 200, 0, True, 0),
        (b"\xff" * 32, 200, 0, False, 1),
    ],
)
def test_finds_the_random_key_of_watch_latency_alone(etcd, gateway, key, times, lease, partial, found):
    since = etcd.revision
    etcd.put(key, times, lease)
    records = gateway.watch_keys(32, 200, since, partial)
    assert [record["key"] for record in records] == [key] * found
    assert gateway.watch_keys(32, 200, since + 1, partial) == []
    assert all(gateway.delete_unchanged(record) for record in records)


def test_does_not_delete_a_random_key_that_was_made_again(etcd, gateway):
    since = etcd.revision
    etcd.put(RANDOM, 3)
    record, = gateway.watch_keys(32, 3, since)
    del etcd.keys[RANDOM]
    etcd.put(RANDOM)
    assert gateway.delete_unchanged(record) is False
    assert RANDOM in etcd.keys


def test_reads_all_revisions_page_by_page(etcd, monkeypatch):
    monkeypatch.setattr(etcd_gateway, "PAGE", 7)
    found = etcd_gateway.mod_revisions(Endpoint(etcd.url), b"/registry/")
    assert found == {key: record["mod_revision"] for key, record in etcd.keys.items() if key.startswith(b"/registry/")}
    assert len(etcd.requests) == 5
    assert etcd_gateway.mod_revisions(Endpoint(etcd.url), b"compact_rev_key") == {b"compact_rev_key": 2}
    assert len(etcd_gateway.mod_revisions(Endpoint(etcd.url), b"")) == 31


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((404, "404 page not found"), "--enable-grpc-gateway=true"),
        ((401, {"message": "etcdserver: user name is empty"}), "user name is empty"),
        ((503, {"error": "etcdserver: no leader", "code": 14}), "answered 503: etcdserver: no leader"),
        ((400, {"message": "etcdserver: too many operations in txn request"}), "too many operations"),
        ((200, "<html>"), "not JSON"),
        ((200, {"succeeded": True, "responses": []}), "0 of 1 operations"),
        ((500, "\udcff\n".encode("utf-8", "replace").decode()), "answered 500"),
    ],
)
def test_errors_say_what_to_do(etcd, gateway, answer, text):
    etcd.answers["/v3/kv/txn"] = answer
    with pytest.raises(HttpError, match=text):
        gateway.existing([b"\0"])


def test_a_dead_endpoint_is_one_sentence():
    with pytest.raises(HttpError, match="127.0.0.1:1/v3/kv/range: Connection refused"):
        etcd_gateway.Gateway(Endpoint("http://127.0.0.1:1")).revision()
