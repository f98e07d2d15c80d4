# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: etcd_room
short_description: Whether etcd has room for a load
version_added: "0.1.0"
description: Says of a look at etcd, before a load that writes so much, which share of the quota would be filled then, and why no load may follow.
author: kubeproof authors (@kubeproof)
positional: written, looks
options:
  _input:
    description: What P(kubeproof.certify.etcd_look#filter) returned, empty where nobody looked.
    type: dict
    required: true
  written:
    description: The bytes that the load adds to the database at most.
    type: int
    required: true
  looks:
    description: The looks before this one. An election or a lost member since then is a reason why no load may follow, too.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
room: "{{ seen | kubeproof.certify.etcd_look | kubeproof.certify.etcd_room(400000000) }}"
"""

RETURN = r"""
_value:
  description: >-
    C(watched), whether somebody looked; and then C(hindrance), why no load may follow or empty, and where they are known C(share) of the quota, of the member
    that is the fullest, and C(alarms). C(missing) says why one of them is not known.
  type: dict
"""

from ansible_collections.kubeproof.certify.plugins.module_utils.stress_health import etcd_room


class FilterModule:
    """The filter etcd_room."""

    def filters(self):
        return {"etcd_room": etcd_room}
