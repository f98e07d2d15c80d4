# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import pathlib

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils.parsers import etcd_benchmark
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers.common import ParseError

FIXTURES = pathlib.Path(__file__).parents[4] / "fixtures" / "etcd_benchmark"
PUT = gzip.decompress((FIXTURES / "put-3.5.gz").read_bytes()).decode("utf-8")
QUOTA = (FIXTURES / "put-quota-3.6.out").read_text(encoding="utf-8")
MIXED = (FIXTURES / "txn-mixed-3.6.out").read_text(encoding="utf-8")
LATENCY = (FIXTURES / "watch-latency-3.6.out").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "old", "new", "error"),
    [
        (PUT, "0.0168 secs.", "0.0068 secs.", "the latency distribution is not in order."),
        (PUT, "99.9% in 0.0201", "99.9% in 0.0301", "the percentile 99.9 is 0.0301 s, which the histogram contradicts."),
        (PUT, "  99% in 0.0168 secs.\n", "", "the 99 % line of the latency distribution is missing."),
        (PUT, "Fastest:\t0.0002", "Fastest:\t0.0302", "the average 0.0027 s is not between the fastest 0.0302 s and the slowest 0.0205 s."),
        (PUT, "Stddev:\t0.0033", "Stddev:\t0.0133", "the standard deviation 0.0133 s is more than half of the range."),
        (PUT, "Requests/sec:\t3657", "Requests/sec:\t7657", "it reports 2000 requests, but 7657.11 requests/s for 0.5469 s."),
        (PUT, "3657.1054", "+Inf", "the line '  Requests/sec:\\t+Inf' below summary is not understood."),
        (PUT, "0.0027 secs", "NaN secs", "the line '  Average:\\tNaN secs.' below summary is not understood."),
        (PUT, "0.0002 secs", "-0.0002 secs", "the line '  Fastest:\\t-0.0002 secs.' below summary is not understood."),
        (PUT, "0.5469", "1e999", "the summary has a number that is not possible."),
        (PUT, "  Average:\t0.0027 secs.\n", "", "the summary is not complete."),
        (PUT, "[1411]", "[1412]", "it reports 2001 requests, but 3657.11 requests/s for 0.5469 s."),
        (PUT, "  0.0205 [11]\t|\n", "", "the histogram is not complete."),
        (PUT, "  0.0104 [97]", "  0.0204 [97]", "the bounds of the histogram do not fit the fastest and the slowest request."),
        (PUT, "Latency distribution:", "", "the latency distribution is missing."),
        (PUT, "Summary:", "", "the summary is missing."),
        (PUT, "Latency distribution:", "Summary:", "the section 'Summary:' is there twice."),
        (QUOTA, "[1463]", "[0]", "there is an error distribution without errors."),
        (QUOTA, "[1463]", "[14", "the line '  [14\\tetcdserver: mvcc: database space exceeded' below errors is not understood."),
        (MIXED, "Total Read Ops: 235", "Total Read Ops: 236", "it reports 236 requests, but lists 235 successes and 0 errors."),
        (MIXED, "Total Write Ops: 265", "Total Read Ops: 265", "the report of read is there twice or mixed with another."),
        (LATENCY, "Put summary:", "", "the report of watch is there twice or mixed with another."),
        (LATENCY[:LATENCY.index("Watch events")], "x", "y", "it has the reports put and lacks their counterpart."),
        ("Usage:\n  benchmark put [flags]\n", "x", "y", "there is no report in it; it begins with 'Usage:\\n  benchmark put [flags]'."),
    ],
)
def test_contradictions(text, old, new, error):
    with pytest.raises(ParseError) as caught:
        etcd_benchmark.parse(text.replace(old, new, 1))
    assert str(caught.value) == error


def test_progress_bar_before_the_summary():
    assert etcd_benchmark.parse(PUT) == etcd_benchmark.parse(PUT[PUT.index("\nSummary"):]) == etcd_benchmark.parse(PUT.replace("\n", "\r\n"))


def test_no_request_of_one_kind():
    text = MIXED[:MIXED.index("Total Write")] + "Total Write Ops: 0\nDetails:\n"
    assert etcd_benchmark.parse(text)["write"] == {"rate": 0.0, "errors": 0, "latency": {"count": 0}}


@pytest.mark.parametrize(
    ("errors", "p95", "p99"),
    [
        (0, 0.01, 0.0168),
        (1, [0.01, 0.0168], [0.0168, 0.0201]),
        (10, [0.01, 0.0168], [0.0168, 0.0201]),
        (30, [0.01, 0.0168], [0.0205, None]),
        (300, [0.0205, None], [0.0205, None]),
    ],
)
def test_failures_are_slower_than_every_success(errors, p95, p99):
    text = PUT + (f"Error distribution:\n  [{errors}]\tetcdserver: too many requests\n" if errors else "")
    facts = etcd_benchmark.parse(text)
    assert (facts["errors"], facts["latency"]["count"]) == (errors, 2000)
    assert (facts["latency"]["p95"], facts["latency"]["p99"]) == (p95, p99)


@pytest.mark.parametrize(
    ("percent", "count", "rank"),
    [(99.0, 99, 99), (99.0, 100, 99), (99.0, 101, 100), (99.9, 1000, 999), (99.9, 999, 999), (50.0, 2, 1), (10.0, 1, 1)],
)
def test_rank_is_the_tools_own(percent, count, rank):
    index = next((i for i in range(count) if i * 100.0 / count >= percent), count)
    assert etcd_benchmark._rank(percent, count) == index == rank
