# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of one control plane, put together from what modules and tools returned. Pure. What is not known is absent.

Latencies of the servers are intervals of bucket bounds (metrics_window), those of clients and pods come from raw samples.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from ansible_collections.kubeproof.certify.plugins.module_utils import api_generators, api_windows, bounds, node_reboot, stress, stress_plan

# The least number of observations behind a P99 (one-sided 95 %: 299 without any above the bound prove it). A series with fewer is
# listed as rare and judged only where a check names it.
LEAST = 299
# How the load of a ramp reads and changes single objects.
SORTS = {f"{verb} {kind}" for verb in ("GET", "PATCH", "PUT", "POST", "DELETE") for kind in ("configmaps", "secrets", "leases")} - {"PUT leases"}
PATIENCE = 300
# The share of failed requests up to which the latencies of the others are those of the work.
FAILED = 0.01
LATENCIES = ("mutating", "read", "list", "felt")
# What the runtime does to start a pod.
STARTING = ("run_podsandbox", "create_container", "start_container")
SHOWN = ("count", "p50", "p95", "p99", "p999")
# What the load always makes: the checks name these series in `expect`, and one with few observations is said to have too few.
OURS = {
    "mutating": ("POST pods", "POST pods/binding", "PATCH pods/status", "DELETE pods", "PUT leases", "POST configmaps", "PUT configmaps", "DELETE configmaps"),
    "read": ("GET pods", "GET configmaps", "GET leases"),
    "list": ("LIST pods cluster", "LIST configmaps namespace", "LIST leases namespace"),
}


def cluster_facts(measured: Dict[str, Any]) -> dict:
    """Return the document of the control plane.

    `measured`: plan (apiserver_plan), info (apiserver_info's facts before the load), after (the same after it), hosts [inventory names of
    control-plane hosts], schedulers [those whose scheduler is read], reboot_nodes, reboots, identity, stress, steps {name: {kind, facts, seconds,
    cpu_seconds, cpus, windows: {api, kubelet, scheduler: {endpoint: facts}}}}, streams, clean. Only `plan` must be there.
    """
    plan, info = measured["plan"], _map(measured.get("info"))
    steps = {name: _map(step) for name, step in _map(measured.get("steps")).items()}
    facts = {"plan": {name: plan[name] for name in ("inputs", "expected", "steps")}, **_before(info, plan, measured)}
    instances = list(_map(info.get("instances")))
    if "stress" in plan:
        ran = [dict(step, **steps[step["name"]]) for step in stress_plan.ran(plan, steps)]
        stress.add(facts, "apiserver", plan, {step["name"]: _view(step, instances) for step in ran}, measured.get("stress"))
        plan = stress_plan.usual(plan)
    done = [dict(step, **steps[step["name"]]) for step in plan["steps"] if step["name"] in steps]
    facts.update(api_generators.clients(done))
    facts.update(_restarts(done, instances))
    facts.update(_lost(instances, _map(measured.get("after"))))
    facts.update(_servers(plan, done, instances, facts))
    stopped = api_generators.stopped_errors(done, _map(facts.get("errors")))
    if stopped:
        facts["errors"] = stopped
        facts = {name: value for name, value in facts.items() if name not in LATENCIES}
    if plan["missing"]:
        facts["missing"] = {**_map(facts.get("missing")), **plan["missing"]}
    facts.update(_sustained(done, instances))
    facts.update(_pods(done))
    facts.update(_nodes(done, measured))
    facts.update({name: measured[name] for name in ("streams", "identity") if _map(measured.get(name))})
    facts["kube_burner"] = dict(facts.get("kube_burner", {}), asked=any(step["kind"] == "kube_burner" for step in plan["steps"]))
    facts["engines"] = {"k6": any(step["kind"] == "objects" for step in plan["steps"])}
    facts["density"] = _density(plan, done)
    facts["reboot"] = node_reboot.facts(measured.get("reboot_nodes") or (), measured.get("reboots") or ())
    if not facts["reboot"]["asked"]:
        facts["missing"] = {**_map(facts.get("missing")), "reboot.nodes": node_reboot.UNASKED}
    facts.update(_writes_per_pod(done, instances))
    facts.update({"left": measured["clean"]["left"]} if "left" in _map(measured.get("clean")) else {})
    return facts


