# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: etcd_host_facts
short_description: The facts of one etcd host
version_added: "0.1.0"
description: Adds to what M(kubeproof.certify.etcd_info) found what was measured on the host, and what follows from both.
author: kubeproof authors (@kubeproof)
options:
  _input:
    description:
      - C(info), the facts of M(kubeproof.certify.etcd_info); C(plan), from P(kubeproof.certify.etcd_plan#filter); C(extra), where known C(fio), C(window)
        and C(members_count); and C(soak), what the watch of a day proved. C(cluster), the name of the etcd cluster, tells M(kubeproof.certify.verify) which.
    type: dict
    required: true
"""

EXAMPLES = r"""
facts: "{{ {'info': info, 'plan': plan, 'extra': {'fio': fio}} | kubeproof.certify.etcd_host_facts }}"
"""

RETURN = r"""
_value:
  description: The document that the checks of scope host ask.
  type: dict
"""

from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import plain
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_facts import of_host


class FilterModule:
    """The filter etcd_host_facts."""

    def filters(self):
        return {"etcd_host_facts": lambda measured: of_host(plain(measured))}
