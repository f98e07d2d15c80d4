# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: apiserver_endpoints
short_description: Where the metrics of a control plane are read
version_added: "0.1.0"
description: Names the endpoints of API servers, kubelets and schedulers in the form of M(kubeproof.certify.metrics_window).
author: kubeproof authors (@kubeproof)
positional: access, token, kubelets
options:
  _input:
    description: The facts of M(kubeproof.certify.apiserver_info).
    type: dict
    required: true
  access:
    description: What M(kubeproof.certify.run_access) returned.
    type: dict
    required: true
  token:
    description: The token of the account that may read metrics.
    type: str
    required: true
  kubelets:
    description: Names of the nodes whose kubelets are read.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
endpoints: "{{ info.facts | kubeproof.certify.apiserver_endpoints(access, token, ['worker1']) }}"
"""

RETURN = r"""
_value:
  description: C(api) and C(kubelet), options by name, and C(scheduler), the options of each host's.
  type: dict
"""

from ansible_collections.kubeproof.certify.plugins.module_utils.api_windows import endpoints


class FilterModule:
    """The filter apiserver_endpoints."""

    def filters(self):
        return {"apiserver_endpoints": endpoints}
