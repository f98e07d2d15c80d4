# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_keyspace
from ansible_collections.kubeproof.certify.plugins.modules import etcd_keys
from ansible_collections.kubeproof.certify.tests.unit.plugins.etcd_fake import FakeEtcd

PUT = {"total": 900, "key_size": 8, "key_space_size": 300}
RANDOM = bytes(range(150, 182))


@pytest.fixture
def etcd():
    fake = FakeEtcd()
    for key in (b"compact_rev_key", b"/registry/a", b"/calico/" + b"x" * 24):
        fake.put(key)
    yield fake
    fake.close()


@pytest.fixture
def run(etcd, capsys):
    """Return a function that runs the module and returns its answer."""

    def call(**arguments):
        with patch_module_args({"endpoint": {"url": etcd.url}, **arguments}), pytest.raises(SystemExit):
            etcd_keys.main()
        return json.loads(capsys.readouterr().out)

    return call


def load(etcd):
    for key in etcd_keyspace.benchmark_keys(**PUT):
        etcd.put(key)
    etcd.put(RANDOM, 10)


def test_deletes_the_keys_and_nothing_else(etcd, run):
    before = dict(etcd.keys)
    since = etcd.revision
    load(etcd)
    watch = {"key_size": 32, "puts": 10, "since": since}
    planned = run(puts=[PUT], watch=watch, _ansible_check_mode=True)
    assert planned["changed"] and planned["facts"]["present"] == 364 and planned["facts"]["watch"] == {"found": 1, "deleted": 0, "left": 1}
    assert len(etcd.keys) == len(before) + 365
    answer = run(puts=[PUT], watch=watch)
    assert answer["changed"] and answer["facts"] == {
        "predicted": 364, "deleted": 364, "left": 0, "revision": etcd.revision, "watch": {"found": 1, "deleted": 1, "left": 0}
    }
    assert etcd.keys == before
    again = run(puts=[PUT], watch=dict(watch, partial=True))
    assert again["changed"] is False and again["facts"]["deleted"] == 0


@pytest.mark.parametrize(
    ("watch", "text"),
    [
        ({"key_size": 8, "puts": 10, "since": 1}, "at least 16 bytes"),
        ({"key_size": 32, "puts": 11, "since": 1}, "0 keys look like those of 1 runs"),
        ({"key_size": 32, "puts": 10, "since": 1, "runs": 2}, "1 keys look like those of 2 runs"),
        ({"key_size": 32, "puts": 10, "since": 1, "runs": 0, "partial": True}, "1 keys look like those of 0 runs"),
    ],
)
def test_an_unclear_random_key_is_not_deleted(etcd, run, watch, text):
    etcd.put(RANDOM, 10)
    answer = run(watch=watch)
    assert answer["failed"] and text in answer["msg"] and RANDOM in etcd.keys


def test_keys_that_come_back_are_said(etcd, run, monkeypatch):
    load(etcd)
    monkeypatch.setattr(etcd, "txn", lambda body, plain=etcd.txn: plain({"success": [
        one if "request_range" in one else {"request_delete_range": {"key": "AP8="}} for one in body["success"]
    ]}))
    answer = run(puts=[PUT])
    assert answer["failed"] and answer["facts"]["left"] == 364 and "364 of 364 keys" in answer["msg"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"puts": [dict(PUT, key_size=2)]}, "use at least 3"),
        ({"puts": [{"total": 10**9, "key_size": 256, "key_space_size": 10**9}]}, "lower key_space_size"),
        ({"endpoint": {"url": "ftp://x"}}, "is not an http or https URL"),
        ({"endpoint": {"url": "https://127.0.0.1:1", "ca": "/no/ca.crt"}}, "the CA file /no/ca.crt cannot be used"),
    ],
)
def test_errors_are_one_sentence(run, arguments, text):
    answer = run(**arguments)
    assert answer["failed"] and text in answer["msg"] and "Traceback" not in answer["msg"] and "facts" not in answer
