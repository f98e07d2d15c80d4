# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: fingerprint
short_description: The fingerprint of a cluster's configuration
version_added: "0.1.0"
description:
  - Names and values of what makes two runs comparable, and one hash over them. Runs with equal fingerprints may be joined into one certificate.
author: kubeproof authors (@kubeproof)
positional: run
options:
  _input:
    description: What M(kubeproof.certify.cluster_info) returns with its C(configuration), or an empty map.
    type: dict
    required: true
  run:
    description: The run, with V(version), V(hosts), V(settings) of the checks, V(profile), V(loads), V(targets) and V(means) of its layers, and V(more)
      values by name.
    type: dict
    required: true
"""

EXAMPLES = r"""
fingerprint: "{{ identity | kubeproof.certify.fingerprint({'version': '0.1.0', 'hosts': {'etcd': ['etcd1']}}) }}"
"""

RETURN = r"""
_value:
  description: C(hash), a SHA-256, and C(values), name to value.
  type: dict
"""

from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import plain
from ansible_collections.kubeproof.certify.plugins.module_utils.fingerprint import of_run


class FilterModule:
    """The filter fingerprint."""

    def filters(self):
        return {"fingerprint": lambda identity, run: of_run(plain(identity), plain(run))}
