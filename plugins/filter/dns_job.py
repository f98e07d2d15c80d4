# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: dns_job
short_description: A step of DNS load as a job
version_added: "0.1.0"
description: Says for a step of the plan how many pods of dnsperf ask whom for what, in the form of M(kubeproof.certify.job_run).
author: kubeproof authors (@kubeproof)
positional: info, settings
options:
  _input:
    description: A step of P(kubeproof.certify.dns_steps#filter).
    type: dict
    required: true
  info:
    description: The facts of M(kubeproof.certify.dns_info).
    type: dict
    required: true
  settings:
    description:
      - C(namespace) of the run and C(services) in it, C(clients) (pods that ask, at most), C(generators) (at least), C(external_names), and C(grace) in
        seconds. There are more pods where these would print more than they have room for.
    type: dict
    required: true
"""

EXAMPLES = r"""
job: "{{ step | kubeproof.certify.dns_job(info.facts, settings) }}"
"""

RETURN = r"""
_value:
  description: Count, nodes, argv and timeout of the job, the text of its queries, and its rate, sockets and names of what it asks.
  type: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import plain
from ansible_collections.kubeproof.certify.plugins.module_utils.dns_job import JobError, job


def dns_job(step, info, settings):
    """Return the job; AnsibleFilterError says what is missing for it."""
    try:
        return job(plain(step), plain(info), plain(settings))
    except JobError as error:
        raise AnsibleFilterError(f"kubeproof.certify.dns_job: {error}.") from error


class FilterModule:
    """The filter dns_job."""

    def filters(self):
        return {"dns_job": dns_job}
