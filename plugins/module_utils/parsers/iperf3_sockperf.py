# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""iperf3's JSON, and after it what sockperf measured meanwhile, to the facts of both."""

from __future__ import annotations

from . import iperf3, sockperf
from .common import decode_json


def parse(text: str) -> dict:
    """Return {iperf3: its facts, sockperf: its facts}."""
    dummy, end = decode_json(text, len(text) - len(text.lstrip()))
    return {"iperf3": iperf3.parse(text[:end]), "sockperf": sockperf.parse(text[end:])}
