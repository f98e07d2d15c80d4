# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of one cluster's DNS, put together from what modules and dnsperf returned. Pure. What is not known is absent.

Latencies are those of clients; what the servers counted comes from windows over the metrics of all CoreDNS pods, or is not known.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Optional

from ansible_collections.kubeproof.certify.plugins.module_utils import api_windows, dns_clients, dns_job, stress, stress_plan

# What the servers count.
COUNTED = ("cache", "balance", "servfail", "server_latency", "panics", "forward")
NO_METRICS = "{} exposes no metrics: the plugin prometheus is not in its Corefile, or listens at loopback alone"
GENERATOR = "dnsperf was too slow itself; raise certify_generators"
BEFORE = ("service_found", "service", "ready", "domain", "node_local_found")
# What a kind of step alone tells, as paths.
OF_KIND = {
    "service": ("lookups.service", "errors", "qps", *COUNTED),
    "external": ("external", "external_cache"),
    "node_local": ('lookups."node-local"', "node_cache"),
    "pods": ("pods",),
}
# Facts of dns_info, and of its corefile, by the facts that are made of them, where the names differ.
MADE_OF = {
    "corefile": ("corefile", "cache"),
    "node_local_found": ("node_local_found", *OF_KIND["node_local"]),
    "node_local.pods": ("node_cache",),
}
MADE_OF_COREFILE = {
    "metrics": ("corefile.metrics",),
    "plugins": ("corefile.plugins",),
    "upstream_cache": ("corefile.upstream_cache", "corefile.upstream_cached"),
    "cache": ("corefile.cache", "cache"),
}
SHOWN = ("count", "p50", "p95", "p99", "p999")


def cluster_facts(measured: Dict[str, Any]) -> dict:
    """Return the document of the cluster's DNS.

    `measured`: plan (dns_plan), info and after (dns_info's facts before and after the load), steps {name: {job (dns_job), facts (dnsperf), each
    {CoreDNS pod: facts}, took, pods [of the job], metrics {pod: facts of metrics_window}, unread {pod: why not}}}, clean. Only `plan` must be there.
    """
    plan, info, after = measured["plan"], _map(measured.get("info")), _map(measured.get("after"))
    steps = {name: _map(step) for name, step in _map(measured.get("steps")).items()}
    facts = {"plan": {name: plan[name] for name in ("inputs", "expected", "steps")}, **{name: info[name] for name in BEFORE if name in info}}
    if "stress" in plan:
        ran = [dict(step, **steps[step["name"]]) for step in stress_plan.ran(plan, steps)]
        stress.add(facts, "dns", plan, {step["name"]: _view(step) for step in ran}, measured.get("stress"))
        plan = stress_plan.usual(plan)
    done = [dict(step, **steps[step["name"]]) for step in plan["steps"] if step["name"] in steps]
    facts["asked"] = {"external": any(step["kind"] == "external" for step in plan["steps"])}
    facts.update(_configured(info, done))
    facts.update(_clients(plan, done, info))
    facts.update(_health(info, after))
    facts.update(_servers(plan, done, info, facts.get("pods_new", 0)))
    facts.update({"left": measured["clean"]["left"]} if "left" in _map(measured.get("clean")) else {})
    counted = {**_missing(done, facts), **_missing_near(_first(done, "node_local"), info, facts)}
    facts["missing"] = {**plan["missing"], **_map(facts.get("missing")), **counted, **_left_out(plan, done, info), **_unknown(info, after)}
    if "metrics" in _map(facts.get("corefile")):
        facts["missing"].pop("corefile.metrics", None)
    return facts


