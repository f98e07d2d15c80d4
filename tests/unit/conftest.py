# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all unit tests share: no test fails because the machine is slow."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("kubeproof", deadline=None)
settings.load_profile("kubeproof")
