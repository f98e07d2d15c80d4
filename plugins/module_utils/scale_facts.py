# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of a cluster that grew by hollow nodes, put together from what modules and windows returned. Pure. What is not known is absent.

Everything that was measured at a size stands under the name of that size, such as "23 nodes", so that the worst size decides and is named.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Optional

from ansible_collections.kubeproof.certify.plugins.module_utils import api_windows, apiserver_facts, scale_state

# Series that this load always makes: at each size they are judged, also where there are too few of them.
OURS = {"mutating": ("POST pods", "POST pods/binding", "PATCH pods/status", "DELETE pods"), "read": (), "list": ()}
# The controllers that carry this load: names of their queues, which differ between versions.
QUEUES = ("deployment", "replicaset", "endpoint_slice", "endpointslice", "node_lifecycle_controller", "garbage_collector_attempt_to_delete")
CLUSTERLOADER = "clusterloader2"
PARTS = ("fill", "latency", "churn", "drain")
# The SLO of the start of a pod: what is asked for in the last second may need it.
GRACE = 5.0
SHOWN = ("count", "p50", "p95", "p99")


def cluster_facts(measured: Dict[str, Any]) -> dict:
    """Return the document that the checks ask.

    `measured`: plan (scale_plan), limits {what: number} that Kubernetes is tested with, and where known info and after (apiserver_info before and
    after), census and left (scale_info before and after hollow nodes), hosts [of the control plane in the inventory], steps {size: {nodes, fill,
    latency, churn, drain: facts; strangers (scale_info with its nodes); windows: {api, scheduler, manager}; stopped [why its load was aborted]},
    clusterloader2: {clusterloader: facts, expected, windows, stopped}}, etcd {size: etcd_room before it}, identity, clean.
    """
    plan, info, census = measured["plan"], _map(measured.get("info")), _map(measured.get("census"))
    facts: Dict[str, Any] = {"plan": {name: plan[name] for name in ("present", "hollow", "pods_per_node", "most")}, "kubelets": plan["hollow"] == "kubemark"}
    facts.update(_before(info, census, plan))
    steps = {size["name"]: _map(_map(measured.get("steps")).get(size["name"])) for size in plan["sizes"]}
    if plan.get("clusterloader"):
        # At the largest size once more, by another engine.
        steps[CLUSTERLOADER] = _map(_map(measured.get("steps")).get(CLUSTERLOADER))
    facts.update(_named(steps, "stopped", lambda step: {"why": step["stopped"]} if isinstance(step.get("stopped"), list) else {}, True))
    # What a part of a load measured is nothing that the size bore.
    steps = {name: {} if step.get("stopped") else step for name, step in steps.items()}
    instances = list(_map(info.get("instances")))
    facts["sizes"] = {name: {key: size[key] for key in ("nodes", "factor", "hollow", "pods")} for name, size in zip(steps, plan["sizes"])}
    facts.update(_named(steps, "joined", lambda step: _joined(_map(step.get("nodes")))))
    facts.update(_pods(steps))
    facts.update(_servers(steps, instances))
    facts.update(_schedulers(steps, measured.get("hosts") or []))
    facts.update(_managers(steps, measured.get("hosts") or []))
    facts.update(_objects(steps, instances, _map(census.get("size")), measured["limits"]))
    facts.update(_named(steps, "strangers", lambda step: _strangers(_map(step.get("strangers")))))
    facts.update(_etcd_room(steps, measured.get("etcd")))
    facts.update(_after(info, _map(measured.get("after")), _map(measured.get("left"))))
    facts.update({"identity": measured["identity"]} if _map(measured.get("identity")) else {})
    facts["clusterloader"] = {"asked": bool(plan.get("clusterloader")), **_map(_map(steps.get(CLUSTERLOADER)).get("clusterloader"))}
    clean = _map(measured.get("clean"))
    return {**facts, **({"left": clean["left"]} if "left" in clean else {})}


