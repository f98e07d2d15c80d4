# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look at the health between two steps of a stress run says: whether something restarted, was killed, is not ready or elected. Pure.

A look is {nodes: {not_ready: [names]}, pods: {namespace/name: {restarts, reason}}, etcd: {endpoints (endpoint status), quota}, error}; a part
that was not looked at is absent in all looks. `error` says why a look could not be had.
"""

from __future__ import annotations

from typing import Any, Tuple

# The share of its quota from which on etcd is not written to (design.md).
FULL = 0.8


def worsened(first: Any, before: Any, after: Any) -> Tuple[str, str]:
    """Return (what became worse in a sentence or "", why no load may follow or "").

    What restarts or elects does so once, since the look before; what is lost stays lost until it is as at first.
    """
    first, before, after = _map(first), _map(before), _map(after)
    said = _nodes(_map(first.get("nodes")), _map(after.get("nodes")))
    said += _pods(_map(before.get("pods")), _map(after.get("pods")))
    etcd, stop = _etcd(*(_map(look.get("etcd")) for look in (first, before, after)))
    return "; ".join(said + etcd), stop


def unread(before: Any, after: Any) -> str:
    """Return why the two looks cannot be compared, or ""."""
    for look in (_map(before), _map(after)):
        if look.get("error"):
            return f"the health could not be read: {look['error']}"
    return "the health was not read" if not before or not after or set(before) != set(after) else ""


def _map(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _nodes(before: dict, after: dict) -> list:
    ill = sorted(set(after.get("not_ready") or ()) - set(before.get("not_ready") or ()))
    return [f"{', '.join(ill[:3])} {'is' if len(ill) == 1 else 'are'} not ready"] if ill else []


def _pods(before: dict, after: dict) -> list:
    said = []
    for name, pod in sorted(after.items()):
        first = _map(before.get(name))
        if pod.get("restarts", 0) > first.get("restarts", 0 if name in before else pod.get("restarts", 0)):
            reason = f" ({pod['reason']})" if pod.get("reason") else ""
            said.append(f"{name} restarted{reason}")
    return said[:3]


def _etcd(first: dict, before: dict, after: dict) -> Tuple[list, str]:
    members, last = _map(first.get("endpoints")), _map(after.get("endpoints"))
    said = [f"etcd {stop}" for stop in (_full(last, after.get("quota")),) if stop]
    stop = said[0] if said else ""
    terms = [max((one.get("raft_term", 0) for one in look.values()), default=0) for look in (_map(before.get("endpoints")), last)]
    if terms[1] > terms[0]:
        said.append("etcd elected a leader")
    if len(last) < len(members):
        said.append(f"{len(members) - len(last)} of {len(members)} members of etcd do not answer")
    return said, stop


def _full(endpoints: dict, quota: Any) -> str:
    """Return why etcd may not be written to."""
    if any(one.get("errors") for one in endpoints.values()):
        return f"reports {next(one['errors'][0] for one in endpoints.values() if one.get('errors'))}"
    sizes = [one["db_size"] / (one.get("db_quota") or quota) for one in endpoints.values() if one.get("db_size") and (one.get("db_quota") or quota)]
    return f"has filled {max(sizes):.0%} of its quota" if sizes and max(sizes) > FULL else ""
