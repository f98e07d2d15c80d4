# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: scale_watch
short_description: What is watched while a cluster with hollow nodes is loaded
version_added: "0.1.0"
description: >-
  Names the abort rules of a size, for the option C(watch) of M(kubeproof.certify.scale_load), so that its load ends when an API server is not ready or etcd
  has filled more than 80 % of its quota.
author: kubeproof authors (@kubeproof)
positional: look, size
options:
  _input:
    description: The API servers, as C(api) of P(kubeproof.certify.apiserver_endpoints#filter).
    type: dict
    required: true
  look:
    description: What P(kubeproof.certify.etcd_look#filter) returned before the size, empty where nobody looks; the quota is not known then.
    type: dict
    required: true
  size:
    description: One of C(sizes) of P(kubeproof.certify.scale_plan#filter).
    type: dict
    required: true
"""

EXAMPLES = r"""
watch: "{{ endpoints.api | kubeproof.certify.scale_watch(seen | kubeproof.certify.etcd_look, plan.sizes | first) }}"
"""

RETURN = r"""
_value:
  description: C(interval) in seconds, and C(rules).
  type: dict
"""

from ansible_collections.kubeproof.certify.plugins.module_utils import scale_watch


class FilterModule:
    """The filter scale_watch."""

    def filters(self):
        return {"scale_watch": scale_watch.rules}
