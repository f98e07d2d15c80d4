# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: ingress_certificate
short_description: A certificate for a host name of the run
version_added: "0.1.0"
description: Makes a certificate, its key, and the authority that signed it. Each call makes others, so that the result is kept in a fact, with no_log.
author: kubeproof authors (@kubeproof)
options:
  _input:
    description: The host name.
    type: str
    required: true
"""

EXAMPLES = r"""
certificate: "{{ 'run.ingress.kubeproof.test' | kubeproof.certify.ingress_certificate }}"
"""

RETURN = r"""
_value:
  description: C(ca), C(certificate) and C(key), each in PEM.
  type: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.module_utils import ingress_certificate as certificates


def ingress_certificate(host):
    """Return the certificate; AnsibleFilterError where it cannot be made."""
    if certificates.x509 is None:
        raise AnsibleFilterError("kubeproof.certify.ingress_certificate: Python's cryptography is missing on the controller; set ingress_tls to default.")
    return certificates.issue(str(host))


class FilterModule:
    """The filter ingress_certificate."""

    def filters(self):
        return {"ingress_certificate": ingress_certificate}
