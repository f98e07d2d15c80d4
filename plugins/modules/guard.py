# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: guard
short_description: Clean up after a run that could not do it itself
version_added: "0.1.0"
description:
  - On SIGINT Ansible runs no rescue and no always, on SIGKILL nothing at all. This starts a small detached process that waits
    for the end of ansible-playbook and runs the cleanup playbook when the run's certificate still says interrupted.
  - The cleanup gets the same inventory, extra variables and connection options as the run. A password that was typed (C(-k), C(-K))
    is not handed on; then run the cleanup playbook by hand.
author: kubeproof authors (@kubeproof)
options:
  directory:
    description: The run's directory; it holds C(certificate.json).
    type: path
    required: true
  playbook:
    description: The cleanup playbook, a path or a fully qualified name.
    type: str
    required: true
attributes:
  check_mode:
    description: Does nothing in check mode.
    support: full
  action:
    description: Runs on the controller, inside ansible-playbook.
    support: full
"""

EXAMPLES = r"""
- name: Guard the run
  kubeproof.certify.guard:
    directory: results/prod/20261121t040000z-1a2b
    playbook: kubeproof.certify.cleanup
"""

RETURN = r"""
# The command of the cleanup is not returned, since it may hold secrets that the run was given.
"""