def _map(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _named(steps: Dict[str, dict], name: str, of_step: Any, other: bool = False) -> dict:
    """Return {name: {size: what `of_step` says of it}}; a size of which nothing is known stays, empty, so that the judge misses it.

    `other`: whether clusterloader2 measures it too.
    """
    return {name: {size: of_step(step) for size, step in steps.items() if other or size != CLUSTERLOADER}}


# Before the load ------------------------------------------------------------------------------------------------------------


def _before(info: dict, census: dict, plan: dict) -> dict:
    """Return what the safety gates ask."""
    facts: Dict[str, Any] = {name: info[name] for name in ("instances", "leftovers") if name in info}
    nodes, free = _map(info.get("nodes")), _map(info.get("pods")).get("free")
    if _is_number(nodes.get("count")) and _is_number(nodes.get("ready")):
        facts["nodes_not_ready"] = nodes["count"] - nodes["ready"]
    if _is_number(free):
        # A pod for each kubemark node, one for all of kwok's.
        facts["room"] = round(free / (plan["most"]["hollow"] if plan["hollow"] == "kubemark" else 1), 2)
    if isinstance(info.get("unavailable_apis"), list):
        facts["apis_unavailable"] = len(info["unavailable_apis"])
    guests = _map(census.get("guests"))
    if {"daemons", "others"} <= set(guests):
        facts["guests"] = {kind: len(guests[kind]) for kind in ("daemons", "others")}
        facts["guests"]["names"] = (list(guests["others"]) + list(guests["daemons"]))[:20]
    if isinstance(census.get("clouds"), dict):
        facts["clouds"] = sorted(set(census["clouds"]) - {"none", "kubemark", "kwok", "kind"})
    return facts


def _joined(nodes: dict) -> dict:
    if not _is_number(nodes.get("asked")) or not _is_number(nodes.get("ready")):
        return {}
    return {"missing": nodes["asked"] - nodes["ready"], "seconds": nodes.get("seconds"), "asked": nodes["asked"]}


# Pods -----------------------------------------------------------------------------------------------------------------------


def _part(step: dict, name: str) -> dict:
    """Return the facts of a part of the load; {} where the generator was too slow, since those numbers are not the cluster's."""
    found = _map(step.get(name))
    return found if found.get("generator_limited") is False else {}


def _pods(steps: Dict[str, dict]) -> dict:
    """Return what happened to pods and endpoints: unready, start, scheduling, throughput, endpoints_added, endpoints_removed, generator, phases."""
    facts: Dict[str, Any] = {}
    facts.update(_named(steps, "unready", _unready))
    facts.update(_named(steps, "start", lambda step: _map(_map(_part(step, "latency").get("phases")).get("started")) or _clusterloader_start(step), True))
    facts.update(_named(steps, "scheduling", lambda step: _map(_map(_part(step, "fill").get("phases")).get("scheduled"))))
    facts.update(_named(steps, "throughput", _throughput))
    rates = {size: _scheduled(step) for size, step in steps.items()}
    facts["scheduled"] = {size: {"rate": rate} for size, rate in rates.items() if rate is not None}
    for kind in ("added", "removed"):
        facts.update(_named(steps, f"endpoints_{kind}", lambda step, kind=kind: _map(_map(_part(step, "churn").get("endpoints")).get(kind))))
    found = {f"{size}: {name}": _limited(_map(step.get(name))) for size, step in steps.items() for name in PARTS if "generator_limited" in _map(step.get(name))}
    phases = {
        f"{size}: {phase}": one for size, step in steps.items() for phase, one in _map(_part(step, "latency").get("phases")).items() if _map(one).get("count")
    }
    return {**facts, **({"generator": found} if found else {}), **({"phases": phases} if phases else {})}


def _clusterloader_start(step: dict) -> dict:
    """Return the start of pods as clusterloader2 saw it. It says of how many only that all were there: without a failed step those that were asked for."""
    seen = _map(step.get("clusterloader"))
    latency = _map(_map(seen.get("pod_startup_latency")).get("pod_startup"))
    return {**latency, "count": step["expected"]} if latency and seen.get("failed") == 0 and _is_number(step.get("expected")) else {}


def _limited(part: dict) -> dict:
    return {"limited": part["generator_limited"], **{name: part[name] for name in ("late", "busy") if name in part}}


def _unready(step: dict) -> dict:
    """Return {count, refused}: pods that were not ready, endpoints that were wrong at the end, and requests given up; {} unless every part ran."""
    parts = [_map(step.get(name)) for name in PARTS if name in step and (name != "latency" or step[name])]
    numbers = [part.get(name, 0) for part in parts for name in ("failed", "surplus", "unlisted", "stale")]
    done = all(_is_number(_map(step.get(name)).get("failed")) for name in ("fill", "churn", "drain"))
    if not done or not all(map(_is_number, numbers)):
        return {}
    return {"count": sum(numbers), "refused": sum(part.get("refused", 0) for part in parts)}


def _throughput(step: dict) -> dict:
    """Return {share, offered, carried}: how much of the offered rate was carried to the end of the filling."""
    fill = _part(step, "fill")
    if not _is_number(fill.get("throughput")) or not fill.get("rate_offered") or not _is_number(fill.get("expected")):
        return {}
    # The last pods are asked for at the end of the schedule, and need their own time to start.
    planned = fill["expected"] / fill["rate_offered"]
    return {"offered": fill["rate_offered"], "carried": fill["throughput"], "share": min(1.0, planned / max(planned, fill["seconds"] - GRACE))}


def _scheduled(step: dict) -> Optional[float]:
    """Return the highest rate at which pods got their node: of 5 s, or what clusterloader2 saw; None when unknown."""
    return _part(step, "fill").get("scheduled_rate", _map(_map(step.get("clusterloader")).get("scheduling_throughput")).get("max"))


# Servers --------------------------------------------------------------------------------------------------------------------


def _servers(steps: Dict[str, dict], instances: List[str]) -> dict:
    """Return {mutating, read, list: {"size: series": numbers}, errors, defence: {size: …}, few, …}: what the API servers measured at each size."""
    facts: Dict[str, Any] = {kind: {} for kind in (*OURS, "errors", "defence")}
    read = []
    for size, step in steps.items():
        windows = _map(step.get("windows"))
        found = apiserver_facts.of_window(windows, instances)
        for kind, ours in OURS.items():
            series = _map(_map(found.get(kind)).get("series"))
            # What this load always makes is missed where it is not known.
            known = {name: one for name, one in series.items() if one.get("count", 0) >= apiserver_facts.LEAST or name in ours}
            facts[kind].update({f"{size}: {name}": one for name, one in {**dict.fromkeys(ours, {}), **known}.items()})
        facts["errors"][size] = _map(found.get("errors"))
        read += [size] if found.get("errors") else []
        facts["defence"][size] = {name: found[name] for name in ("terminations", "watchers_ended", "rejected") if name in found}
        restarted = api_windows.restarts(_map(windows.get("api")))
        facts["defence"][size].update({} if restarted is None else {"restarts": restarted})
        for kind in ("watchlist", "queued", "etcd", "webhooks"):
            for name, one in _map(found.get(kind)).items():
                facts.setdefault(kind, {})[f"{size}: {name}"] = one
    # Every size was read, so that what is not there has few observations, and is not unknown.
    few = {kind: not facts[kind] for kind in ("read", "list")} if steps and set(read) == set(steps) else {}
    facts = {kind: value for kind, value in facts.items() if value}
    return {**facts, **({"few": few} if few else {})}


def _whole(step: dict, component: str, hosts: Iterable[str]) -> dict:
    """Return a window when every host of the inventory was read, else {}."""
    window = _map(_map(step.get("windows")).get(component))
    return window if hosts and set(window) == set(hosts) and all("seconds" in _map(facts) for facts in window.values()) else {}


def _schedulers(steps: Dict[str, dict], hosts: List[str]) -> dict:
    """Return {scheduler: {size: {sli, attempt, pending}}}."""

    def of_step(step):
        window = _whole(step, "scheduler", hosts)
        attempts = [part for group, parts in api_windows.entries(window, "attempts").items() if group == "scheduled" for part in parts]
        waiting = [_map(_map(facts.get("pending")).get(queue)).get("last") for facts in window.values() for queue in ("active", "backoff")]
        found = {"sli": _shown(api_windows.merged(facts.get("sli") for facts in window.values())), "attempt": _shown(api_windows.merged(attempts))}
        found["pending"] = sum(waiting) if waiting and all(map(_is_number, waiting)) else None
        return {name: value for name, value in found.items() if value is not None}

    return _named(steps, "scheduler", of_step, True)


def _managers(steps: Dict[str, dict], hosts: List[str]) -> dict:
    """Return {queues: {"size: controller": numbers}, depth: {…}}: how long work waited for the controllers, and what waits at the end."""
    waits: Dict[str, dict] = {}
    depth: Dict[str, dict] = {}
    for size, step in steps.items():
        window = _whole(step, "manager", hosts)
        waits.update({} if window else {f"{size}: deployment": {}})
        depth.update({} if window else {f"{size}: deployment": {}})
        for group, parts in api_windows.entries(window, "waits").items():
            # Only the leader works; of the others the count is 0.
            shown = _shown(api_windows.merged(parts))
            if group in QUEUES and shown and shown.get("count"):
                waits[f"{size}: {group}"] = shown
        for group, parts in api_windows.entries(window, "depth").items():
            last = [_map(one).get("last") for one in parts]
            if group in QUEUES and all(map(_is_number, last)):
                depth[f"{size}: {group}"] = {"last": sum(last)}
    return {**({"queues": waits} if waits else {}), **({"depth": depth} if depth else {})}


def _shown(summary: Optional[dict]) -> Optional[dict]:
    return {name: summary[name] for name in SHOWN if name in summary} if summary else None


def _objects(steps: Dict[str, dict], instances: List[str], size: dict, limits: dict) -> dict:
    """Return {envelope, storage}: what there is beside what Kubernetes is tested with, and the size of the database at each size."""
    facts: Dict[str, Any] = {}
    counts, storage, grown = {}, {}, {}
    for name, step in steps.items():
        window = _map(_map(step.get("windows")).get("api"))
        if not instances or set(window) != set(instances):
            continue
        counts = counts or _stored(window)
        end = _most(window, "storage", "last")
        if end is not None:
            storage[name] = {"bytes": end}
            begin = _most(window, "storage", "first")
            grown[name] = {"bytes": end - begin} if begin is not None else {}
    known = {name: value for name, value in counts.items() if value is not None}
    envelope = scale_state.envelope({**size, **known}, limits)
    facts.update({"envelope": envelope} if envelope else {})
    facts.update({"storage": storage} if storage else {})
    return {**facts, **({"growth": grown} if any(grown.values()) else {})}


def _stored(window: dict) -> dict:
    """Return {objects_per_type, events, bytes_per_type} before the first load; older servers count objects under another name."""
    family = "objects" if any(_map(facts.get("objects")) for facts in window.values()) else "objects_before"
    return {
        "objects_per_type": _most(window, family, "first", "events"),
        "events": _most(window, family, "first", None, "events"),
        "bytes_per_type": _most(window, "bytes", "first"),
    }


def _most(window: dict, family: str, end: str, but: Optional[str] = None, only: Optional[str] = None) -> Optional[float]:
    """Return the largest value of a family of gauges on any server; a count below zero stands for one that is not known."""
    found = []
    for facts in window.values():
        for group, one in _map(_map(facts).get(family)).items():
            numbers = one if isinstance(one, dict) else {}
            name = group.split(" ")[-1]
            if _is_number(numbers.get(end)) and numbers[end] >= 0 and name != but and only in (None, name):
                found.append(numbers[end])
    return max(found, default=None)


def _strangers(census: dict) -> dict:
    """Return {daemons, others, names}, seen while the hollow nodes of a size were there."""
    seen = _map(census.get("strangers"))
    if not census.get("hollow") or not {"daemons", "others"} <= set(seen):
        return {}
    names = [f"{one.get('kind')} {one.get('pod')}" for one in seen.get("pods") or () if isinstance(one, dict)]
    return {"daemons": seen["daemons"], "others": seen["others"], "names": names}


def _etcd_room(steps: Dict[str, dict], looks: Any) -> dict:
    """Return {etcd_room: {size: what was seen before it}}: of each that was looked at or loaded, so that the judge misses what was not seen."""
    looks = _map(looks)
    found = {size: _map(looks.get(size)) for size, step in steps.items() if step or size in looks}
    return {"etcd_room": found} if found else {}


def _after(info: dict, after: dict, left: dict) -> dict:
    """Return {nodes_lost, nodes_left, orphans, instances_lost}: what was Ready before and is not after it, and what of the hollow nodes is left."""
    facts: Dict[str, Any] = {}
    nodes, later = _map(info.get("nodes")), _map(after.get("nodes"))
    if all(map(_is_number, (nodes.get("ready"), later.get("ready"), later.get("count"), nodes.get("count")))):
        facts["nodes_lost"] = max(0, nodes["ready"] - later["ready"])
        facts["nodes_left"] = max(0, later["count"] - nodes["count"])
    facts.update({"orphans": left["orphans"]} if _is_number(left.get("orphans")) else {})
    instances = after.get("instances")
    if isinstance(instances, dict) and info.get("instances"):
        facts["instances_lost"] = sum(_map(instances.get(name)).get("answers") is not True for name in info["instances"])
    return facts
