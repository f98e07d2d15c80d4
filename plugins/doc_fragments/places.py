# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options nodes and zones, by which pods of the load are placed."""

from __future__ import annotations


class ModuleDocFragment:
    """The options nodes and zones."""

    DOCUMENTATION = r"""
options:
  nodes:
    description: Names of the nodes that pods of the load may run on, empty for all. One that no node has is an error.
    type: list
    elements: str
    default: []
  zones:
    description: Zones that pods of the load may run in, empty for all. One that no node has is an error.
    type: list
    elements: str
    default: []
"""
