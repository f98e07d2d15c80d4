#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: soak_prometheus
short_description: What the scrapes of a Prometheus prove about elections
version_added: "0.1.0"
description:
  - Reads the last day of etcd's metrics from a Prometheus, in place of what M(kubeproof.certify.soak_watch) would have recorded.
  - Asks for the scrapes as they were stored, so that a gap is seen as one. It runs on the controller.
  - The counter of leader changes and the member that says that it leads must agree, and all else is judged as with M(kubeproof.certify.soak_result).
author: kubeproof authors (@kubeproof)
options:
  endpoint:
    description: The Prometheus.
    type: dict
    required: true
    suboptions:
      url:
        description: Its URL, up to where /api/v1 begins.
        type: str
        required: true
      ca:
        description: CA file for its certificate.
        type: path
      cert:
        description: Client certificate file.
        type: path
      key:
        description: Key file of the certificate.
        type: path
      token:
        description: Bearer token.
        type: str
      timeout:
        description: Seconds to wait for each answer.
        type: float
        default: 60
  selector:
    description: Label matchers that choose the members of one etcd cluster.
    type: str
    default: job=~".*etcd.*"
  members:
    description: 'The members, C({host: [addresses and names]}), one of which is the label C(instance), with or without a port.'
    type: dict
    required: true
  seconds:
    description: How far back.
    type: float
    default: 86400
  needed:
    description: Seconds that fill the checklist.
    type: float
    default: 86400
  put_rate:
    description: Declared writes per second, with which the rate of the time is compared.
    type: float
  raw:
    description:
      - Directory for what the Prometheus answered, C(prometheus.gz). C(<raw>.json) beside it gets what was asked of that, by which
        M(kubeproof.certify.verify) reads it again.
    type: path
attributes:
  check_mode:
    description: Reads the same, and does not write O(raw).
    support: full
"""

EXAMPLES = r"""
- name: Read the last day
  kubeproof.certify.soak_prometheus:
    endpoint: {url: "https://prometheus.example.com", token: "{{ vault_token }}"}
    selector: job="kube-etcd"
    members: {etcd1: [10.0.0.11], etcd2: [10.0.0.12], etcd3: [10.0.0.13]}
  delegate_to: localhost
"""

RETURN = r"""
facts:
  description: As those of M(kubeproof.certify.soak_result).
  returned: success
  type: dict
  sample:
    cluster:
      soak: {id: prometheus, seconds: 86385.0, planned: 86400, coverage: 1.0, terms: 0, changes: 0, leaders: 1, rate: 61.2, seen: 0, elections: 0}
      missing: {}
    hosts:
      etcd1:
        soak: {coverage: 1.0, samples: 5760, longest_gap: 15.0, restarts: 0}
verdict:
  description: PASS, FAIL or INCONCLUSIVE, and a sentence.
  returned: success
  type: dict
  sample: {result: PASS, sentence: "No leader election in 86385 s, by raft term and by counter, 100.00% covered."}
in_vain:
  description: Which member it does not know, so that it can never prove that there was no election, and what to do; or empty.
  returned: success
  type: str
  sample: ""
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubeproof.certify.plugins.module_utils import soak_raw
from ansible_collections.kubeproof.certify.plugins.module_utils.files import DataFileError
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_facts import in_vain, verdict
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_prometheus import PrometheusError, ask, recordings
from ansible_collections.kubeproof.certify.plugins.module_utils.web import ENDPOINT_SPEC, Endpoint, HttpError

ASKED = ("members", "seconds", "needed", "put_rate")


def main():
    """Ask the Prometheus, keep its answers, return facts."""
    spec = {
        "endpoint": {"type": "dict", "required": True, "options": {**ENDPOINT_SPEC, "timeout": {"type": "float", "default": 60}}},
        "selector": {"type": "str", "default": 'job=~".*etcd.*"'},
        "members": {"type": "dict", "required": True},
        "seconds": {"type": "float", "default": 86400},
        "needed": {"type": "float", "default": 86400},
        "put_rate": {"type": "float"},
        "raw": {"type": "path"},
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    options, keeps = module.params, module.params["raw"] and not module.check_mode
    how = {"source": soak_raw.PROMETHEUS, "since": None, "cluster": None, **{name: options[name] for name in ASKED}}
    try:
        answers = ask(Endpoint(**options["endpoint"]), options["selector"], options["seconds"])
        kept = soak_raw.keep_answers(options["raw"], answers) if keeps else ""
        found = recordings(answers, options["members"], options["seconds"])
        if not found:
            raise PrometheusError(f"The Prometheus has no scrapes of etcd with {options['selector']}. Correct soak_prometheus_selector.")
        facts = soak_raw.facts(found, how)
        if kept:
            soak_raw.say(options["raw"], [kept], how)
    except (PrometheusError, HttpError, DataFileError) as error:
        module.fail_json(msg=str(error))
    vain = in_vain(found, list(options["members"]), options["needed"], source=soak_raw.PROMETHEUS)
    module.exit_json(changed=False, facts=facts, verdict=verdict(facts["cluster"]), in_vain=vain)


if __name__ == "__main__":
    main()
