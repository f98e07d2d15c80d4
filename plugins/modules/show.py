# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show a text on the terminal."""

from __future__ import annotations

DOCUMENTATION = r"""
module: show
short_description: Show a text on the terminal as it is
version_added: "0.1.0"
author: kubeproof authors (@kubeproof)
description:
  - Prints a text on the terminal, one line for each of its lines, without the quotes and escapes of a task's result.
  - The text is not part of the result.
  - Without a UTF-8 locale only ASCII is written.
options:
  text:
    description: The text.
    type: str
    required: true
attributes:
  action:
    description: Runs on the controller and needs no connection.
    support: full
  check_mode:
    description: Shows the text in check mode too.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
"""

EXAMPLES = r"""
- name: Show the certificate
  kubeproof.certify.show:
    text: "{{ lookup('ansible.builtin.file', 'results/lab/20261121t034915z-smoke/certificate.txt') }}"
"""

RETURN = r"""
"""
