# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a certificate wherever one is read: its digest, and which of its findings somebody has set. Pure, and stands on nothing of ours."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

# The layer of the audit.
TUNING = "tuning"
# Of the audit, what has a place and lines to write and is measured all the same: how full, how old.
MEASURED = frozenset(("tuning_cluster_authorities", "tuning_cluster_certificates", "tuning_etcd_alarms", "tuning_etcd_in_use", "tuning_etcd_used"))


def digest(certificate: Mapping) -> str:
    """Return the SHA-256 of a certificate without its own `digest`: of its JSON with sorted keys, no blanks and only ASCII."""
    rest = {key: value for key, value in certificate.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")).hexdigest()


def is_setting(finding: Mapping) -> bool:
    """Say whether somebody wrote it, so that there is a place and there are lines to write; what was measured changes by itself."""
    return finding.get("layer") == TUNING and bool(finding.get("where")) and bool(finding.get("write")) and finding["id"] not in MEASURED
