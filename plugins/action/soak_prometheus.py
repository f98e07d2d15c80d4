# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module of this name runs in Ansible's own process, where it is read once for all tasks."""

from __future__ import annotations

from ansible_collections.kubeproof.certify.plugins.action.cluster_info import ActionModule  # noqa: F401  pylint: disable=unused-import
from ansible_collections.kubeproof.certify.plugins.modules import soak_prometheus  # noqa: F401  pylint: disable=unused-import
