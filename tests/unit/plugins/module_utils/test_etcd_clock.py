# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import math

import pytest
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_clock
from ansible_collections.kubeproof.certify.plugins.module_utils.web import Endpoint
from ansible_collections.kubeproof.certify.tests.unit.plugins.etcd_fake import FakeEtcd
from hypothesis import given, settings
from hypothesis import strategies as st


@given(
    offset=st.floats(-100, 100),
    start=st.floats(1e6, 1e6 + 2),
    delays=st.lists(st.tuples(st.floats(0.0001, 0.2), st.floats(0.0001, 0.2)), min_size=1, max_size=25),
)
@settings(max_examples=80, deadline=None)
def test_the_true_difference_is_always_inside(offset, start, delays):
    samples = [
        (start + number * 0.05, start + number * 0.05 + there + back, math.floor(start + number * 0.05 + there + offset))
        for number, (there, back) in enumerate(delays)
    ]
    low, high = etcd_clock.narrow(samples)
    assert low - 1e-6 <= offset <= high + 1e-6
    assert high - low <= 1 + max(there + back for there, back in delays) + 1e-6
    smallest, largest = etcd_clock.magnitude(low, high)
    assert 0 <= smallest <= abs(offset) + 1e-3 and abs(offset) <= largest + 1e-3


def test_a_clock_that_was_set_meanwhile_is_no_answer():
    assert etcd_clock.narrow([(10.0, 10.1, 10), (11.0, 11.1, 15)]) is None


@pytest.mark.parametrize(("low", "high", "expected"), [(-0.1, 0.3, [0.0, 0.3]), (-5, -4, [4, 5]), (2, 3, [2, 3]), (0, 0.5, [0.0, 0.5])])
def test_magnitude(low, high, expected):
    assert etcd_clock.magnitude(low, high) == expected


def test_the_worst_of_several():
    assert etcd_clock.worst([[0.0, 0.3], [0.1, 0.2]]) == [0.1, 0.3]


@pytest.mark.parametrize("offset", [0.0, 3.5, -2.25])
def test_compares_with_a_real_server(offset):
    fake = FakeEtcd(clock_offset=offset)
    try:
        found, failed = etcd_clock.compare([Endpoint(fake.url)])
    finally:
        fake.close()
    low, high = found[fake.url]
    assert failed == {} and low <= abs(offset) <= high


def test_a_dead_peer_is_said_and_not_measured():
    found, failed = etcd_clock.compare([Endpoint("http://127.0.0.1:1")], limit=0.5)
    assert found == {} and failed == {"http://127.0.0.1:1": "Connection refused"}


def test_an_answer_without_a_date_is_no_measurement():
    fake = FakeEtcd()
    fake.date = "soon"
    try:
        found, failed = etcd_clock.compare([Endpoint(fake.url)], limit=1.0)
    finally:
        fake.close()
    assert found == {} and list(failed) == [fake.url]
