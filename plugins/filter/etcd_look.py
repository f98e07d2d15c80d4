# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: etcd_look
short_description: How the members of etcd are, between two steps of a stress run
version_added: "0.1.0"
description: Two of these looks are compared, which says whether etcd elected a leader, lost a member, has an alarm or is full.
author: kubeproof authors (@kubeproof)
options:
  _input:
    description:
      - What M(kubeproof.certify.etcd_info) registered in a loop with the variable C(certify_member), over C({cluster, host}) of each member, or over
        C({cluster, host, endpoint}) of the client URLs that were given.
    type: dict
    required: true
"""

EXAMPLES = r"""
health: "{{ seen | kubeproof.certify.etcd_look }}"
"""

RETURN = r"""
_value:
  description: >-
    C(etcd), with the C(endpoints) that answered, each with its C(cluster), C(raft_term), C(db_size), C(db_quota) and C(errors); or C(error), why a
    member could not be asked, or that none answered.
  type: dict
"""

from ansible_collections.kubeproof.certify.plugins.module_utils.stress_health import etcd_look


class FilterModule:
    """The filter etcd_look."""

    def filters(self):
        return {"etcd_look": etcd_look}
