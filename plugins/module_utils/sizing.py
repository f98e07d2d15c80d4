# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster is expected to carry: declared in certify_capacity, or derived from its nodes, each number with its source. Pure.

Declared numbers win; what is not declared follows from the number of nodes (SIG-scalability's load test, clusterloader2):
    pods          = nodes * pods_per_node                      30 pods on a node
    pod_churn     = nodes / 10, at least 2 and at most 20      pods created in a second; 20 is the limit of the SLO's environment
    writes        = nodes / 10 + nodes / 300 + 15 * pod_churn + api_operator_writes
                    a lease every 10 s, a node status every 300 s, and 15 writes in the life of a pod
    reads         = 2 * writes
    api_qps       = writes + reads
    etcd_put_rate = writes, at least etcd_default_rate
    dns_qps       = pods * 2
What comes in from outside, between zones or to volumes does not depend on the nodes: it is declared, or not judged.
"""

from __future__ import annotations

PODS_PER_NODE = 30
UPSTREAM = "SIG-scalability's load test"
LEASE_SECONDS = 10
STATUS_SECONDS = 300
WRITES_PER_POD = 15
CHURN = (2, 20)
CHURN_PER_NODE = 0.1
READS_PER_WRITE = 2
MOST = 10**9

# Declared in certify_capacity: name -> what it is, for the plan.
API = {
    "nodes": "nodes",
    "pods_per_node": "pods on a node",
    "pod_churn": "pods created in a second",
    "api_operator_writes": "writes a second by operators and controllers of your own",
    "api_reads": "reads a second by clients",
    "api_qps": "requests a second, all together",
}
ETCD = {"etcd_put_rate": "writes a second"}


class PlanError(Exception):
    """A setting cannot be used; the text names the variable, what was found and what to write."""


def number(name, value, least, most=MOST, whole=False):
    """Return a number of the settings; PlanError if it is none, or beyond its limits."""
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not least <= value <= most:
        # What -e name=value gives is always a text.
        text = " as JSON where it follows -e, which takes all else for text" if isinstance(value, str) else ""
        raise PlanError(f"{name} is {value!r}. Write a {'whole ' if whole else ''}number from {least} to {most}{text}.")
    return value


class Inputs:
    """The inputs of a layer's sizing in the order in which they are taken; `found` [{name, value, source, text}] is what the plan shows."""

    def __init__(self, declared, texts):
        self.declared, self.texts, self.found = declared, texts, []

    def take(self, name, value, source, least=0):
        """Return what is declared under this name, else the value that the source gave."""
        if name in self.declared:
            value, source = number(f"certify_capacity.{name}", self.declared[name], least), "declared"
        self.found.append({"name": name, "value": round(value, 1), "source": source, "text": self.texts[name]})
        return value


def api(declared, nodes):
    """Return (inputs of the API server, writes a second that they stand for)."""
    inputs = Inputs(declared, API)
    nodes = inputs.take("nodes", nodes, "counted")
    inputs.take("pods_per_node", PODS_PER_NODE, UPSTREAM)
    churn = inputs.take("pod_churn", min(CHURN[1], max(CHURN[0], nodes * CHURN_PER_NODE)), f"nodes x {CHURN_PER_NODE}, {CHURN[0]} to {CHURN[1]}")
    operators = inputs.take("api_operator_writes", 0, "none declared")
    writes = nodes / LEASE_SECONDS + nodes / STATUS_SECONDS + WRITES_PER_POD * churn + operators
    reads = inputs.take("api_reads", READS_PER_WRITE * writes, f"{READS_PER_WRITE} x {writes:.0f} writes/s")
    inputs.take("api_qps", writes + reads, "reads and writes")
    return inputs.found, writes


def etcd(declared, nodes, default):
    """Return the inputs of etcd: the writes of the API that it carries, where the nodes are known and that is more than the default."""
    found, writes = api(declared, nodes)
    inputs = Inputs(declared, ETCD)
    if not found[0]["value"]:
        value, source = default, "etcd_default_rate: neither it nor the number of nodes is known"
    elif writes > default:
        value, source = writes, f"the writes of the API with {found[0]['value']:g} nodes"
    else:
        value, source = default, f"etcd_default_rate: the API with {found[0]['value']:g} nodes writes less, {writes:.0f}/s"
    inputs.take("etcd_put_rate", value, source, 1)
    return inputs.found
