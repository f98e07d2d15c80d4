# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_keyspace
from hypothesis import given, settings
from hypothesis import strategies as st


def replay(total, key_size, key_space_size):
    """Do what tools/benchmark/cmd/put.go does, step by step: one buffer, never cleared."""
    buffer, keys = bytearray(key_size), set()
    for number in range(total):
        rest, position = (number % key_space_size) << 1, 0
        while rest >= 0x80:
            buffer[position] = rest & 0x7F | 0x80
            rest >>= 7
            position += 1
        buffer[position] = rest
        keys.add(bytes(buffer))
    return sorted(keys)


@pytest.mark.parametrize(
    ("number", "expected"), [(0, "00"), (1, "02"), (63, "7e"), (64, "8001"), (299, "d604"), (8191, "fe7f"), (8192, "808001"), (2**31, "8080808010")]
)
def test_numbers_are_written_as_go_does(number, expected):
    assert etcd_keyspace.varint(number).hex() == expected


@pytest.mark.parametrize(
    ("total", "key_size", "key_space_size", "count"),
    # Every count was seen with the real benchmark of etcd 3.6.8, with three clients.
    [
        (900, 8, 300, 364), (900, 256, 300, 364), (1, 8, 1, 1), (100, 8, 1, 1), (500, 8, 500, 500), (501, 8, 500, 501), (3000, 256, 64, 64),
        (3000, 256, 65, 129), (20000, 8, 9000, 17192), (30000, 256, 10000, 18192), (20000, 8, 8192, 8256), (20000, 8, 8193, 16385), (5000, 64, 7000, 5000),
    ],
)
def test_predicts_what_the_tool_writes(total, key_size, key_space_size, count):
    keys = etcd_keyspace.benchmark_keys(total, key_size, key_space_size)
    assert len(keys) == count
    assert keys == replay(total, key_size, key_space_size)


@given(
    total=st.integers(1, 20000),
    key_size=st.integers(4, 40),
    key_space_size=st.one_of(st.integers(1, 40000), st.sampled_from([63, 64, 65, 8191, 8192, 8193])),
)
@settings(max_examples=40, deadline=None)
def test_equals_the_plain_replay(total, key_size, key_space_size):
    keys = etcd_keyspace.benchmark_keys(total, key_size, key_space_size)
    assert keys == replay(total, key_size, key_space_size)
    for key in keys:
        etcd_keyspace.check_deletable(key)


def test_a_killed_run_has_left_a_part_of_the_prediction():
    whole = set(etcd_keyspace.benchmark_keys(2000, 8, 700))
    assert all(set(replay(done, 8, 700)) <= whole for done in range(1, 2000, 97))


@pytest.mark.parametrize(("total", "key_size", "key_space_size"), [(100, 1, 64), (100, 2, 100), (0, 8, 10), (10, 8, 0)])
def test_refuses_sizes_that_do_not_tell_keys_from_text(total, key_size, key_space_size):
    with pytest.raises(etcd_keyspace.KeyspaceError):
        etcd_keyspace.benchmark_keys(total, key_size, key_space_size)


@pytest.mark.parametrize(
    "key", [b"/registry", b"/registry/pods/default/a", b"/registry\0\xff", b"compact_rev_key", b"/calico/resources", "größe".encode(), b"", b" "]
)
def test_keys_of_others_are_never_deletable(key):
    with pytest.raises(etcd_keyspace.KeyspaceError):
        etcd_keyspace.check_deletable(key)


@pytest.mark.parametrize("key", [b"\0" * 8, b"\xd6\x04\0\0", bytes(range(200, 232))])
def test_keys_of_benchmark_are_deletable(key):
    etcd_keyspace.check_deletable(key)


@given(sizes=st.lists(st.integers(1, 50), max_size=60), count=st.integers(1, 9), size=st.integers(1, 120))
@settings(max_examples=50, deadline=None)
def test_batches_keep_every_key_and_both_bounds(sizes, count, size):
    keys = [b"k" * one for one in sizes]
    found = list(etcd_keyspace.batches(keys, count, size))
    assert [key for batch in found for key in batch] == keys
    assert all(len(batch) <= count and (len(batch) == 1 or sum(map(len, batch)) <= size) for batch in found)
