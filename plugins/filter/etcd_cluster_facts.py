# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: etcd_cluster_facts
short_description: The facts of one etcd cluster
version_added: "0.1.0"
description: Puts the facts of an etcd cluster together from what modules and tools returned. What is not known is absent.
author: kubeproof authors (@kubeproof)
options:
  _input:
    description:
      - C(plan), and where known C(hosts), C(asked), C(clock), C(keys), C(steps), C(after), C(clean) and C(soak).
    type: dict
    required: true
"""

EXAMPLES = r"""
facts: "{{ measured | kubeproof.certify.etcd_cluster_facts }}"
"""

RETURN = r"""
_value:
  description: The document that the checks of scope cluster ask.
  type: dict
"""

from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import plain
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_facts import of_cluster


class FilterModule:
    """The filter etcd_cluster_facts."""

    def filters(self):
        return {"etcd_cluster_facts": lambda measured: of_cluster(plain(measured))}