def _map(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _present(**facts: Any) -> dict:
    return {name: value for name, value in facts.items() if value is not None and value != {}}


def _ready(info: dict) -> List[str]:
    """Return the CoreDNS pods that are behind the Service."""
    return [name for name, pod in _map(info.get("pods")).items() if _map(pod).get("ready")]


# Before the load ------------------------------------------------------------------------------------------------------------


def _configured(info: dict, done: List[dict]) -> dict:
    """Return {nodes, corefile}: which nodes take pods, and what the Corefile says of caches and metrics."""
    corefile = _map(info.get("corefile"))
    kept, upstream = _map(corefile.get("cache")), _map(corefile.get("upstream_cache"))
    exposed = _map(corefile.get("metrics")).get("exposed")
    if exposed is None and any(whole(step.get("metrics"), _ready(info)) for step in done if step["kind"] != "node_local"):
        # What was read can be read, whatever the Corefile hides.
        exposed = True
    about = _present(
        zones=corefile.get("zones"),
        plugins=corefile.get("plugins"),
        cache=kept,
        upstream_cache=upstream,
        unknown=corefile.get("unknown"),
        upstream_cached=upstream.get("present"),
        metrics=exposed,
    )
    return _present(nodes=info.get("nodes"), corefile=about)


def _unknown(info: dict, after: dict) -> dict:
    """Return {path of a fact: why dns_info could not tell it}."""
    found: Dict[str, str] = {}
    for name, why in _map(info.get("missing")).items():
        found.update(dict.fromkeys(MADE_OF.get(name, (name,)), why))
    for name, why in _map(_map(info.get("corefile")).get("missing")).items():
        found.update(dict.fromkeys(MADE_OF_COREFILE.get(name, ()), why))
    later = _map(after.get("missing"))
    for name, facts in (("pods", ("restarts", "pods_lost", "pods_new", "throttling")), ("throttling", ("throttling",))):
        found.update(dict.fromkeys(facts, later[name]) if name in later else {})
    return found


def _left_out(plan: dict, done: List[dict], info: dict) -> dict:
    """Return {path of a fact: why no step asked for it}."""
    planned, ran = {step["kind"] for step in plan["steps"]}, {step["kind"] for step in done}
    left = {kind: why for kind, why in dns_job.left_out(info).items() if why and kind in planned - ran}
    return {fact: why for kind, why in left.items() for fact in OF_KIND[kind]}


# What clients saw -----------------------------------------------------------------------------------------------------------


def _clients(plan: dict, done: List[dict], info: dict) -> dict:
    """Return {generator, lookups, errors, pods, qps, external}."""
    service = [step for step in done if step["kind"] == "service" and step["share"]]
    wanted = [step for step in plan["steps"] if step["kind"] == "service" and step["share"] and step["window"]]
    counted = [step for step in service if step["window"]]
    complete = len(counted) == len(wanted)
    lookups = _present(service=dns_clients.lookup(counted[-1]) if counted and complete else {})
    left = _left_out(plan, done, info)
    if "lookups.service" in left:
        lookups["service"] = {"missing": {"": left["lookups.service"]}}
    if info.get("node_local_found") and plan["steps"]:
        # A cache on the nodes that was not measured must not vanish.
        why = left.get(OF_KIND["node_local"][0])
        lookups["node-local"] = dns_clients.lookup(_first(done, "node_local")) or ({"missing": {"": why}} if why else {})
    generators = [found for found in (dns_clients.generator(step) for step in done if step["kind"] != "pods") if found]
    return _present(
        generator=dns_clients.worst(generators),
        lookups=lookups,
        errors=dns_clients.errors(counted) if complete else None,
        pods=dns_clients.alone(_first(done, "pods"), _ready(info)),
        qps=dns_clients.lookup(next((step for step in done if step["name"] == "qps"), {})),
        external=dns_clients.lookup(_first(done, "external")),
    )


def _view(step: dict) -> dict:
    """Return what the ramp asks of a step."""
    seen, job, generator = _map(step.get("facts")), _map(step.get("job")), dns_clients.generator(step)
    if not seen or not generator:
        return {}
    found = dns_clients.lookup(step)
    return {
        "offered": job["rate"] * job["count"],
        "achieved": seen["completed"] / job["seconds"],
        "seconds": job["seconds"],
        "limited": GENERATOR if generator["limited"] else "",
        "document": {"lookups": {"service": found}, "errors": dns_clients.errors([step])},
        "wanted": ("dns_errors", "dns_latency_p99"),
        **_present(p99=found.get("p99"), errors=found.get("errors")),
    }


def _first(done: List[dict], kind: str) -> dict:
    return next((step for step in done if step["kind"] == kind), {})


# What the servers counted ---------------------------------------------------------------------------------------------------


def _servers(plan: dict, done: List[dict], info: dict, new: int) -> dict:
    """Return what CoreDNS, and NodeLocal DNSCache, counted while the numbers of clients counted.

    `new`: CoreDNS pods that came meanwhile. What they counted nobody has read, so that the others are not all.
    """
    pods = [] if new else _ready(info)
    counted = [step for step in done if step["kind"] == "service" and step["share"] and step["window"]]
    window = whole(counted[-1].get("metrics"), pods) if counted else {}
    local = _first(done, "node_local")
    near = whole(local.get("metrics"), caches(local, info))
    outside = whole(_first(done, "external").get("metrics"), pods)
    # What may not happen at all is counted in every step, which has to have run.
    asked = [step["name"] for step in plan["steps"] if step["window"] and step["kind"] != "node_local"]
    ran = {step["name"]: step for step in done}
    every = [whole(_map(ran.get(name)).get("metrics"), pods) for name in asked]
    responses = each_query(window, "responses")
    servfail = summed(window, "responses", lambda key: key[-1] == "SERVFAIL")
    return _present(
        reached=summed(window, "requests"),
        # Where it is not known whether names of the cluster are cached, no hits say nothing.
        cache=hits(window) if _map(_map(info.get("corefile")).get("cache")) else None,
        node_cache=hits(near),
        external_cache=hits(outside),
        balance=balance(window, pods, _map(counted[-1].get("job"))) if counted else None,
        servfail={"ratio": servfail / responses, "count": int(responses)} if responses and servfail is not None else None,
        server_latency=_shown(window, "duration"),
        panics=added(risen(one, "panics") for one in every),
        forward=_present(
            rejects=added(risen(one, "rejects") for one in every),
            unhealthy=added(summed(one, "unhealthy") for one in every),
            latency=_shown(outside, "upstream"),
        ),
    )


def added(counts: Iterable[Optional[float]]) -> Optional[float]:
    """Return the sum, None without any count, or when one is not known."""
    found = list(counts)
    return sum(found) if found and None not in found else None


def whole(window: Any, expected: Iterable[str]) -> dict:
    """Return a window, or {} unless every pod that is expected was read at both ends and did not restart."""
    known = [name for name, facts in _map(window).items() if "seconds" in _map(facts) and not api_windows.restarted(facts)]
    return window if known and set(known) == set(expected) else {}


def caches(step: dict, info: dict) -> dict:
    """Return {pod of NodeLocal DNSCache: about it} on the nodes from which a step asked, ready or not; {} when one of these nodes has none."""
    nodes = _map(step.get("job")).get("nodes")
    nodes = nodes if isinstance(nodes, list) else []
    found = {name: pod for name, pod in _map(_map(info.get("node_local")).get("pods")).items() if _map(pod).get("node") in nodes}
    return found if {pod["node"] for pod in found.values()} >= set(nodes) else {}


def summed(window: dict, family: str, chosen: Any = lambda key: True) -> Optional[float]:
    """Return the increase of a counter with labels over all pods; one that is not exposed yet has not counted anything."""
    return api_windows.total(window, family, chosen) if window else None


def each_query(window: dict, family: str) -> Optional[float]:
    """Return the increase over all pods of a counter that every query raises: all pods were asked, so that where it is not exposed nothing is known."""
    return summed(window, family) if all(_map(facts.get(family)) for facts in window.values()) else None


def risen(window: dict, family: str) -> Optional[float]:
    """Return the increase of a counter without labels over all pods. It is exposed from the start, so that where it is missing nothing is known."""
    found = [_map(facts.get(family)).get("increase") for facts in window.values()]
    return added(one if _is_number(one) else None for one in found)


def hits(window: dict) -> Optional[dict]:
    """Return {ratio, requests} of the cache; None without the plugin, which would count requests."""
    requests, found = each_query(window, "cache_requests"), summed(window, "cache_hits")
    return {"ratio": found / requests, "requests": int(requests)} if requests and found is not None else None


def balance(window: dict, pods: List[str], job: dict) -> Optional[dict]:
    """Return {ratio: queries of the busiest pod by an even share, busiest, requests, pods, sockets: of the job, for each pod}."""
    counts = {name: each_query({name: window[name]}, "requests") for name in pods} if window else {}
    if not counts or None in counts.values() or not sum(counts.values()):
        return None
    busiest = max(counts, key=lambda name: counts[name])
    total = sum(counts.values())
    sockets = [job.get("sockets"), job.get("count")]
    return {
        **{"ratio": counts[busiest] * len(counts) / total, "busiest": busiest, "requests": int(total), "pods": len(counts)},
        **({"sockets": sockets[0] * sockets[1] // len(counts)} if all(map(_is_number, sockets)) else {}),
    }


def _shown(window: dict, family: str) -> Optional[dict]:
    """Return the numbers of a histogram over all pods."""
    parts = [part for parts in api_windows.entries(window, family).values() for part in parts] if window else []
    summary = api_windows.merged(parts)
    return {name: summary[name] for name in SHOWN if name in summary} if summary else None


def _missing(done: List[dict], facts: dict) -> dict:
    """Return {fact: sentence}: why what the servers count is not known."""
    unread = {name: why for step in done if step["kind"] == "service" for name, why in _map(step.get("unread")).items()}
    lost = f"{facts['pods_lost']} of the CoreDNS pods were gone or new after the load" if facts.get("pods_lost") else ""
    lost = lost or (f"{facts['pods_new']} CoreDNS pods came during the load, and nobody read what they counted" if facts.get("pods_new") else "")
    reasons = _unread(unread)
    nothing = "no query reached CoreDNS" if facts.get("reached") == 0 else ""
    reason = NO_METRICS.format("CoreDNS") if _map(facts.get("corefile")).get("metrics") is False else lost or nothing or next(iter(reasons), "")
    return {name: reason for name in COUNTED if reason and name not in facts}


def _missing_near(step: dict, info: dict, facts: dict) -> dict:
    """Return {fact: sentence}: why what NodeLocal DNSCache counts is not known."""
    if "node_cache" in facts or not step:
        return {}
    found, unread = caches(step, info), _map(step.get("unread"))
    exposed = _map(_map(_map(info.get("node_local")).get("corefile")).get("metrics")).get("exposed")
    reasons = [
        *([NO_METRICS.format("NodeLocal DNSCache")] if exposed is False else []),
        *_unread(unread),
        *(f"the pod {name} of NodeLocal DNSCache is not ready" for name, pod in sorted(found.items()) if not pod.get("ready")),
        *([] if found else ["a node from which DNS was asked has no pod of NodeLocal DNSCache"]),
    ]
    return {"node_cache": reasons[0]} if reasons else {}


def _unread(unread: dict) -> List[str]:
    return [f"the metrics of {name} could not be read. {why}".rstrip(". ") for name, why in sorted(unread.items())]


# What became of the pods ----------------------------------------------------------------------------------------------------


def _health(info: dict, after: dict) -> dict:
    """Return {restarts, pods_lost, pods_new, throttling} between before and after the load."""
    before, later = _map(info.get("pods")), after.get("pods")
    limited = [name for name, pod in before.items() if _map(pod).get("cpu_limit")]
    found: Dict[str, Any] = {"throttling": {"limited": bool(limited)}} if before else {}
    if not before or not isinstance(later, dict):
        return found
    stayed = [name for name, pod in before.items() if _map(pod).get("uid") and _map(later.get(name)).get("uid") == pod["uid"]]
    # Those that came have not restarted but during the run.
    new = [name for name in later if name not in stayed]
    found.update(pods_lost=len(before) - len(stayed), pods_new=len(new))
    counts = [(before[name].get("restarts"), later[name].get("restarts")) for name in stayed]
    counts += [(0, _map(later[name]).get("restarts")) for name in new]
    if all(_is_number(one) for pair in counts for one in pair):
        found["restarts"] = sum(max(0, last - first) for first, last in counts)
    limited += [name for name in new if name not in limited and _map(later[name]).get("cpu_limit")]
    found["throttling"]["limited"] = bool(limited)
    first = _map(info.get("throttling"))
    # Only what came counts from zero.
    share = throttled(first, _map(after.get("throttling")), limited) if all(name in first for name in limited if name in stayed) else {}
    if share:
        found["throttling"].update(share)
    return found


def throttled(before: dict, after: dict, pods: List[str]) -> dict:
    """Return {ratio, periods, worst}: the share of its periods in which the worst pod was throttled; {} when one of them is not known."""
    found = {}
    for name in pods:
        periods = throttles = 0
        for cgroup, last in _map(after.get(name)).items():
            first, last = _map(_map(before.get(name)).get(cgroup)), _map(last)
            numbers = [last.get("periods"), last.get("throttled"), first.get("periods", 0), first.get("throttled", 0)]
            if not all(map(_is_number, numbers)) or numbers[0] < numbers[2] or numbers[1] < numbers[3]:
                return {}
            periods += numbers[0] - numbers[2]
            throttles += numbers[1] - numbers[3]
        if not periods:
            return {}
        found[name] = (throttles / periods, int(periods))
    if not found:
        return {}
    name = max(found, key=lambda one: found[one][0])
    return {"ratio": found[name][0], "periods": found[name][1], "worst": name}
