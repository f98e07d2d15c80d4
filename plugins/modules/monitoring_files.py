#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: monitoring_files
short_description: Alerts, dashboards and a scrape configuration out of the checks of a certificate
version_added: "0.1.0"
description:
  - Makes recording and alerting rules of the checks that a Prometheus can answer, with the bounds of the certificate, and tests for C(promtool) of each alert.
  - Makes a dashboard of Grafana for each layer and one of the certificates, and a scrape configuration.
  - Names every check that is not monitored, with the reason.
  - O(state=absent) removes what was written, and nothing else. Runs on the controller.
author: kubeproof authors (@kubeproof)
options:
  state:
    description: Whether the files are there.
    type: str
    choices: [present, absent]
    default: present
  directory:
    description: Where the files go. A list of them is kept there in C(.kubeproof.json).
    type: path
    required: true
  roles:
    description: Directory of the roles of this collection, which have the checks and the queries. Needed with O(state=present).
    type: path
  settings:
    description: What the user says about checks, as for P(kubeproof.certify.judge#filter).
    type: dict
    default: {}
  cluster:
    description: What the cluster has, on which names of metrics depend. Needed with O(state=present).
    type: dict
    suboptions:
      kubernetes:
        description: Its version.
        type: str
        required: true
      etcd:
        description: The version of etcd; where it is empty nothing is asked for that etcd 3.5 does not have.
        type: str
        default: ""
      ingress:
        description: The ingress controller; empty for another one.
        type: str
        choices: ["", traefik, nginx]
        default: ""
      exporters:
        description: What else is scraped.
        type: list
        elements: str
        choices: [node-exporter, kube-state-metrics]
        default: []
  selectors:
    description: "The label matchers of each job, as C({etcd: 'job=\"kube-etcd\"'})."
    type: dict
    default: {}
  window:
    description: The time that rates are taken over.
    type: str
    default: 10m
  scrape:
    description: What the scrape configuration is made of; without it there is none.
    type: dict
  objects:
    description: What the objects that are returned carry.
    type: dict
    suboptions:
      namespace:
        description: Their namespace.
        type: str
        default: monitoring
      dashboard_labels:
        description: Labels of the ConfigMaps.
        type: dict
        default: {}
      dashboard_annotations:
        description: Annotations of the ConfigMaps.
        type: dict
        default: {}
      rule_labels:
        description: Labels of the PrometheusRules.
        type: dict
        default: {}
attributes:
  check_mode:
    description: Says what it would write.
    support: full
"""

EXAMPLES = r"""
- name: Write alerts and dashboards
  kubeproof.certify.monitoring_files:
    directory: monitoring/prod
    roles: "{{ role_path | dirname }}"
    cluster: {kubernetes: v1.36.3, etcd: 3.6.8, ingress: traefik, exporters: [node-exporter]}
    selectors: {etcd: 'job="kube-etcd"'}
"""

RETURN = r"""
written:
  description: Files that changed, below the directory.
  returned: success
  type: list
  elements: str
  sample: [rules/kubeproof-etcd.yml]
removed:
  description: Files of an earlier call that are not made any more.
  returned: success
  type: list
  elements: str
watched:
  description: Checks that are monitored.
  returned: O(state=present)
  type: list
  elements: str
  sample: [etcd_wal_fsync_p99]
left:
  description: Checks with bounds that are not monitored, with the reason.
  returned: O(state=present)
  type: dict
  sample: {etcd_check_perf: It is a test that loads etcd.}
config_maps:
  description: The dashboards as ConfigMaps.
  returned: O(state=present)
  type: list
  elements: dict
rules:
  description: The rules as PrometheusRules.
  returned: O(state=present)
  type: list
  elements: dict
"""

import os

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.kubeproof.certify.plugins.module_utils.files import DataFileError

try:
    import yaml
    from ansible_collections.kubeproof.certify.plugins.module_utils import monitoring_bundle, monitoring_objects, monitoring_place
    from ansible_collections.kubeproof.certify.plugins.module_utils.monitoring_queries import MonitoringError
except ImportError:
    yaml = None

SPEC = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "directory": {"type": "path", "required": True},
    "roles": {"type": "path"},
    "settings": {"type": "dict", "default": {}},
    "cluster": {
        "type": "dict",
        "options": {
            "kubernetes": {"type": "str", "required": True},
            "etcd": {"type": "str", "default": ""},
            "ingress": {"type": "str", "choices": ["", "traefik", "nginx"], "default": ""},
            "exporters": {"type": "list", "elements": "str", "choices": ["node-exporter", "kube-state-metrics"], "default": []},
        },
    },
    "selectors": {"type": "dict", "default": {}},
    "window": {"type": "str", "default": "10m"},
    "scrape": {"type": "dict"},
    "objects": {
        "type": "dict",
        "apply_defaults": True,
        "options": {
            "namespace": {"type": "str", "default": "monitoring"},
            "dashboard_labels": {"type": "dict", "default": {}},
            "dashboard_annotations": {"type": "dict", "default": {}},
            "rule_labels": {"type": "dict", "default": {}},
        },
    },
}


def load(path):
    """Return the document in a file of YAML; DataFileError names it."""
    try:
        with open(path, encoding="utf-8") as stream:
            return yaml.load(stream, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, yaml.YAMLError) as error:
        raise DataFileError(f"{path} cannot be read: {error}.") from error


def named(folder):
    """Return {name: document} of the files of YAML in a directory."""
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".yml"))
    except OSError as error:
        raise DataFileError(f"{folder} cannot be read: {error.strerror}.") from error
    return {name[:-4]: load(os.path.join(folder, name)) for name in names}


def checks_of(roles):
    """Return {layer: {id: check}} of every role that has checks."""
    found = {}
    for layer in sorted(os.listdir(roles)):
        path = os.path.join(roles, layer, "defaults", "main", "checks.yml")
        if os.path.isfile(path):
            found[layer] = load(path)[f"{layer}_checks"]
    return found


def make(options):
    """Return ({path: text}, what the module answers)."""
    if not options["roles"] or not options["cluster"]:
        raise MonitoringError("roles or cluster is empty; name the directory of the roles, and what the cluster has.")
    data = os.path.join(options["roles"], "monitoring", "files")
    given = options["objects"]
    wanted = {key: options[key] for key in ("selectors", "window", "scrape")}
    wanted.update(options["cluster"], namespace=given["namespace"])
    certificate = load(os.path.join(data, "certificate.yml"))
    made = monitoring_bundle.bundle(named(os.path.join(data, "layers")), certificate, checks_of(options["roles"]), options["settings"], wanted)
    maps = monitoring_objects.config_maps(made["dashboards"], given["namespace"], given["dashboard_labels"], given["dashboard_annotations"])
    rules = monitoring_objects.prometheus_rules(made["groups"], given["namespace"], given["rule_labels"])
    return made["files"], {"watched": made["watched"], "left": made["left"], "config_maps": maps, "rules": rules}


def main():
    """Write the files, or remove them."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True, required_if=[("state", "present", ["roles", "cluster"])])
    if yaml is None:
        module.fail_json(msg=missing_required_lib("PyYAML"))
    options = module.params
    try:
        if options["state"] == "absent":
            found = monitoring_place.clear(options["directory"], module.check_mode)
            if found["left"]:
                module.fail_json(msg=f"These files are still below {options['directory']}: {', '.join(found['left'])}.")
            module.exit_json(changed=bool(found["removed"]), written=[], removed=found["removed"])
        files, result = make(options)
        done = monitoring_place.place(options["directory"], files, module.check_mode)
    except (DataFileError, MonitoringError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(done["changed"] or done["removed"]), written=done["changed"], removed=done["removed"], **result)


if __name__ == "__main__":
    main()
