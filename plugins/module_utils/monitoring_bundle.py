# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that a monitoring is made of, as files and as objects: rules and their tests, dashboards, scrape configuration, rights. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Dict, List

try:
    from yaml import dump

    try:
        from yaml import CSafeDumper as SafeDumper
    except ImportError:
        from yaml import SafeDumper
except ImportError:  # the module that uses this says what is missing
    SafeDumper = object

from ansible_collections.kubeproof.certify.plugins.module_utils import monitoring_objects as objects
from ansible_collections.kubeproof.certify.plugins.module_utils.monitoring_dashboards import dashboards
from ansible_collections.kubeproof.certify.plugins.module_utils.monitoring_proof import certificate_proof, proof
from ansible_collections.kubeproof.certify.plugins.module_utils.monitoring_queries import MonitoringError, facts_of, fits, require_layer
from ansible_collections.kubeproof.certify.plugins.module_utils.monitoring_rules import CERTIFICATES, certificate_groups, groups
from ansible_collections.kubeproof.certify.plugins.module_utils.monitoring_scrape import JOBS, configuration
from ansible_collections.kubeproof.certify.plugins.module_utils.monitoring_watch import watch

HEAD = "# Made by kubeproof.certify.monitoring out of the checks of the certificate; what is changed here is lost with the next run.\n"
WIDTH = 160
NAME = "kubeproof"
# What a Prometheus may read: metrics, also through the API server's proxy, and where there is something to scrape.
RIGHTS = [
    {"nonResourceURLs": ["/metrics", "/metrics/cadvisor"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["nodes", "pods", "services", "endpoints"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["nodes/metrics", "nodes/proxy", "pods/proxy"], "verbs": ["get"]},
]


def bundle(layers: Mapping, certificate: Mapping, checks: Mapping, settings: Any, options: Mapping) -> Dict[str, Any]:
    """Return {files: {path: text}, groups, dashboards, watched: [id], left: {id: reason}}.

    `options`: {kubernetes, etcd, ingress, exporters, window, selectors, scrape}; `scrape` is that of monitoring_scrape, or None for none.
    """
    facts = facts_of(options["kubernetes"], options["etcd"], options["ingress"], options["exporters"])
    layers = {name: require_layer(name, layer) for name, layer in layers.items()}
    watched, left = watch(layers, checks, settings, facts)
    layers = {name: layer for name, layer in layers.items() if fits(layer.get("when"), facts)}
    lacking = sorted({job for layer in layers.values() for job in layer.get("jobs", [])} - set(options["selectors"]))
    if lacking:
        raise MonitoringError(f"monitoring_selectors has no {', '.join(lacking)}; write the label matchers of that job.")
    rules = {name: found for name, found in groups(watched, layers, options["selectors"], options["window"]).items() if found}
    boards = dashboards(watched, layers, options["selectors"], facts, require_layer("certificate", certificate))
    files = {}
    for name in rules:
        jobs = {job: options["selectors"][job] for job in layers[name].get("jobs", [])}
        files[f"tests/{NAME}-{name}.test.yml"] = _yaml(proof([one for one in watched if one.layer == name], name, jobs, f"../rules/{NAME}-{name}.yml"))
    scraping = configuration(options["scrape"]) if options["scrape"] is not None else None
    scraped = bool(scraping) and any(job["job_name"] == JOBS[CERTIFICATES] for job in scraping["scrape_configs"])
    rules[CERTIFICATES] = certificate_groups(scraped)
    files[f"tests/{NAME}-{CERTIFICATES}.test.yml"] = _yaml(certificate_proof(f"../rules/{NAME}-{CERTIFICATES}.yml", scraped))
    files.update({f"rules/{NAME}-{name}.yml": _yaml({"groups": found}) for name, found in rules.items()})
    files.update({f"dashboards/{NAME}-{name}.json": json.dumps(board, indent=1) + "\n" for name, board in boards.items()})
    files["not-monitored.yml"] = _yaml(left)
    files["access.yml"] = HEAD + "---\n" + "---\n".join(_dump(one) for one in access(options["namespace"]))
    if scraping:
        files["prometheus.yml"] = _yaml(scraping)
    return {"files": files, "groups": rules, "dashboards": boards, "watched": [one.identifier for one in watched], "left": left}


def access(namespace: str) -> List[dict]:
    """Return the account of a Prometheus outside of the cluster, its rights and its token, to be applied by whoever may."""
    meta = {"name": f"{NAME}-prometheus", "labels": objects.labels(objects.OWNER)}
    mine = {**meta, "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": meta["name"]}
    token = {**mine, "annotations": {"kubernetes.io/service-account.name": meta["name"]}}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": mine},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": meta, "rules": RIGHTS},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": meta, "roleRef": role,
         "subjects": [{"kind": "ServiceAccount", "name": meta["name"], "namespace": namespace}]},
        {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token", "metadata": token},
    ]  # fmt: skip


class _Plain(SafeDumper):
    """Without anchors, which Prometheus reads and people do not."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _dump(data: Any) -> str:
    return dump(data, Dumper=_Plain, sort_keys=False, width=WIDTH, allow_unicode=True)


def _yaml(data: Any) -> str:
    return HEAD + "---\n" + _dump(data)
