# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever happens to recorded output: facts of finite numbers, or one sentence, and soon."""

from __future__ import annotations

import json
import math
import pathlib
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import parsers
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers.common import ParseError

FIXTURES = pathlib.Path(__file__).parents[4] / "fixtures"
# Large fixtures say nothing new to a mutation and cost time.
LARGEST = 30_000
BOUND = 5.0
OUTPUTS = {
    tool: [
        path.read_bytes()
        for path in sorted((FIXTURES / tool).glob("*"))
        if path.suffix in (".out", ".json", ".err") and path.stat().st_size < LARGEST
    ]
    for tool in parsers.PARSERS
}
HOSTILE = (
    *(b"\x00", b"\xff\xfe", b"NaN", b"-1", b"1e999", b"9" * 5000, b"\r", b"\n", b'"', b"[" * 3000),
    *(b"{\n", b"true", b"null", b"\\ud800", b"-", b"e5", "∎".encode()),
)
PIECES = ("{", "{\n", "[", "\n", "\r", " ", "0", "9", "∎", "PASS", "Summary:\n", "Put summary:\n", "FAIL: ERROR(", "terminating", "\x00")
# What a tool may not know.
UNKNOWN = {"mss", "retransmits", "latency_p99", "loss", "confidence", "mtu", "kernel", "zone"}


def check_leaves(value):
    """Allow what a fact may be: finite numbers, bools, strings without surrogates, lists and mappings of them, an interval without upper end."""
    if isinstance(value, dict):
        for key, entry in value.items():
            assert isinstance(key, str)
            if entry is not None or key not in UNKNOWN:
                check_leaves(entry)
    elif isinstance(value, list):
        if len(value) == 2 and value[1] is None:
            value = value[:1]
        for entry in value:
            check_leaves(entry)
    else:
        assert isinstance(value, (bool, int, float, str))
        assert not isinstance(value, float) or math.isfinite(value)


def survive(tool, data):
    """Parse; the outcome is facts or one sentence."""
    started = time.monotonic()
    try:
        facts = parsers.parse(tool, data.decode("utf-8", "replace"))
    except ParseError as error:
        assert str(error).endswith(".") and "\n" not in str(error) and len(str(error)) < 1000
    else:
        check_leaves(facts)
        json.dumps(facts, allow_nan=False, ensure_ascii=False).encode("utf-8")
    assert time.monotonic() - started < BOUND


@st.composite
def mutated(draw, tool):
    """Draw recorded output of `tool` with lines deleted, repeated or swapped, digits changed, bytes inserted, or its end cut off."""
    data = draw(st.sampled_from(OUTPUTS[tool]))
    for dummy in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(("delete", "repeat", "swap", "cut", "digit", "insert")))
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        if kind == "cut":
            data = data[:at]
        elif kind == "insert":
            data = data[:at] + draw(st.one_of(st.sampled_from(HOSTILE), st.binary(max_size=8))) + data[at:]
        elif kind == "digit":
            places = [place for place in range(at, min(at + 200, len(data))) if data[place:place + 1].isdigit()]
            if places:
                data = data[:places[0]] + str(draw(st.integers(0, 9))).encode() + data[places[0] + 1:]
        else:
            lines = data.split(b"\n")
            one, other = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
            changed = {"delete": [], "repeat": [lines[one]] * 2, "swap": [lines[other]]}[kind]
            if kind == "swap":
                lines[other] = lines[one]
            data = b"\n".join(lines[:one] + changed + lines[one + 1:])
    return data


@pytest.mark.parametrize("tool", sorted(parsers.PARSERS))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_survives_mutations(tool, data):
    survive(tool, data.draw(mutated(tool)))


@pytest.mark.parametrize("tool", sorted(parsers.PARSERS))
@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=300))
def test_survives_any_bytes(tool, data):
    survive(tool, data)


@pytest.mark.parametrize("tool", sorted(parsers.PARSERS))
@pytest.mark.parametrize("piece", PIECES)
def test_survives_long_repetitions(tool, piece):
    survive(tool, (piece * 200_000).encode())


@pytest.mark.parametrize("tool", sorted(parsers.PARSERS))
def test_cut_off_output_gives_no_number(tool):
    """Cut anywhere, JSON is refused; a text report may only lose blank space or the errors, which follow its last number."""
    for data in OUTPUTS[tool]:
        text = data.decode("utf-8", "replace")
        for at in range(0, len(text.rstrip()), max(1, len(text) // 150)):
            if "Error distribution" in text and text[:at].rstrip().endswith("secs."):
                continue
            try:
                facts = parsers.parse(tool, text[:at])
            except ParseError:
                continue
            assert "Error distribution" in text or facts == parsers.parse(tool, text), text[:at][-200:]
