# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One step of the load as a job of dnsperf pods: what is asked, by how many, from how many sockets. Pure.

kube-proxy sends all queries of one socket to one CoreDNS pod, so there are many sockets: SOCKETS_PER_POD for each CoreDNS pod, as far as those of
MOST_THREADS go. dnsperf stops sending when -q queries wait for an answer, so -q is what is sent until the first of them is given up.
"""

from __future__ import annotations

import itertools
import math

from . import dns_plan

TYPES = ("A", "AAAA")
# The catalogue's mix within the cluster: nine names that exist, then one that a search path asks for in vain.
EXISTING, SEARCHED = 9, 1
# With 200, of 100 pods that are chosen by chance one has 1.3 times its share in less than 1 of 100 runs; with 100 in every sixth.
SOCKETS_PER_POD = 200
FEWEST_SOCKETS = 10
# dnsperf has no more than 256 in one thread (MAX_SOCKETS), and a pod may have 1,024 open files.
SOCKETS_PER_THREAD = 240
THREADS, MOST_THREADS = 2, 4
# Seconds after which a query is lost: that of dnsperf, and of a resolver in a pod (resolv.conf).
TIMEOUT = 5
OUTSTANDING = (1000, 60000)
# Of the DNS Service, and of NodeLocal DNSCache.
PORT = 53
SCRAPE_SECONDS = 30
SCRIPT = "/kubeproof/files/dnsperf.sh"
# Where not one query a second may be too much, each pod asks so many at least: rounded down, no more than MARGIN is lost.
FEWEST_EACH = 10


class JobError(Exception):
    """The step has nothing to ask, or nobody who could; the text says what is missing."""


def steps(planned, info):
    """Return the steps of a plan for the cluster that was found: without those that ask what is not there or not known, and as long as they need be.

    CoreDNS pods may be more than the plan has counted. Together they are asked at its rate, for as long as each of them needs for its samples.
    """
    left = left_out(info)
    return [dns_plan.long_enough(step, len(_alone(info))) for step in planned if step["kind"] not in left]


def left_out(info):
    """Return {kind of a step: why it is not asked} for the cluster that was found; "" for a cache on the nodes that there is not."""
    local, missing, found = _map(info.get("node_local")), _map(info.get("missing")), {}
    if not local.get("address"):
        found["node_local"] = missing.get("node_local.address") or ("the address of NodeLocal DNSCache is not known" if local else "")
    if local.get("takes_service") and not local.get("upstream"):
        why = missing.get("node_local.upstream") or "NodeLocal DNSCache answers for the DNS Service, so that CoreDNS behind it cannot be asked"
        found.update(service=why, external=why)
    unknown, ports = sorted(name for name in _alone(info) if not _port(info, name)), {_port(info, name) for name in _alone(info)}
    if unknown:
        found["pods"] = f"the EndpointSlices of the DNS Service do not say at which UDP port the pod {unknown[0]} answers"
    elif len(ports) > 1:
        found["pods"] = f"the CoreDNS pods answer at several ports ({', '.join(map(str, sorted(ports)))}), as while they are replaced"
    return found


def job(step, info, settings):
    """Return {count, nodes, argv, queries, timeout, rate, seconds, sockets, threads, outstanding, names: [of the targets]} of a step of dns_plan.

    `info`: dns_info's facts; `settings`: namespace and services [names] of our own, clients (pods that ask, at most), generators (at least),
    external_names, grace (s). Where pods print more than they have room for there are more of them, several on a node.
    """
    nodes = (info.get("nodes") or {}).get("names") or []
    if not nodes:
        raise JobError(
            "no node takes pods of the load: give their tolerations in dns_tolerations, correct certify_load_nodes and certify_load_zones, or repair the nodes"
        )
    targets = targets_of(step["kind"], info)
    alone = step["kind"] == "pods"
    count = len(targets) if alone else max(1, min(len(nodes), settings["clients"]), settings["generators"], dns_plan.fewest(step))
    if step["limited"] and not alone:
        count = max(1, min(count, int(step["rate"] // FEWEST_EACH)))
    behind = 1 if alone else max(1, info.get("ready") or 0)
    sockets = max(FEWEST_SOCKETS, math.ceil(SOCKETS_PER_POD * behind / (1 if alone else count)))
    sockets = min(MOST_THREADS * SOCKETS_PER_THREAD, sockets)
    rate = dns_plan.rate_of(step, count)
    if not rate:
        raise JobError(f"{count} CoreDNS pods are asked at once, with {step['rate']} queries/s at most: declare more in certify_capacity.dns_qps")
    outstanding = min(OUTSTANDING[1], max(OUTSTANDING[0], rate * TIMEOUT))
    # A thread without a rate of its own would have none.
    threads = max(1, min(rate, max(THREADS, math.ceil(sockets / SOCKETS_PER_THREAD))))
    asked = queries(info, settings, step["kind"] == "external")
    searches = step["kind"] != "external" and not _autopath(info)
    return {
        "count": count,
        "nodes": nodes if alone else nodes[: max(count, 1)],
        "names": list(targets),
        "queries": "\n".join(asked) + "\n",
        "rate": rate,
        "seconds": step["seconds"],
        "sockets": sockets,
        "threads": threads,
        "outstanding": outstanding,
        # How many of how many lines are answered with NXDOMAIN by a DNS that works.
        "searched": len(asked) * SEARCHED // (EXISTING + SEARCHED) if searches else 0,
        "lines": len(asked),
        "timeout": step["seconds"] + TIMEOUT + settings["grace"],
        "argv": [
            *("sh", SCRIPT, "{index}", ",".join(targets.values())),
            *("-p", str(_port(info, next(iter(targets))) if alone else PORT), "-l", f"{step['seconds']:g}", "-Q", str(rate)),
            *("-c", str(sockets), "-T", str(threads), "-q", str(outstanding), "-t", str(TIMEOUT)),
        ],
    }


def targets_of(kind, info):
    """Return {name: address} of what a kind of step asks; JobError when it is not there."""
    why = left_out(info).get(kind)
    if why:
        raise JobError(why)
    if kind == "pods":
        found = _alone(info)
    elif kind == "node_local":
        found = {"node-local": (info.get("node_local") or {}).get("address")}
    else:
        # NodeLocal DNSCache may answer in the place of the Service; CoreDNS is then behind another one.
        found = {"service": (info.get("node_local") or {}).get("upstream") or (info.get("service") or {}).get("address")}
    found = {name: address for name, address in found.items() if address}
    if not found:
        raise JobError(f"there is no address to ask in a step of the kind {kind}")
    return found


def _alone(info):
    """Return {CoreDNS pod: its address} of those that are ready."""
    pods = {name: _map(pod) for name, pod in sorted(_map(info.get("pods")).items())}
    return {name: pod["ip"] for name, pod in pods.items() if pod.get("ready") and pod.get("ip")}


def _map(value):
    return value if isinstance(value, dict) else {}


def _port(info, name):
    """Return the port at which a CoreDNS pod is asked, None where it is not known."""
    port = info["pods"][name].get("port")
    return port if isinstance(port, int) else None


def _autopath(info):
    """Say whether CoreDNS may find names of a search path by itself."""
    return "autopath" in (_map(info.get("corefile")).get("plugins") or ())


def queries(info, settings, external=False):
    """Return the lines of dnsperf's file: names of the cluster in the mix, or names outside.

    With the plugin autopath no name is asked for in vain: whether CoreDNS finds it then depends on whose address it sees, so that nobody could say how
    many NXDOMAIN are right.
    """
    if external:
        return [f"{name.rstrip('.')} {kind}" for name in settings["external_names"] for kind in TYPES]
    domain = info.get("domain")
    if not domain:
        raise JobError("the domain of the cluster is not known: name it in dns_domain")
    names = ["kubernetes.default", *(f"{name}.{settings['namespace']}" for name in settings["services"])]
    if info.get("service"):
        names.append(f"{info['service']['name']}.{info['service']['namespace']}")
    existing = [f"{name}.svc.{domain} {kind}" for name in names for kind in TYPES]
    # A pod that asks for kubernetes.default (ndots:5) asks for it in its own namespace first.
    searched = itertools.cycle(f"{name}.{settings['namespace']}.svc.{domain} {kind}" for name in names for kind in TYPES)
    lines = []
    for at in range(0, len(existing) * EXISTING, EXISTING):
        lines += [existing[(at + offset) % len(existing)] for offset in range(EXISTING)]
        lines += [next(searched) for dummy in range(0 if _autopath(info) else SEARCHED)]
    return lines


def endpoints(info, kind, nodes, access, token):
    """Return the endpoints of metrics_window {pod: options} of the pods that a kind of step asks, each through the API server's proxy.

    Of NodeLocal DNSCache those on `nodes`, where clients may run. `info`: dns_info's facts; `access`: what run_access returned.
    """
    scraped, home = info.get("scraped") or {}, (info.get("service") or {}).get("namespace")
    if kind == "node_local":
        pods, home = (info.get("node_local") or {}).get("pods") or {}, (info.get("node_local") or {}).get("namespace") or home
        found = {name: place for name, place in (scraped.get("node_local") or {}).items() if pods[name]["node"] in nodes}
    else:
        found = scraped.get("coredns") or {}
    options = {"token": token, "timeout": SCRAPE_SECONDS, **({"ca": access["ca"]} if access.get("ca") else {})}
    base = f"{access['server'].rstrip('/')}/api/v1/namespaces/{home}/pods"
    return {name: dict(options, url=f"{base}/{place}/proxy/metrics") for name, place in found.items()}
