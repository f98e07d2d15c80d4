# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Assemble the certificate of a run."""

from __future__ import annotations

DOCUMENTATION = r"""
name: certificate
short_description: Assemble the certificate of a run
version_added: "0.1.0"
author: kubeproof authors (@kubeproof)
description:
  - Puts together what was run, what was found and the checklist, and decides the verdict.
  - A chosen layer whose findings are missing, damaged or not judged, or that ended with an error, is at best INCONCLUSIVE.
  - Without O(findings) the result is the certificate of an interrupted run, to be written before anything is measured.
  - The result is plain data for C(certificate.json), described by C(docs/certificate.schema.json). Its findings stand the worst first.
positional: plan, findings, records
options:
  _input:
    description:
      - The run, with V(id), V(started), V(user), V(controller), V(version) of the collection, V(profile), and V(cluster) with V(name)
        and, where known, V(uid) and V(kubernetes).
      - Where known also V(finished), V(seconds), V(load_seconds), V(command), V(hosts) (group to names) and V(tools) (host to tool to V(version),
        V(path), V(source)).
    type: dict
    required: true
  plan:
    description:
      - What was decided before anything was measured, V(layers) being the chosen ones.
      - Optional are V(checklist) and V(slas) (item to V(title), V(layer), V(checks), V(profiles)), V(changes) (the list that the filter
        P(kubeproof.certify.changes#filter) returns), V(capacity), V(waivers) (check to V(reason), V(owner), V(expires)), V(not_applicable)
        (check to reason) and V(inventory), which the sentence about an interrupted run names.
    type: dict
    required: true
  findings:
    description: The findings of each layer, as the filter P(kubeproof.certify.judge#filter) returns them.
    type: dict
  records:
    description: For each layer what is known of its run, V(seconds), V(load_seconds) and V(error).
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Say INTERRUPTED before anything is measured
  ansible.builtin.copy:
    content: "{{ certify_run | kubeproof.certify.certificate(certify_plan) | to_nice_json }}"
    dest: "{{ certify_run_directory }}/certificate.json"
    mode: "0600"

- name: Write the certificate
  ansible.builtin.copy:
    content: "{{ certify_run | kubeproof.certify.certificate(certify_plan, {'etcd': etcd_findings}, {'etcd': {'seconds': 252}}) | to_nice_json }}"
    dest: "{{ certify_run_directory }}/certificate.json"
    mode: "0600"
"""

RETURN = r"""
_value:
  description: The certificate.
  type: dict
"""

from collections.abc import Mapping
from typing import Any, Dict, Optional

from ansible.errors import AnsibleFilterError

from ansible_collections.kubeproof.certify.plugins.module_utils.certificate import CertificateError, certificate, interrupted
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import CheckError, plain


def certificate_filter(run: Mapping, plan: Mapping, findings: Optional[Mapping] = None, records: Optional[Mapping] = None) -> Dict[str, Any]:
    """Return the certificate; AnsibleFilterError if an input has another form."""
    for name, value in {"run": run, "plan": plan, "findings": findings or {}, "records": records or {}}.items():
        if not isinstance(value, Mapping):
            raise AnsibleFilterError(f"kubeproof.certify.certificate: {name} is a {type(value).__name__}. Give a dictionary.")
    try:
        run, plan, findings, records = plain(run), plain(plan), plain(findings), plain(records)
        return interrupted(run, plan) if findings is None else certificate(run, plan, findings, records)
    except (CertificateError, CheckError) as error:
        raise AnsibleFilterError(f"kubeproof.certify.certificate: {error}") from error


class FilterModule:
    """The filter of this file."""

    def filters(self) -> Dict[str, Any]:
        """Return the filter by its name."""
        return {"certificate": certificate_filter}