def of_window(windows: Dict[str, Any], instances: List[str]) -> dict:
    """Return what the API servers measured in one window over a load of another layer; {} unless every one of `instances` was read."""
    step = {"name": "window", "kind": "other", "window": True, "windows": windows}
    return _servers({"steps": [step]}, [step], instances, {"generator": {"limited": False}})


def _map(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# Before the load ------------------------------------------------------------------------------------------------------------


def _before(info: dict, plan: dict, measured: dict) -> dict:
    """Return what the safety gates ask."""
    facts = {name: info[name] for name in ("instances", "nodes", "pods", "image", "webhooks", "leftovers", "unavailable_apis") if name in info}
    if "instances" in info:
        facts["instances_missing"] = max(0, len(measured.get("hosts") or ()) - len(info["instances"]))
    facts.update(_count_not_ready("nodes_not_ready", info))
    free = _map(info.get("pods")).get("free")
    if _is_number(free):
        facts["pod_room"] = round(free / max(1, plan["pods"]), 2)
    if isinstance(info.get("unavailable_apis"), list):
        facts["apis_unavailable"] = len(info["unavailable_apis"])
    if isinstance(info.get("terminating"), dict):
        facts["namespaces_stuck"] = sum(1 for age in info["terminating"].values() if not _is_number(age) or age > PATIENCE)
    return facts


def _count_not_ready(name: str, info: dict) -> dict:
    nodes = _map(info.get("nodes"))
    return {name: nodes["count"] - nodes["ready"]} if _is_number(nodes.get("count")) and _is_number(nodes.get("ready")) else {}


# What the servers measured --------------------------------------------------------------------------------------------------


def _whole(step: dict, component: str, expected: List[str]) -> dict:
    """Return a step's window, or {} unless every endpoint that is expected was read at both ends, did not restart, and is a server of its own."""
    window = _map(_map(step.get("windows")).get(component))
    known = [name for name, facts in window.items() if "seconds" in _map(facts) and not api_windows.restarted(facts)]
    starts = [start["first"] for start in (_map(_map(window[name]).get("start")) for name in known) if "first" in start]
    # The same start to the fraction of a second is the same process, reached twice: through a load balancer, or under two names.
    return window if expected and set(known) == set(expected) == set(window) and len(set(starts)) == len(starts) else {}


def _restarts(done: List[dict], instances: List[str]) -> dict:
    """Return {restarts}: how many API servers have another start at the end of the last window than at the beginning of the first."""
    windows = [_map(_map(step.get("windows")).get("api")) for step in done if step.get("window")]
    if not instances or not windows or any(set(window) != set(instances) for window in windows):
        return {}
    starts = [(_map(_map(windows[0][name]).get("start")).get("first"), _map(_map(windows[-1][name]).get("start")).get("last")) for name in instances]
    return {} if any(None in pair for pair in starts) else {"restarts": sum(first != last for first, last in starts)}


def _lost(instances: List[str], after: dict) -> dict:
    """Return {instances_lost}: API servers that answered before the load and do not after it."""
    later = after.get("instances")
    return {"instances_lost": sum(_map(later.get(name)).get("answers") is not True for name in instances)} if isinstance(later, dict) else {}


def _servers(plan: dict, done: List[dict], instances: List[str], facts: dict) -> dict:
    """Return what the API servers measured in the windows that count, all of which must have been."""
    wanted = [step["name"] for step in plan["steps"] if step.get("window") and step["name"] != "qps"]
    counted = [step for step in done if step["name"] in wanted]
    windows = [_whole(step, "api", instances) for step in counted]
    found: Dict[str, Any] = {}
    limited = _map(facts.get("generator")).get("limited")
    if not wanted or len(counted) < len(wanted) or not all(windows) or limited is not False:
        return found
    for name, chosen in (("mutating", _is_mutating), ("read", _is_read), ("list", _is_list)):
        found[name] = _group(windows, chosen, OURS[name])
    felt = {group: parts for group, parts in _joined(windows, "felt").items() if group != "LIST cluster"}
    found["felt"] = _shown(api_windows.merged(part for parts in felt.values() for part in parts))
    found["felt_list_cluster"] = _shown(api_windows.merged(_joined(windows, "felt").get("LIST cluster", [])))
    for name in ("watchlist", "webhooks", "queued", "etcd"):
        found[name] = _groups(windows, name)
    found["errors"] = _errors(windows, _map(facts.get("clients")))
    if _map(found["errors"]).get("ratio", 1.0) > FAILED:
        # A refusal is quick: with so many of them the latencies are not those of the work.
        for name in LATENCIES:
            del found[name]
    found["rejected"] = _summed(windows, "rejected")
    found["watchers_ended"] = _summed(windows, "watchers_ended")
    found["terminations"] = _summed(windows, "terminations")
    return {name: value for name, value in found.items() if value is not None and value != {}}


def _sustained(done: List[dict], instances: List[str]) -> dict:
    """Return {qps: {rate, seconds, errors, calls, lists}} of the step that offers the bound and more; {} without one or with a slow generator.

    The rate is what clients got and servers gave, whichever is lower; seconds is how long it was held; calls and lists are series.
    """
    step = next((step for step in done if step["name"] == "qps"), None)
    if step is None or api_generators.generator(step).get("limited") is not False:
        return {}
    seen, window = _map(step.get("facts")), _whole(step, "api", instances)
    answered, lasted = api_windows.requests(window), api_windows.seconds(window)
    rates = [seen.get("slowest_minute", seen.get("rate")), answered.get("rate")]
    if not all(map(_is_number, [*rates, lasted, seen.get("seconds"), answered.get("ratio"), seen.get("error_ratio")])):
        return {}
    found = {"rate": min(rates), "seconds": min(round(seen["seconds"]), round(lasted)), "errors": max(answered["ratio"], seen["error_ratio"])}
    if api_generators.stopped(step):
        found["errors"] = max(found["errors"], stress.MOST_ERRORS)
    return {"qps": dict(found, **_calls_and_lists(window))}


def _calls_and_lists(window: dict) -> dict:
    """Return {calls, lists}: the series of single objects and of collections with enough observations."""
    chosen = {"calls": lambda verb, scope: _is_mutating(verb, scope) or _is_read(verb, scope), "lists": _is_list}
    return {kind: {name: one for name, one in _series(window, is_one).items() if one["count"] >= LEAST} for kind, is_one in chosen.items()}


def _view(step: dict, instances: List[str]) -> dict:
    """Return what the ramp asks of a step: series with enough observations, and what clients saw."""
    generator, window, seen = api_generators.generator(step), _whole(step, "api", instances), _map(step.get("facts"))
    stopped = api_generators.stopped(step)
    if not generator or not window:
        return {"offered": step["rate"], "stopped": stopped} if stopped else {}
    document: Dict[str, Any] = {"errors": _errors([window], {"error_ratio": seen.get("error_ratio")}) or {}}
    short = []
    for name, chosen in (("mutating", _is_mutating), ("read", _is_read), ("list", _is_list)):
        every = _series(window, chosen)
        document[name] = {"series": {key: one for key, one in every.items() if one["count"] >= LEAST}}
        short += [key for key, one in every.items() if one["count"] < LEAST and key in SORTS]
    slow = [one["p99"] for name in ("mutating", "read") for one in document[name]["series"].values() if "p99" in one]
    return {
        "offered": step["rate"],
        "achieved": seen.get("rate"),
        "seconds": step["seconds"],
        "limited": "the generator was too slow itself; raise certify_generators" if generator["limited"] else "",
        "p99": max(slow, key=lambda one: bounds.badness(one, "< 1"), default=None),
        "errors": document["errors"].get("ratio"),
        "document": document,
        **({"stopped": stopped} if stopped else {}),
        **({"short": sorted(short)} if short else {}),
        # Lists are rare, and their SLO is far away: they count in a step that is long enough for them.
        "wanted": (
            *("apiserver_errors", "apiserver_mutating_latency_p99", "apiserver_read_latency_p99"),
            *(("apiserver_list_latency_p99",) if document["list"]["series"] else ()),
        ),
    }


def _is_mutating(verb: str, scope: str) -> bool:
    # A deletion of a whole collection is a DELETE of the scope namespace or cluster, and no call on a single object.
    return verb in api_windows.MUTATING and scope == "resource"


def _is_read(verb: str, scope: str) -> bool:
    return verb == "GET" and scope == "resource"


def _is_list(verb: str, scope: str) -> bool:
    return verb == "LIST" and scope in ("namespace", "cluster")


def _joined(windows: List[dict], family: str) -> Dict[str, list]:
    """Return {group: parts} of a family over all windows."""
    found: Dict[str, list] = {}
    for window in windows:
        for group, parts in api_windows.entries(window, family).items():
            found.setdefault(group, []).extend(parts)
    return found


def _groups(windows: List[dict], family: str) -> Dict[str, dict]:
    """Return {group: numbers} of a family that informs; groups without an observation, and those that are not known, are left out."""
    shown = {group: _shown(api_windows.merged(parts)) for group, parts in _joined(windows, family).items()}
    return {group: numbers for group, numbers in shown.items() if numbers}


def _series(window: dict, chosen: Any) -> Dict[str, dict]:
    return _named({group: parts for group, parts in api_windows.entries(window, "sli").items() if _chosen(group, chosen)})


def _chosen(group: str, chosen: Any) -> bool:
    key = (group.split(" ") + ["", "", ""])[:4]
    return chosen(key[0], key[3])


def _named(groups: Dict[str, list]) -> Dict[str, dict]:
    """Return {name of the series: its numbers}; resources of the same name in two groups are one series. What is unknown stays, empty."""
    parts: Dict[str, list] = {}
    for group, found in groups.items():
        parts.setdefault(api_windows.series_name(group), []).extend(found)
    shown = {name: (found, _shown(api_windows.merged(found))) for name, found in parts.items()}
    return {name: numbers or {"count": LEAST} for name, (found, numbers) in shown.items() if numbers or not _is_silent(found)}


def _is_silent(parts: list) -> bool:
    """Say whether a series was only there before: nothing was counted in the window."""
    return all(_map(part).get("count") == 0 for part in parts)


def _group(windows: List[dict], chosen: Any, ours: tuple) -> dict:
    """Return {series: {name: numbers}, few: {name: numbers}, pooled: numbers}: series with enough observations, and those of our load, decide."""
    groups = {group: parts for group, parts in _joined(windows, "sli").items() if _chosen(group, chosen)}
    named = _named(groups)
    pooled = _shown(api_windows.merged(part for parts in groups.values() for part in parts))
    found = {
        "series": {name: one for name, one in named.items() if one["count"] >= LEAST or name in ours},
        "few": {name: one for name, one in named.items() if one["count"] < LEAST and name not in ours},
    }
    return dict(found, pooled=pooled) if pooled else found


def _shown(summary: Optional[dict]) -> Optional[dict]:
    return {name: summary[name] for name in SHOWN if name in summary} if summary else None


def _errors(windows: List[dict], clients: dict) -> Optional[dict]:
    """Return {count, ratio, throttled, server, clients}: the worse of what the servers answered and what clients saw."""
    answered = [api_windows.requests(window) for window in windows]
    if not all(answered):
        return None
    count = sum(one["count"] for one in answered)
    if not count:
        return None
    found = {"count": count, "server": sum(one["failed"] for one in answered) / count, "throttled": sum(one["throttled"] for one in answered)}
    if _is_number(clients.get("error_ratio")):
        found["clients"] = clients["error_ratio"]
    return dict(found, ratio=max(found["server"], found.get("clients", 0)))


def _summed(windows: List[dict], family: str) -> Optional[float]:
    """Return the increase of a counter in all windows."""
    found = [api_windows.total(window, family) for window in windows]
    return None if None in found or not found else sum(found)


# Pods, scheduler, kubelets --------------------------------------------------------------------------------------------------


def _pods(done: List[dict]) -> dict:
    """Return {pods: {cached: pod_startup's facts, pull: …, failed}}: of pods whose image was there, and of those that had to pull."""
    found: Dict[str, Any] = {}
    for step in done:
        seen = _map(step.get("facts"))
        if step["kind"] == "pods" and seen and seen.get("generator_limited") is False:
            found["cached"] = dict(seen, latency=_map(seen.get("latency")).get("present") or {})
            found["failed"] = seen["failed"] if "failed" in seen else None
            found["left"] = seen.get("left")
        if step["kind"] == "pull" and seen and seen.get("generator_limited") is False:
            found["pull"] = dict(seen, latency=_map(seen.get("latency")).get("pulled") or {})
    found = {name: value for name, value in found.items() if value is not None}
    return {"pods": found} if found else {}


def _nodes(done: List[dict], measured: dict) -> dict:
    """Return {scheduler: {…}, kubelet: {…}, nodes_lost} of the window over the pods."""
    step = next((step for step in done if step["kind"] == "pods"), {})
    found: Dict[str, Any] = {}
    scheduler = _map(_map(step.get("windows")).get("scheduler"))
    if scheduler and set(scheduler) == set(measured.get("schedulers") or ()):
        attempts = [part for group, parts in api_windows.entries(scheduler, "attempts").items() if group == "scheduled" for part in parts]
        found["scheduler"] = _present(
            sli=_shown(api_windows.merged(facts.get("sli") for facts in scheduler.values())),
            attempt=_shown(api_windows.merged(attempts)),
            pending=_pending(scheduler),
        )
    kubelets = _map(_map(step.get("windows")).get("kubelet"))
    if kubelets:
        found["kubelet"] = _kubelets(kubelets)
    found.update(_count_not_ready("nodes_lost", _map(measured.get("after"))))
    return {name: value for name, value in found.items() if value != {}}


def _pending(window: dict) -> Optional[float]:
    """Return how many pods are in the queues of schedulers at the end; of those that nothing can place only what was added."""
    queues = [_map(facts.get("pending")) for facts in window.values()]
    waiting = [_map(one.get(queue)).get("last") for one in queues for queue in ("active", "backoff")]
    stuck = [_map(one.get("unschedulable")) for one in queues]
    if None in waiting or any("first" not in one or "last" not in one for one in stuck):
        return None
    return sum(waiting) + sum(max(0, one["last"] - one["first"]) for one in stuck)


def _kubelets(window: dict) -> dict:
    """Return what kubelets measured, all of them together."""
    names = ("pod_start", "pod_start_total", "pod_worker", "pleg_relist")
    return _present(
        **{name: _shown(api_windows.merged(facts.get(name) for facts in window.values())) for name in names},
        runtime=_groups([window], "runtime"),
    )


def _density(plan: dict, done: List[dict]) -> dict:
    """Return {asked, pods: pod_startup's facts, and what the kubelet of the filled node measured}."""
    if not any(step["kind"] == "density" for step in plan["steps"]):
        return {"asked": False}
    step = next((step for step in done if step["kind"] == "density"), {})
    pods = _map(step.get("facts"))
    if pods.get("generator_limited") is not False or not pods.get("expected") or pods.get("started") != pods["expected"]:
        # A kubelet that was not filled proves nothing.
        return {"asked": True, **_present(pods=pods)}
    found = _kubelets(_map(_map(step.get("windows")).get("kubelet")))
    starting = {name: one for name, one in found.get("runtime", {}).items() if name in STARTING}
    return {"asked": True, "pods": pods, **found, "runtime": starting}


def _writes_per_pod(done: List[dict], instances: List[str]) -> dict:
    """Return {writes_per_pod}: mutating requests on pods and what belongs to them, for each pod that was made; the sizing assumes 15."""
    step = next((step for step in done if step["kind"] == "pods"), {})
    window, made = _whole(step, "api", instances), _map(step.get("facts")).get("created")
    parts = [part for group, parts in api_windows.entries(window, "sli").items() if _is_of_pods(group) for part in parts]
    counts = [_map(part).get("count") for part in parts]
    if not counts or not all(map(_is_number, counts)) or not made:
        return {}
    return {"writes_per_pod": round(sum(counts) / made, 1)}


def _is_of_pods(group: str) -> bool:
    verb, resource = (group.split(" ") + [""])[:2]
    return verb in api_windows.MUTATING and resource in ("pods", "events")


def _present(**facts: Any) -> dict:
    return {name: value for name, value in facts.items() if value is not None and value != {}}
