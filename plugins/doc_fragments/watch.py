# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option watch, by which the load of a module is aborted."""

from __future__ import annotations


class ModuleDocFragment:
    """The option watch."""

    DOCUMENTATION = r"""
options:
  watch:
    description: Abort conditions, read once before the load begins and then in each interval.
    type: dict
    suboptions:
      interval:
        description: Seconds between two readings of an endpoint.
        type: float
        default: 1.0
      rules:
        description:
          - A rule with O(watch.rules[].metric) needs O(watch.rules[].value) or O(watch.rules[].increase). A rule without asks
            that the URL answers 200, as etcd's C(/health) does unless an alarm is active.
          - Three readings of an endpoint in a row that fail, or that lack a series which was there, abort the load as well.
        type: list
        elements: dict
        required: true
        suboptions:
          endpoint:
            description: What is read.
            type: dict
            required: true
            suboptions:
              url:
                description: The URL.
                type: str
                required: true
              ca:
                description: File with the certificates that sign the server's; the system's when it is not given.
                type: path
              cert:
                description: File with the client certificate.
                type: path
              key:
                description: File with the client certificate's key.
                type: path
              token:
                description: Bearer token.
                type: str
              timeout:
                description: Seconds to wait for an answer.
                type: float
                default: 3.0
          metric:
            description: Name of a metric. Each of its series is judged.
            type: str
          value:
            description: Abort when the value meets this bound, an operator and a number such as V(> 400000000).
            type: str
          increase:
            description: Abort when the increase since the first reading meets this bound, such as V(> 0), or when the counter falls.
            type: str
          reason:
            description: Why the load is aborted when the condition is met. The value seen is added.
            type: str
            required: true
"""
