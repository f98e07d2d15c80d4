# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which function makes the facts of a layer from what modules and tools returned: for the run that judges them, and for verify, which makes them again."""

from __future__ import annotations

from typing import Any, Callable, Dict

from . import apiserver_facts, dns_facts, etcd_facts, ingress_facts, network_facts, scale_facts, storage_facts, tuning_facts
from .check_data import plain

# By layer and scope; each takes the inputs that its docstring names, and leaves out what is not known.
FACTS: Dict[str, Callable[[Any], Any]] = {
    "etcd/host": etcd_facts.of_host,
    "etcd/cluster": etcd_facts.of_cluster,
    "apiserver/cluster": apiserver_facts.cluster_facts,
    "network/cluster": network_facts.cluster_facts,
    "dns/cluster": dns_facts.cluster_facts,
    "storage/cluster": storage_facts.cluster_facts,
    "ingress/cluster": ingress_facts.cluster_facts,
    "scale/cluster": scale_facts.cluster_facts,
    "tuning/cluster": tuning_facts.cluster_facts,
}


def layer_facts(inputs: Any, layer: str, scope: str = "cluster") -> Any:
    """Return the document that the checks of a layer and a scope ask; LookupError when nothing makes one."""
    # Facts are read over and over: as plain data that is a hundred times faster than through Ansible's lazy types.
    return FACTS[f"{layer}/{scope}"](plain(inputs))
