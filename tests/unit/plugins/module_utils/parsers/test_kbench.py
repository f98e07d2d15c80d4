# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils.parsers import kbench
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers.common import ParseError

TEXT = (pathlib.Path(__file__).parents[4] / "fixtures" / "kbench" / "quick.out").read_text(encoding="utf-8")


@pytest.mark.parametrize(("size", "bytes_"), [("64M", 64 * 2**20), ("30G", 30 * 2**30), ("1T", 2**40), ("512K", 2**19), ("30Gi", 30 * 2**30)])
def test_sizes(size, bytes_):
    assert kbench.parse(TEXT.replace("Size: 64M", f"Size: {size}"))["size"] == bytes_


def test_both_modes():
    assert kbench.parse(TEXT.replace("Mode: quick", "Mode: full")) == {**kbench.parse(TEXT), "mode": "full"}


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("FIO Benchmark Summary", "Summary",
         "it has no summary of kbench; it ends with 'quential:          33,941 / 37,934\\n\\n\\n\\nreal\\t1m17.611s\\nuser\\t0m6.200s\\nsys\\t0m14.442s'."),
        ("Mode: quick", "Mode: random-read-iops", "the mode is 'random-read-iops': the summary of any but quick and full is not complete."),
        ("Mode: quick\n", "", "the mode is '': the summary of any but quick and full is not complete."),
        ("Size: 64M", "Size: big", "the size is 'big', not a number of bytes."),
        ("109,081", "0", "random read iops is '0', so it was not measured."),
        ("84,276", "null", "random write iops is 'null', so it was not measured."),
        ("84,276\n", "\n", "random write iops is '', so it was not measured."),
        ("84,276", "84,27", "random write iops is '84,27', so it was not measured."),
        ("Latency in ns", "Latency in ms", "bandwidth has random twice."),
        ("IOPS (Read/Write)", "Latency in ns (Read/Write)", "the section 'Latency in ns (Read/Write)' is there twice."),
        ("    Sequential:          33,941 / 37,934\n", "", "the summary has no sequential latency, so kbench did not go to its end."),
    ],
)
def test_refused(old, new, error):
    assert old in TEXT
    with pytest.raises(ParseError) as caught:
        kbench.parse(TEXT.replace(old, new))
    assert str(caught.value) == error


def test_two_summaries_are_refused():
    with pytest.raises(ParseError, match="it has several summary of kbench; "):
        kbench.parse(TEXT + TEXT)
