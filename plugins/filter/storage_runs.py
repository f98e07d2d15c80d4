# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: storage_runs
short_description: A job of fio in each volume of a StorageClass
version_added: "0.1.0"
description: Returns the runs of M(kubeproof.certify.pod_exec) that do one job of a stress run, in each volume of a StorageClass that is there.
author: kubeproof authors (@kubeproof)
positional: volumes
options:
  _input:
    description: A job of P(kubeproof.certify.storage_plan#filter).
    type: dict
    required: true
  volumes:
    description: What M(kubeproof.certify.volume_run) returned of each volume, by the name of its step.
    type: dict
    required: true
"""

EXAMPLES = r"""
runs: "{{ certify_step | kubeproof.certify.storage_runs({'fast-1': volume}) }}"
"""

RETURN = r"""
_value:
  description: The runs, called as the volumes.
  type: list
  elements: dict
"""

from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import plain
from ansible_collections.kubeproof.certify.plugins.module_utils.storage_fio import measuring


def storage_runs(job, volumes):
    """Return the runs of a job, one for each volume that has a pod."""
    job, held = plain(job), {name: one for name, one in plain(volumes).items() if one.get("pod")}
    return [{**measuring(job, one["facts"]["file"]), "name": name, "pod": one["pod"]} for name, one in held.items()]


class FilterModule:
    """The filter storage_runs."""

    def filters(self):
        return {"storage_runs": storage_runs}
