# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a value as a person reads it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: human
short_description: Write a value, a bound or a text as a person reads it
version_added: "0.1.0"
author: kubeproof authors (@kubeproof)
description:
  - Writes a number in base units with a unit of fitting size, an interval with both ends, a bound in the unit of its value.
  - A text becomes one line without control characters, so that what a tool or a host said can be printed.
  - A value that is missing is C(-), so that zero and missing look different.
positional: unit, width
options:
  _input:
    description: A number, a text, a truth value, a list, an interval V([low, high]) whose upper end may be missing, or nothing.
    type: raw
    required: true
  unit:
    description: The base unit, one of V(s), V(byte), V(byte/s), V(bit/s), V(1/s), V(ratio), V(count), or any other word.
    type: str
  width:
    description: Cut with C(…) or fill the text to this number of columns of a terminal.
    type: int
  against:
    description: Bounds of the value. It gets as many figures as it needs to look different from those that it does not equal.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Show a latency and its bound (12.3 ms, < 25 ms)
  ansible.builtin.debug:
    msg: "{{ 0.0123 | kubeproof.certify.human('s') }}, {{ '< 0.025' | kubeproof.certify.human('s') }}"

- name: Show an interval of a histogram (8-16 ms)
  ansible.builtin.debug:
    msg: "{{ [0.008, 0.016] | kubeproof.certify.human('s') }}"

- name: Show a title in a column of 20
  ansible.builtin.debug:
    msg: "{{ 'Write latency, 99th percentile' | kubeproof.certify.human(width=20) }}"
"""

RETURN = r"""
_value:
  description: The text.
  type: str
"""

from typing import Any, Dict

from ansible_collections.kubeproof.certify.plugins.module_utils.human import cell


class FilterModule:
    """The filter of this file."""

    def filters(self) -> Dict[str, Any]:
        """Return the filter by its name."""
        return {"human": cell}
