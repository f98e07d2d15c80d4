# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: monitoring_server
short_description: A server as a Prometheus has it, for windows over its metrics
version_added: "0.1.0"
description: Makes an endpoint for M(kubeproof.certify.metrics_window) of a Prometheus and the names under which it may have the server.
author: kubeproof authors (@kubeproof)
positional: matchers, prometheus
options:
  _input:
    description: >-
      Names, addresses and URLs of the server, one of which is the label C(instance), with or without a port. Empty ones are left out; one may stand alone.
    type: raw
    required: true
  matchers:
    description: Label matchers of the job.
    type: str
    required: true
  prometheus:
    description: C(url) of the Prometheus, and C(ca), C(cert), C(key), C(token) and C(timeout) where they are needed.
    type: dict
    required: true
"""

EXAMPLES = r"""
endpoint: "{{ ['etcd1', '10.0.0.11'] | kubeproof.certify.monitoring_server('job=~\".*etcd.*\"', {'url': 'https://prometheus.example.com'}) }}"
"""

RETURN = r"""
_value:
  description: The endpoint, with C(url) and C(selector).
  type: dict
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from ansible.errors import AnsibleFilterError

# Seconds: the answer to a query, not the time until the next scrape.
TIMEOUT = 60


def monitoring_server(places, matchers, prometheus):
    """Return the endpoint; AnsibleFilterError when there is no name, or no URL."""
    places = [places] if isinstance(places, str) else places
    if not isinstance(places, Sequence) or not isinstance(prometheus, Mapping) or not prometheus.get("url"):
        raise AnsibleFilterError("kubeproof.certify.monitoring_server: pass a list of names, and {url: …} of a Prometheus, as certify_prometheus_url has it.")
    names = sorted({name for place in places if place for name in (host_of(str(place)),) if name})
    if not names:
        raise AnsibleFilterError("kubeproof.certify.monitoring_server: the server has no name; pass its address or that of its host.")
    # PromQL reads the text once more before it is a pattern.
    choice = "|".join(re.escape(name).replace("\\", "\\\\") for name in names)
    given = {key: value for key, value in prometheus.items() if value}
    return {"timeout": TIMEOUT, **given, "selector": f'{matchers},instance=~"(?:{choice})(?::[0-9]+)?"'}


def host_of(place):
    """Return the host in a name, an address or a URL, an IPv6 address in its brackets, as instances have it."""
    text = urlsplit(place).netloc if "//" in place else place
    text = text.rpartition("@")[2]
    if text.count(":") > 1 and not text.startswith("["):
        return f"[{text}]"
    return re.sub(r":[0-9]+$", "", text)


class FilterModule:
    """The filter monitoring_server."""

    def filters(self):
        return {"monitoring_server": monitoring_server}
