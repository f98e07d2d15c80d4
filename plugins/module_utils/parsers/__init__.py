# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parsers: output of a tool in, facts in base units out."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Callable, Dict

from .common import ParseError

# Ansible sends a host what it sees imported. Only what is asked for is read: a host, which keeps nothing compiled, takes 60 ms to read all.
if TYPE_CHECKING:
    from . import (  # noqa: F401  pylint: disable=unused-import
        clusterloader2, curl, dnsperf, etcd_benchmark, etcdctl, fio, iperf3, iperf3_sockperf, k6, k8s_netperf, kbench, kube_burner, sockperf, wrk,
    )  # fmt: skip


class Late:
    """The function of a parser, whose module is read when it is asked for."""

    def __init__(self, module: str, function: str = "parse") -> None:
        self.module, self.function = f".{module}", function

    def read(self) -> Callable[[str], dict]:
        """Return the function."""
        return getattr(importlib.import_module(self.module, __name__), self.function)

    def __call__(self, given: str) -> dict:
        return self.read()(given)


# Of a text that a tool printed: parse(text) -> facts.
PARSERS: Dict[str, Callable[[str], dict]] = {
    "curl": Late("curl"),
    "dnsperf": Late("dnsperf"),
    "etcd_benchmark": Late("etcd_benchmark"),
    "etcdctl": Late("etcdctl"),
    "fio": Late("fio"),
    "iperf3": Late("iperf3"),
    "iperf3_sockperf": Late("iperf3_sockperf"),
    "k8s_netperf": Late("k8s_netperf"),
    "kbench": Late("kbench"),
    "sockperf": Late("sockperf"),
    "wrk": Late("wrk"),
}
# Of a file, or a directory of files, that a tool wrote and that may be larger than the memory: parse(path) -> facts.
PATH_PARSERS: Dict[str, Callable[[str], dict]] = {
    "clusterloader2": Late("clusterloader2"),
    "dnsperf_files": Late("dnsperf", "parse_files"),
    "k6": Late("k6"),
    "kbench_files": Late("kbench", "parse_files"),
    "kube_burner": Late("kube_burner"),
    "wrk_files": Late("wrk", "parse_files"),
}


def check(tool: str) -> None:
    """Raise ParseError unless there is a parser of this name; and read it, since what Ansible sent to a host may be gone when a tool ends after a day."""
    found = PARSERS.get(tool) or PATH_PARSERS.get(tool)
    if not found:
        raise ParseError(f"there is no parser {tool!r}; there are {', '.join(sorted([*PARSERS, *PATH_PARSERS]))}.")
    if isinstance(found, Late):
        found.read()


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
