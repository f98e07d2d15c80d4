# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where two hosts are configured differently, and where a file differs from what runs. Pure; runs on the controller only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Dict, List

from . import tuning_units

ADDRESS = re.compile(r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b|\[[0-9a-fA-F:]+\]")
# Flags that are a host's own.
OWN = frozenset(("name", "hostname-override", "node-ip", "node-labels", "initial-cluster-state", "initial-cluster", "provider-id"))
MOST = 5
NOTHING = "nothing"


def differences(values: Mapping[str, Mapping], ignored=OWN) -> List[str]:
    """Return a sentence for each setting that is not the same on all hosts, from {host: {setting: value}}; own names and addresses are no difference."""
    plain = {host: {name: anonymous(value, host) for name, value in own.items() if name not in ignored} for host, own in values.items()}
    names = sorted({name for own in plain.values() for name in own})
    found = []
    for name in names:
        by_value: Dict[str, List[str]] = {}
        for host in plain:
            by_value.setdefault(repr(plain[host].get(name, NOTHING)), []).append(host)
        if len(by_value) > 1:
            # What most hosts have comes first.
            parts = sorted(by_value.items(), key=lambda one: (-len(one[1]), one[1]))
            found.append(f"{name}: " + ", ".join(f"{_text(value)} on {_hosts(hosts)}" for value, hosts in parts))
    return shortened(found)


def stale(running: Mapping, written: Mapping, where: str) -> List[str]:
    """Return a sentence for each flag that a process runs with otherwise than a file says."""
    names = sorted(name for name in {*running, *written} if running.get(name) != written.get(name))
    return shortened([f"{name} is {written.get(name, NOTHING)} in {where}, {running.get(name, NOTHING)} in the process" for name in names])


def unlike(written: Any, running: Any, path: str = "") -> List[str]:
    """Return a sentence for each value of a configuration that runs with another one; an empty value in a file means the default."""
    if isinstance(written, Mapping):
        inner = running if isinstance(running, Mapping) else {}
        return [one for name, value in sorted(written.items()) for one in unlike(value, inner.get(name), f"{path}.{name}" if path else str(name))]
    if written in (None, "", "0s", 0, [], False) or _comparable(written) == _comparable(running):
        return []
    return [f"{path} is {written} in the file, {NOTHING if running is None else running} in the process"]


def shortened(found: List[str]) -> List[str]:
    """Return at most a few of the sentences, and how many more there are."""
    return found[:MOST] + ([f"and {len(found) - MOST} more"] if len(found) > MOST else [])


def _comparable(value: Any) -> Any:
    """Return a value so that 1m0s is 60s and the two names of a socket are one."""
    found = tuning_units.seconds(value)
    if found is not None:
        return found
    return re.sub(r"^unix://(/var)?/run/", "/run/", value) if isinstance(value, str) else value


def anonymous(value: Any, host: str) -> Any:
    """Return a value without the host's own name and addresses."""
    if not isinstance(value, str):
        return value
    short = host.split(".")[0]
    return ADDRESS.sub("*", re.sub(rf"(?<![\w.]){re.escape(host)}(?![\w])|(?<![A-Za-z0-9]){re.escape(short)}(?![A-Za-z0-9])", "*", value))


def _text(value: str) -> str:
    text = value.strip("'\"")
    return text if len(text) <= 60 else text[:57] + "..."


def _hosts(hosts: List[str]) -> str:
    return ", ".join(hosts) if len(hosts) < 4 else f"{hosts[0]} and {len(hosts) - 1} more"
