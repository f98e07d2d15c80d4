# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fingerprint of a cluster's configuration: readable names and values, and one hash over them. Pure; runs on the controller only.

Two runs whose fingerprints are equal measured the same cluster in the same configuration under the same expectations, loaded alike and at the same
places, so that they may be joined, and a run may be resumed. What could not be read has no name in it; a fingerprint that lacks a name differs from
one that has it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Dict, List, Optional, Tuple
from urllib.parse import urlsplit, urlunsplit

from . import load_settings

# Columns of the API server's table of nodes -> name.
COLUMNS = {"Version": "kubelets", "OS-Image": "operating systems", "Kernel-Version": "kernels", "Container-Runtime": "container runtimes"}
# A server's own: they differ between servers of one cluster, and change with an address.
OWN_FLAGS = frozenset(("advertise-address", "bind-address", "node-ip", "hostname-override"))
# Values that say themselves; of others, such as paths and addresses, only whether they changed is told.
NUMBER = r"[0-9]{1,12}(?:\.[0-9]+)?(?:[a-zA-Z%]{1,3})?(?:[0-9]+[a-z]{1,2})*"
NAME = r"[A-Z][A-Za-z]{1,40}(?:=(?:true|false))?"
SPEAKING = re.compile(f"{NUMBER}|true|false|{NAME}(?:,{NAME})*")
# How a layer is loaded is known of the layers and the profile of a run alone, and where its load goes of the layers.
LOAD = "load of "
TARGET = "target of "
# By which engine a layer is loaded, by how many generators, and which steps it only has where they are asked for: a run that goes on has to have the same,
# but a layer that failed for a busy generator may be certified again with more of them.
MEANS = "means of "
# How an etcd cluster is asked, and what has recorded a soak of it, is nothing of where it is.
CLUSTERS = "etcd_clusters"
ACCESS = frozenset(("ca", "cert", "key", "recordings", "prometheus_selector"))
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
ETCD = "etcd versions"
ETCD_PODS = "etcd pods"
# One counted member, and one counted image such as etcd:3.6.8-0.
MEMBER = re.compile(r"(\d+\.\d+\.\d+\S*) \(\d+\)")
IMAGE = re.compile(r"etcd:v?(\d+\.\d+\.\d+)(?:-\S+)? \(\d+\)")
SHOWN = 10


def fingerprint(values: Mapping) -> Dict[str, Any]:
    """Return {hash, values}: the SHA-256 of the JSON of the values with sorted names."""
    plain = {str(name): values[name] for name in sorted(values)}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return {"hash": hashlib.sha256(text.encode("ascii")).hexdigest(), "values": plain}


def is_whole(found: Any) -> bool:
    """Say whether this is a fingerprint whose hash is that of its values."""
    return isinstance(found, Mapping) and isinstance(found.get("values"), Mapping) and bool(found["values"]) and fingerprint(found["values"]) == dict(found)


def of_run(identity: Mapping, run: Mapping) -> Dict[str, Any]:
    """Return the fingerprint that preflight takes.

    `identity`: what cluster_info returns, {} without a kubeconfig; `run`: version, hosts {group: [names]}, settings {thresholds, capacity, tiers},
    profile, loads, targets and means {layer: {variable: value}}, and what else changes the meaning of numbers, {name: text or number} in `more`.
    """
    values: Dict[str, Any] = {"kubeproof.certify": run["version"]}
    names = {"uid": "cluster uid", "kubernetes": "Kubernetes", "nodes": "nodes"}
    values.update({text: identity[name] for name, text in names.items() if identity.get(name) is not None})
    values.update(identity.get("configuration") or {})
    values.update({f"hosts of {group}": ", ".join(sorted(members)) for group, members in (run.get("hosts") or {}).items()})
    settings = run.get("settings") or {}
    values.update({f"capacity {name}": value for name, value in (settings.get("capacity") or {}).items()})
    values.update({f"tier of {name}": value for name, value in (settings.get("tiers") or {}).items()})
    for check, changed in (settings.get("thresholds") or {}).items():
        values.update({f"threshold {check} {bound}": _text(value) for bound, value in changed.items() if bound != "reason"})
    loads = load_settings.entries(run.get("loads") or {}, run.get("profile", ""))
    values.update({f"{LOAD}{layer} in {run['profile']}": _text(_told_openly(entry)) for layer, entry in loads.items()})
    values.update({f"{TARGET}{layer}": _text(_told_openly(given)) for layer, given in (run.get("targets") or {}).items()})
    values.update({f"{MEANS}{layer} in {run['profile']}": _text(_told_openly(given)) for layer, given in (run.get("means") or {}).items()})
    values.update(run.get("more") or {})
    return fingerprint(values)


def unshared(before: Mapping, after: Mapping) -> List[str]:
    """Return the names of loads, targets and means that one of two fingerprints alone has: it ran other layers, or another profile."""
    return sorted(name for name in {*before["values"]} ^ {*after["values"]} if name.startswith((LOAD, TARGET, MEANS)))


def means(*prints: Mapping) -> List[str]:
    """Return the names of all means in some fingerprints."""
    return sorted({name for one in prints for name in one["values"] if name.startswith(MEANS)})


def with_etcd(found: Mapping, hosts: Mapping) -> Dict[str, Any]:
    """Return a fingerprint with the versions that members of etcd run, from the facts of the layer etcd {host: facts}."""
    versions = counted(str(facts["version"]) for facts in hosts.values() if isinstance(facts, Mapping) and facts.get("version"))
    return fingerprint({**found["values"], **({ETCD: versions} if versions else {})})


