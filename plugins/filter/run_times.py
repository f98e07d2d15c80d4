# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: run_times
short_description: How long a run is going to take
version_added: "0.1.0"
description:
  - Adds to the load of each layer about as much as is beside it, and says whether a budget allows for the whole.
  - Only what is still to be measured counts.
author: kubeproof authors (@kubeproof)
positional: profile, budget
options:
  _input:
    description: 'C({layer: seconds of its load}), in the order in which they run.'
    type: dict
    required: true
  profile:
    description: The profile, to name the setting that shortens a layer.
    type: str
    default: load
  budget:
    description: Minutes that the run may take, or empty.
    type: raw
    default: ""
  kept:
    description: 'C({layer: [clusters]}), what a run that goes on has measured already.'
    type: dict
  clusters:
    description: 'C({layer: how many clusters it has}), 1 where it is not named.'
    type: dict
  reboots:
    description: How many nodes are rebooted after the load of the API servers.
    type: int
    default: 0
  reboot_timeout:
    description: Seconds within which each of them is drained.
    type: int
    default: 0
  recovery:
    description:
      - 'Of the profile stress, C(catalogue), C(thresholds), C(time_scale) and C(ramps), C({layer: how many it has}), 1 where it is not named.'
      - The critical bound of a layer's C(<layer>_recovered) is how long its recovery is tried.
    type: dict
"""

EXAMPLES = r"""
times: "{{ {'etcd': 2100, 'dns': 2160} | kubeproof.certify.run_times('load', 60) }}"
"""

RETURN = r"""
_value:
  description:
    - C(layers), a list of C(layer), C(load) and C(seconds), which are load and what is beside it, and C(kept), whether all of it is measured already.
    - C(load) and C(seconds) of the whole, and C(reboot), how much of that the reboots take at most.
    - C(recovery), how many seconds more recovery may take in the profile stress. A budget has to allow for them.
    - C(over), a sentence that says what to change where the budget does not allow for it, or empty.
  type: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.module_utils import run_times as engine


def run_times(loads, profile="load", budget="", kept=None, clusters=None, reboots=0, reboot_timeout=0, recovery=None):
    """Return the times; AnsibleFilterError names a budget that cannot be used."""
    try:
        return engine.run_times(loads, profile, budget, kept, clusters, reboots, reboot_timeout, recovery)
    except engine.PlanError as error:
        raise AnsibleFilterError(f"kubeproof.certify.run_times: {error}") from error


class FilterModule:
    """The filter run_times."""

    def filters(self):
        return {"run_times": run_times}
