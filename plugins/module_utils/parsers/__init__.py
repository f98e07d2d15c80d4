# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parsers: output of a tool in, facts in base units out."""

from __future__ import annotations

import os

from . import clusterloader2, curl, dnsperf, etcd_benchmark, etcdctl, fio, iperf3, iperf3_sockperf, k6, k8s_netperf, kbench, kube_burner, sockperf, wrk
from .common import ParseError

# Of a text that a tool printed: parse(text) -> facts.
PARSERS = {
    "curl": curl.parse,
    "dnsperf": dnsperf.parse,
    "etcd_benchmark": etcd_benchmark.parse,
    "etcdctl": etcdctl.parse,
    "fio": fio.parse,
    "iperf3": iperf3.parse,
    "iperf3_sockperf": iperf3_sockperf.parse,
    "k8s_netperf": k8s_netperf.parse,
    "kbench": kbench.parse,
    "sockperf": sockperf.parse,
    "wrk": wrk.parse,
}
# Of a file, or a directory of files, that a tool wrote and that may be larger than the memory: parse(path) -> facts.
PATH_PARSERS = {
    "clusterloader2": clusterloader2.parse,
    "dnsperf_files": dnsperf.parse_files,
    "k6": k6.parse,
    "kbench_files": kbench.parse_files,
    "kube_burner": kube_burner.parse,
    "wrk_files": wrk.parse_files,
}


def check(tool: str) -> None:
    """Raise ParseError unless there is a parser of this name."""
    if tool not in PARSERS and tool not in PATH_PARSERS:
        raise ParseError(f"there is no parser {tool!r}; there are {', '.join(sorted([*PARSERS, *PATH_PARSERS]))}.")


def reads_path(tool: str) -> bool:
    """Tell whether the parser of `tool` reads what stands at a path, not a text; ParseError when there is none."""
    check(tool)
    return tool in PATH_PARSERS


def parse(tool: str, text: str) -> dict:
    """Return the facts in `text`, the output of `tool`; ParseError (one sentence) when it cannot be trusted."""
    if reads_path(tool):
        raise ParseError("its parser reads files: give their path.")
    if not text.strip():
        raise ParseError("it is empty.")
    return PARSERS[tool](text)


def parse_path(tool: str, path: str) -> dict:
    """Return the facts in the file or directory at `path`, written by `tool`; ParseError (one sentence) when it cannot be trusted."""
    if not reads_path(tool):
        raise ParseError("its parser reads a text, not what stands at a path.")
    missing = absent(path)
    if missing:
        raise ParseError(missing)
    return PATH_PARSERS[tool](path)


def absent(path: str):
    """Return in one sentence why there is nothing to read at `path`, or None."""
    try:
        empty = not os.listdir(path) if os.path.isdir(path) else not os.path.getsize(path)
    except OSError as error:
        return f"{path}: {error.strerror}."
    return f"{path} is empty." if empty else None
