# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: soak_manifest
short_description: The watchers of a soak as a Deployment
version_added: "0.1.0"
description:
  - Makes the objects of Kubernetes that watch an etcd whose hosts cannot be reached, with one container for each client URL.
  - The client certificate comes from a Secret with C(ca.crt), C(tls.crt) and C(tls.key) that is there already.
author: kubeproof authors (@kubeproof)
options:
  _input:
    description:
      - C(id), C(seconds), C(interval), C(endpoints), C(namespace), C(image) with Python 3.8 or newer, C(secret) and C(storage_class), which may be empty.
    type: dict
    required: true
"""

EXAMPLES = r"""
objects: "{{ settings | kubeproof.certify.soak_manifest }}"
"""

RETURN = r"""
_value:
  description: The objects, in the order in which they are to be made.
  type: list
  elements: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_manifest import ManifestError, manifest


def soak_manifest(options):
    """Return the objects; AnsibleFilterError names a setting that cannot be used."""
    try:
        return manifest(options)
    except ManifestError as error:
        raise AnsibleFilterError(f"kubeproof.certify.soak_manifest: {error}") from error


class FilterModule:
    """The filter soak_manifest."""

    def filters(self):
        return {"soak_manifest": soak_manifest}