def etcd_versions(values: Mapping) -> str:
    """Return the versions of etcd that a fingerprint's values name, such as `3.6.8`: of the members that were asked, else of their pods; "" for neither."""
    for name, form in ((ETCD, MEMBER), (ETCD_PODS, IMAGE)):
        found = [form.fullmatch(one) for one in str(values[name]).split(", ")] if values.get(name) else []
        if found and all(found):
            return ", ".join(sorted({one.group(1) for one in found}))
    return ""


def of_nodes(table: Mapping) -> Dict[str, Any]:
    """Return what the API server's table of nodes says; ValueError when it is none."""
    try:
        titles = [column["name"] for column in table["columnDefinitions"]]
        rows = [row["cells"] for row in table["rows"]]
        return {name: counted(str(row[titles.index(title)]) for row in rows) for title, name in COLUMNS.items() if title in titles}
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"the answer is no table of nodes ({type(error).__name__})") from error


def of_components(pods: Iterable[Mapping]) -> Dict[str, Any]:
    """Return images and flags of API servers and members of etcd that are pods of kube-system; {} where they are none."""
    images: Dict[str, List[str]] = {}
    flags: Dict[str, List[str]] = {}
    for pod in pods:
        part = (pod["metadata"].get("labels") or {}).get("component")
        for container in pod["spec"].get("containers") or ():
            if part not in ("kube-apiserver", "etcd") or container.get("name") != part:
                continue
            images.setdefault(part, []).append(str(container.get("image", "")).rpartition("/")[2])
            if part == "kube-apiserver":
                for name, value in _flags([*(container.get("command") or ()), *(container.get("args") or ())]).items():
                    flags.setdefault(name, []).append(value)
    found: Dict[str, Any] = {f"{part} pods": counted(texts) for part, texts in images.items()}
    servers = len(images.get("kube-apiserver", ()))
    # A flag that not every server has is a difference too.
    found.update({f"kube-apiserver --{name}": _text(counted(values)) if len(set(values)) > 1 or len(values) < servers else values[0]
                  for name, values in flags.items()})  # fmt: skip
    return found


def _flags(argv: Sequence) -> Dict[str, str]:
    found: Dict[str, List[str]] = {}
    words = [str(word) for word in argv]
    for word, following in zip(words, [*words[1:], "--"]):
        name, is_set, value = word.partition("=")
        if name.startswith("--") and name[2:] not in OWN_FLAGS:
            # Its value may be the next word.
            found.setdefault(name[2:], []).append(value if is_set else "true" if following.startswith("--") else following)
    # A flag may be given more than once, in an order that may matter.
    return {name: _speaking(",".join(values)) for name, values in found.items()}


def _speaking(value: str) -> str:
    """Return the value of a flag where it is a number, a duration, a truth or a list of names, else a short hash: paths and keys stay where they are."""
    return value if SPEAKING.fullmatch(value) else _hashed(value)


def _hashed(value: str) -> str:
    return "sha256:" + hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()[:16]


def counted(texts: Iterable[str]) -> str:
    """Return `v1.36.3 (3), v1.35.9 (1)`: each text with how often it is there, by name."""
    counts: Dict[str, int] = {}
    for text in texts:
        counts[text] = counts.get(text, 0) + 1
    return ", ".join(f"{text} ({counts[text]})" for text in sorted(counts))


def _told_openly(value: Any) -> Any:
    """Return a setting without what lets somebody in: of a URL its user and what is asked are a hash."""
    if isinstance(value, Mapping):
        return {name: _told_openly(_places(one) if name == CLUSTERS else one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_told_openly(one) for one in value]
    if not isinstance(value, str) or not URL.fullmatch(value):
        return value
    try:
        found = urlsplit(value)
    except ValueError:
        return _hashed(value)
    place = urlunsplit((found.scheme, found.netloc.rpartition("@")[2], found.path, "", ""))
    return value if place == value else f"{place} {_hashed(value)}"


def _places(clusters: Any) -> Any:
    """Return a list of etcd clusters without how they are asked; what is no such list as it is."""
    if not isinstance(clusters, (list, tuple)) or not all(isinstance(one, Mapping) for one in clusters):
        return clusters
    return [{name: value for name, value in one.items() if name not in ACCESS} for one in clusters]


def _text(value: Any) -> Any:
    return value if isinstance(value, (str, int, float)) or value is None else json.dumps(value, sort_keys=True)


def changes(before: Mapping, after: Mapping, ignored: Iterable[str] = ()) -> List[Dict[str, Any]]:
    """Return [{what, before, after}] of two fingerprints, by name; None where one of them does not know it."""
    left, right = before["values"], after["values"]
    different = [name for name in sorted({*left, *right} - set(ignored)) if left.get(name) != right.get(name)]
    return [{"what": name, **dict(zip(("before", "after"), _apart(left.get(name), right.get(name))))} for name in different]


def _apart(before: Any, after: Any) -> Tuple[Any, Any]:
    """Return two values; of two maps, as of loads and targets, only the entries that differ."""
    left, right = _map(before), _map(after)
    if left is None or right is None:
        return before, after
    same = {name for name in {*left} & {*right} if left[name] == right[name]}
    texts = [json.dumps({name: one[name] for name in one if name not in same}, sort_keys=True) for one in (left, right)]
    return texts[0], texts[1]


def _map(value: Any) -> Optional[Dict[str, Any]]:
    try:
        found = json.loads(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def told(found: Sequence[Mapping]) -> str:
    """Return changes as a sentence's end: `Kubernetes was v1.35.9, is v1.36.3; nodes was 3, is 4`."""
    parts = [f"{one['what']} was {_known(one['before'])}, is {_known(one['after'])}" for one in found[:SHOWN]]
    return "; ".join(parts + ([f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []))


def _known(value: Any) -> str:
    return "not known" if value is None else str(value)
